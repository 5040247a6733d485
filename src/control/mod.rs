//! How a person talks to the daemon: HTTP/1.1 and JSON over a Unix socket.
//!
//! ```text
//!  skypunchctl --client--> control.sock --routes--> supervisor (changes), board and store (reads)
//!        '------------- api: the types of every body -------------'
//! ```
//!
//! [`api`] and [`client`] know the model and nothing else of the daemon.

pub mod api;
pub mod client;

use std::ffi::OsString;
use std::path::PathBuf;

/// Name of the control socket within the runtime folder.
pub const SOCKET_NAME: &str = "control.sock";

/// Where the control socket lies when nobody says otherwise: `/run/skypunch` for root, else `skypunch` in the user's
/// runtime folder, or in the state folder where there is none (no login session).
///
/// `env` looks up an environment variable; an empty or relative value counts as not set, as the XDG base directory
/// specification asks.
#[must_use]
pub fn default_socket(env: impl Fn(&str) -> Option<OsString>, uid: u32) -> PathBuf {
    if uid == 0 {
        return PathBuf::from("/run/skypunch").join(SOCKET_NAME);
    }
    let folder = |name: &str| env(name).map(PathBuf::from).filter(|p| p.is_absolute());
    match folder("XDG_RUNTIME_DIR") {
        Some(runtime) => runtime.join("skypunch").join(SOCKET_NAME),
        None => default_state_dir(env, uid).join(SOCKET_NAME),
    }
}

/// Where the daemon's state lies when nobody says otherwise: `/var/lib/skypunch` for root, else `skypunch` in the
/// user's state folder.
#[must_use]
pub fn default_state_dir(env: impl Fn(&str) -> Option<OsString>, uid: u32) -> PathBuf {
    if uid == 0 {
        return PathBuf::from("/var/lib/skypunch");
    }
    let folder = |name: &str| env(name).map(PathBuf::from).filter(|p| p.is_absolute());
    folder("XDG_STATE_HOME")
        .or_else(|| folder("HOME").map(|home| home.join(".local/state")))
        .unwrap_or_else(std::env::temp_dir)
        .join("skypunch")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(env: &[(&str, &str)], uid: u32) -> String {
        let get = |name: &str| env.iter().find(|(k, _)| *k == name).map(|(_, v)| OsString::from(v));
        default_socket(get, uid).display().to_string()
    }

    #[test]
    fn the_socket_is_where_the_daemon_puts_it() {
        assert_eq!(socket(&[("XDG_RUNTIME_DIR", "/run/user/0"), ("HOME", "/root")], 0), "/run/skypunch/control.sock");
        let user = [("XDG_RUNTIME_DIR", "/run/user/7"), ("HOME", "/home/a")];
        assert_eq!(socket(&user, 7), "/run/user/7/skypunch/control.sock");
        assert_eq!(socket(&user[1..], 7), "/home/a/.local/state/skypunch/control.sock");
        assert_eq!(socket(&[("XDG_STATE_HOME", "/s"), ("HOME", "/home/a")], 7), "/s/skypunch/control.sock");
        assert_eq!(socket(&[("XDG_RUNTIME_DIR", "run"), ("HOME", "/home/a")], 7), socket(&user[1..], 7));
    }
}
