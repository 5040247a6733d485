//! What types of notifiers there are: `GET /v1/notifier-types` and `/v1/notifier-types/{type}`.

use serde::{Deserialize, Serialize};

/// A type of notifier and what it wants to be told.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NotifierType {
    /// The word for it: the column `type`.
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// Where its makers describe it.
    pub documentation: String,
    /// Other words for it.
    pub also: Vec<String>,
    /// What the column `address` means.
    pub address: NotifierAddress,
    /// What the column `params` may hold.
    pub params: Vec<NotifierParam>,
}

/// What an address means.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NotifierAddress {
    /// One sentence.
    pub help: String,
    /// What it must look like: `free`, `url`, `email`, `phone` or `word`.
    pub check: String,
    /// Whether there may be several, separated by commas or spaces.
    pub list: bool,
    /// Whether it is never shown.
    pub secret: bool,
}

/// A parameter.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NotifierParam {
    /// Its name.
    pub name: String,
    /// `text`, `integer`, `boolean`, `choice`, `url` or `list`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The words of a choice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// Whether it must be there.
    pub required: bool,
    /// Whether it is never shown.
    pub secret: bool,
    /// What it is when nobody says, written as in `params`.
    pub default: Option<String>,
    /// What a text must look like, as of an address.
    pub check: String,
    /// The smallest integer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<i64>,
    /// The largest integer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<i64>,
    /// One sentence.
    pub help: String,
}
