//! Bodies, odd but good answers, and redirects: each against a real peer.

use std::io::Write;
use std::time::Duration;

use skypunch::model::definition::Definition;
use skypunch::model::reason::Reason;
use skypunch::model::trace::Event;
use skypunch::probe::ProbeSettings;
use skypunch::secret::Secret;

use crate::misbehaving::{self as peer};
use crate::probing::{Found, definition, probe, probe_times, probe_url, target};

use crate::probe_reasons::{LONG, SHORT, answered, stalled};

// ---- the body --------------------------------------------------------------------------------------------------------

#[test]
fn closed_early_in_a_body_of_known_length() {
    let found = answered("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello");
    found.fails(Reason::ClosedEarly).saying("after 5 of 100 bytes");
    assert_eq!((found.outcome.status_code, found.outcome.body_bytes), (Some(200), 5));
}

#[test]
fn closed_early_in_a_chunked_body() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for body in ["5\r\nhel", "5\r\nhello\r\n", "5\r\nhello\r\n0\r\n", ""] {
        answered(format!("{head}{body}")).fails(Reason::ClosedEarly);
    }
}

#[test]
fn reset_within_the_body() {
    let found = probe_url(&peer::says_and_resets("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello").url(), LONG);
    found.fails(Reason::Reset).saying("after 5 of 100 bytes");
}

#[test]
fn protocol_when_a_chunk_is_malformed() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for body in ["xyz\r\nhello\r\n", "fffffffffffffffff1\r\nhello", "5\r\nhelloXX0\r\n\r\n"] {
        answered(format!("{head}{body}")).fails(Reason::Protocol).saying("chunk");
    }
}

#[test]
fn timeout_body_when_it_stalls_or_trickles() {
    let found = stalled("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello");
    found.fails(Reason::TimeoutBody).saying("only 5 bytes came");
    assert_eq!((found.outcome.status_code, found.outcome.body_bytes), (Some(200), 5));
    // The head comes at once, the body does not: only the deadline over the whole sees it.
    let slow = peer::serve(|mut caller| {
        caller.read_request();
        let mut sent = std::io::Write::write_all(&mut caller.tcp, b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
        while sent.is_ok() {
            std::thread::sleep(Duration::from_millis(20));
            sent = std::io::Write::write_all(&mut caller.tcp, b"x");
        }
    });
    probe_url(&slow.url(), SHORT).fails(Reason::TimeoutBody);
}

#[test]
fn an_endless_body_is_read_to_the_cap_and_passes() {
    for head in
        ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9000000000\r\n\r\n"]
    {
        let found = probe_url(&peer::never_ends(head, "0123456789").url(), LONG);
        let framing = if head.contains("Length") { "length" } else { "close" };
        assert_eq!(found.passes().body(), Some((64 * 1024, framing, true)));
        assert_eq!(found.outcome.body_bytes, 64 * 1024);
        assert!(found.text().contains("the rest left unread (probe.body_cap = 65536)"), "{}", found.text());
    }
}

#[test]
fn a_body_of_exactly_the_cap_is_not_capped() {
    let body = "x".repeat(64 * 1024);
    let found = answered(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    assert_eq!(found.passes().body(), Some((64 * 1024, "length", false)));
    let found = answered(format!("HTTP/1.1 200 OK\r\n\r\n{body}"));
    assert_eq!(found.passes().body(), Some((64 * 1024, "close", false)));
}

#[test]
fn bodies_that_end_with_the_connection_are_whole() {
    for version in ["HTTP/1.0", "HTTP/1.1"] {
        let found = answered(format!("{version} 200 OK\r\nServer: x\r\n\r\nhello world"));
        assert_eq!(found.passes().body(), Some((11, "close", false)));
        assert!(
            found.has(|e| matches!(e, Event::Head { version: v, status: 200 } if v == version)),
            "the true version"
        );
    }
}

#[test]
fn chunked_bodies_with_extensions_and_trailers_are_whole() {
    let found =
        answered("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
    assert_eq!(found.passes().body(), Some((11, "chunked", false)));
}

#[test]
fn a_gzip_bomb_is_not_inflated() {
    let mut gzip = std::process::Command::new("gzip")
        .arg("-9c")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = gzip.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        for _ in 0..30 {
            std::io::Write::write_all(&mut input, &[0; 1 << 20]).unwrap();
        }
    });
    let bomb = gzip.wait_with_output().unwrap().stdout;
    writer.join().unwrap();
    let mut answer =
        format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", bomb.len()).into_bytes();
    answer.extend(&bomb);
    let found = answered(answer);
    assert_eq!(found.passes().outcome.body_bytes as usize, bomb.len(), "30 MiB stay packed");
}

// ---- answers that are good although odd ------------------------------------------------------------------------------

#[test]
fn interim_answers_are_skipped() {
    let found = answered(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    found.passes();
    let interim: Vec<u16> = found
        .trace
        .steps
        .iter()
        .filter_map(|s| match s.event {
            Event::Interim { status } => Some(status),
            _ => None,
        })
        .collect();
    assert_eq!(interim, [100, 103]);
}

#[test]
fn bodyless_answers_wait_for_no_body() {
    for status in [204, 304] {
        let peer = peer::says_and_stalls(format!("HTTP/1.1 {status} x\r\nContent-Length: 100\r\n\r\n"));
        let found = probe(&Definition { pass_result: status.to_string(), ..definition(&peer.url()) });
        assert_eq!(found.passes().body(), Some((0, "none", false)));
    }
    let peer = peer::says_and_stalls("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
    let found = probe(&Definition { method: "HEAD".into(), ..definition(&peer.url()) });
    assert_eq!(found.passes().body(), Some((0, "none", false)));
}

#[test]
fn status_that_was_not_asked_for() {
    let found = answered("HTTP/1.1 503 the server sees red\r\nContent-Length: 0\r\n\r\n");
    found.fails(Reason::Status).saying("GET answered 503 Service Unavailable, not 200");
    assert_eq!(found.outcome.status_code, Some(503));
    assert!(found.has(|e| matches!(e, Event::Check { ok: false, status: 503, .. })));
    assert!(!found.everything().contains("sees red"), "the server's own phrase is not shown");
}

#[test]
fn a_complete_answer_leaves_no_time_wait_and_is_not_waited_after() {
    let peer = peer::says_and_stalls("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let found = probe_url(&peer.url(), LONG);
    found.passes();
    let (local, remote) = found.ends().unwrap();
    let left = peer::sockets(local, remote);
    assert!(left.is_empty(), "{left:?}");
}

// ---- redirects -------------------------------------------------------------------------------------------------------

pub fn redirecting(definition: Definition) -> Found {
    probe(&Definition { redirects: 5, ..definition })
}

pub fn moved(to: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")
}

pub const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn redirect_in_a_circle() {
    let peer = peer::routes(|path| moved(if path == "/a" { "/b" } else { "/a" }));
    let found = redirecting(definition(&format!("{}a", peer.url())));
    found.fails(Reason::Redirect).saying("a circle");
    assert_eq!(found.outcome.status_code, Some(302));
}

#[test]
fn redirect_further_than_allowed() {
    let peer = peer::routes(|path| moved(&format!("{path}x")));
    redirecting(definition(&peer.url())).fails(Reason::Redirect).saying("more redirects than the 5");
    assert_eq!(peer.requests().len(), 6, "the request and five redirects");
}

#[test]
fn redirect_to_what_cannot_be_followed() {
    let peer = peer::routes(|_| moved("gopher://a.test/"));
    redirecting(definition(&peer.url())).fails(Reason::Redirect).saying("neither http nor https");
}

#[test]
fn redirects_are_steps_and_off_by_default() {
    let peer = peer::routes(|path| if path == "/end" { OK.into() } else { moved("end") });
    probe(&definition(&peer.url())).fails(Reason::Status).saying("302");
    let found = redirecting(definition(&peer.url()));
    found.passes();
    assert!(found.has(|e| matches!(e, Event::Redirect { to } if to.ends_with("/end"))));
    assert_eq!(found.trace.steps.iter().filter(|s| matches!(s.event, Event::Request { .. })).count(), 2);
}

#[test]
fn no_secret_and_no_host_goes_to_another_origin() {
    let other = peer::routes(|_| OK.into());
    let to = format!("{}landed", other.url());
    let first = peer::routes(move |_| moved(&to));
    let found = redirecting(Definition {
        authn: "BASIC".into(),
        authn_parms: Some(Secret::new("user=me,password=hunter2hunter2")),
        headers: Some("X-Api-Key: k3yk3yk3y\nX-Plain: stays".into()),
        host: Some("virtual.test".into()),
        ..definition(&first.url())
    });
    found.passes();
    let (asked, landed) = (first.requests().remove(0).to_lowercase(), other.requests().remove(0).to_lowercase());
    for part in ["authorization: basic ", "x-api-key: k3yk3yk3y", "host: virtual.test", "x-plain: stays"] {
        assert!(asked.contains(part), "{part} is missing: {asked}");
        assert_eq!(landed.contains(part), part.starts_with("x-plain"), "{part}: {landed}");
    }
    assert!(landed.contains(&format!("host: {}", other.address)));
}

#[test]
fn an_answer_in_small_pieces_does_not_wait_for_our_acknowledgements() {
    // As a server does that leaves Nagle's algorithm on: each piece waits for the acknowledgement of the one before.
    let peer = peer::serve(|mut caller| {
        caller.tcp.set_nodelay(false).unwrap();
        caller.read_request();
        for piece in ["HTTP/1.1 200 OK\r\n", "Content-Length: 2\r\n", "\r\n", "ok"] {
            caller.tcp.write_all(piece.as_bytes()).unwrap();
        }
        peer::hold(caller.tcp);
    });
    let found = probe_times(&target(&definition(&peer.url())), ProbeSettings::default(), 5);
    let quickest = found.iter().map(|f| f.passes().outcome.latency_us).min().unwrap();
    assert!(quickest < 30_000, "{quickest} us: an acknowledgement is delayed by 40 ms");
}
