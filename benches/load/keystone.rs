//! A real Keystone for the bench: the tests' own (tests/keystone), a process of its own that ends with the bench.
//!
//! ```text
//!  tests/keystone/prepare --> template folder --copied--> server.py keystone: logins noted in FOLDER/logins
//! ```

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use skypunch::clock::Clock;

use crate::Outcome;

/// No start takes longer.
const START: Duration = Duration::from_secs(60);

/// What one who logs in writes, as it stands in `authn_parms` and in `params`. `user` is `admin` or, for other use, `glance`.
const PASSWORD: &str = "admin-Secret1";

/// A running Keystone; gone when dropped.
pub struct Keystone {
    process: Child,
    folder: tempfile::TempDir,
    port: u16,
}

/// Logins that were noted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Logins {
    /// That came.
    pub came: usize,
    /// That were granted.
    pub granted: usize,
    /// The most that were being answered at one moment.
    pub at_once: usize,
}

impl Keystone {
    /// One whose tokens live so many seconds, ready to answer.
    pub fn start(token_seconds: u64) -> Outcome<Keystone> {
        let template = template()?;
        let folder = tempfile::Builder::new().prefix("skypunch-bench-keystone-").tempdir()?;
        let copied = Command::new("cp").arg("-a").arg(template.join(".")).arg(folder.path()).status()?;
        if !copied.success() {
            return Err(format!("{} cannot be copied", template.display()).into());
        }
        let (port, image) = (free_port()?, free_port()?);
        let log = std::fs::File::create(folder.path().join("output.log"))?;
        let process = Command::new(template.join("../venv/bin/python"))
            .args(["-W", "ignore"])
            .arg(tests_keystone().join("server.py"))
            .arg("keystone")
            .arg(folder.path())
            .args([port.to_string(), token_seconds.to_string(), image.to_string()])
            .stdin(Stdio::piped()) // it ends when this does
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut keystone = Keystone { process, folder, port };
        keystone.wait_until_ready()?;
        Ok(keystone)
    }

    fn wait_until_ready(&mut self) -> Outcome<()> {
        let clock = Clock::system();
        let began = clock.now();
        // A login loads what Keystone loads at the first one.
        let user = r#"{"name": "glance", "domain": {"id": "default"}, "password": "glance-Secret1"}"#;
        let body =
            format!(r#"{{"auth": {{"identity": {{"methods": ["password"], "password": {{"user": {user}}}}}}}}}"#);
        while !self.post("/v3/auth/tokens", &body).is_ok_and(|answer| answer.starts_with("HTTP/1.1 201")) {
            if let Some(status) = self.process.try_wait()? {
                let log = std::fs::read_to_string(self.folder.path().join("output.log")).unwrap_or_default();
                return Err(format!("Keystone has ended ({status}):\n{log}").into());
            }
            if clock.now().since(began) > START {
                return Err(format!("Keystone does not answer within {START:?}").into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn post(&self, path: &str, body: &str) -> std::io::Result<String> {
        let mut tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        tcp.set_read_timeout(Some(START))?;
        let head = "Host: keystone\r\nConnection: close\r\nContent-Type: application/json";
        tcp.write_all(
            format!("POST {path} HTTP/1.1\r\n{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes(),
        )?;
        let mut answer = String::new();
        tcp.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// Where it listens, on the loopback address.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A login's parameters, of the administrator.
    pub fn params(&self) -> String {
        format!(
            "auth_url=http://127.0.0.1:{}/v3,username=admin,user_domain_id=default,password={PASSWORD},project_name=admin,\
             project_domain_id=default",
            self.port
        )
    }

    /// What the administrator's logins came to since Keystone started.
    pub fn logins(&self) -> Outcome<Logins> {
        let (mut logins, mut open) = (Logins::default(), 0_usize);
        for line in std::fs::read_to_string(self.folder.path().join("logins"))?.lines() {
            let note: Value = serde_json::from_str(line)?;
            if !note["who"].as_array().is_some_and(|who| who.iter().any(|w| w == "admin")) {
                continue;
            }
            match note["status"].as_u64() {
                None => (logins.came, open) = (logins.came + 1, open + 1),
                Some(status) => {
                    logins.granted += usize::from(status == 201);
                    open = open.saturating_sub(1);
                }
            }
            logins.at_once = logins.at_once.max(open);
        }
        Ok(logins)
    }
}

impl Drop for Keystone {
    fn drop(&mut self) {
        // It takes its folder and its workers with it.
        drop(self.process.stdin.take());
        let _ended = self.process.wait();
    }
}

fn tests_keystone() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keystone")
}

/// The folder that a Keystone starts from; made when it is not there yet.
fn template() -> Outcome<PathBuf> {
    if let Some(folder) = std::env::var_os("SKYPUNCH_TEST_KEYSTONE") {
        return Ok(folder.into());
    }
    // What it lacks it says itself, on standard error.
    let prepare = tests_keystone().join("prepare");
    let output = Command::new(&prepare).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        let why = "no Keystone, so nothing of OpenStack can be measured: see what it says above";
        return Err(format!("{} failed ({}): {why}", prepare.display(), output.status).into());
    }
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}

fn free_port() -> Outcome<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
