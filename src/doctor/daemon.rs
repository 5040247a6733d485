//! The settings, the socket, who answers there.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::{Finding, Place, shown, with_causes};
use crate::config::{self, Settings};
use crate::control::api::Status;
use crate::control::client::{Client, ClientError};

/// What was found, the settings if they are fit, and how the daemon is if one answers.
pub async fn look(place: &Place) -> (Vec<Finding>, Option<Settings>, Option<Status>) {
    let mut findings = Vec::new();
    let named = place.config.clone();
    let mut loaded = config::load(named.as_deref(), &[], place.env.clone());
    let of_settings = loaded.as_ref().ok().map(|s| s.control.socket.clone());
    let socket = place.socket.clone().or(of_settings).unwrap_or_else(|| place.default_socket.clone());
    let answer = Client::new(socket.clone()).status().await;
    let running = answer.as_ref().ok();
    let of_daemon = running.and_then(|s| s.settings_file.clone());
    if let (None, Some(file)) = (&named, &of_daemon) {
        // The daemon that answers knows better than the defaults where its settings are.
        loaded = config::load(Some(Path::new(file)), &[], place.env.clone());
    }
    if let Some(status) = running {
        // Relative paths in the settings are meant from where the daemon stands; where that may not be seen, from here.
        let _kept = std::env::set_current_dir(format!("/proc/{}/cwd", status.pid));
    }
    let settings = match loaded {
        Ok(settings) => {
            findings.push(told(&settings, of_daemon.as_deref().filter(|_| named.is_some())));
            Some(settings)
        }
        Err(e) => {
            let text = with_causes(&e);
            let mend = "mend what is named, then look again: skypunch check shows what is in force";
            findings.extend(text.lines().map(|line| Finding::fail("settings", line.trim(), mend)));
            None
        }
    };
    findings.extend(of_socket(&socket, &answer));
    if let Some(status) = running {
        findings.extend(of_daemon_itself(status));
    } else if let Some(settings) = &settings {
        findings.extend(of_listen(settings));
    }
    (findings, settings, answer.ok())
}

fn told(settings: &Settings, of_daemon: Option<&str>) -> Finding {
    let Some(file) = &settings.file else { return Finding::ok("settings", "the defaults: there is no file") };
    let other = of_daemon.filter(|other| std::fs::canonicalize(other).ok() != std::fs::canonicalize(file).ok());
    match other {
        None => Finding::ok("settings", format!("{} is fit", shown(file))),
        Some(other) => Finding::warning(
            "settings",
            format!("{} is fit, but the daemon that answers was started with {}", shown(file), shown(Path::new(other))),
            "name the daemon's own settings with --config, or its socket with --socket",
        ),
    }
}

fn of_socket(socket: &Path, answer: &Result<Status, ClientError>) -> Vec<Finding> {
    let check = "socket";
    let path = shown(socket);
    let meta = std::fs::symlink_metadata(socket);
    let mut found = match (answer, &meta) {
        (Ok(status), _) => vec![Finding::ok(check, format!("skypunch {} answers at {path}", status.version))],
        (Err(ClientError::PermissionDenied { .. }), _) => {
            vec![Finding::fail(check, format!("you may not use {path}"), "join the group that owns it, or use sudo")]
        }
        (Err(ClientError::NotReachable { .. }), Ok(m)) if m.file_type().is_socket() => vec![Finding::warning(
            check,
            format!("{path} is stale: nobody listens there, the daemon has ended without removing it"),
            "skypunchctl start (it is replaced then)",
        )],
        (Err(_), Ok(m)) if !m.file_type().is_socket() => vec![Finding::fail(
            check,
            format!("{path} is no socket"),
            "move it away, or set control.socket to another path",
        )],
        (Err(ClientError::NotReachable { .. }), _) => {
            vec![Finding::warning(check, format!("no daemon runs: there is no {path}"), "skypunchctl start")]
        }
        (Err(e), _) => vec![Finding::fail(
            check,
            format!("{path}: {}", with_causes(e)),
            "see the daemon's log; where it hangs, restart it",
        )],
    };
    if let Ok(meta) = meta
        && meta.mode() & 0o007 != 0
        && meta.file_type().is_socket()
    {
        found.push(Finding::warning(
            check,
            format!("anybody on this machine may use {path} (mode {:03o})", meta.mode() & 0o777),
            format!("chmod 660 {path}"),
        ));
    }
    found
}

/// Where no daemon runs: whether the one that is to be started gets its port.
fn of_listen(settings: &Settings) -> Option<Finding> {
    let check = "http";
    let listen = settings.http.listen?;
    Some(match std::net::TcpListener::bind(listen) {
        Ok(_) => Finding::ok(check, format!("{listen} can be listened on")),
        Err(e) => Finding::fail(
            check,
            format!("{listen} cannot be listened on: {}", crate::net::dial::words(&e)),
            format!("stop what holds it (ss -ltnp 'sport = :{}'), or set http.listen to another port", listen.port()),
        ),
    })
}

fn of_daemon_itself(status: &Status) -> Vec<Finding> {
    let check = "daemon";
    let mut found: Vec<Finding> = (status.unhealthy.iter())
        // Others look into the database and the notifiers themselves, and say more.
        .filter(|c| !matches!(c.about.as_str(), "database" | "notifications" | "descriptors"))
        .map(|c| Finding::fail(check, format!("{}: {}", c.about, c.why), "see skypunchctl status"))
        .collect();
    if status.version != env!("CARGO_PKG_VERSION") {
        found.push(Finding::warning(
            check,
            format!("it is version {}, this tool is {}", status.version, env!("CARGO_PKG_VERSION")),
            "restart the daemon after an upgrade",
        ));
    }
    if status.targets.invalid > 0 {
        found.push(Finding::warning(
            check,
            format!("{} rows of targets are wrong and not in force", status.targets.invalid),
            "skypunchctl status names them",
        ));
    }
    if found.is_empty() {
        found.push(Finding::ok(
            check,
            format!("{} targets, {:.1} probes a second", status.targets.enabled, status.probes.per_second),
        ));
    }
    found
}
