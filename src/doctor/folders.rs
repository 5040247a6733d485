//! Who may read and write what: state, socket, log, secrets.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{Finding, shown};
use crate::config::{DatabaseUrl, Settings};

/// So many files of a folder of secrets are looked at.
const MOST_FILES: usize = 1000;

const READ: u32 = 4;
const WRITE: u32 = 2;
const SEARCH: u32 = 1;

/// The user that the daemon runs as, or will.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    uid: u32,
    gids: Vec<u32>,
}

impl Who {
    /// That of the process, else the owner of the state folder, else whoever runs this.
    #[must_use]
    pub fn of(pid: Option<u32>, state: &Path) -> Who {
        let running = pid.and_then(|pid| fs::read_to_string(format!("/proc/{pid}/status")).ok());
        if let Some(who) = running.as_deref().and_then(Who::read) {
            return who;
        }
        match fs::metadata(state) {
            Ok(m) => Who { uid: m.uid(), gids: vec![m.gid()] },
            Err(_) => Who { uid: rustix::process::geteuid().as_raw(), gids: vec![rustix::process::getegid().as_raw()] },
        }
    }

    /// Reads `/proc/PID/status`.
    fn read(status: &str) -> Option<Who> {
        let numbers = |name: &str| -> Option<Vec<u32>> {
            let line = status.lines().find_map(|l| l.strip_prefix(name))?;
            Some(line.split_whitespace().filter_map(|n| n.parse().ok()).collect())
        };
        // Real, effective, saved, of the file system.
        let (uid, gid) = (*numbers("Uid:")?.get(1)?, *numbers("Gid:")?.get(1)?);
        let mut gids = numbers("Groups:").unwrap_or_default();
        gids.push(gid);
        Some(Who { uid, gids })
    }

    fn may(&self, meta: &Metadata, wanted: u32) -> bool {
        self.may_by(meta.mode(), meta.uid(), meta.gid(), wanted)
    }

    fn may_by(&self, mode: u32, uid: u32, gid: u32, wanted: u32) -> bool {
        let shift = if self.uid == uid {
            6
        } else if self.gids.contains(&gid) {
            3
        } else {
            0
        };
        self.uid == 0 || (mode >> shift) & wanted == wanted
    }

    /// `skypunch (uid 997)`.
    fn name(&self) -> String {
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let name = users.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)?.parse::<u32>().ok()? == self.uid).then(|| name.to_owned())
        });
        match name {
            Some(name) => format!("{name} (uid {})", self.uid),
            None => format!("uid {}", self.uid),
        }
    }
}

/// Looks at all folders and files that the settings name.
pub fn look(settings: &Settings, who: &Who) -> Vec<Finding> {
    let state = &settings.state.dir;
    let mut found = vec![folder("state folder", state, "state.dir", who, READ | WRITE | SEARCH)];
    let mut files = vec![state.join("state.db")];
    if let DatabaseUrl::Sqlite(path) = &settings.database.url {
        files.push(path.clone());
        if let Some(dir) = path.parent().filter(|d| *d != state && !d.as_os_str().is_empty()) {
            found.push(folder("state folder", dir, "database.url", who, READ | WRITE | SEARCH));
        }
    }
    found.extend(files.iter().filter_map(|f| database_file(f, who)));
    if let Some(dir) = settings.control.socket.parent() {
        found.push(folder("socket folder", dir, "control.socket", who, WRITE | SEARCH));
    }
    let read_only = settings.control.read.as_ref().and_then(|read| read.socket.parent());
    if let Some(dir) = read_only.filter(|dir| Some(*dir) != settings.control.socket.parent()) {
        found.push(folder("socket folder", dir, "control.read_socket", who, WRITE | SEARCH));
    }
    if let Some(file) = &settings.log.file {
        found.push(log_file(file, who));
    }
    for dir in &settings.secrets.folders {
        found.extend(secrets(dir, "secrets.folders", who));
    }
    if let Some(dir) = &settings.secrets.credentials {
        found.extend(secrets(dir, "the unit's LoadCredential", who));
    }
    found
}

fn folder(check: &'static str, dir: &Path, key: &str, who: &Who, wanted: u32) -> Finding {
    let path = shown(dir);
    let meta = match fs::metadata(dir) {
        Ok(meta) => meta,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return missing(check, dir, key, who),
        Err(e) => {
            return Finding::fail(
                check,
                format!("{path} cannot be looked at: {e}"),
                format!("let {} read it", who.name()),
            );
        }
    };
    if !meta.is_dir() {
        return Finding::fail(check, format!("{path} is no folder"), format!("set {key} to a folder"));
    }
    if !who.may(&meta, wanted) {
        let how = format!("chown {} {path}, or set {key}", who.uid);
        return Finding::fail(check, format!("{} may not write in {path} {}", who.name(), mode(&meta)), how);
    }
    // Where the sticky bit stands, as on /tmp, nobody removes what is another's.
    if meta.mode() & 0o002 != 0 && meta.mode() & 0o1000 == 0 {
        let message = format!("anybody on this machine may write in {path} {}", mode(&meta));
        return Finding::fail(check, message, format!("chmod o-w {path}"));
    }
    Finding::ok(check, format!("{path}, owner and mode are right"))
}

/// A folder that is not there is made at start, where the one above it allows.
fn missing(check: &'static str, dir: &Path, key: &str, who: &Who) -> Finding {
    let path = shown(dir);
    let above = dir
        .ancestors()
        .skip(1)
        .find_map(|d| fs::metadata(if d.as_os_str().is_empty() { Path::new(".") } else { d }).ok());
    if above.is_some_and(|m| who.may(&m, WRITE | SEARCH)) {
        return Finding::warning(check, format!("{path} is not there yet"), "nothing: it is made at the first start");
    }
    let how =
        format!("make it and give it to {}: mkdir -p {path} && chown {} {path}; or set {key}", who.name(), who.uid);
    Finding::fail(check, format!("{path} is not there, and {} cannot make it", who.name()), how)
}

fn database_file(file: &Path, who: &Who) -> Option<Finding> {
    let check = "state folder";
    let path = shown(file);
    // It is made at the first start.
    let meta = fs::metadata(file).ok()?;
    if !who.may(&meta, READ | WRITE) {
        let how = format!("chown {} {path} (and the files {path}-wal and {path}-shm, where they are)", who.uid);
        return Some(Finding::fail(check, format!("{} may not write {path} {}", who.name(), mode(&meta)), how));
    }
    (meta.mode() & 0o007 != 0).then(|| {
        let message = format!("anybody on this machine may read {path} {}, and it holds secrets", mode(&meta));
        Finding::fail(check, message, format!("chmod o= {path}"))
    })
}

fn log_file(file: &Path, who: &Who) -> Finding {
    let check = "log file";
    let path = shown(file);
    match fs::metadata(file) {
        Ok(m) if !m.is_file() => {
            Finding::fail(check, format!("{path} is no regular file"), "set log.file to the path of a file")
        }
        Ok(m) if !who.may(&m, WRITE) => {
            let message = format!("{} may not write {path} {}", who.name(), mode(&m));
            Finding::fail(check, message, format!("chown {} {path}", who.uid))
        }
        Ok(_) => Finding::ok(check, format!("{path} can be written")),
        Err(_) => {
            let dir = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            match fs::metadata(dir) {
                Ok(m) if m.is_dir() && who.may(&m, WRITE | SEARCH) => {
                    Finding::ok(check, format!("{path} is made at the first start"))
                }
                Ok(_) => {
                    let message = format!("{} may not make {path}", who.name());
                    Finding::fail(check, message, format!("let it write in {}, or set log.file", shown(dir)))
                }
                Err(e) => {
                    let message = format!("the folder of {path} cannot be used: {e}");
                    Finding::fail(check, message, format!("make {}, or set log.file", shown(dir)))
                }
            }
        }
    }
}

fn secrets(dir: &Path, key: &str, who: &Who) -> Vec<Finding> {
    let check = "secrets";
    let path = shown(dir);
    let meta = match fs::metadata(dir) {
        Ok(meta) if meta.is_dir() => meta,
        Ok(_) => return vec![Finding::fail(check, format!("{path} is no folder"), format!("mend {key}"))],
        Err(e) => {
            return vec![Finding::fail(
                check,
                format!("{path} cannot be used: {e}"),
                format!("make it, or leave it out of {key}"),
            )];
        }
    };
    if !who.may(&meta, READ | SEARCH) {
        let how = format!("chgrp a group of that user's on it, and chmod 750 {path}");
        return vec![Finding::fail(check, format!("{} may not read {path} {}", who.name(), mode(&meta)), how)];
    }
    let mut found = Vec::new();
    let files = fs::read_dir(dir).into_iter().flatten().flatten().take(MOST_FILES);
    for file in files.map(|f| f.path()) {
        let Ok(meta) = fs::metadata(&file) else { continue };
        let path = shown(&file);
        if meta.is_file() && !who.may(&meta, READ) {
            let how = format!("chown {} {path}", who.uid);
            found.push(Finding::warning(check, format!("{} may not read {path} {}", who.name(), mode(&meta)), how));
        } else if meta.is_file() && meta.mode() & 0o007 != 0 {
            let message = format!("anybody on this machine may read {path} {}", mode(&meta));
            found.push(Finding::fail(check, message, format!("chmod o= {path}")));
        }
    }
    if meta.mode() & 0o002 != 0 {
        let message = format!("anybody on this machine may write in {path} {}", mode(&meta));
        found.push(Finding::fail(check, message, format!("chmod o-w {path}")));
    }
    if found.is_empty() {
        found.push(Finding::ok(check, format!("{path}, owners and modes are right")));
    }
    found
}

fn mode(meta: &Metadata) -> String {
    format!("(owner {}, mode {:03o})", meta.uid(), meta.mode() & 0o7777)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn rights_are_those_of_owner_group_or_others() {
        let who = Who { uid: 5, gids: vec![7, 8] };
        assert!(who.may_by(0o600, 5, 1, READ | WRITE) && !who.may_by(0o060, 5, 7, READ), "the owner's alone count");
        assert!(who.may_by(0o040, 1, 8, READ) && !who.may_by(0o004, 1, 8, READ));
        assert!(who.may_by(0o004, 1, 1, READ) && !who.may_by(0o004, 1, 1, WRITE));
        assert!(Who { uid: 0, gids: vec![] }.may_by(0, 9, 9, READ | WRITE));
        let read = Who::read("Name:\tx\nUid:\t1\t5\t5\t5\nGid:\t2\t7\t7\t7\nGroups:\t8 9 \n");
        assert_eq!(read, Some(Who { uid: 5, gids: vec![8, 9, 7] }));
    }

    #[test]
    fn folders_that_anybody_may_write_and_files_that_anybody_may_read_are_failures() {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("d");
        let me = Who::of(None, place.path());
        let look = || folder("state folder", &dir, "state.dir", &me, READ | WRITE | SEARCH);
        assert_eq!(look().level, Level::Warning, "it is made at the first start");
        fs::create_dir(&dir).unwrap();
        let chmod = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        for (bits, level) in [(0o750, Level::Ok), (0o755, Level::Ok), (0o757, Level::Fail), (0o1777, Level::Ok)] {
            chmod(&dir, bits);
            assert_eq!(look().level, level, "{bits:o}");
        }
        chmod(&dir, 0o750);
        let other = Who { uid: 4_000_000, gids: vec![] };
        let refused = folder("state folder", &dir, "state.dir", &other, READ | WRITE | SEARCH);
        assert!(refused.level == Level::Fail && refused.mend.unwrap().starts_with("chown 4000000 "));
        let file = dir.join("secret");
        fs::write(&file, "x").unwrap();
        chmod(&file, 0o640);
        assert_eq!(secrets(&dir, "secrets.folders", &me)[0].level, Level::Ok);
        assert_eq!(database_file(&file, &me), None);
        chmod(&file, 0o644);
        assert_eq!(secrets(&dir, "secrets.folders", &me)[0].level, Level::Fail);
        assert!(database_file(&file, &me).unwrap().mend.unwrap().starts_with("chmod o= "));
        assert_eq!(secrets(&file, "secrets.folders", &me)[0].level, Level::Fail);
        assert_eq!(log_file(&dir, &me).level, Level::Fail);
        assert_eq!(log_file(&dir.join("none/log"), &me).level, Level::Fail);
        assert_eq!(log_file(&dir.join("log"), &me).level, Level::Ok);
    }
}
