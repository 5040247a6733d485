//! What one probe has seen so far: outlives the probe's future, so that the deadline loses nothing.
//!
//! The phase follows from the steps: whoever reports a step need not know of phases.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use crate::clock::Clock;
use crate::model::outcome::Phases;
use crate::model::text::escape_controls;
use crate::model::time::{Mono, UtcMs};
use crate::model::trace::{Event, Step, Trace};
use crate::net::Observer;

/// Where a probe is: a deadline that fires names this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Before anything has gone out.
    Start,
    /// A token is being waited for.
    Auth,
    /// The name is being resolved.
    Resolve,
    /// Connection attempts run.
    Connect,
    /// The TLS handshake runs.
    Tls,
    /// The request is being handed to the kernel.
    Send,
    /// The request is out, nothing has come back.
    FirstByte,
    /// The answer's head is coming.
    Head,
    /// The answer's body is coming.
    Body,
}

/// The steps, times and facts of one probe.
pub struct Recorder {
    clock: Clock,
    start: Mono,
    live: Option<UnboundedSender<Step>>,
    trace: RefCell<Trace>,
    phase: Cell<Phase>,
    phases: Cell<Phases>,
    /// When the phase began, microseconds since the start.
    since: Cell<u32>,
    /// The name that was resolved last.
    host: RefCell<String>,
    /// The address that won, or that was tried last.
    peer: Cell<Option<SocketAddr>>,
    status: Cell<Option<u16>>,
    body_bytes: Cell<u32>,
    expires: Cell<Option<UtcMs>>,
    /// The file that is being waited for, and since when.
    waiting: RefCell<Option<(String, u32)>>,
}

impl Recorder {
    /// Starts the probe's time.
    #[must_use]
    pub fn new(clock: Clock, live: Option<UnboundedSender<Step>>) -> Recorder {
        let start = clock.now();
        Recorder {
            clock,
            start,
            live,
            trace: RefCell::new(Trace { steps: Vec::with_capacity(9) }), // the steps of a plain PASS, and one to spare
            phase: Cell::new(Phase::Start),
            phases: Cell::default(),
            since: Cell::new(0),
            host: RefCell::default(),
            peer: Cell::new(None),
            status: Cell::new(None),
            body_bytes: Cell::new(0),
            expires: Cell::new(None),
            waiting: RefCell::new(None),
        }
    }

    /// Microseconds since the start.
    #[must_use]
    pub fn elapsed_us(&self) -> u32 {
        self.clock.now().us_since(self.start)
    }

    /// When it began.
    #[must_use]
    pub fn began(&self) -> Mono {
        self.start
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Mono {
        self.clock.now()
    }

    /// Microseconds since the start that are the target's: without those in which a token was waited for.
    #[must_use]
    pub fn latency_us(&self) -> u32 {
        self.elapsed_us().saturating_sub(self.phases.get().auth_us.unwrap_or(0))
    }

    /// Adds a step that happened at `at_us`.
    pub fn step_at(&self, at_us: u32, event: Event) {
        self.follow(at_us, &event);
        // An event is large: each function between would move it once more.
        let mut trace = self.trace.borrow_mut();
        trace.push(at_us, event);
        self.tell(&trace);
    }

    /// Adds a step that happens now and is of somebody else's doing: a login that this probe waits for.
    pub fn aside(&self, event: Event) {
        let mut trace = self.trace.borrow_mut();
        trace.push(self.elapsed_us(), event);
        self.tell(&trace);
    }

    /// Sends the newest step to who listens.
    #[inline]
    fn tell(&self, trace: &Trace) {
        if let (Some(live), Some(step)) = (&self.live, trace.steps.last()) {
            // The listener may have gone; the probe goes on.
            drop(live.send(step.clone()));
        }
    }

    /// Adds a step that happens now.
    pub fn step(&self, event: Event) {
        self.step_at(self.elapsed_us(), event);
    }

    /// The phase in which the probe is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// How long the probe has been in this phase.
    #[must_use]
    pub fn phase_time(&self) -> Duration {
        Duration::from_micros(self.elapsed_us().saturating_sub(self.since.get()).into())
    }

    /// The name that was resolved last, free of control characters.
    #[must_use]
    pub fn host(&self) -> String {
        escape_controls(&self.host.borrow()).into_owned()
    }

    /// Address that won, or that was tried last.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer.get()
    }

    /// Notes the body bytes so far.
    pub fn set_body_bytes(&self, bytes: usize) {
        self.body_bytes.set(u32::try_from(bytes).unwrap_or(u32::MAX));
    }

    /// Body bytes so far.
    #[must_use]
    pub fn body_bytes(&self) -> u32 {
        self.body_bytes.get()
    }

    /// The status of the last answer.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.status.get()
    }

    /// `notAfter` of the last certificate.
    #[must_use]
    pub fn expires(&self) -> Option<UtcMs> {
        self.expires.get()
    }

    /// The file that the probe waits for, and for how long it has.
    #[must_use]
    pub fn waiting_for(&self) -> Option<(String, Duration)> {
        let (file, since) = self.waiting.borrow().clone()?;
        Some((file, Duration::from_micros(self.elapsed_us().saturating_sub(since).into())))
    }

    /// From the request to the first byte, so far.
    #[must_use]
    pub fn first_byte_us(&self) -> u32 {
        self.phases.get().first_byte_us.unwrap_or(0)
    }

    /// Takes what was recorded.
    #[must_use]
    pub fn finish(&self) -> (Phases, Trace) {
        (self.phases.get(), std::mem::take(&mut *self.trace.borrow_mut()))
    }

    /// Moves phase and times along.
    fn follow(&self, at: u32, event: &Event) {
        let mut phases = self.phases.get();
        match event {
            // A new hop: what is known of the last answer no longer counts.
            Event::Request { .. } => {
                self.enter(Phase::Start, at);
                self.status.set(None);
                self.set_body_bytes(0);
                self.peer.set(None);
            }
            Event::TokenAsked { .. } => self.enter(Phase::Auth, at),
            Event::Token { .. } | Event::Failed { .. } if self.phase.get() == Phase::Auth => {
                add(&mut phases.auth_us, at, self.since.get());
                self.enter(Phase::Start, at);
            }
            Event::Resolving { host } => {
                self.host.borrow_mut().clone_from(host);
                self.enter(Phase::Resolve, at);
            }
            Event::Resolved { .. } => {
                add(&mut phases.resolve_us, at, self.since.get());
                self.enter(Phase::Connect, at);
            }
            Event::Connecting { address } => {
                self.peer.set(Some(*address));
                if self.phase.get() != Phase::Connect {
                    self.enter(Phase::Connect, at);
                }
            }
            Event::Connected { address, .. } => {
                self.peer.set(Some(*address));
                add(&mut phases.connect_us, at, self.since.get());
                self.enter(Phase::Send, at);
            }
            Event::Reused { address, certificate_until, .. } => {
                self.peer.set(Some(*address));
                self.expires.set(certificate_until.map(UtcMs));
                self.enter(Phase::Send, at);
            }
            // Nothing of the probe has happened yet, whatever was tried.
            Event::NotReused { .. } => {
                self.peer.set(None);
                self.expires.set(None);
                self.status.set(None);
                phases.first_byte_us = None;
                self.enter(Phase::Start, at);
            }
            Event::TlsStarted { .. } => self.enter(Phase::Tls, at),
            Event::TlsDone { .. } => {
                add(&mut phases.tls_us, at, self.since.get());
                self.enter(Phase::Send, at);
            }
            Event::Certificate { not_after, .. } => self.expires.set(Some(UtcMs(*not_after))),
            Event::Sent { .. } => self.enter(Phase::FirstByte, at),
            Event::FirstByte => {
                add(&mut phases.first_byte_us, at, self.since.get());
                self.enter(Phase::Head, at);
            }
            Event::Head { status, .. } => {
                self.status.set(Some(*status));
                self.phase.set(Phase::Body); // `since` stays at the first byte: that is how `body_us` counts
            }
            Event::Body { bytes, .. } => {
                self.body_bytes.set(*bytes);
                add(&mut phases.body_us, at, self.since.get());
            }
            _ => {}
        }
        self.phases.set(phases);
    }

    fn enter(&self, phase: Phase, at: u32) {
        self.phase.set(phase);
        self.since.set(at);
    }
}

fn add(sum: &mut Option<u32>, at: u32, since: u32) {
    *sum = Some(sum.unwrap_or(0).saturating_add(at.saturating_sub(since)));
}

impl Observer for Recorder {
    fn event(&self, event: Event) {
        self.step(event);
    }

    fn waits_for(&self, file: Option<&dyn Fn() -> String>) {
        *self.waiting.borrow_mut() = file.map(|name| (name(), self.elapsed_us()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::reason::Reason;

    #[test]
    fn phases_of_all_hops_add_up_and_the_last_answer_counts() {
        let clock = Clock::manual(UtcMs(0));
        let recorder = Recorder::new(clock.clone(), None);
        let address = "127.0.0.1:80".parse().unwrap();
        for status in [302, 200] {
            let tick = || clock.advance(Duration::from_micros(10));
            recorder.step(Event::Request { method: "GET".into(), url: "http://a/".into() });
            recorder.step(Event::Connecting { address });
            tick();
            recorder.step(Event::Connected { address, local: None });
            tick();
            recorder.step(Event::Sent { bytes: 1 });
            tick();
            recorder.step(Event::FirstByte);
            assert_eq!(recorder.phase(), Phase::Head);
            recorder.step(Event::Head { version: "HTTP/1.1".into(), status });
            tick();
            recorder.step(Event::Body { bytes: 7, framing: "length".into(), capped: false });
        }
        assert_eq!(recorder.status(), Some(200));
        let (phases, trace) = recorder.finish();
        assert_eq!((phases.connect_us, phases.first_byte_us, phases.body_us), (Some(20), Some(20), Some(20)));
        assert_eq!(phases.resolve_us, None);
        assert_eq!(trace.steps.len(), 14);
    }

    #[test]
    fn waiting_for_a_token_is_a_phase_and_no_latency() {
        let clock = Clock::manual(UtcMs(0));
        let recorder = Recorder::new(clock.clone(), None);
        let tick = || clock.advance(Duration::from_micros(10));
        let credential = || "c".to_owned();
        for _ in 0..2 {
            recorder.step(Event::TokenAsked { credential: credential() });
            tick();
            recorder.aside(Event::Head { version: "HTTP/1.1".into(), status: 201 });
            assert_eq!((recorder.phase(), recorder.status()), (Phase::Auth, None), "the login's step is not ours");
            recorder.step(Event::Token { credential: credential(), waited_us: Some(10) });
            assert_eq!(recorder.phase(), Phase::Start);
            tick();
        }
        recorder.step(Event::TokenAsked { credential: credential() });
        tick();
        recorder.step(Event::Failed { reason: Reason::IdentityUnreachable, description: "x".into() });
        recorder.step(Event::Token { credential: credential(), waited_us: None });
        assert_eq!((recorder.elapsed_us(), recorder.latency_us()), (50, 20));
        assert_eq!(recorder.finish().0.auth_us, Some(30));
    }
}
