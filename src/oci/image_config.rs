//! The image configuration: what to run by default, and which layers make the root filesystem.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::manifest::{MAX_LAYERS, null_as_default};
use super::{Digest, Healthcheck, Platform};

/// Largest image configuration; histories of generated images reach a few hundred kilobytes.
pub const MAX_CONFIG: u64 = 4 << 20;

/// An image configuration, OCI's or Docker's: the two formats have the same members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageConfig {
    /// What the image is for.
    pub platform: Platform,
    /// When it was made, RFC 3339; as written by its maker.
    pub created: Option<String>,
    /// What a container of it runs unless told otherwise.
    pub config: ImageDefaults,
    /// Digests of the layers' plain tars, bottom first.
    pub rootfs_diff_ids: Vec<Digest>,
    /// How it was made.
    pub history: Vec<History>,
}

/// What a container runs unless told otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageDefaults {
    /// `user[:group]`, names or numbers; empty means root.
    #[serde(deserialize_with = "null_as_default")]
    pub user: String,
    /// Ports the image says it listens on: `80/tcp`.
    #[serde(deserialize_with = "keys")]
    pub exposed_ports: BTreeSet<String>,
    /// `NAME=value`.
    #[serde(deserialize_with = "null_as_default")]
    pub env: Vec<String>,
    /// What comes before the command.
    #[serde(deserialize_with = "null_as_default")]
    pub entrypoint: Vec<String>,
    /// The command, or the entry point's arguments.
    #[serde(deserialize_with = "null_as_default")]
    pub cmd: Vec<String>,
    /// Folders that should live on volumes.
    #[serde(deserialize_with = "keys")]
    pub volumes: BTreeSet<String>,
    /// Current folder; empty means `/`.
    #[serde(deserialize_with = "null_as_default")]
    pub working_dir: String,
    /// Free-form notes; data only.
    #[serde(deserialize_with = "null_as_default")]
    pub labels: BTreeMap<String, String>,
    /// Signal that asks the process to end; empty means SIGTERM.
    #[serde(deserialize_with = "null_as_default")]
    pub stop_signal: String,
    /// Health check (Docker's extension).
    pub healthcheck: Option<Healthcheck>,
    /// Shell for the `CMD-SHELL` form (Docker's extension); empty means `/bin/sh -c`.
    #[serde(deserialize_with = "null_as_default")]
    pub shell: Vec<String>,
}

/// One step of an image's making.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct History {
    /// When, RFC 3339.
    pub created: Option<String>,
    /// By which command.
    #[serde(deserialize_with = "null_as_default")]
    pub created_by: String,
    /// Remark.
    #[serde(deserialize_with = "null_as_default")]
    pub comment: String,
    /// The step changed no files, so it has no layer.
    #[serde(deserialize_with = "null_as_default")]
    pub empty_layer: bool,
}

/// Why an image configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ImageConfigError {
    /// Larger than [`MAX_CONFIG`].
    #[error("image configuration has {0} bytes, more than the {MAX_CONFIG} allowed")]
    TooLarge(u64),
    /// Not the JSON it should be.
    #[error("failed to parse image configuration: {0}")]
    Json(#[from] serde_json::Error),
    /// The root filesystem is not made of layers.
    #[error(
        "image configuration has a root filesystem of type {0:?}, only \"layers\" is supported"
    )]
    RootfsType(String),
    /// More layers than an overlay can stack.
    #[error("image configuration lists {0} layers, more than the {MAX_LAYERS} allowed")]
    TooManyLayers(usize),
}

#[derive(Deserialize)]
struct Raw {
    #[serde(flatten)]
    platform: Platform,
    created: Option<String>,
    #[serde(default, deserialize_with = "null_as_default")]
    config: ImageDefaults,
    rootfs: RawRootfs,
    #[serde(default, deserialize_with = "null_as_default")]
    history: Vec<History>,
}

#[derive(Deserialize)]
struct RawRootfs {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, deserialize_with = "null_as_default")]
    diff_ids: Vec<Digest>,
}

impl ImageConfig {
    /// Parses the bytes that the manifest's config descriptor names.
    pub fn parse(bytes: &[u8]) -> Result<ImageConfig, ImageConfigError> {
        if bytes.len() as u64 > MAX_CONFIG {
            return Err(ImageConfigError::TooLarge(bytes.len() as u64));
        }
        let raw: Raw = serde_json::from_slice(bytes)?;
        if raw.rootfs.kind != "layers" {
            let shown = raw.rootfs.kind.chars().take(60).collect();
            return Err(ImageConfigError::RootfsType(shown));
        }
        if raw.rootfs.diff_ids.len() > MAX_LAYERS {
            return Err(ImageConfigError::TooManyLayers(raw.rootfs.diff_ids.len()));
        }
        Ok(ImageConfig {
            platform: raw.platform,
            created: raw.created,
            config: raw.config,
            rootfs_diff_ids: raw.rootfs.diff_ids,
            history: raw.history,
        })
    }
}

/// A set as Go writes it, `{"80/tcp": {}}`, or `null`.
fn keys<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<String>, D::Error> {
    let map: BTreeMap<String, serde::de::IgnoredAny> = null_as_default(deserializer)?;
    Ok(map.into_keys().collect())
}

#[cfg(test)]
mod tests;
