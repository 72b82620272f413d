//! Further processes in a running container: `dray exec` and health probes.
//!
//! Entering happens in a process of its own, `dray enter`, which is not writable from inside the container and is the
//! parent of what it starts.

mod streams;

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::streams::Streams;
use super::health::Check;
use super::record::Record;
use super::spec::user::{self, Account, MAX_ACCOUNT_FILE};
use super::{Container, Engine, EngineError, Status, foresee, monitor, rootfs, runtime, spec};
use crate::runargs::capability;
use crate::sys::process::{self, Pidfd, PollFd, ProcessId, SignalFd};
use crate::sys::program::{self, Spawn};
use crate::sys::{cgroup, doze, fs, socket, surroundings, terminal};

/// The hidden word of the command line that leads to [`Engine::enter`].
pub const WORD: &str = "enter";
/// In place of a request: the container's health check.
const PROBE: &str = "probe";
/// In place of a container: a terminal that is kept open.
const LEFT: &str = "left";
/// Its descriptor.
const TERMINAL: RawFd = 3;
const SIGTERM: i32 = 15;
/// How long a process that can no longer be entered may take to be gone.
const LAST_BREATH: Duration = Duration::from_millis(100);

/// A process to be run in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecRequest {
    /// Program and arguments.
    pub args: Vec<String>,
    /// `user[:group]`; empty means the container's.
    pub user: String,
    /// `NAME=value`, over the container's environment.
    pub env: Vec<String>,
    /// Working directory; empty means the container's.
    pub working_dir: String,
    /// A terminal of its own.
    pub tty: bool,
    /// Standard input is passed on.
    pub interactive: bool,
    /// All capabilities.
    pub privileged: bool,
    /// Nobody waits for it, and its output goes nowhere.
    pub detach: bool,
    /// Keys that leave its terminal; empty means the usual ones.
    pub detach_keys: String,
}

/// A process that was started in a container.
#[derive(Debug)]
pub struct Executed {
    /// Its pid on the host; it is our child.
    pub pid: i32,
    /// Its terminal, if it has one.
    pub terminal: Option<OwnedFd>,
    /// Its input and output otherwise.
    streams: Streams,
}

/// Arguments of the process that probes the health of container `id`.
pub(super) fn probe_arguments(id: &str) -> Vec<String> {
    ["dray", WORD, id, PROBE].map(String::from).to_vec()
}

impl Engine {
    /// Replaces this process by one that runs `request` in container `id` and exits as it does. Returns only on failure.
    pub fn become_exec(&self, id: &str, request: &ExecRequest) -> EngineError {
        let result = (|| {
            // Asked here so that the usual mistakes are answered in the caller's words.
            self.running(id)?;
            let arguments = arguments(id, request)?;
            let program =
                program::protected_self().map_err(EngineError::system("protect our program"))?;
            Ok(EngineError::system("execute ourselves")(
                program::become_program(program.as_fd(), &arguments, &[]),
            ))
        })();
        match result {
            Ok(error) | Err(error) => error,
        }
    }

    /// Starts `request` in container `id` and returns when it runs, or with the exit code that says why it does not.
    pub fn exec_detached(&self, id: &str, request: &ExecRequest) -> Result<i32, EngineError> {
        let failed = || EngineError::system("execute ourselves");
        self.running(id)?;
        let program =
            program::protected_self().map_err(EngineError::system("protect our program"))?;
        let mut entering = program::spawn(&Spawn {
            program: program.as_fd(),
            args: arguments(id, request)?,
            env: self.monitor_environment(),
            fds: Vec::new(),
            // For the reason why it cannot be executed.
            stdio: [None, None, Some(std::io::stderr().as_fd())],
            detach: true,
        })
        .map_err(failed())?;
        let status = entering.wait().map_err(failed())?;
        Ok(status.code().unwrap_or(runtime::EXIT_ENGINE))
    }

    /// Leaves the terminal of a process in a container: it stays open, and what is written to it is dropped, as long as
    /// somebody in there has it.
    pub fn leave(&self, terminal: OwnedFd) -> Result<(), EngineError> {
        let failed = || EngineError::system("leave the terminal");
        let program = program::protected_self().map_err(failed())?;
        program::spawn(&Spawn {
            program: program.as_fd(),
            args: ["dray", WORD, LEFT].map(String::from).to_vec(),
            env: self.monitor_environment(),
            fds: vec![terminal.as_fd()],
            stdio: [None, None, None],
            detach: true,
        })
        .map(drop)
        .map_err(failed())
    }

    /// Entry of the process that enters, with the words after [`WORD`]: the exit code of what it ran.
    pub fn enter(
        &self,
        words: &[String],
        relay: impl FnOnce(Executed, &ExecRequest) -> Result<i32, EngineError>,
    ) -> Result<i32, EngineError> {
        let (id, request) = match words {
            [left] if left == LEFT => return keep_open(),
            [id, request] => (id, request),
            _ => return Err(EngineError::NotFound(words.join(" "))),
        };
        surroundings::as_at_boot().map_err(EngineError::system("leave the caller's limits"))?;
        let container = self.running(id)?;
        let request = if request == PROBE {
            let check = Check::of(&container.record.body.config);
            ExecRequest {
                args: check.map(|check| check.command).unwrap_or_default(),
                ..ExecRequest::default()
            }
        } else {
            serde_json::from_str(request)
                .map_err(|e| EngineError::system("read the request")(e.into()))?
        };
        // Blocked before the container's process exists, so that none is missed; it blocks none itself when it is executed.
        let signals =
            SignalFd::new(&[SIGTERM, 2, 1]).map_err(EngineError::system("wait for signals"))?;
        let monitor = container.now.as_ref().map(|now| &now.monitor);
        let visit = monitor
            .filter(|monitor| monitor.is_alive())
            .map(|monitor| cgroup::visit(monitor.pid))
            .transpose()
            .map_err(EngineError::system("leave the caller's control groups"))?;
        let executed = self.execute(&container, &request).map_err(|error| {
            // What was on its way in waits for a word that does not come any more.
            process::end_children();
            self.why_not(&container, error)
        })?;
        if request.detach {
            executed
                .terminal
                .map_or(Ok(()), |terminal| self.leave(terminal))?;
            return Ok(0);
        }
        drop(visit);
        if executed.terminal.is_some() {
            return relay(executed, &request);
        }
        let failed = || EngineError::system("wait for the process in the container");
        let child = Pidfd::open(executed.pid).map_err(failed())?;
        executed.streams.relay(&child, &signals).map_err(failed())?;
        Ok(process::wait_child(executed.pid).map_err(failed())?.code())
    }

    /// What to say of a failure: where the container has ended meanwhile, that.
    fn why_not(&self, container: &Container, error: EngineError) -> EngineError {
        // Its last breath takes a moment.
        let has_ended = |init: &ProcessId| match init.open() {
            Ok(Some(init)) => init.wait(Some(LAST_BREATH)).unwrap_or(false),
            Ok(None) => true,
            Err(_) => false,
        };
        let init = container.now.as_ref().and_then(|now| now.init.as_ref());
        match self.running(container.id()) {
            Ok(_) if !init.is_some_and(has_ended) => error,
            Ok(_) => EngineError::NotRunning {
                name: container.record.name.clone(),
            },
            Err(ended) => ended,
        }
    }

    fn running(&self, id: &str) -> Result<Container, EngineError> {
        let container = self.find(id)?;
        match container.status {
            Status::Running => Ok(container),
            Status::Restarting => Err(EngineError::Restarting {
                name: container.record.name,
            }),
            Status::Paused => Err(EngineError::Paused {
                name: container.record.name,
            }),
            _ => Err(EngineError::NotRunning {
                name: container.record.name,
            }),
        }
    }

    fn execute(
        &self,
        container: &Container,
        request: &ExecRequest,
    ) -> Result<Executed, EngineError> {
        let id = container.id();
        let folders = self.folders(id);
        let cannot = |reason: String| EngineError::Exec {
            name: container.name().to_owned(),
            code: runtime::exit_code(&reason).max(runtime::EXIT_NOT_EXECUTABLE),
            reason,
        };
        let foreign = monitor::foreign_terminals(&self.host.run, &container.record);
        let is_foreign = request.tty && foreign.is_some();
        let process =
            self.process(container, request, is_foreign)
                .map_err(|error| match error {
                    EngineError::Spec(reason) => cannot(reason.to_string()),
                    other => other,
                })?;
        let root = format!("/proc/{}/root", container.pid().unwrap_or_default());
        let begin = process["cwd"].as_str().unwrap_or("/");
        let unfit = foresee::folder(root.as_ref(), begin)
            .map_err(EngineError::system("look at the working directory"))?;
        if let Some(reason) = unfit {
            return Err(cannot(reason));
        }
        let name = format!("exec-{}", std::process::id());
        let file = folders.run.join(&name);
        fs::replace_volatile(&file, 0o600, process.to_string().as_bytes())
            .map_err(|source| EngineError::write(&file, source))?;
        let executed = self.execute_file(container, request, is_foreign, &file);
        let _ = std::fs::remove_file(&file);
        executed
    }

    fn execute_file(
        &self,
        container: &Container,
        request: &ExecRequest,
        is_foreign: bool,
        file: &Path,
    ) -> Result<Executed, EngineError> {
        let failed = || EngineError::system("pass input and output on");
        let bundle = monitor::bundle_of(self, container.id());
        let capabilities = match request.privileged {
            true => {
                let kernel = process::system().map_err(EngineError::system("ask the kernel"))?;
                Some(capability::names(kernel.capabilities))
            }
            false => None,
        };
        // Docker: what cannot be executed for whatever reason is not executable.
        let refused = |reason: String| EngineError::Exec {
            name: container.name().to_owned(),
            code: runtime::exit_code(&reason).max(runtime::EXIT_NOT_EXECUTABLE),
            reason,
        };
        if !request.tty {
            let nothing = || {
                let mut options = OpenOptions::new();
                let opened = options.read(true).write(true).open("/dev/null");
                opened.map(OwnedFd::from).map_err(failed())
            };
            let (streams, files) = match request.detach {
                true => (Streams::default(), [nothing()?, nothing()?, nothing()?]),
                false => Streams::make(request.interactive, nothing()?).map_err(failed())?,
            };
            let stdio = runtime::Stdio::Files(files);
            let pid =
                runtime::exec(&bundle.borrow(), file, capabilities, stdio).map_err(refused)?;
            return Ok(Executed {
                pid,
                terminal: None,
                streams,
            });
        }
        if is_foreign {
            let made_by = format!(
                "/proc/{}/root/dev/ptmx",
                container.pid().unwrap_or_default()
            );
            let (shows, own) = terminal::pair(made_by.as_ref()).map_err(failed())?;
            let again = || own.try_clone().map_err(failed());
            let stdio = runtime::Stdio::Terminal([again()?, again()?, again()?]);
            let pid =
                runtime::exec(&bundle.borrow(), file, capabilities, stdio).map_err(refused)?;
            return Ok(Executed {
                pid,
                terminal: Some(shows),
                streams: Streams::default(),
            });
        }
        let name = format!("console-{}", std::process::id());
        let run = self.folders(container.id()).run;
        let listener = socket::listen_stream(&run, &name).map_err(failed())?;
        let path = run.join(&name);
        let stdio = runtime::Stdio::Console(&path);
        let pid = runtime::exec(&bundle.borrow(), file, capabilities, stdio).map_err(refused);
        let _ = std::fs::remove_file(&path);
        let pid = pid?;
        let connection = socket::accept(listener.as_fd()).map_err(failed())?;
        let connection =
            connection.ok_or_else(|| failed()(std::io::ErrorKind::WouldBlock.into()))?;
        let terminal = socket::receive_fd(connection.as_fd()).map_err(failed())?;
        Ok(Executed {
            pid,
            terminal: Some(terminal),
            streams: Streams::default(),
        })
    }

    /// The container's own process description, changed as `request` says; the runtime is not to know of a terminal that is
    /// foreign.
    fn process(
        &self,
        container: &Container,
        request: &ExecRequest,
        is_foreign: bool,
    ) -> Result<Value, EngineError> {
        let path = self
            .folders(container.id())
            .run
            .join("bundle")
            .join("config.json");
        let failed = |source| EngineError::Read {
            path: path.clone(),
            source,
        };
        let text = std::fs::read(&path).map_err(failed)?;
        let config: Value = serde_json::from_slice(&text).map_err(|e| failed(e.into()))?;
        let mut process = config["process"].clone();
        process["args"] = json!(request.args);
        process["terminal"] = json!(request.tty && !is_foreign);
        process["oomScoreAdj"] = json!(container.record.body.host_config.oom_score_adj);
        if !request.working_dir.is_empty() {
            process["cwd"] = json!(request.working_dir);
        }
        let known: Vec<String> =
            serde_json::from_value(process["env"].take()).map_err(|e| failed(e.into()))?;
        let known = |name: &str| {
            let mut values = known.iter().filter_map(|e| e.strip_prefix(name));
            values.next().unwrap_or_default().to_owned()
        };
        let mut home = known("HOME=");
        if !request.user.is_empty() {
            let account = self.account(container, &request.user)?;
            process["user"] = spec::user_json(&account);
            home = account.home;
        }
        // Docker's: from the configuration anew, since the terminal is not the container's, and then what is given.
        let mut config = container.record.body.config.clone();
        config.tty = request.tty;
        let hostname = known("HOSTNAME=");
        process["env"] = json!(spec::environment(&config, &request.env, &hostname, &home));
        Ok(process)
    }

    fn account(&self, container: &Container, words: &str) -> Result<Account, EngineError> {
        let root = PathBuf::from(format!(
            "/proc/{}/root",
            container.pid().unwrap_or_default()
        ));
        let file = |path: &str| {
            rootfs::read(&root, path, MAX_ACCOUNT_FILE + 1).map_err(|source| EngineError::Read {
                path: PathBuf::from(path),
                source,
            })
        };
        let Record { body, .. } = &container.record;
        let groups = &body.host_config.group_add;
        Ok(user::resolve(
            words,
            groups,
            &file("/etc/passwd")?,
            &file("/etc/group")?,
        )?)
    }
}

/// The words of a process that runs `request` in container `id`.
fn arguments(id: &str, request: &ExecRequest) -> Result<Vec<String>, EngineError> {
    let request = serde_json::to_string(request)
        .map_err(|e| EngineError::system("write the request")(e.into()))?;
    Ok(["dray", WORD, id, &request].map(String::from).to_vec())
}

/// Reads a terminal that somebody left, so that nobody in the container has to wait for room, until the last one there
/// has closed it.
fn keep_open() -> Result<i32, EngineError> {
    let failed = || EngineError::system("keep a terminal open");
    let mut terminal = File::from(process::inherited(TERMINAL).map_err(failed())?);
    let mut buffer = [0; 4096];
    loop {
        let mut set = [PollFd::read(terminal.as_fd())];
        if doze::poll(&mut set, None).map_err(failed())? > 0
            && !matches!(terminal.read(&mut buffer), Ok(1..))
        {
            return Ok(0);
        }
    }
}
