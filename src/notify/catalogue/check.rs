//! Trying a file before it is used: every name that its templates take, and every event with the samples.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use minijinja::Value;
use minijinja::value::Serde;

use super::facts::{EVENTS, event_of};
use super::info::{Check, ParamInfo, ParamType};
use super::render::{Input, RenderError};
use super::{FileProblem, Provider, engine, facts, samples, tree};
use crate::model::definition::Problem;
use crate::model::text::{nearest, quoted};
use crate::secret::Secret;

/// The facts of all samples together.
static KNOWN: LazyLock<BTreeMap<String, Value>> = LazyLock::new(|| {
    let all = samples::messages();
    all.iter().flat_map(facts::facts).map(|(name, value)| (name, Value::from(Serde(value)))).collect()
});

/// Address, params and saved values for a trial.
pub(super) struct Trial {
    pub(super) address: Secret,
    pub(super) params: Vec<(String, Secret)>,
    pub(super) saved: Vec<(String, String)>,
}

impl Provider {
    /// Everything that is wrong with the file's templates.
    pub(super) fn problems(&self) -> Vec<FileProblem> {
        let mut problems = Vec::new();
        let outside = self.outside();
        for (path, template) in self.templates() {
            problems.extend(wrong_names(&template, &outside).into_iter().map(|(line, message)| {
                let path = if self.source.has(&path) { path.clone() } else { String::new() };
                self.source.problem_within(&path, line, message)
            }));
        }
        if !problems.is_empty() {
            return problems;
        }
        for trial in [self.trial(true), self.trial(false)] {
            for message in samples::messages() {
                if let Err(e) = self.try_out(&message, &trial, &[]) {
                    let message = format!("event {}: {}: {}", e.event, e.field, e.message);
                    problems.push(FileProblem::new(&e.file, e.line, &message));
                }
            }
        }
        problems.dedup_by(|a, b| (a.line, &a.file) == (b.line, &b.file));
        problems
    }

    /// Everything that is wrong with a notifier's own texts: event (or `all`) to template.
    #[must_use]
    pub fn check_templates(&self, templates: &[(String, String)]) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut complain = |message: String| problems.push(Problem { field: "templates".into(), message });
        let outside = self.outside();
        for (event, template) in templates {
            if event != "all" && !EVENTS.contains(&event.as_str()) {
                let near = nearest(event, EVENTS).map_or(String::new(), |n| format!(": did you mean `{n}`?"));
                let event = quoted(event);
                complain(format!("{event} is no event{near} (there are {} and all)", EVENTS.join(", ")));
                continue;
            }
            let wrong = wrong_names(template, &outside);
            for (line, message) in wrong.iter().take(MOST_NAMES) {
                complain(format!("{event}, line {}: {message}", line + 1));
            }
            if !wrong.is_empty() {
                continue;
            }
            let mine = [(event.clone(), template.clone())];
            let trial = self.trial(true);
            let of_event = |kind: &str| event == "all" || event == kind;
            let failed = samples::messages().into_iter().filter(|m| of_event(event_of(m.kind)));
            if let Some(e) = failed.filter_map(|m| self.try_out(&m, &trial, &mine).err()).next() {
                complain(format!("{event}, line {}: {}", e.line, e.message));
            }
        }
        problems
    }

    fn try_out(
        &self,
        message: &crate::model::message::Message,
        trial: &Trial,
        templates: &[(String, String)],
    ) -> Result<(), RenderError> {
        let Trial { address, params, saved } = trial;
        let input = Input { message, address, params, saved, templates, now: samples::NOW };
        self.requests(&input).map(drop)
    }

    /// An address, params and saved values that it takes, for fuzzing; with them whether each of its texts is secret.
    #[cfg(any(test, feature = "fuzz"))]
    #[allow(clippy::type_complexity, reason = "read at once where it is made")]
    pub(crate) fn tried(&self) -> (Secret, Vec<(String, Secret)>, Vec<(String, String)>, Vec<String>) {
        let Trial { address, params, saved } = self.trial(true);
        let is_secret = |name: &str| self.info.params.iter().any(|p| p.name == name && p.secret);
        let secrets = params.iter().filter(|(name, _)| is_secret(name)).map(|(_, v)| v.expose().to_owned());
        let secrets = secrets.chain(self.info.address.secret.then(|| address.expose().to_owned())).collect();
        (address, params, saved, secrets)
    }

    /// With all parameters and saved values, or with what is required only.
    pub(super) fn trial(&self, everything: bool) -> Trial {
        let golden = &self.golden;
        let address = golden.address.clone().unwrap_or_else(|| sample(self.info.address.check).to_owned());
        let wanted = self.info.params.iter().filter(|p| p.required || everything);
        let value = |p: &ParamInfo| golden.params.get(&p.name).cloned().unwrap_or_else(|| sample_param(p));
        let params = wanted.map(|p| (p.name.clone(), Secret::new(value(p)))).collect();
        let saved = self.answer.save.keys().filter(|_| everything);
        let saved = saved.map(|n| (n.clone(), golden.saved.get(n).cloned().unwrap_or_else(|| "1".into())));
        Trial { address: Secret::new(address), params, saved: saved.collect() }
    }

    /// Every template with the path at which it stands in the file.
    fn templates(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut add = |event: &str, leaf: &str, tree: &toml::Value| {
            let mut leaves = Vec::new();
            tree::templates(tree, leaf, &mut leaves);
            found.extend(leaves.into_iter().map(|(leaf, template)| (self.path(event, &leaf), template)));
        };
        for (event, send) in &self.sends {
            let instead = send.instead.iter().flatten().cloned().map(toml::Value::String).collect();
            add(event, "as", &toml::Value::Array(instead));
            add(event, "url", &toml::Value::String(send.url.clone()));
            add(event, "query", &toml::Value::Table(send.query.clone()));
            add(event, "headers", &toml::Value::Table(send.headers.clone()));
            for (leaf, tree) in [
                ("json", send.json.clone()),
                ("form", send.form.clone().map(toml::Value::Table)),
                ("multipart", send.multipart.clone().map(toml::Value::Table)),
                ("body", send.body.clone().map(toml::Value::String)),
            ] {
                tree.iter().for_each(|tree| add(event, leaf, tree));
            }
        }
        let texts = EVENTS.iter().filter_map(|event| self.text.of(event));
        found.extend(texts.map(|(template, path)| (path, template.to_owned())));
        found.sort();
        found.dedup();
        found
    }

    /// Every name that a template may take from outside, with something in it.
    fn outside(&self) -> Value {
        let mut all = KNOWN.clone();
        let names = |names: Vec<&str>| {
            Value::from(names.into_iter().map(|n| (n.to_owned(), Value::from(()))).collect::<BTreeMap<_, _>>())
        };
        all.insert("params".into(), names(self.info.params.iter().map(|p| p.name.as_str()).collect()));
        all.insert("saved".into(), names(self.answer.save.keys().map(String::as_str).collect()));
        all.insert("room".into(), names(vec!["items", "lines"]));
        for name in
            ["event", "address", "recipients", "recipient", "now", "body", "text", "full", "plain", "heading", "each"]
        {
            all.insert(name.into(), Value::from(""));
        }
        Value::from(all)
    }
}

/// So many of them are told of a template.
const MOST_NAMES: usize = 5;

/// The names in a template that nothing gives, with their lines.
fn wrong_names(template: &str, outside: &Value) -> Vec<(usize, String)> {
    let mut wrong = Vec::new();
    for name in engine::names(template) {
        let mut at = outside.clone();
        for part in name.split('.') {
            let is_map = at.kind() == minijinja::value::ValueKind::Map;
            let next = at.get_attr(part).unwrap_or_default();
            if next.is_undefined() && is_map {
                let keys: Vec<String> = at.try_iter().into_iter().flatten().map(|k| k.to_string()).collect();
                let near = nearest(part, keys.iter().map(String::as_str));
                let near = near.map_or(String::new(), |n| format!(": did you mean `{n}`?"));
                let line = template.lines().position(|l| l.contains(&name)).unwrap_or(0);
                wrong.push((line, format!("{}{near}", engine::undefined(&name, line).message)));
            }
            at = next;
        }
    }
    wrong
}

fn sample(check: Check) -> &'static str {
    match check {
        Check::Free | Check::Word => "sample",
        Check::Url => "https://receiver.example/hook",
        Check::Email => "ops@example.org",
        Check::Phone => "+491701234567",
    }
}

fn sample_param(param: &ParamInfo) -> String {
    let by_type = || match param.kind {
        ParamType::Text | ParamType::List => sample(param.check).to_owned(),
        ParamType::Integer => param.min.or(param.max).unwrap_or(1).to_string(),
        ParamType::Boolean => "true".into(),
        ParamType::Choice => param.choices.first().cloned().unwrap_or_default(),
        ParamType::Url => sample(Check::Url).to_owned(),
    };
    param.default.clone().unwrap_or_else(by_type)
}

/// The names in the standard text that nothing gives.
#[cfg(test)]
pub(super) fn wrong_in_default(provider: &Provider) -> Vec<(usize, String)> {
    wrong_names(super::text::DEFAULT, &provider.outside())
}
