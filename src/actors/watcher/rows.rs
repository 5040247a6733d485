//! Rows of notifiers and credentials, put in force on the board; what is newly wrong is logged.

use slog::{Logger, error};

use crate::board::Board;
use crate::model::credential::CredentialDefinition;
use crate::model::defined::Defined;
use crate::model::definition::Problem;
use crate::model::notifier::{NotifierDefinition, TypeCheck};
use crate::model::text::shorten;

/// What became of the rows of a table.
#[derive(Debug)]
pub struct Told<D> {
    /// New, changed and gone.
    pub changed: usize,
    /// Of these, wrong.
    pub invalid: usize,
    /// All that are fit.
    pub good: Vec<D>,
    /// The ids of all that are not.
    pub wrong: Vec<i64>,
}

/// Puts the rows of notifiers in force.
pub fn tell_notifiers(
    board: &Board,
    rows: Vec<NotifierDefinition>,
    types: &TypeCheck,
    log: &Logger,
) -> Told<NotifierDefinition> {
    let changed = board.notifiers.replace(rows, types);
    let all = board.notifiers.all();
    told(changed.len(), all.iter().map(|(id, e)| (id.0, &e.row, &*e.problems, changed.contains(id))), log)
}

/// Puts the rows of credentials in force.
pub fn tell_credentials(board: &Board, rows: Vec<CredentialDefinition>, log: &Logger) -> Told<CredentialDefinition> {
    let changed = board.credentials.replace(rows);
    let all = board.credentials.all();
    told(changed.len(), all.iter().map(|(id, e)| (id.0, &e.row, &*e.problems, changed.contains(id))), log)
}

/// Sorts rows (id, row, what is wrong with it, whether it is new or changed) into fit and wrong.
fn told<'a, D: Defined + 'a>(
    changed: usize,
    rows: impl Iterator<Item = (i64, &'a D, &'a [Problem], bool)>,
    log: &Logger,
) -> Told<D> {
    let mut told = Told { changed, invalid: 0, good: Vec::new(), wrong: Vec::new() };
    for (id, row, problems, is_changed) in rows {
        if problems.is_empty() {
            told.good.push(row.clone());
            continue;
        }
        told.wrong.push(id);
        if is_changed {
            told.invalid += 1;
            error!(log, "a {}'s row is wrong; its last good form, if there was one, stays in force", D::WHAT;
                D::WHAT => id, "name" => shorten(row.name(), 128).into_owned(), "problems" => joined(problems));
        }
    }
    told
}

fn joined(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
