//! `dray logs`: what containers wrote.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::Args;
use dray::engine::logs::{self, Entry, Filter, Follow, Stream};
use dray::engine::{Attached, Container, Engine, EngineError};
use dray::sys::changes::Changes;
use dray::sys::process::{self, PollFd};
use dray::sys::zone;

use super::{Context, with};

#[derive(Debug, Args)]
pub struct Words {
    /// Go on with what it writes from now on, until it has ended
    #[arg(short, long)]
    follow: bool,
    /// With times
    #[arg(short, long)]
    timestamps: bool,
    /// With the tag, and the labels and variables that --log-opt named
    #[arg(long)]
    details: bool,
    /// Only the last so many lines, or "all"
    #[arg(
        short = 'n',
        long,
        default_value = "all",
        allow_negative_numbers = true
    )]
    tail: String,
    /// Not before: RFC 3339, seconds since 1970, or a span such as 10m
    #[arg(long, allow_hyphen_values = true)]
    since: Option<String>,
    /// Not after
    #[arg(long, allow_hyphen_values = true)]
    until: Option<String>,
    /// Name or id
    container: String,
}

/// `dray logs`
pub fn run(context: &Context<'_>, words: &Words) -> anyhow::Result<ExitCode> {
    let engine = context.engine_to_look()?;
    with(&engine, &words.container, |container| {
        show(context, &engine, container, words)
    })?;
    Ok(ExitCode::SUCCESS)
}

fn show(
    context: &Context<'_>,
    engine: &Engine,
    container: &Container,
    words: &Words,
) -> anyhow::Result<()> {
    if let Some(why) = logs::unreadable(&container.record.body.host_config.log_config.driver) {
        anyhow::bail!("container {} {why}", container.name());
    }
    let now = context.host.now();
    let since = words.since.as_deref().map(|text| moment(text, now));
    let until = words.until.as_deref().map(|text| moment(text, now));
    let (since, until) = (since.transpose()?, until.transpose()?);
    let filter = Filter {
        tail: tail(&words.tail)?,
        since: since.map(dray::engine::format_time),
        until: until.map(dray::engine::format_time),
    };
    let folder = engine.folders(container.id()).state.join("logs");
    if engine.is_gone(container.id()) {
        return Err(EngineError::Gone(container.record.id.clone()).into());
    }
    // Before the first read, so that nothing falls between.
    let changes = words
        .follow
        .then(|| Changes::of_folder(&folder))
        .transpose()?;
    let mut follow = logs::read(&folder, &filter, |entry| words.print(&entry))?;
    warn_of_damage(&mut follow);
    if let Some(changes) = changes {
        let left = || {
            until.map(|until| {
                until
                    .duration_since(context.host.now())
                    .unwrap_or(Duration::ZERO)
            })
        };
        go_on(engine, container.id(), &changes, left, || {
            follow.more(|entry| words.print(&entry))?;
            warn_of_damage(&mut follow);
            Ok(())
        })?;
    }
    Ok(())
}

fn warn_of_damage(follow: &mut Follow) {
    for damage in follow.take_damage() {
        eprintln!("dray: warning: {damage}");
    }
}

/// How many lines; `None` is all of them, which is also Docker's meaning of a negative number.
fn tail(text: &str) -> anyhow::Result<Option<usize>> {
    match (text, text.parse::<i64>()) {
        ("all", _) => Ok(None),
        (_, Ok(number)) => Ok(usize::try_from(number).ok()),
        _ => anyhow::bail!("--tail {text:?} is neither a number nor \"all\""),
    }
}

fn go_on(
    engine: &Engine,
    id: &str,
    changes: &Changes,
    left: impl Fn() -> Option<Duration>,
    mut more: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let Some(mut session) = engine.attach(id, false)? else {
        return more();
    };
    loop {
        more()?;
        let left = left();
        if left == Some(Duration::ZERO) {
            return Ok(());
        }
        let mut set = [PollFd::read(changes.as_fd()), PollFd::read(session.as_fd())];
        process::poll(&mut set, left)?;
        changes.drain();
        if set[1].is_ready()
            && let Some(Attached::Closed) = session.take()?
        {
            return more();
        }
    }
}

impl Words {
    fn print(&self, entry: &Entry) -> std::io::Result<()> {
        let mut text = String::new();
        if self.timestamps {
            text = format!("{} ", entry.time);
        }
        if self.details {
            text += &format!("{} ", details(&entry.attributes));
        }
        text += &entry.text;
        match entry.stream {
            Stream::Stdout => std::io::stdout().write_all(text.as_bytes()),
            Stream::Stderr => std::io::stderr().write_all(text.as_bytes()),
        }
    }
}

/// `name=value,…`, escaped as Docker escapes them: as in the query of an address.
fn details(attributes: &BTreeMap<String, String>) -> String {
    let escaped = |text: &str| -> String {
        text.bytes()
            .map(|byte| match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                    char::from(byte).to_string()
                }
                b' ' => "+".to_owned(),
                byte => format!("%{byte:02X}"),
            })
            .collect()
    };
    let pairs: Vec<String> = attributes
        .iter()
        .map(|(name, value)| format!("{}={}", escaped(name), escaped(value)))
        .collect();
    pairs.join(",")
}

/// A time from one of docker's ways to say it.
pub fn moment(text: &str, now: SystemTime) -> anyhow::Result<SystemTime> {
    logs::moment(text, now, zone::offset(now)?).ok_or_else(|| {
        anyhow::anyhow!(
            "{text:?} is no time: use 2026-01-02T15:04:05Z, seconds since 1970, or a span such as 10m"
        )
    })
}
