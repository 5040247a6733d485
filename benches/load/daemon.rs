//! The real daemon, as a process of its own with a folder and a database of its own.

use std::path::PathBuf;
use std::time::Duration;

use skypunch::clock::Clock;
use skypunch::control::api::{RunState, Status, TargetFilter, TargetRef};
use skypunch::control::client::{Client, ClientError};
use skypunch::model::target::TargetId;
use skypunch::model::time::Mono;

use crate::database::Database;
use crate::roles::Role;
use crate::{Options, Outcome};

/// A place for a daemon that is not started yet.
pub struct Place {
    folder: tempfile::TempDir,
    /// Its database, to be filled before the start.
    pub database: Database,
    settings: String,
    processor: Option<usize>,
}

impl Place {
    /// An empty folder and an empty database.
    pub fn new(options: &Options) -> Outcome<Place> {
        let folder = tempfile::Builder::new().prefix("skypunch-bench-").tempdir()?;
        let database = Database::create(folder.path(), options.mysql.as_deref())?;
        Ok(Place { folder, database, settings: options.settings.clone().unwrap_or_default(), processor: None })
    }

    /// Adds lines to the daemon's settings file, before those of the command line.
    pub fn add_settings(&mut self, lines: &str) {
        self.settings.insert_str(0, lines);
    }

    /// The daemon runs on this processor alone.
    pub fn pin(&mut self, processor: usize) {
        self.processor = Some(processor);
    }

    /// Starts the daemon.
    pub fn start(self, options: &Options, clock: &Clock) -> Outcome<Daemon> {
        let folder = self.folder.path();
        let config = folder.join("skypunch.toml");
        let socket = folder.join("s");
        let toml = format!(
            "[database]\nurl = {:?}\n[control]\nsocket = {socket:?}\n[state]\ndir = {:?}\n[log]\nresults = \"changes\"\n{}",
            self.database.url,
            folder.join("state"),
            self.settings
        );
        std::fs::write(&config, toml)?;
        let program = env!("CARGO_BIN_EXE_skypunch");
        let pinned = self.processor.map_or(Vec::new(), |n| vec!["taskset".into(), "-c".into(), n.to_string()]);
        let args: Vec<String> = [folder.display().to_string()]
            .into_iter()
            .chain(pinned)
            .chain([program.into(), "run".into(), "--config".into(), config.display().to_string()])
            .collect();
        let started = clock.now();
        let mut guard = Role::start("guard", &args, options.nice)?;
        let pid = guard.line()?.parse()?;
        let (system, client) = (actix_rt::System::new(), Client::new(&socket));
        Ok(Daemon {
            pid,
            started,
            socket,
            system,
            client,
            database: self.database,
            clock: clock.clone(),
            guard,
            folder: self.folder,
        })
    }
}

/// A running daemon; dropping it ends it.
pub struct Daemon {
    /// Its process id.
    pub pid: u32,
    /// When it was started.
    pub started: Mono,
    /// Its control socket.
    pub socket: PathBuf,
    /// Its database.
    pub database: Database,
    system: actix_rt::SystemRunner,
    client: Client,
    clock: Clock,
    guard: Role,
    folder: tempfile::TempDir,
}

impl Daemon {
    /// `GET /v1/status`.
    pub fn status(&self) -> Outcome<Status> {
        Ok(self.system.block_on(self.client.status())?)
    }

    /// Looks again and again until `enough`; the time since the start. Fails after `limit`.
    pub fn until(&self, what: &str, limit: Duration, enough: impl Fn(&Status) -> bool) -> Outcome<Duration> {
        loop {
            let asked = self.clock.now();
            match self.system.block_on(self.client.status()) {
                Ok(status) if enough(&status) => return Ok(self.clock.now().since(self.started)),
                // A million targets are read for longer than a client waits.
                Ok(_) | Err(ClientError::NotReachable { .. } | ClientError::TimedOut(_)) => {}
                Err(e) => return Err(e.into()),
            }
            if self.clock.now().since(self.started) > limit {
                let log = std::fs::read_to_string(self.folder.path().join("daemon.log")).unwrap_or_default();
                return Err(format!("{what} took longer than {limit:?}; the daemon says:\n{log}").into());
            }
            // A look counts all targets: what is measured is not to be the looking.
            let looked = self.clock.now().since(asked);
            std::thread::sleep((20 * looked).clamp(Duration::from_millis(5), Duration::from_millis(50)));
        }
    }

    /// Until it probes; the time since the start.
    pub fn until_running(&self, targets: usize) -> Outcome<Duration> {
        let all = targets as u64;
        self.until("the start", Duration::from_secs(120), |s| s.state == RunState::Running && s.targets.enabled == all)
    }

    /// Until every target has been probed; the time since the start.
    pub fn until_probed(&self) -> Outcome<Duration> {
        self.until("probing all once", Duration::from_secs(180), |s| s.targets.new == 0)
    }

    /// Until the actors that were made before are at work: the first step of a test stands behind them in line.
    pub fn until_actors_run(&self, target: i64) -> Outcome<Duration> {
        self.system.block_on(async {
            let mut lines = self.client.test(&TargetRef::Id(TargetId(target))).await?;
            while let Some(line) = lines.next().await {
                if matches!(line?, skypunch::control::api::TestLine::Step(_)) {
                    break;
                }
            }
            Ok::<_, ClientError>(())
        })?;
        Ok(self.clock.now().since(self.started))
    }

    /// `GET /v1/targets`: how many there are, and how long it took.
    pub fn list(&self) -> Outcome<(usize, Duration)> {
        let before = self.clock.now();
        let targets = self.system.block_on(self.client.targets(&TargetFilter::default()))?;
        Ok((targets.len(), self.clock.now().since(before)))
    }

    /// Stops it in order; (rows in `results`, outcomes counted) afterwards.
    pub fn stop(mut self) -> Outcome<(i64, i64)> {
        let code = self.guard.ask("stop")?;
        if code != "0" {
            let log = std::fs::read_to_string(self.folder.path().join("daemon.log")).unwrap_or_default();
            return Err(format!("the daemon ended with {code}:\n{log}").into());
        }
        self.database.totals()
    }
}
