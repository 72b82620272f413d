//! State scripts: programs that run before and behind the states of an install, as Mender's clients run them.
//!
//! ```text
//! <state>/standalone/scripts/     those that came with the artifact: ArtifactInstall, ArtifactCommit, ArtifactRollback and
//!                                 ArtifactFailure, each _Enter, _Leave or _Error
//! /etc/mender/scripts/            the device's own: Download
//! ```
//!
//! Without a Mender client nothing reboots, so those of `ArtifactReboot` and `ArtifactRollbackReboot` never run.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::device::Mender;
use super::error::StandaloneError;
use super::watched::{Course, End, LOOK, Watched};
use crate::artifact::scripts;
use crate::sys;
use crate::sys::process::{ProcessId, signal_group};
use crate::sys::program::end_with_caller;
use crate::sys::terminate;

/// A script that ends so wants to be run again.
const RETRY_LATER: i32 = 21;

/// What a folder's file `version` may say; without the file its scripts are as those of today.
const VERSIONS: [&str; 2] = ["2", "3"];

/// Bytes looked at of that file.
const MAX_VERSION: u64 = 64;

/// How long scripts may take: Mender's settings, in its words, with its defaults.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// Longest that one may run.
    timeout: Duration,
    /// From one that wants to be run again to the next attempt.
    retry_interval: Duration,
    /// How long one may want that.
    retry_timeout: Duration,
}

impl Default for Times {
    fn default() -> Times {
        Times {
            timeout: Duration::from_secs(60 * 60),
            retry_interval: Duration::from_secs(60),
            retry_timeout: Duration::from_secs(30 * 60),
        }
    }
}

impl Times {
    /// What Mender's settings say.
    pub fn of(mender: &Mender) -> Result<Times, StandaloneError> {
        let default = Times::default();
        let timeout = mender.seconds("StateScriptTimeoutSeconds")?;
        let interval = mender.seconds("StateScriptRetryIntervalSeconds")?;
        let retry_timeout = mender.seconds("StateScriptRetryTimeoutSeconds")?;
        Ok(Times {
            timeout: timeout.unwrap_or(default.timeout),
            retry_interval: interval.unwrap_or(default.retry_interval),
            retry_timeout: retry_timeout.unwrap_or(default.retry_timeout),
        })
    }
}

/// Where the scripts are, and how long they may take.
#[derive(Debug)]
pub struct Scripts {
    /// Those of the artifact.
    pub artifact: PathBuf,
    /// The device's own.
    pub device: PathBuf,
    /// How long they may take.
    pub times: Times,
    /// Says which process runs one, below the run folder.
    pub note: PathBuf,
}

/// Which scripts: the state, and `_Enter`, `_Leave` or `_Error`.
pub type When = &'static str;

impl Scripts {
    /// Takes one out of an artifact. It is durable once the work tree is.
    pub fn add(&self, name: &str, content: &[u8]) -> io::Result<()> {
        sys::fs::create_dirs(&self.artifact)?;
        sys::fs::replace_volatile(&self.artifact.join(name), 0o755, content)
    }

    /// Ends what a killed word left of a script: the programs that it had called, in its process group.
    pub fn end_left(&self) -> io::Result<()> {
        let text = match fs::read(&self.note) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            text => text?,
        };
        if let Ok(process) = serde_json::from_slice::<ProcessId>(&text) {
            let there = Path::new("/proc").join(process.pid.to_string()).exists();
            // A number is given again only when nobody is left in the group that has it.
            if !there || process.parent().is_ok() {
                signal_group(process.pid, terminate::SIGKILL)?;
            }
        }
        sys::fs::remove_file_volatile(&self.note)
    }

    /// Runs those that a state's beginning or end waits for: the first that fails is the last.
    pub fn run(&self, when: When, say: &dyn Fn(&str)) -> Result<(), StandaloneError> {
        for script in self.list(when, say)? {
            self.one(&script, Course::Forward, say)?;
        }
        Ok(())
    }

    /// Runs those that nothing waits for: each of them, and what fails is only said. Returns whether nothing did.
    pub fn run_all(&self, when: When, say: &dyn Fn(&str)) -> bool {
        let listed = self.list(when, say);
        let ran = listed.map(|scripts| {
            let ran = scripts.iter().map(|script| {
                let done = self.one(script, Course::Back, say);
                done.map_err(|error| say(&error.to_string())).is_ok()
            });
            ran.fold(true, |all, good| all & good)
        });
        ran.unwrap_or_else(|error| {
            say(&error.to_string());
            false
        })
    }

    /// In the order in which they run.
    fn list(&self, when: When, say: &dyn Fn(&str)) -> Result<Vec<PathBuf>, StandaloneError> {
        let folder = match when.starts_with("Download") {
            true => &self.device,
            false => &self.artifact,
        };
        let fail = |error| StandaloneError::io("read", folder, error);
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(fail)?,
        };
        check_version(folder)?;
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(fail)?;
            let name = entry.file_name();
            if !name.to_str().is_some_and(|name| is_of(name, when)) {
                continue;
            }
            let meta = fs::metadata(entry.path()).map_err(fail)?;
            match meta.is_file() && meta.permissions().mode() & 0o111 != 0 {
                true => found.push(entry.path()),
                false => say(&format!(
                    "state script {} is not executable, and not run",
                    entry.path().display()
                )),
            }
        }
        found.sort();
        Ok(found)
    }

    /// Runs one until it no longer wants to be run again.
    fn one(
        &self,
        script: &Path,
        course: Course,
        say: &dyn Fn(&str),
    ) -> Result<(), StandaloneError> {
        let name = script.file_name().unwrap_or_default().to_string_lossy();
        let failed = |problem: String| StandaloneError::Script {
            name: name.clone().into_owned(),
            problem,
        };
        let Times {
            timeout,
            retry_interval,
            retry_timeout,
        } = self.times;
        let mut wanting: Option<Instant> = None;
        loop {
            say(&format!("running state script {name}"));
            let mut command = Command::new(script);
            // What goes on after a kill must not run into what the next word does.
            end_with_caller(&mut command);
            let told = || {
                say(&format!(
                    "a signal asked for the end: state script {name} comes to its own first"
                ));
            };
            let watched = Watched::start(&mut command, course, timeout);
            let end = watched.and_then(|watched| {
                // One that is over by now leaves nothing to be ended.
                if let Ok(process) = watched.process() {
                    let note = serde_json::to_vec(&process)?;
                    sys::fs::replace_volatile(&self.note, 0o600, &note)?;
                }
                let end = watched.finish(&told)?;
                sys::fs::remove_file_volatile(&self.note)?;
                Ok(end)
            });
            match end.map_err(|error| failed(format!("could not be run: {error}")))? {
                End::Exited(status) if status.success() => return Ok(()),
                End::Exited(status) if status.code() == Some(RETRY_LATER) => {}
                End::Exited(status) => return Err(failed(format!("failed: {status}"))),
                End::Aborted => return Err(failed(ABORTED.to_owned())),
                End::Late => {
                    let timeout = timeout.as_secs();
                    return Err(failed(format!(
                        "was ended, as it took longer than the {timeout} s of StateScriptTimeoutSeconds"
                    )));
                }
            }
            if wanting.get_or_insert_with(Instant::now).elapsed() + retry_interval > retry_timeout {
                let retry_timeout = retry_timeout.as_secs();
                return Err(failed(format!(
                    "wants to be run again later, and the {retry_timeout} s of StateScriptRetryTimeoutSeconds are over"
                )));
            }
            let seconds = retry_interval.as_secs();
            say(&format!(
                "state script {name} wants to be run again later: waiting for {seconds} s"
            ));
            if !pause(retry_interval, course) {
                return Err(failed(ABORTED.to_owned()));
            }
        }
    }
}

const ABORTED: &str = "was aborted: a signal asked for the end";

/// Waits; says whether nobody asked for the end meanwhile.
fn pause(time: Duration, course: Course) -> bool {
    let begun = Instant::now();
    while let Some(left) = time.checked_sub(begun.elapsed()).filter(|l| !l.is_zero()) {
        if course == Course::Forward && terminate::requested() {
            return false;
        }
        thread::sleep(left.min(LOOK));
    }
    true
}

/// Whether a file of this name is a script that runs then.
fn is_of(name: &str, when: When) -> bool {
    let rest = name.strip_prefix(when).and_then(|r| r.strip_prefix('_'));
    rest.is_some() && scripts::is_form(name)
}

fn check_version(folder: &Path) -> Result<(), StandaloneError> {
    let path = folder.join("version");
    let mut text = String::new();
    let read = File::open(&path).and_then(|file| file.take(MAX_VERSION).read_to_string(&mut text));
    match read {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(StandaloneError::io("read", &path, error)),
        Ok(_) if VERSIONS.contains(&text.trim()) => Ok(()),
        Ok(_) => Err(StandaloneError::Setting {
            path,
            problem: format!(
                "these state scripts are of version {:?}, and those of versions 2 and 3 are run",
                text.trim()
            ),
        }),
    }
}
