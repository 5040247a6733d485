//! The servers themselves: what later tests rely on.

use std::time::Duration;

use serde_json::{Value, json};

use super::http::{LIMIT, send, try_send};
use super::{Endpoint, Glance, Home, Keystone, Options, Tenant};
use crate::daemon::harness::wait_until;

fn login(identity: Value, scope: Option<Value>) -> Value {
    let mut auth = json!({"identity": identity});
    if let Some(scope) = scope {
        auth["scope"] = scope;
    }
    json!({"auth": auth})
}

fn application_credential(credential: Value) -> Value {
    login(json!({"methods": ["application_credential"], "application_credential": credential}), None)
}

fn password_forms(tenant: &Tenant) -> Vec<(Value, &'static str)> {
    let Tenant { user, user_id, password, project, project_id, domain, domain_id } = tenant;
    let by_names = json!({"name": user, "domain": {"name": domain}, "password": password});
    let by_id = json!({"id": user_id, "password": password});
    let identity = |user: &Value| json!({"methods": ["password"], "password": {"user": user}});
    let project_by_names = json!({"project": {"name": project, "domain": {"name": domain}}});
    let mut forms = vec![
        (login(identity(&by_names), Some(project_by_names.clone())), "project"),
        (
            login(identity(&by_names), Some(json!({"project": {"name": project, "domain": {"id": domain_id}}}))),
            "project",
        ),
        (login(identity(&by_id), Some(json!({"project": {"id": project_id}}))), "project"),
        (login(tenant.identity(), Some(project_by_names)), "project"),
        (login(identity(&by_id), Some(json!({"system": {"all": true}}))), "system"),
        (login(identity(&by_id), None), ""),
        (login(identity(&by_names), Some(json!("unscoped"))), ""),
    ];
    if domain_id != "default" {
        forms.push((login(identity(&by_names), Some(json!({"domain": {"name": domain}}))), "domain"));
        forms.push((login(identity(&by_id), Some(json!({"domain": {"id": domain_id}}))), "domain"));
    }
    forms
}

#[test]
fn each_form_of_login_is_granted() {
    let keystone = Keystone::shared();
    for home in [Home::Default, Home::Own] {
        let tenant = keystone.tenant(home);
        let mut forms = password_forms(&tenant);
        let credential = keystone.application_credential(&tenant, "watch");
        let (id, name, secret) = (&credential.id, &credential.name, &credential.secret);
        let owners = [
            json!({"id": tenant.user_id}),
            json!({"name": tenant.user, "domain": {"id": tenant.domain_id}}),
            json!({"name": tenant.user, "domain": {"name": tenant.domain}}),
        ];
        forms.push((application_credential(json!({"id": id, "secret": secret})), "project"));
        for owner in owners {
            forms.push((application_credential(json!({"name": name, "user": owner, "secret": secret})), "project"));
        }
        for (body, scope) in forms {
            let answer = keystone.login(&body);
            assert_eq!(answer.status, 201, "{body} {answer:?}");
            assert!(keystone.is_valid(answer.header("X-Subject-Token").unwrap()));
            let token = &answer.json()["token"];
            assert_eq!(token["user"]["id"], tenant.user_id.as_str());
            let scopes = ["project", "domain", "system"].into_iter().filter(|s| !token[*s].is_null());
            assert_eq!(scopes.collect::<String>(), scope, "{body}");
        }
        keystone.delete_application_credential(&tenant, &credential);
        let answer = keystone.login(&application_credential(json!({"id": id, "secret": secret})));
        assert_eq!(answer.status, 404, "one that is not there is not found, rather than rejected: {answer:?}");
    }
}

#[test]
fn wrong_logins_are_rejected() {
    let keystone = Keystone::shared();
    let tenant = keystone.tenant(Home::Default);
    let credential = keystone.application_credential(&tenant, "watch");
    let mut scoped = application_credential(json!({"id": credential.id, "secret": credential.secret}));
    assert_eq!(keystone.login(&scoped).status, 201);
    scoped["auth"]["scope"] = json!({"project": {"id": tenant.project_id}});
    let wrong = [
        login(tenant.identity_with("wrong"), None),
        login(tenant.identity(), Some(json!({"project": {"id": "nowhere"}}))),
        application_credential(json!({"id": credential.id, "secret": "wrong"})),
        scoped,
    ];
    for body in wrong {
        let answer = keystone.login(&body);
        assert_eq!(answer.status, 401, "{body} {answer:?}");
        assert!(answer.header("WWW-Authenticate").unwrap().contains("/v3"), "{answer:?}");
    }

    let token = keystone.token(&tenant.login());
    keystone.set_password(&tenant, "another");
    assert_eq!(keystone.login(&tenant.login()).status, 401);
    assert_eq!(keystone.login(&login(tenant.identity_with("another"), None)).status, 201);
    assert!(!keystone.is_valid(&token), "the password was changed");
    keystone.set_enabled(&tenant, false);
    assert_eq!(keystone.login(&login(tenant.identity_with("another"), None)).status, 401);
    keystone.set_enabled(&tenant, true);
    assert_eq!(keystone.login(&login(tenant.identity_with("another"), None)).status, 201);
}

#[test]
fn logins_are_counted_by_who_came() {
    let keystone = Keystone::shared();
    let (tenant, other) = (keystone.tenant(Home::Default), keystone.tenant(Home::Own));
    let counts = |who: &str| (keystone.logins(who), keystone.granted(who));
    std::thread::scope(|threads| {
        for _ in 0..10 {
            threads.spawn(|| keystone.token(&tenant.login()));
        }
    });
    keystone.login(&login(tenant.identity_with("wrong"), None));
    assert_eq!((counts(&tenant.user), counts(&tenant.user_id)), ((11, 10), (0, 0)), "it came by name");
    let credential = keystone.application_credential(&other, "watch");
    let by_id = application_credential(json!({"id": credential.id, "secret": credential.secret}));
    keystone.token(&by_id);
    keystone.token(&by_id);
    assert_eq!((counts(&credential.id), counts(&other.user)), ((2, 2), (1, 1)));
}

#[test]
fn glance_checks_tokens() {
    let (keystone, glance) = (Keystone::shared(), Glance::shared());
    let tenant = keystone.tenant(Home::Own);
    let scoped = keystone.token(&tenant.login());
    let ask = |url: &str, token: Option<&str>| {
        let headers: Vec<(&str, &str)> = token.map(|t| ("X-Auth-Token", t)).into_iter().collect();
        let answer = send("GET", url, &headers, None);
        assert!(answer.header("X-Openstack-Request-Id").is_some() || answer.status != 200, "{answer:?}");
        answer.status
    };
    assert_eq!(ask(&glance.images_url(), None), 401);
    assert_eq!(ask(&glance.images_url(), Some("nonsense")), 401);
    let unscoped = keystone.token(&login(tenant.identity(), Some(json!("unscoped"))));
    assert_eq!(ask(&glance.images_url(), Some(&unscoped)), 403);
    assert_eq!(ask(&glance.images_url(), Some(&scoped)), 200);
    for (region, interface, url) in endpoints(&keystone.login(&tenant.login()).json(), "image") {
        assert_eq!(ask(&format!("{url}/v2/images"), Some(&scoped)), 200, "{region} {interface} {url}");
    }
    keystone.revoke(&scoped);
    assert_eq!(ask(&glance.images_url(), Some(&scoped)), 401);
}

/// (region, interface, URL) of a type in a token's catalog, sorted.
fn endpoints(answer: &Value, service_type: &str) -> Vec<(String, String, String)> {
    let services = answer["token"]["catalog"].as_array().unwrap().iter().filter(|s| s["type"] == service_type);
    let text = |endpoint: &Value, field: &str| endpoint[field].as_str().unwrap().to_owned();
    let endpoints = services.flat_map(|s| s["endpoints"].as_array().unwrap());
    let mut found: Vec<_> = endpoints.map(|e| (text(e, "region"), text(e, "interface"), text(e, "url"))).collect();
    found.sort();
    found
}

#[test]
fn a_private_one_has_its_own_catalog_and_lifetime_of_tokens() {
    let keystone = Keystone::start(Options { token_seconds: 30 });
    let tenant = keystone.tenant(Home::Default);
    let answer = keystone.login(&tenant.login());
    let token = answer.header("X-Subject-Token").unwrap();
    let catalog = |service_type: &str| endpoints(&keystone.login(&tenant.login()).json(), service_type);
    let keys = |found: &[(String, String, String)]| {
        found.iter().map(|(region, interface, _)| format!("{region} {interface}")).collect::<Vec<_>>()
    };
    let both = ["One admin", "One internal", "One public", "Two admin", "Two internal", "Two public"];
    let both = both.map(|name| format!("Region{name}"));
    assert_eq!(keys(&catalog("identity")), both);
    assert_eq!(keys(&catalog("image")), both);
    assert!(catalog("identity").iter().all(|(_, _, url)| *url == keystone.auth_url()));
    assert_eq!(catalog("image")[2].2, format!("http://127.0.0.1:{}", keystone.image_port()));
    let mut urls: Vec<String> = catalog("image").into_iter().map(|(_, _, url)| url).collect();
    urls.sort();
    urls.dedup();
    assert_eq!(urls.len(), 6, "each has an address of its own");

    let url = "http://127.0.0.1:9/v2.1";
    let compute =
        Endpoint { service_type: "compute", service_name: "nova", interface: "public", region: "RegionTwo", url };
    let id = keystone.add_endpoint(compute);
    assert_eq!(catalog("compute"), [("RegionTwo".to_owned(), "public".to_owned(), url.to_owned())]);
    keystone.remove_endpoint(&id);
    assert_eq!(catalog("compute"), []);

    let times = &answer.json()["token"];
    let time = |name: &str| times[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let lifetime = time("expires_at").duration_since(time("issued_at"));
    assert!((29.0..=30.0).contains(&lifetime.as_secs_f64()), "{times}");
    assert!(keystone.is_valid(token));
    wait_until("the token ends", LIMIT, || !keystone.is_valid(token));
    assert!(jiff::Timestamp::now() >= time("expires_at"), "it ended too early");
}

#[test]
fn it_is_stopped_and_started_frozen_and_slow() {
    let keystone = Keystone::start(Options::default());
    let tenant = keystone.tenant(Home::Default);
    let token = keystone.token(&tenant.login());
    let counts = || (keystone.logins(&tenant.user), keystone.granted(&tenant.user));
    let quickly = |body: &Value, limit| {
        try_send("POST", &format!("{}/auth/tokens", keystone.auth_url()), &[], Some(body), limit).map(|a| a.status)
    };

    keystone.stop();
    let refused = quickly(&tenant.login(), LIMIT).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    keystone.start_again();
    assert!(keystone.is_valid(&token), "tokens outlive a restart");
    assert_eq!(keystone.login(&tenant.login()).status, 201);
    assert_eq!(counts(), (2, 2), "what came before the restart counts too");

    keystone.freeze();
    let silent = quickly(&tenant.login(), Duration::from_millis(300)).unwrap_err();
    assert_eq!(silent.kind(), std::io::ErrorKind::WouldBlock, "taken, not answered: {silent}");
    keystone.thaw();
    assert_eq!(keystone.login(&tenant.login()).status, 201);
    wait_until("the login that nobody waits for is done too", LIMIT, || counts() == (4, 4));

    keystone.slow(Duration::from_secs(3600));
    std::thread::scope(|threads| {
        let waiting = threads.spawn(|| keystone.login(&tenant.login()).status);
        wait_until("the login has come", LIMIT, || counts().0 == 5);
        let silent = quickly(&tenant.login(), Duration::from_millis(300)).unwrap_err();
        assert_eq!(silent.kind(), std::io::ErrorKind::WouldBlock, "{silent}");
        assert_eq!(counts().1, 4, "nobody was granted a login meanwhile");
        keystone.slow(Duration::ZERO);
        assert_eq!(waiting.join().unwrap(), 201);
    });

    let port = keystone.url();
    drop(keystone);
    let gone = try_send("GET", &port, &[], None, LIMIT).unwrap_err();
    assert_eq!(gone.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn nothing_outlives_the_tests() {
    // As when the tests' process ends without dropping anything: of what it held only the pipe closes.
    let mut orphan = Keystone::start(Options::default()).abandon();
    wait_until("the server has ended", LIMIT, || orphan.has_ended());
    assert!(!orphan.dir.exists(), "its folder has gone with it");
}
