//! What an import says: how many, and each row that somebody should look at.

use super::plan::LegacyPlan;
use super::{Attention, Fate};

/// The report of what is to be done (`--plan`) or was done.
#[must_use]
pub fn report(plan: &LegacyPlan, source: &str, to: &str, only_planned: bool) -> String {
    let verb = if only_planned { "would be brought over" } else { "brought over" };
    let mut text = format!("{source} -> {to}\n");
    let mut line = |what: &str, table: &str, n: usize, before: usize| {
        let mut left: Vec<i64> = of(&plan.attention, table, Fate::LeftOut).map(|a| a.id).collect();
        left.dedup();
        let before = if before == 0 { String::new() } else { format!(", {before} were brought over before") };
        let left = if left.is_empty() { String::new() } else { format!(", {} left out", left.len()) };
        text.push_str(&format!("{what:<9}  {n} {verb}{before}{left}\n"));
    };
    line("targets", "targets", plan.targets.len(), plan.before.0);
    line("notifiers", "notifiers", plan.notifiers.len(), plan.before.1);
    let failing = plan.targets.iter().filter(|t| t.failure.is_some()).count();
    if failing > 0 {
        text.push_str(&format!(
            "{failing} of the targets fail: each has an open incident, of which nobody is told again; it ends with the first PASS\n"
        ));
    }
    if plan.unverified > 0 {
        text.push_str(&format!(
            "{} of the targets are https: 0.3.0 verified no certificate, this version does; where one does not hold, write tls_ca or tls_verify\n",
            plan.unverified
        ));
    }
    if !plan.attention.is_empty() {
        text.push_str("\nrows that need attention:\n");
        plan.attention
            .iter()
            .for_each(|a| text.push_str(&format!("  {}\n", crate::model::text::escape_controls(&a.to_string()))));
    }
    text
}

/// The last line: that nothing was changed, or what to do next.
#[must_use]
pub fn written(plan: &LegacyPlan, only_planned: bool) -> &'static str {
    if only_planned {
        "\nnothing was changed\n"
    } else if plan.targets.is_empty() && plan.notifiers.is_empty() {
        "\nthere was nothing to be done\n"
    } else {
        "\ndone; stop 0.3.0 before you start skypunch, else both tell of each failure\n"
    }
}

fn of<'a>(all: &'a [Attention], table: &'a str, fate: Fate) -> impl Iterator<Item = &'a Attention> {
    all.iter().filter(move |a| a.table == table && a.fate == fate)
}
