//! What a target writes into `credential`: `NAME`, `tenant/NAME` or `cloud:NAME`.

use super::CredentialRef;
use crate::model::definition::check::check_name;

/// Begins the name of an entry of clouds.yaml.
pub const CLOUD: &str = "cloud:";
/// Begins what a person writes to mean the `authn_parms` of a target.
pub const TARGET: &str = "target:";

impl CredentialRef {
    /// Reads what a target of that tenant writes. A name that holds a slash or begins with
    /// `cloud:` is written with its tenant.
    ///
    /// # Errors
    /// One sentence.
    pub fn parse(text: &str, own_tenant: &str) -> Result<CredentialRef, String> {
        if let Some(cloud) = text.strip_prefix(CLOUD) {
            return match check_name(cloud) {
                Ok(cloud) => Ok(CredentialRef::Cloud(cloud)),
                Err(why) => Err(format!("the cloud's name {why}: write cloud:NAME, as in clouds.yaml")),
            };
        }
        let (tenant, name) = text.split_once('/').unwrap_or((own_tenant, text));
        let named = check_name(tenant).and_then(|tenant| Ok(CredentialRef::Named { tenant, name: check_name(name)? }));
        named.map_err(|why| format!("{why}; write the credential's name, tenant/name or cloud:NAME"))
    }

    /// As a target of that tenant writes it; reads back as the same.
    #[must_use]
    pub fn written(&self, own_tenant: &str) -> String {
        match self {
            CredentialRef::Cloud(cloud) => format!("{CLOUD}{cloud}"),
            CredentialRef::Named { tenant, name }
                if tenant == own_tenant && !name.contains('/') && !name.starts_with(CLOUD) =>
            {
                name.clone()
            }
            CredentialRef::Named { tenant, name } => format!("{tenant}/{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tenants_and_clouds() {
        let named = |tenant: &str, name: &str| CredentialRef::Named { tenant: tenant.into(), name: name.into() };
        for (text, expected) in [
            ("mycloud", named("7", "mycloud")),
            ("0/mycloud", named("0", "mycloud")),
            ("7/a/b", named("7", "a/b")),
            ("7/cloud:a", named("7", "cloud:a")),
            ("cloud:prod", CredentialRef::Cloud("prod".into())),
            ("cloud:envvars", CredentialRef::Cloud("envvars".into())),
        ] {
            let read = CredentialRef::parse(text, "7").unwrap();
            assert_eq!(read, expected);
            assert_eq!(CredentialRef::parse(&read.written("7"), "7").unwrap(), read);
        }
        assert_eq!(named("7", "mycloud").written("7"), "mycloud");
        for (text, part) in [
            ("cloud:", "cloud:NAME"),
            (" x", "white space"),
            ("a/", "is empty"),
            ("/a", "is empty"),
            ("a\u{7}", "control"),
        ] {
            let message = CredentialRef::parse(text, "7").unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
