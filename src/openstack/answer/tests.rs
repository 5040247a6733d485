use proptest::prelude::*;
use serde_json::json;
use url::Url;

use super::*;

/// As recorded from Keystone 30.0.0, shortened.
fn recorded() -> Value {
    json!({ "token": {
        "methods": ["password"],
        "user": { "domain": { "id": "default", "name": "Default" }, "id": "7ff6", "name": "probe", "password_expires_at": null },
        "audit_ids": ["QZOt"], "expires_at": "2026-11-22T06:57:58.000000Z", "issued_at": "2026-11-22T06:57:28.000000Z",
        "project": { "domain": { "id": "default", "name": "Default" }, "id": "6be5", "name": "demo" }, "is_domain": false,
        "roles": [{ "id": "ae53", "name": "reader" }],
        "catalog": [
            { "endpoints": [
                { "id": "1", "interface": "public", "region_id": "RegionOne", "url": "http://127.0.0.1:7500/v3", "region": "RegionOne" },
                { "id": "2", "interface": "admin", "region_id": null, "url": "http://127.0.0.1:7501/v3", "region": "Old" },
                { "id": "3", "interface": "internal", "url": null },
            ], "id": "9", "type": "identity", "name": "keystone" },
            { "endpoints": [], "type": "image", "name": "glance" },
        ],
    } })
}

/// As the published API of v2.0 has it.
fn of_v2() -> Value {
    json!({ "access": {
        "token": { "id": "5e75", "issued_at": "2026-11-22T06:57:45.829109", "expires": "2026-11-22T06:58:15Z",
                   "tenant": { "id": "t-demo", "name": "demo", "enabled": true, "description": null } },
        "serviceCatalog": [{ "type": "compute", "name": "nova", "endpoints": [
            { "region": "RegionOne", "publicURL": "http://127.0.0.1:8774/v2/t", "internalURL": "http://10.0.0.1:8774/v2/t" },
        ] }],
        "user": { "username": "probe", "roles_links": [], "id": "u-probe", "roles": [], "name": "probe" },
    } })
}

fn judged(api: Api, status: u16, headers: &[(&str, &str)], body: &[u8]) -> Result<Token, IdentityError> {
    let url = Url::parse("http://127.0.0.1:5000/v3/auth/tokens").unwrap();
    let headers: Vec<(String, String)> = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let leaks = |text: &str| text.contains("hunter2");
    judge(api, &Answer { url: &url, status, headers: &headers, body, leaks: &leaks }, 7, true)
}

fn json(api: Api, status: u16, body: &Value) -> Result<Token, IdentityError> {
    let headers = [("Content-Type", "application/json"), ("x-subject-token", "gAAAAABtoken")];
    let headers = if api == Api::V3 && status < 300 { &headers[..] } else { &headers[..1] };
    judged(api, status, headers, body.to_string().as_bytes())
}

fn endpoints(token: &Token) -> Vec<String> {
    let catalog = token.catalog.as_ref().unwrap();
    let line = |e: &crate::model::catalog::CatalogEndpoint| {
        format!("{} {} {} {} {}", e.service_type, e.service_name, e.interface, e.region, e.url)
    };
    catalog.endpoints.iter().map(line).collect()
}

#[test]
fn a_token_of_v3_with_all_that_comes_beside_it() {
    let token = json(Api::V3, 201, &recorded()).unwrap();
    assert_eq!((token.value.expose(), token.serial, token.lifetime), ("gAAAAABtoken", 7, Duration::from_secs(30)));
    assert_eq!(token.holder.to_string(), "probe in project demo");
    assert_eq!(
        endpoints(&token),
        [
            "identity keystone public RegionOne http://127.0.0.1:7500/v3",
            "identity keystone admin Old http://127.0.0.1:7501/v3",
        ]
    );
}

#[test]
fn a_token_of_v2() {
    let token = json(Api::V2, 200, &of_v2()).unwrap();
    assert_eq!((token.value.expose(), token.holder.to_string()), ("5e75", "probe in project demo".to_owned()));
    assert_eq!(token.lifetime, Duration::from_micros(29_170_891));
    assert_eq!(
        endpoints(&token),
        [
            "compute nova public RegionOne http://127.0.0.1:8774/v2/t",
            "compute nova internal RegionOne http://10.0.0.1:8774/v2/t",
        ]
    );
}

#[test]
fn the_lifetime_is_between_the_services_own_two_times_however_they_are_written() {
    for (issued, expires, seconds) in [
        ("2026-11-22T06:57:28.000000Z", "2026-11-22T06:57:58.000000Z", 30.0),
        ("2026-11-22T06:57:28Z", "2026-11-22T07:57:28Z", 3600.0),
        ("2026-11-22T06:57:28.5", "2026-11-22T06:57:58", 29.5),
        ("1999-12-31T23:59:30", "2000-01-01T00:00:00Z", 30.0),
        ("2026-11-22T06:57:28+02:00", "2026-11-22T06:57:28Z", 7200.0),
    ] {
        let body = json!({ "token": { "issued_at": issued, "expires_at": expires } });
        assert_eq!(json(Api::V3, 201, &body).unwrap().lifetime.as_secs_f64(), seconds, "{issued} {expires}");
    }
    // A service that does not say when: its own Date.
    let body = json!({ "token": { "expires_at": "2026-11-22T06:57:58Z" } }).to_string();
    let headers = [("X-Subject-Token", "t"), ("Date", "Sun, 22 Nov 2026 06:57:28 GMT")];
    assert_eq!(judged(Api::V3, 201, &headers, body.as_bytes()).unwrap().lifetime, Duration::from_secs(30));
}

#[test]
fn an_unscoped_token_has_an_empty_catalog_where_one_was_wanted() {
    let body = json!({ "token": { "issued_at": "2026-11-22T06:57:28Z", "expires_at": "2026-11-22T06:57:58Z", "user": { "id": "7ff6" } } });
    let token = json(Api::V3, 201, &body).unwrap();
    assert_eq!((endpoints(&token).len(), token.holder.to_string()), (0, "7ff6 without a scope".to_owned()));
    let mut empty = recorded();
    empty["token"]["catalog"] = json!([]);
    assert_eq!(endpoints(&json(Api::V3, 201, &empty).unwrap()).len(), 0);
}

#[test]
fn every_refusal_has_its_reason_and_says_what_keystone_said() {
    let error = |code: u16, message: &str| json!({ "error": { "code": code, "message": message, "title": "x" } });
    let rejected = [
        (
            Api::V3,
            401,
            error(401, "The request you have made requires authentication."),
            "answered 401 (The request you have made requires authentication.); user, password",
        ),
        (Api::V3, 401, error(401, "Application credentials cannot request a scope."), "cannot request a scope"),
        (Api::V2, 401, error(401, "Wrong tenant"), "(Wrong tenant)"),
        (
            Api::V3,
            400,
            error(400, &format!("Expecting to find domain in user. {}", "x".repeat(3000))),
            "Expecting to find domain in user.",
        ),
        (Api::V3, 403, error(403, "You are not authorized"), "(You are not authorized)"),
        (Api::V3, 413, error(413, "Request is too large."), "larger than the service takes"),
    ];
    for (api, status, body, words) in rejected {
        let e = json(api, status, &body).unwrap_err();
        assert_eq!(e.reason, Reason::IdentityRejected, "{e}");
        assert!(e.sentence.contains(words) && e.sentence.len() < 600, "{e}");
    }
    let html = [("Content-Type", "text/html; charset=utf-8")];
    let page = b"\n <!DOCTYPE html>\n<title>404 Not Found</title>";
    let unreachable = [
        (Api::V2, 404, &html[..], &page[..], "Identity v2.0 is not served there, it left Keystone in 2018"),
        (
            Api::V3,
            404,
            &html[..],
            &page[..],
            "answered 404 (text/html; charset=utf-8: <!DOCTYPE html>); there is no Identity API v3",
        ),
        (Api::V3, 300, &html[..0], b"{\"versions\":{}}", "/v3 is missing in auth_url"),
        (
            Api::V3,
            302,
            &[("Location", "https://me:pw@sso.example/login?x=1#y")][..],
            b"",
            "a redirect to https://sso.example/login; a password is not sent on",
        ),
        (Api::V3, 500, &html[..], b"", "answered 500 (text/html; charset=utf-8)"),
        (Api::V3, 503, &html[..0], b"", "answered 503 (nothing); the identity service, or a proxy"),
        (Api::V3, 204, &html[..0], b"", "no Keystone answers a login like this"),
        (
            Api::V3,
            200,
            &html[..],
            b"<html>\x1b[2J welcome",
            "(text/html; charset=utf-8: <html>\\u{1b}[2J welcome), without a token in X-Subject-Token; that is no Keystone",
        ),
        (Api::V2, 200, &html[..0], b"{\"access\":{}}", "without a token in access.token.id"),
    ];
    for (api, status, headers, body, words) in unreachable {
        let e = judged(api, status, headers, body).unwrap_err();
        assert_eq!(e.reason, Reason::IdentityUnreachable, "{e}");
        assert!(e.sentence.contains(words), "{e} should hold {words}");
        assert!(e.sentence.starts_with("logging in at http://127.0.0.1:5000/v3/auth/tokens: "), "{e}");
    }
}

#[test]
fn more_than_one_factor_is_not_supported() {
    let e = judged(Api::V3, 401, &[("Openstack-Auth-Receipt", "gAAA")], b"{\"receipt\":{}}").unwrap_err();
    assert!(e.reason == Reason::IdentityRejected && e.sentence.contains("more than one factor"), "{e}");
}

#[test]
fn a_service_that_asks_for_a_pause_gets_it() {
    for (status, after, seconds) in [
        (429, "17", Some(17)),
        (413, "60", Some(60)),
        (503, "Sun, 22 Nov 2026 06:59:28 GMT", Some(120)),
        (503, "Sun, 22 Nov 2026 06:00:00 GMT", None),
        (503, "soon", None),
    ] {
        let headers = [("Date", "Sun, 22 Nov 2026 06:57:28 GMT"), ("Retry-After", after)];
        let e = judged(Api::V3, status, &headers, b"").unwrap_err();
        assert_eq!((e.reason, e.retry_after), (Reason::IdentityUnreachable, seconds.map(Duration::from_secs)), "{e}");
        assert_eq!(e.sentence.contains("to be asked again in"), seconds.is_some(), "{e}");
    }
}

#[test]
fn half_an_answer_is_no_token() {
    let without = |key: &str| {
        let mut body = recorded();
        body["token"].as_object_mut().unwrap().remove(key);
        body.to_string()
    };
    let late = recorded().to_string().replace("2026-11-22T06:57:58", "2026-11-22T06:57:28");
    for (token, body, words) in [
        ("t", without("expires_at"), "does not say when the token expires"),
        ("t", without("issued_at"), "neither when the token was issued nor"),
        ("t", late, "before it was issued"),
        ("t", recorded().to_string().replace("2026-11-22T06:57:58", "tomorrow"), "`tomorrow.000000Z` is no time"),
        ("t", "<html>".to_owned(), "its body is not the JSON"),
        ("a b", recorded().to_string(), "no header can carry"),
        ("", recorded().to_string(), "no header can carry"),
    ] {
        let e = judged(Api::V3, 201, &[("X-Subject-Token", token)], body.as_bytes()).unwrap_err();
        assert!(e.reason == Reason::IdentityUnreachable && e.sentence.contains(words), "{e} should hold {words}");
    }
}

#[test]
fn no_token_is_shown_where_it_was_not_expected() {
    let body = of_v2().to_string();
    for (api, status, body, words) in [
        (Api::V3, 200, body.as_str(), "(application/json: JSON with access)"),
        (Api::V2, 201, body.as_str(), "(application/json: JSON with access)"),
        (Api::V3, 500, body.as_str(), "(application/json: JSON with access)"),
        (Api::V3, 200, &body[..80], "(application/json: broken JSON)"),
        (Api::V3, 200, "[\"5e75\"]", "(application/json: other JSON)"),
    ] {
        let e = judged(api, status, &[("Content-Type", "application/json")], body.as_bytes()).unwrap_err();
        assert!(e.sentence.contains(words) && !e.sentence.contains("5e75"), "{e}");
    }
}

#[test]
fn nothing_shows_that_repeats_the_password() {
    for (headers, body) in [
        (&[][..], &b"{\"error\":{\"message\":\"no hunter2 here\"}}"[..]),
        (&[("Content-Type", "hunter2")][..], b"hunter2"),
        (&[("Location", "http://h/hunter2")][..], b""),
    ] {
        for status in [200, 302, 401] {
            let e = judged(Api::V3, status, headers, body).unwrap_err();
            assert!(!e.sentence.contains("hunter2"), "{e}");
        }
    }
}

proptest! {
    #[test]
    fn never_panics_and_never_shows_a_control_character(
        v3 in any::<bool>(), status in 100_u16..600, token in proptest::option::of("\\PC{0,9}"), text in "[\\x00-\\x7f]{0,60}", message in any::<bool>(),
    ) {
        let body = if message { json!({ "error": { "message": text } }).to_string() } else { text.clone() };
        let headers = [("X-Subject-Token", token.as_deref().unwrap_or_default()), ("Retry-After", text.as_str())];
        let headers = if token.is_some() { &headers[..] } else { &headers[1..] };
        let api = if v3 { Api::V3 } else { Api::V2 };
        if let Err(e) = judged(api, status, headers, body.as_bytes()) {
            prop_assert!(!e.sentence.chars().any(char::is_control), "{}", e.sentence);
        }
    }
}
