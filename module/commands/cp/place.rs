//! Where a copy goes, by docker's rules for folders that are there and for paths that end in `/` or `/.`.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::{Context as _, bail};
use dray::engine::copy::Root;
use dray::engine::tree::{Copy, Rules, keep_apart};
use dray::runargs::volume::clean;
use dray::sys::beneath::{self, FileType};

/// Most links from one to the next, as for the kernel.
const MAX_LINKS: u32 = 40;

/// A folder from which paths are resolved, and an absolute path there, whose end says what is meant.
#[derive(Debug, Clone)]
pub struct Place<'a> {
    pub root: BorrowedFd<'a>,
    pub path: String,
}

/// What is to be copied how.
pub struct Job<'a> {
    pub rules: Rules,
    pub follow: bool,
    /// The container, if it is what is copied into.
    pub into: Option<&'a Root>,
}

/// What was copied, and what could not be kept.
pub struct Done {
    pub bytes: u64,
    /// What attributes were lost, as a warning.
    pub lost: Option<String>,
}

impl<'a> Place<'a> {
    pub fn new(root: BorrowedFd<'a>, path: &str) -> Place<'a> {
        let path = normal(path);
        Place { root, path }
    }

    /// The folder that this is in, and its name there; the root is `.` in itself.
    pub fn parts(&self) -> anyhow::Result<(OwnedFd, &str)> {
        let path = self.path.trim_end_matches('/');
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let name = if name.is_empty() { "." } else { name };
        let parent = if name == "." { path } else { parent };
        let dir = beneath::open_in_root(self.root, parent.as_bytes());
        let dir = dir.with_context(|| format!("failed to open folder {parent:?}"))?;
        Ok((dir, name))
    }

    /// The folder that this is, if it is one.
    pub fn folder(&self) -> Option<OwnedFd> {
        beneath::open_in_root(self.root, self.path.as_bytes()).ok()
    }

    /// What this leads to if it is a symbolic link.
    fn followed(&self) -> anyhow::Result<Option<Self>> {
        let (dir, name) = self.parts()?;
        let status = beneath::status_if_present(dir.as_fd(), name.as_bytes())?;
        if status.is_none_or(|status| status.file_type != FileType::Symlink) {
            return Ok(None);
        }
        let text = beneath::link_text(dir.as_fd(), name.as_bytes())?;
        let text = String::from_utf8(text).context("the link's text is no UTF-8")?;
        let above = self.path.trim_end_matches('/').rsplit_once('/');
        let path = match text.starts_with('/') {
            true => text,
            false => format!("{}/{text}", above.map_or("", |(above, _)| above)),
        };
        // As it is: `..` after a link is not the folder before it.
        let root = self.root;
        Ok(Some(Place { root, path }))
    }

    /// The end of all links from here on.
    pub fn end(&self) -> anyhow::Result<Self> {
        let mut end = self.clone();
        for _ in 0..MAX_LINKS {
            match end.followed()? {
                Some(next) => end = next,
                None => return Ok(end),
            }
        }
        bail!("too many symbolic links in {:?}", self.path)
    }

    /// What this is, through a symbolic link if `follow` or the path's end says so.
    pub fn status(&self, follow: bool) -> anyhow::Result<beneath::Status> {
        let (dir, name) = self.parts()?;
        let found = beneath::status_of(dir.as_fd(), name.as_bytes());
        let status = found.with_context(|| format!("failed to find {:?}", self.path))?;
        if status.file_type == FileType::Symlink && (follow || self.path.ends_with('/')) {
            let found = beneath::find_in_root(self.root, self.path.as_bytes());
            let found = found.with_context(|| format!("failed to follow {:?}", self.path))?;
            return Ok(beneath::status(found.as_fd())?);
        }
        if status.file_type != FileType::Directory && self.path.ends_with('/') {
            bail!("{:?} is not a directory", self.path);
        }
        Ok(status)
    }

    /// Whether what is in the folder is meant, not the folder; the root has no name to be copied under.
    pub fn means_content(&self) -> bool {
        self.path.ends_with("/.") || self.path == "/"
    }
}

/// Without empty, `.` and `..` parts, as docker has a path before any link is looked at; an end of `/` or `/.` stays.
fn normal(path: &str) -> String {
    let cleaned = clean(&format!("/{path}"));
    let trimmed = path.trim_end_matches('/');
    let above = cleaned.trim_end_matches('/');
    match path {
        _ if trimmed == "." || trimmed.ends_with("/.") => format!("{above}/."),
        _ if path.ends_with('/') => format!("{above}/"),
        _ => cleaned,
    }
}

/// Copies to where docker would: into a folder that is there, else under the name given.
pub fn copy(job: &Job<'_>, source: &Place<'_>, target: &Place<'_>) -> anyhow::Result<Done> {
    let status = source.status(job.follow)?;
    let is_folder = status.file_type == FileType::Directory;
    let (dir, own_name) = source.parts()?;
    let (top, name) = match target.folder() {
        Some(into) => (into, own_name.to_owned()),
        None if !is_folder && target.path.ends_with('/') => {
            bail!("folder {:?} does not exist: make it first", target.path)
        }
        None => {
            let end = target.end()?;
            let (top, name) = end.parts()?;
            let there = beneath::status_if_present(top.as_fd(), name.as_bytes())?;
            if is_folder && there.is_some() {
                bail!("cannot copy directory: {:?} is none", target.path);
            }
            let name = name.to_owned();
            (top, name)
        }
    };
    if let Some(root) = job.into {
        root.check_writable(top.as_fd())?;
    }
    let mut copy = Copy::new(top.as_fd(), job.rules);
    if is_folder {
        let from = source.folder();
        let from = from.with_context(|| format!("failed to open {:?}", source.path))?;
        let is_content = name == "." || target.folder().is_some() && source.means_content();
        let new = (!is_content).then_some(name.as_bytes());
        keep_apart(from.as_fd(), top.as_fd(), new)?;
        match new {
            None => copy.content(from.as_fd())?,
            Some(new) => copy.entry((from.as_fd(), b"."), new)?,
        }
    } else {
        let is_link = beneath::status_of(dir.as_fd(), own_name.as_bytes())?.file_type
            == FileType::Symlink
            && status.file_type != FileType::Symlink;
        match is_link {
            true => copy.file((source.root, source.path.as_bytes()), name.as_bytes())?,
            false => copy.entry((dir.as_fd(), own_name.as_bytes()), name.as_bytes())?,
        }
    }
    let (bytes, lost) = (copy.bytes, copy.lost.warning());
    Ok(Done { bytes, lost })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_cleaned_and_keeps_what_its_end_says() {
        for (path, wanted) in [
            ("/etc/app", "/etc/app"),
            ("etc//app", "/etc/app"),
            ("/etc/app/", "/etc/app/"),
            ("/etc/app//.", "/etc/app/."),
            ("/etc/app/./", "/etc/app/."),
            ("/etc/app/..", "/etc"),
            ("/etc/app/../", "/etc/"),
            ("/../..", "/"),
            (".", "/."),
            ("/", "/"),
            ("", "/"),
            ("a.", "/a."),
        ] {
            assert_eq!(normal(path), wanted, "{path}");
        }
    }
}
