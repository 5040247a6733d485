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

use actix::Addr;
use slog::{Logger, info, warn};

use super::merged::Merged;
use super::place::{self, PlaceError};
use super::{fresh_writer, with_causes};
use crate::actors::databases::{Connector, LEASE, LocalDatabase, LocalQuery, this_process};
use crate::actors::supervisor::Changed;
use crate::actors::watcher::{self, validated};
use crate::board::Board;
use crate::clock::Clock;
use crate::config::{DatabaseUrl as UrlSetting, Settings, TlsMode};
use crate::model::credential::CredentialDefinition;
use crate::model::definition::Definition;
use crate::model::flow::Flow;
use crate::model::notifier::{NotifierDefinition, NotifierId, NotifierStatus};
use crate::model::state::{Counters, TargetState};
use crate::model::subject::SubjectId;
use crate::store::{ConnectOptions, DatabaseUrl, StateDb, Store, StoreError, Tls};

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
    let options = connect_options(settings);
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

/// How to connect to the main database.
#[must_use]
pub fn connect_options(settings: &Settings) -> ConnectOptions {
    let tls = match settings.database.tls {
        TlsMode::Off => Tls::Off,
        TlsMode::Encrypt => Tls::Encrypt,
        TlsMode::Verify => Tls::Verify { ca: settings.database.tls_ca.clone() },
    };
    ConnectOptions { tls, timeout: settings.database.timeout }
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
    pub states: HashMap<SubjectId, TargetState>,
    /// The flow of this start's batches.
    pub flow: Flow,
    /// The rows of notifiers, and what state.db remembers of them: the last good forms of those that are wrong.
    pub notifiers: (Vec<NotifierDefinition>, Vec<NotifierDefinition>),
    /// The same of credentials.
    pub credentials: (Vec<CredentialDefinition>, Vec<CredentialDefinition>),
    /// How notifiers are doing.
    pub notifier_statuses: HashMap<NotifierId, NotifierStatus>,
    /// The counters of `states`, where they could not be read from the main database.
    pub guessed: Option<HashMap<SubjectId, Counters>>,
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
    let remembered_credentials = opened.local.load_credentials()?;
    let mut notifier_statuses = opened.local.notifier_statuses()?;
    let (rows, changed, notifiers, credentials, main) = match read {
        Some(main) => {
            // state.db counts; what it does not know was counted by one that is lost.
            for (id, status) in main.notifier_statuses {
                notifier_statuses.entry(id).or_insert(status);
            }
            (main.rows, main.changed, main.notifiers, main.credentials, Some((main.merged, main.marks)))
        }
        None => {
            let mut rows = watcher::Known::default();
            let definitions = opened.local.load_definitions()?;
            definitions.iter().for_each(|d| rows.note(d));
            (rows, validated(&definitions), remembered.clone(), remembered_credentials.clone(), None)
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
    let (notifiers, credentials) = ((notifiers, remembered), (credentials, remembered_credentials));
    Ok(Known { changed, last_good, rows, from_main, states, flow, notifiers, credentials, notifier_statuses, guessed })
}

/// What a start knows of where its subjects stand.
pub type States = HashMap<SubjectId, TargetState>;

/// The states of credentials, and those of targets. The latter stay where they are: a hundred thousand of them in memory
/// twice would stay with the process.
#[must_use]
pub fn split(mut all: States) -> (States, States) {
    let credentials = all.extract_if(|subject, _| subject.target().is_none()).collect();
    (credentials, all)
}

/// Puts credentials in force: first what state.db remembers of them, so that a row that is wrong now goes on in its last
/// good form, then their rows.
pub fn put_credentials_in_force(
    board: &Board,
    (rows, remembered): (Vec<CredentialDefinition>, Vec<CredentialDefinition>),
    from_main: bool,
    local: &Addr<LocalDatabase>,
    log: &Logger,
) {
    board.credentials.replace(remembered);
    let told = watcher::tell_credentials(board, rows, log);
    if from_main {
        // What it could not save it saves at the next change.
        local.do_send(LocalQuery::new(move |db| db.save_credentials(&told.good, &told.wrong)));
    }
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
    credentials: Vec<CredentialDefinition>,
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
    let (marks, credentials) = (store.marks()?, store.load_credentials()?);
    Ok(FromMain { rows, changed, merged, marks, notifiers, credentials, notifier_statuses })
}

impl From<PlaceError> for StoreError {
    fn from(error: PlaceError) -> StoreError {
        StoreError::Setting(with_causes(&error))
    }
}
