//! Traces: as JSON, as the database keeps them; packed, as memory keeps them; and what a person sees of them.

use super::input::text_of;
use super::judge;
use crate::model::text::is_hidden;
use crate::model::trace::Trace;
use crate::model::trace::packed::Packed;
use crate::model::trace_diff::differences;

pub fn run(data: &[u8]) {
    let (first, rest) = data.split_first().unwrap_or((&b'p', &[]));
    if *first == b'p' {
        shown(&Packed::of_bytes(rest).unpack(), rest.len());
        return;
    }
    let text = text_of(data);
    let mut traces = text.splitn(2, '\n').filter_map(|json| serde_json::from_str::<Trace>(json).ok());
    let Some(trace) = traces.next() else { return };
    shown(&trace, text.len());
    if let Ok(json) = serde_json::to_string(&trace) {
        assert_eq!(serde_json::from_str::<Trace>(&json).ok().as_ref(), Some(&trace));
    }
    assert_eq!(Packed::new(&trace).unpack(), trace);
    let other = traces.next().unwrap_or_default();
    for difference in differences(&other, &trace).into_iter().chain(differences(&trace, &other)) {
        judge::line(&difference.what);
        judge::line(&difference.before);
        judge::line(&difference.after);
        assert!(difference.before != difference.after);
    }
}

fn shown(trace: &Trace, input: usize) {
    let lines = trace.lines();
    assert_eq!(lines.len(), trace.steps.len());
    let mut all = 0;
    for line in lines {
        assert!(!line.chars().any(is_hidden), "{line:?}");
        all += line.len();
    }
    // An escape is at most ten times what it stands for, an address and the words around it are short.
    assert!(all <= 256 * trace.steps.len() + 40 * input, "{all} bytes of {input}");
}
