//! A targets file out of a service catalog: one `[[target]]` for each endpoint, ready for `apply`.
//!
//! ```text
//!  catalog --interface, region--> endpoint --services--> with a token: openstack://TYPE/INTERFACE?region=…&path=…, credential
//!                                    |                   without:      http://host/…
//!                                    '--not known--> a target that is not enabled, with a comment
//! ```

use std::collections::BTreeSet;

use toml::Value;
use url::Url;

use super::services::{self, Service, TokenRequest};
use crate::model::catalog::{Catalog, CatalogEndpoint, CatalogQuery, is_version, official};
use crate::model::text::{escape_controls, is_hidden, quoted, shorten};

/// The targets file for the endpoints of a catalog: of one interface (`public`), or of all; of one region, or of all.
#[must_use]
pub fn discover(catalog: &Catalog, credential: &str, interface: Option<&str>, region: Option<&str>) -> String {
    let chosen: Vec<&CatalogEndpoint> = catalog.endpoints.iter().filter(|e| wanted(e, interface, region)).collect();
    let mut out = format!(
        "# {} of {} endpoints in the catalog of credential {}{}{}.\n\
         # Look through it, then: skypunchctl apply FILE\n\
         # Where the cloud has a certificate authority of its own, add tls_ca = \"/path/ca.pem\" to each target.\n",
        chosen.len(),
        catalog.endpoints.len(),
        plain(credential),
        interface.map_or(String::new(), |i| format!(", interface {}", plain(i))),
        region.map_or(String::new(), |r| format!(", region {}", plain(r))),
    );
    let mut names = BTreeSet::new();
    for endpoint in chosen {
        out.push('\n');
        out.push_str(&Found::new(catalog, endpoint).written(credential, &mut names));
    }
    out
}

/// Why there is nothing to be written, as the end of a sentence about the catalog; `None` where there is.
#[must_use]
pub fn nothing(catalog: &Catalog, interface: Option<&str>, region: Option<&str>) -> Option<String> {
    let all = &catalog.endpoints;
    if all.is_empty() {
        let why = "is empty: a login without a scope has none; name a project (project_name), and see that the user has a \
                   role there";
        return Some(why.to_owned());
    }
    if all.iter().any(|e| wanted(e, interface, region)) {
        return None;
    }
    let listed = |of: fn(&CatalogEndpoint) -> &str| {
        let names: BTreeSet<&str> = all.iter().map(of).filter(|n| !n.is_empty()).collect();
        names.into_iter().map(plain).collect::<Vec<_>>().join(", ")
    };
    let asked = [("interface", interface), ("region", region)];
    let asked: Vec<String> = asked.iter().filter_map(|(what, n)| Some(format!("{what} {}", quoted((*n)?)))).collect();
    let (interfaces, regions) = (listed(|e| &e.interface), listed(|e| &e.region));
    let regions = if regions.is_empty() { String::new() } else { format!(", regions {regions}") };
    Some(format!("has no endpoint of {}; it has interfaces {interfaces}{regions}", asked.join(" and ")))
}

fn wanted(e: &CatalogEndpoint, interface: Option<&str>, region: Option<&str>) -> bool {
    interface.is_none_or(|i| e.interface.eq_ignore_ascii_case(i)) && region.is_none_or(|r| e.region == r)
}

/// One endpoint and what is known of its service.
struct Found<'a> {
    endpoint: &'a CatalogEndpoint,
    service: Option<&'static Service>,
    /// `openstack://…` leads here, and not to an endpoint before it in the catalog.
    by_catalog: bool,
}

impl<'a> Found<'a> {
    fn new(catalog: &Catalog, endpoint: &'a CatalogEndpoint) -> Found<'a> {
        let kind = endpoint.service_type.to_ascii_lowercase().replace('_', "-");
        let mut found = Found { endpoint, service: services::service(official(&kind)), by_catalog: false };
        // The same question that the target will ask. A URL that is read loses the line breaks in it, and no target has one.
        let query = Some(found.query("")).filter(|query| !query.contains(is_hidden));
        let asked = query.and_then(|query| Url::parse(&query).ok()).and_then(|url| CatalogQuery::parse(&url).ok());
        let answer = asked.and_then(|query| catalog.find(&query, None, &[]).ok());
        found.by_catalog = answer.is_some() && answer == Url::parse(endpoint.url.trim()).ok();
        found
    }

    fn written(&self, credential: &str, names: &mut BTreeSet<String>) -> String {
        let url = match usable(&self.endpoint.url) {
            Ok(url) => url,
            Err(why) => {
                return format!("# {}: its URL {} is left out: {why}\n", self.title(), plain(&self.endpoint.url));
            }
        };
        let mut out = String::new();
        let mut line = |text: &str| {
            out.push_str(text);
            out.push('\n');
        };
        let name = unique(&self.title(), names);
        let (comment, target, token, expect) = match self.service {
            Some(Service { with_token: Some(request), open, .. }) => {
                let open_url = below_root(&url, open.path);
                let comment = format!("With a token, as a user would. Without one {open_url} answers {}.", open.expect);
                (comment, self.with_token(&url, request), true, request.expect)
            }
            Some(Service { open, .. }) => {
                let comment = "Needs no token, and is sent none.".to_owned();
                (comment, below_root(&url, open.path), false, open.expect)
            }
            None => {
                let comment =
                    "Not a service that skypunch knows: check path and pass_result, then enable it.".to_owned();
                (comment, self.by_query_or_url(&url, ""), true, "200-299,300")
            }
        };
        line(&format!("# {}: {comment}", self.title()));
        line("[[target]]");
        line(&format!("name = {}", Value::from(name)));
        line(&format!("url = {}", Value::from(target)));
        if token {
            line("authn = \"OPENSTACK\"");
            line(&format!("credential = {}", Value::from(credential)));
        }
        line(&format!("pass_result = \"{expect}\""));
        if self.service.is_none() {
            line("enabled = false");
        }
        out
    }

    /// `nova public RegionOne`.
    fn title(&self) -> String {
        let e = self.endpoint;
        let name = if e.service_name.trim().is_empty() { &e.service_type } else { &e.service_name };
        let words = [name.as_str(), &e.interface, &e.region];
        let words: Vec<String> = words.iter().map(|w| plain(w.trim())).filter(|w| !w.is_empty()).collect();
        words.join(" ")
    }

    fn with_token(&self, url: &Url, request: &TokenRequest) -> String {
        let version = if url.path_segments().is_some_and(|mut s| s.any(is_version)) { "" } else { request.version };
        self.by_query_or_url(url, &format!("{version}{}", request.path))
    }

    /// By the catalog where that leads to this endpoint, else by its URL.
    fn by_query_or_url(&self, url: &Url, path: &str) -> String {
        if self.by_catalog { self.query(path) } else { below(url, url.path(), path) }
    }

    fn query(&self, path: &str) -> String {
        let e = self.endpoint;
        let mut query = Vec::new();
        if !e.region.is_empty() {
            query.push(format!("region={}", encoded(&e.region)));
        }
        if !path.is_empty() {
            query.push(format!("path={}", encoded(path)));
        }
        let mark = if query.is_empty() { "" } else { "?" };
        format!("openstack://{}/{}{mark}{}", e.service_type, e.interface, query.join("&"))
    }
}

/// The endpoint's URL, if a target may have it.
fn usable(url: &str) -> Result<Url, String> {
    let mut url = Url::parse(url.trim()).map_err(|e| e.to_string())?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err("it is neither http nor https".into());
    }
    // A URL with a host can be without both.
    let _never_fail = (url.set_username(""), url.set_password(None));
    url.set_fragment(None);
    Ok(url)
}

/// A path below the root of the service: what stands before the endpoint's version.
fn below_root(url: &Url, path: &str) -> String {
    let before = url.path().split('/').take_while(|s| !is_version(s)).collect::<Vec<_>>().join("/");
    below(url, &before, path)
}

fn below(url: &Url, before: &str, path: &str) -> String {
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let mut url = url.clone();
    if !path.is_empty() {
        url.set_path(&format!("{}{path}", before.trim_end_matches('/')));
    }
    url.set_query(query);
    url.into()
}

/// As a value in a query, with what may stand there left as people write it.
fn encoded(value: &str) -> String {
    const SEEN: &[u8] = b"/?=-_.~:,";
    value.bytes().fold(String::new(), |mut out, b| {
        match b {
            b if b.is_ascii_alphanumeric() || SEEN.contains(&b) => out.push(char::from(b)),
            b => out.push_str(&format!("%{b:02X}")),
        }
        out
    })
}

/// The title, with a number behind it where it is taken: names of targets are unique.
fn unique(title: &str, names: &mut BTreeSet<String>) -> String {
    let numbered = (2..).map(|n| format!("{title} {n}"));
    let name = std::iter::once(title.to_owned()).chain(numbered).find(|name| !names.contains(name));
    let name = name.unwrap_or_default();
    names.insert(name.clone());
    name
}

/// A text of the catalog as a comment and a name may hold it.
fn plain(text: &str) -> String {
    // Shortened last: what is escaped is longer, and three of these and a number are a name of 128 characters at most.
    shorten(&escape_controls(text), 40).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::definition::Definition;
    use crate::model::notifier::any_type;
    use crate::model::targets_file;
    use proptest::prelude::*;

    fn endpoint(kind: &str, name: &str, interface: &str, url: &str) -> CatalogEndpoint {
        CatalogEndpoint {
            service_type: kind.into(),
            service_name: name.into(),
            interface: interface.into(),
            region: "RegionOne".into(),
            url: url.into(),
        }
    }

    /// The file's targets as definitions, each of them fit.
    fn read_back(file: &str) -> Vec<Definition> {
        let read = targets_file::parse(file, &any_type).unwrap_or_else(|e| panic!("{file}\n{e:?}"));
        let definition = |entry: &targets_file::Entry| {
            let definition: Definition = entry.definition().unwrap();
            definition.validate().unwrap_or_else(|e| panic!("{file}\n{e:?}"));
            definition
        };
        read.targets.iter().map(definition).collect()
    }

    fn lines(file: &str) -> Vec<String> {
        let credential = |d: &Definition| d.credential.clone().unwrap_or_else(|| "-".into());
        let line = |d: Definition| format!("{} | {} | {} | {}", d.name, d.url, credential(&d), d.pass_result);
        read_back(file).into_iter().map(line).collect()
    }

    fn cloud() -> Catalog {
        Catalog {
            endpoints: vec![
                endpoint("identity", "keystone", "public", "https://cloud.test:5000/v3/"),
                endpoint("identity", "keystone", "internal", "http://10.0.0.1:5000/identity"),
                endpoint("compute", "nova", "public", "https://cloud.test/compute/v2.1"),
                endpoint("network", "neutron", "public", "https://cloud.test:9696"),
                endpoint("image", "glance", "public", "https://cloud.test:9292/"),
                endpoint("volumev3", "cinderv3", "public", "https://cloud.test:8776/v3/6be5"),
                endpoint("object-store", "swift", "public", "https://cloud.test:8080/v1/AUTH_6be5"),
                endpoint("placement", "placement", "public", "https://cloud.test/placement"),
                endpoint("orchestration", "heat", "public", "https://cloud.test:8004/v1/6be5"),
                endpoint("load-balancer", "octavia", "public", "https://cloud.test:9876"),
                endpoint("dns", "designate", "public", "https://cloud.test:9001"),
                endpoint("key-manager", "barbican", "public", "https://cloud.test:9311"),
                endpoint("baremetal", "ironic", "public", "https://cloud.test:6385"),
                endpoint("container-infra", "magnum", "public", "https://cloud.test:9511/v1"),
                endpoint("sharev2", "manilav2", "public", "https://cloud.test:8786/v2"),
            ],
        }
    }

    #[test]
    fn each_endpoint_becomes_a_target_that_apply_takes() {
        let file = discover(&cloud(), "ops", Some("public"), None);
        assert!(
            file.starts_with("# 14 of 15 endpoints in the catalog of credential ops, interface public.\n"),
            "{file}"
        );
        assert_eq!(
            lines(&file),
            [
                "keystone public RegionOne | https://cloud.test:5000/v3 | - | 200",
                "nova public RegionOne | openstack://compute/public?region=RegionOne&path=/servers?limit=1 | ops | 200",
                "neutron public RegionOne | openstack://network/public?region=RegionOne&path=/v2.0/networks?limit=1 | ops | 200",
                "glance public RegionOne | openstack://image/public?region=RegionOne&path=/v2/images?limit=1 | ops | 200",
                "cinderv3 public RegionOne | openstack://volumev3/public?region=RegionOne&path=/volumes?limit=1 | ops | 200",
                "swift public RegionOne | openstack://object-store/public?region=RegionOne | ops | 200,204",
                "placement public RegionOne | https://cloud.test/placement/ | - | 200",
                "heat public RegionOne | openstack://orchestration/public?region=RegionOne&path=/stacks?limit=1 | ops | 200",
                "octavia public RegionOne | https://cloud.test:9876/ | - | 200",
                "designate public RegionOne | openstack://dns/public?region=RegionOne&path=/v2/zones?limit=1 | ops | 200",
                "barbican public RegionOne | https://cloud.test:9311/ | - | 200,300",
                "ironic public RegionOne | https://cloud.test:6385/ | - | 200",
                "magnum public RegionOne | openstack://container-infra/public?region=RegionOne&path=/clusters?limit=1 | ops | 200",
                "manilav2 public RegionOne | openstack://sharev2/public?region=RegionOne&path=/shares?limit=1 | ops | 200",
            ]
        );
        assert!(file.contains("Without one https://cloud.test/compute/ answers 200."), "{file}");
        assert!(file.contains("Without one https://cloud.test:8080/healthcheck answers 200."), "{file}");
    }

    #[test]
    fn what_a_target_asks_of_the_catalog_leads_to_its_endpoint() {
        let catalog = cloud();
        let find = |url: &str| {
            let query = CatalogQuery::parse(&Url::parse(url).unwrap()).unwrap();
            catalog.find(&query, None, &[]).unwrap().to_string()
        };
        let urls: Vec<String> = read_back(&discover(&catalog, "ops", None, None))
            .into_iter()
            .filter(|d| d.url.starts_with("openstack:"))
            .map(|d| find(&d.url))
            .collect();
        assert_eq!(urls[0], "https://cloud.test/compute/v2.1/servers?limit=1");
        assert!(urls.contains(&"https://cloud.test:9696/v2.0/networks?limit=1".to_owned()), "{urls:?}");
        assert!(urls.contains(&"https://cloud.test:8080/v1/AUTH_6be5".to_owned()), "{urls:?}");
        assert_eq!(urls.len(), 9);
    }

    #[test]
    fn interface_and_region_choose() {
        assert_eq!(
            lines(&discover(&cloud(), "ops", Some("internal"), None)),
            ["keystone internal RegionOne | http://10.0.0.1:5000/identity/v3 | - | 200"]
        );
        assert_eq!(lines(&discover(&cloud(), "ops", None, Some("RegionTwo"))), [""; 0]);
    }

    #[test]
    fn odd_endpoints_are_still_a_file_that_apply_takes() {
        let catalog = Catalog {
            endpoints: vec![
                endpoint("rating", "cloudkitty", "public", "http://h:8889"),
                endpoint("compute", "nova", "public", "http://h:8774/v2.1"),
                endpoint("compute", "nova", "public", "http://h2:8774/v2.1"),
                endpoint("my own", "\"tool\"\n", "public", "http://me:pw@h/x?y=1#z"),
                endpoint("ftp", "", "public", "ftp://h/"),
            ],
        };
        let file = discover(&catalog, "acme/ops \"1\"", None, None);
        assert_eq!(
            lines(&file),
            [
                "cloudkitty public RegionOne | openstack://rating/public?region=RegionOne | acme/ops \"1\" | 200-299,300",
                "nova public RegionOne | openstack://compute/public?region=RegionOne&path=/servers?limit=1 | acme/ops \"1\" | 200",
                "nova public RegionOne 2 | http://h2:8774/v2.1/servers?limit=1 | acme/ops \"1\" | 200",
                "\"tool\" public RegionOne | http://h/x | acme/ops \"1\" | 200-299,300",
            ]
        );
        let enabled: Vec<bool> = read_back(&file).iter().map(|d| d.enabled).collect();
        assert_eq!(enabled, [false, true, true, false]);
        assert!(
            file.contains("# ftp public RegionOne: its URL ftp://h/ is left out: it is neither http nor https\n"),
            "{file}"
        );
    }

    proptest! {
        #[test]
        fn any_catalog_is_a_file_that_apply_takes(
            all in proptest::collection::vec(("(compute|image|volumev2|\\PC{0,9})", "\\PC{0,9}", "(public|\\PC{0,9})", "\\PC{0,9}", "(https?://h/)?\\PC{0,12}"), 0..6),
        ) {
            let endpoints = all.into_iter().map(|(service_type, service_name, interface, region, url)| {
                CatalogEndpoint { service_type, service_name, interface, region, url }
            });
            let catalog = Catalog { endpoints: endpoints.collect() };
            read_back(&discover(&catalog, "ops", None, None));
        }
    }
}
