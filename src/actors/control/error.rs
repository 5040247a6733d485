//! Every error of the API is a problem document (RFC 9457).

use actix_web::error::PathError;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, ResponseError};

use crate::board::NotFound;
use crate::control::api::{PROBLEM_JSON, ProblemDetails};
use crate::model::definition::Problem;
use crate::model::text::{clean, quoted};
use crate::store::StoreError;

/// An answer with a status of 400 or more.
#[derive(Debug)]
pub struct ApiError(pub Box<ProblemDetails>);

impl ApiError {
    /// A status and its sentence.
    pub fn new(status: u16, detail: impl Into<String>) -> ApiError {
        ApiError(Box::new(ProblemDetails::new(status, detail)))
    }

    /// What is wrong with the parameters.
    pub fn wrong(detail: impl Into<String>, problems: Vec<Problem>) -> ApiError {
        ApiError(Box::new(ProblemDetails::new(400, detail).with_problems(problems)))
    }

    /// What is wrong with what was sent.
    pub fn invalid(detail: impl Into<String>, problems: Vec<Problem>) -> ApiError {
        ApiError(Box::new(ProblemDetails::new(422, detail).with_problems(problems)))
    }

    /// No such target or notifier (`what`), or several.
    pub fn not_found(what: &str, reference: &str, found: NotFound) -> ApiError {
        match found {
            NotFound::Unknown(near) => {
                let hint = near.map_or(String::new(), |n| format!(" (did you mean {}?)", quoted(&n)));
                ApiError::new(404, format!("there is no {what} {}{hint}", quoted(reference)))
            }
            NotFound::Ambiguous(candidates) => {
                let detail = format!(
                    "several {what}s have the name {}: write the id or tenant/name of one: {}",
                    quoted(reference),
                    candidates.join(", ")
                );
                let mut problem = ProblemDetails::new(409, detail);
                problem.candidates = candidates;
                ApiError(Box::new(problem))
            }
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> ApiError {
        let status = match &error {
            StoreError::Duplicate(_) => 409,
            StoreError::Missing(_) => 404,
            e if e.is_away() => 503,
            _ => 500,
        };
        ApiError::new(status, error.to_string())
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.detail)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        match serde_json::to_string(&self.0) {
            Ok(body) => HttpResponse::build(self.status_code()).content_type(PROBLEM_JSON).body(body),
            Err(_) => HttpResponse::new(self.status_code()),
        }
    }
}

/// A path that does not read.
pub fn bad_path(error: PathError, _: &HttpRequest) -> actix_web::Error {
    ApiError::new(404, format!("the path does not read: {}", clean(&error.to_string(), 300))).into()
}

/// Any token is a method (RFC 9110 section 9.1).
fn method(request: &HttpRequest) -> String {
    clean(request.method().as_str(), 20)
}

/// No such route.
pub async fn no_route(request: HttpRequest) -> HttpResponse {
    ApiError::new(404, format!("there is no route {} {}", method(&request), quoted(request.path()))).error_response()
}

/// A route that is there, but not with this method.
pub async fn wrong_method(request: HttpRequest) -> HttpResponse {
    ApiError::new(405, format!("{} does not take {}", quoted(request.path()), method(&request))).error_response()
}
