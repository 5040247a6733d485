//! Rows of notifiers and credentials, put in force on the board; what is newly wrong is logged.

use slog::{Logger, error};

use crate::board::Board;
use crate::model::credential::CredentialDefinition;
use crate::model::definition::Problem;
use crate::model::notifier::{NotifierDefinition, TypeCheck};

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
    let mut told = Told { changed: changed.len(), invalid: 0, good: Vec::new(), wrong: Vec::new() };
    for (id, entry) in board.notifiers.all().iter() {
        if entry.problems.is_empty() {
            told.good.push(entry.row.clone());
            continue;
        }
        told.wrong.push(id.0);
        if changed.contains(id) {
            told.invalid += 1;
            error!(log, "a notifier's row is wrong; its last good form, if there was one, stays in force";
                "notifier" => id.0, "name" => entry.row.name.clone(), "problems" => joined(&entry.problems));
        }
    }
    told
}

/// Puts the rows of credentials in force.
pub fn tell_credentials(board: &Board, rows: Vec<CredentialDefinition>, log: &Logger) -> Told<CredentialDefinition> {
    let changed = board.credentials.replace(rows);
    let mut told = Told { changed: changed.len(), invalid: 0, good: Vec::new(), wrong: Vec::new() };
    for (id, entry) in board.credentials.all().iter() {
        if entry.problems.is_empty() {
            told.good.push(entry.row.clone());
            continue;
        }
        told.wrong.push(id.0);
        if changed.contains(id) {
            told.invalid += 1;
            error!(log, "a credential's row is wrong; its last good form, if there was one, stays in force";
                "credential" => id.0, "name" => entry.row.name.clone(), "problems" => joined(&entry.problems));
        }
    }
    told
}

fn joined(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
