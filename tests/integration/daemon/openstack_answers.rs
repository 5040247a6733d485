//! What services answer, and what that costs in logins.

use serde_json::json;

use super::harness::{Daemon, Place, number};
use super::openstack::{
    SETTINGS, assert_hidden, by_ids, credential, often, seldom, target, test, wait_probes, wait_reason, wait_status,
    written_in_sql,
};
use super::origin::{Answer, Origin};
use crate::keystone::{Glance, Home, Keystone};

on_both!(answers_of_services_cost_few_logins);

fn answers_of_services_cost_few_logins(place: &Place) {
    let (keystone, glance, origin) = (Keystone::shared(), Glance::shared(), Origin::start());
    let tenant = keystone.tenant(Home::Default);
    let daemon = place.setup().extra(SETTINGS).start();
    let logins = || keystone.logins(&tenant.user_id);
    // All at once, and before anybody has logged in.
    let rows: Vec<String> = (0..40)
        .map(|i| format!("('t{i}', '{}', 1000, 'OPENSTACK', 'lab')", origin.url(&format!("/{i}"))))
        .chain([format!("('glance', '{}', 20000, 'OPENSTACK', 'lab')", glance.images_url())])
        .collect();
    let params = written_in_sql(place, &by_ids(keystone, &tenant));
    place.db.sql(&format!("INSERT INTO credentials (name, type, params) VALUES ('lab', 'OPENSTACK', {params})"));
    place
        .db
        .sql(&format!("INSERT INTO targets (name, url, frequency_ms, authn, credential) VALUES {}", rows.join(",")));
    for i in 0..40 {
        wait_status(&daemon, &format!("t{i}"), "PASS");
    }
    wait_status(&daemon, "glance", "PASS");
    assert_eq!(logins(), 1, "forty-one targets, one login");
    let sent = keystone.issued(&tenant.user_id).remove(0);
    let header = format!("x-auth-token: {sent}\r\n");
    assert!((0..40).all(|i| origin.head(&format!("/{i}")).contains(&header)), "{}", origin.head("/0"));
    a_revoked_token_costs_one_login(&daemon, keystone, &tenant.user_id, &sent);

    // What is expected, and what is forbidden, says nothing against the token.
    origin.answer("/closed", Answer::Status(401));
    let fast = || json!({"credential": "lab", "frequency": "250ms"});
    let mut expecting = fast();
    expecting["pass_result"] = json!("401");
    target(&daemon, "closed", &origin.url("/closed"), expecting);
    origin.answer("/forbidden", Answer::Status(403));
    target(&daemon, "forbidden", &origin.url("/forbidden"), fast());
    wait_status(&daemon, "closed", "PASS");
    assert!(wait_reason(&daemon, "forbidden", "FAIL", "status").contains("403"));
    wait_probes(&daemon, "forbidden", 5);
    assert_eq!(logins(), 2);

    // One that says no for once is asked once more; one that always says no costs one login and is asked on.
    origin.script("/once", &[401]);
    target(&daemon, "once", &origin.url("/once"), seldom("lab"));
    wait_status(&daemon, "once", "PASS");
    assert_eq!((origin.count("/once"), number(&daemon.target("once"), "fail_count"), logins()), (2, 0, 3));
    origin.answer("/never", Answer::Status(401));
    target(&daemon, "never", &origin.url("/never"), fast());
    assert!(wait_reason(&daemon, "never", "FAIL", "status").contains("401"));
    wait_probes(&daemon, "never", 8);
    assert_eq!(logins(), 4, "not one for each probe");
    for name in ["t0", "t39", "glance"] {
        let now = daemon.target(name);
        assert_eq!((number(&now, "fail_count"), number(&now, "unknown_count")), (0, 0), "{now:#}");
    }
    assert_hidden(place, &daemon, &keystone.issued(&tenant.user_id), &["wörd"], "");
}

fn a_revoked_token_costs_one_login(daemon: &Daemon, keystone: &Keystone, who: &str, token: &str) {
    keystone.revoke(token);
    let (outcome, text) = test(daemon, "glance");
    assert_eq!(outcome["verdict"], json!("PASS"), "{text}");
    assert_eq!(keystone.logins(who), 2);
    assert!(text.contains("token_refused") && text.matches("\"step\":\"head\"").count() == 2, "both attempts: {text}");
    assert!(text.contains("request_id") && text.contains("req-"), "what operators ask for: {text}");
    let auth = outcome["phases"]["auth_us"].as_u64().unwrap();
    assert!(auth > 0 && auth < 60_000_000, "{outcome:#}");
    assert_ne!(keystone.issued(who).last().map(String::as_str), Some(token));
}

pub(super) fn credentials_that_may_not_be_used_are_the_targets_own_trouble(place: &Place) {
    let (keystone, origin) = (Keystone::shared(), Origin::start());
    let tenant = keystone.tenant(Home::Default);
    let daemon = place.setup().extra(SETTINGS).start();
    credential(&daemon, "lab", &by_ids(keystone, &tenant));
    target(&daemon, "shop", &origin.url("/"), often("lab"));
    wait_status(&daemon, "shop", "PASS");
    place.db.sql("UPDATE credentials SET enabled = FALSE");
    let told = wait_reason(&daemon, "shop", "FAIL", "auth_config");
    assert!(told.contains("`lab`") && told.contains("is disabled"), "{told}");
    place.db.sql("UPDATE credentials SET enabled = TRUE");
    wait_status(&daemon, "shop", "PASS");
    place.db.sql("DELETE FROM credentials");
    let told = wait_reason(&daemon, "shop", "FAIL", "auth_config");
    assert!(told.contains("there is no credential `lab`"), "{told}");
    let requests = origin.total();
    wait_probes(&daemon, "shop", 2);
    assert_eq!(origin.total(), requests, "nothing is sent without a token");
    credential(&daemon, "lab", &by_ids(keystone, &tenant));
    wait_status(&daemon, "shop", "PASS");
    assert!(keystone.logins(&tenant.user_id) <= 3, "one for each of the three that it was");
    // clouds.yaml that is not there, or lacks the cloud, is named.
    target(&daemon, "nowhere", &origin.url("/"), often("cloud:lab"));
    let told = wait_reason(&daemon, "nowhere", "UNKNOWN", "identity_rejected");
    assert!(told.contains("there is no clouds.yaml"), "{told}");
}
