//! `apply`: what a targets file changes, decided before anything is touched.
//!
//! Targets are known by tenant and name, notifiers and credentials likewise. A key that the file does not hold stays as
//! it is; without `prune` nothing is ever deleted.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::defined::Defined;
use super::definition::Problem;
use super::notifier::TypeCheck;
use super::targets_file::Entry;
use super::text::{clean, quoted};

/// What is to be done with one target, notifier or credential.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned<D> {
    /// What.
    pub action: PlannedAction,
    /// The definition afterwards (for a deletion: before). Its id is 0 for an insertion.
    pub definition: D,
    /// What differs: key, before, after; secrets are shown as `***`.
    pub fields: Vec<(String, Value, Value)>,
}

/// What is done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlannedAction {
    /// It is new.
    Insert,
    /// Some keys change.
    Update,
    /// The name changes, and perhaps other keys.
    Rename,
    /// It goes.
    Delete,
    /// It is as asked already.
    Unchanged,
}

/// An entry of the file that cannot be applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Unplannable {
    /// `target`, `notifier` or `credential`.
    pub what: &'static str,
    /// Which of them, counted from 1.
    pub number: usize,
    /// Its name.
    pub name: String,
    /// Why.
    pub problems: Vec<Problem>,
}

/// Decides what `entries` change in `existing`. With `prune` what is not listed goes, unless nothing is listed: a file
/// that holds targets only says nothing about notifiers, and the other way round.
///
/// # Errors
/// Every entry that cannot be applied; then nothing is to be applied.
pub fn plan<D: Defined>(
    existing: &[D],
    entries: &[Entry],
    prune: bool,
    types: &TypeCheck,
) -> Result<Vec<Planned<D>>, Vec<Unplannable>> {
    let by_name: HashMap<(&str, &str), &D> = existing.iter().map(|d| ((d.tenantid(), d.name()), d)).collect();
    let mut planned = Vec::new();
    let mut wrong = Vec::new();
    let mut kept: Vec<i64> = Vec::new();
    let mut written: HashMap<(&str, &str), usize> = HashMap::new();
    let mut taken: HashMap<i64, &str> = HashMap::new();
    for (i, entry) in entries.iter().enumerate() {
        let tenant = entry.tenantid.as_str();
        let old_name = entry.renamed_from.as_deref();
        let same = by_name.get(&(tenant, entry.name.as_str())).copied();
        let renamed = old_name.and_then(|old| by_name.get(&(tenant, old)).copied());
        let mut fail =
            |problems| wrong.push(Unplannable { what: D::WHAT, number: i + 1, name: entry.name.clone(), problems });
        if let Some(first) = written.insert((tenant, entry.name.as_str()), i + 1) {
            fail(vec![problem(
                "name",
                format!("stands twice in tenant {}: in {} {first} too", clean(tenant, 60), D::WHAT),
            )]);
            continue;
        }
        let before = match (same, renamed) {
            (Some(same), Some(old)) if same.id() != old.id() => {
                let message = format!(
                    "both {} and {} exist: remove one of them, or leave `renamed_from` out",
                    quoted(old.name()),
                    quoted(same.name())
                );
                fail(vec![problem("renamed_from", message)]);
                continue;
            }
            (Some(found), _) | (None, Some(found)) => Some(found),
            (None, None) => None,
        };
        if let Some(other) = before.and_then(|b| taken.insert(b.id(), &entry.name)) {
            let message =
                format!("{} is this {what} already: one {what} cannot become two", quoted(other), what = D::WHAT);
            fail(vec![problem("renamed_from", message)]);
            continue;
        }
        let mut after = before.cloned().unwrap_or_default();
        let problems = match after.set_all(&entry.keys) {
            Err(problems) => problems,
            Ok(()) => after.problems(types),
        };
        if !problems.is_empty() {
            fail(problems);
            continue;
        }
        let action = match before {
            None => PlannedAction::Insert,
            Some(b) if *b == after => PlannedAction::Unchanged,
            Some(b) if b.name() != after.name() => PlannedAction::Rename,
            Some(_) => PlannedAction::Update,
        };
        kept.extend(before.map(Defined::id));
        planned.push(Planned { action, fields: differences(before, &after), definition: after });
    }
    if prune && !entries.is_empty() {
        let kept: HashSet<i64> = kept.into_iter().collect();
        planned.extend(existing.iter().filter(|d| !kept.contains(&d.id())).map(|d| Planned {
            action: PlannedAction::Delete,
            definition: d.clone(),
            fields: Vec::new(),
        }));
    }
    if wrong.is_empty() { Ok(planned) } else { Err(wrong) }
}

/// All definitions as they are once it is done.
pub fn afterwards<'a, D: Defined>(existing: &'a [D], planned: &'a [Planned<D>]) -> impl Iterator<Item = &'a D> {
    let touched: HashSet<i64> = planned.iter().map(|p| p.definition.id()).collect();
    let written = planned.iter().filter(|p| p.action != PlannedAction::Delete).map(|p| &p.definition);
    existing.iter().filter(move |d| !touched.contains(&d.id())).chain(written)
}

fn problem(field: &str, message: String) -> Problem {
    Problem { field: field.into(), message }
}

/// Key, before, after of everything that differs, in the order of the table. A new one is compared with the defaults.
#[must_use]
pub fn differences<D: Defined>(before: Option<&D>, after: &D) -> Vec<(String, Value, Value)> {
    let default = D::default();
    let b = before.unwrap_or(&default);
    let shown_before = b.to_json();
    let mut differences: Vec<(String, Value, Value)> = after
        .to_json()
        .into_iter()
        .filter_map(|(key, to)| {
            let from = shown_before.get(&key).cloned().unwrap_or(Value::Null);
            // A secret looks alike before and after.
            (from != to || b.differs_unseen(after, &key)).then_some((key, from, to))
        })
        .collect();
    differences.sort_by_key(|(key, _, _)| D::KEYS.iter().position(|k| k == key));
    differences
}

/// What is to be written: inserts, updates, ids to delete.
#[derive(Debug, Clone, PartialEq)]
pub struct Edits<D> {
    /// New ones.
    pub inserts: Vec<D>,
    /// Changed ones, by their ids.
    pub updates: Vec<D>,
    /// Ids of those that go.
    pub deletes: Vec<i64>,
}

impl<D> Default for Edits<D> {
    fn default() -> Self {
        Edits { inserts: Vec::new(), updates: Vec::new(), deletes: Vec::new() }
    }
}

impl<D: Defined> Edits<D> {
    /// Those of a plan.
    #[must_use]
    pub fn of(planned: &[Planned<D>]) -> Edits<D> {
        let mut edits = Edits::default();
        for p in planned {
            match p.action {
                PlannedAction::Insert => edits.inserts.push(p.definition.clone()),
                PlannedAction::Update | PlannedAction::Rename => edits.updates.push(p.definition.clone()),
                PlannedAction::Delete => edits.deletes.push(p.definition.id()),
                PlannedAction::Unchanged => {}
            }
        }
        edits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::definition::Definition;
    use crate::model::notifier::{NotifierDefinition, any_type};
    use crate::model::targets_file::parse;
    use crate::secret::Secret;

    fn existing() -> Vec<Definition> {
        ["a", "b"]
            .iter()
            .zip(1..)
            .map(|(name, id)| Definition {
                id,
                name: (*name).into(),
                url: "http://h/".into(),
                authn: "BASIC".into(),
                authn_parms: Some(crate::secret::Secret::new("user=u,password=hunter2")),
                ..Definition::default()
            })
            .collect()
    }

    fn actions(file: &str, prune: bool) -> Vec<(PlannedAction, String)> {
        plan(&existing(), &parse(file, &any_type).unwrap().targets, prune, &any_type)
            .unwrap()
            .into_iter()
            .map(|p| (p.action, p.definition.name))
            .collect()
    }

    #[test]
    fn only_what_is_written_changes_and_nothing_is_deleted_unasked() {
        let file = "[[target]]\nname='a'\nurl='http://h/'\nfrequency='5s'\n[[target]]\nname='c'\nurl='http://h/'";
        let planned = plan(&existing(), &parse(file, &any_type).unwrap().targets, false, &any_type).unwrap();
        assert_eq!(planned.len(), 2);
        assert_eq!(planned[0].fields, vec![("frequency_ms".into(), 60_000.into(), 5_000.into())]);
        assert!(planned[0].definition.authn_parms.is_some(), "an absent secret is unchanged");
        let names = |prune| {
            let planned = plan(&existing(), &parse(file, &any_type).unwrap().targets, prune, &any_type).unwrap();
            afterwards(&existing(), &planned).map(|d| d.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(
            (names(false), names(true)),
            (vec!["b".into(), "a".into(), "c".into()], vec!["a".into(), "c".into()])
        );
        assert_eq!(actions(file, true).last().unwrap(), &(PlannedAction::Delete, "b".into()));
        assert_eq!(actions("[[target]]\nname='b'\nurl='http://h/'", false)[0].0, PlannedAction::Unchanged);
    }

    #[test]
    fn a_rename_keeps_the_id() {
        let file = "[[target]]\nname='z'\nrenamed_from='a'\nurl='http://h/'";
        let planned = plan(&existing(), &parse(file, &any_type).unwrap().targets, true, &any_type).unwrap();
        assert_eq!((planned[0].action, planned[0].definition.id), (PlannedAction::Rename, 1));
        assert_eq!(planned[0].fields, vec![("name".into(), "a".into(), "z".into())]);
        assert_eq!(planned.len(), 2, "only b is pruned");
        let both = "[[target]]\nname='b'\nrenamed_from='a'\nurl='http://h/'";
        assert!(
            plan(&existing(), &parse(both, &any_type).unwrap().targets, false, &any_type).unwrap_err()[0].problems[0]
                .message
                .contains("both")
        );
    }

    #[test]
    fn one_row_is_never_claimed_twice() {
        let entry = |name: &str, from: Option<&str>| Entry {
            name: name.into(),
            tenantid: "0".into(),
            renamed_from: from.map(str::to_owned),
            keys: serde_json::Map::from_iter([("name".into(), name.into()), ("url".into(), "http://h/".into())]),
        };
        for entries in [
            vec![entry("a1", Some("a")), entry("a2", Some("a"))],
            vec![entry("a1", Some("a")), entry("a", None)],
            vec![entry("n", None), entry("n", None)],
        ] {
            let wrong = plan(&existing(), &entries, false, &any_type).unwrap_err();
            assert_eq!((wrong.len(), wrong[0].number), (1, 2), "{wrong:?}");
        }
    }

    #[test]
    fn a_changed_secret_is_a_change_that_is_not_shown() {
        let file = "[[target]]\nname='a'\nurl='http://h/'\nauthn='BASIC'\nauthn_parms='user=u,password=other'";
        let planned = plan(&existing(), &parse(file, &any_type).unwrap().targets, false, &any_type).unwrap();
        assert_eq!(planned[0].fields, vec![("authn_parms".into(), "***".into(), "***".into())]);
    }

    #[test]
    fn notifiers_are_planned_by_the_same_rules() {
        let existing = [("a", 1), ("b", 2)].map(|(name, id)| NotifierDefinition {
            id,
            name: name.into(),
            kind: "SLACK".into(),
            address: "https://hooks.example/T0/hunter2".into(),
            params: Some(Secret::new("token=hunter2")),
            ..NotifierDefinition::default()
        });
        let planned = |file: &str, prune| {
            let entries = parse(file, &any_type).unwrap().notifiers;
            plan(&existing, &entries, prune, &any_type).unwrap()
        };
        // Secrets that are left out, or stand as they are shown, stay.
        let same = "[[notifier]]\nname='a'\ntype='SLACK'\n[[notifier]]\nname='b'\ntype='SLACK'\naddress='https://hooks.example/***'\nparams='***'";
        assert!(planned(same, true).iter().all(|p| p.action == PlannedAction::Unchanged));
        let changed = planned("[[notifier]]\nname='a'\ntype='SLACK'\naddress='https://hooks.example/T0/other'", true);
        let shown = "https://hooks.example/***";
        assert_eq!(changed[0].fields, [("address".into(), shown.into(), shown.into())]);
        assert_eq!((changed[1].action, changed[1].definition.id), (PlannedAction::Delete, 2));
        let edits = Edits::of(&changed);
        assert_eq!((edits.inserts.len(), edits.updates.len(), edits.deletes), (0, 1, vec![2]));
        let renamed = planned("[[notifier]]\nname='z'\nrenamed_from='a'\ntype='SLACK'", false);
        assert_eq!((renamed[0].action, renamed[0].definition.id), (PlannedAction::Rename, 1));
        assert!(renamed[0].definition.params.is_some());
        // A file that lists none says nothing about them.
        assert_eq!(planned("[[target]]\nname='t'\nurl='http://t/'", true), []);
        // A new one has no secret to keep.
        let entries = parse("[[notifier]]\nname='new'\ntype='SLACK'", &any_type).unwrap().notifiers;
        let wrong = plan(&existing, &entries, false, &any_type).unwrap_err();
        assert_eq!((wrong[0].what, wrong[0].problems[0].field.as_str()), ("notifier", "address"));
    }
}
