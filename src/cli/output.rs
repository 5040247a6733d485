//! Where output goes and how it looks there.

use std::io::{self, BufWriter, IsTerminal, Write};

use clap::ValueEnum;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::exit::CliError;
use crate::clock::wall_now;
use crate::model::reason::Verdict;
use crate::model::state::Status;
use crate::model::text::escape_json;
use crate::model::time::UtcMs;

/// For people or for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// Tables and sentences; times in the local time zone.
    #[default]
    Table,
    /// JSON in the words of the database; times in milliseconds UTC.
    Json,
}

/// The look of text.
#[derive(Debug, Clone)]
pub struct Style {
    /// PASS, FAIL and UNKNOWN in colours.
    pub color: bool,
    /// Columns of the terminal; `None` when the output is no terminal, and nothing is shortened.
    pub width: Option<usize>,
    /// Time zone that times are shown in.
    pub tz: TimeZone,
    /// Now: where there is little room, a time of today needs no date.
    pub now: UtcMs,
}

impl Style {
    /// No colours, no shortening, UTC, in 1970.
    #[must_use]
    pub fn plain() -> Style {
        Style { color: false, width: None, tz: TimeZone::UTC, now: UtcMs(0) }
    }

    /// `2013-07-11 06:17:54`; `-` where there is no time.
    #[must_use]
    pub fn time(&self, at: Option<UtcMs>) -> String {
        self.formatted(at.map(|t| t.0.saturating_mul(1000)), "%Y-%m-%d %H:%M:%S")
    }

    /// `2013-07-11 06:10:57,053`, as the log writes it.
    #[must_use]
    pub fn time_ms(&self, at: UtcMs) -> String {
        self.formatted(Some(at.0.saturating_mul(1000)), "%Y-%m-%d %H:%M:%S,%3f")
    }

    /// `2013-07-13 04:44:25.113623` of a time in microseconds UTC.
    #[must_use]
    pub fn time_us(&self, us: i64) -> String {
        self.formatted(Some(us), "%Y-%m-%d %H:%M:%S.%6f")
    }

    /// As short as it stays clear: `06:17:54` of today, `07-11 06:17` of this year, else `2013-07-11`.
    #[must_use]
    pub fn time_short(&self, at: Option<UtcMs>) -> String {
        at.map_or_else(|| "-".into(), |at| self.nearby(at, ["%H:%M:%S", "%m-%d %H:%M", "%Y-%m-%d"]))
    }

    /// The same with a second more: `06:10:57,053`, `07-11 06:10:57`, `2013-07-11`.
    #[must_use]
    pub fn time_ms_short(&self, at: UtcMs) -> String {
        self.nearby(at, ["%H:%M:%S,%3f", "%m-%d %H:%M:%S", "%Y-%m-%d"])
    }

    /// In the first of the forms for today, for this year, for all other times.
    fn nearby(&self, at: UtcMs, forms: [&str; 3]) -> String {
        let day = |at: UtcMs| jiff::Timestamp::from_millisecond(at.0).ok().map(|t| t.to_zoned(self.tz.clone()).date());
        let form = match (day(at), day(self.now)) {
            (Some(then), Some(today)) if then == today => forms[0],
            (Some(then), Some(today)) if then.year() == today.year() => forms[1],
            _ => forms[2],
        };
        self.formatted(Some(at.0.saturating_mul(1000)), form)
    }

    fn formatted(&self, us: Option<i64>, form: &str) -> String {
        us.map_or_else(
            || "-".into(),
            |us| match jiff::Timestamp::from_microsecond(us) {
                Ok(at) => at.to_zoned(self.tz.clone()).strftime(form).to_string(),
                Err(_) => format!("{us} us"),
            },
        )
    }

    /// `text` in the colour of that status.
    #[must_use]
    pub fn paint(&self, text: &str, tint: Tint) -> String {
        match (self.color, tint.code()) {
            (true, Some(code)) => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            _ => text.to_owned(),
        }
    }
}

/// What a text says of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tint {
    /// Nothing.
    #[default]
    None,
    /// It works: green.
    Good,
    /// It does not: red.
    Bad,
    /// Inconclusive: yellow.
    Unclear,
}

impl Tint {
    /// The number of the terminal's colour (ECMA-48 SGR).
    #[must_use]
    pub fn code(self) -> Option<u8> {
        match self {
            Tint::None => None,
            Tint::Good => Some(32),
            Tint::Bad => Some(31),
            Tint::Unclear => Some(33),
        }
    }
}

impl From<Status> for Tint {
    fn from(status: Status) -> Tint {
        match status {
            Status::New => Tint::None,
            Status::Pass => Tint::Good,
            Status::Fail => Tint::Bad,
            Status::Unknown => Tint::Unclear,
        }
    }
}

impl From<Verdict> for Tint {
    fn from(verdict: Verdict) -> Tint {
        match verdict {
            Verdict::Pass => Tint::Good,
            Verdict::Fail => Tint::Bad,
            Verdict::Unknown => Tint::Unclear,
        }
    }
}

/// Standard output.
pub struct Out {
    to: BufWriter<io::Stdout>,
    /// For people or for programs.
    pub format: Format,
    /// The look of text.
    pub style: Style,
}

impl Out {
    /// Standard output as it is: colours and shortening only on a terminal, no colours with `--no-color` or a `NO_COLOR`
    /// that is not empty.
    #[must_use]
    pub fn new(format: Format, no_color: bool) -> Out {
        let stdout = io::stdout();
        let tty = stdout.is_terminal();
        let color = tty && !no_color && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        let width =
            rustix::termios::tcgetwinsize(&stdout).ok().map(|w| usize::from(w.ws_col)).filter(|w| tty && *w > 0);
        let style = Style { color, width, tz: TimeZone::system(), now: wall_now() };
        Out { to: BufWriter::with_capacity(64 * 1024, stdout), format, style }
    }

    /// Writes text as it is.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn text(&mut self, text: &str) -> Result<(), CliError> {
        self.to.write_all(text.as_bytes()).map_err(write_error)
    }

    /// Writes text and a line break, and lets it out at once.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn line(&mut self, text: &str) -> Result<(), CliError> {
        self.text(text)?;
        self.text("\n")?;
        self.flush()
    }

    /// Writes a value for programs, indented.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn json<T: Serialize>(&mut self, value: &T) -> Result<(), CliError> {
        let json = serde_json::to_string_pretty(value).map_err(|e| write_error(e.into()))?;
        self.text(&escape_json(&json))?;
        self.text("\n")
    }

    /// Writes a value of a stream on a line of its own, and lets it out at once.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn json_line<T: Serialize>(&mut self, value: &T) -> Result<(), CliError> {
        let json = serde_json::to_string(value).map_err(|e| write_error(e.into()))?;
        self.line(&escape_json(&json))
    }

    /// Writes a value for programs, or its text for people.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn show<T: Serialize>(&mut self, value: &T, text: impl FnOnce(&T, &Style) -> String) -> Result<(), CliError> {
        match self.format {
            Format::Json => self.json(value),
            Format::Table => {
                let text = text(value, &self.style);
                self.text(&text)
            }
        }
    }

    /// Lets out what is still held.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush(&mut self) -> Result<(), CliError> {
        self.to.flush().map_err(write_error)
    }
}

fn write_error(e: io::Error) -> CliError {
    if e.kind() == io::ErrorKind::BrokenPipe { CliError::BrokenPipe } else { CliError::Output(e) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_look_as_in_0_3_0() {
        let style = Style::plain();
        assert_eq!(style.time(Some(UtcMs(1_373_523_474_000))), "2013-07-11 06:17:54");
        assert_eq!(style.time(None), "-");
        assert_eq!(style.time_ms(UtcMs(1_373_523_057_053)), "2013-07-11 06:10:57,053");
        assert_eq!(style.time_us(1_373_690_665_113_623), "2013-07-13 04:44:25.113623");
        assert_eq!(style.time(Some(UtcMs(i64::MAX))), format!("{} us", i64::MAX));
        let berlin = Style { tz: TimeZone::fixed(jiff::tz::offset(2)), ..Style::plain() };
        assert_eq!(berlin.time(Some(UtcMs(1_373_523_474_000))), "2013-07-11 08:17:54");
    }

    #[test]
    fn short_times_leave_out_what_is_clear() {
        let at = UtcMs(1_373_523_057_053);
        let style = |now| Style { now: UtcMs(now), tz: TimeZone::fixed(jiff::tz::offset(2)), ..Style::plain() };
        let today = style(1_373_580_000_000 - 1); // 23:59:59 there
        assert_eq!((today.time_short(Some(at)), today.time_ms_short(at)), ("08:10:57".into(), "08:10:57,053".into()));
        let tomorrow = style(1_373_580_000_000);
        assert_eq!(
            (tomorrow.time_short(Some(at)), tomorrow.time_ms_short(at)),
            ("07-11 08:10".into(), "07-11 08:10:57".into())
        );
        assert_eq!(
            (style(0).time_short(Some(at)), style(0).time_ms_short(at)),
            ("2013-07-11".into(), "2013-07-11".into())
        );
        assert_eq!(today.time_short(None), "-");
    }

    #[test]
    fn colours_only_where_asked_for() {
        let color = Style { color: true, ..Style::plain() };
        assert_eq!(color.paint("FAIL", Status::Fail.into()), "\u{1b}[31mFAIL\u{1b}[0m");
        assert_eq!(color.paint("NEW", Status::New.into()), "NEW");
        assert_eq!(Style::plain().paint("FAIL", Status::Fail.into()), "FAIL");
    }
}
