//! Times, durations and encodings as messages write them.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// `2026-11-22 03:07:12 UTC` of milliseconds.
pub(super) fn utc(ms: i64) -> String {
    format!("{} UTC", crate::model::text::utc_seconds(ms))
}

/// `2026-11-22T03:07:12.345Z` of milliseconds (RFC 3339).
pub(super) fn iso(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms)
        .map_or_else(|_| format!("{ms} ms"), |t| t.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string())
}

/// `2 d 4 h`, `12 min 5 s`, `340 ms`: the two largest units, which is all that anybody reads.
pub(super) fn duration(ms: i64) -> String {
    let ms = ms.max(0);
    if ms < 1000 {
        return format!("{ms} ms");
    }
    let s = ms / 1000;
    let units = [(s / 86_400, "d"), (s / 3600 % 24, "h"), (s / 60 % 60, "min"), (s % 60, "s")];
    let first = units.iter().position(|(n, _)| *n > 0).unwrap_or(3);
    let parts: Vec<String> =
        units[first..].iter().take(2).filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n} {unit}")).collect();
    parts.join(" ")
}

/// All but unreserved characters (RFC 3986 section 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Percent-encoding that fits a path segment and a query value.
pub(super) fn percent(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// The text of a part of a URL.
pub(super) fn of_percent(part: &str) -> String {
    percent_decode_str(part).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units() {
        for (ms, text) in [
            (0, "0 ms"),
            (340, "340 ms"),
            (5_000, "5 s"),
            (725_000, "12 min 5 s"),
            (3_600_000, "1 h"),
            (187_200_000, "2 d 4 h"),
            (86_405_000, "1 d"),
        ] {
            assert_eq!(duration(ms), text);
        }
        assert_eq!(iso(1_795_316_832_345), "2026-11-22T03:07:12.345Z");
        assert_eq!(utc(1_795_316_832_345), "2026-11-22 03:07:12 UTC");
    }
}
