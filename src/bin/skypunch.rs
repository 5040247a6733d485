//! The daemon: `skypunch [run] [--config FILE] [--targets FILE]`, and what is done while none runs: `check`, `restore`,
//! `import-legacy`.

use std::process::ExitCode;

use clap::Parser;
use skypunch::cli::args::{ImportLegacyArgs, TlsArg};
use skypunch::cli::daemon::{Arguments, Command, Files, Restore};
use skypunch::{app, config};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What this process is for.
enum Job {
    Run,
    Check,
    Restore(app::Wish),
    ImportLegacy(app::LegacyWish),
}

fn main() -> ExitCode {
    // Before anything secret is read.
    app::place::keep_memory_private();
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
            eprintln!("skypunch: {}", app::escape_lines(&app::with_causes(&e)));
            return ExitCode::from(2);
        }
    };
    match job {
        Job::Run => app::run(&settings, files.config, files.targets),
        Job::Check => app::check(&settings, files.targets.as_deref()),
        Job::Restore(wish) => app::restore(&settings, &wish),
        Job::ImportLegacy(wish) => app::import_legacy(&settings, &wish),
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
