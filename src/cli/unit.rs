//! The systemd unit: whether it is installed, and what systemd says of it.

use std::path::Path;
use std::process::{Command, Stdio};

use super::exit::{CliError, Exit};
use super::place::Place;
use crate::control::client::ClientError;

pub(super) const UNIT: &str = "skypunch.service";

/// Whether systemd runs this machine and knows the unit.
pub(super) fn installed() -> bool {
    shown().is_some()
}

/// What systemd says of the unit.
#[derive(Debug, PartialEq, Eq, Default)]
struct Shown {
    active: String,
    sub: String,
    result: String,
    pid: u32,
}

/// `None` where systemd does not run this machine or does not know the unit.
fn shown() -> Option<Shown> {
    if !Path::new("/run/systemd/system").is_dir() {
        return None;
    }
    let asked = ["show", UNIT, "--property=LoadState,ActiveState,SubState,Result,MainPID"];
    let done = Command::new("systemctl").args(asked).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    parse(&String::from_utf8_lossy(&done.stdout))
}

fn parse(text: &str) -> Option<Shown> {
    let get = |key: &str| text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix('=')).unwrap_or_default();
    (get("LoadState") == "loaded").then(|| Shown {
        active: get("ActiveState").to_owned(),
        sub: get("SubState").to_owned(),
        result: get("Result").to_owned(),
        pid: get("MainPID").parse().unwrap_or(0),
    })
}

/// The pid of the unit's daemon (0: systemd is about to start it again), where the unit runs and may be stopped by us.
/// Others ask the daemon itself, which ends well, so that systemd leaves it at that.
pub(super) fn to_stop(place: &Place) -> Option<u32> {
    if !place.is_system() || !rustix::process::geteuid().is_root() {
        return None;
    }
    shown().filter(|unit| unit.active != "inactive" && unit.active != "failed").map(|unit| unit.pid)
}

/// `systemctl stop`: returns when it has stopped.
pub(super) fn stop() -> Result<(), CliError> {
    let done = Command::new("systemctl")
        .args(["stop", UNIT])
        .stdin(Stdio::null())
        .status()
        .map_err(|e| CliError::Failed(format!("systemctl cannot be run: {e}")))?;
    if done.success() {
        return Ok(());
    }
    Err(CliError::Failed(format!("systemctl stop {UNIT} failed: see journalctl -u {UNIT}")))
}

/// Where the daemon does not answer and has a unit: what systemd says of that.
pub(super) fn explain(answer: Result<Exit, CliError>, place: &Place) -> Result<Exit, CliError> {
    let Err(CliError::Client(ClientError::NotReachable { .. })) = &answer else { return answer };
    if place.is_system()
        && let Some(unit) = shown()
    {
        return Err(CliError::NotRunning(sentence(&unit)));
    }
    answer
}

fn sentence(unit: &Shown) -> String {
    let state = format!("skypunch does not answer: {UNIT} is {} ({})", unit.active, unit.sub);
    match unit.result.as_str() {
        "" | "success" => format!("{state}; start it with `skypunchctl start`"),
        result => format!("{state}, its last result is {result}: see journalctl -u {UNIT}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_systemd_says_is_read_and_told() {
        let text = "Result=exit-code\nMainPID=0\nLoadState=loaded\nActiveState=failed\nSubState=failed\n";
        let unit = parse(text).unwrap();
        let told = sentence(&unit);
        assert!(
            told.contains("is failed (failed), its last result is exit-code: see journalctl -u skypunch"),
            "{told}"
        );
        let stopped =
            parse("LoadState=loaded\nActiveState=inactive\nSubState=dead\nResult=success\nMainPID=0").unwrap();
        assert!(sentence(&stopped).ends_with("is inactive (dead); start it with `skypunchctl start`"));
        assert_eq!(parse("LoadState=not-found\nActiveState=inactive\n"), None);
        assert_eq!(parse("Failed to connect to bus"), None);
    }
}
