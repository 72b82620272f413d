//! Runs health probes: a process of our own per probe, which enters the container, so that the monitor stays small.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::process::Child;
use std::time::{Duration, Instant};

use crate::engine::health::{Check, KEPT_OUTPUT};
use crate::engine::record::{Health, Probe, Record};
use crate::engine::{Engine, exec, time};
use crate::sys::freezer;
use crate::sys::process::{self, PollFd};
use crate::sys::program::{self, Spawn};
use crate::sys::socket;

/// Exit code of a probe that did not end in time, as Docker records it.
const TIMED_OUT: i32 = -1;

/// When the next probe is due, or the one that runs.
pub(super) struct Schedule {
    group: String,
    check: Check,
    started: Instant,
    due: Instant,
    running: Option<Running>,
}

struct Running {
    child: Child,
    output: File,
    kept: Vec<u8>,
    start: String,
    began: Instant,
    deadline: Instant,
}

impl Schedule {
    /// `None` for a container without a check.
    pub fn new(record: &Record) -> Option<Schedule> {
        let check = Check::of(&record.body.config)?;
        let started = Instant::now();
        let due = started + check.pause(&crate::engine::health::starting(), Duration::ZERO);
        Some(Schedule {
            group: record.group(),
            check,
            started,
            due,
            running: None,
        })
    }

    /// Output of the probe that runs.
    pub fn poll_fd(&self) -> PollFd {
        self.running.as_ref().map_or(PollFd::never(), |running| {
            PollFd::read(running.output.as_fd())
        })
    }

    /// Time until something has to be done even if nothing happens.
    pub fn due_in(&self, now: Instant) -> Duration {
        let at = self
            .running
            .as_ref()
            .map_or(self.due, |running| running.deadline);
        at.saturating_duration_since(now)
    }

    /// Does what is due; true if `health` changed.
    pub fn step(&mut self, engine: &Engine, id: &str, health: &mut Health, ready: bool) -> bool {
        let now = Instant::now();
        let Some(running) = &mut self.running else {
            if now >= self.due && freezer::is_frozen(&self.group) {
                self.due = now + self.check.interval;
            } else if now >= self.due {
                match start(engine, id, self.check.timeout) {
                    Ok(running) => self.running = Some(running),
                    Err(error) => {
                        return self.finish(
                            engine,
                            health,
                            None,
                            format!("failed to start the probe: {error}"),
                        );
                    }
                }
            }
            return false;
        };
        if ready && !running.read() {
            let code = running.child.wait().ok().and_then(|status| status.code());
            let output = String::from_utf8_lossy(&running.kept).into_owned();
            return self.finish(engine, health, code, output);
        }
        if now >= running.deadline && freezer::is_frozen(&self.group) {
            // Standing still with the container, it cannot even be ended.
            running.deadline = now + self.check.timeout;
        }
        if now >= running.deadline {
            let output = format!("Health check exceeded timeout ({:?})", self.check.timeout);
            running.stop();
            return self.finish(engine, health, Some(TIMED_OUT), output);
        }
        false
    }

    fn finish(
        &mut self,
        engine: &Engine,
        health: &mut Health,
        code: Option<i32>,
        output: String,
    ) -> bool {
        let end = time::rfc3339(engine.host().now());
        let (start, began) = match self.running.take() {
            Some(running) => (running.start, running.began),
            None => (end.clone(), Instant::now()),
        };
        let probe = Probe {
            start,
            end,
            exit_code: code.unwrap_or(TIMED_OUT),
            output,
        };
        // What began in the start period does not count, however long it took.
        self.check.judge(health, probe, began - self.started);
        self.due = Instant::now() + self.check.pause(health, self.started.elapsed());
        true
    }
}

impl Drop for Schedule {
    fn drop(&mut self) {
        if let Some(running) = &mut self.running {
            running.stop();
        }
    }
}

fn start(engine: &Engine, id: &str, timeout: Duration) -> std::io::Result<Running> {
    let (output, theirs) = socket::pipe()?;
    let program = program::protected_self()?;
    let child = program::spawn(&Spawn {
        program: program.as_fd(),
        args: exec::probe_arguments(id),
        env: vec![(
            "DRAY_CONFIG".to_owned(),
            engine.host().config.display().to_string(),
        )],
        fds: Vec::new(),
        stdio: [None, Some(theirs.as_fd()), Some(theirs.as_fd())],
        detach: true,
    })?;
    let (now, start) = (Instant::now(), time::rfc3339(engine.host().now()));
    Ok(Running {
        child,
        output: output.into(),
        kept: Vec::new(),
        start,
        began: now,
        deadline: now + timeout,
    })
}

impl Running {
    /// Reads what the probe printed and keeps its beginning; false at its end.
    fn read(&mut self) -> bool {
        let mut buffer = [0; 1024];
        match self.output.read(&mut buffer) {
            Ok(0) | Err(_) => false,
            Ok(read) => {
                let room = KEPT_OUTPUT - self.kept.len();
                self.kept.extend_from_slice(&buffer[..read.min(room)]);
                true
            }
        }
    }

    /// Ends the probe: the process that entered for us kills the one inside when it is asked to end.
    fn stop(&mut self) {
        if let Ok(Some(process)) =
            process::ProcessId::of(self.child.id() as i32).and_then(|id| id.open())
        {
            // Gone already is as good.
            let _ = process.signal(15);
        }
        let _ = self.child.wait();
    }
}
