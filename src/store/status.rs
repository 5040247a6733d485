//! Where each target stands, as the main database knows it.

use diesel::prelude::*;

use super::error::StoreError;
use super::rows::{StatusRow, StoredStatus};
use super::schema::target_status;
use super::{Store, on};

/// Rows read at once.
const PAGE: i64 = 1000;

impl Store {
    /// Every status, with the counters over the target's whole life. Rows of targets that are gone may be among them.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn load_statuses(&mut self) -> Result<Vec<StoredStatus>, StoreError> {
        let mut all = Vec::new();
        self.each_status(|s| all.push(s))?;
        Ok(all)
    }

    /// Shows every status, a page in memory at a time.
    ///
    /// # Errors
    /// See [`StoreError`]; some may have been shown then.
    pub fn each_status(&mut self, mut see: impl FnMut(StoredStatus)) -> Result<(), StoreError> {
        let mut after = i64::MIN;
        loop {
            let page: Vec<StatusRow<'static>> = self.run(|db| {
                Ok(on!(db, c => target_status::table
                    .filter(target_status::target_id.gt(after))
                    .order(target_status::target_id)
                    .limit(PAGE)
                    .load(c))?)
            })?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.target_id;
            page.into_iter().map(StatusRow::into_stored).for_each(&mut see);
        }
    }
}
