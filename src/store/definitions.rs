//! What people write: the `targets` table.
//!
//! Reading takes every row, whatever is in it: each column comes as bytes and is made text or number here, so that one
//! odd row never hides the others. What a definition means is judged by [`Definition::validate`], not here.

use diesel::prelude::*;
use diesel::sql_types::{Binary, Nullable};

use super::dialect::Dialect;
use super::error::StoreError;
use super::schema::targets;
use super::{Store, on, write_tx};
use crate::model::definition::Definition;
use crate::model::text::quoted;
use crate::model::time::UtcMs;
use crate::secret::Secret;

/// What [`Store::apply_definitions`] did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// The ids of the inserted rows, in the order of the request.
    pub inserted: Vec<i64>,
}

#[derive(Insertable, AsChangeset)]
#[diesel(table_name = targets, treat_none_as_null = true, treat_none_as_default_value = false)]
struct DefinitionRow<'a> {
    name: &'a str,
    tenantid: &'a str,
    url: &'a str,
    method: &'a str,
    headers: Option<&'a str>,
    body: Option<&'a str>,
    authn: &'a str,
    authn_parms: Option<&'a str>,
    credential: Option<&'a str>,
    pass_result: &'a str,
    frequency_ms: i64,
    timeout_ms: Option<i64>,
    fail_after: i64,
    recover_after: i64,
    redirects: i64,
    tls_ca: Option<&'a str>,
    tls_verify: bool,
    tls_server_name: Option<&'a str>,
    host: Option<&'a str>,
    tags: Option<&'a str>,
    enabled: bool,
    updated_at: i64,
}

impl<'a> DefinitionRow<'a> {
    fn new(d: &'a Definition, now: UtcMs) -> Self {
        DefinitionRow {
            name: &d.name,
            tenantid: &d.tenantid,
            url: &d.url,
            method: &d.method,
            headers: d.headers.as_deref(),
            body: d.body.as_deref(),
            authn: &d.authn,
            authn_parms: d.authn_parms.as_ref().map(Secret::expose),
            credential: d.credential.as_deref(),
            pass_result: &d.pass_result,
            frequency_ms: d.frequency_ms,
            timeout_ms: d.timeout_ms,
            fail_after: d.fail_after,
            recover_after: d.recover_after,
            redirects: d.redirects,
            tls_ca: d.tls_ca.as_deref(),
            tls_verify: d.tls_verify,
            tls_server_name: d.tls_server_name.as_deref(),
            host: d.host.as_deref(),
            tags: d.tags.as_deref(),
            enabled: d.enabled,
            updated_at: now.0,
        }
    }
}

/// Rows read at once: 100,000 of them in memory twice would stay with the process.
const PAGE: usize = 1000;

impl Store {
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
        let mut after = i64::MIN;
        loop {
            let page: Vec<Raw> = self.run(|db| {
                Ok(on!(db, c => {
                    let text = format!("{} LIMIT {PAGE}", select(bytes_of(c), "WHERE targets.id > ?"));
                    diesel::sql_query(text).bind::<diesel::sql_types::BigInt, _>(after).load(c)
                })?)
            })?;
            let last = page.len() < PAGE;
            for raw in page {
                let definition = raw.into_definition();
                after = definition.id;
                see(definition);
            }
            if last {
                return Ok(());
            }
        }
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
        self.run(|db| {
            write_tx!(db, c => {
                let text = format!("{} {}", select(bytes_of(c), "WHERE targets.id = ?"), hold(c));
                let rows: Vec<Raw> = diesel::sql_query(text).bind::<diesel::sql_types::BigInt, _>(id).load(c)?;
                let Some(mut d) = rows.into_iter().next().map(Raw::into_definition) else {
                    return Err(StoreError::Missing(id));
                };
                if let Err(why) = edit(&mut d) {
                    return Ok(Err(why));
                }
                let row = DefinitionRow::new(&d, now);
                diesel::update(targets::table.find(id)).set(row).execute(c).map_err(|e| named(e, &d))?;
                Ok(Ok(d.name))
            })
        })
    }

    /// Adds a row; its id.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when the tenant has a target of that name.
    pub fn insert_definition(&mut self, definition: &Definition, now: UtcMs) -> Result<i64, StoreError> {
        let applied = self.apply_definitions(std::slice::from_ref(definition), &[], &[], now)?;
        applied.inserted.first().copied().ok_or_else(|| StoreError::Rejected("the row was not inserted".into()))
    }

    /// Removes a row. Its status goes with its last result, when that is old (`Store::prune_statuses`): results are still
    /// on their way, and what counts them must not begin anew.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when there is none.
    pub fn delete_definition(&mut self, id: i64) -> Result<(), StoreError> {
        self.apply_definitions(&[], &[], &[id], UtcMs::default()).map(drop)
    }

    /// Sets `enabled`.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when there is no such row.
    pub fn set_enabled(&mut self, id: i64, enabled: bool, now: UtcMs) -> Result<(), StoreError> {
        self.run(|db| {
            let changes = (targets::enabled.eq(enabled), targets::updated_at.eq(now.0));
            let found = on!(db, c => diesel::update(targets::table.find(id)).set(changes).execute(c))?;
            if found == 0 { Err(StoreError::Missing(id)) } else { Ok(()) }
        })
    }

    /// Deletes, updates and inserts, in this order and all or nothing. Names may be swapped.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] or [`StoreError::Missing`], naming the row; nothing was changed then.
    pub fn apply_definitions(
        &mut self,
        inserts: &[Definition],
        updates: &[Definition],
        deletes: &[i64],
        now: UtcMs,
    ) -> Result<Applied, StoreError> {
        match self.apply_once(inserts, updates, deletes, now, false) {
            // Names that move around among the updated rows need them all out of the way first.
            Err(StoreError::Duplicate(_)) if updates.len() > 1 => self.apply_once(inserts, updates, deletes, now, true),
            result => result,
        }
    }

    fn apply_once(
        &mut self,
        inserts: &[Definition],
        updates: &[Definition],
        deletes: &[i64],
        now: UtcMs,
        park: bool,
    ) -> Result<Applied, StoreError> {
        self.run(|db| {
            write_tx!(db, c => {
                for &id in deletes {
                    if diesel::delete(targets::table.find(id)).execute(c)? == 0 {
                        return Err(StoreError::Missing(id));
                    }
                }
                for d in updates.iter().filter(|_| park) {
                    let parked = format!("\u{1}{}", d.id);
                    diesel::update(targets::table.find(d.id)).set(targets::name.eq(parked)).execute(c)?;
                }
                for d in updates {
                    let row = DefinitionRow::new(d, now);
                    let found = diesel::update(targets::table.find(d.id)).set(row).execute(c);
                    if found.map_err(|e| named(e, d))? == 0 {
                        return Err(StoreError::Missing(d.id));
                    }
                }
                let mut applied = Applied::default();
                for d in inserts {
                    let row = DefinitionRow::new(d, now);
                    diesel::insert_into(targets::table).values(row).execute(c).map_err(|e| named(e, d))?;
                    let same = targets::tenantid.eq(&d.tenantid).and(targets::name.eq(&d.name));
                    applied.inserted.push(targets::table.filter(same).select(targets::id).first(c)?);
                }
                Ok(applied)
            })
        })
    }
}

/// Names the row that a unique key refuses.
fn named(error: diesel::result::Error, d: &Definition) -> StoreError {
    match StoreError::from(error) {
        StoreError::Duplicate(_) => StoreError::Duplicate(format!(
            "there is already a target {} in tenant {}: choose another name, or edit that one",
            quoted(&d.name),
            quoted(&d.tenantid)
        )),
        e => e,
    }
}

fn hold<C: Dialect>(_: &C) -> &'static str {
    C::HOLD
}

fn bytes_of<C: Dialect>(_: &C) -> &'static str {
    C::BYTES
}

macro_rules! raw {
    ($($column:ident),*) => {
        /// A row as bytes.
        #[derive(QueryableByName)]
        struct Raw { $( #[diesel(sql_type = Nullable<Binary>)] $column: Option<Vec<u8>>, )* }

        fn select(bytes: &str, which: &str) -> String {
            let columns = [$( format!("CAST({0} AS {bytes}) AS {0}", stringify!($column)) ),*];
            format!("SELECT {} FROM targets {which} ORDER BY targets.id", columns.join(", "))
        }
    };
}

raw!(
    id,
    name,
    tenantid,
    url,
    method,
    headers,
    body,
    authn,
    authn_parms,
    credential,
    pass_result,
    frequency_ms,
    timeout_ms,
    fail_after,
    recover_after,
    redirects,
    tls_ca,
    tls_verify,
    tls_server_name,
    host,
    tags,
    enabled
);

/// What a number becomes that is none: out of every column's range.
const NO_NUMBER: i64 = -1;

impl Raw {
    fn into_definition(self) -> Definition {
        let default = Definition::default();
        let text = |v: Option<Vec<u8>>| {
            v.map(|b| String::from_utf8(b).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()))
        };
        let number = |v: Option<Vec<u8>>| {
            v.map(|b| std::str::from_utf8(&b).ok().and_then(|t| t.trim().parse().ok()).unwrap_or(NO_NUMBER))
        };
        let mut odd_flags = Vec::new();
        let mut flag = |column: &'static str, v: Option<Vec<u8>>, default: bool, odd: bool| match text(v).as_deref() {
            None => default,
            Some("0") => false,
            Some("1") => true,
            Some(other) => {
                odd_flags.push((column, other.to_owned()));
                odd
            }
        };
        // When in doubt: verify, and do not probe.
        let (tls_verify, enabled) =
            (flag("tls_verify", self.tls_verify, true, true), flag("enabled", self.enabled, true, false));
        Definition {
            id: number(self.id).unwrap_or_default(),
            name: text(self.name).unwrap_or_default(),
            tenantid: text(self.tenantid).unwrap_or(default.tenantid),
            url: text(self.url).unwrap_or_default(),
            method: text(self.method).unwrap_or(default.method),
            headers: text(self.headers),
            body: text(self.body),
            authn: text(self.authn).unwrap_or(default.authn),
            authn_parms: text(self.authn_parms).map(Secret::new),
            credential: text(self.credential),
            pass_result: text(self.pass_result).unwrap_or(default.pass_result),
            frequency_ms: number(self.frequency_ms).unwrap_or(default.frequency_ms),
            timeout_ms: number(self.timeout_ms),
            fail_after: number(self.fail_after).unwrap_or(default.fail_after),
            recover_after: number(self.recover_after).unwrap_or(default.recover_after),
            redirects: number(self.redirects).unwrap_or(default.redirects),
            tls_ca: text(self.tls_ca),
            tls_verify,
            tls_server_name: text(self.tls_server_name),
            host: text(self.host),
            tags: text(self.tags),
            enabled,
            odd_flags,
        }
    }
}
