//! Exchanges whose answer is kept: what logins are made of.

use std::rc::Rc;
use std::time::Duration;

use skypunch::clock::Clock;
use skypunch::model::egress::Caller;
use skypunch::model::reason::Reason;
use skypunch::model::target::{Method, TlsOptions};
use skypunch::model::trace::Event;
use skypunch::probe::recorder::Recorder;
use skypunch::probe::verdict::Failure;
use skypunch::probe::{Fetch, Fetched, HttpProber, ProbeSettings};
use skypunch::secret::{Secret, SecretPolicy};

use crate::misbehaving::{self as peer};
use crate::probe_answers::{OK, moved};

const PASSWORD: &str = "hunter2-and-more";

/// Posts a login to `url`; what came of it, and the steps as text.
fn post(url: &str, cap: usize) -> (Result<Fetched, Failure>, String) {
    actix_rt::System::new().block_on(async {
        let prober = HttpProber::new(ProbeSettings::default(), SecretPolicy::default(), Clock::system()).unwrap();
        let recorder = Rc::new(Recorder::new(Clock::system(), None));
        let (url, password) = (url.parse().unwrap(), Secret::new(PASSWORD));
        let body = Secret::new(format!("{{\"password\":\"{PASSWORD}\"}}"));
        let fetch = Fetch {
            url: &url,
            method: Method::Post,
            headers: &[("Content-Type", "application/json"), ("Accept", "application/json")],
            body: Some(&body),
            secrets: &[&password],
            tls: &TlsOptions::default(),
            caller: Caller::Shared,
            timeout: Duration::from_millis(400),
            body_cap: cap,
        };
        let fetched = prober.fetch(&fetch, &recorder).await;
        let trace = recorder.finish().1;
        let steps = format!("{}\n{}", trace.lines().join("\n"), serde_json::to_string(&trace).unwrap());
        assert!(!steps.contains("hunter2"), "{steps}");
        (fetched, steps)
    })
}

#[test]
fn status_headers_and_a_body_in_pieces_are_kept_and_not_traced() {
    let peer = peer::says(
        "HTTP/1.1 201 CREATED\r\nX-Subject-Token: gAAAtoken\r\nx-openstack-request-id: req-1\r\n\
         Transfer-Encoding: chunked\r\n\r\n5\r\n{\"tok\r\n5;x=y\r\nen\":1\r\n1\r\n}\r\n0\r\n\r\n",
    );
    let (fetched, steps) = post(&peer.url(), 100);
    let fetched = fetched.ok().unwrap();
    assert_eq!((fetched.status, fetched.header("x-subject-token")), (201, Some("gAAAtoken")));
    assert_eq!((fetched.header("x-none"), fetched.body.as_slice()), (None, &b"{\"token\":1}"[..]));
    let request = &peer.requests()[0];
    for part in ["POST / HTTP/1.1\r\n", "Content-Type: application/json\r\n", "content-length: 31\r\n", PASSWORD] {
        assert!(request.contains(part), "{part} is not in {request}");
    }
    assert_eq!(request.matches("host: ").count(), 1);
    assert!(
        steps.contains("Request id    req-1") && steps.contains("Reading body    [OK] 11 bytes (chunked)"),
        "{steps}"
    );
    assert!(!steps.contains("gAAAtoken"), "{steps}");
}

#[test]
fn bodies_end_by_length_or_with_the_connection_and_may_be_empty() {
    for (answer, body) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef", "abc"),
        ("HTTP/1.1 200 OK\r\n\r\nabcdef", "abcdef"),
        ("HTTP/1.1 204 No Content\r\n\r\n", ""),
    ] {
        assert_eq!(post(&peer::says(answer).url(), 6).0.ok().unwrap().body, body.as_bytes(), "{answer}");
    }
}

#[test]
fn a_redirect_is_an_answer() {
    let other = peer::says(OK);
    let fetched = post(&peer::says(moved(&other.url())).url(), 100).0.ok().unwrap();
    assert_eq!((fetched.status, fetched.header("location")), (302, Some(other.url().as_str())));
    assert!(other.requests().is_empty());
}

#[test]
fn failures_have_the_reasons_and_words_of_a_probe() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let echo = peer::serve(|mut caller| {
        let request = caller.read_request();
        std::io::Write::write_all(&mut caller.tcp, request.as_bytes()).unwrap();
    });
    for (url, reason, part) in [
        (format!("http://{free}/"), Reason::ConnectRefused, "connection refused"),
        (echo.url(), Reason::Protocol, "not shown: it repeats a secret"),
    ] {
        let failure = post(&url, 100).0.err().unwrap();
        assert!(failure.reason == reason && failure.text.contains(part), "{failure:?}");
    }
    for (peer, reason, part) in [
        (peer::says_and_stalls(""), Reason::TimeoutFirstByte, "within 400 ms"),
        (peer::says_and_stalls("HTTP/1.1 201 CREATED\r\n"), Reason::TimeoutHead, "within 400 ms"),
        (peer::says_and_stalls("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), Reason::TimeoutBody, "only 3 bytes"),
        (peer::says("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), Reason::ClosedEarly, "after 3 of 9 bytes"),
    ] {
        let failure = post(&peer.url(), 8).0.err().unwrap();
        assert!(failure.reason == reason && failure.text.contains(part), "{failure:?}");
    }
}

#[test]
fn body_limit_of_an_answer_that_is_longer_than_may_be_kept() {
    for head in ["HTTP/1.1 200 OK\r\nContent-Length: 9", "HTTP/1.1 200 OK"] {
        let failure = post(&peer::says(format!("{head}\r\n\r\nabcdefghi")).url(), 8).0.err().unwrap();
        assert!(failure.reason == Reason::BodyLimit && failure.text.contains("longer than 8 bytes"), "{failure:?}");
        assert!(post(&peer::says(format!("{head}\r\n\r\nabcdefghi")).url(), 9).0.is_ok());
    }
}

#[test]
fn every_probe_keeps_the_id_that_a_service_gives_its_request() {
    for (headers, expected) in [
        ("X-Openstack-Request-Id: req-59dfb4ea", Some("req-59dfb4ea")),
        ("x-compute-request-id: req-1\r\nX-OPENSTACK-REQUEST-ID: req-1", Some("req-1")),
        ("x-openstack-request-id: <script>", None),
        ("X-Request-Id: req-1", None),
    ] {
        let peer = peer::says(format!("HTTP/1.1 200 OK\r\n{headers}\r\nContent-Length: 0\r\n\r\n"));
        let found = crate::probing::probe(&crate::probing::definition(&peer.url()));
        found.passes();
        let id = found.trace.steps.iter().find_map(|s| match &s.event {
            Event::RequestId { id } => Some(id.as_str()),
            _ => None,
        });
        assert_eq!(id, expected, "{headers}");
    }
}
