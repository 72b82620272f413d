//! What an artifact asks a device to run.
#![no_main]

use dray::artifact::payload::Payload;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(payload) = Payload::parse(bytes) {
        assert!(!payload.services.is_empty());
    }
});
