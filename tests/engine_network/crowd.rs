//! A hundred containers on one network.

use serde_json::json;

use super::common::device::{Device, on_device};
use super::{is_clean, output, until};

const CROWD: usize = 100;
/// How many commands at once.
const HANDS: usize = 4;
/// Whom a container talks to: so many further on.
const DISTANCE: usize = 37;

/// Says who it is on port 80.
const SERVE: &str = "trap 'exit 0' TERM; echo $NAME > /name; httpd -f -p 80 -h / & wait";

fn name(number: usize) -> String {
    format!("c{}", number % CROWD)
}

/// Does `work` for each of them, several at a time.
fn each(device: &Device, work: impl Fn(&Device, usize) + Sync) {
    std::thread::scope(|scope| {
        for hand in 0..HANDS {
            let work = &work;
            scope.spawn(move || {
                (hand..CROWD)
                    .step_by(HANDS)
                    .for_each(|number| work(device, number));
            });
        }
    });
}

/// Interfaces, control groups, processes and files of these containers on this host. Its rules are [`is_clean`]'s; a
/// namespace is gone with its last process.
fn traces(device: &Device, ids: &[String]) -> Vec<String> {
    let run = device.host.run.display().to_string();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    // Not everything there is a process, and what was one may have ended.
    let commands = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    let mut found: Vec<String> = commands
        .map(|command| String::from_utf8_lossy(&command).replace('\0', " "))
        .collect();
    let places = output("find", &["/sys/fs/cgroup", &run, "-mindepth", "1"]);
    found.extend(places.lines().map(str::to_owned));
    found.retain(|line| ids.iter().any(|id| line.contains(id.as_str())));
    let links = output("ip", &["-o", "link"]);
    let veths = links.lines().filter(|line| line.contains("veth"));
    found.extend(veths.map(str::to_owned));
    found
}

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn a_hundred_containers_find_each_other() {
    on_device("crowd", |device| {
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
        device.push("web", SERVE, json!({}));
        let image = device.registry.name("shop/web:1");
        device.done(&["pull", &image]);
        device.done(&["network", "create", "crowd"]);
        each(device, |device, number| {
            let name = name(number);
            let words = [
                "run",
                "-d",
                "--network",
                "crowd",
                "--name",
                &name,
                "-e",
                &format!("NAME={name}"),
            ];
            device.done(&[&words[..], &[&image]].concat());
        });
        assert_eq!(output("ip", &["-o", "link"]).matches("veth").count(), CROWD);
        each(device, |device, number| {
            let (own, other) = (name(number), name(number + DISTANCE));
            let url = format!("http://{other}/name");
            let said = until("an answer", || {
                let called = device.dray(&["exec", &own, "wget", "-qO-", &url]);
                called.status.success().then_some(called.stdout)
            });
            assert_eq!(said.trim(), other, "{own}");
        });
        let containers = device.containers().into_iter();
        let ids: Vec<String> = containers.map(|(record, _)| record.id).collect();
        assert!(traces(device, &ids).len() > 4 * CROWD);
        let names: Vec<String> = (0..CROWD).map(name).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        device.done(&[&["stop"], &names[..]].concat());
        until("clean host", || is_clean().then_some(()));
        device.done(&[&["rm"], &names[..]].concat());
        assert_eq!(traces(device, &ids), [""; 0]);
        device.done(&["network", "rm", "crowd"]);
    });
}
