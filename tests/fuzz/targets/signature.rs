#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidewell_fuzz::error_signature(bytes));
