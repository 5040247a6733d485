//! A token of an OpenStack identity service, as whoever needs one is given it.
//!
//! ```text
//!  login --> Token{ value, serial, lifetime, catalog } --> X-Auth-Token of a probe
//!                             '--> the next login replaces it; a 401 of a service names the serial that it refused
//! ```

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::catalog::Catalog;
use crate::secret::Secret;

/// A token with what came beside it. `Debug` shows no value.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// What is sent as `X-Auth-Token`: printable ASCII without blanks.
    pub value: Secret,
    /// Which login of its credential brought it: 1, 2, 3 …. Two tokens of a credential are the same when this is.
    pub serial: u64,
    /// From its issue to its expiry, both by the identity service's clock; to be counted on the monotonic clock from when
    /// the login was sent.
    pub lifetime: Duration,
    /// The services that it is for; `None` where no catalog was asked for or none came.
    pub catalog: Option<Arc<Catalog>>,
    /// For people: whose token it is and what for.
    pub holder: Holder,
}

/// Whose token it is and what for, as the identity service says; names, or ids where it tells no name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holder {
    /// The user.
    pub user: Option<String>,
    /// The project (v2.0: the tenant); `None` for a token of a domain, of the system, or of no scope.
    pub project: Option<String>,
    /// The domain of a domain-scoped token.
    pub domain: Option<String>,
    /// The token is for the whole deployment.
    pub system: bool,
    /// What it may do there; empty for a token of no scope, and where the service does not say.
    pub roles: Vec<String>,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("serial", &self.serial)
            .field("lifetime", &self.lifetime)
            .field("endpoints", &self.catalog.as_ref().map(|c| c.endpoints.len()))
            .field("holder", &self.holder)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Holder {
    /// `probe in project demo`, `admin for the whole system`, `probe without a scope`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.user.as_deref().unwrap_or("somebody"))?;
        match (&self.project, &self.domain, self.system) {
            (Some(project), _, _) => write!(f, " in project {project}"),
            (None, Some(domain), _) => write!(f, " in domain {domain}"),
            (None, None, true) => f.write_str(" for the whole system"),
            (None, None, false) => f.write_str(" without a scope"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_value() {
        let token = Token {
            value: Secret::new("gAAAAABsecret"),
            serial: 3,
            lifetime: Duration::from_secs(30),
            catalog: Some(Arc::new(Catalog::default())),
            holder: Holder { user: Some("probe".into()), project: Some("demo".into()), ..Holder::default() },
        };
        let shown = format!("{token:?} {token:#?}");
        assert!(shown.contains("serial: 3") && shown.contains("demo") && !shown.contains("gAAA"), "{shown}");
    }

    #[test]
    fn a_holder_reads_as_a_person_would_say_it() {
        let user = Some("probe".to_owned());
        for (holder, words) in [
            (Holder { user: user.clone(), project: Some("demo".into()), ..Holder::default() }, "probe in project demo"),
            (
                Holder { user: user.clone(), domain: Some("Default".into()), ..Holder::default() },
                "probe in domain Default",
            ),
            (Holder { user: user.clone(), system: true, ..Holder::default() }, "probe for the whole system"),
            (Holder { user, ..Holder::default() }, "probe without a scope"),
        ] {
            assert_eq!(holder.to_string(), words);
        }
    }
}
