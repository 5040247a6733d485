//! `skypunch restore FILE`: brings a backup back, with the daemon stopped.
//!
//! ```text
//!  file --checked as a whole--> place is ours, empty or --force --> state.db.restoring --.
//!                                                              '--> main: marked, filled --+--> both in place, unmarked
//! ```
//!
//! Until the whole file has been found right nothing is touched. Until the mark is gone no daemon works with the main
//! database, so that a restore that was cut off is seen.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::place::{self, StateLock};
use super::{EXIT_INPUT, startup, with_causes};
use crate::actors::databases::{is_alive, this_process};
use crate::clock::Clock;
use crate::config::{DatabaseUrl as UrlSetting, Settings};
use crate::model::backup::{BackupProblem, Checker, Line, MAX_HEADER, MAX_LINE, Summary};
use crate::model::text::{escape_controls, escape_lines};
use crate::model::time::UtcMs;
use crate::store::backup::{Loader, LocalRestore, check_known, local_contents};
use crate::store::{ConnectOptions, DatabaseUrl, Store, StoreError};

/// What is asked for.
#[derive(Debug)]
pub struct Wish {
    /// The backup.
    pub file: PathBuf,
    /// Change nothing.
    pub plan: bool,
    /// Replace what is there.
    pub force: bool,
}

/// Why there was no restore.
#[derive(Debug, thiserror::Error)]
enum RestoreError {
    #[error("{} cannot be read", .0.display())]
    Unreadable(PathBuf, #[source] io::Error),
    #[error("{} {}", .0.display(), .1)]
    Wrong(PathBuf, BackupProblem),
    #[error("{} was taken by a newer skypunch ({}), whose tables this one does not know: use that version", .0.display(), .1)]
    Newer(PathBuf, String),
    #[error("skypunch is running (pid {pid}{}): stop it first", host.as_ref().map_or(String::new(), |h| format!(" on {h}")))]
    Running { pid: u32, host: Option<String> },
    #[error("{0}: use --force to replace it")]
    Occupied(String),
    #[error("{0}")]
    Refused(String),
    /// From here on something was changed.
    #[error("the restore failed: {0}")]
    Failed(String),
}

impl From<StoreError> for RestoreError {
    fn from(e: StoreError) -> Self {
        RestoreError::Refused(with_causes(&e))
    }
}

/// Brings the backup back. Exit code 2 when nothing was changed, 1 when it failed on the way.
#[must_use]
pub fn restore(settings: &Settings, wish: &Wish) -> ExitCode {
    match carry_out(settings, wish) {
        Ok(said) => {
            println!("{}", escape_lines(&said));
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("skypunch: {}", escape_controls(&with_causes(&e)));
            if matches!(e, RestoreError::Failed(_)) { ExitCode::FAILURE } else { ExitCode::from(EXIT_INPUT) }
        }
    }
}

fn carry_out(settings: &Settings, wish: &Wish) -> Result<String, RestoreError> {
    let mut backup = Backup::open(&wish.file)?;
    let summary = backup.check()?;
    check_known(&summary.header).map_err(|_| RestoreError::Newer(wish.file.clone(), summary.header.version.clone()))?;
    let url = startup::database_url(settings).map_err(|e| RestoreError::Refused(with_causes(e.as_ref())))?;
    let place = Place { settings, url, state_db: settings.state.dir.join("state.db") };
    let lock = place.lock(wish.plan)?;
    let (main, held) = place.main()?;
    let local = place.local()?;
    let was_empty = held.is_none();
    let occupied = [held, local].into_iter().flatten().reduce(|main, local| format!("{main}, and {local}"));
    let taken = shown(summary.header.created_at);
    let what = format!("{} (backup of {taken} UTC by {})", summary.counted(), summary.origin());
    if wish.plan {
        let replaced = occupied.unwrap_or_else(|| format!("{} and {} are empty", place.url, place.state_db.display()));
        return Ok(format!("would restore {what}\n{replaced}\nnothing was changed"));
    }
    if let Some(occupied) = occupied.filter(|_| !wish.force) {
        return Err(RestoreError::Occupied(occupied));
    }
    place.replace(&mut backup, &summary, main, was_empty)?;
    if let Some(lock) = &lock {
        lock.keep();
        let dir = &settings.state.dir;
        let given = File::open(dir.join("skypunch.lock")).and_then(|file| give(&file, dir));
        given.map_err(|e| RestoreError::Failed(format!("{} cannot be given to its owner: {e}", dir.display())))?;
    }
    Ok(format!("restored {what} into {}; start skypunch now", place.url))
}

/// The file, which is read twice.
struct Backup<'a> {
    path: &'a Path,
    file: BufReader<File>,
}

impl Backup<'_> {
    fn open(path: &Path) -> Result<Backup<'_>, RestoreError> {
        let unreadable = |e| RestoreError::Unreadable(path.to_owned(), e);
        // A FIFO that nobody writes to is not waited for.
        let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(unreadable)?;
        if !file.metadata().map_err(unreadable)?.is_file() {
            return Err(unreadable(io::Error::other("it is no regular file")));
        }
        Ok(Backup { path, file: BufReader::with_capacity(1 << 20, file) })
    }

    /// Shows each line, checked; what it was.
    fn each(&mut self, mut see: impl FnMut(Line) -> Result<(), RestoreError>) -> Result<Summary, RestoreError> {
        let unreadable = |e| RestoreError::Unreadable(self.path.to_owned(), e);
        let wrong = |e| RestoreError::Wrong(self.path.to_owned(), e);
        self.file.rewind().map_err(unreadable)?;
        let (mut checker, mut line, mut most) = (Checker::default(), Vec::new(), MAX_HEADER);
        loop {
            line.clear();
            let mut limited = io::Read::take(&mut self.file, most as u64);
            if limited.read_until(b'\n', &mut line).map_err(unreadable)? == 0 {
                return checker.finish().map_err(wrong);
            }
            see(checker.take(&line).map_err(wrong)?)?;
            most = MAX_LINE;
        }
    }

    fn check(&mut self) -> Result<Summary, RestoreError> {
        self.each(|_| Ok(()))
    }
}

/// Where it is to go.
struct Place<'a> {
    settings: &'a Settings,
    url: DatabaseUrl,
    state_db: PathBuf,
}

/// `main.db` -> `main.db-wal`.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Removes a SQLite file and what belongs to it, if they are there.
fn remove_sqlite(path: &Path) {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        // One that is not there is as good; one that cannot be removed shows when it is written.
        let _gone = std::fs::remove_file(beside(path, suffix));
    }
}

/// Gives a file to who owns `like`: a restore may be root's, the daemon often is not.
fn give(file: &File, like: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};
    let (own, owner) = (file.metadata()?, std::fs::metadata(like)?);
    if (own.uid(), own.gid()) == (owner.uid(), owner.gid()) {
        return Ok(());
    }
    fchown(file, Some(owner.uid()), Some(owner.gid()))
}

/// Goes when it was not put in place.
struct Fresh(PathBuf);

impl Fresh {
    fn beside(path: &Path) -> Fresh {
        let fresh = beside(path, ".restoring");
        remove_sqlite(&fresh); // left by one that was killed
        Fresh(fresh)
    }

    /// Takes the place of `path`, for who owns that or its folder.
    fn put(self, path: &Path) -> io::Result<()> {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = File::open(&self.0)?;
        give(&file, if path.exists() { path } else { folder })?;
        file.sync_all()?;
        // The log of the old file is empty: it was opened and closed before.
        for suffix in ["-wal", "-shm", "-journal"] {
            match std::fs::remove_file(beside(path, suffix)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        std::fs::rename(&self.0, path)?;
        File::open(folder)?.sync_all()
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        remove_sqlite(&self.0);
    }
}

impl Place<'_> {
    fn lock(&self, plan: bool) -> Result<Option<StateLock>, RestoreError> {
        let dir = &self.settings.state.dir;
        if plan && !dir.join("skypunch.lock").exists() {
            return Ok(None);
        }
        match place::lock_state(dir) {
            Ok(lock) => Ok(Some(lock)),
            Err(place::PlaceError::Running { pid: Some(pid), .. }) => Err(RestoreError::Running { pid, host: None }),
            Err(e) => Err(RestoreError::Refused(with_causes(&e))),
        }
    }

    /// The main database as it is, if it can be used, and what it holds that would go; `None`: it is empty.
    fn main(&self) -> Result<(Option<Store>, Option<String>), RestoreError> {
        let file = self.url.sqlite_file();
        if file.is_some_and(|f| !f.exists()) {
            return Ok((None, None));
        }
        let mut store = match Store::connect(&self.url, &startup::connect_options(self.settings)) {
            Err(StoreError::Damaged(why)) if file.is_some() => return Ok((None, Some(format!("{why} is damaged")))),
            connected => connected?,
        };
        let me = this_process(0);
        if let Some(holder) = store.held_by(&me.host, Clock::system().utc_now(), is_alive)? {
            let host = (holder.host != me.host).then_some(holder.host);
            return Err(RestoreError::Running { pid: holder.pid, host });
        }
        match store.contents() {
            Ok(held) if held.rows == 0 => Ok((Some(store), None)),
            Ok(held) => Ok((Some(store), Some(format!("{} holds {} targets", self.url, held.targets)))),
            Err(StoreError::Unfinished) => Ok((Some(store), Some(format!("{} holds a part of a backup", self.url)))),
            Err(StoreError::TooNew(_)) if file.is_some() => {
                Ok((None, Some(format!("{} is that of a newer skypunch", self.url))))
            }
            Err(StoreError::TooNew(_)) => Err(RestoreError::Refused(format!(
                "{} is that of a newer skypunch: empty it with DROP DATABASE and CREATE DATABASE, then restore again",
                self.url
            ))),
            Err(e) => Err(e.into()),
        }
    }

    /// What state.db holds that would go.
    fn local(&self) -> Result<Option<String>, RestoreError> {
        if !self.state_db.exists() {
            return Ok(None);
        }
        let shown = self.state_db.display();
        match local_contents(&self.state_db) {
            Ok(held) if held.rows == 0 => Ok(None),
            Ok(held) => Ok(Some(format!("{shown} holds what was last known of {} targets", held.targets))),
            Err(StoreError::Damaged(_)) => Ok(Some(format!("{shown} is damaged"))),
            Err(StoreError::TooNew(_)) => Ok(Some(format!("{shown} is that of a newer skypunch"))),
            Err(e) => Err(e.into()),
        }
    }

    fn replace(
        &self,
        backup: &mut Backup<'_>,
        summary: &Summary,
        main: Option<Store>,
        was_empty: bool,
    ) -> Result<(), RestoreError> {
        let options = startup::connect_options(self.settings);
        let local = Fresh::beside(&self.state_db);
        let UrlSetting::Sqlite(path) = &self.settings.database.url else {
            let Some(mut store) = main else { return Err(RestoreError::Failed("there is no database".into())) };
            let filled = fill(backup, summary, &mut store, &local.0).and_then(|()| {
                local.put(&self.state_db).map_err(|e| self.not_put(&self.state_db, &e))?;
                store.restore_unmark().map_err(failed)
            });
            return filled.map_err(|e| self.undo(e, was_empty, &options));
        };
        if let Some(folder) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
            place::make_folder(folder, "database.url").map_err(|e| RestoreError::Refused(with_causes(&e)))?;
        }
        drop(main);
        let fresh = Fresh::beside(path);
        let unchanged = |e| match e {
            RestoreError::Failed(why) => {
                RestoreError::Refused(format!("the restore failed: {why}; nothing was changed"))
            }
            e => e,
        };
        let url = DatabaseUrl::parse(&format!("sqlite://{}", fresh.0.display()))?;
        let mut store = Store::connect(&url, &options)?;
        fill(backup, summary, &mut store, &local.0).map_err(unchanged)?;
        store.restore_settle().map_err(failed).map_err(unchanged)?;
        fresh.put(path).map_err(|e| self.not_put(path, &e)).map_err(unchanged)?;
        local.put(&self.state_db).map_err(|e| self.not_put(&self.state_db, &e))?;
        let mut store = Store::connect(&self.url, &options).map_err(failed)?;
        store.restore_unmark().map_err(failed)?;
        store.restore_settle().map_err(failed)
    }

    fn not_put(&self, path: &Path, e: &io::Error) -> RestoreError {
        RestoreError::Failed(format!("{} cannot be put in place: {e}", path.display()))
    }

    /// What was empty becomes empty again; else the mark stays.
    fn undo(&self, e: RestoreError, was_empty: bool, options: &ConnectOptions) -> RestoreError {
        let RestoreError::Failed(why) = e else { return e };
        let undone = was_empty && Store::connect(&self.url, options).and_then(|mut store| store.restore_undo()).is_ok();
        if undone {
            RestoreError::Refused(format!("the restore failed: {why}; nothing was changed"))
        } else {
            RestoreError::Failed(format!("{why}; the database holds a part of the backup: restore again with --force"))
        }
    }
}

/// `2013-07-11 06:17:54`.
fn shown(at: UtcMs) -> String {
    let time = jiff::Timestamp::from_millisecond(at.0);
    time.map_or_else(|_| format!("{} ms", at.0), |t| t.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

fn failed(e: StoreError) -> RestoreError {
    RestoreError::Failed(with_causes(&e))
}

/// All rows into the main database (which is marked then) and into a new state.db.
fn fill(backup: &mut Backup<'_>, summary: &Summary, store: &mut Store, state_db: &Path) -> Result<(), RestoreError> {
    let header = &summary.header;
    let mut local = LocalRestore::begin(state_db, header).map_err(failed)?;
    store.restore_begin(header).map_err(failed)?;
    // The table that is being filled, and whether it is one of state.db.
    let mut filling: Option<(Loader, bool)> = None;
    let rest = |filling: &mut Option<(Loader, bool)>, store: &mut Store, local: &mut LocalRestore| match filling {
        Some((loader, true)) => local.rest(loader),
        Some((loader, false)) => store.restore_rest(loader),
        None => Ok(()),
    };
    backup.each(|line| {
        let done = match line {
            Line::Header(_) => Ok(()),
            Line::Table(table) => rest(&mut filling, store, &mut local).and_then(|()| {
                let is_local = table.place().0 == "state";
                let loader = if is_local { local.table(&table) } else { store.restore_table(&table) };
                filling = Some((loader?, is_local));
                Ok(())
            }),
            Line::Row(row) => match &mut filling {
                Some((loader, true)) => local.row(loader, row),
                Some((loader, false)) => store.restore_row(loader, row),
                None => Ok(()),
            },
            Line::End => rest(&mut filling, store, &mut local),
        };
        done.map_err(failed)
    })?;
    local.end().map_err(failed)?;
    store.restore_end(header).map_err(failed)
}
