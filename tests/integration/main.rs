//! All integration tests, in one binary. Real servers, real files, loopback addresses only; every wait has a limit.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper of a test fails the test")]

mod architecture;
mod cli;
mod settings;
mod store;
