//! The form of a backup: text, a line a row, whole or not at all.
//!
//! ```text
//!  {"skypunch_backup":1,"version":"1.0.0","created_at":…,"database":"sqlite","main":["0001",…],"state":["0001",…],…}
//!  {"table":"main.targets","columns":["id","name",…]}
//!  [1,"shop",…]
//!  …
//!  {"end":{"rows":4711,"sha256":"…"}}            the checksum of all lines above it
//! ```
//!
//! `main` is the main database, `state` is state.db; the versions are those of their migrations, so that a later skypunch
//! knows from where to bring them up. Bytes that are no text are written in hexadecimal.

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::text::shorten;
use super::time::UtcMs;

/// Raised when the form changes so that an older skypunch could not read it.
pub const FORMAT: u32 = 1;

/// The longest header.
pub const MAX_HEADER: usize = 64 * 1024;
/// The longest line: a body of 16 MiB, each byte of it escaped.
pub const MAX_LINE: usize = 256 << 20;

/// The table of a database's next ids: `name` and `last`, the greatest that was given.
pub const SEQUENCES: &str = "sequences";

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT`].
    pub skypunch_backup: u32,
    /// The skypunch that wrote it.
    pub version: String,
    /// When.
    pub created_at: UtcMs,
    /// What the main database was: `sqlite` or `mysql`.
    pub database: String,
    /// The migrations of the main database.
    pub main: Vec<String>,
    /// The migrations of state.db.
    pub state: Vec<String>,
    /// The rows of `results` are there too.
    pub results: bool,
    /// A word to who looks into it.
    pub note: String,
}

/// From here on: rows of this table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// `main.…` or `state.…`.
    pub table: String,
    /// What the values of a row are.
    pub columns: Vec<String>,
}

impl Table {
    /// The database (`main` or `state`) and the table in it.
    #[must_use]
    pub fn place(&self) -> (&str, &str) {
        self.table.split_once('.').unwrap_or(("", &self.table))
    }
}

/// The last line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct End {
    rows: u64,
    sha256: String,
}

/// One line, read.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// The first.
    Header(Header),
    /// A table begins.
    Table(Table),
    /// A row of it: whole numbers, texts and nulls.
    Row(Vec<Value>),
    /// The last.
    End,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Object {
    Table(Table),
    End { end: End },
    Error { error: String },
}

/// What is wrong with a backup.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackupProblem {
    /// Something else.
    #[error("is no backup of skypunch")]
    Foreign,
    /// Its form is not known yet.
    #[error("was written by skypunch {version} in a newer form ({format}, this one knows {FORMAT}): use that version")]
    Newer {
        /// The number of the form.
        format: u64,
        /// Who wrote it.
        version: String,
    },
    /// It has no end.
    #[error("is cut short: its end is missing after line {0}; take another backup")]
    CutShort(u64),
    /// It is not as it was written.
    #[error("is damaged (line {0}: {1}); take another backup")]
    Damaged(u64, String),
    /// Whoever wrote it said so.
    #[error("is not complete: {0}")]
    Failed(String),
}

/// A backup that is being written: knows its checksum.
pub struct Sums {
    digest: Context,
    rows: u64,
}

impl Default for Sums {
    fn default() -> Self {
        Sums { digest: Context::new(&SHA256), rows: 0 }
    }
}

impl Sums {
    /// Takes a line, with its line break, into account.
    pub fn add(&mut self, line: &[u8]) {
        self.digest.update(line);
        self.rows += u64::from(line.first() == Some(&b'['));
    }

    fn hex(&self) -> String {
        self.digest.clone().finish().as_ref().iter().map(|b| format!("{b:02x}")).collect()
    }

    /// The last line, with its line break.
    #[must_use]
    pub fn end(&self) -> String {
        format!("{{\"end\":{{\"rows\":{},\"sha256\":\"{}\"}}}}\n", self.rows, self.hex())
    }
}

/// The last line of a backup that could not be finished.
#[must_use]
pub fn failed(why: &str) -> String {
    format!("{}\n", serde_json::json!({ "error": why }))
}

/// Reads line after line; whatever is not as it was written is told.
#[derive(Default)]
pub struct Checker {
    sums: Sums,
    lines: u64,
    header: Option<Header>,
    tables: Vec<(Table, u64)>,
    ended: bool,
}

impl Checker {
    /// The next line, with its line break.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn take(&mut self, line: &[u8]) -> Result<Line, BackupProblem> {
        if self.header.is_none() {
            return self.take_header(line);
        }
        if self.ended {
            return Err(self.damaged("there is something after its end"));
        }
        if line.last() != Some(&b'\n') {
            return Err(BackupProblem::CutShort(self.lines));
        }
        self.lines += 1;
        if line.first() == Some(&b'[') {
            let row: Vec<Value> = serde_json::from_slice(line).map_err(|e| self.damaged(e))?;
            let fits = |v: &Value| v.is_null() || v.is_string() || v.is_i64() || v.is_boolean();
            let n = self.lines;
            let Some((table, rows)) = self.tables.last_mut().filter(|(t, _)| t.columns.len() == row.len()) else {
                return Err(BackupProblem::Damaged(n, "this is no row of its table".into()));
            };
            if !row.iter().all(fits) {
                return Err(BackupProblem::Damaged(n, format!("a value of {} cannot be one", table.table)));
            }
            *rows += 1;
            self.sums.add(line);
            return Ok(Line::Row(row));
        }
        match serde_json::from_slice(line).map_err(|e| self.damaged(e))? {
            Object::Table(table) => {
                let plain = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
                let (database, name) = table.place();
                if !["main", "state"].contains(&database) || !plain(name) || !table.columns.iter().all(|c| plain(c)) {
                    return Err(self.damaged("these are no names of a table"));
                }
                self.sums.add(line);
                self.tables.push((table.clone(), 0));
                Ok(Line::Table(table))
            }
            Object::End { end } => {
                if end.rows != self.sums.rows {
                    return Err(self.damaged(format!("it should have {} rows and has {}", end.rows, self.sums.rows)));
                }
                if end.sha256 != self.sums.hex() {
                    return Err(self.damaged("the checksum is that of other lines"));
                }
                self.ended = true;
                Ok(Line::End)
            }
            Object::Error { error } => Err(BackupProblem::Failed(error)),
        }
    }

    fn take_header(&mut self, line: &[u8]) -> Result<Line, BackupProblem> {
        let value: Value = serde_json::from_slice(line).map_err(|_| BackupProblem::Foreign)?;
        let format = value.get("skypunch_backup").and_then(Value::as_u64).ok_or(BackupProblem::Foreign)?;
        if format != u64::from(FORMAT) {
            let version = value.get("version").and_then(Value::as_str).unwrap_or("?");
            return Err(BackupProblem::Newer { format, version: shorten(version, 40).into_owned() });
        }
        self.lines += 1;
        let header: Header = serde_json::from_value(value).map_err(|e| self.damaged(e))?;
        self.sums.add(line);
        self.header = Some(header.clone());
        Ok(Line::Header(header))
    }

    fn damaged(&self, what: impl std::fmt::Display) -> BackupProblem {
        BackupProblem::Damaged(self.lines, shorten(&what.to_string(), 200).into_owned())
    }

    /// There are no more lines: what it was.
    ///
    /// # Errors
    /// It has no end.
    pub fn finish(self) -> Result<Summary, BackupProblem> {
        match self.header {
            Some(header) if self.ended => {
                let rows = self.tables.into_iter().map(|(t, n)| (t.table, n)).collect();
                Ok(Summary { header, rows })
            }
            Some(_) => Err(BackupProblem::CutShort(self.lines)),
            None => Err(BackupProblem::Foreign),
        }
    }
}

/// What is in a backup that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Its first line.
    pub header: Header,
    /// Rows of each table.
    pub rows: Vec<(String, u64)>,
}

impl Summary {
    /// The rows of one table.
    #[must_use]
    pub fn rows_of(&self, table: &str) -> u64 {
        self.rows.iter().filter(|(t, _)| t == table).map(|(_, n)| n).sum()
    }

    /// `3 targets, 1 notifiers, 0 credentials, 2 incidents, 5 notices`, and results where there are some.
    #[must_use]
    pub fn counted(&self) -> String {
        let parts = [
            ("main.targets", "targets"),
            ("main.notifiers", "notifiers"),
            ("main.credentials", "credentials"),
            ("main.incidents", "incidents"),
            ("state.outbox", "notices"),
            ("main.results", "results"),
        ];
        let parts = parts.iter().map(|(table, what)| (self.rows_of(table), what));
        let shown = parts.filter(|(n, what)| *n > 0 || **what == "targets").map(|(n, what)| format!("{n} {what}"));
        shown.collect::<Vec<_>>().join(", ")
    }

    /// Who wrote it and from what.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("skypunch {} on {}", shorten(&self.header.version, 40), shorten(&self.header.database, 40))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            skypunch_backup: FORMAT,
            version: "1.0.0".into(),
            created_at: UtcMs(5),
            database: "sqlite".into(),
            main: vec!["0001".into()],
            state: vec!["0001".into()],
            results: false,
            note: "secret".into(),
        }
    }

    fn backup() -> Vec<Vec<u8>> {
        let table = Table { table: "main.targets".into(), columns: vec!["id".into(), "name".into()] };
        let mut lines =
            vec![serde_json::to_string(&header()).unwrap() + "\n", serde_json::to_string(&table).unwrap() + "\n"];
        lines.extend(["[1,\"a\"]\n".into(), "[9007199254740993,null]\n".into()]);
        let mut sums = Sums::default();
        lines.iter().for_each(|l| sums.add(l.as_bytes()));
        lines.push(sums.end());
        lines.into_iter().map(String::into_bytes).collect()
    }

    fn read<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Result<Summary, BackupProblem> {
        let mut checker = Checker::default();
        for line in lines {
            checker.take(line)?;
        }
        checker.finish()
    }

    #[test]
    fn what_was_written_reads_back_with_its_counts() {
        let lines = backup();
        let summary = read(lines.iter().map(Vec::as_slice)).unwrap();
        assert_eq!((summary.header.clone(), summary.rows_of("main.targets")), (header(), 2));
        assert_eq!(summary.counted(), "2 targets");
        let mut checker = Checker::default();
        let rows: Vec<Line> = lines.iter().map(|l| checker.take(l).unwrap()).collect();
        assert_eq!(rows[3], Line::Row(vec![9_007_199_254_740_993i64.into(), Value::Null]));
    }

    #[test]
    fn any_byte_that_is_changed_and_any_cut_is_told() {
        let whole = backup().concat();
        let split =
            |bytes: &[u8]| -> Vec<Vec<u8>> { bytes.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect() };
        for cut in 0..whole.len() {
            let lines = split(&whole[..cut]);
            let problem = read(lines.iter().map(Vec::as_slice)).unwrap_err();
            assert!(matches!(problem, BackupProblem::CutShort(_) | BackupProblem::Foreign), "{cut}: {problem}");
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            let lines = split(&bytes);
            assert!(read(lines.iter().map(Vec::as_slice)).is_err(), "byte {at}: {}", String::from_utf8_lossy(&bytes));
        }
        let mut longer = whole.clone();
        longer.extend(b"[1,\"a\"]\n");
        let lines = split(&longer);
        assert!(matches!(read(lines.iter().map(Vec::as_slice)), Err(BackupProblem::Damaged(..))));
    }

    #[test]
    fn other_files_and_other_forms_are_told_apart() {
        for foreign in ["", "\n", "{}\n", "[[target]]\n", "SQLite format 3\0", "{\"skypunch_backup\":\"x\"}\n"] {
            assert_eq!(read([foreign.as_bytes()]), Err(BackupProblem::Foreign), "{foreign}");
        }
        let newer = br#"{"skypunch_backup":2,"version":"3.0.0","anything":[]}"#;
        let told = read([&newer[..]]).unwrap_err().to_string();
        assert_eq!(told, "was written by skypunch 3.0.0 in a newer form (2, this one knows 1): use that version");
        let lines = backup();
        let stopped = failed("the database is away");
        let told = read([lines[0].as_slice(), stopped.as_bytes()]).unwrap_err();
        assert_eq!(told.to_string(), "is not complete: the database is away");
        let evil = b"{\"table\":\"main.targets; DROP\",\"columns\":[\"id\"]}\n";
        assert!(matches!(read([lines[0].as_slice(), evil]), Err(BackupProblem::Damaged(2, _))));
    }
}
