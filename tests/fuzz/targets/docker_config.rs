//! Docker's config.json.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dray::registry::doors::docker_config(bytes));
