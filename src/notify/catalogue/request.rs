//! A request that is ready to be sent. Nothing of it is shown: its URL, headers and body hold secrets.

use std::time::Duration;

use super::answer::Rules;
use super::hide::Hide;
use crate::notify::SendResult;
use crate::secret::Secret;

/// A request.
pub struct Request {
    /// The same at every attempt, another for each request of a message: whoever sends several may skip by it those
    /// that have been taken.
    pub id: String,
    /// One of several recipients, as a word that gives none of it away and is the same for every message; `None` where
    /// the request is to all.
    pub recipient: Option<String>,
    /// `POST`, ….
    pub method: String,
    /// Checked: http or https, with a host.
    pub url: Secret,
    /// Checked: they fit into a request. `Host` and `Content-Length` are not among them.
    pub headers: Vec<(String, Secret)>,
    /// Empty for none.
    pub body: Vec<u8>,
    pub(super) hide: Hide,
    pub(super) rules: Rules,
}

impl Request {
    /// What the answer means. `retry_after` is that of the header, made a duration.
    #[must_use]
    pub fn judge(&self, status: u16, retry_after: Option<Duration>, body: &[u8]) -> SendResult {
        self.rules.judge(status, retry_after, body, &self.hide)
    }

    /// A text without this notifier's secrets, on one line, at most `max` characters: for what a server or a library
    /// said.
    #[must_use]
    pub fn clean(&self, text: &str, max: usize) -> String {
        self.hide.clean(text, max)
    }

    /// Where it goes, for a person: `POST https://hooks.example/***, 312 bytes`.
    #[must_use]
    pub fn shown(&self) -> String {
        let origin = url::Url::parse(self.url.expose()).map(|u| u.origin().ascii_serialization()).unwrap_or_default();
        format!("{} {origin}/***, {} bytes", self.method, self.body.len())
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Request({}, {})", self.id, self.shown())
    }
}
