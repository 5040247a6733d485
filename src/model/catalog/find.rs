//! A target's question to a catalog: which URL is that, or what is there instead.
//!
//! ```text
//!  type (exact, else the best alias) --> interface (first of the preference list) --> region --> URL of the endpoint
//!                                                                                                + path of the query
//! ```

use std::collections::BTreeSet;

use url::Url;

use super::aliases::{normal, official, rank};
use super::{Catalog, CatalogEndpoint, CatalogQuery};
use crate::model::definition::redact_userinfo;
use crate::model::text::{escape_controls, nearest, quoted, shorten};

/// So many entries of a catalog are listed where one is missing.
const LISTED: usize = 24;

impl Catalog {
    /// The URL that a query means.
    ///
    /// * The type is taken as it is written where the catalog has it, else as the best of its other names
    ///   ([`official`]): then every endpoint is of that one type.
    /// * `interfaces` and `region` are the credential's, and count where the query names none; no interface at all
    ///   means `public`, no region any. The first interface that has an endpoint wins, and of several endpoints the one
    ///   that the catalog lists first. `publicURL` and `public` are the same.
    /// * The query's path is put behind the endpoint's own: `http://h/v2.1/` and `/servers` are `http://h/v2.1/servers`.
    ///   Where the path begins with the version with which the endpoint's ends, that stands there once:
    ///   `http://h/v2.1` and `/v2.1/servers` are the same URL again, so that a query fits endpoints with and without.
    ///   An empty path leaves the URL as the catalog has it.
    ///
    /// # Errors
    /// What is asked for and not there, and what is there: for people.
    pub fn find(&self, query: &CatalogQuery, region: Option<&str>, interfaces: &[String]) -> Result<Url, String> {
        let region = query.region.as_deref().or(region);
        let wanted = match (&query.interfaces[..], interfaces) {
            ([], []) => vec!["public"],
            ([], preferred) => preferred.iter().map(String::as_str).collect(),
            (asked, _) => asked.iter().map(String::as_str).collect(),
        };
        let service = self.of_type(&query.service_type);
        if service.is_empty() {
            return Err(self.no_such_type(&query.service_type));
        }
        let in_region = |e: &&&CatalogEndpoint| region.is_none_or(|r| e.region == r);
        let found = wanted
            .iter()
            .find_map(|interface| service.iter().filter(in_region).find(|e| same_interface(&e.interface, interface)));
        match found {
            Some(endpoint) => joined(endpoint, &query.path),
            None => Err(no_such_endpoint(&query.service_type, &service, &wanted, region)),
        }
    }

    /// The endpoints of the one type in the catalog that is meant.
    fn of_type(&self, asked: &str) -> Vec<&CatalogEndpoint> {
        let asked = normal(asked);
        let types: BTreeSet<String> = self.endpoints.iter().map(|e| normal(&e.service_type)).collect();
        let best = types
            .iter()
            .filter(|t| **t == asked || official(t) == official(&asked))
            .min_by_key(|t| (**t != asked, rank(t)));
        self.endpoints.iter().filter(|e| best.is_some_and(|b| normal(&e.service_type) == *b)).collect()
    }

    fn no_such_type(&self, asked: &str) -> String {
        if self.endpoints.is_empty() {
            return format!(
                "service {} is not in the catalog, which is empty: the token has no scope, or its user no role there",
                quoted(asked)
            );
        }
        let types: BTreeSet<&str> = self.endpoints.iter().map(|e| e.service_type.as_str()).collect();
        let hint =
            nearest(asked, types.iter().copied()).map_or(String::new(), |t| format!(" (did you mean {}?)", quoted(t)));
        format!(
            "service {} is not in the catalog{hint}; it has {}",
            quoted(asked),
            listed(types.into_iter().map(plain))
        )
    }
}

/// Whether two names mean one interface: `publicURL` of old catalogs is `public`.
fn same_interface(a: &str, b: &str) -> bool {
    fn short(name: &str) -> &str {
        name.trim().strip_suffix("URL").unwrap_or(name.trim())
    }
    short(a).eq_ignore_ascii_case(short(b))
}

fn no_such_endpoint(asked: &str, service: &[&CatalogEndpoint], wanted: &[&str], region: Option<&str>) -> String {
    let place = region.map_or(String::new(), |r| format!(" in region {}", quoted(r)));
    let ways: BTreeSet<String> = service
        .iter()
        .map(|e| match e.region.as_str() {
            "" => plain(&e.interface),
            region => format!("{} in {}", plain(&e.interface), plain(region)),
        })
        .collect();
    let regions: BTreeSet<&str> = service.iter().map(|e| e.region.as_str()).collect();
    let hint = region
        .filter(|r| !regions.contains(r))
        .and_then(|r| nearest(r, regions.iter().copied()))
        .filter(|r| !r.is_empty())
        .map_or(String::new(), |r| format!(" (did you mean region {}?)", quoted(r)));
    let wanted: Vec<String> = wanted.iter().map(|i| plain(i)).collect();
    format!(
        "service {} is in the catalog, but not as {}{place}{hint}; it is there as {}",
        quoted(asked),
        wanted.join(" or "),
        listed(ways.into_iter())
    )
}

/// A name out of a catalog, fit to be shown.
fn plain(name: &str) -> String {
    escape_controls(&shorten(name, 60)).into_owned()
}

fn listed(all: impl ExactSizeIterator<Item = String>) -> String {
    let more = all.len().saturating_sub(LISTED);
    let mut shown: Vec<String> = all.take(LISTED).collect();
    if more > 0 {
        shown.push(format!("{more} more"));
    }
    shown.join(", ")
}

/// The endpoint's URL with the path of the query behind it.
fn joined(endpoint: &CatalogEndpoint, path: &str) -> Result<Url, String> {
    let unusable = |why: &str| {
        let (kind, url) = (plain(&endpoint.service_type), quoted(&redact_userinfo(&endpoint.url)));
        format!("the catalog's URL of service {kind} ({}) is {url}, {why}", plain(&endpoint.interface))
    };
    let mut url = Url::parse(endpoint.url.trim()).map_err(|e| unusable(&format!("which cannot be read: {e}")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(unusable("which is neither http nor https"));
    }
    // A URL with a host can be without both. What is probed is shown, in traces and mails: a password has no place there.
    let _never_fail = (url.set_username(""), url.set_password(None));
    url.set_fragment(None);
    if path.is_empty() {
        return Ok(url);
    }
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let own = url.path().trim_end_matches('/').to_owned();
    let rest = path.trim_start_matches('/');
    let (first, behind) = rest.split_once('/').map_or((rest, None), |(first, behind)| (first, Some(behind)));
    let full = match own.rsplit('/').next() {
        Some(last) if last == first && is_version(last) => match behind {
            Some(behind) => format!("{own}/{behind}"),
            None => own,
        },
        _ => format!("{own}/{rest}"),
    };
    url.set_path(&full);
    if query.is_some() {
        url.set_query(query);
    }
    Ok(url)
}

/// Whether a segment of a path is a version: `v2`, `v2.1`, `v3`.
#[must_use]
pub fn is_version(segment: &str) -> bool {
    let digits = segment.strip_prefix('v').unwrap_or_default();
    digits.starts_with(|c: char| c.is_ascii_digit()) && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn endpoint(kind: &str, interface: &str, region: &str, url: &str) -> CatalogEndpoint {
        CatalogEndpoint {
            service_type: kind.into(),
            service_name: String::new(),
            interface: interface.into(),
            region: region.into(),
            url: url.into(),
        }
    }

    fn catalog() -> Catalog {
        Catalog {
            endpoints: vec![
                endpoint("identity", "public", "RegionOne", "http://127.0.0.1:5000/v3"),
                endpoint("compute", "admin", "RegionOne", "http://127.0.0.1:8774/admin/v2.1/"),
                endpoint("compute", "public", "RegionOne", "http://127.0.0.1:8774/v2.1/"),
                endpoint("compute", "public", "RegionTwo", "https://two.test/compute/v2.1"),
                endpoint("volumev2", "publicURL", "RegionOne", "http://127.0.0.1:8776/v2/abc"),
                endpoint("volumev3", "publicURL", "RegionOne", "http://127.0.0.1:8776/v3/abc"),
                endpoint("strange", "public", "", "ftp://127.0.0.1/"),
            ],
        }
    }

    fn ask(kind: &str, interfaces: &[&str], region: Option<&str>, path: &str) -> CatalogQuery {
        CatalogQuery {
            service_type: kind.into(),
            interfaces: interfaces.iter().map(|i| (*i).to_owned()).collect(),
            region: region.map(str::to_owned),
            path: path.into(),
        }
    }

    #[test]
    fn type_interface_and_region_choose_the_endpoint() {
        let find = |q: CatalogQuery, region, own: &[String]| catalog().find(&q, region, own).unwrap().to_string();
        let internal_or_admin = ["internal".to_owned(), "admin".to_owned()];
        assert_eq!(find(ask("compute", &[], None, ""), None, &[]), "http://127.0.0.1:8774/v2.1/");
        assert_eq!(find(ask("compute", &[], None, ""), Some("RegionTwo"), &[]), "https://two.test/compute/v2.1");
        assert_eq!(find(ask("compute", &[], None, ""), None, &internal_or_admin), "http://127.0.0.1:8774/admin/v2.1/");
        // What the query says comes before what the credential says.
        let q = ask("Compute", &["internal", "publicURL"], Some("RegionTwo"), "");
        assert_eq!(find(q, Some("RegionOne"), &internal_or_admin), "https://two.test/compute/v2.1");
    }

    #[test]
    fn a_type_is_found_by_its_other_names_and_the_exact_one_wins() {
        for (asked, url) in [
            ("block-storage", "http://127.0.0.1:8776/v3/abc"),
            ("volume", "http://127.0.0.1:8776/v3/abc"),
            ("volumev2", "http://127.0.0.1:8776/v2/abc"),
            ("block_store", "http://127.0.0.1:8776/v3/abc"),
        ] {
            assert_eq!(catalog().find(&ask(asked, &[], None, ""), None, &[]).unwrap().as_str(), url, "{asked}");
        }
    }

    #[test]
    fn the_path_stands_behind_the_endpoint_and_no_version_twice() {
        for (base, path, url) in [
            ("http://h/v2.1/", "", "http://h/v2.1/"),
            ("http://h/v2.1/", "/", "http://h/v2.1/"),
            ("http://h/v2.1", "/", "http://h/v2.1/"),
            ("http://h/v2.1", "/v2.1", "http://h/v2.1"),
            ("http://h/v2.1/", "/v2.1/", "http://h/v2.1/"),
            ("http://h/v2.1", "/v2.1/servers?limit=1", "http://h/v2.1/servers?limit=1"),
            ("http://h/v2.1", "/v2/servers", "http://h/v2.1/v2/servers"),
            ("http://h/compute/v2.1", "/servers", "http://h/compute/v2.1/servers"),
            ("http://h:9292", "/v2/images", "http://h:9292/v2/images"),
            ("http://h/v3/abc", "/v3/volumes", "http://h/v3/abc/v3/volumes"),
            ("http://h/images/", "/images", "http://h/images/images"),
            ("http://user:hunter2@h/x", "/y", "http://h/x/y"),
            ("http://user:hunter2@h/x", "", "http://h/x"),
            ("http://h/swift/v1?a=b#c", "/x y", "http://h/swift/v1/x%20y?a=b"),
        ] {
            let found = joined(&endpoint("x", "public", "", base), path).unwrap();
            assert_eq!(found.as_str(), url, "{base} + {path}");
        }
    }

    #[test]
    fn a_miss_lists_what_is_there() {
        for (query, words) in [
            (
                ask("comptue", &[], None, ""),
                "service `comptue` is not in the catalog (did you mean `compute`?); it has compute, identity, strange, volumev2, volumev3",
            ),
            (ask("dns", &[], None, ""), "service `dns` is not in the catalog; it has compute"),
            (
                ask("compute", &["internal"], Some("RegionTow"), ""),
                "service `compute` is in the catalog, but not as internal in region `RegionTow` (did you mean region `RegionTwo`?); \
                 it is there as admin in RegionOne, public in RegionOne, public in RegionTwo",
            ),
            (ask("strange", &["admin", "internal"], None, ""), "not as admin or internal; it is there as public"),
            (
                ask("strange", &[], None, ""),
                "the catalog's URL of service strange (public) is `ftp://127.0.0.1/`, which is neither",
            ),
        ] {
            let said = catalog().find(&query, None, &[]).unwrap_err();
            assert!(said.contains(words), "{said}");
        }
        let said = Catalog::default().find(&ask("image", &[], None, ""), None, &[]).unwrap_err();
        assert!(said.contains("which is empty: the token has no scope"), "{said}");
    }

    #[test]
    fn a_long_catalog_is_not_listed_whole_and_shows_no_control_characters() {
        let endpoints = (0..100).map(|i| endpoint(&format!("t{i:03}\u{1b}[2J"), "public", "", "http://h/")).collect();
        let said = Catalog { endpoints }.find(&ask("image", &[], None, ""), None, &[]).unwrap_err();
        assert!(said.ends_with(", 76 more") && !said.contains('\u{1b}') && said.len() < 1000, "{said}");
    }

    proptest! {
        #[test]
        fn what_is_in_the_catalog_is_found_and_the_query_changes_no_origin(
            kinds in proptest::collection::vec(("[a-z]{1,8}(v[0-9])?", "(public|internal|admin)(URL)?", "R[0-9]"), 1..8),
            pick in any::<prop::sample::Index>(),
            path in "(/[a-z0-9.?/@:\\\\#]{0,20})?",
        ) {
            let endpoints: Vec<CatalogEndpoint> = kinds
                .iter()
                .enumerate()
                .map(|(i, (kind, interface, region))| endpoint(kind, interface, region, &format!("https://h{i}.test:8{i}/v2/x")))
                .collect();
            let catalog = Catalog { endpoints };
            let (kind, interface, region) = pick.get(&kinds);
            let url = catalog.find(&ask(kind, &[interface], Some(region), &path), None, &[]).unwrap();
            let first = kinds.iter().position(|(k, i, r)| k == kind && same_interface(i, interface) && r == region).unwrap();
            let host = format!("h{first}.test");
            prop_assert_eq!(url.host_str(), Some(host.as_str()));
            prop_assert_eq!(url.port(), Some(u16::try_from(80 + first).unwrap()));
            prop_assert_eq!((url.scheme(), url.fragment()), ("https", None));
        }

        #[test]
        fn never_panics(kind in "\\PC{0,9}", interface in "\\PC{0,9}", region in "\\PC{0,9}", url in "(https?://)?\\PC{0,20}", path in "\\PC{0,20}") {
            let catalog = Catalog { endpoints: vec![endpoint(&kind, &interface, &region, &url)] };
            let _ignored = catalog.find(&ask(&kind, &[&interface], Some(&region), &path), None, &[]);
            let _ignored = catalog.find(&ask(&region, &[], None, ""), None, &[]);
        }
    }
}
