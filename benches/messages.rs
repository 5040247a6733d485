//! What a message costs until it can be sent: rendering, for mail and for webhooks, of one failure and of digests.
//!
//! `cargo bench --bench messages`; see benches/README.md. No network: sending costs what the server takes.
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on may panic")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use skypunch::model::message::{Message, MessageKind};
use skypunch::model::notifier::EventKind;
use skypunch::model::time::UtcMs;
use skypunch::notify::catalogue::{Catalogue, Input};
use skypunch::notify::mail::{render, samples};
use skypunch::secret::Secret;

/// The daemon's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn fail() -> Message {
    samples::message(MessageKind::Fail, vec![samples::item("api-eu", EventKind::Fail)])
}

/// As the outbox makes it: the worst 50 with traces.
fn digest(n: usize) -> Message {
    let mut message = samples::digest(n - 1);
    message.more = 0;
    for item in message.items.iter_mut().skip(skypunch::model::outbox::DETAILED) {
        (item.trace, item.last_good_trace, item.changed) = Default::default();
    }
    message
}

fn messages() -> [(&'static str, Message); 3] {
    [("one failure", fail()), ("digest of 500", digest(500)), ("digest of 1,000", digest(1_000))]
}

fn mail(c: &mut Criterion) {
    let mut group = c.benchmark_group("mail, text and HTML");
    for (name, message) in messages() {
        let now = UtcMs(message.at.0 + 5_000);
        assert_eq!(render(&message, &[], now).problem, None);
        group.bench_function(BenchmarkId::from_parameter(name), |b| {
            b.iter(|| render(black_box(&message), &[], now));
        });
    }
    let own = [("subject".to_owned(), "{{ subject }}, says the night shift".to_owned())];
    let (message, now) = (fail(), UtcMs(fail().at.0 + 5_000));
    assert_eq!(render(&message, &own, now).problem, None);
    group.bench_function("one failure, a subject of one's own", |b| b.iter(|| render(black_box(&message), &own, now)));
    group.finish();
}

fn webhooks(c: &mut Criterion) {
    let (catalogue, problems) = Catalogue::load(None);
    assert_eq!(problems, []);
    for (kind, address) in
        [("SLACK", "https://hooks.slack.com/services/T0/B0/X"), ("WEBHOOK", "https://receiver.example/hook")]
    {
        let provider = catalogue.get(kind).unwrap();
        let address = Secret::new(address.to_owned());
        let mut group = c.benchmark_group(format!("{kind} request"));
        for (name, message) in messages() {
            let now = UtcMs(message.at.0 + 5_000);
            let input = Input { message: &message, address: &address, params: &[], saved: &[], templates: &[], now };
            assert!(!provider.requests(&input).unwrap().is_empty());
            group.bench_function(BenchmarkId::from_parameter(name), |b| {
                b.iter(|| provider.requests(black_box(&input)).unwrap());
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = mail, webhooks
}
criterion_main!(benches);
