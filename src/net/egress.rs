//! The egress policy where connections are made: the one in force, and who asks it.
//!
//! ```text
//!  settings --EgressSource (a reload changes it)--> Guard of each arbiter --before every connect--> EgressPolicy::check
//! ```
//!
//! A guard keeps the policy that it saw last: to see that it is still the one in force costs a look at a number.

use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::watch;

use crate::model::egress::{Caller, Denied, EgressPolicy};

/// Where the policy in force comes from; clones share it.
#[derive(Debug, Clone)]
pub struct EgressSource(watch::Receiver<Arc<EgressPolicy>>);

impl EgressSource {
    /// A policy that stays as it is.
    #[must_use]
    pub fn fixed(policy: EgressPolicy) -> EgressSource {
        EgressSource::changing(policy).1
    }

    /// A policy, and what puts another one in force everywhere.
    #[must_use]
    pub fn changing(policy: EgressPolicy) -> (watch::Sender<Arc<EgressPolicy>>, EgressSource) {
        let (sender, receiver) = watch::channel(Arc::new(policy));
        (sender, EgressSource(receiver))
    }

    /// To be told of changes.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<Arc<EgressPolicy>> {
        self.0.clone()
    }
}

impl Default for EgressSource {
    fn default() -> Self {
        EgressSource::fixed(EgressPolicy::default())
    }
}

/// Asks the policy; belongs to one arbiter.
#[derive(Debug)]
pub struct Guard(RefCell<(watch::Receiver<Arc<EgressPolicy>>, Arc<EgressPolicy>)>);

impl Guard {
    /// By the policy of that source.
    #[must_use]
    pub fn new(source: EgressSource) -> Guard {
        let mut receiver = source.0;
        let policy = Arc::clone(&receiver.borrow_and_update());
        Guard(RefCell::new((receiver, policy)))
    }

    /// Whether `address` may be connected to now.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, address: IpAddr, caller: Caller<'_>) -> Result<(), Box<Denied>> {
        let mut inner = self.0.borrow_mut();
        let (receiver, policy) = &mut *inner;
        // An error: who could change it has gone.
        if receiver.has_changed().unwrap_or(false) {
            *policy = Arc::clone(&receiver.borrow_and_update());
        }
        policy.check(address, caller)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::egress::AddressList;

    #[test]
    fn a_change_is_in_force_at_the_next_connect() {
        let (change, source) = EgressSource::changing(EgressPolicy::default());
        let (one, other) = (Guard::new(source.clone()), Guard::new(source));
        let [metadata, loopback] = ["169.254.169.254", "127.0.0.1"].map(|a| a.parse::<IpAddr>().unwrap());
        for guard in [&one, &other] {
            assert!(guard.check(metadata, Caller::Shared).is_err() && guard.check(loopback, Caller::Shared).is_ok());
        }
        let deny = AddressList::parse(["loopback"]).unwrap();
        change.send_replace(Arc::new(EgressPolicy { deny, ..EgressPolicy::default() }));
        for guard in [&one, &other] {
            assert!(guard.check(metadata, Caller::Shared).is_ok() && guard.check(loopback, Caller::Shared).is_err());
        }
        drop(change);
        assert!(one.check(loopback, Caller::Shared).is_err(), "the last one stays");
    }
}
