//! `/v1/status`, `/v1/stop`, `/healthz`.

use actix_web::{HttpRequest, HttpResponse, web};
use slog::info;

use super::status::status_of;
use super::{Context, peer};
use crate::control::api::{RunState, Status, Stopping};

pub async fn healthz(context: web::Data<Context>) -> HttpResponse {
    match context.run_state.get() {
        RunState::Running => HttpResponse::Ok().content_type("text/plain").body("ok\n"),
        other => HttpResponse::ServiceUnavailable().content_type("text/plain").body(format!("{}\n", other.as_str())),
    }
}

pub async fn status(context: web::Data<Context>) -> web::Json<Status> {
    web::Json(status_of(&context))
}

pub async fn stop(context: web::Data<Context>, request: HttpRequest) -> web::Json<Stopping> {
    let (uid, pid) = peer::of(&request);
    info!(context.log, "stop asked for through the control socket"; "uid" => uid, "pid" => pid);
    context.stop.notify_one();
    web::Json(Stopping { pid: std::process::id() })
}
