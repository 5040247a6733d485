//! Who calls: the kernel's word (SO_PEERCRED), not the caller's.

use std::any::Any;

use actix_web::body::MessageBody;
use actix_web::dev::{Extensions, ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, HttpRequest, web};
use slog::warn;

use super::Context;
use super::error::ApiError;

/// The process at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Effective user.
    pub uid: u32,
    /// Effective group.
    pub gid: u32,
    /// Process, where the kernel says.
    pub pid: Option<i32>,
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
    /// Whether this peer may call; `supplementary` are its further groups.
    #[must_use]
    pub fn allows(self, peer: Peer, supplementary: &[u32]) -> bool {
        peer.uid == 0 || peer.uid == self.uid || peer.gid == self.gid || supplementary.contains(&self.gid)
    }
}

/// Keeps the peer of a connection for its requests.
pub fn remember(connection: &dyn Any, extensions: &mut Extensions) {
    if let Some(stream) = connection.downcast_ref::<actix_web::rt::net::UnixStream>()
        && let Ok(cred) = stream.peer_cred()
    {
        extensions.insert(Peer { uid: cred.uid(), gid: cred.gid(), pid: cred.pid() });
    }
}

/// The further groups of a process, as the kernel lists them.
fn supplementary_groups(peer: Peer) -> Vec<u32> {
    let Some(pid) = peer.pid else { return Vec::new() };
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .find_map(|l| l.strip_prefix("Groups:"))
        .map(|groups| groups.split_whitespace().filter_map(|g| g.parse().ok()).collect())
        .unwrap_or_default()
}

/// Lets in who may call, and logs who may not.
pub async fn admit(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let peer = request.conn_data::<Peer>().copied();
    let Some(context) = request.app_data::<web::Data<Context>>() else {
        return Err(ApiError::new(500, "the server has no context").into());
    };
    let allowed = peer.is_some_and(|p| context.access.allows(p, &supplementary_groups(p)));
    if !allowed {
        warn!(context.log, "a caller of the control socket was refused"; "uid" => peer.map(|p| p.uid),
            "pid" => peer.and_then(|p| p.pid), "path" => request.path().to_owned());
        return Err(
            ApiError::new(403, "you may not use this socket: ask for membership in the group that owns it").into()
        );
    }
    next.call(request).await
}

/// The peer of a request, for the log.
pub fn of(request: &HttpRequest) -> (Option<u32>, Option<i32>) {
    let peer = request.conn_data::<Peer>().copied();
    (peer.map(|p| p.uid), peer.and_then(|p| p.pid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_the_daemons_user_and_the_sockets_group_may_call() {
        let access = Access { uid: 990, gid: 991 };
        let peer = |uid, gid| Peer { uid, gid, pid: None };
        assert!(access.allows(peer(0, 0), &[]));
        assert!(access.allows(peer(990, 5), &[]));
        assert!(access.allows(peer(1000, 991), &[]));
        assert!(access.allows(peer(1000, 1000), &[27, 991]));
        assert!(!access.allows(peer(1000, 1000), &[27]));
    }
}
