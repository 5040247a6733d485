//! Where things are by default: in the system's folders for root, in those that the service manager made for a service,
//! in the user's own (XDG) for anybody else.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Default files and folders of whoever runs the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefaultPlaces {
    /// The settings file that is read when no other is named.
    pub config_file: Option<PathBuf>,
    /// The state folder.
    pub state_dir: Option<PathBuf>,
    /// The control socket. It depends on the user alone, not on `state.dir`, so that `skypunchctl` finds it without
    /// reading the daemon's settings.
    pub socket: Option<PathBuf>,
    /// The service manager's credentials folder (`$CREDENTIALS_DIRECTORY`).
    pub credentials: Option<PathBuf>,
    /// Standard error leads into systemd's journal (`$JOURNAL_STREAM`).
    pub journal: bool,
}

impl DefaultPlaces {
    /// The places of root or of an ordinary user with that environment.
    #[must_use]
    pub fn new(root: bool, env: &BTreeMap<String, String>) -> DefaultPlaces {
        // XDG Base Directory Specification: a relative path in these variables is to be ignored.
        let folder = |name: &str| env.get(name).map(PathBuf::from).filter(|p| p.is_absolute());
        let credentials = folder("CREDENTIALS_DIRECTORY");
        let journal = env.get("JOURNAL_STREAM").is_some_and(|stream| is_stderr(stream));
        if root {
            return DefaultPlaces {
                config_file: Some("/etc/skypunch/skypunch.toml".into()),
                state_dir: Some("/var/lib/skypunch".into()),
                socket: Some("/run/skypunch/control.sock".into()),
                credentials,
                journal,
            };
        }
        let home = folder("HOME");
        let below_home = |name: &str, rest: &str| folder(name).or_else(|| home.as_ref().map(|h| h.join(rest)));
        let state_dir = below_home("XDG_STATE_HOME", ".local/state").map(|p| p.join("skypunch"));
        let runtime = folder("XDG_RUNTIME_DIR").map(|p| p.join("skypunch"));
        let config = below_home("XDG_CONFIG_HOME", ".config").map(|p| p.join("skypunch"));
        // StateDirectory=skypunch and so on. Other services have such variables too, for folders of theirs.
        let made = |name: &str| folder(name).filter(|p| p.iter().any(|part| part == "skypunch"));
        let state_dir = made("STATE_DIRECTORY").or(state_dir);
        let runtime = made("RUNTIME_DIRECTORY").or(runtime);
        DefaultPlaces {
            config_file: made("CONFIGURATION_DIRECTORY").or(config).map(|p| p.join("skypunch.toml")),
            socket: runtime.or_else(|| state_dir.as_ref().map(|p| p.join("run"))).map(|p| p.join("control.sock")),
            state_dir,
            credentials,
            journal,
        }
    }
}

/// Whether `device:inode` is standard error: a program that was started elsewhere inherits the variable, but not that.
fn is_stderr(stream: &str) -> bool {
    rustix::fs::fstat(std::io::stderr()).is_ok_and(|stat| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(vars: &[(&str, &str)]) -> DefaultPlaces {
        DefaultPlaces::new(false, &vars.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn root_uses_the_folders_of_the_system() {
        let place = DefaultPlaces::new(true, &BTreeMap::from([("HOME".into(), "/root".into())]));
        assert_eq!(place.state_dir, Some("/var/lib/skypunch".into()));
        assert_eq!(place.socket, Some("/run/skypunch/control.sock".into()));
    }

    #[test]
    fn a_service_has_the_folders_that_were_made_for_it() {
        let vars = [
            ("HOME", "/var/lib/skypunch"),
            ("STATE_DIRECTORY", "/var/lib/skypunch"),
            ("RUNTIME_DIRECTORY", "/run/skypunch"),
            ("CONFIGURATION_DIRECTORY", "/etc/skypunch"),
        ];
        let place = user(&vars);
        let root = DefaultPlaces::new(true, &BTreeMap::new());
        assert_eq!(place, root, "the same as for root, so that root's skypunchctl finds it");
        let another = user(&[("HOME", "/home/a"), ("RUNTIME_DIRECTORY", "/run/other"), ("STATE_DIRECTORY", "/a:/b")]);
        assert_eq!(another, user(&[("HOME", "/home/a")]), "folders of another service");
    }

    #[test]
    fn the_journal_is_known_by_device_and_inode() {
        let stat = rustix::fs::fstat(std::io::stderr()).unwrap();
        let here = format!("{}:{}", stat.st_dev, stat.st_ino);
        assert!(user(&[("JOURNAL_STREAM", &here)]).journal);
        assert!(!user(&[("JOURNAL_STREAM", "8:1")]).journal && !user(&[]).journal);
    }

    #[test]
    fn a_user_has_the_folders_of_xdg_with_their_defaults() {
        let place = user(&[("HOME", "/home/a"), ("XDG_RUNTIME_DIR", "/run/user/7")]);
        assert_eq!(place.config_file, Some("/home/a/.config/skypunch/skypunch.toml".into()));
        assert_eq!(place.state_dir, Some("/home/a/.local/state/skypunch".into()));
        assert_eq!(place.socket, Some("/run/user/7/skypunch/control.sock".into()));
        let place = user(&[("HOME", "/home/a"), ("XDG_STATE_HOME", "/s"), ("XDG_RUNTIME_DIR", "relative")]);
        assert_eq!(place.state_dir, Some("/s/skypunch".into()));
        assert_eq!(place.socket, Some("/s/skypunch/run/control.sock".into()));
        assert_eq!(user(&[]).state_dir, None);
    }
}
