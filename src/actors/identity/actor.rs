//! The token actor of one credential: logs in when its keeper says so, and tells who waits, the log and persistence.
//!
//! ```text
//!  Wake (somebody waits, an alarm, a changed definition) -> Keeper::wake -> login -> waiting probes
//!                                                                             '-> account_login -> Recorder
//! ```
//!
//! It lives on a probing arbiter and logs in over that arbiter's prober.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use slog::{Logger, debug, info, warn};
use url::Url;

use super::handle::{Handle, LoginResult};
use super::source::{self, Source};
use super::{Behalf, Identities};
use crate::actors::arbiter::Local;
use crate::model::account::account_withdrawal;
use crate::model::credential::Login;
use crate::model::credential::account::{LoginOutcome, account_login};
use crate::model::reason::Reason;
use crate::model::state::TargetState;
use crate::model::subject::SubjectId;
use crate::model::target::TargetId;
use crate::model::time::Mono;
use crate::model::trace::packed::Packed;
use crate::model::trace::{Event, Trace};
use crate::openstack::IdentityError;
use crate::openstack::client::{IdentityClient, LoggedIn, Wanted};
use crate::probe::recorder::Recorder;
use crate::probe::{IdentityFailure, Prober};

/// Look whether there is something to do.
#[derive(Message, Debug, Clone, Copy)]
#[rtype(result = "()")]
pub struct Wake;

/// The definitions have changed; if this credential's has, nothing of the past holds.
#[derive(Message, Debug, Clone, Copy)]
#[rtype(result = "()")]
pub struct Recheck;

/// Another egress policy is in force; if the last one kept this credential from being tried, it is tried at once.
#[derive(Message, Debug, Clone, Copy)]
#[rtype(result = "()")]
pub struct EgressChanged;

/// Nobody uses the credential any more: stop, and end its incident as withdrawn.
#[derive(Message, Debug, Clone, Copy)]
#[rtype(result = "()")]
pub struct Retire;

/// The token actor of one credential.
pub struct TokenActor {
    local: Rc<Local>,
    identities: Arc<Identities>,
    handle: Arc<Handle>,
    log: Logger,
    state: TargetState,
    last_good: Option<Packed>,
    serial: u64,
    /// Why the last login failed.
    failing: Option<Reason>,
    /// Where v3 was the last time; asked for anew after a login that failed.
    base: Option<Url>,
    /// What the last login that was begun was made from, and for whom.
    source: Option<(Source, Behalf)>,
    alarm: SpawnHandle,
    running: SpawnHandle,
}

/// A login that has ended.
struct Ended {
    started: Mono,
    /// The catalog was asked for.
    catalog: bool,
    login: Option<Arc<Login>>,
    result: Result<LoggedIn, IdentityError>,
    trace: Trace,
}

impl TokenActor {
    /// The actor; to be called on the arbiter that `local` belongs to. `state` is where the credential stood when the
    /// daemon stopped.
    #[must_use]
    pub fn new(local: Rc<Local>, identities: Arc<Identities>, handle: Arc<Handle>, state: TargetState) -> TokenActor {
        let log = identities.log.clone();
        TokenActor {
            local,
            identities,
            handle,
            log,
            state,
            last_good: None,
            serial: 0,
            failing: None,
            base: None,
            source: None,
            alarm: SpawnHandle::default(),
            running: SpawnHandle::default(),
        }
    }

    fn act(&mut self, ctx: &mut Context<Self>) {
        let now = self.local.clock.now();
        let (login, lapsed, next) = {
            let mut data = self.handle.lock();
            let login = data.keeper.wake(now);
            (login, data.keeper.failure(now).cloned(), data.keeper.next_wake(now))
        };
        if let Some(why) = lapsed.filter(|_| self.state.incident.is_none() && !login) {
            // The token of an earlier login held when this one failed; now it has ended.
            self.account(Err(&why), 0, Trace::default());
        }
        if login {
            self.log_in(ctx);
        }
        ctx.cancel_future(self.alarm);
        if let Some(at) = next.filter(|_| !login) {
            let wait = at.since(now).max(Duration::from_millis(1));
            self.alarm = ctx.run_later(wait, |actor, ctx| actor.act(ctx));
        }
    }

    fn log_in(&mut self, ctx: &mut Context<Self>) {
        self.serial += 1;
        let (local, handle, identities) =
            (Rc::clone(&self.local), Arc::clone(&self.handle), Arc::clone(&self.identities));
        let (source, behalf) = (identities.source(&handle.key), identities.behalf(&handle.key));
        self.source = Some((source.clone(), behalf.clone()));
        let users_want = identities.wants_catalog(&handle.key);
        {
            let mut data = handle.lock();
            data.catalog |= users_want;
            if let Source::Known(login) = &source {
                data.login = Some(Arc::clone(login));
            }
        }
        let (serial, base) = (self.serial, self.base.take());
        let work = async move {
            let _turn = match &source {
                Source::Known(login) => identities.turns.take(&login.auth_url).await,
                // Of the entries of clouds.yaml there are few.
                Source::Cloud(_) | Source::Missing(_) => None,
            };
            let catalog = handle.lock().catalog;
            let started = local.clock.now();
            let recorder = Rc::new(Recorder::new(local.clock.clone(), None));
            let wanted = Wanted { serial, catalog, base: base.as_ref() };
            let (login, result) = run(&local, &identities, (source, &behalf), wanted, &recorder).await;
            let (_, trace) = recorder.finish();
            Ended { started, catalog, login, result, trace }
        };
        self.running = ctx.spawn(work.into_actor(self).map(|ended, actor, ctx| {
            actor.ended(ended);
            actor.act(ctx);
        }));
    }

    fn ended(&mut self, ended: Ended) {
        let now = self.local.clock.now();
        let took = now.us_since(ended.started);
        self.handle.lock().login = ended.login;
        let at = self.local.clock.utc_now();
        let (result, no_token): (LoginResult, bool) = match ended.result {
            Ok(LoggedIn { token, base }) => {
                self.base = Some(base);
                let token = Arc::new(token);
                let mut data = self.handle.lock();
                data.keeper.logged_in(ended.started, Arc::clone(&token));
                data.shown.expires = Some(ended.started + token.lifetime);
                data.shown.holder = Some(token.holder.clone());
                data.shown.logged_in_at = Some(at);
                data.shown.failed = None;
                data.shown.logins.0 += 1;
                if data.catalog && !ended.catalog {
                    // Somebody who needs the catalog has come meanwhile.
                    data.keeper.insufficient();
                } else {
                    data.answer(&Ok(Arc::clone(&token)));
                }
                (Ok(token), false)
            }
            Err(e) => {
                let why = self.failure(&e);
                let mut data = self.handle.lock();
                let no_token = data.keeper.login_failed(now, e.reason, why.clone(), e.retry_after);
                data.shown.failed = Some((at, e.sentence.clone()));
                data.shown.logins.1 += 1;
                let answer = match data.keeper.at_hand(now) {
                    Some(token) => Ok(Arc::clone(token)),
                    None => Err(why),
                };
                data.answer(&answer);
                drop(data);
                let failed = IdentityFailure { reason: e.reason, sentence: e.sentence };
                (Err(failed), no_token)
            }
        };
        let name = self.identities.name(&self.handle.key);
        match &result {
            Ok(token) => info!(self.log, "logged in"; "credential" => name, "as" => token.holder.to_string(),
                "lifetime_s" => token.lifetime.as_secs(), "latency_us" => took),
            // Told once, and again when it fails otherwise; a Keystone that is down for a day is no news every 30 s.
            Err(why) if self.failing != Some(why.reason) => {
                warn!(self.log, "the login of a credential failed; it will be tried again"; "credential" => name,
                    "reason" => why.reason.as_str(), "error" => why.sentence.clone(), "token_at_hand" => !no_token);
            }
            Err(why) => debug!(self.log, "the login of a credential failed again"; "credential" => name,
                "reason" => why.reason.as_str(), "error" => why.sentence.clone()),
        }
        self.failing = result.as_ref().err().map(|why| why.reason);
        if result.is_ok() || no_token {
            self.account(result.as_ref().map(|_| ()), took, ended.trace);
        }
    }

    /// What targets are told: a credential that many share fails for all of them, and is the one to be told of.
    fn failure(&self, e: &IdentityError) -> IdentityFailure {
        let name = self.identities.name(&self.handle.key);
        let own = self.handle.key.owner().is_some();
        let reason = match e.reason {
            Reason::AuthConfig if !own => Reason::IdentityRejected,
            Reason::EgressDenied if !own => Reason::IdentityUnreachable,
            reason => reason,
        };
        let sentence = if own { e.sentence.clone() } else { format!("credential {name}: {}", e.sentence) };
        IdentityFailure { reason, sentence }
    }

    /// Our own trouble is not the credential's, and the configuration of a target is the target's.
    fn is_its_own(&self, reason: Reason) -> bool {
        match reason {
            Reason::IdentityUnreachable | Reason::IdentityRejected => true,
            Reason::AuthConfig | Reason::EgressDenied => self.handle.key.owner().is_none(),
            _ => false,
        }
    }

    fn account(&mut self, result: Result<(), &IdentityFailure>, latency_us: u32, mut trace: Trace) {
        if result.is_err_and(|why| !self.is_its_own(why.reason)) {
            return;
        }
        if let Err(why) = result {
            let at = trace.steps.last().map_or(0, |s| s.at_us);
            trace.push(at, Event::Failed { reason: why.reason, description: why.sentence.clone() });
        }
        let login =
            LoginOutcome { failed: result.err().map(|why| (why.reason, why.sentence.clone())), latency_us, trace };
        let state = std::mem::take(&mut self.state);
        let facts = self.identities.facts(&self.handle.key);
        let (at, fresh) = (self.local.clock.utc_now(), self.local.next_id());
        let (state, recorded) =
            account_login(state, &self.handle.key, facts, &login, at, fresh, self.last_good.as_ref());
        self.state = state;
        self.local.recorder.push(recorded);
        if login.failed.is_none() {
            self.last_good = Some(Packed::new(&login.trace));
        }
    }
}

/// Logs in with what the source says now, on somebody's behalf.
pub async fn run(
    local: &Local,
    identities: &Identities,
    (source, behalf): (Source, &Behalf),
    wanted: Wanted<'_>,
    recorder: &Rc<Recorder>,
) -> (Option<Arc<Login>>, Result<LoggedIn, IdentityError>) {
    let login = match source::login(source, identities.login_timeout).await {
        Ok(login) => login,
        Err(e) => return (None, Err(e)),
    };
    let Prober::Http(prober) = &local.prober else {
        let why = "logging in: this daemon probes by a script";
        return (Some(login), Err(IdentityError::new(Reason::Internal, why)));
    };
    let client = IdentityClient {
        prober,
        secrets: &identities.secrets,
        timeout: identities.login_timeout,
        caller: behalf.caller(),
    };
    let result = client.log_in(&login, wanted, recorder).await;
    (Some(login), result)
}

impl Actor for TokenActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if self.state.incident.is_some() {
            // It failed when the daemon stopped: whether it still does must not wait for somebody who asks.
            let now = self.local.clock.now();
            let _waits = self.handle.lock().keeper.ask(now, TargetId(0), None);
        }
        self.act(ctx);
    }
}

impl Handler<Wake> for TokenActor {
    type Result = ();

    fn handle(&mut self, _: Wake, ctx: &mut Self::Context) {
        self.act(ctx);
    }
}

impl Handler<Recheck> for TokenActor {
    type Result = ();

    fn handle(&mut self, _: Recheck, ctx: &mut Self::Context) {
        let source = self.identities.source(&self.handle.key);
        let behalf = self.identities.behalf(&self.handle.key);
        let before = self.source.as_ref();
        if !source.differs(before.map(|(source, _)| source)) && before.is_none_or(|(_, before)| *before == behalf) {
            return;
        }
        ctx.cancel_future(self.running);
        let mut data = self.handle.lock();
        if let Source::Missing(why) = &source {
            // No login: whoever still waits is told, and an incident ends when it is seen that nobody uses this.
            data.keeper.reset(false);
            data.answer(&Err(IdentityFailure { reason: Reason::AuthConfig, sentence: why.clone() }));
        } else {
            data.keeper.reset(true);
        }
        data.shown = data.shown.afresh();
        drop(data);
        (self.source, self.base) = (Some((source, behalf)), None);
        self.act(ctx);
    }
}

impl Handler<EgressChanged> for TokenActor {
    type Result = ();

    fn handle(&mut self, _: EgressChanged, ctx: &mut Self::Context) {
        if self.failing == Some(Reason::EgressDenied) {
            self.handle.lock().keeper.try_now(self.local.clock.now());
            self.act(ctx);
        }
    }
}

impl Handler<Retire> for TokenActor {
    type Result = ();

    fn handle(&mut self, _: Retire, ctx: &mut Self::Context) {
        ctx.cancel_future(self.running);
        let subject = SubjectId::from(&self.handle.key);
        let state = std::mem::take(&mut self.state);
        let (_, recorded) = account_withdrawal(state, subject, self.local.clock.utc_now());
        if let Some(recorded) = recorded {
            self.local.recorder.push(recorded);
        }
        self.local.recorder.flush();
        ctx.stop();
    }
}
