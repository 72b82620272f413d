//! Docker's words about containers that run: `top`, `port`, and the groups `container` and `image`.

#![allow(
    clippy::unwrap_used,
    reason = "a broken set-up should panic; the helpers of a test program count as no test"
)]

mod common;

use common::device::{Called, on_device};

/// The rows of a table, by cells; the last of `columns` takes the rest of the line.
fn rows(called: &Called, columns: usize) -> Vec<Vec<String>> {
    let row = |line: &str| {
        let mut rest = line.trim();
        let mut cells = Vec::new();
        while cells.len() + 1 < columns {
            let (cell, after) = rest.split_once(' ').unwrap_or((rest, ""));
            cells.push(cell.to_owned());
            rest = after.trim_start();
        }
        cells.push(rest.to_owned());
        cells
    };
    called.stdout.lines().map(row).collect()
}

/// Exit code 1 and a message with `part` in it.
#[track_caller]
fn refused(called: &Called, part: &str) {
    assert_eq!(called.status.code(), Some(1), "{called:?}");
    assert!(called.stderr.contains(part), "{called:?}");
}

#[test]
fn top_lists_the_processes_as_ps_does() {
    on_device("top", |device| {
        let image = device.registry.name("shop/v1:1");
        device.done(&[
            "run",
            "-dt",
            "--network=none",
            "--name=web",
            "--user=12345",
            &image,
        ]);
        device.done(&["exec", "-d", "web", "sleep", "1000"]);
        let table = rows(&device.done(&["top", "web"]), 8);
        let heading = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"];
        assert_eq!(table[0], heading);
        let pid = device.inspect("web")["State"]["Pid"].to_string();
        let init = table.iter().find(|row| row[1] == pid).unwrap();
        assert!(init[7].starts_with("/bin/sh -c echo v1 is up;"), "{init:?}");
        assert_eq!((&init[5][..], &init[6][..]), ("pts/0", "00:00:00"));
        assert_eq!(init[4].len(), 5, "{init:?}");
        let other = |row: &&Vec<String>| row[7] == "sleep 1000";
        let sleeper = table.iter().find(other).unwrap();
        assert_eq!((&sleeper[0][..], &sleeper[5][..]), ("12345", "?"));
        let chosen = rows(
            &device.done(&["container", "top", "web", "-o", "pid,args"]),
            2,
        );
        assert_eq!(chosen[0], ["PID", "CMD"]);
        assert!(chosen.contains(&vec![sleeper[1].clone(), sleeper[7].clone()]));
        refused(
            &device.dray(&["top", "web", "aux"]),
            "ps options \"aux\" are not supported",
        );
        device.done(&["stop", "-t", "1", "web"]);
        refused(
            &device.dray(&["top", "web"]),
            "container web is not running",
        );
        refused(
            &device.dray(&["top", "absent"]),
            "no such container: absent",
        );
        device.done(&["rm", "web"]);
    });
}

#[test]
fn port_says_where_a_containers_ports_are_published() {
    on_device("port", |device| {
        let image = device.registry.name("shop/v1:1");
        let publish = [
            "-p",
            "127.0.0.1:8080:80",
            "-p",
            "8081:80",
            "-p",
            "53:53/udp",
        ];
        device.done(&[&["run", "-d", "--name=web"], &publish[..], &[&image]].concat());
        let said = |words: &[&str]| device.done(words).stdout;
        let all = said(&["port", "web"]);
        for line in [
            "80/tcp -> 127.0.0.1:8080\n",
            "80/tcp -> 0.0.0.0:8081\n",
            "53/udp -> 0.0.0.0:53\n",
        ] {
            assert!(all.contains(line), "{all}");
        }
        assert!(said(&["container", "port", "web", "53/udp"]).contains("0.0.0.0:53\n"));
        assert!(said(&["port", "web", "80"]).starts_with("127.0.0.1:8080\n"));
        refused(
            &device.dray(&["port", "web", "53"]),
            "no public port \"53/tcp\" published for web",
        );
        device.done(&["rm", "-f", "web"]);
    });
}

#[test]
fn dockers_groups_lead_to_the_same_words() {
    on_device("groups", |device| {
        let image = device.registry.name("shop/v1:1");
        device.done(&[
            "container",
            "create",
            "--name=web",
            "--network=none",
            &image,
        ]);
        assert_eq!(device.done(&["container", "ls", "-aq"]).stdout.len(), 13);
        assert_eq!(device.done(&["image", "ls", "-q"]).stdout.len(), 13);
        let id = "--format={{.Id}}";
        let of = |kind: &str, name: &str| device.done(&[kind, "inspect", id, name]).stdout;
        assert_ne!(of("container", "web"), of("image", &image));
        refused(&device.dray(&["image", "inspect", "web"]), "web");
        device.done(&["container", "rm", "web"]);
        device.done(&["image", "rm", &image]);
        assert_eq!(device.done(&["image", "ls", "-q"]).stdout, "");
        refused(
            &device.dray(&["image", "push", "x"]),
            "image push is not supported: devices only pull",
        );
        refused(
            &device.dray(&["login"]),
            "login is not supported: not built yet",
        );
        refused(
            &device.dray(&["container", "x"]),
            "unknown command: dray container x",
        );
        let help = device.done(&["help"]).stdout;
        assert!(help.contains("  login, logout: not built yet; "), "{help}");
        assert!(help.contains("\n  container "), "{help}");
    });
}
