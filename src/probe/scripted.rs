//! A prober that does what a test tells it: the double of [`super::HttpProber`].

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use crate::model::outcome::Outcome;
use crate::model::reason::Reason;
use crate::model::target::Target;
use crate::model::time::micros;
use crate::model::trace::{Event, Step, Trace};

/// What one probe is to do.
#[derive(Debug, Clone)]
pub enum Script {
    /// To take some time and find this.
    Answer {
        /// How long it takes; becomes the latency where the outcome has none.
        after: Duration,
        /// What it finds.
        outcome: Outcome,
    },
    /// To hang until the target's deadline.
    Hang,
    /// To panic, for tests of supervision.
    Panic,
}

/// Asks a function what each probe is to do.
#[derive(Clone)]
pub struct ScriptedProber(Rc<dyn Fn(&Target) -> Script>);

impl fmt::Debug for ScriptedProber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScriptedProber")
    }
}

impl ScriptedProber {
    /// A prober that follows `script`.
    pub fn new(script: impl Fn(&Target) -> Script + 'static) -> ScriptedProber {
        ScriptedProber(Rc::new(script))
    }

    /// Does what the script says.
    ///
    /// # Panics
    /// When the script says so.
    pub async fn probe(&self, target: &Target, live: Option<UnboundedSender<Step>>) -> (Outcome, Trace) {
        let mut trace = Trace::default();
        let mut step = |at: Duration, event| {
            trace.push(u32::try_from(micros(at)).unwrap_or(u32::MAX), event);
            if let (Some(live), Some(step)) = (&live, trace.steps.last()) {
                // The listener may have gone.
                drop(live.send(step.clone()));
            }
        };
        step(
            Duration::ZERO,
            Event::Request { method: target.method.as_str().into(), url: target.url.as_str().to_owned() },
        );
        let (after, mut outcome) = match (self.0)(target) {
            Script::Answer { after, outcome } => (after, outcome),
            Script::Hang => {
                (target.timeout, Outcome::not_passed(Reason::TimeoutFirstByte, "it hangs, as the script says"))
            }
            Script::Panic => panic!("the script of target {} says so", target.id),
        };
        if !after.is_zero() {
            tokio::time::sleep(after).await;
        }
        if outcome.latency_us == 0 {
            outcome.latency_us = u32::try_from(micros(after)).unwrap_or(u32::MAX);
        }
        match (outcome.reason, outcome.status_code) {
            (Some(reason), _) => {
                step(after, Event::Failed { reason, description: outcome.description.clone().into_owned() });
            }
            (None, Some(status)) => {
                step(after, Event::Check { expected: target.expect.text(), status, ok: true });
            }
            (None, None) => {}
        }
        (outcome, trace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::definition::Definition;
    use crate::model::reason::Reason;

    fn target() -> Target {
        let written = Definition { name: "t".into(), url: "http://a.test/".into(), ..Definition::default() };
        let mut target = written.validate().unwrap();
        target.timeout = Duration::from_millis(20);
        target
    }

    fn run(script: Script) -> (Outcome, Trace) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async { ScriptedProber::new(move |_| script.clone()).probe(&target(), None).await })
    }

    #[test]
    fn does_what_the_script_says() {
        let after = Duration::from_millis(3);
        let (outcome, trace) = run(Script::Answer { after, outcome: Outcome::pass(200, "OK") });
        assert_eq!((outcome.reason, outcome.latency_us), (None, 3000));
        assert!(matches!(trace.steps.last().unwrap().event, Event::Check { ok: true, .. }));
        let (outcome, _) = run(Script::Hang);
        assert_eq!((outcome.reason, outcome.latency_us), (Some(Reason::TimeoutFirstByte), 20_000));
    }

    #[test]
    #[should_panic(expected = "says so")]
    fn panics_when_the_script_says_so() {
        run(Script::Panic);
    }
}
