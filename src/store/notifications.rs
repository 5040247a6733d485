//! What was told to whom, and how notifiers are doing: a copy of what state.db keeps.
//!
//! Each row comes with its version: an older form never replaces a newer one, so copying again is always safe.

use std::collections::HashMap;

use diesel::prelude::*;

use super::error::StoreError;
use super::schema::{notifications, notifier_status};
use super::{Store, on, write_tx};
use crate::model::notifier::{Notification, NotifierId, NotifierStatus};
use crate::model::target::TargetId;
use crate::model::text::shorten;
use crate::model::time::UtcMs;

/// Rows in one statement.
const ROWS: usize = 200;
/// Longer words of a server are cut: they must not hold up what comes behind.
const MAX_ANSWER: usize = 2000;
/// What the columns take.
const MAX_SHORT: usize = 255;

#[derive(Insertable, Queryable, AsChangeset)]
#[diesel(table_name = notifications, treat_none_as_null = true, treat_none_as_default_value = false)]
struct NotificationRow {
    id: i64,
    notifier_id: i64,
    notifier_name: String,
    incident_id: i64,
    target_id: i64,
    target_name: String,
    event: String,
    number: i64,
    state: String,
    message_id: Option<String>,
    digest_id: Option<i64>,
    attempts: i64,
    created_at: i64,
    attempted_at: Option<i64>,
    sent_at: Option<i64>,
    answer: Option<String>,
    version: i64,
}

impl From<&Notification> for NotificationRow {
    fn from(n: &Notification) -> Self {
        let short = |s: &str| shorten(s, MAX_SHORT).into_owned();
        NotificationRow {
            id: n.id,
            notifier_id: n.notifier_id.0,
            notifier_name: short(&n.notifier_name),
            incident_id: n.incident_id,
            target_id: n.target_id.0,
            target_name: short(&n.target_name),
            event: short(&n.event),
            number: n.number,
            state: short(&n.state),
            message_id: n.message_id.as_deref().map(short),
            digest_id: n.digest_id,
            attempts: n.attempts,
            created_at: n.created_at.0,
            attempted_at: n.attempted_at.map(|t| t.0),
            sent_at: n.sent_at.map(|t| t.0),
            answer: n.answer.as_deref().map(|a| shorten(a, MAX_ANSWER).into_owned()),
            version: n.version,
        }
    }
}

impl From<NotificationRow> for Notification {
    fn from(r: NotificationRow) -> Self {
        Notification {
            id: r.id,
            notifier_id: NotifierId(r.notifier_id),
            notifier_name: r.notifier_name,
            incident_id: r.incident_id,
            target_id: TargetId(r.target_id),
            target_name: r.target_name,
            event: r.event,
            number: r.number,
            state: r.state,
            message_id: r.message_id,
            digest_id: r.digest_id,
            attempts: r.attempts,
            created_at: UtcMs(r.created_at),
            attempted_at: r.attempted_at.map(UtcMs),
            sent_at: r.sent_at.map(UtcMs),
            answer: r.answer,
            version: r.version,
        }
    }
}

#[derive(Insertable, Queryable, Selectable, AsChangeset)]
#[diesel(table_name = notifier_status, treat_none_as_null = true, treat_none_as_default_value = false)]
pub(super) struct NotifierStatusRow {
    notifier_id: i64,
    pass_count: i64,
    fail_count: i64,
    last_sent_at: Option<i64>,
    last_failed_at: Option<i64>,
    last_answer: Option<String>,
    version: i64,
}

impl NotifierStatusRow {
    pub(super) fn new(id: NotifierId, s: &NotifierStatus) -> Self {
        NotifierStatusRow {
            notifier_id: id.0,
            pass_count: s.pass_count,
            fail_count: s.fail_count,
            last_sent_at: s.last_sent_at.map(|t| t.0),
            last_failed_at: s.last_failed_at.map(|t| t.0),
            last_answer: s.last_answer.as_deref().map(|a| shorten(a, MAX_ANSWER).into_owned()),
            version: s.version,
        }
    }

    pub(super) fn into_status(self) -> (NotifierId, NotifierStatus) {
        let status = NotifierStatus {
            pass_count: self.pass_count,
            fail_count: self.fail_count,
            last_sent_at: self.last_sent_at.map(UtcMs),
            last_failed_at: self.last_failed_at.map(UtcMs),
            last_answer: self.last_answer,
            version: self.version,
        };
        (NotifierId(self.notifier_id), status)
    }
}

impl Store {
    /// Inserts these, or replaces older forms of them; of newer ones nothing is changed. An empty name replaces none.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing of it was written, or (connection lost at the COMMIT) all of it.
    pub fn write_notifications(&mut self, all: &[Notification]) -> Result<(), StoreError> {
        let rows: Vec<NotificationRow> = all.iter().map(NotificationRow::from).collect();
        self.run(|db| {
            write_tx!(db, c => {
                for chunk in rows.chunks(ROWS) {
                    let ids: Vec<i64> = chunk.iter().map(|r| r.id).collect();
                    let there = notifications::table.filter(notifications::id.eq_any(&ids));
                    let there = there.select((
                        notifications::id,
                        (notifications::version, notifications::notifier_name, notifications::target_name),
                    ));
                    let there: Vec<(i64, (i64, String, String))> = there.load(c)?;
                    let mut there: HashMap<i64, (i64, String, String)> = there.into_iter().collect();
                    if there.len() < chunk.len() {
                        // Those that are there are left as they are.
                        diesel::insert_or_ignore_into(notifications::table).values(chunk).execute(c)?;
                    }
                    for row in chunk {
                        let Some((version, notifier, target)) = there.remove(&row.id) else { continue };
                        if version >= row.version {
                            continue;
                        }
                        let older = notifications::table.find(row.id).filter(notifications::version.lt(row.version));
                        diesel::update(older).set(row).execute(c)?;
                        // Of one that is gone the name is not known any more: the one that was stands.
                        if row.notifier_name.is_empty() && !notifier.is_empty() {
                            let name = notifications::notifier_name.eq(notifier);
                            diesel::update(notifications::table.find(row.id)).set(name).execute(c)?;
                        }
                        if row.target_name.is_empty() && !target.is_empty() {
                            let name = notifications::target_name.eq(target);
                            diesel::update(notifications::table.find(row.id)).set(name).execute(c)?;
                        }
                    }
                }
                Ok(())
            })
        })
    }

    /// What was told of an incident, in order.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn notifications(&mut self, incident: i64) -> Result<Vec<Notification>, StoreError> {
        self.run(|db| {
            let of = notifications::table.filter(notifications::incident_id.eq(incident)).order(notifications::id);
            let rows: Vec<NotificationRow> = on!(db, c => of.load(c))?;
            Ok(rows.into_iter().map(Notification::from).collect())
        })
    }

    /// Inserts these, or replaces older forms of them; of newer ones nothing is changed.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn write_notifier_statuses(&mut self, all: &[(NotifierId, NotifierStatus)]) -> Result<(), StoreError> {
        self.run(|db| {
            write_tx!(db, c => {
                for (id, status) in all {
                    let row = NotifierStatusRow::new(*id, status);
                    let older = notifier_status::table.find(id.0).filter(notifier_status::version.lt(status.version));
                    if diesel::update(older).set(&row).execute(c)? == 0 {
                        diesel::insert_or_ignore_into(notifier_status::table).values(&row).execute(c)?;
                    }
                }
                Ok(())
            })
        })
    }

    /// How every notifier is doing; those that are gone may be among them.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn notifier_statuses(&mut self) -> Result<HashMap<NotifierId, NotifierStatus>, StoreError> {
        self.run(|db| {
            let rows: Vec<NotifierStatusRow> = on!(db, c => notifier_status::table.load(c))?;
            Ok(rows.into_iter().map(NotifierStatusRow::into_status).collect())
        })
    }

    /// Removes at most `limit` notifications that were written down before `before`, the oldest first; how many it were.
    /// Call again while it returns `limit`.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing was removed then.
    pub fn prune_notifications(&mut self, before: UtcMs, limit: u32) -> Result<u32, StoreError> {
        self.run(|db| {
            write_tx!(db, c => {
                let old = notifications::table
                    .filter(notifications::created_at.lt(before.0))
                    .order((notifications::created_at, notifications::id));
                let ids: Vec<i64> = old.limit(limit.into()).select(notifications::id).load(c)?;
                for chunk in ids.chunks(ROWS) {
                    diesel::delete(notifications::table.filter(notifications::id.eq_any(chunk))).execute(c)?;
                }
                Ok(u32::try_from(ids.len()).unwrap_or(u32::MAX))
            })
        })
    }
}
