//! Transitions: durable here before anybody is told.

use std::collections::HashMap;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Text;

use super::schema::{definitions, events, notify_cursor, outbox, spool};
use super::{StateDb, codec};
use crate::model::incident::{End, Incident};
use crate::model::message::TargetFacts;
use crate::model::record::{IncidentChange, StatusRecord};
use crate::model::subject::SubjectId;
use crate::model::time::UtcMs;
use crate::store::rows::{BareIncident, IncidentRow, StatusRow};
use crate::store::schema::{incidents, target_status};
use crate::store::{StoreError, StoredStatus};

/// What happened to an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// It began.
    Opened,
    /// The target passed again.
    Recovered,
    /// The target is no longer watched: nobody is told.
    Withdrawn,
}

impl EventKind {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            EventKind::Opened => "opened",
            EventKind::Recovered => End::Recovered.as_str(),
            EventKind::Withdrawn => End::Withdrawn.as_str(),
        }
    }

    fn parse(word: &str) -> Option<EventKind> {
        [EventKind::Opened, EventKind::Recovered, EventKind::Withdrawn].into_iter().find(|k| k.as_str() == word)
    }
}

/// One row of `events`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRecord {
    /// Grows by time, never given twice.
    pub id: i64,
    /// The incident.
    pub incident_id: i64,
    /// What it is about.
    pub subject: SubjectId,
    /// What happened.
    pub kind: EventKind,
    /// When.
    pub at: UtcMs,
    /// The target as it was then.
    pub facts: TargetFacts,
}

impl StateDb {
    /// Keeps what transitions left behind, in one transaction that is on the disk when this returns: statuses (with
    /// absolute counters), incidents, and an event for each change. Recording the same again changes nothing more.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing was kept then.
    pub fn record_transitions(
        &mut self,
        writer: i64,
        number: i64,
        statuses: &[StatusRecord],
        changes: &[IncidentChange],
    ) -> Result<(), StoreError> {
        let rows: Vec<StatusRow<'_>> =
            statuses.iter().map(|s| StatusRow::new(s, &s.state.counters, 0, writer, number)).collect();
        self.write(|c| {
            // One a statement: its text is prepared once, that of many rows each time.
            for row in &rows {
                diesel::replace_into(target_status::table).values(row).execute(c)?;
            }
            for change in changes {
                match change {
                    IncidentChange::Opened(incident) => {
                        let row = IncidentRow::new(incident)?;
                        diesel::insert_or_ignore_into(incidents::table).values(row).execute(c)?;
                        add_event(
                            c,
                            incident.id,
                            incident.subject,
                            EventKind::Opened,
                            incident.started_at,
                            &incident.facts,
                        )?;
                    }
                    IncidentChange::Ended(end) => {
                        let open = incidents::table.find(end.id).filter(incidents::ended_at.is_null());
                        let values =
                            (incidents::ended_at.eq(end.ended_at.0), incidents::ended_by.eq(end.ended_by.as_str()));
                        let ended = diesel::update(open).set(values).execute(c)?;
                        let of = incidents::table.find(end.id).select((incidents::subject_kind, incidents::subject_id));
                        if ended == 1
                            && let Some((kind, id)) = of.first::<(String, i64)>(c).optional()?
                        {
                            let happened = match end.ended_by {
                                End::Recovered => EventKind::Recovered,
                                End::Withdrawn => EventKind::Withdrawn,
                            };
                            add_event(c, end.id, SubjectId::of_row(&kind, id), happened, end.ended_at, &end.facts)?;
                        }
                    }
                }
            }
            Ok(())
        })
    }

    /// The newest state of each target that this file knows: that of its last transition, or of the last batch that is
    /// still in the spool. Counters are absolute.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn load_statuses(&mut self) -> Result<Vec<StoredStatus>, StoreError> {
        let rows: Vec<StatusRow<'static>> = self.read(|c| target_status::table.load(c))?;
        let mut newest: HashMap<SubjectId, StoredStatus> = HashMap::with_capacity(rows.len());
        for stored in rows.into_iter().map(StatusRow::into_stored) {
            newest.insert(stored.subject, stored);
        }
        let seqs: Vec<i64> = self.read(|c| spool::table.order(spool::seq).select(spool::seq).load(c))?;
        for seq in seqs {
            let body: Vec<u8> = self.read(|c| spool::table.find(seq).select(spool::body).first(c))?;
            // One that cannot be read is met again, and reported, when it is its turn to be written.
            let Ok(batch) = codec::decode(&body) else { continue };
            let (writer, number) = (batch.writer, batch.number);
            for s in batch.statuses {
                let older = newest.get(&s.subject).is_none_or(|known| (known.writer, known.number) <= (writer, number));
                if older {
                    let stored = StoredStatus { subject: s.subject, state: s.state, writer, number };
                    newest.insert(s.subject, stored);
                }
            }
        }
        let mut all: Vec<StoredStatus> = newest.into_values().collect();
        all.sort_unstable_by_key(|s| s.subject);
        Ok(all)
    }

    /// Forgets at most `limit` statuses of targets that are gone and were last heard of before `before`; how many it were.
    /// The main database keeps them as long as they have results; what is in the spool is still written.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing was forgotten then.
    pub fn forget_statuses(&mut self, before: UtcMs, limit: u32) -> Result<u32, StoreError> {
        self.write(|c| {
            let known = definitions::table.select(definitions::id);
            let old = target_status::last_updated.is_null().or(target_status::last_updated.lt(before.0));
            let ids: Vec<i64> = target_status::table
                .filter(target_status::target_id.ne_all(known))
                .filter(target_status::target_id.ne(SubjectId::MONITOR.0))
                .filter(old.assume_not_null())
                .order(target_status::target_id)
                .limit(limit.into())
                .select(target_status::target_id)
                .load(c)?;
            for chunk in ids.chunks(500) {
                diesel::delete(target_status::table.filter(target_status::target_id.eq_any(chunk))).execute(c)?;
            }
            Ok(u32::try_from(ids.len()).unwrap_or(u32::MAX))
        })
    }

    /// Incidents that have not ended, the oldest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn open_incidents(&mut self) -> Result<Vec<Incident>, StoreError> {
        let open = incidents::table.filter(incidents::ended_at.is_null()).order(incidents::id);
        let rows: Vec<IncidentRow<'static>> = self.read(|c| open.load(c))?;
        Ok(rows.into_iter().map(IncidentRow::into_incident).collect())
    }

    /// Incidents that have not ended, and those that ended at `since` or later, the oldest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn incidents_since(&mut self, since: UtcMs) -> Result<Vec<Incident>, StoreError> {
        let late = incidents::ended_at.is_null().or(incidents::ended_at.ge(since.0)).assume_not_null();
        let rows: Vec<IncidentRow<'static>> =
            self.read(|c| incidents::table.filter(late).order(incidents::id).load(c))?;
        Ok(rows.into_iter().map(IncidentRow::into_incident).collect())
    }

    /// Events after `after`, the oldest first, at most `limit`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn events_after(&mut self, after: i64, limit: u32) -> Result<Vec<EventRecord>, StoreError> {
        let query = events::table.filter(events::id.gt(after)).order(events::id).limit(limit.into());
        type Row = (i64, i64, i64, String, i64, String);
        let rows: Vec<Row> = self.read(|c| query.load(c))?;
        let event = |(id, incident_id, target_id, kind, at, facts): Row| {
            let kind = EventKind::parse(&kind)?;
            // Facts of another version that cannot be read hide no transition.
            let unknown = || TargetFacts { id: target_id, ..TargetFacts::default() };
            let facts = serde_json::from_str(&facts).unwrap_or_else(|_| unknown());
            Some(EventRecord { id, incident_id, subject: SubjectId(target_id), kind, at: UtcMs(at), facts })
        };
        Ok(rows.into_iter().filter_map(event).collect())
    }

    /// The targets as they were at some events, by the events' ids.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn facts_of(&mut self, ids: &[i64]) -> Result<HashMap<i64, TargetFacts>, StoreError> {
        let mut all = HashMap::with_capacity(ids.len());
        for chunk in ids.chunks(500) {
            let of = events::table.filter(events::id.eq_any(chunk)).select((events::id, events::facts));
            let rows: Vec<(i64, String)> = self.read(|c| of.load(c))?;
            all.extend(rows.into_iter().filter_map(|(id, facts)| Some((id, serde_json::from_str(&facts).ok()?))));
        }
        Ok(all)
    }

    /// The names of the targets at some events, as [`TargetFacts::called`] gives them, by the events' ids.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn names_of(&mut self, ids: &[i64]) -> Result<HashMap<i64, String>, StoreError> {
        let mut all = HashMap::with_capacity(ids.len());
        let name = || {
            sql::<Text>(
                "CASE WHEN COALESCE(json_extract(facts, '$.tenant'), '') IN ('', '0') THEN '' \
                 ELSE json_extract(facts, '$.tenant') || '/' END || COALESCE(json_extract(facts, '$.name'), '')",
            )
        };
        for chunk in ids.chunks(500) {
            let of = events::table.filter(events::id.eq_any(chunk)).select((events::id, name()));
            all.extend(self.read(|c| of.load::<(i64, String)>(c))?);
        }
        Ok(all)
    }

    /// One incident, with both its traces.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn incident(&mut self, id: i64) -> Result<Option<Incident>, StoreError> {
        let row: Option<IncidentRow<'static>> = self.read(|c| incidents::table.find(id).first(c).optional())?;
        Ok(row.map(IncidentRow::into_incident))
    }

    /// Names of the targets of some incidents, as they were when these began, by the incidents' ids.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn target_names(&mut self, ids: &[i64]) -> Result<HashMap<i64, String>, StoreError> {
        let mut all = HashMap::with_capacity(ids.len());
        for chunk in ids.chunks(500) {
            let of = incidents::table.filter(incidents::id.eq_any(chunk));
            let rows: Vec<(i64, String)> =
                self.read(|c| of.select((incidents::id, incidents::subject_name)).load(c))?;
            all.extend(rows);
        }
        Ok(all)
    }

    /// Several incidents by their ids, with the traces of those in `traced` only: thousands of traces are too much.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn incidents(&mut self, ids: &[i64], traced: &[i64]) -> Result<HashMap<i64, Incident>, StoreError> {
        let mut all = HashMap::with_capacity(ids.len());
        let bare: Vec<i64> = ids.iter().copied().filter(|id| !traced.contains(id)).collect();
        for chunk in bare.chunks(500) {
            let of = incidents::table.filter(incidents::id.eq_any(chunk)).select(BareIncident::as_select());
            let rows: Vec<BareIncident> = self.read(|c| of.load(c))?;
            all.extend(rows.into_iter().map(|row| (row.id(), row.into_incident())));
        }
        for chunk in traced.chunks(500) {
            let of = incidents::table.filter(incidents::id.eq_any(chunk));
            let rows: Vec<IncidentRow<'static>> = self.read(|c| of.load(c))?;
            all.extend(rows.into_iter().map(IncidentRow::into_incident).map(|i| (i.id, i)));
        }
        Ok(all)
    }

    /// Forgets at most `limit` incidents that ended before `before`, with their events, the oldest first; how many it
    /// were. Open incidents stay, however old.
    ///
    /// Who must have seen them by then: the main database, through the batches that held them (each is written there or in
    /// the spool), and the outbox. So those stay of which an event is still to be taken (it is after the outbox's cursor),
    /// and those of which a notice is still open.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing was forgotten then.
    pub fn forget_incidents(&mut self, before: UtcMs, limit: u32) -> Result<u32, StoreError> {
        self.write(|c| {
            let cursor: Option<i64> = notify_cursor::table.select(notify_cursor::event_id).first(c).optional()?;
            let to_come =
                events::table.filter(events::incident_id.eq(incidents::id)).filter(events::id.gt(cursor.unwrap_or(0)));
            let owed = outbox::table.filter(outbox::incident_id.eq(incidents::id)).filter(outbox::done.eq(0));
            let old = incidents::table
                .filter(incidents::ended_at.lt(before.0))
                .filter(diesel::dsl::not(diesel::dsl::exists(to_come)))
                .filter(diesel::dsl::not(diesel::dsl::exists(owed)))
                .order((incidents::ended_at, incidents::id));
            let ids: Vec<i64> = old.limit(limit.into()).select(incidents::id).load(c)?;
            for chunk in ids.chunks(500) {
                diesel::delete(events::table.filter(events::incident_id.eq_any(chunk))).execute(c)?;
                diesel::delete(incidents::table.filter(incidents::id.eq_any(chunk))).execute(c)?;
            }
            Ok(u32::try_from(ids.len()).unwrap_or(u32::MAX))
        })
    }
}

fn add_event(
    c: &mut SqliteConnection,
    incident: i64,
    subject: SubjectId,
    kind: EventKind,
    at: UtcMs,
    facts: &TargetFacts,
) -> Result<(), StoreError> {
    let facts = serde_json::to_string(facts).map_err(|e| StoreError::Rejected(format!("an event: {e}")))?;
    let row = (
        events::incident_id.eq(incident),
        events::target_id.eq(subject.0),
        events::kind.eq(kind.as_str()),
        events::at.eq(at.0),
        events::facts.eq(facts),
    );
    diesel::insert_or_ignore_into(events::table).values(row).execute(c)?;
    Ok(())
}
