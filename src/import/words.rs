//! How other programs write durations, sets of status codes and secrets.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Milliseconds of `30s`, `1m30s`, `500ms`, `1.5h`, `1d`, as Go and Prometheus write durations; a bare number is seconds.
#[must_use]
pub fn duration_ms(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return whole(seconds * 1000.0);
    }
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ns" => 1e-6,
            "us" | "µs" | "μs" => 1e-3,
            "ms" => 1.0,
            "s" => 1e3,
            "m" => 60e3,
            "h" => 3600e3,
            "d" => 86_400e3,
            "w" => 604_800e3,
            "y" => 31_536_000e3,
            _ => return None,
        };
        total += number * unit;
        rest = &rest[end..];
    }
    if text.is_empty() { None } else { whole(total) }
}

fn whole(ms: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "held between 0 and 1e15")]
    let rounded = ms.round() as i64;
    (0.0..=1e15).contains(&ms).then_some(rounded)
}

/// A set of status codes from 100 to 599.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codes([bool; 500]);

impl Codes {
    /// Those for which `f` says so.
    #[must_use]
    pub fn of(f: impl Fn(u16) -> bool) -> Codes {
        Codes(std::array::from_fn(|i| u16::try_from(i).is_ok_and(|i| f(i + 100))))
    }

    /// Those that are in both.
    #[must_use]
    pub fn and(&self, other: &Codes) -> Codes {
        Codes(std::array::from_fn(|i| self.0[i] && other.0[i]))
    }

    /// As `pass_result` writes them: `200-299,301`; empty when there is none.
    #[must_use]
    pub fn written(&self) -> String {
        let mut ranges: Vec<(usize, usize)> = Vec::new();
        for i in (0..500).filter(|i| self.0[*i]) {
            match ranges.last_mut() {
                Some((_, to)) if *to + 1 == i => *to = i,
                _ => ranges.push((i, i)),
            }
        }
        let one = |(from, to): &(usize, usize)| {
            if from == to { format!("{}", from + 100) } else { format!("{}-{}", from + 100, to + 100) }
        };
        ranges.iter().map(one).collect::<Vec<_>>().join(",")
    }
}

/// What an `Authorization` header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authorization {
    /// User and password.
    Basic(String, String),
    /// A token.
    Bearer(String),
    /// Something else.
    Other,
}

impl Authorization {
    /// Reads the header's value.
    #[must_use]
    pub fn read(value: &str) -> Authorization {
        let (scheme, rest) = value.trim().split_once(' ').unwrap_or((value, ""));
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") && !rest.is_empty() {
            return Authorization::Bearer(rest.to_owned());
        }
        if scheme.eq_ignore_ascii_case("basic")
            && let Some(text) = STANDARD.decode(rest).ok().and_then(|b| String::from_utf8(b).ok())
            && let Some((user, password)) = text.split_once(':')
        {
            return Authorization::Basic(user.to_owned(), password.to_owned());
        }
        Authorization::Other
    }
}

/// A tag: no commas, no control characters, at most 64 characters.
#[must_use]
pub fn tag(text: &str) -> String {
    let plain = text.trim().chars().map(|c| if c == ',' || c.is_control() { ' ' } else { c });
    plain.take(64).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_of_go_and_prometheus() {
        for (text, ms) in [
            ("30s", Some(30_000)),
            ("1m30s", Some(90_000)),
            ("500ms", Some(500)),
            ("1.5h", Some(5_400_000)),
            ("1d", Some(86_400_000)),
            ("15", Some(15_000)),
            ("0", Some(0)),
            ("250us", Some(0)),
            ("", None),
            ("s", None),
            ("10 s", None),
            ("1x", None),
            ("-5s", None),
            ("NaN", None),
            ("inf", None),
        ] {
            assert_eq!(duration_ms(text), ms, "{text}");
        }
    }

    #[test]
    fn codes_are_written_as_ranges() {
        assert_eq!(Codes::of(|c| c == 200).written(), "200");
        assert_eq!(Codes::of(|c| c < 300).and(&Codes::of(|c| c >= 200 || c == 101)).written(), "101,200-299");
        assert_eq!(Codes::of(|_| false).written(), "");
        assert_eq!(Codes::of(|_| true).written(), "100-599");
    }

    #[test]
    fn authorization_is_read() {
        assert_eq!(Authorization::read("Basic dTpwOnc="), Authorization::Basic("u".into(), "p:w".into()));
        assert_eq!(Authorization::read("bearer  t "), Authorization::Bearer("t".into()));
        for other in ["Basic !!", "Digest x", "", "Basic", "Bearer "] {
            assert_eq!(Authorization::read(other), Authorization::Other, "{other}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "\\PC*|[0-9.a-z]{0,12}") {
            let _any = (duration_ms(&text), Authorization::read(&text));
            prop_assert!(tag(&text).chars().count() <= 64 && !tag(&text).contains(','));
        }
    }
}
