//! Why a configuration cannot become a container.

/// Why a configuration cannot become a container.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// Neither the options nor the image say what to run.
    #[error("no command specified: neither the run arguments nor the image name one")]
    NoCommand,
    /// A variable or a word of the command that no program can be started with.
    #[error("{0}")]
    Text(String),
    /// The working directory is relative.
    #[error(
        "working directory {0:?} is not an absolute path; give one with --workdir, or fix the image"
    )]
    WorkingDirectory(String),
    /// The user is not in the image's account file and is not a number.
    #[error("unable to find user {0:?}: no matching entry in the image's /etc/passwd")]
    UnknownUser(String),
    /// The group is not in the image's account file and is not a number.
    #[error("unable to find group {0:?}: no matching entry in the image's /etc/group")]
    UnknownGroup(String),
    /// A number that the kernel's and Docker's range does not include.
    #[error("user or group {0:?} is out of range: ids must be between 0 and 2147483647")]
    AccountRange(String),
    /// An account file that is larger than anything sensible.
    #[error("the image's /etc/{file} has {size} bytes, more than the {limit} that are read")]
    AccountFile {
        /// `passwd` or `group`.
        file: &'static str,
        /// Its size.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// A word of `--cap-add` or `--cap-drop` that names nothing.
    #[error("unknown capability {0:?}")]
    UnknownCapability(String),
    /// A capability that is not there to be given.
    #[error("capability {0} is not supported by this kernel, or dray itself does not have it")]
    UnsupportedCapability(String),
    /// The seccomp profile cannot be read.
    #[error("failed to parse seccomp profile: {0}")]
    SeccompProfile(#[from] serde_json::Error),
    /// The seccomp profile contradicts itself.
    #[error("failed to use seccomp profile: {0}")]
    SeccompContent(String),
    /// A profile was asked for, but the kernel has no system call filters.
    #[error(
        "seccomp is not enabled in this kernel, so the profile given with --security-opt cannot be applied"
    )]
    SeccompMissing,
    /// A security option that nothing understands.
    #[error("failed to apply security options: {0}")]
    Security(String),
    /// A device outside `/dev`.
    #[error("device {0:?} cannot be made: the path in the container has to be below /dev")]
    DevicePath(String),
    /// A device cgroup rule that is not one.
    #[error("invalid device cgroup rule {0:?}")]
    DeviceRule(String),
    /// The runtime itself needs two processes while it sets the container up.
    #[error("pids limit {0} is too small: setting the container up takes 2 processes")]
    PidsLimit(i64),
    /// A resource limit without a name that the kernel knows.
    #[error("unknown resource limit {0:?}")]
    UnknownLimit(String),
    /// A tmpfs option that Docker refuses too.
    #[error("invalid tmpfs option {option:?} for {target}")]
    TmpfsOption {
        /// The option.
        option: String,
        /// The mount point.
        target: String,
    },
    /// Two mounts for one place.
    #[error("duplicate mount point: {0}")]
    DuplicateMount(String),
    /// A path that is not text cannot be written into the runtime's configuration.
    #[error("path {0:?} is not UTF-8")]
    Path(std::path::PathBuf),
}
