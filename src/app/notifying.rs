//! The notifier's wiring: its catalogue, its rules, its arbiter.

use std::sync::Arc;

use actix::prelude::*;
use slog::Logger;
use tokio::sync::{Notify, watch};

use crate::actors::databases::{Database, LocalDatabase};
use crate::actors::notifier::{NotifierActor, Parts};
use crate::actors::priority::behind_probes;
use crate::actors::supervisor::Supervisor;
use crate::board::Board;
use crate::clock::Clock;
use crate::config::{NotifySettings, Settings};
use crate::model::notifier::{Notifier, TypeCheck};
use crate::model::outbox::Rules;
use crate::net::{EgressSource, ResolverSettings, descriptors};
use crate::notify::catalogue::{Catalogue, FileProblem};
use crate::notify::channel::{self, Channels};

/// All types of notifiers, and what is wrong with files of the operator's own.
#[must_use]
pub fn catalogue(settings: &Settings) -> (Arc<Catalogue>, Vec<FileProblem>) {
    let (catalogue, problems) = Catalogue::load(settings.notify.providers.as_deref());
    (Arc::new(channel::with_mail(catalogue)), problems)
}

/// What the types of notifiers demand: everything that checks a notifier asks this.
#[must_use]
pub fn types(catalogue: &Arc<Catalogue>) -> Arc<TypeCheck> {
    let catalogue = Arc::clone(catalogue);
    Arc::new(move |notifier: &Notifier| channel::check(&catalogue, notifier))
}

/// What the notifier needs beside its settings.
pub struct Around {
    /// Read model.
    pub board: Arc<Board>,
    /// Time.
    pub clock: Clock,
    /// The log.
    pub log: Logger,
    /// state.db.
    pub local: Addr<LocalDatabase>,
    /// The main database.
    pub main: Addr<Database>,
    /// Probes parents.
    pub supervisor: Addr<Supervisor>,
    /// Rings when transitions are in state.db.
    pub transitions: Arc<Notify>,
}

/// The rules of the settings.
#[must_use]
pub fn rules(settings: &Settings, node: u16) -> Rules {
    let host = settings.notify.host.clone().unwrap_or_else(host_name);
    let mut rules = Rules { host, node, ..Rules::default() };
    set_rules(&mut rules, &settings.notify);
    rules
}

/// Takes over those that may change while the notifier runs.
pub fn set_rules(rules: &mut Rules, notify: &NotifySettings) {
    rules.flap_changes = notify.flap_changes;
    rules.flap_window = notify.flap_window;
    rules.parent_wait = notify.parent_wait;
}

/// Starts the notifier on its own arbiter.
#[must_use]
pub fn start(
    settings: &Settings,
    catalogue: Arc<Catalogue>,
    rules: watch::Receiver<Rules>,
    egress: EgressSource,
    around: Around,
) -> (Arbiter, Addr<NotifierActor>) {
    let resolver = ResolverSettings {
        name_servers: (!settings.probe.name_servers.is_empty()).then(|| settings.probe.name_servers.clone()),
        ..ResolverSettings::default()
    };
    let policy = Arc::new(settings.secrets.clone());
    let arbiter = Arbiter::new();
    arbiter.spawn_fn(behind_probes);
    // That descriptors have run out must be told.
    arbiter.spawn_fn(descriptors::open_reserve);
    let actor = NotifierActor::start_in_arbiter(&arbiter.handle(), move |_| {
        let Around { board, clock, log, local, main, supervisor, transitions } = around;
        let changes = egress.changes();
        let channels = Channels::new(catalogue, resolver, egress, policy, clock.clone());
        let supervisor = supervisor.recipient();
        NotifierActor::new(
            Parts { board, clock, log, local, main, supervisor, rules, egress: changes, transitions },
            channels,
        )
    });
    (arbiter, actor)
}

/// The machine's name, fit for a Message-ID.
fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let name: String = name.chars().filter(|c| fits(*c)).collect();
    if name.is_empty() { "localhost".to_owned() } else { name }
}
