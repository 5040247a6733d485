//! `openstack discover`: what a credential's catalog holds, as a targets file.

use super::args::{DiscoverArgs, OpenStackCommand};
use super::exit::{CliError, Exit};
use super::output::Out;
use crate::control::api::DiscoverQuery;
use crate::control::client::Client;

/// The word for no choice among interfaces.
pub(super) const ALL: &str = "all";

pub(super) async fn run(client: &Client, command: OpenStackCommand, out: &mut Out) -> Result<Exit, CliError> {
    let OpenStackCommand::Discover(DiscoverArgs { credential, interface, region }) = command;
    let interface = Some(interface).filter(|i| i != ALL);
    out.text(&client.discover(&credential, &DiscoverQuery { interface, region }).await?)?;
    Ok(Exit::Done)
}
