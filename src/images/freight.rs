//! Images that travel with the request for them: in an artifact's payload, as it comes or as a client has stored it.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::arriving::{ArrivalError, Arrivals, Arriving};
use super::load::Inside;
use super::plan::Planned;
use super::source::{Source, Wish};
use super::{Image, Images, ImagesError, Progress};
use crate::archive::{Archive, Listed, some};
use crate::artifact::carried::blob_digest;
use crate::oci::{Descriptor, Digest, Platform, Reference};

/// Images that travel with the request for them.
#[derive(Debug)]
pub struct Freight<'a> {
    /// Layers, packed, that are said to be here already and do not travel.
    assumed: BTreeSet<Digest>,
    form: Form<'a>,
}

#[derive(Debug)]
enum Form<'a> {
    Stream(Arriving<'a>),
    Folder(Archive, PathBuf),
}

impl<'a> Freight<'a> {
    /// Takes the documents of a payload as it comes; its layers come when they are pulled, each once.
    pub fn stream(
        arrivals: Box<dyn Arrivals + 'a>,
        assumed: &[Digest],
    ) -> Result<Freight<'a>, ImagesError> {
        let arriving = Arriving::begin(arrivals).map_err(ImagesError::Arrival)?;
        Ok(Freight::of(Form::Stream(arriving), assumed))
    }

    /// A payload that lies in a folder.
    pub fn folder(path: &Path, assumed: &[Digest]) -> Result<Freight<'a>, ImagesError> {
        let refused = |source| ImagesError::Archive {
            path: path.to_owned(),
            source,
        };
        let archive = Archive::flat_folder(path, blob_digest).map_err(refused)?;
        Ok(Freight::of(Form::Folder(archive, path.to_owned()), assumed))
    }

    fn of(form: Form<'a>, assumed: &[Digest]) -> Freight<'a> {
        Freight {
            assumed: assumed.iter().copied().collect(),
            form,
        }
    }

    fn images(&self) -> &[Listed] {
        match &self.form {
            Form::Stream(arriving) => &arriving.images,
            Form::Folder(archive, _) => archive.images(),
        }
    }

    /// Where an image stands among those that travel: its layers come before those of the next. By its digest, or of one
    /// that no registry knows, by its name.
    pub fn position(&self, reference: &Reference) -> Option<usize> {
        self.images().iter().position(|listed| {
            let is_name = |name: &String| name.parse::<Reference>().is_ok_and(|n| n == *reference);
            match reference.digest {
                Some(digest) => listed.is_stated && listed.digest == digest,
                None => listed.names.iter().any(is_name),
            }
        })
    }

    fn listed(&self, reference: &Reference) -> Result<&Listed, ImagesError> {
        let position = self.position(reference);
        position
            .and_then(|position| self.images().get(position))
            .ok_or_else(|| ImagesError::NotCarried(reference.to_string()))
    }

    /// Takes what nobody needed, so that whoever hands the payload over comes to his end.
    pub fn finish(&self) -> Result<(), ImagesError> {
        match &self.form {
            Form::Stream(arriving) => arriving.finish().map_err(ImagesError::Arrival),
            Form::Folder(..) => Ok(()),
        }
    }
}

impl Images {
    /// As [`Images::plan`], for images that travel in `freight`. Follow with a [`Images::take_planned`] for each, in the
    /// order of [`Freight::position`].
    pub fn plan_freight(
        &self,
        freight: &Freight<'_>,
        asked: &[(&Reference, &Platform)],
        spare: Option<&str>,
        progress: &dyn Progress,
    ) -> Result<Vec<Planned>, ImagesError> {
        let names: Vec<String> = asked.iter().map(|(asked, _)| asked.familiar()).collect();
        let mut wishes = Vec::new();
        for ((reference, platform), name) in asked.iter().zip(&names) {
            let listed = freight.listed(reference)?;
            wishes.push(Wish {
                source: freight,
                name,
                digest: listed.digest,
                is_stated: listed.is_stated,
                platform,
            });
        }
        self.plan_wishes(&wishes, spare, progress)
    }

    /// Brings an image that [`Images::plan_freight`] has found room for.
    pub fn take_planned(
        &self,
        freight: &Freight<'_>,
        planned: Planned,
        progress: &dyn Progress,
    ) -> Result<Image, ImagesError> {
        self.bring_planned(freight, planned, progress)
    }
}

fn inside<'a>(archive: &'a Archive, path: &'a Path) -> Inside<'a> {
    Inside::new(archive, path, "its artifact")
}

impl Source for Freight<'_> {
    fn document(&self, digest: &Digest) -> Result<(Vec<u8>, Option<String>), ImagesError> {
        let arriving = match &self.form {
            Form::Stream(arriving) => arriving,
            Form::Folder(archive, path) => return inside(archive, path).document(digest),
        };
        let listed = arriving.images.iter().find(|image| image.digest == *digest);
        let media_type = listed.and_then(|image| image.media_type.clone());
        match arriving.document(digest) {
            Some(bytes) => Ok((bytes.to_vec(), media_type)),
            None => Err(ImagesError::Arrival(ArrivalError::Lacks(*digest))),
        }
    }

    fn blob(&self, blob: &Descriptor, from: u64) -> Result<Box<dyn Read + Send + '_>, ImagesError> {
        let arriving = match &self.form {
            Form::Stream(arriving) => arriving,
            Form::Folder(archive, path) => return inside(archive, path).blob_of(blob, from),
        };
        // A configuration is a document.
        if let Some(bytes) = arriving.document(&blob.digest) {
            let rest = bytes.get(usize::try_from(from).unwrap_or(usize::MAX)..);
            return Ok(Box::new(rest.unwrap_or_default()));
        }
        let mut coming = arriving.blob(blob).map_err(ImagesError::Arrival)?;
        let passed = std::io::copy(&mut (&mut coming).take(from), &mut std::io::sink());
        passed.map_err(|source| ImagesError::Arrival(source.into()))?;
        Ok(Box::new(coming))
    }

    fn peek(&self, blob: &Descriptor, from: u64, length: u64) -> Option<Vec<u8>> {
        match &self.form {
            Form::Stream(_) => None,
            Form::Folder(archive, path) => inside(archive, path).peek(blob, from, length),
        }
    }

    fn prove(&self, blobs: &[&Descriptor]) -> Result<(), ImagesError> {
        let lacking = blobs.iter().map(|blob| blob.digest);
        let lacking: Vec<Digest> = lacking.filter(|b| self.assumed.contains(b)).collect();
        if !lacking.is_empty() {
            return Err(ImagesError::Assumed {
                count: lacking.len(),
                blobs: some(lacking.iter().map(Digest::to_string)),
            });
        }
        match &self.form {
            Form::Stream(_) => Ok(()),
            Form::Folder(archive, path) => inside(archive, path).prove(blobs),
        }
    }

    fn comes_in_order(&self) -> bool {
        matches!(self.form, Form::Stream(_))
    }
}
