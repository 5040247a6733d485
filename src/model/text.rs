//! Text for people: quoting, names with a near miss, days.

pub use crate::shown::{clean, escape_controls, escape_json, escape_lines, is_hidden, shorten};

/// A value as an error message shows it: quoted, escaped, at most 60 characters.
#[must_use]
pub fn quoted(s: &str) -> String {
    format!("`{}`", escape_controls(&shorten(s, 60)))
}

/// The entry of `known` that `word` was probably meant to be.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let long = word.chars().count();
    let most = |k: &str| 1 + k.len().min(word.len()) / 3;
    known
        .into_iter()
        // To compare costs the product of both lengths: what is far longer or shorter is far away without that.
        .filter(|k| k.chars().count().abs_diff(long) <= most(k))
        .map(|k| (strsim::damerau_levenshtein(&word, &k.to_lowercase()), k))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, k)| *distance <= most(k))
        .map(|(_, k)| k)
}

/// `2026-11-22` of a time in milliseconds UTC.
#[must_use]
pub fn utc_day(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| format!("{ms} ms"), |t| t.strftime("%Y-%m-%d").to_string())
}

/// `2026-11-22 17:05:09` of a time in milliseconds UTC.
#[must_use]
pub fn utc_seconds(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms)
        .map_or_else(|_| format!("{ms} ms"), |t| t.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// An error and its causes, each once.
#[must_use]
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(c) = cause {
        text.push_str(": ");
        text.push_str(&c.to_string());
        cause = c.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_finds_typing_errors_and_nothing_else() {
        let known = ["frequency_ms", "timeout_ms", "name"];
        assert_eq!(nearest("frequncy_ms", known), Some("frequency_ms"));
        assert_eq!(nearest("nmae", known), Some("name"));
        assert_eq!(nearest("colour", known), None);
    }

    #[test]
    fn days_are_those_of_utc() {
        assert_eq!(utc_day(0), "1970-01-01");
        assert_eq!(utc_seconds(1_373_523_474_000), "2013-07-11 06:17:54");
    }
}
