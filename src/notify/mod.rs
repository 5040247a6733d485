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
    },
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
