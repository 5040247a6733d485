//! One door to all channels: a notifier's type decides which one a message takes.
//!
//! ```text
//!  Channels::send --SMTP------> mail
//!                '-catalogue--> secrets resolved -> requests, one after the other -> webhook
//! ```

use std::sync::Arc;
use std::time::Duration;

use super::catalogue::{AddressInfo, Catalogue, Input, Provider, Request, TypeInfo, samples};
use super::mail::{self, Mailer};
use super::webhook::Webhooks;
use super::{Course, Dialogue, SendResult};
use crate::clock::Clock;
use crate::model::definition::Problem;
use crate::model::message::{Message, MessageKind};
use crate::model::notifier::{EventKind, Notifier};
use crate::model::text::shorten;
use crate::net::{EgressSource, Net, ResolverSettings, secrets};
use crate::secret::{Secret, SecretPolicy};

/// The type that is built in.
pub const SMTP: &str = "SMTP";

/// A message to a webhook must be taken within this, all its requests together.
const LIMIT: Duration = Duration::from_secs(30);

/// An answer is no longer than this.
const LONGEST_ANSWER: usize = 300;

/// Everything that is wrong with what a notifier's type decides.
#[must_use]
pub fn check(catalogue: &Catalogue, notifier: &Notifier) -> Vec<Problem> {
    if is_smtp(&notifier.kind) {
        let mut problems = mail::check(&notifier.address, &notifier.params);
        problems.extend(mail::check_templates(&notifier.templates));
        problems
    } else {
        catalogue.check(&notifier.kind, &notifier.address, &notifier.params, &notifier.templates)
    }
}

/// The catalogue with the built-in type among the others.
#[must_use]
pub fn with_mail(mut catalogue: Catalogue) -> Catalogue {
    catalogue.add_built_in(TypeInfo {
        name: SMTP.into(),
        title: "Mail".into(),
        address: AddressInfo { help: mail::ADDRESS_HELP.into(), list: true, ..AddressInfo::default() },
        params: mail::params(),
        ..TypeInfo::default()
    });
    catalogue
}

fn is_smtp(kind: &str) -> bool {
    kind.trim().eq_ignore_ascii_case(SMTP)
}

/// Something that it needs stands elsewhere: what is unfit now may be mended at the next try.
fn by_reference(notifier: &Notifier) -> bool {
    let values = notifier.params.iter().map(|(_, value)| value.expose());
    values.chain([notifier.address.as_str()]).any(|value| value.trim_start().starts_with("${"))
}

/// Sends for all notifiers; belongs to one arbiter.
#[derive(Debug)]
pub struct Channels {
    catalogue: Arc<Catalogue>,
    mailer: Mailer,
    webhooks: Webhooks,
    policy: Arc<SecretPolicy>,
    clock: Clock,
}

impl Channels {
    /// Connects to nothing yet.
    #[must_use]
    pub fn new(
        catalogue: Arc<Catalogue>,
        resolver: ResolverSettings,
        egress: EgressSource,
        policy: Arc<SecretPolicy>,
        clock: Clock,
    ) -> Channels {
        Channels {
            catalogue,
            mailer: Mailer::new(resolver.clone(), egress.clone(), Arc::clone(&policy), clock.clone()),
            webhooks: Webhooks::new(Net::new(resolver, egress, clock.clone()), clock.clone()),
            policy,
            clock,
        }
    }

    /// Sends a message, from where earlier attempts have left it.
    pub async fn send(
        &self,
        notifier: &Notifier,
        message: &Message,
        course: &mut Course,
        dialogue: &dyn Dialogue,
    ) -> SendResult {
        if is_smtp(&notifier.kind) {
            return self.mailer.send(notifier, message, course, dialogue).await;
        }
        let Some(provider) = self.catalogue.get(&notifier.kind) else {
            let why = format!("its type {} is not in the catalogue any more", notifier.kind);
            return SendResult::permanent(why);
        };
        match tokio::time::timeout(LIMIT, self.by_provider(provider, notifier, message, course, dialogue)).await {
            Ok(result) => result,
            Err(_) => SendResult::Transient {
                why: format!("not taken within {}", humantime::format_duration(LIMIT)),
                after: None,
            },
        }
    }

    /// Looks whether a notifier could be told, within `limit`, and sends nothing: a mail server is greeted, to a provider's
    /// host a connection is made. `host` is this machine's name. Who answers.
    ///
    /// # Errors
    /// Why it could not be told, for people.
    pub async fn reach(&self, notifier: &Notifier, host: &str, limit: Duration) -> Result<String, String> {
        if is_smtp(&notifier.kind) {
            return self.mailer.reach(notifier, host, limit).await;
        }
        let provider = self.catalogue.get(&notifier.kind).ok_or("its type is not in the catalogue")?;
        let address = self.resolve("address", &Secret::new(notifier.address.clone())).await?;
        let mut params = Vec::with_capacity(notifier.params.len());
        for (name, value) in &notifier.params {
            params.push((name.clone(), self.resolve(name, value).await?));
        }
        let message = samples::of(MessageKind::Test, EventKind::Fail);
        let (templates, now) = (&notifier.templates, self.clock.utc_now());
        let input = Input { message: &message, address: &address, params: &params, saved: &[], templates, now };
        let requests = provider.requests(&input).map_err(|e| e.to_string())?;
        let mut places: Vec<String> = Vec::new();
        for request in &requests {
            let place = self.webhooks.reach(request, limit).await?;
            if !places.contains(&place) {
                places.push(place);
            }
        }
        Ok(format!("{} takes connections", places.join(", ")))
    }

    async fn by_provider(
        &self,
        provider: &Provider,
        notifier: &Notifier,
        message: &Message,
        course: &mut Course,
        dialogue: &dyn Dialogue,
    ) -> SendResult {
        let secrets = async {
            let address = self.resolve("address", &Secret::new(notifier.address.clone())).await?;
            let mut params = Vec::with_capacity(notifier.params.len());
            for (name, value) in &notifier.params {
                params.push((name.clone(), self.resolve(name, value).await?));
            }
            Ok::<_, String>((address, params))
        };
        let (address, params) = match secrets.await {
            Ok(found) => found,
            Err(why) => {
                dialogue.step(&format!("[FAIL] {why}"));
                return SendResult::Transient { why, after: None };
            }
        };
        let now = self.clock.utc_now();
        let templates = &notifier.templates;
        let input = Input { message, address: &address, params: &params, saved: &course.saved, templates, now };
        let requests = match provider.requests(&input) {
            Ok(requests) => requests,
            Err(e) => {
                dialogue.step(&format!("[FAIL] {e}"));
                return match e.is_of_row() && by_reference(notifier) {
                    true => SendResult::Transient { why: e.to_string(), after: None },
                    false => SendResult::permanent(e.to_string()),
                };
            }
        };
        self.requests(&requests, course, dialogue).await
    }

    /// Sends those of a message's requests that are not settled. One that is refused keeps no other from being sent.
    async fn requests(&self, requests: &[Request], course: &mut Course, dialogue: &dyn Dialogue) -> SendResult {
        let told = |r: &&Request| {
            course.only.is_empty() || r.recipient.as_ref().is_none_or(|recipient| course.only.contains(recipient))
        };
        let requests: Vec<&Request> = requests.iter().filter(told).collect();
        let progress = &mut course.progress;
        let mut put_off: Option<(String, Option<Duration>)> = None;
        let mut about_content = true;
        for request in &requests {
            if progress.taken.contains(&request.id) || progress.never.iter().any(|(id, _)| *id == request.id) {
                continue;
            }
            match self.webhooks.send(request, LIMIT, dialogue, &mut progress.unanswered).await {
                SendResult::Sent { answer, saved } => {
                    progress.answer = answer;
                    progress.save(saved);
                    if requests.len() > 1 {
                        progress.taken.push(request.id.clone());
                        let recipient = request.recipient.iter().filter(|r| !progress.has.contains(r));
                        progress.has.extend(recipient.cloned().collect::<Vec<_>>());
                    }
                }
                refused if requests.len() == 1 => return refused,
                SendResult::Permanent { why, content } => {
                    about_content &= content;
                    progress.never.push((request.id.clone(), why));
                }
                SendResult::Transient { why, after } => {
                    // A server that wants to be left alone is.
                    let rest = after.is_some();
                    put_off.get_or_insert((why, after));
                    if rest {
                        break;
                    }
                }
            }
        }
        if let Some((why, after)) = put_off {
            return SendResult::Transient { why, after };
        }
        let never = progress.never.first().map(|(_, why)| why.clone());
        match never {
            Some(why) if !progress.is_taken() => SendResult::Permanent { why, content: about_content },
            Some(why) => {
                let (n, all) = (progress.never.len(), requests.len());
                let answer = format!("{}; {n} of {all} were refused: {why}", progress.answer);
                let answer = shorten(&answer, LONGEST_ANSWER).into_owned();
                SendResult::Sent { answer, saved: progress.saved.clone() }
            }
            None if requests.is_empty() => {
                SendResult::Sent { answer: "nothing is to be told here".into(), saved: Vec::new() }
            }
            None => SendResult::Sent { answer: progress.answer.clone(), saved: progress.saved.clone() },
        }
    }

    async fn resolve(&self, name: &str, secret: &Secret) -> Result<Secret, String> {
        let result = secrets::resolve(&self.policy, secret).await.unwrap_or_else(|e| Err(e.to_string()));
        result.map_err(|why| format!("{name}: {why}"))
    }

    /// Ends what waits for further messages.
    pub async fn close(&self) {
        self.mailer.close().await;
    }
}
