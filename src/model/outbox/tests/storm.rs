//! Ten thousand transitions at once.

use super::*;
use crate::model::message::MessageKind;

#[test]
fn ten_thousand_transitions_are_one_bounded_digest_for_each_notifier() {
    let mut w = World::new(vec![notifier(1), notifier(2)]);
    let events: Vec<Transition> = (1..=10_000)
        .map(|i| Transition {
            event_id: i,
            incident_id: 100_000 + i,
            target: Matched {
                id: SubjectId(i),
                name: format!("t{i}"),
                tenant: "0".into(),
                tags: vec![],
                users: vec![],
            },
            parent: None,
            kind: TransitionKind::Opened,
            at: UtcMs(START.0 + i / 10),
        })
        .collect();
    w.pass(1_000);
    w.book.take(w.now, &events);
    w.store();
    assert_eq!(w.step(), []);
    w.pass(4_000);
    let messages = w.step();
    assert_eq!(messages.len(), 2, "5 s after the first one");
    let (dispatch, _) = w.flying[&NotifierId(1)];
    let contents = w.book.contents(dispatch).unwrap();
    let names = contents.rest.iter().map(|e| (*e, format!("t{e}"))).collect();
    let named = w.book.message(dispatch, &contents, &Known { names, ..Known::default() }, w.now).unwrap();
    assert_eq!((named.rest.len(), named.rest[0].as_str()), (9_000, "t1001"), "all are named");
    for message in &messages {
        assert_eq!((message.kind, message.items.len(), message.more), (MessageKind::Digest, LISTED, 9_000));
    }
    w.answer(1, &transient());
    w.answer(2, &sent());
    let later = w.run(60_000);
    assert_eq!(later.len(), 1, "the one that was put off, once more as it was");
    assert_eq!(later[0].message_id, messages[0].message_id);
    assert_eq!(w.tries[0].items, w.tries[2].items);
    assert!(w.saved.notices.values().all(|n| n.state == NoticeState::Sent));
}
