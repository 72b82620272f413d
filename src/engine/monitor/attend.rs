//! Second life: copies output, probes health, serves clients, and waits for the end.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use super::attempt::Attempt;
use super::clients::{Clients, PATIENCE, Wish};
use super::handover::Handover;
use super::{launch, probe};
use crate::engine::files::NetworkMode;
use crate::engine::logs::{About, Stream, Writer};
use crate::engine::record::{Folders, Intent, Record, State, Status};
use crate::engine::{Engine, EngineError, attach, restart, teardown, time};
use crate::sys::process::{self, Pidfd, PollFd};
use crate::sys::program;
use crate::sys::{cgroup, doze};

/// One read of output. The kernel's pipes hold 64 KiB; a smaller piece keeps the monitor small.
const PIECE: usize = 16 * 1024;
/// After so long without an event a monitor makes itself small.
const QUIET: Duration = Duration::from_secs(1);
/// How long the network stays when its last container has ended.
const LINGER: Duration = Duration::from_secs(1);
/// How long output that is still in the pipes is waited for once the container has ended and somebody else holds them open.
const DRAIN: Duration = Duration::from_millis(100);

/// A container that runs.
struct Attendant<'a> {
    engine: &'a Engine,
    folders: Folders,
    record: Record,
    state: State,
    log: Writer,
    clients: Clients,
    init: i32,
    pidfd: Pidfd,
    output: Option<File>,
    error: Option<File>,
    input: Option<File>,
    outside: Option<OwnedFd>,
    probe: Option<probe::Schedule>,
    started: Instant,
    paused: Duration,
}

/// Attends the container until it has ended for good, or becomes its first life again.
pub(super) fn run(engine: &Engine, id: &str, words: &[String]) -> Result<(), EngineError> {
    let handover =
        Handover::decode(words).ok_or_else(|| EngineError::NotFound(format!("{id} {words:?}")))?;
    let mut attendant = Attendant::take_over(engine, id, &handover)?;
    let code = attendant
        .serve()
        .map_err(EngineError::system(format!("attend container {id}")))?;
    attendant.end(code)
}

fn take(fd: RawFd) -> Result<OwnedFd, EngineError> {
    process::inherited(fd).map_err(EngineError::system("take over a descriptor"))
}

impl<'a> Attendant<'a> {
    fn take_over(
        engine: &'a Engine,
        id: &str,
        handover: &Handover,
    ) -> Result<Attendant<'a>, EngineError> {
        let folders = engine.folders(id);
        let record = folders.record()?;
        let missing = || EngineError::RecordMissing {
            path: folders.run.join("state.json"),
        };
        let state = folders.now(&engine.host().boot_id)?.ok_or_else(missing)?;
        let log = Writer::new(
            &record.body.host_config.log_config,
            &About::of(&record, engine.host()),
            &folders.state.join("logs"),
        )
        .map_err(|error| EngineError::Unsupported {
            option: "--log-driver".into(),
            reason: error.to_string(),
        })?;
        let open = |fd: RawFd| -> Result<File, EngineError> { Ok(take(fd)?.into()) };
        let attendant = Attendant {
            engine,
            state,
            log,
            clients: Clients::new(take(handover.listener)?),
            init: handover.init,
            pidfd: Pidfd::from_fd(take(handover.pidfd)?),
            output: Some(open(handover.output)?),
            error: handover.error.map(open).transpose()?,
            input: handover.input.map(open).transpose()?,
            outside: handover.outside.map(take).transpose()?,
            probe: probe::Schedule::new(&record),
            started: engine.host().instant(),
            paused: handover.paused,
            folders,
            record,
        };
        attendant.publish_state()?;
        Ok(attendant)
    }

    fn publish_state(&self) -> Result<(), EngineError> {
        self.folders.write_now(&self.state)
    }

    fn tell_state(&mut self) {
        // A full tmpfs must not end the container; clients still hear it.
        let _ = self.publish_state();
        self.clients.tell(&state_packet(&self.state));
    }

    /// Until the container's first process has ended; its exit code.
    fn serve(&mut self) -> io::Result<i32> {
        let mut buffer = vec![0; PIECE];
        let hello = state_packet(&self.state);
        let wishes = self.clients.admit(&hello);
        wishes.into_iter().for_each(|wish| self.grant(wish));
        loop {
            // A client that does not take its output holds the container's output back, as a terminal would.
            // So does whoever takes its log.
            let flowing = !self.clients.is_congested() && !self.log.is_congested();
            let stream = |file: &Option<File>| match file {
                Some(file) if flowing => PollFd::read(file.as_fd()),
                _ => PollFd::never(),
            };
            let mut set = vec![
                PollFd::read(self.pidfd.as_fd()),
                stream(&self.output),
                stream(&self.error),
                self.probe
                    .as_ref()
                    .map_or(PollFd::never(), probe::Schedule::poll_fd),
                self.log.poll_fd(),
            ];
            set.extend(self.clients.poll_fds());
            let probe = self.probe.as_ref();
            let probe = probe.map(|probe| probe.due_in(Instant::now()));
            let timeout = probe.into_iter().chain(self.log.retry_in()).min();
            self.rest(&mut set, timeout)?;
            if set[1].is_ready() {
                self.copy(Stream::Stdout, &mut buffer);
            }
            if set[2].is_ready() {
                self.copy(Stream::Stderr, &mut buffer);
            }
            self.probe_health(set[3].is_ready());
            if set[4].is_ready() || self.log.retry_in().is_some_and(|left| left.is_zero()) {
                self.resume_log();
            }
            self.hear_clients(&set[5..]);
            if set[0].is_ready() {
                let exit = process::wait_child(self.init)?;
                self.drain(&mut buffer)?;
                return Ok(exit.code());
            }
        }
    }

    /// Waits for something to happen; small once nothing has for a while.
    fn rest(&self, set: &mut [PollFd], timeout: Option<Duration>) -> io::Result<()> {
        let first = timeout.map_or(QUIET, |timeout| timeout.min(QUIET));
        if process::poll(set, Some(first))? > 0 || timeout.is_some_and(|timeout| timeout <= QUIET) {
            return Ok(());
        }
        doze::poll(set, timeout.map(|timeout| timeout - QUIET)).map(drop)
    }

    /// Copies one piece of output to the log and the clients; forgets the stream at its end.
    fn copy(&mut self, stream: Stream, buffer: &mut [u8]) {
        let file = match stream {
            Stream::Stdout => &mut self.output,
            Stream::Stderr => &mut self.error,
        };
        let read = match file.as_mut().map(|file| file.read(buffer)) {
            Some(Ok(read)) => read,
            Some(Err(error)) if error.kind() == io::ErrorKind::Interrupted => return,
            // A terminal whose last user has gone reports an I/O error: its end.
            _ => 0,
        };
        if read == 0 {
            *file = None;
            return;
        }
        let now = time::rfc3339(self.engine.host().now());
        if let Err(error) = self.log.write(stream, &buffer[..read], &now) {
            self.report_lost_log(&error);
        }
        let kind = if stream == Stream::Stdout {
            attach::OUTPUT
        } else {
            attach::ERROR_OUTPUT
        };
        self.clients.output(kind, &buffer[..read]);
    }

    fn resume_log(&mut self) {
        let now = time::rfc3339(self.engine.host().now());
        if let Err(error) = self.log.resume(&now) {
            self.report_lost_log(&error);
        }
    }

    /// A full disk must not stop the container; inspect shows that log lines are missing, and why they last were.
    fn report_lost_log(&mut self, error: &io::Error) {
        let said = format!("failed to write the log: {error}");
        if self.state.outcome.error != said {
            self.state.outcome.error = said;
            self.tell_state();
        }
    }

    /// Copies what is left in the pipes. Processes that outlived the first one may hold them open.
    fn drain(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        while self.output.is_some() || self.error.is_some() {
            let flowing = !self.log.is_congested();
            let stream = |file: &Option<File>| match file {
                Some(file) if flowing => PollFd::read(file.as_fd()),
                _ => PollFd::never(),
            };
            let mut set = [
                stream(&self.output),
                stream(&self.error),
                self.log.poll_fd(),
            ];
            if process::poll(&mut set, Some(DRAIN))? == 0 {
                break;
            }
            if set[0].is_ready() {
                self.copy(Stream::Stdout, buffer);
            }
            if set[1].is_ready() {
                self.copy(Stream::Stderr, buffer);
            }
            if set[2].is_ready() {
                self.resume_log();
            }
            self.clients.flush();
        }
        if let Err(error) = self.log.finish(&time::rfc3339(self.engine.host().now())) {
            self.report_lost_log(&error);
        }
        Ok(())
    }

    fn probe_health(&mut self, ready: bool) {
        let Some(probe) = &mut self.probe else { return };
        let Some(health) = &mut self.state.health else {
            return;
        };
        if probe.step(self.engine, &self.record.id, health, ready) {
            self.tell_state();
        }
    }

    fn hear_clients(&mut self, set: &[PollFd]) {
        let hello = state_packet(&self.state);
        let wishes = self.clients.hear(set, &hello);
        wishes.into_iter().for_each(|wish| self.grant(wish));
    }

    fn grant(&mut self, wish: Wish) {
        match wish {
            Wish::Input(piece) => {
                let gone = |input: &mut File| input.write_all(&piece).is_err();
                if self.input.as_mut().is_some_and(gone) {
                    self.input = None;
                }
            }
            Wish::EndOfInput => self.end_input(),
            Wish::ClientLeft if self.record.body.config.stdin_once => self.end_input(),
            Wish::ClientLeft | Wish::Nudge => {}
            Wish::Resize(rows, columns) => {
                if let Some(terminal) = self.output.as_ref().filter(|_| self.record.body.config.tty)
                {
                    // The terminal may be closing.
                    let _ = crate::sys::terminal::set_size(terminal.as_fd(), rows, columns);
                }
            }
        }
    }

    /// Closes the input pipe. A terminal has no end of input but the character for it, which the client sends itself.
    fn end_input(&mut self) {
        if !self.record.body.config.tty {
            self.input = None;
        }
    }

    /// The container has ended: records it, takes it down, and asks the policy.
    fn end(mut self, code: i32) -> Result<(), EngineError> {
        let outcome = &mut self.state.outcome;
        outcome.exit_code = code;
        outcome.oom_killed = cgroup::oom_kills(&self.record.group()) > 0;
        outcome.finished_at = time::rfc3339(self.engine.host().now());
        let end = restart::End {
            exit_code: code,
            ran: self.started.elapsed(),
            paused: self.paused,
            restarts: outcome.restart_count,
            stopped: !self.folders.intent()?.running,
        };
        outcome.last_health = self.state.health.take();
        self.state.init = None;
        self.take_down()?;
        let policy = &self.record.body.host_config.restart_policy;
        match restart::decide(policy, &end) {
            restart::Next::Stay => {
                if policy.name == "on-failure" && !end.stopped {
                    // The next boot must not start what ended well or has failed often enough.
                    self.folders.write_intent(Intent { running: false })?;
                }
                self.stay()
            }
            restart::Next::Restart(pause) => self.again(pause),
        }
    }

    fn take_down(&mut self) -> Result<(), EngineError> {
        let id = &self.record.id;
        teardown::take_down(self.engine, id, Some(&self.record))?;
        // One without a network may have been put on one meanwhile.
        if let NetworkMode::Bridge | NetworkMode::None = NetworkMode::of(&self.record) {
            self.engine.network().release(id)?;
        }
        Ok(())
    }

    /// Removes a container with `--rm`. Where the disk takes nothing any more it stays, ended, as any other one.
    fn is_removed(&self) -> Result<bool, EngineError> {
        if !self.record.goes_with_boot() {
            return Ok(false);
        }
        match self.engine.remove_stopped(&self.record, true) {
            Err(error) if error.is_read_only() => Ok(false),
            removed => removed.map(|()| true),
        }
    }

    /// Ended for good.
    fn stay(mut self) -> Result<(), EngineError> {
        self.state.status = Status::Exited;
        if !self.is_removed()? {
            self.folders.write_outcome(&self.state.outcome)?;
            // From here on the outcome on disk speaks: without a monitor there is nothing going on.
            let _ = std::fs::remove_file(self.folders.run.join("state.json"));
            let _ = std::fs::remove_file(self.folders.run.join(attach::SOCKET));
        }
        self.clients.tell(&state_packet(&self.state));
        if self.clients.is_owed() {
            // They may let it wait for ever, stopped as they are: in a process of its own too.
            let failed = || EngineError::system("leave slow clients behind");
            if program::go_on_in_background().map_err(failed())? {
                self.clients.close(PATIENCE);
                return Ok(());
            }
        }
        drop(self.clients);
        if NetworkMode::of(&self.record) == NetworkMode::Bridge {
            // Whoever comes next finds bridge and rules there, which the kernel takes tens of milliseconds to remove and to
            // make again. In a process of its own: whoever waits for this one waits for its container.
            let _network = self.engine.network().keep()?;
            let failed = || EngineError::system("leave the network behind");
            if !program::go_on_in_background().map_err(failed())? {
                return Ok(());
            }
            process::poll(&mut [], Some(LINGER)).map_err(failed())?;
        }
        // Bridge or not: what an earlier monitor was killed before tidying goes too.
        self.engine.network().tidy()?;
        Ok(())
    }

    /// Pauses, then becomes the first life again, unless somebody stops the container meanwhile.
    fn again(mut self, pause: Duration) -> Result<(), EngineError> {
        self.state.status = Status::Restarting;
        self.tell_state();
        let id = self.record.id.clone();
        let failed = || EngineError::system(format!("pause before restarting {id}"));
        let deadline = Instant::now() + pause;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let mut set = self.clients.poll_fds();
            if process::poll(&mut set, Some(left)).map_err(failed())? == 0 {
                break;
            }
            self.hear_clients(&set);
            if !self.folders.intent()?.running {
                return self.stay();
            }
        }
        let lock = self.engine.lock(&id)?;
        if !self.folders.intent()?.running {
            drop(lock);
            return self.stay();
        }
        let restarts = self.state.outcome.restart_count + 1;
        let listener = self.clients.into_listener();
        let attempt = Attempt::again((listener, lock), self.outside, restarts, pause);
        launch::run(self.engine, &id, attempt)
    }
}

fn state_packet(state: &State) -> Vec<u8> {
    let mut packet = vec![attach::STATE];
    // A State always serialises: its maps have text keys.
    packet.extend(serde_json::to_vec(state).unwrap_or_default());
    packet
}
