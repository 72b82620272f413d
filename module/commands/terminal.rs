//! The terminal of `exec -t`.

use std::fs::File;
use std::io::{IsTerminal, Read, Write};
use std::os::fd::AsFd;

use dray::engine::logs::Stream;
use dray::engine::{Engine, EngineError, ExecRequest, Executed};
use dray::sys::process::{self, PollFd, SignalFd};
use dray::sys::terminal::{self, Raw};

use super::foreground::{standard_input, write};
use super::keys::Keys;

const SIGHUP: i32 = 1;
const SIGTERM: i32 = 15;
const SIGWINCH: i32 = 28;
/// Exit code when somebody leaves, as Docker's client has it.
const LEFT: i32 = 1;

/// Why the connection between the terminals ended.
enum End {
    /// Nobody has the container's one open any more.
    Closed,
    /// The keys to detach were pressed.
    Detached,
    /// Ours has gone, or we are asked to end.
    Signal,
}

/// Connects our terminal with that of a process in a container until that has ended, and returns its exit code; or until
/// somebody leaves, and then it runs on.
pub fn relay(
    engine: &Engine,
    executed: Executed,
    request: &ExecRequest,
) -> Result<i32, EngineError> {
    let failed = |source| EngineError::System {
        action: "pass input and output on".into(),
        source,
    };
    let (pid, Some(terminal)) = (executed.pid, executed.terminal) else {
        return Err(failed(std::io::ErrorKind::InvalidInput.into()));
    };
    let mut terminal = File::from(terminal);
    let signals = SignalFd::new(&[SIGHUP, SIGTERM, SIGWINCH]).map_err(failed)?;
    let stdin = standard_input().map_err(failed)?;
    let raw = (request.interactive && stdin.is_terminal())
        .then(|| Raw::new(stdin.as_fd()))
        .transpose()
        .map_err(failed)?;
    let keys = Keys::new(Some(&request.detach_keys))
        .map_err(|error| failed(std::io::Error::other(error)))?;
    let input = request.interactive.then_some(stdin);
    let end = copy(&mut terminal, input, &signals, keys).map_err(failed)?;
    drop(raw);
    match end {
        End::Closed => return Ok(process::wait_child(pid).map_err(failed)?.code()),
        End::Detached => eprintln!("read escape sequence"),
        End::Signal => {}
    }
    engine.leave(terminal.into())?;
    Ok(LEFT)
}

fn copy(
    terminal: &mut File,
    mut input: Option<File>,
    signals: &SignalFd,
    mut keys: Keys,
) -> std::io::Result<End> {
    resize(terminal);
    let mut buffer = [0; 4096];
    loop {
        let mut set = [
            PollFd::read(terminal.as_fd()),
            PollFd::read(signals.as_fd()),
            input
                .as_ref()
                .map_or(PollFd::never(), |input| PollFd::read(input.as_fd())),
        ];
        process::poll(&mut set, None)?;
        match signals.take() {
            Some(SIGWINCH) => resize(terminal),
            Some(_) => return Ok(End::Signal),
            None => {}
        }
        if set[2].is_ready()
            && let Some(file) = &mut input
        {
            let read = file.read(&mut buffer)?;
            let (piece, detached) = keys.filter(&buffer[..read]);
            terminal.write_all(&piece)?;
            if detached {
                return Ok(End::Detached);
            }
            if read == 0 {
                input = None;
            }
        }
        if set[0].is_ready() {
            match terminal.read(&mut buffer) {
                // The terminal's last user has gone.
                Ok(0) | Err(_) => return Ok(End::Closed),
                Ok(read) => write(Stream::Stdout, &buffer[..read])?,
            }
        }
    }
}

fn resize(terminal: &File) {
    if let Some((rows, columns)) = terminal::size(std::io::stdout().as_fd()) {
        // The process may be ending.
        let _ = terminal::set_size(terminal.as_fd(), rows, columns);
    }
}
