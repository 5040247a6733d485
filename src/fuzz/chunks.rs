//! A chunked body: in pieces it is what it is as a whole.

use crate::probe::chunks::Chunks;

pub fn run(data: &[u8]) {
    let (size, stream) = data.split_first().map_or((1, data), |(n, rest)| (usize::from(*n) + 1, rest));
    let mut whole = Vec::new();
    let mut chunks = Chunks::default();
    let result = chunks.take(stream, |piece| whole.extend_from_slice(piece));
    if let Ok((taken, data)) = result {
        assert!(data <= taken && taken <= stream.len());
        assert_eq!(data, whole.len());
    }
    let (mut held, mut body, mut pieces) = (Vec::new(), Vec::new(), Chunks::default());
    let mut malformed = false;
    let mut all = 0;
    for piece in stream.chunks(size) {
        if pieces.done() {
            break;
        }
        held.extend_from_slice(piece);
        match pieces.take(&held, |piece| body.extend_from_slice(piece)) {
            Ok((taken, _)) => {
                all += taken;
                held.drain(..taken);
            }
            Err(_) => {
                malformed = true;
                break;
            }
        }
        // A line that is waited for is bounded, whatever else comes.
        assert!(held.len() <= 16 * 1024 + size, "{} bytes are held", held.len());
    }
    assert_eq!(malformed, result.is_err(), "in pieces of {size} bytes");
    if let Ok((taken, _)) = result {
        assert_eq!((taken, &whole, chunks.done()), (all, &body, pieces.done()));
    }
}
