//! The container's input and output: pipes that we make, or the terminal that its first process sends.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use crate::engine::record::{Folders, Record};
use crate::engine::runtime::Stdio;
use crate::engine::{EngineError, volumes};
use crate::runargs::volume::clean;
use crate::sys::process::{self, Pidfd, PollFd};
use crate::sys::{socket, terminal};

/// Name of the socket for the terminal, in the container's run folder.
pub(super) const CONSOLE: &str = "console";

/// Our ends of the container's input and output.
pub(super) struct Streams {
    /// Absent where the container's input is empty.
    pub input: Option<OwnedFd>,
    pub output: OwnedFd,
    /// Absent with a terminal.
    pub error: Option<OwnedFd>,
}

/// Streams that are here already, or the socket for a terminal.
pub(super) enum Awaited {
    Ready(Streams),
    Console(OwnedFd),
}

/// Where terminals are made for a container that has somebody else's in place of its own, such as the host's by
/// `-v /dev:/dev`: any other one would have no name in it.
pub(in crate::engine) fn foreign_terminals(run: &Path, record: &Record) -> Option<PathBuf> {
    let at = |place: &str| {
        let mut mounts = record.mounts.iter();
        let number = mounts.position(|mount| clean(&mount.destination) == place)?;
        let made_by = volumes::source_of(run, record, number).join("ptmx");
        made_by.exists().then_some(made_by)
    };
    at("/dev/pts").or_else(|| at("/dev"))
}

/// What the container's first process gets, and our side of it; a terminal of its own will be sent to the socket `console`.
pub(super) fn offer<'a>(
    record: &Record,
    folders: &Folders,
    console: &'a Path,
    foreign: Option<&Path>,
) -> Result<(Stdio<'a>, Awaited), EngineError> {
    let failed = || EngineError::system("make the container's pipes");
    if let Some(foreign) = foreign.filter(|_| record.body.config.tty) {
        let failed = || EngineError::system(format!("make a terminal by {}", foreign.display()));
        let (shows, own) = terminal::pair(foreign).map_err(failed())?;
        let again = |fd: &OwnedFd| fd.try_clone().map_err(failed());
        let streams = Streams {
            input: Some(again(&shows)?),
            output: shows,
            error: None,
        };
        let files = [again(&own)?, again(&own)?, own];
        return Ok((Stdio::Terminal(files), Awaited::Ready(streams)));
    }
    if record.body.config.tty {
        let listener = socket::listen_stream(&folders.run, CONSOLE).map_err(failed())?;
        return Ok((Stdio::Console(console), Awaited::Console(listener)));
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
    };
    Ok((Stdio::Files([theirs, out, err]), Awaited::Ready(streams)))
}

impl Awaited {
    /// Our side, once the first process, `init`, exists.
    pub(super) fn receive(self, console: &Path, init: i32) -> Result<Streams, EngineError> {
        match self {
            Awaited::Ready(streams) => Ok(streams),
            Awaited::Console(listener) => sent(&listener, console, init),
        }
    }
}

fn sent(listener: &OwnedFd, path: &Path, init: i32) -> Result<Streams, EngineError> {
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
    Ok(Streams {
        input: Some(master.try_clone().map_err(failed())?),
        output: master,
        error: None,
    })
}
