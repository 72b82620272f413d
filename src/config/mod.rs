//! The device's settings: defaults, changed by one ini file; validated, so that other rooms need not check anything.
//!
//! `module/dist/dray.ini` shows every key with its default and its meaning; a test compares the two. An unknown
//! section or key is an error with its line: a setting that silently does nothing is worse than none.

mod ini;
mod value;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::host::Host;

pub use value::is_proxy;

/// Everything the ini file can say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// `[paths]`
    pub paths: PathSettings,
    /// `[registry "HOST[:PORT]"]`, by the host as references spell it.
    pub registries: BTreeMap<String, RegistrySettings>,
    /// `[log]`
    pub log: LogSettings,
    /// `[health]`
    pub health: HealthSettings,
    /// `[store]`
    pub store: StoreSettings,
    /// `[network]`
    pub network: NetworkSettings,
    /// `[download]`
    pub download: DownloadSettings,
    /// `[proxy]`
    pub proxy: ProxySettings,
    /// `[credentials]`
    pub credentials: CredentialSettings,
    /// `[artifact]`
    pub artifact: ArtifactSettings,
    /// `[trust]`
    pub trust: TrustSettings,
}

/// Where state lies, when not where [`Host`] says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PathSettings {
    /// State that survives a reboot.
    pub state: Option<PathBuf>,
    /// State of this boot.
    pub run: Option<PathBuf>,
}

/// How to talk to one registry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RegistrySettings {
    /// Its certificate is not looked at, and if it has none it is talked to in plain http.
    pub insecure: bool,
    /// `HOST[:PORT]` of token servers outside the registry's own domain that may be given its credentials.
    pub token_servers: Vec<String>,
    /// `HOST[:PORT]` of registries that may have the same, to be asked first.
    pub mirrors: Vec<String>,
    /// Authorities besides those in `certs.d`.
    pub ca: Option<PathBuf>,
    /// What to show to it, instead of what is in `certs.d`.
    pub client_cert: Option<PathBuf>,
    /// The key of that.
    pub client_key: Option<PathBuf>,
}

/// Proxies; each wins over the variable of the environment that says the same.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProxySettings {
    /// For registries reached by plain http.
    pub http: Option<String>,
    /// For all others.
    pub https: Option<String>,
    /// Whom to reach without.
    pub no_proxy: Option<String>,
}

/// Credentials besides those in docker's own file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CredentialSettings {
    /// Where they lie, when not where [`Host`] says.
    pub folder: Option<PathBuf>,
}

/// What `dray install` goes by besides what Mender's own files say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ArtifactSettings {
    /// What kind of device this is, when not what Mender's file says.
    pub device_type: Option<String>,
}

/// Who may make what is installed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustSettings {
    /// Public keys (PEM) of which one must have signed an artifact; empty leaves it to Mender's own settings.
    pub artifact_keys: Vec<PathBuf>,
}

/// Where containers' output goes unless their run args say otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// Format, or none at all.
    pub driver: LogDriver,
    /// Bytes after which a log file is rotated.
    pub max_size: u64,
    /// Files kept, the current one included.
    pub max_file: u32,
}

/// The log formats, named as docker names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogDriver {
    /// Docker's JSON lines.
    JsonFile,
    /// Compact.
    Local,
    /// Output is dropped.
    None,
}

/// When a deployment counts as healthy, unless its artifact says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthSettings {
    /// How long a container without a health check has to stay up.
    pub stable: Duration,
    /// How long all containers together may take to become healthy.
    pub timeout: Duration,
}

/// The image store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreSettings {
    /// Compressed layers stay after unpacking.
    pub keep_blobs: bool,
    /// Bytes that all images together may take.
    pub max_size: Option<u64>,
    /// Bytes of the disk that images leave free.
    pub reserve: u64,
    /// The images of the deployment before the committed one stay.
    pub keep_previous: bool,
    /// How often every byte is read to see whether it is still what it was; none means never.
    pub scrub: Option<Duration>,
}

/// The default bridge network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkSettings {
    /// Name of the bridge interface.
    pub bridge: String,
    /// Addresses of bridge and containers.
    pub subnet: Subnet<Ipv4Addr>,
    /// The same for IPv6; none means containers on the bridge have IPv4 only.
    pub ip6: Option<Subnet<Ipv6Addr>>,
}

/// A network in CIDR form; host bits are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet<A> {
    /// The network's first address.
    pub address: A,
    /// Length of the prefix in bits.
    pub prefix: u8,
}

/// Downloads from registries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DownloadSettings {
    /// Layers fetched at the same time.
    pub parallel: usize,
    /// How often in a row a request is repeated, or a blob whose connection broke gone on with, before a new byte arrives.
    pub retries: u32,
    /// How long an image may take, all in all.
    pub deadline: Duration,
    /// Bytes a second below which a connection is given up for another.
    pub least_rate: u64,
    /// Bytes a second that all connections together may fetch.
    pub rate: Option<u64>,
    /// Bytes of layers that all calls of one deployment together may fetch.
    pub budget: Option<u64>,
}

impl Default for LogSettings {
    fn default() -> LogSettings {
        LogSettings {
            driver: LogDriver::JsonFile,
            max_size: 10 << 20,
            max_file: 3,
        }
    }
}

impl Default for HealthSettings {
    fn default() -> HealthSettings {
        HealthSettings {
            stable: Duration::from_secs(10),
            timeout: Duration::from_secs(120),
        }
    }
}

impl Default for StoreSettings {
    fn default() -> StoreSettings {
        StoreSettings {
            keep_blobs: false,
            max_size: None,
            // Containers that run must be able to go on writing, and a rollback must find room for its records.
            reserve: 16 << 20,
            keep_previous: false,
            scrub: None,
        }
    }
}

impl Default for NetworkSettings {
    fn default() -> NetworkSettings {
        NetworkSettings {
            bridge: "dray0".to_owned(),
            // Docker takes 172.17 to 172.31 from below; the far side of that range rarely collides.
            subnet: Subnet {
                address: Ipv4Addr::new(172, 29, 0, 0),
                prefix: 16,
            },
            ip6: None,
        }
    }
}

impl Default for DownloadSettings {
    fn default() -> DownloadSettings {
        DownloadSettings {
            // Docker's default; more only helps on links that one connection cannot fill.
            parallel: 3,
            // With pauses that grow to a minute, an hour without network.
            retries: 60,
            // Mender ends an update module after four hours.
            deadline: Duration::from_secs(3 * 60 * 60),
            // GSM has a thousand; below a quarter of that it is no link.
            least_rate: 256,
            rate: None,
            budget: None,
        }
    }
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is there but cannot be read.
    #[error("failed to read settings {}: {source}", path.display())]
    Read {
        /// The ini file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file can be read but not understood.
    #[error("failed to read settings {}, line {line}: {problem}", path.display())]
    Content {
        /// The ini file.
        path: PathBuf,
        /// Line in it, from 1.
        line: usize,
        /// What is wrong there.
        problem: String,
    },
}

/// A file's text, for `tests/fuzz`.
#[cfg(fuzzing)]
pub fn door(text: &str) {
    let _ = Settings::parse(text);
}

/// Where the configuration file usually is.
const USUAL: &str = "/etc/dray/dray.ini";

impl Settings {
    /// Reads the host's ini file; without the usual one the defaults hold.
    pub fn load(host: &Host) -> Result<Settings, ConfigError> {
        let text = match std::fs::read_to_string(&host.config) {
            Ok(text) => text,
            // Only the usual file may be missing: one that somebody named is meant.
            Err(error)
                if error.kind() == io::ErrorKind::NotFound && host.config == Path::new(USUAL) =>
            {
                return Ok(Settings::default());
            }
            Err(source) => {
                return Err(ConfigError::Read {
                    path: host.config.clone(),
                    source,
                });
            }
        };
        Settings::parse(&text).map_err(|ini::Problem { line, problem }| ConfigError::Content {
            path: host.config.clone(),
            line,
            problem,
        })
    }

    /// The host with state and run folders where these settings want them.
    pub fn apply(&self, mut host: Host) -> Host {
        if let Some(state) = &self.paths.state {
            host.state = state.clone();
        }
        if let Some(run) = &self.paths.run {
            host.run = run.clone();
        }
        if let Some(folder) = &self.credentials.folder {
            host.credentials = folder.clone();
        }
        host
    }

    /// Whether a registry may do without a certificate that can be verified, or without any.
    pub fn is_insecure(&self, registry: &str) -> bool {
        self.registries
            .get(registry)
            .is_some_and(|settings| settings.insecure)
    }

    /// The token servers that a registry may use outside its own domain.
    pub fn token_servers(&self, registry: &str) -> &[String] {
        let settings = self.registries.get(registry);
        settings.map_or(&[], |settings| &settings.token_servers)
    }

    /// Whom to ask before a registry.
    pub fn mirrors(&self, registry: &str) -> &[String] {
        let settings = self.registries.get(registry);
        settings.map_or(&[], |settings| &settings.mirrors)
    }
}

#[cfg(test)]
mod tests;
