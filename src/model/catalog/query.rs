//! `openstack://SERVICE_TYPE/INTERFACE[,INTERFACE…]?region=R&path=/…`: what a target asks of the service catalog.

use url::Url;

use super::CatalogQuery;
use crate::model::definition::redact_userinfo;
use crate::model::text::{nearest, quoted};

/// The scheme of such a URL.
pub const SCHEME: &str = "openstack";

/// The interfaces that a catalog can hold.
pub const INTERFACES: [&str; 3] = ["public", "internal", "admin"];

const KEYS: [&str; 2] = ["region", "path"];
const HOW: &str =
    "write openstack://SERVICE_TYPE/INTERFACE?region=REGION&path=/PATH, such as openstack://compute/public";

impl CatalogQuery {
    /// Reads such a URL.
    ///
    /// # Errors
    /// One sentence: what is wrong, and what to write.
    pub fn parse(url: &Url) -> Result<CatalogQuery, String> {
        let shown = || quoted(&redact_userinfo(url.as_str()));
        if !url.username().is_empty() || url.password().is_some() || url.port().is_some() {
            return Err(format!("a service of the catalog has neither user nor port: {HOW}"));
        }
        let service_type = url.host_str().filter(|h| !h.is_empty());
        let service_type = service_type.ok_or_else(|| format!("{} names no type of service: {HOW}", shown()))?;
        let is_type = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if !service_type.chars().all(is_type) {
            return Err(format!("{} is no type of service: {HOW}", quoted(service_type)));
        }
        let interface = url.path().trim_matches('/');
        if interface.contains('/') {
            return Err(format!(
                "{} stands where an interface is expected: a path is written as ?path=/…; {HOW}",
                quoted(interface)
            ));
        }
        let interfaces = interfaces(interface)?;
        let (mut region, mut path) = (None, None);
        for (key, value) in url.query_pairs() {
            let slot = match key.as_ref() {
                "region" => &mut region,
                "path" => &mut path,
                other => {
                    let hint = nearest(other, KEYS)
                        .map_or_else(|| "it takes region and path".to_owned(), |k| format!("did you mean `{k}`?"));
                    return Err(format!(
                        "{} is not known in a URL of the catalog; {hint} (a `&` that belongs to the path is written %26)",
                        quoted(other)
                    ));
                }
            };
            if value.is_empty() {
                return Err(format!("`{key}` is empty: write it, or leave it out"));
            }
            if value.chars().any(char::is_control) {
                return Err(format!("`{key}` holds a control character"));
            }
            if slot.replace(value.into_owned()).is_some() {
                return Err(format!("`{key}` is given twice"));
            }
        }
        let path = path.unwrap_or_default();
        if !path.is_empty() && !path.starts_with('/') {
            return Err(format!("`path` {} does not begin with `/`: write path=/…", quoted(&path)));
        }
        Ok(CatalogQuery { service_type: service_type.to_ascii_lowercase(), interfaces, region, path })
    }
}

/// Interfaces in order of preference, separated by commas; `publicURL` and the like mean `public` and the like.
///
/// # Errors
/// The word that is no interface.
pub fn interfaces(text: &str) -> Result<Vec<String>, String> {
    let mut out: Vec<String> = Vec::new();
    for word in text.split(',').map(str::trim).filter(|w| !w.is_empty()) {
        let plain = word.strip_suffix("URL").unwrap_or(word);
        let Some(known) = INTERFACES.into_iter().find(|i| i.eq_ignore_ascii_case(plain)) else {
            let hint = nearest(word, INTERFACES).map_or(String::new(), |i| format!(" (did you mean {i}?)"));
            return Err(format!("{} is no interface{hint}: write public, internal or admin", quoted(word)));
        };
        if !out.iter().any(|i| i == known) {
            out.push(known.to_owned());
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<CatalogQuery, String> {
        CatalogQuery::parse(&Url::parse(text).unwrap())
    }

    #[test]
    fn everything_a_target_may_ask() {
        let query = |interfaces: &[&str], region: Option<&str>, path: &str| CatalogQuery {
            service_type: "compute".into(),
            interfaces: interfaces.iter().map(|i| (*i).to_owned()).collect(),
            region: region.map(str::to_owned),
            path: path.into(),
        };
        for (url, expected) in [
            ("openstack://compute", query(&[], None, "")),
            ("openstack://compute/", query(&[], None, "")),
            ("openstack://Compute/public", query(&["public"], None, "")),
            ("openstack://compute/internalURL,public,internal", query(&["internal", "public"], None, "")),
            ("openstack://compute/public?region=RegionOne&path=/v2.1", query(&["public"], Some("RegionOne"), "/v2.1")),
            ("openstack://compute?path=/servers?limit=1%26all=1", query(&[], None, "/servers?limit=1&all=1")),
            ("openstack://compute?region=Region%20One", query(&[], Some("Region One"), "")),
        ] {
            assert_eq!(read(url).unwrap(), expected, "{url}");
        }
    }

    #[test]
    fn errors_say_what_to_write() {
        for (url, part) in [
            ("openstack:///public", "names no type of service"),
            ("openstack:compute", "names no type of service"),
            ("openstack://me:hunter2@compute/", "neither user nor port"),
            ("openstack://compute:80/", "neither user nor port"),
            ("openstack://comp%20ute/", "is no type of service"),
            ("openstack://compute/pubic", "`pubic` is no interface (did you mean public?)"),
            ("openstack://compute/public/v2.1", "written as ?path=/"),
            ("openstack://compute?regoin=x", "`regoin` is not known in a URL of the catalog; did you mean `region`?"),
            ("openstack://compute?path=/a&limit=1", "%26"),
            ("openstack://compute?path=v2.1", "does not begin with `/`"),
            ("openstack://compute?path=", "`path` is empty"),
            ("openstack://compute?region=%1b", "control character"),
            ("openstack://compute?region=a&region=b", "`region` is given twice"),
        ] {
            let message = read(url).unwrap_err();
            assert!(message.contains(part), "{url}: {message} should hold {part}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(rest in "\\PC*") {
            if let Ok(url) = Url::parse(&format!("openstack://{rest}")) {
                let _ignored = CatalogQuery::parse(&url);
            }
        }
    }
}
