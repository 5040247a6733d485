//! The daemon from outside: the real program, a real database, a plain SQL client, the control socket, an origin.
//!
//! ```text
//!  test --SQL client--> database <--> skypunch (its own process) --probes--> Origin (threads of the test)
//!    '------------- control socket ------^
//! ```
//!
//! Themes that involve the main database run on SQLite and on MariaDB from one body ([`on_both`]).

#[macro_use]
pub mod harness;
mod api;
mod database;
mod ledger;
mod mariadb;
mod origin;
mod routes;
mod smtp;

pub use smtp::MailServer;

mod access;
mod away;
mod backup;
mod canary;
mod canary_outputs;
mod canary_search;
mod canary_servers;
mod canary_world;
mod clock;
mod control;
mod credentials;
mod doctor;
mod durability;
mod egress;
mod errors;
mod file;
mod health;
mod hostile;
mod incidents;
mod itself;
mod keep_alive;
mod kills;
mod legacy;
mod limits;
mod main_job;
mod metrics;
mod network;
mod notifiers;
mod openstack;
mod openstack_answers;
mod openstack_burst;
mod openstack_catalog;
mod openstack_cli;
mod openstack_forms;
mod openstack_long;
mod openstack_outage;
mod openstack_rejected;
mod outages;
mod outages_sqlite;
mod paths;
mod prometheus;
mod pruning;
mod refused;
mod refused_database;
mod refused_disk;
mod schedule;
mod secrets;
mod service;
mod stalled;
mod startup;
mod stopping;
mod storm;
mod telling;
mod telling_again;
mod telling_cli;
mod telling_crash;
mod telling_mail;
mod telling_many;
mod wrong;
