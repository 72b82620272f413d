//! Volumes that did not answer while the device boots: who has the same one is told at once what another one has waited for.
//! Whoever starts a container later asks again.
//!
//! ```text
//! <run>/boot/lock            held for as long as `dray boot` runs
//! <run>/boot/silent/<name>   a volume that did not answer meanwhile, and what was said of it
//! ```

use std::io;
use std::path::{Path, PathBuf};

use super::super::EngineError;
use crate::host::Host;
use crate::sys::fs;
use crate::sys::lock::{Exclusive, Shared};

/// For as long as this is there, nobody waits for a volume that has kept another one waiting in vain.
#[derive(Debug)]
pub struct Booting {
    /// Nothing where another boot is under way: what that one hears holds for this one too.
    _lock: Option<Exclusive>,
}

impl Booting {
    /// From now on; what an earlier boot heard is forgotten.
    pub fn begin(host: &Host) -> Result<Booting, EngineError> {
        let folder = folder(&host.run);
        let failed = |source| EngineError::write(&folder, source);
        fs::create_dirs(&folder).map_err(failed)?;
        let lock = Exclusive::attempt(&folder.join("lock")).map_err(failed)?;
        let silent = folder.join("silent");
        if lock.is_some() {
            fs::remove_tree_volatile(&silent).map_err(failed)?;
            fs::create_dirs(&silent).map_err(failed)?;
        }
        Ok(Booting { _lock: lock })
    }
}

/// Asks a volume, or says what it did not answer in this boot.
pub(super) fn ask(
    run: &Path,
    name: &str,
    mount: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    if !boots(run) {
        return mount();
    }
    let note = folder(run).join("silent").join(name);
    if let Ok(said) = std::fs::read_to_string(&note) {
        return Err(io::Error::new(io::ErrorKind::TimedOut, said));
    }
    mount().inspect_err(|error| {
        if error.kind() == io::ErrorKind::TimedOut {
            // Without it the next one waits as well.
            let _ = fs::replace_volatile(&note, 0o600, error.to_string().as_bytes());
        }
    })
}

fn boots(run: &Path) -> bool {
    // Shared, so that those who ask do not take each other for the boot.
    matches!(Shared::attempt(&folder(run).join("lock")), Ok(None))
}

fn folder(run: &Path) -> PathBuf {
    run.join("boot")
}
