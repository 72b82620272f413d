//! One call of the update module, as Mender's C++ client makes it: `docker STATE TREE`.

use std::io::{self, Read};
use std::os::fd::BorrowedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use super::watched::{Course, End, Told, Watched};
use crate::deploy::own::{self, Own};

/// The name under which the program knows that it is the module.
const NAME: &str = "docker";

/// Longest that a state may take; Mender's own limit.
const PATIENCE: Duration = Duration::from_secs(4 * 60 * 60);

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
    #[error("the update module ended without taking payload file {file:?}")]
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

/// A state being worked on.
#[derive(Debug)]
pub struct Call {
    state: &'static str,
    watched: Watched,
}

fn command(program: &Path, state: &str, tree: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg0(NAME).arg(state).arg(tree);
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
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .process_group(0)
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
    /// Starts a state, which is about that artifact alone.
    pub fn start(
        program: &Path,
        state: &'static str,
        course: Course,
        tree: &Path,
        own: Option<&Own>,
    ) -> Result<Call, CallError> {
        let mut command = command(program, state, tree);
        if let Some(own) = own {
            command.env(own::VARIABLE, own.to_value());
        }
        let watched = Watched::start(&mut command, course, PATIENCE);
        let watched = watched.map_err(|source| CallError::Start { state, source })?;
        Ok(Call { state, watched })
    }

    /// Waits for the end.
    pub fn finish(self, told: Told<'_>) -> Result<(), CallError> {
        let state = self.state;
        let end = self.watched.finish(told);
        match end.map_err(|source| CallError::Start { state, source })? {
            End::Exited(status) if status.success() => Ok(()),
            End::Exited(status) => Err(CallError::Failed { state, status }),
            End::Aborted => Err(CallError::Aborted(state)),
            End::Late => Err(CallError::Late { state }),
        }
    }

    /// Ends it, with words first, and returns how it ended if it had done so by itself.
    pub fn end(self) -> Result<Option<ExitStatus>, CallError> {
        let state = self.state;
        let ended = self.watched.end();
        ended.map_err(|source| CallError::Start { state, source })
    }

    /// Waits for a moment, and says whether it has ended. One that has to end is seen to.
    pub fn is_over(&mut self, moment: Duration) -> Result<bool, CallError> {
        let state = self.state;
        let over = self.watched.is_over(moment);
        over.map_err(|source| CallError::Start { state, source })
    }

    /// Its end, to wait for together with something else.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.watched.descriptor()
    }
}
