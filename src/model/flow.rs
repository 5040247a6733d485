//! Where batches go: to the main database while it keeps up, through the spool in state.db while it does not.
//!
//! ```text
//!            LIVE                                      SPOOLING
//!   queue --write--> main database          queue --push--> spool --front--> main database --remove
//!     a write fails or takes too long  ──────────>      (oldest first; one try after each pause)
//!                       <──────────  the spool is empty
//! ```
//!
//! Order is kept in both: the database's watermark takes a batch only after those before it. A batch whose write has
//! no answer goes into the spool too, under the same number: the watermark makes sure that it counts once.
//! While neither takes anything, batches are joined in the queue: memory grows by what must not be left out, and not by the
//! statuses of each flush.
//! Transitions are made durable in state.db first, before anything else there, and before the main database gets the batch
//! that holds them: where that alone knew them after a crash, nobody would be told. While state.db cannot be written the
//! main database gets them all the same.
//!
//! Pure: the persistence actor carries out what [`Flow::next_main`] and [`Flow::next_local`] say, one at a time each.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::record::{Batch, IncidentChange, StatusRecord};
use super::time::Mono;

/// A write that has no answer after this is copied into the spool.
pub const PATIENCE: Duration = Duration::from_millis(250);

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// From so many batches on, those at the queue's end are joined: neither database takes them.
const MANY: usize = 16;
/// Most results of a joined batch: still one transaction of a sane size.
const MAX_JOINED: usize = 5000;

/// Work for the main database's thread.
#[derive(Debug, Clone, PartialEq)]
pub struct MainWork {
    /// What to write.
    pub batch: Arc<Batch>,
    /// Its place in the spool, when it comes from there.
    pub seq: Option<i64>,
}

/// Work for the thread of state.db.
#[derive(Debug, Clone, PartialEq)]
pub enum LocalWork {
    /// Make transitions durable, with the number of the batch that will hold them.
    Transitions(i64, Vec<StatusRecord>, Vec<IncidentChange>),
    /// Append a batch to the spool.
    Push(Arc<Batch>),
    /// Read the oldest batch of the spool.
    Front,
    /// Remove a batch that the main database holds.
    Remove(i64),
}

/// What the thread of state.db answers.
#[derive(Debug, Clone, PartialEq)]
pub enum LocalDone {
    /// Done.
    Done,
    /// The oldest batch, if there is one.
    Front(Option<(i64, Arc<Batch>)>),
    /// It did not work; it will be tried again.
    Failed,
}

#[derive(Debug)]
struct Writing {
    work: MainWork,
    since: Mono,
    copied: bool,
}

/// The state of the flow.
#[derive(Debug)]
pub struct Flow {
    writer: i64,
    next_number: i64,
    spooling: bool,
    held: bool,
    queue: VecDeque<Arc<Batch>>,
    /// By the number of the batch that will hold them.
    transitions: VecDeque<(i64, Vec<StatusRecord>, Vec<IncidentChange>)>,
    writing: Option<Writing>,
    local: Option<LocalWork>,
    front: Option<(i64, Arc<Batch>)>,
    remove: Option<i64>,
    retry_at: Mono,
    failures: u32,
    local_retry_at: Mono,
    /// The last work for state.db failed.
    local_fails: bool,
}

impl Flow {
    /// A flow for a fresh writer. `spooling` when the spool holds something already, or the main database is not there.
    #[must_use]
    pub fn new(writer: i64, spooling: bool) -> Flow {
        Flow {
            writer,
            next_number: 1,
            spooling,
            held: false,
            queue: VecDeque::new(),
            transitions: VecDeque::new(),
            writing: None,
            local: None,
            front: None,
            remove: None,
            retry_at: Mono(0),
            failures: 0,
            local_retry_at: Mono(0),
            local_fails: false,
        }
    }

    /// The writer's id.
    #[must_use]
    pub fn writer(&self) -> i64 {
        self.writer
    }

    /// The number that the next batch will have.
    #[must_use]
    pub fn next_number(&self) -> i64 {
        self.next_number
    }

    /// Takes a batch that was collected under [`Flow::next_number`].
    pub fn enqueue(&mut self, batch: Batch) {
        debug_assert_eq!(batch.number, self.next_number);
        self.next_number += 1;
        self.queue.push_back(Arc::new(batch));
        self.join_last();
    }

    /// Joins the last batches as long as they grow towards the end: so each status is joined a few times only, and what
    /// waits are not many more statuses than targets. Those in front may be on their way under their own numbers.
    fn join_last(&mut self) {
        while self.queue.len() > MANY {
            let (last, before) = (&self.queue[self.queue.len() - 1], &self.queue[self.queue.len() - 2]);
            let small = last.results.len() + before.results.len() <= MAX_JOINED;
            if !small || last.statuses.len() * 2 < before.statuses.len() {
                return;
            }
            if let (Some(last), Some(before)) = (self.queue.pop_back(), self.queue.pop_back()) {
                self.queue.push_back(Arc::new(Arc::unwrap_or_clone(before).join(Arc::unwrap_or_clone(last))));
            }
        }
    }

    /// Takes a transition that batch `number` will hold, to be made durable as soon as possible.
    pub fn transition(&mut self, number: i64, status: StatusRecord, change: IncidentChange) {
        match self.transitions.back_mut() {
            Some((last, statuses, changes)) if *last == number => {
                statuses.push(status);
                changes.push(change);
            }
            _ => self.transitions.push_back((number, vec![status], vec![change])),
        }
    }

    /// Results that are in memory only.
    #[must_use]
    pub fn results_in_memory(&self) -> usize {
        let writing = self.writing.as_ref().filter(|w| w.work.seq.is_none() && !w.copied);
        let pushing = match &self.local {
            Some(LocalWork::Push(batch)) => batch.results.len(),
            _ => 0,
        };
        let waiting: usize = self.queue.iter().map(|b| b.results.len()).sum();
        waiting + pushing + writing.map_or(0, |w| w.work.batch.results.len())
    }

    /// Whether everything goes through the spool.
    #[must_use]
    pub fn spooling(&self) -> bool {
        self.spooling
    }

    /// Keeps everything away from the main database, through the spool, until it is released: something must be
    /// settled there first.
    pub fn hold(&mut self, held: bool) {
        self.held = held;
        self.spooling |= held;
    }

    /// Nothing is left in memory: all is in the main database or in state.db.
    #[must_use]
    pub fn is_safe(&self) -> bool {
        let writing = self.writing.as_ref().is_some_and(|w| w.work.seq.is_none() && !w.copied);
        let local = matches!(self.local, Some(LocalWork::Push(_) | LocalWork::Transitions(..)));
        self.queue.is_empty() && self.transitions.is_empty() && !writing && !local
    }

    /// All that can be written to the main database is: it holds everything, or its last write failed and the rest is
    /// in state.db.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let main_is_away = self.failures > 0 || self.held;
        self.is_safe() && (main_is_away || (!self.spooling && self.writing.is_none()))
    }

    /// When something may have to be done although nothing happens.
    #[must_use]
    pub fn wake_at(&self) -> Option<Mono> {
        let patience = self.writing.as_ref().filter(|w| !w.copied && w.work.seq.is_none()).map(|w| w.since + PATIENCE);
        let retry = (self.spooling && !self.held && self.writing.is_none()).then_some(self.retry_at);
        let local = (!self.queue.is_empty() || !self.transitions.is_empty()).then_some(self.local_retry_at);
        [patience, retry, local].into_iter().flatten().min()
    }

    /// What the main database's thread is to do now.
    pub fn next_main(&mut self, now: Mono) -> Option<MainWork> {
        if let Some(w) = &mut self.writing {
            if !w.copied && w.work.seq.is_none() && now.since(w.since) >= PATIENCE {
                w.copied = true;
                self.spooling = true;
                self.queue.push_front(Arc::clone(&w.work.batch));
            }
            return None;
        }
        let work = if self.spooling {
            if self.held || now < self.retry_at {
                return None;
            }
            let (seq, batch) = self.front.take()?;
            MainWork { batch, seq: Some(seq) }
        } else {
            let number = self.queue.front()?.number;
            if self.is_ahead_of_state_db(number) {
                return None;
            }
            MainWork { batch: self.queue.pop_front()?, seq: None }
        };
        self.writing = Some(Writing { work: work.clone(), since: now, copied: false });
        Some(work)
    }

    /// Whether state.db is still to get a transition of this batch or of one before.
    fn is_ahead_of_state_db(&self, number: i64) -> bool {
        let under_way = matches!(self.local, Some(LocalWork::Transitions(n, ..)) if n <= number);
        let waiting = self.transitions.front().is_some_and(|(n, ..)| *n <= number);
        (under_way || waiting) && !self.local_fails
    }

    /// The main database has answered: the batch is there (now or since before), or it is not known to be.
    pub fn main_done(&mut self, written: bool, now: Mono) {
        let Some(Writing { work, copied, .. }) = self.writing.take() else { return };
        if written {
            self.failures = 0;
            self.retry_at = now;
            if let Some(seq) = work.seq {
                self.remove = Some(seq);
            }
            return;
        }
        self.spooling = true;
        self.failures = self.failures.saturating_add(1);
        self.retry_at = now + FIRST_PAUSE.saturating_mul(1 << (self.failures - 1).min(5)).min(LONGEST_PAUSE);
        match work.seq {
            Some(seq) => self.front = Some((seq, work.batch)),
            None if !copied => self.queue.push_front(work.batch),
            None => {}
        }
    }

    /// What the thread of state.db is to do now.
    pub fn next_local(&mut self, now: Mono) -> Option<LocalWork> {
        if self.local.is_some() || now < self.local_retry_at {
            return None;
        }
        let work = if let Some((number, statuses, changes)) = self.transitions.pop_front() {
            LocalWork::Transitions(number, statuses, changes)
        } else if !self.spooling {
            return self.remove.take().map(|seq| self.begin(LocalWork::Remove(seq)));
        } else if let Some(batch) = self.queue.pop_front() {
            LocalWork::Push(batch)
        } else if let Some(seq) = self.remove.take() {
            LocalWork::Remove(seq)
        } else if !self.held && self.front.is_none() && self.writing.is_none() && now >= self.retry_at {
            LocalWork::Front
        } else {
            return None;
        };
        Some(self.begin(work))
    }

    fn begin(&mut self, work: LocalWork) -> LocalWork {
        self.local = Some(work.clone());
        work
    }

    /// The thread of state.db has answered.
    pub fn local_done(&mut self, done: LocalDone, now: Mono) {
        let Some(work) = self.local.take() else { return };
        self.local_fails = done == LocalDone::Failed;
        match (work, done) {
            (LocalWork::Front, LocalDone::Front(Some(front))) => self.front = Some(front),
            // The spool is empty: what has come meanwhile is next, in order.
            (LocalWork::Front, LocalDone::Front(None)) => self.spooling = false,
            (work, LocalDone::Failed) => {
                self.local_retry_at = now + FIRST_PAUSE;
                match work {
                    LocalWork::Transitions(number, statuses, changes) => {
                        self.transitions.push_front((number, statuses, changes));
                    }
                    LocalWork::Push(batch) => self.queue.push_front(batch),
                    LocalWork::Remove(seq) => self.remove = Some(seq),
                    LocalWork::Front => {}
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
