//! Image configurations.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = dray::oci::ImageConfig::parse(bytes);
});
