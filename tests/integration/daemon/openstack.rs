//! What the tests of OpenStack share: credentials of real tenants, targets that use them, what must never show.
//!
//! ```text
//!  Keystone <--logins, counted-- daemon --tokens--> Glance, which checks each at Keystone | Origin, which says as told
//! ```
//!
//! | file | what is tested |
//! |---|---|
//! | `openstack_forms.rs` | every way to log in |
//! | `openstack_answers.rs` | 401 and 403 of services, revoked tokens, credentials that may not be used |
//! | `openstack_catalog.rs` | targets that name a service |
//! | `openstack_long.rs` | renewals, waiting after a refusal, what nobody uses |
//! | `openstack_outage.rs` | Keystone slow, stopped, started again |
//! | `openstack_rejected.rs` | a wrong password, from the incident to its end |

use std::time::Duration;

use serde_json::{Value, json};

use super::database::Database;
use super::harness::{Daemon, Place, number, wait_until};
use super::{openstack_answers, openstack_catalog, openstack_long, openstack_outage, openstack_rejected};
use crate::keystone::{Keystone, Tenant};

on_both!(what_takes_its_time);

/// Side by side, since most of it is waiting: for tokens to end, for who was refused to try again, for Keystone.
fn what_takes_its_time(place: &Place) {
    type Case = fn(&Place);
    let cases: [(&str, Case); 5] = [
        ("renewals", openstack_long::tokens_are_renewed_and_who_is_refused_waits),
        ("outage", openstack_outage::a_slow_and_a_stopped_keystone_are_told_as_what_they_are),
        ("rejected", openstack_rejected::a_wrong_password_is_told_once_and_mended),
        ("catalog", openstack_catalog::a_service_that_moves_is_found_again),
        ("disabled", openstack_answers::credentials_that_may_not_be_used_are_the_targets_own_trouble),
    ];
    std::thread::scope(|threads| {
        for (name, case) in cases {
            // The name of who panics is in what is printed.
            let thread = std::thread::Builder::new().name(name.into());
            thread.spawn_scoped(threads, move || case(&Place::on(place.kind()))).unwrap();
        }
    });
}

/// Long enough for several logins at a real Keystone, on a busy machine too.
pub const LATE: Duration = Duration::from_secs(90);

/// The daemon's settings for these tests: a login may take its time.
pub const SETTINGS: &str = "[openstack]\nlogin_timeout = \"60s\"\n[log]\nlevel = \"debug\"\n";

/// What logs a tenant in for its project, by ids.
pub fn by_ids(keystone: &Keystone, tenant: &Tenant) -> Value {
    json!({"auth_url": keystone.auth_url(), "user_id": tenant.user_id, "password": tenant.password,
        "project_id": tenant.project_id})
}

/// The same with another password.
pub fn with_password(keystone: &Keystone, tenant: &Tenant, password: &str) -> Value {
    let mut params = by_ids(keystone, tenant);
    params["password"] = json!(password);
    params
}

/// As the column `params` holds it.
pub fn written(params: &Value) -> String {
    let value = |v: &Value| v.as_str().unwrap().replace('\\', "\\\\").replace('"', "\\\"");
    let one = |(name, v): (&String, &Value)| format!("{name}=\"{}\"", value(v));
    params.as_object().unwrap().iter().map(one).collect::<Vec<_>>().join(",")
}

/// The same as a text in SQL.
pub fn written_in_sql(place: &Place, params: &Value) -> String {
    let text = written(params).replace('\'', "''");
    match place.db {
        Database::Sqlite(_) => format!("'{text}'"),
        Database::Mariadb(..) => format!("'{}'", text.replace('\\', "\\\\")),
    }
}

/// Adds a credential.
pub fn credential(daemon: &Daemon, name: &str, params: &Value) -> i64 {
    number(&daemon.ask("POST", "/v1/credentials", Some(&json!({"name": name, "params": params}))), "id")
}

/// Adds a target; `more` are further keys.
pub fn target(daemon: &Daemon, name: &str, url: &str, more: Value) -> i64 {
    let mut keys = more;
    keys["name"] = json!(name);
    keys["url"] = json!(url);
    number(&daemon.ask("POST", "/v1/targets", Some(&keys)), "id")
}

/// What a target that uses this credential is added with, when it is probed so seldom that only its first probe counts.
pub fn seldom(credential: &str) -> Value {
    json!({"credential": credential, "frequency": "1h", "timeout": "2min"})
}

/// The same for one that is probed each second.
pub fn often(credential: &str) -> Value {
    json!({"credential": credential, "frequency": "1s"})
}

/// Waits until a target's status is this.
pub fn wait_status(daemon: &Daemon, name: &str, status: &str) -> Value {
    let mut last = Value::Null;
    wait_until(&format!("{name} is {status}"), LATE, || {
        // One that was added in SQL is not there at once.
        let now = daemon.request("GET", &format!("/v1/targets/{name}"), None).json();
        let told = |v: &Value| [v["status"].clone(), v["reason"].clone(), v["status_description"].clone()];
        if told(&now) != told(&last) {
            println!("{name}: {:?}", told(&now));
        }
        last = now;
        last["status"] == json!(status)
    });
    last
}

/// Waits until a target's status and reason are these; what people are told.
pub fn wait_reason(daemon: &Daemon, name: &str, status: &str, reason: &str) -> String {
    let mut last = Value::Null;
    wait_until(&format!("{name} is {status} by {reason}"), LATE, || {
        last = daemon.target(name);
        last["status"] == json!(status) && last["reason"] == json!(reason)
    });
    last["status_description"].as_str().unwrap().to_owned()
}

/// Waits until a target was probed so many times more.
pub fn wait_probes(daemon: &Daemon, name: &str, more: i64) {
    let count = || {
        let now = daemon.target(name);
        ["pass_count", "fail_count", "unknown_count"].iter().map(|field| number(&now, field)).sum::<i64>()
    };
    let before = count();
    wait_until(&format!("{more} probes of {name}"), LATE, || count() >= before + more);
}

/// A probe at once: its outcome, and its steps as text.
pub fn test(daemon: &Daemon, name: &str) -> (Value, String) {
    let lines: Vec<Value> = daemon.lines("POST", &format!("/v1/targets/{name}/test")).collect();
    let outcome = lines.last().unwrap()["outcome"].clone();
    assert!(outcome.is_object(), "{lines:?}");
    (outcome, lines.iter().map(Value::to_string).collect::<Vec<_>>().join("\n"))
}

/// The incidents of credentials: name, reason, `ended_by`, the oldest first.
pub fn incidents(place: &Place) -> Vec<Vec<String>> {
    let sql = "SELECT subject_name, reason, ended_by FROM incidents WHERE subject_kind = 'credential' ORDER BY id";
    place.db.sql(sql)
}

/// Waits until so many messages are written down as sent: a kill before that moment may cost a copy.
pub fn wait_recorded(place: &Place, n: usize) {
    let sent = || place.db.sql("SELECT id FROM notifications WHERE state = 'sent'").len();
    wait_until("what was told is written down", LATE, || sent() == n);
}

/// The incidents of targets.
pub fn incidents_of_targets(place: &Place) -> i64 {
    place.db.number("SELECT COUNT(*) FROM incidents WHERE subject_kind = 'target'")
}

/// No file of the daemon, no table, no answer of its API and none of `more` holds one of these tokens; nor, but for the
/// definitions, one of these parts of passwords.
pub fn assert_hidden(place: &Place, daemon: &Daemon, tokens: &[String], passwords: &[&str], more: &str) {
    assert!(!tokens.is_empty(), "there are some");
    let tables = match place.db {
        Database::Sqlite(_) => "SELECT name FROM sqlite_master WHERE type = 'table'",
        Database::Mariadb(..) => "SHOW FULL TABLES WHERE Table_type = 'BASE TABLE'",
    };
    let tables: Vec<String> = place.db.sql(tables).into_iter().map(|row| row[0].clone()).collect();
    assert!(tables.len() > 8, "{tables:?}");
    let (mut history, mut definitions) = (format!("{more}\n{}", daemon.log()), String::new());
    for table in tables {
        let rows = place.db.sql(&format!("SELECT * FROM {table}"));
        let is_definition = matches!(table.as_str(), "targets" | "credentials");
        let text = if is_definition { &mut definitions } else { &mut history };
        rows.into_iter().for_each(|row| *text += &(row.join("\t") + "\n"));
    }
    let mut ask = |path: &str| history += &daemon.get(path).to_string();
    for path in ["/v1/status", "/v1/targets", "/v1/credentials", "/v1/notifiers", "/v1/export", "/v1/incidents"] {
        ask(path);
    }
    for kind in ["targets", "credentials"] {
        for one in daemon.get(&format!("/v1/{kind}")).as_array().unwrap() {
            // What has no row goes by its name.
            let by = one["id"].as_i64().map_or_else(|| one["name"].as_str().unwrap().to_owned(), |id| id.to_string());
            ask(&format!("/v1/{kind}/{}", skypunch::model::reference::encode_segment(&by)));
        }
    }
    for incident in daemon.get("/v1/incidents").as_array().unwrap() {
        ask(&format!("/v1/incidents/{}", incident["id"].as_str().unwrap()));
    }
    for password in passwords {
        assert!(definitions.contains(password), "it is a part of one: {password}");
        assert!(!history.contains(password), "{password} shows in {history}");
    }
    let files: Vec<Vec<u8>> = std::fs::read_dir(place.path("state"))
        .unwrap()
        .chain(std::fs::read_dir(place.dir.path()).unwrap())
        .filter_map(|entry| std::fs::read(entry.unwrap().path()).ok())
        .collect();
    assert!(files.len() > 3, "state.db, the log, the settings");
    for token in tokens {
        // The middle of it: its beginning is the same for all, its end may be padding.
        let part = &token[20..60];
        assert!(!history.contains(part) && !definitions.contains(part), "{part} shows in {history}");
        let holds = |file: &Vec<u8>| file.windows(part.len()).any(|w| w == part.as_bytes());
        assert!(!files.iter().any(holds), "{part} is in a file");
    }
}
