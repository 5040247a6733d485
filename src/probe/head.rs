//! Mends an answer's head before awc reads it; pure.
//!
//! awc's reader takes a 1xx for the final answer and loses the body of an HTTP/1.1 answer that ends with the
//! connection. Here interim heads are dropped, and such an answer is shown to awc as HTTP/1.0, which it reads to the
//! end. The true version and status are kept for the trace.

/// A head, or heads of interim answers together, may not be longer; awc has the same limit for one.
pub const MAX_HEAD: usize = 128 * 1024;

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

/// What is known of a complete final head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The digit behind `HTTP/1.`, as the server said.
    pub minor: u8,
    /// How its body ends, if it has one.
    pub framing: Framing,
}

/// What to do with the bytes that have come.
#[derive(Debug, PartialEq, Eq)]
pub enum Fix {
    /// Not complete: wait for more.
    More,
    /// The first so many bytes are an interim answer with this status: drop them and look again.
    Interim {
        /// Its length.
        bytes: usize,
        /// Its status.
        status: u16,
    },
    /// Pass everything on.
    Pass(Head),
    /// Not HTTP/1.x: pass on, awc will say so.
    Foreign,
}

const PREFIX: &[u8] = b"HTTP/1.";

/// Looks at `bytes`, the beginning of an answer of which the first `seen` hold no end of a head, and mends them.
pub fn fix(bytes: &mut [u8], seen: usize) -> Fix {
    let known = bytes.len().min(PREFIX.len());
    if bytes[..known] != PREFIX[..known] {
        return Fix::Foreign;
    }
    let Some(end) = end_of_head(bytes, seen) else { return Fix::More };
    let head = &mut bytes[..end];
    // `HTTP/1.1 200` is the shortest thing that awc can read.
    if head.len() < 12 || head[8] != b' ' {
        return Fix::Foreign;
    }
    let minor = head[7];
    let status = &head[9..12];
    if status[0] == b'1' && status != b"101" {
        let status = status.iter().fold(0, |n, d| n * 10 + u16::from(d.saturating_sub(b'0').min(9)));
        return Fix::Interim { bytes: end, status };
    }
    let bodyless = status == b"204" || status == b"304" || status == b"101";
    let framing = if bodyless { Framing::None } else { framing(head) };
    if framing == Framing::Close && minor == b'1' {
        head[7] = b'0';
    }
    Fix::Pass(Head { minor, framing })
}

/// Just behind the empty line; bare line feeds count, as they do for awc.
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

fn framing(head: &[u8]) -> Framing {
    let mut length = None;
    for line in head.split(|b| *b == b'\n').skip(1) {
        let Some(colon) = line.iter().position(|b| *b == b':') else { continue };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            return Framing::Chunked; // it overrides a length; awc refuses every other coding
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            let text = std::str::from_utf8(value).unwrap_or_default().trim();
            length = length.or(Some(text.parse().unwrap_or(0))); // awc refuses what is no number
        }
    }
    length.map_or(Framing::Close, Framing::Length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fixed(text: &str) -> (Fix, String) {
        let mut bytes = text.as_bytes().to_vec();
        let fix = fix(&mut bytes, 0);
        (fix, String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn an_answer_that_ends_with_the_connection_becomes_http_1_0() {
        let (fix, text) = fixed("HTTP/1.1 200 OK\r\nServer: x\r\n\r\nbody");
        assert_eq!(fix, Fix::Pass(Head { minor: b'1', framing: Framing::Close }));
        assert!(text.starts_with("HTTP/1.0 200 OK"));
    }

    #[test]
    fn framed_and_bodyless_answers_stay_as_they_are() {
        for (head, framing) in [
            ("HTTP/1.1 200 OK\r\ncontent-LENGTH: 12\r\n\r\n", Framing::Length(12)),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", Framing::Chunked),
            ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", Framing::None),
            ("HTTP/1.1 304 Not Modified\r\n\r\n", Framing::None),
            ("HTTP/1.1 101 Switching Protocols\r\n\r\n", Framing::None),
        ] {
            let (fix, text) = fixed(head);
            assert_eq!(fix, Fix::Pass(Head { minor: b'1', framing }), "{head}");
            assert_eq!(text, head);
        }
    }

    #[test]
    fn interim_answers_are_named_with_their_length() {
        let interim = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
        let (fix, _) = fixed(&format!("{interim}HTTP/1.1 200 OK\r\n\r\n"));
        assert_eq!(fix, Fix::Interim { bytes: interim.len(), status: 103 });
    }

    #[test]
    fn half_heads_wait_and_other_protocols_pass() {
        for text in ["", "H", "HTTP/1", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nA: b\r\n\r"] {
            assert_eq!(fixed(text).0, Fix::More, "{text:?}");
        }
        for text in ["SSH-2.0-x\r\n", "HTTP/2.0 200\r\n\r\n", "ICY 200 OK\r\n\r\n", "x", "HTTP/1.1\n\n"] {
            assert_eq!(fixed(text).0, Fix::Foreign, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn pieces_give_the_same_as_the_whole(cut in 0usize..60, bare in any::<bool>()) {
            let text = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nServer: x\r\n\r\nabc";
            let text = if bare { text.replace('\r', "") } else { text.to_owned() };
            let cut = cut.min(text.len());
            let mut whole = text.clone().into_bytes();
            let mut piece = text.as_bytes()[..cut].to_vec();
            let expected = fix(&mut whole, 0);
            let first = fix(&mut piece, 0);
            let result = if first == Fix::More { fix(&mut text.into_bytes(), cut) } else { first };
            prop_assert_eq!(result, expected);
        }

        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), seen in 0usize..200) {
            let mut prefixed = b"HTTP/1.1 ".to_vec();
            prefixed.extend(&bytes);
            for mut b in [bytes, prefixed] {
                let seen = seen.min(b.len());
                fix(&mut b, seen);
            }
        }
    }
}
