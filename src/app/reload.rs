//! A reload: settings and definitions are read anew, the log file is opened anew.
//!
//! ```text
//!  SIGHUP ------------------.              settings: wrong --> refused in words, the old ones go on
//!  POST /v1/reload --asks--> one at a time           can change --> in force at once
//!                           |                        others differ --> named: they need a restart
//!                           '--> log file, definitions (watcher) --> answer
//! ```

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use actix::Addr;
use slog::{Logger, error, info, warn};
use tokio::sync::{mpsc, watch};

use super::manager::Manager;
use super::{notifying, with_causes};
use crate::actors::control::{Reload, ReloadAnswer, SettingsChange};
use crate::actors::identity::Identities;
use crate::actors::pruner::{Keep, Pruner, SetKeep};
use crate::actors::watcher::{Depth, LookNow, Watcher};
use crate::board::Board;
use crate::board::health::ReloadHealth;
use crate::clock::Clock;
use crate::config::{self, ControlLimits, Settings};
use crate::logging::LogGuard;
use crate::model::egress::EgressPolicy;
use crate::model::outbox::Rules;

/// The settings that change while the daemon runs; all others need a restart.
pub const LIVE: [&str; 17] = [
    "control.max_connections",
    "control.max_head",
    "control.max_body",
    "control.request_timeout",
    "log.level",
    "log.format",
    "log.file",
    "log.results",
    "egress.deny",
    "egress.allow",
    "egress.target_allow",
    "persistence.keep_results",
    "persistence.keep_notifications",
    "notify.flap_changes",
    "notify.flap_window",
    "notify.parent_wait",
    "shutdown.grace",
];

/// How long an ordered stop may take; clones share it.
#[derive(Debug, Clone)]
pub struct Grace(Arc<AtomicU64>);

impl Grace {
    /// A grace.
    #[must_use]
    pub fn new(grace: Duration) -> Grace {
        Grace(Arc::new(AtomicU64::new(millis(grace))))
    }

    /// As it is now.
    #[must_use]
    pub fn get(&self) -> Duration {
        Duration::from_millis(self.0.load(Relaxed))
    }
}

fn millis(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

/// How long things are kept, by the settings.
#[must_use]
pub fn keep(settings: &Settings) -> Keep {
    Keep {
        results: settings.persistence.keep_results,
        notifications: settings.persistence.keep_notifications,
        local: Keep::LOCAL,
    }
}

/// What a reload works with.
pub struct Reloader {
    /// What `--config` names.
    pub file: Option<PathBuf>,
    /// The settings in force.
    pub settings: Settings,
    /// The log.
    pub guard: Arc<LogGuard>,
    /// Where it is told.
    pub log: Logger,
    /// Where it is shown.
    pub board: Arc<Board>,
    /// Time.
    pub clock: Clock,
    /// The service manager.
    pub manager: Manager,
    /// Reads the definitions.
    pub watcher: Addr<Watcher>,
    /// Removes what is old.
    pub pruner: Addr<Pruner>,
    /// The notifier's rules.
    pub rules: watch::Sender<Rules>,
    /// The egress policy, where connections are made.
    pub egress: watch::Sender<Arc<EgressPolicy>>,
    /// Logins that the policy has kept from being tried.
    pub identities: Arc<Identities>,
    /// How long a stop may take.
    pub grace: Grace,
    /// What callers of the control sockets may take.
    pub limits: watch::Sender<ControlLimits>,
}

impl Reloader {
    /// Carries out what is asked for, one after the other, as long as somebody can ask.
    pub async fn run(mut self, mut asked: mpsc::UnboundedReceiver<Reload>) {
        while let Some(reload) = asked.recv().await {
            self.manager.reloading();
            let settings = self.reload_settings().await;
            let definitions = match self.watcher.send(LookNow(Depth::All)).await {
                Ok(looked) => looked,
                Err(_) => Err("the daemon stops".into()),
            };
            self.note(settings.as_ref(), definitions.as_ref().err());
            self.manager.ready();
            if let Some(answer) = reload.answer {
                // Nobody waits any more when the caller has gone.
                let _gone = answer.send(ReloadAnswer { settings, definitions });
            }
        }
    }

    fn note(&self, settings: Result<&SettingsChange, &Vec<String>>, definitions: Option<&String>) {
        let wrong = settings.err().into_iter().flatten().chain(definitions).cloned().collect::<Vec<_>>();
        let error = (!wrong.is_empty()).then(|| wrong.join("; "));
        let needs_restart = settings.map(|s| s.needs_restart.clone()).unwrap_or_default();
        let at = Some(self.clock.utc_now());
        *self.board.health.reload.lock().unwrap_or_else(PoisonError::into_inner) =
            ReloadHealth { at, error, needs_restart };
    }

    /// Reads the settings and puts in force what can be.
    async fn reload_settings(&mut self) -> Result<SettingsChange, Vec<String>> {
        let file = self.file.clone();
        // On a thread beside: the file's disk may be slow.
        let read = tokio::task::spawn_blocking(move || {
            config::load(file.as_deref(), &[], config::text_vars(std::env::vars_os()))
        });
        let new = match read.await {
            Ok(Ok(new)) => new,
            Ok(Err(e)) => return Err(self.refused(with_causes(&e))),
            Err(e) => return Err(self.refused(format!("the settings could not be read: {e}"))),
        };
        let differing = differing(&self.settings, &new);
        if let Err(e) = self.guard.change(&new.log) {
            return Err(self.refused(with_causes(&e)));
        }
        let (changed, needs_restart): (Vec<String>, Vec<String>) =
            differing.into_iter().map(str::to_owned).partition(|key| LIVE.contains(&key.as_str()));
        self.pruner.do_send(SetKeep(keep(&new)));
        self.rules.send_modify(|rules| notifying::set_rules(rules, &new.notify));
        self.limits.send_replace(new.control.limits);
        if new.egress != self.settings.egress {
            self.egress.send_replace(Arc::new(new.egress.clone()));
            self.identities.egress_changed();
        }
        self.grace.0.store(millis(new.shutdown.grace), Relaxed);
        adopt(&mut self.settings, new);
        if needs_restart.is_empty() {
            info!(self.log, "the settings were read anew"; "changed" => changed.join(", "));
        } else {
            warn!(self.log, "the settings were read anew; some that differ need a restart";
                "changed" => changed.join(", "), "need_a_restart" => needs_restart.join(", "));
        }
        Ok(SettingsChange { changed, needs_restart })
    }

    /// The sentences of what is wrong; the old settings go on, to a log file that is opened anew all the same.
    fn refused(&self, why: String) -> Vec<String> {
        error!(self.log, "the settings are wrong, the old ones go on"; "problems" => why.clone());
        if let Err(e) = self.guard.reopen() {
            error!(self.log, "the log goes on to the old file"; "error" => with_causes(&e));
        }
        why.lines().map(str::to_owned).collect()
    }
}

/// The keys that differ.
fn differing(old: &Settings, new: &Settings) -> Vec<&'static str> {
    let shown = old.shown().into_iter().zip(new.shown());
    shown
        .filter(|((key, old_value), (_, new_value))| {
            // A password is not shown, so it looks the same whatever it is.
            old_value != new_value || *key == "database.password" && old.database.password != new.database.password
        })
        .map(|((key, _), _)| key)
        .collect()
}

/// Takes over what is in force of `new`.
fn adopt(settings: &mut Settings, new: Settings) {
    settings.control.limits = new.control.limits;
    settings.log = new.log;
    settings.egress = new.egress;
    settings.persistence.keep_results = new.persistence.keep_results;
    settings.persistence.keep_notifications = new.persistence.keep_notifications;
    settings.notify.flap_changes = new.notify.flap_changes;
    settings.notify.flap_window = new.notify.flap_window;
    settings.notify.parent_wait = new.notify.parent_wait;
    settings.shutdown = new.shutdown;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f.toml");
        std::fs::write(&file, text).unwrap();
        Settings { file: None, ..config::load_as(true, Some(&file), &[], []).unwrap() }
    }

    #[test]
    fn what_differs_is_named_passwords_too() {
        let old = settings("[database]\nurl = 'mysql://a@h/d'\npassword = 'one'\n[log]\nlevel = 'debug'");
        let new = settings("[database]\nurl = 'mysql://a@h/d'\npassword = 'two'\n[probe]\narbiters = 3");
        assert_eq!(differing(&old, &new), ["database.password", "log.level", "probe.arbiters"]);
        assert!(differing(&old, &old.clone()).is_empty());
    }

    #[test]
    fn what_is_live_is_adopted_and_nothing_else() {
        let all = "[control]\nmax_connections = 9\nmax_head = '5KiB'\nmax_body = '1MiB'\nrequest_timeout = '2s'\n\
                   [log]\nlevel = 'error'\nformat = 'json'\nfile = '/l'\nresults = 'none'\n\
                   [egress]\ndeny = ['all']\nallow = ['loopback']\ntarget_allow = []\n\
                   [persistence]\nkeep_results = '1h'\nkeep_notifications = '2h'\n\
                   [notify]\nflap_changes = 1\nflap_window = '1m'\nparent_wait = '1m'\nhost = 'h'\n\
                   [shutdown]\ngrace = '1s'\n[probe]\narbiters = 3";
        let (mut old, new) = (settings(""), settings(all));
        let before = differing(&old, &new);
        let (live, others): (Vec<&str>, Vec<&str>) = before.iter().partition(|key| LIVE.contains(key));
        assert_eq!(live, LIVE, "each of them differs here");
        adopt(&mut old, new.clone());
        assert_eq!(differing(&old, &new), others, "they need a restart, at each reload anew");
        assert_eq!(others, ["probe.arbiters", "notify.host"]);
        assert!(LIVE.iter().all(|key| config::KEYS.contains(key)));
    }
}
