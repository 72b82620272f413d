//! The words of the command line, docker's wherever docker has one for it.

mod boot;
mod choice;
mod containers;
mod cp;
mod disk;
pub mod examples;
mod exec;
mod explain;
mod filter;
mod foreground;
mod gc;
mod history;
mod images;
mod import;
mod info;
mod inspect;
mod install;
mod keys;
mod load;
mod login;
mod logs;
mod network;
mod pattern;
mod port;
mod ports;
mod progress;
mod prune;
mod ps;
mod pull;
pub mod refused;
mod rmi;
pub mod run;
mod save;
mod stats;
mod system;
mod table;
mod template;
mod terminal;
mod top;
mod transport;
mod usage;
mod verify;
mod volume;
pub mod words;

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{ArgAction, Command, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use dray::config::Settings;
use dray::engine::{Container, Engine, EngineError, exec as engine_exec, monitor};
use dray::host::Host;
use dray::sys::program;

use crate::exit;

/// Everything a command needs.
pub struct Context<'a> {
    /// The device.
    pub host: &'a Host,
    /// Its settings.
    pub settings: &'a Settings,
}

impl Context<'_> {
    /// The engine, with what killed monitors left put right.
    pub fn engine(&self) -> anyhow::Result<Engine> {
        let engine = Engine::open(self.host, self.settings)?;
        warn(engine.repaired());
        Ok(engine)
    }

    /// The engine for words that only look, which change no container: what killed monitors left is said.
    pub fn engine_to_look(&self) -> anyhow::Result<Engine> {
        let engine = Engine::open_to_look(self.host, self.settings)?;
        warn(engine.repaired());
        for name in engine.left_alone()? {
            warn(Some(&format!(
                "the monitor of container {name} was killed; `dray boot` puts that right, and so does every word that changes something"
            )));
        }
        Ok(engine)
    }
}

/// Runs a device's containers without a daemon.
#[derive(Debug, Parser)]
#[command(
    name = "dray",
    version,
    disable_version_flag = true,
    disable_help_subcommand = true,
    max_term_width = 100
)]
#[command(
    after_help = "Called as `docker STATE DIR` this program is Mender's update module `docker`.\n\
    Settings: /etc/dray/dray.ini, or the file that $DRAY_CONFIG names."
)]
struct Words {
    /// Print version
    #[arg(short, short_alias = 'V', long, action = ArgAction::Version)]
    version: (),
    #[command(subcommand)]
    word: Word,
}

/// How a list is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

#[derive(Debug, Subcommand)]
enum Word {
    /// Make a container and start it: [OPTIONS] IMAGE [COMMAND…], docker run's options
    #[command(disable_help_flag = true)]
    Run(run::Words),
    /// Make a container without starting it: [OPTIONS] IMAGE [COMMAND…]
    #[command(disable_help_flag = true)]
    Create(run::Words),
    /// Print, as JSON, what docker run's words mean; touches nothing
    #[command(disable_help_flag = true)]
    Explain(run::Words),
    /// Start containers
    Start(containers::Start),
    /// Stop containers: stop signal, grace, kill
    Stop(containers::Stop),
    /// Stop containers and start them again
    Restart(containers::Stop),
    /// Send a signal to containers
    Kill(containers::Kill),
    /// Remove containers; named volumes always stay
    Rm(containers::Rm),
    /// Give a container another name
    Rename(containers::Rename),
    /// Wait until containers have ended and print their exit codes
    Wait(containers::Named),
    /// Have the processes of containers stand still
    Pause(containers::Named),
    /// Let the processes of paused containers go on
    Unpause(containers::Named),
    /// Run a command in a running container
    Exec(exec::Words),
    /// Attach to a running container's input and output
    Attach(foreground::Words),
    /// Copy files from a container, running or not, to the host or the other way round
    Cp(cp::Words),
    /// List containers
    Ps(ps::Words),
    /// List the processes of a container
    Top(top::Words),
    /// List the published ports of a container
    Port(port::Words),
    /// Show what containers use of processors, memory, network and disks
    Stats(stats::Words),
    /// Print what containers wrote
    Logs(logs::Words),
    /// Print everything about containers, images, networks or volumes as JSON
    Inspect(inspect::Words),
    /// Make, list and remove networks, and connect containers to them
    Network(network::Words),
    /// List images
    Images(images::Words),
    /// Bring an image from its registry, a file or a folder
    Pull(pull::Words),
    /// Bring images out of a file: what docker save wrote, or an OCI image layout
    Load(load::Words),
    /// Write images into a file that dray load, docker load, podman and skopeo read
    Save(save::Words),
    /// Make an image of a root filesystem
    Import(import::Words),
    /// Show how an image was made
    History(history::Words),
    /// Log in at a registry, and keep the password where docker does
    Login(login::Words),
    /// Forget the password of a registry
    Logout(login::Logout),
    /// Take names of images away and remove what nobody needs any more
    Rmi(rmi::Rmi),
    /// Give an image a further name
    Tag(rmi::Tag),
    /// Manage volumes: create, ls, inspect, rm, prune
    Volume(volume::Words),
    /// Remove layers and blobs that neither a name, a container nor a deployment needs
    Gc(gc::Words),
    /// Look whether the store still is what it was, and bring back what is not
    Verify(verify::Words),
    /// Read what was not read for as long as the ini says, slowly, and bring back what is damaged
    Scrub,
    /// Docker's words for containers: container ls, container rm and so on
    #[command(disable_help_flag = true)]
    Container(Inner),
    /// Docker's words for images: image ls, image rm and so on
    #[command(disable_help_flag = true)]
    Image(Inner),
    /// Docker's words for the device: system df, system prune, system info
    #[command(disable_help_flag = true)]
    System(Inner),
    /// Print the versions of dray and of the kernel
    Version(info::Words),
    /// Print what this is and what it runs on, with warnings of what is missing or damaged
    Info(info::Words),
    /// Remove all stopped containers that no deployment keeps
    #[command(hide = true, name = "container prune")]
    ContainerPrune(prune::Words),
    /// Remove images that nobody needs
    #[command(hide = true, name = "image prune")]
    ImagePrune(prune::Words),
    /// Show what takes the room on the disk
    #[command(hide = true, name = "system df")]
    SystemDf(system::Df),
    /// Remove stopped containers, networks, images and partial downloads that nobody needs
    #[command(hide = true, name = "system prune")]
    SystemPrune(system::Prune),
    /// Install an artifact (.mender) without a Mender client: a file, an address or standard input
    ///
    /// The artifact is read once, from front to back; its checksums, its signature where keys are configured, the device
    /// type and what it depends on are checked before anything is switched. Then its containers replace those that run. It
    /// stays on trial until `dray commit` keeps it or `dray rollback` goes back; a restart of the device changes nothing in
    /// that. An install that fails goes back by itself.
    ///
    /// The device type is in /var/lib/mender/device_type or in the ini file ([artifact] device_type); the keys are in the ini
    /// file ([trust] artifact_keys) or in Mender's own mender.conf (ArtifactVerifyKey, ArtifactVerifyKeys).
    ///
    /// Exit codes: 0 installed, 1 failed; then what ran before runs again, or the last line says that it does not.
    Install(install::Install),
    /// Keep the artifact that was installed last
    ///
    /// Exit codes: 0 committed, 1 failed, 2 nothing is installed that could be committed.
    Commit(install::Nothing),
    /// Go back to what ran before the artifact that was installed last
    ///
    /// Exit codes: 0 rolled back, 1 failed, 2 nothing is installed that could be rolled back.
    Rollback(install::Nothing),
    /// Print the name of the artifact that is installed and committed
    ShowArtifact(install::Nothing),
    /// Print what the device provides: the artifact's name and the versions of software, KEY=VALUE
    ShowProvides(install::Provides),
    /// After a boot: put deployments right and start what is to run
    Boot(boot::Words),
    #[command(hide = true, name = monitor::WORD)]
    Monitor(Inner),
    #[command(hide = true, name = engine_exec::WORD)]
    Enter(Inner),
}

/// Words of dray's own processes, and of nobody's.
#[derive(Debug, clap::Args)]
struct Inner {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// Does what `words`, without the program's name, say.
pub fn run(host: &Host, settings: &Settings, words: &[OsString]) -> anyhow::Result<ExitCode> {
    let word = match parsed(words) {
        Ok(words) => words.word,
        Err(error) => return Ok(not_meant(words, &error)),
    };
    let context = Context { host, settings };
    match word {
        Word::Run(words) => run::run(&context, &words).map_err(exit::at_running),
        Word::Create(words) => run::create(&context, &words),
        Word::Explain(words) => explain::run(&context, &words),
        Word::Start(words) => containers::start(&context, &words),
        Word::Stop(words) => containers::stop(&context, &words),
        Word::Restart(words) => containers::restart(&context, &words),
        Word::Kill(words) => containers::kill(&context, &words),
        Word::Rm(words) => containers::rm(&context, &words),
        Word::Rename(words) => containers::rename(&context, &words),
        Word::Wait(words) => containers::wait(&context, &words),
        Word::Pause(words) => containers::pause(&context, &words),
        Word::Unpause(words) => containers::unpause(&context, &words),
        Word::Exec(words) => exec::run(&context, &words),
        Word::Attach(words) => foreground::run(&context, &words),
        Word::Cp(words) => cp::run(&context, &words),
        Word::Ps(words) => ps::run(&context, &words),
        Word::Top(words) => top::run(&context, &words),
        Word::Port(words) => port::run(&context, &words),
        Word::Stats(words) => stats::run(&context, &words),
        Word::Logs(words) => logs::run(&context, &words),
        Word::Inspect(words) => inspect::run(&context, &words),
        Word::Network(words) => network::run(&context, &words),
        Word::Images(words) => images::run(&context, &words),
        Word::Pull(words) => pull::run(&context, &words),
        Word::Load(words) => load::run(&context, &words),
        Word::Save(words) => save::run(&context, &words),
        Word::Import(words) => import::run(&context, &words),
        Word::History(words) => history::run(&context, &words),
        Word::Login(words) => login::login(&context, &words),
        Word::Logout(words) => login::logout(&context, &words),
        Word::Rmi(words) => rmi::rmi(&context, &words),
        Word::Tag(words) => rmi::tag(&context, &words),
        Word::Version(words) => info::version(&words),
        Word::Info(words) => info::run(&context, &words),
        Word::ContainerPrune(words) => prune::containers(&context, &words),
        Word::ImagePrune(words) => prune::images(&context, &words),
        Word::SystemDf(words) => system::df(&context, &words),
        Word::SystemPrune(words) => system::prune(&context, &words),
        Word::Volume(words) => volume::run(&context, &words),
        Word::Gc(words) => gc::run(&context, &words),
        Word::Container(_) => Ok(words::group_help("container")),
        Word::System(_) => Ok(words::group_help("system")),
        Word::Image(_) => Ok(words::group_help("image")),
        Word::Verify(words) => verify::run(&context, &words).map_err(exit::at_running),
        Word::Scrub => verify::scrub(&context).map_err(exit::at_running),
        Word::Install(words) => install::install(&context, &words),
        Word::Commit(_) => install::commit(&context),
        Word::Rollback(_) => install::rollback(&context),
        Word::ShowArtifact(_) => install::show_artifact(&context),
        Word::ShowProvides(words) => install::show_provides(&context, &words),
        Word::Boot(words) => boot::run(&context, &words),
        Word::Monitor(inner) => monitor::run(host, settings, &inner.words)
            .map(|()| ExitCode::SUCCESS)
            .map_err(Into::into),
        Word::Enter(inner) => exec::enter(&context, &inner.words),
    }
}

/// The whole command line as clap knows it, hidden words included.
pub fn command() -> Command {
    examples::added(Words::command(), "")
}

fn parsed(words: &[OsString]) -> Result<Words, clap::Error> {
    let mut matches = usage::tolerant(command()).try_get_matches_from(whole(words))?;
    Words::from_arg_matches_mut(&mut matches)
}

/// Prints what was asked for in place of a word, or says why the words are wrong.
fn not_meant(words: &[OsString], error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayVersion => print!("{error}"),
        // As it is with a group that is called without one of its words.
        ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            program::end_with_the_reader();
            let help = |words: &[OsString]| {
                let plain = command().try_get_matches_from(whole(words)).err();
                plain.filter(|plain| plain.kind() == error.kind())
            };
            // Without the tolerance the words may be wrong before they come to asking for help.
            let plain = help(words).or_else(|| help(&usage::asking(words)));
            print!("{}", plain.as_ref().unwrap_or(error));
            if words.is_empty() || words.iter().eq(["--help"]) {
                print!("{}", words::refused());
            }
        }
        _ => return usage::refuse(usage::tolerant(command()), words, error),
    }
    ExitCode::SUCCESS
}

/// The command line for clap, which takes the first `--` for itself: of the words that docker run's own parser reads, it has
/// to reach that one, because what follows is an image and no option.
fn whole(words: &[OsString]) -> impl Iterator<Item = OsString> {
    let dashes = words.len() > 1
        && words[1] == "--"
        && ["run", "create", "explain"]
            .iter()
            .any(|word| words[0] == *word);
    let mut whole = words.to_vec();
    if dashes {
        whole.insert(1, OsString::from("--"));
    }
    let is_of_names = words
        .first()
        .is_some_and(|word| OF_NAMES.iter().any(|name| word == name));
    let printable = move |word: OsString| match is_of_names && word.to_str().is_none() {
        true => escaped(&word),
        false => word,
    };
    std::iter::once(OsString::from("dray")).chain(whole.into_iter().map(printable))
}

/// Words whose arguments are names of things, of which none is anything but plain text: of others there is no such thing.
const OF_NAMES: [&str; 17] = [
    "attach", "history", "inspect", "kill", "logs", "pause", "port", "rename", "restart", "rm",
    "rmi", "start", "stats", "stop", "top", "unpause", "wait",
];

/// A word with `\xff` for each byte that is not text.
fn escaped(word: &OsStr) -> OsString {
    let mut text = String::new();
    for chunk in word.as_encoded_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text.into()
}

/// Asks before so much is removed, as docker does; whoever does not say yes gets an error.
fn ask(word: &str, what: &str) -> anyhow::Result<()> {
    confirm(word, &format!("WARNING! This will remove {what}."))
}

/// The same in other words.
fn confirm(word: &str, warning: &str) -> anyhow::Result<()> {
    print!("{warning}\nAre you sure you want to continue? [y/N] ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    match answer.trim().eq_ignore_ascii_case("y") {
        true => Ok(()),
        false => anyhow::bail!("{word} prune has been cancelled"),
    }
}

fn warn(warning: Option<&str>) {
    if let Some(warning) = warning {
        eprintln!("dray: warning: {warning}");
    }
}

/// Does something with the container that `word` means. If somebody removes it meanwhile, that is what is said, whatever it
/// made fail; but not of one that removed itself because it could not run.
fn with<T>(
    engine: &Engine,
    word: &str,
    act: impl FnOnce(&Container) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let container = engine.find(word)?;
    act(&container).map_err(|error| match error.downcast_ref() {
        Some(EngineError::Start { .. } | EngineError::Exec { .. }) => error,
        _ if engine.is_gone(container.id()) => EngineError::NotFound(word.to_owned()).into(),
        _ => error,
    })
}

/// Does `act` to each, says what failed, and goes on; each success prints the word as given, as docker does.
fn each(words: &[String], mut act: impl FnMut(&str) -> anyhow::Result<()>) -> ExitCode {
    each_done(words, |word| act(word).map(|()| true))
}

/// The same, where `act` may have had nothing to do.
fn each_done(words: &[String], mut act: impl FnMut(&str) -> anyhow::Result<bool>) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for word in words {
        match act(word) {
            // Whoever reads about it may have gone; the others are to be done all the same.
            Ok(false) => {}
            Ok(true) => {
                if writeln!(std::io::stdout(), "{word}").is_err() {
                    code = ExitCode::FAILURE;
                }
            }
            Err(error) => {
                eprintln!("dray: {}", exit::message(&error));
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}
