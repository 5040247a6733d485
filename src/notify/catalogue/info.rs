//! What a type wants to be told: its address and its parameters, and the check of both.

use minijinja::Value;
use serde::{Deserialize, Serialize};

use crate::model::definition::{Problem, redact_userinfo, redact_userinfo_within};
use crate::model::params::shown_value;
use crate::model::text::{nearest, quoted};
use crate::secret::Secret;

/// A type of notifier, as `notifiers types` shows it.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct TypeInfo {
    /// The word for it, in capitals: the column `type`.
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// Where its makers describe it.
    pub documentation: String,
    /// Other words for it.
    pub also: Vec<String>,
    /// What the column `address` means.
    pub address: AddressInfo,
    /// What the column `params` may hold.
    pub params: Vec<ParamInfo>,
}

/// What an address means.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddressInfo {
    /// One sentence.
    pub help: String,
    /// What it must look like.
    #[serde(default)]
    pub check: Check,
    /// Whether there may be several, separated by commas or spaces.
    #[serde(default)]
    pub list: bool,
    /// Whether it opens a door, as the URL of a webhook does; then it is never shown.
    #[serde(default)]
    pub secret: bool,
}

/// A parameter.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParamInfo {
    /// Its name.
    pub name: String,
    /// What it holds.
    #[serde(rename = "type", default)]
    pub kind: ParamType,
    /// The words of a choice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// Whether it must be there.
    #[serde(default)]
    pub required: bool,
    /// Whether it is never shown.
    #[serde(default)]
    pub secret: bool,
    /// What it is when nobody says, written as in `params`.
    #[serde(default)]
    pub default: Option<String>,
    /// What a text must look like.
    #[serde(default)]
    pub check: Check,
    /// The smallest integer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<i64>,
    /// The largest integer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<i64>,
    /// One sentence.
    pub help: String,
}

/// What a parameter holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ParamType {
    /// Any text.
    #[default]
    Text,
    /// A whole number.
    Integer,
    /// `true` or `false`; `yes`, `no`, `on`, `off`, `1` and `0` are taken too.
    Boolean,
    /// One of `choices`.
    Choice,
    /// An http or https URL.
    Url,
    /// Several texts, separated by commas or spaces.
    List,
}

/// What a text must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Check {
    /// Anything without control characters.
    #[default]
    Free,
    /// An http or https URL.
    Url,
    /// A mail address.
    Email,
    /// A phone number: `+` and digits.
    Phone,
    /// No spaces.
    Word,
}

impl Check {
    /// # Errors
    /// What is wrong and what to write instead, to stand after the value.
    fn check(self, text: &str) -> Result<(), &'static str> {
        if text.chars().any(char::is_control) {
            return Err("holds a control character");
        }
        let good = match self {
            Check::Free => true,
            Check::Url => url::Url::parse(text).is_ok_and(|u| matches!(u.scheme(), "http" | "https") && u.has_host()),
            Check::Email => match text.rsplit_once('@') {
                Some((local, host)) => {
                    !local.is_empty() && !host.is_empty() && !text.contains(char::is_whitespace) && !local.contains('@')
                }
                None => false,
            },
            Check::Phone => {
                let digits = text.strip_prefix('+').unwrap_or_default();
                (6..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
            }
            Check::Word => !text.contains(char::is_whitespace),
        };
        good.then_some(()).ok_or(match self {
            Check::Free => "is not right",
            Check::Url => "is not a URL: write https://host/path",
            Check::Email => "is not a mail address: write name@host",
            Check::Phone => "is not a phone number: write + and digits, as +491701234567",
            Check::Word => "holds a space",
        })
    }
}

impl TypeInfo {
    /// Everything that is wrong with a notifier's address and params, for this type. A value that is a reference
    /// (`${…}`) is looked at when it is resolved.
    #[must_use]
    pub fn check(&self, address: &str, params: &[(String, Secret)]) -> Vec<Problem> {
        let mut problems = self.check_address(address);
        let mut complain = |message: String| problems.push(Problem { field: "params".into(), message });
        for (i, (name, value)) in params.iter().enumerate() {
            match self.params.iter().find(|p| p.name == *name) {
                None => complain(self.unknown(name)),
                Some(_) if params[..i].iter().any(|(n, _)| n == name) => {
                    complain(format!("`{name}` is there twice: write it once"));
                }
                Some(_) if is_reference(value.expose()) => {}
                Some(param) => {
                    if let Err(e) = param.parse(value.expose()) {
                        complain(e);
                    }
                }
            }
        }
        for param in self.params.iter().filter(|p| p.required) {
            if !params.iter().any(|(name, _)| *name == param.name) {
                complain(format!("`{}` is missing: {}", param.name, param.help));
            }
        }
        problems
    }

    pub(super) fn check_address(&self, address: &str) -> Vec<Problem> {
        let complain = |message: String| vec![Problem { field: "address".into(), message }];
        if address.trim().is_empty() {
            return complain(format!("it is empty: {}", self.address.help));
        }
        if is_reference(address) {
            return Vec::new();
        }
        let shown = |text: &str| match self.address.check {
            _ if self.address.secret => "it".to_owned(),
            Check::Url => quoted(&redact_userinfo(text)),
            _ => quoted(&redact_userinfo_within(text)),
        };
        let wrong = self.addresses(address).into_iter().find_map(|a| {
            self.address.check.check(&a).err().map(|e| format!("{} {e} ({})", shown(&a), self.address.help))
        });
        wrong.map_or(Vec::new(), complain)
    }

    /// The one address, or each of several.
    pub(super) fn addresses(&self, address: &str) -> Vec<String> {
        if self.address.list { parts(address) } else { vec![address.trim().to_owned()] }
    }

    fn unknown(&self, name: &str) -> String {
        let known: Vec<&str> = self.params.iter().map(|p| p.name.as_str()).collect();
        let shown = quoted(name);
        if known.is_empty() {
            return format!("{shown} is not known: {} has no parameters", self.name);
        }
        match nearest(name, known.iter().copied()) {
            Some(near) => format!("{shown} is not a parameter of {}: did you mean `{near}`?", self.name),
            None => format!("{shown} is not a parameter of {}: it has {}", self.name, known.join(", ")),
        }
    }

    /// The parameters' values for templates: those that are not there have their default, or none.
    ///
    /// # Errors
    /// The first that is wrong or missing.
    pub(super) fn values(&self, params: &[(String, Secret)]) -> Result<Vec<(String, Value)>, String> {
        if let Some((name, _)) = params.iter().find(|(name, _)| !self.params.iter().any(|p| p.name == *name)) {
            return Err(self.unknown(name));
        }
        let value = |p: &ParamInfo| {
            let given = params.iter().find(|(name, _)| *name == p.name).map(|(_, v)| v.expose());
            match given.or(p.default.as_deref()) {
                Some(text) => p.parse(text),
                None if p.required => Err(format!("`{}` is missing: {}", p.name, p.help)),
                None => Ok(Value::from(())),
            }
        };
        self.params.iter().map(|p| Ok((p.name.clone(), value(p)?))).collect()
    }
}

impl ParamInfo {
    /// The value of its type.
    ///
    /// # Errors
    /// What is wrong; never shows a secret.
    pub(super) fn parse(&self, text: &str) -> Result<Value, String> {
        let text = text.trim();
        let wrong = |what: &str| {
            let shown = if self.secret { String::new() } else { format!("{} ", shown_value(text)) };
            Err(format!("`{}`: {shown}{what}", self.name))
        };
        match self.kind {
            ParamType::Text if text.is_empty() => wrong("is empty"),
            ParamType::Text => self.check.check(text).map_or_else(&wrong, |()| Ok(Value::from(text))),
            ParamType::Url => Check::Url.check(text).map_or_else(&wrong, |()| Ok(Value::from(text))),
            ParamType::Integer => match text.parse::<i64>() {
                Err(_) => wrong("is not a whole number"),
                Ok(n) if self.min.is_some_and(|min| n < min) || self.max.is_some_and(|max| n > max) => {
                    wrong(&match (self.min, self.max) {
                        (Some(min), Some(max)) => format!("is not within {min} to {max}"),
                        (Some(min), None) => format!("is less than {min}"),
                        _ => format!("is more than {}", self.max.unwrap_or_default()),
                    })
                }
                Ok(n) => Ok(Value::from(n)),
            },
            ParamType::Boolean => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => Ok(Value::from(true)),
                "false" | "no" | "off" | "0" => Ok(Value::from(false)),
                _ => wrong("is not true or false"),
            },
            ParamType::Choice if self.choices.iter().any(|c| c == text) => Ok(Value::from(text)),
            ParamType::Choice => wrong(&format!("is not one of {}", self.choices.join(", "))),
            ParamType::List => {
                let items = parts(text);
                match items.iter().find_map(|i| self.check.check(i).err()) {
                    Some(e) => wrong(e),
                    None => Ok(Value::from(items)),
                }
            }
        }
    }
}

/// Whether a value stands somewhere else and is resolved when it is sent.
fn is_reference(text: &str) -> bool {
    text.trim_start().starts_with("${")
}

fn parts(text: &str) -> Vec<String> {
    text.split([',', ' ', '\n', '\t']).filter(|p| !p.is_empty()).map(str::to_owned).collect()
}
