//! An artifact whose checksums are right, whatever else it says: so that what stands behind them is reached.
#![no_main]

use std::io::Read;

use dray::artifact::manifest::Manifest;
use dray::artifact::reader::{FileHead, Head, Taker, Trust, read};
use dray::tarball::BLOCK;

/// More than any input has.
const MOST: u64 = 1 << 20;

libfuzzer_sys::fuzz_target!(|input: (&[u8], &[u8], u8)| {
    let (header, data, packing) = input;
    let suffix = [".gz", "", ".xz", ".zst"][usize::from(packing) % 4];
    let version = br#"{"format":"mender","version":3}"#;
    let mut manifest = Manifest::default();
    for (name, content) in files(data) {
        manifest.add(&format!("data/0000/{name}"), content);
    }
    let header_name = format!("header.tar{suffix}");
    manifest.add(&header_name, header);
    manifest.add("version", version);
    let manifest = manifest.to_string();
    let mut whole = Vec::new();
    for (name, content) in [
        ("version", version.as_slice()),
        ("manifest", manifest.as_bytes()),
        (&header_name, header),
        ("data/0000.tar", data),
    ] {
        member(&mut whole, name, content);
    }
    whole.extend([0; 2 * BLOCK]);
    let _ = read(whole.as_slice(), Trust::Ignored, &mut Reader);
});

/// What of a tar its own headers call files, taken as lightly as can be.
fn files(data: &[u8]) -> Vec<(String, &[u8])> {
    let mut archive = tar::Archive::new(data);
    let mut found = Vec::new();
    for entry in archive.entries().into_iter().flatten() {
        let Ok(entry) = entry else { break };
        let (begin, size) = (entry.raw_file_position() as usize, entry.size() as usize);
        let content = begin.checked_add(size).and_then(|end| data.get(begin..end));
        let name = String::from_utf8_lossy(&entry.path_bytes()).replace('\n', "");
        found.extend(content.map(|content| (name, content)));
    }
    found
}

fn member(whole: &mut Vec<u8>, name: &str, content: &[u8]) {
    let mut header = tar::Header::new_ustar();
    header.set_path(name).unwrap();
    header.set_size(content.len() as u64);
    header.set_mode(0o600);
    header.set_cksum();
    whole.extend(header.as_bytes());
    whole.extend(content);
    whole.resize(whole.len().next_multiple_of(BLOCK), 0);
}

/// Reads half of each file, as whoever takes it may.
struct Reader;

impl Taker for Reader {
    fn script(&mut self, name: &str, _: &[u8]) -> std::io::Result<()> {
        assert!(!name.contains('/'));
        Ok(())
    }

    fn head(&mut self, head: &Head) -> std::io::Result<()> {
        assert!(!head.artifact_name.is_empty() && !head.device_types.is_empty());
        Ok(())
    }

    fn file(&mut self, _: usize, file: &FileHead, content: &mut dyn Read) -> std::io::Result<()> {
        assert!(!file.name.contains('/') && file.size <= MOST);
        std::io::copy(&mut content.take(file.size / 2), &mut std::io::sink()).map(drop)
    }
}
