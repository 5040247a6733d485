//! The actors: they carry out what `model` decides.
//!
//! ```text
//!  watcher --Apply--> supervisor --Redefine/Stop--> target (one each, many per arbiter)
//!                        ^  '------ died ------------'  | probe -> account() -> Entry on the Board
//!  control --commands----'           token? <--asks-- |  identity: one token actor per credential, logs in when it must
//!                                                       v
//!                                     recorder (one per arbiter) --Records--> persistence --> main database
//!                                                                                 '---------> state.db (transitions, spool)
//!                                                          people <--messages-- notifier <--transitions, outbox--'
//! ```
//!
//! One file an actor, its messages at its top; `priority` says who goes first. `monitor` looks once a second whether
//! skypunch itself is in trouble. Nothing here is awaited by a probe.

pub mod arbiter;
pub mod control;
pub mod databases;
pub mod identity;
pub mod monitor;
pub mod notifier;
pub mod persistence;
pub mod priority;
pub mod pruner;
pub mod supervisor;
pub mod target;
pub mod watcher;
