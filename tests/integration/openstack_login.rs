//! Logins over the network, at servers that answer as Keystone was recorded to.

use std::io::Write;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use skypunch::clock::Clock;
use skypunch::model::credential::Login;
use skypunch::model::egress::Caller;
use skypunch::model::params;
use skypunch::model::reason::Reason;
use skypunch::openstack::IdentityError;
use skypunch::openstack::client::{IdentityClient, LoggedIn, Wanted};
use skypunch::probe::recorder::Recorder;
use skypunch::probe::{HttpProber, ProbeSettings};
use skypunch::secret::SecretPolicy;

use super::misbehaving::{Peer, hold, serve};

const PASSWORD: &str = "hunter2-hunter2";
const TOKEN: &str = "gAAAAABtoken";
const V3: &str = r#"{"token": {"user": {"id": "7ff6", "name": "probe"}, "project": {"id": "6be5", "name": "demo"},
    "expires_at": "2026-11-22T06:57:58.000000Z", "issued_at": "2026-11-22T06:57:28.000000Z",
    "catalog": [{"type": "image", "name": "glance", "endpoints": [{"interface": "public", "region_id": "RegionOne", "url": "http://127.0.0.1:7592"}]}]}}"#;
const V2: &str = r#"{"access": {"token": {"id": "gAAAAABtoken", "issued_at": "2026-11-22T06:57:45.829109", "expires": "2026-11-22T06:58:15Z",
    "tenant": {"id": "t-demo", "name": "demo"}}, "serviceCatalog": [], "user": {"id": "u-probe", "name": "probe"}}}"#;

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Answers as Keystone and, at `/v2.0/tokens`, as a cloud of old; a login below `/slow` is never answered.
fn keystone() -> Peer {
    serve(|mut caller| {
        let request = caller.read_request();
        let host = caller.tcp.local_addr().unwrap();
        let said = match request.split(' ').take(2).collect::<Vec<_>>()[..] {
            ["GET", "/"] => {
                let link = format!(r#"[{{"rel": "self", "href": "http://{host}/v3/"}}]"#);
                let list = format!(
                    r#"{{"versions": {{"values": [{{"id": "v3.14", "status": "stable", "links": {link}}}]}}}}"#
                );
                answer("300 Multiple Choices", &format!("Location: http://{host}/v3/\r\n"), &list)
            }
            ["GET", "/slow"] => answer(
                "200 OK",
                "",
                r#"{"version": {"id": "v3.14", "status": "stable", "links": [{"rel": "self", "href": "/slow/v3"}]}}"#,
            ),
            ["POST", "/v3/auth/tokens" | "/v3/auth/tokens?nocatalog"] => {
                answer("201 CREATED", &format!("X-Subject-Token: {TOKEN}\r\nx-openstack-request-id: req-1\r\n"), V3)
            }
            ["POST", "/v2.0/tokens"] => answer("200 OK", "", V2),
            ["POST", "/wrong/v3/auth/tokens"] => answer(
                "401 UNAUTHORIZED",
                "",
                &format!(r#"{{"error": {{"code": 401, "message": "{PASSWORD} is wrong", "title": "Unauthorized"}}}}"#),
            ),
            ["POST", "/slow/v3/auth/tokens"] => return hold(caller.tcp),
            _ => {
                "HTTP/1.1 404 NOT FOUND\r\nContent-Type: text/html\r\nContent-Length: 15\r\n\r\n<!doctype html>".into()
            }
        };
        caller.tcp.write_all(said.as_bytes()).unwrap();
    })
}

/// Logs in, and gives what came of it with the steps, in which no secret is.
fn log_in_with(parms: &str, wanted: Wanted<'_>, timeout: Duration) -> (Result<LoggedIn, IdentityError>, String) {
    let login = Login::from_params(params::parse(parms).unwrap()).unwrap();
    actix_rt::System::new().block_on(async {
        let clock = Clock::system();
        let prober = HttpProber::new(ProbeSettings::default(), SecretPolicy::default(), clock.clone()).unwrap();
        let secrets = Arc::new(SecretPolicy { folders: vec![std::env::temp_dir()], ..SecretPolicy::default() });
        let recorder = Rc::new(Recorder::new(clock, None));
        let client = IdentityClient { prober: &prober, secrets: &secrets, timeout, caller: Caller::Shared };
        let result = client.log_in(&login, wanted, &recorder).await;
        let trace = recorder.finish().1;
        let steps = format!("{}\n{}", trace.lines().join("\n"), serde_json::to_string(&trace).unwrap());
        let shown = format!("{steps} {result:?}");
        assert!(!shown.contains("hunter2") && !shown.contains(TOKEN), "{shown}");
        (result, steps)
    })
}

fn log_in(parms: &str) -> (Result<LoggedIn, IdentityError>, String) {
    log_in_with(parms, Wanted { serial: 1, catalog: true, base: None }, Duration::from_secs(10))
}

fn lines(peer: &Peer) -> Vec<String> {
    peer.requests().iter().map(|r| r.lines().next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn the_bare_url_is_asked_for_its_versions_once() {
    let peer = keystone();
    let parms = format!("auth_url={},user_id=7ff6,password={PASSWORD},project_id=6be5", peer.url());
    let (result, steps) = log_in(&parms);
    let first = result.unwrap();
    assert_eq!((first.token.value.expose(), first.token.lifetime), (TOKEN, Duration::from_secs(30)));
    assert_eq!(first.token.holder.to_string(), "probe in project demo");
    assert_eq!(first.token.catalog.as_ref().unwrap().endpoints[0].url, "http://127.0.0.1:7592");
    assert_eq!(first.base.as_str(), format!("http://{}/v3", peer.address));
    assert!(steps.contains("/v3/auth/tokens") && steps.contains("req-1"), "{steps}");

    let wanted = Wanted { serial: 2, catalog: false, base: Some(&first.base) };
    let second = log_in_with(&parms, wanted, Duration::from_secs(10)).0.unwrap();
    assert_eq!((second.token.serial, second.token.catalog), (2, None));
    assert_eq!(
        lines(&peer),
        ["GET / HTTP/1.1", "POST /v3/auth/tokens HTTP/1.1", "POST /v3/auth/tokens?nocatalog HTTP/1.1"]
    );
    let requests = peer.requests();
    assert!(!requests[0].contains("hunter2") && requests[1].contains(PASSWORD), "{requests:?}");
}

#[test]
fn version_2_is_still_spoken() {
    let peer = keystone();
    let endpoint = format!("{}v2.0/tokens", peer.url());
    let token =
        log_in(&format!("user=probe,password={PASSWORD},osauthendpoint={endpoint},tenantid=t-demo")).0.unwrap().token;
    assert_eq!((token.value.expose(), token.holder.to_string().as_str()), (TOKEN, "probe in project demo"));
    assert_eq!(lines(&peer), ["POST /v2.0/tokens HTTP/1.1"]);
}

#[test]
fn a_refusal_is_told_without_what_it_repeats() {
    let peer = keystone();
    let e = log_in(&format!("auth_url={}wrong/v3,user_id=u,password={PASSWORD}", peer.url())).0.unwrap_err();
    assert_eq!(e.reason, Reason::IdentityRejected);
    assert!(e.sentence.contains("answered 401 (a text that repeats what was sent)"), "{e}");
    let e = log_in(&format!("auth_url={}nowhere,user_id=u,password={PASSWORD}", peer.url())).0.unwrap_err();
    assert_eq!(e.reason, Reason::IdentityUnreachable);
    assert!(e.sentence.contains("answered 404 (text/html: <!doctype html>); that is no list of Identity API"), "{e}");
}

#[test]
fn secrets_come_by_reference() {
    let peer = keystone();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    std::fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    let parms = |path: &str| format!("auth_url={}v3,user_id=u,password=${{file:{path}}}", peer.url());
    assert!(log_in(&parms(file.to_str().unwrap())).0.is_ok());
    assert!(peer.requests()[0].contains(&format!("\"password\":\"{PASSWORD}\"")), "{:?}", peer.requests());

    let e = log_in(&parms(&format!("{}/none", dir.path().display()))).0.unwrap_err();
    assert!(e.reason == Reason::AuthConfig && e.sentence.contains("/none cannot be read"), "{e}");
    assert_eq!(peer.requests().len(), 1, "nothing is asked without a password");
}

#[test]
fn a_file_of_authorities_that_is_missing_is_the_credentials_own_trouble() {
    let peer = keystone();
    let url = peer.url().replace("http:", "https:");
    let e = log_in(&format!("auth_url={url}v3,user_id=u,password={PASSWORD},cacert=/none/ca.pem")).0.unwrap_err();
    assert!(e.reason == Reason::AuthConfig && e.sentence.contains("/none/ca.pem"), "{e}");
}

#[test]
fn a_service_that_is_away_or_hangs_is_unreachable() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let e = log_in(&format!("auth_url=http://{free}/v3,user_id=u,password={PASSWORD}")).0.unwrap_err();
    assert_eq!(e.reason, Reason::IdentityUnreachable);
    assert!(
        e.sentence.starts_with(&format!("logging in at http://{free}/v3/auth/tokens: connecting to {free}")),
        "{e}"
    );

    let peer = keystone();
    let timeout = Duration::from_millis(400);
    let parms = format!("auth_url={}slow,user_id=u,password={PASSWORD}", peer.url());
    let (result, steps) = log_in_with(&parms, Wanted { serial: 1, catalog: true, base: None }, timeout);
    let e = result.unwrap_err();
    assert_eq!(e.reason, Reason::IdentityUnreachable);
    assert!(e.sentence.contains("/slow/v3/auth/tokens: ") && steps.contains("GET"), "{e}\n{steps}");
    assert_eq!(lines(&peer).len(), 2);
}
