//! Who uses which credential, and what becomes of those that nobody uses.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;

use super::{Identities, Retire, TokenActor};
use crate::actors::arbiter::Records;
use crate::model::account::account_withdrawal;
use crate::model::auth::Auth;
use crate::model::credential::{CredentialKey, OpenStackAuth};
use crate::model::notifier::Matched;
use crate::model::state::TargetState;
use crate::model::subject::SubjectId;
use crate::model::target::Target;

/// How often it is looked who uses what.
const EVERY: Duration = Duration::from_secs(10);

/// The targets that use each credential.
pub type Users = HashMap<CredentialKey, Vec<Arc<Target>>>;

impl Identities {
    /// The enabled targets that use each credential.
    #[must_use]
    pub fn users(&self) -> Users {
        let mut users = Users::new();
        for entry in self.board.all() {
            let target = entry.1.lock().target.clone();
            if let Some(target) = target.filter(|t| t.enabled && matches!(t.auth, Auth::OpenStack(_)))
                && let Ok(key) = self.key(&target)
            {
                users.entry(key).or_default().push(target);
            }
        }
        users
    }

    /// Those that use one credential.
    fn targets_of(&self, key: &CredentialKey) -> Vec<Arc<Target>> {
        let own = |t: &Arc<Target>| t.enabled && matches!(t.auth, Auth::OpenStack(OpenStackAuth::Own(_)));
        match key {
            // Its own alone: a thousand such logins must not look at all targets each.
            CredentialKey::Target(_) => self.owner(key).filter(own).into_iter().collect(),
            CredentialKey::Row(_) | CredentialKey::Cloud(_) => self.users().remove(key).unwrap_or_default(),
        }
    }

    /// Those of one, as notifiers' filters see them.
    pub(super) fn users_of(&self, key: &CredentialKey) -> Vec<Matched> {
        self.targets_of(key).iter().map(|t| Matched::from(&**t)).collect()
    }

    /// Whether one of its targets has its URL from the catalog.
    pub(super) fn wants_catalog(&self, key: &CredentialKey) -> bool {
        self.targets_of(key).iter().any(|t| t.catalog.is_some())
    }

    /// Wakes what failed when the daemon stopped, retires what nobody uses. `idle` are those that nobody used the last
    /// time either. `withdrawable`: not at the very start.
    fn sweep(self: &Arc<Self>, idle: &mut HashSet<CredentialKey>, withdrawable: bool) {
        let users = self.users();
        for key in users.keys() {
            let failed = self.table().states.get(&key.into()).is_some_and(|s| s.incident.is_some());
            if failed {
                // Its actor sees by itself that it has to log in.
                let _slot = self.slot(key);
            }
        }
        let unused: HashSet<CredentialKey> =
            self.table().slots.keys().filter(|key| !users.contains_key(key)).cloned().collect();
        for key in unused.intersection(idle) {
            let gone: Option<Addr<TokenActor>> = self.table().slots.remove(key).map(|slot| slot.actor);
            if let Some(actor) = gone {
                actor.do_send(Retire);
            }
        }
        *idle = unused;
        self.withdraw_unused(&users, withdrawable);
    }

    /// Ends the incidents of credentials that stood in one when the daemon stopped and that nobody uses any more.
    fn withdraw_unused(&self, users: &Users, now: bool) {
        if !now {
            return;
        }
        let used: HashSet<SubjectId> = users.keys().map(SubjectId::from).collect();
        let left: Vec<(SubjectId, TargetState)> =
            self.table().states.extract_if(|subject, _| !used.contains(subject)).collect();
        for (subject, state) in left {
            let (_, recorded) = account_withdrawal(state, subject, self.clock.utc_now());
            if let Some(recorded) = recorded {
                self.sink.do_send(Records(vec![recorded]));
            }
        }
    }
}

/// Looks now and then who uses what.
pub struct Sweeper {
    identities: Arc<Identities>,
    idle: HashSet<CredentialKey>,
}

impl Sweeper {
    /// Of these.
    #[must_use]
    pub fn new(identities: Arc<Identities>) -> Sweeper {
        Sweeper { identities, idle: HashSet::new() }
    }
}

impl Actor for Sweeper {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.identities.definitions_changed();
        self.identities.sweep(&mut self.idle, false);
        let identities = Arc::clone(&self.identities);
        let follow = async move {
            let mut credentials = identities.board.credentials.changed();
            let mut targets = identities.board.definitions.subscribe();
            loop {
                let changed = tokio::select! {
                    changed = credentials.changed() => changed,
                    changed = targets.changed() => changed,
                };
                if changed.is_err() {
                    return; // the board is gone
                }
                identities.definitions_changed();
            }
        };
        ctx.spawn(follow.into_actor(self));
        ctx.run_interval(EVERY, |actor, _| actor.identities.sweep(&mut actor.idle, true));
    }
}
