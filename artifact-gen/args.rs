//! The command line: upstream's options, and the checked request that comes out of them.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::error::{ContextKind, ErrorKind};
use clap::{Parser, ValueEnum};

use dray::artifact::compression::Compression;
use dray::artifact::header::{Header, Software};
use dray::artifact::writer::{MAX_MTIME, Options, Script};
use dray::host::Host;
use dray::oci::{Platform, Reference};

use crate::files::{self, Local};
use crate::passthrough::{self, Extra};
use crate::refusal::{EXIT_CODES, Refusal};
use crate::signer::Signer;
use crate::size::Size;

const USAGE: &str =
    "docker-artifact-gen [options] IMAGE [IMAGES...] [-- [options-for-mender-artifact] ]";

/// Written by hand: upstream's order and words, one screen, and what the option list alone does not teach.
const HELP: &str = "\
Makes a Mender Artifact for the docker Update Module.

Each image is pinned: its registry is asked once which digest the tag has now, nothing is pulled, and devices run
exactly that digest. Run args are checked by the parser that the device uses. The same digests and options give the
same bytes.

Usage: docker-artifact-gen [options] IMAGE [IMAGES...] [-- [options-for-mender-artifact] ]
       docker-artifact-gen sign|validate|read --help      what can be done with an Artifact that exists

Options:
  -n, --artifact-name NAME         Artifact name
  -t, --device-type TYPE           Target device type identification (can be given more than once)
  -c, --compatible-types TYPE      The same under mender-artifact's new name; give one or the other
      --software-name NAME         Name of the key to store the software version: rootfs-image.NAME.version,
                                   instead of rootfs-image.docker.version
      --software-version VERSION   Value for the software version, defaults to the name of the artifact
      --software-filesystem NAME   If specified, is used instead of rootfs-image
      --run-args ARGS              Command line args to add when running the container(s), as for 'docker run';
                                   quotes and backslashes work as in a shell, nothing is expanded
      --platform OS/ARCH[/VARIANT] Refuse an image that is not there for it, by the choice that devices make (can be
                                   given more than once); the whole image stays pinned
  -o, --output-path FILE           Path to output file. Default: docker-artifact.mender; - is standard output
  -k, --key FILE                   Sign with this private key: RSA (PKCS#1, PKCS#8) or EC P-256 (SEC1, PKCS#8), in PEM
                                   form and not encrypted
      --sign-command COMMAND       Sign with what this command line prints when it reads the bytes to sign: keys with a
                                   passphrase, on tokens and in clouds, see below
      --dry-run                    Do everything but write the file and run --sign-command
      --no-progress                Do not say on a terminal what is being done
      --format text|json           What to print about the artifact. Default: text, as 'mender-artifact read' does
  -h, --help                       Show help and exit
  -V, --version                    Show version and exit
  IMAGE [IMAGES...]                Container images to add to the Artifact, by tag or by digest

Options for mender-artifact that are understood after '--':
  -p/--provides K:V  -d/--depends K:V  -g/--provides-group  -G/--depends-groups  -N/--artifact-name-depends
  --clears-provides  --no-default-clears-provides  --no-default-software-version
  -s/--script FILE|FOLDER  -f/--file FILE  --warn-artifact-size SIZE  --max-artifact-size SIZE  --no-progress
  --compression gzip|none|lzma|zstd_fastest|zstd_fast|zstd_better|zstd_best
  and those above. Others are refused by name.

Signing by command (the signature may be raw, DER or base64):
  --sign-command 'openssl dgst -sha256 -sign encrypted.pem'
  --sign-command 'pkcs11-tool --login --sign --mechanism SHA256-RSA-PKCS --id 01'
  --sign-command 'openssl dgst -sha256 -binary | pkcs11-tool --login --sign --mechanism ECDSA --id 02'
  --sign-command 'vault write -field=signature transit/sign/KEY/sha2-256 input=$(base64 -w0)
                  signature_algorithm=pkcs1v15 | cut -d: -f3'

Registries:
  Passwords come from ~/.docker/config.json or $DOCKER_CONFIG/config.json ('docker login' and 'skopeo login' write
  it), certificates from /etc/docker/certs.d. Plain http works for registries on this machine; for others set
  'insecure = yes' in their section of /etc/dray/dray.ini.

Environment:
  SOURCE_DATE_EPOCH                Time stamp inside the artifact, in seconds since 1970. Default: 0

Examples:
  docker-artifact-gen -n web-1.27 -t raspberrypi4 nginx:1.27
  docker-artifact-gen -n shop-7 -t qemu -t rpi --run-args '-p 8080:80 --restart unless-stopped' \\
      -o shop-7.mender registry.example.com/shop/web:7
  docker-artifact-gen -n shop-8 -t qemu -k private.pem registry.example.com/shop/web:8 -- --depends-groups beta
";

#[derive(Debug, Parser)]
#[command(
    name = "docker-artifact-gen",
    version,
    override_usage = USAGE,
    override_help = format!("{HELP}\n{EXIT_CODES}\n"),
    args_override_self = true
)]
struct Words {
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

/// What the caller wants; image names are names, everything that can be checked in words is.
#[derive(Debug)]
pub struct Request {
    /// Name, devices and software version.
    pub header: Header,
    /// As given, tags included; at least one.
    pub images: Vec<Reference>,
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
        let key = extra.key.or(words.key);
        // Refused before any file is read.
        let images = references(&words.images)?;
        let mtime = source_date_epoch(host)?;
        Ok(Request {
            header,
            images,
            run_args: words.run_args.unwrap_or_default(),
            output: extra
                .output
                .or(words.output_path)
                .unwrap_or_else(|| PathBuf::from("docker-artifact.mender")),
            format: words.format,
            options: Options {
                compression: extra.compression,
                mtime,
            },
            scripts: files::read_scripts(&extra.scripts)?,
            files: files::look_at(&extra.files)?,
            signer: Signer::of(key.as_deref(), words.sign_command.as_deref())?,
            warn_size: extra.warn_size,
            max_size: extra.max_size,
            platforms: words.platform,
            is_dry_run: words.dry_run,
            shows_progress: !words.no_progress && !extra.is_silent,
            warnings: warnings(extra.compression),
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

fn references(images: &[String]) -> Result<Vec<Reference>, Refusal> {
    images
        .iter()
        .map(|image| image.parse().map_err(Refusal::usage))
        .collect()
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
