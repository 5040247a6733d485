//! Text that is wider than its place: cut, or folded into lines.

use unicode_width::UnicodeWidthChar;

/// At most `width` columns, with `…` as the last one where something was cut off.
pub(super) fn fit(text: &str, width: usize) -> String {
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        let columns = c.width().unwrap_or(0);
        if used + columns + 1 > width {
            break;
        }
        used += columns;
        out.push(c);
    }
    out.push('…');
    out
}

/// Lines of at most `width` columns (at least 2), broken between words, or within a word that is longer than a line.
pub(super) fn fold(text: &str, width: usize) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(end) = overflow(rest, width.max(2)) {
        let space = match rest[end..].starts_with(' ') {
            true => Some(end),
            false => rest[..end].rfind(' '),
        };
        // A line of nothing but spaces is none.
        let end = space.filter(|s| !rest[..*s].trim_end_matches(' ').is_empty()).unwrap_or(end);
        lines.push(rest[..end].trim_end_matches(' '));
        rest = rest[end..].trim_start_matches(' ');
    }
    if !rest.is_empty() || lines.is_empty() {
        lines.push(rest);
    }
    lines
}

/// A line whose first `indent` characters (ASCII) stay alone on the left when the rest takes more lines. Where there is
/// next to no room beside them, it is left to the terminal.
pub(super) fn hang(line: &str, indent: usize, width: Option<usize>) -> String {
    const LEAST: usize = 20;
    let Some(room) = width.and_then(|w| w.checked_sub(indent)).filter(|room| *room >= LEAST) else {
        return line.to_owned();
    };
    let Some((head, rest)) = line.split_at_checked(indent) else { return line.to_owned() };
    let next = format!("\n{:indent$}", "");
    format!("{head}{}", fold(rest, room).join(&next))
}

/// Where the first character stands that is beyond the line; `None` when all of it fits.
fn overflow(text: &str, width: usize) -> Option<usize> {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += c.width().unwrap_or(0);
        if used > width {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use unicode_width::UnicodeWidthStr;

    #[test]
    fn what_is_cut_off_is_marked() {
        assert_eq!(fit("a name", 4), "a n…");
        assert_eq!(fit("日本語", 5), "日本…");
    }

    #[test]
    fn lines_break_between_words_and_only_else_within_one() {
        let cases: [(&str, usize, &[&str]); 8] = [
            ("", 5, &[""]),
            ("short", 5, &["short"]),
            ("two words", 5, &["two", "words"]),
            ("one two three", 7, &["one two", "three"]),
            ("a http://long", 6, &["a", "http:/", "/long"]),
            ("abc   def", 4, &["abc", "def"]),
            ("      x", 3, &["", "x"]),
            ("日本語", 5, &["日本", "語"]),
        ];
        for (text, width, lines) in cases {
            assert_eq!(fold(text, width), lines, "{text:?} in {width}");
        }
    }

    #[test]
    fn what_stands_on_the_left_stays_alone_there() {
        let line = "  1 ms  a sentence that is longer than the terminal is wide";
        assert_eq!(
            hang(line, 8, Some(30)),
            "  1 ms  a sentence that is\n        longer than the\n        terminal is wide"
        );
        assert_eq!(hang(line, 8, None), line);
        assert_eq!(hang(line, 8, Some(27)), line, "no room");
        assert_eq!(hang("short", 8, Some(80)), "short");
    }

    proptest! {
        #[test]
        fn nothing_is_lost_but_spaces_and_no_line_is_too_long(text in "[ a-c日e\u{301}]{0,60}", width in 2usize..20) {
            let lines = fold(&text, width);
            prop_assert!(lines.iter().all(|l| l.width() <= width), "{lines:?}");
            prop_assert_eq!(lines.concat().replace(' ', ""), text.replace(' ', ""));
        }
    }
}
