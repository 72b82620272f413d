//! The command line: upstream's options, and the checked request that comes out of them.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::error::{ContextKind, ErrorKind};
use clap::{Parser, ValueEnum};

use dray::archive::Transport;
use dray::artifact::compression::Compression;
use dray::artifact::header::{Header, Software};
use dray::artifact::writer::{MAX_MTIME, Options, Script};
use dray::host::Host;
use dray::oci::Platform;

use crate::assume::Assumed;
use crate::files::{self, Local};
use crate::manual::{HELP, USAGE};
use crate::passthrough::{self, Extra};
use crate::refusal::{EXIT_CODES, Refusal};
use crate::signer::Signer;
use crate::size::Size;

/// The options and images, as clap knows them.
#[derive(Debug, Parser)]
#[command(
    name = "docker-artifact-gen",
    version,
    override_usage = USAGE,
    override_help = format!("{HELP}\n{EXIT_CODES}\n"),
    args_override_self = true
)]
pub struct Words {
    #[arg(short = 'n', long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    artifact_name: Option<String>,
    #[arg(short = 't', long, value_name = "TYPE", value_parser = NonEmptyStringValueParser::new())]
    device_type: Vec<String>,
    #[arg(short = 'c', long, value_name = "TYPE", value_parser = NonEmptyStringValueParser::new())]
    compatible_types: Vec<String>,
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    software_name: Option<String>,
    #[arg(long, value_name = "VERSION", value_parser = NonEmptyStringValueParser::new())]
    software_version: Option<String>,
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    software_filesystem: Option<String>,
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    run_args: Option<String>,
    // The underscore is how upstream's help spells it.
    #[arg(short = 'o', long, alias = "output_path", value_name = "FILE")]
    output_path: Option<PathBuf>,
    #[arg(short = 'k', long, value_name = "FILE")]
    key: Option<PathBuf>,
    #[arg(long, value_name = "COMMAND", value_parser = NonEmptyStringValueParser::new())]
    sign_command: Option<String>,
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Vec<Platform>,
    #[arg(long)]
    embed: bool,
    #[arg(long, value_name = "IMAGE@DIGEST|FILE")]
    assume: Vec<String>,
    #[arg(long)]
    dry_run: bool,
    #[arg(long)]
    no_progress: bool,
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    format: Format,
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,
    #[arg(last = true)]
    passthrough: Vec<String>,
}

/// What is printed at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people and for scripts that know upstream's output.
    Text,
    /// For scripts.
    Json,
}

/// An image as it was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The caller's word.
    pub word: String,
    /// What it means.
    pub from: Transport,
}

/// What the caller wants; image names are names, everything that can be checked in words is.
#[derive(Debug)]
pub struct Request {
    /// Name, devices and software version.
    pub header: Header,
    /// As given, tags included; at least one. From registries only, unless they are embedded.
    pub images: Vec<Asked>,
    /// Whether they travel inside the artifact.
    pub is_embedded: bool,
    /// What devices have already.
    pub assumed: Vec<Assumed>,
    /// For all containers.
    pub run_args: String,
    /// Where the artifact goes.
    pub output: PathBuf,
    /// What is printed about it.
    pub format: Format,
    /// Packing and time stamp.
    pub options: Options,
    /// State scripts.
    pub scripts: Vec<Script>,
    /// Payload files.
    pub files: Vec<Local>,
    /// Who signs, if anybody.
    pub signer: Option<Signer>,
    /// Size from which on a warning is due.
    pub warn_size: Option<Size>,
    /// Size from which on there is no artifact.
    pub max_size: Option<Size>,
    /// What every image must be there for.
    pub platforms: Vec<Platform>,
    /// Whether the file is not to be written.
    pub is_dry_run: bool,
    /// Whether to say what is being done.
    pub shows_progress: bool,
    /// What the caller should know about it.
    pub warnings: Vec<String>,
}

/// Why there is no request.
#[derive(Debug)]
pub enum Stop {
    /// Help or version was asked for; this is it.
    Asked(String),
    /// The words are wrong.
    Refused(Refusal),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Stop {
        Stop::Refused(refusal)
    }
}

impl Request {
    /// Parses and checks the command line.
    pub fn from_words(
        words: impl IntoIterator<Item = OsString>,
        host: &Host,
    ) -> Result<Request, Stop> {
        let words = Words::try_parse_from(words).map_err(explain)?;
        refuse_content_trust(host)?;
        let extra = passthrough::parse(&words.passthrough)?;
        Ok(Request::assemble(words, extra, host)?)
    }

    fn assemble(words: Words, extra: Extra, host: &Host) -> Result<Request, Refusal> {
        let header = header(&words, &extra)?;
        // Refused before any file is read.
        let images = images(&words.images)?;
        let assumed: Result<_, _> = words.assume.iter().map(|word| word.parse()).collect();
        let assumed = assumed?;
        check_embedding(&words, &images, &extra)?;
        // Layers are packed already.
        let usual = match words.embed {
            true => Compression::None,
            false => Compression::default(),
        };
        let compression = extra.compression.unwrap_or(usual);
        let mtime = source_date_epoch(host)?;
        let key = extra.key.or(words.key);
        Ok(Request {
            header,
            images,
            is_embedded: words.embed,
            assumed,
            run_args: words.run_args.unwrap_or_default(),
            output: extra
                .output
                .or(words.output_path)
                .unwrap_or_else(|| PathBuf::from("docker-artifact.mender")),
            format: words.format,
            options: Options { compression, mtime },
            scripts: files::read_scripts(&extra.scripts)?,
            files: files::look_at(&extra.files)?,
            signer: Signer::of(key.as_deref(), words.sign_command.as_deref())?,
            warn_size: extra.warn_size,
            max_size: extra.max_size,
            platforms: words.platform,
            is_dry_run: words.dry_run,
            shows_progress: !words.no_progress && !extra.is_silent,
            warnings: warnings(compression),
        })
    }
}

/// Name, devices and software version, from before and after `--`; the later one counts where there can be only one.
fn header(words: &Words, extra: &Extra) -> Result<Header, Refusal> {
    let mut header = extra.header.clone();
    let types = [&words.device_type[..], &header.device_types].concat();
    let compatible = [&words.compatible_types[..], &extra.compatible_types].concat();
    if !types.is_empty() && !compatible.is_empty() {
        return Err(Refusal::usage(
            "--device-type and --compatible-types are mutually exclusive: they are two names of one option",
        ));
    }
    header.device_types = [types, compatible].concat();
    // In upstream's order, and with its words.
    if header.artifact_name.is_empty() {
        header.artifact_name = words.artifact_name.clone().unwrap_or_default();
    }
    if header.artifact_name.is_empty() {
        return Err(aborting("Artifact name not specified. Aborting."));
    }
    if header.device_types.is_empty() {
        return Err(aborting("Device type not specified. Aborting."));
    }
    if words.images.is_empty() {
        return Err(aborting(
            "At least one Docker image must be specified. Aborting.",
        ));
    }
    let given = extra.software.clone();
    let mut software = Software {
        filesystem: given.filesystem.or(words.software_filesystem.clone()),
        name: given.name.or(words.software_name.clone()),
        version: given.version.or(words.software_version.clone()),
        ..given
    };
    software.overrides = extra.software_overrides(&software.key());
    header.provide_software(&software, extra.default_clears);
    header.check().map_err(Refusal::usage)?;
    Ok(header)
}

fn warnings(compression: Compression) -> Vec<String> {
    let zstd = matches!(compression, Compression::Zstd(_)).then_some(
        "--compression: zstd is read by Mender clients and mender-artifact from 4.0 on only; 3.x refuses the artifact",
    );
    zstd.into_iter().map(str::to_owned).collect()
}

/// A refusal in upstream's words, with the way to learn more.
fn aborting(problem: &str) -> Refusal {
    Refusal::Usage(format!(
        "{problem}\nUsage: {USAGE}\nTry 'docker-artifact-gen --help' for more."
    ))
}

fn images(words: &[String]) -> Result<Vec<Asked>, Refusal> {
    let asked = |word: &String| {
        let from = word.parse().map_err(Refusal::usage)?;
        let word = word.clone();
        Ok(Asked { word, from })
    };
    words.iter().map(asked).collect()
}

/// What makes sense only where images travel inside the artifact, and what does not make sense there.
fn check_embedding(words: &Words, images: &[Asked], extra: &Extra) -> Result<(), Refusal> {
    if words.embed {
        return match extra.files.is_empty() {
            true => Ok(()),
            false => Err(Refusal::usage(
                "--file after '--' is not possible with --embed: the payload is an image layout, in which a device takes \
                 nothing else",
            )),
        };
    }
    if !words.assume.is_empty() {
        return Err(Refusal::usage(
            "--assume leaves out layers that would travel inside the artifact; it needs --embed",
        ));
    }
    let local = |asked: &&Asked| !matches!(asked.from, Transport::Registry(_));
    match images.iter().find(local) {
        None => Ok(()),
        Some(Asked { word, .. }) => Err(Refusal::usage(format!(
            "{word} is on this machine, where no device can fetch it; with --embed it travels inside the artifact"
        ))),
    }
}

/// Whoever sets it relies on docker checking a signature; going on without one in silence would take that away.
fn refuse_content_trust(host: &Host) -> Result<(), Refusal> {
    match host.var("DOCKER_CONTENT_TRUST") {
        None | Some("0" | "f" | "F" | "false" | "False" | "FALSE") => Ok(()),
        Some(_) => Err(Refusal::usage(
            "DOCKER_CONTENT_TRUST is set, but Docker Content Trust is not supported (its servers are being shut down); \
             check signatures with cosign or notation first, then unset it",
        )),
    }
}

/// The convention of reproducible builds; a value that is not a time must not be taken for "none given".
fn source_date_epoch(host: &Host) -> Result<u64, Refusal> {
    let Some(text) = host.var("SOURCE_DATE_EPOCH") else {
        return Ok(0);
    };
    match text.parse() {
        Ok(seconds) if seconds <= MAX_MTIME => Ok(seconds),
        _ => Err(Refusal::usage(format!(
            "SOURCE_DATE_EPOCH is {text:?}: expected seconds since 1970, at most {MAX_MTIME}"
        ))),
    }
}

/// One of clap's errors in the words of this program.
pub fn explain(error: clap::Error) -> Stop {
    let text = error.to_string();
    if !error.use_stderr() {
        return Stop::Asked(format!("{}\n", text.trim_end()));
    }
    let refused = match (error.kind(), error.get(ContextKind::InvalidArg)) {
        (ErrorKind::UnknownArgument, Some(option)) => {
            aborting(&format!("Error: unsupported option {option}"))
        }
        // clap's first paragraph is the problem; usage and hints follow.
        _ => {
            let problem: Vec<&str> = text
                .lines()
                .take_while(|line| !line.is_empty())
                .map(str::trim)
                .collect();
            Refusal::usage(problem.join(" ").trim_start_matches("error: "))
        }
    };
    Stop::Refused(refused)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_help_names_every_option() {
        Words::command().debug_assert();
        for option in Words::command()
            .get_arguments()
            .filter_map(|arg| arg.get_long().map(str::to_owned))
        {
            assert!(HELP.contains(&format!("--{option} ")), "--{option}");
        }
        assert!(HELP.lines().all(|line| line.len() <= 120));
    }
}
