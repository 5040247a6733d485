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
    /// Bring targets, notifiers, their states and counters over from the database of skypunch 0.3.0, which is only read.
    ImportLegacy(ImportLegacyArgs),
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
    let (files, check, legacy) = match arguments.command {
        Some(Command::Check(files)) => (files, true, None),
        Some(Command::Run(files)) => (files, false, None),
        Some(Command::ImportLegacy(args)) => {
            (Files { config: args.config.clone(), targets: None }, false, Some(legacy_wish(args)))
        }
        None => (arguments.files, false, None),
    };
    // Two TLS stacks share the process (probes, database): both use ring.
    // An error means that somebody has installed one already.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let env = config::text_vars(std::env::vars_os());
    match config::load(files.config.as_deref(), &[], env) {
        Ok(settings) if legacy.is_some() => {
            legacy.map_or(ExitCode::FAILURE, |wish| app::import_legacy(&settings, &wish))
        }
        Ok(settings) if check => app::check(&settings, files.targets.as_deref()),
        Ok(settings) => app::run(&settings, files.targets),
        Err(e) => {
            eprintln!("skypunch: {}", app::with_causes(&e));
            ExitCode::from(2)
        }
    }
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
