//! The database of Uptime Kuma (SQLite), opened read-only: the rows of the tables that matter, as JSON.
//!
//! Columns differ from version to version, so SQLite itself is asked which there are and makes the JSON.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text};
use serde_json::{Map, Value};

use super::shown;
use crate::cli::exit::CliError;
use crate::import::kuma::Tables;
use crate::import::tree::MAX_BYTES;
use crate::model::reference::encode_segment;

/// Columns in one call of `json_object`, which takes at most 127 arguments.
const COLUMNS: usize = 50;
/// Rows of a table; more monitors than one Uptime Kuma can watch.
const MAX_ROWS: usize = 200_000;
/// How long to wait for Uptime Kuma where it is writing.
const WAIT: Duration = Duration::from_secs(5);

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Nullable<Text>)]
    text: Option<String>,
}

/// Whether the file is a SQLite database.
pub(super) fn is_database(file: &Path) -> bool {
    let mut head = [0u8; 16];
    // A pipe or a device is read as a whole later, or refused.
    std::fs::metadata(file).is_ok_and(|m| m.is_file())
        && std::fs::File::open(file).and_then(|mut f| f.read_exact(&mut head)).is_ok()
        && head == *b"SQLite format 3\0"
}

/// Reads it.
pub(super) fn read(file: &Path) -> Result<Tables, CliError> {
    let failed =
        |e: &dyn std::fmt::Display| CliError::input(format!("{}: the database cannot be read: {e}", shown(file)));
    let mut c = SqliteConnection::establish(&uri(file)?).map_err(|e| failed(&e))?;
    c.batch_execute(&format!("PRAGMA busy_timeout = {}; PRAGMA query_only = ON", WAIT.as_millis()))
        .map_err(|e| failed(&e))?;
    let mut table = |name: &str| rows(&mut c, name).map_err(|e| failed(&e));
    let monitors = table("monitor")?;
    let tables = Tables {
        notifications: table("notification")?,
        monitor_notifications: table("monitor_notification")?,
        tags: table("tag")?,
        monitor_tags: table("monitor_tag")?,
        proxies: table("proxy")?,
        monitors,
    };
    if columns(&mut c, "monitor").map_err(|e| failed(&e))?.is_empty() {
        return Err(CliError::input(format!(
            "{} has no table monitor: this is no database of Uptime Kuma",
            shown(file)
        )));
    }
    Ok(tables)
}

/// A URI that opens the file read-only; without a log of writes beside it nobody else is writing, and no file is made.
fn uri(file: &Path) -> Result<String, CliError> {
    let path = std::path::absolute(file).ok().and_then(|p| p.to_str().map(str::to_owned));
    let path = path.ok_or_else(|| CliError::input(format!("{}: its name is not UTF-8", shown(file))))?;
    let log = std::fs::metadata(format!("{path}-wal")).is_ok_and(|m| m.len() > 0);
    let encoded: Vec<String> = path.split('/').map(encode_segment).collect();
    Ok(format!("file:{}?mode=ro{}", encoded.join("/"), if log { "" } else { "&immutable=1" }))
}

fn texts(c: &mut SqliteConnection, query: &str) -> QueryResult<Vec<String>> {
    let found: Vec<Found> = diesel::sql_query(query).load(c)?;
    Ok(found.into_iter().filter_map(|f| f.text).collect())
}

fn columns(c: &mut SqliteConnection, table: &str) -> QueryResult<Vec<String>> {
    // Nothing but plain names: they become part of a statement.
    let plain = |n: &String| n.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    Ok(texts(c, &format!("SELECT name AS text FROM pragma_table_info('{table}')"))?.into_iter().filter(plain).collect())
}

/// The rows of a table; none where there is no such table.
fn rows(c: &mut SqliteConnection, table: &str) -> QueryResult<Vec<Value>> {
    let columns = columns(c, table)?;
    let mut rows: Vec<Map<String, Value>> = Vec::new();
    for chunk in columns.chunks(COLUMNS) {
        let pairs: Vec<String> = chunk.iter().map(|n| format!("'{n}', \"{n}\"")).collect();
        let query = format!(
            "SELECT json_object({}) AS text FROM \"{table}\" ORDER BY rowid LIMIT {}",
            pairs.join(", "),
            MAX_ROWS + 1
        );
        let (mut bytes, texts) = (0u64, texts(c, &query)?);
        for (i, text) in texts.iter().enumerate() {
            bytes += text.len() as u64;
            if bytes > MAX_BYTES || i >= MAX_ROWS {
                return Err(diesel::result::Error::DeserializationError(
                    format!("its table {table} is too large").into(),
                ));
            }
            let Ok(Value::Object(more)) = serde_json::from_str(text) else { continue };
            match rows.get_mut(i) {
                Some(row) => row.extend(more),
                None => rows.push(more),
            }
        }
    }
    Ok(rows.into_iter().map(Value::Object).collect())
}
