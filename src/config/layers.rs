//! The layers of settings, laid over each other: file < environment < command line.
//!
//! ```text
//!  file text --toml--> tables, lines ---.   unknown keys leave here,
//!  SKYPUNCH__A__B -----------------------+-- each with its place --> config::Config --> Reader --> sections
//!  flags (a.b, value) ------------------'
//! ```

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use config::ValueKind;
use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::KEYS;
use super::problem::{Place, SettingProblem, SettingsError};
use super::values::Given;
use crate::model::text::{escape_controls, nearest};

/// What an environment variable of ours begins with.
const PREFIX: &str = "SKYPUNCH__";

/// All sources put together, and every problem found so far.
pub(super) struct Reader {
    values: Map<String, Value>,
    places: BTreeMap<String, Place>,
    problems: Vec<SettingProblem>,
}

impl Reader {
    /// Lays the sources over each other. `file` is the name and the text of the settings file, if there is one.
    pub(super) fn new(
        file: Option<(&Path, &str)>,
        overrides: &[(String, String)],
        env: &BTreeMap<String, String>,
    ) -> Result<Reader, SettingsError> {
        let mut reader = Reader { values: Map::new(), places: BTreeMap::new(), problems: Vec::new() };
        let mut builder = config::Config::builder();
        if let Some((path, text)) = file {
            let known = reader.read_file(path, text)?;
            builder = builder.add_source(FileLayer(known));
        }
        let environment = config::Environment::with_prefix("SKYPUNCH")
            .prefix_separator("__")
            .separator("__")
            .ignore_empty(true)
            .source(Some(reader.known_variables(env)));
        builder = builder.add_source(environment);
        for (key, value) in overrides {
            if known(key) {
                reader.places.insert(key.clone(), Place::Flag);
                builder = builder.set_override(key, value.as_str()).map_err(SettingsError::Layers)?;
            } else {
                reader.unknown(key, Place::Flag);
            }
        }
        let merged = builder.build().map_err(SettingsError::Layers)?;
        reader.values = merged.try_deserialize().map_err(SettingsError::Layers)?;
        Ok(reader)
    }

    /// The known keys of the file; the others become problems.
    fn read_file(&mut self, path: &Path, text: &str) -> Result<config::Map<String, config::Value>, SettingsError> {
        let breaks: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
        let line_of = |at: usize| breaks.partition_point(|b| *b < at) + 1;
        let syntax = |e: &toml::de::Error| {
            let at = e.span().map_or(0, |s| s.start);
            let line_start = text.get(..at).unwrap_or_default().rfind('\n').map_or(0, |i| i + 1);
            let message = escape_controls(e.message().lines().next().unwrap_or_default()).into_owned();
            SettingsError::Syntax {
                path: path.to_owned(),
                line: line_of(at),
                column: text.get(line_start..at).unwrap_or_default().chars().count() + 1,
                message,
            }
        };
        let lines = DeTable::parse(text).map_err(|e| syntax(&e))?;
        let table: toml::Table = toml::from_str(text).map_err(|e| syntax(&e))?;
        let place = |at: usize| Place::File { path: path.to_owned(), line: line_of(at) };
        let mut sections = config::Map::new();
        for (section, spanned) in lines.get_ref() {
            let name: &str = section.get_ref();
            let here = place(section.span().start);
            let DeValue::Table(keys) = spanned.get_ref() else {
                self.outside_section(name, here);
                continue;
            };
            if !KEYS.iter().any(|k| section_of(k) == name) {
                self.unknown(name, here);
                continue;
            }
            let kept = self.known_keys(name, keys, &place);
            let values = table.get(name).and_then(toml::Value::as_table);
            let values = values.into_iter().flatten().filter(|(k, _)| kept.contains(k));
            let values = values.map(|(k, v)| (k.clone(), plain(v)));
            sections.insert(name.to_owned(), config::Value::new(None, ValueKind::Table(values.collect())));
        }
        Ok(sections)
    }

    fn known_keys(&mut self, section: &str, keys: &DeTable<'_>, place: &dyn Fn(usize) -> Place) -> Vec<String> {
        let mut kept = Vec::new();
        for (key, value) in keys {
            let full = format!("{section}.{}", key.get_ref());
            let here = place(Spanned::span(key).start);
            if known(&full) && matches!(value.get_ref(), DeValue::Table(_)) {
                // Left in, an empty one would vanish between the layers.
                self.push(&full, here, "a table is not a value: write `key = value` for it");
            } else if known(&full) {
                kept.push(key.get_ref().clone().into_owned());
                self.places.insert(full, here);
            } else {
                self.unknown(&full, here);
            }
        }
        kept
    }

    /// The variables that name a known key, for the layer of the environment.
    fn known_variables(&mut self, env: &BTreeMap<String, String>) -> HashMap<String, String> {
        let mut layer = HashMap::new();
        for (name, value) in env {
            // The single underscore belongs to others (SKYPUNCH_TEST_…); the prefix is ours only with two.
            let Some(rest) = name.strip_prefix(PREFIX) else { continue };
            let key = rest.to_lowercase().replace("__", ".");
            let place = Place::Environment(escape_controls(name).into_owned());
            if !known(&key) {
                self.unknown_variable(&key, place);
            } else if !value.is_empty() {
                self.places.insert(key, place);
                layer.insert(name.clone(), value.clone());
            }
        }
        layer
    }

    fn outside_section(&mut self, name: &str, place: Place) {
        let is_section = KEYS.iter().any(|k| section_of(k) == name);
        let owner = KEYS.iter().find(|k| key_of(k) == name);
        let message = match owner {
            _ if is_section => format!("this is a section: write [{name}] and its keys below"),
            Some(key) => format!("stands outside its section: write it below [{}]", section_of(key)),
            None => unknown_message(name),
        };
        self.push(&escape_controls(name), place, message);
    }

    fn unknown(&mut self, key: &str, place: Place) {
        self.push(&escape_controls(key), place, unknown_message(key));
    }

    fn unknown_variable(&mut self, key: &str, place: Place) {
        let hint = match nearest_key(key) {
            Some(k) => format!("did you mean {PREFIX}{}?", k.replace('.', "__").to_uppercase()),
            None => format!("write {PREFIX}SECTION__KEY, for example {PREFIX}DATABASE__URL"),
        };
        self.push(&escape_controls(key), place, format!("there is no such key; {hint}"));
    }

    /// Notes a problem with `key`.
    pub(super) fn push(&mut self, key: &str, place: Place, message: impl Into<String>) {
        self.problems.push(SettingProblem { key: key.to_owned(), place, message: message.into() });
    }

    /// Notes a problem with the value of `key`, wherever it was written.
    pub(super) fn wrong(&mut self, key: &str, message: impl Into<String>) {
        let place = self.places.get(key).cloned().unwrap_or(Place::Nowhere);
        self.push(key, place, message);
    }

    /// Whether `key` is written anywhere.
    pub(super) fn is_given(&self, key: &str) -> bool {
        self.places.contains_key(key)
    }

    /// The value of `key`, if it is written and right.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(Given<'_>) -> Result<T, String>,
    ) -> Option<T> {
        debug_assert!(known(key), "{key} is not in KEYS");
        let value = self.values.get(section_of(key))?.get(key_of(key))?;
        let text_only = !matches!(self.places.get(key), Some(Place::File { .. }));
        match parse(Given { value, text_only }) {
            Ok(value) => Some(value),
            Err(message) => {
                self.wrong(key, message);
                None
            }
        }
    }

    /// The value of `key`, or `default`.
    pub(super) fn get<T>(
        &mut self,
        key: &'static str,
        default: T,
        parse: impl FnOnce(Given<'_>) -> Result<T, String>,
    ) -> T {
        self.optional(key, parse).unwrap_or(default)
    }

    /// A path that has a default only where the surroundings give one.
    pub(super) fn path(&mut self, key: &'static str, default: Option<PathBuf>) -> PathBuf {
        match (self.optional(key, super::values::path), default) {
            (Some(path), _) | (None, Some(path)) => path,
            (None, None) => {
                if !self.is_given(key) {
                    self.wrong(key, "has no default here, since neither HOME nor an XDG folder is set: write a path");
                }
                PathBuf::new()
            }
        }
    }

    /// `settings` if nothing was wrong, else all that was.
    pub(super) fn finish<T>(self, settings: T) -> Result<T, SettingsError> {
        if self.problems.is_empty() { Ok(settings) } else { Err(SettingsError::Problems(self.problems)) }
    }
}

/// The known keys of the file by section, as a layer. (`Config::try_from` is no way to make one: it takes lists apart,
/// and drops what is empty in them.)
#[derive(Debug, Clone)]
struct FileLayer(config::Map<String, config::Value>);

impl config::Source for FileLayer {
    fn clone_into_box(&self) -> Box<dyn config::Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<config::Map<String, config::Value>, config::ConfigError> {
        Ok(self.0.clone())
    }
}

/// A value for the layer. No key takes a table or a time, so these keep what the message about them needs.
fn plain(value: &toml::Value) -> config::Value {
    let kind = match value {
        toml::Value::String(s) => ValueKind::String(s.clone()),
        toml::Value::Integer(n) => ValueKind::I64(*n),
        toml::Value::Float(n) if n.is_finite() => ValueKind::Float(*n),
        toml::Value::Float(n) => ValueKind::String(n.to_string()),
        toml::Value::Boolean(b) => ValueKind::Boolean(*b),
        toml::Value::Datetime(time) => ValueKind::String(time.to_string()),
        toml::Value::Array(items) => ValueKind::Array(items.iter().map(plain).collect()),
        toml::Value::Table(_) => ValueKind::Table(config::Map::new()),
    };
    config::Value::new(None, kind)
}

fn section_of(key: &str) -> &str {
    key.split_once('.').map_or(key, |(section, _)| section)
}

fn key_of(key: &str) -> &str {
    key.split_once('.').map_or("", |(_, key)| key)
}

fn known(key: &str) -> bool {
    KEYS.contains(&key)
}

/// The known key that was probably meant: a near miss within its section, the same word in another one, or a near
/// miss of the whole.
fn nearest_key(key: &str) -> Option<&'static str> {
    let (section, word) = (section_of(key), key_of(key));
    let in_section = || KEYS.iter().copied().filter(|k| section_of(k) == section);
    let near = nearest(word, in_section().map(key_of)).and_then(|w| in_section().find(|k| key_of(k) == w));
    let same_word = || KEYS.iter().copied().find(|k| key_of(k) == word);
    let whole = || nearest(key, KEYS.iter().copied()).filter(|_| in_section().next().is_none());
    near.or_else(same_word).or_else(whole)
}

fn unknown_message(key: &str) -> String {
    let (section, word) = (section_of(key), key_of(key));
    let mut sections: Vec<&str> = KEYS.iter().copied().map(section_of).collect();
    sections.dedup();
    if word.is_empty() || !sections.contains(&section) {
        return match nearest(section, sections.iter().copied()) {
            Some(near) => format!("there is no such section; did you mean [{near}]?"),
            None => format!("there is no such section; known are {}", sections.join(", ")),
        };
    }
    match nearest_key(key) {
        Some(near) if section_of(near) == section => {
            format!("there is no such key; did you mean `{}`?", key_of(near))
        }
        Some(near) => format!("there is no such key; did you mean `{}` in [{}]?", key_of(near), section_of(near)),
        None => {
            let words: Vec<&str> = KEYS.iter().copied().filter(|k| section_of(k) == section).map(key_of).collect();
            format!("there is no such key; [{section}] knows {}", words.join(", "))
        }
    }
}
