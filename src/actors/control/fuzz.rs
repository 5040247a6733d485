//! Doors for the fuzzing bodies (`crate::fuzz`): what reads a request's body and its parameters, without a server.

use actix_web::ResponseError as _;
use serde::de::DeserializeOwned;

use super::body;
use super::error::ApiError;
use crate::control::api::{ApplyRequest, ProblemDetails};
use crate::model::credential::CredentialDefinition;
use crate::model::definition::Definition;
use crate::model::notifier::{NotifierDefinition, TypeCheck};

fn told(error: ApiError) -> Box<ProblemDetails> {
    assert!(error.status_code().is_client_error(), "{error}");
    error.0
}

/// A body as a route takes it.
pub fn body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Box<ProblemDetails>> {
    body::parse(bytes).map_err(told)
}

/// What stands behind the `?`.
pub fn query<T: DeserializeOwned>(text: &str) -> Result<T, Box<ProblemDetails>> {
    super::asked::read(text).map_err(told)
}

/// Checks what `POST /v1/apply` got, as far as it needs no database.
pub fn apply(request: ApplyRequest, types: &TypeCheck) -> Result<(), Box<ProblemDetails>> {
    let mut wrong = Vec::new();
    super::apply::entries::<Definition>(request.targets, types, &mut wrong);
    super::apply::entries::<NotifierDefinition>(request.notifiers, types, &mut wrong);
    super::apply::entries::<CredentialDefinition>(request.credentials, types, &mut wrong);
    if wrong.is_empty() { Ok(()) } else { Err(told(super::apply::unplannable(wrong))) }
}
