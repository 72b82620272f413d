//! `Download`: everything slow or likely to fail, while the old containers run. What it leaves is a complete candidate, or
//! nothing.

use std::fmt;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use super::Size;
use super::error::DeployError;
use super::inbox::Inbox;
use super::journal::{Generation, Health, Service};
use super::recover::{Previous, discard_candidate, settle};
use super::request::{self, Wanted};
use super::site::Site;
use super::state::State;
use crate::api::Mount;
use crate::artifact::payload::Payload;
use crate::engine::network::is_bridge;
use crate::engine::{Container, CreateRequest, Owner, Together};
use crate::images::{Event, Image, Planned, Progress};
use crate::oci::{Platform, Reference};
use crate::runargs::Pull;
use crate::sys::terminate;

/// Settles what is left of the deployment before, then makes the candidate.
pub(super) fn prepare(site: &mut Site<'_>, inbox: Inbox) -> Result<(), DeployError> {
    match settle(site, Previous::Drop) {
        Ok(()) => {}
        Err(error @ (DeployError::Journal(_) | DeployError::Hold(_))) => return Err(error),
        // A device whose committed containers no longer start can only be helped by an update: go on.
        Err(error) => site.say(&format!("failed to settle the deployment before: {error}")),
    }
    let payload = inbox.payload?;
    for key in &payload.unknown_keys {
        site.say(&format!("ignoring unknown meta-data key {key:?}"));
    }
    let wanted = request::wanted(&payload, site.host)?;
    wanted
        .iter()
        .flat_map(|w| &w.notes)
        .for_each(|note| site.say(note));
    for wanted in &wanted {
        for line in site.engine.discarded(&wanted.body)? {
            site.say(&format!("run_args of {}: {line}", wanted.label));
        }
    }
    check_device(site, &wanted)?;
    site.journal.refill()?;

    let number = site.journal.record().next;
    let candidate = Generation {
        number,
        artifact: inbox.artifact,
        request: inbox.request,
        health: health(site, &payload),
        services: Vec::new(),
    };
    site.journal.update(|record| {
        record.next += 1;
        // What could not be settled can only be a way back that failed: everything else is the journal's alone.
        record.unsettled = record.state == State::RollingBack;
        record.state = State::Downloading;
        record.candidate = Some(candidate);
    })?;

    let made = make(site, number, &wanted).and_then(|services| record_prepared(site, services));
    if made.is_err() {
        // The first error is the one that matters; what this leaves behind goes with the next settling.
        if let Err(error) = discard_candidate(site) {
            site.say(&format!("failed to remove the candidate: {error}"));
        }
    }
    made
}

fn health(site: &Site<'_>, payload: &Payload) -> Health {
    let settings = &site.settings.health;
    Health {
        timeout_s: payload
            .health
            .timeout_s
            .unwrap_or(settings.timeout.as_secs()),
        stable_s: payload.health.stable_s.unwrap_or(settings.stable.as_secs()),
    }
}

/// What other containers and processes of this device have: names and ports.
fn check_device(site: &Site<'_>, wanted: &[Wanted]) -> Result<(), DeployError> {
    let all = site.engine.list()?;
    let ours = |c: &&Container| {
        c.record
            .owner
            .as_ref()
            .is_some_and(|owner| owner.scope == site.scope)
    };
    for name in wanted.iter().filter_map(|w| w.name.as_ref()) {
        if let Some(other) = all.iter().filter(|c| !ours(c)).find(|c| c.name() == name) {
            return Err(DeployError::ForeignName {
                name: name.clone(),
                holder: other.id().chars().take(12).collect(),
                scope: site.scope.to_owned(),
            });
        }
    }
    for wanted in wanted {
        check_binds(wanted)?;
    }
    let own: Vec<&str> = all.iter().filter(ours).map(|c| c.id()).collect();
    let network = site.engine.network();
    if wanted
        .iter()
        .any(|w| is_bridge(&w.body.host_config.network_mode))
    {
        network.check_support()?;
        for chain in network.obstacles()? {
            site.say(&format!(
                "packets of containers may be dropped: chain {chain} has policy drop, and needs a rule that accepts bridge {}",
                site.engine.settings().network.bridge
            ));
        }
    }
    let all: Vec<_> = wanted
        .iter()
        .map(|w| (w.name.as_deref(), &w.body))
        .collect();
    let together = Together {
        scope: site.scope,
        all: &all,
    };
    for wanted in wanted {
        site.engine.check_networks(&wanted.body)?;
        site.engine.check_links(&wanted.body, Some(together))?;
        site.engine.check_limits(&wanted.body.host_config)?;
    }
    // All together, so that two services of one deployment do not ask for the same port.
    let mut published = Vec::new();
    for wanted in wanted {
        published.extend(site.engine.published(&wanted.body)?);
    }
    network.check(&published, &own)?;
    Ok(())
}

/// The engine would refuse the same when it creates the container, after the image was fetched.
fn check_binds(wanted: &Wanted) -> Result<(), DeployError> {
    let created = |mount: &Mount| {
        mount
            .bind_options
            .as_ref()
            .is_some_and(|o| o.create_mountpoint)
    };
    let mounts = &wanted.body.host_config.mounts;
    match mounts
        .iter()
        .find(|m| m.kind == "bind" && !created(m) && !Path::new(&m.source).exists())
    {
        None => Ok(()),
        Some(mount) => Err(DeployError::BindSource {
            source_path: mount.source.clone(),
            label: wanted.label.clone(),
        }),
    }
}

/// Fetches, pins and creates, in this order: a record must never name a layer that a collection could take.
fn make(site: &Site<'_>, number: u64, wanted: &[Wanted]) -> Result<Vec<Service>, DeployError> {
    // Images first: while they come, nothing of the candidate exists.
    let mut distinct: Vec<&Wanted> = Vec::new();
    let mut image_of = Vec::with_capacity(wanted.len());
    for wanted in wanted {
        let same =
            |other: &&Wanted| other.image == wanted.image && other.platform == wanted.platform;
        let place = distinct.iter().position(same).unwrap_or_else(|| {
            distinct.push(wanted);
            distinct.len() - 1
        });
        image_of.push(place);
    }
    let images = fetch_all(site, number, &distinct)?;
    let mut services = Vec::new();
    for (wanted, place) in wanted.iter().zip(image_of) {
        site.hold.check()?;
        let image = &images[place];
        let container = site.engine.create(&CreateRequest {
            body: &wanted.body,
            image,
            name: wanted.name.as_deref(),
            owner: Some(Owner {
                scope: site.scope.to_owned(),
                generation: number,
            }),
            claim_name: false,
        })?;
        site.say(&format!(
            "created container {} for {}",
            &container[..12],
            wanted.label
        ));
        services.push(Service {
            container,
            name: wanted.name.clone(),
            image: wanted.image.to_string(),
            digest: image.digest,
        });
    }
    Ok(services)
}

fn record_prepared(site: &mut Site<'_>, services: Vec<Service>) -> Result<(), DeployError> {
    let count = services.len();
    site.journal.update(|record| {
        record.state = State::Prepared;
        if let Some(candidate) = &mut record.candidate {
            candidate.services = services;
        }
    })?;
    site.say(&format!(
        "prepared {count} container{}",
        if count == 1 { "" } else { "s" }
    ));
    Ok(())
}

/// Brings and pins images: all are looked at before the first comes, so that there is room for all of them or for none.
fn fetch_all(site: &Site<'_>, number: u64, wanted: &[&Wanted]) -> Result<Vec<Image>, DeployError> {
    site.hold.check()?;
    let images = site.images();
    let host = Platform::host();
    let is_fetched = |wanted: &&&Wanted| wanted.pull != Pull::Never;
    let asked: Vec<(&Reference, &Platform)> = wanted
        .iter()
        .filter(is_fetched)
        .map(|wanted| (&wanted.image, wanted.platform.as_ref().unwrap_or(&host)))
        .collect();
    for (reference, _) in &asked {
        site.say(&format!("fetching image {}", reference.familiar()));
    }
    let planned = images.plan(&asked, &Planning { say: site.say });
    site.hold.check()?;
    let mut planned = planned?.into_iter();
    let mut fetched = Vec::new();
    for wanted in wanted {
        let planned = match wanted.pull {
            Pull::Never => None,
            Pull::Missing | Pull::Always => planned.next(),
        };
        fetched.push(fetch(site, number, wanted, planned)?);
    }
    Ok(fetched)
}

fn fetch(
    site: &Site<'_>,
    number: u64,
    wanted: &Wanted,
    planned: Option<Planned>,
) -> Result<Image, DeployError> {
    let name = wanted.image.familiar();
    site.hold.check()?;
    // Until the pin is there, nothing else keeps the image from a collection.
    let _kept = site.images().hold()?;
    let image = match planned {
        None => site.images().find(&wanted.image.to_string())?,
        Some(planned) => {
            let tally = Tally::default();
            let pulled = tally.telling(site, &name, || site.images().pull_planned(planned, &tally));
            // Whatever it says it failed of: it was told to.
            site.hold.check()?;
            let image = pulled?;
            site.say(&format!("fetched {tally}: image {name}"));
            image
        }
    };
    if wanted.image.digest.is_none() {
        site.say(&format!(
            "image {name} has no digest: it stands for {} now",
            image.digest
        ));
    }
    site.images().pin(&site.pin(number), &image)?;
    Ok(image)
}

/// Who hears of what is done before the first layer comes.
struct Planning<'a> {
    say: &'a (dyn Fn(&str) + Sync),
}

impl Progress for Planning<'_> {
    fn event(&self, event: &Event<'_>) {
        if let Event::Freed { bytes } = event {
            let bytes = Size(*bytes);
            (self.say)(&format!(
                "freed {bytes} of what nobody needed, to make room"
            ));
        }
    }

    fn is_cancelled(&self) -> bool {
        terminate::requested()
    }
}

/// What a pull did, counted from several threads.
#[derive(Debug, Default)]
struct Tally {
    /// Layers and bytes that are to come.
    layers: AtomicU64,
    size: AtomicU64,
    fetched: AtomicU64,
    bytes: AtomicU64,
    present: AtomicU64,
    damaged: AtomicU64,
    /// Who helped and what broke, in words.
    journey: OnceLock<String>,
}

/// Pause between two lines about one image.
const TELL_EVERY: Duration = Duration::from_secs(10);

impl Tally {
    /// Does `work` and says meanwhile how far it is; whoever says it has ended when it returns, for what follows forks.
    fn telling<T>(&self, site: &Site<'_>, image: &str, work: impl FnOnce() -> T) -> T {
        let (ended, end) = channel::<()>();
        let (say, started) = (site.say, site.host.instant());
        std::thread::scope(|scope| {
            let tell = move || {
                while end.recv_timeout(TELL_EVERY) == Err(RecvTimeoutError::Timeout) {
                    let line = self.line(started.elapsed());
                    say(&format!("fetching image {image}: {line}"));
                }
            };
            // Without it nothing is said, and everything is done all the same.
            let _ = std::thread::Builder::new().spawn_scoped(scope, tell);
            let done = work();
            drop(ended);
            done
        })
    }

    /// `3.1 MB of 20.0 MB in 4 layers, 310 kB/s, 54 s left`
    fn line(&self, elapsed: Duration) -> String {
        let [layers, size, bytes] =
            [&self.layers, &self.size, &self.bytes].map(|n| n.load(Relaxed));
        let rate = bytes / elapsed.as_secs().max(1);
        let left = size.saturating_sub(bytes).checked_div(rate);
        let left = left.map_or(String::new(), |left| format!(", {left} s left"));
        format!(
            "{} of {} in {layers} layers, {}/s{left}",
            Size(bytes),
            Size(size),
            Size(rate)
        )
    }
}

impl Progress for Tally {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Planned { size, .. } => {
                self.layers.fetch_add(1, Relaxed);
                self.size.fetch_add(*size, Relaxed)
            }
            Event::Present { .. } => self.present.fetch_add(1, Relaxed),
            Event::Damaged { .. } => self.damaged.fetch_add(1, Relaxed),
            Event::Started { .. } => self.fetched.fetch_add(1, Relaxed),
            Event::Received { bytes, .. } => self.bytes.fetch_add(*bytes, Relaxed),
            Event::Arrived {
                mirrors,
                resumed,
                refetched,
            } => {
                let mut words = String::new();
                if !mirrors.is_empty() {
                    words = format!(", from mirror {}", mirrors.join(" and "));
                }
                if *resumed > 0 {
                    let twice = Size(*refetched);
                    words += &format!(", gone on with {resumed} times, {twice} fetched twice");
                }
                // Told once.
                u64::from(self.journey.set(words).is_ok())
            }
            _ => 0,
        };
    }

    fn is_cancelled(&self) -> bool {
        terminate::requested()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [fetched, bytes, present] =
            [&self.fetched, &self.bytes, &self.present].map(|n| n.load(Relaxed));
        let layers = if fetched == 1 { "layer" } else { "layers" };
        write!(
            f,
            "{fetched} {layers}, {}, {present} here already{}{}",
            Size(bytes),
            match self.damaged.load(Relaxed) {
                0 => String::new(),
                damaged => format!(", {damaged} damaged replaced"),
            },
            self.journey.get().map_or("", String::as_str)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Digest;

    #[test]
    fn a_line_says_what_is_there_what_is_missing_and_when_it_will_be() {
        let tally = Tally::default();
        let layer = Digest::of(b"");
        assert_eq!(
            tally.line(Duration::ZERO),
            "0 kB of 0 kB in 0 layers, 0 kB/s"
        );
        for size in [15_000_000, 5_000_000] {
            tally.event(&Event::Planned { layer, size });
        }
        let bytes = 4_000_000;
        tally.event(&Event::Received { layer, bytes });
        assert_eq!(
            tally.line(Duration::from_secs(10)),
            "4.0 MB of 20.0 MB in 2 layers, 400 kB/s, 40 s left"
        );
        tally.event(&Event::Arrived {
            mirrors: &["a.example".to_owned(), "b.example".to_owned()],
            resumed: 3,
            refetched: 2000,
        });
        assert_eq!(
            tally.to_string(),
            "0 layers, 4.0 MB, 0 here already, from mirror a.example and b.example, gone on with 3 times, 2 kB fetched twice"
        );
    }
}
