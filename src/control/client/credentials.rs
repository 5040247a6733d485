//! `/v1/credentials` and what lies below it.

use awc::http::Method;
use serde_json::{Map, Value};

use super::{Client, ClientError, Lines};
use crate::control::api::{
    CredentialDetail, CredentialFilter, CredentialReference, CredentialRemoval, CredentialSummary, DiscoverQuery,
    LoginLine, RemovedCredential,
};

impl Client {
    /// `GET /v1/credentials`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn credentials(&self, filter: &CredentialFilter) -> Result<Vec<CredentialSummary>, ClientError> {
        self.json(Method::GET, "/v1/credentials", filter, None::<&()>).await
    }

    /// `GET /v1/credentials/{ref}`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn credential(&self, credential: &CredentialReference) -> Result<CredentialDetail, ClientError> {
        self.json(Method::GET, &path(credential, ""), &(), None::<&()>).await
    }

    /// `POST /v1/credentials`: adds a credential from the keys that differ from their defaults.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn add_credential(&self, keys: &Map<String, Value>) -> Result<CredentialDetail, ClientError> {
        self.json(Method::POST, "/v1/credentials", &(), Some(keys)).await
    }

    /// `PATCH /v1/credentials/{ref}`: sets keys; null sets the default. One that targets use keeps its name.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn edit_credential(
        &self,
        credential: &CredentialReference,
        keys: &Map<String, Value>,
    ) -> Result<CredentialDetail, ClientError> {
        self.json(Method::PATCH, &path(credential, ""), &(), Some(keys)).await
    }

    /// `DELETE /v1/credentials/{ref}`: refused while targets use it, unless it is forced.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn remove_credential(
        &self,
        credential: &CredentialReference,
        removal: CredentialRemoval,
    ) -> Result<RemovedCredential, ClientError> {
        self.json(Method::DELETE, &path(credential, ""), &removal, None::<&()>).await
    }

    /// `POST /v1/credentials/{ref}/enable` or `…/disable`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn set_credential_enabled(
        &self,
        credential: &CredentialReference,
        enabled: bool,
    ) -> Result<CredentialDetail, ClientError> {
        let verb = if enabled { "/enable" } else { "/disable" };
        self.json(Method::POST, &path(credential, verb), &(), None::<&()>).await
    }

    /// `POST /v1/credentials/{ref}/test`: logs in now and tells each step as it happens.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn test_credential(&self, credential: &CredentialReference) -> Result<Lines<LoginLine>, ClientError> {
        self.lines(Method::POST, &path(credential, "/test"), &()).await
    }

    /// `POST /v1/credentials/{ref}/discover`: the endpoints in its catalog as a targets file.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn discover(
        &self,
        credential: &CredentialReference,
        query: &DiscoverQuery,
    ) -> Result<String, ClientError> {
        self.whole_text(Method::POST, &path(credential, "/discover"), query).await
    }
}

fn path(credential: &CredentialReference, rest: &str) -> String {
    format!("/v1/credentials/{}{rest}", credential.segment())
}
