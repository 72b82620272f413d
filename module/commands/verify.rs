//! `dray verify` and `dray scrub`: whether the store still is what it was, and what is damaged brought back.

use std::cell::{Cell, RefCell};
use std::io::{IsTerminal, Write as _};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use dray::engine::{Container, Engine};
use dray::images::{Damage, Depth, Part, Unhealed, Verdict, Verify, Watch};
use dray::oci::{Digest, Reference};
use dray::sys::lock::Exclusive;
use dray::sys::{priority, program};
use serde_json::{Value, json};

use super::progress::{How, Progress};
use super::{Context, Format, table};
use crate::update_module::say;

/// Bytes a second that a scrub reads: little even for a card.
const SCRUB_RATE: u64 = 16 << 20;

/// Pause between two drawings.
const PAUSE: Duration = Duration::from_millis(200);

/// Between two attempts to bring back what is damaged, the first time and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(30 * 60);

#[derive(Debug, Args)]
pub struct Words {
    /// Read every byte: of layers, documents and kept compressed layers
    #[arg(long)]
    full: bool,
    /// Bring back what is damaged, from a kept compressed layer, the registry or its mirrors
    #[arg(long)]
    repair: bool,
    /// Read slowly, and only while nobody else wants processor or disk
    #[arg(long)]
    idle: bool,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Go on until it is brought back, or the time for a download is over
    #[arg(long, hide = true, requires = "repair")]
    patient: bool,
    /// Names, digests or ids; without any, all that is here
    images: Vec<String>,
}

/// `dray verify`
pub fn run(context: &Context<'_>, words: &Words) -> anyhow::Result<ExitCode> {
    let engine = match words.repair {
        true => context.engine()?,
        false => context.engine_to_look()?,
    };
    if words.idle {
        priority::idle();
    }
    let quiet = words.format == Format::Json || words.patient;
    let wanted = Verify {
        depth: match words.full {
            true => Depth::Content,
            false => Depth::Status,
        },
        images: &words.images,
        unless_within: None,
    };
    let meter = Meter::new(!quiet && std::io::stderr().is_terminal(), words.idle);
    let containers = engine.list()?;
    let tell = |damage: &Damage| {
        if !quiet {
            meter.clear();
            println!("{damage}{}", used_by(damage, &containers));
        }
    };
    let verdict = meter.during(|watch| engine.images().verify(&wanted, watch), &tell)?;
    let still = match words.repair && !verdict.damages.is_empty() {
        true => repair(context, &engine, &verdict, quiet, words.patient)?,
        false => unrepaired(&verdict),
    };
    match words.format {
        Format::Json => println!("{}", object(&verdict, &still, &containers, words.repair)),
        Format::Table if quiet => {}
        Format::Table => print(&verdict, &still, words.repair),
    }
    Ok(match still.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// `dray scrub`
pub fn scrub(context: &Context<'_>) -> anyhow::Result<ExitCode> {
    let Some(interval) = context.settings.store.scrub else {
        // A timer asks again and again, and is not to fill a log.
        if std::io::stderr().is_terminal() {
            eprintln!("dray: scrubbing is off: scrub in [store] of the ini says how often");
        }
        return Ok(ExitCode::SUCCESS);
    };
    let engine = context.engine()?;
    let Some(_alone) = Exclusive::attempt(&context.host.run.join("scrub.lock"))? else {
        return Ok(ExitCode::SUCCESS);
    };
    priority::idle();
    let wanted = Verify {
        depth: Depth::Content,
        images: &[],
        unless_within: Some(interval),
    };
    let containers = engine.list()?;
    let tell = |damage: &Damage| say(&format!("{damage}{}", used_by(damage, &containers)));
    let meter = Meter::new(false, true);
    let verdict = meter.during(|watch| engine.images().verify(&wanted, watch), &tell)?;
    if verdict.bytes > 0 {
        say(&format!(
            "scrubbed {} layers, {} read, {} damaged",
            verdict.layers,
            table::size(verdict.bytes),
            verdict.damages.len()
        ));
    }
    let still = match verdict.damages.is_empty() {
        true => Vec::new(),
        false => repair(context, &engine, &verdict, true, false)?,
    };
    Ok(match still.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// What `dray boot` does after all containers were started: looks at what they stand on, once after an unclean stop, and
/// has what is damaged brought back by a process of its own, for that may take its time.
pub fn after_boot(context: &Context<'_>, engine: &Engine) -> anyhow::Result<()> {
    let images = engine.images();
    let needed: Vec<Digest> = images.needed_layers()?.into_iter().collect();
    if images.unsound(&needed)?.is_empty() {
        return Ok(());
    }
    let containers = engine.list()?;
    let tell = |damage: &Damage| say(&format!("{damage}{}", used_by(damage, &containers)));
    let wanted = Verify {
        depth: Depth::Status,
        images: &[],
        unless_within: None,
    };
    Meter::new(false, false).during(|watch| images.verify(&wanted, watch), &tell)?;
    let own = std::fs::File::open("/proc/self/exe")?;
    let text = |text: &std::ffi::OsString| text.to_str().map(str::to_owned);
    let env = context.host.env.iter();
    let stderr = std::io::stderr();
    program::spawn(&program::Spawn {
        program: own.as_fd(),
        args: ["dray", "verify", "--repair", "--patient"]
            .map(String::from)
            .to_vec(),
        env: env
            .filter_map(|(n, v)| Some((text(n)?, text(v)?)))
            .collect(),
        fds: Vec::new(),
        stdio: [None, None, Some(stderr.as_fd())],
        detach: true,
    })?;
    Ok(())
}

/// Brings back what is damaged and says how that went; what is still damaged.
fn repair<'a>(
    context: &Context<'_>,
    engine: &Engine,
    verdict: &'a Verdict,
    quiet: bool,
    patient: bool,
) -> anyhow::Result<Vec<Unhealed<'a>>> {
    let known: Vec<(Digest, Reference)> = engine
        .list()?
        .into_iter()
        .filter_map(|container| {
            let record = container.record;
            let words = &record.body.config.image;
            // What was told by its id is nobody's name: a registry of that name is not to be asked.
            let is_id = record
                .image
                .hex()
                .starts_with(words.trim_start_matches("sha256:"));
            let name = words.parse().ok().filter(|_| !is_id)?;
            Some((record.image_digest, name))
        })
        .collect();
    let (begun, mut pause) = (Instant::now(), FIRST_PAUSE);
    let still = loop {
        let progress = Progress::new(How::Auto, quiet);
        let still =
            progress.during(|report| engine.images().heal(&verdict.damages, &known, &report))?;
        let hope = still.iter().any(|unhealed| unhealed.may_come);
        if !patient || !hope || begun.elapsed() + pause > context.settings.download.deadline {
            break still;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    };
    for damage in &verdict.damages {
        match still.iter().find(|unhealed| unhealed.damage == damage) {
            None => say(&format!("{} is whole again", damage.part)),
            Some(Unhealed { reason, .. }) => {
                say(&format!("{} stays damaged: {reason}", damage.part));
            }
        }
    }
    Ok(still)
}

fn unrepaired(verdict: &Verdict) -> Vec<Unhealed<'_>> {
    let unhealed = |damage| Unhealed {
        damage,
        reason: String::new(),
        may_come: true,
    };
    verdict.damages.iter().map(unhealed).collect()
}

/// Names of the containers that stand on a layer.
fn standing_on<'a>(damage: &Damage, containers: &'a [Container]) -> Vec<&'a str> {
    let stands = |container: &&Container| match &damage.part {
        Part::Layer(layer) => container.record.layers.contains(layer),
        _ => false,
    };
    containers.iter().filter(stands).map(|c| c.name()).collect()
}

fn used_by(damage: &Damage, containers: &[Container]) -> String {
    match standing_on(damage, containers).join(", ") {
        names if names.is_empty() => String::new(),
        names => format!("; containers on it: {names}"),
    }
}

fn print(verdict: &Verdict, still: &[Unhealed<'_>], repaired: bool) {
    let Verdict { layers, blobs, .. } = verdict;
    let read = match verdict.bytes {
        0 => String::new(),
        bytes => format!(", {} read", table::size(bytes)),
    };
    println!("{layers} layers and {blobs} documents and blobs looked at{read}");
    if verdict.unknown > 0 {
        println!(
            "{} layers were unpacked by an older dray: their content cannot be checked until they are pulled anew",
            verdict.unknown
        );
    }
    match (verdict.damages.len(), still.len()) {
        (0, _) => println!("all are whole"),
        (damaged, 0) => println!("{damaged} damaged, all brought back"),
        (damaged, still) if repaired => println!("{damaged} damaged, {still} of them still are"),
        (damaged, _) => println!(
            "{damaged} damaged; dray verify --repair brings back what can be had, and says what helps the rest"
        ),
    }
}

fn object(
    verdict: &Verdict,
    still: &[Unhealed<'_>],
    containers: &[Container],
    repaired: bool,
) -> Value {
    let one = |damage: &Damage| {
        let unhealed = still.iter().find(|unhealed| unhealed.damage == damage);
        let (kind, name) = match &damage.part {
            Part::Layer(digest) => ("layer", digest.to_string()),
            Part::Document(digest) => ("document", digest.to_string()),
            Part::Blob(digest) => ("blob", digest.to_string()),
            Part::Record(path) => ("record", path.display().to_string()),
        };
        json!({
            "Kind": kind,
            "Name": name,
            "Reason": damage.reason,
            "Paths": damage.paths,
            "Images": damage.images,
            "Containers": standing_on(damage, containers),
            "Healed": repaired && unhealed.is_none(),
            "Error": unhealed.map(|unhealed| &unhealed.reason).filter(|reason| !reason.is_empty()),
        })
    };
    json!({
        "Layers": verdict.layers,
        "Unknown": verdict.unknown,
        "Blobs": verdict.blobs,
        "Bytes": verdict.bytes,
        "Damaged": verdict.damages.iter().map(one).collect::<Vec<_>>(),
    })
}

/// How far it is, drawn in place, and how fast it may go.
struct Meter {
    draws: bool,
    limited: bool,
    begun: Instant,
    planned: Cell<u64>,
    read: Cell<u64>,
    drawn: RefCell<Option<Instant>>,
}

impl Meter {
    fn new(draws: bool, limited: bool) -> Meter {
        Meter {
            draws,
            limited,
            begun: Instant::now(),
            planned: Cell::new(0),
            read: Cell::new(0),
            drawn: RefCell::new(None),
        }
    }

    fn during<T>(&self, work: impl FnOnce(&Watch<'_>) -> T, found: &dyn Fn(&Damage)) -> T {
        let done = work(&Watch {
            planned: &|bytes| self.planned.set(bytes),
            read: &|bytes| self.read(bytes),
            found,
        });
        self.clear();
        done
    }

    fn read(&self, bytes: u64) {
        self.read.set(self.read.get() + bytes);
        let elapsed = self.begun.elapsed();
        if self.limited {
            let due = Duration::from_millis(self.read.get() * 1000 / SCRUB_RATE);
            std::thread::sleep(due.saturating_sub(elapsed));
        }
        let drawn = *self.drawn.borrow();
        if self.draws && drawn.is_none_or(|drawn| drawn.elapsed() > PAUSE) {
            let rate = self.read.get() * 1000 / (elapsed.as_millis() as u64).max(1);
            let [read, planned, rate] =
                [self.read.get(), self.planned.get(), rate].map(table::size);
            eprint!("\r\x1b[K{read} of {planned}, {rate}/s");
            let _ = std::io::stderr().flush();
            *self.drawn.borrow_mut() = Some(Instant::now());
        }
    }

    fn clear(&self) {
        if self.drawn.borrow_mut().take().is_some() {
            eprint!("\r\x1b[K");
        }
    }
}
