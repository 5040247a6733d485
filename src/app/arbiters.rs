//! Threads on which targets are probed: how many, and what each of them has.

use std::rc::Rc;
use std::sync::Arc;

use actix::prelude::*;
use actix_rt::ArbiterHandle;
use slog::Logger;

use super::with_causes;
use crate::actors::arbiter::Local;
use crate::actors::identity::{Identities, LocalTokens};
use crate::actors::persistence::Persistence;
use crate::actors::supervisor::Supervisor;
use crate::board::Board;
use crate::clock::Clock;
use crate::config::Settings;
use crate::logging::{LogGuard, ResultLog};
use crate::net::EgressSource;
use crate::probe::{HttpProber, ProbeSettings, Prober};

/// One arbiter keeps up with 15,000 plain probes a second, and a second one costs a tenth more for each probe; more
/// cores are used where there are many.
pub(super) fn arbiter_count(setting: usize) -> usize {
    match setting {
        0 => std::thread::available_parallelism().map_or(1, |n| (n.get() / 2).clamp(1, 8)),
        n => n,
    }
}

/// Makes a [`Local`], on its arbiter.
pub(super) type MakeLocal = Box<dyn FnOnce() -> Result<Rc<Local>, String> + Send>;

/// What an arbiter's [`Local`] is made from.
#[expect(clippy::too_many_arguments, reason = "it hands on what an arbiter shares")]
pub(super) fn make_local(
    (settings, egress): (&Settings, &EgressSource),
    clock: &Clock,
    board: &Arc<Board>,
    persistence: &Addr<Persistence>,
    supervisor: &Addr<Supervisor>,
    identities: &Arc<Identities>,
    (log, guard): (&Logger, &LogGuard),
    node: u16,
) -> MakeLocal {
    let probe = ProbeSettings {
        user_agent: settings.probe.user_agent.clone(),
        body_cap: settings.probe.body_cap,
        name_servers: (!settings.probe.name_servers.is_empty()).then(|| settings.probe.name_servers.clone()),
        young_limit: settings.probe.young_limit,
        login_timeout: settings.openstack.login_timeout,
        egress: egress.clone(),
        ..ProbeSettings::default()
    };
    let (secrets, clock, board) = (settings.secrets.clone(), clock.clone(), Arc::clone(board));
    let (sink, died) = (persistence.clone().recipient(), supervisor.clone().recipient());
    let results = ResultLog::live(log.clone(), guard.live());
    let identities = Arc::clone(identities);
    Box::new(move || {
        let prober = HttpProber::new(probe, secrets, clock.clone()).map_err(|e| with_causes(&e))?;
        let prober = prober.with_tokens(Rc::new(LocalTokens::new(identities)));
        Ok(Local::new(Prober::Http(Rc::new(prober)), clock, board, sink, results, died, node))
    })
}

/// Makes a [`Local`] on an arbiter.
pub(super) async fn install(arbiter: &ArbiterHandle, make: MakeLocal) -> Result<(), String> {
    let (done, installed) = tokio::sync::oneshot::channel();
    arbiter.spawn_fn(move || {
        // For people who look at threads (`top -H`); without it all goes on.
        let _unnamed = std::fs::write("/proc/thread-self/comm", "probing");
        // Nobody waits any more when the start has failed elsewhere.
        let _gone = done.send(make().map(Local::install));
    });
    installed.await.unwrap_or_else(|_| Err("an arbiter could not be started".into()))
}
