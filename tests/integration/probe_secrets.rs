//! Secrets are sent and never shown; steps are told as they happen.

use skypunch::clock::Clock;
use skypunch::model::definition::Definition;
use skypunch::model::reason::Reason;
use skypunch::model::trace::Event;
use skypunch::probe::{HttpProber, ProbeSettings};
use skypunch::secret::{Secret, SecretPolicy};

use crate::misbehaving::{self as peer};
use crate::probe_answers::{OK, moved, redirecting};
use crate::probing::{Found, definition, fifo, probe, target};

// ---- secrets ---------------------------------------------------------------------------------------------------------

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
fn auth_config_when_a_secret_s_file_is_a_fifo_and_nobody_else_waits() {
    let dir = tempfile::tempdir().unwrap();
    let file = fifo(dir.path());
    std::fs::write(dir.path().join("token"), "t0ken-of-the-file\n").unwrap();
    let peer = peer::says(OK);
    let bearer = |path: &std::path::Path| {
        target(&Definition {
            authn: "BEARER".into(),
            authn_parms: Some(Secret::new(format!("token=${{file:{}}}", path.display()))),
            ..definition(&peer.url())
        })
    };
    let targets = [bearer(&file), bearer(&dir.path().join("token")), target(&definition(&peer.url()))];
    let policy = SecretPolicy { folders: vec![dir.path().to_owned()], ..SecretPolicy::default() };
    actix_rt::System::new().block_on(async {
        let prober = HttpProber::new(ProbeSettings::default(), policy, Clock::system()).unwrap();
        let [bad, token, plain] = targets.each_ref().map(|t| prober.probe(t, None));
        let ((outcome, trace), token, plain) = tokio::join!(bad, token, plain);
        Found { outcome, trace }.fails(Reason::AuthConfig).saying("`token`").saying("it is not a regular file");
        assert_eq!((token.0.reason, plain.0.reason), (None, None));
    });
    let requests = peer.requests();
    assert_eq!(requests.len(), 2, "nothing was sent without its token");
    assert!(requests.iter().any(|r| r.to_lowercase().contains("authorization: bearer t0ken-of-the-file")));
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

// ---- live steps ------------------------------------------------------------------------------------------------------

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
