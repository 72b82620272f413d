//! Where an image's bytes come from.

use std::io::Read;

use super::{Event, Images, ImagesError, Progress};
use crate::oci::{Descriptor, Digest, Platform, Reference};
use crate::registry::Client;

/// Something that has an image's documents and blobs by digest.
pub(super) trait Source: Sync {
    /// The index or manifest with this digest, checked against it, and the media type it came under, where that was said.
    fn document(&self, digest: &Digest) -> Result<(Vec<u8>, Option<String>), ImagesError>;

    /// The bytes of a blob from this one on, as they come, unchecked.
    fn blob(&self, blob: &Descriptor, from: u64) -> Result<Box<dyn Read + Send + '_>, ImagesError>;

    /// Whether it is far away, so that what came is worth keeping until all has come.
    fn is_far(&self) -> bool {
        false
    }

    /// A few bytes of a blob, unchecked, where they are to be had without the rest.
    fn peek(&self, _blob: &Descriptor, _from: u64, _length: u64) -> Option<Vec<u8>> {
        None
    }

    /// Fails if it is known not to have all of these blobs; asked before the first of them is brought.
    fn prove(&self, _blobs: &[&Descriptor]) -> Result<(), ImagesError> {
        Ok(())
    }

    /// The bytes that came for this blob are not what they should be; whether it may come from elsewhere now.
    fn distrust(&self, _blob: &Digest) -> bool {
        false
    }

    /// Whether blobs come by themselves, one after the other and once: one at a time has to be asked for, in their order.
    fn comes_in_order(&self) -> bool {
        false
    }

    /// What is under way is no longer wanted: whoever waits for it should stop.
    fn give_up(&self) {}
}

/// An image to be brought.
pub(super) struct Wish<'a> {
    pub(super) source: &'a dyn Source,
    /// What it is called in messages.
    pub(super) name: &'a str,
    /// Of its index or manifest.
    pub(super) digest: Digest,
    /// Whether that digest means something to others. An image without one goes by its id.
    pub(super) is_stated: bool,
    pub(super) platform: &'a Platform,
}

/// The registry that a reference names.
pub(super) struct Remote<'a> {
    client: Client,
    reference: &'a Reference,
}

impl<'a> Remote<'a> {
    /// Asks nobody anything yet, but the time for the image runs.
    pub(super) fn new(images: &Images, reference: &'a Reference) -> Remote<'a> {
        Remote::of(images.client().begin(), reference)
    }

    /// With a client for which the time runs already.
    pub(super) fn of(client: Client, reference: &'a Reference) -> Remote<'a> {
        Remote { client, reference }
    }
}

impl Remote<'_> {
    /// The client, with what it has learnt.
    pub(super) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Tells how it went, if that is worth a word.
    pub(super) fn report(&self, progress: &dyn Progress) {
        let mirrors = self.client.mirrors_used();
        let (resumed, refetched) = (self.client.resumed(), self.client.refetched());
        if resumed > 0 || refetched > 0 || !mirrors.is_empty() {
            progress.event(&Event::Arrived {
                mirrors: &mirrors,
                resumed,
                refetched,
            });
        }
    }
}

impl Source for Remote<'_> {
    fn document(&self, digest: &Digest) -> Result<(Vec<u8>, Option<String>), ImagesError> {
        Ok(self.client.manifest(self.reference, digest)?)
    }

    fn blob(&self, blob: &Descriptor, from: u64) -> Result<Box<dyn Read + Send + '_>, ImagesError> {
        Ok(self.client.blob_from(self.reference, blob, from)?)
    }

    fn is_far(&self) -> bool {
        true
    }

    fn peek(&self, blob: &Descriptor, from: u64, length: u64) -> Option<Vec<u8>> {
        self.client.peek(self.reference, blob, from, length)
    }

    fn distrust(&self, blob: &Digest) -> bool {
        self.client.distrust(blob)
    }

    fn give_up(&self) {
        self.client.give_up();
    }
}
