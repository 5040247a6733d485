//! Probes: verdicts, reasons, durations, lateness; by tag and by target where asked.

use std::sync::atomic::Ordering::Relaxed;

use super::super::Context;
use super::targets::Shown;
use crate::board::metrics::{Counted, Durations, PHASES, VERDICTS, Whose};
use crate::model::exposition::{
    Exposition,
    Kind::{Counter, Gauge, Histogram},
};
use crate::model::reason::{Reason, Verdict};

pub fn families(page: &mut Exposition, context: &Context, shown: &Shown) {
    let statistics = &context.board.statistics;
    let totals = context.board.metrics.totals();
    page.single(
        "skypunch_probes_started_total",
        Counter,
        "Probes that were started.",
        statistics.started.load(Relaxed),
    );
    page.single(
        "skypunch_probes_missed_total",
        Counter,
        "Due times at which no probe could start.",
        statistics.missed.load(Relaxed),
    );
    let in_flight = statistics.in_flight.load(Relaxed).max(0);
    page.single("skypunch_probes_in_flight", Gauge, "Probes that run now.", in_flight);
    page.single(
        "skypunch_target_restarts_total",
        Counter,
        "Targets whose actor panicked and was started anew: faults of skypunch.",
        statistics.restarts.load(Relaxed),
    );
    page.family(
        "skypunch_probe_lateness_seconds",
        Histogram,
        "From a probe's due time to its start; probes out of turn are not in it.",
    );
    page.histogram(&[], &totals.lateness);
    page.family(
        "skypunch_probe_results_total",
        Counter,
        "Probes that ended, by verdict and, where that is not PASS, reason.",
    );
    page.sample(&[("verdict", Verdict::Pass.as_str()), ("reason", "")], totals.passed);
    for (reason, n) in Reason::ALL.iter().zip(&totals.reasons) {
        page.sample(&[("verdict", reason.verdict().as_str()), ("reason", reason.as_str())], *n);
    }
    durations(
        page,
        ["skypunch_probe_duration_seconds", "skypunch_probe_phase_duration_seconds"],
        "of all targets",
        &[(Vec::new(), &totals.durations)],
    );

    let of_tags: Vec<(&str, &Counted)> = (totals.counted.iter())
        .filter_map(|c| match &c.whose {
            Whose::Tag(tag) => Some((tag.as_str(), c)),
            Whose::Target(_) => None,
        })
        .collect();
    if !of_tags.is_empty() {
        page.family(
            "skypunch_tag_probe_results_total",
            Counter,
            "Probes of the targets with a tag that ended, by verdict; a target with several tags counts for each.",
        );
        for (tag, counted) in &of_tags {
            for (verdict, n) in VERDICTS.iter().zip(counted.verdicts) {
                page.sample(&[("tag", tag), ("verdict", verdict.as_str())], n);
            }
        }
        let all: Vec<_> = of_tags.iter().map(|(tag, c)| (vec![("tag", *tag)], &c.durations)).collect();
        durations(
            page,
            ["skypunch_tag_probe_duration_seconds", "skypunch_tag_probe_phase_duration_seconds"],
            "of the targets with a tag; a target with several tags counts for each",
            &all,
        );
    }
    let of_targets: Vec<_> = (totals.counted.iter())
        .filter_map(|c| match c.whose {
            Whose::Target(id) => {
                shown.get(id).map(|t| (vec![("tenant", t.tenant.as_str()), ("target", t.name.as_str())], &c.durations))
            }
            Whose::Tag(_) => None,
        })
        .collect();
    if !of_targets.is_empty() {
        durations(
            page,
            ["skypunch_target_probe_duration_seconds", "skypunch_target_probe_phase_duration_seconds"],
            "of one target",
            &of_targets,
        );
    }
}

/// The whole and the phases of probes. A phase that was never reached, as TLS where there is none, has no series.
fn durations(page: &mut Exposition, names: [&'static str; 2], of: &str, all: &[(Vec<(&str, &str)>, &Durations)]) {
    let help = format!("How long probes took, {of}, from start to end without obtaining a token.");
    page.family(names[0], Histogram, &help);
    for (labels, durations) in all {
        page.histogram(labels, &durations.whole);
    }
    if all.iter().all(|(_, d)| d.phases.iter().all(|p| p.count() == 0)) {
        return;
    }
    let help = format!("How long each phase of probes took, {of}; phases that are not reached do not count.");
    page.family(names[1], Histogram, &help);
    for (labels, durations) in all {
        for (phase, histogram) in PHASES.iter().zip(&durations.phases).filter(|(_, h)| h.count() > 0) {
            let labels: Vec<(&str, &str)> = labels.iter().copied().chain([("phase", *phase)]).collect();
            page.histogram(&labels, histogram);
        }
    }
}
