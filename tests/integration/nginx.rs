//! A real nginx, private to one test: a folder, a port and a process of its own, killed when dropped.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running nginx.
pub struct Nginx {
    child: Child,
    pub address: SocketAddr,
    pub dir: tempfile::TempDir,
}

impl Nginx {
    /// Starts nginx with these directives inside `server { … }`; `{dir}` in them stands for its folder, into which
    /// `prepare` may write files first. `listen` is added: `tls` says what stands behind the port.
    pub fn start(server: &str, tls: bool, prepare: impl FnOnce(&Path)) -> Nginx {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("html")).unwrap();
        prepare(dir.path());
        // Another process may take the port between our asking and nginx's binding: then try the next.
        for _ in 0..5 {
            let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
            if let Some(child) = spawn(dir.path(), address, server, tls) {
                return Nginx { child, address, dir };
            }
        }
        let log = std::fs::read_to_string(dir.path().join("error.log")).unwrap_or_default();
        panic!("nginx (Debian package nginx-light or nginx) does not start: {log}");
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The last line of the access log that holds `part`, once it is there.
    pub fn logged(&self, part: &str) -> String {
        let path = self.dir.path().join("access.log");
        wait_for("the line in nginx's log", || {
            let log = std::fs::read_to_string(&path).unwrap_or_default();
            log.lines().rev().find(|l| l.contains(part)).map(str::to_owned)
        })
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn spawn(dir: &Path, address: SocketAddr, server: &str, tls: bool) -> Option<Child> {
    let shown = dir.display();
    let ssl = if tls { " ssl" } else { "" };
    let server = server.replace("{dir}", &shown.to_string());
    // `master_process off`: one process, whose id we hold. `daemon off`: it is our child.
    let config = format!(
        "daemon off; master_process off; pid {shown}/nginx.pid; error_log {shown}/error.log;
         events {{ worker_connections 512; }}
         http {{
           log_format seen '$request_method $request_uri host=$http_host ua=$http_user_agent $status $bytes_sent';
           access_log {shown}/access.log seen;
           client_body_temp_path {shown}/body; proxy_temp_path {shown}/proxy; fastcgi_temp_path {shown}/fastcgi;
           uwsgi_temp_path {shown}/uwsgi; scgi_temp_path {shown}/scgi;
           default_type text/plain;
           server {{ listen {address}{ssl}; root {shown}/html; {server} }}
         }}"
    );
    std::fs::write(dir.join("nginx.conf"), config).unwrap();
    let mut child = Command::new("nginx")
        .args(["-p", &shown.to_string(), "-e", &format!("{shown}/error.log"), "-c", &format!("{shown}/nginx.conf")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("nginx is installed");
    let up = wait_for("nginx to listen or to end", || {
        if child.try_wait().unwrap().is_some() {
            return Some(false);
        }
        // Written after it has bound its port: a connection would also succeed at another process's server.
        let pid = std::fs::read_to_string(dir.join("nginx.pid")).unwrap_or_default();
        (pid.trim() == child.id().to_string()).then_some(true)
    });
    up.then_some(child)
}

/// Asks again and again, for ten seconds at most.
#[expect(clippy::disallowed_methods, reason = "a limit for a real process")]
fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(begin.elapsed() < Duration::from_secs(10), "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
