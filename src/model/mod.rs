//! Pure data and rules: no I/O, no clock, no runtime, no database.
//!
//! ```text
//!  definition (as a person wrote it) --validate--> target
//!  state + outcome + policy --step--> next state + transition (incident opened | closed)
//!  schedule: id, frequency, now --> next due time, missed due times
//!  egress: address, for whom --> may it be connected to?
//!  outbox: transitions + notifiers --> what is owed to whom, what is sent next
//! ```
//!
//! Everything that decides lives here, so that every rule is tested without starting an actor.

pub mod account;
pub mod auth;
pub mod backup;
pub mod catalog;
pub mod credential;
pub mod defined;
pub mod definition;
pub mod egress;
pub mod expectation;
pub mod exposition;
pub mod flow;
pub mod health;
pub mod histogram;
pub mod ids;
pub mod incident;
pub mod message;
pub mod monitor;
pub mod notifier;
pub mod outbox;
pub mod outcome;
pub mod pacer;
pub mod params;
pub mod plan;
pub mod reason;
pub mod record;
pub mod reference;
pub mod schedule;
pub mod series;
pub mod state;
pub mod subject;
pub mod target;
pub mod targets_file;
pub mod text;
pub mod time;
pub mod token;
pub mod trace;
pub mod trace_diff;
