//! The loop of the notifier: see the picture in `mod.rs`.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use humantime::format_duration;
use slog::{error, info, warn};

use super::Parts;
use super::portions::Portions;
use super::rows::{from_rows, to_rows, transition};
use crate::actors::databases::{LocalQuery, answered};
use crate::actors::supervisor::ProbeSoon;
use crate::board::notifiers::NotifierRows;
use crate::model::message::{Message, TargetFacts};
use crate::model::notifier::{Notifier, NotifierId, NotifierStatus};
use crate::model::outbox::{Attempt, Book, Contents, Known, Progress, Transition};
use crate::model::reason::Verdict;
use crate::model::reference::TargetRef;
use crate::model::state::Status;
use crate::model::subject::SubjectId;
use crate::model::target::TargetId;
use crate::model::time::UtcMs;
use crate::notify::channel::Channels;
use crate::notify::{Course, SendResult};
use crate::store::{StateDb, StoreError};

/// Pause after state.db could not be read or written.
const PAUSE: Duration = Duration::from_secs(1);
/// How often a parent is looked at whose verdict is waited for.
const PARENT_LOOK: Duration = Duration::from_millis(200);

/// An attempt that has ended.
struct Ended {
    dispatch: i64,
    notifier: NotifierId,
    result: SendResult,
    /// How far the message is with it.
    progress: Progress,
}

/// The loop and what it knows.
pub(super) struct Engine {
    parts: Rc<Parts>,
    channels: Rc<Channels>,
    sending: FuturesUnordered<LocalBoxFuture<'static, Ended>>,
    statuses: HashMap<NotifierId, NotifierStatus>,
    changed_statuses: Vec<NotifierId>,
    /// Parents that were asked to be probed, and when.
    asked: HashMap<TargetId, UtcMs>,
    in_trouble: bool,
}

impl Engine {
    pub(super) fn new(parts: Rc<Parts>, channels: Rc<Channels>) -> Engine {
        Engine {
            parts,
            channels,
            sending: FuturesUnordered::new(),
            statuses: HashMap::new(),
            changed_statuses: Vec::new(),
            asked: HashMap::new(),
            in_trouble: false,
        }
    }

    /// Ends when nobody can wake it any more.
    pub(super) async fn run(&mut self) {
        let mut rows = self.parts.board.notifiers.changed();
        let mut rules = self.parts.rules.clone();
        let mut egress = self.parts.egress.clone();
        let mut book = self.load().await;
        self.forget_gone(&mut book);
        let (mut waiting, mut turn_at, mut portions) = (true, self.parts.clock.now(), Portions::default());
        loop {
            let now = self.parts.clock.now();
            if waiting && now >= turn_at {
                let portion = portions.next(now, book.shortest_wait());
                let taken = self.take(&mut book, portion).await;
                waiting = taken == portion as usize;
                portions.took(taken, waiting);
                turn_at = portions.again_at(now);
            }
            let next = book.next(self.now());
            self.store(&mut book).await;
            self.show_backlog(&book);
            next.capped.iter().for_each(|(notifier, until)| self.say_capped(*notifier, *until));
            for dispatch in &next.send {
                self.begin(&mut book, *dispatch).await;
            }
            self.ask_parents(&book);
            if !next.send.is_empty() && self.sending.is_empty() {
                continue;
            }
            let until = next.again_at.map_or(Duration::from_secs(3600), |at| self.until(at));
            let until = if self.asked.is_empty() { until } else { until.min(PARENT_LOOK) };
            let until_turn = turn_at.since(self.parts.clock.now());
            tokio::select! {
                () = self.parts.transitions.notified(), if !waiting => waiting = true,
                () = tokio::time::sleep(until_turn), if waiting => {}
                () = self.parts.board.gone.notified() => self.forget_gone(&mut book),
                Some(ended) = self.sending.next() => {
                    self.ended(&mut book, ended);
                    // Those that have ended meanwhile are stored with it: one transaction for all.
                    while let Some(Some(ended)) = self.sending.next().now_or_never() {
                        self.ended(&mut book, ended);
                    }
                }
                changed = rows.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let now = self.now();
                    book.set_notifiers(now, in_force(&rows.borrow_and_update()));
                }
                Ok(()) = rules.changed() => book.set_rules(rules.borrow_and_update().clone()),
                Ok(()) = egress.changed() => {
                    let now = self.now();
                    book.retry_denied(now);
                }
                () = tokio::time::sleep(until) => {}
            }
        }
    }

    fn show_backlog(&self, book: &Book) {
        let (owed, sending) = book.backlog();
        self.parts.board.health.owed.store(owed, Relaxed);
        self.parts.board.health.sending.store(sending, Relaxed);
        self.parts.board.notifiers.set_backlog(book.backlog_by_notifier());
    }

    fn say_capped(&self, notifier: NotifierId, until: UtcMs) {
        let all = self.parts.board.notifiers.all();
        let Some(in_force) = all.get(&notifier).and_then(|e| e.in_force.as_ref()) else { return };
        let wait = Duration::from_secs(self.until(until).as_secs() + 1);
        warn!(
            self.parts.log,
            "a notifier has told as often in a minute as it may: what is owed waits, and several go out as one message; raise \
            its rate_per_minute if that is too seldom";
            "notifier" => %notifier, "rate_per_minute" => in_force.rate_per_minute, "wait" => %format_duration(wait)
        );
    }

    fn now(&self) -> UtcMs {
        self.parts.clock.utc_now()
    }

    fn until(&self, at: UtcMs) -> Duration {
        Duration::from_millis(u64::try_from(at.0 - self.now().0).unwrap_or(0))
    }

    /// The outbox as it was left.
    async fn load(&mut self) -> Book {
        let (outbox, statuses) = self.local(|db| Ok((db.load_outbox()?, db.notifier_statuses()?))).await;
        for (id, status) in &statuses {
            self.parts.board.notifiers.set_status(*id, status.clone());
        }
        self.statuses = statuses;
        let (saved, unread) = from_rows(outbox);
        if unread > 0 {
            warn!(self.parts.log, "some of what was owed cannot be read: it is left out"; "rows" => unread);
        }
        let notifiers = in_force(&self.parts.board.notifiers.all());
        let rules = self.parts.rules.borrow().clone();
        Book::load(rules, notifiers, saved, self.now())
    }

    /// Takes transitions that state.db has; how many there were.
    async fn take(&mut self, book: &mut Book, portion: u32) -> usize {
        let cursor = book.cursor();
        let events = self.local(move |db| db.events_after(cursor, portion)).await;
        let transitions: Vec<Transition> =
            events.iter().map(|e| transition(e, |facts| self.parent_of(facts))).collect();
        if !transitions.is_empty() {
            book.take(self.now(), &transitions);
            self.forget_gone(book);
        }
        events.len()
    }

    /// Targets that flap and are no longer watched will not settle.
    fn forget_gone(&self, book: &mut Book) {
        let unwatched = |id: &SubjectId| id.target().is_some_and(|id| !self.parts.board.is_watched(id));
        let gone: Vec<SubjectId> = book.flapping().filter(unwatched).collect();
        for target in gone {
            book.target_gone(self.now(), target);
        }
    }

    /// Finds a parent by its name.
    fn parent_of(&self, facts: &TargetFacts) -> Option<TargetId> {
        let written = facts.parent.as_deref()?;
        let of = |reference: String| self.parts.board.find(&TargetRef::Slashed(reference)).ok().map(|(id, _)| id);
        of(format!("{}/{written}", facts.tenant)).or_else(|| of(written.to_owned()))
    }

    /// Parents that a child's failure waits for are probed at once, once; what their probe found is told to the book.
    fn ask_parents(&mut self, book: &Book) {
        let waiting = book.waiting_for_parents().filter_map(|(parent, at)| Some((parent.target()?, at)));
        let waits: Vec<(TargetId, UtcMs)> = waiting.collect();
        self.asked.retain(|parent, _| waits.iter().any(|(id, _)| id == parent));
        for (parent, at) in waits {
            if self.asked.insert(parent, at).is_none() {
                self.parts.supervisor.do_send(ProbeSoon(parent));
            }
        }
    }

    /// Stores what has changed, however long that takes: nothing may be sent before.
    async fn store(&mut self, book: &mut Book) {
        self.see_parents(book);
        let Some(changes) = book.take_changes() else { return };
        let mut rows = match to_rows(&changes) {
            Ok(rows) => rows,
            Err(e) => {
                error!(self.parts.log, "what is owed cannot be written down: this is a fault of skypunch"; "error" => %e);
                return;
            }
        };
        for id in std::mem::take(&mut self.changed_statuses) {
            rows.statuses.extend(self.statuses.get(&id).map(|s| (id, s.clone())));
        }
        self.local(move |db| db.save_outbox(&rows)).await;
    }

    fn see_parents(&mut self, book: &mut Book) {
        for parent in self.asked.keys().copied().collect::<Vec<_>>() {
            let Some(entry) = self.parts.board.get(parent) else { continue };
            let (status, updated, latency) = {
                let data = entry.lock();
                (data.state.status(), data.state.last_updated, data.state.last_latency_us)
            };
            let Some(updated) = updated else { continue };
            let verdict = match status {
                Status::New => continue,
                Status::Pass => Verdict::Pass,
                Status::Fail => Verdict::Fail,
                Status::Unknown => Verdict::Unknown,
            };
            let started = UtcMs(updated.0 - i64::from(latency.unwrap_or(0)) / 1000);
            book.parent_seen(self.now(), parent.into(), started, verdict);
        }
    }

    /// Begins an attempt that is stored as begun.
    async fn begin(&mut self, book: &mut Book, dispatch: i64) {
        let found = book.dispatch(dispatch).map(|d| d.notifier).zip(book.contents(dispatch));
        let Some((notifier_id, contents)) = found else { return };
        let wanted = contents.clone();
        let known = self.local(move |db| known(db, &wanted)).await;
        let message = book.message(dispatch, &contents, &known, self.now());
        let all = self.parts.board.notifiers.all();
        let notifier = all.get(&notifier_id).and_then(|e| e.in_force.clone());
        let (Some(message), Some(notifier)) = (message, notifier) else {
            let result = SendResult::permanent("the notifier is gone");
            let progress = book.dispatch(dispatch).map(|d| d.progress.clone()).unwrap_or_default();
            self.ended(book, Ended { dispatch, notifier: notifier_id, result, progress });
            return;
        };
        let mut course = Course {
            only: book.audience(dispatch).to_vec(),
            saved: book.saved(dispatch).to_vec(),
            progress: book.dispatch(dispatch).map(|d| d.progress.clone()).unwrap_or_default(),
        };
        let channels = Rc::clone(&self.channels);
        self.sending.push(Box::pin(async move {
            let result = send(&channels, &notifier, &message, &mut course).await;
            Ended { dispatch, notifier: notifier_id, result, progress: course.progress }
        }));
    }

    fn ended(&mut self, book: &mut Book, ended: Ended) {
        let now = self.now();
        let Ended { dispatch, notifier, result, progress } = ended;
        // What state.db does not know the main database may: one that was imported, or a state.db that is lost.
        let known = self.parts.board.notifiers.status(notifier);
        let status = self.statuses.entry(notifier).or_insert(known);
        let told = match &result {
            SendResult::Sent { answer, .. } => {
                status.pass_count += 1;
                status.last_sent_at = Some(now);
                answer.clone()
            }
            SendResult::Transient { why, .. } | SendResult::Permanent { why, .. } => {
                status.fail_count += 1;
                status.last_failed_at = Some(now);
                why.clone()
            }
        };
        status.last_answer = Some(told.clone());
        self.parts.board.notifiers.set_status(notifier, status.clone());
        self.changed_statuses.push(notifier);
        let log = &self.parts.log;
        let attempt = match result {
            SendResult::Sent { answer, .. } => {
                info!(log, "told"; "notifier" => %notifier, "message" => dispatch, "answer" => &told);
                Attempt::Sent { answer }
            }
            SendResult::Transient { why, after } => {
                warn!(log, "a message was not taken; it will be tried again"; "notifier" => %notifier,
                    "message" => dispatch, "why" => &told);
                Attempt::Transient { why, after }
            }
            SendResult::Permanent { why, content } => {
                error!(log, "a message was refused for good"; "notifier" => %notifier, "message" => dispatch, "why" => &told);
                Attempt::Permanent { why, content }
            }
        };
        let seed = u64::try_from(dispatch).unwrap_or(0) ^ self.parts.clock.now().0;
        book.attempted(now, dispatch, &attempt, progress, seed);
    }

    /// Does something with state.db; tries again until it works.
    async fn local<T: Send + 'static>(
        &mut self,
        work: impl Fn(&mut StateDb) -> Result<T, StoreError> + Clone + Send + 'static,
    ) -> T {
        loop {
            let work = work.clone();
            match answered(self.parts.local.send(LocalQuery::new(move |db| work(db))).await) {
                Ok(value) => {
                    if std::mem::take(&mut self.in_trouble) {
                        info!(self.parts.log, "state.db works again: what is owed goes out");
                    }
                    return value;
                }
                Err(e) => {
                    if !std::mem::replace(&mut self.in_trouble, true) {
                        error!(self.parts.log, "state.db cannot be used: nobody is told until it can"; "error" => #&e);
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

/// The notifiers that are in force.
fn in_force(rows: &NotifierRows) -> Vec<Notifier> {
    rows.values().filter_map(|e| e.in_force.as_deref().cloned()).collect()
}

/// Sends, and survives a panic of what it sends with: that is the message's trouble alone.
async fn send(channels: &Channels, notifier: &Notifier, message: &Message, course: &mut Course) -> SendResult {
    let sent = channels.send(notifier, message, course, &());
    std::panic::AssertUnwindSafe(sent).catch_unwind().await.unwrap_or_else(|_| SendResult::Transient {
        why: "sending it panicked: this is a fault of skypunch".into(),
        after: Some(Duration::from_secs(60)),
    })
}

/// What a message needs to know.
fn known(db: &mut StateDb, contents: &Contents) -> Result<Known, StoreError> {
    let Contents { events, incidents, traces, rest, .. } = contents;
    Ok(Known { facts: db.facts_of(events)?, names: db.names_of(rest)?, incidents: db.incidents(incidents, traces)? })
}
