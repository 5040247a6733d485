//! Credentials that targets name and that there are none of, or that stand elsewhere.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use super::{CLOUD, CredentialDefinition, CredentialRef};
use crate::model::definition::Definition;
use crate::model::text::quoted;

/// Names of targets that a sentence lists.
const SHOWN: usize = 10;

/// A credential that there is none of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The tenant in which it should be.
    pub tenant: String,
    /// Its name.
    pub name: String,
    /// The targets that name it.
    pub targets: Vec<String>,
}

/// What `targets` name that is not among `credentials`, in the order of tenant and name. A `credential` that does not
/// read is the target's own problem.
pub fn missing<'a>(
    targets: impl IntoIterator<Item = &'a Definition>,
    credentials: impl IntoIterator<Item = &'a CredentialDefinition>,
) -> Vec<Missing> {
    let known: HashSet<(&str, &str)> =
        credentials.into_iter().map(|c| (c.tenantid.as_str(), c.name.as_str())).collect();
    let mut all: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for target in targets {
        let Some(text) = target.credential.as_deref().filter(|c| !c.is_empty()) else { continue };
        if let Ok(CredentialRef::Named { tenant, name }) = CredentialRef::parse(text, &target.tenantid)
            && !known.contains(&(tenant.as_str(), name.as_str()))
        {
            all.entry((tenant, name)).or_default().push(target.name.clone());
        }
    }
    all.into_iter().map(|((tenant, name), targets)| Missing { tenant, name, targets }).collect()
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, tenant) = (quoted(&self.name), quoted(&self.tenant));
        let (who, names) = naming(&self.targets);
        write!(f, "{who} the credential {name} of tenant {tenant}, which is not there ({names})")
    }
}

/// An entry of clouds.yaml that targets name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedCloud {
    /// The cloud.
    pub cloud: String,
    /// The targets that name it.
    pub targets: Vec<String>,
}

/// The entries of clouds.yaml that `targets` name, in the order of their names.
pub fn named_clouds<'a>(targets: impl IntoIterator<Item = &'a Definition>) -> Vec<NamedCloud> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for target in targets {
        let Some(text) = target.credential.as_deref() else { continue };
        if let Ok(CredentialRef::Cloud(cloud)) = CredentialRef::parse(text, &target.tenantid) {
            all.entry(cloud).or_default().push(target.name.clone());
        }
    }
    all.into_iter().map(|(cloud, targets)| NamedCloud { cloud, targets }).collect()
}

impl NamedCloud {
    /// That it cannot be used, and why.
    #[must_use]
    pub fn unusable(&self, why: &str) -> String {
        let (who, names) = naming(&self.targets);
        format!("{who} {} ({names}), which cannot be used: {why}", quoted(&format!("{CLOUD}{}", self.cloud)))
    }
}

/// `2 targets name`, and which.
fn naming(targets: &[String]) -> (String, String) {
    let shown: Vec<String> = targets.iter().take(SHOWN).map(|t| quoted(t)).collect();
    let more = if targets.len() > SHOWN { ", …" } else { "" };
    let who = if targets.len() == 1 { "1 target names".to_owned() } else { format!("{} targets name", targets.len()) };
    (who, format!("{}{more}", shown.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told_once_with_those_who_need_it() {
        let target = |name: &str, tenantid: &str, credential: Option<&str>| Definition {
            name: name.into(),
            tenantid: tenantid.into(),
            credential: credential.map(str::to_owned),
            ..Definition::default()
        };
        let mut targets = vec![
            target("a", "0", Some("here")),
            target("b", "0", None),
            target("c", "0", Some("cloud:x")),
            target("d", "7", Some("0/here")),
            target("e", "7", Some("here")),
            target("f", "0", Some("7/here")),
            target("g", "0", Some("")),
        ];
        let here = CredentialDefinition { name: "here".into(), ..CredentialDefinition::default() };
        let found = missing(&targets, [&here]);
        assert_eq!(found, [Missing { tenant: "7".into(), name: "here".into(), targets: vec!["e".into(), "f".into()] }]);
        assert_eq!(
            found[0].to_string(),
            "2 targets name the credential `here` of tenant `7`, which is not there (`e`, `f`)"
        );
        let clouds = named_clouds(&targets);
        assert_eq!(clouds, [NamedCloud { cloud: "x".into(), targets: vec!["c".into()] }]);
        assert_eq!(clouds[0].unusable("no."), "1 target names `cloud:x` (`c`), which cannot be used: no.");
        targets.extend((0..20).map(|i| target(&format!("t{i}"), "7", Some("here"))));
        let text = missing(&targets, [&here])[0].to_string();
        assert!(text.starts_with("22 targets") && text.ends_with(", …)"), "{text}");
    }
}
