//! Where lines go: standard error or a file. A line is one write; one that fails is counted and never stops anything.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::{LogError, check_file_type};

/// Lines that never reached the log.
#[derive(Debug, Default)]
pub(super) struct Losses {
    /// The channel was full.
    pub(super) dropped: AtomicU64,
    /// The disk was full, or the other end of standard error is gone.
    pub(super) unwritten: AtomicU64,
    reported_dropped: AtomicU64,
    reported_unwritten: AtomicU64,
}

impl Losses {
    /// What was lost since the last report, if anything.
    pub(super) fn unreported(&self) -> Option<(u64, u64)> {
        let since = |now: &AtomicU64, then: &AtomicU64| {
            now.load(Ordering::Relaxed).saturating_sub(then.load(Ordering::Relaxed))
        };
        let dropped = since(&self.dropped, &self.reported_dropped);
        let unwritten = since(&self.unwritten, &self.reported_unwritten);
        (dropped + unwritten > 0).then_some((dropped, unwritten))
    }

    /// Notes that so many have been reported.
    pub(super) fn reported(&self, dropped: u64, unwritten: u64) {
        self.reported_dropped.fetch_add(dropped, Ordering::Relaxed);
        self.reported_unwritten.fetch_add(unwritten, Ordering::Relaxed);
    }
}

/// A receiver of lines.
pub(super) struct Sink {
    path: Option<PathBuf>,
    out: Mutex<Out>,
    losses: Arc<Losses>,
}

struct Out {
    /// `None`: standard error.
    file: Option<File>,
    /// The last write ended within a line (the disk was full): the next one begins with a line break.
    torn: bool,
}

impl Sink {
    /// Opens `path` for appending (mode 0640 when it is made), or takes standard error.
    pub(super) fn open(path: Option<PathBuf>, losses: Arc<Losses>) -> Result<Sink, LogError> {
        let file = path.as_ref().map(open).transpose()?;
        Ok(Sink { path, out: Mutex::new(Out { file, torn: false }), losses })
    }

    /// Writes a line that ends with a line break; says whether it arrived.
    pub(super) fn write_line(&self, line: &[u8]) -> bool {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let torn = out.torn;
        let mended;
        let bytes = if torn {
            mended = [b"\n", line].concat();
            &mended
        } else {
            line
        };
        let (written, complete) = match &mut out.file {
            Some(file) => write_all(file, bytes),
            None => write_all(&mut std::io::stderr().lock(), bytes),
        };
        if written > 0 {
            out.torn = !complete;
        }
        if !complete {
            self.losses.unwritten.fetch_add(1, Ordering::Relaxed);
        }
        complete
    }

    /// Writes to this file from now on, for tests.
    #[cfg(test)]
    pub(super) fn divert(&self, file: File) {
        self.out.lock().unwrap().file = Some(file);
    }

    /// Keeps the worker from writing, for tests.
    #[cfg(test)]
    pub(super) fn hold(&self) -> impl Drop + '_ {
        self.out.lock().unwrap()
    }

    /// Whether a person watches: standard error is a terminal.
    pub(super) fn is_terminal(&self) -> bool {
        use std::io::IsTerminal as _;
        self.path.is_none() && std::io::stderr().is_terminal()
    }
}

/// Bytes written, and whether these were all.
fn write_all(out: &mut dyn Write, bytes: &[u8]) -> (usize, bool) {
    let mut written = 0;
    while written < bytes.len() {
        match out.write(&bytes[written..]) {
            Ok(0) => return (written, false),
            Ok(n) => written += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return (written, false),
        }
    }
    (written, true)
}

/// Opens a file for appending, and makes it where there is none. A pipe or a device is refused: the first would hold up
/// the start until somebody reads from it, and then the log.
fn open(path: &PathBuf) -> Result<File, LogError> {
    // Looked at before, because to open a device can do something; and after, because it may be another one by then.
    if let Ok(found) = std::fs::metadata(path) {
        check_file_type(path, &found)?;
    }
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o640).custom_flags(NO_WAITING);
    let failed = |source| LogError::Open { path: path.clone(), source };
    let file = options.open(path).map_err(failed)?;
    check_file_type(path, &file.metadata().map_err(failed)?)?;
    Ok(file)
}

/// A pipe without a reader is opened at once, or not at all.
const NO_WAITING: i32 = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
