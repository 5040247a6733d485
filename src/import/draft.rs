//! Targets and notifiers as they are being made out of a source, and the targets file that comes of them.
//!
//! An entry that `apply` would refuse is written as a comment, with what is wrong: the file is always accepted.

use std::collections::HashMap;

use serde_json::{Map, Value};
use url::Url;

use super::words::{Authorization, tag};
use crate::model::defined::Defined;
use crate::model::definition::{Definition, Problem};
use crate::model::notifier::{NotifierDefinition, any_type};
use crate::model::params;
use crate::model::targets_file;
use crate::model::text::{escape_controls, quoted, shorten};
use crate::secret::Secret;

/// Something in the making, and what is to be said of it.
#[derive(Debug, Clone, Default)]
pub struct Draft<D> {
    /// What it is so far.
    pub definition: D,
    /// Sentences for the comments above it.
    pub notes: Vec<String>,
    /// A word that tells it from others of its name.
    pub apart: Option<String>,
}

/// A target in the making.
pub type TargetDraft = Draft<Definition>;
/// A notifier in the making.
pub type NotifierDraft = Draft<NotifierDefinition>;

/// Headers that skypunch sets by itself.
const OWN_HEADERS: [&str; 5] = ["connection", "content-length", "transfer-encoding", "upgrade", "expect"];

impl<D> Draft<D> {
    /// Says something of it.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }
}

impl TargetDraft {
    /// A target of that name.
    #[must_use]
    pub fn named(name: &str) -> TargetDraft {
        TargetDraft {
            definition: Definition { name: name.to_owned(), pass_result: "200-299".into(), ..Definition::default() },
            ..TargetDraft::default()
        }
    }

    /// Where it is; a user and password in the URL become BASIC.
    pub fn set_url(&mut self, text: &str) {
        self.definition.url = text.trim().to_owned();
        let Ok(mut url) = Url::parse(text.trim()) else { return };
        let (user, password) = (decoded(url.username()), url.password().map(decoded));
        if user.is_empty() && password.is_none() {
            return;
        }
        if url.set_username("").and_then(|()| url.set_password(None)).is_ok() {
            self.definition.url = url.into();
            self.basic(&user, &password.unwrap_or_default());
        }
    }

    /// Frequency and deadline; a deadline beyond the frequency is cut.
    pub fn set_times(&mut self, frequency_ms: i64, timeout_ms: i64) {
        let d = &mut self.definition;
        d.frequency_ms = frequency_ms;
        d.timeout_ms = Some(timeout_ms);
        if timeout_ms > frequency_ms && frequency_ms > 0 {
            d.timeout_ms = Some(frequency_ms);
            self.notes.push(format!(
                "the timeout was {timeout_ms} ms and longer than the interval: here a probe ends before the next is due"
            ));
        }
    }

    /// BASIC authentication.
    pub fn basic(&mut self, user: &str, password: &str) {
        self.authenticate("BASIC", &[("user", user), ("password", password)]);
    }

    /// A bearer token.
    pub fn bearer(&mut self, token: &str) {
        self.authenticate("BEARER", &[("token", token)]);
    }

    fn authenticate(&mut self, kind: &str, parms: &[(&str, &str)]) {
        if self.definition.authn != "NONE" {
            self.note(format!("there is a second way to log in ({kind}), which is not brought over"));
            return;
        }
        self.definition.authn = kind.to_owned();
        self.definition.authn_parms = Some(params::write(parms.iter().copied()));
    }

    /// A request header; those that have a key of their own go there.
    pub fn header(&mut self, name: &str, value: &str) {
        let small = name.trim().to_ascii_lowercase();
        match small.as_str() {
            "host" => self.definition.host = Some(value.trim().to_owned()),
            "authorization" => match Authorization::read(value) {
                Authorization::Basic(user, password) => self.basic(&user, &password),
                Authorization::Bearer(token) => self.bearer(&token),
                Authorization::Other => self.line(name, value),
            },
            _ if OWN_HEADERS.contains(&small.as_str()) => {
                self.note(format!("the header {} is set by skypunch itself", escape_controls(name)));
            }
            _ => self.line(name, value),
        }
    }

    fn line(&mut self, name: &str, value: &str) {
        let headers = self.definition.headers.get_or_insert_default();
        if !headers.is_empty() {
            headers.push('\n');
        }
        // A line break within a value would begin another header.
        headers.push_str(&format!("{}: {}", name.trim(), value.trim().replace(['\r', '\n'], " ")));
    }

    /// Whether a header of that name is set.
    #[must_use]
    pub fn has_header(&self, name: &str) -> bool {
        let lines = self.definition.headers.as_deref().unwrap_or_default().lines();
        lines.filter_map(|l| l.split_once(':')).any(|(n, _)| n.trim().eq_ignore_ascii_case(name))
    }

    /// A tag.
    pub fn add_tag(&mut self, text: &str) {
        let tag = tag(text);
        let tags = self.definition.tags.get_or_insert_default();
        if tag.is_empty() || tags.split(',').any(|t| t == tag) {
            return;
        }
        if !tags.is_empty() {
            tags.push(',');
        }
        tags.push_str(&tag);
    }

    /// Thresholds; what is out of range is cut.
    pub fn set_thresholds(&mut self, fail_after: i64, recover_after: i64) {
        self.definition.fail_after = fail_after.clamp(1, 1000);
        self.definition.recover_after = recover_after.clamp(1, 1000);
    }

    /// Not probed until somebody has looked at it: as it stands it would be judged otherwise than it was.
    pub fn disable(&mut self, why: &str) {
        self.definition.enabled = false;
        self.note(format!("not enabled: {why}"));
    }
}

fn decoded(text: &str) -> String {
    percent(text).unwrap_or_else(|| text.to_owned())
}

/// Percent-decodes.
fn percent(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = (first == b'%').then(|| {
            after.get(..2).and_then(|h| std::str::from_utf8(h).ok()).and_then(|h| u8::from_str_radix(h, 16).ok())
        });
        match code.flatten() {
            Some(code) => {
                out.push(code);
                rest = &after[2..];
            }
            None => {
                out.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8(out).ok()
}

/// Something of the source that became no target and no notifier.
#[derive(Debug, Clone)]
pub struct Left {
    /// What, as "monitor `router` (ping)".
    pub title: String,
    /// Why, and what else is to be said.
    pub notes: Vec<String>,
}

/// What a source holds.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Targets.
    pub targets: Vec<TargetDraft>,
    /// Notifiers.
    pub notifiers: Vec<NotifierDraft>,
    /// What became neither.
    pub left: Vec<Left>,
    /// Of the source as a whole.
    pub notes: Vec<String>,
}

impl Found {
    /// Puts aside what became no target and no notifier.
    pub fn leave(&mut self, title: String, why: &str, mut notes: Vec<String>) {
        notes.insert(0, why.to_owned());
        self.left.push(Left { title, notes });
    }

    /// The targets file. `source` names what it is made of.
    #[must_use]
    pub fn write(mut self, source: &str) -> String {
        name_apart(&mut self.targets, |d| &mut d.name);
        name_apart(&mut self.notifiers, |d| &mut d.name);
        let mut body = String::new();
        let (mut fit, mut unfit) = ([0, 0], 0);
        for draft in &self.targets {
            let d = &draft.definition;
            let secrets = [
                ("url", Some(Value::from(d.url.clone()))),
                ("headers", d.headers.as_ref().map(|h| h.lines().map(Value::from).collect())),
                ("authn_parms", d.authn_parms.as_ref().map(|p| Value::from(p.expose()))),
            ];
            let good = entry(&mut body, d, secrets, &draft.notes);
            if good { fit[0] += 1 } else { unfit += 1 }
        }
        for draft in &self.notifiers {
            let d = &draft.definition;
            let secrets = [
                ("address", Some(Value::from(d.address.clone()))),
                ("params", d.params.as_ref().map(|p| Value::from(p.expose()))),
                ("templates", None),
            ];
            let good = entry(&mut body, d, secrets, &draft.notes);
            if good { fit[1] += 1 } else { unfit += 1 }
        }
        let mut text = String::new();
        comment(&mut text, &format!("{} targets and {} notifiers out of {source}.", fit[0], fit[1]));
        comment(&mut text, "Look through it, then: skypunchctl apply FILE --plan, and without --plan.");
        if unfit + self.left.len() > 0 {
            comment(
                &mut text,
                &format!("{} entries are not brought over: see \"not brought over\" below.", unfit + self.left.len()),
            );
        }
        if self.holds_secrets() {
            comment(
                &mut text,
                "It holds passwords or tokens as they stood in the source: keep it private, or write references such as \
                 ${file:/etc/skypunch/secrets/NAME} in their place.",
            );
        }
        for note in &self.notes {
            comment(&mut text, note);
        }
        text.push_str(&body);
        for left in &self.left {
            text.push('\n');
            comment(&mut text, &format!("{}: not brought over", left.title));
            left.notes.iter().for_each(|n| comment(&mut text, &format!("  {n}")));
        }
        text
    }

    fn holds_secrets(&self) -> bool {
        let clear = |s: &Secret| !s.expose().is_empty();
        self.targets.iter().any(|t| t.definition.authn_parms.as_ref().is_some_and(clear))
            || self.notifiers.iter().any(|n| {
                let d = &n.definition;
                d.params.as_ref().is_some_and(clear) || d.kind != crate::model::notifier::SMTP
            })
    }
}

/// Names are fit and unique in a file; whatever had to be changed is told.
fn name_apart<D>(drafts: &mut [Draft<D>], name: impl Fn(&mut D) -> &mut String) {
    let mut taken: HashMap<String, usize> = HashMap::new();
    for draft in drafts {
        let had = name(&mut draft.definition).clone();
        let plain: String = had.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let mut fit = shorten(plain.trim(), 120).trim().to_owned();
        if fit.is_empty() {
            fit = "without a name".into();
        }
        if let Some(apart) = draft.apart.as_deref().map(tag).filter(|_| taken.contains_key(&fit)) {
            fit = shorten(&format!("{fit} ({apart})"), 120).into_owned();
        }
        let count = taken.entry(fit.clone()).or_insert(0);
        *count += 1;
        let mut unique = fit.clone();
        let mut n = *count;
        while n > 1 {
            unique = format!("{fit} ({n})");
            if taken.contains_key(&unique) {
                n += 1;
            } else {
                taken.insert(unique.clone(), 1);
                break;
            }
        }
        if unique != had {
            draft
                .notes
                .push(format!("its name was {}: names are unique, and hold no control characters", quoted(&had)));
        }
        *name(&mut draft.definition) = unique;
    }
}

/// One `[[target]]` or `[[notifier]]` with its comments; as a comment, where `apply` would refuse it.
fn entry<D: Defined>(
    text: &mut String,
    definition: &D,
    clear: [(&'static str, Option<Value>); 3],
    notes: &[String],
) -> bool {
    let problems: Vec<Problem> = definition.problems(&any_type);
    let mut keys: Map<String, Value> = definition.to_json();
    for (key, value) in clear {
        match value {
            Some(value) => keys.insert(key.to_owned(), value),
            None => keys.remove(key),
        };
    }
    let mut lines = String::new();
    targets_file::write_entry::<D>(&mut lines, &keys);
    text.push('\n');
    if !problems.is_empty() {
        comment(text, &format!("{} {}: not brought over", D::WHAT, quoted(definition.name())));
        problems.iter().for_each(|p| comment(text, &format!("  {p}")));
    }
    notes.iter().for_each(|n| comment(text, n));
    if problems.is_empty() {
        text.push_str(&lines);
    } else {
        lines.lines().for_each(|l| comment(text, l));
    }
    problems.is_empty()
}

/// A line that is a comment, whatever is in it.
fn comment(text: &mut String, words: &str) {
    text.push_str("# ");
    text.push_str(&escape_controls(&shorten(words, 600)));
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::targets_file::parse;
    use proptest::prelude::*;

    #[test]
    fn headers_urls_and_times_find_their_keys() {
        let mut t = TargetDraft::named("a");
        t.set_url("https://u:p%40ss@h/x?y=1");
        t.header("HOST", "other");
        t.header("Accept", "a\nb");
        t.header("Connection", "close");
        t.header("Authorization", "Bearer t");
        t.set_times(10_000, 48_000);
        t.add_tag("a,b");
        t.add_tag("a b");
        let d = &t.definition;
        assert_eq!((d.url.as_str(), d.host.as_deref()), ("https://h/x?y=1", Some("other")));
        assert_eq!(d.authn_parms.as_ref().unwrap().expose(), "user=u,password=p@ss");
        assert_eq!(
            (d.headers.as_deref(), d.timeout_ms, d.tags.as_deref()),
            (Some("Accept: a b"), Some(10_000), Some("a b"))
        );
        assert_eq!(t.notes.len(), 3, "{:?}", t.notes);
        assert!(d.validate().is_ok());
    }

    #[test]
    fn names_are_made_unique_and_what_is_unfit_becomes_a_comment() {
        let mut found = Found::default();
        for (name, url) in [("a", "http://x/"), ("a", "http://y/"), ("a (2)", "http://z/"), ("\n", "ftp://x/")] {
            let mut t = TargetDraft::named(name);
            t.set_url(url);
            t.note("line\nbreak");
            found.targets.push(t);
        }
        found.leave("monitor `m` (ping)".into(), "skypunch speaks HTTP", vec![]);
        let text = found.write("x.yml");
        let entries = parse(&text, &any_type).unwrap().targets;
        assert_eq!(entries.iter().map(|e| e.name.as_str()).collect::<Vec<_>>(), ["a", "a (2)", "a (2) (2)"]);
        assert!(text.starts_with("# 3 targets and 0 notifiers out of x.yml.\n"), "{text}");
        assert!(
            text.contains("# target `without a name`: not brought over\n#   url: `ftp://x/` has the scheme"),
            "{text}"
        );
        assert!(text.contains("# monitor `m` (ping): not brought over\n#   skypunch speaks HTTP\n"), "{text}");
        assert!(!text.contains("passwords"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_always_accepted(
            all in proptest::collection::vec(("\\PC{0,12}|[a-c\n]{0,3}", "\\PC{0,30}|https?://[a-z@:%]{1,12}/\\PC{0,9}", "\\PC*", -5i64..100_000, -5i64..100_000), 0..6)
        ) {
            let mut found = Found::default();
            for (name, url, text, frequency, timeout) in all {
                let mut t = TargetDraft::named(&name);
                t.set_url(&url);
                t.header(&name, &text);
                t.header("X-A", &text);
                t.add_tag(&text);
                t.set_times(frequency, timeout);
                t.definition.body = Some(text.clone());
                t.note(text.clone());
                t.basic(&name, &text);
                found.targets.push(t);
                let definition = NotifierDefinition {
                    name: name.clone(), kind: "SLACK".into(), address: text.clone(), params: Some(params::write([("a", text.as_str())])),
                    ..NotifierDefinition::default()
                };
                found.notifiers.push(Draft { definition, notes: vec![text], apart: Some(name) });
            }
            let text = found.write("x");
            prop_assert!(parse(&text, &any_type).is_ok(), "{:?}\n{}", parse(&text, &any_type), text);
        }
    }
}
