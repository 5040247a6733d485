//! TLS that fails, and TLS that is good: each against a real peer.

use std::net::Ipv4Addr;
use std::time::Duration;

use skypunch::clock::Clock;
use skypunch::model::definition::Definition;
use skypunch::model::reason::Reason;
use skypunch::model::target::Target;
use skypunch::model::time::UtcMs;
use skypunch::model::trace::Event;
use skypunch::probe::{HttpProber, ProbeSettings};
use skypunch::secret::SecretPolicy;

use crate::certificates::{Authority, self_signed, self_signed_authority};
use crate::misbehaving::{self as peer, Says};
use crate::probing::{Found, definition, fifo, probe, probe_target, probe_url, target};

use crate::probe_reasons::{LONG, SHORT, asking};

// ---- TLS -------------------------------------------------------------------------------------------------------------

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
    assert!(
        found.has(
            |e| matches!(e, Event::TlsDone { version, cipher } if version == "TLSv1.3" && cipher.starts_with("TLS_"))
        ),
        "{}",
        found.text()
    );
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
        .saying("self-signed (give it as tls_ca to trust it)");
}

#[test]
fn a_self_signed_certificate_that_is_given_is_trusted_for_its_names_and_dates_only() {
    let good = || self_signed_authority(&["good.test"], 2060);
    for identity in [good(), self_signed(&["good.test"])] {
        let ca = Authority::new("another");
        identity.add_to(&ca);
        let found = over_tls(identity.server(), "good.test", Some(&ca));
        found.passes();
        assert!(found.has(|e| matches!(e, Event::Certificate { refused: None, unverified: false, .. })));
        over_tls(identity.server(), "other.test", Some(&ca))
            .fails(Reason::TlsCertificate)
            .saying("not for other.test, only for good.test");
    }
    let (expired, ca) = (self_signed_authority(&["good.test"], 2010), Authority::new("another"));
    expired.add_to(&ca);
    over_tls(expired.server(), "good.test", Some(&ca))
        .fails(Reason::TlsCertificate)
        .saying("the certificate expired 2010-01-01 00:00:00 UTC");
    // Another of the same name, with another key, is not the one that was given.
    let (given, shown, ca) = (good(), good(), Authority::new("another"));
    given.add_to(&ca);
    for ca in [Some(&ca), Some(&Authority::new("another")), None] {
        over_tls(shown.server(), "good.test", ca)
            .fails(Reason::TlsCertificate)
            .saying("self-signed (give it as tls_ca to trust it)");
    }
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
fn auth_config_when_tls_ca_is_no_file_of_certificates_and_nobody_else_waits() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let file = |name: &str, size: usize| {
        std::fs::write(dir.path().join(name), vec![b'a'; size]).unwrap();
        dir.path().join(name)
    };
    let good = peer::says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let peer = peer::after_hello(peer::hold);
    for (path, said) in [
        ("/dev/zero".into(), "not a regular file"),
        (fifo(dir.path()), "not a regular file"),
        (dir.path().to_owned(), "a directory"),
        (file("large", 2 << 20), "larger than 1024 KiB"),
        (file("empty", 0), "no certificate"),
        (closed(file("closed", 9)), "not everybody on this machine may read it"),
        (file("no-pem", 9), "no certificate"),
    ] {
        let path = path.display().to_string();
        let bad =
            target(&Definition { tls_ca: Some(path.clone()), ..definition(&format!("https://{}/", peer.address)) });
        let good = target(&definition(&good.url()));
        actix_rt::System::new().block_on(async {
            let prober = HttpProber::new(ProbeSettings::default(), SecretPolicy::default(), Clock::system()).unwrap();
            let ((outcome, trace), other) = tokio::join!(prober.probe(&bad, None), prober.probe(&good, None));
            assert_eq!(other.0.reason, None);
            Found { outcome, trace }.fails(Reason::AuthConfig).saying(&path).saying(said).saying("tls_ca");
        });
    }
}

/// Only its owner may read it.
fn closed(path: std::path::PathBuf) -> std::path::PathBuf {
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    path
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
        let clock = Clock::manual(UtcMs(0));
        let prober = HttpProber::new(ProbeSettings::default(), SecretPolicy::default(), clock.clone()).unwrap();
        assert_eq!(prober.probe(&target, None).await.0.reason, Some(Reason::TlsCertificate));
        std::fs::copy(new.file(), old.file()).unwrap();
        clock.advance(Duration::from_secs(3));
        assert_eq!(prober.probe(&target, None).await.0.reason, None);
        // A file that has gone is seen as well, but not looked for at each probe.
        std::fs::remove_file(old.file()).unwrap();
        assert_eq!(prober.probe(&target, None).await.0.reason, None);
        clock.advance(Duration::from_secs(3));
        assert_eq!(prober.probe(&target, None).await.0.reason, Some(Reason::AuthConfig));
    });
}
