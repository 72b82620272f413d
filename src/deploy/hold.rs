//! One verb at a time per scope, and how a verb gets rid of one that nobody waits for any more.
//!
//! A client that is killed leaves its module running, and when it comes back it asks for the rollback *while the install
//! still runs*. So beside the lock lies a note of who holds it and for which client. A verb that finds the lock taken
//! waits, refuses or cancels ([`encounter`]): to cancel is to leave an abort marker that the holder looks for before each
//! step, to ask it with SIGTERM, and to kill it when it does not go. Both files are below the run folder: after a reboot
//! there is no holder.

use std::fs;
use std::io;
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::state::Verb;
use crate::host::Host;
use crate::sys::fs::{create_dirs, replace_volatile};
use crate::sys::lock::Exclusive;
use crate::sys::process::ProcessId;
use crate::sys::terminate;

/// A verb that was asked to end has this long; a little more than it takes itself ([`terminate::GRACE`]).
const TERM_GRACE: Duration = Duration::from_secs(9);

/// A killed process is gone at once, unless the kernel is stuck in its disk.
const KILL_GRACE: Duration = Duration::from_secs(20);

/// How long a boot in progress is waited for: it starts containers, and does not wait for their health.
const BOOT_PATIENCE: Duration = Duration::from_secs(120);

/// Between taking the lock and leaving the note lie microseconds; this bounds the wait for a note that does not come.
const NOTE_PATIENCE: Duration = Duration::from_secs(5);

/// Time between two looks at a lock whose holder cannot be waited for, because it is not known yet.
const RETRY: Duration = Duration::from_millis(20);

/// Who wants the scope, or has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claimant {
    /// A state call of a client.
    Verb(Verb),
    /// `dray boot`.
    Boot,
}

impl Claimant {
    /// Mender's word, or `boot`.
    pub fn name(self) -> &'static str {
        match self {
            Claimant::Verb(verb) => verb.name(),
            Claimant::Boot => "boot",
        }
    }
}

/// The note beside the lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Holder {
    process: ProcessId,
    /// The client's process; when the holder's parent is another one, nobody waits for the holder any more.
    client: u32,
    boot_id: String,
    claimant: String,
}

/// What to do about a holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encounter {
    Wait,
    Cancel,
    Refuse,
}

/// The rule: a boot is waited for, and waits for what a client waits for; a rollback cancels whatever runs; anything else
/// cancels only what no client waits for. What is left is a second client at work, which must not disturb the first.
fn encounter(claimant: Claimant, holder: &str, orphan: bool) -> Encounter {
    match claimant {
        Claimant::Boot if !orphan => Encounter::Wait,
        _ if holder == Claimant::Boot.name() => Encounter::Wait,
        Claimant::Verb(Verb::ArtifactRollback) => Encounter::Cancel,
        _ if orphan => Encounter::Cancel,
        _ => Encounter::Refuse,
    }
}

/// Why a scope could not be had, or was taken away.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// Somebody else's verb runs.
    #[error("another deployment of scope {scope:?} is at work: {holder} in process {pid}")]
    Busy {
        /// The scope.
        scope: String,
        /// What the other one does.
        holder: String,
        /// Its process.
        pid: i32,
    },
    /// The holder neither ends nor can be found.
    #[error("failed to take the lock of scope {scope:?}: its holder does not let go")]
    Stuck {
        /// The scope.
        scope: String,
    },
    /// The files below the run folder.
    #[error("failed to lock scope {scope:?} with {}: {source}", path.display())]
    Io {
        /// The scope.
        scope: String,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// SIGTERM, or a rollback that came meanwhile.
    #[error("aborted: {0}")]
    Aborted(&'static str),
}

/// The scope's files below the run folder.
#[derive(Debug)]
struct Files {
    scope: String,
    lock: PathBuf,
    holder: PathBuf,
    abort: PathBuf,
}

impl Files {
    fn of(host: &Host, scope: &str) -> Result<Files, HoldError> {
        let dir = host.run.join("deployments");
        let files = Files {
            scope: scope.to_owned(),
            lock: dir.join(format!("{scope}.lock")),
            holder: dir.join(format!("{scope}.holder")),
            abort: dir.join(format!("{scope}.abort")),
        };
        create_dirs(&dir).map_err(|source| files.fail(&dir, source))?;
        Ok(files)
    }

    fn fail(&self, path: &Path, source: io::Error) -> HoldError {
        HoldError::Io {
            scope: self.scope.clone(),
            path: path.to_owned(),
            source,
        }
    }

    /// The note, unless it is missing, half gone, or from before the boot.
    fn read_holder(&self, host: &Host) -> Option<Holder> {
        let holder: Holder = serde_json::from_slice(&fs::read(&self.holder).ok()?).ok()?;
        (holder.boot_id == host.boot_id && holder.process.is_alive()).then_some(holder)
    }
}

/// The scope is ours until this is dropped or the process dies.
#[derive(Debug)]
pub struct Hold {
    _lock: Exclusive,
    files: Files,
    own: ProcessId,
    /// The note that was there.
    before: Option<Vec<u8>>,
}

impl Hold {
    /// Takes the scope, if need be from a verb that nobody waits for; says so through `say`.
    pub fn take(
        host: &Host,
        scope: &str,
        claimant: Claimant,
        say: &dyn Fn(&str),
    ) -> Result<Hold, HoldError> {
        let files = Files::of(host, scope)?;
        let lock = wait_for_lock(host, &files, claimant, say)?;
        let own =
            ProcessId::own().map_err(|source| files.fail(Path::new("/proc/self/stat"), source))?;
        let holder = Holder {
            process: own.clone(),
            client: parent_id(),
            boot_id: host.boot_id.clone(),
            claimant: claimant.name().to_owned(),
        };
        let text = serde_json::to_vec(&holder).map_err(|e| files.fail(&files.holder, e.into()))?;
        let before = fs::read(&files.holder).ok();
        replace_volatile(&files.holder, 0o600, &text).map_err(|e| files.fail(&files.holder, e))?;
        // A marker for an earlier holder names another process, so it could stay; it is only tidier without.
        let _ = fs::remove_file(&files.abort);
        Ok(Hold {
            _lock: lock,
            files,
            own,
            before,
        })
    }

    /// Whether anybody has had the scope since the device started.
    pub fn was_taken(host: &Host, scope: &str) -> bool {
        Files::of(host, scope).is_ok_and(|files| files.lock.exists())
    }

    /// The client whose verb was the last on a scope, if it lives: it may ask for another one.
    pub fn client(host: &Host, scope: &str) -> Option<u32> {
        let note = fs::read(Files::of(host, scope).ok()?.holder).ok()?;
        let holder: Holder = serde_json::from_slice(&note).ok()?;
        let is_client = holder.boot_id == host.boot_id
            && holder.claimant != Claimant::Boot.name()
            && holder.client != 1
            && Path::new(&format!("/proc/{}", holder.client)).exists();
        is_client.then_some(holder.client)
    }

    /// Puts the note of who had the scope before back: a verb that did nothing takes nobody's place.
    pub fn give_back(&self) -> Result<(), HoldError> {
        let Some(before) = &self.before else {
            return Ok(());
        };
        let path = &self.files.holder;
        replace_volatile(path, 0o600, before).map_err(|source| self.files.fail(path, source))
    }

    /// Who is at work on a scope for a client that waits; without waiting.
    pub fn at_work(host: &Host, scope: &str) -> Option<String> {
        let holder = Files::of(host, scope).ok()?.read_holder(host)?;
        let Holder {
            process, claimant, ..
        } = &holder;
        let is_other = process.pid != std::process::id() as i32 && !is_orphan(&holder);
        is_other.then(|| format!("{claimant} is at work in process {}", process.pid))
    }

    /// To be asked before each step: whether this verb is to end.
    pub fn check(&self) -> Result<(), HoldError> {
        if terminate::requested() {
            return Err(HoldError::Aborted("SIGTERM was received"));
        }
        match fs::read(&self.files.abort) {
            Ok(marker)
                if serde_json::from_slice(&marker)
                    .is_ok_and(|named: ProcessId| named == self.own) =>
            {
                Err(HoldError::Aborted("a rollback was asked for meanwhile"))
            }
            _ => Ok(()),
        }
    }
}

fn wait_for_lock(
    host: &Host,
    files: &Files,
    claimant: Claimant,
    say: &dyn Fn(&str),
) -> Result<Exclusive, HoldError> {
    let begun = host.instant();
    loop {
        if let Some(lock) =
            Exclusive::attempt(&files.lock).map_err(|e| files.fail(&files.lock, e))?
        {
            return Ok(lock);
        }
        if terminate::requested() {
            return Err(HoldError::Aborted("SIGTERM was received"));
        }
        let stuck = || HoldError::Stuck {
            scope: files.scope.clone(),
        };
        let Some(holder) = files.read_holder(host) else {
            // It just took the lock, or is just gone.
            if begun.elapsed() > NOTE_PATIENCE {
                return Err(stuck());
            }
            std::thread::sleep(RETRY);
            continue;
        };
        let orphan = is_orphan(&holder);
        match encounter(claimant, &holder.claimant, orphan) {
            Encounter::Refuse => {
                return Err(HoldError::Busy {
                    scope: files.scope.clone(),
                    holder: holder.claimant,
                    pid: holder.process.pid,
                });
            }
            Encounter::Wait => {
                if !wait_for_end(&holder.process, BOOT_PATIENCE)
                    .map_err(|e| files.fail(&files.holder, e))?
                {
                    return Err(stuck());
                }
            }
            Encounter::Cancel => {
                say(&format!(
                    "cancelling {} in process {}",
                    holder.claimant, holder.process.pid
                ));
                if !cancel(files, &holder.process).map_err(|e| files.fail(&files.holder, e))? {
                    return Err(stuck());
                }
            }
        }
    }
}

/// A process whose parent is not the client that started it was handed over to init because that client died.
fn is_orphan(holder: &Holder) -> bool {
    match holder.process.parent() {
        Ok(parent) => parent != holder.client || parent == 1,
        // Gone meanwhile: the lock is free then.
        Err(_) => true,
    }
}

fn wait_for_end(process: &ProcessId, patience: Duration) -> io::Result<bool> {
    match process.open()? {
        Some(pidfd) => pidfd.wait(Some(patience)),
        None => Ok(true),
    }
}

/// Ends the process, first with words; `false` if not even a kill ended it.
fn cancel(files: &Files, process: &ProcessId) -> io::Result<bool> {
    let Some(pidfd) = process.open()? else {
        return Ok(true);
    };
    replace_volatile(&files.abort, 0o600, &serde_json::to_vec(process)?)?;
    pidfd.signal(terminate::SIGTERM)?;
    if pidfd.wait(Some(TERM_GRACE))? {
        return Ok(true);
    }
    pidfd.signal(terminate::SIGKILL)?;
    pidfd.wait(Some(KILL_GRACE))
}

#[cfg(test)]
mod tests;
