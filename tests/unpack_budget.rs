//! How much a layer may take: lies about size cost nothing, and the truth ends at the budget. What else is wrong with
//! layers is in `hostile`.

#![expect(clippy::unwrap_used, reason = "a broken set-up should panic")]

mod common;

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use common::Scratch;
use common::image::{Entry, tar};
use dray::sys::beneath;
use dray::unpack::{Budget, unpack};

/// Unpacks a layer into a folder that goes again; what was said.
fn unpacked(mut bytes: &[u8], room: u64) -> Result<fs::Metadata, String> {
    let scratch = Scratch::new("budget");
    let tree = beneath::open_dir(scratch.path()).unwrap();
    let result = unpack(&mut bytes, tree.as_fd(), &Budget::new(room));
    result.map_err(|error| error.to_string())?;
    Ok(scratch.join("f").metadata().unwrap())
}

/// A header of a file that claims so many bytes.
fn claim(size: u64) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_path("f").unwrap();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    header.as_bytes().to_vec()
}

#[test]
fn nothing_grows_beyond_the_budget() {
    let refused = |bytes: &[u8], room| unpacked(bytes, room).unwrap_err();
    assert_eq!(
        refused(&claim(1 << 40), 1 << 30),
        "it unpacks to more than the 1073741824 bytes it may take"
    );
    let full = "it unpacks to more than the 20000 bytes it may take";
    for bytes in [
        tar(&[Entry::file("f", vec![0; 30_000])]),
        tar(&[
            Entry::file("f", vec![0; 9_000]),
            Entry::file("g", vec![0; 9_000]),
        ]),
        tar(&(0..30)
            .map(|n| Entry::dir(n.to_string()))
            .collect::<Vec<_>>()),
        [tar(&[]), vec![0; 40_000]].concat(),
    ] {
        assert_eq!(refused(&bytes, 20_000), full);
    }
    unpacked(&tar(&[Entry::file("f", vec![0; 9_000])]), 20_000).unwrap();
    // A hole takes no room, however large.
    let hole = Entry::file("f", "1")
        .pax("GNU.sparse.map", "0,1")
        .pax("GNU.sparse.size", "1099511627776");
    let file = unpacked(&tar(&[hole]), 20_000).unwrap();
    assert_eq!(file.size(), 1 << 40);
    assert!(file.blocks() < 100);
}
