//! What is shown while images come or go.
//!
//! On a terminal a line for each layer, drawn in place: as many as fit, those that are being fetched first, and below
//! them one for all. Elsewhere one line for all every 10 s. With `--progress json` an object a line on standard output:
//!
//! ```text
//! {"event":"resolved","reference":"docker.io/library/web:1","digest":"sha256:…"}
//! {"event":"freed","bytes":…}
//!     there was not enough room, and this was removed, which nobody needed
//! {"event":"layer","layer":"sha256:<diff id>","state":…,"bytes":…,"size":…}
//!     state: planned, present, damaged (it is fetched again), fetching, unpacked; bytes and size as it is packed
//! {"event":"total","done":3,"layers":8,"bytes":…,"size":…,"rate":…,"left_s":…}
//!     every second; bytes a second; the seconds are null where they are not known
//! {"event":"transfer","mirrors":["mirror.example"],"resumed":2,"refetched":0}
//!     if mirrors helped or connections broke: who, how often, and the bytes that came twice because of it
//! {"event":"image","id":"sha256:…","digest":"sha256:… or null","names":["web:1"]}
//!     the last, one for each image
//! ```
//!
//! More events and members may come; whoever reads them passes over what he does not know.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::os::fd::AsFd;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use dray::images::{Event, Image};
use dray::oci::{Digest, Reference};
use dray::sys::terminal;
use serde_json::{Value, json};

use super::table;

/// How progress is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum How {
    /// In place on a terminal, else plain
    #[default]
    Auto,
    /// A line every 10 s
    Plain,
    /// An object a line
    Json,
    /// Nothing
    #[value(alias = "none")]
    Quiet,
}

/// Pause between two drawings, and between two words about the bytes of one layer.
const PAUSE: Duration = Duration::from_millis(200);

/// Where a terminal does not say how large it is.
const SIZE: (u16, u16) = (24, 80);

/// Fewest columns that anything is drawn for.
const NARROW: usize = 20;

/// What layers are doing.
#[derive(Debug)]
pub struct Progress {
    way: Way,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Nothing,
    Terminal,
    Lines,
    Json,
}

#[derive(Debug)]
struct State {
    started: Instant,
    /// In the order in which they were heard of.
    layers: Vec<Layer>,
    places: HashMap<Digest, usize>,
    /// Lines on the terminal that are to be drawn over.
    drawn: usize,
}

#[derive(Debug)]
struct Layer {
    id: Digest,
    size: u64,
    received: u64,
    phase: Phase,
    /// When the first byte was asked for, and when it was last spoken of.
    since: Option<Instant>,
    said: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Planned,
    Present,
    Fetching,
    Done,
}

/// All layers together.
struct Total {
    done: usize,
    received: u64,
    size: u64,
    rate: u64,
}

impl Progress {
    /// Tells as `how` says; `quiet` says nothing whatever it is.
    pub fn new(how: How, quiet: bool) -> Progress {
        let way = match how {
            _ if quiet => Way::Nothing,
            How::Quiet => Way::Nothing,
            How::Json => Way::Json,
            How::Auto if std::io::stderr().is_terminal() => Way::Terminal,
            How::Auto | How::Plain => Way::Lines,
        };
        Progress {
            way,
            state: Mutex::new(State::begun(Instant::now())),
        }
    }

    /// Does `work` for one image and tells of it; the thread that tells has ended when it returns.
    pub fn during<T>(&self, work: impl FnOnce(&(dyn Fn(&Event<'_>) + Sync)) -> T) -> T {
        let interval = match self.way {
            Way::Nothing => return work(&|event| self.event(event)),
            Way::Terminal => PAUSE,
            Way::Json => Duration::from_secs(1),
            Way::Lines => Duration::from_secs(10),
        };
        // What is drawn comes below what was, and time counts from here: an archive may have been read before.
        *self.lock() = State::begun(Instant::now());
        let (ended, end) = channel::<()>();
        let done = std::thread::scope(|scope| {
            let tell = move || {
                while end.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                    self.tell();
                }
            };
            // Without it nothing is told, and everything is done all the same.
            let _ = std::thread::Builder::new().spawn_scoped(scope, tell);
            let done = work(&|event| self.event(event));
            drop(ended);
            done
        });
        if self.way != Way::Lines {
            self.tell();
        }
        done
    }

    /// Tells what came of it, to programs.
    pub fn result(&self, image: &Image, names: &[Reference]) {
        let names: Vec<String> = names.iter().map(Reference::familiar).collect();
        self.say(&json!({
            "event": "image", "id": image.id, "digest": image.stated_digest(), "names": names,
        }));
    }

    /// Whether results are told as events.
    pub fn is_json(&self) -> bool {
        self.way == Way::Json
    }

    fn event(&self, event: &Event<'_>) {
        let mut state = self.lock();
        let now = Instant::now();
        let (layer, word) = match *event {
            Event::Resolved { reference, digest } => {
                let reference = reference.to_string();
                self.say(&json!({"event": "resolved", "reference": reference, "digest": digest}));
                return;
            }
            Event::Arrived {
                mirrors,
                resumed,
                refetched,
            } => {
                self.say(&json!({
                    "event": "transfer", "mirrors": mirrors, "resumed": resumed, "refetched": refetched,
                }));
                return;
            }
            Event::Freed { bytes } => {
                if self.way != Way::Json {
                    let bytes = table::short_size(bytes);
                    eprintln!("dray: removed {bytes} of what nobody needed, to make room");
                    state.drawn = 0;
                }
                self.say(&json!({"event": "freed", "bytes": bytes}));
                return;
            }
            Event::Planned { layer, size } => (state.enter(layer, size, Phase::Planned), "planned"),
            Event::Present { layer } => (state.enter(layer, 0, Phase::Present), "present"),
            Event::Damaged { layer } => {
                if self.way != Way::Json {
                    eprintln!("dray: layer {layer} is damaged and is fetched again");
                    state.drawn = 0;
                }
                (state.enter(layer, 0, Phase::Planned), "damaged")
            }
            Event::Started { layer, size } => {
                let layer = state.enter(layer, size, Phase::Fetching);
                (layer.received, layer.since) = (0, Some(now));
                (layer, "fetching")
            }
            Event::Received { layer, bytes } | Event::Found { layer, bytes } => {
                let layer = state.enter(layer, 0, Phase::Fetching);
                layer.received += bytes;
                if layer
                    .said
                    .is_some_and(|said| now.duration_since(said) < PAUSE)
                {
                    return;
                }
                (layer, "fetching")
            }
            Event::Unpacked { layer } => (state.enter(layer, 0, Phase::Done), "unpacked"),
            _ => return,
        };
        layer.said = Some(now);
        self.say(&json!({
            "event": "layer", "layer": layer.id, "state": word,
            "bytes": layer.received, "size": layer.size,
        }));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A thread that panicked while it held the lock has ended the program.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, value: &Value) {
        if self.way == Way::Json {
            // Whoever listens may have gone; the image is wanted all the same.
            let _ = writeln!(std::io::stdout(), "{value}");
        }
    }

    fn tell(&self) {
        let mut state = self.lock();
        if state.layers.is_empty() {
            return;
        }
        let total = state.total(state.started.elapsed());
        match self.way {
            Way::Nothing => {}
            Way::Json => self.say(&json!({
                "event": "total", "done": total.done, "layers": state.layers.len(),
                "bytes": total.received, "size": total.size, "rate": total.rate,
                "left_s": left(total.size, total.received, total.rate),
            })),
            Way::Lines => eprintln!("dray: {}", state.summary(&total)),
            Way::Terminal => {
                let stderr = std::io::stderr();
                let size = terminal::size(stderr.as_fd()).filter(|size| size.0 > 0 && size.1 > 0);
                let text = state.drawing(&total, size.unwrap_or(SIZE));
                // A terminal that has gone needs no progress.
                let _ = stderr.lock().write_all(text.as_bytes());
            }
        }
    }
}

impl State {
    fn begun(started: Instant) -> State {
        State {
            started,
            layers: Vec::new(),
            places: HashMap::new(),
            drawn: 0,
        }
    }

    /// The layer in this phase from now on.
    fn enter(&mut self, id: Digest, size: u64, phase: Phase) -> &mut Layer {
        let place = *self.places.entry(id).or_insert_with(|| {
            self.layers.push(Layer {
                id,
                size,
                received: 0,
                phase,
                since: None,
                said: None,
            });
            self.layers.len() - 1
        });
        let layer = &mut self.layers[place];
        layer.phase = phase;
        layer.size = layer.size.max(size);
        layer
    }

    fn total(&self, elapsed: Duration) -> Total {
        let received = self.layers.iter().map(|layer| layer.received).sum();
        Total {
            done: self.layers.iter().filter(|layer| layer.is_done()).count(),
            received,
            size: self.layers.iter().map(|layer| layer.size).sum(),
            rate: rate(received, elapsed),
        }
    }

    fn summary(&self, total: &Total) -> String {
        let (received, size) = (table::size(total.received), table::size(total.size));
        let rate = table::size(total.rate);
        let mut line = format!(
            "{} of {} layers, {received} of {size}, {rate}/s",
            total.done,
            self.layers.len()
        );
        if let Some(left) = left(total.size, total.received, total.rate) {
            // Writing to a string cannot fail.
            let _ = write!(line, ", {} left", span(left));
        }
        line
    }

    /// What draws all lines over those that were drawn before.
    fn drawing(&mut self, total: &Total, (rows, columns): (u16, u16)) -> String {
        let columns = usize::from(columns).max(NARROW);
        // One for all, and one where the cursor waits.
        let room = usize::from(rows).saturating_sub(2);
        let mut lines: Vec<String> = self.shown(room).map(Layer::line).collect();
        lines.push(self.summary(total));
        let mut text = String::new();
        if self.drawn > 0 {
            // Writing to a string cannot fail.
            let _ = write!(text, "\x1b[{}A", self.drawn);
        }
        for line in &lines {
            // A line that wraps would count as two.
            let cut: String = line.chars().take(columns - 1).collect();
            let _ = write!(text, "\r\x1b[K{cut}\n");
        }
        text.push_str("\x1b[J");
        self.drawn = lines.len();
        text
    }

    /// All layers if there is room; else those that are being fetched, then those that wait, then those that are done.
    fn shown(&self, room: usize) -> impl Iterator<Item = &Layer> {
        let mut chosen: Vec<(usize, &Layer)> = self.layers.iter().enumerate().collect();
        if chosen.len() > room {
            chosen.sort_by_key(|(place, layer)| match layer.phase {
                Phase::Fetching => (0, *place),
                Phase::Planned => (1, *place),
                // The last that came is more news than the first.
                Phase::Done => (2, usize::MAX - place),
                Phase::Present => (3, *place),
            });
            chosen.truncate(room);
            chosen.sort_by_key(|(place, _)| *place);
        }
        chosen.into_iter().map(|(_, layer)| layer)
    }
}

impl Layer {
    fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Done | Phase::Present)
    }

    fn line(&self) -> String {
        let id = &self.id.hex()[..12];
        let size = table::size(self.size);
        match self.phase {
            Phase::Planned => format!("{id}: waiting"),
            Phase::Present => format!("{id}: here already"),
            Phase::Done => format!("{id}: done, {size}"),
            Phase::Fetching => {
                let elapsed = self.since.map_or(Duration::ZERO, |since| since.elapsed());
                let rate = rate(self.received, elapsed);
                let left = left(self.size, self.received, rate);
                let left = left.map_or(String::new(), |left| format!(", {} left", span(left)));
                let received = table::size(self.received);
                format!("{id}: {received} of {size}, {}/s{left}", table::size(rate))
            }
        }
    }
}

fn rate(bytes: u64, elapsed: Duration) -> u64 {
    // Of the first moment nothing can be said.
    match elapsed.as_millis() {
        0..100 => 0,
        passed => u64::try_from(u128::from(bytes) * 1000 / passed).unwrap_or(u64::MAX),
    }
}

/// Seconds until all is here.
fn left(size: u64, received: u64, rate: u64) -> Option<u64> {
    size.saturating_sub(received).checked_div(rate)
}

/// `1h02m`, `3m05s`, `12s`.
fn span(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds:02}s"),
        (hours, minutes, _) => format!("{hours}h{minutes:02}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn many(layers: u32) -> Progress {
        let progress = Progress {
            way: Way::Terminal,
            state: Mutex::new(State::begun(Instant::now())),
        };
        for number in 0..layers {
            let layer = Digest::of(&number.to_le_bytes());
            progress.event(&Event::Planned { layer, size: 1000 });
        }
        progress
    }

    #[test]
    fn no_more_lines_than_the_terminal_has_and_none_wraps() {
        let progress = many(500);
        for number in 100..103_u32 {
            let layer = Digest::of(&number.to_le_bytes());
            progress.event(&Event::Started { layer, size: 1000 });
            progress.event(&Event::Received { layer, bytes: 10 });
        }
        let mut state = progress.state.lock().unwrap();
        let total = state.total(Duration::from_secs(1));
        for (rows, columns) in [(24, 80), (10, 30), (3, 10), (1, 80), (500, 200)] {
            let before = state.drawn;
            let text = state.drawing(&total, (rows, columns));
            if before > 0 {
                assert!(text.starts_with(&format!("\x1b[{before}A")), "{text:?}");
            }
            let lines: Vec<&str> = text.lines().collect();
            assert!(
                text.matches('\n').count() < usize::from(rows).max(2),
                "{rows}"
            );
            assert_eq!(state.drawn, text.matches('\n').count());
            let width = usize::from(columns).max(NARROW);
            for line in &lines {
                let shown = line.rsplit('K').next().unwrap();
                assert!(shown.chars().count() < width, "{line:?}");
            }
            if rows == 10 {
                // What is being fetched is what is looked for.
                assert_eq!(text.matches(" of 1kB").count(), 3, "{text}");
            }
        }
    }

    #[test]
    fn one_line_says_it_for_all_layers() {
        let progress = many(4);
        let layer = Digest::of(&0_u32.to_le_bytes());
        progress.event(&Event::Received { layer, bytes: 900 });
        progress.event(&Event::Unpacked { layer });
        let layer = Digest::of(b"here");
        progress.event(&Event::Present { layer });
        let state = progress.lock();
        assert_eq!(
            state.summary(&state.total(Duration::from_secs(3))),
            "2 of 5 layers, 900B of 4kB, 300B/s, 10s left"
        );
    }

    #[test]
    fn spans_and_rates() {
        assert_eq!([5, 65, 3725].map(span), ["5s", "1m05s", "1h02m"]);
        assert_eq!(rate(1000, Duration::from_millis(500)), 2000);
        assert_eq!(rate(1000, Duration::ZERO), 0);
        assert_eq!(left(1000, 400, 100), Some(6));
        assert_eq!(left(1000, 400, 0), None);
        assert_eq!(left(100, 400, 10), Some(0));
    }
}
