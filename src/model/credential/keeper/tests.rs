use super::*;
use proptest::prelude::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pass(u64, Duration);

impl Held for Pass {
    fn serial(&self) -> u64 {
        self.0
    }
    fn lifetime(&self) -> Duration {
        self.1
    }
}

type K = Keeper<Pass, &'static str>;

const A: TargetId = TargetId(1);
const B: TargetId = TargetId(2);

fn at(seconds: u64) -> Mono {
    Mono(seconds * 1_000_000)
}

fn token(serial: u64) -> Pass {
    Pass(serial, Duration::from_secs(3600))
}

fn with_token() -> K {
    let mut k = K::new(7);
    assert_eq!(k.ask(at(0), A, None), Answer::Wait);
    assert!(k.wake(at(0)));
    k.logged_in(at(0), token(1));
    k
}

#[test]
fn what_failed_for_a_reason_that_is_gone_is_tried_at_once() {
    let mut k = K::new(7);
    assert_eq!(k.ask(at(0), A, None), Answer::Wait);
    assert!(k.wake(at(0)));
    k.login_failed(at(0), Reason::EgressDenied, "denied", None);
    k.login_failed(at(0), Reason::EgressDenied, "denied", None);
    assert!(!k.wake(at(1)));
    k.try_now(at(1));
    assert!(k.wake(at(1)) && !k.wake(at(1)), "once");
}

#[test]
fn one_login_whoever_asks() {
    let mut k = K::new(7);
    assert!(!k.wake(at(0)), "nobody has asked");
    assert_eq!(k.ask(at(0), A, None), Answer::Wait);
    assert_eq!(k.ask(at(0), B, None), Answer::Wait);
    assert!(k.wake(at(0)));
    assert!(!k.wake(at(0)));
    k.logged_in(at(0), token(1));
    assert_eq!(k.ask(at(1), B, None), Answer::AtHand(token(1)));
}

#[test]
fn renewed_before_it_expires_if_it_is_used() {
    let mut k = with_token();
    let renew = k.next_wake(at(1)).unwrap();
    assert!(renew <= at(3480) && renew >= at(3450), "{renew:?}");
    assert!(!k.wake(at(3600)), "not used: it may lapse");
    let mut k = with_token();
    assert_eq!(k.ask(at(10), A, None), Answer::AtHand(token(1)));
    assert!(!k.wake(at(3000)));
    assert!(k.wake(renew));
    assert_eq!(k.ask(renew, A, None), Answer::AtHand(token(1)), "goes on meanwhile");
    assert!(!k.login_failed(renew, Reason::IdentityUnreachable, "down", None), "the old one still holds");
    assert_eq!(k.ask(at(3594), A, None), Answer::AtHand(token(1)));
    assert_eq!(k.ask(at(3596), A, None), Answer::Wait, "it expires in a moment, and a try is due");
    assert!(k.wake(at(3596)));
    assert!(k.login_failed(at(3597), Reason::IdentityUnreachable, "still down", None));
    assert_eq!(k.ask(at(3597), A, None), Answer::Failed("still down"));
}

#[test]
fn fifty_refusals_of_one_token_cost_one_login() {
    let mut k = with_token();
    let mut logins = 0;
    for n in 0..50 {
        assert_eq!(k.ask(at(10), TargetId(n), Some(1)), Answer::Wait);
        logins += u32::from(k.wake(at(10)));
    }
    k.logged_in(at(10), token(2));
    for n in 50..100 {
        assert_eq!(k.ask(at(10), TargetId(n), Some(1)), Answer::AtHand(token(2)), "late refusals of the old one");
        logins += u32::from(k.wake(at(10)));
    }
    assert_eq!(logins, 1);
}

#[test]
fn a_service_that_refuses_everything_costs_a_login_now_and_then() {
    let mut k = with_token();
    let (mut serial, mut logins) = (1, 0);
    for second in 10..1000 {
        if k.ask(at(second), A, Some(serial)) == Answer::Wait {
            assert!(k.wake(at(second)));
            logins += 1;
            serial += 1;
            k.logged_in(at(second), token(serial));
        }
    }
    assert!((3..=7).contains(&logins), "{logins}");
    assert_eq!(k.ask(at(1000), B, Some(serial)), Answer::Wait, "another target's refusal is news");
}

#[test]
fn a_doubted_catalog_is_fetched_once_for_all_and_for_each_now_and_then() {
    let mut k = with_token();
    assert!(k.doubt_catalog(at(10), A) && k.wake(at(10)));
    assert_eq!(k.ask(at(10), A, None), Answer::AtHand(token(1)), "in use until there is another");
    k.logged_in(at(10), token(2));
    assert!(!k.doubt_catalog(at(11), A), "it has just had its login");
    assert!(!k.doubt_catalog(at(12), B), "served by the same");
    assert!(!k.doubt_catalog(at(21), B), "for a moment");
    assert!(k.doubt_catalog(at(22), B), "and keeps nobody from being found again");
    let often: Vec<u64> = (30..5000).filter(|s| k.doubt_catalog(at(*s), A)).collect();
    assert_eq!(often, [50, 90, 170, 330, 650, 1250, 1850, 2450, 3050, 3650, 4250, 4850], "never found, seldom fetched");
    let seldom: Vec<u64> = (5000..20_000).step_by(300).filter(|s| k.doubt_catalog(at(*s), B)).collect();
    assert!(seldom.len() < 30, "{seldom:?}");
    k.discard();
    assert!(!k.doubt_catalog(at(30_000), A), "the next one comes with a login anyway");
}

#[test]
fn a_login_without_what_somebody_needs_is_followed_by_another() {
    let mut k = K::new(7);
    assert_eq!(k.ask(at(0), A, None), Answer::Wait);
    assert!(k.wake(at(0)));
    assert_eq!(k.ask(at(0), B, None), Answer::Wait);
    k.logged_in(at(0), token(1));
    k.insufficient();
    assert_eq!(k.ask(at(1), A, None), Answer::Wait);
    assert!(k.wake(at(1)));
}

#[test]
fn another_definition_is_logged_in_with_at_once_and_none_is_not() {
    for (again, login) in [(true, true), (false, false)] {
        let mut k = K::new(7);
        assert_eq!(k.ask(at(0), A, None), Answer::Wait);
        assert!(k.wake(at(0)));
        k.login_failed(at(0), Reason::IdentityRejected, "no", None);
        assert!(!k.wake(at(1)));
        k.reset(again);
        assert_eq!(k.wake(at(1)), login);
    }
    let mut k = with_token();
    k.reset(true);
    assert!(!k.wake(at(1)), "nobody asks");
}

#[test]
fn notes_of_targets_that_ask_no_more_are_thrown_away() {
    let mut k = with_token();
    for i in 0..20_000 {
        k.doubt_catalog(at(i), TargetId(i64::try_from(i).unwrap()));
    }
    assert!(k.doubts.len() <= 3601, "{}", k.doubts.len());
}

#[test]
fn backoff_is_short_when_nobody_answers_and_long_when_refused() {
    for (reason, first, longest) in [(Reason::IdentityUnreachable, 1, 30), (Reason::IdentityRejected, 30, 900)] {
        let mut k = K::new(1);
        assert_eq!(k.ask(at(0), A, None), Answer::Wait);
        assert!(k.wake(at(0)));
        assert!(k.login_failed(at(0), reason, "no", None));
        assert_eq!(k.next_wake(at(0)), Some(at(first)));
        let mut now = at(0);
        for _ in 0..20 {
            assert_eq!(k.ask(now, A, None), Answer::Failed("no"));
            let next = k.next_wake(now).unwrap();
            assert!(!k.wake(Mono(next.0 - 1)), "whoever asks does not hurry it");
            now = next;
            assert!(k.wake(now));
            assert_eq!(k.ask(now, A, None), Answer::Failed("no"), "nobody waits for what has failed before");
            k.login_failed(now, reason, "no", None);
            assert!(k.next_wake(now).unwrap().since(now) <= Duration::from_secs(longest));
        }
        assert_eq!(k.next_wake(now).unwrap().since(now), Duration::from_secs(longest));
    }
    let mut k = K::new(1);
    let _wait = k.ask(at(0), A, None);
    assert!(k.wake(at(0)));
    k.login_failed(at(0), Reason::IdentityUnreachable, "429", Some(Duration::from_secs(120)));
    assert_eq!(k.next_wake(at(0)), Some(at(120)), "Retry-After");
}

proptest! {
    /// Whatever happens: a token is given only within its life, never two logins at once, and a login that is due
    /// is found by `next_wake` or by asking.
    #[test]
    fn holds_in_all_histories(steps in proptest::collection::vec((0_u8..5, 0_u64..40, 1_u64..100), 1..200)) {
        let mut k = K::new(3);
        let (mut now, mut serial, mut running, mut issued) = (0, 0, None, HashMap::new());
        for (what, wait, life) in steps {
            now += wait;
            match what {
                0 | 1 => {
                    let refused = (what == 1).then_some(serial);
                    match k.ask(at(now), A, refused) {
                        Answer::AtHand(t) => {
                            let (from, life): (u64, u64) = issued[&t.0];
                            prop_assert!(now < from + life);
                        }
                        Answer::Wait => {
                            let starts = k.wake(at(now));
                            prop_assert!(starts != running.is_some());
                            running = running.or(Some(now));
                        }
                        Answer::Failed(_) => {
                            prop_assert!(running.is_some() || k.next_wake(at(now)).is_some());
                        }
                    }
                }
                2 => {
                    if k.wake(at(now)) {
                        prop_assert!(running.is_none());
                        running = Some(now);
                    }
                }
                3 => if let Some(started) = running.take() {
                    serial += 1;
                    issued.insert(serial, (started, life));
                    k.logged_in(at(started), Pass(serial, Duration::from_secs(life)));
                },
                _ => if running.take().is_some() {
                    k.login_failed(at(now), Reason::IdentityUnreachable, "no", None);
                },
            }
            prop_assert_eq!(k.is_logging_in(), running.is_some());
        }
    }
}
