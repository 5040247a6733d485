//! One daemon a database: a row that names who works on it.
//!
//! ```text
//!  free | ended | ours | its holder on this host is dead --> ours until now + lasts;   else: held by …
//! ```
//!
//! The row is taken with an UPDATE that names what was seen, so that of two who see the same, one gets it.

use std::time::Duration;

use diesel::prelude::*;

use super::error::StoreError;
use super::migrate::restore::tables;
use super::schema::lease;
use super::{Store, on};
use crate::model::time::UtcMs;

/// The only row.
const ROW: i64 = 1;

/// A daemon, as the lease names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseHolder {
    /// The host: the same text only where process ids mean the same.
    pub host: String,
    /// The process id on that host.
    pub pid: u32,
    /// The start of the daemon.
    pub writer: i64,
}

/// What became of the wish for the lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseOutcome {
    /// It is ours.
    Acquired,
    /// Somebody else has it.
    HeldBy {
        /// Who.
        holder: LeaseHolder,
        /// Until when, if it is not renewed.
        until: UtcMs,
    },
}

impl Store {
    /// Takes the lease until `now + lasts` unless another daemon holds it. `is_alive` tells whether a process id of this
    /// host lives: a dead holder on this host is replaced at once, one elsewhere when its lease has ended.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn acquire_lease(
        &mut self,
        me: &LeaseHolder,
        now: UtcMs,
        lasts: Duration,
        is_alive: impl Fn(u32) -> bool,
    ) -> Result<LeaseOutcome, StoreError> {
        self.run(|db| {
            let nobody = (
                lease::id.eq(ROW),
                lease::host.eq(""),
                lease::pid.eq(0i64),
                lease::writer.eq(0i64),
                lease::held_until.eq(0i64),
            );
            on!(db, c => diesel::insert_or_ignore_into(lease::table).values(nobody).execute(c))?;
            loop {
                let (host, pid, writer, until): (String, i64, i64, i64) = on!(db, c => lease::table
                    .find(ROW)
                    .select((lease::host, lease::pid, lease::writer, lease::held_until))
                    .first(c))?;
                let holder = LeaseHolder { host, pid: u32::try_from(pid).unwrap_or(0), writer };
                let until = UtcMs(until);
                if !may_take(me, &holder, until, now, &is_alive) {
                    return Ok(LeaseOutcome::HeldBy { holder, until });
                }
                let seen = lease::id.eq(ROW).and(lease::writer.eq(writer)).and(lease::held_until.eq(until.0));
                let mine = (
                    lease::host.eq(&me.host),
                    lease::pid.eq(i64::from(me.pid)),
                    lease::writer.eq(me.writer),
                    lease::held_until.eq(now.plus(lasts).0),
                );
                if on!(db, c => diesel::update(lease::table.filter(seen)).set(mine).execute(c))? == 1 {
                    return Ok(LeaseOutcome::Acquired);
                }
                // Somebody was quicker: look again. Each turn somebody gets it, so this ends.
            }
        })
    }

    /// Who works on the database at `now`; `None`: nobody, or there are no tables yet. `is_alive` as above, `host` is this one.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn held_by(
        &mut self,
        host: &str,
        now: UtcMs,
        is_alive: impl Fn(u32) -> bool,
    ) -> Result<Option<LeaseHolder>, StoreError> {
        self.run(|db| {
            if !tables(db)?.contains("lease") {
                return Ok(None);
            }
            let row = lease::table.find(ROW).select((lease::host, lease::pid, lease::writer, lease::held_until));
            let row: Option<(String, i64, i64, i64)> = on!(db, c => row.first(c).optional())?;
            Ok(row.and_then(|(holder, pid, writer, until)| {
                let pid = u32::try_from(pid).unwrap_or(0);
                let held = until > now.0 && (holder != host || is_alive(pid));
                held.then_some(LeaseHolder { host: holder, pid, writer })
            }))
        })
    }

    /// Gives the lease back; false when it was not ours.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn release_lease(&mut self, me: &LeaseHolder) -> Result<bool, StoreError> {
        self.run(|db| {
            let mine = lease::table.filter(lease::id.eq(ROW).and(lease::writer.eq(me.writer)));
            let found = on!(db, c => diesel::update(mine).set(lease::held_until.eq(0i64)).execute(c))?;
            Ok(found == 1)
        })
    }
}

fn may_take(me: &LeaseHolder, holder: &LeaseHolder, until: UtcMs, now: UtcMs, is_alive: impl Fn(u32) -> bool) -> bool {
    until <= now || holder.writer == me.writer || (holder.host == me.host && !is_alive(holder.pid))
}
