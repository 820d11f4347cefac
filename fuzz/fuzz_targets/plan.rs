//! Loading and checking of plans.
#![no_main]

#[allow(dead_code, reason = "each target has its own function there")]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| target::plan(data));
