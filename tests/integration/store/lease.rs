use std::time::Duration;

use super::fixture::{NOW, TestDb};
use skypunch::model::time::UtcMs;
use skypunch::store::{LeaseHolder, LeaseOutcome, Store};

const LASTS: Duration = Duration::from_secs(10);

fn holder(host: &str, pid: u32, writer: i64) -> LeaseHolder {
    LeaseHolder { host: host.into(), pid, writer }
}

fn acquire(store: &mut Store, me: &LeaseHolder, at: UtcMs, alive: bool) -> LeaseOutcome {
    store.acquire_lease(me, at, LASTS, |_| alive).unwrap()
}

pub fn a_second_daemon_is_refused(db: &TestDb) {
    let (mut a, mut b) = (db.store(), db.store());
    let first = holder("one", 100, 1);
    assert_eq!(acquire(&mut a, &first, NOW, true), LeaseOutcome::Acquired);
    let until = NOW.plus(LASTS);
    let refused = LeaseOutcome::HeldBy { holder: first.clone(), until };
    assert_eq!(acquire(&mut b, &holder("one", 200, 2), NOW, true), refused);
    assert_eq!(acquire(&mut b, &holder("two", 100, 2), NOW, false), refused, "its pid says nothing about another host");
    assert_eq!(acquire(&mut a, &first, NOW, true), LeaseOutcome::Acquired, "ours again after a lost connection");
}

pub fn a_dead_holder_on_this_host_is_replaced_at_once(db: &TestDb) {
    let mut store = db.store();
    acquire(&mut store, &holder("one", 100, 1), NOW, true);
    let asked = std::cell::Cell::new(0);
    let dead = |pid| {
        asked.set(pid);
        false
    };
    let taken = store.acquire_lease(&holder("one", 200, 2), NOW, LASTS, dead).unwrap();
    assert_eq!((taken, asked.get()), (LeaseOutcome::Acquired, 100));
}

pub fn one_elsewhere_is_replaced_when_its_lease_has_ended(db: &TestDb) {
    let mut store = db.store();
    acquire(&mut store, &holder("one", 100, 1), NOW, true);
    let other = holder("two", 200, 2);
    let just_before = UtcMs(NOW.plus(LASTS).0 - 1);
    assert!(matches!(acquire(&mut store, &other, just_before, false), LeaseOutcome::HeldBy { .. }));
    assert_eq!(acquire(&mut store, &other, NOW.plus(LASTS), false), LeaseOutcome::Acquired);
    let lost = acquire(&mut store, &holder("one", 100, 1), NOW.plus(LASTS), true);
    assert!(matches!(lost, LeaseOutcome::HeldBy { holder, .. } if holder == other), "the first has lost it");
}

pub fn renewing_and_releasing(db: &TestDb) {
    let mut store = db.store();
    let (me, other) = (holder("one", 100, 1), holder("two", 200, 2));
    acquire(&mut store, &me, NOW, true);
    for again in ["renewed", "twice in a millisecond"] {
        assert_eq!(acquire(&mut store, &me, NOW.plus(LASTS), true), LeaseOutcome::Acquired, "{again}");
    }
    assert!(matches!(acquire(&mut store, &other, NOW.plus(LASTS), true), LeaseOutcome::HeldBy { .. }));
    assert!(!store.release_lease(&other).unwrap());
    assert!(store.release_lease(&me).unwrap());
    assert_eq!(acquire(&mut store, &other, NOW, true), LeaseOutcome::Acquired);
}

pub fn of_many_at_once_one_gets_it(db: &TestDb) {
    db.store();
    let start = std::sync::Barrier::new(6);
    let got: Vec<bool> = std::thread::scope(|scope| {
        let one = |writer| {
            let (db, start) = (&db, &start);
            move || {
                let mut store = db.connect();
                start.wait();
                acquire(&mut store, &holder("one", 100, writer), NOW, true) == LeaseOutcome::Acquired
            }
        };
        let all: Vec<_> = (1..=6).map(|w| scope.spawn(one(w))).collect();
        all.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert_eq!(got.iter().filter(|g| **g).count(), 1, "{got:?}");
}
