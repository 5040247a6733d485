//! What somebody else wrote, made fit to be shown: on one line, without what is invisible, no longer than it may be.

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
/// width, joiners, separators of lines, soft hyphens, fillers, annotations and tags: what Unicode has as
/// Default_Ignorable_Code_Point, but for the selectors of variants that make one picture of another.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}')
        || matches!(c, '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}')
        || matches!(c, '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// JSON text in which what [`is_hidden`] is written as an escape, which reads back as the same (RFC 8259 section 7).
#[must_use]
pub fn escape_json(json: &str) -> Cow<'_, str> {
    // Below U+007F JSON has line breaks of its own, and no others.
    let hidden = |c: char| c >= '\u{7f}' && is_hidden(c);
    if !json.contains(hidden) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if hidden(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
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

#[cfg(test)]
mod tests {
    use super::*;

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
        for hidden in [
            '\u{34f}',
            '\u{115f}',
            '\u{3164}',
            '\u{ffa0}',
            '\u{e01ef}',
            '\u{ad}',
            '\u{61c}',
            '\u{2060}',
            '\u{206a}',
            '\u{fffa}',
            '\u{e0041}',
        ] {
            assert!(is_hidden(hidden), "{hidden:?}");
        }
        assert!(!"ä 中 🟢 \u{fe0f} א".contains(is_hidden));
    }

    #[test]
    fn json_reads_back_and_shows_nothing_hidden() {
        let value = "a\u{9b}2J\u{202e}\u{e0041}\u{7f}ä\n\u{fffd}";
        let json = serde_json::to_string_pretty(&[value]).unwrap();
        let escaped = escape_json(&json);
        assert!(!escaped.contains(|c: char| c != '\n' && is_hidden(c)), "{escaped}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&escaped).unwrap(), [value]);
        assert!(matches!(escape_json("[\"plain\"]"), Cow::Borrowed(_)));
    }
}
