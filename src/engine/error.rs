//! What can go wrong with a container.

use std::io;
use std::path::{Path, PathBuf};

use crate::images::ImagesError;

use super::network::NetworkError;
use super::spec::SpecError;

/// An operation on a container that failed; the message names the container and what to do.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No container has this name or id.
    #[error("no such container: {0}")]
    NotFound(String),
    /// Somebody has removed it since it was found.
    #[error("no such container: {0:.12}")]
    Gone(String),
    /// Several ids start so.
    #[error("container id {0} is ambiguous: several containers start with it")]
    Ambiguous(String),
    /// The name belongs to another container.
    #[error("container name {name:?} is in use by container {id}; remove or rename that container")]
    NameInUse {
        /// The name.
        name: String,
        /// Who has it.
        id: String,
    },
    /// It has this name; Docker's words.
    #[error("renaming a container with the same name as its current name: {0}")]
    SameName(String),
    /// Not a container name.
    #[error(
        "invalid container name {0:?}: only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed, at most 255 of them"
    )]
    Name(String),
    /// It must not run for this.
    #[error("container {name} is running: stop it first, or use --force")]
    Running {
        /// Its name.
        name: String,
    },
    /// It must run for this.
    #[error("container {name} is not running")]
    NotRunning {
        /// Its name.
        name: String,
    },
    /// Its policy is just starting it again.
    #[error("container {name} is restarting: wait until it is running")]
    Restarting {
        /// Its name.
        name: String,
    },
    /// It must not be paused for this.
    #[error("container {name} is paused: unpause it first")]
    Paused {
        /// Its name.
        name: String,
    },
    /// It must not be paused for this; Docker's words.
    #[error(
        "cannot remove container {name}: container is paused and must be unpaused first, or use --force"
    )]
    PausedToRemove {
        /// Its name.
        name: String,
    },
    /// Nothing to be done.
    #[error("container {name} is already paused")]
    AlreadyPaused {
        /// Its name.
        name: String,
    },
    /// Nothing to be undone.
    #[error("container {name} is not paused")]
    NotPaused {
        /// Its name.
        name: String,
    },
    /// What it shares is that of a container without one at the moment.
    #[error("cannot join {what} of a non running container: {owner}; start it first")]
    OwnerNotRunning {
        /// The other container's name.
        owner: String,
        /// What is shared.
        what: &'static str,
    },
    /// A network mode that no network goes together with.
    #[error("{reason}; make container {name} anew with the --network that it is to have")]
    NetworkMode {
        /// The container's name.
        name: String,
        /// Docker's words.
        reason: &'static str,
    },
    /// What it shares went with the container that had it.
    #[error(
        "cannot join {what} of container {id:.12}: no such container; remove container {name} and make it anew with another one"
    )]
    OwnerGone {
        /// The container that cannot start.
        name: String,
        /// Id of the other one.
        id: String,
        /// What is shared.
        what: &'static str,
    },
    /// It keeps its shared memory to itself.
    #[error(
        "can't join IPC of container {0}: non-shareable IPC (hint: use --ipc shareable for the donor container)"
    )]
    NotShareable(String),
    /// A container to be linked to does not exist; Docker's words.
    #[error("could not get container for {0}: no such container; make it first")]
    NoLinked(String),
    /// A container to be linked to does not run; Docker's words.
    #[error(
        "cannot link to a non running container: /{linked} AS /{name}/{alias}; start {linked} first"
    )]
    LinkedNotRunning {
        /// The other container's name.
        linked: String,
        /// The container that links.
        name: String,
        /// What it calls the other one.
        alias: String,
    },
    /// A container to be linked to cannot be reached; Docker's words.
    #[error(
        "cannot link to {0}, as it does not belong to the default network; put both on a network of your own, where every container has its name"
    )]
    ForeignLinked(String),
    /// Its process could not be started.
    #[error("failed to start container {name}: {reason}")]
    Start {
        /// Its name.
        name: String,
        /// What the monitor said.
        reason: String,
        /// Exit code for the command line: 126 not executable, 127 not found, 125 otherwise.
        code: i32,
    },
    /// A command could not be run in it.
    #[error("failed to execute in container {name}: {reason}")]
    Exec {
        /// Its name.
        name: String,
        /// Why.
        reason: String,
        /// Exit code for the command line: 127 not found, 126 otherwise.
        code: i32,
    },
    /// It did not end although it was killed.
    #[error("container {name} did not end within {seconds} s of being killed")]
    Unkillable {
        /// Its name.
        name: String,
        /// How long was waited.
        seconds: u64,
    },
    /// Its record is gone.
    #[error("container record {} is missing", .path.display())]
    RecordMissing {
        /// The file.
        path: PathBuf,
    },
    /// Written by a newer dray.
    #[error("container record {} has version {found}, this dray knows up to {}", .path.display(), super::record::VERSION)]
    RecordVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// A mount that cannot be made.
    #[error("failed to mount {source_path} at {target}{}: {reason}", in_container(.name))]
    Mount {
        /// Container name.
        name: String,
        /// Source.
        source_path: String,
        /// Mount point.
        target: String,
        /// Why.
        reason: String,
    },
    /// A volume name.
    #[error(
        "invalid volume name {0:?}: only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed, at most 255 of them"
    )]
    VolumeName(String),
    /// A volume name of one letter.
    #[error(
        "create {0}: volume name is too short, names should be at least two alphanumeric characters"
    )]
    ShortVolumeName(String),
    /// Options that no volume can have.
    #[error("create {name}: {reason}")]
    VolumeOptions {
        /// Its name.
        name: String,
        /// What is wrong with them.
        reason: String,
    },
    /// No volume has this name.
    #[error("get {0}: no such volume")]
    NoVolume(String),
    /// Containers have it.
    #[error("remove {name}: volume is in use - [{ids}]; remove those containers first")]
    VolumeInUse {
        /// Its name.
        name: String,
        /// Whose it is.
        ids: String,
    },
    /// A container that cannot be read may have it.
    #[error(
        "remove {name}: container {id} is damaged and may have this volume; `dray rm -f {id}` removes that container"
    )]
    VolumeOfDamaged {
        /// Its name.
        name: String,
        /// Short id of the container.
        id: String,
    },
    /// Something this engine does not do.
    #[error("{option} is not supported: {reason}")]
    Unsupported {
        /// The option.
        option: String,
        /// Why, and what to do instead.
        reason: String,
    },
    /// Nothing may be copied there; Docker's words.
    #[error("container rootfs is marked read-only: only its volumes can be copied into")]
    ReadOnlyRoot,
    /// A file that cannot be read.
    #[error("failed to read {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that cannot be written.
    #[error("failed to write {}: {source}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A system call failed.
    #[error("failed to {action}: {source}")]
    System {
        /// What was being done.
        action: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The runtime refused.
    #[error("failed to {action} container {name}: {reason}")]
    Runtime {
        /// create, start, exec.
        action: &'static str,
        /// Its name.
        name: String,
        /// What libcontainer said, with its causes.
        reason: String,
    },
    /// The image.
    #[error(transparent)]
    Images(#[from] ImagesError),
    /// The network.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The configuration cannot be turned into a runtime specification.
    #[error(transparent)]
    Spec(#[from] SpecError),
}

/// Where it is; one that is being made has no name yet.
fn in_container(name: &str) -> String {
    match name {
        "" => String::new(),
        name => format!(" in container {name}"),
    }
}

impl EngineError {
    /// Whether a container's own files are missing or damaged, or it has just been removed: no obstacle for the others.
    pub fn is_about_files(&self) -> bool {
        matches!(
            self,
            EngineError::Read { .. }
                | EngineError::Gone(_)
                | EngineError::RecordMissing { .. }
                | EngineError::RecordVersion { .. }
        )
    }

    /// Whether a file is there and its content is not what was written.
    pub(super) fn is_damage(&self) -> bool {
        // The disk's own word for what it has lost.
        const EIO: i32 = 5;
        let EngineError::Read { source, .. } = self else {
            return false;
        };
        let malformed = [io::ErrorKind::InvalidData, io::ErrorKind::UnexpectedEof];
        malformed.contains(&source.kind()) || source.raw_os_error() == Some(EIO)
    }

    /// Whether a disk that takes nothing any more is what failed it, as a filesystem's own after an error.
    pub fn is_read_only(&self) -> bool {
        let first: &(dyn std::error::Error + 'static) = self;
        std::iter::successors(Some(first), |error| error.source())
            .filter_map(|error| error.downcast_ref::<io::Error>())
            .any(|error| error.kind() == io::ErrorKind::ReadOnlyFilesystem)
    }

    pub(super) fn write(path: &Path, source: io::Error) -> EngineError {
        EngineError::Write {
            path: path.to_owned(),
            source,
        }
    }

    pub(super) fn system(action: impl Into<String>) -> impl FnOnce(io::Error) -> EngineError {
        let action = action.into();
        move |source| EngineError::System { action, source }
    }
}
