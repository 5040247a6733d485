//! `authn`, `authn_parms` and `credential` of a target; the form `name=value,name=value` by itself.

use super::input::{CANARY, Fields, with_secrets};
use super::judge;
use crate::model::auth::Auth;
use crate::model::params;
use crate::secret::Secret;

pub fn run(data: &[u8]) {
    let mut fields = Fields::of(data);
    let (authn, parms, credential) = (fields.text(), with_secrets(&fields.text()), fields.option());
    if let Ok(read) = params::parse(&parms) {
        let pairs: Vec<(&str, &str)> = read.iter().map(|(n, v)| (n.as_str(), v.expose())).collect();
        assert!(pairs.iter().map(|(n, v)| n.len() + v.len()).sum::<usize>() <= 2 * parms.len());
        let written = params::write(pairs.iter().copied());
        assert_eq!(params::parse(written.expose()).as_ref(), Ok(&read), "{:?}", written.expose());
        judge::no_secret(&format!("{read:?}"));
    }
    let secret = Secret::new(parms);
    let parms = Some(&secret).filter(|s| !s.expose().is_empty());
    match Auth::of(&authn, parms, credential.as_deref(), "0") {
        Ok(auth) => {
            let parms = auth.parms();
            let credential = auth.credential().map(|c| c.written("0"));
            assert_eq!(Auth::of(auth.kind(), parms.as_ref(), credential.as_deref(), "0").as_ref(), Ok(&auth));
            // Who logs in where is no secret, though it stands among what is.
            if !matches!(&auth, Auth::Basic { user, .. } if user.contains(CANARY))
                && !matches!(auth, Auth::OpenStack(_))
            {
                judge::no_secret(&format!("{auth:?}"));
            }
        }
        Err((field, message)) => {
            assert!(["authn", "authn_parms", "credential"].contains(&field), "{field}");
            judge::sentence(&message, judge::MOST);
        }
    }
}
