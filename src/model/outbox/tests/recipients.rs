//! Digests that are refused for what they hold, and messages that some of their recipients have.

use super::*;

/// The sizes of the messages that went out, until nothing is owed any more.
fn pieces(w: &mut World, answer: impl Fn(&Try) -> Attempt) -> Vec<usize> {
    let mut sizes = vec![];
    for _ in 0..10_000 {
        w.step();
        if let Some((_, at)) = w.flying.get(&NotifierId(1)).copied() {
            sizes.push(w.tries[at].items.len());
            let result = answer(&w.tries[at]);
            w.answer(1, &result);
            continue;
        }
        match w.again_at {
            Some(at) => w.pass((at.0 - w.now.0).max(1)),
            None => break,
        }
    }
    sizes
}

fn outage(targets: i64) -> World {
    let mut w = World::new(vec![Notifier { rate_per_minute: 1_000, ..notifier(1) }]);
    (1..=targets).for_each(|t| {
        w.fail(t);
    });
    w
}

fn count(w: &World, state: NoticeState) -> usize {
    w.saved.notices.values().filter(|n| n.state == state).count()
}

#[test]
fn a_digest_that_is_too_large_goes_in_pieces() {
    let mut w = outage(500);
    let sizes = pieces(&mut w, |t| if t.items.len() > 100 { too_large() } else { sent() });
    assert_eq!(sizes[..4], [500, 250, 125, 62]);
    assert_eq!(count(&w, NoticeState::Sent), 500);
    assert!(sizes.len() < 20, "{sizes:?}");
    assert!(w.real_ms < 10_000, "the pieces do not wait for company again: {}", w.real_ms);
}

#[test]
fn one_that_no_server_takes_fails_alone() {
    let mut w = outage(64);
    let sizes =
        pieces(&mut w, |t| if t.items.iter().any(|s| s.target == SubjectId(50)) { too_large() } else { sent() });
    assert_eq!((count(&w, NoticeState::Sent), count(&w, NoticeState::Failed)), (63, 1), "{sizes:?}");
    assert!(sizes.len() < 20, "{sizes:?}");
    let failed = w.saved.notices.values().find(|n| n.state == NoticeState::Failed).unwrap();
    assert!(failed.subject == SubjectId(50) && failed.attempts > 3, "all attempts count: {failed:?}");
}

#[test]
fn a_server_that_takes_nothing_is_not_asked_for_each() {
    let mut w = outage(500);
    let sizes = pieces(&mut w, |_| too_large());
    assert_eq!(sizes, [500, 250, 125, 62, 31, 15, 7, 3, 1, 1, 1, 497]);
    assert_eq!(count(&w, NoticeState::Failed), 500);
    let mut other = outage(500);
    assert_eq!(pieces(&mut other, |_| permanent()), [500], "nor is one that refuses the receiver");
}

#[test]
fn a_failure_whose_digest_was_split_and_its_end_are_one_message() {
    let mut w = outage(4);
    w.pass(5_000);
    w.step();
    w.recover(1);
    w.answer(1, &too_large());
    assert_eq!(pieces(&mut w, |_| sent()), [2, 2]);
    let told = &w.tries[1].items[0];
    assert!(told.both && told.target == SubjectId(1), "{told:?}");
}

#[test]
fn the_recovery_goes_to_those_who_have_the_failure() {
    let mut w = World::new(vec![Notifier { retry_for: Duration::from_mins(1), ..notifier(1) }]);
    let all = w.fail(1);
    w.run(10_000);
    // Of another failure only `a` hears: `b` is put off until it is too late.
    w.pass(60_000);
    let some = w.fail(2);
    w.pass(5_000);
    w.step();
    w.answer_some(1, &transient(), &["a"], &[]);
    w.recover(2);
    assert_eq!(w.state(some, 1, EventKind::Recovery), Some(NoticeState::Owed), "a message of its own");
    w.restart(false);
    let progress = &w.book.dispatches.values().next().unwrap().progress;
    assert_eq!(progress.has, ["a"], "who has it is not forgotten over a crash");
    while w.state(some, 1, EventKind::Fail) == Some(NoticeState::Sending) {
        w.pass(10_000);
        w.step();
        w.answer(1, &transient());
    }
    assert_eq!(w.state(some, 1, EventKind::Fail), Some(NoticeState::Sent));
    w.recover(1);
    w.run(200_000);
    let told = w.tries.iter().filter(|t| t.items[0].event == EventKind::Recovery);
    let told: Vec<(i64, &[String])> = told.map(|t| (t.items[0].incident, t.audience.as_slice())).collect();
    assert_eq!(told, [(some, &["a".to_owned()][..]), (all, &[])], "two messages, for they go to different people");
}

#[test]
fn one_that_some_have_is_sent_however_it_is_refused_for_the_others() {
    let mut w = World::new(vec![notifier(1)]);
    let incident = w.fail(1);
    w.pass(5_000);
    w.step();
    w.answer_some(1, &transient(), &["a"], &[]);
    w.pass(5_000);
    w.step();
    w.answer(1, &permanent());
    assert_eq!(w.state(incident, 1, EventKind::Fail), Some(NoticeState::Sent));
    let notice = w.saved.notices.values().next().unwrap();
    assert!(notice.answer.as_deref().unwrap().ends_with("not for the others: 550 no such user"), "{notice:?}");
}

#[test]
fn what_an_answer_left_behind_survives_a_crash() {
    let mut w = World::new(vec![notifier(1)]);
    w.fail(1);
    w.pass(5_000);
    w.step();
    let (dispatch, _) = w.flying[&NotifierId(1)];
    assert_eq!(w.book.saved(dispatch), []);
    let saved = vec![("thread".to_owned(), "12.5".to_owned())];
    let progress = Progress { saved: saved.clone(), ..Progress::default() };
    w.book.attempted(w.now, dispatch, &sent(), progress, 7);
    w.flying.clear();
    w.store();
    w.restart(false);
    w.recover(1);
    w.pass(60_000);
    w.step();
    let (dispatch, _) = w.flying[&NotifierId(1)];
    assert_eq!(w.book.saved(dispatch), saved);
}
