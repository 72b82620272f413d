//! A signature's bytes, and the text that stands for them in an artifact.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};

use super::TrustError;
use super::der::{self, SEQUENCE};

/// Bytes of a number on P-256.
const SCALAR: usize = 32;

/// What RSA of 2048 to 4096 bits gives.
const RSA_SIZES: std::ops::RangeInclusive<usize> = 256..=512;

/// A signature: RSA's number, or EC's two numbers of 32 bytes each, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature(Vec<u8>);

impl Signature {
    /// Reads the member `manifest.sig`.
    pub fn parse(text: &[u8]) -> Result<Signature, TrustError> {
        // Mender's own reader passes over line ends, which encoders like to add.
        let bytes = text.iter().filter(|byte| !matches!(byte, b'\r' | b'\n'));
        let bytes = STANDARD.decode(bytes.copied().collect::<Vec<u8>>());
        bytes.map(Signature).map_err(|_| TrustError::Base64)
    }

    /// Takes what a signing program gives: raw bytes, EC's also in DER form as openssl writes it, or either of them as
    /// base64, of the kind for web addresses too.
    pub fn from_signer(bytes: &[u8]) -> Result<Signature, TrustError> {
        // Text first: raw bytes are not all letters and digits, but base64 can be as long as a raw signature.
        let decoded = LENIENT.decode(joined(bytes)).ok();
        decoded
            .and_then(|decoded| raw(&decoded))
            .or_else(|| raw(bytes))
            .map(Signature)
            .ok_or(TrustError::Form(bytes.len()))
    }

    /// What `manifest.sig` holds: base64 on one line, without an end of line.
    pub fn to_text(&self) -> String {
        STANDARD.encode(&self.0)
    }

    /// What a verifier takes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// One of the forms that are not text; their lengths do not overlap.
fn raw(bytes: &[u8]) -> Option<Vec<u8>> {
    match bytes.len() {
        64 => Some(bytes.to_vec()),
        length if RSA_SIZES.contains(&length) && length % 8 == 0 => Some(bytes.to_vec()),
        _ => from_der(bytes),
    }
}

/// `SEQUENCE { r INTEGER, s INTEGER }` as two numbers of fixed length.
fn from_der(bytes: &[u8]) -> Option<Vec<u8>> {
    let (body, rest) = der::content(bytes, SEQUENCE)?;
    let (r, after) = der::integer(body)?;
    let (s, end) = der::integer(after)?;
    if !rest.is_empty() || !end.is_empty() || r.len() > SCALAR || s.len() > SCALAR {
        return None;
    }
    let mut fixed = vec![0; 2 * SCALAR];
    fixed[SCALAR - r.len()..SCALAR].copy_from_slice(r);
    fixed[2 * SCALAR - s.len()..].copy_from_slice(s);
    Some(fixed)
}

/// With or without the signs that fill it up.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Base64 as programs print it, in lines and in either alphabet, on one line in the usual one.
fn joined(text: &[u8]) -> Vec<u8> {
    let kept = text.iter().filter(|byte| !byte.is_ascii_whitespace());
    let usual = kept.map(|byte| match byte {
        b'-' => b'+',
        b'_' => b'/',
        other => *other,
    });
    usual.collect()
}
