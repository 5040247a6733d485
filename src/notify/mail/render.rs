//! A message as subject, text and HTML.
//!
//! ```text
//!  Message --view--> what the templates see --etc/notifiers/mail/{subject.txt,body.txt,body.html}--> Rendered
//!                                            \--the notifier's own `subject`, `text`, `html` or EVENT
//! ```
//!
//! A notifier's own templates stand in for the built-in ones: `subject`, `text` and `html` for all messages, and the
//! name of a kind (`fail`, `recovery`, `reminder`, `flapping`, `settled`, `both`, `digest`, `test`, or `all`) for the text
//! of that kind, which then has no HTML. They see the names of the catalogue's templates and those of the view. When one
//! of them fails, the built-in ones are used: a message is more than its looks.

use std::borrow::Cow;
use std::sync::OnceLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value};
use serde_json::Value as Json;

use super::view::{View, view};
use super::wrap::{field, wrap};
use crate::model::definition::Problem;
use crate::model::message::Message;
use crate::model::text::{escape_controls, nearest, shorten};
use crate::model::time::UtcMs;
use crate::notify::catalogue::{add_filters, facts};

const SUBJECT: &str = include_str!("../../../etc/notifiers/mail/subject.txt");
const TEXT: &str = include_str!("../../../etc/notifiers/mail/body.txt");
const HTML: &str = include_str!("../../../etc/notifiers/mail/body.html");

/// A subject is no longer than this.
const MAX_SUBJECT: usize = 180;

/// The HTML part of a digest is no longer: Gmail shows 102 KB of a message.
const MOST_HTML: usize = 90_000;

/// For the words around the names.
const SPARE: usize = 1_000;

/// So much work a template of a person may do: a digest of hundreds takes a small part of it.
const FUEL: u64 = 5_000_000;

/// The kinds that a template may be for.
const KINDS: [&str; 9] = ["fail", "recovery", "reminder", "flapping", "settled", "both", "digest", "test", "all"];

/// A message, ready to be composed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// One line.
    pub subject: String,
    /// The plain part, lines of at most 76 columns where words allow it.
    pub text: String,
    /// The HTML part.
    pub html: Option<String>,
    /// What is wrong with the notifier's own templates, where they could not be used.
    pub problem: Option<String>,
}

/// Renders `message` as of `now`.
#[must_use]
pub fn render(message: &Message, own: &[(String, String)], now: UtcMs) -> Rendered {
    let view = view(message, now);
    let problem = match own.is_empty() {
        true => None,
        false => match with_own(&view, message, own, now) {
            Ok(rendered) => return rendered,
            Err(e) => Some(words(&e)),
        },
    };
    match built_in(&view) {
        Ok(rendered) => Rendered { problem, ..rendered },
        // The tests render every kind; should one fail all the same, the message goes out bare.
        Err(e) => Rendered {
            subject: line(&view.subject),
            text: format!("{}\n", view.first),
            html: None,
            problem: Some(words(&e)),
        },
    }
}

/// What is wrong with a notifier's own templates: names that are none, and what fails with the samples.
#[must_use]
pub fn check_templates(own: &[(String, String)]) -> Vec<Problem> {
    let problem = |message: String| Problem { field: "templates".into(), message };
    let known = || ["subject", "text", "html"].into_iter().chain(KINDS);
    let mut problems = Vec::new();
    for (name, source) in own {
        if !known().any(|k| k == name) {
            let hint = match nearest(name, known()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known are {}", known().collect::<Vec<_>>().join(", ")),
            };
            problems.push(problem(format!("{} is no template of SMTP: {hint}", crate::model::text::quoted(name))));
            continue;
        }
        let mut failed = Vec::new();
        for sample in super::samples::all() {
            let now = UtcMs(sample.at.0 + 60_000);
            let rendered = context(&view(&sample, now), &sample, now)
                .and_then(|context| one(&environment(Some(FUEL)), name, source, &context));
            failed.extend(rendered.err().map(|e| words(&e)));
        }
        failed.dedup();
        problems.extend(failed.into_iter().take(1).map(problem));
    }
    problems
}

fn built_in(view: &View) -> Result<Rendered, Error> {
    static ENVIRONMENT: OnceLock<Result<Environment<'static>, Error>> = OnceLock::new();
    let env = ENVIRONMENT.get_or_init(|| {
        let mut env = environment(None);
        for (file, source) in [("subject.txt", SUBJECT), ("body.txt", TEXT), ("body.html", HTML)] {
            env.add_template(file, source)?;
        }
        Ok(env)
    });
    let env = env.as_ref().map_err(|e| Error::new(e.kind(), words(e)))?;
    let of = |file| env.get_template(file)?.render(Serde(view));
    Ok(Rendered {
        subject: line(&of("subject.txt")?),
        text: tidy(&of("body.txt")?),
        html: Some(fitting(view, |view| env.get_template("body.html")?.render(Serde(view)))?),
        problem: None,
    })
}

/// The HTML part, shortened until mail programs show it whole: names of all come before items in full, and where even
/// names are too many some are counted.
fn fitting(view: &View, render: impl Fn(&View) -> Result<String, Error>) -> Result<String, Error> {
    let whole = render(view)?;
    if whole.len() <= MOST_HTML || view.items.len() + view.more < 2 {
        return Ok(whole);
    }
    let mut view = view.clone();
    for items in [25, 12, 6, 3] {
        view.share(items, usize::MAX);
        let html = render(&view)?;
        if html.len() <= MOST_HTML {
            return Ok(html);
        }
    }
    let mut html = whole;
    for items in [12, 3, 1, 0] {
        view.share(items, 0);
        let room = MOST_HTML.saturating_sub(render(&view)?.len() + SPARE);
        // The worst in full, and names enough to see how far it goes.
        if room >= MOST_HTML / 2 || items == 0 {
            view.share(items, room);
            html = render(&view)?;
            break;
        }
    }
    Ok(html)
}

fn with_own(view: &View, message: &Message, own: &[(String, String)], now: UtcMs) -> Result<Rendered, Error> {
    let rendered = built_in(view)?;
    let (env, context) = (environment(Some(FUEL)), context(view, message, now)?);
    let get =
        |name: &str| own.iter().find(|(n, _)| n == name).map(|(n, source)| one(&env, n, source, &context)).transpose();
    let of_kind = match get(&view.kind)? {
        Some(text) => Some(text),
        None => get("all")?,
    };
    let html = match of_kind {
        Some(_) => None,
        None => get("html")?.map(|html| visible(&html).into_owned()).or(rendered.html),
    };
    Ok(Rendered {
        subject: get("subject")?.map_or(rendered.subject, |s| line(&s)),
        text: match of_kind {
            Some(text) => tidy(&text),
            None => get("text")?.map_or(rendered.text, |t| tidy(&t)),
        },
        html,
        problem: None,
    })
}

/// What a person's templates see: the names that those of all types have, and those of the view, which win.
fn context(view: &View, message: &Message, now: UtcMs) -> Result<Value, Error> {
    let wrong = |e: serde_json::Error| Error::new(ErrorKind::BadSerialization, e.to_string());
    let mut all = facts(message);
    all.values_mut().for_each(clean);
    let mut items = all.remove("items").and_then(|items| items.as_array().cloned()).unwrap_or_default();
    for (item, shown) in items.iter_mut().zip(&view.items) {
        if let (Some(item), Json::Object(shown)) = (item.as_object_mut(), serde_json::to_value(shown).map_err(wrong)?) {
            item.extend(shown);
        }
    }
    if let Json::Object(shown) = serde_json::to_value(view).map_err(wrong)? {
        all.extend(shown);
    }
    let text = built_in(view)?.text;
    all.extend([
        ("event".to_owned(), view.kind.as_str().into()),
        ("now".to_owned(), now.0.into()),
        ("text".to_owned(), text.into()),
        ("item".to_owned(), items.first().cloned().unwrap_or_default()),
        ("items".to_owned(), items.into()),
    ]);
    Ok(Value::from(Serde(Json::Object(all))))
}

/// All texts in it on one line: a name or a reason may be what a server said.
fn clean(value: &mut Json) {
    match value {
        Json::String(text) => {
            if let Cow::Owned(escaped) = escape_controls(text) {
                *text = escaped;
            }
        }
        Json::Array(values) => values.iter_mut().for_each(clean),
        Json::Object(map) => map.values_mut().for_each(clean),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

fn one(env: &Environment<'_>, name: &str, source: &str, context: &Value) -> Result<String, Error> {
    let file = match name {
        "html" => "body.html",
        "text" => "body.txt",
        "subject" => "subject.txt",
        kind => kind,
    };
    env.template_from_named_str(file, source)?.render(context)
}

fn environment(fuel: Option<u64>) -> Environment<'static> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    // Default marks: they always build.
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build();
    env.set_syntax(syntax.unwrap_or_default());
    env.set_fuel(fuel);
    env.set_auto_escape_callback(|name| if name.ends_with(".html") { AutoEscape::Html } else { AutoEscape::None });
    add_filters(&mut env);
    env.add_filter("wrap", |text: String, indent: Option<usize>| wrap(&text, indent.unwrap_or(0)));
    env.add_filter("field", |value: String, label: String| field(&label, &value));
    env
}

/// One line without control characters, not too long.
fn line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    shorten(&escape_controls(&words.join(" ")), MAX_SUBJECT).into_owned()
}

/// Control characters and what reorders text are made visible, also those that an own template writes itself.
fn visible(text: &str) -> Cow<'_, str> {
    let acts = |c: char| {
        (c.is_control() && c != '\n' && c != '\t') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let text = text.replace("\r\n", "\n");
    let show = |c: char| if acts(c) { c.escape_default().to_string() } else { c.to_string() };
    Cow::Owned(text.chars().map(show).collect())
}

/// No blanks at the ends of lines, no more than one empty line in a row, one line break at the end.
fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut empty = true;
    for line in visible(text).lines().map(str::trim_end) {
        if line.is_empty() && empty {
            continue;
        }
        empty = line.is_empty();
        out.push_str(line);
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

/// File, line and what is wrong.
fn words(error: &Error) -> String {
    let at = match (error.name(), error.line()) {
        (Some(name), Some(line)) => format!("{name}, line {line}: "),
        _ => String::new(),
    };
    let what = error.detail().map_or_else(|| error.kind().to_string(), |d| format!("{}: {d}", error.kind()));
    escape_controls(&shorten(&format!("{at}{what}"), 200)).into_owned()
}

#[cfg(test)]
mod tests;
