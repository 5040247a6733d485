//! Settings as people write them: right, wrong, and in every place.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use skypunch::config::{self, DatabaseUrl, KEYS, LogFormat, LogLevel, LogResults, Settings, SettingsError, TlsMode};
use skypunch::model::credential::CredentialDefinition;
use skypunch::model::definition::Definition;
use skypunch::model::notifier::{NotifierDefinition, any_type};
use skypunch::model::targets_file::parse;
use skypunch::secret::Secret;

type Vars<'a> = &'a [(&'a str, &'a str)];

fn owned(pairs: Vars<'_>) -> Vec<(String, String)> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

/// The settings of an ordinary user with a home, from the text of a file, flags and variables.
fn load(text: &str, flags: Vars<'_>, env: Vars<'_>) -> Result<Settings, SettingsError> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("skypunch.toml");
    std::fs::write(&file, text).unwrap();
    let env = [&[("HOME", "/home/a")], env].concat();
    config::load_as(false, Some(&file), &owned(flags), owned(&env))
}

/// All problems of a file, without the folder that it was in.
fn problems(text: &str, flags: Vars<'_>, env: Vars<'_>) -> Vec<String> {
    let error = load(text, flags, env).unwrap_err();
    error
        .to_string()
        .lines()
        .map(|l| l.rsplit_once("/skypunch.toml, ").map_or(l, |(_, rest)| rest).to_owned())
        .collect()
}

fn etc(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("etc").join(name)
}

#[test]
fn without_anything_the_defaults_of_the_user_hold() {
    let config = tempfile::tempdir().unwrap();
    let env = [("HOME", "/home/a"), ("XDG_CONFIG_HOME", config.path().to_str().unwrap())];
    let s = config::load_as(false, None, &[], owned(&env)).unwrap();
    assert_eq!(s.file, None);
    assert_eq!(s.database.url, DatabaseUrl::Sqlite("/home/a/.local/state/skypunch/skypunch.db".into()));
    assert_eq!(s.control.socket, Path::new("/home/a/.local/state/skypunch/run/control.sock"));
    assert_eq!((s.log.level, s.log.format, s.log.results), (LogLevel::Info, LogFormat::Terminal, LogResults::All));
    assert_eq!(s.persistence.keep_results, Some(Duration::from_secs(7 * 86_400)));
    assert_eq!(s.persistence.keep_notifications, Some(Duration::from_secs(90 * 86_400)));
    assert_eq!((s.http.listen, s.state.max_size), (None, 128 << 20));

    let file = config.path().join("skypunch/skypunch.toml");
    std::fs::create_dir(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "[shutdown]\ngrace = \"3s\"").unwrap();
    let s = config::load_as(false, None, &[], owned(&env)).unwrap();
    assert_eq!((s.file, s.shutdown.grace), (Some(file), Duration::from_secs(3)));
}

#[test]
fn a_home_is_needed_only_where_a_path_follows_from_it() {
    let error = config::load_as(false, None, &[], []).unwrap_err().to_string();
    assert!(error.contains("state.dir: has no default") && error.contains("control.socket: has no default"), "{error}");
    let flags = owned(&[("state.dir", "/s"), ("control.socket", "/s/c")]);
    let s = config::load_as(false, None, &flags, []).unwrap();
    assert_eq!(s.database.url, DatabaseUrl::Sqlite("/s/skypunch.db".into()));
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let file = "[log]\nlevel = \"error\"\nformat = \"json\"\nresults = \"none\"";
    let env = [("SKYPUNCH__LOG__LEVEL", "debug"), ("SKYPUNCH__LOG__FORMAT", "compact"), ("SKYPUNCH__LOG__FILE", "")];
    let s = load(file, &[("log.level", "trace")], &env).unwrap();
    assert_eq!((s.log.level, s.log.format, s.log.results), (LogLevel::Trace, LogFormat::Compact, LogResults::None));
    assert_eq!(s.log.file, None, "an empty variable counts as not set");
}

#[test]
fn every_kind_of_value_can_come_from_the_environment() {
    let env = [
        ("SKYPUNCH__DATABASE__URL", "mysql://sky@db.example:3307/sky"),
        ("SKYPUNCH__DATABASE__PASSWORD", "007"),
        ("SKYPUNCH__PROBE__ARBITERS", "3"),
        ("SKYPUNCH__PROBE__NAME_SERVERS", "192.0.2.1, [2001:db8::1]:5353"),
        ("SKYPUNCH__EGRESS__DENY", "all"),
        ("SKYPUNCH__EGRESS__ALLOW", "10.0.0.0/8, ::1"),
        ("SKYPUNCH__EGRESS__TARGET_ALLOW", ","),
        ("SKYPUNCH__STATE__MAX_SIZE", "1GiB"),
        ("SKYPUNCH__PERSISTENCE__KEEP_RESULTS", "0"),
        ("SKYPUNCH__PERSISTENCE__KEEP_NOTIFICATIONS", "2h"),
        ("SKYPUNCH__SECRETS__FOLDERS", "/a,/b"),
        ("SKYPUNCH__HTTP__LISTEN", "[::1]:8611"),
        ("SKYPUNCH_TEST_MYSQL_URL", "belongs to others"),
        ("SKYPUNCH_CONFIG", "too"),
        ("CREDENTIALS_DIRECTORY", "/run/credentials/skypunch"),
    ];
    let s = load("", &[], &env).unwrap();
    assert!(matches!(&s.database.url, DatabaseUrl::Mysql(u) if u.as_str() == "mysql://sky@db.example:3307/sky"));
    assert_eq!(s.database.password, Some(Secret::new("007")), "a password of digits stays a text");
    let servers: [SocketAddr; 2] = ["192.0.2.1:53".parse().unwrap(), "[2001:db8::1]:5353".parse().unwrap()];
    assert_eq!((s.probe.arbiters, s.probe.name_servers.as_slice()), (3, servers.as_slice()));
    assert_eq!(s.egress.deny.to_string() + "; " + &s.egress.allow.to_string(), "all; 10.0.0.0/8,::1");
    assert!(s.egress.target_allow.is_empty());
    assert_eq!((s.state.max_size, s.persistence.keep_results), (1 << 30, None));
    assert_eq!(s.persistence.keep_notifications, Some(Duration::from_secs(7200)));
    assert_eq!(s.secrets.folders, [Path::new("/a"), Path::new("/b")]);
    assert_eq!(s.secrets.credentials.as_deref(), Some(Path::new("/run/credentials/skypunch")));
}

#[test]
fn a_list_replaces_the_one_below_it_as_a_whole() {
    let file = "[secrets]\nfolders = ['/a', '/b', '/c']";
    let s = load(file, &[], &[("SKYPUNCH__SECRETS__FOLDERS", "/d")]).unwrap();
    assert_eq!(s.secrets.folders, [Path::new("/d")]);
}

#[test]
fn a_password_in_the_url_leaves_it_and_is_never_shown() {
    let s =
        load("[database]\nurl = \"mariadb://sky:p%40ss%25@db/sky?socket=/run/db.sock\"\ntls = \"verify\"", &[], &[]);
    let s = s.unwrap();
    assert_eq!(s.database.password, Some(Secret::new("p@ss%")));
    assert_eq!(s.database.tls, TlsMode::Verify);
    for shown in [s.to_string(), format!("{s:?}")] {
        assert!(!shown.contains("p@ss") && !shown.contains("p%40ss"), "{shown}");
        assert!(shown.contains("mysql") && shown.contains("***"), "{shown}");
    }
}

#[test]
fn wrong_files_are_refused_with_place_value_and_mend() {
    let cases: &[(&str, &str)] = &[
        ("[log]\nlevle = 'info'", "line 2: log.levle: there is no such key; did you mean `level`?"),
        ("[databse]\nurl = 'x'", "line 1: databse: there is no such section; did you mean [database]?"),
        ("[log]\n\n\nsocket = '/x'", "line 4: log.socket: there is no such key; did you mean `socket` in [control]?"),
        ("[log]\ncolour = 1", "[log] knows level, format, file, results"),
        ("[colour]\nx = 1", "known are database, control, state, log, probe"),
        ("log = 'info'", "line 1: log: this is a section: write [log]"),
        ("url = 'sqlite:x'", "line 1: url: stands outside its section: write it below [database]"),
        ("[log]\nlevel = 'warn'", "`warn` is not known: did you mean \"warning\"? write one of \"trace\", \"debug\""),
        (
            "[egress]\ndeny = ['10.0.0.1/8']",
            "line 2: egress.deny: `10.0.0.1/8` has bits set behind its prefix: write 10.",
        ),
        ("[egress]\nallow = [7]", "egress.allow: an entry of the list: `7` is not a text: write it in quotes"),
        ("[log]\nlevel = 3", "`3` is not one of \"trace\""),
        ("[log]\nfile = ''", "log.file: is empty"),
        ("[log]\nfile = \"a\\u001b[31m\"", "`a\\u{1b}[31m` holds a control character"),
        ("[log]\nlevel = \"in\\nfo\"", "`in\\nfo` is not known"),
        ("[database]\ntimeout = 5", "line 2: database.timeout: `5` has no unit: write \"5s\" or \"5ms\""),
        ("[database]\ntimeout = '5 parsecs'", "`5 parsecs` is not a duration: write for example"),
        ("[database]\ntimeout = '1h'", "1h is out of range: write \"100ms\" to \"1m\""),
        ("[database]\ntimeout = '0s'", "out of range"),
        ("[database]\ntimeout = 1979-05-27", "is not a duration"),
        ("[database]\nurl = 'skypunch.db'", "database.url: is not a URL"),
        ("[database]\nurl = 'postgres://sky:hunter2@db/sky'", "scheme that is not known: write \"sqlite:///path"),
        ("[database]\nurl = 'mysql://sky:hunter2@db'", "has no database name after the host"),
        ("[database]\nurl = 'mysql:///sky'", "has no user or no host"),
        ("[database]\nurl = 'mysql://sky@db/sky?ssl=1'", "has the parameter `ssl`, which is not known"),
        ("[database]\nurl = 'mysql://sky:hunter2%zz@db/sky'", "`%` in its password"),
        // What may be the rest of a password is not shown.
        ("[database]\nurl = 'mysql://sky:12/3?hunter2@db/sky'", "has an `@` or `#` after the host: in a password"),
        ("[database]\nurl = 'mysql://sky:12/3#hunter2@db/sky'", "has an `@` or `#` after the host"),
        ("[database]\nurl = 'mysql://sky:12/hunter2@db'", "has an `@` or `#` after the host"),
        ("[database]\nurl = 'mysql://sky@db/sky#hunter2'", "has an `@` or `#` after the host"),
        ("[database]\nurl = 'sqlite::memory:'", "must be a file"),
        ("[database]\nurl = 'sqlite:'", "names no file"),
        ("[database]\nurl = 'sqlite:///var/lib/'", "names no file"),
        ("[database]\nurl = 'sqlite:a.db?mode=ro'", "must be a plain path"),
        ("[database]\nurl = 'mysql://db/sky'", "has no user or no host"),
        (
            "[database]\nurl = 'mysql://a:hunter2@h/d'\npassword = 'hunter2'",
            "line 3: database.password: database.url holds",
        ),
        ("[database]\npassword = ['hunter2']", "database.password: is not a text"),
        ("[database]\npassword = ''", "database.password: is empty"),
        ("[database]\ntls_ca = '/ca.pem'", "write tls = \"verify\" beside it"),
        ("[database]\ntls = 'verify'", "database.url names a SQLite file"),
        (
            "[state]\nmax_size = '12 apples'",
            "`12 apples` is not a size: write bytes as a number, or for example \"512MiB\"",
        ),
        ("[state]\nmax_size = 1", "1 bytes is out of range: write 1MiB to 1024GiB"),
        ("[state]\nmax_size = -1", "-1 bytes is out of range"),
        ("[state]\nmax_size = 9223372036854775807", "out of range"),
        ("[probe]\narbiters = -1", "-1 is out of range: write a whole number from 0 to 256"),
        ("[probe]\narbiters = 1.5", "`1.5` is not a whole number"),
        ("[probe]\narbiters = '3'", "`3` is not a whole number"),
        ("[probe]\narbiters = nan", "`NaN` is not a whole number"),
        ("[probe]\narbiters = { '$ odd.name[' = 1 }", "probe.arbiters: a table is not a value"),
        ("[probe]\n[probe.arbiters]\nx = 1", "probe.arbiters: a table is not a value"),
        ("[probe]\narbiters = {}", "probe.arbiters: a table is not a value"),
        ("[probe]\nname_servers = [{}]", "an entry of the list: a table is not a text"),
        ("[probe]\nname_servers = [{'$ x[' = 1}]", "an entry of the list: a table is not a text"),
        ("[probe]\nname_servers = [[]]", "an entry of the list: a list is not a text"),
        ("[[probe]]\narbiters = 1", "this is a section: write [probe]"),
        ("'$ odd.name[' = 1", "there is no such section"),
        ("[probe]\n'$ odd.name[' = 1", "there is no such key"),
        ("[probe]\narbiters = true", "`true` is not a whole number"),
        ("[probe]\nuser_agent = 'ä'", "does not fit in a header"),
        ("[probe]\nname_servers = '192.0.2.1'", "is not a list: write for example [\"one\", \"two\"]"),
        ("[probe]\nname_servers = ['dns.example']", "a name cannot stand here"),
        ("[probe]\nname_servers = [53]", "an entry of the list: `53` is not a text"),
        ("[persistence]\nflush_interval = '1s'", "1s is out of range: write \"10ms\" to \"250ms\""),
        ("[persistence]\nbatch_size = 0", "0 is out of range: write a whole number from 1 to 5000"),
        ("[persistence]\nkeep_results = '1s'", "or \"0s\""),
        ("[secrets]\nfolders = ['secrets']", "does not begin at the root"),
        ("[secrets]\nenvironment = ['${A}']", "is no name of an environment variable"),
        ("[http]\nlisten = 8611", "`8611` is not a text"),
        ("[http]\nlisten = 'localhost:8611'", "write for example \"127.0.0.1:8611\""),
        ("[http]\nlisten = '127.0.0.1:99999'", "is not an address and a port"),
        ("[metrics]\nper_target = 'gauge'", "`gauge` is not known: did you mean \"gauges\"?"),
        ("[metrics]\ntarget_tags = ['a,b']", "`a,b` is no tag: write for example"),
        ("[metrics]\nper_target = 'off'\ntarget_tags = ['a']", "is of no use with per_target = \"off\""),
        ("[metrics]\nmax_targets = -1", "-1 is out of range: write a whole number from 0 to 1000000"),
        ("[metrics]\nmax_histogram = 1", "did you mean `max_histograms`?"),
        ("[shutdown]\ngrace = '1y'", "out of range"),
        ("[log]\nlevel = 'info'\nlevel = 'info'", "line 3, column 1: this is not TOML: duplicate key"),
        ("[log\nlevel = 'info'", "line 1, column 5: this is not TOML"),
        ("[log]\nlevel = ", "line 2, column 9: this is not TOML"),
    ];
    for (text, expected) in cases {
        let all = problems(text, &[], &[]);
        assert!(all.iter().any(|p| p.contains(expected)), "{text}\n  should say: {expected}\n  says: {all:#?}");
        assert_eq!(all.len(), 1, "one problem, one line: {all:#?}");
        assert!(!all.concat().contains("hunter2"), "a secret is shown: {all:?}");
    }
}

#[test]
fn a_socket_path_must_fit_in_an_address() {
    let long = format!("[control]\nsocket = '/{}'", "x".repeat(107));
    assert!(problems(&long, &[], &[])[0].contains("the path has 108 bytes, a socket's can have 107"));
}

#[test]
fn wrong_variables_and_flags_are_named_as_they_were_written() {
    let env = [
        ("SKYPUNCH__LOG__LEVLE", "info"),
        ("SKYPUNCH__COLOUR", "1"),
        ("SKYPUNCH__PROBE__ARBITERS", "many"),
        ("SKYPUNCH__LOG__FILE", "a\u{fffd}"),
    ];
    let all = problems("", &[("http.listen", "8611"), ("http.lisen", "x")], &env);
    for expected in [
        "environment variable SKYPUNCH__LOG__LEVLE: log.levle: there is no such key; did you mean SKYPUNCH__LOG__LEVEL?",
        "environment variable SKYPUNCH__COLOUR: colour: there is no such key; write SKYPUNCH__SECTION__KEY",
        "environment variable SKYPUNCH__PROBE__ARBITERS: probe.arbiters: `many` is not a whole number",
        "environment variable SKYPUNCH__LOG__FILE: log.file: `a\u{fffd}` is not UTF-8",
        "command line: http.listen: `8611` is not an address and a port",
        "command line: http.lisen: there is no such key; did you mean `listen`?",
    ] {
        assert!(all.iter().any(|p| p.starts_with(expected)), "should say: {expected}\n  says: {all:#?}");
    }
    assert_eq!(all.len(), 6, "all are reported at once: {all:#?}");
}

#[test]
fn variables_that_are_not_utf_8_are_refused_only_where_they_are_ours() {
    use std::os::unix::ffi::OsStringExt as _;
    let raw = |bytes: &[u8]| std::ffi::OsString::from_vec(bytes.to_vec());
    let vars = |name: &str| {
        let home = ("HOME".into(), "/home/a".into());
        config::text_vars([home, (raw(name.as_bytes()), raw(b"\xff\xfe"))])
    };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f");
    std::fs::write(&file, "").unwrap();
    config::load_as(false, Some(&file), &[], vars("LESS")).unwrap();
    let error = config::load_as(false, Some(&file), &[], vars("SKYPUNCH__STATE__DIR")).unwrap_err();
    assert!(error.to_string().contains("state.dir") && error.to_string().contains("is not UTF-8"), "{error}");
}

#[test]
fn what_is_no_settings_file_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let load = |path: &Path| {
        let error = config::load_as(false, Some(path), &[], owned(&[("HOME", "/h")])).unwrap_err();
        let cause = std::error::Error::source(&error).map_or(String::new(), ToString::to_string);
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        format!("{error}: {cause}")
    };
    let write = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    assert!(load(&dir.path().join("missing.toml")).contains("No such file"));
    assert!(load(dir.path()).contains("Is a directory"));
    let pipe = dir.path().join("pipe.toml");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert!(load(&pipe).contains("is no regular file"), "it is not waited for");
    assert!(load(&write("latin1.toml", b"[log]\nfile = \"/var/\xe4\"")).contains("is not UTF-8 text (line 2)"));
    assert!(load(&write("binary.toml", &[0; 100])).contains("this is not TOML"));
    assert!(load(&write("huge.toml", &vec![b'#'; 2 << 20])).contains("longer than 1 MiB"));
    let closed = write("closed.toml", b"");
    let looped = dir.path().join("looped.toml");
    std::os::unix::fs::symlink(&looped, &looped).unwrap();
    assert!(load(&looped).contains("cannot be read"));
    // Root may read everything, so this says something only for others.
    std::fs::set_permissions(&closed, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    if std::fs::File::open(&closed).is_err() {
        assert!(load(&closed).contains("Permission denied"));
    }
}

#[test]
fn what_is_shown_reads_back_to_the_same_settings() {
    let text = "[log]\nfile = '/a \"b\" \\c'\n[secrets]\nfolders = ['/x', '/y']\n[http]\nlisten = '127.0.0.1:8611'\n\
                [database]\nurl = 'mysql://a@b/c'\ntls = 'verify'\ntls_ca = '/ca'\n[persistence]\nkeep_results = 0\n\
                [metrics]\nper_target = 'histograms'\ntarget_tags = ['a \"b\"', 'c']\nmax_targets = 7";
    let first = load(text, &[], &[]).unwrap();
    let mut second = load(&first.to_string(), &[], &[]).unwrap();
    second.file.clone_from(&first.file);
    assert_eq!(first, second);
    let shown: Vec<&str> = first.shown().iter().map(|(key, _)| *key).collect();
    assert_eq!(shown, KEYS, "every key is shown, in the order of the list");
}

#[test]
fn the_documented_file_names_every_key_with_its_default() {
    let text = std::fs::read_to_string(etc("skypunch.toml")).unwrap();
    let root = |text: &str| {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f.toml");
        std::fs::write(&file, text).unwrap();
        config::load_as(true, Some(&file), &[], []).map(|s| Settings { file: None, ..s })
    };
    let defaults = root("").unwrap();
    assert_eq!(root(&text).unwrap(), defaults, "as it stands it changes nothing");

    // `#key = value` is a default, `# key = value` an example of a key that has none to write down.
    let is_key =
        |rest: &str| rest.split_once(" = ").is_some_and(|(k, _)| k.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
    let mut written = Vec::new();
    let mut section = String::new();
    let mut uncommented = String::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            section = name.to_owned();
            uncommented.push_str(&format!("{line}\n"));
        } else if let Some(rest) = line.strip_prefix('#') {
            let (example, rest) = rest.strip_prefix(' ').map_or((false, rest), |r| (true, r));
            if !is_key(rest) {
                continue;
            }
            let key = format!("{section}.{}", rest.split(' ').next().unwrap());
            if example {
                let alone = root(&format!("[{section}]\n{rest}"));
                let needs_another = ["database.tls_ca", "control.read_socket"].contains(&key.as_str());
                assert!(alone.is_ok() || needs_another, "the example of {key}: {}", alone.unwrap_err());
            } else {
                uncommented.push_str(&format!("{rest}\n"));
            }
            written.push(key);
        }
    }
    assert_eq!(written, KEYS, "every key, once, in this order");
    assert_eq!(root(&uncommented).unwrap(), defaults, "the commented values are the defaults");
}

#[test]
fn the_example_files_fit_together() {
    let settings = config::load_as(false, Some(&etc("skypunch.example.toml")), &[], owned(&[("HOME", "/h")])).unwrap();
    assert!(settings.state.dir.is_relative(), "it needs nothing outside of the clone");
    let listen = settings.http.listen.unwrap();
    assert!(listen.ip().is_loopback() && listen.port() < 10_240);

    let text = std::fs::read_to_string(etc("targets.example.toml")).unwrap();
    let targets = parse(&text, &any_type).unwrap().targets;
    let targets: Vec<_> = targets.iter().map(|e| e.definition::<Definition>().unwrap().validate().unwrap()).collect();
    assert_eq!(targets[0].url.as_str(), format!("http://{listen}/healthz"));
    assert!(targets.iter().all(|t| t.url.host_str() == Some("127.0.0.1")), "no target needs the internet");

    // Every key of a target is there, and the commented ones read back too, alternatives one by one.
    for key in skypunch::model::definition::KEYS {
        assert!(text.contains(&format!("{key} = ")), "{key} is not in the example");
    }
    for key in NotifierDefinition::KEYS {
        assert!(text.contains(&format!("{key} = ")), "{key} is not in the example");
    }
    let (of_targets, rest) = text.split_once("# [[notifier]]\n").unwrap();
    let (of_notifiers, of_credentials) = rest.split_once("# [[credential]]\n").unwrap();
    for key in CredentialDefinition::KEYS {
        assert!(of_credentials.contains(&format!("{key} = ")), "{key} is not in the example");
    }
    each_line_reads(of_credentials, "credential", CredentialDefinition::KEYS, &["name"]);
    each_line_reads(of_targets, "target", &["credential"], &["name", "url"]);
    let login = of_credentials.lines().find_map(|l| l.strip_prefix("# params = ")).unwrap();
    let file = parse(&format!("[[credential]]\nname = 'c'\nparams = {login}"), &any_type).unwrap();
    file.credentials[0].definition::<CredentialDefinition>().unwrap().validate().unwrap();
    let lines: Vec<&str> = of_targets.lines().filter_map(|l| l.strip_prefix("# ")).collect();
    let at = lines.iter().position(|l| *l == "authn = \"OPENSTACK\"").unwrap();
    let catalog = lines.iter().find(|l| l.starts_with("url = \"openstack:")).unwrap();
    let target = format!("[[target]]\nname = 't'\n{catalog}\n{}\n{}", lines[at], lines[at + 1]);
    parse(&target, &any_type).unwrap().targets[0].definition::<Definition>().unwrap().validate().unwrap();
    each_line_reads(of_targets, "target", skypunch::model::definition::KEYS, &["name", "url"]);
    each_line_reads(of_notifiers, "notifier", NotifierDefinition::KEYS, &["name", "type", "address"]);
}

/// Every commented line that begins with a key reads back by itself.
fn each_line_reads(text: &str, what: &str, keys: &[&str], needed: &[&str]) {
    for line in text.lines().filter_map(|l| l.strip_prefix("# ")) {
        let Some((key, _)) = line.split_once(" = ") else { continue };
        let of_catalog = line.starts_with("url = \"openstack:");
        if keys.contains(&key) && !key.starts_with("authn") && !of_catalog {
            let base = needed.iter().filter(|k| **k != key).map(|k| format!("{k} = 'http://a/'\n"));
            let one = format!("[[{what}]]\n{}{line}", base.collect::<String>());
            assert!(parse(&one, &any_type).is_ok(), "{one}: {:?}", parse(&one, &any_type));
        }
    }
}

/// Texts that look like settings, right and wrong mixed.
fn lines() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        proptest::sample::select(KEYS).prop_map(|k| k.split_once('.').unwrap().1.to_owned()),
        "[a-z_.]{1,8}"
    ];
    let value = prop_oneof!["-?[0-9]{1,20}", "\"\\PC{0,12}\"", "\\[\\]|true|nan|\\{\\}", "\"[0-9]{1,12}(ms|s|d|MiB)\""];
    let section = proptest::sample::select(KEYS).prop_map(|k| format!("[{}]\n", k.split_once('.').unwrap().0));
    let block = (section, proptest::collection::vec((key, value), 0..4))
        .prop_map(|(s, lines)| s + &lines.iter().map(|(k, v)| format!("{k} = {v}\n")).collect::<String>());
    proptest::collection::vec(block, 0..4).prop_map(|b| b.concat())
}

proptest! {
    #[test]
    fn whatever_is_written_is_either_settings_or_sentences(text in prop_oneof![lines(), "\\PC*"], var in "\\PC{0,20}") {
        let env = [("SKYPUNCH__DATABASE__URL", var.as_str())];
        match load(&text, &[], &env) {
            Ok(settings) => prop_assert!(load(&settings.to_string(), &[], &[]).is_ok(), "{settings}"),
            Err(error) => {
                let said = error.to_string();
                prop_assert!(said.lines().all(|l| l.contains(':')), "{said}");
                prop_assert!(!said.chars().any(|c| c.is_control() && c != '\n'), "{said:?}");
            }
        }
    }
}
