//! What a person reads: rendered in the receiver's markup, and no longer than the receiver takes.
//!
//! ```text
//!  template --room for everything--> too long? --room for less--> … --room for one line--> still? the plain text, cut
//! ```
//!
//! Markup is never cut in the middle: a receiver would refuse it.

use std::collections::BTreeMap;

use minijinja::Value;
use minijinja::value::Serde;
use serde::Serialize;

use super::engine::{self, Fault};
use super::file::Text;
use super::markup::Markup;
use crate::model::text::shorten;

/// The text of providers whose file has none, and so of nearly all.
pub(super) const DEFAULT: &str = include_str!("../../../etc/notifiers/text.jinja");
/// Where [`DEFAULT`] stands.
pub(super) const DEFAULT_FILE: &str = "text.jinja";

/// For how much there is room: what `room` is in a template.
#[derive(Debug, Clone, Copy, Serialize)]
struct Room {
    /// Items of a digest, names behind a target.
    items: usize,
    /// Lines of a trace.
    lines: usize,
}

/// From roomy to narrow.
const ROOMS: [Room; 8] = [
    Room { items: 50, lines: 30 },
    Room { items: 50, lines: 8 },
    Room { items: 30, lines: 0 },
    Room { items: 15, lines: 0 },
    Room { items: 8, lines: 0 },
    Room { items: 4, lines: 0 },
    Room { items: 2, lines: 0 },
    Room { items: 1, lines: 0 },
];

/// A template for text and whether it says everything (an operator's own) or stands below a heading.
pub(super) struct Wording<'a> {
    pub(super) template: &'a str,
    pub(super) whole: bool,
}

/// Adds `heading`, `text`, `full` (both) and `plain` (`full` without markup) to a context that has `title` and
/// `symbol`. `full` keeps the limits of `rules`, and so does `text`.
pub(super) fn add(context: &mut BTreeMap<String, Value>, wording: &Wording<'_>, rules: &Text) -> Result<(), Fault> {
    let heading = engine::text("{{ symbol }} {{ title | bold }}", rules.markup, &Value::from(context.clone()))?;
    let fits = |text: &str| {
        rules.max_chars.is_none_or(|max| text.chars().count() <= max)
            && rules.max_bytes.is_none_or(|max| text.len() <= max)
    };
    let full = |text: &str| match text {
        _ if wording.whole => text.to_owned(),
        "" => heading.clone(),
        text => format!("{heading}\n{text}"),
    };
    let render = |room: Room, markup: Markup| {
        let mut context = context.clone();
        context.insert("room".into(), Value::from(Serde(room)));
        engine::text(wording.template, markup, &Value::from(context)).map(|text| tidy(&text))
    };
    let mut narrowest = ROOMS[ROOMS.len() - 1];
    let mut found = None;
    for room in ROOMS {
        let text = render(room, rules.markup)?;
        if fits(&full(&text)) {
            (found, narrowest) = (Some(text), room);
            break;
        }
    }
    let below = render(narrowest, Markup::Plain)?;
    let plain = if wording.whole {
        below
    } else {
        format!("{}\n{below}", engine::raw("{{ symbol }} {{ title }}", &Value::from(context.clone()))?)
    };
    let text = match found {
        Some(text) => text,
        None => {
            let plain = render(narrowest, Markup::Plain)?;
            cut(&plain, |text| fits(&full(&rules.markup.escape(text))), |text| rules.markup.escape(text))
        }
    };
    let plain = cut(plain.trim(), fits, str::to_owned);
    context.insert("plain".into(), Value::from(plain));
    context.insert("full".into(), Value::from(full(&text)));
    context.insert("text".into(), Value::from(text));
    context.insert("heading".into(), Value::from(heading));
    Ok(())
}

/// As much of a plain text as fits, written by `write`.
fn cut(plain: &str, fits: impl Fn(&str) -> bool, write: impl Fn(&str) -> String) -> String {
    let mut keep = plain.chars().count();
    while keep > 0 {
        let text = shorten(plain, keep);
        if fits(&text) {
            return write(&text);
        }
        keep = keep * 9 / 10;
    }
    String::new()
}

/// Without spaces at the ends of lines, and with at most one empty line in a row.
fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut empty = 0;
    for line in text.trim().lines().map(str::trim_end) {
        empty = if line.is_empty() { empty + 1 } else { 0 };
        if empty < 2 {
            if !out.is_empty() {
                out.push('\n');
            }
            out.push_str(line);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(template: &str, markup: Markup, max: Option<usize>) -> String {
        let mut context = BTreeMap::from([
            ("title".to_owned(), Value::from("a <b> is down")),
            ("symbol".to_owned(), Value::from("!")),
            ("items".to_owned(), Value::from((0..60).collect::<Vec<i32>>())),
        ]);
        let mut rules = Text::default();
        (rules.markup, rules.max_chars) = (markup, max);
        add(&mut context, &Wording { template, whole: false }, &rules).unwrap();
        context["full"].to_string()
    }

    #[test]
    fn the_text_takes_the_room_that_there_is() {
        let template = "{% for i in items[:room.items] %}\nline {{ i }}\n{% endfor %}";
        assert_eq!(rendered(template, Markup::Plain, None).lines().count(), 51);
        assert_eq!(rendered(template, Markup::Plain, Some(100)).lines().count(), 9);
        assert_eq!(rendered(template, Markup::Html, Some(40)), "! <b>a &lt;b&gt; is down</b>\nline 0");
    }

    #[test]
    fn what_fits_no_room_is_cut_as_plain_text() {
        let full = rendered("{{ (title * 20) | bold }}", Markup::Html, Some(120));
        assert!(full.chars().count() <= 120 && full.ends_with('…'), "{full}");
        assert!(full.starts_with("! <b>a &lt;b&gt; is down</b>\na &lt;b&gt;"), "{full}");
    }

    #[test]
    fn spaces_and_empty_lines_are_tidied() {
        assert_eq!(tidy("\n a  \n\n\n\nb\n"), "a\n\nb");
    }
}
