//! Where the daemon is: what the command line says, else what its settings say.

use std::path::{Path, PathBuf};

use crate::config;

/// The socket of a daemon that the system runs.
const SYSTEM_SOCKET: &str = "/run/skypunch/control.sock";

/// Where to look for the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its control socket.
    pub socket: PathBuf,
    /// Its read-only socket, where it may have one: not when the socket was named.
    pub read_only: Option<PathBuf>,
    /// Where what it says before it has a log goes.
    pub log_dir: PathBuf,
    /// The socket was named on the command line.
    pub named: bool,
}

impl Place {
    /// Finds it. `named` is what the command line says, `settings` the file that `start --config` names.
    #[must_use]
    pub fn find(named: Option<PathBuf>, settings: Option<&Path>) -> Place {
        let env = config::text_vars(std::env::vars_os());
        // Wrong settings are told by the daemon itself, at `start`.
        let known = config::load(settings, &[], env.clone()).ok();
        let own = known.as_ref().map(|s| s.control.socket.clone()).or_else(|| config::default_socket(env));
        let read =
            known.as_ref().and_then(|s| Some((s.control.socket.clone(), s.control.read.as_ref()?.socket.clone())));
        let state = known.map(|s| s.state.dir);
        match named {
            Some(socket) => {
                let log_dir = socket.parent().map_or_else(|| PathBuf::from("."), Path::to_owned);
                Place { socket, read_only: None, log_dir, named: true }
            }
            None => {
                let socket = choose(own, settings.is_some(), Path::exists);
                let log_dir = state.unwrap_or_else(std::env::temp_dir);
                // Who may not read the settings finds it where it is when they say nothing of its path.
                let read = read.filter(|(of, _)| *of == socket).map(|(_, read)| read);
                let read_only = Some(read.unwrap_or_else(|| config::read_socket_beside(&socket)));
                Place { socket, read_only, log_dir, named: false }
            }
        }
    }

    /// Whether this is the daemon that the system's service manager runs.
    #[must_use]
    pub fn is_system(&self) -> bool {
        self.socket == Path::new(SYSTEM_SOCKET)
    }
}

/// The user's own daemon if there is one or is to be one, else the system's.
fn choose(own: Option<PathBuf>, is_meant: bool, exists: impl Fn(&Path) -> bool) -> PathBuf {
    let system = Path::new(SYSTEM_SOCKET);
    match own {
        Some(own) if is_meant || exists(&own) || !exists(system) => own,
        _ => system.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_daemon_comes_first_and_the_systems_next() {
        let own = || Some(PathBuf::from("/run/user/7/skypunch/control.sock"));
        let shown = |is_meant, there: &'static [&str]| {
            choose(own(), is_meant, |p| there.iter().any(|t| Path::new(t) == p)).display().to_string()
        };
        assert!(shown(false, &[]).starts_with("/run/user"));
        assert!(shown(false, &["/run/user/7/skypunch/control.sock", SYSTEM_SOCKET]).starts_with("/run/user"));
        assert_eq!(shown(false, &[SYSTEM_SOCKET]), SYSTEM_SOCKET);
        assert!(shown(true, &[SYSTEM_SOCKET]).starts_with("/run/user"));
        assert_eq!(choose(None, false, |_| false), Path::new(SYSTEM_SOCKET));
    }
}
