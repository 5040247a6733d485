//! The outbox: what is owed to whom, durable before anything is tried.
//!
//! ```text
//!  events --rules (model)--> OutboxChanges --one transaction--> outbox, kept, notify_cursor, notifier_status
//!  outbox --unsynced--> main database --mark_synced-->  ... old and done --forget_outbox--> gone
//! ```
//!
//! What a notice says is in its body, which is the rules' own; here are only the columns that queries need. Versions are
//! given here: each change of a row makes its version one greater.

use std::collections::HashMap;

use diesel::prelude::*;

use super::StateDb;
use super::schema::{kept, notifier_status, notify_cursor, outbox};
use super::statements::{MarkSynced, StoreNotice};
use crate::model::notifier::{NotifierId, NotifierStatus};
use crate::model::time::UtcMs;
use crate::store::StoreError;

/// A notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// Time-ordered, never given twice.
    pub id: i64,
    /// Who is told.
    pub notifier_id: i64,
    /// Of which incident.
    pub incident_id: i64,
    /// Where it stands, in the rules' words.
    pub state: String,
    /// When it became final.
    pub finished_at: Option<UtcMs>,
    /// How often it was stored; what is given to be stored is not looked at.
    pub version: i64,
    /// All of it.
    pub body: String,
}

/// Something else that the rules keep, by kind and id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptRow {
    /// What it is.
    pub kind: String,
    /// Unique within the kind.
    pub id: i64,
    /// All of it.
    pub body: String,
}

/// What is stored in one transaction.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OutboxChanges {
    /// To be inserted, or replaced by id.
    pub rows: Vec<OutboxRow>,
    /// Not to be loaded again.
    pub done: Vec<i64>,
    /// To be inserted, or replaced by kind and id.
    pub kept: Vec<KeptRow>,
    /// Kinds and ids of what is kept no more.
    pub dropped: Vec<(String, i64)>,
    /// The last event that was taken.
    pub cursor: i64,
    /// What else the rules must know of it.
    pub mark: String,
    /// Counters, absolute; their versions are not looked at.
    pub statuses: Vec<(NotifierId, NotifierStatus)>,
}

/// What was stored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outbox {
    /// Those that are not done, in the order of their ids.
    pub rows: Vec<OutboxRow>,
    /// Everything that is kept.
    pub kept: Vec<KeptRow>,
    /// The last event that was taken; 0: none.
    pub cursor: i64,
    /// As it was given; empty: never.
    pub mark: String,
}

type Columns = (i64, i64, i64, String, Option<i64>, i64, String);

const COLUMNS: (
    outbox::id,
    outbox::notifier_id,
    outbox::incident_id,
    outbox::state,
    outbox::finished_at,
    outbox::version,
    outbox::body,
) = (
    outbox::id,
    outbox::notifier_id,
    outbox::incident_id,
    outbox::state,
    outbox::finished_at,
    outbox::version,
    outbox::body,
);

fn row((id, notifier_id, incident_id, state, finished_at, version, body): Columns) -> OutboxRow {
    OutboxRow { id, notifier_id, incident_id, state, finished_at: finished_at.map(UtcMs), version, body }
}

impl StateDb {
    /// Everything that the rules go on with after a start.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn load_outbox(&mut self) -> Result<Outbox, StoreError> {
        let open = outbox::table.filter(outbox::done.eq(0)).order(outbox::id).select(COLUMNS);
        let rows: Vec<Columns> = self.read(|c| open.load(c))?;
        let kept: Vec<(String, i64, String)> = self.read(|c| kept::table.load(c))?;
        let at = notify_cursor::table.select((notify_cursor::event_id, notify_cursor::mark));
        let (cursor, mark) = self.read(|c| at.first(c).optional())?.unwrap_or_default();
        let kept = kept.into_iter().map(|(kind, id, body)| KeptRow { kind, id, body }).collect();
        Ok(Outbox { rows: rows.into_iter().map(row).collect(), kept, cursor, mark })
    }

    /// Stores what the rules have decided; it is on the disk when this returns.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing was stored then.
    pub fn save_outbox(&mut self, changes: &OutboxChanges) -> Result<(), StoreError> {
        self.write(|c| {
            for r in &changes.rows {
                StoreNotice::new(r).execute(c)?;
            }
            for chunk in changes.done.chunks(500) {
                let of = outbox::table.filter(outbox::id.eq_any(chunk));
                diesel::update(of).set(outbox::done.eq(1)).execute(c)?;
            }
            for k in &changes.kept {
                let values = (kept::kind.eq(&k.kind), kept::id.eq(k.id), kept::body.eq(&k.body));
                diesel::replace_into(kept::table).values(values).execute(c)?;
            }
            for (kind, id) in &changes.dropped {
                diesel::delete(kept::table.find((kind, id))).execute(c)?;
            }
            for (id, s) in &changes.statuses {
                let values = (
                    notifier_status::pass_count.eq(s.pass_count),
                    notifier_status::fail_count.eq(s.fail_count),
                    notifier_status::last_sent_at.eq(s.last_sent_at.map(|t| t.0)),
                    notifier_status::last_failed_at.eq(s.last_failed_at.map(|t| t.0)),
                    notifier_status::last_answer.eq(s.last_answer.as_deref()),
                );
                diesel::insert_into(notifier_status::table)
                    .values((notifier_status::notifier_id.eq(id.0), notifier_status::version.eq(1), values))
                    .on_conflict(notifier_status::notifier_id)
                    .do_update()
                    .set((values, notifier_status::version.eq(notifier_status::version + 1)))
                    .execute(c)?;
            }
            let mark = (notify_cursor::event_id.eq(changes.cursor), notify_cursor::mark.eq(&changes.mark));
            diesel::replace_into(notify_cursor::table).values((notify_cursor::id.eq(1), mark)).execute(c)?;
            Ok(())
        })
    }

    /// The notices of some incidents, done ones too, in the order of their ids.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn outbox_of(&mut self, incidents: &[i64]) -> Result<Vec<OutboxRow>, StoreError> {
        let mut all = Vec::new();
        for chunk in incidents.chunks(500) {
            let of = outbox::table.filter(outbox::incident_id.eq_any(chunk)).select(COLUMNS);
            let rows: Vec<Columns> = self.read(|c| of.load(c))?;
            all.extend(rows.into_iter().map(row));
        }
        all.sort_unstable_by_key(|r| r.id);
        all.dedup_by_key(|r| r.id);
        Ok(all)
    }

    /// What is kept under some ids of a kind.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn kept_of(&mut self, kind: &str, ids: &[i64]) -> Result<HashMap<i64, String>, StoreError> {
        let mut all = HashMap::new();
        for chunk in ids.chunks(500) {
            let of = kept::table.filter(kept::kind.eq(kind)).filter(kept::id.eq_any(chunk));
            let rows: Vec<(i64, String)> = self.read(|c| of.select((kept::id, kept::body)).load(c))?;
            all.extend(rows);
        }
        Ok(all)
    }

    /// At most `limit` notices that the main database does not have as they are, in the order of their ids.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn unsynced(&mut self, limit: u32) -> Result<Vec<OutboxRow>, StoreError> {
        let ahead = outbox::table.filter(outbox::synced.lt(outbox::version)).order(outbox::id);
        let rows: Vec<Columns> = self.read(|c| ahead.limit(limit.into()).select(COLUMNS).load(c))?;
        Ok(rows.into_iter().map(row).collect())
    }

    /// The main database has these, in these versions (or later ones).
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn mark_synced(&mut self, rows: &[(i64, i64)]) -> Result<(), StoreError> {
        self.write(|c| {
            for &(id, version) in rows {
                MarkSynced { id, version }.execute(c)?;
            }
            Ok(())
        })
    }

    /// How every notifier is doing.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn notifier_statuses(&mut self) -> Result<HashMap<NotifierId, NotifierStatus>, StoreError> {
        let rows: Vec<StatusColumns> = self.read(|c| notifier_status::table.select(STATUS).load(c))?;
        Ok(rows.into_iter().map(status).collect())
    }

    /// Those that the main database does not have as they are.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn unsynced_statuses(&mut self) -> Result<Vec<(NotifierId, NotifierStatus)>, StoreError> {
        let ahead = notifier_status::table.filter(notifier_status::synced.lt(notifier_status::version));
        let rows: Vec<StatusColumns> = self.read(|c| ahead.select(STATUS).load(c))?;
        Ok(rows.into_iter().map(status).collect())
    }

    /// The main database has these statuses, in these versions (or later ones).
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn mark_statuses_synced(&mut self, statuses: &[(NotifierId, i64)]) -> Result<(), StoreError> {
        self.write(|c| {
            for (id, version) in statuses {
                let older = notifier_status::table.find(id.0).filter(notifier_status::synced.lt(version));
                diesel::update(older).set(notifier_status::synced.eq(version)).execute(c)?;
            }
            Ok(())
        })
    }

    /// Forgets at most `limit` notices that are done, that the main database has, and that became final before `before`;
    /// how many it were. Those that are still to be copied stay, however old.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing was forgotten then.
    pub fn forget_outbox(&mut self, before: UtcMs, limit: u32) -> Result<u32, StoreError> {
        self.write(|c| {
            let old = outbox::table
                .filter(outbox::done.eq(1))
                .filter(outbox::finished_at.is_null().or(outbox::finished_at.lt(before.0)))
                .filter(outbox::synced.ge(outbox::version))
                .order((outbox::finished_at, outbox::id));
            let ids: Vec<i64> = old.limit(limit.into()).select(outbox::id).load(c)?;
            for chunk in ids.chunks(500) {
                diesel::delete(outbox::table.filter(outbox::id.eq_any(chunk))).execute(c)?;
            }
            Ok(u32::try_from(ids.len()).unwrap_or(u32::MAX))
        })
    }
}

type StatusColumns = (i64, i64, i64, Option<i64>, Option<i64>, Option<String>, i64);

const STATUS: (
    notifier_status::notifier_id,
    notifier_status::pass_count,
    notifier_status::fail_count,
    notifier_status::last_sent_at,
    notifier_status::last_failed_at,
    notifier_status::last_answer,
    notifier_status::version,
) = (
    notifier_status::notifier_id,
    notifier_status::pass_count,
    notifier_status::fail_count,
    notifier_status::last_sent_at,
    notifier_status::last_failed_at,
    notifier_status::last_answer,
    notifier_status::version,
);

fn status(
    (id, pass_count, fail_count, sent, failed, last_answer, version): StatusColumns,
) -> (NotifierId, NotifierStatus) {
    let (last_sent_at, last_failed_at) = (sent.map(UtcMs), failed.map(UtcMs));
    (NotifierId(id), NotifierStatus { pass_count, fail_count, last_sent_at, last_failed_at, last_answer, version })
}
