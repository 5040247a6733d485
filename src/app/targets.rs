//! `--targets FILE`: applied once at start through the same rules as `apply`, again only when its content has changed.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use slog::{Logger, info, warn};

use crate::model::credential::{missing, named_clouds};
use crate::model::notifier::TypeCheck;
use crate::model::plan::{Edits, Planned, PlannedAction, Unplannable, afterwards, plan};
use crate::model::targets_file::{TargetsFile, parse};
use crate::model::text::clean;
use crate::model::time::UtcMs;
use crate::openstack::clouds;
use crate::store::{Store, StoreError};

/// A longer file is no targets file: 100,000 targets make some 30 MB.
const MAX_BYTES: u64 = 256 * 1024 * 1024;

/// Why a targets file was not applied.
#[derive(Debug, thiserror::Error)]
pub enum TargetsError {
    /// It cannot be read.
    #[error("the targets file {} cannot be read", .0.display())]
    Unreadable(PathBuf, #[source] std::io::Error),
    /// It is no text.
    #[error("the targets file {} {what}", path.display())]
    NotText {
        /// Which.
        path: PathBuf,
        /// What it is instead.
        what: &'static str,
    },
    /// It is wrong; every problem is listed.
    #[error("the targets file {} is wrong, nothing of it was applied:\n{list}", path.display())]
    Wrong {
        /// Which.
        path: PathBuf,
        /// A line a problem.
        list: String,
    },
    /// The database refused.
    #[error("the targets file {} could not be applied", .0.display())]
    Store(PathBuf, #[source] StoreError),
}

/// Reads and checks a targets file.
///
/// # Errors
/// It cannot be read, or all that is wrong with it.
pub fn read(file: &Path, types: &TypeCheck) -> Result<(String, TargetsFile), TargetsError> {
    let unreadable = |e| TargetsError::Unreadable(file.to_owned(), e);
    if fs::metadata(file).map_err(unreadable)?.len() > MAX_BYTES {
        return Err(TargetsError::NotText { path: file.to_owned(), what: "is larger than 256 MiB" });
    }
    let bytes = fs::read(file).map_err(unreadable)?;
    let text = String::from_utf8(bytes)
        .map_err(|_| TargetsError::NotText { path: file.to_owned(), what: "is not UTF-8 text" })?;
    let entries = parse(&text, types).map_err(|problems| {
        let list = problems.iter().map(|p| format!("  {p}")).collect::<Vec<_>>().join("\n");
        TargetsError::Wrong { path: file.to_owned(), list }
    })?;
    Ok((text, entries))
}

/// Applies the file unless it was applied before as it is. Edits that were made since in SQL win until it changes.
///
/// # Errors
/// The file or what it asks for is wrong.
pub fn apply_at_start(
    file: &Path,
    state_dir: &Path,
    store: Option<&mut Store>,
    now: UtcMs,
    types: &TypeCheck,
    log: &Logger,
) -> Result<(), TargetsError> {
    let (text, entries) = read(file, types)?;
    let remembered = state_dir.join("applied-targets.toml");
    if fs::read_to_string(&remembered).is_ok_and(|before| before == text) {
        info!(log, "the targets file has not changed since it was applied"; "file" => file.display().to_string());
        return Ok(());
    }
    let Some(store) = store else {
        warn!(log, "the targets file is not applied while the database is away; start again when it is back";
            "file" => file.display().to_string());
        return Ok(());
    };
    let failed = |e| TargetsError::Store(file.to_owned(), e);
    let (there, told) = (store.load_definitions().map_err(failed)?, store.load_notifiers().map_err(failed)?);
    let logins = store.load_credentials().map_err(failed)?;
    let planned = (
        plan(&there, &entries.targets, false, types),
        plan(&told, &entries.notifiers, false, types),
        plan(&logins, &entries.credentials, false, types),
    );
    let (targets, notifiers, credentials) = match planned {
        (Ok(targets), Ok(notifiers), Ok(credentials)) => (targets, notifiers, credentials),
        (a, b, c) => {
            let wrong: Vec<Unplannable> = [a.err(), b.err(), c.err()].into_iter().flatten().flatten().collect();
            let list =
                wrong.iter().flat_map(|w| w.problems.iter().map(move |p| format!("  {} {p}", clean(&w.name, 128))));
            let list = list.collect::<Vec<_>>().join("\n");
            return Err(TargetsError::Wrong { path: file.to_owned(), list });
        }
    };
    let edits = (Edits::of(&targets), Edits::of(&notifiers), Edits::of(&credentials));
    store.apply(&edits.0, &edits.1, &edits.2, now).map_err(failed)?;
    for missing in missing(afterwards(&there, &targets), afterwards(&logins, &credentials)) {
        warn!(log, "the targets file was applied, but a credential is missing"; "why" => missing.to_string());
    }
    for why in clouds::unusable(&named_clouds(afterwards(&there, &targets))) {
        warn!(log, "the targets file was applied, but a cloud cannot be used"; "why" => why);
    }
    info!(log, "the targets file was applied"; "file" => file.display().to_string(), "targets" => targets.len(),
        "notifiers" => notifiers.len(), "credentials" => credentials.len(),
        "changed" => changed(&targets) + changed(&notifiers) + changed(&credentials));
    if let Err(e) = remember(&remembered, &text) {
        warn!(log, "what was applied cannot be remembered: the targets file will be applied at the next start again"; "error" => %e);
    }
    Ok(())
}

fn changed<D>(planned: &[Planned<D>]) -> usize {
    planned.iter().filter(|p| p.action != PlannedAction::Unchanged).count()
}

/// The content may hold secrets: only this user may read it.
fn remember(path: &Path, text: &str) -> std::io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(fresh, path)
}
