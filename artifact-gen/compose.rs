//! From what was asked for to what goes into the artifact: checked run args, images by digest.

use std::collections::BTreeMap;
use std::thread;

use dray::archive::Transport;
use dray::artifact::payload::{MAX_RUN_ARGS, MAX_SERVICES};
use dray::oci::{Platform, Reference};
use dray::registry::Client;
use dray::runargs::{self, RunArgs};

use crate::args::{Asked, Request};
use crate::origin::Found;
use crate::platform;
use crate::progress::Progress;
use crate::refusal::Refusal;

/// Requests under way at once. Registries answer one in tens of milliseconds; more at once looks like abuse to them.
const PARALLEL: usize = 8;

/// An image and what its registry said it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// As the caller named it.
    pub requested: String,
    /// Its name, with the tag that was asked for.
    pub name: Reference,
    /// Name and digest, as docker prints them in RepoDigests: what the device runs.
    pub pinned: Reference,
    /// Index or manifest.
    pub media_type: String,
    /// Bytes of the index or manifest, not of the image.
    pub size: u64,
}

/// Refuses before any registry is asked what no device would take; returns what docker would warn about.
pub fn check(request: &Request) -> Result<Vec<String>, Refusal> {
    let images = request.images.len();
    if images > MAX_SERVICES {
        return Err(Refusal::usage(format!(
            "{images} images; at most {MAX_SERVICES} fit into one artifact"
        )));
    }
    check_run_args(&request.run_args, images)
        .map_err(|problem| Refusal::usage(format!("--run-args: {problem}")))
}

fn check_run_args(line: &str, images: usize) -> Result<Vec<String>, String> {
    if line.len() > MAX_RUN_ARGS {
        return Err(format!(
            "{} bytes; at most {MAX_RUN_ARGS} are allowed",
            line.len()
        ));
    }
    let words = runargs::split(line).map_err(|refused| refused.to_string())?;
    let args = RunArgs::check(&words).map_err(|refused| refused.to_string())?;
    match held_once(&args).filter(|_| images > 1) {
        Some(what) => Err(format!(
            "all {images} containers would {what}, which only one can have"
        )),
        None => Ok(args.warnings),
    }
}

/// What only one container of a device can have. All get the same run args, so with two images every device would fail.
fn held_once(args: &RunArgs) -> Option<String> {
    if let Some(name) = &args.name {
        return Some(format!("get the name {name:?}"));
    }
    let ports = args.body.host_config.port_bindings.values().flatten();
    // From a range each container gets a port of its own.
    let mut fixed = ports.filter(|port| port.host_port.parse::<u16>().is_ok());
    fixed
        .next()
        .map(|port| format!("publish the host's port {}", port.host_port))
}

/// Asks each image's registry once. With `platforms`, each image must be there for all of them.
pub fn resolve(
    images: &[Asked],
    platforms: &[Platform],
    client: &Client,
    progress: &Progress,
) -> Result<Vec<Resolved>, Refusal> {
    once_each(images, |asked| {
        let Transport::Registry(name) = &asked.from else {
            let word = &asked.word;
            return Err(Refusal::usage(format!("{word} is in no registry")));
        };
        let root = client
            .resolve(name)
            .map_err(|refused| Refusal::Registry(refused.to_string()))?;
        let found = Found::pinned(name, root.digest, client);
        if !platforms.is_empty() {
            platform::check(&found, platforms)?;
        }
        progress.say(format_args!("{} is {}", found.word, found.digest));
        Ok(Resolved {
            requested: found.word,
            name: name.clone(),
            pinned: Reference {
                tag: None,
                ..name.pinned(found.digest)
            },
            media_type: root.media_type,
            size: root.size,
        })
    })
}

/// Does something for each image, for several at a time; for one that is given twice it is done once.
pub fn once_each<T: Clone + Send>(
    images: &[Asked],
    work: impl Fn(&Asked) -> Result<T, Refusal> + Sync,
) -> Result<Vec<T>, Refusal> {
    let mut distinct: BTreeMap<&str, &Asked> = BTreeMap::new();
    for asked in images {
        distinct.entry(&asked.word).or_insert(asked);
    }
    let distinct: Vec<&Asked> = distinct.into_values().collect();
    let mut known: BTreeMap<&str, T> = BTreeMap::new();
    for some in distinct.chunks(PARALLEL) {
        let answers = thread::scope(|scope| {
            let work = &work;
            let begin = |asked| scope.spawn(move || work(asked));
            let begun: Vec<_> = some.iter().copied().map(begin).collect();
            let wait = |begun: thread::ScopedJoinHandle<'_, _>| {
                begun.join().expect("asking for an image does not panic")
            };
            begun.into_iter().map(wait).collect::<Result<Vec<_>, _>>()
        })?;
        known.extend(some.iter().map(|asked| asked.word.as_str()).zip(answers));
    }
    let mut all = Vec::with_capacity(images.len());
    all.extend(
        images
            .iter()
            .map(|asked| known[asked.word.as_str()].clone()),
    );
    Ok(all)
}

/// Images that name one tag but are not one image: the tag was moved after somebody had looked up its digest, and the
/// artifact would run both.
pub fn moved_tags(images: &[Resolved]) -> Vec<String> {
    let mut first: BTreeMap<Reference, &Resolved> = BTreeMap::new();
    let mut warnings = Vec::new();
    for image in images {
        // With a digest alone no tag is meant.
        if image.name.tag.is_none() {
            continue;
        }
        let tag = Reference {
            digest: None,
            ..image.name.clone()
        };
        let name = tag.familiar();
        let earlier = first.entry(tag).or_insert(image);
        if earlier.pinned != image.pinned {
            warnings.push(format!(
                "the tag {name} has moved: this artifact has it as {} and as {}",
                earlier.pinned.selector(),
                image.pinned.selector()
            ));
        }
    }
    warnings
}
