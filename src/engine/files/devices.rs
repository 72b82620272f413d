//! The host's devices that a container gets.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::api::HostConfig;
use crate::engine::EngineError;
use crate::engine::spec::Device;
use crate::sys::process;

/// The host's devices that a container gets: those named, or all of them if it is privileged.
pub(super) fn devices(host_config: &HostConfig) -> Result<Vec<Device>, EngineError> {
    let mut devices = Vec::new();
    if host_config.privileged {
        all_devices(Path::new("/dev"), &mut devices).map_err(|source| EngineError::Read {
            path: PathBuf::from("/dev"),
            source,
        })?;
    }
    devices.extend(named_devices(host_config)?);
    Ok(devices)
}

/// The devices of `--device`, folders with all that is in them.
pub(super) fn named_devices(host_config: &HostConfig) -> Result<Vec<Device>, EngineError> {
    let mut devices = Vec::new();
    for mapping in &host_config.devices {
        let path = Path::new(&mapping.path_on_host);
        let failed = |source| EngineError::Read {
            path: path.to_owned(),
            source,
        };
        let device = device(
            path,
            Path::new(&mapping.path_in_container),
            &mapping.cgroup_permissions,
        );
        match device.map_err(failed)? {
            Some(device) => devices.push(device),
            None if path.is_dir() => {
                let mut below = Vec::new();
                all_devices(path, &mut below).map_err(failed)?;
                if below.is_empty() {
                    return Err(failed(io::Error::new(
                        io::ErrorKind::InvalidInput,
                        "not a device node, nor is there one in it",
                    )));
                }
                let inside = |device: &Device| {
                    let rest = device.path.strip_prefix(path).unwrap_or(&device.path);
                    Path::new(&mapping.path_in_container).join(rest)
                };
                devices.extend(below.into_iter().map(|device| Device {
                    path: inside(&device),
                    ..device
                }));
            }
            None => {
                return Err(failed(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "not a device node",
                )));
            }
        }
    }
    Ok(devices)
}

fn all_devices(folder: &Path, devices: &mut Vec<Device>) -> io::Result<()> {
    /// Made by the runtime for each container.
    const OWN: [&str; 6] = ["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts"];
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() && !OWN.iter().any(|name| entry.file_name() == *name) {
            all_devices(&entry.path(), devices)?;
        } else if (kind.is_char_device() || kind.is_block_device())
            && entry.file_name() != "console"
        {
            devices.extend(device(&entry.path(), &entry.path(), "rwm")?);
        }
    }
    Ok(())
}

/// `None` for something that is no device.
fn device(path: &Path, inside: &Path, permissions: &str) -> io::Result<Option<Device>> {
    let meta = std::fs::metadata(path)?;
    let kind = match meta.file_type() {
        kind if kind.is_char_device() => 'c',
        kind if kind.is_block_device() => 'b',
        _ => return Ok(None),
    };
    let (major, minor) = process::device_numbers(meta.rdev());
    Ok(Some(Device {
        path: inside.to_owned(),
        kind,
        major,
        minor,
        mode: meta.mode() & 0o7777,
        uid: meta.uid(),
        gid: meta.gid(),
        permissions: permissions.to_owned(),
    }))
}
