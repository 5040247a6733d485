//! The machine: file descriptors, disk, clock, certificate authorities.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::fs::{StatVfsMountFlags, statvfs};
use rustix::process::{Resource, getrlimit};

use super::{Finding, shown};
use crate::clock::Clock;
use crate::config::Settings;
use crate::control::api::Status;
use crate::model::target::TlsOptions;
use crate::net::{TlsProfiles, tls_authorities};

/// Descriptors that are not probes': databases, sockets, logs, and the reserve that probes never touch.
const OTHERS: u64 = 128;
/// Less free space than this lets nothing go on.
const LEAST_FREE: u64 = 64 << 20;
/// How long `timedatectl` may take.
const CLOCK_LIMIT: Duration = Duration::from_secs(2);

/// Whether all targets could hang at once and still each have its connection.
pub fn descriptors(running: Option<&Status>, targets: Option<u64>) -> Finding {
    // The daemon raises its limit to the hard one; what this tool may have says what it would get when it is started here.
    let own = || getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let limit = running.and_then(|s| s.descriptors).map_or_else(own, |d| d.limit);
    let open = running.and_then(|s| s.descriptors).map(|d| d.open);
    judge(limit, open, targets)
}

fn judge(limit: u64, open: Option<u64>, targets: Option<u64>) -> Finding {
    let check = "descriptors";
    let mend = |wanted: u64| {
        let round = wanted.next_power_of_two().max(1024);
        format!(
            "raise the limit to {round} or more: LimitNOFILE={round} in the unit, or ulimit -Hn {round} before the start"
        )
    };
    let Some(targets) = targets else {
        let found = format!("at most {limit} may be open; how many targets there are is not known");
        return if limit < OTHERS + 128 { Finding::fail(check, found, mend(1024)) } else { Finding::ok(check, found) };
    };
    let wanted = targets + OTHERS;
    if limit < wanted {
        let beyond = wanted - limit;
        let found = format!(
            "at most {limit} may be open, and {targets} targets may each hold one: when all hang at once, {beyond} of them \
             become UNKNOWN (local_resources) instead of FAIL"
        );
        return Finding::fail(check, found, mend(wanted));
    }
    if let Some(open) = open.filter(|open| open.saturating_mul(5) >= limit.saturating_mul(4)) {
        return Finding::fail(check, format!("{open} of {limit} are open"), mend(limit.saturating_mul(2)));
    }
    Finding::ok(check, format!("at most {limit} may be open, enough for {targets} targets"))
}

/// Whether results can be kept while the main database is away.
pub fn disk(settings: &Settings) -> Option<Finding> {
    let check = "disk";
    let dir = settings.state.dir.ancestors().find(|d| d.exists()).unwrap_or(Path::new("/"));
    let found = match statvfs(dir) {
        Ok(found) => found,
        Err(e) => return Some(Finding::warning(check, format!("{}: {e}", shown(dir)), "look at it with df")),
    };
    let path = shown(&settings.state.dir);
    if found.f_flag.contains(StatVfsMountFlags::RDONLY) {
        let message = format!("{path} is on a file system that is mounted read-only");
        return Some(Finding::fail(check, message, "mount it for writing, or set state.dir"));
    }
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let mb = |bytes: u64| format!("{} MB", bytes / 1_000_000);
    if free < LEAST_FREE {
        let message = format!("{} are free where {path} is", mb(free));
        return Some(Finding::fail(check, message, "make room, or set state.dir to another disk"));
    }
    let wanted = settings.state.max_size;
    if free < wanted {
        let message = format!(
            "{} are free where {path} is: less than the {} that results may take there while the database is away",
            mb(free),
            mb(wanted)
        );
        return Some(Finding::warning(check, message, "make room, or lower state.max_size"));
    }
    if found.f_files > 0 && found.f_favail < 100 {
        let message = format!("only {} files can still be made where {path} is", found.f_favail);
        return Some(Finding::fail(check, message, "remove files: the file system is out of inodes"));
    }
    Some(Finding::ok(check, format!("{} are free where {path} is", mb(free))))
}

/// Whether somebody keeps the clock right; nothing where the machine does not tell.
pub fn clock() -> Option<Finding> {
    let check = "clock";
    let said = said_by_timedatectl()?;
    Some(if said == "yes" {
        Finding::ok(check, "it is kept right by NTP")
    } else {
        Finding::warning(
            check,
            "nobody keeps it right: times of results and of certificates' ends will be off",
            "timedatectl set-ntp true, or run chrony",
        )
    })
}

/// `yes` or `no`; nothing where there is no systemd, or none that answers.
fn said_by_timedatectl() -> Option<String> {
    let mut child = Command::new("timedatectl")
        .args(["show", "--property=NTPSynchronized", "--value"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let pause = Duration::from_millis(20);
    let mut left = CLOCK_LIMIT;
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => break,
            Ok(None) if left > pause => {
                std::thread::sleep(pause);
                left -= pause;
            }
            _ => {
                // It may have ended meanwhile.
                drop(child.kill().and_then(|()| child.wait()));
                return None;
            }
        }
    }
    let mut said = String::new();
    std::io::Read::read_to_string(&mut child.stdout.take()?, &mut said).ok()?;
    let said = said.trim();
    matches!(said, "yes" | "no").then(|| said.to_owned())
}

/// Whether there is anybody to trust: the system's authorities, and the file for the database.
pub async fn certificates(settings: &Settings, clock: &Clock) -> Vec<Finding> {
    let check = "certificates";
    // The files are the operator's, and read with the rights of who looks.
    tls_authorities::allow_authorities_in(vec!["/".into()]);
    let profiles = TlsProfiles::new(clock.clone());
    let mend = "install the package ca-certificates";
    let mut found = match profiles.trust(&TlsOptions::default(), &()).await {
        Ok(_) => {
            let loaded = rustls_native_certs::load_native_certs();
            let n = loaded.certs.len();
            match loaded.errors.first() {
                None => vec![Finding::ok(check, format!("the system trusts {n} authorities"))],
                Some(e) => vec![Finding::warning(
                    check,
                    format!("the system trusts {n} authorities, but not all could be read: {e}"),
                    "mend that file (SSL_CERT_FILE and SSL_CERT_DIR name others)",
                )],
            }
        }
        Err(e) => vec![Finding::fail(check, e.to_string(), mend)],
    };
    if let Some(ca) = &settings.database.tls_ca {
        let options = TlsOptions { ca: Some(ca.display().to_string()), ..TlsOptions::default() };
        found.push(match tokio::time::timeout(super::LIMIT, profiles.trust(&options, &())).await {
            Ok(Ok(_)) => Finding::ok(check, format!("{} (database.tls_ca) holds certificates", shown(ca))),
            Ok(Err(e)) => {
                let text = e.to_string().replace("into tls_ca", "into database.tls_ca");
                Finding::fail(check, text, "set database.tls_ca to a PEM file that the daemon's user may read")
            }
            Err(_) => {
                Finding::fail(check, format!("{} cannot be read: its disk does not answer", shown(ca)), "see dmesg")
            }
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn each_target_may_hold_a_descriptor() {
        let level = |limit, open, targets| judge(limit, open, targets).level;
        assert_eq!(level(1024, None, Some(896)), Level::Ok);
        assert_eq!(level(1024, None, Some(897)), Level::Fail);
        assert_eq!(level(1024, Some(900), Some(10)), Level::Fail, "nearly all are taken");
        assert_eq!((level(1024, None, None), level(200, None, None)), (Level::Ok, Level::Fail));
        let found = judge(1024, None, Some(5_000));
        assert!(found.message.contains("4104 of them become UNKNOWN"), "{found:?}");
        assert!(found.mend.unwrap().contains("LimitNOFILE=8192"));
    }
}
