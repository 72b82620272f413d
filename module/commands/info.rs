//! `dray version` and `dray info`: what this is and what it runs on, under docker's names.

use std::process::ExitCode;

use clap::Args;
use dray::config::LogDriver;
use dray::engine::{Engine, Status};
use dray::oci::Platform;
use dray::sys::{beneath, cgroup, process};
use serde_json::{Value, json};

use super::template::{Shape, words as spaced};
use super::{Context, table};

#[derive(Debug, Args)]
pub struct Words {
    /// json, or a template such as '{{.KernelVersion}}'
    #[arg(short, long, default_value = "", hide_default_value = true)]
    format: Shape,
}

/// `dray version`
pub fn version(words: &Words) -> anyhow::Result<ExitCode> {
    let system = process::system()?;
    let platform = Platform::host();
    let about = json!({
        "Version": env!("CARGO_PKG_VERSION"),
        "Os": platform.os,
        "Arch": platform.architecture,
        "KernelVersion": system.release,
    });
    match words.format {
        Shape::Table => say(&about),
        // Client and server are one program.
        _ => words
            .format
            .print([json!({ "Client": about, "Server": about })].into_iter())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// `dray info`
pub fn run(context: &Context<'_>, words: &Words) -> anyhow::Result<ExitCode> {
    let engine = context.engine_to_look()?;
    let mut about = describe(context, &engine)?;
    match words.format {
        Shape::Table => {
            let warnings = about["Warnings"].take();
            for size in ["MemTotal", "StateFree"] {
                about[size] = table::size(about[size].as_u64().unwrap_or_default()).into();
            }
            say(&about);
            for warning in warnings.as_array().into_iter().flatten() {
                eprintln!("dray: warning: {}", warning.as_str().unwrap_or_default());
            }
        }
        _ => words.format.print([about].into_iter())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(context: &Context<'_>, engine: &Engine) -> anyhow::Result<Value> {
    let (containers, damaged) = engine.survey()?;
    let count = |wanted: &[Status]| {
        let of = containers.iter().filter(|c| wanted.contains(&c.status));
        of.count()
    };
    let networks = engine.network().defined();
    let mut warnings: Vec<String> = damaged.iter().map(ToString::to_string).collect();
    warnings.extend(networks.damaged()?.iter().map(ToString::to_string));
    warnings.extend(engine.images().damaged()?.iter().map(ToString::to_string));
    warnings.extend(missing());
    let system = process::system()?;
    let file = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let (release, memory) = (file("/etc/os-release"), file("/proc/meminfo"));
    let name = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let state = &context.host.state;
    let running = count(&[Status::Running, Status::Restarting]);
    let paused = count(&[Status::Paused]);
    Ok(json!({
        "ServerVersion": env!("CARGO_PKG_VERSION"),
        "Containers": containers.len(),
        "ContainersRunning": running,
        "ContainersPaused": paused,
        "ContainersStopped": containers.len() - running - paused,
        "Images": engine.images().list()?.len(),
        "Volumes": engine.volumes()?.len(),
        "Networks": networks.list()?.len() + 3,
        "Driver": "overlay2",
        "DockerRootDir": state,
        "StateFree": beneath::room(state).map_or(0, |room| room.bytes),
        "LoggingDriver": match context.settings.log.driver {
            LogDriver::JsonFile => "json-file",
            LogDriver::Local => "local",
            LogDriver::None => "none",
        },
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": if cgroup::is_unified() { "2" } else { "1" },
        "KernelVersion": system.release,
        "OperatingSystem": name.unwrap_or("Linux").trim_matches('"'),
        "OSType": "linux",
        "Architecture": system.machine,
        "NCPU": std::thread::available_parallelism().map_or(1, usize::from),
        "MemTotal": memory_total(&memory),
        "Name": process::hostname()?,
        "SecurityOptions": if system.seccomp { vec!["name=seccomp,profile=builtin"] } else { Vec::new() },
        "Warnings": warnings,
    }))
}

/// What the kernel does not limit, as docker warns of it.
fn missing() -> impl Iterator<Item = String> {
    let io = if cgroup::is_unified() { "io" } else { "blkio" };
    let controllers = ["cpu", "cpuset", io, "memory", "pids"].into_iter();
    let controllers = controllers.filter(|controller| !cgroup::has(controller));
    let controllers = controllers.map(|name| format!("the kernel has no {name} control groups"));
    let swap = (!cgroup::limits_swap()).then(|| "the kernel does not limit swap".to_owned());
    controllers.chain(swap)
}

/// Bytes of memory, from `/proc/meminfo`.
pub fn memory_total(memory: &str) -> u64 {
    let total = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = total.and_then(|total| total.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}

/// One line for each field.
fn say(about: &Value) {
    for (name, value) in about.as_object().into_iter().flatten() {
        let label = spaced(name);
        match value {
            Value::Null => {}
            Value::String(text) => println!("{label}: {text}"),
            Value::Array(all) => {
                let all: Vec<_> = all.iter().filter_map(Value::as_str).collect();
                println!("{label}: {}", all.join(" "));
            }
            other => println!("{label}: {other}"),
        }
    }
}
