//! Logins apart from the token actors: nothing of what they know is used, and nothing of it changes.
//!
//! ```text
//!  control API --key--> Identities --arbiter--> login with its catalog --> steps as they happen, then the token or why not
//! ```

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::{Identities, run, source};
use crate::actors::arbiter::Local;
use crate::model::credential::{CredentialKey, Login};
use crate::model::trace::Step;
use crate::openstack::IdentityError;
use crate::openstack::client::{LoggedIn, Wanted};
use crate::probe::recorder::Recorder;

/// No disk needs so long for a file of some lines.
const READING: Duration = Duration::from_secs(3);

/// How such a login ended.
#[derive(Debug)]
pub struct Apart {
    /// The token, or why there is none.
    pub result: Result<LoggedIn, IdentityError>,
    /// Microseconds that it took.
    pub latency_us: u32,
}

impl Identities {
    /// Logs in, for the catalog too; `steps` gets each step as it happens. No answer: the daemon stops.
    pub fn log_in_apart(
        self: &Arc<Self>,
        key: &CredentialKey,
        steps: Option<mpsc::UnboundedSender<Step>>,
    ) -> oneshot::Receiver<Apart> {
        let (done, ended) = oneshot::channel();
        let (identities, source, behalf) = (Arc::clone(self), self.source(key), self.behalf(key));
        self.arbiter_of(key).spawn_fn(move || {
            let Some(local) = Local::current() else { return };
            actix_rt::spawn(async move {
                let recorder = Rc::new(Recorder::new(local.clock.clone(), steps));
                let wanted = Wanted { serial: 0, catalog: true, base: None };
                let (_, result) = run(&local, &identities, (source, &behalf), wanted, &recorder).await;
                // Nobody waits any more when the caller has gone.
                let _gone = done.send(Apart { result, latency_us: recorder.elapsed_us() });
            });
        });
        ended
    }

    /// What it logs in with, as it is now.
    ///
    /// # Errors
    /// It is not there, or wrong, or cannot be read within a few seconds.
    pub async fn login(&self, key: &CredentialKey) -> Result<Arc<Login>, IdentityError> {
        source::login(self.source(key), READING).await
    }
}
