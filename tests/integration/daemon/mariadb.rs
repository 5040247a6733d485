//! A MariaDB server of a test's own, which may be stopped, killed and frozen; and a link to it that can be cut.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::database::Server;
use super::harness::{SOON, free_port, wait_until};
use super::refused::Mount;

/// The server; ends with its owner.
pub struct PrivateServer {
    /// Unmounted before its folder goes.
    #[expect(dead_code, reason = "held as long as the server")]
    disk: Option<Mount>,
    dir: TempDir,
    pub server: Server,
    child: Option<Child>,
}

impl PrivateServer {
    /// A fresh server that answers.
    pub fn start() -> PrivateServer {
        PrivateServer::start_on(None)
    }

    /// The same, on a disk of this size (a tmpfs).
    pub fn start_on(disk: Option<&str>) -> PrivateServer {
        let dir = tempfile::tempdir().unwrap();
        let disk = disk.map(|size| Mount::tmpfs(dir.path(), size));
        let mut install = Command::new("mariadb-install-db");
        // Servers that are made at the same time would share names in the common folder.
        install.env("TMPDIR", dir.path());
        install.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
        let folder = dir.path().display();
        // Servers that share a folder for temporary files stumble over each other.
        install.args([format!("--datadir={folder}/data"), format!("--tmpdir={folder}")]).args(as_user());
        let output = install.stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut server = PrivateServer { disk, dir, server: Server { port: free_port() }, child: None };
        server.restart();
        server
    }

    /// Starts it again, with its data and on its port.
    pub fn restart(&mut self) {
        let path = |name: &str| self.dir.path().join("data").join(name).display().to_string();
        let mut command = Command::new("mariadbd");
        command.args(["--no-defaults", "--bind-address=127.0.0.1", "--innodb-flush-log-at-trx-commit=1"]);
        command.args(["--innodb-buffer-pool-size=32M", "--innodb-log-file-size=16M"]).args(as_user());
        command.args([format!("--port={}", self.server.port), format!("--datadir={}", path(""))]);
        command.args([format!("--socket={}", path("db.sock")), format!("--pid-file={}", path("db.pid"))]);
        command.args([format!("--log-error={}", path("error.log")), format!("--tmpdir={}", self.dir.path().display())]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        self.child = Some(child.spawn().unwrap());
        wait_until("the server answers", SOON * 2, || self.server.answers());
    }

    /// Where its data are.
    pub fn folder(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// Ends at once, as at a loss of power.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.child.as_ref().unwrap()), signal).unwrap();
    }

    /// Answers nothing any more, but its connections stay.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Goes on.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }
}

impl Drop for PrivateServer {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
    }
}

/// mariadbd refuses to run as root unless told so; the folder is the test's own.
fn as_user() -> Option<&'static str> {
    rustix::process::geteuid().is_root().then_some("--user=root")
}

/// What happens to the next COMMIT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It gets its answer.
    Answered,
    /// It is handed on, and the link is cut before the server can have answered.
    CutAtOnce,
    /// It is handed on, the server answers, and the link is cut instead of handing that back.
    CutAfterAnswer,
    /// It is handed on, and no answer ever comes; the link stays.
    Unanswered,
}

#[derive(Default)]
struct Plan {
    fates: Vec<Fate>,
    met: u32,
}

/// Stands between a client and a server, and looks for COMMIT.
pub struct Link {
    pub port: u16,
    plan: Arc<Mutex<Plan>>,
    commits: Arc<AtomicU32>,
}

impl Link {
    /// A link to this server; its threads end with the process that uses it or with the test program.
    pub fn to(server: Server) -> Link {
        let port = free_port();
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let link = Link { port, plan: Arc::default(), commits: Arc::default() };
        let (plan, commits) = (Arc::clone(&link.plan), Arc::clone(&link.commits));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(("127.0.0.1", server.port))) else {
                    continue;
                };
                let (plan, commits) = (Arc::clone(&plan), Arc::clone(&commits));
                // A broken connection is what this is for.
                std::thread::spawn(move || drop(carry(client, server, &plan, &commits)));
            }
        });
        link
    }

    /// These are the fates of the next COMMITs, last first.
    pub fn plan(&self, fates: &[Fate]) {
        self.plan.lock().unwrap().fates = fates.to_vec();
    }

    /// COMMITs that have met another fate than an answer.
    pub fn met(&self) -> u32 {
        self.plan.lock().unwrap().met
    }

    /// COMMITs that were seen.
    pub fn commits(&self) -> u32 {
        self.commits.load(Ordering::SeqCst)
    }
}

/// A packet of one statement: length, number 0, COM_QUERY, the text.
const COMMIT: &[u8] = b"\x07\x00\x00\x00\x03COMMIT";

fn carry(mut client: TcpStream, mut server: TcpStream, plan: &Mutex<Plan>, commits: &AtomicU32) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let back = (server.try_clone()?, client.try_clone()?);
    // Held back: what the server says goes nowhere from now on.
    let silent = Arc::new(Mutex::new(false));
    let silenced = Arc::clone(&silent);
    let (answered, answer) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        let (mut from, mut to) = back;
        let mut buffer = [0; 16384];
        while let Ok(n @ 1..) = from.read(&mut buffer) {
            if *silenced.lock().unwrap() {
                // Nobody waits where the link was to be cut at once.
                let _unheard = answered.send(());
            } else if to.write_all(&buffer[..n]).is_err() {
                break;
            }
        }
        // Closed already, most likely.
        let _closed = to.shutdown(Shutdown::Both);
    });
    let mut buffer = [0; 16384];
    loop {
        let n = client.read(&mut buffer)?;
        if n == 0 {
            return server.shutdown(Shutdown::Both);
        }
        // The client waits for an answer before it sends COMMIT, so it comes whole and alone.
        let fate = if buffer[..n].ends_with(COMMIT) {
            commits.fetch_add(1, Ordering::SeqCst);
            let mut plan = plan.lock().unwrap();
            let fate = plan.fates.pop().unwrap_or(Fate::Answered);
            plan.met += u32::from(fate != Fate::Answered);
            fate
        } else {
            Fate::Answered
        };
        *silent.lock().unwrap() |= fate != Fate::Answered;
        server.write_all(&buffer[..n])?;
        match fate {
            Fate::Answered | Fate::Unanswered => continue,
            Fate::CutAtOnce => {}
            // Bounded: a server that does not answer is cut off all the same.
            Fate::CutAfterAnswer => drop(answer.recv_timeout(Duration::from_secs(5))),
        }
        client.shutdown(Shutdown::Both)?;
        return server.shutdown(Shutdown::Both);
    }
}
