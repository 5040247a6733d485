//! The `OS_*` environment as a cloud.

use std::collections::BTreeMap;

use super::file::{Cloud, Words};
use crate::secret::Secret;

/// Variables that choose a cloud or a file and say nothing of a login.
const SELECTORS: [&str; 5] =
    ["OS_CLOUD", "OS_REGION_NAME", "OS_CLIENT_CONFIG_FILE", "OS_CLIENT_SECURE_FILE", "OS_CLOUD_NAME"];

/// Variables of a login: names of clouds.yaml's `auth` in capitals, with the older names of some.
const AUTH: [&str; 25] = [
    "auth_url",
    "username",
    "user_name",
    "user_id",
    "password",
    "user_domain_name",
    "user_domain_id",
    "project_name",
    "project_id",
    "tenant_name",
    "tenant_id",
    "project_domain_name",
    "project_domain_id",
    "default_domain_name",
    "default_domain_id",
    "domain_name",
    "domain_id",
    "system_scope",
    "application_credential_id",
    "application_credential_name",
    "application_credential_secret",
    // Not supported, and better named as such than ignored.
    "trust_id",
    "token",
    "passcode",
    "access_token",
];

/// What the environment says; variables that are empty say nothing.
///
/// # Errors
/// When it says nothing of a login.
pub(super) fn cloud(environment: &BTreeMap<String, Secret>) -> Result<Cloud, String> {
    let said = environment.iter().filter(|(name, value)| name.starts_with("OS_") && !value.expose().is_empty());
    if !said.into_iter().any(|(name, _)| !SELECTORS.contains(&name.as_str())) {
        return Err("the environment holds no login: set OS_AUTH_URL, OS_USERNAME, OS_PASSWORD and so on, or write \
                    cloud:NAME with a name of clouds.yaml"
            .into());
    }
    let get = |name: &str| {
        let value = environment.get(&format!("OS_{}", name.to_ascii_uppercase()))?.expose();
        (!value.is_empty()).then(|| value.to_owned())
    };
    let word = |name: &str| get(name).map(|w| Words(vec![w]));
    let auth = AUTH.iter().filter_map(|name| Some(((*name).to_owned(), Some(get(name)?)))).collect();
    Ok(Cloud {
        auth: Some(auth),
        auth_type: get("auth_type"),
        region_name: word("region_name"),
        interface: word("interface"),
        endpoint_type: word("endpoint_type"),
        cacert: get("cacert"),
        cert: get("cert"),
        verify: get("verify"),
        insecure: get("insecure"),
        identity_api_version: get("identity_api_version"),
        ..Cloud::default()
    })
}
