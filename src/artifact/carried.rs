//! Images inside an artifact: an OCI image layout in its payload, flat, because payload files have no folders.
//!
//! ```text
//! data/0000.tar
//! ├── oci-layout               {"imageLayoutVersion":"1.0.0"}
//! ├── index.json               one entry per image of the meta-data's `containers`, in their order, under its name
//! ├── sha256.<hex>  …          documents, each after the one that names it: index, manifest, configuration
//! └── sha256.<hex>  …          layers, bottom first, each blob once; `dray.assumes` lists those that are left out
//! ```
//!
//! A device takes the whole in one pass: it knows what it needs before the first layer comes. Blobs are byte for byte
//! what the registry has, so the pinned digest is the same with and without a network.

use crate::oci::Digest;

/// Says that it is a layout, and of which version.
pub const MARKER: &str = "oci-layout";

/// Lists the images.
pub const INDEX: &str = "index.json";

/// What a blob's name begins with; a layout has it at `blobs/sha256/<hex>`.
const BLOB: &str = "sha256.";

/// The payload file that holds a blob.
pub fn blob_name(digest: &Digest) -> String {
    format!("{BLOB}{}", digest.hex())
}

/// The blob that a payload file holds by its name; `None` if it holds none.
pub fn blob_digest(name: &str) -> Option<Digest> {
    format!("sha256:{}", name.strip_prefix(BLOB)?).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::limits::{MAX_FILE_NAME, is_file_name};

    #[test]
    fn a_blob_has_one_name_that_every_reader_takes() {
        let digest = Digest::of(b"x");
        let name = blob_name(&digest);
        assert!(is_file_name(&name) && name.len() <= MAX_FILE_NAME);
        assert_eq!(blob_digest(&name), Some(digest));
        for other in [
            "index.json",
            "sha256.",
            "sha256.ab",
            &name.to_uppercase(),
            &name.replace('.', ":"),
            &format!("{name}0"),
        ] {
            assert_eq!(blob_digest(other), None, "{other}");
        }
    }
}
