//! What targets, notifiers and credentials have in common as definitions that people write.
//!
//! ```text
//!  [[target]]     -- Entry --.                   .-- Definition            -- Target
//!  [[notifier]]   -- Entry --+-- plan, set_all --+-- NotifierDefinition    -- Notifier
//!  [[credential]] -- Entry --+                   +-- CredentialDefinition  -- Credential
//!  API bodies     -----------'                   '-- all are Defined
//! ```

use serde_json::{Map, Value};

use super::credential::CredentialDefinition;
use super::definition::values::headers_text;
use super::definition::{Definition, HIDDEN, KEYS, Problem};
use super::notifier::{NotifierDefinition, TypeCheck};
use crate::secret::Secret;

/// A definition that people write: a row, an entry of a file, a body of the API.
pub trait Defined: Clone + Default + PartialEq {
    /// What it is called, in `[[target]]` and in sentences.
    const WHAT: &'static str;
    /// Every key that a person may write, in the order of the table.
    const KEYS: &'static [&'static str];
    /// Keys that hold secrets: shown as `***`; left out of a file they stay as they are.
    const SECRETS: &'static [&'static str];

    /// The database's id; 0 where there is none yet.
    fn id(&self) -> i64;
    /// Gives it the id that the database has chosen.
    fn set_id(&mut self, id: i64);
    /// Unique within the tenant.
    fn name(&self) -> &str;
    /// The tenant.
    fn tenantid(&self) -> &str;
    /// Sets all keys of a map.
    ///
    /// # Errors
    /// All problems of the map.
    fn set_all(&mut self, map: &Map<String, Value>) -> Result<(), Vec<Problem>>;
    /// Every key, without secrets.
    fn to_json(&self) -> Map<String, Value>;
    /// Everything that is wrong with it; `types` knows what the types of notifiers demand.
    fn problems(&self, types: &TypeCheck) -> Vec<Problem>;
    /// Stands in for the definition that `keys` will change, which only the database knows: it has a secret for each
    /// one that they leave out or write as `***`.
    fn standing_in(keys: &Map<String, Value>) -> Self;
    /// Whether a key differs whose values look alike when they are shown.
    fn differs_unseen(&self, other: &Self, key: &str) -> bool;
}

/// Whether a value stands for a secret that is kept.
#[must_use]
pub fn is_hidden(value: &Value) -> bool {
    value.as_str().is_some_and(|s| s == HIDDEN || s.ends_with("/***"))
}

impl Defined for Definition {
    const WHAT: &'static str = "target";
    const KEYS: &'static [&'static str] = KEYS;
    const SECRETS: &'static [&'static str] = &["authn_parms"];

    fn id(&self) -> i64 {
        self.id
    }

    fn set_id(&mut self, id: i64) {
        self.id = id;
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn tenantid(&self) -> &str {
        &self.tenantid
    }

    fn set_all(&mut self, map: &Map<String, Value>) -> Result<(), Vec<Problem>> {
        Definition::set_all(self, map)
    }

    fn to_json(&self) -> Map<String, Value> {
        Definition::to_json(self)
    }

    fn problems(&self, _: &TypeCheck) -> Vec<Problem> {
        self.validate().err().unwrap_or_default()
    }

    fn standing_in(keys: &Map<String, Value>) -> Definition {
        Definition {
            authn_parms: Some(Secret::new(HIDDEN)).filter(|_| keys.get("authn_parms").is_some_and(|v| v == HIDDEN)),
            headers: keys.get("headers").and_then(|v| headers_text(v).ok()).flatten(),
            ..Definition::default()
        }
    }

    fn differs_unseen(&self, other: &Definition, key: &str) -> bool {
        match key {
            "authn_parms" => self.authn_parms != other.authn_parms,
            "headers" => self.headers != other.headers,
            _ => false,
        }
    }
}

impl Defined for NotifierDefinition {
    const WHAT: &'static str = "notifier";
    const KEYS: &'static [&'static str] = NotifierDefinition::KEYS;
    const SECRETS: &'static [&'static str] = &["address", "params"];

    fn id(&self) -> i64 {
        self.id
    }

    fn set_id(&mut self, id: i64) {
        self.id = id;
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn tenantid(&self) -> &str {
        &self.tenantid
    }

    fn set_all(&mut self, map: &Map<String, Value>) -> Result<(), Vec<Problem>> {
        NotifierDefinition::set_all(self, map)
    }

    fn to_json(&self) -> Map<String, Value> {
        NotifierDefinition::to_json(self)
    }

    fn problems(&self, types: &TypeCheck) -> Vec<Problem> {
        self.validate(types).err().unwrap_or_default()
    }

    fn standing_in(keys: &Map<String, Value>) -> NotifierDefinition {
        let kept = |key: &str| keys.get(key).is_none_or(is_hidden);
        let shown = keys.get("address").and_then(Value::as_str).unwrap_or(HIDDEN);
        NotifierDefinition {
            address: if kept("address") { shown.to_owned() } else { String::new() },
            params: Some(Secret::new(HIDDEN)).filter(|_| keys.get("params").is_some_and(is_hidden)),
            ..NotifierDefinition::default()
        }
    }

    fn differs_unseen(&self, other: &NotifierDefinition, key: &str) -> bool {
        match key {
            "address" => self.address != other.address,
            "params" => self.params != other.params,
            _ => false,
        }
    }
}

impl Defined for CredentialDefinition {
    const WHAT: &'static str = "credential";
    const KEYS: &'static [&'static str] = CredentialDefinition::KEYS;
    const SECRETS: &'static [&'static str] = &["params"];

    fn id(&self) -> i64 {
        self.id
    }

    fn set_id(&mut self, id: i64) {
        self.id = id;
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn tenantid(&self) -> &str {
        &self.tenantid
    }

    fn set_all(&mut self, map: &Map<String, Value>) -> Result<(), Vec<Problem>> {
        CredentialDefinition::set_all(self, map)
    }

    fn to_json(&self) -> Map<String, Value> {
        CredentialDefinition::to_json(self)
    }

    fn problems(&self, _: &TypeCheck) -> Vec<Problem> {
        self.validate().err().unwrap_or_default()
    }

    fn standing_in(keys: &Map<String, Value>) -> CredentialDefinition {
        CredentialDefinition {
            params: Some(Secret::new(HIDDEN)).filter(|_| keys.get("params").is_some_and(is_hidden)),
            ..CredentialDefinition::default()
        }
    }

    fn differs_unseen(&self, other: &CredentialDefinition, key: &str) -> bool {
        key == "params" && self.params != other.params
    }
}
