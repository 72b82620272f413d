//! The monitor's packet socket, `attach` in the container's run folder: output, input, size and events.
//!
//! ```text
//! first byte  from a client                     from the monitor
//! w           send me events                    -
//! a           send me output and events         -
//! i           input; empty: end of input        -
//! r           terminal size: rows, columns (2 × u16)  -
//! n           look at the intent again          -
//! o / e       -                                 output / error output
//! s           -                                 State as JSON, at the start and at each change
//! ```
//!
//! The monitor closes a connection when the container has ended for good.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use super::logs::Stream;
use super::record::State;
use super::{Engine, EngineError, Folders};
use crate::sys::process::{self, PollFd};
use crate::sys::socket;

pub(super) const SOCKET: &str = "attach";
pub(super) const WATCH: u8 = b'w';
pub(super) const ATTACH: u8 = b'a';
pub(super) const INPUT: u8 = b'i';
pub(super) const RESIZE: u8 = b'r';
pub(super) const NUDGE: u8 = b'n';
pub(super) const OUTPUT: u8 = b'o';
pub(super) const ERROR_OUTPUT: u8 = b'e';
pub(super) const STATE: u8 = b's';
/// Longest packet: a piece of output or input, or a state with five probes.
pub(super) const PACKET_LIMIT: usize = 64 * 1024;

/// What a monitor sent.
#[derive(Debug)]
pub enum Attached {
    /// The container wrote this.
    Output(Stream, Vec<u8>),
    /// What is going on changed.
    State(Box<State>),
    /// The container has ended for good, or its monitor was killed.
    Closed,
}

/// A connection to a monitor.
#[derive(Debug)]
pub struct Session {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl Engine {
    /// Connects to the monitor of container `id`; `None` if there is none. With `output` what the container writes from
    /// now on arrives too.
    pub fn attach(&self, id: &str, output: bool) -> Result<Option<Session>, EngineError> {
        Ok(Session::connect(
            &self.folders(id),
            if output { ATTACH } else { WATCH },
        ))
    }
}

impl Session {
    pub(super) fn connect(folders: &Folders, request: u8) -> Option<Session> {
        let socket = socket::connect_packets(&folders.run, SOCKET).ok()?;
        socket::send(socket.as_fd(), &[request]).ok()?;
        Some(Session {
            socket,
            buffer: vec![0; PACKET_LIMIT],
        })
    }

    /// The next thing that the monitor sends; `None` if the time is over first.
    pub fn next(&mut self, timeout: Option<Duration>) -> std::io::Result<Option<Attached>> {
        let mut set = [PollFd::read(self.socket.as_fd())];
        if process::poll(&mut set, timeout)? == 0 {
            return Ok(None);
        }
        self.take()
    }

    /// What has arrived already; `None` if nothing has.
    pub fn take(&mut self) -> std::io::Result<Option<Attached>> {
        let Some(length) = socket::receive(self.socket.as_fd(), &mut self.buffer, false)? else {
            return Ok(None);
        };
        let Some((kind, content)) = self.buffer[..length].split_first() else {
            return Ok(Some(Attached::Closed));
        };
        Ok(Some(match *kind {
            OUTPUT => Attached::Output(Stream::Stdout, content.to_vec()),
            ERROR_OUTPUT => Attached::Output(Stream::Stderr, content.to_vec()),
            _ => Attached::State(serde_json::from_slice(content)?),
        }))
    }

    /// Passes input on; an empty piece ends it.
    pub fn input(&self, piece: &[u8]) -> std::io::Result<()> {
        socket::send(self.socket.as_fd(), &[&[INPUT], piece].concat())
    }

    /// Passes the terminal's size on.
    pub fn resize(&self, rows: u16, columns: u16) -> std::io::Result<()> {
        let [a, b] = rows.to_be_bytes();
        let [c, d] = columns.to_be_bytes();
        socket::send(self.socket.as_fd(), &[RESIZE, a, b, c, d])
    }
}

impl AsFd for Session {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Makes a monitor look at its container's intent, and kill a container that is to stop and has not in `grace`; no monitor is fine,
/// and so is one that has enough to look at.
pub(super) fn nudge(folders: &Folders, grace: Option<Duration>) {
    let mut packet = vec![NUDGE];
    let grace = grace.and_then(|grace| u64::try_from(grace.as_millis()).ok());
    packet.extend(grace.into_iter().flat_map(u64::to_be_bytes));
    if let Ok(socket) = socket::connect_packets_now(&folders.run, SOCKET) {
        // It may be ending just now.
        let _ = socket::send(socket.as_fd(), &packet);
    }
}
