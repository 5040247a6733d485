//! `backup FILE`: everything, in one file that `skypunch restore` brings back.
//!
//! ```text
//!  daemon --lines--> checked --> .FILE.PID.part (mode 0600) --whole?--> FILE
//! ```
//!
//! The file is opened here, with the rights of who calls.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::args::BackupArgs;
use super::exit::{CliError, Exit};
use super::output::{Format, Out};
use crate::control::api::BackupQuery;
use crate::control::client::Client;
use crate::model::backup::{Checker, Summary};
use crate::model::text::escape_controls;

pub(super) async fn run(client: &Client, args: &BackupArgs, out: &mut Out) -> Result<Exit, CliError> {
    let query = BackupQuery { results: args.results };
    if args.file == Path::new("-") {
        let to = io::stdout();
        if to.is_terminal() {
            let why = "a backup holds passwords and is not for a screen: write a file, or a pipe to gpg or age";
            return Err(CliError::input(why));
        }
        fetch(client, &query, BufWriter::with_capacity(1 << 20, to.lock())).await?;
        return Ok(Exit::Done);
    }
    let place = Place::new(&args.file, args.force)?;
    let (file, part) = place.open()?;
    let fetched = tokio::select! {
        fetched = fetch(client, &query, BufWriter::with_capacity(1 << 20, &file)) => fetched?,
        _ = tokio::signal::ctrl_c() => return Err(CliError::Failed("interrupted: nothing was written".into())),
    };
    let bytes = place.keep(&file, part)?;
    match out.format {
        Format::Json => out.json(&json!({
            "file": args.file,
            "bytes": bytes,
            "created_at": fetched.header.created_at,
            "rows": fetched.rows.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
        }))?,
        Format::Table => {
            let text = format!("{} written to {} ({})", fetched.counted(), place.shown, size(bytes));
            out.line(&text)?;
            out.line("It holds passwords in clear: keep it where only you can read it.")?;
        }
    }
    Ok(Exit::Done)
}

/// Writes what comes, and checks that it is whole.
async fn fetch(client: &Client, query: &BackupQuery, mut to: impl Write) -> Result<Summary, CliError> {
    let mut lines = client.backup(query).await?;
    let mut checker = Checker::default();
    let incomplete = |e| CliError::Failed(format!("the backup {e}; nothing was written"));
    while let Some(line) = lines.next().await? {
        checker.take(&line).map_err(incomplete)?;
        to.write_all(&line).map_err(unwritable)?;
    }
    let summary = checker.finish().map_err(incomplete)?;
    to.flush().map_err(unwritable)?;
    Ok(summary)
}

fn unwritable(e: io::Error) -> CliError {
    if e.kind() == io::ErrorKind::BrokenPipe {
        return CliError::Failed("the reader of the backup has gone before its end".into());
    }
    CliError::Failed(format!("the backup cannot be written: {e}; nothing was written"))
}

/// `12.3 MiB`.
fn size(bytes: u64) -> String {
    let tenths = |unit: u64| format!("{}.{}", bytes / unit, bytes % unit * 10 / unit);
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => tenths(1024) + " KiB",
        _ => tenths(1_048_576) + " MiB",
    }
}

/// Where the file is to be.
struct Place<'a> {
    file: &'a Path,
    shown: String,
    force: bool,
}

/// The file as long as it is not whole; goes with its owner.
struct Part(Option<PathBuf>);

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // A file that is gone already is as good.
            let _gone = std::fs::remove_file(path);
        }
    }
}

impl Place<'_> {
    fn new(file: &Path, force: bool) -> Result<Place<'_>, CliError> {
        let shown = escape_controls(&file.display().to_string()).into_owned();
        let place = Place { file, shown, force };
        match std::fs::symlink_metadata(file) {
            Ok(meta) if meta.is_dir() => {
                Err(CliError::input(format!("{} is a folder: write the path of a file", place.shown)))
            }
            Ok(meta) if !meta.is_file() && force => {
                Err(CliError::input(format!("{} is no regular file: write another path", place.shown)))
            }
            Ok(_) if !force => Err(place.exists()),
            _ if file.file_name().is_none() => {
                Err(CliError::input(format!("{} names no file: write the path of one", place.shown)))
            }
            _ => Ok(place),
        }
    }

    fn exists(&self) -> CliError {
        CliError::input(format!("{} exists: write another name, or --force to replace it", self.shown))
    }

    /// A fresh file beside it, for its owner only.
    fn open(&self) -> Result<(File, Part), CliError> {
        let mut name = std::ffi::OsString::from(".");
        name.push(self.file.file_name().unwrap_or_default());
        name.push(format!(".{}.part", std::process::id()));
        let path = self.file.with_file_name(name);
        let file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(|e| self.failed(&e))?;
        Ok((file, Part(Some(path))))
    }

    fn failed(&self, e: &io::Error) -> CliError {
        CliError::input(format!("{} cannot be written: {e}", self.shown))
    }

    /// On the disk, and under its name; its size.
    fn keep(&self, file: &File, mut part: Part) -> Result<u64, CliError> {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        let failed = |e: &io::Error| self.failed(e);
        file.sync_all().map_err(|e| failed(&e))?;
        let bytes = file.metadata().map_err(|e| failed(&e))?.len();
        let Some(path) = part.0.clone() else { return Ok(bytes) };
        if self.force {
            std::fs::rename(&path, self.file).map_err(|e| failed(&e))?;
        } else {
            // Somebody may have made it meanwhile. Where the filesystem cannot rename so, it can make a link.
            match renameat_with(CWD, &path, CWD, self.file, RenameFlags::NOREPLACE) {
                Ok(()) => {}
                Err(rustix::io::Errno::EXIST) => return Err(self.exists()),
                Err(_) => {
                    std::fs::hard_link(&path, self.file).map_err(|e| match e.kind() {
                        io::ErrorKind::AlreadyExists => self.exists(),
                        _ => failed(&e),
                    })?;
                    return Ok(bytes);
                }
            }
        }
        part.0 = None;
        let folder = self.file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if let Ok(folder) = File::open(folder) {
            // Some filesystems cannot do that to a folder; the file itself is on the disk.
            let _unsynced = folder.sync_all();
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_exists_is_replaced_only_by_force() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.backup");
        let write = |force| {
            let place = Place::new(&file, force)?;
            let (part_file, part) = place.open()?;
            (&part_file).write_all(b"new").unwrap();
            place.keep(&part_file, part)
        };
        assert_eq!(write(false).unwrap(), 3);
        std::fs::write(&file, "old").unwrap();
        assert_eq!(write(false).unwrap_err().exit(), Exit::Input);
        assert_eq!(std::fs::read(&file).unwrap(), b"old");
        write(true).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"new");
        // Made by somebody else in the meantime.
        std::fs::remove_file(&file).unwrap();
        let place = Place::new(&file, false).unwrap();
        let (part_file, part) = place.open().unwrap();
        std::fs::write(&file, "theirs").unwrap();
        assert!(place.keep(&part_file, part).unwrap_err().render().contains("exists"));
        assert_eq!(std::fs::read(&file).unwrap(), b"theirs");
        let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!([size(7), size(1536), size(3 << 20)], ["7 bytes", "1.5 KiB", "3.0 MiB"]);
    }
}
