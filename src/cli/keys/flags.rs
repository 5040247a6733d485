//! The flags, one a key.

use super::Given;

macro_rules! key_args {
    (
        $(#[$of:meta])* $name:ident, lists of lines { $( $(#[$line:meta])* $lines:ident: $one:literal or $many:literal, $shown:literal; )* }
        keys { $( $(#[$attr:meta])* $field:ident $(= $key:literal)?: $flag:literal $(or $alias:literal)?, $value:literal; )* }
    ) => {
        $(#[$of])*
        #[derive(Debug, Default, clap::Args)]
        pub struct $name {
            $(
                $(#[$attr])*
                #[arg(long = $flag $(, alias = $alias)?, value_name = $value, allow_hyphen_values = true)]
                pub(super) $field: Option<String>,
            )*
            $(
                $(#[$line])*
                #[arg(long = $one, alias = $many, value_name = $shown)]
                pub(super) $lines: Vec<String>,
            )*
            /// Any key by its name
            #[arg(long, value_name = "KEY=VALUE")]
            pub(super) set: Vec<String>,
            /// Set a key to its default
            #[arg(long, value_name = "KEY")]
            pub(super) unset: Vec<String>,
        }

        impl $name {
            /// All flags that were given.
            pub(super) fn given(&self) -> Given<'_> {
                let all = [ $( ([$($key,)? stringify!($field)][0], self.$field.as_deref()) ),* ];
                Given {
                    flags: all.into_iter().filter_map(|(key, value)| value.map(|v| (key, v))).collect(),
                    lines: vec![ $( (stringify!($lines), $one, self.$lines.as_slice()) ),* ],
                    set: &self.set,
                    unset: &self.unset,
                }
            }
        }
    };
}

key_args! {
    /// A flag for every key of a target.
    KeyArgs,
    lists of lines {
    /// Request header; may be given more than once (`-`: lines from standard input)
    headers: "header" or "headers", "NAME: VALUE";
    }
    keys {
    /// Name, unique within the tenant
    name: "name", "NAME";
    /// Tenant that it belongs to
    tenantid: "tenantid" or "tenant", "TENANT";
    /// What to probe: http://…, https://… or openstack://SERVICE/INTERFACE
    url: "url", "URL";
    /// GET, PUT, POST, DELETE, HEAD, PATCH or OPTIONS
    method: "method", "METHOD";
    /// Request body (`-`: standard input)
    body: "body", "TEXT";
    /// NONE, BASIC, BEARER or OPENSTACK
    authn: "authn", "KIND";
    /// `-`: from standard input, as user=…,password=… or token=…; or with references: user=a,password=${file:/path}
    authn_parms: "authn-parms" or "authn_parms", "-|REFERENCE";
    /// Credential for an OpenStack service: its name, tenant/name, or cloud:NAME of clouds.yaml
    credential: "credential", "NAME";
    /// Status codes that are PASS: 200 or 200-299 or 200,204,301-303
    pass_result: "pass-result" or "pass_result", "CODES";
    /// Time between probes: 10s, 1m 30s
    frequency: "frequency", "DURATION";
    /// The same in milliseconds
    frequency_ms: "frequency-ms" or "frequency_ms", "MS";
    /// Time that a probe may take; at most the frequency
    timeout: "timeout", "DURATION";
    /// The same in milliseconds
    timeout_ms: "timeout-ms" or "timeout_ms", "MS";
    /// Failed probes in a row until the target is FAIL
    fail_after: "fail-after" or "fail_after", "N";
    /// Passed probes in a row until it is PASS again
    recover_after: "recover-after" or "recover_after", "N";
    /// Redirects to follow
    redirects: "redirects", "N";
    /// File of certificate authorities (PEM) to trust instead of the system's
    tls_ca: "tls-ca" or "tls_ca", "FILE";
    /// Whether the certificate is verified: true or false
    tls_verify: "tls-verify" or "tls_verify", "BOOL";
    /// Name to send and verify instead of the URL's host
    tls_server_name: "tls-server-name" or "tls_server_name", "NAME";
    /// Host header instead of the URL's
    host: "host", "HOST";
    /// Words for grouping, separated by commas
    tags: "tags", "TAG,…";
    /// Target that it depends on: while that one fails, its own failure is told with it
    parent: "parent", "NAME|TENANT/NAME";
    /// Addresses it may connect to though `egress.deny` has them: CIDRs and presets, separated by commas
    egress_allow: "egress-allow" or "egress_allow", "CIDR|PRESET,…";
    /// Probes that one connection may serve; 0: a fresh one for each
    keep_alive: "keep-alive" or "keep_alive", "N";
    /// Whether it is probed: true or false
    enabled: "enabled", "BOOL";
    }
}

key_args! {
    /// A flag for every key of a notifier.
    NotifierKeyArgs,
    lists of lines {}
    keys {
    /// Name, unique within the tenant
    name: "name", "NAME";
    /// Tenant that it belongs to; a notifier of tenant 0 is told of the targets of all
    tenantid: "tenantid" or "tenant", "TENANT";
    /// SMTP, WEBHOOK, SLACK, …
    kind = "type": "type", "TYPE";
    /// Where to: mail addresses, a URL, a channel (`-`: from standard input)
    address: "address", "ADDRESS|-";
    /// name=value,… as its type takes them; secrets by reference or all of it from standard input (`-`)
    params: "params", "PARAMS|-";
    /// Whether it is told at all: true or false
    enabled: "enabled", "BOOL";
    /// Only of targets with one of these tags
    match_tags: "match-tags" or "match_tags", "TAG,…";
    /// Only of targets of this tenant
    match_tenant: "match-tenant" or "match_tenant", "TENANT";
    /// Only of targets whose name fits: `*` any characters, `?` one
    match_name: "match-name" or "match_name", "PATTERN";
    /// Only these: fail, recovery, reminder, flapping, settled; monitor for skypunch itself
    events: "events" or "event", "EVENT,…";
    /// How long the first message of a burst waits for company: 5s
    group_wait: "group-wait" or "group_wait", "DURATION";
    /// The same in milliseconds
    group_wait_ms: "group-wait-ms" or "group_wait_ms", "MS";
    /// How long after a message further ones are gathered: 30s
    group_window: "group-window" or "group_window", "DURATION";
    /// The same in milliseconds
    group_window_ms: "group-window-ms" or "group_window_ms", "MS";
    /// At most so many messages a minute; what comes beyond is gathered
    rate_per_minute: "rate-per-minute" or "rate_per_minute", "N";
    /// How long a message is tried before it expires: 1day
    retry_for: "retry-for" or "retry_for", "DURATION";
    /// The same in milliseconds
    retry_for_ms: "retry-for-ms" or "retry_for_ms", "MS";
    /// Time until the first reminder of a failure that lasts; none when it is not said
    remind: "remind", "DURATION";
    /// The same in milliseconds
    remind_ms: "remind-ms" or "remind_ms", "MS";
    /// Templates instead of the type's own: TOML, a line an event (`-`: from standard input)
    templates: "templates", "TOML|-";
    }
}

key_args! {
    /// A flag for every key of a credential.
    CredentialKeyArgs,
    lists of lines {}
    keys {
    /// Name, unique within the tenant
    name: "name", "NAME";
    /// Tenant that it belongs to
    tenantid: "tenantid" or "tenant", "TENANT";
    /// OPENSTACK
    kind = "type": "type", "TYPE";
    /// auth_url=…,username=…,password=${file:/path},…: secrets by reference or all of it from standard input (`-`)
    params: "params", "PARAMS|-";
    /// Whether it may be used: true or false
    enabled: "enabled", "BOOL";
    }
}
