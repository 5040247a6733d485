//! `/v1/notifiers` and what lies below it.

use awc::http::Method;
use serde_json::{Map, Value};

use super::{Client, ClientError, Lines};
use crate::control::api::{
    NotifierDetail, NotifierFilter, NotifierRef, NotifierSummary, NotifierType, RemovedNotifier, SampleLine,
    SampleQuery, encode_segment,
};

impl Client {
    /// `GET /v1/notifiers`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn notifiers(&self, filter: &NotifierFilter) -> Result<Vec<NotifierSummary>, ClientError> {
        self.json(Method::GET, "/v1/notifiers", filter, None::<&()>).await
    }

    /// `GET /v1/notifiers/{ref}`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn notifier(&self, notifier: &NotifierRef) -> Result<NotifierDetail, ClientError> {
        self.json(Method::GET, &notifier_path(notifier, ""), &(), None::<&()>).await
    }

    /// `POST /v1/notifiers`: adds a notifier from the keys that differ from their defaults.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn add_notifier(&self, keys: &Map<String, Value>) -> Result<NotifierDetail, ClientError> {
        self.json(Method::POST, "/v1/notifiers", &(), Some(keys)).await
    }

    /// `PATCH /v1/notifiers/{ref}`: sets keys; null sets the default.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn edit_notifier(
        &self,
        notifier: &NotifierRef,
        keys: &Map<String, Value>,
    ) -> Result<NotifierDetail, ClientError> {
        self.json(Method::PATCH, &notifier_path(notifier, ""), &(), Some(keys)).await
    }

    /// `DELETE /v1/notifiers/{ref}`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn remove_notifier(&self, notifier: &NotifierRef) -> Result<RemovedNotifier, ClientError> {
        self.json(Method::DELETE, &notifier_path(notifier, ""), &(), None::<&()>).await
    }

    /// `POST /v1/notifiers/{ref}/enable` or `/disable`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn set_notifier_enabled(
        &self,
        notifier: &NotifierRef,
        enabled: bool,
    ) -> Result<NotifierDetail, ClientError> {
        let verb = if enabled { "/enable" } else { "/disable" };
        self.json(Method::POST, &notifier_path(notifier, verb), &(), None::<&()>).await
    }

    /// `POST /v1/notifiers/{ref}/test`: sends a marked sample now and tells each step as it happens.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn test_notifier(
        &self,
        notifier: &NotifierRef,
        query: &SampleQuery,
    ) -> Result<Lines<SampleLine>, ClientError> {
        self.lines(Method::POST, &notifier_path(notifier, "/test"), query).await
    }

    /// `GET /v1/notifier-types`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn notifier_types(&self) -> Result<Vec<NotifierType>, ClientError> {
        self.json(Method::GET, "/v1/notifier-types", &(), None::<&()>).await
    }

    /// `GET /v1/notifier-types/{type}`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn notifier_type(&self, kind: &str) -> Result<NotifierType, ClientError> {
        let path = format!("/v1/notifier-types/{}", encode_segment(kind));
        self.json(Method::GET, &path, &(), None::<&()>).await
    }
}

fn notifier_path(notifier: &NotifierRef, rest: &str) -> String {
    format!("/v1/notifiers/{}{rest}", notifier.segment())
}
