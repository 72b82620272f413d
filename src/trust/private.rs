//! Keys that artifacts are signed with; the generator only.

use std::fmt;

use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};

use super::der::{self, INTEGER, OCTET_STRING, SEQUENCE};
use super::public::{Algorithm, algorithm_of, curve};
use super::{PublicKey, Signature, TrustError, pem};

/// Bytes of a number on P-256.
const SCALAR: usize = 32;

/// A private key, RSA or EC on P-256.
pub struct PrivateKey(Kind);

enum Kind {
    Rsa(Box<RsaKeyPair>),
    P256(Box<EcdsaKeyPair>),
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey").finish_non_exhaustive()
    }
}

impl PrivateKey {
    /// Reads a key in PEM form: PKCS#1 or PKCS#8 for RSA, SEC1 or PKCS#8 for EC.
    pub fn parse(text: &[u8]) -> Result<PrivateKey, TrustError> {
        let pem = pem::key(text)?;
        let other = |remedy| TrustError::Kind {
            found: pem.label.clone(),
            wanted: "a private key",
            remedy,
        };
        match pem.label.as_str() {
            "RSA PRIVATE KEY" => PrivateKey::pkcs1(&pem.der),
            "EC PRIVATE KEY" => PrivateKey::sec1(&pem.der, false),
            "PRIVATE KEY" => PrivateKey::pkcs8(&pem.der),
            "OPENSSH PRIVATE KEY" => Err(other(
                "; 'ssh-keygen -p -m PKCS8 -f FILE' converts an RSA or ECDSA one",
            )),
            _ => Err(other("")),
        }
    }

    fn pkcs1(der: &[u8]) -> Result<PrivateKey, TrustError> {
        let key = RsaKeyPair::from_der(der).map_err(|why| TrustError::Rsa(why.to_string()))?;
        Ok(PrivateKey(Kind::Rsa(Box::new(key))))
    }

    fn pkcs8(der: &[u8]) -> Result<PrivateKey, TrustError> {
        let parts = || {
            let (body, _) = der::content(der, SEQUENCE)?;
            let (_version, rest) = der::content(body, INTEGER)?;
            let (algorithm, rest) = der::content(rest, SEQUENCE)?;
            let (key, _) = der::content(rest, OCTET_STRING)?;
            Some((algorithm, key))
        };
        let (algorithm, key) = parts().ok_or(TrustError::Damaged("its structure is wrong"))?;
        match algorithm_of(algorithm)? {
            Algorithm::Rsa => PrivateKey::pkcs1(key),
            Algorithm::P256 => PrivateKey::sec1(key, true),
        }
    }

    /// `known_curve`: the outer structure has named it.
    fn sec1(der: &[u8], known_curve: bool) -> Result<PrivateKey, TrustError> {
        /// Parameters and public key carry these instead of a kind of their own.
        const PARAMETERS: u8 = 0xa0;
        const PUBLIC: u8 = 0xa1;
        let parts = || {
            let (body, _) = der::content(der, SEQUENCE)?;
            let (_version, rest) = der::content(body, INTEGER)?;
            der::content(rest, OCTET_STRING)
        };
        let (secret, rest) = parts().ok_or(TrustError::Damaged("its structure is wrong"))?;
        let rest = match der::content(rest, PARAMETERS) {
            Some((parameters, rest)) => curve(parameters).map(|()| rest)?,
            None if known_curve => rest,
            None => return Err(TrustError::Damaged("it does not name its curve")),
        };
        let point = der::content(rest, PUBLIC).and_then(|(public, _)| der::bits(public));
        let (point, _) = point.ok_or(TrustError::NoPublicHalf)?;
        if secret.len() > SCALAR {
            return Err(TrustError::Damaged("its number is too long"));
        }
        // Some writers leave out leading zeros.
        let mut scalar = [0; SCALAR];
        scalar[SCALAR - secret.len()..].copy_from_slice(secret);
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let random = SystemRandom::new();
        EcdsaKeyPair::from_private_key_and_public_key(algorithm, &scalar, point, &random)
            .map(|key| PrivateKey(Kind::P256(Box::new(key))))
            .map_err(|_| TrustError::Damaged("its two halves do not belong together"))
    }

    /// The half that others check signatures with.
    pub fn public(&self) -> Result<PublicKey, TrustError> {
        match &self.0 {
            Kind::Rsa(key) => PublicKey::rsa(key.public_key().as_ref()),
            Kind::P256(key) => PublicKey::p256(key.public_key().as_ref()),
        }
    }

    /// Signs `message`. RSA gives the same signature each time, EC another one each time.
    pub fn sign(&self, message: &[u8]) -> Result<Signature, TrustError> {
        let random = SystemRandom::new();
        let failed = |_| TrustError::Damaged("signing with it fails");
        match &self.0 {
            Kind::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map_err(failed)?;
                Signature::from_signer(&signature)
            }
            Kind::P256(key) => {
                let signature = key.sign(&random, message).map_err(failed)?;
                Signature::from_signer(signature.as_ref())
            }
        }
    }
}
