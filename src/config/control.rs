//! `[control]`: the sockets on which people and programs speak to the daemon, who may, and how much they may take.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::layers::Reader;
use super::sections::number;
use super::values::{self, Given, written_duration, written_size};
use crate::model::text::quoted;

/// The longest path that fits in a `sockaddr_un` of Linux, without its closing zero.
const MAX_SOCKET_PATH: usize = 107;
const SECOND: Duration = Duration::from_secs(1);

/// `[control]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlSettings {
    /// The Unix socket that `skypunchctl` talks to; fits in a `sockaddr_un`.
    pub socket: PathBuf,
    /// Whose members may call there beside root and the daemon's user; `None`: the group of the daemon's process.
    pub group: Option<Group>,
    /// The read-only socket; `None`: there is none.
    pub read: Option<ReadSettings>,
    /// What callers may take of the daemon.
    pub limits: ControlLimits,
}

/// The socket that only reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadSettings {
    /// Where; fits in a `sockaddr_un`.
    pub socket: PathBuf,
    /// Whose members may call there.
    pub group: Group,
}

/// The name of a group as a person wrote it, or its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group(String);

impl Group {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What callers of one socket may take of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControlLimits {
    /// Most callers at the same time; 8 to 10,000.
    pub max_connections: usize,
    /// Most bytes of a request's line and headers.
    pub max_head: usize,
    /// Most bytes of a request's body; twice as many may be on their way at the same time.
    pub max_body: usize,
    /// From the connection to the request's last byte.
    pub request_timeout: Duration,
}

impl ControlLimits {
    /// As it would be written in the settings.
    #[must_use]
    pub fn shown_max_head(&self) -> String {
        written_size(self.max_head as u64)
    }

    /// As it would be written in the settings.
    #[must_use]
    pub fn shown_max_body(&self) -> String {
        written_size(self.max_body as u64)
    }

    /// As it would be written in the settings.
    #[must_use]
    pub fn shown_request_timeout(&self) -> String {
        written_duration(self.request_timeout)
    }
}

impl ControlSettings {
    pub(super) fn read(r: &mut Reader, default: Option<PathBuf>) -> ControlSettings {
        let socket = r.path("control.socket", default);
        fits(r, "control.socket", &socket);
        let group = r.optional("control.group", group);
        let read_group = r.optional("control.read_group", self::group);
        let read_socket = r.optional("control.read_socket", values::path);
        if read_group.is_none() && read_socket.is_some() && !r.is_given("control.read_group") {
            r.wrong("control.read_socket", "is for a group: write control.read_group beside it");
        }
        let read = read_group.map(|group| {
            let given = read_socket.is_some();
            let path = read_socket.unwrap_or_else(|| beside(&socket));
            let key = if given { "control.read_socket" } else { "control.read_group" };
            fits(r, key, &path);
            if path == socket {
                r.wrong(key, "is the control socket itself: write another path into control.read_socket");
            }
            ReadSettings { socket: path, group }
        });
        let bytes = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let limits = ControlLimits {
            max_connections: number(r, "control.max_connections", 256, 8, 10_000),
            max_head: r.get("control.max_head", 32 << 10, |g| values::size(g, 4 << 10..=128 << 10).map(bytes)),
            max_body: r.get("control.max_body", 64 << 20, |g| values::size(g, 64 << 10..=1 << 30).map(bytes)),
            request_timeout: r
                .get("control.request_timeout", 10 * SECOND, |g| values::duration(g, SECOND..=600 * SECOND)),
        };
        ControlSettings { socket, group, read, limits }
    }
}

/// The read-only socket beside the control socket.
pub(super) fn beside(socket: &Path) -> PathBuf {
    socket.with_file_name("read.sock")
}

fn fits(r: &mut Reader, key: &'static str, socket: &Path) {
    let bytes = socket.as_os_str().len();
    if bytes > MAX_SOCKET_PATH {
        r.wrong(key, format!("the path has {bytes} bytes, a socket's can have {MAX_SOCKET_PATH}: write a shorter one"));
    }
}

/// A group's name or number; whether there is such a group is known where the daemon runs.
fn group(given: Given<'_>) -> Result<Group, String> {
    let text = values::text(given)?;
    if text.is_empty() || text.len() > 256 || text.contains([':', ',', '/']) || text.contains(char::is_whitespace) {
        return Err(format!("{} is no name of a group: write for example \"skypunch\"", quoted(&text)));
    }
    Ok(Group(text))
}

#[cfg(test)]
mod tests {
    use super::super::load_as;
    use super::*;

    fn read(text: &str) -> Result<ControlSettings, String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f.toml");
        std::fs::write(&file, text).unwrap();
        load_as(true, Some(&file), &[], []).map(|s| s.control).map_err(|e| crate::model::text::with_causes(&e))
    }

    #[test]
    fn the_read_only_socket_is_there_for_a_group_and_stands_beside() {
        assert_eq!(read("").unwrap().read, None);
        let read_only = read("[control]\nread_group = 'look'").unwrap().read.unwrap();
        assert_eq!(
            (read_only.socket.as_path(), read_only.group.as_str()),
            (Path::new("/run/skypunch/read.sock"), "look")
        );
        let read_only = read("[control]\nread_group = 'look'\nread_socket = '/r/s'").unwrap().read.unwrap();
        assert_eq!(read_only.socket, Path::new("/r/s"));
        let refused = read("[control]\nread_socket = '/r/s'").unwrap_err();
        assert!(refused.contains("write control.read_group beside it"), "{refused}");
        let refused = read("[control]\nsocket = '/r/s'\nread_group = 'g'\nread_socket = '/r/s'").unwrap_err();
        assert!(refused.contains("control socket itself"), "{refused}");
        let long = format!("[control]\nread_group = 'g'\nread_socket = '/{}'", "x".repeat(107));
        assert!(read(&long).unwrap_err().contains("a socket's can have 107"));
    }

    #[test]
    fn a_group_has_a_name() {
        assert_eq!(read("[control]\ngroup = 'ops'").unwrap().group, Some(Group("ops".into())));
        for bad in ["", "two words", "a:b", "a/b"] {
            let refused = read(&format!("[control]\ngroup = '{bad}'")).unwrap_err();
            assert!(refused.contains("control.group") && refused.contains("is no name of a group"), "{refused}");
        }
    }

    #[test]
    fn limits_have_ranges() {
        for (line, range) in [
            ("max_connections = 7", "8"),
            ("max_head = '1KiB'", "4KiB"),
            ("max_body = '2GiB'", "1GiB"),
            ("request_timeout = '1ms'", "1s"),
        ] {
            let refused = read(&format!("[control]\n{line}")).unwrap_err();
            assert!(refused.contains(line.split(' ').next().unwrap()) && refused.contains(range), "{refused}");
        }
    }
}
