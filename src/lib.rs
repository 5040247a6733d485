//! Skypunch: a monitor of cloud services.
//!
//! A daemon loads targets from an SQL database, probes each on its own schedule, records every result, and answers
//! `skypunchctl`.
//!
//! ```text
//!  table rows, targets file --> definition --> target            (model)
//!                                                 |
//!                        identity (one token per credential)
//!                                                        | token
//!  supervisor --one actor each--> target actor: due? --> probe --> outcome + trace --> step
//!                                                                                       |
//!                              board (present state) <--- persistence (batches) <-------'
//!                                 |                            |
//!  skypunchctl <-- control <------'                          store (SQLite | MySQL), state.db
//! ```
//!
//! From the bottom up; nothing uses what stands below it in this list, and a test holds that:
//!
//! | part | what it owns |
//! |---|---|
//! | [`shown`] | what somebody else wrote, made fit to be shown: one line, nothing invisible, bounded |
//! | [`secret`] | values that are used but never shown, and references to them |
//! | [`model`] | pure data and rules: targets, outcomes, traces, state, schedule |
//! | [`import`] | skypunch 0.3.0 and other monitors: their rows and files in, definitions out |
//! | [`clock`] | the only place that reads time |
//! | [`net`] | resolving, connecting by the egress policy, TLS |
//! | [`config`] | settings: file, environment, flags |
//! | [`probe`] | one probe: target in, outcome and trace out |
//! | [`openstack`] | logins at identity services, service catalogs, clouds.yaml |
//! | [`notify`] | channels: a message in, what became of it out |
//! | [`store`] | the main database and state.db |
//! | [`board`] | read model of every target's present state |
//! | [`logging`] | settings in, logger out |
//! | [`control`] | the API: types, routes, client |
//! | [`actors`] | one file or folder per actor: supervisor, target, identity (token actors), persistence, notifier, watcher, pruner |
//! | [`doctor`] | looks at everything that skypunch stands on |
//! | [`cli`] | the commands of `skypunchctl` and their tables; both programs' command lines, manual pages and completions |
//! | [`app`] | wiring, signals, ordered shutdown |
//! | `fuzz` | what reads text from outside, as fuzzing bodies; only in tests and with the feature of that name |

pub mod actors;
pub mod app;
pub mod board;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod doctor;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
pub mod import;
pub mod logging;
pub mod model;
pub mod net;
pub mod notify;
pub mod openstack;
pub mod probe;
pub mod secret;
pub mod shown;
pub mod store;
