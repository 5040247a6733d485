//! Many at once at one Keystone: fifty refusals of one token cost one login, and many logins take turns.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::json;

use super::harness::{Place, SOON, wait_until};
use crate::keystone::{Home, Keystone, Options};

const TARGETS: usize = 50;

/// What came: path, token, and what was answered.
type Request = (String, String, u16);

/// Answers 200, but 401 to the token that is to be refused: not before all targets have asked with it.
#[derive(Default)]
struct Service {
    seen: Mutex<Vec<Request>>,
    gate: Mutex<Gate>,
    complete: Condvar,
}

#[derive(Default)]
struct Gate {
    refused: Option<String>,
    held: usize,
}

impl Service {
    fn start() -> (Arc<Service>, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let service = Arc::<Service>::default();
        let shared = Arc::clone(&service);
        std::thread::spawn(move || {
            for tcp in listener.incoming().map(Result::unwrap) {
                let service = Arc::clone(&shared);
                // A prober that goes away is its own affair.
                std::thread::spawn(move || drop(service.answer(tcp)));
            }
        });
        (service, port)
    }

    fn answer(&self, mut tcp: TcpStream) -> std::io::Result<()> {
        tcp.set_read_timeout(Some(SOON))?;
        let mut head = Vec::new();
        let mut buffer = [0; 4096];
        while !head.ends_with(b"\r\n\r\n") {
            match tcp.read(&mut buffer)? {
                0 => return Ok(()),
                n => head.extend_from_slice(&buffer[..n]),
            }
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let token = head.lines().find_map(|l| l.strip_prefix("x-auth-token: ")).unwrap_or_default().to_owned();
        let status = if self.refuses(&token) { 401 } else { 200 };
        self.seen.lock().unwrap().push((path, token, status));
        let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n");
        tcp.write_all(answer.as_bytes())
    }

    /// Waits until all have come when it does.
    fn refuses(&self, token: &str) -> bool {
        let mut gate = self.gate.lock().unwrap();
        if gate.refused.as_deref() != Some(token) {
            return token.is_empty();
        }
        gate.held += 1;
        self.complete.notify_all();
        let waited = self.complete.wait_timeout_while(gate, SOON, |gate| gate.held < TARGETS).unwrap();
        assert!(!waited.1.timed_out(), "only {} of {TARGETS} targets came with the refused token", waited.0.held);
        true
    }

    fn refuse(&self, token: &str) {
        self.gate.lock().unwrap().refused = Some(token.to_owned());
    }

    fn seen_of(&self, path: &str) -> Vec<Request> {
        self.seen.lock().unwrap().iter().filter(|r| r.0 == path).cloned().collect()
    }
}

#[test]
fn fifty_refusals_at_once_cost_one_login() {
    let keystone = Keystone::shared();
    let tenant = keystone.tenant(Home::Default);
    let (service, port) = Service::start();
    let place = Place::new();
    let daemon = place.setup().extra("[probe]\narbiters = 2\n").start();
    let params = json!({"auth_url": keystone.auth_url(), "username": tenant.user, "user_domain_id": tenant.domain_id,
        "password": tenant.password, "project_id": tenant.project_id});
    daemon.ask("POST", "/v1/credentials", Some(&json!({"name": "cloud", "params": params})));
    let target = |path: &str| {
        json!({"name": format!("t{path}"), "url": format!("http://127.0.0.1:{port}{path}"), "credential": "cloud",
            "frequency": "5s"})
    };
    daemon.ask("POST", "/v1/targets", Some(&target("/first")));
    wait_until("the first target is probed", SOON, || !service.seen_of("/first").is_empty());
    daemon.wait_target("t%2Ffirst", "status", &json!("PASS"));
    daemon.ask("POST", "/v1/targets/t%2Ffirst/disable", None);
    let before = keystone.logins(&tenant.user);
    let old = service.seen_of("/first")[0].1.clone();
    assert!(before == 1 && !old.is_empty());

    service.refuse(&old);
    let paths: Vec<String> = (0..TARGETS).map(|n| format!("/{n}")).collect();
    // All are new, so all are probed at once, with the token that is at hand.
    let targets: Vec<_> = paths.iter().map(|path| target(path)).collect();
    daemon.ask("POST", "/v1/apply", Some(&json!({"targets": targets})));
    let asked = |path: &String| service.seen_of(path).len() >= 3;
    wait_until("all are refused, ask once more, and are probed again", 2 * SOON, || paths.iter().all(asked));

    assert_eq!(keystone.logins(&tenant.user), before + 1);
    let mut tokens = Vec::new();
    for path in &paths {
        let seen = service.seen_of(path);
        let answers: Vec<u16> = seen.iter().map(|r| r.2).collect();
        assert_eq!(answers[..2], [401, 200], "{path}: refused, and asked once more");
        assert!(!answers[2..].contains(&401), "{path}: {answers:?}");
        assert_eq!(seen[0].1, old);
        tokens.extend(seen[1..].iter().map(|r| r.1.clone()));
    }
    tokens.sort_unstable();
    tokens.dedup();
    assert!(tokens.len() == 1 && tokens[0] != old, "one new token for all");
    let records = || place.db.number("SELECT COUNT(*) FROM results");
    wait_until("results are written", SOON, || records() >= 2 * i64::try_from(TARGETS).unwrap());
    assert_eq!(place.db.number("SELECT COUNT(*) FROM results WHERE verdict <> 'PASS'"), 0, "nobody UNKNOWN or FAIL");
    assert_eq!(place.db.number("SELECT COUNT(*) FROM incidents"), 0);
    assert!(daemon.log_lines(&["logged in", "cloud"]).len() == 2, "{}", daemon.log());
}

#[test]
fn many_credentials_log_in_a_few_at_a_time() {
    const CREDENTIALS: usize = 20;
    let keystone = Keystone::start(Options::default());
    let tenant = keystone.tenant(Home::Default);
    let (_service, port) = Service::start();
    let place = Place::new();
    let daemon = place.setup().extra("[openstack]\nlogin_timeout = \"60s\"\n").start();
    keystone.slow(Duration::from_secs(600));
    let target = |n: usize| {
        let parms = format!(
            "auth_url={},user_id={},password=\"{}\",project_id={}",
            keystone.auth_url(),
            tenant.user_id,
            tenant.password.replace('"', "\\\""),
            tenant.project_id
        );
        json!({"name": format!("t{n}"), "url": format!("http://127.0.0.1:{port}/{n}"), "authn": "OPENSTACK",
            "authn_parms": parms, "frequency": "2s"})
    };
    let targets: Vec<_> = (0..CREDENTIALS).map(target).collect();
    daemon.ask("POST", "/v1/apply", Some(&json!({"targets": targets})));
    let told = "SELECT COUNT(DISTINCT target_id) FROM results WHERE reason = 'identity_unreachable'";
    let all = i64::try_from(CREDENTIALS).unwrap();
    wait_until("each has waited for its token in vain", 2 * SOON, || place.db.number(told) == all);
    assert_eq!(keystone.logins(&tenant.user_id), 8, "the others wait for their turn");

    keystone.slow(Duration::ZERO);
    let passed = "SELECT COUNT(DISTINCT target_id) FROM results WHERE verdict = 'PASS'";
    wait_until("all pass", 2 * SOON, || place.db.number(passed) == all);
    assert_eq!(keystone.logins(&tenant.user_id), CREDENTIALS, "one login each");
    assert_eq!(place.db.number("SELECT COUNT(*) FROM incidents"), 0, "no credential has failed");
}
