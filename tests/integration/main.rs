//! The integration tests, one binary: real servers, on loopback only.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails right there")]

mod certificates;
mod misbehaving;
mod nginx;
mod probe_answers;
mod probe_many;
mod probe_nginx;
mod probe_reasons;
mod probe_secrets;
mod probe_tls;
mod probing;
