//! Ways in for `tests/fuzz` to what only a right checksum leads to otherwise; no program has them.

use super::documents::{self, PayloadHead};

/// `header-info`.
pub fn header_info(bytes: &[u8]) {
    let _ = documents::header_info(bytes);
}

/// `type-info`, into a payload of the module that its header-info would name.
pub fn type_info(bytes: &[u8]) {
    let mut payload = PayloadHead {
        kind: Some("docker".to_owned()),
        ..PayloadHead::default()
    };
    let _ = documents::type_info("type-info", bytes, &mut payload);
}
