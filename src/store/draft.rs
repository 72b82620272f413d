//! What a pull brings before it has its name, and the one commit that gives all of it its names.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{CONTENT, SEAL, Store, StoreError, failed};
use crate::oci::Digest;
use crate::sys::{beneath, fs};

/// A layer being unpacked; removed when dropped before [`commit`].
#[derive(Debug)]
pub struct LayerDraft {
    scratch: PathBuf,
    diff_id: Option<Digest>,
    /// What has its name is damaged.
    replaces: bool,
}

/// A blob being written; removed when dropped before [`commit`].
#[derive(Debug)]
pub struct BlobDraft {
    scratch: PathBuf,
    name: PathBuf,
    file: File,
}

impl Store {
    /// Begins a layer.
    pub fn draft_layer(&self) -> Result<LayerDraft, StoreError> {
        let make = |path: &Path| std::fs::DirBuilder::new().mode(0o700).create(path);
        let (scratch, ()) = unused(&self.layers_dir().join("layer"), make)?;
        let draft = LayerDraft {
            scratch,
            diff_id: None,
            replaces: false,
        };
        let tree = draft.scratch.join("tree");
        make(&tree).map_err(failed("create", &tree))?;
        Ok(draft)
    }

    /// Begins a blob; its content is the caller's to check.
    pub fn draft_blob(&self, digest: &Digest) -> Result<BlobDraft, StoreError> {
        let name = self.blob_path(digest);
        let (scratch, file) = unused(&name, |scratch| {
            OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(scratch)
        })?;
        Ok(BlobDraft {
            scratch,
            name,
            file,
        })
    }

    /// A document as a whole.
    pub fn draft_document(&self, bytes: &[u8]) -> Result<BlobDraft, StoreError> {
        let mut draft = self.draft_blob(&Digest::of(bytes))?;
        let written = draft.write_all(bytes);
        written.map_err(failed("write", &draft.scratch))?;
        Ok(draft)
    }
}

/// A scratch name that nobody uses: an earlier process with our number may have left some.
fn unused<T>(
    path: &Path,
    make: impl Fn(&Path) -> io::Result<T>,
) -> Result<(PathBuf, T), StoreError> {
    loop {
        let scratch = fs::scratch_beside(path);
        match make(&scratch) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => {
                let made = made.map_err(failed("create", &scratch))?;
                return Ok((scratch, made));
            }
        }
    }
}

impl LayerDraft {
    /// The empty folder to unpack into.
    pub fn tree(&self) -> Result<OwnedFd, StoreError> {
        let path = self.scratch.join("tree");
        beneath::open_dir(&path).map_err(failed("open", &path))
    }

    /// At the commit it takes the name from the damaged layer that has it.
    pub fn replace_damaged(&mut self) {
        self.replaces = true;
    }

    /// Ends it: what it is, and what it must look like and contain from now on.
    pub fn seal(
        &mut self,
        diff_id: &Digest,
        seal: &[u8],
        content: &[u8],
    ) -> Result<(), StoreError> {
        for (name, bytes) in [(SEAL, seal), (CONTENT, content)] {
            let path = self.scratch.join(name);
            OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)
                .and_then(|mut file| file.write_all(bytes))
                .map_err(failed("write", &path))?;
        }
        self.diff_id = Some(*diff_id);
        Ok(())
    }
}

impl Write for BlobDraft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for LayerDraft {
    fn drop(&mut self) {
        // After the commit there is nothing there; otherwise the next opening of the store would do the same.
        let _ = std::fs::remove_dir_all(&self.scratch);
    }
}

impl Drop for BlobDraft {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.scratch);
    }
}

/// Makes everything durable and gives it its names: layers first, then the blobs that speak of them. After an error
/// nothing that has a name is torn; a failed sync is not tried again, the drafts are simply lost.
pub fn commit(
    store: &Store,
    layers: Vec<LayerDraft>,
    blobs: Vec<BlobDraft>,
) -> Result<(), StoreError> {
    let diff_ids: Vec<Digest> = layers.iter().filter_map(|draft| draft.diff_id).collect();
    let (healing, new): (Vec<_>, Vec<_>) = layers.iter().partition(|draft| draft.replaces);
    let layer_names: Vec<_> = new
        .iter()
        .filter_map(|draft| Some((draft.scratch.clone(), store.layer_dir(&draft.diff_id?))))
        .collect();
    let blob_names: Vec<_> = blobs
        .iter()
        .map(|draft| (draft.scratch.clone(), draft.name.clone()))
        .collect();
    if layers.is_empty() && blob_names.is_empty() {
        return Ok(());
    }
    let (layers_dir, blobs_dir) = (store.layers_dir(), store.blobs_dir());
    if fs::broken("journal-first") {
        fs::publish_all(&blob_names).map_err(failed("publish blobs in", &blobs_dir))?;
    }
    if !fs::broken("rename-before-sync") {
        fs::sync_filesystem(&layers_dir).map_err(failed("sync", &layers_dir))?;
    }
    for draft in healing {
        heal(store, draft)?;
    }
    fs::publish_all(&layer_names).map_err(failed("publish layers in", &layers_dir))?;
    if !fs::broken("journal-first") {
        fs::publish_all(&blob_names).map_err(failed("publish blobs in", &blobs_dir))?;
    }
    diff_ids.iter().try_for_each(|id| store.note_checked(id))
}

/// Gives a whole layer the name of a damaged one. Containers that run on the damaged one keep their files: it only gets the
/// other's name, which says what it is from before the exchange on, so that a kill between the two harms nobody.
fn heal(store: &Store, draft: &LayerDraft) -> Result<(), StoreError> {
    let Some(diff_id) = draft.diff_id else {
        return Ok(());
    };
    let (name, aside) = (store.layer_dir(&diff_id), store.aside_name(&diff_id));
    fs::publish_volatile(&draft.scratch, &aside)
        .and_then(|()| fs::exchange(&aside, &name))
        .map_err(failed("replace", &name))
}
