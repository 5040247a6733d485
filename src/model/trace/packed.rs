//! A trace that is kept and hardly ever read: the last good one of each target.
//!
//! Steps are made to be written fast and take about a kilobyte for each probe. Ten thousand targets that each keep them
//! push everything else out of the processor's caches; a packed trace takes a seventh of that.

use serde::{Deserialize, Serialize, Serializer};

use super::{Event, Step, Trace, Unnamed};

/// Room for the trace of a plain PASS.
const USUAL: usize = 192;

/// A trace as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed(Box<[u8]>);

impl Packed {
    /// Packs a trace.
    #[must_use]
    pub fn new(trace: &Trace) -> Packed {
        // Nothing in a step can fail to be written.
        let bytes = postcard::to_extend(&Written(&trace.steps), Vec::with_capacity(USUAL)).unwrap_or_default();
        Packed(bytes.into_boxed_slice())
    }

    /// Bytes as they come, for fuzzing.
    #[cfg(any(test, feature = "fuzz"))]
    pub(crate) fn of_bytes(bytes: &[u8]) -> Packed {
        Packed(bytes.into())
    }

    /// The trace again.
    #[must_use]
    pub fn unpack(&self) -> Trace {
        let steps: Vec<ReadStep> = postcard::from_bytes(&self.0).unwrap_or_default();
        Trace { steps: steps.into_iter().map(|ReadStep(at_us, event)| Step { at_us, event }).collect() }
    }
}

struct Written<'a>(&'a [Step]);

/// Without the names that make a step readable as JSON.
#[derive(Serialize)]
struct WrittenStep<'a>(u32, #[serde(with = "Unnamed")] &'a Event);

#[derive(Deserialize)]
struct ReadStep(u32, #[serde(with = "Unnamed")] Event);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|step| WrittenStep(step.at_us, &step.event)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::reason::Reason;

    #[test]
    fn every_step_comes_back_and_a_plain_pass_is_small() {
        let address = "127.0.0.1:80".parse().unwrap();
        let mut trace = Trace::default();
        trace.push(0, Event::Request { method: "GET".into(), url: "http://127.0.0.1/health".into() });
        trace.push(20, Event::Connecting { address });
        trace.push(90, Event::Connected { address, local: Some("127.0.0.1:40000".parse().unwrap()) });
        trace.push(120, Event::Sent { bytes: 120 });
        trace.push(900, Event::FirstByte);
        trace.push(910, Event::Head { version: "HTTP/1.1".into(), status: 200 });
        trace.push(915, Event::Body { bytes: 2, framing: "length".into(), capped: false });
        trace.push(920, Event::Check { expected: "200".into(), status: 200, ok: true });
        let packed = Packed::new(&trace);
        assert_eq!(packed.unpack(), trace);
        assert!(packed.0.len() < 128, "{} bytes", packed.0.len());

        let addresses = vec!["::1".parse().unwrap(), "192.0.2.1".parse().unwrap()];
        trace.push(921, Event::Resolved { addresses, cached: true });
        trace.push(
            922,
            Event::Certificate {
                subject: "CN=a".into(),
                issuer: "CN=b".into(),
                not_after: -1,
                refused: None,
                unverified: true,
            },
        );
        trace.push(923, Event::Catalog { query: "q".into(), url: "u".into(), before: Some("b".into()) });
        trace.push(924, Event::TokenRefused);
        trace.push(925, Event::Failed { reason: Reason::Reset, description: "cut".into() });
        assert_eq!(Packed::new(&trace).unpack(), trace);
        assert_eq!(Packed::new(&Trace::default()).unpack(), Trace::default());
    }
}
