//! A table of labels and values: what a command shows of one thing.

use std::borrow::Cow;

use unicode_width::UnicodeWidthStr;

use super::fold::fold;
use super::output::{Style, Tint};
use super::tables::Lines;
use crate::model::text::{escape_controls, shorten};

const HEADER: [&str; 2] = ["Field", "Value"];
/// Characters of a value; the whole of a request's body, for example, is in the JSON.
const MAX_VALUE: usize = 1000;
/// Values are not folded into less: rather let the terminal wrap.
const MIN_VALUE: usize = 16;
/// What the borders and their spaces take.
const BORDERS: usize = 7;

/// A table of labels and values. On a terminal long values are folded to its width.
#[derive(Debug, Default)]
pub struct Facts<'a>(Vec<Fact<'a>>);

#[derive(Debug)]
struct Fact<'a> {
    label: &'a str,
    value: String,
    tint: Tint,
}

impl<'a> Facts<'a> {
    /// Adds a fact.
    pub fn add(&mut self, label: &'a str, value: impl Into<Cow<'a, str>>) {
        self.add_tinted(label, value, Tint::None);
    }

    /// Adds a fact in a colour.
    pub fn add_tinted(&mut self, label: &'a str, value: impl Into<Cow<'a, str>>, tint: impl Into<Tint>) {
        let value = shorten(&escape_controls(&value.into()), MAX_VALUE).into_owned();
        self.0.push(Fact { label, value, tint: tint.into() });
    }

    /// The table.
    #[must_use]
    pub fn render(self, style: &Style) -> String {
        let widest = |of: fn(&Fact<'a>) -> usize| self.0.iter().map(of).max().unwrap_or(0);
        let label = widest(|f| f.label.width()).max(HEADER[0].len());
        let natural = widest(|f| f.value.width()).max(HEADER[1].len());
        let room = style.width.map(|terminal| terminal.saturating_sub(label + BORDERS).max(MIN_VALUE));
        let value = room.map_or(natural, |room| room.min(natural));
        let mut lines = Lines::new(vec![label, value], self.0.len());
        lines.rule();
        lines.row(HEADER.iter().map(|h| (Cow::Borrowed(*h), Tint::None)), style);
        lines.rule();
        for fact in &self.0 {
            for (n, part) in fold(&fact.value, value).into_iter().enumerate() {
                let label = if n == 0 { fact.label } else { "" };
                lines.row([(label.into(), Tint::None), (part.into(), fact.tint)].into_iter(), style);
            }
        }
        lines.rule();
        lines.into_text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(value: &str) -> Facts<'_> {
        let mut facts = Facts::default();
        facts.add("ID", "1");
        facts.add_tinted("Status Description", value, Tint::Bad);
        facts
    }

    #[test]
    fn values_are_folded_on_a_terminal_only() {
        let value = "no connection to 127.0.0.1:80: connection refused; tried 1 address";
        let style = Style { width: Some(50), color: true, ..Style::plain() };
        assert_eq!(
            facts(value).render(&style).replace("\u{1b}[31m", "").replace("\u{1b}[0m", ""),
            "\
+--------------------+---------------------------+
| Field              | Value                     |
+--------------------+---------------------------+
| ID                 | 1                         |
| Status Description | no connection to          |
|                    | 127.0.0.1:80: connection  |
|                    | refused; tried 1 address  |
+--------------------+---------------------------+
"
        );
        assert_eq!(facts(value).render(&style).matches("\u{1b}[31m").count(), 3, "each line has the colour");
        assert!(facts(value).render(&Style::plain()).contains(&format!("| Status Description | {value} |\n")));
    }

    #[test]
    fn a_value_of_a_megabyte_is_capped() {
        let value = "x".repeat(1 << 20);
        let text = facts(&value).render(&Style::plain());
        assert!(text.contains(&format!("| {}… |", "x".repeat(999))), "{}", text.len());
        let narrow = Style { width: Some(1), ..Style::plain() };
        assert!(facts(&value).render(&narrow).lines().all(|l| l.width() == 18 + MIN_VALUE + BORDERS));
    }
}
