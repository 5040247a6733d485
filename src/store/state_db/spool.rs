//! The spool: batches on their way to the main database, first in first out, bounded.
//!
//! ```text
//!  push --> [oldest … newest] --front--> main database --written--> remove
//!             full? 1. PASS results go, the oldest batches first: their deltas stay, so counters stay right
//!                   2. two small neighbours of one writer become one: a status a target instead of two
//!             failures, statuses and incidents are never dropped
//! ```

use std::collections::HashMap;

use diesel::dsl::count_star;
use diesel::prelude::*;

use super::schema::spool;
use super::{StateDb, codec};
use crate::model::reason::Verdict;
use crate::model::record::Batch;
use crate::model::target::TargetId;
use crate::store::StoreError;

/// Neighbours are joined up to this size: a joined batch is still one transaction of a sane size.
const MAX_JOINED: i64 = 512 * 1024;

/// How much is in the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SpoolSize {
    /// Batches.
    pub batches: u64,
    /// Results in them.
    pub results: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// What became of a pushed batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpoolPush {
    /// It is on the disk. `thinned` PASS results had to go to make room (of older batches, or of this one).
    Kept {
        /// How many.
        thinned: u64,
    },
    /// A batch of this writer and number, or a later one, is there already.
    AlreadyThere,
}

/// A row without its body.
#[derive(Queryable)]
struct Entry {
    seq: i64,
    writer: i64,
    number: i64,
    bytes: i64,
}

/// Counts the rows.
pub(super) fn measure(c: &mut SqliteConnection) -> Result<SpoolSize, StoreError> {
    use diesel::sql_types::BigInt;
    let total = |column: &str| diesel::dsl::sql::<BigInt>(&format!("COALESCE(SUM({column}), 0)"));
    let (batches, results, bytes): (i64, i64, i64) =
        spool::table.select((count_star(), total("results"), total("bytes"))).first(c)?;
    let n = |v: i64| u64::try_from(v).unwrap_or(0);
    Ok(SpoolSize { batches: n(batches), results: n(results), bytes: n(bytes) })
}

impl StateDb {
    /// Appends a batch; it is on the disk when this returns.
    ///
    /// When the spool would grow beyond its bound, PASS results are dropped, the oldest first; what was counted stays
    /// counted, and [`super::super::Store::write_batch`] books the difference as thinned.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing was kept then.
    pub fn spool_push(&mut self, batch: &Batch) -> Result<SpoolPush, StoreError> {
        let max = i64::try_from(self.max_bytes).unwrap_or(i64::MAX);
        let (pushed, size) = self.write(|c| {
            let last: Option<i64> =
                spool::table.filter(spool::writer.eq(batch.writer)).select(diesel::dsl::max(spool::number)).first(c)?;
            if last.is_some_and(|last| batch.number <= last) {
                return Ok((SpoolPush::AlreadyThere, measure(c)?));
            }
            insert(c, None, batch)?;
            let mut thinned = 0;
            let mut over = bytes(c)? - max;
            while over > 0 {
                let (gained, dropped) = make_room(c)?;
                if gained == 0 {
                    break;
                }
                over -= gained;
                thinned += dropped;
            }
            Ok((SpoolPush::Kept { thinned }, measure(c)?))
        })?;
        self.size = size;
        Ok(pushed)
    }

    /// The oldest batch and its place; `None` when the spool is empty.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`] when it was written by another version or is damaged: [`StateDb::spool_skip`] passes
    /// over it.
    pub fn spool_front(&mut self) -> Result<Option<(i64, Batch)>, StoreError> {
        let front = spool::table.order(spool::seq).select((spool::seq, spool::body));
        let row: Option<(i64, Vec<u8>)> = front.first(&mut self.c).optional()?;
        row.map(|(seq, body)| Ok((seq, codec::decode(&body)?))).transpose()
    }

    /// Shows every batch, the oldest first; one that cannot be read is met again when it is its turn to be written.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn spool_each(&mut self, mut see: impl FnMut(&Batch)) -> Result<(), StoreError> {
        let seqs: Vec<i64> = spool::table.order(spool::seq).select(spool::seq).load(&mut self.c)?;
        for seq in seqs {
            let body: Vec<u8> = spool::table.find(seq).select(spool::body).first(&mut self.c)?;
            if let Ok(batch) = codec::decode(&body) {
                see(&batch);
            }
        }
        Ok(())
    }

    /// Removes a batch that the main database has.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn spool_remove(&mut self, seq: i64) -> Result<(), StoreError> {
        self.size = self.write(|c| {
            diesel::delete(spool::table.find(seq)).execute(c)?;
            measure(c)
        })?;
        Ok(())
    }

    /// Removes the oldest batch unseen, for one that cannot be read; how many results were in it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn spool_skip(&mut self) -> Result<u64, StoreError> {
        let front = spool::table.order(spool::seq).select((spool::seq, spool::results));
        let Some((seq, results)) = front.first::<(i64, i64)>(&mut self.c).optional()? else { return Ok(0) };
        self.spool_remove(seq)?;
        Ok(u64::try_from(results).unwrap_or(0))
    }

    /// How much is in it.
    #[must_use]
    pub fn spool_len(&self) -> SpoolSize {
        self.size
    }
}

fn bytes(c: &mut SqliteConnection) -> Result<i64, StoreError> {
    Ok(i64::try_from(measure(c)?.bytes).unwrap_or(i64::MAX))
}

/// Writes a batch at a place, or behind the last.
fn insert(c: &mut SqliteConnection, seq: Option<i64>, batch: &Batch) -> Result<i64, StoreError> {
    let body = codec::encode(batch)?;
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let passes = batch.results.iter().filter(|r| r.verdict == Verdict::Pass).count();
    let size = count(body.len());
    let row = (
        spool::writer.eq(batch.writer),
        spool::number.eq(batch.number),
        spool::results.eq(count(batch.results.len())),
        spool::passes.eq(count(passes)),
        spool::bytes.eq(size),
        spool::body.eq(body),
    );
    match seq {
        None => diesel::insert_into(spool::table).values(row).execute(c)?,
        Some(seq) => diesel::update(spool::table.find(seq)).set(row).execute(c)?,
    };
    Ok(size)
}

fn read(c: &mut SqliteConnection, seq: i64) -> Result<Batch, StoreError> {
    codec::decode(&spool::table.find(seq).select(spool::body).first::<Vec<u8>>(c)?)
}

/// Takes one step towards the bound: the bytes gained and the PASS results dropped. (0, 0): nothing more can go.
fn make_room(c: &mut SqliteConnection) -> Result<(i64, u64), StoreError> {
    let fat = spool::table.filter(spool::passes.gt(0)).order(spool::seq).select((spool::seq, spool::bytes));
    if let Some((seq, before)) = fat.first::<(i64, i64)>(c).optional()? {
        let mut batch = read(c, seq)?;
        let all = batch.results.len();
        batch.results.retain(|r| r.verdict != Verdict::Pass);
        let dropped = u64::try_from(all - batch.results.len()).unwrap_or(0);
        return Ok((before - insert(c, Some(seq), &batch)?, dropped));
    }
    // The front may be on its way to the main database under its own number: leave it as it is.
    let rows: Vec<Entry> = spool::table
        .order(spool::seq)
        .select((spool::seq, spool::writer, spool::number, spool::bytes))
        .offset(1)
        .limit(-1)
        .load(c)?;
    let joinable =
        |a: &Entry, b: &Entry| a.writer == b.writer && a.number < b.number && a.bytes + b.bytes <= MAX_JOINED;
    let Some(pair) = rows.windows(2).find(|w| joinable(&w[0], &w[1])) else { return Ok((0, 0)) };
    let (first, second) = (&pair[0], &pair[1]);
    let joined = join(read(c, first.seq)?, read(c, second.seq)?);
    diesel::delete(spool::table.find(first.seq)).execute(c)?;
    let size = insert(c, Some(second.seq), &joined)?;
    Ok((first.bytes + second.bytes - size, 0))
}

/// Two batches of one writer as one, under the later number: the later state of each target, the sum of the deltas.
fn join(mut first: Batch, second: Batch) -> Batch {
    first.number = second.number;
    first.results.extend(second.results);
    first.incidents.extend(second.incidents);
    let place: HashMap<TargetId, usize> = first.statuses.iter().enumerate().map(|(i, s)| (s.target_id, i)).collect();
    for status in second.statuses {
        match place.get(&status.target_id) {
            Some(&i) => {
                let known = &mut first.statuses[i];
                known.delta.add(&status.delta);
                known.state = status.state;
            }
            None => first.statuses.push(status),
        }
    }
    first
}
