//! Reading results.

use diesel::prelude::*;

use super::error::StoreError;
use super::rows::ResultRow;
use super::schema::results;
use super::{Store, on};
use crate::model::ids::IdGenerator;
use crate::model::record::ResultRecord;
use crate::model::time::UtcMs;

/// An id is made after its probe's start, unless the wall clock was set back meanwhile: look a little further.
const CLOCK_STEP_MS: i64 = 3_600_000;

impl Store {
    /// Results of a target that started at `since` or later, the latest first, at most `limit`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn history(&mut self, target: i64, since: Option<UtcMs>, limit: u32) -> Result<Vec<ResultRecord>, StoreError> {
        self.run(|db| {
            let rows: Vec<ResultRow<'static>> = on!(db, c => {
                let mut query = results::table.filter(results::target_id.eq(target)).into_boxed();
                if let Some(since) = since {
                    // Ids sort by time and are in the index; the start time is exact.
                    let first = IdGenerator::first_at(since.0.saturating_sub(CLOCK_STEP_MS));
                    query = query.filter(results::id.ge(first)).filter(results::started_at.ge(since.0));
                }
                query.order(results::id.desc()).limit(limit.into()).load(c)
            })?;
            Ok(rows.into_iter().map(ResultRow::into_record).collect())
        })
    }
}
