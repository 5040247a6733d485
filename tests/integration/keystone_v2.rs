//! A double of Keystone's Identity API v2.0, written from its published description: no Keystone has spoken it since 2018.
//!
//! ```text
//!  POST /v2.0/tokens  {"auth": {"passwordCredentials": {"username", "password"}, "tenantId" | "tenantName"}}
//!     -> 200 {"access": {"token": {"id", "issued_at", "expires", "tenant"}, "serviceCatalog": […], "user": {…}}}
//!        401 wrong user, password or tenant; 400 another shape; or as its `Mode` says
//!  GET  /protected    with X-Auth-Token: 200, or 401 when the token is none of ours, revoked or too old
//! ```

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use skypunch::clock::Clock;
use skypunch::model::time::Mono;

use crate::misbehaving::{Peer, hold, serve};

pub const USER: &str = "probe";
pub const PASSWORD: &str = "v2, \"Secret\"=1";
pub const TENANT_ID: &str = "0123456789abcdef0123456789abcdef";
pub const TENANT: &str = "demo";

/// What a good login meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Its token.
    Ok,
    /// 500.
    Error,
    /// Its token, once the mode is another one or so much time has passed.
    Slow(Duration),
    /// Silence with the connection open.
    Hang,
    /// 200 and JSON that breaks off.
    BadJson,
    /// 200 and no token in it.
    NoToken,
}

/// The double; ends when dropped.
pub struct KeystoneV2 {
    peer: Peer,
    shared: Arc<Shared>,
}

struct Shared {
    clock: Clock,
    lifetime: Duration,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    mode: Mode,
    catalog: Value,
    /// When each token was issued.
    tokens: HashMap<String, Mono>,
    logins: usize,
    granted: usize,
    accepted: usize,
    refused: usize,
}

impl KeystoneV2 {
    /// Starts one whose tokens live so long.
    pub fn start(lifetime: Duration) -> KeystoneV2 {
        let state = State {
            mode: Mode::Ok,
            catalog: json!([]),
            tokens: HashMap::new(),
            logins: 0,
            granted: 0,
            accepted: 0,
            refused: 0,
        };
        let shared =
            Arc::new(Shared { clock: Clock::system(), lifetime, state: Mutex::new(state), changed: Condvar::new() });
        let served = Arc::clone(&shared);
        KeystoneV2 { peer: serve(move |caller| served.serve(caller.tcp)), shared }
    }

    /// `http://127.0.0.1:PORT/v2.0/tokens`, as `osauthendpoint` names it.
    pub fn tokens_url(&self) -> String {
        format!("{}v2.0/tokens", self.peer.url())
    }

    /// What asks for a token.
    pub fn protected_url(&self) -> String {
        format!("{}protected", self.peer.url())
    }

    /// What logins meet from now on.
    pub fn set_mode(&self, mode: Mode) {
        self.shared.state.lock().unwrap().mode = mode;
        self.shared.changed.notify_all();
    }

    /// What stands under `serviceCatalog` from now on.
    pub fn set_catalog(&self, catalog: Value) {
        self.shared.state.lock().unwrap().catalog = catalog;
    }

    /// Forgets all tokens.
    pub fn revoke(&self) {
        self.shared.state.lock().unwrap().tokens.clear();
    }

    /// Logins that came, whatever became of them.
    pub fn logins(&self) -> usize {
        self.shared.state.lock().unwrap().logins
    }

    /// Tokens issued.
    pub fn granted(&self) -> usize {
        self.shared.state.lock().unwrap().granted
    }

    /// Requests for `/protected` answered with 200 and with 401.
    pub fn protected(&self) -> (usize, usize) {
        let state = self.shared.state.lock().unwrap();
        (state.accepted, state.refused)
    }
}

impl Drop for KeystoneV2 {
    fn drop(&mut self) {
        self.set_mode(Mode::Ok); // lets slow ones go
    }
}

impl Shared {
    /// One request after the other, until the caller has enough.
    fn serve(&self, mut tcp: TcpStream) {
        while let Some((head, body)) = read_request(&mut tcp) {
            let mut words = head.split(' ');
            let answer = match (words.next(), words.next()) {
                (Some("POST"), Some("/v2.0/tokens" | "/v2.0/tokens/")) => match self.login(&body) {
                    Some(answer) => answer,
                    None => return hold(tcp),
                },
                (Some("GET"), Some("/v2.0" | "/v2.0/")) => {
                    (200, json!({"version": {"id": "v2.0", "status": "deprecated"}}).to_string())
                }
                (Some("GET"), Some("/protected")) => self.guard(&head),
                _ => error(404, "Not Found", "The resource could not be found."),
            };
            // As of old: HTTP/1.0 keeps no connection.
            if write_answer(&mut tcp, &answer).is_err() || head.lines().next().is_some_and(|l| l.ends_with("/1.0")) {
                return;
            }
        }
    }

    /// `None`: no answer at all.
    fn login(&self, body: &str) -> Option<(u16, String)> {
        let mut state = self.state.lock().unwrap();
        state.logins += 1;
        match state.mode {
            Mode::Ok => {}
            Mode::Error => return Some(error(500, "Internal Server Error", "An unexpected error.")),
            Mode::Slow(delay) => {
                let slow = |s: &mut State| matches!(s.mode, Mode::Slow(_));
                state = self.changed.wait_timeout_while(state, delay, slow).unwrap().0;
            }
            Mode::Hang => return None,
            Mode::BadJson => return Some((200, r#"{"access": {"token": "#.to_owned())),
            Mode::NoToken => return Some((200, json!({"access": {}}).to_string())),
        }
        let Ok(body) = serde_json::from_str::<Value>(body) else {
            return Some(error(400, "Bad Request", "Expecting to find valid JSON in request body."));
        };
        let (auth, password) = (&body["auth"], &body["auth"]["passwordCredentials"]);
        if !password.is_object() {
            return Some(error(400, "Bad Request", "Expecting to find passwordCredentials in auth."));
        }
        let named = |field: &str, known: &str| auth[field].is_null() || auth[field] == known;
        let known = password["username"] == USER && password["password"] == PASSWORD;
        if !known || !named("tenantId", TENANT_ID) || !named("tenantName", TENANT) {
            return Some(unauthorized());
        }
        state.granted += 1;
        let id = format!("{:032x}", 0xfeed_0000_u64 + u64::try_from(state.granted).unwrap());
        state.tokens.insert(id.clone(), self.clock.now());
        let now = jiff::Timestamp::now();
        let expires = now + jiff::SignedDuration::try_from(self.lifetime).unwrap();
        // As it was: the one with fractions and no zone, the other in whole seconds with one.
        let mut token = json!({
            "id": id,
            "issued_at": now.strftime("%Y-%m-%dT%H:%M:%S.%6f").to_string(),
            "expires": expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        });
        if !auth["tenantId"].is_null() || !auth["tenantName"].is_null() {
            token["tenant"] = json!({"id": TENANT_ID, "name": TENANT, "enabled": true, "description": null});
        }
        let user = json!({
            "id": "u-probe", "name": USER, "username": USER, "roles": [{"name": "_member_"}], "roles_links": [],
        });
        let metadata = json!({"is_admin": 0, "roles": []});
        let access = json!({"token": token, "serviceCatalog": state.catalog, "user": user, "metadata": metadata});
        Some((200, json!({"access": access}).to_string()))
    }

    fn guard(&self, head: &str) -> (u16, String) {
        let headers = head.lines().filter_map(|line| line.split_once(':'));
        let mut tokens = headers.filter(|(n, _)| n.eq_ignore_ascii_case("x-auth-token")).map(|(_, v)| v.trim());
        let mut state = self.state.lock().unwrap();
        let issued = tokens.next().and_then(|token| state.tokens.get(token).copied());
        if issued.is_some_and(|issued| self.clock.now().since(issued) < self.lifetime) {
            state.accepted += 1;
            return (200, json!({"ok": true}).to_string());
        }
        state.refused += 1;
        unauthorized()
    }
}

fn error(code: u16, title: &str, message: &str) -> (u16, String) {
    (code, json!({"error": {"code": code, "title": title, "message": message}}).to_string())
}

fn unauthorized() -> (u16, String) {
    error(401, "Unauthorized", "The request you have made requires authentication.")
}

/// Head and body; `None` when the connection has ended.
fn read_request(tcp: &mut TcpStream) -> Option<(String, String)> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let headers = head.lines().filter_map(|line| line.split_once(':'));
            let mut lengths = headers.filter(|(n, _)| n.eq_ignore_ascii_case("content-length"));
            let length = lengths.next().map_or(0, |(_, v)| v.trim().parse::<usize>().unwrap());
            if bytes.len() >= end + 4 + length {
                return Some((head, String::from_utf8_lossy(&bytes[end + 4..]).into_owned()));
            }
        }
        match tcp.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(n) => bytes.extend_from_slice(&buffer[..n]),
        }
    }
}

fn write_answer(tcp: &mut TcpStream, (status, body): &(u16, String)) -> std::io::Result<()> {
    let challenge = if *status == 401 { "WWW-Authenticate: Keystone uri=\"http://127.0.0.1/v2.0\"\r\n" } else { "" };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} As told\r\nContent-Type: application/json\r\nVary: X-Auth-Token\r\n{challenge}\
         Content-Length: {length}\r\n\r\n"
    );
    tcp.write_all(format!("{head}{body}").as_bytes())
}

// ---- it works ----------------------------------------------------------------------------------------------------

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;
    use crate::daemon::harness::wait_until;
    use crate::keystone::http::{Answer, LIMIT, try_send};

    fn login(password: &str) -> Value {
        json!({"auth": {"passwordCredentials": {"username": USER, "password": password}, "tenantId": TENANT_ID}})
    }

    fn post(double: &KeystoneV2, body: &Value, limit: Duration) -> std::io::Result<Answer> {
        try_send("POST", &double.tokens_url(), &[], Some(body), limit)
    }

    fn protected(double: &KeystoneV2, token: &str) -> u16 {
        try_send("GET", &double.protected_url(), &[("X-Auth-Token", token)], None, LIMIT).unwrap().status
    }

    #[test]
    fn v2_tokens_are_granted_checked_revoked_and_end() {
        let double = KeystoneV2::start(Duration::from_millis(1500));
        let answer = post(&double, &login(PASSWORD), LIMIT).unwrap();
        let access = &answer.json()["access"];
        assert_eq!((answer.status, access["token"]["tenant"]["id"].as_str()), (200, Some(TENANT_ID)));
        let token = access["token"]["id"].as_str().unwrap();
        assert_eq!((protected(&double, token), protected(&double, "nonsense")), (200, 401));
        assert_eq!(double.protected(), (1, 1));
        wait_until("the token ends", LIMIT, || protected(&double, token) == 401);

        let answer = post(&double, &login(PASSWORD), LIMIT).unwrap().json();
        let token = answer["access"]["token"]["id"].as_str().unwrap();
        assert_eq!(protected(&double, token), 200);
        double.revoke();
        assert_eq!(protected(&double, token), 401);

        let by_name = |name: &str| {
            let mut body = login(PASSWORD);
            body["auth"] = json!({"passwordCredentials": body["auth"]["passwordCredentials"], "tenantName": name});
            body
        };
        let status = |body: &Value| post(&double, body, LIMIT).unwrap().status;
        assert_eq!((status(&by_name(TENANT)), status(&by_name("other"))), (200, 401));
        assert_eq!((status(&login("wrong")), status(&json!({"auth": {}}))), (401, 400));
        assert_eq!((double.logins(), double.granted()), (6, 3));
        double.set_catalog(json!([{"type": "compute"}]));
        let answer = post(&double, &login(PASSWORD), LIMIT).unwrap().json();
        assert_eq!(answer["access"]["serviceCatalog"][0]["type"], "compute");
    }

    #[test]
    fn v2_does_what_its_mode_says() {
        let double = KeystoneV2::start(Duration::from_secs(3600));
        let now = || post(&double, &login(PASSWORD), LIMIT).unwrap();
        double.set_mode(Mode::Error);
        assert_eq!(now().status, 500);
        double.set_mode(Mode::BadJson);
        assert_eq!((now().status, now().json()), (200, Value::Null));
        double.set_mode(Mode::NoToken);
        assert_eq!(now().json(), json!({"access": {}}));
        let brief = Duration::from_millis(200);
        for mode in [Mode::Hang, Mode::Slow(Duration::from_secs(3600))] {
            double.set_mode(mode);
            let silent = post(&double, &login(PASSWORD), brief).unwrap_err();
            assert_eq!(silent.kind(), ErrorKind::WouldBlock, "{mode:?}: {silent}");
        }
        double.set_mode(Mode::Slow(Duration::from_millis(10)));
        assert_eq!(now().status, 200, "in the end");
        double.set_mode(Mode::Ok);
        assert_eq!(now().status, 200);
    }
}
