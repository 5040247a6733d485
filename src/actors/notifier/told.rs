//! A notice as people see it: the columns of `notifications`, and what state.db knows of one that is being tried.
//!
//! ```text
//!  outbox row ---------------------> Notification (the copy in the main database: attempts of what is over)
//!  outbox row + its dispatch ------> what was tried so far, the last answer, when it is tried again
//! ```

use std::collections::HashMap;

use super::rows::{DISPATCH, dispatch_of};
use crate::board::Board;
use crate::model::notifier::Notification;
use crate::model::outbox::{Notice, NoticeState};
use crate::model::target::TargetId;
use crate::model::time::UtcMs;
use crate::store::state_db::OutboxRow;
use crate::store::{StateDb, StoreError};

/// What state.db knows of an incident's notices.
#[derive(Debug, Default)]
pub struct Fresh {
    rows: Vec<OutboxRow>,
    names: HashMap<i64, String>,
    /// Bodies of dispatches, by id.
    dispatches: HashMap<i64, String>,
}

/// Reads it.
///
/// # Errors
/// See [`StoreError`].
pub fn fresh(db: &mut StateDb, incident: i64) -> Result<Fresh, StoreError> {
    let rows = db.outbox_of(&[incident])?;
    let ids: Vec<i64> = rows.iter().filter_map(notice).filter_map(|n| n.dispatch).collect();
    Ok(Fresh { names: db.target_names(&[incident])?, dispatches: db.kept_of(DISPATCH, &ids)?, rows })
}

impl Fresh {
    /// Each notice, with when it is tried again.
    #[must_use]
    pub fn told(&self, board: &Board) -> Vec<(Notification, Option<UtcMs>)> {
        let told = |row: &OutboxRow| {
            let mut told = notification(board, row, &self.names)?;
            let dispatch = notice(row).filter(|n| n.state == NoticeState::Sending).and_then(|n| n.dispatch);
            let dispatch = dispatch.and_then(|id| self.dispatches.get(&id)).and_then(|body| dispatch_of(body));
            let Some(dispatch) = dispatch else { return Some((told, None)) };
            told.attempts += i64::from(dispatch.attempts);
            told.answer = dispatch.why.or(told.answer);
            Some((told, Some(dispatch.next_at).filter(|_| !dispatch.in_flight)))
        };
        self.rows.iter().filter_map(told).collect()
    }
}

fn notice(row: &OutboxRow) -> Option<Notice> {
    serde_json::from_str(&row.body).ok()
}

/// `names`: of targets, by incident, as they were when it began.
pub(super) fn notification(board: &Board, row: &OutboxRow, names: &HashMap<i64, String>) -> Option<Notification> {
    let notice = notice(row)?;
    let notifiers = board.notifiers.all();
    let notifier_name = notifiers.get(&notice.notifier).map(|e| e.row.name.clone()).unwrap_or_default();
    let target_name = notice
        .subject
        .target()
        .and_then(|id| board.get(id))
        .and_then(|e| e.lock().target.as_ref().map(|t| t.name.clone()));
    let at = |wanted: bool| notice.finished_at.filter(|_| wanted);
    Some(Notification {
        id: notice.id.0,
        notifier_id: notice.notifier,
        notifier_name,
        incident_id: notice.incident_id,
        target_id: TargetId(notice.subject.0),
        target_name: target_name.or_else(|| names.get(&notice.incident_id).cloned()).unwrap_or_default(),
        event: notice.event.as_str().to_owned(),
        number: notice.number.into(),
        state: notice.state.as_str().to_owned(),
        message_id: notice.message_id.clone(),
        digest_id: notice.dispatch.filter(|d| *d != notice.id.0),
        attempts: notice.attempts.into(),
        created_at: notice.created_at,
        attempted_at: at(notice.attempts > 0).or(None::<UtcMs>),
        sent_at: at(notice.state == NoticeState::Sent),
        answer: notice.answer.clone(),
        version: row.version,
    })
}
