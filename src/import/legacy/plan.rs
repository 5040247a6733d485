//! What of an import is still to be done.
//!
//! A row with a mark was brought over before and is done with. A name that is taken without one is somebody else's: it is
//! left as it is, and told.

use std::collections::{HashMap, HashSet};

use super::{Attention, Brought, BroughtNotifier, BroughtTarget, Fate};
use crate::model::defined::Defined;
use crate::model::definition::Definition;
use crate::model::notifier::NotifierDefinition;
use crate::model::text::{quoted, utc_seconds};
use crate::model::time::UtcMs;

/// The mark that an imported row leaves: a row of `imports`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportMark {
    /// `target` or `notifier`.
    pub kind: String,
    /// Its tenant when it was brought over.
    pub tenantid: String,
    /// Its name when it was brought over.
    pub name: String,
    /// Its id in the old table.
    pub old_id: i64,
    /// Its id here.
    pub item_id: i64,
    /// The old database.
    pub source: String,
    /// When.
    pub imported_at: UtcMs,
}

/// What is to be written, and what is not.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LegacyPlan {
    /// Targets that are not here.
    pub targets: Vec<BroughtTarget>,
    /// Notifiers that are not here.
    pub notifiers: Vec<BroughtNotifier>,
    /// Targets and notifiers that were brought over before.
    pub before: (usize, usize),
    /// What somebody should look at.
    pub attention: Vec<Attention>,
    /// Targets to be written that 0.3.0 reached without verifying a certificate.
    pub unverified: usize,
}

/// Compares what the old rows become with what is here.
#[must_use]
pub fn plan(
    brought: Brought,
    targets: &[Definition],
    notifiers: &[NotifierDefinition],
    marks: &[ImportMark],
) -> LegacyPlan {
    let mut plan = LegacyPlan::default();
    let mut told = brought.attention;
    let (here, done) = (names(targets), of_kind(marks, Definition::WHAT));
    for target in brought.targets {
        match judge(&target.definition, target.old_id, &here, &done, "targets") {
            Verdict::New => {
                plan.unverified += usize::from(target.definition.url.starts_with("https:"));
                plan.targets.push(target);
                continue;
            }
            Verdict::Before => plan.before.0 += 1,
            Verdict::Other(attention) => plan.attention.push(*attention),
        }
        // What was odd about it was told when it was brought over.
        told.retain(|a| a.table != "targets" || a.id != target.old_id);
    }
    let (here, done) = (names(notifiers), of_kind(marks, NotifierDefinition::WHAT));
    for notifier in brought.notifiers {
        match judge(&notifier.definition, notifier.old_id, &here, &done, "notifiers") {
            Verdict::New => {
                plan.notifiers.push(notifier);
                continue;
            }
            Verdict::Before => plan.before.1 += 1,
            Verdict::Other(attention) => plan.attention.push(*attention),
        }
        told.retain(|a| a.table != "notifiers" || a.id != notifier.old_id);
    }
    told.append(&mut plan.attention);
    told.sort_by(|a, b| (b.table, a.id).cmp(&(a.table, b.id)));
    plan.attention = told;
    plan
}

enum Verdict {
    New,
    Before,
    Other(Box<Attention>),
}

fn names<D: Defined>(all: &[D]) -> HashSet<(&str, &str)> {
    all.iter().map(|d| (d.tenantid(), d.name())).collect()
}

fn of_kind<'a>(marks: &'a [ImportMark], kind: &str) -> HashMap<(&'a str, &'a str), &'a ImportMark> {
    marks.iter().filter(|m| m.kind == kind).map(|m| ((m.tenantid.as_str(), m.name.as_str()), m)).collect()
}

fn judge<D: Defined>(
    d: &D,
    old_id: i64,
    here: &HashSet<(&str, &str)>,
    done: &HashMap<(&str, &str), &ImportMark>,
    table: &'static str,
) -> Verdict {
    let key = (d.tenantid(), d.name());
    let why = match done.get(&key) {
        Some(mark) if mark.old_id == old_id => return Verdict::Before,
        Some(mark) => format!(
            "one of this name was brought over before (id {} of {}, {}): rename one of them there, or import into another database",
            mark.old_id,
            mark.source,
            utc_seconds(mark.imported_at.0)
        ),
        None if here.contains(&key) => format!(
            "there is a {} {} here that was not imported, and it stays as it is: rename or remove it and import again",
            D::WHAT,
            quoted(d.name())
        ),
        None => return Verdict::New,
    };
    Verdict::Other(Box::new(Attention {
        table,
        id: old_id,
        name: d.name().to_owned(),
        column: "name",
        value: Some(d.name().to_owned()),
        why,
        fate: Fate::LeftOut,
    }))
}

#[cfg(test)]
mod tests {
    use super::super::bring;
    use super::super::tests::{notifier_row, row};
    use super::*;
    use crate::model::notifier::any_type;

    fn mark(kind: &str, name: &str, old_id: i64) -> ImportMark {
        ImportMark {
            kind: kind.into(),
            tenantid: "0".into(),
            name: name.into(),
            old_id,
            item_id: 9,
            source: "mysql://u@h:3306/skypunch".into(),
            imported_at: UtcMs(0),
        }
    }

    #[test]
    fn marked_rows_are_done_with_and_taken_names_are_told() {
        let rows = [
            row(&[]),
            row(&[("id", "2"), ("name", "b"), ("frequency", "0")]),
            row(&[("id", "3")]),
            row(&[("id", "4"), ("name", "d")]),
        ];
        let there = [Definition { name: "d".into(), ..Definition::default() }];
        let brought = bring(&rows, &[notifier_row(&[])], &any_type);
        assert_eq!(brought.targets[2].definition.name, "shop (id 3)");
        let first = plan(brought.clone(), &there, &[], &[]);
        assert_eq!((first.targets.len(), first.notifiers.len(), first.before), (3, 1, (0, 0)));
        let told: Vec<(i64, &str)> = first.attention.iter().map(|a| (a.id, a.column)).collect();
        assert_eq!(told, [(2, "frequency"), (3, "name"), (4, "name")]);
        assert!(first.attention[2].why.contains("was not imported"), "{:?}", first.attention[2]);
        // As it is after the import, whatever became of the targets.
        let marks = [
            mark("target", "shop", 1),
            mark("target", "b", 2),
            mark("target", "shop (id 3)", 3),
            mark("notifier", "ops", 1),
        ];
        let second = plan(brought.clone(), &there, &[], &marks);
        assert_eq!((second.targets.len(), second.notifiers.len(), second.before), (0, 0, (3, 1)));
        assert_eq!(second.attention.len(), 1, "{:?}", second.attention);
        let other = plan(brought, &[], &[], &[mark("target", "shop", 77)]);
        assert!(
            other
                .attention
                .iter()
                .any(|a| a.id == 1 && a.why.contains("id 77 of mysql://u@h:3306/skypunch, 1970-01-01 00:00:00"))
        );
    }
}
