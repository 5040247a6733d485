//! Lines of at most 76 columns.

use unicode_width::UnicodeWidthStr;

/// Columns of a line.
pub const WIDTH: usize = 76;

/// Columns of a label with its colon and the blanks behind it.
const LABEL: usize = 18;

/// Breaks each line of `text` between words; lines after the first begin with `indent` blanks. A word that is longer
/// than a line (a URL) stays whole on a line of its own.
#[must_use]
pub fn wrap(text: &str, indent: usize) -> String {
    let lines: Vec<String> = text.lines().map(|line| wrap_line(line, indent, WIDTH)).collect();
    lines.join("\n")
}

/// `Label:   value`, the value's further lines below its first.
#[must_use]
pub fn field(label: &str, value: &str) -> String {
    let head = format!("{label}:");
    let gap = LABEL.saturating_sub(head.width()).max(1);
    wrap_line(&format!("{head}{}{value}", " ".repeat(gap)), LABEL, WIDTH)
}

fn wrap_line(line: &str, indent: usize, width: usize) -> String {
    let body = line.trim_start();
    // A whole is not as wide as its parts are together where signs join: no widths are subtracted.
    let mut out = " ".repeat(line[..line.len() - body.len()].width());
    let (mut column, mut at_begin) = (out.len(), true);
    let mut rest = body;
    while !rest.is_empty() {
        let blanks = rest.len() - rest.trim_start_matches(' ').len();
        let word_end = rest[blanks..].find(' ').map_or(rest.len(), |i| blanks + i);
        let (gap, word) = (&rest[..blanks], &rest[blanks..word_end]);
        if !at_begin && column + blanks + word.width() > width {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            column = indent;
        } else {
            out.push_str(gap);
            column += blanks;
        }
        out.push_str(word);
        column += word.width();
        at_begin = false;
        rest = &rest[word_end..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_line_up_and_long_words_stay_whole() {
        assert_eq!(field("Name", "api"), "Name:             api");
        let url = format!("https://example.com/{}", "x".repeat(80));
        assert_eq!(field("URL", &url), format!("URL:\n                  {url}"));
        assert_eq!(wrap("  a b", 4), "  a b");
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_no_line_of_short_words_is_too_long(
            words in proptest::collection::vec("[a-zäß語]{1,30}", 1..60),
            indent in 0usize..10,
        ) {
            let text = words.join(" ");
            let wrapped = wrap(&text, indent);
            prop_assert_eq!(wrapped.split_whitespace().collect::<Vec<_>>(), words.iter().map(String::as_str).collect::<Vec<_>>());
            for line in wrapped.lines() {
                prop_assert!(line.width() <= WIDTH);
            }
        }
    }
}
