//! Bodies and queries of the control API.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::input::{Fields, with_secrets};
use super::judge;
use crate::actors::control::fuzz as control;
use crate::control::api::{
    ApplyRequest, CredentialFilter, DiscoverQuery, HistoryQuery, IncidentQuery, NotifierFilter, ProblemDetails,
    SampleQuery, TargetFilter, WatchQuery,
};
use crate::model::credential::CredentialDefinition;
use crate::model::defined::{Defined, is_hidden};
use crate::model::definition::Definition;
use crate::model::notifier::{NotifierDefinition, any_type};

pub fn run(data: &[u8]) {
    let mut fields = Fields::of(data);
    let (body, text) = (fields.text(), fields.text());
    match control::body::<Map<String, Value>>(body.as_bytes()) {
        Ok(keys) => {
            changed::<Definition>(&keys);
            changed::<NotifierDefinition>(&keys);
            changed::<CredentialDefinition>(&keys);
        }
        Err(problem) => refused(&problem),
    }
    let applied = control::body::<ApplyRequest>(body.as_bytes()).and_then(|r| control::apply(r, &any_type));
    applied.err().iter().for_each(|p| refused(p));
    query::<TargetFilter>(&text);
    query::<HistoryQuery>(&text);
    query::<IncidentQuery>(&text);
    query::<WatchQuery>(&text);
    query::<NotifierFilter>(&text);
    query::<CredentialFilter>(&text);
    query::<DiscoverQuery>(&text);
    query::<SampleQuery>(&text);
}

fn query<T: DeserializeOwned>(text: &str) {
    control::query::<T>(text).err().iter().for_each(|p| refused(p));
}

fn refused(problem: &ProblemDetails) {
    judge::sentence(&problem.detail, judge::MOST);
    for problem in &problem.problems {
        judge::sentence(&problem.to_string(), judge::MOST);
    }
}

/// What `POST` and `PATCH` make of the keys.
fn changed<D: Defined>(keys: &Map<String, Value>) {
    let mut keys = keys.clone();
    for key in ["params", "authn_parms"] {
        if let Some(value) = keys.get_mut(key) {
            put_secrets(value);
        }
    }
    let mut definition = D::default();
    match definition.set_all(&keys) {
        Ok(()) => {
            let shown = definition.to_json();
            for key in ["params", "authn_parms"] {
                assert!(shown.get(key).is_none_or(|v| v.is_null() || is_hidden(v)), "{key} is shown: {shown:?}");
            }
            let problems = definition.problems(&any_type);
            if !problems.is_empty() {
                judge::problems(&problems);
            }
        }
        Err(problems) => judge::problems(&problems),
    }
}

fn put_secrets(value: &mut Value) {
    match value {
        Value::String(text) => *text = with_secrets(text),
        Value::Array(all) => all.iter_mut().for_each(put_secrets),
        Value::Object(all) => all.values_mut().for_each(put_secrets),
        _ => {}
    }
}
