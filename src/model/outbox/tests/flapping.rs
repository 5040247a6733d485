//! Flap damping, one test each sentence.

use std::collections::BTreeSet;

use super::examples::kinds;
use super::*;
use crate::model::message::MessageKind;

/// Seven transitions, 20 s apart: the seventh makes it flap, failing.
fn flap(w: &mut World) -> Vec<Message> {
    let mut told = vec![];
    for i in 0..7 {
        if i % 2 == 0 {
            w.fail(1);
        } else {
            w.recover(1);
        }
        told.extend(w.run(20_000));
    }
    told
}

#[test]
fn a_target_that_changes_too_often_is_one_flapping_and_one_settled() {
    let mut w = World::new(vec![Notifier { group_window: Duration::from_secs(10), ..notifier(1) }]);
    let told = flap(&mut w);
    assert_eq!(kinds(&told[6..]), [MessageKind::Flapping]);
    assert_eq!(told[6].items[0].changes, 7);
    for _ in 0..10 {
        w.recover(1);
        assert_eq!(w.run(100_000), []);
        w.restart(false);
        w.fail(1);
        assert_eq!(w.run(100_000), []);
    }
    let settled = w.run(600_000);
    assert_eq!((kinds(&settled), settled[0].items[0].status.as_str()), (vec![MessageKind::Settled], "FAIL"));
    assert_eq!(settled[0].references.len(), 1, "the FLAPPING");
    w.recover(1);
    assert_eq!(kinds(&w.run(700_000)), [MessageKind::Recovery], "they were told that it fails");
}

#[test]
fn it_is_told_where_it_settled_even_if_flapping_was_refused() {
    let mut w = World::new(vec![Notifier { group_wait: Duration::from_secs(30), ..notifier(1) }]);
    flap(&mut w);
    while w.flying.is_empty() {
        w.step();
        w.pass(1_000);
    }
    assert_eq!(w.tries.last().unwrap().items.last().unwrap().event, EventKind::Flapping);
    w.answer(1, &permanent());
    assert_eq!(kinds(&w.run(800_000)), [MessageKind::Settled]);
}

#[test]
fn a_target_that_settled_in_pass_owes_nothing_more() {
    let mut w = World::new(vec![notifier(1)]);
    flap(&mut w);
    w.recover(1);
    let settled = w.run(800_000);
    let last = settled.last().unwrap();
    assert_eq!((last.kind, last.items[0].status.as_str()), (MessageKind::Settled, "PASS"));
    assert_eq!(w.run(10_000_000), []);
}

#[test]
fn a_target_that_flaps_and_is_gone_does_not_settle() {
    let mut w = World::new(vec![notifier(1)]);
    flap(&mut w);
    let incident = w.open[&1];
    w.recover(1);
    assert_eq!(w.book.flapping().collect::<Vec<_>>(), [SubjectId(1)]);
    w.book.target_gone(w.now, SubjectId(1));
    w.store();
    assert_eq!(w.book.flapping().count(), 0);
    assert_eq!(w.run(10_000_000), [], "no SETTLED, and no RECOVERY of {incident}");
    assert!(w.saved.notices.values().all(|n| n.state.is_final()));
}

#[test]
fn what_flapping_opened_is_ended_under_the_same_id_whatever_incidents_came_between() {
    let window = 600_000;
    for stays in [false, true] {
        let mut w = World::new(vec![notifier(1)]);
        let mut told = Vec::new();
        let mut incidents = BTreeSet::new();
        for _ in 0..6 {
            incidents.insert(w.fail(1));
            told.extend(w.run(40_000));
            w.recover(1);
            told.extend(w.run(40_000));
        }
        if stays {
            incidents.insert(w.fail(1));
        }
        told.extend(w.run(window + 60_000));
        if stays {
            assert_eq!(w.state(*incidents.last().unwrap(), 1, EventKind::Settled), Some(NoticeState::Sent));
            w.restart(false);
            w.recover(1);
            told.extend(w.run(60_000));
        }
        // A receiver that keeps incidents: what is open at the end.
        let mut open = BTreeSet::new();
        for item in told.iter().flat_map(|m| &m.items) {
            let is_open = match item.event {
                EventKind::Fail => !item.recovered_unseen,
                EventKind::Settled => item.status != "PASS",
                EventKind::Recovery => false,
                _ => true,
            };
            match is_open {
                true => assert!(open.insert(item.alert_id.clone()) || item.event != EventKind::Fail),
                false => assert!(open.remove(&item.alert_id) || item.recovered_unseen, "{item:#?}"),
            }
        }
        assert!(kinds(&told).contains(&MessageKind::Flapping) && kinds(&told).contains(&MessageKind::Settled));
        assert!(open.is_empty(), "{open:?} of {:?}", kinds(&told));
        assert!(incidents.len() > 5);
    }
}

#[test]
fn who_does_not_want_flapping_to_be_told_hears_of_each_change() {
    let filter = Filter { events: Some(vec![EventKind::Fail, EventKind::Recovery]), ..Filter::default() };
    let mut w = World::new(vec![Notifier { filter, group_window: Duration::ZERO, ..notifier(1) }]);
    assert_eq!(flap(&mut w).len(), 7);
}
