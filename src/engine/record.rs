//! What dray knows of a container, on disk.
//!
//! ```text
//! <state>/containers/<id>/
//!   config.json    Record: what was asked for, resolved. Rewritten by a rename, and by `network connect` and `disconnect`.
//!   intent.json    Intent: whether it is meant to run. Written by commands, before they act.
//!   outcome.json   Outcome: how it ended last. Written by its monitor, after it ended.
//!   upper/ work/   what the container wrote, and overlayfs's own folder
//!   logs/          bounded log files
//! <run>/containers/<id>/
//!   intent.json outcome.json   only where the disk did not take them; count before the others
//!   state.json     State: what is going on now. Written by the monitor; gone after a reboot, and that is normal.
//!   lock           held by whoever changes the container
//!   attach         packet socket of the monitor
//!   bundle/ rootfs/ hosts resolv.conf hostname
//! ```
//!
//! `config.json` is what a container is: one that is damaged makes the container damaged. The other two are written again and
//! again, and a damaged one is made up for until then.
//!
//! A folder below `containers` exists under its final name if and only if its record is whole and its image is pinned.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::EngineError;
use crate::api::{CreateBody, NetworkingConfig};
use crate::host::Host;
use crate::oci::Digest;
use crate::sys::{cgroup, fs, process::ProcessId};

/// Version of the files in this room; a newer one is refused.
pub const VERSION: u32 = 1;

/// Exit code of a container whose end nobody saw.
pub(super) const UNSEEN: i32 = 137;

/// What was asked for, with the image's defaults merged in and every name resolved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Record {
    /// Format version.
    pub version: u32,
    /// 64 hexadecimal digits.
    pub id: String,
    /// Unique among all containers.
    pub name: String,
    /// Name to take at the switch of a deployment, when another container still has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted_name: Option<String>,
    /// RFC 3339.
    pub created: String,
    /// Image id: digest of the image configuration.
    pub image: Digest,
    /// Digest that was pinned: of an index or a manifest.
    pub image_digest: Digest,
    /// Layers by diff ID, the lowest first.
    pub layers: Vec<Digest>,
    /// The deployment that made it; absent for containers made by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// Docker's create body, merged.
    pub body: CreateBody,
    /// The networks that it is on while it runs, since `network connect` or `disconnect` first changed them; until then the
    /// body says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub networks: Option<NetworkingConfig>,
    /// Volumes and binds, in mount order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<MountPoint>,
}

impl Record {
    /// The path of its control group in every hierarchy.
    pub fn group(&self) -> String {
        cgroup::group_of(&self.body.host_config.cgroup_parent, &self.id)
    }

    /// Whether the next boot removes the container, so that no power cut has to be survived: Docker's `--rm`.
    pub fn goes_with_boot(&self) -> bool {
        self.body.host_config.auto_remove
    }
}

/// The deployment that a container belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Owner {
    /// Stream of deployments.
    pub scope: String,
    /// Its number in that stream.
    pub generation: u64,
}

/// One volume or bind, under the names of Docker's `Mounts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MountPoint {
    /// `bind` or `volume`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// Volume name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Path on the host.
    pub source: String,
    /// Path in the container.
    pub destination: String,
    /// Whether the container may write.
    #[serde(rename = "RW")]
    pub rw: bool,
    /// Folder or file inside of the volume that is mounted in its place.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subpath: String,
    /// The volume is a filesystem of its own, mounted while containers have it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub mounted: bool,
    /// Mount propagation.
    pub propagation: String,
    /// With the mounts below the source.
    #[serde(skip_serializing_if = "Clone::clone")]
    pub recursive: bool,
    /// Of a read-only mount, the mounts below the source stay writable.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub writable_below: bool,
    /// A new volume does not get what the image has in its place.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_copy: bool,
    /// The volume was made for this container alone and goes with it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub anonymous: bool,
}

impl MountPoint {
    /// What people call it: a volume by its name, a bind by its source.
    pub fn what(&self) -> &str {
        match self.name.as_str() {
            "" => &self.source,
            name => name,
        }
    }
}

impl Default for MountPoint {
    fn default() -> MountPoint {
        let text = String::new;
        MountPoint {
            kind: text(),
            name: text(),
            source: text(),
            destination: text(),
            rw: true,
            subpath: text(),
            mounted: false,
            propagation: text(),
            recursive: true,
            writable_below: false,
            no_copy: false,
            anonymous: false,
        }
    }
}

/// Whether a container is meant to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Intent {
    /// Started, and not stopped by anybody since, nor ended for good because its policy asks how it ended.
    pub running: bool,
    /// Stopped to be started again at once, so that not even a --rm container goes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub returns: bool,
}

impl Intent {
    /// It is meant to run.
    pub const RUN: Intent = Intent {
        running: true,
        returns: false,
    };
    /// It is meant to be down.
    pub const STOP: Intent = Intent {
        running: false,
        returns: false,
    };
    /// It is meant to be down for a moment.
    pub const RETURN: Intent = Intent {
        running: false,
        returns: true,
    };
}

/// How a container ended last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Outcome {
    /// As a shell reports it.
    pub exit_code: i32,
    /// Killed by the kernel for lack of memory.
    #[serde(rename = "OOMKilled")]
    pub oom_killed: bool,
    /// Why it did not start.
    pub error: String,
    /// No start of it has succeeded so far: as with Docker it is created still, and no boot starts it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub never_started: bool,
    /// RFC 3339.
    pub started_at: String,
    /// RFC 3339.
    pub finished_at: String,
    /// Restarts by policy since it was last started.
    pub restart_count: u32,
    /// What its health check had found when it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_health: Option<Health>,
}

/// What a container is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Never started.
    Created,
    /// Namespaces, root and network are up; its process waits for the word to go.
    Prepared,
    /// Its process runs.
    Running,
    /// Its processes stand still. Nobody writes this: a look at the kernel's freezer tells it from running.
    Paused,
    /// Ended; its policy will start it again.
    Restarting,
    /// Ended.
    Exited,
}

impl Status {
    /// Docker's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Status::Created | Status::Prepared => "created",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Restarting => "restarting",
            Status::Exited => "exited",
        }
    }

    /// Whether a monitor must be there.
    pub fn is_attended(self) -> bool {
        matches!(
            self,
            Status::Prepared | Status::Running | Status::Paused | Status::Restarting
        )
    }
}

/// What is going on now, as the monitor last wrote it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct State {
    /// The boot in which this was written; in another one it means nothing.
    pub boot_id: String,
    /// What it is doing.
    pub status: Status,
    /// Its monitor.
    pub monitor: ProcessId,
    /// Its first process, while there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<ProcessId>,
    /// Ended last, or starting now.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Health, where there is a check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
}

impl State {
    /// Whether its policy is just starting it again.
    pub fn is_again(&self) -> bool {
        self.status == Status::Prepared && self.outcome.restart_count > 0
    }

    /// Whether its monitor was killed and nobody has put that right yet.
    pub fn is_left_alone(&self) -> bool {
        self.status.is_attended() && !self.monitor.is_alive()
    }

    /// Whether its first process still runs.
    pub fn is_alive(&self) -> bool {
        self.init.as_ref().is_some_and(ProcessId::is_alive)
    }
}

/// State of the health check, under Docker's names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Health {
    /// `starting`, `healthy` or `unhealthy`.
    pub status: String,
    /// Failures in a row.
    pub failing_streak: u32,
    /// The last probes, the oldest first.
    pub log: Vec<Probe>,
}

/// One run of the health check.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Probe {
    /// RFC 3339.
    pub start: String,
    /// RFC 3339.
    pub end: String,
    /// 0 is healthy; -1 is a probe that did not end in time.
    pub exit_code: i32,
    /// What it printed, cut to 4096 bytes.
    pub output: String,
}

/// The folders of one container.
#[derive(Debug, Clone)]
pub struct Folders {
    /// Below the state folder.
    pub state: PathBuf,
    /// Below the run folder; may not exist.
    pub run: PathBuf,
}

impl Folders {
    /// The folders of container `id`, whether they exist or not.
    pub fn new(host: &Host, id: &str) -> Folders {
        Folders {
            state: host.state.join("containers").join(id),
            run: host.run.join("containers").join(id),
        }
    }

    /// Reads the record.
    pub fn record(&self) -> Result<Record, EngineError> {
        let path = self.state.join("config.json");
        let missing = || match self.state.file_name() {
            Some(id) if !self.state.exists() => EngineError::Gone(id.to_string_lossy().into()),
            _ => EngineError::RecordMissing { path: path.clone() },
        };
        let record: Record = read(&path)?.ok_or_else(missing)?;
        if record.version > VERSION {
            return Err(EngineError::RecordVersion {
                path,
                found: record.version,
            });
        }
        Ok(record)
    }

    /// Replaces the record, durably unless it goes with this boot.
    pub fn write_record(&self, record: &Record) -> Result<(), EngineError> {
        let replace = match record.goes_with_boot() {
            true => fs::replace_whole,
            false => fs::replace,
        };
        write_by(&self.state.join("config.json"), record, replace)
    }

    /// Whether it is meant to run; not, if nobody ever said so. A damaged file counts as yes until somebody says it anew: a
    /// device is better off with a container too many than with one too few.
    pub fn intent(&self) -> Result<Intent, EngineError> {
        match self.read_either("intent.json") {
            Err(error) if error.is_damage() => Ok(Intent::RUN),
            read => Ok(read?.unwrap_or_default()),
        }
    }

    /// Replaces the intent, durably, unless it says the same already.
    pub fn write_intent(&self, intent: Intent) -> Result<(), EngineError> {
        let said = self.read_either::<Intent>("intent.json");
        if said.is_ok_and(|said| said.unwrap_or_default() == intent) {
            return Ok(());
        }
        self.write_either("intent.json", &intent)
    }

    /// How it ended last; `None` if it never did. A damaged file says that it did, until it ends again.
    pub fn outcome(&self) -> Result<Option<Outcome>, EngineError> {
        match self.read_either("outcome.json") {
            Err(error) if error.is_damage() => Ok(Some(Outcome {
                exit_code: UNSEEN,
                error: error.to_string(),
                ..Outcome::default()
            })),
            read => read,
        }
    }

    /// Replaces the outcome, durably.
    pub fn write_outcome(&self, outcome: &Outcome) -> Result<(), EngineError> {
        self.write_either("outcome.json", outcome)
    }

    /// What the disk did not take counts before what it holds.
    fn read_either<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, EngineError> {
        match read(&self.run.join(name))? {
            None => read(&self.state.join(name)),
            here => Ok(here),
        }
    }

    /// Durably; on a full or read-only disk for this boot: who fills the disk must be stopped and removed all the same.
    fn write_either<T: Serialize>(&self, name: &str, value: &T) -> Result<(), EngineError> {
        let here = self.run.join(name);
        let failed = |error| EngineError::write(&here, error);
        match write(&self.state.join(name), value) {
            Err(EngineError::Write { source, .. }) if takes_nothing(&source) => {
                let text = serde_json::to_vec(value).map_err(|error| failed(error.into()))?;
                fs::replace_volatile(&here, 0o600, &text).map_err(failed)
            }
            Err(error) => Err(error),
            Ok(()) => fs::remove_file_volatile(&here).map_err(failed),
        }
    }

    /// What is going on in this boot; `None` if it was not started in it.
    pub fn now(&self, boot_id: &str) -> Result<Option<State>, EngineError> {
        Ok(read::<State>(&self.run.join("state.json"))?.filter(|state| state.boot_id == boot_id))
    }

    /// Replaces what is going on; not synced, it does not outlive the boot.
    pub fn write_now(&self, state: &State) -> Result<(), EngineError> {
        let path = self.run.join("state.json");
        let text = serde_json::to_vec(state).map_err(|e| EngineError::write(&path, e.into()))?;
        fs::replace_volatile(&path, 0o600, &text).map_err(|e| EngineError::write(&path, e))
    }
}

fn takes_nothing(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(
        error.kind(),
        StorageFull | QuotaExceeded | ReadOnlyFilesystem
    )
}

/// The file, if there is one.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, EngineError> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(EngineError::Read {
                path: path.to_owned(),
                source,
            });
        }
    };
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|error| EngineError::Read {
            path: path.to_owned(),
            source: error.into(),
        })
}

/// Replaces the file, durably.
pub(super) fn write<T: Serialize>(path: &Path, value: &T) -> Result<(), EngineError> {
    write_by(path, value, fs::replace)
}

fn write_by<T: Serialize>(
    path: &Path,
    value: &T,
    replace: impl Fn(&Path, u32, &[u8]) -> std::io::Result<()>,
) -> Result<(), EngineError> {
    let text = serde_json::to_vec_pretty(value).map_err(|e| EngineError::write(path, e.into()))?;
    replace(path, 0o600, &text).map_err(|e| EngineError::write(path, e))
}
