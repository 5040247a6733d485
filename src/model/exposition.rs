//! The text format of Prometheus (version 0.0.4): families of samples, labels escaped.
//!
//! ```text
//!  # HELP skypunch_targets Enabled targets by status.
//!  # TYPE skypunch_targets gauge
//!  skypunch_targets{status="PASS"} 17
//! ```
//!
//! A renderer of our own: what is shown is read from where it stands when somebody asks, so that nothing is counted twice
//! and the probes know nothing of it.

use std::fmt::Write;

use super::histogram::Histogram;
use super::time::UtcMs;

/// The media type of the format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a family measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Goes up, and begins anew with the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size.
    Histogram,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// Names and values of labels.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// The text as far as it is written.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
    family: &'static str,
}

impl Exposition {
    /// Begins a family: its samples follow. Each family is begun once.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str) {
        self.family = name;
        let _infallible = writeln!(self.text, "# HELP {name} {}", HelpText(help));
        let _infallible = writeln!(self.text, "# TYPE {name} {}", kind.as_str());
    }

    /// A sample of the family.
    pub fn sample(&mut self, labels: Labels<'_>, value: impl Into<Value>) {
        self.line("", labels, &[], value.into());
    }

    /// A family of one sample without labels.
    pub fn single(&mut self, name: &'static str, kind: Kind, help: &str, value: impl Into<Value>) {
        self.family(name, kind, help);
        self.sample(&[], value);
    }

    /// A histogram of the family; in seconds.
    pub fn histogram(&mut self, labels: Labels<'_>, histogram: &Histogram) {
        for (bound, n) in histogram.cumulative() {
            let le = (f64::from(bound) / 1e6).to_string();
            self.line("_bucket", labels, &[("le", &le)], n.into());
        }
        let count = histogram.count();
        self.line("_bucket", labels, &[("le", "+Inf")], count.into());
        self.line("_sum", labels, &[], Value::seconds(histogram.sum_us()));
        self.line("_count", labels, &[], count.into());
    }

    /// The whole text.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }

    fn line(&mut self, suffix: &str, labels: Labels<'_>, more: Labels<'_>, value: Value) {
        self.text.push_str(self.family);
        self.text.push_str(suffix);
        let mut separator = '{';
        for (name, text) in labels.iter().chain(more) {
            self.text.push(separator);
            self.text.push_str(name);
            self.text.push_str("=\"");
            push_escaped(&mut self.text, text);
            self.text.push('"');
            separator = ',';
        }
        if separator == ',' {
            self.text.push('}');
        }
        let _infallible = match value {
            Value::Whole(n) => writeln!(self.text, " {n}"),
            Value::Real(x) => writeln!(self.text, " {x}"),
        };
    }
}

/// The value of a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// A whole number.
    Whole(i128),
    /// Any other.
    Real(f64),
}

impl Value {
    /// Seconds from microseconds.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "what a double cannot tell apart is not worth telling apart")]
    pub fn seconds(us: u64) -> Value {
        Value::Real(us as f64 / 1e6)
    }

    /// Seconds since 1970, from a time.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit in a double for 280,000 years")]
    pub fn unix(at: UtcMs) -> Value {
        Value::Real(at.0 as f64 / 1e3)
    }
}

macro_rules! whole {
    ($($kind:ty)*) => { $( impl From<$kind> for Value {
        fn from(n: $kind) -> Value {
            Value::Whole(n.into())
        }
    } )* };
}
whole!(u8 u32 u64 i64 bool);

impl From<usize> for Value {
    fn from(n: usize) -> Value {
        Value::Whole(n as i128)
    }
}

impl From<f64> for Value {
    fn from(x: f64) -> Value {
        Value::Real(x)
    }
}

/// A label's value: `\`, `"` and line breaks are escaped, all else stands as it is (the format is UTF-8). Other control
/// characters, which a terminal might obey, become `\u{fffd}`.
fn push_escaped(text: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c if c.is_control() => text.push(char::REPLACEMENT_CHARACTER),
            c => text.push(c),
        }
    }
}

/// A help text: `\` and line breaks are escaped.
struct HelpText<'a>(&'a str);

impl std::fmt::Display for HelpText<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '\\' => f.write_str("\\\\"),
            '\n' => f.write_str("\\n"),
            c => f.write_char(c),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_as_the_format_says() {
        let mut page = Exposition::default();
        page.family("a_total", Kind::Counter, "What \\ a\nis.");
        page.sample(&[("name", "q\"\\\n\u{1b}é漢"), ("other", "")], 3_u64);
        page.single("b_seconds", Kind::Gauge, "B.", Value::seconds(1_500_000));
        let mut histogram = Histogram::new(&[1_000, 2_500_000]);
        histogram.record(1_000);
        histogram.record(3_000_000);
        page.family("c_seconds", Kind::Histogram, "C.");
        page.histogram(&[("phase", "tls")], &histogram);
        assert_eq!(
            page.into_text(),
            "\
# HELP a_total What \\\\ a\\nis.
# TYPE a_total counter
a_total{name=\"q\\\"\\\\\\n\u{fffd}é漢\",other=\"\"} 3
# HELP b_seconds B.
# TYPE b_seconds gauge
b_seconds 1.5
# HELP c_seconds C.
# TYPE c_seconds histogram
c_seconds_bucket{phase=\"tls\",le=\"0.001\"} 1
c_seconds_bucket{phase=\"tls\",le=\"2.5\"} 1
c_seconds_bucket{phase=\"tls\",le=\"+Inf\"} 2
c_seconds_sum{phase=\"tls\"} 3.001
c_seconds_count{phase=\"tls\"} 2
"
        );
    }

    #[test]
    fn times_are_seconds_since_1970() {
        assert_eq!(Value::unix(UtcMs(1_373_523_474_250)), Value::Real(1_373_523_474.25));
        assert_eq!(Value::from(true), Value::Whole(1));
    }
}
