//! `dray logs`: what containers wrote.

use std::io::Write;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::Args;
use dray::engine::logs::{self, Entry, Filter, Stream};
use dray::engine::{Attached, Engine};
use dray::sys::changes::Changes;
use dray::sys::process::{self, PollFd};

use super::Context;

#[derive(Debug, Args)]
pub struct Words {
    /// Go on with what it writes from now on, until it has ended
    #[arg(short, long)]
    follow: bool,
    /// With times
    #[arg(short, long)]
    timestamps: bool,
    /// Only the last so many lines, or "all"
    #[arg(short = 'n', long, default_value = "all")]
    tail: String,
    /// Not before: RFC 3339, seconds since 1970, or a span such as 10m
    #[arg(long)]
    since: Option<String>,
    /// Not after
    #[arg(long)]
    until: Option<String>,
    /// Name or id
    container: String,
}

/// `dray logs`
pub fn run(context: &Context<'_>, words: &Words) -> anyhow::Result<ExitCode> {
    let engine = context.engine()?;
    let container = engine.find(&words.container)?;
    if container.record.body.host_config.log_config.driver == "none" {
        anyhow::bail!(
            "container {} keeps no logs: its log driver is none",
            container.name()
        );
    }
    let tail =
        match words.tail.as_str() {
            "all" => None,
            number => Some(number.parse().map_err(|_| {
                anyhow::anyhow!("--tail {number:?} is neither a number nor \"all\"")
            })?),
        };
    let time = |option: &Option<String>| {
        option
            .as_deref()
            .map(|text| moment(text, context.host.now()))
            .transpose()
    };
    let filter = Filter {
        tail,
        since: time(&words.since)?,
        until: time(&words.until)?,
    };
    let folder = engine.folders(container.id()).state.join("logs");
    // Before the first read, so that nothing falls between.
    let changes = words
        .follow
        .then(|| Changes::of_folder(&folder))
        .transpose()?;
    let mut follow = logs::read(&folder, &filter, |entry| print(&entry, words.timestamps))?;
    if let Some(changes) = changes {
        go_on(&engine, container.id(), &changes, || {
            Ok(follow.more(|entry| print(&entry, words.timestamps))?)
        })?;
    }
    Ok(ExitCode::SUCCESS)
}

fn go_on(
    engine: &Engine,
    id: &str,
    changes: &Changes,
    mut more: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let Some(mut session) = engine.attach(id, false)? else {
        return more();
    };
    loop {
        more()?;
        let mut set = [PollFd::read(changes.as_fd()), PollFd::read(session.as_fd())];
        process::poll(&mut set, None)?;
        changes.drain();
        if set[1].is_ready()
            && let Some(Attached::Closed) = session.take()?
        {
            return more();
        }
    }
}

fn print(entry: &Entry, timestamps: bool) -> std::io::Result<()> {
    let stamp = if timestamps {
        format!("{} ", entry.time)
    } else {
        String::new()
    };
    let text = format!("{stamp}{}", entry.text);
    match entry.stream {
        Stream::Stdout => std::io::stdout().write_all(text.as_bytes()),
        Stream::Stderr => std::io::stderr().write_all(text.as_bytes()),
    }
}

/// A time as stored in logs, from one of docker's ways to say it.
fn moment(text: &str, now: SystemTime) -> anyhow::Result<String> {
    let time = if let Some(time) = dray::engine::parse_time(text) {
        Some(time)
    } else if let Ok(seconds) = text.parse::<f64>() {
        SystemTime::UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds)?)
    } else {
        let span = dray::runargs::value::duration(text)
            .ok()
            .and_then(|n| u64::try_from(n).ok());
        span.and_then(|nanoseconds| now.checked_sub(Duration::from_nanos(nanoseconds)))
    };
    let time = time.ok_or_else(|| {
        anyhow::anyhow!("{text:?} is no time: use 2026-01-02T15:04:05Z, seconds, or 10m")
    })?;
    Ok(dray::engine::format_time(time))
}
