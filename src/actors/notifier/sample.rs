//! A marked sample that a person asked for: `skypunchctl notifiers ID test`.

use super::{Parts, SendSample};
use crate::model::message::{Message, MessageKind};
use crate::model::notifier::EventKind;
use crate::model::outbox::Rules;
use crate::notify::catalogue::samples;
use crate::notify::channel::Channels;
use crate::notify::{Course, Dialogue};
use tokio::sync::mpsc::UnboundedSender;

/// Which sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleKind {
    /// Says that it is a test.
    Test,
    /// As a failure would come.
    Fail,
    /// As a recovery would come.
    Recovery,
}

impl SampleKind {
    /// The kind of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<SampleKind> {
        match name {
            "test" => Some(SampleKind::Test),
            "fail" => Some(SampleKind::Fail),
            "recovery" => Some(SampleKind::Recovery),
            _ => None,
        }
    }
}

/// The steps go to whoever waits for them.
struct Told(UnboundedSender<String>);

impl Dialogue for Told {
    fn step(&self, line: &str) {
        // The listener may have gone; the sample is sent all the same.
        drop(self.0.send(line.to_owned()));
    }
}

pub(super) async fn send(channels: &Channels, parts: &Parts, message: SendSample) {
    let SendSample { notifier, kind, steps, result } = message;
    let sample = sample(kind, &notifier.name, &parts.rules.borrow().clone(), parts.clock.now().0);
    let sent = channels.send(&notifier, &sample, &mut Course::default(), &Told(steps)).await;
    drop(result.send(sent));
}

/// A sample with an id of its own, so that no server takes it for a copy of another.
fn sample(kind: SampleKind, notifier: &str, rules: &Rules, now: u64) -> Message {
    let (kind, event) = match kind {
        SampleKind::Test => (MessageKind::Test, EventKind::Fail),
        SampleKind::Fail => (MessageKind::Fail, EventKind::Fail),
        SampleKind::Recovery => (MessageKind::Recovery, EventKind::Recovery),
    };
    let mut message = samples::of(kind, event);
    message.message_id = format!("test-{now}@{}", rules.host);
    message.references.clear();
    message.notifier = notifier.to_owned();
    message.host.clone_from(&rules.host);
    for item in &mut message.items {
        item.target.name = format!("[TEST] {}", item.target.name);
    }
    message
}
