//! Ways in for `tests/fuzz` to what reads foreign text in here; no program has them.

use super::{auth, credentials};

/// A challenge as it stands in the header of a 401.
pub fn challenge(header: &str) {
    let _ = auth::best([header].into_iter());
}

/// Docker's `config.json`, asked for two registries.
pub fn docker_config(bytes: &[u8]) {
    credentials::try_text(bytes);
}
