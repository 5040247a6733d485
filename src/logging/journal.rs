//! Lines for systemd's journal, in its native protocol: one datagram a line, with fields of their own.
//!
//! ```text
//!  record --> PRIORITY, SYSLOG_IDENTIFIER, MESSAGE ("words key=value"), SKYPUNCH_KEY for each key --> journald's socket
//! ```
//!
//! A datagram is bounded, so that it always fits and no memory file has to be passed. Only the log's own thread waits
//! for journald, and not for long; what it does not take is counted.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use slog::{Level, OwnedKVList, Record};

use super::format::Pairs;
use super::sink::Losses;
use super::{LogError, RESULT};
use crate::model::text::escape_controls;

/// Where journald listens.
pub(super) const SOCKET: &str = "/run/systemd/journal/socket";
/// Longest message, in bytes.
const MESSAGE_MAX: usize = 16 * 1024;
/// Longest value of a field, in bytes.
const VALUE_MAX: usize = 4 * 1024;
/// Longest datagram; Linux lets 200 KiB through by default.
const ENTRY_MAX: usize = 48 * 1024;
/// Longest name of a field that journald takes.
const NAME_MAX: usize = 64;
/// So long a line waits for a journald that is behind.
const PATIENCE: Duration = Duration::from_millis(500);

/// journald as a receiver of lines.
pub(super) struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
    losses: Arc<Losses>,
    /// The last line was taken. When it was not, the next ones do not wait.
    patient: AtomicBool,
}

impl Journal {
    /// Finds journald at `path`.
    ///
    /// # Errors
    /// Nobody listens there.
    pub(super) fn open(path: &Path, losses: Arc<Losses>) -> Result<Journal, LogError> {
        let failed = |source| LogError::Journal { path: path.to_owned(), source };
        // To connect is only to ask: a later journald listens on another socket at the same path.
        UnixDatagram::unbound().and_then(|s| s.connect(path)).map_err(failed)?;
        let socket = UnixDatagram::unbound().map_err(failed)?;
        socket.set_write_timeout(Some(PATIENCE)).map_err(failed)?;
        Ok(Journal { socket, path: path.to_owned(), losses, patient: AtomicBool::new(true) })
    }

    /// Sends one record; says whether it arrived.
    pub(super) fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> bool {
        let arrived = self.send(&entry(record, values)).is_ok();
        if self.patient.swap(arrived, Ordering::Relaxed) != arrived {
            // An error leaves the line before waiting too long or not at all; each is harmless.
            let _as_before = self.socket.set_nonblocking(!arrived);
        }
        if !arrived {
            self.losses.unwritten.fetch_add(1, Ordering::Relaxed);
        }
        arrived
    }

    fn send(&self, entry: &[u8]) -> io::Result<usize> {
        loop {
            match self.socket.send_to(entry, &self.path) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }
}

/// The priorities of syslog.
fn priority(level: Level) -> &'static str {
    match level {
        Level::Critical => "2",
        Level::Error => "3",
        Level::Warning => "4",
        Level::Info => "6",
        Level::Debug | Level::Trace => "7",
    }
}

fn entry(record: &Record<'_>, values: &OwnedKVList) -> Vec<u8> {
    let pairs = Pairs::of(record, values);
    let mut message = escape_controls(&record.msg().to_string()).into_owned();
    pairs.write(&mut message, record.tag() == RESULT);
    let mut entry = Vec::with_capacity(message.len() + 512);
    field(&mut entry, "PRIORITY", priority(record.level()), VALUE_MAX);
    field(&mut entry, "SYSLOG_IDENTIFIER", "skypunch", VALUE_MAX);
    field(&mut entry, "SYSLOG_FACILITY", "3", VALUE_MAX);
    field(&mut entry, "MESSAGE", &message, MESSAGE_MAX);
    let of_target = pairs.0.iter().any(|(key, _)| *key == "target");
    for (key, value) in &pairs.0 {
        field(&mut entry, &name(key, of_target), value, VALUE_MAX);
    }
    entry
}

/// The field of a key. What is said of a target has its id and its name.
fn name(key: &str, of_target: bool) -> String {
    let word = match key {
        "target" => "TARGET_ID".to_owned(),
        "name" if of_target => "TARGET".to_owned(),
        _ => key.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect(),
    };
    let mut name = format!("SKYPUNCH_{word}");
    name.truncate(NAME_MAX);
    name
}

/// Adds a field, unless the datagram would grow too long. No control character gets in, so a value is one line.
fn field(entry: &mut Vec<u8>, name: &str, value: &str, most: usize) {
    let value = escape_controls(value);
    let value = &value[..value.floor_char_boundary(most)];
    if entry.len() + name.len() + value.len() + 2 <= ENTRY_MAX {
        entry.extend_from_slice(name.as_bytes());
        entry.push(b'=');
        entry.extend_from_slice(value.as_bytes());
        entry.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(entry: &[u8]) -> Vec<(String, String)> {
        let text = std::str::from_utf8(entry).unwrap();
        text.lines().map(|l| l.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())).unwrap()).collect()
    }

    #[test]
    fn a_line_is_one_bounded_datagram_with_a_field_for_each_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let journald = UnixDatagram::bind(&path).unwrap();
        let journal = Journal::open(&path, Arc::default()).unwrap();
        let long = "ä".repeat(40_000);
        let values = slog::o!("latency-ms" => 1.5, "long" => long.clone(), "evil" => "a\nPRIORITY=0").into();
        let message = format_args!("told: {}", "b\nMESSAGE=c");
        let kv = slog::b!("target" => 7, "name" => "shop");
        assert!(journal.log(&slog::record!(Level::Warning, "", &message, kv), &values));
        let mut datagram = vec![0; 1 << 20];
        let length = journald.recv(&mut datagram).unwrap();
        assert!(length <= ENTRY_MAX);
        let fields = fields(&datagram[..length]);
        let get = |name: &str| {
            let mut found = fields.iter().filter(|(k, _)| k == name).map(|(_, v)| v.as_str());
            let value = found.next().unwrap();
            assert_eq!(found.next(), None, "{name} once");
            value
        };
        assert_eq!((get("PRIORITY"), get("SYSLOG_IDENTIFIER")), ("4", "skypunch"));
        assert!(get("MESSAGE").starts_with("told: b\\nMESSAGE=c") && get("MESSAGE").contains("latency-ms=1.5"));
        assert_eq!((get("SKYPUNCH_TARGET_ID"), get("SKYPUNCH_TARGET")), ("7", "shop"));
        assert_eq!(get("SKYPUNCH_LATENCY_MS"), "1.5");
        assert_eq!(get("SKYPUNCH_EVIL"), "a\\nPRIORITY=0");
        assert!(long.starts_with(get("SKYPUNCH_LONG")) && get("SKYPUNCH_LONG").len() == VALUE_MAX);
    }

    #[test]
    fn a_journald_that_does_not_read_holds_the_log_up_once_and_a_new_one_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let stuck = UnixDatagram::bind(&path).unwrap();
        let losses = Arc::<Losses>::default();
        let journal = Journal::open(&path, Arc::clone(&losses)).unwrap();
        let clock = crate::clock::Clock::system();
        let (start, nothing) = (clock.now(), slog::o!().into());
        let log = || journal.log(&slog::record!(Level::Info, "", &format_args!("x"), slog::b!()), &nothing);
        let taken = (0..2000).filter(|_| log()).count();
        assert!(taken < 2000, "its queue ends somewhere");
        assert_eq!(losses.unwritten.load(Ordering::Relaxed), 2000 - taken as u64);
        assert!(clock.now().since(start) < 4 * PATIENCE, "one line waited, not each");
        drop(stuck);
        std::fs::remove_file(&path).unwrap();
        assert!(!log(), "nobody listens");
        let _back = UnixDatagram::bind(&path).unwrap();
        assert!(log(), "the next journald at the same path");
    }

    #[test]
    fn without_journald_there_is_a_sentence() {
        let dir = tempfile::tempdir().unwrap();
        let refused = Journal::open(&dir.path().join("none"), Arc::default()).err().unwrap();
        assert!(refused.to_string().contains("log.format"), "{refused}");
    }
}
