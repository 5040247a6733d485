//! Credentials: what is known of them, and their definitions' changes.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use slog::info;

use super::asked::Asked;
use super::changes::{Keys, in_force, set};
use super::error::ApiError;
use super::found::as_it_is_now;
use super::logins::{self, Meant};
use super::reads::ask;
use super::{Context, peer};
use crate::board::credentials::CredentialEntry;
use crate::control::api::{
    CredentialDetail, CredentialFilter, CredentialRemoval, CredentialSource, CredentialSummary, RemovedCredential,
};
use crate::model::auth::Auth;
use crate::model::credential::{CredentialDefinition, CredentialId, CredentialKey, CredentialRef, OpenStackAuth};
use crate::model::notifier::any_type;
use crate::model::target::Target;
use crate::model::text::quoted;

type Answer<T> = Result<web::Json<T>, ApiError>;

/// Names of users that a sentence lists.
const SHOWN_USERS: usize = 10;

pub async fn list(context: web::Data<Context>, filter: Asked<CredentialFilter>) -> Answer<Vec<CredentialSummary>> {
    let mut all = logins::summaries(&context);
    all.retain(|c| {
        filter.tenant.as_ref().is_none_or(|t| Some(t) == c.tenantid.as_ref())
            && filter.enabled.is_none_or(|on| on == c.enabled)
    });
    Ok(web::Json(all))
}

pub async fn one(context: web::Data<Context>, path: web::Path<String>) -> Answer<CredentialDetail> {
    match logins::find(&context, &path).await? {
        Meant::Row(id, entry) => Ok(web::Json(detail(&context, id, &entry))),
        meant @ Meant::Cloud(_) => cloud(&context, &meant).await.map(web::Json),
        Meant::Own(target) => Ok(web::Json(own(&context, target))),
    }
}

/// An entry of clouds.yaml, as it stands there now.
async fn cloud(context: &Context, meant: &Meant) -> Result<CredentialDetail, ApiError> {
    let key = meant.key();
    let name = meant.name();
    let login = context.identities.login(&key).await;
    let CredentialKey::Cloud(cloud) = &key else { return Err(ApiError::new(400, "this is no cloud")) };
    let users = context.board.users_of(&CredentialRef::Cloud(cloud.clone()));
    if let (Err(e), true) = (&login, users.is_empty()) {
        return Err(ApiError::new(404, format!("no target uses {}, and {}", quoted(&name), e.sentence)));
    }
    let mut definition = CredentialDefinition { name, ..CredentialDefinition::default() }.to_json();
    definition.remove("tenantid");
    Ok(CredentialDetail {
        id: None,
        source: CredentialSource::Cloud,
        auth_url: login.as_ref().ok().map(|l| l.auth_url.to_string()),
        status: logins::status(context, &key, true),
        users,
        problems: Vec::new(),
        warnings: login.err().map(|e| e.sentence).into_iter().collect(),
        definition,
    })
}

/// The login of a target.
fn own(context: &Context, target: Arc<Target>) -> CredentialDetail {
    let (enabled, tenantid) = (target.enabled, target.tenant.clone());
    let login = match &target.auth {
        Auth::OpenStack(OpenStackAuth::Own(login)) => Some(login),
        _ => None,
    };
    let (auth_url, warning) =
        (login.map(|l| l.auth_url.to_string()), login.and_then(|l| l.warning()).map(str::to_owned));
    let (users, meant) = (vec![target.name.clone()], Meant::Own(Arc::clone(&target)));
    CredentialDetail {
        id: None,
        source: CredentialSource::Target,
        auth_url,
        status: logins::status(context, &meant.key(), enabled),
        users,
        problems: Vec::new(),
        warnings: warning.into_iter().collect(),
        definition: CredentialDefinition { name: meant.name(), tenantid, enabled, ..CredentialDefinition::default() }
            .to_json(),
    }
}

fn users(context: &Context, entry: &CredentialEntry) -> Vec<String> {
    let (tenant, name) = entry.name();
    context.board.users_of(&CredentialRef::Named { tenant: tenant.to_owned(), name: name.to_owned() })
}

fn detail(context: &Context, id: CredentialId, entry: &CredentialEntry) -> CredentialDetail {
    let login = entry.in_force.as_ref().map(|c| &c.login);
    CredentialDetail {
        id: Some(id),
        source: CredentialSource::Row,
        auth_url: login.map(|l| l.auth_url.to_string()),
        status: logins::status(context, &CredentialKey::Row(id), entry.row.enabled),
        users: users(context, entry),
        problems: entry.problems.clone(),
        warnings: login.and_then(|l| l.warning()).into_iter().map(str::to_owned).collect(),
        definition: entry.row.to_json(),
    }
}

/// What is in force after a change.
fn changed(context: &Context, id: CredentialId) -> Result<CredentialDetail, ApiError> {
    let all = context.board.credentials.all();
    let entry = all.get(&id).ok_or_else(|| ApiError::new(404, format!("there is no credential {id} any more")))?;
    Ok(detail(context, id, entry))
}

pub async fn add(context: web::Data<Context>, request: HttpRequest, keys: Keys) -> Result<HttpResponse, ApiError> {
    let mut definition = CredentialDefinition::default();
    set(&mut definition, &keys, &any_type)?;
    let (row, now) = (definition.clone(), context.clock.utc_now());
    let id = CredentialId(ask(&context, move |store| store.insert_credential(&row, now)).await?);
    log(&context, &request, "add", id, &definition.name);
    in_force(&context).await?;
    Ok(HttpResponse::Created().json(changed(&context, id)?))
}

pub async fn edit(
    context: web::Data<Context>,
    request: HttpRequest,
    path: web::Path<String>,
    keys: Keys,
) -> Answer<CredentialDetail> {
    as_it_is_now(&context).await;
    let (id, entry) = logins::find_row(&context, &path).await?;
    let (keys, now, users) = (keys.into_inner(), context.clock.utc_now(), users(&context, &entry));
    let edit = move |d: &mut CredentialDefinition| {
        let before = (d.tenantid.clone(), d.name.clone());
        set(d, &keys, &any_type)?;
        if before != (d.tenantid.clone(), d.name.clone()) && !users.is_empty() {
            return Err(used(&before.1, &users, "rename it in a targets file together with them, with renamed_from"));
        }
        Ok(())
    };
    let name = ask(&context, move |store| store.edit_credential(id.0, now, edit)).await??;
    log(&context, &request, "edit", id, &name);
    in_force(&context).await?;
    changed(&context, id).map(web::Json)
}

pub async fn remove(
    context: web::Data<Context>,
    request: HttpRequest,
    path: web::Path<String>,
    removal: Asked<CredentialRemoval>,
) -> Answer<RemovedCredential> {
    as_it_is_now(&context).await;
    let (id, entry) = logins::find_row(&context, &path).await?;
    let users = users(&context, &entry);
    if !users.is_empty() && !removal.force {
        return Err(used(&entry.row.name, &users, "change them first, or force it (--force)"));
    }
    ask(&context, move |store| store.delete_credential(id.0)).await?;
    log(&context, &request, "remove", id, &entry.row.name);
    in_force(&context).await?;
    Ok(web::Json(RemovedCredential { id, tenantid: entry.row.tenantid, name: entry.row.name }))
}

/// Targets would be left without it.
fn used(name: &str, users: &[String], instead: &str) -> ApiError {
    let shown: Vec<String> = users.iter().take(SHOWN_USERS).map(|u| quoted(u)).collect();
    let more = if users.len() > SHOWN_USERS { ", …" } else { "" };
    let count = if users.len() == 1 { "1 target uses".to_owned() } else { format!("{} targets use", users.len()) };
    let detail = format!("{count} the credential {} ({}{more}): {instead}", quoted(name), shown.join(", "));
    ApiError::new(409, detail)
}

pub async fn enable(
    context: web::Data<Context>,
    request: HttpRequest,
    path: web::Path<String>,
) -> Answer<CredentialDetail> {
    set_enabled(&context, &request, &path, true).await
}

pub async fn disable(
    context: web::Data<Context>,
    request: HttpRequest,
    path: web::Path<String>,
) -> Answer<CredentialDetail> {
    set_enabled(&context, &request, &path, false).await
}

async fn set_enabled(
    context: &Context,
    request: &HttpRequest,
    reference: &str,
    enabled: bool,
) -> Answer<CredentialDetail> {
    as_it_is_now(context).await;
    let (id, entry) = logins::find_row(context, reference).await?;
    let now = context.clock.utc_now();
    ask(context, move |store| store.set_credential_enabled(id.0, enabled, now)).await?;
    log(context, request, if enabled { "enable" } else { "disable" }, id, &entry.row.name);
    in_force(context).await?;
    changed(context, id).map(web::Json)
}

fn log(context: &Context, request: &HttpRequest, what: &'static str, id: CredentialId, name: &str) {
    let (uid, pid) = peer::of(request);
    info!(context.log, "a definition was changed through the control socket"; "uid" => uid, "pid" => pid,
        "change" => what, "credential" => id.0, "name" => name.to_owned());
}
