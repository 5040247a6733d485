//! The spool: batches on their way to the main database, first in first out, bounded.
//!
//! ```text
//!  push --> [oldest … newest] --front--> main database --written--> remove
//!    behind? a batch joins the one before it, so that what waits is written in few transactions
//!             full? 1. PASS results go, the oldest batches first: their deltas stay, so counters stay right
//!                   2. two small neighbours of one writer become one: a status a target instead of two
//!             failures, statuses and incidents are never dropped
//! ```

use diesel::dsl::count_star;
use diesel::prelude::*;

use super::schema::spool;
use super::{StateDb, codec};
use crate::model::reason::Verdict;
use crate::model::record::Batch;
use crate::store::StoreError;

/// Neighbours are joined up to this size together, about 100,000 statuses: still one transaction of a sane size.
const MAX_JOINED: i64 = 8 << 20;

/// From so many batches on it is behind: a transaction for each would be slower than they come.
const MANY: u64 = 8;
/// The last batch takes further ones up to so many bytes: it is written again each time.
const MAX_APPENDED: i64 = 64 << 10;

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
    Ok(SpoolSize { batches: unsigned(batches), results: unsigned(results), bytes: unsigned(bytes) })
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
        let (max, mut size) = (self.max_bytes, self.size);
        let (pushed, size) = self.write(|c| {
            let last: Option<i64> =
                spool::table.filter(spool::writer.eq(batch.writer)).select(diesel::dsl::max(spool::number)).first(c)?;
            if last.is_some_and(|last| batch.number <= last) {
                return Ok((SpoolPush::AlreadyThere, size));
            }
            if size.batches < MANY || !append(c, &mut size, batch)? {
                size.bytes += insert(c, None, batch)?;
                size.batches += 1;
                size.results += batch.results.len() as u64;
            }
            let before = size.results;
            if size.bytes > max {
                // Some room to spare, so that this is not done again for the next one.
                while size.bytes > max / 10 * 9 && make_room(c, &mut size)? {}
            }
            Ok((SpoolPush::Kept { thinned: before - size.results }, size))
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
        let row: Option<(i64, Vec<u8>)> = self.read(|c| front.first(c).optional())?;
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
        let size = self.size;
        self.size = self.write(|c| {
            let row = spool::table.find(seq).select((spool::results, spool::bytes));
            let Some((results, bytes)) = row.first::<(i64, i64)>(c).optional()? else { return Ok(size) };
            diesel::delete(spool::table.find(seq)).execute(c)?;
            Ok(SpoolSize {
                batches: size.batches.saturating_sub(1),
                results: size.results.saturating_sub(unsigned(results)),
                bytes: size.bytes.saturating_sub(unsigned(bytes)),
            })
        })?;
        Ok(())
    }

    /// Removes the oldest batch unseen, for one that cannot be read; how many results were in it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn spool_skip(&mut self) -> Result<u64, StoreError> {
        let front = spool::table.order(spool::seq).select((spool::seq, spool::results));
        let Some((seq, results)) = self.read(|c| front.first::<(i64, i64)>(c).optional())? else { return Ok(0) };
        self.spool_remove(seq)?;
        Ok(unsigned(results))
    }

    /// How much is in it.
    #[must_use]
    pub fn spool_len(&self) -> SpoolSize {
        self.size
    }
}

fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

/// Writes a batch at a place, or behind the last; its size.
fn insert(c: &mut SqliteConnection, seq: Option<i64>, batch: &Batch) -> Result<u64, StoreError> {
    let body = codec::encode(batch)?;
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let passes = batch.results.iter().filter(|r| r.verdict == Verdict::Pass).count();
    let size = body.len() as u64;
    let row = (
        spool::writer.eq(batch.writer),
        spool::number.eq(batch.number),
        spool::results.eq(count(batch.results.len())),
        spool::passes.eq(count(passes)),
        spool::bytes.eq(count(body.len())),
        spool::body.eq(body),
    );
    match seq {
        None => diesel::insert_into(spool::table).values(row).execute(c)?,
        Some(seq) => diesel::update(spool::table.find(seq)).set(row).execute(c)?,
    };
    Ok(size)
}

/// Joins a batch to the last one, if that is of the same writer, small, and not the front: that may be on its way to the main
/// database under its own number. False: it was not.
fn append(c: &mut SqliteConnection, size: &mut SpoolSize, batch: &Batch) -> Result<bool, StoreError> {
    let front: Option<i64> = spool::table.select(diesel::dsl::min(spool::seq)).first(c)?;
    let last = spool::table.order(spool::seq.desc()).select((spool::seq, spool::writer, spool::number, spool::bytes));
    let Some(last) = last.first::<Entry>(c).optional()? else { return Ok(false) };
    if front == Some(last.seq) || last.writer != batch.writer || last.bytes > MAX_APPENDED {
        return Ok(false);
    }
    let joined = read(c, last.seq)?.join(batch.clone());
    size.bytes = (size.bytes + insert(c, Some(last.seq), &joined)?).saturating_sub(unsigned(last.bytes));
    size.results += batch.results.len() as u64;
    Ok(true)
}

fn read(c: &mut SqliteConnection, seq: i64) -> Result<Batch, StoreError> {
    codec::decode(&spool::table.find(seq).select(spool::body).first::<Vec<u8>>(c)?)
}

/// Takes one step towards the bound and books it in `size`. False: nothing more can go.
fn make_room(c: &mut SqliteConnection, size: &mut SpoolSize) -> Result<bool, StoreError> {
    // As text, so that SQLite sees that its partial index fits.
    let fat = diesel::dsl::sql::<diesel::sql_types::Bool>("passes > 0");
    let oldest = spool::table.filter(fat).order(spool::seq).select((spool::seq, spool::bytes));
    if let Some((seq, before)) = oldest.first::<(i64, i64)>(c).optional()? {
        let mut batch = read(c, seq)?;
        let all = batch.results.len();
        batch.results.retain(|r| r.verdict != Verdict::Pass);
        size.results -= (all - batch.results.len()) as u64;
        size.bytes = (size.bytes + insert(c, Some(seq), &batch)?).saturating_sub(unsigned(before));
        return Ok(true);
    }
    // The front may be on its way to the main database under its own number: leave it as it is.
    let rows: Vec<Entry> = spool::table
        .order(spool::seq)
        .select((spool::seq, spool::writer, spool::number, spool::bytes))
        .offset(1)
        .limit(-1)
        .load(c)?;
    let together = |w: &&[Entry]| w[0].bytes + w[1].bytes;
    let joinable = |w: &&[Entry]| w[0].writer == w[1].writer && w[0].number < w[1].number && together(w) <= MAX_JOINED;
    // The smallest first: each byte is written again only a few times.
    let Some(pair) = rows.windows(2).filter(joinable).min_by_key(together) else { return Ok(false) };
    let (first, second) = (&pair[0], &pair[1]);
    let joined = read(c, first.seq)?.join(read(c, second.seq)?);
    diesel::delete(spool::table.find(first.seq)).execute(c)?;
    let before = size.bytes;
    let after = size.bytes + insert(c, Some(second.seq), &joined)?;
    size.bytes = after.saturating_sub(unsigned(first.bytes + second.bytes));
    size.batches -= 1;
    Ok(size.bytes < before)
}
