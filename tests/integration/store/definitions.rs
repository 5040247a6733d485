use super::fixture::{NOW, TestDb, batch, definition};
use skypunch::model::definition::Definition;
use skypunch::secret::Secret;
use skypunch::store::StoreError;

fn full() -> Definition {
    let text = |s: &str| Some(s.to_owned());
    Definition {
        id: 0,
        name: "shop / ünï \u{1F600}".into(),
        tenantid: "tenant 7".into(),
        url: "https://shop.example/a?b=c&d=%20".into(),
        method: "POST".into(),
        headers: text("Accept: text/html\nX-Trace: 1"),
        body: text("{\"a\": \"'\\\\\"}\r\n"),
        authn: "BASIC".into(),
        authn_parms: Some(Secret::new("user=a,password=p'w\"\\")),
        credential: text("main"),
        pass_result: "200,204,301-303".into(),
        frequency_ms: 1500,
        timeout_ms: Some(700),
        fail_after: 3,
        recover_after: 2,
        redirects: 5,
        tls_ca: text("/etc/ca.pem"),
        tls_verify: false,
        tls_server_name: text("sni.example"),
        host: text("host.example:8080"),
        tags: text("web,prod"),
        parent: text("7/core"),
        egress_allow: text("10.0.0.0/8,metadata"),
        keep_alive: 10,
        enabled: false,
        odd_flags: Vec::new(),
    }
}

pub fn every_column_comes_back(db: &TestDb) {
    let mut store = db.store();
    let id = store.insert_definition(&full(), NOW).unwrap();
    let first = Definition { id, ..full() };
    assert_eq!(store.load_definitions().unwrap(), std::slice::from_ref(&first));
    let second = Definition { id, name: "other".into(), url: "http://o/".into(), ..Definition::default() };
    store.apply_definitions(&[], std::slice::from_ref(&second), &[], NOW).unwrap();
    assert_eq!(store.load_definitions().unwrap(), std::slice::from_ref(&second), "NULLs replace what was there");
    store.set_enabled(id, false, NOW).unwrap();
    assert_eq!(store.load_definitions().unwrap(), [Definition { enabled: false, ..second }]);
    assert_eq!(db.number("SELECT updated_at FROM targets"), NOW.0);
    store.delete_definition(id).unwrap();
    assert_eq!(store.load_definitions().unwrap(), []);
}

pub fn a_taken_name_is_named(db: &TestDb) {
    let mut store = db.store();
    store.insert_definition(&definition("x"), NOW).unwrap();
    let y = store.insert_definition(&definition("y"), NOW).unwrap();
    let error = store.insert_definition(&definition("x"), NOW).unwrap_err();
    assert!(matches!(&error, StoreError::Duplicate(t) if t.contains("`x`") && t.contains("tenant `0`")), "{error}");
    let renamed = Definition { id: y, ..definition("x") };
    assert!(matches!(store.apply_definitions(&[], &[renamed], &[], NOW), Err(StoreError::Duplicate(_))));
    let elsewhere = Definition { tenantid: "7".into(), ..definition("x") };
    store.insert_definition(&elsewhere, NOW).expect("another tenant, on the same connection");
}

pub fn what_is_not_there_is_missing(db: &TestDb) {
    let mut store = db.store();
    let nobody = Definition { id: 4711, ..definition("x") };
    assert!(matches!(store.apply_definitions(&[], &[nobody], &[], NOW), Err(StoreError::Missing(4711))));
    assert_eq!(store.delete_definition(4711), Err(StoreError::Missing(4711)));
    assert_eq!(store.set_enabled(4711, true, NOW), Err(StoreError::Missing(4711)));
    let id = store.insert_definition(&definition("x"), NOW).unwrap();
    store.set_enabled(id, true, NOW).expect("setting what is set already is no error");
}

pub fn a_plan_is_applied_whole_or_not_at_all(db: &TestDb) {
    let mut store = db.store();
    let ids = store.apply_definitions(&[definition("a"), definition("b"), definition("c")], &[], &[], NOW).unwrap();
    let [a, b, c] = ids.inserted[..] else { panic!("three ids: {ids:?}") };
    let before = store.load_definitions().unwrap();
    let edited = Definition { id: b, url: "http://edited/".into(), ..definition("b") };
    let failed = store.apply_definitions(&[definition("d"), definition("c")], std::slice::from_ref(&edited), &[a], NOW);
    assert!(matches!(failed, Err(StoreError::Duplicate(_))), "{failed:?}");
    assert_eq!(store.load_definitions().unwrap(), before);
    let failed = store.apply_definitions(&[definition("d")], &[], &[a, 4711], NOW);
    assert_eq!(failed, Err(StoreError::Missing(4711)));
    assert_eq!(store.load_definitions().unwrap(), before);
    // A name that a deleted row had is free within the same plan.
    let applied = store.apply_definitions(&[definition("a")], std::slice::from_ref(&edited), &[a], NOW).unwrap();
    let now = store.load_definitions().unwrap();
    assert_eq!(now.iter().map(|d| d.id).collect::<Vec<_>>(), [b, c, applied.inserted[0]]);
    assert_eq!(now[0].url, "http://edited/");
}

pub fn names_can_be_swapped(db: &TestDb) {
    let mut store = db.store();
    let a = store.insert_definition(&definition("a"), NOW).unwrap();
    let b = store.insert_definition(&definition("b"), NOW).unwrap();
    let swapped = [Definition { id: a, ..definition("b") }, Definition { id: b, ..definition("a") }];
    store.apply_definitions(&[], &swapped, &[], NOW).unwrap();
    assert_eq!(store.load_definitions().unwrap(), swapped);
}

pub fn odd_rows_do_not_hide_the_others(db: &TestDb) {
    let mut store = db.store();
    store.insert_definition(&definition("good"), NOW).unwrap();
    if db.is_sqlite() {
        // A table that somebody made again without types: anything can be in it.
        db.client("DROP VIEW targets_overview; DROP VIEW results_overview; CREATE TABLE t2 AS SELECT * FROM targets; DROP TABLE targets; ALTER TABLE t2 RENAME TO targets")
            .unwrap();
        db.client("INSERT INTO targets (id, name, url, frequency_ms, enabled, method) VALUES (2, CAST(x'ff41' AS TEXT), x'00ff', 'soon', 'maybe', NULL)").unwrap();
    } else {
        db.client("ALTER TABLE targets MODIFY frequency_ms VARCHAR(20) NULL, MODIFY enabled VARCHAR(20) NULL, MODIFY name VARBINARY(100) NULL, MODIFY url VARBINARY(100), MODIFY method VARCHAR(9) NULL").unwrap();
        db.client("INSERT INTO targets (id, name, url, frequency_ms, enabled, method) VALUES (2, x'ff41', x'00ff', 'soon', 'maybe', NULL)").unwrap();
    }
    let loaded = store.load_definitions().unwrap();
    assert_eq!(loaded[0], Definition { id: 1, ..definition("good") });
    let odd = &loaded[1];
    assert_eq!((odd.id, odd.name.as_str(), odd.url.as_str()), (2, "\u{fffd}A", "\0\u{fffd}"));
    assert_eq!((odd.frequency_ms, odd.enabled, odd.method.as_str()), (-1, false, "GET"));
    let problems = odd.validate().unwrap_err();
    for field in ["frequency_ms", "enabled"] {
        assert!(problems.iter().any(|p| p.field == field), "{problems:?}");
    }
}

pub fn a_flag_is_0_or_1(db: &TestDb) {
    let mut store = db.store();
    db.client("INSERT INTO targets (name, url, enabled, tls_verify) VALUES ('a', 'http://a/', 7, 1), ('b', 'http://b/', 0, -1), ('c', 'http://c/', 1, 0)").unwrap();
    let wrong: Vec<String> = store
        .load_definitions()
        .unwrap()
        .iter()
        .map(|d| d.validate().err().unwrap_or_default().iter().map(ToString::to_string).collect())
        .collect();
    let sentence = |what: &str| format!("{what} is neither yes nor no: write 1 (yes) or 0 (no)");
    assert_eq!(wrong, [sentence("enabled: `7`"), sentence("tls_verify: `-1`"), String::new()]);
    let loaded = store.load_definitions().unwrap();
    assert!(!loaded[0].enabled && loaded[1].tls_verify, "when in doubt: do not probe, and verify");
}

pub fn any_text_comes_back(db: &TestDb) {
    let mut store = db.store();
    let odd = [
        "",
        "\0",
        "a\0b",
        "\u{1}\u{1b}[31m\u{7f}",
        "'; DROP TABLE targets; --",
        "\\'\"%_",
        "\u{10FFFF}e\u{301}\u{202e}",
        "line\r\nline\t",
    ];
    let mut expected = Vec::new();
    for (i, text) in odd.iter().enumerate() {
        let d = Definition {
            name: format!("{i}{text}."),
            body: Some((*text).into()),
            tags: Some((*text).into()),
            ..full()
        };
        expected.push(Definition { id: store.insert_definition(&d, NOW).unwrap(), ..d });
    }
    assert_eq!(store.load_definitions().unwrap(), expected);
}

pub fn names_compare_byte_by_byte(db: &TestDb) {
    let mut store = db.store();
    for name in ["a", "A", "ä", "a\u{308}", "ß", "ss"] {
        store.insert_definition(&definition(name), NOW).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    assert_eq!(store.load_definitions().unwrap().len(), 6);
}

pub fn ids_are_never_reused(db: &TestDb) {
    let mut store = db.store();
    let first = store.insert_definition(&definition("a"), NOW).unwrap();
    store.write_batch(&batch(1, 1, first, 0, 1, 0)).unwrap();
    store.delete_definition(first).unwrap();
    let second = store.insert_definition(&definition("a"), NOW).unwrap();
    assert!(second > first);
    let known: Vec<i64> = store.load_statuses().unwrap().iter().map(|s| s.subject.0).collect();
    assert_eq!(known, [first], "the new one has no past");
}

pub fn absurd_sizes_are_refused_or_kept(db: &TestDb) {
    let mut store = db.store();
    let body = "x".repeat(3_000_000);
    let huge =
        Definition { body: Some(body.clone()), frequency_ms: i64::MAX, timeout_ms: Some(i64::MIN), ..definition("a") };
    let id = store.insert_definition(&huge, NOW).unwrap();
    assert_eq!(store.load_definitions().unwrap(), [Definition { id, ..huge }]);
    let long = definition(&"n".repeat(100_000));
    match store.insert_definition(&long, NOW) {
        Ok(_) => assert!(db.is_sqlite()),
        Err(e) => {
            assert!(matches!(&e, StoreError::Rejected(t) if t.contains("name")), "{e}");
            assert!(!e.is_away());
        }
    }
    assert!(db.store().load_definitions().unwrap().len() <= 2);
}
