//! The control API: HTTP/1.1 and JSON on a Unix socket; `/healthz` and `/metrics` on TCP.
//!
//! ```text
//!  connection -> peer credentials checked -> route -> Board, reader thread (reads)
//!   (bounded)                                      '-> reader thread (writes definitions) -> watcher -> supervisor
//! ```
//!
//! Routes of actix-web behind an accept loop of ours, one thread for each socket: the one for everything, and, where the
//! settings want it, one that only reads. Every change and every refusal is logged with the user and process that asked.
//! No route opens a file by a name that a caller gives: see README.md, security.

mod apply;
mod asked;
mod backup;
mod body;
mod changes;
mod connection;
mod credentials;
mod daemon;
mod error;
mod found;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
mod head;
mod login_test;
mod logins;
mod metrics;
mod notifiers;
mod peer;
mod process;
mod reads;
mod refusals;
mod reload;
mod sample;
mod server;
mod status;
mod streams;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use actix::Addr;
use actix_web::dev::Server;
use actix_web::{App, HttpServer, guard, web};
use slog::Logger;
use tokio::sync::{Notify, mpsc};

use super::databases::{Database, LocalDatabase};
use super::identity::Identities;
use super::notifier::NotifierActor;
use super::priority::behind_probes;
use super::supervisor::Supervisor;
use super::watcher::Watcher;
use crate::board::Board;
use crate::clock::Clock;
use crate::control::api::RunState;
use crate::model::notifier::TypeCheck;
use crate::model::time::Mono;
use crate::notify::catalogue::Catalogue;

pub use backup::Backups;
pub use peer::{Access, Peer};
pub use reload::{Reload, ReloadAnswer, SettingsChange};
pub use server::{Door, Served, serve};

/// Most connections on TCP at the same time.
const MAX_HEALTH_CONNECTIONS: usize = 256;

/// What the routes work with.
pub struct Context {
    /// The read model.
    pub board: Arc<Board>,
    /// Time.
    pub clock: Clock,
    /// The log of changes.
    pub log: Logger,
    /// Commands go here.
    pub supervisor: Addr<Supervisor>,
    /// Puts edited definitions in force.
    pub watcher: Addr<Watcher>,
    /// Reads and edits in the main database.
    pub reader: Addr<Database>,
    /// state.db.
    pub local: Addr<LocalDatabase>,
    /// `sqlite` or `mysql`, and the URL without its password.
    pub database: (String, String),
    /// When the daemon started.
    pub started: Mono,
    /// Where the daemon is in its life.
    pub run_state: RunStateCell,
    /// Notified when somebody asks for a stop.
    pub stop: Arc<Notify>,
    /// Asks for a reload.
    pub reload: mpsc::UnboundedSender<Reload>,
    /// Log lines that were dropped.
    pub log_dropped: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// From where backups are taken.
    pub backups: Arc<Backups>,
    /// The daemon's user.
    pub uid: u32,
    /// What the types of notifiers demand.
    pub types: Arc<TypeCheck>,
    /// What types of notifiers there are.
    pub catalogue: Arc<Catalogue>,
    /// Sends samples.
    pub notifier: Addr<NotifierActor>,
    /// Tokens, and who logs in.
    pub identities: Arc<Identities>,
    /// What the daemon was started with.
    pub about: About,
}

/// What the daemon was started with, as far as people are shown it.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// The settings file, if there was one.
    pub settings_file: Option<PathBuf>,
    /// The file of state.db.
    pub state_db: PathBuf,
    /// Most results in memory.
    pub queue_size: usize,
    /// Most bytes of results in state.db.
    pub spool_max_bytes: u64,
    /// Most probes in their first 20 ms per thread.
    pub young_limit: usize,
    /// Threads that probe.
    pub threads: usize,
}

/// Where the daemon is in its life; clones share it.
#[derive(Debug, Clone, Default)]
pub struct RunStateCell(Arc<AtomicU8>);

impl RunStateCell {
    /// Sets it.
    pub fn set(&self, state: RunState) {
        let n = match state {
            RunState::Starting => 0,
            RunState::Running => 1,
            RunState::Stopping => 2,
        };
        self.0.store(n, Ordering::SeqCst);
    }

    /// What it is.
    #[must_use]
    pub fn get(&self) -> RunState {
        match self.0.load(Ordering::SeqCst) {
            0 => RunState::Starting,
            1 => RunState::Running,
            _ => RunState::Stopping,
        }
    }
}

/// The server of `/healthz` and `/metrics` on TCP: nothing else is answered there, and nothing can be changed.
/// `listener` is bound already.
///
/// # Errors
/// When the server cannot take the listener.
pub fn serve_health(listener: TcpListener, context: &Arc<Context>) -> std::io::Result<Server> {
    let data = web::Data::from(Arc::clone(context));
    let server = HttpServer::new(move || {
        // It is made on the thread that serves: a scrape stands behind probes.
        behind_probes();
        App::new()
            .app_data(data.clone())
            .route("/healthz", web::get().to(daemon::healthz))
            .route("/healthz", web::head().to(daemon::healthz))
            .route("/metrics", web::get().to(metrics::metrics))
            .route("/metrics", web::head().to(metrics::metrics))
    })
    .workers(1)
    .max_connections(MAX_HEALTH_CONNECTIONS)
    .disable_signals()
    .shutdown_timeout(1)
    .listen(listener)?
    .run();
    Ok(server)
}

/// A path; methods that it does not know are answered 405.
fn at(path: &str) -> actix_web::Resource {
    web::resource(path).default_service(web::to(error::wrong_method))
}

fn routes(config: &mut web::ServiceConfig) {
    let get_or_head = || web::route().guard(guard::Any(guard::Get()).or(guard::Head()));
    config
        .service(at("/healthz").route(get_or_head().to(daemon::healthz)))
        .service(at("/metrics").route(get_or_head().to(metrics::metrics)))
        .service(at("/v1/status").route(web::get().to(daemon::status)))
        .service(at("/v1/reload").route(web::post().to(reload::reload)))
        .service(at("/v1/stop").route(web::post().to(daemon::stop)))
        .service(at("/v1/targets").route(web::get().to(reads::targets)).route(web::post().to(changes::add)))
        .service(
            at("/v1/targets/{target}")
                .route(web::get().to(reads::target))
                .route(web::patch().to(changes::edit))
                .route(web::delete().to(changes::remove)),
        )
        .service(at("/v1/targets/{target}/enable").route(web::post().to(changes::enable)))
        .service(at("/v1/targets/{target}/disable").route(web::post().to(changes::disable)))
        .service(at("/v1/targets/{target}/test").route(web::post().to(streams::test)))
        .service(at("/v1/targets/{target}/history").route(web::get().to(reads::history)))
        .service(at("/v1/notifiers").route(web::get().to(notifiers::list)).route(web::post().to(notifiers::add)))
        .service(
            at("/v1/notifiers/{notifier}")
                .route(web::get().to(notifiers::one))
                .route(web::patch().to(notifiers::edit))
                .route(web::delete().to(notifiers::remove)),
        )
        .service(at("/v1/notifiers/{notifier}/test").route(web::post().to(sample::test)))
        .service(at("/v1/notifier-types").route(web::get().to(notifiers::types)))
        .service(at("/v1/notifier-types/{type}").route(web::get().to(notifiers::one_type)))
        .service(at("/v1/notifiers/{notifier}/enable").route(web::post().to(notifiers::enable)))
        .service(at("/v1/notifiers/{notifier}/disable").route(web::post().to(notifiers::disable)))
        .service(at("/v1/credentials").route(web::get().to(credentials::list)).route(web::post().to(credentials::add)))
        .service(
            at("/v1/credentials/{credential}")
                .route(web::get().to(credentials::one))
                .route(web::patch().to(credentials::edit))
                .route(web::delete().to(credentials::remove)),
        )
        .service(at("/v1/credentials/{credential}/enable").route(web::post().to(credentials::enable)))
        .service(at("/v1/credentials/{credential}/disable").route(web::post().to(credentials::disable)))
        .service(at("/v1/credentials/{credential}/test").route(web::post().to(login_test::test)))
        .service(at("/v1/credentials/{credential}/discover").route(web::post().to(login_test::discover)))
        .service(at("/v1/apply").route(web::post().to(apply::apply)))
        .service(at("/v1/export").route(web::get().to(reads::export)))
        .service(at("/v1/backup").route(web::get().to(backup::backup)))
        .service(at("/v1/incidents").route(web::get().to(reads::incidents)))
        .service(at("/v1/incidents/{id}").route(web::get().to(reads::incident)))
        .service(at("/v1/watch").route(web::get().to(streams::watch)));
}

/// Removes a socket that nobody listens on any more; refuses one that somebody does. `key` is the setting that names it.
///
/// # Errors
/// Somebody listens there, or what is there is no socket or cannot be removed.
pub fn clear_stale_socket(path: &Path, key: &str) -> Result<(), String> {
    use std::os::unix::fs::FileTypeExt;
    match std::fs::symlink_metadata(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(format!("{} cannot be looked at: {e}", path.display())),
        Ok(meta) if meta.is_dir() => Err(format!("{} is a folder: set {key} to a path in it", path.display())),
        Ok(meta) if !meta.file_type().is_socket() => {
            Err(format!("{} exists and is no socket: remove it or set {key}", path.display()))
        }
        Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
            Err(format!("somebody listens on {} already: stop that daemon or set {key}", path.display()))
        }
        Ok(_) => std::fs::remove_file(path)
            .map_err(|e| format!("the stale socket {} cannot be removed: {e}", path.display())),
    }
}
