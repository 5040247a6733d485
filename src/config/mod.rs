//! Settings: where they come from, what they are called, what they may be.
//!
//! ```text
//!  defaults (who runs it) < settings file (TOML) < environment (SKYPUNCH__DATABASE__URL) < command line
//!        |                        |                          |                               |
//!        '------------------------+---- layers, places ------+-------------------------------'
//!                                          |
//!                     sections: every key checked, ALL problems reported at once
//!                                          v
//!                                      Settings (cannot be wrong)
//! ```
//!
//! The environment is handed in, never read here, so that every case is a plain test. `etc/skypunch.toml` documents
//! every key; a test holds it to [`KEYS`] and to the defaults.

mod control;
mod layers;
mod log;
mod metrics;
mod place;
mod problem;
mod sections;
mod show;
mod values;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read as _;
use std::path::{Path, PathBuf};

pub use control::{ControlLimits, ControlSettings, Group, ReadSettings};
pub use log::{LogFormat, LogLevel, LogResults, LogSettings};
pub use place::DefaultPlaces;
pub use problem::{Place, SettingProblem, SettingsError};
pub use sections::{
    DatabaseSettings, DatabaseUrl, HttpSettings, NotifySettings, PersistenceSettings, ProbeSettings, Settings,
    ShutdownSettings, StateSettings, TlsMode,
};

/// Every key, in the order of `etc/skypunch.toml`.
pub const KEYS: &[&str] = &[
    "database.url",
    "database.password",
    "database.tls",
    "database.tls_ca",
    "database.timeout",
    "control.socket",
    "control.group",
    "control.read_group",
    "control.read_socket",
    "control.max_connections",
    "control.max_head",
    "control.max_body",
    "control.request_timeout",
    "state.dir",
    "state.max_size",
    "log.level",
    "log.format",
    "log.file",
    "log.results",
    "probe.arbiters",
    "probe.young_limit",
    "probe.body_cap",
    "probe.user_agent",
    "probe.name_servers",
    "egress.deny",
    "egress.allow",
    "egress.target_allow",
    "persistence.flush_interval",
    "persistence.batch_size",
    "persistence.queue_size",
    "persistence.keep_results",
    "persistence.keep_notifications",
    "openstack.login_timeout",
    "notify.providers",
    "notify.host",
    "notify.flap_changes",
    "notify.flap_window",
    "notify.parent_wait",
    "monitor.share",
    "monitor.window",
    "secrets.folders",
    "secrets.environment",
    "http.listen",
    "metrics.per_target",
    "metrics.target_tags",
    "metrics.max_targets",
    "metrics.max_histograms",
    "shutdown.grace",
];

/// A longer file than this is no settings file.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Reads the settings of the user who runs this process.
///
/// * `file`: what `--config` names; without it `/etc/skypunch/skypunch.toml` (root) or
///   `$XDG_CONFIG_HOME/skypunch/skypunch.toml`, where there is one.
/// * `overrides`: flags, as (`section.key`, value).
/// * `env`: the environment; [`text_vars`] makes it of `std::env::vars_os()`. An empty variable counts as not set.
///
/// # Errors
/// A file that is named but cannot be read, is not text or not TOML; else all unknown keys and wrong values at once.
pub fn load(
    file: Option<&Path>,
    overrides: &[(String, String)],
    env: impl IntoIterator<Item = (String, String)>,
) -> Result<Settings, SettingsError> {
    load_as(rustix::process::geteuid().is_root(), file, overrides, env)
}

/// As [`load`], for root or for an ordinary user, whoever runs this process.
///
/// # Errors
/// As [`load`].
pub fn load_as(
    root: bool,
    file: Option<&Path>,
    overrides: &[(String, String)],
    env: impl IntoIterator<Item = (String, String)>,
) -> Result<Settings, SettingsError> {
    let env: BTreeMap<String, String> = env.into_iter().collect();
    let places = DefaultPlaces::new(root, &env);
    let text = match (file, &places.config_file) {
        (Some(path), _) => Some((path.to_owned(), read_file(path)?)),
        (None, Some(path)) => read_if_there(path)?.map(|text| (path.clone(), text)),
        (None, None) => None,
    };
    read(text, overrides, &env, places)
}

fn read(
    text: Option<(PathBuf, String)>,
    overrides: &[(String, String)],
    env: &BTreeMap<String, String>,
    places: DefaultPlaces,
) -> Result<Settings, SettingsError> {
    let file = text.as_ref().map(|(path, text)| (path.as_path(), text.as_str()));
    let mut reader = layers::Reader::new(file, overrides, env)?;
    let settings = Settings::read(&mut reader, places, text.as_ref().map(|(path, _)| path.clone()));
    reader.finish(settings)
}

/// As [`load_as`], with the settings file's name and text at hand.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) fn load_text(
    root: bool,
    text: Option<(PathBuf, String)>,
    overrides: &[(String, String)],
    env: &BTreeMap<String, String>,
) -> Result<Settings, SettingsError> {
    read(text, overrides, env, DefaultPlaces::new(root, env))
}

/// Where `skypunchctl` finds the socket of a daemon whose settings say nothing of it.
#[must_use]
pub fn default_socket(env: impl IntoIterator<Item = (String, String)>) -> Option<PathBuf> {
    DefaultPlaces::new(rustix::process::geteuid().is_root(), &env.into_iter().collect()).socket
}

/// Where the read-only socket is when nobody says: beside the control socket.
#[must_use]
pub fn read_socket_beside(socket: &Path) -> PathBuf {
    control::beside(socket)
}

/// An environment as text; what is not UTF-8 gets a mark that [`load`] complains about where it matters.
pub fn text_vars(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Vec<(String, String)> {
    let text = |s: OsString| s.to_string_lossy().into_owned();
    vars.into_iter().map(|(name, value)| (text(name), text(value))).collect()
}

fn read_if_there(path: &Path) -> Result<Option<String>, SettingsError> {
    match read_file(path) {
        Ok(text) => Ok(Some(text)),
        Err(SettingsError::Unreadable { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

fn read_file(path: &Path) -> Result<String, SettingsError> {
    let unreadable = |source| SettingsError::Unreadable { path: path.to_owned(), source };
    let not_text = |message: String| SettingsError::NotText { path: path.to_owned(), message };
    let mut bytes = Vec::new();
    // A pipe that nobody writes to would be waited for, for ever.
    let kind = std::fs::metadata(path).map_err(unreadable)?;
    if !kind.is_file() && !kind.is_dir() {
        return Err(not_text("is no regular file: settings stand in one".into()));
    }
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(not_text("is longer than 1 MiB: this is no settings file".into()));
    }
    String::from_utf8(bytes).map_err(|e| {
        let valid = e.utf8_error().valid_up_to();
        let line = e.as_bytes().iter().take(valid).filter(|b| **b == b'\n').count() + 1;
        not_text(format!("is not UTF-8 text (line {line}): save it as UTF-8"))
    })
}
