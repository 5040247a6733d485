//! A credential that Keystone refuses: its own incident, one message, few logins, until it is mended.

use serde_json::{Value, json};

use super::harness::{Daemon, Place, SOON, number, wait_until};
use super::openstack::{
    LATE, SETTINGS, assert_hidden, credential, incidents, incidents_of_targets, often, target, wait_probes,
    wait_reason, wait_recorded, wait_status, with_password, written_in_sql,
};
use super::origin::Origin;
use super::telling::{Receiver, add, in_force};
use crate::keystone::{Home, Keystone};

const TARGETS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// That many messages about the credential have come, and no other; what they said.
fn told(receiver: &Receiver, events: &[&str], name: &str) -> String {
    let got = receiver.wait(events.len());
    assert_eq!(got.iter().map(|g| g.event()).collect::<Vec<_>>(), events, "{got:#?}");
    let said: Vec<String> = got.iter().map(|g| g.body.to_string()).collect();
    assert!(said.iter().all(|s| s.contains(name)), "{said:?}");
    said.concat()
}

/// No target has failed, nor has an incident of its own.
fn assert_no_fail(place: &Place, daemon: &Daemon) {
    for one in daemon.get("/v1/targets").as_array().unwrap() {
        assert_eq!(number(one, "fail_count"), 0, "{one:#}");
    }
    assert_eq!(incidents_of_targets(place), 0);
}

pub(super) fn a_wrong_password_is_told_once_and_mended(place: &Place) {
    let (keystone, origin, receiver) = (Keystone::shared(), Origin::start(), Receiver::start());
    let (tenant, other) = (keystone.tenant(Home::Default), keystone.tenant(Home::Default));
    let mut daemon = place.setup().extra(SETTINGS).start();
    add(place, "ops", receiver.port, &[]);
    in_force(&daemon, 1);
    let wrong = "hunter2, \"so\"";
    credential(&daemon, "lab", &with_password(keystone, &tenant, wrong));
    for name in TARGETS {
        target(&daemon, name, &origin.url("/"), often("lab"));
    }
    for name in TARGETS {
        let why = wait_reason(&daemon, name, "UNKNOWN", "identity_rejected");
        assert!(why.starts_with("credential lab: ") && why.contains("401"), "{why}");
    }
    told(&receiver, &["fail"], "lab");
    wait_probes(&daemon, "e", 5);
    assert_eq!(keystone.logins(&tenant.user_id), 1, "who is refused waits");
    assert_eq!(incidents(place), [["lab", "identity_rejected", "NULL"]]);
    assert_no_fail(place, &daemon);
    assert_eq!(origin.total(), 0, "nothing is sent without a token");

    // One of its own is named after its target; whoever is killed and comes again knows what it has told.
    let params = format!(
        "user={},password=\"hunter2, too\",osauthendpoint={},tenantid={}",
        other.user,
        keystone.auth_url(),
        other.project_id
    );
    let own = json!({"authn": "OPENSTACK", "authn_parms": params, "frequency": "1s"});
    target(&daemon, "own-one", &origin.url("/"), own);
    let why = wait_reason(&daemon, "own-one", "UNKNOWN", "identity_rejected");
    assert!(why.contains("401"), "{why}");
    told(&receiver, &["fail", "fail"], "");
    assert!(receiver.got()[1].body.to_string().contains("own-one"), "{:#?}", receiver.got());
    wait_until("both are copied", SOON, || incidents(place).len() == 2);
    wait_recorded(place, 2);
    let before = ids(&daemon);
    daemon.kill();
    let daemon = place.setup().extra(SETTINGS).start();
    wait_until("it has tried again", LATE, || {
        keystone.logins(&tenant.user_id) == 2 && keystone.logins(&other.user) == 2
    });
    for name in TARGETS {
        wait_probes(&daemon, name, 2);
        wait_reason(&daemon, name, "UNKNOWN", "identity_rejected");
    }
    assert_eq!(ids(&daemon), before, "the same incidents");
    assert_eq!(receiver.got().len(), 2, "told once: {:#?}", receiver.got());

    // Mended in plain SQL.
    let right = written_in_sql(place, &with_password(keystone, &tenant, &tenant.password));
    place.db.sql(&format!("UPDATE credentials SET params = {right}"));
    for name in TARGETS {
        wait_status(&daemon, name, "PASS");
    }
    let said = told(&receiver, &["fail", "fail", "recovery"], "");
    assert!(receiver.got()[2].body.to_string().contains("lab"), "{:#?}", receiver.got());
    assert_eq!((keystone.logins(&tenant.user_id), keystone.granted(&tenant.user_id)), (3, 1));
    wait_until("its end is written", LATE, || incidents(place)[0][2] == "recovered");
    assert_eq!(incidents(place)[1], ["own-one", "identity_rejected", "NULL"]);
    assert_no_fail(place, &daemon);
    place.db.sql("UPDATE targets SET authn_parms = NULL, authn = 'NONE' WHERE name = 'own-one'");
    wait_status(&daemon, "own-one", "PASS");
    assert_hidden(place, &daemon, &keystone.issued(&tenant.user_id), &["wörd"], &said);
    assert!(!said.contains("hunter2") && !daemon.log().contains("hunter2"), "{}", daemon.log());
}

/// The open incidents.
fn ids(daemon: &Daemon) -> Vec<Value> {
    let open = daemon.get("/v1/incidents?open=true");
    let mut ids: Vec<Value> = open.as_array().unwrap().iter().map(|i| i["id"].clone()).collect();
    ids.sort_by_key(Value::to_string);
    assert_eq!(ids.len(), 2, "{open:#}");
    ids
}

#[test]
fn identity_rejected_is_the_credentials_incident() {
    let (keystone, origin) = (Keystone::shared(), Origin::start());
    let (place, tenant) = (Place::new(), keystone.tenant(Home::Default));
    let daemon = place.setup().extra(SETTINGS).start();
    credential(&daemon, "lab", &with_password(keystone, &tenant, "wrong"));
    target(&daemon, "shop", &origin.url("/"), often("lab"));
    wait_reason(&daemon, "shop", "UNKNOWN", "identity_rejected");
    let found = "SELECT COUNT(*) FROM incidents WHERE reason = 'identity_rejected' AND subject_kind = 'credential'";
    wait_until("it is written", SOON, || place.db.number(found) == 1);
}
