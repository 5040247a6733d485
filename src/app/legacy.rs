//! `skypunch import-legacy`: what skypunch 0.3.0 has in its database, brought into the configured one.
//!
//! ```text
//!  --from, skypunch.config --> read_legacy (READ ONLY) --bring--> Brought --plan--> report
//!                                                  what is here, marks --'   '--unless --plan--> Store::import
//! ```
//!
//! A daemon that works on the database would not see states that are written beside it, and would write its own over
//! them: the lease and the lock of the state folder are taken for as long as the import lasts.

use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use super::{EXIT_INPUT, escape_lines, fresh_writer, notifying, place, startup, with_causes};
use crate::actors::databases::{is_alive, this_process};
use crate::clock::Clock;
use crate::config::{Settings, TlsMode};
use crate::import::legacy::source::{OldPlace, from_config, from_url};
use crate::import::legacy::{ImportMark, LegacyPlan, bring, plan, report, written};
use crate::model::definition::Definition;
use crate::model::notifier::NotifierDefinition;
use crate::model::text::clean;
use crate::secret::{Secret, SecretPolicy, read_regular};
use crate::store::{ConnectOptions, DatabaseUrl, ImportStamp, LeaseOutcome, Store, StoreError, Tls, read_legacy};

/// How long the lease on the database is taken: no import takes longer, and one that is killed on another host is over then.
const LEASE: Duration = Duration::from_secs(120);
/// The longest wait for one answer of the old database.
const OLD_TIMEOUT: Duration = Duration::from_secs(30);
/// A longer file is no skypunch.config, and no password.
const MAX_BYTES: u64 = 64 * 1024;

/// What to import, and how.
#[derive(Debug)]
pub struct LegacyWish {
    /// `--from`.
    pub from: Option<String>,
    /// `--from-config`.
    pub from_config: Option<PathBuf>,
    /// The password comes by standard input.
    pub password_stdin: bool,
    /// Change nothing.
    pub plan: bool,
    /// TLS on the way to the old database.
    pub tls: TlsMode,
    /// The authorities of its certificate.
    pub tls_ca: Option<PathBuf>,
}

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
enum LegacyError {
    /// Something that was typed or read is wrong.
    #[error("{0}")]
    Input(String),
    /// A database does not do what is asked.
    #[error("{what}")]
    Store { what: String, source: StoreError },
    /// The report cannot be written.
    #[error("the output cannot be written")]
    Output(#[source] io::Error),
}

/// Imports, and says what was done. Exit code 0; 2 when something that was asked for is wrong; 1 when it failed.
#[must_use]
pub fn import_legacy(settings: &Settings, wish: &LegacyWish) -> ExitCode {
    match import(settings, wish) {
        Ok(text) => match write_out(&text) {
            Ok(()) => ExitCode::SUCCESS,
            Err(e) => refuse(&LegacyError::Output(e)),
        },
        Err(e) => refuse(&e),
    }
}

fn refuse(error: &LegacyError) -> ExitCode {
    eprintln!("skypunch: {}", escape_lines(&with_causes(error)));
    match error {
        LegacyError::Input(_) => ExitCode::from(EXIT_INPUT),
        LegacyError::Store { source, .. } if !source.is_away() => ExitCode::from(EXIT_INPUT),
        LegacyError::Store { .. } | LegacyError::Output(_) => ExitCode::FAILURE,
    }
}

fn write_out(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // A reader that has gone has read enough.
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(e),
        _ => Ok(()),
    }
}

fn import(settings: &Settings, wish: &LegacyWish) -> Result<String, LegacyError> {
    let input = |e: StoreError| LegacyError::Input(with_causes(&e));
    let place = old_place(wish)?;
    let from = DatabaseUrl::parse(&place.url).map_err(input)?;
    let to = startup::database_url(settings).map_err(|e| LegacyError::Input(with_causes(e.as_ref())))?;
    if from.to_string() == to.to_string() {
        return Err(LegacyError::Input(format!(
            "--from names the database that [database] url names too ({to}): give this version one of its own"
        )));
    }
    let from = match password(settings, wish, place.password)? {
        Some(password) => from.with_password(password),
        None => from,
    };
    let (shown, to_shown) = (from.to_string(), to.to_string());
    let options = ConnectOptions { tls: tls(wish), timeout: OLD_TIMEOUT };
    let old = read_legacy(&from, &options)
        .map_err(|source| LegacyError::Store { what: format!("the old database {shown}"), source })?;
    let (catalogue, _) = notifying::catalogue(settings);
    let brought = bring(&old.targets, &old.notifiers, &*notifying::types(&catalogue));
    let failed = |source| LegacyError::Store { what: format!("the database {to_shown}"), source };
    let planned = if wish.plan {
        let (targets, notifiers, marks) = look(settings, &to).map_err(failed)?;
        plan(brought, &targets, &notifiers, &marks)
    } else {
        let _lock = place::lock_state(&settings.state.dir).map_err(|e| {
            if !matches!(e, place::PlaceError::Running { .. }) {
                return LegacyError::Input(with_causes(&e));
            }
            LegacyError::Input(format!(
                "{}: stop it for the import (skypunchctl stop), and start it afterwards",
                with_causes(&e)
            ))
        })?;
        let make = |existing: &Existing| plan(brought, &existing.0, &existing.1, &existing.2);
        write(settings, &to, &shown, make).map_err(failed)?
    };
    let mut text = report(&planned, &shown, &to_shown, wish.plan);
    if !old.more_columns.is_empty() {
        text.push_str(&format!(
            "columns that 0.3.0 did not have were not looked at: {}\n",
            old.more_columns.join(", ")
        ));
    }
    text.push_str(written(&planned, wish.plan));
    Ok(text)
}

/// What is in the main database.
type Existing = (Vec<Definition>, Vec<NotifierDefinition>, Vec<ImportMark>);

/// Looks without changing anything: a file that is not there is not made, an older schema stays as it is.
fn look(settings: &Settings, to: &DatabaseUrl) -> Result<Existing, StoreError> {
    if to.sqlite_file().is_some_and(|file| !file.exists()) {
        return Ok(Existing::default());
    }
    let mut store = Store::connect(to, &startup::connect_options(settings))?;
    if store.is_migrated()? {
        return existing(&mut store);
    }
    // Empty, or of an older version: then there are no marks yet.
    let Ok(targets) = store.load_definitions() else { return Ok(Existing::default()) };
    Ok((targets, store.load_notifiers()?, Vec::new()))
}

fn existing(store: &mut Store) -> Result<Existing, StoreError> {
    Ok((store.load_definitions()?, store.load_notifiers()?, store.import_marks()?))
}

/// Makes the plan on what is there, and carries it out, while the database is ours.
fn write(
    settings: &Settings,
    to: &DatabaseUrl,
    source: &str,
    make: impl FnOnce(&Existing) -> LegacyPlan,
) -> Result<LegacyPlan, StoreError> {
    let clock = Clock::system();
    if let Some(dir) = to.sqlite_file().and_then(Path::parent).filter(|d| !d.as_os_str().is_empty()) {
        place::make_folder(dir, "database.url")?;
    }
    let mut store = Store::connect(to, &startup::connect_options(settings))?;
    store.migrate()?;
    let me = this_process(fresh_writer(&clock));
    if let LeaseOutcome::HeldBy { holder, .. } = store.acquire_lease(&me, clock.utc_now(), LEASE, is_alive)? {
        return Err(StoreError::Setting(format!(
            "a daemon works on it (pid {} on {}): stop it for the import (skypunchctl stop), and start it afterwards; it would \
             write over the states that are brought in beside it",
            holder.pid,
            clean(&holder.host, 255)
        )));
    }
    let planned = make(&existing(&mut store)?);
    let stamp = ImportStamp { source, writer: me.writer, now: clock.utc_now() };
    let done = store.import(&planned.targets, &planned.notifiers, stamp);
    // A connection that is lost leaves the lease, which ends by itself; on this host it is ours to replace at once.
    let _released = store.release_lease(&me);
    done.map(|()| planned)
}

/// Where the old database is, from the command line and the old configuration.
fn old_place(wish: &LegacyWish) -> Result<OldPlace, LegacyError> {
    let config = wish.from_config.as_deref().map(read_config).transpose()?;
    match (&wish.from, config) {
        (Some(url), config) => {
            let place = from_url(url).map_err(LegacyError::Input)?;
            let password = place.password.or(config.and_then(|c| c.password));
            Ok(OldPlace { password, ..place })
        }
        (None, Some(config)) => Ok(config),
        (None, None) => Err(LegacyError::Input("name the old database: --from URL, or --from-config FILE".into())),
    }
}

fn read_config(file: &Path) -> Result<OldPlace, LegacyError> {
    let shown = file.display();
    let (bytes, _) =
        read_regular(file, MAX_BYTES).map_err(|e| LegacyError::Input(format!("{shown} cannot be read: {e}")))?;
    let text = String::from_utf8(bytes).map_err(|_| LegacyError::Input(format!("{shown} is not UTF-8 text")))?;
    from_config(&text).map_err(|why| LegacyError::Input(format!("{shown} {why}")))
}

/// The password: by standard input, as it was written, or asked for where somebody can answer.
fn password(settings: &Settings, wish: &LegacyWish, written: Option<Secret>) -> Result<Option<Secret>, LegacyError> {
    let unread = |e: io::Error| LegacyError::Input(format!("the password cannot be read: {e}"));
    if wish.password_stdin {
        let mut text = String::new();
        io::stdin().lock().take(MAX_BYTES).read_to_string(&mut text).map_err(unread)?;
        return Ok(Some(Secret::new(text.lines().next().unwrap_or_default())));
    }
    if let Some(written) = written {
        let resolved = policy(settings, &written).resolve(&written);
        return resolved.map(Some).map_err(|e| LegacyError::Input(with_causes(&e)));
    }
    if !io::stdin().is_terminal() {
        return Ok(None);
    }
    let asked = rpassword::prompt_password("Password of the old database (none: Enter): ").map_err(unread)?;
    Ok(Some(asked).filter(|p| !p.is_empty()).map(Secret::new))
}

/// Who types a reference may read what it means anyway: it needs not be named in `[secrets]`, which keeps those who write
/// targets from reading the daemon's files.
fn policy(settings: &Settings, reference: &Secret) -> SecretPolicy {
    let inner = reference.expose().strip_prefix("${").and_then(|r| r.strip_suffix('}')).unwrap_or_default();
    let mut policy = settings.secrets.clone();
    match inner.split_once(':') {
        Some(("env", name)) => policy.environment.push(name.to_owned()),
        Some(("file", path)) => policy.folders.extend(Path::new(path).parent().map(Path::to_owned)),
        _ => {}
    }
    policy
}

fn tls(wish: &LegacyWish) -> Tls {
    match wish.tls {
        TlsMode::Off => Tls::Off,
        TlsMode::Encrypt => Tls::Encrypt,
        TlsMode::Verify => Tls::Verify { ca: wish.tls_ca.clone() },
    }
}
