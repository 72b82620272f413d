//! Putting right what a kill or a power cut left, at each start of dray.

use super::pause::group_of;
use super::record::UNSEEN;
use super::{Engine, EngineError, Outcome, State, Status, restart, teardown, time};
use crate::sys::lock::Exclusive;
use crate::sys::{cgroup, freezer, fs};

/// How a container ended whose monitor did not see it.
fn ended_unseen(now: &State) -> Outcome {
    let outcome = now.outcome.clone();
    match now.status {
        Status::Restarting => Outcome {
            error: String::new(),
            ..outcome
        },
        _ => Outcome {
            exit_code: UNSEEN,
            last_health: now.health.clone(),
            error: "its monitor was killed".into(),
            ..outcome
        },
    }
}

/// What a container of a killed monitor is doing, to be looked at: it runs on by itself, or has ended.
pub(super) fn as_it_is(now: Option<State>) -> Option<State> {
    // It may just have ended as it should.
    let mut now = now.filter(State::is_left_alone)?;
    if !now.is_alive() {
        now.outcome = ended_unseen(&now);
        now.init = None;
        now.health = None;
        now.status = match now.status {
            Status::Prepared => Status::Created,
            _ => Status::Exited,
        };
    }
    Some(now)
}

impl Engine {
    /// Names of containers whose monitor was killed and that nobody has put right yet.
    pub fn left_alone(&self) -> Result<Vec<String>, EngineError> {
        let mut names = Vec::new();
        for id in self.ids()? {
            let folders = self.folders(&id);
            let left = || {
                folders
                    .now(&self.host.boot_id)
                    .map(|now| now.is_some_and(|now| now.is_left_alone()))
            };
            // Twice: the first may have been its last breath.
            match left().and_then(|first| Ok(first && left()?)) {
                Ok(true) => names.push(folders.record().map_or(id, |record| record.name)),
                Err(error) if !error.is_about_files() => return Err(error),
                _ => {}
            }
        }
        names.sort();
        Ok(names)
    }

    /// Containers whose monitor was killed count as dead: what is left of them is taken down, and their policy applies.
    /// Unfinished records, forgotten pins and run folders go.
    pub(super) fn settle(&self) -> Result<(), EngineError> {
        let mut again = Vec::new();
        for id in self.ids()? {
            match self.settle_one(&id) {
                Ok(Some(policy_wants)) => again.extend(policy_wants.then_some(id)),
                Ok(None) => {}
                // Damaged, or removed meanwhile; or a --rm one that the disk keeps.
                Err(error) if error.is_about_files() || error.is_read_only() => {}
                Err(error) => return Err(error),
            }
        }
        self.sweep()?;
        // What a monitor was killed before releasing or tidying, and leases of containers that are no more.
        self.network.settle(&|id| self.is_attended(id))?;
        // As after a boot: whoever shares another one's network was made after it.
        again.sort_by_cached_key(|id| {
            self.folders(id)
                .record()
                .map_or_else(|_| String::new(), |r| r.created)
        });
        for id in again {
            // Its own failure must not keep the others from running; `ps` and `inspect` show it.
            let _ = self.start(&id);
        }
        Ok(())
    }

    /// Whether a monitor looks after the container; one whose state cannot be read is left alone.
    fn is_attended(&self, id: &str) -> bool {
        let now = self.folders(id).now(&self.host.boot_id);
        now.map_or(true, |now| now.is_some_and(|now| now.monitor.is_alive()))
    }

    /// Puts one container right whose monitor was killed. `None` if nothing was wrong, else whether its policy wants it to run.
    pub fn settle_one(&self, id: &str) -> Result<Option<bool>, EngineError> {
        let folders = self.folders(id);
        let Some(now) = folders.now(&self.host.boot_id)? else {
            return Ok(None);
        };
        if !now.is_left_alone() {
            return Ok(None);
        }
        let _lock = self.lock(id)?;
        // Somebody else may have settled it, or removed it, while we waited.
        let Some(now) = folders.now(&self.host.boot_id)? else {
            return Ok(None);
        };
        if !now.is_left_alone() {
            return Ok(None);
        }
        self.take_down(id, Some(&now))?;
        let mut outcome = ended_unseen(&now);
        if now.status != Status::Restarting {
            outcome.finished_at = time::rfc3339(self.host.now());
        }
        let record = folders.record()?;
        if now.status != Status::Prepared {
            folders.write_outcome(&outcome)?;
        }
        let _ = std::fs::remove_file(folders.run.join("state.json"));
        if record.goes_with_boot() {
            self.remove_stopped(&record, true)?;
            return Ok(Some(false));
        }
        let meant = folders.intent()?.running && now.status != Status::Prepared;
        let end = restart::End {
            exit_code: outcome.exit_code,
            ran: restart::STEADY,
            paused: std::time::Duration::ZERO,
            restarts: outcome.restart_count,
            stopped: !meant,
        };
        let next = restart::decide(&record.body.host_config.restart_policy, &end);
        Ok(Some(matches!(next, restart::Next::Restart(_))))
    }

    /// Ends everything of a container whose monitor is gone, as far as it is known.
    pub(super) fn take_down(&self, id: &str, now: Option<&State>) -> Result<(), EngineError> {
        let failed = |source| EngineError::System {
            action: format!("take down container {id}"),
            source,
        };
        let record = self.folders(id).record().ok();
        if let Some(process) = now
            .and_then(|now| now.init.as_ref())
            .map(|init| init.open())
            .transpose()
            .map_err(failed)?
            .flatten()
        {
            process.signal(9).map_err(failed)?;
            freezer::thaw(&group_of(id, record.as_ref())).map_err(failed)?;
            process.wait(None).map_err(failed)?;
        }
        let down = teardown::take_down(self, id, record.as_ref());
        // What it was on is free, whatever else stays.
        let left = self.network.detach(id).map_err(EngineError::from);
        down.and(left)
    }

    /// Removes scratch folders, pins of containers that do not exist, and run folders and control groups of those.
    fn sweep(&self) -> Result<(), EngineError> {
        let failed = |source| EngineError::write(&self.containers(), source);
        let lock_path = self.host.run.join("containers.lock");
        // Somebody who makes a container right now has scratch of his own: then another start sweeps.
        let Some(names) =
            Exclusive::attempt(&lock_path).map_err(EngineError::system("lock container names"))?
        else {
            return Ok(());
        };
        fs::sweep_scratch(&self.containers()).map_err(failed)?;
        self.sweep_volumes(&names)?;
        let ids = self.ids()?;
        for id in &ids {
            // What a killed command or monitor was writing; a folder that goes meanwhile needs no sweeping.
            match fs::sweep_abandoned(&self.containers().join(id)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(failed(error));
                }
                _ => {}
            }
        }
        for pin in self.images.pins()? {
            if let Some(id) = pin.holder.strip_prefix("container-")
                && !ids.iter().any(|known| known == id)
            {
                match self.images.unpin(&pin.holder).map_err(EngineError::from) {
                    // It keeps more than is needed until the disk takes something again.
                    Err(error) if error.is_read_only() => {}
                    unpinned => unpinned?,
                }
            }
        }
        cgroup::sweep_strays(&ids, self.host.now());
        let run = self.host.run.join("containers");
        for entry in std::fs::read_dir(&run).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if !ids.iter().any(|id| name == id.as_str()) {
                // Nothing in it outlives the boot anyway.
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
        Ok(())
    }
}
