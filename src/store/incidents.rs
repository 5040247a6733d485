//! Reading incidents.

use diesel::prelude::*;

use super::error::StoreError;
use super::rows::IncidentRow;
use super::schema::incidents;
use super::{Store, on};
use crate::model::incident::Incident;
use crate::model::subject::SubjectId;
use crate::model::target::TargetId;
use crate::model::time::UtcMs;

/// Which incidents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IncidentFilter {
    /// Only this target's.
    pub target: Option<TargetId>,
    /// Only open ones, or only ended ones.
    pub open: Option<bool>,
    /// Only those that were open at this time or later.
    pub since: Option<UtcMs>,
}

impl Store {
    /// Incidents, the latest first, at most `limit`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn incidents(&mut self, filter: &IncidentFilter, limit: u32) -> Result<Vec<Incident>, StoreError> {
        self.run(|db| {
            let rows: Vec<IncidentRow<'static>> = on!(db, c => {
                let mut query = incidents::table.into_boxed();
                if let Some(target) = filter.target {
                    let (kind, id) = SubjectId::from(target).row();
                    query = query.filter(incidents::subject_kind.eq(kind).and(incidents::subject_id.eq(id)));
                }
                match filter.open {
                    Some(true) => query = query.filter(incidents::ended_at.is_null()),
                    Some(false) => query = query.filter(incidents::ended_at.is_not_null()),
                    None => {}
                }
                if let Some(since) = filter.since {
                    query = query.filter(incidents::ended_at.is_null().or(incidents::ended_at.ge(since.0)));
                }
                query.order(incidents::id.desc()).limit(limit.into()).load(c)
            })?;
            Ok(rows.into_iter().map(IncidentRow::into_incident).collect())
        })
    }

    /// One incident.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn incident(&mut self, id: i64) -> Result<Option<Incident>, StoreError> {
        self.run(|db| {
            let row: Option<IncidentRow<'static>> = on!(db, c => incidents::table.find(id).first(c).optional())?;
            Ok(row.map(IncidentRow::into_incident))
        })
    }
}
