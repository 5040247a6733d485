//! Admission: only so many *young* probes at once.
//!
//! ```text
//!  acquire --> fewer than N young? --yes--> Permit --drop, or older than 20 ms--> room for the next
//!                     '--no--> waits in line, first come first served
//! ```
//!
//! Without it an overload collapses: every probe slows all others. Counting only young ones keeps targets that hang
//! from filling it: they cost next to nothing while they wait.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::Sleep;

use crate::clock::Clock;
use crate::model::time::Mono;

/// Who is young and who waits; pure.
#[derive(Debug)]
struct Core {
    limit: usize,
    max_age: Duration,
    /// Permits by the time of granting; `None` where one was given back. The first one's number is `first`.
    young: VecDeque<Option<Mono>>,
    first: u64,
    count: usize,
    /// Tickets of those who wait, in the order of coming.
    line: VecDeque<(u64, Option<Waker>)>,
    next_ticket: u64,
}

impl Core {
    fn new(limit: usize, max_age: Duration) -> Core {
        Core {
            limit: limit.max(1),
            max_age,
            young: VecDeque::new(),
            first: 0,
            count: 0,
            line: VecDeque::new(),
            next_ticket: 0,
        }
    }

    /// Forgets permits that were given back or have grown old.
    fn expire(&mut self, now: Mono) {
        while let Some(front) = self.young.front() {
            match front {
                Some(granted) if now.since(*granted) < self.max_age => break,
                Some(_) => self.count -= 1,
                None => {}
            }
            self.young.pop_front();
            self.first += 1;
        }
    }

    /// A permit's number, if there is room and nobody came before.
    fn grant(&mut self, now: Mono, ticket: Option<u64>) -> Option<u64> {
        self.expire(now);
        let first_in_line = match (self.line.front(), ticket) {
            (None, _) => true,
            (Some((front, _)), Some(ticket)) => *front == ticket,
            (Some(_), None) => false,
        };
        if self.count >= self.limit || !first_in_line {
            return None;
        }
        if ticket.is_some() {
            self.line.pop_front();
        }
        self.young.push_back(Some(now));
        self.count += 1;
        Some(self.first + self.young.len() as u64 - 1)
    }

    fn give_back(&mut self, number: u64) {
        let Some(at) = number.checked_sub(self.first).and_then(|n| usize::try_from(n).ok()) else { return };
        if let Some(slot) = self.young.get_mut(at)
            && slot.take().is_some()
        {
            self.count -= 1;
        }
    }

    /// How long until the oldest permit no longer counts.
    fn next_room(&self, now: Mono) -> Duration {
        let oldest = self.young.iter().flatten().next();
        oldest.map_or(Duration::ZERO, |granted| self.max_age.saturating_sub(now.since(*granted)))
    }

    fn join(&mut self) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.line.push_back((ticket, None));
        ticket
    }

    fn leave(&mut self, ticket: u64) {
        if let Ok(at) = self.line.binary_search_by_key(&ticket, |(t, _)| *t) {
            self.line.remove(at);
        }
    }

    fn wait(&mut self, ticket: u64, waker: &Waker) {
        // Tickets grow: the line may be a hundred thousand long when that many new targets come at once.
        if let Ok(at) = self.line.binary_search_by_key(&ticket, |(t, _)| *t) {
            self.line[at].1 = Some(waker.clone());
        }
    }

    fn first_waker(&mut self) -> Option<Waker> {
        self.line.front_mut().and_then(|(_, waker)| waker.take())
    }
}

/// The admission of one arbiter; clones share it.
#[derive(Debug, Clone)]
pub struct Gate {
    core: Rc<RefCell<Core>>,
    clock: Clock,
}

impl Gate {
    /// At most `limit` probes (at least 1) that are younger than `max_age`.
    #[must_use]
    pub fn new(limit: usize, max_age: Duration, clock: Clock) -> Gate {
        Gate { core: Rc::new(RefCell::new(Core::new(limit, max_age))), clock }
    }

    /// Waits for room. Dropping the future gives the place in line up.
    #[must_use]
    pub fn acquire(&self) -> Acquire {
        Acquire { gate: self.clone(), ticket: None, sleep: None }
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.core.borrow().line.len()
    }

    fn wake_first(&self) {
        let waker = self.core.borrow_mut().first_waker();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Admits one probe; give it back by dropping it when the probe has ended.
#[derive(Debug)]
pub struct Permit {
    gate: Gate,
    number: u64,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.core.borrow_mut().give_back(self.number);
        self.gate.wake_first();
    }
}

/// A place in line.
#[derive(Debug)]
pub struct Acquire {
    gate: Gate,
    ticket: Option<u64>,
    /// Only the first in line has one: nobody tells that a permit has grown old.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Future for Acquire {
    type Output = Permit;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Permit> {
        let this = self.get_mut();
        loop {
            let now = this.gate.clock.now();
            let mut core = this.gate.core.borrow_mut();
            if let Some(number) = core.grant(now, this.ticket) {
                this.ticket = None;
                drop(core);
                // The next in line may find room too, or has to watch the time from now on.
                this.gate.wake_first();
                return Poll::Ready(Permit { gate: this.gate.clone(), number });
            }
            let ticket = *this.ticket.get_or_insert_with(|| core.join());
            core.wait(ticket, cx.waker());
            if core.line.front().map(|(t, _)| *t) != Some(ticket) {
                return Poll::Pending;
            }
            let room_in = core.next_room(now);
            drop(core);
            let mut sleep = Box::pin(tokio::time::sleep(room_in));
            if sleep.as_mut().poll(cx).is_pending() {
                this.sleep = Some(sleep);
                return Poll::Pending;
            }
        }
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.gate.core.borrow_mut().leave(ticket);
            self.gate.wake_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGE: Duration = Duration::from_millis(300);

    fn ms(n: u64) -> Mono {
        Mono(n * 1000)
    }

    #[test]
    fn only_young_permits_count() {
        let mut core = Core::new(2, AGE);
        let a = core.grant(ms(0), None).unwrap();
        assert!(core.grant(ms(10), None).is_some());
        assert!(core.grant(ms(20), None).is_none(), "full");
        assert_eq!(core.next_room(ms(20)), Duration::from_millis(280));
        assert!(core.grant(ms(300), None).is_some(), "the first has grown old");
        core.give_back(a);
        assert_eq!(core.count, 2, "an old permit that comes back frees nothing twice");
        assert!(core.grant(ms(301), None).is_none());
    }

    #[test]
    fn a_permit_that_comes_back_makes_room_whatever_its_place() {
        let mut core = Core::new(3, AGE);
        let numbers: Vec<u64> = (0..3).map(|i| core.grant(ms(i), None).unwrap()).collect();
        core.give_back(numbers[1]);
        assert!(core.grant(ms(5), None).is_some());
        assert!(core.grant(ms(5), None).is_none());
        core.give_back(numbers[0]);
        core.give_back(numbers[0]);
        assert_eq!(core.count, 2);
    }

    #[test]
    fn first_come_first_served() {
        let mut core = Core::new(1, AGE);
        let held = core.grant(ms(0), None).unwrap();
        let (a, b) = (core.join(), core.join());
        core.give_back(held);
        assert!(core.grant(ms(1), None).is_none(), "nobody passes the line");
        assert!(core.grant(ms(1), Some(b)).is_none());
        assert!(core.grant(ms(1), Some(a)).is_some());
        core.leave(b);
        assert!(core.grant(ms(400), None).is_some());
    }

    #[test]
    fn waiters_are_let_in_by_a_return_and_by_age() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let gate = Gate::new(1, Duration::from_millis(30), Clock::system());
            let old = gate.acquire().await;
            let second = gate.acquire().await; // by age: `old` is still held
            let mut third = Box::pin(gate.acquire());
            assert!(futures_util::poll!(third.as_mut()).is_pending());
            assert_eq!(gate.waiting(), 1);
            drop(second);
            assert!(futures_util::poll!(third.as_mut()).is_ready());
            drop(old);
            assert_eq!(gate.waiting(), 0);
        });
    }
}
