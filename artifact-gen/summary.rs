//! What is printed about a finished artifact: the text of `mender-artifact read`, or JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use dray::artifact::header::PAYLOAD_TYPE;
use dray::artifact::payload::Payload;
use dray::oci::Digest;

use crate::args::Request;
use crate::compose::Resolved;

/// Upstream's last line, and what its call of `mender-artifact read` (3.9) prints after it.
pub fn text(request: &Request, payload: &Payload) -> String {
    let header = &request.header;
    let pairs = |title: &str, pairs: &std::collections::BTreeMap<String, String>| {
        let lines = pairs
            .iter()
            .map(|(key, value)| format!("\t{key}: {value}\n"));
        match pairs.is_empty() {
            true => format!("    {title}: Nothing\n"),
            false => format!("    {title}:\n{}", lines.collect::<String>()),
        }
    };
    let mut text = format!(
        "Artifact {} generated successfully:\n\
         Mender artifact:\n  Name: {}\n  Format: mender\n  Version: 3\n  Signature: no signature\n  \
         Compatible devices: '[{}]'\n  Provides group: {}\n  Depends on one of artifact(s): [{}]\n  \
         Depends on one of group(s): [{}]\n  State scripts:\n\n\
         Updates:\n    0:\n    Type:   {PAYLOAD_TYPE}\n{}{}",
        request.output.display(),
        header.artifact_name,
        header.device_types.join(" "),
        header.group.as_deref().unwrap_or_default(),
        header.depends_names.join(", "),
        header.depends_groups.join(", "),
        pairs("Provides", &header.provides),
        pairs("Depends", &header.depends),
    );
    if !header.clears_provides.is_empty() {
        let quoted: Vec<String> = header
            .clears_provides
            .iter()
            .map(|p| format!("\"{p}\""))
            .collect();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "    Clears Provides: [{}]", quoted.join(", "));
    }
    let _ = writeln!(
        text,
        "    Metadata:\n{}    Files: None",
        indented(&payload.to_json())
    );
    text
}

/// The document as Go's printer shows it: keys sorted, `<`, `>` and `&` escaped.
fn indented(document: &str) -> String {
    let sorted: std::collections::BTreeMap<String, Value> =
        serde_json::from_str(document).expect("our own document is valid");
    let pretty = serde_json::to_string_pretty(&sorted).expect("a document that was parsed prints");
    let pretty = pretty
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026");
    pretty.lines().map(|line| format!("\t{line}\n")).collect()
}

/// One object on one line: what was made, from what, and the digests on both sides.
pub fn json(request: &Request, images: &[Resolved], artifact: &[u8]) -> String {
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
    let summary = json!({
        "artifact": request.output.display().to_string(),
        "size": artifact.len(),
        "sha256": Digest::of(artifact).hex(),
        "artifact_name": header.artifact_name,
        "device_types": header.device_types,
        "provides": header.provides,
        "clears_provides": header.clears_provides,
        "depends": header.depends,
        "images": images,
        "run_args": request.run_args,
    });
    format!("{summary}\n")
}
