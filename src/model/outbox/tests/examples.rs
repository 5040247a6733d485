//! The sentences of the rules, one test each.

use super::*;
use crate::model::message::MessageKind;
use crate::model::reason::Verdict;

pub(super) fn kinds(messages: &[Message]) -> Vec<MessageKind> {
    messages.iter().map(|m| m.kind).collect()
}

pub(super) fn events_of(w: &World) -> Vec<(i64, EventKind)> {
    w.tries.iter().flat_map(|t| t.items.iter().map(|s| (s.target.0, s.event))).collect()
}

#[test]
fn what_the_egress_policy_kept_back_goes_out_when_it_changes_and_nothing_else_does() {
    let mut w = World::new(vec![notifier(1), notifier(2)]);
    w.fail(1);
    w.pass(5_000);
    w.step();
    let denied = Attempt::Transient {
        why: "connecting to x: denied by private (10.0.0.0/8) in [egress] deny; if".into(),
        after: None,
    };
    for _ in 0..6 {
        w.answer(1, &denied);
        w.answer(2, &transient());
        w.pass(60_000);
        w.step();
    }
    w.answer(1, &denied);
    w.answer(2, &transient());
    w.pass(1);
    assert_eq!(w.step().len(), 0, "both wait");
    let tried = w.tries.len();
    w.book.retry_denied(w.now);
    w.store();
    assert_eq!(w.step().len(), 1);
    assert_eq!((w.tries.len(), w.tries[tried].notifier), (tried + 1, NotifierId(1)));
}

#[test]
fn fail_and_recovery_are_told_once_each_and_thread() {
    let mut w = World::new(vec![notifier(1)]);
    let incident = w.fail(1);
    assert_eq!(w.run(4_999), [], "waits for company");
    let fail = w.run(2);
    assert_eq!(kinds(&fail), [MessageKind::Fail]);
    assert_eq!((fail[0].late_ms, fail[0].references.len()), (0, 0));
    w.pass(60_000);
    w.recover(1);
    let recovery = w.run(10_000);
    assert_eq!(kinds(&recovery), [MessageKind::Recovery]);
    assert_eq!(recovery[0].references, [fail[0].message_id.clone()]);
    assert_eq!(recovery[0].items[0].incident_id, incident.to_string());
    assert_eq!(w.run(1_000_000), []);
    assert_eq!(w.saved.done.len(), 2, "and forgotten, once nothing refers to them");
}

#[test]
fn a_failure_not_yet_attempted_and_its_recovery_are_one_message_that_says_both() {
    let mut w = World::new(vec![notifier(1)]);
    w.fail(1);
    w.pass(2_000);
    w.recover(1);
    let both = w.run(100_000);
    assert_eq!(kinds(&both), [MessageKind::Both]);
    assert!(both[0].items[0].recovered_unseen);
    assert_eq!(both[0].items[0].ended_at, Some(UtcMs(START.0 + 2_000)));
}

#[test]
fn a_recovery_during_the_attempt_waits_and_is_merged_if_the_failure_did_not_arrive() {
    let mut w = World::new(vec![notifier(1)]);
    let incident = w.fail(1);
    w.pass(5_000);
    assert_eq!(kinds(&w.step()), [MessageKind::Fail]);
    w.recover(1);
    assert_eq!(w.state(incident, 1, EventKind::Recovery), Some(NoticeState::Owed));
    w.answer(1, &transient());
    assert_eq!(w.state(incident, 1, EventKind::Recovery), Some(NoticeState::Merged));
    assert_eq!(kinds(&w.run(100_000)), [MessageKind::Both]);
    assert_eq!(w.tries[0].message_id, w.tries[1].message_id);
}

#[test]
fn after_a_crash_during_the_attempt_the_same_message_goes_again_and_the_recovery_once_after() {
    let mut w = World::new(vec![notifier(1)]);
    w.fail(1);
    w.pass(5_000);
    w.step();
    w.recover(1);
    w.restart(true);
    let told = w.run(100_000);
    assert_eq!(kinds(&told), [MessageKind::Fail, MessageKind::Recovery]);
    assert_eq!(told[0].message_id, w.tries[0].message_id);
}

#[test]
fn what_may_have_arrived_is_never_reworded_and_its_recovery_stays_a_message_of_its_own() {
    let mut w = World::new(vec![notifier(1)]);
    let incident = w.fail(1);
    w.pass(5_000);
    w.step();
    w.restart(true);
    assert_eq!(kinds(&w.step()), [MessageKind::Fail]);
    w.answer(1, &transient());
    w.recover(1);
    assert_eq!(w.state(incident, 1, EventKind::Recovery), Some(NoticeState::Owed));
    assert_eq!(kinds(&w.run(100_000)), [MessageKind::Fail, MessageKind::Recovery]);
}

#[test]
fn what_got_no_answer_is_not_reworded_even_when_a_later_attempt_is_refused() {
    for before in [true, false] {
        let mut w = World::new(vec![notifier(1)]);
        let incident = w.fail(1);
        w.pass(5_000);
        w.step();
        if before {
            w.recover(1);
        }
        let (dispatch, _) = w.flying.remove(&NotifierId(1)).unwrap();
        let progress = Progress { unanswered: true, ..Progress::default() };
        w.book.attempted(w.now, dispatch, &transient(), progress, 7);
        w.store();
        w.restart(false);
        w.pass(5_000);
        assert_eq!(kinds(&w.step()), [MessageKind::Fail]);
        w.answer(1, &transient());
        if !before {
            w.recover(1);
        }
        assert_eq!(w.state(incident, 1, EventKind::Recovery), Some(NoticeState::Owed));
        assert_eq!(kinds(&w.run(100_000)), [MessageKind::Fail, MessageKind::Recovery]);
    }
}

#[test]
fn a_failure_that_failed_for_good_has_no_recovery() {
    let mut w = World::new(vec![notifier(1)]);
    let incident = w.fail(1);
    w.pass(5_000);
    w.step();
    w.answer(1, &permanent());
    w.recover(1);
    assert_eq!(w.run(100_000), []);
    assert_eq!(w.state(incident, 1, EventKind::Fail), Some(NoticeState::Failed));
}

#[test]
fn a_withdrawn_incident_is_told_to_nobody() {
    let mut w = World::new(vec![notifier(1)]);
    let incident = w.fail(1);
    w.withdraw(1);
    assert_eq!(w.run(100_000), []);
    assert_eq!(w.state(incident, 1, EventKind::Fail), Some(NoticeState::Cancelled));
}

#[test]
fn what_is_owed_to_a_disabled_notifier_is_cancelled_and_the_other_one_is_told() {
    let mut w = World::new(vec![notifier(1), notifier(2)]);
    let incident = w.fail(1);
    w.notifiers[0].enabled = false;
    w.set_notifiers();
    let told = w.run(100_000);
    assert_eq!(told.iter().map(|m| m.notifier.as_str()).collect::<Vec<_>>(), ["n2"]);
    assert_eq!(w.state(incident, 1, EventKind::Fail), Some(NoticeState::Cancelled));
}

#[test]
fn filters_choose_by_tag_tenant_name_and_event() {
    let target =
        Matched { id: SubjectId(1), name: "web-1".into(), tenant: "a".into(), tags: vec!["eu".into()], users: vec![] };
    let with = |tenant: &str, filter: Filter| Notifier { tenant: tenant.into(), filter, ..notifier(1) };
    let all = Filter::default();
    let tags = |t: &str| Filter { tags: vec!["x".into(), t.into()], ..Filter::default() };
    let of = |t: &str| Filter { tenant: Some(t.into()), ..Filter::default() };
    let name = |p: &str| Filter { name: Some(p.into()), ..Filter::default() };
    let events = |e| Filter { events: Some(vec![e]), ..Filter::default() };
    for (n, told) in [
        (with("0", all.clone()), true),
        (with("a", all.clone()), true),
        (with("b", all.clone()), false),
        (with("0", tags("eu")), true),
        (with("0", tags("us")), false),
        (with("0", of("a")), true),
        (with("0", of("b")), false),
        (with("0", name("web-?")), true),
        (with("0", name("api-*")), false),
        (with("0", events(EventKind::Fail)), true),
        (with("0", events(EventKind::Recovery)), false),
        (Notifier { enabled: false, ..with("0", all) }, false),
    ] {
        assert_eq!(route([&n], &target, EventKind::Fail).count() == 1, told, "{:?}", n.filter);
    }
}

#[test]
fn an_outage_is_one_digest_and_what_follows_within_the_window_another() {
    let mut w = World::new(vec![notifier(1)]);
    for t in 0..500 {
        w.fail(t);
    }
    let first = w.run(5_000);
    assert_eq!((kinds(&first), first[0].items.len()), (vec![MessageKind::Digest], 500));
    (0..400).for_each(|t| w.recover(t));
    assert_eq!(w.run(29_000), []);
    let second = w.run(1_000);
    assert_eq!((second[0].items.len(), &second[0].references), (400, &vec![first[0].message_id.clone()]));
}

#[test]
fn a_message_that_is_always_put_off_does_not_block_the_others() {
    let mut w = World::new(vec![Notifier { group_wait: Duration::ZERO, group_window: Duration::ZERO, ..notifier(1) }]);
    let bad: Vec<i64> = (1..=3)
        .map(|t| {
            let i = w.fail(t);
            w.step();
            w.answer(1, &transient());
            i
        })
        .collect();
    let good = w.fail(9);
    for _ in 0..400 {
        let is_good = |s: &Said| s.incident == good;
        w.step();
        if let Some((_, at)) = w.flying.values().next().copied() {
            let good_one = w.tries[at].items.iter().any(is_good);
            w.answer(1, &if good_one { sent() } else { transient() });
        }
        w.pass(2_000);
    }
    assert_eq!(w.state(good, 1, EventKind::Fail), Some(NoticeState::Sent));
    assert!(bad.iter().any(|i| w.state(*i, 1, EventKind::Fail) == Some(NoticeState::Sending)));
}

#[test]
fn what_is_too_old_expires_and_retry_after_is_honoured_until_then() {
    let mut w = World::new(vec![Notifier { retry_for: Duration::from_mins(20), ..notifier(1) }]);
    let incident = w.fail(1);
    w.pass(5_000);
    w.step();
    let hour = Some(Duration::from_hours(1));
    w.answer(1, &Attempt::Transient { why: "429".into(), after: hour });
    assert_eq!(w.step(), []);
    assert_eq!(w.again_at, Some(UtcMs(START.0 + 1_200_000)), "its last try, when it expires");
    w.pass(1_195_000);
    assert_eq!(w.step()[0].late_ms, 1_195_000);
    w.answer(1, &transient());
    assert_eq!(w.state(incident, 1, EventKind::Fail), Some(NoticeState::Expired));
    w.recover(1);
    assert_eq!(w.run(100_000), [], "nobody was told of the failure");
}

#[test]
fn what_is_in_retry_goes_at_once_to_a_notifier_that_leads_elsewhere_now() {
    let mut w = World::new(vec![notifier(1), notifier(2)]);
    w.fail(1);
    w.pass(5_000);
    w.step();
    let hour = Some(Duration::from_hours(1));
    for n in [1, 2] {
        w.answer(n, &Attempt::Transient { why: "429".into(), after: hour });
    }
    w.notifiers[0].name = "renamed".into();
    w.set_notifiers();
    assert_eq!(w.step(), [], "a name leads nowhere");
    w.notifiers[0].address = "ops@example.net".into();
    w.set_notifiers();
    assert_eq!(w.step().iter().map(|m| m.notifier.as_str()).collect::<Vec<_>>(), ["renamed"]);
}

#[test]
fn reminders_come_with_growing_gaps_while_it_fails_and_never_two_at_a_time() {
    let mut w = World::new(vec![Notifier { remind: Some(Duration::from_hours(1)), ..notifier(1) }]);
    w.fail(1);
    assert_eq!(kinds(&w.run(3_500_000)), [MessageKind::Fail]);
    let reminders = w.run(7 * 3_600_000);
    assert_eq!(reminders.iter().map(|m| m.items[0].number).collect::<Vec<_>>(), [1, 2, 3], "after 1, 3 and 7 hours");
    assert_eq!(reminders[2].references.len(), 3);
    w.recover(1);
    assert_eq!(kinds(&w.run(100_000_000)), [MessageKind::Recovery]);
    let gaps: Vec<u64> = (0..7).map(|n| remind_gap(Duration::from_hours(1), n).as_secs() / 3_600).collect();
    assert_eq!(gaps, [1, 2, 4, 8, 16, 24, 24]);
}

#[test]
fn children_of_a_failing_parent_are_listed_in_its_message() {
    let mut w = World::new(vec![notifier(1)]);
    w.parents = HashMap::from([(2, 1), (3, 1)]);
    let child = w.fail(2);
    let parent = w.fail(1);
    w.fail(3);
    w.pass(5_000);
    w.step();
    assert_eq!(events_of(&w), [(1, EventKind::Fail)]);
    let (dispatch, _) = w.flying[&NotifierId(1)];
    let contents = w.book.contents(dispatch).unwrap();
    let facts = contents.events.iter().map(|e| {
        let name = w.events[*e as usize - 1].target.name.clone();
        (*e, crate::model::message::TargetFacts { name, ..Default::default() })
    });
    let known = Known { facts: facts.collect(), ..Known::default() };
    let message = w.book.message(dispatch, &contents, &known, w.now).unwrap();
    assert_eq!(message.items[0].children, ["t2", "t3"]);
    w.answer(1, &sent());
    w.recover(3);
    w.pass(100_000);
    w.recover(1);
    let after = w.run(100_000);
    assert_eq!(events_of(&w)[1..], [(2, EventKind::Fail), (1, EventKind::Recovery)], "one digest: {after:?}");
    assert_eq!(w.state(child, 1, EventKind::Fail), Some(NoticeState::Sent));
    assert_eq!(w.state(parent, 1, EventKind::Recovery), Some(NoticeState::Sent));
}

#[test]
fn a_child_goes_out_when_its_parent_passes_or_says_nothing_in_time() {
    let mut w = World::new(vec![notifier(1)]);
    w.parents = HashMap::from([(2, 1)]);
    w.fail(2);
    assert_eq!(w.run(6_000), [], "held");
    w.book.parent_seen(w.now, SubjectId(1), UtcMs(START.0 - 1), Verdict::Pass);
    assert_eq!(w.run(6_000), [], "that probe started before");
    w.book.parent_seen(w.now, SubjectId(1), w.now, Verdict::Pass);
    assert_eq!(kinds(&w.run(6_000)), [MessageKind::Fail]);
    w.recover(2);
    w.run(100_000);
    w.fail(2);
    assert_eq!(w.run(34_999), []);
    assert_eq!(kinds(&w.run(2)), [MessageKind::Fail], "limit and group wait");
}

#[test]
fn a_child_is_told_to_whoever_is_not_told_of_the_parent() {
    let even = Filter { tags: vec!["even".into()], ..Filter::default() };
    let mut w = World::new(vec![Notifier { filter: even, ..notifier(1) }]);
    w.parents = HashMap::from([(2, 1)]);
    w.fail(1);
    w.fail(2);
    w.run(10_000);
    assert_eq!(events_of(&w), [(2, EventKind::Fail)]);
}

#[test]
fn targets_that_are_each_others_parent_do_not_silence_each_other() {
    let mut w = World::new(vec![notifier(1)]);
    w.parents = HashMap::from([(1, 2), (2, 3), (3, 1), (4, 4)]);
    for t in 1..=4 {
        w.fail(t);
    }
    w.run(40_000);
    let told = events_of(&w);
    assert!(told.contains(&(4, EventKind::Fail)) && told.len() >= 2, "{told:?}");
    (1..=4).for_each(|t| w.recover(t));
    w.run(200_000);
    assert!(w.saved.notices.values().all(|n| n.state.is_final()));
}

#[test]
fn plans_move_back_with_a_clock_that_is_set_back() {
    let mut w = World::new(vec![notifier(1)]);
    w.fail(1);
    w.pass(1_000);
    w.step();
    w.now.0 -= 86_400_000;
    assert_eq!(w.run(3_999), []);
    assert_eq!(kinds(&w.run(2)), [MessageKind::Fail]);
    assert_eq!(w.tries[0].real_ms, 5_000);
}

#[test]
fn a_notifier_that_may_not_tell_more_often_is_named_once_until_nothing_waits() {
    let hasty = Notifier { group_wait: Duration::ZERO, group_window: Duration::ZERO, ..notifier(1) };
    let mut w = World::new(vec![Notifier { rate_per_minute: 2, ..hasty }]);
    for burst in 1..=2 {
        let from = w.now;
        for target in 1..=4 {
            w.fail(100 * burst + target);
            w.run(1_000);
        }
        let until = from.plus(Duration::from_secs(61));
        assert_eq!(w.capped, [(NotifierId(1), until)], "two went out, the third and the fourth wait");
        assert_eq!(w.run(60_000).len(), 1, "both together");
        w.run(120_000);
        assert_eq!(w.capped.len(), 1, "and nothing was said again");
        w.capped.clear();
    }
}

#[test]
fn a_lone_message_that_waits_for_the_rate_is_named_and_a_long_wait_is_named_once() {
    let mut w = World::new(vec![Notifier { rate_per_minute: 1, group_window: Duration::ZERO, ..notifier(1) }]);
    w.fail(1);
    w.run(10_000);
    assert_eq!((w.tries.len(), w.capped.len()), (1, 0));
    w.fail(2);
    w.run(20_000);
    assert_eq!((w.tries.len(), w.capped.len()), (1, 1), "nothing else happened meanwhile");
    for target in 3..300 {
        w.fail(target);
        w.run(1_000);
    }
    assert_eq!((w.tries.len() > 4, w.capped.len()), (true, 1));
}
