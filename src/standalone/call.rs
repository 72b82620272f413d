//! One call of the update module, as Mender's C++ client makes it: `docker STATE TREE` in a process group of its own, so that
//! Ctrl-C reaches it only through us.

use std::fmt;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::sys::process::{Pidfd, signal_group};
use crate::sys::terminate;

/// The name under which the program knows that it is the module.
const NAME: &str = "docker";

/// Longest that a state may take; Mender's own limit.
const PATIENCE: Duration = Duration::from_secs(4 * 60 * 60);

/// From the request to end until the kill; as Mender's C++ client has it. The module takes 8 s at the most.
const GRACE: Duration = Duration::from_secs(10);

/// Time between two looks whether somebody asked for the end.
const LOOK: Duration = Duration::from_millis(200);

/// Longest answer to a query.
const MAX_ANSWER: u64 = 1024;

/// Why a state failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It could not even be asked for.
    #[error("failed to call the update module for {state}: {source}")]
    Start {
        /// Mender's word.
        state: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// It ended badly, and has said why.
    #[error("{state} failed: the update module ended with {status}")]
    Failed {
        /// Mender's word.
        state: &'static str,
        /// How.
        status: ExitStatus,
    },
    /// It was asked to end.
    #[error("{0} was aborted: a signal asked for the end")]
    Aborted(&'static str),
    /// It took too long.
    #[error("{state} took longer than the {} s it may take", PATIENCE.as_secs())]
    Late {
        /// Mender's word.
        state: &'static str,
    },
    /// An answer that is none.
    #[error("{state} was answered with {answer:?}, which is not dray's answer")]
    Answer {
        /// Mender's word.
        state: &'static str,
        /// What came.
        answer: String,
    },
    /// It left files where they were.
    #[error(
        "the update module ended without taking payload file {file:?}: its meta-data does not say that it has images in it, and other files are not taken without a Mender client"
    )]
    NotTaken {
        /// Name of the file.
        file: String,
    },
    /// It stopped listening.
    #[error("the update module ended while payload file {file:?} was handed over")]
    CutOff {
        /// Name of the file.
        file: String,
    },
    /// A pipe.
    #[error("failed to hand over payload file {file:?}: {source}")]
    Pipe {
        /// Name of the file.
        file: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Whether a signal to us ends a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// Yes: what it began is then taken back.
    Forward,
    /// No: it takes back itself, or ends.
    Back,
}

/// A state being worked on.
pub struct Call {
    state: &'static str,
    course: Course,
    child: Child,
    pidfd: Pidfd,
    begun: Instant,
    /// When it was first seen that it has to end, and whether because of its time.
    ending: Option<(Instant, bool)>,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

fn command(program: &Path, state: &str, tree: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .arg0(NAME)
        .arg(state)
        .arg(tree)
        .stdin(Stdio::null())
        .process_group(0);
    // A tree that somebody removed is no working directory, and the states that go back work without.
    if tree.is_dir() {
        command.current_dir(tree);
    }
    command
}

/// Asks a query and returns its answer, a line.
pub fn ask(program: &Path, state: &'static str, tree: &Path) -> Result<String, CallError> {
    let fail = |source| CallError::Start { state, source };
    let mut child = command(program, state, tree)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(fail)?;
    let mut answer = String::new();
    let read = child.stdout.take().map_or(Ok(0), |stdout| {
        stdout.take(MAX_ANSWER).read_to_string(&mut answer)
    });
    let status = child.wait().map_err(fail)?;
    read.map_err(fail)?;
    match status.success() {
        true => Ok(answer.strip_suffix('\n').unwrap_or(&answer).to_owned()),
        false => Err(CallError::Failed { state, status }),
    }
}

impl Call {
    /// Starts a state.
    pub fn start(
        program: &Path,
        state: &'static str,
        course: Course,
        tree: &Path,
    ) -> Result<Call, CallError> {
        let fail = |source| CallError::Start { state, source };
        // What it prints is for the operator, and standard output is for results.
        let stdout = io::stderr().as_fd().try_clone_to_owned().map_err(fail)?;
        let mut child = command(program, state, tree)
            .stdout(stdout)
            .spawn()
            .map_err(fail)?;
        let group = child.id() as i32;
        let pidfd = match Pidfd::open(group) {
            Ok(pidfd) => pidfd,
            Err(error) => {
                // Nobody could wait for it with an end.
                let _ = child.kill();
                let _ = child.wait();
                return Err(fail(error));
            }
        };
        if course == Course::Forward {
            terminate::charge(Some(group));
        }
        Ok(Call {
            state,
            course,
            child,
            pidfd,
            begun: Instant::now(),
            ending: None,
        })
    }

    /// Waits for the end.
    pub fn finish(mut self) -> Result<(), CallError> {
        while !self.is_over(LOOK)? {}
        let status = self.reap()?;
        let state = self.state;
        match self.ending {
            Some((_, true)) => Err(CallError::Late { state }),
            Some((_, false)) => Err(CallError::Aborted(state)),
            // The signal came in its last moment.
            None if self.course == Course::Forward && terminate::requested() => {
                Err(CallError::Aborted(state))
            }
            None if !status.success() => Err(CallError::Failed { state, status }),
            None => Ok(()),
        }
    }

    /// Ends it, with words first, and returns how it ended if it had done so by itself.
    pub fn end(mut self) -> Result<Option<ExitStatus>, CallError> {
        if self
            .pidfd
            .wait(Some(Duration::ZERO))
            .map_err(|e| self.fail(e))?
        {
            return self.reap().map(Some);
        }
        self.ask_to_end(false)?;
        while !self.is_over(LOOK)? {}
        self.reap().map(|_| None)
    }

    /// Waits for a moment, and says whether it has ended. One that has to end is seen to.
    pub fn is_over(&mut self, moment: Duration) -> Result<bool, CallError> {
        if self.pidfd.wait(Some(moment)).map_err(|e| self.fail(e))? {
            return Ok(true);
        }
        let group = self.child.id() as i32;
        match self.ending {
            None if self.begun.elapsed() > PATIENCE => self.ask_to_end(true)?,
            // It heard of it together with us.
            None if self.course == Course::Forward && terminate::requested() => {
                self.ending = Some((Instant::now(), false));
            }
            Some((since, _)) if since.elapsed() > GRACE => {
                signal_group(group, terminate::SIGKILL).map_err(|e| self.fail(e))?;
            }
            _ => {}
        }
        Ok(false)
    }

    fn ask_to_end(&mut self, is_late: bool) -> Result<(), CallError> {
        self.ending = Some((Instant::now(), is_late));
        let group = self.child.id() as i32;
        signal_group(group, terminate::SIGTERM).map_err(|e| self.fail(e))
    }

    /// Its end, to wait for together with something else.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    fn reap(&mut self) -> Result<ExitStatus, CallError> {
        // Before its number may be somebody else's.
        terminate::charge(None);
        let state = self.state;
        let waited = self.child.wait();
        waited.map_err(|source| CallError::Start { state, source })
    }

    fn fail(&self, source: io::Error) -> CallError {
        let state = self.state;
        CallError::Start { state, source }
    }
}
