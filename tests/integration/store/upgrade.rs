//! From every schema that was released (`tests/schemas/VERSION`, see `tests/schemas/record`) to that of today.

use std::path::{Path, PathBuf};

use super::fixture::TestDb;
use skypunch::model::subject::SubjectId;
use skypunch::store::StateDb;

/// A released version and the folder of its schema.
fn released() -> Vec<(String, PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schemas");
    let entries = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir());
    let mut all: Vec<_> = entries.map(|p| (p.file_name().unwrap().to_str().unwrap().to_owned(), p)).collect();
    all.sort();
    assert!(!all.is_empty());
    all
}

fn fresh(like: &TestDb) -> TestDb {
    if like.is_sqlite() { TestDb::sqlite() } else { TestDb::mariadb() }
}

/// Tables, columns, indexes, views and triggers, as the database itself describes them.
fn described(db: &TestDb) -> String {
    if db.is_sqlite() {
        return db
            .client("SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE '%diesel%' ORDER BY 1, 2")
            .unwrap();
    }
    let mut text = db
        .client(
            "SELECT table_name, column_name, ordinal_position, column_type, is_nullable, COALESCE(column_default, 'NULL'), \
             COALESCE(generation_expression, ''), COALESCE(collation_name, ''), extra FROM information_schema.columns \
             WHERE table_schema = DATABASE() AND table_name NOT LIKE '%diesel%' ORDER BY 1, 3; \
             SELECT table_name, index_name, non_unique, seq_in_index, column_name FROM information_schema.statistics \
             WHERE table_schema = DATABASE() AND table_name NOT LIKE '%diesel%' ORDER BY 1, 2, 4; \
             SELECT table_name, engine, table_collation FROM information_schema.tables WHERE table_schema = DATABASE() \
             AND table_name NOT LIKE '%diesel%' ORDER BY 1",
        )
        .unwrap();
    let name = db.url.to_string().rsplit('/').next().unwrap().to_owned();
    // Not by SHOW CREATE VIEW, which tells the collation of who made it too.
    let views = "SELECT table_name, view_definition, security_type FROM information_schema.views \
        WHERE table_schema = DATABASE() ORDER BY 1";
    text += &db.client(views).unwrap().replace(&name, "db");
    text
}

pub fn every_released_schema_becomes_that_of_today_with_its_rows(db: &TestDb) {
    let today = fresh(db);
    let all = today.store().migrate().map(|_| described(&today)).unwrap();
    let migrations = "SELECT COUNT(*) FROM __diesel_schema_migrations";
    for (version, folder) in released() {
        let old = fresh(db);
        let (read, file) = if db.is_sqlite() { (".read", "sqlite.sql") } else { ("source", "mysql.sql") };
        old.client(&format!("{read} {}", folder.join(file).display())).unwrap_or_else(|e| panic!("{version}: {e}"));
        let mut store = old.connect();
        let run = store.migrate().unwrap_or_else(|e| panic!("{version}: {e}"));
        assert_eq!(old.number(migrations), today.number(migrations), "{version}: it has run {run:?}");
        assert_eq!(described(&old), all, "the schema of {version} has become another");
        let targets = store.load_definitions().unwrap();
        assert_eq!(targets.iter().map(|d| (d.id, d.name.as_str())).collect::<Vec<_>>(), [(3, "shop"), (9, "plain")]);
        let shop = &targets[0];
        assert_eq!(
            (shop.tenantid.as_str(), shop.frequency_ms, shop.fail_after, shop.tls_verify),
            ("7", 30_000, 2, false)
        );
        assert_eq!(shop.body.as_deref(), Some("it's — \"quoted\""));
        assert_eq!(shop.authn_parms.as_ref().map(|s| s.expose()), Some("user=u,password=p"));
        assert!(shop.validate().is_ok(), "{version}: {:?}", shop.validate());
        assert_eq!(store.load_notifiers().unwrap()[0].remind_ms, Some(3_600_000));
        assert_eq!(store.load_credentials().unwrap()[0].name, "cloud");
        let status = &store.load_statuses().unwrap()[0];
        let incident = 912_386_563_040_178_177;
        assert_eq!((status.subject, status.writer, status.number), (SubjectId(3), 77, 8));
        assert_eq!(status.state.incident.map(|i| i.id), Some(incident));
        assert_eq!((status.state.counters.pass_count, status.state.counters.fail_count), (10, 2));
        assert_eq!(store.incident(incident).unwrap().unwrap().facts.name, "shop");
        assert_eq!(store.last_number(77).unwrap(), 8);
        assert_eq!(old.number("SELECT COUNT(*) FROM results WHERE verdict = 'FAIL'"), 1);
        assert_eq!(old.client("SELECT answer FROM notifications").unwrap(), "250 ok");
        // And it is one that works.
        old.client("INSERT INTO targets (name, url) VALUES ('new', 'http://new/')").unwrap();
        assert_eq!(store.load_definitions().unwrap().last().map(|d| d.id), Some(10), "{version}");
        assert_eq!(store.migrate().unwrap(), [""; 0]);
    }
}

#[test]
fn every_released_state_db_becomes_that_of_today_with_its_rows() {
    let sqlite = |path: &Path, sql: &str| {
        let mut client = std::process::Command::new("sqlite3");
        super::fixture::output({
            client.args(["-bail", "-batch"]).arg(path).arg(sql);
            client
        })
        .unwrap()
    };
    let schema = "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE '%diesel%' ORDER BY 1, 2";
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("today.db");
    drop(StateDb::open(&path, 1 << 20).unwrap());
    let today = sqlite(&path, schema);
    for (version, folder) in released() {
        let path = dir.path().join(format!("{version}.db"));
        sqlite(&path, &format!(".read {}", folder.join("state.sql").display()));
        let mut db = StateDb::open(&path, 1 << 20).unwrap_or_else(|e| panic!("{version}: {e}"));
        assert_eq!(db.load_definitions().unwrap()[0].name, "shop", "{version}");
        assert_eq!(db.load_notifiers().unwrap()[0].address, "ops@example.com");
        assert_eq!(db.load_credentials().unwrap()[0].name, "cloud");
        assert_eq!(db.load_statuses().unwrap()[0].state.counters.pass_count, 10);
        assert_eq!(db.open_incidents().unwrap()[0].facts.name, "shop");
        assert_eq!(db.events_after(0, 9).unwrap()[0].facts.name, "shop");
        let outbox = db.load_outbox().unwrap();
        assert_eq!((outbox.rows.len(), outbox.kept.len(), outbox.cursor, outbox.mark.as_str()), (1, 1, 11, "m"));
        drop(db);
        assert_eq!(sqlite(&path, schema), today, "the state.db of {version} has become another");
    }
}

#[test]
fn the_schema_of_this_version_is_recorded() {
    let version = env!("CARGO_PKG_VERSION");
    let known = released().iter().any(|(v, _)| v == version);
    assert!(known, "tests/schemas has no folder {version}: run tests/schemas/record and commit what it writes");
}
