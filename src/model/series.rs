//! Which time series there are beside those of the daemon itself: `[metrics]` of the settings.
//!
//! Series of targets and tags are what can make a scrape large, so each kind has a bound, and a metric says how many did
//! not fit.

use super::target::Target;

/// What each target has of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PerTarget {
    /// Nothing.
    Off,
    /// Status, last duration, last probe, expiry of the certificate.
    Gauges,
    /// These, and histograms of its durations.
    Histograms,
}

/// Which series there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesPolicy {
    /// What each target has of its own.
    pub per_target: PerTarget,
    /// Only targets with one of these tags have it; empty: all.
    pub target_tags: Vec<String>,
    /// At most so many targets have gauges: those with the lowest ids.
    pub max_targets: usize,
    /// At most so many tags, and so many targets, have histograms: the first by name, and those with the lowest ids.
    pub max_histograms: usize,
}

impl Default for SeriesPolicy {
    fn default() -> Self {
        SeriesPolicy {
            per_target: PerTarget::Gauges,
            target_tags: Vec::new(),
            max_targets: 10_000,
            max_histograms: 100,
        }
    }
}

impl SeriesPolicy {
    /// Whether this target has series of its own, as far as there is room.
    #[must_use]
    pub fn wants(&self, target: &Target) -> bool {
        let tagged = || self.target_tags.is_empty() || target.tags.iter().any(|t| self.target_tags.contains(t));
        self.per_target != PerTarget::Off && target.enabled && tagged()
    }
}
