//! Targets that name a service: found in the catalog, and found again where it has moved.

use std::sync::OnceLock;
use std::time::Duration;

use serde_json::json;

use super::database::Kind;
use super::harness::{Place, number, wait_until};
use super::openstack::{LATE, SETTINGS, by_ids, credential, often, target, test, wait_reason, wait_status};
use super::origin::Origin;
use crate::keystone::{Endpoint, Home, Keystone, Options};

/// Less than it takes until the pauses of one that is never found are as long.
const FOUND: Duration = Duration::from_secs(30);

/// Its catalog is changed by the tests of this file, each for service types of its own.
fn keystone() -> &'static Keystone {
    static KEYSTONE: OnceLock<Keystone> = OnceLock::new();
    KEYSTONE.get_or_init(|| Keystone::start(Options::default()))
}

pub(super) fn a_service_that_moves_is_found_again(place: &Place) {
    let (service_type, alias, nowhere) = match place.kind() {
        Kind::Sqlite => ("volumev3", "block-storage", "sqlite-nowhere"),
        Kind::Mariadb => ("sharev2", "shared-file-system", "mariadb-nowhere"),
    };
    let keystone = keystone();
    let tenant = keystone.tenant(Home::Default);
    let (mut before, after) = (Origin::start(), Origin::start());
    let at = |origin: &Origin, path: &str| {
        let url = origin.url(path);
        let endpoint =
            Endpoint { service_type, service_name: service_type, interface: "public", region: "RegionOne", url: &url };
        keystone.add_endpoint(endpoint)
    };
    let old = at(&before, "/v3");
    let daemon = place.setup().extra(SETTINGS).start();
    credential(&daemon, "lab", &by_ids(keystone, &tenant));
    let url = format!("openstack://{alias}/internal,public?region=RegionOne&path=/v3/types");
    // It stands beside one that is never found, which must not keep others from being found again.
    target(&daemon, "lost", &format!("openstack://{nowhere}/public"), often("lab"));
    let told = wait_reason(&daemon, "lost", "FAIL", "identity_catalog");
    assert!(told.contains(nowhere) && told.contains("it has ") && told.contains("identity, image"), "{told}");
    assert!(told.contains(service_type), "{told}");
    target(&daemon, "moves", &url, often("lab"));
    // Asks for no catalog, and loses nothing by those that do.
    target(&daemon, "plain", &after.url("/plain"), often("lab"));
    for name in ["moves", "plain"] {
        wait_status(&daemon, name, "PASS");
    }
    assert!(before.count("/v3/types") >= 1, "the version stands there once: {}", before.head("/v3/types"));
    let logins = keystone.logins(&tenant.user_id);
    assert!(logins <= 3, "with the catalog, and when it was doubted: {logins}");

    keystone.remove_endpoint(&old);
    at(&after, "/other/v3/");
    before.stop();
    wait_reason(&daemon, "moves", "FAIL", "connect_refused");
    wait_until("it is found where it is", FOUND, || after.count("/other/v3/types") >= 1);
    wait_status(&daemon, "moves", "PASS");
    let (outcome, text) = test(&daemon, "moves");
    assert_eq!(outcome["verdict"], json!("PASS"), "{text}");
    assert!(text.contains(&after.url("/other/v3/types")) && text.contains(&url), "{text}");
    let logins = keystone.logins(&tenant.user_id) - logins;
    assert!((1..=4).contains(&logins), "one for all doubts of a time: {logins}");
    assert_eq!(number(&daemon.target("plain"), "fail_count"), 0);

    // Where there is no scope there is no catalog.
    let mut unscoped = by_ids(keystone, &tenant);
    unscoped.as_object_mut().unwrap().remove("project_id");
    credential(&daemon, "unscoped", &unscoped);
    target(&daemon, "scopeless", &url, often("unscoped"));
    let told = wait_reason(&daemon, "scopeless", "FAIL", "identity_catalog");
    assert!(told.contains("empty") && told.contains("scope"), "{told}");
    wait_until("lost is probed on", LATE, || number(&daemon.target("lost"), "fail_count") >= 5);
}

#[test]
fn identity_catalog_is_the_targets_failure() {
    let (place, keystone) = (Place::new(), Keystone::shared());
    let tenant = keystone.tenant(Home::Default);
    let daemon = place.setup().extra(SETTINGS).start();
    credential(&daemon, "lab", &by_ids(keystone, &tenant));
    target(&daemon, "lost", "openstack://compute/public", often("lab"));
    let told = wait_reason(&daemon, "lost", "FAIL", "identity_catalog");
    assert!(told.contains("`compute`") && told.contains("identity, image"), "{told}");
    let found = "SELECT COUNT(*) FROM incidents WHERE reason = 'identity_catalog' AND subject_kind = 'target'";
    wait_until("it is written", LATE, || place.db.number(found) == 1);
}
