//! People are told by mail, through the whole daemon: over a real Postfix, and over a kill in the worst moment.

use std::time::Duration;

use serde_json::json;

use super::database::Database;
use super::harness::{Daemon, Place, SOON, wait_until};
use super::mariadb::PrivateServer;
use super::origin::{Answer, Origin};
use super::smtp::{Fate, Mail, MailServer};
use super::telling::in_force;
use crate::mail::holds_no_secret;
use crate::postfix::{PASSWORD, Postfix, USER, ca};

on_both!(
    a_failure_and_its_end_are_one_mail_each_over_starttls_and_a_login,
    a_mail_whose_answer_was_held_at_a_kill_comes_again_as_the_same_with_the_database_still_down,
);

/// The rows of what was told, in order.
const TOLD: &str = "SELECT event, state, attempts, message_id FROM notifications ORDER BY id";

fn a_failure_and_its_end_are_one_mail_each_over_starttls_and_a_login(place: &Place) {
    let postfix = Postfix::start();
    let origin = Origin::start();
    let mut daemon = place.start();
    let notifier = json!({
        "name": "on-call", "type": "SMTP", "address": "Night Shift <ops@example.com>",
        "params": {
            "user": USER, "password": PASSWORD, "server": format!("localhost:{}", postfix.starttls),
            "ca": ca(&postfix).display().to_string(),
        },
        "group_wait_ms": 100, "group_window_ms": 0,
    });
    daemon.ask("POST", "/v1/notifiers", Some(&notifier));
    in_force(&daemon, 1);
    place.db.add("shop", &origin.url("/"), 100);
    daemon.wait_target("shop", "status", &json!("PASS"));
    origin.answer("/", Answer::Status(503));
    let fail = Mail::read(&postfix.wait(1)[0]);
    daemon.wait_target("shop", "status", &json!("FAIL"));
    origin.answer("/", Answer::Status(200));
    let mails: Vec<Mail> = postfix.wait(2).iter().map(|m| Mail::read(m)).collect();
    let recovery = mails.iter().find(|m| m.message_id != fail.message_id).unwrap();
    assert_eq!((fail.event.as_str(), recovery.event.as_str()), ("fail", "recovery"));
    assert!(fail.subject.contains("FAILURE") && fail.subject.contains("shop"), "{}", fail.subject);
    assert!(recovery.subject.contains("SUCCESS") && recovery.subject.contains("shop"), "{}", recovery.subject);
    assert!(fail.text.contains("503"), "{}", fail.text);
    assert_eq!((&fail.in_reply_to, &fail.references), (&None, &Vec::new()));
    assert_eq!(recovery.in_reply_to.as_deref(), Some(fail.message_id.as_str()));
    assert_eq!(recovery.references, std::slice::from_ref(&fail.message_id));
    let incident = place.db.sql("SELECT id FROM incidents").remove(0).remove(0);
    for mail in [&fail, recovery] {
        assert_eq!((mail.incident.as_deref(), mail.to.as_str()), (Some(incident.as_str()), "ops@example.com"));
    }
    wait_until("both are copied", SOON, || {
        place.db.number("SELECT COUNT(*) FROM notifications WHERE state = 'sent'") == 2
    });
    let rows = place.db.sql(TOLD);
    let sent = |mail: &Mail| [mail.event.as_str(), "sent", "1", &mail.message_id].map(str::to_owned).to_vec();
    assert_eq!(rows, [sent(&fail), sent(recovery)]);
    let others = place.db.sql("SELECT incident_id, notifier_name, target_name, answer FROM notifications ORDER BY id");
    for row in others {
        assert_eq!(row[..3], [incident.as_str(), "on-call", "shop"]);
        assert!(row[3].starts_with("250 2.0.0 Ok: queued as"), "{row:?}");
    }
    // Nothing more comes, over a restart either.
    daemon.terminate();
    let before = origin.count("/");
    let daemon = place.start();
    wait_until("it was probed", SOON, || origin.count("/") >= before + 5);
    assert_eq!(postfix.mails().len(), 2);
    holds_no_secret(&daemon.log());
}

/// A main database that can be taken away, also from a daemon that is only starting.
enum Away<'a> {
    /// A client keeps everybody else from writing: a file that is merely missing at a start would be made.
    Locked(&'a Database),
    Stopped(PrivateServer),
}

fn database(daemon: &Daemon, state: &str) {
    wait_until(&format!("the database is {state}"), SOON * 2, || daemon.status()["database"]["state"] == json!(state));
}

fn a_mail_whose_answer_was_held_at_a_kill_comes_again_as_the_same_with_the_database_still_down(place: &Place) {
    match &place.db {
        Database::Sqlite(_) => held_over_a_kill(place, Away::Locked(&place.db)),
        Database::Mariadb(..) => {
            let server = PrivateServer::start();
            held_over_a_kill(&Place::with(Database::on_server(server.server)), Away::Stopped(server));
        }
    }
}

fn held_over_a_kill(place: &Place, mut away: Away<'_>) {
    let server = MailServer::start();
    let origin = Origin::start();
    let mut daemon = place.start();
    place.db.sql(&format!(
        "INSERT INTO notifiers (name, type, address, params, group_wait_ms, group_window_ms) \
         VALUES ('ops', 'SMTP', 'ops@example.com', '{}', 0, 0)",
        server.params()
    ));
    in_force(&daemon, 1);
    place.db.add("shop", &origin.url("/"), 100);
    daemon.wait_target("shop", "status", &json!("PASS"));
    let lock = match &mut away {
        Away::Locked(db) => Some(db.lock()),
        Away::Stopped(server) => {
            server.kill();
            None
        }
    };
    database(&daemon, "away");
    server.fate(|| Fate::Hold);
    origin.answer("/", Answer::Status(500));
    let held = server.wait(1).remove(0);
    assert_eq!(held.event, "fail");
    daemon.kill();

    server.fate(|| Fate::Accept(Duration::ZERO));
    let mut daemon = place.start();
    let again = server.wait(2).remove(1);
    database(&daemon, "away");
    assert_eq!((again.message_id.as_str(), again.event.as_str()), (held.message_id.as_str(), "fail"));
    assert_eq!(again.incident, held.incident);
    origin.answer("/", Answer::Status(200));
    let recovery = server.wait(3).remove(2);
    assert_eq!((recovery.event.as_str(), &recovery.incident), ("recovery", &held.incident));
    assert_ne!(recovery.message_id, held.message_id);
    assert_eq!(recovery.in_reply_to.as_deref(), Some(held.message_id.as_str()));
    assert_eq!(recovery.references, std::slice::from_ref(&held.message_id));
    database(&daemon, "away");

    drop(lock);
    if let Away::Stopped(server) = &mut away {
        server.restart();
    }
    database(&daemon, "ok");
    wait_until("both are copied", SOON, || {
        place.db.number("SELECT COUNT(*) FROM notifications WHERE state = 'sent'") == 2
    });
    let row =
        |mail: &Mail, attempts: &str| vec![mail.event.clone(), "sent".into(), attempts.into(), mail.message_id.clone()];
    assert_eq!(place.db.sql(TOLD), [row(&held, "2"), row(&recovery, "1")]);
    let before = origin.count("/");
    wait_until("it was probed", SOON, || origin.count("/") >= before + 5);
    daemon.terminate();
    assert_eq!(server.mails().len(), 3);
}
