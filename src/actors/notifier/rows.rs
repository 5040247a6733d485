//! The outbox's own data and the rows of state.db: one becomes the other.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::message::TargetFacts;
use crate::model::notifier::Matched;
use crate::model::outbox::{Changes, Dispatch, Mark, Notice, Pace, Saved, Standing, Transition, TransitionKind};
use crate::model::subject::SubjectId;
use crate::model::target::TargetId;
use crate::store::state_db::{EventKind, EventRecord, KeptRow, Outbox, OutboxChanges, OutboxRow};

/// The kind of what is kept of a message on its way.
pub(super) const DISPATCH: &str = "dispatch";
const STANDING: &str = "standing";
const PACE: &str = "pace";

/// What is to be stored, as rows.
///
/// # Errors
/// Something cannot be written as JSON, which a mistake of ours alone can cause.
pub fn to_rows(changes: &Changes) -> serde_json::Result<OutboxChanges> {
    let mut out = OutboxChanges { cursor: changes.mark.cursor, mark: text(&changes.mark)?, ..OutboxChanges::default() };
    for notice in &changes.notices {
        out.rows.push(OutboxRow {
            id: notice.id.0,
            notifier_id: notice.notifier.0,
            incident_id: notice.incident_id,
            state: notice.state.as_str().to_owned(),
            finished_at: notice.finished_at,
            version: 0,
            body: text(notice)?,
        });
    }
    out.done = changes.done_notices.iter().map(|id| id.0).collect();
    let mut keep = |kind: &str, id: i64, body: String| out.kept.push(KeptRow { kind: kind.into(), id, body });
    for d in &changes.dispatches {
        keep(DISPATCH, d.id, text(d)?);
    }
    for s in &changes.standings {
        keep(STANDING, s.subject.0, text(s)?);
    }
    for p in &changes.paces {
        keep(PACE, p.notifier.0, text(p)?);
    }
    out.dropped.extend(changes.gone_dispatches.iter().map(|id| (DISPATCH.to_owned(), *id)));
    out.dropped.extend(changes.gone_standings.iter().map(|id| (STANDING.to_owned(), id.0)));
    out.dropped.extend(changes.gone_paces.iter().map(|id| (PACE.to_owned(), id.0)));
    Ok(out)
}

/// What was stored, and how many rows could not be read.
#[must_use]
pub fn from_rows(outbox: Outbox) -> (Saved, usize) {
    let mut unread = 0;
    let notices = outbox.rows.iter().filter_map(|r| read::<Notice>(&r.body, &mut unread)).collect();
    let mut saved = Saved { notices, ..Saved::default() };
    for row in &outbox.kept {
        match row.kind.as_str() {
            DISPATCH => saved.dispatches.extend(read::<Dispatch>(&row.body, &mut unread)),
            STANDING => saved.standings.extend(read::<Standing>(&row.body, &mut unread)),
            PACE => saved.paces.extend(read::<Pace>(&row.body, &mut unread)),
            _ => unread += 1,
        }
    }
    if !outbox.mark.is_empty() {
        saved.mark = read::<Mark>(&outbox.mark, &mut unread).unwrap_or_default();
    }
    // The cursor has a column of its own: transitions are never told twice for a mark that cannot be read.
    saved.mark.cursor = saved.mark.cursor.max(outbox.cursor);
    (saved, unread)
}

/// A transition as the outbox takes it; `parent` finds the id of a parent by its name.
#[must_use]
pub fn transition(event: &EventRecord, parent: impl Fn(&TargetFacts) -> Option<TargetId>) -> Transition {
    Transition {
        event_id: event.id,
        incident_id: event.incident_id,
        target: Matched {
            id: event.subject,
            name: event.facts.name.clone(),
            tenant: event.facts.tenant.clone(),
            tags: event.facts.tags.clone(),
            users: event.facts.users.clone(),
        },
        parent: parent(&event.facts).map(SubjectId::from),
        kind: match event.kind {
            EventKind::Opened => TransitionKind::Opened,
            EventKind::Recovered => TransitionKind::Recovered,
            EventKind::Withdrawn => TransitionKind::Withdrawn,
        },
        at: event.at,
    }
}

/// A message on its way, as it was kept.
pub(super) fn dispatch_of(body: &str) -> Option<Dispatch> {
    serde_json::from_str(body).ok()
}

fn text(value: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string(value)
}

fn read<T: DeserializeOwned>(body: &str, unread: &mut usize) -> Option<T> {
    let value = serde_json::from_str(body).ok();
    *unread += usize::from(value.is_none());
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::notifier::NotifierId;
    use crate::model::outbox::Flapping;
    use crate::model::time::UtcMs;

    #[test]
    fn what_is_stored_is_read_back() {
        let standing = Standing {
            subject: SubjectId(3),
            parent: None,
            open: None,
            last_incident: 9,
            last_event: 4,
            changes: vec![UtcMs(5)],
            flapping: Some(Flapping { incident_id: 9, changes: 7, last_change: UtcMs(5) }),
        };
        let changes = Changes {
            standings: vec![standing.clone()],
            paces: vec![Pace::new(NotifierId(2))],
            mark: Mark { cursor: 4, last_id: 8, now: UtcMs(6) },
            ..Changes::default()
        };
        let rows = to_rows(&changes).unwrap();
        let (saved, unread) =
            from_rows(Outbox { rows: rows.rows, kept: rows.kept, cursor: rows.cursor, mark: rows.mark });
        assert_eq!(unread, 0);
        assert_eq!((saved.standings, saved.paces, saved.mark), (vec![standing], changes.paces, changes.mark));
    }

    #[test]
    fn a_row_of_another_version_is_counted_and_hides_no_other() {
        let kept = vec![KeptRow { kind: PACE.into(), id: 1, body: "{}".into() }];
        let (saved, unread) = from_rows(Outbox { kept, cursor: 7, ..Outbox::default() });
        assert_eq!((saved.mark.cursor, unread), (7, 1));
    }
}
