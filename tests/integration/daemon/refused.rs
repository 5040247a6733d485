//! Places and files with the wrong rights, and ports and sockets that are taken: one sentence with the mend, exit code 2,
//! nothing changed.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::harness::{Daemon, Place, Setup, file};

/// Refused with exit code 2 and one sentence that holds these words.
pub(super) fn assert_refused(setup: &Setup, words: &[&str]) {
    let (code, said) = setup.refused();
    assert_eq!(code, Some(2), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
    assert!(!said.contains("panicked") && said.len() < 1000, "{said}");
    // The log says where it begins and that it cannot; nothing else.
    let complaints = said.lines().filter(|l| l.contains("cannot start") || l.starts_with("skypunch:")).count();
    assert_eq!(complaints, 1, "{said}");
}

/// Paths below a folder with their kind, mode, size and content, but for `skip`.
pub(super) fn picture(dir: &Path, skip: &[&str]) -> Vec<(String, u32, Vec<u8>)> {
    let mut all = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).unwrap().map(Result::unwrap) {
            let (path, meta) = (entry.path(), entry.metadata().unwrap());
            let shown = path.display().to_string();
            if skip.iter().any(|s| shown.ends_with(s)) {
                continue;
            }
            let content = if meta.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
            all.push((shown, meta.permissions().mode(), content));
            if meta.is_dir() {
                open.push(path);
            }
        }
    }
    all.sort();
    all
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// The daemon as a user who owns nothing here; what belongs to it is its own.
fn as_nobody(place: &Place) -> Setup {
    assert!(rustix::process::geteuid().is_root(), "this test changes users: run it as root");
    let user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"].map(str::to_owned).to_vec();
    mode(place.dir.path(), 0o755);
    Setup { wrapper: user, ..place.setup() }
}

fn owned_by_nobody(path: &Path) {
    std::os::unix::fs::chown(path, Some(65534), Some(65534)).unwrap();
}

#[test]
fn a_state_folder_of_another_user_is_refused() {
    let place = Place::new();
    let setup = as_nobody(&place);
    // It is not there and cannot be made; it is root's; its files are root's.
    let before = picture(place.dir.path(), &["skypunch.toml"]);
    let state = setup.state.display().to_string();
    assert_refused(&setup, &[&state, "let this user write there", "state.dir", "Permission denied"]);
    assert_eq!(picture(place.dir.path(), &["skypunch.toml"]), before);
    std::fs::create_dir(&setup.state).unwrap();
    assert_refused(&setup, &[&state, "let this user write there", "state.dir"]);
    owned_by_nobody(&setup.state);
    std::fs::write(setup.state.join("state.db"), "").unwrap();
    mode(&setup.state.join("state.db"), 0o600);
    std::fs::create_dir(place.path("run")).unwrap();
    owned_by_nobody(&place.path("run"));
    let before = picture(&setup.state, &[]);
    assert_refused(&setup, &["state.db", "let this user"]);
    assert_eq!(picture(&setup.state, &[]), before);
}

#[test]
fn a_state_folder_that_everybody_may_write_is_refused() {
    let place = Place::new();
    let setup = place.setup();
    std::fs::create_dir(&setup.state).unwrap();
    mode(&setup.state, 0o777);
    let before = picture(place.dir.path(), &["skypunch.toml"]);
    let chmod = format!("chmod o-w {}", setup.state.display());
    assert_refused(&setup, &["may be written by everybody (mode 777)", &chmod]);
    assert_eq!(picture(place.dir.path(), &["skypunch.toml"]), before);
    mode(&setup.state, 0o750);
    let mut daemon = setup.start();
    daemon.terminate();
    let state_db = setup.state.join("state.db");
    mode(&state_db, 0o644);
    assert_refused(&setup, &["may be read by everybody and holds passwords", "chmod o-rw", "state.db"]);
    mode(&state_db, 0o600);
    drop(setup.start());
}

#[test]
fn a_socket_that_cannot_be_made_is_refused() {
    let place = Place::new();
    // A folder where the socket should be; its own folder is root's; its folder is a file.
    let setup = place.setup();
    std::fs::create_dir_all(&setup.socket).unwrap();
    std::fs::write(setup.socket.join("precious"), "x").unwrap();
    let before = picture(place.dir.path(), &["skypunch.toml"]);
    assert_refused(&setup, &["control.sock is a folder", "control.socket"]);
    assert_eq!(picture(place.dir.path(), &["skypunch.toml"]), before);
    let nobody = as_nobody(&place);
    std::fs::create_dir(&nobody.state).unwrap();
    owned_by_nobody(&nobody.state);
    std::fs::create_dir(place.path("closed")).unwrap();
    let before = picture(place.dir.path(), &["skypunch.toml"]);
    let closed = Setup { socket: place.path("closed/control.sock"), ..nobody };
    assert_refused(
        &closed,
        &["closed/control.sock", "Permission denied", "let this user write in its folder", "control.socket"],
    );
    assert_eq!(picture(place.dir.path(), &["skypunch.toml"]), before);
    let in_a_file = file(&place, "file", "x");
    let setup = Setup { socket: format!("{in_a_file}/control.sock").into(), ..place.setup() };
    assert_refused(&setup, &[&in_a_file, "control.socket"]);
    // A name that no socket can have.
    let long = place.path(&"x".repeat(120));
    assert_refused(&Setup { socket: long, ..place.setup() }, &["control.socket", "shorter"]);
    assert_eq!(std::fs::read_to_string(place.path("file")).unwrap(), "x");
}

#[test]
fn a_password_that_cannot_be_read_is_refused_by_its_file() {
    let place = Place::on(super::database::Kind::Mariadb);
    let setup = as_nobody(&place);
    for folder in ["state", "run", "secrets", "credentials"] {
        std::fs::create_dir(place.path(folder)).unwrap();
        owned_by_nobody(&place.path(folder));
    }
    let secret = file(&place, "secrets/db", "hunter2\n");
    mode(Path::new(&secret), 0o600);
    file(&place, "credentials/db", "hunter2\n");
    mode(&place.path("credentials/db"), 0o600);
    let secrets = place.path("secrets").display().to_string();
    let with = |reference: &str| {
        let mut setup = setup.clone();
        setup.environment.push(("SKYPUNCH__DATABASE__PASSWORD".into(), reference.into()));
        setup.environment.push(("CREDENTIALS_DIRECTORY".into(), place.path("credentials").display().to_string()));
        setup.extra(&format!("[secrets]\nfolders = [{secrets:?}]\n"))
    };
    let before = picture(place.dir.path(), &["skypunch.toml"]);
    assert_refused(
        &with(&format!("${{file:{secret}}}")),
        &[&secret, "Permission denied", "database.password", "let this user read it"],
    );
    assert_refused(&with("${cred:db}"), &["credentials/db", "Permission denied", "let this user read it"]);
    assert_refused(&with(&format!("${{file:{secrets}/none}}")), &["secrets/none", "No such file", "database.password"]);
    assert_refused(&with("${file:/etc/shadow}"), &["/etc/shadow", "is not allowed", "secrets.folders"]);
    assert_eq!(picture(place.dir.path(), &["skypunch.toml"]), before);
}

#[test]
fn a_port_that_is_in_use_is_refused_and_leaves_nothing() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap();
    let setup = place.setup().extra(&format!("[http]\nlisten = \"{listen}\"\n"));
    assert_refused(&setup, &["http.listen", &listen.to_string(), "choose another port"]);
    assert!(!setup.state.exists() && !setup.socket.exists() && !place.path("main.db").exists(), "nothing is made");
    // Not this machine's.
    let elsewhere = place.setup().extra("[http]\nlisten = \"192.0.2.1:8080\"\n");
    assert_refused(&elsewhere, &["http.listen 192.0.2.1:8080", "cannot be bound"]);
}

/// Mounts a filesystem for a test; unmounted at its end.
pub(super) struct Mount(std::path::PathBuf);

impl Mount {
    /// A tmpfs of this size.
    pub fn tmpfs(at: &Path, size: &str) -> Mount {
        std::fs::create_dir_all(at).unwrap();
        Mount::run(&["-t", "tmpfs", "-o", &format!("size={size},mode=755"), "tmpfs"], at)
    }

    /// The same folder once more, to be read only.
    pub fn read_only(at: &Path) -> Mount {
        let shown = at.display().to_string();
        let mount = Mount::run(&["--bind", &shown], at);
        let done = Command::new("mount").args(["-o", "remount,bind,ro"]).arg(at).status().unwrap();
        assert!(done.success(), "{shown} cannot be mounted read-only");
        mount
    }

    fn run(args: &[&str], at: &Path) -> Mount {
        let done = Command::new("mount").args(args).arg(at).output();
        let done = done.unwrap_or_else(|e| panic!("this test mounts filesystems: {e}"));
        assert!(done.status.success(), "this test mounts filesystems, as root with CAP_SYS_ADMIN: {done:?}");
        Mount(at.to_owned())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let done = Command::new("umount").arg("--lazy").arg(&self.0).status();
        assert!(done.is_ok_and(|d| d.success()) || std::thread::panicking());
    }
}

/// The daemon's log so far has no panic in it.
pub(super) fn assert_calm(daemon: &Daemon) {
    assert!(!daemon.log().contains("panicked"), "{}", daemon.log());
}
