//! Wiring: settings -> place -> what is known -> actors -> wait -> ordered stop.
//!
//! ```text
//!  start: log, place (folders, lock, socket), state.db, main database (may be away), definitions and states,
//!         arbiters, supervisor, persistence, watcher, control server           -> running
//!  stop:  target actors stop and hand over their records -> persistence writes all, to the main database or to
//!         state.db -> lease given back -> socket removed                         within [shutdown] grace
//! ```

mod check;
mod notifying;
pub mod place;
mod startup;
mod targets;

use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use actix_rt::ArbiterHandle;
use slog::{Logger, error, info, warn};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

use self::notifying::Around;
use self::startup::{Known, Opened};
use crate::actors::arbiter::Local;
use crate::actors::control::{Access, Context as ControlContext, RunStateCell, serve, serve_health};
use crate::actors::databases::{Database, LocalDatabase, LocalQuery, Query};
use crate::actors::notifier::{NotifierActor, StopNotifier};
use crate::actors::persistence::{Flush, IsSafe, Limits, Persistence};
use crate::actors::pruner::{Keep, Pruner};
use crate::actors::supervisor::{Apply, StopAll, Supervisor};
use crate::actors::watcher::{LookNow, Watcher, tell_notifiers, validated};
use crate::board::Board;
use crate::clock::Clock;
use crate::config::Settings;
use crate::control::api::RunState;
use crate::logging::{LogGuard, ResultLog};
use crate::model::ids::IdGenerator;
use crate::model::notifier::TypeCheck;
use crate::notify::catalogue::Catalogue;
use crate::probe::{HttpProber, ProbeSettings, Prober};

pub use check::check;

/// The exit code for wrong input: settings, files, a place that cannot be taken.
const EXIT_INPUT: u8 = 2;

/// Runs the daemon until it is told to stop.
#[must_use]
pub fn run(settings: &Settings, targets: Option<PathBuf>) -> ExitCode {
    let (log, guard) = match crate::logging::build(&settings.log) {
        Ok(built) => built,
        Err(e) => return refuse(&e),
    };
    crate::logging::bridge_libraries(&log);
    let guard = Arc::new(guard);
    match run_logged(settings, targets, &log, &guard) {
        Ok(code) => code,
        Err(e) => {
            error!(log, "skypunch cannot start"; "error" => with_causes(e.as_ref()));
            // The log may go to a file; who typed the command looks here.
            if settings.log.file.is_some() {
                refuse(e.as_ref());
            }
            ExitCode::from(EXIT_INPUT)
        }
    }
}

/// Says on standard error why the program does not run.
fn refuse(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("skypunch: {}", with_causes(error));
    ExitCode::from(EXIT_INPUT)
}

/// An error and its causes, each once.
#[must_use]
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(c) = cause {
        text.push_str(": ");
        text.push_str(&c.to_string());
        cause = c.source();
    }
    text
}

fn run_logged(
    settings: &Settings,
    targets: Option<PathBuf>,
    log: &Logger,
    guard: &Arc<LogGuard>,
) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let clock = Clock::system();
    let descriptors = place::raise_descriptor_limit();
    let lock = place::lock_state(&settings.state.dir)?;
    let (listener, socket) = place::bind_socket(&settings.control.socket)?;
    let health = settings.http.listen.map(place::bind_health).transpose()?;
    let mut opened = startup::open(settings, &clock, log)?;
    let (catalogue, problems) = notifying::catalogue(settings);
    for problem in &problems {
        error!(log, "a provider of notifiers cannot be used; the others go on"; "problem" => %problem);
    }
    if let Some(file) = targets {
        targets::apply_at_start(
            &file,
            &settings.state.dir,
            opened.main.as_mut().ok(),
            clock.utc_now(),
            &*notifying::types(&catalogue),
            log,
        )?;
    }
    let known = startup::known(&mut opened, &clock, log)?;
    info!(log, "starting"; "version" => env!("CARGO_PKG_VERSION"), "pid" => std::process::id(),
        "database" => opened.connector.url().to_string(), "socket" => settings.control.socket.display().to_string(),
        "targets" => known.changed.len(), "descriptors" => descriptors);
    let system = System::new();
    let code = system.block_on(async {
        let daemon = Daemon::start(
            settings,
            clock,
            log.clone(),
            Arc::clone(guard),
            opened,
            known,
            listener,
            health,
            socket.gid,
            catalogue,
        )
        .await?;
        Ok::<_, Box<dyn std::error::Error>>(daemon.until_stopped(settings.shutdown.grace).await)
    })?;
    drop(socket);
    drop(lock);
    Ok(code)
}

/// The running daemon.
struct Daemon {
    log: Logger,
    guard: Arc<LogGuard>,
    run_state: RunStateCell,
    stop: Arc<Notify>,
    supervisor: Addr<Supervisor>,
    persistence: Addr<Persistence>,
    watcher: Addr<Watcher>,
    reader: Addr<Database>,
    connector: Arc<crate::actors::databases::Connector>,
    notifier: Addr<NotifierActor>,
    servers: Vec<actix_web::dev::ServerHandle>,
    arbiters: Vec<Arbiter>,
    signals: Signals,
}

impl Daemon {
    #[expect(clippy::too_many_arguments, reason = "this is where everything comes together")]
    async fn start(
        settings: &Settings,
        clock: Clock,
        log: Logger,
        guard: Arc<LogGuard>,
        opened: Opened,
        known: Known,
        listener: std::os::unix::net::UnixListener,
        health: Option<std::net::TcpListener>,
        socket_gid: u32,
        catalogue: Arc<Catalogue>,
    ) -> Result<Daemon, Box<dyn std::error::Error>> {
        let signals = Signals::install()?;
        let started = clock.now();
        let types: Arc<TypeCheck> = notifying::types(&catalogue);
        let transitions = Arc::new(Notify::new());
        let board = Arc::new(Board::default());
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
        for (handle, number) in handles.iter().zip(1u16..) {
            let made = make_local(settings, &clock, &board, &persistence, &supervisor, &log, node.wrapping_add(number));
            install(handle, made).await?;
        }
        let total = known.changed.len();
        if known.from_main {
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
        let mut changed = validated(&known.last_good);
        changed.extend(known.changed);
        let states = known.states;
        supervisor.send(Apply { changed, removed: Vec::new(), states }).await?;
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
        let keep = Keep {
            results: settings.persistence.keep_results,
            notifications: settings.persistence.keep_notifications,
            local: Keep::LOCAL,
        };
        let pruning = Database::start_writing("db-pruner", &connector, None);
        Pruner::new(keep, clock.clone(), log.clone(), pruning, local.clone()).start();
        let telling = Database::start("db-notifier", &connector, None);
        let around = Around {
            board: Arc::clone(&board),
            clock: clock.clone(),
            log: log.clone(),
            local: local.clone(),
            main: telling,
            supervisor: supervisor.clone(),
            transitions,
            node,
        };
        let (notifying, notifier) = notifying::start(settings, Arc::clone(&catalogue), around);
        let (run_state, stop) = (RunStateCell::default(), Arc::new(Notify::new()));
        let context = Arc::new(ControlContext {
            board,
            clock: clock.clone(),
            log: log.clone(),
            supervisor: supervisor.clone(),
            watcher: watcher.clone(),
            reader: reader.clone(),
            database: (
                if connector.url().is_sqlite() { "sqlite" } else { "mysql" }.into(),
                connector.url().to_string(),
            ),
            started,
            run_state: run_state.clone(),
            stop: Arc::clone(&stop),
            log_dropped: Arc::new(guard.lost_counter()),
            access: Access { uid: rustix::process::geteuid().as_raw(), gid: socket_gid },
            types,
            catalogue,
            notifier: notifier.clone(),
        });
        let mut servers = Vec::new();
        let control = serve(listener, &context)?;
        servers.push(control.handle());
        actix_rt::spawn(control);
        if let Some(listener) = health {
            let health = serve_health(listener, &run_state)?;
            servers.push(health.handle());
            actix_rt::spawn(health);
        }
        run_state.set(RunState::Running);
        info!(log, "running"; "targets" => total, "arbiters" => handles.len(),
            "start_ms" => u64::try_from(clock.now().since(started).as_millis()).unwrap_or(0));
        Ok(Daemon {
            log,
            guard,
            run_state,
            stop,
            supervisor,
            persistence,
            watcher,
            reader,
            connector,
            notifier,
            servers,
            arbiters: arbiters.into_iter().chain([notifying]).collect(),
            signals,
        })
    }

    /// Runs until a signal or a command, then stops in order.
    async fn until_stopped(mut self, grace: Duration) -> ExitCode {
        loop {
            tokio::select! {
                _ = self.signals.terminate.recv() => break info!(self.log, "stopping on SIGTERM"),
                _ = self.signals.interrupt.recv() => break info!(self.log, "stopping on SIGINT"),
                () = self.stop.notified() => break info!(self.log, "stopping as asked through the control socket"),
                _ = self.signals.hangup.recv() => {
                    info!(self.log, "SIGHUP: the definitions are read anew, the log file is opened anew");
                    if let Err(e) = self.guard.reopen() {
                        error!(self.log, "the log goes on to the old file"; "error" => with_causes(&e));
                    }
                    self.watcher.do_send(LookNow);
                }
            }
        }
        self.run_state.set(RunState::Stopping);
        let (supervisor, persistence) = (self.supervisor.clone(), self.persistence.clone());
        let (reader, connector, notifier) = (self.reader.clone(), Arc::clone(&self.connector), self.notifier.clone());
        let orderly = async move {
            // An error means that the actor is gone, and with it what could be waited for.
            let _stopped = supervisor.send(StopAll).await;
            let _flushed = persistence.send(Flush).await;
            let _told = notifier.send(StopNotifier).await;
            let _released = reader.send(Query::new(move |store| connector.release(store))).await;
        };
        let in_time = tokio::select! {
            () = orderly => true,
            () = tokio::time::sleep(grace) => false,
            _ = self.signals.terminate.recv() => false,
            _ = self.signals.interrupt.recv() => false,
        };
        let safe = tokio::time::timeout(Duration::from_millis(500), self.persistence.send(IsSafe)).await;
        for server in &self.servers {
            // Bounded: streams that nobody ends are cut.
            let _cut = tokio::time::timeout(Duration::from_secs(1), server.stop(false)).await;
        }
        for arbiter in &self.arbiters {
            arbiter.stop();
        }
        if in_time {
            info!(self.log, "stopped");
            ExitCode::SUCCESS
        } else if matches!(safe, Ok(Ok(true))) {
            info!(self.log, "stopped; what the database has not taken yet is kept in state.db");
            ExitCode::SUCCESS
        } else {
            warn!(self.log, "stopped before everything was written: the grace is over or a second signal came";
                "grace_ms" => u64::try_from(grace.as_millis()).unwrap_or(u64::MAX));
            ExitCode::FAILURE
        }
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn install() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

/// One arbiter keeps up with 15,000 plain probes a second, and a second one costs a tenth more for each probe; more
/// cores are used where there are many.
fn arbiter_count(setting: usize) -> usize {
    match setting {
        0 => std::thread::available_parallelism().map_or(1, |n| (n.get() / 2).clamp(1, 8)),
        n => n,
    }
}

/// The bits that tell this start's ids from those of others.
fn node_bits(writer: i64) -> u16 {
    u16::try_from(crate::model::ids::splitmix64(writer.cast_unsigned()) & 0x3ff).unwrap_or(0)
}

type MakeLocal = Box<dyn FnOnce() -> Result<Rc<Local>, String> + Send>;

fn make_local(
    settings: &Settings,
    clock: &Clock,
    board: &Arc<Board>,
    persistence: &Addr<Persistence>,
    supervisor: &Addr<Supervisor>,
    log: &Logger,
    node: u16,
) -> MakeLocal {
    let probe = ProbeSettings {
        user_agent: settings.probe.user_agent.clone(),
        body_cap: settings.probe.body_cap,
        name_servers: (!settings.probe.name_servers.is_empty()).then(|| settings.probe.name_servers.clone()),
        young_limit: settings.probe.young_limit,
        ..ProbeSettings::default()
    };
    let (secrets, clock, board) = (settings.secrets.clone(), clock.clone(), Arc::clone(board));
    let (sink, died) = (persistence.clone().recipient(), supervisor.clone().recipient());
    let results = ResultLog::new(log.clone(), settings.log.results);
    Box::new(move || {
        let prober = HttpProber::new(probe, secrets, clock.clone()).map_err(|e| with_causes(&e))?;
        Ok(Local::new(Prober::Http(Rc::new(prober)), clock, board, sink, results, died, node))
    })
}

/// Makes a [`Local`] on an arbiter.
async fn install(arbiter: &ArbiterHandle, make: MakeLocal) -> Result<(), String> {
    let (done, installed) = tokio::sync::oneshot::channel();
    arbiter.spawn_fn(move || {
        // Nobody waits any more when the start has failed elsewhere.
        let _gone = done.send(make().map(Local::install));
    });
    installed.await.unwrap_or_else(|_| Err("an arbiter could not be started".into()))
}

/// A fresh writer's id: time-ordered, so that a later start compares greater.
fn fresh_writer(clock: &Clock) -> i64 {
    let mut random = [0u8; 2];
    // Without randomness the time alone still tells two starts apart.
    let _random = getrandom::fill(&mut random);
    IdGenerator::new(u16::from_ne_bytes(random)).next(clock.utc_now().0)
}
