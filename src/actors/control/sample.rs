//! A marked sample to a notifier, told line by line as it happens.

use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::stream;
use slog::info;
use tokio::sync::{mpsc, oneshot};

use super::asked::Asked;
use super::error::ApiError;
use super::notifiers::find;
use super::streams::line;
use super::{Context, peer};
use crate::actors::notifier::{SampleKind, SendSample};
use crate::clock::Clock;
use crate::control::api::{
    NDJSON, ProblemDetails, SampleEvent, SampleLine, SampleQuery, SampleResult, SampleStarted, SampleStep,
};
use crate::notify::SendResult;

pub async fn test(
    context: web::Data<Context>,
    request: HttpRequest,
    path: web::Path<String>,
    query: Asked<SampleQuery>,
) -> Result<HttpResponse, ApiError> {
    let (id, entry) = find(&context, &path).await?;
    let (true, Some(notifier)) = (entry.problems.is_empty(), entry.in_force) else {
        let detail = format!("notifier {id} cannot be tested: its row is not valid");
        return Err(ApiError::invalid(detail, entry.problems));
    };
    let (uid, pid) = peer::of(&request);
    info!(context.log, "a sample was asked for through the control socket"; "uid" => uid, "pid" => pid,
        "notifier" => id.0);
    let (steps, mut received) = mpsc::unbounded_channel();
    let (result, ended) = oneshot::channel();
    let clock = context.clock.clone();
    let started = SampleLine::Started(SampleStarted {
        at_us: now_us(&clock),
        id,
        name: notifier.name.clone(),
        kind: notifier.kind.clone(),
        address: entry.row.shown_address(),
    });
    context.notifier.do_send(SendSample { notifier, kind: kind(query.event), steps, result });
    let (lines, mut out) = mpsc::unbounded_channel();
    actix_web::rt::spawn(async move {
        // Sending fails when the caller has gone; then the sample goes out unseen.
        let _gone = lines.send(started);
        while let Some(text) = received.recv().await {
            let _gone = lines.send(SampleLine::Step(SampleStep { at_us: now_us(&clock), text }));
        }
        let _gone = lines.send(match ended.await {
            Ok(sent) => SampleLine::Result(outcome(sent, now_us(&clock))),
            Err(_) => SampleLine::Error(ProblemDetails::new(500, "the sample was given up: the daemon is stopping")),
        });
    });
    let body = stream::poll_fn(move |cx| out.poll_recv(cx).map(|l| l.map(|l| line(&l))));
    Ok(HttpResponse::Ok().content_type(NDJSON).streaming(body))
}

fn kind(event: Option<SampleEvent>) -> SampleKind {
    match event {
        None => SampleKind::Test,
        Some(SampleEvent::Fail) => SampleKind::Fail,
        Some(SampleEvent::Recovery) => SampleKind::Recovery,
    }
}

fn now_us(clock: &Clock) -> i64 {
    i64::try_from(clock.wall_us_at_zero() + clock.now().0).unwrap_or(i64::MAX)
}

fn outcome(sent: SendResult, at_us: i64) -> SampleResult {
    let (sent, answer) = match sent {
        SendResult::Sent { answer, saved: _ } => (true, answer),
        SendResult::Transient { why, after: None } | SendResult::Permanent { why, .. } => (false, why),
        SendResult::Transient { why, after: Some(after) } => {
            (false, format!("{why}; the server wants to be left alone for {} s", after.as_secs()))
        }
    };
    SampleResult { at_us, sent, answer }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_became_of_it_is_told_in_words() {
        let sent = outcome(SendResult::Sent { answer: "ok".into(), saved: vec![("id".into(), "5".into())] }, 7);
        assert_eq!(sent, SampleResult { at_us: 7, sent: true, answer: "ok".into() });
        let busy = SendResult::Transient { why: "429".into(), after: Some(Duration::from_secs(30)) };
        let busy = outcome(busy, 8);
        assert_eq!((busy.sent, busy.answer.as_str()), (false, "429; the server wants to be left alone for 30 s"));
        assert!(!outcome(SendResult::permanent("gone"), 9).sent);
    }
}
