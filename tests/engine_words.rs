//! Docker's words about what there is: `top`, `port`, `stats`, `version`, `info`, `tag`, `prune`, and its groups.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test files need no durable writer; a broken set-up should panic"
)]

mod common;

use common::device::{Called, Device, on_device};
use serde_json::{Value, json};

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
            &device.dray(&["top", "web", "-eo", "pid,rss"]),
            "there is no column \"rss\"",
        );
        let named = rows(&device.done(&["top", "web", "-eo", "pid,comm"]), 2);
        assert_eq!(named[0], ["PID", "COMMAND"]);
        assert!(named.contains(&vec![sleeper[1].clone(), "sleep".to_owned()]));
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
fn names_are_taken_as_inspect_shows_them() {
    on_device("slashes", |device| {
        let image = device.registry.name("shop/v1:1");
        device.done(&["run", "-d", "--network=none", "--name", "/web", &image]);
        assert_eq!(device.inspect("/web")["Name"], "/web");
        device.done(&["rename", "/web", "/shop"]);
        assert_eq!(device.inspect("shop")["Name"], "/shop");
        for word in ["//shop", "/", "shop/"] {
            refused(&device.dray(&["stop", word]), "no such container");
        }
        device.done(&["rm", "-f", "/shop"]);
    });
}

#[test]
fn several_may_restart_one_container_at_once() {
    on_device("restarts", |device| {
        let image = device.registry.name("shop/v1:1");
        device.done(&["run", "-d", "--network=none", "--name=web", &image]);
        for _ in 0..3 {
            std::thread::scope(|scope| {
                for word in ["restart", "restart", "start", "restart", "start"] {
                    let grace: &[&str] = match word {
                        "restart" => &["-t", "0"],
                        _ => &[],
                    };
                    scope.spawn(move || device.done(&[&[word], grace, &["web"]].concat()));
                }
            });
            assert_eq!(device.inspect("web")["State"]["Status"], "running");
        }
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
        let network = device.done(&["network", "create", "front"]).stdout;
        assert_eq!(device.done(&["inspect", id, "front"]).stdout, network);
        assert_eq!(
            device
                .done(&["inspect", "--type=network", id, "front"])
                .stdout,
            network
        );
        device.done(&["network", "rm", "front"]);
        refused(&device.dray(&["image", "inspect", "web"]), "web");
        device.done(&["container", "rm", "web"]);
        device.done(&["image", "rm", &image]);
        assert_eq!(device.done(&["image", "ls", "-q"]).stdout, "");
        refused(
            &device.dray(&["image", "push", "x"]),
            "image push is not supported: devices only pull",
        );
        refused(
            &device.dray(&["export", "web"]),
            "export is not supported: not built yet",
        );
        refused(
            &device.dray(&["container", "x"]),
            "unknown command: dray container x",
        );
        let help = device.done(&["help"]).stdout;
        assert!(help.contains("  export: not built yet; "), "{help}");
        assert!(help.contains("\n  container "), "{help}");
    });
}

#[test]
fn version_and_info_say_what_this_is() {
    on_device("info", |device| {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let release = release.trim();
        let asked = device.done(&[
            "version",
            "-f",
            "{{.Server.Version}} {{.Client.KernelVersion}}",
        ]);
        assert_eq!(
            asked.stdout,
            format!("{} {release}\n", env!("CARGO_PKG_VERSION"))
        );
        let said = device.done(&["version"]).stdout;
        assert!(
            said.contains(&format!("Kernel Version: {release}\n")),
            "{said}"
        );
        let image = device.registry.name("shop/v1:1");
        for name in ["one", "two", "three"] {
            device.done(&["run", "-d", "--network=none", "--name", name, &image]);
        }
        device.done(&["pause", "two"]);
        device.done(&["stop", "-t1", "three"]);
        let info = |device: &Device| -> Value {
            serde_json::from_str(&device.done(&["system", "info", "--format=json"]).stdout).unwrap()
        };
        let seen = info(device);
        for (name, wanted) in [
            ("Containers", json!(3)),
            ("ContainersRunning", json!(1)),
            ("ContainersPaused", json!(1)),
            ("ContainersStopped", json!(1)),
            ("Images", json!(1)),
            ("Networks", json!(3)),
            ("KernelVersion", json!(release)),
            ("Driver", json!("overlay2")),
            ("LoggingDriver", json!("json-file")),
            ("DockerRootDir", json!(device.host.state)),
        ] {
            assert_eq!(seen[name], wanted, "{name} of {seen}");
        }
        assert!(seen["MemTotal"].as_u64().unwrap() > 1 << 20, "{seen}");
        std::fs::create_dir_all(device.host.state.join("networks")).unwrap();
        std::fs::write(device.host.state.join("networks/bad"), "{").unwrap();
        let seen = info(device);
        let is_said = |warning: &Value| {
            warning
                .as_str()
                .unwrap()
                .starts_with("network bad is damaged")
        };
        assert!(
            seen["Warnings"].as_array().unwrap().iter().any(is_said),
            "{seen}"
        );
        let said = device.done(&["info"]);
        assert!(
            said.stdout.contains("\nContainers Running: 1\n"),
            "{said:?}"
        );
        assert!(
            said.stderr.contains("warning: network bad is damaged"),
            "{said:?}"
        );
        device.done(&["network", "rm", "bad"]);
        device.done(&["rm", "-f", "one", "two", "three"]);
    });
}

#[test]
fn stats_tell_what_containers_use() {
    on_device("stats", |device| {
        device.push("busy", "while :; do :; done", json!({}));
        let image = |name: &str| device.registry.name(&format!("shop/{name}:1"));
        let limit = ["run", "-d", "--memory=64m", "--network=none", "--name"];
        device.done(&[&limit[..], &["busy", &image("busy")]].concat());
        device.done(&["run", "-d", "--name=idle", &image("v1")]);
        device.done(&["create", "--name=off", &image("v1")]);
        let table = device.done(&["stats", "--no-stream"]).stdout;
        let heading = table.lines().next().unwrap();
        let columns: Vec<&str> = heading
            .split("   ")
            .map(str::trim)
            .filter(|c| !c.is_empty())
            .collect();
        let wanted = "CONTAINER ID,NAME,CPU %,MEM USAGE / LIMIT,MEM %,NET I/O,BLOCK I/O,PIDS";
        assert_eq!(columns.join(","), wanted);
        assert_eq!(table.lines().count(), 3, "{table}");
        let json = device.done(&[
            "container",
            "stats",
            "--no-stream",
            "--format=json",
            "busy",
            "off",
        ]);
        let lines: Vec<Value> = json
            .stdout
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect();
        let number = |text: &Value| -> f64 {
            text.as_str()
                .unwrap()
                .trim_end_matches('%')
                .parse()
                .unwrap()
        };
        assert_eq!(lines[0]["Name"], "busy");
        assert!(number(&lines[0]["CPUPerc"]) > 5.0, "{json:?}");
        assert!(number(&lines[0]["MemPerc"]) > 0.0, "{json:?}");
        assert!(
            lines[0]["MemUsage"]
                .as_str()
                .unwrap()
                .ends_with("B / 64MiB"),
            "{json:?}"
        );
        assert_eq!(lines[0]["PIDs"], "1");
        assert_eq!(lines[0]["NetIO"], "0B / 0B");
        assert_eq!(
            (&lines[1]["CPUPerc"], &lines[1]["PIDs"]),
            (&json!("0.00%"), &json!("0"))
        );
        refused(
            &device.dray(&["stats", "--no-stream", "absent"]),
            "no such container: absent",
        );
        device.done(&["rm", "-f", "busy", "idle", "off"]);
    });
}

#[test]
fn an_image_has_as_many_names_as_it_is_given() {
    on_device("tag", |device| {
        let image = device.registry.name("shop/v1:1");
        device.done(&["pull", &image]);
        device.done(&["tag", &image, "own/web:stable"]);
        device.done(&["image", "tag", "own/web:stable", "web"]);
        let listed = device
            .done(&["images", "--format={{.Repository}}:{{.Tag}}"])
            .stdout;
        for name in [&image[..], "own/web:stable", "web:latest"] {
            assert!(listed.lines().any(|line| line == name), "{name}: {listed}");
        }
        device.done(&[
            "run",
            "--rm",
            "--network=none",
            "--pull=never",
            "web",
            "true",
        ]);
        refused(&device.dray(&["tag", "absent", "x"]), "absent");
        let pinned = device.pinned("v1");
        refused(
            &device.dray(&["tag", &image, &pinned]),
            "a name for an image has no digest",
        );
    });
}

#[test]
fn prune_removes_what_nobody_needs_and_nothing_of_a_deployment() {
    on_device("prune", |device| {
        let deploy = |version: &str, states: &[&str]| {
            let tree = device.tree(
                version,
                &device.artifact(version, "--network none").to_string(),
            );
            for state in states {
                assert!(device.call(state, &tree).succeeded(), "{version} {state}");
            }
        };
        deploy(
            "v1",
            &["Download", "ArtifactInstall", "ArtifactCommit", "Cleanup"],
        );
        // Its predecessor has ended and stays until this one is committed.
        deploy("v2", &["Download", "ArtifactInstall"]);
        let image = device.registry.name("shop/v3:1");
        let other = ["run", "--network=none", "-l", "tier=back", "--name"];
        device.done(&[&other[..], &["ended", &image, "sh", "-c", "echo x >/file"]].concat());
        device.done(&["create", "--name=new", "--network=none", &image]);
        device.done(&["run", "-d", "--name=web", "--network=none", &image]);
        for group in ["container", "image"] {
            let said = format!("{group} prune has been cancelled");
            refused(&device.dray(&[group, "prune"]), &said);
        }
        let none = "Total reclaimed space: 0B\n";
        for filter in ["label=tier=front", "until=24h"] {
            let pruned = device.done(&["container", "prune", "-f", "--filter", filter]);
            assert_eq!(pruned.stdout, none, "{filter}");
        }
        let ended = device.inspect("ended")["Id"].as_str().unwrap().to_owned();
        let pruned = device
            .done(&["container", "prune", "-f", "--filter=label=tier"])
            .stdout;
        let wanted = format!("Deleted Containers:\n{ended}\n\nTotal reclaimed space: 4.096kB\n");
        assert_eq!(pruned, wanted);
        let created = device.inspect("new")["Id"].as_str().unwrap().to_owned();
        let pruned = device.done(&["container", "prune", "-f"]).stdout;
        assert!(
            pruned.starts_with(&format!("Deleted Containers:\n{created}\n\n")),
            "{pruned}"
        );
        assert_eq!(device.done(&["ps", "-aq"]).stdout.lines().count(), 3);

        // A deployment's images have no names, and this one's container runs.
        let layers = device.layers();
        assert_eq!(device.done(&["image", "prune", "-af"]).stdout, none);
        device.done(&["rm", "-f", "web"]);
        // A filter that nothing looks at would take more than was meant.
        for filter in ["label=tier", "label!=tier", "until=24h"] {
            let filtered = device.dray(&["image", "prune", "-f", "--filter", filter]);
            refused(&filtered, "--filter is only for --all");
        }
        assert_eq!(
            device.done(&["image", "prune", "-f"]).stdout,
            none,
            "it has a name"
        );
        let pruned = device.done(&["image", "prune", "-af"]).stdout;
        let wanted = format!("Deleted Images:\nuntagged: {image}\ndeleted: sha256:");
        assert!(pruned.starts_with(&wanted), "{pruned}");
        assert_eq!(device.layers(), layers - 1);
        assert_eq!(device.running(), ["v2"]);
        deploy("v2", &["ArtifactRollback", "ArtifactFailure", "Cleanup"]);
        assert_eq!(device.running(), ["v1"]);
    });
}

#[test]
fn lists_have_filters_sizes_and_columns_of_ones_own() {
    on_device("columns", |device| {
        let image = device.registry.name("shop/v1:1");
        device.push("labelled", "true", json!({"Labels": {"tier": "back"}}));
        let labelled = device.registry.name("shop/labelled:1");
        device.done(&["pull", &labelled]);
        let run = [
            "run",
            "--name=web",
            "--network=none",
            &image,
            "sh",
            "-c",
            "echo x >/file",
        ];
        device.done(&run);
        let table = device.done(&[
            "ps",
            "-a",
            "--format",
            "table {{.Names}}\\t{{.State}}\\t{{.RunningFor}}",
        ]);
        let lines: Vec<&str> = table.stdout.lines().collect();
        assert_eq!(lines[0], "NAMES   STATE    CREATED");
        assert!(lines[1].starts_with("web     exited   "), "{table:?}");
        let sized = device.done(&["ps", "-as"]).stdout;
        assert!(
            sized.lines().next().unwrap().ends_with("   SIZE"),
            "{sized}"
        );
        assert!(sized.contains("   4.096kB (virtual "), "{sized}");
        let size = device
            .done(&["ps", "-asf", "name=^/web$", "--format={{.Size}}"])
            .stdout;
        assert!(size.starts_with("4.096kB (virtual "), "{size}");
        let names = "--format={{.Repository}}:{{.Tag}}";
        let both = format!("{labelled} {image}");
        for (filter, wanted) in [
            ("dangling=false", &both[..]),
            ("dangling=true", ""),
            ("label=tier=back", &labelled),
            ("label=tier=front", ""),
            (&format!("reference={image}"), &image),
            (&format!("since={image}"), ""),
        ] {
            let listed = device.done(&["images", "-f", filter, names]).stdout;
            let mut listed: Vec<&str> = listed.lines().collect();
            listed.sort_unstable();
            assert_eq!(listed.join(" "), wanted, "{filter}");
        }
        let images = device
            .done(&["images", "--format=table {{.Repository}}\\t{{.Size}}"])
            .stdout;
        assert!(images.starts_with("REPOSITORY "), "{images}");
        refused(
            &device.dray(&["images", "-f", "x=y"]),
            "invalid filter \"x\": before, dangling,",
        );
        refused(
            &device.dray(&["rm", "-l", "web"]),
            "--link is not supported: ",
        );
        device.done(&["rm", "web"]);
        device.done(&["run", "-d", "--name=web", "--network=none", &image]);
        let can = |words: &[&str]| {
            let line = ["web", "grep", "CapEff", "/proc/self/status"];
            device.done(&[&["exec"], words, &line].concat()).stdout
        };
        assert_eq!(can(&["--privileged=false"]), can(&[]));
        assert_ne!(can(&["--privileged"]), can(&[]));
        device.done(&["rm", "-f", "web"]);
    });
}

/// What is below the run folder of all containers.
fn run_folders(device: &Device) -> usize {
    std::fs::read_dir(device.host.run.join("containers"))
        .unwrap()
        .count()
}

#[cfg(feature = "failpoints")]
#[test]
fn who_is_removed_once_found_is_no_such_container() {
    on_device("raced", |device| {
        let image = device.registry.name("shop/v1:1");
        device.done(&["network", "create", "front"]);
        let file = device.join("file");
        std::fs::write(&file, "some").unwrap();
        let file = file.to_str().unwrap();
        // whether it runs, exit code, words
        for (runs, code, words) in [
            (false, 1, &["start", "one"][..]),
            (false, 1, &["start", "-a", "one"]),
            (false, 1, &["stop", "one"]),
            (true, 1, &["stop", "one"]),
            (true, 1, &["restart", "-t", "1", "one"]),
            (true, 1, &["kill", "one"]),
            (true, 1, &["kill", "-s", "HUP", "one"]),
            (true, 1, &["pause", "one"]),
            (true, 1, &["unpause", "one"]),
            (false, 1, &["rename", "one", "other"]),
            (false, 1, &["rm", "one"]),
            (false, 0, &["rm", "-f", "one"]),
            (true, 0, &["rm", "-f", "one"]),
            (false, 1, &["wait", "one"]),
            (true, 1, &["wait", "one"]),
            (true, 1, &["attach", "one"]),
            (true, 1, &["logs", "one"]),
            (true, 1, &["logs", "-f", "one"]),
            (true, 1, &["top", "one"]),
            (true, 1, &["exec", "one", "true"]),
            (true, 1, &["exec", "-d", "one", "true"]),
            (false, 1, &["cp", "one:/version", file]),
            (true, 1, &["cp", file, "one:/version"]),
            (true, 1, &["network", "connect", "front", "one"]),
            (true, 1, &["network", "disconnect", "bridge", "one"]),
        ] {
            let make: &[&str] = if runs { &["run", "-d"] } else { &["create"] };
            device.done(&[make, &["--name=one", &image]].concat());
            let output = std::process::Command::new(env!("CARGO_BIN_EXE_dray"))
                .args(words)
                .env("DRAY_CONFIG", &device.host.config)
                .env("DRAY_BREAK", "removed-once-found")
                .stdin(std::process::Stdio::null())
                .output()
                .unwrap();
            assert_eq!(output.status.code(), Some(code), "{words:?}: {output:?}");
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(said, "dray: no such container: one\n", "{words:?}");
            assert_eq!(output.stdout, b"", "{words:?}");
            assert_eq!(device.containers().len(), 0, "{words:?}");
            assert_eq!(run_folders(device), 0, "{words:?}");
        }
    });
}

#[test]
fn who_is_removed_meanwhile_has_ended() {
    on_device("removed-meanwhile", |device| {
        let image = device.registry.name("shop/v1:1");
        let line = "trap 'echo asked' TERM; echo up; while :; do sleep 0.05; done";
        // words, what is on stdout, exit code
        for (words, said, code) in [
            (&["stop", "-t", "1000", "one"][..], "one\n", 0),
            (&["wait", "one"], "137\n", 0),
            (&["attach", "--sig-proxy=false", "one"], "", 137),
            (&["logs", "-f", "one"], "up\n", 0),
            (&["exec", "one", "sleep", "1000"], "", 137),
        ] {
            let run = ["run", "-d", "--network=none", "--name=one", &image];
            device.done(&[&run[..], &["sh", "-c", line]].concat());
            let begun = std::time::Instant::now();
            // What is written while one attaches is shown.
            while device.done(&["logs", "one"]).stdout != "up\n" {
                assert!(begun.elapsed().as_secs() < 60, "{words:?}");
            }
            let word = std::process::Command::new(env!("CARGO_BIN_EXE_dray"))
                .args(words)
                .env("DRAY_CONFIG", &device.host.config)
                .stdin(std::process::Stdio::null())
                .stdout(std::process::Stdio::piped())
                .stderr(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            while !is_at_work(device, words[0], word.id()) {
                assert!(begun.elapsed().as_secs() < 60, "{words:?}");
            }
            device.done(&["rm", "-f", "one"]);
            let output = word.wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(code), "{words:?}: {output:?}");
            assert_eq!(String::from_utf8(output.stdout).unwrap(), said, "{words:?}");
            assert_eq!(output.stderr, b"", "{words:?}");
            assert_eq!(run_folders(device), 0, "{words:?}");
        }
    });
}

/// Whether a word has begun with its container: it has asked it to stop, runs something in it, or is connected to its monitor.
fn is_at_work(device: &Device, word: &str, pid: u32) -> bool {
    if word == "stop" {
        return device.done(&["logs", "one"]).stdout == "up\nasked\n";
    }
    if word == "exec" {
        return device.done(&["top", "one"]).stdout.contains("sleep 1000");
    }
    let mut files = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten();
    files.any(|file| {
        let link = std::fs::read_link(file.unwrap().path());
        link.is_ok_and(|link| link.to_string_lossy().starts_with("socket:"))
    })
}

#[test]
fn the_environment_has_docker_s_order() {
    on_device("env-order", |device| {
        let image = device.registry.name("shop/v1:1");
        let env = |words: &[&str]| {
            let said = device.done(&[words, &["busybox", "env"]].concat()).stdout;
            said.replace("\r\n", " ")
                .replace('\n', " ")
                .trim_end()
                .to_owned()
        };
        let run = ["run", "--rm", "--network=none", "-h", "box"];
        for (options, expected) in [
            (&[][..], "PATH=/bin HOSTNAME=box VERSION=v1 HOME=/"),
            (
                &["-t"],
                "PATH=/bin HOSTNAME=box TERM=xterm VERSION=v1 HOME=/",
            ),
            (
                &["-e", "B=1", "-e", "A=2", "-e", "PATH=/bin:/x", "-e", "B=3"],
                "PATH=/bin:/x HOSTNAME=box B=3 A=2 VERSION=v1 HOME=/",
            ),
            (
                &[
                    "-t",
                    "-e",
                    "TERM=vt",
                    "-e",
                    "HOME=/h",
                    "-e",
                    "VERSION=2",
                    "-e",
                    "HOSTNAME=x",
                ],
                "PATH=/bin HOSTNAME=x TERM=vt HOME=/h VERSION=2",
            ),
        ] {
            let found = env(&[&run[..], options, &[&image]].concat());
            assert_eq!(found, expected, "{options:?}");
        }
        for (name, option) in [("one", "--tty=false"), ("tty", "--tty")] {
            let given = ["-e", "A=1", "-e", "B=2", "--name", name];
            let words = ["run", "-d", "--network=none", "-h", "box", option];
            device.done(&[&words[..], &given, &[&image]].concat());
            for (options, expected) in [
                (&[][..], "PATH=/bin HOSTNAME=box A=1 B=2 VERSION=v1 HOME=/"),
                (
                    &["-t"],
                    "PATH=/bin HOSTNAME=box TERM=xterm A=1 B=2 VERSION=v1 HOME=/",
                ),
                (
                    &["-e", "C=1", "-e", "A=9", "-e", "HOSTNAME=x", "-e", "C=2"],
                    "PATH=/bin HOSTNAME=x A=9 B=2 VERSION=v1 C=2 HOME=/",
                ),
                (
                    &["-u", "77", "-t", "-e", "HOME=/h", "-e", "TERM=vt"],
                    "PATH=/bin HOSTNAME=box TERM=vt A=1 B=2 VERSION=v1 HOME=/h",
                ),
            ] {
                let found = env(&[&["exec"], options, &[name]].concat());
                assert_eq!(found, expected, "{name} {options:?}");
            }
            device.done(&["rm", "-f", name]);
        }
    });
}

#[test]
fn inspect_has_every_field_that_docker_has() {
    on_device("inspect-fields", |device| {
        let image = device.registry.name("shop/v1:1");
        let host = device.join("host");
        std::fs::create_dir(&host).unwrap();
        let bind = format!("{}:/bound:ro", host.display());
        let words = [
            "-dt",
            "--network=none",
            "--name=web",
            "-v",
            &bind,
            "-v",
            "vol:/data",
            "-v",
            "/own",
        ];
        device.done(&[&["run"][..], &words, &[&image]].concat());
        device.done(&[
            "run",
            "-dt",
            "--network=container:web",
            "--name=side",
            &image,
        ]);
        let field = |name: &str, template: &str| {
            let called = device.done(&["inspect", "-f", template, name]);
            called.stdout.trim_end_matches('\n').to_owned()
        };
        let info = device.inspect("web");
        let (id, pid) = (
            info["Id"].as_str().unwrap(),
            info["State"]["Pid"].to_string(),
        );
        let run = device.host.run.join("containers").join(id);
        let state = device.host.state.join("containers").join(id);
        let of = |folder: &std::path::Path, name: &str| folder.join(name).display().to_string();
        for (template, said) in [
            ("{{.Config.Hostname}}", id[..12].to_owned()),
            (
                "{{.HostConfig.Runtime}} {{.HostConfig.IpcMode}} {{.HostConfig.ShmSize}}",
                "runc private 67108864".to_owned(),
            ),
            (
                "{{.HostConfig.NetworkMode}} {{.HostConfig.Memory}}",
                "none 0".to_owned(),
            ),
            (
                "{{.State.Health}} {{.HostConfig.PidsLimit}} {{.ExecIDs}}",
                "<nil> <nil> []".to_owned(),
            ),
            ("{{.HostsPath}}", of(&run, "hosts")),
            ("{{.HostnamePath}}", of(&run, "hostname")),
            ("{{.ResolvConfPath}}", of(&run, "resolv.conf")),
            (
                "{{.Driver}} {{.Platform}} {{.AppArmorProfile}}{{.ProcessLabel}}",
                "overlay2 linux ".to_owned(),
            ),
            (
                "{{.GraphDriver.Name}} {{.GraphDriver.Data.UpperDir}}",
                format!("overlay2 {}", of(&state, "upper")),
            ),
            (
                "{{.GraphDriver.Data.MergedDir}}",
                format!("/proc/{pid}/root"),
            ),
            (
                "{{.NetworkSettings.IPAddress}}|{{.NetworkSettings.SandboxKey}}",
                format!("|/proc/{pid}/ns/net"),
            ),
            (
                "{{.NetworkSettings.Networks.none.MacAddress}}|",
                "|".to_owned(),
            ),
            (
                "{{json .HostConfig.Binds}} {{json .HostConfig.CapAdd}}",
                format!("[\"{bind}\",\"vol:/data\"] null"),
            ),
            (
                "{{range .Mounts}}{{.Destination}}={{.Mode}} {{end}}",
                "/bound=ro /data=z /own= ".to_owned(),
            ),
            (
                "{{index .HostConfig.MaskedPaths 0}}",
                "/proc/asound".to_owned(),
            ),
        ] {
            assert_eq!(field("web", template), said, "{template}");
        }
        let merged = field("web", "{{.GraphDriver.Data.MergedDir}}/etc/hosts");
        let hosts = field("web", "{{.HostsPath}}");
        assert_eq!(
            std::fs::read(merged).unwrap(),
            std::fs::read(&hosts).unwrap()
        );
        assert_eq!(
            field("side", "{{.HostsPath}} {{.Config.Hostname}}"),
            format!("{hosts} {}", &id[..12])
        );
        assert_eq!(
            device
                .done(&["volume", "inspect", "-f", "{{.Options}}", "vol"])
                .stdout,
            "map[]\n"
        );
        let created = device
            .done(&["ps", "-a", "--format={{.CreatedAt}}", "-f", "name=web"])
            .stdout;
        let exact = info["Created"].as_str().unwrap();
        assert_eq!(
            created,
            format!("{} {} +0000 UTC\n", &exact[..10], &exact[11..19])
        );
        device.done(&["rm", "-f", "side"]);
        device.done(&["stop", "-t0", "web"]);
        assert_eq!(
            field("web", "{{.NetworkSettings.SandboxKey}}|{{.State.Pid}}"),
            "|0"
        );
        device.done(&["rm", "web"]);
    });
}

#[test]
fn words_that_are_not_text_name_nothing() {
    use std::os::unix::ffi::OsStrExt;
    on_device("not-text", |device| {
        let odd = std::ffi::OsStr::from_bytes(b"a\xff");
        for (words, code, said) in [
            (
                &["inspect"][..],
                1,
                "dray: no such container, image, network or volume: a\\xff\n",
            ),
            (&["logs"], 1, "dray: no such container: a\\xff\n"),
            (&["exec", "web"], 125, "dray: an argument is not UTF-8\n"),
        ] {
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_dray"));
            command
                .args(words)
                .arg(odd)
                .env("DRAY_CONFIG", &device.host.config);
            let output = command.output().unwrap();
            assert_eq!(output.status.code(), Some(code), "{output:?}");
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert!(stderr.starts_with(said), "{stderr}");
            assert!(stderr.matches("Usage").count() <= 1, "{stderr}");
        }
    });
}
