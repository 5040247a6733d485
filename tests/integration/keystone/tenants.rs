//! What an administrator does at a Keystone: people, their credentials, tokens revoked, endpoints.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use super::http::{Answer, send};
use super::server::Keystone;

/// Whose domain a tenant's user and project are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Home {
    /// `default`, named `Default`.
    Default,
    /// One of its own.
    Own,
}

/// A user and a project that no other test has. The user is member of the project, reader of its own domain (when it has
/// one) and reader of the system.
#[derive(Debug, Clone)]
pub struct Tenant {
    pub user: String,
    pub user_id: String,
    pub password: String,
    pub project: String,
    pub project_id: String,
    pub domain: String,
    pub domain_id: String,
}

impl Tenant {
    /// The part of a login that says who: user by name.
    pub fn identity(&self) -> Value {
        self.identity_with(&self.password)
    }

    /// The same with some password.
    pub fn identity_with(&self, password: &str) -> Value {
        let user = json!({"name": self.user, "domain": {"id": self.domain_id}, "password": password});
        json!({"methods": ["password"], "password": {"user": user}})
    }

    /// A whole login for the project.
    pub fn login(&self) -> Value {
        json!({"auth": {"identity": self.identity(), "scope": {"project": {"id": self.project_id}}}})
    }
}

/// An application credential of a tenant.
#[derive(Debug, Clone)]
pub struct ApplicationCredential {
    pub id: String,
    pub name: String,
    pub secret: String,
}

/// An entry for the catalog.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint<'a> {
    pub service_type: &'a str,
    pub service_name: &'a str,
    pub interface: &'a str,
    pub region: &'a str,
    pub url: &'a str,
}

impl Keystone {
    /// Makes a tenant.
    pub fn tenant(&self, home: Home) -> Tenant {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let admin = self.admin();
        let (domain, domain_id) = match home {
            Home::Default => ("Default".to_owned(), "default".to_owned()),
            Home::Own => {
                let name = format!("domain {n}");
                let id = id(&admin.ask("POST", "/domains", Some(&json!({"domain": {"name": name}}))), "domain");
                (name, id)
            }
        };
        let (user, project, password) = (format!("user-{n}"), format!("project {n}"), format!("pass, \"{n}\" wörd"));
        let body = json!({"user": {"name": user, "domain_id": domain_id, "password": password}});
        let user_id = id(&admin.ask("POST", "/users", Some(&body)), "user");
        let body = json!({"project": {"name": project, "domain_id": domain_id}});
        let project_id = id(&admin.ask("POST", "/projects", Some(&body)), "project");
        let roles = admin.ask("GET", "/roles", None);
        let role = |name: &str| {
            let found = roles["roles"].as_array().unwrap().iter().find(|r| r["name"] == name).unwrap();
            found["id"].as_str().unwrap().to_owned()
        };
        let (member, reader) = (role("member"), role("reader"));
        admin.ask("PUT", &format!("/projects/{project_id}/users/{user_id}/roles/{member}"), None);
        admin.ask("PUT", &format!("/system/users/{user_id}/roles/{reader}"), None);
        if home == Home::Own {
            admin.ask("PUT", &format!("/domains/{domain_id}/users/{user_id}/roles/{reader}"), None);
        }
        Tenant { user, user_id, password, project, project_id, domain, domain_id }
    }

    /// Makes an application credential for a tenant's project. The tenant logs in once for it.
    pub fn application_credential(&self, tenant: &Tenant, name: &str) -> ApplicationCredential {
        let owner = Caller { keystone: self, token: self.token(&tenant.login()) };
        let path = format!("/users/{}/application_credentials", tenant.user_id);
        let made = owner.ask("POST", &path, Some(&json!({"application_credential": {"name": name}})));
        let secret = made["application_credential"]["secret"].as_str().unwrap().to_owned();
        ApplicationCredential { id: id(&made, "application_credential"), name: name.to_owned(), secret }
    }

    /// Lets nobody log in with it any more.
    pub fn delete_application_credential(&self, tenant: &Tenant, credential: &ApplicationCredential) {
        let path = format!("/users/{}/application_credentials/{}", tenant.user_id, credential.id);
        self.admin().ask("DELETE", &path, None);
    }

    /// Gives a user a new password; tokens it has are revoked.
    pub fn set_password(&self, tenant: &Tenant, password: &str) {
        let body = json!({"user": {"password": password}});
        self.admin().ask("PATCH", &format!("/users/{}", tenant.user_id), Some(&body));
    }

    /// Enables or disables a user; a disabled one's tokens are revoked.
    pub fn set_enabled(&self, tenant: &Tenant, enabled: bool) {
        let body = json!({"user": {"enabled": enabled}});
        self.admin().ask("PATCH", &format!("/users/{}", tenant.user_id), Some(&body));
    }

    /// Revokes this token.
    pub fn revoke(&self, token: &str) {
        let admin = self.admin();
        let answer = admin.send("DELETE", "/auth/tokens", &[("X-Subject-Token", token)], None);
        assert_eq!(answer.status, 204, "{answer:?}");
    }

    /// Whether this token is valid.
    pub fn is_valid(&self, token: &str) -> bool {
        let answer = self.admin().send("GET", "/auth/tokens?nocatalog", &[("X-Subject-Token", token)], None);
        assert!(matches!(answer.status, 200 | 404), "{answer:?}");
        answer.status == 200
    }

    /// Adds to the catalog; gives the endpoint's id.
    pub fn add_endpoint(&self, endpoint: Endpoint<'_>) -> String {
        let admin = self.admin();
        let Endpoint { service_type, service_name, interface, region, url } = endpoint;
        let services = admin.ask("GET", &format!("/services?type={service_type}&name={service_name}"), None);
        let service = match services["services"][0]["id"].as_str() {
            Some(known) => known.to_owned(),
            None => {
                let body = json!({"service": {"type": service_type, "name": service_name}});
                id(&admin.ask("POST", "/services", Some(&body)), "service")
            }
        };
        let body = json!({"service_id": service, "interface": interface, "region_id": region, "url": url});
        id(&admin.ask("POST", "/endpoints", Some(&json!({"endpoint": body}))), "endpoint")
    }

    /// Takes an endpoint out of the catalog.
    pub fn remove_endpoint(&self, id: &str) {
        self.admin().ask("DELETE", &format!("/endpoints/{id}"), None);
    }

    /// Sends a login as it stands.
    pub fn login(&self, body: &Value) -> Answer {
        send("POST", &format!("{}/auth/tokens", self.auth_url()), &[], Some(body))
    }

    /// The token of a login that must be granted.
    pub fn token(&self, body: &Value) -> String {
        let answer = self.login(body);
        assert_eq!(answer.status, 201, "{body} {answer:?} {}", self.logs());
        answer.header("X-Subject-Token").expect("a token").to_owned()
    }

    fn admin(&self) -> Caller<'_> {
        let user = json!({"name": "admin", "domain": {"id": "default"}, "password": "admin-Secret1"});
        let identity = json!({"methods": ["password"], "password": {"user": user}});
        let token = self.token(&json!({"auth": {"identity": identity, "scope": {"system": {"all": true}}}}));
        Caller { keystone: self, token }
    }
}

/// Who asks, by a token.
struct Caller<'a> {
    keystone: &'a Keystone,
    token: String,
}

impl Caller<'_> {
    /// Asks for something that must succeed.
    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let answer = self.send(method, path, &[], body);
        assert!(matches!(answer.status, 200 | 201 | 204), "{method} {path}: {answer:?}");
        answer.json()
    }

    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Answer {
        let headers = [headers, &[("X-Auth-Token", &self.token)]].concat();
        send(method, &format!("{}{path}", self.keystone.auth_url()), &headers, body)
    }
}

fn id(answer: &Value, what: &str) -> String {
    answer[what]["id"].as_str().unwrap_or_else(|| panic!("no id of a {what}: {answer}")).to_owned()
}
