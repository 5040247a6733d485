//! Rows, and how they and the model's types become each other.
//!
//! Reading never fails over a word or number that this version does not know: the row may have been written by another
//! version, or by hand.

use std::borrow::Cow;

use diesel::prelude::*;

use super::error::StoreError;
use super::schema::{incidents, results, target_status};
use crate::model::incident::Incident;
use crate::model::message::TargetFacts;
use crate::model::outcome::Phases;
use crate::model::reason::{Reason, Verdict};
use crate::model::record::{ResultRecord, StatusRecord};
use crate::model::state::{Counters, OpenIncident, Status, TargetState};
use crate::model::subject::SubjectId;
use crate::model::target::TargetId;
use crate::model::text::shorten;
use crate::model::time::UtcMs;
use crate::model::trace::{Event, Trace};

/// Longer sentences are cut: one that does not fit its column would hold up every batch behind it.
const MAX_DESCRIPTION: usize = 2000;
/// What the columns of names take.
const MAX_NAME: usize = 255;
/// Bytes of a trace as JSON; real ones have a few KiB. Twenty incidents with two of these fit a packet of 16 MiB.
const MAX_TRACE: usize = 256 * 1024;

/// A target's state as a database holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredStatus {
    /// Whose.
    pub subject: SubjectId,
    /// The state.
    pub state: TargetState,
    /// The start of the daemon that wrote it last.
    pub writer: i64,
    /// The batch that wrote it last: (writer, number) tells which of two is newer.
    pub number: i64,
}

#[derive(Insertable, Queryable, Selectable)]
#[diesel(table_name = target_status, treat_none_as_default_value = false)]
pub(super) struct StatusRow<'a> {
    pub target_id: i64,
    pub status: Cow<'a, str>,
    pub previous_status: Cow<'a, str>,
    pub status_description: Cow<'a, str>,
    pub reason: Option<Cow<'a, str>>,
    pub last_updated: Option<i64>,
    pub pass_count: i64,
    pub fail_count: i64,
    pub unknown_count: i64,
    pub missed_count: i64,
    pub count200: i64,
    pub count300: i64,
    pub count400: i64,
    pub count500: i64,
    pub network_fails: i64,
    pub repeated_fails: i64,
    pub repeated_passes: i64,
    pub last_latency_us: Option<i64>,
    pub certificate_expires_at: Option<i64>,
    pub incident_id: Option<i64>,
    pub incident_started_at: Option<i64>,
    pub conclusive_status: Cow<'a, str>,
    pub imported_count: i64,
    pub pruned_count: i64,
    pub thinned_count: i64,
    pub writer: i64,
    pub number: i64,
}

impl<'a> StatusRow<'a> {
    /// The row of `record`, with `counters` (deltas for the main database, absolute ones for state.db).
    pub(super) fn new(record: &'a StatusRecord, counters: &Counters, thinned: i64, writer: i64, number: i64) -> Self {
        let s = &record.state;
        StatusRow {
            target_id: record.subject.0,
            status: Cow::Borrowed(s.status().as_str()),
            previous_status: Cow::Borrowed(s.previous_status.as_str()),
            status_description: shorten(&s.status_description, MAX_DESCRIPTION),
            reason: s.reason.map(|r| Cow::Borrowed(r.as_str())),
            last_updated: s.last_updated.map(|t| t.0),
            pass_count: counters.pass_count,
            fail_count: counters.fail_count,
            unknown_count: counters.unknown_count,
            missed_count: counters.missed_count,
            count200: counters.count200,
            count300: counters.count300,
            count400: counters.count400,
            count500: counters.count500,
            network_fails: counters.network_fails,
            repeated_fails: s.repeated_fails.into(),
            repeated_passes: s.repeated_passes.into(),
            last_latency_us: s.last_latency_us.map(i64::from),
            certificate_expires_at: s.certificate_expires_at.map(|t| t.0),
            incident_id: s.incident.map(|i| i.id),
            incident_started_at: s.incident.map(|i| i.started_at.0),
            conclusive_status: Cow::Borrowed(s.conclusive.as_str()),
            imported_count: 0,
            pruned_count: 0,
            thinned_count: thinned,
            writer,
            number,
        }
    }

    /// Whether it says PASS after PASS and counts nothing but passes, shown in `results`, with an answer of 200 to 299.
    pub(super) fn is_plain_pass(&self) -> bool {
        let pass = Status::Pass.as_str();
        let others = [
            self.fail_count,
            self.unknown_count,
            self.missed_count,
            self.count300,
            self.count400,
            self.count500,
            self.network_fails,
            self.repeated_fails,
            self.thinned_count,
        ];
        self.status == pass
            && self.previous_status == pass
            && self.conclusive_status == pass
            && self.reason.is_none()
            && self.incident_id.is_none()
            && others == [0; 9]
    }

    pub(super) fn into_stored(self) -> StoredStatus {
        let incident = self.incident_id.map(|id| OpenIncident {
            id,
            started_at: UtcMs(self.incident_started_at.or(self.last_updated).unwrap_or_default()),
        });
        let state = TargetState {
            conclusive: self.conclusive_status.parse().unwrap_or_default(),
            inconclusive: self.status == Status::Unknown.as_str(),
            previous_status: self.previous_status.parse().unwrap_or_default(),
            // What nearly every target says needs no memory of its own.
            status_description: match self.status_description.as_ref() {
                "OK" => Cow::Borrowed("OK"),
                _ => Cow::Owned(self.status_description.into_owned()),
            },
            reason: self.reason.and_then(|r| r.parse().ok()),
            last_updated: self.last_updated.map(UtcMs),
            repeated_fails: clamp(self.repeated_fails),
            repeated_passes: clamp(self.repeated_passes),
            counters: Counters {
                pass_count: self.pass_count,
                fail_count: self.fail_count,
                unknown_count: self.unknown_count,
                missed_count: self.missed_count,
                count200: self.count200,
                count300: self.count300,
                count400: self.count400,
                count500: self.count500,
                network_fails: self.network_fails,
            },
            last_latency_us: self.last_latency_us.map(clamp),
            certificate_expires_at: self.certificate_expires_at.map(UtcMs),
            incident,
        };
        StoredStatus { subject: SubjectId(self.target_id), state, writer: self.writer, number: self.number }
    }
}

#[derive(Insertable, Queryable, Selectable)]
#[diesel(table_name = results, treat_none_as_default_value = false)]
pub(super) struct ResultRow<'a> {
    pub id: i64,
    pub target_id: i64,
    pub due_at: i64,
    pub started_at: i64,
    pub lateness_us: i64,
    pub verdict: Cow<'a, str>,
    pub reason: Option<Cow<'a, str>>,
    pub description: Option<Cow<'a, str>>,
    pub status_code: Option<i64>,
    pub latency_us: i64,
    pub resolve_us: Option<i64>,
    pub connect_us: Option<i64>,
    pub tls_us: Option<i64>,
    pub auth_us: Option<i64>,
    pub first_byte_us: Option<i64>,
    pub body_us: Option<i64>,
    pub body_bytes: i64,
    pub incident_id: Option<i64>,
}

impl<'a> From<&'a ResultRecord> for ResultRow<'a> {
    fn from(r: &'a ResultRecord) -> Self {
        let us = |v: Option<u32>| v.map(i64::from);
        ResultRow {
            id: r.id,
            target_id: r.target_id.0,
            due_at: r.due_at.0,
            started_at: r.started_at.0,
            lateness_us: r.lateness_us.into(),
            verdict: Cow::Borrowed(r.verdict.as_str()),
            reason: r.reason.map(|r| Cow::Borrowed(r.as_str())),
            description: r.description.as_deref().map(|d| shorten(d, MAX_DESCRIPTION)),
            status_code: r.status_code.map(i64::from),
            latency_us: r.latency_us.into(),
            resolve_us: us(r.phases.resolve_us),
            connect_us: us(r.phases.connect_us),
            tls_us: us(r.phases.tls_us),
            auth_us: us(r.phases.auth_us),
            first_byte_us: us(r.phases.first_byte_us),
            body_us: us(r.phases.body_us),
            body_bytes: r.body_bytes.into(),
            incident_id: r.incident_id,
        }
    }
}

impl ResultRow<'_> {
    pub(super) fn into_record(self) -> ResultRecord {
        let us = |v: Option<i64>| v.map(clamp);
        ResultRecord {
            id: self.id,
            target_id: TargetId(self.target_id),
            due_at: UtcMs(self.due_at),
            started_at: UtcMs(self.started_at),
            lateness_us: clamp(self.lateness_us),
            verdict: self.verdict.parse().unwrap_or(Verdict::Unknown),
            reason: self.reason.and_then(|r| r.parse().ok()),
            description: self.description.map(|d| Cow::Owned(d.into_owned())),
            status_code: self.status_code.and_then(|c| u16::try_from(c).ok()),
            latency_us: clamp(self.latency_us),
            phases: Phases {
                resolve_us: us(self.resolve_us),
                connect_us: us(self.connect_us),
                tls_us: us(self.tls_us),
                auth_us: us(self.auth_us),
                first_byte_us: us(self.first_byte_us),
                body_us: us(self.body_us),
            },
            body_bytes: clamp(self.body_bytes),
            incident_id: self.incident_id,
        }
    }
}

#[derive(Insertable, Queryable, Selectable)]
#[diesel(table_name = incidents, treat_none_as_default_value = false)]
pub(super) struct IncidentRow<'a> {
    id: i64,
    subject_kind: Cow<'a, str>,
    subject_id: i64,
    reason: Cow<'a, str>,
    description: Cow<'a, str>,
    started_at: i64,
    ended_at: Option<i64>,
    ended_by: Option<Cow<'a, str>>,
    first_trace: String,
    last_good_trace: Option<String>,
    subject_name: Cow<'a, str>,
    tenantid: Cow<'a, str>,
}

impl<'a> IncidentRow<'a> {
    pub(super) fn new(incident: &'a Incident) -> Result<Self, StoreError> {
        let (subject_kind, subject_id) = incident.subject.row();
        Ok(IncidentRow {
            id: incident.id,
            subject_kind: Cow::Borrowed(subject_kind),
            subject_id,
            reason: Cow::Borrowed(incident.reason.as_str()),
            description: shorten(&incident.description, MAX_DESCRIPTION),
            started_at: incident.started_at.0,
            ended_at: incident.ended_at.map(|t| t.0),
            ended_by: incident.ended_by.map(|e| Cow::Borrowed(e.as_str())),
            first_trace: trace_json(&incident.first_trace)?,
            last_good_trace: incident.last_good_trace.as_ref().map(trace_json).transpose()?,
            subject_name: shorten(&incident.facts.name, MAX_NAME),
            tenantid: shorten(&incident.facts.tenant, MAX_NAME),
        })
    }

    pub(super) fn into_incident(self) -> Incident {
        // A trace of another version that cannot be read is shown as empty rather than hiding the incident.
        let trace = |text: &str| serde_json::from_str::<Trace>(text).unwrap_or_default();
        let subject = SubjectId::of_row(&self.subject_kind, self.subject_id);
        Incident {
            id: self.id,
            subject,
            started_at: UtcMs(self.started_at),
            ended_at: self.ended_at.map(UtcMs),
            ended_by: self.ended_by.and_then(|e| e.parse().ok()),
            reason: self.reason.parse().unwrap_or(Reason::Internal),
            description: self.description.into_owned(),
            first_trace: trace(&self.first_trace),
            last_good_trace: self.last_good_trace.as_deref().map(trace),
            facts: TargetFacts {
                id: subject.0,
                name: self.subject_name.into_owned(),
                tenant: self.tenantid.into_owned(),
                ..TargetFacts::default()
            },
        }
    }
}

/// An incident without its traces.
#[derive(Queryable, Selectable)]
#[diesel(table_name = incidents)]
pub(super) struct BareIncident {
    id: i64,
    subject_kind: String,
    subject_id: i64,
    reason: String,
    description: String,
    started_at: i64,
    ended_at: Option<i64>,
    ended_by: Option<String>,
}

impl BareIncident {
    pub(super) fn id(&self) -> i64 {
        self.id
    }

    pub(super) fn into_incident(self) -> Incident {
        let subject = SubjectId::of_row(&self.subject_kind, self.subject_id);
        Incident {
            id: self.id,
            subject,
            started_at: UtcMs(self.started_at),
            ended_at: self.ended_at.map(UtcMs),
            ended_by: self.ended_by.and_then(|e| e.parse().ok()),
            reason: self.reason.parse().unwrap_or(Reason::Internal),
            description: self.description,
            first_trace: Trace::default(),
            last_good_trace: None,
            facts: TargetFacts { id: subject.0, ..TargetFacts::default() },
        }
    }
}

/// A trace as JSON; of one that is far too long, the steps that fit and a note.
fn trace_json(trace: &Trace) -> Result<String, StoreError> {
    let failed = |e| StoreError::Rejected(format!("a trace cannot be written: {e}"));
    let text = serde_json::to_string(trace).map_err(failed)?;
    if text.len() <= MAX_TRACE {
        return Ok(text);
    }
    let (mut cut, mut left) = (Trace::default(), MAX_TRACE);
    for step in &trace.steps {
        let bytes = serde_json::to_string(step).map_err(failed)?.len() + 1;
        if bytes <= left {
            left -= bytes;
            cut.steps.push(step.clone());
        }
    }
    let gone = trace.steps.len() - cut.steps.len();
    let at = trace.steps.last().map_or(0, |s| s.at_us);
    cut.push(at, Event::Note { text: format!("{gone} steps are too long to be kept") });
    serde_json::to_string(&cut).map_err(failed)
}

fn clamp(value: i64) -> u32 {
    u32::try_from(value.max(0)).unwrap_or(u32::MAX)
}
