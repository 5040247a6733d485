//! A login from the parameters that people write, and back.
//!
//! ```text
//!  auth_url=…,username=…,user_domain_name=…,password=…,project_name=…   names of clouds.yaml --.
//!  user=…,password=…,osauthendpoint=…,tenantid=…                 names of skypunch 0.3.0 --+--> Login
//! ```
//!
//! Where an id and a name of the same thing are given the id counts, as with OpenStack's own tools. Every value may be
//! a secret that stands in the wrong place, so no error shows one.

use url::Url;

use super::login::{Api, Domain, Identity, Login, Owned, Scope};
use crate::model::catalog::interfaces;
use crate::model::definition::check::{check_ca, check_host};
use crate::model::params::shown;
use crate::model::target::TlsOptions;
use crate::model::text::nearest;
use crate::secret::Secret;

/// The names of skypunch 0.3.0, all four required.
const OLD: [&str; 4] = ["user", "password", "osauthendpoint", "tenantid"];

/// What goes with either set of names.
const AROUND: [&str; 5] = ["region_name", "interface", "cacert", "verify", "tls_server_name"];

/// The names of clouds.yaml's `auth`, and `scope`.
const NEW: [&str; 19] = [
    "auth_url",
    "username",
    "user_id",
    "password",
    "user_domain_name",
    "user_domain_id",
    "project_name",
    "project_id",
    "project_domain_name",
    "project_domain_id",
    "default_domain_name",
    "default_domain_id",
    "domain_name",
    "domain_id",
    "system_scope",
    "scope",
    "application_credential_id",
    "application_credential_name",
    "application_credential_secret",
];

/// Parameters that may be references.
const SECRETS: [&str; 2] = ["password", "application_credential_secret"];

const MAX_VALUE: usize = 2048;

impl Login {
    /// Reads a login from its parameters.
    ///
    /// # Errors
    /// One sentence that names the parameter and never holds a value.
    pub fn from_params(params: Vec<(String, Secret)>) -> Result<Login, String> {
        let given = Given::new(params)?;
        let verify = match given.get("verify").map(str::to_ascii_lowercase).as_deref() {
            None | Some("true") => true,
            Some("false") => false,
            Some(_) => return Err("`verify` is neither true nor false: write one of them".into()),
        };
        let server_name = check_host(given.get("tls_server_name"), false)
            .map_err(|_| "`tls_server_name` is not a host name".to_owned())?;
        let ca = check_ca(given.get("cacert"))
            .map_err(|_| "`cacert` is not an absolute path of a PEM file: write /path/ca.pem".to_owned())?;
        let interfaces = interfaces(given.get("interface").unwrap_or_default()).map_err(|_| {
            "`interface` holds something else than public, internal and admin: write one of them, or several in the \
             order of preference as interface=\"internal,public\""
                .to_owned()
        })?;
        let (auth_url, api, identity, scope) = if given.old { given.as_of_old()? } else { given.as_of_now()? };
        Ok(Login {
            auth_url,
            api,
            identity,
            scope,
            tls: TlsOptions { ca, skip_verify: !verify, server_name },
            region: given.get("region_name").map(str::to_owned),
            interfaces,
        })
    }

    /// The parameters that [`Login::from_params`] makes this login of; v2.0 under the names of skypunch 0.3.0,
    /// everything else under those of clouds.yaml.
    #[must_use]
    pub fn to_params(&self) -> Vec<(String, Secret)> {
        let mut out = Vec::new();
        let mut put = |name: &str, value: &str| out.push((name.to_owned(), Secret::new(value)));
        match &self.identity {
            Identity::V2 { user, password, tenant_id } => {
                put("user", user);
                put("password", password.expose());
                put("osauthendpoint", self.auth_url.as_str());
                put("tenantid", tenant_id);
            }
            Identity::Password { user, password } => {
                put("auth_url", self.auth_url.as_str());
                put_owned(&mut put, user, ["user_id", "username", "user_domain_id", "user_domain_name"]);
                put("password", password.expose());
            }
            Identity::ApplicationCredentialId { id, secret } => {
                put("auth_url", self.auth_url.as_str());
                put("application_credential_id", id);
                put("application_credential_secret", secret.expose());
            }
            Identity::ApplicationCredentialName { name, user, secret } => {
                put("auth_url", self.auth_url.as_str());
                put("application_credential_name", name);
                put_owned(&mut put, user, ["user_id", "username", "user_domain_id", "user_domain_name"]);
                put("application_credential_secret", secret.expose());
            }
        }
        match &self.scope {
            Scope::Default => {}
            Scope::Unscoped => put("scope", "unscoped"),
            Scope::System => put("system_scope", "all"),
            Scope::Domain(Domain::Id(id)) => put("domain_id", id),
            Scope::Domain(Domain::Name(name)) => put("domain_name", name),
            // v2.0 has its tenant in the identity.
            Scope::Project(_) if self.api == Api::V2 => {}
            Scope::Project(project) => {
                put_owned(
                    &mut put,
                    project,
                    ["project_id", "project_name", "project_domain_id", "project_domain_name"],
                );
            }
        }
        if let Some(region) = &self.region {
            put("region_name", region);
        }
        if !self.interfaces.is_empty() {
            put("interface", &self.interfaces.join(","));
        }
        if let Some(ca) = &self.tls.ca {
            put("cacert", ca);
        }
        if self.tls.skip_verify {
            put("verify", "false");
        }
        if let Some(name) = &self.tls.server_name {
            put("tls_server_name", name);
        }
        out
    }

    /// What a person should know of a login that is not wrong.
    #[must_use]
    pub fn warning(&self) -> Option<&'static str> {
        (self.api == Api::V2).then_some(
            "the endpoint ends in /v2.0/tokens: Identity v2.0 left Keystone in 2018; write the URL without /v2.0/tokens \
             for v3, with tenantid as the project's id",
        )
    }
}

/// Whether that is a parameter whose value is no secret.
#[must_use]
pub fn is_plain_param(name: &str) -> bool {
    !SECRETS.contains(&name) && [NEW.as_slice(), &OLD, &AROUND].iter().any(|names| names.contains(&name))
}

fn put_owned(put: &mut impl FnMut(&str, &str), owned: &Owned, names: [&str; 4]) {
    let [id_name, name_name, domain_id, domain_name] = names;
    match owned {
        Owned::Id(id) => put(id_name, id),
        Owned::Name { name, domain } => {
            put(name_name, name);
            match domain {
                Domain::Id(id) => put(domain_id, id),
                Domain::Name(name) => put(domain_name, name),
            }
        }
    }
}

/// The parameters as they were given, every name known.
struct Given {
    all: Vec<(String, Secret)>,
    /// Under the names of skypunch 0.3.0.
    old: bool,
}

impl Given {
    fn new(all: Vec<(String, Secret)>) -> Result<Given, String> {
        let has = |name: &str| all.iter().find(|(n, _)| n == name).map(|(n, _)| n.as_str());
        // `password` belongs to both.
        let old = OLD.into_iter().filter(|n| *n != "password").find_map(has);
        let new = NEW.into_iter().filter(|n| *n != "password").find_map(has);
        if let (Some(old), Some(new)) = (old, new) {
            return Err(format!(
                "`{old}` is a name of skypunch 0.3.0 and `{new}` is not: write either {}, or auth_url, username, \
                 password and so on",
                listed(&OLD)
            ));
        }
        let names: Vec<&str> = if old.is_some() { OLD.to_vec() } else { NEW.to_vec() };
        for (i, (name, value)) in all.iter().enumerate() {
            if !names.contains(&name.as_str()) && !AROUND.contains(&name.as_str()) {
                let known = names.iter().chain(&AROUND).copied();
                let hint = nearest(name, known.clone()).map_or_else(
                    || format!("it takes {}", listed(&known.collect::<Vec<_>>())),
                    |n| format!("did you mean `{n}`?"),
                );
                return Err(format!("{} is not known to OPENSTACK; {hint}", shown(name, i + 1)));
            }
            if all[..i].iter().any(|(n, _)| n == name) {
                return Err(format!("`{name}` is given twice"));
            }
            let value = value.expose();
            if value.trim().is_empty() {
                return Err(format!("`{name}` is empty: write it, or leave it out"));
            }
            if value.len() > MAX_VALUE || value.chars().any(char::is_control) {
                return Err(format!("`{name}` is longer than {MAX_VALUE} bytes or holds a control character"));
            }
            if value.starts_with("${") && !SECRETS.contains(&name.as_str()) {
                return Err(format!(
                    "`{name}` is a reference, which only {} may be: write it out",
                    SECRETS.join(" and ")
                ));
            }
        }
        let old = old.is_some();
        Ok(Given { all, old })
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.all.iter().find(|(n, _)| n == name).map(|(_, value)| value.expose())
    }

    fn has_any<'a>(&self, names: &[&'a str]) -> Option<&'a str> {
        names.iter().find(|n| self.get(n).is_some()).copied()
    }

    fn secret(&self, name: &str) -> Option<Secret> {
        self.get(name).map(Secret::new)
    }

    fn as_of_old(&self) -> Result<(Url, Api, Identity, Scope), String> {
        let missing: Vec<&str> = OLD.into_iter().filter(|n| self.get(n).is_none()).collect();
        if !missing.is_empty() {
            let is = if missing.len() == 1 { "is" } else { "are" };
            return Err(format!("{} {is} missing: OPENSTACK needs {}", listed(&missing), listed(&OLD)));
        }
        let text = |name: &str| self.get(name).unwrap_or_default().to_owned();
        let password = Secret::new(text("password"));
        let url = self.url("osauthendpoint")?;
        let path = url.path().trim_end_matches('/');
        if path.ends_with("/v2.0/tokens") {
            let identity = Identity::V2 { user: text("user"), password, tenant_id: text("tenantid") };
            return Ok((url, Api::V2, identity, Scope::Default));
        }
        if path.ends_with("/v2.0") {
            return Err("`osauthendpoint` ends in /v2.0: write …/v2.0/tokens for Identity v2.0, or …/v3".into());
        }
        // skypunch 0.3.0 knew no domains.
        let user = Owned::Name { name: text("user"), domain: Domain::Id("default".into()) };
        let scope = Scope::Project(Owned::Id(text("tenantid")));
        Ok((url, Api::V3, Identity::Password { user, password }, scope))
    }

    fn as_of_now(&self) -> Result<(Url, Api, Identity, Scope), String> {
        if self.get("auth_url").is_none() {
            return Err("`auth_url` is missing: write where Keystone is, such as auth_url=https://host:5000/v3".into());
        }
        let url = self.url("auth_url")?;
        let path = url.path().trim_end_matches('/');
        if path.ends_with("/v2.0/tokens") || path.ends_with("/v2.0") {
            return Err(format!(
                "`auth_url` is one of Identity v2.0, which is served under the names of skypunch 0.3.0 only: write {}, \
                 or leave /v2.0 out of the URL for v3",
                listed(&OLD)
            ));
        }
        let identity = self.identity()?;
        let scope = self.scope()?;
        Ok((url, Api::V3, identity, scope))
    }

    fn identity(&self) -> Result<Identity, String> {
        const APPLICATION: [&str; 3] =
            ["application_credential_id", "application_credential_name", "application_credential_secret"];
        const SCOPES: [&str; 8] = [
            "project_name",
            "project_id",
            "domain_name",
            "domain_id",
            "system_scope",
            "scope",
            "project_domain_name",
            "project_domain_id",
        ];
        let Some(named) = self.has_any(&APPLICATION) else {
            let user = self.user()?;
            let password = self.secret("password").ok_or_else(|| {
                "`password` is missing: write it or a reference such as password=${file:/path}, or \
                 application_credential_id and application_credential_secret instead"
                    .to_owned()
            })?;
            return Ok(Identity::Password { user, password });
        };
        if self.get("password").is_some() {
            return Err(format!(
                "`password` and `{named}` are both given: an application credential has a secret of its own, leave \
                 password out"
            ));
        }
        if let Some(scope) = self.has_any(&SCOPES) {
            return Err(format!(
                "`{scope}` must not be sent with an application credential, which has its scope in itself (Keystone \
                 answers 401): leave it out"
            ));
        }
        let secret = self.secret("application_credential_secret");
        let secret = secret.ok_or("`application_credential_secret` is missing: write it or a reference to it")?;
        if let Some(id) = self.get("application_credential_id") {
            return Ok(Identity::ApplicationCredentialId { id: id.to_owned(), secret });
        }
        let name = self.get("application_credential_name").ok_or(
            "`application_credential_id` is missing: write it, or application_credential_name with the user who owns it",
        )?;
        let user = self.user()?;
        Ok(Identity::ApplicationCredentialName { name: name.to_owned(), user, secret })
    }

    fn user(&self) -> Result<Owned, String> {
        self.owned("user_id", "username", "user_domain")?
            .ok_or_else(|| "`username` (or `user_id`) is missing: write who logs in".to_owned())
    }

    fn scope(&self) -> Result<Scope, String> {
        let mut scopes: Vec<(&str, Scope)> = Vec::new();
        if let Some(project) = self.owned("project_id", "project_name", "project_domain")? {
            let name = self.has_any(&["project_id", "project_name"]).unwrap_or("project_id");
            scopes.push((name, Scope::Project(project)));
        } else if let Some(name) = self.has_any(&["project_domain_id", "project_domain_name"]) {
            return Err(format!("`{name}` is given without a project: write project_name too, or leave it out"));
        }
        match (self.get("domain_id"), self.get("domain_name")) {
            (Some(id), _) => scopes.push(("domain_id", Scope::Domain(Domain::Id(id.to_owned())))),
            (None, Some(name)) => scopes.push(("domain_name", Scope::Domain(Domain::Name(name.to_owned())))),
            (None, None) => {}
        }
        match self.get("system_scope") {
            None => {}
            Some("all") => scopes.push(("system_scope", Scope::System)),
            Some(_) => return Err("`system_scope` can only be all: write system_scope=all, or leave it out".into()),
        }
        match self.get("scope") {
            None => {}
            Some("unscoped") => scopes.push(("scope", Scope::Unscoped)),
            Some(_) => {
                return Err("`scope` can only be unscoped: write scope=unscoped, or one of project_name, project_id, \
                            domain_name, domain_id and system_scope"
                    .into());
            }
        }
        match scopes.as_slice() {
            [] => Ok(Scope::Default),
            [(_, scope)] => Ok(scope.clone()),
            [(first, _), (second, _), ..] => Err(format!(
                "`{first}` and `{second}` are two scopes, and a token has one: leave one out{}",
                if second.starts_with("domain_") {
                    " (a user's domain is user_domain_name, a project's is project_domain_name)"
                } else {
                    ""
                }
            )),
        }
    }

    /// By id, or by name and domain.
    fn owned(&self, id: &str, name: &str, domain: &str) -> Result<Option<Owned>, String> {
        if let Some(id) = self.get(id) {
            return Ok(Some(Owned::Id(id.to_owned())));
        }
        let Some(text) = self.get(name) else { return Ok(None) };
        let of = |by: &str| self.get(&format!("{domain}_{by}"));
        let domain = match (of("id"), of("name"), self.get("default_domain_id"), self.get("default_domain_name")) {
            (Some(id), ..) | (None, None, Some(id), _) => Domain::Id(id.to_owned()),
            (None, Some(name), ..) | (None, None, None, Some(name)) => Domain::Name(name.to_owned()),
            (None, None, None, None) => {
                return Err(format!(
                    "`{domain}_name` (or `{domain}_id`) is missing: a name is unique within its domain only; write \
                     {domain}_name=Default where there are no others, or `{id}` instead of `{name}`"
                ));
            }
        };
        Ok(Some(Owned::Name { name: text.to_owned(), domain }))
    }

    /// Where the identity service is. What people add by analogy with v2.0 goes: `/v3/auth/tokens` is `/v3`.
    fn url(&self, name: &str) -> Result<Url, String> {
        const HOW: &str = "write http://host:5000 or https://host/identity/v3";
        let mut url =
            self.get(name).and_then(|s| Url::parse(s).ok()).ok_or_else(|| format!("`{name}` is not a URL: {HOW}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("`{name}` begins with neither http:// nor https://: {HOW}"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(format!("`{name}` holds a user or password: write them as parameters of their own"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(format!("`{name}` holds a `?` or `#`: {HOW}"));
        }
        if url.port() == Some(0) {
            return Err(format!("`{name}` has port 0: write 1 to 65535"));
        }
        let path = url.path().trim_end_matches('/').to_owned();
        if let Some(base) = path.strip_suffix("/auth/tokens") {
            url.set_path(base);
        }
        Ok(url)
    }
}

/// `a`, `b` and `c`.
fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests;
