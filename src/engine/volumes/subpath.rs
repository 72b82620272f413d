//! `volume-subpath`: a folder or file inside of a volume, mounted in the volume's place.
//!
//! A container that has the whole volume may put a link where the path leads along. So the path is resolved once, without
//! following any link, and what was found is held by a mount of ours while the runtime mounts it: `<run>/subpaths/<id>-<n>`.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use super::super::record::{MountPoint, Record};
use super::super::{Engine, EngineError};
use super::mounted;
use crate::sys::{beneath, fs, mount};

/// The mounts, for as long as the runtime needs them.
#[derive(Debug)]
pub struct Subpaths(Vec<PathBuf>);

impl Subpaths {
    /// Mounts every subpath of a container, in the mount namespace of the calling process.
    pub fn mount(engine: &Engine, record: &Record) -> Result<Subpaths, EngineError> {
        let mut mounted = Subpaths(Vec::new());
        for (number, point) in record.mounts.iter().enumerate() {
            if point.subpath.is_empty() {
                continue;
            }
            let place = source_of(&engine.host().run, record, number);
            mounted.0.push(place.clone());
            hold(&whole(&engine.host().run, record, number), point, &place).map_err(|error| {
                EngineError::Mount {
                    name: record.name.clone(),
                    source_path: format!("{} of volume {}", point.subpath, point.name),
                    target: point.destination.clone(),
                    reason: match error.kind() {
                        io::ErrorKind::NotFound => {
                            "there is no such folder or file in the volume; make it first".into()
                        }
                        _ if beneath::met_symlink(&error) => {
                            "there is a symbolic link on the way; name what it leads to".into()
                        }
                        _ => error.to_string(),
                    },
                }
            })?;
        }
        Ok(mounted)
    }
}

impl Drop for Subpaths {
    fn drop(&mut self) {
        for place in &self.0 {
            // Nobody looks for it any more; only where it is unmounted there is something to remove, and never what is below.
            let _ = mount::unmount(place);
            let _ = std::fs::remove_dir(place).or_else(|_| std::fs::remove_file(place));
        }
    }
}

/// Where the runtime finds what mount `number` shows.
pub fn source_of(run: &Path, record: &Record, number: usize) -> PathBuf {
    let point = &record.mounts[number];
    match point.subpath.as_str() {
        "" => whole(run, record, number),
        _ => run.join("subpaths").join(format!("{}-{number}", record.id)),
    }
}

/// Where the whole of it lies.
fn whole(run: &Path, record: &Record, number: usize) -> PathBuf {
    let point = &record.mounts[number];
    match point.mounted {
        true => mounted::place(run, &record.id, number),
        false => PathBuf::from(&point.source),
    }
}

fn hold(volume: &Path, point: &MountPoint, place: &Path) -> io::Result<()> {
    let volume = beneath::open_dir(volume)?;
    let found = beneath::find_beneath(volume.as_fd(), point.subpath.as_bytes())?;
    if let Some(folder) = place.parent() {
        fs::create_dirs(folder)?;
    }
    // A start that was killed may have left the place.
    let made = match beneath::status(found.as_fd())?.file_type {
        beneath::FileType::Directory => DirBuilder::new().create(place),
        _ => OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(place)
            .map(drop),
    };
    match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    mount::bind(found.as_fd(), place)
}
