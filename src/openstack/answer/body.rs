//! What stands in the body beside a token: the catalog, and whose token it is.

use serde_json::Value;

use crate::model::catalog::{Catalog, CatalogEndpoint, INTERFACES};
use crate::model::credential::Api;
use crate::model::text::{escape_controls, shorten};
use crate::model::token::Holder;

/// Nobody reads more roles than this.
const MAX_ROLES: usize = 50;

/// The catalog of a token's body; `None` where it has none. Entries without a type or a URL are left out.
pub(super) fn catalog(api: Api, root: &Value) -> Option<Catalog> {
    let services = root.get(if api == Api::V3 { "catalog" } else { "serviceCatalog" })?.as_array()?;
    let mut endpoints = Vec::new();
    for service in services {
        let Some(service_type) = text(service, &["type"]) else { continue };
        let service_name = text(service, &["name"]).unwrap_or_default();
        for endpoint in service.get("endpoints").and_then(Value::as_array).into_iter().flatten() {
            let region = text(endpoint, &["region_id", "region"]).unwrap_or_default();
            let mut put = |interface: &str, url: String| {
                endpoints.push(CatalogEndpoint {
                    service_type: service_type.clone(),
                    service_name: service_name.clone(),
                    interface: interface.to_owned(),
                    region: region.clone(),
                    url,
                });
            };
            if let (Some(interface), Some(url)) = (text(endpoint, &["interface"]), text(endpoint, &["url"])) {
                put(&interface, url);
            }
            // v2.0 has one entry for all interfaces of a region.
            for interface in INTERFACES {
                if let Some(url) = text(endpoint, &[&format!("{interface}URL")]) {
                    put(interface, url);
                }
            }
        }
    }
    Some(Catalog { endpoints })
}

/// Whose token it is.
pub(super) fn holder(api: Api, root: &Value) -> Holder {
    let named = |thing: Option<&Value>| {
        let name = text(thing?, &["name", "username", "id"])?;
        Some(escape_controls(&shorten(&name, 60)).into_owned())
    };
    let project = match api {
        Api::V3 => root.get("project"),
        Api::V2 => root.get("token").and_then(|t| t.get("tenant")),
    };
    let roles = if api == Api::V3 { root.get("roles") } else { root.get("user").and_then(|u| u.get("roles")) };
    Holder {
        user: named(root.get("user")),
        project: named(project),
        domain: named(root.get("domain")),
        system: root.get("system").and_then(|s| s.get("all")) == Some(&Value::Bool(true)),
        roles: roles
            .and_then(Value::as_array)
            .map(|all| all.iter().take(MAX_ROLES).filter_map(|r| named(Some(r))).collect())
            .unwrap_or_default(),
    }
}

/// The first of these members that holds some text.
fn text(of: &Value, names: &[&str]) -> Option<String> {
    let found = names.iter().filter_map(|n| of.get(n)?.as_str()).find(|t| !t.is_empty());
    found.map(str::to_owned)
}
