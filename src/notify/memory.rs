//! The double of a channel: keeps what it is given and answers as it was told. Shipped beside the real ones, for tests of
//! everything above them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::SendResult;
use crate::model::message::Message;

/// What it was given, and what it will answer; clones share both.
#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    taken: Vec<Message>,
    answers: VecDeque<SendResult>,
}

impl Memory {
    /// Takes a message; accepts it unless another answer stands in line.
    pub fn send(&self, message: &Message) -> SendResult {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.taken.push(message.clone());
        let accepted = || SendResult::Sent { answer: "kept".into(), saved: Vec::new() };
        inner.answers.pop_front().unwrap_or_else(accepted)
    }

    /// The next answer that has none yet.
    pub fn answer(&self, result: SendResult) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).answers.push_back(result);
    }

    /// Every message of every attempt, in order.
    #[must_use]
    pub fn taken(&self) -> Vec<Message> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).taken.clone()
    }
}
