//! A layer's stream to the entries that are to be made: none leads out, and none takes more than there is.
#![no_main]

use dray::unpack::{Archive, Budget, Kind};

/// More than any input has, less than would take long.
const ROOM: u64 = 1 << 20;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (mut source, budget) = (bytes, Budget::new(ROOM));
    let mut archive = Archive::new(&mut source, &budget);
    while let Ok(Some(entry)) = archive.next_entry() {
        let _ = format!("{entry:?}");
        if let Kind::File { stored, .. } = entry.kind
            && archive.copy_body(stored, &mut std::io::sink()).is_err()
        {
            return;
        }
    }
});
