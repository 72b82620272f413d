use super::*;
use crate::oci::media_type::{DOCKER_INDEX, DOCKER_MANIFEST, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST};

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn descriptor(media_type: &str) -> String {
    format!(r#"{{"mediaType":"{media_type}","digest":"sha256:{HEX}","size":7}}"#)
}

fn manifest(media_type: Option<&str>) -> String {
    let declared = media_type
        .map(|t| format!(r#""mediaType":"{t}","#))
        .unwrap_or_default();
    let layer = descriptor("application/vnd.oci.image.layer.v1.tar+gzip");
    let config = descriptor(OCI_CONFIG);
    format!(r#"{{"schemaVersion":2,{declared}"config":{config},"layers":[{layer}]}}"#)
}

fn index(media_type: Option<&str>) -> String {
    let declared = media_type
        .map(|t| format!(r#""mediaType":"{t}","#))
        .unwrap_or_default();
    let entry = format!(
        r#"{{"mediaType":"{OCI_MANIFEST}","digest":"sha256:{HEX}","size":7,
            "platform":{{"os":"linux","architecture":"arm","variant":"v7"}},"annotations":null}}"#
    );
    format!(r#"{{"schemaVersion":2,{declared}"manifests":[{entry}]}}"#)
}

#[test]
fn accepts_documents_that_agree_with_their_transport() {
    for (text, content_type, expected) in [
        (manifest(None), None, OCI_MANIFEST),
        (manifest(None), Some(OCI_MANIFEST), OCI_MANIFEST),
        (manifest(None), Some(DOCKER_MANIFEST), DOCKER_MANIFEST),
        (manifest(Some(DOCKER_MANIFEST)), None, DOCKER_MANIFEST),
        (
            manifest(Some(DOCKER_MANIFEST)),
            Some("application/json; charset=utf-8"),
            DOCKER_MANIFEST,
        ),
        (
            manifest(Some(OCI_MANIFEST)),
            Some("text/plain"),
            OCI_MANIFEST,
        ),
        (manifest(Some("")), None, OCI_MANIFEST),
        (index(None), None, OCI_INDEX),
        (index(Some(DOCKER_INDEX)), Some(DOCKER_INDEX), DOCKER_INDEX),
    ] {
        let found = match Document::parse(text.as_bytes(), content_type).unwrap() {
            Document::Manifest(manifest) => {
                assert_eq!(manifest.layers.len(), 1);
                assert_eq!(
                    (manifest.config.digest.hex().as_str(), manifest.config.size),
                    (HEX, 7)
                );
                manifest.media_type
            }
            Document::Index(index) => {
                let platform = index.manifests[0]
                    .platform
                    .as_ref()
                    .map(ToString::to_string);
                assert_eq!(platform.as_deref(), Some("linux/arm/v7"));
                index.media_type
            }
        };
        assert_eq!(found, expected, "{text} as {content_type:?}");
    }
}

#[test]
fn refuses_everything_else() {
    let both = manifest(None).replacen("\"config\"", "\"manifests\":[],\"config\"", 1);
    let with = |from: &str, to: &str| manifest(None).replacen(from, to, 1);
    let nested = "[".repeat(100_000);
    for (text, content_type, reason) in [
        (both, None, "it has the members of an image and of an index"),
        (
            with("\"config\"", "\"fsLayers\":[],\"config\""),
            None,
            "it has the member fsLayers of schema 1",
        ),
        (
            index(Some(OCI_MANIFEST)),
            None,
            "it calls itself an image but has the members of an index",
        ),
        (
            manifest(Some(OCI_INDEX)),
            None,
            "it calls itself an index but has the members of an image",
        ),
        (
            manifest(None),
            Some(OCI_INDEX),
            "it calls itself an index but has the members of an image",
        ),
        (
            manifest(Some(DOCKER_MANIFEST)),
            Some(OCI_MANIFEST),
            "was delivered as \"application/vnd.oci.image.manifest.v1+json\" but calls itself",
        ),
        (
            manifest(None),
            Some("text/html"),
            "manifest has the unknown media type \"text/html\"",
        ),
        (
            manifest(Some("x/y")),
            None,
            "manifest has the unknown media type \"x/y\"",
        ),
        (
            manifest(None),
            Some("application/vnd.docker.distribution.manifest.v1+json"),
            "manifest has Docker's schema 1 format",
        ),
        (
            "<html>".to_owned(),
            None,
            "failed to parse manifest: expected value at line 1 column 1",
        ),
        (String::new(), None, "failed to parse manifest: EOF"),
        (
            "null".to_owned(),
            None,
            "failed to parse manifest: invalid type: null",
        ),
        (nested.clone(), None, "failed to parse manifest: "),
        (
            format!(r#"{{"schemaVersion":2,"x":{nested}"#),
            None,
            "failed to parse manifest: EOF while parsing a list",
        ),
        (
            r#"{"schemaVersion":2}"#.to_owned(),
            None,
            "it has neither an image's nor an index's members",
        ),
        (
            r#"{"schemaVersion":1}"#.to_owned(),
            None,
            "schema version 1, only 2 is supported",
        ),
        (
            r#"{"schemaVersion":2,"layers":[]}"#.to_owned(),
            None,
            "it has layers but no config",
        ),
        (
            format!(
                r#"{{"schemaVersion":2,"config":{}}}"#,
                descriptor(OCI_CONFIG)
            ),
            None,
            "it has a config but no layers",
        ),
        (
            with("\"size\":7", "\"size\":-1"),
            None,
            "failed to parse manifest: invalid value: integer `-1`",
        ),
        (
            with("\"size\":7", "\"size\":9223372036854775808"),
            None,
            "has 9223372036854775808 bytes",
        ),
        (
            with("\"size\":7", "\"size\":1e3"),
            None,
            "failed to parse manifest: invalid type: floating point",
        ),
        (
            with(HEX, "../../etc/cron.d/x"),
            None,
            "does not have 64 lower-case hexadecimal digits",
        ),
        (with("sha256:", "sha512:"), None, "only sha256 is supported"),
        (
            with(OCI_CONFIG, "application/vnd.cncf.helm.config.v1+json"),
            None,
            "not a container image: its configuration has the media type",
        ),
        (
            with("layer.v1.tar+gzip", "layer.v1.tar+lz4"),
            None,
            "layer has the unknown media type",
        ),
        (
            with("\"config\"", "\"config\":null,\"config\""),
            None,
            "duplicate field `config`",
        ),
        (
            format!("{} {}", manifest(None), "x"),
            None,
            "trailing characters",
        ),
        (
            " ".repeat(4 << 20) + "{}",
            None,
            "manifest has 4194306 bytes, more than the 4194304 allowed",
        ),
    ] {
        let refused = Document::parse(text.as_bytes(), content_type)
            .unwrap_err()
            .to_string();
        let shown: String = text.chars().take(200).collect();
        assert!(
            refused.contains(reason),
            "{shown} as {content_type:?}: {refused}"
        );
        assert!(refused.len() < 500, "{}", refused.len());
    }
}

#[test]
fn limits_the_number_of_entries() {
    let layer = descriptor("application/vnd.oci.image.layer.v1.tar");
    let config = descriptor(OCI_CONFIG);
    let of = |layers: usize| {
        let layers = vec![layer.as_str(); layers].join(",");
        format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layers}]}}"#)
    };
    assert!(Document::parse(of(499).as_bytes(), None).is_ok());
    let refused = Document::parse(of(500).as_bytes(), None).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "manifest lists 500 layers, more than the 499 allowed"
    );
    let entries = vec![descriptor(OCI_MANIFEST); 1001].join(",");
    let refused = Document::parse(
        format!(r#"{{"schemaVersion":2,"manifests":[{entries}]}}"#).as_bytes(),
        None,
    );
    assert_eq!(
        refused.unwrap_err().to_string(),
        "manifest lists 1001 images, more than the 1000 allowed"
    );
}
