//! What is done with an artifact that exists, of whatever module: `sign`, `validate`, `read`, with mender-artifact's words.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand};
use serde_json::json;

use dray::artifact::reader::{self, Trust, Verdict};
use dray::artifact::writer;
use dray::host::Host;
use dray::trust::PublicKey;

use crate::args::{Format, Stop, explain};
use crate::output::Target;
use crate::refusal::{EXIT_CODES, Refusal};
use crate::show::{self, Contents};
use crate::signer::{Signer, read_public};

/// First words that mean one of these; an image of such a name can be given as `docker.io/library/NAME`.
pub const NAMES: [&str; 3] = ["sign", "validate", "read"];

const MORE: &str = "Try 'docker-artifact-gen sign|validate|read --help' for more.";

pub const HELP: &str = "\
Works on Mender Artifacts of any module, rootfs images included.

Usage: docker-artifact-gen sign [-k FILE | --sign-command COMMAND] [-o FILE] [--force] ARTIFACT
       docker-artifact-gen validate [-k PUBLIC-KEY]... ARTIFACT
       docker-artifact-gen read [-k PUBLIC-KEY]... [--format text|json] ARTIFACT

sign       checks the artifact, then adds a signature, in place unless -o says otherwise
validate   reads all of it and compares every checksum; with keys, one of them must have signed it, without, a signed
           artifact is refused since nobody looked at its signature
read       prints what it says, and which images travel inside

Options:
  -k, --key FILE               sign: private key in PEM form, not encrypted; otherwise a public key, as
                               'openssl pkey -in PRIVATE -pubout' makes it, more than one if there may be several
      --sign-command COMMAND   Command line that reads the bytes to sign and prints the signature
  -o, --output-path FILE       Where the signed artifact goes; - is standard output
  -f, --force                  Replace the signature that is there
      --format text|json       Default: text, as 'mender-artifact read' prints it
      --no-progress            Has no effect: nothing is shown on the way
  -h, --help                   Show help and exit
";

/// The words of this kind, as clap knows them.
#[derive(Debug, Parser)]
#[command(name = "docker-artifact-gen", override_help = format!("{HELP}\n{EXIT_CODES}\n"))]
pub struct Words {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true)]
enum What {
    #[command(override_help = format!("{HELP}\n{EXIT_CODES}\n"))]
    Sign(Sign),
    #[command(override_help = format!("{HELP}\n{EXIT_CODES}\n"))]
    Validate(Check),
    #[command(override_help = format!("{HELP}\n{EXIT_CODES}\n"))]
    Read(Look),
}

#[derive(Debug, Args)]
struct Sign {
    #[arg(short = 'k', long, value_name = "FILE")]
    key: Option<PathBuf>,
    #[arg(long, value_name = "COMMAND", value_parser = NonEmptyStringValueParser::new())]
    sign_command: Option<String>,
    #[arg(short = 'o', long, value_name = "FILE")]
    output_path: Option<PathBuf>,
    #[arg(short = 'f', long)]
    force: bool,
    #[arg(long)]
    no_progress: bool,
    #[arg(value_name = "ARTIFACT")]
    artifact: PathBuf,
}

#[derive(Debug, Args)]
struct Check {
    #[arg(short = 'k', long, value_name = "FILE")]
    key: Vec<PathBuf>,
    #[arg(long)]
    no_progress: bool,
    #[arg(value_name = "ARTIFACT")]
    artifact: PathBuf,
}

#[derive(Debug, Args)]
struct Look {
    #[command(flatten)]
    check: Check,
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    format: Format,
}

/// Does what the words ask for; returns what to print.
pub fn run(words: impl IntoIterator<Item = OsString>, host: &Host) -> Result<String, Stop> {
    let words = Words::try_parse_from(words).map_err(|error| match explain(error) {
        Stop::Refused(Refusal::Usage(problem)) => {
            let problem = problem.lines().next().unwrap_or_default();
            Refusal::Usage(format!("{problem}\n{MORE}")).into()
        }
        other => other,
    })?;
    Ok(match words.what {
        What::Sign(words) => sign(&words, host).map(|()| String::new())?,
        What::Validate(words) => validate(&words)?,
        What::Read(words) => look(&words)?,
    })
}

fn validate(words: &Check) -> Result<String, Refusal> {
    let keys = keys(&words.key)?;
    let trust = match keys.is_empty() {
        true => Trust::Ignored,
        false => Trust::Required(&keys),
    };
    let contents = contents(&words.artifact, trust)?;
    let shown = words.artifact.display();
    if contents.head.signature == Verdict::Unchecked {
        return Err(Refusal::Invalid(format!(
            "{shown} is signed, but no key says by whom it should be; give it with -k"
        )));
    }
    Ok(format!("Artifact file '{shown}' validated successfully\n"))
}

fn look(words: &Look) -> Result<String, Refusal> {
    let keys = keys(&words.check.key)?;
    let trust = match keys.is_empty() {
        true => Trust::Ignored,
        false => Trust::Told(&keys),
    };
    let contents = contents(&words.check.artifact, trust)?;
    Ok(match words.format {
        Format::Text => show::text(&contents),
        Format::Json => {
            let mut summary = show::json(&contents);
            summary["artifact"] = json!(words.check.artifact.display().to_string());
            format!("{summary}\n")
        }
    })
}

fn keys(paths: &[PathBuf]) -> Result<Vec<PublicKey>, Refusal> {
    paths.iter().map(|path| read_public(path)).collect()
}

fn contents(path: &Path, trust: Trust<'_>) -> Result<Contents, Refusal> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    Contents::read(BufReader::new(file), trust).map_err(|refused| invalid(path, &refused))
}

/// Adds a signature, or puts another one in its place. All other bytes stay as they are.
fn sign(words: &Sign, host: &Host) -> Result<(), Refusal> {
    let path = &words.artifact;
    let signer = Signer::of(words.key.as_deref(), words.sign_command.as_deref())?;
    let signer = signer.ok_or_else(|| {
        Refusal::usage("nobody to sign: give a private key with -k, or --sign-command")
    })?;
    let target = Target::check(words.output_path.as_deref().unwrap_or(path), host)?;
    let mut file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let head = Contents::read(BufReader::new(&file), Trust::Ignored);
    let head = head.map_err(|refused| invalid(path, &refused))?.head;
    if head.signature != Verdict::Unsigned && !words.force {
        return Err(Refusal::usage(
            "Artifact already signed, refusing to re-sign. Use force option to override",
        ));
    }
    let draft = target.draft(|out| {
        let failed = |error: io::Error| unreadable(path, &error);
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        let place = reader::signature_place(BufReader::new(&file));
        let place = place.map_err(|refused| invalid(path, &refused))?;
        let signature = signer.sign(&place.manifest).map_err(Refusal::usage)?;
        let member = writer::signature_member(&signature, place.mtime).map_err(failed)?;
        let mut copy = || {
            file.seek(SeekFrom::Start(0))?;
            io::copy(&mut (&file).take(place.begin), out)?;
            io::copy(&mut member.as_slice(), out)?;
            file.seek(SeekFrom::Start(place.end))?;
            io::copy(&mut file, out)
        };
        copy().map(drop).map_err(|error| target.failed(&error))
    })?;
    draft.publish()
}

/// A refusal of an artifact that cannot be read.
pub fn unreadable(path: &Path, error: &io::Error) -> Refusal {
    Refusal::Output(format!("cannot read artifact {}: {error}", path.display()))
}

/// A refusal of an artifact that is damaged.
pub fn invalid(path: &Path, problem: &dyn std::fmt::Display) -> Refusal {
    Refusal::Invalid(format!("{}: {problem}", path.display()))
}
