//! The load bench: the real daemon against an origin of its own, beside the floor of bare sockets.
//!
//! `cargo bench --bench load [-- --only 10k,1k …]`; see benches/README.md.
//!
//! ```text
//!  scenarios --> floor, daemon, floor in turn --requests--> origin (counts them)
//!      '-- /proc (CPU, memory), the control socket, the database (rows) --> report
//! ```
#![expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "figures")]

mod connections;
mod daemon;
mod database;
mod floor;
mod keystone;
mod mail;
mod openstack;
mod origin;
mod pairs;
mod persist;
mod process;
mod receiver;
mod report;
mod roles;
mod scale;
mod scenarios;
mod sink;
mod stopped;
mod storm;
mod timer;
mod tls;
mod tokens;
mod window;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

/// The floor gets the daemon's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Runs the daemon under load and prints what it costs.
#[derive(Parser, Clone)]
#[command(name = "load")]
pub struct Options {
    /// Only these scenarios, with commas, or `all`; see --list. Without it those of the table of goals.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// List the scenarios and end.
    #[arg(long)]
    list: bool,
    /// Length of each window in seconds; 10, and 60 in the scenario `openstack`.
    #[arg(long)]
    seconds: Option<u64>,
    /// A MySQL or MariaDB server instead of SQLite: mysql://user:password@host:port, with the right to make the database
    /// skypunch_bench, which is dropped before and after.
    #[arg(long, value_name = "URL")]
    mysql: Option<String>,
    /// Also write the figures here as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Priority of origin, floor and daemon (-20 to 19) where other work runs on the machine; below 0 only for root.
    #[arg(long, allow_hyphen_values = true)]
    nice: Option<i32>,
    /// Lines to add to the daemon's settings file, such as "[probe]\narbiters = 2".
    #[arg(long, value_name = "TOML")]
    settings: Option<String>,
    /// Leave the floor out.
    #[arg(long)]
    no_floor: bool,
    /// Targets of the scenarios `idle` and `minute`.
    #[arg(long, default_value_t = 100_000)]
    idle_targets: usize,
    /// Rows in the database before the scenario `persist` measures.
    #[arg(long, default_value_t = 500_000)]
    rows: usize,
    /// Pairs of storms, without and with notifiers, that the scenario `storm` compares; 25 seconds each.
    #[arg(long, default_value_t = 3)]
    pairs: usize,
    /// A mail server without login for the scenario `mail` instead of the bench's own sink; it gets thousands of mails to
    /// ops@example.com, so make sure that none leaves it.
    #[arg(long, value_name = "HOST:PORT")]
    smtp: Option<String>,
    /// What cargo adds.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    fn window(&self) -> Duration {
        Duration::from_secs(self.seconds.unwrap_or(10))
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.split_first() {
        Some((role, rest)) if role == "origin" => origin::run(rest).map(|()| ExitCode::SUCCESS),
        Some((role, _)) if role == "receiver" => receiver::run().map(|()| ExitCode::SUCCESS),
        Some((role, _)) if role == "sink" => sink::run().map(|()| ExitCode::SUCCESS),
        Some((role, rest)) if role == "floor" => floor::run(rest).map(|()| ExitCode::SUCCESS),
        Some((role, rest)) if role == "timer" => timer::run(rest).map(|()| ExitCode::SUCCESS),
        Some((role, rest)) if role == "guard" => match rest.split_first() {
            Some((folder, command)) => roles::guard(Path::new(folder), command),
            None => Err("guard FOLDER COMMAND".into()),
        },
        // `cargo test --all-targets` runs this too, without --bench.
        None => {
            println!("nothing is measured without --bench, which `cargo bench` adds");
            Ok(ExitCode::SUCCESS)
        }
        Some(_) => bench(&Options::parse()).map(|()| ExitCode::SUCCESS),
    };
    result.unwrap_or_else(|e| {
        eprintln!("load: {e}");
        ExitCode::FAILURE
    })
}

fn bench(options: &Options) -> Outcome<()> {
    if options.list {
        for (name, what, _) in scenarios::ALL {
            println!("{name:<10} {what}");
        }
        return Ok(());
    }
    let standard: Vec<&str> = scenarios::STANDARD.to_vec();
    let asked: Vec<&str> = options.only.iter().map(String::as_str).collect();
    let asked = if asked.is_empty() { standard } else { asked };
    for name in asked.iter().filter(|name| **name != "all") {
        if !scenarios::ALL.iter().any(|s| s.0 == *name) {
            return Err(format!("there is no scenario {name}; see --list").into());
        }
    }
    raise_descriptor_limit();
    let (mut reports, mut failed) = (Vec::new(), Vec::new());
    for (name, what, run) in scenarios::ALL {
        if asked.contains(&"all") || asked.contains(&name) {
            eprintln!("running {name}: {what}");
            match run(options) {
                Ok(report) => {
                    report.print();
                    reports.push(report);
                }
                // The others tell as much without it.
                Err(e) => {
                    eprintln!("load: {name}: {e}");
                    failed.push(name);
                }
            }
        }
    }
    if let Some(file) = &options.json {
        report::write_json(file, &reports)?;
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("not measured: {}", failed.join(", ")).into()) }
}

/// For the processes that it starts: the origin may hold many connections.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Without it the limit of the shell stands, which is enough for most.
    let _kept = setrlimit(Resource::Nofile, limit);
}
