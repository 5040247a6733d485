//! Text for people: escaping, shortening, names with a near miss, days.

use std::borrow::Cow;

/// Makes control characters (terminal escapes, line breaks, C1, bidi overrides) visible as `\u{1b}`; leaves the rest.
#[must_use]
pub fn escape_controls(s: &str) -> Cow<'_, str> {
    if s.chars().any(is_hidden) {
        let mut out = String::with_capacity(s.len() + 8);
        for c in s.chars() {
            if is_hidden(c) {
                out.extend(c.escape_default());
            } else {
                out.push(c);
            }
        }
        Cow::Owned(out)
    } else {
        Cow::Borrowed(s)
    }
}

/// Control characters and the invisible ones that reorder or hide text: marks and overrides of direction, spaces without
/// width, joiners, separators of lines, soft hyphens, annotations and tags (Unicode 16, section 23).
#[must_use]
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
        || matches!(c, '\u{e0000}'..='\u{e007f}')
}

/// At most `max` characters, with `…` as the last one where something was cut off.
#[must_use]
pub fn shorten(s: &str, max: usize) -> Cow<'_, str> {
    match s.char_indices().nth(max) {
        None => Cow::Borrowed(s),
        Some(_) => {
            let mut out: String = s.chars().take(max.saturating_sub(1)).collect();
            out.push('…');
            Cow::Owned(out)
        }
    }
}

/// What somebody else wrote, on one line that is at most `max` characters long as it is shown.
#[must_use]
pub fn clean(s: &str, max: usize) -> String {
    // Cut before as well: each escape makes up to nine characters of one.
    shorten(&escape_controls(&shorten(s, max)), max).into_owned()
}

/// Line by line what [`escape_controls`] does.
#[must_use]
pub fn escape_lines(s: &str) -> String {
    s.lines().map(escape_controls).collect::<Vec<_>>().join("\n")
}

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
    fn shorten_counts_characters_not_bytes() {
        assert_eq!(shorten("äöü", 3), "äöü");
        assert_eq!(shorten("äöüß", 3), "äö…");
    }

    #[test]
    fn what_others_wrote_is_one_line_no_longer_than_asked() {
        assert_eq!(clean("a\u{1b}[2Jb", 40), "a\\u{1b}[2Jb");
        assert_eq!(clean(&"\u{202e}".repeat(600), 30).chars().count(), 30);
        assert_eq!(escape_lines("one\u{7}\ntwo\u{2028}"), "one\\u{7}\ntwo\\u{2028}");
        for hidden in ['\u{ad}', '\u{61c}', '\u{2060}', '\u{206a}', '\u{fffa}', '\u{e0041}'] {
            assert!(is_hidden(hidden), "{hidden:?}");
        }
        assert!(!"ä 中 🟢 \u{fe0f} א".contains(is_hidden));
    }

    #[test]
    fn days_are_those_of_utc() {
        assert_eq!(utc_day(0), "1970-01-01");
        assert_eq!(utc_seconds(1_373_523_474_000), "2013-07-11 06:17:54");
    }
}
