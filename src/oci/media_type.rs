//! The media types dray accepts; every other one is refused by name.

/// OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI image configuration.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Docker's manifest list, schema 2.
pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker's image manifest, schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's image configuration.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// What a registry is asked for. Order does not matter to registries; all four are equally welcome.
pub const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json";

/// Docker's first manifest format, named only to refuse it with a reason.
const DOCKER_SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+";

/// What kind of document a manifest media type announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A list of manifests, one per platform.
    Index,
    /// One image.
    Manifest,
}

/// How a layer's tar is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerCompression {
    /// gzip, possibly of several members.
    Gzip,
    /// zstd, possibly of several frames.
    Zstd,
    /// A plain tar.
    None,
}

/// Why a media type is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MediaTypeError {
    /// Docker's schema 1.
    #[error(
        "manifest has Docker's schema 1 format {0:?}, which has no verifiable digests; push the image again with a current tool"
    )]
    Schema1(String),
    /// Not a manifest or index at all.
    #[error("manifest has the unknown media type {0:?}")]
    Manifest(String),
    /// The manifest describes something else than an image.
    #[error("not a container image: its configuration has the media type {0:?}")]
    Config(String),
    /// A layer that registries do not carry.
    #[error(
        "layer has the media type {0:?}: its content is not in the registry, so it cannot be pulled"
    )]
    Foreign(String),
    /// An encrypted layer.
    #[error("layer has the media type {0:?}: encrypted layers are not supported")]
    Encrypted(String),
    /// Any other layer type.
    #[error("layer has the unknown media type {0:?}")]
    Layer(String),
}

/// A media type without parameters such as `; charset=utf-8`.
pub fn essence(content_type: &str) -> &str {
    content_type
        .split_once(';')
        .map_or(content_type, |(essence, _)| essence)
        .trim()
}

/// What a manifest or index media type announces.
pub fn manifest_kind(media_type: &str) -> Result<Kind, MediaTypeError> {
    match media_type {
        OCI_INDEX | DOCKER_INDEX => Ok(Kind::Index),
        OCI_MANIFEST | DOCKER_MANIFEST => Ok(Kind::Manifest),
        other if other.starts_with(DOCKER_SCHEMA_1) => Err(MediaTypeError::Schema1(shown(other))),
        other => Err(MediaTypeError::Manifest(shown(other))),
    }
}

/// Accepts the two media types of image configurations.
pub fn check_config(media_type: &str) -> Result<(), MediaTypeError> {
    match media_type {
        OCI_CONFIG | DOCKER_CONFIG => Ok(()),
        other => Err(MediaTypeError::Config(shown(other))),
    }
}

impl LayerCompression {
    /// From a layer's media type.
    pub fn of(media_type: &str) -> Result<LayerCompression, MediaTypeError> {
        match media_type {
            "application/vnd.oci.image.layer.v1.tar+gzip"
            | "application/vnd.docker.image.rootfs.diff.tar.gzip" => Ok(LayerCompression::Gzip),
            "application/vnd.oci.image.layer.v1.tar+zstd"
            | "application/vnd.docker.image.rootfs.diff.tar.zstd" => Ok(LayerCompression::Zstd),
            "application/vnd.oci.image.layer.v1.tar"
            | "application/vnd.docker.image.rootfs.diff.tar" => Ok(LayerCompression::None),
            other if other.contains("+encrypted") => Err(MediaTypeError::Encrypted(shown(other))),
            other if other.contains(".foreign.") || other.contains(".nondistributable.") => {
                Err(MediaTypeError::Foreign(shown(other)))
            }
            other => Err(MediaTypeError::Layer(shown(other))),
        }
    }
}

/// What an error repeats of a foreign text.
fn shown(text: &str) -> String {
    /// Real media types are shorter.
    const SHOWN: usize = 120;
    text.chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers() {
        for (media_type, expected) in [
            (
                "application/vnd.oci.image.layer.v1.tar",
                Ok(LayerCompression::None),
            ),
            (
                "application/vnd.oci.image.layer.v1.tar+gzip",
                Ok(LayerCompression::Gzip),
            ),
            (
                "application/vnd.oci.image.layer.v1.tar+zstd",
                Ok(LayerCompression::Zstd),
            ),
            (
                "application/vnd.docker.image.rootfs.diff.tar",
                Ok(LayerCompression::None),
            ),
            (
                "application/vnd.docker.image.rootfs.diff.tar.gzip",
                Ok(LayerCompression::Gzip),
            ),
            (
                "application/vnd.docker.image.rootfs.diff.tar.zstd",
                Ok(LayerCompression::Zstd),
            ),
            (
                "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
                Err(
                    "layer has the media type \"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip\": \
                     its content is not in the registry, so it cannot be pulled",
                ),
            ),
            (
                "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
                Err(
                    "layer has the media type \"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip\": \
                     its content is not in the registry, so it cannot be pulled",
                ),
            ),
            (
                "application/vnd.oci.image.layer.v1.tar+gzip+encrypted",
                Err(
                    "layer has the media type \"application/vnd.oci.image.layer.v1.tar+gzip+encrypted\": \
                     encrypted layers are not supported",
                ),
            ),
            (
                "application/x-tar",
                Err("layer has the unknown media type \"application/x-tar\""),
            ),
            ("", Err("layer has the unknown media type \"\"")),
        ] {
            let found = LayerCompression::of(media_type).map_err(|error| error.to_string());
            assert_eq!(found, expected.map_err(str::to_owned), "{media_type}");
        }
    }

    #[test]
    fn manifests_and_configs() {
        assert_eq!(manifest_kind(OCI_INDEX), Ok(Kind::Index));
        assert_eq!(manifest_kind(DOCKER_INDEX), Ok(Kind::Index));
        assert_eq!(manifest_kind(OCI_MANIFEST), Ok(Kind::Manifest));
        assert_eq!(manifest_kind(DOCKER_MANIFEST), Ok(Kind::Manifest));
        for schema_1 in ["json", "prettyjws"] {
            let media_type = format!("{DOCKER_SCHEMA_1}{schema_1}");
            assert_eq!(
                manifest_kind(&media_type),
                Err(MediaTypeError::Schema1(media_type))
            );
        }
        assert_eq!(
            manifest_kind("text/html"),
            Err(MediaTypeError::Manifest("text/html".to_owned()))
        );
        assert_eq!(check_config(OCI_CONFIG), Ok(()));
        assert_eq!(check_config(DOCKER_CONFIG), Ok(()));
        assert_eq!(
            check_config("application/vnd.cncf.helm.config.v1+json"),
            Err(MediaTypeError::Config(
                "application/vnd.cncf.helm.config.v1+json".to_owned()
            ))
        );
        assert_eq!(essence("text/html; charset=utf-8"), "text/html");
        for accepted in [OCI_INDEX, OCI_MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST] {
            assert!(
                ACCEPT.split(", ").any(|word| word == accepted),
                "{accepted}"
            );
        }
    }
}
