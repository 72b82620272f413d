//! `dray pull`: brings an image, with progress where somebody looks.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use clap::Args;
use dray::engine::Engine;
use dray::images::{Event, Image};
use dray::oci::{Digest, Platform, Reference};
use serde_json::json;

use super::{Context, Format, table};

#[derive(Debug, Args)]
pub struct Words {
    /// Name, with a tag or a digest
    image: String,
    /// Instead of this device's platform: os/architecture[/variant]
    #[arg(long)]
    platform: Option<String>,
    /// No progress
    #[arg(short, long)]
    quiet: bool,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// `dray pull`
pub fn run(context: &Context<'_>, words: &Words) -> anyhow::Result<ExitCode> {
    let engine = context.engine()?;
    let reference: Reference = words.image.parse()?;
    let platform = match &words.platform {
        Some(platform) => platform.parse::<Platform>()?,
        None => Platform::host(),
    };
    let image = pull(
        context,
        &engine,
        &reference,
        &platform,
        words.quiet || words.format == Format::Json,
    )?;
    match words.format {
        Format::Json => println!(
            "{}",
            json!({ "Id": image.id, "Digest": image.digest, "Size": image.size })
        ),
        Format::Table => println!("{}", reference.pinned(image.digest)),
    }
    Ok(ExitCode::SUCCESS)
}

/// Brings an image and names it, so that it stays.
pub fn pull(
    context: &Context<'_>,
    engine: &Engine,
    reference: &Reference,
    platform: &Platform,
    quiet: bool,
) -> anyhow::Result<Image> {
    let images = engine.images();
    let progress = Progress::new(context, !quiet && std::io::stderr().is_terminal());
    let hold = images.hold()?;
    let image = images.pull(reference, platform, &|event: &Event<'_>| {
        progress.event(event)
    })?;
    progress.finish();
    images.tag(reference, &image)?;
    drop(hold);
    Ok(image)
}

/// One line on a terminal: layers, bytes, rate.
pub struct Progress {
    shown: bool,
    started: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    layers: BTreeMap<Digest, Layer>,
    drawn: Option<Instant>,
}

#[derive(Default)]
struct Layer {
    size: u64,
    received: u64,
    done: bool,
}

impl Progress {
    pub fn new(context: &Context<'_>, shown: bool) -> Progress {
        Progress {
            shown,
            started: context.host.instant(),
            state: Mutex::default(),
        }
    }

    pub fn event(&self, event: &Event<'_>) {
        // A thread that panicked while it held the lock has ended the program.
        let Ok(mut state) = self.state.lock() else {
            return;
        };
        match event {
            Event::Present { layer } => state.layers.entry(*layer).or_default().done = true,
            Event::Started { layer, size } => {
                *state.layers.entry(*layer).or_default() = Layer {
                    size: *size,
                    ..Layer::default()
                };
            }
            Event::Received { layer, bytes } => {
                state.layers.entry(*layer).or_default().received += bytes
            }
            Event::Unpacked { layer } => state.layers.entry(*layer).or_default().done = true,
            Event::Damaged { layer } => {
                eprintln!("dray: layer {layer} is damaged and is fetched again")
            }
            _ => {}
        }
        const PAUSE: Duration = Duration::from_millis(100);
        if self.shown && state.drawn.is_none_or(|drawn| drawn.elapsed() > PAUSE) {
            state.drawn = Some(Instant::now());
            self.draw(&state, "\r");
        }
    }

    fn draw(&self, state: &State, end: &str) {
        let layers = state.layers.values();
        let (done, all) = (
            layers.clone().filter(|layer| layer.done).count(),
            layers.len(),
        );
        let received: u64 = layers.clone().map(|layer| layer.received).sum();
        let size: u64 = layers.map(|layer| layer.size).sum();
        let seconds = self.started.elapsed().as_secs_f64().max(0.001);
        let rate = table::size((received as f64 / seconds) as u64);
        let (received, size) = (table::size(received), table::size(size));
        let mut out = std::io::stderr().lock();
        // A terminal that has gone needs no progress.
        let _ = write!(
            out,
            "\x1b[K{done}/{all} layers, {received} of {size}, {rate}/s{end}"
        );
        let _ = out.flush();
    }

    pub fn finish(&self) {
        if self.shown
            && let Ok(state) = self.state.lock()
        {
            self.draw(&state, "\n");
        }
    }
}
