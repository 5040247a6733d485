//! Where a redirect leads, and what goes along; pure.
//!
//! Another origin gets no credentials, no secret header, no `Host` and no server name of the target's: see
//! [`Hop::same_origin`].

use std::borrow::Cow;

use url::Url;

use crate::model::definition::redact_userinfo_within;
use crate::model::target::Method;
use crate::model::text::quoted;

/// One request of a probe: the first, or one that a redirect led to.
#[derive(Debug, Clone, PartialEq)]
pub struct Hop<'a> {
    /// To where; without userinfo and fragment.
    pub url: Cow<'a, Url>,
    /// With which method.
    pub method: Method,
    /// Whether the target's body goes along.
    pub with_body: bool,
    /// Whether it goes to the target's own origin, and so may carry its secrets.
    pub same_origin: bool,
}

/// Longer ones are not followed: they stand in the trace of each hop. RFC 9110 section 4.1 asks for 8000 at least.
const MAX_URL: usize = 8000;

/// Whether an answer with this status points elsewhere (RFC 9110 section 15.4).
#[must_use]
pub fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// The next hop after `current`, which answered `status` with `location`.
///
/// `before` are the hops so far, `current` last; `limit` is how many redirects may be followed.
///
/// # Errors
/// What is wrong, as a sentence without the place.
pub fn next<'a>(target: &Url, before: &[Hop<'_>], status: u16, location: &str, limit: u8) -> Result<Hop<'a>, String> {
    let Some(current) = before.last() else { return Err("there is no request that was redirected".into()) };
    let too_long = |bytes: usize| format!("a URL of {bytes} bytes, more than the {MAX_URL} that are followed");
    if location.len() > MAX_URL {
        return Err(too_long(location.len()));
    }
    // A password in it is the server's own secret.
    let quoted = |location| quoted(&redact_userinfo_within(location));
    let mut url = current.url.join(location).map_err(|e| format!("{} is no URL ({e})", quoted(location)))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("{} is neither http nor https", quoted(location)));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(format!("{} has no host", quoted(location)));
    }
    if url.port() == Some(0) {
        return Err(format!("{} has port 0, on which nobody can listen", quoted(location)));
    }
    // Only a URL that cannot have userinfo refuses this, and such a one has no host either.
    url.set_username("").ok();
    url.set_password(None).ok();
    url.set_fragment(None);
    // Escapes make one byte three, or nine.
    if url.as_str().len() > MAX_URL {
        return Err(too_long(url.as_str().len()));
    }
    if before.len() > usize::from(limit) {
        return Err(format!("more redirects than the {limit} that `redirects` allows"));
    }
    let (method, keeps_body) = rewrite(status, current.method);
    let hop = Hop {
        same_origin: url.origin() == target.origin(),
        url: Cow::Owned(url),
        method,
        with_body: current.with_body && keeps_body,
    };
    if before.iter().any(|b| b.url == hop.url && b.method == hop.method && b.with_body == hop.with_body) {
        return Err(format!("a circle: {} was asked before", quoted(hop.url.as_str())));
    }
    Ok(hop)
}

/// RFC 9110 section 15.4.2 to 15.4.4: a POST becomes a GET as every browser does it, 303 always means GET.
fn rewrite(status: u16, method: Method) -> (Method, bool) {
    match (status, method) {
        (_, Method::Head) => (Method::Head, false),
        (303, _) | (301 | 302, Method::Post) => (Method::Get, false),
        _ => (method, true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(url: &str, method: Method) -> Hop<'static> {
        Hop { url: Cow::Owned(url.parse().unwrap()), method, with_body: true, same_origin: true }
    }

    fn go(from: &str, method: Method, status: u16, location: &str) -> Result<Hop<'static>, String> {
        let hop = first(from, method);
        next(&hop.url.clone(), &[hop], status, location, 5)
    }

    #[test]
    fn relative_locations_are_joined() {
        for (location, expected) in [
            ("next?x=1", "http://a.test/x/next?x=1"),
            ("/top", "http://a.test/top"),
            ("//b.test/y", "http://b.test/y"),
            ("?q", "http://a.test/x/y?q"),
            ("https://user:pw@a.test/#frag", "https://a.test/"),
        ] {
            assert_eq!(go("http://a.test/x/y", Method::Get, 302, location).unwrap().url.as_str(), expected);
        }
    }

    #[test]
    fn another_scheme_port_or_host_is_another_origin() {
        for (location, same) in [
            ("/z", true),
            ("http://a.test:80/z", true),
            ("https://a.test/z", false),
            ("http://a.test:81/z", false),
            ("http://b.test/z", false),
        ] {
            assert_eq!(go("http://a.test/", Method::Get, 302, location).unwrap().same_origin, same, "{location}");
        }
    }

    #[test]
    fn methods_are_rewritten_as_rfc_9110_says() {
        for (status, method, expected, body) in [
            (301, Method::Post, Method::Get, false),
            (302, Method::Post, Method::Get, false),
            (302, Method::Put, Method::Put, true),
            (303, Method::Put, Method::Get, false),
            (303, Method::Head, Method::Head, false),
            (307, Method::Post, Method::Post, true),
            (308, Method::Delete, Method::Delete, true),
        ] {
            let hop = go("http://a.test/", method, status, "/z").unwrap();
            assert_eq!((hop.method, hop.with_body), (expected, body), "{status} {method}");
        }
    }

    #[test]
    fn what_is_too_long_to_be_told_is_not_followed() {
        let long = |n: usize| format!("/{}", "x".repeat(n));
        let go = |location: &str| go("http://a.test/", Method::Get, 302, location);
        assert!(go(&long(MAX_URL - 14)).is_ok());
        assert_eq!(go(&long(MAX_URL)).unwrap_err(), "a URL of 8001 bytes, more than the 8000 that are followed");
        // Each of them is nine characters of a URL.
        let why = go(&format!("/{}", "\u{fffd}".repeat(1000))).unwrap_err();
        assert_eq!(why, "a URL of 9014 bytes, more than the 8000 that are followed");
        let why = go("ftp://ops:hunter2@a.test/").unwrap_err();
        assert!(!why.contains("hunter2") && why.contains("neither"), "{why}");
        assert!(go("http://a.test:0/").unwrap_err().contains("port 0"));
    }

    #[test]
    fn circles_limits_and_other_schemes_end_it() {
        assert!(go("http://a.test/", Method::Get, 302, "/").unwrap_err().contains("circle"));
        assert!(go("http://a.test/", Method::Get, 302, "ftp://a.test/").unwrap_err().contains("neither"));
        assert!(go("http://a.test/", Method::Get, 302, "http://").unwrap_err().contains("no URL"));
        let hops: Vec<_> = (0..3).map(|i| first(&format!("http://a.test/{i}"), Method::Get)).collect();
        assert!(next(&hops[0].url, &hops, 302, "/9", 2).unwrap_err().contains("allows"));
        assert!(next(&hops[0].url, &hops, 302, "/9", 3).is_ok());
    }
}
