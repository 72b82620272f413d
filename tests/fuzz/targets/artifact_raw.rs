//! Any bytes as an artifact.
#![no_main]

use dray::artifact::reader::{Nothing, Trust, read};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    assert!(
        read(bytes, Trust::Required(&[]), &mut Nothing).is_err(),
        "nobody signed it"
    );
    let _ = read(bytes, Trust::Ignored, &mut Nothing);
});
