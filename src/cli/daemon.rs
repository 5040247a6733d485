//! The command line of the daemon, `skypunch`: here, so that its manual page and completions are made with the others.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use super::args::ImportLegacyArgs;

/// Watches cloud services: probes targets on their own schedules, records every result.
#[derive(Debug, Parser)]
#[command(name = "skypunch", version, args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub struct Arguments {
    /// What to do; without one it runs.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The files of a run.
    #[command(flatten)]
    pub files: Files,
}

/// What the daemon's program does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run in the foreground until SIGTERM or `skypunchctl stop` (the default)
    Run(Files),
    /// Check the settings and the targets file, change nothing; exit code 0 or 2
    Check(Files),
    /// Bring back what `skypunchctl backup` saved; the daemon must be stopped
    Restore(Restore),
    /// Bring targets, notifiers, their states and counters over from the database of skypunch 0.3.0, which is only read
    ImportLegacy(ImportLegacyArgs),
}

/// `restore`.
#[derive(Debug, clap::Args)]
pub struct Restore {
    /// The backup
    pub file: PathBuf,
    /// Settings file, as for the daemon: it says which database and which state folder
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Say what is in the backup and what would be replaced; change nothing
    #[arg(long)]
    pub plan: bool,
    /// Replace what the database and the state folder hold
    #[arg(long)]
    pub force: bool,
}

/// The files of a run.
#[derive(Debug, clap::Args)]
pub struct Files {
    /// Settings file; by default /etc/skypunch/skypunch.toml (root, and the systemd service) or the user's, where there is one
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Targets file to apply at start, when its content has changed
    #[arg(long, value_name = "FILE")]
    pub targets: Option<PathBuf>,
}
