//! `dray install`, `commit`, `rollback`, `show-artifact` and `show-provides`: artifacts without a Mender client, under the
//! words of Mender's own.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;
use dray::registry::{Client, is_address};
use dray::standalone::{self, How};
use dray::sys::process::{PollFd, poll};
use dray::sys::terminate;
use serde_json::{Map, Value};

use super::foreground::standard_input;
use super::{Context, Format, table};
use crate::update_module::say;

/// This very program, which is its own update module.
const MODULE: &str = "/proc/self/exe";

/// Pauses between two words about how far it is, on a terminal and elsewhere.
const DRAWN: Duration = Duration::from_millis(200);
const SAID: Duration = Duration::from_secs(10);

/// How long a pipe may be silent.
const SILENCE: Duration = Duration::from_secs(5 * 60);

#[derive(Debug, Args)]
pub struct Install {
    /// A file, an address http://… or https://…, or - for standard input
    #[arg(value_name = "FILE|URL|-")]
    artifact: PathBuf,
    /// Do not tell how much has come
    #[arg(long)]
    no_progress: bool,
    /// Go on where a Mender client's deployment is on trial; a rollback leads to what was committed before that
    #[arg(long)]
    replace_trial: bool,
}

/// Neither has anything to say.
#[derive(Debug, Args)]
pub struct Nothing {}

#[derive(Debug, Args)]
pub struct Provides {
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

fn site<'a>(context: &Context<'a>) -> standalone::Context<'a> {
    standalone::Context {
        host: context.host,
        settings: context.settings,
        module: Path::new(MODULE),
        say: &say,
    }
}

/// `dray install`
pub fn install(context: &Context<'_>, words: &Install) -> anyhow::Result<ExitCode> {
    let source = open(context, &words.artifact)?;
    let source = Told::new(source, !words.no_progress);
    let how = How {
        replace_trial: words.replace_trial,
    };
    let artifact = standalone::install(&site(context), source, how)?;
    println!(
        "Installed artifact {artifact}, but not committed.\nUse 'dray commit' to keep it, or 'dray rollback' to go back."
    );
    Ok(ExitCode::SUCCESS)
}

/// `dray commit`
pub fn commit(context: &Context<'_>) -> anyhow::Result<ExitCode> {
    let artifact = standalone::commit(&site(context))?;
    println!("Committed artifact {artifact}.");
    Ok(ExitCode::SUCCESS)
}

/// `dray rollback`
pub fn rollback(context: &Context<'_>) -> anyhow::Result<ExitCode> {
    let artifact = standalone::rollback(&site(context))?;
    println!("Rolled back artifact {artifact}.");
    Ok(ExitCode::SUCCESS)
}

/// `dray show-artifact`
pub fn show_artifact(context: &Context<'_>) -> anyhow::Result<ExitCode> {
    println!("{}", standalone::provides(context.host)?.name());
    Ok(ExitCode::SUCCESS)
}

/// `dray show-provides`
pub fn show_provides(context: &Context<'_>, words: &Provides) -> anyhow::Result<ExitCode> {
    let provides = standalone::provides(context.host)?;
    match words.format {
        Format::Table => {
            for (key, value) in provides.iter() {
                println!("{key}={value}");
            }
        }
        Format::Json => {
            let pairs = provides.iter();
            let object: Map<String, Value> = pairs
                .map(|(key, value)| (key.to_owned(), value.into()))
                .collect();
            println!("{}", Value::Object(object));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Where an artifact comes from, and its size if that is known.
struct Source {
    stream: Box<dyn Read>,
    size: Option<u64>,
}

fn open(context: &Context<'_>, word: &Path) -> anyhow::Result<Source> {
    if word == Path::new("-") {
        if io::stdin().is_terminal() {
            bail!("the artifact is to come from standard input, but that is a terminal");
        }
        let stream = Box::new(Piped(standard_input()?));
        return Ok(Source { stream, size: None });
    }
    let address = word.to_str().filter(|word| is_address(word));
    if let Some(address) = address {
        let file = Client::new(context.host, context.settings).file(address)?;
        let size = Some(file.size());
        let stream = Box::new(file);
        return Ok(Source { stream, size });
    }
    if let Some((scheme, _)) = word.to_str().and_then(|word| word.split_once("://")) {
        bail!("artifacts are fetched by http:// and https://, not by {scheme}://");
    }
    let opened = File::open(word).and_then(|file| Ok((file.metadata()?, file)));
    let (about, file) = opened.with_context(|| format!("failed to open {}", word.display()))?;
    if about.is_dir() {
        bail!("{} is a folder, not an artifact", word.display());
    }
    let size = about.is_file().then_some(about.len());
    let stream: Box<dyn Read> = match size {
        Some(_) => Box::new(file),
        None => Box::new(Piped(file)),
    };
    Ok(Source { stream, size })
}

/// A pipe, whose other end may fall silent: then somebody else's deployment would wait with this one.
struct Piped(File);

impl Read for Piped {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let begun = Instant::now();
        loop {
            if poll(&mut [PollFd::read(self.0.as_fd())], Some(DRAWN))? > 0 {
                return self.0.read(buffer);
            }
            if terminate::requested() {
                return Err(io::Error::from(io::ErrorKind::Interrupted));
            }
            if begun.elapsed() > SILENCE {
                let seconds = SILENCE.as_secs();
                return Err(io::Error::other(format!("nothing came for {seconds} s")));
            }
        }
    }
}

/// A source that tells how much of it came, and ends when somebody asks for the end.
struct Told {
    source: Source,
    way: Way,
    came: u64,
    begun: Instant,
    last: Instant,
    is_drawn: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Nothing,
    Terminal,
    Lines,
}

impl Told {
    fn new(source: Source, tell: bool) -> Told {
        let way = match tell {
            false => Way::Nothing,
            true if io::stderr().is_terminal() => Way::Terminal,
            true => Way::Lines,
        };
        let now = Instant::now();
        Told {
            source,
            way,
            came: 0,
            begun: now,
            last: now,
            is_drawn: false,
        }
    }

    fn tell(&mut self) {
        let pause = match self.way {
            Way::Nothing => return,
            Way::Terminal => DRAWN,
            Way::Lines => SAID,
        };
        if self.last.elapsed() < pause {
            return;
        }
        self.last = Instant::now();
        let line = self.line();
        match self.way {
            Way::Terminal => {
                self.is_drawn = true;
                eprint!("\r{line}\x1b[K");
            }
            _ => eprintln!("{line}"),
        }
    }

    /// "artifact: 12.5MB of 80MB, 1.2MB/s"
    fn line(&self) -> String {
        let of = match self.source.size {
            Some(size) => format!(" of {}", table::size(size)),
            None => String::new(),
        };
        let millis = self.begun.elapsed().as_millis().max(1);
        let rate = u128::from(self.came) * 1000 / millis;
        let rate = table::size(u64::try_from(rate).unwrap_or(u64::MAX));
        format!("artifact: {}{of}, {rate}/s", table::size(self.came))
    }
}

impl Read for Told {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if terminate::requested() {
                return Err(io::Error::other("a signal asked for the end"));
            }
            match self.source.stream.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => {
                    let read = read?;
                    self.came += read as u64;
                    self.tell();
                    return Ok(read);
                }
            }
        }
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        if self.is_drawn {
            eprint!("\r\x1b[K");
        }
    }
}
