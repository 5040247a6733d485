//! What a caller names: a row is found from the moment it is committed, not from the watcher's next look on.
//!
//! ```text
//!  known -> answered at once
//!  else, and before anything is changed -> the watcher looks whether the tables have changed -> answered, or 404
//! ```

use std::time::Duration;

use tokio::time::timeout;

use super::Context;
use super::error::ApiError;
use crate::actors::watcher::{Depth, LookNow};

/// A database that does not answer holds up nobody for longer.
const PATIENCE: Duration = Duration::from_secs(1);

/// What `find` finds, with the definitions as they are now.
///
/// # Errors
/// Those of `find`; where the definitions cannot be read now, the sentence says so.
pub async fn found<T>(context: &Context, find: impl Fn() -> Result<T, ApiError>) -> Result<T, ApiError> {
    match find() {
        Err(ApiError(problem)) if problem.status == 404 => {}
        known => return known,
    }
    let unread = look(context).await.err();
    find().map_err(|ApiError(mut problem)| {
        if let Some(why) = unread {
            let so = "what was added just now is not known yet, since the definitions cannot be read";
            problem.detail = format!("{}; {so}: {why}", problem.detail);
        }
        ApiError(problem)
    })
}

/// Before something is changed by its name: the watcher looks whether the tables have changed, so that a name that has gone
/// over to another row means that one. Where they cannot be read now, the change says why by itself.
pub async fn as_it_is_now(context: &Context) {
    let _said_by_the_change = look(context).await;
}

async fn look(context: &Context) -> Result<(), String> {
    match timeout(PATIENCE, context.watcher.send(LookNow(Depth::IfChanged))).await {
        Ok(Ok(looked)) => looked.map(drop),
        Ok(Err(_)) => Err("the daemon stops".into()),
        Err(_) => Err(format!("the database has not answered within {PATIENCE:?}")),
    }
}
