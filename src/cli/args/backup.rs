//! `backup`, as clap reads it.

use std::path::PathBuf;

/// `backup`.
#[derive(Debug, clap::Args)]
pub struct BackupArgs {
    /// The file to make; `-` is standard output
    pub file: PathBuf,
    /// The results too, which may be many: what each probe saw
    #[arg(long)]
    pub results: bool,
    /// Replace the file if there is one
    #[arg(long)]
    pub force: bool,
}
