//! What a container's process gives up right before its program runs: system calls, then capabilities. In that order, because
//! a filter without no-new-privileges takes CAP_SYS_ADMIN.
//!
//! libcontainer could do both, but only from a filter that it compiles anew each time. So its `config.json` has neither, and
//! beside it lies
//!
//! ```text
//! bundle/confinement.json    { "capabilities": process.capabilities, "seccomp": linux.seccomp or null,
//!                              "stack": [soft, hard] of process.rlimits or null }
//! ```
//!
//! A limited stack is limited last of all: until then the process is the monitor's program, which needs one of the usual size.

use std::path::Path;
use std::str::FromStr;

use caps::{CapSet, Capability, CapsHashSet};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::filter::Filter;
use crate::sys::fs;
use crate::sys::seccomp::{self, Flags};

/// Its file's name in the bundle.
const FILE: &str = "confinement.json";

/// What a process may do, as the container's configuration has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Confinement {
    /// Full names; inheritable and ambient sets stay empty (CVE-2022-29162).
    capabilities: Vec<String>,
    seccomp: Option<Filter>,
    #[serde(default)]
    stack: Option<[u64; 2]>,
}

/// The size of stack that the runtime works with at least.
const STACK: u64 = 8 << 20;

impl Confinement {
    /// Takes it out of a runtime configuration.
    pub fn take_from(config: &mut Value) -> Result<Confinement, serde_json::Error> {
        let mut take = |room: &str, name: &str| {
            let room = config.get_mut(room).and_then(Value::as_object_mut);
            let taken = room.and_then(|room| room.shift_remove(name));
            taken.unwrap_or(Value::Null)
        };
        Ok(Confinement {
            capabilities: serde_json::from_value(
                take("process", "capabilities")["bounding"].take(),
            )?,
            seccomp: serde_json::from_value(take("linux", "seccomp"))?,
            stack: take_stack(config),
        })
    }

    /// Soft and hard limit of the stack, if there is one, for right before the program.
    pub fn stack(&self) -> Option<[u64; 2]> {
        self.stack
    }

    /// Writes it into the bundle.
    pub fn write(&self, bundle: &Path) -> std::io::Result<()> {
        fs::replace_volatile(&bundle.join(FILE), 0o600, &serde_json::to_vec(self)?)
    }

    /// Reads what [`Confinement::write`] wrote.
    pub fn read(bundle: &Path) -> Result<Confinement, String> {
        let path = bundle.join(FILE);
        let read = || Ok::<_, std::io::Error>(serde_json::from_slice(&std::fs::read(&path)?)?);
        read().map_err(|error| format!("read {}: {error}", path.display()))
    }

    /// The same filter for a process with other capabilities.
    pub fn with(self, capabilities: Vec<String>) -> Confinement {
        Confinement {
            capabilities,
            ..self
        }
    }

    /// Everything that takes time or files, while there is nothing to lose yet; `filters` is where compiled ones are kept.
    pub fn prepare(&self, filters: &Path) -> Result<Prepared, String> {
        let program = |filter: &Filter| -> Result<_, String> {
            Ok((filter.program(filters)?, filter.flags()?))
        };
        let parse = |name: &String| {
            Capability::from_str(name).map_err(|_| format!("capability {name} is not known"))
        };
        Ok(Prepared {
            program: self.seccomp.as_ref().map(program).transpose()?,
            capabilities: self
                .capabilities
                .iter()
                .map(parse)
                .collect::<Result<_, String>>()?,
        })
    }
}

/// What the configuration says of the stack; in it stays what the runtime can work with. The hard limit is no lower there, so
/// that a process without privileges can come down to its own.
fn take_stack(config: &mut Value) -> Option<[u64; 2]> {
    let limits = config["process"]["rlimits"].as_array_mut()?;
    let limit = limits.iter_mut().find(|l| l["type"] == "RLIMIT_STACK")?;
    let wanted = ["soft", "hard"].map(|name| limit[name].as_u64().unwrap_or(u64::MAX));
    for (name, wanted) in ["soft", "hard"].into_iter().zip(wanted) {
        limit[name] = wanted.max(STACK).into();
    }
    Some(wanted)
}

/// A confinement that can be entered.
#[derive(Debug, Clone, Default)]
pub struct Prepared {
    program: Option<(Vec<u8>, Flags)>,
    capabilities: CapsHashSet,
}

impl Prepared {
    /// Confines the calling process, for ever; it holds all capabilities until then.
    pub fn enter(&self) -> Result<(), String> {
        if let Some((program, flags)) = &self.program {
            seccomp::install(program, *flags)
                .map_err(|error| format!("install the seccomp filter: {error}"))?;
        }
        self.drop_capabilities()
            .map_err(|error| format!("drop capabilities: {error}"))
    }

    fn drop_capabilities(&self) -> Result<(), caps::errors::CapsError> {
        let held = caps::read(None, CapSet::Bounding)?;
        for capability in held.difference(&self.capabilities) {
            caps::drop(None, CapSet::Bounding, *capability)?;
        }
        // The effective set first: it has to stay within the permitted one.
        caps::set(None, CapSet::Effective, &self.capabilities)?;
        caps::set(None, CapSet::Permitted, &self.capabilities)?;
        caps::clear(None, CapSet::Inheritable)?;
        caps::clear(None, CapSet::Ambient)
    }
}
