//! G1, G4, G7: what is wrong is in an image's documents.

use super::common::image::{Built, Entry, Flavour, Image, Layer, index};
use super::common::registry::{Fault, On};
use super::{Row, Way, World, refused, refused_with, run_all};
use dray::oci::{Digest, media_type};
use serde_json::{Value, json};

/// A good image, to be spoilt.
fn good() -> Built {
    super::image(&[Entry::file("f", "1")])
}

/// The same blobs under another document.
fn with_document(built: &Built, media_type: &str, document: &str) -> Built {
    Built {
        blobs: built.blobs.clone(),
        config: built.config,
        diff_ids: built.diff_ids.clone(),
        ..Built::of_document(media_type, document.as_bytes().to_vec())
    }
}

/// The image with a changed manifest.
fn manifest(change: impl Fn(&mut Value)) -> Built {
    let built = good();
    let mut document: Value = serde_json::from_slice(built.document()).unwrap();
    change(&mut document);
    with_document(&built, &built.media_type, &document.to_string())
}

/// The image of one layer with these bytes for it, announced as they are.
pub(super) fn with_layer(built: &Built, blob: Vec<u8>) -> Built {
    let mut document: Value = serde_json::from_slice(built.document()).unwrap();
    document["layers"][0]["digest"] = json!(Digest::of(&blob));
    document["layers"][0]["size"] = json!(blob.len());
    let mut changed = with_document(built, &built.media_type, &document.to_string());
    changed.blobs.insert(Digest::of(&blob), blob);
    changed
}

/// The image with these bytes for its configuration, announced as they are.
fn with_config(config: Vec<u8>) -> Built {
    let mut built = manifest(|document| {
        document["config"]["digest"] = json!(Digest::of(&config));
        document["config"]["size"] = json!(config.len());
    });
    built.config = Digest::of(&config);
    built.blobs.insert(built.config, config);
    built
}

fn text(built: &Built) -> String {
    String::from_utf8(built.document().to_vec()).unwrap()
}

#[test]
fn hostile_documents_are_refused_by_name() {
    let world = World::new();
    let mut rows = confusions();
    rows.extend(unknown_types());
    rows.extend(digests());
    rows.extend(sizes_and_depths());
    rows.extend(platforms_and_counts());
    run_all(&rows, &world);
}

/// G1: one digest that could mean two images (CVE-2021-41190).
fn confusions() -> Vec<Row> {
    let built = good();
    let other = super::image(&[Entry::file("other", "1")]);
    let list = || {
        let both: Value =
            serde_json::from_slice(index(Flavour::Oci, &[&other]).document()).unwrap();
        both["manifests"].clone()
    };
    let ambiguous = |what: &str| refused(format!("manifest is ambiguous: {what}"));
    let two = "it has the members of an image and of an index";
    let neither = "it has neither an image's nor an index's members";
    let mut rows = Vec::new();
    for (name, image, end) in [
        (
            "layers and manifests",
            manifest(|document| document["manifests"] = list()),
            ambiguous(two),
        ),
        (
            "a config and manifests",
            manifest(|document| {
                document["manifests"] = list();
                document.as_object_mut().unwrap().remove("layers");
            }),
            ambiguous(two),
        ),
        (
            "an index that calls itself an image",
            manifest(|document| {
                *document = json!({
                    "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "manifests": list(),
                });
            }),
            ambiguous("it calls itself an image but has the members of an index"),
        ),
        (
            "an image that calls itself an index",
            with_document(
                &built,
                media_type::OCI_INDEX,
                &text(&built).replace(media_type::OCI_MANIFEST, media_type::OCI_INDEX),
            ),
            ambiguous("it calls itself an index but has the members of an image"),
        ),
        (
            "layers of schema 1 beside schema 2",
            manifest(|document| document["fsLayers"] = json!([])),
            ambiguous("it has the member fsLayers of schema 1 beside schema version 2"),
        ),
        (
            "no layers",
            manifest(|document| {
                document.as_object_mut().unwrap().remove("layers");
            }),
            ambiguous("it has a config but no layers"),
        ),
        (
            "no config",
            manifest(|document| {
                document.as_object_mut().unwrap().remove("config");
            }),
            ambiguous("it has layers but no config"),
        ),
        (
            "nothing at all",
            manifest(|document| {
                *document = json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST});
            }),
            ambiguous(neither),
        ),
        (
            "layers twice",
            with_document(
                &built,
                &built.media_type,
                &text(&built).replacen('{', r#"{"layers":[],"#, 1),
            ),
            refused_with("failed to parse manifest: duplicate field `layers`"),
        ),
    ] {
        rows.push(Row::new("G1", name, image, end));
    }
    // An index whose only entry for this machine is an index again.
    let inner = index(Flavour::Oci, &[&other]);
    let nested = index(
        Flavour::Oci,
        &[&Built {
            platform: other.platform.clone(),
            ..inner.clone()
        }],
    );
    let mut of_nobody: Value = serde_json::from_slice(nested.document()).unwrap();
    of_nobody["manifests"][0]
        .as_object_mut()
        .unwrap()
        .remove("platform");
    rows.push(Row::new(
        "G1",
        "an index in an index",
        nested.clone(),
        refused(format!(
            "is refused: its index lists another index, {}",
            inner.digest
        )),
    ));
    rows.push(Row::new(
        "G1",
        "an index in an index, for nobody in particular",
        with_document(&nested, media_type::OCI_INDEX, &of_nobody.to_string()),
        refused(format!(
            "is refused: its index lists another index, {}",
            inner.digest
        )),
    ));
    // Both an index and a layout say what their images are.
    let mislabelled = Built {
        media_type: media_type::DOCKER_MANIFEST.to_owned(),
        ..good()
    };
    let differs = || {
        refused(format!(
            "manifest was delivered as {:?} but calls itself {:?}",
            media_type::DOCKER_MANIFEST,
            media_type::OCI_MANIFEST
        ))
    };
    let listing = index(Flavour::Oci, &[&mislabelled]);
    let name = "an index that calls its image something else";
    rows.push(Row::new("G1", name, listing, differs()));
    let name = "a layout that calls its image something else";
    rows.push(Row::new("G1", name, mislabelled, differs()).only(Way::Load));
    for lie in [media_type::OCI_INDEX, media_type::DOCKER_MANIFEST] {
        let fault = Fault::ContentType(lie.to_owned());
        rows.push(
            Row::new(
                "G1",
                &format!("an image that comes as {lie}"),
                good(),
                refused(format!(
                    "manifest was delivered as {lie:?} but calls itself {:?}",
                    media_type::OCI_MANIFEST
                )),
            )
            .only(Way::Pull)
            .spoilt(move |_, place| {
                place
                    .registry
                    .fault(On::Manifests, fault.clone(), usize::MAX);
            }),
        );
    }
    rows
}

/// G1: types that nobody here understands.
fn unknown_types() -> Vec<Row> {
    let typed =
        |layer: &str| Image::oci([Layer::of(&[Entry::file("f", "1")]).media_type(layer)]).build();
    let whole = |media_type: &str| {
        let document = text(&good()).replace(media_type::OCI_MANIFEST, media_type);
        with_document(&good(), media_type, &document)
    };
    let mut rows = Vec::new();
    for (name, media_type, words) in [
        (
            "a document of an unknown type",
            "application/vnd.example+json",
            "manifest has the unknown media type \"application/vnd.example+json\"",
        ),
        (
            "a document of schema 1",
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
            "which has no verifiable digests; push the image again with a current tool",
        ),
    ] {
        rows.push(Row::new("G1", name, whole(media_type), refused(words)).only(Way::Pull));
        // A layout may have more than images.
        let none = refused(" is refused: it lists no images");
        rows.push(Row::new("G1", name, whole(media_type), none).only(Way::Load));
    }
    for (name, image, words) in [
        (
            "schema version 1",
            manifest(|document| document["schemaVersion"] = json!(1)),
            "manifest has schema version 1, only 2 is supported",
        ),
        (
            "something else than an image",
            manifest(|document| {
                document["config"]["mediaType"] = json!("application/vnd.cncf.helm.config.v1+json")
            }),
            "not a container image: its configuration has the media type \"application/vnd.cncf.helm.config.v1+json\"",
        ),
        (
            "a layer of an unknown type",
            typed("application/vnd.example.tar+xz"),
            "layer has the unknown media type \"application/vnd.example.tar+xz\"",
        ),
        (
            "an encrypted layer",
            typed("application/vnd.oci.image.layer.v1.tar+gzip+encrypted"),
            "encrypted layers are not supported",
        ),
        (
            "a foreign layer",
            typed("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"),
            "its content is not in the registry, so it cannot be pulled",
        ),
        (
            "a type with a line break",
            typed("a\n[ERR] fake"),
            r#"layer has the unknown media type "a\n[ERR] fake""#,
        ),
    ] {
        rows.push(Row::new("G1", name, image, refused(words)));
    }
    rows
}

/// G4: digests that would be paths, or are none.
fn digests() -> Vec<Row> {
    let hex = "ab".repeat(32);
    let mut rows = Vec::new();
    for (name, digest) in [
        ("a path", "sha256:../../../../etc/cron.d/x".to_owned()),
        (
            "a path of the right length",
            format!("sha256:{}", "../".repeat(21) + "x"),
        ),
        ("an absolute path", "sha256:/etc/passwd".to_owned()),
        ("capitals", format!("sha256:{}", hex.to_uppercase())),
        ("too short", format!("sha256:{}", &hex[1..])),
        ("too long", format!("sha256:{hex}a")),
        ("no algorithm", hex.clone()),
        (
            "another algorithm",
            "md5:d41d8cd98f00b204e9800998ecf8427e".to_owned(),
        ),
        ("an end of text", format!("sha256:{}\0a", &hex[2..])),
        ("empty", String::new()),
    ] {
        for (what, pointer) in [
            ("a layer", "/layers/0/digest"),
            ("a config", "/config/digest"),
        ] {
            let digest = digest.clone();
            let image = manifest(move |document| {
                *document.pointer_mut(pointer).unwrap() = json!(digest);
            });
            let words = refused_with("is refused: failed to parse manifest: ");
            rows.push(Row::new(
                "G4",
                &format!("{what}'s digest: {name}"),
                image,
                words,
            ));
        }
        // As somebody types it.
        if !digest.contains('\0') {
            let words = refused_with("digest");
            rows.push(
                Row::new(
                    "G4",
                    &format!("a reference's digest: {name}"),
                    good(),
                    words,
                )
                .only(Way::Pull)
                .asks(move |place| place.registry.name(&format!("bad@{digest}"))),
            );
        }
    }
    rows
}

/// G7: claims that ask for memory, and documents that ask for stack.
fn sizes_and_depths() -> Vec<Row> {
    let size = |pointer: &'static str, size: u64| {
        manifest(move |document| *document.pointer_mut(pointer).unwrap() = json!(size))
    };
    let built = good();
    let layer = built.blobs.keys().find(|digest| **digest != built.config);
    let layer = *layer.unwrap();
    let deep = |levels: usize| "[".repeat(levels);
    let mut rows = Vec::new();
    for (name, image, end) in [
        (
            "a layer of 2^63 bytes",
            size("/layers/0/size", 1 << 63),
            refused(format!(
                "manifest claims that {layer} has {} bytes",
                1_u64 << 63
            )),
        ),
        (
            "a config of 2^63 bytes",
            size("/config/size", 1 << 63),
            refused(format!(
                "manifest claims that {} has {} bytes",
                built.config,
                1_u64 << 63
            )),
        ),
        (
            "a config of 2^63-1 bytes",
            size("/config/size", i64::MAX as u64),
            refused(format!(
                "is refused: its configuration has {} bytes, more than the 4194304 allowed",
                i64::MAX
            )),
        ),
        (
            "a layer of a negative size",
            manifest(|document| document["layers"][0]["size"] = json!(-1)),
            refused_with("is refused: failed to parse manifest: invalid value: integer `-1`"),
        ),
        (
            "a manifest of 100,000 brackets",
            with_document(&built, &built.media_type, &deep(100_000)),
            refused_with("is refused: failed to parse manifest: "),
        ),
        (
            "a manifest with 100,000 brackets in a member nobody reads",
            with_document(
                &built,
                &built.media_type,
                &text(&built).replacen('{', &format!(r#"{{"x":{},"#, deep(100_000)), 1),
            ),
            refused_with("is refused: failed to parse manifest: "),
        ),
        (
            "a config of 100,000 brackets",
            with_config(deep(100_000).into_bytes()),
            refused_with("is refused: failed to parse image configuration: "),
        ),
        (
            "a config that is none",
            with_config(b"<html>".to_vec()),
            refused_with("is refused: failed to parse image configuration: "),
        ),
        (
            "a manifest that is no text",
            with_document(&built, &built.media_type, "\u{0}"),
            refused_with("is refused: failed to parse manifest: "),
        ),
        (
            "a manifest of more than 4 MiB",
            with_document(
                &built,
                &built.media_type,
                &(text(&built) + &" ".repeat(5 << 20)),
            ),
            refused_with("more than the 4194304 "),
        ),
    ] {
        rows.push(Row::new("G7", name, image, end));
    }
    // The registry announces what it has; an archive shows it.
    for way in [Way::Pull, Way::Load] {
        let end = match way {
            Way::Pull => refused_with(format!(": about {} bytes are needed; ", i64::MAX)),
            _ => refused(format!("its manifest says {}", i64::MAX)),
        };
        let image = size("/layers/0/size", i64::MAX as u64);
        rows.push(Row::new("G7", "a layer of 2^63-1 bytes", image, end).only(way));
    }
    rows.extend(wrong_lengths(&built, layer));
    rows
}

/// G5: a manifest that does not say how long its layer is.
fn wrong_lengths(built: &Built, layer: Digest) -> Vec<Row> {
    let right = built.blobs[&layer].len();
    let mut rows = Vec::new();
    for (name, size) in [
        ("one byte less", right - 1),
        ("one byte more", right + 1),
        ("none", 0),
    ] {
        let image = manifest(|document| document["layers"][0]["size"] = json!(size));
        for way in [Way::Pull, Way::Load] {
            let words = match way {
                Way::Pull => format!("it announces {right} bytes instead of {size}"),
                _ => format!("has {right} bytes of {layer}, its manifest says {size}"),
            };
            let name = format!("a layer's length: {name}");
            rows.push(Row::new("G5", &name, image.clone(), refused(words)).only(way));
        }
    }
    rows
}

fn platforms_and_counts() -> Vec<Row> {
    let small = |n: usize| Layer::of(&[Entry::file(format!("f{n}"), "")]);
    let foreign = |platform: &str| Image::oci([small(1)]).platform(platform).build();
    let [s390, arm] = ["linux/s390x", "linux/mips64le"].map(foreign);
    let host = dray::oci::Platform::host();
    let unknown =
        |offered: &str| refused(format!("is not available for {host}, only for {offered}"));
    let many = {
        let mut document: Value =
            serde_json::from_slice(index(Flavour::Oci, &[&s390]).document()).unwrap();
        let entry = document["manifests"][0].clone();
        document["manifests"] = json!(vec![entry; 1001]);
        with_document(&s390, media_type::OCI_INDEX, &document.to_string())
    };
    let empty = r#"{"schemaVersion":2,"manifests":[]}"#;
    let one = good();
    let repeated = manifest(|document| {
        let layer = document["layers"][0].clone();
        document["layers"] = json!(vec![layer; 500]);
    });
    [
        (
            "an index without our platform",
            index(Flavour::Oci, &[&s390, &arm]),
            unknown("linux/s390x, linux/mips64le"),
        ),
        (
            "an index of Docker's without our platform",
            index(Flavour::Docker, &[&arm]),
            unknown("linux/mips64le"),
        ),
        (
            "an image of another platform",
            s390.clone(),
            unknown("linux/s390x"),
        ),
        (
            "an index of nothing",
            with_document(&one, media_type::OCI_INDEX, empty),
            unknown("nothing"),
        ),
        (
            "500 layers",
            Image::oci((0..500).map(small)).build(),
            refused("manifest lists 500 layers, more than the 499 allowed"),
        ),
        (
            "the same layer 500 times",
            repeated,
            refused("manifest lists 500 layers, more than the 499 allowed"),
        ),
        (
            "1001 images in an index",
            many,
            refused("manifest lists 1001 images, more than the 1000 allowed"),
        ),
    ]
    .map(|(name, image, end)| Row::new("G7", name, image, end))
    .into()
}
