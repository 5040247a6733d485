//! `start`: the daemon in the background, by the service manager where its unit is installed.
//!
//! ```text
//!  answers already --> "skypunch is already running"
//!  unit installed, nothing said on the command line --> systemctl start skypunch --.
//!  else --> `skypunch run` in a process group of its own, errors to start.log -----+--> wait until it is running
//! ```

use std::fs::{DirBuilder, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::args::StartArgs;
use super::exit::{CliError, Exit};
use super::output::{Format, Out};
use super::place::Place;
use super::unit::{self, UNIT};
use crate::control::api::RunState;
use crate::control::client::{Client, ClientError};
use crate::model::text::escape_controls;

/// 100,000 targets load in 3 s; a database that is away adds its connect limit.
const READY_LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(30);
/// So much of the end of start.log is told when the daemon does not start.
const TAIL_LINES: usize = 20;
const TAIL_BYTES: u64 = 8 * 1024;

pub(super) async fn run(client: &Client, place: &Place, args: &StartArgs, out: &mut Out) -> Result<Exit, CliError> {
    match client.status().await {
        Ok(status) => {
            // Whoever named other settings sees here which daemon it is that answers.
            let socket = client.socket().display().to_string();
            let text = format!("skypunch is already running\npid {}, socket {}", status.pid, escape_controls(&socket));
            return tell(out, &text, status.pid, true);
        }
        Err(ClientError::NotReachable { .. }) => {}
        Err(e) => return Err(e.into()),
    }
    for file in [&args.config, &args.targets].into_iter().flatten() {
        File::open(file).map_err(|e| {
            CliError::input(format!("{} cannot be read: {e}", escape_controls(&file.display().to_string())))
        })?;
    }
    let plain = args.config.is_none() && args.targets.is_none();
    let pid = if plain && place.is_system() && unit::installed() {
        start_unit(client).await?
    } else {
        spawn(client, place, args).await?
    };
    tell(out, &format!("started with pid {pid}"), pid, false)
}

fn tell(out: &mut Out, text: &str, pid: u32, already: bool) -> Result<Exit, CliError> {
    match out.format {
        Format::Table => out.line(text)?,
        Format::Json => out.json(&serde_json::json!({"state": "running", "pid": pid, "already_running": already}))?,
    }
    Ok(Exit::Done)
}

async fn start_unit(client: &Client) -> Result<u32, CliError> {
    let done = Command::new("systemctl")
        .args(["start", UNIT])
        .stdin(Stdio::null())
        .status()
        .map_err(|e| CliError::Failed(format!("systemctl cannot be run: {e}")))?;
    if !done.success() {
        return Err(CliError::Failed(format!("systemctl start {UNIT} failed: see journalctl -u {UNIT}")));
    }
    tokio::time::timeout(READY_LIMIT, ready(client)).await.map_err(|_| {
        CliError::Failed(format!(
            "{UNIT} has been started but does not answer at {} within {} s: see journalctl -u {UNIT}",
            client.socket().display(),
            READY_LIMIT.as_secs()
        ))
    })
}

async fn spawn(client: &Client, place: &Place, args: &StartArgs) -> Result<u32, CliError> {
    let daemon = daemon_path();
    let (log_path, log) = open_log(&place.log_dir)?;
    let mut command = Command::new(&daemon);
    command.arg("run");
    for (flag, file) in [("--config", &args.config), ("--targets", &args.targets)] {
        if let Some(file) = file {
            command.arg(flag).arg(file);
        }
    }
    if place.named {
        // Whoever names a socket means the daemon's too.
        command.env("SKYPUNCH__CONTROL__SOCKET", client.socket());
    }
    // What a service manager wants to hear from whoever has started this tool, it does not want from the daemon.
    command.env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC").env_remove("WATCHDOG_PID");
    // A process group of its own: Ctrl-C in this terminal, or its end, is not for the daemon.
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::from(log));
    let mut child = command.spawn().map_err(|e| {
        CliError::Failed(format!("{} cannot be run: {e}", escape_controls(&daemon.display().to_string())))
    })?;
    let pid = child.id();
    let ended_or_ready = async {
        tokio::select! {
            ended = ended(&mut child) => Err(ended),
            pid = ready(client) => Ok(pid),
        }
    };
    match tokio::time::timeout(READY_LIMIT, ended_or_ready).await {
        Ok(Ok(pid)) => Ok(pid),
        Ok(Err(end)) => Err(end.error(&tail(&log_path))),
        Err(_) => Err(CliError::Failed(format!(
            "skypunch runs with pid {pid} but is not ready at {} after {} s: see {}",
            client.socket().display(),
            READY_LIMIT.as_secs(),
            log_path.display()
        ))),
    }
}

/// The daemon's binary: beside this one, else wherever the system finds it.
fn daemon_path() -> PathBuf {
    std::env::current_exe()
        .ok()
        .map(|me| me.with_file_name("skypunch"))
        .filter(|path| path.is_file())
        .unwrap_or_else(|| PathBuf::from("skypunch"))
}

/// Where the daemon's standard error goes until it has a log of its own: the state folder, or beside a socket that was
/// named, so that two daemons do not share the file.
fn open_log(dir: &Path) -> Result<(PathBuf, File), CliError> {
    let path = dir.join("start.log");
    let failed = |e: std::io::Error| CliError::Failed(format!("{} cannot be written: {e}", path.display()));
    DirBuilder::new().recursive(true).mode(0o750).create(dir).map_err(failed)?;
    let file = File::create(&path).map_err(failed)?;
    Ok((path, file))
}

/// Waits until the daemon probes; its pid.
async fn ready(client: &Client) -> u32 {
    loop {
        // While it starts, every kind of error may pass: a socket that is not there yet, an early cut.
        if let Ok(status) = client.status().await
            && status.state == RunState::Running
        {
            return status.pid;
        }
        tokio::time::sleep(POLL).await;
    }
}

/// How the daemon ended before it was ready.
struct End {
    how: String,
    /// It refused its settings, its targets file or its place.
    refused: bool,
}

impl End {
    /// The daemon's exit code for wrong input is this program's too; everything else is a failure.
    fn error(self, said: &str) -> CliError {
        let text = format!("skypunch did not start ({}):\n{said}", self.how);
        if self.refused { CliError::Input(text.lines().map(str::to_owned).collect()) } else { CliError::Failed(text) }
    }
}

impl From<ExitStatus> for End {
    fn from(status: ExitStatus) -> End {
        End { how: status.to_string(), refused: status.code() == Some(Exit::Input as i32) }
    }
}

async fn ended(child: &mut Child) -> End {
    loop {
        match child.try_wait() {
            Ok(None) => tokio::time::sleep(POLL).await,
            Ok(Some(status)) => return status.into(),
            Err(e) => return End { how: format!("its end cannot be waited for: {e}"), refused: false },
        }
    }
}

/// The last lines of a file.
fn tail(path: &Path) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match read() {
        Ok(bytes) if bytes.trim_ascii().is_empty() => "it said nothing".into(),
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let lines: Vec<&str> = text.trim_end().lines().collect();
            lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
        }
        Err(e) => format!("{} cannot be read: {e}", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_the_last_lines() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let lines: Vec<String> = (0..5000).map(|i| format!("line {i}")).collect();
        std::fs::write(file.path(), lines.join("\n")).unwrap();
        let text = tail(file.path());
        assert_eq!(text.lines().count(), TAIL_LINES);
        assert!(text.starts_with("line 4980\n") && text.ends_with("\nline 4999"), "{text}");
        std::fs::write(file.path(), " \n").unwrap();
        assert_eq!(tail(file.path()), "it said nothing");
        assert!(tail(Path::new("/no/such")).contains("cannot be read"));
    }
}
