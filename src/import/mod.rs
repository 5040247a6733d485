//! What people bring from elsewhere: the rows of skypunch 0.3.0, the files of other monitors.
//!
//! ```text
//!  text of a file --read--> tree (YAML | JSON) --gatus | kuma | prometheus--> Found: drafts and notes --write--> targets file
//!  rows of 0.3.0 --legacy--> definitions, states, counters, and what needs attention
//! ```
//!
//! All of it is pure; who calls it reads the files and the databases. Nothing is dropped silently: [`fields::Fields`]
//! hands out each key of a source once, and what nobody asked for becomes a note.

pub mod channels;
pub mod draft;
pub mod fields;
pub mod gatus;
mod gatus_conditions;
pub mod kuma;
mod kuma_groups;
mod kuma_notifications;
pub mod legacy;
pub mod modules;
pub mod prometheus;
pub mod tree;
pub mod words;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::draft::Found;
    use super::{gatus, kuma, modules, prometheus};
    use crate::model::notifier::any_type;
    use crate::model::targets_file::parse;

    /// Keys that the sources have, so that arbitrary trees go deep.
    const KEYS: &[&str] = &[
        "name",
        "url",
        "endpoints",
        "alerting",
        "slack",
        "email",
        "ntfy",
        "webhook-url",
        "topic",
        "to",
        "host",
        "alerts",
        "type",
        "client",
        "timeout",
        "interval",
        "conditions",
        "headers",
        "group",
        "method",
        "body",
        "enabled",
        "failure-threshold",
        "default-alert",
        "monitorList",
        "notificationList",
        "config",
        "id",
        "parent",
        "tags",
        "notificationIDList",
        "accepted_statuscodes",
        "maxretries",
        "basic_auth_user",
        "basic_auth_pass",
        "authMethod",
        "upsideDown",
        "modules",
        "prober",
        "http",
        "valid_status_codes",
        "basic_auth",
        "username",
        "password_file",
        "tls_config",
        "scrape_configs",
        "metrics_path",
        "params",
        "module",
        "static_configs",
        "targets",
        "labels",
        "relabel_configs",
        "file_sd_configs",
        "files",
        "what",
    ];

    fn tree() -> impl Strategy<Value = Value> {
        let word = prop_oneof![
            "\\PC{0,10}",
            Just("http".to_owned()),
            Just("https://x.example/".to_owned()),
            Just("/probe".to_owned()),
            Just("slack".to_owned()),
            Just("[STATUS] < 300".to_owned()),
            Just("${A}".to_owned()),
            Just("30s".to_owned()),
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(|f| json!(f)),
            word.prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 96, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::vec((proptest::sample::select(KEYS), inner), 0..8).prop_map(|pairs| {
                    Value::Object(pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<Map<_, _>>())
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_a_source_holds_the_file_is_accepted(a in tree(), b in tree(), c in tree()) {
            let mut all = Vec::new();
            all.extend(gatus::map(vec![json!({"endpoints": a, "alerting": b}), c.clone()]));
            all.extend(kuma::map(json!({"monitorList": a, "notificationList": b, "what": c})));
            let (mut known, mut found) = (BTreeMap::new(), Found::default());
            let _no_modules = modules::read(json!({"modules": {"m": a, "n": {"prober": "http", "http": b}}}), &mut known, &mut found.notes);
            let job = json!({"job_name": "j", "metrics_path": "/probe", "params": {"module": ["n"]}, "static_configs": c, "more": a});
            prometheus::map_config(json!({"scrape_configs": [job, b]}), &known, &mut |_| Ok(vec![("f".into(), c.clone())]), &mut found).unwrap();
            let _no_groups = prometheus::map_file_sd(c, Some("m"), &known, &mut found);
            all.push(found);
            for found in all {
                let text = found.write("x");
                prop_assert!(parse(&text, &any_type).is_ok(), "{:?}\n{}", parse(&text, &any_type), text);
            }
        }
    }
}
