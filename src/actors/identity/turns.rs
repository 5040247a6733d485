//! How many log in at once: a start with a thousand credentials must not be an attack on the identity service.
//!
//! ```text
//!  TokenActor --take(its service)--> one of 8 turns, first come, first served --> login --> turn back
//! ```
//!
//! Each identity service has turns of its own: one that hangs keeps nobody from another.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

/// So many logins of this process run at one identity service at once.
pub const AT_ONCE: usize = 8;

/// The turns at all identity services.
#[derive(Debug, Default)]
pub struct Turns(Mutex<HashMap<String, Arc<Semaphore>>>);

impl Turns {
    /// Waits for a turn at the service of this address; dropping what it gives ends the turn.
    pub async fn take(&self, auth_url: &Url) -> Option<OwnedSemaphorePermit> {
        let service = self.service(auth_url);
        // Only a closed semaphore gives none, and nobody closes it.
        service.acquire_owned().await.ok()
    }

    fn service(&self, auth_url: &Url) -> Arc<Semaphore> {
        let name = auth_url.origin().ascii_serialization();
        // A panic while it was held leaves whole entries.
        let mut services = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = services.get(&name) {
            return Arc::clone(known);
        }
        // Whoever has a turn or waits for one holds it.
        services.retain(|_, service| Arc::strong_count(service) > 1);
        let new = Arc::new(Semaphore::new(AT_ONCE));
        services.insert(name, Arc::clone(&new));
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn eight_at_a_time_in_the_order_they_came_and_for_each_service() {
        let turns = Turns::default();
        let (a, b) = (url("http://a:5000/v3"), url("http://b:5000/v3"));
        let now = |turns: &Turns, url: &Url| turns.take(url).now_or_never().flatten();
        let mut taken: Vec<_> = (0..AT_ONCE).map(|_| now(&turns, &a).unwrap()).collect();
        assert!(now(&turns, &url("http://a:5000/identity/v3")).is_none(), "the same service, whatever the path");
        assert!(now(&turns, &b).is_some(), "another service");
        assert!(now(&turns, &a).is_none(), "looking at others keeps what is taken");
        let mut first = Box::pin(turns.take(&a));
        let mut second = Box::pin(turns.take(&a));
        assert!(first.as_mut().now_or_never().is_none() && second.as_mut().now_or_never().is_none());
        drop(taken.pop());
        assert!(second.as_mut().now_or_never().is_none(), "it came later");
        assert!(first.as_mut().now_or_never().flatten().is_some());
        assert!(second.as_mut().now_or_never().flatten().is_some(), "the first one's is free again");
    }

    #[test]
    fn services_that_nobody_waits_for_are_forgotten() {
        let turns = Turns::default();
        for n in 0..100 {
            assert!(turns.take(&url(&format!("http://keystone-{n}/v3"))).now_or_never().flatten().is_some());
        }
        assert_eq!(turns.0.lock().unwrap().len(), 1);
    }
}
