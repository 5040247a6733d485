//! What hostile servers say reaches nobody raw, and costs the real daemon a bounded amount of memory.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use skypunch::model::text::is_hidden;

use super::harness::{Daemon, Place, SOON, number, wait_for, wait_until};
use super::origin::Origin;
use super::smtp::MailServer;
use super::telling::{Receiver, add, in_force, notifier};
use crate::certificates::{self_signed, with_subject};
use crate::misbehaving as peer;

on_both!(what_a_server_says_reaches_no_terminal_log_or_mail_raw, what_has_no_end_costs_bounded_memory);

/// Each way to a terminal's heart: CSI by ESC and by C1, a title, a bell, DEL, text that runs backwards, a new line.
const JUNK: &str = "\u{1b}[31mred\u{9b}2J\u{1b}]0;owned\u{7}\u{7f}\u{202e}txt\u{2028}";

/// One line that nothing hides in.
#[track_caller]
fn clean(what: &str, text: &str) {
    let found = text.chars().find(|c| is_hidden(*c) && *c != '\n');
    assert!(found.is_none(), "{what} holds {found:?}: {text:?}");
}

/// Every text of a JSON document.
fn clean_json(what: &str, value: &Value) {
    match value {
        Value::String(text) => clean(what, text),
        Value::Array(all) => all.iter().for_each(|v| clean_json(what, v)),
        Value::Object(all) => all.iter().for_each(|(key, v)| {
            clean(what, key);
            clean_json(&format!("{what}.{key}"), v);
        }),
        _ => {}
    }
}

/// Runs `skypunchctl`; what it said on either stream.
fn ctl(daemon: &Daemon, args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skypunchctl"));
    let out = command.arg("--socket").arg(&daemon.socket).args(args).stdin(Stdio::null()).output().unwrap();
    String::from_utf8(out.stdout).unwrap() + &String::from_utf8(out.stderr).unwrap()
}

/// A target that follows redirects and is judged anew at every probe.
fn target(place: &Place, name: &str, url: &str) {
    place.db.sql(&format!(
        "INSERT INTO targets (name, url, frequency_ms, redirects, tls_verify) VALUES ('{name}', '{url}', 200, 5, 1)"
    ));
}

fn what_a_server_says_reaches_no_terminal_log_or_mail_raw(place: &Place) {
    let head = |start: &[u8]| [start, JUNK.as_bytes(), b" \xfc\xe4\xff\r\n"].concat();
    let reason = peer::says([head(b"HTTP/1.1 503 ").as_slice(), b"\r\n"].concat());
    let latin = peer::says(b"HTTP/1.1 503 \xfc\xe4 \xc2\x9b2J\xe2\x80\xae\xff\r\n\r\n");
    let header = peer::says([b"HTTP/1.1 503 x\r\n".as_slice(), &head(b"Server: "), b"\r\n"].concat());
    let body = peer::says(head(b"HTTP/1.1 503 x\r\nContent-Type: text/html\r\n\r\n"));
    let moved = peer::says("HTTP/1.1 302 x\r\nLocation: ftp://a\u{9b}2J\u{202e}/\u{2028}\r\n\r\n");
    let split = peer::says("HTTP/1.1 302 x\r\nLocation: /\u{9b}2J\u{202e}%0d%0aBcc:%20evil@example.com\r\n\r\n");
    let foreign = peer::says(JUNK);
    let subject = with_subject(&format!("{JUNK}\r\nBcc: evil@example.com\r\n\r\nbody"));
    let tls = peer::tls(subject.server());
    let (mails, hook, page) = (MailServer::start(), Receiver::start(), peer::says(head(b"HTTP/1.1 400 x\r\n\r\n")));

    let daemon = place.setup().extra("[log]\nresults = \"all\"\n").start();
    add(place, "hook", hook.port, &[]);
    add(place, "junk", page.address.port(), &[]);
    let params = mails.params();
    place.db.sql(&format!(
        "INSERT INTO notifiers (name, type, address, params, group_wait_ms, group_window_ms, rate_per_minute) \
         VALUES ('mail', 'SMTP', 'ops@example.com', '{params}', 0, 0, 1000)"
    ));
    in_force(&daemon, 3);
    let names = ["reason", "latin", "header", "body", "moved", "split", "foreign", "tls"];
    let urls = [reason.url(), latin.url(), header.url(), body.url(), moved.url(), split.url(), foreign.url()];
    let urls = urls.into_iter().chain([format!("https://{}/", tls.address)]);
    let mut watch = Command::new(env!("CARGO_BIN_EXE_skypunchctl"))
        .arg("--socket")
        .arg(&daemon.socket)
        .arg("watch")
        .stdout(std::fs::File::create(place.path("watched")).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    for (name, url) in names.iter().zip(urls) {
        target(place, name, &url);
    }
    for (name, reason) in names.iter().zip([
        "protocol",
        "status",
        "protocol",
        "status",
        "redirect",
        "redirect",
        "protocol",
        "tls_certificate",
    ]) {
        let shown = daemon.wait_target(name, "status", &json!("FAIL"));
        assert_eq!(shown["reason"], json!(reason), "{name}: {shown:#}");
    }
    let told = wait_for("each failure is told", SOON, || {
        let told = mails.mails();
        let about = |n: &str| told.iter().any(|m| m.subject.contains(n) || m.text.contains(n));
        names.iter().all(|n| about(n)).then_some(told)
    });
    wait_until("the hook has them all", SOON, || hook.items() >= names.len());
    wait_until("the refusal is known", SOON, || number(&notifier(&daemon, "junk"), "fail_count") > 0);

    for mail in told {
        let raw = String::from_utf8(mail.raw).unwrap();
        assert!(raw.bytes().all(|b| (b' '..=b'~').contains(&b) || b"\r\n\t".contains(&b)), "{raw:?}");
        assert!(!raw.to_ascii_lowercase().contains("\nbcc:"), "{raw}");
        clean("subject", &mail.subject);
        clean("mail", &mail.text.replace('\r', ""));
    }
    hook.got().iter().for_each(|got| clean_json("webhook", &got.body));
    for view in ["results_overview", "targets_overview", "incidents", "notifications"] {
        wait_until("rows are written", SOON, || place.db.number(&format!("SELECT COUNT(*) FROM {view}")) > 0);
        let columns = match view {
            "incidents" => "description, reason",
            "notifications" => "answer, target_name",
            _ => "*",
        };
        let rows = place.db.sql(&format!("SELECT {columns} FROM {view}"));
        rows.iter().flatten().for_each(|cell| clean(view, cell));
    }
    let mut pages = vec!["/v1/targets".to_owned(), "/v1/incidents".into(), "/v1/notifiers".into(), "/metrics".into()];
    let incidents = daemon.get("/v1/incidents");
    let ids: Vec<&str> = incidents.as_array().unwrap().iter().map(|i| i["id"].as_str().unwrap()).collect();
    pages.extend(ids.iter().map(|id| format!("/v1/incidents/{id}")));
    pages.extend(names.iter().flat_map(|n| [format!("/v1/targets/{n}"), format!("/v1/targets/{n}/history")]));
    for page in pages {
        // As `curl` shows it: JSON hides ASCII's control characters, and no others.
        clean(&page, &String::from_utf8(daemon.request("GET", &page, None).body).unwrap());
    }
    let mut said = vec![ctl(&daemon, &["targets"]), ctl(&daemon, &["incidents"]), ctl(&daemon, &["notifiers", "junk"])];
    for name in names {
        said.push(ctl(&daemon, &["targets", name]));
        said.push(ctl(&daemon, &["history", name]));
        said.push(ctl(&daemon, &["targets", name, "test"]));
        assert!(said.last().unwrap().contains("FAIL"), "{:?}", said.last());
    }
    said.extend(ids.iter().map(|id| ctl(&daemon, &["incidents", id])));
    said.iter().for_each(|text| clean("skypunchctl", text));
    let watched = wait_for("watch shows them", SOON, || {
        let text = std::fs::read_to_string(place.path("watched")).unwrap();
        names.iter().all(|n| text.contains(n)).then_some(text)
    });
    watch.kill().unwrap();
    watch.wait().unwrap();
    clean("watch", &watched);
    clean("log", &daemon.log());
}

/// The most memory that the process has ever had, or what it has now, in KiB.
fn memory(daemon: &Daemon, what: &str) -> i64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix(what)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
}

/// What all of them together may cost, beside what the daemon needs for itself: far less than one of them would take.
const MOST_KIB: i64 = 48 * 1024;

fn what_has_no_end_costs_bounded_memory(place: &Place) {
    let origin = Origin::start();
    let daemon = place.start();
    // Its deadline is as long as its frequency: what is looked at is no race.
    place.db.add("plain", &origin.url("/"), 5_000);
    daemon.wait_target("plain", "status", &json!("PASS"));
    let before = memory(&daemon, "RssAnon");

    let head = peer::never_ends("HTTP/1.1 200 OK\r\n", "X-More: and more\r\n");
    let one = peer::never_ends("HTTP/1.1 200 OK\r\nX-More: ", "and more and more");
    let body = peer::never_ends("HTTP/1.1 200 OK\r\n\r\n", "and more and more");
    let chunks = peer::never_ends("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "4\r\nmore\r\n");
    let chunk = peer::never_ends("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", "and more and more");
    let trailers = peer::never_ends("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "X: more\r\n");
    let interim = peer::never_ends("", "HTTP/1.1 100 Continue\r\n\r\n");
    let chain = peer::tls(self_signed(&["127.0.0.1"]).server_with_chain(10 << 20));
    let zeros = peer::serve(|mut caller| {
        caller.read_request();
        let mut going = caller.tcp.write_all(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n").is_ok();
        // A member of gzip that unpacks a thousandfold, again and again.
        while going {
            going = caller.tcp.write_all(&BOMB.repeat(100)).is_ok();
        }
    });
    let servers = [
        ("head", head.url()),
        ("one", one.url()),
        ("body", body.url()),
        ("chunks", chunks.url()),
        ("chunk", chunk.url()),
        ("trailers", trailers.url()),
        ("interim", interim.url()),
        ("zeros", zeros.url()),
        ("chain", format!("https://{}/", chain.address)),
    ];
    // Notifiers and an identity service whose answers have no end either.
    add(place, "hook-head", head.address.port(), &[]);
    add(place, "hook-body", body.address.port(), &[]);
    place.db.sql(&format!(
        "INSERT INTO credentials (name, type, params) VALUES ('lab', 'OPENSTACK', \
         'auth_url={}v3,username=u,user_domain_name=d,password=hunter2,project_name=p,project_domain_name=d')",
        body.url()
    ));
    place.db.sql(&format!(
        "INSERT INTO targets (name, url, frequency_ms, authn, credential) \
         VALUES ('login', '{}', 200, 'OPENSTACK', 'lab')",
        origin.url("/login")
    ));
    for (name, url) in &servers {
        target(place, name, url);
    }
    let passes = ["body", "chunks", "zeros"];
    for (name, _) in &servers {
        let wanted = if passes.contains(name) { "PASS" } else { "FAIL" };
        daemon.wait_target(name, "status", &json!(wanted));
    }
    let login = daemon.wait_target("login", "status", &json!("UNKNOWN"));
    assert_eq!(login["reason"], json!("identity_unreachable"), "{login:#}");
    clean_json("login", &login);
    for name in ["hook-head", "hook-body"] {
        wait_until(name, SOON * 3, || {
            let counts = &notifier(&daemon, name);
            number(counts, "fail_count") + number(counts, "pass_count") > 0
        });
    }
    let probes = |name: &str| {
        let t = daemon.target(name);
        number(&t, "pass_count") + number(&t, "fail_count")
    };
    wait_until("each is probed many times", SOON * 3, || servers.iter().all(|(name, _)| probes(name) >= 10));
    // Pages of the program itself are read in as they are needed; no server has a say in that.
    let most = memory(&daemon, "VmHWM") - memory(&daemon, "RssFile");
    assert!(most - before < MOST_KIB, "{before} KiB before, {most} KiB at most");
    // The others have lost nothing.
    let plain = daemon.target("plain");
    assert_eq!((number(&plain, "fail_count"), number(&plain, "unknown_count")), (0, 0), "{plain:#}");
    let longest = daemon.log().lines().map(str::len).max().unwrap_or_default();
    assert!(longest < 4_000, "a line of {longest} bytes");
    clean("log", &daemon.log());
}

/// 64 KiB of zeros, packed by gzip.
const BOMB: &[u8] =
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xed\xc1\x01\x01\x00\x00\x00\x80\x90\xfe\xaf\xee\x08\x0a\x00\x00\x00\
    \x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\
    \x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\
    \x00\x00\x00\x00\x00\x00\x6a\xeb\x8e\x97\xd7\x00\x00\x01\x00";
