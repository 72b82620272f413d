//! `--mount type=…,source=…,target=…,…`.

use super::outside::Outside;
use super::value::{boolean, bytes};
use super::{csv, volume};
use crate::api::{BindOptions, Driver, Mount, TmpfsOptions, VolumeOptions};

/// Reads one mount and checks it as Docker's client and daemon do.
pub(super) fn parse(text: &str, outside: &Outside<'_>) -> Result<Mount, String> {
    let mut mount = Mount {
        kind: "volume".to_owned(),
        ..Mount::default()
    };
    for field in csv::fields(text)? {
        match field.split_once('=') {
            Some((key, value)) => set(&mut mount, &key.to_lowercase(), value, &field)?,
            None => set_switch(&mut mount, &field)?,
        }
    }
    mount.source = outside.absolute(&mount.source);
    check_client(&mount)?;
    check_daemon(&mount, mount.source.starts_with('.'))
        .map_err(|reason| format!("invalid mount config for type {:?}: {reason}", mount.kind))?;
    Ok(mount)
}

fn set_switch(mount: &mut Mount, field: &str) -> Result<(), String> {
    match field.to_lowercase().as_str() {
        "readonly" | "ro" => mount.read_only = true,
        "volume-nocopy" => volume_options(mount).no_copy = true,
        "bind-nonrecursive" => bind_options(mount).non_recursive = true,
        _ => return Err(format!("invalid field '{field}' must be a key=value pair")),
    }
    Ok(())
}

fn set(mount: &mut Mount, key: &str, value: &str, field: &str) -> Result<(), String> {
    let invalid = || format!("invalid value for {key}: {value}");
    let flag = || boolean(value).map_err(|_| invalid());
    match key {
        "type" => mount.kind = value.to_lowercase(),
        "source" | "src" => mount.source = value.to_owned(),
        "target" | "dst" | "destination" => mount.target = value.to_owned(),
        "readonly" | "ro" => mount.read_only = flag()?,
        "consistency" => mount.consistency = value.to_lowercase(),
        "bind-propagation" => bind_options(mount).propagation = value.to_lowercase(),
        "bind-nonrecursive" => bind_options(mount).non_recursive = flag()?,
        "bind-recursive" => set_recursive(mount, value)?,
        "volume-nocopy" => volume_options(mount).no_copy = flag()?,
        "volume-label" => {
            let (name, value) = value.split_once('=').unwrap_or((value, ""));
            if !name.is_empty() {
                volume_options(mount)
                    .labels
                    .insert(name.to_owned(), value.to_owned());
            }
        }
        "tmpfs-size" => tmpfs_options(mount).size_bytes = bytes(value).map_err(|_| invalid())?,
        "tmpfs-mode" => {
            let mode = u32::from_str_radix(value, 8)
                .ok()
                .filter(|_| !value.starts_with('+'));
            tmpfs_options(mount).mode = mode.ok_or_else(invalid)?.into();
        }
        "volume-subpath" => volume_options(mount).subpath = value.to_owned(),
        "volume-driver" => driver(mount).name = value.to_owned(),
        "volume-opt" => {
            let (name, value) = value.split_once('=').unwrap_or((value, ""));
            let options = &mut driver(mount).options;
            if !name.is_empty() {
                options.insert(name.to_owned(), value.to_owned());
            }
        }
        "image-subpath" => {
            return Err(format!(
                "{key} is not supported by dray: images are not mounted; leave it out"
            ));
        }
        _ => return Err(format!("unexpected key '{key}' in '{field}'")),
    }
    Ok(())
}

fn set_recursive(mount: &mut Mount, value: &str) -> Result<(), String> {
    let options = bind_options(mount);
    match value {
        "enabled" => {}
        "disabled" => options.non_recursive = true,
        "writable" => options.read_only_non_recursive = true,
        "readonly" => options.read_only_force_recursive = true,
        _ => {
            return Err(format!(
                "invalid value for bind-recursive: {value} (must be \"enabled\", \"disabled\", \"writable\", or \
                 \"readonly\")"
            ));
        }
    }
    Ok(())
}

fn bind_options(mount: &mut Mount) -> &mut BindOptions {
    mount.bind_options.get_or_insert_default()
}

fn volume_options(mount: &mut Mount) -> &mut VolumeOptions {
    mount.volume_options.get_or_insert_default()
}

fn driver(mount: &mut Mount) -> &mut Driver {
    let options = volume_options(mount);
    options.driver_config.get_or_insert_default()
}

fn tmpfs_options(mount: &mut Mount) -> &mut TmpfsOptions {
    mount.tmpfs_options.get_or_insert_default()
}

/// What Docker's client asks for.
fn check_client(mount: &Mount) -> Result<(), String> {
    let kind = mount.kind.as_str();
    if kind.is_empty() {
        return Err("type is required".to_owned());
    }
    if mount.target.is_empty() {
        return Err("target is required".to_owned());
    }
    for (given, prefix) in [
        (mount.volume_options.is_some(), "volume"),
        (mount.bind_options.is_some(), "bind"),
        (mount.tmpfs_options.is_some(), "tmpfs"),
    ] {
        if given && kind != prefix {
            return Err(format!(
                "cannot mix '{prefix}-*' options with mount type '{kind}'"
            ));
        }
    }
    let Some(options) = &mount.bind_options else {
        return Ok(());
    };
    let needs = |mode: &str, other: &str| {
        Err(format!(
            "option 'bind-recursive={mode}' requires '{other}' to be specified in conjunction"
        ))
    };
    if options.read_only_non_recursive && !mount.read_only {
        return needs("writable", "readonly");
    }
    if options.read_only_force_recursive && !mount.read_only {
        return needs("readonly", "readonly");
    }
    if options.read_only_force_recursive && options.propagation != "rprivate" {
        return needs("readonly", "bind-propagation=rprivate");
    }
    Ok(())
}

fn check_volume(mount: &Mount) -> Result<(), String> {
    let Some(options) = &mount.volume_options else {
        return Ok(());
    };
    let driver = options.driver_config.as_ref().map_or("", |d| &d.name);
    if !matches!(driver, "" | "local") {
        return Err(format!(
            "volume driver {driver:?} is not supported by dray: there is local only; leave it out"
        ));
    }
    if let Some(driver) = &options.driver_config {
        volume::check_options(&driver.options)?;
    }
    // As Go's filepath.IsLocal: below the volume, said without a way out of it.
    let mut depth = 0_i32;
    let inside = options.subpath.split('/').all(|part| {
        depth += match part {
            "" | "." => 0,
            ".." => -1,
            _ => 1,
        };
        depth >= 0
    });
    match inside && !options.subpath.starts_with('/') {
        true => Ok(()),
        false => Err("subpath must be a relative path within the volume".to_owned()),
    }
}

/// What Docker's daemon asks for, and what dray does not do.
fn check_daemon(mount: &Mount, elsewhere: bool) -> Result<(), String> {
    volume::target_path(&mount.target)?;
    match mount.kind.as_str() {
        "bind" if mount.source.is_empty() => Err("field Source must not be empty".to_owned()),
        "bind" if !mount.source.starts_with('/') && !elsewhere => Err(format!(
            "invalid mount path: '{}' mount path must be absolute",
            mount.source
        )),
        "bind" => match &mount.bind_options {
            Some(options) if !options.propagation.is_empty() => {
                volume::propagation(&options.propagation).map(drop)
            }
            _ => Ok(()),
        },
        "volume" if mount.source.is_empty() && mount.read_only => {
            Err("must not set ReadOnly mode when using anonymous volumes".to_owned())
        }
        "volume" if mount.source.is_empty() => check_volume(mount),
        "volume" => volume::name(&mount.source).and_then(|_| check_volume(mount)),
        "tmpfs" if !mount.source.is_empty() => Err("field Source must not be specified".to_owned()),
        "tmpfs" => Ok(()),
        "image" | "npipe" | "cluster" => {
            Err("this type is not supported by dray; bind, volume and tmpfs are".to_owned())
        }
        _ => Err("mount type unknown".to_owned()),
    }
}
