//! `authn` and `authn_parms`: how a probe authenticates.
//!
//! The parameters keep the form of skypunch 0.3.0, `user=freebeer,password=forall` ([`super::params`]).

use std::sync::Arc;

use super::credential::{CredentialRef, Login, OpenStackAuth};
use super::params;
use crate::secret::Secret;

/// How a probe authenticates at its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// Not at all.
    None,
    /// `Authorization: Basic` (RFC 7617).
    Basic {
        /// User id; holds no colon.
        user: String,
        /// Password or a reference to it.
        password: Secret,
    },
    /// `Authorization: Bearer` (RFC 6750).
    Bearer {
        /// Token or a reference to it.
        token: Secret,
    },
    /// `X-Auth-Token` with a token of Keystone.
    OpenStack(OpenStackAuth),
}

/// The words that `authn` may hold.
pub const KINDS: [&str; 4] = ["NONE", "BASIC", "BEARER", "OPENSTACK"];

impl Auth {
    /// Reads `authn`, `authn_parms` and `credential` of a target of that tenant. A credential makes it OPENSTACK.
    ///
    /// # Errors
    /// The field (`authn`, `authn_parms` or `credential`) and a sentence; the sentence never holds a secret.
    pub fn of(
        authn: &str,
        parms: Option<&Secret>,
        credential: Option<&str>,
        tenant: &str,
    ) -> Result<Auth, (&'static str, String)> {
        let Some(credential) = credential.filter(|c| !c.is_empty()) else { return Auth::parse(authn, parms) };
        match authn {
            "" | "NONE" | "OPENSTACK" => {}
            "BASIC" | "BEARER" => {
                return Err((
                    "credential",
                    format!("is for authn OPENSTACK, and authn is {authn}: leave one of them out"),
                ));
            }
            other => return Auth::parse(other, parms),
        }
        if parms.is_some_and(|p| !p.expose().trim().is_empty()) {
            return Err((
                "credential",
                "is given, and authn_parms too: leave one of them out (authn_parms is a credential of this target's own)"
                    .into(),
            ));
        }
        let credential = CredentialRef::parse(credential, tenant).map_err(|why| ("credential", why))?;
        Ok(Auth::OpenStack(OpenStackAuth::Shared(credential)))
    }

    /// Reads `authn` and `authn_parms`.
    ///
    /// # Errors
    /// The field (`authn` or `authn_parms`) and a sentence; the sentence never holds a value.
    pub fn parse(authn: &str, parms: Option<&Secret>) -> Result<Auth, (&'static str, String)> {
        let wrong_parms = |message: String| ("authn_parms", message);
        let parms = || {
            params::parse(parms.map_or("", Secret::expose)).map(Parms).map_err(|e| {
                wrong_parms(format!("{e}; write key=value,key=value with a value that holds a comma in double quotes"))
            })
        };
        const WORDS: &str = "write NONE, BASIC, BEARER or OPENSTACK";
        match authn {
            "NONE" => Ok(Auth::None),
            "BASIC" => {
                let mut p = parms()?;
                let user = p.take("user", "BASIC").map_err(wrong_parms)?;
                let password = p.take("password", "BASIC").map_err(wrong_parms)?;
                p.finish("BASIC", "user and password").map_err(wrong_parms)?;
                if user.contains(':') {
                    return Err(wrong_parms("`user` holds a colon, which BASIC cannot carry (RFC 7617)".into()));
                }
                Ok(Auth::Basic { user, password: Secret::new(password) })
            }
            "BEARER" => {
                let mut p = parms()?;
                let token = p.take("token", "BEARER").map_err(wrong_parms)?;
                p.finish("BEARER", "token").map_err(wrong_parms)?;
                Ok(Auth::Bearer { token: Secret::new(token) })
            }
            "OPENSTACK" => {
                let given = parms()?.0;
                if given.is_empty() {
                    let message = "OPENSTACK needs a login: write credential = \"NAME\", or authn_parms with auth_url, \
                                   username, user_domain_name, password, project_name and project_domain_name";
                    return Err(wrong_parms(message.into()));
                }
                let login = Login::from_params(given).map_err(wrong_parms)?;
                Ok(Auth::OpenStack(OpenStackAuth::Own(Arc::new(login))))
            }
            other => Err((
                "authn",
                format!(
                    "{} is no kind of authentication{}: {WORDS}",
                    super::text::quoted(other),
                    super::text::nearest(other, KINDS).map_or(String::new(), |n| format!(" (did you mean {n}?)")),
                ),
            )),
        }
    }

    /// `authn_parms` as a person could have written them; `None` where there are none.
    #[must_use]
    pub fn parms(&self) -> Option<Secret> {
        match self {
            Auth::None => None,
            Auth::Basic { user, password } => {
                Some(params::write([("user", user.as_str()), ("password", password.expose())]))
            }
            Auth::Bearer { token } => Some(params::write([("token", token.expose())])),
            Auth::OpenStack(OpenStackAuth::Shared(_)) => None,
            Auth::OpenStack(OpenStackAuth::Own(login)) => {
                let params = login.to_params();
                Some(params::write(params.iter().map(|(name, value)| (name.as_str(), value.expose()))))
            }
        }
    }

    /// The shared credential that it uses.
    #[must_use]
    pub fn credential(&self) -> Option<&CredentialRef> {
        match self {
            Auth::OpenStack(OpenStackAuth::Shared(credential)) => Some(credential),
            _ => None,
        }
    }

    /// Name of the request header that it sets, in small letters.
    #[must_use]
    pub fn header(&self) -> Option<&'static str> {
        match self {
            Auth::None => None,
            Auth::Basic { .. } | Auth::Bearer { .. } => Some("authorization"),
            Auth::OpenStack(_) => Some("x-auth-token"),
        }
    }

    /// The word for it, as `authn` writes it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Auth::None => "NONE",
            Auth::Basic { .. } => "BASIC",
            Auth::Bearer { .. } => "BEARER",
            Auth::OpenStack(_) => "OPENSTACK",
        }
    }
}

/// The parameters that are not taken yet.
struct Parms(Vec<(String, Secret)>);

impl Parms {
    fn take(&mut self, key: &str, kind: &str) -> Result<String, String> {
        match self.0.iter().position(|(k, _)| k == key) {
            Some(i) => {
                let (_, value) = self.0.remove(i);
                let value = value.expose();
                if value.is_empty() { Err(format!("`{key}` is empty, {kind} needs it")) } else { Ok(value.to_owned()) }
            }
            None => Err(format!("`{key}` is missing, {kind} needs it")),
        }
    }

    fn finish(self, kind: &str, known: &str) -> Result<(), String> {
        match self.0.first() {
            None => Ok(()),
            Some((key, _)) => Err(format!("{} is not known to {kind}, which takes {known}", params::shown(key, 1))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(kind: &str, parms: &str) -> Result<Auth, (&'static str, String)> {
        Auth::parse(kind, Some(&Secret::new(parms)))
    }

    #[test]
    fn the_form_of_skypunch_0_3() {
        assert_eq!(
            parse("BASIC", "user=freebeer,password=forall").unwrap(),
            Auth::Basic { user: "freebeer".into(), password: Secret::new("forall") }
        );
    }

    #[test]
    fn a_quoted_value_may_hold_everything() {
        let auth = parse("BASIC", r#"user = a , password="p,=\"\\""#).unwrap();
        assert_eq!(auth, Auth::Basic { user: "a".into(), password: Secret::new("p,=\"\\") });
    }

    #[test]
    fn errors_name_the_parameter_and_never_a_value() {
        for (parms, word) in [
            ("user=a", "`password`"),
            ("password=hunter2", "`user`"),
            ("user=a,password=", "empty"),
            ("user=a,password=hunter2,realm=hunter2", "`realm`"),
            ("user=a,user=hunter2", "twice"),
            ("user=a,password=\"hunter2", "does not end"),
            ("hunter2", "no `=`"),
        ] {
            let (field, message) = parse("BASIC", parms).unwrap_err();
            assert_eq!(field, "authn_parms");
            assert!(message.contains(word), "{parms}: {message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
        assert!(parse("BASCI", "").unwrap_err().1.contains("did you mean BASIC?"));
    }

    #[test]
    fn openstack_by_a_login_of_its_own_or_by_a_credential() {
        let old = "user=u,password=hunter2,osauthendpoint=http://k:5000/v2.0/tokens,tenantid=t";
        let auth = parse("OPENSTACK", old).unwrap();
        assert_eq!((auth.kind(), auth.header(), auth.credential()), ("OPENSTACK", Some("x-auth-token"), None));
        assert_eq!(Auth::parse("OPENSTACK", auth.parms().as_ref()).unwrap(), auth);
        let named = CredentialRef::Named { tenant: "7".into(), name: "c".into() };
        for authn in ["", "NONE", "OPENSTACK"] {
            let auth = Auth::of(authn, None, Some("c"), "7").unwrap();
            assert_eq!((auth.kind(), auth.credential(), auth.parms()), ("OPENSTACK", Some(&named), None));
        }
        assert_eq!(Auth::of("NONE", None, Some(""), "7").unwrap(), Auth::None);
        let secret = Secret::new(old);
        for (authn, parms, credential, field, part) in [
            ("OPENSTACK", None, None, "authn_parms", "credential = \"NAME\""),
            ("OPENSTACK", Some(&secret), Some("c"), "credential", "authn_parms too: leave one"),
            ("BASIC", Some(&secret), Some("c"), "credential", "authn is BASIC: leave one"),
            ("OPENSTCK", None, Some("c"), "authn", "did you mean OPENSTACK?"),
            ("NONE", None, Some("cloud:"), "credential", "cloud:NAME"),
            ("OPENSTACK", Some(&Secret::new("user=hunter2")), None, "authn_parms", "are missing"),
        ] {
            let (found, message) = Auth::of(authn, parms, credential, "7").unwrap_err();
            assert!(found == field && message.contains(part), "{found}: {message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }

    proptest! {
        #[test]
        fn parameters_read_back(user in "[^:\\x00-\\x1f]{1,20}", password in "[^\\x00-\\x1f]{1,20}") {
            let auth = Auth::Basic { user, password: Secret::new(password) };
            prop_assert_eq!(Auth::parse("BASIC", auth.parms().as_ref()).unwrap(), auth);
        }

        #[test]
        fn never_panics(text in "\\PC*") {
            let _ignored = parse("BASIC", &text);
        }
    }
}
