//! What can be wrong with settings, said so that the reader can mend it without looking anything up.

use std::fmt;
use std::path::PathBuf;

use crate::model::text::{escape_controls, shorten};

/// A name that is none of ours is shown so far.
const LONGEST: usize = 100;

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the settings file, on that line.
    File {
        /// The file as it was named.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
    /// In an environment variable of that name.
    Environment(String),
    /// On the command line.
    Flag,
    /// Nowhere: it is about a default, or about several keys together.
    Nowhere,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File { path, line } => write!(f, "{}, line {line}: ", path.display()),
            Place::Environment(name) => {
                write!(f, "environment variable {}: ", escape_controls(&shorten(name, LONGEST)))
            }
            Place::Flag => f.write_str("command line: "),
            Place::Nowhere => Ok(()),
        }
    }
}

/// One thing that is wrong with one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingProblem {
    /// The key as `section.key`, or what was written in its stead.
    pub key: String,
    /// Where it was written.
    pub place: Place,
    /// What is wrong, the value unless it is secret, and what to write instead.
    pub message: String,
}

impl fmt::Display for SettingProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}: {}", self.place, shorten(&self.key, LONGEST), self.message)
    }
}

/// Why there are no settings. Each of them is wrong input: exit code 2.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file is missing, a directory, or not ours to read.
    #[error("the settings file {} cannot be read", path.display())]
    Unreadable {
        /// The file as it was named.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not text, or far too long to be settings.
    #[error("the settings file {} {message}", path.display())]
    NotText {
        /// The file as it was named.
        path: PathBuf,
        /// What it is instead.
        message: String,
    },
    /// The file is not TOML.
    #[error("{}, line {line}, column {column}: this is not TOML: {message}", path.display())]
    Syntax {
        /// The file as it was named.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Counted from 1, in characters.
        column: usize,
        /// What the parser expected.
        message: String,
    },
    /// The sources could not be laid over each other.
    #[error("the settings cannot be put together")]
    Layers(#[source] config::ConfigError),
    /// Keys or values are wrong; all of them are listed.
    #[error("{}", listed(.0))]
    Problems(Vec<SettingProblem>),
}

impl SettingsError {
    /// The single problems, where it is about keys.
    #[must_use]
    pub fn problems(&self) -> &[SettingProblem] {
        match self {
            SettingsError::Problems(all) => all,
            _ => &[],
        }
    }
}

fn listed(problems: &[SettingProblem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
