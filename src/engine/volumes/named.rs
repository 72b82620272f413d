//! Volumes on disk.
//!
//! ```text
//! <state>/volumes/<name>/
//!   volume.json   labels, options and age; a volume of an older dray has none, and needs none: one that is damaged counts as none
//!   _data         the volume; empty where options say what is mounted in its place
//!   lock          held while that is being mounted
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
use crate::runargs::volume;
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
    /// What is mounted in its place: `type`, `device` and `o` of docker's local driver.
    pub options: BTreeMap<String, String>,
    /// RFC 3339.
    pub created: String,
    /// Where its data lies.
    pub data: PathBuf,
    /// Why its labels and age are not known.
    pub damage: Option<String>,
}

impl Volume {
    /// Made for one container alone: nobody gave it a name.
    pub fn is_anonymous(&self) -> bool {
        self.labels.contains_key(ANONYMOUS)
    }
}

/// Who has which volumes, running or not.
#[derive(Debug, Default)]
pub struct VolumeUsers {
    known: BTreeMap<String, BTreeSet<String>>,
    /// Damaged containers: which volumes they have, nobody knows.
    damaged: Vec<String>,
}

impl VolumeUsers {
    /// Whether a container has this volume.
    pub fn has(&self, name: &str) -> bool {
        self.known.contains_key(name)
    }

    /// How many containers have this volume.
    pub fn count(&self, name: &str) -> usize {
        self.known.get(name).map_or(0, BTreeSet::len)
    }

    /// Whether a container has this volume, or may have it.
    pub fn may_have(&self, name: &str) -> bool {
        self.has(name) || !self.damaged.is_empty()
    }

    /// Refuses to remove a volume that a container has, or may have.
    fn check_free(&self, name: &str) -> Result<(), EngineError> {
        let name = name.to_owned();
        if let Some(ids) = self.known.get(&name) {
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            let ids = ids.join(", ");
            return Err(EngineError::VolumeInUse { name, ids });
        }
        match self.damaged.first() {
            Some(id) => Err(EngineError::VolumeOfDamaged {
                name,
                id: id[..12].to_owned(),
            }),
            None => Ok(()),
        }
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
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    options: BTreeMap<String, String>,
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
        let (note, damage) = match note(&folder.join("volume.json")) {
            Ok(note) => (note, None),
            // The data is what counts, and it is there.
            Err(error) => (None, Some(error.to_string())),
        };
        let (created, labels, options) = match note {
            Some(note) => (note.created, note.labels, note.options),
            None => {
                let age = age.map_err(|source| EngineError::Read {
                    path: data.clone(),
                    source,
                })?;
                (time::rfc3339(age), BTreeMap::new(), BTreeMap::new())
            }
        };
        Ok(Volume {
            name: name.to_owned(),
            labels,
            options,
            created,
            data,
            damage,
        })
    }

    /// Makes a volume, or finds the one of this name: then its labels and options stay as they are. Without a name it gets one.
    pub fn create_volume(
        &self,
        name: Option<&str>,
        mut labels: BTreeMap<String, String>,
        options: BTreeMap<String, String>,
    ) -> Result<Volume, EngineError> {
        let name = match name {
            Some(name) if names::is_valid(name) => name.to_owned(),
            Some(name) if name.chars().count() == 1 => {
                return Err(EngineError::ShortVolumeName(name.to_owned()));
            }
            Some(name) => return Err(EngineError::VolumeName(name.to_owned())),
            None => {
                labels.insert(ANONYMOUS.to_owned(), String::new());
                names::new_id()?
            }
        };
        self.make_volume(&name, labels, options, &self.lock_names()?)
    }

    /// As [`Engine::create_volume`], for whoever holds the lock.
    pub(super) fn make_volume(
        &self,
        name: &str,
        labels: BTreeMap<String, String>,
        options: BTreeMap<String, String>,
        _names: &Exclusive,
    ) -> Result<Volume, EngineError> {
        volume::check_options(&options).map_err(|reason| EngineError::VolumeOptions {
            name: name.to_owned(),
            reason,
        })?;
        match self.volume(name) {
            Err(EngineError::NoVolume(_)) => {}
            found => return found,
        }
        let note = Note {
            version: record::VERSION,
            created: time::rfc3339(self.host.now()),
            labels,
            options,
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

    /// Who has which volumes.
    pub fn volume_users(&self) -> Result<VolumeUsers, EngineError> {
        let mut users = VolumeUsers::default();
        for id in self.ids()? {
            let folders = self.folders(&id);
            let record = match folders.record() {
                Ok(record) => record,
                Err(error) if !error.is_about_files() => return Err(error),
                Err(_) if folders.state.exists() => {
                    users.damaged.push(id);
                    continue;
                }
                // It is being removed.
                Err(_) => continue,
            };
            for mount in record.mounts.into_iter().filter(|m| m.kind == "volume") {
                let known = users.known.entry(mount.name).or_default();
                known.insert(id.clone());
            }
        }
        Ok(users)
    }

    /// Removes a volume with its data, unless a container has it or may have it.
    pub fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        let _names = self.lock_names()?;
        self.volume(name)?;
        self.volume_users()?.check_free(name)?;
        self.delete(name)
    }

    /// Removes the anonymous volumes of a container that is no more, except what another one has taken over, or may have:
    /// that is left to `dray volume prune`.
    pub(in super::super) fn remove_anonymous(
        &self,
        record: &Record,
        _names: &Exclusive,
    ) -> Result<(), EngineError> {
        let users = self.volume_users()?;
        let own = record.mounts.iter().filter(|mount| mount.anonymous);
        own.filter(|mount| !users.may_have(&mount.name))
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

/// What is written down about a volume, if anything is.
fn note(path: &Path) -> Result<Option<Note>, EngineError> {
    match record::read::<Note>(path)? {
        Some(note) if note.version > record::VERSION => Err(EngineError::RecordVersion {
            path: path.to_owned(),
            found: note.version,
        }),
        note => Ok(note),
    }
}

/// Bytes that the files of a volume take.
pub use crate::sys::fs::size_below as size;
