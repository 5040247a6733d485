//! What is sent to log in: one URL and one JSON body for each way of logging in.
//!
//! ```text
//!  POST {base}/auth/tokens[?nocatalog]   {"auth":{"identity":{"methods":[…],…},"scope":…}}     v3
//!  POST {auth_url}                       {"auth":{"passwordCredentials":{…},"tenantId":…}}     v2.0
//! ```
//!
//! Shapes: <https://docs.openstack.org/api-ref/identity/v3/>, "Authentication and token management".

use serde_json::{Value, json};
use url::Url;

use crate::model::credential::{Domain, Identity, Login, Owned, Scope};
use crate::secret::Secret;

/// A request that is ready to be sent, as `POST` with `Content-Type: application/json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginRequest {
    /// To where.
    pub url: Url,
    /// The JSON body; it holds the secret.
    pub body: Secret,
}

/// The secret of a login as a person wrote it: in clear or by reference.
#[must_use]
pub fn secret(login: &Login) -> &Secret {
    match &login.identity {
        Identity::Password { password, .. } | Identity::V2 { password, .. } => password,
        Identity::ApplicationCredentialId { secret, .. } | Identity::ApplicationCredentialName { secret, .. } => secret,
    }
}

/// The request of a login. `base` is the `…/v3` that [`discovery`](super::discovery) found (v2.0: `auth_url` itself),
/// `secret` the resolved one. Without `catalog` v3 is asked to leave it out, which spares tens of kilobytes.
#[must_use]
pub fn request(login: &Login, base: &Url, secret: &Secret, catalog: bool) -> LoginRequest {
    let (url, body) = match &login.identity {
        Identity::V2 { user, tenant_id, .. } => {
            let credentials = json!({ "username": user, "password": secret.expose() });
            (base.clone(), json!({ "auth": { "passwordCredentials": credentials, "tenantId": tenant_id } }))
        }
        identity => {
            let mut auth = json!({ "identity": v3_identity(identity, secret) });
            if let (Value::Object(auth), Some(scope)) = (&mut auth, v3_scope(login)) {
                auth.insert("scope".into(), scope);
            }
            (tokens_url(base, catalog), json!({ "auth": auth }))
        }
    };
    LoginRequest { url, body: Secret::new(body.to_string()) }
}

fn tokens_url(base: &Url, catalog: bool) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/auth/tokens", base.path().trim_end_matches('/')));
    url.set_query((!catalog).then_some("nocatalog"));
    url.set_fragment(None);
    url
}

fn v3_identity(identity: &Identity, secret: &Secret) -> Value {
    let secret = secret.expose();
    match identity {
        Identity::Password { user, .. } => {
            let mut user = owned(user);
            user["password"] = secret.into();
            json!({ "methods": ["password"], "password": { "user": user } })
        }
        Identity::ApplicationCredentialId { id, .. } => json!({
            "methods": ["application_credential"],
            "application_credential": { "id": id, "secret": secret },
        }),
        Identity::ApplicationCredentialName { name, user, .. } => json!({
            "methods": ["application_credential"],
            "application_credential": { "name": name, "user": owned(user), "secret": secret },
        }),
        // Has a body of its own.
        Identity::V2 { .. } => Value::Null,
    }
}

/// The scope; `None` where none may be sent or none is asked for.
fn v3_scope(login: &Login) -> Option<Value> {
    if !matches!(login.identity, Identity::Password { .. }) {
        return None; // an application credential with a scope is answered with 401
    }
    match &login.scope {
        Scope::Default => None,
        Scope::Unscoped => Some("unscoped".into()),
        Scope::Project(project) => Some(json!({ "project": owned(project) })),
        Scope::Domain(of) => Some(json!({ "domain": domain(of) })),
        Scope::System => Some(json!({ "system": { "all": true } })),
    }
}

fn owned(thing: &Owned) -> Value {
    match thing {
        Owned::Id(id) => json!({ "id": id }),
        Owned::Name { name, domain: of } => json!({ "name": name, "domain": domain(of) }),
    }
}

fn domain(domain: &Domain) -> Value {
    match domain {
        Domain::Id(id) => json!({ "id": id }),
        Domain::Name(name) => json!({ "name": name }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::params;

    fn sent(parms: &str, catalog: bool) -> (String, Value) {
        let login = Login::from_params(params::parse(parms).unwrap()).unwrap();
        let resolved = Secret::new("hunter\"2\\x");
        let request = request(&login, &login.auth_url, &resolved, catalog);
        assert!(!format!("{request:?}").contains("hunter"), "{request:?}");
        (request.url.to_string(), serde_json::from_str(request.body.expose()).unwrap())
    }

    #[test]
    fn the_body_of_every_form_is_that_of_the_api() {
        let user = json!({ "name": "probe", "domain": { "name": "Default" }, "password": "hunter\"2\\x" });
        let by_name = "auth_url=http://h:5000/v3,username=probe,user_domain_name=Default,password=x";
        let password = |user: &Value| json!({ "methods": ["password"], "password": { "user": user } });
        for (more, scope) in [
            ("", None),
            (
                ",project_name=demo,project_domain_name=Default",
                Some(json!({ "project": { "name": "demo", "domain": { "name": "Default" } } })),
            ),
            (
                ",project_name=demo,project_domain_id=default",
                Some(json!({ "project": { "name": "demo", "domain": { "id": "default" } } })),
            ),
            (",project_id=6be5", Some(json!({ "project": { "id": "6be5" } }))),
            (",domain_name=Default", Some(json!({ "domain": { "name": "Default" } }))),
            (",domain_id=default", Some(json!({ "domain": { "id": "default" } }))),
            (",system_scope=all", Some(json!({ "system": { "all": true } }))),
            (",scope=unscoped", Some(json!("unscoped"))),
        ] {
            let mut auth = json!({ "identity": password(&user) });
            if let Some(scope) = scope {
                auth["scope"] = scope;
            }
            assert_eq!(sent(&format!("{by_name}{more}"), true).1, json!({ "auth": auth }), "{more}");
        }
        let by_id = sent("auth_url=http://h/v3,user_id=7ff6,password=x", true).1;
        assert_eq!(
            by_id,
            json!({ "auth": { "identity": password(&json!({ "id": "7ff6", "password": "hunter\"2\\x" })) } })
        );
    }

    #[test]
    fn an_application_credential_is_sent_without_a_scope() {
        let by_id = sent("auth_url=http://h/v3,application_credential_id=ac1,application_credential_secret=x", true).1;
        let application = |of: Value| json!({ "auth": { "identity": { "methods": ["application_credential"], "application_credential": of } } });
        assert_eq!(by_id, application(json!({ "id": "ac1", "secret": "hunter\"2\\x" })));
        let by_name = "auth_url=http://h/v3,application_credential_name=skypunch,application_credential_secret=x";
        let by_name = sent(&format!("{by_name},username=probe,user_domain_id=default"), true).1;
        let user = json!({ "name": "probe", "domain": { "id": "default" } });
        assert_eq!(by_name, application(json!({ "name": "skypunch", "user": user, "secret": "hunter\"2\\x" })));
    }

    #[test]
    fn version_2_is_sent_to_the_endpoint_as_it_is() {
        let (url, body) = sent("user=probe,password=x,osauthendpoint=http://h:5000/v2.0/tokens,tenantid=t-demo", false);
        assert_eq!(url, "http://h:5000/v2.0/tokens");
        let credentials = json!({ "username": "probe", "password": "hunter\"2\\x" });
        assert_eq!(body, json!({ "auth": { "passwordCredentials": credentials, "tenantId": "t-demo" } }));
    }

    #[test]
    fn the_catalog_is_asked_for_only_where_it_is_wanted() {
        let parms = "auth_url=http://h:5000/identity/v3/,user_id=7ff6,password=x";
        assert_eq!(sent(parms, true).0, "http://h:5000/identity/v3/auth/tokens");
        assert_eq!(sent(parms, false).0, "http://h:5000/identity/v3/auth/tokens?nocatalog");
    }
}
