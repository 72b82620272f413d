//! Images in files and folders of this machine: which one is meant, and what it is called.

use std::fs::File;
use std::path::{Path, PathBuf};

use dray::archive::{Archive, ImageArchiveError, Listed, seekable, some};
use dray::host::Host;
use dray::oci::{Platform, Reference};
use dray::sys::{beneath, fs};

/// Opens a file with images; what is compressed or comes through a pipe is kept in a file without a name meanwhile.
pub fn open(path: &Path, host: &Host) -> Result<Archive, ImageArchiveError> {
    let failed = |source| ImageArchiveError::Io {
        action: "open the file",
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let folder = PathBuf::from(host.var("TMPDIR").unwrap_or("/tmp"));
    let room = beneath::room(&folder).map_err(|source| ImageArchiveError::Io {
        action: "look at the room for a copy of it",
        source,
    })?;
    Archive::tar(seekable(file, || fs::nameless(&folder), room.bytes)?)
}

/// The one image that is meant.
pub fn choose<'a>(
    images: &'a [Listed],
    wanted: Option<&str>,
    platforms: &[Platform],
) -> Result<&'a Listed, String> {
    let meant = |listed: &&Listed| wanted.is_none_or(|wanted| listed.is_meant_by(wanted));
    let mut named: Vec<&Listed> = images.iter().filter(meant).collect();
    if named.is_empty() {
        let offered = some(images.iter().flat_map(|listed| listed.names.clone()));
        return Err(match wanted {
            Some(wanted) => format!("it has no image {wanted:?}; it has {offered}"),
            None => "it lists no images".to_owned(),
        });
    }
    if let ([platform], true) = (platforms, named.len() > 1) {
        // A layout may list the images of one name for several platforms without an index above them.
        let rank = |listed: &Listed| platform.rank(listed.platform.as_ref()?);
        if let Some(best) = named.iter().filter_map(|listed| rank(listed)).min() {
            named.retain(|listed| rank(listed) == Some(best));
        }
    }
    match named.iter().any(|listed| listed.digest != named[0].digest) {
        false => Ok(named[0]),
        true => {
            let called = |listed: &&Listed| match listed.names.first() {
                Some(name) => name.clone(),
                None => listed.digest.to_string(),
            };
            let offered = some(named.iter().map(called));
            Err(format!(
                "it has several images, say behind a colon which one, or with one --platform for which device: {offered}"
            ))
        }
    }
}

/// What an image of an archive is called on devices: as there, or after the file.
pub fn name(listed: &Listed, wanted: Option<&str>, path: &Path) -> Result<Reference, String> {
    let names = listed
        .whole_names()
        .map_err(|refused| refused.to_string())?;
    let asked = wanted.and_then(|wanted| wanted.parse::<Reference>().ok());
    let is_asked = |name: &&Reference| Some(*name) == asked.as_ref();
    if let Some(name) = names.iter().find(is_asked).or(names.first()) {
        return Ok(name.clone());
    }
    let file = path
        .file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy();
    let stem = file.split(".tar").next().unwrap_or_default().to_lowercase();
    let words = stem.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let stem = match words.is_empty() {
        true => "image".to_owned(),
        false => words.join("-"),
    };
    let tag = listed.names.first();
    let named = tag.and_then(|tag| format!("localhost/{stem}:{tag}").parse().ok());
    match named {
        Some(named) => Ok(named),
        None => format!("localhost/{stem}")
            .parse()
            .map_err(|refused| format!("{refused}")),
    }
}
