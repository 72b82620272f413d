//! Images in a payload, as they come: each of the input's files in turn.
#![no_main]

use std::io::{self, Read};

use dray::artifact::carried::{INDEX, MARKER, blob_name};
use dray::images::{Arrivals, Freight};
use dray::oci::Digest;

libfuzzer_sys::fuzz_target!(|files: Vec<(u8, &[u8])>| {
    let arrivals = Files {
        files,
        next: 0,
        left: &[],
    };
    if let Ok(freight) = Freight::stream(Box::new(arrivals), &[]) {
        let _ = freight.finish();
    }
});

struct Files<'a> {
    files: Vec<(u8, &'a [u8])>,
    next: usize,
    left: &'a [u8],
}

impl Read for Files<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.left.read(buffer)
    }
}

impl Arrivals for Files<'_> {
    fn next(&mut self) -> io::Result<Option<String>> {
        let Some((kind, content)) = self.files.get(self.next) else {
            return Ok(None);
        };
        (self.left, self.next) = (content, self.next + 1);
        Ok(Some(match (self.next, kind) {
            (1, _) => MARKER.to_owned(),
            (2, _) => INDEX.to_owned(),
            (_, 0) => "sha256.0".to_owned(),
            (_, 1) => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => blob_name(&Digest::of(content)),
        }))
    }
}
