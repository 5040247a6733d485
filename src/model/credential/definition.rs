//! A credential as a person wrote it: keys set one by one, shown without secrets, checked.

use serde_json::{Map, Value, json};

use super::reference::{CLOUD, TARGET};
use super::{Credential, CredentialDefinition, CredentialId, Login};
use crate::model::definition::check::{MAX_PARMS, check_name, odd_flag};
use crate::model::definition::values::{boolean, params_text, text};
use crate::model::definition::{HIDDEN, Problem, check, problem, unknown_key};
use crate::model::params;
use crate::model::text::{nearest, quoted};
use crate::secret::Secret;

/// The types of credentials.
pub const TYPES: [&str; 1] = ["OPENSTACK"];

impl CredentialDefinition {
    /// Every key that a person may write, in the order of the table.
    pub const KEYS: &'static [&'static str] = &["name", "tenantid", "type", "params", "enabled"];

    /// Sets one key from a value as a file or the API gives it; `null` sets the default, and `***` for `params` (as the
    /// API shows it) keeps those that there are.
    ///
    /// # Errors
    /// An unknown key (with the nearest known one) or a value of the wrong type. What the value means is checked by
    /// [`CredentialDefinition::validate`].
    pub fn set(&mut self, key: &str, value: &Value) -> Result<(), Problem> {
        let default = CredentialDefinition::default();
        match key {
            "name" => self.name = text(key, value)?.unwrap_or_default(),
            "tenantid" => self.tenantid = text(key, value)?.unwrap_or(default.tenantid),
            "type" => self.kind = text(key, value)?.unwrap_or(default.kind),
            "params" if value == HIDDEN => {
                if self.params.is_none() {
                    let message = format!("{} stands for a secret that there is none of: write it", quoted(HIDDEN));
                    return Err(problem(key, message));
                }
            }
            "params" => self.params = params_text(value)?.filter(|p| !p.is_empty()).map(Secret::new),
            "enabled" => self.enabled = boolean(key, value)?.unwrap_or(true),
            _ => return Err(unknown_key(key, CredentialDefinition::KEYS)),
        }
        self.odd_flags.retain(|(column, _)| *column != key);
        Ok(())
    }

    /// Sets all keys of a map; collects every error, not only the first.
    ///
    /// # Errors
    /// All problems of the map.
    pub fn set_all(&mut self, map: &Map<String, Value>) -> Result<(), Vec<Problem>> {
        let problems: Vec<Problem> = map.iter().filter_map(|(k, v)| self.set(k, v).err()).collect();
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// The definition as the API and `export` show it: every key, without secrets.
    #[must_use]
    pub fn to_json(&self) -> Map<String, Value> {
        let value = json!({
            "name": self.name, "tenantid": self.tenantid, "type": self.kind,
            "params": self.params.as_ref().map(|_| HIDDEN), "enabled": self.enabled,
        });
        match value {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }

    /// Checks everything and makes the credential.
    ///
    /// # Errors
    /// Every problem found, in the order of the table.
    pub fn validate(&self) -> Result<Credential, Vec<Problem>> {
        let mut problems = Vec::new();
        let p = &mut problems;
        let name = check(p, "name", check_name(&self.name).and_then(no_prefix));
        let tenant = check(p, "tenantid", check_name(&self.tenantid));
        let kind = check(p, "type", check_type(&self.kind));
        // Of another type nobody knows what it takes.
        let login = kind.and_then(|()| check(p, "params", check_params(self.params.as_ref())));
        p.extend(self.odd_flags.iter().map(|(column, value)| problem(column, odd_flag(value))));
        match (name, tenant, login) {
            (Some(name), Some(tenant), Some(login)) if problems.is_empty() => {
                Ok(Credential { id: CredentialId(self.id), name, tenant, login, enabled: self.enabled })
            }
            _ => Err(problems),
        }
    }
}

/// Such a name means something else to whoever reads it.
fn no_prefix(name: String) -> Result<String, String> {
    let meant = [(CLOUD, "an entry of clouds.yaml"), (TARGET, "the login of a target")];
    match meant.iter().find(|(prefix, _)| name.starts_with(prefix)) {
        Some((prefix, what)) => {
            Err(format!("{} begins with {prefix}, which means {what}: choose another", quoted(&name)))
        }
        None => Ok(name),
    }
}

fn check_type(kind: &str) -> Result<(), String> {
    if TYPES.iter().any(|t| t.eq_ignore_ascii_case(kind.trim())) {
        return Ok(());
    }
    let hint = nearest(kind, TYPES).map_or(String::new(), |t| format!(" (did you mean {t}?)"));
    Err(format!("{} is no type of credential{hint}: write {}", quoted(kind), TYPES.join(", ")))
}

fn check_params(written: Option<&Secret>) -> Result<Login, String> {
    let text = written.map_or("", Secret::expose);
    if text.trim().is_empty() {
        return Err("is missing: write auth_url=…,username=…,user_domain_name=…,password=…,project_name=…,\
                    project_domain_name=…, or auth_url=…,application_credential_id=…,application_credential_secret=…"
            .into());
    }
    if text.len() > MAX_PARMS {
        return Err(format!("is longer than {MAX_PARMS} bytes"));
    }
    let params = params::parse(text)
        .map_err(|e| format!("{e}; write name=value,name=value, a value that holds a comma in double quotes"))?;
    Login::from_params(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARAMS: &str = "auth_url=http://k:5000/v3,user_id=u,password=hunter2";

    fn minimal() -> CredentialDefinition {
        CredentialDefinition {
            name: "mycloud".into(),
            params: Some(Secret::new(PARAMS)),
            ..CredentialDefinition::default()
        }
    }

    #[test]
    fn name_and_params_are_enough() {
        let c = minimal().validate().unwrap();
        assert_eq!((c.name.as_str(), c.tenant.as_str(), c.enabled), ("mycloud", "0", true));
        assert_eq!(c.login.auth_url.as_str(), "http://k:5000/v3");
        let mut d = CredentialDefinition::default();
        let table = json!({"name": "mycloud", "params": {"auth_url": "http://k:5000/v3", "user_id": "u",
            "password": "p,\"q", "verify": false, "interface": ["internal", "public"]}});
        d.set_all(table.as_object().unwrap()).unwrap();
        let login = d.validate().unwrap().login;
        assert_eq!((login.tls.skip_verify, login.interfaces), (true, vec!["internal".to_owned(), "public".to_owned()]));
    }

    #[test]
    fn json_shows_no_secret_and_reads_back() {
        let d = minimal();
        let map = d.to_json();
        assert_eq!(map["params"], json!("***"));
        let mut back = d.clone();
        back.set_all(&map).unwrap();
        assert_eq!(back, d);
        assert!(map.keys().all(|k| CredentialDefinition::KEYS.contains(&k.as_str())));
        assert!(CredentialDefinition::default().set("params", &json!("***")).unwrap_err().message.contains("write it"));
        assert!(!format!("{d:?} {:?}", d.validate()).contains("hunter2"));
    }

    #[test]
    fn every_field_reports_itself_and_no_secret() {
        let of = |change: fn(&mut CredentialDefinition)| {
            let mut d = minimal();
            change(&mut d);
            let problems = d.validate().unwrap_err();
            assert_eq!(problems.len(), 1, "{problems:?}");
            problems[0].to_string()
        };
        for (text, part) in [
            (of(|d| d.name = " ".into()), "name: is empty"),
            (
                of(|d| d.name = "cloud:x".into()),
                "name: `cloud:x` begins with cloud:, which means an entry of clouds.yaml",
            ),
            (
                of(|d| d.name = "target:x".into()),
                "name: `target:x` begins with target:, which means the login of a target",
            ),
            (of(|d| d.tenantid = String::new()), "tenantid: is empty"),
            (of(|d| d.kind = "OPENSTCK".into()), "type: `OPENSTCK` is no type of credential (did you mean OPENSTACK?)"),
            (of(|d| d.kind = "VAULT".into()), "type: `VAULT` is no type of credential: write OPENSTACK"),
            (of(|d| d.params = None), "params: is missing: write auth_url=…"),
            (of(|d| d.params = Some(Secret::new("hunter2"))), "params: part 1 has no `=`"),
            (of(|d| d.params = Some(Secret::new(format!("{PARAMS},colour=hunter2")))), "params: `colour` is not known"),
            (of(|d| d.params = Some(Secret::new("x".repeat(20_000)))), "params: is longer than"),
            (of(|d| d.odd_flags = vec![("enabled", "7".into())]), "enabled: `7` is neither yes nor no"),
        ] {
            assert!(text.contains(part), "{text} should hold {part}");
            assert!(!text.contains("hunter2"), "{text}");
        }
        let problem = minimal().set("pararms", &json!("x")).unwrap_err();
        assert!(problem.message.contains("did you mean `params`?"));
        let problem = minimal().set("params", &json!(7)).unwrap_err();
        assert!(problem.message.contains("is not a text"), "{problem}");
    }
}
