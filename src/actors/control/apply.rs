//! `/v1/apply`: brings targets and notifiers into the form of a file, or says what that would change.

use actix_web::{HttpRequest, web};
use serde_json::{Map, Value};
use slog::info;

use super::changes::in_force;
use super::error::ApiError;
use super::reads::ask;
use super::{Context, peer};
use crate::control::api::{Action, ApplyReport, ApplyRequest, Change, FieldChange, Kind};
use crate::model::defined::Defined;
use crate::model::definition::{Definition, Problem};
use crate::model::notifier::{NotifierDefinition, TypeCheck};
use crate::model::plan::{Edits, Planned, PlannedAction, Unplannable, plan};
use crate::model::targets_file::Entry;

pub async fn apply(
    context: web::Data<Context>,
    request: HttpRequest,
    body: web::Json<ApplyRequest>,
) -> Result<web::Json<ApplyReport>, ApiError> {
    let ApplyRequest { targets, notifiers, plan: plan_only, prune } = body.into_inner();
    let types = std::sync::Arc::clone(&context.types);
    let mut wrong = Vec::new();
    let targets = entries::<Definition>(targets, &*types, &mut wrong);
    let notifiers = entries::<NotifierDefinition>(notifiers, &*types, &mut wrong);
    if !wrong.is_empty() {
        return Err(unplannable(wrong));
    }
    let now = context.clock.utc_now();
    let (targets, notifiers) = ask(&context, move |store| {
        let (there, told) = (store.load_definitions()?, store.load_notifiers()?);
        let planned = (plan(&there, &targets, prune, &*types), plan(&told, &notifiers, prune, &*types));
        let (mut targets, mut notifiers) = match planned {
            (Ok(targets), Ok(notifiers)) => (targets, notifiers),
            (a, b) => return Ok(Err([a.err(), b.err()].into_iter().flatten().flatten().collect())),
        };
        if !plan_only {
            let applied = store.apply(&Edits::of(&targets), &Edits::of(&notifiers), now)?;
            number(&mut targets, &applied.inserted);
            number(&mut notifiers, &applied.inserted_notifiers);
        }
        Ok(Ok((targets, notifiers)))
    })
    .await?
    .map_err(unplannable)?;
    let changes: Vec<Change> = (targets.into_iter().map(|p| change(Kind::Target, p)))
        .chain(notifiers.into_iter().map(|p| change(Kind::Notifier, p)))
        .collect();
    if !plan_only {
        let (uid, pid) = peer::of(&request);
        let changed = changes.iter().filter(|c| c.action != Action::Unchanged).count();
        info!(context.log, "a targets file was applied through the control socket"; "uid" => uid, "pid" => pid,
            "changed" => changed, "prune" => prune);
        in_force(&context).await?;
    }
    Ok(web::Json(ApplyReport { changes, applied: !plan_only }))
}

fn entries<D: Defined>(all: Vec<Map<String, Value>>, types: &TypeCheck, wrong: &mut Vec<Unplannable>) -> Vec<Entry> {
    let mut entries = Vec::with_capacity(all.len());
    for (keys, number) in all.into_iter().zip(1..) {
        match Entry::from_keys::<D>(keys, types) {
            Ok(entry) => entries.push(entry),
            Err((name, problems)) => {
                wrong.push(Unplannable { what: D::WHAT, number, name: name.unwrap_or_default(), problems });
            }
        }
    }
    entries
}

/// Gives the inserted ones the ids that they have got.
fn number<D: Defined>(planned: &mut [Planned<D>], ids: &[i64]) {
    let inserted = planned.iter_mut().filter(|p| p.action == PlannedAction::Insert);
    inserted.zip(ids).for_each(|(planned, id)| planned.definition.set_id(*id));
}

fn change<D: Defined>(kind: Kind, planned: Planned<D>) -> Change {
    let id = planned.definition.id();
    Change {
        action: match planned.action {
            PlannedAction::Insert => Action::Insert,
            PlannedAction::Update => Action::Update,
            PlannedAction::Rename => Action::Rename,
            PlannedAction::Delete => Action::Delete,
            PlannedAction::Unchanged => Action::Unchanged,
        },
        kind,
        tenantid: planned.definition.tenantid().to_owned(),
        name: planned.definition.name().to_owned(),
        id: (id != 0).then_some(id),
        fields: planned.fields.into_iter().map(|(field, from, to)| FieldChange { field, from, to }).collect(),
    }
}

fn unplannable(wrong: Vec<Unplannable>) -> ApiError {
    let whats: Vec<&str> = wrong.iter().map(|w| w.what).collect();
    let what = match (whats.contains(&"target"), whats.contains(&"notifier")) {
        (_, false) => "targets",
        (false, true) => "notifiers",
        (true, true) => "targets and notifiers",
    };
    let problems = wrong
        .into_iter()
        .flat_map(|w| {
            let place = format!("{}[{}] ({})", w.what, w.number, w.name);
            w.problems.into_iter().map(move |p| Problem { field: format!("{place}.{}", p.field), message: p.message })
        })
        .collect();
    ApiError::invalid(format!("nothing was changed: some of the {what} cannot be applied"), problems)
}
