//! Brings the images of a deployment: all are planned together, then each comes and is pinned; and says meanwhile how far
//! it is.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use super::Size;
use super::error::DeployError;
use super::meter::Meter;
use super::request::Wanted;
use super::site::Site;
use crate::images::{Event, Freight, Image, Planned, Progress};
use crate::oci::{Platform, Reference};
use crate::runargs::Pull;
use crate::sys::terminate;

/// Brings and pins images: all are looked at before the first comes, so that there is room for all of them or for none.
pub(super) fn fetch_all(
    site: &Site<'_>,
    number: u64,
    wanted: &[&Wanted],
    freight: Option<&Freight<'_>>,
) -> Result<Vec<Image>, DeployError> {
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
        let name = reference.familiar();
        site.say(&match freight {
            None => format!("fetching image {name}"),
            Some(_) => format!("taking image {name} from the artifact"),
        });
    }
    let planning = Planning { say: site.say };
    // The images of the deployment before the committed one go if that makes room.
    let spare = Some(site.previous_pin());
    let planned = match freight {
        None => images.plan(&asked, spare.as_deref(), &planning),
        Some(freight) => images.plan_freight(freight, &asked, spare.as_deref(), &planning),
    };
    site.hold.check()?;
    let planned = planned?;
    // What the client brings is not this program's to limit.
    let meter = match freight.is_none() && planned.iter().any(Planned::is_fetched) {
        true => Meter::open(site)?,
        false => Meter::unlimited(),
    };
    let mut planned = planned.into_iter();
    let mut fetched = Vec::new();
    for wanted in wanted {
        let planned = match wanted.pull {
            Pull::Never => None,
            Pull::Missing | Pull::Always => planned.next(),
        };
        fetched.push(fetch(site, number, wanted, planned, (freight, &meter))?);
    }
    if let Some(freight) = freight {
        let finished = freight.finish();
        site.hold.check()?;
        finished?;
    }
    Ok(fetched)
}

fn fetch(
    site: &Site<'_>,
    number: u64,
    wanted: &Wanted,
    planned: Option<Planned>,
    (freight, meter): (Option<&Freight<'_>>, &Meter),
) -> Result<Image, DeployError> {
    let name = wanted.image.familiar();
    site.hold.check()?;
    // Until the pin is there, nothing else keeps the image from a collection.
    let _kept = site.images().hold()?;
    let image = match planned {
        None => site.images().find(&wanted.image.to_string())?,
        Some(mut planned) => {
            planned.on_behalf_of(&site.pin_prefix());
            let tally = Tally::of(meter);
            let pulled = tally.telling(site, &name, || match freight {
                None => site.images().pull_planned(planned, &tally),
                Some(freight) => site.images().take_planned(freight, planned, &tally),
            });
            // Whatever it says it failed of: it was told to.
            site.hold.check()?;
            meter.check()?;
            let image = pulled?;
            let how = freight.map_or("fetched", |_| "taken");
            site.say(&format!("{how} {tally}: image {name}"));
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
        match event {
            Event::Freed { bytes } => {
                let bytes = Size(*bytes);
                (self.say)(&format!(
                    "freed {bytes} of what nobody needed, to make room"
                ));
            }
            Event::GivenUp { .. } => (self.say)(
                "not enough room: the images of the deployment before this one are given up",
            ),
            _ => {}
        }
    }

    fn is_cancelled(&self) -> bool {
        terminate::requested()
    }
}

/// What a pull did, counted from several threads.
#[derive(Debug)]
struct Tally<'a> {
    /// What the whole deployment may fetch.
    meter: &'a Meter,
    /// Layers and bytes that are to come.
    layers: AtomicU64,
    size: AtomicU64,
    fetched: AtomicU64,
    bytes: AtomicU64,
    /// Bytes of those that came with an earlier call.
    found: AtomicU64,
    present: AtomicU64,
    damaged: AtomicU64,
    /// Who helped and what broke, in words.
    journey: OnceLock<String>,
}

/// Pause between two lines about one image.
const TELL_EVERY: Duration = Duration::from_secs(10);

impl<'a> Tally<'a> {
    fn of(meter: &'a Meter) -> Tally<'a> {
        Tally {
            meter,
            layers: AtomicU64::default(),
            size: AtomicU64::default(),
            fetched: AtomicU64::default(),
            bytes: AtomicU64::default(),
            found: AtomicU64::default(),
            present: AtomicU64::default(),
            damaged: AtomicU64::default(),
            journey: OnceLock::default(),
        }
    }

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

impl Progress for Tally<'_> {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Planned { size, .. } => {
                self.layers.fetch_add(1, Relaxed);
                self.size.fetch_add(*size, Relaxed)
            }
            Event::Present { .. } => self.present.fetch_add(1, Relaxed),
            Event::Damaged { .. } => self.damaged.fetch_add(1, Relaxed),
            Event::Started { .. } => self.fetched.fetch_add(1, Relaxed),
            Event::Received { bytes, .. } => {
                self.meter.count(*bytes);
                self.bytes.fetch_add(*bytes, Relaxed)
            }
            Event::Found { bytes, .. } => {
                self.bytes.fetch_add(*bytes, Relaxed);
                self.found.fetch_add(*bytes, Relaxed)
            }
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
        terminate::requested() || self.meter.is_over()
    }
}

impl fmt::Display for Tally<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [fetched, bytes, found, present] =
            [&self.fetched, &self.bytes, &self.found, &self.present].map(|n| n.load(Relaxed));
        let layers = if fetched == 1 { "layer" } else { "layers" };
        let earlier = match found {
            0 => String::new(),
            found => format!(" of which {} came earlier", Size(found)),
        };
        write!(
            f,
            "{fetched} {layers}, {}{earlier}, {present} here already{}{}",
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
        let meter = Meter::unlimited();
        let tally = Tally::of(&meter);
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
