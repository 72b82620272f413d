//! An artifact's header-info.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dray::artifact::reader::doors::header_info(bytes));
