//! Keystone slow, stopped, and started again.

use std::time::Duration;

use serde_json::json;

use super::harness::{Daemon, Place, SOON, number, wait_until};
use super::openstack::{
    LATE, assert_hidden, by_ids, credential, incidents, incidents_of_targets, often, target, test, wait_reason,
    wait_recorded, wait_status,
};
use super::origin::Origin;
use super::telling::{Receiver, add, in_force};
use crate::keystone::{Home, Keystone, Options, Tenant};

const SETTINGS: &str = "[openstack]\nlogin_timeout = \"6s\"\n";
/// Tokens are renewed each six seconds, and end two later.
const LIFETIME: u32 = 9;
const TARGETS: [&str; 3] = ["a", "b", "c"];

pub(super) fn a_slow_and_a_stopped_keystone_are_told_as_what_they_are(place: &Place) {
    let keystone = Keystone::start(Options { token_seconds: LIFETIME });
    let (origin, receiver) = (Origin::start(), Receiver::start());
    let (tenant, late) = (keystone.tenant(Home::Default), keystone.tenant(Home::Default));
    let daemon = place.setup().extra(SETTINGS).start();
    a_login_within_its_time_is_no_latency(&daemon, &keystone, &origin, &tenant);
    add(place, "ops", receiver.port, &[]);
    in_force(&daemon, 1);
    a_login_beyond_its_time_is_nobodys_failure(&daemon, &keystone, &origin, &late);
    wait_until("its end is told", SOON, || receiver.got().len() == 2);
    let told = || receiver.got().iter().map(|g| g.body.to_string()).collect::<Vec<_>>();
    assert!(told().iter().all(|m| m.contains("late")), "{:?}", told());
    assert_eq!(incidents(place), [["late", "identity_unreachable", "recovered"]]);
    place.db.sql("UPDATE targets SET enabled = FALSE WHERE name IN ('late', 'first')");

    for name in TARGETS {
        target(&daemon, name, &origin.url("/"), often("lab"));
    }
    for name in TARGETS {
        wait_status(&daemon, name, "PASS");
    }
    // As the daemon sees it: Keystone notes a login before its answer has gone out.
    let logged_in = || daemon.log_lines(&["logged in", "credential: lab"]).len();
    let before = logged_in();
    wait_until("its token is fresh", LATE, || logged_in() > before);
    let passed = number(&daemon.target("a"), "pass_count");
    keystone.stop();
    for name in TARGETS {
        let why = wait_reason(&daemon, name, "UNKNOWN", "identity_unreachable");
        assert!(why.starts_with("credential lab: ") && why.contains("refused"), "{why}");
    }
    assert!(number(&daemon.target("a"), "pass_count") >= passed + 2, "the token at hand went on while it lived");
    wait_until("it is told", SOON, || receiver.got().len() == 3);
    assert!(told()[2].contains("lab") && receiver.got()[2].event() == "fail", "{:?}", told());

    let mut daemon = daemon;
    let open = daemon.get("/v1/incidents?open=true");
    wait_recorded(place, 3);
    daemon.kill();
    let daemon = place.setup().extra(SETTINGS).start();
    for name in TARGETS {
        wait_reason(&daemon, name, "UNKNOWN", "identity_unreachable");
    }
    let failed = || number(&daemon.get("/v1/credentials/lab"), "logins_failed");
    let before = failed();
    wait_until("it has tried again", LATE, || failed() > before);
    let still = daemon.get("/v1/incidents?open=true");
    assert_eq!((still.as_array().map(Vec::len), &still[0]["id"]), (Some(1), &open[0]["id"]), "{still:#}");
    assert_eq!(receiver.got().len(), 3, "told once: {:?}", told());

    keystone.start_again();
    for name in TARGETS {
        wait_status(&daemon, name, "PASS");
    }
    wait_until("its end is told", SOON, || receiver.got().len() == 4);
    assert!(told()[3].contains("lab") && receiver.got()[3].event() == "recovery", "{:?}", told());
    wait_until("its end is written", SOON, || incidents(place)[1..] == [["lab", "identity_unreachable", "recovered"]]);
    for one in daemon.get("/v1/targets").as_array().unwrap() {
        assert_eq!(number(one, "fail_count"), 0, "{one:#}");
    }
    assert_eq!((receiver.got().len(), incidents_of_targets(place)), (4, 0), "{:?}", told());
    let mut tokens = keystone.issued(&tenant.user_id);
    tokens.extend(keystone.issued(&late.user_id));
    assert_hidden(place, &daemon, &tokens, &["wörd"], &told().concat());
}

fn a_login_within_its_time_is_no_latency(daemon: &Daemon, keystone: &Keystone, origin: &Origin, tenant: &Tenant) {
    keystone.slow(Duration::from_secs(1));
    credential(daemon, "lab", &by_ids(keystone, tenant));
    let mut keys = often("lab");
    keys["frequency"] = json!("1h");
    keys["timeout"] = json!("30s");
    keys["enabled"] = json!(false);
    target(daemon, "first", &origin.url("/"), keys);
    let (outcome, text) = test(daemon, "first");
    assert_eq!(outcome["verdict"], json!("PASS"), "{text}");
    assert!(number(&outcome["phases"], "auth_us") >= 1_000_000, "{outcome:#}");
    assert!(number(&outcome, "latency_us") < 1_000_000, "not the target's: {outcome:#}");
    assert!(text.contains("token_asked"), "{text}");
    keystone.slow(Duration::ZERO);
}

fn a_login_beyond_its_time_is_nobodys_failure(daemon: &Daemon, keystone: &Keystone, origin: &Origin, tenant: &Tenant) {
    keystone.slow(Duration::from_secs(3600));
    credential(daemon, "late", &by_ids(keystone, tenant));
    target(daemon, "late", &origin.url("/"), often("late"));
    let why = wait_reason(daemon, "late", "UNKNOWN", "identity_unreachable");
    assert!(why.contains("no token of credential late within") || why.contains("credential late: "), "{why}");
    wait_until("the login is given up", LATE, || {
        !daemon.log_lines(&["the login of a credential failed", "credential: late"]).is_empty()
    });
    wait_until("people see why", LATE, || {
        let now = daemon.target("late");
        now["status_description"].as_str().is_some_and(|d| d.starts_with("credential late: "))
    });
    keystone.slow(Duration::ZERO);
    let now = wait_status(daemon, "late", "PASS");
    assert_eq!(number(&now, "fail_count"), 0, "{now:#}");
}

#[test]
fn identity_unreachable_is_the_credentials_incident() {
    let (place, origin) = (Place::new(), Origin::start());
    let daemon = place.start();
    let url = format!("http://127.0.0.1:{}/v3", super::harness::free_port());
    credential(&daemon, "lab", &json!({"auth_url": url, "user_id": "u", "password": "p"}));
    target(&daemon, "shop", &origin.url("/"), often("lab"));
    wait_reason(&daemon, "shop", "UNKNOWN", "identity_unreachable");
    let found = "SELECT COUNT(*) FROM incidents WHERE reason = 'identity_unreachable' AND subject_kind = 'credential'";
    wait_until("it is written", SOON, || place.db.number(found) == 1);
}
