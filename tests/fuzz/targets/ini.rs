//! The settings.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| dray::config::door(text));
