//! Leases: what each container on the bridge has, and what the bridge was built as.
//!
//! ```text
//! <run>/network/
//!   lock               exclusive while anything below or in the kernel changes
//!   keep               shared by whoever wants the network to stay, exclusive while it is removed
//!   network.json       bridge, its addresses, and what to undo with it; exists as long as the bridge may
//!   leases/<id>        one container's address, interface and ports; written before anything exists in the kernel,
//!                      removed after everything is gone from it
//! ```
//!
//! All of it is about this boot only, so it lives on tmpfs and is not synced. Files carry a version; a newer one than
//! this program knows is refused by name.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::address::Pool;
use super::bind::Claim;
use super::ports::PublishedPort;
use super::{Attachment, NetworkError};
use crate::sys;
use crate::sys::lock::{Exclusive, Shared};

/// The version of both files that this program writes and reads.
const VERSION: u32 = 1;
const MODE: u32 = 0o600;
/// Lock file of those who keep the network although it is empty.
pub(super) const KEEP: &str = "keep";

/// What one container has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lease {
    version: u32,
    pub(super) id: String,
    /// The process whose namespace has the other end.
    pub(super) pid: i32,
    pub(super) hostname: String,
    /// The host's end of its veth pair.
    pub(super) link: String,
    /// Ports as they were asked for, so that a restart with the same wishes gets the same ports.
    pub(super) wanted: Vec<PublishedPort>,
    /// Whether the ports lead to it.
    pub(super) published: bool,
    pub(super) attachment: Attachment,
}

impl Lease {
    pub(super) fn new(join: &super::Join, attachment: Attachment) -> Lease {
        Lease {
            version: VERSION,
            id: join.id.to_owned(),
            pid: join.pid,
            hostname: join.hostname.to_owned(),
            // Of its own for each address and process, so that it cannot be in the way of a successor while the kernel
            // still removes it; pids have 22 bits, so it is short enough for an interface.
            link: format!("veth{:04x}{:06x}", attachment.ip.to_bits() as u16, join.pid),
            wanted: join.ports.to_vec(),
            published: join.publish,
            attachment,
        }
    }
}

/// What the network was built as. It stays so until it is taken down, whatever the settings say meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Built {
    version: u32,
    pub(super) bridge: String,
    pub(super) pool: Pool,
    /// Forwarding was off before and goes off again.
    pub(super) forwarding_enabled: bool,
}

impl Built {
    pub(super) fn new(bridge: &str, pool: Pool, forwarding_enabled: bool) -> Built {
        Built {
            version: VERSION,
            bridge: bridge.to_owned(),
            pool,
            forwarding_enabled,
        }
    }
}

/// The folder with all leases, locked.
#[derive(Debug)]
pub(super) struct Leases {
    dir: PathBuf,
    _lock: Exclusive,
    pub(super) all: Vec<Lease>,
    pub(super) built: Option<Built>,
}

impl Leases {
    /// Locks and reads `dir`; creates it if it is missing.
    pub(super) fn create(dir: &Path) -> Result<Leases, NetworkError> {
        let leases = dir.join("leases");
        sys::fs::create_dirs(&leases).map_err(|source| NetworkError::State {
            path: leases.clone(),
            source,
        })?;
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
        Ok(Leases {
            dir: dir.to_owned(),
            _lock: lock,
            all,
            built: load(&dir.join("network.json"))?,
        })
    }

    pub(super) fn find(&self, id: &str) -> Option<&Lease> {
        self.all.iter().find(|lease| lease.id == id)
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

    pub(super) fn save(&mut self, lease: Lease) -> Result<(), NetworkError> {
        write(&self.path(&lease.id), &lease)?;
        self.all.retain(|other| other.id != lease.id);
        self.all.push(lease);
        Ok(())
    }

    pub(super) fn remove(&mut self, id: &str) -> Result<(), NetworkError> {
        remove(&self.path(id))?;
        self.all.retain(|lease| lease.id != id);
        Ok(())
    }

    pub(super) fn save_built(&mut self, built: Built) -> Result<(), NetworkError> {
        write(&self.dir.join("network.json"), &built)?;
        self.built = Some(built);
        Ok(())
    }

    pub(super) fn remove_built(&mut self) -> Result<(), NetworkError> {
        remove(&self.dir.join("network.json"))?;
        self.built = None;
        Ok(())
    }

    /// Removes what writers that were killed left.
    pub(super) fn sweep(&self) -> Result<(), NetworkError> {
        for dir in [self.dir.clone(), self.dir.join("leases")] {
            sys::fs::sweep_scratch(&dir)
                .map_err(|source| NetworkError::State { path: dir, source })?;
        }
        Ok(())
    }

    fn path(&self, id: &str) -> PathBuf {
        self.dir.join("leases").join(id)
    }
}

/// The files in `dir` that are not the scratch of a writer.
fn entries(dir: &Path) -> Result<Vec<PathBuf>, NetworkError> {
    let list = || -> io::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            if !name
                .as_encoded_bytes()
                .starts_with(sys::fs::SCRATCH_PREFIX.as_bytes())
            {
                paths.push(entry.path());
            }
        }
        // The order of a folder is arbitrary; rules and messages should not be.
        paths.sort();
        Ok(paths)
    };
    list().map_err(|source| NetworkError::State {
        path: dir.to_owned(),
        source,
    })
}

/// What the file says; `None` if there is no such file.
pub(super) fn load<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, NetworkError> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(NetworkError::State {
                path: path.to_owned(),
                source,
            });
        }
    };
    let damaged = |source| NetworkError::Record {
        path: path.to_owned(),
        source,
    };
    let Versioned { version } = serde_json::from_slice(&bytes).map_err(damaged)?;
    if version > VERSION {
        return Err(NetworkError::Newer {
            path: path.to_owned(),
            version,
        });
    }
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}

fn write(path: &Path, record: &impl Serialize) -> Result<(), NetworkError> {
    serde_json::to_vec(record)
        .map_err(|source| NetworkError::Record {
            path: path.to_owned(),
            source,
        })
        .and_then(|bytes| {
            sys::fs::replace_volatile(path, MODE, &bytes).map_err(|source| NetworkError::State {
                path: path.to_owned(),
                source,
            })
        })
}

fn remove(path: &Path) -> Result<(), NetworkError> {
    sys::fs::remove_file_volatile(path).map_err(|source| NetworkError::State {
        path: path.to_owned(),
        source,
    })
}
