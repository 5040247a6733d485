//! A login apart from what is in use: `POST /v1/credentials/{ref}/test`, and what a catalog holds as a targets file:
//! `POST /v1/credentials/{ref}/discover`.

use serde::{Deserialize, Serialize};

use super::problem::ProblemDetails;
use crate::model::reason::Reason;
use crate::model::trace::Step;

/// One line of the answer to `POST /v1/credentials/{ref}/test`: `started`, each `step`, then `result` or `error`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginLine {
    /// The login begins.
    Started(LoginStarted),
    /// Something happened.
    Step(Step),
    /// It has ended.
    Result(LoginResult),
    /// It could not be carried out to its end by fault of the daemon (it stops, for example).
    Error(ProblemDetails),
}

/// The first line of the test of a login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginStarted {
    /// Microseconds UTC: a step's time is this plus its offset.
    pub started_at_us: i64,
    /// The credential: its name, `cloud:NAME` or `target:NAME`.
    pub name: String,
    /// The identity service; `None` where what would say it does not read.
    pub auth_url: Option<String>,
}

/// What became of the login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginResult {
    /// Microseconds from its start.
    pub latency_us: u32,
    /// Why it failed, in a word; `None`: it succeeded.
    pub reason: Option<Reason>,
    /// Why it failed, for people.
    pub error: Option<String>,
    /// What it brought.
    pub granted: Option<Granted>,
}

/// What a login brought.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Granted {
    /// Whose token it is and what for, in a few words.
    pub logged_in_as: String,
    /// The user.
    pub user: Option<String>,
    /// The project; `None` for a token of a domain, of the system, or of no scope.
    pub project: Option<String>,
    /// The domain of a domain-scoped token.
    pub domain: Option<String>,
    /// The token is for the whole deployment.
    pub system: bool,
    /// What it may do there; empty where the service does not say.
    pub roles: Vec<String>,
    /// Seconds from its issue to its expiry, by the service's clock.
    pub lifetime_s: u64,
    /// Endpoints in its catalog.
    pub endpoints: usize,
}

/// Query of `POST /v1/credentials/{ref}/discover`, which is answered with a targets file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiscoverQuery {
    /// Only endpoints of this interface; `None`: of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// Only endpoints of this region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}
