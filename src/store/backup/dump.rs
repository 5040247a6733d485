//! Both databases as lines, a page in memory at a time.

use std::path::Path;
use std::time::Duration;

use diesel::connection::{DefaultLoadingMode, SimpleConnection};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Nullable, Text};

use super::{MAIN, MAIN_SEQUENCES, RESULTS, STATE, is_bytes};
use crate::model::backup::{FORMAT, Header, SEQUENCES, Sums, Table};
use crate::model::time::UtcMs;
use crate::store::connect::{Synchronous, open_sqlite};
use crate::store::dialect::Dialect;
use crate::store::{Db, Store, StoreError, on};

/// A line is handed on when so many bytes have come together.
const CHUNK: usize = 64 * 1024;

const NOTE: &str = "holds passwords in clear: keep it where only you can read it";

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Nullable<Binary>)]
    line: Option<Vec<u8>>,
}

#[derive(QueryableByName)]
struct LocalRow {
    #[diesel(sql_type = Nullable<Binary>)]
    line: Option<Vec<u8>>,
}

#[derive(QueryableByName)]
struct Created {
    #[diesel(sql_type = Text, column_name = "Create Table")]
    text: String,
}

#[derive(QueryableByName)]
struct Sequence {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    last: i64,
}

const APPLIED: &str = "SELECT version AS name FROM __diesel_schema_migrations ORDER BY version";

/// Both databases as they were at one moment. Blocking.
pub struct Snapshot {
    store: Store,
    local: SqliteConnection,
    database: &'static str,
}

/// Takes bytes; an error ends the backup.
type Emit<'a> = &'a mut dyn FnMut(Vec<u8>) -> Result<(), StoreError>;

impl Snapshot {
    /// Holds both as they are now. `store` is not for anything else any more; `wait` is for a lock of state.db.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn take(mut store: Store, state_db: &Path, wait: Duration) -> Result<Snapshot, StoreError> {
        let mut local = open_sqlite(state_db, wait, Synchronous::Full)?;
        let database = store.run(|db| match db {
            Db::Mysql(c, _) => {
                c.batch_execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")?;
                c.batch_execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")?;
                Ok("mysql")
            }
            Db::Sqlite(c) => {
                begin(c)?;
                Ok("sqlite")
            }
        })?;
        begin(&mut local)?;
        Ok(Snapshot { store, local, database })
    }

    /// Hands all lines to `emit`, some at a time.
    ///
    /// # Errors
    /// See [`StoreError`], and those of `emit`.
    pub fn write(mut self, results: bool, now: UtcMs, emit: Emit<'_>) -> Result<(), StoreError> {
        let main = self.store.run(|db| Ok(on!(db, c => diesel::sql_query(APPLIED).load::<Name>(c))?))?;
        let state = diesel::sql_query(APPLIED).load::<Name>(&mut self.local)?;
        let versions = |names: Vec<Name>| names.into_iter().map(|n| n.name).collect();
        let header = Header {
            skypunch_backup: FORMAT,
            version: env!("CARGO_PKG_VERSION").into(),
            created_at: now,
            database: self.database.into(),
            main: versions(main),
            state: versions(state),
            results,
            note: NOTE.into(),
        };
        let mut out = Out { buffer: Vec::with_capacity(2 * CHUNK), sums: Sums::default(), emit };
        out.json(&header)?;
        for part in MAIN.iter().filter(|p| results || p.name != RESULTS) {
            let columns = self.store.run(|db| columns_of_main(db, part.name))?;
            out.table("main", part.name, &columns)?;
            let mut after = i64::MIN;
            loop {
                let page = self.store.run(|db| page(db, part.name, part.key, part.page, &columns, after))?;
                let Some(last) = page.last() else { break };
                after = last.id;
                page.into_iter().try_for_each(|row| out.row(part.name, row.line))?;
            }
        }
        let sequences = self.store.run(sequences_of_main)?;
        out.sequences("main", sequences)?;
        for table in STATE {
            let columns = columns_of(&mut self.local, table)?;
            out.table("state", table, &columns)?;
            let values = columns.iter().map(|c| if is_bytes(table, c) { format!("hex({c})") } else { quote(c) });
            let values = values.collect::<Vec<_>>().join(", ");
            let query = format!("SELECT CAST(json_array({values}) AS BLOB) AS line FROM {}", quote(table));
            let rows = diesel::sql_query(query).load_iter::<LocalRow, DefaultLoadingMode>(&mut self.local)?;
            for row in rows {
                out.row(table, row?.line)?;
            }
        }
        out.sequences("state", sequences_of(&mut self.local)?)?;
        out.finish()
    }
}

/// Begins to read; what others write from now on is not seen.
fn begin(c: &mut SqliteConnection) -> Result<(), StoreError> {
    c.batch_execute("BEGIN")?;
    // Only the first look into the file makes it so.
    diesel::sql_query(APPLIED).load::<Name>(c)?;
    Ok(())
}

/// Both dialects read it so.
pub(super) fn quote(name: &str) -> String {
    format!("`{name}`")
}

/// Without those that the database computes.
fn columns_of_main(db: &mut Db, table: &str) -> Result<Vec<String>, StoreError> {
    match db {
        Db::Sqlite(c) => columns_of(c, table),
        Db::Mysql(c, _) => {
            let query = "SELECT CAST(column_name AS CHAR) AS name FROM information_schema.columns \
                WHERE table_schema = DATABASE() AND table_name = ? AND COALESCE(generation_expression, '') = '' \
                ORDER BY ordinal_position";
            let names: Vec<Name> = diesel::sql_query(query).bind::<Text, _>(table).load(&mut **c)?;
            Ok(names.into_iter().map(|n| n.name).collect())
        }
    }
}

fn columns_of(c: &mut SqliteConnection, table: &str) -> Result<Vec<String>, StoreError> {
    let query = "SELECT name FROM pragma_table_info(?) ORDER BY cid";
    let names: Vec<Name> = diesel::sql_query(query).bind::<Text, _>(table).load(c)?;
    Ok(names.into_iter().map(|n| n.name).collect())
}

fn page(
    db: &mut Db,
    table: &str,
    key: &str,
    rows: u32,
    columns: &[String],
    after: i64,
) -> Result<Vec<Row>, StoreError> {
    let (table, key) = (quote(table), quote(key));
    let values = columns.iter().map(|c| quote(c)).collect::<Vec<_>>().join(", ");
    let query = |bytes: &str| {
        format!(
            "SELECT {key} AS id, CAST(JSON_ARRAY({values}) AS {bytes}) AS line FROM {table} \
             WHERE {key} > ? ORDER BY {key} LIMIT {rows}"
        )
    };
    fn bytes_of<C: Dialect>(_: &C) -> &'static str {
        C::BYTES
    }
    Ok(on!(db, c => diesel::sql_query(query(bytes_of(c))).bind::<BigInt, _>(after).load(c))?)
}

fn sequences_of_main(db: &mut Db) -> Result<Vec<Sequence>, StoreError> {
    match db {
        Db::Sqlite(c) => sequences_of(c),
        Db::Mysql(c, _) => {
            let mut all = Vec::new();
            for name in MAIN_SEQUENCES {
                // information_schema may be a day behind.
                let created: Created =
                    diesel::sql_query(format!("SHOW CREATE TABLE {}", quote(name))).get_result(&mut **c)?;
                all.extend(last_given(&created.text).map(|last| Sequence { name: name.into(), last }));
            }
            Ok(all)
        }
    }
}

fn sequences_of(c: &mut SqliteConnection) -> Result<Vec<Sequence>, StoreError> {
    Ok(diesel::sql_query("SELECT name, seq AS last FROM sqlite_sequence ORDER BY name").load(c)?)
}

/// The last id that was given, from the text that makes the table; `None`: none yet.
fn last_given(create_table: &str) -> Option<i64> {
    let (_, rest) = create_table.rsplit_once(" AUTO_INCREMENT=")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse::<i64>().ok().map(|next| next - 1)
}

/// Where the lines go.
struct Out<'a> {
    buffer: Vec<u8>,
    sums: Sums,
    emit: Emit<'a>,
}

impl Out<'_> {
    fn line(&mut self, line: &[u8]) -> Result<(), StoreError> {
        self.sums.add(line);
        self.buffer.extend_from_slice(line);
        if self.buffer.len() >= CHUNK { self.hand_on() } else { Ok(()) }
    }

    fn hand_on(&mut self) -> Result<(), StoreError> {
        (self.emit)(std::mem::replace(&mut self.buffer, Vec::with_capacity(2 * CHUNK)))
    }

    fn json(&mut self, value: &impl serde::Serialize) -> Result<(), StoreError> {
        let failed = |e| StoreError::Rejected(format!("a line of the backup: {e}"));
        let mut line = serde_json::to_vec(value).map_err(failed)?;
        line.push(b'\n');
        self.line(&line)
    }

    fn table(&mut self, database: &str, name: &str, columns: &[String]) -> Result<(), StoreError> {
        if columns.is_empty() {
            return Err(StoreError::Unreadable(format!("the table {name} is not there any more")));
        }
        self.json(&Table { table: format!("{database}.{name}"), columns: columns.to_vec() })
    }

    fn row(&mut self, table: &str, line: Option<Vec<u8>>) -> Result<(), StoreError> {
        let too_long =
            || StoreError::Rejected(format!("a row of {table} is longer than max_allowed_packet: raise that"));
        let mut line = line.ok_or_else(too_long)?;
        if std::str::from_utf8(&line).is_err() {
            // A text that is none (typed by hand as bytes) must not keep all others from being saved.
            line = String::from_utf8_lossy(&line).into_owned().into_bytes();
        }
        line.push(b'\n');
        self.line(&line)
    }

    fn sequences(&mut self, database: &str, all: Vec<Sequence>) -> Result<(), StoreError> {
        self.table(database, SEQUENCES, &["name".into(), "last".into()])?;
        all.iter().try_for_each(|s| self.json(&(&s.name, s.last)))
    }

    fn finish(mut self) -> Result<(), StoreError> {
        let end = self.sums.end();
        self.buffer.extend_from_slice(end.as_bytes());
        self.hand_on()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_id_is_read_where_the_table_says_it() {
        let text = "CREATE TABLE `targets` (\n `name` varchar(255) DEFAULT ' AUTO_INCREMENT=9'\n) ENGINE=InnoDB AUTO_INCREMENT=42 DEFAULT CHARSET=utf8mb4";
        assert_eq!(last_given(text), Some(41));
        assert_eq!(last_given("CREATE TABLE `targets` (\n `id` bigint AUTO_INCREMENT\n) ENGINE=InnoDB"), None);
    }
}
