//! Volumes with options of the local driver: a filesystem that is mounted while containers have it, as docker does it.
//!
//! Each monitor has the mount in its own namespace at `<run>/volumes/<id>-<n>`, and there is no other: it goes with the last
//! container that has it, however that ends. Whoever comes second takes a copy of the first one's mount, so that they share a
//! tmpfs too.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::super::record::Record;
use super::super::{Engine, EngineError};
use super::silent;
use crate::sys::lock::Exclusive;
use crate::sys::{fs, mount};

/// Mounts every such volume of a container, in the mount namespace of the calling process.
pub fn mount_all(engine: &Engine, record: &Record) -> Result<(), EngineError> {
    for (number, point) in record.mounts.iter().enumerate() {
        if !point.mounted {
            continue;
        }
        let place = place(&engine.host().run, &record.id, number);
        let failed = |source: std::io::Error| EngineError::Mount {
            name: record.name.clone(),
            source_path: format!("volume {}", point.name),
            target: point.destination.clone(),
            reason: format!("failed to mount local volume: {source}"),
        };
        let volume = engine.volume(&point.name)?;
        // Two that start at once must not mount it twice.
        let _lock = Exclusive::wait(&volume.data.with_file_name("lock")).map_err(failed)?;
        // A start that was killed may have left the place.
        fs::create_dirs(&place).map_err(failed)?;
        let shared = others(engine, &point.name, (&record.id, number))?
            .into_iter()
            .find_map(|other| other.copy());
        match shared {
            Some(tree) => mount::attach(tree.as_fd(), &place),
            None => {
                let option = |name: &str| volume.options.get(name).map_or("", String::as_str);
                silent::ask(&engine.host().run, &point.name, || {
                    mount::filesystem_in_time(option("device"), &place, option("type"), option("o"))
                })
            }
        }
        // A place without a mount would be taken for the volume by others.
        .inspect_err(|_| drop(std::fs::remove_dir(&place)))
        .map_err(failed)?;
    }
    Ok(())
}

/// Unmounts them; also what is not mounted here is success.
pub fn unmount_all(engine: &Engine, record: &Record) -> Result<(), EngineError> {
    for (number, _) in record
        .mounts
        .iter()
        .enumerate()
        .filter(|(_, point)| point.mounted)
    {
        let place = place(&engine.host().run, &record.id, number);
        mount::unmount(&place)
            .map_err(EngineError::system(format!("unmount {}", place.display())))?;
        // Only an empty one goes, which is all that is ever there.
        let _ = std::fs::remove_dir(&place);
    }
    Ok(())
}

/// Where mount `number` of container `id` is mounted for the runtime to find.
pub(super) fn place(run: &Path, id: &str, number: usize) -> PathBuf {
    run.join("volumes").join(format!("{id}-{number}"))
}

/// Where a volume may be mounted by now.
struct Other {
    namespace: OwnedFd,
    place: PathBuf,
    /// In the mount namespace of the calling process.
    ours: bool,
}

impl Other {
    /// A copy of the mount, if there is one: its container may be on its way up or down.
    fn copy(&self) -> Option<OwnedFd> {
        let tree = mount::copy_from(self.namespace.as_fd(), &self.place, false).ok()?;
        if self.ours {
            return Some(tree);
        }
        // For us the place is a bare folder: what is the same folder there is no mount, but memory that a boot wipes.
        let bare = std::fs::metadata(&self.place).ok()?;
        let found = std::fs::File::from(tree.try_clone().ok()?)
            .metadata()
            .ok()?;
        ((bare.dev(), bare.ino()) != (found.dev(), found.ino())).then_some(tree)
    }
}

/// The mount namespaces in which a volume may be mounted, and where: those of the monitors whose containers have it. Of `own`, a
/// container and one of its mounts, only what comes before that.
fn others(engine: &Engine, name: &str, own: (&str, usize)) -> Result<Vec<Other>, EngineError> {
    let mut found = Vec::new();
    for container in engine.list()? {
        let Some(monitor) = container.now.map(|now| now.monitor) else {
            continue;
        };
        let Ok(namespace) = std::fs::File::open(format!("/proc/{}/ns/mnt", monitor.pid)) else {
            continue;
        };
        // The process id could be another's by now.
        if !monitor.is_alive() {
            continue;
        }
        let namespace = OwnedFd::from(namespace);
        for (number, point) in container.record.mounts.iter().enumerate() {
            let to_come = container.record.id == own.0 && number >= own.1;
            if point.mounted && point.name == name && !to_come {
                let place = place(&engine.host().run, &container.record.id, number);
                found.extend(namespace.try_clone().map(|namespace| Other {
                    namespace,
                    place,
                    ours: container.record.id == own.0,
                }));
            }
        }
    }
    Ok(found)
}
