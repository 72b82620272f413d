//! Text between `-----BEGIN X-----` and `-----END X-----`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::TrustError;

/// One block.
pub(super) struct Pem {
    pub(super) label: String,
    pub(super) der: Vec<u8>,
}

/// The first block that is a key or claims to be one; openssl puts a curve's name in a block of its own before it.
pub(super) fn key(text: &[u8]) -> Result<Pem, TrustError> {
    let text = str::from_utf8(text).map_err(|_| TrustError::NotPem)?;
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        let Some(label) = marker(line, "BEGIN") else {
            continue;
        };
        let body: Vec<&str> = lines
            .by_ref()
            .take_while(|line| marker(line, "END") != Some(label))
            .collect();
        if label == "EC PARAMETERS" {
            continue;
        }
        // OpenSSL's own form of encryption says so in headers before the base64.
        if body.iter().any(|line| line.starts_with("Proc-Type:")) || label.starts_with("ENCRYPTED")
        {
            return Err(TrustError::Encrypted);
        }
        let der = STANDARD.decode(body.concat());
        return Ok(Pem {
            label: label.to_owned(),
            der: der.map_err(|_| TrustError::Damaged("its text is not base64"))?,
        });
    }
    Err(TrustError::NotPem)
}

fn marker<'a>(line: &'a str, kind: &str) -> Option<&'a str> {
    let inner = line.strip_prefix("-----")?.strip_suffix("-----")?;
    inner.strip_prefix(kind)?.strip_prefix(' ')
}
