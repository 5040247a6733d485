//! What to ask of OpenStack's well-known services to see that they work.
//!
//! ```text
//!  open        without a token: the version document, or the health middleware     the API answers at all
//!  with_token  a small list, with a token: middleware, database and policy too      what a user would get
//! ```
//!
//! A request with a token stands here only where every reader of a project may make it by the service's default policy:
//! what wants a role of its own (placement, octavia, barbican, ironic) would be a lasting 403. Of `200,300` one is the
//! answer of some releases and the other of others. Each line names where it comes from.

/// One well-known service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Service {
    /// The official type.
    pub service_type: &'static str,
    /// The project's name.
    pub name: &'static str,
    /// What needs no token, below the service's root: the endpoint's URL up to its version.
    pub open: Request,
    /// What needs a token, below the endpoint.
    pub with_token: Option<TokenRequest>,
}

/// A path, and which status codes are right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Begins with `/`.
    pub path: &'static str,
    /// As `pass_result` is written.
    pub expect: &'static str,
}

/// A request that needs a token: without one the service must answer 401.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenRequest {
    /// Stands before the path where the endpoint's URL names no version: empty, or begins with `/`.
    pub version: &'static str,
    /// Empty, or begins with `/`.
    pub path: &'static str,
    /// As `pass_result` is written.
    pub expect: &'static str,
}

const fn open(path: &'static str, expect: &'static str) -> Request {
    Request { path, expect }
}

const fn token(version: &'static str, path: &'static str) -> Option<TokenRequest> {
    Some(TokenRequest { version, path, expect: "200" })
}

/// The table.
pub const SERVICES: &[Service] = &[
    // https://docs.openstack.org/api-ref/identity/v3/#api-versions: GET /v3 is 200 with no token. A token would say
    // nothing: whoever cannot log in would see Keystone fail in two places.
    Service { service_type: "identity", name: "keystone", open: open("/v3", "200"), with_token: None },
    // https://docs.openstack.org/api-ref/compute/: GET / (versions, 200); GET /servers.
    Service {
        service_type: "compute",
        name: "nova",
        open: open("/", "200"),
        with_token: token("/v2.1", "/servers?limit=1"),
    },
    // https://docs.openstack.org/api-ref/network/v2/: GET / (versions, 200, outside of authtoken in api-paste.ini);
    // GET /v2.0/networks.
    Service {
        service_type: "network",
        name: "neutron",
        open: open("/", "200"),
        with_token: token("/v2.0", "/networks?limit=1"),
    },
    // https://docs.openstack.org/api-ref/image/versions/: GET / is 300, as older releases' GET /versions is 200 or 300;
    // GET /v2/images is 401 without a token (recorded from Glance 33).
    Service {
        service_type: "image",
        name: "glance",
        open: open("/", "200,300"),
        with_token: token("/v2", "/images?limit=1"),
    },
    // https://docs.openstack.org/api-ref/block-storage/v3/: GET / is 300, 200 in old releases; GET /v3/{project_id}/volumes.
    Service {
        service_type: "block-storage",
        name: "cinder",
        open: open("/", "200,300"),
        with_token: token("/v3", "/volumes?limit=1"),
    },
    // https://docs.openstack.org/swift/latest/middleware.html#healthcheck: GET /healthcheck is 200 and stands before
    // authentication. https://docs.openstack.org/api-ref/object-store/: GET /v1/{account} is 200, or 204 with no containers.
    Service {
        service_type: "object-store",
        name: "swift",
        open: open("/healthcheck", "200"),
        with_token: Some(TokenRequest { version: "", path: "", expect: "200,204" }),
    },
    // https://docs.openstack.org/api-ref/placement/: GET / is 200 with no token (placement/auth.py lets it pass);
    // everything else is for administrators.
    Service { service_type: "placement", name: "placement", open: open("/", "200"), with_token: None },
    // https://docs.openstack.org/api-ref/orchestration/v1/: GET / is 300; GET /v1/{tenant_id}/stacks.
    Service {
        service_type: "orchestration",
        name: "heat",
        open: open("/", "200,300"),
        with_token: token("", "/stacks?limit=1"),
    },
    // https://docs.openstack.org/api-ref/load-balancer/v2/: GET / is 200 (octavia/api/root_controller.py); /healthcheck
    // only where it is switched on, and lists want a load-balancer role.
    Service { service_type: "load-balancer", name: "octavia", open: open("/", "200"), with_token: None },
    // https://docs.openstack.org/api-ref/dns/: GET / is 200 (designate/api/versions.py); GET /v2/zones.
    Service {
        service_type: "dns",
        name: "designate",
        open: open("/", "200"),
        with_token: token("/v2", "/zones?limit=1"),
    },
    // https://docs.openstack.org/barbican/latest/api/: GET / is 300, 200 in old releases; lists want a role of its own.
    Service { service_type: "key-manager", name: "barbican", open: open("/", "200,300"), with_token: None },
    // https://docs.openstack.org/api-ref/baremetal/: GET / is 200 with no token (a public route); nodes are for operators.
    Service { service_type: "baremetal", name: "ironic", open: open("/", "200"), with_token: None },
    // https://docs.openstack.org/api-ref/container-infrastructure-management/: GET / is 200 with no token; GET /v1/clusters.
    Service {
        service_type: "container-infrastructure-management",
        name: "magnum",
        open: open("/", "200"),
        with_token: token("/v1", "/clusters?limit=1"),
    },
    // https://docs.openstack.org/api-ref/shared-file-system/: GET / is 200 or 300 (manila/api/versions.py); GET /v2/shares.
    Service {
        service_type: "shared-file-system",
        name: "manila",
        open: open("/", "200,300"),
        with_token: token("/v2", "/shares?limit=1"),
    },
];

/// The well-known service of an official type.
#[must_use]
pub fn service(official_type: &str) -> Option<&'static Service> {
    SERVICES.iter().find(|s| s.service_type == official_type)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::catalog::official;
    use crate::model::expectation::StatusSet;

    #[test]
    fn the_table_can_be_used_as_it_is() {
        let names: Vec<&str> = SERVICES.iter().map(|s| s.name).collect();
        assert_eq!(
            names,
            [
                "keystone",
                "nova",
                "neutron",
                "glance",
                "cinder",
                "swift",
                "placement",
                "heat",
                "octavia",
                "designate",
                "barbican",
                "ironic",
                "magnum",
                "manila"
            ]
        );
        for service in SERVICES {
            assert_eq!(official(service.service_type), service.service_type);
            assert!(service.open.path.starts_with('/'), "{service:?}");
            assert!(StatusSet::parse(service.open.expect).is_ok(), "{service:?}");
            if let Some(request) = service.with_token {
                assert!(StatusSet::parse(request.expect).is_ok(), "{service:?}");
                assert!(!request.path.contains('&'), "a & of the path would end it in a URL of the catalog");
            }
        }
    }
}
