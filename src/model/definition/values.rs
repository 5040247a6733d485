//! Types of values: from what a file or the API gives to what a definition holds.

use serde_json::Value;

use super::check::is_secret_header;
use super::{HIDDEN, Problem, problem};
use crate::model::params;
use crate::model::text::quoted;

pub(in crate::model) fn wrong_type(key: &str, value: &Value, wanted: &str) -> Problem {
    let shown = match value {
        _ if ["authn_parms", "params", "address", "headers"].contains(&key) => "a value of another type".to_owned(),
        Value::String(s) => quoted(s),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "a table".into(),
        other => quoted(&other.to_string()),
    };
    problem(key, format!("{shown} is not {wanted}"))
}

pub(in crate::model) fn text(key: &str, value: &Value) -> Result<Option<String>, Problem> {
    match value {
        Value::Null => Ok(None),
        Value::String(s) => Ok(Some(s.clone())),
        other => Err(wrong_type(key, other, "a text: write it in quotes")),
    }
}

pub(in crate::model) fn integer(key: &str, value: &Value) -> Result<Option<i64>, Problem> {
    match value {
        Value::Null => Ok(None),
        Value::Number(n) if n.is_i64() => Ok(n.as_i64()),
        other => Err(wrong_type(key, other, "a whole number")),
    }
}

pub(in crate::model) fn boolean(key: &str, value: &Value) -> Result<Option<bool>, Problem> {
    match value {
        Value::Null => Ok(None),
        Value::Bool(b) => Ok(Some(*b)),
        other => Err(wrong_type(key, other, "true or false")),
    }
}

pub(in crate::model) fn duration(key: &str, value: &Value) -> Result<Option<i64>, Problem> {
    match value {
        Value::Null => Ok(None),
        Value::String(s) => match humantime::parse_duration(s) {
            Ok(d) => {
                i64::try_from(d.as_millis()).map(Some).map_err(|_| problem(key, format!("{} is too long", quoted(s))))
            }
            Err(_) => Err(problem(
                key,
                format!("{} is not a duration: write for example \"10s\", \"500ms\" or \"1m 30s\"", quoted(s)),
            )),
        },
        Value::Number(n) => Err(problem(key, format!("{n} has no unit: write \"{n}s\", or {key}_ms in milliseconds"))),
        other => Err(wrong_type(key, other, "a duration such as \"10s\"")),
    }
}

/// A list of texts or one text with commas.
pub(in crate::model) fn list(key: &str, value: &Value) -> Result<Option<String>, Problem> {
    match value {
        Value::Array(items) => {
            let mut out = Vec::new();
            for item in items {
                match item {
                    Value::String(s) if !s.contains(',') => out.push(s.as_str()),
                    other => return Err(wrong_type(key, other, "a text without commas")),
                }
            }
            Ok((!out.is_empty()).then(|| out.join(",")))
        }
        other => text(key, other),
    }
}

/// `Name: value` lines from a text, a list of such lines, or a table.
pub(in crate::model) fn headers_text(value: &Value) -> Result<Option<String>, Problem> {
    let lines: Vec<String> = match value {
        Value::Array(items) => {
            items.iter().map(|i| text("headers", i).map(Option::unwrap_or_default)).collect::<Result<_, _>>()?
        }
        Value::Object(map) => map
            .iter()
            .map(|(name, v)| text("headers", v).map(|v| format!("{name}: {}", v.unwrap_or_default())))
            .collect::<Result<_, _>>()?,
        other => return text("headers", other),
    };
    if let Some(bad) = lines.iter().find(|l| l.contains(['\n', '\r'])) {
        // The value may be a secret.
        let name = bad.lines().next().and_then(|line| line.split_once(':')).map(|(name, _)| quoted(name));
        return Err(problem("headers", format!("{} holds a line break", name.unwrap_or_else(|| "a line".into()))));
    }
    Ok((!lines.is_empty()).then(|| lines.join("\n")))
}

/// The same with `Name: ***` replaced by the line that there is for that name: what is shown can be sent back.
pub(in crate::model) fn kept_headers(stored: Option<&str>, written: Option<String>) -> Result<Option<String>, Problem> {
    let Some(text) = &written else { return Ok(None) };
    let name_of = |line: &str| line.split_once(':').map(|(name, _)| name.trim().to_ascii_lowercase());
    let mut left: Vec<&str> = stored.unwrap_or_default().lines().collect();
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.split_once(':').is_none_or(|(name, value)| value.trim() != HIDDEN || !is_secret_header(name.trim())) {
            lines.push(line);
            continue;
        }
        let Some(at) = left.iter().position(|l| name_of(l) == name_of(line)) else {
            let message = format!("{} stands for a secret that there is none of: write it", quoted(line));
            return Err(problem("headers", message));
        };
        lines.push(left.remove(at));
    }
    Ok(Some(lines.join("\n")))
}

/// `name=value,…`, or a table of them, where a value may be a list of texts.
pub(in crate::model) fn params_text(value: &Value) -> Result<Option<String>, Problem> {
    let Value::Object(map) = value else { return text("params", value) };
    let pair = |(name, value): (&String, &Value)| match value {
        Value::String(s) => Ok((name.clone(), s.clone())),
        Value::Number(_) | Value::Bool(_) => Ok((name.clone(), value.to_string())),
        Value::Array(words) if words.iter().all(Value::is_string) => {
            Ok((name.clone(), words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")))
        }
        _ => Err(problem("params", format!("the value of {} is no text: write it in quotes", quoted(name)))),
    };
    let pairs = map.iter().map(pair).collect::<Result<Vec<_>, _>>()?;
    if let Some((name, _)) = pairs.iter().find(|(name, _)| name.contains([',', '=', '"'])) {
        return Err(problem("params", format!("{} is no name of a parameter", quoted(name))));
    }
    let written = params::write(pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())));
    Ok(Some(written.expose().to_owned()))
}
