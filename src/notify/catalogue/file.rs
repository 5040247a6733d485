//! A provider's file: its keys, its inheritance, and everything that can be wrong with it before anything is rendered.
//!
//! ```text
//!  [send] + [event.fail]      -> what is sent for `fail`: tables of headers and query are merged, all else is replaced
//!  [send] + [event.recovery]  -> …
//! ```

use std::collections::BTreeMap;

use serde::Deserialize;

use super::answer::Rules;
use super::facts::EVENTS;
use super::info::{AddressInfo, ParamInfo, ParamType, TypeInfo};
use super::markup::Markup;
use super::place::Source;
use super::{FileProblem, Provider};
use crate::model::text::is_hidden;

/// So many characters has a title, a help or a word of a choice at most.
const MOST_WORDS: usize = 300;

/// The bodies that a request may have: one of them.
const BODIES: [&str; 4] = ["json", "form", "multipart", "body"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "type")]
    kind: String,
    title: String,
    documentation: String,
    #[serde(default)]
    also: Vec<String>,
    #[serde(default)]
    per: Per,
    address: AddressInfo,
    #[serde(default, rename = "param")]
    params: Vec<ParamInfo>,
    #[serde(default)]
    text: Text,
    #[serde(default)]
    send: toml::Table,
    #[serde(default)]
    event: BTreeMap<String, toml::Table>,
    #[serde(default)]
    answer: Rules,
    #[serde(default)]
    golden: Golden,
}

/// Whether a digest is one message or a message for each of its items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Per {
    #[default]
    Message,
    Item,
}

/// `[text]`: what a person reads.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Text {
    pub(super) markup: Markup,
    pub(super) max_chars: Option<usize>,
    pub(super) max_bytes: Option<usize>,
    /// For every event that has none of its own.
    pub(super) all: Option<String>,
    fail: Option<String>,
    recovery: Option<String>,
    both: Option<String>,
    reminder: Option<String>,
    flapping: Option<String>,
    settled: Option<String>,
    digest: Option<String>,
    test: Option<String>,
}

impl Text {
    /// The file's own text for an event, and its key.
    pub(super) fn of(&self, event: &str) -> Option<(&str, String)> {
        let own = match event {
            "fail" => &self.fail,
            "recovery" => &self.recovery,
            "both" => &self.both,
            "reminder" => &self.reminder,
            "flapping" => &self.flapping,
            "settled" => &self.settled,
            "digest" => &self.digest,
            "test" => &self.test,
            _ => &None,
        };
        let all = || self.all.as_deref().map(|text| (text, "text.all".to_owned()));
        own.as_deref().map(|text| (text, format!("text.{event}"))).or_else(all)
    }
}

/// `[golden]`: with what the examples are made.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Golden {
    pub(super) address: Option<String>,
    pub(super) params: BTreeMap<String, String>,
    pub(super) saved: BTreeMap<String, String>,
}

/// What is sent for one event.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Send {
    /// The requests of these events instead, one after the other; templates may choose them.
    #[serde(rename = "as", default)]
    pub(super) instead: Option<Vec<String>>,
    #[serde(default)]
    pub(super) for_each: Option<String>,
    #[serde(default = "post")]
    pub(super) method: String,
    #[serde(default)]
    pub(super) url: String,
    #[serde(default)]
    pub(super) query: toml::Table,
    #[serde(default)]
    pub(super) headers: toml::Table,
    #[serde(default)]
    pub(super) json: Option<toml::Value>,
    #[serde(default)]
    pub(super) form: Option<toml::Table>,
    #[serde(default)]
    pub(super) multipart: Option<toml::Table>,
    #[serde(default)]
    pub(super) body: Option<String>,
}

fn post() -> String {
    "POST".into()
}

impl Provider {
    /// Reads a file; what its templates say is not looked at yet.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub(super) fn read(name: &str, text: &str) -> Result<Provider, Vec<FileProblem>> {
        let source = Source::new(name, text);
        let file: File = toml::from_str(text).map_err(|e| vec![source.toml_problem(&e)])?;
        let mut problems: Vec<FileProblem> = Vec::new();
        let mut sends = BTreeMap::new();
        for event in EVENTS {
            let (merged, section) = match file.event.get(event) {
                Some(own) => (merged_send(&file.send, own), format!("event.{event}")),
                None => (file.send.clone(), "send".to_owned()),
            };
            match toml::Value::Table(merged).try_into::<Send>() {
                Ok(send) => {
                    sends.insert(event, send);
                }
                Err(e) => problems.push(source.problem(&section, e.message().to_owned())),
            }
        }
        let info = TypeInfo {
            name: file.kind,
            title: file.title,
            documentation: file.documentation,
            also: file.also,
            address: file.address,
            params: file.params,
        };
        let unknown = file.event.keys().filter(|e| !EVENTS.contains(&e.as_str()));
        problems.extend(unknown.map(|e| {
            source.problem(&format!("event.{e}"), format!("`{e}` is no event: there are {}", EVENTS.join(", ")))
        }));
        let (per, text, answer, golden) = (file.per, file.text, file.answer, file.golden);
        let provider = Provider { info, source, per, text, sends, answer, golden };
        problems.extend(provider.wrong_info());
        problems.extend(provider.wrong_sends());
        problems.extend(provider.answer.problems().into_iter().map(|(f, m)| provider.source.problem(&f, m)));
        // The same mistake in `[send]` is there for every event.
        problems.dedup();
        if problems.is_empty() { Ok(provider) } else { Err(problems) }
    }

    fn wrong_info(&self) -> Vec<FileProblem> {
        let mut problems = Vec::new();
        let mut complain = |field: &str, message: String| problems.push(self.source.problem(field, message));
        let name = &self.info.name;
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_') {
            complain("type", format!("`{name}` is no type: write capitals, digits and _"));
        }
        let info = &self.info;
        let words =
            [("title", &info.title), ("documentation", &info.documentation), ("address.help", &info.address.help)];
        for (field, words) in words.into_iter().chain(info.also.iter().map(|also| ("also", also))) {
            if let Some(wrong) = wrong_words(words) {
                complain(field, wrong);
            }
        }
        for (i, param) in self.info.params.iter().enumerate() {
            let at = format!("param[{i}]");
            if let Some(wrong) = wrong_words(&param.help) {
                complain(&format!("{at}.help"), wrong);
            }
            if let Some(wrong) = param.choices.iter().find_map(|choice| wrong_words(choice)) {
                complain(&format!("{at}.choices"), wrong);
            }
            if self.info.params[..i].iter().any(|p| p.name == param.name) {
                complain(&at, format!("the parameter `{}` is there twice", param.name));
            }
            let simple = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            if param.name.is_empty() || !param.name.chars().all(simple) {
                complain(&at, format!("`{}` is no name: write small letters, digits and _", param.name));
            }
            if (param.kind == ParamType::Choice) == param.choices.is_empty() {
                complain(&at, format!("`{}`: `choices` belong to the type choice, and only to it", param.name));
            }
            if let Some(Err(e)) = param.default.as_deref().map(|d| param.parse(d)) {
                complain(&format!("{at}.default"), format!("the default of {e}"));
            }
        }
        problems
    }

    fn wrong_sends(&self) -> Vec<FileProblem> {
        let mut problems = Vec::new();
        for (event, send) in &self.sends {
            let mut complain =
                |field: &str, message: String| problems.push(self.source.problem(&self.path(event, field), message));
            if let Some(instead) = &send.instead {
                for other in instead.iter().filter(|other| !super::engine::is_template(other)) {
                    let fits = self.sends.get(other.as_str()).is_some_and(|s| s.instead.is_none());
                    if !fits {
                        complain("as", format!("`{other}` is no event with requests of its own"));
                    }
                }
                continue;
            }
            if send.url.trim().is_empty() {
                complain("url", format!("event {event}: there is no `url`"));
            }
            if !matches!(send.method.as_str(), "GET" | "POST" | "PUT" | "PATCH" | "DELETE") {
                complain("method", format!("`{}` is not GET, POST, PUT, PATCH or DELETE", send.method));
            }
            let bodies = [send.json.is_some(), send.form.is_some(), send.multipart.is_some(), send.body.is_some()];
            if bodies.iter().filter(|b| **b).count() > 1 {
                complain("", format!("event {event}: more than one of {}", BODIES.join(", ")));
            }
            match send.for_each.as_deref() {
                None => {}
                Some("recipient") if self.info.address.list => {}
                Some(list) => {
                    let param = list.strip_prefix("params.").unwrap_or_default();
                    if !self.info.params.iter().any(|p| p.name == param && p.kind == ParamType::List) {
                        let message = format!(
                            "`{list}` is no list: write \"recipient\" (and `list = true` in [address]) or \
                             \"params.NAME\" of a parameter of the type list"
                        );
                        complain("for_each", message);
                    }
                }
            }
        }
        problems
    }

    /// Where a key of an event's request stands: in its own section or in `[send]`.
    pub(super) fn path(&self, event: &str, field: &str) -> String {
        let join = |section: &str| if field.is_empty() { section.to_owned() } else { format!("{section}.{field}") };
        let own = join(&format!("event.{event}"));
        if self.source.has(&own) { own } else { join("send") }
    }
}

/// What is wrong with words that people read within one line.
fn wrong_words(words: &str) -> Option<String> {
    match words.chars().count() {
        _ if words.contains(is_hidden) => Some("holds a control character or an invisible one".into()),
        n if n > MOST_WORDS => Some(format!("is {n} characters long: write {MOST_WORDS} at most")),
        _ => None,
    }
}

/// The event's section over `[send]`: headers and query are merged, a body is replaced as a whole.
fn merged_send(base: &toml::Table, own: &toml::Table) -> toml::Table {
    let mut merged = base.clone();
    if BODIES.iter().any(|body| own.contains_key(*body)) {
        BODIES.iter().for_each(|body| drop(merged.remove(*body)));
    }
    for (key, value) in own {
        match (merged.get_mut(key), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(above)) => below.extend(above.clone()),
            _ => {
                merged.insert(key.clone(), value.clone());
            }
        }
    }
    merged
}
