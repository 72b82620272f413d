//! First life: from a record to a running program.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

use super::{BundlePaths, GO, Report, SHARED, TAKE_OVER, attend, bundle_of};
use crate::engine::files::{self, NetworkMode};
use crate::engine::health::{Check, starting};
use crate::engine::logs::{About, Writer};
use crate::engine::propagation::{self, Travels};
use crate::engine::record::{Outcome, Record, State, Status};
use crate::engine::runtime::{self, First, Stdio};
use crate::engine::share::Joined;
use crate::engine::{
    Engine, EngineError, attach, foresee, limits, networks, rootfs, time, volumes,
};
use crate::sys::lock::Exclusive;
use crate::sys::process::{self, Pidfd, PollFd, ProcessId};
use crate::sys::program;
use crate::sys::{bpf, cgroup, fs, mount, socket};

/// One attempt to start.
#[derive(Debug)]
pub(super) struct Attempt {
    /// The command that waits for us; absent for a restart by policy.
    control: Option<OwnedFd>,
    /// Of a restart by policy: the socket of clients that stay connected, and the container's lock.
    earlier: Option<(OwnedFd, Exclusive)>,
    /// Of a restart by policy: the mount namespace that the monitor was started in, if the container needs it.
    outside: Option<OwnedFd>,
    /// Restarts by policy so far.
    pub restarts: u32,
    /// The pause before this attempt.
    pub paused: Duration,
}

impl Attempt {
    pub(super) fn first(control: OwnedFd) -> Attempt {
        Attempt {
            control: Some(control),
            earlier: None,
            outside: None,
            restarts: 0,
            paused: Duration::ZERO,
        }
    }

    /// The lock is held until the program runs, so that whoever stops the container finds either no attempt or a program
    /// that hears the signal.
    pub(super) fn again(
        (listener, lock): (OwnedFd, Exclusive),
        outside: Option<OwnedFd>,
        restarts: u32,
        paused: Duration,
    ) -> Attempt {
        Attempt {
            control: None,
            earlier: Some((listener, lock)),
            outside,
            restarts,
            paused,
        }
    }

    /// What somebody waits for, so that the container's first process must not keep it open.
    fn shared(&self) -> Vec<RawFd> {
        match &self.earlier {
            None => SHARED.to_vec(),
            Some((_, lock)) => vec![lock.as_fd().as_raw_fd()],
        }
    }

    fn report(&self, report: &Report) {
        if let Some(control) = &self.control {
            // Nobody may be left to hear it: a killed command does not stop the container.
            let _ = socket::send(control.as_fd(), &report.encode());
        }
    }

    /// Waits for the word to go: whether the container takes over its scope's ports. `None` if the command has given up or
    /// died.
    fn wait_for_go(&self) -> Option<bool> {
        let Some(control) = &self.control else {
            // Who restarts by policy may have been replaced meanwhile.
            return Some(false);
        };
        let mut buffer = [0; 8];
        let length = socket::receive(control.as_fd(), &mut buffer, true).ok()??;
        match &buffer[..length] {
            GO => Some(false),
            TAKE_OVER => Some(true),
            _ => None,
        }
    }
}

/// A container whose process waits.
struct Created {
    engine_folders: crate::engine::Folders,
    bundle: BundlePaths,
    record: Record,
    state: State,
    listener: OwnedFd,
    outside: Option<OwnedFd>,
    streams: Streams,
    report: OwnedFd,
}

/// Our ends of the container's input and output.
struct Streams {
    input: Option<OwnedFd>,
    output: OwnedFd,
    error: Option<OwnedFd>,
    terminal: bool,
}

/// Brings the container up and becomes its attendant; returns only if it did not come up.
pub(super) fn run(engine: &Engine, id: &str, attempt: Attempt) -> Result<(), EngineError> {
    match bring_up(engine, id, &attempt) {
        Ok(None) => {
            take_down(engine, id);
            Ok(())
        }
        Ok(Some(created)) => {
            attempt.report(&Report::Started);
            let failed = become_attendant(engine, id, created, &attempt);
            fail(
                engine,
                id,
                &attempt,
                EngineError::System {
                    action: "become the attendant".into(),
                    source: failed,
                },
            )
        }
        Err(error) => fail(engine, id, &attempt, error),
    }
}

/// `None` if the command gave up before the word to go.
fn bring_up(engine: &Engine, id: &str, attempt: &Attempt) -> Result<Option<Created>, EngineError> {
    let mut created = create(engine, id, attempt)?;
    attempt.report(&Report::Prepared);
    let Some(takes_over) = attempt.wait_for_go() else {
        return Ok(None);
    };
    if !networks::of(&created.record).is_empty() {
        // What it replaces is down by now, or on its way; its ports move here in one transaction.
        let replaced = match takes_over {
            true => networks::replaced(engine, &created.record)?,
            false => Vec::new(),
        };
        let replaced: Vec<&str> = replaced.iter().map(String::as_str).collect();
        engine.network().publish(&[id], &replaced)?;
    }
    let failed = |reason| EngineError::Runtime {
        action: "start",
        name: created.record.name.clone(),
        reason,
    };
    runtime::start(&created.bundle.borrow()).map_err(failed)?;
    let mut reason = String::new();
    File::from(
        created
            .report
            .try_clone()
            .map_err(EngineError::system("copy a descriptor"))?,
    )
    .read_to_string(&mut reason)
    .map_err(EngineError::system("hear from the container"))?;
    if !reason.is_empty() {
        return Err(failed(reason));
    }
    created.state.status = Status::Running;
    created.state.outcome.started_at = time::rfc3339(engine.host().now());
    created.state.outcome.oom_killed = false;
    created.state.outcome.error.clear();
    // With the state, not with the first probe: nobody must take it for a container without a check.
    created.state.health = Check::of(&created.record.body.config).map(|_| starting());
    created.engine_folders.write_now(&created.state)?;
    Ok(Some(created))
}

fn create(engine: &Engine, id: &str, attempt: &Attempt) -> Result<Created, EngineError> {
    let folders = engine.folders(id);
    let record = folders.record()?;
    if attempt.control.is_some() {
        reach_log(engine, &record, &folders)?;
    }
    let own = ProcessId::own().map_err(EngineError::system("read our own process"))?;
    let restarts = attempt.restarts;
    // A restart by policy goes on telling how it ended last, and any start tells when.
    let ended = match attempt.earlier {
        Some(_) => folders.now(&engine.host().boot_id)?.map(|now| now.outcome),
        None => folders.outcome()?.map(|last| Outcome {
            finished_at: last.finished_at,
            ..Outcome::default()
        }),
    };
    let mut state = State {
        boot_id: engine.host().boot_id.clone(),
        status: Status::Prepared,
        monitor: own,
        init: None,
        outcome: Outcome {
            restart_count: restarts,
            ..ended.unwrap_or_default()
        },
        health: None,
    };
    fs::create_dirs(&folders.run).map_err(|source| EngineError::write(&folders.run, source))?;
    folders.write_now(&state)?;
    cgroup::enter_monitor(id, &record.group())
        .map_err(EngineError::system("enter a control group of our own"))?;
    let listener = match &attempt.earlier {
        Some((listener, _)) => listener.try_clone(),
        None => socket::listen_packets(&folders.run, attach::SOCKET),
    };
    let listener = listener.map_err(EngineError::system("listen for clients"))?;

    let outside = outside(&record, attempt)?;
    mount::private_namespace()
        .map_err(EngineError::system("enter a mount namespace of our own"))?;
    let root = rootfs::mount(engine, &record, &folders)?;
    let working_dir = &record.body.config.working_dir;
    rootfs::make_folder(&root, working_dir).map_err(|source| EngineError::System {
        action: format!("create working directory {working_dir}"),
        source,
    })?;
    foresee::start(&record, &root)?;
    volumes::mount_all(engine, &record)?;
    volumes::fill_all(&root, &engine.host().run, &record)?;
    let subpaths = volumes::Subpaths::mount(engine, &record)?;
    let travels = Travels::of(engine, &record, outside.as_ref())?;
    let joined = Joined::find(engine, &record, &folders.run)?;
    let guard = files::write_all(engine, &record, &folders, &root, &joined)?;
    let (report, ours) = socket::pipe().map_err(EngineError::system("make a pipe"))?;
    let bundle = bundle_of(engine, id);
    fs::create_dirs(&engine.host().run.join("runtime"))
        .map_err(EngineError::system("make the runtime's folder"))?;
    let console = folders.run.join("console");
    let terminal = record.body.config.tty;
    let (stdio, streams) = stdio(&record, &folders, &console)?;
    let init = record.body.host_config.init == Some(true);
    let failed = |reason| EngineError::Runtime {
        action: "create",
        name: record.name.clone(),
        reason,
    };
    let first = First {
        init,
        report: ours.as_raw_fd(),
        release: &attempt.shared(),
        travels: &travels.list,
    };
    let pid = runtime::create(&bundle.borrow(), stdio, first)
        .map_err(|reason| failed(with_sysctls(reason, &record)))?;
    // The container has mounts of its own by now.
    drop((ours, joined, subpaths, travels));
    limits::apply(&record.group(), pid, &record.body.host_config)?;
    if let Some(program) = guard {
        // Before the word to go: none of the container's own programs ever runs without it.
        bpf::filter_devices(&cgroup::unified_group(&record.group()), &program)
            .map_err(EngineError::system("guard the container's devices"))?;
    }
    let streams = match streams {
        Either::Ready(streams) => streams,
        Either::Console(listener) => console_streams(&listener, &console, pid)?,
    };
    debug_assert_eq!(terminal, streams.terminal);
    state.init =
        Some(ProcessId::of(pid).map_err(EngineError::system("read the container's process"))?);
    folders.write_now(&state)?;
    let attachments = networks::attach_all(engine, &record, pid)?;
    match attachments.first() {
        Some(first) => files::write_hosts(engine, &record, &folders, Some(first))?,
        None if has_own_network(&record) => engine.network().isolate(pid)?,
        None => {}
    }
    Ok(Created {
        engine_folders: folders,
        bundle,
        record,
        state,
        listener,
        outside,
        streams,
        report,
    })
}

/// The mount namespace that the monitor was started in, where the container needs it; what cannot be had from there is
/// refused.
fn outside(record: &Record, attempt: &Attempt) -> Result<Option<OwnedFd>, EngineError> {
    let failed = || EngineError::system("find the mount namespace");
    if let Some(outside) = &attempt.outside {
        return outside.try_clone().map(Some).map_err(failed());
    }
    if attempt.control.is_some() {
        propagation::check(record)?;
    }
    match propagation::needs_outside(record) {
        true => crate::sys::propagation::own_namespace()
            .map(Some)
            .map_err(failed()),
        false => Ok(None),
    }
}

/// The runtime does not say which setting the kernel refuses.
fn with_sysctls(reason: String, record: &Record) -> String {
    let given = record.body.host_config.sysctls.iter();
    let given: Vec<String> = given
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    match reason.contains("sysctl") && !given.is_empty() {
        true => format!("{reason}: {}", given.join(", ")),
        false => reason,
    }
}

/// Nobody else has switched the loopback interface on there.
fn has_own_network(record: &Record) -> bool {
    matches!(
        NetworkMode::of(record),
        NetworkMode::Bridge | NetworkMode::None
    )
}

/// Docker's: a container whose log cannot be taken is not started; once it runs nobody takes it down for that.
fn reach_log(
    engine: &Engine,
    record: &Record,
    folders: &crate::engine::Folders,
) -> Result<(), EngineError> {
    let config = &record.body.host_config.log_config;
    let mut log = Writer::new(
        config,
        &About::of(record, engine.host()),
        &folders.state.join("logs"),
    )
    .map_err(|error| EngineError::Unsupported {
        option: "--log-driver".into(),
        reason: error.to_string(),
    })?;
    let driver = &config.driver;
    log.reach().map_err(EngineError::system(format!(
        "reach the receiver of log driver {driver}"
    )))
}

/// Streams that exist already, or a console that the runtime will send.
enum Either {
    Ready(Streams),
    Console(OwnedFd),
}

fn stdio<'a>(
    record: &Record,
    folders: &crate::engine::Folders,
    console: &'a std::path::Path,
) -> Result<(Stdio<'a>, Either), EngineError> {
    let failed = || EngineError::system("make the container's pipes");
    if record.body.config.tty {
        let listener = socket::listen_stream(&folders.run, "console").map_err(failed())?;
        return Ok((Stdio::Console(console), Either::Console(listener)));
    }
    let (theirs, input) = if record.body.config.open_stdin {
        let (read, write) = socket::pipe().map_err(failed())?;
        (read, Some(write))
    } else {
        (File::open("/dev/null").map_err(failed())?.into(), None)
    };
    let (output, out) = socket::pipe().map_err(failed())?;
    let (error, err) = socket::pipe().map_err(failed())?;
    let streams = Streams {
        input,
        output,
        error: Some(error),
        terminal: false,
    };
    Ok((Stdio::Files([theirs, out, err]), Either::Ready(streams)))
}

fn console_streams(
    listener: &OwnedFd,
    path: &std::path::Path,
    init: i32,
) -> Result<Streams, EngineError> {
    let failed = || EngineError::system("receive the container's terminal");
    // The container's first process sends it, unless it is killed before: then nobody ever connects.
    let init = Pidfd::open(init).map_err(failed())?;
    let mut set = [PollFd::read(listener.as_fd()), PollFd::read(init.as_fd())];
    process::poll(&mut set, None).map_err(failed())?;
    if !set[0].is_ready() {
        let died = std::io::Error::other("its first process was killed");
        return Err(failed()(died));
    }
    let connection = socket::accept(listener.as_fd()).map_err(failed())?;
    let connection = connection.ok_or_else(|| failed()(std::io::ErrorKind::WouldBlock.into()))?;
    let master = socket::receive_fd(connection.as_fd()).map_err(failed())?;
    let _ = std::fs::remove_file(path);
    let input = Some(master.try_clone().map_err(failed())?);
    Ok(Streams {
        input,
        output: master,
        error: None,
        terminal: true,
    })
}

/// Executes ourselves anew, with the container's descriptors; returns only if that failed.
fn become_attendant(
    _engine: &Engine,
    id: &str,
    created: Created,
    attempt: &Attempt,
) -> std::io::Error {
    let result = (|| {
        let init = created.state.init.as_ref().map_or(0, |init| init.pid);
        let pidfd = Pidfd::open(init)?;
        let fd = |fd: &OwnedFd| fd.as_raw_fd();
        let handover = attend::Handover {
            init,
            pidfd: pidfd.as_fd().as_raw_fd(),
            output: fd(&created.streams.output),
            error: created.streams.error.as_ref().map(fd),
            input: created.streams.input.as_ref().map(fd),
            listener: fd(&created.listener),
            outside: created.outside.as_ref().map(fd),
            paused: attempt.paused,
        };
        let program = program::protected_self()?;
        let mut arguments = super::arguments(id);
        arguments.extend(handover.encode());
        Ok(program::become_program(
            program.as_fd(),
            &arguments,
            &handover.descriptors(),
        ))
    })();
    match result {
        Ok(error) | Err(error) => error,
    }
}

/// Records why the container did not come up and takes everything down.
fn fail(
    engine: &Engine,
    id: &str,
    attempt: &Attempt,
    error: EngineError,
) -> Result<(), EngineError> {
    let reason = match &error {
        EngineError::Runtime { reason, .. } => reason.clone(),
        other => other.to_string(),
    };
    let code = runtime::exit_code(&reason);
    take_down(engine, id);
    let folders = engine.folders(id);
    let now = time::rfc3339(engine.host().now());
    let outcome = Outcome {
        exit_code: code,
        error: reason.clone(),
        finished_at: now,
        restart_count: attempt.restarts,
        ..Outcome::default()
    };
    // The reason goes to the command first: if the disk is what failed, it must still be heard.
    attempt.report(&Report::Failed { reason, code });
    folders.write_outcome(&outcome)?;
    match attempt.control {
        Some(_) => Ok(()),
        // A restart by policy: nobody waits for our report.
        None => Err(error),
    }
}

/// Takes down whatever of the container is up.
fn take_down(engine: &Engine, id: &str) {
    let bundle = bundle_of(engine, id);
    // Each step on its own: what one cannot remove must not keep the others from being removed. What stays is found by
    // the next settling through the state file.
    // The processes first, with their groups.
    let groups = cgroup::remove(id, &engine.group(id));
    let runtime = runtime::forget(&bundle.borrow());
    let root = rootfs::unmount(&engine.folders(id));
    // Before anybody removes folders here: what is mounted below them is not ours to remove.
    let volumes = match engine.folders(id).record() {
        Ok(record) => volumes::unmount_all(engine, &record),
        Err(_) => Ok(()),
    };
    let network = engine.network().detach(id);
    if root.is_ok() && volumes.is_ok() && runtime.is_ok() && network.is_ok() && groups.is_ok() {
        let _ = std::fs::remove_file(engine.folders(id).run.join("state.json"));
    }
    let _ = std::fs::remove_file(engine.folders(id).run.join(attach::SOCKET));
}
