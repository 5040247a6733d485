//! What templates see of a message: its own fields, and the words that everybody needs (titles, tones, durations).
//!
//! The words are plain text: a template's markup escapes them like everything else.

use serde_json::{Map, Value, json};

use super::words::{duration, utc};
use crate::model::message::{Item, Message, MessageKind};
use crate::model::notifier::EventKind;

/// From here on a message says that it is late.
const LATE_MS: i64 = 60_000;

/// The sections that a provider's file may have, one for each kind of message.
pub(super) const EVENTS: [&str; 8] = ["fail", "recovery", "both", "reminder", "flapping", "settled", "digest", "test"];

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tone {
    Good,
    Warn,
    Bad,
}

impl Tone {
    fn of(item: &Item) -> Tone {
        match item.event {
            _ if item.recovered_unseen => Tone::Good,
            EventKind::Fail | EventKind::Reminder => Tone::Bad,
            EventKind::Recovery => Tone::Good,
            EventKind::Flapping => Tone::Warn,
            EventKind::Settled if item.status == "PASS" => Tone::Good,
            EventKind::Settled => Tone::Bad,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Tone::Good => "good",
            Tone::Warn => "warn",
            Tone::Bad => "bad",
        }
    }

    fn symbol(self) -> &'static str {
        match self {
            Tone::Good => "🟢",
            Tone::Warn => "🟠",
            Tone::Bad => "🔴",
        }
    }

    /// Readable on white and on black.
    fn color(self) -> u32 {
        match self {
            Tone::Good => 0x2e_9e_4f,
            Tone::Warn => 0xd9_82_1a,
            Tone::Bad => 0xd0_33_2f,
        }
    }
}

/// The section of a kind.
pub(super) fn event_of(kind: MessageKind) -> &'static str {
    match kind {
        MessageKind::Fail => "fail",
        MessageKind::Recovery => "recovery",
        MessageKind::Both => "both",
        MessageKind::Reminder => "reminder",
        MessageKind::Flapping => "flapping",
        MessageKind::Settled => "settled",
        MessageKind::Digest => "digest",
        MessageKind::Test => "test",
    }
}

/// A message about one item of a digest, for a receiver that keeps incidents and so wants each by itself.
pub(super) fn alone(message: &Message, item: &Item, position: usize) -> Message {
    let kind = match item.event {
        _ if message.kind == MessageKind::Test => MessageKind::Test,
        _ if item.recovered_unseen => MessageKind::Both,
        EventKind::Fail => MessageKind::Fail,
        EventKind::Recovery => MessageKind::Recovery,
        EventKind::Reminder => MessageKind::Reminder,
        EventKind::Flapping => MessageKind::Flapping,
        EventKind::Settled => MessageKind::Settled,
    };
    let message_id =
        if message.items.len() > 1 { format!("{position}.{}", message.message_id) } else { message.message_id.clone() };
    Message {
        message_id,
        kind,
        items: vec![item.clone()],
        more: 0,
        rest: Vec::new(),
        references: Vec::new(),
        ..message.clone()
    }
}

/// Everything that depends on the message alone.
pub(in crate::notify) fn facts(message: &Message) -> Map<String, Value> {
    let items: Vec<Value> = message.items.iter().map(|item| of_item(item, message)).collect();
    let tone = message.items.iter().map(Tone::of).max().unwrap_or(Tone::Good);
    let item = items.first().cloned().unwrap_or_default();
    let late = if message.late_ms >= LATE_MS {
        format!("This message is {} late.", duration(message.late_ms))
    } else {
        String::new()
    };
    let facts = json!({
        "kind": event_of(message.kind),
        "test": message.kind == MessageKind::Test,
        "open": message.items.first().is_some_and(is_open),
        "title": title(message),
        "tone": tone.word(),
        "symbol": tone.symbol(),
        "color": format!("#{:06x}", tone.color()),
        "color_number": tone.color(),
        "late": late,
        "count": message.items.len() + message.more,
        "item": item,
        "items": items,
        "id": message.message_id,
        "host": message.host,
        "at": message.at.0,
        "message": message,
    });
    match facts {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// Whether the incident goes on after this.
fn is_open(item: &Item) -> bool {
    Tone::of(item) != Tone::Good
}

fn of_item(item: &Item, message: &Message) -> Value {
    let tone = Tone::of(item);
    let until = item.ended_at.unwrap_or(message.at);
    let mut value = serde_json::to_value(item).unwrap_or_default();
    if let Value::Object(map) = &mut value {
        let mut add = |key: &str, value: Value| map.insert(key.to_owned(), value);
        add("name", item.target.called().into());
        add("title", item_title(item, message).into());
        add("tone", tone.word().into());
        add("symbol", tone.symbol().into());
        add("open", is_open(item).into());
        add("since", utc(item.started_at.0).into());
        add("until", item.ended_at.map_or(Value::Null, |at| utc(at.0).into()));
        add("duration_ms", until.0.saturating_sub(item.started_at.0).max(0).into());
        add("duration", duration(until.0.saturating_sub(item.started_at.0)).into());
    }
    value
}

/// The first line, short enough for a locked phone.
fn item_title(item: &Item, message: &Message) -> String {
    let name = item.target.called();
    let lasted = duration(item.ended_at.unwrap_or(message.at).0.saturating_sub(item.started_at.0));
    let why = if item.reason.is_empty() { String::new() } else { format!(" ({})", item.reason.replace('_', " ")) };
    let title = match item.event {
        _ if item.recovered_unseen => format!("{name} was down for {lasted} and works again"),
        EventKind::Fail => format!("{name} is down{why}"),
        EventKind::Recovery => format!("{name} works again after {lasted}"),
        EventKind::Reminder => format!("{name} is still down after {lasted}{why}"),
        EventKind::Flapping => format!("{name} is flapping: {} changes", item.changes),
        EventKind::Settled if item.status == "PASS" => format!("{name} has settled: it works"),
        EventKind::Settled => format!("{name} has settled: it is down{why}"),
    };
    match item.children.len() {
        0 => title,
        n => format!("{title} (+{n} behind it)"),
    }
}

fn title(message: &Message) -> String {
    let first = message.items.first().map(|item| item_title(item, message)).unwrap_or_default();
    match message.kind {
        MessageKind::Test => format!("Test: {first}"),
        MessageKind::Digest => {
            let of = |tone| message.items.iter().filter(|i| Tone::of(i) == tone).count();
            let counts = [(of(Tone::Bad), "down"), (of(Tone::Warn), "flapping"), (of(Tone::Good), "up again")];
            let mut words: Vec<String> =
                counts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
            if message.more > 0 {
                words.push(format!("{} more", message.more));
            }
            format!("{} targets: {}", message.items.len() + message.more, words.join(", "))
        }
        _ => first,
    }
}
