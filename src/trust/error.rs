//! Why a key or a signature is not taken.

/// What is wrong with a key or a signature, and what to do about it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TrustError {
    /// No block between `BEGIN` and `END` lines.
    #[error("it holds no key in PEM form; 'openssl pkey -inform DER' converts one in DER form")]
    NotPem,
    /// A passphrase would be needed.
    #[error(
        "the key is encrypted and this program asks for no passphrase; let openssl do it: \
         --sign-command 'openssl dgst -sha256 -sign KEY'"
    )]
    Encrypted,
    /// A PEM block of another kind.
    #[error("it holds a block {found:?}, but {wanted} is needed{remedy}")]
    Kind {
        /// What its first line says.
        found: String,
        /// What is needed instead.
        wanted: &'static str,
        /// How to get it.
        remedy: &'static str,
    },
    /// An algorithm that Mender's clients do not verify.
    #[error(
        "its algorithm is {0}; Mender's clients verify RSA of 2048 to 4096 bits and EC keys on the curve P-256"
    )]
    Algorithm(&'static str),
    /// An RSA key that is too short or too long, or not a sound one.
    #[error("the RSA key is not usable: {0}; 2048 to 4096 bits are taken")]
    Rsa(String),
    /// An EC key without its public half.
    #[error("the EC key lacks its public half; 'openssl ec -in KEY -out NEW' adds it")]
    NoPublicHalf,
    /// Its inside is not what its label promises.
    #[error("the key is damaged: {0}")]
    Damaged(&'static str),
    /// Not a signature in any form that a signer makes.
    #[error(
        "it is not a signature: {0} bytes, where RSA gives 256 to 512 and EC on P-256 gives 64, or 70 to 72 in DER form"
    )]
    Form(usize),
    /// Not base64.
    #[error("the signature is not base64")]
    Base64,
}
