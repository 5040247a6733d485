//! What a line looks like: for a terminal (slog-term), compact as skypunch 0.3.0 wrote it, JSON (slog-json), or fields
//! of the journal.

use std::fmt::Write as _;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use slog::{Drain, FnValue, KV as _, Level, OwnedKVList, PushFnValue, Record};
use slog_term::{Decorator, FullFormat, RecordDecorator};

use super::RESULT;
use super::journal::Journal;
use super::sink::Sink;
use crate::clock;
use crate::model::text::escape_controls;

/// A format over a sink.
pub(super) enum Lines {
    Terminal(Mutex<FullFormat<OneWrite>>, Arc<Arrived>),
    Compact(Arc<Sink>, TimeZone),
    Json(Mutex<slog_json::Json<JsonLine>>, Arc<Arrived>),
    Journal(Journal),
}

impl Lines {
    /// Full format of slog-term, with colour where a person watches.
    pub(super) fn terminal(sink: Arc<Sink>, colour: bool) -> Lines {
        let arrived = Arc::new(Arrived::default());
        let zone = TimeZone::system();
        let decorator = OneWrite { colour, sink, arrived: arrived.clone() };
        let format = FullFormat::new(decorator)
            .use_custom_timestamp(move |out: &mut dyn io::Write| write!(out, "{}", local_time(&zone)))
            .use_custom_header_print(|timestamp, mut line, record, _| {
                line.start_timestamp()?;
                timestamp(&mut line)?;
                line.start_whitespace()?;
                write!(line, " ")?;
                line.start_level()?;
                write!(line, "{:<7}", word(record.level()))?;
                line.start_whitespace()?;
                write!(line, " ")?;
                line.start_msg()?;
                write!(line, "{}", record.msg())?;
                Ok(true)
            });
        Lines::Terminal(Mutex::new(format.build()), arrived)
    }

    /// `2013-07-11 06:10:57,053 INFO message key=value`.
    pub(super) fn compact(sink: Arc<Sink>) -> Lines {
        Lines::Compact(sink, TimeZone::system())
    }

    /// `{"ts":"2026-11-22T16:10:57.053Z","level":"INFO","msg":"…","key":"value"}`.
    pub(super) fn json(sink: Arc<Sink>) -> Lines {
        let arrived = Arc::new(Arrived::default());
        let out = JsonLine { sink, line: String::new(), arrived: arrived.clone() };
        let json = slog_json::Json::new(out).add_key_value(slog::o!(
            "ts" => FnValue(|_: &Record<'_>| utc_time()),
            "level" => FnValue(|record: &Record<'_>| word(record.level())),
            "msg" => PushFnValue(|record: &Record<'_>, out| out.emit(record.msg())),
        ));
        Lines::Json(Mutex::new(json.build()), arrived)
    }

    /// Writes one record; says whether the line arrived.
    pub(super) fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> bool {
        let (formatted, arrived) = match self {
            Lines::Compact(sink, zone) => return sink.write_line(compact_line(zone, record, values).as_bytes()),
            Lines::Journal(journal) => return journal.log(record, values),
            Lines::Terminal(format, arrived) => {
                (format.lock().unwrap_or_else(PoisonError::into_inner).log(record, values), arrived)
            }
            Lines::Json(format, arrived) => {
                (format.lock().unwrap_or_else(PoisonError::into_inner).log(record, values), arrived)
            }
        };
        formatted.is_ok() && arrived.get()
    }
}

/// Whether the last line arrived: the libraries' formats have no way to say it.
#[derive(Default)]
pub(super) struct Arrived(std::sync::atomic::AtomicBool);

impl Arrived {
    fn set(&self, arrived: bool) {
        self.0.store(arrived, std::sync::atomic::Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}

/// The words of skypunch 0.3.0.
fn word(level: Level) -> &'static str {
    match level {
        Level::Critical => "CRITICAL",
        Level::Error => "ERROR",
        Level::Warning => "WARNING",
        Level::Info => "INFO",
        Level::Debug => "DEBUG",
        Level::Trace => "TRACE",
    }
}

fn now() -> Timestamp {
    Timestamp::from_millisecond(clock::wall_now().0).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn local_time(zone: &TimeZone) -> String {
    let now = now();
    let local = now.to_zoned(zone.clone());
    format!("{},{:03}", local.strftime("%Y-%m-%d %H:%M:%S"), local.millisecond())
}

fn utc_time() -> String {
    format!("{:.3}", now())
}

// ---- compact -----------------------------------------------------------------------------------------------------

fn compact_line(zone: &TimeZone, record: &Record<'_>, values: &OwnedKVList) -> String {
    let mut line = format!("{} {} ", local_time(zone), word(record.level()));
    line.push_str(&escape_controls(&record.msg().to_string()));
    Pairs::of(record, values).write(&mut line, record.tag() == RESULT);
    line.push('\n');
    line
}

/// The keys and values of a record, as they were written: the logger's own (component) before the record's.
pub(super) struct Pairs(pub(super) Vec<(slog::Key, String)>);

impl Pairs {
    pub(super) fn of(record: &Record<'_>, values: &OwnedKVList) -> Pairs {
        let mut pairs = Pairs(Vec::new());
        // A pair that cannot be written as text is left out: the line itself matters more.
        let _own = record.kv().serialize(record, &mut pairs);
        pairs.0.reverse(); // slog hands them out last first
        let own = pairs.0.len();
        let _inherited = values.serialize(record, &mut pairs);
        pairs.0[own..].reverse();
        pairs.0.rotate_left(own);
        pairs
    }

    /// Adds ` key=value` for each. The line of a result has the target's id and name in its words already.
    pub(super) fn write(&self, line: &mut String, of_result: bool) {
        for (key, value) in self.0.iter().filter(|(key, _)| !(of_result && matches!(*key, "target" | "name"))) {
            let value = escape_controls(value);
            if value.is_empty() || value.contains([' ', '"', '=']) {
                let value = value.replace('\\', "\\\\").replace('"', "\\\"");
                let _infallible = write!(line, " {key}=\"{value}\"");
            } else {
                let _infallible = write!(line, " {key}={value}");
            }
        }
    }
}

impl slog::Serializer for Pairs {
    fn emit_arguments(&mut self, key: slog::Key, value: &std::fmt::Arguments<'_>) -> slog::Result {
        self.0.push((key, value.to_string()));
        Ok(())
    }

    fn emit_none(&mut self, _: slog::Key) -> slog::Result {
        Ok(())
    }
}

// ---- terminal ----------------------------------------------------------------------------------------------------

/// Gathers a record of slog-term and writes it at once: slog-term's own decorators need up to 30 writes a line.
pub(super) struct OneWrite {
    sink: Arc<Sink>,
    colour: bool,
    arrived: Arc<Arrived>,
}

impl Decorator for OneWrite {
    fn with_record<F>(&self, record: &Record<'_>, _: &OwnedKVList, f: F) -> io::Result<()>
    where
        F: FnOnce(&mut dyn RecordDecorator) -> io::Result<()>,
    {
        let mut line = TermLine { text: String::new(), ours: false, styled: false, level: record.level(), out: self };
        f(&mut line)
    }
}

struct TermLine<'a> {
    text: String,
    /// What comes next is slog-term's (the line break), not from a message or value.
    ours: bool,
    styled: bool,
    level: Level,
    out: &'a OneWrite,
}

impl TermLine<'_> {
    fn style(&mut self, sgr: &str) {
        if self.out.colour {
            self.text.push_str(sgr);
            self.styled = true;
        }
    }
}

impl io::Write for TermLine<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        if self.ours {
            self.text.push_str(&text)
        } else {
            self.text.push_str(&escape_controls(&text))
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.arrived.set(self.out.sink.write_line(self.text.as_bytes()));
        Ok(())
    }
}

impl RecordDecorator for TermLine<'_> {
    fn reset(&mut self) -> io::Result<()> {
        self.ours = false;
        if std::mem::take(&mut self.styled) {
            self.text.push_str("\x1b[0m");
        }
        Ok(())
    }

    fn start_whitespace(&mut self) -> io::Result<()> {
        self.reset()?;
        self.ours = true;
        Ok(())
    }

    fn start_level(&mut self) -> io::Result<()> {
        self.reset()?;
        self.style(match self.level {
            Level::Critical | Level::Error => "\x1b[31m",
            Level::Warning => "\x1b[33m",
            Level::Info => "\x1b[32m",
            Level::Debug | Level::Trace => "\x1b[36m",
        });
        Ok(())
    }

    fn start_key(&mut self) -> io::Result<()> {
        self.reset()?;
        self.style("\x1b[2m");
        Ok(())
    }
}

// ---- JSON --------------------------------------------------------------------------------------------------------

/// Gathers the fragments of slog-json to a line.
pub(super) struct JsonLine {
    sink: Arc<Sink>,
    line: String,
    arrived: Arc<Arrived>,
}

impl io::Write for JsonLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // JSON escapes what is below U+0020 by itself, so a line break can only be the end of the line.
        match String::from_utf8_lossy(bytes).as_ref() {
            "\n" => {
                let mut line = String::with_capacity(self.line.len() + 1);
                for c in self.line.chars() {
                    // Outside of strings JSON is ASCII: these stand in strings, where \u is understood.
                    if escape_controls(c.encode_utf8(&mut [0; 4])).len() == c.len_utf8() {
                        line.push(c);
                    } else {
                        for unit in c.encode_utf16(&mut [0; 2]) {
                            let _infallible = write!(line, "\\u{unit:04x}");
                        }
                    }
                }
                line.push('\n');
                self.arrived.set(self.sink.write_line(line.as_bytes()));
                self.line.clear();
            }
            text => self.line.push_str(text),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
