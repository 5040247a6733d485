//! Watches over the monitor itself: once a second the rule of [`crate::model::monitor`] looks at what was counted.
//!
//! ```text
//!  board: verdicts, due times that were slept over or crowded out --Watch--> judged --account_monitor--> persistence (incident) --> notifier
//!                                                                        '---> board (status), log
//! ```

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use actix::prelude::*;
use slog::{Logger, error, info};

use super::arbiter::Records;
use crate::board::Board;
use crate::board::health::Trouble;
use crate::clock::Clock;
use crate::model::ids::IdGenerator;
use crate::model::monitor::{MonitorRule, Totals, Watch, account_monitor};
use crate::model::outcome::Outcome;
use crate::model::reason::Reason;
use crate::model::record::IncidentChange;
use crate::model::state::TargetState;
use crate::net::descriptors;

/// How often it looks.
const EVERY: Duration = Duration::from_secs(1);

/// What it works with.
pub struct Monitor {
    /// What was counted, and where it is shown.
    pub board: Arc<Board>,
    /// Time.
    pub clock: Clock,
    /// The log.
    pub log: Logger,
    /// Where its record goes.
    pub sink: Recipient<Records>,
    /// Makes the ids of its incidents.
    pub ids: IdGenerator,
    /// The name of this machine.
    pub host: String,
    /// From when on it is told.
    pub rule: MonitorRule,
    /// So many young probes may run at once on each thread.
    pub young_limit: usize,
    /// Where it stood when the daemon stopped.
    pub state: TargetState,
}

impl Monitor {
    /// Looks as long as the daemon runs.
    pub async fn run(mut self) {
        if let Some(open) = self.state.incident {
            let reason = self.state.reason.unwrap_or(Reason::Internal);
            let why = self.state.status_description.to_string();
            self.show(Some(Trouble { incident_id: open.id, since: open.started_at, reason, why }));
        }
        let mut watch = Watch::new(self.rule, self.young_limit, self.clock.now());
        loop {
            actix_rt::time::sleep(EVERY).await;
            descriptors::look_at_limit();
            let (totals, example) = self.totals();
            if let Some(judged) = watch.look(self.clock.now(), totals, example.as_deref()) {
                self.board.metrics.forget_example();
                self.take(&judged);
            }
        }
    }

    fn totals(&self) -> (Totals, Option<String>) {
        let (mut totals, example) = self.board.metrics.of_ours();
        totals.overslept = self.board.statistics.overslept.load(Relaxed);
        totals.crowded = self.board.statistics.crowded.load(Relaxed);
        (totals, example)
    }

    fn take(&mut self, judged: &Outcome) {
        let at = self.clock.utc_now();
        let state = std::mem::take(&mut self.state);
        let (state, recorded) = account_monitor(state, &self.host, judged, at, self.ids.next(at.0));
        self.state = state;
        let Some(recorded) = recorded else { return };
        match &recorded.incident {
            Some(IncidentChange::Opened(incident)) => {
                error!(self.log, "the monitor itself is in trouble: targets are UNKNOWN, and nobody is told that they fail";
                    "reason" => incident.reason.as_str(), "why" => incident.description.clone(), "incident" => incident.id);
                self.show(Some(Trouble {
                    incident_id: incident.id,
                    since: incident.started_at,
                    reason: incident.reason,
                    why: incident.description.clone(),
                }));
            }
            _ => {
                info!(self.log, "the monitor itself is well again");
                self.show(None);
            }
        }
        self.sink.do_send(Records(vec![recorded]));
    }

    fn show(&self, trouble: Option<Trouble>) {
        *self.board.health.trouble.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = trouble;
    }
}
