//! `doctor`, as clap reads it.

use std::path::PathBuf;

/// `doctor`.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// Settings of the daemon [default: those of the daemon that answers, else where a daemon would look]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}
