//! Old results go, in steps so small that no writer waits for them.

use std::collections::BTreeMap;

use diesel::prelude::*;

use super::error::StoreError;
use super::schema::{results, target_status};
use super::{Store, on, write_tx};
use crate::model::ids::IdGenerator;
use crate::model::time::UtcMs;

/// Ids in one statement.
const IDS: usize = 500;

impl Store {
    /// Removes at most `limit` results older than `before`, the oldest first, and books them as pruned; how many it were.
    /// Call again while it returns `limit`.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing was removed then.
    pub fn prune_results(&mut self, before: UtcMs, limit: u32) -> Result<u32, StoreError> {
        let end = IdGenerator::first_at(before.0);
        self.run(|db| {
            write_tx!(db, c => {
                let old: Vec<(i64, i64)> = results::table
                    .filter(results::id.lt(end))
                    .order(results::id)
                    .limit(limit.into())
                    .select((results::id, results::target_id))
                    .load(c)?;
                let ids: Vec<i64> = old.iter().map(|(id, _)| *id).collect();
                for chunk in ids.chunks(IDS) {
                    // Ids by name, so that exactly these go and no range is locked.
                    let removed = diesel::delete(results::table.filter(results::id.eq_any(chunk))).execute(c)?;
                    if removed != chunk.len() {
                        return Err(StoreError::Locked("another one prunes the same results".into()));
                    }
                }
                for (count, targets) in by_count(old.iter().map(|(_, target)| *target)) {
                    for chunk in targets.chunks(IDS) {
                        diesel::update(target_status::table.filter(target_status::target_id.eq_any(chunk)))
                            .set(target_status::pruned_count.eq(target_status::pruned_count + count))
                            .execute(c)?;
                    }
                }
                Ok(u32::try_from(old.len()).unwrap_or(u32::MAX))
            })
        })
    }

    /// Removes the statuses of targets that are gone and were last heard of before `before`; how many it were.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn prune_statuses(&mut self, before: UtcMs) -> Result<u32, StoreError> {
        self.run(|db| {
            // The same text on both; diesel's builder takes no subselect on another table in a DELETE.
            let query = diesel::sql_query(
                "DELETE FROM target_status WHERE target_id NOT IN (SELECT id FROM targets) \
                 AND (last_updated IS NULL OR last_updated < ?)",
            )
            .bind::<diesel::sql_types::BigInt, _>(before.0);
            let gone = on!(db, c => query.execute(c))?;
            Ok(u32::try_from(gone).unwrap_or(u32::MAX))
        })
    }
}

/// Targets by how often they occur: few statements even for many targets.
fn by_count(targets: impl Iterator<Item = i64>) -> BTreeMap<i64, Vec<i64>> {
    let mut counts: BTreeMap<i64, i64> = BTreeMap::new();
    for target in targets {
        *counts.entry(target).or_default() += 1;
    }
    let mut groups: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for (target, count) in counts {
        groups.entry(count).or_default().push(target);
    }
    groups
}
