//! Invented messages of every kind: to check templates with, and for tests.

use crate::model::message::{Difference, Item, Message, MessageKind, TargetFacts};
use crate::model::notifier::EventKind;
use crate::model::state::Counters;
use crate::model::time::UtcMs;

/// 2026-11-22 03:12:09 UTC.
const AT: UtcMs = UtcMs(1_795_317_129_000);

/// One message of each kind.
#[must_use]
pub fn all() -> Vec<Message> {
    let single = |kind, event| message(kind, vec![item("api-eu", event)]);
    let mut both = item("api-eu", EventKind::Fail);
    both.recovered_unseen = true;
    both.ended_at = Some(UtcMs(AT.0 + 843_000));
    vec![
        single(MessageKind::Fail, EventKind::Fail),
        single(MessageKind::Recovery, EventKind::Recovery),
        message(MessageKind::Both, vec![both]),
        single(MessageKind::Reminder, EventKind::Reminder),
        single(MessageKind::Flapping, EventKind::Flapping),
        single(MessageKind::Settled, EventKind::Settled),
        digest(3),
        single(MessageKind::Test, EventKind::Fail),
    ]
}

/// A message with these items.
#[must_use]
pub fn message(kind: MessageKind, items: Vec<Item>) -> Message {
    Message {
        message_id: format!("7412.3.{}@mon1.example.com", format!("{kind:?}").to_lowercase()),
        references: if kind == MessageKind::Fail { vec![] } else { vec!["7411.3@mon1.example.com".into()] },
        kind,
        notifier: "on-call".into(),
        at: AT,
        late_ms: 0,
        host: "mon1.example.com".into(),
        items,
        more: 0,
        rest: Vec::new(),
    }
}

/// A digest of `n` failures and a recovery, and 12 more that are counted only.
#[must_use]
pub fn digest(n: usize) -> Message {
    let mut items: Vec<Item> = (0..n).map(|i| item(&format!("api-{i}"), EventKind::Fail)).collect();
    items.push(item("web-eu", EventKind::Recovery));
    Message { more: 12, ..message(MessageKind::Digest, items) }
}

/// A target of that name, to which this has happened.
#[must_use]
pub fn item(name: &str, event: EventKind) -> Item {
    let over = matches!(event, EventKind::Recovery | EventKind::Settled);
    let lines = |text: &[&str]| text.iter().map(|l| (*l).to_owned()).collect::<Vec<_>>();
    let difference = |what: &str, before: &str, after: &str| Difference {
        what: what.into(),
        before: before.into(),
        after: after.into(),
    };
    Item {
        event,
        recovered_unseen: false,
        incident_id: "7411".into(),
        alert_id: "7411".into(),
        started_at: AT,
        ended_at: over.then_some(UtcMs(AT.0 + 843_000)),
        number: u32::from(event == EventKind::Reminder),
        changes: if event == EventKind::Flapping { 7 } else { 0 },
        status: if over { "PASS" } else { "FAIL" }.into(),
        reason: "connect_refused".into(),
        description: "GET https://api.example.com/health: connecting to 192.0.2.7:443: connection refused after \
                      1.204 ms; usually nothing listens on that port: the service is stopped or starting"
            .into(),
        cause: "nothing listens on that port: the service is stopped or starting".into(),
        target: TargetFacts {
            id: 42,
            name: name.into(),
            tenant: "0".into(),
            url: "https://api.example.com/health".into(),
            method: "GET".into(),
            authentication: "BASIC".into(),
            expected: "200-299".into(),
            frequency_ms: 60_000,
            timeout_ms: 10_000,
            tags: vec!["production".into(), "eu".into()],
            enabled: true,
            last_updated: Some(UtcMs(AT.0 + if over { 843_000 } else { 0 })),
            counters: Counters {
                pass_count: 10_431,
                fail_count: 17,
                unknown_count: 2,
                missed_count: 0,
                count200: 10_431,
                count300: 0,
                count400: 3,
                count500: 5,
                network_fails: 9,
            },
            repeated_fails: if over { 0 } else { 1 },
            parent: None,
            users: Vec::new(),
        },
        trace: lines(&[
            "     0.000 ms  GET https://api.example.com/health",
            "     0.021 ms  Resolving api.example.com ....",
            "     0.894 ms  Resolved    [OK] 192.0.2.7",
            "     0.901 ms  Connecting to 192.0.2.7:443 ....",
            "     1.204 ms  Connection to 192.0.2.7:443    [FAIL] connection refused",
            "     1.206 ms  [FAIL] connect_refused: connecting to 192.0.2.7:443: connection refused",
        ]),
        last_good_trace: lines(&[
            "     0.000 ms  GET https://api.example.com/health",
            "     0.019 ms  Resolving api.example.com ....",
            "     0.850 ms  Resolved    [OK] 192.0.2.4",
            "     0.861 ms  Connecting to 192.0.2.4:443 ....",
            "     9.412 ms  Connection    [OK] to 192.0.2.4:443 from 198.51.100.9:40112",
            "    21.730 ms  TLS handshake    [OK] TLSv1.3 TLS_AES_256_GCM_SHA384",
            "    21.735 ms  Certificate    [OK] CN=api.example.com, issued by CN=Example CA, valid until 2027-02-01",
            "    40.118 ms  Reading response    [OK] HTTP/1.1 200",
            "    40.160 ms  Response    [OK] 200 is in 200-299",
        ]),
        changed: vec![
            difference("address", "192.0.2.4", "192.0.2.7"),
            difference("connect", "8.551 ms", "refused after 0.303 ms"),
        ],
        children: if event == EventKind::Fail { lines(&["shop-eu", "shop-us"]) } else { vec![] },
    }
}
