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

use crate::misbehaving::{self as peer, Says};
use crate::probing::{Found, definition, probe_target, probe_times, probe_url, target};

/// Long enough for whatever answers at once on a busy machine.
pub const LONG: Duration = Duration::from_secs(10);
/// For tests that run into it.
pub const SHORT: Duration = Duration::from_millis(500);

pub fn answered(bytes: impl Into<Vec<u8>>) -> Found {
    probe_url(&peer::says(bytes).url(), LONG)
}

pub fn stalled(bytes: &'static str) -> Found {
    probe_url(&peer::says_and_stalls(bytes).url(), SHORT)
}

// ---- dns, timeout_resolve, local_network -----------------------------------------------------------------------------

pub fn asking(server: &peer::NameServer) -> ProbeSettings {
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

// ---- connect ---------------------------------------------------------------------------------------------------------

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

// ---- before and within the head --------------------------------------------------------------------------------------

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

/// A body of more than both ends' buffers hold.
const MUCH: usize = 32 << 20;

fn sending_much_to(url: &str) -> Target {
    let mut target = target(&Definition { method: "POST".into(), tls_verify: false, ..definition(url) });
    target.body = Some("x".repeat(MUCH));
    target.timeout = Duration::from_secs(1);
    target
}

#[test]
fn timeout_send_to_a_server_that_never_reads() {
    let found = probe_target(&sending_much_to(&peer::never_reads().url()), ProbeSettings::default());
    found.fails(Reason::TimeoutSend).saying("not taken within 1.00 s");
    assert!((1_000_000..3_000_000).contains(&found.outcome.latency_us), "the deadline holds: {}", found.text());
}

#[test]
fn timeout_send_to_a_server_that_stops_reading_within_the_body() {
    let server = peer::stops_reading(4 << 20);
    let found = probe_target(&sending_much_to(&server.url()), ProbeSettings::default());
    found.fails(Reason::TimeoutSend);
    assert!((1_000_000..3_000_000).contains(&found.outcome.latency_us), "the deadline holds: {}", found.text());
}

#[test]
fn timeout_send_over_tls() {
    let server = peer::tls_stops_reading(crate::certificates::self_signed(&["127.0.0.1"]).server());
    let found = probe_target(&sending_much_to(&format!("https://{}/", server.address)), ProbeSettings::default());
    found.fails(Reason::TimeoutSend);
    assert!((1_000_000..3_000_000).contains(&found.outcome.latency_us), "the deadline holds: {}", found.text());
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
    let found = probe_url(&interim.url(), LONG);
    found.fails(Reason::Protocol).saying("more than 32 interim answers");
    assert!(found.trace.steps.len() < 50, "{} steps", found.trace.steps.len());
}

#[test]
fn protocol_when_a_tls_server_is_spoken_to_without_tls() {
    answered(b"\x15\x03\x03\x00\x02\x02\x46".to_vec()).fails(Reason::Protocol);
}
