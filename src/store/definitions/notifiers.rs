//! Rows of `notifiers`.

use diesel::prelude::*;

use super::raw::{flag, number, raw, text};
use crate::model::notifier::NotifierDefinition;
use crate::model::time::UtcMs;
use crate::secret::Secret;
use crate::store::schema::notifiers;

#[derive(Insertable, AsChangeset)]
#[diesel(table_name = notifiers, treat_none_as_null = true, treat_none_as_default_value = false)]
pub(in crate::store) struct Row<'a> {
    name: &'a str,
    tenantid: &'a str,
    kind: &'a str,
    address: &'a str,
    params: Option<&'a str>,
    enabled: bool,
    match_tags: Option<&'a str>,
    match_tenant: Option<&'a str>,
    match_name: Option<&'a str>,
    events: Option<&'a str>,
    group_wait_ms: i64,
    group_window_ms: i64,
    rate_per_minute: i64,
    retry_for_ms: i64,
    remind_ms: Option<i64>,
    templates: Option<&'a str>,
    updated_at: i64,
}

impl<'a> Row<'a> {
    pub(in crate::store) fn new(d: &'a NotifierDefinition, now: UtcMs) -> Self {
        Row {
            name: &d.name,
            tenantid: &d.tenantid,
            kind: &d.kind,
            address: &d.address,
            params: d.params.as_ref().map(Secret::expose),
            enabled: d.enabled,
            match_tags: d.match_tags.as_deref(),
            match_tenant: d.match_tenant.as_deref(),
            match_name: d.match_name.as_deref(),
            events: d.events.as_deref(),
            group_wait_ms: d.group_wait_ms,
            group_window_ms: d.group_window_ms,
            rate_per_minute: d.rate_per_minute,
            retry_for_ms: d.retry_for_ms,
            remind_ms: d.remind_ms,
            templates: d.templates.as_deref(),
            updated_at: now.0,
        }
    }
}

raw!(
    "notifiers": id,
    name,
    tenantid,
    kind = "type",
    address,
    params,
    enabled,
    match_tags,
    match_tenant,
    match_name,
    events,
    group_wait_ms,
    group_window_ms,
    rate_per_minute,
    retry_for_ms,
    remind_ms,
    templates
);

impl Raw {
    pub(super) fn into_definition(self) -> NotifierDefinition {
        let default = NotifierDefinition::default();
        let mut odd_flags = Vec::new();
        // When in doubt: tell nobody.
        let enabled = flag(&mut odd_flags, "enabled", self.enabled, true, false);
        NotifierDefinition {
            id: number(self.id).unwrap_or_default(),
            name: text(self.name).unwrap_or_default(),
            tenantid: text(self.tenantid).unwrap_or(default.tenantid),
            kind: text(self.kind).unwrap_or_default(),
            address: text(self.address).unwrap_or_default(),
            params: text(self.params).map(Secret::new),
            enabled,
            match_tags: text(self.match_tags),
            match_tenant: text(self.match_tenant),
            match_name: text(self.match_name),
            events: text(self.events),
            group_wait_ms: number(self.group_wait_ms).unwrap_or(default.group_wait_ms),
            group_window_ms: number(self.group_window_ms).unwrap_or(default.group_window_ms),
            rate_per_minute: number(self.rate_per_minute).unwrap_or(default.rate_per_minute),
            retry_for_ms: number(self.retry_for_ms).unwrap_or(default.retry_for_ms),
            remind_ms: number(self.remind_ms),
            templates: text(self.templates),
            odd_flags,
        }
    }
}
