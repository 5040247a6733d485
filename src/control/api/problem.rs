//! An error as the API tells it (RFC 9457).

use serde::{Deserialize, Serialize};

use crate::model::definition::Problem;

/// The body of every answer with a status of 400 or more; media type [`super::PROBLEM_JSON`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProblemDetails {
    /// `about:blank`: the status says it all.
    #[serde(rename = "type", default = "about_blank")]
    pub kind: String,
    /// The status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// One sentence: what failed, on what, why, what to do.
    pub detail: String,
    /// What is wrong, field by field (status 400 and 422).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
    /// The targets that an ambiguous reference may mean, as `ID (tenant/name)` (status 409).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<String>,
}

fn about_blank() -> String {
    "about:blank".into()
}

impl ProblemDetails {
    /// An error with nothing but its sentence.
    #[must_use]
    pub fn new(status: u16, detail: impl Into<String>) -> ProblemDetails {
        let title = match status {
            400 => "Bad Request",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            408 => "Request Timeout",
            409 => "Conflict",
            413 => "Content Too Large",
            422 => "Unprocessable Content",
            431 => "Request Header Fields Too Large",
            500 => "Internal Server Error",
            503 => "Service Unavailable",
            504 => "Gateway Timeout",
            _ => "Error",
        };
        ProblemDetails {
            kind: about_blank(),
            title: title.into(),
            status,
            detail: detail.into(),
            problems: Vec::new(),
            candidates: Vec::new(),
        }
    }

    /// The same with what is wrong, field by field.
    #[must_use]
    pub fn with_problems(mut self, problems: Vec<Problem>) -> ProblemDetails {
        self.problems = problems;
        self
    }
}
