//! What the runtime fails of without saying what and why: looked at right before it is called.

use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::path::Path;

use super::copy::NAME_FILES;
use super::spec::is_late;
use super::{Engine, EngineError, Record, volumes};
use crate::runargs::volume::clean;
use crate::sys::beneath;

/// The kernel's own limit of open files that anybody may ask for.
const NR_OPEN: &str = "/proc/sys/fs/nr_open";

/// Refuses a container whose root filesystem is at `root` where the runtime would.
pub(super) fn start(record: &Record, root: &Path) -> Result<(), EngineError> {
    let reason = match too_many_files(record) {
        None => misfit(record, root)
            .map_err(EngineError::system("look at the container's mount points"))?,
        reason => reason,
    };
    match reason {
        None => Ok(()),
        Some(reason) => Err(EngineError::Runtime {
            action: "create",
            name: record.name.clone(),
            reason,
        }),
    }
}

/// Refuses a mount point that would have to be made below a read-only mount. The volumes of the container are in place.
pub(super) fn mount_points(engine: &Engine, record: &Record) -> Result<(), EngineError> {
    let points = wanted_points(record);
    let unmakeable = |target: &str| {
        let above = points
            .iter()
            .enumerate()
            .filter_map(|(number, (_, above))| Some((number, rest_below(above, target)?)));
        let (number, rest) = above.min_by_key(|(_, rest)| rest.len())?;
        // Binds come first; what is in a tmpfs can be made.
        let mount = record.mounts.get(number)?;
        let source = volumes::source_of(&engine.host().run, record, number);
        (!mount.rw && !is_late(target) && lacks(&source, rest)).then(|| (mount, source.join(rest)))
    };
    for (what, target) in &points {
        if let Some((above, missing)) = unmakeable(target) {
            let (above, missing) = (&above.destination, missing.display());
            return Err(EngineError::Runtime {
                action: "create",
                name: record.name.clone(),
                reason: format!(
                    "failed to mount {what:?} at {target:?}: create mountpoint for {target} mount: read-only file system: \
                     {above:?} is mounted read-only and does not have it; make {missing} on the host first, or mount \
                     {above:?} without ro"
                ),
            });
        }
    }
    Ok(())
}

/// What is mounted where: binds and volumes in their order, then the rest that was asked for, and the files of names.
fn wanted_points(record: &Record) -> Vec<(String, String)> {
    let host = &record.body.host_config;
    let binds = record.mounts.iter().map(|mount| {
        let what = match mount.name.as_str() {
            "" => &mount.source,
            name => name,
        };
        (what.to_owned(), clean(&mount.destination))
    });
    let long = host.mounts.iter().filter(|mount| mount.kind == "tmpfs");
    let tmpfs = host.tmpfs.keys().chain(long.map(|mount| &mount.target));
    let tmpfs = tmpfs.map(|target| ("tmpfs".to_owned(), clean(target)));
    let names = NAME_FILES.map(|name| (name.to_owned(), format!("/etc/{name}")));
    binds.chain(tmpfs).chain(names).collect()
}

/// The way from a mount point down to `target`, if that lies below.
fn rest_below<'a>(above: &str, target: &'a str) -> Option<&'a str> {
    let rest = target.strip_prefix(above)?;
    rest.strip_prefix('/').filter(|rest| !rest.is_empty())
}

/// Whether nothing is at `rest` below `source`. A link on the way leads where only the container knows.
fn lacks(source: &Path, rest: &str) -> bool {
    let mut path = source.to_owned();
    for part in rest.split('/') {
        path.push(part);
        match path.symlink_metadata() {
            Ok(found) if found.is_symlink() => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == ErrorKind::NotFound,
        }
    }
    false
}

fn too_many_files(record: &Record) -> Option<String> {
    let most: i64 = std::fs::read_to_string(NR_OPEN).ok()?.trim().parse().ok()?;
    let ulimits = &record.body.host_config.ulimits;
    // -1 is no limit, which is more than that.
    let beyond = |limit: i64| limit < 0 || limit > most;
    let limit = ulimits
        .iter()
        .find(|limit| limit.name == "nofile" && beyond(limit.hard))?;
    Some(format!(
        "ulimit nofile={}:{} is more than this kernel allows: at most {most} ({NR_OPEN})",
        limit.soft, limit.hard
    ))
}

/// A folder over a file, or the other way round.
fn misfit(record: &Record, root: &Path) -> io::Result<Option<String>> {
    let host = &record.body.host_config;
    let binds = record.mounts.iter();
    let binds = binds.map(|mount| {
        (
            mount.source.as_str(),
            mount.subpath.as_str(),
            &mount.destination,
        )
    });
    let tmpfs = host.tmpfs.keys();
    let long = host.mounts.iter().filter(|mount| mount.kind == "tmpfs");
    let tmpfs = tmpfs
        .chain(long.map(|mount| &mount.target))
        .map(|target| ("", "", target));
    let all: Vec<_> = binds.chain(tmpfs).collect();
    let root = beneath::open_dir(root)?;
    for (source, subpath, target) in &all {
        let covered = all.iter().any(|(_, _, other)| {
            target
                .strip_prefix(other.as_str())
                .is_some_and(|rest| rest.starts_with('/'))
        });
        // What is in a volume is looked at as it is mounted, and what another mount covers is not there yet.
        if covered || !subpath.is_empty() {
            continue;
        }
        let is_folder = source.is_empty() || Path::new(source).is_dir();
        let over_folder = match beneath::open_in_root(root.as_fd(), target.as_bytes()) {
            Ok(_) => true,
            Err(error) if error.kind() == ErrorKind::NotADirectory => false,
            // It is made as it has to be; of other errors the runtime knows more.
            Err(_) => continue,
        };
        if is_folder != over_folder {
            let what = match source.is_empty() {
                true => "tmpfs",
                false => source,
            };
            return Ok(Some(format!(
                "failed to mount {what:?} at {target:?}: not a directory: a folder can only be mounted over a folder, a file over a file; check that the path on the host exists and is of the expected kind"
            )));
        }
    }
    Ok(None)
}

/// Why a process in a container cannot begin in `folder`, if it cannot; `root` is the container's root filesystem.
pub(super) fn folder(root: &Path, folder: &str) -> io::Result<Option<String>> {
    let root = beneath::open_dir(root)?;
    let opened = beneath::open_in_root(root.as_fd(), folder.as_bytes());
    let reason = match opened.map_err(|error| error.kind()) {
        Err(ErrorKind::NotFound) => "no such file or directory",
        Err(ErrorKind::NotADirectory) => "not a directory",
        // Of other errors the runtime knows more.
        _ => return Ok(None),
    };
    Ok(Some(format!("chdir to {folder:?}: {reason}")))
}
