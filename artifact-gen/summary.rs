//! What is printed about a finished artifact for scripts.

use serde_json::{Value, json};

use dray::oci::Digest;

use crate::args::Request;
use crate::compose::Resolved;

/// One object on one line: what was made, from what, and the digests on both sides.
pub fn json(request: &Request, images: &[Resolved], size: u64, digest: &Digest) -> String {
    let header = &request.header;
    let images: Vec<Value> = images
        .iter()
        .map(|image| {
            json!({
                "requested": image.requested.familiar(),
                "pinned": image.pinned.familiar(),
                "media_type": image.media_type,
                "size": image.size,
            })
        })
        .collect();
    let mut summary = json!({
        "artifact": request.output.display().to_string(),
        "size": size,
        "sha256": digest.hex(),
        "artifact_name": header.artifact_name,
        "device_types": header.device_types,
        "provides": header.provides,
        "clears_provides": header.clears_provides,
        "depends": header.depends,
        "images": images,
        "run_args": request.run_args,
    });
    if request.is_dry_run {
        summary["dry_run"] = json!(true);
    }
    format!("{summary}\n")
}
