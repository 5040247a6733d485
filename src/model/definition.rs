//! A target as a person wrote it, in the words of the `targets` table, and the way from there to a [`Target`].
//!
//! The same words are the columns of the table, the keys of `[[target]]` in a targets file, of the API and of
//! `--output json`. A definition comes from a row ([`crate::store`] fills the fields) or from a map
//! ([`Definition::set`], one key at a time, each with its own error); [`Definition::validate`] makes a target of it.

pub(crate) mod check;
pub(super) mod values;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::auth::Auth;
use super::state::Policy;
use super::target::{Target, TargetId, TlsOptions};
use super::text::{escape_controls, nearest, quoted, shorten};
use crate::secret::Secret;
use check::{
    MAX_PARMS, check_body, check_ca, check_count, check_egress_allow, check_frequency, check_headers, check_host,
    check_keep_alive, check_method, check_name, check_parent, check_pass_result, check_tags, check_timeout, check_url,
    odd_flag, redact_header,
};
pub use check::{is_secret_header, redact_userinfo, redact_userinfo_within};
use values::{boolean, duration, headers_text, integer, kept_headers, list, text};

/// Default time between due times.
pub const DEFAULT_FREQUENCY_MS: i64 = 60_000;
/// Default deadline, where the frequency is not shorter.
pub const DEFAULT_TIMEOUT_MS: i64 = 10_000;

/// One thing that is wrong with a definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Problem {
    /// The column or key.
    pub field: String,
    /// What is wrong, the value unless it is secret, and what to write instead.
    pub message: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

pub(super) fn problem(field: &str, message: impl Into<String>) -> Problem {
    Problem { field: field.to_owned(), message: message.into() }
}

/// A target's definition, unchecked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, serde::Deserialize)]
pub struct Definition {
    /// The database's id; 0 where there is none yet.
    pub id: i64,
    /// Unique within the tenant.
    pub name: String,
    /// The tenant.
    pub tenantid: String,
    /// `http://…`, `https://…` or `openstack://SERVICE_TYPE/INTERFACE?region=…&path=…`.
    pub url: String,
    /// GET, PUT, POST, DELETE, HEAD, PATCH or OPTIONS.
    pub method: String,
    /// Request headers, a `Name: value` line each.
    pub headers: Option<String>,
    /// Request body.
    pub body: Option<String>,
    /// NONE, BASIC, BEARER or OPENSTACK.
    pub authn: String,
    /// `user=…,password=…`, `token=…` or the parameters of a login ([`super::credential`]).
    pub authn_parms: Option<Secret>,
    /// Name of a shared credential, `tenant/name` or `cloud:NAME`; makes it OPENSTACK.
    pub credential: Option<String>,
    /// Status codes that are PASS.
    pub pass_result: String,
    /// Time between due times.
    pub frequency_ms: i64,
    /// Deadline; 10 s or the frequency, whichever is shorter, where it is not said.
    pub timeout_ms: Option<i64>,
    /// FAIL outcomes in a row until FAIL.
    pub fail_after: i64,
    /// PASS outcomes in a row until a failed target is PASS.
    pub recover_after: i64,
    /// Redirects to follow.
    pub redirects: i64,
    /// PEM file of certificate authorities.
    pub tls_ca: Option<String>,
    /// Whether the certificate is verified.
    pub tls_verify: bool,
    /// Name to send and verify.
    pub tls_server_name: Option<String>,
    /// `Host` header.
    pub host: Option<String>,
    /// Words, separated by commas.
    pub tags: Option<String>,
    /// Name of the target that this one depends on, or `tenant/name`.
    pub parent: Option<String>,
    /// Addresses and presets that the egress policy lets it connect to, separated by commas.
    pub egress_allow: Option<String>,
    /// How many probes one connection may serve; 0: each has a fresh one.
    pub keep_alive: i64,
    /// Whether it is probed.
    pub enabled: bool,
    /// Columns of a row that should hold 0 or 1, and what they hold instead.
    #[serde(skip)]
    pub odd_flags: Vec<(&'static str, String)>,
}

impl Default for Definition {
    fn default() -> Self {
        Definition {
            id: 0,
            name: String::new(),
            tenantid: "0".into(),
            url: String::new(),
            method: "GET".into(),
            headers: None,
            body: None,
            authn: "NONE".into(),
            authn_parms: None,
            credential: None,
            pass_result: "200".into(),
            frequency_ms: DEFAULT_FREQUENCY_MS,
            timeout_ms: None,
            fail_after: 1,
            recover_after: 1,
            redirects: 0,
            tls_ca: None,
            tls_verify: true,
            tls_server_name: None,
            host: None,
            tags: None,
            parent: None,
            egress_allow: None,
            keep_alive: 0,
            enabled: true,
            odd_flags: Vec::new(),
        }
    }
}

/// Every key that a person may write, in the order of the table. `frequency` and `timeout` take durations as people
/// write them ("10s").
pub const KEYS: &[&str] = &[
    "name",
    "tenantid",
    "url",
    "method",
    "headers",
    "body",
    "authn",
    "authn_parms",
    "credential",
    "pass_result",
    "frequency",
    "frequency_ms",
    "timeout",
    "timeout_ms",
    "fail_after",
    "recover_after",
    "redirects",
    "tls_ca",
    "tls_verify",
    "tls_server_name",
    "host",
    "tags",
    "parent",
    "egress_allow",
    "keep_alive",
    "enabled",
];

/// Stands for a secret in what is shown; in what is written it keeps the secret that there is.
pub(super) const HIDDEN: &str = "***";

impl Definition {
    /// Sets one key from a value as a file or the API gives it; `null` sets the default, and `***` in the place of a
    /// secret (as the API shows it) keeps that secret.
    ///
    /// # Errors
    /// An unknown key (with the nearest known one) or a value of the wrong type. What the value means is checked by
    /// [`Definition::validate`].
    pub fn set(&mut self, key: &str, value: &Value) -> Result<(), Problem> {
        let default = Definition::default();
        let null = value.is_null();
        match key {
            "name" => self.name = text(key, value)?.unwrap_or_default(),
            "tenantid" => self.tenantid = text(key, value)?.unwrap_or(default.tenantid),
            "url" => self.url = text(key, value)?.unwrap_or_default(),
            "method" => self.method = text(key, value)?.unwrap_or(default.method),
            "headers" => self.headers = kept_headers(self.headers.as_deref(), headers_text(value)?)?,
            "body" => self.body = text(key, value)?,
            "authn" => self.authn = text(key, value)?.unwrap_or(default.authn),
            "authn_parms" if value == HIDDEN => match &self.authn_parms {
                Some(_) => {}
                None => {
                    return Err(problem(key, "is `***`, which stands for a secret that there is none of: write it"));
                }
            },
            "authn_parms" => self.authn_parms = text(key, value)?.map(Secret::new),
            "credential" => self.credential = text(key, value)?,
            "pass_result" => {
                self.pass_result = match value {
                    Value::Number(n) => n.to_string(),
                    _ if null => default.pass_result,
                    _ => text(key, value)?.unwrap_or_default(),
                }
            }
            "frequency_ms" => self.frequency_ms = integer(key, value)?.unwrap_or(default.frequency_ms),
            "frequency" => self.frequency_ms = duration(key, value)?.unwrap_or(default.frequency_ms),
            "timeout_ms" => self.timeout_ms = integer(key, value)?,
            "timeout" => self.timeout_ms = duration(key, value)?,
            "fail_after" => self.fail_after = integer(key, value)?.unwrap_or(1),
            "recover_after" => self.recover_after = integer(key, value)?.unwrap_or(1),
            "redirects" => self.redirects = integer(key, value)?.unwrap_or(0),
            "tls_ca" => self.tls_ca = text(key, value)?,
            "tls_verify" => self.tls_verify = boolean(key, value)?.unwrap_or(true),
            "tls_server_name" => self.tls_server_name = text(key, value)?,
            "host" => self.host = text(key, value)?,
            "tags" => self.tags = list(key, value)?,
            "parent" => self.parent = text(key, value)?,
            "egress_allow" => self.egress_allow = list(key, value)?,
            "keep_alive" => self.keep_alive = integer(key, value)?.unwrap_or(0),
            "enabled" => self.enabled = boolean(key, value)?.unwrap_or(true),
            _ => return Err(unknown_key(key, KEYS)),
        }
        self.odd_flags.retain(|(column, _)| *column != key);
        Ok(())
    }

    /// Sets all keys of a map; collects every error, not only the first.
    ///
    /// # Errors
    /// All problems of the map.
    pub fn set_all(&mut self, map: &Map<String, Value>) -> Result<(), Vec<Problem>> {
        let mut problems = given_twice(map, &["frequency", "timeout"]);
        problems.extend(map.iter().filter_map(|(k, v)| self.set(k, v).err()));
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// The definition as the API and `export` show it: every key, headers and tags as lists, without secrets.
    #[must_use]
    pub fn to_json(&self) -> Map<String, Value> {
        let value = json!({
            "name": self.name, "tenantid": self.tenantid, "url": redact_userinfo(&self.url), "method": self.method,
            "headers": lines(&self.headers, '\n').iter().map(|l| redact_header(l)).collect::<Vec<_>>(),
            "body": self.body, "authn": self.authn,
            "authn_parms": self.authn_parms.as_ref().map(|_| HIDDEN),
            "credential": self.credential, "pass_result": self.pass_result, "frequency_ms": self.frequency_ms,
            "timeout_ms": self.timeout_ms, "fail_after": self.fail_after, "recover_after": self.recover_after,
            "redirects": self.redirects, "tls_ca": self.tls_ca, "tls_verify": self.tls_verify,
            "tls_server_name": self.tls_server_name, "host": self.host, "tags": lines(&self.tags, ','),
            "parent": self.parent, "egress_allow": lines(&self.egress_allow, ','),
            "keep_alive": self.keep_alive, "enabled": self.enabled,
        });
        match value {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }

    /// Checks everything and makes the target.
    ///
    /// # Errors
    /// Every problem found, in the order of the table.
    pub fn validate(&self) -> Result<Target, Vec<Problem>> {
        let mut problems = Vec::new();
        let name = check(&mut problems, "name", check_name(&self.name));
        let tenant = check(&mut problems, "tenantid", check_name(&self.tenantid));
        let url = check(&mut problems, "url", check_url(&self.url));
        let method = check(&mut problems, "method", check_method(&self.method));
        let headers = check(&mut problems, "headers", check_headers(self.headers.as_deref().unwrap_or_default()));
        let body = check(&mut problems, "body", check_body(self.body.as_deref()));
        if self.authn_parms.as_ref().is_some_and(|p| p.expose().len() > MAX_PARMS) {
            problems.push(problem("authn_parms", format!("is longer than {MAX_PARMS} bytes")));
        }
        let auth = Auth::of(self.authn.trim(), self.authn_parms.as_ref(), self.credential.as_deref(), &self.tenantid);
        let auth = match auth {
            Ok(auth) => Some(auth),
            Err((field, message)) => {
                problems.push(problem(field, message));
                None
            }
        };
        let expect = check(&mut problems, "pass_result", check_pass_result(&self.pass_result));
        let frequency = check(&mut problems, "frequency_ms", check_frequency(self.frequency_ms));
        let timeout_ms = self.timeout_ms.unwrap_or_else(|| DEFAULT_TIMEOUT_MS.min(self.frequency_ms));
        let timeout = if self.timeout_ms.is_none() && frequency.is_none() {
            None // it follows from the frequency, which has its own problem
        } else {
            check(&mut problems, "timeout_ms", check_timeout(timeout_ms, self.frequency_ms))
        };
        let fail_after = check(&mut problems, "fail_after", check_count(self.fail_after));
        let recover_after = check(&mut problems, "recover_after", check_count(self.recover_after));
        let redirects = check(
            &mut problems,
            "redirects",
            u8::try_from(self.redirects)
                .ok()
                .filter(|n| *n <= 20)
                .ok_or_else(|| format!("{} is out of range: write 0 (do not follow) to 20", self.redirects)),
        );
        let ca = check(&mut problems, "tls_ca", check_ca(self.tls_ca.as_deref()));
        let server_name = check(&mut problems, "tls_server_name", check_host(self.tls_server_name.as_deref(), false));
        let host = check(&mut problems, "host", check_host(self.host.as_deref(), true));
        let tags = check(&mut problems, "tags", check_tags(self.tags.as_deref().unwrap_or_default()));
        let parent = check(&mut problems, "parent", check_parent(self.parent.as_deref(), &self.tenantid, &self.name));
        let egress_allow =
            check(&mut problems, "egress_allow", check_egress_allow(self.egress_allow.as_deref().unwrap_or_default()));
        let keep_alive = check(&mut problems, "keep_alive", check_keep_alive(self.keep_alive, method));
        problems.extend(self.odd_flags.iter().map(|(column, value)| problem(column, odd_flag(value))));
        if let (Some(auth), Some(headers)) = (&auth, &headers)
            && let Some((header, _)) =
                headers.iter().find(|(n, _)| auth.header().is_some_and(|h| n.eq_ignore_ascii_case(h)))
        {
            problems
                .push(problem("headers", format!("{header} is set here and by authn {}: leave one out", auth.kind())));
        }
        if let (Some(auth), Some((_, Some(_)))) = (&auth, &url)
            && auth.kind() != "OPENSTACK"
        {
            let message = format!(
                "{} is looked up in the catalog that comes with a token, and authn is {}: write credential = \"NAME\", \
                 or authn OPENSTACK and authn_parms",
                quoted(&self.url),
                auth.kind()
            );
            problems.push(problem("url", message));
        }
        match (name, tenant, url, method, headers, body, auth, expect, frequency, timeout) {
            (
                Some(name),
                Some(tenant),
                Some((url, catalog)),
                Some(method),
                Some(headers),
                Some(body),
                Some(auth),
                Some(expect),
                Some(frequency),
                Some(timeout),
            ) if problems.is_empty() => Ok(Target {
                id: TargetId(self.id),
                name,
                tenant,
                url,
                catalog: catalog.map(Box::new),
                method,
                headers,
                body,
                auth,
                expect,
                frequency,
                timeout,
                timeout_is_default: self.timeout_ms.is_none(),
                policy: Policy { fail_after: fail_after.unwrap_or(1), recover_after: recover_after.unwrap_or(1) },
                redirects: redirects.unwrap_or(0),
                tls: TlsOptions { ca: ca.flatten(), skip_verify: !self.tls_verify, server_name: server_name.flatten() },
                host: host.flatten(),
                tags: tags.unwrap_or_default(),
                egress_allow: egress_allow.flatten(),
                keep_alive: keep_alive.unwrap_or(0),
                parent: parent.flatten(),
                enabled: self.enabled,
            }),
            _ => Err(problems),
        }
    }
}

/// The parts of a text, as lists in JSON have them.
pub(super) fn lines(text: &Option<String>, separator: char) -> Vec<String> {
    let parts = text.as_deref().unwrap_or_default().split(separator);
    parts.map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect()
}

/// A key that is not among `known`.
pub(super) fn unknown_key(key: &str, known: &[&str]) -> Problem {
    let hint = nearest(key, known.iter().copied())
        .map_or_else(|| format!("known are {}", known.join(", ")), |k| format!("did you mean `{k}`?"));
    // The key is whatever was written: a sentence shows it as it shows a value.
    problem(&escape_controls(&shorten(key, 60)), format!("there is no such key; {hint}"))
}

/// Durations that stand in a map as `key` and as `key_ms`.
pub(super) fn given_twice(map: &Map<String, Value>, durations: &[&str]) -> Vec<Problem> {
    let twice = durations.iter().filter(|key| map.contains_key(**key) && map.contains_key(&format!("{key}_ms")));
    twice.map(|key| problem(key, format!("is given twice, as `{key}` and as `{key}_ms`: leave one out"))).collect()
}

pub(super) fn check<T>(problems: &mut Vec<Problem>, field: &str, result: Result<T, String>) -> Option<T> {
    result.map_err(|message| problems.push(problem(field, message))).ok()
}

#[cfg(test)]
mod tests;
