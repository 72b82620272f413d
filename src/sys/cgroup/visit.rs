//! A stay in the groups of a monitor, in the hierarchies where init systems keep their services and sessions.

use std::io;
use std::path::PathBuf;

use super::{Hierarchy, hierarchies, listed, set};

/// This process's stay there; it ends with this value.
#[derive(Debug)]
pub struct Visit {
    /// The groups it came from.
    home: Vec<PathBuf>,
}

/// Moves this process to where the monitor with this pid is. What is forked meanwhile outlives the service or session of the
/// caller, and the runtime puts it into the container's groups wherever something is limited.
pub fn visit(monitor: i32) -> io::Result<Visit> {
    let theirs = listed(&format!("/proc/{monitor}/cgroup"))?;
    let mut visit = Visit { home: Vec::new() };
    for own in hierarchies()?.into_iter().filter(|own| !own.controls) {
        let there = theirs
            .iter()
            .find(|other| other.dir == own.dir && other.own != own.own);
        if let Some(there) = there {
            visit.home.push(own.group());
            set(&there.group().join("cgroup.procs"), "0")?;
        }
    }
    Ok(visit)
}

impl Drop for Visit {
    fn drop(&mut self) {
        for group in &self.home {
            // The caller's service may have ended meanwhile, and its group with it.
            let _ = set(&group.join("cgroup.procs"), "0");
        }
    }
}

impl Hierarchy {
    /// The path of the process's group.
    fn group(&self) -> PathBuf {
        self.dir.join(self.own.trim_start_matches('/'))
    }
}
