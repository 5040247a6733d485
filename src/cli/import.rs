//! `import`: the configuration of another monitor as a targets file, on standard output.
//!
//! What becomes of what is decided in [`crate::import`]; here files are read, within bounds. Nothing is changed: a
//! database of Uptime Kuma is opened read-only.

mod kuma_db;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::args::{ImportArgs, ImportSource};
use super::exit::{CliError, Exit};
use super::output::Out;
use crate::import::draft::Found;
use crate::import::modules::Module;
use crate::import::tree::{self, MAX_BYTES};
use crate::import::{gatus, kuma, modules, prometheus};
use crate::model::text::escape_controls;
use crate::secret::read_regular;

/// Files that one pattern of `file_sd_configs` may mean.
const MAX_FILES: usize = 10_000;

pub(super) fn run(args: &ImportArgs, out: &mut Out) -> Result<Exit, CliError> {
    let found = match args.from {
        _ if !args.modules.is_empty() && matches!(args.from, ImportSource::Gatus | ImportSource::UptimeKuma) => {
            return Err(CliError::input("--modules is for --from blackbox and --from prometheus-file-sd"));
        }
        ImportSource::Gatus => {
            let names: Vec<String> = args.files.iter().map(|f| shown(f)).collect();
            gatus::map(all(&args.files)?).map_err(|why| CliError::input(format!("{} {why}", names.join(", "))))?
        }
        ImportSource::UptimeKuma => uptime_kuma(args)?,
        ImportSource::Blackbox => blackbox(args)?,
        ImportSource::PrometheusFileSd => file_sd(args)?,
    };
    if found.targets.is_empty() && found.notifiers.is_empty() && found.left.is_empty() {
        let names: Vec<String> = args.files.iter().map(|f| shown(f)).collect();
        return Err(CliError::input(format!("there is nothing to import in {}", names.join(", "))));
    }
    let names: Vec<String> = args.files.iter().map(|f| shown(f)).collect();
    out.text(&found.write(&names.join(", ")))?;
    Ok(Exit::Done)
}

fn uptime_kuma(args: &ImportArgs) -> Result<Found, CliError> {
    let mut found = Found::default();
    for file in &args.files {
        let source = if kuma_db::is_database(file) { kuma_db::read(file)?.into_backup() } else { value(file)? };
        let more = kuma::map(source).map_err(|why| CliError::input(format!("{}: {why}", shown(file))))?;
        found.targets.extend(more.targets);
        found.notifiers.extend(more.notifiers);
        found.left.extend(more.left);
        found.notes.extend(more.notes);
    }
    Ok(found)
}

fn blackbox(args: &ImportArgs) -> Result<Found, CliError> {
    if args.modules.is_empty() {
        return Err(CliError::input(
            "the targets are in Prometheus' configuration, and what is sent and expected in the modules file of \
             blackbox_exporter: write --from blackbox --modules blackbox.yml prometheus.yml",
        ));
    }
    let mut found = Found::default();
    let known = read_modules(args, &mut found)?;
    for file in &args.files {
        let folder = file.parent().unwrap_or(Path::new("."));
        let mut read = |pattern: &str| matching(folder, pattern);
        prometheus::map_config(value(file)?, &known, &mut read, &mut found)
            .map_err(|why| CliError::input(format!("{} {why}", shown(file))))?;
    }
    Ok(found)
}

fn file_sd(args: &ImportArgs) -> Result<Found, CliError> {
    let mut found = Found::default();
    let known = read_modules(args, &mut found)?;
    if let Some(name) = args.module.as_deref().filter(|name| !known.contains_key(*name)) {
        let names: Vec<&str> = known.keys().map(String::as_str).collect();
        return Err(CliError::input(format!(
            "there is no module {name} in these files: they have {}",
            names.join(", ")
        )));
    }
    for file in &args.files {
        prometheus::map_file_sd(value(file)?, args.module.as_deref(), &known, &mut found)
            .map_err(|why| CliError::input(format!("{} {why}", shown(file))))?;
    }
    Ok(found)
}

fn read_modules(args: &ImportArgs, found: &mut Found) -> Result<BTreeMap<String, Module>, CliError> {
    let mut known = BTreeMap::new();
    for file in &args.modules {
        modules::read(value(file)?, &mut known, &mut found.notes)
            .map_err(|why| CliError::input(format!("{} {why}", shown(file))))?;
    }
    Ok(known)
}

fn all(files: &[std::path::PathBuf]) -> Result<Vec<Value>, CliError> {
    files.iter().map(|f| value(f)).collect()
}

/// A file as a tree.
fn value(file: &Path) -> Result<Value, CliError> {
    let shown = shown(file);
    let (bytes, _) =
        read_regular(file, MAX_BYTES).map_err(|e| CliError::input(format!("{shown} cannot be read: {e}")))?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let line = e.as_bytes()[..at].iter().filter(|b| **b == b'\n').count() + 1;
        CliError::input(format!("{shown}: line {line} is not UTF-8 text: save the file as UTF-8"))
    })?;
    tree::read(text.trim_start_matches('\u{feff}'), &shown).map_err(CliError::input)
}

/// The files that a pattern of `file_sd_configs` means: as in Prometheus, `*` in the last part only.
fn matching(folder: &Path, pattern: &str) -> Result<Vec<(String, Value)>, String> {
    let path = folder.join(pattern);
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    if !name.contains('*') {
        return value(&path).map(|v| vec![(shown(&path), v)]).map_err(|e| e.to_string());
    }
    let dir = path.parent().unwrap_or(Path::new("."));
    let entries = fs::read_dir(dir).map_err(|e| format!("{} cannot be read: {e}", shown(dir)))?;
    let mut paths: Vec<_> = entries
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| p.file_name().is_some_and(|n| fits(&name, &n.to_string_lossy())))
        .take(MAX_FILES + 1)
        .collect();
    if paths.len() > MAX_FILES {
        return Err(format!("{} means more than {MAX_FILES} files", shown(&path)));
    }
    paths.sort();
    paths.iter().map(|p| value(p).map(|v| (shown(p), v)).map_err(|e| e.to_string())).collect()
}

/// Whether a name fits a pattern in which `*` means any characters.
fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

fn shown(file: &Path) -> String {
    escape_controls(&file.display().to_string()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_files() {
        for (pattern, name, fit) in [
            ("*.json", "a.json", true),
            ("*.json", "a.yml", false),
            ("a*b*.yml", "axbx.yml", true),
            ("a*b*.yml", "ax.yml", false),
            ("*", "x", true),
            ("a.yml", "a.yml", true),
            ("a*a", "a", false),
        ] {
            assert_eq!(fits(pattern, name), fit, "{pattern} {name}");
        }
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.json", "a.json", "c.txt"] {
            std::fs::write(dir.path().join(name), "[]").unwrap();
        }
        assert_eq!(matching(dir.path(), "*.json").unwrap().len(), 2);
        assert!(matching(dir.path(), "none.json").unwrap_err().contains("cannot be read"));
        assert!(matching(dir.path(), "x/*.json").unwrap_err().contains("cannot be read"));
    }
}
