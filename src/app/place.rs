//! The daemon's place on the machine: folders, the lock, the socket, the limit on file descriptors.

use std::cell::RefCell;
use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{Read, Seek, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::actors::control::clear_stale_socket;
use crate::config::Group;

/// So many callers may wait to be accepted; the kernel allows at most net.core.somaxconn.
const BACKLOG: i32 = 4096;

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
fn check_not_open(dir: &Path) -> Result<(), PlaceError> {
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

fn make_folder_with(dir: &Path, key: &'static str, mode: u32) -> Result<(), PlaceError> {
    DirBuilder::new().recursive(true).mode(mode).create(dir).map_err(|source| PlaceError::Folder {
        path: dir.to_owned(),
        key,
        source,
    })
}

/// A socket; the file goes when this is dropped.
#[derive(Debug)]
pub struct ControlSocket {
    path: PathBuf,
    /// The socket's group, whose members may call.
    pub gid: u32,
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // A file that is gone already is as good.
        let _gone = std::fs::remove_file(&self.path);
    }
}

/// Binds a socket of ours with mode 0660. A stale one is replaced, a live one never.
///
/// Nobody else can connect before owner, group and mode are right: it begins with mode 0600.
///
/// # Errors
/// The folder cannot be made or is open to all, the path is taken, there is no such group or it is not for us to give.
pub fn bind_socket(
    path: &Path,
    key: &'static str,
    group: Option<(&str, &Group)>,
) -> Result<(UnixListener, ControlSocket), PlaceError> {
    let gid = group.map(|(key, group)| group_id(key, group)).transpose()?;
    if let Some(dir) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
        // Who may call is decided by the socket; the folder lets them come to it.
        make_folder_with(dir, key, 0o755)?;
        check_not_open(dir)?;
    }
    clear_stale_socket(path, key).map_err(PlaceError::Socket)?;
    let failed = |e: std::io::Error| {
        let mend = if e.kind() == std::io::ErrorKind::PermissionDenied {
            "let this user write in its folder, or "
        } else {
            ""
        };
        PlaceError::Socket(format!("the socket {} cannot be bound: {e}; {mend}set {key}", path.display()))
    };
    let listener = bind_closed(path).map_err(|e| failed(e.into()))?;
    let mut socket = ControlSocket { path: path.to_owned(), gid: 0 };
    if let (Some((key, group)), Some(gid)) = (group, gid) {
        std::os::unix::fs::lchown(path, None, Some(gid)).map_err(|e| {
            let shown = group.as_str();
            PlaceError::Socket(format!(
                "{key}: the socket {} cannot be given to the group `{shown}`: {e}; make the daemon's user a member \
                 (usermod -aG {shown} USER) and start it anew, or write another group",
                path.display()
            ))
        })?;
    }
    std::fs::set_permissions(path, Permissions::from_mode(0o660)).map_err(failed)?;
    socket.gid = std::fs::symlink_metadata(path).map_err(failed)?.gid();
    Ok((listener, socket))
}

/// Binds a socket that is for its owner alone.
fn bind_closed(path: &Path) -> rustix::io::Result<UnixListener> {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
    let address = SocketAddrUnix::new(path)?;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // Linux makes the file with the mode of the socket, less the umask.
    rustix::fs::fchmod(&socket, rustix::fs::Mode::from_raw_mode(0o600))?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(UnixListener::from(socket))
}

/// The number of a group.
///
/// # Errors
/// There is none of that name.
pub fn group_id(key: &str, group: &Group) -> Result<u32, PlaceError> {
    let shown = group.as_str();
    let wrong = |why: String| PlaceError::Socket(format!("{key}: {why}"));
    match nix::unistd::Group::from_name(shown) {
        Ok(Some(found)) => Ok(found.gid.as_raw()),
        Ok(None) => shown.parse().map_err(|_| {
            wrong(format!(
                "there is no group `{shown}` on this machine: make it (groupadd --system {shown}), or write another"
            ))
        }),
        Err(e) => Err(wrong(format!("the group `{shown}` cannot be looked up: {e}; write its number instead"))),
    }
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

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_never() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/control.sock");
        let bind = || bind_socket(&path, "control.socket", None);
        let (listener, socket) = bind().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        assert!(bind().unwrap_err().to_string().contains("already"));
        drop(listener);
        std::mem::forget(socket); // as after kill -9: the file stays
        let (_listener, socket) = bind().unwrap();
        drop(socket);
        assert!(!path.exists());
        std::fs::write(&path, "x").unwrap();
        assert!(bind().unwrap_err().to_string().contains("no socket"));
    }
}
