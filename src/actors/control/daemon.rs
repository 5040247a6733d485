//! `/v1/status`, `/v1/reload`, `/v1/stop`, `/healthz`.

use actix_web::{HttpRequest, HttpResponse, web};
use slog::info;

use super::error::ApiError;
use super::status::{invalid_notifiers, status_of};
use super::{Context, peer};
use crate::actors::watcher::LookNow;
use crate::control::api::{Reloaded, RunState, Status, Stopping};

pub async fn healthz(context: web::Data<Context>) -> HttpResponse {
    match context.run_state.get() {
        RunState::Running => HttpResponse::Ok().content_type("text/plain").body("ok\n"),
        other => HttpResponse::ServiceUnavailable().content_type("text/plain").body(format!("{}\n", other.as_str())),
    }
}

pub async fn status(context: web::Data<Context>) -> web::Json<Status> {
    web::Json(status_of(&context))
}

pub async fn reload(context: web::Data<Context>, request: HttpRequest) -> Result<web::Json<Reloaded>, ApiError> {
    let (uid, pid) = peer::of(&request);
    info!(context.log, "reload asked for through the control socket"; "uid" => uid, "pid" => pid);
    match context.watcher.send(LookNow).await {
        Ok(Ok(looked)) => Ok(web::Json(Reloaded {
            targets: looked.total as u64,
            changed: looked.changed as u64,
            invalid: context.board.all().iter().filter(|(_, e)| e.lock().invalid.is_some()).count() as u64
                + invalid_notifiers(&context.board),
        })),
        Ok(Err(why)) => Err(ApiError::new(503, format!("the definitions cannot be read: {why}"))),
        Err(_) => Err(ApiError::new(503, "the daemon stops")),
    }
}

pub async fn stop(context: web::Data<Context>, request: HttpRequest) -> web::Json<Stopping> {
    let (uid, pid) = peer::of(&request);
    info!(context.log, "stop asked for through the control socket"; "uid" => uid, "pid" => pid);
    context.stop.notify_one();
    web::Json(Stopping { pid: std::process::id() })
}
