//! What a person does in a plain SQL client.

use super::fixture::{NOW, TestDb, batch};
use skypunch::model::definition::Definition;

pub fn name_and_url_are_enough(db: &TestDb) {
    let mut store = db.store();
    db.client("INSERT INTO targets (name, url) VALUES ('x', 'http://x.example/')").unwrap();
    let loaded = store.load_definitions().unwrap();
    let expected = Definition { id: 1, name: "x".into(), url: "http://x.example/".into(), ..Definition::default() };
    assert_eq!(loaded, [expected]);
    assert!(loaded[0].validate().is_ok());
}

pub fn the_overview_has_the_words_and_order_of_0_3_0(db: &TestDb) {
    let mut store = db.store();
    db.client("INSERT INTO targets (name, url, frequency_ms, authn, authn_parms) VALUES ('x', 'http://x/', 2500, 'BASIC', 'user=a,password=hunter2')").unwrap();
    db.client("INSERT INTO targets (name, url) VALUES ('new', 'http://y/')").unwrap();
    store.write_batch(&batch(1, 1, 1, 0, 3, 2)).unwrap();
    let columns = "id, name, tenantid, status, status_description, previous_status, last_updated, url, method, authn, \
                   pass_result, frequency, timeout, pass_count, fail_count, count200, count300, count400, count500, \
                   network_fails, repeated_fails, enabled";
    let named = db.client(&format!("SELECT {columns} FROM targets_overview ORDER BY id")).unwrap();
    let all = db.client("SELECT * FROM targets_overview ORDER BY id").unwrap();
    for (named, all) in named.lines().zip(all.lines()) {
        assert!(all.starts_with(named), "{all} begins with {named}");
    }
    let first: Vec<&str> = named.lines().next().unwrap().split('\t').collect();
    assert_eq!(&first[..4], ["1", "x", "0", "FAIL"]);
    assert!(first[6].starts_with("2026-11-22 12:00:00"), "{}", first[6]);
    let number = |i: usize| first[i].parse::<f64>().unwrap();
    assert_eq!(
        (number(11), number(12), number(13), number(14), number(15), number(18)),
        (2.5, 2.5, 3.0, 2.0, 3.0, 2.0)
    );
    assert!(!all.contains("hunter2"), "no secret in the overview");
    let second: Vec<&str> = named.lines().nth(1).unwrap().split('\t').collect();
    assert_eq!((second[3], second[5], second[13]), ("NEW", "NEW", "0"));
    assert_eq!(second[12].parse::<f64>().unwrap(), 10.0);
}

pub fn times_are_readable(db: &TestDb) {
    let mut store = db.store();
    let target = store.insert_definition(&super::fixture::definition("x"), NOW).unwrap();
    store.write_batch(&batch(1, 1, target, 0, 1, 0)).unwrap();
    let read = |sql: &str| db.client(sql).unwrap();
    assert_eq!(read("SELECT updated_at_utc FROM targets"), "2026-11-22 12:00:00.000");
    assert_eq!(read("SELECT started FROM results_overview"), "2026-11-22 12:00:00.000");
    assert_eq!(
        read("SELECT name, node FROM results_overview"),
        "x\t5",
        "whose it is, and the machine that made the id"
    );
    let age = if db.is_sqlite() {
        "SELECT ABS(created_at - (julianday('now') - 2440587.5) * 86400000) < 600000 FROM targets"
    } else {
        "SELECT ABS(created_at - UNIX_TIMESTAMP(NOW(3)) * 1000) < 600000 FROM targets"
    };
    assert_eq!(read(age), "1", "created_at is the clock's time");
}

pub fn a_wrong_type_is_refused_where_it_is_typed(db: &TestDb) {
    let mut store = db.store();
    for (column, value) in [("frequency_ms", "'fast'"), ("enabled", "'yes'"), ("name", "NULL"), ("fail_after", "NULL")]
    {
        let sql = format!("INSERT INTO targets (name, url, {column}) VALUES ('x', 'http://x/', {value})");
        let sql =
            if column == "name" { "INSERT INTO targets (name, url) VALUES (NULL, 'http://x/')".into() } else { sql };
        let error = db.client(&sql).unwrap_err();
        assert!(error.contains(column), "{error}");
    }
    assert!(db.client("INSERT INTO targets (name) VALUES ('x')").is_err(), "url has no default");
    assert_eq!(store.load_definitions().unwrap(), []);
}

pub fn names_are_unique_within_a_tenant(db: &TestDb) {
    let mut store = db.store();
    db.client("INSERT INTO targets (name, url) VALUES ('x', 'http://x/')").unwrap();
    assert!(db.client("INSERT INTO targets (name, url) VALUES ('x', 'http://y/')").is_err());
    db.client("INSERT INTO targets (name, tenantid, url) VALUES ('x', '7', 'http://y/')").unwrap();
    db.client("INSERT INTO credentials (name, type) VALUES ('c', 'OPENSTACK')").unwrap();
    assert!(db.client("INSERT INTO credentials (name, type) VALUES ('c', 'OPENSTACK')").is_err());
    assert_eq!(store.load_definitions().unwrap().len(), 2);
}
