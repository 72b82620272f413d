//! `dray stats`: what containers use of the machine.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use dray::engine::{Container, Engine, Status};
use dray::sys::{cgroup, process};
use serde_json::{Value, json};

use super::info::memory_total;
use super::template::Shape;
use super::{Context, table};

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(1);
/// Moves a terminal's cursor to the top and clears what is below.
const CLEAR: &str = "\x1b[H\x1b[J";

#[derive(Debug, Args)]
pub struct Words {
    /// Those that do not run too
    #[arg(short, long)]
    all: bool,
    /// Print it once
    #[arg(long)]
    no_stream: bool,
    /// Whole ids
    #[arg(long)]
    no_trunc: bool,
    /// table, json (one object a line), or a template such as '{{.Name}} {{.CPUPerc}}'
    #[arg(long, default_value = "table")]
    format: Shape,
    /// Names or ids; all that run unless given
    containers: Vec<String>,
}

/// What a container has used so far, and has now.
#[derive(Debug, Clone, Copy, Default)]
struct Sample {
    /// Nanoseconds of processors.
    cpu: u64,
    memory: u64,
    limit: u64,
    received: u64,
    sent: u64,
    read: u64,
    written: u64,
    pids: u64,
}

/// `dray stats`
pub fn run(context: &Context<'_>, words: &Words) -> anyhow::Result<ExitCode> {
    let engine = context.engine_to_look()?;
    let is_screen = words.format == Shape::Table && std::io::stdout().is_terminal();
    let mut before: BTreeMap<String, u64> = BTreeMap::new();
    for container in meant(&engine, words)? {
        before.insert(container.id().to_owned(), look(&container).cpu);
    }
    loop {
        let begun = Instant::now();
        process::poll(&mut [], Some(INTERVAL))?;
        let mut after = BTreeMap::new();
        let mut lines = Vec::new();
        for container in meant(&engine, words)? {
            let sample = look(&container);
            let earlier = before.get(container.id()).copied().unwrap_or(sample.cpu);
            let busy = Duration::from_nanos(sample.cpu.saturating_sub(earlier));
            let share = busy.as_secs_f64() / begun.elapsed().as_secs_f64();
            after.insert(container.id().to_owned(), sample.cpu);
            lines.push(line(&container, &sample, share, words.no_trunc));
        }
        before = after;
        if is_screen && !words.no_stream {
            print!("{CLEAR}");
        }
        print(&words.format, lines)?;
        if words.no_stream {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

fn meant(engine: &Engine, words: &Words) -> anyhow::Result<Vec<Container>> {
    if !words.containers.is_empty() {
        let found = words.containers.iter().map(|word| Ok(engine.find(word)?));
        return found.collect();
    }
    let mut all = engine.list()?;
    all.retain(|c| words.all || matches!(c.status, Status::Running | Status::Paused));
    Ok(all)
}

fn print(format: &Shape, lines: Vec<Value>) -> anyhow::Result<()> {
    const COLUMNS: [(&str, &str); 8] = [
        ("ID", "CONTAINER ID"),
        ("Name", "NAME"),
        ("CPUPerc", "CPU %"),
        ("MemUsage", "MEM USAGE / LIMIT"),
        ("MemPerc", "MEM %"),
        ("NetIO", "NET I/O"),
        ("BlockIO", "BLOCK I/O"),
        ("PIDs", "PIDS"),
    ];
    if *format != Shape::Table {
        return format.print_list(&COLUMNS, lines.into_iter());
    }
    let row = |line: Value| {
        let cell = |(key, _)| line[key].as_str().unwrap_or_default().to_owned();
        COLUMNS.map(cell).to_vec()
    };
    let rows: Vec<_> = lines.into_iter().map(row).collect();
    table::print_all(&COLUMNS.map(|(_, heading)| heading), &rows);
    Ok(())
}

/// All values are texts there.
fn line(container: &Container, sample: &Sample, share: f64, whole: bool) -> Value {
    let id = container.id();
    let pair = |one, other| format!("{} / {}", table::size(one), table::size(other));
    let memory = (
        table::binary_size(sample.memory),
        table::binary_size(sample.limit),
    );
    let part = match sample.limit {
        0 => 0.0,
        limit => sample.memory as f64 / limit as f64 * 100.0,
    };
    json!({
        "BlockIO": pair(sample.read, sample.written),
        "CPUPerc": format!("{:.2}%", share * 100.0),
        "Container": container.name(),
        "ID": if whole { id } else { &id[..12] },
        "MemPerc": format!("{part:.2}%"),
        "MemUsage": format!("{} / {}", memory.0, memory.1),
        "Name": container.name(),
        "NetIO": pair(sample.received, sample.sent),
        "PIDs": sample.pids.to_string(),
    })
}

/// What the kernel says of a container now; nothing of one that does not run.
fn look(container: &Container) -> Sample {
    let Some(pid) = container.pid() else {
        return Sample::default();
    };
    let group = container.record.group();
    let text = |controller: &str, names: &[&str]| {
        let file = cgroup::file(&group, controller, names);
        file.and_then(|file| std::fs::read_to_string(file).ok())
            .unwrap_or_default()
    };
    let number = |controller: &str, names: &[&str]| text(controller, names).trim().parse::<u64>();
    let total = memory_total(&std::fs::read_to_string("/proc/meminfo").unwrap_or_default());
    let limit = number("memory", &["memory.max", "memory.limit_in_bytes"]);
    let used = number("memory", &["memory.current", "memory.usage_in_bytes"]).unwrap_or(0);
    // What the kernel gives back at once does not count, as with Docker.
    let cache = field(
        &text("memory", &["memory.stat"]),
        &["total_inactive_file", "inactive_file"],
    );
    let cpu = match number("cpuacct", &["cpuacct.usage"]) {
        Ok(nanoseconds) => nanoseconds,
        Err(_) => field(&text("cpu", &["cpu.stat"]), &["usage_usec"]) * 1000,
    };
    let (read, written) = disks(&text(
        "blkio",
        &[
            "io.stat",
            "blkio.throttle.io_service_bytes_recursive",
            "blkio.throttle.io_service_bytes",
        ],
    ));
    let (received, sent) = match container.record.body.host_config.network_mode.as_str() {
        "host" => (0, 0),
        _ => network(&std::fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap_or_default()),
    };
    Sample {
        cpu,
        memory: used.saturating_sub(cache),
        limit: limit.map_or(total, |limit| limit.min(total)),
        received,
        sent,
        read,
        written,
        pids: number("pids", &["pids.current"]).unwrap_or(0),
    }
}

/// The number after the first of `names` that is there.
fn field(text: &str, names: &[&str]) -> u64 {
    let pairs = || text.lines().filter_map(|line| line.split_once(' '));
    let find = |name: &&str| pairs().find(|(key, _)| key == name);
    let found = names.iter().find_map(find);
    found.map_or(0, |(_, number)| number.trim().parse().unwrap_or(0))
}

/// Bytes read and written, in the form of either version.
fn disks(text: &str) -> (u64, u64) {
    let sum = |first: &str, second: &str| -> u64 {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let old = words.windows(2).filter(|pair| pair[0] == first);
        let old = old.map(|pair| pair[1]);
        let new = words.iter().filter_map(|word| word.strip_prefix(second));
        old.chain(new)
            .filter_map(|number| number.parse::<u64>().ok())
            .sum()
    };
    (sum("Read", "rbytes="), sum("Write", "wbytes="))
}

/// Bytes received and sent by all interfaces but the loopback.
fn network(text: &str) -> (u64, u64) {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    let lines = lines.filter(|(name, _)| name.trim() != "lo");
    lines.fold((0, 0), |(received, sent), (_, counts)| {
        let mut counts = counts
            .split_whitespace()
            .map(|n| n.parse::<u64>().unwrap_or(0));
        let first = counts.next().unwrap_or(0);
        (received + first, sent + counts.nth(7).unwrap_or(0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_read() {
        let old = "8:0 Read 4096\n8:0 Write 512\n8:0 Total 4608\n8:16 Read 4\nTotal 4612\n";
        assert_eq!(disks(old), (4100, 512));
        let new = "8:0 rbytes=90 wbytes=10 rios=1 wios=2\n8:16 rbytes=1 wbytes=0\n";
        assert_eq!(disks(new), (91, 10));
        let stat = "cache 9\ninactive_file 7\ntotal_inactive_file 8\n";
        assert_eq!(field(stat, &["total_inactive_file", "inactive_file"]), 8);
        assert_eq!(field("usage_usec 5\n", &["usage_usec"]), 5);
        let dev = "Inter-|   Receive\n face |bytes\n    lo: 7 0 0 0 0 0 0 0 7 0\n  eth0: 100 1 0 0 0 0 0 0 42 1 0\n";
        assert_eq!(network(dev), (100, 42));
    }
}
