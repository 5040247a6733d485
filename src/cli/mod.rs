//! `skypunchctl`: one file per command.
//!
//! ```text
//!  args (clap) --dispatch--> one command --client--> daemon
//!                                '--> text (tables.rs) or JSON --> out (output.rs) --> exit code (exit.rs)
//! ```
//!
//! What a command shows is made by pure functions from the API's types; only [`output::Out`] writes.

pub mod args;
pub mod daemon;
pub mod exit;
pub mod output;
pub mod tables;

mod apply;
mod backup;
mod credentials;
mod doctor;
mod edit;
mod export;
mod facts;
mod fold;
mod history;
mod import;
mod incidents;
mod keys;
mod login;
mod notifiers;
mod openstack;
mod package;
mod place;
mod refuse;
mod reload;
mod sample;
mod start;
mod status;
mod stop;
mod targets;
mod test;
mod types;
mod unit;
mod watch;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use self::args::{AddKind, Args, Command, EditKind, RemoveKind};
use self::exit::{CliError, Exit};
use self::output::Out;
use self::place::Place;
use crate::control::api::{CredentialReference, NotifierRef, TargetRef};
use crate::control::client::Client;
use crate::model::text::escape_controls;

/// Parses the arguments, does what they say and gives the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(e) => {
            // Help and version are printed and are no error; the rest is 2.
            print_usage(&e);
            return if e.use_stderr() { Exit::Input } else { Exit::Done }.into();
        }
    };
    let mut out = Out::new(args.output, args.no_color);
    let result = actix_rt::System::new().block_on(run(args, &mut out));
    match result.and_then(|exit| out.flush().map(|()| exit)) {
        Ok(exit) => exit.into(),
        Err(CliError::BrokenPipe) => Exit::Done.into(),
        Err(error) => {
            // Nobody is left to be told that this cannot be written.
            let _unheard = writeln!(std::io::stderr(), "{}", error.render());
            error.exit().into()
        }
    }
}

/// Prints help, version, or what is wrong with the arguments. clap quotes an argument as it is: one that holds control
/// characters (pasted, or made by a script) must not reach the terminal so, and is read once more with them escaped.
fn print_usage(e: &clap::Error) {
    let escaped = std::env::args_os().map(|a| escape_controls(&a.to_string_lossy()).into_owned());
    let shown = match Args::try_parse_from(escaped) {
        Err(same) if same.kind() == e.kind() => same,
        _ => {
            let _broken_pipe_is_quiet = e.print();
            return;
        }
    };
    let _broken_pipe_is_quiet = shown.print();
}

async fn run(args: Args, out: &mut Out) -> Result<Exit, CliError> {
    let Some(command) = args.command else {
        out.text(&format!("skypunchctl {}\n{}", env!("CARGO_PKG_VERSION"), Args::command().render_help()))?;
        return Ok(Exit::Done);
    };
    let settings = match &command {
        Command::Start(start) => start.config.as_deref(),
        Command::Doctor(doctor) => doctor.config.as_deref(),
        _ => None,
    };
    let place = Place::find(args.socket, settings);
    let client = Client::new(place.socket.clone()).or_read_only(place.read_only.clone());
    let by_digits = matches!(command.target(), Some(TargetRef::Id(_)))
        || matches!(command.notifier(), Some(NotifierRef::Id(_)))
        || matches!(command.credential(), Some(CredentialReference::Id(_)));
    carry_out(command, &client, &place, out).await.map_err(|e| if by_digits { e.about_digits() } else { e })
}

async fn carry_out(command: Command, client: &Client, place: &Place, out: &mut Out) -> Result<Exit, CliError> {
    match command {
        Command::Start(start) => start::run(client, place, &start, out).await,
        Command::Stop => stop::run(client, place, out).await,
        Command::Status => unit::explain(status::run(client, out).await, place),
        Command::Doctor(doctor) => doctor::run(place, &doctor, out).await,
        Command::Reload => reload::run(client, out).await,
        Command::Targets(targets) => targets::run(client, targets, out).await,
        Command::Add { kind: AddKind::Target(keys) } => edit::add(client, keys, out).await,
        Command::Edit { kind: EditKind::Target(edit) } => edit::edit(client, edit, out).await,
        Command::Remove { kind: RemoveKind::Target { target } } => edit::remove(client, &target, out).await,
        Command::Notifiers(notifiers) => notifiers::run(client, notifiers, out).await,
        Command::Add { kind: AddKind::Notifier(keys) } => edit::add_notifier(client, keys, out).await,
        Command::Edit { kind: EditKind::Notifier(args) } => edit::edit_notifier(client, args, out).await,
        Command::Remove { kind: RemoveKind::Notifier { notifier } } => {
            edit::remove_notifier(client, &notifier, out).await
        }
        Command::OpenStack { command } => openstack::run(client, command, out).await,
        Command::Credentials(args) => credentials::run(client, args, out).await,
        Command::Add { kind: AddKind::Credential(keys) } => edit::add_credential(client, keys, out).await,
        Command::Edit { kind: EditKind::Credential(args) } => edit::edit_credential(client, args, out).await,
        Command::Remove { kind: RemoveKind::Credential { credential, force } } => {
            edit::remove_credential(client, &credential, force, out).await
        }
        Command::Apply(apply) => apply::run(client, &apply, out).await,
        Command::Import(args) => import::run(&args, out),
        Command::Export { file } => export::run(client, file.as_deref(), out).await,
        Command::Backup(backup) => backup::run(client, &backup, out).await,
        Command::Incidents(incidents) => incidents::run(client, incidents, out).await,
        Command::History(history) => history::run(client, history, out).await,
        Command::Watch { target } => watch::run(client, target.as_ref(), out).await,
        Command::PackageFiles { dir } => package::run(&dir),
    }
}
