//! No path that a caller gives has the daemon open a file by its own rights. The kernel (inotify) says what was opened.

use std::io::Write;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::inotify;
use serde_json::{Value, json};

use super::api;
use super::harness::{Daemon, Place, SOON, wait_until};
use super::routes;
use crate::certificates::Authority;

const CONTENT: &str = "canary-of-a-closed-file";

/// Watches a folder: which of its files was opened, read, written, made or removed.
struct Watched(OwnedFd);

impl Watched {
    fn on(dir: &Path) -> Watched {
        use inotify::{CreateFlags, WatchFlags};
        let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).unwrap();
        let what = WatchFlags::OPEN
            | WatchFlags::ACCESS
            | WatchFlags::MODIFY
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVE
            | WatchFlags::ATTRIB;
        inotify::add_watch(&watch, dir, what).unwrap();
        Watched(watch)
    }

    /// What has happened to files since the last look; that somebody lists the folder is nothing.
    fn seen(&self) -> Vec<String> {
        let mut buffer = [const { MaybeUninit::<u8>::uninit() }; 4096];
        let mut reader = inotify::Reader::new(&self.0, &mut buffer);
        let mut seen = Vec::new();
        while let Ok(event) = reader.next() {
            if let Some(name) = event.file_name() {
                seen.push(format!("{} {:?}", name.to_string_lossy(), event.events()));
            }
        }
        seen
    }
}

/// A folder for nobody but root, with a file.
fn closed(place: &Place) -> (PathBuf, PathBuf) {
    let dir = place.path("closed");
    std::fs::create_dir(&dir).unwrap();
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o700)).unwrap();
    let file = dir.join("file");
    std::fs::write(&file, CONTENT).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    (dir, file)
}

fn encoded(path: &str) -> String {
    path.bytes().map(|b| format!("%{b:02X}")).collect()
}

fn answer(daemon: &Daemon, method: &str, path: &str, body: Option<&Value>) -> String {
    let body = body.map(|b| b.to_string().into_bytes());
    let answer = api::request(&daemon.socket, method, path, body.as_deref()).unwrap();
    assert_ne!(answer.status, 500, "{method} {path}: {}", String::from_utf8_lossy(&answer.body));
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(!text.contains(CONTENT), "{method} {path}: {text}");
    text
}

#[test]
fn no_route_opens_a_file_that_its_caller_names() {
    let place = Place::new();
    std::fs::set_permissions(place.dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let daemon = place.setup().extra("[log]\nlevel = \"debug\"\n").start();
    let (dir, file) = closed(&place);
    let linked = place.path("link");
    symlink(&file, &linked).unwrap();
    let dotted = format!("{}/closed/../closed/file", place.dir.path().display());
    let relative = "../".repeat(20) + file.to_str().unwrap().trim_start_matches('/');
    let fresh = dir.join("fresh").display().to_string();
    let watch = Watched::on(&dir);
    for path in [file.to_str().unwrap(), linked.to_str().unwrap(), &dotted, &relative, &fresh] {
        for route in routes::all() {
            if matches!(route.path.as_str(), "/v1/watch" | "/v1/stop") {
                continue; // the first goes on for ever, the second ends it all; neither takes a path
            }
            let here = route.with(&encoded(path));
            answer(&daemon, &route.method, &here, None);
            for parameter in ["file", "path", "dir", "to", "from", "config", "interface", "region", "target", "tag"] {
                answer(&daemon, &route.method, &format!("{here}?{parameter}={}", encoded(path)), None);
            }
            if route.method == "GET" {
                continue;
            }
            for body in [
                json!(path),
                json!({"file": path, "path": path}),
                json!({"targets": path}),
                json!({"targets": [{"name": path, "url": format!("file://{path}")}], "plan": false}),
                json!({"name": path, "url": format!("file://{path}")}),
                json!({"name": "n", "url": path, "body": path, "headers": [format!("X: {path}")]}),
                json!({"name": "n", "type": path, "address": path, "params": format!("server={path}")}),
            ] {
                answer(&daemon, &route.method, &here, Some(&body));
            }
        }
        for name in [format!("cloud:{path}"), format!("target:{path}")] {
            for (method, rest) in [("GET", ""), ("POST", "/test"), ("POST", "/discover")] {
                answer(&daemon, method, &format!("/v1/credentials/{}{rest}", encoded(&name)), None);
            }
        }
    }
    assert!(watch.seen().is_empty(), "{:?}", watch.seen());
    assert!(!daemon.log().contains(CONTENT));
    // The watch sees what there is to see.
    std::fs::read(&file).unwrap();
    assert!(!watch.seen().is_empty());
}

#[test]
fn no_definition_opens_a_file_that_is_closed_to_its_writer() {
    let place = Place::new();
    std::fs::set_permissions(place.dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let allowed = place.path("allowed");
    std::fs::create_dir(&allowed).unwrap();
    std::fs::write(allowed.join("token"), "allowed-token\n").unwrap();
    let secrets = format!("[secrets]\nfolders = [{:?}]\n[log]\nlevel = \"debug\"\n", allowed.display().to_string());
    let daemon = place.setup().extra(&secrets).start();
    let (dir, file) = closed(&place);
    symlink(&file, allowed.join("link")).unwrap();
    symlink(&dir, allowed.join("folder")).unwrap();
    symlink(&file, place.path("link")).unwrap();
    let watch = Watched::on(&dir);
    let at = |name: &str| place.path(name).display().to_string();
    let paths =
        [at("closed/file"), at("link"), at("allowed/link"), at("allowed/folder/file"), at("allowed/../closed/file")];
    let mut said = String::new();
    let mut test = |kind: &str, keys: Value| {
        let added = answer(&daemon, "POST", &format!("/v1/{kind}"), Some(&keys));
        said += &added;
        let name = keys["name"].as_str().unwrap();
        said += &answer(&daemon, "POST", &format!("/v1/{kind}/{name}/test"), None);
        answer(
            &daemon,
            "DELETE",
            &format!("/v1/{kind}/{name}?{}", if kind == "credentials" { "force=true" } else { "" }),
            None,
        );
    };
    for path in &paths {
        let nobody = "https://127.0.0.1:1/";
        let reference = format!("${{file:{path}}}");
        test("targets", json!({"name": "ca", "url": nobody, "tls_ca": path}));
        test(
            "targets",
            json!({"name": "t", "url": nobody, "authn": "BEARER", "authn_parms": format!("token={reference}")}),
        );
        test(
            "targets",
            json!({"name": "b", "url": nobody, "authn": "BASIC", "authn_parms": format!("user=u,password={reference}")}),
        );
        let login = format!("auth_url={nobody},username=u,user_domain_name=d,password={reference},cacert={path}");
        test("targets", json!({"name": "o", "url": nobody, "authn": "OPENSTACK", "authn_parms": login}));
        test("credentials", json!({"name": "c", "params": login}));
        let params = format!("server=127.0.0.1,port=1,from=a@b.example,user=u,password={reference},ca={path}");
        test("notifiers", json!({"name": "m", "type": "SMTP", "address": "ops@b.example", "params": params}));
        let url = format!("file://{path}");
        test("notifiers", json!({"name": "w", "type": "webhook", "address": url, "params": ""}));
    }
    assert!(watch.seen().is_empty(), "{:?}", watch.seen());
    assert!(said.contains("not everybody on this machine may read it"), "{said}");
    assert!(said.contains("is not allowed"), "{said}");
    assert!(!daemon.log().contains(CONTENT));
    // What is allowed is read.
    let authority = Authority::new("test");
    std::fs::copy(authority.file(), place.path("allowed/ca.pem")).unwrap();
    std::fs::set_permissions(place.path("allowed"), std::fs::Permissions::from_mode(0o700)).unwrap();
    let ca = at("allowed/ca.pem");
    let token = format!("token=${{file:{}}}", at("allowed/token"));
    let keys =
        json!({"name": "good", "url": "https://127.0.0.1:1/", "tls_ca": ca, "authn": "BEARER", "authn_parms": token});
    daemon.ask("POST", "/v1/targets", Some(&keys));
    daemon.wait_target("good", "reason", &json!("connect_refused"));
}

#[test]
fn a_link_that_is_exchanged_all_the_time_is_never_followed_out() {
    let place = Place::new();
    let allowed = place.path("allowed");
    std::fs::create_dir(&allowed).unwrap();
    std::fs::write(allowed.join("token"), "inside").unwrap();
    let daemon = place.setup().extra(&format!("[secrets]\nfolders = [{:?}]\n", allowed.display().to_string())).start();
    let (dir, file) = closed(&place);
    let watch = Watched::on(&dir);
    let link = allowed.join("link");
    symlink(allowed.join("token"), &link).unwrap();
    let origin = super::origin::Origin::start();
    for i in 0..20 {
        let keys = json!({"name": format!("t{i}"), "url": origin.url("/"), "frequency": "100ms", "authn": "BEARER",
            "authn_parms": format!("token=${{file:{}}}", link.display())});
        daemon.ask("POST", "/v1/targets", Some(&keys));
    }
    let next = allowed.join("next");
    let both = |d: &Daemon| {
        let history = d.get("/v1/targets/t0/history?limit=1000").to_string();
        history.contains("\"PASS\"") && history.contains("auth_config")
    };
    wait_until("it was read and refused", SOON * 4, || {
        for to in [&file, &allowed.join("token")].repeat(50) {
            symlink(to, &next).unwrap();
            std::fs::rename(&next, &link).unwrap();
        }
        std::io::stdout().flush().unwrap();
        both(&daemon)
    });
    assert!(watch.seen().is_empty(), "{:?}", watch.seen());
    assert!(!origin.head("/").contains(CONTENT));
}
