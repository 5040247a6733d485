//! Settings as they would be written in a file, without secrets: for `skypunch check` and the log.

use std::fmt;
use std::path::Path;

use super::log::{LogFormat, LogLevel, LogResults};
use super::sections::{DatabaseUrl, Settings, TlsMode};
use super::values::{written_duration, written_size};
use crate::model::egress::AddressList;
use crate::model::series::PerTarget;
use crate::model::text::escape_controls;

/// The form that the store reads.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DatabaseUrl::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            DatabaseUrl::Mysql(url) => f.write_str(url.as_str()),
        }
    }
}

impl Settings {
    /// Every key with its value in force, as TOML writes it; `None` where there is none. Secrets are `***`.
    #[must_use]
    pub fn shown(&self) -> Vec<(&'static str, Option<String>)> {
        let text = |s: &str| Some(format!("\"{}\"", escape_controls(s).replace('\\', "\\\\").replace('"', "\\\"")));
        let path = |p: &Path| text(&p.to_string_lossy());
        let list = |items: Vec<String>| {
            Some(format!("[{}]", items.iter().filter_map(|s| text(s)).collect::<Vec<_>>().join(", ")))
        };
        let addresses = |of: &AddressList| list(of.entries().iter().map(ToString::to_string).collect());
        let number = |n: usize| Some(n.to_string());
        let duration = |d| text(&written_duration(d));
        vec![
            ("database.url", text(&self.database.url.to_string())),
            ("database.password", self.database.password.as_ref().and_then(|p| text(&p.to_string()))),
            ("database.tls", text(self.database.tls.as_str())),
            ("database.tls_ca", self.database.tls_ca.as_deref().and_then(path)),
            ("database.timeout", duration(self.database.timeout)),
            ("control.socket", path(&self.control.socket)),
            ("control.group", self.control.group.as_ref().and_then(|g| text(g.as_str()))),
            ("control.read_group", self.control.read.as_ref().and_then(|r| text(r.group.as_str()))),
            ("control.read_socket", self.control.read.as_ref().and_then(|r| path(&r.socket))),
            ("control.max_connections", number(self.control.limits.max_connections)),
            ("control.max_head", text(&written_size(self.control.limits.max_head as u64))),
            ("control.max_body", text(&written_size(self.control.limits.max_body as u64))),
            ("control.request_timeout", duration(self.control.limits.request_timeout)),
            ("state.dir", path(&self.state.dir)),
            ("state.max_size", text(&written_size(self.state.max_size))),
            ("log.level", text(self.log.level.as_str())),
            ("log.format", text(self.log.format.as_str())),
            ("log.file", self.log.file.as_deref().and_then(path)),
            ("log.results", text(self.log.results.as_str())),
            ("probe.arbiters", number(self.probe.arbiters)),
            ("probe.young_limit", number(self.probe.young_limit)),
            ("probe.body_cap", text(&written_size(self.probe.body_cap as u64))),
            ("probe.user_agent", text(&self.probe.user_agent)),
            ("probe.name_servers", list(self.probe.name_servers.iter().map(ToString::to_string).collect())),
            ("egress.deny", addresses(&self.egress.deny)),
            ("egress.allow", addresses(&self.egress.allow)),
            ("egress.target_allow", addresses(&self.egress.target_allow)),
            ("persistence.flush_interval", duration(self.persistence.flush_interval)),
            ("persistence.batch_size", number(self.persistence.batch_size)),
            ("persistence.queue_size", number(self.persistence.queue_size)),
            ("persistence.keep_results", duration(self.persistence.keep_results.unwrap_or_default())),
            ("persistence.keep_notifications", duration(self.persistence.keep_notifications.unwrap_or_default())),
            ("openstack.login_timeout", duration(self.openstack.login_timeout)),
            ("notify.providers", self.notify.providers.as_deref().and_then(path)),
            ("notify.host", self.notify.host.as_deref().and_then(text)),
            ("notify.flap_changes", number(self.notify.flap_changes as usize)),
            ("notify.flap_window", duration(self.notify.flap_window)),
            ("notify.parent_wait", duration(self.notify.parent_wait)),
            ("monitor.share", number(self.monitor.share as usize)),
            ("monitor.window", duration(self.monitor.window)),
            ("secrets.folders", list(self.secrets.folders.iter().map(|p| p.display().to_string()).collect())),
            ("secrets.environment", list(self.secrets.environment.clone())),
            ("http.listen", self.http.listen.and_then(|a| text(&a.to_string()))),
            ("metrics.per_target", text(per_target(self.metrics.per_target))),
            ("metrics.target_tags", list(self.metrics.target_tags.clone())),
            ("metrics.max_targets", number(self.metrics.max_targets)),
            ("metrics.max_histograms", number(self.metrics.max_histograms)),
            ("shutdown.grace", duration(self.shutdown.grace)),
        ]
    }
}

/// `key = value` lines below their sections; a key without a value stands as a comment.
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut section = "";
        for (full, value) in self.shown() {
            let (of, key) = full.split_once('.').unwrap_or(("", full));
            if of != section {
                writeln!(f, "{}[{of}]", if section.is_empty() { "" } else { "\n" })?;
                section = of;
            }
            match value {
                Some(value) => writeln!(f, "{key} = {value}")?,
                None => writeln!(f, "# {key} is not set")?,
            }
        }
        Ok(())
    }
}

fn per_target(per_target: PerTarget) -> &'static str {
    match per_target {
        PerTarget::Off => "off",
        PerTarget::Gauges => "gauges",
        PerTarget::Histograms => "histograms",
    }
}

impl TlsMode {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            TlsMode::Off => "off",
            TlsMode::Encrypt => "encrypt",
            TlsMode::Verify => "verify",
        }
    }
}

impl LogLevel {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            LogLevel::Trace => "trace",
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warning => "warning",
            LogLevel::Error => "error",
        }
    }
}

impl LogFormat {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            LogFormat::Terminal => "terminal",
            LogFormat::Compact => "compact",
            LogFormat::Json => "json",
            LogFormat::Journald => "journald",
        }
    }
}

impl LogResults {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            LogResults::All => "all",
            LogResults::Changes => "changes",
            LogResults::None => "none",
        }
    }
}
