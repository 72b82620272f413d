//! The files and folders that images come from.

use std::fs::File;
use std::path::Path;

use anyhow::Context as _;
pub use dray::archive::Transport;
use dray::images::Place;

/// The folder or file at `path`.
pub fn open(path: &Path) -> anyhow::Result<Place> {
    if path.is_dir() {
        return Ok(Place::Folder(path.to_owned()));
    }
    let file = File::open(path).with_context(|| format!("failed to open {path:?}"))?;
    Ok(Place::Stream(file, path.to_owned()))
}
