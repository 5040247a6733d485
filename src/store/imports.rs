//! What is brought over from another database: definitions, statuses, open incidents and the marks of all that, in one
//! transaction.
//!
//! The marks are what makes a second import do nothing ([`crate::import::legacy`]).

use diesel::prelude::*;

use super::definitions::insert_rows;
use super::error::StoreError;
use super::notifications::NotifierStatusRow;
use super::rows::{IncidentRow, StatusRow};
use super::schema::{imports, incidents, notifier_status, target_status};
use super::{Store, on, write_tx};
use crate::import::legacy::{BroughtNotifier, BroughtTarget, ImportMark};
use crate::model::defined::Defined;
use crate::model::definition::Definition;
use crate::model::ids::IdGenerator;
use crate::model::incident::Incident;
use crate::model::message::TargetFacts;
use crate::model::notifier::{NotifierDefinition, NotifierId, NotifierStatus};
use crate::model::record::StatusRecord;
use crate::model::state::OpenIncident;
use crate::model::subject::SubjectId;
use crate::model::target::TargetId;
use crate::model::text::shorten;
use crate::model::time::UtcMs;
use crate::model::trace::{Event, Trace};

/// What the column of a source takes.
const MAX_SOURCE: usize = 255;

#[derive(Insertable, Queryable)]
#[diesel(table_name = imports)]
struct MarkRow {
    kind: String,
    tenantid: String,
    name: String,
    old_id: i64,
    item_id: i64,
    source: String,
    imported_at: i64,
}

/// Who writes an import, and when.
#[derive(Debug, Clone, Copy)]
pub struct ImportStamp<'a> {
    /// The old database.
    pub source: &'a str,
    /// Newer than every daemon that has written before, so that no older state in a state.db overtakes.
    pub writer: i64,
    /// Now.
    pub now: UtcMs,
}

impl Store {
    /// The marks of everything that was brought over.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn import_marks(&mut self) -> Result<Vec<ImportMark>, StoreError> {
        self.run(|db| {
            let rows: Vec<MarkRow> = on!(db, c => imports::table.load(c))?;
            let mark = |r: MarkRow| ImportMark {
                kind: r.kind,
                tenantid: r.tenantid,
                name: r.name,
                old_id: r.old_id,
                item_id: r.item_id,
                source: r.source,
                imported_at: UtcMs(r.imported_at),
            };
            Ok(rows.into_iter().map(mark).collect())
        })
    }

    /// Writes what is brought over, all or nothing.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when a name is taken; else see [`StoreError`].
    pub fn import(
        &mut self,
        targets: &[BroughtTarget],
        notifiers: &[BroughtNotifier],
        stamp: ImportStamp<'_>,
    ) -> Result<(), StoreError> {
        let mut ids = IdGenerator::new(u16::try_from(stamp.writer & 0x3ff).unwrap_or(0));
        self.run(|db| {
            write_tx!(db, c => {
                let definitions: Vec<Definition> = targets.iter().map(|t| t.definition.clone()).collect();
                let inserted = insert_rows!(c, targets, &definitions, stamp.now);
                for (target, id) in targets.iter().zip(inserted) {
                    let (record, incident) = standing(target, id, ids.next(stamp.now.0), stamp.now);
                    if let Some(incident) = &incident {
                        diesel::insert_into(incidents::table).values(IncidentRow::new(incident)?).execute(c)?;
                    }
                    let counters = record.state.counters;
                    let row = StatusRow {
                        imported_count: target.imported_count(),
                        ..StatusRow::new(&record, &counters, 0, stamp.writer, 1)
                    };
                    diesel::insert_into(target_status::table).values(row).execute(c)?;
                    let mark = mark(&target.definition, target.old_id, id, stamp);
                    diesel::insert_into(imports::table).values(mark).execute(c)?;
                }
                let definitions: Vec<NotifierDefinition> = notifiers.iter().map(|n| n.definition.clone()).collect();
                let inserted = insert_rows!(c, notifiers, &definitions, stamp.now);
                for (notifier, id) in notifiers.iter().zip(inserted) {
                    let status = NotifierStatus {
                        pass_count: notifier.pass_count,
                        fail_count: notifier.fail_count,
                        ..NotifierStatus::default()
                    };
                    let row = NotifierStatusRow::new(NotifierId(id), &status);
                    diesel::insert_into(notifier_status::table).values(row).execute(c)?;
                    let mark = mark(&notifier.definition, notifier.old_id, id, stamp);
                    diesel::insert_into(imports::table).values(mark).execute(c)?;
                }
                Ok(())
            })
        })
    }
}

fn mark<D: Defined>(d: &D, old_id: i64, item_id: i64, stamp: ImportStamp<'_>) -> MarkRow {
    MarkRow {
        kind: D::WHAT.to_owned(),
        tenantid: d.tenantid().to_owned(),
        name: d.name().to_owned(),
        old_id,
        item_id,
        source: shorten(stamp.source, MAX_SOURCE).into_owned(),
        imported_at: stamp.now.0,
    }
}

/// The status of a target, and the incident that it is in: people were told of it by 0.3.0.
fn standing(target: &BroughtTarget, id: i64, incident_id: i64, now: UtcMs) -> (StatusRecord, Option<Incident>) {
    let subject = SubjectId::from(TargetId(id));
    let mut state = target.state.clone();
    let incident = target.failure.as_ref().map(|failure| {
        let started_at = failure.since.unwrap_or(now);
        state.incident = Some(OpenIncident { id: incident_id, started_at });
        let mut trace = Trace::default();
        trace.push(0, Event::Note { text: "brought over from skypunch 0.3.0, which kept no trace".into() });
        Incident {
            id: incident_id,
            subject,
            started_at,
            ended_at: None,
            ended_by: None,
            reason: failure.reason,
            description: state.status_description.clone().into_owned(),
            first_trace: trace,
            last_good_trace: None,
            facts: TargetFacts {
                id,
                name: target.definition.name.clone(),
                tenant: target.definition.tenantid.clone(),
                ..TargetFacts::default()
            },
        }
    });
    (StatusRecord { subject, state, delta: crate::model::state::Counters::default() }, incident)
}
