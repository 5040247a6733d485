//! Rows of `credentials`.

use diesel::prelude::*;

use super::raw::{flag, number, raw, text};
use crate::model::credential::CredentialDefinition;
use crate::model::time::UtcMs;
use crate::secret::Secret;
use crate::store::schema::credentials;

#[derive(Insertable, AsChangeset)]
#[diesel(table_name = credentials, treat_none_as_null = true, treat_none_as_default_value = false)]
pub(super) struct Row<'a> {
    name: &'a str,
    tenantid: &'a str,
    kind: &'a str,
    params: Option<&'a str>,
    enabled: bool,
    updated_at: i64,
}

impl<'a> Row<'a> {
    pub(super) fn new(d: &'a CredentialDefinition, now: UtcMs) -> Self {
        Row {
            name: &d.name,
            tenantid: &d.tenantid,
            kind: &d.kind,
            params: d.params.as_ref().map(Secret::expose),
            enabled: d.enabled,
            updated_at: now.0,
        }
    }
}

raw!(
    "credentials": id,
    name,
    tenantid,
    kind = "type",
    params,
    enabled
);

impl Raw {
    pub(super) fn into_definition(self) -> CredentialDefinition {
        let default = CredentialDefinition::default();
        let mut odd_flags = Vec::new();
        // When in doubt: do not log in.
        let enabled = flag(&mut odd_flags, "enabled", self.enabled, true, false);
        CredentialDefinition {
            id: number(self.id).unwrap_or_default(),
            name: text(self.name).unwrap_or_default(),
            tenantid: text(self.tenantid).unwrap_or(default.tenantid),
            kind: text(self.kind).unwrap_or_default(),
            params: text(self.params).map(Secret::new),
            enabled,
            odd_flags,
        }
    }
}
