//! `/v1/reload`: settings and definitions are read anew.

use actix_web::{HttpRequest, web};
use slog::info;
use tokio::sync::oneshot;

use super::error::ApiError;
use super::status::invalid_notifiers;
use super::{Context, peer};
use crate::actors::watcher::Looked;
use crate::control::api::Reloaded;

/// A reload is wanted.
#[derive(Debug)]
pub struct Reload {
    /// Who waits for what comes of it.
    pub answer: Option<oneshot::Sender<ReloadAnswer>>,
}

/// What came of a reload.
#[derive(Debug)]
pub struct ReloadAnswer {
    /// The settings; or a sentence for each thing that is wrong with them, then the old ones go on.
    pub settings: Result<SettingsChange, Vec<String>>,
    /// The definitions; or why they cannot be read.
    pub definitions: Result<Looked, String>,
}

/// The settings that differ from those in force, as `section.key`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SettingsChange {
    /// In force now.
    pub changed: Vec<String>,
    /// In force after a restart.
    pub needs_restart: Vec<String>,
}

pub async fn reload(context: web::Data<Context>, request: HttpRequest) -> Result<web::Json<Reloaded>, ApiError> {
    let (uid, pid) = peer::of(&request);
    info!(context.log, "reload asked for through the control socket"; "uid" => uid, "pid" => pid);
    let (answer, done) = oneshot::channel();
    let stops = || ApiError::new(503, "the daemon stops");
    context.reload.send(Reload { answer: Some(answer) }).map_err(|_| stops())?;
    let ReloadAnswer { settings, definitions } = done.await.map_err(|_| stops())?;
    let settings = settings.map_err(|wrong| {
        let read = match &definitions {
            Ok(_) => "the definitions were read".to_owned(),
            Err(why) => format!("the definitions cannot be read ({why})"),
        };
        ApiError::new(422, format!("{read}; the settings are wrong and the old ones go on: {}", wrong.join("; ")))
    })?;
    let looked = definitions.map_err(|why| ApiError::new(503, format!("the definitions cannot be read: {why}")))?;
    Ok(web::Json(Reloaded {
        targets: looked.total as u64,
        changed: looked.changed as u64,
        invalid: context.board.all().iter().filter(|(_, e)| e.lock().invalid.is_some()).count() as u64
            + invalid_notifiers(&context.board),
        settings_changed: settings.changed,
        needs_restart: settings.needs_restart,
    }))
}
