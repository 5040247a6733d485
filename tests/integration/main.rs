//! All integration tests, in one binary. Real servers, real files, loopback addresses only; every wait has a limit.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper of a test fails the test")]

mod actors;
mod architecture;
mod certificates;
mod cli;
mod daemon;
mod egress;
mod hostile;
mod import;
mod keep_alive;
mod keystone;
mod keystone_v2;
mod mail;
mod mail_faults;
mod misbehaving;
mod nginx;
mod openstack_login;
mod postfix;
mod probe_answers;
mod probe_fetch;
mod probe_many;
mod probe_nginx;
mod probe_reasons;
mod probe_secrets;
mod probe_tls;
mod probe_token;
mod probing;
mod promises;
mod reasons;
mod settings;
mod store;
