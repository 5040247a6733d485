//! A real Postfix, private to one test: own configuration, queue, authority, login and mailbox; nothing leaves it.
//!
//! ```text
//!  submission (STARTTLS, AUTH) --\
//!  smtps (TLS, AUTH) ------------- smtpd --RCPT--> Policy (this process) --> one Maildir
//!  plain ------------------------/
//! ```
//!
//! Recipients that begin with `grey` are deferred the first time (451), `reject` refused (550), `defer` deferred always.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::certificates::Authority;

pub const USER: &str = "skypunch@mail.test";
pub const PASSWORD: &str = "mail, \"Secret\"=1";

/// A running Postfix.
pub struct Postfix {
    child: Child,
    dir: tempfile::TempDir,
    pub authority: Authority,
    _policy: Policy,
    pub starttls: u16,
    pub tls: u16,
    pub plain: u16,
}

impl Postfix {
    /// Starts one.
    pub fn start() -> Postfix {
        let policy = Policy::start();
        let authority = Authority::new("mail test CA");
        let dir = tempfile::tempdir().unwrap();
        // Its daemons are other users than the one who starts it.
        mode(dir.path(), 0o711);
        let identity = authority.sign(&["localhost", "127.0.0.1"], 2090);
        std::fs::write(dir.path().join("cert.pem"), identity.certificate.pem()).unwrap();
        std::fs::write(dir.path().join("key.pem"), identity.key.serialize_pem()).unwrap();
        mode(&dir.path().join("key.pem"), 0o600);
        // Another process may take a port between our asking and Postfix's binding: then try others.
        for _ in 0..5 {
            let [starttls, tls, plain] = free_ports();
            configure(dir.path(), policy.address.port(), [starttls, tls, plain]);
            if let Some(child) = spawn(dir.path(), &[starttls, tls, plain]) {
                return Postfix { child, dir, authority, _policy: policy, starttls, tls, plain };
            }
        }
        panic!("Postfix (Debian packages postfix, sasl2-bin, libsasl2-modules) does not start: {}", log(dir.path()));
    }

    /// Everything delivered so far, in no order.
    pub fn mails(&self) -> Vec<Vec<u8>> {
        let Ok(found) = std::fs::read_dir(self.dir.path().join("mail/all/new")) else { return Vec::new() };
        found.map(|f| std::fs::read(f.unwrap().path()).unwrap()).collect()
    }

    /// Waits until there are `n` mails.
    pub fn wait(&self, n: usize) -> Vec<Vec<u8>> {
        let found = wait_for(Duration::from_secs(20), || Some(self.mails()).filter(|m| m.len() >= n));
        let found = found.unwrap_or_else(|| panic!("not {n} mails but {}: {}", self.mails().len(), self.log()));
        assert_eq!(found.len(), n);
        found
    }

    /// What it logged.
    pub fn log(&self) -> String {
        log(self.dir.path())
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        // The master's children end with it.
        let pid = std::fs::read_to_string(self.dir.path().join("spool/pid/master.pid")).unwrap_or_default();
        if let Ok(pid) = pid.trim().parse::<u32>() {
            Command::new("kill").args(["-TERM", &pid.to_string()]).status().ok();
        }
        let ended = wait_for(Duration::from_secs(5), || self.child.try_wait().ok().flatten());
        if ended.is_none() {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

fn configure(dir: &Path, policy: u16, [starttls, tls, plain]: [u16; 3]) {
    for folder in ["etc/sasl", "spool", "data", "mail", "log"] {
        std::fs::create_dir_all(dir.join(folder)).unwrap();
    }
    run(Command::new("chown").arg("postfix").arg(dir.join("data")));
    run(Command::new("chown").arg("nobody").arg(dir.join("mail")));
    let shown = dir.display();
    let id = |flag: &str| {
        let out = Command::new("id").args([flag, "nobody"]).output().unwrap();
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    };
    let main = format!(
        "compatibility_level = 3.6\nqueue_directory = {shown}/spool\ndata_directory = {shown}/data\n\
         command_directory = /usr/sbin\ndaemon_directory = /usr/lib/postfix/sbin\nmail_owner = postfix\n\
         setgid_group = postdrop\nmaillog_file_prefixes = {shown}/log\nmaillog_file = {shown}/log/mail.log\n\
         inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmyhostname = mail.test\nmydomain = mail.test\n\
         mydestination =\nmynetworks =\nalias_maps =\nalias_database =\nlocal_recipient_maps =\n\
         disable_dns_lookups = yes\nvirtual_mailbox_domains = regexp:{shown}/etc/every\n\
         virtual_mailbox_maps = static:all/\nvirtual_mailbox_base = {shown}/mail\n\
         virtual_uid_maps = static:{}\nvirtual_gid_maps = static:{}\nvirtual_minimum_uid = 1\n\
         default_transport = error:no mail leaves\nrelay_transport = error:no mail leaves\n\
         smtpd_tls_cert_file = {shown}/cert.pem\nsmtpd_tls_key_file = {shown}/key.pem\nsmtpd_tls_security_level = none\n\
         smtpd_sasl_type = cyrus\nsmtpd_sasl_path = smtpd\nsmtpd_sasl_local_domain = mail.test\n\
         smtpd_sasl_security_options = noanonymous\nsmtpd_relay_restrictions = permit_auth_destination, reject\n\
         smtpd_recipient_restrictions = check_policy_service inet:127.0.0.1:{policy}\n\
         smtpd_peername_lookup = no\nsmtpd_error_sleep_time = 0\nsmtpd_client_connection_count_limit = 0\n\
         in_flow_delay = 0\nsmtputf8_enable = no\n",
        id("-u"),
        id("-g")
    );
    let auth = "-o smtpd_sasl_auth_enable=yes -o smtpd_client_restrictions=permit_sasl_authenticated,reject";
    let master = format!(
        "127.0.0.1:{plain} inet n - n - - smtpd\n\
         127.0.0.1:{starttls} inet n - n - - smtpd -o smtpd_tls_security_level=may -o smtpd_tls_auth_only=yes {auth}\n\
         127.0.0.1:{tls} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes -o smtpd_tls_security_level=encrypt {auth}\n\
         cleanup unix n - n - 0 cleanup\nqmgr unix n - n 300 1 qmgr\ntlsmgr unix - - n 1000? 1 tlsmgr\n\
         rewrite unix - - n - - trivial-rewrite\nbounce unix - - n - 0 discard\ndefer unix - - n - 0 discard\n\
         trace unix - - n - 0 discard\nflush unix n - n 1000? 0 flush\nproxymap unix - - n - - proxymap\n\
         error unix - - n - - error\nretry unix - - n - - error\nvirtual unix - n n - - virtual\n\
         anvil unix - - n - 1 anvil\npostlog unix-dgram n - n - 1 postlogd\n"
    );
    // Debian's Postfix looks for it below its configuration folder.
    let sasl = format!(
        "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {shown}/sasldb2\nmech_list: PLAIN LOGIN\n"
    );
    for (file, text) in
        [("main.cf", &main), ("master.cf", &master), ("sasl/smtpd.conf", &sasl), ("every", &"/./ all\n".to_owned())]
    {
        std::fs::write(dir.join("etc").join(file), text).unwrap();
    }
    let database = dir.join("sasldb2");
    let (user, realm) = USER.split_once('@').unwrap();
    let mut child = Command::new("saslpasswd2")
        .args(["-c", "-p", "-f", database.to_str().unwrap(), "-u", realm, user])
        .stdin(Stdio::piped())
        .spawn()
        .expect("saslpasswd2 (Debian package sasl2-bin) is installed");
    child.stdin.take().unwrap().write_all(PASSWORD.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    run(Command::new("chown").arg("root:postfix").arg(&database));
    mode(&database, 0o640);
}

fn spawn(dir: &Path, ports: &[u16]) -> Option<Child> {
    let etc = dir.join("etc");
    let mut child = Command::new("postfix")
        .args(["-c", etc.to_str().unwrap(), "start-fg"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("postfix is installed");
    let up = wait_for(Duration::from_secs(20), || {
        if child.try_wait().unwrap().is_some() {
            return Some(false);
        }
        let running = dir.join("spool/pid/master.pid").exists();
        let answers = |port: &u16| TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).is_ok();
        (running && ports.iter().all(answers)).then_some(true)
    });
    if up == Some(true) {
        return Some(child);
    }
    child.kill().ok();
    child.wait().ok();
    None
}

fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    listeners.map(|l| l.local_addr().unwrap().port())
}

fn log(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("log/mail.log")).unwrap_or_default()
}

fn mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}

/// Asks again and again until there is an answer or the limit is reached.
#[expect(clippy::disallowed_methods, reason = "a limit for a real process")]
pub fn wait_for<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let begin = Instant::now();
    loop {
        if let Some(found) = ask() {
            return Some(found);
        }
        if begin.elapsed() > limit {
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Says of each recipient what Postfix shall answer.
struct Policy {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
}

impl Policy {
    fn start() -> Policy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, seen) = (Arc::clone(&stop), Arc::new(Mutex::new(HashSet::new())));
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let seen = Arc::clone(&seen);
                std::thread::spawn(move || answer(connection, &seen));
            }
        });
        Policy { address, stop }
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        TcpStream::connect(self.address).ok();
    }
}

/// Postfix's policy protocol: `name=value` lines up to an empty one, answered by `action=…`.
fn answer(connection: TcpStream, seen: &Mutex<HashSet<String>>) {
    let mut out = connection.try_clone().unwrap();
    let mut recipient = String::new();
    for line in BufReader::new(connection).lines().map_while(Result::ok) {
        if let Some(value) = line.strip_prefix("recipient=") {
            recipient = value.to_owned();
        }
        if !line.is_empty() {
            continue;
        }
        let action = match recipient.as_str() {
            r if r.starts_with("grey") && seen.lock().unwrap().insert(r.to_owned()) => {
                "451 4.7.1 greylisted, come again"
            }
            r if r.starts_with("reject") => "550 5.1.1 nobody of that name here",
            r if r.starts_with("defer") => "450 4.2.1 mailbox busy",
            _ => "DUNNO",
        };
        // In one piece: Nagle would hold a second one back for 40 ms.
        if out.write_all(format!("action={action}\n\n").as_bytes()).is_err() {
            return;
        }
    }
}

/// The file of the authority that signed the server's certificate.
pub fn ca(postfix: &Postfix) -> PathBuf {
    postfix.authority.file()
}
