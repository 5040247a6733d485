//! The command line, as clap reads it.

mod backup;
mod credentials;
mod doctor;
mod history;
mod import;
mod legacy;

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Parser, Subcommand, ValueEnum};

pub use self::backup::BackupArgs;
pub use self::credentials::{CredentialAction, CredentialsArgs, DiscoverArgs, EditCredentialArgs, OpenStackCommand};
pub use self::doctor::DoctorArgs;
pub use self::history::{HistoryArgs, IncidentsArgs};
pub use self::import::{ImportArgs, ImportSource};
pub use self::legacy::{ImportLegacyArgs, TlsArg};
use super::keys::{CredentialKeyArgs, KeyArgs, NotifierKeyArgs};
use super::output::Format;
use crate::control::api::{CredentialReference, NotifierRef, TargetRef};
use crate::model::state::Status;

/// Heading of the flags that every command takes.
const GLOBAL: &str = "Global options";

/// Operates skypunch, the cloud service monitor.
#[derive(Debug, Parser)]
#[command(name = "skypunchctl", version, disable_help_subcommand = true)]
pub struct Args {
    /// The daemon's control socket [default: /run/skypunch/control.sock for root, else in your runtime folder]
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "PATH", env = "SKYPUNCH_SOCKET", hide_env_values = true)]
    pub socket: Option<PathBuf>,

    /// Text for people or JSON for programs
    #[arg(long, global = true, help_heading = GLOBAL, value_enum, value_name = "FORMAT", default_value = "table")]
    pub output: Format,

    /// No colours, not even on a terminal (as with NO_COLOR in the environment)
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub no_color: bool,

    /// What to do; without one, version and usage are shown.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the daemon in the background and wait until it is ready
    Start(StartArgs),
    /// Stop the daemon and wait until everything is written
    Stop,
    /// Show how the daemon is; exit code 1 when it is not well
    Status,
    /// Look at everything that skypunch stands on, and say how to mend it; exit code 1 when something fails
    Doctor(DoctorArgs),
    /// Read settings and definitions anew, and say which settings need a restart
    Reload,
    /// List targets, show one, or enable, disable or test it
    #[command(visible_alias = "target")]
    Targets(TargetsArgs),
    /// List notifiers or their types, show one, or enable, disable or test it
    #[command(visible_alias = "notifier")]
    Notifiers(NotifiersArgs),
    /// List credentials for OpenStack services, show one, or enable, disable or test it
    #[command(visible_alias = "credential")]
    Credentials(CredentialsArgs),
    /// Look into an OpenStack cloud
    #[command(name = "openstack")]
    OpenStack {
        /// What to look for.
        #[command(subcommand)]
        command: OpenStackCommand,
    },
    /// Add a target, a notifier or a credential
    Add {
        /// What to add.
        #[command(subcommand)]
        kind: AddKind,
    },
    /// Change some keys of a target, a notifier or a credential
    Edit {
        /// What to change.
        #[command(subcommand)]
        kind: EditKind,
    },
    /// Remove a target, a notifier or a credential for good
    Remove {
        /// What to remove.
        #[command(subcommand)]
        kind: RemoveKind,
    },
    /// Bring targets, notifiers and credentials into the form that a file says
    Apply(ApplyArgs),
    /// Turn the configuration of another monitor into a targets file for `apply`; needs no daemon
    Import(ImportArgs),
    /// Write all targets, notifiers and credentials as a file for `apply`; secrets are left out
    Export {
        /// Where to [default: standard output]
        file: Option<PathBuf>,
    },
    /// Save everything, passwords too, in one file that `skypunch restore` brings back
    Backup(BackupArgs),
    /// List incidents, or show one with its traces
    #[command(visible_alias = "incident")]
    Incidents(IncidentsArgs),
    /// Show a target's latest results
    History(HistoryArgs),
    /// Show results as they come
    Watch {
        /// Only those of this target
        #[arg(value_name = "ID|NAME")]
        target: Option<TargetRef>,
    },
    /// Write manual pages and completions, for who builds a package
    #[command(hide = true)]
    PackageFiles {
        /// Where to
        dir: PathBuf,
    },
}

impl Command {
    /// The target that the command is about.
    #[must_use]
    pub fn target(&self) -> Option<&TargetRef> {
        match self {
            Command::Targets(targets) => targets.target.as_ref(),
            Command::Edit { kind: EditKind::Target(edit) } => Some(&edit.target),
            Command::Remove { kind: RemoveKind::Target { target } } => Some(target),
            Command::Incidents(incidents) => incidents.target.as_ref(),
            Command::History(history) => Some(&history.target),
            Command::Watch { target } => target.as_ref(),
            _ => None,
        }
    }

    /// The notifier that the command is about.
    #[must_use]
    pub fn notifier(&self) -> Option<&NotifierRef> {
        match self {
            Command::Notifiers(notifiers) => notifiers.notifier.as_ref(),
            Command::Edit { kind: EditKind::Notifier(edit) } => Some(&edit.notifier),
            Command::Remove { kind: RemoveKind::Notifier { notifier } } => Some(notifier),
            _ => None,
        }
    }

    /// The credential that the command is about.
    #[must_use]
    pub fn credential(&self) -> Option<&CredentialReference> {
        match self {
            Command::Credentials(credentials) => credentials.credential.as_ref(),
            Command::OpenStack { command: OpenStackCommand::Discover(discover) } => Some(&discover.credential),
            Command::Edit { kind: EditKind::Credential(edit) } => Some(&edit.credential),
            Command::Remove { kind: RemoveKind::Credential { credential, .. } } => Some(credential),
            _ => None,
        }
    }
}

/// `start`.
#[derive(Debug, clap::Args)]
pub struct StartArgs {
    /// Settings of the daemon
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Targets that the daemon applies at start
    #[arg(long, value_name = "FILE")]
    pub targets: Option<PathBuf>,
}

/// `targets`.
#[derive(Debug, clap::Args)]
pub struct TargetsArgs {
    /// One target: its id, its name or tenant/name (name:123 for a name of digits)
    #[arg(value_name = "ID|NAME")]
    pub target: Option<TargetRef>,
    /// What to do with it
    #[arg(value_enum, requires = "target")]
    pub action: Option<TargetAction>,
    /// Only those with this status
    #[arg(long, value_name = "STATUS", conflicts_with = "target", ignore_case = true, value_parser = status_parser())]
    pub status: Option<Status>,
    /// Only those of this tenant
    #[arg(long, conflicts_with = "target")]
    pub tenant: Option<String>,
    /// Only those that carry this tag
    #[arg(long, conflicts_with = "target")]
    pub tag: Option<String>,
    /// Only those that are enabled (true), or disabled (false)
    #[arg(long, value_name = "BOOL", conflicts_with = "target")]
    pub enabled: Option<bool>,
}

/// What can be done with a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TargetAction {
    /// Probe it from now on
    Enable,
    /// Do not probe it any more
    Disable,
    /// Probe it now, apart from its schedule, and show each step
    Test,
}

/// `notifiers`.
#[derive(Debug, clap::Args)]
pub struct NotifiersArgs {
    /// The types.
    #[command(subcommand)]
    pub types: Option<TypesCommand>,
    /// One notifier: its id, its name or tenant/name (name:123 for a name of digits)
    #[arg(value_name = "ID|NAME")]
    pub notifier: Option<NotifierRef>,
    /// What to do with it
    #[arg(value_enum, requires = "notifier")]
    pub action: Option<NotifierAction>,
    /// With test: as what the sample comes [default: as a test]
    #[arg(long, value_enum, value_name = "EVENT", requires = "action")]
    pub event: Option<EventArg>,
    /// Only those of this tenant
    #[arg(long, conflicts_with = "notifier")]
    pub tenant: Option<String>,
    /// Only those that are enabled (true), or disabled (false)
    #[arg(long, value_name = "BOOL", conflicts_with = "notifier")]
    pub enabled: Option<bool>,
}

/// What can be done with a notifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum NotifierAction {
    /// Tell it from now on
    Enable,
    /// Do not tell it any more
    Disable,
    /// Send it a marked sample now, apart from what it is owed, and show each step
    Test,
}

/// As what a sample comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EventArg {
    /// As a failure would
    Fail,
    /// As a recovery would
    Recovery,
}

/// Below `notifiers`; a notifier of that name is written `name:types`.
#[derive(Debug, Subcommand)]
pub enum TypesCommand {
    /// List the types of notifiers, or show what one wants to be told
    Types {
        /// One type, as SLACK
        #[arg(value_name = "TYPE")]
        kind: Option<String>,
    },
}

/// `add`.
#[derive(Debug, Subcommand)]
pub enum AddKind {
    /// Add a target; only --name and --url are needed
    Target(Box<KeyArgs>),
    /// Add a notifier; only --name, --type and --address are needed
    Notifier(Box<NotifierKeyArgs>),
    /// Add a credential; only --name and --params are needed
    Credential(Box<CredentialKeyArgs>),
}

/// `edit`.
#[derive(Debug, Subcommand)]
pub enum EditKind {
    /// Change some keys of a target; its status, counters and history stay
    Target(Box<EditArgs>),
    /// Change some keys of a notifier; its counters and what it is owed stay
    Notifier(Box<EditNotifierArgs>),
    /// Change some keys of a credential; one that targets use keeps its name
    Credential(Box<EditCredentialArgs>),
}

/// `edit target`.
#[derive(Debug, clap::Args)]
pub struct EditArgs {
    /// The target: its id, its name or tenant/name
    #[arg(value_name = "ID|NAME")]
    pub target: TargetRef,
    /// The keys.
    #[command(flatten)]
    pub keys: KeyArgs,
}

/// `edit notifier`.
#[derive(Debug, clap::Args)]
pub struct EditNotifierArgs {
    /// The notifier: its id, its name or tenant/name
    #[arg(value_name = "ID|NAME")]
    pub notifier: NotifierRef,
    /// The keys.
    #[command(flatten)]
    pub keys: NotifierKeyArgs,
}

/// `remove`.
#[derive(Debug, Subcommand)]
pub enum RemoveKind {
    /// Remove a target; its results go too
    Target {
        /// The target: its id, its name or tenant/name
        #[arg(value_name = "ID|NAME")]
        target: TargetRef,
    },
    /// Remove a notifier; what it is owed is cancelled
    Notifier {
        /// The notifier: its id, its name or tenant/name
        #[arg(value_name = "ID|NAME")]
        notifier: NotifierRef,
    },
    /// Remove a credential that no target uses
    Credential {
        /// The credential: its id, its name or tenant/name
        #[arg(value_name = "ID|NAME")]
        credential: CredentialReference,
        /// Although targets use it: they fail until they have another
        #[arg(long)]
        force: bool,
    },
}

/// `apply`.
#[derive(Debug, clap::Args)]
pub struct ApplyArgs {
    /// A targets file (TOML); `-` reads standard input
    pub file: PathBuf,
    /// Only show what would change
    #[arg(long)]
    pub plan: bool,
    /// Delete targets that the file does not list, and notifiers and credentials where it lists any
    #[arg(long)]
    pub prune: bool,
}

fn status_parser() -> impl TypedValueParser<Value = Status> {
    PossibleValuesParser::new(["NEW", "PASS", "FAIL", "UNKNOWN"]).try_map(|s| s.to_uppercase().parse::<Status>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(std::iter::once("skypunchctl").chain(line.split_whitespace()))
    }

    #[test]
    fn the_definition_holds() {
        Args::command().debug_assert();
    }

    #[test]
    fn global_flags_stand_anywhere() {
        let args = parse("targets 8 --output json test --socket /s").unwrap();
        assert_eq!(args.output, Format::Json);
        assert_eq!(args.socket, Some(PathBuf::from("/s")));
        assert!(matches!(args.command, Some(Command::Targets(TargetsArgs { action: Some(TargetAction::Test), .. }))));
    }

    #[test]
    fn words_are_checked_and_near_misses_suggested() {
        for (line, part) in [
            ("taregts", "'targets'"),
            ("targets 8 tset", "'test'"),
            ("targets --status FIAL", "'FAIL'"),
            ("targets --staus FAIL", "'--status'"),
            ("targets 8 --status FAIL", "cannot be used with"),
            ("history 8 --since yesterday", "is not a duration"),
            ("history 8 --limit 0", "0 is not in 1..=100000"),
            ("targets 99999999999999999999", "too large for an id"),
            ("notifers", "'notifiers'"),
            ("credntials", "'credentials'"),
            ("credentials 8 enabel", "'enable'"),
            ("credentials 8 --tenant 7", "cannot be used with"),
            ("remove credential 8 --forec", "'--force'"),
            ("openstack discvoer", "'discover'"),
            ("openstack discover", "--credential"),
            ("openstack discover --credential c --interface publik", "'public'"),
            ("notifiers 8 enabel", "'enable'"),
            ("notifiers 8 --tenant 7", "cannot be used with"),
            ("notifiers enable disable x", "unexpected argument"),
            ("notifiers 8 test --event fial", "'fail'"),
            ("notifiers --event fail", "<ACTION>"),
            ("notifiers types a b", "unexpected argument"),
            ("incidents abc", "`abc` is no incident id: write the digits that `skypunchctl incidents` shows"),
            ("incidents 99999999999999999999", "is no incident id"),
            ("targets --output yaml", "table, json"),
        ] {
            let error = parse(line).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
            assert!(error.to_string().contains(part), "{line}: {error}");
        }
        let Some(Command::Notifiers(args)) = parse("notifiers types slack").unwrap().command else { panic!("types") };
        assert!(
            args.notifier.is_none()
                && matches!(args.types, Some(TypesCommand::Types { kind: Some(k) }) if k == "slack")
        );
        let Some(Command::Notifiers(args)) = parse("notifiers 8 test --event fail").unwrap().command else {
            panic!("test")
        };
        assert_eq!((args.action, args.event), (Some(NotifierAction::Test), Some(EventArg::Fail)));
        assert!(args.types.is_none());
        assert!(matches!(
            parse("targets --status fail").unwrap().command,
            Some(Command::Targets(TargetsArgs { status: Some(Status::Fail), .. }))
        ));
    }
}
