//! Providers of the catalogue: what each wants to be told, as one declarative file, and the requests made from it.
//!
//! ```text
//!  etc/notifiers/*.toml (embedded) --.
//!  folder of the operator -----------+--> Catalogue --get(type)--> Provider
//!                                                                     | check(address, params)   -> problems
//!                                                                     | requests(message, …)     -> HTTP requests
//!                                                                     '- Request::judge(answer)  -> SendResult
//! ```
//!
//! A new provider needs no Rust; `etc/notifiers/README.md` says how its file is written. Everything here is pure but
//! [`Catalogue::load`], which reads the operator's folder.

mod answer;
mod check;
mod embedded;
mod engine;
mod facts;
mod file;
mod hide;
mod info;
mod markup;
mod place;
mod render;
mod request;
pub mod samples;
mod text;
mod tree;
mod words;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

pub(super) use engine::add_filters;
pub(super) use facts::facts;
pub use info::{AddressInfo, Check, ParamInfo, ParamType, TypeInfo};
pub use render::{Input, RenderError};
pub use request::Request;

use crate::model::definition::Problem;
use crate::model::text::{clean, nearest, quoted};
use crate::secret::Secret;

/// So many characters of a problem are shown at most.
const MAX_PROBLEM: usize = 600;

/// Something that is wrong with a provider's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileProblem {
    /// The file's name.
    pub file: String,
    /// From 1; 0 for the file as a whole.
    pub line: usize,
    /// Where in it, and what.
    pub message: String,
}

impl FileProblem {
    /// On one line, whatever of the file its words repeat.
    fn new(file: &str, line: usize, message: &str) -> FileProblem {
        FileProblem { file: clean(file, MAX_PROBLEM), line, message: clean(message, MAX_PROBLEM) }
    }
}

impl std::fmt::Display for FileProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.message),
            line => write!(f, "{}, line {line}: {}", self.file, self.message),
        }
    }
}

/// One provider: its file, read and checked.
#[derive(Debug, Clone)]
pub struct Provider {
    info: TypeInfo,
    source: place::Source,
    per: file::Per,
    text: file::Text,
    sends: BTreeMap<&'static str, file::Send>,
    answer: answer::Rules,
    golden: file::Golden,
}

impl Provider {
    /// What it wants to be told.
    #[must_use]
    pub fn info(&self) -> &TypeInfo {
        &self.info
    }

    /// Whether it keeps incidents, each of which must open and close: then no item of a digest may be left out.
    #[must_use]
    pub fn keeps_incidents(&self) -> bool {
        self.per == file::Per::Item
    }

    /// Everything that is wrong with a notifier's address and params. References (`${…}`) are looked at when they
    /// have been resolved: [`Provider::requests`] checks again.
    #[must_use]
    pub fn check(&self, address: &str, params: &[(String, Secret)]) -> Vec<Problem> {
        self.info.check(address, params)
    }

    /// The text of a file as a provider; complete, its templates tried.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(name: &str, text: &str) -> Result<Provider, Vec<FileProblem>> {
        let provider = Provider::read(name, text)?;
        let problems = provider.problems();
        if problems.is_empty() { Ok(provider) } else { Err(problems) }
    }
}

/// All types of notifiers.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    providers: BTreeMap<String, Provider>,
    /// Types that are built in and not by file, as SMTP.
    built_in: BTreeMap<String, TypeInfo>,
}

impl Catalogue {
    /// The embedded providers, and over them those of the operator's folder (`*.toml`): a file there adds a type, or
    /// takes the place of the one of the same type. Problems are those of the folder; every good file is used. The
    /// embedded files are tried by the tests, not at every start.
    #[must_use]
    pub fn load(folder: Option<&Path>) -> (Catalogue, Vec<FileProblem>) {
        let mut catalogue = Catalogue::default();
        let mut problems = Vec::new();
        for (name, text) in embedded::FILES {
            match Provider::read(name, text) {
                Ok(provider) => catalogue.add(provider),
                Err(found) => problems.extend(found),
            }
        }
        if let Some(folder) = folder {
            catalogue.load_folder(folder, &mut problems);
        }
        (catalogue, problems)
    }

    fn load_folder(&mut self, folder: &Path, problems: &mut Vec<FileProblem>) {
        let whole = |file: &str, message: String| FileProblem::new(file, 0, &message);
        let names = std::fs::read_dir(folder).and_then(|entries| {
            entries.map(|e| e.map(|e| e.file_name().to_string_lossy().into_owned())).collect::<Result<Vec<_>, _>>()
        });
        let mut names = match names {
            Ok(names) => names,
            Err(e) => {
                return problems.push(whole(&folder.display().to_string(), format!("the folder cannot be read: {e}")));
            }
        };
        names.retain(|name| name.ends_with(".toml") && !name.starts_with('.'));
        names.sort();
        let mut taken: BTreeMap<String, String> = BTreeMap::new();
        for name in names {
            let text = match std::fs::read_to_string(folder.join(&name)) {
                Ok(text) => text,
                Err(e) => {
                    problems.push(whole(&name, format!("it cannot be read: {e}")));
                    continue;
                }
            };
            match Provider::parse(&name, &text) {
                Ok(provider) => match taken.insert(provider.info.name.clone(), name.clone()) {
                    None => self.add(provider),
                    Some(other) => {
                        let message = format!("{other} has the type {} already", provider.info.name);
                        problems.push(whole(&name, message));
                    }
                },
                Err(found) => problems.extend(found),
            }
        }
    }

    fn add(&mut self, provider: Provider) {
        self.providers.insert(provider.info.name.clone(), provider);
    }

    /// Adds a type that is built in: it is listed, found and checked like the others, but has no file;
    /// a file of the same type is not used.
    pub fn add_built_in(&mut self, info: TypeInfo) {
        self.built_in.insert(info.name.clone(), info);
    }

    /// The provider of a type, in whatever spelling: `splunk oncall` is SPLUNK_ONCALL. `None` for a built-in one too.
    #[must_use]
    pub fn get(&self, kind: &str) -> Option<&Provider> {
        let name = &self.info(kind)?.name;
        self.providers.get(name).filter(|_| !self.built_in.contains_key(name))
    }

    /// What a type wants to be told.
    #[must_use]
    pub fn info(&self, kind: &str) -> Option<&TypeInfo> {
        let word = spelled(kind);
        let is = |info: &&TypeInfo| info.name == word || info.also.iter().any(|a| spelled(a) == word);
        self.infos().find(|info| info.name == word).or_else(|| self.infos().find(is))
    }

    fn infos(&self) -> impl Iterator<Item = &TypeInfo> {
        let by_file = self.providers.values().map(|p| &p.info).filter(|i| !self.built_in.contains_key(&i.name));
        self.built_in.values().chain(by_file)
    }

    /// All types, by name.
    #[must_use]
    pub fn describe(&self) -> Vec<TypeInfo> {
        let mut all: Vec<TypeInfo> = self.infos().cloned().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// Everything that is wrong with what a notifier's type decides: the type itself, address, params, and own texts
    /// (of a type with a file: event, or `all`, to template).
    #[must_use]
    pub fn check(
        &self,
        kind: &str,
        address: &str,
        params: &[(String, Secret)],
        templates: &[(String, String)],
    ) -> Vec<Problem> {
        match self.known(kind) {
            Err(problem) => vec![problem],
            Ok(info) => {
                let mut problems = info.check(address, params);
                problems.extend(self.get(kind).map(|p| p.check_templates(templates)).unwrap_or_default());
                problems
            }
        }
    }

    /// What a type wants to be told, or what is wrong with the word: the known ones.
    ///
    /// # Errors
    /// The problem of the column `type`.
    pub fn known(&self, kind: &str) -> Result<&TypeInfo, Problem> {
        self.info(kind).ok_or_else(|| {
            let mut names: Vec<&str> = self.infos().map(|i| i.name.as_str()).collect();
            names.sort_unstable();
            let near = nearest(&spelled(kind), names.iter().copied())
                .map_or(String::new(), |near| format!(": did you mean {near}?"));
            let message = format!("{} is no type of notifier{near} (there are {})", quoted(kind), names.join(", "));
            Problem { field: "type".into(), message }
        })
    }
}

/// The one spelling of a type.
fn spelled(kind: &str) -> String {
    kind.trim().to_ascii_uppercase().replace([' ', '-', '.'], "_")
}
