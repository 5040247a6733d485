//! Targets by status, and the gauges of each.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::super::Context;
use crate::board::metrics::Whose;
use crate::model::exposition::{Exposition, Kind::Gauge, Value};
use crate::model::series::PerTarget;
use crate::model::state::Status;
use crate::model::target::{Target, TargetId};
use crate::model::time::UtcMs;

/// A target as it stands at the moment of the scrape.
struct Seen {
    target: Arc<Target>,
    status: Status,
    last_updated: Option<UtcMs>,
    last_latency_us: Option<u32>,
    certificate_expires_at: Option<UtcMs>,
}

/// What the families of probes need of targets: the names of those that have series of their own.
pub struct Shown(HashMap<TargetId, Arc<Target>>);

impl Shown {
    pub fn get(&self, id: TargetId) -> Option<&Target> {
        self.0.get(&id).map(|t| &**t)
    }
}

pub fn families(page: &mut Exposition, context: &Context) -> Shown {
    let metrics = &context.board.metrics;
    let policy = &metrics.policy;
    let (mut seen, mut tags, mut wanted) = (Vec::new(), BTreeSet::new(), 0);
    let mut counts = [0_u64; 4];
    let (mut disabled, mut invalid) = (0_u64, 0_u64);
    for (_, entry) in context.board.all() {
        // Held for copying only: the target's actor waits for it.
        let data = entry.lock();
        invalid += u64::from(data.invalid.is_some());
        let Some(target) = &data.target else { continue };
        if !target.enabled {
            disabled += 1;
            continue;
        }
        counts[data.state.status() as usize] += 1;
        for tag in &target.tags {
            if !tags.contains(tag.as_str()) {
                tags.insert(tag.clone());
            }
        }
        if policy.wants(target) {
            wanted += 1;
            if seen.len() < policy.max_targets {
                seen.push(Seen {
                    target: Arc::clone(target),
                    status: data.state.status(),
                    last_updated: data.state.last_updated,
                    last_latency_us: data.state.last_latency_us,
                    certificate_expires_at: data.state.certificate_expires_at,
                });
            }
        }
    }
    page.family("skypunch_targets", Gauge, "Targets by status; DISABLED are not probed.");
    for status in [Status::New, Status::Pass, Status::Fail, Status::Unknown] {
        page.sample(&[("status", status.as_str())], counts[status as usize]);
    }
    page.sample(&[("status", "DISABLED")], disabled);
    page.single("skypunch_targets_invalid", Gauge, "Rows of targets that are wrong and not in force.", invalid);
    let left_out = wanted - seen.len();
    page.single(
        "skypunch_metrics_targets_left_out",
        Gauge,
        "Targets without gauges of their own since there are more than metrics.max_targets.",
        left_out,
    );
    let with_histograms = if policy.per_target == PerTarget::Histograms { seen.len() } else { 0 };
    let most = policy.max_histograms;
    page.single(
        "skypunch_metrics_histograms_left_out",
        Gauge,
        "Tags and targets without histograms of their own since there are more than metrics.max_histograms.",
        tags.len().saturating_sub(most)
            + if with_histograms > 0 { (left_out + with_histograms).saturating_sub(most) } else { 0 },
    );
    let plan_tags = tags.into_iter().take(most).map(Whose::Tag);
    let plan_targets = seen.iter().take(with_histograms.min(most)).map(|s| Whose::Target(s.target.id));
    metrics.plan(&plan_tags.chain(plan_targets).collect::<Vec<_>>());
    gauges(page, &seen);
    Shown(seen.into_iter().take(most).map(|s| (s.target.id, s.target)).collect())
}

fn gauges(page: &mut Exposition, seen: &[Seen]) {
    if seen.is_empty() {
        return;
    }
    let mut family = |name, help, value: &dyn Fn(&Seen) -> Option<Value>| {
        page.family(name, Gauge, help);
        for s in seen {
            if let Some(value) = value(s) {
                page.sample(&[("tenant", &s.target.tenant), ("target", &s.target.name)], value);
            }
        }
    };
    family("skypunch_target_status", "Where the target stands: 0 NEW, 1 PASS, 2 FAIL, 3 UNKNOWN.", &|s| {
        Some(Value::from(s.status as u8))
    });
    family("skypunch_target_last_duration_seconds", "How long the last probe took, without obtaining a token.", &|s| {
        s.last_latency_us.map(|us| Value::seconds(us.into()))
    });
    family("skypunch_target_last_probe_timestamp_seconds", "When the last probe ended, in seconds since 1970.", &|s| {
        s.last_updated.map(Value::unix)
    });
    family(
        "skypunch_target_certificate_expiry_timestamp_seconds",
        "When the certificate that the target last showed ends, in seconds since 1970.",
        &|s| s.certificate_expires_at.map(Value::unix),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_status_is_the_documented_one() {
        let numbers = [Status::New, Status::Pass, Status::Fail, Status::Unknown].map(|s| s as u8);
        assert_eq!(numbers, [0, 1, 2, 3]);
    }
}
