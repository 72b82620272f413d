//! Containers in the foreground: `run` without `-d`, `start -a`, and `attach`.

use std::fs::File;
use std::io::{ErrorKind, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;

use clap::{ArgAction, Args};
use dray::engine::logs::Stream;
use dray::engine::{Attached, Container, Engine, EngineError, Session, Status};
use dray::runargs::{RunArgs, value};
use dray::sys::process::{self, PollFd, SignalFd};
use dray::sys::terminal::{self, Raw};

use super::keys::Keys;
use super::{Context, with};
use crate::exit::{self, Code};

const SIGWINCH: i32 = 28;
const SIGPIPE: i32 = 13;
/// Signals that are passed on to the container: all that somebody sends by hand or a terminal does.
const PASSED: [i32; 9] = [1, 2, 3, 10, 12, 14, 15, 18, 20];
/// Signals that end us where they are not passed on; caught, so that the terminal gets its settings back.
const ENDING: [i32; 4] = [1, 2, 3, 15];
/// A shell's exit code for a signal is its number and this.
const BY_SIGNAL: i32 = 128;

#[derive(Debug, Args)]
pub struct Words {
    /// Do not pass standard input on
    #[arg(long)]
    no_stdin: bool,
    /// Pass signals on to the container, unless it has a terminal
    #[arg(long, value_name = "BOOL", default_value = "true", default_missing_value = "true",
        num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_parser = value::boolean)]
    sig_proxy: bool,
    /// Keys that leave the container running, such as ctrl-p,ctrl-q
    #[arg(long)]
    detach_keys: Option<String>,
    /// Name or id
    container: String,
}

/// `dray attach`
pub fn run(context: &Context<'_>, words: &Words) -> anyhow::Result<ExitCode> {
    let keys = Keys::new(words.detach_keys.as_deref())?;
    let engine = context.engine_to_look()?;
    with(&engine, &words.container, |container| {
        attach(&engine, container, words, keys)
    })
}

fn attach(
    engine: &Engine,
    container: &Container,
    words: &Words,
    keys: Keys,
) -> anyhow::Result<ExitCode> {
    let config = &container.record.body.config;
    check_terminal(!words.no_stdin, config.tty)?;
    let name = container.name().to_owned();
    if container.status == Status::Paused {
        return Err(EngineError::Paused { name }.into());
    }
    let Some(session) = engine.attach(container.id(), true)? else {
        engine.ended(container.id())?;
        return Err(EngineError::NotRunning { name }.into());
    };
    let how = How {
        input: !words.no_stdin && config.open_stdin,
        shown: ALL,
        pass_signals: words.sig_proxy && !config.tty,
        keys,
    };
    let signals = signals(how.pass_signals)?;
    match Front::new(engine, container, session, how, signals)?.relay()? {
        End::Exited(code) => Ok(exit::of_container(code)),
        End::Detached => anyhow::bail!("read escape sequence"),
        End::InputOver => Ok(ExitCode::SUCCESS),
    }
}

/// Refuses, as Docker does, to pass on as a terminal what is none.
pub fn check_terminal(input: bool, tty: bool) -> anyhow::Result<()> {
    if input && tty && !std::io::stdin().is_terminal() {
        return Err(anyhow::anyhow!("the input device is not a TTY").context(Code(1)));
    }
    Ok(())
}

/// Starts a container that was just made, as `run` without `-d` does.
pub fn run_created(
    engine: &Engine,
    container: &Container,
    args: &RunArgs,
) -> anyhow::Result<ExitCode> {
    let config = &args.body.config;
    let how = How {
        input: config.open_stdin,
        shown: [config.attach_stdout, config.attach_stderr],
        pass_signals: args.sig_proxy && !config.tty,
        keys: Keys::new(args.detach_keys.as_deref())?,
    };
    begin(engine, container, how)
}

/// Starts a container that exists, attached.
pub fn start(
    engine: &Engine,
    container: &Container,
    interactive: bool,
    keys: Keys,
) -> anyhow::Result<ExitCode> {
    let config = &container.record.body.config;
    let how = How {
        input: interactive && config.open_stdin,
        shown: ALL,
        pass_signals: !config.tty,
        keys,
    };
    begin(engine, container, how)
}

fn begin(engine: &Engine, container: &Container, how: How) -> anyhow::Result<ExitCode> {
    let signals = signals(how.pass_signals)?;
    let checked = engine.check_start(container.id());
    let prepared = checked.and_then(|()| engine.prepare(&[container.id()]));
    let started = prepared.and_then(|prepared| {
        // Before the word to go, so that no output is missed.
        let session = engine.attach(container.id(), true)?;
        prepared.start()?;
        Ok(session)
    });
    match started {
        Ok(Some(session)) => match Front::new(engine, container, session, how, signals)?.relay()? {
            End::Exited(code) => Ok(exit::of_container(code)),
            End::Detached => Ok(ExitCode::SUCCESS),
            // Nobody watches what it does: as with --detach its id is what there is to say.
            End::InputOver => {
                println!("{}", container.id());
                Ok(ExitCode::SUCCESS)
            }
        },
        Ok(None) => Err(EngineError::NotRunning {
            name: container.name().to_owned(),
        }
        .into()),
        Err(error) => {
            engine.remove_unstarted(&container.record);
            Err(error.into())
        }
    }
}

fn signals(pass: bool) -> anyhow::Result<SignalFd> {
    let caught = if pass { &PASSED[..] } else { &ENDING };
    Ok(SignalFd::new(&[caught, &[SIGWINCH]].concat())?)
}

/// Output and error output.
const ALL: [bool; 2] = [true, true];

/// What is passed on.
struct How {
    input: bool,
    /// Which of output and error output.
    shown: [bool; 2],
    pass_signals: bool,
    keys: Keys,
}

/// How our part ended.
enum End {
    /// The container ended so, or a signal ended us alone.
    Exited(i32),
    /// The keys to detach were pressed.
    Detached,
    /// Nothing but input was attached, and there is no more.
    InputOver,
}

/// Where our terminal and the container meet.
struct Front<'a> {
    engine: &'a Engine,
    container: &'a Container,
    session: Session,
    how: How,
    signals: SignalFd,
    stdin: File,
}

/// Standard input without a buffer of ours, which a poll could not see into.
pub fn standard_input() -> std::io::Result<File> {
    Ok(std::io::stdin().as_fd().try_clone_to_owned()?.into())
}

impl<'a> Front<'a> {
    fn new(
        engine: &'a Engine,
        container: &'a Container,
        session: Session,
        how: How,
        signals: SignalFd,
    ) -> anyhow::Result<Front<'a>> {
        Ok(Front {
            engine,
            container,
            session,
            how,
            signals,
            stdin: standard_input()?,
        })
    }

    fn relay(mut self) -> anyhow::Result<End> {
        let tty = self.container.record.body.config.tty;
        let raw = (tty && self.how.input && self.stdin.is_terminal())
            .then(|| Raw::new(self.stdin.as_fd()))
            .transpose()?;
        self.pass_size();
        let mut last = None;
        loop {
            if !self.how.input && self.how.shown == [false, false] {
                return Ok(End::InputOver);
            }
            let input = if self.how.input {
                PollFd::read(self.stdin.as_fd())
            } else {
                PollFd::never()
            };
            let mut set = [
                PollFd::read(self.session.as_fd()),
                PollFd::read(self.signals.as_fd()),
                input,
            ];
            process::poll(&mut set, None)?;
            if set[0].is_ready() {
                match self.session.take()? {
                    Some(Attached::Output(stream, piece)) => match self.show(stream, &piece) {
                        // As if the signal had ended us, which would leave a terminal without its settings.
                        Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                            return Ok(End::Exited(BY_SIGNAL + SIGPIPE));
                        }
                        shown => shown?,
                    },
                    Some(Attached::State(state)) => last = Some(state),
                    Some(Attached::Closed) => break,
                    None => {}
                }
            }
            if set[1].is_ready()
                && let Some(signal) = self.take_signals()
            {
                return Ok(End::Exited(BY_SIGNAL + signal));
            }
            if set[2].is_ready() && !self.pass_input(tty)? {
                return Ok(End::Detached);
            }
        }
        drop(raw);
        // With --rm the record is gone by now: what the monitor said last counts. Another life is not waited for.
        Ok(End::Exited(match last {
            Some(state) if matches!(state.status, Status::Exited | Status::Restarting) => {
                state.outcome.exit_code
            }
            _ => self.engine.wait(self.container.id())?,
        }))
    }

    /// Passes output on, if it is of a stream that is attached. What was sent to nobody is gone, as with Docker.
    fn show(&self, stream: Stream, piece: &[u8]) -> std::io::Result<()> {
        let [stdout, stderr] = self.how.shown;
        match stream {
            Stream::Stdout if stdout => write(stream, piece),
            Stream::Stderr if stderr => write(stream, piece),
            _ => Ok(()),
        }
    }

    fn pass_size(&self) {
        if let Some((rows, columns)) = terminal::size(std::io::stdout().as_fd()) {
            // The container may be ending.
            let _ = self.session.resize(rows, columns);
        }
    }

    /// Passes on what came; the signal that ends us, if one did.
    fn take_signals(&self) -> Option<i32> {
        while let Some(signal) = self.signals.take() {
            match signal {
                SIGWINCH => self.pass_size(),
                // The container may be ending.
                signal if self.how.pass_signals => {
                    drop(self.engine.kill(self.container.id(), signal));
                }
                signal => return Some(signal),
            }
        }
        None
    }

    /// False when the keys to detach were pressed.
    fn pass_input(&mut self, tty: bool) -> anyhow::Result<bool> {
        let mut buffer = [0; 4096];
        let read = self.stdin.read(&mut buffer)?;
        if read == 0 {
            self.how.input = false;
        }
        let (piece, detached) = if tty {
            self.how.keys.filter(&buffer[..read])
        } else {
            (buffer[..read].to_vec(), false)
        };
        if read == 0 || !piece.is_empty() {
            // The container may be ending.
            let _ = self.session.input(&piece);
        }
        Ok(!detached)
    }
}

/// Writes a piece of output to where we write ours.
pub fn write(stream: Stream, piece: &[u8]) -> std::io::Result<()> {
    match stream {
        Stream::Stdout => {
            let mut out = std::io::stdout().lock();
            out.write_all(piece)?;
            out.flush()
        }
        Stream::Stderr => std::io::stderr().write_all(piece),
    }
}
