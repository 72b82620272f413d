//! Binds and volumes of a container. Nothing but a person's `dray volume rm` and `prune`, and `dray rm -v` of an anonymous
//! one, ever removes a volume.

mod fill;
mod mounted;
mod named;
mod silent;
mod subpath;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::record::{MountPoint, Record};
use super::{Engine, EngineError, Owner, names};
use crate::api::{CreateBody, Mount};
use crate::runargs::volume::{Bind, Source, TakenOver, clean};
use crate::sys::lock::Exclusive;

pub use mounted::{mount_all, unmount_all};
pub use named::{ANONYMOUS, Volume, VolumeUsers, size};
pub use silent::Booting;
pub use subpath::{Subpaths, source_of};

/// A mount, and what has to be made for it.
struct Wanted {
    point: MountPoint,
    make: Make,
}

enum Make {
    /// It is there.
    Nothing,
    /// The source of a bind where it is missing: a folder.
    Folder,
    /// The volume where it is missing, with these labels and options.
    Volume(BTreeMap<String, String>, BTreeMap<String, String>),
}

/// Every bind and volume of a container, resolved, in the order in which they have to be mounted. Creates the volumes and,
/// as Docker does for `--volume`, missing sources of binds; but only once everything that can be known to be wrong is known.
pub fn resolve(
    engine: &Engine,
    container: &str,
    body: &CreateBody,
    owner: Option<&Owner>,
    names: &Exclusive,
) -> Result<Vec<MountPoint>, EngineError> {
    let config = &body.host_config;
    let mut wanted = Vec::new();
    for bind in &config.binds {
        wanted.push(from_bind(container, bind)?);
    }
    for mount in config.mounts.iter().filter(|mount| mount.kind != "tmpfs") {
        wanted.push(from_mount(container, mount)?);
    }
    // What was said for a place counts more than what another container has there.
    let given = taken(body, &wanted);
    let inherited = taken_over(engine, body, owner)?.into_values();
    wanted.extend(inherited.filter(|wanted| !given.contains(&wanted.point.destination)));
    for path in anonymous(body, &wanted) {
        wanted.push(volume(path, "", BTreeMap::new())?);
    }
    let mut mounts = Vec::with_capacity(wanted.len());
    for Wanted { mut point, make } in wanted {
        match make {
            Make::Nothing => {}
            // Docker's rule for --volume, and only for it: a missing source becomes a folder.
            Make::Folder => make_folder(container, &point.source, &point.destination)?,
            Make::Volume(labels, options) => {
                let volume = engine.make_volume(&point.name, labels, options, names)?;
                point.source = volume.data.display().to_string();
                point.mounted = !volume.options.is_empty();
                if let Some(damage) = volume
                    .damage
                    .as_ref()
                    .filter(|_| is_empty(&volume.data).unwrap_or(false))
                {
                    return Err(refuse(
                        container,
                        &format!("volume {}", volume.name),
                        &point.destination,
                        &format!(
                            "it has no data here and nobody knows what was to be mounted for it ({damage}); make it anew, or \
                             remove its damaged volume.json if it was a plain one"
                        ),
                    ));
                }
            }
        }
        mounts.push(point);
    }
    // A mount below another one has to come after it.
    mounts.sort_by_key(|mount| mount.destination.matches('/').count());
    Ok(mounts)
}

fn is_empty(data: &Path) -> std::io::Result<bool> {
    Ok(std::fs::read_dir(data)?.next().is_none())
}

/// The mounts of the containers that `--volumes-from` names, by their place; of several for one place the last one counts.
fn taken_over(
    engine: &Engine,
    body: &CreateBody,
    owner: Option<&Owner>,
) -> Result<BTreeMap<String, Wanted>, EngineError> {
    let mut all = BTreeMap::new();
    for text in &body.host_config.volumes_from {
        let from = TakenOver::parse(text).map_err(|reason| EngineError::Unsupported {
            option: format!("--volumes-from {text}"),
            reason,
        })?;
        for mut point in engine.find_beside(&from.container, owner)?.record.mounts {
            point.rw &= !from.readonly;
            // It has its content, or does without.
            point.no_copy = true;
            let make = Make::Nothing;
            all.insert(point.destination.clone(), Wanted { point, make });
        }
    }
    Ok(all)
}

/// Places where something is mounted.
fn taken(body: &CreateBody, wanted: &[Wanted]) -> BTreeSet<String> {
    let config = &body.host_config;
    wanted
        .iter()
        .map(|wanted| wanted.point.destination.as_str())
        .chain(config.tmpfs.keys().map(String::as_str))
        .chain(config.mounts.iter().map(|mount| mount.target.as_str()))
        .map(absolute)
        .chain(["/".to_owned()])
        .collect()
}

fn absolute(path: &str) -> String {
    clean(&format!("/{path}"))
}

/// Where the image's VOLUME and `--volume PATH` want a volume of their own: wherever nothing else is mounted.
fn anonymous(body: &CreateBody, wanted: &[Wanted]) -> BTreeSet<String> {
    let taken = taken(body, wanted);
    let paths = body.config.volumes.keys().map(|path| absolute(path));
    paths.filter(|path| !taken.contains(path)).collect()
}

fn from_bind(container: &str, text: &str) -> Result<Wanted, EngineError> {
    let bind = Bind::parse(text).map_err(|reason| refuse(container, text, "", &reason))?;
    let mut wanted = match bind.source {
        Source::Path(path) => Wanted {
            point: MountPoint {
                kind: "bind".into(),
                source: path,
                destination: bind.target,
                ..MountPoint::default()
            },
            make: Make::Folder,
        },
        Source::Name(name) => volume(bind.target, &name, BTreeMap::new())?,
    };
    wanted.point.rw = !bind.readonly;
    wanted.point.no_copy = bind.nocopy;
    wanted.point.propagation = bind.propagation;
    Ok(wanted)
}

fn from_mount(container: &str, mount: &Mount) -> Result<Wanted, EngineError> {
    if mount.kind == "bind" {
        return long_bind(container, mount);
    }
    let options = mount.volume_options.clone().unwrap_or_default();
    let mut wanted = volume(mount.target.clone(), &mount.source, options.labels)?;
    wanted.point.rw = !mount.read_only;
    // A folder inside of a volume is there before: such a volume is not new.
    wanted.point.no_copy = options.no_copy || !options.subpath.is_empty();
    wanted.point.subpath = options.subpath;
    if let (Make::Volume(_, own), Some(driver)) = (&mut wanted.make, options.driver_config) {
        *own = driver.options;
    }
    Ok(wanted)
}

fn long_bind(container: &str, mount: &Mount) -> Result<Wanted, EngineError> {
    let options = mount.bind_options.clone().unwrap_or_default();
    let point = MountPoint {
        kind: "bind".into(),
        source: mount.source.clone(),
        destination: mount.target.clone(),
        rw: !mount.read_only,
        propagation: options.propagation,
        recursive: !options.non_recursive,
        writable_below: options.read_only_non_recursive,
        ..MountPoint::default()
    };
    let make = match options.create_mountpoint {
        true => Make::Folder,
        false if Path::new(&point.source).exists() => Make::Nothing,
        false => {
            let reason = "bind source path does not exist; create it, or use --volume, which does";
            return Err(refuse(container, &point.source, &point.destination, reason));
        }
    };
    Ok(Wanted { point, make })
}

/// The volume called `name`, or a new one of its own if `name` is empty.
fn volume(
    destination: String,
    name: &str,
    mut labels: BTreeMap<String, String>,
) -> Result<Wanted, EngineError> {
    let anonymous = name.is_empty();
    let name = match name {
        "" => {
            labels.insert(ANONYMOUS.to_owned(), String::new());
            names::new_id()?
        }
        name if names::is_valid(name) => name.to_owned(),
        name => return Err(EngineError::VolumeName(name.to_owned())),
    };
    let point = MountPoint {
        kind: "volume".into(),
        name,
        destination,
        anonymous,
        ..MountPoint::default()
    };
    let make = Make::Volume(labels, BTreeMap::new());
    Ok(Wanted { point, make })
}

/// Several containers that start at once may have the volume.
fn fill_one(root: &Path, mount: &MountPoint, data: &Path) -> std::io::Result<()> {
    let own = !mount.mounted;
    let mark = own.then(|| fill::mark(data));
    if !is_empty(data)? && !mark.as_ref().is_some_and(|mark| mark.exists()) {
        return Ok(());
    }
    let _lock = Exclusive::wait(&Path::new(&mount.source).with_file_name("lock"))?;
    fill::fill(root, &mount.destination, data, mark.as_deref())
}

/// Whether it gets what the image has in its place if it is new.
pub fn is_filled(mount: &MountPoint) -> bool {
    mount.kind == "volume" && !mount.no_copy
}

/// Gives those of the container's volumes that are `wanted` what the image has in their places; `root` is its mounted root
/// filesystem.
pub fn fill(
    root: &Path,
    run: &Path,
    record: &Record,
    wanted: impl Fn(&MountPoint) -> bool,
) -> Result<(), EngineError> {
    for (number, mount) in record.mounts.iter().enumerate() {
        if !wanted(mount) {
            continue;
        }
        let data = source_of(run, record, number);
        fill_one(root, mount, &data).map_err(|source| EngineError::System {
            action: format!("fill volume {} from {}", mount.name, mount.destination),
            source,
        })?;
    }
    Ok(())
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
