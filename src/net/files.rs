//! Files are read away from the arbiter's thread: a filesystem that hangs must hold up nobody but who needs the file.
//!
//! ```text
//!  probe 1 --read(path)--> [not running] --> a thread reads ----> Some(value) --> probe 1
//!  probe 2 --read(path)--> [running] ------------ waits for the same ---------> probe 2
//!  probe 3 --read(path)--> [running] --x its deadline: the thread goes on alone, and nobody starts another
//! ```
//!
//! A thread per reading, not tokio's blocking pool: the end of a runtime waits for its pool, and so for ever.

use std::collections::HashMap;
use std::hash::Hash;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit, watch};

/// At most so many readings run in the process, and so at most so many threads hang; further ones wait for room.
const MOST: usize = 64;

static ROOM: Semaphore = Semaphore::const_new(MOST);

/// The readings that run, by what is read; one static for each kind.
pub struct Readings<K: 'static, T: 'static>(Mutex<Option<HashMap<K, watch::Receiver<Option<T>>>>>);

impl<K, T> std::fmt::Debug for Readings<K, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Readings")
    }
}

impl<K, T> Default for Readings<K, T> {
    fn default() -> Self {
        Readings::new()
    }
}

impl<K, T> Readings<K, T> {
    /// Nothing runs yet.
    #[must_use]
    pub const fn new() -> Readings<K, T> {
        Readings(Mutex::new(None))
    }
}

impl<K, T> Readings<K, T>
where
    K: Hash + Eq + Clone + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// What `job` makes on a thread of its own, or what the one that already runs for `key` will have made.
    ///
    /// Waits for as long as that takes: the caller has a deadline. Dropping the future leaves the thread to itself.
    ///
    /// # Errors
    /// When no thread can be started.
    pub async fn read(&'static self, key: K, job: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        let mut running = self.running_for(&key);
        if running.is_none() {
            let room = ROOM.acquire().await.map_err(io::Error::other)?;
            // Another may have been quicker while this one waited for room.
            running = self.running_for(&key);
            if running.is_none() {
                running = Some(self.start(key, room, job)?);
            }
        }
        let broken = || io::Error::other("the reading broke off");
        let mut running = running.ok_or_else(broken)?;
        let value = running.wait_for(Option::is_some).await.map_err(|_| broken())?;
        value.clone().ok_or_else(broken)
    }

    fn start(
        &'static self,
        key: K,
        room: SemaphorePermit<'static>,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<watch::Receiver<Option<T>>> {
        let (sender, receiver) = watch::channel(None);
        self.running().get_or_insert_default().insert(key.clone(), receiver.clone());
        // Also when the job panics or no thread starts, it runs no longer.
        let done = Done { readings: self, key };
        std::thread::Builder::new().name("file".into()).spawn(move || {
            let value = job();
            drop(done); // who asks from here on gets what is new
            drop(room);
            sender.send_replace(Some(value));
        })?;
        Ok(receiver)
    }

    fn running_for(&self, key: &K) -> Option<watch::Receiver<Option<T>>> {
        self.running().as_ref()?.get(key).cloned()
    }
}

impl<K, T> Readings<K, T> {
    fn running(&self) -> MutexGuard<'_, Option<HashMap<K, watch::Receiver<Option<T>>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a reading out of those that run.
struct Done<K: Hash + Eq + 'static, T: 'static> {
    readings: &'static Readings<K, T>,
    key: K,
}

impl<K: Hash + Eq, T> Drop for Done<K, T> {
    fn drop(&mut self) {
        if let Some(running) = self.readings.running().as_mut() {
            running.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn one_reading_serves_all_who_wait_and_a_hung_one_is_not_started_again() {
        static READINGS: Readings<&str, usize> = Readings::new();
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let (go, wait) = mpsc::channel::<()>();
        let hung = move || {
            STARTED.fetch_add(1, Ordering::SeqCst);
            wait.recv().map_or(0, |()| 7)
        };
        let first = tokio::time::timeout(Duration::from_millis(50), READINGS.read("hung", hung)).await;
        assert!(first.is_err());
        let again = || STARTED.fetch_add(100, Ordering::SeqCst);
        for _ in 0..3 {
            let more = tokio::time::timeout(Duration::from_millis(5), READINGS.read("hung", again)).await;
            assert!(more.is_err());
        }
        assert_eq!(READINGS.read("other", || 8).await.unwrap(), 8);
        let (waiting, ()) = tokio::join!(READINGS.read("hung", again), async { go.send(()).unwrap() });
        assert_eq!((waiting.unwrap(), STARTED.load(Ordering::SeqCst)), (7, 1));
        assert_eq!(READINGS.read("hung", || 9).await.unwrap(), 9, "it has ended, so a new one starts");
    }

    #[tokio::test]
    async fn a_panic_ends_one_reading_only() {
        static READINGS: Readings<u8, u8> = Readings::new();
        assert!(READINGS.read(1, || panic!("a fault")).await.is_err());
        assert_eq!(READINGS.read(1, || 2).await.unwrap(), 2);
    }
}
