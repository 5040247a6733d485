//! `skypunch import-legacy`.

use std::path::PathBuf;

use clap::ValueEnum;

/// `import-legacy`.
#[derive(Debug, clap::Args)]
pub struct ImportLegacyArgs {
    /// The old database, as 'mysql://USER@HOST:3306/skypunch'; a password only by reference:
    /// 'mysql://USER:${file:/path}@HOST/skypunch' or ${env:NAME}
    #[arg(long, value_name = "URL", required_unless_present = "from_config")]
    pub from: Option<String>,
    /// The skypunch.config of 0.3.0: where the old database is, and its user and password; with --from only the password
    #[arg(long, value_name = "FILE")]
    pub from_config: Option<PathBuf>,
    /// Read the password of the old database from standard input, up to the first line break
    #[arg(long)]
    pub password_stdin: bool,
    /// Only show what would be done; change nothing
    #[arg(long)]
    pub plan: bool,
    /// TLS on the way to the old database
    #[arg(long, value_enum, value_name = "MODE", default_value = "off")]
    pub tls: TlsArg,
    /// PEM file of the authorities that the old server's certificate must come from
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
    /// Settings of the daemon: which database it is brought into
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// TLS on the way to a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TlsArg {
    /// In clear
    Off,
    /// Encrypted, whoever the server is
    Encrypt,
    /// Encrypted, and the server's certificate must hold
    Verify,
}
