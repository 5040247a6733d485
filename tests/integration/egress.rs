//! The egress policy at real sockets: 127.0.0.2 is denied, 127.0.0.1 is not, and somebody listens at both.

use std::io::Write;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use skypunch::clock::Clock;
use skypunch::model::credential::Login;
use skypunch::model::definition::Definition;
use skypunch::model::egress::{AddressList, Caller, EgressPolicy};
use skypunch::model::notifier::Notifier;
use skypunch::model::params;
use skypunch::model::reason::Reason;
use skypunch::model::trace::Event;
use skypunch::net::{EgressSource, ResolverSettings};
use skypunch::notify::catalogue::Catalogue;
use skypunch::notify::channel::Channels;
use skypunch::notify::{Course, SendResult};
use skypunch::openstack::IdentityError;
use skypunch::openstack::client::{IdentityClient, Wanted};
use skypunch::probe::recorder::Recorder;
use skypunch::probe::{HttpProber, ProbeSettings};
use skypunch::secret::{Secret, SecretPolicy};

use crate::mail::{Told, fail, notifier};
use crate::misbehaving::{self as peer, Peer, Says};
use crate::probe_answers::{OK, moved};
use crate::probing::{Found, definition, probe, probe_target, target};

const DENIED: [u8; 4] = [127, 0, 0, 2];

fn list(text: &str) -> AddressList {
    AddressList::parse(text.split(',').filter(|e| !e.is_empty())).unwrap()
}

fn denying(deny: &str) -> EgressPolicy {
    EgressPolicy { deny: list(deny), ..EgressPolicy::default() }
}

fn with(policy: EgressPolicy) -> ProbeSettings {
    ProbeSettings { egress: EgressSource::fixed(policy), ..ProbeSettings::default() }
}

/// Answers 200 at the address that is denied.
fn forbidden() -> Peer {
    peer::serve_on(IpAddr::from(DENIED), |mut caller| {
        caller.read_request();
        if caller.tcp.write_all(OK.as_bytes()).is_ok() {
            peer::hold(caller.tcp);
        }
    })
}

/// No attempt was made to reach an address.
#[track_caller]
fn never_tried(found: &Found, ip: IpAddr) {
    let tried = |e: &Event| match e {
        Event::Connecting { address } | Event::Connected { address, .. } => address.ip() == ip,
        _ => false,
    };
    assert!(!found.has(tried), "{}", found.text());
    let told = |e: &Event| matches!(e, Event::ConnectFailed { address, error } if address.ip() == ip && error.contains("in [egress] deny"));
    assert!(found.has(told), "{}", found.text());
}

#[test]
fn egress_denied_at_an_address_in_the_url() {
    let server = forbidden();
    let settings = || with(denying("127.0.0.2/32"));
    let port = server.address.port();
    for host in ["127.0.0.2", "[::ffff:127.0.0.2]", "0x7f.2", "2130706434"] {
        let found = probe_target(&target(&definition(&format!("http://{host}:{port}/"))), settings());
        found
            .fails(Reason::EgressDenied)
            .saying("denied by 127.0.0.2 in [egress] deny")
            .saying("write 127.0.0.2 into the target's egress_allow or [egress] allow");
    }
    let found = probe_target(&target(&definition(&server.url())), settings());
    assert!(found.outcome.description.starts_with(&format!("connecting to {}: denied by", server.address)));
    never_tried(&found, IpAddr::from(DENIED));
    assert_eq!(server.requests(), [""; 0]);
    probe(&definition(&server.url())).passes();
}

#[test]
fn egress_denied_by_default_for_metadata_and_nothing_is_sent() {
    for url in ["http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/", "http://[64:ff9b::a9fe:a9fe]/"] {
        let found = probe(&definition(url));
        found.fails(Reason::EgressDenied).saying("denied by metadata (");
        assert!(!found.has(|e| matches!(e, Event::Connecting { .. })), "{}", found.text());
    }
    probe(&definition("http://[fe80::1]/")).fails(Reason::EgressDenied).saying("denied by link-local (fe80::/10)");
}

#[test]
fn egress_denied_behind_a_redirect() {
    let server = forbidden();
    let to = server.url();
    let first = peer::routes(move |_| moved(&to));
    let follows = Definition { redirects: 3, ..definition(&first.url()) };
    let found = probe_target(&target(&follows), with(denying("127.0.0.2")));
    found.fails(Reason::EgressDenied).saying(&server.address.to_string());
    never_tried(&found, IpAddr::from(DENIED));
    assert_eq!((first.requests().len(), server.requests().len()), (1, 0));
    probe_target(&target(&follows), with(denying("127.0.0.3"))).passes();
    let allowed = Definition { egress_allow: Some("127.0.0.0/8".into()), ..follows };
    probe_target(&target(&allowed), with(denying("127.0.0.2"))).passes();
}

#[test]
fn egress_denied_at_every_address_of_a_name() {
    let server = forbidden();
    let ips = ["127.0.0.2", "127.0.0.3", "::1"].map(|ip| ip.parse().unwrap());
    let names = peer::name_server(Says::Addresses(ips.to_vec(), 60));
    let url = format!("http://service.test:{}/", server.address.port());
    let settings = ProbeSettings { name_servers: Some(vec![names.address]), ..with(denying("loopback")) };
    let found = probe_target(&target(&definition(&url)), settings);
    found
        .fails(Reason::EgressDenied)
        .saying("127.0.0.2")
        .saying("127.0.0.3")
        .saying("[::1]")
        .saying("loopback (127.0.0.0/8)");
    for ip in ips {
        never_tried(&found, ip);
    }
    assert!(found.outcome.phases.connect_us.is_none());
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn an_address_that_is_denied_leaves_the_others_of_its_name() {
    let good = peer::says(OK);
    let url = format!("http://service.test:{}/", good.address.port());
    let names = peer::name_server(Says::Addresses(vec![IpAddr::from(DENIED), good.address.ip()], 60));
    let settings = || ProbeSettings { name_servers: Some(vec![names.address]), ..with(denying("127.0.0.2")) };
    let found = probe_target(&target(&definition(&url)), settings());
    found.passes();
    never_tried(&found, IpAddr::from(DENIED));
    assert!(found.outcome.phases.connect_us.unwrap() < 240_000, "the next one at once, not after the stagger");
    // What the other one says is what the target did.
    let closed = peer::closed_port();
    let url = format!("http://service.test:{}/", closed.address.port());
    let found = probe_target(&target(&definition(&url)), settings());
    found.fails(Reason::ConnectRefused).saying("denied by 127.0.0.2").saying("connection refused");
}

/// A name that leads to a good address when it is looked at, and elsewhere a moment later.
#[test]
fn egress_denied_when_a_name_is_bound_anew() {
    // A port that is free at both addresses.
    let (server, good) = loop {
        let server = forbidden();
        if let Ok(good) = std::net::TcpListener::bind(("127.0.0.1", server.address.port())) {
            break (server, good);
        }
    };
    let port = server.address.port();
    let answering = std::thread::spawn(move || {
        let (mut tcp, _) = good.accept().unwrap();
        peer::read_head(&mut tcp);
        tcp.write_all(OK.as_bytes()).unwrap();
        peer::hold(tcp);
    });
    let names = peer::name_server(Says::Addresses(vec![[127, 0, 0, 1].into()], 0));
    let settings = ProbeSettings { name_servers: Some(vec![names.address]), ..with(denying("127.0.0.2")) };
    let target = target(&definition(&format!("http://service.test:{port}/")));
    actix_rt::System::new().block_on(async {
        let prober = HttpProber::new(settings, SecretPolicy::default(), Clock::system()).unwrap();
        let (outcome, trace) = prober.probe(&target, None).await;
        Found { outcome, trace }.passes();
        names.say(Says::Addresses(vec![IpAddr::from(DENIED)], 0));
        let (outcome, trace) = prober.probe(&target, None).await;
        let found = Found { outcome, trace };
        found.fails(Reason::EgressDenied);
        never_tried(&found, IpAddr::from(DENIED));
    });
    answering.join().unwrap();
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn a_target_may_go_where_its_own_list_and_the_settings_let_it() {
    let server = forbidden();
    let own = Definition { egress_allow: Some("private, 127.0.0.2".into()), ..definition(&server.url()) };
    probe_target(&target(&own), with(denying("loopback"))).passes();
    let policy = EgressPolicy { allow: list("127.0.0.0/8"), ..denying("all") };
    probe_target(&target(&definition(&server.url())), with(policy)).passes();
    let policy = || EgressPolicy { target_allow: list("private"), ..denying("loopback") };
    probe_target(&target(&own), with(policy()))
        .fails(Reason::EgressDenied)
        .saying("denied by loopback (127.0.0.0/8)")
        .saying("the target's egress_allow has it, but [egress] target_allow does not let targets have it");
    probe_target(&target(&definition(&server.url())), with(policy()))
        .fails(Reason::EgressDenied)
        .saying("write 127.0.0.2 into [egress] allow");
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn another_policy_is_in_force_at_the_next_probe() {
    let server = forbidden();
    let target = target(&definition(&server.url()));
    let (change, egress) = EgressSource::changing(denying("127.0.0.2"));
    actix_rt::System::new().block_on(async {
        let settings = ProbeSettings { egress, ..ProbeSettings::default() };
        let prober = HttpProber::new(settings, SecretPolicy::default(), Clock::system()).unwrap();
        for (deny, reason) in
            [(None, Some(Reason::EgressDenied)), (Some(""), None), (Some("all"), Some(Reason::EgressDenied))]
        {
            if let Some(deny) = deny {
                change.send_replace(Arc::new(denying(deny)));
            }
            let (outcome, _) = prober.probe(&target, None).await;
            assert_eq!(outcome.reason, reason, "{}", outcome.description);
        }
    });
}

// ---- logins ----------------------------------------------------------------------------------------------------------

fn log_in(url: &str, policy: EgressPolicy, caller: Caller<'_>) -> IdentityError {
    let login =
        Login::from_params(params::parse(&format!("auth_url={url},user_id=u,password=hunter2")).unwrap()).unwrap();
    actix_rt::System::new().block_on(async {
        let clock = Clock::system();
        let prober = HttpProber::new(with(policy), SecretPolicy::default(), clock.clone()).unwrap();
        let secrets = Arc::new(SecretPolicy::default());
        let client = IdentityClient { prober: &prober, secrets: &secrets, timeout: Duration::from_secs(10), caller };
        let recorder = Rc::new(Recorder::new(clock, None));
        client.log_in(&login, Wanted { serial: 1, catalog: true, base: None }, &recorder).await.unwrap_err()
    })
}

#[test]
fn egress_denied_at_an_identity_service() {
    let server = forbidden();
    // Discovery, and a login whose place is known.
    for (path, doing) in [("", "asking http"), ("v3", "logging in at http")] {
        let e = log_in(&format!("{}{path}", server.url()), denying("127.0.0.2"), Caller::Shared);
        assert_eq!(e.reason, Reason::EgressDenied, "{e}");
        assert!(
            e.sentence.starts_with(doing)
                && e.sentence.contains("denied by 127.0.0.2 in [egress] deny; if that is meant"),
            "{e}"
        );
        assert!(!e.sentence.contains("egress_allow"), "there is no target that could allow it: {e}");
    }
    assert_eq!(server.requests(), [""; 0]);
    // The one that a target has for itself alone goes where the target may; what is said there is no token.
    let own = list("127.0.0.2");
    let e = log_in(&format!("{}v3", server.url()), denying("127.0.0.2"), Caller::Target(Some(&own)));
    assert_eq!((e.reason, server.requests().len()), (Reason::IdentityUnreachable, 1), "{e}");
}

/// Discovery leads to an address that is denied: what the first answer says is followed no further.
#[test]
fn egress_denied_where_discovery_leads_to() {
    let server = forbidden();
    let there = format!("{}v3/", server.url());
    let first = peer::routes(move |_| {
        let body = format!(
            r#"{{"versions": {{"values": [{{"id": "v3.14", "status": "stable", "links": [{{"rel": "self", "href": "{there}"}}]}}]}}}}"#
        );
        format!("HTTP/1.1 300 X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    });
    let e = log_in(&first.url(), denying("127.0.0.2"), Caller::Shared);
    assert_eq!((e.reason, first.requests().len()), (Reason::EgressDenied, 1), "{e}");
    assert_eq!(server.requests(), [""; 0]);
}

// ---- notifiers -------------------------------------------------------------------------------------------------------

fn channels(egress: EgressSource) -> Channels {
    let (catalogue, problems) = Catalogue::load(None);
    assert!(problems.is_empty());
    Channels::new(Arc::new(catalogue), ResolverSettings::default(), egress, Arc::default(), Clock::system())
}

/// Sends, and gives why it was put off.
async fn put_off(channels: &Channels, notifier: &Notifier) -> String {
    let told = Told::default();
    match channels.send(notifier, &fail(), &mut Course::default(), &told).await {
        SendResult::Transient { why, after: None } => why,
        other => panic!("{other:?}: {}", told.text()),
    }
}

#[test]
fn a_webhook_at_a_denied_address_is_put_off_until_it_is_allowed() {
    let server = forbidden();
    let webhook = Notifier { kind: "WEBHOOK".into(), params: Vec::new(), ..notifier(&server.url(), &Secret::new("")) };
    actix_rt::System::new().block_on(async {
        let (change, egress) = EgressSource::changing(denying("127.0.0.2"));
        let channels = channels(egress);
        let why = put_off(&channels, &webhook).await;
        assert!(why.contains("denied by 127.0.0.2 in [egress] deny; if that is meant"), "{why}");
        assert!(!why.contains("egress_allow"), "{why}");
        let reached = channels.reach(&webhook, "mon", Duration::from_secs(5)).await.unwrap_err();
        assert!(reached.contains("denied by 127.0.0.2"), "{reached}");
        assert_eq!(server.requests(), [""; 0]);
        change.send_replace(Arc::new(EgressPolicy { allow: list("127.0.0.2"), ..denying("127.0.0.2") }));
        let sent = channels.send(&webhook, &fail(), &mut Course::default(), &()).await;
        assert!(matches!(sent, SendResult::Sent { .. }), "{sent:?}");
        assert_eq!(server.requests().len(), 1);
    });
}

#[test]
fn mail_goes_to_no_denied_address_not_even_over_a_connection_that_waits() {
    let server = crate::daemon::MailServer::start();
    let mail = notifier("ops@example.com", &Secret::new(server.params()));
    actix_rt::System::new().block_on(async {
        let (change, egress) = EgressSource::changing(EgressPolicy::default());
        let channels = channels(egress);
        let told = Told::default();
        for n in 1..=2 {
            let sent = channels.send(&mail, &fail(), &mut Course::default(), &told).await;
            assert!(matches!(sent, SendResult::Sent { .. }), "{sent:?}");
            assert_eq!(server.mails().len(), n);
        }
        assert!(told.text().contains("using the open connection"), "{}", told.text());
        change.send_replace(Arc::new(denying("loopback")));
        let why = put_off(&channels, &mail).await;
        assert!(why.contains("denied by loopback (127.0.0.0/8) in [egress] deny"), "{why}");
        let reached = channels.reach(&mail, "mon", Duration::from_secs(5)).await.unwrap_err();
        assert!(reached.contains("denied by loopback"), "{reached}");
        assert_eq!(server.mails().len(), 2);
    });
}
