//! Origins that mean harm: what has no end ends at the deadline or at a bound, whatever it is made of.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use skypunch::model::definition::Definition;
use skypunch::model::reason::Reason;

use crate::certificates::self_signed;
use crate::misbehaving::{self as peer, Peer};
use crate::probe_answers::moved;
use crate::probe_reasons::LONG;
use crate::probing::{Found, definition, probe, probe_target, probe_url, target};

/// The deadline of those that drip.
const DEADLINE: Duration = Duration::from_millis(600);

/// So much later a probe may be told on a busy machine: seconds of dripping would be far beyond.
const SLACK: Duration = Duration::from_secs(3);

const PAUSE: Duration = Duration::from_millis(20);

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Writes `first` at once and then `again`, in pieces, a piece at a time for as long as it is taken.
fn drip(out: &mut impl Write, first: &str, again: &[&str]) {
    let mut going = out.write_all(first.as_bytes()).and_then(|()| out.flush()).is_ok();
    for piece in again.iter().cycle() {
        if !going {
            return;
        }
        std::thread::sleep(PAUSE); // this is the vice itself
        going = out.write_all(piece.as_bytes()).and_then(|()| out.flush()).is_ok();
    }
}

fn drips(first: &'static str, again: &'static [&'static str]) -> Peer {
    peer::serve(move |mut caller| {
        caller.read_request();
        drip(&mut caller.tcp, first, again);
    })
}

fn tls_drips(config: ServerConfig, first: &'static str, again: &'static [&'static str]) -> Peer {
    let config = Arc::new(config);
    peer::serve(move |caller| {
        let mut tls = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), caller.tcp);
        peer::read_head(&mut tls);
        drip(&mut tls, first, again);
    })
}

fn unverified(peer: &Peer) -> Definition {
    Definition { tls_verify: false, ..definition(&format!("https://{}/", peer.address)) }
}

#[track_caller]
fn ends_in_time(found: &Found, reason: Reason) {
    found.fails(reason);
    let took = Duration::from_micros(found.outcome.latency_us.into());
    assert!(took >= DEADLINE - PAUSE && took < DEADLINE + SLACK, "{took:?}");
    assert!(found.text().len() < 4_000, "a trace that grows with what is dripped: {}", found.text());
}

#[test]
fn a_slow_drip_ends_at_the_deadline_whatever_it_drips() {
    for (first, again, reason) in [
        ("", &["H", "T", "T", "P"][..], Reason::Protocol),
        ("HTTP/1.1 200 OK\r\n", &["X: y\r\n"], Reason::TimeoutHead),
        ("HTTP/1.1 200 ", &["x"], Reason::TimeoutHead),
        ("HTTP/1.1 200 OK\r\nX: ", &["y"], Reason::TimeoutHead),
        ("HTTP/1.1 200 OK\r\n\r\n", &["x"], Reason::TimeoutBody),
        (CHUNKED, &["1", "\r", "\n", "x", "\r\n"], Reason::TimeoutBody),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", &["x"], Reason::TimeoutBody),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", &["X: y\r\n"], Reason::TimeoutBody),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffff\r\n", &["x"], Reason::TimeoutBody),
    ] {
        let peer = drips(first, again);
        let found = probe_url(&peer.url(), DEADLINE);
        match reason {
            // What is no HTTP is told as soon as it is seen.
            Reason::Protocol => _ = found.fails(reason),
            reason => ends_in_time(&found, reason),
        }
    }
}

#[test]
fn a_slow_drip_ends_at_the_deadline_in_tls_too() {
    let identity = self_signed(&["127.0.0.1"]);
    for (first, again, reason) in [
        ("HTTP/1.1 200 OK\r\n", &["X: y\r\n"][..], Reason::TimeoutHead),
        ("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", &["x"], Reason::TimeoutBody),
        (CHUNKED, &["1\r\n", "x", "\r\n"], Reason::TimeoutBody),
    ] {
        let peer = tls_drips(identity.server(), first, again);
        let mut target = target(&unverified(&peer));
        target.timeout = DEADLINE;
        ends_in_time(&probe_target(&target, Default::default()), reason);
    }
    // A handshake that never comes to its end: one long record, a byte at a time.
    let peer = peer::after_hello(|mut tcp| {
        let mut going = tcp.write_all(&[0x16, 3, 3, 0x3f, 0xff, 2, 0, 0x3f, 0xf0]).is_ok();
        while going {
            std::thread::sleep(PAUSE); // this is the vice itself
            going = tcp.write_all(&[3]).is_ok();
        }
    });
    let mut target = target(&unverified(&peer));
    target.timeout = DEADLINE;
    ends_in_time(&probe_target(&target, Default::default()), Reason::TimeoutTls);
}

#[test]
fn a_hundred_thousand_redirects_are_followed_as_far_as_the_target_allows() {
    let peer = peer::routes(|path| {
        let n: u32 = path.trim_start_matches('/').parse().unwrap_or(0);
        if n < 100_000 { moved(&format!("/{}", n + 1)) } else { "HTTP/1.1 200 OK\r\n\r\n".into() }
    });
    let found = probe(&Definition { redirects: 20, ..definition(&peer.url()) });
    found.fails(Reason::Redirect).saying("more redirects than the 20 that `redirects` allows");
    assert_eq!(peer.requests().len(), 21);
}

/// Ten megabytes of certificates.
#[test]
fn a_chain_of_ten_megabytes_is_refused_with_one_sentence() {
    let peer = peer::tls(self_signed(&["127.0.0.1"]).server_with_chain(10 << 20));
    for tls_verify in [true, false] {
        let mut target = target(&Definition { tls_verify, ..unverified(&peer) });
        target.timeout = LONG;
        let found = probe_target(&target, Default::default());
        found.fails(Reason::TlsHandshake).saying("are longer than 64 KiB");
        assert!(found.text().len() < 2_000, "{}", found.text());
    }
}
