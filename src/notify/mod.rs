//! Telling people: the channels over which a message leaves, and what became of each attempt.
//!
//! ```text
//!  model::message::Message --catalogue (a provider's file)--> HTTP requests --> SendResult
//! ```
//!
//! What is said stands in `model::message`; when it is said is decided in `model`; here is how it is said, and what an
//! answer means.

pub mod catalogue;
pub mod channel;
pub mod mail;
pub mod webhook;

use std::time::Duration;

use crate::model::outbox::Progress;

/// What became of an attempt. No text in it holds a secret or a control character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendResult {
    /// Accepted.
    Sent {
        /// What the server said, at most 300 characters.
        answer: String,
        /// Values of the answer that the recovery message needs.
        saved: Vec<(String, String)>,
    },
    /// Not now: worth another try.
    Transient {
        /// What happened, for people.
        why: String,
        /// How long the server wants to be left alone, where it said so.
        after: Option<Duration>,
    },
    /// Not by trying again: somebody must change something.
    Permanent {
        /// What happened, for people.
        why: String,
        /// It is what the message holds that is refused, not the sender or the receiver: less of it may be taken.
        content: bool,
    },
}

impl SendResult {
    /// Never by trying again, whatever the message holds.
    #[must_use]
    pub fn permanent(why: impl Into<String>) -> SendResult {
        SendResult::Permanent { why: why.into(), content: false }
    }
}

/// What an attempt goes on from; it brings `progress` up to date, however it ends.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Course {
    /// The only recipients that it may go to, as `progress` names them; empty for all.
    pub only: Vec<String>,
    /// What earlier messages about the same incident have saved.
    pub saved: Vec<(String, String)>,
    /// How far earlier attempts have come.
    pub progress: Progress,
}

/// Is told each step of the dialogue with a server, as plain sentences with `***` for every secret: what a test send
/// prints.
pub trait Dialogue {
    /// A step.
    fn step(&self, line: &str);
}

/// Nobody listens.
impl Dialogue for () {
    fn step(&self, _: &str) {}
}
