//! A chunked body (RFC 9112 section 7.1), piece by piece; pure.

use httparse::Status;

/// A chunk's size with its extensions, or one trailer line, may not be longer.
const MAX_LINE: usize = 16 * 1024;

/// Where a chunked body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    /// Before a chunk's size.
    #[default]
    Size,
    /// In a chunk that has so many bytes left.
    Data(u64),
    /// Before the line end behind a chunk.
    DataEnd,
    /// Behind the last chunk.
    Trailers,
    /// At the end.
    Done,
}

/// What is wrong with a chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

const WRONG: Malformed = Malformed("a chunk's size or end is malformed");
const TOO_LONG: Malformed = Malformed("a chunk's size with its extensions, or a trailer, is longer than 16 KiB");

/// Reads a chunked body.
#[derive(Debug, Default)]
pub struct Chunks {
    place: Place,
}

impl Chunks {
    /// The body has ended.
    #[must_use]
    pub fn done(&self) -> bool {
        self.place == Place::Done
    }

    /// Takes what it can of `bytes`: how many of them, and how many of those are the body's own, which `sink` gets.
    ///
    /// # Errors
    /// When they cannot go on as they begin.
    pub fn take(&mut self, bytes: &[u8], mut sink: impl FnMut(&[u8])) -> Result<(usize, usize), Malformed> {
        let (mut at, mut data) = (0, 0);
        loop {
            let rest = &bytes[at..];
            let (taken, next) = match self.place {
                Place::Size => match httparse::parse_chunk_size(rest).map_err(|_| WRONG)? {
                    // However the bytes are cut into pieces, the same lines are too long.
                    Status::Complete((n, _)) if n > MAX_LINE + 1 => return Err(TOO_LONG),
                    Status::Complete((n, 0)) => (n, Place::Trailers),
                    Status::Complete((n, size)) => (n, Place::Data(size)),
                    Status::Partial if rest.len() > MAX_LINE => return Err(TOO_LONG),
                    Status::Partial => return Ok((at, data)),
                },
                Place::Data(0) => (0, Place::DataEnd),
                Place::Data(_) if rest.is_empty() => return Ok((at, data)),
                Place::Data(left) => {
                    let n = usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()));
                    data += n;
                    sink(&rest[..n]);
                    (n, Place::Data(left - n as u64))
                }
                Place::DataEnd => match rest {
                    [b'\r', b'\n', ..] => (2, Place::Size),
                    [] | [b'\r'] => return Ok((at, data)),
                    _ => return Err(WRONG),
                },
                Place::Trailers => match rest.iter().position(|b| *b == b'\n') {
                    Some(end) if end > MAX_LINE => return Err(TOO_LONG),
                    Some(end) if matches!(rest[..end], [] | [b'\r']) => (end + 1, Place::Done),
                    Some(end) => (end + 1, Place::Trailers),
                    None if rest.len() > MAX_LINE => return Err(TOO_LONG),
                    None => return Ok((at, data)),
                },
                Place::Done => return Ok((at, data)),
            };
            at += taken;
            self.place = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BODY: &[u8] = b"4\r\nWiki\r\n6;name=value\r\npedia \r\n0\r\nExpires: x\r\n\r\nnext";

    #[test]
    fn a_body_with_extensions_and_trailers_is_read_to_its_end() {
        let mut chunks = Chunks::default();
        assert_eq!(chunks.take(BODY, |_| {}), Ok((BODY.len() - 4, 10)));
        assert!(chunks.done());
    }

    #[test]
    fn what_is_no_chunk_is_malformed() {
        for body in ["x\r\n", "4\r\nWikipedia", "-1\r\n", "fffffffffffffffff\r\n", "4\nWiki"] {
            assert_eq!(Chunks::default().take(body.as_bytes(), |_| {}), Err(WRONG), "{body:?}");
        }
        let long = format!("1;{}", "x".repeat(MAX_LINE));
        assert_eq!(Chunks::default().take(long.as_bytes(), |_| {}), Err(TOO_LONG));
        let trailer = format!("0\r\n{}", "x".repeat(MAX_LINE + 1));
        assert_eq!(Chunks::default().take(trailer.as_bytes(), |_| {}), Err(TOO_LONG));
    }

    proptest! {
        #[test]
        fn pieces_give_the_same_as_the_whole(cuts in proptest::collection::vec(1usize..9, 1..60)) {
            let (mut chunks, mut held, mut rest, mut body) = (Chunks::default(), Vec::new(), BODY, Vec::new());
            for cut in cuts.into_iter().chain([BODY.len()]) {
                let (piece, behind) = rest.split_at(cut.min(rest.len()));
                held.extend_from_slice(piece);
                rest = behind;
                let before = body.len();
                let (taken, data) = chunks.take(&held, |piece| body.extend_from_slice(piece)).unwrap();
                held.drain(..taken);
                prop_assert_eq!(body.len() - before, data);
            }
            prop_assert!(chunks.done());
            prop_assert_eq!((body.as_slice(), held.as_slice()), (&b"Wikipedia "[..], &b"next"[..]));
        }

        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut chunks = Chunks::default();
            if let Ok((taken, data)) = chunks.take(&bytes, |_| {}) {
                prop_assert!(data <= taken && taken <= bytes.len());
            }
        }
    }
}
