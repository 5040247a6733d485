//! Whatever happens in whatever order.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::model::reason::Verdict;

#[derive(Debug, Clone)]
enum Op {
    Flip(i64),
    Withdraw(i64),
    Pass(i64),
    Answer(i64, u8),
    Restart(bool),
    Replay,
    Toggle(i64),
    ClockBack(i64),
    ParentSeen(i64, bool),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        8 => (0i64..6).prop_map(Op::Flip),
        1 => (0i64..6).prop_map(Op::Withdraw),
        6 => (1i64..40_000).prop_map(Op::Pass),
        1 => (40_000i64..2_000_000).prop_map(Op::Pass),
        9 => (1i64..5, 0u8..13).prop_map(|(n, r)| Op::Answer(n, r)),
        1 => any::<bool>().prop_map(Op::Restart),
        1 => Just(Op::Replay),
        1 => (1i64..5).prop_map(Op::Toggle),
        1 => (1i64..100_000).prop_map(Op::ClockBack),
        1 => (0i64..6, any::<bool>()).prop_map(|(t, p)| Op::ParentSeen(t, p)),
    ];
    proptest::collection::vec(op, 1..160)
}

fn world() -> World {
    let hasty =
        Notifier { group_wait: Duration::ZERO, group_window: Duration::ZERO, rate_per_minute: 1_000, ..notifier(1) };
    let strict = Notifier {
        rate_per_minute: 3,
        remind: Some(Duration::from_mins(1)),
        retry_for: Duration::from_mins(10),
        ..notifier(2)
    };
    let filter = Filter { events: Some(vec![EventKind::Fail, EventKind::Recovery]), ..Filter::default() };
    let plain = Notifier { filter, group_window: Duration::from_secs(1), ..notifier(3) };
    let even = Notifier { filter: Filter { tags: vec!["even".into()], ..Filter::default() }, ..notifier(4) };
    let mut w = World::new(vec![hasty, strict, plain, even]);
    w.rules.flap_changes = 4;
    w.rules.flap_window = Duration::from_mins(2);
    w.book = Book::load(w.rules.clone(), w.notifiers.clone(), Saved::default(), START);
    // A chain, and two that are each other's parent.
    w.parents = HashMap::from([(1, 0), (2, 1), (3, 4), (4, 3)]);
    w
}

#[derive(Default)]
struct Past {
    toggled: BTreeSet<NotifierId>,
    withdrawn: BTreeSet<SubjectId>,
}

/// Whether nobody has what is being sent to a notifier.
fn first(w: &World, notifier: i64) -> bool {
    let flying = w.flying.get(&NotifierId(notifier)).and_then(|(id, _)| w.book.dispatch(*id));
    flying.is_some_and(|d| d.progress == Progress::default())
}

/// `dead`: a notifier whose server never accepts.
fn play(w: &mut World, ops: &[Op], dead: Option<i64>, past: &mut Past) {
    for op in ops {
        match *op {
            Op::Flip(t) if w.open.contains_key(&t) => w.recover(t),
            Op::Flip(t) => {
                w.fail(t);
            }
            Op::Withdraw(t) if w.open.contains_key(&t) => {
                past.withdrawn.insert(SubjectId(t));
                w.withdraw(t);
            }
            Op::Withdraw(_) => {}
            Op::Pass(ms) => w.pass(ms),
            Op::Answer(n, _) if dead == Some(n) => w.answer(n, &transient()),
            Op::Answer(n, 0) => w.answer(n, &permanent()),
            Op::Answer(n, 1..=2) => w.answer(n, &transient()),
            Op::Answer(n, 3) => {
                let after = Some(Duration::from_secs(100));
                w.answer(n, &Attempt::Transient { why: "429".into(), after });
            }
            Op::Answer(n, 4..=5) => w.answer(n, &too_large()),
            // Of two recipients one has it: the other is put off, refused, or everything is refused from now on.
            Op::Answer(n, 6) if first(w, n) => w.answer_some(n, &transient(), &["a"], &[]),
            Op::Answer(n, 7) if first(w, n) => w.answer_some(n, &sent(), &["a"], &["b"]),
            Op::Answer(n, _) => w.answer(n, &sent()),
            Op::Restart(took) => w.restart(took),
            Op::Replay => {
                w.store();
                w.book.take(w.now, &w.events.clone());
                assert_eq!(w.book.take_changes(), None, "the same events again change nothing");
            }
            Op::Toggle(n) => {
                past.toggled.insert(NotifierId(n));
                let n = &mut w.notifiers[n as usize - 1];
                n.enabled = !n.enabled;
                w.set_notifiers();
            }
            Op::ClockBack(ms) => w.now.0 -= ms,
            Op::ParentSeen(t, passed) => {
                let verdict = if passed { Verdict::Pass } else { Verdict::Fail };
                w.book.parent_seen(w.now, SubjectId(t), w.now, verdict);
                w.store();
            }
        }
        w.step();
    }
}

/// Working servers, time enough.
fn calm_down(w: &mut World) {
    for n in &mut w.notifiers {
        n.remind = None;
        n.enabled = true;
    }
    w.set_notifiers();
    let flying: Vec<i64> = w.flying.keys().map(|n| n.0).collect();
    flying.into_iter().for_each(|n| w.answer(n, &sent()));
    w.run(8_000_000);
}

fn check_messages(w: &World) -> Result<(), TestCaseError> {
    // One Message-ID for each (incident, notifier, event, number), whatever the attempts.
    let mut ids: BTreeMap<(i64, NotifierId, EventKind, u32), &str> = BTreeMap::new();
    let mut sent: BTreeMap<(i64, NotifierId, EventKind, u32), u32> = BTreeMap::new();
    let mut last: BTreeMap<(NotifierId, SubjectId), (NoticeId, &str)> = BTreeMap::new();
    for (i, t) in w.tries.iter().enumerate() {
        // What may have arrived already goes again as it was; only who is no longer to be told is left out.
        let before = w.tries[..i].iter().rev().find(|b| b.message_id == t.message_id && b.sent.is_none());
        if let Some(before) = before {
            let same = t.items.iter().all(|s| before.items.contains(s));
            prop_assert!(same, "reworded: {:?} was {:?}", t.items, before.items);
        }
        for said in &t.items {
            let key = (said.incident, t.notifier, said.event, said.number);
            prop_assert_eq!(*ids.entry(key).or_insert(&t.message_id), &t.message_id, "two messages for {:?}", key);
            // A message may be tried again until another one of the same target has begun.
            let (notice, message) = last.entry((t.notifier, said.target)).or_insert((said.notice, &t.message_id));
            let in_order = said.notice > *notice || *message == t.message_id;
            prop_assert!(in_order, "{:?} after a later notice of its target", said);
            (*notice, *message) = ((*notice).max(said.notice), &t.message_id);
            if t.sent == Some(true) {
                *sent.entry(key).or_default() += 1;
                prop_assert_eq!(sent[&key], 1, "{:?} was sent again though its outcome was known", key);
            }
            if said.event == EventKind::Recovery {
                let told = w.tries[..i].iter().rev().find(|b| {
                    b.sent == Some(true)
                        && b.notifier == t.notifier
                        && b.items.iter().any(|s| {
                            s.incident == said.incident
                                && !s.both
                                && (s.event == EventKind::Fail || (s.event == EventKind::Settled && s.failing))
                        })
                });
                prop_assert!(told.is_some(), "RECOVERY to someone who was not told: {:?}", said);
                let told = told.map(|t| t.has.clone()).unwrap_or_default();
                prop_assert_eq!(&t.audience, &told, "RECOVERY to others than were told: {:?}", said);
            } else if said.event != EventKind::Reminder {
                prop_assert!(t.audience.is_empty());
            }
            if t.split {
                // It goes again in another message.
                ids.remove(&key);
                last.remove(&(t.notifier, said.target));
            }
        }
    }
    // Caps and windows, in time that no clock sets back.
    for n in &w.notifiers {
        let of: Vec<&Try> = w.tries.iter().filter(|t| t.notifier == n.id).collect();
        let fresh: Vec<i64> = of.iter().filter(|t| t.fresh && !t.piece).map(|t| t.real_ms).collect();
        let window = i64::try_from(n.group_window.as_millis()).unwrap();
        prop_assert!(fresh.windows(2).all(|w| w[1] - w[0] >= window), "{}: window {fresh:?}", n.name);
        let rate = n.rate_per_minute as usize;
        let over = of.windows(rate + 1).find(|w| w[rate].real_ms - w[0].real_ms < 60_000);
        prop_assert!(over.is_none(), "{}: more than {} within a minute", n.name, rate);
    }
    Ok(())
}

fn check_calm(w: &World, past: &Past) -> Result<(), TestCaseError> {
    let open: Vec<&Notice> = w
        .saved
        .notices
        .values()
        // A child of a failing parent waits for its end.
        .filter(|n| n.state.is_open() && n.held_by.is_none_or(|i| !w.open.values().any(|open| *open == i)))
        .collect();
    prop_assert!(open.is_empty(), "still open: {open:?}");
    for (i, t) in w.tries.iter().enumerate().filter(|(_, t)| t.sent == Some(true)) {
        for said in t.items.iter().filter(|s| s.event == EventKind::Fail && !s.both) {
            if w.open.values().any(|open| *open == said.incident)
                || past.withdrawn.contains(&said.target)
                || past.toggled.contains(&t.notifier)
            {
                continue;
            }
            let end_told = w.tries[i..].iter().filter(|l| l.notifier == t.notifier && l.sent == Some(true)).any(|l| {
                l.items.iter().any(|s| {
                    (s.event == EventKind::Recovery && s.incident == said.incident)
                        || (s.event == EventKind::Settled && s.target == said.target)
                })
            });
            let gave_up = w.saved.notices.values().any(|n| {
                n.notifier == t.notifier
                    && n.subject == said.target
                    && n.id > said.notice
                    && match n.event {
                        EventKind::Recovery => matches!(n.state, NoticeState::Failed | NoticeState::Expired),
                        // It fails again, and so does its parent: told when that one ends.
                        EventKind::Settled => {
                            matches!(n.state, NoticeState::Failed | NoticeState::Expired | NoticeState::Held)
                        }
                        _ => false,
                    }
            });
            prop_assert!(end_told || gave_up, "never heard of the end of {:?} (notifier {})", said, t.notifier);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn each_is_told_once_and_of_the_end_whatever_breaks_on_the_way(ops in ops()) {
        let (mut w, mut past) = (world(), Past::default());
        play(&mut w, &ops, None, &mut past);
        calm_down(&mut w);
        check_messages(&w)?;
        check_calm(&w, &past)?;
    }

    #[test]
    fn no_notifiers_trouble_changes_another_ones_schedule(ops in ops(), dead in 1i64..5) {
        let (mut well, mut ill) = (world(), world());
        play(&mut well, &ops, None, &mut Past::default());
        play(&mut ill, &ops, Some(dead), &mut Past::default());
        let others = |w: &World| {
            let of = w.tries.iter().filter(|t| t.notifier.0 != dead);
            of.map(|t| {
                let items = t.items.iter().map(|s| (s.incident, s.event, s.number, s.both)).collect::<Vec<_>>();
                (t.real_ms, t.notifier, t.fresh, items)
            })
            .collect::<Vec<_>>()
        };
        prop_assert_eq!(others(&well), others(&ill));
    }

    #[test]
    fn what_was_stored_is_all_there_is(ops in ops()) {
        let mut w = world();
        play(&mut w, &ops, None, &mut Past::default());
        for (_, at) in std::mem::take(&mut w.flying).into_values() {
            w.tries[at].taken = false;
        }
        let mut again = Book::load(w.rules.clone(), w.notifiers.clone(), w.saved.load(), w.now);
        again.take_changes();
        let rows = |b: &Book| {
            let mut rows: Vec<Notice> = b.notices().filter(|n| !n.doomed).cloned().collect();
            rows.sort_by_key(|n| n.id);
            rows
        };
        // A dispatch that was flying may have ended by the restart: only with doomed members.
        let doomed = w.book.notices().any(|n| n.doomed);
        prop_assert!(doomed || rows(&w.book) == rows(&again));
    }
}
