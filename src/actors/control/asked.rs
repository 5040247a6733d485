//! The parameters of a request: read into a type, and the one that is wrong is named.

use std::future::{Ready, ready};
use std::ops::Deref;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use serde::de::DeserializeOwned;

use super::error::ApiError;
use crate::model::definition::Problem;
use crate::model::text::{clean, quoted};

/// What stands behind the `?`; every parameter is one that may be left out.
#[derive(Debug)]
pub struct Asked<T>(T);

impl<T> Deref for Asked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: DeserializeOwned> FromRequest for Asked<T> {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(read(request.query_string()).map(Asked))
    }
}

pub(super) fn read<T: DeserializeOwned>(query: &str) -> Result<T, ApiError> {
    let error = match web::Query::<T>::from_query(query) {
        Ok(read) => return Ok(read.into_inner()),
        Err(error) => why(&error.to_string()),
    };
    // The reader does not say where it was: each parameter by itself shows.
    let problems: Vec<Problem> = url::form_urlencoded::parse(query.as_bytes())
        .filter_map(|(name, value)| {
            let alone = url::form_urlencoded::Serializer::new(String::new()).append_pair(&name, &value).finish();
            let error = web::Query::<T>::from_query(&alone).err()?;
            let message = format!("{} does not fit: {}", quoted(&value), why(&error.to_string()));
            Some(Problem { field: clean(&name, 60), message })
        })
        .collect();
    let detail = match problems.first() {
        Some(first) => format!("the parameter {}: {}", quoted(&first.field), first.message),
        None => format!("the parameters do not fit: {error}"),
    };
    Err(ApiError::wrong(detail, problems))
}

/// The reader's words, for people.
fn why(error: &str) -> String {
    let error = error.strip_prefix("Query deserialize error: ").unwrap_or(error);
    match error {
        "invalid digit found in string" | "cannot parse integer from empty string" => "write a whole number".into(),
        "number too large to fit in target type" => "the number is too large".into(),
        "number too small to fit in target type" => "the number is too small".into(),
        "provided string was not `true` or `false`" => "write true or false".into(),
        // It quotes what was asked.
        other => clean(other, 300),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::api::{HistoryQuery, IncidentQuery, TargetFilter};

    fn refused<T: DeserializeOwned>(query: &str) -> (u16, String, Vec<String>) {
        let Err(ApiError(p)) = read::<T>(query) else { panic!("{query} was taken") };
        (p.status, p.detail.clone(), p.problems.iter().map(|p| p.field.clone()).collect())
    }

    #[test]
    fn the_parameter_that_is_wrong_is_named() {
        let cases = [
            (refused::<HistoryQuery>("since_ms=5&limit=-1"), "limit", "the parameter `limit`: `-1` does not fit"),
            (refused::<HistoryQuery>("limit=99999999999"), "limit", "the number is too large"),
            (
                refused::<HistoryQuery>("since_ms=yesterday"),
                "since_ms",
                "`yesterday` does not fit: write a whole number",
            ),
            (
                refused::<TargetFilter>("tag=a&status=GOOD"),
                "status",
                "`GOOD` does not fit: unknown variant `GOOD`, expected",
            ),
            (refused::<TargetFilter>("enabled=maybe"), "enabled", "write true or false"),
            (refused::<TargetFilter>("colour=red"), "colour", "expected one of `status`"),
            (refused::<IncidentQuery>("open=%3F%26"), "open", "`?&` does not fit: write true or false"),
        ];
        for ((status, detail, fields), field, part) in cases {
            assert_eq!((status, fields), (400, vec![field.to_owned()]), "{detail}");
            assert!(detail.contains(part) && !detail.contains("deserialize"), "{detail}");
        }
        let twice = refused::<HistoryQuery>("limit=1&limit=2");
        assert!(twice.2.is_empty() && twice.1.contains("duplicate field `limit`"), "{twice:?}");
        assert_eq!(read::<HistoryQuery>("limit=7").unwrap().limit, Some(7));
    }
}
