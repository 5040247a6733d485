//! The daemon: `skypunch [run] [--config FILE] [--targets FILE]`, `skypunch check …`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use skypunch::{app, config};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Watches cloud services: probes targets on their own schedules, records every result.
#[derive(Parser)]
#[command(name = "skypunch", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    files: Files,
}

#[derive(Subcommand)]
enum Command {
    /// Run in the foreground until SIGTERM or `skypunchctl stop` (the default).
    Run(Files),
    /// Check the settings and the targets file, change nothing; exit code 0 or 2.
    Check(Files),
    /// Bring back what `skypunchctl backup` saved; the daemon must be stopped.
    Restore(Restore),
}

#[derive(clap::Args)]
struct Restore {
    /// The backup.
    file: PathBuf,
    /// Settings file, as for the daemon: it says which database and which state folder.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Say what is in the backup and what would be replaced; change nothing.
    #[arg(long)]
    plan: bool,
    /// Replace what the database and the state folder hold.
    #[arg(long)]
    force: bool,
}

#[derive(clap::Args)]
struct Files {
    /// Settings file; by default /etc/skypunch/skypunch.toml (root) or the user's, where there is one.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Targets file to apply at start, when its content has changed.
    #[arg(long, value_name = "FILE")]
    targets: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (files, check, wish) = match arguments.command {
        Some(Command::Check(files)) => (files, true, None),
        Some(Command::Run(files)) => (files, false, None),
        Some(Command::Restore(Restore { file, config, plan, force })) => {
            (Files { config, targets: None }, false, Some(app::Wish { file, plan, force }))
        }
        None => (arguments.files, false, None),
    };
    // Two TLS stacks share the process (probes, database): both use ring.
    // An error means that somebody has installed one already.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let env = config::text_vars(std::env::vars_os());
    match (config::load(files.config.as_deref(), &[], env), wish) {
        (Ok(settings), Some(wish)) => app::restore(&settings, &wish),
        (Ok(settings), None) if check => app::check(&settings, files.targets.as_deref()),
        (Ok(settings), None) => app::run(&settings, files.targets),
        (Err(e), _) => {
            eprintln!("skypunch: {}", app::with_causes(&e));
            ExitCode::from(2)
        }
    }
}
