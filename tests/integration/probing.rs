//! Runs the real prober from a test.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use skypunch::clock::Clock;
use skypunch::model::definition::Definition;
use skypunch::model::outcome::Outcome;
use skypunch::model::reason::{Reason, Verdict};
use skypunch::model::target::Target;
use skypunch::model::trace::{Event, Trace};
use skypunch::probe::{HttpProber, ProbeSettings};
use skypunch::secret::SecretPolicy;

/// A definition for `url` with everything else at its default.
pub fn definition(url: &str) -> Definition {
    Definition { name: "t".into(), url: url.into(), ..Definition::default() }
}

/// The checked target of a definition.
pub fn target(definition: &Definition) -> Target {
    definition.validate().unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// Probes a definition once.
pub fn probe(definition: &Definition) -> Found {
    probe_target(&target(definition), ProbeSettings::default())
}

/// Probes `url` once with a timeout.
pub fn probe_url(url: &str, timeout: Duration) -> Found {
    let mut target = target(&definition(url));
    target.timeout = timeout;
    probe_target(&target, ProbeSettings::default())
}

/// Probes a target once with settings.
pub fn probe_target(target: &Target, settings: ProbeSettings) -> Found {
    probe_times(target, settings, 1).remove(0)
}

/// Probes a target several times in a row with one prober.
pub fn probe_times(target: &Target, settings: ProbeSettings, times: usize) -> Vec<Found> {
    actix_rt::System::new().block_on(async {
        let prober = Rc::new(HttpProber::new(settings, SecretPolicy::default(), Clock::system()).unwrap());
        let mut found = Vec::new();
        for _ in 0..times {
            let (outcome, trace) = prober.probe(target, None).await;
            found.push(Found { outcome, trace });
        }
        found
    })
}

/// A FIFO that nobody writes to: whoever opens it as a file waits for ever.
pub fn fifo(dir: &std::path::Path) -> std::path::PathBuf {
    let path = dir.join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

/// What a probe found, with checks that hold for every probe.
pub struct Found {
    pub outcome: Outcome,
    pub trace: Trace,
}

impl Found {
    pub fn text(&self) -> String {
        self.trace.lines().join("\n")
    }

    /// All of it, as it is stored.
    pub fn everything(&self) -> String {
        format!(
            "{}\n{:?}\n{}",
            self.text(),
            self.outcome,
            serde_json::to_string(&(&self.outcome, &self.trace)).unwrap()
        )
    }

    #[track_caller]
    pub fn passes(&self) -> &Found {
        assert_eq!(self.outcome.verdict, Verdict::Pass, "{}\n{}", self.outcome.description, self.text());
        assert_eq!(self.outcome.reason, None);
        assert!(matches!(self.trace.steps.last().unwrap().event, Event::Check { ok: true, .. }));
        assert!(self.outcome.latency_us >= self.trace.steps.last().unwrap().at_us);
        self
    }

    #[track_caller]
    pub fn fails(&self, reason: Reason) -> &Found {
        assert_eq!(self.outcome.reason, Some(reason), "{}\n{}", self.outcome.description, self.text());
        assert_eq!(self.outcome.verdict, reason.verdict());
        let last = &self.trace.steps.last().unwrap().event;
        let Event::Failed { reason: told, description } = last else { panic!("the last step is {last}") };
        assert_eq!((*told, description.as_str()), (reason, &*self.outcome.description));
        assert!(!description.chars().any(char::is_control), "{description:?}");
        self
    }

    /// The sentence holds this.
    #[track_caller]
    pub fn saying(&self, part: &str) -> &Found {
        assert!(self.outcome.description.contains(part), "`{part}` is not in: {}", self.outcome.description);
        self
    }

    /// Both ends of the last connection: ours and the server's.
    pub fn ends(&self) -> Option<(SocketAddr, SocketAddr)> {
        self.trace.steps.iter().rev().find_map(|s| match s.event {
            Event::Connected { address, local } => local.map(|l| (l, address)),
            _ => None,
        })
    }

    /// The body as the trace tells it: bytes, framing, capped.
    pub fn body(&self) -> Option<(u32, &str, bool)> {
        self.trace.steps.iter().find_map(|s| match &s.event {
            Event::Body { bytes, framing, capped } => Some((*bytes, framing.as_ref(), *capped)),
            _ => None,
        })
    }

    pub fn has(&self, wanted: impl Fn(&Event) -> bool) -> bool {
        self.trace.steps.iter().any(|s| wanted(&s.event))
    }
}
