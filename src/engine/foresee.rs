//! What the runtime fails of without saying what and why: looked at right before it is called.

use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::path::Path;

use super::copy::NAME_FILES;
use super::spec::is_late;
use super::{Engine, EngineError, Record, rootfs, volumes};
use crate::runargs::volume::clean;
use crate::sys::{beneath, mount, process};

/// The kernel's own limit of open files that anybody may ask for.
const NR_OPEN: &str = "/proc/sys/fs/nr_open";

/// The capability to raise limits, as a bit.
const CAP_SYS_RESOURCE: u64 = 1 << 24;

/// Refuses a container whose root filesystem is at `root` where the runtime would.
pub(super) fn start(record: &Record, root: &Path) -> Result<(), EngineError> {
    let reason = match beyond_limits(record) {
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
    let binds = record.mounts.iter();
    let binds = binds.map(|mount| (mount.what().to_owned(), clean(&mount.destination)));
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

/// A limit of processes that cannot be given.
fn beyond_limits(record: &Record) -> Option<String> {
    let ulimits = &record.body.host_config.ulimits;
    if ulimits.is_empty() {
        return None;
    }
    let most: Option<i64> = std::fs::read_to_string(NR_OPEN)
        .ok()
        .and_then(|text| text.trim().parse().ok());
    // Who may raise limits may give any; where nobody knows, the kernel says.
    let is_bound = process::system().is_ok_and(|own| own.capabilities & CAP_SYS_RESOURCE == 0);
    let own = std::fs::read_to_string("/proc/self/limits").ok()?;
    ulimits.iter().find_map(|limit| {
        // -1 is no limit, which is more than any number.
        let beyond = |most: i64| limit.hard < 0 || limit.hard > most;
        let said = format!("ulimit {}={}:{}", limit.name, limit.soft, limit.hard);
        match most {
            Some(most) if limit.name == "nofile" && beyond(most) => Some(format!(
                "{said} is more than this kernel allows: at most {most} ({NR_OPEN})"
            )),
            _ => {
                let most = hard_limit(&own, &limit.name).filter(|_| is_bound)?;
                beyond(most).then(|| {
                    format!(
                        "error setting rlimit: {said} is more than dray itself has and may give: at most {most}"
                    )
                })
            }
        }
    })
}

/// Our own hard limit; `None` if there is none.
fn hard_limit(own: &str, name: &str) -> Option<i64> {
    let heading = match name {
        "core" => "Max core file size",
        "cpu" => "Max cpu time",
        "data" => "Max data size",
        "fsize" => "Max file size",
        "locks" => "Max file locks",
        "memlock" => "Max locked memory",
        "msgqueue" => "Max msgqueue size",
        "nice" => "Max nice priority",
        "nofile" => "Max open files",
        "nproc" => "Max processes",
        "rss" => "Max resident set",
        "rtprio" => "Max realtime priority",
        "rttime" => "Max realtime timeout",
        "sigpending" => "Max pending signals",
        "stack" => "Max stack size",
        _ => return None,
    };
    let limits = own.lines().find_map(|line| line.strip_prefix(heading))?;
    limits.split_ascii_whitespace().nth(1)?.parse().ok()
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

/// Which of a container's binds and volumes cannot be mounted below `root`, and why: the runtime, which has failed of one,
/// does not say. They are mounted once more, in the mount namespace of the calling process.
pub(super) fn failed_mount(engine: &Engine, record: &Record, root: &Path) -> Option<String> {
    let host = beneath::open_dir(Path::new("/")).ok()?;
    let inside = beneath::open_dir(root).ok()?;
    let mount = |number: usize, target: &str| -> io::Result<()> {
        let source = volumes::source_of(&engine.host().run, record, number);
        let source = beneath::find_in_root(host.as_fd(), source.as_os_str().as_encoded_bytes())?;
        let is_dir = beneath::through_proc(source.as_fd()).is_dir();
        let mut place = beneath::find_in_root(inside.as_fd(), target.as_bytes());
        if is_dir && place.is_err() {
            rootfs::make_folder(root, target)?;
            place = beneath::find_in_root(inside.as_fd(), target.as_bytes());
        }
        match place {
            Ok(place) => mount::bind(source.as_fd(), &beneath::through_proc(place.as_fd())),
            // The runtime makes an empty file there.
            Err(error) if error.kind() == ErrorKind::NotFound && !is_dir => Ok(()),
            Err(error) => Err(error),
        }
    };
    record.mounts.iter().enumerate().find_map(|(number, point)| {
        let (what, target) = (point.what(), &point.destination);
        let hint = |error: &io::Error| match error.kind() {
            // Every mount below the source counts, in each of its copies.
            ErrorKind::StorageFull => {
                "; the kernel allows only so many mounts (/proc/sys/fs/mount-max), and all that are below the source come along: \
                 mount less of it, or with bind-recursive=disabled"
            }
            _ => "",
        };
        let error = mount(number, target).err()?;
        let hint = hint(&error);
        Some(format!("failed to mount {what:?} at {target:?}: {error}{hint}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hard_limit_is_found_by_dockers_name() {
        let own = "Limit                     Soft Limit           Hard Limit           Units     \n\
                   Max locked memory         8388608              16777216             bytes     \n\
                   Max stack size            8388608              unlimited            bytes     \n\
                   Max nice priority         0                    7                    \n";
        for (name, hard) in [
            ("memlock", Some(16_777_216)),
            ("stack", None),
            ("nice", Some(7)),
            ("rss", None),
            ("none", None),
        ] {
            assert_eq!(hard_limit(own, name), hard, "{name}");
        }
    }
}
