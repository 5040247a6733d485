//! Notifiers, and what was told to them.

use super::fixture::{NOW, TestDb, definition, notifier};
use skypunch::model::notifier::{Notification, NotifierDefinition, NotifierId, NotifierStatus, any_type};
use skypunch::model::plan::Edits;
use skypunch::model::target::TargetId;
use skypunch::model::time::UtcMs;
use skypunch::secret::Secret;
use skypunch::store::{Store, StoreError};

fn full() -> NotifierDefinition {
    let text = |s: &str| Some(s.to_owned());
    NotifierDefinition {
        id: 0,
        name: "ops / ünï \u{1F600}".into(),
        tenantid: "tenant 7".into(),
        kind: "SPLUNK ONCALL".into(),
        address: "https://hooks.example/T0?a=b&c=%20'\\".into(),
        params: Some(Secret::new("user=a,password=\"p'w\\\"\"")),
        enabled: false,
        match_tags: text("web,prod"),
        match_tenant: text("7"),
        match_name: text("shop*"),
        events: text("fail,recovery"),
        group_wait_ms: 1,
        group_window_ms: 2,
        rate_per_minute: 3,
        retry_for_ms: 4,
        remind_ms: Some(5),
        templates: text("fail = \"{{ title }}\"\n"),
        odd_flags: Vec::new(),
    }
}

fn edits(
    inserts: Vec<NotifierDefinition>,
    updates: Vec<NotifierDefinition>,
    deletes: Vec<i64>,
) -> Edits<NotifierDefinition> {
    Edits { inserts, updates, deletes }
}

pub fn every_column_of_a_notifier_comes_back(db: &TestDb) {
    let mut store = db.store();
    let id = store.insert_notifier(&full(), NOW).unwrap();
    let first = NotifierDefinition { id, ..full() };
    assert_eq!(store.load_notifiers().unwrap(), std::slice::from_ref(&first));
    let second = NotifierDefinition { id, ..notifier("other") };
    store.apply(&Edits::default(), &edits(vec![], vec![second.clone()], vec![]), &Edits::default(), NOW).unwrap();
    assert_eq!(store.load_notifiers().unwrap(), std::slice::from_ref(&second), "NULLs replace what was there");
    let renamed = store.edit_notifier(id, NOW, |d| {
        d.name = "edited".into();
        Ok::<_, ()>(())
    });
    assert_eq!(renamed.unwrap(), Ok("edited".into()));
    assert_eq!(store.edit_notifier(id, NOW, |_| Err("no")).unwrap(), Err("no"));
    store.set_notifier_enabled(id, false, NOW).unwrap();
    assert_eq!(
        store.load_notifiers().unwrap(),
        [NotifierDefinition { name: "edited".into(), enabled: false, ..second }]
    );
    assert_eq!(db.number("SELECT updated_at FROM notifiers"), NOW.0);
    store.delete_notifier(id).unwrap();
    assert_eq!(store.load_notifiers().unwrap(), []);
}

pub fn name_type_and_address_are_enough(db: &TestDb) {
    let mut store = db.store();
    db.client("INSERT INTO notifiers (name, type, address, params) VALUES ('x', 'SMTP', 'x@example.com', 'user=a,password=b,server=c')")
        .unwrap();
    let loaded = store.load_notifiers().unwrap();
    let params = Some(Secret::new("user=a,password=b,server=c"));
    assert_eq!(loaded, [NotifierDefinition { id: 1, params, ..notifier("x") }]);
    assert!(loaded[0].validate(&any_type).is_ok());
    for missing in
        ["(name, type) VALUES ('y', 'SMTP')", "(name, address) VALUES ('y', 'a')", "(type, address) VALUES ('S', 'a')"]
    {
        assert!(db.client(&format!("INSERT INTO notifiers {missing}")).is_err(), "{missing}");
    }
    assert!(
        db.client("INSERT INTO notifiers (name, type, address) VALUES ('x', 'SMTP', 'a')").is_err(),
        "name is taken"
    );
    db.client("DELETE FROM notifiers").unwrap();
    assert_eq!(store.insert_notifier(&notifier("y"), NOW).unwrap(), if db.is_sqlite() { 2 } else { 3 }, "never reused");
}

pub fn taken_and_missing_notifiers_are_named(db: &TestDb) {
    let mut store = db.store();
    store.insert_notifier(&notifier("x"), NOW).unwrap();
    let error = store.insert_notifier(&notifier("x"), NOW).unwrap_err();
    assert!(matches!(&error, StoreError::Duplicate(t) if t.contains("a notifier `x` in tenant `0`")), "{error}");
    store.insert_notifier(&NotifierDefinition { tenantid: "7".into(), ..notifier("x") }, NOW).unwrap();
    store.insert_definition(&definition("x"), NOW).expect("a target may have the same name");
    assert_eq!(store.delete_notifier(4711), Err(StoreError::Missing(4711)));
    assert_eq!(store.set_notifier_enabled(4711, true, NOW), Err(StoreError::Missing(4711)));
    assert_eq!(store.edit_notifier(4711, NOW, |_| Ok::<_, ()>(())), Err(StoreError::Missing(4711)));
}

pub fn both_tables_are_applied_whole_or_not_at_all(db: &TestDb) {
    let mut store = db.store();
    let a = store.insert_notifier(&notifier("a"), NOW).unwrap();
    let b = store.insert_notifier(&notifier("b"), NOW).unwrap();
    let targets = Edits { inserts: vec![definition("t")], ..Edits::default() };
    let taken = edits(vec![notifier("c"), notifier("b")], vec![], vec![a]);
    let failed = store.apply(&targets, &taken, &Edits::default(), NOW);
    assert!(matches!(failed, Err(StoreError::Duplicate(_))), "{failed:?}");
    assert_eq!((store.load_definitions().unwrap().len(), store.load_notifiers().unwrap().len()), (0, 2));
    let swapped = vec![NotifierDefinition { id: a, ..notifier("b") }, NotifierDefinition { id: b, ..notifier("a") }];
    let swap = edits(vec![notifier("c")], swapped, vec![]);
    let applied = store.apply(&targets, &swap, &Edits::default(), NOW).unwrap();
    assert_eq!((applied.inserted.len(), applied.inserted_notifiers.len()), (1, 1));
    let names: Vec<String> = store.load_notifiers().unwrap().into_iter().map(|n| n.name).collect();
    assert_eq!(names, ["b", "a", "c"]);
}

pub fn odd_notifiers_do_not_hide_the_others(db: &TestDb) {
    let mut store = db.store();
    store.insert_notifier(&notifier("good"), NOW).unwrap();
    let insert =
        "INSERT INTO notifiers (id, name, type, address, enabled, rate_per_minute, events) VALUES (2, 'odd', 'SMTP', ";
    if db.is_sqlite() {
        db.client("DROP VIEW notifiers_overview; CREATE TABLE n2 AS SELECT * FROM notifiers; DROP TABLE notifiers; ALTER TABLE n2 RENAME TO notifiers")
            .unwrap();
        db.client(&format!("{insert} x'00ff', 'maybe', 'many', CAST(x'ff41' AS TEXT))")).unwrap();
    } else {
        db.client("ALTER TABLE notifiers MODIFY enabled VARCHAR(9), MODIFY address VARBINARY(99), MODIFY rate_per_minute VARCHAR(9), MODIFY events VARBINARY(9)").unwrap();
        db.client(&format!("{insert} x'00ff', 'maybe', 'many', x'ff41')")).unwrap();
    }
    let loaded = store.load_notifiers().unwrap();
    assert_eq!(loaded[0], NotifierDefinition { id: 1, ..notifier("good") });
    let odd = &loaded[1];
    assert_eq!((odd.address.as_str(), odd.enabled, odd.rate_per_minute), ("\0\u{fffd}", false, -1));
    let fields: Vec<String> = odd.validate(&any_type).unwrap_err().into_iter().map(|p| p.field).collect();
    assert_eq!(fields, ["address", "enabled", "events", "rate_per_minute"]);
}

fn told(id: i64, incident_id: i64, state: &str, version: i64) -> Notification {
    Notification {
        id,
        notifier_id: NotifierId(3),
        notifier_name: "ops".into(),
        incident_id,
        target_id: TargetId(7),
        target_name: "shop".into(),
        event: "fail".into(),
        number: 0,
        state: state.into(),
        message_id: Some(format!("{id}.3@host")),
        digest_id: None,
        attempts: version,
        created_at: UtcMs(NOW.0 + id),
        attempted_at: Some(NOW),
        sent_at: (state == "sent").then_some(NOW),
        answer: Some("250 OK".into()),
        version,
    }
}

pub fn an_older_form_never_replaces_a_newer(db: &TestDb) {
    let mut store = db.store();
    let write = |store: &mut Store, all: &[Notification]| store.write_notifications(all).unwrap();
    write(&mut store, &[told(1, 50, "owed", 1), told(2, 50, "owed", 2), told(3, 51, "owed", 1)]);
    // Again, later, earlier, and a new one among them.
    let next = [told(1, 50, "sent", 2), told(2, 50, "held", 1), told(3, 51, "other", 1), told(4, 50, "owed", 1)];
    write(&mut store, &next);
    write(&mut store, &next);
    let of50 = store.notifications(50).unwrap();
    assert_eq!(of50, [told(1, 50, "sent", 2), told(2, 50, "owed", 2), told(4, 50, "owed", 1)]);
    assert_eq!(store.notifications(51).unwrap(), [told(3, 51, "owed", 1)], "the same version changes nothing");
    assert_eq!(store.notifications(99).unwrap(), []);
    // Of a target or notifier that is gone the name stays.
    let nameless = Notification { notifier_name: String::new(), target_name: String::new(), ..told(3, 51, "sent", 2) };
    write(&mut store, &[nameless]);
    assert_eq!(store.notifications(51).unwrap(), [told(3, 51, "sent", 2)]);
    // What is too long for its column is cut and holds nothing up.
    let long =
        Notification { answer: Some("ä".repeat(100_000)), target_name: "x".repeat(9000), ..told(5, 52, "failed", 1) };
    write(&mut store, &[long]);
    assert_eq!(store.notifications(52).unwrap()[0].target_name.chars().count(), 255);
    let many: Vec<Notification> = (100..700).map(|i| told(i, 53, "sent", 1)).collect();
    write(&mut store, &many);
    assert_eq!(store.notifications(53).unwrap(), many);

    let status = |pass_count, version| NotifierStatus {
        pass_count,
        fail_count: 2,
        last_sent_at: Some(NOW),
        last_failed_at: None,
        last_answer: Some("250 OK".into()),
        version,
    };
    for (pass_count, version, expected) in [(5, 2, 5), (4, 1, 5), (5, 2, 5), (9, 3, 9)] {
        store.write_notifier_statuses(&[(NotifierId(3), status(pass_count, version))]).unwrap();
        assert_eq!(store.notifier_statuses().unwrap()[&NotifierId(3)].pass_count, expected);
    }
    assert_eq!(store.notifier_statuses().unwrap()[&NotifierId(3)], status(9, 3));
}

pub fn old_notifications_go_few_at_a_time(db: &TestDb) {
    let mut store = db.store();
    let all: Vec<Notification> = (1..=5).map(|i| told(i, 50, "sent", 1)).collect();
    store.write_notifications(&all).unwrap();
    let before = UtcMs(NOW.0 + 4);
    assert_eq!([2, 2, 2].map(|n| store.prune_notifications(before, n).unwrap()), [2, 1, 0]);
    assert_eq!(store.notifications(50).unwrap(), all[3..]);
}

pub fn the_overview_of_notifiers_has_the_words_of_0_3_0(db: &TestDb) {
    let mut store = db.store();
    let id = store.insert_notifier(&full(), NOW).unwrap();
    store.insert_notifier(&notifier("new"), NOW).unwrap();
    let status = NotifierStatus { pass_count: 5, last_sent_at: Some(NOW), version: 1, ..NotifierStatus::default() };
    store.write_notifier_statuses(&[(NotifierId(id), status)]).unwrap();
    let rows = db
        .client("SELECT id, name, enabled, type, pass_count, fail_count, last_sent FROM notifiers_overview ORDER BY id")
        .unwrap();
    let rows: Vec<Vec<&str>> = rows.lines().map(|l| l.split('\t').collect()).collect();
    assert_eq!(rows[0][2..6], ["0", "SPLUNK ONCALL", "5", "0"]);
    assert!(rows[0][6].starts_with("2026-11-22 12:00:00"), "{rows:?}");
    assert_eq!(rows[1][1..6], ["new", "1", "SMTP", "0", "0"]);
    let all = db.client("SELECT * FROM notifiers_overview").unwrap();
    assert!(!all.contains("hooks.example") && !all.contains("p'w"), "no secrets: {all}");
}
