//! Sessions that wait for the next mail, so that a burst logs in once.
//!
//! ```text
//!  take --idle for less than IDLE? carried less than MOST_CARRIED?--> session    else: None, open a new one
//!  put ---> idle; a sweeper says goodbye to what nobody took in time
//! ```

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::params::{Login, Security};
use super::session::Session;
use crate::clock::Clock;
use crate::model::time::Mono;
use crate::secret::Secret;

/// So long a session waits; servers close theirs after minutes, some under load after ten seconds.
pub const IDLE: Duration = Duration::from_secs(8);

/// So many mails one session carries; servers end them after a hundred or more.
const MOST_CARRIED: u32 = 90;

/// So many sessions are open to one server for one account.
const MOST_OPEN: usize = 10;

/// So long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(2);

/// What two mails must have in common to go over one session.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// Host and port.
    pub server: (String, u16),
    /// How it is protected, and by which file's authorities.
    pub security: (Security, Option<String>),
    /// Who logged in, and how.
    pub login: (Login, Option<(Secret, Secret)>),
    /// The name that was said.
    pub hello: String,
}

#[derive(Debug, Default)]
struct Place {
    idle: Vec<(Mono, Session)>,
    room: Option<Arc<Semaphore>>,
}

#[derive(Debug, Default)]
struct Inner {
    places: HashMap<Key, Place>,
    swept: bool,
}

/// All sessions that wait.
#[derive(Debug)]
pub struct Pool {
    inner: Arc<Mutex<Inner>>,
    clock: Clock,
}

impl Pool {
    /// Holds none.
    #[must_use]
    pub fn new(clock: Clock) -> Pool {
        Pool { inner: Arc::default(), clock }
    }

    /// Room for one session; hold its permit while it is open and in use.
    #[must_use]
    pub fn room(&self, key: &Key) -> Arc<Semaphore> {
        let mut inner = lock(&self.inner);
        let place = inner.places.entry(key.clone()).or_default();
        Arc::clone(place.room.get_or_insert_with(|| Arc::new(Semaphore::new(MOST_OPEN))))
    }

    /// The session that was used last, if it still can be.
    #[must_use]
    pub fn take(&self, key: &Key) -> Option<Session> {
        let now = self.clock.now();
        let (since, session) = lock(&self.inner).places.get_mut(key)?.idle.pop()?;
        (now.since(since) < IDLE).then_some(session)
    }

    /// Keeps a session for the next mail.
    pub fn put(&self, key: Key, session: Session) {
        if session.carried >= MOST_CARRIED {
            tokio::spawn(goodbye(session));
            return;
        }
        let mut inner = lock(&self.inner);
        inner.places.entry(key).or_default().idle.push((self.clock.now(), session));
        if !std::mem::replace(&mut inner.swept, true) {
            tokio::spawn(sweep(Arc::downgrade(&self.inner), self.clock.clone()));
        }
    }

    /// Says goodbye to all that wait.
    pub async fn close(&self) {
        let places = std::mem::take(&mut lock(&self.inner).places);
        let idle = places.into_values().flat_map(|p| p.idle).map(|(_, session)| goodbye(session));
        futures_util::future::join_all(idle).await;
    }
}

fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn goodbye(session: Session) {
    drop(tokio::time::timeout(GOODBYE, session.quit()).await);
}

/// Ends with the pool, or when nothing waits any more.
async fn sweep(inner: Weak<Mutex<Inner>>, clock: Clock) {
    loop {
        tokio::time::sleep(IDLE / 2).await;
        let Some(inner) = inner.upgrade() else { return };
        let (old, empty) = {
            let mut inner = lock(&inner);
            let now = clock.now();
            let mut old = Vec::new();
            for place in inner.places.values_mut() {
                let (keep, go) = place.idle.drain(..).partition(|(since, _)| now.since(*since) < IDLE);
                place.idle = keep;
                old.extend(go);
            }
            let in_use = |p: &Place| p.room.as_ref().is_some_and(|r| Arc::strong_count(r) > 1);
            inner.places.retain(|_, p| !p.idle.is_empty() || in_use(p));
            inner.swept = !inner.places.is_empty();
            (old, inner.places.is_empty())
        };
        for (_, session) in old {
            tokio::spawn(goodbye(session));
        }
        if empty {
            return;
        }
    }
}
