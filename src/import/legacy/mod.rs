//! Skypunch 0.3.0: what its rows become here.
//!
//! ```text
//!  rows of targets, notifiers --target, notifier--> Brought, and Attention for what is odd
//!  Brought, marks and definitions that are there --plan--> what is to be written; the rest was here before
//! ```
//!
//! An import is done once: each row that was brought over leaves a mark under its tenant and name as they were then. A row
//! with a mark is never touched again, whatever has become of it since: edited, renamed, probed or removed.

mod encoding;
mod login;
mod notifier;
pub mod plan;
mod report;
mod row;
pub mod source;
mod target;

pub use self::plan::{ImportMark, LegacyPlan, plan};
pub use self::report::{report, written};
pub use self::row::OldRow;

use crate::model::definition::Definition;
use crate::model::notifier::{NotifierDefinition, TypeCheck};
use crate::model::reason::Reason;
use crate::model::state::TargetState;
use crate::model::text::quoted;
use crate::model::time::UtcMs;

/// The columns of `targets`.
pub const TARGET_COLUMNS: [&str; 23] = [
    "id",
    "name",
    "tenantid",
    "status",
    "status_description",
    "previous_status",
    "last_updated",
    "url",
    "method",
    "authn",
    "authn_parms",
    "pass_result",
    "frequency",
    "timeout",
    "pass_count",
    "fail_count",
    "count200",
    "count300",
    "count400",
    "count500",
    "network_fails",
    "repeated_fails",
    "enabled",
];
/// The columns of `notifiers`.
pub const NOTIFIER_COLUMNS: [&str; 8] =
    ["id", "name", "type", "address", "params", "pass_count", "fail_count", "enabled"];

/// What was done with a row that needs attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It came over, changed where the sentence says so.
    Brought,
    /// It came over and is not enabled.
    Disabled,
    /// It did not come over.
    LeftOut,
}

/// A row that somebody should look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attention {
    /// `targets` or `notifiers`.
    pub table: &'static str,
    /// The row's id there.
    pub id: i64,
    /// Its name there.
    pub name: String,
    /// The column.
    pub column: &'static str,
    /// The value, unless it may hold a secret.
    pub value: Option<String>,
    /// What is wrong and what to do.
    pub why: String,
    /// What was done.
    pub fate: Fate,
}

impl std::fmt::Display for Attention {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} ({}), {}", self.table, self.id, quoted(&self.name), self.column)?;
        match &self.value {
            Some(value) => write!(f, " {}", quoted(value))?,
            None => f.write_str(" (not shown)")?,
        }
        let fate = match self.fate {
            Fate::Brought => "brought over",
            Fate::Disabled => "brought over, not enabled",
            Fate::LeftOut => "left out",
        };
        write!(f, ": {fate}: {}", self.why)
    }
}

/// The failure that a target is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldFailure {
    /// When it began, as near as the row tells; `None`: it does not.
    pub since: Option<UtcMs>,
    /// Why, as near as the description tells.
    pub reason: Reason,
}

/// A target that can be brought over.
#[derive(Debug, Clone, PartialEq)]
pub struct BroughtTarget {
    /// Its id in the old table.
    pub old_id: i64,
    /// What it is.
    pub definition: Definition,
    /// Where it stands; its open incident is made when it is written.
    pub state: TargetState,
    /// The failure that it is in.
    pub failure: Option<OldFailure>,
}

impl BroughtTarget {
    /// The probes that no row of `results` shows.
    #[must_use]
    pub fn imported_count(&self) -> i64 {
        self.state.counters.pass_count.saturating_add(self.state.counters.fail_count)
    }
}

/// A notifier that can be brought over.
#[derive(Debug, Clone, PartialEq)]
pub struct BroughtNotifier {
    /// Its id in the old table.
    pub old_id: i64,
    /// What it is.
    pub definition: NotifierDefinition,
    /// Messages that were accepted.
    pub pass_count: i64,
    /// Messages that were not.
    pub fail_count: i64,
}

/// What the rows become.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Brought {
    /// Targets, in the order of their old ids.
    pub targets: Vec<BroughtTarget>,
    /// Notifiers, likewise.
    pub notifiers: Vec<BroughtNotifier>,
    /// What somebody should look at, in the order of tables and ids.
    pub attention: Vec<Attention>,
    /// Targets that 0.3.0 reached without verifying a certificate.
    pub unverified: usize,
}

/// What the rows of both tables become. `types` knows what a notifier's type demands.
#[must_use]
pub fn bring(targets: &[OldRow], notifiers: &[OldRow], types: &TypeCheck) -> Brought {
    let mut brought = Brought::default();
    let mut names = target::Names::default();
    for row in targets {
        let mut seen = row.look("targets");
        if let Some(target) = target::bring(row, &mut names, &mut seen) {
            brought.unverified += usize::from(target.definition.url.starts_with("https:"));
            brought.targets.push(target);
        }
        brought.attention.append(&mut seen.attention);
    }
    let mut names = target::Names::default();
    for row in notifiers {
        let mut seen = row.look("notifiers");
        if let Some(notifier) = notifier::bring(row, &mut names, types, &mut seen) {
            brought.notifiers.push(notifier);
        }
        brought.attention.append(&mut seen.attention);
    }
    brought
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::notifier::any_type;

    const TARGET: [&str; 23] = [
        "1",
        "shop",
        "0",
        "PASS",
        "OK",
        "PASS",
        "2014-05-06 12:00:00",
        "http://shop.example/",
        "GET",
        "NONE",
        "",
        "200",
        "30",
        "10",
        "100",
        "7",
        "100",
        "0",
        "3",
        "4",
        "0",
        "0",
        "1",
    ];
    const NOTIFIER: [&str; 8] =
        ["1", "ops", "SMTP", "ops@example.com", "user=u,password=hunter2,server=smtp.example.com", "12", "3", "1"];

    fn changed(columns: &[&'static str], values: &[&str], changes: &[(&str, &str)]) -> OldRow {
        let value = |c: &str, v: &str| changes.iter().rev().find(|(k, _)| *k == c).map_or(v, |(_, v)| *v).to_owned();
        OldRow(columns.iter().zip(values).map(|(c, v)| (*c, Some(value(c, v)))).collect())
    }

    /// A sound row of `targets` with these columns changed.
    pub(super) fn row(changes: &[(&str, &str)]) -> OldRow {
        changed(&TARGET_COLUMNS, &TARGET, changes)
    }

    pub(super) fn notifier_row(changes: &[(&str, &str)]) -> OldRow {
        changed(&NOTIFIER_COLUMNS, &NOTIFIER, changes)
    }

    pub(super) fn target(changes: &[(&str, &str)]) -> (Option<BroughtTarget>, Vec<Attention>) {
        let brought = bring(&[row(changes)], &[], &any_type);
        (brought.targets.into_iter().next(), brought.attention)
    }

    pub(super) fn notifier(changes: &[(&str, &str)]) -> (Option<BroughtNotifier>, Vec<Attention>) {
        let brought = bring(&[], &[notifier_row(changes)], &any_type);
        (brought.notifiers.into_iter().next(), brought.attention)
    }
}
