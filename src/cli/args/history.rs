//! Arguments of the commands that look back.

use std::time::Duration;

use crate::control::api::TargetRef;
use crate::model::text::quoted;

/// `incidents`.
#[derive(Debug, clap::Args)]
pub struct IncidentsArgs {
    /// One incident
    #[arg(value_parser = incident_id)]
    pub id: Option<i64>,
    /// Only those of this target
    #[arg(long, value_name = "ID|NAME", conflicts_with = "id")]
    pub target: Option<TargetRef>,
    /// Only those that have not ended
    #[arg(long, conflicts_with = "id")]
    pub open: bool,
    /// At most so many, the latest
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
}

/// `history`.
#[derive(Debug, clap::Args)]
pub struct HistoryArgs {
    /// The target: its id, its name or tenant/name
    #[arg(value_name = "ID|NAME")]
    pub target: TargetRef,
    /// Only the last hour (1h), ten minutes (10m), …
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub since: Option<Duration>,
    /// At most so many, the latest
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
}

fn incident_id(text: &str) -> Result<i64, String> {
    text.parse().ok().filter(|id| *id >= 0).ok_or_else(|| {
        format!("{} is no incident id: write the digits that `skypunchctl incidents` shows", quoted(text))
    })
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|_| format!("{} is not a duration: write for example 30s, 10m, 1h or 2days", quoted(text)))
}
