//! Fuzzing bodies: whatever bytes come, what reads them neither panics nor says what it must not.
//!
//! ```text
//!  bytes --Fields--> texts, numbers --> the real entry points --> what came out is checked: it reads back, is one clean
//!                                                                 line, is no longer than it may be, holds no secret
//! ```
//!
//! Each body is driven in two ways: by the library's own tests ([`replay`](self), on every run: each file of
//! `tests/fuzz/corpus/BODY`, and mutations of them by a fixed seed), and by libFuzzer (`tests/fuzz/run BODY`).
//!
//! The part is compiled for tests and with the feature `fuzz` only: no program that is shipped holds it.

mod auth;
mod chunks;
mod clouds;
mod control;
mod head;
mod import;
mod input;
mod judge;
mod keystone;
mod legacy;
mod mail;
mod notifier;
mod provider;
mod request;
mod settings;
mod status;
mod targets;
mod trace;
mod webhook;

#[cfg(test)]
mod replay;

/// One body.
#[derive(Debug, Clone, Copy)]
pub struct Body {
    /// Its name, and that of its folder in `tests/fuzz/corpus`.
    pub name: &'static str,
    /// Runs it; a panic is a finding.
    pub run: fn(&[u8]),
    /// Bytes of memory that one run may take at once, for any input …
    base: usize,
    /// … and for each byte of the input.
    each: usize,
}

impl Body {
    /// Bytes of memory that a run with so long an input may take at once.
    #[must_use]
    pub fn memory(&self, input: usize) -> usize {
        self.base + self.each * input
    }
}

const MIB: usize = 1024 * 1024;

const fn entry(name: &'static str, run: fn(&[u8]), base: usize, each: usize) -> Body {
    Body { name, run, base, each }
}

/// All bodies.
pub const BODIES: &[Body] = &[
    entry("auth", auth::run, MIB, 256),
    entry("chunks", chunks::run, MIB, 64),
    entry("clouds", clouds::run, 4 * MIB, 2048),
    entry("control", control::run, 2 * MIB, 2048),
    entry("head", head::run, MIB, 64),
    entry("import", import::run, 4 * MIB, 4096),
    entry("keystone", keystone::run, 2 * MIB, 2048),
    entry("legacy", legacy::run, 2 * MIB, 1024),
    entry("mail", mail::run, 8 * MIB, 4096),
    entry("notifier", notifier::run, 8 * MIB, 1024),
    entry("provider", provider::run, 32 * MIB, 4096),
    entry("request", request::run, MIB, 256),
    entry("settings", settings::run, 2 * MIB, 1024),
    entry("status", status::run, MIB, 256),
    entry("targets", targets::run, 2 * MIB, 2048),
    entry("trace", trace::run, 2 * MIB, 1024),
    entry("webhook", webhook::run, 16 * MIB, 4096),
];

/// The body of that name.
#[must_use]
pub fn body(name: &str) -> Option<&'static Body> {
    BODIES.iter().find(|body| body.name == name)
}
