//! The outside world as a value: folders, clock, boot id and environment, read once in `main` and passed down.
//!
//! Nothing below this room names an absolute path of the device, reads the environment or asks for the time by itself;
//! that is what lets every test run in a temporary folder.

#![expect(
    clippy::disallowed_methods,
    reason = "this is where the outside world is read"
)]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// When this release was made, in seconds since 1970: 1 November 2026. To be moved with each one.
const RELEASED: u64 = 1_793_491_200;

/// Where distributions keep the certificate authorities: Debian, Yocto, Buildroot, OpenWrt and Arch; Fedora and its
/// kin; openSUSE; Alpine.
const CA_BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Where things lie on this device, and what its environment says.
#[derive(Debug, Clone)]
pub struct Host {
    /// Configuration file; need not exist.
    pub config: PathBuf,
    /// State that survives a reboot, mode 0700.
    pub state: PathBuf,
    /// State of this boot, on tmpfs.
    pub run: PathBuf,
    /// Docker's per-registry certificates: `HOST[:PORT]/{ca.crt,client.cert,client.key}`.
    pub certs: PathBuf,
    /// Bundles of certificate authorities in PEM form, the first that exists counts: `$SSL_CERT_FILE`, or where
    /// distributions keep them.
    pub ca_bundles: Vec<PathBuf>,
    /// Docker's client configuration with registry credentials; need not exist.
    pub docker_config: PathBuf,
    /// More files in the form of docker's configuration, each with credentials; need not exist.
    pub credentials: PathBuf,
    /// Where `hosts` and `resolv.conf` lie.
    pub etc: PathBuf,
    /// systemd-resolved's list of the servers behind its stub; need not exist.
    pub resolved: PathBuf,
    /// Mender's own settings: `mender.conf`, `artifact_info`; need not exist.
    pub mender: PathBuf,
    /// What Mender's clients keep: `device_type`, a further `mender.conf`; need not exist.
    pub mender_data: PathBuf,
    /// The wall clock.
    pub clock: fn() -> SystemTime,
    /// When this program was made: it cannot be earlier than that.
    pub built: SystemTime,
    /// Changes at each boot; a pid is only meaningful together with it.
    pub boot_id: String,
    /// The environment of this process.
    pub env: BTreeMap<OsString, OsString>,
}

impl Host {
    /// The device as it is: default folders, `$DRAY_CONFIG` and `$DOCKER_CONFIG` honoured.
    ///
    /// The configuration file may move `state` and `run` afterwards; see `config`.
    pub fn os() -> Host {
        let env: BTreeMap<_, _> = std::env::vars_os().collect();
        let path = |name: &str| {
            env.get(&OsString::from(name))
                .filter(|v| !v.is_empty())
                .map(PathBuf::from)
        };
        let home = path("HOME").unwrap_or_else(|| PathBuf::from("/root"));
        Host {
            config: path("DRAY_CONFIG").unwrap_or_else(|| PathBuf::from("/etc/dray/dray.ini")),
            state: PathBuf::from("/var/lib/dray"),
            run: PathBuf::from("/run/dray"),
            certs: PathBuf::from("/etc/docker/certs.d"),
            ca_bundles: path("SSL_CERT_FILE").map_or_else(
                || CA_BUNDLES.iter().map(PathBuf::from).collect(),
                |bundle| vec![bundle],
            ),
            docker_config: path("DOCKER_CONFIG")
                .unwrap_or_else(|| home.join(".docker"))
                .join("config.json"),
            credentials: PathBuf::from("/etc/dray/credentials.d"),
            etc: PathBuf::from("/etc"),
            resolved: PathBuf::from("/run/systemd/resolve/resolv.conf"),
            // The variables are those of Mender's own client.
            mender: path("MENDER_CONF_DIR").unwrap_or_else(|| PathBuf::from("/etc/mender")),
            mender_data: path("MENDER_DATASTORE_DIR")
                .unwrap_or_else(|| PathBuf::from("/var/lib/mender")),
            clock: system_clock,
            built: built(),
            boot_id: read_boot_id(),
            env,
        }
    }

    /// A device that lies entirely below `dir`, for tests.
    pub fn at(dir: &Path) -> Host {
        Host {
            config: dir.join("etc/dray.ini"),
            state: dir.join("state"),
            run: dir.join("run"),
            certs: dir.join("etc/certs.d"),
            ca_bundles: vec![dir.join("etc/ca-certificates.crt")],
            docker_config: dir.join("etc/docker/config.json"),
            credentials: dir.join("etc/credentials.d"),
            etc: dir.join("etc"),
            resolved: dir.join("run/systemd/resolve/resolv.conf"),
            mender: dir.join("etc/mender"),
            mender_data: dir.join("mender"),
            clock: system_clock,
            built: built(),
            boot_id: read_boot_id(),
            env: BTreeMap::new(),
        }
    }

    /// Wall-clock time; wrong on devices without a clock, so never used to measure.
    pub fn now(&self) -> SystemTime {
        (self.clock)()
    }

    /// Monotonic time, for deadlines and rates.
    pub fn instant(&self) -> Instant {
        Instant::now()
    }

    /// An environment variable as text; `None` if unset, empty or not UTF-8.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.env
            .get(&OsString::from(name))?
            .to_str()
            .filter(|value| !value.is_empty())
    }
}

/// The system's wall clock.
pub fn system_clock() -> SystemTime {
    SystemTime::now()
}

/// When this program was made: what the build says with `SOURCE_DATE_EPOCH`, as reproducible builds do, and no earlier
/// than its release.
pub fn built() -> SystemTime {
    let epoch = option_env!("SOURCE_DATE_EPOCH").and_then(|epoch| epoch.parse().ok());
    let seconds = RELEASED.max(epoch.unwrap_or(0));
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn read_boot_id() -> String {
    // Without /proc there are no containers either; an empty id then simply never matches a recorded one.
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}
