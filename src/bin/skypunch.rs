//! The daemon: `skypunch [run] [--config FILE] [--targets FILE]`, `skypunch check …`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use skypunch::cli::args::{ImportLegacyArgs, TlsArg};
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
    /// Bring targets, notifiers, their states and counters over from the database of skypunch 0.3.0, which is only read.
    ImportLegacy(ImportLegacyArgs),
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
    let (files, job) = match arguments.command {
        Some(Command::Check(files)) => (files, Job::Check),
        Some(Command::Run(files)) => (files, Job::Run),
        Some(Command::Restore(Restore { file, config, plan, force })) => {
            (Files { config, targets: None }, Job::Restore(app::Wish { file, plan, force }))
        }
        Some(Command::ImportLegacy(args)) => {
            (Files { config: args.config.clone(), targets: None }, Job::ImportLegacy(legacy_wish(args)))
        }
        None => (arguments.files, Job::Run),
    };
    // Two TLS stacks share the process (probes, database): both use ring.
    // An error means that somebody has installed one already.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let env = config::text_vars(std::env::vars_os());
    let settings = match config::load(files.config.as_deref(), &[], env) {
        Ok(settings) => settings,
        Err(e) => {
            eprintln!("skypunch: {}", app::with_causes(&e));
            return ExitCode::from(2);
        }
    };
    match job {
        Job::Run => app::run(&settings, files.targets),
        Job::Check => app::check(&settings, files.targets.as_deref()),
        Job::Restore(wish) => app::restore(&settings, &wish),
        Job::ImportLegacy(wish) => app::import_legacy(&settings, &wish),
    }
}

/// What this process is for.
enum Job {
    Run,
    Check,
    Restore(app::Wish),
    ImportLegacy(app::LegacyWish),
}

fn legacy_wish(args: ImportLegacyArgs) -> app::LegacyWish {
    app::LegacyWish {
        from: args.from,
        from_config: args.from_config,
        password_stdin: args.password_stdin,
        plan: args.plan,
        tls: match args.tls {
            TlsArg::Off => config::TlsMode::Off,
            TlsArg::Encrypt => config::TlsMode::Encrypt,
            TlsArg::Verify => config::TlsMode::Verify,
        },
        tls_ca: args.tls_ca,
    }
}
