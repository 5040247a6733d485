//! A batch as bytes.
//!
//! postcard is compact and fast but cannot carry a trace, whose steps describe themselves; incidents are few and go as
//! JSON within it.

use serde::{Deserialize, Serialize};

use crate::model::record::{Batch, ResultRecord, StatusRecord};
use crate::store::StoreError;

/// Raised when the form changes; a spool of another form cannot be read.
const FORM: u8 = 1;

#[derive(Serialize, Deserialize)]
struct Form<R, S> {
    writer: i64,
    number: i64,
    results: R,
    statuses: S,
    incidents: String,
}

/// The bytes of a batch.
pub(super) fn encode(batch: &Batch) -> Result<Vec<u8>, StoreError> {
    let failed = |e: &dyn std::fmt::Display| StoreError::Rejected(format!("a batch cannot be kept: {e}"));
    let form = Form::<&[ResultRecord], &[StatusRecord]> {
        writer: batch.writer,
        number: batch.number,
        results: &batch.results,
        statuses: &batch.statuses,
        incidents: serde_json::to_string(&batch.incidents).map_err(|e| failed(&e))?,
    };
    postcard::to_extend(&form, vec![FORM]).map_err(|e| failed(&e))
}

/// The batch of some bytes.
pub(super) fn decode(bytes: &[u8]) -> Result<Batch, StoreError> {
    let failed = |e: &dyn std::fmt::Display| StoreError::Unreadable(format!("a batch in the spool: {e}"));
    let Some((&FORM, body)) = bytes.split_first() else {
        return Err(failed(&"it was written by another version"));
    };
    let form: Form<Vec<ResultRecord>, Vec<StatusRecord>> = postcard::from_bytes(body).map_err(|e| failed(&e))?;
    Ok(Batch {
        writer: form.writer,
        number: form.number,
        results: form.results,
        statuses: form.statuses,
        incidents: serde_json::from_str(&form.incidents).map_err(|e| failed(&e))?,
    })
}
