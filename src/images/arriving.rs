//! An image layout whose files come one after the other and only once: documents first, then layers.
//!
//! What is needed is known when the documents are here, so that there is room for it, or a refusal, before the first
//! layer comes. Layers then go straight where they belong, each when it comes; what nobody asks for is passed over.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::sync::{Mutex, PoisonError};

use crate::archive::{self, ImageArchiveError, Listed};
use crate::artifact::carried::{INDEX, MARKER, blob_digest};
use crate::oci::media_type::manifest_kind;
use crate::oci::stream::{Verified, read_limited};
use crate::oci::{Descriptor, Digest, Document, MAX_CONFIG, MAX_MANIFEST, ManifestError};

/// Bytes of all documents together, which are kept in memory: those of a hundred images have a quarter.
const MAX_DOCUMENTS: u64 = 8 << 20;

/// Files that come one after the other; what is read is the one that comes now, up to its end.
pub trait Arrivals: Read + Send {
    /// The next file's name, after what was left of the one before; `None` after the last.
    fn next(&mut self) -> io::Result<Option<String>>;
}

/// Why a payload is refused.
#[derive(Debug, thiserror::Error)]
pub enum ArrivalError {
    /// It broke off.
    #[error("failed to take it: {0}")]
    Read(#[from] io::Error),
    /// Something has no place where it is.
    #[error("it has {found} where {expected} belongs")]
    Place {
        /// What came.
        found: String,
        /// What should have come.
        expected: &'static str,
    },
    /// Its list of images.
    #[error(transparent)]
    Layout(#[from] ImageArchiveError),
    /// A document that is not what its name says, or is too long.
    #[error("{name}: {source}")]
    Content {
        /// The payload file.
        name: String,
        /// What is wrong.
        source: io::Error,
    },
    /// An index or manifest that cannot be used.
    #[error("{name}: {source}")]
    Document {
        /// The payload file.
        name: String,
        /// What is wrong.
        source: ManifestError,
    },
    /// More than can be kept.
    #[error("its manifests and configurations have more than {MAX_DOCUMENTS} bytes together")]
    Documents,
    /// It is over before something that is needed.
    #[error("{0} is not in it, or came before its turn")]
    Lacks(Digest),
}

/// A layout on its way.
pub(super) struct Arriving<'a> {
    /// The images that it has.
    pub(super) images: Vec<Listed>,
    documents: BTreeMap<Digest, Vec<u8>>,
    course: Mutex<Course<'a>>,
}

/// How far it is.
struct Course<'a> {
    arrivals: Box<dyn Arrivals + 'a>,
    /// The blob that comes now.
    current: Option<Digest>,
    has_begun: bool,
}

impl fmt::Debug for Arriving<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arriving")
            .field("images", &self.images)
            .finish_non_exhaustive()
    }
}

impl<'a> Arriving<'a> {
    /// Takes everything up to the first layer.
    pub(super) fn begin(mut arrivals: Box<dyn Arrivals + 'a>) -> Result<Self, ArrivalError> {
        let marker = small(arrivals.as_mut(), MARKER, archive::MAX_MARKER)?;
        let index = small(arrivals.as_mut(), INDEX, MAX_MANIFEST)?;
        let images = archive::listed(&marker, &index)?;
        let mut found = Documents::default();
        let roots = images.iter().map(|image| image.digest);
        found
            .expected
            .extend(roots.map(|root| (root, Kind::Manifest)));
        let current = loop {
            let Some(name) = arrivals.next()? else {
                break None;
            };
            let digest = blob_of(&name)?;
            match found.expected.remove(&digest) {
                Some(kind) => found.take(&name, digest, kind, &mut arrivals)?,
                // What no document names is a layer.
                None => break Some(digest),
            }
        };
        Ok(Arriving {
            images,
            documents: found.documents,
            course: Mutex::new(Course {
                arrivals,
                current,
                has_begun: false,
            }),
        })
    }

    /// A document, if it is there.
    pub(super) fn document(&self, digest: &Digest) -> Option<&[u8]> {
        self.documents.get(digest).map(Vec::as_slice)
    }

    /// The bytes of a layer, which must not have passed yet.
    pub(super) fn blob(&self, blob: &Descriptor) -> Result<Coming<'_, 'a>, ArrivalError> {
        let digest = blob.digest;
        let mut course = self.course.lock().unwrap_or_else(PoisonError::into_inner);
        // One that has been given out is not given again: its bytes are gone.
        while course.has_begun || course.current != Some(digest) {
            course.go_on()?;
            if course.current.is_none() {
                return Err(ArrivalError::Lacks(digest));
            }
        }
        course.has_begun = true;
        Ok(Coming {
            course: &self.course,
            digest,
            left: blob.size,
        })
    }

    /// Takes what is left, so that whoever hands it over can come to his end.
    pub(super) fn finish(&self) -> Result<(), ArrivalError> {
        let mut course = self.course.lock().unwrap_or_else(PoisonError::into_inner);
        while course.current.is_some() {
            course.go_on()?;
        }
        Ok(())
    }
}

impl Course<'_> {
    fn go_on(&mut self) -> Result<(), ArrivalError> {
        self.has_begun = false;
        self.current = None;
        if let Some(name) = self.arrivals.next()? {
            self.current = Some(blob_of(&name)?);
        }
        Ok(())
    }
}

/// A layer being read.
pub(super) struct Coming<'a, 'b> {
    course: &'a Mutex<Course<'b>>,
    digest: Digest,
    /// Bytes that have not come yet.
    left: u64,
}

impl Read for Coming<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut course = self.course.lock().unwrap_or_else(PoisonError::into_inner);
        if course.current != Some(self.digest) {
            return Err(io::Error::other("the next layer came meanwhile"));
        }
        let read = course.arrivals.read(buffer).and_then(|read| match read {
            0 if self.left > 0 && !buffer.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
            read => Ok(read),
        });
        // Its own kind of error: what has come so far is no worse for it.
        let read = read.map_err(|error| io::Error::new(error.kind(), ArrivalError::Read(error)))?;
        self.left = self.left.saturating_sub(read as u64);
        Ok(read)
    }
}

/// Which of the two a document is.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// An index or a manifest.
    Manifest,
    Config,
}

/// Documents as they come, and those that are still to come.
#[derive(Default)]
struct Documents {
    documents: BTreeMap<Digest, Vec<u8>>,
    expected: BTreeMap<Digest, Kind>,
    bytes: u64,
}

impl Documents {
    fn take(
        &mut self,
        name: &str,
        digest: Digest,
        kind: Kind,
        content: &mut dyn Read,
    ) -> Result<(), ArrivalError> {
        let limit = match kind {
            Kind::Manifest => MAX_MANIFEST,
            Kind::Config => MAX_CONFIG,
        };
        let wrong = |source| ArrivalError::Content {
            name: name.to_owned(),
            source,
        };
        let bytes = read_limited(content, limit).map_err(wrong)?;
        let checked = Verified::new(bytes.as_slice(), digest, bytes.len() as u64);
        checked.finish().map_err(wrong)?;
        self.bytes += bytes.len() as u64;
        if self.bytes > MAX_DOCUMENTS {
            return Err(ArrivalError::Documents);
        }
        if let Kind::Manifest = kind {
            self.expect(name, &bytes)?;
        }
        self.documents.insert(digest, bytes);
        Ok(())
    }

    /// Notes what a manifest or index names.
    fn expect(&mut self, name: &str, bytes: &[u8]) -> Result<(), ArrivalError> {
        let parsed = Document::parse(bytes, None).map_err(|source| ArrivalError::Document {
            name: name.to_owned(),
            source,
        })?;
        let named: Vec<(&Descriptor, Kind)> = match &parsed {
            Document::Manifest(manifest) => vec![(&manifest.config, Kind::Config)],
            Document::Index(index) => {
                let images = index.manifests.iter();
                let images = images.filter(|entry| manifest_kind(&entry.media_type).is_ok());
                images.map(|entry| (entry, Kind::Manifest)).collect()
            }
        };
        for (entry, kind) in named {
            if !self.documents.contains_key(&entry.digest) {
                self.expected.insert(entry.digest, kind);
            }
        }
        Ok(())
    }
}

/// A small file that must come now.
fn small(
    arrivals: &mut dyn Arrivals,
    expected: &'static str,
    limit: u64,
) -> Result<Vec<u8>, ArrivalError> {
    let name = arrivals.next()?.ok_or_else(|| ArrivalError::Place {
        found: "its end".to_owned(),
        expected,
    })?;
    match name == expected {
        true => {
            read_limited(arrivals, limit).map_err(|source| ArrivalError::Content { name, source })
        }
        false => Err(ArrivalError::Place {
            found: format!("{name:?}"),
            expected,
        }),
    }
}

fn blob_of(name: &str) -> Result<Digest, ArrivalError> {
    blob_digest(name).ok_or_else(|| ArrivalError::Place {
        found: format!("{name:?}"),
        expected: "a blob",
    })
}
