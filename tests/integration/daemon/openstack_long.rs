//! What takes its time: tokens of thirty seconds renewed twice, a refused credential left in peace, one that nobody uses.
//!
//! All of it side by side, at one Keystone.

use std::sync::OnceLock;

use super::harness::{Place, number, wait_until};
use super::openstack::{
    LATE, SETTINGS, by_ids, credential, incidents, seldom, target, wait_reason, wait_status, with_password,
};
use super::origin::Origin;
use crate::keystone::{Home, Keystone, Options};

/// Tokens that live half a minute.
fn keystone() -> &'static Keystone {
    static KEYSTONE: OnceLock<Keystone> = OnceLock::new();
    KEYSTONE.get_or_init(|| Keystone::start(Options { token_seconds: 30 }))
}

pub(super) fn tokens_are_renewed_and_who_is_refused_waits(place: &Place) {
    let (keystone, origin) = (keystone(), Origin::start());
    let tenant = || keystone.tenant(Home::Default);
    let (renewed, refused, unused, idle) = (tenant(), tenant(), tenant(), tenant());
    let daemon = place.setup().extra(SETTINGS).start();
    let each = |name: &str| serde_json::json!({"credential": name, "frequency": "2s"});
    credential(&daemon, "renewed", &by_ids(keystone, &renewed));
    for i in 0..10 {
        target(&daemon, &format!("t{i}"), &origin.url("/"), each("renewed"));
    }
    for (name, who) in [("refused", &refused), ("unused", &unused)] {
        credential(&daemon, name, &with_password(keystone, who, "wrong"));
        target(&daemon, name, &origin.url("/"), each(name));
    }
    credential(&daemon, "idle", &by_ids(keystone, &idle));
    target(&daemon, "idle", &origin.url("/"), seldom("idle"));
    for name in ["refused", "unused"] {
        wait_reason(&daemon, name, "UNKNOWN", "identity_rejected");
    }
    for i in 0..10 {
        wait_status(&daemon, &format!("t{i}"), "PASS");
    }
    wait_status(&daemon, "idle", "PASS");
    let unknown: Vec<i64> = (0..10).map(|i| number(&daemon.target(format!("t{i}")), "unknown_count")).collect();

    place.db.sql("DELETE FROM targets WHERE name = 'unused'");
    wait_until("the incident of what nobody uses is withdrawn", LATE, || {
        incidents(place).iter().any(|row| row[0] == "unused" && row[2] == "withdrawn")
    });
    wait_until("two renewals", LATE, || keystone.logins(&renewed.user_id) >= 3);
    let (before, limit) = (origin.total(), 20);
    wait_until("all were probed after the second", LATE, || origin.total() >= before + limit);
    for (i, unknown) in unknown.into_iter().enumerate() {
        let now = daemon.target(format!("t{i}"));
        let counts = (number(&now, "fail_count"), number(&now, "unknown_count"));
        assert_eq!(counts, (0, unknown), "{now:#}");
    }
    let logins = |who: &crate::keystone::Tenant| (keystone.logins(&who.user_id), keystone.granted(&who.user_id));
    let (came, granted) = logins(&renewed);
    assert!(came == granted && (3..=4).contains(&came), "one for each renewal: {came}, {granted}");
    let (came, granted) = logins(&refused);
    assert!(granted == 0 && (2..=3).contains(&came), "at once, after 30 s, after a minute more: {came}");
    let (came, granted) = logins(&unused);
    assert!(granted == 0 && came <= 2, "no more once nobody uses it: {came}");
    assert_eq!(logins(&idle), (1, 1), "what nobody asks for is not renewed");
    let sent = origin.head("/");
    let newest = keystone.issued(&renewed.user_id).pop().unwrap();
    assert!(sent.contains(&format!("x-auth-token: {newest}\r\n")), "{sent}");
    let left: Vec<Vec<String>> = incidents(place).into_iter().filter(|row| row[2] == "NULL").collect();
    assert_eq!(left, [["refused", "identity_rejected", "NULL"]]);
}
