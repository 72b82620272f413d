//! Clients of a monitor: those who watch, and those who are attached to input and output.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use crate::engine::attach::{ATTACH, INPUT, NUDGE, PACKET_LIMIT, RESIZE, WATCH};
use crate::sys::process::{self, PollFd};
use crate::sys::socket;

/// More clients than this wait to be accepted; a monitor stays small.
const MOST: usize = 16;
/// Packets that wait for a client before the container's output is held back.
const MOST_PENDING: usize = 8;
/// How long a client may leave output of an ended container in the pipe, as a pager does, before it is cut off.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// What a client wants.
#[derive(Debug)]
pub(super) enum Wish {
    /// Pass this on to the container.
    Input(Vec<u8>),
    /// No more input comes.
    EndOfInput,
    /// The terminal has this size: rows, columns.
    Resize(u16, u16),
    /// Look at the intent again; if the container is to stop, it has this time for it, or as much as it wants.
    Nudge(Option<Duration>),
    /// An attached client has gone.
    ClientLeft,
}

struct Client {
    socket: OwnedFd,
    output: bool,
    events: bool,
    pending: VecDeque<Vec<u8>>,
}

/// All clients.
pub(super) struct Clients {
    listener: OwnedFd,
    clients: Vec<Client>,
}

impl Clients {
    pub fn new(listener: OwnedFd) -> Clients {
        Clients {
            listener,
            clients: Vec::new(),
        }
    }

    /// What to wait for: new clients, words of present ones, room for what they have not taken yet.
    pub fn poll_fds(&self) -> Vec<PollFd> {
        let listener = if self.clients.len() < MOST {
            PollFd::read(self.listener.as_fd())
        } else {
            PollFd::never()
        };
        let mut set = vec![listener];
        for client in &self.clients {
            set.push(PollFd::read(client.socket.as_fd()));
            let waits = !client.pending.is_empty();
            set.push(if waits {
                PollFd::write(client.socket.as_fd())
            } else {
                PollFd::never()
            });
        }
        set
    }

    /// Acts on what [`Clients::poll_fds`] found. `hello` is sent to everybody who starts to watch.
    pub fn hear(&mut self, set: &[PollFd], hello: &[u8]) -> Vec<Wish> {
        let mut wishes = Vec::new();
        let mut gone = Vec::new();
        for (index, pair) in set[1..].chunks(2).enumerate().take(self.clients.len()) {
            let client = &mut self.clients[index];
            let lives = (!pair[1].is_ready() || client.flush())
                && (!pair[0].is_ready() || client.hear(hello, &mut wishes));
            if !lives {
                gone.push(index);
            }
        }
        for index in gone.into_iter().rev() {
            if self.clients.remove(index).output {
                wishes.push(Wish::ClientLeft);
            }
        }
        if set[0].is_ready() {
            wishes.extend(self.admit(hello));
        }
        wishes
    }

    /// Takes in everybody who waits. Those who connected before the word to go must not miss anything, however short the
    /// container's life.
    pub fn admit(&mut self, hello: &[u8]) -> Vec<Wish> {
        let mut wishes = Vec::new();
        while self.clients.len() < MOST {
            let Ok(Some(socket)) = socket::accept(self.listener.as_fd()) else {
                break;
            };
            let mut client = Client {
                socket,
                output: false,
                events: false,
                pending: VecDeque::new(),
            };
            // Most say what they want before we look; whoever does not is heard later.
            if client.hear(hello, &mut wishes) {
                self.clients.push(client);
            }
        }
        wishes
    }

    /// Sends output to whoever is attached.
    pub fn output(&mut self, kind: u8, piece: &[u8]) {
        self.send(|client| client.output, &[&[kind], piece].concat());
    }

    /// Sends an event to whoever watches.
    pub fn tell(&mut self, packet: &[u8]) {
        self.send(|client| client.events, packet);
    }

    fn send(&mut self, to: impl Fn(&Client) -> bool, packet: &[u8]) {
        for client in self.clients.iter_mut().filter(|client| to(client)) {
            client.pending.push_back(packet.to_vec());
            // One that has gone is noticed when its socket is polled.
            client.flush();
        }
    }

    /// Whether somebody attached takes its output too slowly.
    pub fn is_congested(&self) -> bool {
        self.clients
            .iter()
            .any(|client| client.output && client.pending.len() >= MOST_PENDING)
    }

    /// Sends what waits, as far as there is room.
    pub fn flush(&mut self) {
        self.clients.iter_mut().for_each(|client| {
            client.flush();
        });
    }

    /// Whether somebody has not taken all yet.
    pub fn is_owed(&self) -> bool {
        self.clients.iter().any(|client| !client.pending.is_empty())
    }

    /// Sends what waits, waiting for whoever is slow as long as nobody leaves it for longer than the `patience`, and closes all
    /// connections.
    pub fn close(&mut self, patience: Duration) {
        while self.is_owed() {
            let owed = self
                .clients
                .iter()
                .filter(|client| !client.pending.is_empty());
            let mut set: Vec<PollFd> = owed.map(|c| PollFd::write(c.socket.as_fd())).collect();
            if !process::poll(&mut set, Some(patience)).is_ok_and(|ready| ready > 0) {
                break;
            }
            self.flush();
        }
        self.clients.clear();
    }

    /// Gives the listening socket back, for the next life; present clients are disconnected.
    pub fn into_listener(self) -> OwnedFd {
        self.listener
    }
}

impl Client {
    /// Sends what waits, as far as there is room; false if the client has gone.
    fn flush(&mut self) -> bool {
        while let Some(packet) = self.pending.front() {
            match socket::send_now(self.socket.as_fd(), packet) {
                Ok(true) => drop(self.pending.pop_front()),
                Ok(false) => break,
                Err(_) => {
                    self.pending.clear();
                    return false;
                }
            }
        }
        true
    }

    /// Takes one packet; false if the client has gone.
    fn hear(&mut self, hello: &[u8], wishes: &mut Vec<Wish>) -> bool {
        let mut buffer = vec![0; PACKET_LIMIT];
        let length = match socket::receive(self.socket.as_fd(), &mut buffer, false) {
            Ok(None) => return true,
            Ok(Some(0)) | Err(_) => return false,
            Ok(Some(length)) => length,
        };
        match (buffer[0], &buffer[1..length]) {
            (WATCH, _) => self.greet(hello, false),
            (ATTACH, _) => self.greet(hello, true),
            (INPUT, []) => wishes.push(Wish::EndOfInput),
            (INPUT, piece) => wishes.push(Wish::Input(piece.to_vec())),
            (RESIZE, [a, b, c, d]) => {
                wishes.push(Wish::Resize(
                    u16::from_be_bytes([*a, *b]),
                    u16::from_be_bytes([*c, *d]),
                ));
            }
            (NUDGE, grace) => {
                let grace = grace.try_into().ok().map(u64::from_be_bytes);
                wishes.push(Wish::Nudge(grace.map(Duration::from_millis)));
            }
            _ => return false,
        }
        true
    }

    fn greet(&mut self, hello: &[u8], output: bool) {
        self.events = true;
        self.output = output;
        self.pending.push_back(hello.to_vec());
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_client_that_takes_nothing_is_cut_off_in_the_end() {
        let (ours, theirs) = socket::packet_pair().unwrap();
        let (listener, _) = socket::packet_pair().unwrap();
        let mut clients = Clients::new(listener);
        clients.clients.push(Client {
            socket: ours,
            output: true,
            events: true,
            pending: VecDeque::new(),
        });
        while !clients.is_congested() {
            clients.output(1, &[7; 16 << 10]);
        }
        let begun = Instant::now();
        clients.close(Duration::from_millis(50));
        assert!(!clients.is_owed() && begun.elapsed() < Duration::from_secs(30));
        // What it had been sent is still its own, and then comes the end.
        let mut buffer = vec![0; PACKET_LIMIT];
        let mut packets = 0;
        while socket::receive(theirs.as_fd(), &mut buffer, true).unwrap() != Some(0) {
            packets += 1;
        }
        assert!(packets > 0);
    }
}
