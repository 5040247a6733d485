//! `stop`: asks the daemon to stop, and returns when it has.
//!
//! ```text
//!  its unit is installed, and we are root --> systemctl stop skypunch (so that systemd starts it no more)
//!  else --> asked through the control socket --> wait until socket and process have gone
//! ```

use std::path::Path;
use std::time::Duration;

use super::exit::{CliError, Exit};
use super::output::{Format, Out};
use super::place::Place;
use super::unit;
use crate::control::client::{Client, ClientError};

/// The daemon writes everything within its grace; this is longer.
const STOP_LIMIT: Duration = Duration::from_secs(90);
/// From the end of the socket to the end of the process.
const EXIT_LIMIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(30);

pub(super) async fn run(client: &Client, place: &Place, out: &mut Out) -> Result<Exit, CliError> {
    if let Some(pid) = unit::to_stop(place) {
        unit::stop()?;
        return stopped(out, pid);
    }
    let pid = match client.stop().await {
        Ok(stopping) => stopping.pid,
        Err(ClientError::NotReachable { .. }) => {
            if out.format == Format::Json {
                out.json(&serde_json::json!({"state": "stopped", "pid": null}))?;
            } else {
                out.line("skypunch is not running")?;
            }
            return Ok(Exit::NotReachable);
        }
        Err(e) => return Err(e.into()),
    };
    if tokio::time::timeout(STOP_LIMIT, socket_gone(client)).await.is_err() {
        return Err(CliError::Failed(format!(
            "skypunch (pid {pid}) still answers after {} s: see its log",
            STOP_LIMIT.as_secs()
        )));
    }
    // In a container the pid may belong to another world and never end for us: the socket has the last word.
    let _in_another_world = tokio::time::timeout(EXIT_LIMIT, process_gone(pid)).await;
    stopped(out, pid)
}

fn stopped(out: &mut Out, pid: u32) -> Result<Exit, CliError> {
    if out.format == Format::Json {
        out.json(&serde_json::json!({"state": "stopped", "pid": pid}))?;
    } else {
        out.line(&format!("skypunch with pid {pid} has been stopped"))?;
    }
    Ok(Exit::Done)
}

async fn socket_gone(client: &Client) {
    // A cut connection, or a refusal while it stops, is no sign that it has gone yet.
    while !matches!(client.status().await, Err(ClientError::NotReachable { .. })) {
        tokio::time::sleep(POLL).await;
    }
}

async fn process_gone(pid: u32) {
    while is_alive(format!("/proc/{pid}/stat")) {
        tokio::time::sleep(POLL).await;
    }
}

/// Whether a process runs; one that has ended and waits for its parent to notice (state Z) does not.
fn is_alive(stat: impl AsRef<Path>) -> bool {
    std::fs::read_to_string(stat).is_ok_and(|text| {
        // The name in parentheses may hold anything, a parenthesis too.
        let state = text.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next());
        !matches!(state, Some('Z' | 'X'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_lives_until_it_has_ended_even_when_its_parent_does_not_look() {
        assert!(is_alive("/proc/self/stat"));
        assert!(!is_alive("/proc/4294967295/stat"));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "12 (a) S b) Z 1 12 12 0").unwrap();
        assert!(!is_alive(file.path()));
        std::fs::write(file.path(), "12 (a) Z b) S 1 12 12 0").unwrap();
        assert!(is_alive(file.path()));
    }
}
