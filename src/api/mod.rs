//! Container configuration under Docker Engine API names, everywhere the same: in records on disk, in `dray inspect`, in
//! `dray explain`. Zero values are left out when written, as Docker's own clients may do.

mod host_config;
mod networking;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::oci::Healthcheck;

pub use host_config::{
    BindOptions, DeviceMapping, Driver, HostConfig, LogConfig, Mount, PortBinding, RestartPolicy,
    ThrottleDevice, TmpfsOptions, Ulimit, VolumeOptions, WeightDevice,
};
pub use networking::{EndpointIpam, EndpointSettings, NetworkingConfig};

/// A JSON object without members, as Docker writes sets: `{"80/tcp": {}}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// The body of a container create call.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CreateBody {
    /// What belongs to the container itself.
    #[serde(flatten)]
    pub config: Config,
    /// What belongs to this host.
    pub host_config: HostConfig,
    /// Networks to join.
    pub networking_config: NetworkingConfig,
}

/// The part of the configuration that could move to another host with the container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Config {
    /// Host name; empty means the first 12 digits of the container's id.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    /// NIS domain name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domainname: String,
    /// `user[:group]`, names or numbers; empty means the image's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// The creating client stays attached to standard input.
    #[serde(skip_serializing_if = "is_false")]
    pub attach_stdin: bool,
    /// The creating client stays attached to standard output.
    #[serde(skip_serializing_if = "is_false")]
    pub attach_stdout: bool,
    /// The creating client stays attached to standard error.
    #[serde(skip_serializing_if = "is_false")]
    pub attach_stderr: bool,
    /// Ports that the container says it listens on: `80/tcp`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub exposed_ports: BTreeMap<String, Empty>,
    /// A terminal instead of pipes.
    #[serde(skip_serializing_if = "is_false")]
    pub tty: bool,
    /// Standard input is kept open.
    #[serde(skip_serializing_if = "is_false")]
    pub open_stdin: bool,
    /// Standard input is closed when the first attached client leaves.
    #[serde(skip_serializing_if = "is_false")]
    pub stdin_once: bool,
    /// `NAME=value`; a bare `NAME` removes it from the image's environment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Command; absent means the image's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// Health check; absent means the image's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// The reference the container was asked for with.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// Anonymous volumes by mount point.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, Empty>,
    /// Working directory; empty means the image's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Entry point; absent means the image's, `[""]` means none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Labels; data only, they never make dray do anything.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Signal that asks the container to stop, by name or number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// Seconds between the stop signal and the kill; absent means 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i64>,
    /// Shell that runs a health check's line, from the image; empty means `/bin/sh -c`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shell: Vec<String>,
}

pub(crate) fn is_false(value: &bool) -> bool {
    !value
}

pub(crate) fn is_zero(value: &i64) -> bool {
    *value == 0
}
