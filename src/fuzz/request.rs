//! URL, method, headers, host and body of a target: the request that they become is one request, and says what was
//! written. Then a redirect from there.

use std::borrow::Cow;

use super::input::Fields;
use super::judge;
use crate::model::definition::Definition;
use crate::model::target::Target;
use crate::probe::redirect::{self, Hop};
use crate::probe::request::message;

pub fn run(data: &[u8]) {
    let mut fields = Fields::of(data);
    let definition = Definition {
        name: "fuzz".into(),
        url: fields.text(),
        method: fields.option().unwrap_or_else(|| "GET".into()),
        headers: fields.option(),
        body: fields.option(),
        host: fields.option(),
        tls_server_name: fields.option(),
        tags: fields.option(),
        parent: fields.option(),
        ..Definition::default()
    };
    let (status, location) = (fields.number(), fields.text());
    let target = match definition.validate() {
        Ok(target) => target,
        Err(problems) => return judge::problems(&problems),
    };
    judge::line(target.url.as_str());
    if target.catalog.is_some() {
        return;
    }
    assert!(matches!(target.url.scheme(), "http" | "https") && target.url.host_str().is_some_and(|h| !h.is_empty()));
    assert!(target.url.username().is_empty() && target.url.password().is_none() && target.url.fragment().is_none());
    let first = Hop { url: Cow::Borrowed(&target.url), method: target.method, with_body: true, same_origin: true };
    one_request(&target, &first);
    let status = u16::try_from(status).unwrap_or(302);
    match redirect::next(&target.url, std::slice::from_ref(&first), status, &location, 5) {
        Ok(hop) => {
            assert!(matches!(hop.url.scheme(), "http" | "https") && hop.url.host_str().is_some_and(|h| !h.is_empty()));
            assert!(hop.url.username().is_empty() && hop.url.password().is_none() && hop.url.fragment().is_none());
            judge::line(hop.url.as_str());
            assert!(hop.url.as_str().len() <= target.url.as_str().len() + 9 * location.len() + 16);
            assert_eq!(hop.same_origin, hop.url.origin() == target.url.origin());
            one_request(&target, &hop);
        }
        Err(message) => judge::sentence(&message, judge::MOST),
    }
}

/// The request that a hop sends, read by another eye.
fn one_request(target: &Target, hop: &Hop<'_>) {
    let sent = message(target, hop, None, "skypunch", true);
    let mut headers = [httparse::EMPTY_HEADER; 4096];
    let mut read = httparse::Request::new(&mut headers);
    let Ok(httparse::Status::Complete(end)) = read.parse(&sent) else {
        panic!("no request: {:?}", String::from_utf8_lossy(&sent));
    };
    assert_eq!(read.method, Some(hop.method.as_str()));
    assert_eq!(read.version, Some(1));
    assert!(read.path.is_some_and(|p| p.starts_with('/')), "{:?}", read.path);
    let body = target.body.as_deref().filter(|_| hop.with_body).unwrap_or_default();
    assert_eq!(&sent[end..], body.as_bytes());
    let count = |name: &str| read.headers.iter().filter(|h| h.name.eq_ignore_ascii_case(name)).count();
    assert_eq!((count("host"), count("connection"), count("transfer-encoding")), (1, 1, 0));
    assert!(count("content-length") <= 1 && (body.is_empty() || count("content-length") == 1));
    let own = ["host", "connection", "content-length", "user-agent", "accept"];
    for header in read.headers.iter().filter(|h| !own.iter().any(|o| h.name.eq_ignore_ascii_case(o))) {
        let value = String::from_utf8_lossy(header.value);
        assert!(target.headers.iter().any(|(n, v)| n == header.name && v.trim() == value.trim()), "{}", header.name);
    }
}
