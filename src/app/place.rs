//! The daemon's place on the machine: folders, the lock, the socket, the limit on file descriptors.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{Read, Seek, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::actors::control::clear_stale_socket;

/// Why the daemon cannot take its place. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// A folder cannot be made or used.
    #[error("the folder {} cannot be used: let this user write there, or set {key}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// The setting that names it.
        key: &'static str,
        /// Why.
        source: std::io::Error,
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

/// Held as long as the daemon uses its state folder; the kernel gives it back when the process ends, however it ends.
#[derive(Debug)]
pub struct StateLock(#[expect(dead_code, reason = "holds the lock")] File);

/// Makes the state folder and locks it.
///
/// # Errors
/// The folder cannot be used, or another daemon uses it.
pub fn lock_state(dir: &Path) -> Result<StateLock, PlaceError> {
    make_folder(dir, "state.dir")?;
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
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(unusable)?;
    Ok(StateLock(file))
}

/// Makes a folder (0750) and those above it.
///
/// # Errors
/// It cannot be made.
pub fn make_folder(dir: &Path, key: &'static str) -> Result<(), PlaceError> {
    DirBuilder::new().recursive(true).mode(0o750).create(dir).map_err(|source| PlaceError::Folder {
        path: dir.to_owned(),
        key,
        source,
    })
}

/// The control socket; the file goes when this is dropped.
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

/// Binds the control socket with mode 0660. A stale one is replaced, a live one never.
///
/// # Errors
/// The folder cannot be made, or the path is taken.
pub fn bind_socket(path: &Path) -> Result<(UnixListener, ControlSocket), PlaceError> {
    use std::os::unix::fs::MetadataExt;
    if let Some(dir) = path.parent() {
        make_folder(dir, "control.socket")?;
    }
    clear_stale_socket(path).map_err(PlaceError::Socket)?;
    let failed = |e: std::io::Error| {
        PlaceError::Socket(format!("the socket {} cannot be bound: {e}; set control.socket", path.display()))
    };
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o660)).map_err(failed)?;
    let gid = std::fs::metadata(path).map_err(failed)?.gid();
    Ok((listener, ControlSocket { path: path.to_owned(), gid }))
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
        lock_state(&state).unwrap();
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_never() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/control.sock");
        let (listener, socket) = bind_socket(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        assert!(bind_socket(&path).unwrap_err().to_string().contains("already"));
        drop(listener);
        std::mem::forget(socket); // as after kill -9: the file stays
        let (_listener, socket) = bind_socket(&path).unwrap();
        drop(socket);
        assert!(!path.exists());
        std::fs::write(&path, "x").unwrap();
        assert!(bind_socket(&path).unwrap_err().to_string().contains("no socket"));
    }
}
