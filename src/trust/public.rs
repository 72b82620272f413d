//! Keys that signatures are checked with.

use ring::signature::{ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

use super::der::{self, OBJECT, SEQUENCE};
use super::{Signature, TrustError, pem};

/// Object identifiers, encoded.
pub(super) const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
pub(super) const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
pub(super) const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// Bytes of an uncompressed point on P-256.
pub(super) const POINT: usize = 65;

/// Shortest modulus taken, in bytes: shorter ones have been factored.
const MIN_MODULUS: usize = 256;

/// A public key, RSA or EC on P-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// PKCS#1.
    Rsa(Vec<u8>),
    /// The uncompressed point.
    P256(Vec<u8>),
}

impl PublicKey {
    /// Reads a key in PEM form, as `openssl pkey -pubout` writes it.
    pub fn parse(text: &[u8]) -> Result<PublicKey, TrustError> {
        let pem = pem::key(text)?;
        let other = |remedy| TrustError::Kind {
            found: pem.label.clone(),
            wanted: "a public key",
            remedy,
        };
        match pem.label.as_str() {
            "PUBLIC KEY" => PublicKey::from_der(&pem.der),
            "CERTIFICATE" => Err(other(
                "; 'openssl x509 -in FILE -noout -pubkey' takes it out",
            )),
            "RSA PUBLIC KEY" => Err(other(
                "; 'openssl rsa -RSAPublicKey_in -in FILE -pubout' converts it",
            )),
            label if label.ends_with("PRIVATE KEY") => {
                Err(other("; 'openssl pkey -in FILE -pubout' makes it"))
            }
            _ => Err(other("")),
        }
    }

    /// `SubjectPublicKeyInfo`.
    fn from_der(der: &[u8]) -> Result<PublicKey, TrustError> {
        let parts = || {
            let (body, rest) = der::content(der, SEQUENCE)?;
            let (algorithm, after) = der::content(body, SEQUENCE)?;
            let (key, end) = der::bits(after)?;
            (rest.is_empty() && end.is_empty()).then_some((algorithm, key))
        };
        let (algorithm, key) = parts().ok_or(TrustError::Damaged("its structure is wrong"))?;
        match algorithm_of(algorithm)? {
            Algorithm::Rsa => PublicKey::rsa(key),
            Algorithm::P256 => PublicKey::p256(key),
        }
    }

    pub(super) fn rsa(pkcs1: &[u8]) -> Result<PublicKey, TrustError> {
        let modulus = der::content(pkcs1, SEQUENCE).and_then(|(body, _)| der::integer(body));
        let (modulus, _) = modulus.ok_or(TrustError::Damaged("its numbers are missing"))?;
        if modulus.len() < MIN_MODULUS {
            let bits = 8 * modulus.len();
            return Err(TrustError::Rsa(format!("it has {bits} bits")));
        }
        Ok(PublicKey(Kind::Rsa(pkcs1.to_vec())))
    }

    pub(super) fn p256(point: &[u8]) -> Result<PublicKey, TrustError> {
        match point {
            [4, ..] if point.len() == POINT => Ok(PublicKey(Kind::P256(point.to_vec()))),
            _ => Err(TrustError::Damaged("its point is not an uncompressed one")),
        }
    }

    /// Whether the holder of the private key signed exactly `message`.
    pub fn verifies(&self, message: &[u8], signature: &Signature) -> bool {
        let bytes = signature.as_bytes();
        let verified = match &self.0 {
            Kind::Rsa(key) => {
                UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key).verify(message, bytes)
            }
            Kind::P256(key) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key).verify(message, bytes)
            }
        };
        verified.is_ok()
    }
}

/// What Mender's clients verify.
pub(super) enum Algorithm {
    Rsa,
    P256,
}

/// What an `AlgorithmIdentifier` says.
pub(super) fn algorithm_of(identifier: &[u8]) -> Result<Algorithm, TrustError> {
    let (name, parameters) = der::content(identifier, OBJECT)
        .ok_or(TrustError::Damaged("it does not name its algorithm"))?;
    match name {
        RSA => Ok(Algorithm::Rsa),
        EC => curve(parameters).map(|()| Algorithm::P256),
        [0x2b, 0x65, 0x70] => Err(TrustError::Algorithm("Ed25519")),
        [0x2b, 0x65, 0x71] => Err(TrustError::Algorithm("Ed448")),
        // RSASSA-PSS keys must not be used with the older padding.
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a] => {
            Err(TrustError::Algorithm("RSA for PSS only"))
        }
        _ => Err(TrustError::Algorithm("an unknown one")),
    }
}

/// Refuses every curve but P-256.
pub(super) fn curve(parameters: &[u8]) -> Result<(), TrustError> {
    match der::content(parameters, OBJECT) {
        Some((P256, _)) => Ok(()),
        _ => Err(TrustError::Algorithm("EC on another curve")),
    }
}
