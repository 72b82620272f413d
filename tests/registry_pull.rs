//! The registry client against a misbehaving registry and against Debian's docker-registry.

mod common;

use std::process::Command;

use common::Scratch;
use common::image::{Entry, Flavour, Image, Layer, Packing, index};
use common::registry::{Access, Registry};

/// The images and the registry that the other tests stand on are what other tools take them for.
#[test]
fn skopeo_pulls_what_the_test_registry_serves() {
    let registry = Registry::start();
    registry.access(Access::Bearer(None));
    let layer = || {
        Layer::of(&[
            Entry::dir("etc"),
            Entry::file("etc/motd", "hello").xattr("user.a", "b"),
        ])
    };
    let images = [
        ("gzip", Image::oci([layer()]).build()),
        ("zstd", Image::oci([layer().packed(Packing::Zstd)]).build()),
        (
            "docker",
            Image::docker([layer(), layer().packed(Packing::Plain)]).build(),
        ),
    ];
    let other = Image::oci([]).platform("linux/s390x").build();
    let both = index(Flavour::Oci, &[&other, &images[0].1]);
    let scratch = Scratch::new("skopeo");
    for (tag, image) in images
        .iter()
        .map(|(tag, image)| (*tag, image))
        .chain([("index", &both)])
    {
        registry.push("shop/web", tag, image);
        let layout = scratch.join(tag);
        let status = Command::new("skopeo")
            .args(["copy", "-q", "--preserve-digests", "--src-tls-verify=false"])
            .arg(format!(
                "docker://{}",
                registry.name(&format!("shop/web:{tag}"))
            ))
            .arg(format!("dir:{}", layout.display()))
            .status()
            .unwrap();
        assert!(status.success(), "{tag}");
        assert!(layout.join("manifest.json").exists());
    }
    assert_eq!(registry.count("GET", "/token"), 4);
}
