//! Parameters as skypunch 0.3.0 wrote them: `user=freebeer,password=forall`.
//!
//! ```text
//!  name=value , name="value, with \"everything\"" --parse--> [(name, value)] --write--> the same
//! ```
//!
//! Names count without regard to case. A value with a comma, a quote or a backslash, or with blanks at an end, is
//! written in double quotes, with `\"` and `\\` inside. Every value may be a secret, so no error shows one.

use super::text::quoted;
use crate::secret::Secret;

/// Why a text is no list of parameters; names the parameter, never a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParamsError {
    /// The part of that number, from 1.
    #[error("part {0} has no `=`")]
    NoEquals(usize),
    /// Said more than once.
    #[error("{0} is given twice")]
    Twice(String),
    /// A quote is opened and not closed, or something stands between it and the next comma.
    #[error("the quote around {0} does not end")]
    OpenQuote(String),
    /// Nothing follows.
    #[error("it ends with a comma")]
    EndsWithComma,
}

/// Names (in small letters) and values, in the order written.
///
/// # Errors
/// What is wrong with the form.
pub fn parse(text: &str) -> Result<Vec<(String, Secret)>, ParamsError> {
    let mut out: Vec<(String, Secret)> = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let part = out.len() + 1;
        let (name, after) = rest.split_once('=').ok_or(ParamsError::NoEquals(part))?;
        let name = name.trim().to_ascii_lowercase();
        if out.iter().any(|(known, _)| *known == name) {
            return Err(ParamsError::Twice(shown(&name, part)));
        }
        let after = after.trim_start();
        let (value, next) = match after.strip_prefix('"') {
            Some(inner) => unquote(inner).ok_or_else(|| ParamsError::OpenQuote(shown(&name, part)))?,
            None => after
                .split_once(',')
                .map_or((after.trim_end().to_owned(), None), |(value, next)| (value.trim_end().to_owned(), Some(next))),
        };
        out.push((name, Secret::new(value)));
        match next {
            Some(next) if next.trim().is_empty() => return Err(ParamsError::EndsWithComma),
            Some(next) => rest = next.trim_start(),
            None => break,
        }
    }
    Ok(out)
}

/// The text that [`parse`] reads back.
#[must_use]
pub fn write<'a>(params: impl IntoIterator<Item = (&'a str, &'a str)>) -> Secret {
    let written: Vec<String> = params.into_iter().map(|(name, value)| format!("{name}={}", quote(value))).collect();
    Secret::new(written.join(","))
}

/// A parameter's name as an error may show it: what stands behind a comma that should have been quoted is part of a
/// secret, and seldom looks like a name.
#[must_use]
pub fn shown(name: &str, part: usize) -> String {
    let is_name = (1..=40).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if is_name { quoted(name) } else { format!("part {part}, which does not begin with a name,") }
}

/// A value that is no secret as an error may show it: no further than a `=`, behind which the next parameter's value
/// stands where the comma between the two was forgotten.
#[must_use]
pub fn shown_value(value: &str) -> String {
    match value.split_once('=') {
        Some((before, _)) => quoted(&format!("{before}=…")),
        None => quoted(value),
    }
}

fn quote(value: &str) -> String {
    if value.contains([',', '"', '\\']) || value.trim() != value {
        format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        value.to_owned()
    }
}

/// The text up to the closing quote, and what follows the comma behind it.
fn unquote(inner: &str) -> Option<(String, Option<&str>)> {
    let mut value = String::new();
    let mut chars = inner.char_indices();
    while let Some((i, c)) = chars.next() {
        match c {
            '\\' => value.push(chars.next()?.1),
            '"' => {
                let after = inner[i + 1..].trim_start();
                return if after.is_empty() {
                    Some((value, None))
                } else {
                    Some((value, Some(after.strip_prefix(',')?)))
                };
            }
            _ => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn clear(text: &str) -> Vec<(String, String)> {
        parse(text).unwrap().into_iter().map(|(name, value)| (name, value.expose().to_owned())).collect()
    }

    #[test]
    fn the_form_of_skypunch_0_3_and_quoted_values() {
        let pair = |n: &str, v: &str| (n.to_owned(), v.to_owned());
        assert_eq!(
            clear("user=me@example.com,password=forall,server=smtp.example.com"),
            [pair("user", "me@example.com"), pair("password", "forall"), pair("server", "smtp.example.com")]
        );
        assert_eq!(
            clear(r#" User = a , password="p,=\"\\" , q=a=b"#),
            [pair("user", "a"), pair("password", "p,=\"\\"), pair("q", "a=b")]
        );
        assert_eq!(clear("  "), []);
    }

    #[test]
    fn errors_name_the_parameter_and_never_a_value() {
        for (text, word) in [
            ("user=a,user=hunter2", "`user` is given twice"),
            ("user=a,password=\"hunter2", "`password` does not end"),
            ("user=a,password=\"hunter2\"x", "`password` does not end"),
            ("hunter2", "part 1 has no `=`"),
            ("password=hunter2,", "ends with a comma"),
            ("password=x,!hunter2=1,!hunter2=2", "part 3"),
        ] {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.contains(word), "{text}: {message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(values in proptest::collection::vec("[^\\x00-\\x1f]{0,20}", 1..5)) {
            let pairs: Vec<(String, String)> =
                values.into_iter().enumerate().map(|(i, value)| (format!("p{i}"), value)).collect();
            let text = write(pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())));
            prop_assert_eq!(clear(text.expose()), pairs);
        }

        #[test]
        fn never_panics(text in "\\PC*") {
            let _ignored = parse(&text);
        }
    }
}
