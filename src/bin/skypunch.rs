//! The daemon: `skypunch [run] [--config FILE] [--targets FILE]`, `skypunch check …`.

use std::process::ExitCode;

use clap::Parser;
use skypunch::cli::daemon::{Arguments, Command};
use skypunch::{app, config};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (files, check) = match arguments.command {
        Some(Command::Check(files)) => (files, true),
        Some(Command::Run(files)) => (files, false),
        None => (arguments.files, false),
    };
    // Two TLS stacks share the process (probes, database): both use ring.
    // An error means that somebody has installed one already.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let env = config::text_vars(std::env::vars_os());
    match config::load(files.config.as_deref(), &[], env) {
        Ok(settings) if check => app::check(&settings, files.targets.as_deref()),
        Ok(settings) => app::run(&settings, files.config, files.targets),
        Err(e) => {
            eprintln!("skypunch: {}", app::with_causes(&e));
            ExitCode::from(2)
        }
    }
}
