//! Leases: what each container has on each of its networks, and what their bridges were built as.
//!
//! ```text
//! <run>/network/
//!   lock               exclusive while anything below or in the kernel changes
//!   keep               shared by whoever wants the network to stay, exclusive while it is removed
//!   network.json       bridge, its addresses, and what to undo with it; exists as long as the bridge may
//!   built/<name>       the same of a user-defined network
//!   leases/<id>        one container's address, interface and ports; written before anything exists in the kernel,
//!                      removed after everything is gone from it
//!   leases/<id>@<bridge>   the same on a user-defined network
//!   turning            empty; there while the host becomes one that passes IPv6 on, or one that does not
//!   names              empty; there while the containers' hosts files may say something else than the leases
//! ```
//!
//! All of it is about this boot only, so it lives on tmpfs and is not synced. Files carry a version; a newer one than
//! this program knows is refused by name.

use std::io;
use std::path::{Path, PathBuf};

use super::NetworkError;
use super::bind::Claim;
use super::forwarding::Hosts;
use super::lease::{Built, Lease};
use super::state::{MODE, entries, load, remove, write};
use crate::sys;
use crate::sys::lock::{Exclusive, Shared};

/// Lock file of those who keep the network although it is empty.
pub(super) const KEEP: &str = "keep";
const NAMES: &str = "names";
const TURNING: &str = "turning";

/// The folder with all leases, locked.
#[derive(Debug)]
pub(super) struct Leases {
    dir: PathBuf,
    _lock: Exclusive,
    /// Whether the hosts files may say something else.
    pub(super) stale_names: bool,
    pub(super) all: Vec<Lease>,
    pub(super) built: Vec<Built>,
}

impl Leases {
    /// Locks and reads `dir`; creates it if it is missing.
    pub(super) fn create(dir: &Path) -> Result<Leases, NetworkError> {
        for path in [dir.join("leases"), dir.join("built")] {
            sys::fs::create_dirs(&path).map_err(|source| NetworkError::State { path, source })?;
        }
        let path = dir.join(KEEP);
        // Made with the folder, so that a network that has been had many containers holds no more files than one that had one.
        Shared::wait(&path).map_err(|source| NetworkError::State { path, source })?;
        Leases::read(dir)
    }

    /// Locks and reads `dir`; `None` if nothing was ever attached.
    pub(super) fn open(dir: &Path) -> Result<Option<Leases>, NetworkError> {
        if !dir.join("leases").is_dir() {
            return Ok(None);
        }
        Leases::read(dir).map(Some)
    }

    fn read(dir: &Path) -> Result<Leases, NetworkError> {
        let path = dir.join("lock");
        let lock = Exclusive::wait(&path).map_err(|source| NetworkError::State { path, source })?;
        let mut all = Vec::new();
        for path in entries(&dir.join("leases"))? {
            all.extend(load::<Lease>(&path)?);
        }
        let mut built = Vec::from_iter(load(&dir.join("network.json"))?);
        for path in entries(&dir.join("built"))? {
            built.extend(load::<Built>(&path)?);
        }
        Ok(Leases {
            stale_names: dir.join(NAMES).exists(),
            dir: dir.to_owned(),
            _lock: lock,
            all,
            built,
        })
    }

    /// A container's lease on one network.
    pub(super) fn find(&self, id: &str, network: &str) -> Option<&Lease> {
        self.all.iter().find(|lease| lease.is(id, network))
    }

    /// All leases of a container.
    pub(super) fn of<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a Lease> {
        self.all.iter().filter(move |lease| lease.id == id)
    }

    /// What a network was built as, if it is.
    pub(super) fn built(&self, network: &str) -> Option<&Built> {
        self.built.iter().find(|built| built.network == network)
    }

    /// What was found where IPv6 forwarding had to be enabled for a network that is built.
    pub(super) fn hosts(&self) -> Option<&Hosts> {
        self.built.iter().find_map(|built| built.hosts.as_ref())
    }

    /// The file that is there while IPv6 forwarding is being switched.
    pub(super) fn turning(&self) -> PathBuf {
        self.dir.join(TURNING)
    }

    /// Ports of all containers but `ignoring`.
    pub(super) fn claims(&self, ignoring: &[&str]) -> Vec<Claim<'_>> {
        self.all
            .iter()
            .filter(|lease| !ignoring.contains(&lease.id.as_str()))
            .flat_map(|lease| {
                lease.attachment.ports.iter().map(|port| Claim {
                    holder: &lease.id,
                    port: *port,
                    published: lease.published,
                })
            })
            .collect()
    }

    /// Notes that the hosts files have to follow.
    fn note(&mut self) -> Result<(), NetworkError> {
        if !self.stale_names {
            let path = self.dir.join(NAMES);
            let made = sys::fs::replace_volatile(&path, MODE, b"");
            made.map_err(|source| NetworkError::State { path, source })?;
            self.stale_names = true;
        }
        Ok(())
    }

    /// Notes that they have followed.
    pub(super) fn followed(&mut self) -> Result<(), NetworkError> {
        remove(&self.dir.join(NAMES))?;
        self.stale_names = false;
        Ok(())
    }

    pub(super) fn save(&mut self, lease: Lease) -> Result<(), NetworkError> {
        self.note()?;
        write(&self.path(&lease), &lease)?;
        let network = lease.attachment.network.as_str();
        self.all.retain(|other| !other.is(&lease.id, network));
        self.all.push(lease);
        Ok(())
    }

    pub(super) fn remove(&mut self, lease: &Lease) -> Result<(), NetworkError> {
        self.note()?;
        remove(&self.path(lease))?;
        self.all.retain(|other| other != lease);
        Ok(())
    }

    pub(super) fn save_built(&mut self, built: Built) -> Result<(), NetworkError> {
        write(&built.path(&self.dir), &built)?;
        self.built.retain(|other| other.network != built.network);
        self.built.push(built);
        Ok(())
    }

    pub(super) fn remove_built(&mut self, built: &Built) -> Result<(), NetworkError> {
        remove(&built.path(&self.dir))?;
        self.built.retain(|other| other.network != built.network);
        Ok(())
    }

    /// Removes what writers that were killed left.
    pub(super) fn sweep(&self) -> Result<(), NetworkError> {
        for dir in ["", "leases", "built"].map(|name| self.dir.join(name)) {
            match sys::fs::sweep_scratch(&dir) {
                // An earlier version made no folder for user-defined networks.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                swept => swept.map_err(|source| NetworkError::State { path: dir, source })?,
            }
        }
        Ok(())
    }

    fn path(&self, lease: &Lease) -> PathBuf {
        self.dir.join("leases").join(lease.file_name())
    }
}
