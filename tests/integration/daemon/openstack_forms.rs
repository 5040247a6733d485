//! Every way to log in brings a token that is good for what it says.

use std::time::Duration;

use serde_json::{Value, json};

use super::harness::{Daemon, Place, file};
use super::openstack::{SETTINGS, assert_hidden, by_ids, credential, seldom, target, test, wait_reason, wait_status};
use crate::keystone::{Glance, Home, Keystone, Tenant};
use crate::keystone_v2::{self, KeystoneV2};

on_both!(every_form_of_login_brings_a_token);

/// The forms of credentials that are rows.
fn rows(keystone: &Keystone, own: &Tenant, of_default: &Tenant) -> Vec<(&'static str, Value)> {
    let application = keystone.application_credential(own, "watch");
    let with = |more: Value| {
        let mut params = json!({"auth_url": keystone.auth_url(), "password": own.password});
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        params
    };
    let secret = |more: Value| {
        let mut params = with(json!({"application_credential_secret": application.secret}));
        params.as_object_mut().unwrap().remove("password");
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        params
    };
    vec![
        ("project-id", by_ids(keystone, own)),
        (
            "project-name",
            with(json!({"auth_url": keystone.url(), "username": own.user, "user_domain_name": own.domain,
                "project_name": own.project, "project_domain_id": own.domain_id})),
        ),
        (
            "default-domain",
            json!({"auth_url": keystone.auth_url(), "username": of_default.user, "password": of_default.password,
                "default_domain_id": "default", "project_name": of_default.project}),
        ),
        ("domain", with(json!({"user_id": own.user_id, "domain_name": own.domain}))),
        ("system", with(json!({"user_id": own.user_id, "system_scope": "all"}))),
        ("unscoped", with(json!({"user_id": own.user_id, "scope": "unscoped"}))),
        ("application-id", secret(json!({"application_credential_id": application.id}))),
        (
            "application-name",
            secret(json!({"application_credential_name": application.name, "username": own.user,
                "user_domain_id": own.domain_id})),
        ),
    ]
}

/// Those that stand beside the daemon: clouds.yaml with its passwords in secure.yaml, and the environment.
fn beside(place: &Place, keystone: &Keystone, tenant: &Tenant) -> Vec<(String, String)> {
    std::fs::create_dir_all(place.path(".config/openstack")).unwrap();
    let (url, user, domain) = (keystone.auth_url(), &tenant.user, &tenant.domain);
    let clouds = format!(
        "clouds:\n  lab:\n    auth:\n      auth_url: {url}\n      username: {user}\n      user_domain_name: {domain}\n      \
         project_id: {}\n    region_name: RegionTwo\n    interface: internal\n",
        tenant.project_id
    );
    file(place, ".config/openstack/clouds.yaml", clouds);
    let secure = json!({"clouds": {"lab": {"auth": {"password": tenant.password}}}});
    file(place, ".config/openstack/secure.yaml", secure.to_string());
    [
        ("OS_AUTH_URL", &keystone.url()),
        ("OS_USERNAME", &tenant.user),
        ("OS_USER_DOMAIN_NAME", &tenant.domain),
        ("OS_PASSWORD", &tenant.password),
        ("OS_PROJECT_NAME", &tenant.project),
        ("OS_PROJECT_DOMAIN_NAME", &tenant.domain),
        ("OS_IDENTITY_API_VERSION", &"3".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value.clone()))
    .to_vec()
}

/// A target with parameters of its own, as skypunch 0.3.0 had them.
fn of_old(daemon: &Daemon, name: &str, url: &str, parms: [&str; 4]) {
    let [user, password, endpoint, tenant] = parms;
    let password = password.replace('"', "\\\"");
    let parms = format!("user={user},password=\"{password}\",osauthendpoint={endpoint},tenantid={tenant}");
    let keys = json!({"authn": "OPENSTACK", "authn_parms": parms, "frequency": "1h", "timeout": "2min"});
    target(daemon, name, url, keys);
}

fn every_form_of_login_brings_a_token(place: &Place) {
    let (keystone, glance) = (Keystone::shared(), Glance::shared());
    let (own, of_default) = (keystone.tenant(Home::Own), keystone.tenant(Home::Default));
    let mut setup = place.setup().extra(SETTINGS);
    setup.environment = beside(place, keystone, &own);
    let daemon = setup.start();
    let rows = rows(keystone, &own, &of_default);
    let before = (keystone.granted(&own.user_id), keystone.granted(&own.user));
    for (name, params) in &rows {
        credential(&daemon, name, params);
    }
    let images = glance.images_url();
    let passing = ["project-id", "project-name", "default-domain", "application-id", "application-name"];
    for name in passing.into_iter().chain(["unscoped", "cloud:lab", "cloud:envvars"]) {
        target(&daemon, name, &images, seldom(name));
    }
    // What only a token for the domain, or for the system, may see.
    let users = format!("{}/users", keystone.auth_url());
    target(&daemon, "domain", &format!("{users}?domain_id={}", own.domain_id), seldom("domain"));
    target(&daemon, "system", &users, seldom("system"));
    target(&daemon, "not-for-projects", &users, seldom("project-id"));
    // Region and interface are the cloud's: each has an address of its own.
    target(&daemon, "catalog", "openstack://image?path=/v2/images", seldom("cloud:lab"));
    target(&daemon, "asked", "openstack://glance/admin,public?region=RegionOne", seldom("application-id"));
    let (user, url) = (&of_default.user, format!("{}/", keystone.auth_url()));
    of_old(&daemon, "old-v3", &images, [user, &of_default.password, &url, &of_default.project_id]);
    let double = KeystoneV2::start(Duration::from_secs(3600));
    let parms = [keystone_v2::USER, keystone_v2::PASSWORD, &double.tokens_url(), keystone_v2::TENANT_ID];
    of_old(&daemon, "old-v2", &double.protected_url(), parms);

    for name in
        passing.into_iter().chain(["cloud:lab", "cloud:envvars", "domain", "system", "old-v3", "old-v2", "catalog"])
    {
        wait_status(&daemon, name, "PASS");
    }
    let told = wait_reason(&daemon, "unscoped", "FAIL", "status");
    assert!(told.contains("403"), "a token is not yet a role: {told}");
    assert!(wait_reason(&daemon, "not-for-projects", "FAIL", "status").contains("403"));
    assert!(wait_reason(&daemon, "asked", "FAIL", "identity_catalog").contains("`glance` is not in the catalog"));
    let (outcome, text) = test(&daemon, "catalog");
    assert_eq!(outcome["verdict"], json!("PASS"), "{text}");
    let address = format!("http://127.0.0.5:{}/v2/images", keystone.image_port());
    assert!(text.contains(&address) && text.contains("request_id") && text.contains("req-"), "{text}");

    // One login each; the one of the project, and of the cloud, was made for several targets.
    let after = (keystone.granted(&own.user_id), keystone.granted(&own.user));
    assert_eq!((after.0 - before.0, after.1 - before.1), (4, 5), "by id, by name");
    assert_eq!((double.logins(), double.protected()), (1, (1, 0)));
    for (name, logins) in [("project-id", 1), ("unscoped", 1)] {
        let lines = daemon.log_lines(&["logged in", &format!("credential: {name}")]);
        assert_eq!(lines.len(), logins, "{lines:?}");
    }
    let mut tokens = keystone.issued(&own.user_id);
    tokens.extend(keystone.issued(&of_default.user));
    assert_hidden(place, &daemon, &tokens, &["wörd"], "");
    assert!(!daemon.log().contains("w\\u00f6rd") && !daemon.log().contains(keystone_v2::PASSWORD));
}
