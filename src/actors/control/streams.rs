//! Routes that answer line by line, as things happen: a test, and the results as they come.

use std::rc::Rc;

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::stream;
use serde::Serialize;
use slog::info;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{mpsc, oneshot};

use super::asked::Asked;
use super::body::Bodies;
use super::connection::Caller;
use super::error::ApiError;
use super::reads::{find, find_any};
use super::server::{Callers, Room};
use super::{Context, peer};
use crate::actors::supervisor::Test;
use crate::board::Seen;
use crate::control::api::{NDJSON, ProblemDetails, TestLine, TestStarted, WatchEvent, WatchLine, WatchQuery};
use crate::model::target::TargetId;

/// One JSON value and a line break.
pub(super) fn line(value: &impl Serialize) -> Result<Bytes, actix_web::Error> {
    let mut text = serde_json::to_vec(value)?;
    text.push(b'\n');
    Ok(text.into())
}

pub async fn test(
    context: web::Data<Context>,
    request: HttpRequest,
    path: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let (id, entry) = find(&context, &path).await?;
    let Some(target) = entry.lock().target.clone() else {
        return Err(ApiError::new(
            422,
            format!("target {id} cannot be tested: its row is not valid; see `skypunchctl targets {id}`"),
        ));
    };
    let (uid, pid) = peer::of(&request);
    info!(context.log, "a test was asked for through the control socket"; "uid" => uid, "pid" => pid, "target" => id.0);
    let (steps, mut received) = mpsc::unbounded_channel();
    let (outcome, ended) = oneshot::channel();
    let started = TestLine::Started(TestStarted {
        started_at_us: i64::try_from(context.clock.wall_us_at_zero() + context.clock.now().0).unwrap_or(i64::MAX),
        id,
        name: target.name.clone(),
        method: target.method.to_string(),
        url: target.url.to_string(),
    });
    context.supervisor.do_send(Test { target, steps, outcome });
    let (lines, mut out) = mpsc::unbounded_channel();
    actix_web::rt::spawn(async move {
        // Sending fails when the caller has gone; then the probe runs to its end unseen.
        let _gone = lines.send(started);
        while let Some(step) = received.recv().await {
            let _gone = lines.send(TestLine::Step(step));
        }
        let _gone = lines.send(match ended.await {
            Ok(outcome) => TestLine::Outcome(outcome),
            Err(_) => TestLine::Error(ProblemDetails::new(500, "the probe ended without an outcome: see the log")),
        });
    });
    let body = stream::poll_fn(move |cx| out.poll_recv(cx).map(|l| l.map(|l| line(&l))));
    Ok(HttpResponse::Ok().content_type(NDJSON).streaming(body))
}

pub async fn watch(
    context: web::Data<Context>,
    request: HttpRequest,
    query: Asked<WatchQuery>,
) -> Result<HttpResponse, ApiError> {
    take_a_place(&request)?;
    let only = find_any(&context, query.target.as_deref()).await?;
    let receiver = context.board.watch();
    let body = stream::unfold(receiver, move |mut receiver| async move {
        loop {
            let next = match receiver.recv().await {
                Ok(seen) if only.is_some_and(|id| id != seen.target.id) => continue,
                Ok(seen) => WatchLine::Result(event(&seen)),
                Err(RecvError::Lagged(lagged)) => WatchLine::Lagged { lagged },
                Err(RecvError::Closed) => return None,
            };
            return Some((line(&next), receiver));
        }
    });
    Ok(HttpResponse::Ok().content_type(NDJSON).streaming(body))
}

/// Half of all callers may watch: the others come and go.
fn take_a_place(request: &HttpRequest) -> Result<(), ApiError> {
    let places =
        (request.app_data::<Rc<Callers>>(), request.app_data::<Rc<Bodies>>(), request.conn_data::<Rc<Caller>>());
    let (Some(callers), Some(bodies), Some(caller)) = places else {
        return Err(ApiError::new(500, "the server does not know who calls"));
    };
    let limits = bodies.limits();
    if let Room::Full = callers.make_room_to_watch(limits) {
        let most = limits.max_connections;
        let why =
            format!("half of control.max_connections = {most} watch already: try again when one has left, or raise it");
        return Err(ApiError::new(503, why));
    }
    caller.now_watches();
    Ok(())
}

fn event(seen: &Seen) -> WatchEvent {
    WatchEvent {
        id: TargetId(seen.target.id.0),
        name: seen.target.name.clone(),
        method: seen.target.method.to_string(),
        url: seen.target.url.to_string(),
        verdict: seen.outcome.verdict,
        reason: seen.outcome.reason,
        description: seen.outcome.description.clone().into_owned(),
        latency_us: seen.outcome.latency_us,
        status_code: seen.outcome.status_code,
        started_at: seen.started_at,
    }
}
