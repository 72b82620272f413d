//! Making a container: everything that can be known beforehand is checked here, and nothing runs yet.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;

use super::record::{self, Record};
use super::{
    Engine, EngineError, Folders, Owner, files, limits, logs, names, network, networks, rootfs,
    share, spec, time, volumes,
};
use crate::api::{CreateBody, HostConfig, LogConfig};
use crate::config::LogDriver;
use crate::images::Image;
use crate::sys::{cgroup, fs};

/// What a container is to be made from.
#[derive(Debug, Clone)]
pub struct CreateRequest<'a> {
    /// Docker's create body, as `runargs` parsed it.
    pub body: &'a CreateBody,
    /// Its image, present in the store.
    pub image: &'a Image,
    /// Its name; invented if absent.
    pub name: Option<&'a str>,
    /// The deployment that makes it.
    pub owner: Option<Owner>,
    /// Take `name` now. Otherwise the container gets an invented name and `name` is kept for the switch.
    pub claim_name: bool,
}

impl Engine {
    /// Makes a container and returns its id. After a cut or an error there is none, and nothing of it.
    pub fn create(&self, request: &CreateRequest<'_>) -> Result<String, EngineError> {
        // Most containers are started right after they are made.
        cgroup::warm_up();
        self.images.check(request.image)?;
        let mut body = spec::merge(request.body, &request.image.config);
        share::resolve(self, &mut body.host_config, request.owner.as_ref())?;
        networks::resolve(self, &mut body)?;
        if request.owner.is_none() {
            // A deployment has checked all of its own together.
            self.check_links(&body, None)?;
        }
        self.default_log(&mut body.host_config.log_config);
        default_cgroups(&mut body.host_config);
        let shown = request.name.unwrap_or("");
        logs::check(&body.host_config.log_config).map_err(|error| EngineError::Unsupported {
            option: "--log-driver".into(),
            reason: error.to_string(),
        })?;
        network::ports::from_body(&body, []).map_err(network::NetworkError::from)?;
        limits::check(&body.host_config)?;
        files::check(self, &body)?;

        let id = names::new_id()?;
        let names_lock = self.lock_names()?;
        let claimed = request.name.filter(|_| request.claim_name);
        let name = match claimed {
            Some(name) => name.to_owned(),
            None => names::invent(|name| self.check_name(name, &id).is_err())?,
        };
        self.check_name(&name, &id)?;
        let mounts = volumes::resolve(self, shown, &body, request.owner.as_ref(), &names_lock)?;
        let record = Record {
            version: record::VERSION,
            id: id.clone(),
            name,
            wanted_name: request
                .name
                .filter(|_| !request.claim_name)
                .map(str::to_owned),
            created: time::rfc3339(self.host.now()),
            image: request.image.id,
            image_digest: request.image.digest,
            layers: request.image.layers.clone(),
            owner: request.owner.clone(),
            body,
            networks: None,
            mounts,
        };
        // The pin first: a record whose layers nobody holds could lose them to a collection.
        match record.goes_with_boot() {
            true => self.images.pin_until_boot(&pin_name(&id), request.image)?,
            false => self.images.pin(&pin_name(&id), request.image)?,
        }
        self.write_new(&record, request.image).inspect_err(|_| {
            // The error that matters is the first one; a pin without a container goes with the next settling.
            let _ = self.images.unpin(&pin_name(&id));
            let _ = self.remove_anonymous(&record, &names_lock);
        })?;
        drop(names_lock);
        Ok(id)
    }

    /// What of a container's configuration this device's kernel or networks cannot do and the engine leaves out, one line each.
    pub fn discarded(&self, body: &CreateBody) -> Result<Vec<String>, EngineError> {
        let mut lines = spec::discarded(&body.host_config, &files::kernel()?);
        lines.extend(limits::discarded(&body.host_config)?);
        lines.extend(networks::unpublished(self, body));
        Ok(lines)
    }

    fn write_new(&self, record: &Record, image: &Image) -> Result<(), EngineError> {
        let state = self.containers().join(&record.id);
        let scratch = fs::scratch_beside(&state);
        let folders = Folders {
            state: scratch.clone(),
            run: scratch.clone(),
        };
        let publish = match record.goes_with_boot() {
            true => fs::publish_volatile,
            false => fs::publish,
        };
        let make = |name: &str, mode: u32| DirBuilder::new().mode(mode).create(scratch.join(name));
        let written = make("", 0o700)
            .and_then(|()| make("logs", 0o700))
            .map_err(|source| EngineError::write(&scratch, source))
            .and_then(|()| rootfs::make(&self.images, image, &scratch))
            .and_then(|()| folders.write_record(record))
            .and_then(|()| {
                publish(&scratch, &state).map_err(|source| EngineError::write(&state, source))
            });
        written.inspect_err(|_| {
            let _ = std::fs::remove_dir_all(&scratch);
        })
    }

    /// Fills the ini's defaults in where the run arguments say nothing.
    fn default_log(&self, config: &mut LogConfig) {
        let log = &self.settings.log;
        if !config.driver.is_empty() {
            return;
        }
        config.driver = match log.driver {
            LogDriver::JsonFile => "json-file",
            LogDriver::Local => "local",
            LogDriver::None => return config.driver = "none".into(),
        }
        .into();
        config
            .config
            .entry("max-size".into())
            .or_insert_with(|| log.max_size.to_string());
        config
            .config
            .entry("max-file".into())
            .or_insert_with(|| log.max_file.to_string());
    }
}

/// Docker's defaults that depend on the kernel's control groups: those that it shows as if they had been asked for.
fn default_cgroups(host: &mut HostConfig) {
    if host.cgroupns_mode.is_empty() {
        host.cgroupns_mode = match cgroup::is_unified() {
            true => "private",
            false => "host",
        }
        .into();
    }
    if spec::swaps_without_limit(host, cgroup::limits_swap()) {
        host.memory_swap = -1;
    }
}

/// Who holds a container's layers.
pub(super) fn pin_name(id: &str) -> String {
    format!("container-{id}")
}
