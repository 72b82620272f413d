//! Named volumes: `<state>/volumes/<name>/_data`. Nothing but a person's `dray volume rm` and `dray rm -v` of an
//! anonymous one ever removes a volume.

mod fill;

use std::collections::BTreeSet;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::record::MountPoint;
use super::{EngineError, names};
use crate::api::{CreateBody, Mount};
use crate::host::Host;
use crate::runargs::volume::{Bind, Source, clean};
use crate::sys::{fs, process};

/// Every bind and volume of a container, resolved, in the order in which they have to be mounted. Creates the volumes and,
/// as Docker does for `--volume`, missing sources of binds.
pub fn resolve(
    host: &Host,
    container: &str,
    body: &CreateBody,
) -> Result<Vec<MountPoint>, EngineError> {
    let config = &body.host_config;
    let mut mounts = Vec::new();
    for bind in &config.binds {
        mounts.push(from_bind(host, container, bind)?);
    }
    for mount in config.mounts.iter().filter(|mount| mount.kind != "tmpfs") {
        mounts.push(from_mount(host, container, mount)?);
    }
    for path in anonymous(body, &mounts) {
        let mut mount = MountPoint {
            destination: path,
            ..MountPoint::default()
        };
        attach(host, &mut mount, "")?;
        mounts.push(mount);
    }
    // A mount below another one has to come after it.
    mounts.sort_by_key(|mount| mount.destination.matches('/').count());
    Ok(mounts)
}

/// Where the image's VOLUME and `--volume PATH` want a volume of their own: wherever nothing else is mounted.
fn anonymous(body: &CreateBody, mounts: &[MountPoint]) -> BTreeSet<String> {
    let absolute = |path: &str| clean(&format!("/{path}"));
    let config = &body.host_config;
    let taken: BTreeSet<String> = mounts
        .iter()
        .map(|mount| mount.destination.as_str())
        .chain(config.tmpfs.keys().map(String::as_str))
        .chain(config.mounts.iter().map(|mount| mount.target.as_str()))
        .map(absolute)
        .chain(["/".to_owned()])
        .collect();
    let wanted = body.config.volumes.keys().map(|path| absolute(path));
    wanted.filter(|path| !taken.contains(path)).collect()
}

fn from_bind(host: &Host, container: &str, text: &str) -> Result<MountPoint, EngineError> {
    let bind = Bind::parse(text).map_err(|reason| refuse(container, text, "", &reason))?;
    let mut mount = MountPoint {
        destination: bind.target,
        rw: !bind.readonly,
        no_copy: bind.nocopy,
        propagation: bind.propagation,
        ..MountPoint::default()
    };
    match bind.source {
        Source::Path(path) => {
            // Docker's rule for --volume, and only for it: a missing source becomes a folder.
            make_folder(container, &path, &mount.destination)?;
            mount.kind = "bind".into();
            mount.source = path;
        }
        Source::Name(name) => attach(host, &mut mount, &name)?,
    }
    check_propagation(container, &mount)?;
    Ok(mount)
}

fn from_mount(host: &Host, container: &str, mount: &Mount) -> Result<MountPoint, EngineError> {
    let mut point = MountPoint {
        kind: mount.kind.clone(),
        source: mount.source.clone(),
        destination: mount.target.clone(),
        rw: !mount.read_only,
        ..MountPoint::default()
    };
    if mount.kind == "bind" {
        let options = mount.bind_options.clone().unwrap_or_default();
        point.propagation = options.propagation;
        point.recursive = !options.non_recursive;
        point.writable_below = options.read_only_non_recursive;
        if options.create_mountpoint {
            make_folder(container, &mount.source, &mount.target)?;
        }
        if !Path::new(&mount.source).exists() {
            let reason = "bind source path does not exist; create it, or use --volume, which does";
            return Err(refuse(container, &mount.source, &mount.target, reason));
        }
    } else {
        let options = mount.volume_options.as_ref();
        point.no_copy = options.is_some_and(|options| options.no_copy);
        attach(host, &mut point, &mount.source)?;
        if let Some(subpath) = mount
            .volume_options
            .as_ref()
            .map(|o| &o.subpath)
            .filter(|s| !s.is_empty())
        {
            return Err(EngineError::Unsupported {
                option: format!("--mount volume-subpath={subpath}"),
                reason: "mount the whole volume instead".into(),
            });
        }
    }
    check_propagation(container, &point)?;
    Ok(point)
}

/// The monitor's mount namespace receives mounts from the host but sends none back.
fn check_propagation(container: &str, mount: &MountPoint) -> Result<(), EngineError> {
    if mount.propagation.ends_with("shared") {
        let reason = "propagation from the container to the host is not supported: use rslave, \
                      which still shows the container what the host mounts later";
        return Err(refuse(container, &mount.source, &mount.destination, reason));
    }
    Ok(())
}

/// Makes `mount` a volume: the one called `name`, or a new one of its own if `name` is empty.
fn attach(host: &Host, mount: &mut MountPoint, name: &str) -> Result<(), EngineError> {
    mount.kind = "volume".into();
    mount.anonymous = name.is_empty();
    mount.name = match name {
        "" => {
            let bytes =
                process::random::<32>().map_err(EngineError::system("read random numbers"))?;
            bytes.iter().map(|byte| format!("{byte:02x}")).collect()
        }
        name if names::is_valid(name) => name.to_owned(),
        name => return Err(EngineError::VolumeName(name.to_owned())),
    };
    let data = data_of(host, &mount.name);
    create(&data).map_err(|source| EngineError::write(&data, source))?;
    mount.source = data.display().to_string();
    Ok(())
}

fn create(data: &Path) -> std::io::Result<()> {
    if data.is_dir() {
        return Ok(());
    }
    if let Some(volume) = data.parent() {
        fs::create_dirs(volume)?;
    }
    match DirBuilder::new().mode(0o755).create(data) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => fs::sync_parent(data),
    }
}

/// Gives the container's new volumes what the image has in their places; `root` is its mounted root filesystem.
pub fn fill_all(root: &Path, mounts: &[MountPoint]) -> Result<(), EngineError> {
    let filled = |mount: &&MountPoint| mount.kind == "volume" && !mount.no_copy;
    for mount in mounts.iter().filter(filled) {
        fill::fill(root, &mount.destination, Path::new(&mount.source)).map_err(|source| {
            EngineError::System {
                action: format!("fill volume {} from {}", mount.name, mount.destination),
                source,
            }
        })?;
    }
    Ok(())
}

/// Where the data of volume `name` lies.
pub fn data_of(host: &Host, name: &str) -> PathBuf {
    host.state.join("volumes").join(name).join("_data")
}

/// Removes a volume with its data; one that is gone already is success.
pub fn remove(host: &Host, name: &str) -> Result<(), EngineError> {
    let volume = host.state.join("volumes").join(name);
    fs::remove_tree(&volume).map_err(|source| EngineError::write(&volume, source))
}

fn make_folder(container: &str, source: &str, destination: &str) -> Result<(), EngineError> {
    let made = DirBuilder::new().recursive(true).mode(0o755).create(source);
    match made {
        // A file is a good source too.
        Err(_) if Path::new(source).exists() => Ok(()),
        Err(error) => Err(refuse(container, source, destination, &error.to_string())),
        Ok(()) => Ok(()),
    }
}

fn refuse(container: &str, source: &str, target: &str, reason: &str) -> EngineError {
    EngineError::Mount {
        name: container.into(),
        source_path: source.into(),
        target: target.into(),
        reason: reason.into(),
    }
}
