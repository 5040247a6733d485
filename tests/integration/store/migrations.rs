use super::fixture::TestDb;
use skypunch::store::StoreError;

const TABLES: [&str; 12] = [
    "targets",
    "credentials",
    "target_status",
    "results",
    "incidents",
    "targets_overview",
    "results_overview",
    "notifiers",
    "notifier_status",
    "notifications",
    "notifiers_overview",
    "imports",
];

/// As many as there are folders of them.
fn migrations() -> usize {
    std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite")).unwrap().count()
}

pub fn up_once_and_never_twice(db: &TestDb) {
    let mut store = db.connect();
    assert_eq!(
        store.migrate().unwrap(),
        ["0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009", "0010", "0011"]
    );
    assert_eq!(store.migrate().unwrap(), [""; 0]);
    assert_eq!(db.connect().migrate().unwrap(), [""; 0]);
    for table in TABLES {
        assert_eq!(db.number(&format!("SELECT COUNT(*) FROM {table}")), 0, "{table}");
    }
}

pub fn down_to_nothing_and_up_again(db: &TestDb) {
    let mut store = db.store();
    let mut reverted = Vec::new();
    while let Some(version) = store.revert_last_migration().unwrap() {
        reverted.push(version);
    }
    assert_eq!(reverted, ["0011", "0010", "0009", "0008", "0007", "0006", "0005", "0004", "0003", "0002", "0001"]);
    for table in TABLES {
        assert!(db.client(&format!("SELECT COUNT(*) FROM {table}")).is_err(), "{table} is still there");
    }
    assert_eq!(store.migrate().unwrap().len(), migrations());
    db.client("INSERT INTO targets (name, url) VALUES ('x', 'http://x/')").unwrap();
    assert_eq!(store.load_definitions().unwrap().len(), 1);
}

pub fn four_starters_at_once(db: &TestDb) {
    let start = std::sync::Barrier::new(4);
    let run: Vec<usize> = std::thread::scope(|scope| {
        let one = || {
            let mut store = db.connect();
            start.wait();
            store.migrate().unwrap().len()
        };
        let all: Vec<_> = (0..4).map(|_| scope.spawn(one)).collect();
        all.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert_eq!(run.iter().sum::<usize>(), migrations(), "one ran all of them: {run:?}");
    assert_eq!(run.iter().max(), Some(&migrations()));
}

pub fn incidents_of_before_get_the_names_of_targets_that_are_still_there(db: &TestDb) {
    let mut store = db.store();
    while store.revert_last_migration().unwrap().as_deref() != Some("0006") {}
    db.client("INSERT INTO targets (name, url, tenantid) VALUES ('shop', 'http://x/', '7')").unwrap();
    for (id, target) in [(1, "(SELECT id FROM targets)"), (2, "900")] {
        db.client(&format!(
            "INSERT INTO incidents (id, subject_kind, subject_id, reason, description, started_at, first_trace) \
             VALUES ({id}, 'target', {target}, 'status', 'it was down', 1, '{{}}')"
        ))
        .unwrap();
    }
    assert_eq!(store.migrate().unwrap().first().map(String::as_str), Some("0006"));
    let mut names = |id| {
        let facts = store.incident(id).unwrap().unwrap().facts;
        (facts.name, facts.tenant)
    };
    assert_eq!(names(1), ("shop".into(), "7".into()));
    assert_eq!(names(2), (String::new(), String::new()));
}

pub fn a_newer_schema_is_refused(db: &TestDb) {
    db.store();
    db.client("INSERT INTO __diesel_schema_migrations (version) VALUES ('0999')").unwrap();
    let error = db.refused();
    assert!(matches!(&error, StoreError::TooNew(v) if v == "0999"), "{error}");
    assert!(!error.is_away());
}

pub fn tables_of_another_program_are_refused(db: &TestDb) {
    db.client("CREATE TABLE customers (id INTEGER)").unwrap();
    let error = db.refused();
    assert!(matches!(&error, StoreError::Foreign(t) if t.contains("customers")), "{error}");
    assert!(!error.is_away());
    assert!(db.client("SELECT COUNT(*) FROM targets").is_err(), "nothing was made");
}

pub fn the_tables_of_0_3_0_are_refused(db: &TestDb) {
    db.client("CREATE TABLE versions (major INTEGER, minor INTEGER)").unwrap();
    db.client("CREATE TABLE targets (id INTEGER, name VARCHAR(128), frequency INTEGER)").unwrap();
    let error = db.refused();
    assert!(matches!(&error, StoreError::Foreign(t) if t.contains("0.3.0")), "{error}");
}

pub fn another_diesel_program_is_refused(db: &TestDb) {
    db.client("CREATE TABLE __diesel_schema_migrations (version VARCHAR(50) PRIMARY KEY NOT NULL, run_on TIMESTAMP)")
        .unwrap();
    db.client("INSERT INTO __diesel_schema_migrations (version) VALUES ('20250101000000')").unwrap();
    let error = db.refused();
    assert!(matches!(&error, StoreError::Foreign(t) if t.contains("another program")), "{error}");
}
