//! First life: from a record to a running program.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;

use super::attempt::Attempt;
use super::handover::Handover;
use super::streams::{self, Streams};
use super::{BundlePaths, Report, bundle_of};
use crate::engine::files;
use crate::engine::health::{Check, starting};
use crate::engine::logs::{About, Writer};
use crate::engine::propagation::{self, Travels};
use crate::engine::record::{Folders, Outcome, Record, State, Status};
use crate::engine::runtime::{self, First};
use crate::engine::share::Joined;
use crate::engine::{
    Engine, EngineError, attach, foresee, limits, networks, rootfs, time, volumes,
};
use crate::sys::process::{Pidfd, ProcessId};
use crate::sys::program;
use crate::sys::{bpf, cgroup, fs, mount, socket};

/// A container whose process waits.
struct Created {
    bundle: BundlePaths,
    folders: Folders,
    record: Record,
    state: State,
    listener: OwnedFd,
    outside: Option<OwnedFd>,
    streams: Streams,
    report: OwnedFd,
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
            let failed = become_attendant(id, &created, &attempt);
            let error = EngineError::system("become the attendant")(failed);
            fail(engine, id, &attempt, error)
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
    created.state.outcome.never_started = false;
    // With the state, not with the first probe: nobody must take it for a container without a check.
    created.state.health = Check::of(&created.record.body.config).map(|_| starting());
    created.folders.write_now(&created.state)?;
    Ok(Some(created))
}

fn create(engine: &Engine, id: &str, attempt: &Attempt) -> Result<Created, EngineError> {
    let folders = engine.folders(id);
    let record = folders.record()?;
    if attempt.control.is_some() {
        reach_log(engine, &record, &folders)?;
    }
    let mut state = first_state(engine, &folders, attempt)?;
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
    let ground = Ground::lay(engine, &record, &folders, outside.as_ref())?;
    let (pid, streams, report) = make_process(engine, &record, &folders, attempt, ground)?;
    state.init =
        Some(ProcessId::of(pid).map_err(EngineError::system("read the container's process"))?);
    folders.write_now(&state)?;
    if let Some(first) = networks::furnish(engine, &record, pid)?.first() {
        files::write_hosts(engine, &record, &folders, Some(first))?;
    }
    Ok(Created {
        bundle: bundle_of(engine, id),
        folders,
        record,
        state,
        listener,
        outside,
        streams,
        report,
    })
}

/// What a first attempt goes on telling of the run before it, if there was one. To be called before the word to go, which
/// writes that the container is meant to run.
fn earlier_run(folders: &Folders) -> Result<Outcome, EngineError> {
    Ok(match folders.outcome()? {
        Some(last) => Outcome {
            started_at: last.started_at,
            finished_at: last.finished_at,
            never_started: last.never_started,
            ..Outcome::default()
        },
        // Meant to run and never ended: the power went away under it.
        None => Outcome {
            never_started: !folders.intent()?.running,
            ..Outcome::default()
        },
    })
}

/// What is going on before there is a process.
fn first_state(
    engine: &Engine,
    folders: &Folders,
    attempt: &Attempt,
) -> Result<State, EngineError> {
    // A restart by policy goes on telling how it ended last, and any start tells when.
    let ended = match attempt.earlier {
        Some(_) => folders.now(&engine.host().boot_id)?.map(|now| now.outcome),
        None => Some(earlier_run(folders)?),
    };
    Ok(State {
        boot_id: engine.host().boot_id.clone(),
        status: Status::Prepared,
        monitor: ProcessId::own().map_err(EngineError::system("read our own process"))?,
        init: None,
        outcome: Outcome {
            restart_count: attempt.restarts,
            last_health: None,
            ..ended.unwrap_or_default()
        },
        health: None,
    })
}

/// What the runtime finds in place when it makes the container: mounts in a namespace of the monitor's own, and files. What
/// is held here is needed until the container has its own.
struct Ground {
    travels: Travels,
    /// What makes its terminals, if that is somebody else's.
    terminals: Option<PathBuf>,
    /// The program that guards devices where control groups do not.
    guard: Option<Vec<bpf::Instruction>>,
    _subpaths: volumes::Subpaths,
    _joined: Joined,
}

impl Ground {
    fn lay(
        engine: &Engine,
        record: &Record,
        folders: &Folders,
        outside: Option<&OwnedFd>,
    ) -> Result<Ground, EngineError> {
        mount::private_namespace()
            .map_err(EngineError::system("enter a mount namespace of our own"))?;
        let root = rootfs::mount(engine, record, folders)?;
        let working_dir = &record.body.config.working_dir;
        rootfs::make_folder(&root, working_dir).map_err(EngineError::system(format!(
            "create working directory {working_dir}"
        )))?;
        foresee::start(record, &root)?;
        volumes::mount_all(engine, record)?;
        volumes::fill(&root, &engine.host().run, record, volumes::is_filled)?;
        let subpaths = volumes::Subpaths::mount(engine, record)?;
        foresee::mount_points(engine, record)?;
        let travels = Travels::of(engine, record, outside)?;
        let joined = Joined::find(engine, record, &folders.run)?;
        let guard = files::write_all(engine, record, folders, &root, &joined)?;
        fs::create_dirs(&engine.host().run.join("runtime"))
            .map_err(EngineError::system("make the runtime's folder"))?;
        Ok(Ground {
            travels,
            terminals: streams::foreign_terminals(&engine.host().run, record),
            guard,
            _subpaths: subpaths,
            _joined: joined,
        })
    }
}

/// Has the runtime make the container's first process, with all its limits: its pid, our side of its streams, and where it
/// reports why it cannot execute the program.
fn make_process(
    engine: &Engine,
    record: &Record,
    folders: &Folders,
    attempt: &Attempt,
    ground: Ground,
) -> Result<(i32, Streams, OwnedFd), EngineError> {
    let (report, theirs) = socket::pipe().map_err(EngineError::system("make a pipe"))?;
    let console = folders.run.join(streams::CONSOLE);
    let foreign = ground.terminals.as_deref();
    let (stdio, awaited) = streams::offer(record, folders, &console, foreign)?;
    let first = First {
        init: record.body.host_config.init == Some(true),
        report: theirs.as_raw_fd(),
        release: &attempt.shared(),
        travels: &ground.travels.list,
    };
    let pid = runtime::create(&bundle_of(engine, &record.id).borrow(), stdio, first).map_err(
        |reason| EngineError::Runtime {
            action: "create",
            name: record.name.clone(),
            reason: explained(engine, record, folders, reason),
        },
    )?;
    drop(theirs);
    limits::apply(&record.group(), pid, &record.body.host_config)?;
    if let Some(program) = &ground.guard {
        // Before the word to go: none of the container's own programs ever runs without it.
        bpf::filter_devices(&cgroup::unified_group(&record.group()), program)
            .map_err(EngineError::system("guard the container's devices"))?;
    }
    Ok((pid, awaited.receive(&console, pid)?, report))
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

/// The runtime says neither which mount nor which setting the kernel refuses.
fn explained(engine: &Engine, record: &Record, folders: &Folders, reason: String) -> String {
    if reason.contains("failed to prepare rootfs") {
        let failed = foresee::failed_mount(engine, record, &folders.run.join("rootfs"));
        return failed.unwrap_or(reason);
    }
    with_sysctls(reason, record)
}

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

/// Docker's: a container whose log cannot be taken is not started; once it runs nobody takes it down for that.
fn reach_log(engine: &Engine, record: &Record, folders: &Folders) -> Result<(), EngineError> {
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

/// Executes ourselves anew, with the container's descriptors; returns only if that failed.
fn become_attendant(id: &str, created: &Created, attempt: &Attempt) -> std::io::Error {
    let result = (|| {
        let init = created.state.init.as_ref().map_or(0, |init| init.pid);
        let pidfd = Pidfd::open(init)?;
        let fd = |fd: &OwnedFd| fd.as_raw_fd();
        let handover = Handover {
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
    let folders = engine.folders(id);
    let begun = folders.now(&engine.host().boot_id).ok().flatten();
    // Whatever cannot be read is not what failed first.
    let before = match begun {
        Some(begun) => begun.outcome,
        None => earlier_run(&folders).unwrap_or_default(),
    };
    take_down(engine, id);
    let finished_at = match before.finished_at.is_empty() && !before.never_started {
        true => time::rfc3339(engine.host().now()),
        false => before.finished_at,
    };
    let outcome = Outcome {
        exit_code: runtime::state_code(&reason),
        oom_killed: false,
        error: reason.clone(),
        finished_at,
        restart_count: attempt.restarts,
        ..before
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
    let folders = engine.folders(id);
    // Before anybody removes folders here: what is mounted below them is not ours to remove.
    if engine.take_down(id, None).is_ok() {
        let _ = std::fs::remove_file(folders.run.join("state.json"));
    }
    let _ = std::fs::remove_file(folders.run.join(attach::SOCKET));
}
