//! A notifier as a person wrote it: keys set one by one, shown without secrets, checked.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{EventKind, Filter, MONITOR, Notifier, NotifierDefinition, NotifierId, TypeCheck};
use crate::model::definition::check::{MAX_PARMS, check_name, check_tags, odd_flag, redact_userinfo};
use crate::model::definition::values::{boolean, duration, integer, list, params_text, text, wrong_type};
use crate::model::definition::{HIDDEN, Problem, check, given_twice, lines, problem, unknown_key};
use crate::model::params;
use crate::model::text::{nearest, quoted};
use crate::secret::Secret;

/// The type whose address is no secret.
pub const SMTP: &str = "SMTP";

/// What the columns of both databases keep of a short text.
const MAX_SHORT: usize = 255;
const MAX_TYPE: usize = 32;
const MAX_ADDRESS: usize = 4096;
const MAX_TEMPLATES: usize = 64 * 1024;

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Keys that are durations, as people write them and in milliseconds.
const DURATIONS: &[&str] = &["group_wait", "group_window", "retry_for", "remind"];

impl NotifierDefinition {
    /// Every key that a person may write, in the order of the table. `group_wait`, `group_window`, `retry_for` and
    /// `remind` take durations as people write them ("5s").
    pub const KEYS: &'static [&'static str] = &[
        "name",
        "tenantid",
        "type",
        "address",
        "params",
        "enabled",
        "match_tags",
        "match_tenant",
        "match_name",
        "events",
        "group_wait",
        "group_wait_ms",
        "group_window",
        "group_window_ms",
        "rate_per_minute",
        "retry_for",
        "retry_for_ms",
        "remind",
        "remind_ms",
        "templates",
    ];

    /// Sets one key from a value as a file or the API gives it; `null` sets the default. What the API shows in place of
    /// a secret (`***`, or `https://host/***`) keeps that secret.
    ///
    /// # Errors
    /// An unknown key (with the nearest known one) or a value of the wrong type. What the value means is checked by
    /// [`NotifierDefinition::validate`].
    pub fn set(&mut self, key: &str, value: &Value) -> Result<(), Problem> {
        let default = NotifierDefinition::default();
        match key {
            "name" => self.name = text(key, value)?.unwrap_or_default(),
            "tenantid" => self.tenantid = text(key, value)?.unwrap_or(default.tenantid),
            "type" => self.kind = text(key, value)?.unwrap_or_default(),
            "address" => {
                let written = text(key, value)?.unwrap_or_default();
                if written == HIDDEN || written.ends_with("/***") {
                    // The type may change in the same request: the form of a webhook is kept too.
                    if self.address.is_empty() || ![HIDDEN, &shown(&self.address), &self.address].contains(&&*written) {
                        return Err(problem(key, no_secret(&redact_userinfo(&written))));
                    }
                } else {
                    self.address = written;
                }
            }
            "params" if value == HIDDEN => {
                if self.params.is_none() {
                    return Err(problem(key, no_secret(HIDDEN)));
                }
            }
            "params" => self.params = params_text(value)?.filter(|p| !p.is_empty()).map(Secret::new),
            "enabled" => self.enabled = boolean(key, value)?.unwrap_or(true),
            "match_tags" => self.match_tags = list(key, value)?,
            "match_tenant" => self.match_tenant = text(key, value)?,
            "match_name" => self.match_name = text(key, value)?,
            "events" => self.events = list(key, value)?,
            "group_wait" => self.group_wait_ms = duration(key, value)?.unwrap_or(default.group_wait_ms),
            "group_wait_ms" => self.group_wait_ms = integer(key, value)?.unwrap_or(default.group_wait_ms),
            "group_window" => self.group_window_ms = duration(key, value)?.unwrap_or(default.group_window_ms),
            "group_window_ms" => self.group_window_ms = integer(key, value)?.unwrap_or(default.group_window_ms),
            "rate_per_minute" => self.rate_per_minute = integer(key, value)?.unwrap_or(default.rate_per_minute),
            "retry_for" => self.retry_for_ms = duration(key, value)?.unwrap_or(default.retry_for_ms),
            "retry_for_ms" => self.retry_for_ms = integer(key, value)?.unwrap_or(default.retry_for_ms),
            "remind" => self.remind_ms = duration(key, value)?,
            "remind_ms" => self.remind_ms = integer(key, value)?,
            "templates" => self.templates = templates_text(value)?,
            _ => return Err(unknown_key(key, NotifierDefinition::KEYS)),
        }
        self.odd_flags.retain(|(column, _)| *column != key);
        Ok(())
    }

    /// Sets all keys of a map; collects every error, not only the first.
    ///
    /// # Errors
    /// All problems of the map.
    pub fn set_all(&mut self, map: &Map<String, Value>) -> Result<(), Vec<Problem>> {
        let mut problems = given_twice(map, DURATIONS);
        problems.extend(map.iter().filter_map(|(k, v)| self.set(k, v).err()));
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// The definition as the API and `export` show it: every key, tags and events as lists, without secrets.
    #[must_use]
    pub fn to_json(&self) -> Map<String, Value> {
        let value = json!({
            "name": self.name, "tenantid": self.tenantid, "type": self.kind, "address": self.shown_address(),
            "params": self.params.as_ref().map(|_| HIDDEN), "enabled": self.enabled,
            "match_tags": lines(&self.match_tags, ','), "match_tenant": self.match_tenant,
            "match_name": self.match_name, "events": lines(&self.events, ','), "group_wait_ms": self.group_wait_ms,
            "group_window_ms": self.group_window_ms, "rate_per_minute": self.rate_per_minute,
            "retry_for_ms": self.retry_for_ms, "remind_ms": self.remind_ms, "templates": self.templates,
        });
        match value {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }

    /// The address without what may be a secret: all of a mail address, scheme and host of a URL, else nothing.
    #[must_use]
    pub fn shown_address(&self) -> String {
        // A key of another type does not show because somebody changes the type.
        let is_mail = self.address.contains('@') && !self.address.contains("://");
        let plain = is_mail && self.kind.trim().eq_ignore_ascii_case(SMTP);
        if plain || self.address.is_empty() { self.address.clone() } else { shown(&self.address) }
    }

    /// Checks everything and makes the notifier. `types` says what the type demands of it; it is asked only when
    /// everything else is fit.
    ///
    /// # Errors
    /// Every problem found, in the order of the table.
    pub fn validate(&self, types: &TypeCheck) -> Result<Notifier, Vec<Problem>> {
        let mut problems = Vec::new();
        let p = &mut problems;
        let name = check(p, "name", check_name(&self.name));
        let tenant = check(p, "tenantid", check_name(&self.tenantid));
        let kind = check(p, "type", check_type(&self.kind));
        let address = check(p, "address", check_address(&self.address));
        let params = check(p, "params", check_params(self.params.as_ref()));
        p.extend(self.odd_flags.iter().map(|(column, value)| problem(column, odd_flag(value))));
        let tags = check(p, "match_tags", check_tags(self.match_tags.as_deref().unwrap_or_default()));
        let of_tenant = check(p, "match_tenant", optional(self.match_tenant.as_deref()).map(check_name).transpose());
        let pattern = check(p, "match_name", optional(self.match_name.as_deref()).map(check_pattern).transpose());
        let events = check(p, "events", check_events(self.events.as_deref().unwrap_or_default()));
        let (events, monitor) = events.unwrap_or_default();
        let mut time = |key: &str, ms: i64, from: i64, to: i64| check(p, key, check_time(ms, from, to));
        let group_wait = time("group_wait_ms", self.group_wait_ms, 0, 10 * MINUTE);
        let group_window = time("group_window_ms", self.group_window_ms, 0, HOUR);
        let retry_for = time("retry_for_ms", self.retry_for_ms, MINUTE, 30 * DAY);
        let remind = self.remind_ms.map(|ms| time("remind_ms", ms, SECOND, 30 * DAY));
        let rate = check(p, "rate_per_minute", check_rate(self.rate_per_minute));
        let templates = check(p, "templates", check_templates(self.templates.as_deref().unwrap_or_default()));
        let order = |p: &Problem| NotifierDefinition::KEYS.iter().position(|k| p.field == *k);
        problems.sort_by_key(order);
        match (name, tenant, kind, address, params, group_wait, group_window, retry_for, rate, templates) {
            (
                Some(name),
                Some(tenant),
                Some(kind),
                Some(address),
                Some(params),
                Some(group_wait),
                Some(group_window),
                Some(retry_for),
                Some(rate_per_minute),
                Some(templates),
            ) if problems.is_empty() => {
                let filter = Filter {
                    tags: tags.unwrap_or_default(),
                    tenant: of_tenant.flatten(),
                    name: pattern.flatten(),
                    events,
                    monitor,
                };
                let notifier = Notifier {
                    id: NotifierId(self.id),
                    name,
                    tenant,
                    kind,
                    address,
                    params,
                    enabled: self.enabled,
                    filter,
                    group_wait,
                    group_window,
                    rate_per_minute,
                    retry_for,
                    remind: remind.flatten(),
                    templates,
                };
                let problems = types(&notifier);
                if problems.is_empty() { Ok(notifier) } else { Err(problems) }
            }
            _ => Err(problems),
        }
    }
}

fn no_secret(written: &str) -> String {
    format!("{} stands for a secret that there is none of: write it", quoted(written))
}

/// Scheme and host of a URL; nothing of anything else.
fn shown(address: &str) -> String {
    let host = url::Url::parse(address).ok().filter(|u| address.contains("://") && u.has_host()).map(|u| {
        let port = u.port().map_or(String::new(), |p| format!(":{p}"));
        format!("{}://{}{port}", u.scheme(), u.host_str().unwrap_or_default())
    });
    match host {
        Some(host) if address.trim_end_matches('/') == host => address.to_owned(),
        Some(host) => format!("{host}/{HIDDEN}"),
        None => HIDDEN.into(),
    }
}

/// TOML, or a table that is written as TOML.
fn templates_text(value: &Value) -> Result<Option<String>, Problem> {
    match value {
        Value::Object(map) if map.is_empty() => Ok(None),
        Value::Object(map) => toml::to_string(map)
            .map(Some)
            .map_err(|_| problem("templates", "holds something that is neither a name nor a template")),
        Value::Null | Value::String(_) => Ok(text("templates", value)?.filter(|t| !t.is_empty())),
        other => Err(wrong_type("templates", other, "a table of templates: write templates = { fail = \"…\" }")),
    }
}

fn optional(text: Option<&str>) -> Option<&str> {
    text.filter(|t| !t.is_empty())
}

fn check_type(kind: &str) -> Result<String, String> {
    let kind = kind.trim();
    if kind.is_empty() {
        return Err("is empty: write SMTP, WEBHOOK or another type (skypunchctl notifiers types lists them)".into());
    }
    if kind.chars().count() > MAX_TYPE || kind.chars().any(char::is_control) {
        return Err(format!("{} is no type: skypunchctl notifiers types lists them", quoted(kind)));
    }
    Ok(kind.to_ascii_uppercase())
}

/// Says nothing of the address: it may be a secret.
fn check_address(address: &str) -> Result<String, String> {
    let address = address.trim();
    if address.is_empty() {
        return Err("is empty: write where the message goes, such as me@example.com or https://host/path".into());
    }
    if address.len() > MAX_ADDRESS {
        return Err(format!("is longer than {MAX_ADDRESS} bytes"));
    }
    if address.chars().any(char::is_control) {
        return Err("holds a control character".into());
    }
    Ok(address.to_owned())
}

fn check_params(written: Option<&Secret>) -> Result<Vec<(String, Secret)>, String> {
    let text = written.map_or("", Secret::expose);
    if text.len() > MAX_PARMS {
        return Err(format!("is longer than {MAX_PARMS} bytes"));
    }
    params::parse(text)
        .map_err(|e| format!("{e}; write name=value,name=value, a value that holds a comma in double quotes"))
}

fn check_pattern(pattern: &str) -> Result<String, String> {
    if pattern.chars().count() > MAX_SHORT {
        return Err(format!("{} is longer than {MAX_SHORT} characters", quoted(pattern)));
    }
    if pattern.chars().any(char::is_control) {
        return Err(format!("{} holds a control character", quoted(pattern)));
    }
    Ok(pattern.to_owned())
}

/// The events that are listed, `None` where none is; and whether the monitor itself is among them.
fn check_events(text: &str) -> Result<(Option<Vec<EventKind>>, bool), String> {
    let words: Vec<&str> = EventKind::ALL.iter().map(|kind| kind.as_str()).chain([MONITOR]).collect();
    let (mut events, mut monitor) = (Vec::new(), false);
    for word in text.split(',').map(str::trim).filter(|w| !w.is_empty()) {
        if word.eq_ignore_ascii_case(MONITOR) {
            monitor = true;
            continue;
        }
        let Some(kind) = EventKind::from_name(&word.to_ascii_lowercase()) else {
            let hint = nearest(word, words.iter().copied()).map_or(String::new(), |n| format!(" (did you mean {n}?)"));
            return Err(format!("{} is not an event{hint}: write one or more of {}", quoted(word), words.join(", ")));
        };
        if !events.contains(&kind) {
            events.push(kind);
        }
    }
    let listed = monitor || !events.is_empty();
    Ok((listed.then_some(events), monitor))
}

fn check_time(ms: i64, from: i64, to: i64) -> Result<Duration, String> {
    if (from..=to).contains(&ms) {
        return Ok(Duration::from_millis(ms.unsigned_abs()));
    }
    let words = |ms: i64| humantime::format_duration(Duration::from_millis(ms.unsigned_abs())).to_string();
    Err(format!("{ms} is out of range: write {from} to {to} milliseconds ({} to {})", words(from), words(to)))
}

fn check_rate(n: i64) -> Result<u32, String> {
    u32::try_from(n)
        .ok()
        .filter(|n| (1..=1000).contains(n))
        .ok_or_else(|| format!("{n} is out of range: write 1 to 1000 messages a minute"))
}

/// Names and sources; what may stand in a template is known to the type.
fn check_templates(text: &str) -> Result<Vec<(String, String)>, String> {
    if text.len() > MAX_TEMPLATES {
        return Err(format!("is longer than {MAX_TEMPLATES} bytes"));
    }
    let table: toml::Table = toml::from_str(text).map_err(|e| {
        let line = e.span().map_or(1, |s| text.get(..s.start).unwrap_or_default().matches('\n').count() + 1);
        format!("line {line}: this is not TOML: {}; write fail = \"…\", a line a template", e.message())
    })?;
    let source = |(name, value): (String, toml::Value)| match value {
        toml::Value::String(source) => Ok((name, source)),
        _ => Err(format!("{} is no text: write the template in quotes", quoted(&name))),
    };
    table.into_iter().map(source).collect()
}
