//! What `--help` says of the options: each with its meaning in one line, by what they are about; at the end those that are
//! refused, with the reason.

use std::fmt::Write as _;

use super::{Row, describe};

/// Longest line.
const WIDTH: usize = 100;

/// Every supported option under its heading. The order is the reader's: what is used most stands first.
#[rustfmt::skip]
pub const GROUPS: &[(&str, &[(&str, &str)])] = &[
    ("The container", &[
        ("name", "its name; invented if absent"),
        ("restart", "when it is started again: no, on-failure[:MAX], always, unless-stopped"),
        ("rm", "remove it and its anonymous volumes when it has ended"),
        ("label", "a label, KEY or KEY=VALUE"),
        ("label-file", "a file of labels, one a line"),
        ("annotation", "KEY=VALUE that is handed to the runtime"),
        ("hostname", "its host name"),
        ("domainname", "its NIS domain name"),
        ("cidfile", "write its id to this file, which must not exist"),
        ("stop-signal", "what it is sent to stop; otherwise the image's, or TERM"),
        ("stop-timeout", "seconds between that and the kill; -1 never kills"),
        ("runtime", "which runtime runs it"),
    ]),
    ("The command here", &[
        ("detach", "do not wait for it; print its id"),
        ("attach", "pass on this stream alone: stdin, stdout, stderr"),
        ("interactive", "keep its standard input open"),
        ("tty", "a terminal of its own"),
        ("detach-keys", "keys that leave it running; ctrl-p,ctrl-q if absent"),
        ("sig-proxy", "pass signals on to it; true if absent"),
        ("help", "print this"),
    ]),
    ("The image", &[
        ("pull", "when to pull it: always, missing, never"),
        ("platform", "which image of an index: OS/ARCH[/VARIANT]"),
        ("quiet", "do not show what is being pulled"),
        ("disable-content-trust", "without signatures of Docker's Notary; true if absent"),
    ]),
    ("Its process", &[
        ("env", "a variable, NAME=VALUE, or NAME for its value here"),
        ("env-file", "a file of variables, one a line"),
        ("workdir", "working directory; made if absent"),
        ("user", "user[:group], names or numbers"),
        ("group-add", "a further group"),
        ("entrypoint", "what is run in place of the image's entrypoint"),
        ("init", "a small init as process 1 that passes signals on and reaps"),
        ("ulimit", "a limit, NAME=SOFT[:HARD]"),
        ("sysctl", "a kernel setting of its namespaces, NAME=VALUE"),
        ("oom-score-adj", "how readily the kernel kills it for lack of memory, -1000 to 1000"),
    ]),
    ("Files", &[
        ("volume", "a volume or folder of the host, [SOURCE:]TARGET[:OPTIONS]"),
        ("mount", "the same in words, type=…,source=…,target=…"),
        ("tmpfs", "a folder in memory, TARGET[:OPTIONS]"),
        ("volumes-from", "the volumes of another container, NAME[:ro]"),
        ("volume-driver", "driver of its new volumes"),
        ("read-only", "its root filesystem cannot be written"),
        ("shm-size", "size of /dev/shm; 64m if absent"),
        ("device", "a device of the host, PATH[:PATH IN IT][:rwm]"),
        ("device-cgroup-rule", "a rule of what devices it may open, such as c 10:200 rw"),
    ]),
    ("Network", &[
        ("publish", "a port at the host, [[ADDRESS:]PORT:]PORT[/tcp|udp|sctp], or a range"),
        ("publish-all", "every exposed port at a free one of the host"),
        ("expose", "a port, or a range, that the container serves"),
        ("network", "which network it is on"),
        ("net", "the same, as it was called once"),
        ("network-alias", "a further name for it on that network"),
        ("net-alias", "the same, as it was called once"),
        ("ip", "its address on that network"),
        ("ip6", "its IPv6 address there"),
        ("mac-address", "its hardware address"),
        ("link", "a container by a name of its own choice, NAME[:ALIAS]"),
        ("add-host", "a line of its hosts file, NAME:ADDRESS"),
        ("dns", "address of a name server"),
        ("dns-search", "a domain that is searched"),
        ("dns-option", "an option of its resolv.conf"),
        ("dns-opt", "the same, as it was called once"),
    ]),
    ("Limits", &[
        ("memory", "memory, such as 64m"),
        ("memory-reservation", "memory that it is pushed back to when there is little left"),
        ("memory-swap", "memory and swap together; -1 is no limit"),
        ("memory-swappiness", "how readily it is swapped out, 0 to 100"),
        ("oom-kill-disable", "the kernel does not kill it at its memory limit"),
        ("pids-limit", "processes and threads; -1 is no limit"),
        ("cpus", "CPU time, in CPUs, such as 1.5"),
        ("cpu-shares", "CPU time in proportion to others; 1024 if absent"),
        ("cpu-period", "length of the period for --cpu-quota, in microseconds"),
        ("cpu-quota", "CPU time in each such period, in microseconds"),
        ("cpu-rt-period", "length of the period for --cpu-rt-runtime, in microseconds"),
        ("cpu-rt-runtime", "real-time CPU time in each such period, in microseconds"),
        ("cpuset-cpus", "on which CPUs, such as 0-2,4"),
        ("cpuset-mems", "from which memory nodes"),
        ("blkio-weight", "disk time in proportion to others, 10 to 1000"),
        ("blkio-weight-device", "the same for one device, PATH:WEIGHT"),
        ("device-read-bps", "bytes a second read from a device, PATH:RATE"),
        ("device-read-iops", "reads a second from a device, PATH:RATE"),
        ("device-write-bps", "bytes a second written to a device, PATH:RATE"),
        ("device-write-iops", "writes a second to a device, PATH:RATE"),
    ]),
    ("Health", &[
        ("health-cmd", "a command that tells by its exit code whether it is well"),
        ("health-interval", "pause between two checks; 30s if absent"),
        ("health-timeout", "longest time for one check; 30s if absent"),
        ("health-retries", "failures in a row that make it unhealthy; 3 if absent"),
        ("health-start-period", "time to start in, in which failures do not count"),
        ("health-start-interval", "pause between two checks in that time; 5s if absent"),
        ("no-healthcheck", "without the image's check"),
    ]),
    ("Logs", &[
        ("log-driver", "where its output goes"),
        ("log-opt", "an option of that, NAME=VALUE, such as max-size=10m"),
    ]),
    ("Privileges and namespaces", &[
        ("privileged", "all capabilities and devices, nothing hidden"),
        ("cap-add", "a capability that it gets, or ALL"),
        ("cap-drop", "a capability that it does not get, or ALL"),
        ("security-opt", "no-new-privileges, writable-cgroups, systempaths=unconfined; seccomp=FILE, builtin or unconfined"),
        ("cgroup-parent", "control group below which its own is; it is made where it is missing"),
        ("cgroupns", "namespace of control groups: private, host"),
        ("ipc", "of shared memory and message queues: private, shareable, host, none, container:NAME"),
        ("pid", "of processes: host, container:NAME"),
        ("uts", "of the host name: host"),
        ("userns", "of users: host"),
        ("isolation", "kind of isolation"),
    ]),
];

/// All options but `without`: supported ones by group, then the refused ones.
pub fn help(without: &[&str]) -> String {
    let rows: Vec<Row> = describe().filter(|r| !without.contains(&r.name)).collect();
    let find = |name: &str| rows.iter().find(|row| row.name == name);
    let column = rows.iter().map(|row| flag(row).len()).max().unwrap_or(0) + 2;
    let mut text = String::new();
    for (heading, options) in GROUPS {
        let _ = writeln!(text, "{heading}:");
        for (name, meaning) in *options {
            if let Some(row) = find(name) {
                let limit = row.limit.map(|limit| format!("; {limit}"));
                let meaning = format!("{meaning}{}", limit.unwrap_or_default());
                line(&mut text, row, column, &meaning);
            }
        }
        text.push('\n');
    }
    text.push_str("Not honoured, and refused by name:\n");
    for row in &rows {
        if let Some(reason) = row.refused {
            line(&mut text, row, column, reason);
        }
    }
    text
}

/// As Docker's help has it: `  -m, --memory bytes`.
fn flag(row: &Row) -> String {
    let short = row
        .short
        .map_or_else(|| "    ".to_owned(), |letter| format!("-{letter}, "));
    format!("  {short}--{} {}", row.name, row.kind)
        .trim_end()
        .to_owned()
}

/// One option; what does not fit goes on below.
fn line(text: &mut String, row: &Row, column: usize, meaning: &str) {
    let mut current = format!("{:column$}", flag(row));
    let mut begun = false;
    for word in meaning.split(' ') {
        if begun && current.chars().count() + 1 + word.chars().count() > WIDTH {
            let _ = writeln!(text, "{current}");
            current = " ".repeat(column);
            begun = false;
        }
        if begun {
            current.push(' ');
        }
        current.push_str(word);
        begun = true;
    }
    let _ = writeln!(text, "{current}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_supported_option_has_one_line_under_one_heading() {
        let mut said: Vec<&str> = GROUPS
            .iter()
            .flat_map(|(_, options)| options.iter().map(|(name, _)| *name))
            .collect();
        said.sort_unstable();
        let supported: Vec<&str> = describe()
            .filter(|row| row.refused.is_none())
            .map(|row| row.name)
            .collect();
        assert_eq!(said, supported);
        for (name, meaning) in GROUPS.iter().flat_map(|(_, options)| *options) {
            let last = meaning.chars().last();
            assert!(last.is_some_and(|c| c != '.' && c != ' '), "{name}");
        }
    }

    #[test]
    fn lines_fit_and_what_is_left_out_is_not_there() {
        let all = help(&[]);
        assert!(all.contains("\n  -m, --memory bytes "), "{all}");
        let memory = all.lines().find(|line| line.contains("--memory bytes"));
        assert!(memory.unwrap().ends_with(" memory, such as 64m"), "{all}");
        assert!(
            all.lines().all(|line| line.chars().count() <= WIDTH),
            "{all}"
        );
        // Others speak of it in what they say.
        let lists = |text: &str| text.lines().any(|line| line.starts_with("  -d, --detach "));
        assert!(lists(&all), "{all}");
        assert!(!lists(&help(&["detach"])));
    }
}
