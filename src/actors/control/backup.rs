//! `/v1/backup`: everything, line by line, to who asks for it. The daemon opens no file for that: the caller does.
//!
//! ```text
//!  thread "backup": snapshot of main and of state.db --chunks, bounded--> answer
//! ```
//!
//! A snapshot holds up what the databases can forget, so a caller who does not read on is left alone after a while. A
//! backup holds passwords: root and the daemon's own user may have one, other members of the socket's group not.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::stream;
use slog::{error, info};
use tokio::sync::mpsc;

use super::asked::Asked;
use super::error::ApiError;
use super::{Context, Door, peer};
use crate::actors::databases::Connector;
use crate::actors::priority::behind_probes;
use crate::control::api::{BackupQuery, NDJSON};
use crate::model::backup::failed;
use crate::store::StoreError;
use crate::store::backup::Snapshot;

/// A caller who takes nothing for so long has gone.
const STALLED: Duration = Duration::from_secs(30);
/// How long another process may hold a lock of state.db.
const LOCKED: Duration = Duration::from_secs(5);
/// Chunks on their way.
const CHUNKS: usize = 4;

/// From where a backup is taken.
pub struct Backups {
    connector: Arc<Connector>,
    state_db: PathBuf,
    running: AtomicBool,
}

impl Backups {
    /// `state_db` is the path of state.db.
    #[must_use]
    pub fn new(connector: Arc<Connector>, state_db: PathBuf) -> Arc<Backups> {
        Arc::new(Backups { connector, state_db, running: AtomicBool::new(false) })
    }
}

/// One backup at a time.
struct Turn(Arc<Backups>);

impl Turn {
    fn take(backups: &Arc<Backups>) -> Option<Turn> {
        let was_running = backups.running.swap(true, Ordering::SeqCst);
        (!was_running).then(|| Turn(Arc::clone(backups)))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.running.store(false, Ordering::SeqCst);
    }
}

pub async fn backup(
    context: web::Data<Context>,
    request: HttpRequest,
    query: Asked<BackupQuery>,
) -> Result<HttpResponse, ApiError> {
    let (uid, pid) = peer::of(&request);
    let owner = context.uid;
    let why = if request.app_data::<Door>().is_none_or(|door| door.reads_only) {
        peer::READS_ONLY.to_owned()
    } else if !uid.is_some_and(|uid| uid == 0 || uid == owner) {
        format!("a backup holds passwords: only root and the user with the id {owner} may take one")
    } else {
        String::new()
    };
    if !why.is_empty() {
        peer::log_refusal(&request, &why);
        return Err(ApiError::new(403, why));
    }
    let Some(turn) = Turn::take(&context.backups) else {
        return Err(ApiError::new(409, "another backup is being taken: try again when it is done"));
    };
    info!(context.log, "a backup was asked for through the control socket"; "uid" => uid, "pid" => pid);
    let (chunks, mut received) = mpsc::channel::<Bytes>(CHUNKS);
    let (log, clock, results) = (context.log.clone(), context.clock.clone(), query.results);
    // The first chunk tells whether there is anything to be had: till then an error is an answer of its own.
    let (opened, open) = tokio::sync::oneshot::channel();
    let work = move || {
        behind_probes();
        let backups = &turn.0;
        let snapshot = backups.connector.connect().and_then(|store| Snapshot::take(store, &backups.state_db, LOCKED));
        let snapshot = match snapshot {
            Ok(snapshot) => snapshot,
            Err(e) => {
                // Nobody waits any more when the caller has gone.
                let _gone = opened.send(Err(e));
                return;
            }
        };
        let _gone = opened.send(Ok(()));
        let started = clock.now();
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build() else { return };
        let mut bytes = 0;
        let mut send = |chunk: Vec<u8>| {
            bytes += chunk.len() as u64;
            let sent = async { tokio::time::timeout(STALLED, chunks.send(chunk.into())).await };
            match runtime.block_on(sent) {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) => Err(StoreError::Lost("the caller has gone".into())),
                Err(_) => Err(StoreError::Lost(format!("the caller has taken nothing for {} s", STALLED.as_secs()))),
            }
        };
        match snapshot.write(results, clock.utc_now(), &mut send) {
            Ok(()) => info!(log, "the backup is done"; "bytes" => bytes,
                "took_ms" => u64::try_from(clock.now().since(started).as_millis()).unwrap_or(0)),
            Err(e) => {
                error!(log, "the backup was not finished"; "error" => #&e);
                let _gone = send(failed(&e.to_string()).into_bytes());
            }
        }
    };
    std::thread::Builder::new()
        .name("backup".into())
        .spawn(work)
        .map_err(|e| ApiError::new(503, format!("no thread could be started: {e}")))?;
    open.await.map_err(|_| ApiError::new(500, "the backup ended before it began: see the log"))??;
    let body = stream::poll_fn(move |cx| received.poll_recv(cx).map(|c| c.map(Ok::<_, actix_web::Error>)));
    Ok(HttpResponse::Ok().content_type(NDJSON).streaming(body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::databases::this_process;
    use crate::clock::Clock;
    use crate::store::{ConnectOptions, DatabaseUrl};

    #[test]
    fn one_backup_at_a_time() {
        let url = DatabaseUrl::parse("sqlite:///nonexistent/main.db").unwrap();
        let connector = Connector::new(url, ConnectOptions::default(), this_process(1), Clock::system());
        let backups = Backups::new(connector, PathBuf::from("/nonexistent/state.db"));
        let turn = Turn::take(&backups).unwrap();
        assert!(Turn::take(&backups).is_none());
        drop(turn);
        assert!(Turn::take(&backups).is_some());
    }
}
