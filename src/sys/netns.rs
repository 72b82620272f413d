//! Network namespaces, and what is set per namespace through `/proc/sys/net`.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::PathBuf;
use std::thread;

use nix::sched::CloneFlags;

/// Room enough for opening sockets; the default of 2 MiB is for threads that compute.
const THREAD_STACK: usize = 256 * 1024;

/// A handle on a network namespace, which keeps it alive.
#[derive(Debug)]
pub struct Netns(File);

impl Netns {
    /// The namespace of process `pid`.
    pub fn of_process(pid: i32) -> io::Result<Netns> {
        File::open(format!("/proc/{pid}/ns/net")).map(Netns)
    }

    /// The namespace of the calling thread.
    pub fn current() -> io::Result<Netns> {
        File::open("/proc/thread-self/ns/net").map(Netns)
    }

    /// Whether both handles are of the same namespace.
    pub fn is(&self, other: &Netns) -> io::Result<bool> {
        use std::os::unix::fs::MetadataExt;
        let (mine, theirs) = (self.0.metadata()?, other.0.metadata()?);
        Ok((mine.dev(), mine.ino()) == (theirs.dev(), theirs.ino()))
    }

    /// Where other processes of this host find it as long as this handle is open.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!(
            "/proc/{}/fd/{}",
            std::process::id(),
            self.0.as_raw_fd()
        ))
    }

    /// Runs `work` inside the namespace, on a thread that ends with it: there is no way back that could fail and leave
    /// the caller in a foreign namespace.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        thread::scope(|scope| {
            let inside = || {
                nix::sched::setns(&self.0, CloneFlags::CLONE_NEWNET)?;
                Ok(work())
            };
            thread::Builder::new()
                .stack_size(THREAD_STACK)
                .spawn_scoped(scope, inside)?
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The value of a network parameter of the caller's namespace; `name` is its path below `/proc/sys/net`.
pub fn parameter(name: &str) -> io::Result<String> {
    let mut value = String::new();
    File::open(parameter_path(name))?.read_to_string(&mut value)?;
    Ok(value.trim_end().to_owned())
}

/// Sets a network parameter of the caller's namespace.
pub fn set_parameter(name: &str, value: &str) -> io::Result<()> {
    // Not a file that could be replaced: the kernel takes each write as one value.
    OpenOptions::new()
        .write(true)
        .open(parameter_path(name))?
        .write_all(value.as_bytes())
}

fn parameter_path(name: &str) -> PathBuf {
    PathBuf::from("/proc/sys/net").join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_current_namespace_is_that_of_the_process() {
        let current = Netns::current().unwrap();
        let process = Netns::of_process(std::process::id() as i32).unwrap();
        assert!(current.is(&process).unwrap());
    }

    #[test]
    fn a_process_that_is_gone_is_an_error() {
        // Pids end at 2^22.
        let error = Netns::of_process(1 << 30).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
