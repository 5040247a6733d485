//! What people write: the tables `targets`, `notifiers` and `credentials`.
//!
//! ```text
//!  targets.rs, notifiers.rs, credentials.rs   the columns of each, there and back
//!  raw.rs                                     every value as bytes
//!  here                                       reading in pages, edits, and apply: all or nothing over the tables
//! ```
//!
//! Reading takes every row, whatever is in it: each column comes as bytes and is made text or number here, so that one
//! odd row never hides the others. What a definition means is judged by its `validate`, not here.

mod credentials;
pub(super) mod notifiers;
mod raw;
pub(super) mod targets;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use self::raw::{bytes_of, hold};
use super::error::StoreError;
use super::schema;
use super::{Db, Store, on, write_tx};
use crate::model::credential::CredentialDefinition;
use crate::model::defined::Defined;
use crate::model::definition::Definition;
use crate::model::notifier::NotifierDefinition;
use crate::model::plan::Edits;
use crate::model::text::quoted;
use crate::model::time::UtcMs;

/// What [`Store::apply`] did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// The ids of the inserted targets, in the order of the request.
    pub inserted: Vec<i64>,
    /// Those of the inserted notifiers.
    pub inserted_notifiers: Vec<i64>,
    /// Those of the inserted credentials.
    pub inserted_credentials: Vec<i64>,
}

/// Rows read at once: 100,000 of them in memory twice would stay with the process.
const PAGE: usize = 1000;

/// Shows all rows of a table, a page in memory at a time.
macro_rules! each {
    ($store:expr, $table:ident, $see:expr) => {{
        let mut after = i64::MIN;
        loop {
            let page: Vec<$table::Raw> = $store.run(|db| {
                Ok(on!(db, c => {
                    let which = concat!("WHERE ", stringify!($table), ".id > ?");
                    let text = format!("{} LIMIT {PAGE}", $table::select(bytes_of(c), which));
                    diesel::sql_query(text).bind::<BigInt, _>(after).load(c)
                })?)
            })?;
            let last = page.len() < PAGE;
            for raw in page {
                let definition = raw.into_definition();
                after = definition.id;
                $see(definition);
            }
            if last {
                break;
            }
        }
        $store.forget_pages()
    }};
}

/// Reads a row, has it edited and writes it back, in one transaction.
macro_rules! edit {
    ($store:expr, $table:ident, $id:expr, $now:expr, $edit:expr) => {
        $store.run(|db| {
            write_tx!(db, c => {
                let which = concat!("WHERE ", stringify!($table), ".id = ?");
                let text = format!("{} {}", $table::select(bytes_of(c), which), hold(c));
                let rows: Vec<$table::Raw> = diesel::sql_query(text).bind::<BigInt, _>($id).load(c)?;
                let Some(mut d) = rows.into_iter().next().map($table::Raw::into_definition) else {
                    return Err(StoreError::Missing($id));
                };
                if let Err(why) = $edit(&mut d) {
                    return Ok(Err(why));
                }
                let row = $table::Row::new(&d, $now);
                let to = schema::$table::table.find($id);
                diesel::update(to).set(row).execute(c).map_err(|e| named(e, &d))?;
                Ok(Ok(d.name))
            })
        })
    };
}

/// Sets `enabled` of a row.
macro_rules! set_enabled {
    ($store:expr, $table:ident, $id:expr, $enabled:expr, $now:expr) => {
        $store.run(|db| {
            use schema::$table as columns;
            let changes = (columns::enabled.eq($enabled), columns::updated_at.eq($now.0));
            let found = on!(db, c => diesel::update(columns::table.find($id)).set(changes).execute(c))?;
            if found == 0 { Err(StoreError::Missing($id)) } else { Ok(()) }
        })
    };
}

/// Deletes, updates and inserts rows of a table; the ids of the inserted ones.
macro_rules! write_rows {
    ($c:expr, $table:ident, $edits:expr, $now:expr, $park:expr) => {{
        use schema::$table as columns;
        for &id in &$edits.deletes {
            if diesel::delete(columns::table.find(id)).execute($c)? == 0 {
                return Err(StoreError::Missing(id));
            }
        }
        for d in $edits.updates.iter().filter(|_| $park) {
            let parked = format!("\u{1}{}", d.id);
            diesel::update(columns::table.find(d.id)).set(columns::name.eq(parked)).execute($c)?;
        }
        for d in &$edits.updates {
            let row = $table::Row::new(d, $now);
            let found = diesel::update(columns::table.find(d.id)).set(row).execute($c);
            if found.map_err(|e| named(e, d))? == 0 {
                return Err(StoreError::Missing(d.id));
            }
        }
        insert_rows!($c, $table, &$edits.inserts, $now)
    }};
}

/// Inserts rows into a table; their ids.
macro_rules! insert_rows {
    ($c:expr, $table:ident, $definitions:expr, $now:expr) => {{
        use $crate::store::schema::$table as columns;
        let mut inserted: Vec<i64> = Vec::with_capacity($definitions.len());
        for d in $definitions {
            let row = $crate::store::definitions::$table::Row::new(d, $now);
            let done = diesel::insert_into(columns::table).values(row).execute($c);
            done.map_err(|e| $crate::store::definitions::named(e, d))?;
            let same = columns::tenantid.eq(&d.tenantid).and(columns::name.eq(&d.name));
            inserted.push(columns::table.filter(same).select(columns::id).first($c)?);
        }
        inserted
    }};
}
pub(super) use insert_rows;

impl Store {
    /// Frees what reading all rows has left in the page cache of an embedded database: it is not read again soon.
    fn forget_pages(&mut self) -> Result<(), StoreError> {
        self.run(|db| match db {
            Db::Sqlite(c) => Ok(c.batch_execute("PRAGMA shrink_memory")?),
            Db::Mysql(..) => Ok(()),
        })
    }

    /// Every row of `targets` in the order of ids. A value of the wrong type becomes one that
    /// [`Definition::validate`] refuses; NULL becomes the default.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn load_definitions(&mut self) -> Result<Vec<Definition>, StoreError> {
        let mut all = Vec::new();
        self.each_definition(|d| all.push(d))?;
        Ok(all)
    }

    /// Shows every row as [`Store::load_definitions`] would give it, a page in memory at a time. A row that is changed
    /// meanwhile is seen as it was or as it is; the change token tells that it changed.
    ///
    /// # Errors
    /// See [`StoreError`]; some rows may have been shown then.
    pub fn each_definition(&mut self, mut see: impl FnMut(Definition)) -> Result<(), StoreError> {
        each!(self, targets, see)
    }

    /// Every row of `notifiers`, as [`Store::load_definitions`].
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn load_notifiers(&mut self) -> Result<Vec<NotifierDefinition>, StoreError> {
        let mut all = Vec::new();
        self.each_notifier(|d| all.push(d))?;
        Ok(all)
    }

    fn each_notifier(&mut self, mut see: impl FnMut(NotifierDefinition)) -> Result<(), StoreError> {
        each!(self, notifiers, see)
    }

    /// Every row of `credentials`, as [`Store::load_definitions`].
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn load_credentials(&mut self) -> Result<Vec<CredentialDefinition>, StoreError> {
        let mut all = Vec::new();
        self.each_credential(|d| all.push(d))?;
        Ok(all)
    }

    fn each_credential(&mut self, mut see: impl FnMut(CredentialDefinition)) -> Result<(), StoreError> {
        each!(self, credentials, see)
    }

    /// Reads a row, has it edited and writes it back, in one transaction: no other edit is overwritten. Gives the name
    /// after the edit, or what `edit` says against it.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when there is no such row, [`StoreError::Duplicate`] when the new name is taken.
    pub fn edit_definition<E>(
        &mut self,
        id: i64,
        now: UtcMs,
        edit: impl FnOnce(&mut Definition) -> Result<(), E>,
    ) -> Result<Result<String, E>, StoreError> {
        edit!(self, targets, id, now, edit)
    }

    /// The same for a notifier.
    ///
    /// # Errors
    /// Those of [`Store::edit_definition`].
    pub fn edit_notifier<E>(
        &mut self,
        id: i64,
        now: UtcMs,
        edit: impl FnOnce(&mut NotifierDefinition) -> Result<(), E>,
    ) -> Result<Result<String, E>, StoreError> {
        edit!(self, notifiers, id, now, edit)
    }

    /// The same for a credential.
    ///
    /// # Errors
    /// Those of [`Store::edit_definition`].
    pub fn edit_credential<E>(
        &mut self,
        id: i64,
        now: UtcMs,
        edit: impl FnOnce(&mut CredentialDefinition) -> Result<(), E>,
    ) -> Result<Result<String, E>, StoreError> {
        edit!(self, credentials, id, now, edit)
    }

    /// Adds a row; its id.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when the tenant has a target of that name.
    pub fn insert_definition(&mut self, definition: &Definition, now: UtcMs) -> Result<i64, StoreError> {
        only(&self.apply_definitions(std::slice::from_ref(definition), &[], &[], now)?.inserted)
    }

    /// Adds a notifier; its id.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when the tenant has a notifier of that name.
    pub fn insert_notifier(&mut self, notifier: &NotifierDefinition, now: UtcMs) -> Result<i64, StoreError> {
        let notifiers = Edits { inserts: vec![notifier.clone()], ..Edits::default() };
        only(&self.apply(&Edits::default(), &notifiers, &Edits::default(), now)?.inserted_notifiers)
    }

    /// Adds a credential; its id.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when the tenant has a credential of that name.
    pub fn insert_credential(&mut self, credential: &CredentialDefinition, now: UtcMs) -> Result<i64, StoreError> {
        let credentials = Edits { inserts: vec![credential.clone()], ..Edits::default() };
        only(&self.apply(&Edits::default(), &Edits::default(), &credentials, now)?.inserted_credentials)
    }

    /// Removes a row. Its status goes with its last result, when that is old (`Store::prune_statuses`): results are still
    /// on their way, and what counts them must not begin anew.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when there is none.
    pub fn delete_definition(&mut self, id: i64) -> Result<(), StoreError> {
        self.apply_definitions(&[], &[], &[id], UtcMs::default()).map(drop)
    }

    /// Removes a notifier. What it was sent stays to be read.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when there is none.
    pub fn delete_notifier(&mut self, id: i64) -> Result<(), StoreError> {
        let notifiers = Edits { deletes: vec![id], ..Edits::default() };
        self.apply(&Edits::default(), &notifiers, &Edits::default(), UtcMs::default()).map(drop)
    }

    /// Removes a credential, whether targets name it or not.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when there is none.
    pub fn delete_credential(&mut self, id: i64) -> Result<(), StoreError> {
        let credentials = Edits { deletes: vec![id], ..Edits::default() };
        self.apply(&Edits::default(), &Edits::default(), &credentials, UtcMs::default()).map(drop)
    }

    /// Sets `enabled`.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when there is no such row.
    pub fn set_enabled(&mut self, id: i64, enabled: bool, now: UtcMs) -> Result<(), StoreError> {
        set_enabled!(self, targets, id, enabled, now)
    }

    /// Sets `enabled` of a notifier.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when there is no such row.
    pub fn set_notifier_enabled(&mut self, id: i64, enabled: bool, now: UtcMs) -> Result<(), StoreError> {
        set_enabled!(self, notifiers, id, enabled, now)
    }

    /// Sets `enabled` of a credential.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when there is no such row.
    pub fn set_credential_enabled(&mut self, id: i64, enabled: bool, now: UtcMs) -> Result<(), StoreError> {
        set_enabled!(self, credentials, id, enabled, now)
    }

    /// [`Store::apply`] of targets alone.
    ///
    /// # Errors
    /// Those of [`Store::apply`].
    pub fn apply_definitions(
        &mut self,
        inserts: &[Definition],
        updates: &[Definition],
        deletes: &[i64],
        now: UtcMs,
    ) -> Result<Applied, StoreError> {
        let targets = Edits { inserts: inserts.to_vec(), updates: updates.to_vec(), deletes: deletes.to_vec() };
        self.apply(&targets, &Edits::default(), &Edits::default(), now)
    }

    /// Deletes, updates and inserts targets, notifiers and credentials, in this order and all or nothing. Names may be swapped.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] or [`StoreError::Missing`], naming the row; nothing was changed then.
    pub fn apply(
        &mut self,
        targets: &Edits<Definition>,
        notifiers: &Edits<NotifierDefinition>,
        credentials: &Edits<CredentialDefinition>,
        now: UtcMs,
    ) -> Result<Applied, StoreError> {
        let several =
            [targets.updates.len(), notifiers.updates.len(), credentials.updates.len()].iter().any(|n| *n > 1);
        match self.apply_once(targets, notifiers, credentials, now, false) {
            // Names that move around among the updated rows need them all out of the way first.
            Err(StoreError::Duplicate(_)) if several => self.apply_once(targets, notifiers, credentials, now, true),
            result => result,
        }
    }

    fn apply_once(
        &mut self,
        targets: &Edits<Definition>,
        notifiers: &Edits<NotifierDefinition>,
        credentials: &Edits<CredentialDefinition>,
        now: UtcMs,
        park: bool,
    ) -> Result<Applied, StoreError> {
        self.run(|db| {
            write_tx!(db, c => {
                let inserted = write_rows!(c, targets, targets, now, park);
                let inserted_notifiers = write_rows!(c, notifiers, notifiers, now, park);
                let inserted_credentials = write_rows!(c, credentials, credentials, now, park);
                Ok(Applied { inserted, inserted_notifiers, inserted_credentials })
            })
        })
    }
}

fn only(inserted: &[i64]) -> Result<i64, StoreError> {
    inserted.first().copied().ok_or_else(|| StoreError::Rejected("the row was not inserted".into()))
}

/// Names the row that a unique key refuses.
pub(super) fn named<D: Defined>(error: diesel::result::Error, d: &D) -> StoreError {
    match StoreError::from(error) {
        StoreError::Duplicate(_) => StoreError::Duplicate(format!(
            "there is already a {} {} in tenant {}: choose another name, or edit that one",
            D::WHAT,
            quoted(d.name()),
            quoted(d.tenantid())
        )),
        e => e,
    }
}
