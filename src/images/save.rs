//! Images out of the store into an archive, byte for byte: the digests that others know stay what they are.
//!
//! A layer on disk is a tree, and a tree does not say how its tar was written: in which order, with which headers. What
//! is written again is another layer with another digest, and so another image. The bytes come from where they still
//! are: from the store if it keeps compressed layers (`[store] keep_blobs`), else from the image's registry; where
//! neither has them the image is refused.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use super::source::{Remote, Source};
use super::{Event, Image, Images, ImagesError, Progress};
use crate::archive::{Writer, Written};
use crate::oci::stream::Verified;
use crate::oci::{Descriptor, Digest, Document, Manifest, Reference};

/// How much is read between two progress events.
const REPORT_BYTES: u64 = 512 << 10;

/// An image to be saved, and the names it gets in the archive.
#[derive(Debug)]
pub struct Save {
    /// The image.
    pub image: Image,
    /// Its names there; none are needed.
    pub names: Vec<Reference>,
}

/// An image with what has to be known before the first byte is written.
struct Plan<'a> {
    save: &'a Save,
    root: Descriptor,
    manifest: Manifest,
    /// Index, manifest and configuration.
    documents: Vec<(Digest, Vec<u8>)>,
    /// Whom to ask for layers that are not kept.
    registry: Option<Remote<'a>>,
}

/// What will be asked for the layers that the store does not keep.
#[derive(Debug)]
pub struct Refetch<'a> {
    /// The image's name there.
    pub name: &'a Reference,
    /// How many layers.
    pub layers: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// What helps an image whose layers nobody has as they are packed.
const ANEW: &str = "set keep_blobs in [store], remove the image and bring it anew";

/// What helps one whose registry does not give them now; one that is removed could not be brought anew.
const AGAIN: &str = "try again when its registry gives them; removed, it could not be brought anew";

impl Images {
    /// Writes images into one archive. Everything that can be known beforehand is checked before the first byte;
    /// `refetch` hears of what the network is needed for.
    pub fn save(
        &self,
        wanted: &[Save],
        out: &mut dyn Write,
        refetch: &dyn Fn(&Refetch<'_>),
        progress: &dyn Progress,
    ) -> Result<(), ImagesError> {
        let _hold = self.hold()?;
        let mut plans = Vec::new();
        for save in wanted {
            plans.push(self.plan_save(save, refetch)?);
        }
        let failed = |source| ImagesError::Save { source };
        let mut writer = Writer::new(out).map_err(failed)?;
        for (digest, blob) in blobs(&plans) {
            match blob {
                Blob::Document(bytes) => writer.blob(&digest, bytes.len() as u64, &mut &bytes[..]),
                Blob::Layer(layer, plan, diff_id) => {
                    let mut content = Reported {
                        inner: Verified::of(self.open_layer(layer, plan)?, layer),
                        progress,
                        layer: diff_id,
                        unreported: 0,
                    };
                    progress.event(&Event::Started {
                        layer: diff_id,
                        size: layer.size,
                    });
                    let written = writer.blob(&digest, layer.size, &mut content);
                    progress.event(&Event::Unpacked { layer: diff_id });
                    written
                }
            }
            .map_err(failed)?;
        }
        let written: Vec<Written<'_>> = plans.iter().map(Plan::written).collect();
        writer.finish(&written).map_err(failed)?;
        for registry in plans.iter().filter_map(|plan| plan.registry.as_ref()) {
            registry.report(progress);
        }
        Ok(())
    }

    fn plan_save<'a>(
        &self,
        save: &'a Save,
        refetch: &dyn Fn(&Refetch<'_>),
    ) -> Result<Plan<'a>, ImagesError> {
        let image = &save.image;
        self.check(image)?;
        // One that has no digest of its own goes by the manifest that was made for it.
        let root_digest = image.stated_digest().unwrap_or(image.manifest);
        let mut documents = BTreeMap::new();
        for digest in [root_digest, image.manifest, image.id] {
            let bytes = self.store.document(&digest)?;
            let bytes = bytes.ok_or(ImagesError::NoDocument {
                image: image.digest,
                digest,
            })?;
            documents.insert(digest, bytes);
        }
        let parse = |digest: &Digest| {
            let bytes = documents.get(digest).map_or(&[][..], Vec::as_slice);
            let parsed = Document::parse(bytes, None);
            let parsed = parsed.map_err(|source| ImagesError::Manifest {
                image: image.digest.to_string(),
                source,
            })?;
            Ok::<_, ImagesError>((parsed, bytes.len() as u64))
        };
        let (root, size) = parse(&root_digest)?;
        let media_type = match root {
            Document::Index(index) => index.media_type,
            Document::Manifest(manifest) => manifest.media_type,
        };
        let Document::Manifest(manifest) = parse(&image.manifest)?.0 else {
            return Err(ImagesError::NestedIndex {
                image: image.digest.to_string(),
                digest: image.manifest,
            });
        };
        let registry = self.registry_of(save, &manifest, refetch)?;
        Ok(Plan {
            save,
            root: Descriptor {
                media_type,
                digest: root_digest,
                size,
                platform: None,
                annotations: BTreeMap::new(),
            },
            manifest,
            documents: documents.into_iter().collect(),
            registry,
        })
    }

    /// The registry that has the image, where one is needed: by the first name under which its digest is known.
    fn registry_of<'a>(
        &self,
        save: &'a Save,
        manifest: &Manifest,
        refetch: &dyn Fn(&Refetch<'_>),
    ) -> Result<Option<Remote<'a>>, ImagesError> {
        let image = &save.image;
        let missing = manifest.layers.iter();
        let missing: Vec<&Descriptor> =
            missing.filter(|layer| self.kept(layer).is_none()).collect();
        if missing.is_empty() {
            return Ok(None);
        }
        let not_kept = |why: String, remedy| ImagesError::NotKept {
            image: save
                .names
                .first()
                .map_or_else(|| image.id.to_string(), Reference::familiar),
            layers: missing.len(),
            why,
            remedy,
        };
        let Some(digest) = image.stated_digest() else {
            let why = "no registry has them: it was loaded or imported";
            return Err(not_kept(why.to_owned(), ANEW));
        };
        let mut refused = None;
        for name in &image.names {
            let registry = Remote::new(self, name);
            match registry.document(&digest) {
                Ok(_) => {
                    refetch(&Refetch {
                        name,
                        layers: missing.len(),
                        bytes: missing.iter().map(|layer| layer.size).sum(),
                    });
                    return Ok(Some(registry));
                }
                Err(error) => refused = Some(error.to_string()),
            }
        }
        Err(match refused {
            Some(why) => not_kept(why, AGAIN),
            None => {
                let why = "no name says which registry has them";
                not_kept(why.to_owned(), ANEW)
            }
        })
    }

    /// A layer as it is packed, where it was kept whole.
    fn kept(&self, layer: &Descriptor) -> Option<PathBuf> {
        let kept = self.store.blob(&layer.digest);
        kept.filter(|_| self.store.blob_size(&layer.digest) == layer.size)
    }

    fn open_layer<'a>(
        &self,
        layer: &Descriptor,
        plan: &'a Plan<'_>,
    ) -> Result<Box<dyn Read + Send + 'a>, ImagesError> {
        match (self.kept(layer), &plan.registry) {
            (Some(path), _) => match File::open(&path) {
                Ok(file) => Ok(Box::new(file)),
                Err(source) => Err(ImagesError::Save { source }),
            },
            (None, Some(registry)) => registry.blob(layer, 0),
            (None, None) => Err(ImagesError::NoLayer(layer.digest)),
        }
    }
}

impl Plan<'_> {
    fn written(&self) -> Written<'_> {
        Written {
            root: &self.root,
            is_stated: self.save.image.stated_digest().is_some(),
            config: self.save.image.id,
            layers: self.manifest.layers.iter().map(|l| l.digest).collect(),
            names: &self.save.names,
        }
    }
}

/// A blob to be written.
enum Blob<'a> {
    Document(&'a [u8]),
    /// As it is packed, whose image's, and its diff id.
    Layer(&'a Descriptor, &'a Plan<'a>, Digest),
}

/// All blobs of all images, each once.
fn blobs<'a>(plans: &'a [Plan<'a>]) -> BTreeMap<Digest, Blob<'a>> {
    let mut blobs = BTreeMap::new();
    for plan in plans {
        for (digest, bytes) in &plan.documents {
            blobs.insert(*digest, Blob::Document(bytes));
        }
        for (layer, diff_id) in plan.manifest.layers.iter().zip(&plan.save.image.layers) {
            blobs
                .entry(layer.digest)
                .or_insert(Blob::Layer(layer, plan, *diff_id));
        }
    }
    blobs
}

/// A layer on its way out.
struct Reported<'a, R> {
    inner: R,
    progress: &'a dyn Progress,
    layer: Digest,
    unreported: u64,
}

impl<R: Read> Read for Reported<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.progress.is_cancelled() {
            return Err(io::Error::other("it was cancelled"));
        }
        let read = self.inner.read(buffer)?;
        self.unreported += read as u64;
        if self.unreported >= REPORT_BYTES || (read == 0 && self.unreported > 0) {
            self.progress.event(&Event::Received {
                layer: self.layer,
                bytes: std::mem::take(&mut self.unreported),
            });
        }
        Ok(read)
    }
}
