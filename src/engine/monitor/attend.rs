//! Second life: copies output, probes health, serves clients, and waits for the end.

mod ending;

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use super::clients::{Clients, Wish};
use super::handover::Handover;
use super::probe;
use crate::engine::halt::SIGKILL;
use crate::engine::logs::{About, Stream, Writer};
use crate::engine::record::{Folders, Record, State};
use crate::engine::{Engine, EngineError, attach, time};
use crate::sys::process::{self, Pidfd, PollFd};
use crate::sys::{doze, freezer};

/// One read of output. The kernel's pipes hold 64 KiB; a smaller piece keeps the monitor small.
const PIECE: usize = 16 * 1024;
/// After so long without an event a monitor makes itself small.
const QUIET: Duration = Duration::from_secs(1);
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
    /// When the time is over that somebody gave it to stop.
    kill_at: Option<Instant>,
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
            kill_at: None,
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
            let grace = self
                .kill_at
                .map(|at| at.saturating_duration_since(Instant::now()));
            let timeouts = probe.into_iter().chain(self.log.retry_in()).chain(grace);
            self.rest(&mut set, timeouts.min())?;
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
            self.kill_in_time();
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
            Wish::ClientLeft | Wish::Nudge(None) => {}
            Wish::Nudge(Some(grace)) => {
                let at = Instant::now().checked_add(grace);
                self.kill_at = self.kill_at.into_iter().chain(at).min();
            }
            Wish::Resize(rows, columns) => {
                if let Some(terminal) = self.output.as_ref().filter(|_| self.record.body.config.tty)
                {
                    // The terminal may be closing.
                    let _ = crate::sys::terminal::set_size(terminal.as_fd(), rows, columns);
                }
            }
        }
    }

    /// Ends a container that has not stopped in the time that it was given. Whoever asked it to does the same, unless he was
    /// killed meanwhile.
    fn kill_in_time(&mut self) {
        let is_due = |at: &mut Instant| *at <= Instant::now();
        let is_unwanted = || self.folders.intent().is_ok_and(|intent| !intent.running);
        if self.kill_at.take_if(is_due).is_some() && is_unwanted() {
            // One that has ended just now is what was wanted; one that stands still would not hear it.
            let _ = self.pidfd.signal(SIGKILL);
            let _ = freezer::thaw(&self.record.group());
        }
    }

    /// Closes the input pipe. A terminal has no end of input but the character for it, which the client sends itself.
    fn end_input(&mut self) {
        if !self.record.body.config.tty {
            self.input = None;
        }
    }
}

fn state_packet(state: &State) -> Vec<u8> {
    let mut packet = vec![attach::STATE];
    // A State always serialises: its maps have text keys.
    packet.extend(serde_json::to_vec(state).unwrap_or_default());
    packet
}
