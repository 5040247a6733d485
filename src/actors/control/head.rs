//! The head of a request, before the routes' parser has it: that refuses one without a word.

use actix_web::http::{Method, Uri};
use httparse::{EMPTY_HEADER, Request, Status};

/// As many headers as the routes' parser takes; it has no setting for that.
const MOST_HEADERS: usize = 96;

/// As much of it as has come.
#[derive(Debug, Default)]
pub struct Head(Vec<u8>);

/// What is known of a head.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// It goes on.
    Part,
    /// It has ended.
    Whole,
    /// It is longer than it may be.
    TooLong,
    /// It is none; the status to answer, and why.
    Wrong(u16, String),
}

impl Head {
    /// As many bytes have come.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// More of it has come, or all; it may be so long.
    pub fn take(&mut self, fresh: &[u8], most: usize) -> Read {
        self.0.extend_from_slice(fresh);
        let mut headers = [EMPTY_HEADER; MOST_HEADERS];
        let mut request = Request::new(&mut headers);
        let why = match request.parse(&self.0) {
            Ok(Status::Partial) if self.0.len() > most => return Read::TooLong,
            Ok(Status::Partial) => return Read::Part,
            Ok(Status::Complete(length)) if length > most => return Read::TooLong,
            Ok(Status::Complete(_)) => match mistake(&request) {
                None => {
                    self.0 = Vec::new();
                    return Read::Whole;
                }
                Some(why) => why,
            },
            Err(httparse::Error::TooManyHeaders) => {
                return Read::Wrong(431, format!("the request has more than {MOST_HEADERS} headers"));
            }
            Err(httparse::Error::Version) => "it is not in HTTP/1.1, which is what this socket speaks",
            Err(e) => form(e),
        };
        Read::Wrong(400, format!("the head of the request cannot be read: {why}"))
    }
}

/// What the form is not.
fn form(error: httparse::Error) -> &'static str {
    match error {
        httparse::Error::HeaderName => "a name of a header is none",
        httparse::Error::HeaderValue => "a value of a header has control characters",
        httparse::Error::NewLine => "a line does not end as lines do",
        _ => "its first line is not METHOD /PATH HTTP/1.1",
    }
}

/// What a head in the right form may not say (RFC 9110 section 7.2, RFC 9112 sections 3 and 6): all that the routes' parser
/// refuses.
fn mistake(request: &Request<'_, '_>) -> Option<&'static str> {
    let values = |name: &str| -> Vec<&[u8]> {
        request.headers.iter().filter(|h| h.name.eq_ignore_ascii_case(name)).map(|h| h.value.trim_ascii()).collect()
    };
    let is_number = |value: &[u8]| {
        value.iter().all(u8::is_ascii_digit) && str::from_utf8(value).is_ok_and(|text| text.parse::<u64>().is_ok())
    };
    let (hosts, lengths, codings) = (values("host"), values("content-length"), values("transfer-encoding"));
    let newest = request.version == Some(1);
    if request.method.is_none_or(|method| Method::from_bytes(method.as_bytes()).is_err()) {
        Some("its method is none")
    } else if request.path.is_none_or(|path| Uri::try_from(path).is_err()) {
        Some("what it asks for is no path")
    } else if hosts.len() > 1 || (newest && hosts.is_empty()) {
        Some("it must have one Host header")
    } else if lengths.len() > 1 || !lengths.iter().all(|length| is_number(length)) {
        Some("Content-Length may be there once, and is a number")
    } else if codings.len() > 1 || !codings.iter().all(|coding| newest && coding.eq_ignore_ascii_case(b"chunked")) {
        Some("Transfer-Encoding may be there once, and is chunked")
    } else if !codings.is_empty() && !lengths.is_empty() {
        Some("it may have Content-Length or Transfer-Encoding, not both")
    } else if !newest && request.method == Some("POST") && lengths.is_empty() {
        Some("a POST in HTTP/1.0 needs Content-Length")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 4096;

    #[test]
    fn a_head_ends_at_its_empty_line_however_it_is_cut() {
        let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody";
        let end = request.len() - 4;
        for cut in 0..request.len() {
            let mut head = Head::default();
            let (first, rest) = request.split_at(cut);
            let read = head.take(first, MOST);
            assert_eq!(read, if cut >= end { Read::Whole } else { Read::Part }, "{cut}");
            assert!(read == Read::Whole || (head.len() == cut && head.take(rest, MOST) == Read::Whole));
        }
        assert_eq!(Head::default().take(b"GET / HTTP/1.1\nHost: a\n\n", MOST), Read::Whole, "bare line breaks");
        assert_eq!(Head::default().take(b"\r\n\r\n\r\n", MOST), Read::Part, "empty lines before it are no end");
    }

    #[test]
    fn a_head_is_as_long_as_it_may_be() {
        let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody";
        assert_eq!(Head::default().take(request, request.len() - 4), Read::Whole);
        assert_eq!(Head::default().take(request, request.len() - 5), Read::TooLong);
        assert_eq!(Head::default().take(&request[..20], 19), Read::TooLong);
        assert_eq!(Head::default().take(&request[..20], 20), Read::Part);
    }

    #[test]
    fn what_is_no_head_is_told() {
        let wrong = |sent: &str| match Head::default().take(sent.as_bytes(), MOST) {
            Read::Wrong(status, why) => (status, why),
            read => panic!("{read:?}: {sent}"),
        };
        let headers = |n: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(n - 1));
        assert_eq!(Head::default().take(headers(MOST_HEADERS).as_bytes(), MOST), Read::Whole);
        let (status, why) = wrong(&headers(MOST_HEADERS + 1));
        assert!(status == 431 && why.contains("more than 96 headers"), "{why}");
        for (sent, word) in [
            ("\x16\x03\x01", "first line"),
            ("G\"T / HTTP/1.1\r\n", "first line"),
            ("PRI * HTTP/2.0\r\n\r\n", "HTTP/1.1"),
            ("GET / HTTP/1.1\r\nA b: c\r\n", "name of a header"),
            ("GET / HTTP/1.1\r\nA: \x01\r\n", "value of a header"),
            ("GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n", "no path"),
            ("GET / HTTP/1.1\r\n\r\n", "Host"),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "Host"),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", "Content-Length"),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", "Content-Length"),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", "Transfer-Encoding"),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "not both"),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", "Content-Length"),
            ("POST / HTTP/1.0\r\n\r\n", "Content-Length"),
            ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "Transfer-Encoding"),
        ] {
            let (status, why) = wrong(sent);
            assert!(status == 400 && why.contains(word), "{sent:?}: {why}");
        }
    }
}
