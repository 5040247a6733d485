//! `credentials`, `edit credential` and `openstack`.

use clap::ValueEnum;
use clap::builder::PossibleValuesParser;

use crate::cli::keys::CredentialKeyArgs;
use crate::cli::openstack::ALL;
use crate::control::api::CredentialReference;

/// `credentials`.
#[derive(Debug, clap::Args)]
pub struct CredentialsArgs {
    /// One credential: its id, its name or tenant/name (name:123 for a name of digits); cloud:NAME for an entry of
    /// clouds.yaml, target:ID or target:NAME for the login in a target's authn_parms
    #[arg(value_name = "ID|NAME")]
    pub credential: Option<CredentialReference>,
    /// What to do with it
    #[arg(value_enum, requires = "credential")]
    pub action: Option<CredentialAction>,
    /// Only those of this tenant
    #[arg(long, conflicts_with = "credential")]
    pub tenant: Option<String>,
    /// Only those that are enabled (true), or disabled (false)
    #[arg(long, value_name = "BOOL", conflicts_with = "credential")]
    pub enabled: Option<bool>,
}

/// What can be done with a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CredentialAction {
    /// Log in with it when a target needs it
    Enable,
    /// Do not log in with it any more
    Disable,
    /// Log in with it now, apart from what targets use, and show each step
    Test,
}

/// Below `openstack`.
#[derive(Debug, clap::Subcommand)]
pub enum OpenStackCommand {
    /// Print a target for each endpoint in a credential's service catalog, as a targets file for `apply`
    ///
    /// Logs in with the credential, and writes what it finds to standard output as TOML, whatever --output says. Well-known
    /// services get a request and an expectation that suit them; others come disabled, to be looked at. Nothing is changed:
    /// look through the file, then `skypunchctl apply FILE`.
    Discover(DiscoverArgs),
}

/// `openstack discover`.
#[derive(Debug, clap::Args)]
pub struct DiscoverArgs {
    /// The credential: its id, its name or tenant/name, or cloud:NAME
    #[arg(long, value_name = "ID|NAME")]
    pub credential: CredentialReference,
    /// Only endpoints of this interface
    #[arg(long, value_name = "INTERFACE", default_value = "public", ignore_case = true,
        value_parser = PossibleValuesParser::new(["public", "internal", "admin", ALL]))]
    pub interface: String,
    /// Only endpoints of this region [default: all regions]
    #[arg(long)]
    pub region: Option<String>,
}

/// `edit credential`.
#[derive(Debug, clap::Args)]
pub struct EditCredentialArgs {
    /// The credential: its id, its name or tenant/name
    #[arg(value_name = "ID|NAME")]
    pub credential: CredentialReference,
    /// The keys.
    #[command(flatten)]
    pub keys: CredentialKeyArgs,
}
