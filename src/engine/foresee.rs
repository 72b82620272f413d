//! What the runtime fails of without saying what and why: looked at right before it is called.

use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::path::Path;

use super::{EngineError, Record};
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
