//! Volumes on disk.
//!
//! ```text
//! <state>/volumes/<name>/
//!   volume.json   labels and age; a volume of an older dray has none, and needs none
//!   _data         the volume
//! ```
//!
//! A folder exists under its final name if and only if it is whole. Volumes are made, looked for users of and removed under
//! the lock of container names, so that none goes while a container that wants it is being made.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::record::{self, Record};
use super::super::{Engine, EngineError, names, time};
use crate::sys::fs;
use crate::sys::lock::Exclusive;

/// Label of a volume that nobody gave a name, as Docker sets it.
pub const ANONYMOUS: &str = "com.docker.volume.anonymous";

/// One volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// What it was labelled with when it was made.
    pub labels: BTreeMap<String, String>,
    /// RFC 3339.
    pub created: String,
    /// Where its data lies.
    pub data: PathBuf,
}

impl Volume {
    /// Made for one container alone: nobody gave it a name.
    pub fn is_anonymous(&self) -> bool {
        self.labels.contains_key(ANONYMOUS)
    }
}

/// `volume.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Note {
    version: u32,
    created: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
}

impl Engine {
    /// Every volume, by name.
    pub fn volumes(&self) -> Result<Vec<Volume>, EngineError> {
        let dir = self.volumes_dir();
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(EngineError::Read { path: dir, source }),
        };
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| names::is_valid(name))
            .collect();
        names.sort();
        let read = |name: String| match self.volume(&name) {
            // Somebody removed it meanwhile.
            Err(EngineError::NoVolume(_)) => None,
            read => Some(read),
        };
        names.into_iter().filter_map(read).collect()
    }

    /// The volume of this name.
    pub fn volume(&self, name: &str) -> Result<Volume, EngineError> {
        let folder = self.volumes_dir().join(name);
        let data = folder.join("_data");
        let absent = || EngineError::NoVolume(name.to_owned());
        if !names::is_valid(name) {
            return Err(absent());
        }
        let age = match std::fs::metadata(&data) {
            Ok(found) => found.modified(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(absent()),
            Err(error) => Err(error),
        };
        let path = folder.join("volume.json");
        let (created, labels) = match record::read::<Note>(&path)? {
            Some(note) if note.version > record::VERSION => {
                let found = note.version;
                return Err(EngineError::RecordVersion { path, found });
            }
            Some(note) => (note.created, note.labels),
            None => {
                let age = age.map_err(|source| EngineError::Read {
                    path: data.clone(),
                    source,
                })?;
                (time::rfc3339(age), BTreeMap::new())
            }
        };
        Ok(Volume {
            name: name.to_owned(),
            labels,
            created,
            data,
        })
    }

    /// Makes a volume, or finds the one of this name: then its labels stay as they are. Without a name it gets one.
    pub fn create_volume(
        &self,
        name: Option<&str>,
        mut labels: BTreeMap<String, String>,
    ) -> Result<Volume, EngineError> {
        let name = match name {
            Some(name) if names::is_valid(name) => name.to_owned(),
            Some(name) => return Err(EngineError::VolumeName(name.to_owned())),
            None => {
                labels.insert(ANONYMOUS.to_owned(), String::new());
                names::new_id()?
            }
        };
        self.make_volume(&name, labels, &self.lock_names()?)
    }

    /// As [`Engine::create_volume`], for whoever holds the lock.
    pub(super) fn make_volume(
        &self,
        name: &str,
        labels: BTreeMap<String, String>,
        _names: &Exclusive,
    ) -> Result<Volume, EngineError> {
        match self.volume(name) {
            Err(EngineError::NoVolume(_)) => {}
            found => return found,
        }
        let note = Note {
            version: record::VERSION,
            created: time::rfc3339(self.host.now()),
            labels,
        };
        let folder = self.volumes_dir().join(name);
        let scratch = fs::scratch_beside(&folder);
        let written = fs::create_dirs(&self.volumes_dir())
            .and_then(|()| fs::create_dirs(&scratch))
            .and_then(|()| DirBuilder::new().mode(0o755).create(scratch.join("_data")))
            .map_err(|source| EngineError::write(&scratch, source))
            // Syncs the folder with both names in it.
            .and_then(|()| record::write(&scratch.join("volume.json"), &note))
            .and_then(|()| {
                fs::publish(&scratch, &folder).map_err(|source| EngineError::write(&folder, source))
            });
        written.inspect_err(|_| {
            // The error that matters is the first one; what stays goes with the next settling.
            let _ = std::fs::remove_dir_all(&scratch);
        })?;
        self.volume(name)
    }

    /// Names of volumes that containers have, running or not, each with the ids of those.
    pub fn volume_users(&self) -> Result<BTreeMap<String, BTreeSet<String>>, EngineError> {
        let mut users: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for id in self.ids()? {
            let record = match self.folders(&id).record() {
                // It is being removed.
                Err(EngineError::RecordMissing { .. }) => continue,
                record => record?,
            };
            for mount in record.mounts.into_iter().filter(|m| m.kind == "volume") {
                users.entry(mount.name).or_default().insert(id.clone());
            }
        }
        Ok(users)
    }

    /// Removes a volume with its data, unless a container has it.
    pub fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        let _names = self.lock_names()?;
        self.volume(name)?;
        if let Some(ids) = self.volume_users()?.remove(name) {
            return Err(EngineError::VolumeInUse {
                name: name.to_owned(),
                ids: ids.into_iter().collect::<Vec<_>>().join(", "),
            });
        }
        self.delete(name)
    }

    /// Removes the anonymous volumes of a container that is no more, except what another one has taken over.
    pub(in super::super) fn remove_anonymous(
        &self,
        record: &Record,
        _names: &Exclusive,
    ) -> Result<(), EngineError> {
        let users = self.volume_users()?;
        let own = record.mounts.iter().filter(|mount| mount.anonymous);
        own.filter(|mount| !users.contains_key(&mount.name))
            .try_for_each(|mount| self.delete(&mount.name))
    }

    /// What a power cut left of a volume that was being made or removed.
    pub(in super::super) fn sweep_volumes(&self, _names: &Exclusive) -> Result<(), EngineError> {
        match fs::sweep_scratch(&self.volumes_dir()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(EngineError::write(&self.volumes_dir(), error))
            }
            _ => Ok(()),
        }
    }

    fn delete(&self, name: &str) -> Result<(), EngineError> {
        let folder = self.volumes_dir().join(name);
        fs::remove_tree(&folder).map_err(|source| EngineError::write(&folder, source))
    }

    fn volumes_dir(&self) -> PathBuf {
        self.host.state.join("volumes")
    }
}

/// Bytes that the files of a volume take.
pub fn size(data: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let entries = std::fs::read_dir(data).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)))
        .map(|(path, found)| match found.is_dir() {
            true => size(&path),
            false => found.blocks() * 512,
        })
        .sum()
}
