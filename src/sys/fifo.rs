//! FIFOs that keep nobody waiting: made, written to, and read from the writer's coming to his end by somebody who may lose
//! interest meanwhile.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::process::{PollFd, poll};

/// How often who waits is asked whether he still wants to.
const SLICE: Duration = Duration::from_millis(200);

/// One reading of a FIFO: from when its writer comes until he has closed it.
#[derive(Debug)]
pub struct Fifo {
    file: File,
    /// Why to stop, if there is a reason.
    give_up: fn() -> Option<&'static str>,
}

impl Fifo {
    /// Opens it without waiting for the writer; `give_up` is asked five times a second while there is nothing to read.
    pub fn open(path: &Path, give_up: fn() -> Option<&'static str>) -> io::Result<Fifo> {
        let mut options = OpenOptions::new();
        let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        let file = options.read(true).custom_flags(flags).open(path)?;
        Ok(Fifo { file, give_up })
    }
}

impl Read for Fifo {
    /// Waits for bytes. The kernel reports a hang-up only once a writer has been there, so a FIFO whose writer has not
    /// come yet is no end.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(reason) = (self.give_up)() {
                return Err(io::Error::other(reason));
            }
            let mut set = [PollFd::read(self.file.as_fd())];
            if poll(&mut set, Some(SLICE))? == 0 {
                continue;
            }
            match self.file.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }
}

/// Makes a named pipe.
pub fn make(path: &Path, mode: u32) -> io::Result<()> {
    mkfifo(path, Mode::from_bits_truncate(mode))?;
    Ok(())
}

/// Opens a named pipe for writing without ever waiting, neither now nor later; `None` while nobody reads from it.
pub fn open_for_writing(path: &Path) -> io::Result<Option<File>> {
    let opened = OpenOptions::new()
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path);
    match opened {
        Err(error) if error.raw_os_error() == Some(libc::ENXIO) => Ok(None),
        opened => opened.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn fifo(name: &str) -> std::path::PathBuf {
        let name = format!("dray-fifo-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_file(&path);
        mkfifo(&path, Mode::from_bits_truncate(0o600)).unwrap();
        path
    }

    #[test]
    fn it_is_read_from_the_writers_coming_to_his_going() {
        let path = fifo("whole");
        let bytes = vec![7_u8; 300_000];
        std::thread::scope(|scope| {
            // Opened before there is a writer, whose opening waits for this one.
            let mut reader = Fifo::open(&path, || None).unwrap();
            scope.spawn(|| {
                let mut writer = OpenOptions::new().write(true).open(&path).unwrap();
                writer.write_all(&bytes).unwrap();
            });
            let mut read = Vec::new();
            reader.read_to_end(&mut read).unwrap();
            assert!(read == bytes);
        });
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_writer_who_says_nothing_is_an_end_and_none_is_not() {
        let path = fifo("empty");
        let mut reader = Fifo::open(&path, || None).unwrap();
        drop(OpenOptions::new().write(true).open(&path).unwrap());
        assert_eq!(reader.read(&mut [0]).unwrap(), 0);
        let mut alone = Fifo::open(&path, || Some("nobody comes")).unwrap();
        let ended = alone.read(&mut [0]).unwrap_err();
        assert_eq!(ended.to_string(), "nobody comes");
        std::fs::remove_file(&path).unwrap();
    }
}
