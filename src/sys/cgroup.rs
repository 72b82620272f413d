//! Control groups of monitors, and what is left of containers' ones.
//!
//! libcontainer makes and limits a container's group, `/dray/<id>` in every hierarchy, or `<parent>/<id>` where it was told a
//! parent. What of that parent was missing is ours: it is marked, and goes with the last group in it. A monitor lives in
//! `/dray/<id>.monitor`, so that it outlives the service that called us: init systems kill a service's whole group.

mod visit;

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::{Duration, SystemTime};

use super::process::{Pidfd, ProcessId};
use super::{beneath, freezer};

pub use visit::{Visit, visit};

const MOUNT: &str = "/sys/fs/cgroup";
/// Parent of all groups of ours.
const PARENT: &str = "dray";
/// What the name of a monitor's group has after the id.
const MONITOR: &str = ".monitor";
/// Digits of an id.
const ID: usize = 64;
/// A group that is empty for so long belongs to no start that goes on.
const FORGOTTEN: Duration = Duration::from_secs(60);
/// How long a killed process may take to leave its group.
const LEAVE: Duration = Duration::from_secs(10);

/// Extended attribute of a group that we made for somebody's `--cgroup-parent`.
const OURS: &[u8] = b"trusted.dray";

/// The group of container `id`, as its path in every hierarchy; without a parent it is below the one of all containers.
pub fn group_of(parent: &str, id: &str) -> String {
    match parent.trim_matches('/') {
        "" => format!("{PARENT}/{id}"),
        parent => format!("{parent}/{id}"),
    }
}

/// Where a container's group lies in the unified hierarchy.
pub fn unified_group(group: &str) -> PathBuf {
    Path::new(MOUNT).join(group)
}

/// Whether the unified hierarchy manages resources.
pub fn is_unified() -> bool {
    Path::new(MOUNT).join("cgroup.controllers").exists()
}

/// Whether swap of a group can be limited.
pub fn limits_swap() -> bool {
    if super::fs::broken("no-swap-accounting") {
        return false;
    }
    if !is_unified() {
        let file = Path::new(MOUNT).join("memory/memory.memsw.limit_in_bytes");
        return file.exists();
    }
    // Groups below the unified root have the file, the root itself does not; without any group that memory is counted of,
    // nobody knows, and a kernel that swaps mostly counts too.
    let groups = fs::read_dir(MOUNT).into_iter().flatten().flatten();
    let mut counted = groups.filter(|group| group.path().join("memory.max").exists());
    match counted.next() {
        Some(group) => group.path().join("memory.swap.max").exists(),
        None => Path::new("/proc/swaps").exists(),
    }
}

/// Whether the kernel has this controller.
pub fn has(controller: &str) -> bool {
    match is_unified() {
        true => fs::read_to_string(Path::new(MOUNT).join("cgroup.controllers"))
            .is_ok_and(|all| all.split_ascii_whitespace().any(|name| name == controller)),
        false => Path::new(MOUNT).join(controller).is_dir(),
    }
}

/// The first of the files `names` that there is in a container's group.
pub fn file(group: &str, controller: &str, names: &[&str]) -> Option<PathBuf> {
    let top = match is_unified() {
        true => PathBuf::from(MOUNT),
        false => Path::new(MOUNT).join(controller),
    };
    let group = top.join(group);
    names
        .iter()
        .map(|name| group.join(name))
        .find(|file| file.exists())
}

/// The first of the files `names` that groups of this controller have. Where nobody has made a group yet nobody knows: then it
/// is the first one.
pub fn in_groups<'a>(controller: &str, names: &[&'a str]) -> Option<&'a str> {
    let top = match is_unified() {
        true => PathBuf::from(MOUNT),
        false => Path::new(MOUNT).join(controller),
    };
    let entries = fs::read_dir(top).into_iter().flatten().flatten();
    let mut groups = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    match groups.next() {
        Some(group) => {
            let there = |name: &&&str| group.path().join(name).exists();
            names.iter().find(there).copied()
        }
        None => names.first().copied(),
    }
}

/// Whether real-time CPU time can be given to groups.
pub fn has_realtime() -> bool {
    !is_unified() && Path::new(MOUNT).join("cpu/cpu.rt_runtime_us").exists()
}

/// Sees to it that the parent of all containers has real-time CPU time enough for `runtime` in each `period` (microseconds)
/// beside what the others' groups have: the kernel gives a group no more than what is its parent's. Another parent's budget is
/// for whoever made it to set.
pub fn share_realtime(group: &str, runtime: i64, period: i64) -> io::Result<()> {
    let below = group
        .strip_prefix(PARENT)
        .and_then(|id| id.strip_prefix('/'));
    let Some(id) = below.filter(|id| !id.contains('/')) else {
        return Ok(());
    };
    let parent = Path::new(MOUNT).join("cpu").join(PARENT);
    let number = |group: &Path, name: &str| -> Option<i64> {
        fs::read_to_string(group.join(name))
            .ok()?
            .trim()
            .parse()
            .ok()
    };
    // Of a second, rounded up.
    let share = |runtime: i64, period: i64| (runtime * 1_000_000 + period - 1) / period.max(1);
    let others = fs::read_dir(&parent)?
        .flatten()
        .filter(|entry| entry.file_name() != *id);
    let used = others.filter_map(|entry| {
        let runtime = number(&entry.path(), "cpu.rt_runtime_us")?;
        Some(share(runtime, number(&entry.path(), "cpu.rt_period_us")?))
    });
    let wanted = used.sum::<i64>() + share(runtime, period);
    // What was given is not taken back while a container has it: the parent goes with the last one.
    match number(&parent, "cpu.rt_runtime_us") {
        Some(now) if now >= wanted => Ok(()),
        _ => set(&parent.join("cpu.rt_runtime_us"), &wanted.to_string()),
    }
}

/// Writes one setting into a file of the kernel's.
pub fn set(file: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .open(file)?
        .write_all(text.as_bytes())
}

/// One hierarchy that a process is in.
#[derive(Debug)]
struct Hierarchy {
    dir: PathBuf,
    /// Its controllers, as the kernel lists them; none for the unified one.
    controllers: String,
    /// The process's group in it.
    own: String,
    /// The only one there is.
    unified: bool,
    /// One of version 1 that limits something; the others only name groups.
    controls: bool,
}

/// Those of this process.
fn hierarchies() -> io::Result<Vec<Hierarchy>> {
    listed("/proc/self/cgroup")
}

fn listed(file: &str) -> io::Result<Vec<Hierarchy>> {
    let unified = is_unified();
    let mut all = Vec::new();
    for line in fs::read_to_string(file)?.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(number), Some(names), Some(own)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let dir = match (number, names) {
            ("0", "") if unified => PathBuf::from(MOUNT),
            ("0", "") => Path::new(MOUNT).join("unified"),
            _ => Path::new(MOUNT).join(names.trim_start_matches("name=")),
        };
        if dir.is_dir() {
            all.push(Hierarchy {
                dir,
                controllers: names.to_owned(),
                own: own.to_owned(),
                unified: number == "0" && unified,
                controls: number != "0" && !names.starts_with("name="),
            });
        }
    }
    Ok(all)
}

/// Begins, in the background and once per process, what the next process that changes its group would wait for.
///
/// Before the first such change in a while, the kernel waits until every processor has passed a quiet moment, 7 to 25 ms;
/// changes right after it are free. Asking for a change that changes nothing starts that wait while we still do other things.
pub fn warm_up() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Whatever fails here fails again, and is reported, where it matters.
        let Some(hierarchy) = hierarchies().ok().and_then(|all| all.into_iter().next()) else {
            return;
        };
        let own = hierarchy.own.trim_start_matches('/');
        let procs = hierarchy.dir.join(own).join("cgroup.procs");
        let ask = move || set(&procs, &std::process::id().to_string());
        let _ = std::thread::Builder::new().spawn(ask);
    });
}

/// The groups of a container in the hierarchies of version 1, whether they are made yet or not, each with its hierarchy's
/// name: it is shown them all, as with Docker.
pub fn separate(group: &str) -> io::Result<Vec<(String, PathBuf)>> {
    let shown = hierarchies()?.into_iter().filter(|h| h.controls);
    Ok(shown.map(|h| (h.controllers, h.dir.join(group))).collect())
}

/// Moves this process into the group of the monitor of `id`, in the unified hierarchy and wherever it is in somebody's
/// group now, and makes the container's groups. A hierarchy in which it is in the root group has nothing to leave.
pub fn enter_monitor(id: &str, group: &str) -> io::Result<()> {
    for hierarchy in hierarchies()? {
        let parent = hierarchy.dir.join(PARENT);
        if hierarchy.unified || hierarchy.own != "/" {
            insist(&parent.join(monitor_name(id)), join)?;
        }
        if hierarchy.controls || hierarchy.unified {
            make_parents(&hierarchy.dir, group)?;
        }
        if hierarchy.controls {
            // The runtime would make it too, but gives up where somebody takes the empty parent away meanwhile.
            insist(&hierarchy.dir.join(group), |_| Ok(()))?;
        }
    }
    Ok(())
}

/// Makes what is missing of the parent that a group was told to have, and marks that as ours.
fn make_parents(hierarchy: &Path, group: &str) -> io::Result<()> {
    let Some(parent) = Path::new(group)
        .parent()
        .filter(|parent| *parent != Path::new(PARENT))
    else {
        return Ok(());
    };
    let mut path = hierarchy.to_owned();
    for part in parent.components() {
        path.push(part);
        match fs::create_dir(&path) {
            Ok(()) => {
                let made = beneath::open_dir(&path)?;
                // A kernel that keeps no marks here keeps the group too.
                let _ = beneath::set_xattr(made.as_fd(), OURS, b"1");
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Removes what we made of the parent that a group was told to have, as far as nobody uses it.
fn remove_parents(hierarchy: &Path, group: &str) {
    for parent in Path::new(group).ancestors().skip(1) {
        let is_ours = |path: &Path| {
            let marks = beneath::open_dir(path).and_then(|dir| beneath::xattrs(dir.as_fd()));
            marks.is_ok_and(|marks| marks.iter().any(|(name, _)| name == OURS))
        };
        let path = hierarchy.join(parent);
        if parent.as_os_str().is_empty() || !is_ours(&path) || fs::remove_dir(&path).is_err() {
            return;
        }
    }
}

/// Makes a group and does something with it. The last monitor of the container may be removing this very group just now, and
/// that of the last other container our common parent: what they take away is made again.
fn insist(group: &Path, then: impl Fn(&Path) -> io::Result<()>) -> io::Result<()> {
    const ATTEMPTS: u32 = 1000;
    let gone = |error: &io::Error| {
        matches!(
            error.raw_os_error(),
            Some(libc::ENODEV) | Some(libc::ENOENT)
        )
    };
    for _ in 1..ATTEMPTS {
        match fs::create_dir_all(group).and_then(|()| then(group)) {
            Err(error) if gone(&error) => {}
            result => return result,
        }
    }
    fs::create_dir_all(group).and_then(|()| then(group))
}

/// Moves this process out of its monitor group and removes that; at the end of a monitor.
pub fn leave_monitor(id: &str) {
    for hierarchy in hierarchies().unwrap_or_default() {
        if hierarchy.own.ends_with(&monitor_name(id)) {
            // Nothing depends on it: an empty group that stays is removed with a later sweep ([`sweep_strays`]).
            let _ = join(&hierarchy.dir);
        }
    }
    sweep(&[format!("{PARENT}/{}", monitor_name(id))]);
}

fn monitor_name(id: &str) -> String {
    format!("{id}{MONITOR}")
}

fn join(group: &Path) -> io::Result<()> {
    set(&group.join("cgroup.procs"), "0")
}

/// Kills whatever still runs in the groups of container `id` and removes them; nothing there is success.
pub fn remove(id: &str, group: &str) -> io::Result<()> {
    // Of version 1, what stands still does not even die.
    freezer::thaw(group)?;
    for hierarchy in hierarchies()? {
        let group = hierarchy.dir.join(group);
        // A process may fork while we read: go on until there is none.
        for _ in 0..100 {
            let pids = pids_below(&group);
            if pids.is_empty() {
                break;
            }
            pids.into_iter().try_for_each(kill)?;
        }
    }
    sweep(&[group.to_owned(), format!("{PARENT}/{}", monitor_name(id))]);
    Ok(())
}

/// How many processes the kernel killed in a container's groups because their memory limit was reached.
pub fn oom_kills(group: &str) -> u64 {
    let file = match is_unified() {
        true => Path::new(MOUNT).join(group).join("memory.events"),
        false => Path::new(MOUNT)
            .join("memory")
            .join(group)
            .join("memory.oom_control"),
    };
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
        .unwrap_or(0)
}

/// Processes in a container's groups.
pub fn pids(group: &str) -> Vec<i32> {
    let group = |h: &Hierarchy| h.dir.join(group);
    let groups = hierarchies().unwrap_or_default();
    groups
        .iter()
        .map(|h| pids_below(&group(h)))
        .find(|pids| !pids.is_empty())
        .unwrap_or_default()
}

fn pids_below(group: &Path) -> Vec<i32> {
    let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    let mut pids: Vec<i32> = text.lines().filter_map(|line| line.parse().ok()).collect();
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            pids.extend(pids_below(&entry.path()));
        }
    }
    pids
}

fn kill(pid: i32) -> io::Result<()> {
    let Ok(process) = ProcessId::of(pid) else {
        return Ok(());
    };
    if let Some(pidfd) = process.open()? {
        Pidfd::signal(&pidfd, libc::SIGKILL)?;
        pidfd.wait(Some(LEAVE))?;
    }
    Ok(())
}

/// Removes these groups where they are empty, and then their parents where those are ours.
fn sweep(groups: &[String]) {
    for hierarchy in hierarchies().unwrap_or_default() {
        let parent = hierarchy.dir.join(PARENT);
        for group in groups {
            remove_empty(&hierarchy.dir.join(group));
            remove_parents(&hierarchy.dir, group);
        }
        // Fails while others are in use, which is what we want.
        let _ = fs::remove_dir(&parent);
    }
}

/// Removes what containers that are no more left of their groups below our own parent: a last process that was killed where
/// nobody looked. Only what is empty goes, is not one of `owned` (ids), and is so old that nobody is just making it: several
/// devices' worth of state may share one kernel.
pub fn sweep_strays(owned: &[String], now: SystemTime) {
    for hierarchy in hierarchies().unwrap_or_default() {
        let parent = hierarchy.dir.join(PARENT);
        for entry in fs::read_dir(&parent).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let id = name.strip_suffix(MONITOR).unwrap_or(&name);
            let is_id = id.len() == ID && id.bytes().all(|byte| byte.is_ascii_hexdigit());
            if is_id && !owned.iter().any(|owned| owned == id) && is_older(&entry, now) {
                remove_empty(&entry.path());
            }
        }
        // Fails while others are in use, which is what we want.
        let _ = fs::remove_dir(&parent);
    }
}

/// Whether a group was made, or changed, long enough before `now` to be nobody's any more. One that just goes is not looked at
/// twice, and one from the future neither.
fn is_older(group: &fs::DirEntry, now: SystemTime) -> bool {
    let changed = group.metadata().and_then(|meta| meta.modified());
    changed.is_ok_and(|changed| now.duration_since(changed).is_ok_and(|age| age > FORGOTTEN))
}

fn remove_empty(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_empty(&entry.path());
        }
    }
    // Still populated or already gone: either way there is nothing to do here.
    let _ = fs::remove_dir(group);
}
