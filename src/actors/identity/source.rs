//! Where a login's data come from: a checked definition, or clouds.yaml and the environment.

use std::sync::Arc;
use std::time::Duration;

use crate::model::credential::Login;
use crate::model::reason::Reason;
use crate::net::files::Readings;
use crate::openstack::IdentityError;
use crate::openstack::clouds;

/// The readings of clouds.yaml that run, by the cloud's name.
static READINGS: Readings<String, Result<Arc<Login>, String>> = Readings::new();

/// Where a credential's login comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A definition.
    Known(Arc<Login>),
    /// The entry of that name in clouds.yaml, read at each login: whoever edits it need tell nobody.
    Cloud(String),
    /// There is none any more, and why.
    Missing(String),
}

impl Source {
    /// Whether what a login was made from, `before`, is no longer what it would be made from now. Nobody has logged in
    /// (`None`): then there is nothing that could have changed. What a file says is not looked at: it is read at each
    /// login.
    #[must_use]
    pub fn differs(&self, before: Option<&Source>) -> bool {
        before.is_some_and(|before| self != before)
    }
}

/// The login; `limit` is how long clouds.yaml may take to be read.
///
/// # Errors
/// It is not there, or wrong, or its disk does not answer.
pub async fn login(source: Source, limit: Duration) -> Result<Arc<Login>, IdentityError> {
    match source {
        Source::Known(login) => Ok(login),
        Source::Missing(why) => Err(IdentityError::new(Reason::AuthConfig, why)),
        Source::Cloud(name) => {
            let cloud = name.clone();
            let reading = READINGS.read(name, move || load(&cloud));
            let Ok(read) = tokio::time::timeout(limit, reading).await else {
                let why = "clouds.yaml cannot be read: its disk does not answer";
                return Err(IdentityError::new(Reason::LocalResources, why));
            };
            match read {
                Ok(login) => login.map_err(|why| IdentityError::new(Reason::AuthConfig, why)),
                Err(e) => Err(IdentityError::new(Reason::LocalResources, format!("reading clouds.yaml: {e}"))),
            }
        }
    }
}

fn load(cloud: &str) -> Result<Arc<Login>, String> {
    clouds::login(cloud, &clouds::read(clouds::environment())?).map(Arc::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::params;

    #[test]
    fn only_another_login_is_a_change() {
        let known = |password: &str| {
            let text = format!("auth_url=http://k/v3,user_id=u,password={password}");
            Source::Known(Arc::new(Login::from_params(params::parse(&text).unwrap()).unwrap()))
        };
        let missing = || Source::Missing("it was removed".into());
        assert!(!known("a").differs(None), "nobody has logged in, or the first login is yet to begin");
        assert!(!known("a").differs(Some(&known("a"))) && !missing().differs(Some(&missing())));
        assert!(known("b").differs(Some(&known("a"))));
        assert!(missing().differs(Some(&known("a"))) && known("a").differs(Some(&missing())));
        assert!(!Source::Cloud("lab".into()).differs(Some(&Source::Cloud("lab".into()))));
    }
}
