//! The egress policy of a running daemon: its settings, the targets' own lists, logins, messages, reloads.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::harness::{Daemon, Place, SOON, Setup, file, number, wait_for, wait_until};
use super::origin::{Answer, Origin};
use super::telling::{self, Receiver};

on_both!(
    egress_denied_is_lifted_and_set_again_by_a_column_and_by_a_reload,
    a_denied_login_is_the_credentials_failure_or_its_targets_own,
);

const LOOPBACK: &str = "[egress]\ndeny = [\"loopback\"]\n";

/// Exit code and all that the tool says.
fn ctl(daemon: &Daemon, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skypunchctl"));
    command.arg("--socket").arg(&daemon.socket).args(arguments).stdin(Stdio::null());
    let done = command.output().unwrap();
    (done.status.code(), String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned())
}

/// Reloads with another `[egress]`, and says what changed.
fn reload(setup: &Setup, daemon: &Daemon, egress: &str) -> String {
    let extra = setup.extra.replace(LOOPBACK, egress);
    drop(Setup { extra, ..setup.clone() }.command()); // writes the settings
    let (code, said) = ctl(daemon, &["reload"]);
    assert_eq!(code, Some(0), "{said}");
    said
}

/// Waits until a target has that status for that reason; its description.
fn wait_reason(daemon: &Daemon, name: &str, status: &str, reason: &str) -> String {
    let target = wait_for(&format!("{name} is {status} ({reason})"), SOON, || {
        let target = daemon.request("GET", &format!("/v1/targets/{name}"), None).json();
        Some(target).filter(|t| t["status"] == json!(status) && t["reason"] == json!(reason))
    });
    target["status_description"].as_str().unwrap().to_owned()
}

fn egress_denied_is_lifted_and_set_again_by_a_column_and_by_a_reload(place: &Place) {
    let origin = Origin::start();
    let setup = place.setup().extra(LOOPBACK);
    let daemon = setup.start();
    place.db.add("a", &origin.url("/a"), 100);
    let told = wait_reason(&daemon, "a", "FAIL", "egress_denied");
    assert!(told.contains("denied by loopback (127.0.0.0/8) in [egress] deny; if that is meant"), "{told}");
    assert_eq!(origin.total(), 0);
    wait_until("it is in the results", SOON, || {
        place.db.number("SELECT COUNT(*) FROM results WHERE reason = 'egress_denied' AND status_code IS NULL") > 0
    });
    // Its own column counts at once.
    place.db.sql("UPDATE targets SET egress_allow = '10.0.0.0/8, 127.0.0.1'");
    let target = daemon.wait_target("a", "status", &json!("PASS"));
    assert_eq!(target["egress_allow"], json!(["10.0.0.0/8", "127.0.0.1"]));
    let (_, shown) = ctl(&daemon, &["targets", "a"]);
    assert!(shown.contains("| Egress Allow ") && shown.contains("10.0.0.0/8, 127.0.0.1"), "{shown}");
    place.db.sql("UPDATE targets SET egress_allow = NULL");
    wait_reason(&daemon, "a", "FAIL", "egress_denied");
    // The same with the tool, and what it writes is read by `apply`.
    let (code, said) = ctl(&daemon, &["edit", "target", "a", "--egress-allow", "loopback,127.0.0.1/8"]);
    assert!(code == Some(2) && said.contains("write 127.0.0.0/8"), "{said}");
    let (code, said) = ctl(&daemon, &["edit", "target", "a", "--egress-allow", "loopback"]);
    assert_eq!(code, Some(0), "{said}");
    daemon.wait_target("a", "status", &json!("PASS"));
    assert_eq!(place.db.sql("SELECT egress_allow FROM targets"), [["loopback"]]);
    let (_, exported) = ctl(&daemon, &["export"]);
    assert!(exported.contains("egress_allow = [\"loopback\"]"), "{exported}");
    let written = file(place, "targets.toml", &exported);
    let (code, plan) = ctl(&daemon, &["apply", &written, "--plan"]);
    assert!(code == Some(0) && !plan.contains("egress_allow"), "{plan}");
    // The settings say whether that counts.
    let said = reload(&setup, &daemon, &format!("{LOOPBACK}target_allow = [\"private\"]\n"));
    assert!(said.contains("settings changed: egress.target_allow\n") && !said.contains("restart"), "{said}");
    let told = wait_reason(&daemon, "a", "FAIL", "egress_denied");
    assert!(told.contains("egress_allow has it, but [egress] target_allow does not let"), "{told}");
    let said = reload(&setup, &daemon, "[egress]\ndeny = []\n");
    assert!(said.contains("settings changed: egress.deny, egress.target_allow\n"), "{said}");
    daemon.wait_target("a", "status", &json!("PASS"));
    reload(&setup, &daemon, LOOPBACK);
    place.db.sql("UPDATE targets SET egress_allow = NULL");
    wait_reason(&daemon, "a", "FAIL", "egress_denied");
    // Wrong settings change nothing.
    let wrong = setup.extra.replace("loopback", "lopback");
    drop(Setup { extra: wrong, ..setup.clone() }.command());
    let (code, said) = ctl(&daemon, &["reload"]);
    assert!(code == Some(2) && said.contains("egress.deny: `lopback` is not known: did you mean loopback?"), "{said}");
    let fails = number(&daemon.target("a"), "fail_count");
    wait_until("it goes on as before", SOON, || number(&daemon.target("a"), "fail_count") >= fails + 3);
}

#[test]
fn wrong_egress_settings_are_refused_with_key_value_and_mend() {
    let place = Place::new();
    for (egress, words) in [
        ("deny = [\"10.0.0.1/8\"]", "egress.deny: `10.0.0.1/8` has bits set behind its prefix: write 10.0.0.0/8"),
        ("deny = [\"metadta\"]", "egress.deny: `metadta` is not known: did you mean metadata?"),
        ("deny = \"metadata\"", "egress.deny: `metadata` is not a list: write for example"),
        ("allow = [\"shop.example\"]", "egress.allow: `shop.example` is neither an address nor one of all"),
        ("target_allow = [true]", "egress.target_allow: an entry of the list: `true` is not a text"),
        ("denny = []", "egress.denny: there is no such key; did you mean `deny`?"),
    ] {
        let (code, said) = place.setup().extra(&format!("[egress]\n{egress}\n")).refused();
        assert!(code == Some(2) && said.contains(words), "{egress}: {code:?} {said}");
    }
}

#[test]
fn a_webhook_that_is_denied_says_so_and_goes_out_when_a_reload_lets_it() {
    let place = Place::new();
    let (origin, receiver) = (Origin::start(), Receiver::start());
    origin.answer("/a", Answer::Status(500));
    let setup = place.setup().extra(LOOPBACK);
    let daemon = setup.start();
    telling::add(&place, "ops", receiver.port, &[]);
    telling::in_force(&daemon, 1);
    let (url, frequency) = (origin.url("/a"), 100);
    place.db.sql(&format!(
        "INSERT INTO targets (name, url, frequency_ms, egress_allow) VALUES ('a', '{url}', {frequency}, 'loopback')"
    ));
    wait_reason(&daemon, "a", "FAIL", "status");
    let why = wait_for("it is said why nobody is told", SOON, || {
        telling::notifier(&daemon, "ops")["last_answer"].as_str().map(str::to_owned)
    });
    assert!(why.contains("denied by loopback (127.0.0.0/8) in [egress] deny; if that is meant"), "{why}");
    wait_until("it is in the log", SOON, || {
        !daemon.log_lines(&["a message was not taken", "in [egress] deny"]).is_empty()
    });
    let (code, said) = ctl(&daemon, &["notifiers", "ops", "test"]);
    assert!(code == Some(1) && said.contains("in [egress] deny"), "{said}");
    assert_eq!(receiver.got().len(), 0);
    reload(&setup, &daemon, "");
    let got = receiver.wait(1);
    assert_eq!((got[0].event(), got[0].names()), ("fail", vec!["a".to_owned()]));
}

fn a_denied_login_is_the_credentials_failure_or_its_targets_own(place: &Place) {
    let origin = Origin::start();
    let setup = place.setup().extra(LOOPBACK);
    let daemon = setup.start();
    let login = format!("auth_url={},user_id=u,password=hunter2", origin.url("/v3"));
    place.db.sql(&format!("INSERT INTO credentials (name, type, params) VALUES ('lab', 'OPENSTACK', '{login}')"));
    place.db.sql(&format!(
        "INSERT INTO targets (name, url, frequency_ms, credential) VALUES ('shared', '{0}', 500, 'lab'); \
         INSERT INTO targets (name, url, frequency_ms, authn, authn_parms) VALUES ('own', '{0}', 500, 'OPENSTACK', '{login}')",
        origin.url("/a")
    ));
    let told = wait_reason(&daemon, "own", "FAIL", "egress_denied");
    assert!(told.starts_with("logging in at http://127.0.0.1:") && told.contains("denied by loopback"), "{told}");
    let told = wait_reason(&daemon, "shared", "UNKNOWN", "identity_unreachable");
    assert!(told.starts_with("credential lab: logging in at") && told.contains("denied by loopback"), "{told}");
    assert!(!told.contains("egress_allow"), "no target can allow it: {told}");
    let incident = wait_for("the credential has an incident", SOON, || {
        let all = daemon.get("/v1/incidents");
        let found = |i: &&Value| i["subject_kind"] == json!("credential") && i["name"] == json!("lab");
        all.as_array().unwrap().iter().find(found).cloned()
    });
    assert_eq!(incident["reason"], json!("egress_denied"), "{incident:#}");
    assert_eq!(origin.total(), 0);
    // What its target may, its own login may; what is there is no Keystone.
    place.db.sql("UPDATE targets SET egress_allow = 'loopback'");
    let told = wait_reason(&daemon, "own", "UNKNOWN", "identity_unreachable");
    assert!(told.contains("answered 200"), "{told}");
    assert!(wait_reason(&daemon, "shared", "UNKNOWN", "identity_unreachable").contains("denied by loopback"));
    reload(&setup, &daemon, "");
    wait_until("the shared one is tried", SOON, || {
        daemon.target("shared")["status_description"].as_str().is_some_and(|d| d.contains("answered 200"))
    });
    assert!(!daemon.log().contains("hunter2"));
}

#[test]
fn doctor_and_check_name_targets_at_denied_addresses() {
    let place = Place::new();
    let setup = place.setup().extra("[egress]\ndeny = [\"127.0.0.2\"]\n");
    let daemon = setup.start();
    place.db.add("there", "http://127.0.0.2:1/", 60_000);
    wait_reason(&daemon, "there", "FAIL", "egress_denied");
    let mut doctor = Command::new(env!("CARGO_BIN_EXE_skypunchctl"));
    doctor.arg("doctor").arg("--config").arg(&setup.config).args(["--output", "json"]).stdin(Stdio::null());
    let report: Value = serde_json::from_slice(&doctor.output().unwrap().stdout).unwrap();
    let found: Vec<&Value> =
        report["findings"].as_array().unwrap().iter().filter(|f| f["check"] == json!("egress")).collect();
    assert_eq!((found.len(), &found[0]["level"]), (1, &json!("WARNING")), "{report:#}");
    let message = found[0]["message"].as_str().unwrap();
    assert_eq!(message, "target `there`: 127.0.0.2 is denied by 127.0.0.2 in [egress] deny");
    assert!(found[0]["mend"].as_str().unwrap().contains("egress_allow"));
    let targets = file(&place, "targets.toml", "[[target]]\nname = 'there'\nurl = 'http://127.0.0.2/'\n");
    let mut check = Command::new(env!("CARGO_BIN_EXE_skypunch"));
    check.args(["check", "--config"]).arg(&setup.config).args(["--targets", &targets]);
    let done = check.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success() && out.contains("egress.deny = [\"127.0.0.2\"]"), "{out}{err}");
    assert!(
        err.contains("warning: target `there`: 127.0.0.2 is denied by 127.0.0.2 in [egress] deny; if that is meant"),
        "{err}"
    );
}
