//! Platforms, and which entry of an index fits one.
//!
//! The rules are containerd's `platforms.Only`: the exact variant first, then older variants of the same
//! architecture, then the 32-bit architecture that a 64-bit one can run.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::manifest::{Descriptor, Index};
use super::media_type::{Kind, manifest_kind};

/// Operating system, architecture and variant in Go's words: `linux/arm/v7`. Always normalised: `aarch64` is `arm64`,
/// `arm64/v8` is `arm64`, `arm` is `arm/v7`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Raw")]
pub struct Platform {
    /// `linux`; what else an index may name is never chosen.
    pub os: String,
    /// `amd64`, `arm64`, `arm`, `386`, `riscv64`…
    pub architecture: String,
    /// `v5` to `v8` for arm, `v2` and up for amd64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// As written in documents, before normalising.
#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    variant: Option<String>,
}

impl From<Raw> for Platform {
    fn from(raw: Raw) -> Platform {
        Platform::new(&raw.os, &raw.architecture, raw.variant.as_deref())
    }
}

/// Why a text is not a platform.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "platform {0:?} is not of the form OS/ARCHITECTURE[/VARIANT], such as linux/arm64 or linux/arm/v7"
)]
pub struct PlatformError(String);

impl Platform {
    /// Normalises as docker does.
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Platform {
        let os = os.to_ascii_lowercase();
        let architecture = architecture.to_ascii_lowercase();
        let variant = variant.unwrap_or_default().to_ascii_lowercase();
        // Docker writes variants of arm with and without the v.
        let variant = match variant.as_str() {
            "5" | "6" | "7" | "8"
                if architecture.starts_with("arm") || architecture == "aarch64" =>
            {
                format!("v{variant}")
            }
            _ => variant,
        };
        let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
            ("x86_64" | "x86-64" | "amd64", "" | "v1") => ("amd64", ""),
            ("x86_64" | "x86-64", variant) => ("amd64", variant),
            ("aarch64" | "arm64", "" | "v8") => ("arm64", ""),
            ("aarch64", variant) => ("arm64", variant),
            ("armhf", _) => ("arm", "v7"),
            ("armel", _) => ("arm", "v6"),
            ("arm", "") => ("arm", "v7"),
            ("i386" | "i686", _) => ("386", ""),
            (architecture, variant) => (architecture, variant),
        };
        Platform {
            os,
            architecture: architecture.to_owned(),
            variant: (!variant.is_empty()).then(|| variant.to_owned()),
        }
    }

    /// The platform this program was built for, which on a device is the one it runs on.
    pub fn host() -> Platform {
        // A 32-bit ARM build is for v7 or, on the oldest boards, v6.
        let variant = match std::env::consts::ARCH {
            "arm" if cfg!(target_feature = "v7") => Some("v7"),
            "arm" => Some("v6"),
            _ => None,
        };
        let architecture = match std::env::consts::ARCH {
            "x86" => "386",
            "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
            other => other,
        };
        Platform::new(std::env::consts::OS, architecture, variant)
    }

    /// How well an image for `offered` runs here: 0 is a perfect match, higher is worse, `None` not at all.
    pub fn rank(&self, offered: &Platform) -> Option<usize> {
        if self.os != offered.os {
            return None;
        }
        self.runnable().iter().position(|(architecture, variant)| {
            *architecture == offered.architecture
                && variant.as_deref() == offered.variant.as_deref()
        })
    }

    /// The architectures and variants that run here, best first.
    fn runnable(&self) -> Vec<(&str, Option<String>)> {
        let variant = self.variant.as_deref();
        // The given variant, then every older one down to `oldest`; real ones have one digit.
        let falling = |newest: &str, oldest: u8| -> Vec<Option<String>> {
            match newest
                .strip_prefix('v')
                .and_then(|v| v.parse().ok())
                .filter(|v| *v < 10)
            {
                Some(newest) => (oldest..=newest)
                    .rev()
                    .map(|v| Some(format!("v{v}")))
                    .collect(),
                None => vec![Some(newest.to_owned())],
            }
        };
        let of = |architecture: &'static str, variants: Vec<Option<String>>| {
            variants
                .into_iter()
                .map(move |variant| (architecture, variant))
        };
        match self.architecture.as_str() {
            "arm" => of("arm", falling(variant.unwrap_or("v7"), 5)).collect(),
            "arm64" => {
                let mut all: Vec<_> = variant
                    .map(|v| ("arm64", Some(v.to_owned())))
                    .into_iter()
                    .collect();
                all.push(("arm64", None));
                all.extend(of("arm", falling("v8", 5)));
                all
            }
            "amd64" => {
                // v1 is written as no variant.
                let mut all: Vec<_> =
                    of("amd64", variant.map(|v| falling(v, 2)).unwrap_or_default()).collect();
                all.push(("amd64", None));
                all.push(("386", None));
                all
            }
            other => vec![(other, self.variant.clone())],
        }
    }
}

/// The entry of `index` that runs best on `platform`; of equals the first, as docker does.
///
/// Entries for other purposes (attestations, nested indexes) are passed over. An index whose only image names no
/// platform, as some tools write it, gives that image; its configuration then tells whether it fits.
pub fn choose<'a>(index: &'a Index, platform: &Platform) -> Option<&'a Descriptor> {
    let images = || {
        index
            .manifests
            .iter()
            .filter(|entry| manifest_kind(&entry.media_type) == Ok(Kind::Manifest))
    };
    let best = images()
        .filter_map(|entry| Some((platform.rank(entry.platform.as_ref()?)?, entry)))
        .min_by_key(|(rank, _)| *rank);
    if let Some((_, entry)) = best {
        return Some(entry);
    }
    let mut only = images();
    match (only.next(), only.next()) {
        (Some(entry), None) if entry.platform.is_none() => Some(entry),
        _ => None,
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Platform, PlatformError> {
        /// Longer than any platform; a longer one is shown up to here.
        const SHOWN: usize = 60;
        let malformed = || PlatformError(text.chars().take(SHOWN).collect());
        let words: Vec<&str> = text.split('/').collect();
        let is_word = |word: &str| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
        };
        if text.len() > SHOWN || !words.iter().all(|word| is_word(word)) {
            return Err(malformed());
        }
        match words[..] {
            [os, architecture] => Ok(Platform::new(os, architecture, None)),
            [os, architecture, variant] => Ok(Platform::new(os, architecture, Some(variant))),
            _ => Err(malformed()),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
