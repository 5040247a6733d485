//! The end: what asks for it, and in which order everything stops.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use slog::{error, info, warn};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::daemon::Daemon;
use super::with_causes;
use crate::actors::control::{Reload, Served};
use crate::actors::databases::Query;
use crate::actors::notifier::StopNotifier;
use crate::actors::persistence::{Flush, IsSafe};
use crate::actors::supervisor::StopAll;
use crate::control::api::RunState;

impl Daemon {
    /// Runs until a signal or a command, then stops in order.
    pub(super) async fn until_stopped(mut self) -> ExitCode {
        loop {
            tokio::select! {
                _ = self.signals.terminate.recv() => break info!(self.log, "stopping on SIGTERM"),
                _ = self.signals.interrupt.recv() => break info!(self.log, "stopping on SIGINT"),
                () = self.stop.notified() => break info!(self.log, "stopping as asked through the control socket"),
                _ = self.signals.hangup.recv() => {
                    info!(self.log, "SIGHUP: settings and definitions are read anew, the log file is opened anew");
                    // It lives as long as this.
                    let _asked = self.reload.send(Reload { answer: None });
                }
                _ = self.signals.user1.recv() => {
                    info!(self.log, "SIGUSR1: the log file is opened anew");
                    if let Err(e) = self.guard.reopen() {
                        error!(self.log, "the log goes on to the old file"; "error" => with_causes(&e));
                    }
                }
            }
        }
        let grace = self.grace.get();
        self.run_state.set(RunState::Stopping);
        self.manager.stopping(grace);
        self.identities.stop();
        // What it would say from now on is no trouble, and must not come behind the last batch.
        self.monitor.abort();
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
        self.doors.iter().for_each(Served::stop);
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

/// What the system tells us.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user1: Signal,
}

impl Signals {
    /// From now on signals no longer end the process by themselves.
    pub(super) fn install() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
        })
    }
}
