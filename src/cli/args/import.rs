//! `skypunchctl import`.

use std::path::PathBuf;

use clap::ValueEnum;

/// `import`.
#[derive(Debug, clap::Args)]
pub struct ImportArgs {
    /// What the files are of
    #[arg(long, value_enum, value_name = "MONITOR")]
    pub from: ImportSource,
    /// With blackbox, or with prometheus-file-sd: the modules file of blackbox_exporter; may be given again
    #[arg(long, value_name = "FILE")]
    pub modules: Vec<PathBuf>,
    /// With prometheus-file-sd: the module that all targets are probed by, unless their labels name one
    #[arg(long, value_name = "NAME", requires = "modules")]
    pub module: Option<String>,
    /// The files: config.yaml of Gatus; a backup (JSON), an export of the table `monitor` (JSON) or the kuma.db of Uptime Kuma;
    /// prometheus.yml, with --modules; files of targets for file_sd (JSON or YAML)
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// The monitors that can be imported from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ImportSource {
    /// Gatus
    Gatus,
    /// Uptime Kuma
    UptimeKuma,
    /// Prometheus with blackbox_exporter
    Blackbox,
    /// Files of targets for Prometheus' file_sd
    PrometheusFileSd,
}
