//! Lines of a provider's file: a path as `send.json.blocks[0].text` to where it stands.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use toml::de::{DeTable, DeValue};

use super::FileProblem;

/// A file's name and text.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) name: String,
    text: String,
    /// Where its values stand; made when somebody asks, which at a start nobody does.
    root: OnceLock<Places>,
}

/// The keys of a table or the elements of a list, each with the offset of its value.
#[derive(Debug, Clone, Default)]
struct Places {
    table: BTreeMap<String, (usize, Places)>,
    list: Vec<(usize, Places)>,
}

impl Source {
    pub(super) fn new(name: &str, text: &str) -> Source {
        Source { name: name.to_owned(), text: text.to_owned(), root: OnceLock::new() }
    }

    /// A problem with what stands at a path.
    pub(super) fn problem(&self, path: &str, message: String) -> FileProblem {
        self.problem_within(path, 0, message)
    }

    /// A problem in a line (from 0) of the text that stands at a path.
    pub(super) fn problem_within(&self, path: &str, line: usize, message: String) -> FileProblem {
        let message = if path.is_empty() { message } else { format!("{path}: {message}") };
        FileProblem::new(&self.name, self.line(path).map_or(0, |first| first + line), &message)
    }

    /// A file that is no TOML, or has a key that is not known.
    pub(super) fn toml_problem(&self, error: &toml::de::Error) -> FileProblem {
        let line = error.span().map_or(0, |span| self.line_at(span.start));
        FileProblem::new(&self.name, line, error.message())
    }

    /// Whether there is anything at a path.
    pub(super) fn has(&self, path: &str) -> bool {
        self.find(path).is_some()
    }

    /// From 1; of a text of several lines, its first line.
    pub(super) fn line(&self, path: &str) -> Option<usize> {
        let start = self.find(path)?;
        let opens = ["\"\"\"\n", "'''\n"].iter().any(|quotes| self.text[start..].starts_with(quotes));
        Some(self.line_at(start) + usize::from(opens))
    }

    fn line_at(&self, offset: usize) -> usize {
        self.text.get(..offset).unwrap_or_default().matches('\n').count() + 1
    }

    /// The offset of the value at a path.
    fn find(&self, path: &str) -> Option<usize> {
        let root = || DeTable::parse(&self.text).map(|root| Places::of_table(root.get_ref())).unwrap_or_default();
        let (mut at, mut offset, mut rest) = (self.root.get_or_init(root), 0, path);
        while !rest.is_empty() {
            let ((start, below), after) = at.step_into(rest)?;
            (at, offset, rest) = (below, *start, after.strip_prefix('.').unwrap_or(after));
        }
        Some(offset)
    }
}

impl Places {
    fn of_table(table: &DeTable<'_>) -> Places {
        let below = table.iter().map(|(key, value)| (key.get_ref().to_string(), Places::of(value)));
        Places { table: below.collect(), list: Vec::new() }
    }

    fn of(value: &toml::Spanned<DeValue<'_>>) -> (usize, Places) {
        let below = match value.get_ref() {
            DeValue::Table(table) => Places::of_table(table),
            DeValue::Array(list) => Places { table: BTreeMap::new(), list: list.iter().map(Places::of).collect() },
            _ => Places::default(),
        };
        (value.span().start, below)
    }

    /// The element with which a path begins, or the longest such key (a key may hold dots itself), and what follows it.
    fn step_into<'p>(&self, path: &'p str) -> Option<(&(usize, Places), &'p str)> {
        let number = path.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        if let Some((element, rest)) =
            number.and_then(|(i, rest)| Some((self.list.get(i.parse::<usize>().ok()?)?, rest)))
        {
            return Some((element, rest));
        }
        let fits = self.table.iter().filter_map(|(key, value)| {
            let rest = path.strip_prefix(key.as_str())?;
            (rest.is_empty() || rest.starts_with(['.', '['])).then_some((key.len(), value, rest))
        });
        fits.max_by_key(|(len, ..)| *len).map(|(_, value, rest)| (value, rest))
    }
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
