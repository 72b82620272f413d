//! A program at work in a process group of its own, so that Ctrl-C reaches it only through us: waited for, and ended when its
//! time is over or when somebody asks for the end.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::sys::process::{Pidfd, ProcessId, signal_group};
use crate::sys::terminate;

/// From the request to end until the kill; as Mender's C++ client has it. The module takes 8 s at the most.
const GRACE: Duration = Duration::from_secs(10);

/// Time between two looks whether somebody asked for the end.
pub const LOOK: Duration = Duration::from_millis(200);

/// Whether a signal to us ends a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// Yes: what it began is then taken back.
    Forward,
    /// No: it takes back itself, or ends.
    Back,
}

/// How it ended.
#[derive(Debug)]
pub enum End {
    /// By itself, well or not.
    Exited(ExitStatus),
    /// Somebody asked for the end.
    Aborted,
    /// Its time was over.
    Late,
}

/// A program being waited for.
#[derive(Debug)]
pub struct Watched {
    course: Course,
    patience: Duration,
    child: Child,
    pidfd: Pidfd,
    begun: Instant,
    /// When it was first seen that it has to end, and whether because of its time.
    ending: Option<(Instant, bool)>,
}

/// Called once when somebody asks for the end of what is not ended.
pub type Told<'a> = &'a dyn Fn();

impl Watched {
    /// Starts it, without standard input.
    pub fn start(command: &mut Command, course: Course, patience: Duration) -> io::Result<Watched> {
        // What it prints is for the operator, and standard output is for results.
        let stdout = io::stderr().as_fd().try_clone_to_owned()?;
        command.stdin(Stdio::null()).stdout(stdout).process_group(0);
        let mut child = command.spawn()?;
        let group = child.id() as i32;
        let pidfd = match Pidfd::open(group) {
            Ok(pidfd) => pidfd,
            Err(error) => {
                // Nobody could wait for it with an end.
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
        };
        if course == Course::Forward {
            terminate::charge(Some(group));
        }
        Ok(Watched {
            course,
            patience,
            child,
            pidfd,
            begun: Instant::now(),
            ending: None,
        })
    }

    /// Which process it is.
    pub fn process(&self) -> io::Result<ProcessId> {
        ProcessId::of(self.child.id() as i32)
    }

    /// Waits for the end.
    pub fn finish(mut self, told: Told<'_>) -> io::Result<End> {
        let mut is_told = self.course == Course::Forward;
        while !self.is_over(LOOK)? {
            if !is_told && terminate::requested() {
                is_told = true;
                told();
            }
        }
        let status = self.reap()?;
        Ok(match self.ending {
            Some((_, true)) => End::Late,
            Some((_, false)) => End::Aborted,
            // The signal came in its last moment.
            None if self.course == Course::Forward && terminate::requested() => End::Aborted,
            None => End::Exited(status),
        })
    }

    /// Ends it, with words first, and returns how it ended if it had done so by itself.
    pub fn end(mut self) -> io::Result<Option<ExitStatus>> {
        if self.pidfd.wait(Some(Duration::ZERO))? {
            return self.reap().map(Some);
        }
        self.ask_to_end(false)?;
        while !self.is_over(LOOK)? {}
        self.reap().map(|_| None)
    }

    /// Waits for a moment, and says whether it has ended. One that has to end is seen to.
    pub fn is_over(&mut self, moment: Duration) -> io::Result<bool> {
        if self.pidfd.wait(Some(moment))? {
            return Ok(true);
        }
        match self.ending {
            None if self.begun.elapsed() > self.patience => self.ask_to_end(true)?,
            // It heard of it together with us.
            None if self.course == Course::Forward && terminate::requested() => {
                self.ending = Some((Instant::now(), false));
            }
            Some((since, _)) if since.elapsed() > GRACE => {
                signal_group(self.child.id() as i32, terminate::SIGKILL)?;
            }
            _ => {}
        }
        Ok(false)
    }

    fn ask_to_end(&mut self, is_late: bool) -> io::Result<()> {
        self.ending = Some((Instant::now(), is_late));
        signal_group(self.child.id() as i32, terminate::SIGTERM)
    }

    /// Its end, to wait for together with something else.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    fn reap(&mut self) -> io::Result<ExitStatus> {
        // Before its number may be somebody else's.
        terminate::charge(None);
        self.child.wait()
    }
}
