//! What is owed to whom, and what is sent next: the rules of the notifier, without I/O, runtime or clock.
//!
//! ```text
//!  transitions --take--> Book --next--> messages to send now, when to look again
//!  notifiers   --set_notifiers-->  |        |
//!  parent's probe --parent_seen--> |        '--attempted--> sent | again later | failed | expired
//!                                  '--take_changes--> rows for one transaction in state.db
//!
//!  a notice:  held -> owed -> sending -> sent | failed | expired
//!               '------'----------'----> cancelled | merged (said by another notice)
//! ```
//!
//! | file | decides |
//! |---|---|
//! | `rows.rs` | nothing: the plain data that state.db keeps |
//! | `route.rs` | which notifiers are told of a target's event |
//! | `book.rs` | nothing: the rows in memory, their indexes, what has changed |
//! | `clock.rs` | what becomes of planned times when the wall clock is set back |
//! | `events.rs` | transitions and changed notifiers to notices |
//! | `flap.rs` | flapping and settled |
//! | `parents.rs` | a child's notices wait for its parent |
//! | `remind.rs` | reminders |
//! | `next.rs` | what goes out now: grouping, cap, order, retries |
//! | `attempt.rs` | what an attempt's result means, backoff, expiry |
//! | `progress.rs` | who of several recipients has a message, and whom its recovery goes to |
//! | `split.rs` | how many notices a message may hold, after one was refused for what it holds |
//! | `compose.rs` | the [`Message`](super::message::Message) of a dispatch |
//!
//! Words: a *notice* is one (incident, notifier, event, number) that is owed. A *dispatch* is a message on its way: one
//! notice, or several as a digest; its members and its Message-ID are frozen at the first attempt.

mod attempt;
mod book;
mod clock;
mod compose;
mod events;
mod flap;
mod next;
mod parents;
mod progress;
mod remind;
mod route;
mod rows;
mod split;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use self::attempt::{Attempt, backoff};
pub use self::book::{Book, Changes, Saved};
pub use self::compose::{Contents, DETAILED, Known, LISTED, NAMED};
pub use self::next::Next;
pub use self::progress::Progress;
pub use self::remind::remind_gap;
pub use self::route::{fits, route, sees, wants};
pub use self::rows::{
    Dispatch, Flapping, Mark, Notice, NoticeId, NoticeState, Open, Pace, Standing, Transition, TransitionKind,
};

/// The settings of all notifiers together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// More transitions than this within the window are flapping; 0: never.
    pub flap_changes: u32,
    /// That window, and how long nothing must change until it counts as settled.
    pub flap_window: Duration,
    /// How long a child's failure waits at most for its parent's verdict.
    pub parent_wait: Duration,
    /// The right side of every Message-ID: the name of this machine.
    pub host: String,
    /// Distinguishes the ids made here from those of other daemons on the same database.
    pub node: u16,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            flap_changes: 6,
            flap_window: Duration::from_mins(10),
            parent_wait: Duration::from_secs(30),
            host: "localhost".into(),
            node: 0,
        }
    }
}
