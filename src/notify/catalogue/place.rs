//! Lines of a provider's file: a path as `send.json.blocks[0].text` to where it stands.

use serde::de::Error as _;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::FileProblem;

/// A file's name and text.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) name: String,
    text: String,
}

impl Source {
    pub(super) fn new(name: &str, text: &str) -> Source {
        Source { name: name.to_owned(), text: text.to_owned() }
    }

    /// A problem with what stands at a path.
    pub(super) fn problem(&self, path: &str, message: String) -> FileProblem {
        self.problem_within(path, 0, message)
    }

    /// A problem in a line (from 0) of the text that stands at a path.
    pub(super) fn problem_within(&self, path: &str, line: usize, message: String) -> FileProblem {
        let message = if path.is_empty() { message } else { format!("{path}: {message}") };
        FileProblem { file: self.name.clone(), line: self.line(path).map_or(0, |first| first + line), message }
    }

    /// A file that is no TOML, or has a key that is not known.
    pub(super) fn toml_problem(&self, error: &toml::de::Error) -> FileProblem {
        let line = error.span().map_or(0, |span| self.line_at(span.start));
        FileProblem { file: self.name.clone(), line, message: error.message().to_owned() }
    }

    /// Whether there is anything at a path.
    pub(super) fn has(&self, path: &str) -> bool {
        self.find(path).is_ok()
    }

    /// From 1; of a text of several lines, its first line.
    pub(super) fn line(&self, path: &str) -> Option<usize> {
        let start = self.find(path).ok()?;
        let opens = ["\"\"\"\n", "'''\n"].iter().any(|quotes| self.text[start..].starts_with(quotes));
        Some(self.line_at(start) + usize::from(opens))
    }

    fn line_at(&self, offset: usize) -> usize {
        self.text.get(..offset).unwrap_or_default().matches('\n').count() + 1
    }

    /// The offset of the value at a path; of the deepest part of the path that is there when the rest is not.
    fn find(&self, path: &str) -> Result<usize, toml::de::Error> {
        let root = DeTable::parse(&self.text)?;
        let mut rest = path;
        let mut at: Option<&Spanned<DeValue<'_>>> = None;
        while !rest.is_empty() {
            let next = match at.map(Spanned::get_ref) {
                None => step_into(root.get_ref(), rest),
                Some(DeValue::Table(table)) => step_into(table, rest),
                Some(DeValue::Array(list)) => rest
                    .strip_prefix('[')
                    .and_then(|r| r.split_once(']'))
                    .and_then(|(i, r)| Some((list.get(i.parse::<usize>().ok()?)?, r))),
                Some(_) => None,
            };
            let (value, after) = next.ok_or_else(|| toml::de::Error::custom("there is no such key"))?;
            (at, rest) = (Some(value), after.strip_prefix('.').unwrap_or(after));
        }
        Ok(at.map_or(0, |v| v.span().start))
    }
}

/// The longest key of a table with which a path begins (a key may hold dots itself), and what follows it.
fn step_into<'a, 'i, 'p>(table: &'a DeTable<'i>, path: &'p str) -> Option<(&'a Spanned<DeValue<'i>>, &'p str)> {
    let fits = table.iter().filter_map(|(key, value)| {
        let rest = path.strip_prefix(key.get_ref().as_ref())?;
        (rest.is_empty() || rest.starts_with(['.', '['])).then_some((key.get_ref().len(), value, rest))
    });
    fits.max_by_key(|(len, ..)| *len).map(|(_, value, rest)| (value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_the_file() {
        let text = "a = 1\n[send]\nurl = \"u\"\n[send.json]\nlist = [\n  { x = 'y' },\n]\n\"k.l\" = \"\"\"\nfirst\nsecond\"\"\"\n";
        let source = Source::new("f.toml", text);
        for (path, line) in [("a", 1), ("send.url", 3), ("send.json.list[0].x", 6), ("send.json.k.l", 9)] {
            assert_eq!(source.line(path), Some(line), "{path}");
        }
        assert!(!source.has("send.nothing") && !source.has("send.json.list[1]") && source.has("send"));
        let problem = source.problem_within("send.json.k.l", 1, "it is wrong".into());
        assert_eq!(problem.to_string(), "f.toml, line 10: send.json.k.l: it is wrong");
    }
}
