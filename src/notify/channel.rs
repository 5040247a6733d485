//! One door to all channels: a notifier's type decides which one a message takes.
//!
//! ```text
//!  Channels::send --SMTP------> mail
//!                '-catalogue--> secrets resolved -> requests, one after the other -> webhook
//! ```

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::catalogue::{AddressInfo, Catalogue, Check, Input, ParamInfo, ParamType, Provider, TypeInfo};
use super::mail::{self, Mailer};
use super::webhook::Webhooks;
use super::{Dialogue, SendResult};
use crate::clock::Clock;
use crate::model::definition::Problem;
use crate::model::message::Message;
use crate::model::notifier::Notifier;
use crate::net::{Net, ResolverSettings, secrets};
use crate::secret::{Secret, SecretPolicy};

/// The type that is built in.
pub const SMTP: &str = "SMTP";

/// A message to a webhook must be taken within this, all its requests together.
const LIMIT: Duration = Duration::from_secs(30);

/// So many requests that were taken are remembered, so that a repeat sends only the others.
const REMEMBERED: usize = 1000;

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
    let param = |p: &mail::ParamInfo| ParamInfo {
        name: p.name.to_owned(),
        kind: ParamType::Text,
        required: p.required,
        secret: p.secret,
        default: p.default.map(str::to_owned),
        help: p.help.to_owned(),
        ..ParamInfo::default()
    };
    catalogue.add_built_in(TypeInfo {
        name: SMTP.into(),
        title: "Mail".into(),
        address: AddressInfo { help: mail::ADDRESS_HELP.into(), check: Check::default(), ..AddressInfo::default() },
        params: mail::PARAMS.iter().map(param).collect(),
        ..TypeInfo::default()
    });
    catalogue
}

fn is_smtp(kind: &str) -> bool {
    kind.trim().eq_ignore_ascii_case(SMTP)
}

/// Sends for all notifiers; belongs to one arbiter.
#[derive(Debug)]
pub struct Channels {
    catalogue: Arc<Catalogue>,
    mailer: Mailer,
    webhooks: Webhooks,
    policy: Arc<SecretPolicy>,
    clock: Clock,
    /// Ids of requests that were taken while others of the same message were not.
    taken: RefCell<VecDeque<String>>,
}

impl Channels {
    /// Connects to nothing yet.
    #[must_use]
    pub fn new(
        catalogue: Arc<Catalogue>,
        resolver: ResolverSettings,
        policy: Arc<SecretPolicy>,
        clock: Clock,
    ) -> Channels {
        Channels {
            catalogue,
            mailer: Mailer::new(resolver.clone(), Arc::clone(&policy), clock.clone()),
            webhooks: Webhooks::new(Net::new(resolver, clock.clone()), clock.clone()),
            policy,
            clock,
            taken: RefCell::default(),
        }
    }

    /// Sends a message; `saved` is what the first message about its incident left behind.
    pub async fn send(
        &self,
        notifier: &Notifier,
        message: &Message,
        saved: &[(String, String)],
        dialogue: &dyn Dialogue,
    ) -> SendResult {
        if is_smtp(&notifier.kind) {
            return self.mailer.send(notifier, message, dialogue).await;
        }
        let Some(provider) = self.catalogue.get(&notifier.kind) else {
            let why = format!("its type {} is not in the catalogue any more", notifier.kind);
            return SendResult::Permanent { why };
        };
        match tokio::time::timeout(LIMIT, self.by_provider(provider, notifier, message, saved, dialogue)).await {
            Ok(result) => result,
            Err(_) => SendResult::Transient {
                why: format!("not taken within {}", humantime::format_duration(LIMIT)),
                after: None,
            },
        }
    }

    async fn by_provider(
        &self,
        provider: &Provider,
        notifier: &Notifier,
        message: &Message,
        saved: &[(String, String)],
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
        let input = Input { message, address: &address, params: &params, saved, templates, now };
        let requests = match provider.requests(&input) {
            Ok(requests) => requests,
            Err(e) => {
                dialogue.step(&format!("[FAIL] {e}"));
                return SendResult::Permanent { why: e.to_string() };
            }
        };
        let mut last = SendResult::Sent { answer: "nothing is to be told here".into(), saved: Vec::new() };
        let mut kept = Vec::new();
        for request in &requests {
            if self.taken.borrow().contains(&request.id) {
                continue;
            }
            last = self.webhooks.send(request, LIMIT, dialogue).await;
            let SendResult::Sent { saved, .. } = &mut last else { return last };
            kept.append(saved);
            if requests.len() > 1 {
                let mut taken = self.taken.borrow_mut();
                taken.push_back(request.id.clone());
                if taken.len() > REMEMBERED {
                    taken.pop_front();
                }
            }
        }
        if let SendResult::Sent { saved, .. } = &mut last {
            *saved = kept;
        }
        last
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
