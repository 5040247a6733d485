//! All integration tests, in one binary. Real servers, real files, loopback addresses only; every wait has a limit.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper of a test fails the test")]

mod actors;
mod architecture;
mod certificates;
mod cli;
mod daemon;
mod mail;
mod mail_faults;
mod misbehaving;
mod nginx;
mod postfix;
mod probe_answers;
mod probe_many;
mod probe_nginx;
mod probe_reasons;
mod probe_secrets;
mod probe_tls;
mod probing;
mod reasons;
mod settings;
mod store;
