//! `/metrics`: what Prometheus scrapes, on the control socket and on `[http] listen`.
//!
//! ```text
//!  board, identities, the system --read when asked--> families --> text
//! ```
//!
//! | file | families |
//! |---|---|
//! | `probes.rs` | probes: verdicts, reasons, durations, lateness; by tag and by target where asked |
//! | `targets.rs` | targets by status, and the gauges of each |
//! | `itself.rs` | skypunch itself: queues, spool, databases, telling people, credentials, the process |
//!
//! Names and units follow the conventions of Prometheus. No label holds a URL, an address or anything else that may be a
//! secret: names of targets, tenants, tags, notifiers and credentials only.

mod itself;
mod probes;
mod targets;

use actix_web::{HttpResponse, web};

use super::Context;
use super::status::status_of;
use crate::model::exposition::{CONTENT_TYPE, Exposition};

pub async fn metrics(context: web::Data<Context>) -> HttpResponse {
    HttpResponse::Ok().insert_header(("content-type", CONTENT_TYPE)).body(page(&context))
}

fn page(context: &Context) -> String {
    let mut page = Exposition::default();
    itself::families(&mut page, context, &status_of(context));
    let shown = targets::families(&mut page, context);
    probes::families(&mut page, context, &shown);
    page.into_text()
}
