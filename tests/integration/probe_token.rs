//! Probes of OPENSTACK targets: the token that is sent, the one login more after a 401, the URL out of the catalog.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use skypunch::clock::Clock;
use skypunch::model::catalog::{Catalog, CatalogEndpoint};
use skypunch::model::definition::Definition;
use skypunch::model::reason::Reason;
use skypunch::model::target::Target;
use skypunch::model::token::{Holder, Token};
use skypunch::model::trace::Event;
use skypunch::net::Observer;
use skypunch::probe::{HttpProber, IdentityFailure, Preferences, ProbeSettings, Tokens};
use skypunch::secret::{Secret, SecretPolicy};

use crate::misbehaving::{self as peer, Peer};
use crate::probe_answers::{OK, moved};
use crate::probing::{Found, definition, target};

/// What a login does.
#[derive(Debug, Clone, Copy, Default)]
enum Login {
    #[default]
    Good,
    Takes(Duration),
    Hangs,
    Rejected,
}

/// Tokens without an identity service: the n-th login gives [`value`] of n.
#[derive(Debug, Default)]
struct Keeper {
    present: RefCell<Option<Arc<Token>>>,
    failing: Cell<bool>,
    /// Another target's login brings a newer token as soon as this one is given.
    stale: Cell<bool>,
    login: Cell<Login>,
    catalog: RefCell<Option<Arc<Catalog>>>,
    serial: Cell<u64>,
    asked: Cell<u32>,
    logins: Cell<u32>,
    doubted: Cell<u32>,
}

fn value(serial: u64) -> String {
    format!("gAAAAABrApJY{serial}bivsDiIrAsJws2W-QZOtXk9")
}

fn rejected() -> IdentityFailure {
    IdentityFailure { reason: Reason::IdentityRejected, sentence: "Keystone says no to probe".into() }
}

impl Keeper {
    /// With a token at hand, for that catalog.
    fn with_token(catalog: Option<Catalog>) -> Rc<Keeper> {
        let keeper = Keeper::default();
        *keeper.catalog.borrow_mut() = catalog.map(Arc::new);
        keeper.issue();
        Rc::new(keeper)
    }

    fn issue(&self) -> Arc<Token> {
        self.serial.set(self.serial.get() + 1);
        let token = Arc::new(Token {
            value: Secret::new(value(self.serial.get())),
            serial: self.serial.get(),
            lifetime: Duration::from_secs(3600),
            catalog: self.catalog.borrow().clone(),
            holder: Holder::default(),
        });
        *self.present.borrow_mut() = Some(token.clone());
        token
    }
}

impl Tokens for Keeper {
    fn at_hand(&self, _: &Target) -> Option<Result<Arc<Token>, IdentityFailure>> {
        if self.failing.get() {
            return Some(Err(rejected()));
        }
        let given = self.present.borrow().clone();
        if self.stale.take() {
            self.issue();
        }
        given.map(Ok)
    }

    fn token<'a>(
        &'a self,
        _: &'a Target,
        refused: Option<&'a Token>,
        observer: &'a dyn Observer,
    ) -> LocalBoxFuture<'a, Result<Arc<Token>, IdentityFailure>> {
        async move {
            self.asked.set(self.asked.get() + 1);
            let present = self.present.borrow().clone();
            if let Some(token) = present.filter(|p| refused.is_none_or(|r| r.serial != p.serial)) {
                return Ok(token);
            }
            *self.present.borrow_mut() = None;
            self.logins.set(self.logins.get() + 1);
            observer.event(Event::Head { version: "HTTP/1.1".into(), status: 201 });
            match self.login.get() {
                Login::Good => {}
                Login::Takes(time) => tokio::time::sleep(time).await,
                Login::Hangs => std::future::pending().await,
                Login::Rejected => return Err(rejected()),
            }
            Ok(self.issue())
        }
        .boxed_local()
    }

    fn preferences(&self, _: &Target) -> Preferences {
        Preferences { region: Some("RegionOne".into()), interfaces: vec!["internal".into()] }
    }

    fn catalog_doubted(&self, _: &Target) {
        self.doubted.set(self.doubted.get() + 1);
    }
}

fn with_credential(url: &str) -> Definition {
    Definition { credential: Some("lab".into()), ..definition(url) }
}

fn probe(target: &Target, keeper: &Rc<Keeper>) -> Found {
    probe_times(target, keeper, 1).remove(0)
}

fn probe_times(target: &Target, keeper: &Rc<Keeper>, times: usize) -> Vec<Found> {
    let tokens: Rc<dyn Tokens> = keeper.clone();
    let found: Vec<Found> = actix_rt::System::new().block_on(async {
        let prober = HttpProber::new(ProbeSettings::default(), SecretPolicy::default(), Clock::system()).unwrap();
        let prober = prober.with_tokens(tokens);
        let mut all = Vec::new();
        for _ in 0..times {
            let (outcome, trace) = prober.probe(target, None).await;
            all.push(Found { outcome, trace });
        }
        all
    });
    for found in &found {
        never_shows_a_token(&found.everything());
    }
    found
}

#[track_caller]
fn never_shows_a_token(everything: &str) {
    for serial in 1..9 {
        let token = value(serial);
        for part in [&token[..], &token[4..16], &token[token.len() - 10..]] {
            assert!(!everything.contains(part), "{part} shows: {everything}");
        }
    }
}

/// Serves those tokens with `answer` and says 401 to all others.
fn takes(good: &'static [u64], answer: &'static str) -> Peer {
    peer::serve(move |mut caller| {
        let request = caller.read_request();
        let ok = good.iter().any(|serial| request.contains(&format!("x-auth-token: {}\r\n", value(*serial))));
        let answer = if ok { answer } else { UNAUTHORIZED };
        std::io::Write::write_all(&mut caller.tcp, answer.as_bytes()).unwrap();
        caller.tcp.shutdown(std::net::Shutdown::Write).unwrap();
        peer::hold(caller.tcp);
    })
}

const UNAUTHORIZED: &str = "HTTP/1.1 401 UNAUTHORIZED\r\nx-openstack-request-id: req-0b0c\r\nContent-Length: 0\r\n\r\n";

// ---- the token -------------------------------------------------------------------------------------------------------

#[test]
fn a_token_at_hand_is_sent_and_nobody_waits() {
    let (peer, keeper) = (takes(&[1], OK), Keeper::with_token(None));
    let found = probe(&target(&with_credential(&peer.url())), &keeper);
    found.passes();
    assert_eq!((keeper.asked.get(), found.outcome.phases.auth_us, peer.requests().len()), (0, None, 1));
    assert!(found.text().contains("Token       [OK] of credential lab (at hand)"), "{}", found.text());
}

#[test]
fn a_token_that_is_waited_for_is_no_latency() {
    let (peer, keeper) = (takes(&[1], OK), Rc::new(Keeper::default()));
    let time = Duration::from_millis(150);
    keeper.login.set(Login::Takes(time));
    let found = probe(&target(&with_credential(&peer.url())), &keeper);
    assert_eq!((found.outcome.reason, keeper.logins.get()), (None, 1), "{}", found.text());
    let waited = found.outcome.phases.auth_us.unwrap();
    let ended = found.trace.steps.last().unwrap().at_us;
    assert!(waited >= 150_000 && found.outcome.latency_us < ended, "{waited} {}", found.text());
    assert!(found.outcome.latency_us + waited >= ended, "{}", found.text());
    let text = found.text();
    assert!(text.contains("Waiting for a token of credential lab ....") && text.contains("(waited 0."), "{text}");
    assert_eq!(found.outcome.status_code, Some(200), "not that of the login");
}

#[test]
fn no_token_in_time_is_not_the_targets_failure() {
    let (peer, keeper) = (takes(&[1], OK), Rc::new(Keeper::default()));
    keeper.login.set(Login::Hangs);
    let mut target = target(&with_credential(&peer.url()));
    target.timeout = Duration::from_millis(400);
    let found = probe(&target, &keeper);
    found.fails(Reason::IdentityUnreachable).saying("no token of credential lab within 200 ms");
    assert!(found.outcome.latency_us < 100_000 && found.outcome.phases.auth_us.unwrap() >= 200_000);
    assert!(peer.requests().is_empty(), "nothing was sent without its token");
}

#[test]
fn a_login_that_failed_is_told_at_once() {
    let (peer, keeper) = (takes(&[1], OK), Keeper::with_token(None));
    keeper.failing.set(true);
    let found = probe(&target(&with_credential(&peer.url())), &keeper);
    found.fails(Reason::IdentityRejected);
    assert_eq!(found.outcome.description, "Keystone says no to probe");
    assert_eq!((keeper.asked.get(), peer.requests().len()), (0, 0));
}

#[test]
fn own_parameters_are_a_credential_named_after_the_target() {
    let (peer, keeper) = (takes(&[1], OK), Keeper::with_token(None));
    let parms = "user=u,password=p,osauthendpoint=http://127.0.0.1:9/v2.0/tokens,tenantid=t";
    let own =
        Definition { authn: "OPENSTACK".into(), authn_parms: Some(Secret::new(parms)), ..definition(&peer.url()) };
    let found = probe(&target(&own), &keeper);
    found.passes();
    assert!(found.text().contains("of credential t (at hand)"), "{}", found.text());
    assert_eq!(peer.requests().len(), 1);
}

// ---- 401 -------------------------------------------------------------------------------------------------------------

#[test]
fn a_401_causes_one_login_and_one_repetition_with_the_body() {
    let (peer, keeper) = (takes(&[2], OK), Keeper::with_token(None));
    let posting = Definition { method: "POST".into(), body: Some("the body".into()), ..with_credential(&peer.url()) };
    let found = probe(&target(&posting), &keeper);
    assert_eq!((found.outcome.reason, keeper.logins.get()), (None, 1), "{}", found.text());
    let requests = peer.requests();
    assert_eq!(requests.len(), 2);
    for (request, serial) in requests.iter().zip(1..) {
        assert!(request.contains(&value(serial)) && request.contains("the body"), "{request}");
    }
    let text = found.text();
    assert!(text.contains("401 with a token: asking for another, to repeat once"), "{text}");
    assert!(text.contains("HTTP/1.1 401") && text.contains("Request id    req-0b0c") && text.contains("200 is in"));
    assert!(found.outcome.phases.auth_us.is_some());
}

#[test]
fn a_second_401_is_the_verdict() {
    let (peer, keeper) = (takes(&[], OK), Keeper::with_token(None));
    let found = probe(&target(&with_credential(&peer.url())), &keeper);
    found.fails(Reason::Status).saying("401 Unauthorized");
    assert_eq!((keeper.logins.get(), peer.requests().len()), (1, 2));
}

#[test]
fn where_a_newer_token_is_there_already_nobody_logs_in() {
    let (peer, keeper) = (takes(&[2], OK), Keeper::with_token(None));
    keeper.stale.set(true);
    let found = probe(&target(&with_credential(&peer.url())), &keeper);
    assert_eq!((found.outcome.reason, keeper.asked.get(), keeper.logins.get()), (None, 1, 0), "{}", found.text());
    assert_eq!(peer.requests().len(), 2);
}

#[test]
fn an_expected_401_and_a_403_cause_no_login() {
    let (peer, keeper) = (takes(&[], OK), Keeper::with_token(None));
    let expecting = Definition { pass_result: "401".into(), ..with_credential(&peer.url()) };
    probe(&target(&expecting), &keeper).passes();
    let forbids = takes(&[1], "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    probe(&target(&with_credential(&forbids.url())), &keeper).fails(Reason::Status).saying("403");
    assert_eq!((keeper.asked.get(), peer.requests().len(), forbids.requests().len()), (0, 1, 1));
}

#[test]
fn a_second_login_that_fails_is_the_credentials_failure() {
    let (peer, keeper) = (takes(&[], OK), Keeper::with_token(None));
    keeper.login.set(Login::Rejected);
    let found = probe(&target(&with_credential(&peer.url())), &keeper);
    found.fails(Reason::IdentityRejected).saying("Keystone says no");
    assert_eq!((keeper.logins.get(), peer.requests().len()), (1, 1));
}

#[test]
fn the_second_login_stands_under_the_probes_one_deadline() {
    let keeper = Keeper::with_token(None);
    keeper.login.set(Login::Hangs);
    let slow = peer::serve(|mut caller| {
        caller.read_request();
        std::thread::sleep(Duration::from_millis(450));
        std::io::Write::write_all(&mut caller.tcp, UNAUTHORIZED.as_bytes()).unwrap();
    });
    let mut target = target(&with_credential(&slow.url()));
    target.timeout = Duration::from_millis(600);
    let found = probe(&target, &keeper);
    found.fails(Reason::IdentityUnreachable).saying("no token of credential lab within 1");
    let (latency, waited) = (found.outcome.latency_us, found.outcome.phases.auth_us.unwrap());
    assert!(latency >= 450_000 && waited < 200_000 && latency + waited < 1_000_000, "{latency} {waited}");
}

// ---- other origins, echoes -------------------------------------------------------------------------------------------

#[test]
fn a_redirect_takes_the_token_along_within_its_origin_only() {
    let other = takes(&[], OK);
    let location = format!("{}?from=here", other.url());
    let redirects = peer::serve(move |mut caller| {
        let request = caller.read_request();
        let to = if request.starts_with("GET / ") { "/second" } else { &location };
        std::io::Write::write_all(&mut caller.tcp, moved(to).as_bytes()).unwrap();
        caller.tcp.shutdown(std::net::Shutdown::Write).unwrap();
        peer::hold(caller.tcp);
    });
    let keeper = Keeper::with_token(None);
    let found = probe(&target(&Definition { redirects: 3, ..with_credential(&redirects.url()) }), &keeper);
    found.fails(Reason::Status).saying("401");
    let own = redirects.requests();
    assert!(own.len() == 2 && own.iter().all(|r| r.contains(&value(1))), "{own:?}");
    let elsewhere = other.requests();
    assert_eq!(elsewhere.len(), 1, "no repetition: it was shown no token");
    assert!(!elsewhere[0].to_lowercase().contains("x-auth-token"), "{}", elsewhere[0]);
    assert_eq!(keeper.asked.get(), 0);
}

#[test]
fn a_token_never_shows_whatever_the_server_does_with_it() {
    type Vice = fn(&str) -> String;
    let vices: [(Vice, Option<Reason>); 5] = [
        (|token| format!("{token}\r\n\r\n"), Some(Reason::Protocol)),
        (|token| moved(&format!("/?{token}")), Some(Reason::Redirect)),
        (|token| moved(&format!("http://{}.test/", &token[4..30])), Some(Reason::Redirect)),
        (|token| moved(&format!("gopher://x/{token}")), Some(Reason::Redirect)),
        (|token| format!("HTTP/1.1 200 {token}\r\nX-Openstack-Request-Id: {token}\r\nContent-Length: 0\r\n\r\n"), None),
    ];
    for (vice, reason) in vices {
        let peer = peer::serve(move |mut caller| {
            let request = caller.read_request();
            let token = request.split_once("x-auth-token: ").unwrap().1.split_once("\r\n").unwrap().0;
            std::io::Write::write_all(&mut caller.tcp, vice(token).as_bytes()).unwrap();
            caller.tcp.shutdown(std::net::Shutdown::Write).unwrap();
            peer::hold(caller.tcp);
        });
        let found =
            probe(&target(&Definition { redirects: 3, ..with_credential(&peer.url()) }), &Keeper::with_token(None));
        assert_eq!(found.outcome.reason, reason, "{}", found.text());
        assert!(!found.has(|e| matches!(e, Event::RequestId { .. })), "{}", found.text());
    }
}

// ---- the catalog -----------------------------------------------------------------------------------------------------

fn catalog(of: &[(&str, &str, &str)]) -> Option<Catalog> {
    let endpoint = |(service_type, interface, url): &(&str, &str, &str)| CatalogEndpoint {
        service_type: (*service_type).into(),
        service_name: "x".into(),
        interface: (*interface).into(),
        region: "RegionOne".into(),
        url: (*url).into(),
    };
    Some(Catalog { endpoints: of.iter().map(endpoint).collect() })
}

#[test]
fn the_catalog_says_where_a_service_is_and_every_probe_asks_the_present_one() {
    let (first, second) = (takes(&[1, 2], OK), takes(&[2], OK));
    let of = |peer: &Peer| catalog(&[("image", "public", "http://127.0.0.1:9/"), ("image", "internal", &peer.url())]);
    let keeper = Keeper::with_token(of(&first));
    let asking = target(&with_credential("openstack://image?path=/v2/images"));
    let tokens: Rc<dyn Tokens> = keeper.clone();
    actix_rt::System::new().block_on(async {
        let prober = HttpProber::new(ProbeSettings::default(), SecretPolicy::default(), Clock::system()).unwrap();
        let prober = prober.with_tokens(tokens);
        for times in 1..=2 {
            let (outcome, trace) = prober.probe(&asking, None).await;
            let found = Found { outcome, trace };
            found.passes();
            assert_eq!(first.requests().len(), times);
            assert!(first.requests()[0].starts_with("GET /v2/images HTTP/1.1\r\nhost: 127.0.0.1:"));
            let url = format!("{}v2/images", first.url());
            let line = format!("Catalog    [OK] openstack://image?path=/v2/images is {url}");
            assert!(found.text().contains(&line) && found.text().contains(&format!("GET {url}")), "{}", found.text());
        }
        *keeper.catalog.borrow_mut() = of(&second).map(Arc::new);
        keeper.issue();
        let (outcome, trace) = prober.probe(&asking, None).await;
        let found = Found { outcome, trace };
        found.passes();
        assert_eq!((first.requests().len(), second.requests().len()), (2, 1));
        assert!(found.text().contains(&format!("(it was {}v2/images)", first.url())), "{}", found.text());
    });
    assert_eq!(keeper.doubted.get(), 0);
}

#[test]
fn a_service_that_the_catalog_lacks_is_the_targets_failure() {
    let keeper = Keeper::with_token(catalog(&[("image", "public", "http://127.0.0.1:9/")]));
    let asking = target(&with_credential("openstack://compute/public"));
    let found = probe(&asking, &keeper);
    found.fails(Reason::IdentityCatalog).saying("compute").saying("it has image");
    assert_eq!(keeper.doubted.get(), 1);
    let found = probe(&asking, &Keeper::with_token(None));
    found.fails(Reason::IdentityCatalog).saying("without a service catalog").saying("credential lab");
}

#[test]
fn egress_denied_where_the_catalog_leads_to() {
    let keeper = Keeper::with_token(catalog(&[("image", "public", "http://169.254.169.254/")]));
    let found = probe(&target(&with_credential("openstack://image/public")), &keeper);
    found.fails(Reason::EgressDenied).saying("connecting to 169.254.169.254:80: denied by metadata");
    assert_eq!(keeper.doubted.get(), 1, "it may have been mended there");
}

#[test]
fn a_url_that_led_nowhere_puts_the_catalog_in_doubt() {
    let missing = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    let (lacks, serves) = (takes(&[1], missing), takes(&[1], OK));
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let closed = format!("http://{closed}/");
    for (url, expected, doubts) in [
        (closed.as_str(), "200", 1),
        (&lacks.url(), "200", 1),
        (&lacks.url(), "404", 0),
        (&serves.url(), "204", 0),
        (&serves.url(), "200", 0),
    ] {
        let keeper = Keeper::with_token(catalog(&[("image", "public", url)]));
        let written = Definition { pass_result: expected.into(), ..with_credential("openstack://image/public") };
        let found = probe(&target(&written), &keeper);
        assert_eq!(keeper.doubted.get(), doubts, "{url} {expected}: {}", found.text());
    }
    let keeper = Keeper::with_token(None);
    probe(&target(&with_credential(&lacks.url())), &keeper).fails(Reason::Status);
    assert_eq!(keeper.doubted.get(), 0, "a written URL is in no catalog");
}
