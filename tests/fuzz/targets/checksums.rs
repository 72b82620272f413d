//! The list of checksums that a signature signs.
#![no_main]

use dray::artifact::manifest::Manifest;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(manifest) = Manifest::parse(bytes) {
        assert_eq!(
            manifest.to_string().as_bytes(),
            bytes,
            "two texts mean the same"
        );
    }
});
