//! The control sockets: where they are, and for whom.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::XattrFlags;

use super::place::{PlaceError, check_not_open, make_folder_with};
use crate::actors::control::clear_stale_socket;
use crate::config::Group;

/// So many callers may wait to be accepted; the kernel allows at most net.core.somaxconn.
const BACKLOG: i32 = 4096;

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
        give_to(path, gid).map_err(|e| {
            let shown = group.as_str();
            PlaceError::Socket(format!(
                "{key}: the socket {} cannot be given to the group `{shown}`: {e}; make the daemon's user a member \
                 (usermod -aG {shown} USER) and start it anew, or write another group",
                path.display()
            ))
        })?;
        socket.gid = gid;
    } else {
        std::fs::set_permissions(path, Permissions::from_mode(0o660)).map_err(failed)?;
        socket.gid = std::fs::symlink_metadata(path).map_err(failed)?.gid();
    }
    Ok((listener, socket))
}

/// Lets the members of a group use a socket. A daemon that is not root can give its files to its own groups only, and in
/// the sandbox of the service to none: then an access control list names the group.
fn give_to(path: &Path, gid: u32) -> std::io::Result<()> {
    match std::os::unix::fs::lchown(path, None, Some(gid)) {
        Ok(()) => std::fs::set_permissions(path, Permissions::from_mode(0o660)),
        Err(denied) => rustix::fs::lsetxattr(path, ACL, &access_list(gid), XattrFlags::empty()).map_err(|_| denied),
    }
}

/// The extended attribute of an access control list.
const ACL: &str = "system.posix_acl_access";

/// The owner and the members of one group may read and write, nobody else anything: version 2 of Linux's form.
fn access_list(gid: u32) -> Vec<u8> {
    const NOBODY: u32 = u32::MAX;
    const ENTRIES: [(u16, u16); 5] = [(0x01, 6), (0x04, 0), (0x08, 6), (0x10, 6), (0x20, 0)];
    let mut list = 2u32.to_le_bytes().to_vec();
    // Owner, owning group, that group, mask, others.
    for (tag, permissions) in ENTRIES {
        list.extend(tag.to_le_bytes());
        list.extend(permissions.to_le_bytes());
        list.extend(if tag == 0x08 { gid } else { NOBODY }.to_le_bytes());
    }
    list
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

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn an_access_list_stands_in_where_the_group_cannot_be_given() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let _listener = bind_closed(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        rustix::fs::lsetxattr(&path, ACL, &access_list(47_000), XattrFlags::empty()).unwrap();
        let meta = std::fs::metadata(&path).unwrap();
        assert_eq!(meta.permissions().mode() & 0o777, 0o660, "the mask stands where the group's rights do");
        let mut kept = vec![0; 256];
        let n = rustix::fs::lgetxattr(&path, ACL, &mut kept).unwrap();
        assert_eq!(kept[..n], access_list(47_000));
    }
}
