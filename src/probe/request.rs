//! What is sent: headers, authentication, body; and what must never be shown of it.

use std::sync::Arc;

use base64::Engine;
use url::Position;

use super::fetch::Fetch;
use super::redirect::Hop;
use super::verdict::Failure;
use crate::model::auth::Auth;
use crate::model::definition::is_secret_header;
use crate::model::reason::Reason;
use crate::model::target::{Method, Target};
use crate::model::text::escape_controls;
use crate::model::token::Token;
use crate::net::Observer;
use crate::net::secrets;
use crate::secret::{Secret, SecretPolicy};

/// What a request proves itself with: a header that is ready to be sent.
pub enum Authorization {
    /// `Authorization`.
    Header {
        /// What is sent.
        value: Secret,
        /// What of it is secret.
        secret: Secret,
    },
    /// `X-Auth-Token`.
    Token(Arc<Token>),
}

impl Authorization {
    /// The header's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Authorization::Header { .. } => "authorization",
            Authorization::Token(_) => "x-auth-token",
        }
    }

    fn value(&self) -> &str {
        match self {
            Authorization::Header { value, .. } => value.expose(),
            Authorization::Token(token) => token.value.expose(),
        }
    }
}

/// Prepares the target's authentication.
///
/// # Errors
/// When a reference does not resolve, or the value cannot stand in a header.
pub async fn authorization(
    auth: &Auth,
    policy: &Arc<SecretPolicy>,
    observer: &dyn Observer,
) -> Result<Option<Authorization>, Failure> {
    let resolve = async |field, secret| {
        let doing = || format!("preparing {} authentication: `{field}`", auth.kind());
        resolve(secret, policy, observer, &doing).await
    };
    let (field, secret, text) = match auth {
        Auth::None => return Ok(None),
        Auth::Basic { user, password } => {
            let password = resolve("password", password).await?;
            let pair = format!("{user}:{}", password.expose());
            ("password", password, format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)))
        }
        Auth::Bearer { token } => {
            let token = resolve("token", token).await?;
            let text = format!("Bearer {}", token.expose());
            ("token", token, text)
        }
        Auth::OpenStack(_) => {
            let text = "preparing OPENSTACK authentication: this probe has no way to a token";
            return Err(Failure::complete(Reason::Internal, text.to_owned()));
        }
    };
    if !fits_header(&text) {
        return Err(Failure::complete(
            Reason::AuthConfig,
            format!("preparing {} authentication: `{field}` holds a character that no header can carry", auth.kind()),
        ));
    }
    Ok(Some(Authorization::Header { value: Secret::new(text), secret }))
}

/// Whether a header may have this value (RFC 9110 section 5.5, without the obsolete bytes above ASCII).
#[must_use]
pub fn fits_header(value: &str) -> bool {
    value.bytes().all(|b| b == b'\t' || (b' '..=b'~').contains(&b))
}

/// A secret's value; a file is read away from this thread.
async fn resolve(
    secret: &Secret,
    policy: &Arc<SecretPolicy>,
    observer: &dyn Observer,
    doing: &dyn Fn() -> String,
) -> Result<Secret, Failure> {
    let file = secret.file().map(|file| move || escape_controls(&format!("{}: {file}", doing())).into_owned());
    if let Some(name) = &file {
        observer.waits_for(Some(name));
    }
    let read = secrets::resolve(policy, secret).await;
    if file.is_some() {
        observer.waits_for(None);
    }
    let result = read.map_err(|e| {
        let name = file.map_or_else(doing, |name| name());
        Failure::new(Reason::LocalResources, format!("{name}: reading it: {e}"))
    })?;
    result.map_err(|why| {
        Failure::complete(Reason::AuthConfig, escape_controls(&format!("{}: {why}", doing())).into_owned())
    })
}

/// The whole request: line, headers, body; the `last` over its connection says so. What a person wrote was checked before, so it can stand as it is.
#[must_use]
pub fn message(
    target: &Target,
    hop: &Hop<'_>,
    authorization: Option<&Authorization>,
    user_agent: &str,
    last: bool,
) -> Vec<u8> {
    let body = target.body.as_deref().filter(|_| hop.with_body).unwrap_or_default();
    let mut out = Vec::with_capacity(512 + body.len());
    let path = &hop.url[Position::BeforePath..Position::AfterQuery];
    put(&mut out, &[hop.method.as_str(), " ", path, " HTTP/1.1\r\n"]);
    let host = match &target.host {
        Some(host) if hop.same_origin => host.as_str(),
        _ => &hop.url[Position::BeforeHost..Position::AfterPort],
    };
    put(&mut out, &["host: ", host, "\r\n"]);
    let authorization = authorization.filter(|_| hop.same_origin);
    let (mut has_agent, mut has_accept) = (false, false);
    for (name, value) in &target.headers {
        let about_body = name.len() > 8 && name.as_bytes()[..8].eq_ignore_ascii_case(b"content-");
        if (!hop.same_origin && is_secret_header(name))
            || (about_body && !hop.with_body && target.body.is_some())
            || authorization.is_some_and(|a| name.eq_ignore_ascii_case(a.name()))
        {
            continue;
        }
        has_agent |= name.eq_ignore_ascii_case("user-agent");
        has_accept |= name.eq_ignore_ascii_case("accept");
        put(&mut out, &[name, ": ", value, "\r\n"]);
    }
    if let Some(authorization) = authorization {
        put(&mut out, &[authorization.name(), ": ", authorization.value(), "\r\n"]);
    }
    if !has_agent {
        put(&mut out, &["user-agent: ", user_agent, "\r\n"]);
    }
    if !has_accept {
        put(&mut out, &["accept: */*\r\n"]);
    }
    if !body.is_empty() || says_empty(hop.method) {
        put(&mut out, &["content-length: ", &body.len().to_string(), "\r\n"]);
    }
    put(&mut out, &[if last { "connection: close\r\n\r\n" } else { "\r\n" }, body]);
    out
}

/// The request of an exchange whose answer is kept.
#[must_use]
pub fn fetching(fetch: &Fetch<'_>, user_agent: &str) -> Vec<u8> {
    let body = fetch.body.map_or("", Secret::expose);
    let mut out = Vec::with_capacity(512 + body.len());
    let path = &fetch.url[Position::BeforePath..Position::AfterQuery];
    put(&mut out, &[fetch.method.as_str(), " ", path, " HTTP/1.1\r\n"]);
    put(&mut out, &["host: ", &fetch.url[Position::BeforeHost..Position::AfterPort], "\r\n"]);
    for (name, value) in fetch.headers {
        put(&mut out, &[name, ": ", value, "\r\n"]);
    }
    put(&mut out, &["user-agent: ", user_agent, "\r\n"]);
    if !body.is_empty() || says_empty(fetch.method) {
        put(&mut out, &["content-length: ", &body.len().to_string(), "\r\n"]);
    }
    put(&mut out, &["connection: close\r\n\r\n", body]);
    out
}

fn put(out: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Whether a request without a body says so with `Content-Length: 0` (RFC 9110 section 8.6).
fn says_empty(method: Method) -> bool {
    matches!(method, Method::Post | Method::Put | Method::Patch)
}

/// So many characters in common with a secret are too many to be shown.
pub const SHOWN: usize = 5;

/// So many are too many for an id that a server gave: ids are long, and five digits in common would be chance.
pub const ID: usize = 8;

/// So many are too many to connect by: a host name is told to name servers, and shown in every step. More than for
/// showing, because what is not shown is no loss, but what is not followed is a FAIL.
const CONNECTED: usize = 8;

/// Whether `text`, which a server sent, repeats a part of a secret that was sent to it, and so must not be shown: `least`
/// characters of it, or all where it is shorter.
#[must_use]
pub fn leaks(text: &str, least: usize, target: &Target, authorization: Option<&Authorization>) -> bool {
    any_secret(target, authorization, |secret| repeats(text, secret, least))
}

/// Whether a host name that a server sent repeats a secret that was sent to it.
#[must_use]
pub fn host_leaks(host: &str, target: &Target, authorization: Option<&Authorization>) -> bool {
    any_secret(target, authorization, |secret| secret.len() >= CONNECTED && repeats(host, secret, CONNECTED))
}

fn any_secret(target: &Target, authorization: Option<&Authorization>, found: impl Fn(&[u8]) -> bool) -> bool {
    let of_auth = authorization.is_some_and(|a| match a {
        Authorization::Header { value, secret } => {
            let value = value.expose().as_bytes();
            let encoded = value.iter().position(|b| *b == b' ').map_or(value, |at| &value[at + 1..]);
            found(encoded) || found(secret.expose().as_bytes())
        }
        Authorization::Token(token) => found(token.value.expose().as_bytes()),
    });
    of_auth || target.headers.iter().any(|(n, v)| is_secret_header(n) && found(v.as_bytes()))
}

/// Whether `least` characters in a row of the secret, or all where it is shorter, are in the text, in whatever case.
#[must_use]
pub fn repeats(text: &str, secret: &[u8], least: usize) -> bool {
    let n = secret.len().min(least);
    if n == 0 || text.len() < n {
        return false;
    }
    // Most windows of a secret hold a character that the text has nowhere: behind that one the search goes on.
    let mut there = [false; 256];
    for b in text.bytes() {
        there[usize::from(b.to_ascii_lowercase())] = true;
        there[usize::from(b.to_ascii_uppercase())] = true;
    }
    let mut at = 0;
    while let Some(window) = secret.get(at..at + n) {
        match window.iter().rposition(|b| !there[usize::from(*b)]) {
            Some(absent) => at += absent + 1,
            None if text.as_bytes().windows(n).any(|t| t.eq_ignore_ascii_case(window)) => return true,
            None => at += 1,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_repeated_part_is_found_wherever_it_stands(text in "[a-dA-D]{0,20}", secret in "[a-eA]{0,12}", least in 1usize..9) {
            let n = secret.len().min(least);
            let lower = text.to_lowercase();
            let expected = n > 0 && secret.to_lowercase().as_bytes().windows(n).any(|w| lower.as_bytes().windows(n).any(|t| t == w));
            prop_assert_eq!(repeats(&text, secret.as_bytes(), least), expected);
        }
    }
}
