//! Routes that change definitions. A change is written to the database, then in force before it is answered.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value};
use slog::info;

use super::body::Sent;
use super::error::ApiError;
use super::found::as_it_is_now;
use super::reads::{ask, detail, find};
use super::{Context, peer};
use crate::actors::watcher::{Depth, LookNow};
use crate::control::api::{Removed, TargetDetail};
use crate::model::defined::Defined;
use crate::model::definition::Definition;
use crate::model::notifier::{TypeCheck, any_type};
use crate::model::target::TargetId;

pub type Keys = Sent<Map<String, Value>>;

pub async fn add(context: web::Data<Context>, request: HttpRequest, keys: Keys) -> Result<HttpResponse, ApiError> {
    let mut definition = Definition::default();
    set(&mut definition, &keys, &any_type)?;
    let (row, now) = (definition.clone(), context.clock.utc_now());
    let id = TargetId(ask(&context, move |store| store.insert_definition(&row, now)).await?);
    log(&context, &request, "add", id, &definition.name);
    in_force(&context).await?;
    Ok(HttpResponse::Created().json(detail(&context, id).await?))
}

pub async fn edit(
    context: web::Data<Context>,
    request: HttpRequest,
    path: web::Path<String>,
    keys: Keys,
) -> Result<web::Json<TargetDetail>, ApiError> {
    as_it_is_now(&context).await;
    let (id, _) = find(&context, &path).await?;
    let (keys, now) = (keys.into_inner(), context.clock.utc_now());
    let name = ask(&context, move |store| store.edit_definition(id.0, now, |d| set(d, &keys, &any_type))).await??;
    log(&context, &request, "edit", id, &name);
    in_force(&context).await?;
    detail(&context, id).await.map(web::Json)
}

/// Sets keys and checks what comes of it.
pub fn set<D: Defined>(definition: &mut D, keys: &Map<String, Value>, types: &TypeCheck) -> Result<(), ApiError> {
    let problems = match definition.set_all(keys) {
        Err(problems) => problems,
        Ok(()) => definition.problems(types),
    };
    if problems.is_empty() {
        return Ok(());
    }
    Err(ApiError::invalid(format!("the {} cannot be defined so", D::WHAT), problems))
}

pub async fn remove(
    context: web::Data<Context>,
    request: HttpRequest,
    path: web::Path<String>,
) -> Result<web::Json<Removed>, ApiError> {
    as_it_is_now(&context).await;
    let (id, entry) = find(&context, &path).await?;
    let (tenantid, name) = entry.lock().name();
    ask(&context, move |store| store.delete_definition(id.0)).await?;
    log(&context, &request, "remove", id, &name);
    in_force(&context).await?;
    Ok(web::Json(Removed { id, tenantid, name }))
}

pub async fn enable(
    context: web::Data<Context>,
    request: HttpRequest,
    path: web::Path<String>,
) -> Result<web::Json<TargetDetail>, ApiError> {
    set_enabled(&context, &request, &path, true).await
}

pub async fn disable(
    context: web::Data<Context>,
    request: HttpRequest,
    path: web::Path<String>,
) -> Result<web::Json<TargetDetail>, ApiError> {
    set_enabled(&context, &request, &path, false).await
}

async fn set_enabled(
    context: &Context,
    request: &HttpRequest,
    reference: &str,
    enabled: bool,
) -> Result<web::Json<TargetDetail>, ApiError> {
    as_it_is_now(context).await;
    let (id, entry) = find(context, reference).await?;
    let (name, now) = (entry.lock().name().1, context.clock.utc_now());
    ask(context, move |store| store.set_enabled(id.0, enabled, now)).await?;
    log(context, request, if enabled { "enable" } else { "disable" }, id, &name);
    in_force(context).await?;
    detail(context, id).await.map(web::Json)
}

/// Waits until what was written is in force.
pub async fn in_force(context: &Context) -> Result<(), ApiError> {
    match context.watcher.send(LookNow(Depth::All)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(why)) => Err(ApiError::new(503, format!("it was written, but is not in force yet: {why}"))),
        Err(_) => Err(ApiError::new(503, "it was written, but the daemon stops")),
    }
}

fn log(context: &Context, request: &HttpRequest, what: &'static str, id: TargetId, name: &str) {
    let (uid, pid) = peer::of(request);
    info!(context.log, "a definition was changed through the control socket"; "uid" => uid, "pid" => pid,
        "change" => what, "target" => id.0, "name" => name.to_owned());
}
