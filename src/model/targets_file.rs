//! The targets file: `[[target]]` tables in TOML, in the words of the `targets` table.

use serde_json::{Map, Value};

use super::definition::{Definition, HIDDEN, Problem};
use super::text::{nearest, quoted};

/// One `[[target]]` of a file: what was written, and nothing else, so that an absent key can mean "as it is".
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its tenant; `0` when the file does not say.
    pub tenantid: String,
    /// The name it had before: keeps its history over a rename.
    pub renamed_from: Option<String>,
    /// All keys that were written, without `renamed_from`.
    pub keys: Map<String, Value>,
}

impl Entry {
    /// Reads and checks the keys of one target.
    ///
    /// # Errors
    /// Its name, if it has one, and everything that is wrong.
    pub fn from_keys(keys: Map<String, Value>) -> Result<Entry, (Option<String>, Vec<Problem>)> {
        entry_from_keys(keys)
    }

    /// The definition when there is no row yet.
    ///
    /// # Errors
    /// All problems of the keys; the meaning is checked by [`Definition::validate`].
    pub fn definition(&self) -> Result<Definition, Vec<Problem>> {
        let mut definition = Definition::default();
        definition.set_all(&self.keys)?;
        Ok(definition)
    }
}

/// One thing that is wrong with a file, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileProblem {
    /// `line 3, column 7` or `[[target]] 2 (shop)`; empty for the file as a whole.
    pub place: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl std::fmt::Display for FileProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.place.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.place, self.message) }
    }
}

/// Reads and checks a whole targets file.
///
/// # Errors
/// Every problem of the file with its place; nothing of a file with a problem is to be used.
pub fn parse(text: &str) -> Result<Vec<Entry>, Vec<FileProblem>> {
    let whole = |place: String, message: String| vec![FileProblem { place, message }];
    let table: toml::Table = toml::from_str(text).map_err(|e| {
        let place = e.span().map_or(String::new(), |span| {
            let before = text.get(..span.start).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            format!("line {line}, column {column}")
        });
        whole(place, format!("this is not TOML: {}", e.message()))
    })?;
    let mut problems = Vec::new();
    let mut entries: Vec<Entry> = Vec::new();
    for (key, value) in table {
        match (key.as_str(), value) {
            ("target", toml::Value::Array(targets)) => {
                for (i, target) in targets.into_iter().enumerate() {
                    match read_entry(target) {
                        Ok(entry) => entries.push(entry),
                        Err((name, found)) => {
                            let place = format!(
                                "[[target]] {}{}",
                                i + 1,
                                name.map_or(String::new(), |n| format!(" ({})", quoted(&n)))
                            );
                            problems.extend(
                                found.into_iter().map(|p| FileProblem { place: place.clone(), message: p.to_string() }),
                            );
                        }
                    }
                }
            }
            ("target", _) => problems
                .extend(whole(String::new(), "`target` is not a list: write [[target]] with double brackets".into())),
            (other, _) => {
                let hint = nearest(other, ["target"])
                    .map_or("targets are written as [[target]]".to_owned(), |k| format!("did you mean [[{k}]]?"));
                problems.extend(whole(String::new(), format!("there is no key {}; {hint}", quoted(other))));
            }
        }
    }
    for (i, entry) in entries.iter().enumerate() {
        if let Some(first) = entries[..i].iter().position(|e| e.name == entry.name && e.tenantid == entry.tenantid) {
            problems.extend(whole(
                String::new(),
                format!(
                    "{} stands twice in tenant {} (the {}. and {}. valid [[target]]): names are unique within a tenant",
                    quoted(&entry.name),
                    quoted(&entry.tenantid),
                    first + 1,
                    i + 1
                ),
            ));
        }
    }
    if problems.is_empty() { Ok(entries) } else { Err(problems) }
}

fn read_entry(value: toml::Value) -> Result<Entry, (Option<String>, Vec<Problem>)> {
    // JSON knows no nan and no inf: they would become nothing, and nothing means the default.
    if let Some((key, _)) =
        value.as_table().and_then(|t| t.iter().find(|(_, v)| v.as_float().is_some_and(|f| !f.is_finite())))
    {
        let name = value.get("name").and_then(toml::Value::as_str).map(str::to_owned);
        return Err((name, vec![wrong(key, "is no number")]));
    }
    match serde_json::to_value(&value) {
        Ok(Value::Object(keys)) => Entry::from_keys(keys),
        _ => Err((None, vec![wrong("target", "is not a table: write [[target]] and keys below it")])),
    }
}

fn wrong(field: &str, message: &str) -> Problem {
    Problem { field: field.into(), message: message.into() }
}

fn entry_from_keys(mut keys: Map<String, Value>) -> Result<Entry, (Option<String>, Vec<Problem>)> {
    let text = |keys: &Map<String, Value>, key: &str| keys.get(key).and_then(Value::as_str).map(str::to_owned);
    let name = text(&keys, "name");
    let tenantid = text(&keys, "tenantid").unwrap_or_else(|| "0".into());
    let renamed_from = match keys.remove("renamed_from") {
        None => None,
        Some(Value::String(s)) => Some(s),
        Some(_) => {
            return Err((
                name,
                vec![wrong("renamed_from", "is not a text: write the name that the target had before")],
            ));
        }
    };
    let mut definition = Definition::standing_in(&keys);
    let mut problems = definition.set_all(&keys).err().unwrap_or_default();
    if problems.is_empty() {
        problems = definition.validate().err().unwrap_or_default();
        if keys.get("authn_parms").is_none_or(|v| v == HIDDEN) {
            // An absent secret, or `***`, means "as it is". Whether there is one, only the database knows.
            problems.retain(|p| p.field != "authn_parms");
        }
    }
    match name {
        Some(name) if problems.is_empty() => Ok(Entry { name, tenantid, renamed_from, keys }),
        name => Err((name, problems)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_file_with_everything_people_write() {
        let entries = parse(
            r#"
            [[target]]
            name = "shop"
            url = "https://shop.example/"
            frequency = "10s"
            pass_result = 200
            tags = ["web", "prod"]
            headers = { Accept = "text/html" }

            [[target]]
            name = "api"
            tenantid = "7"
            renamed_from = "old api"
            url = "https://api.example/v1?x=1"
            frequency_ms = 500
            "#,
        )
        .unwrap();
        let d = entries[0].definition().unwrap();
        assert_eq!(
            (d.frequency_ms, d.pass_result.as_str(), d.headers.as_deref()),
            (10_000, "200", Some("Accept: text/html"))
        );
        assert_eq!(entries[1].renamed_from.as_deref(), Some("old api"));
        assert!(!entries[1].keys.contains_key("renamed_from"));
    }

    #[test]
    fn an_absent_secret_is_as_it_is_and_a_wrong_one_is_wrong() {
        let target = "[[target]]\nname='a'\nurl='http://x/'\nauthn='BASIC'\n";
        assert_eq!(parse(target).unwrap().len(), 1);
        let wrong = parse(&format!("{target}authn_parms='user=a'\n")).unwrap_err();
        assert!(wrong[0].message.contains("password"), "{wrong:?}");
    }

    #[test]
    fn problems_name_their_place() {
        let cases = [
            ("[[target]\nname=1", "line 1"),
            (
                "[[target]]\nname='a'\nurl='http://x/'\nfrequncy='1s'",
                "[[target]] 1 (`a`): frequncy: there is no such key; did you mean",
            ),
            ("[[target]]\nurl='http://x/'", "[[target]] 1: name: is empty"),
            ("[[target]]\nname='a'\nurl='http://x/'\nfail_after=nan", "[[target]] 1 (`a`): fail_after: is no number"),
            ("[[target]]\nname='a'\nurl='http://x/'\ntimeout='2m'", "timeout_ms: 120000 is longer"),
            ("[[targets]]\nname='a'", "did you mean [[target]]?"),
            ("target = 3", "double brackets"),
            ("[[target]]\nname='a'\nurl='http://x/'\n[[target]]\nname='a'\nurl='http://y/'", "stands twice"),
        ];
        for (text, part) in cases {
            let all: Vec<String> = parse(text).unwrap_err().iter().map(ToString::to_string).collect();
            assert!(all.iter().any(|p| p.contains(part)), "{text}: {all:?} should hold {part}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC*|(\\[\\[target\\]\\]\n)?([a-z_]{1,12} = (\"[^\"]{0,12}\"|-?[0-9]{1,20}|true|\\[\\])\n){0,6}") {
            let _ignored = parse(&text);
        }
    }
}
