//! `/v1/apply`: brings targets, notifiers and credentials into the form of a file, or says what that would change.

use actix_web::{HttpRequest, web};
use serde_json::{Map, Value};
use slog::info;

use super::body::Sent;
use super::changes::in_force;
use super::error::ApiError;
use super::reads::ask;
use super::{Context, peer};
use crate::control::api::{Action, ApplyReport, ApplyRequest, Change, FieldChange, Kind};
use crate::model::credential::{CredentialDefinition, CredentialKey, missing, named_clouds};
use crate::model::defined::Defined;
use crate::model::definition::{Definition, Problem};
use crate::model::notifier::{NotifierDefinition, TypeCheck};
use crate::model::plan::{Edits, Planned, PlannedAction, Unplannable, afterwards, plan};
use crate::model::targets_file::Entry;
use crate::model::text::{escape_controls, shorten};

pub async fn apply(
    context: web::Data<Context>,
    request: HttpRequest,
    body: Sent<ApplyRequest>,
) -> Result<web::Json<ApplyReport>, ApiError> {
    let ApplyRequest { targets, notifiers, credentials, plan: plan_only, prune } = body.into_inner();
    let types = std::sync::Arc::clone(&context.types);
    let mut wrong = Vec::new();
    let targets = entries::<Definition>(targets, &*types, &mut wrong);
    let notifiers = entries::<NotifierDefinition>(notifiers, &*types, &mut wrong);
    let credentials = entries::<CredentialDefinition>(credentials, &*types, &mut wrong);
    if !wrong.is_empty() {
        return Err(unplannable(wrong));
    }
    let now = context.clock.utc_now();
    let (targets, notifiers, credentials, mut warnings, clouds) = ask(&context, move |store| {
        let (there, told, logins) = (store.load_definitions()?, store.load_notifiers()?, store.load_credentials()?);
        let planned = (
            plan(&there, &targets, prune, &*types),
            plan(&told, &notifiers, prune, &*types),
            plan(&logins, &credentials, prune, &*types),
        );
        let (mut targets, mut notifiers, mut credentials) = match planned {
            (Ok(targets), Ok(notifiers), Ok(credentials)) => (targets, notifiers, credentials),
            (a, b, c) => return Ok(Err([a.err(), b.err(), c.err()].into_iter().flatten().flatten().collect())),
        };
        let warnings: Vec<String> = missing(afterwards(&there, &targets), afterwards(&logins, &credentials))
            .iter()
            .map(ToString::to_string)
            .collect();
        let clouds = named_clouds(afterwards(&there, &targets));
        if !plan_only {
            let edits = (Edits::of(&targets), Edits::of(&notifiers), Edits::of(&credentials));
            let applied = store.apply(&edits.0, &edits.1, &edits.2, now)?;
            number(&mut targets, &applied.inserted);
            number(&mut notifiers, &applied.inserted_notifiers);
            number(&mut credentials, &applied.inserted_credentials);
        }
        Ok(Ok((targets, notifiers, credentials, warnings, clouds)))
    })
    .await?
    .map_err(unplannable)?;
    for named in clouds {
        let read = context.identities.login(&CredentialKey::Cloud(named.cloud.clone())).await;
        warnings.extend(read.err().map(|e| named.unusable(&e.sentence)));
    }
    let changes: Vec<Change> = (targets.into_iter().map(|p| change(Kind::Target, p)))
        .chain(notifiers.into_iter().map(|p| change(Kind::Notifier, p)))
        .chain(credentials.into_iter().map(|p| change(Kind::Credential, p)))
        .collect();
    if !plan_only {
        let (uid, pid) = peer::of(&request);
        let changed = changes.iter().filter(|c| c.action != Action::Unchanged).count();
        info!(context.log, "a targets file was applied through the control socket"; "uid" => uid, "pid" => pid,
            "changed" => changed, "prune" => prune);
        in_force(&context).await?;
    }
    Ok(web::Json(ApplyReport { changes, applied: !plan_only, warnings }))
}

pub(super) fn entries<D: Defined>(
    all: Vec<Map<String, Value>>,
    types: &TypeCheck,
    wrong: &mut Vec<Unplannable>,
) -> Vec<Entry> {
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

pub(super) fn unplannable(wrong: Vec<Unplannable>) -> ApiError {
    let whats: Vec<String> = ["target", "notifier", "credential"]
        .iter()
        .filter(|what| wrong.iter().any(|w| w.what == **what))
        .map(|what| format!("{what}s"))
        .collect();
    let what = whats.join(" and ");
    let problems = wrong
        .into_iter()
        .flat_map(|w| {
            let place = format!("{}[{}] ({})", w.what, w.number, escape_controls(&shorten(&w.name, 128)));
            w.problems.into_iter().map(move |p| Problem { field: format!("{place}.{}", p.field), message: p.message })
        })
        .collect();
    ApiError::invalid(format!("nothing was changed: some of the {what} cannot be applied"), problems)
}
