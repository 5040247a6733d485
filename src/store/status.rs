//! Where each target stands, as the main database knows it.

use diesel::prelude::*;

use super::error::StoreError;
use super::rows::{StatusRow, StoredStatus};
use super::schema::target_status;
use super::{Store, on};

impl Store {
    /// Every status, with the counters over the target's whole life. Rows of targets that are gone may be among them.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn load_statuses(&mut self) -> Result<Vec<StoredStatus>, StoreError> {
        self.run(|db| {
            let rows: Vec<StatusRow<'static>> =
                on!(db, c => target_status::table.order(target_status::target_id).load(c))?;
            Ok(rows.into_iter().map(StatusRow::into_stored).collect())
        })
    }
}
