use super::fixture::{NOW, TestDb, ended, id, incident, opened};
use skypunch::model::incident::{End, Incident};
use skypunch::model::record::{Batch, IncidentChange};
use skypunch::model::target::TargetId;
use skypunch::model::time::UtcMs;
use skypunch::store::{IncidentFilter, Store};

fn write(store: &mut Store, number: i64, incidents: Vec<IncidentChange>) {
    store.write_batch(&Batch { writer: 1, number, incidents, ..Batch::default() }).unwrap();
}

fn later(ms: i64) -> UtcMs {
    UtcMs(NOW.0 + ms)
}

pub fn opened_and_ended(db: &TestDb) {
    let mut store = db.store();
    let expected = incident(id(1), 7);
    write(&mut store, 1, vec![opened(id(1), 7)]);
    assert_eq!(store.incident(id(1)).unwrap(), Some(expected.clone()));
    write(&mut store, 2, vec![ended(id(1), later(5), End::Recovered)]);
    let expected = Incident { ended_at: Some(later(5)), ended_by: Some(End::Recovered), ..expected };
    assert_eq!(store.incident(id(1)).unwrap(), Some(expected));
    assert_eq!(store.incident(id(2)).unwrap(), None);
    assert_eq!(db.number("SELECT node FROM incidents"), 5);
}

pub fn opened_and_ended_in_one_batch(db: &TestDb) {
    let mut store = db.store();
    write(&mut store, 1, vec![opened(id(1), 7), ended(id(1), later(1), End::Recovered), opened(id(2), 7)]);
    assert_eq!(store.incident(id(1)).unwrap().unwrap().ended_at, Some(later(1)));
    assert_eq!(store.incident(id(2)).unwrap().unwrap().ended_at, None);
}

pub fn an_end_is_never_overwritten(db: &TestDb) {
    let mut store = db.store();
    write(&mut store, 1, vec![opened(id(1), 7), ended(id(1), later(1), End::Withdrawn)]);
    write(&mut store, 2, vec![opened(id(1), 7), ended(id(1), later(9), End::Recovered)]);
    write(&mut store, 3, vec![ended(4711, later(9), End::Recovered)]);
    let kept = store.incident(id(1)).unwrap().unwrap();
    assert_eq!((kept.ended_at, kept.ended_by), (Some(later(1)), Some(End::Withdrawn)));
    assert_eq!(db.number("SELECT COUNT(*) FROM incidents"), 1);
}

pub fn filters_combine(db: &TestDb) {
    let mut store = db.store();
    let changes = vec![opened(id(1), 7), opened(id(2), 8), opened(id(3), 7), ended(id(1), later(100), End::Recovered)];
    write(&mut store, 1, changes);
    let mut ids = |filter: IncidentFilter, limit| {
        store.incidents(&filter, limit).unwrap().iter().map(|i| i.id).collect::<Vec<_>>()
    };
    let all = IncidentFilter::default();
    assert_eq!(ids(all, 10), [id(3), id(2), id(1)], "the latest first");
    assert_eq!(ids(all, 2), [id(3), id(2)]);
    let of7 = IncidentFilter { target: Some(TargetId(7)), ..all };
    assert_eq!(ids(of7, 10), [id(3), id(1)]);
    assert_eq!(ids(IncidentFilter { open: Some(true), ..of7 }, 10), [id(3)]);
    assert_eq!(ids(IncidentFilter { open: Some(false), ..all }, 10), [id(1)]);
    assert_eq!(ids(IncidentFilter { since: Some(later(100)), ..of7 }, 10), [id(3), id(1)]);
    assert_eq!(ids(IncidentFilter { since: Some(later(101)), ..of7 }, 10), [id(3)]);
}
