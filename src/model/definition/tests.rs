use super::*;
use crate::model::target::Method;
use proptest::prelude::*;
use std::time::Duration;

fn minimal() -> Definition {
    Definition { name: "x".into(), url: "http://localhost/".into(), ..Definition::default() }
}

fn field_of(change: impl FnOnce(&mut Definition)) -> String {
    let mut d = minimal();
    change(&mut d);
    let problems = d.validate().unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems[0].to_string()
}

#[test]
fn a_name_and_a_url_are_enough() {
    let t = minimal().validate().unwrap();
    assert_eq!(t.method, Method::Get);
    assert_eq!(t.timeout, Duration::from_secs(10));
    assert!(t.expect.contains(200) && !t.expect.contains(201));
}

#[test]
fn a_short_frequency_shortens_the_default_timeout() {
    let d = Definition { frequency_ms: 1000, ..minimal() };
    assert_eq!(d.validate().unwrap().timeout, Duration::from_secs(1));
}

#[test]
fn every_field_reports_itself_with_its_value() {
    let cases = [
        (field_of(|d| d.name = " ".into()), "name: is empty"),
        (field_of(|d| d.name = "a\u{7}".into()), "\\u{7}"),
        (field_of(|d| d.name = "shop ".into()), "name: `shop ` begins or ends with white space: write `shop`"),
        (field_of(|d| d.name = "\u{a0}shop".into()), "begins or ends with white space"),
        (field_of(|d| d.tenantid = " 7".into()), "tenantid: ` 7` begins or ends"),
        (field_of(|d| d.odd_flags = vec![("enabled", "7".into())]), "enabled: `7` is neither yes nor no: write 1"),
        (field_of(|d| d.url = "htp://x/".into()), "`htp`"),
        (field_of(|d| d.url = "http://".into()), "url: "),
        (field_of(|d| d.url = "http://u:hunter2@x/".into()), "authn BASIC"),
        (field_of(|d| d.method = "get".into()), "did you mean GET?"),
        (field_of(|d| d.headers = Some("X y".into())), "no colon"),
        (field_of(|d| d.headers = Some("Host: y".into())), "`host`"),
        (field_of(|d| d.authn = "BASIC".into()), "authn_parms: `user` is missing"),
        (field_of(|d| d.pass_result = "ok".into()), "pass_result: `ok`"),
        (field_of(|d| d.frequency_ms = 0), "frequency_ms: 0 is out of range"),
        (field_of(|d| d.frequency_ms = -5), "frequency_ms: -5"),
        (field_of(|d| d.frequency_ms = i64::MAX), "frequency_ms"),
        (field_of(|d| d.timeout_ms = Some(61_000)), "longer than frequency_ms"),
        (field_of(|d| d.timeout_ms = Some(0)), "timeout_ms: 0"),
        (field_of(|d| d.fail_after = 0), "fail_after: 0"),
        (field_of(|d| d.redirects = 21), "redirects: 21"),
        (field_of(|d| d.tls_ca = Some("ca.pem".into())), "absolute path"),
        (field_of(|d| d.tls_server_name = Some("a b".into())), "tls_server_name: `a b`"),
        (field_of(|d| d.host = Some("a/b".into())), "host: `a/b`"),
        (field_of(|d| d.keep_alive = 1001), "keep_alive: 1001 is out of range: write 0"),
        (field_of(|d| d.keep_alive = -1), "keep_alive: -1 is out of range"),
        (field_of(|d| (d.keep_alive, d.method) = (2, "POST".into())), "keep_alive: 2 does not go with method POST"),
        (field_of(|d| d.egress_allow = Some("10.0.0.1/8".into())), "egress_allow: `10.0.0.1/8` has bits set"),
        (field_of(|d| d.egress_allow = Some("shop.example".into())), "names cannot stand here"),
        (field_of(|d| d.egress_allow = Some(" ".repeat(5000))), "egress_allow: is longer than 4096 bytes"),
    ];
    for (text, part) in cases {
        assert!(text.contains(part), "{text} should hold {part}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn maps_report_unknown_keys_and_wrong_types() {
    let mut d = Definition::default();
    let map = json!({"nmae": "x", "frequency": 10, "enabled": "yes", "tags": ["a", 1]});
    let problems = d.set_all(map.as_object().unwrap()).unwrap_err();
    let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert!(all.iter().any(|p| p.contains("did you mean `name`?")), "{all:?}");
    assert!(all.iter().any(|p| p.contains("\"10s\"")), "{all:?}");
    assert!(all.iter().any(|p| p.contains("true or false")), "{all:?}");
    assert_eq!(all.len(), 4);
}

#[test]
fn json_shows_no_secret_and_reads_back() {
    let mut d = minimal();
    d.authn_parms = Some(Secret::new("user=a,password=hunter2"));
    d.headers = Some("X-Api-Key: hunter2\nAccept: a/b".into());
    d.tags = Some("a, b".into());
    d.egress_allow = Some("loopback, 10.0.0.0/8".into());
    let map = d.to_json();
    let mut typo = minimal();
    typo.headers = Some("X-Api-Key hunter2".into());
    assert_eq!(typo.to_json()["headers"], json!(["***"]));
    let shown = serde_json::to_string(&map).unwrap();
    assert!(!shown.contains("hunter2"), "{shown}");
    let mut back = d.clone();
    back.set_all(&map).unwrap();
    assert_eq!((back.tags.as_deref(), &back.headers), (Some("a,b"), &d.headers));
    assert_eq!(
        (&map["egress_allow"], back.egress_allow.as_deref()),
        (&json!(["loopback", "10.0.0.0/8"]), Some("loopback,10.0.0.0/8"))
    );
    assert!(map.keys().all(|k| KEYS.contains(&k.as_str())));
}

#[test]
fn a_target_gives_its_definition_back() {
    let d = Definition {
        id: 7,
        headers: Some("A: b\nC: d".into()),
        body: Some("x".into()),
        authn: "BASIC".into(),
        authn_parms: Some(Secret::new("user=a,password=b")),
        pass_result: "200,301-303".into(),
        frequency_ms: 5000,
        timeout_ms: Some(700),
        redirects: 3,
        tls_verify: false,
        tags: Some("p,q".into()),
        parent: Some("7/core".into()),
        keep_alive: 1000,
        egress_allow: Some("169.254.169.254,fd00::/8,metadata".into()),
        ..minimal()
    };
    assert_eq!(d.validate().unwrap().definition(), d);
    assert_eq!(minimal().validate().unwrap().definition(), minimal());
}

#[test]
fn a_parent_is_a_name_and_another_one() {
    let with = |parent: &str| Definition { name: "shop".into(), parent: Some(parent.into()), ..minimal() };
    for good in ["core", "7/core", "a/b/c", "7/shop", "Core router 1"] {
        assert_eq!(with(good).validate().unwrap().parent.as_deref(), Some(good));
    }
    assert_eq!(with("").validate().unwrap().parent, None);
    let long = "x".repeat(129);
    for (wrong, part) in [
        ("shop", "is this target itself"),
        ("0/shop", "is this target itself"),
        (" core", "white space"),
        ("a\u{1b}b", "control character"),
        (&long, "longer than 128"),
    ] {
        let problems = with(wrong).validate().unwrap_err();
        assert!(problems[0].field == "parent" && problems[0].message.contains(part), "{problems:?}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(s in "\\PC*|[\\x00-\\x7f]{0,40}", n in any::<i64>()) {
        let d = Definition {
            name: s.clone(), url: s.clone(), method: s.clone(), headers: Some(s.clone()), pass_result: s.clone(),
            frequency_ms: n, timeout_ms: Some(n), fail_after: n, redirects: n, host: Some(s.clone()), tls_server_name: Some(s.clone()),
            tags: Some(s.clone()), egress_allow: Some(s), ..Definition::default()
        };
        prop_assert!(d.validate().is_err());
    }
}

#[test]
fn what_is_shown_of_secrets_keeps_them_when_it_is_sent_back() {
    let headers = "X-A: 1\nAuthorization: Bearer one\nX-Token: two";
    let d = Definition {
        authn: "BASIC".into(),
        authn_parms: Some(Secret::new("user=a,password=hunter2")),
        headers: Some(headers.into()),
        ..minimal()
    };
    let mut back = d.clone();
    back.set_all(&d.to_json()).unwrap();
    assert_eq!(back, d);
    // Others may change, in any order, and a secret may go or be replaced.
    back.set("headers", &json!(["x-token: ***", "X-B: 2", "Authorization: Bearer three"])).unwrap();
    assert_eq!(back.headers.as_deref(), Some("X-Token: two\nX-B: 2\nAuthorization: Bearer three"));
    back.set("authn_parms", &json!("user=a,password=new")).unwrap();
    assert_ne!(back.authn_parms, d.authn_parms);
    // Nothing is there to be kept.
    for (key, value) in [("authn_parms", json!("***")), ("headers", json!(["Cookie: ***"]))] {
        let problem = minimal().set(key, &value).unwrap_err();
        assert!(problem.field == key && problem.message.contains("write it"), "{problem}");
    }
    minimal().set("headers", &json!(["X-Stars: ***"])).unwrap();
    for (value, says) in [
        (json!(["Authorization: Bearer hunter2\n"]), "headers: `Authorization` holds a line break"),
        (json!(["hunter2\n: x"]), "headers: a line holds a line break"),
        (json!({ "X-Auth-Token": 4_711_123 }), "headers: a value of another type is not a text: write it in quotes"),
    ] {
        assert_eq!(minimal().set("headers", &value).unwrap_err().to_string(), says);
    }
}

#[test]
fn a_flag_that_is_written_anew_is_odd_no_more() {
    let odd = vec![("tls_verify", "2".to_owned()), ("enabled", "7".to_owned())];
    let mut d = Definition { odd_flags: odd, ..minimal() };
    d.set("enabled", &json!(true)).unwrap();
    let problems = d.validate().unwrap_err();
    assert_eq!(problems.iter().map(|p| p.field.as_str()).collect::<Vec<_>>(), ["tls_verify"]);
}

#[test]
fn openstack_targets_by_credential_and_by_catalog() {
    let by = |credential: &str, url: &str| Definition {
        credential: Some(credential.into()),
        url: url.into(),
        tenantid: "7".into(),
        ..minimal()
    };
    let t = by("mycloud", "http://glance:9292/v2/images").validate().unwrap();
    assert_eq!((t.auth.kind(), t.catalog.is_none()), ("OPENSTACK", true));
    let shown = t.definition();
    assert_eq!((shown.authn.as_str(), shown.credential.as_deref()), ("OPENSTACK", Some("mycloud")));
    let t = by("0/mycloud", "openstack://compute/public,internal?region=R&path=/v2.1").validate().unwrap();
    let query = t.catalog.clone().unwrap();
    assert_eq!(
        (query.service_type.as_str(), query.region.as_deref(), query.path.as_str()),
        ("compute", Some("R"), "/v2.1")
    );
    assert_eq!(t.url.scheme(), "openstack");
    assert_eq!(t.definition().validate().unwrap(), t);
    let old = Definition {
        authn: "OPENSTACK".into(),
        authn_parms: Some(Secret::new("user=u,password=p,osauthendpoint=http://k/v2.0/tokens,tenantid=t")),
        ..minimal()
    };
    assert_eq!(old.validate().unwrap().definition(), old);
}

#[test]
fn openstack_mistakes_are_named() {
    let headers = |name: &str| Some(format!("{name}: hunter2"));
    let cases = [
        (field_of(|d| d.url = "openstack://compute/public".into()), "url: `openstack://compute/public` is looked up"),
        (field_of(|d| d.url = "openstack://compute/pubic".into()), "url: `pubic` is no interface"),
        (field_of(|d| d.url = "openstak://compute/public".into()), "openstack://SERVICE_TYPE"),
        (field_of(|d| d.authn = "OPENSTACK".into()), "authn_parms: OPENSTACK needs a login"),
        (
            field_of(|d| (d.headers, d.credential) = (headers("x-auth-token"), Some("c".into()))),
            "headers: x-auth-token is set here and by authn OPENSTACK",
        ),
        (
            field_of(|d| (d.authn, d.credential) = ("BEARER".into(), Some("c".into()))),
            "credential: is for authn OPENSTACK",
        ),
    ];
    for (text, part) in cases {
        assert!(text.contains(part), "{text} should hold {part}");
        assert!(!text.contains("hunter2"), "{text}");
    }
    // One's own token, and Authorization beside a token of Keystone, are one's own affair.
    Definition { headers: headers("X-Auth-Token"), ..minimal() }.validate().unwrap();
    Definition { headers: headers("Authorization"), credential: Some("c".into()), ..minimal() }.validate().unwrap();
}

#[test]
fn user_and_password_of_a_url_are_never_shown_and_nothing_else_is_hidden() {
    for (url, shown) in [
        ("https://me:hunter2@h/p?q=a@b#f", "https://***@h/p?q=a@b#f"),
        ("https://me:a@b@h/", "https://***@h/"),
        ("https:/me:hunter2@h/", "https://***@h/"),
        ("https:me:hunter2@h/", "https://***@h/"),
        ("https:\t//me:hunter2@h/", "https://***@h/"),
        ("ht\ntps:/\n/me:hunter2@h/", "https://***@h/"),
        (r"https:\\me:hunter2@h/", "https://***@h/"),
        (r"https://me:hunter2@h\a@b", "https://***@h/a@b"),
        ("openstack://me:hunter2@compute/public", "openstack://***@compute/public"),
        ("openstack:me:hunter2@compute/public", "openstack:***@compute/public"),
        ("me:hunter2@h", "***@h"),
        ("me hunter2@h", "***@h"),
        ("//me:hunter2@h", "***@h"),
        ("HTTPS://me:hunter2/x@h/", "HTTPS://***@h/"),
        ("https://me:hunter2@h:port/", "https://***@h:port/"),
        ("https://h/a@b", "https://h/a@b"),
        (r"https://h\a@b", r"https://h\a@b"),
        ("https://@h/", "https://@h/"),
        ("https://:@h/", "https://:@h/"),
        ("nothing", "nothing"),
        ("", ""),
    ] {
        assert_eq!(redact_userinfo(url), shown);
    }
    assert_eq!(redact_userinfo_within("ops@example.org"), "ops@example.org");
    assert_eq!(redact_userinfo_within("see https://me:hunter2@h:x/"), "***@h:x/");
    let refused = |url: &str| field_of(|d| d.url = url.into());
    for url in ["openstack:me:hunter2@compute/public", "openstack:///me:hunter2@compute/public"] {
        assert!(!refused(url).contains("hunter2"), "{}", refused(url));
    }
}
