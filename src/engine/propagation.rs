//! Which mounts of the host reach a container later, and which of its own reach the host.
//!
//! The runtime has one word for all mounts, so the container's first process puts each right when all of them are there. A
//! `shared` one has to be of the host's own mount: in the monitor's namespace everything is a slave already, so it is taken
//! from the namespace that the monitor was started in, which the monitor keeps hold of for restarts by policy.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use super::record::{MountPoint, Record};
use super::{Engine, EngineError, spec, volumes};
use crate::runargs::volume::clean;
use crate::sys::mount;
use crate::sys::propagation::{self, Travel};

/// What is mounted in every container besides what was asked for. A shared mount comes last and would hide it.
const OWN: [&str; 9] = [
    "/dev/mqueue",
    "/dev/pts",
    "/dev/shm",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/resolv.conf",
    "/proc",
    "/sys",
    "/sys/fs/cgroup",
];

/// What the container's first process has to do, beside the above to mount what goes below `/dev` ([`spec::is_late`]); the mounts are held until it has done it.
#[derive(Debug, Default)]
pub(super) struct Travels {
    pub(super) list: Vec<Travel>,
    _trees: Vec<OwnedFd>,
}

/// Whether the engine has to know the namespace of whoever starts the container.
pub(super) fn needs_outside(record: &Record) -> bool {
    record.mounts.iter().any(is_shared)
}

/// Refuses what Docker refuses: mounts can travel only where the host's own mount lets them.
pub(super) fn check(record: &Record) -> Result<(), EngineError> {
    for point in &record.mounts {
        if !travels(point) {
            continue;
        }
        let refuse = |reason: String| EngineError::Mount {
            name: record.name.clone(),
            source_path: point.source.clone(),
            target: point.destination.clone(),
            reason,
        };
        let source = Path::new(&point.source);
        let found = propagation::sharing(source).map_err(|error| refuse(error.to_string()))?;
        let (fits, what) = match is_shared(point) {
            true => (found.shared, "a shared mount"),
            false => (found.shared || found.slave, "a shared or slave mount"),
        };
        if !fits {
            let place = found.place.display();
            return Err(refuse(format!(
                "path {} is mounted on {place} but it is not {what}; `mount --make-rshared {place}` makes it one",
                point.source
            )));
        }
        let below = |path: &str| {
            path != point.destination && Path::new(path).starts_with(&point.destination)
        };
        let tmpfs = record.body.host_config.tmpfs.keys();
        let long = record
            .body
            .host_config
            .mounts
            .iter()
            .map(|mount| &mount.target);
        let others = record.mounts.iter().map(|other| &other.destination);
        let all = others.chain(tmpfs).chain(long).map(String::as_str);
        if let Some(hidden) = all.chain(OWN).find(|path| {
            is_shared(point) && (below(path) || OWN.contains(&point.destination.as_str()))
        }) {
            return Err(refuse(format!(
                "{hidden} is mounted below it, and what is mounted below a shared mount is mounted on the host too; use rslave"
            )));
        }
    }
    Ok(())
}

impl Travels {
    /// What is to be done for a container; `outside` is the namespace that its monitor was started in.
    pub(super) fn of(
        engine: &Engine,
        record: &Record,
        outside: Option<&OwnedFd>,
    ) -> Result<Travels, EngineError> {
        let mut all = Travels::default();
        let any = record.mounts.iter().any(travels);
        for (number, point) in record.mounts.iter().enumerate() {
            let late = spec::is_late(&point.destination);
            if !any && !late {
                continue;
            }
            let source = volumes::source_of(&engine.host().run, record, number);
            let copied = match outside.filter(|_| is_shared(point)) {
                Some(outside) => {
                    let source = Path::new(&point.source);
                    Some(mount::copy_from(outside.as_fd(), source, point.recursive))
                }
                None => late.then(|| mount::copy(&source, point.recursive)),
            };
            let mut protect = false;
            let tree = copied
                .map(|tree| {
                    let tree = tree?;
                    protect = !is_protected(point, tree.as_fd())?;
                    Ok(tree)
                })
                .transpose()
                .map_err(|error| EngineError::Mount {
                    name: record.name.clone(),
                    source_path: point.source.clone(),
                    target: point.destination.clone(),
                    reason: explain(&error),
                })?;
            let below = |other: &MountPoint| {
                other.destination != point.destination
                    && Path::new(&other.destination).starts_with(&point.destination)
            };
            let mode = match point.propagation.as_str() {
                // Those below it have a word of their own.
                "" | "rprivate" if record.mounts.iter().any(below) => "private",
                "" => "rprivate",
                mode => mode,
            };
            all.list.push(Travel {
                target: clean(&point.destination).into(),
                mode: mode.to_owned(),
                tree: tree.as_ref().map(AsRawFd::as_raw_fd),
                late,
                protect,
            });
            all._trees.extend(tree);
        }
        // One below another comes after it; the order is that of the words otherwise.
        all.list
            .sort_by_key(|travel| travel.target.components().count());
        Ok(all)
    }
}

/// Makes the copy of a read-only mount so; `false` if the kernel can do that only once it is attached.
fn is_protected(point: &MountPoint, tree: BorrowedFd<'_>) -> std::io::Result<bool> {
    if point.rw {
        return Ok(true);
    }
    match propagation::make_read_only(tree, point.recursive && !point.writable_below) {
        Err(error) if error.kind() == std::io::ErrorKind::Unsupported => Ok(false),
        done => done.map(|()| true),
    }
}

fn explain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::Unsupported => {
            "this kernel cannot copy mounts, which takes Linux 5.2".to_owned()
        }
        _ => error.to_string(),
    }
}

fn is_shared(point: &MountPoint) -> bool {
    point.propagation.ends_with("shared")
}

fn travels(point: &MountPoint) -> bool {
    is_shared(point) || point.propagation.ends_with("slave")
}
