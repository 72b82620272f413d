//! Processes as `ps` lists them.

use std::fs;
use std::time::Duration;

/// What the kernel says of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its pid on the host.
    pub pid: i32,
    /// That of its parent.
    pub parent: i32,
    /// Whose rights it has.
    pub uid: u32,
    /// Number of its terminal's device; 0 without one.
    pub terminal: u32,
    /// Time on processors.
    pub busy: Duration,
    /// Since it was started, time in suspend included.
    pub age: Duration,
    /// Its name, which is the first 15 bytes of its program's unless it chose another.
    pub name: String,
    /// Its words, or its name in brackets where it has none.
    pub command: String,
}

/// Ticks in which the kernel tells programs times, on every processor that Linux runs on.
const TICK: Duration = Duration::from_millis(10);

/// The processes `pids` that are still there.
pub fn list(pids: &[i32]) -> Vec<Process> {
    let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds = uptime.split(' ').next().and_then(|text| text.parse().ok());
    let uptime = seconds.map_or(Duration::ZERO, Duration::from_secs_f64);
    pids.iter().filter_map(|pid| read(*pid, uptime)).collect()
}

fn read(pid: i32, uptime: Duration) -> Option<Process> {
    let file = |name: &str| fs::read(format!("/proc/{pid}/{name}")).ok();
    let text = |name| Some(String::from_utf8_lossy(&file(name)?).into_owned());
    let (stat, status) = (text("stat")?, text("status")?);
    // The name may hold anything, parentheses too: the fields start after the last one.
    let (start, rest) = stat.rsplit_once(')')?;
    let fields: Vec<i64> = rest
        .split_ascii_whitespace()
        .map(|field| field.parse().unwrap_or_default())
        .collect();
    // By their numbers in proc(5), of which the first after the name is 3.
    let field = |number: usize| fields.get(number - 3).copied();
    let ticks = |number| Some(TICK * u32::try_from(field(number)?).ok()?);
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    let name = start.split_once('(')?.1;
    let words = file("cmdline")?;
    let words = String::from_utf8_lossy(&words).replace('\0', " ");
    Some(Process {
        pid,
        parent: field(4)? as i32,
        uid: uids.split_ascii_whitespace().nth(1)?.parse().ok()?,
        terminal: field(7)? as u32,
        busy: ticks(14)? + ticks(15)?,
        age: uptime.saturating_sub(Duration::from_millis(field(22)?.unsigned_abs() * 10)),
        name: name.to_owned(),
        command: match words.trim_end() {
            "" => format!("[{name}]"),
            words => words.to_owned(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_are_in_the_list_ourselves() {
        let own = std::process::id() as i32;
        let list = list(&[own, i32::MAX]);
        assert_eq!(list.len(), 1);
        assert_eq!(list[0].pid, own);
        assert!(list[0].parent > 0 && list[0].age < Duration::from_secs(3600));
        assert!(list[0].command.contains("dray"), "{list:?}");
    }
}
