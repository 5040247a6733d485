//! The daemon's place on the machine: folders, the lock, the socket, the limit on file descriptors.

use std::cell::RefCell;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Why the daemon cannot take its place. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// A folder cannot be made or used.
    #[error("the folder {} cannot be used: {}, or set {key}", path.display(), mend(source))]
    Folder {
        /// Which.
        path: PathBuf,
        /// The setting that names it.
        key: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// What lies there is not safe from others.
    #[error("{} {what} (mode {mode:o}): chmod {chmod} {}", path.display(), path.display())]
    Open {
        /// What.
        path: PathBuf,
        /// What others may do.
        what: &'static str,
        /// Its rights.
        mode: u32,
        /// What mends it.
        chmod: &'static str,
    },
    /// Another daemon has the state folder.
    #[error("skypunch is already running with the state folder {}{}", path.display(), pid.map_or(String::new(), |p| format!(" (pid {p})")))]
    Running {
        /// The state folder.
        path: PathBuf,
        /// The other daemon.
        pid: Option<u32>,
    },
    /// A socket cannot be bound.
    #[error("{0}")]
    Socket(String),
}

/// What to do about a folder that cannot be used.
fn mend(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room on its disk",
        ErrorKind::ReadOnlyFilesystem => "mount it writable",
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => "remove what is there instead",
        _ => "let this user write there",
    }
}

/// Held as long as the daemon uses its state folder; the kernel gives it back when the process ends, however it ends.
/// Dropped before [`StateLock::keep`], it takes back what was made in the folder: a start that was refused leaves nothing.
#[derive(Debug)]
pub struct StateLock {
    file: File,
    /// Files and folders that this start makes, the innermost first.
    fresh: RefCell<Vec<PathBuf>>,
}

impl StateLock {
    /// From now on everything stays.
    pub fn keep(&self) {
        self.fresh.take();
    }
}

impl Drop for StateLock {
    fn drop(&mut self) {
        for path in self.fresh.take() {
            // What is not there was not made; a folder in which somebody else has put something stays.
            let _gone = std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir(&path));
        }
    }
}

/// Makes the state folder and locks it.
///
/// # Errors
/// The folder cannot be used, or another daemon uses it.
pub fn lock_state(dir: &Path) -> Result<StateLock, PlaceError> {
    let folders = dir.ancestors().take_while(|d| !d.as_os_str().is_empty() && !d.exists()).map(Path::to_owned);
    let folders: Vec<PathBuf> = folders.collect();
    make_folder(dir, "state.dir")?;
    check_closed(dir)?;
    let path = dir.join("skypunch.lock");
    let unusable = |source| PlaceError::Folder { path: dir.to_owned(), key: "state.dir", source };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o640)
        .open(&path)
        .map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            // The other daemon's pid is a kindness; without it the refusal stands.
            let _unread = file.read_to_string(&mut text);
            return Err(PlaceError::Running { path: dir.to_owned(), pid: text.trim().parse().ok() });
        }
        Err(TryLockError::Error(e)) => return Err(unusable(e)),
    }
    let own = file.metadata().map_err(unusable)?;
    if std::fs::metadata(&path).map_or(0, |m| m.ino()) != own.ino() {
        // A start that was refused has just taken it back: what is locked here nobody else would find.
        return lock_state(dir);
    }
    let was_fresh = own.len() == 0;
    let made = ["state.db", "state.db-wal", "state.db-shm"].map(|name| dir.join(name)).into_iter();
    let mut fresh: Vec<PathBuf> = made.filter(|p| !p.exists()).collect();
    fresh.extend(was_fresh.then(|| path.clone()));
    fresh.extend(folders);
    let mut lock = StateLock { file, fresh: RefCell::new(fresh) };
    lock.file
        .set_len(0)
        .and_then(|()| lock.file.rewind())
        .and_then(|()| writeln!(lock.file, "{}", std::process::id()))
        .map_err(unusable)?;
    Ok(lock)
}

/// Refuses a state folder that others could change, and a state.db that others can read: it holds passwords.
fn check_closed(dir: &Path) -> Result<(), PlaceError> {
    check_not_open(dir)?;
    let path = dir.join("state.db");
    match mode(&path) {
        open if open & 0o006 != 0 => {
            let what = "may be read by everybody and holds passwords";
            Err(PlaceError::Open { path, what, mode: open, chmod: "o-rw" })
        }
        _ => Ok(()),
    }
}

/// Refuses a folder in which anybody could put something else in the place of what is ours.
pub(super) fn check_not_open(dir: &Path) -> Result<(), PlaceError> {
    let open = mode(dir);
    if open & 0o1002 == 0o0002 {
        let what = "may be written by everybody";
        return Err(PlaceError::Open { path: dir.to_owned(), what, mode: open, chmod: "o-w" });
    }
    Ok(())
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).map_or(0, |m| m.permissions().mode() & 0o7777)
}

/// Makes a folder (0750) and those above it.
///
/// # Errors
/// It cannot be made.
pub fn make_folder(dir: &Path, key: &'static str) -> Result<(), PlaceError> {
    make_folder_with(dir, key, 0o750)
}

pub(super) fn make_folder_with(dir: &Path, key: &'static str, mode: u32) -> Result<(), PlaceError> {
    DirBuilder::new().recursive(true).mode(mode).create(dir).map_err(|source| PlaceError::Folder {
        path: dir.to_owned(),
        key,
        source,
    })
}

/// Binds the address where `/healthz` and `/metrics` are served.
///
/// # Errors
/// It is taken, or not this machine's.
pub fn bind_health(listen: SocketAddr) -> Result<TcpListener, PlaceError> {
    TcpListener::bind(listen).map_err(|e| {
        PlaceError::Socket(format!("http.listen {listen} cannot be bound: {e}; choose another port or leave it out"))
    })
}

/// No core dump of this process, and no other process of its user may look into its memory: passwords are in it. Root may.
pub fn keep_memory_private() {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    // Where a sandbox forbids one of them, the other one does it.
    let _limit = setrlimit(Resource::Core, none);
    let _flag = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// Raises the limit on file descriptors to what the service manager allows; gives the limit in force.
#[must_use]
pub fn raise_descriptor_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    #[test]
    fn a_second_daemon_is_refused_with_the_firsts_pid() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("a/b");
        let lock = lock_state(&state).unwrap();
        let refused = lock_state(&state).unwrap_err().to_string();
        assert!(refused.contains(&format!("pid {}", std::process::id())), "{refused}");
        drop(lock);
        assert!(!dir.path().join("a").exists(), "a start that was refused leaves nothing");
        let lock = lock_state(&state).unwrap();
        std::fs::write(state.join("state.db"), "").unwrap();
        std::fs::set_permissions(state.join("state.db"), Permissions::from_mode(0o600)).unwrap();
        lock.keep();
        drop(lock);
        assert!(state.join("state.db").exists() && state.join("skypunch.lock").exists());
        drop(lock_state(&state).unwrap());
        assert!(state.join("state.db").exists(), "what was there before stays");
    }

    #[test]
    fn what_others_could_change_or_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let set = |path: &Path, mode| std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        set(dir.path(), 0o777);
        let shown = dir.path().display().to_string();
        let refused = lock_state(dir.path()).unwrap_err().to_string();
        assert_eq!(refused, format!("{shown} may be written by everybody (mode 777): chmod o-w {shown}"));
        set(dir.path(), 0o1777);
        drop(lock_state(dir.path()).unwrap());
        set(dir.path(), 0o700);
        let state_db = dir.path().join("state.db");
        std::fs::write(&state_db, "").unwrap();
        set(&state_db, 0o644);
        let refused = lock_state(dir.path()).unwrap_err().to_string();
        assert!(refused.contains("state.db may be read by everybody") && refused.contains("chmod o-rw"), "{refused}");
        set(&state_db, 0o640);
        drop(lock_state(dir.path()).unwrap());
    }
}
