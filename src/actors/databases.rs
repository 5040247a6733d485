//! The threads of the databases: blocking work, one connection each, made anew after any error.
//!
//! ```text
//!  persistence --Query--> Database "writer"  --.
//!  pruner -------Query--> Database "pruner"  --+--> main database
//!  watcher ------Query--> Database "watcher" --+
//!  control ------Query--> Database "reader"  --'
//!  persistence --LocalQuery--> LocalDatabase -----> state.db
//! ```
//!
//! Writer and pruner work only while the lease is certainly ours: the watcher makes it last longer every two seconds; when
//! that has not happened for a while they do it themselves first, and when another daemon has it they do nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix::prelude::*;

use super::priority::behind_probes;
use crate::clock::Clock;
use crate::model::time::{Mono, UtcMs};
use crate::store::{ConnectOptions, DatabaseUrl, LeaseHolder, LeaseOutcome, StateDb, Store, StoreError};

/// How long the lease lasts without being renewed: a daemon elsewhere that has died is replaced after this.
pub const LEASE: Duration = Duration::from_secs(10);

/// Makes connections to the main database. The first one that succeeds migrates it and takes its lease.
pub struct Connector {
    url: DatabaseUrl,
    options: ConnectOptions,
    holder: LeaseHolder,
    clock: Clock,
    prepared: Mutex<bool>,
    /// When the lease was last known to be ours; `None`: it is not.
    renewed: Mutex<Option<(Mono, UtcMs)>>,
}

impl Connector {
    /// A connector that has not connected yet.
    #[must_use]
    pub fn new(url: DatabaseUrl, options: ConnectOptions, holder: LeaseHolder, clock: Clock) -> Arc<Connector> {
        Arc::new(Connector { url, options, holder, clock, prepared: Mutex::new(false), renewed: Mutex::new(None) })
    }

    /// The database's URL; its `Display` holds no password.
    #[must_use]
    pub fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    /// A connection to a database that is migrated and ours.
    ///
    /// # Errors
    /// The database is away, wrong, or another daemon's.
    pub fn connect(&self) -> Result<Store, StoreError> {
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = self.url.sqlite_file().filter(|f| *prepared && !f.exists()) {
            // To make an empty one would end all monitoring.
            return Err(StoreError::Lost(format!(
                "the file {} is gone: put it back, or stop and start skypunch to begin with an empty one",
                file.display()
            )));
        }
        let mut store = Store::connect(&self.url, &self.options)?;
        // Each time: the database may have been replaced by another one, from a backup for example.
        store.migrate()?;
        self.renew(&mut store)?;
        *prepared = true;
        Ok(store)
    }

    /// Makes sure that the lease is ours, and has been renewed within `age` (well below [`LEASE`]).
    ///
    /// # Errors
    /// The database is away, or another daemon holds the lease.
    pub fn hold(&self, store: &mut Store, age: Duration) -> Result<(), StoreError> {
        let renewed = *self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        // Both clocks: the monotonic one stands still while the machine sleeps, the other one can be set.
        let fresh = renewed.is_some_and(|(mono, utc)| {
            let past = self.clock.utc_now().0 - utc.0;
            self.clock.now().since(mono) < age && u64::try_from(past).is_ok_and(|ms| Duration::from_millis(ms) < age)
        });
        if fresh { Ok(()) } else { self.renew(store) }
    }

    /// Takes the lease or makes it last longer.
    ///
    /// # Errors
    /// The database is away, or another daemon holds the lease.
    pub fn renew(&self, store: &mut Store) -> Result<(), StoreError> {
        // Before the asking: that it lasts longer is certain for the time from then on.
        let now = (self.clock.now(), self.clock.utc_now());
        let outcome = store.acquire_lease(&self.holder, now.1, LEASE, is_alive)?;
        let mut renewed = self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            LeaseOutcome::Acquired => {
                *renewed = Some(now);
                Ok(())
            }
            LeaseOutcome::HeldBy { holder, until } => {
                *renewed = None;
                Err(StoreError::Held { host: holder.host, pid: holder.pid, until })
            }
        }
    }

    /// Gives the lease back, so that the next daemon waits for nothing.
    ///
    /// # Errors
    /// The database is away.
    pub fn release(&self, store: &mut Store) -> Result<(), StoreError> {
        store.release_lease(&self.holder).map(drop)
    }
}

/// This process as the lease names it. Within one boot and one process namespace a process id means one process.
#[must_use]
pub fn this_process(writer: i64) -> LeaseHolder {
    let read = |path: &str| std::fs::read_to_string(path).map_or_else(|_| "?".to_owned(), |s| s.trim().to_owned());
    let namespace = std::fs::read_link("/proc/self/ns/pid").map_or_else(|_| "?".into(), |p| p.display().to_string());
    let boot: String = read("/proc/sys/kernel/random/boot_id").chars().take(8).collect();
    let host = format!("{} (boot {boot}, {namespace})", read("/proc/sys/kernel/hostname"));
    LeaseHolder { host, pid: std::process::id(), writer }
}

/// Whether that process id of this host is a skypunch other than this one.
#[must_use]
pub fn is_alive(pid: u32) -> bool {
    // `PID (name) STATE …`; a process that was killed and not yet waited for is a zombie.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let Some((name, rest)) = stat.split_once('(').and_then(|(_, rest)| rest.rsplit_once(") ")) else { return false };
    pid != std::process::id() && name == "skypunch" && !rest.starts_with(['Z', 'X'])
}

/// Makes threads of that name, so that an operator sees in `top -H` who works.
fn named(name: &str) -> impl FnMut() -> std::thread::Builder + use<> {
    let name = name.to_owned();
    move || std::thread::Builder::new().name(name.clone())
}

/// A thread with one connection to the main database.
pub struct Database {
    connector: Arc<Connector>,
    store: Option<Store>,
    /// Does nothing unless the lease is ours.
    needs_lease: bool,
}

impl Database {
    /// Starts the thread under a name of at most 15 bytes; `store` is a connection that stands already.
    #[must_use]
    pub fn start(name: &str, connector: &Arc<Connector>, store: Option<Store>) -> Addr<Database> {
        Database::start_thread(name, connector, store, false)
    }

    /// The same for a thread that writes by itself: its queries fail with [`StoreError::Held`] while another daemon has
    /// the lease.
    #[must_use]
    pub fn start_writing(name: &str, connector: &Arc<Connector>, store: Option<Store>) -> Addr<Database> {
        Database::start_thread(name, connector, store, true)
    }

    fn start_thread(name: &str, connector: &Arc<Connector>, store: Option<Store>, needs_lease: bool) -> Addr<Database> {
        let connector = Arc::clone(connector);
        let first = Mutex::new(store);
        SyncArbiter::start_with_thread_builder(1, named(name), move || {
            behind_probes();
            Database {
                connector: Arc::clone(&connector),
                store: first.lock().unwrap_or_else(PoisonError::into_inner).take(),
                needs_lease,
            }
        })
    }
}

impl Actor for Database {
    type Context = SyncContext<Self>;
}

type Work<D, T> = Box<dyn FnOnce(&mut D) -> Result<T, StoreError> + Send>;

/// Something to do with the main database.
pub struct Query<T>(Work<Store, T>);

impl<T> Query<T> {
    /// Wraps what is to be done.
    pub fn new(work: impl FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static) -> Query<T> {
        Query(Box::new(work))
    }
}

impl<T: Send + 'static> Message for Query<T> {
    type Result = Result<T, StoreError>;
}

impl<T: Send + 'static> Handler<Query<T>> for Database {
    type Result = Result<T, StoreError>;

    fn handle(&mut self, query: Query<T>, _: &mut Self::Context) -> Self::Result {
        let mut store = match self.store.take() {
            Some(store) => store,
            None => self.connector.connect()?,
        };
        let held = if self.needs_lease { self.connector.hold(&mut store, LEASE / 2) } else { Ok(()) };
        let result = held.and_then(|()| (query.0)(&mut store));
        // The store gives up a connection that may be out of step: the next query makes a new one.
        self.store = store.is_connected().then_some(store);
        result
    }
}

/// The thread of state.db.
pub struct LocalDatabase(StateDb);

impl LocalDatabase {
    /// Starts the thread.
    #[must_use]
    pub fn start(state_db: StateDb) -> Addr<LocalDatabase> {
        let first = Mutex::new(Some(state_db));
        SyncArbiter::start_with_thread_builder(1, named("state.db"), move || {
            behind_probes();
            let taken = first.lock().unwrap_or_else(PoisonError::into_inner).take();
            LocalDatabase(taken.unwrap_or_else(|| unreachable!("one thread is asked for, and it never restarts")))
        })
    }
}

impl Actor for LocalDatabase {
    type Context = SyncContext<Self>;
}

/// Something to do with state.db.
pub struct LocalQuery<T>(Work<StateDb, T>);

impl<T> LocalQuery<T> {
    /// Wraps what is to be done.
    pub fn new(work: impl FnOnce(&mut StateDb) -> Result<T, StoreError> + Send + 'static) -> LocalQuery<T> {
        LocalQuery(Box::new(work))
    }
}

impl<T: Send + 'static> Message for LocalQuery<T> {
    type Result = Result<T, StoreError>;
}

impl<T: Send + 'static> Handler<LocalQuery<T>> for LocalDatabase {
    type Result = Result<T, StoreError>;

    fn handle(&mut self, query: LocalQuery<T>, _: &mut Self::Context) -> Self::Result {
        (query.0)(&mut self.0)
    }
}

/// The answer of a database's thread, or that the thread is gone (which happens at stop only).
pub fn answered<T>(answer: Result<Result<T, StoreError>, MailboxError>) -> Result<T, StoreError> {
    answer.unwrap_or_else(|_| Err(StoreError::Internal("its thread has ended".into())))
}
