//! What is wrong is in an archive around an image.

use std::fs;
use std::io::Write;
use std::path::Path;

use super::common::Scratch;
use super::common::image::{Built, Entry, Image, Layer, docker_archive, layout_entries, tar};
use super::{Row, Way, World, refused_with, run_all};
use dray::oci::Digest;
use serde_json::{Value, json};

/// What the changed layouts have.
fn good_image() -> Built {
    Image::oci([
        Layer::of(&[Entry::dir("etc"), Entry::file("etc/motd", "hello\n")]),
        Layer::of(&[Entry::file("big", vec![b'x'; 200_000])]),
    ])
    .build()
}

#[test]
fn hostile_archives_are_refused_by_name() {
    let world = World::new();
    let out = world.path();
    let content = tar(&[Entry::file("a", "b")]);
    let built = Image::docker([Layer::of_tar(content.clone())]).build();
    let good = docker_archive(&built, std::slice::from_ref(&content), &["bad:1"]);
    let with = |entry: Entry| tar(&[good.clone(), vec![entry]].concat());
    // The member of the only layer, replaced.
    let layer = format!("{}/layer.tar", Digest::of(&[0]).hex());
    let instead = |entry: Entry| {
        let mut entries = good.clone();
        entries[4] = entry;
        tar(&entries)
    };
    let manifest = |text: Value| {
        let mut entries = good.clone();
        entries[5] = Entry::file("manifest.json", text.to_string());
        tar(&entries)
    };
    let config = format!("{}.json", built.config.hex());
    let source = Scratch::new("hostile");
    built.write_layout(&source.join("l"), "bad:1");
    let whole = tar(&good);
    let layout = |change: &dyn Fn(&Path)| {
        let dir = source.join("changed");
        let _ = fs::remove_dir_all(&dir);
        good_image().write_layout(&dir, "bad:1");
        change(&dir);
        tar(&layout_entries(&dir))
    };
    let layer_blob = good_image()
        .blobs
        .keys()
        .find(|d| **d != good_image().config)
        .copied()
        .unwrap();
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty", Vec::new(), "it is empty"),
        (
            "no-tar",
            b"<html>no</html>".repeat(100),
            "it is no tar archive",
        ),
        (
            "other-tar",
            tar(&[Entry::file("etc/passwd", "x")]),
            "it is no image archive",
        ),
        (
            "before-1.10",
            tar(&[Entry::file("repositories", "{}")]),
            "docker before 1.10",
        ),
        (
            "xz",
            [&b"\xfd7zXZ\0"[..], &[0; 100]].concat(),
            "compressed with xz",
        ),
        ("bzip2", b"BZh91AY".to_vec(), "compressed with bzip2"),
        (
            "climbs",
            with(Entry::file("../beside/file", "x")),
            "leads up",
        ),
        (
            "climbs-inside",
            with(Entry::file("a/../../beside/file", "x")),
            "leads up",
        ),
        (
            "link-out",
            instead(Entry::symlink(&layer, "../../beside/file")),
            "link that leads out",
        ),
        (
            "link-absolute",
            instead(Entry::symlink(&layer, format!("{out}/file"))),
            "link that leads out",
        ),
        (
            "hardlink-out",
            instead(Entry::hardlink(&layer, "../beside/file")),
            "link that leads out",
        ),
        (
            "link-to-itself",
            instead(Entry::symlink(&layer, "layer.tar")),
            "link to a link",
        ),
        (
            "link-to-nothing",
            instead(Entry::symlink(&layer, "../none")),
            "is missing",
        ),
        (
            "device",
            with(Entry::char_device("null", 1, 3)),
            "is a device",
        ),
        (
            "block-device",
            with(Entry::block_device("sda", 8, 0)),
            "is a device",
        ),
        ("pipe", with(Entry::fifo("pipe")), "is a pipe"),
        (
            "unknown-type",
            with(Entry::raw("x", b'Z', "")),
            "unknown type 'Z'",
        ),
        ("doubled", with(Entry::file(&layer, "other")), "twice"),
        (
            "truncated-in-body",
            whole[..whole.len() / 2].to_vec(),
            "ends in the middle",
        ),
        (
            "truncated-in-header",
            whole[..700].to_vec(),
            "ends in the middle",
        ),
        (
            "absurd-size",
            with(Entry::file("x", "").pax("size", "9000000000000000000")),
            "ends in the middle",
        ),
        (
            "absurd-extension",
            with(Entry::raw("x", b'x', vec![b'1'; 2 << 20])),
            "more than the 1048576 allowed",
        ),
        (
            "many-members",
            tar(&(0..100_000)
                .map(|n| Entry::file(n.to_string(), ""))
                .collect::<Vec<_>>()),
            "more than 50000 members",
        ),
        (
            "long-names",
            tar(&(0..9_000)
                .map(|n| {
                    Entry::file(
                        format!(
                            "{}/{n}",
                            [
                                "x".repeat(250),
                                "y".repeat(250),
                                "z".repeat(250),
                                "w".repeat(250)
                            ]
                            .join("/")
                        ),
                        "",
                    )
                })
                .collect::<Vec<_>>()),
            "names of more than 8388608 bytes",
        ),
        (
            "other-layer",
            instead(Entry::file(&layer, tar(&[Entry::file("a", "c")]))),
            "arrived with the digest",
        ),
        (
            "no-json",
            manifest(json!("x")),
            "its manifest.json is malformed",
        ),
        ("no-images", manifest(json!([])), "it lists no images"),
        (
            "fewer-layers",
            manifest(json!([{"Config": config, "RepoTags": ["bad:1"], "Layers": []}])),
            "gives 0 layers for a configuration of 1",
        ),
        (
            "config-elsewhere",
            manifest(
                json!([{"Config": "/etc/hostname", "RepoTags": ["bad:1"], "Layers": [layer]}]),
            ),
            "etc/hostname\" is missing",
        ),
        (
            "config-above",
            manifest(
                json!([{"Config": "../../etc/hostname", "RepoTags": ["bad:1"], "Layers": [layer]}]),
            ),
            "leads up",
        ),
        (
            "bad-name",
            manifest(json!([{"Config": config, "RepoTags": ["Bad:1"], "Layers": [layer]}])),
            "upper-case",
        ),
        (
            "layout-version",
            layout(&|dir| {
                fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"2.0"}"#).unwrap()
            }),
            "version \"2.0\"",
        ),
        (
            "layout-index",
            layout(&|dir| fs::write(dir.join("index.json"), "[").unwrap()),
            "index.json is refused",
        ),
        (
            "layout-digest-is-a-path",
            layout(&|dir| {
                let path = dir.join("index.json");
                let text = fs::read_to_string(&path).unwrap();
                let digest = good_image().digest.to_string();
                let text = text.replace(&digest, "sha256:../../../../etc/hostname");
                fs::write(path, text).unwrap();
            }),
            "index.json is refused",
        ),
        (
            "layout-index-is-deep",
            layout(&|dir| fs::write(dir.join("index.json"), "[".repeat(100_000)).unwrap()),
            "index.json is refused",
        ),
        (
            "layout-blob-changed",
            layout(&|dir| {
                fs::write(
                    dir.join("blobs/sha256").join(good_image().digest.hex()),
                    "{}",
                )
                .unwrap()
            }),
            "has the digest",
        ),
        (
            "layout-layer-longer",
            layout(&|dir| {
                fs::OpenOptions::new()
                    .append(true)
                    .open(dir.join("blobs/sha256").join(layer_blob.hex()))
                    .unwrap()
                    .write_all(b"x")
                    .unwrap();
            }),
            "its manifest says",
        ),
        (
            "layout-layer-flipped",
            layout(&|dir| {
                let path = dir.join("blobs/sha256").join(layer_blob.hex());
                let mut bytes = fs::read(&path).unwrap();
                let end = bytes.len() - 1;
                bytes[end] ^= 1;
                fs::write(path, bytes).unwrap();
            }),
            "failed to unpack layer",
        ),
    ];
    let rows: Vec<Row> = cases
        .into_iter()
        .map(|(name, archive, words)| Row {
            ways: vec![Way::Archive, Way::Pipe],
            archive,
            ..Row::new("archive", name, good_image(), refused_with(words))
        })
        .collect();
    run_all(&rows, &world);
}
