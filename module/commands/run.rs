//! `dray run` and `dray create`: docker run's words.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use dray::engine::{CreateRequest, Engine, Remove};
use dray::images::Image;
use dray::oci::{Platform, Reference};
use dray::runargs::{self, Pull, RunArgs, RunArgsError};
use dray::sys::{fs, program};

use super::{Context, examples, foreground, pull};
use crate::exit::{self, Code};

#[derive(Debug, Args)]
pub struct Words {
    /// [OPTIONS] IMAGE [COMMAND…]
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<OsString>,
}

impl Words {
    /// The parsed words; `None` if they asked for help, which has been given.
    pub fn parse(&self, context: &Context<'_>, word: &str) -> anyhow::Result<Option<RunArgs>> {
        let foreign: &[&str] = if word == "create" { &ONLY_RUN } else { &[] };
        let text = |word: &OsString| {
            let text = word.to_str().map(str::to_owned);
            text.with_context(|| format!("{word:?} is not UTF-8"))
                .context(Code(exit::ENGINE))
        };
        let words: Vec<String> = self.words.iter().map(text).collect::<Result<_, _>>()?;
        let args = match RunArgs::parse_run(&words, context.host) {
            Err(RunArgsError::Help) => {
                program::end_with_the_reader();
                let does = does(word);
                print!(
                    "Usage: dray {word} [OPTIONS] IMAGE [COMMAND] [ARG...]\n\n{does}\n\n{}\n{}\n",
                    runargs::help(foreign),
                    examples::of_run(word)
                );
                return Ok(None);
            }
            // An image is an argument, and no flag.
            Err(error @ RunArgsError::NoImage) => return Err(error).context(Code(1)),
            parsed => parsed.context(Code(exit::ENGINE))?,
        };
        match foreign.iter().find(|option| args.given(option)) {
            Some(option) => {
                Err(anyhow::anyhow!("unknown flag: --{option}")).context(Code(exit::ENGINE))
            }
            None => Ok(Some(args)),
        }
    }
}

/// Options that docker's `run` has and its `create` has not.
pub const ONLY_RUN: [&str; 3] = ["detach", "detach-keys", "sig-proxy"];

/// What `word` does, in one line.
pub fn does(word: &str) -> &'static str {
    match word {
        "create" => "Make a container without starting it",
        "explain" => "Print, as JSON, what docker run's words mean; touches nothing",
        _ => "Make a container and start it",
    }
}

/// `dray run`
pub fn run(context: &Context<'_>, words: &Words) -> anyhow::Result<ExitCode> {
    let Some(args) = words.parse(context, "run")? else {
        return Ok(ExitCode::SUCCESS);
    };
    if !args.detach {
        let config = &args.body.config;
        foreground::check_terminal(config.attach_stdin, config.tty)?;
    }
    let engine = context.engine()?;
    let id = make(&engine, &args)?;
    let container = engine.find(&id)?;
    if !args.detach {
        return foreground::run_created(&engine, &container, &args);
    }
    engine
        .check_start(&id)
        .inspect_err(|_| engine.remove_unstarted(&container.record))?;
    engine.start(&id)?;
    println!("{id}");
    Ok(ExitCode::SUCCESS)
}

/// `dray create`
pub fn create(context: &Context<'_>, words: &Words) -> anyhow::Result<ExitCode> {
    let Some(args) = words.parse(context, "create")? else {
        return Ok(ExitCode::SUCCESS);
    };
    let engine = context.engine()?;
    let id = make(&engine, &args)?;
    if let Err(error) = engine.fill_volumes(&id) {
        let all = Remove {
            force: false,
            volumes: true,
        };
        // Why it cannot be made is what has to be said.
        let _ = engine.remove(&id, all);
        return Err(error.into());
    }
    println!("{id}");
    Ok(ExitCode::SUCCESS)
}

/// Makes the container that `args` describe, bringing its image if need be.
fn make(engine: &Engine, args: &RunArgs) -> anyhow::Result<String> {
    let discarded = engine.discarded(&args.body)?;
    for warning in args.warnings.iter().chain(&discarded) {
        eprintln!("dray: warning: {warning}");
    }
    let cidfile = args.cidfile.as_deref().map(CidFile::claim).transpose()?;
    let hold = engine.images().hold()?;
    let image = image(engine, args)?;
    let request = CreateRequest {
        body: &args.body,
        image: &image,
        name: args.name.as_deref(),
        owner: None,
        claim_name: true,
    };
    let id = engine.create(&request)?;
    drop(hold);
    if let Some(file) = cidfile
        && let Err(error) = file.write(&id)
    {
        // Whoever cannot learn its id cannot look after it.
        let all = Remove {
            force: false,
            volumes: true,
        };
        engine.remove(&id, all)?;
        return Err(error);
    }
    Ok(id)
}

/// The file of `--cidfile`, which is ours from the start, so that of two who name the same file one is refused. It goes with
/// this value unless the id is in it.
struct CidFile<'a>(&'a Path);

impl CidFile<'_> {
    fn claim(path: &str) -> anyhow::Result<CidFile<'_>> {
        let made = OpenOptions::new().write(true).create_new(true).open(path);
        match made {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => anyhow::bail!(
                "container id file {path} exists: remove it, or make sure that the other container is not running"
            ),
            made => made.with_context(|| format!("failed to write {path}")),
        }?;
        Ok(CidFile(Path::new(path)))
    }

    fn write(self, id: &str) -> anyhow::Result<()> {
        fs::replace(self.0, 0o644, id.as_bytes())
            .with_context(|| format!("failed to write {}", self.0.display()))?;
        std::mem::forget(self);
        Ok(())
    }
}

impl Drop for CidFile<'_> {
    fn drop(&mut self) {
        // It is empty: whoever reads it learns nothing either way.
        let _ = std::fs::remove_file(self.0);
    }
}

fn image(engine: &Engine, args: &RunArgs) -> anyhow::Result<Image> {
    let words = args.image.as_deref().unwrap_or_default();
    let wanted = args.platform.as_deref().map(str::parse::<Platform>);
    let wanted = wanted.transpose()?;
    let serves = |image: &Image| {
        let platform = &image.config.platform;
        let wanted = wanted.as_ref();
        wanted.is_none_or(|wanted| wanted.rank(platform).is_some())
    };
    if args.pull != Pull::Always {
        match engine.images().find(words) {
            Ok(image) if serves(&image) => return Ok(image),
            Ok(image) if args.pull == Pull::Never => {
                let offered = image.config.platform;
                anyhow::bail!(
                    "image {words} was found but is for {offered}, not for the platform of --platform"
                );
            }
            Ok(_) => {}
            Err(error) if !error.is_absent() || args.pull == Pull::Never => {
                return Err(error.into());
            }
            Err(_) => {}
        }
    }
    let reference: Reference = words.parse()?;
    let platform = wanted.unwrap_or_else(Platform::host);
    pull::pull(engine, &reference, &platform, args.quiet)
}
