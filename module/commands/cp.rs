//! `dray cp`: files from a container, running or not, to the host and the other way round, as docker places them.

mod place;
mod stream;

use std::os::fd::{AsFd, BorrowedFd};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use dray::engine::copy::{Access, NAME_FILES, Root};
use dray::engine::tree::Rules;
use dray::engine::{Engine, EngineError};
use dray::sys::beneath;

use super::{Context, table, with};
use place::{Done, Job, Place};

#[derive(Debug, Args)]
pub struct Words {
    /// Owners too when copying to the host; else everything is root's there. Into a container they always come along
    #[arg(short, long)]
    archive: bool,
    /// Of a symbolic link given as the source, copy what it leads to
    #[arg(short = 'L', long)]
    follow_link: bool,
    /// Say nothing
    #[arg(short, long)]
    quiet: bool,
    /// CONTAINER:PATH, or a path of the host; of FOLDER/. what is in it; - for a tar stream on standard input
    source: String,
    /// The other one: a folder to copy into, or a name to copy as; - for a tar stream on standard output
    target: String,
}

/// `dray cp`
pub fn run(context: &Context<'_>, words: &Words) -> anyhow::Result<ExitCode> {
    let engine = context.engine()?;
    let done = match (split(&words.source), split(&words.target)) {
        (Some(from), None) if words.target == "-" => {
            let root = open(&engine, from.0, Access::Read)?;
            let source = Place::new(root.as_fd(), from.1);
            stream::pack(&source, words.follow_link)?;
            return Ok(ExitCode::SUCCESS);
        }
        (Some(from), None) => out_of(&engine, words, from)?,
        (None, Some(to)) => into(&engine, words, to)?,
        (Some(_), Some(_)) => {
            bail!("copying between containers is not supported: copy by way of the host")
        }
        (None, None) => bail!("one of both has to be a container's: CONTAINER:PATH"),
    };
    if let Some(lost) = done.lost {
        eprintln!("dray: warning: {lost}");
    }
    if !words.quiet {
        let size = table::size(done.bytes);
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

fn open(engine: &Engine, name: &str, access: Access) -> anyhow::Result<Root> {
    with(engine, name, |found| Ok(engine.root(found, access)?))
}

/// A path of the host, which may be relative to where we are.
fn on_host<'a>(host: BorrowedFd<'a>, path: &str) -> anyhow::Result<Place<'a>> {
    if path.starts_with('/') {
        return Ok(Place::new(host, path));
    }
    let here = std::env::current_dir()
        .with_context(|| format!("failed to find the current folder, where {path:?} would be"))?;
    Ok(Place::new(host, &format!("{}/{path}", here.display())))
}

fn out_of(engine: &Engine, words: &Words, (name, path): (&str, &str)) -> anyhow::Result<Done> {
    // Before the container's root is mounted, which may hide it.
    let host = beneath::open_dir("/".as_ref())?;
    let target = on_host(host.as_fd(), &words.target)?;
    let root = open(engine, name, Access::Read)?;
    let job = Job {
        rules: Rules {
            owners: words.archive,
            fresh: false,
        },
        follow: words.follow_link,
        into: None,
    };
    place::copy(&job, &Place::new(root.as_fd(), path), &target)
}

fn into(engine: &Engine, words: &Words, (name, path): (&str, &str)) -> anyhow::Result<Done> {
    let host = beneath::open_dir("/".as_ref())?;
    let source = match &words.source[..] {
        "-" => None,
        source => Some(on_host(host.as_fd(), source)?),
    };
    let root = open(engine, name, Access::Write)?;
    let target = Place::new(root.as_fd(), path);
    let job = Job {
        // Docker's daemon unpacks what its client sends with the numbers that are in it.
        rules: Rules {
            owners: true,
            fresh: false,
        },
        follow: words.follow_link,
        into: Some(&root),
    };
    let done = match &source {
        None => stream::unpack(&root, name, &target),
        Some(source) => place::copy(&job, source, &target),
    };
    // Of a disk that is read-only as a whole the mount of the root has said so.
    let done = done.map_err(|error| match error.downcast_ref::<EngineError>() {
        Some(cause) if cause.is_read_only() => error.context("mounted volume is marked read-only"),
        _ => error,
    })?;
    if !root.is_live() {
        warn_of_names(&target, source.as_ref());
    }
    Ok(done)
}

/// What is written there is what the container had when it last ran, and is made anew.
fn warn_of_names(target: &Place<'_>, source: Option<&Place<'_>>) {
    let own_name = source.and_then(|source| source.path.rsplit('/').next());
    for name in NAME_FILES {
        let file = format!("/etc/{name}");
        let into = target.path.trim_end_matches("/.").trim_end_matches('/') == "/etc";
        if target.path == file || into && own_name == Some(name) {
            eprintln!("dray: warning: {file} is made anew when the container starts");
        }
    }
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
