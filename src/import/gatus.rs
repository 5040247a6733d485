//! Gatus: `config.yaml`, one file or the several of a configuration folder.
//!
//! ```text
//!  endpoints --each--> target: conditions on [STATUS] -> pass_result, thresholds of its alerts -> fail_after, recover_after
//!  alerting  --each provider--> notifier, which sees the targets that have an alert of its type (by a tag)
//! ```

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::channels::{self, GATUS, add_param};
use super::draft::{Found, NotifierDraft, TargetDraft};
use super::fields::Fields;
use super::gatus_conditions::judge;
use super::words::duration_ms;
use crate::model::text::quoted;

/// What no target and no notifier is.
const SETTINGS: &[(&str, &str)] = &[
    ("metrics", "see `GET /metrics`"),
    ("storage", "the database is set by [database] in skypunch.toml"),
    ("security", "the control socket is protected by its file's group"),
    ("ui", "there is no page"),
    ("web", "what listens is set by [http] in skypunch.toml"),
    ("maintenance", "there are no maintenance windows: disable the targets or the notifiers for that time"),
    ("remote", "there are no remote instances"),
    ("connectivity", "trouble of our own is UNKNOWN without being told how"),
    ("tunneling", "there are no tunnels"),
    ("announcements", "there is no page"),
    ("debug", "the log is set by [log] in skypunch.toml"),
    ("concurrency", "each target keeps its own time"),
    ("disable-monitoring-lock", "each target keeps its own time"),
    ("skip-invalid-config-update", "a definition that is wrong never stops another"),
    ("external-endpoints", "nothing can report to skypunch from outside"),
    ("suites", "a target is one request: there are no suites"),
];

/// Thresholds as `alerts` and `default-alert` give them.
#[derive(Debug, Clone, Default)]
struct Alert {
    enabled: Option<bool>,
    failures: Option<i64>,
    successes: Option<i64>,
    resolved: Option<bool>,
}

impl Alert {
    fn read(fields: &mut Fields) -> Alert {
        let alert = Alert {
            enabled: fields.flag("enabled"),
            failures: fields.number("failure-threshold").filter(|n| *n > 0),
            successes: fields.number("success-threshold").filter(|n| *n > 0),
            resolved: fields.flag("send-on-resolved"),
        };
        fields.no_counterpart(&[
            ("description", "a message says what failed and why"),
            ("provider-override", "a target's messages go where its notifier sends them"),
            ("minimum-reminder-interval", "see `remind` of a notifier"),
        ]);
        alert
    }

    fn over(self, default: &Alert) -> Alert {
        Alert {
            enabled: self.enabled.or(default.enabled),
            failures: self.failures.or(default.failures),
            successes: self.successes.or(default.successes),
            resolved: self.resolved.or(default.resolved),
        }
    }
}

/// Maps what the files of one configuration hold, in their order.
///
/// # Errors
/// A sentence, when they hold nothing of Gatus.
pub fn map(files: Vec<Value>) -> Result<Found, String> {
    const KNOWN: [&str; 5] = ["endpoints", "services", "alerting", "suites", "external-endpoints"];
    if !files.iter().any(|f| KNOWN.iter().any(|k| f.get(k).is_some())) {
        return Err("holds no `endpoints:`: name the config.yaml of Gatus".into());
    }
    let mut found = Found::default();
    let (mut endpoints, mut alerting) = (Vec::new(), Map::new());
    for file in files {
        let mut top = Fields::of(file, "");
        endpoints.extend(top.list("endpoints"));
        // What the configuration was called until version 4.
        endpoints.extend(top.list("services"));
        match top.take("alerting") {
            Some(Value::Object(more)) => alerting.extend(more),
            Some(other) => {
                top.note(format!("alerting is not a table ({}): not brought over", quoted(&other.to_string())));
            }
            None => {}
        }
        top.no_counterpart(SETTINGS);
        top.finish();
        found.notes.append(&mut top.notes);
    }
    let mut defaults: BTreeMap<String, Alert> = BTreeMap::new();
    let mut notifiers = Vec::new();
    for (word, value) in alerting {
        let mut fields = Fields::of(value, &format!("alerting.{word}."));
        let default = fields.below("default-alert").map(|mut below| {
            let alert = Alert::read(&mut below);
            below.finish_into(&mut fields);
            alert
        });
        defaults.insert(word.clone(), default.unwrap_or_default());
        match provider(&word, &mut fields) {
            Ok(mut notifier) => {
                notifier.notes.append(&mut fields.notes);
                notifiers.push((word, notifier));
            }
            Err(why) => found.leave(format!("alerting.{word}"), &why, std::mem::take(&mut fields.notes)),
        }
    }
    let mut used: BTreeMap<String, Use> = BTreeMap::new();
    let known: BTreeSet<&str> = notifiers.iter().map(|(word, _)| word.as_str()).collect();
    let mut targets = Vec::new();
    for value in endpoints {
        if let Some(target) = endpoint(value, &defaults, &known, &mut used, &mut found) {
            targets.push(target);
        }
    }
    // A notifier that every target has an alert for sees all of them: no tag is needed.
    let (all, on_all): (usize, Vec<String>) = (
        targets.len(),
        used.iter().filter(|(_, u)| u.targets == targets.len()).map(|(word, _)| word.clone()).collect(),
    );
    for (target, words) in &mut targets {
        words.iter().filter(|w| !on_all.contains(w)).for_each(|w| target.add_tag(&route(w)));
    }
    for (word, notifier) in &mut notifiers {
        match used.get(word) {
            Some(u) => {
                if u.targets < all {
                    notifier.definition.match_tags = Some(route(word));
                }
                if !u.resolved {
                    notifier.note("Gatus told no recovery here (send-on-resolved); events = \"fail,reminder,flapping\" would do so too");
                }
            }
            None => {
                notifier.definition.enabled = false;
                notifier.note("not enabled: no endpoint has an alert of this type");
            }
        }
    }
    found.targets = targets.into_iter().map(|(target, _)| target).collect();
    found.notifiers = notifiers.into_iter().map(|(_, notifier)| notifier).collect();
    Ok(found)
}

/// How a provider is used.
#[derive(Debug, Default)]
struct Use {
    targets: usize,
    resolved: bool,
}

/// The tag by which a notifier sees its targets.
fn route(word: &str) -> String {
    format!("alert-{word}")
}

/// One endpoint as a target, with the providers that it alerts.
fn endpoint(
    value: Value,
    defaults: &BTreeMap<String, Alert>,
    known: &BTreeSet<&str>,
    used: &mut BTreeMap<String, Use>,
    found: &mut Found,
) -> Option<(TargetDraft, Vec<String>)> {
    let mut f = Fields::of(value, "");
    let name = f.word("name").unwrap_or_default();
    let url = f.word("url").unwrap_or_default();
    let scheme = url.split("://").next().unwrap_or_default().to_ascii_lowercase();
    if f.has("dns") || f.has("ssh") || (!matches!(scheme.as_str(), "http" | "https") && !url.contains('$')) {
        let what = if f.has("dns") {
            "dns"
        } else if f.has("ssh") {
            "ssh"
        } else {
            scheme.as_str()
        };
        let title = format!("endpoint {} ({what}, {})", quoted(&name), quoted(&url));
        found.leave(title, "skypunch watches HTTP and HTTPS only", Vec::new());
        return None;
    }
    let mut t = TargetDraft::named(&name);
    t.definition.enabled = f.flag("enabled").unwrap_or(true);
    expand(&mut t, "url", &url, |t, url| t.set_url(url));
    if let Some(group) = f.word("group") {
        t.add_tag(&group);
        t.apart = Some(group);
    }
    if let Some(method) = f.word("method") {
        t.definition.method = method.to_ascii_uppercase();
    }
    let graphql = f.flag("graphql").unwrap_or(false);
    for (name, value) in f.pairs("headers") {
        match sole_variable(&value) {
            Some((before, variable))
                if before.trim().eq_ignore_ascii_case("bearer") && name.eq_ignore_ascii_case("authorization") =>
            {
                t.bearer(&format!("${{env:{variable}}}"));
                t.note(format!(
                    "its token is the variable {variable}: name it in [secrets] environment of skypunch.toml"
                ));
            }
            _ => expand(&mut t, &name.clone(), &value, |t, value| t.header(&name, value)),
        }
    }
    if let Some(body) = f.text("body").filter(|b| !b.is_empty()) {
        let body = if graphql { serde_json::json!({ "query": body }).to_string() } else { body };
        if body.contains("[ENDPOINT_") || body.contains("[RANDOM_STRING_") {
            t.note("its body holds a word in brackets that Gatus replaces and skypunch sends as it is");
        }
        expand(&mut t, "body", &body, |t, body| t.definition.body = Some(body.to_owned()));
    }
    if graphql && !t.has_header("content-type") {
        t.header("Content-Type", "application/json");
    }
    for (name, value) in f.pairs("extra-labels") {
        t.add_tag(&format!("{name}:{value}"));
    }
    let timeout = client(&mut f, &mut t);
    let frequency = duration(&mut f, "interval", 60_000);
    t.set_times(frequency, timeout);
    let judged = judge(&f.texts("conditions"));
    if let Some(pass_result) = judged.pass_result {
        t.definition.pass_result = pass_result;
    }
    t.notes.extend(judged.notes);
    let words = alerts(&mut f, &mut t, defaults, known, used);
    f.skip(&["ui"]); // how a page looks that there is none of
    f.no_counterpart(&[
        ("maintenance-windows", "there are no maintenance windows: disable the target for that time"),
        ("store", "there are no suites"),
        ("always-run", "there are no suites"),
        ("insecure", "write it below client"),
    ]);
    f.finish();
    t.notes.append(&mut f.notes);
    Some((t, words))
}

fn duration(f: &mut Fields, key: &str, default: i64) -> i64 {
    let Some(text) = f.word(key) else { return default };
    duration_ms(&text).filter(|ms| *ms > 0).unwrap_or_else(|| {
        f.note(format!("{key} {} is no duration: {} s", quoted(&text), default / 1000));
        default
    })
}

/// `client:`; gives the timeout.
fn client(f: &mut Fields, t: &mut TargetDraft) -> i64 {
    t.definition.redirects = 10;
    let Some(mut c) = f.below("client") else { return 10_000 };
    let timeout = duration(&mut c, "timeout", 10_000);
    t.definition.tls_verify = !c.flag("insecure").unwrap_or(false);
    if c.flag("ignore-redirect") == Some(true) {
        t.definition.redirects = 0;
    }
    c.skip(&["network"]); // of ICMP alone
    c.no_counterpart(&[("dns-resolver", "name servers are set by probe.name_servers in skypunch.toml")]);
    let missing = c.no_counterpart(&[
        ("proxy-url", "there are no proxies"),
        ("oauth2", "BASIC, BEARER and OPENSTACK are what skypunch speaks"),
        ("identity-aware-proxy", "BASIC, BEARER and OPENSTACK are what skypunch speaks"),
        ("kerberos", "BASIC, BEARER and OPENSTACK are what skypunch speaks"),
        ("tls", "skypunch sends no client certificate"),
        ("tunnel", "there are no tunnels"),
        ("store-cookies", "a probe keeps nothing of the one before"),
    ]);
    c.finish_into(f);
    if missing {
        t.disable("it would not reach or not enter what it did before");
    }
    timeout
}

/// `alerts:` to thresholds; gives the providers that are told.
fn alerts(
    f: &mut Fields,
    t: &mut TargetDraft,
    defaults: &BTreeMap<String, Alert>,
    known: &BTreeSet<&str>,
    used: &mut BTreeMap<String, Use>,
) -> Vec<String> {
    let (mut words, mut thresholds): (Vec<String>, Vec<(i64, i64)>) = (Vec::new(), Vec::new());
    for value in f.list("alerts") {
        let mut a = Fields::of(value, "alerts.");
        let word = a.word("type").unwrap_or_default();
        let alert = Alert::read(&mut a).over(defaults.get(&word).unwrap_or(&Alert::default()));
        a.finish_into(f);
        if alert.enabled == Some(false) {
            f.note(format!("its alert of type {} is not enabled", quoted(&word)));
            continue;
        }
        thresholds.push((alert.failures.unwrap_or(3), alert.successes.unwrap_or(2)));
        if !known.contains(word.as_str()) {
            f.note(format!("its alert of type {} goes to nobody: see that type below", quoted(&word)));
        } else if !words.contains(&word) {
            let entry = used.entry(word.clone()).or_default();
            entry.targets += 1;
            entry.resolved |= alert.resolved == Some(true);
            words.push(word);
        }
    }
    let fail_after = thresholds.iter().map(|(failures, _)| *failures).min();
    let recover_after = thresholds.iter().map(|(_, successes)| *successes).min();
    t.set_thresholds(fail_after.unwrap_or(1), recover_after.unwrap_or(1));
    if thresholds.iter().any(|all| Some(*all) != thresholds.first().copied()) {
        f.note("its alerts have different thresholds: the smallest are taken, as a target has one of each");
    }
    words
}

/// A provider of alerts as a notifier, or why it is none.
fn provider(word: &str, f: &mut Fields) -> Result<NotifierDraft, String> {
    f.no_counterpart(&[("overrides", "add a notifier for each group, with match_tags")]);
    let Some(channel) = GATUS.iter().find(|c| c.word == word) else {
        f.finish();
        return Err(
            "skypunch has no type of notifier for it that takes the same: see `skypunchctl notifiers types`".into()
        );
    };
    if word == "ntfy"
        && let Some(topic) = f.word("topic")
    {
        let server = f.word("url").unwrap_or_else(|| "https://ntfy.sh".into());
        put(f, "url", format!("{}/{topic}", server.trim_end_matches('/')));
    }
    if word == "matrix" && !f.has("server-url") {
        put(f, "server-url", "https://matrix-client.matrix.org".into());
    }
    let mut variables = Vec::new();
    let seen = std::cell::RefCell::new(&mut variables);
    let secret = |value: &str| match sole_variable(value) {
        Some(("", name)) => {
            seen.borrow_mut().push(name.to_owned());
            format!("${{env:{name}}}")
        }
        _ => value.replace("$$", "$"),
    };
    let insecure = f.below("client").map(|mut c| {
        let insecure = c.flag("insecure").unwrap_or(false);
        c.finish_into(f);
        insecure
    });
    let mut draft = channels::notifier(channel, word, f, secret)?;
    for name in variables {
        draft.note(format!("holds the variable {name}: name it in [secrets] environment of skypunch.toml"));
    }
    if insecure == Some(true) {
        draft.note(
            "its client does not verify certificates, which skypunch does: write `ca` for an authority of your own",
        );
    }
    if word == "email" && !draft.definition.params.as_ref().is_some_and(|p| p.expose().contains("user=")) {
        add_param(&mut draft, "auth", "none");
    }
    f.finish();
    Ok(draft)
}

fn put(f: &mut Fields, key: &str, value: String) {
    let mut map = Map::new();
    map.insert(key.to_owned(), Value::String(value));
    f.extend(map);
}

/// What stands before, and the name of, the one variable that ends a text: `Bearer ${TOKEN}`.
fn sole_variable(text: &str) -> Option<(&str, &str)> {
    let (before, rest) = text.trim().split_once('$')?;
    let name = rest.strip_prefix('{').and_then(|r| r.strip_suffix('}')).unwrap_or(rest);
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then_some((before, name))
}

/// Sets a text in which Gatus would replace variables; `$$` is a dollar sign.
fn expand(t: &mut TargetDraft, key: &str, text: &str, set: impl FnOnce(&mut TargetDraft, &str)) {
    let plain = text.replace("$$", "\u{0}");
    if plain.contains('$') {
        t.note(format!("{key} holds a variable of the environment, which Gatus replaces: write its value"));
        if key == "url" {
            t.disable("nobody knows where it is without");
        }
    }
    set(t, &plain.replace('\u{0}', "$"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn variables_become_references_or_are_told() {
        assert_eq!(sole_variable("Bearer ${A_1}"), Some(("Bearer ", "A_1")));
        assert_eq!(sole_variable("$X"), Some(("", "X")));
        assert_eq!((sole_variable("a$$b"), sole_variable("${A}b"), sole_variable("x")), (None, None, None));
        let found = map(vec![
            json!({"endpoints": [{"name": "a", "url": "https://${H}/", "headers": {"Authorization": "Bearer $T", "X": "a$$b"}}]}),
        ]);
        let found = found.unwrap();
        let t = &found.targets[0];
        assert!(!t.definition.enabled, "a variable in its URL");
        assert_eq!(t.definition.authn_parms.as_ref().unwrap().expose(), "token=${env:T}");
        assert_eq!(t.definition.headers.as_deref(), Some("X: a$b"));
        assert!(t.notes.iter().any(|n| n.starts_with("url holds a variable")), "{:?}", t.notes);
    }

    #[test]
    fn odd_files_are_told_of() {
        for file in [json!(null), json!([1]), json!({"what": 1}), json!("x")] {
            assert!(map(vec![file]).unwrap_err().contains("no `endpoints:`"));
        }
        for file in [
            json!({"endpoints": {"a": 1}}),
            json!({"endpoints": [3]}),
            json!({"alerting": 3}),
            json!({"endpoints": [], "what": 1}),
        ] {
            let text = map(vec![file.clone()]).unwrap().write("f");
            assert!(text.lines().count() > 2, "{file}: {text}");
        }
    }
}
