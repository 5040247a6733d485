//! The database of a run, as the bench uses it: filled before the daemon starts, counted afterwards.

use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use mysql_async::prelude::Queryable as _;
use skypunch::clock::Clock;
use skypunch::model::credential::CredentialDefinition;
use skypunch::model::definition::Definition;
use skypunch::secret::Secret;
use skypunch::store::{ConnectOptions, DatabaseUrl, Store};

use crate::Outcome;

/// Made and dropped by each scenario on a server.
const ON_SERVER: &str = "skypunch_bench";

/// (target, lateness in microseconds) of a result.
pub type Late = (i64, i64);

/// A connection of the bench's own.
enum Client {
    Sqlite(Box<SqliteConnection>),
    Mysql(tokio::runtime::Runtime, Box<mysql_async::Conn>),
}

/// The database of one run; dropping it removes it.
pub struct Database {
    /// As the daemon is given it.
    pub url: String,
    connection: Client,
}

#[derive(QueryableByName)]
struct Pair {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    a: i64,
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    b: i64,
}

impl Database {
    /// An empty, migrated database: a file in `folder`, or on `server`.
    pub fn create(folder: &Path, server: Option<&str>) -> Outcome<Database> {
        let Some(server) = server else {
            let file = folder.join("skypunch.db");
            let url = format!("sqlite://{}", file.display());
            store(&url)?.migrate()?;
            let mut connection =
                <SqliteConnection as Connection>::establish(file.to_str().ok_or("a path that is not UTF-8")?)?;
            connection.batch_execute("PRAGMA busy_timeout = 30000")?;
            return Ok(Database { url, connection: Client::Sqlite(Box::new(connection)) });
        };
        let mut url = url::Url::parse(server)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        url.set_path("");
        let options = mysql_async::Opts::from_url(url.as_str())?;
        let options = mysql_async::OptsBuilder::from_opts(options).prefer_socket(false);
        let mut connection = runtime.block_on(mysql_async::Conn::new(options))?;
        runtime.block_on(async {
            connection.query_drop(format!("DROP DATABASE IF EXISTS {ON_SERVER}")).await?;
            connection.query_drop(format!("CREATE DATABASE {ON_SERVER} CHARACTER SET utf8mb4")).await?;
            connection.query_drop(format!("USE {ON_SERVER}")).await
        })?;
        url.set_path(ON_SERVER);
        store(url.as_str())?.migrate()?;
        Ok(Database { url: url.into(), connection: Client::Mysql(runtime, Box::new(connection)) })
    }

    /// Inserts targets; they get the ids from 1, and `url_of` gets the id.
    pub fn insert(&mut self, targets: usize, frequency_ms: i64, url_of: impl Fn(i64) -> String) -> Outcome<()> {
        self.insert_each(targets, |id| Definition { url: url_of(id), frequency_ms, ..Definition::default() })
    }

    /// Inserts targets that are made of their ids, from 1; the name is given here.
    pub fn insert_each(&mut self, targets: usize, definition: impl Fn(i64) -> Definition) -> Outcome<()> {
        let last = i64::try_from(targets)?;
        let named = |id| Definition { name: format!("bench target {id}"), ..definition(id) };
        let definitions: Vec<Definition> = (1..=last).map(named).collect();
        let applied = store(&self.url)?.apply_definitions(&definitions, &[], &[], Clock::system().utc_now())?;
        if applied.inserted.iter().copied().ne(1..=last) {
            return Err("the new targets did not get the ids from 1".into());
        }
        Ok(())
    }

    /// Inserts a credential.
    pub fn insert_credential(&mut self, name: &str, params: String) -> Outcome<()> {
        let params = Some(Secret::new(params));
        let credential = CredentialDefinition { name: name.to_owned(), params, ..CredentialDefinition::default() };
        store(&self.url)?.insert_credential(&credential, Clock::system().utc_now())?;
        Ok(())
    }

    /// Gives every target a status row, so that none is NEW.
    pub fn preload_statuses(&mut self) -> Outcome<()> {
        let now = Clock::system().utc_now().0;
        self.execute(&format!(
            "INSERT INTO target_status (target_id, status, previous_status, status_description, last_updated, \
            pass_count, imported_count, count200, conclusive_status) \
            SELECT id, 'PASS', 'PASS', 'OK', {now}, 1, 1, 1, 'PASS' FROM targets"
        ))
    }

    /// Runs a statement.
    pub fn execute(&mut self, sql: &str) -> Outcome<()> {
        match &mut self.connection {
            Client::Sqlite(c) => drop(diesel::sql_query(sql).execute(&mut **c)?),
            Client::Mysql(runtime, c) => runtime.block_on(c.query_drop(sql))?,
        }
        Ok(())
    }

    /// From now on the database takes nothing of anybody else, until [`Database::release`].
    pub fn hold(&mut self) -> Outcome<()> {
        self.execute(match self.connection {
            Client::Sqlite(_) => "BEGIN IMMEDIATE",
            Client::Mysql(..) => "FLUSH TABLES WITH READ LOCK",
        })
    }

    /// Ends [`Database::hold`].
    pub fn release(&mut self) -> Outcome<()> {
        self.execute(match self.connection {
            Client::Sqlite(_) => "COMMIT",
            Client::Mysql(..) => "UNLOCK TABLES",
        })
    }

    /// Rows of two integers, `a` and `b`.
    pub fn pairs(&mut self, sql: &str) -> Outcome<Vec<(i64, i64)>> {
        Ok(match &mut self.connection {
            Client::Sqlite(c) => {
                diesel::sql_query(sql).load::<Pair>(&mut **c)?.into_iter().map(|p| (p.a, p.b)).collect()
            }
            Client::Mysql(runtime, c) => runtime.block_on(c.query(sql))?,
        })
    }

    /// The results that were due in a window of wall-clock milliseconds.
    pub fn due_between(&mut self, from: i64, to: i64) -> Outcome<Vec<Late>> {
        self.pairs(&format!(
            "SELECT target_id AS a, lateness_us AS b FROM results WHERE due_at >= {from} AND due_at < {to}"
        ))
    }

    /// Rows in `results`, and outcomes that the counters know.
    pub fn totals(&mut self) -> Outcome<(i64, i64)> {
        let rows = self.pairs("SELECT COUNT(*) AS a, 0 AS b FROM results")?;
        // Below 0 are credentials, whose logins have no rows.
        let counted = self.pairs(
            "SELECT CAST(COALESCE(SUM(pass_count + fail_count + unknown_count), 0) AS SIGNED) AS a, 0 AS b \
            FROM target_status WHERE target_id > 0",
        )?;
        Ok((rows[0].0, counted[0].0))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Client::Mysql(runtime, c) = &mut self.connection {
            // A server that has gone keeps it; the next run drops it first.
            let _gone = runtime.block_on(c.query_drop(format!("DROP DATABASE IF EXISTS {ON_SERVER}")));
        }
    }
}

fn store(url: &str) -> Outcome<Store> {
    Ok(Store::connect(&DatabaseUrl::parse(url)?, &ConnectOptions::default())?)
}
