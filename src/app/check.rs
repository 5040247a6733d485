//! `skypunch check`: are the settings and the targets file fit? Nothing is changed.
//!
//! ```text
//!  settings, targets file --look--> Findings --write--> what is in force (stdout), what is wrong (stderr)
//! ```

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

use super::{EXIT_INPUT, startup, targets, with_causes};
use crate::config::Settings;
use crate::model::auth::Auth;
use crate::model::credential::{CredentialDefinition, OpenStackAuth, missing, named_clouds};
use crate::model::definition::Definition;
use crate::model::egress::EgressPolicy;
use crate::model::targets_file::TargetsFile;
use crate::model::text::{escape_controls, escape_lines, quoted};
use crate::openstack::clouds;

/// Says what is in force and what is wrong. Exit code 0, or 2 when something is wrong; 1 when the output cannot be
/// written.
#[must_use]
pub fn check(settings: &Settings, targets_file: Option<&Path>) -> ExitCode {
    let found = look(settings, targets_file);
    let written = written(&found.in_force, io::stdout().lock());
    let mut errors = io::stderr().lock();
    for sentence in found.wrong.iter().chain(&written.as_ref().err().cloned()) {
        // Nobody is left to be told that this cannot be written.
        let _unheard = writeln!(errors, "skypunch: {}", escape_lines(sentence));
    }
    for sentence in &found.warnings {
        let _unheard = writeln!(errors, "skypunch: warning: {}", escape_lines(sentence));
    }
    if !found.wrong.is_empty() {
        ExitCode::from(EXIT_INPUT)
    } else if written.is_err() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// Writes all of it. A reader that has gone has read enough.
fn written(text: &str, mut to: impl Write) -> Result<(), String> {
    match to.write_all(text.as_bytes()).and_then(|()| to.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(format!("the output cannot be written: {e}")),
        _ => Ok(()),
    }
}

/// What a check found.
#[derive(Debug, Default)]
struct Findings {
    /// Settings and targets, line by line.
    in_force: String,
    /// A sentence for each thing that is wrong.
    wrong: Vec<String>,
    /// A sentence for each thing that is not wrong, but should be known.
    warnings: Vec<String>,
}

fn look(settings: &Settings, targets_file: Option<&Path>) -> Findings {
    let mut found = Findings::default();
    let mut line = |text: String| {
        found.in_force.push_str(&text);
        found.in_force.push('\n');
    };
    match &settings.file {
        Some(file) => line(format!("settings  {}", shown(file))),
        None => line("settings  the defaults (no file)".into()),
    }
    for (key, value) in settings.shown() {
        line(format!("  {key} = {}", value.as_deref().unwrap_or("(not set)")));
    }
    if let Err(e) = startup::database_url(settings) {
        found.wrong.push(with_causes(e.as_ref()));
    }
    let control = &settings.control;
    let groups = [
        control.group.as_ref().map(|group| ("control.group", group)),
        control.read.as_ref().map(|read| ("control.read_group", &read.group)),
    ];
    let unknown = groups.into_iter().flatten().filter_map(|(key, group)| super::socket::group_id(key, group).err());
    found.wrong.extend(unknown.map(|e| with_causes(&e)));
    found.wrong.extend(settings.log.file.as_deref().and_then(log_file_problem));
    found.wrong.extend(settings.secrets.folders.iter().filter_map(|f| folder_problem(f)));
    let (catalogue, problems) = super::notifying::catalogue(settings);
    found.wrong.extend(problems.iter().map(|p| format!("a provider of notifiers: {p}")));
    match targets_file.map(|file| (file, targets::read(file, &*super::notifying::types(&catalogue)))) {
        None => {}
        Some((file, Ok((_, entries)))) => {
            let some = |n: usize, what: &str| if n == 0 { String::new() } else { format!(", {n} {what}") };
            let others = some(entries.notifiers.len(), "notifiers") + &some(entries.credentials.len(), "credentials");
            line(format!("targets   {}: {} targets{others}, all fit", shown(file), entries.targets.len()));
            found.warnings.extend(warnings(&entries, &settings.egress));
        }
        Some((_, Err(e))) => found.wrong.push(with_causes(&e)),
    }
    found
}

/// What is not wrong in a targets file, but should be known.
fn warnings(file: &TargetsFile, egress: &EgressPolicy) -> Vec<String> {
    // A secret that is left out is in the database: such a login cannot be looked at here.
    let targets: Vec<Definition> = file.targets.iter().filter_map(|e| e.definition().ok()).collect();
    let credentials: Vec<CredentialDefinition> = file.credentials.iter().filter_map(|e| e.definition().ok()).collect();
    let of_targets = targets.iter().filter_map(|d| match d.validate().ok()?.auth {
        Auth::OpenStack(OpenStackAuth::Own(login)) => Some(format!("target {}: {}", quoted(&d.name), login.warning()?)),
        _ => None,
    });
    let denied = targets.iter().filter(|d| d.enabled).filter_map(|d| {
        let denied = d.validate().ok()?.denied(egress)?;
        Some(format!("target {}: {} is {denied}; {}", quoted(&d.name), denied.address, denied.mend()))
    });
    let of_credentials = credentials
        .iter()
        .filter_map(|d| Some(format!("credential {}: {}", quoted(&d.name), d.validate().ok()?.login.warning()?)));
    let missing = missing(&targets, &credentials);
    let absent = missing.iter().map(|m| format!("{m} in this file: it must be in the database"));
    let clouds = clouds::unusable(&named_clouds(&targets));
    of_targets.chain(denied).chain(of_credentials).chain(absent).chain(clouds).collect()
}

/// Why the daemon could not open its log file; it makes the file, but not the folder.
fn log_file_problem(file: &Path) -> Option<String> {
    match fs::metadata(file) {
        Ok(m) if m.is_dir() => {
            Some(format!("log.file: {} is a folder: write the path of a file, for example in it", shown(file)))
        }
        // Opened as the daemon does, but never made.
        Ok(m) if m.is_file() => OpenOptions::new()
            .append(true)
            .open(file)
            .err()
            .map(|e| format!("log.file: {} cannot be opened: {e}: let skypunch write there", shown(file))),
        Ok(m) => crate::logging::check_file_type(file, &m).err().map(|e| with_causes(&e)),
        Err(_) => {
            let folder = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let why = folder_fault(folder)?;
            Some(format!("log.file: the folder {} {why}: make it, or write another path", shown(folder)))
        }
    }
}

fn folder_problem(folder: &Path) -> Option<String> {
    let why = folder_fault(folder)?;
    Some(format!("secrets.folders: {} {why}: make the folder, or leave it out", shown(folder)))
}

/// What keeps a path from being a folder.
fn folder_fault(path: &Path) -> Option<String> {
    match fs::metadata(path) {
        Ok(m) if m.is_dir() => None,
        Ok(_) => Some("is no folder".into()),
        Err(e) if e.kind() == ErrorKind::NotFound => Some("does not exist".into()),
        Err(e) => Some(format!("cannot be used ({e})")),
    }
}

fn shown(path: &Path) -> String {
    escape_controls(&path.display().to_string()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn found(dir: &Path, settings: &str) -> Findings {
        let file = dir.join("skypunch.toml");
        let state = format!("[state]\ndir = \"{}\"\n", dir.join("state").display());
        let socket = format!("[control]\nsocket = \"{}\"\n", dir.join("socket").display());
        fs::write(&file, format!("{settings}\n{state}{socket}")).unwrap();
        look(&config::load(Some(&file), &[], Vec::new()).unwrap(), None)
    }

    #[test]
    fn folders_that_the_start_needs_must_be_there() {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path();
        let d = dir.display();
        fs::write(dir.join("a-file"), "").unwrap();
        fs::create_dir(dir.join("a-folder")).unwrap();
        let cases = [
            (format!("[log]\nfile = \"{d}/none/log\""), Some(format!("log.file: the folder {d}/none does not exist"))),
            (
                format!("[log]\nfile = \"{d}/a-file/log\""),
                Some(format!("log.file: the folder {d}/a-file is no folder")),
            ),
            (format!("[log]\nfile = \"{d}/a-folder\""), Some(format!("log.file: {d}/a-folder is a folder"))),
            ("[log]\nfile = \"/dev/null\"".into(), Some("log.file /dev/null is no regular file".into())),
            (format!("[log]\nfile = \"{d}/a-folder/log\""), None),
            (format!("[log]\nfile = \"{d}/a-file\""), None),
            (format!("[secrets]\nfolders = [\"{d}/none\"]"), Some(format!("secrets.folders: {d}/none does not exist"))),
            (
                format!("[secrets]\nfolders = [\"{d}/a-file\"]"),
                Some(format!("secrets.folders: {d}/a-file is no folder")),
            ),
            (format!("[secrets]\nfolders = [\"{d}/a-folder\"]"), None),
        ];
        for (settings, wrong) in cases {
            let found = found(dir, &settings);
            match wrong {
                Some(part) => {
                    assert!(found.wrong.len() == 1 && found.wrong[0].starts_with(&part), "{settings}: {found:?}");
                }
                None => assert!(found.wrong.is_empty(), "{settings}: {found:?}"),
            }
            assert!(found.in_force.contains("probe.arbiters = "), "{found:?}");
        }
        assert!(!dir.join("a-folder/log").exists() && !dir.join("state").exists(), "nothing is made");
    }

    #[test]
    fn old_logins_and_credentials_that_are_missing_are_warnings() {
        let of = |text: &str| {
            warnings(
                &crate::model::targets_file::parse(text, &crate::model::notifier::any_type).unwrap(),
                &EgressPolicy::default(),
            )
        };
        let v2 = "user=u,password=hunter2,osauthendpoint=http://k/v2.0/tokens,tenantid=t";
        let text = format!(
            "[[target]]\nname = 'old'\nurl = 'http://x/'\nauthn = 'OPENSTACK'\nauthn_parms = '{v2}'\n\
             [[target]]\nname = 'a'\nurl = 'http://x/'\ncredential = 'here'\n\
             [[target]]\nname = 'b'\nurl = 'http://x/'\ncredential = 'there'\n\
             [[target]]\nname = 'c'\nurl = 'http://x/'\nauthn = 'OPENSTACK'\n\
             [[credential]]\nname = 'here'\nparams = '{v2}'\n[[credential]]\nname = 'kept'\n"
        );
        let told = of(&text);
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told[0].starts_with("target `old`: the endpoint ends in /v2.0/tokens"), "{told:?}");
        assert!(told[1].starts_with("credential `here`: the endpoint ends in /v2.0/tokens"), "{told:?}");
        assert!(told[2].contains("`there`") && told[2].contains("(`b`)") && told[2].contains("database"), "{told:?}");
        assert!(!told.concat().contains("hunter2"));
        let told = of("[[target]]\nname = 'meta'\nurl = 'http://169.254.169.254/latest/'\n\
             [[target]]\nname = 'meant'\nurl = 'http://169.254.169.254/'\negress_allow = 'metadata'\n\
             [[target]]\nname = 'off'\nurl = 'http://[fe80::1]/'\nenabled = false\n\
             [[target]]\nname = 'by name'\nurl = 'http://localhost/'\n");
        assert_eq!(told.len(), 1, "{told:?}");
        let part =
            "target `meta`: 169.254.169.254 is denied by metadata (169.254.169.254) in [egress] deny; if that is meant";
        assert!(told[0].starts_with(part), "{told:?}");
    }

    #[test]
    fn a_reader_that_has_gone_is_no_error_and_a_full_disk_is() {
        struct Fails(ErrorKind);
        impl Write for Fails {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(self.0.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        assert_eq!(written("x", Fails(ErrorKind::BrokenPipe)), Ok(()));
        assert!(written("x", Fails(ErrorKind::StorageFull)).unwrap_err().starts_with("the output cannot be written"));
    }
}
