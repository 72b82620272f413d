//! What registries answer with 401.
#![no_main]

libfuzzer_sys::fuzz_target!(|header: &str| dray::registry::doors::challenge(header));
