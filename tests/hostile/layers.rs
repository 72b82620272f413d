//! T1 to T14: what is wrong is in a layer.

use std::io::Write;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::MetadataExt;

use super::common::image::{Built, Entry, Image, Layer, Packing, tar};
use super::{End, Found, Row, UP, Way, World, accepted, image, refused, refused_with, run_all};

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

fn of_tar(tar: Vec<u8>) -> Built {
    Image::oci([Layer::of_tar(tar)]).build()
}

fn row(id: &'static str, name: &str, entries: &[Entry], end: End) -> Row {
    Row::new(id, name, image(entries), end)
}

fn tar_row(id: &'static str, name: &str, tar: Vec<u8>, end: End) -> Row {
    Row::new(id, name, of_tar(tar), end)
}

/// Accepted, with exactly these names.
fn holds(names: &[&str]) -> End {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    accepted(move |found| assert_eq!(found.names(), names))
}

fn file(path: &str) -> Entry {
    Entry::file(path, "1")
}

#[test]
fn hostile_layers_are_refused_or_contained() {
    let world = World::new();
    let out = world.path();
    let mut rows = through_links(&out);
    rows.extend(names_out(&out));
    rows.extend(attributes(&out));
    rows.extend(two_readings());
    rows.extend(headers());
    rows.extend(whiteouts(&out));
    rows.extend(dangerous());
    rows.extend(packed());
    rows.extend(other_contents());
    rows.extend(replaced(&out));
    rows.extend(strange_names());
    run_all(&rows, &world);
}

/// T1: every link that leads out, from inside the image's root, and what is written through it stays inside.
fn through_links(out: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let up = format!("{UP}/beside");
    let many = format!("{}{}", "../".repeat(40), &out[1..]);
    for (name, target) in [
        ("an absolute link", out),
        ("a link up to beside the store", &up),
        ("a link up to the host's root and down", &many),
    ] {
        // Where the link leads with the image's root as its root.
        let inside: Vec<&str> = target
            .split('/')
            .filter(|part| !part.is_empty() && *part != "..")
            .collect();
        let inside = inside.join("/");
        let link = Entry::symlink("x", target);
        for (what, entry) in [
            ("a file", Entry::file("x/new", "1")),
            ("a folder", Entry::dir("x/new").mode(0o777)),
            ("a link", Entry::symlink("x/new", "/")),
            ("a pipe", Entry::fifo("x/new")),
            ("a device", Entry::char_device("x/new", 1, 3)),
        ] {
            let is_inside = format!("{inside}/new");
            rows.push(row(
                "T1",
                &format!("{what} through {name}"),
                &[Entry::dir(&inside), link.clone(), entry],
                accepted(move |found| assert!(found.has(&is_inside))),
            ));
        }
        rows.push(row(
            "T1",
            &format!("a file that is there, through {name}"),
            &[link.clone(), Entry::file("x/file", "changed")],
            refused(r#": "x" is refused: it is used as a folder but is none"#),
        ));
        rows.push(row(
            "T1",
            &format!("a file instead of {name}"),
            &[link.clone(), file("x")],
            holds(&["x"]),
        ));
        rows.push(row(
            "T1",
            &format!("a folder instead of {name}"),
            &[link.clone(), Entry::dir("x").mode(0o777), file("x/new")],
            holds(&["x", "x/new"]),
        ));
        rows.push(row(
            "T1",
            &format!("{name} instead of a folder"),
            &[
                Entry::dir("x"),
                file("x/old"),
                link,
                Entry::dir(&inside),
                file("x/new"),
            ],
            accepted(|found| assert!(found.path("x").is_symlink())),
        ));
    }
    rows.push(row(
        "T1",
        "two hops up",
        &[
            Entry::dir("inner"),
            Entry::dir("beside"),
            Entry::symlink("inner/go_up", ".."),
            Entry::symlink("inner/go_up/escape", format!("{UP}/beside")),
            file("inner/go_up/escape/new"),
        ],
        accepted(|found| assert_eq!(found.read("beside/new"), "1")),
    ));
    rows.push(row(
        "T1",
        "a circle of links",
        &[
            Entry::symlink("a", "b"),
            Entry::symlink("b", "a"),
            file("a/x"),
        ],
        refused(r#": failed to open folder "a": Too many levels of symbolic links (os error 40)"#),
    ));
    // In a layer of its own, which has no link.
    let link = Layer::of(&[Entry::symlink("x", out)]);
    let through = Layer::of(&[file("x/new")]);
    rows.push(Row::new(
        "T1",
        "through a link of the layer below",
        Image::oci([link, through]).build(),
        holds(&["x", "x/new"]),
    ));
    rows
}

/// T2, T3: names and links that cannot mean anything inside.
fn names_out(out: &str) -> Vec<Row> {
    let up = |name: &str| {
        refused(format!(
            r#": entry "{name}" is refused: it leads up with "..""#
        ))
    };
    let mut rows = Vec::new();
    for name in [
        "..".to_owned(),
        "../pwned".to_owned(),
        format!("{UP}/beside/file"),
        format!("/../..{out}/file"),
        "a/../../beside/file".to_owned(),
        "a/..".to_owned(),
    ] {
        rows.push(row("T2", &name, &[file(&name)], up(&name)));
    }
    rows.push(row(
        "T2",
        "a folder that leads up",
        &[Entry::dir(format!("{UP}/beside")).mode(0o777)],
        up(&format!("{UP}/beside")),
    ));
    let inside = format!("{}/file", &out[1..]);
    rows.push(row(
        "T2",
        "an absolute name",
        &[Entry::file(format!("{out}/file"), "inside")],
        accepted(move |found| assert_eq!(found.read(&inside), "inside")),
    ));
    rows.push(row("T2", "two slashes", &[file("//x")], holds(&["x"])));
    for (name, entry) in [
        ("the root as a file", file("./")),
        ("the root as a link", Entry::symlink(".", out)),
        ("the root as a pipe", Entry::fifo("/")),
    ] {
        let words = r#": "/" is refused: the image's root must be a folder"#;
        rows.push(row("T2", name, &[entry], refused(words)));
    }
    rows.push(row(
        "T2",
        "a file as a folder",
        &[file("x"), file("x/y")],
        refused(r#": "x" is refused: it is used as a folder but is none"#),
    ));
    let lacks = |target: &str| {
        refused(format!(
            r#": "grab" is refused: it is a hard link to {target:?}, which this layer does not have"#
        ))
    };
    let beside = format!("{UP}/beside/file");
    let grab = |target: &str| Entry::hardlink("grab", target);
    rows.push(row("T3", "a hard link up", &[grab(&beside)], up(&beside)));
    rows.push(row(
        "T3",
        "a hard link to a sibling whose name begins the same",
        &[grab("../tree-evil/hidden")],
        up("../tree-evil/hidden"),
    ));
    for (name, before, target, told) in [
        (
            "an absolute hard link",
            None,
            format!("{out}/file"),
            format!("{}/file", &out[1..]),
        ),
        (
            "a hard link through a link",
            Some(Entry::symlink("x", out)),
            "x/file".to_owned(),
            "x/file".to_owned(),
        ),
        (
            "a hard link to a whiteout",
            Some(file(".wh.gone")),
            "gone".to_owned(),
            "gone".to_owned(),
        ),
        (
            "a hard link to itself",
            None,
            "grab".to_owned(),
            "grab".to_owned(),
        ),
    ] {
        let entries: Vec<Entry> = before.into_iter().chain([grab(&target)]).collect();
        rows.push(row("T3", name, &entries, lacks(&told)));
    }
    rows.push(row(
        "T3",
        "a hard link to a folder",
        &[Entry::dir("d"), grab("d")],
        refused_with(r#""grab""#),
    ));
    rows.push(row(
        "T3",
        "a hard link to a link is that link",
        &[Entry::symlink("d", format!("{out}/file")), grab("d")],
        accepted(|found| assert!(found.path("grab").is_symlink())),
    ));
    rows
}

/// T4: modes, owners, times and attributes are those of the link, or of what replaces it.
fn attributes(out: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, entry, is_link) in [
        ("a mode", Entry::dir("d/.").mode(0o777), false),
        (
            "all of a folder's",
            Entry::dir("d/").mode(0o4777).owner(7, 7).mtime(9),
            false,
        ),
        (
            "a link's",
            Entry::symlink("d", out).owner(7, 7).mtime(9),
            true,
        ),
        (
            "a hard link's",
            Entry::hardlink("e", "d").mode(0o777).owner(7, 7).mtime(9),
            true,
        ),
        (
            "a device's",
            Entry::char_device("d", 1, 3).mode(0o777).owner(7, 7),
            false,
        ),
        (
            "an extended attribute",
            Entry::file("d", "x").mode(0o777).xattr("user.a", "b"),
            false,
        ),
    ] {
        rows.push(row(
            "T4",
            &format!("{name} through a link"),
            &[Entry::symlink("d", out), entry],
            accepted(move |found| assert_eq!(found.path("d").is_symlink(), is_link)),
        ));
    }
    rows.push(row(
        "T4",
        "overlay's own attribute",
        &[file("a").xattr("trusted.overlay.redirect", out)],
        refused(
            r#": "a" is refused: it brings overlay's own attribute "trusted.overlay.redirect""#,
        ),
    ));
    rows
}

/// T5, T6: what two readers would read differently.
fn two_readings() -> Vec<Row> {
    let smuggled = || raw(b'0', "smuggled", b"");
    let pax_size = || raw(b'x', "pax", b"12 size=512\n");
    let whole = |name: &'static str| {
        accepted(move |found: &Found| {
            assert_eq!(found.names(), [name]);
            assert_eq!(found.read(name).as_bytes(), raw(b'0', "smuggled", b""));
        })
    };
    let empty = || header(b'0', "outer", 0, |_| {});
    let mut rows = vec![
        tar_row(
            "T5",
            "the size of a pax header counts",
            ended(&[pax_size(), empty(), smuggled()]),
            whole("outer"),
        ),
        tar_row(
            "T6",
            "a pax size is the next file's, not the next header's",
            ended(&[
                pax_size(),
                raw(b'L', "././@LongLink", b"a-long-name\0"),
                empty(),
                smuggled(),
            ]),
            whole("a-long-name"),
        ),
    ];
    let contradicts =
        |what: &str| format!(": an extension header contradicts another one about {what}");
    let file = || raw(b'0', "f", b"1");
    let ends = ": the archive ends in the middle of an entry".to_owned();
    let pax = |record: &str| raw(b'x', "p", record.as_bytes());
    for (id, name, bytes, words) in [
        (
            "T6",
            "two kinds of names",
            ended(&[pax("9 path=a\n"), raw(b'L', "l", b"b\0"), file()]),
            contradicts("its name"),
        ),
        (
            "T6",
            "two pax headers",
            ended(&[pax("9 path=a\n"), pax("9 path=b\n"), file()]),
            contradicts("its attributes"),
        ),
        (
            "T6",
            "two long names",
            ended(&[raw(b'L', "l", b"a\0"), raw(b'L', "l", b"b\0"), file()]),
            contradicts("its name"),
        ),
        (
            "T6",
            "a global size",
            ended(&[raw(b'g', "g", b"12 size=512\n"), file()]),
            ": a global extension header would change the entries after it".to_owned(),
        ),
        (
            "T5",
            "entries behind the end",
            [file(), vec![0; 512], file(), vec![0; 1024]].concat(),
            contradicts("where the archive ends"),
        ),
        (
            "T6",
            "a pax header of nothing",
            ended(&[pax("9 path=a\n")]),
            ends.clone(),
        ),
        (
            "T5",
            "a size beyond the end",
            header(b'0', "f", 1000, |_| {}),
            ends.clone(),
        ),
        ("T5", "half a header", file()[..300].to_vec(), ends),
        (
            "T5",
            "a negative size",
            ended(&[header(b'0', "f", 0, |h| {
                h.as_old_mut().size = *b"-0000000001\0";
            })]),
            ": a header's size is not a number in its range".to_owned(),
        ),
        (
            "T5",
            "a binary user",
            ended(&[header(b'0', "f", 0, |h| h.as_old_mut().uid = [0xff; 8])]),
            ": a header's uid is not a number in its range".to_owned(),
        ),
        (
            "T5",
            "a user that is none",
            ended(&[pax("18 uid=4294967295\n"), file()]),
            ": a header's uid is not a number in its range".to_owned(),
        ),
        (
            "T5",
            "a wrong checksum",
            ended(&[{
                let mut file = file();
                file[0] ^= 1;
                file
            }]),
            ": a header's checksum is wrong".to_owned(),
        ),
        (
            "T5",
            "no archive",
            vec![b'x'; 5_000],
            ": a header's checksum is not a number in its range".to_owned(),
        ),
        (
            "T5",
            "an unknown type",
            ended(&[header(b'Z', "f", 0, |_| {})]),
            ": entry \"f\" has the unknown type 'Z'".to_owned(),
        ),
    ] {
        rows.push(tar_row(id, name, bytes, refused(words)));
    }
    // Harmless ones.
    for (name, bytes) in [
        (
            "a comment of git's",
            ended(&[raw(b'g', "pax_global_header", b"13 comment=x\n"), file()]),
        ),
        ("no blocks of zeros", file()),
        // As umoci's insert writes it.
        ("no zeros at all", file()[..513].to_vec()),
        ("one block of zeros", vec![0; 512]),
        ("nothing", Vec::new()),
    ] {
        rows.push(tar_row("T5", name, bytes, accepted(|_| {})));
    }
    rows
}

/// T7: headers that ask for memory.
fn headers() -> Vec<Row> {
    let sparse = Entry::file("f", padded(b"10000000\n0\n1\n"))
        .pax("GNU.sparse.major", "1")
        .pax("GNU.sparse.minor", "0")
        .pax("GNU.sparse.realsize", "1000000");
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
    let regions = || refused(": a sparse file has more than 65536 regions");
    let hole = |size: &str| {
        Entry::file("f", "1")
            .pax("GNU.sparse.map", "0,1")
            .pax("GNU.sparse.size", size)
    };
    vec![
        tar_row(
            "T7",
            "a pax header of 100 MiB",
            header(b'x', "p", 100 << 20, |_| {}),
            refused(": an extension header has 104857600 bytes, more than the 1048576 allowed"),
        ),
        tar_row(
            "T7",
            "a long name of 2 GiB",
            header(b'L', "l", 2 << 30, |_| {}),
            refused(": an extension header has 2147483648 bytes, more than the 1048576 allowed"),
        ),
        row("T7", "a sparse map of 10^7 regions", &[sparse], regions()),
        tar_row(
            "T7",
            "a sparse map without an end",
            [first, block.repeat(4000)].concat(),
            regions(),
        ),
        row(
            "T7",
            "a hole of a tebibyte takes no room",
            &[hole("1099511627776")],
            accepted(|found| {
                assert_eq!(found.stat("f").size(), 1 << 40);
                assert!(found.stat("f").blocks() < 100);
            }),
        ),
        row(
            "T7",
            "a hole of eight exbibytes",
            &[hole("9223372036854775807")],
            refused_with(": failed to write \"f\": "),
        ),
    ]
}

/// T8: whiteouts act on the layers below, wherever they are said.
fn whiteouts(out: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    for name in [".wh.", ".wh..", ".wh...", "d/.wh.."] {
        let shown = name.trim_start_matches("d/");
        let words = format!(r#": "{shown}" is refused: it is a whiteout of nothing"#);
        rows.push(row("T8", name, &[file(name)], refused(words)));
    }
    let inside = out[1..].to_owned();
    rows.push(row(
        "T8",
        "through a link",
        &[
            Entry::symlink("x", out),
            Entry::dir(&inside),
            Entry::file("x/.wh.file", ""),
            Entry::file("x/.wh..wh..opq", ""),
        ],
        accepted(move |found| {
            assert!(found.is_whiteout(&format!("{inside}/file")));
            assert!(found.is_opaque(&inside));
        }),
    ));
    rows.push(row(
        "T8",
        "of what its own layer has",
        &[
            file("kept"),
            Entry::file(".wh.kept", ""),
            Entry::dir("d"),
            file("d/kept"),
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
        ],
        accepted(|found| {
            assert_eq!(found.read("kept"), "1");
            assert_eq!(found.read("d/kept"), "1");
            assert_eq!(found.read("back"), "2");
            assert_eq!(found.read("f/implied"), "3");
            for (folder, is_opaque) in [
                ("d", true),
                ("e", true),
                ("f", true),
                ("g", true),
                ("plain", false),
            ] {
                assert_eq!(found.is_opaque(folder), is_opaque, "{folder}");
            }
            assert!(!found.has(".wh..wh.plnk"));
        }),
    ));
    rows.push(row(
        "T8",
        "of everything below",
        &[Entry::file(".wh..wh..opq", "")],
        accepted(|found| {
            let seal = std::fs::read_to_string(found.path("../seal.json")).unwrap();
            assert!(seal.contains("\"opaque_root\":true"), "{seal}");
            assert!(!found.is_opaque(""));
        }),
    ));
    rows
}

/// T9: what is dangerous is kept, and kept in.
fn dangerous() -> Vec<Row> {
    let capability = b"\x01\0\0\x02\0 \0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    vec![
        row(
            "T9",
            "devices, set-user-id and capabilities",
            &[
                Entry::block_device("sda", 8, 0).owner(0, 6),
                Entry::char_device("null", 1, 3),
                Entry::fifo("pipe").mode(0o622),
                Entry::file("su", "#!").mode(0o4755).owner(0, 0),
                Entry::file("ping", "#!").xattr("security.capability", capability),
            ],
            accepted(|found| {
                let mode = |path: &str| found.stat(path).mode() & 0o7777;
                assert!(found.stat("sda").file_type().is_block_device());
                assert_eq!((found.stat("sda").rdev(), mode("sda")), (0x800, 0o660));
                assert_eq!(found.stat("sda").gid(), 6);
                assert_eq!((found.stat("null").rdev(), mode("null")), (0x103, 0o666));
                assert!(found.stat("pipe").file_type().is_fifo());
                assert_eq!((mode("pipe"), mode("su")), (0o622, 0o4755));
                // Nobody but root comes near them.
                for folder in ["state", "state/layers", "state/layers/sha256"] {
                    let folder = found.device.join(folder).metadata().unwrap();
                    assert_eq!(folder.mode() & 0o7777, 0o700, "{folder:?}");
                }
            }),
        ),
        row(
            "T9",
            "a device that cannot be",
            &[Entry::char_device("x", 5000, 3)],
            refused(": a header's device major is not a number in its range"),
        ),
    ]
}

/// The image of `tar` with another blob for its layer: not what any encoder would make of it.
fn with_blob(tar: &[u8], packing: Packing, blob: Vec<u8>) -> Built {
    let built = Image::oci([Layer::of_tar(tar.to_vec()).packed(packing)]).build();
    super::documents::with_layer(&built, blob)
}

/// T10: what blows up, ends early or goes on, in gzip and zstd.
fn packed() -> Vec<Row> {
    let content = tar(&[Entry::file("f", vec![b'z'; 400_000])]);
    let gzip = |bytes: &[u8]| Layer::of_tar(bytes.to_vec()).blob();
    let zstd = |bytes: &[u8]| {
        let layer = Layer::of_tar(bytes.to_vec());
        layer.packed(Packing::Zstd).blob()
    };
    let (first, second) = content.split_at(150_000);
    // What podman's zstd:chunked puts behind the layer: a frame to be skipped.
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 5, 0, 0, 0][..], b"table"].concat();
    let wide = {
        let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
        encoder.window_log(28).unwrap();
        encoder.write_all(&content).unwrap();
        encoder.finish().unwrap()
    };
    let whole = || accepted(|found: &Found| assert_eq!(found.stat("f").size(), 400_000));
    let failed = || refused_with("failed to unpack layer sha256:");
    let mut rows = Vec::new();
    for (name, packing, blob, end) in [
        (
            "gzip in members",
            Packing::Gzip,
            [gzip(first), gzip(second)].concat(),
            whole(),
        ),
        (
            "zstd in frames",
            Packing::Zstd,
            [zstd(first), zstd(second)].concat(),
            whole(),
        ),
        (
            "zstd with a skipped frame",
            Packing::Zstd,
            [zstd(&content), skippable].concat(),
            whole(),
        ),
        (
            "garbage behind gzip",
            Packing::Gzip,
            [gzip(&content), b"garbage".to_vec()].concat(),
            failed(),
        ),
        (
            "garbage behind zstd",
            Packing::Zstd,
            [zstd(&content), b"garbage".to_vec()].concat(),
            failed(),
        ),
        (
            "half a gzip",
            Packing::Gzip,
            gzip(&content)[..200].to_vec(),
            failed(),
        ),
        (
            "half a zstd",
            Packing::Zstd,
            zstd(&content)[..20].to_vec(),
            failed(),
        ),
        ("a huge window", Packing::Zstd, wide, failed()),
        ("no bytes at all", Packing::Gzip, Vec::new(), failed()),
        (
            "a tar that calls itself gzip",
            Packing::Gzip,
            content.clone(),
            refused(": invalid gzip header"),
        ),
    ] {
        rows.push(Row::new(
            "T10",
            name,
            with_blob(&content, packing, blob),
            end,
        ));
    }
    // A quota stands for a small disk.
    let bomb = |layers: Vec<Layer>, name: &str| {
        Row::new(
            "T10",
            name,
            Image::oci(layers).build(),
            refused_with(": it unpacks to more than the "),
        )
        .settings("[store]\nmax_size = 30m\n")
    };
    let zeros = Layer::of(&[Entry::file("zeros", vec![0; 200 << 20])]);
    rows.push(bomb(
        vec![zeros.clone().packed(Packing::Zstd)],
        "a bomb in zstd",
    ));
    rows.push(bomb(vec![zeros], "a bomb in gzip"));
    let behind = [tar(&[]), vec![0; 60 << 20]].concat();
    rows.push(bomb(
        vec![Layer::of_tar(behind)],
        "a bomb behind the archive's end",
    ));
    let folders: Vec<Entry> = (0..9_000).map(|n| Entry::dir(n.to_string())).collect();
    rows.push(bomb(vec![Layer::of(&folders)], "a bomb of folders"));
    rows.push(
        tar_row(
            "T10",
            "a file that claims a tebibyte",
            header(b'0', "f", 1 << 40, |_| {}),
            refused_with(": it unpacks to more than the "),
        )
        .settings("[store]\nmax_size = 30m\n"),
    );
    rows
}

/// T11, T12: nobody else unpacks, and what is unpacked is what the image says.
fn other_contents() -> Vec<Row> {
    let layers = || ["a", "b"].map(|name| Layer::of(&[Entry::file(name, "1")]));
    let straight = Image::oci(layers()).build();
    let swapped = straight.diff_ids.iter().rev().copied().collect();
    let short = straight.diff_ids[..1].to_vec();
    let mut long = straight.diff_ids.clone();
    long.push(long[0]);
    let image = |diff_ids| Image::oci(layers()).diff_ids(diff_ids).build();
    let mut rows = vec![
        Row::new(
            "T12",
            "layers in another order",
            image(swapped),
            refused_with(", the image says sha256:"),
        ),
        Row::new(
            "T12",
            "more layers than diff ids",
            image(short),
            refused("is refused: its manifest has 2 layers, its configuration 1"),
        ),
        Row::new(
            "T12",
            "fewer layers than diff ids",
            image(long),
            refused("is refused: its manifest has 2 layers, its configuration 3"),
        ),
    ];
    // Programs of these names would be found first, and leave a file beside the state folder.
    let unpackers = ["gzip", "gunzip", "unpigz", "zstd", "tar", "xz"];
    for packing in [Packing::Gzip, Packing::Zstd] {
        let layer = Layer::of(&[file("f")]).packed(packing);
        let image = Image::oci([layer]).build();
        let name = format!("an unpacker in the path, {packing:?}");
        rows.push(
            Row::new("T11", &name, image, holds(&["f"])).spoilt(move |device, _| {
                let bin = device.join("docker/bin");
                std::fs::create_dir_all(&bin).unwrap();
                let script = format!("#!/bin/sh\n: > {}\n", device.join("ran").display());
                for name in unpackers {
                    std::fs::write(bin.join(name), &script).unwrap();
                    super::executable(&bin.join(name));
                }
            }),
        );
    }
    rows
}

/// T13: of two entries with one name the later one counts, and writes through nothing.
fn replaced(out: &str) -> Vec<Row> {
    let new = || Entry::file("x", "new");
    let full = [Entry::dir("x"), file("x/deep/er")];
    let mut rows = Vec::new();
    for (name, before, after) in [
        ("a file", vec![Entry::file("x", "old")], new()),
        ("a folder", full.to_vec(), new()),
        (
            "a link out",
            vec![Entry::symlink("x", format!("{out}/file"))],
            new(),
        ),
        ("a pipe", vec![Entry::fifo("x")], new()),
        (
            "a file, by a hard link",
            vec![Entry::file("y", "new"), Entry::file("x", "old")],
            Entry::hardlink("x", "y"),
        ),
    ] {
        let entries = [before, vec![after]].concat();
        rows.push(row(
            "T13",
            &format!("instead of {name}"),
            &entries,
            accepted(|found| assert_eq!(found.read("x"), "new")),
        ));
    }
    rows.push(row(
        "T13",
        "a folder that becomes a link out and is written into",
        &[
            Entry::dir("x"),
            file("x/file"),
            Entry::symlink("x", out),
            Entry::file("x/file", "through"),
        ],
        refused(r#": "x" is refused: it is used as a folder but is none"#),
    ));
    rows.push(row(
        "T13",
        "one of two names of a file",
        &[
            Entry::file("x", "first"),
            Entry::hardlink("y", "x"),
            Entry::file("x", "second"),
        ],
        accepted(|found| {
            let both = (found.read("x"), found.read("y"));
            assert_eq!(both, ("second".into(), "first".into()));
        }),
    ));
    rows.push(row(
        "T13",
        "a folder twice",
        &[
            Entry::dir("d").mode(0o700).mtime(1),
            Entry::file("d/kept", ""),
            Entry::dir("d").mode(0o750).mtime(2),
            Entry::file("d/late", ""),
        ],
        accepted(|found| {
            let stat = found.stat("d");
            assert_eq!((stat.mode() & 0o7777, stat.mtime()), (0o750, 2));
            assert!(found.has("d/kept"));
        }),
    ));
    rows
}

/// T14: names are bytes; what goes into a message is not.
fn strange_names() -> Vec<Row> {
    use std::os::unix::ffi::OsStrExt;
    let name = b"a\x1b]0;x\x07\n\xff";
    let long = "n".repeat(255);
    let mut rows = vec![
        row(
            "T14",
            "control characters and no text",
            &[Entry::file(name, "1")],
            accepted(move |found| {
                let path = found.path(std::ffi::OsStr::from_bytes(name));
                assert_eq!(std::fs::read(path).unwrap(), b"1");
            }),
        ),
        row(
            "T14",
            "control characters in a message",
            &[Entry::file([&name[..], b"/../x"].concat(), "1")],
            refused(r#": entry "a\u{1b}]0;x\u{7}\n\xFF/../x" is refused: it leads up with "..""#),
        ),
        row("T14", "255 bytes", &[file(&long)], holds(&[&long])),
    ];
    let lengths = ": it is longer than 4095 bytes, or a name in it longer than 255";
    for (name, path, reason) in [
        ("256 bytes", format!("{long}n"), lengths),
        ("4352 bytes", format!("{long}/").repeat(17), lengths),
        (
            "257 folders",
            "d/".repeat(257),
            ": it is more than 256 folders deep",
        ),
    ] {
        rows.push(row("T14", name, &[Entry::dir(path)], refused(reason)));
    }
    // One open folder for each level is all that removing a tree takes.
    let deep = ["d"; 200].join("/");
    rows.push(row(
        "T14",
        "too deep through a link",
        &[
            Entry::dir(&deep),
            Entry::symlink("l", &deep),
            Entry::dir(format!("l/{deep}")),
        ],
        refused_with("more than 256 folders deep"),
    ));
    rows.push(row(
        "T14",
        "an empty name",
        &[Entry::file("", "1")],
        refused_with(" is refused: "),
    ));
    rows
}

/// A million files without content come, and take what they say.
#[test]
#[ignore = "takes minutes: DRAY_LONG=1 makes it a million files, else it is fifty thousand"]
fn a_layer_of_very_many_empty_files_comes() {
    let count = match std::env::var_os("DRAY_LONG") {
        Some(_) => 1_000_000,
        None => 50_000,
    };
    let entries: Vec<Entry> = (0..count)
        .map(|n| Entry::file(format!("d{}/f{n}", n / 1000), ""))
        .collect();
    let world = World::new();
    let last = format!("d{}/f{}", (count - 1) / 1000, count - 1);
    let rows = [row(
        "T10",
        &format!("{count} empty files"),
        &entries,
        accepted(move |found| assert_eq!(found.stat(&last).size(), 0)),
    )
    .only(Way::Pull)];
    run_all(&rows, &world);
}
