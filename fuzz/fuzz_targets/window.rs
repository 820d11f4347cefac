//! Parsing of windows, and their next openings.
#![no_main]

#[allow(dead_code, reason = "each target has its own function there")]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| target::window(data));
