//! One struct per concern; reading one checks it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::control::ControlSettings;
use super::layers::Reader;
use super::log::LogSettings;
use super::metrics;
use super::place::DefaultPlaces;
use super::values::{self, Given};
use crate::model::egress::EgressPolicy;
use crate::model::monitor::MonitorRule;
use crate::model::series::SeriesPolicy;
use crate::secret::{Secret, SecretPolicy, rest_of_password};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// All settings, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The settings file that was read, if any.
    pub file: Option<PathBuf>,
    /// `[database]`
    pub database: DatabaseSettings,
    /// `[control]`
    pub control: ControlSettings,
    /// `[state]`
    pub state: StateSettings,
    /// `[log]`
    pub log: LogSettings,
    /// `[probe]`
    pub probe: ProbeSettings,
    /// `[egress]`
    pub egress: EgressPolicy,
    /// `[persistence]`
    pub persistence: PersistenceSettings,
    /// `[openstack]`
    pub openstack: OpenStackSettings,
    /// `[notify]`
    pub notify: NotifySettings,
    /// `[monitor]`: when the monitor itself is in trouble.
    pub monitor: MonitorRule,
    /// `[secrets]`, and the service manager's credentials folder.
    pub secrets: SecretPolicy,
    /// `[http]`
    pub http: HttpSettings,
    /// `[metrics]`
    pub metrics: SeriesPolicy,
    /// `[shutdown]`
    pub shutdown: ShutdownSettings,
}

/// `[database]`: the main database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseSettings {
    /// Which database; without its password.
    pub url: DatabaseUrl,
    /// Password of the user in the URL, in clear or by reference (resolve it with [`Settings::secrets`]).
    pub password: Option<Secret>,
    /// How the connection to a MySQL server is protected.
    pub tls: TlsMode,
    /// PEM file of the authorities to trust instead of the system's; only with [`TlsMode::Verify`].
    pub tls_ca: Option<PathBuf>,
    /// Bound of each single wait for the database; 100 ms to 60 s.
    pub timeout: Duration,
}

/// Where the main database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A file of the embedded SQLite.
    Sqlite(PathBuf),
    /// `mysql://user@host:port/database` of a MySQL or MariaDB server, with user, host and database name, without
    /// password; `?socket=/path` is the only parameter it may carry.
    Mysql(Url),
}

/// How the connection to the database is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// Not at all.
    Off,
    /// Encrypted; whose certificate it is does not matter.
    Encrypt,
    /// Encrypted, and the server's certificate must hold.
    Verify,
}

/// `[state]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateSettings {
    /// The folder of state.db, and of the SQLite database by default.
    pub dir: PathBuf,
    /// Most bytes that results may take in state.db while the main database is away.
    pub max_size: u64,
}

/// `[probe]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeSettings {
    /// Threads that probe; 0: as many as there are cores.
    pub arbiters: usize,
    /// Most probes younger than 20 ms in flight per thread.
    pub young_limit: usize,
    /// Bytes of a body that are read and judged; what lies beyond is left unread.
    pub body_cap: usize,
    /// `User-Agent` of every probe.
    pub user_agent: String,
    /// Name servers; empty: the system's.
    pub name_servers: Vec<SocketAddr>,
}

/// `[persistence]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersistenceSettings {
    /// Longest time that a result waits to be written; 10 to 250 ms.
    pub flush_interval: Duration,
    /// Most results in one transaction; 1 to 5000.
    pub batch_size: usize,
    /// Most results held in memory before they are spooled to state.db.
    pub queue_size: usize,
    /// How long raw results are kept; `None`: for ever.
    pub keep_results: Option<Duration>,
    /// How long the main database keeps what was told to whom; `None`: for ever.
    pub keep_notifications: Option<Duration>,
}

/// `[openstack]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenStackSettings {
    /// Deadline of a login at an identity service.
    pub login_timeout: Duration,
}

/// `[notify]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotifySettings {
    /// A folder with providers of the operator's own; `None`: the embedded ones alone.
    pub providers: Option<PathBuf>,
    /// Stands in every message and behind the `@` of its id; `None`: the machine's name.
    pub host: Option<String>,
    /// More transitions of a target than this within the window are flapping; 0: never.
    pub flap_changes: u32,
    /// That window.
    pub flap_window: Duration,
    /// How long a failure waits at most for the verdict of the target's parent.
    pub parent_wait: Duration,
}

/// `[http]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSettings {
    /// Where `/healthz` and `/metrics` are served; `None`: nowhere but on the control socket.
    pub listen: Option<SocketAddr>,
}

/// `[shutdown]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShutdownSettings {
    /// Longest time that an ordered stop may take.
    pub grace: Duration,
}

impl Settings {
    pub(super) fn read(r: &mut Reader, places: DefaultPlaces, file: Option<PathBuf>) -> Settings {
        let state = StateSettings {
            dir: r.path("state.dir", places.state_dir),
            max_size: r.get("state.max_size", 128 << 20, |g| values::size(g, 1 << 20..=1 << 40)),
        };
        Settings {
            file,
            database: DatabaseSettings::read(r, &state),
            control: ControlSettings::read(r, places.socket),
            state,
            log: LogSettings::read(r, places.journal),
            probe: ProbeSettings::read(r),
            egress: egress(r),
            persistence: PersistenceSettings::read(r),
            openstack: OpenStackSettings {
                login_timeout: r
                    .get("openstack.login_timeout", 10 * SECOND, |g| values::duration(g, SECOND..=120 * SECOND)),
            },
            notify: NotifySettings::read(r),
            monitor: monitor_rule(r),
            secrets: SecretPolicy {
                folders: r.get("secrets.folders", Vec::new(), values::folders),
                environment: r.get("secrets.environment", Vec::new(), values::names),
                credentials: places.credentials,
            },
            http: HttpSettings { listen: r.optional("http.listen", values::listen) },
            metrics: metrics::read(r),
            shutdown: ShutdownSettings {
                grace: r.get("shutdown.grace", 10 * SECOND, |g| {
                    values::duration(g, Duration::from_millis(100)..=600 * SECOND)
                }),
            },
        }
    }
}

impl DatabaseSettings {
    fn read(r: &mut Reader, state: &StateSettings) -> DatabaseSettings {
        const TLS: [(&str, TlsMode); 3] =
            [("off", TlsMode::Off), ("encrypt", TlsMode::Encrypt), ("verify", TlsMode::Verify)];
        let (url, in_url) = match r.optional("database.url", database_url) {
            Some((url, password)) => (url, password),
            None => (DatabaseUrl::Sqlite(state.dir.join("skypunch.db")), None),
        };
        let password = r.optional("database.password", secret);
        let tls = r.get("database.tls", TlsMode::Off, |g| values::one_of(g, &TLS));
        let tls_ca = r.optional("database.tls_ca", values::path);
        if password.is_some() && in_url.is_some() {
            r.wrong("database.password", "database.url holds a password too: leave one of them out");
        }
        if tls_ca.is_some() && tls != TlsMode::Verify {
            r.wrong("database.tls_ca", "is of no use without certificate checks: write tls = \"verify\" beside it");
        }
        if tls != TlsMode::Off && matches!(url, DatabaseUrl::Sqlite(_)) {
            r.wrong("database.tls", "is for servers, but database.url names a SQLite file: leave it out");
        }
        let timeout = r.get("database.timeout", 2 * SECOND, |g| values::duration(g, SECOND / 10..=60 * SECOND));
        DatabaseSettings { url, password: password.or(in_url), tls, tls_ca, timeout }
    }
}

impl ProbeSettings {
    fn read(r: &mut Reader) -> ProbeSettings {
        ProbeSettings {
            arbiters: number(r, "probe.arbiters", 0, 0, 256),
            young_limit: number(r, "probe.young_limit", 256, 1, 100_000),
            body_cap: r.get("probe.body_cap", 64 << 10, |g| {
                values::size(g, 1 << 10..=16 << 20).map(|n| usize::try_from(n).unwrap_or(usize::MAX))
            }),
            user_agent: r.get(
                "probe.user_agent",
                concat!("skypunch/", env!("CARGO_PKG_VERSION")).to_owned(),
                values::user_agent,
            ),
            name_servers: r.get("probe.name_servers", Vec::new(), values::name_servers),
        }
    }
}

impl PersistenceSettings {
    fn read(r: &mut Reader) -> PersistenceSettings {
        let limits = Duration::from_millis(10)..=Duration::from_millis(250);
        let mut keep = |key, default| {
            let keep = r.get(key, default, |g| values::duration_or_zero(g, 60 * SECOND..=3650 * DAY));
            (!keep.is_zero()).then_some(keep)
        };
        let keep_results = keep("persistence.keep_results", 7 * DAY);
        let keep_notifications = keep("persistence.keep_notifications", 90 * DAY);
        PersistenceSettings {
            flush_interval: r
                .get("persistence.flush_interval", Duration::from_millis(150), |g| values::duration(g, limits)),
            batch_size: number(r, "persistence.batch_size", 2500, 1, 5000),
            queue_size: number(r, "persistence.queue_size", 100_000, 1000, 10_000_000),
            keep_results,
            keep_notifications,
        }
    }
}

impl NotifySettings {
    fn read(r: &mut Reader) -> NotifySettings {
        NotifySettings {
            providers: r.optional("notify.providers", values::path),
            host: r.optional("notify.host", values::host_name),
            flap_changes: u32::try_from(number(r, "notify.flap_changes", 6, 0, 1000)).unwrap_or(0),
            flap_window: r
                .get("notify.flap_window", 600 * SECOND, |g| values::duration(g, SECOND..=24 * 3600 * SECOND)),
            parent_wait: r.get("notify.parent_wait", 30 * SECOND, |g| values::duration(g, SECOND..=600 * SECOND)),
        }
    }
}

fn egress(r: &mut Reader) -> EgressPolicy {
    let default = EgressPolicy::default();
    EgressPolicy {
        deny: r.get("egress.deny", default.deny, values::addresses),
        allow: r.get("egress.allow", default.allow, values::addresses),
        target_allow: r.get("egress.target_allow", default.target_allow, values::addresses),
    }
}

fn monitor_rule(r: &mut Reader) -> MonitorRule {
    let default = MonitorRule::default();
    MonitorRule {
        share: u32::try_from(number(r, "monitor.share", default.share as usize, 1, 100)).unwrap_or(default.share),
        window: r.get("monitor.window", default.window, |g| values::duration(g, SECOND..=3600 * SECOND)),
    }
}

pub(super) fn number(r: &mut Reader, key: &'static str, default: usize, min: u64, max: u64) -> usize {
    r.get(key, default, |g| values::count(g, min..=max).map(|n| usize::try_from(n).unwrap_or(usize::MAX)))
}

/// A secret; no message shows its value.
fn secret(given: Given<'_>) -> Result<Secret, String> {
    let text = values::text(given).map_err(|_| {
        "is not a text without control characters: write it in quotes, or as \"${file:/path}\"".to_owned()
    })?;
    if text.is_empty() {
        Err("is empty: leave the key out where there is no password".into())
    } else {
        Ok(Secret::new(text))
    }
}

/// The database, and the password that its URL held. No message shows the URL, since it may hold a password.
fn database_url(given: Given<'_>) -> Result<(DatabaseUrl, Option<Secret>), String> {
    const FILE: &str = "write \"sqlite:///path/to/skypunch.db\"";
    const HOW: &str = "write \"sqlite:///path/to/skypunch.db\" or \"mysql://user@host:3306/skypunch\"";
    let text = values::text(given).map_err(|_| format!("is not a text without control characters: {HOW}"))?;
    if let Some(path) = text.strip_prefix("sqlite:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        return match path {
            ":memory:" => Err(format!("must be a file, since several threads share it: {FILE}")),
            path if path.is_empty() || path.ends_with('/') => Err(format!("names no file: {FILE}")),
            path if path.contains(['?', '#']) => Err(format!("must be a plain path, without `?` and `#`: {FILE}")),
            path => Ok((DatabaseUrl::Sqlite(path.into()), None)),
        };
    }
    let mut url = Url::parse(&text).map_err(|e| format!("is not a URL ({e}): {HOW}"))?;
    if !matches!(url.scheme(), "mysql" | "mariadb") {
        return Err(format!("has a scheme that is not known: {HOW}"));
    }
    if let Some(what) = rest_of_password(&url) {
        return Err(format!("{what}, or set it as database.password"));
    }
    if url.host_str().is_none_or(str::is_empty) || url.username().is_empty() {
        return Err(format!("has no user or no host: {HOW}"));
    }
    let database = url.path().trim_start_matches('/');
    if database.is_empty() || database.contains('/') {
        return Err(format!("has no database name after the host: {HOW}"));
    }
    if let Some((name, _)) = url.query_pairs().find(|(name, _)| name != "socket") {
        let name = crate::model::text::quoted(&name);
        return Err(format!(
            "has the parameter {name}, which is not known: what it says is set by other keys of [database]"
        ));
    }
    let password = match url.password() {
        Some(p) => Some(Secret::new(percent_decoded(p)?)),
        None => None,
    };
    // `mariadb` is another word for the same protocol; set_scheme refuses nothing between two such schemes.
    let changed = url.set_password(None).and_then(|()| url.set_scheme("mysql"));
    changed.map_err(|()| format!("cannot be read: {HOW}"))?;
    Ok((DatabaseUrl::Mysql(url), password))
}

fn percent_decoded(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(b) = rest.next() {
        let hex = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
        match b {
            b'%' => match (hex(rest.next()), hex(rest.next())) {
                (Some(high), Some(low)) => bytes.push(high << 4 | low),
                _ => return Err("has a `%` in its password that begins no escape: write it as %25".into()),
            },
            b => bytes.push(b),
        }
    }
    String::from_utf8(bytes).map_err(|_| "has a password that is not UTF-8: use database.password".into())
}
