//! The processes: a private Keystone, and a Glance that checks tokens at it.
//!
//! ```text
//!  template folder (tests/keystone/prepare) --copied--> folder of its own --> server.py: gunicorn + Keystone
//!  a port that is held, bound but not listening --------------------------/   its logins noted in the folder
//! ```
//!
//! The port stays held while the server is away, so that it is refused and nobody else gets it meanwhile.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use rustix::fd::OwnedFd;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use serde_json::Value;

use super::http::{LIMIT, try_send};
use crate::daemon::harness::wait_until;

/// How a Keystone shall be.
pub struct Options {
    /// Seconds that its tokens live.
    pub token_seconds: u32,
}

impl Default for Options {
    fn default() -> Options {
        Options { token_seconds: 3600 }
    }
}

/// A running Keystone; gone when dropped.
pub struct Keystone {
    dir: tempfile::TempDir,
    port: Port,
    image: Port,
    token_seconds: u32,
    process: Mutex<Option<Process>>,
}

impl Keystone {
    /// One that tests share: each with tenants of its own, none stopping or slowing it, or changing its catalog.
    pub fn shared() -> &'static Keystone {
        static SHARED: OnceLock<Keystone> = OnceLock::new();
        SHARED.get_or_init(|| Keystone::start(Options::default()))
    }

    /// A private one, ready to answer.
    pub fn start(options: Options) -> Keystone {
        let (dir, token_seconds) = (copy_of_template(), options.token_seconds);
        let keystone =
            Keystone { dir, port: Port::hold(), image: Port::hold(), token_seconds, process: Mutex::default() };
        keystone.start_again();
        keystone
    }

    /// Starts it at the same port with what it knew; its tokens stay valid.
    pub fn start_again(&self) {
        let mut process = self.process.lock().unwrap();
        assert!(process.is_none(), "it is running");
        let arguments = [self.port.number.to_string(), self.token_seconds.to_string(), self.image.number.to_string()];
        let mut started = Process::start("keystone", self.dir.path(), &arguments);
        started.wait_until_answers(&self.auth_url(), 200);
        *process = Some(started);
    }

    /// Ends it: connections are refused.
    pub fn stop(&self) {
        drop(self.process.lock().unwrap().take().expect("it is running"));
    }

    /// Freezes it: connections are taken, nothing is answered.
    pub fn freeze(&self) {
        self.process.lock().unwrap().as_ref().expect("it is running").signal(Signal::STOP);
    }

    /// Ends [`Keystone::freeze`].
    pub fn thaw(&self) {
        self.process.lock().unwrap().as_ref().expect("it is running").signal(Signal::CONT);
    }

    /// Logins, those that wait already too, are answered so long after they came; zero is as fast as it can.
    pub fn slow(&self, delay: Duration) {
        let (file, new) = (self.dir.path().join("delay"), self.dir.path().join("delay.new"));
        std::fs::write(&new, delay.as_secs_f64().to_string()).unwrap();
        std::fs::rename(new, file).unwrap();
    }

    /// What is left of it when the tests end without dropping it.
    pub fn abandon(mut self) -> Process {
        let mut process = self.process.get_mut().unwrap().take().expect("it is running");
        self.dir.disable_cleanup(true);
        process.child.stdin = None;
        process
    }

    /// `http://127.0.0.1:PORT`: the list of versions.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.number)
    }

    /// `http://127.0.0.1:PORT/v3`.
    pub fn auth_url(&self) -> String {
        format!("{}/v3", self.url())
    }

    /// The port of the image service in the catalog, which refuses connections until [`Glance::start`].
    pub fn image_port(&self) -> u16 {
        self.image.number
    }

    /// Logins that came so far, granted or not, waiting ones too: of the user or application credential with this name
    /// or id, as it stood in the request.
    pub fn logins(&self, who: &str) -> usize {
        self.noted(who, |status| status.is_null())
    }

    /// Logins that were granted (201) so far.
    pub fn granted(&self, who: &str) -> usize {
        self.noted(who, |status| *status == 201)
    }

    /// The tokens that were issued so far, the oldest first.
    pub fn issued(&self, who: &str) -> Vec<String> {
        self.notes(who).iter().filter_map(|n| n["token"].as_str().map(str::to_owned)).collect()
    }

    /// The ends of its logs, for the message of a test that fails.
    pub fn logs(&self) -> String {
        logs(self.dir.path())
    }

    fn noted(&self, who: &str, status: impl Fn(&Value) -> bool) -> usize {
        self.notes(who).iter().filter(|n| status(&n["status"])).count()
    }

    fn notes(&self, who: &str) -> Vec<Value> {
        let notes = std::fs::read_to_string(self.dir.path().join("logins")).unwrap();
        let notes = notes.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        notes.filter(|n| n["who"].as_array().unwrap().iter().any(|w| w == who)).collect()
    }
}

/// A running Glance, which checks the tokens of its callers at one Keystone; gone when dropped.
///
/// Each interface and region of the catalog has an address of its own: public, internal and admin of RegionOne 127.0.0.1
/// to .3, those of RegionTwo 127.0.0.4 to .6.
pub struct Glance {
    port: u16,
    process: Process,
    _dir: tempfile::TempDir,
}

impl Glance {
    /// One that tests share, with [`Keystone::shared`].
    pub fn shared() -> &'static Glance {
        static SHARED: OnceLock<Glance> = OnceLock::new();
        SHARED.get_or_init(|| Glance::start(Keystone::shared()))
    }

    /// The image service of this Keystone's catalog, ready to answer. One at a time.
    pub fn start(keystone: &Keystone) -> Glance {
        let (dir, port) = (copy_of_template(), keystone.image.number);
        let process = Process::start("glance", dir.path(), &[port.to_string(), keystone.port.number.to_string()]);
        let mut glance = Glance { port, process, _dir: dir };
        let url = glance.url();
        glance.process.wait_until_answers(&url, 300);
        glance
    }

    /// `http://127.0.0.1:PORT`: the list of versions, for everybody.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The list of images: 200 with a token for a project, 401 without, 403 with one for no project.
    pub fn images_url(&self) -> String {
        format!("{}/v2/images", self.url())
    }
}

/// Where `tests/keystone/prepare` has put what a server begins with.
fn template() -> PathBuf {
    let folder = std::env::var_os("SKYPUNCH_TEST_KEYSTONE").expect(
        "SKYPUNCH_TEST_KEYSTONE is not set: run the tests with tests/run, or set it to what tests/keystone/prepare prints",
    );
    PathBuf::from(folder)
}

fn copy_of_template() -> tempfile::TempDir {
    fn copy(from: &Path, to: &Path) {
        for entry in std::fs::read_dir(from).unwrap_or_else(|e| panic!("{}: {e}", from.display())).map(Result::unwrap) {
            let (old, new) = (entry.path(), to.join(entry.file_name()));
            if old.is_dir() {
                std::fs::create_dir(&new).unwrap();
                std::fs::set_permissions(&new, old.metadata().unwrap().permissions()).unwrap();
                copy(&old, &new);
            } else {
                std::fs::copy(old, new).unwrap();
            }
        }
    }
    let dir = tempfile::tempdir().unwrap();
    copy(&template(), dir.path());
    dir
}

/// The ends of all that a server has logged.
fn logs(dir: &Path) -> String {
    let files = std::fs::read_dir(dir).unwrap().map(|f| f.unwrap().path());
    let logs = files.filter(|f| f.extension().is_some_and(|e| e == "log"));
    let ends = logs.map(|f| {
        let text = std::fs::read_to_string(&f).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(15).collect();
        format!("\n{}:\n{}", f.display(), lines.into_iter().rev().collect::<Vec<_>>().join("\n"))
    });
    ends.collect()
}

/// A server and its workers: a process group.
pub struct Process {
    child: Child,
    pub dir: PathBuf,
}

impl Process {
    fn start(what: &str, dir: &Path, arguments: &[String]) -> Process {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keystone/server.py");
        let log = std::fs::File::options().create(true).append(true).open(dir.join("output.log")).unwrap();
        let child = Command::new(template().join("../venv/bin/python"))
            .args(["-W", "ignore"])
            .arg(script)
            .arg(what)
            .arg(dir)
            .args(arguments)
            .stdin(Stdio::piped()) // it ends when this does: a static is never dropped
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0)
            .spawn()
            .expect("Python is where tests/keystone/prepare has put it");
        Process { child, dir: dir.to_owned() }
    }

    fn wait_until_answers(&mut self, url: &str, status: u16) {
        wait_until("the server answers", LIMIT, || {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "the server did not start ({ended:?}): {}", logs(&self.dir));
            try_send("GET", url, &[], None, LIMIT).is_ok_and(|a| a.status == status)
        });
    }

    /// Whether it and its workers are gone.
    pub fn has_ended(&mut self) -> bool {
        let group = Pid::from_child(&self.child);
        self.child.try_wait().unwrap().is_some() && test_kill_process_group(group).is_err()
    }

    fn signal(&self, signal: Signal) {
        kill_process_group(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
            return; // its group's number may be another's already
        }
        let group = Pid::from_child(&self.child);
        kill_process_group(group, Signal::KILL).ok();
        self.child.wait().ok();
        // Its workers hold the port until they are gone too.
        wait_until("its workers have ended", LIMIT, || test_kill_process_group(group).is_err());
    }
}

/// A port that is ours for as long as this lives, whether a server listens on it or not: a socket is bound to it that
/// never listens. Linux lets another one with SO_REUSEADDR listen there, and gives it to nobody who asks for any port.
struct Port {
    number: u16,
    _socket: OwnedFd,
}

impl Port {
    fn hold() -> Port {
        use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with, sockopt};
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        sockopt::set_socket_reuseaddr(&socket, true).unwrap();
        bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let address = SocketAddr::try_from(getsockname(&socket).unwrap()).unwrap();
        Port { number: address.port(), _socket: socket }
    }
}
