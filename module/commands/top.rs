//! `dray top`: the processes of a container, as `ps -ef` lists them.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use dray::engine::{EngineError, format_time};
use dray::sys::cgroup;
use dray::sys::listing::{self, Process};
use dray::sys::process;

use super::{Context, table, with};

/// The columns of `ps -ef`, with ps's names for them, and behind them what is there when asked for.
const COLUMNS: [(&str, &[&str]); 9] = [
    ("UID", &["user", "uid", "euser", "euid"]),
    ("PID", &["pid"]),
    ("PPID", &["ppid"]),
    ("C", &["c"]),
    ("STIME", &["stime"]),
    ("TTY", &["tty", "tt", "tname"]),
    ("TIME", &["time", "cputime"]),
    ("CMD", &["cmd", "args", "command"]),
    ("COMMAND", &["comm", "ucmd", "ucomm"]),
];
const USUAL: usize = 8;
const DAY: Duration = Duration::from_secs(86_400);

#[derive(Debug, Args)]
pub struct Words {
    /// Name or id
    container: String,
    /// -ef, or -o with some of user,pid,ppid,c,stime,tty,time,cmd,comm
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "ps OPTIONS"
    )]
    options: Vec<String>,
}

/// `dray top`
pub fn run(context: &Context<'_>, words: &Words) -> anyhow::Result<ExitCode> {
    let columns = columns(&words.options)?;
    let engine = context.engine_to_look()?;
    let mut pids = with(&engine, &words.container, |found| {
        let pids = cgroup::pids(&found.record.group());
        match found.pid().is_none() || pids.is_empty() {
            true => Err(EngineError::NotRunning {
                name: found.name().to_owned(),
            }
            .into()),
            false => Ok(pids),
        }
    })?;
    pids.sort_unstable();
    let passwd = std::fs::read_to_string(context.host.etc.join("passwd")).unwrap_or_default();
    let now = context.host.now();
    let row = |process: Process| {
        let started = |ago| format_time(now.checked_sub(ago).unwrap_or(now));
        let cells = cells(&process, &passwd, &started(process.age), &started(DAY));
        columns
            .iter()
            .map(|column| cells[*column].clone())
            .collect()
    };
    let rows: Vec<Vec<String>> = listing::list(&pids).into_iter().map(row).collect();
    let heading: Vec<&str> = columns.iter().map(|column| COLUMNS[*column].0).collect();
    table::print_all(&heading, &rows);
    Ok(ExitCode::SUCCESS)
}

/// Which columns are asked for.
fn columns(options: &[String]) -> anyhow::Result<Vec<usize>> {
    let words: Vec<&str> = options.iter().map(String::as_str).collect();
    let list = match words[..] {
        [] | ["-ef" | "ef" | "-e" | "-f"] => return Ok((0..USUAL).collect()),
        ["-o" | "-eo" | "-efo", list] => list,
        [list] if list.starts_with("-o") => &list[2..],
        _ => anyhow::bail!(
            "ps options {:?} are not supported: there are -ef, and -o with a list of columns",
            words.join(" ")
        ),
    };
    let column = |name: &str| {
        let found = COLUMNS.iter().position(|(_, names)| names.contains(&name));
        found.ok_or_else(|| {
            let known: Vec<&str> = COLUMNS.iter().map(|(_, names)| names[0]).collect();
            anyhow::anyhow!(
                "there is no column {name:?}: {} are there",
                known.join(", ")
            )
        })
    };
    list.split(',').map(column).collect()
}

fn cells(process: &Process, passwd: &str, started: &str, yesterday: &str) -> [String; 9] {
    let (busy, age) = (process.busy.as_secs(), process.age.as_secs().max(1));
    let is_recent = started > yesterday;
    [
        user(passwd, process.uid),
        process.pid.to_string(),
        process.parent.to_string(),
        (process.busy.as_millis() / 10 / u128::from(age)).to_string(),
        match is_recent {
            true => started[11..16].to_owned(),
            false => day(started),
        },
        terminal(process.terminal),
        format!("{:02}:{:02}:{:02}", busy / 3600, busy / 60 % 60, busy % 60),
        process.command.clone(),
        process.name.clone(),
    ]
}

/// The host's name of a user, as far as ps shows it, or the number.
fn user(passwd: &str, uid: u32) -> String {
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid) && name.len() <= 8).then_some(name)
    });
    name.map_or_else(|| uid.to_string(), str::to_owned)
}

/// `Nov23`
fn day(time: &str) -> String {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let month = time[5..7].parse::<usize>().map_or(0, |month| 3 * month - 3);
    format!("{}{}", &MONTHS[month..month + 3], &time[8..10])
}

fn terminal(device: u32) -> String {
    match process::device_numbers(device.into()) {
        (0, _) => "?".into(),
        (major @ 136..144, minor) => format!("pts/{}", (major - 136) * 256 + minor),
        (4, minor @ 64..) => format!("ttyS{}", minor - 64),
        (4, minor) => format!("tty{minor}"),
        _ => "?".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_those_of_ps() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nsystemd-network:x:998:998::/:/bin/false\n";
        let mut process = Process {
            pid: 71,
            parent: 7,
            uid: 0,
            terminal: 136 << 8 | 3,
            busy: Duration::from_secs(3_725),
            age: Duration::from_secs(10_000),
            name: "sleep".into(),
            command: "sleep 9".into(),
        };
        let (now, yesterday) = ("2026-03-05T06:07:08.9Z", "2026-03-04T06:07:08.9Z");
        let line =
            |process: &Process, started| cells(process, passwd, started, yesterday).join(" ");
        assert_eq!(
            line(&process, now),
            "root 71 7 37 06:07 pts/3 01:02:05 sleep 9 sleep"
        );
        (process.uid, process.terminal) = (998, 0);
        let before = "2026-02-28T06:07:08.9Z";
        assert_eq!(
            line(&process, before),
            "998 71 7 37 Feb28 ? 01:02:05 sleep 9 sleep"
        );
    }

    #[test]
    fn ps_options_choose_columns_or_are_refused_by_name() {
        let words = |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
        assert_eq!(columns(&[]).unwrap().len(), 8);
        assert_eq!(columns(&words("-ef")).unwrap().len(), 8);
        assert_eq!(columns(&words("-o pid,args")).unwrap(), [1, 7]);
        assert_eq!(columns(&words("-opid")).unwrap(), [1]);
        assert_eq!(columns(&words("-eo pid,comm")).unwrap(), [1, 8]);
        let error = columns(&words("aux")).unwrap_err().to_string();
        assert!(
            error.starts_with("ps options \"aux\" are not supported"),
            "{error}"
        );
        let error = columns(&words("-o pid,rss")).unwrap_err().to_string();
        assert!(
            error.starts_with("there is no column \"rss\": user, pid,"),
            "{error}"
        );
    }
}
