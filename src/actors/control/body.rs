//! The body of a request: read within bounds, then into a type.

use std::cell::Cell;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::rc::Rc;

use actix_web::dev::Payload;
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::connection::Caller;
use super::error::ApiError;
use crate::clock::Clock;
use crate::config::ControlLimits;
use crate::model::text::clean;

/// All bodies together may be so many times as long as one.
const TOGETHER: usize = 2;

/// The bodies that are on their way into one socket.
#[derive(Debug)]
pub struct Bodies {
    limits: watch::Receiver<ControlLimits>,
    clock: Clock,
    bytes: Cell<usize>,
}

impl Bodies {
    /// None yet.
    pub fn new(limits: watch::Receiver<ControlLimits>, clock: Clock) -> Bodies {
        Bodies { limits, clock, bytes: Cell::new(0) }
    }

    /// The limits in force.
    pub fn limits(&self) -> ControlLimits {
        *self.limits.borrow()
    }
}

/// One body's part of what all may take together.
struct Share {
    bodies: Rc<Bodies>,
    bytes: usize,
}

impl Share {
    /// Whether there is room for so much more.
    fn grow(&mut self, more: usize, most: usize) -> bool {
        let all = self.bodies.bytes.get().saturating_add(more);
        let fits = all <= most;
        if fits {
            self.bodies.bytes.set(all);
            self.bytes += more;
        }
        fits
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.bodies.bytes.set(self.bodies.bytes.get().saturating_sub(self.bytes));
    }
}

/// What the body says, as JSON.
#[derive(Debug)]
pub struct Sent<T>(T);

impl<T> Sent<T> {
    /// The value.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Sent<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: DeserializeOwned + 'static> FromRequest for Sent<T> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move { read(&request, payload).await.map(Sent) })
    }
}

/// A body as a route takes it.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|e| not_fit(&e.to_string()))
}

/// The reason may quote what was sent.
fn not_fit(why: &str) -> ApiError {
    ApiError::new(400, format!("the body is not what this route takes: {}", clean(why, 300)))
}

async fn read<T: DeserializeOwned>(request: &HttpRequest, mut payload: Payload) -> Result<T, ApiError> {
    let missing = || ApiError::new(500, "the server has no bounds for a body");
    let bodies = request.app_data::<Rc<Bodies>>().ok_or_else(missing)?;
    let caller = request.conn_data::<Rc<Caller>>().ok_or_else(missing)?;
    let json = request
        .mime_type()
        .ok()
        .flatten()
        .is_some_and(|mime| mime.subtype() == "json" || mime.suffix().is_some_and(|suffix| suffix == "json"));
    if !json {
        return Err(not_fit("send it with Content-Type: application/json"));
    }
    let limits = *bodies.limits.borrow();
    let too_long = || {
        let max = limits.shown_max_body();
        ApiError::new(413, format!("the body is longer than control.max_body = {max}: send it in parts, or raise that"))
    };
    let length = request.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > limits.max_body as u64) {
        return Err(too_long());
    }
    let left = limits.request_timeout.saturating_sub(bodies.clock.now().since(caller.since));
    let mut share = Share { bodies: Rc::clone(bodies), bytes: 0 };
    let mut all = Vec::new();
    let collect = async {
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|e| not_fit(&e.to_string()))?;
            if all.len() + chunk.len() > limits.max_body {
                return Err(too_long());
            }
            if !share.grow(chunk.len(), limits.max_body.saturating_mul(TOGETHER)) {
                let max = limits.shown_max_body();
                let why =
                    format!("the bodies that others are sending take {TOGETHER} x control.max_body = {max}: try again");
                return Err(ApiError::new(503, why));
            }
            all.extend_from_slice(&chunk);
        }
        Ok(())
    };
    match tokio::time::timeout(left, collect).await {
        Ok(collected) => collected?,
        Err(_) => {
            let (limit, came) = (limits.shown_request_timeout(), share.bytes);
            let of = length.map_or(String::new(), |length| format!(" of {length}"));
            let why =
                format!("the body did not come within control.request_timeout = {limit}: {came}{of} bytes of it did");
            return Err(ApiError::new(408, why));
        }
    }
    caller.request_is_here();
    parse(&all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_share_what_they_may_take_together() {
        let (_settings, limits) = watch::channel(ControlLimits {
            max_connections: 8,
            max_head: 4096,
            max_body: 10,
            request_timeout: std::time::Duration::from_secs(1),
        });
        let bodies = Rc::new(Bodies::new(limits, Clock::system()));
        let share = || Share { bodies: Rc::clone(&bodies), bytes: 0 };
        let (mut first, mut second) = (share(), share());
        assert!(first.grow(10, 20) && second.grow(10, 20));
        assert!(!share().grow(1, 20));
        drop(first);
        assert!(second.grow(10, 20) && !second.grow(usize::MAX, 20));
        drop(second);
        assert_eq!(bodies.bytes.get(), 0);
    }
}
