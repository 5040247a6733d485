//! The routes of the control API, read from the router's source: a new one is covered without a word here.

use std::path::Path;

/// A method, and a path with parameters in braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub method: String,
    pub path: String,
}

impl Route {
    /// The path with all its parameters set.
    pub fn with(&self, parameter: &str) -> String {
        let mut path = String::new();
        let mut rest = self.path.as_str();
        while let Some((before, behind)) = rest.split_once('{') {
            path += before;
            path += parameter;
            rest = behind.split_once('}').map_or("", |(_, rest)| rest);
        }
        path + rest
    }
}

/// All of them.
pub fn all() -> Vec<Route> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/actors/control/mod.rs");
    let source = std::fs::read_to_string(source).unwrap();
    let router = &source[source.find("fn routes(").unwrap()..];
    let mut routes = Vec::new();
    for service in router.split(".service(").skip(1) {
        let path = service.split('"').nth(1).unwrap().to_owned();
        let mut add = |method: &str| routes.push(Route { method: method.into(), path: path.clone() });
        for method in ["get", "post", "patch", "put", "delete"] {
            if service.contains(&format!("web::{method}()")) {
                add(&method.to_uppercase());
            }
        }
        if service.contains("get_or_head()") {
            add("GET");
        }
    }
    assert!(routes.len() > 30, "the router is read no more: {routes:?}");
    routes
}
