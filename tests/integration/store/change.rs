use super::fixture::{NOW, TestDb, batch, definition, opened};
use skypunch::model::definition::Definition;
use skypunch::model::notifier::{NotifierId, NotifierStatus};
use skypunch::model::record::Batch;
use skypunch::store::{ChangeToken, Store};
use std::time::Duration;

fn token(store: &mut Store) -> ChangeToken {
    store.change_token().unwrap().expect("nothing holds the tables")
}

pub fn every_kind_of_edit_is_seen(db: &TestDb) {
    let mut store = db.store();
    let mut last = token(&mut store);
    let mut seen = |what: &str| {
        let now = token(&mut store);
        assert_ne!(now, last, "{what} was not seen");
        last = now;
    };
    let everything = if db.is_sqlite() { "DELETE FROM targets" } else { "TRUNCATE TABLE targets" };
    for sql in [
        "INSERT INTO targets (name, url) VALUES ('a', 'http://a/')",
        "INSERT INTO targets (name, url) VALUES ('b', 'http://b/')",
        "UPDATE targets SET frequency_ms = 1000 WHERE name = 'a'",
        "UPDATE targets SET enabled = 0 WHERE name = 'a'",
        // the same column again, the other way round, with the stamp that it had
        "UPDATE targets SET enabled = 1, updated_at = updated_at WHERE name = 'a'",
        "UPDATE targets SET headers = '' WHERE name = 'a'",
        "UPDATE targets SET tls_ca = '/ca' WHERE name = 'b'",
        "UPDATE targets SET egress_allow = 'loopback' WHERE name = 'b'",
        "UPDATE targets SET egress_allow = NULL WHERE name = 'b'",
        "UPDATE targets SET keep_alive = 5 WHERE name = 'b'",
        // swapped contents, count and sums stay
        "UPDATE targets SET url = CASE name WHEN 'a' THEN 'http://b/' ELSE 'http://a/' END",
        "REPLACE INTO targets (id, name, url) VALUES (1, 'a', 'http://replaced/')",
        // a stamp from the past, as of a clock that was set back
        "UPDATE targets SET url = 'http://past/', updated_at = 5 WHERE name = 'b'",
        "DELETE FROM targets WHERE name = 'a'",
        "INSERT INTO credentials (name, type, params) VALUES ('c', 'OPENSTACK', 'user=x')",
        "UPDATE credentials SET params = 'user=y'",
        "DELETE FROM credentials",
        "INSERT INTO notifiers (name, type, address) VALUES ('n', 'SMTP', 'a@x')",
        "UPDATE notifiers SET params = 'user=x'",
        "DELETE FROM notifiers",
        everything,
    ] {
        db.client(sql).unwrap();
        seen(sql);
    }
    // A transaction is seen when it is committed, whenever its rows were stamped.
    db.client("BEGIN; INSERT INTO targets (name, url, updated_at) VALUES ('late', 'http://l/', 7); COMMIT").unwrap();
    seen("a transaction");
    let mut other = db.connect();
    let id = other.insert_definition(&definition("own"), NOW).unwrap();
    seen("an insert of our own");
    let edited = Definition { id, url: "http://o/".into(), ..definition("own") };
    other.apply_definitions(&[], &[edited], &[], NOW).unwrap();
    seen("an update of our own");
    other.set_enabled(id, false, NOW).unwrap();
    seen("disabling");
    other.delete_definition(id).unwrap();
    seen("a delete of our own");
}

pub fn the_daemons_own_writes_are_not_seen(db: &TestDb) {
    let mut store = db.store();
    let id = store.insert_definition(&definition("x"), NOW).unwrap();
    let before = token(&mut store);
    let mut b = batch(1, 1, id, 0, 5, 5);
    b.incidents.push(opened(77, id));
    store.write_batch(&b).unwrap();
    store.write_batch(&Batch { writer: 1, number: 2, ..Batch::default() }).unwrap();
    store.prune_results(skypunch::model::time::UtcMs(NOW.0 + 3), 100).unwrap();
    let me = skypunch::store::LeaseHolder { host: "h".into(), pid: 1, writer: 1 };
    let told = NotifierStatus { version: 1, ..NotifierStatus::default() };
    store.write_notifier_statuses(&[(NotifierId(1), told)]).unwrap();
    store.acquire_lease(&me, NOW, Duration::from_secs(1), |_| true).unwrap();
    assert_eq!(token(&mut store), before);
}

pub fn no_edit_no_change(db: &TestDb) {
    let mut store = db.store();
    let empty = token(&mut store);
    assert_eq!(token(&mut store), empty);
    db.client("INSERT INTO targets (name, url) VALUES ('a', 'http://a/')").unwrap();
    let one = token(&mut store);
    assert_eq!(token(&mut db.connect()), one, "another connection sees the same");
    assert!(db.client("INSERT INTO targets (name, url) VALUES ('a', 'http://a/')").is_err());
    let rolled_back = "BEGIN; UPDATE targets SET url = 'http://b/'; ROLLBACK";
    db.client(rolled_back).unwrap();
    assert_eq!(token(&mut store), one, "what failed or was taken back is no change");
}

pub fn a_table_that_is_gone_is_an_error_at_once(db: &TestDb) {
    // A view would keep SQLite from renaming what it shows.
    db.store();
    db.client("DROP VIEW targets_overview").unwrap();
    db.client("DROP VIEW notifiers_overview").unwrap();
    for table in ["targets", "credentials", "notifiers"] {
        let mut store = db.connect();
        let before = token(&mut store);
        db.client(&format!("ALTER TABLE {table} RENAME TO elsewhere")).unwrap();
        if db.is_sqlite() {
            // Another token: all rows are read, which fails.
            assert_ne!(token(&mut store), before);
        } else {
            let error = store.change_token().unwrap_err();
            assert!(error.to_string().contains(&format!("the table {table} is not there")), "{error}");
            assert!(!error.is_away());
        }
        db.client(&format!("ALTER TABLE elsewhere RENAME TO {table}")).unwrap();
        token(&mut db.connect());
    }
}
