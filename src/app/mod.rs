//! Wiring: settings -> place -> what is known -> actors -> wait -> ordered stop.
//!
//! ```text
//!  start: log, place (folders, lock, socket), state.db, main database (may be away), definitions and states,
//!         arbiters, supervisor, persistence, watcher, control server           -> running
//!  stop:  target actors stop and hand over their records -> persistence writes all, to the main database or to
//!         state.db -> lease given back -> socket removed                         within [shutdown] grace
//! ```
//!
//! `startup` finds what is known (`merged`: of three sources the newest), `daemon` makes the actors, `arbiters` the threads for probes, `notifying` the notifier;
//! `stop` ends them. `panics` says where one was. `reload` reads settings and definitions anew; `manager` and `watchdog` speak to systemd. `check`,
//! `restore` and `legacy` (which brings the database of skypunch 0.3.0 over) are commands of their own, for when no daemon runs.

mod arbiters;
mod check;
mod daemon;
mod legacy;
mod manager;
mod merged;
mod notifying;
mod panics;
pub mod place;
mod reload;
mod restore;
mod socket;
mod startup;
mod stop;
mod targets;
mod watchdog;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use actix::prelude::*;
use slog::{Logger, error, info};

use self::daemon::{Daemon, Doors};
use crate::clock::Clock;
use crate::config::Settings;
use crate::logging::LogGuard;
use crate::model::ids::IdGenerator;

pub use crate::model::text::{escape_lines, with_causes};
pub use check::check;
pub use legacy::{LegacyWish, import_legacy};
pub use restore::{Wish, restore};

/// The exit code for wrong input: settings, files, a place that cannot be taken.
const EXIT_INPUT: u8 = 2;

/// Runs the daemon until it is told to stop. `config` is the settings file that was named, to be read anew when asked.
#[must_use]
pub fn run(settings: &Settings, config: Option<PathBuf>, targets: Option<PathBuf>) -> ExitCode {
    let (log, guard) = match crate::logging::build(&settings.log) {
        Ok(built) => built,
        Err(e) => return refuse(&e),
    };
    crate::logging::bridge_libraries(&log);
    panics::tell(log.clone());
    let guard = Arc::new(guard);
    match run_logged(settings, config, targets, &log, &guard) {
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
    eprintln!("skypunch: {}", escape_lines(&with_causes(error)));
    ExitCode::from(EXIT_INPUT)
}

fn run_logged(
    settings: &Settings,
    config: Option<PathBuf>,
    targets: Option<PathBuf>,
    log: &Logger,
    guard: &Arc<LogGuard>,
) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let clock = Clock::system();
    crate::net::tls_authorities::allow_authorities_in(settings.secrets.folders.clone());
    let descriptors = place::raise_descriptor_limit();
    let lock = place::lock_state(&settings.state.dir)?;
    let control = &settings.control;
    let group = control.group.as_ref().map(|g| ("control.group", g));
    let (listener, control_socket) = socket::bind_socket(&control.socket, "control.socket", group)?;
    let read = control.read.as_ref().map(|read| {
        let group = Some(("control.read_group", &read.group));
        socket::bind_socket(&read.socket, "control.read_socket", group)
    });
    let (read_listener, read_socket) = read.transpose()?.unzip();
    let doors = Doors {
        all: (listener, control_socket.gid),
        read_only: read_listener.zip(read_socket.as_ref().map(|s| s.gid)),
    };
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
            config,
            clock,
            log.clone(),
            Arc::clone(guard),
            opened,
            known,
            doors,
            health,
            catalogue,
        )
        .await?;
        lock.keep();
        Ok::<_, Box<dyn std::error::Error>>(daemon.until_stopped().await)
    })?;
    drop((control_socket, read_socket));
    drop(lock);
    Ok(code)
}

/// A fresh writer's id: time-ordered, so that a later start compares greater.
fn fresh_writer(clock: &Clock) -> i64 {
    let mut random = [0u8; 2];
    // Without randomness the time alone still tells two starts apart.
    let _random = getrandom::fill(&mut random);
    IdGenerator::new(u16::from_ne_bytes(random)).next(clock.utc_now().0)
}
