//! What is known of logins: which credential a person means, how each is doing, which there are without a row.
//!
//! ```text
//!  NAME | cloud:NAME | target:NAME --find--> Meant --key--> Identities --> how it is doing
//!  rows + what targets use without a row --summaries--> the list, the counts of `status`
//! ```

use std::sync::Arc;

use super::Context;
use super::error::ApiError;
use super::found::found;
use super::reads;
use crate::actors::identity::Handle;
use crate::board::credentials::{CredentialEntry, Uses};
use crate::clock::Clock;
use crate::control::api::{
    CredentialCounts, CredentialReference, CredentialSource, CredentialState, CredentialStatus, CredentialSummary,
    FailingCredential, TargetCredential, TargetRef,
};
use crate::model::auth::Auth;
use crate::model::credential::{CLOUD, CredentialId, CredentialKey, CredentialRef, OpenStackAuth, TARGET, TYPES};
use crate::model::target::Target;
use crate::model::text::quoted;

/// The tenant of whoever says none.
const DEFAULT_TENANT: &str = "0";

/// A credential that a person means.
pub enum Meant {
    /// A row.
    Row(CredentialId, Box<CredentialEntry>),
    /// An entry of clouds.yaml.
    Cloud(String),
    /// The `authn_parms` of this target.
    Own(Arc<Target>),
}

impl Meant {
    /// What it is to those who log in.
    pub fn key(&self) -> CredentialKey {
        match self {
            Meant::Row(id, _) => CredentialKey::Row(*id),
            Meant::Cloud(name) => CredentialKey::Cloud(name.clone()),
            Meant::Own(target) => CredentialKey::Target(target.id),
        }
    }

    /// As a person writes it.
    pub fn name(&self) -> String {
        match self {
            Meant::Row(_, entry) => row_name(entry),
            Meant::Cloud(name) => format!("{CLOUD}{name}"),
            Meant::Own(target) => own_name(target),
        }
    }
}

/// The credential that a person means.
pub async fn find(context: &Context, reference: &str) -> Result<Meant, ApiError> {
    if reference.starts_with(CLOUD) {
        return match CredentialRef::parse(reference, DEFAULT_TENANT) {
            Ok(CredentialRef::Cloud(name)) => Ok(Meant::Cloud(name)),
            Ok(CredentialRef::Named { name, .. }) => Err(ApiError::new(400, format!("{} is no cloud", quoted(&name)))),
            Err(why) => Err(ApiError::new(400, why)),
        };
    }
    let Some(target) = reference.strip_prefix(TARGET) else {
        let parsed: CredentialReference = reference.parse().map_err(|e: String| ApiError::new(400, e))?;
        let known = || {
            let entry = context.board.credentials.find(&parsed);
            entry.map_err(|e| ApiError::not_found("credential", reference, e))
        };
        let (id, entry) = found(context, known).await?;
        return Ok(Meant::Row(id, Box::new(entry)));
    };
    let (_, entry) = reads::find(context, target).await?;
    let data = entry.lock();
    let shown = quoted(&data.name().1);
    let none = |why: String| ApiError::new(404, format!("target {shown} has no credential of its own{why}"));
    match data.target.as_ref().map(|t| (t, &t.auth)) {
        Some((t, Auth::OpenStack(OpenStackAuth::Own(_)))) => Ok(Meant::Own(Arc::clone(t))),
        Some((t, Auth::OpenStack(OpenStackAuth::Shared(shared)))) => {
            Err(none(format!(": it uses {}", quoted(&shared.written(&t.tenant)))))
        }
        _ => Err(none(String::new())),
    }
}

/// The row that a person means, who wants to change it.
pub async fn find_row(context: &Context, reference: &str) -> Result<(CredentialId, CredentialEntry), ApiError> {
    match find(context, reference).await? {
        Meant::Row(id, entry) => Ok((id, *entry)),
        Meant::Cloud(_) => {
            Err(ApiError::new(422, format!("{} is an entry of clouds.yaml: change it there", quoted(reference))))
        }
        Meant::Own(target) => Err(ApiError::new(
            422,
            format!(
                "{} is authn_parms of a target: change that (skypunchctl edit target {})",
                quoted(reference),
                target.id
            ),
        )),
    }
}

/// `mycloud`, `acme/mycloud`.
fn row_name(entry: &CredentialEntry) -> String {
    let (tenant, name) = entry.name();
    CredentialRef::Named { tenant: tenant.to_owned(), name: name.to_owned() }.written(DEFAULT_TENANT)
}

/// `target:api`, `target:acme/api`.
fn own_name(target: &Target) -> String {
    let slashed = target.tenant != DEFAULT_TENANT || target.name.contains('/');
    let reference = if slashed {
        TargetRef::Slashed(format!("{}/{}", target.tenant, target.name))
    } else {
        TargetRef::Name(target.name.clone())
    };
    format!("{TARGET}{reference}")
}

/// How a credential is doing.
pub fn status(context: &Context, key: &CredentialKey, enabled: bool) -> CredentialStatus {
    match context.identities.handle(key) {
        Some(handle) => of_handle(&handle, &context.clock, enabled),
        None if enabled => CredentialStatus::default(),
        None => CredentialStatus { state: CredentialState::Disabled, ..CredentialStatus::default() },
    }
}

fn of_handle(handle: &Handle, clock: &Clock, enabled: bool) -> CredentialStatus {
    let now = clock.now();
    let data = handle.lock();
    let (keeper, shown) = (&data.keeper, &data.shown);
    let state = if !enabled {
        CredentialState::Disabled
    } else if keeper.at_hand(now).is_some() {
        CredentialState::Valid
    } else if keeper.failure(now).is_some() {
        CredentialState::Fail
    } else if keeper.is_logging_in() {
        CredentialState::LoggingIn
    } else if shown.logged_in_at.is_some() {
        CredentialState::Expired
    } else {
        CredentialState::New
    };
    CredentialStatus {
        state,
        reason: keeper.last_failure().map(|why| why.reason),
        expires_at: keeper.good_until().and(shown.expires).map(|at| clock.utc(at)),
        logged_in_at: shown.logged_in_at,
        logged_in_as: shown.holder.as_ref().map(ToString::to_string),
        next_login_at: keeper.next_wake(now).filter(|_| enabled).map(|at| clock.utc(at)),
        last_error: shown.failed.as_ref().map(|(_, why)| why.clone()),
        last_failed_at: shown.failed.as_ref().map(|(at, _)| *at),
        logins_ok: shown.logins.0,
        logins_failed: shown.logins.1,
    }
}

/// The rows, then what targets use without one: clouds by name, then the targets' own.
pub fn summaries(context: &Context) -> Vec<CredentialSummary> {
    let Uses { shared, own } = context.board.credential_uses();
    let rows = context.board.credentials.all();
    let row = |(id, entry): (&CredentialId, &CredentialEntry)| {
        let (tenant, name) = entry.name();
        let named = CredentialRef::Named { tenant: tenant.to_owned(), name: name.to_owned() };
        CredentialSummary {
            id: Some(*id),
            source: CredentialSource::Row,
            name: entry.row.name.clone(),
            tenantid: Some(entry.row.tenantid.clone()),
            kind: entry.row.kind.clone(),
            enabled: entry.row.enabled,
            status: status(context, &CredentialKey::Row(*id), entry.row.enabled),
            users: shared.get(&named).copied().unwrap_or(0),
            invalid: !entry.problems.is_empty(),
        }
    };
    let without = |source, name, tenantid, key: CredentialKey, enabled, users| CredentialSummary {
        id: None,
        source,
        name,
        tenantid,
        kind: TYPES[0].to_owned(),
        enabled,
        status: status(context, &key, enabled),
        users,
        invalid: false,
    };
    let mut clouds: Vec<(&String, usize)> = shared
        .iter()
        .filter_map(|(named, users)| match named {
            CredentialRef::Cloud(name) => Some((name, *users)),
            CredentialRef::Named { .. } => None,
        })
        .collect();
    clouds.sort_unstable();
    let cloud = |(name, users): (&String, usize)| {
        let key = CredentialKey::Cloud(name.clone());
        without(CredentialSource::Cloud, format!("{CLOUD}{name}"), None, key, true, users)
    };
    let own_one = |target: &Arc<Target>| {
        let (key, tenant) = (CredentialKey::Target(target.id), Some(target.tenant.clone()));
        without(CredentialSource::Target, own_name(target), tenant, key, target.enabled, 1)
    };
    rows.iter().map(row).chain(clouds.into_iter().map(cloud)).chain(own.iter().map(own_one)).collect()
}

/// How many there are, and which of them fail.
pub fn counts(context: &Context) -> CredentialCounts {
    let all = summaries(context);
    let valid = all.iter().filter(|c| c.status.state == CredentialState::Valid).count();
    let failing = all.iter().filter(|c| c.status.state == CredentialState::Fail);
    let name = |c: &CredentialSummary| match (&c.id, &c.tenantid) {
        (Some(_), Some(tenant)) => {
            CredentialRef::Named { tenant: tenant.clone(), name: c.name.clone() }.written(DEFAULT_TENANT)
        }
        _ => c.name.clone(),
    };
    CredentialCounts {
        total: all.len() as u64,
        valid: valid as u64,
        failing: failing
            .map(|c| FailingCredential { name: name(c), error: c.status.last_error.clone().unwrap_or_default() })
            .collect(),
    }
}

/// The credential that a target logs in with, and how that is doing.
pub fn of_target(context: &Context, target: &Target) -> Option<TargetCredential> {
    let Auth::OpenStack(auth) = &target.auth else { return None };
    let name = match auth {
        OpenStackAuth::Shared(shared) => shared.written(&target.tenant),
        OpenStackAuth::Own(_) => own_name(target),
    };
    let status = match context.identities.key(target) {
        Ok(key) => status(context, &key, true),
        Err(why) => {
            let off = |e: &CredentialEntry| {
                let (tenant, name) = e.name();
                let named = CredentialRef::Named { tenant: tenant.to_owned(), name: name.to_owned() };
                !e.row.enabled && target.auth.credential() == Some(&named)
            };
            let disabled = context.board.credentials.all().values().any(off);
            let state = if disabled { CredentialState::Disabled } else { CredentialState::Fail };
            CredentialStatus { state, last_error: Some(why), ..CredentialStatus::default() }
        }
    };
    Some(TargetCredential { name, status })
}
