//! One batch, one transaction, exactly once.
//!
//! ```text
//!  lock the writer's watermark --number <= last--> already there: nothing to do
//!         | else
//!  results (many rows a statement) -> incidents -> statuses (one upsert for many) -> watermark := number -> COMMIT
//! ```
//!
//! Whether an earlier try was committed, its answer lost, or the whole spool replayed: the watermark decides. It also
//! numbers what `target_status` counts, because counters travel as deltas.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;

use super::dialect::{Dialect, ROWS};
use super::error::StoreError;
use super::rows::{IncidentRow, ResultRow, StatusRow};
use super::schema::{incidents, results, writers};
use super::{Store, on, write_tx};
use crate::model::record::{Batch, IncidentChange, ResultRecord, StatusRecord};
use crate::model::target::TargetId;

/// Incidents in one statement: their traces may be long.
const INCIDENTS: usize = 20;

/// Whether a batch was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// Now.
    Now,
    /// Before: this or a later number of its writer.
    AlreadyThere,
}

impl Store {
    /// Writes a batch unless it is there already. After an error repeat it as it is, on a new connection.
    ///
    /// What the deltas count and no row of the batch shows was thinned on the way: it is booked as such, so that
    /// counters and rows always add up.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing of the batch was written, or (connection lost at the COMMIT) all of it.
    pub fn write_batch(&mut self, batch: &Batch) -> Result<Written, StoreError> {
        match self.write_once(batch, &HashSet::new()) {
            // The wall clock was set back over a restart, and ids came again: such a result must not hold up all others.
            Err(StoreError::Duplicate(_)) => {
                let taken = self.taken_ids(batch)?;
                self.write_once(batch, &taken)
            }
            result => result,
        }
    }

    /// Ids of the batch that are in the database, or twice in the batch.
    fn taken_ids(&mut self, batch: &Batch) -> Result<HashSet<i64>, StoreError> {
        let ids: Vec<i64> = batch.results.iter().map(|r| r.id).collect();
        let mut seen = HashSet::with_capacity(ids.len());
        let mut taken: HashSet<i64> = ids.iter().copied().filter(|id| !seen.insert(*id)).collect();
        self.run(|db| {
            for chunk in ids.chunks(ROWS) {
                let known = results::table.filter(results::id.eq_any(chunk)).select(results::id);
                taken.extend(on!(db, c => known.load::<i64>(c))?);
            }
            Ok(taken)
        })
    }

    fn write_once(&mut self, batch: &Batch, without: &HashSet<i64>) -> Result<Written, StoreError> {
        let kept = || batch.results.iter().filter(|r| !without.contains(&r.id));
        let rows: Vec<ResultRow<'_>> = kept().map(ResultRow::from).collect();
        let statuses = status_rows(batch, kept());
        let opened = batch.incidents.iter().filter_map(|c| match c {
            IncidentChange::Opened(incident) => Some(IncidentRow::new(incident)),
            IncidentChange::Ended(_) => None,
        });
        let opened = opened.collect::<Result<Vec<_>, _>>()?;
        self.run(|db| {
            write_tx!(db, c => {
                let last = c.watermark(batch.writer)?;
                if last.is_some_and(|last| batch.number <= last) {
                    return Ok(Written::AlreadyThere);
                }
                c.insert_results(&rows)?;
                for chunk in opened.chunks(INCIDENTS) {
                    // An incident may have been written before, from state.db.
                    diesel::insert_or_ignore_into(incidents::table).values(chunk).execute(c)?;
                }
                for change in &batch.incidents {
                    if let IncidentChange::Ended(end) = change {
                        let open = incidents::table.find(end.id).filter(incidents::ended_at.is_null());
                        let values = (
                            incidents::ended_at.eq(end.ended_at.0),
                            incidents::ended_by.eq(end.ended_by.as_str()),
                        );
                        diesel::update(open).set(values).execute(c)?;
                    }
                }
                c.upsert_statuses(&statuses)?;
                let mark = (writers::writer.eq(batch.writer), writers::last_number.eq(batch.number));
                if last.is_some() {
                    diesel::update(writers::table.find(batch.writer)).set(mark.1).execute(c)?;
                } else {
                    diesel::insert_into(writers::table).values(mark).execute(c)?;
                }
                Ok(Written::Now)
            })
        })
    }

    /// The number of the last batch of `writer` that is in the database; 0 when there is none.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn last_number(&mut self, writer: i64) -> Result<i64, StoreError> {
        self.run(|db| {
            let last = on!(db, c => writers::table.find(writer).select(writers::last_number).first(c).optional())?;
            Ok(last.unwrap_or(0))
        })
    }
}

impl Store {
    /// The number of the last batch of every writer that the database knows.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn marks(&mut self) -> Result<HashMap<i64, i64>, StoreError> {
        self.run(|db| {
            let marks: Vec<(i64, i64)> =
                on!(db, c => writers::table.select((writers::writer, writers::last_number)).load(c))?;
            Ok(marks.into_iter().collect())
        })
    }
}

fn status_rows<'a>(batch: &'a Batch, results: impl Iterator<Item = &'a ResultRecord>) -> Vec<StatusRow<'a>> {
    let mut shown: HashMap<TargetId, i64> = HashMap::with_capacity(batch.statuses.len());
    for result in results {
        *shown.entry(result.target_id).or_default() += 1;
    }
    let row = |s: &'a StatusRecord| {
        let counted = s.delta.pass_count + s.delta.fail_count + s.delta.unknown_count;
        let thinned = (counted - s.subject.target().and_then(|id| shown.get(&id)).copied().unwrap_or(0)).max(0);
        StatusRow::new(s, &s.delta, thinned, batch.writer, batch.number)
    };
    let mut rows: Vec<_> = batch.statuses.iter().map(row).collect();
    // Neighbours in the table one after the other: each page is looked for while it is still at hand.
    rows.sort_unstable_by_key(|row| row.target_id);
    rows
}
