//! What is printed about a finished artifact for scripts.

use serde_json::{Value, json};

use dray::oci::Digest;

use crate::args::Request;
use crate::compose::Resolved;
use crate::embed::Cargo;

/// What is known of the file.
#[derive(Debug, Clone, Copy)]
pub struct Made {
    /// Bytes; `None` where that depends on how well layers can be packed that were not fetched.
    pub size: Option<u64>,
    /// `None` where not all of it is known.
    pub digest: Option<Digest>,
}

/// One object on one line: what was made, from what, and the digests on both sides.
pub fn json(request: &Request, images: &[Resolved], cargo: Option<&Cargo>, made: Made) -> String {
    let header = &request.header;
    let images: Vec<Value> = images
        .iter()
        .map(|image| {
            json!({
                "requested": image.requested,
                "pinned": image.pinned.familiar(),
                "media_type": image.media_type,
                "size": image.size,
            })
        })
        .collect();
    let mut summary = json!({
        "artifact": request.output.display().to_string(),
        "size": made.size,
        "sha256": made.digest.map(|digest| digest.hex()),
        "artifact_name": header.artifact_name,
        "device_types": header.device_types,
        "provides": header.provides,
        "clears_provides": header.clears_provides,
        "depends": header.depends,
        "images": images,
        "run_args": request.run_args,
    });
    if let Some(cargo) = cargo {
        let platforms: Vec<String> = request.platforms.iter().map(|p| p.to_string()).collect();
        summary["embedded"] = json!({
            "platforms": platforms,
            "blobs": cargo.blobs().count(),
            "bytes": cargo.blobs().map(|blob| blob.size).sum::<u64>(),
            "left_out": {"layers": cargo.left_out.len(), "bytes": cargo.left_out_bytes()},
        });
    }
    if request.is_dry_run {
        summary["dry_run"] = json!(true);
    }
    format!("{summary}\n")
}
