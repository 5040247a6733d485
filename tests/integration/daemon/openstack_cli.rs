//! What a person sees of credentials: how each is doing, a login tried, targets out of a catalog. At a real Keystone.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::harness::{Daemon, Place, Setup, file, wait_until};
use crate::keystone::http::LIMIT;
use crate::keystone::{Glance, Home, Keystone, Tenant};

on_both!(
    how_credentials_are_doing_is_shown_and_logins_are_tried,
    a_wrong_password_is_told_by_all_that_look,
    a_catalog_becomes_targets,
    clouds_that_cannot_be_used_are_told,
);

/// What every token of Keystone begins with.
const TOKEN: &str = "gAAAAA";

/// Somebody at the shared Keystone, whose password only a file outside the daemon's folders holds.
struct Lab<'a> {
    place: &'a Place,
    keystone: &'static Keystone,
    tenant: Tenant,
    password: String,
}

impl Lab<'_> {
    fn new(place: &Place) -> Lab<'_> {
        let keystone = Keystone::shared();
        let _images = Glance::shared();
        let tenant = keystone.tenant(Home::Default);
        std::fs::create_dir(place.path("secrets")).unwrap();
        let password = format!("${{file:{}}}", file(place, "secrets/password", &tenant.password));
        file(place, "secrets/wrong", "hunter2-wrong");
        Lab { place, keystone, tenant, password }
    }

    fn setup(&self) -> Setup {
        let folder = self.place.path("secrets").display().to_string();
        self.place.setup().extra(&format!("[log]\nlevel = \"debug\"\n[secrets]\nfolders = [{folder:?}]\n"))
    }

    /// `params` of a credential for the tenant's project.
    fn params(&self, password: &str) -> Value {
        json!({"auth_url": self.keystone.url(), "username": self.tenant.user, "user_domain_id": "default",
            "password": password, "project_id": self.tenant.project_id})
    }

    fn add_credential(&self, daemon: &Daemon, name: &str, password: &str) {
        let keys = json!({"name": name, "params": self.params(password)});
        assert_eq!(daemon.request("POST", "/v1/credentials", Some(&keys)).status, 201);
    }

    /// A clouds.yaml in the home of the daemon that has this cloud.
    fn clouds(&self, name: &str) {
        let auth = json!({"auth_url": self.keystone.auth_url(), "username": self.tenant.user, "user_domain_id": "default",
            "password": self.tenant.password, "project_id": self.tenant.project_id});
        clouds(self.place, &json!({"clouds": {name: {"auth": auth}}}).to_string());
    }

    /// Neither the password nor a token is in what was shown, in the log, or in a file or table of the daemon's.
    fn assert_nothing_leaks(&self, shown: &[String], daemon: Daemon) {
        let (log, socket) = (daemon.log(), daemon.socket.clone());
        drop(daemon);
        let hidden = |bytes: &[u8], what: &str| {
            for secret in [self.tenant.password.as_str(), "hunter2-wrong", TOKEN] {
                let found = bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
                assert!(!found, "{what} holds {secret}: {}", String::from_utf8_lossy(bytes));
            }
        };
        shown.iter().for_each(|text| hidden(text.as_bytes(), "an answer"));
        hidden(log.as_bytes(), "the log");
        let mut files = Vec::new();
        walk(self.place.dir.path(), &mut files);
        files.retain(|f| {
            !f.starts_with(self.place.path("secrets")) && !f.starts_with(self.place.path(".config")) && *f != socket
        });
        assert!(files.iter().any(|f| f.ends_with("state.db")), "{files:?}");
        files.iter().for_each(|f| hidden(&std::fs::read(f).unwrap(), &f.display().to_string()));
        let tables = self.place.db.sql(match self.place.db.url().starts_with("sqlite") {
            true => "SELECT name FROM sqlite_master WHERE type = 'table'",
            false => "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'",
        });
        assert!(tables.concat().contains(&"incidents".to_owned()), "{tables:?}");
        let mut names_the_user = false;
        for table in tables.concat() {
            let rows = self.place.db.sql(&format!("SELECT * FROM {table}")).concat().join("\n");
            hidden(rows.as_bytes(), &table);
            names_the_user |= rows.contains(&self.tenant.user);
        }
        assert!(names_the_user, "what is no secret is found, or this looks at the wrong place");
    }
}

fn walk(dir: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, files) } else { files.push(path) }
    }
}

fn clouds(place: &Place, text: &str) {
    std::fs::create_dir_all(place.path(".config/openstack")).unwrap();
    file(place, ".config/openstack/clouds.yaml", text);
}

/// Exit code, standard output and standard error of the tool.
fn tool(daemon: &Daemon, args: &[&str], input: &str) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skypunchctl"));
    command.arg("--socket").arg(&daemon.socket).args(args).env("TZ", "UTC");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// What it says when it succeeds, noted.
fn done(daemon: &Daemon, shown: &mut Vec<String>, args: &[&str]) -> String {
    let (code, stdout, stderr) = tool(daemon, args, "");
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{args:?}: {stdout}");
    shown.push(stdout.clone());
    stdout
}

/// What it says when it fails so, noted.
fn fails(daemon: &Daemon, shown: &mut Vec<String>, exit: i32, args: &[&str], part: &str) -> String {
    let (code, stdout, stderr) = tool(daemon, args, "");
    let text = stdout + &stderr;
    assert!(code == Some(exit) && text.contains(part), "{args:?}: {code:?} {text}");
    shown.push(text.clone());
    text
}

fn add_target(daemon: &Daemon, keys: &Value) -> Value {
    let added = daemon.request("POST", "/v1/targets", Some(keys));
    assert_eq!(added.status, 201, "{}", String::from_utf8_lossy(&added.body));
    added.json()
}

const IMAGES: &str = "openstack://image/public?region=RegionOne&path=/v2/images";

/// The field of each credential in the list.
fn each(daemon: &Daemon, field: &str) -> Vec<Value> {
    daemon.get("/v1/credentials").as_array().unwrap().iter().map(|c| c[field].clone()).collect()
}

fn wait_states(daemon: &Daemon, wanted: &[&str]) {
    let wanted: Vec<Value> = wanted.iter().map(|s| json!(s)).collect();
    wait_until(&format!("the states {wanted:?}"), LIMIT, || each(daemon, "state") == wanted);
}

fn how_credentials_are_doing_is_shown_and_logins_are_tried(place: &Place) {
    let lab = Lab::new(place);
    lab.clouds("lab");
    let daemon = lab.setup().start();
    let shown = &mut Vec::new();
    lab.add_credential(&daemon, "mycloud", &lab.password);
    assert_eq!((each(&daemon, "state"), each(&daemon, "logins_ok")), (vec![json!("NEW")], vec![json!(0)]));
    let old = format!(
        "user={},password={},osauthendpoint={},tenantid={}",
        lab.tenant.user,
        lab.password,
        lab.keystone.auth_url(),
        lab.tenant.project_id
    );
    let image = lab.keystone.image_port();
    let url = format!("http://127.0.0.1:{image}/v2/images");
    for keys in [
        json!({"name": "api", "url": IMAGES, "credential": "mycloud"}),
        json!({"name": "web", "url": IMAGES, "credential": "cloud:lab"}),
        json!({"name": "old", "url": url, "authn": "OPENSTACK", "authn_parms": old}),
        json!({"name": "off", "url": url, "authn": "OPENSTACK", "authn_parms": old, "tenantid": "acme", "enabled": false}),
    ] {
        assert_eq!(add_target(&daemon, &keys).get("warnings"), None, "{keys}");
    }
    wait_states(&daemon, &["VALID", "VALID", "VALID", "DISABLED"]);
    assert_eq!(each(&daemon, "id"), [json!(1), Value::Null, Value::Null, Value::Null]);
    assert_eq!(each(&daemon, "name"), ["mycloud", "cloud:lab", "target:old", "target:acme/off"]);
    assert_eq!(each(&daemon, "source"), ["row", "cloud", "target", "target"]);
    assert_eq!(daemon.get("/v1/credentials?enabled=false")[0]["name"], json!("target:acme/off"));
    assert_eq!(daemon.get("/v1/credentials?tenant=acme").as_array().unwrap().len(), 1);
    let who = format!("{} in project {}", lab.tenant.user, lab.tenant.project);
    for (path, users) in [("mycloud", "api"), ("1", "api"), ("cloud%3Alab", "web"), ("target%3Aold", "old")] {
        let detail = daemon.get(&format!("/v1/credentials/{path}"));
        assert_eq!((&detail["logged_in_as"], &detail["users"]), (&json!(who), &json!([users])), "{detail:#}");
        assert_eq!((&detail["logins_ok"], &detail["logins_failed"]), (&json!(1), &json!(0)), "{detail:#}");
        assert_eq!((&detail["last_error"], &detail["reason"]), (&Value::Null, &Value::Null), "{detail:#}");
        let (from, to) = (detail["logged_in_at"].as_i64().unwrap(), detail["expires_at"].as_i64().unwrap());
        assert!((3_500_000..=3_600_000).contains(&(to - from)), "{detail:#}");
        assert!(detail["next_login_at"].as_i64().unwrap() < to, "{detail:#}");
    }
    let list = done(&daemon, shown, &["credentials"]);
    for row in
        ["| 1  | mycloud         | OPENSTACK | Yes     | VALID ", "| -  | cloud:lab       |", "| -  | target:old "]
    {
        assert!(list.contains(row), "{row}: {list}");
    }
    let detail = done(&daemon, shown, &["credentials", "cloud:lab"]);
    for row in
        ["| State            | VALID", "| Defined In       | clouds.yaml", &format!("| Logged In As     | {who}")]
    {
        assert!(detail.contains(row), "{row}: {detail}");
    }
    assert!(done(&daemon, shown, &["credentials", "target:old"]).contains("| Identity Service | http://"));
    assert!(done(&daemon, shown, &["targets", "old"]).contains("| Credential                | target:old"));
    assert!(done(&daemon, shown, &["status"]).contains("| Credentials       | 4, 3 valid "));

    // Logins tried: apart from those in use.
    let before = daemon.get("/v1/credentials").to_string();
    for name in ["mycloud", "cloud:lab", "target:old", "target:acme/off", "target:3"] {
        let granted = lab.keystone.granted(&lab.tenant.user);
        let text = done(&daemon, shown, &["credentials", name, "test"]);
        assert_eq!(lab.keystone.granted(&lab.tenant.user), granted + 1, "{name}");
        for part in ["Connecting to 127.0.0.1:", "/auth/tokens", "201", &format!("PASS (logged in as {who})\n")] {
            assert!(text.contains(part), "{name}: {part}: {text}");
        }
        assert!(text.contains("  Roles      member") || text.contains(", member"), "{text}");
        assert!(text.contains("  Lifetime   1h\n") && text.contains(" in its catalog\n"), "{text}");
        assert!(!text.contains("  Endpoints  0 "), "{text}");
    }
    assert_eq!(daemon.get("/v1/credentials").to_string(), before, "what is in use is untouched");
    let lines = daemon.log_lines(&["a login was asked for through the control socket", "for: test", "uid: "]);
    assert_eq!(lines.len(), 5, "{lines:?}");
    let lines = done(&daemon, shown, &["credentials", "mycloud", "test", "--output", "json"]);
    let lines: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines[0]["started"]["name"], json!("mycloud"));
    let last = &lines[lines.len() - 1]["result"];
    assert_eq!((&last["reason"], &last["granted"]["lifetime_s"]), (&Value::Null, &json!(3600)), "{last:#}");

    // What there is not, and what cannot be done.
    fails(&daemon, shown, 4, &["credentials", "nobody", "test"], "there is no credential `nobody`");
    fails(&daemon, shown, 4, &["credentials", "cloud:lba"], "has no cloud `lba` (did you mean `lab`?); it has lab");
    fails(&daemon, shown, 1, &["credentials", "cloud:lba", "test"], "auth_config (");
    fails(&daemon, shown, 4, &["credentials", "target:api"], "it uses `mycloud`");
    fails(&daemon, shown, 2, &["credentials", "cloud:lab", "disable"], "change it there");
    fails(&daemon, shown, 2, &["credentials", "target:old", "disable"], "skypunchctl edit target 3");
    lab.assert_nothing_leaks(shown, daemon);
}

fn a_wrong_password_is_told_by_all_that_look(place: &Place) {
    let lab = Lab::new(place);
    let daemon = lab.setup().start();
    let shown = &mut Vec::new();
    let wrong = lab.password.replace("/password}", "/wrong}");
    lab.add_credential(&daemon, "mycloud", &wrong);
    add_target(&daemon, &json!({"name": "api", "url": IMAGES, "credential": "mycloud", "frequency": "1s"}));
    wait_states(&daemon, &["FAIL"]);
    wait_until("the target is UNKNOWN", LIMIT, || daemon.target("api")["status"] == json!("UNKNOWN"));
    let detail = daemon.get("/v1/credentials/mycloud");
    assert_eq!((&detail["reason"], &detail["logins_failed"]), (&json!("identity_rejected"), &json!(1)), "{detail:#}");
    assert!(detail["last_error"].as_str().unwrap().contains("401"), "{detail:#}");
    let (failed, next) = (detail["last_failed_at"].as_i64().unwrap(), detail["next_login_at"].as_i64().unwrap());
    assert!((29_000..31_000).contains(&(next - failed)), "an account may be locked by too many tries: {detail:#}");
    assert!(done(&daemon, shown, &["credentials"]).contains("| FAIL "));
    assert!(
        done(&daemon, shown, &["credentials", "mycloud"]).contains("| State            | FAIL (identity_rejected)")
    );
    let target = done(&daemon, shown, &["targets", "api"]);
    assert!(target.contains("| Credential          | mycloud "), "{target}");
    assert!(target.contains("| Credential State    | FAIL (identity_rejected), last tried "), "{target}");
    assert_eq!(daemon.target("api")["login"]["state"], json!("FAIL"));
    let status = done(&daemon, shown, &["status"]);
    assert!(status.contains("| 1, 0 valid, 1 fail ") && status.contains("| Credential Fails  | mycloud: "), "{status}");
    let tries = lab.keystone.logins(&lab.tenant.user);
    let text = fails(&daemon, shown, 1, &["credentials", "mycloud", "test"], "FAIL identity_rejected (");
    assert!(text.contains("POST ") && text.contains(" 401"), "{text}");
    assert_eq!(lab.keystone.logins(&lab.tenant.user), tries + 1);
    let text = fails(&daemon, shown, 1, &["openstack", "discover", "--credential", "mycloud"], "logging in with the");
    assert!(text.starts_with("skypunchctl: ") && text.contains("401"), "nothing but the error: {text}");
    assert_eq!(daemon.get("/v1/credentials/mycloud")["logins_failed"], json!(1), "tries of a person are not counted");

    // The right one: at once, and what was is told no more.
    let right = json!({"params": lab.params(&lab.password)});
    daemon.ask("PATCH", "/v1/credentials/mycloud", Some(&right));
    wait_states(&daemon, &["VALID"]);
    let detail = daemon.get("/v1/credentials/mycloud");
    assert_eq!((&detail["last_error"], &detail["last_failed_at"]), (&Value::Null, &Value::Null), "{detail:#}");
    wait_until("the target passes", LIMIT, || daemon.target("api")["status"] == json!("PASS"));
    assert!(!done(&daemon, shown, &["targets", "api"]).contains("Credential State"));
    daemon.ask("POST", "/v1/credentials/mycloud/disable", None);
    assert_eq!(each(&daemon, "state"), ["DISABLED"]);
    assert_eq!(daemon.target("api")["login"]["state"], json!("DISABLED"));
    // A person may try it still.
    assert!(done(&daemon, shown, &["credentials", "mycloud", "test"]).contains("PASS"));
    lab.assert_nothing_leaks(shown, daemon);
}

fn a_catalog_becomes_targets(place: &Place) {
    let lab = Lab::new(place);
    lab.clouds("lab");
    let daemon = lab.setup().start();
    let shown = &mut Vec::new();
    lab.add_credential(&daemon, "mycloud", &lab.password);
    let discover = ["openstack", "discover", "--credential", "mycloud"];
    let found = done(&daemon, shown, &[&discover[..], &["--region", "RegionOne"]].concat());
    assert!(found.starts_with("# ") && found.contains("[[target]]\nname = \"glance public RegionOne\"\n"), "{found}");
    assert!(found.contains("credential = \"mycloud\"\n") && !found.contains("internal"), "{found}");
    let (code, plan, stderr) = tool(&daemon, &["apply", "--plan", "-"], &found);
    assert!(code == Some(0) && plan.contains("2 to insert (plan: nothing has been changed)"), "{plan} {stderr}");
    assert!(!plan.contains("Warning") && daemon.get("/v1/targets") == json!([]), "{plan}");
    let (code, applied, stderr) = tool(&daemon, &["apply", "-"], &found);
    assert!(code == Some(0) && applied.contains("2 inserted"), "{applied} {stderr}");
    wait_until("what was found passes", LIMIT, || {
        daemon.get("/v1/targets").as_array().unwrap().iter().all(|t| t["status"] == json!("PASS"))
    });
    let all = done(&daemon, shown, &[&discover[..], &["--interface", "all"]].concat());
    let internal = done(&daemon, shown, &[&discover[..], &["--interface", "internal", "--output", "json"]].concat());
    let of_cloud = done(&daemon, shown, &["openstack", "discover", "--credential", "cloud:lab"]);
    let targets = |text: &str| text.matches("[[target]]").count();
    assert!(targets(&all) > targets(&of_cloud) && targets(&of_cloud) >= 2, "{all}");
    assert!(internal.contains("glance internal RegionOne") && !internal.contains("public"), "{internal}");
    assert!(of_cloud.contains("credential = \"cloud:lab\"\n"), "{of_cloud}");
    daemon.wait_one_line(&["a login was asked for", "for: discover", "credential: cloud:lab"]);

    fails(
        &daemon,
        shown,
        2,
        &[&discover[..], &["--region", "RegionNine"]].concat(),
        "it has interfaces admin, internal",
    );
    let unscoped = json!({"name": "unscoped", "params": {"auth_url": lab.keystone.url(), "user_id": lab.tenant.user_id,
        "password": lab.password, "scope": "unscoped"}});
    assert_eq!(daemon.request("POST", "/v1/credentials", Some(&unscoped)).status, 201);
    fails(
        &daemon,
        shown,
        2,
        &["openstack", "discover", "--credential", "unscoped"],
        "is empty: a login without a scope",
    );
    let text = done(&daemon, shown, &["credentials", "unscoped", "test"]);
    assert!(text.contains("  Scope      none\n  Roles      -\n") && text.contains("  Endpoints  0 in"), "{text}");
    fails(&daemon, shown, 4, &["openstack", "discover", "--credential", "nobody"], "there is no credential `nobody`");
    fails(&daemon, shown, 4, &["openstack", "discover", "--credential", "7"], "name:123");
    lab.assert_nothing_leaks(shown, daemon);
}

fn clouds_that_cannot_be_used_are_told(place: &Place) {
    let daemon = place.start();
    let target = json!({"name": "web", "url": IMAGES, "credential": "cloud:lab", "enabled": false});
    let targets =
        "[[target]]\nname = 'web'\nurl = 'openstack://image/public'\ncredential = 'cloud:lab'\nenabled = false\n";
    let path = file(place, "targets.toml", targets);
    // What each way says of it: added or edited, shown, applied, checked.
    let told = |part: Option<&str>| {
        let edited = daemon.ask("PATCH", "/v1/targets/web", Some(&json!({"url": IMAGES})));
        let shown = daemon.target("web");
        let planned = daemon.ask("POST", "/v1/apply", Some(&json!({"plan": true, "targets": [target]})));
        let credential = daemon.get("/v1/credentials/cloud%3Alab");
        for answer in [&edited, &shown, &planned, &credential] {
            let warnings: Vec<&str> =
                answer["warnings"].as_array().into_iter().flatten().map(|w| w.as_str().unwrap()).collect();
            match part {
                Some(part) => assert!(warnings.len() == 1 && warnings[0].contains(part), "{part}: {answer:#}"),
                None => assert!(warnings.is_empty(), "{answer:#}"),
            }
        }
        let mut check = Command::new(env!("CARGO_BIN_EXE_skypunch"));
        check.env_clear().env("HOME", place.dir.path()).current_dir(place.dir.path());
        let output = check.args(["check", "--targets", &path]).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "a warning is no error: {errors}");
        match part {
            Some(part) => {
                let who = "skypunch: warning: 1 target names `cloud:lab` (`web`), which cannot be used: ";
                assert!(errors.contains(who) && errors.contains(part), "{part}: {errors}");
            }
            None => assert_eq!(errors, ""),
        }
    };
    let added = add_target(&daemon, &target);
    assert!(added["warnings"][0].as_str().unwrap().contains("/etc/openstack/clouds.yaml"), "{added:#}");
    told(Some("there is no clouds.yaml; looked for"));
    clouds(place, r#"{"clouds": {"prod": {"auth": {}}, "lba": {"auth": {}}}}"#);
    told(Some("has no cloud `lab` (did you mean `lba`?); it has lba, prod"));
    clouds(place, r#"{"clouds": {"lab": {"auth": {"auth_url": "http://k/v3", "password": "hunter2"}}}}"#);
    told(Some("`username` (or `user_id`) is missing"));
    clouds(
        place,
        r#"{"clouds": {"lab": {"auth": {"auth_url": "http://k/v3", "user_id": "u", "password": "hunter2"}}}}"#,
    );
    told(None);
    std::fs::remove_file(place.path(".config/openstack/clouds.yaml")).unwrap();
    std::fs::create_dir(place.path(".config/openstack/clouds.yaml")).unwrap();
    told(Some("clouds.yaml cannot be read"));
    assert!(!daemon.log().contains("hunter2"), "{}", daemon.log());
}
