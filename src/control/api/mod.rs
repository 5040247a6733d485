//! The types of every body that goes over the control socket, in the words of the database.
//!
//! ```text
//!  /v1/status /reload /stop            daemon.rs      Status, Reloaded, Stopping
//!  /v1/targets[/{ref}[/enable|…]]      targets.rs     TargetSummary, TargetDetail, Removed, TestLine
//!  /v1/notifiers[/{ref}[/enable|…]]    notifiers.rs   NotifierSummary, NotifierDetail, RemovedNotifier
//!  /v1/notifiers/{ref}/test            sample.rs      SampleQuery, SampleLine
//!  /v1/credentials[/{ref}[/enable|…]]  credentials.rs  CredentialSummary, CredentialDetail, RemovedCredential
//!  /v1/credentials/{ref}/test|discover login.rs      LoginLine, DiscoverQuery
//!  /v1/notifier-types[/{type}]         types.rs       NotifierType
//!  /v1/apply /export                   apply.rs       ApplyRequest, ApplyReport, Exported
//!  /v1/backup                          backup.rs      BackupQuery
//!  /v1/incidents /history /watch       history.rs     IncidentSummary, IncidentDetail, Told, HistoryRow, WatchLine
//!  /metrics                            text for Prometheus: model::exposition
//!  every error                         problem.rs     ProblemDetails (RFC 9457)
//!  {ref}                               model::reference TargetRef, NotifierRef, CredentialReference
//! ```
//!
//! Times are milliseconds UTC. Ids of incidents and results have 63 bits, more than a JavaScript number holds, and are
//! written as strings; ids of targets and notifiers are numbers.

mod apply;
mod backup;
mod credentials;
mod daemon;
mod history;
mod login;
mod notifiers;
mod problem;
mod sample;
mod targets;
mod types;

pub use crate::model::health::Complaint;
pub use crate::model::reference::{CredentialReference, NotifierRef, TargetRef, encode_segment};
pub use apply::{Action, ApplyReport, ApplyRequest, Change, Exported, FieldChange, Kind};
pub use backup::BackupQuery;
pub use credentials::{
    CredentialDetail, CredentialFilter, CredentialRemoval, CredentialSource, CredentialState, CredentialStatus,
    CredentialSummary, RemovedCredential,
};
pub use daemon::{
    CredentialCounts, Database, DatabaseState, Definitions, Descriptors, FailingCredential, InvalidRow, LastReload,
    Lateness, Notifications, NotifierBacklog, Persistence, Probes, Reloaded, RunState, Status, Stopping, TargetCounts,
    Trouble,
};
pub use history::{
    HistoryQuery, HistoryRow, IncidentDetail, IncidentQuery, IncidentSummary, Told, WatchEvent, WatchLine, WatchQuery,
};
pub use login::{DiscoverQuery, Granted, LoginLine, LoginResult, LoginStarted};
pub use notifiers::{NotifierCounts, NotifierDetail, NotifierFilter, NotifierSummary, RemovedNotifier};
pub use problem::ProblemDetails;
pub use sample::{SampleEvent, SampleLine, SampleQuery, SampleResult, SampleStarted, SampleStep};
pub use targets::{
    Removed, TargetCredential, TargetDetail, TargetFilter, TargetStatus, TargetSummary, TestLine, TestStarted,
};
pub use types::{NotifierAddress, NotifierParam, NotifierType};

/// Media type of one JSON value a line.
pub const NDJSON: &str = "application/x-ndjson";
/// Media type of a targets file.
pub const TOML: &str = "application/toml";
/// Media type of [`ProblemDetails`].
pub const PROBLEM_JSON: &str = "application/problem+json";

/// 63-bit ids as strings.
pub mod id_string {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes the id as a string.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(id: &i64, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(id)
    }

    /// Reads the id from a string.
    ///
    /// # Errors
    /// When it is not a string of digits.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<i64, D::Error> {
        String::deserialize(d)?.parse().map_err(|_| D::Error::custom("an id is a string of digits"))
    }

    /// The same where there may be none.
    pub mod option {
        use serde::{Deserialize, Deserializer, Serializer, de::Error};

        /// Writes the id as a string, or null.
        ///
        /// # Errors
        /// Those of the serializer.
        pub fn serialize<S: Serializer>(id: &Option<i64>, s: S) -> Result<S::Ok, S::Error> {
            match id {
                Some(id) => s.collect_str(id),
                None => s.serialize_none(),
            }
        }

        /// Reads the id from a string; null is none.
        ///
        /// # Errors
        /// When it is neither null nor a string of digits.
        pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<i64>, D::Error> {
            Option::<String>::deserialize(d)?
                .map(|s| s.parse().map_err(|_| D::Error::custom("an id is a string of digits")))
                .transpose()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::definition::Definition;
    use crate::model::outcome::Outcome;
    use crate::model::reason::Reason;
    use crate::model::state::{self, TargetState};
    use crate::model::target::TargetId;
    use crate::model::time::UtcMs;
    use serde_json::{Value, json};

    const BIG: i64 = 9_007_199_254_740_993; // 2^53 + 1: a JavaScript number cannot hold it

    fn failed() -> TargetState {
        let outcome = Outcome::not_passed(Reason::Status, "503 is not in 200");
        state::step(TargetState::default(), &outcome, UtcMs(5), state::Policy::default(), BIG).0
    }

    #[test]
    fn a_detail_is_one_flat_object_that_reads_back() {
        let definition = Definition { name: "a".into(), url: "http://a/".into(), ..Definition::default() };
        let detail = TargetDetail {
            id: TargetId(3),
            status: TargetStatus::from(&failed()),
            open_incident: None,
            login: None,
            problems: Vec::new(),
            warnings: Vec::new(),
            definition: definition.to_json(),
        };
        let text = serde_json::to_string(&detail).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["frequency_ms"], json!(60_000));
        assert_eq!(value["status"], json!("FAIL"));
        assert_eq!(value["fail_count"], json!(1));
        assert_eq!(value["incident_id"], json!("9007199254740993"));
        assert_eq!(serde_json::from_str::<TargetDetail>(&text).unwrap(), detail);
    }

    #[test]
    fn lines_of_streams_have_the_documented_form() {
        let step = json!({"step": {"at_us": 12, "step": "first_byte"}});
        let line: TestLine = serde_json::from_value(step.clone()).unwrap();
        assert_eq!(serde_json::to_value(&line).unwrap(), step);
        let lagged: WatchLine = serde_json::from_value(json!({"lagged": 7})).unwrap();
        assert_eq!(lagged, WatchLine::Lagged { lagged: 7 });
        let outcome = TestLine::Outcome(Outcome::pass(200, "OK"));
        assert_eq!(serde_json::from_str::<TestLine>(&serde_json::to_string(&outcome).unwrap()).unwrap(), outcome);
    }

    #[test]
    fn ids_are_strings_and_nothing_else() {
        #[derive(serde::Serialize, serde::Deserialize)]
        struct One(#[serde(with = "id_string")] i64);
        assert_eq!(serde_json::to_string(&One(BIG)).unwrap(), "\"9007199254740993\"");
        assert!(serde_json::from_str::<One>("9007199254740993").is_err());
        assert!(serde_json::from_str::<One>("\"x\"").is_err());
    }

    #[test]
    fn a_problem_without_extensions_has_none_in_json() {
        let value = serde_json::to_value(ProblemDetails::new(404, "there is no target 7")).unwrap();
        assert_eq!(
            value,
            json!({"type": "about:blank", "title": "Not Found", "status": 404, "detail": "there is no target 7"})
        );
    }
}
