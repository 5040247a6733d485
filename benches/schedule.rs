//! Benches of per-target scheduling.

fn main() {}
