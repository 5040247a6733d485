//! Single values: from what a file, the environment or a flag gives to types that cannot be wrong.
//!
//! Every error is the end of a sentence that begins with the key: what was written, and what to write instead.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::model::egress::AddressList;
use crate::model::text::{nearest, quoted};

/// A value as it was given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) value: &'a Value,
    /// The source knows only texts (environment, flags): numbers and lists come as text too.
    pub(super) text_only: bool,
}

impl Given<'_> {
    fn wrong(&self, wanted: &str) -> String {
        let shown = match self.value {
            Value::String(s) => quoted(s),
            Value::Array(_) => "a list".into(),
            Value::Object(_) => "a table".into(),
            other => quoted(&other.to_string()),
        };
        format!("{shown} is not {wanted}")
    }
}

/// A text without control characters.
pub(super) fn text(given: Given<'_>) -> Result<String, String> {
    match given.value {
        Value::String(s) => checked_text(s),
        _ => Err(given.wrong("a text: write it in quotes")),
    }
}

fn checked_text(s: &str) -> Result<String, String> {
    if s.chars().any(char::is_control) {
        return Err(format!("{} holds a control character", quoted(s)));
    }
    if s.contains(char::REPLACEMENT_CHARACTER) {
        return Err(format!("{} is not UTF-8", quoted(s)));
    }
    if s.len() > 4096 {
        return Err(format!("{} is longer than 4096 bytes", quoted(s)));
    }
    Ok(s.to_owned())
}

/// A path; not empty.
pub(super) fn path(given: Given<'_>) -> Result<PathBuf, String> {
    let s = text(given)?;
    if s.is_empty() { Err("is empty: write a path, or leave the key out".into()) } else { Ok(PathBuf::from(s)) }
}

/// Paths from the root.
pub(super) fn folders(given: Given<'_>) -> Result<Vec<PathBuf>, String> {
    texts(given)?
        .into_iter()
        .map(|s| match PathBuf::from(&s) {
            p if p.is_absolute() => Ok(p),
            _ => Err(format!("{} does not begin at the root: write for example \"/etc/skypunch/secrets\"", quoted(&s))),
        })
        .collect()
}

/// Names of environment variables.
pub(super) fn names(given: Given<'_>) -> Result<Vec<String>, String> {
    let all = texts(given)?;
    match all.iter().find(|n| n.is_empty() || n.contains(['=', ' ', '$', '{'])) {
        Some(bad) => {
            Err(format!("{} is no name of an environment variable: write for example \"API_TOKEN\"", quoted(bad)))
        }
        None => Ok(all),
    }
}

/// Tags as targets carry them: no comma, nothing around them.
pub(super) fn tags(given: Given<'_>) -> Result<Vec<String>, String> {
    let all = texts(given)?;
    match all.iter().find(|t| t.is_empty() || t.contains(',') || t.trim() != t.as_str()) {
        Some(bad) => Err(format!("{} is no tag: write for example [\"critical\", \"shop\"]", quoted(bad))),
        None => Ok(all),
    }
}

/// A list of texts; from a source of texts one text with commas.
pub(super) fn texts(given: Given<'_>) -> Result<Vec<String>, String> {
    match given.value {
        Value::Array(items) => items
            .iter()
            .map(|value| text(Given { value, text_only: false }).map_err(|e| format!("an entry of the list: {e}")))
            .collect(),
        Value::String(s) if given.text_only => {
            s.split(',').map(str::trim).filter(|part| !part.is_empty()).map(checked_text).collect()
        }
        _ => Err(given.wrong("a list: write for example [\"one\", \"two\"]")),
    }
}

/// One word of a closed list.
pub(super) fn one_of<T: Copy>(given: Given<'_>, words: &[(&str, T)]) -> Result<T, String> {
    let known = || words.iter().map(|(w, _)| format!("\"{w}\"")).collect::<Vec<_>>().join(", ");
    let Value::String(s) = given.value else { return Err(given.wrong(&format!("one of {}", known()))) };
    words.iter().find(|(w, _)| w.eq_ignore_ascii_case(s)).map(|(_, t)| *t).ok_or_else(|| {
        let begins = || words.iter().map(|(w, _)| *w).find(|w| s.len() > 1 && w.starts_with(&s.to_lowercase()));
        let near = nearest(s, words.iter().map(|(w, _)| *w)).or_else(begins);
        let hint = near.map_or(String::new(), |w| format!("did you mean \"{w}\"? "));
        format!("{} is not known: {hint}write one of {}", quoted(s), known())
    })
}

/// A whole number within `range`.
pub(super) fn count(given: Given<'_>, range: RangeInclusive<u64>) -> Result<u64, String> {
    let wanted = || format!("a whole number from {} to {}", range.start(), range.end());
    let n = match given.value {
        Value::Number(n) => n.as_i64().map(i128::from),
        Value::String(s) if given.text_only => s.trim().parse::<i128>().ok(),
        _ => None,
    };
    let n = n.ok_or_else(|| given.wrong(&wanted()))?;
    u64::try_from(n)
        .ok()
        .filter(|n| range.contains(n))
        .ok_or_else(|| format!("{n} is out of range: write {}", wanted()))
}

/// A duration within `range`, as people write it ("250ms", "1m 30s").
pub(super) fn duration(given: Given<'_>, range: RangeInclusive<Duration>) -> Result<Duration, String> {
    let d = any_duration(given)?;
    if range.contains(&d) { Ok(d) } else { Err(out_of_range(d, &range)) }
}

/// A duration within `range`, or 0.
pub(super) fn duration_or_zero(given: Given<'_>, range: RangeInclusive<Duration>) -> Result<Duration, String> {
    let d = any_duration(given)?;
    if d.is_zero() || range.contains(&d) { Ok(d) } else { Err(format!("{}, or \"0s\"", out_of_range(d, &range))) }
}

fn any_duration(given: Given<'_>) -> Result<Duration, String> {
    let parse = |s: &str| {
        humantime::parse_duration(s).map_err(|_| match s.trim().parse::<f64>() {
            Ok(_) => {
                let n = if s.trim().len() <= 20 { s.trim() } else { "5" };
                format!("{} has no unit: write \"{n}s\" or \"{n}ms\"", quoted(s))
            }
            Err(_) => format!("{} is not a duration: write for example \"250ms\", \"10s\" or \"7d\"", quoted(s)),
        })
    };
    match given.value {
        Value::String(s) if s.trim() == "0" => Ok(Duration::ZERO),
        Value::String(s) => parse(s),
        Value::Number(n) if n.as_i64() == Some(0) => Ok(Duration::ZERO),
        Value::Number(n) => parse(&n.to_string()),
        _ => Err(given.wrong("a duration: write for example \"250ms\", \"10s\" or \"7d\"")),
    }
}

fn out_of_range(d: Duration, range: &RangeInclusive<Duration>) -> String {
    format!(
        "{} is out of range: write \"{}\" to \"{}\"",
        written_duration(d),
        written_duration(*range.start()),
        written_duration(*range.end())
    )
}

/// A duration as it would be written.
pub(super) fn written_duration(d: Duration) -> String {
    const DAY: u64 = 86_400;
    // Months and years are no whole days: `90d` would read `2months 29days 2h 52m 48s`.
    if d.subsec_nanos() == 0 && d.as_secs() > DAY && d.as_secs().is_multiple_of(DAY) {
        return format!("{}days", d.as_secs() / DAY);
    }
    humantime::format_duration(d).to_string()
}

const UNITS: [(&str, u64); 8] = [
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("b", 1),
    ("", 1),
];

/// A number of bytes within `range`: a number, or a text such as "512MiB".
pub(super) fn size(given: Given<'_>, range: RangeInclusive<u64>) -> Result<u64, String> {
    const HOW: &str = "write bytes as a number, or for example \"512MiB\"";
    let bytes = match given.value {
        Value::Number(n) => n.as_i64().map(i128::from),
        Value::String(s) => {
            let s = s.trim().to_ascii_lowercase();
            let digits = s.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(s.len());
            let (number, unit) = s.split_at(digits);
            let factor = UNITS.iter().find(|(u, _)| *u == unit.trim()).map(|(_, f)| i128::from(*f));
            number.parse::<i128>().ok().zip(factor).and_then(|(n, f)| n.checked_mul(f))
        }
        _ => None,
    };
    let bytes = bytes.ok_or_else(|| given.wrong(&format!("a size: {HOW}")))?;
    u64::try_from(bytes).ok().filter(|b| range.contains(b)).ok_or_else(|| {
        format!(
            "{bytes} bytes is out of range: write {} to {}",
            written_size(*range.start()),
            written_size(*range.end())
        )
    })
}

/// A size as it would be written.
pub(super) fn written_size(bytes: u64) -> String {
    match bytes {
        0 => "0B".into(),
        b if b % (1 << 30) == 0 => format!("{}GiB", b >> 30),
        b if b % (1 << 20) == 0 => format!("{}MiB", b >> 20),
        b if b % (1 << 10) == 0 => format!("{}KiB", b >> 10),
        b => format!("{b}B"),
    }
}

/// `ip:port` to listen on.
pub(super) fn listen(given: Given<'_>) -> Result<SocketAddr, String> {
    let s = text(given)?;
    s.trim().parse().map_err(|_| {
        format!("{} is not an address and a port: write for example \"127.0.0.1:8611\" or \"[::1]:8611\"", quoted(&s))
    })
}

/// Addresses of the egress policy: CIDRs and presets.
pub(super) fn addresses(given: Given<'_>) -> Result<AddressList, String> {
    let all = texts(given)?;
    AddressList::parse(all.iter().map(String::as_str))
}

/// Addresses of name servers; port 53 where none is written.
pub(super) fn name_servers(given: Given<'_>) -> Result<Vec<SocketAddr>, String> {
    texts(given)?
        .into_iter()
        .map(|s| {
            let port_53 = || s.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
            s.parse::<SocketAddr>().or_else(|_| port_53()).map_err(|_| {
                format!(
                    "{} is not an address: write for example \"192.0.2.1:53\" (a name cannot stand here)",
                    quoted(&s)
                )
            })
        })
        .collect()
}

/// The name of a host, as it stands behind the `@` of a Message-ID (RFC 5322 section 3.6.4).
pub(super) fn host_name(given: Given<'_>) -> Result<String, String> {
    let s = text(given)?;
    let fits =
        |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if s.len() > 253 || !s.split('.').all(fits) {
        return Err(format!("{} is no host name: write for example \"monitor.example.com\"", quoted(&s)));
    }
    Ok(s)
}

/// The value of a `User-Agent` header.
pub(super) fn user_agent(given: Given<'_>) -> Result<String, String> {
    let s = text(given)?;
    if s.is_empty() || s.len() > 256 || !s.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
        return Err(format!("{} does not fit in a header: write 1 to 256 printable ASCII characters", quoted(&s)));
    }
    Ok(s)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn get<T>(value: Value, f: impl Fn(Given<'_>) -> Result<T, String>) -> Result<T, String> {
        f(Given { value: &value, text_only: false })
    }

    #[test]
    fn durations_are_shown_as_they_would_be_written() {
        for text in ["250ms", "1m 30s", "1day", "7days", "90days", "3650days", "1day 1h"] {
            assert_eq!(written_duration(humantime::parse_duration(text).unwrap()), text);
        }
    }

    #[test]
    fn sizes_have_binary_and_decimal_units() {
        let size = |v| get(v, |g| size(g, 1..=u64::MAX));
        assert_eq!(size(json!("512MiB")), Ok(512 << 20));
        assert_eq!(size(json!("1 GB")), Ok(1_000_000_000));
        assert_eq!(size(json!("64kib")), Ok(65_536));
        assert_eq!(size(json!(77)), Ok(77));
        for bad in [json!("12 apples"), json!("-1"), json!(""), json!(1.5), json!("99999999999999999999999999GiB")] {
            assert!(size(bad.clone()).is_err(), "{bad}");
        }
        assert_eq!(written_size(128 << 20), "128MiB");
    }

    #[test]
    fn durations_want_a_unit() {
        let limits = Duration::from_millis(10)..=Duration::from_secs(60);
        let d = |v| get(v, |g| duration(g, limits.clone()));
        assert_eq!(d(json!("250ms")), Ok(Duration::from_millis(250)));
        assert_eq!(d(json!("5")).unwrap_err(), "`5` has no unit: write \"5s\" or \"5ms\"");
        assert!(d(json!(5)).unwrap_err().contains("write \"5s\""));
        assert!(d(json!("2h")).unwrap_err().contains("write \"10ms\" to \"1m\""));
        assert!(d(json!(-3)).is_err());
        assert_eq!(get(json!(0), |g| duration_or_zero(g, limits.clone())), Ok(Duration::ZERO));
        assert!(get(json!("1ms"), |g| duration_or_zero(g, limits.clone())).is_err());
    }

    #[test]
    fn words_have_a_near_miss() {
        let words = [("off", 0), ("encrypt", 1), ("verify", 2)];
        assert_eq!(get(json!("Verify"), |g| one_of(g, &words)), Ok(2));
        assert!(get(json!("verfy"), |g| one_of(g, &words)).unwrap_err().contains("did you mean \"verify\"?"));
        assert!(get(json!(true), |g| one_of(g, &words)).unwrap_err().contains("\"off\", \"encrypt\", \"verify\""));
    }

    #[test]
    fn lists_come_as_text_only_where_there_is_nothing_else() {
        let value = json!("192.0.2.1, [2001:db8::1]:5353");
        assert_eq!(name_servers(Given { value: &value, text_only: true }).unwrap().len(), 2);
        assert!(name_servers(Given { value: &value, text_only: false }).unwrap_err().contains("a list"));
        assert!(get(json!(["dns.example"]), name_servers).unwrap_err().contains("a name cannot stand here"));
    }
}
