//! Meaning of values: each check says what is wrong and what to write instead.

use std::sync::Arc;
use std::time::Duration;

use url::{Position, Url};

use super::HIDDEN;
use crate::model::catalog::{self, CatalogQuery};
use crate::model::egress::AddressList;
use crate::model::expectation::StatusSet;
use crate::model::schedule::{GRID, MIN_FREQUENCY};
use crate::model::target::Method;
use crate::model::text::{is_hidden, nearest, quoted};

/// Longer parameters are a pasted file.
pub(in crate::model) const MAX_PARMS: usize = 16 * 1024;
/// What every database keeps of a short text.
const MAX_SHORT: usize = 255;
/// A year: longer is a typing error.
const MAX_FREQUENCY_MS: i64 = 366 * 86_400_000;
/// Ten minutes.
const MAX_TIMEOUT_MS: i64 = 600_000;
/// A deadline below this cannot be met on any network.
const MIN_TIMEOUT_MS: i64 = 10;

pub(in crate::model) fn check_name(s: &str) -> Result<String, String> {
    if s.trim().is_empty() {
        return Err("is empty: write 1 to 128 characters".into());
    }
    if s.chars().count() > 128 {
        return Err(format!("{} is longer than 128 characters", quoted(s)));
    }
    if s.chars().any(char::is_control) {
        return Err(format!("{} holds a control character", quoted(s)));
    }
    if s.chars().all(|c| c.is_whitespace() || is_hidden(c)) {
        return Err(format!("{} holds nothing that can be seen", quoted(s)));
    }
    if s.trim() != s {
        // Nobody sees it, and MySQL takes names that differ only in spaces at the end for the same.
        return Err(format!("{} begins or ends with white space: write {}", quoted(s), quoted(s.trim())));
    }
    Ok(s.to_owned())
}

/// The name of a target, or `tenant/name`. Whether there is one is seen when all targets are known.
pub(in crate::model) fn check_parent(
    s: Option<&str>,
    own_tenant: &str,
    own_name: &str,
) -> Result<Option<String>, String> {
    let Some(s) = s.filter(|s| !s.is_empty()) else { return Ok(None) };
    let is_pair = s.split_once('/').is_some_and(|(tenant, name)| check_name(tenant).and(check_name(name)).is_ok());
    if !is_pair {
        check_name(s)?;
    }
    if s == own_name || s.strip_prefix(own_tenant).and_then(|rest| rest.strip_prefix('/')) == Some(own_name) {
        return Err(format!("{} is this target itself: name the one that it depends on", quoted(s)));
    }
    Ok(Some(s.to_owned()))
}

/// What a column that is yes or no holds instead.
pub(in crate::model) fn odd_flag(value: &str) -> String {
    format!("{} is neither yes nor no: write 1 (yes) or 0 (no)", quoted(value))
}

/// The URL, and what it asks of the service catalog where it is one of `openstack://…`.
pub(in crate::model) fn check_url(s: &str) -> Result<(Url, Option<CatalogQuery>), String> {
    const HOW: &str = "write http://host/path, https://host:port/path or openstack://SERVICE_TYPE/INTERFACE";
    let shown = quoted(&redact_userinfo(s));
    if s.is_empty() {
        return Err(format!("is empty: {HOW}"));
    }
    if s.len() > 2048 {
        return Err(format!("{shown} is longer than 2048 bytes"));
    }
    if s.chars().any(char::is_control) {
        return Err(format!("{shown} holds a control character"));
    }
    let mut url = Url::parse(s).map_err(|e| format!("{shown} is not a URL ({e}): {HOW}"))?;
    url.set_fragment(None);
    if url.scheme() == catalog::SCHEME {
        let query = CatalogQuery::parse(&url)?;
        return Ok((url, Some(query)));
    }
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("{shown} has the scheme {}, which is not known: {HOW}", quoted(url.scheme())));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("{shown} holds a user or password: write authn BASIC and authn_parms user=…,password=…"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(format!("{shown} has no host: {HOW}"));
    }
    if url.port() == Some(0) {
        return Err(format!("{shown} has port 0: write 1 to 65535"));
    }
    Ok((url, None))
}

/// The URL with `***` for user and password, however it is written. Of text that is no URL, or one without a host, all before
/// its last `@` is hidden.
#[must_use]
pub fn redact_userinfo(url: &str) -> String {
    match Url::parse(url).ok().filter(Url::has_host) {
        Some(read) if read.username().is_empty() && read.password().is_none() => url.to_owned(),
        Some(read) => format!("{}://{HIDDEN}@{}", read.scheme(), &read[Position::BeforeHost..]),
        None => match url.rfind('@') {
            Some(at) => format!("{}{HIDDEN}{}", plain_scheme(url), &url[at..]),
            None => url.to_owned(),
        },
    }
}

/// The same of text that need not be a URL at all: an address of mail, a name.
#[must_use]
pub fn redact_userinfo_within(text: &str) -> String {
    let like_a_url = [":/", r":\"].iter().any(|sign| text.contains(sign));
    if like_a_url { redact_userinfo(text) } else { text.to_owned() }
}

/// How a text begins that was meant for a URL of a target.
fn plain_scheme(text: &str) -> &str {
    let schemes = ["http:", "https:", "openstack:"];
    let Some(scheme) = schemes.iter().find(|s| text.get(..s.len()).is_some_and(|t| t.eq_ignore_ascii_case(s))) else {
        return "";
    };
    let slashes = text[scheme.len()..].bytes().take_while(|b| matches!(b, b'/' | b'\\')).count();
    &text[..scheme.len() + slashes]
}

/// Header names whose values are secrets.
const SECRET_HEADERS: [&str; 6] =
    ["authorization", "proxy-authorization", "cookie", "x-api-key", "x-auth-token", "x-subject-token"];

/// Whether a header's value must not be shown or sent to another origin.
#[must_use]
pub fn is_secret_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_HEADERS.contains(&name.as_str())
        || ["token", "secret", "password", "api-key", "apikey"].iter().any(|w| name.contains(w))
}

/// A line without a colon may be a secret with a typing error in it.
pub(in crate::model) fn redact_header(line: &str) -> String {
    match line.split_once(':') {
        None => HIDDEN.to_owned(),
        Some((name, _)) if is_secret_header(name.trim()) => format!("{}: {HIDDEN}", name.trim()),
        _ => line.to_owned(),
    }
}

pub(in crate::model) fn check_method(s: &str) -> Result<Method, String> {
    Method::from_name(s).ok_or_else(|| {
        let names = Method::ALL.map(Method::as_str);
        let hint = nearest(s, names).map_or(String::new(), |n| format!(" (did you mean {n}?)"));
        format!("{} is not a method{hint}: write one of {}", quoted(s), names.join(", "))
    })
}

pub(in crate::model) fn check_headers(s: &str) -> Result<Vec<(String, String)>, String> {
    let mut out = Vec::new();
    if s.len() > 16 * 1024 {
        return Err("is longer than 16 KiB".into());
    }
    for (i, line) in s.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        let n = i + 1;
        let (name, value) =
            line.split_once(':').ok_or_else(|| format!("line {n} has no colon: write `Name: value`"))?;
        let (name, value) = (name.trim_end(), value.trim());
        // RFC 9110 section 5.1: a field name is a token.
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)) {
            return Err(format!("line {n}: {} is not a header name", quoted(name)));
        }
        if value.chars().any(|c| c.is_control() && c != '\t') {
            return Err(format!("line {n}: the value of {} holds a control character", quoted(name)));
        }
        match name.to_ascii_lowercase().as_str() {
            "host" => return Err(format!("line {n}: Host is set by `host`")),
            "connection" | "content-length" | "transfer-encoding" | "upgrade" | "expect" => {
                return Err(format!("line {n}: {name} is set by skypunch itself: leave it out"));
            }
            _ => out.push((name.to_owned(), value.to_owned())),
        }
    }
    Ok(out)
}

pub(in crate::model) fn check_body(body: Option<&str>) -> Result<Option<String>, String> {
    match body {
        Some(b) if b.len() > 64 * 1024 => Err(format!("is {} bytes long: at most 65536 are sent", b.len())),
        Some("") | None => Ok(None),
        Some(b) => Ok(Some(b.to_owned())),
    }
}

pub(in crate::model) fn check_frequency(ms: i64) -> Result<Duration, String> {
    let min = i64::try_from(MIN_FREQUENCY.as_millis()).unwrap_or(0);
    if (min..=MAX_FREQUENCY_MS).contains(&ms) {
        Ok(Duration::from_millis(ms.unsigned_abs()))
    } else {
        Err(format!(
            "{ms} is out of range: write {min} (on a grid of {} ms) to {MAX_FREQUENCY_MS} milliseconds (a year)",
            GRID.as_millis()
        ))
    }
}

pub(in crate::model) fn check_timeout(ms: i64, frequency_ms: i64) -> Result<Duration, String> {
    if !(MIN_TIMEOUT_MS..=MAX_TIMEOUT_MS).contains(&ms) {
        return Err(format!(
            "{ms} is out of range: write {MIN_TIMEOUT_MS} to {MAX_TIMEOUT_MS} milliseconds (ten minutes)"
        ));
    }
    if ms > frequency_ms {
        return Err(format!(
            "{ms} is longer than frequency_ms {frequency_ms}: a probe must end before the next one is due"
        ));
    }
    Ok(Duration::from_millis(ms.unsigned_abs()))
}

pub(in crate::model) fn check_count(n: i64) -> Result<u32, String> {
    u32::try_from(n)
        .ok()
        .filter(|n| (1..=1000).contains(n))
        .ok_or_else(|| format!("{n} is out of range: write 1 to 1000"))
}

/// More probes over one connection would leave DNS, connecting and TLS unseen for too long.
const MAX_KEEP_ALIVE: i64 = 1000;

pub(in crate::model) fn check_keep_alive(n: i64, method: Option<Method>) -> Result<u16, String> {
    let kept = u16::try_from(n).ok().filter(|_| (0..=MAX_KEEP_ALIVE).contains(&n)).ok_or_else(|| {
        format!("{n} is out of range: write 0 (a fresh connection for each probe) to {MAX_KEEP_ALIVE} probes")
    })?;
    match method.filter(|m| kept > 1 && !m.is_idempotent()) {
        // A kept connection may end just when it is used: what then is not known to have been asked cannot be asked again.
        Some(method) => Err(format!(
            "{n} does not go with method {method}: a request over a kept connection must be one that may be repeated; write 0"
        )),
        None => Ok(kept),
    }
}

pub(crate) fn check_pass_result(s: &str) -> Result<StatusSet, String> {
    if s.len() > MAX_SHORT {
        return Err(format!("{} is longer than {MAX_SHORT} characters: write ranges, such as 200-299", quoted(s)));
    }
    StatusSet::parse(s)
}

pub(in crate::model) fn check_ca(path: Option<&str>) -> Result<Option<String>, String> {
    match path {
        None | Some("") => Ok(None),
        Some(p) if p.len() > 4096 => Err(format!("{} is longer than 4096 bytes", quoted(p))),
        Some(p) if !p.starts_with('/') => Err(format!("{} is not an absolute path of a PEM file", quoted(p))),
        Some(p) if p.chars().any(char::is_control) => Err(format!("{} holds a control character", quoted(p))),
        Some(p) => Ok(Some(p.to_owned())),
    }
}

pub(in crate::model) fn check_host(host: Option<&str>, port_allowed: bool) -> Result<Option<String>, String> {
    let Some(host) = host.filter(|h| !h.is_empty()) else { return Ok(None) };
    if host.len() > MAX_SHORT {
        return Err(format!("{} is longer than {MAX_SHORT} characters", quoted(host)));
    }
    let what = if port_allowed { "a host name with an optional port" } else { "a host name" };
    let parsed = Url::parse(&format!("https://{host}/"))
        .ok()
        .filter(|u| u.path() == "/" && u.query().is_none() && u.username().is_empty() && u.password().is_none())
        .filter(|_| !host.contains(['/', '?', '#', '@', '\\']) && !host.chars().any(char::is_whitespace))
        .filter(|u| u.host_str().is_some() && (port_allowed || (u.port().is_none() && !host.ends_with(":443"))));
    if parsed.is_some() { Ok(Some(host.to_owned())) } else { Err(format!("{} is not {what}", quoted(host))) }
}

pub(in crate::model) fn check_tags(s: &str) -> Result<Vec<String>, String> {
    let tags: Vec<String> = s.split(',').map(str::trim).filter(|t| !t.is_empty()).map(str::to_owned).collect();
    if tags.len() > 64 {
        return Err(format!("{} tags are too many: at most 64", tags.len()));
    }
    match tags.iter().find(|t| t.chars().count() > 64 || t.chars().any(char::is_control)) {
        Some(bad) => Err(format!("{} is longer than 64 characters or holds a control character", quoted(bad))),
        None => Ok(tags),
    }
}

/// What the egress policy is to let the target connect to; `None`: nothing beside what it lets everybody.
pub(in crate::model) fn check_egress_allow(s: &str) -> Result<Option<Arc<AddressList>>, String> {
    if s.len() > 4096 {
        return Err("is longer than 4096 bytes: write networks, such as 10.0.0.0/8".into());
    }
    let list = AddressList::parse(s.split(',').map(str::trim).filter(|entry| !entry.is_empty()))?;
    Ok((!list.is_empty()).then(|| Arc::new(list)))
}
