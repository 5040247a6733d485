//! Who calls: the kernel's word (SO_PEERCRED), not the caller's.
//!
//! The kernel looks first, when somebody connects: at the socket's mode and group, supplementary groups included. What is
//! looked at here holds where somebody has widened that mode. The kernel's list of a caller's supplementary groups
//! (SO_PEERGROUPS) can be had by unsafe code only, so `/proc/PID/status` is read, at once when the connection is accepted.
//! Its word counts only while the process there has the user that has connected: a process that has ended, and whose
//! number went to somebody else, or that has become somebody else, has no groups.

use std::rc::Rc;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use actix_web::middleware::Next;
use actix_web::{Error, HttpRequest};
use tokio::net::UnixStream;

use super::connection::Caller;
use super::error::ApiError;
use super::refusals::Refusals;
use super::server::Door;
use crate::model::text::quoted;

/// The process at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Effective user.
    pub uid: u32,
    /// Effective group.
    pub gid: u32,
    /// Process, where the kernel says.
    pub pid: Option<i32>,
    /// It may call.
    pub allowed: bool,
}

/// Who may call: root, the daemon's user, and members of the socket's group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// The daemon's user.
    pub uid: u32,
    /// The socket's group.
    pub gid: u32,
}

impl Access {
    /// Whether one with this user and group may call; `supplementary` gives its further groups where they decide.
    #[must_use]
    pub fn allows(self, uid: u32, gid: u32, supplementary: impl FnOnce() -> Vec<u32>) -> bool {
        uid == 0 || uid == self.uid || gid == self.gid || supplementary().contains(&self.gid)
    }
}

impl Peer {
    /// Who is at the other end, where the kernel says.
    pub fn of(stream: &UnixStream, access: Access) -> Option<Peer> {
        let cred = stream.peer_cred().ok()?;
        let (uid, gid, pid) = (cred.uid(), cred.gid(), cred.pid());
        let allowed = access.allows(uid, gid, || {
            let status = pid.map(|pid| std::fs::read_to_string(format!("/proc/{pid}/status")));
            status.and_then(Result::ok).map(|status| supplementary_groups(&status, uid)).unwrap_or_default()
        });
        Some(Peer { uid, gid, pid, allowed })
    }
}

/// The further groups in a `/proc/PID/status`, if it is of a process of this user.
fn supplementary_groups(status: &str, uid: u32) -> Vec<u32> {
    let line = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_default().split_whitespace();
    // Real, effective, saved, of the file system.
    if line("Uid:").nth(1).and_then(|n| n.parse().ok()) != Some(uid) {
        return Vec::new();
    }
    line("Groups:").filter_map(|g| g.parse().ok()).collect()
}

/// Lets in who may call, for what it may ask here, and logs who may not.
pub async fn admit(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let caller = request.conn_data::<Rc<Caller>>();
    let (Some(caller), Some(door)) = (caller, request.app_data::<Door>()) else {
        return Err(ApiError::new(500, "the server does not know who calls").into());
    };
    let peer = caller.peer;
    if brings_a_body(request.headers()) {
        caller.head_is_here();
    } else {
        caller.request_is_here();
    }
    let why = if !peer.is_some_and(|p| p.allowed) {
        "you may not use this socket: ask for membership in the group that owns it"
    } else if door.reads_only && !matches!(*request.method(), Method::GET | Method::HEAD) {
        READS_ONLY
    } else {
        return next.call(request).await;
    };
    log_refusal(request.request(), why);
    Err(ApiError::new(403, why).into())
}

/// What is told to who wants more of the read-only socket.
pub const READS_ONLY: &str = "this is the read-only socket (control.read_socket): nothing can be changed, tested or saved \
                              here; use the control socket, which is for root and the members of its group";

/// Logs that a caller was refused what it asked for.
pub fn log_refusal(request: &HttpRequest, why: &str) {
    let peer = request.conn_data::<Rc<Caller>>().and_then(|c| c.peer);
    if let Some(refusals) = request.app_data::<Rc<Refusals>>() {
        refusals.right(peer, format!("{} {}", request.method(), quoted(request.path())), why);
    }
}

fn brings_a_body(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING) || headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0")
}

/// The peer of a request, for the log.
pub fn of(request: &HttpRequest) -> (Option<u32>, Option<i32>) {
    let peer = request.conn_data::<Rc<Caller>>().and_then(|c| c.peer);
    (peer.map(|p| p.uid), peer.and_then(|p| p.pid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_the_daemons_user_and_the_sockets_group_may_call() {
        let access = Access { uid: 990, gid: 991 };
        let none = Vec::new;
        assert!(access.allows(0, 0, none));
        assert!(access.allows(990, 5, none));
        assert!(access.allows(1000, 991, none));
        assert!(access.allows(1000, 1000, || vec![27, 991]));
        assert!(!access.allows(1000, 1000, || vec![27]));
    }

    #[test]
    fn groups_are_those_of_the_user_who_has_connected() {
        let status = "Name:\tcurl\nUid:\t1000\t1001\t1000\t1000\nGid:\t5\t5\t5\t5\nGroups:\t27 991 \n";
        assert_eq!(supplementary_groups(status, 1001), [27, 991]);
        assert!(supplementary_groups(status, 1000).is_empty(), "the process is somebody else now");
        assert!(supplementary_groups("", 0).is_empty());
    }
}
