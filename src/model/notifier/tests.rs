use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn minimal() -> NotifierDefinition {
    NotifierDefinition {
        id: 3,
        name: "ops".into(),
        kind: "SMTP".into(),
        address: "ops@example.com".into(),
        ..NotifierDefinition::default()
    }
}

fn set(map: Value) -> Result<NotifierDefinition, String> {
    let mut d = minimal();
    let joined = |p: Vec<Problem>| p.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    d.set_all(map.as_object().unwrap()).map_err(joined)?;
    d.validate(&any_type).map_err(joined)?;
    Ok(d)
}

#[test]
fn name_type_and_address_are_enough() {
    let n = minimal().validate(&any_type).unwrap();
    assert_eq!((n.id, n.kind.as_str(), n.enabled, n.rate_per_minute), (NotifierId(3), "SMTP", true, 20));
    assert_eq!((n.group_wait, n.group_window), (Duration::from_secs(5), Duration::from_secs(30)));
    assert_eq!((n.retry_for, n.remind, n.filter), (Duration::from_hours(24), None, Filter::default()));
}

#[test]
fn everything_that_can_be_written() {
    let d = set(json!({
        "type": "slack", "address": "https://hooks.example/T/hunter2", "params": {"channel": "#a,b", "retry": 3},
        "match_tags": ["web", "prod"], "match_tenant": "7", "match_name": "shop*", "events": "fail, RECOVERY,fail",
        "group_wait": "0s", "group_window": "1m", "rate_per_minute": 1, "retry_for": "2h", "remind": "1h",
        "templates": {"fail": "{{ title }}"}, "enabled": false,
    }))
    .unwrap();
    let n = d.validate(&any_type).unwrap();
    assert_eq!(n.kind, "SLACK");
    let params: Vec<(&str, &str)> = n.params.iter().map(|(n, v)| (n.as_str(), v.expose())).collect();
    assert_eq!(params, [("channel", "#a,b"), ("retry", "3")]);
    let events = Some(vec![EventKind::Fail, EventKind::Recovery]);
    let filter = Filter {
        tags: vec!["web".into(), "prod".into()],
        tenant: Some("7".into()),
        name: Some("shop*".into()),
        events,
        monitor: false,
    };
    assert_eq!(n.filter, filter);
    assert_eq!((n.remind, n.retry_for), (Some(Duration::from_hours(1)), Duration::from_hours(2)));
    assert_eq!(n.templates, [("fail".to_owned(), "{{ title }}".to_owned())]);
    assert!(!n.enabled);
    // What is shown can be sent back.
    let mut again = d.clone();
    again.set_all(&d.to_json()).unwrap();
    assert_eq!(again, NotifierDefinition { events: Some("fail,RECOVERY,fail".into()), ..d.clone() });
    assert!(!serde_json::to_string(&d.to_json()).unwrap().contains("hunter2"));
    // Null is the default.
    let nulls = NotifierDefinition::KEYS.iter().filter(|k| !["name", "type", "address"].contains(k));
    for key in nulls {
        again.set(key, &Value::Null).unwrap();
    }
    let default = NotifierDefinition { kind: d.kind, address: d.address, ..minimal() };
    assert_eq!(again, default);
}

#[test]
fn an_address_shows_no_more_than_its_host() {
    for (kind, address, shown) in [
        ("SMTP", "a@example.com, b@example.com", "a@example.com, b@example.com"),
        ("smtp", "a@example.com", "a@example.com"),
        ("SLACK", "https://hooks.slack.com/services/T0/B0/hunter2", "https://hooks.slack.com/***"),
        ("NTFY", "https://user:hunter2@ntfy.example:8443/topic?auth=hunter2", "https://ntfy.example:8443/***"),
        ("WEBHOOK", "https://h/?hunter2", "https://h/***"),
        ("GOTIFY", "https://gotify.example", "https://gotify.example"),
        ("PAGERDUTY", "hunter2", "***"),
        ("SMTP", "https://h/hunter2", "https://h/***"),
        ("SMTP", "hunter2", "***"),
        ("TELEGRAM", "${env:CHAT}", "***"),
        ("SLACK", "", ""),
    ] {
        let d = NotifierDefinition { kind: kind.into(), address: address.into(), ..minimal() };
        assert_eq!(d.shown_address(), shown, "{kind} {address}");
        if !address.is_empty() {
            let mut again = d.clone();
            again.set("address", &shown.into()).unwrap();
            assert_eq!(again.address, address);
        }
    }
    let mut none = NotifierDefinition::default();
    for (key, value) in [("address", "***"), ("address", "https://h/***"), ("params", "***")] {
        assert!(none.set(key, &value.into()).unwrap_err().message.contains("that there is none of"));
    }
    let mut other = NotifierDefinition { address: "https://a/x".into(), ..minimal() };
    assert!(other.set("address", &"https://b/***".into()).is_err(), "another host's secret is not there");
}

#[test]
fn wrong_values_get_a_sentence_each() {
    for (map, part) in [
        (json!({"name": ""}), "name: is empty"),
        (json!({"tenantid": "a\u{7}"}), "tenantid: `a\\u{7}` holds a control character"),
        (json!({"type": " "}), "type: is empty: write SMTP"),
        (json!({"type": "x".repeat(33)}), "is no type"),
        (json!({"type": 7}), "type: `7` is not a text"),
        (json!({"address": ""}), "address: is empty"),
        (json!({"address": "hunter2\n"}), ""),
        (json!({"address": "hunter\n2"}), "address: holds a control character"),
        (json!({"address": "a".repeat(5000)}), "longer than 4096"),
        (json!({"address": ["hunter2"]}), "address: a value of another type is not a text"),
        (json!({"params": "user=a,user=hunter2"}), "params: `user` is given twice"),
        (json!({"params": "hunter2"}), "params: part 1 has no `=`; write name=value"),
        (json!({"params": 5}), "params: a value of another type"),
        (json!({"params": {"a": [{"hunter2": 1}]}}), "the value of `a` is no text"),
        (json!({"params": {"a=b": "hunter2"}}), "`a=b` is no name"),
        (json!({"params": "a=".to_owned() + &"x".repeat(20_000)}), "params: is longer than"),
        (json!({"events": "fail,recovry"}), "events: `recovry` is not an event (did you mean recovery?)"),
        (json!({"events": {"fail": true}}), "events: a table is not a text"),
        (json!({"match_name": "a\u{1b}"}), "match_name: `a\\u{1b}` holds a control character"),
        (json!({"match_name": "x".repeat(256)}), "longer than 255"),
        (json!({"match_tenant": " "}), "match_tenant: is empty"),
        (json!({"match_tags": "x".repeat(65)}), "match_tags: "),
        (
            json!({"group_wait": "11m"}),
            "group_wait_ms: 660000 is out of range: write 0 to 600000 milliseconds (0s to 10m)",
        ),
        (json!({"group_wait_ms": -1}), "group_wait_ms: -1 is out of range"),
        (json!({"group_wait": 5}), "group_wait: 5 has no unit: write \"5s\", or group_wait_ms"),
        (json!({"group_wait": "5s", "group_wait_ms": 5}), "given twice, as `group_wait` and as `group_wait_ms`"),
        (json!({"group_window": "61m"}), "group_window_ms: 3660000"),
        (json!({"rate_per_minute": 0}), "rate_per_minute: 0 is out of range: write 1 to 1000"),
        (json!({"rate_per_minute": 1.5}), "rate_per_minute: `1.5` is not a whole number"),
        (
            json!({"retry_for": "59s"}),
            "retry_for_ms: 59000 is out of range: write 60000 to 2592000000 milliseconds (1m to 30days)",
        ),
        (json!({"retry_for_ms": i64::MAX}), "retry_for_ms: "),
        (json!({"remind": "500ms"}), "remind_ms: 500 is out of range"),
        (json!({"templates": "fail ="}), "templates: line 1: this is not TOML"),
        (json!({"templates": "a = 'x'\nb = 3"}), "templates: `b` is no text"),
        (json!({"templates": ["x"]}), "templates: a list is not a table of templates"),
        (json!({"enabled": "yes"}), "enabled: `yes` is not true or false"),
        (json!({"adress": "x"}), "adress: there is no such key; did you mean `address`?"),
    ] {
        match set(map.clone()) {
            Ok(_) => assert_eq!(part, "", "{map}"),
            Err(error) => {
                assert!(!part.is_empty() && error.contains(part), "{map}: {error}");
                assert!(!error.contains("hunter2"), "{error}");
            }
        }
    }
    let all = NotifierDefinition { rate_per_minute: 0, ..NotifierDefinition::default() };
    let fields: Vec<String> = all.validate(&any_type).unwrap_err().into_iter().map(|p| p.field).collect();
    assert_eq!(fields, ["name", "type", "address", "rate_per_minute"], "all at once, in the order of the table");
    let odd = NotifierDefinition { odd_flags: vec![("enabled", "7".into())], ..minimal() };
    assert!(odd.validate(&any_type).unwrap_err()[0].message.contains("neither yes nor no"));
}

#[test]
fn the_type_has_the_last_word() {
    let types = |n: &Notifier| -> Vec<Problem> {
        let known = n.kind == "SMTP";
        let problem = Problem { field: "type".into(), message: "is not known".into() };
        if known { Vec::new() } else { vec![problem] }
    };
    assert!(minimal().validate(&types).is_ok());
    let problems = NotifierDefinition { kind: "SMPT".into(), ..minimal() }.validate(&types).unwrap_err();
    assert_eq!(problems[0].message, "is not known");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic_and_no_secret_is_shown(s in "\\PC*|[\\x00-\\x7f]{0,40}", n in any::<i64>()) {
        let text = Some(s.clone());
        let d = NotifierDefinition {
            name: s.clone(), kind: s.clone(), address: format!("https://h.example/{s}hunter2"), params: Some(Secret::new(format!("{s}hunter2"))),
            match_tags: text.clone(), match_tenant: text.clone(), match_name: text.clone(), events: text.clone(),
            group_wait_ms: n, rate_per_minute: n, remind_ms: Some(n), templates: text, ..NotifierDefinition::default()
        };
        let told = format!("{:?}", d.validate(&any_type));
        prop_assert!(!told.contains("hunter2") || d.validate(&any_type).is_ok(), "{told}");
        let shown = format!("{:?}", d.to_json());
        prop_assert!(!shown.contains("hunter2"), "{shown}");
        let mut again = d.clone();
        prop_assert!(again.set("address", &d.to_json()["address"]).is_ok());
        prop_assert_eq!(again.address, d.address);
    }

    #[test]
    fn any_address_that_is_shown_can_be_sent_back(address in "[a-z]{0,6}(://)?[\\x21-\\x7e]{0,30}|\\PC{0,20}") {
        let d = NotifierDefinition { address, ..NotifierDefinition::default() };
        let mut again = d.clone();
        if !d.address.is_empty() {
            prop_assert!(again.set("address", &d.shown_address().into()).is_ok());
            prop_assert_eq!(again.address, d.address);
        }
    }
}
