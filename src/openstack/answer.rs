//! What an identity service's answer to a login means: a token, or why there is none.
//!
//! ```text
//!  201, X-Subject-Token, JSON with expires_at and issued_at --> Token
//!  400 401 403 413                                          --> identity_rejected     (wait long: accounts can be locked)
//!  429 5xx, not Keystone, half an answer                    --> identity_unreachable  (try again soon)
//! ```
//!
//! How long a token lives follows from the service's own two times, never from the clock of this machine.

mod body;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::error::{Answer, IdentityError};
use crate::model::credential::Api;
use crate::model::reason::Reason;
use crate::model::token::Token;
use crate::secret::Secret;

/// Judges the answer to a login.
///
/// `serial` becomes the token's. With `catalog` the token has one, empty where the answer holds none.
///
/// # Errors
/// Why there is no token.
pub fn judge(api: Api, answer: &Answer<'_>, serial: u64, catalog: bool) -> Result<Token, IdentityError> {
    let json = answer.json();
    let v3 = answer.header("x-subject-token").map(str::to_owned);
    let v2 = || Some(json.as_ref()?.get("access")?.get("token")?.get("id")?.as_str()?.to_owned());
    let value = match (api, answer.status) {
        (Api::V3, 200 | 201) => v3,
        (Api::V2, 200 | 203) => v2(),
        _ => return Err(refused(api, answer)),
    };
    let Some(value) = value else { return Err(no_token(api, answer)) };
    if value.is_empty() || !value.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(broken(answer, "its token is empty or holds a character that no header can carry"));
    }
    let root = json.as_ref().and_then(|j| j.get(if api == Api::V3 { "token" } else { "access" }));
    let Some(root) = root else {
        return Err(broken(answer, "it has a token, but its body is not the JSON that belongs to one"));
    };
    let times = if api == Api::V3 { Some(root) } else { root.get("token") };
    let lifetime = lifetime(times, answer).map_err(|why| broken(answer, &why))?;
    let catalog = body::catalog(api, root).or_else(|| catalog.then(Default::default)).filter(|_| catalog).map(Arc::new);
    Ok(Token { value: Secret::new(value), serial, lifetime, catalog, holder: body::holder(api, root) })
}

/// From the token's issue to its expiry, both by the service. Old services do not say when a token was issued: the
/// answer's `Date` is theirs as well.
fn lifetime(times: Option<&Value>, answer: &Answer<'_>) -> Result<Duration, String> {
    let text = |name: &str| times.and_then(|t| t.get(name)).and_then(Value::as_str);
    let Some(expires) = text("expires_at").or_else(|| text("expires")) else {
        return Err("it does not say when the token expires".into());
    };
    let read = |text: &str| moment(text).ok_or_else(|| format!("`{}` is no time", answer.fit(text, 60)));
    let expires_at = read(expires)?;
    let issued_at = match text("issued_at") {
        Some(issued) => read(issued)?,
        None => date(answer).ok_or("it says neither when the token was issued nor what time it is")?,
    };
    let lifetime = Duration::try_from(expires_at.duration_since(issued_at)).unwrap_or_default();
    if lifetime.is_zero() {
        return Err(format!("its token expires at `{}`, before it was issued", answer.fit(expires, 60)));
    }
    Ok(lifetime)
}

/// `2026-11-22T06:57:58.000000Z`, with or without a fraction; without a zone it is UTC.
fn moment(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    text.parse().ok().or_else(|| {
        let civil: jiff::civil::DateTime = text.parse().ok()?;
        Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    })
}

fn date(answer: &Answer<'_>) -> Option<Timestamp> {
    http_date(answer.header("date")?)
}

/// `Sun, 22 Nov 2026 06:57:28 GMT` (RFC 9110 section 5.6.7).
fn http_date(text: &str) -> Option<Timestamp> {
    Some(jiff::fmt::rfc2822::parse(text.trim()).ok()?.timestamp())
}

/// `Retry-After` in seconds or as a date, which is measured against the answer's own `Date`.
fn retry_after(answer: &Answer<'_>) -> Option<Duration> {
    let text = answer.header("retry-after")?.trim();
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => Duration::try_from(http_date(text)?.duration_since(date(answer)?)).ok(),
    }
}

/// The status says that there is no token.
fn refused(api: Api, answer: &Answer<'_>) -> IdentityError {
    let retry_after = retry_after(answer);
    let (reason, why) = match (answer.status, api) {
        (401, _) if answer.header("openstack-auth-receipt").is_some() => (
            Reason::IdentityRejected,
            "the user has to log in with more than one factor, which a monitor cannot: write an application credential",
        ),
        (401, _) => (
            Reason::IdentityRejected,
            "user, password, project or a domain of theirs is wrong, or the user is locked or disabled or has no role \
             there: Keystone answers all of these alike",
        ),
        (400, _) => (Reason::IdentityRejected, "Keystone does not understand what the credential asks for"),
        (403, _) => {
            (Reason::IdentityRejected, "the user may not log in, or not for that scope; or a proxy is in the way")
        }
        (404 | 405 | 410, Api::V2) => (
            Reason::IdentityUnreachable,
            "Identity v2.0 is not served there, it left Keystone in 2018: leave /v2.0/tokens out of the URL for v3",
        ),
        (404 | 405 | 410, Api::V3) => (
            Reason::IdentityUnreachable,
            "there is no Identity API v3 at this URL: write auth_url as https://host:5000/v3",
        ),
        (413, _) if retry_after.is_none() => (Reason::IdentityRejected, "the login is larger than the service takes"),
        (413 | 429, _) => (Reason::IdentityUnreachable, "there were too many requests in a short time"),
        (300, _) => (Reason::IdentityUnreachable, "this is the list of versions: /v3 is missing in auth_url"),
        (301..=399, _) => return redirected(answer),
        (500..=599, _) => (Reason::IdentityUnreachable, "the identity service, or a proxy before it, is in trouble"),
        _ => (Reason::IdentityUnreachable, "no Keystone answers a login like this"),
    };
    let wish = retry_after.map_or(String::new(), |d| format!(" (to be asked again in {} s)", d.as_secs()));
    IdentityError { retry_after, ..IdentityError::new(reason, format!("{}{wish}; {why}", said(answer))) }
}

fn redirected(answer: &Answer<'_>) -> IdentityError {
    let to = answer.location().map_or(String::new(), |l| format!(" to {l}"));
    let sentence = format!(
        "logging in at {}: answered {}, a redirect{to}; a password is not sent on: write auth_url as it should be",
        answer.url, answer.status
    );
    IdentityError::new(Reason::IdentityUnreachable, sentence)
}

/// A status of success without a token.
fn no_token(api: Api, answer: &Answer<'_>) -> IdentityError {
    let expected = match api {
        Api::V3 => "a token in X-Subject-Token",
        Api::V2 => "a token in access.token.id",
    };
    let sentence = format!("{}, without {expected}; that is no Keystone: is auth_url right?", said(answer));
    IdentityError::new(Reason::IdentityUnreachable, sentence)
}

/// There is a token and something is wrong with the rest.
fn broken(answer: &Answer<'_>, why: &str) -> IdentityError {
    let sentence = format!("logging in at {}: answered {}, but {why}", answer.url, answer.status);
    IdentityError::new(Reason::IdentityUnreachable, sentence)
}

fn said(answer: &Answer<'_>) -> String {
    format!("logging in at {}: {}", answer.url, answer.words())
}

#[cfg(test)]
mod tests;
