//! The read model of credentials: each row with what is in force of it.
//!
//! ```text
//!  watcher --replace--> rows --read--> control API
//!                        '--changed--> whoever logs in
//!  a target's `credential` --named--> the row, or the sentence that says why there is none
//! ```

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio::sync::watch;

use super::{Board, NotFound};
use crate::model::auth::Auth;
use crate::model::credential::{Credential, CredentialDefinition, CredentialId, CredentialRef, OpenStackAuth};
use crate::model::definition::Problem;
use crate::model::reference::CredentialReference;
use crate::model::target::Target;
use crate::model::text::{nearest, quoted};

/// The tenant of whoever says none.
const DEFAULT_TENANT: &str = "0";

/// What is known of one credential.
#[derive(Debug, Clone, PartialEq)]
pub struct CredentialEntry {
    /// The row as it is written.
    pub row: CredentialDefinition,
    /// What is in force: the row, or where that is wrong its last good form; `None` for a row that never was valid.
    pub in_force: Option<Arc<Credential>>,
    /// What is wrong with the row.
    pub problems: Vec<Problem>,
}

impl CredentialEntry {
    /// Tenant and name by which targets know it: those in force, else those of the row.
    #[must_use]
    pub fn name(&self) -> (&str, &str) {
        match &self.in_force {
            Some(c) => (&c.tenant, &c.name),
            None => (&self.row.tenantid, &self.row.name),
        }
    }
}

/// All credentials in the order of their ids.
pub type CredentialRows = BTreeMap<CredentialId, CredentialEntry>;

/// The read model of all credentials.
#[derive(Debug)]
pub struct Credentials {
    rows: watch::Sender<Arc<CredentialRows>>,
}

impl Default for Credentials {
    fn default() -> Self {
        Credentials { rows: watch::channel(Arc::default()).0 }
    }
}

impl Credentials {
    /// All rows as they are now.
    #[must_use]
    pub fn all(&self) -> Arc<CredentialRows> {
        Arc::clone(&self.rows.borrow())
    }

    /// Tells of every change of the rows; what it holds at first is what there is now.
    #[must_use]
    pub fn changed(&self) -> watch::Receiver<Arc<CredentialRows>> {
        self.rows.subscribe()
    }

    /// These rows are all there are. One that is wrong keeps what was in force of it. Gives the ids of those that are new,
    /// changed or gone.
    pub fn replace(&self, rows: Vec<CredentialDefinition>) -> Vec<CredentialId> {
        let before = self.all();
        let entry = |row: CredentialDefinition| {
            let id = CredentialId(row.id);
            let (in_force, problems) = match row.validate() {
                Ok(credential) => (Some(Arc::new(credential)), Vec::new()),
                Err(problems) => (before.get(&id).and_then(|e| e.in_force.clone()), problems),
            };
            (id, CredentialEntry { row, in_force, problems })
        };
        let rows: CredentialRows = rows.into_iter().map(entry).collect();
        let gone = before.keys().filter(|id| !rows.contains_key(id)).copied();
        let differs = |id: &CredentialId| before.get(id) != rows.get(id);
        let changed: Vec<CredentialId> = rows.keys().copied().filter(differs).chain(gone).collect();
        if !changed.is_empty() {
            self.rows.send_replace(Arc::new(rows));
        }
        changed
    }

    /// Finds the credential that a person means.
    ///
    /// # Errors
    /// No such credential, or several.
    pub fn find(&self, reference: &CredentialReference) -> Result<(CredentialId, CredentialEntry), NotFound> {
        super::find_row(&self.all(), reference, |e| (&e.row.tenantid, &e.row.name))
    }

    /// The credential in force that a target names; `None` for one of clouds.yaml, which is not among the rows.
    ///
    /// # Errors
    /// A sentence for people: there is none, it never was fit, or it is disabled.
    pub fn named(&self, wanted: &CredentialRef) -> Result<Option<Arc<Credential>>, String> {
        let CredentialRef::Named { tenant, name } = wanted else { return Ok(None) };
        let all = self.all();
        let Some(entry) = all.values().find(|e| e.name() == (tenant, name)) else {
            let names = all.values().map(CredentialEntry::name).filter(|(t, _)| t == tenant).map(|(_, name)| name);
            let hint = nearest(name, names).map_or(String::new(), |n| format!(" (did you mean {}?)", quoted(n)));
            return Err(format!(
                "there is no credential {} in tenant {}{hint}: add it, or name another",
                quoted(name),
                quoted(tenant)
            ));
        };
        match &entry.in_force {
            Some(c) if c.enabled => Ok(Some(Arc::clone(c))),
            Some(c) => Err(format!(
                "the credential {} is disabled: enable it (skypunchctl credentials {} enable), or name another",
                quoted(name),
                c.id
            )),
            None => Err(format!(
                "the row of the credential {} is wrong (what is wrong: skypunchctl credentials {})",
                quoted(name),
                entry.row.id
            )),
        }
    }
}

/// Which credentials targets use, enabled or not.
#[derive(Debug, Default)]
pub struct Uses {
    /// How many targets name each.
    pub shared: HashMap<CredentialRef, usize>,
    /// The targets that log in by themselves, in the order of their ids.
    pub own: Vec<Arc<Target>>,
}

impl Board {
    /// Which credentials targets use: one look at every target.
    #[must_use]
    pub fn credential_uses(&self) -> Uses {
        let mut uses = Uses::default();
        for (_, entry) in self.all() {
            let data = entry.lock();
            match data.target.as_ref().map(|t| (t, &t.auth)) {
                Some((_, Auth::OpenStack(OpenStackAuth::Shared(credential)))) => {
                    match uses.shared.get_mut(credential) {
                        Some(users) => *users += 1,
                        None => drop(uses.shared.insert(credential.clone(), 1)),
                    }
                }
                Some((target, Auth::OpenStack(OpenStackAuth::Own(_)))) => uses.own.push(Arc::clone(target)),
                _ => {}
            }
        }
        uses
    }

    /// The targets that name that credential, as `name` or `tenant/name` where theirs is another tenant than its own, in
    /// the order of their ids.
    #[must_use]
    pub fn users_of(&self, credential: &CredentialRef) -> Vec<String> {
        let own = match credential {
            CredentialRef::Named { tenant, .. } => tenant.as_str(),
            CredentialRef::Cloud(_) => DEFAULT_TENANT,
        };
        let all = self.all();
        let users = all.iter().filter_map(|(_, entry)| {
            let data = entry.lock();
            let target = data.target.as_ref().filter(|t| t.auth.credential() == Some(credential))?;
            Some(if target.tenant == own { target.name.clone() } else { format!("{}/{}", target.tenant, target.name) })
        });
        users.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::Entry;
    use crate::model::definition::Definition;
    use crate::model::state::TargetState;
    use crate::model::target::TargetId;
    use crate::secret::Secret;

    fn row(id: i64, tenantid: &str, name: &str) -> CredentialDefinition {
        CredentialDefinition {
            id,
            tenantid: tenantid.into(),
            name: name.into(),
            params: Some(Secret::new("auth_url=http://k/v3,user_id=u,password=p")),
            ..CredentialDefinition::default()
        }
    }

    #[test]
    fn a_credential_is_found_by_id_name_and_tenant() {
        let credentials = Credentials::default();
        credentials.replace(vec![row(1, "0", "cloud"), row(2, "7", "cloud"), row(3, "0", "lab")]);
        let id = |r: &str| credentials.find(&r.parse().unwrap()).map(|(id, _)| id.0);
        assert_eq!((id("1"), id("7/cloud"), id("lab")), (Ok(1), Ok(2), Ok(3)));
        assert!(matches!(id("cloud"), Err(NotFound::Ambiguous(c)) if c.len() == 2));
        assert_eq!(id("lba"), Err(NotFound::Unknown(Some("lab".into()))));
        assert_eq!(id("9"), Err(NotFound::Unknown(None)));
    }

    #[test]
    fn a_wrong_row_keeps_its_last_good_form_and_its_name() {
        let credentials = Credentials::default();
        let mut changed = credentials.changed();
        credentials.replace(vec![row(1, "0", "a"), row(2, "0", "b")]);
        changed.mark_unchanged();
        assert_eq!(credentials.replace(vec![row(1, "0", "a"), row(2, "0", "b")]), []);
        assert!(!changed.has_changed().unwrap(), "nothing has changed");
        let wrong = |id| CredentialDefinition { name: "c".into(), kind: "VAULT".into(), ..row(id, "0", "b") };
        assert_eq!(credentials.replace(vec![row(1, "0", "a"), wrong(2), wrong(3)]), [CredentialId(2), CredentialId(3)]);
        let all = credentials.all();
        assert_eq!(all[&CredentialId(2)].problems[0].field, "type");
        let named =
            |name: &str| credentials.named(&CredentialRef::parse(name, "0").unwrap()).map(|c| c.map(|c| c.id.0));
        assert_eq!((named("a"), named("b"), named("cloud:x")), (Ok(Some(1)), Ok(Some(2)), Ok(None)));
        assert!(named("c").unwrap_err().contains("skypunchctl credentials 3"));
        assert!(named("7/a").unwrap_err().contains("no credential `a` in tenant `7`"));
        credentials.replace(vec![CredentialDefinition { enabled: false, ..row(1, "0", "mycloud") }]);
        assert!(named("mycloud").unwrap_err().contains("is disabled"));
        assert!(named("myclou").unwrap_err().contains("did you mean `mycloud`?"));
    }

    #[test]
    fn users_are_the_targets_that_name_it() {
        let board = Board::default();
        for (id, tenantid, credential) in
            [(1, "0", Some("c")), (2, "7", Some("0/c")), (3, "7", Some("c")), (4, "0", Some("cloud:c")), (5, "0", None)]
        {
            let definition = Definition {
                id,
                tenantid: tenantid.into(),
                name: format!("t{id}"),
                url: "http://localhost/".into(),
                credential: credential.map(str::to_owned),
                ..Definition::default()
            };
            let target = Arc::new(definition.validate().unwrap());
            board.insert(TargetId(id), Entry::new(Some(target), TargetState::default()));
        }
        let own = Definition {
            id: 6,
            name: "t6".into(),
            url: "http://localhost/".into(),
            authn: "OPENSTACK".into(),
            authn_parms: Some(Secret::new("user=u,password=p,osauthendpoint=http://k/v3,tenantid=t")),
            ..Definition::default()
        };
        board.insert(TargetId(6), Entry::new(Some(Arc::new(own.validate().unwrap())), TargetState::default()));
        let meant = |text: &str| CredentialRef::parse(text, "0").unwrap();
        assert_eq!(board.users_of(&meant("c")), ["t1", "7/t2"]);
        assert_eq!(board.users_of(&meant("7/c")), ["t3"]);
        assert_eq!(board.users_of(&meant("cloud:c")), ["t4"]);
        assert_eq!(board.users_of(&meant("8/c")), [""; 0]);
        let shared = HashMap::from([(meant("c"), 2), (meant("7/c"), 1), (meant("cloud:c"), 1)]);
        let uses = board.credential_uses();
        assert_eq!((uses.shared, uses.own.iter().map(|t| t.id.0).collect::<Vec<_>>()), (shared, vec![6]));
    }
}
