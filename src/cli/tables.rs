//! Tables in the look of skypunch 0.3.0 (Python's PrettyTable, left aligned).
//!
//! ```text
//!  rows --cap each cell--> natural widths --terminal too narrow: Narrow steps, as few as do--> Layout --> lines
//! ```
//!
//! Written out here rather than taken from a library: comfy-table took 30 to 40 ms for 10,000 rows of seven columns, of
//! the 100 ms that `skypunchctl targets` may take in all; this takes about 7 ms with the formatting of times. It also needs a terminal library to
//! colour a cell.

use std::borrow::Cow;

use unicode_width::UnicodeWidthStr;

use super::fold::{fit, fold};
use super::output::{Style, Tint};
use crate::model::text::{escape_controls, shorten};

/// Characters of a cell in a list; a row of another program's making may hold a megabyte.
const MAX_CELL: usize = 200;

/// One cell; control characters in it are shown escaped.
#[derive(Debug, Clone)]
pub struct Cell<'a> {
    text: Cow<'a, str>,
    short: Option<String>,
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
        Cell { text, short: None, tint: Tint::None }
    }

    /// The same in a colour.
    #[must_use]
    pub fn tinted(text: impl Into<Cow<'a, str>>, tint: impl Into<Tint>) -> Cell<'a> {
        Cell { tint: tint.into(), ..Cell::new(text) }
    }

    /// With a shorter text, for [`Narrow::Short`]; it is made only where the output is a terminal.
    #[must_use]
    pub fn or_short(mut self, style: &Style, short: impl FnOnce() -> String) -> Cell<'a> {
        self.short = style.width.map(|_| short());
        self
    }

    fn text(&self, short: bool) -> &str {
        self.short.as_deref().filter(|_| short).unwrap_or(&self.text)
    }

    fn capped(mut self, max: usize) -> Cell<'a> {
        // Most cells are far below: bytes are counted at once, characters are not.
        if self.text.len() > max {
            self.text = Cow::Owned(shorten(&self.text, max).into_owned());
        }
        self
    }
}

/// A way to make a table narrower.
#[derive(Debug, Clone, Copy)]
pub enum Narrow {
    /// Cuts the cells of a column, down to so many columns of the terminal.
    Shrink(usize, usize),
    /// Takes the short texts of these columns, each below this header.
    Short(&'static [(usize, &'static str)]),
    /// Shows a column folded on lines of its own, below each row in which it says something.
    Below(usize),
    /// Leaves out a column.
    Drop(usize),
}

/// Rows below a header.
#[derive(Debug)]
pub struct Table<'a> {
    header: Vec<&'static str>,
    rows: Vec<Vec<Cell<'a>>>,
    narrow: &'static [Narrow],
}

impl<'a> Table<'a> {
    /// A table with these columns.
    #[must_use]
    pub fn new(header: &[&'static str]) -> Table<'a> {
        Table { header: header.to_vec(), rows: Vec::new(), narrow: &[] }
    }

    /// What is done, step by step, as long as the table is wider than the terminal. Never in a file or a pipe.
    #[must_use]
    pub fn narrow(mut self, steps: &'static [Narrow]) -> Table<'a> {
        self.narrow = steps;
        self
    }

    /// Adds a row; it has as many cells as the header.
    pub fn row(&mut self, cells: Vec<Cell<'a>>) {
        self.rows.push(cells.into_iter().map(|c| c.capped(MAX_CELL)).collect());
    }

    /// The table, each line ended by a line break.
    #[must_use]
    pub fn render(self, style: &Style) -> String {
        let layout = Layout::new(&self, style.width);
        let mut lines = Lines::new(layout.columns.iter().map(|c| c.width).collect(), self.rows.len());
        lines.rule();
        lines.row(layout.columns.iter().map(|c| (Cow::Borrowed(c.header), Tint::None)), style);
        lines.rule();
        for row in &self.rows {
            let cells = layout.columns.iter().map(|c| (c.shown(&row[c.index]), row[c.index].tint));
            lines.row(cells, style);
            for below in layout.below.iter().map(|at| &row[*at]).filter(|cell| says_something(cell)) {
                for line in fold(&below.text, lines.inner().saturating_sub(INDENT)) {
                    lines.across(line, below.tint, style);
                }
            }
        }
        lines.rule();
        lines.out
    }

    fn natural_width(&self, index: usize, header: &str, short: bool) -> usize {
        self.rows.iter().map(|row| row[index].text(short).width()).fold(header.width(), usize::max)
    }
}

/// Columns by which a line below its row is indented.
const INDENT: usize = 2;

fn says_something(cell: &Cell<'_>) -> bool {
    !matches!(cell.text.as_ref(), "" | "-")
}

/// A column as it is shown.
struct Column {
    index: usize,
    header: &'static str,
    short: bool,
    /// May be cut down to this.
    least: usize,
    width: usize,
}

impl Column {
    fn shown<'c>(&self, cell: &'c Cell<'_>) -> Cow<'c, str> {
        let text = cell.text(self.short);
        if text.width() > self.width { Cow::Owned(fit(text, self.width)) } else { Cow::Borrowed(text) }
    }
}

/// Which columns are shown, how wide, and which below their rows.
struct Layout {
    columns: Vec<Column>,
    below: Vec<usize>,
}

impl Layout {
    fn new(table: &Table<'_>, terminal: Option<usize>) -> Layout {
        let natural = |(index, header): (usize, &&'static str)| {
            let width = table.natural_width(index, header, false);
            Column { index, header, short: false, least: width, width }
        };
        let columns = table.header.iter().enumerate().map(natural).collect();
        let mut layout = Layout { columns, below: Vec::new() };
        let Some(terminal) = terminal else { return layout };
        for step in table.narrow {
            if layout.total(|c| c.least) <= terminal {
                break;
            }
            layout.apply(*step, table);
        }
        layout.cut(terminal);
        layout.widen(table, terminal);
        layout
    }

    fn total(&self, width: impl Fn(&Column) -> usize) -> usize {
        self.columns.iter().map(|c| width(c) + 3).sum::<usize>() + 1
    }

    fn apply(&mut self, step: Narrow, table: &Table<'_>) {
        match step {
            Narrow::Shrink(index, least) => {
                for c in self.columns.iter_mut().filter(|c| c.index == index) {
                    c.least = least.max(c.header.width()).min(c.width);
                }
            }
            Narrow::Short(columns) => {
                for c in &mut self.columns {
                    if let Some((index, header)) = columns.iter().copied().find(|(index, _)| *index == c.index) {
                        let width = table.natural_width(index, header, true);
                        *c = Column { index, header, short: true, least: width, width };
                    }
                }
            }
            Narrow::Below(index) => {
                self.columns.retain(|c| c.index != index);
                self.below.push(index);
            }
            Narrow::Drop(index) => self.columns.retain(|c| c.index != index),
        }
    }

    /// Cuts what may be cut, the last column first, until the table fits or nothing more can be cut.
    fn cut(&mut self, terminal: usize) {
        let mut excess = self.total(|c| c.width).saturating_sub(terminal);
        for c in self.columns.iter_mut().rev() {
            let cut = excess.min(c.width - c.least);
            c.width -= cut;
            excess -= cut;
        }
    }

    /// Gives the last column what the lines below the rows can use.
    fn widen(&mut self, table: &Table<'_>, terminal: usize) {
        let cells = self.below.iter().flat_map(|at| table.rows.iter().map(|row| &row[*at]));
        let longest = cells.map(|cell| cell.text.width() + INDENT + 4).max().unwrap_or(0);
        let total = self.total(|c| c.width);
        if let Some(last) = self.columns.last_mut() {
            last.width += longest.min(terminal).saturating_sub(total);
        }
    }
}

/// The lines of a table of these columns.
pub(super) struct Lines {
    widths: Vec<usize>,
    rule: String,
    out: String,
}

impl Lines {
    pub(super) fn new(widths: Vec<usize>, rows: usize) -> Lines {
        let mut rule = String::from("+");
        for width in &widths {
            rule.extend(std::iter::repeat_n('-', width + 2));
            rule.push('+');
        }
        rule.push('\n');
        let out = String::with_capacity((rows + 4) * (rule.len() + 8));
        Lines { widths, rule, out }
    }

    pub(super) fn rule(&mut self) {
        self.out.push_str(&self.rule);
    }

    pub(super) fn row<'c>(&mut self, cells: impl Iterator<Item = (Cow<'c, str>, Tint)>, style: &Style) {
        for ((text, tint), width) in cells.zip(&self.widths) {
            self.out.push_str("| ");
            push(&mut self.out, &text, tint, *width, style);
        }
        self.out.push_str("|\n");
    }

    /// Columns between the outermost borders and their spaces.
    fn inner(&self) -> usize {
        self.rule.len().saturating_sub(5)
    }

    fn across(&mut self, text: &str, tint: Tint, style: &Style) {
        let inner = self.inner();
        self.out.push_str("|   ");
        push(&mut self.out, text, tint, inner.saturating_sub(INDENT), style);
        self.out.push_str("|\n");
    }

    pub(super) fn into_text(self) -> String {
        self.out
    }
}

/// A text, padded to `width` and one more. Not by a format's width: that ends at 65,535.
fn push(out: &mut String, text: &str, tint: Tint, width: usize, style: &Style) {
    if style.color && tint != Tint::None {
        out.push_str(&style.paint(text, tint));
    } else {
        out.push_str(text);
    }
    out.extend(std::iter::repeat_n(' ', 1 + width.saturating_sub(text.width())));
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
        let mut t = Table::new(&["ID", "Name"]).narrow(&[Narrow::Shrink(1, 8)]);
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
    }

    #[test]
    fn control_characters_reach_no_terminal() {
        let mut t = Table::new(&["Name"]);
        t.row(vec![Cell::new("\u{1b}[2Jx\n\u{202e}y")]);
        let text = t.render(&Style::plain());
        assert!(text.contains("\\u{1b}[2Jx\\n\\u{202e}y"), "{text}");
    }

    #[test]
    fn a_cell_of_a_megabyte_is_capped() {
        let name = "日".repeat(400_000);
        let mut t = Table::new(&["Name"]);
        t.row(vec![Cell::new(name.as_str())]);
        let text = t.render(&Style::plain());
        assert!(text.lines().all(|l| l.width() == 199 * 2 + 1 + 4), "{}", text.len());
        assert!(text.contains("日… |"));
    }

    const STEPS: &[Narrow] = &[Narrow::Shrink(1, 8), Narrow::Short(&[(2, "At")]), Narrow::Below(3), Narrow::Drop(0)];

    fn steps(width: usize) -> String {
        let style = Style { width: Some(width), ..Style::plain() };
        let mut t = Table::new(&["ID", "Name", "Time", "Text"]).narrow(STEPS);
        let time = || Cell::new("2013-07-11 06:17:54").or_short(&style, || "06:17:54".into());
        t.row(vec![Cell::new("1"), Cell::new("a longer name"), time(), Cell::new("why it is so, in words")]);
        t.row(vec![Cell::new("2"), Cell::new("b"), time(), Cell::new("-")]);
        t.render(&style)
    }

    #[test]
    fn steps_are_taken_as_far_as_the_terminal_needs_them() {
        let row = |width| steps(width).lines().nth(3).unwrap_or_default().to_owned();
        assert_eq!(row(70), "| 1  | a longer name | 2013-07-11 06:17:54 | why it is so, in words |");
        assert_eq!(row(65), "| 1  | a longer… | 2013-07-11 06:17:54 | why it is so, in words |");
        // The column that was cut has room again where another one became short.
        assert_eq!(row(60), "| 1  | a longer name | 06:17:54 | why it is so, in words |");
        assert_eq!(
            steps(30),
            "\
+----+------------+----------+
| ID | Name       | At       |
+----+------------+----------+
| 1  | a longer … | 06:17:54 |
|   why it is so, in words   |
| 2  | b          | 06:17:54 |
+----+------------+----------+
"
        );
        assert_eq!(
            steps(24),
            "\
+-----------+----------+
| Name      | At       |
+-----------+----------+
| a longer… | 06:17:54 |
|   why it is so, in   |
|   words              |
| b         | 06:17:54 |
+-----------+----------+
"
        );
    }
}
