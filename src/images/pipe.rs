//! A bounded pipe from the thread that inflates a layer past the one that hashes it to the one that writes it: a few
//! buffers go round. Three threads, because on small processors without instructions for it hashing alone takes as
//! long as everything else.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use sha2::{Digest as _, Sha256};

use crate::oci::Digest;

/// Size of a buffer: large enough that neither side waits for the other at every file.
const BUFFER: usize = 64 << 10;

/// Buffers of one pipe: one in each thread's hands, and some between them. What all pipes together hold
/// is what a pull's memory grows by.
const BUFFERS: usize = 6;

/// A buffer and how much of it is filled.
struct Chunk {
    bytes: Box<[u8]>,
    filled: usize,
}

enum Message {
    Data(Chunk),
    /// Only this is the end: a sender that went away in silence failed.
    End,
    Failed(io::Error),
}

/// Where bytes go in.
pub(super) struct Inlet {
    full: SyncSender<Message>,
    empty: Receiver<Chunk>,
}

/// Where they are hashed on the way.
pub(super) struct Meter {
    full: Receiver<Message>,
    hashed: SyncSender<Message>,
}

/// Where they come out.
pub(super) struct Outlet {
    full: Receiver<Message>,
    empty: SyncSender<Chunk>,
    current: Option<Chunk>,
    start: usize,
    ended: bool,
}

/// Makes a pipe.
pub(super) fn pipe() -> (Inlet, Meter, Outlet) {
    // One place more than buffers, so that the end never waits.
    let (full_in, full_out) = sync_channel(BUFFERS + 1);
    let (hashed_in, hashed_out) = sync_channel(BUFFERS + 1);
    let (empty_in, empty_out) = sync_channel(BUFFERS);
    for _ in 0..BUFFERS {
        let chunk = Chunk {
            bytes: vec![0; BUFFER].into_boxed_slice(),
            filled: 0,
        };
        // There is a place for each.
        let _ = empty_in.try_send(chunk);
    }
    let inlet = Inlet {
        full: full_in,
        empty: empty_out,
    };
    let meter = Meter {
        full: full_out,
        hashed: hashed_in,
    };
    let outlet = Outlet {
        full: hashed_out,
        empty: empty_in,
        current: None,
        start: 0,
        ended: false,
    };
    (inlet, meter, outlet)
}

impl Inlet {
    /// Sends everything `source` has, then its end; or its error.
    pub(super) fn send_all(&self, source: &mut dyn Read) {
        let last = match self.send_data(source) {
            Ok(()) => Message::End,
            Err(error) => Message::Failed(error),
        };
        // If the other side is gone, it knows why.
        let _ = self.full.send(last);
    }

    /// Sends an error instead of data.
    pub(super) fn fail(&self, error: io::Error) {
        let _ = self.full.send(Message::Failed(error));
    }

    fn send_data(&self, source: &mut dyn Read) -> io::Result<()> {
        loop {
            let Ok(mut chunk) = self.empty.recv() else {
                return Ok(());
            };
            chunk.filled = fill(source, &mut chunk.bytes)?;
            let is_last = chunk.filled < chunk.bytes.len();
            if chunk.filled > 0 && self.full.send(Message::Data(chunk)).is_err() {
                return Ok(());
            }
            if is_last {
                return Ok(());
            }
        }
    }
}

/// Fills the buffer; less only at the end.
fn fill(source: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

impl Meter {
    /// Passes everything on until either end is gone; the digest of all data that came by.
    pub(super) fn run(self) -> Digest {
        let mut hasher = Sha256::new();
        while let Ok(message) = self.full.recv() {
            if let Message::Data(chunk) = &message {
                hasher.update(&chunk.bytes[..chunk.filled]);
            }
            if self.hashed.send(message).is_err() {
                break;
            }
        }
        Digest::finish(hasher)
    }
}

impl Outlet {
    fn next_chunk(&mut self) -> io::Result<()> {
        if let Some(chunk) = self.current.take() {
            // There is a place for each; without a sender nobody needs it back.
            let _ = self.empty.try_send(chunk);
        }
        self.start = 0;
        match self.full.recv() {
            Ok(Message::Data(chunk)) => {
                self.current = Some(chunk);
                Ok(())
            }
            Ok(Message::End) => {
                self.ended = true;
                Ok(())
            }
            Ok(Message::Failed(error)) => Err(error),
            Err(_) => Err(io::Error::other("the download thread died")),
        }
    }
}

impl BufRead for Outlet {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let is_empty = |chunk: &Chunk, start| start >= chunk.filled;
        while !self.ended
            && self
                .current
                .as_ref()
                .is_none_or(|c| is_empty(c, self.start))
        {
            self.next_chunk()?;
        }
        Ok(match &self.current {
            Some(chunk) => &chunk.bytes[self.start..chunk.filled],
            None => &[],
        })
    }

    fn consume(&mut self, amount: usize) {
        self.start += amount;
    }
}

impl Read for Outlet {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let taken = available.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&available[..taken]);
        self.consume(taken);
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(source: &mut (dyn Read + Send)) -> (io::Result<Vec<u8>>, Digest) {
        let (inlet, meter, mut outlet) = pipe();
        std::thread::scope(|scope| {
            scope.spawn(move || inlet.send_all(source));
            let digest = scope.spawn(move || meter.run());
            let mut bytes = Vec::new();
            let read = outlet.read_to_end(&mut bytes);
            (read.map(|_| bytes), digest.join().unwrap())
        })
    }

    #[test]
    fn everything_comes_out_once_and_hashed() {
        for size in [
            0,
            1,
            BUFFER - 1,
            BUFFER,
            BUFFER + 1,
            BUFFER * (BUFFERS * 3) + 7,
        ] {
            let bytes: Vec<u8> = (0..size).map(|n| (n * 7 % 251) as u8).collect();
            let (got, digest) = through(&mut bytes.as_slice());
            assert!(got.unwrap() == bytes, "{size}");
            assert_eq!(digest, Digest::of(&bytes), "{size}");
        }
    }

    #[test]
    fn an_error_comes_out_after_what_was_before_it() {
        struct Failing(usize);
        impl Read for Failing {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                if self.0 == 0 {
                    return Err(io::ErrorKind::ConnectionReset.into());
                }
                let read = self.0.min(buffer.len());
                self.0 -= read;
                Ok(read)
            }
        }
        let error = through(&mut Failing(BUFFER * 2)).0.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn either_side_may_go_away() {
        let (inlet, meter, outlet) = pipe();
        drop(outlet);
        std::thread::scope(|scope| {
            scope.spawn(move || inlet.send_all(&mut io::repeat(1)));
            scope.spawn(move || meter.run());
        });
        let (inlet, meter, mut outlet) = pipe();
        drop(inlet);
        meter.run();
        assert!(outlet.fill_buf().is_err());
        let (_inlet, meter, mut outlet) = pipe();
        drop(meter);
        assert!(outlet.fill_buf().is_err());
    }
}
