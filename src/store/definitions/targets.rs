//! Rows of `targets`.

use diesel::prelude::*;

use super::raw::{flag, number, raw, text};
use crate::model::definition::Definition;
use crate::model::time::UtcMs;
use crate::secret::Secret;
use crate::store::schema::targets;

#[derive(Insertable, AsChangeset)]
#[diesel(table_name = targets, treat_none_as_null = true, treat_none_as_default_value = false)]
pub(in crate::store) struct Row<'a> {
    name: &'a str,
    tenantid: &'a str,
    url: &'a str,
    method: &'a str,
    headers: Option<&'a str>,
    body: Option<&'a str>,
    authn: &'a str,
    authn_parms: Option<&'a str>,
    credential: Option<&'a str>,
    pass_result: &'a str,
    frequency_ms: i64,
    timeout_ms: Option<i64>,
    fail_after: i64,
    recover_after: i64,
    redirects: i64,
    tls_ca: Option<&'a str>,
    tls_verify: bool,
    tls_server_name: Option<&'a str>,
    host: Option<&'a str>,
    tags: Option<&'a str>,
    parent: Option<&'a str>,
    enabled: bool,
    egress_allow: Option<&'a str>,
    keep_alive: i64,
    updated_at: i64,
}

impl<'a> Row<'a> {
    pub(in crate::store) fn new(d: &'a Definition, now: UtcMs) -> Self {
        Row {
            name: &d.name,
            tenantid: &d.tenantid,
            url: &d.url,
            method: &d.method,
            headers: d.headers.as_deref(),
            body: d.body.as_deref(),
            authn: &d.authn,
            authn_parms: d.authn_parms.as_ref().map(Secret::expose),
            credential: d.credential.as_deref(),
            pass_result: &d.pass_result,
            frequency_ms: d.frequency_ms,
            timeout_ms: d.timeout_ms,
            fail_after: d.fail_after,
            recover_after: d.recover_after,
            redirects: d.redirects,
            tls_ca: d.tls_ca.as_deref(),
            tls_verify: d.tls_verify,
            tls_server_name: d.tls_server_name.as_deref(),
            host: d.host.as_deref(),
            tags: d.tags.as_deref(),
            parent: d.parent.as_deref(),
            enabled: d.enabled,
            egress_allow: d.egress_allow.as_deref(),
            keep_alive: d.keep_alive,
            updated_at: now.0,
        }
    }
}

raw!(
    "targets": id,
    name,
    tenantid,
    url,
    method,
    headers,
    body,
    authn,
    authn_parms,
    credential,
    pass_result,
    frequency_ms,
    timeout_ms,
    fail_after,
    recover_after,
    redirects,
    tls_ca,
    tls_verify,
    tls_server_name,
    host,
    tags,
    parent,
    enabled,
    egress_allow,
    keep_alive
);

impl Raw {
    pub(super) fn into_definition(self) -> Definition {
        let default = Definition::default();
        let mut odd_flags = Vec::new();
        // When in doubt: verify, and do not probe.
        let tls_verify = flag(&mut odd_flags, "tls_verify", self.tls_verify, true, true);
        let enabled = flag(&mut odd_flags, "enabled", self.enabled, true, false);
        Definition {
            id: number(self.id).unwrap_or_default(),
            name: text(self.name).unwrap_or_default(),
            tenantid: text(self.tenantid).unwrap_or(default.tenantid),
            url: text(self.url).unwrap_or_default(),
            method: text(self.method).unwrap_or(default.method),
            headers: text(self.headers),
            body: text(self.body),
            authn: text(self.authn).unwrap_or(default.authn),
            authn_parms: text(self.authn_parms).map(Secret::new),
            credential: text(self.credential),
            pass_result: text(self.pass_result).unwrap_or(default.pass_result),
            frequency_ms: number(self.frequency_ms).unwrap_or(default.frequency_ms),
            timeout_ms: number(self.timeout_ms),
            fail_after: number(self.fail_after).unwrap_or(default.fail_after),
            recover_after: number(self.recover_after).unwrap_or(default.recover_after),
            redirects: number(self.redirects).unwrap_or(default.redirects),
            tls_ca: text(self.tls_ca),
            tls_verify,
            tls_server_name: text(self.tls_server_name),
            host: text(self.host),
            tags: text(self.tags),
            parent: text(self.parent),
            egress_allow: text(self.egress_allow),
            keep_alive: number(self.keep_alive).unwrap_or(default.keep_alive),
            enabled,
            odd_flags,
        }
    }
}
