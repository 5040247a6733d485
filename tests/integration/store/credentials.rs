//! Credentials, in the main database and as state.db remembers them.

use super::fixture::{NOW, TestDb, definition, notifier};
use skypunch::model::credential::CredentialDefinition;
use skypunch::model::plan::Edits;
use skypunch::secret::Secret;
use skypunch::store::{StateDb, StoreError};

fn credential(name: &str) -> CredentialDefinition {
    let params = Some(Secret::new("auth_url=http://k:5000/v3,user_id=u,password=p"));
    CredentialDefinition { name: name.into(), params, ..CredentialDefinition::default() }
}

fn edits(
    inserts: Vec<CredentialDefinition>,
    updates: Vec<CredentialDefinition>,
    deletes: Vec<i64>,
) -> Edits<CredentialDefinition> {
    Edits { inserts, updates, deletes }
}

pub fn every_column_of_a_credential_comes_back(db: &TestDb) {
    let mut store = db.store();
    let full = CredentialDefinition {
        tenantid: "tenant 7".into(),
        kind: "openstack".into(),
        params: Some(Secret::new("user=a,password=\"p'w\\\"ü\u{1F600}\"")),
        enabled: false,
        ..credential("cloud / ünï \u{1F600}")
    };
    let id = store.insert_credential(&full, NOW).unwrap();
    assert_eq!(store.load_credentials().unwrap(), [CredentialDefinition { id, ..full }]);
    let second = CredentialDefinition { id, params: None, ..credential("other") };
    let update = edits(vec![], vec![second.clone()], vec![]);
    store.apply(&Edits::default(), &Edits::default(), &update, NOW).unwrap();
    assert_eq!(store.load_credentials().unwrap(), std::slice::from_ref(&second), "NULL replaces what was there");
    let renamed = store.edit_credential(id, NOW, |d| {
        d.name = "edited".into();
        Ok::<_, ()>(())
    });
    assert_eq!(renamed.unwrap(), Ok("edited".into()));
    assert_eq!(store.edit_credential(id, NOW, |_| Err("no")).unwrap(), Err("no"));
    store.set_credential_enabled(id, false, NOW).unwrap();
    let expected = CredentialDefinition { name: "edited".into(), enabled: false, ..second };
    assert_eq!(store.load_credentials().unwrap(), [expected]);
    assert_eq!(db.number("SELECT updated_at FROM credentials"), NOW.0);
    store.delete_credential(id).unwrap();
    assert_eq!(store.load_credentials().unwrap(), []);
    assert_eq!(store.insert_credential(&credential("x"), NOW).unwrap(), id + 1, "ids are never given again");
}

pub fn taken_and_missing_credentials_are_named(db: &TestDb) {
    let mut store = db.store();
    store.insert_credential(&credential("x"), NOW).unwrap();
    let error = store.insert_credential(&credential("x"), NOW).unwrap_err();
    assert!(matches!(&error, StoreError::Duplicate(t) if t.contains("a credential `x` in tenant `0`")), "{error}");
    store.insert_credential(&CredentialDefinition { tenantid: "7".into(), ..credential("x") }, NOW).unwrap();
    store.insert_definition(&definition("x"), NOW).expect("a target may have the same name");
    assert_eq!(store.delete_credential(4711), Err(StoreError::Missing(4711)));
    assert_eq!(store.set_credential_enabled(4711, true, NOW), Err(StoreError::Missing(4711)));
    assert_eq!(store.edit_credential(4711, NOW, |_| Ok::<_, ()>(())), Err(StoreError::Missing(4711)));
}

pub fn credentials_are_applied_whole_with_the_other_tables(db: &TestDb) {
    let mut store = db.store();
    let a = store.insert_credential(&credential("a"), NOW).unwrap();
    let b = store.insert_credential(&credential("b"), NOW).unwrap();
    let targets = Edits { inserts: vec![definition("t")], ..Edits::default() };
    let notifiers = Edits { inserts: vec![notifier("n")], ..Edits::default() };
    let taken = edits(vec![credential("c"), credential("b")], vec![], vec![a]);
    let failed = store.apply(&targets, &notifiers, &taken, NOW);
    assert!(matches!(failed, Err(StoreError::Duplicate(_))), "{failed:?}");
    let counts = (store.load_definitions().unwrap().len(), store.load_notifiers().unwrap().len());
    assert_eq!((counts, store.load_credentials().unwrap().len()), ((0, 0), 2));
    let swapped =
        vec![CredentialDefinition { id: a, ..credential("b") }, CredentialDefinition { id: b, ..credential("a") }];
    let applied = store.apply(&targets, &notifiers, &edits(vec![credential("c")], swapped, vec![]), NOW).unwrap();
    let c = store.load_credentials().unwrap().iter().find(|d| d.name == "c").unwrap().id;
    assert_eq!(
        (applied.inserted.len(), applied.inserted_notifiers.len(), applied.inserted_credentials),
        (1, 1, vec![c])
    );
    let names: Vec<String> = store.load_credentials().unwrap().into_iter().map(|d| d.name).collect();
    assert_eq!(names, ["b", "a", "c"]);
}

pub fn odd_credentials_do_not_hide_the_others(db: &TestDb) {
    let mut store = db.store();
    store.insert_credential(&credential("good"), NOW).unwrap();
    let insert = "INSERT INTO credentials (id, name, type, params, enabled) VALUES (2, 'odd', 'VAULT',";
    if db.is_sqlite() {
        db.client("CREATE TABLE c2 AS SELECT * FROM credentials; DROP TABLE credentials; ALTER TABLE c2 RENAME TO credentials")
            .unwrap();
        db.client(&format!("{insert} x'ff41', 'maybe')")).unwrap();
    } else {
        db.client("ALTER TABLE credentials MODIFY enabled VARCHAR(9), MODIFY params VARBINARY(99)").unwrap();
        db.client(&format!("{insert} x'ff41', 'maybe')")).unwrap();
    }
    let loaded = store.load_credentials().unwrap();
    assert_eq!(loaded[0], CredentialDefinition { id: 1, ..credential("good") });
    let odd = &loaded[1];
    assert_eq!((odd.params.as_ref().unwrap().expose(), odd.enabled), ("\u{fffd}A", false));
    let fields: Vec<String> = odd.validate().unwrap_err().into_iter().map(|p| p.field).collect();
    assert_eq!(fields, ["type", "enabled"]);
}

#[test]
fn state_db_remembers_the_last_good_form_of_each() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let kept = |id: i64, name: &str| CredentialDefinition { id, ..credential(name) };
    let mut db = StateDb::open(&path, 1 << 20).unwrap();
    assert_eq!(db.load_credentials().unwrap(), []);
    db.save_credentials(&[kept(1, "a"), kept(2, "b"), kept(3, "c")], &[]).unwrap();
    // 1 is gone, 2 is wrong and keeps its last good form, 3 has changed.
    db.save_credentials(&[kept(3, "changed")], &[2]).unwrap();
    drop(db);
    let mut db = StateDb::open(&path, 1 << 20).unwrap();
    assert_eq!(db.load_credentials().unwrap(), [kept(2, "b"), kept(3, "changed")]);
}
