//! Tables in the look of skypunch 0.3.0 (Python's PrettyTable, left aligned).
//!
//! Written out here rather than taken from a library: comfy-table took 30 to 40 ms for 10,000 rows of seven columns, of
//! the 100 ms that `skypunchctl targets` may take in all; this takes about 7 ms with the formatting of times. It also needs a terminal library to
//! colour a cell.

use std::borrow::Cow;
use std::fmt::Write;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::output::{Style, Tint};
use crate::model::text::escape_controls;

/// One cell; control characters in it are shown escaped.
#[derive(Debug, Clone)]
pub struct Cell<'a> {
    text: Cow<'a, str>,
    tint: Tint,
}

impl<'a> Cell<'a> {
    /// Text without a colour.
    #[must_use]
    pub fn new(text: impl Into<Cow<'a, str>>) -> Cell<'a> {
        let text = match text.into() {
            Cow::Borrowed(s) => escape_controls(s),
            Cow::Owned(s) => Cow::Owned(escape_controls(&s).into_owned()),
        };
        Cell { text, tint: Tint::None }
    }

    /// The same in a colour.
    #[must_use]
    pub fn tinted(text: impl Into<Cow<'a, str>>, tint: impl Into<Tint>) -> Cell<'a> {
        Cell { tint: tint.into(), ..Cell::new(text) }
    }
}

/// Rows below a header.
#[derive(Debug)]
pub struct Table<'a> {
    header: Vec<&'static str>,
    rows: Vec<Vec<Cell<'a>>>,
    flexible: Option<usize>,
}

/// Below this a shortened column says nothing any more: rather let the terminal wrap.
const MIN_FLEXIBLE: usize = 8;

impl<'a> Table<'a> {
    /// A table with these columns.
    #[must_use]
    pub fn new(header: &[&'static str]) -> Table<'a> {
        Table { header: header.to_vec(), rows: Vec::new(), flexible: None }
    }

    /// Names the column that is shortened where the table is wider than the terminal. Never done in a file or a pipe.
    #[must_use]
    pub fn flexible(mut self, column: usize) -> Table<'a> {
        self.flexible = Some(column);
        self
    }

    /// Adds a row; it has as many cells as the header.
    pub fn row(&mut self, cells: Vec<Cell<'a>>) {
        self.rows.push(cells);
    }

    /// The table, each line ended by a line break.
    #[must_use]
    pub fn render(mut self, style: &Style) -> String {
        let mut widths: Vec<usize> = self.header.iter().map(|h| h.width()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.width());
            }
        }
        let total = widths.iter().sum::<usize>() + 3 * widths.len() + 1;
        if let (Some(column), Some(terminal)) = (self.flexible, style.width)
            && total > terminal
        {
            let least = self.header[column].len().max(MIN_FLEXIBLE);
            let width = widths[column].saturating_sub(total - terminal).max(least).min(widths[column]);
            widths[column] = width;
            for row in &mut self.rows {
                if row[column].text.width() > width {
                    row[column].text = Cow::Owned(fit(&row[column].text, width));
                }
            }
        }
        let mut rule = String::from("+");
        for width in &widths {
            rule.extend(std::iter::repeat_n('-', width + 2));
            rule.push('+');
        }
        rule.push('\n');
        let mut out = String::with_capacity((self.rows.len() + 4) * (rule.len() + 8));
        out.push_str(&rule);
        for (name, width) in self.header.iter().zip(&widths) {
            let _never_fails = write!(out, "| {name:<width$} ");
        }
        out.push_str("|\n");
        out.push_str(&rule);
        for row in &self.rows {
            for (cell, width) in row.iter().zip(&widths) {
                out.push_str("| ");
                if style.color && cell.tint != Tint::None {
                    out.push_str(&style.paint(&cell.text, cell.tint));
                } else {
                    out.push_str(&cell.text);
                }
                out.extend(std::iter::repeat_n(' ', 1 + width - cell.text.width().min(*width)));
            }
            out.push_str("|\n");
        }
        out.push_str(&rule);
        out
    }
}

/// At most `width` columns, with `…` as the last one where something was cut off.
fn fit(text: &str, width: usize) -> String {
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

/// A table of labels and values.
#[derive(Debug)]
pub struct Facts<'a>(Table<'a>);

impl Default for Facts<'_> {
    fn default() -> Self {
        Facts(Table::new(&["Field", "Value"]))
    }
}

impl<'a> Facts<'a> {
    /// Adds a fact.
    pub fn add(&mut self, label: &'a str, value: impl Into<Cow<'a, str>>) {
        self.0.row(vec![Cell::new(label), Cell::new(value)]);
    }

    /// Adds a fact in a colour.
    pub fn add_tinted(&mut self, label: &'a str, value: impl Into<Cow<'a, str>>, tint: impl Into<Tint>) {
        self.0.row(vec![Cell::new(label), Cell::tinted(value, tint)]);
    }

    /// The table.
    #[must_use]
    pub fn render(self, style: &Style) -> String {
        self.0.render(style)
    }
}

/// `Yes` or `No`.
#[must_use]
pub fn yes_no(value: bool) -> &'static str {
    if value { "Yes" } else { "No" }
}

/// Microseconds as milliseconds: `12.345 ms`.
#[must_use]
pub fn millis(us: u32) -> String {
    format!("{}.{:03} ms", us / 1000, us % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table<'static> {
        let mut t = Table::new(&["ID", "Name"]).flexible(1);
        t.row(vec![Cell::new("1"), Cell::new("short")]);
        t.row(vec![Cell::new("12"), Cell::tinted("a name of some length", Tint::Bad)]);
        t
    }

    #[test]
    fn the_look_is_that_of_0_3_0() {
        assert_eq!(
            table().render(&Style::plain()),
            "+----+-----------------------+\n\
             | ID | Name                  |\n\
             +----+-----------------------+\n\
             | 1  | short                 |\n\
             | 12 | a name of some length |\n\
             +----+-----------------------+\n"
        );
    }

    #[test]
    fn an_empty_table_is_its_header() {
        let text = Table::new(&["ID"]).render(&Style::plain());
        assert_eq!(text, "+----+\n| ID |\n+----+\n+----+\n");
    }

    #[test]
    fn names_are_shortened_only_on_a_terminal() {
        let narrow = Style { width: Some(22), ..Style::plain() };
        let text = table().render(&narrow);
        assert!(text.contains("| 12 | a name of so… |\n"), "{text}");
        assert!(text.lines().all(|l| l.width() == 22), "{text}");
        assert!(table().render(&Style { width: Some(3), ..Style::plain() }).contains("| a name … |"));
        assert!(!table().render(&Style { width: Some(30), ..Style::plain() }).contains('…'));
    }

    #[test]
    fn wide_letters_and_colours_keep_the_columns() {
        let mut t = Table::new(&["Name", "Status"]);
        t.row(vec![Cell::new("日本"), Cell::tinted("PASS", Tint::Good)]);
        let text = t.render(&Style { color: true, ..Style::plain() });
        assert_eq!(text.lines().nth(3).unwrap(), "| 日本 | \u{1b}[32mPASS\u{1b}[0m   |");
        assert_eq!(fit("日本語", 5), "日本…");
    }

    #[test]
    fn control_characters_reach_no_terminal() {
        let mut t = Table::new(&["Name"]);
        t.row(vec![Cell::new("\u{1b}[2Jx\n\u{202e}y")]);
        let text = t.render(&Style::plain());
        assert!(text.contains("\\u{1b}[2Jx\\n\\u{202e}y"), "{text}");
    }
}
