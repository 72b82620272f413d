//! What takes the room on a device, how it is taken back, and what stays for a way back that nobody has to fetch.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test files need no durable writer; a broken set-up should panic"
)]

mod common;

use std::fs;
use std::process::{Command, Stdio};

use common::device::{Device, on_device, run};
use dray::config::Settings;
use dray::engine::Engine;
use dray::sys::mount::private_namespace;
use serde_json::Value;

const WHOLE: [&str; 4] = ["Download", "ArtifactInstall", "ArtifactCommit", "Cleanup"];

fn deploy(device: &Device, version: &str) {
    let meta = device.artifact(version, "--name web --network none");
    let tree = device.tree(version, &meta.to_string());
    for verb in WHOLE {
        let called = device.call(verb, &tree);
        assert!(called.succeeded(), "{version} {verb}: {called:?}");
    }
}

/// A deployment, a container that has ended, two volumes, and a download that broke off.
fn populate(device: &Device) {
    deploy(device, "v1");
    let image = device.registry.name("shop/v3:1");
    let words = ["run", "--network=none", "--name=ended", "-v", "data:/data"];
    let script = ["-v", "/cache", &image, "sh", "-c", "echo x >/data/file"];
    device.done(&[&words[..], &script].concat());
    device.done(&["network", "create", "front"]);
    let partial = device.host.state.join("partial");
    fs::create_dir_all(&partial).unwrap();
    fs::write(partial.join("5".repeat(64)), vec![0; 5000]).unwrap();
}

fn lines(text: &str) -> Vec<Vec<&str>> {
    text.lines()
        .map(|line| {
            line.split("   ")
                .map(str::trim)
                .filter(|cell| !cell.is_empty())
                .collect()
        })
        .collect()
}

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn df_says_what_takes_the_room_and_what_could_be_had() {
    on_device("df", |device| {
        let said = device.done(&["system", "df"]).stdout;
        let empty: Vec<Vec<&str>> = lines(&said);
        assert_eq!(
            empty,
            [
                vec!["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"],
                vec!["Images", "0", "0", "0B", "0B"],
                vec!["Containers", "0", "0", "0B", "0B"],
                vec!["Local Volumes", "0", "0", "0B", "0B"],
                vec!["Partial Downloads", "0", "0", "0B", "0B"],
            ]
        );
        populate(device);
        let said = device.done(&["system", "df", "--format", "json"]).stdout;
        let rows: Vec<Value> = said
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let counts: Vec<[&str; 3]> = rows
            .iter()
            .map(|row| ["Type", "TotalCount", "Active"].map(|key| row[key].as_str().unwrap()))
            .collect();
        assert_eq!(
            counts,
            [
                ["Images", "2", "2"],
                ["Containers", "2", "1"],
                ["Local Volumes", "2", "2"],
                ["Partial Downloads", "1", "0"],
            ]
        );
        // What is broken off is needed by nobody for certain.
        assert_eq!(rows[3]["Reclaimable"], "5kB (100%)");
        assert_eq!(rows[0]["Reclaimable"], "0B (0%)");
        let template = "{{.Type}}: {{.Size}}";
        let said = device.done(&["system", "df", "--format", template]).stdout;
        assert!(said.ends_with("\nPartial Downloads: 5kB\n"), "{said}");
        device.done(&["rm", "ended"]);
        let said = device.done(&["system", "df"]).stdout;
        let rows = lines(&said);
        assert_eq!(rows[1][1..3], ["2", "1"], "{said}");
        assert!(!rows[1][4].starts_with("0B"), "{said}");

        let said = device.done(&["system", "df", "-v"]).stdout;
        for part in [
            "Images space usage:\n\nREPOSITORY ",
            "UNIQUE SIZE   CONTAINERS\n",
            "\n\nContainers space usage:\n\nCONTAINER ID ",
            "\n\nLocal Volumes space usage:\n\nVOLUME NAME ",
            "\n\nPartial Downloads space usage:\n\nBLOB ",
            "555555555555   5kB ",
        ] {
            assert!(said.contains(part), "{part:?} in {said}");
        }
        let both = device.dray(&["system", "df", "-v", "--format", "json"]);
        assert_eq!(both.status.code(), Some(1));
    });
}

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn prune_takes_all_that_nobody_needs_and_asks_before() {
    on_device("system", |device| {
        populate(device);
        let asked = device.dray(&["system", "prune", "--volumes", "--filter", "label!=x"]);
        assert_eq!(asked.status.code(), Some(1));
        assert_eq!(asked.stderr, "dray: system prune has been cancelled\n");
        assert_eq!(
            asked.stdout,
            "WARNING! This will remove:\n  - all stopped containers that no deployment keeps\n  \
             - all networks not used by at least one container\n  \
             - all anonymous volumes not used by at least one container\n  \
             - all images without a name that no container and no deployment has\n  \
             - partial downloads\n\n  Items to be filtered with:\n  - label!=x\n\n\
             Are you sure you want to continue? [y/N] "
        );
        let both = device.dray(&["system", "prune", "-f", "--volumes", "--filter=until=1h"]);
        assert_eq!(
            both.stderr,
            "dray: the \"until\" filter is not supported with \"--volumes\"\n"
        );
        let said = device
            .done(&["system", "prune", "-f", "--filter=until=1h"])
            .stdout;
        assert_eq!(
            said, "Total reclaimed space: 5kB\n",
            "nothing is that old, but the download that broke off"
        );
        let ended = device.inspect("ended")["Id"].as_str().unwrap().to_owned();
        let said = device.done(&["system", "prune", "-f"]).stdout;
        let wanted =
            format!("Deleted Containers:\n{ended}\n\nDeleted Networks:\nfront\n\nTotal reclaimed");
        assert!(said.starts_with(&wanted), "{said}");
        let partial = device.host.state.join("partial");
        assert_eq!(fs::read_dir(partial).unwrap().count(), 0);
        let named = |word: &str| device.done(&[word, "ls", "-q"]).stdout.lines().count();
        assert_eq!((named("volume"), named("image")), (2, 2));
        let said = device.done(&["system", "prune", "-af", "--volumes"]).stdout;
        assert!(said.starts_with("Deleted Volumes:\n"), "{said}");
        let image = device.registry.name("shop/v3:1");
        assert!(said.contains(&format!("\nuntagged: {image}\ndeleted: sha256:")));
        // A name that somebody gave, and what a deployment has.
        assert_eq!((named("volume"), named("image")), (1, 1));
        assert_eq!(device.running(), ["v1"]);
    });
}

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn the_images_before_stay_if_the_settings_say_so() {
    on_device("previous", |device| {
        let health = "[health]\nstable_s = 1\ntimeout_s = 10\n";
        device.configure(&format!("{health}[store]\nkeep_previous = yes\n"));
        deploy(device, "v1");
        assert_eq!(device.layers(), 2);
        let held = |pins: &[String]| pins.iter().any(|pin| pin == "previous-docker");
        assert!(!held(&device.pins()), "there is none before the first");
        for version in ["v2", "v3"] {
            deploy(device, version);
            assert!(held(&device.pins()));
            // What both share, and one of each.
            assert_eq!(device.layers(), 3, "{version}");
        }
        device.registry.reset_counts();
        deploy(device, "v2");
        assert_eq!(device.registry.count("GET", "/"), 0, "all of it was here");
        device.configure(health);
        deploy(device, "v1");
        assert!(!held(&device.pins()));
        assert_eq!(device.layers(), 2);
    });
}

/// However little a device can give, it can be looked at, and comes up.
#[test]
#[ignore = "needs root: namespaces and mounts"]
fn what_only_looks_needs_no_disk_that_takes_anything() {
    on_device("look", |device| {
        private_namespace().unwrap();
        populate(device);
        let state = device.host.state.to_str().unwrap();
        let said = device.done(&["system", "df"]).stdout;
        run("mount", &["--bind", state, state]);
        run("mount", &["-o", "remount,bind,ro", state]);
        assert_eq!(device.done(&["system", "df"]).stdout, said);
        run("umount", &[state]);
        // Nor does it take away that the device was shut down in order.
        let clean = device.host.state.join("clean-stop");
        device.done(&["boot", "--stop"]);
        for words in [&["ps"][..], &["images"], &["system", "df"], &["verify"]] {
            device.done(words);
            assert!(clean.exists(), "{words:?}");
        }
        device.done(&["volume", "create", "more"]);
        assert!(!clean.exists());
    });
}

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn a_container_that_cannot_be_read_keeps_its_layers() {
    on_device("unread", |device| {
        let image = device.registry.name("shop/v3:1");
        let words = [
            "run",
            "-d",
            "--network=none",
            "--name=one",
            &image,
            "sleep",
            "600",
        ];
        device.done(&words);
        let id = device.inspect("one")["Id"].as_str().unwrap().to_owned();
        let in_use = || {
            let engine = Engine::open_to_look(&device.host, &Settings::default()).unwrap();
            engine.layers_in_use().unwrap()
        };
        let before = in_use();
        assert_eq!(before.len(), device.layers());
        let record = device
            .host
            .state
            .join("containers")
            .join(&id)
            .join("config.json");
        let whole = fs::read(&record).unwrap();
        fs::write(&record, "{").unwrap();
        let unread = in_use();
        fs::write(&record, whole).unwrap();
        assert_eq!(unread, before);
        device.done(&["rm", "-f", "one"]);
        assert!(in_use().is_empty());
    });
}

/// Containers that wait for a volume are started side by side, or where no thread can be had one after the other.
#[test]
#[ignore = "needs root: namespaces and mounts"]
fn a_boot_needs_no_threads() {
    on_device("threads", |device| {
        let image = device.registry.name("shop/v3:1");
        for name in ["one", "two"] {
            device.done(&[
                "volume",
                "create",
                "--opt=type=tmpfs",
                "--opt=device=tmpfs",
                name,
            ]);
            let volume = format!("{name}:/data");
            let words = [
                "run",
                "-d",
                "--network=none",
                "--restart=always",
                "--name",
                name,
            ];
            let rest = ["-v", &volume, &image, "sleep", "600"];
            device.done(&[&words[..], &rest].concat());
        }
        device.lose_power();
        let output = Command::new(env!("CARGO_BIN_EXE_dray"))
            .arg("boot")
            .env("DRAY_CONFIG", &device.host.config)
            // More than there is.
            .env("RUST_MIN_STACK", (1_u64 << 46).to_string())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let up = device.done(&["ps", "-q"]).stdout.lines().count();
        assert_eq!(up, 2);
        device.done(&["rm", "-f", "one", "two"]);
    });
}
