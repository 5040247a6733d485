//! Notifiers: what is known of them and of their types, and their definitions' changes.

use actix_web::{HttpRequest, HttpResponse, web};
use slog::info;

use super::asked::Asked;
use super::changes::{Keys, in_force, set};
use super::error::ApiError;
use super::found::{as_it_is_now, found};
use super::reads::ask;
use super::{Context, peer};
use crate::board::notifiers::NotifierEntry;
use crate::control::api::{
    NotifierCounts, NotifierDetail, NotifierFilter, NotifierRef, NotifierSummary, RemovedNotifier,
};
use crate::model::notifier::{NotifierDefinition, NotifierId, NotifierStatus};
use crate::notify::catalogue::TypeInfo;

type Answer<T> = Result<web::Json<T>, ApiError>;

pub async fn list(context: web::Data<Context>, filter: Asked<NotifierFilter>) -> Answer<Vec<NotifierSummary>> {
    let all = context.board.notifiers.all();
    let wanted = all.iter().filter(|(_, e)| {
        filter.tenant.as_ref().is_none_or(|t| *t == e.row.tenantid)
            && filter.enabled.is_none_or(|on| on == e.row.enabled)
    });
    let summary = |(id, e): (&NotifierId, &NotifierEntry)| NotifierSummary {
        id: *id,
        name: e.row.name.clone(),
        tenantid: e.row.tenantid.clone(),
        enabled: e.row.enabled,
        kind: e.row.kind.clone(),
        address: e.row.shown_address(),
        counts: counts(&context.board.notifiers.status(*id)),
        invalid: !e.problems.is_empty(),
    };
    Ok(web::Json(wanted.map(summary).collect()))
}

pub async fn one(context: web::Data<Context>, path: web::Path<String>) -> Answer<NotifierDetail> {
    let (id, entry) = find(&context, &path).await?;
    Ok(web::Json(detail(&context, id, &entry)))
}

pub async fn types(context: web::Data<Context>) -> web::Json<Vec<TypeInfo>> {
    web::Json(context.catalogue.describe())
}

pub async fn one_type(context: web::Data<Context>, path: web::Path<String>) -> Answer<TypeInfo> {
    match context.catalogue.known(&path) {
        Ok(info) => Ok(web::Json(info.clone())),
        Err(problem) => Err(ApiError::new(404, problem.message)),
    }
}

fn counts(status: &NotifierStatus) -> NotifierCounts {
    NotifierCounts {
        pass_count: status.pass_count,
        fail_count: status.fail_count,
        last_sent_at: status.last_sent_at,
        last_failed_at: status.last_failed_at,
    }
}

fn detail(context: &Context, id: NotifierId, entry: &NotifierEntry) -> NotifierDetail {
    let status = context.board.notifiers.status(id);
    NotifierDetail {
        id,
        counts: counts(&status),
        last_answer: status.last_answer,
        problems: entry.problems.clone(),
        definition: entry.row.to_json(),
    }
}

/// What is in force after a change.
fn changed(context: &Context, id: NotifierId) -> Result<NotifierDetail, ApiError> {
    let all = context.board.notifiers.all();
    let entry = all.get(&id).ok_or_else(|| ApiError::new(404, format!("there is no notifier {id} any more")))?;
    Ok(detail(context, id, entry))
}

/// The notifier that a person means.
pub async fn find(context: &Context, reference: &str) -> Result<(NotifierId, NotifierEntry), ApiError> {
    let parsed: NotifierRef = reference.parse().map_err(|e: String| ApiError::new(400, e))?;
    let known = || context.board.notifiers.find(&parsed).map_err(|e| ApiError::not_found("notifier", reference, e));
    found(context, known).await
}

pub async fn add(context: web::Data<Context>, request: HttpRequest, keys: Keys) -> Result<HttpResponse, ApiError> {
    let mut definition = NotifierDefinition::default();
    set(&mut definition, &keys, &*context.types)?;
    let (row, now) = (definition.clone(), context.clock.utc_now());
    let id = NotifierId(ask(&context, move |store| store.insert_notifier(&row, now)).await?);
    log(&context, &request, "add", id, &definition.name);
    in_force(&context).await?;
    Ok(HttpResponse::Created().json(changed(&context, id)?))
}

pub async fn edit(
    context: web::Data<Context>,
    request: HttpRequest,
    path: web::Path<String>,
    keys: Keys,
) -> Answer<NotifierDetail> {
    as_it_is_now(&context).await;
    let (id, _) = find(&context, &path).await?;
    let (keys, now, types) = (keys.into_inner(), context.clock.utc_now(), std::sync::Arc::clone(&context.types));
    let name = ask(&context, move |store| store.edit_notifier(id.0, now, |d| set(d, &keys, &*types))).await??;
    log(&context, &request, "edit", id, &name);
    in_force(&context).await?;
    changed(&context, id).map(web::Json)
}

pub async fn remove(
    context: web::Data<Context>,
    request: HttpRequest,
    path: web::Path<String>,
) -> Answer<RemovedNotifier> {
    as_it_is_now(&context).await;
    let (id, entry) = find(&context, &path).await?;
    ask(&context, move |store| store.delete_notifier(id.0)).await?;
    log(&context, &request, "remove", id, &entry.row.name);
    in_force(&context).await?;
    Ok(web::Json(RemovedNotifier { id, tenantid: entry.row.tenantid, name: entry.row.name }))
}

pub async fn enable(
    context: web::Data<Context>,
    request: HttpRequest,
    path: web::Path<String>,
) -> Answer<NotifierDetail> {
    set_enabled(&context, &request, &path, true).await
}

pub async fn disable(
    context: web::Data<Context>,
    request: HttpRequest,
    path: web::Path<String>,
) -> Answer<NotifierDetail> {
    set_enabled(&context, &request, &path, false).await
}

async fn set_enabled(
    context: &Context,
    request: &HttpRequest,
    reference: &str,
    enabled: bool,
) -> Answer<NotifierDetail> {
    as_it_is_now(context).await;
    let (id, entry) = find(context, reference).await?;
    let now = context.clock.utc_now();
    ask(context, move |store| store.set_notifier_enabled(id.0, enabled, now)).await?;
    log(context, request, if enabled { "enable" } else { "disable" }, id, &entry.row.name);
    in_force(context).await?;
    changed(context, id).map(web::Json)
}

fn log(context: &Context, request: &HttpRequest, what: &'static str, id: NotifierId, name: &str) {
    let (uid, pid) = peer::of(request);
    info!(context.log, "a definition was changed through the control socket"; "uid" => uid, "pid" => pid,
        "change" => what, "notifier" => id.0, "name" => name.to_owned());
}
