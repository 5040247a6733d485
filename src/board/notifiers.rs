//! The read model of notifiers: each row with what is in force of it and how it is doing.
//!
//! ```text
//!  watcher --replace--> rows --read--> control API
//!                        '--changed--> whoever tells people
//!  whoever tells people --set_status--> statuses --read--> control API
//! ```

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::NotFound;
use crate::model::definition::Problem;
use crate::model::notifier::{Notifier, NotifierDefinition, NotifierId, NotifierStatus, TypeCheck};
use crate::model::reference::NotifierRef;

/// What is known of one notifier.
#[derive(Debug, Clone, PartialEq)]
pub struct NotifierEntry {
    /// The row as it is written.
    pub row: NotifierDefinition,
    /// What is in force: the row, or where that is wrong its last good form; `None` for a row that never was valid.
    pub in_force: Option<Arc<Notifier>>,
    /// What is wrong with the row.
    pub problems: Vec<Problem>,
}

/// All notifiers in the order of their ids.
pub type NotifierRows = BTreeMap<NotifierId, NotifierEntry>;

/// The read model of all notifiers.
#[derive(Debug)]
pub struct Notifiers {
    rows: watch::Sender<Arc<NotifierRows>>,
    statuses: Mutex<HashMap<NotifierId, NotifierStatus>>,
    backlog: Mutex<HashMap<NotifierId, (usize, usize)>>,
}

impl Default for Notifiers {
    fn default() -> Self {
        Notifiers { rows: watch::channel(Arc::default()).0, statuses: Mutex::default(), backlog: Mutex::default() }
    }
}

impl Notifiers {
    /// All rows as they are now.
    #[must_use]
    pub fn all(&self) -> Arc<NotifierRows> {
        Arc::clone(&self.rows.borrow())
    }

    /// Tells of every change of the rows; what it holds at first is what there is now.
    #[must_use]
    pub fn changed(&self) -> watch::Receiver<Arc<NotifierRows>> {
        self.rows.subscribe()
    }

    /// These rows are all there are. One that is wrong keeps what was in force of it. Gives the ids of those that are new,
    /// changed or gone.
    pub fn replace(&self, rows: Vec<NotifierDefinition>, types: &TypeCheck) -> Vec<NotifierId> {
        let before = self.all();
        let entry = |row: NotifierDefinition| {
            let id = NotifierId(row.id);
            let (in_force, problems) = match row.validate(types) {
                Ok(notifier) => (Some(Arc::new(notifier)), Vec::new()),
                Err(problems) => (before.get(&id).and_then(|e| e.in_force.clone()), problems),
            };
            (id, NotifierEntry { row, in_force, problems })
        };
        let rows: NotifierRows = rows.into_iter().map(entry).collect();
        let gone = before.keys().filter(|id| !rows.contains_key(id)).copied();
        let differs = |id: &NotifierId| before.get(id) != rows.get(id);
        let changed: Vec<NotifierId> = rows.keys().copied().filter(differs).chain(gone).collect();
        if !changed.is_empty() {
            self.statuses().retain(|id, _| rows.contains_key(id));
            self.rows.send_replace(Arc::new(rows));
        }
        changed
    }

    /// How a notifier is doing; zeros before anything was sent.
    #[must_use]
    pub fn status(&self, id: NotifierId) -> NotifierStatus {
        self.statuses().get(&id).cloned().unwrap_or_default()
    }

    /// Sets how a notifier is doing.
    pub fn set_status(&self, id: NotifierId, status: NotifierStatus) {
        self.statuses().insert(id, status);
    }

    /// What a notifier is owed: notices that are in no message yet, and messages on their way.
    #[must_use]
    pub fn backlog(&self, id: NotifierId) -> (usize, usize) {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner).get(&id).copied().unwrap_or_default()
    }

    /// Sets what all notifiers are owed; those that are left out are owed nothing.
    pub fn set_backlog(&self, all: HashMap<NotifierId, (usize, usize)>) {
        *self.backlog.lock().unwrap_or_else(PoisonError::into_inner) = all;
    }

    /// Finds the notifier that a person means.
    ///
    /// # Errors
    /// No such notifier, or several.
    pub fn find(&self, reference: &NotifierRef) -> Result<(NotifierId, NotifierEntry), NotFound> {
        super::find_row(&self.all(), reference, |e| (&e.row.tenantid, &e.row.name))
    }

    fn statuses(&self) -> MutexGuard<'_, HashMap<NotifierId, NotifierStatus>> {
        self.statuses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::notifier::any_type;

    fn row(id: i64, tenantid: &str, name: &str) -> NotifierDefinition {
        NotifierDefinition {
            id,
            tenantid: tenantid.into(),
            name: name.into(),
            kind: "SMTP".into(),
            address: "a@example.com".into(),
            ..NotifierDefinition::default()
        }
    }

    #[test]
    fn a_notifier_is_found_by_id_name_and_tenant() {
        let notifiers = Notifiers::default();
        notifiers.replace(vec![row(1, "0", "ops"), row(2, "7", "ops"), row(3, "0", "mail")], &any_type);
        let id = |r: &str| notifiers.find(&r.parse().unwrap()).map(|(id, _)| id.0);
        assert_eq!((id("1"), id("7/ops"), id("mail")), (Ok(1), Ok(2), Ok(3)));
        assert!(matches!(id("ops"), Err(NotFound::Ambiguous(c)) if c.len() == 2));
        assert_eq!(id("mial"), Err(NotFound::Unknown(Some("mail".into()))));
        assert_eq!(id("9"), Err(NotFound::Unknown(None)));
    }

    #[test]
    fn a_wrong_row_keeps_its_last_good_form_and_touches_no_other() {
        let notifiers = Notifiers::default();
        let mut changed = notifiers.changed();
        notifiers.replace(vec![row(1, "0", "a"), row(2, "0", "b")], &any_type);
        assert!(changed.has_changed().unwrap());
        changed.mark_unchanged();
        assert_eq!(notifiers.replace(vec![row(1, "0", "a"), row(2, "0", "b")], &any_type), []);
        assert!(!changed.has_changed().unwrap(), "nothing has changed");
        notifiers.set_status(NotifierId(2), NotifierStatus { pass_count: 5, ..NotifierStatus::default() });
        let wrong = |id| NotifierDefinition { rate_per_minute: 0, ..row(id, "0", "b") };
        let found = notifiers.replace(vec![row(1, "0", "a"), wrong(2), wrong(3)], &any_type);
        assert_eq!(found, [NotifierId(2), NotifierId(3)]);
        let all = notifiers.all();
        assert_eq!(all[&NotifierId(1)].problems, []);
        let entry = &all[&NotifierId(2)];
        assert_eq!((entry.problems[0].field.as_str(), entry.row.rate_per_minute), ("rate_per_minute", 0));
        assert_eq!(entry.in_force.as_ref().unwrap().rate_per_minute, 20);
        assert_eq!(all[&NotifierId(3)].in_force, None);
        assert_eq!(notifiers.status(NotifierId(2)).pass_count, 5);
        notifiers.replace(vec![], &any_type);
        assert_eq!(notifiers.status(NotifierId(2)).pass_count, 0, "it is gone");
    }
}
