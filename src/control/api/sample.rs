//! A marked sample to a notifier: `POST /v1/notifiers/{ref}/test`.

use serde::{Deserialize, Serialize};

use super::ProblemDetails;
use crate::model::notifier::NotifierId;

/// Query of `POST /v1/notifiers/{ref}/test`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SampleQuery {
    /// As what the sample comes; without it, it only says that it is a test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<SampleEvent>,
}

/// As what a sample comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SampleEvent {
    /// As a failure would.
    Fail,
    /// As a recovery would.
    Recovery,
}

impl SampleEvent {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            SampleEvent::Fail => "fail",
            SampleEvent::Recovery => "recovery",
        }
    }
}

/// One line of the answer: `started`, each `step`, then `result` or `error`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SampleLine {
    /// The sample is on its way.
    Started(SampleStarted),
    /// Something happened.
    Step(SampleStep),
    /// What became of it.
    Result(SampleResult),
    /// It could not be carried out to its end by fault of the daemon (it stops, for example).
    Error(ProblemDetails),
}

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampleStarted {
    /// When, in microseconds UTC.
    pub at_us: i64,
    /// The notifier.
    pub id: NotifierId,
    /// Its name.
    pub name: String,
    /// `SMTP`, or a provider of the catalogue.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where to, without secrets.
    pub address: String,
}

/// A step of the dialogue with the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampleStep {
    /// When, in microseconds UTC.
    pub at_us: i64,
    /// A sentence, without secrets.
    pub text: String,
}

/// What became of a sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampleResult {
    /// When, in microseconds UTC.
    pub at_us: i64,
    /// Whether the server accepted it.
    pub sent: bool,
    /// The server's words, or why it was not sent; without secrets.
    pub answer: String,
}
