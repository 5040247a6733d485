//! The running daemon: everything is made and comes together here.

use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;

use actix::prelude::*;
use actix_rt::ArbiterHandle;
use slog::{Logger, info};
use tokio::sync::{Notify, mpsc, watch};

use super::arbiters::{arbiter_count, install, make_local};
use super::manager::{Manager, keep_status};
use super::notifying::{self, Around};
use super::reload::{self, Grace, Reloader};
use super::startup::{self, Known, Opened};
use super::stop::Signals;
use super::watchdog;
use crate::actors::control::{
    About, Access, Backups, Context as ControlContext, Door, Reload, RunStateCell, Served, serve, serve_health,
};
use crate::actors::databases::{Connector, Database, LocalDatabase, LocalQuery};
use crate::actors::identity::{Identities, Sweeper};
use crate::actors::monitor::Monitor;
use crate::actors::notifier::NotifierActor;
use crate::actors::persistence::{Limits, Persistence};
use crate::actors::pruner::Pruner;
use crate::actors::supervisor::{Apply, Supervisor};
use crate::actors::watcher::{Watcher, tell_notifiers, validated};
use crate::board::Board;
use crate::clock::Clock;
use crate::config::Settings;
use crate::control::api::RunState;
use crate::logging::LogGuard;
use crate::model::ids::IdGenerator;
use crate::model::notifier::TypeCheck;
use crate::model::subject::SubjectId;
use crate::net::EgressSource;
use crate::notify::catalogue::Catalogue;

/// The sockets on which it is spoken to, each with the group whose members may.
pub(super) struct Doors {
    pub(super) all: (UnixListener, u32),
    pub(super) read_only: Option<(UnixListener, u32)>,
}

/// The running daemon.
pub(super) struct Daemon {
    pub(super) log: Logger,
    pub(super) guard: Arc<LogGuard>,
    pub(super) run_state: RunStateCell,
    pub(super) stop: Arc<Notify>,
    pub(super) supervisor: Addr<Supervisor>,
    pub(super) persistence: Addr<Persistence>,
    pub(super) reader: Addr<Database>,
    pub(super) connector: Arc<Connector>,
    pub(super) notifier: Addr<NotifierActor>,
    pub(super) identities: Arc<Identities>,
    pub(super) doors: Vec<Served>,
    pub(super) servers: Vec<actix_web::dev::ServerHandle>,
    pub(super) arbiters: Vec<Arbiter>,
    pub(super) signals: Signals,
    pub(super) manager: Manager,
    pub(super) reload: mpsc::UnboundedSender<Reload>,
    pub(super) grace: Grace,
    pub(super) monitor: actix_rt::task::JoinHandle<()>,
}

impl Daemon {
    #[expect(clippy::too_many_arguments, reason = "this is where everything comes together")]
    pub(super) async fn start(
        settings: &Settings,
        config: Option<PathBuf>,
        clock: Clock,
        log: Logger,
        guard: Arc<LogGuard>,
        opened: Opened,
        known: Known,
        doors: Doors,
        health: Option<std::net::TcpListener>,
        catalogue: Arc<Catalogue>,
    ) -> Result<Daemon, Box<dyn std::error::Error>> {
        let signals = Signals::install()?;
        let started = clock.now();
        let types: Arc<TypeCheck> = notifying::types(&catalogue);
        let transitions = Arc::new(Notify::new());
        let board = Arc::new(Board::new(settings.metrics.clone()));
        let Opened { connector, main, local } = opened;
        board.health.database.set(main.as_ref().map(|_| ()).map_err(ToString::to_string), clock.utc_now());
        let writer = Database::start_writing("db-writer", &connector, main.ok());
        let watching = Database::start("db-watcher", &connector, None);
        let reader = Database::start("db-reader", &connector, None);
        let local = LocalDatabase::start(local);
        let limits = Limits {
            flush_interval: settings.persistence.flush_interval,
            batch_size: settings.persistence.batch_size,
            queue_size: settings.persistence.queue_size,
            spool_bytes: settings.state.max_size,
        };
        let node = node_bits(known.flow.writer());
        let persistence = Persistence::new(
            limits,
            Arc::clone(&board),
            clock.clone(),
            log.clone(),
            writer,
            local.clone(),
            known.flow,
            known.guessed,
            Arc::clone(&transitions),
        )
        .start();
        let (egress, egress_source) = EgressSource::changing(settings.egress.clone());
        let arbiters: Vec<Arbiter> = (0..arbiter_count(settings.probe.arbiters)).map(|_| Arbiter::new()).collect();
        let handles: Vec<ArbiterHandle> = arbiters.iter().map(Arbiter::handle).collect();
        let supervisor = Supervisor::new(
            Arc::clone(&board),
            clock.clone(),
            log.clone(),
            handles.clone(),
            persistence.clone().recipient(),
            node,
        )
        .start();
        let mut states = known.states;
        let monitor_state = states.remove(&SubjectId::MONITOR).unwrap_or_default();
        let (of_credentials, states) = startup::split(states);
        let identities = Identities::new(
            Arc::clone(&board),
            clock.clone(),
            log.clone(),
            handles.clone(),
            persistence.clone().recipient(),
            settings.secrets.clone(),
            settings.openstack.login_timeout,
            of_credentials,
        );
        for (handle, number) in handles.iter().zip(1u16..) {
            let node = node.wrapping_add(number);
            let made = make_local(
                (settings, &egress_source),
                &clock,
                &board,
                &persistence,
                &supervisor,
                &identities,
                (&log, &guard),
                node,
            );
            install(handle, made).await?;
        }
        let total = known.changed.len();
        if known.from_main {
            board.health.definitions_read(clock.utc_now());
            let targets: Vec<_> = known.changed.iter().filter_map(|c| c.as_ref().ok().cloned()).collect();
            let wrong: Vec<i64> = known.changed.iter().filter_map(|c| c.as_ref().err()).map(|r| r.0.id).collect();
            // What it could not save it saves at the next change; its thread logs nothing, the watcher does.
            local.do_send(LocalQuery::new(move |db| {
                db.save_all_definitions(targets.iter().map(|t| t.definition()), &wrong)
            }));
        }
        let (notifiers, remembered) = known.notifiers;
        board.notifiers.replace(remembered, &*types);
        let told = tell_notifiers(&board, notifiers, &*types, &log);
        known.notifier_statuses.into_iter().for_each(|(id, status)| board.notifiers.set_status(id, status));
        if known.from_main {
            local.do_send(LocalQuery::new(move |db| db.save_notifiers(&told.good, &told.wrong)));
        }
        startup::put_credentials_in_force(&board, known.credentials, known.from_main, &local, &log);
        let mut changed = validated(&known.last_good);
        changed.extend(known.changed);
        supervisor.send(Apply { changed, removed: Vec::new(), states }).await?;
        Sweeper::new(Arc::clone(&identities)).start();
        let watcher = Watcher::new(
            Arc::clone(&board),
            clock.clone(),
            log.clone(),
            Arc::clone(&connector),
            watching,
            local.clone(),
            supervisor.clone(),
            known.rows,
            Arc::clone(&types),
        )
        .start();
        let pruning = Database::start_writing("db-pruner", &connector, None);
        let pruner = Pruner::new(reload::keep(settings), clock.clone(), log.clone(), pruning, local.clone()).start();
        let telling = Database::start("db-notifier", &connector, None);
        let around = Around {
            board: Arc::clone(&board),
            clock: clock.clone(),
            log: log.clone(),
            local: local.clone(),
            main: telling,
            supervisor: supervisor.clone(),
            transitions,
        };
        let rules = notifying::rules(settings, node);
        let monitor = Monitor {
            board: Arc::clone(&board),
            clock: clock.clone(),
            log: log.clone(),
            sink: persistence.clone().recipient(),
            // Behind those of the arbiters, so that no two makers of ids share a number.
            ids: IdGenerator::new(node.wrapping_add(u16::try_from(handles.len() + 1).unwrap_or(u16::MAX))),
            host: rules.host.clone(),
            rule: settings.monitor,
            young_limit: settings.probe.young_limit,
            state: monitor_state,
        };
        let monitor = actix_rt::spawn(monitor.run());
        let (rules, rules_in_force) = watch::channel(rules);
        let (notifying, notifier) =
            notifying::start(settings, Arc::clone(&catalogue), rules_in_force, egress_source, around);
        let (run_state, stop) = (RunStateCell::default(), Arc::new(Notify::new()));
        let (manager, grace) = (Manager::new(log.clone()), Grace::new(settings.shutdown.grace));
        let (reload, reloads) = mpsc::unbounded_channel();
        let (limits, limits_in_force) = watch::channel(settings.control.limits);
        let reloader = Reloader {
            file: config,
            settings: settings.clone(),
            guard: Arc::clone(&guard),
            log: log.clone(),
            board: Arc::clone(&board),
            clock: clock.clone(),
            manager: manager.clone(),
            watcher: watcher.clone(),
            pruner,
            rules,
            egress,
            identities: Arc::clone(&identities),
            grace: grace.clone(),
            limits,
        };
        actix_rt::spawn(reloader.run(reloads));
        let shown = Arc::clone(&board);
        let uid = rustix::process::geteuid().as_raw();
        let context = Arc::new(ControlContext {
            board,
            clock: clock.clone(),
            log: log.clone(),
            supervisor: supervisor.clone(),
            watcher: watcher.clone(),
            reader: reader.clone(),
            local: local.clone(),
            database: (
                if connector.url().is_sqlite() { "sqlite" } else { "mysql" }.into(),
                connector.url().to_string(),
            ),
            started,
            run_state: run_state.clone(),
            stop: Arc::clone(&stop),
            reload: reload.clone(),
            log_dropped: Arc::new(guard.lost_counter()),
            backups: Backups::new(Arc::clone(&connector), settings.state.dir.join("state.db")),
            uid,
            types,
            catalogue,
            notifier: notifier.clone(),
            identities: Arc::clone(&identities),
            about: About {
                settings_file: settings.file.as_ref().map(|f| std::path::absolute(f).unwrap_or_else(|_| f.clone())),
                state_db: settings.state.dir.join("state.db"),
                queue_size: settings.persistence.queue_size,
                spool_max_bytes: settings.state.max_size,
                young_limit: settings.probe.young_limit,
                threads: handles.len(),
            },
        });
        let mut servers = Vec::new();
        let mut doors_served = Vec::new();
        let (listener, gid) = doors.all;
        let all = Door { access: Access { uid, gid }, reads_only: false };
        doors_served.push(serve(listener, all, &limits_in_force, &context)?);
        if let Some((listener, gid)) = doors.read_only {
            let read_only = Door { access: Access { uid, gid }, reads_only: true };
            doors_served.push(serve(listener, read_only, &limits_in_force, &context)?);
        }
        if let Some(listener) = health {
            let health = serve_health(listener, &context)?;
            servers.push(health.handle());
            actix_rt::spawn(health);
        }
        run_state.set(RunState::Running);
        manager.ready();
        actix_rt::spawn(keep_status(manager.clone(), shown, clock.clone()));
        let threads = handles.clone();
        actix_rt::spawn(watchdog::feed(manager.clone(), threads, supervisor.clone(), clock.clone(), log.clone()));
        info!(log, "running"; "targets" => total, "arbiters" => handles.len(),
            "start_ms" => u64::try_from(clock.now().since(started).as_millis()).unwrap_or(0));
        Ok(Daemon {
            log,
            guard,
            run_state,
            stop,
            supervisor,
            persistence,
            reader,
            connector,
            notifier,
            identities,
            doors: doors_served,
            servers,
            arbiters: arbiters.into_iter().chain([notifying]).collect(),
            signals,
            manager,
            reload,
            grace,
            monitor,
        })
    }
}

/// The bits that tell this start's ids from those of others.
fn node_bits(writer: i64) -> u16 {
    u16::try_from(crate::model::ids::splitmix64(writer.cast_unsigned()) & 0x3ff).unwrap_or(0)
}
