//! How an old target logs in.

use super::Fate;
use super::row::{Look, OldRow};
use crate::model::auth::Auth;
use crate::model::credential::OpenStackAuth;
use crate::model::definition::Definition;
use crate::model::params;
use crate::model::text::is_hidden;
use crate::secret::Secret;

/// `authn` and `authn_parms`.
pub(super) fn authentication(d: &mut Definition, row: &OldRow, seen: &mut Look<'_>) {
    let (authn, written) = (row.text("authn").trim().to_ascii_uppercase(), row.text("authn_parms").trim());
    let known: &[&str] = match authn.as_str() {
        "BASIC" => &["user", "password"],
        "OPENSTACK" => &["user", "password", "osauthendpoint", "tenantid"],
        _ => {
            if authn != "NONE" {
                seen.note("authn", Fate::Brought, "is not known, and 0.3.0 sent no login then: it is NONE now");
            }
            if !written.is_empty() {
                seen.secret("authn_parms", Fate::Brought, "are parameters that were not used: left out");
            }
            return;
        }
    };
    let mut why = None;
    match params::parse(written) {
        Err(e) => why = Some(e.to_string()),
        Ok(all) => {
            let extra = all.iter().enumerate().filter(|(_, (name, _))| !known.contains(&name.as_str()));
            let extra: Vec<String> = extra.map(|(i, (name, _))| params::shown(name, i + 1)).collect();
            if !extra.is_empty() {
                seen.secret(
                    "authn_parms",
                    Fate::Brought,
                    format!("hold {}, which 0.3.0 did not use: left out", extra.join(", ")),
                );
            }
            let kept = all.iter().filter(|(name, _)| known.contains(&name.as_str()));
            let parms = params::write(kept.map(|(name, value)| (name.as_str(), value.expose())));
            match Auth::parse(&authn, Some(&parms)) {
                Ok(auth) => {
                    keystone(&auth, &parms, seen);
                    d.authn = authn.clone();
                    d.authn_parms = Some(parms);
                }
                Err((_, message)) => why = Some(message),
            }
        }
    }
    if let Some(why) = why {
        d.enabled = false;
        // For a shell; a name that cannot stand in its quotes, or be read, or is none, is left to the reader.
        let left = d.name.contains(|c| c == '\'' || is_hidden(c)) || d.name.chars().count() > 128;
        let name = if left { "NAME".to_owned() } else { format!("'{}'", d.name) };
        let mend = format!("skypunchctl edit target {name} --authn {authn} --authn-parms -");
        seen.secret("authn_parms", Fate::Disabled, format!("{why}; it has no login now: {mend}, and enable it"));
    }
}

fn keystone(auth: &Auth, parms: &Secret, seen: &mut Look<'_>) {
    let Auth::OpenStack(OpenStackAuth::Own(login)) = auth else { return };
    match login.warning() {
        Some(warning) => seen.secret("authn_parms", Fate::Brought, warning),
        None if parms.expose().contains("osauthendpoint") => seen.secret(
            "authn_parms",
            Fate::Brought,
            "the endpoint is not /v2.0/tokens: it is spoken to as v3, with tenantid as the project's id and the user in the domain default",
        ),
        None => {}
    }
}
