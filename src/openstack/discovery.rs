//! Where the Identity API v3 is: from the URL that a person wrote to the one that is logged in at.
//!
//! ```text
//!  https://host:5000/v3, …/v3/, …/v3/auth/tokens  --> https://host:5000/v3      nothing is asked
//!  https://host/identity --GET--> list of versions --> its newest stable v3
//!  …/v2.0/tokens          (v2.0)                   --> as it is
//! ```

use serde_json::Value;
use url::Url;

use super::error::{Answer, IdentityError};
use crate::model::credential::{Api, Login};
use crate::model::reason::Reason;

/// How a login begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// The base is known.
    At(Url),
    /// This is to be asked for its versions first, with `GET` and nothing secret.
    Ask(Url),
}

/// How a login begins.
#[must_use]
pub fn start(login: &Login) -> Start {
    let mut url = login.auth_url.clone();
    if login.api == Api::V2 {
        return Start::At(url);
    }
    url.set_query(None);
    url.set_fragment(None);
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix("/auth/tokens").unwrap_or(path).to_owned();
    if path.ends_with("/v3") {
        url.set_path(&path);
        return Start::At(url);
    }
    Start::Ask(url)
}

/// The base of v3 that an answer to [`Start::Ask`] names.
///
/// The advertised link counts, as in keystoneauth, also where it leads to another host. But what was asked over HTTPS
/// is never left for plain HTTP (a service behind a proxy that ends TLS does not know its own address): scheme, host and
/// port stay then, and only the link's path counts. A relative link is one of the URL that was asked.
///
/// # Errors
/// When this is no list of versions, or v3 is not on it: what was answered.
pub fn base(answer: &Answer<'_>) -> Result<Url, IdentityError> {
    let versions = match answer.status {
        200 | 300 => answer.json().as_ref().and_then(versions),
        _ => None,
    };
    let Some(versions) = versions else { return Err(no_list(answer)) };
    let newest =
        versions.iter().filter_map(Version::read).filter(|v| v.number.0 == 3).max_by_key(|v| (v.stable, v.number));
    let Some(newest) = newest else {
        let ids: Vec<&str> = versions.iter().filter_map(|v| v.get("id")?.as_str()).collect();
        return Err(failed(answer, &format!("it serves {}, not v3, which is needed", answer.fit(&ids.join(", "), 80))));
    };
    let linked =
        answer.url.join(newest.href).ok().filter(|u| matches!(u.scheme(), "http" | "https") && u.host().is_some());
    let Some(mut url) = linked else {
        return Err(failed(answer, "its link to v3 is no URL"));
    };
    if answer.url.scheme() == "https" && url.scheme() == "http" {
        let path = url.path().to_owned();
        url = answer.url.clone();
        url.set_path(&path);
    }
    // A URL with a host can be without both.
    let _never_fail = (url.set_username(""), url.set_password(None));
    url.set_query(None);
    url.set_fragment(None);
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

/// `{"versions":{"values":[…]}}`, `{"versions":[…]}`, or `{"version":{…}}` of one alone.
fn versions(json: &Value) -> Option<Vec<Value>> {
    let all = json.get("versions").map(|v| v.get("values").unwrap_or(v));
    let all = all.and_then(Value::as_array).cloned();
    let all = all.or_else(|| Some(vec![json.get("version")?.clone()]))?;
    // Any web application may have a "version"; those of an API have an id.
    all.iter().any(|v| v.get("id").is_some_and(Value::is_string)).then_some(all)
}

struct Version<'a> {
    number: (u32, u32),
    stable: bool,
    href: &'a str,
}

impl<'a> Version<'a> {
    fn read(of: &'a Value) -> Option<Version<'a>> {
        let id = of.get("id")?.as_str()?.trim_start_matches('v');
        let (major, minor) = id.split_once('.').unwrap_or((id, "0"));
        let status = of.get("status").and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
        let links = of.get("links")?.as_array()?;
        let own = links.iter().find(|l| l.get("rel").and_then(Value::as_str) == Some("self"))?;
        Some(Version {
            number: (major.parse().ok()?, minor.parse().ok()?),
            stable: matches!(status.as_str(), "stable" | "current" | "supported"),
            href: own.get("href")?.as_str()?,
        })
    }
}

fn no_list(answer: &Answer<'_>) -> IdentityError {
    match answer.status {
        301..=399 if answer.location().is_some() => {
            let to = answer.location().unwrap_or_default();
            failed(answer, &format!("it redirects to {to}: write auth_url as it should be"))
        }
        500..=599 => failed(answer, "the identity service, or a proxy before it, is in trouble"),
        _ => failed(answer, "that is no list of Identity API versions, so no Keystone: is auth_url right?"),
    }
}

fn failed(answer: &Answer<'_>, why: &str) -> IdentityError {
    let sentence = format!("asking {} for its versions: {}; {why}", answer.url, answer.words());
    IdentityError::new(Reason::IdentityUnreachable, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::params;
    use proptest::prelude::*;
    use serde_json::json;

    fn found(asked: &str, status: u16, body: &str) -> Result<String, IdentityError> {
        let url = Url::parse(asked).unwrap();
        let headers =
            [("Content-Type".to_owned(), "text/html".to_owned()), ("Location".to_owned(), "/dashboard/".to_owned())];
        let headers = if status == 300 { &headers[..1] } else { &headers[..] };
        base(&Answer { url: &url, status, headers, body: body.as_bytes(), leaks: &|_| false }).map(|u| u.to_string())
    }

    fn version(id: &str, status: &str, href: &str) -> Value {
        json!({ "id": id, "status": status, "links": [{ "rel": "help", "href": "x" }, { "rel": "self", "href": href }] })
    }

    #[test]
    fn a_url_of_v3_needs_no_question() {
        let begin = |parms: &str| start(&Login::from_params(params::parse(parms).unwrap()).unwrap());
        let at = |url: &str| Start::At(Url::parse(url).unwrap());
        for url in ["http://h:5000/v3", "http://h:5000/v3/", "http://h:5000/v3/auth/tokens"] {
            assert_eq!(begin(&format!("auth_url={url},user_id=u,password=p")), at("http://h:5000/v3"), "{url}");
        }
        assert_eq!(
            begin("auth_url=https://h/identity/,user_id=u,password=p"),
            Start::Ask(Url::parse("https://h/identity/").unwrap())
        );
        assert_eq!(
            begin("user=u,password=p,osauthendpoint=http://h/v2.0/tokens,tenantid=t"),
            at("http://h/v2.0/tokens")
        );
    }

    #[test]
    fn the_newest_stable_v3_is_taken_from_every_form_of_the_document() {
        // As Keystone 30 answers `GET /`, with 300.
        let values = |all: Value| json!({ "versions": { "values": all } }).to_string();
        let list = values(json!([
            version("v2.0", "deprecated", "http://h:5000/v2.0/"),
            version("v3.14", "stable", "http://h:5000/v3/")
        ]));
        assert_eq!(found("http://h:5000/", 300, &list).unwrap(), "http://h:5000/v3");
        let list =
            json!({ "versions": [version("v3.9", "CURRENT", "/identity/v3"), version("v3.20", "experimental", "/x")] });
        assert_eq!(found("https://h/identity", 200, &list.to_string()).unwrap(), "https://h/identity/v3");
        let one = json!({ "version": version("v3.14", "stable", "http://other:35357/v3") });
        assert_eq!(found("http://h/keystone", 200, &one.to_string()).unwrap(), "http://other:35357/v3");
        let list =
            values(json!([version("v3.2", "stable", "http://h/a/v3/"), version("v3.14", "stable", "http://h/b/v3/")]));
        assert_eq!(found("http://h/", 300, &list).unwrap(), "http://h/b/v3");
    }

    #[test]
    fn https_is_never_left_for_http() {
        let one = json!({ "version": version("v3.14", "stable", "http://10.0.0.1:5000/v3/") }).to_string();
        assert_eq!(found("https://cloud.test:13000/", 200, &one).unwrap(), "https://cloud.test:13000/v3");
        assert_eq!(found("http://cloud.test/", 200, &one).unwrap(), "http://10.0.0.1:5000/v3");
    }

    #[test]
    fn what_is_no_keystone_is_named() {
        let only_2 = json!({ "versions": [version("v2.0", "stable", "/v2.0")] }).to_string();
        let odd = json!({ "version": version("v3.1", "stable", "mailto:me") }).to_string();
        for (status, body, words) in [
            (
                200,
                "\n<html><title>It works",
                "answered 200 (text/html: <html><title>It works); that is no list of Identity API versions",
            ),
            (200, "{\"version\":\"1.2\"}", "that is no list"),
            (200, only_2.as_str(), "it serves v2.0, not v3"),
            (200, odd.as_str(), "its link to v3 is no URL"),
            (302, "", "it redirects to http://h/dashboard/"),
            (503, "", "answered 503 (text/html); the identity service, or a proxy before it"),
            (404, "", "so no Keystone"),
        ] {
            let e = found("http://h/", status, body).unwrap_err();
            assert!(e.reason == Reason::IdentityUnreachable && e.sentence.contains(words), "{e} should hold {words}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_never_leaves_https(href in "(https?://)?\\PC{0,20}", id in "v?3(\\.[0-9]{0,12})?", status in "\\PC{0,9}") {
            let one = json!({ "version": version(&id, &status, &href) }).to_string();
            if let Ok(url) = found("https://h/x", 200, &one) {
                prop_assert!(url.starts_with("https://"), "{}", url);
            }
        }
    }
}
