//! What the options have said so far, before it is seen as a whole.

use std::collections::{BTreeMap, BTreeSet};

use super::network::Attachment;
use super::outside::Outside;
use super::{RunArgs, RunArgsError, capability};
use crate::api::{Config, DeviceMapping, HostConfig, Ulimit};
use crate::oci::Healthcheck;

/// Options seen so far; what can be kept in its final form is in `args` already.
pub(super) struct Draft<'a> {
    pub(super) outside: Outside<'a>,
    pub(super) args: RunArgs,
    pub(super) attach: BTreeSet<&'static str>,
    pub(super) devices: Vec<DeviceMapping>,
    pub(super) env: Vec<String>,
    pub(super) env_files: Vec<String>,
    pub(super) expose: Vec<String>,
    pub(super) health: Health,
    pub(super) help: bool,
    pub(super) label_files: Vec<String>,
    pub(super) labels: Vec<String>,
    pub(super) log_options: Vec<String>,
    pub(super) networks: Vec<Attachment>,
    /// `--ip`, `--link`, `--mac-address`, `--network-alias`: for the first network.
    pub(super) own: Attachment,
    pub(super) publish: Vec<String>,
    pub(super) pull: String,
    pub(super) restart: String,
    pub(super) ulimits: BTreeMap<String, Ulimit>,
    pub(super) volumes: Vec<String>,
}

/// `--health-*` and `--no-healthcheck`.
#[derive(Default)]
pub(super) struct Health {
    pub(super) command: String,
    pub(super) check: Healthcheck,
    pub(super) none: bool,
}

impl<'a> Draft<'a> {
    /// What Docker's client starts from.
    pub(super) fn new(outside: Outside<'a>) -> Draft<'a> {
        let mut args = RunArgs {
            sig_proxy: true,
            ..RunArgs::default()
        };
        args.body.host_config.memory_swappiness = Some(-1);
        Draft {
            outside,
            args,
            attach: BTreeSet::new(),
            devices: Vec::new(),
            env: Vec::new(),
            env_files: Vec::new(),
            expose: Vec::new(),
            health: Health::default(),
            help: false,
            label_files: Vec::new(),
            labels: Vec::new(),
            log_options: Vec::new(),
            networks: Vec::new(),
            own: Attachment::default(),
            publish: Vec::new(),
            pull: "missing".to_owned(),
            restart: "no".to_owned(),
            ulimits: BTreeMap::new(),
            volumes: Vec::new(),
        }
    }

    pub(super) fn config(&mut self) -> &mut Config {
        &mut self.args.body.config
    }

    pub(super) fn host(&mut self) -> &mut HostConfig {
        &mut self.args.body.host_config
    }

    /// Puts everything in its place, as Docker's client does, then refuses what its daemon would.
    pub(super) fn finish(mut self) -> Result<RunArgs, RunArgsError> {
        if self.help {
            return Err(RunArgsError::Help);
        }
        self.args.pull = super::pull(&self.pull)?;
        super::volume::place(&mut self)?;
        super::port::place(&mut self)?;
        super::environment::place(&mut self)?;
        super::labels::place(&mut self)?;
        super::logging::place(&mut self)?;
        super::health::place(&mut self)?;
        super::network::place(&mut self)?;
        super::protection::place(&mut self)?;
        let devices = std::mem::take(&mut self.devices);
        let ulimits = std::mem::take(&mut self.ulimits);
        let restart = super::restart::parse(&self.restart)?;
        let host = self.host();
        host.cap_add = capability::normalized(&host.cap_add);
        host.cap_drop = capability::normalized(&host.cap_drop);
        host.devices = devices;
        host.ulimits = ulimits.into_values().collect();
        host.restart_policy = restart;
        let cidfile = host.container_id_file.clone();
        self.args.cidfile = Some(cidfile).filter(|path| !path.is_empty());
        self.attach()?;
        super::check::check(&mut self.args)?;
        Ok(self.args)
    }

    /// Streams: those named, otherwise output and error output; none if detached. Standard input is one of them wherever it
    /// is kept open, and ends with the client that feeds it.
    fn attach(&mut self) -> Result<(), RunArgsError> {
        let named = std::mem::take(&mut self.attach);
        let detached = self.args.detach;
        if detached && !named.is_empty() {
            return Err(
                "conflicting options: cannot specify both --attach and --detach"
                    .to_owned()
                    .into(),
            );
        }
        let wants = |name| !detached && (named.is_empty() || named.contains(name));
        let config = self.config();
        config.attach_stdout = wants("stdout");
        config.attach_stderr = wants("stderr");
        config.attach_stdin = !detached && (config.open_stdin || named.contains("stdin"));
        config.stdin_once = config.open_stdin && config.attach_stdin;
        Ok(())
    }
}
