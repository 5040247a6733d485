//! Databases that are somebody else's, newer, too old, or closed to us: one sentence with the mend, exit code 2, and not a
//! byte or a table of them is changed.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;

use super::database::{Database, Kind};
use super::harness::{Place, Setup, file};
use super::refused::assert_refused;

on_both!(
    the_tables_of_another_program_stay_as_they_are,
    the_tables_of_0_3_0_stay_as_they_are_and_the_importer_is_named,
    the_database_of_a_newer_skypunch_stays_as_it_is,
);

/// All there is in a database, as far as a person can see.
fn content(place: &Place, tables: &[&str]) -> Vec<Vec<String>> {
    let mut all = match &place.db {
        Database::Sqlite(path) => {
            let bytes = std::fs::read(path).unwrap();
            assert!(!path.with_extension("db-wal").exists(), "it has been opened for writing");
            vec![bytes.chunks(64).map(|c| format!("{c:02x?}")).collect()]
        }
        Database::Mariadb(..) => place.db.sql("SHOW TABLES"),
    };
    for table in tables {
        if place.kind() == Kind::Mariadb {
            all.extend(place.db.sql(&format!("SHOW CREATE TABLE {table}")));
        }
        all.extend(place.db.sql(&format!("SELECT * FROM {table}")));
    }
    all
}

/// Refused, and the database and the folders are as before.
fn refused_untouched(place: &Place, tables: &[&str], words: &[&str]) {
    let before = content(place, tables);
    assert_refused(&place.setup(), words);
    assert_eq!(content(place, tables), before);
    assert!(!place.path("state").exists(), "what it has made is removed");
}

fn the_tables_of_another_program_stay_as_they_are(place: &Place) {
    place.db.sql("CREATE TABLE targets (id INTEGER, colour VARCHAR(10)); INSERT INTO targets VALUES (1, 'red')");
    refused_untouched(place, &["targets"], &["holds tables that are not skypunch's (targets)", "[database] url"]);
    place.db.sql("DROP TABLE targets");
    place.db.sql(
        "CREATE TABLE __diesel_schema_migrations (version VARCHAR(50) PRIMARY KEY NOT NULL, \
         run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP); \
         INSERT INTO __diesel_schema_migrations (version) VALUES ('20250101000000'); CREATE TABLE users (id INTEGER)",
    );
    refused_untouched(
        place,
        &["users", "__diesel_schema_migrations"],
        &["belongs to another program", "a database of its own in [database] url"],
    );
}

fn the_tables_of_0_3_0_stay_as_they_are_and_the_importer_is_named(place: &Place) {
    place.db.sql(
        "CREATE TABLE versions (major INTEGER, minor INTEGER); INSERT INTO versions VALUES (1, 0); \
         CREATE TABLE targets (id INTEGER, name VARCHAR(128), frequency INTEGER); INSERT INTO targets VALUES (1, 'old', 10)",
    );
    refused_untouched(place, &["versions", "targets"], &["skypunch 0.3.0", "`skypunch import-legacy`"]);
}

fn the_database_of_a_newer_skypunch_stays_as_it_is(place: &Place) {
    let mut daemon = place.start();
    place.db.add("a", "http://127.0.0.1:1/", 60_000);
    daemon.terminate();
    place.db.sql("INSERT INTO __diesel_schema_migrations (version) VALUES ('0999')");
    place.db.sql("ALTER TABLE targets ADD COLUMN colour INTEGER NULL");
    let targets = || place.db.sql("SELECT * FROM targets");
    let state_db = Database::Sqlite(place.path("state/state.db"));
    let (before, state) = (targets(), state_db.sql(".dump"));
    assert_refused(&place.setup(), &["changed by a newer skypunch", "0999", "install that version"]);
    assert_eq!(targets(), before);
    assert_eq!(state_db.sql(".dump"), state);
}

#[test]
fn a_state_db_that_is_newer_or_somebody_elses_is_named_and_stays_as_it_is() {
    let place = Place::new();
    place.start().terminate();
    let path = place.path("state/state.db");
    let state_db = Database::Sqlite(path.clone());
    state_db.sql("INSERT INTO __diesel_schema_migrations (version) VALUES ('0999')");
    let before = std::fs::read(&path).unwrap();
    assert_refused(
        &place.setup(),
        &["by a newer skypunch", "migration 0999 of", "state.db is not known", "install that version"],
    );
    assert_eq!(std::fs::read(&path).unwrap(), before);
    std::fs::remove_file(&path).unwrap();
    state_db.sql("CREATE TABLE recipes (id INTEGER); INSERT INTO recipes VALUES (7)");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let before = std::fs::read(&path).unwrap();
    assert_refused(&place.setup(), &["state.db is the database of another program", "move it away", "state.dir"]);
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_file_that_is_no_database_stays_as_it_is() {
    let place = Place::new();
    let letter = "this is a letter to my aunt and no database at all, however long it gets\n".repeat(99);
    for content in [letter.as_bytes(), &[0xff; 5000], b"SQLite format 3\0but then it goes on in its own way"] {
        let path = file(&place, "text.db", content);
        let setup = Setup { database: format!("sqlite://{path}"), ..place.setup() };
        assert_refused(&setup, &["the database is damaged", "text.db"]);
        assert_eq!(std::fs::read(&path).unwrap(), content);
        assert!(!place.path("state").exists(), "what it has made is removed");
    }
    let folder = place.path("folder");
    std::fs::create_dir(&folder).unwrap();
    let setup = Setup { database: format!("sqlite://{}", folder.display()), ..place.setup() };
    assert_refused(&setup, &["folder"]);
}

/// A user of the server for one test, with these rights on its database.
struct User<'a>(&'a Place, String);

impl User<'_> {
    fn new<'a>(place: &'a Place, name: &str, rights: &str) -> User<'a> {
        let user = format!("{name}{}", std::process::id());
        let grant = if rights.is_empty() {
            String::new()
        } else {
            format!("; GRANT {rights} ON {}.* TO {user}@'%'", database(place))
        };
        place.db.sql(&format!("CREATE USER {user}@'%' IDENTIFIED BY 'right'{grant}"));
        User(place, user)
    }

    fn setup(&self, password: &str) -> Setup {
        let url = self.0.db.url().replace("root@", &format!("{}:{password}@", self.1));
        Setup { database: url, ..self.0.setup() }
    }
}

impl Drop for User<'_> {
    fn drop(&mut self) {
        let _gone = self.0.db.try_sql(&format!("DROP USER {}@'%'", self.1));
    }
}

fn database(place: &Place) -> String {
    place.db.url().rsplit('/').next().unwrap().to_owned()
}

const ALL: &str = "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES, CREATE VIEW, SHOW VIEW";

#[test]
fn a_user_without_rights_is_told_which_grant_mends_that() {
    let place = Place::on(Kind::Mariadb);
    let name = database(&place);
    let tables = || place.db.sql("SHOW TABLES").len();
    // Nothing at all; nearly everything; reading only: no table is made.
    for (i, (rights, missing)) in [
        ("", ALL),
        ("SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, INDEX, REFERENCES, CREATE VIEW", "ALTER, SHOW VIEW"),
        ("SELECT", ALL.split_once(", ").unwrap().1),
    ]
    .into_iter()
    .enumerate()
    {
        let user = User::new(&place, &format!("few{i}_"), rights);
        let grant = format!("let an administrator run: GRANT {missing} ON `{name}`.* TO '{}'@'%'", user.1);
        assert_refused(&user.setup("right"), &[&grant]);
        assert_eq!(tables(), 0, "nothing was made");
        // And that is what mends it.
        place.db.sql(grant.split_once(": ").unwrap().1);
        drop(user.setup("right").start());
        drop(user);
        place.db.sql(&format!("DROP DATABASE {name}; CREATE DATABASE {name}"));
        std::fs::remove_dir_all(place.path("state")).unwrap();
    }
    // The tables are there, and the user may not write them.
    place.start().terminate();
    let user = User::new(&place, "reader", "SELECT");
    let said = user.setup("right").refused().1;
    let grant = format!("let an administrator run: GRANT INSERT ON `{name}`.* TO '{}'@'%'", user.1);
    assert!(said.contains(&grant), "{said}");
}

#[test]
fn rights_for_all_databases_by_pattern_or_by_a_role_are_enough() {
    let place = Place::on(Kind::Mariadb);
    let name = database(&place);
    let user = User::new(&place, "wild", "");
    let pattern = name.replace('_', "\\_").replacen("daemon", "%", 1);
    place.db.sql(&format!("GRANT {ALL} ON `{pattern}`.* TO {}@'%'", user.1));
    drop(user.setup("right").start());
    place.db.sql(&format!("DROP DATABASE {name}; CREATE DATABASE {name}"));
    let role = format!("role{}", std::process::id());
    let user = User::new(&place, "cast", "");
    place.db.sql(&format!("CREATE ROLE {role}; GRANT {ALL} ON {name}.* TO {role}; GRANT {role} TO {}@'%'", user.1));
    let default = if place.db.sql("SELECT VERSION()")[0][0].contains("MariaDB") {
        format!("SET DEFAULT ROLE {role} FOR {}@'%'", user.1)
    } else {
        format!("SET DEFAULT ROLE {role} TO {}@'%'", user.1)
    };
    place.db.sql(&default);
    let daemon = user.setup("right").start();
    drop(daemon);
    place.db.sql(&format!("DROP ROLE {role}"));
}

#[test]
fn a_wrong_password_and_an_unknown_database_are_refused_without_the_password() {
    let place = Place::on(Kind::Mariadb);
    let user = User::new(&place, "known", ALL);
    let wrong = user.setup("hunter2");
    assert_refused(&wrong, &["denied", &user.1, "mend the user in database.url, or database.password"]);
    assert!(!wrong.refused().1.contains("hunter2"));
    let name = database(&place);
    let root = place.setup();
    let none = Setup { database: root.database.replace(&name, "nobody_made_this"), ..root };
    assert_refused(&none, &["nobody_made_this", "CREATE DATABASE", "[database] url"]);
    assert!(!place.path("state").exists(), "what it has made is removed");
}

/// A real server that says another version wherever it says its own.
fn as_version(place: &Place, version: &str) -> Setup {
    let own = place.db.sql("SELECT VERSION()")[0][0].clone();
    let said = format!("{version:x<width$}", width = own.len());
    assert_eq!(said.len(), own.len(), "{version} is longer than {own}");
    let Database::Mariadb(server, _) = &place.db else { panic!("not on a server") };
    let (real, listener) = (server.port, TcpListener::bind("127.0.0.1:0").unwrap());
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(("127.0.0.1", real)) else { return };
            let (own, said) = (own.clone().into_bytes(), said.clone().into_bytes());
            let (mut up, mut down) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ended = std::io::copy(&mut up, &mut { server }.try_clone().unwrap());
            });
            std::thread::spawn(move || {
                let (mut client, mut buffer) = (client, [0; 65536]);
                while let Ok(n @ 1..) = down.read(&mut buffer) {
                    let chunk = &mut buffer[..n];
                    for at in 0..n.saturating_sub(own.len() - 1) {
                        if chunk[at..].starts_with(&own) {
                            chunk[at..at + own.len()].copy_from_slice(&said);
                        }
                    }
                    if client.write_all(chunk).is_err() {
                        break;
                    }
                }
                let _closed = client.shutdown(Shutdown::Both);
            });
        }
    });
    let setup = place.setup();
    Setup { database: setup.database.replace(&format!(":{real}/"), &format!(":{port}/")), ..setup }
}

#[test]
fn a_server_that_is_too_old_is_refused_and_a_new_one_is_not() {
    let place = Place::on(Kind::Mariadb);
    for (version, shown) in [("5.5.62-", "MySQL 5.5.62"), ("5.7.44-", "MySQL 5.7.44")] {
        assert_refused(&as_version(&place, version), &[shown, "is too old", "MariaDB 10.6, MySQL 8.0 or newer"]);
    }
    if place.db.sql("SELECT VERSION()")[0][0].len() > 16 {
        assert_refused(&as_version(&place, "10.3.39-MariaDB-"), &["MariaDB 10.3.39", "is too old", "MariaDB 10.6"]);
    }
    assert_eq!(place.db.sql("SHOW TABLES").len(), 0, "nothing was made");
    assert!(!place.path("state").exists(), "what it has made is removed");
    drop(as_version(&place, "8.0.36-").start());
}
