//! `[metrics]`: which time series there are.

use super::layers::Reader;
use super::sections::number;
use super::values;
use crate::model::series::{PerTarget, SeriesPolicy};

/// Reads them.
pub(super) fn read(r: &mut Reader) -> SeriesPolicy {
    const PER_TARGET: [(&str, PerTarget); 3] =
        [("off", PerTarget::Off), ("gauges", PerTarget::Gauges), ("histograms", PerTarget::Histograms)];
    let default = SeriesPolicy::default();
    let policy = SeriesPolicy {
        per_target: r.get("metrics.per_target", default.per_target, |g| values::one_of(g, &PER_TARGET)),
        target_tags: r.get("metrics.target_tags", Vec::new(), values::tags),
        max_targets: number(r, "metrics.max_targets", default.max_targets, 0, 1_000_000),
        max_histograms: number(r, "metrics.max_histograms", default.max_histograms, 0, 10_000),
    };
    if policy.per_target == PerTarget::Off && !policy.target_tags.is_empty() {
        r.wrong("metrics.target_tags", "is of no use with per_target = \"off\": leave one of them out");
    }
    policy
}
