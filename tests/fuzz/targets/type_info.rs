//! A payload's type-info.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dray::artifact::reader::doors::type_info(bytes));
