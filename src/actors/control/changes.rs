//! Routes that change definitions. A change is written to the database, then in force before it is answered.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value};
use slog::info;

use super::error::ApiError;
use super::reads::{ask, detail, find};
use super::{Context, peer};
use crate::actors::watcher::LookNow;
use crate::control::api::{Action, ApplyReport, ApplyRequest, Change, FieldChange, Removed, TargetDetail};
use crate::model::definition::{Definition, Problem};
use crate::model::plan::{Planned, PlannedAction, Unplannable, plan};
use crate::model::target::TargetId;
use crate::model::targets_file::Entry;

type Keys = web::Json<Map<String, Value>>;

pub async fn add(context: web::Data<Context>, request: HttpRequest, keys: Keys) -> Result<HttpResponse, ApiError> {
    let mut definition = Definition::default();
    set(&mut definition, &keys)?;
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
    let (id, _) = find(&context, &path)?;
    let (keys, now) = (keys.into_inner(), context.clock.utc_now());
    let name = ask(&context, move |store| store.edit_definition(id.0, now, |d| set(d, &keys))).await??;
    log(&context, &request, "edit", id, &name);
    in_force(&context).await?;
    detail(&context, id).await.map(web::Json)
}

fn set(definition: &mut Definition, keys: &Map<String, Value>) -> Result<(), ApiError> {
    let problems = match definition.set_all(keys) {
        Err(problems) => problems,
        Ok(()) => definition.validate().err().unwrap_or_default(),
    };
    if problems.is_empty() { Ok(()) } else { Err(ApiError::invalid("the target cannot be defined so", problems)) }
}

pub async fn remove(
    context: web::Data<Context>,
    request: HttpRequest,
    path: web::Path<String>,
) -> Result<web::Json<Removed>, ApiError> {
    let (id, entry) = find(&context, &path)?;
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
    let (id, entry) = find(context, reference)?;
    let (name, now) = (entry.lock().name().1, context.clock.utc_now());
    ask(context, move |store| store.set_enabled(id.0, enabled, now)).await?;
    log(context, request, if enabled { "enable" } else { "disable" }, id, &name);
    in_force(context).await?;
    detail(context, id).await.map(web::Json)
}

pub async fn apply(
    context: web::Data<Context>,
    request: HttpRequest,
    body: web::Json<ApplyRequest>,
) -> Result<web::Json<ApplyReport>, ApiError> {
    let ApplyRequest { targets, plan: plan_only, prune } = body.into_inner();
    let mut entries = Vec::with_capacity(targets.len());
    let mut wrong = Vec::new();
    for (i, keys) in targets.into_iter().enumerate() {
        match Entry::from_keys(keys) {
            Ok(entry) => entries.push(entry),
            Err((name, problems)) => {
                wrong.push(Unplannable { number: i + 1, name: name.unwrap_or_default(), problems });
            }
        }
    }
    if !wrong.is_empty() {
        return Err(unplannable(wrong));
    }
    let now = context.clock.utc_now();
    let planned = ask(&context, move |store| {
        let existing = store.load_definitions()?;
        let mut planned = match plan(&existing, &entries, prune) {
            Ok(planned) => planned,
            Err(wrong) => return Ok(Err(wrong)),
        };
        if !plan_only {
            let (inserts, updates, deletes) = changes(&planned);
            let ids = store.apply_definitions(&inserts, &updates, &deletes, now)?.inserted;
            let inserted = planned.iter_mut().filter(|p| p.action == PlannedAction::Insert);
            for (planned, id) in inserted.zip(ids) {
                planned.definition.id = id;
            }
        }
        Ok(Ok(planned))
    })
    .await?
    .map_err(unplannable)?;
    if !plan_only {
        let (uid, pid) = peer::of(&request);
        let changed = planned.iter().filter(|p| p.action != PlannedAction::Unchanged).count();
        info!(context.log, "a targets file was applied through the control socket"; "uid" => uid, "pid" => pid,
            "changed" => changed, "prune" => prune);
        in_force(&context).await?;
    }
    Ok(web::Json(ApplyReport { changes: planned.into_iter().map(change).collect(), applied: !plan_only }))
}

/// What is to be written for a plan: inserts, updates, ids to delete.
#[must_use]
pub fn changes(planned: &[Planned]) -> (Vec<Definition>, Vec<Definition>, Vec<i64>) {
    let of = |wanted: &[PlannedAction]| {
        planned.iter().filter(|p| wanted.contains(&p.action)).map(|p| p.definition.clone()).collect::<Vec<_>>()
    };
    let deletes = of(&[PlannedAction::Delete]).iter().map(|d| d.id).collect();
    (of(&[PlannedAction::Insert]), of(&[PlannedAction::Update, PlannedAction::Rename]), deletes)
}

fn change(planned: Planned) -> Change {
    let id = planned.definition.id;
    Change {
        action: match planned.action {
            PlannedAction::Insert => Action::Insert,
            PlannedAction::Update => Action::Update,
            PlannedAction::Rename => Action::Rename,
            PlannedAction::Delete => Action::Delete,
            PlannedAction::Unchanged => Action::Unchanged,
        },
        tenantid: planned.definition.tenantid,
        name: planned.definition.name,
        id: (id != 0).then_some(TargetId(id)),
        fields: planned.fields.into_iter().map(|(field, from, to)| FieldChange { field, from, to }).collect(),
    }
}

fn unplannable(wrong: Vec<Unplannable>) -> ApiError {
    let problems = wrong
        .into_iter()
        .flat_map(|w| {
            let place = format!("target[{}] ({})", w.number, w.name);
            w.problems.into_iter().map(move |p| Problem { field: format!("{place}.{}", p.field), message: p.message })
        })
        .collect();
    ApiError::invalid("nothing was changed: some of the targets cannot be applied", problems)
}

/// Waits until what was written is in force.
async fn in_force(context: &Context) -> Result<(), ApiError> {
    match context.watcher.send(LookNow).await {
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
