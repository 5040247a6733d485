//! Every reason that the prober can give, each against a real peer that earns it.
//!
//! A test's name begins with the reason whose classifier it guards.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use skypunch::model::definition::Definition;
use skypunch::model::reason::Reason;
use skypunch::model::target::Target;
use skypunch::model::trace::Event;
use skypunch::probe::ProbeSettings;
use skypunch::secret::Secret;

use crate::certificates::{Authority, self_signed};
use crate::misbehaving::{self as peer, Says};
use crate::probing::{Found, definition, probe, probe_target, probe_times, probe_url, target};

/// Long enough for whatever answers at once on a busy machine.
const LONG: Duration = Duration::from_secs(10);
/// For tests that run into it.
const SHORT: Duration = Duration::from_millis(500);

fn answered(bytes: impl Into<Vec<u8>>) -> Found {
    probe_url(&peer::says(bytes).url(), LONG)
}

fn stalled(bytes: &'static str) -> Found {
    probe_url(&peer::says_and_stalls(bytes).url(), SHORT)
}

// ---- dns, timeout_resolve, local_network -------------------------------------------------------------------------

fn asking(server: &peer::NameServer) -> ProbeSettings {
    ProbeSettings { name_servers: Some(vec![server.address]), ..ProbeSettings::default() }
}

fn named(says: Says) -> Found {
    let server = peer::name_server(says);
    probe_target(&target(&definition("http://service.test/")), asking(&server))
}

#[test]
fn dns_nxdomain() {
    named(Says::Code(3)).fails(Reason::Dns).saying("resolving service.test").saying("NXDOMAIN");
}

#[test]
fn dns_servfail() {
    named(Says::Code(2)).fails(Reason::Dns).saying("SERVFAIL");
}

#[test]
fn dns_refused() {
    named(Says::Code(5)).fails(Reason::Dns).saying("REFUSED");
}

#[test]
fn dns_without_an_address() {
    named(Says::Code(0)).fails(Reason::Dns).saying("NODATA");
}

#[test]
fn timeout_resolve_when_the_deadline_comes_before_the_resolver_gives_up() {
    let server = peer::name_server(Says::Silence);
    let mut target = target(&definition("http://service.test/"));
    target.timeout = SHORT;
    let settings = ProbeSettings { resolve_timeout: LONG, ..asking(&server) };
    probe_target(&target, settings).fails(Reason::TimeoutResolve).saying("within 500 ms");
    assert!(server.asked("service.test") > 0);
}

#[test]
fn local_network_when_no_resolver_answers() {
    let server = peer::name_server(Says::Silence);
    let settings = ProbeSettings { resolve_timeout: Duration::from_millis(50), ..asking(&server) };
    probe_target(&target(&definition("http://service.test/")), settings)
        .fails(Reason::LocalNetwork)
        .saying("no name server answered");
    assert!(server.asked("service.test") > 0);
}

#[test]
fn local_network_when_several_names_get_no_answer_before_their_deadlines() {
    let server = peer::name_server(Says::Silence);
    let targets = ["http://one.test/", "http://two.test/", "http://three.test/"].map(|url| {
        let mut target = target(&definition(url));
        target.timeout = SHORT;
        target
    });
    let settings = ProbeSettings { resolve_timeout: LONG, ..asking(&server) };
    actix_rt::System::new().block_on(async {
        let prober = skypunch::probe::HttpProber::new(
            settings,
            skypunch::secret::SecretPolicy::default(),
            skypunch::clock::Clock::system(),
        )
        .unwrap();
        let [one, two, three] = targets.each_ref().map(|t| prober.probe(t, None));
        let (one, two, three) = tokio::join!(one, two, three);
        for (outcome, trace) in [one, two, three] {
            Found { outcome, trace }.fails(Reason::LocalNetwork).saying("nor for others");
        }
    });
}

#[test]
fn names_are_kept_for_their_time_to_live_and_not_longer() {
    let good = peer::says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let url = format!("http://service.test:{}/", good.address.port());
    for (ttl, questions) in [(60, 2), (0, 6)] {
        let server = peer::name_server(Says::Addresses(vec![Ipv4Addr::LOCALHOST.into()], ttl));
        let found = probe_times(&target(&definition(&url)), asking(&server), 3);
        for f in &found {
            f.passes();
        }
        assert_eq!(server.asked("service.test"), questions, "A and AAAA, ttl {ttl}");
        let cached = found[1].has(|e| matches!(e, Event::Resolved { cached: true, .. }));
        assert_eq!(cached, ttl > 0);
    }
}

#[test]
fn localhost_asks_nobody() {
    let good = peer::says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let server = peer::name_server(Says::Code(3));
    let url = format!("http://localhost:{}/", good.address.port());
    probe_target(&target(&definition(&url)), asking(&server)).passes();
    assert_eq!(server.asked("localhost"), 0);
}

// ---- connect -----------------------------------------------------------------------------------------------------

#[test]
fn connect_refused_by_a_closed_port() {
    let closed = peer::closed_port();
    let found = probe_url(&format!("http://{}/", closed.address), LONG);
    found.fails(Reason::ConnectRefused).saying(&format!("connecting to {}: connection refused after", closed.address));
    assert_eq!(found.outcome.status_code, None);
    assert!(found.has(|e| matches!(e, Event::ConnectFailed { .. })));
}

#[test]
fn connect_unreachable_by_an_address_that_no_route_can_lead_to() {
    for address in ["255.255.255.255", "224.0.0.1"] {
        probe_url(&format!("http://{address}/"), LONG).fails(Reason::ConnectUnreachable);
    }
}

#[test]
fn timeout_connect_at_a_full_accept_queue() {
    let hole = peer::black_hole();
    let found = probe_url(&format!("http://{}/", hole.address), SHORT);
    found.fails(Reason::TimeoutConnect).saying(&hole.address.to_string()).saying("within 500 ms");
    assert!(found.outcome.latency_us >= 500_000, "{}", found.outcome.latency_us);
    assert!(found.has(|e| matches!(e, Event::Connecting { .. })), "the steps so far remain");
}

#[test]
fn the_next_address_is_tried_when_the_first_refuses() {
    let good = peer::says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let addresses = vec!["127.0.0.2".parse().unwrap(), "127.0.0.1".parse().unwrap()];
    let server = peer::name_server(Says::Addresses(addresses, 60));
    let url = format!("http://service.test:{}/", good.address.port());
    let found = probe_target(&target(&definition(&url)), asking(&server));
    found.passes();
    assert!(
        found
            .has(|e| matches!(e, Event::ConnectFailed { address, .. } if address.ip() == IpAddr::from([127, 0, 0, 2])))
    );
    assert!(found.has(|e| matches!(e, Event::Connected { address, .. } if *address == good.address)));
    assert!(found.outcome.phases.connect_us.unwrap() < 240_000, "at once, not after the stagger");
}

#[test]
fn the_next_address_is_tried_beside_one_that_is_silent() {
    let hole = peer::black_hole();
    let port = hole.address.port();
    // The same port on another loopback address, so that one name leads to both.
    let listener = std::net::TcpListener::bind(("127.0.0.3", port)).unwrap();
    let server = std::thread::spawn(move || {
        let (mut tcp, _) = listener.accept().unwrap();
        peer::read_head(&mut tcp);
        std::io::Write::write_all(&mut tcp, b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    });
    let names =
        peer::name_server(Says::Addresses(vec!["127.0.0.1".parse().unwrap(), "127.0.0.3".parse().unwrap()], 60));
    let definition = Definition { pass_result: "204".into(), ..definition(&format!("http://service.test:{port}/")) };
    let found = probe_target(&target(&definition), asking(&names));
    found.passes();
    let connect = found.outcome.phases.connect_us.unwrap();
    assert!((250_000..2_000_000).contains(&connect), "after the stagger: {connect}");
    server.join().unwrap();
}

// ---- before and within the head ----------------------------------------------------------------------------------

#[test]
fn closed_early_after_accept() {
    let found = probe_url(&peer::accepts_and_closes().url(), LONG);
    found.fails(Reason::ClosedEarly).saying("before any answer");
}

#[test]
fn closed_early_after_the_request_was_read() {
    answered("").fails(Reason::ClosedEarly).saying("waiting for the answer").saying("before any answer");
}

#[test]
fn closed_early_within_the_head() {
    answered("HTTP/1.1 200 OK\r\nServer: x").fails(Reason::ClosedEarly).saying("within the head");
}

#[test]
fn reset_instead_of_an_answer() {
    let found = probe_url(&peer::says_and_resets("").url(), LONG);
    found.fails(Reason::Reset).saying("before any answer");
}

#[test]
fn reset_within_the_head() {
    let found = probe_url(&peer::says_and_resets("HTTP/1.1 200 OK\r\nSer").url(), LONG);
    found.fails(Reason::Reset).saying("within the head");
}

#[test]
fn timeout_send_to_a_server_that_never_reads() {
    let server = peer::never_reads();
    let mut target = target(&Definition { method: "POST".into(), ..definition(&server.url()) });
    target.body = Some("x".repeat(32 << 20)); // more than both ends' buffers hold
    target.timeout = Duration::from_secs(1);
    probe_target(&target, ProbeSettings::default()).fails(Reason::TimeoutSend);
}

#[test]
fn timeout_first_byte_of_a_silent_server() {
    let found = stalled("");
    found.fails(Reason::TimeoutFirstByte).saying("within 500 ms");
    assert!(found.has(|e| matches!(e, Event::Sent { bytes } if *bytes > 30)));
    assert!(!found.has(|e| matches!(e, Event::FirstByte)));
}

#[test]
fn timeout_head_when_the_head_stalls() {
    let found = stalled("HTTP/1.1 200 OK\r\nServer: x\r\n");
    found.fails(Reason::TimeoutHead);
    assert!(found.outcome.phases.first_byte_us.is_some());
    assert_eq!(found.outcome.status_code, None);
}

#[test]
fn timeout_head_when_the_head_trickles() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nServer: slow slow slow slow\r\n\r\n";
    probe_url(&peer::trickles(head, Duration::from_millis(20)).url(), SHORT).fails(Reason::TimeoutHead);
}

#[test]
fn a_trickle_that_ends_in_time_passes() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let found = probe_url(&peer::trickles(answer, Duration::from_millis(2)).url(), LONG);
    assert_eq!(found.passes().body(), Some((2, "length", false)));
}

#[test]
fn protocol_when_it_is_not_http() {
    for garbage in [
        "SSH-2.0-OpenSSH_9.2p1 Debian\r\n",
        "ICY 200 OK\r\n\r\n",
        "\u{1b}[2Jgarbage\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
    ] {
        let found = answered(garbage);
        found.fails(Reason::Protocol).saying("not HTTP/1.x").saying("it begins with");
        assert!(!found.text().contains('\u{1b}'));
    }
}

#[test]
fn protocol_when_the_head_is_malformed() {
    for head in [
        "HTTP/1.1 99 x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    ] {
        answered(head).fails(Reason::Protocol);
    }
}

#[test]
fn protocol_when_headers_never_end_or_are_too_many() {
    let endless = peer::never_ends("HTTP/1.1 200 OK\r\n", "X-More: and more\r\n");
    probe_url(&endless.url(), LONG).fails(Reason::Protocol).saying("128 KiB");
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X-More: y\r\n".repeat(150));
    answered(many).fails(Reason::Protocol).saying("96 headers");
    let interim = peer::never_ends("", "HTTP/1.1 100 Continue\r\n\r\n");
    probe_url(&interim.url(), LONG).fails(Reason::Protocol).saying("128 KiB");
}

#[test]
fn protocol_when_a_tls_server_is_spoken_to_without_tls() {
    answered(b"\x15\x03\x03\x00\x02\x02\x46".to_vec()).fails(Reason::Protocol);
}

// ---- the body ----------------------------------------------------------------------------------------------------

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

// ---- answers that are good although odd --------------------------------------------------------------------------

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
fn a_complete_answer_leaves_no_time_wait_and_is_judged_before_the_close() {
    let peer = peer::says_and_stalls("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let found = probe_url(&peer.url(), LONG);
    found.passes();
    let local = found.trace.steps.iter().find_map(|s| match s.event {
        Event::Connected { local, .. } => local,
        _ => None,
    });
    let port = format!(":{:04X} ", local.unwrap().port());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let ours: Vec<&str> = table
        .lines()
        .filter(|l| l.split_whitespace().nth(1).is_some_and(|a| format!("{a} ").ends_with(&port)))
        .filter(|l| l.split_whitespace().nth(3) == Some("06"))
        .collect();
    assert!(ours.is_empty(), "TIME_WAIT: {ours:?}");
}

// ---- redirects ---------------------------------------------------------------------------------------------------

fn redirecting(definition: Definition) -> Found {
    probe(&Definition { redirects: 5, ..definition })
}

fn moved(to: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

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

// ---- TLS ---------------------------------------------------------------------------------------------------------

fn over_tls(config: rustls::ServerConfig, host: &str, ca: Option<&Authority>) -> Found {
    let peer = peer::tls(config);
    let names = peer::name_server(Says::Addresses(vec![Ipv4Addr::LOCALHOST.into()], 60));
    let definition = Definition {
        tls_ca: ca.map(|a| a.file().display().to_string()),
        ..definition(&format!("https://{host}:{}/", peer.address.port()))
    };
    probe_target(&target(&definition), asking(&names))
}

#[test]
fn a_certificate_of_a_given_authority_passes_and_its_end_is_noted() {
    let ca = Authority::new("the test's authority");
    let found = over_tls(ca.sign(&["good.test"], 2060).server(), "good.test", Some(&ca));
    found.passes();
    assert_eq!(found.outcome.certificate_expires_at.unwrap().0, 2_840_140_800_000);
    assert!(found.outcome.phases.tls_us.is_some());
    assert!(found.has(|e| matches!(e, Event::TlsDone { version, .. } if version == "TLSv1.3")), "{}", found.text());
    assert!(
        found.has(|e| matches!(e, Event::Certificate { subject, refused: None, .. } if subject.contains("good.test")))
    );
}

#[test]
fn tls_certificate_expired() {
    let ca = Authority::new("ca");
    let found = over_tls(ca.sign(&["good.test"], 2010).server(), "good.test", Some(&ca));
    found.fails(Reason::TlsCertificate).saying("the certificate expired 2010-01-01 00:00:00 UTC");
    assert_eq!(found.outcome.certificate_expires_at.unwrap().0, 1_262_304_000_000, "also of one that was refused");
    assert!(found.has(|e| matches!(e, Event::Certificate { refused: Some(_), .. })));
}

#[test]
fn tls_certificate_of_another_host() {
    let ca = Authority::new("ca");
    over_tls(ca.sign(&["other.test"], 2060).server(), "good.test", Some(&ca))
        .fails(Reason::TlsCertificate)
        .saying("not for good.test, only for other.test");
}

#[test]
fn tls_certificate_self_signed() {
    let ca = Authority::new("ca");
    over_tls(self_signed(&["good.test"]).server(), "good.test", Some(&ca))
        .fails(Reason::TlsCertificate)
        .saying("self-signed");
}

#[test]
fn tls_certificate_of_an_unknown_authority() {
    let (known, unknown) = (Authority::new("known"), Authority::new("unknown authority"));
    let found = over_tls(unknown.sign(&["good.test"], 2060).server(), "good.test", Some(&known));
    found.fails(Reason::TlsCertificate).saying("no trusted authority").saying("unknown authority");
    // The system's authorities do not know it either.
    over_tls(unknown.sign(&["good.test"], 2060).server(), "good.test", None).fails(Reason::TlsCertificate);
}

#[test]
fn skipping_verification_and_another_server_name() {
    let ca = Authority::new("ca");
    let peer = peer::tls(ca.sign(&["inside.test"], 2010).server());
    let url = format!("https://{}/", peer.address);
    let found = probe(&Definition { tls_verify: false, ..definition(&url) });
    found.passes();
    assert!(found.has(|e| matches!(e, Event::Certificate { unverified: true, refused: None, .. })));
    assert!(found.outcome.certificate_expires_at.is_some());
    let peer = peer::tls(ca.sign(&["inside.test"], 2060).server());
    let definition = Definition {
        tls_ca: Some(ca.file().display().to_string()),
        tls_server_name: Some("inside.test".into()),
        ..definition(&format!("https://{}/", peer.address))
    };
    probe(&definition).passes();
}

#[test]
fn tls_handshake_with_a_server_that_speaks_plain_http() {
    let peer = peer::after_hello(|mut tcp| {
        std::io::Write::write_all(&mut tcp, b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        peer::hold(tcp);
    });
    probe_url(&format!("https://{}/", peer.address), LONG).fails(Reason::TlsHandshake).saying("not TLS");
}

#[test]
fn tls_handshake_closed_or_reset() {
    let closes = peer::after_hello(|tcp| {
        tcp.shutdown(std::net::Shutdown::Write).unwrap();
        peer::hold(tcp);
    });
    probe_url(&format!("https://{}/", closes.address), LONG).fails(Reason::TlsHandshake).saying("closed");
    let resets = peer::after_hello(peer::reset);
    probe_url(&format!("https://{}/", resets.address), LONG).fails(Reason::TlsHandshake).saying("reset");
}

#[test]
fn tls_handshake_refused_by_an_alert() {
    let peer = peer::after_hello(|mut tcp| {
        std::io::Write::write_all(&mut tcp, b"\x15\x03\x03\x00\x02\x02\x28").unwrap();
        peer::hold(tcp);
    });
    probe_url(&format!("https://{}/", peer.address), LONG).fails(Reason::TlsHandshake).saying("HandshakeFailure");
}

#[test]
fn tls_handshake_without_the_client_certificate_that_is_demanded() {
    let ca = Authority::new("ca");
    let identity = ca.sign(&["good.test"], 2060);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        over_tls(ca.demand_client(&identity, version), "good.test", Some(&ca))
            .fails(Reason::TlsHandshake)
            .saying("client certificate");
    }
}

#[test]
fn timeout_tls_with_a_silent_server() {
    let peer = peer::after_hello(peer::hold);
    let found = probe_url(&format!("https://{}/", peer.address), SHORT);
    found.fails(Reason::TimeoutTls);
    assert!(found.outcome.phases.connect_us.is_some() && found.outcome.phases.tls_us.is_none());
}

#[test]
fn tls_without_a_farewell_is_whole_by_length_and_noted_otherwise() {
    let ca = Authority::new("ca");
    for (text, farewell, noted) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", false, false),
        ("HTTP/1.1 200 OK\r\n\r\nok", true, false),
        ("HTTP/1.1 200 OK\r\n\r\nok", false, true),
    ] {
        let peer = peer::tls_says(ca.sign(&["127.0.0.1"], 2060).server(), text, farewell);
        let found = probe(&Definition {
            tls_ca: Some(ca.file().display().to_string()),
            ..definition(&format!("https://{}/", peer.address))
        });
        assert_eq!(found.passes().outcome.body_bytes, 2);
        assert_eq!(found.has(|e| matches!(e, Event::Note { .. })), noted, "{text:?}");
    }
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok";
    let peer = peer::tls_says(ca.sign(&["127.0.0.1"], 2060).server(), cut, false);
    let definition = Definition { tls_verify: false, ..definition(&format!("https://{}/", peer.address)) };
    probe(&definition).fails(Reason::ClosedEarly).saying("after 2 of 9 bytes");
}

#[test]
fn auth_config_when_the_authorities_cannot_be_read() {
    let peer = peer::after_hello(peer::hold);
    let definition =
        Definition { tls_ca: Some("/nowhere/ca.pem".into()), ..definition(&format!("https://{}/", peer.address)) };
    probe(&definition).fails(Reason::AuthConfig).saying("/nowhere/ca.pem").saying("tls_ca");
}

#[test]
fn an_authority_that_is_exchanged_is_seen() {
    let (old, new) = (Authority::new("old one"), Authority::new("new"));
    let peer = peer::tls(new.sign(&["127.0.0.1"], 2060).server());
    let target: Target = target(&Definition {
        tls_ca: Some(old.file().display().to_string()),
        ..definition(&format!("https://{}/", peer.address))
    });
    actix_rt::System::new().block_on(async {
        let prober = skypunch::probe::HttpProber::new(
            ProbeSettings::default(),
            skypunch::secret::SecretPolicy::default(),
            skypunch::clock::Clock::system(),
        )
        .unwrap();
        assert_eq!(prober.probe(&target, None).await.0.reason, Some(Reason::TlsCertificate));
        std::fs::copy(new.file(), old.file()).unwrap();
        assert_eq!(prober.probe(&target, None).await.0.reason, None);
    });
}

// ---- secrets -----------------------------------------------------------------------------------------------------

#[test]
fn auth_config_when_a_reference_does_not_resolve() {
    let peer = peer::says(OK);
    for (authn, parms, named) in [
        ("BASIC", "user=me,password=${env:SKYPUNCH_NOT_ALLOWED}", "SKYPUNCH_NOT_ALLOWED"),
        ("BEARER", "token=${file:/etc/passwd}", "/etc/passwd"),
    ] {
        let found = probe(&Definition {
            authn: authn.into(),
            authn_parms: Some(Secret::new(parms)),
            ..definition(&peer.url())
        });
        found.fails(Reason::AuthConfig).saying(named);
    }
    assert!(peer.requests().is_empty(), "nothing was sent");
}

#[test]
fn secrets_never_show_whatever_the_server_does() {
    const PASSWORD: &str = "hunter2-and-more";
    const ENCODED: &str = "bWU6aHVudGVyMi1hbmQtbW9yZQ=="; // me:hunter2-and-more
    const KEY: &str = "k3y-of-the-api";
    type Vice = fn(&str) -> String;
    let vices: [(Vice, Reason); 6] = [
        (|request| request.to_owned(), Reason::Protocol), // an echo
        (|_| format!("{PASSWORD} {ENCODED} {KEY}\r\n\r\n"), Reason::Protocol),
        (|_| format!("HTTP/1.1 500 {PASSWORD}\r\nX-Auth: {ENCODED}\r\nContent-Length: 0\r\n\r\n"), Reason::Status),
        (|_| moved(&format!("gopher://{KEY}/{PASSWORD}")), Reason::Redirect),
        (|_| moved(&format!("http://{PASSWORD}.{KEY}.test/")), Reason::Redirect),
        (|_| moved(&format!("/?{ENCODED}&{KEY}&{PASSWORD}")), Reason::Redirect),
    ];
    for (vice, reason) in vices {
        let peer = peer::serve(move |mut caller| {
            let request = caller.read_request();
            std::io::Write::write_all(&mut caller.tcp, vice(&request).as_bytes()).unwrap();
            caller.tcp.shutdown(std::net::Shutdown::Write).unwrap();
            peer::hold(caller.tcp);
        });
        let found = redirecting(Definition {
            authn: "BASIC".into(),
            authn_parms: Some(Secret::new(format!("user=me,password={PASSWORD}"))),
            headers: Some(format!("X-Api-Key: {KEY}")),
            ..definition(&peer.url())
        });
        found.fails(reason);
        assert!(peer.requests()[0].contains(ENCODED) && peer.requests()[0].contains(KEY), "they were sent");
        let everything = found.everything();
        for secret in [PASSWORD, ENCODED, KEY, "hunter2", "aHVudGVy"] {
            assert!(!everything.contains(secret), "{secret} shows: {everything}");
        }
    }
}

#[test]
fn a_bearer_token_is_sent_and_never_shown() {
    let peer = peer::says("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    let found = probe(&Definition {
        authn: "BEARER".into(),
        authn_parms: Some(Secret::new("token=t0ken-of-the-test")),
        ..definition(&peer.url())
    });
    found.fails(Reason::Status);
    assert!(peer.requests()[0].to_lowercase().contains("authorization: bearer t0ken-of-the-test"));
    assert!(!found.everything().contains("t0ken"));
    assert!(found.has(|e| matches!(e, Event::Auth { kind } if kind == "BEARER")));
}

// ---- live steps --------------------------------------------------------------------------------------------------

#[test]
fn steps_are_told_as_they_happen_and_agree_with_the_trace() {
    let peer = peer::says(OK);
    let target = target(&definition(&peer.url()));
    actix_rt::System::new().block_on(async {
        let prober = skypunch::probe::HttpProber::new(
            ProbeSettings::default(),
            skypunch::secret::SecretPolicy::default(),
            skypunch::clock::Clock::system(),
        )
        .unwrap();
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let (outcome, trace) = prober.probe(&target, Some(sender)).await;
        assert_eq!(outcome.description, "OK");
        let mut told = Vec::new();
        while let Some(step) = receiver.recv().await {
            told.push(step);
        }
        assert_eq!(told, trace.steps);
        // A listener that has gone disturbs nothing.
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        drop(receiver);
        assert_eq!(prober.probe(&target, Some(sender)).await.0.reason, None);
    });
}
