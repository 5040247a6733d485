//! One fuzzing body under libFuzzer: the one that the environment variable `FUZZ_BODY` names.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use peak_alloc::PeakAlloc;
use skypunch::fuzz::{Body, body};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

static BODY: LazyLock<&'static Body> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_BODY").unwrap_or_default();
    body(&name).unwrap_or_else(|| panic!("FUZZ_BODY={name:?} is no body"))
});

fuzz_target!(|data: &[u8]| {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    (BODY.run)(data);
    let took = MEMORY.peak_usage().saturating_sub(before);
    assert!(took <= BODY.memory(data.len()), "{} bytes of input took {took} bytes of memory", data.len());
});
