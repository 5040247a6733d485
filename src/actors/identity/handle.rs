//! What is known of one credential, shared by its token actor, the probes of all arbiters and the control API.
//!
//! A probe asks here and is answered at once when a token is at hand; only who must wait has the actor woken.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::model::credential::keeper::{Answer, Keeper};
use crate::model::credential::{CredentialKey, Login};
use crate::model::subject::SubjectId;
use crate::model::target::TargetId;
use crate::model::time::{Mono, UtcMs};
use crate::model::token::{Holder, Token};
use crate::probe::IdentityFailure;

/// What a login brought.
pub type LoginResult = Result<Arc<Token>, IdentityFailure>;

/// A credential as its users see it.
#[derive(Debug)]
pub struct Handle {
    /// Which.
    pub key: CredentialKey,
    data: Mutex<Data>,
}

/// The content of a [`Handle`].
#[derive(Debug)]
pub struct Data {
    /// Tokens and troubles.
    pub keeper: Keeper<Arc<Token>, IdentityFailure>,
    /// Who waits for the end of the login.
    pub waiting: Vec<oneshot::Sender<LoginResult>>,
    /// Somebody needs the service catalog.
    pub catalog: bool,
    /// What the last login was made with.
    pub login: Option<Arc<Login>>,
    /// What people see.
    pub shown: Shown,
}

/// What people see of a credential beside its token's life.
#[derive(Debug, Clone, Default)]
pub struct Shown {
    /// Whose token it is.
    pub holder: Option<Holder>,
    /// When the last login succeeded.
    pub logged_in_at: Option<UtcMs>,
    /// When its token expires.
    pub expires: Option<Mono>,
    /// When the last login failed, and why; `None` after one that succeeded.
    pub failed: Option<(UtcMs, String)>,
    /// Logins that succeeded and that failed since the daemon started.
    pub logins: (u64, u64),
}

impl Shown {
    /// The definition has changed: what is left is that there were logins.
    #[must_use]
    pub fn afresh(&self) -> Shown {
        Shown { logins: self.logins, ..Shown::default() }
    }
}

/// What an ask comes to.
pub enum Asked {
    /// The answer.
    Now(LoginResult),
    /// The login's end brings it; the actor is to be woken.
    Later(oneshot::Receiver<LoginResult>),
}

impl Handle {
    /// Of a credential that nobody has logged in with.
    #[must_use]
    pub fn new(key: CredentialKey) -> Handle {
        let seed = SubjectId::from(&key).0.cast_unsigned();
        let data = Data {
            keeper: Keeper::new(seed),
            waiting: Vec::new(),
            catalog: false,
            login: None,
            shown: Shown::default(),
        };
        Handle { key, data: Mutex::new(data) }
    }

    /// The content. Held for copying and deciding only, never over an `await`.
    pub fn lock(&self) -> MutexGuard<'_, Data> {
        // A panic while it was held leaves whole fields.
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The token, or why there is none; `None`: it must be waited for.
    pub fn at_hand(&self, now: Mono, target: TargetId, catalog: bool) -> Option<LoginResult> {
        let mut data = self.lock();
        data.want(catalog);
        match data.keeper.ask(now, target, None) {
            Answer::AtHand(token) => Some(Ok(token)),
            Answer::Failed(why) => Some(Err(why)),
            Answer::Wait => None,
        }
    }

    /// The same for who can wait.
    pub fn ask(&self, now: Mono, target: TargetId, catalog: bool, refused: Option<u64>) -> Asked {
        let mut data = self.lock();
        data.want(catalog);
        match data.keeper.ask(now, target, refused) {
            Answer::AtHand(token) => Asked::Now(Ok(token)),
            Answer::Failed(why) => Asked::Now(Err(why)),
            Answer::Wait => {
                let (done, result) = oneshot::channel();
                data.waiting.push(done);
                Asked::Later(result)
            }
        }
    }
}

impl Data {
    /// From now on the catalog is asked for; a token without one is of no use to who needs it.
    fn want(&mut self, catalog: bool) {
        if catalog && !std::mem::replace(&mut self.catalog, true) {
            self.keeper.discard();
        }
    }

    /// Tells all who wait.
    pub fn answer(&mut self, result: &LoginResult) {
        for waiting in self.waiting.drain(..) {
            // Nobody waits any more when the probe's deadline has passed.
            let _gone = waiting.send(result.clone());
        }
    }
}
