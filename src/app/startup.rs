//! What is known when the daemon starts: from the main database if it is there, else from state.db.
//!
//! ```text
//!   main database: definitions, statuses, marks (last batch of each writer)
//!   state.db:      definitions, statuses as of the last transition, open incidents, spool
//!   states = statuses of main, overtaken by newer ones of state.db; counters = main + spooled batches above the mark
//! ```

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use slog::{Logger, info, warn};

use super::place::{self, PlaceError};
use super::{fresh_writer, with_causes};
use crate::actors::databases::{Connector, LEASE, this_process};
use crate::actors::supervisor::Changed;
use crate::actors::watcher::{self, validated};
use crate::clock::Clock;
use crate::config::{DatabaseUrl as UrlSetting, Settings, TlsMode};
use crate::model::definition::Definition;
use crate::model::flow::Flow;
use crate::model::incident::{End, Incident};
use crate::model::notifier::{NotifierDefinition, NotifierId, NotifierStatus};
use crate::model::record::{Batch, IncidentChange, IncidentEnd, StatusRecord};
use crate::model::state::{Counters, TargetState};
use crate::model::target::TargetId;
use crate::model::time::UtcMs;
use crate::store::{ConnectOptions, DatabaseUrl, StateDb, Store, StoreError, StoredStatus, Tls};

/// The databases, as far as they could be opened.
pub struct Opened {
    /// Makes further connections.
    pub connector: Arc<Connector>,
    /// The first connection, or why the database is away.
    pub main: Result<Store, StoreError>,
    /// state.db.
    pub local: StateDb,
}

/// Opens state.db and tries the main database.
///
/// # Errors
/// state.db cannot be used, or the main database needs a person.
pub fn open(settings: &Settings, clock: &Clock, log: &Logger) -> Result<Opened, Box<dyn std::error::Error>> {
    let local = StateDb::open(&settings.state.dir.join("state.db"), settings.state.max_size)?;
    let url = database_url(settings)?;
    if let UrlSetting::Sqlite(path) = &settings.database.url
        && let Some(dir) = path.parent().filter(|d| !d.as_os_str().is_empty())
    {
        place::make_folder(dir, "database.url")?;
    }
    let tls = match settings.database.tls {
        TlsMode::Off => Tls::Off,
        TlsMode::Encrypt => Tls::Encrypt,
        TlsMode::Verify => Tls::Verify { ca: settings.database.tls_ca.clone() },
    };
    let options = ConnectOptions { tls, timeout: settings.database.timeout };
    let holder = this_process(fresh_writer(clock));
    let connector = Connector::new(url, options, holder, clock.clone());
    let mut main = connector.connect();
    if let Err(StoreError::Held { host, until, .. }) = &main
        && *host != this_process(0).host
    {
        // The holder is on another machine: dead or alive shows when its lease ends.
        let wait = Duration::from_millis((until.0 - clock.utc_now().0).max(0).unsigned_abs()).min(LEASE);
        warn!(log, "waiting for the lease of another host's daemon to end"; "host" => host,
            "wait_ms" => u64::try_from(wait.as_millis()).unwrap_or(0));
        std::thread::sleep(wait + Duration::from_millis(100));
        main = connector.connect();
    }
    match &main {
        Err(e) if !e.is_away() => return Err(Box::new(e.clone())),
        Err(e) => warn!(log, "the database is away: starting from what was last known"; "error" => with_causes(e)),
        Ok(store) => info!(log, "database connected"; "version" => store.server_version().to_owned()),
    }
    Ok(Opened { connector, main, local })
}

/// The database's URL with its password.
///
/// # Errors
/// The URL is wrong, or the password's reference does not resolve.
pub fn database_url(settings: &Settings) -> Result<DatabaseUrl, Box<dyn std::error::Error>> {
    let url = DatabaseUrl::parse(&match &settings.database.url {
        UrlSetting::Sqlite(path) => format!("sqlite://{}", path.display()),
        UrlSetting::Mysql(url) => url.to_string(),
    })?;
    Ok(match &settings.database.password {
        Some(password) => url.with_password(settings.secrets.resolve(password)?),
        None => url,
    })
}

/// What is known of targets.
pub struct Known {
    /// The targets to start with, and the rows that are wrong.
    pub changed: Vec<Changed>,
    /// The last good forms of those that are wrong.
    pub last_good: Vec<Definition>,
    /// Hashes of the rows, for the watcher.
    pub rows: watcher::Known,
    /// They come from the main database.
    pub from_main: bool,
    /// Where the targets stand.
    pub states: HashMap<TargetId, TargetState>,
    /// The flow of this start's batches.
    pub flow: Flow,
    /// The rows of notifiers, and what state.db remembers of them: the last good forms of those that are wrong.
    pub notifiers: (Vec<NotifierDefinition>, Vec<NotifierDefinition>),
    /// How notifiers are doing.
    pub notifier_statuses: HashMap<NotifierId, NotifierStatus>,
    /// The counters of `states`, where they could not be read from the main database.
    pub guessed: Option<HashMap<TargetId, Counters>>,
}

/// Reads all that is known.
///
/// # Errors
/// state.db cannot be read.
pub fn known(opened: &mut Opened, clock: &Clock, log: &Logger) -> Result<Known, Box<dyn std::error::Error>> {
    let local = opened.local.load_statuses()?;
    let read = match &mut opened.main {
        Ok(store) => match read_main(store, clock) {
            Ok(read) => Some(read),
            Err(e) if e.is_away() => {
                warn!(log, "the database went away: starting from what was last known"; "error" => with_causes(&e));
                opened.main = Err(e);
                None
            }
            Err(e) => return Err(Box::new(e)),
        },
        Err(_) => None,
    };
    let from_main = read.is_some();
    let remembered = opened.local.load_notifiers()?;
    let mut notifier_statuses = opened.local.notifier_statuses()?;
    let (rows, changed, notifiers, main) = match read {
        Some(main) => {
            // state.db counts; what it does not know was counted by one that is lost.
            for (id, status) in main.notifier_statuses {
                notifier_statuses.entry(id).or_insert(status);
            }
            (main.rows, main.changed, main.notifiers, Some((main.merged, main.marks)))
        }
        None => {
            let mut rows = watcher::Known::default();
            let definitions = opened.local.load_definitions()?;
            definitions.iter().for_each(|d| rows.note(d));
            (rows, validated(&definitions), remembered.clone(), None)
        }
    };
    let merged = match main {
        Some((mut merged, marks)) => {
            local.into_iter().for_each(|s| merged.overtake(s));
            opened.local.spool_each(|batch| {
                if batch.number > marks.get(&batch.writer).copied().unwrap_or(0) {
                    merged.take_in(batch);
                }
            })?;
            merged
        }
        // What state.db knows, its spool included, is all that is known; its counters are set right later.
        None => Merged::local_only(local),
    };
    let spooled = opened.local.spool_len().batches;
    let mut flow = Flow::new(fresh_writer(clock), spooled > 0 || !from_main);
    let behind = merged.behind_since().filter(|_| from_main);
    let incidents = behind.map(|since| opened.local.incidents_since(since)).transpose()?.unwrap_or_default();
    if behind.is_some()
        && let Some(batch) = merged.recovered(flow.writer(), flow.next_number(), &incidents, clock.utc_now())
    {
        info!(log, "transitions that the database had not taken yet are written again"; "targets" => batch.statuses.len());
        flow.enqueue(batch);
    }
    let last_good = last_good(&changed, opened)?;
    let states = merged.states;
    let guessed = (!from_main).then(|| states.iter().map(|(id, s)| (*id, s.counters)).collect());
    let notifiers = (notifiers, remembered);
    Ok(Known { changed, last_good, rows, from_main, states, flow, notifiers, notifier_statuses, guessed })
}

/// What state.db remembers of rows that are wrong now: they go on in their last good form over a restart too.
fn last_good(changed: &[Changed], opened: &mut Opened) -> Result<Vec<Definition>, StoreError> {
    let wrong: HashSet<i64> = changed.iter().filter_map(|c| c.as_ref().err()).map(|row| row.0.id).collect();
    if wrong.is_empty() {
        return Ok(Vec::new());
    }
    Ok(opened.local.load_definitions()?.into_iter().filter(|d| wrong.contains(&d.id)).collect())
}

struct FromMain {
    rows: watcher::Known,
    changed: Vec<Changed>,
    merged: Merged,
    marks: HashMap<i64, i64>,
    notifiers: Vec<NotifierDefinition>,
    notifier_statuses: HashMap<NotifierId, NotifierStatus>,
}

/// Rows become targets one by one: what a hundred thousand of them take twice would stay with the process.
fn read_main(store: &mut Store, clock: &Clock) -> Result<FromMain, StoreError> {
    let token = store.change_token()?;
    let mut rows = watcher::Known::at_start(token, clock.now());
    let mut changed = Vec::new();
    store.each_definition(|d| {
        rows.note(&d);
        changed.push(watcher::validate(&d));
    })?;
    let mut merged = Merged::for_targets(changed.len());
    store.each_status(|s| merged.add_main(s))?;
    let (notifiers, notifier_statuses) = (store.load_notifiers()?, store.notifier_statuses()?);
    Ok(FromMain { rows, changed, merged, marks: store.marks()?, notifiers, notifier_statuses })
}

/// The newest state of each target, from three sources.
#[derive(Default)]
struct Merged {
    states: HashMap<TargetId, TargetState>,
    /// Beside them, so that the states can be handed on as they are.
    facts: HashMap<TargetId, Facts>,
}

#[derive(Default)]
struct Facts {
    /// (writer, number) of the batch that the state is of.
    version: (i64, i64),
    /// The incident that the main database believes open.
    incident_in_main: Option<i64>,
    /// When the newest state was looked at that the main database or the spool holds: all before is in there.
    written_until: Option<UtcMs>,
    /// The state comes from state.db, and no batch that is still to be written holds it.
    only_local: bool,
}

impl Merged {
    /// Room for so many targets at once: growing to it would leave its smaller forms behind.
    fn for_targets(n: usize) -> Merged {
        Merged { states: HashMap::with_capacity(n), facts: HashMap::with_capacity(n) }
    }

    /// A status of the main database.
    fn add_main(&mut self, s: StoredStatus) {
        let incident_in_main = s.state.incident.map(|i| i.id);
        let (version, written_until) = ((s.writer, s.number), s.state.last_updated);
        let facts = Facts { version, incident_in_main, written_until, only_local: false };
        self.facts.insert(s.target_id, facts);
        self.states.insert(s.target_id, s.state);
    }

    /// A status of state.db, beside those of the main database.
    fn overtake(&mut self, s: StoredStatus) {
        let version = (s.writer, s.number);
        let facts = self.facts.entry(s.target_id).or_default();
        if facts.version < version {
            facts.version = version;
            facts.only_local = true;
            // The counters that are kept with the results stand; the transition is newer. No row, no counters: what was
            // counted was lost together with its results, or is in the spool.
            let counters = self.states.get(&s.target_id).map(|known| known.counters).unwrap_or_default();
            self.states.insert(s.target_id, TargetState { counters, ..s.state });
        }
    }

    /// The states of state.db alone.
    fn local_only(local: Vec<StoredStatus>) -> Merged {
        let states = local.into_iter().map(|s| (s.target_id, s.state)).collect();
        Merged { states, facts: HashMap::new() }
    }

    /// A spooled batch that the main database does not hold.
    fn take_in(&mut self, batch: &Batch) {
        for status in &batch.statuses {
            let version = (batch.writer, batch.number);
            let state = self.states.entry(status.target_id).or_default();
            let facts = self.facts.entry(status.target_id).or_default();
            let mut counters = state.counters;
            counters.add(&status.delta);
            facts.written_until = facts.written_until.max(status.state.last_updated);
            if version >= facts.version {
                *state = status.state.clone();
                facts.version = version;
                facts.only_local = false;
            }
            state.counters = counters;
        }
    }

    /// Since when there may be transitions that only state.db knows; `None`: there are none.
    fn behind_since(&self) -> Option<UtcMs> {
        let behind = self.facts.values().filter(|f| f.only_local);
        behind.map(|f| f.written_until.unwrap_or(UtcMs(0))).min()
    }

    /// A batch with the transitions that only state.db knows: the daemon was killed before they were written. `known` are
    /// its incidents since [`Merged::behind_since`]; those that are written already change nothing.
    fn recovered(&self, writer: i64, number: i64, known: &[Incident], now: UtcMs) -> Option<Batch> {
        let mut batch = Batch { writer, number, ..Batch::default() };
        for (id, facts) in self.facts.iter().filter(|(_, f)| f.only_local) {
            let Some(state) = self.states.get(id) else { continue };
            let current = state.incident.map(|i| i.id);
            if let Some(stale) = facts.incident_in_main.filter(|i| Some(*i) != current)
                && !known.iter().any(|i| i.id == stale && i.ended_at.is_some())
            {
                let ended_at = state.last_updated.unwrap_or(now);
                let end = IncidentEnd { id: stale, ended_at, ended_by: End::Recovered, facts: Box::default() };
                batch.incidents.push(IncidentChange::Ended(end));
            }
            let status = StatusRecord { target_id: *id, state: state.clone(), delta: Counters::default() };
            batch.statuses.push(status);
        }
        for incident in known.iter().filter(|i| self.facts.get(&i.target_id).is_some_and(|f| f.only_local)) {
            let current = self.states.get(&incident.target_id).and_then(|s| s.incident).map(|i| i.id);
            if incident.ended_at.is_none() && current != Some(incident.id) {
                continue;
            }
            batch.incidents.push(IncidentChange::Opened(Box::new(incident.clone())));
            // The row may be there, as an open one.
            if let (Some(ended_at), Some(ended_by)) = (incident.ended_at, incident.ended_by) {
                let end = IncidentEnd { id: incident.id, ended_at, ended_by, facts: Box::default() };
                batch.incidents.push(IncidentChange::Ended(end));
            }
        }
        (!batch.is_empty()).then_some(batch)
    }
}

impl From<PlaceError> for StoreError {
    fn from(error: PlaceError) -> StoreError {
        StoreError::Setting(with_causes(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::message::TargetFacts;
    use crate::model::reason::Reason;
    use crate::model::state::{OpenIncident, Status};
    use crate::model::trace::Trace;

    fn stored(number: i64, pass_count: i64, incident: Option<i64>) -> StoredStatus {
        let state = TargetState {
            conclusive: if incident.is_some() { Status::Fail } else { Status::Pass },
            counters: Counters { pass_count, ..Counters::default() },
            incident: incident.map(|id| OpenIncident { id, started_at: UtcMs(5) }),
            last_updated: Some(UtcMs(77)),
            ..TargetState::default()
        };
        StoredStatus { target_id: TargetId(1), state, writer: 10, number }
    }

    fn merge(main: Vec<StoredStatus>, local: Vec<StoredStatus>) -> Merged {
        let mut merged = Merged::default();
        main.into_iter().for_each(|s| merged.add_main(s));
        local.into_iter().for_each(|s| merged.overtake(s));
        merged
    }

    #[test]
    fn a_newer_transition_overtakes_but_the_counters_of_the_results_stand() {
        let merged = merge(vec![stored(5, 100, None)], vec![stored(6, 90, Some(3))]);
        let state = &merged.states[&TargetId(1)];
        assert_eq!((state.counters.pass_count, state.conclusive), (100, Status::Fail));
        let batch = merged.recovered(11, 1, &[], UtcMs(99)).unwrap();
        assert_eq!(batch.statuses[0].delta, Counters::default());
        // An older one does not.
        let merged = merge(vec![stored(7, 100, None)], vec![stored(6, 90, Some(3))]);
        assert!(merged.recovered(11, 1, &[], UtcMs(99)).is_none());
    }

    #[test]
    fn a_recovery_that_only_state_db_knows_ends_the_incident_in_the_main_database() {
        let merged = merge(vec![stored(5, 100, Some(3))], vec![stored(6, 90, None)]);
        let batch = merged.recovered(11, 1, &[], UtcMs(99)).unwrap();
        let end = IncidentEnd { id: 3, ended_at: UtcMs(77), ended_by: End::Recovered, facts: Box::default() };
        assert_eq!(batch.incidents, vec![IncidentChange::Ended(end)]);
    }

    #[test]
    fn an_incident_that_began_and_ended_where_only_state_db_saw_it_is_written_whole() {
        let mut merged = merge(vec![stored(5, 100, None)], vec![stored(6, 90, None)]);
        assert_eq!(merged.behind_since(), Some(UtcMs(77)));
        let incident = |id, ended_at: Option<i64>| Incident {
            id,
            target_id: TargetId(1),
            started_at: UtcMs(70),
            ended_at: ended_at.map(UtcMs),
            ended_by: ended_at.map(|_| End::Recovered),
            reason: Reason::Status,
            description: String::new(),
            first_trace: Trace::default(),
            last_good_trace: None,
            facts: TargetFacts::default(),
        };
        let unknown = incident(8, Some(80));
        let other = Incident { target_id: TargetId(2), ..incident(9, None) };
        let batch = merged.recovered(11, 1, &[unknown.clone(), other], UtcMs(99)).unwrap();
        let end = IncidentEnd { id: 8, ended_at: UtcMs(80), ended_by: End::Recovered, facts: Box::default() };
        let whole = vec![IncidentChange::Opened(Box::new(unknown)), IncidentChange::Ended(end)];
        assert_eq!(batch.incidents, whole, "and nothing of a target that is not behind");
        // What the spool holds is known until later.
        let mut spooled = stored(5, 0, None).state;
        spooled.last_updated = Some(UtcMs(79));
        let statuses = vec![StatusRecord { target_id: TargetId(1), state: spooled, delta: Counters::default() }];
        merged.take_in(&Batch { writer: 10, number: 5, statuses, ..Batch::default() });
        assert_eq!(merged.behind_since(), Some(UtcMs(79)));
    }

    #[test]
    fn spooled_batches_add_their_counters_and_carry_their_state() {
        let mut merged = merge(vec![stored(5, 100, None)], vec![stored(6, 90, Some(3))]);
        let newer = stored(6, 0, Some(3)).state;
        let delta = Counters { fail_count: 2, ..Counters::default() };
        let statuses = vec![StatusRecord { target_id: TargetId(1), state: newer, delta }];
        merged.take_in(&Batch { writer: 10, number: 6, statuses, ..Batch::default() });
        let state = &merged.states[&TargetId(1)];
        assert_eq!((state.counters.pass_count, state.counters.fail_count), (100, 2));
        assert!(merged.recovered(11, 1, &[], UtcMs(99)).is_none(), "the spool will bring it");
    }
}
