//! The same image unpacked by Debian's `umoci unpack` and by us: the two trees are equal in everything a container can
//! see. Ours is the overlay of the layers with the dressed folder on top, as the engine mounts it.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test files need no durable writer; a broken set-up should panic"
)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use common::Scratch;
use common::image::{Entry, Image, Layer, Packing, tar};
use common::registry::Registry;
use dray::config::Settings;
use dray::host::Host;
use dray::images::Images;
use dray::oci::{Digest, Platform, Reference};
use dray::sys::beneath;
use dray::sys::mount::private_namespace;

/// A file capability as `setcap cap_net_raw+ep` writes it; it holds a newline when read as text.
const CAPABILITY: &[u8] = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\x0a\0\0\0";

/// All that can be seen of one name.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    mode: u32,
    owner: (u32, u32),
    modified: (i64, i64),
    device: u64,
    size: u64,
    content: Option<Digest>,
    link: Option<PathBuf>,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The first of its names.
    same_as: PathBuf,
}

/// Everything below `root`, the root itself included.
fn look(root: &Path) -> BTreeMap<PathBuf, Seen> {
    let mut found = BTreeMap::new();
    let mut inodes = BTreeMap::new();
    let mut folders = vec![PathBuf::new()];
    let mut paths = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path.clone());
            }
            paths.push(path);
        }
    }
    paths.sort();
    for path in paths {
        let whole = root.join(&path);
        let m = whole.symlink_metadata().unwrap();
        let first = inodes.entry(m.ino()).or_insert_with(|| path.clone());
        let seen = Seen {
            mode: m.mode(),
            owner: (m.uid(), m.gid()),
            modified: (m.mtime(), m.mtime_nsec()),
            device: m.rdev(),
            size: if m.is_dir() { 0 } else { m.size() },
            content: m.is_file().then(|| Digest::of(&fs::read(&whole).unwrap())),
            link: fs::read_link(&whole).ok(),
            xattrs: xattrs(&whole),
            same_as: first.clone(),
        };
        found.insert(path, seen);
    }
    found
}

/// What `getfattr` shows, of links and devices too; overlay's own belong to nobody.
fn xattrs(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let output = Command::new("getfattr")
        .args(["-h", "-d", "-m", "-", "-e", "hex", "--absolute-names"])
        .arg(path)
        .output()
        .unwrap();
    assert!(output.status.success());
    let lines = output.stdout.split(|&byte| byte == b'\n');
    lines
        .filter(|line| !line.starts_with(b"#") && !line.starts_with(b"trusted.overlay."))
        .filter_map(|line| {
            let equals = line.iter().position(|&byte| byte == b'=')?;
            Some((line[..equals].to_vec(), line[equals..].to_vec()))
        })
        .collect()
}

/// An overlay that this test's thread alone sees, unmounted when the test ends, however it does.
struct Overlay(PathBuf);

impl Overlay {
    fn mount(lower: &[PathBuf], target: PathBuf) -> Overlay {
        private_namespace().unwrap();
        fs::create_dir_all(&target).unwrap();
        let lower: Vec<_> = lower.iter().map(|dir| dir.to_str().unwrap()).collect();
        let options = format!("ro,lowerdir={}", lower.join(":"));
        let mut mount = Command::new("mount");
        mount.args(["-t", "overlay", "overlay", "-o", &options]);
        assert!(mount.arg(&target).status().unwrap().success());
        Overlay(target)
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// An image as a container would see it.
struct Merged {
    overlay: Overlay,
    #[expect(
        dead_code,
        reason = "held for the folder it removes, after the mount is gone"
    )]
    scratch: Scratch,
}

impl Merged {
    fn of(layers: Vec<Layer>, mount_points: &[&str]) -> Merged {
        let scratch = Scratch::new("merged");
        let registry = Registry::start();
        registry.push("same", "1", &Image::oci(layers).build());
        let host = Host::at(scratch.path());
        let images = Images::open(&host, &Settings::default()).unwrap();
        let reference: Reference = registry.name("same:1").parse().unwrap();
        let image = images.pull(&reference, &Platform::host(), &()).unwrap();
        let top = scratch.join("top");
        fs::create_dir(&top).unwrap();
        images.dress(&image, &top, mount_points).unwrap();
        let mut lower = vec![top];
        lower.extend(images.lower_dirs(&image.layers).unwrap());
        let overlay = Overlay::mount(&lower, scratch.join("root"));
        Merged { overlay, scratch }
    }

    fn path(&self) -> &Path {
        &self.overlay.0
    }
}

/// Unpacks the layers both ways and compares.
fn compare(layers: Vec<Layer>, mount_points: &[&str]) {
    let scratch = Scratch::new("umoci");
    let built = Image::oci(layers.clone()).build();
    built.write_layout(&scratch.join("layout"), "1");
    let umoci = Command::new("umoci")
        .args(["unpack", "--image"])
        .arg(scratch.join("layout:1"))
        .arg(scratch.join("bundle"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&umoci.stderr);
    assert!(umoci.status.success(), "{said}");

    let merged = Merged::of(layers, mount_points);
    let theirs = look(&scratch.join("bundle/rootfs"));
    let ours = look(merged.path());
    for (path, seen) in &theirs {
        assert_eq!(ours.get(path), Some(seen), "{path:?}");
    }
    let more: Vec<_> = ours
        .keys()
        .filter(|path| !theirs.contains_key(*path))
        .collect();
    assert!(more.is_empty(), "only ours: {more:?}");
}

/// The root and its folders, as every published image describes them.
fn root() -> Vec<Entry> {
    vec![
        Entry::dir("./").mode(0o751).owner(0, 3).mtime(1_000),
        Entry::dir("etc").mtime(1_001),
        Entry::dir("usr").mtime(1_002),
        Entry::dir("usr/bin").mtime(1_003),
        Entry::dir("tmp").mode(0o1777).mtime(1_004),
        Entry::dir("var").mtime(1_005),
        Entry::dir("var/lib").mode(0o2775).owner(0, 50).mtime(1_006),
    ]
}

#[test]
fn every_type_and_attribute() {
    let mut entries = root();
    entries.extend([
        Entry::file("etc/passwd", "root:x:0:0\n")
            .mode(0o640)
            .owner(0, 42)
            .mtime(99),
        Entry::file("etc/before-1970", "").pax("mtime", "-12.5"),
        Entry::file("etc/exact", "x").pax("mtime", "1700000000.123456789"),
        Entry::file("etc/large-ids", "x")
            .owner(0, 0)
            .pax("uid", "3000000000")
            .pax("gid", "2999999999"),
        Entry::file("usr/bin/ping", "#!")
            .mode(0o755)
            .mtime(5)
            .xattr("security.capability", CAPABILITY),
        Entry::file("usr/bin/su", "#!").mode(0o4755).mtime(5),
        Entry::file("usr/bin/write", "#!")
            .mode(0o2755)
            .owner(0, 5)
            .mtime(5),
        Entry::file("usr/bin/noted", "x")
            .xattr("user.note", "a=b\nc")
            .xattr("trusted.note", "\0\x01"),
        Entry::dir("usr/noted")
            .xattr("user.note", "folder")
            .mtime(6),
        Entry::symlink("usr/link", "bin")
            .mtime(7)
            .owner(8, 9)
            .xattr("trusted.note", "link"),
        Entry::symlink("usr/absolute", "/etc/passwd").mtime(7),
        Entry::symlink("usr/dangling", "../nowhere/../x").mtime(7),
        Entry::hardlink("usr/bin/su2", "usr/bin/su"),
        Entry::hardlink("usr/link2", "usr/link"),
        Entry::hardlink("./var/passwd", "/etc/passwd"),
        Entry::char_device("null", 1, 3).mtime(8),
        Entry::block_device("disk", 259, 70_000)
            .owner(0, 6)
            .mtime(8),
        Entry::fifo("pipe").mode(0o622).mtime(8),
        Entry::file("n".repeat(200), "long name").mtime(8),
        Entry::file(format!("{}/{}", "usr", "p".repeat(180)), "long path").mtime(8),
        Entry::file("empty", "").mtime(8),
        Entry::file("big", vec![7; 1_000_000]).mtime(8),
        Entry::raw("old-folder/", 0, ""),
    ]);
    compare(vec![Layer::of(&entries)], &["etc", "var/lib"]);
}

#[test]
fn layers_over_layers() {
    let bottom = {
        let mut entries = root();
        entries.extend([
            Entry::file("etc/a", "1").mtime(1),
            Entry::file("etc/b", "1").mtime(1),
            Entry::dir("etc/conf.d").mtime(1),
            Entry::file("etc/conf.d/x", "1").mtime(1),
            Entry::file("etc/conf.d/y", "1").mtime(1),
            Entry::dir("var/cache").mtime(1),
            Entry::file("var/cache/x", "1").mtime(1),
            Entry::dir("var/deep").mode(0o700).owner(1, 1).mtime(1),
            Entry::dir("var/deep/er")
                .mode(0o711)
                .mtime(1)
                .xattr("user.kept", "yes"),
            Entry::file("var/deep/er/x", "1").mtime(1),
            Entry::file("was-file", "1").mtime(1),
            Entry::dir("was-dir").mtime(1),
            Entry::file("was-dir/x", "1").mtime(1),
            Entry::symlink("was-link", "etc").mtime(1),
            Entry::file("one", "1").mtime(1),
            Entry::hardlink("two", "one"),
        ]);
        Layer::of(&entries)
    };
    let middle = Layer::of(&[
        Entry::dir("etc").mtime(2_001),
        Entry::file("etc/.wh.a", ""),
        Entry::file("etc/b", "2").mode(0o600).mtime(2),
        Entry::dir("etc/conf.d").mtime(2),
        Entry::file("etc/conf.d/.wh.y", ""),
        Entry::file("etc/conf.d/z", "2").mtime(2),
        Entry::file(".wh.var", "").mtime(2),
        Entry::dir("was-file").mtime(2),
        Entry::file("was-file/x", "2").mtime(2),
        Entry::file("was-dir", "2").mtime(2),
        Entry::dir("was-link").mtime(2),
        Entry::file("was-link/x", "2").mtime(2),
        Entry::dir("./").mode(0o755).owner(0, 0).mtime(2_000),
    ]);
    let top = Layer::of(&[
        Entry::dir("var").mtime(3),
        Entry::dir("var/deep").mtime(3),
        Entry::file("var/deep/new", "3").mtime(3),
        Entry::file("one", "3").mtime(3),
        Entry::file(".wh.never-there", ""),
        Entry::dir("./").mode(0o755).mtime(3_000),
    ])
    .packed(Packing::Plain);
    compare(vec![bottom, middle, top], &["etc", "var"]);
}

/// Many tools leave out the folders above a file; what is below keeps its attributes then.
#[test]
fn folders_that_a_layer_does_not_describe() {
    let mut entries = root();
    entries.extend([
        Entry::dir("srv")
            .mode(0o700)
            .owner(7, 7)
            .mtime(1)
            .xattr("user.kept", "yes"),
        Entry::dir("srv/data").mode(0o3770).owner(8, 8).mtime(2),
        Entry::dir("gone").mode(0o700).mtime(3),
    ]);
    let bottom = Layer::of(&entries);
    let other = Layer::of(&[Entry::file("usr/bin/x", "1").mtime(9)]);
    let top = Layer::of(&[
        Entry::file("tmp/x", "1").mtime(9),
        Entry::file("srv/data/x", "1").mtime(9),
        Entry::file("var/lib/x", "1").mtime(9),
        Entry::file(".wh.gone", ""),
    ]);
    compare(vec![bottom, other, top], &["etc", "tmp"]);
}

/// In one layer a link to a folder is as good as the folder.
#[test]
fn files_below_links() {
    let mut entries = root();
    entries.extend([
        Entry::dir("usr/lib").mtime(1),
        Entry::symlink("lib", "usr/lib").mtime(1),
        Entry::symlink("lib64", "/usr/lib").mtime(1),
        Entry::file("lib/x", "1").mtime(1),
        Entry::file("lib64/y", "1").mtime(1),
        Entry::symlink("up", "../../../usr").mtime(1),
        Entry::file("up/lib/z", "1").mtime(1),
        Entry::hardlink("lib/zz", "lib64/z"),
    ]);
    compare(vec![Layer::of(&entries)], &[]);
}

/// Identical layers twice, as repeated build steps make them: overlay itself would refuse to stack them.
#[test]
fn the_same_layer_twice() {
    let mut entries = root();
    entries.extend([Entry::dir("d").mtime(1), Entry::file("d/x", "1").mtime(1)]);
    let empty = Layer::of(&[]);
    let change = Layer::of(&[
        Entry::dir("d").mtime(2),
        Entry::file("d/.wh.x", ""),
        Entry::file("d/y", "2").mtime(2),
    ]);
    let back = Layer::of(&[Entry::dir("d").mtime(3), Entry::file("d/x", "3").mtime(3)]);
    compare(
        vec![
            Layer::of(&entries),
            empty.clone(),
            change.clone(),
            empty,
            back,
            change,
        ],
        &[],
    );
}

/// Opaque folders: only what the layer itself has in them is left. Also where the folder is the root, as the image format
/// says it, though overlay alone would not do it; there umoci forgets the root's own owner and mode, so it is no peer.
#[test]
fn opaque_folders() {
    let mut bottom = root();
    bottom.extend([
        Entry::dir("d"),
        Entry::dir("d/sub"),
        Entry::file("d/sub/old", "1"),
        Entry::file("d/old", "1"),
    ]);
    for (opaque, gone, left) in [
        (
            Entry::file("d/.wh..wh..opq", ""),
            &["d/old", "d/sub"][..],
            &["d/new", "usr/bin"][..],
        ),
        (
            Entry::file(".wh..wh..opq", ""),
            &["d/old", "d/sub", "usr", "etc/x"],
            &["d/new", "."],
        ),
    ] {
        for opaque_first in [true, false] {
            let mut top = vec![Entry::dir("d"), Entry::file("d/new", "2")];
            top.insert(if opaque_first { 0 } else { 2 }, opaque.clone());
            if gone.len() == 2 {
                compare(vec![Layer::of(&bottom), Layer::of(&top)], &[]);
            }
            let merged = Merged::of(vec![Layer::of(&bottom), Layer::of(&top)], &[]);
            for path in gone {
                assert!(!merged.path().join(path).exists(), "{path} {opaque:?}");
            }
            for path in left {
                assert!(merged.path().join(path).exists(), "{path} {opaque:?}");
            }
        }
    }
}

/// What GNU tar writes in each of its formats: long names, large numbers, holes. umoci knows no holes but PAX's, so
/// there GNU tar itself is the peer.
#[test]
fn archives_of_gnu_tar() {
    let scratch = Scratch::new("gnutar");
    let dir = gnu_tar_content(&scratch);
    for (options, peer_is_umoci) in [
        (&["--format=gnu", "--exclude=*hole*"][..], true),
        (
            &["--format=gnu", "--exclude=*hole*", "--blocking-factor=200"],
            true,
        ),
        (
            &[
                "--format=pax",
                "--xattrs",
                "--sparse",
                "--sparse-version=0.0",
            ],
            true,
        ),
        (
            &[
                "--format=pax",
                "--xattrs",
                "--sparse",
                "--sparse-version=0.1",
            ],
            true,
        ),
        (
            &[
                "--format=pax",
                "--xattrs",
                "--sparse",
                "--sparse-version=1.0",
            ],
            true,
        ),
        (&["--format=gnu", "--sparse"], false),
        (&["--format=oldgnu", "--sparse"], false),
    ] {
        let mut command = Command::new("tar");
        let command = command.args(options).args(["-cf", "-", "-C"]);
        let made = command.arg(&dir).arg(".").output().unwrap();
        assert!(made.status.success());
        if peer_is_umoci {
            compare(vec![Layer::of_tar(made.stdout)], &[]);
        } else {
            compare_with_gnu_tar(&made.stdout);
        }
    }
}

fn gnu_tar_content(scratch: &Scratch) -> PathBuf {
    let dir = scratch.join("content");
    fs::create_dir(&dir).unwrap();
    let holes = fs::File::create(dir.join("holes")).unwrap();
    for n in 0..30_u64 {
        holes.write_all_at(b"data", n * 1_000_000 + n).unwrap();
    }
    holes.set_len(40_000_000).unwrap();
    let only_hole = fs::File::create(dir.join("only-hole")).unwrap();
    only_hole.set_len(5_000_000).unwrap();
    fs::write(dir.join("l".repeat(250)), "long").unwrap();
    let deep = dir.join(["folder-with-a-name-of-some-length"; 10].join("/"));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("x"), "deep").unwrap();
    std::os::unix::fs::symlink("t".repeat(300), dir.join("far")).unwrap();
    fs::hard_link(deep.join("x"), deep.join("y")).unwrap();
    let latin = std::ffi::OsStr::from_bytes(b"caf\xe9");
    fs::write(dir.join(latin), "latin").unwrap();
    let handle = fs::File::open(&deep).unwrap();
    beneath::set_xattr(handle.as_fd(), b"user.note", b"deep\n=").unwrap();
    let time = beneath::Time {
        seconds: 1_600_000_000,
        nanoseconds: 123_456_789,
    };
    beneath::set_modified(handle.as_fd(), time).unwrap();
    dir
}

fn compare_with_gnu_tar(archive: &[u8]) {
    let scratch = Scratch::new("gnutar-peer");
    fs::write(scratch.join("archive"), archive).unwrap();
    for name in ["theirs", "ours"] {
        fs::create_dir(scratch.join(name)).unwrap();
    }
    let mut command = Command::new("tar");
    let command = command.args(["-xpf"]).arg(scratch.join("archive"));
    let command = command.arg("-C").arg(scratch.join("theirs"));
    assert!(command.status().unwrap().success());
    let ours = scratch.join("ours");
    let root = beneath::open_dir(&ours).unwrap();
    let budget = dray::unpack::Budget::new(1 << 30);
    let (seal, content) = dray::unpack::unpack(&mut &archive[..], root.as_fd(), &budget).unwrap();
    let mut read = dray::unpack::Content::of(root.as_fd(), &|_| {}).unwrap();
    assert!(seal.holds(root.as_fd(), &mut read).unwrap());
    assert_eq!(read, content);
    assert_eq!(look(&scratch.join("theirs")), look(&ours));
    // Holes stayed holes.
    let blocks = |name: &str| ours.join(name).metadata().unwrap().blocks();
    assert!(blocks("only-hole") == 0 && blocks("holes") < 1_000);
}

/// The helper itself: a difference would be noticed.
#[test]
fn a_difference_would_be_seen() {
    let scratch = Scratch::new("differs");
    let unpack = |name: &str, entries: &[Entry]| {
        let dir = scratch.join(name);
        fs::create_dir(&dir).unwrap();
        let root = beneath::open_dir(&dir).unwrap();
        let budget = dray::unpack::Budget::new(1 << 20);
        dray::unpack::unpack(&mut &tar(entries)[..], root.as_fd(), &budget).unwrap();
        look(&dir)
    };
    let file = || Entry::file("f", "content").mode(0o600).owner(1, 2).mtime(3);
    let base = unpack("base", &[file()]);
    assert_eq!(base, unpack("same", &[file()]));
    for (n, other) in [
        file().mode(0o601),
        file().owner(2, 2),
        file().owner(1, 1),
        file().mtime(4),
        file().pax("mtime", "3.000000001"),
        file().xattr("user.a", "b"),
        Entry::file("f", "contend").mode(0o600).owner(1, 2).mtime(3),
        Entry::file("f", "content+")
            .mode(0o600)
            .owner(1, 2)
            .mtime(3),
        Entry::symlink("f", "content").owner(1, 2).mtime(3),
    ]
    .into_iter()
    .enumerate()
    {
        assert_ne!(base, unpack(&n.to_string(), &[other]), "{n}");
    }
    let two = unpack("two", &[file(), Entry::file("g", "x").mtime(3)]);
    let linked = unpack("linked", &[file(), Entry::hardlink("g", "f")]);
    assert_ne!(two[Path::new("g")].same_as, linked[Path::new("g")].same_as);
}
