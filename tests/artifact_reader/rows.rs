//! The table.

use crate::parts::{END, Parts, entry, gnu, gz, line, pax, program, recompute, sized, typed};

/// One artifact: how it is bent, what our reader says (nothing if it takes it), and why mender-artifact says otherwise.
pub struct Row {
    pub name: &'static str,
    pub bend: fn(&mut Parts),
    pub refused: Option<&'static str>,
    pub differs: Option<&'static str>,
}

const fn taken(name: &'static str, bend: fn(&mut Parts)) -> Row {
    Row {
        name,
        bend,
        refused: None,
        differs: None,
    }
}

const fn refused(name: &'static str, bend: fn(&mut Parts), problem: &'static str) -> Row {
    Row {
        name,
        bend,
        refused: Some(problem),
        differs: None,
    }
}

impl Row {
    /// mender-artifact decides the other way, for this reason.
    const fn but(self, reason: &'static str) -> Row {
        Row {
            differs: Some(reason),
            ..self
        }
    }
}

const HIDDEN: &str = "no checksum and no signature covers it";
const TWO_READINGS: &str = "Go takes one of two meanings, other readers the other";
const CLIENT: &str = "the C++ client refuses it";
const UNSIGNED: &str = "what no signature covers must not override what is signed";

/// All of them.
pub const ROWS: &[Row] = &[
    // Sound ones.
    taken("as mender-artifact writes it", |_| ()),
    taken("no files", |a| a.files.clear()),
    taken("an empty file", |a| a.files[0].1.clear()),
    taken("not packed", |a| {
        a.header_name = "header.tar";
        a.data_name = "data/0000.tar";
    }),
    taken("packed by xz", |a| {
        a.header_name = "header.tar.xz";
        a.data_name = "data/0000.tar.xz";
    }),
    taken("the header packed, the payload not", |a| a.data_name = "data/0000.tar"),
    taken("the payload packed, the header not", |a| a.header_name = "header.tar"),
    taken("packed by zstd", |a| {
        a.header_name = "header.tar.zst";
        a.data_name = "data/0000.tar.zst";
    })
    .but("mender-artifact 4 and the C++ client read it, 3.9 does not"),
    taken("the payload in two gzip streams", |a| {
        a.data_packed = |bytes| {
            let plain = program("gzip", &["-dc"], bytes);
            *bytes = [gz(&plain[..1000]), gz(&plain[1000..])].concat();
        }
    }),
    taken("without meta-data", |a| a.meta_data = None),
    taken("with empty meta-data", |a| a.meta_data = Some(Vec::new())),
    taken("with meta-data of white space", |a| a.meta_data = Some(b" \n".to_vec())),
    taken("with nested meta-data", |a| a.meta_data = Some(br#"{"a":{"b":[{"c":null}]}}"#.to_vec())),
    taken("a pretty version", |a| a.version = b"{\n  \"version\": 3,\n  \"format\": \"mender\"\n}\n".to_vec()),
    taken("a state script", |a| {
        a.header = |entries| entries.insert(1, entry("scripts/ArtifactInstall_Enter_00", b"#!/bin/sh\n"))
    }),
    taken("meta-data before type-info", |a| a.header = |entries| entries.swap(1, 2)),
    taken("folders in the header", |a| {
        a.header = |entries| {
            entries.insert(1, typed(b'5', "headers/", b""));
            entries.insert(2, typed(b'5', "headers/0000/", b""));
        }
    }),
    taken("names in PAX headers", |a| {
        a.data = |entries| entries[0] = pax(&[("path", "one")], "short", b"first\n");
    }),
    taken("names in GNU headers", |a| a.data = |entries| entries[0] = gnu("one", "short", b"first\n")),
    taken("an old tar header", |a| {
        a.data = |entries| {
            entries[0][156] = 0;
            entries[0][257..265].fill(0);
            recompute(&mut entries[0]);
        }
    }),
    taken("padded as GNU tar does", |a| a.whole = |bytes| bytes.resize(bytes.len().next_multiple_of(10_240), 0)),
    taken("without the end of the archive", |a| a.whole = |bytes| bytes.truncate(bytes.len() - 1024)),
    taken("with half of the end of the archive", |a| a.whole = |bytes| bytes.truncate(bytes.len() - 512)),
    taken("the payload without its archive's end", |a| a.data_plain = |bytes| bytes.truncate(bytes.len() - 1024)),
    taken("a group", |a| a.header_info = a.header_info.replace(r#""rel-1""#, r#""rel-1","artifact_group":"beta""#)),
    taken("depends on names and groups", |a| {
        a.header_info = a.header_info.replace(r#"["qemu"]"#, r#"["qemu","rpi"],"artifact_name":["x"],"artifact_group":["g"]"#)
    }),
    taken("null where nothing is meant", |a| {
        a.header_info = a.header_info.replace(r#"["qemu"]"#, r#"["qemu"],"artifact_name":null"#)
    }),
    taken("type-info with depends", |a| {
        a.type_info = r#"{"type":"docker","artifact_depends":{"a":"b","c":["d","e"]}}"#.to_owned()
    }),
    taken("type-info with an unknown key", |a| a.type_info = r#"{"type":"docker","x":1}"#.to_owned()),
    taken("a rootfs image, as 3.9 writes it", |a| {
        a.header_info = a.header_info.replace("docker", "rootfs-image");
        a.type_info = r#"{"type":"","artifact_provides":{"rootfs-image.version":"rel-1"}}"#.to_owned();
        a.meta_data = Some(Vec::new());
        a.files.truncate(1);
    }),
    taken("an artifact that says what a device was made with", |a| {
        a.header_info = a.header_info.replace(r#""docker""#, "null");
        a.type_info = r#"{"type":null}"#.to_owned();
        a.meta_data = None;
        a.files.clear();
    }),
    taken("two payloads", |a| {
        a.header_info = a.header_info.replace(r#"{"type":"docker"}"#, r#"{"type":"docker"},{"type":"other"}"#);
        a.header = |entries| entries.push(entry("headers/0001/type-info", br#"{"type":"other"}"#));
        a.outer = |entries| entries.push(entry("data/0001.tar", END));
    }),
    taken("signed", |a| a.signature = Some(|_| ())),
    taken("signed, with an end of line", |a| a.signature = Some(|text| text.push('\n'))),
    // Signatures.
    refused("key: not signed", |_| (), "the artifact is not signed"),
    refused("signed by nobody", |a| a.signature = Some(|text| text.clear()), "another key"),
    refused("signed, another byte", |a| a.signature = Some(|text| text.replace_range(0..1, if text.starts_with('A') { "B" } else { "A" })), "another key"),
    refused("signed, cut", |a| a.signature = Some(|text| text.truncate(80)), "another key"),
    refused("signed, a byte more", |a| a.signature = Some(|text| *text = "AAAA".to_owned() + text), "another key"),
    refused("signed, not base64", |a| a.signature = Some(|text| text.insert(3, '!')), "not base64"),
    refused("signed twice", |a| {
        a.signature = Some(|_| ());
        a.outer = |entries| entries.insert(3, entries[2].clone());
    }, "\"manifest.sig\" is out of place: the header is expected there"),
    refused("the signature before the manifest", |a| {
        a.signature = Some(|_| ());
        a.outer = |entries| entries.swap(1, 2);
    }, "\"manifest.sig\" is out of place: manifest is expected there"),
    refused("a signature of another manifest", |a| {
        a.signature = Some(|_| ());
        a.outer = |entries| {
            let sum = entries[1][512];
            entries[1][512] = if sum == b'0' { b'1' } else { b'0' };
        };
    }, "another key"),
    // Members missing, doubled, reordered, renamed.
    refused("empty", |a| a.whole = Vec::clear, "the artifact ends before version"),
    refused("only zeros", |a| a.whole = |bytes| *bytes = END.to_vec(), "the artifact ends before version"),
    refused("not a tar", |a| a.whole = |bytes| *bytes = vec![b'x'; 4096], "a header's checksum"),
    refused("no version", |a| a.outer = |entries| drop(entries.remove(0)), "\"manifest\" is out of place: version is expected there"),
    refused("no manifest", |a| a.outer = |entries| drop(entries.remove(1)), "\"header.tar.gz\" is out of place: manifest is expected there"),
    refused("no header", |a| a.outer = |entries| drop(entries.remove(2)), "\"data/0000.tar.gz\" is out of place: the header is expected there"),
    refused("no payload", |a| a.outer = |entries| drop(entries.remove(3)), "the artifact ends before data/0000.tar"),
    refused("no payload, and no files", |a| {
        a.files.clear();
        a.outer = |entries| drop(entries.remove(3));
    }, "the artifact ends before data/0000.tar")
    .but(CLIENT),
    refused("an empty payload", |a| {
        a.files.clear();
        a.outer = |entries| entries[3] = entry("data/0000.tar.gz", b"");
    }, "data/0000.tar.gz: ")
    .but(CLIENT),
    refused("two versions", |a| a.outer = |entries| entries.insert(1, entries[0].clone()), "\"version\" is out of place: manifest"),
    refused("two manifests", |a| a.outer = |entries| entries.insert(2, entries[1].clone()), "\"manifest\" is out of place: the header"),
    refused("two headers", |a| a.outer = |entries| entries.insert(3, entries[2].clone()), "\"header.tar.gz\" is out of place: data/0000.tar"),
    refused("two payloads of one number", |a| a.outer = |entries| entries.push(entries[3].clone()), "is out of place: the artifact's end")
    .but("Go reads both; a client that stores the files has the second one's"),
    refused("the payload before the header", |a| a.outer = |entries| entries.swap(2, 3), "is out of place: the header"),
    refused("the manifest first", |a| a.outer = |entries| entries.swap(0, 1), "is out of place: version"),
    refused("a payload that no header announces", |a| a.outer = |entries| entries.push(entry("data/0001.tar", END)), "\"data/0001.tar\" is out of place: the artifact's end")
    .but("Go passes over it unread"),
    refused("another member at the end", |a| a.outer = |entries| entries.push(entry("extra", b"x")), "\"extra\" is out of place"),
    refused("another member before the header", |a| a.outer = |entries| entries.insert(2, entry("extra", b"x")), "\"extra\" is out of place"),
    refused("a longer name for version", |a| a.outer = |entries| entries[0] = entry("version-3", br#"{"format":"mender","version":3}"#), "\"version-3\" is out of place")
    .but("Go compares only the beginning of the name"),
    refused("a dot before a name", |a| a.outer = |entries| entries[1][0..10].copy_from_slice(b"./manifest"), "checksum is wrong"),
    refused("a payload number of one digit", |a| {
        a.outer = |entries| {
            let old = entries[3].clone();
            entries[3][..18].copy_from_slice(b"data/0.tar.gz\0\0\0\0\0");
            assert_ne!(old, entries[3]);
            recompute(&mut entries[3]);
        }
    }, "\"data/0.tar.gz\" is out of place")
    .but("the C++ client looks for four digits"),
    refused("a payload in another folder", |a| a.outer = |entries| {
        entries[3][..5].copy_from_slice(b"dato/");
        recompute(&mut entries[3]);
    }, "\"dato/0000.tar.gz\" is out of place"),
    refused("a payload that climbs", |a| a.outer = |entries| entries[3] = entry("data/../0000.tar", END), "is out of place"),
    refused("a manifest that is a link", |a| a.outer = |entries| entries[1] = typed(b'2', "manifest", b""), "unknown type '2'"),
    refused("a manifest that is a folder", |a| a.outer = |entries| entries[1] = typed(b'5', "manifest", b""), "out of place"),
    refused("a folder at the end", |a| a.outer = |entries| entries.push(typed(b'5', "data/", b"")), "out of place"),
    refused("a global PAX header", |a| a.outer = |entries| entries.insert(0, typed(b'g', "pax_global_header", b"14 comment=ab\n")), "a global extension header"),
    // Truncated, trailing, absurd.
    refused("cut in the payload", |a| a.whole = |bytes| bytes.truncate(bytes.len() - 1600), "ends in the middle of an entry"),
    refused("cut in a header", |a| a.whole = |bytes| bytes.truncate(700), "ends in the middle of an entry"),
    refused("cut behind the header", |a| a.whole = |bytes| bytes.truncate(512 * 6), "ends"),
    refused("zeros, then something", |a| a.whole = |bytes| bytes.extend_from_slice(b"trailing"), "where the archive ends")
    .but(HIDDEN),
    refused("zeros, then another archive", |a| a.whole = |bytes| bytes.extend_from_slice(&entry("manifest", b"x")), "where the archive ends")
    .but(HIDDEN),
    refused("one block of zeros in the middle", |a| a.outer = |entries| entries.insert(2, vec![0; 512]), "where the archive ends"),
    refused("two blocks of zeros in the middle", |a| a.outer = |entries| entries.insert(2, vec![0; 1024]), "where the archive ends"),
    refused("something behind the packed header", |a| a.header_packed = |bytes| bytes.extend_from_slice(b"trailing"), "header: ")
    .but("the header's checksum covers it, but every unpacking program would stumble"),
    refused("something behind the packed payload", |a| a.data_packed = |bytes| bytes.extend_from_slice(b"trailing"), "data/0000.tar.gz: ")
    .but(HIDDEN),
    refused("something behind the plain payload's end", |a| a.data_plain = |bytes| bytes.extend_from_slice(&entry("three", b"x")), "where the archive ends")
    .but(HIDDEN),
    refused("a payload cut in its packing", |a| a.data_packed = |bytes| bytes.truncate(bytes.len() - 40), "incomplete deflate stream"),
    refused("a header cut in its packing", |a| a.header_packed = |bytes| bytes.truncate(bytes.len() - 40), "header"),
    refused("a payload that is not packed as its name says", |a| a.data_packed = |bytes| *bytes = END.to_vec(), "data/0000.tar.gz: "),
    refused("a header that is not packed as its name says", |a| a.header_packed = |bytes| *bytes = program("gzip", &["-dc"], bytes), "header: "),
    refused("a manifest of 2^40 bytes", |a| a.outer = |entries| entries[1] = sized(b'0', "manifest", b"x", 1 << 40), "manifest has 1099511627776 bytes, more than the 1048576 allowed"),
    refused("a payload of 2^40 bytes", |a| a.outer = |entries| {
        let bytes = entries[3][512..].to_vec();
        entries[3] = sized(b'0', "data/0000.tar.gz", &bytes, 1 << 40);
    }, "data/0000.tar.gz: "),
    refused("a member of 2^62 bytes", |a| a.outer = |entries| entries[2] = sized(b'0', "header.tar.gz", b"x", 1 << 62), "size"),
    refused("a member of less than no bytes", |a| a.outer = |entries| {
        entries[2][124..136].fill(0xff);
        recompute(&mut entries[2]);
    }, "size"),
    refused("a file of 2^40 bytes", |a| a.data = |entries| entries[0] = sized(b'0', "one", b"first\n", 1 << 40), "data/0000/one: "),
    refused("a size that PAX changes", |a| a.data = |entries| entries[0] = pax(&[("size", "5")], "one", b"first\n"), "data/0000/one"),
    // Checksums.
    refused("another version", |a| a.outer = |entries| entries[0] = entry("version", br#"{"version":3,"format":"mender"}"#), "version has the checksum"),
    refused("another header", |a| a.outer = |entries| entries[2][522] ^= 1, "header.tar.gz has the checksum"),
    refused("another file", |a| a.data = |entries| entries[0][512] ^= 1, "data/0000/one: "),
    refused("a longer file", |a| a.data = |entries| entries[0] = entry("one", b"first\nsecond\n"), "data/0000/one: "),
    refused("no checksum for version", |a| a.manifest = |text| drop(text.drain(text.len() - 74..)), "\"version\" is not in the manifest"),
    refused("no checksum for the header", |a| a.manifest = |text| *text = text.lines().filter(|l| !l.contains("header")).fold(String::new(), |t, l| t + l + "\n"), "\"header.tar.gz\" is not in the manifest"),
    refused("no checksum for a file", |a| a.manifest = |text| *text = text.lines().skip(1).fold(String::new(), |t, l| t + l + "\n"), "\"data/0000/one\" is not in the manifest"),
    refused("a checksum for an absent file", |a| a.manifest = |text| text.insert_str(0, &line("data/0000/three", b"x")), "the manifest lists \"data/0000/three\", which is not in the artifact"),
    refused("a checksum for another payload's file", |a| a.manifest = |text| text.insert_str(0, &line("data/0001/three", b"x")), "the manifest lists \"data/0001/three\""),
    refused("a checksum for a member nobody has", |a| a.manifest = |text| text.insert_str(0, &line("extra", b"x")), "the manifest lists \"extra\""),
    refused("a checksum twice", |a| a.manifest = |text| *text = text.clone() + text, "is listed twice"),
    refused("a checksum in upper case", |a| a.manifest = |text| *text = text.replace(['a', 'b', 'c', 'e', 'f'], "A"), "manifest: line 1"),
    refused("a short checksum", |a| a.manifest = |text| *text = text.split_off(1), "manifest: line 1"),
    refused("a manifest with one space", |a| a.manifest = |text| *text = text.replace("  ", " "), "manifest: line 1"),
    refused("a manifest whose last line does not end", |a| a.manifest = |text| text.truncate(text.len() - 1), "manifest: line 4"),
    refused("a manifest with one more line that does not end", |a| a.manifest = |text| text.push_str(line("extra", b"x").trim_end()), "manifest: line 5")
    .but("Go does not see the line, other readers do"),
    refused("a manifest with carriage returns", |a| {
        a.files.clear();
        a.manifest = |text| *text = text.replace('\n', "\r\n");
    }, "manifest: line 1")
    .but(TWO_READINGS),
    refused("a manifest with an empty line", |a| a.manifest = |text| text.push('\n'), "manifest: line 5")
    .but("no writer leaves one"),
    refused("an empty manifest", |a| a.manifest = String::clear, "\"version\" is not in the manifest"),
    refused("a manifest that is not text", |a| a.manifest = |text| text.push('\u{0}'), "manifest: line 5"),
    // Files of the payload.
    refused("a file that no manifest lists", |a| a.data = |entries| entries.push(entry("three", b"x")), "\"data/0000/three\" is not in the manifest"),
    refused("a file under the name of its packing", |a| a.data = |entries| entries[1][..11].copy_from_slice(b"two.tar\0\0\0\0"), "checksum is wrong"),
    refused("a file by an alias", |a| a.data = |entries| entries[1] = entry("two.tar", &[7; 70_000]), "\"data/0000/two.tar\" is not in the manifest"),
    refused("a file twice", |a| a.data = |entries| entries.push(entries[0].clone()), "\"data/0000/one\" is there twice")
    .but("a client that stores the files would have either"),
    refused("a file in a folder", |a| a.data = |entries| entries[0] = entry("sub/one", b"first\n"), "payload file \"sub/one\" has a name"),
    refused("a file that climbs", |a| {
        a.files[0].0 = "../one".to_owned();
    }, "payload file \"../one\" has a name"),
    refused("an absolute file", |a| a.data = |entries| entries[0] = entry("/one", b"first\n"), "payload file \"/one\" has a name"),
    refused("a file called ..", |a| a.files[0].0 = "..".to_owned(), "payload file \"..\" has a name"),
    refused("a file with a space", |a| a.files[0].0 = "o ne".to_owned(), "manifest: line 1"),
    refused("a file in another script", |a| a.files[0].0 = "\u{e4}".to_owned(), "manifest: line 1"),
    refused("a file that is a link", |a| {
        a.files[0].1.clear();
        a.data = |entries| entries[0] = typed(b'2', "one", b"");
    }, "unknown type '2'")
    .but("Go takes it for an empty file"),
    refused("a file that is a device", |a| {
        a.files[0].1.clear();
        a.data = |entries| entries[0] = typed(b'3', "one", b"");
    }, "unknown type '3'")
    .but("Go takes it for an empty file"),
    refused("a folder among the files", |a| a.data = |entries| entries.push(typed(b'5', "sub/", b"")), "\"data/0000/sub/\" is a folder"),
    // Augmented parts.
    refused("an augmented manifest", |a| a.outer = |entries| {
        entries.insert(2, entry("manifest-augment", b""));
        entries.insert(4, entry("header-augment.tar.gz", b""));
    }, "\"manifest-augment\" is refused: no signature covers it"),
    refused("an augmented header", |a| a.outer = |entries| {
        let plain = [entry("header-info", br#"{"payloads":[{"type":"docker"}],"artifact_provides":null,"artifact_depends":null}"#), entry("headers/0000/type-info", br#"{"type":"docker"}"#), entry("headers/0000/meta-data", br#"{"run_args":"--privileged"}"#), END.to_vec()].concat();
        let augment = gz(&plain);
        entries.insert(2, entry("manifest-augment", line("header-augment.tar.gz", &augment).as_bytes()));
        entries.insert(4, entry("header-augment.tar.gz", &augment));
    }, "\"manifest-augment\" is refused: no signature covers it")
    .but(UNSIGNED),
    refused("an augmented header alone", |a| a.outer = |entries| entries.insert(3, entry("header-augment.tar.gz", b"")), "\"header-augment.tar.gz\" is refused"),
    // The header's members.
    refused("no header-info", |a| a.header = |entries| drop(entries.remove(0)), "is out of place: header-info"),
    refused("header-info last", |a| a.header = |entries| entries.rotate_left(1), "is out of place: header-info"),
    refused("header-info twice", |a| a.header = |entries| entries.insert(1, entries[0].clone()), "\"header-info\" is out of place"),
    refused("type-info twice", |a| a.header = |entries| entries.push(entries[1].clone()), "\"headers/0000/type-info\" is there twice")
    .but(TWO_READINGS),
    refused("meta-data twice", |a| a.header = |entries| entries.push(entries[2].clone()), "\"headers/0000/meta-data\" is there twice")
    .but(TWO_READINGS),
    refused("no type-info", |a| a.header = |entries| drop(entries.remove(1)), "the artifact ends before headers/0000/type-info")
    .but("the clients refuse it, and 'mender-artifact read' breaks down"),
    refused("a document for a payload that is not there", |a| a.header = |entries| entries.push(entry("headers/0001/type-info", b"{}")), "\"headers/0001/type-info\" is out of place"),
    refused("a document of another name", |a| a.header = |entries| entries.push(entry("headers/0000/files", b"{}")), "\"headers/0000/files\" is out of place"),
    refused("a document in another folder", |a| a.header = |entries| entries[2] = entry("hidden/0000/meta-data", b"{}"), "\"hidden/0000/meta-data\" is out of place")
    .but("Go looks at the number and the last part only"),
    refused("a document that climbs", |a| a.header = |entries| entries.push(entry("headers/0000/../../x", b"{}")), "is out of place"),
    refused("a script after the documents", |a| a.header = |entries| entries.push(entry("scripts/ArtifactInstall_Enter_00", b"x")), "is out of place"),
    refused("a script that climbs", |a| a.header = |entries| entries.insert(1, entry("scripts/../x", b"x")), "state script"),
    refused("a script in a folder", |a| a.header = |entries| entries.insert(1, entry("scripts/a/ArtifactInstall_Enter_00", b"x")), "state script"),
    refused("a script that no client runs", |a| a.header = |entries| entries.insert(1, entry("scripts/install.sh", b"x")), "state script \"install.sh\" must be named")
    .but("its writer refuses it, its reader does not look"),
    refused("a script of the device", |a| a.header = |entries| entries.insert(1, entry("scripts/Download_Enter_00", b"x")), "is for the state \"Download\"")
    .but("its writer refuses it, its reader does not look"),
    refused("a script twice", |a| a.header = |entries| {
        entries.insert(1, entry("scripts/ArtifactInstall_Enter_00", b"x"));
        entries.insert(1, entry("scripts/ArtifactInstall_Enter_00", b"y"));
    }, "\"scripts/ArtifactInstall_Enter_00\" is there twice")
    .but(TWO_READINGS),
    // Documents.
    refused("format 2", |a| a.version = br#"{"format":"mender","version":2}"#.to_vec(), "format version 2 is not read; only 3 is"),
    refused("format 4", |a| a.version = br#"{"format":"mender","version":4}"#.to_vec(), "format version 4 is not read; only 3 is"),
    refused("a format that is a text", |a| a.version = br#"{"format":"mender","version":"3"}"#.to_vec(), "it does not name a format version"),
    refused("no format version", |a| a.version = br#"{"format":"mender"}"#.to_vec(), "it does not name a format version"),
    refused("another format", |a| a.version = br#"{"format":"other","version":3}"#.to_vec(), "the format is not \"mender\"")
    .but("Go does not look at it"),
    refused("an unknown key in version", |a| a.version = br#"{"format":"mender","version":3,"x":1}"#.to_vec(), "version: the key \"x\" is not known"),
    refused("something behind version", |a| a.version = br#"{"format":"mender","version":3}{}"#.to_vec(), "version: not valid JSON")
    .but(TWO_READINGS),
    refused("an empty version", |a| a.version.clear(), "version: not valid JSON"),
    refused("no JSON in header-info", |a| a.header_info = "payloads".to_owned(), "header-info: not valid JSON"),
    refused("a list as header-info", |a| a.header_info = "[]".to_owned(), "header-info: must be an object, not a list"),
    refused("an empty header-info", |a| a.header_info.clear(), "header-info: not valid JSON"),
    refused("an unknown key in header-info", |a| a.header_info = a.header_info.replacen('{', r#"{"x":1,"#, 1), "header-info: the key \"x\" is not known"),
    refused("an unknown key beside a payload's type", |a| a.header_info = a.header_info.replace(r#""docker""#, r#""docker","x":1"#), "header-info: the key \"x\" is not known"),
    refused("an unknown key beside the name", |a| a.header_info = a.header_info.replace(r#""rel-1""#, r#""rel-1","x":1"#), "header-info: the key \"x\" is not known"),
    refused("an unknown condition", |a| a.header_info = a.header_info.replace(r#"["qemu"]"#, r#"["qemu"],"x":["y"]"#), "header-info: the key \"x\" is not known")
    .but("a condition that nobody checks is none"),
    refused("a key twice", |a| a.header_info = a.header_info.replace(r#""artifact_name":"rel-1""#, r#""artifact_name":"rel-1","artifact_name":"rel-2""#), "the key \"artifact_name\" is there twice")
    .but(TWO_READINGS),
    refused("a key in upper case", |a| a.header_info = a.header_info.replace("payloads", "Payloads"), "header-info: the key \"Payloads\" is not known")
    .but("Go does not tell upper from lower case, other readers do"),
    refused("something behind header-info", |a| a.header_info.push_str("{}"), "header-info: not valid JSON")
    .but(TWO_READINGS),
    refused("no payloads listed", |a| a.header_info = a.header_info.replace(r#"{"type":"docker"}"#, ""), "it lists no payload"),
    refused("an empty type", |a| a.header_info = a.header_info.replace("docker", ""), "a payload's type is not the name of a module"),
    refused("a type that climbs", |a| {
        a.header_info = a.header_info.replace("docker", "../../x");
        a.type_info = a.type_info.replace(r#""docker""#, r#""../../x""#);
    }, "a payload's type is not the name of a module")
    .but("on a device the type is the path of a program"),
    refused("a type that is a number", |a| a.header_info = a.header_info.replace(r#""docker""#, "7"), "\"type\" must be a string, not a number"),
    refused("another type in type-info", |a| a.type_info = a.type_info.replace(r#""docker""#, r#""other""#), "its type is not the one that header-info names")
    .but("the C++ client compares them"),
    refused("no type in type-info", |a| a.type_info = "{}".to_owned(), "its type is not the one that header-info names")
    .but("the C++ client compares them"),
    refused("no name", |a| a.header_info = a.header_info.replace("rel-1", ""), "the key \"artifact_name\" is missing or empty")
    .but("every client needs one"),
    refused("no provides", |a| a.header_info = a.header_info.replace(r#","artifact_provides":{"artifact_name":"rel-1"}"#, ""), "the key \"artifact_provides\" is missing or empty")
    .but("every client needs a name"),
    refused("no depends", |a| a.header_info = a.header_info.replace(r#","artifact_depends":{"device_type":["qemu"]}"#, ""), "the key \"artifact_depends\" is missing or empty")
    .but("every client needs device types"),
    refused("no device types", |a| a.header_info = a.header_info.replace(r#""qemu""#, ""), "the key \"device_type\" is missing or empty"),
    refused("device types that are a text", |a| a.header_info = a.header_info.replace(r#"["qemu"]"#, r#""qemu""#), "\"device_type\" must be a list of strings, not a string"),
    refused("a name that is a list", |a| a.header_info = a.header_info.replace(r#""rel-1""#, r#"["rel-1"]"#), "\"artifact_name\" must be a string, not a list"),
    refused("provides that are a list", |a| a.type_info = r#"{"type":"docker","artifact_provides":{"a":["b"]}}"#.to_owned(), "\"a\" must be a string, not a list"),
    refused("depends that are a number", |a| a.type_info = r#"{"type":"docker","artifact_depends":{"a":1}}"#.to_owned(), "\"a\" must be a string or a list of strings"),
    refused("depends that are numbers", |a| a.type_info = r#"{"type":"docker","artifact_depends":{"a":[1]}}"#.to_owned(), "\"a\" must be a list of strings"),
    refused("clears that are a text", |a| a.type_info = r#"{"type":"docker","clears_artifact_provides":"*"}"#.to_owned(), "must be a list of strings, not a string"),
    refused("an empty type-info", |a| a.type_info.clear(), "headers/0000/type-info: not valid JSON"),
    refused("a list as meta-data", |a| a.meta_data = Some(b"[]".to_vec()), "headers/0000/meta-data: must be an object, not a list"),
    refused("null as meta-data", |a| a.meta_data = Some(b"null".to_vec()), "headers/0000/meta-data: must be an object, not null"),
    refused("broken meta-data", |a| a.meta_data = Some(b"{".to_vec()), "headers/0000/meta-data: not valid JSON"),
    refused("a key twice in meta-data", |a| a.meta_data = Some(br#"{"run_args":"","run_args":"--privileged"}"#.to_vec()), "the key \"run_args\" is there twice")
    .but(TWO_READINGS),
    refused("meta-data that is not UTF-8", |a| a.meta_data = Some(b"{\"a\":\"\xff\"}".to_vec()), "headers/0000/meta-data: not valid JSON")
    .but("Go puts another character there"),
    refused("meta-data a thousand lists deep", |a| a.meta_data = Some(format!("{{\"a\":{}{}}}", "[".repeat(1000), "]".repeat(1000)).into_bytes()), "headers/0000/meta-data: not valid JSON")
    .but("deeper than any module reads"),
    refused("meta-data of two megabytes", |a| a.meta_data = Some(format!("{{\"a\":\"{}\"}}", "x".repeat(2 << 20)).into_bytes()), "more than the 1048576 allowed")
    .but("the device reads a request of one megabyte at most"),
];
