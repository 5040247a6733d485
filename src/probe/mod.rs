//! One probe: from a target to its outcome and trace.
//!
//! ```text
//!  gate: admitted? --> recorder starts the time --> one deadline over all of:
//!     request::authorization | with_token: Tokens, catalog        <--- 401 with a token: once more
//!       -> hops: [ net: resolve, connect, tls -> http: send, head -> redirect? again ] -> body -> check
//!           \_________________\_______________________\__________________\_______________\______> recorder: steps
//!                                                                                           verdict: reason, sentence
//!  fetch: the same for one exchange whose answer is kept
//! ```
//!
//! A fresh connection per probe: a reused one hides faults of DNS, TCP and TLS. Where a target asks for it all the same,
//! `keep` says when one may serve again. One [`HttpProber`] belongs to one
//! arbiter; [`ScriptedProber`] is its double for tests.

pub mod body;
pub mod chunks;
pub mod fetch;
pub mod gate;
pub mod head;
pub mod hops;
pub mod http;
pub mod keep;
pub mod recorder;
pub mod redirect;
pub mod request;
pub mod scripted;
pub mod tokens;
pub mod verdict;
pub mod wire;
pub mod with_token;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use self::gate::{Gate, Permit};
use self::keep::Slot;
use self::recorder::{Phase, Recorder};
use self::verdict::Failure;
use self::with_token::FoundUrls;
use crate::clock::Clock;
use crate::model::auth::Auth;
use crate::model::outcome::Outcome;
use crate::model::reason::Reason;
use crate::model::target::Target;
use crate::model::trace::{Event, Step, Trace};
use crate::net::{EgressSource, Net, ResolverSettings, reach};
use crate::secret::SecretPolicy;
use tokio::sync::mpsc::UnboundedSender;

pub use fetch::{Fetch, Fetched};
pub use scripted::{Script, ScriptedProber};
pub use tokens::{IdentityFailure, Preferences, Tokens};

/// What all probes of one arbiter have in common.
#[derive(Debug, Clone)]
pub struct ProbeSettings {
    /// Sent as `User-Agent` unless the target's headers have one.
    pub user_agent: String,
    /// So many bytes of a body are read, the rest is left.
    pub body_cap: usize,
    /// Ask these name servers instead of the system's; hosts and resolv.conf are not read then.
    pub name_servers: Option<Vec<SocketAddr>>,
    /// How long one question to a name server waits for its answer.
    pub resolve_timeout: Duration,
    /// How often a question that nobody answered is asked again.
    pub resolve_retries: usize,
    /// How many young probes may run at once on one arbiter.
    pub young_limit: usize,
    /// How long a probe counts as young.
    pub young_for: Duration,
    /// How long a probe waits for a token; never more than half of its own timeout.
    pub login_timeout: Duration,
    /// To which addresses it may connect.
    pub egress: EgressSource,
}

impl Default for ProbeSettings {
    fn default() -> Self {
        let resolver = ResolverSettings::default();
        ProbeSettings {
            user_agent: concat!("skypunch/", env!("CARGO_PKG_VERSION")).to_owned(),
            body_cap: 64 * 1024,
            name_servers: None,
            resolve_timeout: resolver.timeout,
            resolve_retries: resolver.retries,
            young_limit: 256, // measured: enough for 15,000 probes a second, and few enough to stop a collapse
            // 256 in 20 ms are 12,800 starts a second, however slow the targets are. With 300 ms, 1,000 hanging targets a
            // second filled the gate.
            young_for: Duration::from_millis(20),
            login_timeout: Duration::from_secs(10),
            egress: EgressSource::default(),
        }
    }
}

/// Why there is no prober.
#[derive(Debug, thiserror::Error)]
pub enum ProbeSetupError {
    /// The user agent cannot stand in a header.
    #[error("user_agent {0} holds a character that no header can carry: write printable ASCII")]
    UserAgent(String),
}

/// Probes over the network; belongs to one arbiter.
#[derive(Debug)]
pub struct HttpProber {
    net: Net,
    gate: Gate,
    /// Probes that belong to no due time pass this first, so that few of them ever stand in the way of those that do.
    extra_gate: Gate,
    secrets: Arc<SecretPolicy>,
    clock: Clock,
    user_agent: String,
    body_cap: usize,
    login_timeout: Duration,
    tokens: Option<Rc<dyn Tokens>>,
    found: RefCell<FoundUrls>,
}

impl HttpProber {
    /// A prober; the first one in a process reads the system's certificate authorities.
    ///
    /// # Errors
    /// When a setting cannot be used.
    pub fn new(settings: ProbeSettings, secrets: SecretPolicy, clock: Clock) -> Result<HttpProber, ProbeSetupError> {
        let user_agent = settings.user_agent;
        if !request::fits_header(&user_agent) {
            return Err(ProbeSetupError::UserAgent(crate::model::text::quoted(&user_agent)));
        }
        let resolver = ResolverSettings {
            name_servers: settings.name_servers,
            timeout: settings.resolve_timeout,
            retries: settings.resolve_retries,
        };
        let net = Net::new(resolver, settings.egress, clock.clone());
        net.tls.warm();
        Ok(HttpProber {
            net,
            gate: Gate::new(settings.young_limit, settings.young_for, clock.clone()),
            extra_gate: Gate::new(settings.young_limit / 8, settings.young_for, clock.clone()),
            secrets: Arc::new(secrets),
            clock,
            user_agent,
            body_cap: settings.body_cap,
            login_timeout: settings.login_timeout,
            tokens: None,
            found: RefCell::default(),
        })
    }

    /// With tokens for its OPENSTACK targets; without, their probes end as `internal`.
    #[must_use]
    pub fn with_tokens(self, tokens: Rc<dyn Tokens>) -> HttpProber {
        HttpProber { tokens: Some(tokens), ..self }
    }

    /// The admission of this arbiter.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Probes now, over a fresh connection. `live` gets each step as it happens. Needs a tokio `LocalSet`, as every arbiter
    /// has.
    pub async fn probe(&self, target: &Target, live: Option<UnboundedSender<Step>>) -> (Outcome, Trace) {
        self.probe_with(target, live, None).await
    }

    /// Probes now, over the connection in `slot` where the target lets it and it is still good; the connection that may
    /// serve the next probe of the same target is left there. After a probe that did not pass, or was given up, none is.
    pub async fn probe_keeping(&self, target: &Target, slot: &mut Slot) -> (Outcome, Trace) {
        self.probe_with(target, None, Some(slot)).await
    }

    async fn probe_with(
        &self,
        target: &Target,
        live: Option<UnboundedSender<Step>>,
        mut slot: Option<&mut Slot>,
    ) -> (Outcome, Trace) {
        let recorder = Rc::new(Recorder::new(self.clock.clone(), live));
        let ended = tokio::time::timeout(target.timeout, self.run(target, &recorder, slot.as_deref_mut())).await;
        let result = ended.unwrap_or_else(|_| {
            Err(match recorder.phase() {
                Phase::Auth => verdict::no_token(&with_token::credential(target), recorder.phase_time()),
                _ => self.timed_out(target.timeout, &recorder),
            })
        });
        let mut outcome = match result {
            Ok(status) => Outcome::pass(status, phrase(status)),
            Err(failure) => {
                if let Some(slot) = slot {
                    *slot = None;
                }
                self.doubt(target, &failure, recorder.status());
                let description = failure.sentence(Duration::from_micros(recorder.latency_us().into()));
                recorder.step(Event::Failed { reason: failure.reason, description: description.clone() });
                Outcome::not_passed(failure.reason, description)
            }
        };
        outcome.status_code = recorder.status();
        outcome.latency_us = recorder.latency_us();
        outcome.body_bytes = recorder.body_bytes();
        outcome.certificate_expires_at = recorder.expires();
        let (phases, trace) = recorder.finish();
        outcome.phases = phases;
        (outcome, trace)
    }

    /// The deadline has passed.
    fn timed_out(&self, timeout: Duration, recorder: &Recorder) -> Failure {
        if let Some((file, waited)) = recorder.waiting_for() {
            return verdict::file_silent(&file, waited);
        }
        let late = recorder.now().since(recorder.began()).saturating_sub(timeout);
        if late >= (timeout / 4).clamp(Duration::from_millis(50), Duration::from_secs(1)) {
            // The deadline itself was overslept: what was the target's to do may have been done in time.
            let late = humantime::format_duration(Duration::from_millis(u64::try_from(late.as_millis()).unwrap_or(0)));
            let text = format!("probing within {}: skypunch itself did not run for {late}", verdict::span(timeout));
            return Failure::complete(Reason::LocalResources, format!("{text}; usually {}", verdict::OVERSLEPT));
        }
        let (phase, host) = (recorder.phase(), recorder.host());
        if phase == Phase::Resolve && self.net.resolver.is_silent(&host, recorder.phase_time()) {
            let text = format!("resolving {host}: no name server answered, neither for this name nor for others,");
            return Failure::new(Reason::LocalNetwork, text);
        }
        if let Some(peer) = recorder.peer()
            && let Some(why) = reach::cut_off_from(peer, recorder.began(), recorder.now())
        {
            return Failure::new(Reason::LocalNetwork, format!("reaching {peer}: {why},"));
        }
        verdict::timed_out(phase, &host, recorder.peer(), recorder.body_bytes(), timeout)
    }

    async fn run(&self, target: &Target, recorder: &Rc<Recorder>, slot: Option<&mut Slot>) -> Result<u16, Failure> {
        if let Auth::OpenStack(_) = &target.auth {
            return Box::pin(self.run_with_token(target, recorder, slot)).await;
        }
        let first = hops::first(target, &target.url, recorder);
        let authorization = match &target.auth {
            Auth::None => None,
            auth => Box::pin(request::authorization(auth, &self.secrets, recorder.as_ref())).await?,
        };
        if authorization.is_some() {
            recorder.step(Event::Auth { kind: target.auth.kind().into() });
        }
        let asked = self.ask(target, &first, authorization.as_ref(), recorder, slot).await?;
        asked.check(target, recorder)
    }
}

/// The standard reason phrase of a status: servers may leave theirs out or write anything.
fn phrase(status: u16) -> &'static str {
    awc::http::StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("(no standard meaning)")
}

/// What a target actor probes with: the network, or a script.
#[derive(Debug, Clone)]
pub enum Prober {
    /// Over the network.
    Http(Rc<HttpProber>),
    /// As a test says.
    Scripted(ScriptedProber),
}

impl Prober {
    /// Waits until another probe may start; give the permit back by dropping it after the probe.
    pub async fn admit(&self) -> Option<Permit> {
        match self {
            Prober::Http(prober) => Some(prober.gate().acquire().await),
            Prober::Scripted(_) => None,
        }
    }

    /// The same for a probe that belongs to no due time (the first one of a new target): ten thousand new targets
    /// must not delay the others.
    pub async fn admit_extra(&self) -> Option<(Permit, Permit)> {
        match self {
            Prober::Http(prober) => {
                let turn = prober.extra_gate.acquire().await;
                Some((turn, prober.gate().acquire().await))
            }
            Prober::Scripted(_) => None,
        }
    }

    /// Probes now, over a connection that is kept where the target lets it.
    pub async fn probe_keeping(&self, target: &Target, slot: &mut Slot) -> (Outcome, Trace) {
        match self {
            Prober::Http(prober) => prober.probe_keeping(target, slot).await,
            Prober::Scripted(prober) => prober.probe(target, None).await,
        }
    }

    /// Probes now, over a fresh connection; `live` gets each step as it happens.
    pub async fn probe(&self, target: &Target, live: Option<UnboundedSender<Step>>) -> (Outcome, Trace) {
        match self {
            Prober::Http(prober) => prober.probe(target, live).await,
            Prober::Scripted(prober) => prober.probe(target, live).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::definition::Definition;
    use crate::secret::Secret;

    fn target(definition: Definition) -> Target {
        let mut target = Definition { name: "t".into(), ..definition }.validate().unwrap();
        target.timeout = Duration::from_millis(400);
        target
    }

    /// A server that answers each request with 200.
    fn server() -> SocketAddr {
        use std::io::{Read, Write};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for mut tcp in listener.incoming().map(Result::unwrap) {
                let n = tcp.read(&mut [0; 4096]).unwrap();
                assert!(n > 0);
                tcp.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
            }
        });
        address
    }

    #[test]
    fn a_file_that_does_not_answer_costs_its_own_target_only_and_only_until_its_deadline() {
        let address = server();
        let token = Secret::new("${file:/hung/token}");
        let bearer = target(Definition {
            url: format!("http://{address}/"),
            authn: "BEARER".into(),
            authn_parms: Some(Secret::new(format!("token={}", token.expose()))),
            ..Definition::default()
        });
        let tls = target(Definition {
            url: format!("https://{address}/"),
            tls_ca: Some("/hung/ca.pem".into()),
            ..Definition::default()
        });
        let plain = target(Definition { url: format!("http://{address}/"), ..Definition::default() });
        actix_rt::System::new().block_on(async {
            let policy = SecretPolicy::default();
            let prober = HttpProber::new(ProbeSettings::default(), policy, Clock::system()).unwrap();
            let (answers, disk) = std::sync::mpsc::channel();
            crate::net::tls_authorities::hang("/hung/ca.pem", disk).await;
            let (more_answers, disk) = std::sync::mpsc::channel();
            crate::net::secrets::hang(&prober.secrets, &token, disk).await;
            let others = async {
                for _ in 0..20 {
                    let (outcome, _) = prober.probe(&plain, None).await;
                    assert_eq!(outcome.reason, None, "{}", outcome.description);
                }
                prober.clock.now()
            };
            let hung = async {
                let ends =
                    tokio::join!(prober.probe(&tls, None), prober.probe(&tls, None), prober.probe(&bearer, None));
                (ends, prober.clock.now())
            };
            let ((ends, hung_until), others_until) = tokio::join!(hung, others);
            assert!(others_until < hung_until, "the others did not wait");
            for ((outcome, _), file) in [(ends.0, "/hung/ca.pem"), (ends.1, "/hung/ca.pem"), (ends.2, "/hung/token")] {
                assert_eq!(outcome.reason, Some(Reason::AuthConfig), "{}", outcome.description);
                assert!(outcome.description.contains(file), "{}", outcome.description);
                assert!(outcome.description.contains("did not answer within 40"), "{}", outcome.description);
            }
            drop((answers, more_answers)); // the disk is back: the next probe reads for itself
            for _ in 0..100 {
                if prober.probe(&bearer, None).await.0.description.contains("not allowed") {
                    return;
                }
            }
            panic!("the file was never read again");
        });
    }
}
