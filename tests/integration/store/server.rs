//! What can be wrong with a server: refused, denied, frozen, killed.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::fixture::{NOW, TestDb, batch, mariadb, server};
use skypunch::clock::Clock;
use skypunch::secret::Secret;
use skypunch::store::{ConnectOptions, DatabaseUrl, Store, StoreError, Tls, Written};
use tempfile::TempDir;
use url::Url;

fn options(timeout: Duration) -> ConnectOptions {
    ConnectOptions { timeout, ..ConnectOptions::default() }
}

/// Waits until `f` gives something, at most `limit`.
fn until<T>(limit: Duration, what: &str, mut f: impl FnMut() -> Option<T>) -> T {
    let clock = Clock::system();
    let begun = clock.now();
    loop {
        if let Some(value) = f() {
            return value;
        }
        assert!(clock.now().since(begun) < limit, "{what} took too long");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A server of the test's own, which it may freeze.
struct Server {
    child: Child,
    url: Url,
    _dir: TempDir,
}

impl Server {
    fn start(more: &[String]) -> Server {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let mut install = Command::new("mariadb-install-db");
        // Servers that are made at the same time would share names in the common folder.
        install.env("TMPDIR", dir.path());
        install.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
        install.arg(format!("--datadir={}", data.display())).arg(format!("--user={}", me()));
        super::fixture::output(install).expect("mariadb-install-db");
        // Ports below 10240: the range above is used for connections going out. Each server begins to look elsewhere.
        let begin = 7000
            + dir.path().as_os_str().as_encoded_bytes().iter().fold(0u16, |n, b| n.wrapping_mul(31) ^ u16::from(*b))
                % 3000;
        let free = |p: &u16| std::net::TcpListener::bind(("127.0.0.1", *p)).is_ok();
        let port = (begin..10240).chain(7000..begin).find(free).unwrap();
        let mut command = Command::new("mariadbd");
        command.arg("--no-defaults").arg(format!("--datadir={}", data.display())).arg(format!("--user={}", me()));
        command.arg(format!("--socket={}", dir.path().join("s").display())).arg(format!("--port={port}"));
        command.args(["--bind-address=127.0.0.1", "--skip-networking=0", "--innodb-buffer-pool-size=16M"]);
        command.args(more);
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let mut child = command.stdout(Stdio::null()).stderr(log).spawn().expect("mariadbd");
        let url = Url::parse(&format!("mysql://root@127.0.0.1:{port}/")).unwrap();
        until(Duration::from_secs(60), "starting MariaDB", || {
            assert!(child.try_wait().unwrap().is_none(), "mariadbd has ended");
            mariadb(&url, "", "CREATE DATABASE own").ok()
        });
        Server { child, url, _dir: dir }
    }

    fn url(&self) -> DatabaseUrl {
        DatabaseUrl::parse(self.url.join("own").unwrap().as_str()).unwrap()
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status().unwrap();
        assert!(sent.success());
    }
}

fn me() -> String {
    super::fixture::output({
        let mut c = Command::new("id");
        c.arg("-un");
        c
    })
    .unwrap()
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

#[test]
fn a_frozen_server_is_away_within_the_bound() {
    let server = Server::start(&[]);
    let bound = Duration::from_millis(700);
    let mut store = Store::connect(&server.url(), &options(bound)).unwrap();
    store.migrate().unwrap();
    let clock = Clock::system();
    server.signal("STOP");
    let begun = clock.now();
    let error = store.write_batch(&batch(1, 1, 7, 0, 2, 0)).unwrap_err();
    assert_eq!(error, StoreError::TimedOut(bound));
    assert!(error.is_away());
    assert!(!store.is_connected(), "a connection that was left in the middle is never used again");
    assert!(matches!(store.load_statuses(), Err(StoreError::Lost(_))));
    assert_eq!(Store::connect(&server.url(), &options(bound)).unwrap_err(), StoreError::TimedOut(bound));
    drop(store);
    let spent = clock.now().since(begun);
    assert!(spent < bound * 4, "two waits of {bound:?} took {spent:?}");
    server.signal("CONT");
    let mut store = until(Duration::from_secs(10), "thawing", || Store::connect(&server.url(), &options(bound)).ok());
    assert_eq!(store.write_batch(&batch(1, 1, 7, 0, 2, 0)).unwrap(), Written::Now);
}

#[test]
fn a_server_that_was_killed_is_away_and_takes_the_batch_when_it_is_back() {
    let db = TestDb::mariadb();
    let mut store = db.store();
    let id = db.client("SELECT ID FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND ID <> CONNECTION_ID()");
    db.client(&format!("KILL {}", id.unwrap())).unwrap();
    let error = store.write_batch(&batch(1, 1, 7, 0, 2, 0)).unwrap_err();
    assert!(matches!(error, StoreError::Lost(_)) && error.is_away(), "{error}");
    assert!(!store.is_connected());
    assert_eq!(db.connect().write_batch(&batch(1, 1, 7, 0, 2, 0)).unwrap(), Written::Now);
}

#[test]
fn nobody_listening_is_away() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = DatabaseUrl::parse(&format!("mysql://root:hunter2@127.0.0.1:{port}/x")).unwrap();
    let error = Store::connect(&url, &options(Duration::from_secs(5))).unwrap_err();
    assert!(matches!(&error, StoreError::Refused(t) if t.contains(&port.to_string())), "{error}");
    assert!(error.is_away());
}

#[test]
fn a_wrong_password_is_denied_and_not_shown() {
    let db = TestDb::mariadb();
    let name = db.url.to_string().rsplit('/').next().unwrap().to_owned();
    let server = server();
    let address = format!("127.0.0.1:{}", server.port().unwrap());
    let user = format!("u{}", std::process::id());
    let grant = format!("CREATE USER {user} IDENTIFIED BY 's3:cr@t/ü'; GRANT SELECT ON {name}.* TO {user}");
    mariadb(&server, "", &grant).unwrap();
    let bound = options(Duration::from_secs(5));
    let url = DatabaseUrl::parse(&format!("mysql://{user}:hunter2@{address}/{name}")).unwrap();
    let error = Store::connect(&url, &bound).unwrap_err();
    assert!(matches!(&error, StoreError::Denied(_)), "{error}");
    assert!(!error.is_away() && !error.to_string().contains("hunter2"));
    // The right one, given apart from the URL; and a right to read is enough to look for changes.
    db.store();
    let mut store = Store::connect(&url.with_password(Secret::new("s3:cr@t/ü")), &bound).unwrap();
    assert!(store.change_token().unwrap().is_some());
    assert_eq!(store.load_definitions().unwrap(), []);
    let error = store.write_batch(&batch(1, 1, 7, 0, 1, 0)).unwrap_err();
    assert!(matches!(error, StoreError::Denied(_)), "{error}");
    mariadb(&server, "", &format!("DROP USER {user}")).unwrap();
}

#[test]
fn a_database_that_is_not_there_is_named() {
    let mut url = server();
    url.set_path("nobody_made_this");
    let url = DatabaseUrl::parse(url.as_str()).unwrap();
    let error = Store::connect(&url, &options(Duration::from_secs(5))).unwrap_err();
    assert!(
        matches!(&error, StoreError::Setting(t) if t.contains("nobody_made_this") && t.contains("CREATE DATABASE"))
    );
    assert!(!error.is_away());
}

#[test]
fn tls_that_cannot_be_had_is_said() {
    let server = Server::start(&["--skip-ssl".into()]);
    let (url, bound) = (server.url(), Duration::from_secs(5));
    let error = Store::connect(&url, &ConnectOptions { tls: Tls::Encrypt, timeout: bound }).unwrap_err();
    assert!(matches!(&error, StoreError::Tls(_)) && !error.is_away(), "{error}");
    let ca = Tls::Verify { ca: Some(Path::new("/nonexistent/ca.pem").into()) };
    let error = Store::connect(&url, &ConnectOptions { tls: ca, timeout: bound }).unwrap_err();
    assert!(matches!(&error, StoreError::Setting(t) if t.contains("/nonexistent/ca.pem")), "{error}");
}

#[test]
fn a_table_that_somebody_holds_locked_leaves_the_token_unknown() {
    let db = TestDb::mariadb();
    db.store();
    let mut store = Store::connect(&db.url, &options(Duration::from_secs(4))).unwrap();
    let before = store.change_token().unwrap();
    let server = server();
    let name = db.url.to_string().rsplit('/').next().unwrap().to_owned();
    let mut client = Command::new("mariadb");
    client.args(["--no-defaults", "--protocol=tcp", "--unbuffered", "-N", "-h", "127.0.0.1", "-u", server.username()]);
    client.args(["-P", &server.port().unwrap().to_string(), &name]);
    let mut child = client.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let stdin = child.stdin.as_mut().unwrap();
    std::io::Write::write_all(stdin, b"LOCK TABLES targets WRITE; SELECT 'locked';\n").unwrap();
    let mut line = [0u8; 6];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut line).unwrap();
    assert_eq!(store.change_token(), Ok(None));
    drop(child.stdin.take());
    child.wait().unwrap();
    assert_eq!(store.change_token().unwrap(), before, "the connection lives on");
    store.insert_definition(&super::fixture::definition("x"), NOW).unwrap();
}

/// An authority and a server certificate for `name` that it has signed, as PEM files.
fn certificate(dir: &Path, name: &str) -> (std::path::PathBuf, Vec<String>) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let issuer = Issuer::new(ca, ca_key);
    let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let write = |file: &str, text: &str| {
        std::fs::write(dir.join(file), text).unwrap();
        dir.join(file)
    };
    let ca = write("ca.pem", &ca_pem);
    let cert = write("cert.pem", &leaf.pem());
    let key = write("key.pem", &key.serialize_pem());
    (ca, vec![format!("--ssl-cert={}", cert.display()), format!("--ssl-key={}", key.display())])
}

#[test]
fn tls_is_encrypted_and_verified_as_asked() {
    let dir = tempfile::tempdir().unwrap();
    let (ca, ssl) = certificate(dir.path(), "localhost");
    let server = Server::start(&ssl);
    let mut named = server.url.join("own").unwrap();
    named.set_host(Some("localhost")).unwrap();
    let named = DatabaseUrl::parse(named.as_str()).unwrap();
    let bound = Duration::from_secs(10);
    let connect = |url: &DatabaseUrl, tls| Store::connect(url, &ConnectOptions { tls, timeout: bound });
    mariadb(&server.url, "", "CREATE USER secure REQUIRE SSL; GRANT ALL ON own.* TO secure").unwrap();
    let secure = DatabaseUrl::parse(&named.to_string().replace("root@", "secure@")).unwrap();
    // The account refuses who does not encrypt, so getting in shows that it was.
    assert!(matches!(connect(&secure, Tls::Off), Err(StoreError::Denied(_))));
    connect(&secure, Tls::Encrypt).unwrap().migrate().unwrap();
    connect(&secure, Tls::Verify { ca: Some(ca.clone()) }).unwrap().load_definitions().unwrap();
    for (url, ca, what) in [
        (server.url(), Some(ca), "the certificate is for another name"),
        (named.clone(), None, "no public authority has signed it"),
        (named, Some(certificate(tempfile::tempdir().unwrap().path(), "x").0), "the file is gone"),
    ] {
        let error = connect(&url, Tls::Verify { ca }).unwrap_err();
        assert!(!error.is_away(), "{what}: {error}");
    }
}
