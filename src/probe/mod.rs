//! One probe: from a target to its outcome and trace.
//!
//! ```text
//!  gate: admitted? --> recorder starts the time --> one deadline over all of:
//!     request::authorization -> [ net: resolve, connect, tls -> http: send, head -> redirect? again ] -> body -> check
//!           \________________________\_______________________\__________________\_______________\______> recorder: steps
//!                                                                                                 verdict: reason, sentence
//! ```
//!
//! A fresh connection per probe: a reused one hides faults of DNS, TCP and TLS. One [`HttpProber`] belongs to one
//! arbiter; [`ScriptedProber`] is its double for tests.

pub mod body;
pub mod chunks;
pub mod gate;
pub mod head;
pub mod http;
pub mod recorder;
pub mod redirect;
pub mod request;
pub mod scripted;
pub mod verdict;
pub mod wire;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use url::Position;

use self::gate::{Gate, Permit};
use self::http::Answer;
use self::recorder::{Phase, Recorder};
use self::redirect::Hop;
use self::request::Authorization;
use self::verdict::Failure;
use crate::clock::Clock;
use crate::model::auth::Auth;
use crate::model::outcome::Outcome;
use crate::model::reason::Reason;
use crate::model::target::{Target, TlsOptions};
use crate::model::trace::{Event, Step, Trace};
use crate::net::{Endpoint, Net, ResolverSettings};
use crate::secret::SecretPolicy;

pub use scripted::{Script, ScriptedProber};

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
        let net = Net::new(resolver, clock.clone());
        net.tls.warm();
        Ok(HttpProber {
            net,
            gate: Gate::new(settings.young_limit, settings.young_for, clock.clone()),
            extra_gate: Gate::new(settings.young_limit / 8, settings.young_for, clock.clone()),
            secrets: Arc::new(secrets),
            clock,
            user_agent,
            body_cap: settings.body_cap,
        })
    }

    /// The admission of this arbiter.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Probes now. `live` gets each step as it happens. Needs a tokio `LocalSet`, as every arbiter has.
    pub async fn probe(&self, target: &Target, live: Option<UnboundedSender<Step>>) -> (Outcome, Trace) {
        let recorder = Rc::new(Recorder::new(self.clock.clone(), live));
        let ended = tokio::time::timeout(target.timeout, self.run(target, &recorder)).await;
        let result = ended.unwrap_or_else(|_| Err(self.timed_out(target, &recorder)));
        let mut outcome = match result {
            Ok(status) => Outcome::pass(status, phrase(status)),
            Err(failure) => {
                let description = failure.sentence(recorder.elapsed());
                recorder.step(Event::Failed { reason: failure.reason, description: description.clone() });
                Outcome::not_passed(failure.reason, description)
            }
        };
        outcome.status_code = recorder.status();
        outcome.latency_us = recorder.elapsed_us();
        outcome.body_bytes = recorder.body_bytes();
        outcome.certificate_expires_at = recorder.expires();
        let (phases, trace) = recorder.finish();
        outcome.phases = phases;
        (outcome, trace)
    }

    /// The deadline has passed.
    fn timed_out(&self, target: &Target, recorder: &Recorder) -> Failure {
        if let Some((file, waited)) = recorder.waiting_for() {
            return verdict::file_silent(&file, waited);
        }
        let (phase, host) = (recorder.phase(), recorder.host());
        if phase == Phase::Resolve && self.net.resolver.is_silent(&host, recorder.phase_time()) {
            let text = format!("resolving {host}: no name server answered, neither for this name nor for others,");
            return Failure::new(Reason::LocalNetwork, text);
        }
        verdict::timed_out(phase, &host, recorder.peer(), recorder.body_bytes(), target.timeout)
    }

    async fn run(&self, target: &Target, recorder: &Rc<Recorder>) -> Result<u16, Failure> {
        let first = Hop { url: Cow::Borrowed(&target.url), method: target.method, with_body: true, same_origin: true };
        recorder.step(Event::Request { method: first.method.as_str().into(), url: first.url.as_str().to_owned() });
        let authorization = match &target.auth {
            Auth::None => None,
            auth => Box::pin(request::authorization(auth, &self.secrets, recorder.as_ref())).await?,
        };
        if authorization.is_some() {
            recorder.step(Event::Auth { kind: target.auth.kind().into() });
        }
        let mut answer = self.hop(target, &first, authorization.as_ref(), recorder).await?;
        let mut method = first.method;
        if target.redirects > 0 && redirect::is_redirect(answer.head.status) {
            let mut hops = vec![first];
            while let Some(next) = follow(target, &hops, &answer, authorization.as_ref())? {
                let shown = shown(&next, target, authorization.as_ref());
                recorder.step(Event::Redirect { to: shown.clone() });
                drop(answer);
                recorder.step(Event::Request { method: next.method.as_str().into(), url: shown });
                answer = self.hop(target, &next, authorization.as_ref(), recorder).await?;
                method = next.method;
                hops.push(next);
            }
        }
        body::drain(&mut answer, method, self.body_cap, recorder).await?;
        let status = answer.head.status;
        let ok = target.expect.contains(status);
        recorder.step(Event::Check { expected: target.expect.text(), status, ok });
        if ok {
            return Ok(status);
        }
        let text = format!("{method} answered {status} {}, not {}", phrase(status), target.expect);
        Err(Failure::status(status, text))
    }

    /// Connects, sends, and reads the answer's head.
    async fn hop(
        &self,
        target: &Target,
        hop: &Hop<'_>,
        authorization: Option<&Authorization>,
        recorder: &Rc<Recorder>,
    ) -> Result<Answer, Failure> {
        let https = hop.url.scheme() == "https";
        let tls = https.then(|| match hop.same_origin {
            true => Cow::Borrowed(&target.tls),
            false => Cow::Owned(TlsOptions { server_name: None, ..target.tls.clone() }),
        });
        let (Some(host), Some(port)) = (hop.url.host(), hop.url.port_or_known_default()) else {
            return Err(Failure::new(Reason::Internal, "connecting: the URL has no host"));
        };
        let endpoint = Endpoint { host, port, tls: tls.as_deref() };
        let connection = self.net.connect(endpoint, recorder.as_ref()).await?;
        http::exchange(connection, target, hop, authorization, &self.user_agent, recorder).await
    }
}

/// The next hop, if the answer points elsewhere.
fn follow<'a>(
    target: &Target,
    hops: &[Hop<'_>],
    answer: &Answer,
    authorization: Option<&Authorization>,
) -> Result<Option<Hop<'a>>, Failure> {
    let status = answer.head.status;
    let Some(location) = &answer.head.location else { return Ok(None) };
    let location = String::from_utf8_lossy(location);
    let failure = |why: &str| {
        Failure::new(Reason::Redirect, format!("following the redirect {status} of hop {}: {why}", hops.len()))
    };
    let next = redirect::next(&target.url, hops, status, &location, target.redirects).map_err(|why| {
        let secret = request::leaks(&why, target, authorization);
        failure(if secret { "its location repeats a secret and leads nowhere" } else { &why })
    })?;
    if next.url.host() != target.url.host()
        && next.url.host_str().is_some_and(|h| request::host_leaks(h, target, authorization))
    {
        return Err(failure("its location's host repeats a secret"));
    }
    Ok(Some(next))
}

/// A redirect's URL, without the path where the server has put into it a secret that was sent to it.
fn shown(hop: &Hop<'_>, target: &Target, authorization: Option<&Authorization>) -> String {
    let url = hop.url.as_str();
    if request::leaks(url, target, authorization) {
        format!("{}***", &hop.url[..Position::BeforePath])
    } else {
        url.to_owned()
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

    /// Probes now; `live` gets each step as it happens.
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
