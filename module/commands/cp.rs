//! `dray cp`: files from a container, running or not, to the host and the other way round, as docker places them.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use dray::engine::copy::{Copy, Root, keep_apart};
use dray::engine::{Container, Engine};
use dray::sys::beneath::{self, FileType};

use super::{Context, table};

/// Most links from one to the next, as for the kernel.
const MAX_LINKS: u32 = 40;

#[derive(Debug, Args)]
pub struct Words {
    /// Owners too; else everything is root's
    #[arg(short, long)]
    archive: bool,
    /// Of a symbolic link given as the source, copy what it leads to
    #[arg(short = 'L', long)]
    follow_link: bool,
    /// Say nothing
    #[arg(short, long)]
    quiet: bool,
    /// CONTAINER:PATH, or a path of the host; of FOLDER/. what is in it
    source: String,
    /// The other one: a folder to copy into, or a name to copy as
    target: String,
}

/// A folder from which paths are resolved, and a path there.
struct Place<'a> {
    root: BorrowedFd<'a>,
    path: String,
}

/// `dray cp`
pub fn run(context: &Context<'_>, words: &Words) -> anyhow::Result<ExitCode> {
    if words.source == "-" || words.target == "-" {
        bail!(
            "a tar stream on standard input or output is not supported: copy to a folder, or use exec with tar"
        );
    }
    let engine = context.engine()?;
    // Where we are is to be known before the container's root is mounted.
    let here = std::env::current_dir()?;
    let absolute = |path: &str| {
        let slash = if path.ends_with('/') { "/" } else { "" };
        format!("{}{slash}", here.join(path).display())
    };
    let host = beneath::open_dir("/".as_ref())?;
    let (from, to) = (split(&words.source), split(&words.target));
    let root = |name: &str, writes| open(&engine, &engine.find(name)?, writes);
    let (source, target, container);
    match (from, to) {
        (Some((name, path)), None) => {
            container = root(name, false)?;
            source = Place::new(container.as_fd(), path.to_owned());
            target = Place::new(host.as_fd(), absolute(&words.target));
        }
        (None, Some((name, path))) => {
            container = root(name, true)?;
            source = Place::new(host.as_fd(), absolute(&words.source));
            target = Place::new(container.as_fd(), path.to_owned());
        }
        (Some(_), Some(_)) => {
            bail!("copying between containers is not supported: copy by way of the host")
        }
        (None, None) => bail!("one of both has to be a container's: CONTAINER:PATH"),
    }
    let mut copy = Copy {
        archive: words.archive,
        ..Copy::default()
    };
    place(&mut copy, &source, &target, words.follow_link)?;
    if !words.quiet {
        let size = table::size(copy.bytes);
        eprintln!("Successfully copied {size} to {}", words.target);
    }
    Ok(ExitCode::SUCCESS)
}

/// `CONTAINER:PATH`; anything that can only be a path of the host is none.
fn split(word: &str) -> Option<(&str, &str)> {
    let of_host = word.starts_with(['/', '.']);
    word.split_once(':')
        .filter(|(name, _)| !of_host && !name.is_empty())
}

fn open(engine: &Engine, container: &Container, writes: bool) -> anyhow::Result<Root> {
    if writes && container.record.body.host_config.readonly_rootfs {
        bail!("the root of container {} is read-only", container.name());
    }
    Ok(engine.root(container)?)
}

impl Place<'_> {
    fn new(root: BorrowedFd<'_>, path: String) -> Place<'_> {
        Place { root, path }
    }

    /// The folder that this is in, and its name there; the root is `.` in itself.
    fn parts(&self) -> anyhow::Result<(OwnedFd, &str)> {
        let path = self.path.trim_end_matches('/');
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let name = match name {
            "" | "." | ".." => ".",
            name => name,
        };
        let parent = if name == "." { path } else { parent };
        let dir = beneath::open_in_root(self.root, parent.as_bytes());
        let dir = dir.with_context(|| format!("failed to open folder {parent:?}"))?;
        Ok((dir, name))
    }

    /// The folder that this is, if it is one.
    fn folder(&self) -> Option<OwnedFd> {
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
        let above = self
            .path
            .trim_end_matches('/')
            .rsplit_once('/')
            .map_or("", |(above, _)| above);
        Ok(Some(Place::new(
            self.root,
            match text.starts_with('/') {
                true => text,
                false => format!("{above}/{text}"),
            },
        )))
    }
}

/// Copies to where docker would: into a folder that is there, else under the name given.
fn place(
    copy: &mut Copy,
    source: &Place<'_>,
    target: &Place<'_>,
    follow: bool,
) -> anyhow::Result<()> {
    let only_content = source.path.ends_with("/.");
    let (dir, name) = source.parts()?;
    let own_name = name.to_owned();
    let found = beneath::status_of(dir.as_fd(), name.as_bytes());
    let mut status = found.with_context(|| format!("failed to find {:?}", source.path))?;
    if status.file_type == FileType::Symlink && (follow || source.path.ends_with('/')) {
        let found = beneath::find_in_root(source.root, source.path.as_bytes());
        let found = found.with_context(|| format!("failed to follow {:?}", source.path))?;
        status = beneath::status(found.as_fd())?;
    }
    let is_folder = status.file_type == FileType::Directory;
    let into = target.folder();
    if is_folder {
        let from = source
            .folder()
            .with_context(|| format!("failed to open {:?}", source.path))?;
        // The root has no name to be copied under.
        if let (Some(into), true) = (&into, only_content || own_name == ".") {
            keep_apart(from.as_fd(), into.as_fd(), None)?;
            return Ok(copy.content(from.as_fd(), into.as_fd(), 0)?);
        }
        let (parent, name) = match into {
            Some(into) => (into, own_name),
            None => {
                let (parent, name) = target.parts()?;
                (parent, name.to_owned())
            }
        };
        keep_apart(from.as_fd(), parent.as_fd(), Some(name.as_bytes()))?;
        return Ok(copy.entry((from.as_fd(), b"."), (parent.as_fd(), name.as_bytes()), 0)?);
    }
    if let Some(into) = into {
        return single(copy, source, &status, (&into, &own_name));
    }
    if target.path.ends_with('/') {
        bail!("folder {:?} does not exist: make it first", target.path);
    }
    let mut end = Place::new(target.root, target.path.clone());
    for _ in 0..MAX_LINKS {
        match end.followed()? {
            Some(next) => end = next,
            None => {
                let (parent, name) = end.parts()?;
                return single(copy, source, &status, (&parent, name));
            }
        }
    }
    bail!("too many symbolic links in {:?}", target.path)
}

/// Copies what is no folder, and of a link that is followed what it leads to.
fn single(
    copy: &mut Copy,
    source: &Place<'_>,
    status: &beneath::Status,
    (parent, name): (&OwnedFd, &str),
) -> anyhow::Result<()> {
    let (dir, own_name) = source.parts()?;
    let to = (parent.as_fd(), name.as_bytes());
    let plain = beneath::status_of(dir.as_fd(), own_name.as_bytes())?;
    if plain.file_type == status.file_type {
        return Ok(copy.entry((dir.as_fd(), own_name.as_bytes()), to, 0)?);
    }
    let copied = copy.file((source.root, source.path.as_bytes()), to, status);
    copied.with_context(|| format!("failed to copy {:?}", source.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colon_makes_a_container_except_in_paths_of_the_host() {
        for (word, wanted) in [
            ("web:/etc", Some(("web", "/etc"))),
            ("web:etc/x:y", Some(("web", "etc/x:y"))),
            ("web:", Some(("web", ""))),
            ("./a:b", None),
            ("/a:b", None),
            ("file", None),
            (":x", None),
        ] {
            assert_eq!(split(word), wanted, "{word}");
        }
    }
}
