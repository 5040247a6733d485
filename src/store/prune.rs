//! Old results go, and the statuses of targets that are gone, in steps so small that no writer waits for them.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::error::StoreError;
use super::schema::{results, target_status};
use super::{Store, write_tx};
use crate::model::ids::IdGenerator;
use crate::model::subject::SubjectId;
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

    /// Removes at most `limit` statuses of targets that are gone, that were last heard of before `before` and have no
    /// results left; how many it were. What a status counts is true as long as one of its results can be read.
    /// Call again while it returns `limit`.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing was removed then.
    pub fn prune_statuses(&mut self, before: UtcMs, limit: u32) -> Result<u32, StoreError> {
        self.run(|db| {
            write_tx!(db, c => {
                let gone: Vec<Gone> = diesel::sql_query(GONE)
                    .bind::<BigInt, _>(before.0)
                    .bind::<BigInt, _>(SubjectId::MONITOR.0)
                    .bind::<BigInt, _>(i64::from(limit))
                    .load(c)?;
                let ids: Vec<i64> = gone.into_iter().map(|g| g.target_id).collect();
                for chunk in ids.chunks(IDS) {
                    diesel::delete(target_status::table.filter(target_status::target_id.eq_any(chunk))).execute(c)?;
                }
                Ok(u32::try_from(ids.len()).unwrap_or(u32::MAX))
            })
        })
    }
}

/// The same text on both.
const GONE: &str = "SELECT s.target_id FROM target_status s \
    WHERE (s.last_updated IS NULL OR s.last_updated < ?) \
    AND s.target_id <> ? \
    AND NOT EXISTS (SELECT 1 FROM targets t WHERE t.id = s.target_id) \
    AND NOT EXISTS (SELECT 1 FROM credentials c WHERE c.id = -s.target_id) \
    AND NOT EXISTS (SELECT 1 FROM results r WHERE r.target_id = s.target_id) \
    ORDER BY s.target_id LIMIT ?";

#[derive(QueryableByName)]
struct Gone {
    #[diesel(sql_type = BigInt)]
    target_id: i64,
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
