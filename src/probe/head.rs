//! Reads an answer's head; pure. Parsing is httparse's, what the parts mean for a body is RFC 9112 section 6.3.
//!
//! ```text
//!  bytes so far --look--> More | Interim (drop it, look again) | Final | Foreign | Bad
//! ```

use super::redirect;

/// A head, or heads of interim answers together, may not be longer.
pub const MAX_HEAD: usize = 128 * 1024;

/// More headers than any server sends in good faith.
const MAX_HEADERS: usize = 96;

/// How the body's end is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Framing {
    /// There is none by its status or method.
    #[default]
    None,
    /// `Content-Length`.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// Ends with the connection.
    Close,
}

impl Framing {
    /// The word for it in a trace.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Framing::None => "none",
            Framing::Length(_) => "length",
            Framing::Chunked => "chunked",
            Framing::Close => "close",
        }
    }
}

/// A complete final head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// `HTTP/1.0` or `HTTP/1.1`.
    pub version: &'static str,
    /// The status code.
    pub status: u16,
    /// How its body ends, if it has one.
    pub framing: Framing,
    /// The connection goes on after this answer: HTTP/1.1, without `Connection: close`, its framing beyond doubt.
    pub persistent: bool,
    /// Where a redirect leads to.
    pub location: Option<Vec<u8>>,
    /// What an OpenStack service calls this request in its logs.
    pub request_id: Option<String>,
}

/// What the bytes that have come hold.
#[derive(Debug, PartialEq, Eq)]
pub enum Look {
    /// Not complete: wait for more.
    More,
    /// The first so many bytes are an interim answer with this status: drop them and look again.
    Interim {
        /// Its length.
        bytes: usize,
        /// Its status.
        status: u16,
    },
    /// The first so many bytes are the head.
    Final(Head, usize),
    /// Not HTTP/1.x.
    Foreign,
    /// HTTP/1.x, but not as it should be: what is wrong, with no word of the server's own.
    Bad(&'static str),
}

const PREFIX: &[u8] = b"HTTP/1.";
const BAD_HEADER: &str = "a header in it is malformed or contradicts another";

/// Looks at `bytes`, the beginning of an answer of which the first `seen` hold no end of a head.
#[must_use]
pub fn look(bytes: &[u8], seen: usize) -> Look {
    let known = bytes.len().min(PREFIX.len());
    if bytes[..known] != PREFIX[..known] {
        return Look::Foreign;
    }
    let Some(end) = end_of_head(bytes, seen) else { return Look::More };
    if end < 12 || bytes[8] != b' ' {
        return Look::Foreign; // `HTTP/1.1 200` is the shortest thing that says something
    }
    let mut headers = [const { std::mem::MaybeUninit::uninit() }; MAX_HEADERS];
    let mut parsed = httparse::Response::new(&mut []);
    let result =
        httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, &bytes[..end], &mut headers);
    match result {
        Ok(httparse::Status::Complete(_)) => {}
        // The head has its end, so what is missing is missing.
        Ok(httparse::Status::Partial) => return Look::Bad("its status line is malformed"),
        Err(httparse::Error::Version) => return Look::Bad("its version is not HTTP/1.x"),
        Err(httparse::Error::Status) => return Look::Bad("its status line is malformed"),
        Err(httparse::Error::TooManyHeaders) => return Look::Bad("it has more than 96 headers"),
        Err(_) => return Look::Bad(BAD_HEADER),
    }
    let (Some(status), Some(minor)) = (parsed.code, parsed.version) else {
        return Look::Bad("its status line is malformed");
    };
    if status < 100 {
        return Look::Bad("its status code is below 100");
    }
    if (100..200).contains(&status) && status != 101 {
        return Look::Interim { bytes: end, status };
    }
    let Some(framing) = framing(status, minor, parsed.headers) else { return Look::Bad(BAD_HEADER) };
    let location = redirect::is_redirect(status)
        .then(|| parsed.headers.iter().find(|h| h.name.eq_ignore_ascii_case("location")).map(|h| h.value.to_vec()));
    let version = if minor == 0 { "HTTP/1.0" } else { "HTTP/1.1" };
    let request_id = request_id(parsed.headers);
    let persistent = minor == 1 && status != 101 && persistent(parsed.headers);
    Look::Final(Head { version, status, framing, persistent, location: location.flatten(), request_id }, end)
}

/// Whether no header says that the connection ends (RFC 9112 section 9.3), and not two how the body does (section 6.3).
fn persistent(headers: &[httparse::Header<'_>]) -> bool {
    let (mut length, mut coding) = (false, false);
    for header in headers {
        // By length first: this runs for each header of each probe.
        match header.name.len() {
            10 if header.name.eq_ignore_ascii_case("connection") => {
                let mut options = header.value.split(|b| *b == b',').map(<[u8]>::trim_ascii);
                if options.any(|o| o.eq_ignore_ascii_case(b"close") || o.eq_ignore_ascii_case(b"upgrade")) {
                    return false;
                }
            }
            14 => length |= header.name.eq_ignore_ascii_case("content-length"),
            17 => coding |= header.name.eq_ignore_ascii_case("transfer-encoding"),
            _ => {}
        }
    }
    !(length && coding)
}

/// The longest id that is taken for one.
const MAX_ID: usize = 100;

/// The id that the first `X-Openstack-Request-Id` or `x-compute-request-id` gives, if it looks like one.
fn request_id(headers: &[httparse::Header<'_>]) -> Option<String> {
    let named = headers.iter().find(|h| match h.name.len() {
        22 => h.name.eq_ignore_ascii_case("x-openstack-request-id"),
        20 => h.name.eq_ignore_ascii_case("x-compute-request-id"),
        _ => false,
    })?;
    let id = std::str::from_utf8(named.value).ok()?.trim();
    let is_id = (1..=MAX_ID).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    is_id.then(|| id.to_owned())
}

/// The headers of a head that [`look`] took for a final one, as they came; bytes that are not UTF-8 are replaced.
#[must_use]
pub fn headers(head: &[u8]) -> Vec<(String, String)> {
    let mut headers = [const { std::mem::MaybeUninit::uninit() }; MAX_HEADERS];
    let mut parsed = httparse::Response::new(&mut []);
    let result = httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, head, &mut headers);
    if result.is_err() {
        return Vec::new();
    }
    let text = |value| String::from_utf8_lossy(value).trim().to_owned();
    parsed.headers.iter().map(|h| (h.name.to_owned(), text(h.value))).collect()
}

/// Just behind the empty line; bare line feeds count (RFC 9112 section 2.2).
fn end_of_head(bytes: &[u8], seen: usize) -> Option<usize> {
    // The end may straddle what was seen: step back over a `\n\r`.
    let mut at = seen.saturating_sub(2);
    while let Some(found) = bytes[at..].iter().position(|b| *b == b'\n') {
        let next = at + found + 1;
        match bytes[next..] {
            [b'\n', ..] => return Some(next + 1),
            [b'\r', b'\n', ..] => return Some(next + 2),
            _ => at = next,
        }
    }
    None
}

/// How the body ends (RFC 9112 section 6.3); `None` when the headers contradict each other or say nothing clear.
fn framing(status: u16, minor: u8, headers: &[httparse::Header<'_>]) -> Option<Framing> {
    let (mut length, mut coding) = (None, None);
    for header in headers {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        let text = || std::str::from_utf8(header.value).ok().map(str::trim);
        if is("content-length") {
            let text = text().filter(|t| t.bytes().all(|b| b.is_ascii_digit()))?;
            if length.replace(text.parse::<u64>().ok()?).is_some() {
                return None;
            }
        } else if is("transfer-encoding") && coding.replace(text()?).is_some() {
            return None;
        }
    }
    let body = match coding {
        Some(coding) if minor == 1 && coding.eq_ignore_ascii_case("chunked") => Framing::Chunked, // overrides a length
        Some(coding) if minor == 1 && coding.eq_ignore_ascii_case("identity") => {
            length.map_or(Framing::Close, Framing::Length)
        }
        Some(_) => return None,
        None => length.map_or(Framing::Close, Framing::Length),
    };
    Some(if matches!(status, 101 | 204 | 304) { Framing::None } else { body })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seen(text: &str) -> Look {
        look(text.as_bytes(), 0)
    }

    fn framing_of(text: &str) -> Option<Framing> {
        match seen(text) {
            Look::Final(head, n) => {
                assert_eq!(n, text.find("\r\n\r\n").unwrap() + 4);
                Some(head.framing)
            }
            Look::Bad(_) => None,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn the_body_ends_as_the_rfc_says() {
        for (head, framing) in [
            ("HTTP/1.1 200 OK\r\nServer: x\r\n\r\nbody", Framing::Close),
            ("HTTP/1.0 200 OK\r\nServer: x\r\n\r\nbody", Framing::Close),
            ("HTTP/1.1 200 OK\r\ncontent-LENGTH: 12\r\n\r\n", Framing::Length(12)),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", Framing::Chunked),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 1\r\n\r\n", Framing::Length(1)),
            ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", Framing::None),
            ("HTTP/1.1 304 Not Modified\r\n\r\n", Framing::None),
            ("HTTP/1.1 101 Switching Protocols\r\n\r\n", Framing::None),
        ] {
            assert_eq!(framing_of(head), Some(framing), "{head}");
        }
    }

    #[test]
    fn headers_that_contradict_each_other_are_bad() {
        for headers in [
            "Content-Length: 1\r\nContent-Length: 2",
            "Content-Length: +1",
            "Content-Length: one",
            "Content-Length: ",
            "Content-Length: 99999999999999999999999",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Bad Name: x",
            "X: a\0b",
        ] {
            let look = seen(&format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n"));
            assert_eq!(look, Look::Bad(BAD_HEADER), "{headers}");
        }
        assert_eq!(framing_of("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), None);
        assert_eq!(seen("HTTP/1.7 200 OK\r\n\r\n"), Look::Bad("its version is not HTTP/1.x"));
        assert_eq!(seen("HTTP/1.1 2x0 OK\r\n\r\n"), Look::Bad("its status line is malformed"));
        let many = "A: b\r\n".repeat(97);
        assert_eq!(seen(&format!("HTTP/1.1 200 OK\r\n{many}\r\n")), Look::Bad("it has more than 96 headers"));
    }

    #[test]
    fn a_connection_goes_on_where_nothing_says_otherwise() {
        for (head, goes_on) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 1", true),
            ("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1", true),
            ("HTTP/1.1 204 No Content\r\nServer: x", true),
            ("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1", false),
            ("HTTP/1.1 200 OK\r\ncONNECTION: Close", false),
            ("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nConnection: x ,\tclose", false),
            ("HTTP/1.1 200 OK\r\nConnection: upgrade\r\nUpgrade: h2c", false),
            ("HTTP/1.1 200 OK\r\nConnection: closed\r\nContent-Length: 1", true),
            ("HTTP/1.1 101 Switching Protocols\r\nServer: x", false),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1", false),
        ] {
            let Look::Final(head, _) = seen(&format!("{head}\r\n\r\n")) else { panic!("{head}") };
            assert_eq!(head.persistent, goes_on, "{head:?}");
        }
    }

    #[test]
    fn only_a_redirect_leads_somewhere() {
        for (status, location) in [(302, Some(b"/x".to_vec())), (200, None)] {
            let Look::Final(head, _) = seen(&format!("HTTP/1.1 {status}\r\nlocation: /x\r\n\r\n")) else { panic!() };
            assert_eq!((head.status, head.location), (status, location));
        }
    }

    #[test]
    fn a_request_id_is_taken_where_it_looks_like_one() {
        let id_of = |headers: &str| match seen(&format!("HTTP/1.1 200 OK\r\nServer: x\r\n{headers}\r\n\r\n")) {
            Look::Final(head, _) => head.request_id,
            other => panic!("{headers}: {other:?}"),
        };
        let id = "req-59dfb4ea-9c45-4d5a-93f0-8d5e6c1c2b3a";
        for name in ["X-Openstack-Request-Id", "x-openstack-request-id", "X-COMPUTE-REQUEST-ID"] {
            assert_eq!(id_of(&format!("{name}: {id}")).as_deref(), Some(id), "{name}");
        }
        let (long, most) = ("a".repeat(101), "a".repeat(100));
        assert_eq!(id_of(&format!("x-compute-request-id: {most}")), Some(most));
        for value in ["", "a b", "a\tb", "<b>", "\u{fc}", &long] {
            assert_eq!(id_of(&format!("x-openstack-request-id: {value}")), None, "{value}");
        }
        assert_eq!(id_of("x-openstack-request-id2: a\r\nx-request-id: b"), None);
    }

    #[test]
    fn headers_are_given_as_they_came() {
        let text = "HTTP/1.1 201 CREATED\r\nX-Subject-Token: abc \r\nVary: X-Auth-Token\r\nEmpty:\r\n\r\n";
        let expected = [("X-Subject-Token", "abc"), ("Vary", "X-Auth-Token"), ("Empty", "")];
        assert_eq!(headers(text.as_bytes()), expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
        assert_eq!(headers(b"HTTP/1.1 200 OK\r\n\r\n"), []);
    }

    #[test]
    fn interim_answers_are_named_with_their_length() {
        let interim = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
        let look = seen(&format!("{interim}HTTP/1.1 200 OK\r\n\r\n"));
        assert_eq!(look, Look::Interim { bytes: interim.len(), status: 103 });
    }

    #[test]
    fn half_heads_wait_and_other_protocols_are_foreign() {
        for text in ["", "H", "HTTP/1", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nA: b\r\n\r"] {
            assert_eq!(seen(text), Look::More, "{text:?}");
        }
        for text in ["SSH-2.0-x\r\n", "HTTP/2.0 200\r\n\r\n", "ICY 200 OK\r\n\r\n", "x", "HTTP/1.1\n\n"] {
            assert_eq!(seen(text), Look::Foreign, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn pieces_give_the_same_as_the_whole(cut in 0usize..60, bare in any::<bool>()) {
            let text = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nServer: x\r\n\r\nabc";
            let text = if bare { text.replace('\r', "") } else { text.to_owned() };
            let cut = cut.min(text.len());
            let first = look(&text.as_bytes()[..cut], 0);
            let result = if first == Look::More { look(text.as_bytes(), cut) } else { first };
            prop_assert_eq!(result, seen(&text));
        }

        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), seen in 0usize..200) {
            let mut prefixed = b"HTTP/1.1 ".to_vec();
            prefixed.extend(&bytes);
            let mut whole = b"HTTP/1.1 200 OK\r\n".to_vec();
            whole.extend(&bytes);
            whole.extend(b"\r\n\r\n");
            for b in [bytes, prefixed, whole] {
                let _look = look(&b, seen.min(b.len()));
            }
        }
    }
}
