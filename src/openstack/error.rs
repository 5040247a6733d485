//! Why there is no token, and what an identity service's answer looks like in a sentence.

use std::time::Duration;

use serde_json::Value;
use url::Url;

use crate::model::reason::Reason;
use crate::model::text::{escape_controls, shorten};
use crate::probe::IdentityFailure;

/// A message of the server is cut at so many characters: Keystone's 400 holds 3 KB of schema.
const MAX_MESSAGE: usize = 200;
/// The same for a line of something that is no Keystone.
const MAX_LINE: usize = 80;

/// Why a login brought no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct IdentityError {
    /// `identity_unreachable`, `identity_rejected`, `auth_config` or `egress_denied`; or `local_resources`, `local_network`, `internal`
    /// where the trouble is this machine's.
    pub reason: Reason,
    /// All there is to say, for people: free of secrets and control characters.
    pub sentence: String,
    /// How long the service asked to be left alone.
    pub retry_after: Option<Duration>,
}

impl IdentityError {
    /// An error without a wish of the service.
    #[must_use]
    pub fn new(reason: Reason, sentence: impl Into<String>) -> IdentityError {
        IdentityError { reason, sentence: sentence.into(), retry_after: None }
    }
}

impl From<IdentityError> for IdentityFailure {
    fn from(e: IdentityError) -> IdentityFailure {
        IdentityFailure { reason: e.reason, sentence: e.sentence }
    }
}

/// An answer of what should be an identity service.
#[derive(Clone, Copy)]
pub struct Answer<'a> {
    /// Who was asked.
    pub url: &'a Url,
    /// The status code.
    pub status: u16,
    /// Names and values.
    pub headers: &'a [(String, String)],
    /// The body without its framing.
    pub body: &'a [u8],
    /// Whether a text repeats a part of what was sent in confidence, and so must not be shown.
    pub leaks: &'a dyn Fn(&str) -> bool,
}

impl Answer<'_> {
    /// The first header of that name, in whatever case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as JSON, if it is some.
    #[must_use]
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(self.body).ok()
    }

    /// `answered 401 (The request you have made requires authentication.)`, for what speaks as Keystone does;
    /// `answered 200 (text/html: <!doctype html>)` for anything else.
    #[must_use]
    pub fn words(&self) -> String {
        let said = self.message().map_or_else(|| self.glimpse(), |m| self.fit(&m, MAX_MESSAGE));
        match said.is_empty() {
            true => format!("answered {} (nothing)", self.status),
            false => format!("answered {} ({said})", self.status),
        }
    }

    /// `error.message` of the body.
    fn message(&self) -> Option<String> {
        let message = self.json()?.get("error")?.get("message")?.as_str()?.trim().to_owned();
        (!message.is_empty()).then_some(message)
    }

    /// The content's type and first line. Of JSON only the members' names: a token may stand in it.
    fn glimpse(&self) -> String {
        let kind = self.header("content-type").map(|k| self.fit(k, MAX_LINE));
        let text = String::from_utf8_lossy(&self.body[..self.body.len().min(4096)]);
        let line = text.lines().map(str::trim).find(|l| !l.is_empty());
        let seen = match (self.json(), line) {
            (Some(Value::Object(members)), _) => {
                let names: Vec<&str> = members.keys().take(5).map(String::as_str).collect();
                Some(self.fit(&format!("JSON with {}", names.join(", ")), MAX_LINE))
            }
            (Some(_), _) => Some("other JSON".to_owned()),
            (None, Some(line)) if line.starts_with(['{', '[']) => Some("broken JSON".to_owned()),
            (None, line) => line.map(|l| self.fit(l, MAX_LINE)),
        };
        [kind, seen].into_iter().flatten().collect::<Vec<_>>().join(": ")
    }

    /// A text of the server as a sentence may hold it.
    #[must_use]
    pub fn fit(&self, text: &str, max: usize) -> String {
        if (self.leaks)(text) {
            return "a text that repeats what was sent".to_owned();
        }
        escape_controls(&shorten(text.trim(), max)).into_owned()
    }

    /// Where a redirect points to, without userinfo, query and fragment.
    #[must_use]
    pub fn location(&self) -> Option<String> {
        let mut to = self.url.join(self.header("location")?).ok()?;
        // A URL with a host can be without both.
        let _never_fail = (to.set_username(""), to.set_password(None));
        to.set_query(None);
        to.set_fragment(None);
        Some(self.fit(to.as_str(), MAX_MESSAGE))
    }
}
