//! The keys of one entry of a source: each is handed out once, and what is left over is told.

use serde_json::{Map, Value};

use crate::model::definition::{is_secret_header, redact_userinfo_within};
use crate::model::text::quoted;

/// An entry of a source, and what is to be said of it.
#[derive(Debug, Default)]
pub struct Fields {
    map: Map<String, Value>,
    /// Put before the names of keys in notes, as `client.`.
    prefix: String,
    /// A sentence for each thing that has no counterpart.
    pub notes: Vec<String>,
}

impl Fields {
    /// The keys of `value`; anything but a table is told and has none.
    #[must_use]
    pub fn of(value: Value, prefix: &str) -> Fields {
        let mut fields = Fields { prefix: prefix.to_owned(), ..Fields::default() };
        match value {
            Value::Object(map) => fields.map = map,
            Value::Null => {}
            other => fields.notes.push(format!("{} is {}, not a table", prefix.trim_end_matches('.'), kind(&other))),
        }
        fields
    }

    /// Says something of this entry.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    fn wrong(&mut self, key: &str, value: &Value, wanted: &str) {
        let prefix = &self.prefix;
        self.notes.push(format!("{prefix}{key} is {}, not {wanted}: not brought over", kind(value)));
    }

    /// The value of a key; null counts as none.
    pub fn take(&mut self, key: &str) -> Option<Value> {
        self.map.remove(key).filter(|v| !v.is_null())
    }

    /// A text; numbers and yes or no become one.
    pub fn text(&mut self, key: &str) -> Option<String> {
        let value = self.take(key)?;
        let text = scalar(&value);
        if text.is_none() {
            self.wrong(key, &value, "a text");
        } else if may_have_been_other_text(&value) {
            self.note(format!("{key} {UNQUOTED}"));
        }
        text
    }

    /// A text that says something.
    pub fn word(&mut self, key: &str) -> Option<String> {
        self.text(key).filter(|t| !t.trim().is_empty())
    }

    /// Yes or no, as a word or as 0 and 1.
    pub fn flag(&mut self, key: &str) -> Option<bool> {
        let value = self.take(key)?;
        let flag = match &value {
            Value::Bool(b) => Some(*b),
            Value::Number(n) => n.as_i64().filter(|n| matches!(n, 0 | 1)).map(|n| n == 1),
            Value::String(s) => match s.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => Some(true),
                "false" | "no" | "off" | "0" => Some(false),
                _ => None,
            },
            _ => None,
        };
        if flag.is_none() {
            self.wrong(key, &value, "true or false");
        }
        flag
    }

    /// A whole number.
    pub fn number(&mut self, key: &str) -> Option<i64> {
        let value = self.take(key)?;
        let number = match &value {
            Value::Number(n) => n.as_i64(),
            Value::String(s) => s.trim().parse().ok(),
            _ => None,
        };
        if number.is_none() {
            self.wrong(key, &value, "a whole number");
        }
        number
    }

    /// A list; one value alone is a list of it.
    pub fn list(&mut self, key: &str) -> Vec<Value> {
        match self.take(key) {
            None => Vec::new(),
            Some(Value::Array(all)) => all,
            Some(one) => vec![one],
        }
    }

    /// A list of texts.
    pub fn texts(&mut self, key: &str) -> Vec<String> {
        let mut texts = Vec::new();
        for value in self.list(key) {
            match scalar(&value) {
                Some(text) => texts.push(text),
                None => self.wrong(key, &value, "a text"),
            }
        }
        texts
    }

    /// Names and texts, in the order of names.
    pub fn pairs(&mut self, key: &str) -> Vec<(String, String)> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let Value::Object(map) = value else {
            self.wrong(key, &value, "a table");
            return Vec::new();
        };
        let mut pairs = Vec::new();
        for (name, value) in map {
            if may_have_been_other_text(&value) {
                self.note(format!("{key}.{name} {UNQUOTED}"));
            }
            match scalar(&value) {
                Some(text) => pairs.push((name, text)),
                None if value.is_null() => {}
                None => self.wrong(&format!("{key}.{name}"), &value, "a text"),
            }
        }
        pairs
    }

    /// A table below this one.
    pub fn below(&mut self, key: &str) -> Option<Fields> {
        let value = self.take(key)?;
        Some(Fields::of(value, &format!("{}{key}.", self.prefix)))
    }

    /// Whether there is such a key and it says something.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.map.get(key).is_some_and(|v| !v.is_null() && v.as_str() != Some("") && *v != Value::Bool(false))
    }

    /// Puts keys in, over those that are there.
    pub fn extend(&mut self, more: Map<String, Value>) {
        self.map.extend(more);
    }

    /// Leaves a key out that means nothing here.
    pub fn skip(&mut self, keys: &[&str]) {
        for key in keys {
            self.map.remove(*key);
        }
    }

    /// Leaves out all keys that begin with one of these words, whatever the case of their letters.
    pub fn skip_prefixed(&mut self, words: &[&str]) {
        self.map.retain(|key, _| !words.iter().any(|w| key.to_ascii_lowercase().starts_with(w)));
    }

    /// Tells of keys that are known and have no counterpart, where they say something; `true` when any did.
    pub fn no_counterpart(&mut self, keys: &[(&str, &str)]) -> bool {
        let mut any = false;
        for (key, why) in keys {
            if !self.has(key) {
                self.map.remove(*key);
                continue;
            }
            let shown = self.map.remove(*key).map_or(String::new(), |v| shown(key, &v));
            self.notes.push(format!("{}{key}{shown} has no counterpart: {why}", self.prefix));
            any = true;
        }
        any
    }

    /// Tells of every key that nobody asked for.
    pub fn finish(&mut self) {
        for (key, value) in std::mem::take(&mut self.map) {
            if !value.is_null() {
                let shown = shown(&key, &value);
                self.notes.push(format!("{}{}{shown} has no counterpart", self.prefix, quoted_key(&key)));
            }
        }
    }

    /// Tells of every key that nobody asked for, in the notes of `above`.
    pub fn finish_into(mut self, above: &mut Fields) {
        self.finish();
        above.notes.append(&mut self.notes);
    }
}

fn quoted_key(key: &str) -> String {
    if key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')) {
        key.to_owned()
    } else {
        quoted(key)
    }
}

/// A value as a note shows it, where it is short and no secret.
fn shown(key: &str, value: &Value) -> String {
    let secret = is_secret_header(key)
        || ["pass", "key", "auth", "cred", "webhook"].iter().any(|w| key.to_lowercase().contains(w));
    match scalar(value) {
        Some(text) if !secret && text.len() <= 60 => format!(" = {}", quoted(&redact_userinfo_within(&text))),
        _ => String::new(),
    }
}

const UNQUOTED: &str =
    "stands without quotes in the source and is no text to YAML (1.10 is 1.1, on is true): look whether it is as meant";

/// YAML without quotes loses how a text was written.
fn may_have_been_other_text(value: &Value) -> bool {
    value.is_boolean() || value.is_f64()
}

/// A value as text, where it is a single one.
#[must_use]
pub fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(s) => Some(s.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_key_is_handed_out_once_and_the_rest_is_told() {
        let mut f = Fields::of(
            json!({"name": 5, "on": "yes", "n": "7", "l": "x", "gone": null, "odd": {"a": 1}, "token": "hunter2", "proxy": "http://u:hunter2@p/"}),
            "c.",
        );
        assert_eq!((f.text("name").as_deref(), f.flag("on"), f.number("n")), (Some("5"), Some(true), Some(7)));
        assert_eq!((f.texts("l"), f.text("name")), (vec!["x".to_owned()], None));
        assert!(f.no_counterpart(&[("proxy", "no proxies"), ("absent", "nothing")]));
        f.finish();
        let told = f.notes.join("\n");
        assert_eq!(
            told,
            "c.proxy = `http://***@p/` has no counterpart: no proxies\nc.odd has no counterpart\nc.token has no counterpart"
        );
    }

    #[test]
    fn what_yaml_may_have_changed_is_told() {
        let mut f = Fields::of(json!({"name": false, "n": 7, "headers": {"X-Version": 1.1, "X-Id": 5, "X": "on"}}), "");
        assert_eq!((f.text("name").as_deref(), f.text("n").as_deref()), (Some("false"), Some("7")));
        assert_eq!(f.pairs("headers").len(), 3);
        assert_eq!(f.notes, [format!("name {UNQUOTED}"), format!("headers.X-Version {UNQUOTED}")]);
    }

    #[test]
    fn wrong_types_are_told() {
        let mut f = Fields::of(json!({"a": [1], "b": "perhaps", "c": 1.5, "d": [[1]], "e": 3}), "");
        assert_eq!(
            (f.text("a"), f.flag("b"), f.number("c"), f.texts("d").len(), f.pairs("e").len()),
            (None, None, None, 0, 0)
        );
        assert_eq!(f.notes.len(), 5, "{:?}", f.notes);
        assert_eq!(Fields::of(json!([1]), "client.").notes, ["client is a list, not a table"]);
    }
}
