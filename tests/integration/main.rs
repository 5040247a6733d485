//! All integration tests, in one binary. Real servers, real files, loopback addresses only; every wait has a limit.

mod architecture;
mod settings;
