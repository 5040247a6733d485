//! Heads of answers, as they come from a network: whole, and in pieces.

use super::judge;
use crate::probe::head::{Framing, Look, headers, look};

pub fn run(data: &[u8]) {
    let (pieces, answer) = data.split_first().map_or((1, data), |(n, rest)| (usize::from(*n) + 1, rest));
    let whole = look(answer, 0);
    // In pieces of some bytes, as the wire is read: where the head is not complete, what was seen is not looked at again.
    let mut seen = 0;
    let mut piecewise = Look::More;
    for end in (0..answer.len()).step_by(pieces).chain([answer.len()]) {
        piecewise = look(&answer[..end], seen);
        if piecewise != Look::More {
            break;
        }
        seen = end;
    }
    assert_eq!(piecewise, whole, "in pieces of {pieces} bytes");
    match whole {
        Look::More | Look::Foreign => {}
        Look::Interim { bytes, status } => {
            assert!(bytes <= answer.len() && (100..200).contains(&status) && status != 101);
        }
        Look::Bad(what) => judge::sentence(what, 100),
        Look::Final(head, end) => {
            assert!(end <= answer.len());
            assert!((100..=999).contains(&head.status), "{}", head.status);
            if let Framing::Length(_) | Framing::Chunked = head.framing {
                assert!(!matches!(head.status, 101 | 204 | 304));
            }
            if let Some(id) = &head.request_id {
                judge::sentence(id, 100);
            }
            assert!(head.location.as_ref().is_none_or(|l| l.len() < end));
            let named = headers(&answer[..end]);
            assert!(named.len() <= 96);
            assert!(named.iter().map(|(n, v)| n.len() + v.len()).sum::<usize>() <= 3 * end);
            for (name, _) in named {
                assert!(!name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic()), "{name:?}");
            }
        }
    }
}
