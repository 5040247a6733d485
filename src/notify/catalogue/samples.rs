//! One invented message of each kind: templates are tried with them when they are loaded, and the golden examples are
//! made from them. What servers could have sent is in them too: markup, mentions, quotes.

use crate::model::message::{Difference, Item, Message, MessageKind, TargetFacts};
use crate::model::notifier::EventKind;
use crate::model::state::Counters;
use crate::model::time::UtcMs;

/// 2026-11-22 03:07:12 UTC.
const START: i64 = 1_795_316_832_000;

/// When the samples are sent.
pub const NOW: UtcMs = UtcMs(START + 5_250);

/// All of them, one of each kind.
#[must_use]
pub fn messages() -> Vec<Message> {
    let both = Item { recovered_unseen: true, ..item(EventKind::Fail) };
    vec![
        message(MessageKind::Fail, vec![item(EventKind::Fail)]),
        message(MessageKind::Recovery, vec![item(EventKind::Recovery)]),
        Message { late_ms: 725_000, ..message(MessageKind::Both, vec![ended(both)]) },
        message(MessageKind::Reminder, vec![item(EventKind::Reminder)]),
        message(MessageKind::Flapping, vec![item(EventKind::Flapping)]),
        message(MessageKind::Settled, vec![item(EventKind::Settled)]),
        Message { more: 497, ..message(MessageKind::Digest, digest()) },
        message(MessageKind::Test, vec![item(EventKind::Fail)]),
    ]
}

/// The one of a kind.
#[must_use]
pub fn of(kind: MessageKind, event: EventKind) -> Message {
    message(kind, vec![item(event)])
}

fn message(kind: MessageKind, items: Vec<Item>) -> Message {
    let told = matches!(kind, MessageKind::Recovery | MessageKind::Reminder);
    Message {
        message_id: "7310582.4@monitor.example".into(),
        references: if told { vec!["7310577.4@monitor.example".into()] } else { Vec::new() },
        kind,
        notifier: "night shift".into(),
        at: items.first().and_then(|i| i.ended_at).unwrap_or(UtcMs(START)),
        late_ms: 0,
        host: "monitor.example".into(),
        items,
        more: 0,
        rest: Vec::new(),
    }
}

fn ended(item: Item) -> Item {
    Item { ended_at: Some(UtcMs(START + 725_000)), status: "PASS".into(), ..item }
}

fn item(event: EventKind) -> Item {
    let base = Item {
        event,
        recovered_unseen: false,
        incident_id: "7310576912113665".into(),
        alert_id: "7310576912113665".into(),
        started_at: UtcMs(START),
        ended_at: None,
        number: 0,
        changes: 0,
        status: "FAIL".into(),
        reason: "status".into(),
        description:
            "GET https://shop.example/cart?a=1&b=2: 503 \"Service <Unavailable>\" instead of 200 after 12 ms; \
                      it said *sorry*, @everyone & <!channel>"
                .into(),
        cause: "the service is overloaded or being restarted".into(),
        target: target(17, "shop-checkout"),
        trace: vec![
            "  0.000 ms  resolve shop.example: 203.0.113.7".into(),
            "  1.204 ms  connect 203.0.113.7:443".into(),
            "  9.871 ms  tls TLS 1.3, issuer CN=Example <CA>".into(),
            " 12.016 ms  status 503".into(),
        ],
        last_good_trace: vec!["  0.000 ms  resolve shop.example: 203.0.113.6".into(), "  8.530 ms  status 200".into()],
        changed: vec![
            Difference { what: "address".into(), before: "203.0.113.6".into(), after: "203.0.113.7".into() },
            Difference { what: "first byte".into(), before: "8.5 ms".into(), after: "12.0 ms".into() },
        ],
        children: Vec::new(),
    };
    match event {
        EventKind::Fail => base,
        EventKind::Recovery => ended(base),
        EventKind::Reminder => Item { number: 2, started_at: UtcMs(START - 10_800_000), ..base },
        EventKind::Flapping => Item { changes: 8, ..base },
        EventKind::Settled => Item { status: "PASS".into(), ..base },
    }
}

fn digest() -> Vec<Item> {
    let parent = Item {
        target: target(3, "gateway & router"),
        reason: "connect_refused".into(),
        description: "connecting to 203.0.113.1:443: refused after 0.4 ms".into(),
        cause: "nothing listens there".into(),
        children: vec!["shop-search".into(), "shop_admin".into()],
        ..item(EventKind::Fail)
    };
    let recovered = Item { target: target(21, "mail"), ..item(EventKind::Recovery) };
    let seen_late = Item { recovered_unseen: true, target: target(22, "wiki"), ..item(EventKind::Fail) };
    vec![parent, item(EventKind::Fail), recovered, ended(seen_late)]
}

fn target(id: i64, name: &str) -> TargetFacts {
    TargetFacts {
        id,
        name: name.into(),
        tenant: "0".into(),
        url: "https://shop.example/cart?a=1&b=2".into(),
        method: "GET".into(),
        authentication: "BEARER".into(),
        expected: "200".into(),
        frequency_ms: 10_000,
        timeout_ms: 5_000,
        tags: vec!["shop".into(), "prod".into()],
        enabled: true,
        last_updated: Some(UtcMs(START)),
        counters: Counters { pass_count: 4_711, fail_count: 3, count200: 4_711, count500: 3, ..Counters::default() },
        repeated_fails: 3,
        parent: None,
        users: Vec::new(),
    }
}
