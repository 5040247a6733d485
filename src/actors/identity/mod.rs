//! Identities: one token actor per credential, made when somebody first asks, and who of the targets uses which.
//!
//! ```text
//!  probe --Tokens--> Identities: which credential? --> Handle: at hand? --no--> TokenActor --login--> identity service
//!  watcher --definitions--> Identities --Recheck--> TokenActor
//!  every 10 s: who uses what? --nobody--> Retire
//! ```
//!
//! | file | does |
//! |---|---|
//! | `handle.rs` | what is known of one credential, shared by all who ask |
//! | `actor.rs` | logs in, tells persistence of failures and recoveries |
//! | `apart.rs` | logins that people ask for, beside all this |
//! | `behalf.rs` | for whom a login is made, to the egress policy |
//! | `source.rs` | where a login's data come from |
//! | `tokens.rs` | what probes see |
//! | `turns.rs` | how many log in at once |
//! | `users.rs` | who uses which credential |

mod actor;
mod apart;
mod behalf;
mod handle;
mod source;
mod tokens;
mod turns;
mod users;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix::prelude::*;
use slog::Logger;

pub use self::actor::{EgressChanged, Recheck, Retire, TokenActor, Wake, run};
pub use self::apart::Apart;
pub use self::behalf::Behalf;
pub use self::handle::{Data, Handle, Shown};
pub use self::source::Source;
pub use self::tokens::LocalTokens;
use self::turns::Turns;
pub use self::users::{Sweeper, Users};
use super::arbiter::{Local, Records};
use crate::board::Board;
use crate::clock::Clock;
use crate::model::auth::Auth;
use crate::model::credential::{Credential, CredentialId, CredentialKey, CredentialRef, OpenStackAuth};
use crate::model::ids::splitmix64;
use crate::model::message::TargetFacts;
use crate::model::state::TargetState;
use crate::model::subject::SubjectId;
use crate::model::target::Target;
use crate::model::text::quoted;
use crate::probe::Preferences;
use crate::secret::SecretPolicy;

/// All credentials that are in use; shared by all arbiters.
#[derive(Debug)]
pub struct Identities {
    board: Arc<Board>,
    clock: Clock,
    log: Logger,
    arbiters: Vec<ArbiterHandle>,
    sink: Recipient<Records>,
    secrets: Arc<SecretPolicy>,
    /// Deadline of a login.
    login_timeout: Duration,
    turns: Turns,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// The ids of the rows that may be used, by tenant and name: what every probe looks up.
    names: HashMap<String, HashMap<String, CredentialId>>,
    slots: HashMap<CredentialKey, Slot>,
    /// Where credentials stood when the daemon stopped, until their actors take it over.
    states: HashMap<SubjectId, TargetState>,
    stopping: bool,
}

/// A credential that somebody has asked for.
#[derive(Debug, Clone)]
pub struct Slot {
    /// What is known of it.
    pub handle: Arc<Handle>,
    /// Its actor.
    pub actor: Addr<TokenActor>,
}

impl Identities {
    /// Without credentials. `arbiters` have their [`Local`] installed before the first probe; `states` is where
    /// credentials stood when the daemon stopped.
    #[must_use]
    #[expect(clippy::too_many_arguments, reason = "it is put together in one place")]
    pub fn new(
        board: Arc<Board>,
        clock: Clock,
        log: Logger,
        arbiters: Vec<ArbiterHandle>,
        sink: Recipient<Records>,
        secrets: SecretPolicy,
        login_timeout: Duration,
        states: HashMap<SubjectId, TargetState>,
    ) -> Arc<Identities> {
        let table = Mutex::new(Table { states, ..Table::default() });
        let (secrets, turns) = (Arc::new(secrets), Turns::default());
        Arc::new(Identities { board, clock, log, arbiters, sink, secrets, login_timeout, turns, table })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // A panic while it was held leaves whole entries.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Definitions of credentials or targets have changed.
    pub fn definitions_changed(&self) {
        let mut names: HashMap<String, HashMap<String, CredentialId>> = HashMap::new();
        for (id, entry) in self.board.credentials.all().iter() {
            if let Some(credential) = entry.in_force.as_ref().filter(|c| c.enabled) {
                names.entry(credential.tenant.clone()).or_default().insert(credential.name.clone(), *id);
            }
        }
        let actors: Vec<Addr<TokenActor>> = {
            let mut table = self.table();
            table.names = names;
            table.slots.values().map(|s| s.actor.clone()).collect()
        };
        for actor in actors {
            actor.do_send(Recheck);
        }
    }

    /// Another egress policy is in force: logins that the last one kept from being tried are tried at once.
    pub fn egress_changed(&self) {
        let actors: Vec<Addr<TokenActor>> = self.table().slots.values().map(|s| s.actor.clone()).collect();
        for actor in actors {
            actor.do_send(EgressChanged);
        }
    }

    /// Which credential a target uses.
    ///
    /// # Errors
    /// The sentence of a target that refers to none.
    pub fn key(&self, target: &Target) -> Result<CredentialKey, String> {
        let shared = match &target.auth {
            Auth::OpenStack(OpenStackAuth::Own(_)) => return Ok(CredentialKey::Target(target.id)),
            Auth::OpenStack(OpenStackAuth::Shared(shared)) => shared,
            _ => return Err("this target uses no credential".to_owned()),
        };
        match shared {
            CredentialRef::Cloud(name) => Ok(CredentialKey::Cloud(name.clone())),
            CredentialRef::Named { tenant, name } => {
                if let Some(id) = self.table().names.get(tenant).and_then(|names| names.get(name)) {
                    return Ok(CredentialKey::Row(*id));
                }
                // It may have come this moment; else the board knows why there is none.
                match self.board.credentials.named(shared)? {
                    Some(row) => Ok(CredentialKey::Row(row.id)),
                    None => Err(format!("there is no credential {}", quoted(name))),
                }
            }
        }
    }

    /// The credential's handle and actor; made when this is the first who asks. `None` when the daemon stops.
    pub fn slot(self: &Arc<Self>, key: &CredentialKey) -> Option<Slot> {
        let mut table = self.table();
        if let Some(slot) = table.slots.get(key).filter(|s| s.actor.connected()) {
            return Some(slot.clone());
        }
        if table.stopping {
            return None;
        }
        let subject = SubjectId::from(key);
        let state = table.states.remove(&subject).unwrap_or_default();
        let handle = Arc::new(Handle::new(key.clone()));
        let arbiter = self.arbiter_of(key);
        let (identities, given) = (Arc::clone(self), Arc::clone(&handle));
        let actor = TokenActor::start_in_arbiter(arbiter, move |_| match Local::current() {
            Some(local) => TokenActor::new(local, identities, given, state),
            None => unreachable!("app installs a Local on every arbiter before anything is probed"),
        });
        let slot = Slot { handle, actor };
        table.slots.insert(key.clone(), slot.clone());
        Some(slot)
    }

    fn arbiter_of(&self, key: &CredentialKey) -> &ArbiterHandle {
        let n = splitmix64(SubjectId::from(key).0.cast_unsigned()) % self.arbiters.len() as u64;
        &self.arbiters[usize::try_from(n).unwrap_or(0)]
    }

    /// The handle, if somebody has asked for it.
    #[must_use]
    pub fn handle(&self, key: &CredentialKey) -> Option<Arc<Handle>> {
        self.table().slots.get(key).map(|s| Arc::clone(&s.handle))
    }

    /// All handles.
    #[must_use]
    pub fn handles(&self) -> Vec<Arc<Handle>> {
        self.table().slots.values().map(|s| Arc::clone(&s.handle)).collect()
    }

    fn row(&self, key: &CredentialKey) -> Option<Arc<Credential>> {
        let CredentialKey::Row(id) = key else { return None };
        self.board.credentials.all().get(id)?.in_force.clone()
    }

    fn owner(&self, key: &CredentialKey) -> Option<Arc<Target>> {
        let CredentialKey::Target(id) = key else { return None };
        self.board.get(*id)?.lock().target.clone()
    }

    /// How people call it.
    #[must_use]
    pub fn name(&self, key: &CredentialKey) -> String {
        match key {
            CredentialKey::Cloud(name) => format!("cloud:{name}"),
            CredentialKey::Row(id) => self.row(key).map_or_else(|| id.to_string(), |row| row.name.clone()),
            CredentialKey::Target(id) => self.owner(key).map_or_else(|| id.to_string(), |t| t.name.clone()),
        }
    }

    /// Where its login comes from, as it is now.
    #[must_use]
    pub fn source(&self, key: &CredentialKey) -> Source {
        match key {
            CredentialKey::Cloud(name) => Source::Cloud(name.clone()),
            CredentialKey::Row(_) => match self.row(key) {
                Some(row) => Source::Known(Arc::new(row.login.clone())),
                None => Source::Missing("the credential was removed".to_owned()),
            },
            CredentialKey::Target(_) => match self.owner(key).as_ref().map(|t| &t.auth) {
                Some(Auth::OpenStack(OpenStackAuth::Own(login))) => Source::Known(Arc::clone(login)),
                _ => Source::Missing("the target has no authn_parms of its own any more".to_owned()),
            },
        }
    }

    /// What a message says of it.
    #[must_use]
    pub fn facts(&self, key: &CredentialKey) -> TargetFacts {
        let url = match self.source(key) {
            Source::Known(login) => login.auth_url.to_string(),
            _ => String::new(),
        };
        let tenant = match key {
            CredentialKey::Row(_) => self.row(key).map(|row| row.tenant.clone()),
            CredentialKey::Target(_) => self.owner(key).map(|t| t.tenant.clone()),
            CredentialKey::Cloud(_) => None,
        };
        TargetFacts {
            name: self.name(key),
            tenant: tenant.unwrap_or_else(|| "0".to_owned()),
            url,
            authentication: "OPENSTACK".to_owned(),
            enabled: true,
            users: self.users_of(key),
            ..TargetFacts::default()
        }
    }

    /// What it prefers in the catalog.
    #[must_use]
    pub fn preferences(&self, key: &CredentialKey) -> Preferences {
        match self.handle(key).and_then(|h| h.lock().login.clone()) {
            Some(login) => Preferences { region: login.region.clone(), interfaces: login.interfaces.clone() },
            None => Preferences::default(),
        }
    }

    /// No actor is made any more; those that are stop with their arbiters.
    pub fn stop(&self) {
        self.table().stopping = true;
    }
}
