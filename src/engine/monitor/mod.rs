//! The monitor: the one process that stays with a container. It is the parent of the container's first process, so it
//! alone learns how that ended.
//!
//! It has two lives in one pid. In the first, [`launch`], it calls the runtime, which leaves a process of several MB with
//! changed flags. Once the program runs it executes itself anew and becomes the second, [`attend`]: it copies output to
//! the log, probes health, serves `attach`, and waits. For a restart it becomes the first again.
//!
//! ```text
//! dray run / module            monitor, first life           container
//!   spawn, own session ───────► own group, own mount namespace
//!                               overlay, files, bundle ─────► created, blocked
//!                    ◄── P ──── network
//!   go ── G ──────────────────► ports ──────────────────────► program executes
//!                    ◄── S ──── second life: attend
//! ```

mod attempt;
mod attend;
mod clients;
mod handover;
mod launch;
mod probe;
mod streams;

use std::os::fd::RawFd;
use std::path::PathBuf;

pub(super) use streams::foreign_terminals;

use super::runtime::Bundle;
use super::{Engine, EngineError};
use crate::config::Settings;
use crate::host::Host;
use crate::sys::{cgroup, process, surroundings};

/// The hidden word of the command line that leads here.
pub const WORD: &str = "monitor";
/// Says go: the program is executed, and published ports that are free lead to it.
pub(super) const GO: &[u8] = b"G";
/// Says go, and that the container replaces those of its scope's other generations: their ports are its own from here on.
pub(super) const TAKE_OVER: &[u8] = b"T";
/// Longest report.
pub(super) const REPORT_LIMIT: usize = 8192;
/// The monitor's end of the control socket.
const CONTROL: RawFd = 3;
/// The container's lock, shared with the command; closed when the second life begins.
const LOCK: RawFd = 4;
/// Both are the command's as well.
const SHARED: [RawFd; 2] = [CONTROL, LOCK];

/// Arguments of a monitor's first life.
pub(super) fn arguments(id: &str) -> Vec<String> {
    ["dray", WORD, id].map(String::from).to_vec()
}

/// What a monitor tells the command that started it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Report {
    /// Only the word to go is missing.
    Prepared,
    /// The program runs.
    Started,
    /// It does not, and nothing is left of the attempt.
    Failed {
        /// Why.
        reason: String,
        /// Exit code of the command line.
        code: i32,
    },
}

impl Report {
    fn encode(&self) -> Vec<u8> {
        match self {
            Report::Prepared => b"P".to_vec(),
            Report::Started => b"S".to_vec(),
            Report::Failed { reason, code } => {
                let mut packet = vec![b'F', u8::try_from(*code).unwrap_or(125)];
                packet.extend(reason.bytes().take(REPORT_LIMIT - 2));
                packet
            }
        }
    }

    pub(super) fn decode(packet: &[u8]) -> Option<Report> {
        match packet {
            b"P" => Some(Report::Prepared),
            b"S" => Some(Report::Started),
            [b'F', code, reason @ ..] => Some(Report::Failed {
                reason: String::from_utf8_lossy(reason).into_owned(),
                code: (*code).into(),
            }),
            _ => None,
        }
    }
}

/// Paths of a container's bundle.
#[derive(Debug)]
pub(super) struct BundlePaths {
    root: PathBuf,
    id: String,
    dir: PathBuf,
    filters: PathBuf,
}

impl BundlePaths {
    pub(super) fn borrow(&self) -> Bundle<'_> {
        Bundle {
            root: &self.root,
            id: &self.id,
            dir: &self.dir,
            filters: &self.filters,
        }
    }
}

/// Where the runtime finds container `id`.
pub(super) fn bundle_of(engine: &Engine, id: &str) -> BundlePaths {
    BundlePaths {
        root: engine.host().run.join("runtime"),
        id: id.to_owned(),
        dir: engine.folders(id).run.join("bundle"),
        filters: filters(engine),
    }
}

/// Folder of compiled system call filters.
pub(super) fn filters(engine: &Engine) -> PathBuf {
    engine.host().run.join("filters")
}

/// Entry of the process, with the words after [`WORD`]. Returns only when the monitor's work is done.
pub fn run(host: &Host, settings: &Settings, words: &[String]) -> Result<(), EngineError> {
    let engine = Engine::open_as_is(host, settings)?;
    let mut lock = None;
    let result = match words {
        [id] => {
            let inherited = |fd, what: &str| {
                process::inherited(fd).map_err(EngineError::system(format!("find the {what}")))
            };
            let control = inherited(CONTROL, "control socket")?;
            lock = Some(inherited(LOCK, "lock")?);
            surroundings::as_at_boot().map_err(EngineError::system("leave the caller's limits"))?;
            surroundings::outlast_others();
            launch::run(&engine, id, attempt::Attempt::first(control))
        }
        [id, rest @ ..] => attend::run(&engine, id, rest),
        [] => return Err(EngineError::NotFound(String::new())),
    };
    cgroup::leave_monitor(&words[0]);
    // Only now: the next monitor of this container makes the same group.
    drop(lock);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_arrive_as_sent() {
        let failed = Report::Failed {
            reason: "exec: \"x\": not found".into(),
            code: 127,
        };
        for report in [Report::Prepared, Report::Started, failed] {
            assert_eq!(Report::decode(&report.encode()), Some(report));
        }
        assert_eq!(Report::decode(b""), None);
        let long = Report::Failed {
            reason: "x".repeat(100_000),
            code: 1,
        };
        assert_eq!(long.encode().len(), REPORT_LIMIT);
    }
}
