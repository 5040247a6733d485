//! Uptime Kuma: the backup file of version 1 (JSON), an export of its table `monitor`, or what its database holds.
//!
//! ```text
//!  monitorList      --http, keyword, json-query--> targets; groups become tags
//!  notificationList --config--> notifiers, which see the targets that name them (by a tag)
//!  rows of a table have other words for the same keys: `retry_interval` for `retryInterval`
//! ```

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::draft::{Found, NotifierDraft, TargetDraft};
use super::fields::{Fields, scalar};
use super::kuma_groups::{Group, groups, paused};
use super::kuma_notifications::notification;
use super::words::{Codes, tag};
use crate::model::expectation::StatusSet;
use crate::model::text::quoted;

/// Keys of other types of monitors, which an HTTP monitor carries along with whatever their defaults are.
const OTHER_TYPES: &[&str] = &[
    "mqtt",
    "grpc",
    "radius",
    "kafka",
    "rabbitmq",
    "snmp",
    "docker",
    "dns",
    "database",
    "push",
    "ping",
    "smtp",
    "gamedig",
    "websocket",
    "ws",
    "remote",
    "system",
    "manual",
];
/// Keys of an HTTP monitor that say how it is shown, or what it was made of.
const SHOWN: &[&str] = &[
    "id",
    "userId",
    "createdDate",
    "weight",
    "pathName",
    "path",
    "childrenIDs",
    "forceInactive",
    "includeSensitiveData",
    "maintenance",
    "screenshot",
    "packetSize",
    "hostname",
    "port",
    "game",
    "parent",
    "oauth_auth_method",
    "oauth_client_id",
    "oauth_client_secret",
    "oauth_token_url",
    "oauth_scopes",
    "oauth_audience",
    "authDomain",
    "authWorkstation",
    "restartUrl",
    "numericHistory",
    "subtype",
    "location",
    "protocol",
];

/// The rows of the tables that matter, as they are read from a database.
#[derive(Debug, Default)]
pub struct Tables {
    /// `monitor`.
    pub monitors: Vec<Value>,
    /// `notification`.
    pub notifications: Vec<Value>,
    /// `monitor_notification`.
    pub monitor_notifications: Vec<Value>,
    /// `tag`.
    pub tags: Vec<Value>,
    /// `monitor_tag`.
    pub monitor_tags: Vec<Value>,
    /// `proxy`.
    pub proxies: Vec<Value>,
}

impl Tables {
    /// The same as a backup file would hold it.
    #[must_use]
    pub fn into_backup(self) -> Value {
        let mut monitors = self.monitors;
        let id = |row: &Value, key: &str| row.get(key).and_then(Value::as_i64);
        let tags: BTreeMap<i64, &Value> = self.tags.iter().filter_map(|t| Some((id(t, "id")?, t))).collect();
        for monitor in &mut monitors {
            let Some(own) = id(monitor, "id") else { continue };
            let of =
                |rows: &[Value]| rows.iter().filter(|r| id(r, "monitor_id") == Some(own)).cloned().collect::<Vec<_>>();
            let told: Map<String, Value> = of(&self.monitor_notifications)
                .iter()
                .filter_map(|r| Some((id(r, "notification_id")?.to_string(), Value::Bool(true))))
                .collect();
            let tagged: Vec<Value> = of(&self.monitor_tags)
                .iter()
                .filter_map(|r| {
                    let name = tags.get(&id(r, "tag_id")?)?.get("name")?.clone();
                    Some(serde_json::json!({ "name": name, "value": r.get("value") }))
                })
                .collect();
            if let Value::Object(map) = monitor {
                map.insert("notificationIDList".into(), Value::Object(told));
                map.insert("tags".into(), Value::Array(tagged));
            }
        }
        serde_json::json!({ "monitorList": monitors, "notificationList": self.notifications, "proxyList": self.proxies })
    }
}

/// Maps a backup file, or a list of monitors.
///
/// # Errors
/// A sentence, when it is neither.
pub fn map(source: Value) -> Result<Found, String> {
    let mut found = Found::default();
    let (monitors, notifications) = match source {
        Value::Array(rows) => (rows, Vec::new()),
        Value::Object(map) if map.contains_key("monitorList") => {
            let mut top = Fields::of(Value::Object(map), "");
            let monitors = match top.take("monitorList") {
                // `getMonitorList` gives a table by id.
                Some(Value::Object(by_id)) => by_id.into_iter().map(|(_, monitor)| monitor).collect(),
                Some(Value::Array(all)) => all,
                _ => Vec::new(),
            };
            let notifications = top.list("notificationList");
            top.skip(&["version"]);
            let proxies = top.list("proxyList").len();
            if proxies > 0 {
                top.note(format!("proxyList: {proxies} proxies have no counterpart: skypunch connects by itself"));
            }
            top.finish();
            found.notes.append(&mut top.notes);
            (monitors, notifications)
        }
        _ => {
            return Err(
                "this is no backup of Uptime Kuma (an object with monitorList) and no list of monitors: make one by \
                        Settings, Backup, Export in version 1, or name its kuma.db"
                    .into(),
            );
        }
    };
    let mut notifiers: BTreeMap<String, NotifierDraft> = BTreeMap::new();
    for value in notifications {
        notification(value, &mut notifiers, &mut found);
    }
    let groups = groups(&monitors);
    let mut targets: Vec<(TargetDraft, Vec<String>)> = Vec::new();
    for value in monitors {
        if let Some(target) = monitor(value, &groups, &mut found) {
            targets.push(target);
        }
    }
    route(&mut targets, &mut notifiers);
    found.targets = targets.into_iter().map(|(target, _)| target).collect();
    found.notifiers = notifiers.into_values().collect();
    Ok(found)
}

/// Tags, so that each notifier sees the targets that named it; none where it sees all.
fn route(targets: &mut [(TargetDraft, Vec<String>)], notifiers: &mut BTreeMap<String, NotifierDraft>) {
    for (id, notifier) in notifiers {
        let named = targets.iter().filter(|(_, ids)| ids.contains(id)).count();
        if named == 0 {
            notifier.definition.enabled = false;
            notifier.note("not enabled: no monitor that was brought over names it");
        } else if named < targets.len() {
            let word = tag(&format!("notify-{}", notifier.definition.name));
            notifier.definition.match_tags = Some(word.clone());
            targets.iter_mut().filter(|(_, ids)| ids.contains(id)).for_each(|(t, _)| t.add_tag(&word));
        }
    }
}

/// The keys of a row in the words of a backup file.
pub(super) fn renamed(value: Value) -> Value {
    const SAME: [&str; 5] = ["basic_auth_", "oauth_", "dns_", "docker_", "accepted_statuscodes"];
    let Value::Object(map) = value else { return value };
    let camel = |key: &str| {
        if key == "accepted_statuscodes_json" {
            return "accepted_statuscodes".to_owned();
        }
        if SAME.iter().any(|s| key.starts_with(s)) {
            return key.to_owned();
        }
        let mut parts = key.split('_');
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let mut letters = part.chars();
            out.extend(letters.next().map(|c| c.to_ascii_uppercase()));
            out.push_str(letters.as_str());
        }
        out
    };
    Value::Object(map.into_iter().map(|(key, value)| (camel(&key), value)).collect())
}

/// A monitor as a target, with the ids of the notifications that it names.
fn monitor(value: Value, groups: &BTreeMap<i64, Group>, found: &mut Found) -> Option<(TargetDraft, Vec<String>)> {
    let mut f = Fields::of(renamed(value), "");
    let name = f.word("name").unwrap_or_default();
    let kind = f.word("type").unwrap_or_default();
    if kind == "group" {
        return None; // its children carry its name as a tag
    }
    if !matches!(kind.as_str(), "http" | "keyword" | "json-query") {
        let what = f.word("hostname").or_else(|| f.word("url")).map_or(String::new(), |w| format!(", {}", quoted(&w)));
        let title = format!("monitor {} ({}{what})", quoted(&name), if kind.is_empty() { "no type" } else { &kind });
        found.leave(title, "skypunch watches HTTP and HTTPS only", Vec::new());
        return None;
    }
    let mut t = TargetDraft::named(&name);
    t.set_url(&f.word("url").unwrap_or_default());
    t.definition.enabled = f.flag("active").unwrap_or(true);
    if let Some(method) = f.word("method") {
        t.definition.method = method.to_ascii_uppercase();
    }
    let parent = f.number("parent");
    if let Some(group) = parent.and_then(|id| groups.get(&id)) {
        t.add_tag(&group.name);
        t.apart = Some(group.name.clone());
    }
    if let Some(group) = parent.and_then(|id| paused(groups, id)) {
        t.disable(&format!("its group {} is paused", quoted(&group.name)));
    }
    for tagged in f.list("tags") {
        let mut tagged = Fields::of(tagged, "tags.");
        let (word, value) = (tagged.word("name").unwrap_or_default(), tagged.word("value"));
        t.add_tag(&value.map_or(word.clone(), |v| format!("{word}:{v}")));
    }
    if let Some(text) = f.word("description") {
        t.note(text);
    }
    request(&mut f, &mut t);
    times(&mut f, &mut t);
    accepted(&mut f, &mut t);
    let told = match f.take("notificationIDList") {
        Some(Value::Object(ids)) => {
            ids.into_iter().filter(|(_, on)| *on != Value::Bool(false)).map(|(id, _)| id).collect()
        }
        _ => Vec::new(),
    };
    login(&mut f, &mut t);
    weaker(&mut f, &mut t, &kind);
    f.skip(SHOWN);
    f.skip_prefixed(OTHER_TYPES);
    f.finish();
    t.notes.append(&mut f.notes);
    Some((t, told))
}

fn request(f: &mut Fields, t: &mut TargetDraft) {
    match f.take("headers") {
        Some(Value::String(text)) if !text.trim().is_empty() => match serde_json::from_str(&text) {
            Ok(Value::Object(map)) => {
                for (name, value) in map {
                    t.header(&name, &scalar(&value).unwrap_or_else(|| value.to_string()));
                }
            }
            _ => t.note("its headers are no JSON: not brought over"),
        },
        Some(Value::Object(map)) => map.iter().for_each(|(n, v)| t.header(n, &scalar(v).unwrap_or_default())),
        _ => {}
    }
    let encoding = f.word("httpBodyEncoding").unwrap_or_else(|| "json".into());
    if let Some(body) = f.text("body").filter(|b| !b.trim().is_empty()) {
        t.definition.body = Some(body);
        let content = match encoding.as_str() {
            "xml" => "text/xml; charset=utf-8",
            "form" => "application/x-www-form-urlencoded",
            _ => "application/json",
        };
        if !t.has_header("content-type") {
            t.header("Content-Type", content);
        }
    }
    t.definition.tls_verify = !f.flag("ignoreTls").unwrap_or(false);
    let redirects = f.number("maxredirects").unwrap_or(10);
    t.definition.redirects = redirects.clamp(0, 20);
    if redirects != t.definition.redirects {
        t.note(format!("maxredirects was {redirects}: at most 20 are followed"));
    }
}

fn times(f: &mut Fields, t: &mut TargetDraft) {
    let interval = f.number("interval").filter(|s| *s > 0).unwrap_or(60);
    let frequency = interval.saturating_mul(1000);
    let timeout =
        f.take("timeout").and_then(|v| scalar(&v)).and_then(|v| super::words::duration_ms(&v)).filter(|ms| *ms > 0);
    t.set_times(frequency, timeout.unwrap_or(frequency / 5 * 4).max(10));
    let retries = f.number("maxretries").unwrap_or(0).max(0);
    t.set_thresholds(retries.saturating_add(1), 1);
    let retry = f.number("retryInterval").filter(|s| *s > 0).unwrap_or(interval);
    if retries > 0 && retry != interval {
        f.note(format!(
            "Uptime Kuma retried every {retry} s before it said down: here {} probes at the usual frequency must fail, so that \
             a failure is told after {} s instead of {} s",
            retries + 1,
            retries.saturating_mul(interval),
            retries.saturating_mul(retry)
        ));
    }
    if f.number("resendInterval").is_some_and(|n| n > 0) {
        f.note("resendInterval has no counterpart at a target: see `remind` of a notifier");
    }
}

fn accepted(f: &mut Fields, t: &mut TargetDraft) {
    let codes = match f.take("accepted_statuscodes") {
        Some(Value::String(text)) => serde_json::from_str(&text).unwrap_or_else(|_| vec![text]),
        Some(Value::Array(all)) => all.iter().filter_map(scalar).collect(),
        _ => Vec::new(),
    };
    if codes.is_empty() {
        return;
    }
    match StatusSet::parse(&codes.join(",")) {
        // Written anew, so that ranges that touch become one.
        Ok(set) => t.definition.pass_result = Codes::of(|code| set.contains(code)).written(),
        Err(why) => t.note(format!("accepted_statuscodes: {why}: 200-299 is expected")),
    }
}

fn login(f: &mut Fields, t: &mut TargetDraft) {
    let method = f.word("authMethod").unwrap_or_default();
    let (user, password) = (f.word("basic_auth_user"), f.text("basic_auth_pass").unwrap_or_default());
    match method.as_str() {
        "" | "basic" | "null" => {
            if let Some(user) = user {
                t.basic(&user, &password);
            }
        }
        "ntlm" | "oauth2-cc" | "mtls" => {
            t.note(format!(
                "authMethod {method} has no counterpart: BASIC, BEARER and OPENSTACK are what skypunch speaks"
            ));
            t.disable("it could not log in");
        }
        other => t.note(format!("authMethod {} is not known: not brought over", quoted(other))),
    }
    f.skip(&["tlsCert", "tlsKey"]); // of mtls
    if f.has("tlsCa") {
        f.skip(&["tlsCa"]);
        t.note("tlsCa is the text of a certificate: save it as a file and write tls_ca = \"/path/ca.pem\"");
        t.disable("without that file its certificate would not hold");
    }
    f.skip(&["tlsCa"]);
    if f.no_counterpart(&[("proxyId", "there are no proxies")]) {
        t.disable("it may not be reachable without its proxy");
    }
}

/// What Uptime Kuma looked at and skypunch does not.
fn weaker(f: &mut Fields, t: &mut TargetDraft, kind: &str) {
    if f.flag("upsideDown") == Some(true) {
        t.note("upsideDown has no counterpart: it was up when the request failed");
        t.disable("it would be judged the other way round");
    }
    let invert = f.flag("invertKeyword").unwrap_or(false);
    let keyword = f.word("keyword");
    if kind == "keyword" {
        let what = if invert { "absent from" } else { "in" };
        f.note(format!(
            "the keyword {} {what} the answer is not looked at: the status alone decides",
            quoted(&keyword.unwrap_or_default())
        ));
    }
    let (path, expected) = (f.word("jsonPath"), f.word("expectedValue"));
    f.skip(&["jsonPathOperator"]);
    if kind == "json-query" {
        let of = format!("{} = {}", path.unwrap_or_default(), expected.unwrap_or_default());
        f.note(format!("the query {} is not looked at: the status alone decides", quoted(&of)));
    }
    if f.flag("expiryNotification") == Some(true) {
        f.note("expiryNotification: the end of the certificate is shown by `skypunchctl targets NAME`, and one that does not hold is FAIL");
    }
    if f.flag("cacheBust") == Some(true) {
        f.note("cacheBust has no counterpart: the URL is sent as it is");
    }
    if let Some(family) = f.word("ipFamily").filter(|f| f != "auto") {
        f.note(format!("ipFamily {} has no counterpart: every address is tried", quoted(&family)));
    }
    if f.take("conditions").and_then(|c| scalar(&c)).is_some_and(|c| !matches!(c.trim(), "" | "[]")) {
        f.note("conditions have no counterpart: the status alone decides");
    }
    f.skip(&["responseMaxLength"]);
    f.no_counterpart(&[
        ("domainExpiryNotification", "the end of a domain's registration is not looked at"),
        ("saveResponse", "answers are not kept"),
        ("saveErrorResponse", "answers are not kept"),
        ("retryOnlyOnStatusCodeFailure", "each failure counts"),
    ]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rows_of_the_table_and_the_backup_say_the_same() {
        let row = json!([{"id": 1, "name": "a", "type": "http", "url": "http://a/", "active": 0, "interval": 30, "maxretries": 2,
            "retry_interval": 30, "ignore_tls": 1, "accepted_statuscodes_json": "[\"200-299\",\"300\"]", "timeout": 0, "maxredirects": 0}]);
        let backup = json!({"monitorList": {"1": {"id": 1, "name": "a", "type": "http", "url": "http://a/", "active": false, "interval": 30,
            "maxretries": 2, "retryInterval": 30, "ignoreTls": true, "accepted_statuscodes": ["200-299", "300"], "timeout": null, "maxredirects": 0}}});
        let (a, b) = (map(row).unwrap(), map(backup).unwrap());
        assert_eq!(a.targets[0].definition, b.targets[0].definition);
        let d = &a.targets[0].definition;
        assert_eq!(
            (d.timeout_ms, d.fail_after, d.pass_result.as_str(), d.enabled),
            (Some(24_000), 3, "200-300", false)
        );
        assert_eq!((a.targets[0].notes.clone(), d.tls_verify), (Vec::<String>::new(), false));
    }

    #[test]
    fn other_files_are_refused_and_odd_monitors_told() {
        assert!(map(json!({"a": 1})).unwrap_err().contains("no backup of Uptime Kuma"));
        assert!(map(json!(3)).is_err());
        let found = map(json!([3, null, {}, {"type": "http"}, {"type": "http", "url": [1], "headers": "x", "accepted_statuscodes": ["9"]}])).unwrap();
        assert_eq!((found.targets.len(), found.left.len()), (2, 3));
        assert!(found.write("f").contains("its headers are no JSON"));
    }
}
