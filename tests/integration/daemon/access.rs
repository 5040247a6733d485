//! Who may do what by the control sockets: users and groups as the kernel knows them, told apart by real processes.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Output};

use serde_json::json;

use super::api;
use super::harness::{Daemon, Place, SOON, Setup, wait_until};
use super::origin::Origin;
use super::refused::assert_refused;
use super::routes;

const USER: u32 = 47_000;
const GROUP: u32 = 47_801;
const READ_GROUP: u32 = 47_802;

fn setup(place: &Place) -> Setup {
    assert!(rustix::process::geteuid().is_root(), "this test changes users: run it as root");
    mode(place.dir.path(), 0o755);
    let mut setup = place.setup();
    setup.environment.push(("SKYPUNCH__CONTROL__GROUP".into(), GROUP.to_string()));
    setup.environment.push(("SKYPUNCH__CONTROL__READ_GROUP".into(), READ_GROUP.to_string()));
    setup
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// A user with a group, and maybe a further one.
#[derive(Debug, Clone, Copy)]
struct Who {
    gid: u32,
    further: Option<u32>,
}

const STRANGER: Who = Who { gid: USER, further: None };
const MEMBER: Who = Who { gid: USER, further: Some(GROUP) };
const MEMBER_BY_GROUP: Who = Who { gid: GROUP, further: None };
const READER: Who = Who { gid: USER, further: Some(READ_GROUP) };

/// `skypunchctl` as somebody else; finds the daemon as anybody would.
fn ctl(place: &Place, daemon: &Daemon, who: Who, arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = Command::new("setpriv")
        .arg(format!("--reuid={USER}"))
        .arg(format!("--regid={}", who.gid))
        .arg(who.further.map_or("--clear-groups".into(), |g| format!("--groups={g}")))
        .arg(env!("CARGO_BIN_EXE_skypunchctl"))
        .args(arguments)
        .current_dir("/")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", place.path("nobodys-home"))
        .env("SKYPUNCH__CONTROL__SOCKET", &daemon.socket)
        .output()
        .unwrap();
    let said = [String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)].concat();
    (status.code(), said)
}

#[test]
fn each_group_may_do_what_its_socket_is_for() {
    let origin = Origin::start();
    let place = Place::new();
    let daemon = setup(&place).start();
    let read_only = daemon.socket.with_file_name("read.sock");
    for (socket, group) in [(&daemon.socket, GROUP), (&read_only, READ_GROUP)] {
        let meta = std::fs::metadata(socket).unwrap();
        assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o7777), (0, group, 0o660), "{}", socket.display());
    }
    assert_eq!(std::fs::metadata(daemon.socket.parent().unwrap()).unwrap().mode() & 0o7777, 0o755);
    place.db.add("shop", &origin.url("/"), 3_600_000);
    daemon.wait_target("shop", "status", &json!("PASS"));
    let ask = |who, arguments: &[&str]| ctl(&place, &daemon, who, arguments);
    for who in [MEMBER, MEMBER_BY_GROUP] {
        for arguments in [&["targets"][..], &["targets", "shop", "disable"], &["targets", "shop", "enable"]] {
            let (code, said) = ask(who, arguments);
            assert_eq!(code, Some(0), "{who:?} {arguments:?}: {said}");
        }
    }
    let before = daemon.target("shop");
    for arguments in [&["targets"][..], &["targets", "shop"], &["incidents"], &["history", "shop"], &["export"]] {
        let (code, said) = ask(READER, arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {said}");
    }
    assert!(ask(READER, &["targets"]).1.contains("shop"));
    for arguments in [
        &["targets", "shop", "disable"][..],
        &["targets", "shop", "test"],
        &["add", "target", "--name", "x", "--url", "http://h/"],
        &["remove", "target", "shop"],
        &["reload"],
        &["stop"],
    ] {
        let (code, said) = ask(READER, arguments);
        assert_eq!(code, Some(1), "{arguments:?}: {said}");
        assert!(said.contains("you may only look") && said.contains("read.sock"), "{arguments:?}: {said}");
    }
    mode(place.dir.path(), 0o777);
    let file = place.path("a.backup");
    let (code, said) = ask(READER, &["backup", file.to_str().unwrap()]);
    assert!(code == Some(1) && said.contains("read-only socket") && !file.exists(), "{said}");
    let (code, said) = ask(MEMBER, &["backup", file.to_str().unwrap()]);
    assert!(code == Some(1) && said.contains("only root and the user with the id 0") && !file.exists(), "{said}");
    mode(place.dir.path(), 0o755);
    for arguments in [&["status"][..], &["targets", "shop", "disable"]] {
        let (code, said) = ask(STRANGER, arguments);
        assert_eq!(code, Some(3), "{arguments:?}: {said}");
        assert!(said.contains("you may not use") && said.contains("control.sock"), "{said}");
    }
    assert_eq!(daemon.target("shop"), before);
    let (uid, what) = (format!("uid: {USER}"), "a caller of the control socket was refused");
    wait_until("both refusals are logged", SOON, || {
        daemon.log_lines(&[what, &uid, "pid: ", "asked: GET `/v1/backup`"]).len() == 2
    });
}

#[test]
fn the_read_only_socket_changes_nothing_whatever_is_asked() {
    let origin = Origin::start();
    let place = Place::new();
    let daemon = setup(&place).start();
    let read_only = daemon.socket.with_file_name("read.sock");
    place.db.add("shop", &origin.url("/"), 3_600_000);
    daemon.wait_target("shop", "status", &json!("PASS"));
    let (targets, asked) = (place.db.sql("SELECT * FROM targets"), origin.count("/"));
    for route in routes::all() {
        let path = route.with("shop");
        let body = (route.method != "GET").then_some(&br#"{"name": "other", "url": "http://h/"}"#[..]);
        if path == "/v1/watch" {
            continue; // goes on for ever; below
        }
        let answer = api::request(&read_only, &route.method, &path, body).unwrap();
        if route.method == "GET" && path != "/v1/backup" {
            assert!(matches!(answer.status, 200 | 404), "{route:?}: {}", answer.status);
            continue;
        }
        let problem = answer.problem(403);
        assert!(problem["detail"].as_str().unwrap().contains("control.read_socket"), "{problem:#}");
        let asked = format!("{} `{path}`", route.method);
        let (uid, pid) = ("uid: 0", format!("pid: {}", std::process::id()));
        wait_until("the refusal is logged", SOON, || {
            !daemon.log_lines(&["a caller of the control socket was refused", uid, &pid, &asked]).is_empty()
        });
    }
    for method in ["PUT", "OPTIONS", "TRACE", "QUERY"] {
        api::request(&read_only, method, "/v1/targets", None).unwrap().problem(403);
    }
    assert_eq!(place.db.sql("SELECT * FROM targets"), targets);
    assert_eq!(origin.count("/"), asked, "a test has an effect outside");
    assert_eq!(daemon.status()["state"], json!("running"));
}

#[test]
fn who_reaches_a_socket_that_was_opened_to_all_is_refused_all_the_same() {
    let place = Place::new();
    let daemon = setup(&place).start();
    let read_only = daemon.socket.with_file_name("read.sock");
    mode(&daemon.socket, 0o666);
    mode(&read_only, 0o666);
    let (code, said) = ctl(&place, &daemon, STRANGER, &["status"]);
    assert!(code == Some(1) && said.contains("ask for membership in the group that owns it"), "{said}");
    let (code, said) = ctl(&place, &daemon, READER, &["status"]);
    assert_eq!(code, Some(1), "the other group is not this one: {said}");
    let uid = format!("uid: {USER}");
    wait_until("both are logged", SOON, || {
        daemon.log_lines(&["a caller of the control socket was refused", &uid, "pid: ", "/v1/status"]).len() == 2
    });
    // Its further groups, as /proc says, count here too.
    let (code, said) = ctl(&place, &daemon, MEMBER, &["status"]);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_group_that_is_not_there_is_refused_at_start() {
    let place = Place::new();
    let with = |name: &str, group: &str| {
        let mut setup = place.setup();
        setup.environment.push((format!("SKYPUNCH__CONTROL__{name}"), group.into()));
        setup
    };
    assert_refused(&with("GROUP", "no-such-group"), &["control.group", "no group `no-such-group`", "groupadd"]);
    assert_refused(&with("READ_GROUP", "no-such-group"), &["control.read_group", "no group `no-such-group`"]);
    // A folder that everybody may write in is no place for a socket.
    std::fs::create_dir_all(place.path("run")).unwrap();
    mode(&place.path("run"), 0o777);
    assert_refused(&place.setup(), &["may be written by everybody", "chmod o-w"]);
}

#[test]
fn no_other_process_of_its_user_looks_into_the_daemon() {
    assert!(rustix::process::geteuid().is_root(), "this test changes users: run it as root");
    let place = Place::new();
    mode(place.dir.path(), 0o777);
    let user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"].map(str::to_owned).to_vec();
    let daemon = Setup { wrapper: user.clone(), ..place.setup() }.start();
    for name in ["environ", "maps"] {
        let path = format!("/proc/{}/{name}", daemon.pid());
        let read = Command::new(&user[0]).args(&user[1..]).args(["cat", &path]).output().unwrap();
        assert!(!read.status.success() && read.stdout.is_empty(), "{name} can be read");
        assert!(!std::fs::read(&path).unwrap().is_empty(), "root may");
    }
    // It still finds its own way in /proc.
    assert!(daemon.status()["descriptors"]["open"].as_i64() > Some(3));
}

/// A daemon that is neither root nor a member can give its sockets to no group: an access control list names it.
#[test]
fn a_daemon_that_is_no_member_lets_the_group_in_all_the_same() {
    let place = Place::new();
    let setup = setup(&place);
    mode(place.dir.path(), 0o777);
    let user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"].map(str::to_owned).to_vec();
    let daemon = Setup { wrapper: user, ..setup }.start();
    for name in ["control.sock", "read.sock"] {
        let meta = std::fs::metadata(daemon.socket.with_file_name(name)).unwrap();
        assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o777), (65534, 65534, 0o660), "{name}");
    }
    assert_eq!(ctl(&place, &daemon, MEMBER, &["reload"]).0, Some(0));
    assert_eq!(ctl(&place, &daemon, READER, &["targets"]).0, Some(0));
    assert_eq!(ctl(&place, &daemon, READER, &["reload"]).0, Some(1));
    for who in [STRANGER, Who { gid: 65534, further: None }] {
        let (code, said) = ctl(&place, &daemon, who, &["status"]);
        assert!(code == Some(3) && said.contains("you may not use"), "{who:?}: {said}");
    }
}
