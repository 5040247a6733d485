//! A limit on every wait for a MySQL server.
//!
//! The client has no read timeout of its own: a frozen server or a black-holed connection would block for the kernel's
//! retransmission limit. So each await of the driver runs under [`tokio::time::timeout`]; when it expires, the wait is
//! left by unwinding (no panic hook, no message), [`super::Store`] catches that and drops the connection, which after a
//! cancelled wait is out of step and must never be used again.

use std::cell::RefCell;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use diesel_async::async_connection_wrapper::BlockOn;
use tokio::runtime::Runtime;

/// What unwinds out of a wait that took too long.
pub(super) struct WaitExpired;

/// A runtime for one connection and the limit on each of its waits.
#[derive(Clone)]
pub(super) struct Bounded {
    runtime: Arc<Runtime>,
    limit_ms: Arc<AtomicU64>,
}

thread_local! {
    /// The one that `get_runtime` hands to the wrapper: the connection must stay on the runtime that made it.
    static NEXT: RefCell<Option<Bounded>> = const { RefCell::new(None) };
}

impl Bounded {
    /// A runtime of its own for one connection.
    pub(super) fn new(limit: Duration) -> std::io::Result<Bounded> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let bounded = Bounded { runtime: Arc::new(runtime), limit_ms: Arc::new(AtomicU64::new(0)) };
        bounded.set_limit(limit);
        Ok(bounded)
    }

    /// Changes the limit, for the few statements that may take long.
    pub(super) fn set_limit(&self, limit: Duration) {
        self.limit_ms.store(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn limit(&self) -> Duration {
        Duration::from_millis(self.limit_ms.load(Ordering::Relaxed))
    }

    /// Runs one wait; `None` when the limit passed.
    pub(super) fn wait<F: Future>(&self, f: F) -> Option<F::Output> {
        let limit = self.limit();
        self.runtime.block_on(async { tokio::time::timeout(limit, f).await.ok() })
    }

    /// Makes the next `AsyncConnectionWrapper` of this thread use this runtime and limit.
    pub(super) fn lend<T>(&self, make: impl FnOnce() -> T) -> T {
        NEXT.set(Some(self.clone()));
        make()
    }
}

impl BlockOn for Bounded {
    fn block_on<F: Future>(&self, f: F) -> F::Output {
        self.wait(f).unwrap_or_else(|| std::panic::resume_unwind(Box::new(WaitExpired)))
    }

    fn get_runtime() -> Self {
        match NEXT.take() {
            Some(bounded) => bounded,
            // Only reached by `establish`, which nothing here calls: there is no limit to hold then.
            None => std::panic::resume_unwind(Box::new(WaitExpired)),
        }
    }
}
