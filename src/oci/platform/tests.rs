use super::*;
use crate::oci::Digest;
use crate::oci::media_type::{OCI_INDEX, OCI_MANIFEST};

#[test]
fn normalises() {
    for (text, expected) in [
        ("linux/amd64", Some("linux/amd64")),
        ("Linux/X86_64", Some("linux/amd64")),
        ("linux/amd64/v1", Some("linux/amd64")),
        ("linux/amd64/v3", Some("linux/amd64/v3")),
        ("linux/aarch64", Some("linux/arm64")),
        ("linux/arm64/v8", Some("linux/arm64")),
        ("linux/arm64/8", Some("linux/arm64")),
        ("linux/arm", Some("linux/arm/v7")),
        ("linux/arm/7", Some("linux/arm/v7")),
        ("linux/armhf", Some("linux/arm/v7")),
        ("linux/armel", Some("linux/arm/v6")),
        ("linux/i386", Some("linux/386")),
        ("linux/riscv64", Some("linux/riscv64")),
        ("linux", None),
        ("linux/", None),
        ("linux/arm/v7/x", None),
        ("linux/a b", None),
        ("", None),
    ] {
        let found = text
            .parse::<Platform>()
            .ok()
            .map(|platform| platform.to_string());
        assert_eq!(found.as_deref(), expected, "{text:?}");
    }
}

fn index(platforms: &[&str]) -> Index {
    let entry = |(number, platform): (usize, &&str)| Descriptor {
        media_type: if *platform == "index" {
            OCI_INDEX
        } else {
            OCI_MANIFEST
        }
        .to_owned(),
        digest: Digest::of(b""),
        size: number as u64,
        platform: match *platform {
            "" | "index" => None,
            platform => Some(platform.parse().unwrap()),
        },
        annotations: Default::default(),
    };
    Index {
        media_type: OCI_INDEX.to_owned(),
        manifests: platforms.iter().enumerate().map(entry).collect(),
    }
}

#[test]
fn chooses_the_best() {
    for (wanted, offered, expected) in [
        ("linux/amd64", &["linux/arm64", "linux/amd64"][..], Some(1)),
        ("linux/amd64", &["linux/amd64", "linux/amd64"], Some(0)),
        ("linux/amd64", &["linux/amd64/v2", "linux/arm64"], None),
        ("linux/amd64", &["linux/386", "linux/amd64"], Some(1)),
        ("linux/amd64", &["linux/386"], Some(0)),
        ("linux/amd64", &["windows/amd64"], None),
        (
            "linux/amd64/v3",
            &["linux/amd64", "linux/amd64/v2", "linux/amd64/v4"],
            Some(1),
        ),
        (
            "linux/arm/v7",
            &["linux/arm/v5", "linux/arm/v6", "linux/arm64"],
            Some(1),
        ),
        ("linux/arm/v7", &["linux/arm/v6", "linux/arm/v7"], Some(1)),
        ("linux/arm/v6", &["linux/arm/v7", "linux/arm/v5"], Some(1)),
        ("linux/arm/v6", &["linux/arm/v7"], None),
        ("linux/arm64", &["linux/arm/v7", "linux/arm64"], Some(1)),
        ("linux/arm64", &["linux/arm/v6", "linux/arm/v7"], Some(1)),
        ("linux/arm64", &["linux/amd64"], None),
        ("linux/riscv64", &["linux/amd64", "linux/riscv64"], Some(1)),
        // Attestations and nested indexes are no images.
        ("linux/amd64", &["unknown/unknown", "linux/amd64"], Some(1)),
        ("linux/amd64", &["index", "linux/amd64"], Some(1)),
        ("linux/amd64", &["index"], None),
        // Without platforms there is only one that can be meant.
        ("linux/amd64", &[""], Some(0)),
        ("linux/amd64", &["index", ""], Some(1)),
        ("linux/amd64", &["", ""], None),
        ("linux/amd64", &["", "linux/arm64"], None),
        ("linux/amd64", &[], None),
    ] {
        let index = index(offered);
        let found = choose(&index, &wanted.parse().unwrap()).map(|entry| entry.size);
        assert_eq!(found, expected, "{wanted} from {offered:?}");
    }
}

#[test]
fn a_monstrous_variant_is_just_unknown() {
    let platform: Platform = "linux/arm/v4294967295".parse().unwrap();
    assert_eq!(platform.rank(&"linux/arm/v7".parse().unwrap()), None);
}
