//! What a TLS connection to a registry trusts: authorities, and certificates that stand for themselves.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::client::{ResolvesClientCert, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, InconsistentKeys, RootCertStore,
    SignatureScheme,
};

use super::certs::{ClientPair, unusable};
use super::clock::Clock;
use super::der;
use super::error::Problem;

/// All certificates in a PEM text; what else is in it does not matter, and neither does an authority among the
/// system's that cannot be read.
pub(super) fn certificates(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem)
        .filter_map(Result::ok)
        .collect()
}

/// The authorities of the system's bundle.
pub(super) fn roots(pem: &[u8]) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(pem));
    roots
}

/// The configuration for one registry: the system's authorities, its own certificates with the files they are from,
/// and what we show of ourselves.
pub(super) fn configure(
    system: &RootCertStore,
    own: Vec<(PathBuf, Vec<u8>)>,
    clients: Vec<ClientPair>,
    clock: Arc<Clock>,
) -> Result<Arc<ClientConfig>, Problem> {
    let provider = Arc::new(ring::default_provider());
    let mut roots = system.clone();
    let mut pinned = Vec::new();
    for (path, pem) in own {
        let certificates = certificates(&pem);
        if certificates.is_empty() {
            return Err(unusable(&path, "it contains no PEM certificate"));
        }
        for certificate in certificates {
            roots
                .add(certificate.clone())
                .map_err(|error| unusable(&path, &error.to_string()))?;
            pinned.push(certificate);
        }
    }
    let authorities =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|error| broken(&error))?;
    finish(
        provider,
        Arc::new(Verifier {
            authorities,
            pinned,
            clock: Arc::clone(&clock),
        }),
        clients,
        clock,
    )
}

/// The configuration for somebody whose certificate nobody has to vouch for.
pub(super) fn configure_for_anybody(
    clients: Vec<ClientPair>,
    clock: Arc<Clock>,
) -> Result<Arc<ClientConfig>, Problem> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(Anybody(Arc::clone(&provider)));
    finish(provider, verifier, clients, clock)
}

fn finish(
    provider: Arc<CryptoProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
    clients: Vec<ClientPair>,
    clock: Arc<Clock>,
) -> Result<Arc<ClientConfig>, Problem> {
    let mut shown = Vec::new();
    for pair in &clients {
        shown.push(Arc::new(certified(&provider, pair)?));
    }
    let builder = ClientConfig::builder_with_details(provider, clock)
        .with_safe_default_protocol_versions()
        .map_err(|error| broken(&error))?
        // The name is the crate's; what it warns of is in the verifiers.
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    Ok(Arc::new(match shown[..] {
        [] => builder.with_no_client_auth(),
        _ => builder.with_client_cert_resolver(Arc::new(Shown(shown))),
    }))
}

fn broken(error: &dyn std::error::Error) -> Problem {
    Problem::Unreachable(format!("TLS cannot be set up: {error}"))
}

fn certified(provider: &CryptoProvider, pair: &ClientPair) -> Result<CertifiedKey, Problem> {
    let chain = certificates(&pair.certificate);
    if chain.is_empty() {
        return Err(unusable(&pair.path, "it contains no PEM certificate"));
    }
    let key = PrivateKeyDer::from_pem_slice(&pair.key)
        .map_err(|_| unusable(&pair.key_path, "it contains no PEM private key"))?;
    let key = provider.key_provider.load_private_key(key);
    let key = key.map_err(|error| unusable(&pair.key_path, &error.to_string()))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
        // Whether it fits the key cannot be told here, and is for the registry to say: it may accept certificates of X.509's
        // first version.
        Err(error) if is_other(&error, "UnsupportedCertVersion") => Ok(certified),
        Err(Error::InconsistentKeys(_)) => {
            let key = pair.key_path.display();
            Err(unusable(&pair.path, &format!("{key} is not its key")))
        }
        Err(error) => Err(unusable(&pair.path, &error.to_string())),
    }
}

/// What we show of ourselves: the first certificate whose issuer the other side knows, else just the first.
#[derive(Debug)]
struct Shown(Vec<Arc<CertifiedKey>>);

impl ResolvesClientCert for Shown {
    fn resolve(&self, issuers: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let is_known = |certificate: &CertificateDer<'_>| {
            der::parts(certificate).is_some_and(|parts| issuers.contains(&parts.issuer))
        };
        let can_sign = |shown: &&Arc<CertifiedKey>| shown.key.choose_scheme(schemes).is_some();
        let usable = || self.0.iter().filter(can_sign);
        usable()
            .find(|shown| shown.cert.iter().any(is_known))
            .or_else(|| usable().next())
            .cloned()
    }

    fn has_certs(&self) -> bool {
        !self.0.is_empty()
    }
}

/// Trusts what the authorities vouch for, and a self-signed certificate that lies in the registry's own folder.
///
/// Docker's manual makes private registries' certificates with `openssl req -x509`, which marks them as an
/// authority's; a strict verifier refuses such a one as a server's. Here it stands for itself if it is, byte for byte,
/// the one somebody put there.
#[derive(Debug)]
struct Verifier {
    authorities: Arc<WebPkiServerVerifier>,
    pinned: Vec<CertificateDer<'static>>,
    clock: Arc<Clock>,
}

impl Verifier {
    /// What the authorities say of a certificate. What they vouch for tells the time, to those who have none.
    fn ask(
        &self,
        certificate: &CertificateDer<'_>,
        now: UnixTime,
        verdict: impl Fn(UnixTime) -> Result<ServerCertVerified, Error>,
    ) -> Result<ServerCertVerified, Error> {
        let begins = der::parts(certificate).map(|parts| parts.not_before);
        let mut found = verdict(now);
        if let (Err(Error::InvalidCertificate(reason)), Some(begins)) = (&found, begins)
            && matches!(
                reason,
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }
            )
            && self.clock.is_behind()
        {
            found = verdict(UnixTime::since_unix_epoch(Duration::from_secs(begins)));
        }
        if let (Ok(_), Some(begins)) = (&found, begins) {
            self.clock.learn(begins);
        }
        found
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = self.ask(certificate, now, |now| {
            self.authorities
                .verify_server_cert(certificate, intermediates, name, ocsp, now)
        });
        match verdict {
            // This refusal comes after the check of the dates, so only the name is left to check.
            Err(refusal) if is_authority(&refusal) && self.pinned.contains(certificate) => {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}

/// Trusts whoever has the key of the certificate that he shows, whoever he says he is.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Whether a certificate was refused only for being marked as an authority's.
fn is_authority(refusal: &Error) -> bool {
    is_other(refusal, "CaUsedAsEndEntity")
}

/// Whether a certificate was refused for a reason that has no type of its own.
fn is_other(refusal: &Error, wanted: &str) -> bool {
    matches!(
        refusal,
        Error::InvalidCertificate(CertificateError::Other(reason)) if reason.to_string() == wanted
    )
}
