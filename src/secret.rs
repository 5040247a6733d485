//! Secret values: they can be used, compared and stored, but never shown.
//!
//! A secret is written in clear or by reference: `${env:NAME}`, `${file:/path}`, `${cred:NAME}` (the service
//! manager's credentials folder). References resolve only from where the settings allow, else anyone who may
//! write a target could read any file that the daemon can read.

use std::fmt;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::shown::clean;

/// So many characters of a path or a name are shown.
const MAX_SHOWN: usize = 300;
/// A longer file than this is no secret.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// A secret as a person wrote it: in clear, or a reference. `Debug` and `Display` show `***`.
///
/// Serialising writes the real text (the store and the spool need it); what leaves the process towards a person
/// is built from types that do not hold a `Secret`.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Secret {
        Secret(value.into())
    }

    /// The text itself: only for sending, storing and parsing.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The reference, as `file:/path` or `cred:NAME`, where resolving it reads a file and so may take its time.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        let reference = self.reference()?;
        (reference.starts_with("file:") || reference.starts_with("cred:")).then_some(reference)
    }

    fn reference(&self) -> Option<&str> {
        self.0.strip_prefix("${")?.strip_suffix('}')
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// From where references may be resolved (`[secrets]` in the settings).
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct SecretPolicy {
    /// Folders whose files may be read; links that lead out of them are refused.
    pub folders: Vec<PathBuf>,
    /// Names of environment variables that may be read.
    pub environment: Vec<String>,
    /// The service manager's credentials folder, where there is one.
    pub credentials: Option<PathBuf>,
}

/// Why a reference did not resolve. The text names the reference, never a value.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Not one of the known forms.
    #[error("`{0}` is no reference: write ${{env:NAME}}, ${{file:/path}} or ${{cred:NAME}}")]
    Form(String),
    /// Not on the list of the settings.
    #[error("{0} is not allowed: add it to {1} in the settings")]
    NotAllowed(String, &'static str),
    /// Not there.
    #[error("{0} is not set")]
    Missing(String),
    /// The service manager has handed over no such credential.
    #[error(
        "systemd has handed over no credential {0}: add LoadCredential={0}:/path to the unit (systemctl edit skypunch)"
    )]
    Credential(String),
    /// Not readable.
    #[error("{0} cannot be read")]
    Unreadable(String, #[source] std::io::Error),
    /// Not text or too long.
    #[error("{0} is not UTF-8 text of at most 64 KiB")]
    NotText(String),
}

/// What is wrong with the URL of a database that seems to hold the rest of a password behind the host, as
/// `mysql://me:12/3?x@db/sky` does: nothing of that may be shown.
#[must_use]
pub fn rest_of_password(url: &url::Url) -> Option<&'static str> {
    url[url::Position::BeforePath..].contains(['@', '#']).then_some(
        "has an `@` or `#` after the host: in a password, write @ as %40, / as %2F, ? as %3F, # as %23 and % as %25",
    )
}

impl SecretPolicy {
    /// The value of `secret`: itself, or what its reference points to (without a final line break).
    ///
    /// Where [`Secret::file`] names a file, this waits for the file's disk: not for an arbiter's thread.
    ///
    /// # Errors
    /// When a reference is malformed, not allowed, missing or unreadable.
    pub fn resolve(&self, secret: &Secret) -> Result<Secret, SecretError> {
        let text = secret.expose();
        let Some(reference) = secret.reference() else {
            return Ok(secret.clone());
        };
        match reference.split_once(':') {
            Some(("env", name)) => {
                let variable = || format!("environment variable {}", clean(name, MAX_SHOWN));
                if !self.environment.iter().any(|n| n == name) {
                    return Err(SecretError::NotAllowed(variable(), "secrets.environment"));
                }
                std::env::var(name).map(Secret).map_err(|_| SecretError::Missing(variable()))
            }
            Some(("file", path)) => self.read_file(Path::new(path), &self.folders, "secrets.folders"),
            Some(("cred", name)) => match &self.credentials {
                None => Err(SecretError::Credential(clean(name, MAX_SHOWN))),
                Some(dir) => {
                    let read = self.read_file(&dir.join(name), std::slice::from_ref(dir), "LoadCredential");
                    read.map_err(|e| match e {
                        SecretError::Unreadable(_, why) if why.kind() == io::ErrorKind::NotFound => {
                            SecretError::Credential(clean(name, MAX_SHOWN))
                        }
                        other => other,
                    })
                }
            },
            _ => Err(SecretError::Form(clean(text, 60))),
        }
    }

    fn read_file(&self, path: &Path, folders: &[PathBuf], key: &'static str) -> Result<Secret, SecretError> {
        let shown = || format!("file {}", clean(&path.display().to_string(), MAX_SHOWN));
        if path.components().any(|c| c == Component::ParentDir) {
            return Err(SecretError::NotAllowed(shown(), key));
        }
        let unreadable = |e| SecretError::Unreadable(shown(), e);
        // What counts is where the file that is read really is: no link inside an allowed folder leads out of it, also not
        // one that is put there at this very moment.
        if !folders.iter().any(|f| path.starts_with(f)) {
            return Err(SecretError::NotAllowed(shown(), key));
        }
        let found = FoundFile::at(path).map_err(unreadable)?;
        if !found.is_below(folders) {
            return Err(SecretError::NotAllowed(shown(), key));
        }
        let bytes = found.read(MAX_SECRET_BYTES).map_err(|e| match e.kind() {
            io::ErrorKind::FileTooLarge => SecretError::NotText(shown()),
            _ => unreadable(e),
        })?;
        let text = String::from_utf8(bytes).map_err(|_| SecretError::NotText(shown()))?;
        let value = text.strip_suffix('\n').unwrap_or(&text);
        Ok(Secret::new(value.strip_suffix('\r').unwrap_or(value)))
    }
}

/// A regular file, found but not opened for reading yet: where it really is, is known before, and stays so.
#[derive(Debug)]
pub struct FoundFile {
    handle: std::fs::File,
    /// What is known of it.
    pub meta: std::fs::Metadata,
    /// Its path without any link.
    pub real: PathBuf,
}

impl FoundFile {
    /// Follows links.
    ///
    /// # Errors
    /// When it is not there, or not regular.
    pub fn at(path: &Path) -> io::Result<FoundFile> {
        use rustix::fs::{Mode, OFlags};
        // Names the file without opening it: neither a FIFO nor a device notices.
        let handle = std::fs::File::from(rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?);
        let meta = handle.metadata()?;
        regular(&meta)?;
        let real = std::fs::read_link(by_handle(&handle))?;
        Ok(FoundFile { handle, meta, real })
    }

    /// Whether it lies in one of these folders, or below.
    #[must_use]
    pub fn is_below(&self, folders: &[PathBuf]) -> bool {
        folders.iter().filter_map(|f| f.canonicalize().ok()).any(|f| self.real.starts_with(f))
    }

    /// Whether everybody on this machine may read it: then nobody gains by having it read by us.
    #[must_use]
    pub fn is_public(&self) -> bool {
        use std::os::unix::fs::PermissionsExt;
        let may = |meta: &std::fs::Metadata, bit| meta.permissions().mode() & bit != 0;
        let mut folders = self.real.ancestors().skip(1);
        may(&self.meta, 0o004) && folders.all(|dir| std::fs::metadata(dir).is_ok_and(|meta| may(&meta, 0o001)))
    }

    /// Its content, of at most `most` bytes.
    ///
    /// # Errors
    /// When it is too large ([`io::ErrorKind::FileTooLarge`]) or not readable.
    pub fn read(&self, most: u64) -> io::Result<Vec<u8>> {
        read_bounded(std::fs::File::open(by_handle(&self.handle))?, most)
    }
}

fn by_handle(handle: &std::fs::File) -> PathBuf {
    format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(handle)).into()
}

fn regular(meta: &std::fs::Metadata) -> io::Result<()> {
    match meta.is_file() {
        true => Ok(()),
        false if meta.is_dir() => Err(io::Error::other("it is a directory, not a file")),
        false => Err(io::Error::other("it is not a regular file")),
    }
}

fn read_bounded(file: std::fs::File, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match file.take(most + 1).read_to_end(&mut bytes)? {
        n if n as u64 > most => {
            Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {} KiB", most / 1024)))
        }
        _ => Ok(bytes),
    }
}

/// Reads a regular file of at most `most` bytes, and what is known of it. Whatever else stands at the path (a folder, a
/// device without end, a FIFO that nobody writes to) is refused and not waited for; a filesystem that hangs is.
///
/// # Errors
/// When it is not there, not regular, too large ([`io::ErrorKind::FileTooLarge`]) or not readable.
pub fn read_regular(path: &Path, most: u64) -> io::Result<(Vec<u8>, std::fs::Metadata)> {
    use rustix::fs::OFlags;
    regular(&std::fs::metadata(path)?)?; // opening a device may already do something
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let meta = file.metadata()?;
    regular(&meta)?;
    Ok((read_bounded(file, most)?, meta))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_shown() {
        let s = Secret::new("hunter2");
        assert_eq!(format!("{s} {s:?}"), "*** ***");
    }

    #[test]
    fn files_resolve_only_from_allowed_folders_and_never_through_links_out() {
        let dir = tempfile::tempdir().unwrap();
        let allowed = dir.path().join("in");
        std::fs::create_dir(&allowed).unwrap();
        std::fs::write(allowed.join("token"), "t0ken\n").unwrap();
        std::fs::write(dir.path().join("outside"), "no").unwrap();
        std::os::unix::fs::symlink(dir.path().join("outside"), allowed.join("link")).unwrap();
        let policy = SecretPolicy { folders: vec![allowed.clone()], ..SecretPolicy::default() };
        let get = |p: &str| policy.resolve(&Secret::new(format!("${{file:{}/{p}}}", allowed.display())));
        assert_eq!(get("token").unwrap().expose(), "t0ken");
        assert!(matches!(get("link"), Err(SecretError::NotAllowed(..))));
        assert!(matches!(get("../outside"), Err(SecretError::NotAllowed(..))));
        assert!(matches!(get("missing"), Err(SecretError::Unreadable(..))));
    }

    #[test]
    fn a_link_that_is_exchanged_meanwhile_leads_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        let allowed = dir.path().join("in");
        std::fs::create_dir(&allowed).unwrap();
        std::fs::write(allowed.join("token"), "inside").unwrap();
        std::fs::write(dir.path().join("outside"), "outside").unwrap();
        let policy = SecretPolicy { folders: vec![allowed.clone()], ..SecretPolicy::default() };
        let link = allowed.join("link");
        std::os::unix::fs::symlink(allowed.join("token"), &link).unwrap();
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let next = allowed.join("next");
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    for to in [dir.path().join("outside"), allowed.join("token")] {
                        std::os::unix::fs::symlink(to, &next).unwrap();
                        std::fs::rename(&next, &link).unwrap();
                    }
                }
            });
            let secret = Secret::new(format!("${{file:{}}}", link.display()));
            let (mut read, mut refused) = (0, 0);
            for _ in 0..20_000 {
                match policy.resolve(&secret) {
                    Ok(value) => {
                        assert_eq!(value.expose(), "inside");
                        read += 1;
                    }
                    Err(SecretError::NotAllowed(..)) => refused += 1,
                    Err(e) => panic!("{e}"),
                }
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(read > 0 && refused > 0, "it was exchanged while it was read: {read}, {refused}");
        });
    }

    #[test]
    fn public_is_what_everybody_may_read_where_it_really_is() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let set = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        let (closed, file) = (dir.path().join("closed"), dir.path().join("closed/ca.pem"));
        std::fs::create_dir(&closed).unwrap();
        std::fs::write(&file, "x").unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let public = |path: &Path| FoundFile::at(path).unwrap().is_public();
        for (folder, mode, whether) in [(0o755, 0o644, true), (0o750, 0o644, false), (0o755, 0o640, false)] {
            set(dir.path(), 0o755);
            set(&closed, folder);
            set(&file, mode);
            assert_eq!((public(&file), public(&link)), (whether, whether), "{folder:o} {mode:o}");
        }
        assert!(FoundFile::at(&file).unwrap().is_below(&[closed]));
    }

    #[test]
    fn credentials_come_from_the_service_managers_folder_alone() {
        let dir = tempfile::tempdir().unwrap();
        let given = dir.path().join("given");
        std::fs::create_dir(&given).unwrap();
        std::fs::write(given.join("db"), "s3cret\n").unwrap();
        std::fs::write(dir.path().join("other"), "no").unwrap();
        let policy = SecretPolicy { credentials: Some(given), ..SecretPolicy::default() };
        let get = |name: &str| policy.resolve(&Secret::new(format!("${{cred:{name}}}")));
        assert_eq!(get("db").unwrap().expose(), "s3cret");
        assert!(get("none").unwrap_err().to_string().contains("add LoadCredential=none:/path to the unit"));
        assert!(matches!(get("../other"), Err(SecretError::NotAllowed(..))));
        let outside = format!("{}/other", dir.path().display());
        assert!(matches!(get(&outside), Err(SecretError::NotAllowed(..))));
        let no_service = SecretPolicy::default().resolve(&Secret::new("${cred:db}"));
        assert!(matches!(no_service, Err(SecretError::Credential(_))));
    }

    #[test]
    fn only_regular_files_of_a_bounded_size_are_read_and_nothing_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let policy = SecretPolicy { folders: vec![dir.path().to_owned()], ..SecretPolicy::default() };
        let said = |name: &str| {
            let secret = Secret::new(format!("${{file:{}/{name}}}", dir.path().display()));
            assert!(secret.file().is_some());
            let e = policy.resolve(&secret).unwrap_err();
            format!("{e}: {}", std::error::Error::source(&e).map_or(String::new(), ToString::to_string))
        };
        let fifo = std::process::Command::new("mkfifo").arg(dir.path().join("fifo")).status().unwrap();
        assert!(fifo.success());
        std::fs::create_dir(dir.path().join("folder")).unwrap();
        std::fs::write(dir.path().join("large"), vec![b'a'; 64 * 1024 + 1]).unwrap();
        std::fs::write(dir.path().join("binary"), [0xff]).unwrap();
        assert!(said("fifo").contains("not a regular file"), "{}", said("fifo"));
        assert!(said("folder").contains("directory"), "{}", said("folder"));
        assert!(said("large").contains("64 KiB") && said("binary").contains("UTF-8"));
        let zero = read_regular(Path::new("/dev/zero"), 10).unwrap_err();
        assert_eq!(zero.to_string(), "it is not a regular file");
        assert_eq!(Secret::new("clear").file().or(Secret::new("${env:PATH}").file()), None);
    }

    #[test]
    fn environment_needs_to_be_listed() {
        let policy = SecretPolicy { environment: vec!["PATH".into()], ..SecretPolicy::default() };
        assert!(policy.resolve(&Secret::new("${env:PATH}")).is_ok());
        assert!(matches!(policy.resolve(&Secret::new("${env:HOME}")), Err(SecretError::NotAllowed(..))));
        assert!(matches!(policy.resolve(&Secret::new("${what}")), Err(SecretError::Form(_))));
    }
}
