//! The copy for people: what was told to whom goes to the main database, when that is there.

use std::rc::Rc;
use std::time::Duration;

use super::Parts;
use super::told::notification;
use crate::actors::databases::{LocalQuery, Query, answered};
use crate::model::notifier::{Notification, NotifierId};
use crate::store::StoreError;

/// How often is looked.
const PAUSE: Duration = Duration::from_secs(1);
/// Between two portions when there are more: nobody waits for this copy, and probes want the processors.
const BREATH: Duration = Duration::from_millis(200);
/// Rows in one go.
const ROWS: u32 = 500;

/// Copies for ever. A row that fails is tried again: it is replaced by id, and never by an older form.
pub(super) async fn run(parts: Rc<Parts>) {
    loop {
        match once(&parts).await {
            Ok(copied) if copied >= ROWS as usize => tokio::time::sleep(BREATH).await,
            // Where the database is away is said by those whose work it is.
            Ok(_) | Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn once(parts: &Parts) -> Result<usize, StoreError> {
    let work = LocalQuery::new(|db| {
        let rows = db.unsynced(ROWS)?;
        let statuses = db.unsynced_statuses()?;
        let incidents: Vec<i64> = rows.iter().map(|r| r.incident_id).collect();
        Ok((rows, db.target_names(&incidents)?, statuses))
    });
    let (rows, names, statuses) = answered(parts.local.send(work).await)?;
    if rows.is_empty() && statuses.is_empty() {
        return Ok(0);
    }
    let copied = rows.len();
    let versions: Vec<(i64, i64)> = rows.iter().map(|r| (r.id, r.version)).collect();
    let seen: Vec<(NotifierId, i64)> = statuses.iter().map(|(id, s)| (*id, s.version)).collect();
    let notifications: Vec<Notification> =
        rows.iter().filter_map(|row| notification(&parts.board, row, &names)).collect();
    let query = Query::new(move |store| {
        store.write_notifications(&notifications)?;
        store.write_notifier_statuses(&statuses)
    });
    answered(parts.main.send(query).await)?;
    let mark = LocalQuery::new(move |db| {
        db.mark_synced(&versions)?;
        db.mark_statuses_synced(&seen)
    });
    answered(parts.local.send(mark).await)?;
    Ok(copied)
}
