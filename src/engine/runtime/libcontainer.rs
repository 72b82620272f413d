//! The only file that calls libcontainer.

use std::collections::{BTreeSet, HashMap};
use std::error::Error;
use std::fs::Permissions;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use libcontainer::container::builder::ContainerBuilder;
use libcontainer::oci_spec::runtime::Spec;
use libcontainer::syscall::syscall::SyscallType;
use libcontainer::workload::{Executor, ExecutorError, ExecutorValidationError};

use super::confine::{Confinement, Prepared};
use crate::sys::payload::{self, Payload};
use crate::sys::propagation::Travel;
use crate::sys::terminal;

/// Where a container lives for the runtime.
#[derive(Debug, Clone, Copy)]
pub struct Bundle<'a> {
    /// Folder of runtime state of all containers, on tmpfs: it is not written atomically and lies after a reboot.
    pub root: &'a Path,
    /// Container id.
    pub id: &'a str,
    /// Folder with `config.json` and the confinement.
    pub dir: &'a Path,
    /// Folder of compiled system call filters.
    pub filters: &'a Path,
}

/// What the process gets as 0, 1 and 2.
#[derive(Debug)]
pub enum Stdio<'a> {
    /// Descriptors of its own.
    Files([OwnedFd; 3]),
    /// The same, of a terminal that is to control it; the runtime is not to know of it.
    Terminal([OwnedFd; 3]),
    /// A terminal, whose other end is sent to this stream socket.
    Console(&'a Path),
}

/// How the container's program is run: after `setup_envs`, in the container, with all its limits.
#[derive(Clone)]
struct Run {
    /// A small init stays as process 1 and the program becomes its child.
    init: bool,
    /// Its input is a terminal that is to control it.
    terminal: bool,
    /// Descriptor that gets the reason if the program cannot be executed, and is closed if it can.
    report: Option<i32>,
    /// Descriptors that the process inherited from its monitor and must not keep while it waits.
    release: Vec<i32>,
    /// Of the container's first process: the mounts that it puts right once all of them are there.
    travels: Option<Vec<Travel>>,
    confinement: Prepared,
    /// Soft and hard limit of the program's stack.
    stack: Option<[u64; 2]>,
}

/// What the container's first process is given besides its input and output.
#[derive(Debug, Clone, Copy)]
pub struct First<'a> {
    /// A small init stays as process 1 and the program becomes its child.
    pub init: bool,
    /// Gets the reason if the program cannot be executed, and is closed if it can; close-on-exec.
    pub report: i32,
    /// Descriptors that it lets go of as soon as it is set up. Being a copy of its monitor, it would otherwise keep a lock
    /// or a socket open for as long as it waits for its start: for ever, if the monitor is killed.
    pub release: &'a [i32],
    /// Mounts that it puts right once all of them are there.
    pub travels: &'a [Travel],
}

impl Executor for Run {
    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        let args = args(spec).ok_or(ExecutorError::InvalidArg)?;
        // libcontainer hands it on in no order.
        let process = spec.process().as_ref();
        if let Some(entries) = process.and_then(|process| process.env().as_ref()) {
            payload::order_environment(entries);
        }
        let failed = payload::execute(&Payload {
            args,
            init: self.init,
            report: self.report,
            stack: self.stack,
        });
        Err(ExecutorError::Other(failed))
    }

    fn validate(&self, spec: &Spec) -> Result<(), ExecutorValidationError> {
        let refuse = |reason: String| ExecutorValidationError::ArgValidationError(reason);
        // The first thing that runs in the container's process and is ours.
        payload::let_go(&self.release).map_err(|error| refuse(error.to_string()))?;
        if let Some(process) = spec.process() {
            let uid = process.user().uid();
            payload::own_streams(uid)
                .map_err(|error| refuse(format!("give the streams to user {uid}: {error}")))?;
        }
        if let Some(travels) = &self.travels {
            put_right(spec, travels).map_err(refuse)?;
        }
        if self.terminal {
            let is_first = self.travels.is_some();
            terminal::take_control()
                .and_then(|()| is_first.then(terminal::show_at_console).unwrap_or(Ok(())))
                .map_err(|error| refuse(format!("take the terminal: {error}")))?;
        }
        self.confinement.enter().map_err(refuse)?;
        let args = args(spec).ok_or_else(|| refuse("no command specified".into()))?;
        let env = spec
            .process()
            .as_ref()
            .and_then(|p| p.env().clone())
            .unwrap_or_default();
        let path = env
            .iter()
            .rev()
            .find_map(|entry| entry.strip_prefix("PATH="));
        payload::find_program(&args[0], path)
            .map(drop)
            .map_err(refuse)
    }

    fn setup_envs(
        &self,
        envs: HashMap<String, String>,
    ) -> Result<(), libcontainer::workload::ExecutorSetEnvsError> {
        payload::replace_environment(envs);
        Ok(())
    }
}

fn put_right(spec: &Spec, travels: &[Travel]) -> Result<(), String> {
    close_device_folders(spec)?;
    for travel in travels {
        travel.apply().map_err(|error| {
            let (target, mode) = (travel.target.display(), &travel.mode);
            format!("make the mount {target} {mode}: {error}")
        })?;
    }
    // What was exchanged may have been the working directory.
    match spec.process().as_ref().filter(|_| !travels.is_empty()) {
        Some(process) => std::env::set_current_dir(process.cwd())
            .map_err(|error| format!("enter {}: {error}", process.cwd().display())),
        None => Ok(()),
    }
}

/// The runtime makes folders for devices such as `/dev/net/tun` that everybody may write to.
fn close_device_folders(spec: &Spec) -> Result<(), String> {
    let devices = spec
        .linux()
        .as_ref()
        .and_then(|linux| linux.devices().as_ref());
    let folders: BTreeSet<&Path> = devices
        .into_iter()
        .flatten()
        .flat_map(|device| device.path().ancestors().skip(1))
        .filter(|folder| folder.starts_with("/dev") && folder.components().count() > 2)
        .collect();
    for folder in folders {
        std::fs::set_permissions(folder, Permissions::from_mode(0o755))
            .map_err(|error| format!("set the mode of {}: {error}", folder.display()))?;
    }
    Ok(())
}

fn args(spec: &Spec) -> Option<&[String]> {
    spec.process()
        .as_ref()?
        .args()
        .as_deref()
        .filter(|args| !args.is_empty())
}

/// Creates the container: everything is set up and its process waits for [`start`]. Returns that process's pid.
pub fn create(bundle: &Bundle<'_>, stdio: Stdio<'_>, first: First<'_>) -> Result<i32, String> {
    let confinement = Confinement::read(bundle.dir)?;
    let builder = builder(
        bundle,
        Run {
            init: first.init,
            terminal: matches!(stdio, Stdio::Terminal(_)),
            report: Some(first.report),
            release: first.release.to_vec(),
            travels: Some(first.travels.to_vec()),
            stack: confinement.stack(),
            confinement: confinement.prepare(bundle.filters)?,
        },
    )?;
    let builder = match stdio {
        Stdio::Files([input, output, error]) | Stdio::Terminal([input, output, error]) => builder
            .with_stdin(input)
            .with_stdout(output)
            .with_stderr(error),
        Stdio::Console(socket) => builder.with_console_socket(Some(socket)),
    };
    let container = builder
        .as_init(bundle.dir)
        .with_systemd(false)
        .with_detach(true)
        .build();
    let container = container.map_err(|error| explain(&error))?;
    container
        .pid()
        .map(|pid| pid.as_raw())
        .ok_or_else(|| "libcontainer reported no process".to_owned())
}

/// Lets the created container's process go on to its program.
pub fn start(bundle: &Bundle<'_>) -> Result<(), String> {
    load(bundle)?.start().map_err(|error| explain(&error))
}

/// Removes the runtime's notes of a container whose processes and control groups are gone; nothing there is success.
/// libcontainer's own removal would look for the groups of each controller once more, through a whole mount table each time.
pub fn forget(bundle: &Bundle<'_>) -> Result<(), String> {
    match std::fs::remove_dir_all(bundle.root.join(bundle.id)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.to_string()),
        _ => Ok(()),
    }
}

/// Runs a further process, described by the file `process`, in a running container: with the capabilities that it is given,
/// else with the container's. Returns its pid; it is our child.
pub fn exec(
    bundle: &Bundle<'_>,
    process: &Path,
    capabilities: Option<Vec<String>>,
    stdio: Stdio<'_>,
) -> Result<i32, String> {
    let confinement = Confinement::read(bundle.dir)?;
    let confinement = match capabilities {
        Some(capabilities) => confinement.with(capabilities),
        None => confinement,
    };
    let builder = builder(
        bundle,
        Run {
            init: false,
            terminal: matches!(stdio, Stdio::Terminal(_)),
            report: None,
            release: Vec::new(),
            travels: None,
            stack: confinement.stack(),
            confinement: confinement.prepare(bundle.filters)?,
        },
    )?;
    let builder = match stdio {
        Stdio::Files([input, output, error]) | Stdio::Terminal([input, output, error]) => builder
            .with_stdin(input)
            .with_stdout(output)
            .with_stderr(error),
        Stdio::Console(socket) => builder.with_console_socket(Some(socket)),
    };
    let pid = builder
        .as_tenant()
        .with_detach(true)
        .with_process(Some(process))
        .build();
    pid.map(|pid| pid.as_raw()).map_err(|error| explain(&error))
}

fn builder(bundle: &Bundle<'_>, run: Run) -> Result<ContainerBuilder, String> {
    ContainerBuilder::new(bundle.id.to_owned(), SyscallType::default())
        .with_executor(run)
        .with_root_path(bundle.root)
        .and_then(ContainerBuilder::validate_id)
        .map_err(|error| explain(&error))
}

fn load(bundle: &Bundle<'_>) -> Result<libcontainer::container::Container, String> {
    libcontainer::container::Container::load(bundle.root.join(bundle.id))
        .map_err(|error| explain(&error))
}

/// The error with its causes, each said once.
fn explain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let said = next.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = next.source();
    }
    // What our executor said about the program stands behind several layers of "failed to".
    match text.find("exec: \"") {
        Some(at) => text.split_off(at),
        None => text,
    }
}
