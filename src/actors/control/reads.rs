//! Routes that only read.

use std::collections::{BTreeMap, HashMap};

use actix_web::web;

use super::Context;
use super::asked::Asked;
use super::error::ApiError;
use super::found::found;
use crate::actors::databases::{LocalQuery, Query, answered};
use crate::actors::notifier::fresh;
use crate::board::EntryData;
use crate::control::api::{
    Exported, HistoryQuery, HistoryRow, IncidentDetail, IncidentQuery, IncidentSummary, TargetDetail, TargetFilter,
    TargetRef, TargetStatus, TargetSummary, Told,
};
use crate::model::auth::Auth;
use crate::model::credential::{CredentialKey, CredentialRef, OpenStackAuth};
use crate::model::incident::Incident;
use crate::model::notifier::Notification;
use crate::model::subject::SubjectKind;
use crate::model::target::TargetId;
use crate::model::time::UtcMs;
use crate::store::{IncidentFilter, StoreError};

/// Rows a list has when nobody says how many.
const DEFAULT_LIMIT: u32 = 100;
/// Rows a list has at most.
const MAX_LIMIT: u32 = 100_000;

type Answer<T> = Result<web::Json<T>, ApiError>;

pub async fn targets(context: web::Data<Context>, filter: Asked<TargetFilter>) -> Answer<Vec<TargetSummary>> {
    let all = context.board.all();
    let rows = all.iter().filter_map(|(id, entry)| {
        let data = entry.lock();
        let row = summary(*id, &data);
        let tags = || data.target.as_ref().map(|t| t.tags.clone()).unwrap_or_default();
        let wanted = filter.status.is_none_or(|s| s == row.status)
            && filter.tenant.as_ref().is_none_or(|t| *t == row.tenantid)
            && filter.enabled.is_none_or(|e| e == row.enabled)
            && filter.tag.as_ref().is_none_or(|tag| tags().contains(tag));
        wanted.then_some(row)
    });
    Ok(web::Json(rows.collect()))
}

fn summary(id: TargetId, data: &EntryData) -> TargetSummary {
    let (tenantid, name) = data.name();
    let (method, url, enabled) = match (&data.target, &data.invalid) {
        (Some(t), _) => (t.method.to_string(), t.url.to_string(), t.enabled),
        (None, Some(row)) => {
            (row.0.method.clone(), crate::model::definition::redact_userinfo(&row.0.url), row.0.enabled)
        }
        (None, None) => (String::new(), String::new(), false),
    };
    TargetSummary {
        id,
        name,
        tenantid,
        status: data.state.status(),
        last_updated: data.state.last_updated,
        enabled,
        pass_count: data.state.counters.pass_count,
        fail_count: data.state.counters.fail_count,
        method,
        url,
        reason: data.state.reason,
        invalid: data.invalid.is_some(),
    }
}

pub async fn target(context: web::Data<Context>, path: web::Path<String>) -> Answer<TargetDetail> {
    let (id, _) = find(&context, &path).await?;
    detail(&context, id).await.map(web::Json)
}

/// Everything about one target.
pub async fn detail(context: &Context, id: TargetId) -> Result<TargetDetail, ApiError> {
    let Some(entry) = context.board.get(id) else {
        return Err(ApiError::new(404, format!("there is no target {id}")));
    };
    let cloud = match entry.lock().target.as_ref().and_then(|t| t.auth.credential()) {
        Some(CredentialRef::Cloud(name)) => Some(CredentialKey::Cloud(name.clone())),
        _ => None,
    };
    let unusable = match &cloud {
        Some(key) => context.identities.login(key).await.err().map(|e| e.sentence),
        None => None,
    };
    let (mut detail, open, name) = {
        let data = entry.lock();
        let problems = data.invalid.as_ref().map(|row| row.1.clone()).unwrap_or_default();
        let detail = TargetDetail {
            id,
            status: TargetStatus::from(&data.state),
            open_incident: None,
            problems,
            login: data.target.as_ref().and_then(|t| super::logins::of_target(context, t)),
            warnings: warnings(context, &data).into_iter().chain(unusable).collect(),
            definition: data.definition().to_json(),
        };
        (detail, data.state.incident, data.name())
    };
    if let Some(open) = open {
        // The database knows how it began; without it the last outcome has to do.
        let stored = ask(context, move |store| store.incident(open.id)).await.ok().flatten();
        detail.open_incident = Some(match stored {
            Some(incident) => incident_summary(&incident, Some(&name)),
            None => IncidentSummary {
                id: open.id,
                subject_kind: SubjectKind::Target,
                target_id: Some(id),
                name: name.1,
                tenantid: name.0,
                started_at: open.started_at,
                ended_at: None,
                ended_by: None,
                reason: detail.status.reason.unwrap_or(crate::model::reason::Reason::Internal),
                description: detail.status.status_description.clone(),
            },
        });
    }
    Ok(detail)
}

/// What a target's login lacks, or should be known of it.
fn warnings(context: &Context, data: &EntryData) -> Vec<String> {
    let Some(Auth::OpenStack(auth)) = data.target.as_ref().map(|t| &t.auth) else { return Vec::new() };
    let warning = match auth {
        OpenStackAuth::Shared(credential) => context.board.credentials.named(credential).err(),
        OpenStackAuth::Own(login) => login.warning().map(str::to_owned),
    };
    warning.into_iter().collect()
}

pub async fn history(
    context: web::Data<Context>,
    path: web::Path<String>,
    query: Asked<HistoryQuery>,
) -> Answer<Vec<HistoryRow>> {
    let (id, _) = find(&context, &path).await?;
    let limit = limit(query.limit)?;
    let since = query.since_ms.map(UtcMs);
    let rows = ask(&context, move |store| store.history(id.0, since, limit)).await?;
    Ok(web::Json(rows.into_iter().map(HistoryRow::from).collect()))
}

pub async fn incidents(context: web::Data<Context>, query: Asked<IncidentQuery>) -> Answer<Vec<IncidentSummary>> {
    let target = find_any(&context, query.target.as_deref()).await?;
    let limit = limit(query.limit)?;
    let filter = IncidentFilter { target, open: query.open, since: None };
    let rows = ask(&context, move |store| store.incidents(&filter, limit)).await?;
    let names: HashMap<TargetId, (String, String)> =
        context.board.all().into_iter().map(|(id, entry)| (id, entry.lock().name())).collect();
    Ok(web::Json(rows.iter().map(|i| incident_summary(i, i.subject.target().and_then(|id| names.get(&id)))).collect()))
}

pub async fn incident(context: web::Data<Context>, path: web::Path<String>) -> Answer<IncidentDetail> {
    let missing = || ApiError::new(404, format!("there is no incident {}", crate::model::text::quoted(&path)));
    let id: i64 = path.parse().map_err(|_| missing())?;
    let (incident, notifications) =
        ask(&context, move |store| Ok((store.incident(id)?, store.notifications(id)?))).await?;
    let incident = incident.ok_or_else(missing)?;
    let name = incident.subject.target().and_then(|id| context.board.get(id)).map(|e| e.lock().name());
    Ok(web::Json(IncidentDetail {
        summary: incident_summary(&incident, name.as_ref()),
        first_trace: incident.first_trace,
        last_good_trace: incident.last_good_trace,
        notifications: told(&context, id, notifications).await,
    }))
}

/// What was told: of what state.db still has, as it stands at this moment.
async fn told(context: &Context, incident: i64, copied: Vec<Notification>) -> Vec<Told> {
    let mut all: BTreeMap<i64, Told> = copied.into_iter().map(|n| (n.id, Told::from(n))).collect();
    // Without it the copy has to do.
    let local = answered(context.local.send(LocalQuery::new(move |db| fresh(db, incident))).await).unwrap_or_default();
    for (mut notification, next_at) in local.told(&context.board) {
        if notification.notifier_name.is_empty()
            && let Some(known) = all.get(&notification.id)
        {
            notification.notifier_name.clone_from(&known.notifier_name);
        }
        all.insert(notification.id, Told { next_at, ..Told::from(notification) });
    }
    all.into_values().collect()
}

pub async fn export(context: web::Data<Context>) -> Answer<Exported> {
    let mut definitions = ask(&context, |store| store.load_definitions()).await?;
    definitions.sort_by(|a, b| (&a.tenantid, &a.name).cmp(&(&b.tenantid, &b.name)));
    let mut notifiers = ask(&context, |store| store.load_notifiers()).await?;
    notifiers.sort_by(|a, b| (&a.tenantid, &a.name).cmp(&(&b.tenantid, &b.name)));
    let mut credentials = ask(&context, |store| store.load_credentials()).await?;
    credentials.sort_by(|a, b| (&a.tenantid, &a.name).cmp(&(&b.tenantid, &b.name)));
    Ok(web::Json(Exported {
        targets: definitions.iter().map(|d| d.to_json()).collect(),
        notifiers: notifiers.iter().map(|d| d.to_json()).collect(),
        credentials: credentials.iter().map(|d| d.to_json()).collect(),
    }))
}

/// `known`: tenant and name of the target, where it is still there.
fn incident_summary(incident: &Incident, known: Option<&(String, String)>) -> IncidentSummary {
    let subject = incident.subject;
    let then = (incident.facts.tenant.clone(), incident.facts.name.clone());
    let (tenantid, name) = known.cloned().unwrap_or(then);
    IncidentSummary {
        id: incident.id,
        subject_kind: subject.kind(),
        target_id: subject.target(),
        name,
        tenantid,
        started_at: incident.started_at,
        ended_at: incident.ended_at,
        ended_by: incident.ended_by,
        reason: incident.reason,
        description: incident.description.clone(),
    }
}

/// The target that a person means.
pub async fn find(
    context: &Context,
    reference: &str,
) -> Result<(TargetId, std::sync::Arc<crate::board::Entry>), ApiError> {
    let parsed: TargetRef = reference.parse().map_err(|e: String| ApiError::new(400, e))?;
    found(context, || context.board.find(&parsed).map_err(|e| ApiError::not_found("target", reference, e))).await
}

/// The id of the target that a person means, if one is meant.
pub async fn find_any(context: &Context, reference: Option<&str>) -> Result<Option<TargetId>, ApiError> {
    match reference {
        Some(reference) => Ok(Some(find(context, reference).await?.0)),
        None => Ok(None),
    }
}

/// Asks the main database on the reader's thread.
pub async fn ask<T: Send + 'static>(
    context: &Context,
    work: impl FnOnce(&mut crate::store::Store) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, ApiError> {
    Ok(answered(context.reader.send(Query::new(work)).await)?)
}

fn limit(asked: Option<u32>) -> Result<u32, ApiError> {
    match asked.unwrap_or(DEFAULT_LIMIT) {
        n @ 1..=MAX_LIMIT => Ok(n),
        n => Err(ApiError::new(400, format!("limit {n} is out of range: write 1 to {MAX_LIMIT}"))),
    }
}
