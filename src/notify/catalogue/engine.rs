//! The template engine: one environment with our filters, strict about what is undefined, and its errors in our words.
//!
//! ```text
//!  leaf of a body  --raw------> nothing is escaped: JSON, forms and URLs escape by structure
//!  message text    --markup---> every `{{ … }}` is escaped for the receiver's markup, ours and an operator's alike
//! ```
//!
//! A template is compiled when it is used: that costs about what filling it costs, and nothing is kept.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::LazyLock;

use base64::Engine as _;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Kwargs;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value};

use super::markup::Markup;
use super::words;
use crate::model::text::quoted;

/// So much work is enough for the longest message; a template that never ends is stopped by it.
const FUEL: u64 = 500_000;

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(environment);

/// What is wrong with a template: where, counted from its own first line, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// From 0.
    pub(super) line: usize,
    pub(super) message: String,
}

/// Renders a leaf, in which nothing is escaped.
pub(super) fn raw(source: &str, context: &Value) -> Result<String, Fault> {
    ENVIRONMENT.render_named_str("raw", source, context.clone()).map_err(|e| fault(&e, source))
}

/// Renders text for people in a receiver's markup.
pub(super) fn text(source: &str, markup: Markup, context: &Value) -> Result<String, Fault> {
    ENVIRONMENT.render_named_str(markup.name(), source, context.clone()).map_err(|e| fault(&e, source))
}

/// The value of an expression.
pub(super) fn value(expression: &str, context: &Value) -> Result<Value, Fault> {
    let compiled = ENVIRONMENT.compile_expression_owned(expression.to_owned()).map_err(|e| fault(&e, expression))?;
    let value = compiled.eval(context.clone()).map_err(|e| fault(&e, expression))?;
    if value.is_undefined() {
        return Err(undefined(expression.trim(), 0));
    }
    Ok(value)
}

/// The expression of a leaf that is nothing else: `{{ expression }}`.
pub(super) fn whole_expression(source: &str) -> Option<&str> {
    let inner = source.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    (!inner.contains("{{") && !inner.contains("}}") && !inner.contains("{%")).then(|| inner.trim_matches('-').trim())
}

/// Whether there is anything to be rendered.
pub(super) fn is_template(source: &str) -> bool {
    source.contains("{{") || source.contains("{%") || source.contains("{#")
}

/// Every name that a template takes from outside, as `item.target.name`, whichever branch it stands in. A syntax error
/// is found by rendering.
pub(super) fn names(source: &str) -> Vec<String> {
    let found = match whole_expression(source) {
        Some(expression) => ENVIRONMENT
            .compile_expression_owned(expression.to_owned())
            .map(|e| e.undeclared_variables(true))
            .unwrap_or_default(),
        None => match ENVIRONMENT.template_from_named_str("raw", source) {
            Ok(template) => template.undeclared_variables(true),
            Err(_) => return Vec::new(),
        },
    };
    let globals: Vec<&str> = ENVIRONMENT.globals().map(|(name, _)| name).collect();
    let mut names: Vec<String> = found.into_iter().filter(|n| !globals.contains(&n.as_str())).collect();
    names.sort();
    names
}

pub(super) fn undefined(name: &str, line: usize) -> Fault {
    Fault { line, message: format!("{} is undefined", quoted(name)) }
}

fn environment() -> Environment<'static> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_fuel(Some(FUEL));
    env.set_debug(true);
    if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
        env.set_syntax(syntax);
    }
    env.set_auto_escape_callback(|name| match Markup::from_name(name) {
        Some(markup) => AutoEscape::Custom(Cow::Borrowed(markup.name())),
        None => AutoEscape::None,
    });
    env.set_formatter(write_value);
    add_filters(&mut env);
    env.add_filter("html", |text: Value| Value::from_safe_string(Markup::Html.escape(&shown(&text))));
    env.add_filter("slack", |text: Value| Value::from_safe_string(Markup::Slack.escape(&shown(&text))));
    env.add_filter("markdown", |text: Value| Value::from_safe_string(Markup::Markdown.escape(&shown(&text))));
    env.add_filter("discord", |text: Value| Value::from_safe_string(Markup::Discord.escape(&shown(&text))));
    env.add_filter("hmac_sha256", hmac_sha256);
    env.add_filter("bold", |state: &mut State<'_, '_>, text: Value| safe(markup(state).bold(&shown(&text))));
    env.add_filter("code", |state: &mut State<'_, '_>, text: Value| safe(markup(state).code(&shown(&text))));
    env.add_filter("pre", |state: &mut State<'_, '_>, text: Value| safe(markup(state).pre(&shown(&text))));
    env.add_filter("link", |state: &mut State<'_, '_>, text: Value| safe(markup(state).link(&shown(&text))));
    env
}

/// The filters that mean the same whatever the markup: those of a mail's templates too.
pub(in crate::notify) fn add_filters(env: &mut Environment<'_>) {
    env.add_filter("json", json);
    env.add_filter("urlencode", |text: String| words::percent(&text));
    env.add_filter("base64", |text: String| base64::engine::general_purpose::STANDARD.encode(text));
    env.add_filter("truncate", |text: String, max: usize| crate::model::text::shorten(&text, max).into_owned());
    env.add_filter("utc", words::utc);
    env.add_filter("iso", words::iso);
    env.add_filter("seconds", |ms: i64| ms.div_euclid(1000));
    env.add_filter("duration", words::duration);
}

fn safe(text: String) -> Value {
    Value::from_safe_string(text)
}

/// The markup of the text that is being rendered; plain in a leaf.
fn markup(state: &State<'_, '_>) -> Markup {
    match state.auto_escape() {
        AutoEscape::Custom(name) => Markup::from_name(name).unwrap_or_default(),
        _ => Markup::Plain,
    }
}

/// A value as text; nothing for none.
fn shown(value: &Value) -> String {
    if value.is_none() { String::new() } else { value.to_string() }
}

fn write_value(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    let text = shown(value);
    let text = if value.is_safe() { text } else { markup(state).escape(&text) };
    out.write_str(&text).map_err(Error::from)
}

fn json(value: Value) -> Result<Value, Error> {
    let text = serde_json::to_string(&value)
        .map_err(|_| Error::new(ErrorKind::InvalidOperation, "this cannot be written as JSON"))?;
    Ok(Value::from_safe_string(text))
}

/// `text | hmac_sha256(key)`: hexadecimal; with `encoding = "base64"` in that.
fn hmac_sha256(text: String, key: String, options: Kwargs) -> Result<String, Error> {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key.as_bytes());
    let tag = ring::hmac::sign(&key, text.as_bytes());
    let encoding = options.get::<Option<String>>("encoding")?;
    options.assert_all_used()?;
    match encoding.as_deref() {
        None | Some("hex") => Ok(hex(tag.as_ref())),
        Some("base64") => Ok(base64::engine::general_purpose::STANDARD.encode(tag.as_ref())),
        Some(_) => Err(Error::new(ErrorKind::InvalidOperation, "hmac_sha256 knows the encodings hex and base64")),
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, b| {
        let _infallible = write!(out, "{b:02x}");
        out
    })
}

/// The engine's error in our words. What it quotes of values is left out: a value may be a secret.
fn fault(error: &Error, source: &str) -> Fault {
    let line = error.line().unwrap_or(1).saturating_sub(1);
    let at = error.range().and_then(|range| source.get(range)).map(str::trim).unwrap_or_default();
    let message = match error.kind() {
        ErrorKind::UndefinedError if at.is_empty() => "something is undefined".to_owned(),
        ErrorKind::UndefinedError => return undefined(at, line),
        ErrorKind::SyntaxError => format!("this is no template: {}", error.detail().unwrap_or("a syntax error")),
        ErrorKind::UnknownFilter | ErrorKind::UnknownFunction | ErrorKind::UnknownTest | ErrorKind::UnknownMethod => {
            error.detail().map_or_else(|| error.kind().to_string(), str::to_owned)
        }
        ErrorKind::OutOfFuel => "it does too much: does a loop in it ever end?".to_owned(),
        kind if at.is_empty() => kind.to_string(),
        kind => format!("{kind} in `{at}`"),
    };
    Fault { line, message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minijinja::context;

    #[test]
    fn what_is_undefined_is_named_with_its_line() {
        let context = context! { item => context! { name => "x" } };
        let found = raw("a\n{{ item.name }}\n{{ item.nmae }}", &context).unwrap_err();
        assert_eq!(found, Fault { line: 2, message: "`item.nmae` is undefined".into() });
        let found = raw("{{ whatever.x }}", &context).unwrap_err();
        assert!(found.message.contains("whatever"), "{found:?}");
        assert_eq!(value("item.nmae", &context).unwrap_err().message, "`item.nmae` is undefined");
        assert!(raw("{% if x %}", &context).unwrap_err().message.starts_with("this is no template"));
        assert!(raw("{{ 1 | nofilter }}", &context).unwrap_err().message.contains("nofilter"));
        assert_eq!(
            names("{% if false %}{{ item.b }}{% endif %}{% for x in range(3) %}{{ x }}{% endfor %}"),
            ["item.b"]
        );
    }

    #[test]
    fn a_template_that_never_ends_is_stopped() {
        let source = "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
        assert!(raw(source, &context! {}).unwrap_err().message.contains("too much"));
    }

    #[test]
    fn markup_escapes_and_leaves_do_not() {
        let context = context! { x => "<a & b>", n => Value::from(()) };
        assert_eq!(raw("{{ x }}{{ n }}", &context).unwrap(), "<a & b>");
        assert_eq!(text("<i>{{ x }}</i>", Markup::Html, &context).unwrap(), "<i>&lt;a &amp; b&gt;</i>");
        assert_eq!(text("{{ x | bold }}", Markup::Html, &context).unwrap(), "<b>&lt;a &amp; b&gt;</b>");
        assert_eq!(raw("{{ x | html }} {{ [x, 1] | json }}", &context).unwrap(), "&lt;a &amp; b&gt; [\"<a & b>\",1]");
        assert_eq!(raw("{{ x | urlencode }}", &context).unwrap(), "%3Ca%20%26%20b%3E");
        assert_eq!(raw("{{ x | truncate(3) }}", &context).unwrap(), "<a…");
    }

    #[test]
    fn hmac_is_that_of_rfc_4231() {
        let context = context! { d => "what do ya want for nothing?" };
        let hex = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(raw("{{ d | hmac_sha256('Jefe') }}", &context).unwrap(), hex);
        let b64 = raw("{{ d | hmac_sha256('Jefe', encoding='base64') }}", &context).unwrap();
        assert_eq!(b64, "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=");
    }

    #[test]
    fn a_leaf_is_an_expression_only_when_it_is_nothing_else() {
        assert_eq!(whole_expression(" {{ a + 1 }} "), Some("a + 1"));
        assert_eq!(whole_expression("{{ a }}{{ b }}"), None);
        assert_eq!(whole_expression("x {{ a }}"), None);
    }
}
