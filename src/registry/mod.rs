//! Images from registries, over the OCI distribution API: one request to resolve a name, then documents and blobs by
//! digest.
//!
//! https with the system's authorities and Docker's `certs.d`; plain http on this machine and where the settings allow
//! it. Anonymous, Basic and Bearer, with the credentials of Docker's `config.json`. Everything that arrives has a limit
//! in size and time. A blob whose connection breaks is gone on with where it broke (`resume`), and what a mirror has is
//! not asked for at the registry (`mirrors`).

mod answer;
mod auth;
mod certs;
mod clock;
mod credentials;
mod der;
#[cfg(fuzzing)]
pub mod doors;
mod error;
mod fetch;
mod file;
mod folder;
mod http;
mod limiter;
mod login;
mod mirrors;
mod origins;
mod patience;
mod proxy;
mod question;
mod receiver;
mod resume;
mod socket;
mod tls;
mod transfer;
mod url;

use std::fmt;
use std::io::Read;
use std::sync::Arc;

use crate::config::Settings;
use crate::host::Host;
use crate::oci::media_type::{self, ACCEPT};
use crate::oci::stream::read_limited;
use crate::oci::{Descriptor, Digest, Document, MAX_MANIFEST, ManifestError, Reference};
use fetch::Fetcher;
use http::{Failure, Method, Response};
use patience::Body;
use question::Question;
use resume::Resumed;
use transfer::Transfer;

pub use error::{Problem, RegistryError};
pub use file::{FileError, RemoteFile, is_address};
pub use login::{Kept, Login, registry_named};
pub use patience::Patience;
pub use receiver::{SecureStream, Trust};

/// A client for all registries; keeps connections and tokens, and may be used from several threads at once.
#[derive(Clone)]
pub struct Client {
    fetcher: Arc<Fetcher>,
    transfer: Arc<Transfer>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What it holds is secret or noise.
        f.write_str("Client")
    }
}

impl Client {
    /// A client that knows the host's certificates and credentials; they are read when first needed.
    pub fn new(host: &Host, settings: &Settings) -> Client {
        Client::with_patience(host, settings, Patience::of(&settings.download))
    }

    /// The same with other time limits.
    pub fn with_patience(host: &Host, settings: &Settings, patience: Patience) -> Client {
        Client {
            fetcher: Arc::new(Fetcher::new(host, settings, patience)),
            transfer: Arc::default(),
        }
    }

    /// The same client for the transfer of one image, which begins now: its deadline runs, its counters are at zero.
    ///
    /// Until a registry has answered, what is asked of it is repeated for some seconds only, as its name may be misspelt.
    pub fn begin(&self) -> Client {
        self.begin_as(false)
    }

    /// The same where nobody waits for the first answer: what is asked is repeated as often from the beginning as later.
    pub fn begin_unattended(&self) -> Client {
        self.begin_as(true)
    }

    fn begin_as(&self, is_unattended: bool) -> Client {
        let Fetcher {
            host,
            patience,
            crowd,
            ..
        } = &*self.fetcher;
        Client {
            fetcher: Arc::clone(&self.fetcher),
            transfer: Arc::new(Transfer::begin(
                host,
                patience.deadline,
                crowd,
                is_unattended,
            )),
        }
    }

    /// Nobody wants this transfer any more: its pauses end at once, and so do its connections if it is the last one.
    pub fn give_up(&self) {
        self.transfer.give_up();
    }

    /// How many bytes of blobs arrived a second time because a registry cannot go on in the middle.
    pub fn refetched(&self) -> u64 {
        self.transfer.refetched()
    }

    /// How often a blob was gone on with after its connection broke.
    pub fn resumed(&self) -> u64 {
        self.transfer.resumed()
    }

    /// What `reference` points at, an index or a manifest, usually in one HEAD request. With a digest in the reference,
    /// the answer is about that digest or an error.
    pub fn resolve(&self, reference: &Reference) -> Result<Descriptor, RegistryError> {
        let subject = manifest_subject(reference);
        self.anywhere(reference, &subject, None, |place| {
            self.resolve_at(reference, place)
        })
    }

    fn resolve_at(&self, reference: &Reference, place: &str) -> Result<Descriptor, Failure> {
        let mut question = manifest_question(reference, place, &reference.selector());
        question.method = Method::Head;
        let found = match self.fetcher.ask(&question) {
            Ok(response) => announced(&response),
            // Some registries behind simple web servers know only GET.
            Err(Failure {
                problem:
                    Problem::Status {
                        status: 405 | 501, ..
                    },
                ..
            }) => None,
            Err(failure) => return Err(failure),
        };
        let found = match found {
            Some(found) => found,
            None => {
                question.method = Method::Get;
                let (bytes, content_type) = self.read_manifest(&question)?;
                self.describe(&bytes, content_type.as_deref())?
            }
        };
        if let Some(expected) = reference.digest.filter(|digest| *digest != found.digest) {
            let found = found.digest;
            return Err(Problem::WrongDigest { expected, found }.into());
        }
        if found.size > MAX_MANIFEST {
            return Err(Problem::from(ManifestError::TooLarge(found.size)).into());
        }
        media_type::manifest_kind(&found.media_type).map_err(Problem::from)?;
        Ok(found)
    }

    /// The index or manifest with this digest, checked against it, and the Content-Type it came with.
    pub fn manifest(
        &self,
        reference: &Reference,
        digest: &Digest,
    ) -> Result<(Vec<u8>, Option<String>), RegistryError> {
        let subject = manifest_subject(reference);
        self.anywhere(reference, &subject, None, |place| {
            let question = manifest_question(reference, place, &digest.to_string());
            // On the way from the registry itself a bit may have changed; after a mirror somebody else is asked.
            let mut may_be_chance = place == reference.host;
            loop {
                let (bytes, content_type) = self.read_manifest(&question)?;
                let found = Digest::of(&bytes);
                if found == *digest {
                    return Ok((bytes, content_type));
                }
                if !may_be_chance {
                    let expected = *digest;
                    return Err(Problem::WrongDigest { expected, found }.into());
                }
                self.transfer.count_refetched(bytes.len() as u64);
                may_be_chance = false;
            }
        })
    }

    /// The bytes of a blob as they arrive. Not checked: the caller wraps them in [`crate::oci::stream::Verified`].
    ///
    /// A connection that breaks is made again and the blob gone on with; what cannot be helped is a [`RegistryError`]
    /// inside the [`std::io::Error`], and final.
    pub fn blob(
        &self,
        reference: &Reference,
        blob: &Descriptor,
    ) -> Result<Box<dyn Read + Send>, RegistryError> {
        self.blob_from(reference, blob, 0)
    }

    /// The same from byte `offset` on, for who has what comes before it.
    pub fn blob_from(
        &self,
        reference: &Reference,
        blob: &Descriptor,
        offset: u64,
    ) -> Result<Box<dyn Read + Send>, RegistryError> {
        Ok(Box::new(Resumed::open(self, reference, blob, offset)?))
    }

    /// Reads a document to its end.
    fn read_manifest(&self, question: &Question) -> Result<(Vec<u8>, Option<String>), Failure> {
        let response = self.fetcher.ask(question)?;
        if let Some(length) = response.length().filter(|length| *length > MAX_MANIFEST) {
            return Err(Problem::from(ManifestError::TooLarge(length)).into());
        }
        let content_type = response.header("content-type").map(str::to_owned);
        let names = (question.place, question.subject.as_str());
        let body = Body::new(self, names, response.body);
        let bytes = read_limited(body, MAX_MANIFEST).map_err(|error| {
            // The body's own errors are complete; what is left is the limit.
            match error.downcast::<RegistryError>() {
                Ok(error) => Failure {
                    passing: error.broke_off(),
                    ..Failure::from(*error.problem)
                },
                Err(_) => Problem::from(ManifestError::TooLarge(MAX_MANIFEST + 1)).into(),
            }
        })?;
        Ok((bytes, content_type))
    }

    fn describe(&self, bytes: &[u8], content_type: Option<&str>) -> Result<Descriptor, Problem> {
        let media_type = match Document::parse(bytes, content_type)? {
            Document::Index(index) => index.media_type,
            Document::Manifest(manifest) => manifest.media_type,
        };
        Ok(Descriptor {
            media_type,
            digest: Digest::of(bytes),
            size: bytes.len() as u64,
            platform: None,
            annotations: Default::default(),
        })
    }
}

fn manifest_question<'a>(reference: &'a Reference, place: &'a str, selector: &str) -> Question<'a> {
    Question {
        method: Method::Get,
        reference,
        place,
        path: format!("manifests/{selector}"),
        accept: Some(ACCEPT),
        subject: manifest_subject(reference),
        range: None,
    }
}

fn manifest_subject(reference: &Reference) -> String {
    format!("manifest of {}", reference.familiar())
}

/// What the headers of a HEAD answer say, if they say all of it.
fn announced(response: &Response) -> Option<Descriptor> {
    let media_type = media_type::essence(response.header("content-type")?).to_owned();
    media_type::manifest_kind(&media_type).ok()?;
    Some(Descriptor {
        media_type,
        digest: response.header("docker-content-digest")?.parse().ok()?,
        size: response.length()?,
        platform: None,
        annotations: Default::default(),
    })
}
