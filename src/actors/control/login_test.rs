//! Logins that people ask for: a test told line by line as it happens, and a catalog as a targets file.
//!
//! ```text
//!  test, discover --> Identities::log_in_apart --> steps, then whose token it is | the targets file
//! ```
//!
//! The token is forgotten at the end; what probes use is neither asked nor touched.

use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::stream;
use slog::{Logger, info};
use tokio::sync::mpsc;

use super::asked::Asked;
use super::error::ApiError;
use super::logins::{self, Meant};
use super::streams::line;
use super::{Context, peer};
use crate::actors::identity::Apart;
use crate::control::api::{DiscoverQuery, Granted, LoginLine, LoginResult, LoginStarted, NDJSON, ProblemDetails, TOML};
use crate::model::text::quoted;
use crate::model::token::Token;
use crate::openstack::discover;

/// The credential, if its login may be tried.
async fn fit(context: &Context, reference: &str) -> Result<Meant, ApiError> {
    let meant = logins::find(context, reference).await?;
    if let Meant::Row(id, entry) = &meant
        && (!entry.problems.is_empty() || entry.in_force.is_none())
    {
        let detail = format!("nobody can log in with credential {id}: its row is not valid");
        return Err(ApiError::invalid(detail, entry.problems.clone()));
    }
    Ok(meant)
}

fn log(log: &Logger, request: &HttpRequest, what: &'static str, name: &str) {
    let (uid, pid) = peer::of(request);
    info!(log, "a login was asked for through the control socket"; "uid" => uid, "pid" => pid, "for" => what,
        "credential" => name.to_owned());
}

pub async fn test(
    context: web::Data<Context>,
    request: HttpRequest,
    path: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let meant = fit(&context, &path).await?;
    let (key, name) = (meant.key(), meant.name());
    log(&context.log, &request, "test", &name);
    let login = context.identities.login(&key).await;
    let started = LoginLine::Started(LoginStarted {
        started_at_us: i64::try_from(context.clock.wall_us_at_zero() + context.clock.now().0).unwrap_or(i64::MAX),
        name,
        auth_url: login.ok().map(|login| login.auth_url.to_string()),
    });
    let (steps, mut received) = mpsc::unbounded_channel();
    let ended = context.identities.log_in_apart(&key, Some(steps));
    let (lines, mut out) = mpsc::unbounded_channel();
    actix_web::rt::spawn(async move {
        // Sending fails when the caller has gone; then the login runs to its end unseen.
        let _gone = lines.send(started);
        while let Some(step) = received.recv().await {
            let _gone = lines.send(LoginLine::Step(step));
        }
        let _gone = lines.send(match ended.await {
            Ok(ended) => LoginLine::Result(result(ended)),
            Err(_) => LoginLine::Error(stops()),
        });
    });
    let body = stream::poll_fn(move |cx| out.poll_recv(cx).map(|l| l.map(|l| line(&l))));
    Ok(HttpResponse::Ok().content_type(NDJSON).streaming(body))
}

fn stops() -> ProblemDetails {
    ProblemDetails::new(503, "the login was given up: the daemon is stopping")
}

fn result(ended: Apart) -> LoginResult {
    let latency_us = ended.latency_us;
    match ended.result {
        Ok(logged_in) => {
            LoginResult { latency_us, reason: None, error: None, granted: Some(granted(&logged_in.token)) }
        }
        Err(e) => LoginResult { latency_us, reason: Some(e.reason), error: Some(e.sentence), granted: None },
    }
}

fn granted(token: &Token) -> Granted {
    let holder = token.holder.clone();
    Granted {
        logged_in_as: holder.to_string(),
        user: holder.user,
        project: holder.project,
        domain: holder.domain,
        system: holder.system,
        roles: holder.roles,
        lifetime_s: token.lifetime.as_secs(),
        endpoints: token.catalog.as_ref().map_or(0, |c| c.endpoints.len()),
    }
}

pub async fn discover(
    context: web::Data<Context>,
    request: HttpRequest,
    path: web::Path<String>,
    query: Asked<DiscoverQuery>,
) -> Result<HttpResponse, ApiError> {
    let meant = fit(&context, &path).await?;
    let name = meant.name();
    if let Meant::Own(target) = &meant {
        let shown = quoted(&target.name);
        return Err(ApiError::new(
            422,
            format!(
                "the login of target {shown} is its own, and other targets cannot name it: add it as a credential \
                 (skypunchctl add credential), and discover with that"
            ),
        ));
    }
    log(&context.log, &request, "discover", &name);
    let ended = context.identities.log_in_apart(&meant.key(), None).await;
    let ended = ended.map_err(|_| ApiError(Box::new(stops())))?;
    let failed =
        |why: String| ApiError::new(502, format!("logging in with the credential {} failed: {why}", quoted(&name)));
    let token = ended.result.map_err(|e| failed(e.sentence))?.token;
    let catalog = token.catalog.unwrap_or_default();
    let (interface, region) = (query.interface.as_deref(), query.region.as_deref());
    if let Some(why) = discover::nothing(&catalog, interface, region) {
        return Err(ApiError::new(422, format!("the catalog of the credential {} {why}", quoted(&name))));
    }
    let file = discover::discover(&catalog, &name, interface, region);
    Ok(HttpResponse::Ok().content_type(TOML).body(file))
}
