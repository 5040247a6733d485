//! Connections that serve more than one probe: against nginx, and against servers that end or abuse them.

use std::io::Write;
use std::net::Shutdown;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustls::{ServerConnection, StreamOwned};
use skypunch::clock::Clock;
use skypunch::model::definition::Definition;
use skypunch::model::egress::{AddressList, EgressPolicy};
use skypunch::model::reason::Reason;
use skypunch::model::target::Target;
use skypunch::model::trace::Event;
use skypunch::net::EgressSource;
use skypunch::probe::keep::Slot;
use skypunch::probe::{HttpProber, ProbeSettings};
use skypunch::secret::SecretPolicy;

use crate::certificates::Authority;
use crate::misbehaving::{self, Caller, Peer, hold, reset, serve};
use crate::nginx::Nginx;
use crate::probing::{Found, definition, target};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn kept(url: &str, keep_alive: i64) -> Target {
    target(&Definition { keep_alive, ..definition(url) })
}

/// Probes as a target's actor does, so many times; `between` is called with the number of probes so far.
fn probe_with(settings: ProbeSettings, target: &Target, times: usize, mut between: impl FnMut(usize)) -> Vec<Found> {
    actix_rt::System::new().block_on(async {
        let prober = Rc::new(HttpProber::new(settings, SecretPolicy::default(), Clock::system()).unwrap());
        let (mut slot, mut found): (Slot, Vec<Found>) = (None, Vec::new());
        for n in 0..times {
            if n > 0 {
                between(n);
            }
            let (outcome, trace) = prober.probe_keeping(target, &mut slot).await;
            assert!(outcome.reason.is_none() || slot.is_none(), "nothing is kept after a failure");
            found.push(Found { outcome, trace });
        }
        found
    })
}

fn probes(target: &Target, times: usize) -> Vec<Found> {
    probe_with(ProbeSettings::default(), target, times, |_| {})
}

/// The how manieth probe over its connection: 0 where it was a fresh one.
fn reused(found: &Found) -> u32 {
    let step = found.trace.steps.iter().find_map(|s| match s.event {
        Event::Reused { probe, .. } => Some(probe),
        _ => None,
    });
    let connected = found.has(|e| matches!(e, Event::Connected { .. }));
    assert!(connected != step.is_some() || not_reused(found).is_some(), "{}", found.text());
    if connected { 0 } else { step.unwrap() }
}

fn not_reused(found: &Found) -> Option<String> {
    found.trace.steps.iter().find_map(|s| match &s.event {
        Event::NotReused { why } => Some(why.to_string()),
        _ => None,
    })
}

/// Serves each connection by `answer`, which gets its number and that of the request on it; `false`: no more.
fn serve_all(answer: impl Fn(&mut Caller, usize, usize) -> bool + Send + Sync + 'static) -> Peer {
    let connections = AtomicUsize::new(0);
    serve(move |mut caller| {
        let connection = connections.fetch_add(1, Ordering::SeqCst);
        for request in 0.. {
            if caller.read_request().is_empty() || !answer(&mut caller, connection, request) {
                return;
            }
        }
    })
}

/// The requests that came, without the ends of connections.
fn requests(peer: &Peer) -> Vec<String> {
    peer.requests().into_iter().filter(|r| !r.is_empty()).collect()
}

fn passes(found: &[Found]) {
    found.iter().for_each(|f| {
        f.passes();
    });
}

#[test]
fn nginx_serves_so_many_probes_over_one_connection_and_then_all_is_checked_anew() {
    let nginx = Nginx::start("location / { return 200 '$connection_requests'; }", false, |_| {});
    let found = probes(&kept(&nginx.url("/"), 3), 7);
    passes(&found);
    assert_eq!(found.iter().map(reused).collect::<Vec<_>>(), [0, 2, 3, 0, 2, 3, 0]);
    let text = found[1].text();
    assert!(
        text.contains(&format!("Connection    [OK] reused, probe 2 of 3, to {} from 127.0.0.1:", nginx.address)),
        "{text}"
    );
    for f in &found {
        let (phases, fresh) = (f.outcome.phases, reused(f) == 0);
        assert_eq!((phases.connect_us.is_some(), phases.first_byte_us.is_some()), (fresh, true), "{phases:?}");
        assert_eq!(not_reused(f), None);
    }
    // Off by default, and for `targets ID test`.
    passes(&probes(&kept(&nginx.url("/"), 0), 2));
    for off in [0, 1] {
        assert!(probes(&kept(&nginx.url("/"), off), 3).iter().all(|f| reused(f) == 0));
    }
    let tested = crate::probing::probe_times(&kept(&nginx.url("/"), 3), ProbeSettings::default(), 2);
    assert!(tested.iter().all(|f| reused(f) == 0));
}

#[test]
fn what_nginx_closes_is_dialled_anew_and_blames_nobody() {
    // It says `Connection: close` with the second answer.
    let nginx = Nginx::start("keepalive_requests 2; location / { return 200 ok; }", false, |_| {});
    let found = probes(&kept(&nginx.url("/"), 10), 5);
    passes(&found);
    assert_eq!(found.iter().map(reused).collect::<Vec<_>>(), [0, 2, 0, 2, 0]);
    // It closes what is idle for longer than that: seen before the next probe.
    let nginx = Nginx::start("keepalive_timeout 1s; location / { return 200 ok; }", false, |_| {});
    let found = probe_with(ProbeSettings::default(), &kept(&nginx.url("/"), 10), 2, |_| {
        std::thread::sleep(Duration::from_millis(2500)); // nginx's own timer; nothing tells when it has fired
    });
    passes(&found);
    assert_eq!(reused(&found[1]), 0);
    assert_eq!(not_reused(&found[1]).as_deref(), Some("the server had closed it"));
}

#[test]
fn tls_is_shaken_once_and_its_certificate_stays_noted() {
    let authority = Authority::new("skypunch test authority");
    let identity = authority.sign(&["localhost"], 2040);
    let nginx = Nginx::start(
        "ssl_certificate {dir}/cert.pem; ssl_certificate_key {dir}/key.pem; location / { return 200 ok; }",
        true,
        |dir| {
            std::fs::write(dir.join("cert.pem"), identity.certificate.pem()).unwrap();
            std::fs::write(dir.join("key.pem"), identity.key.serialize_pem()).unwrap();
        },
    );
    let url = format!("https://localhost:{}/", nginx.address.port());
    let ca = authority.file();
    let target = target(&Definition { tls_ca: Some(ca.to_str().unwrap().into()), keep_alive: 4, ..definition(&url) });
    let found = probe_with(ProbeSettings::default(), &target, 4, |n| {
        if n == 3 {
            // Another authority in the file: what was judged by the old one is not used any more.
            std::fs::copy(Authority::new("another").file(), &ca).unwrap();
            std::thread::sleep(Duration::from_millis(2100)); // for so long a file is not looked at again
        }
    });
    passes(&found[..3]);
    assert_eq!(found[..3].iter().map(reused).collect::<Vec<_>>(), [0, 2, 3], "{}", found[1].text());
    assert!(found[0].outcome.phases.tls_us.is_some() && found[1].outcome.phases.tls_us.is_none());
    assert!(found[0].outcome.certificate_expires_at.is_some());
    assert_eq!(found[2].outcome.certificate_expires_at, found[0].outcome.certificate_expires_at);
    assert!(found[1].text().contains(", certificate valid until 20"), "{}", found[1].text());
    found[3].fails(Reason::TlsCertificate);
    assert_eq!(not_reused(&found[3]).as_deref(), Some("other certificate authorities are trusted now"));
}

#[test]
fn a_certificate_that_expires_meanwhile_ends_it() {
    let authority = Authority::new("skypunch test authority");
    let clock = Clock::system();
    let until = clock.utc_now().plus(Duration::from_secs(8));
    let config = Arc::new(authority.sign_until(&["localhost"], until).server());
    let server = serve(move |caller| {
        let mut tls = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), caller.tcp);
        while !misbehaving::read_head(&mut tls).is_empty() && tls.write_all(OK).is_ok() {}
    });
    let url = format!("https://localhost:{}/", server.address.port());
    let ca = authority.file();
    let target = target(&Definition { tls_ca: Some(ca.to_str().unwrap().into()), keep_alive: 9, ..definition(&url) });
    let found = probe_with(ProbeSettings::default(), &target, 3, |n| {
        while n == 2 && clock.utc_now() <= until.plus(Duration::from_secs(1)) {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    passes(&found[..2]);
    assert_eq!(reused(&found[1]), 2, "{}", found[1].text());
    found[2].fails(Reason::TlsCertificate);
    assert_eq!(not_reused(&found[2]).as_deref(), Some("its certificate has expired since"));
}

#[test]
fn a_farewell_to_an_idle_connection_is_no_answer() {
    let peer = serve_all(|caller, connection, request| match (connection, request) {
        (0, 1) => {
            let farewell = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            caller.tcp.write_all(farewell).unwrap();
            false
        }
        _ => caller.tcp.write_all(OK).is_ok(),
    });
    let found = probes(&kept(&peer.url(), 10), 3);
    passes(&found);
    assert_eq!(found.iter().map(reused).collect::<Vec<_>>(), [0, 0, 2]);
    let why = "the server was about to close it (408): the request is repeated over a fresh one";
    assert_eq!(not_reused(&found[1]).as_deref(), Some(why));
    // Over a fresh connection it is one.
    let peer = serve_all(|caller, _, _| caller.tcp.write_all(b"HTTP/1.1 408 No\r\nContent-Length: 0\r\n\r\n").is_ok());
    probes(&kept(&peer.url(), 10), 1)[0].fails(Reason::Status);
}

#[test]
fn a_server_that_closes_without_saying_so_is_never_blamed() {
    let peer = serve_all(|caller, _, _| {
        caller.tcp.write_all(OK).unwrap();
        caller.tcp.shutdown(Shutdown::Both).unwrap();
        false
    });
    let found = probes(&kept(&peer.url(), 10), 6);
    passes(&found);
    assert!(found.iter().all(|f| reused(f) == 0));
    assert_eq!(requests(&peer).len(), 6);
}

#[test]
fn a_head_that_breaks_on_a_kept_connection_is_no_answer() {
    for torn in ["HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 100 Continue\r\n\r\n"] {
        let peer = serve_all(move |caller, _, request| {
            if request == 0 {
                return caller.tcp.write_all(OK).is_ok();
            }
            caller.tcp.write_all(torn.as_bytes()).unwrap();
            caller.tcp.shutdown(Shutdown::Both).unwrap();
            false
        });
        let found = probes(&kept(&peer.url(), 10), 4);
        passes(&found);
        assert_eq!(found.iter().map(requests_sent).collect::<Vec<_>>(), [1, 2, 2, 2], "{torn:?}");
        let why = "it broke within the head of an answer: the request is repeated over a fresh one";
        assert_eq!(not_reused(&found[1]).as_deref(), Some(why), "{torn:?}");
        // Over a fresh connection it is a failure.
        let peer = serve_all(move |caller, _, _| {
            caller.tcp.write_all(torn.as_bytes()).unwrap();
            caller.tcp.shutdown(Shutdown::Both).unwrap();
            false
        });
        probes(&kept(&peer.url(), 10), 1)[0].fails(Reason::ClosedEarly);
    }
}

/// Requests that this probe handed to the kernel.
fn requests_sent(found: &Found) -> usize {
    found.trace.steps.iter().filter(|s| matches!(s.event, Event::Sent { .. })).count()
}

#[test]
fn a_request_that_is_reset_before_any_answer_is_repeated_once_on_a_fresh_connection() {
    let peer = serve_all(|caller, _, request| {
        if request == 0 {
            caller.tcp.write_all(OK).unwrap();
            return true;
        }
        reset(caller.tcp.try_clone().unwrap());
        false
    });
    let found = probes(&kept(&peer.url(), 10), 4);
    passes(&found);
    for f in &found[1..] {
        assert_eq!((reused(f), requests_sent(f)), (0, 2), "{}", f.text());
        let why = not_reused(f).unwrap();
        assert!(why.ends_with("before any answer: the request is repeated over a fresh one"), "{why}");
        assert!(f.outcome.phases.connect_us.is_some());
    }
    // Where the fresh connection shows the same, that is the verdict.
    let peer = serve_all(|caller, connection, request| {
        if (connection, request) == (0, 0) {
            caller.tcp.write_all(OK).unwrap();
            return true;
        }
        false
    });
    let found = probes(&kept(&peer.url(), 10), 2);
    found[0].passes();
    found[1].fails(Reason::ClosedEarly);
    assert_eq!(requests_sent(&found[1]), 2);
}

#[test]
fn bytes_that_nobody_asked_for_are_no_answer() {
    for (unasked, sent) in [("junk", &b"HELLO"[..]), ("a second answer", OK), ("a fail", b"HTTP/1.1 500 No\r\n\r\n")] {
        // With the answer, and some time after it.
        for wait in [0, 30] {
            let peer = serve_all(move |caller, connection, _| {
                caller.tcp.write_all(OK).unwrap();
                if connection == 0 {
                    std::thread::sleep(Duration::from_millis(wait));
                    caller.tcp.write_all(sent).unwrap();
                }
                true
            });
            let found = probe_with(ProbeSettings::default(), &kept(&peer.url(), 10), 3, |_| {
                std::thread::sleep(Duration::from_millis(100)); // the peer's clock, not ours
            });
            passes(&found);
            assert_eq!(found.iter().map(reused).collect::<Vec<_>>(), [0, 0, 2], "{unasked} after {wait} ms");
        }
    }
}

#[test]
fn answers_that_end_the_connection_or_leave_that_open_are_not_kept() {
    for answer in [
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokok",
    ] {
        let peer = serve_all(move |caller, _, _| caller.tcp.write_all(answer.as_bytes()).is_ok());
        let found = probes(&kept(&peer.url(), 10), 3);
        passes(&found);
        assert!(found.iter().all(|f| reused(f) == 0 && not_reused(f).is_none()), "{answer:?}\n{}", found[1].text());
    }
    // Bodies that end where they say.
    let peer = serve_all(|caller, _, _| {
        caller.tcp.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n").is_ok()
    });
    assert_eq!(probes(&kept(&peer.url(), 10), 3).iter().map(reused).collect::<Vec<_>>(), [0, 2, 3]);
    // More than the cap is left unread.
    let settings = ProbeSettings { body_cap: 1, ..ProbeSettings::default() };
    let found = probe_with(settings, &kept(&peer.url(), 10), 2, |_| {});
    assert_eq!(reused(&found[1]), 0);
}

#[test]
fn silence_on_a_kept_connection_leaves_time_for_a_fresh_one() {
    let peer = serve_all(|caller, connection, request| {
        if connection > 0 || request == 0 {
            return caller.tcp.write_all(OK).is_ok();
        }
        hold(caller.tcp.try_clone().unwrap());
        false
    });
    let mut target = kept(&peer.url(), 10);
    target.timeout = Duration::from_secs(2);
    let found = probes(&target, 2);
    passes(&found);
    assert_eq!(
        not_reused(&found[1]).as_deref(),
        Some("no answer came over it: the request is repeated over a fresh one")
    );
    assert!((500_000..2_000_000).contains(&found[1].outcome.latency_us), "{}", found[1].text());
    assert!(found[1].outcome.phases.first_byte_us.unwrap() < 400_000, "the silence is not the answer's");
    // A service that takes longer than that as a rule has a fresh one each time, with all of its timeout.
    let slow = serve_all(|caller, _, _| {
        std::thread::sleep(Duration::from_millis(600));
        caller.tcp.write_all(OK).is_ok()
    });
    let mut target = kept(&slow.url(), 10);
    target.timeout = Duration::from_secs(2);
    let found = probes(&target, 2);
    passes(&found);
    assert!(found.iter().all(|f| reused(f) == 0 && not_reused(f).is_none()));
}

#[test]
fn what_the_server_really_answered_counts_and_nothing_is_kept_after_it() {
    let peer = serve_all(|caller, _, request| match request {
        1 => caller.tcp.write_all(b"HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno").is_ok(),
        _ => caller.tcp.write_all(OK).is_ok(),
    });
    let found = probes(&kept(&peer.url(), 10), 4);
    found[1].fails(Reason::Status);
    assert_eq!(reused(&found[1]), 2);
    assert_eq!((reused(&found[2]), not_reused(&found[2])), (0, None));
    // Half an answer, too.
    let peer = serve_all(|caller, connection, request| {
        if (connection, request) != (0, 1) {
            return caller.tcp.write_all(OK).is_ok();
        }
        caller.tcp.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok").unwrap();
        false
    });
    let found = probes(&kept(&peer.url(), 10), 3);
    found[1].fails(Reason::ClosedEarly);
    found[2].passes();
}

#[test]
fn a_redirect_is_followed_over_connections_of_its_own() {
    let peer = misbehaving::routes(|path| match path {
        "/" => "HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n".to_owned(),
        _ => String::from_utf8_lossy(OK).into_owned(),
    });
    let target = target(&Definition { redirects: 2, keep_alive: 10, ..definition(&peer.url()) });
    let found = probes(&target, 2);
    passes(&found);
    assert!(found.iter().all(|f| reused(f) == 0));
}

#[test]
fn another_egress_policy_counts_at_the_next_use() {
    let peer = serve_all(|caller, _, _| caller.tcp.write_all(OK).is_ok());
    let (change, egress) = EgressSource::changing(EgressPolicy::default());
    let settings = ProbeSettings { egress, ..ProbeSettings::default() };
    let found = probe_with(settings, &kept(&peer.url(), 10), 3, |n| {
        if n == 2 {
            let deny = AddressList::parse(["loopback"]).unwrap();
            change.send_replace(std::sync::Arc::new(EgressPolicy { deny, ..EgressPolicy::default() }));
        }
    });
    assert_eq!(reused(&found[1]), 2);
    found[2].fails(Reason::EgressDenied);
    assert_eq!(not_reused(&found[2]).as_deref(), Some("the egress policy denies its address now"));
}

#[test]
fn the_last_request_over_a_connection_says_so() {
    let peer = serve_all(|caller, _, _| caller.tcp.write_all(OK).is_ok());
    passes(&probes(&kept(&peer.url(), 2), 3));
    let closes: Vec<bool> = requests(&peer).iter().map(|r| r.contains("connection: close")).collect();
    assert_eq!(closes, [false, true, false]);
}
