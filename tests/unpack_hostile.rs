//! Layers made to do harm, by attack (T1 to T14, as other engines fell to them): refused in one line, or contained; in no case is
//! anything outside the folder touched.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test files need no durable writer; a broken set-up should panic"
)]

mod common;

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use common::Scratch;
use common::image::{Entry, tar};
use dray::sys::beneath;
use dray::unpack::{Budget, Content, Seal, unpack};

/// Far more than any row needs.
const ROOM: u64 = 1 << 30;

/// An unpacked layer beside a folder that nobody may touch.
struct Attack {
    scratch: Scratch,
    result: Result<Seal, String>,
}

impl Attack {
    fn with(entries: &[Entry]) -> Attack {
        Attack::with_bytes(&tar(entries), ROOM)
    }

    fn with_bytes(mut bytes: &[u8], room: u64) -> Attack {
        let scratch = Scratch::new("hostile");
        fs::create_dir_all(scratch.join("victim")).unwrap();
        fs::write(scratch.join("victim/file"), "canary").unwrap();
        fs::create_dir(scratch.join("tree")).unwrap();
        let tree = beneath::open_dir(&scratch.join("tree")).unwrap();
        let before = outside(scratch.path());
        let result = unpack(&mut bytes, tree.as_fd(), &Budget::new(room));
        assert_eq!(outside(scratch.path()), before, "the outside has changed");
        let result = result.map(|(seal, content)| {
            // What went by is what there is.
            let mut read = Content::of(tree.as_fd(), &|_| {}).unwrap();
            assert!(seal.holds(tree.as_fd(), &mut read).unwrap());
            assert_eq!(read, content);
            seal
        });
        Attack {
            scratch,
            result: result.map_err(|error| error.to_string()),
        }
    }

    /// The one line.
    fn refused(&self) -> &str {
        self.result.as_ref().unwrap_err()
    }

    fn seal(&self) -> &Seal {
        self.result.as_ref().unwrap()
    }

    fn path(&self, path: &str) -> std::path::PathBuf {
        self.scratch.join("tree").join(path)
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    fn has(&self, path: &str) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }

    fn is_whiteout(&self, path: &str) -> bool {
        let metadata = self.path(path).symlink_metadata().unwrap();
        metadata.file_type().is_char_device() && metadata.rdev() == 0
    }

    fn is_opaque(&self, path: &str) -> bool {
        let dir = beneath::open_dir(&self.path(path)).unwrap();
        let xattrs = beneath::xattrs(dir.as_fd()).unwrap();
        xattrs.contains(&(b"trusted.overlay.opaque".to_vec(), b"y".to_vec()))
    }
}

/// Everything beside the tree: names, modes, owners, times and contents.
fn outside(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for path in [dir.join("victim"), dir.join("victim/file")] {
        let m = fs::metadata(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap_or_default();
        found.push(format!(
            "{path:?} {:o} {} {} {} {text}",
            m.mode(),
            m.uid(),
            m.mtime(),
            m.nlink()
        ));
    }
    for folder in [dir.to_owned(), dir.join("victim")] {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| format!("{:?}", entry.unwrap().file_name()))
            .collect();
        names.sort();
        found.extend(names);
    }
    found
}

/// One tar header with everything right but what `change` does to it.
fn header(kind: u8, name: &str, size: u64, change: impl Fn(&mut tar::Header)) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    change(&mut header);
    header.set_cksum();
    header.as_bytes().to_vec()
}

fn padded(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn raw(kind: u8, name: &str, body: &[u8]) -> Vec<u8> {
    [header(kind, name, body.len() as u64, |_| {}), padded(body)].concat()
}

fn ended(parts: &[Vec<u8>]) -> Vec<u8> {
    [parts.concat(), vec![0; 1024]].concat()
}

/// T1, T3, T13: through links, by every kind of entry.
#[test]
fn links_lead_nowhere_but_inside() {
    let up = "../victim";
    for (name, entries, inside) in [
        (
            "an absolute link",
            vec![
                Entry::symlink("x", "/victim"),
                Entry::dir("victim"),
                Entry::file("x/new", "1"),
            ],
            "victim/new",
        ),
        (
            "a link up",
            vec![
                Entry::symlink("x", up),
                Entry::dir("victim"),
                Entry::file("x/new", "1"),
            ],
            "victim/new",
        ),
        (
            "two hops up",
            vec![
                Entry::dir("inner"),
                Entry::dir("victim"),
                Entry::symlink("inner/go_up", ".."),
                Entry::symlink("inner/go_up/escape", up),
                Entry::file("inner/go_up/escape/new", "1"),
            ],
            "victim/new",
        ),
        (
            "many levels up",
            vec![
                Entry::dir("victim"),
                Entry::symlink("x", "../../../../../../../../victim"),
                Entry::file("x/new", "1"),
            ],
            "victim/new",
        ),
        (
            "a folder through a link",
            vec![
                Entry::dir("victim"),
                Entry::symlink("x", up),
                Entry::dir("x/new"),
            ],
            "victim/new",
        ),
        (
            "a link that was a folder before",
            vec![
                Entry::dir("x"),
                Entry::file("x/old", "1"),
                Entry::symlink("x", up),
                Entry::dir("victim"),
                Entry::file("x/new", "1"),
            ],
            "victim/new",
        ),
        (
            "a file instead of a link, not through it",
            vec![Entry::symlink("x", "../victim/file"), Entry::file("x", "1")],
            "x",
        ),
        (
            "a folder instead of a link, not through it",
            vec![
                Entry::symlink("x", up),
                Entry::dir("x").mode(0o777),
                Entry::file("x/new", "1"),
            ],
            "x/new",
        ),
    ] {
        let attack = Attack::with(&entries);
        assert!(attack.result.is_ok(), "{name}: {:?}", attack.result);
        assert!(attack.has(inside), "{name}");
        assert!(!attack.path(inside).is_symlink(), "{name}");
    }
}

/// T1, T2, T3, T8: names that cannot mean anything inside.
#[test]
fn names_that_lead_out_are_refused_by_name() {
    let file = |path: &str| Entry::file(path, "1");
    for (entries, words) in [
        (
            vec![file("..")],
            r#"entry ".." is refused: it leads up with "..""#,
        ),
        (
            vec![file("../pwned")],
            r#"entry "../pwned" is refused: it leads up with "..""#,
        ),
        (
            vec![file("/../victim/f")],
            r#"entry "/../victim/f" is refused: it leads up with "..""#,
        ),
        (
            vec![file("a/../../victim/f")],
            r#"entry "a/../../victim/f" is refused: it leads up with "..""#,
        ),
        (
            vec![Entry::hardlink("grab", "../victim/file")],
            r#"entry "../victim/file" is refused: it leads up with "..""#,
        ),
        (
            vec![Entry::hardlink("grab", "/victim/file")],
            r#""grab" is refused: it is a hard link to "victim/file", which this layer does not have"#,
        ),
        (
            vec![
                Entry::symlink("x", "../victim"),
                Entry::hardlink("grab", "x/file"),
            ],
            r#""grab" is refused: it is a hard link to "x/file", which this layer does not have"#,
        ),
        (
            vec![file(".wh.gone"), Entry::hardlink("grab", "gone")],
            r#""grab" is refused: it is a hard link to "gone", which this layer does not have"#,
        ),
        (
            vec![file(".wh.")],
            r#"".wh." is refused: it is a whiteout of nothing"#,
        ),
        (
            vec![file(".wh..")],
            r#"".wh.." is refused: it is a whiteout of nothing"#,
        ),
        (
            vec![file(".wh...")],
            r#"".wh..." is refused: it is a whiteout of nothing"#,
        ),
        (
            vec![file("./")],
            r#""/" is refused: the image's root must be a folder"#,
        ),
        (
            vec![Entry::symlink(".", "/victim")],
            r#""/" is refused: the image's root must be a folder"#,
        ),
        (
            vec![file("x"), file("x/y")],
            r#""x" is refused: it is used as a folder but is none"#,
        ),
        (
            vec![Entry::symlink("x", "nowhere"), file("x/y")],
            r#""x" is refused: it is used as a folder but is none"#,
        ),
        (
            vec![file("a").xattr("trusted.overlay.redirect", "/victim")],
            r#""a" is refused: it brings overlay's own attribute "trusted.overlay.redirect""#,
        ),
        (
            vec![Entry::raw("x", b'Z', "")],
            r#"entry "x" has the unknown type 'Z'"#,
        ),
    ] {
        assert_eq!(Attack::with(&entries).refused(), words);
    }
}

/// T1: links in a circle end.
#[test]
fn a_circle_of_links_is_refused() {
    let attack = Attack::with(&[
        Entry::symlink("a", "b"),
        Entry::symlink("b", "a"),
        Entry::file("a/x", "1"),
    ]);
    assert!(
        attack
            .refused()
            .starts_with("failed to open folder \"a\": ")
    );
}

/// T4: attributes stay inside too.
#[test]
fn attributes_never_follow_a_link() {
    for entry in [
        Entry::dir("d/.").mode(0o777),
        Entry::dir("d/").mode(0o4777).owner(7, 7).mtime(9),
        Entry::symlink("d", "../victim/file").owner(7, 7).mtime(9),
        Entry::hardlink("e", "d").mode(0o777).owner(7, 7).mtime(9),
        Entry::char_device("d", 1, 3).mode(0o777).owner(7, 7),
        Entry::file("d", "x")
            .mode(0o777)
            .owner(7, 7)
            .xattr("user.a", "b"),
    ] {
        let attack = Attack::with(&[Entry::symlink("d", "../victim"), entry.clone()]);
        assert!(attack.result.is_ok(), "{entry:?}: {:?}", attack.result);
    }
    // A hard link to a symbolic link is that link itself.
    let attack = Attack::with(&[
        Entry::symlink("d", "../victim/file"),
        Entry::hardlink("e", "d"),
    ]);
    assert_eq!(attack.seal().files, 2);
    assert!(attack.path("e").is_symlink());
}

/// T5: the PAX size counts, for all readers.
#[test]
fn a_pax_size_hides_no_entry() {
    let smuggled = raw(b'0', "smuggled", b"");
    let attack = Attack::with_bytes(
        &ended(&[
            raw(b'x', "pax", b"12 size=512\n"),
            header(b'0', "outer", 0, |_| {}),
            smuggled.clone(),
        ]),
        ROOM,
    );
    assert_eq!(attack.seal().files, 1);
    assert_eq!(fs::read(attack.path("outer")).unwrap(), smuggled);
}

/// T6: a PAX header speaks of the next file, not of the headers between.
#[test]
fn a_pax_size_skips_extension_headers() {
    let smuggled = raw(b'0', "smuggled", b"");
    let attack = Attack::with_bytes(
        &ended(&[
            raw(b'x', "pax", b"12 size=512\n"),
            raw(b'L', "././@LongLink", b"a-long-name\0"),
            header(b'0', "short", 0, |_| {}),
            smuggled.clone(),
        ]),
        ROOM,
    );
    assert_eq!(attack.seal().files, 1);
    assert_eq!(fs::read(attack.path("a-long-name")).unwrap(), smuggled);
}

/// T5, T6: what two readers would read differently.
#[test]
fn ambiguous_archives_are_refused() {
    let file = || raw(b'0', "f", b"1");
    for (bytes, words) in [
        (
            ended(&[
                raw(b'x', "p", b"9 path=a\n"),
                raw(b'L', "l", b"b\0"),
                file(),
            ]),
            "an extension header contradicts another one about its name",
        ),
        (
            ended(&[
                raw(b'x', "p", b"9 path=a\n"),
                raw(b'x', "p", b"9 path=b\n"),
                file(),
            ]),
            "an extension header contradicts another one about its attributes",
        ),
        (
            ended(&[raw(b'L', "l", b"a\0"), raw(b'L', "l", b"b\0"), file()]),
            "an extension header contradicts another one about its name",
        ),
        (
            ended(&[raw(b'g', "g", b"12 size=512\n"), file()]),
            "a global extension header would change the entries after it",
        ),
        (
            [file(), vec![0; 512], file(), vec![0; 1024]].concat(),
            "an extension header contradicts another one about where the archive ends",
        ),
        (
            ended(&[raw(b'x', "p", b"9 path=a\n")]),
            "the archive ends in the middle of an entry",
        ),
        (
            header(b'0', "f", 1000, |_| {}),
            "the archive ends in the middle of an entry",
        ),
        (
            file()[..300].to_vec(),
            "the archive ends in the middle of an entry",
        ),
        (
            ended(&[header(b'0', "f", 0, |h| {
                h.as_old_mut().size = *b"-0000000001\0"
            })]),
            "a header's size is not a number in its range",
        ),
        (
            ended(&[header(b'0', "f", 0, |h| {
                h.as_old_mut().uid = *b"\xff\xff\xff\xff\xff\xff\xff\xff"
            })]),
            "a header's uid is not a number in its range",
        ),
        (
            ended(&[raw(b'x', "p", b"18 uid=4294967295\n"), file()]),
            "a header's uid is not a number in its range",
        ),
        (
            ended(&[header(b'b', "f", 0, |_| {})]),
            "entry \"f\" has the unknown type 'b'",
        ),
    ] {
        assert_eq!(Attack::with_bytes(&bytes, ROOM).refused(), words);
    }
    // Harmless ones: a comment of git's, and a file's end without the blocks of zeros.
    for bytes in [
        ended(&[raw(b'g', "pax_global_header", b"13 comment=x\n"), file()]),
        file(),
        vec![0; 512],
        Vec::new(),
    ] {
        assert!(Attack::with_bytes(&bytes, ROOM).result.is_ok());
    }
}

/// T7: headers that ask for memory.
#[test]
fn large_headers_are_refused_before_they_are_read() {
    let huge = header(b'x', "p", 100 << 20, |_| {});
    assert_eq!(
        Attack::with_bytes(&huge, ROOM).refused(),
        "an extension header has 104857600 bytes, more than the 1048576 allowed"
    );
    let sparse = Entry::file("f", padded(b"10000000\n0\n1\n"))
        .pax("GNU.sparse.major", "1")
        .pax("GNU.sparse.minor", "0")
        .pax("GNU.sparse.realsize", "1000000");
    assert_eq!(
        Attack::with(&[sparse]).refused(),
        "a sparse file has more than 65536 regions"
    );
    // GNU's old form, whose map goes on and on.
    let block = {
        let mut block = [b'0'; 512];
        block[504] = 1;
        block
    };
    let first = header(b'S', "f", 0, |h| {
        h.as_gnu_mut().unwrap().isextended[0] = 1;
        h.as_gnu_mut().unwrap().realsize = *b"00000000000\0";
    });
    let bytes = [first, block.repeat(4000)].concat();
    assert_eq!(
        Attack::with_bytes(&bytes, ROOM).refused(),
        "a sparse file has more than 65536 regions"
    );
}

/// T7, T10: a lie about size costs nothing; the truth ends at the budget.
#[test]
fn nothing_grows_beyond_the_budget() {
    let lie = header(b'0', "f", 1 << 40, |_| {});
    assert_eq!(
        Attack::with_bytes(&lie, ROOM).refused(),
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
        assert_eq!(Attack::with_bytes(&bytes, 20_000).refused(), full);
    }
    assert!(
        Attack::with_bytes(&tar(&[Entry::file("f", vec![0; 9_000])]), 20_000)
            .result
            .is_ok()
    );
    // A hole takes no room, however large.
    let hole = |size: &str| {
        Entry::file("f", "1")
            .pax("GNU.sparse.map", "0,1")
            .pax("GNU.sparse.size", size)
    };
    let attack = Attack::with_bytes(&tar(&[hole("1099511627776")]), 20_000);
    assert_eq!(attack.path("f").metadata().unwrap().size(), 1 << 40);
    assert!(attack.path("f").metadata().unwrap().blocks() < 100);
    let refused = Attack::with(&[hole("9223372036854775807")]);
    assert!(refused.refused().starts_with("failed to write \"f\": "));
}

/// T8, T13: whiteouts act on the layers below, wherever they are said.
#[test]
fn whiteouts_stay_inside_and_spare_their_own_layer() {
    let attack = Attack::with(&[
        Entry::symlink("x", "../victim"),
        Entry::dir("victim"),
        Entry::file("x/.wh.file", ""),
        Entry::file("x/.wh..wh..opq", ""),
    ]);
    assert!(attack.is_whiteout("victim/file"));
    assert!(attack.is_opaque("victim"));

    let attack = Attack::with(&[
        Entry::file("kept", "1"),
        Entry::file(".wh.kept", ""),
        Entry::dir("d"),
        Entry::file("d/kept", "1"),
        Entry::file(".wh.d", ""),
        Entry::file(".wh.back", ""),
        Entry::file("back", "2"),
        Entry::file(".wh.e", ""),
        Entry::dir("e"),
        Entry::file(".wh.f", ""),
        Entry::file("f/implied", "3"),
        Entry::file("g", "was a file"),
        Entry::dir("g"),
        Entry::dir("plain"),
        Entry::file(".wh..wh.plnk/1.2", "AUFS"),
    ]);
    assert_eq!(attack.read("kept"), "1");
    assert_eq!(attack.read("d/kept"), "1");
    assert_eq!(attack.read("back"), "2");
    assert_eq!(attack.read("f/implied"), "3");
    for (folder, opaque) in [
        ("d", true),
        ("e", true),
        ("f", true),
        ("g", true),
        ("plain", false),
    ] {
        assert_eq!(attack.is_opaque(folder), opaque, "{folder}");
    }
    assert!(!attack.has(".wh..wh.plnk"));
    assert!(!attack.seal().opaque_root);

    let attack = Attack::with(&[Entry::file(".wh..wh..opq", "")]);
    assert!(attack.seal().opaque_root);
    assert!(!attack.is_opaque(""));
}

/// T9: what is dangerous is kept, and kept in.
#[test]
fn devices_and_set_user_id_are_kept_as_they_are() {
    let attack = Attack::with(&[
        Entry::block_device("sda", 8, 0).owner(0, 6),
        Entry::char_device("null", 1, 3),
        Entry::fifo("pipe").mode(0o622),
        Entry::file("su", "#!").mode(0o4755).owner(0, 0),
        Entry::file("ping", "#!").xattr(
            "security.capability",
            b"\x01\0\0\x02\0 \0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        ),
    ]);
    let stat = |path: &str| attack.path(path).symlink_metadata().unwrap();
    assert!(stat("sda").file_type().is_block_device());
    assert_eq!(
        (
            stat("sda").rdev(),
            stat("sda").mode() & 0o7777,
            stat("sda").gid()
        ),
        (0x800, 0o660, 6)
    );
    assert_eq!(
        (stat("null").rdev(), stat("null").mode() & 0o7777),
        (0x103, 0o666)
    );
    assert!(stat("pipe").file_type().is_fifo());
    assert_eq!(stat("pipe").permissions().mode() & 0o7777, 0o622);
    assert_eq!(stat("su").mode() & 0o7777, 0o4755);
    let device = Entry::char_device("x", 5000, 3);
    assert_eq!(
        Attack::with(&[device]).refused(),
        "a header's device major is not a number in its range"
    );
}

/// T13: of two entries with one name the later one counts.
#[test]
fn later_entries_replace_earlier_ones() {
    let file = |text: &str| Entry::file("x", text);
    let full = [Entry::dir("x"), Entry::file("x/deep/er", "1")];
    for (before, after) in [
        (vec![file("old")], file("new")),
        (full.to_vec(), file("new")),
        (vec![Entry::symlink("x", "../victim/file")], file("new")),
        (vec![Entry::fifo("x")], file("new")),
        (
            vec![Entry::file("y", "new"), file("old")],
            Entry::hardlink("x", "y"),
        ),
        (
            vec![Entry::file("y", "new"), Entry::dir("x")],
            Entry::symlink("x", "y"),
        ),
    ] {
        let entries = [before, vec![after]].concat();
        assert_eq!(Attack::with(&entries).read("x"), "new", "{entries:?}");
    }
    // What replaced a link's target did not write through it.
    let attack = Attack::with(&[
        Entry::file("x", "first"),
        Entry::hardlink("y", "x"),
        Entry::file("x", "second"),
    ]);
    assert_eq!(
        (attack.read("x"), attack.read("y")),
        ("second".into(), "first".into())
    );
    // Folders merge, and the later attributes count.
    let attack = Attack::with(&[
        Entry::dir("d").mode(0o700).mtime(1),
        Entry::file("d/kept", ""),
        Entry::dir("d").mode(0o750).mtime(2),
        Entry::file("d/late", ""),
    ]);
    let stat = attack.path("d").metadata().unwrap();
    assert_eq!((stat.mode() & 0o7777, stat.mtime()), (0o750, 2));
    assert!(attack.has("d/kept"));
}

/// T14: names are bytes; what goes into a message is not.
#[test]
fn names_are_kept_byte_for_byte_and_escaped_in_messages() {
    use std::os::unix::ffi::OsStrExt;
    let name = b"a\x1b]0;x\x07\n\xff";
    let attack = Attack::with(&[Entry::file(name, "1")]);
    let path = attack
        .scratch
        .join("tree")
        .join(std::ffi::OsStr::from_bytes(name));
    assert_eq!(fs::read_to_string(path).unwrap(), "1");
    let attack = Attack::with(&[Entry::file([&name[..], b"/../x"].concat(), "1")]);
    assert_eq!(
        attack.refused(),
        r#"entry "a\u{1b}]0;x\u{7}\n\xFF/../x" is refused: it leads up with "..""#
    );
    let long = "n".repeat(255);
    assert!(Attack::with(&[Entry::file(&long, "1")]).has(&long));
    for (name, reason) in [
        (
            format!("{long}n"),
            "it is longer than 4095 bytes, or a name in it longer than 255",
        ),
        (
            format!("{long}/").repeat(17),
            "it is longer than 4095 bytes, or a name in it longer than 255",
        ),
        ("d/".repeat(257), "it is more than 256 folders deep"),
    ] {
        let attack = Attack::with(&[Entry::file(&name, "1")]);
        assert!(attack.refused().ends_with(reason), "{}", attack.refused());
    }
}

/// A tree that is too deep to be removed again must not come to be, not even through links.
#[test]
fn links_cannot_make_a_tree_too_deep() {
    let deep = ["d"; 200].join("/");
    let attack = Attack::with(&[
        Entry::dir(&deep),
        Entry::symlink("l", &deep),
        Entry::dir(format!("l/{deep}")),
    ]);
    assert!(
        attack.refused().contains("more than 256 folders deep"),
        "{}",
        attack.refused()
    );
    // One open folder for each level is all that removing it takes.
    assert!(fs::remove_dir_all(attack.scratch.join("tree")).is_ok());
}
