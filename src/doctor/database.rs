//! The main database: reachable, new enough, ours, with the rights and the tables that are needed, its clock near ours.

use crate::clock::Clock;
use crate::config::{DatabaseUrl as UrlSetting, Settings, TlsMode};
use crate::control::api::Status;
use crate::model::notifier::NotifierDefinition;
use crate::model::text::escape_controls;
use crate::model::time::UtcMs;
use crate::store::grants::{self, SCHEMA};
use crate::store::{ConnectOptions, DatabaseUrl, Examined, LeaseHolder, SchemaState, Store, StoreError, Tls};

use super::{Finding, LIMIT, apart, egress, with_causes};

const CHECK: &str = "database";
/// Clocks that differ by more are worth a word, in milliseconds; and by more than this they are wrong.
const APART_MS: u64 = 1_000;
const WRONG_MS: u64 = 60_000;

/// What others need of it.
pub struct Base {
    /// Targets that are enabled.
    pub targets: u64,
    /// Whom to tell.
    pub notifiers: Vec<NotifierDefinition>,
    /// What the egress policy says to the targets.
    pub egress: egress::Look,
}

/// What was read, at which time of ours.
struct Read {
    version: String,
    examined: Examined,
    notifiers: Vec<NotifierDefinition>,
    egress: egress::Look,
    now: UtcMs,
}

/// Looks at it; what others need, where it could be read.
pub async fn look(settings: &Settings, clock: &Clock, running: Option<&Status>) -> (Vec<Finding>, Option<Base>) {
    let url = match url_of(settings) {
        Ok(url) => url,
        Err(why) => {
            let mend = "mend [database] url and password; a reference resolves where the daemon runs: look as its user";
            return (vec![Finding::fail(CHECK, why, mend)], None);
        }
    };
    let shown = escape_controls(&url.to_string()).into_owned();
    if let Some(Err(e)) = url.sqlite_file().map(std::path::Path::try_exists) {
        let mend = "look as root, or as the daemon's user";
        return (vec![Finding::warning(CHECK, format!("{shown} may not be looked at: {e}"), mend)], None);
    }
    if let Some(file) = url.sqlite_file().filter(|f| !f.exists()) {
        let message = format!("{} is not there yet", super::shown(file));
        return match running {
            None => (vec![Finding::warning(CHECK, message, "nothing: it is made at the first start")], None),
            Some(_) => {
                let message = format!("{message}, but a daemon works with it");
                (
                    vec![Finding::fail(
                        CHECK,
                        message,
                        "put the file back, or restart the daemon to begin with an empty one",
                    )],
                    None,
                )
            }
        };
    }
    let tls = match settings.database.tls {
        TlsMode::Off => Tls::Off,
        TlsMode::Encrypt => Tls::Encrypt,
        TlsMode::Verify => Tls::Verify { ca: settings.database.tls_ca.clone() },
    };
    let options = ConnectOptions { tls, timeout: settings.database.timeout };
    let clock = clock.clone();
    let mut egress = egress::Look::new(settings.egress.clone());
    // Each wait is bounded by database.timeout; all of them together by this.
    let read = apart(LIMIT.max(settings.database.timeout * 2), move || {
        let mut store = Store::open_to_look(&url, &options)?;
        let examined = store.examine()?;
        let now = clock.utc_now();
        let mut notifiers = Vec::new();
        if matches!(examined.schema, SchemaState::Current) {
            notifiers = store.load_notifiers()?;
            store.each_definition(|row| egress.see(&row))?;
        }
        Ok::<_, StoreError>(Read { version: store.server_version().to_owned(), examined, notifiers, egress, now })
    })
    .await;
    match read {
        None => {
            let message = format!("{shown}: no answer within {}", humantime::format_duration(LIMIT));
            (vec![Finding::fail(CHECK, message, "see whether the server hangs, and the network to it")], None)
        }
        Some(Err(e)) => (vec![refused(&shown, &e)], None),
        Some(Ok(read)) => {
            let found = judge(&shown, &read, running.map(|s| s.pid));
            let known = matches!(read.examined.schema, SchemaState::Current);
            let base = Base { targets: read.examined.targets, notifiers: read.notifiers, egress: read.egress };
            (found, known.then_some(base))
        }
    }
}

/// The database's URL with its password.
fn url_of(settings: &Settings) -> Result<DatabaseUrl, String> {
    let text = match &settings.database.url {
        UrlSetting::Sqlite(path) => format!("sqlite://{}", path.display()),
        UrlSetting::Mysql(url) => url.to_string(),
    };
    let url = DatabaseUrl::parse(&text).map_err(|e| e.to_string())?;
    match &settings.database.password {
        None => Ok(url),
        Some(password) => {
            let password = settings.secrets.resolve(password);
            password.map(|p| url.with_password(p)).map_err(|e| format!("database.password: {}", with_causes(&e)))
        }
    }
}

fn refused(shown: &str, error: &StoreError) -> Finding {
    let mend = match error {
        StoreError::Denied(_) => "mend user and password in [database], or GRANT that user its rights",
        StoreError::TooOld(_) => "upgrade the server",
        StoreError::Tls(_) => "mend [database] tls and tls_ca, or the server's certificate",
        StoreError::Setting(_) => "mend [database] url, or make what it names",
        StoreError::Damaged(_) => "restore it from a backup",
        _ => "start the server, or mend [database] url; until then results are kept in state.db",
    };
    Finding::fail(CHECK, format!("{shown}: {error}"), mend)
}

fn judge(shown: &str, read: &Read, daemon: Option<u32>) -> Vec<Finding> {
    let Examined { schema, missing, by_role, user, server_time, holder, targets } = &read.examined;
    let kind = if user.is_none() { "SQLite " } else { "" };
    let mut found = vec![match schema {
        SchemaState::Current => {
            Finding::ok(CHECK, format!("{shown}, {kind}{}: {targets} enabled targets", read.version))
        }
        SchemaState::Empty => Finding::warning(
            CHECK,
            format!("{shown}, {kind}{}: it is empty", read.version),
            "nothing: the tables are made at the first start",
        ),
        SchemaState::Old(n) => Finding::warning(
            CHECK,
            format!("{shown}, {kind}{}: the tables are of an older version ({n} migrations are missing)", read.version),
            "nothing: they are brought up to date at the next start of this version; make a backup before",
        ),
        SchemaState::New(version) => Finding::fail(
            CHECK,
            format!("{shown}: a newer skypunch has changed the tables (migration {version} is not known to this one)"),
            "install that version, or restore a backup from before",
        ),
        SchemaState::Foreign(why) => {
            Finding::fail(CHECK, format!("{shown}: {why}"), "give skypunch a database of its own in [database] url")
        }
    }];
    if let Some((grantee, database)) = user {
        found.push(rights_finding(missing, *by_role, *schema == SchemaState::Current, grantee, database));
    }
    if let Some(theirs) = server_time {
        found.push(clocks(*theirs, read.now));
    }
    found.extend(holder.as_ref().and_then(|(holder, until)| {
        // A lease that has ended is nobody's, nor is that of a process that has.
        let held = *until > read.now && Some(holder.pid) != daemon && lives(holder);
        let who = format!("pid {} on {}", holder.pid, escape_controls(&holder.host));
        match daemon {
            Some(_) if held => Some(Finding::fail(
                CHECK,
                format!("another skypunch works on this database: {who}"),
                "stop it, or give this one a database of its own",
            )),
            None if held => Some(Finding::warning(
                CHECK,
                format!("a skypunch that does not answer at this socket works on this database: {who}"),
                "name its socket with --socket; a start here is refused while it runs",
            )),
            _ => None,
        }
    }));
    found
}

/// Whether the daemon that a lease names may be alive: certain only on this machine.
fn lives(holder: &LeaseHolder) -> bool {
    let here = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if !holder.host.starts_with(&format!("{here} (")) {
        return true;
    }
    std::fs::read_to_string(format!("/proc/{}/comm", holder.pid)).is_ok_and(|name| name.trim() == "skypunch")
}

fn rights_finding(missing: &[&str], by_role: bool, current: bool, grantee: &str, database: &str) -> Finding {
    if missing.is_empty() {
        return Finding::ok(CHECK, format!("{grantee} has all rights that are needed"));
    }
    let statement = grants::statement(missing, grantee, database);
    let what = format!("{grantee} lacks {}", missing.join(", "));
    if by_role {
        return Finding::warning(
            CHECK,
            format!("{what}, unless a role of that user gives it"),
            format!("where none does: {statement}"),
        );
    }
    if current && missing.iter().all(|right| SCHEMA.contains(right)) {
        return Finding::warning(CHECK, format!("{what}: the next upgrade needs it"), statement);
    }
    Finding::fail(CHECK, what, statement)
}

fn clocks(theirs: UtcMs, ours: UtcMs) -> Finding {
    let check = "clock";
    let off = theirs.0.abs_diff(ours.0);
    let words = format!("the database's clock and this machine's differ by {}.{:03} s", off / 1000, off % 1000);
    let mend = "let NTP keep both right";
    if off <= APART_MS {
        Finding::ok(check, words)
    } else if off <= WRONG_MS {
        Finding::warning(check, words, mend)
    } else {
        Finding::fail(check, format!("{words}: leases and times of results cannot be trusted"), mend)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    fn read(schema: SchemaState) -> Read {
        let examined = Examined {
            schema,
            missing: Vec::new(),
            by_role: false,
            user: Some(("'sky'@'localhost'".into(), "sky".into())),
            server_time: Some(UtcMs(10_000)),
            holder: None,
            targets: 3,
        };
        Read {
            version: "11.4".into(),
            examined,
            notifiers: Vec::new(),
            egress: egress::Look::new(Default::default()),
            now: UtcMs(10_400),
        }
    }

    fn levels(read: &Read, daemon: Option<u32>) -> Vec<Level> {
        judge("mysql://sky@h/sky", read, daemon).iter().map(|f| f.level).collect()
    }

    #[test]
    fn what_the_server_refuses_has_its_mend() {
        for (error, message, mend) in [
            (
                StoreError::TooOld("MariaDB 10.5.21".into()),
                "MariaDB 10.5.21 is too old: skypunch needs",
                "upgrade the server",
            ),
            (StoreError::Denied("for 'u'".into()), "denies access", "GRANT"),
            (StoreError::Tls("no certificate".into()), "no TLS connection", "tls_ca"),
            (StoreError::Damaged("x".into()), "is damaged", "backup"),
            (StoreError::Refused("h:1: refused".into()), "cannot be reached", "start the server"),
        ] {
            let found = refused("mysql://u@h/d", &error);
            assert!(found.level == Level::Fail && found.message.contains(message), "{found:?}");
            assert!(found.mend.unwrap().contains(mend));
        }
    }

    #[test]
    fn schema_rights_clock_and_lease_are_judged() {
        use Level::{Fail, Ok, Warning};
        assert_eq!(levels(&read(SchemaState::Current), None), [Ok, Ok, Ok]);
        for (schema, level) in [
            (SchemaState::Empty, Warning),
            (SchemaState::Old(2), Warning),
            (SchemaState::New("9".into()), Fail),
            (SchemaState::Foreign("x".into()), Fail),
        ] {
            assert_eq!(levels(&read(schema), None)[0], level);
        }
        let mut r = read(SchemaState::Current);
        r.examined.missing = vec!["ALTER"];
        assert_eq!(levels(&r, None), [Ok, Warning, Ok]);
        r.examined.schema = SchemaState::Empty;
        assert_eq!(levels(&r, None), [Warning, Fail, Ok], "without it no tables can be made");
        r.examined.missing = vec!["DELETE"];
        let found = judge("x", &r, None);
        assert_eq!(found[1].mend.as_deref(), Some("GRANT DELETE ON `sky`.* TO 'sky'@'localhost'"));
        r.examined.by_role = true;
        assert_eq!(levels(&r, None)[1], Warning);

        let mut r = read(SchemaState::Current);
        r.now = UtcMs(12_000);
        assert_eq!(levels(&r, None)[2], Warning);
        r.now = UtcMs(100_000);
        assert_eq!(levels(&r, None)[2], Fail);

        let mut r = read(SchemaState::Current);
        r.examined.holder = Some((LeaseHolder { host: "h".into(), pid: 7, writer: 1 }, UtcMs(20_000)));
        assert_eq!(levels(&r, Some(7)), [Ok, Ok, Ok]);
        assert_eq!(levels(&r, Some(8)), [Ok, Ok, Ok, Fail]);
        assert_eq!(levels(&r, None), [Ok, Ok, Ok, Warning]);
    }
}
