//! What can be wrong with a SQLite file.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use super::fixture::{NOW, TestDb, batch, definition, output};
use skypunch::store::{ConnectOptions, DatabaseUrl, Store, StoreError};

fn connect(path: &std::path::Path, timeout: Duration) -> Result<Store, StoreError> {
    let url = DatabaseUrl::parse(&format!("sqlite://{}", path.display())).unwrap();
    Store::connect(&url, &ConnectOptions { timeout, ..ConnectOptions::default() })
}

#[test]
fn a_file_that_is_no_database_is_damaged_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.db");
    let text = "this is a letter to my bank, and not a database at all. ".repeat(200);
    std::fs::write(&path, &text).unwrap();
    let error = connect(&path, Duration::from_secs(1)).unwrap_err();
    assert!(matches!(&error, StoreError::Damaged(t) if t.contains("x.db")), "{error}");
    assert!(!error.is_away());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn a_folder_that_is_missing_is_named() {
    let error = connect(std::path::Path::new("/nonexistent/skypunch/x.db"), Duration::from_secs(1)).unwrap_err();
    assert!(matches!(&error, StoreError::Setting(t) if t.contains("/nonexistent/skypunch/x.db")), "{error}");
}

#[test]
fn a_new_file_is_for_its_owner_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.db");
    connect(&path, Duration::from_secs(5)).unwrap().migrate().unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn somebody_who_holds_the_file_locked_makes_it_away_within_the_bound() {
    let db = TestDb::sqlite();
    db.store();
    let path = db.url.to_string().trim_start_matches("sqlite://").to_owned();
    let mut waiting = connect(std::path::Path::new(&path), Duration::from_millis(300)).unwrap();
    let mut holder = db.connect();
    let clock = skypunch::clock::Clock::system();
    let begun = clock.now();
    let mut client = Command::new("sqlite3");
    client.arg(&path).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = client.spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(b"BEGIN IMMEDIATE;\n.system echo locked\n").unwrap();
    let mut line = [0u8; 6];
    child.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
    let error = waiting.insert_definition(&definition("x"), NOW).unwrap_err();
    assert!(matches!(error, StoreError::Locked(_)) && error.is_away(), "{error}");
    assert!(clock.now().since(begun) < Duration::from_secs(10));
    drop(child.stdin.take());
    child.wait().unwrap();
    holder.write_batch(&batch(1, 1, 1, 0, 1, 0)).unwrap();
}

#[test]
fn four_make_the_same_file_at_once() {
    for _ in 0..5 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| connect(&path, Duration::from_secs(20)).unwrap().migrate().unwrap());
            }
        });
        let mut check = Command::new("sqlite3");
        check.arg(&path).arg("PRAGMA integrity_check; SELECT COUNT(*) FROM revision");
        assert_eq!(output(check).unwrap(), "ok\n1");
    }
}
