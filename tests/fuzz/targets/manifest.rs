//! Indexes and manifests; one digest has one meaning, whatever the transport calls it.
#![no_main]

use dray::oci::{Document, Platform, choose, media_type};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let plain = Document::parse(bytes, None);
    for content_type in [
        media_type::OCI_INDEX,
        media_type::DOCKER_MANIFEST,
        "text/plain",
    ] {
        let Ok(document) = Document::parse(bytes, Some(content_type)) else {
            continue;
        };
        match (&plain, &document) {
            (Ok(Document::Index(_)), Document::Manifest(_))
            | (Ok(Document::Manifest(_)), Document::Index(_)) => panic!("two meanings"),
            _ => {}
        }
    }
    if let Ok(Document::Index(index)) = &plain {
        let _ = choose(index, &Platform::host());
    }
});
