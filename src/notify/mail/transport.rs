//! Sends messages: one deadline over the whole, sessions reused, recipients settled one by one.
//!
//! ```text
//!  secrets -> render, compose -> session (waiting one | new) -> deliver -> what became of each recipient -> SendResult
//!  '------------------------- one deadline: `timeout` ------------------'
//! ```
//!
//! * 4xx, a lost connection, the deadline: transient. 5xx: permanent, but for a login: a person mends that.
//! * A waiting session that turns out dead before MAIL FROM was accepted is replaced by a fresh one, once. After that
//!   nothing is repeated here: the next attempt has the same Message-ID.
//! * Of several recipients each is settled for itself. Those that were accepted, and those refused with 5xx, are noted
//!   in the course's progress while others are deferred (4xx): the next attempt goes to the deferred only. The message is
//!   sent when at least one has it and nobody is deferred; the answer names those who will never get it.

use std::sync::Arc;
use std::time::Duration;

use lettre::Address;
use lettre::message::Mailbox;
use lettre::transport::smtp::extension::ClientId;

use super::address::is_host_name;
use super::compose::{compose, sender};
use super::params::{Account, Login};
use super::pool::{Key, Pool};
use super::render::render;
use super::session::{Delivery, Failed, Session};
use super::steps::Steps;
use crate::clock::Clock;
use crate::model::message::Message;
use crate::model::notifier::Notifier;
use crate::model::outbox::Progress;
use crate::model::text::shorten;
use crate::net::{EgressSource, Guard, Net, Resolver, ResolverSettings, TlsProfiles, secrets};
use crate::notify::{Course, Dialogue, SendResult};
use crate::secret::{Secret, SecretPolicy};

/// An answer is no longer than this.
const MOST: usize = 300;

/// Sends mail for all notifiers of one arbiter.
#[derive(Debug)]
pub struct Mailer {
    net: Net,
    policy: Arc<SecretPolicy>,
    clock: Clock,
    pool: Pool,
}

impl Mailer {
    /// Connects to nothing yet. References are resolved by `policy`.
    #[must_use]
    pub fn new(resolver: ResolverSettings, egress: EgressSource, policy: Arc<SecretPolicy>, clock: Clock) -> Mailer {
        let net = Net {
            resolver: Resolver::new(resolver, clock.clone()),
            tls: TlsProfiles::unnamed(clock.clone()),
            guard: Guard::new(egress),
        };
        Mailer { net, policy, pool: Pool::new(clock.clone()), clock }
    }

    /// Says goodbye to the servers whose sessions wait for a next mail.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Sends `message` to those of the notifier's recipients that are not settled, within its `timeout`. `dialogue` is
    /// told each step.
    pub async fn send(
        &self,
        notifier: &Notifier,
        message: &Message,
        course: &mut Course,
        dialogue: &dyn Dialogue,
    ) -> SendResult {
        let account = match Account::read(&notifier.address, &notifier.params) {
            Ok(account) => account,
            Err(problems) => {
                let why: Vec<String> = problems.iter().map(ToString::to_string).collect();
                return SendResult::permanent(shorten(&why.join("; "), MOST));
            }
        };
        let steps = Steps::new(dialogue);
        let sending = Box::pin(self.attempt(&account, notifier, message, course, &steps));
        let result = match tokio::time::timeout(account.timeout, sending).await {
            Ok(result) => result,
            Err(_) => {
                let limit = humantime::format_duration(account.timeout);
                Err(Failed::transient(format!("timed out after {limit} {}", steps.done_last())))
            }
        };
        course.progress.unanswered |= steps.is_unanswered();
        let result = match result {
            Ok(outcome) => settle(outcome, &course.progress),
            Err(Failed { why, permanent, content, .. }) => {
                let why = steps.safe(&format!("{}:{}: {why}", account.host, account.port));
                match permanent {
                    true => SendResult::Permanent { why, content },
                    false => SendResult::Transient { why, after: None },
                }
            }
        };
        match &result {
            SendResult::Sent { answer, .. } => steps.say(&format!("sent: {answer}")),
            SendResult::Transient { why, .. } => steps.say(&format!("not sent, worth another try: {why}")),
            SendResult::Permanent { why, .. } => steps.say(&format!("refused: {why}")),
        }
        result
    }

    /// Connects, secures the connection where the notifier asks for it, greets and says goodbye: neither logs in nor sends
    /// anything. What the server is, or why it cannot be had within `limit`.
    ///
    /// # Errors
    /// The sentence for people.
    pub async fn reach(&self, notifier: &Notifier, host: &str, limit: Duration) -> Result<String, String> {
        let account = Account::read(&notifier.address, &notifier.params)
            .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
        let steps = Steps::new(&());
        let hello = hello(&account, host);
        let opening = Box::pin(Session::open(&account, None, &hello, &self.net, &steps));
        let place = format!("{}:{}", account.host, account.port);
        match tokio::time::timeout(limit.min(account.timeout), opening).await {
            Ok(Ok(session)) => {
                // Who does not answer the goodbye has answered the greeting.
                drop(tokio::time::timeout(limit, session.quit()).await);
                Ok(format!("the mail server {place} greets"))
            }
            Ok(Err(failed)) if failed.why.contains(&place) => Err(failed.why),
            Ok(Err(failed)) => Err(format!("{place}: {}", failed.why)),
            Err(_) => Err(format!("{place}: nothing {} {}", humantime::format_duration(limit), steps.done_last())),
        }
    }

    async fn attempt(
        &self,
        account: &Account,
        notifier: &Notifier,
        message: &Message,
        course: &mut Course,
        steps: &Steps<'_>,
    ) -> Result<Outcome, Failed> {
        let login = match (account.login, &account.user, &account.password) {
            (Login::None, ..) | (_, None, _) | (_, _, None) => None,
            (_, Some(user), Some(password)) => {
                Some((self.resolve("user", user, steps).await?, self.resolve("password", password, steps).await?))
            }
        };
        if let Some((user, password)) = &login {
            steps.hide(user.expose(), password.expose());
        }
        let permanent = |why: String| Failed { why, permanent: true, content: false, early: false };
        let now = self.clock.utc_now();
        let rendered = render(message, &notifier.templates, now);
        if let Some(problem) = &rendered.problem {
            steps.say(&format!("the notifier's own templates cannot be used, so the built-in ones are: {problem}"));
        }
        let from = sender(account, login.as_ref().map(|(user, _)| user.expose()), &message.host).map_err(permanent)?;
        let mail = compose(account, &from, message, &rendered, now).map_err(permanent)?;
        let Course { only, progress, .. } = course;
        let settled = |a: &String| progress.has.contains(a) || progress.never.iter().any(|(never, _)| never == a);
        let told = |a: &String| only.is_empty() || only.contains(a);
        let is_open = |m: &&Mailbox| {
            let address = m.email.to_string();
            told(&address) && !settled(&address)
        };
        let open: Vec<Address> = account.to.iter().filter(is_open).map(|m| m.email.clone()).collect();
        let mut deferred = Vec::new();
        if !open.is_empty() {
            let delivery = self.deliver(account, login, &message.host, (&from.email, &open, &mail), steps).await?;
            if let Some((answer, accepted)) = delivery.accepted {
                progress.answer = answer;
                progress.has.extend(accepted.iter().map(ToString::to_string));
            }
            for (address, words, permanent) in delivery.refused {
                match permanent {
                    true => progress.never.push((address.to_string(), words)),
                    false => deferred.push((address.to_string(), words)),
                }
            }
        }
        Ok(Outcome { deferred, problem: rendered.problem })
    }

    async fn deliver(
        &self,
        account: &Account,
        login: Option<(Secret, Secret)>,
        host: &str,
        (from, to, mail): (&Address, &[Address], &[u8]),
        steps: &Steps<'_>,
    ) -> Result<Delivery, Failed> {
        let hello = hello(account, host);
        let key = Key {
            server: (account.host.to_string(), account.port),
            security: (account.security, account.ca.clone()),
            login: (account.login, login),
            hello: hello.to_string(),
        };
        steps.doing("while waiting for one of the connections to this server to become free");
        let room = self.pool.room(&key);
        let _permit = room.acquire().await.map_err(|e| Failed::transient(e.to_string()))?;
        if let Some(mut session) = self.pool.take(&key).filter(|session| session.is_allowed(&self.net)) {
            steps.say(&format!("using the open connection to {}:{}", account.host, account.port));
            match session.deliver(from, to, mail, steps).await {
                Ok(delivery) => {
                    self.pool.put(key, session);
                    return Ok(delivery);
                }
                Err(failed) if failed.early => steps.say(&format!("it is dead ({}), opening another", failed.why)),
                Err(failed) => return Err(failed),
            }
        }
        let login = key.login.1.as_ref().map(|(user, password)| (user.expose(), password.expose()));
        let mut session = Session::open(account, login, &hello, &self.net, steps).await?;
        let delivery = session.deliver(from, to, mail, steps).await?;
        self.pool.put(key, session);
        Ok(delivery)
    }

    async fn resolve(&self, name: &str, secret: &Secret, steps: &Steps<'_>) -> Result<Secret, Failed> {
        steps.doing(format!("while reading `{name}`"));
        let result = secrets::resolve(&self.policy, secret).await.unwrap_or_else(|e| Err(e.to_string()));
        // Its file may be there the next time.
        result.map_err(|why| Failed::transient(format!("`{name}` cannot be had: {why}")))
    }
}

/// What the client calls itself: what the notifier says, else this machine's name if that is one.
fn hello(account: &Account, host: &str) -> ClientId {
    let own = account.hello.as_deref().or(Some(host).filter(|h| is_host_name(h)));
    own.map_or(ClientId::Ipv4(std::net::Ipv4Addr::LOCALHOST), |h| ClientId::Domain(h.to_owned()))
}

/// What it means where an attempt has left the recipients.
fn settle(outcome: Outcome, progress: &Progress) -> SendResult {
    let Outcome { deferred, problem } = outcome;
    let Progress { has, never, answer, .. } = progress;
    let named = |(address, words): &(String, String)| format!("{address}: {words}");
    let never: Vec<String> = never.iter().map(named).collect();
    if !deferred.is_empty() {
        let mut why: Vec<String> = deferred.iter().map(named).collect();
        why.extend(never);
        if !has.is_empty() {
            why.push(format!("delivered to {}", has.join(", ")));
        }
        return SendResult::Transient { why: shorten(&why.join("; "), MOST).into_owned(), after: None };
    }
    if has.is_empty() && !never.is_empty() {
        return SendResult::permanent(shorten(&never.join("; "), MOST));
    }
    let mut parts = vec![match has.is_empty() {
        true => "none of those who were told is a recipient any more".to_owned(),
        false => answer.clone(),
    }];
    if !never.is_empty() {
        parts.push(format!("not for {}", never.join("; ")));
    }
    parts.extend(problem.map(|p| format!("own templates not used: {p}")));
    SendResult::Sent { answer: shorten(&parts.join("; "), MOST).into_owned(), saved: Vec::new() }
}

/// Where an attempt left the recipients that are not settled.
struct Outcome {
    deferred: Vec<(String, String)>,
    /// What is wrong with the notifier's own templates.
    problem: Option<String>,
}
