//! clouds.yaml with what lies under and over it, and the `OS_*` environment.

use super::input::{CANARY, Fields};
use super::judge;
use crate::model::credential::{Login, is_plain_param};
use crate::openstack::clouds::{Found, Sources, login};
use crate::secret::Secret;

pub fn run(data: &[u8]) {
    let mut fields = Fields::of(data);
    let cloud = fields.text();
    let mut file = |name: &str| {
        let text = fields.option().map(|t| secrets(&t));
        text.map(|text| Found { path: format!("/etc/openstack/{name}.yaml").into(), text: Secret::new(text) })
    };
    let (clouds, secure, public) = (file("clouds"), file("secure"), file("clouds-public"));
    let env = fields.rest();
    // A secret in a variable for something else, OS_AUTH_TYPE for example, is shown to whoever wrote it there.
    let is_secret = |name: &str| name.contains("PASSWORD") || name.contains("SECRET");
    let value = |name: &str, text: &str| if is_secret(name) { secrets(text) } else { text.to_owned() };
    let environment =
        env.chunks_exact(2).map(|pair| (pair[0].clone(), Secret::new(value(&pair[0], &pair[1])))).collect();
    let sources = Sources { clouds, secure, public, looked: vec!["/etc/openstack/clouds.yaml".into()], environment };
    match login(&cloud, &sources) {
        Ok(login) => {
            assert!(matches!(login.auth_url.scheme(), "http" | "https") && login.auth_url.host().is_some());
            let params = login.to_params();
            // Whoever writes a secret where none belongs, a URL or a name, is shown it.
            if !params.iter().any(|(name, value)| is_plain_param(name) && value.expose().contains(CANARY)) {
                judge::no_secret(&format!("{login:?}"));
            }
            assert_eq!(Login::from_params(params).as_ref(), Ok(&login));
        }
        Err(message) => judge::sentence(&message, judge::MOST),
    }
}

/// The text with secrets where it says `password: ~` and the like.
fn secrets(text: &str) -> String {
    text.replace("password: ~", &format!("password: {CANARY}")).replace("secret: ~", &format!("secret: {CANARY}"))
}
