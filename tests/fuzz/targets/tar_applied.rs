//! A layer's stream into a folder of a tmpfs: nothing beside the folder changes, and what was made is what its seal says.
#![no_main]

use std::cell::LazyCell;
use std::fs;
use std::os::fd::AsFd;
use std::path::PathBuf;

use dray::sys::beneath;
use dray::unpack::{Budget, Content, unpack};

/// More than any input has, less than would take long.
const ROOM: u64 = 1 << 20;

thread_local! {
    static WORK: LazyCell<PathBuf> = LazyCell::new(|| {
        let work = PathBuf::from(format!("/dev/shm/dray-fuzz-{}", std::process::id()));
        fs::create_dir_all(work.join("victim")).expect("a folder");
        fs::write(work.join("victim/file"), "canary").expect("a file");
        work
    });
}

/// Names and contents beside the tree.
fn outside(work: &PathBuf) -> (usize, usize, Vec<u8>) {
    let count = |dir: &PathBuf| fs::read_dir(dir).expect("a folder").count();
    let victim = work.join("victim");
    (
        count(work),
        count(&victim),
        fs::read(victim.join("file")).expect("a file"),
    )
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    WORK.with(|work| {
        let tree = work.join("tree");
        fs::create_dir(&tree).expect("a folder");
        let root = beneath::open_dir(&tree).expect("a folder");
        let mut source = bytes;
        if let Ok((seal, content)) = unpack(&mut source, root.as_fd(), &Budget::new(ROOM)) {
            let mut read = Content::of(root.as_fd(), &|_| {}).expect("readable");
            assert!(seal.holds(root.as_fd(), &mut read).expect("readable"));
            assert_eq!(read, content);
        }
        drop(root);
        fs::remove_dir_all(&tree).expect("it can be removed again");
        assert_eq!(outside(work), (1, 1, b"canary".to_vec()));
    });
});
