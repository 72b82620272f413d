//! Containers when something around them is broken: a full disk, damaged records, a reader that has gone, others at work.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test files need no durable writer; a broken set-up should panic"
)]

mod common;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use common::device::{Device, on_device, run};
use dray::oci::Digest;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// Rounds of containers that come and go beside each other.
const ROUNDS: usize = 4;
/// Containers in a round.
const BESIDE: usize = 8;

fn run_sleeper(device: &Device, name: &str) {
    let image = device.registry.name("shop/v1:1");
    let words = [
        "run",
        "-d",
        "--network",
        "none",
        "--restart",
        "always",
        "--name",
        name,
        &image,
    ];
    device.done(&words);
}

fn record_of(device: &Device, name: &str) -> PathBuf {
    let all = device.containers();
    let (record, _) = all.iter().find(|(record, _)| record.name == name).unwrap();
    device
        .host
        .state
        .join("containers")
        .join(&record.id)
        .join("config.json")
}

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn who_fills_the_disk_can_be_stopped_killed_and_removed() {
    on_device("full", |device| {
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        fs::create_dir_all(&device.host.state).unwrap();
        mount(
            Some("tmpfs"),
            &device.host.state,
            Some("tmpfs"),
            MsFlags::empty(),
            Some("size=200m"),
        )
        .unwrap();
        for (name, words) in [
            ("stopped", &["stop", "-t", "0", "stopped"][..]),
            ("killed", &["kill", "killed"]),
            ("removed", &["rm", "-f", "removed"]),
        ] {
            run_sleeper(device, name);
            let mut filler = fs::File::create(device.host.state.join("filler")).unwrap();
            let error = std::io::copy(&mut std::io::repeat(0), &mut filler).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
            device.done(words);
            device.done(&["wait", "stopped"]);
            fs::remove_file(device.host.state.join("filler")).unwrap();
            assert_eq!(device.running(), [""; 0], "{words:?}");
        }
        device.done(&["start", "stopped"]);
        assert_eq!(device.running(), ["v1"], "started again once there is room");
        device.done(&["rm", "-f", "stopped", "killed"]);
    });
}

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn a_damaged_record_is_nobody_elses_obstacle() {
    on_device("damaged", |device| {
        for (damage, said) in [
            (Some(""), "EOF while parsing"),
            (Some("{garb"), "key must be a string"),
            (Some("{\"Version\":99}"), "missing field"),
            (None, "is missing"),
        ] {
            run_sleeper(device, "good");
            run_sleeper(device, "bad");
            let record = record_of(device, "bad");
            let id = record
                .parent()
                .unwrap()
                .file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            match damage {
                Some(text) => fs::write(&record, text).unwrap(),
                None => fs::remove_file(&record).unwrap(),
            }
            let listed = device.done(&["ps", "--format", "json"]);
            assert!(
                listed.stdout.contains("\"good\"") && !listed.stdout.contains("\"bad\""),
                "{listed:?}"
            );
            let warning = format!("container {} is damaged", &id[..12]);
            assert!(
                listed.stderr.contains(&warning) && listed.stderr.contains(said),
                "{damage:?}: {listed:?}"
            );
            let image = device.registry.name("shop/v1:1");
            device.done(&["run", "--rm", "--network", "none", &image, "true"]);
            let boot = device.dray(&["boot"]);
            assert!(
                !boot.status.success() && boot.stderr.contains(&warning),
                "{boot:?}"
            );
            let tree = device.tree("v2", &device.artifact("v2", "").to_string());
            for state in ["Download", "ArtifactInstall", "ArtifactRollback", "Cleanup"] {
                assert!(device.call(state, &tree).succeeded(), "{damage:?}: {state}");
            }
            let refused = device.dray(&["rm", &id[..12]]);
            assert!(
                !refused.status.success() && refused.stderr.contains(said),
                "{refused:?}"
            );
            device.done(&["rm", "-f", &id[..12], "good"]);
            assert!(device.containers().is_empty());
            assert_eq!(device.pins(), [""; 0]);
        }
    });
}

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn a_damaged_store_file_is_written_anew() {
    on_device("header", |device| {
        run_sleeper(device, "one");
        let header = device.host.state.join("store.json");
        let sound = fs::read_to_string(&header).unwrap();
        for (damage, said) in [
            ("", "EOF while parsing"),
            ("{\"vers", "EOF while parsing"),
            ("\0\0\0\0\0\0\0\0\0\0\0\0\0", "expected value"),
            ("{}", "missing field `version`"),
        ] {
            for words in [
                &["ps", "-q"][..],
                &["logs", "one"],
                &["restart", "-t0", "one"],
            ] {
                fs::write(&header, damage).unwrap();
                let called = device.done(words);
                let warning = format!("dray: warning: {header:?} was damaged ({said}");
                assert!(
                    called.stderr.starts_with(&warning),
                    "{damage:?}: {called:?}"
                );
                assert_eq!(fs::read_to_string(&header).unwrap(), sound);
                assert_eq!(device.done(words).stderr, "", "{words:?}: once is enough");
            }
            fs::write(&header, damage).unwrap();
            let tree = device.tree("v2", &device.artifact("v2", "").to_string());
            let called = device.call("Download", &tree);
            assert!(
                called.succeeded() && called.stderr.contains(said),
                "{called:?}"
            );
            assert!(device.call("Cleanup", &tree).succeeded());
        }
        fs::write(&header, "{\"version\":2}").unwrap();
        let refused = device.dray(&["ps"]);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(
            refused.stderr.contains("use the dray that wrote it"),
            "{refused:?}"
        );
        fs::write(&header, sound).unwrap();
        device.done(&["rm", "-f", "one"]);
    });
}

/// A record with one wrong digit reads well: only what it names tells.
#[test]
#[ignore = "needs root: namespaces and mounts"]
fn a_record_that_names_what_is_not_there_keeps_everything_until_it_is_repaired() {
    on_device("digit", |device| {
        let image = device.registry.name("shop/v1:1");
        device.done(&["pull", &image]);
        let tree = device.tree("v2", &device.artifact("v2", "").to_string());
        for state in ["Download", "ArtifactInstall", "ArtifactCommit"] {
            assert!(device.call(state, &tree).succeeded(), "{state}");
        }
        let record = device.host.state.join("names");
        let record = record.join(Digest::of(image.as_bytes()).hex());
        let sound = fs::read_to_string(&record).unwrap();
        // The last digit of the last layer.
        let at = sound.rfind("\"]").unwrap() - 1;
        let mut bytes = sound.clone().into_bytes();
        bytes[at] = if bytes[at] == b'1' { b'3' } else { b'1' };
        fs::write(&record, bytes).unwrap();
        let layers = device.layers();
        let collected = device.done(&["gc"]);
        assert_eq!(collected.stdout, "Total reclaimed space: 0B\n");
        for said in [&*image, "verify --repair", "nothing is removed until"] {
            assert!(collected.stderr.contains(said), "{collected:?}");
        }
        let cleaned = device.call("Cleanup", &tree);
        assert!(cleaned.succeeded(), "{cleaned:?}");
        let said = "failed to collect unused layers: failed to read record";
        assert!(cleaned.stderr.contains(said), "{cleaned:?}");
        assert_eq!(device.layers(), layers);
        let repaired = device.done(&["verify", "--repair"]);
        assert!(repaired.stdout.contains("all brought back"), "{repaired:?}");
        assert_eq!(fs::read_to_string(&record).unwrap(), sound);
        assert_eq!(device.done(&["gc"]).stderr, "");
        assert_eq!(device.layers(), layers);
        device.done(&["run", "--rm", "--network=none", &image, "true"]);
    });
}

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn a_damaged_name_or_pin_costs_no_other_image_and_no_layer() {
    on_device("name", |device| {
        let [bad, good] = ["v1", "v2"].map(|name| device.registry.name(&format!("shop/{name}:1")));
        run_sleeper(device, "one");
        device.done(&["pull", &good]);
        let (layers, id) = (device.layers(), device.inspect("one")["Id"].clone());
        let id = id.as_str().unwrap();
        let name = device
            .host
            .state
            .join("names")
            .join(Digest::of(bad.as_bytes()).hex());
        let pin = device.host.state.join(format!("pins/container-{id}"));
        for (record, remedy) in [
            (
                &name,
                "pull its image again, which writes it anew, or remove the file",
            ),
            (&pin, "remove the container that it is named after"),
        ] {
            let sound = fs::read(record).unwrap();
            for damage in [
                &b""[..],
                b"{garb",
                &sound[..sound.len() / 2],
                b"{\"version\":9}",
            ] {
                fs::write(record, damage).unwrap();
                check_others(device, &good);
                let listed = device.done(&["images"]);
                let said = format!("dray: warning: failed to read record {record:?}: ");
                assert!(listed.stderr.starts_with(&said), "{listed:?}");
                assert!(listed.stderr.contains(remedy), "{listed:?}");
                assert!(listed.stdout.contains("shop/v2"), "{listed:?}");
                let collected = device.done(&["gc"]);
                assert_eq!(collected.stdout, "Total reclaimed space: 0B\n");
                assert!(collected.stderr.contains(remedy), "{collected:?}");
                assert!(
                    collected.stderr.contains("nothing is removed"),
                    "{collected:?}"
                );
                assert_eq!(device.layers(), layers, "nothing is collected");
            }
            fs::write(record, sound).unwrap();
        }
        // Each remedy helps, and a run brings what it wants by itself.
        let never = [
            "run",
            "--rm",
            "--network=none",
            "--pull=never",
            &bad,
            "true",
        ];
        fs::write(&pin, "").unwrap();
        device.done(&["rm", "-f", "one"]);
        device.done(&["gc"]);
        for words in [
            &["pull", &bad][..],
            &["run", "--rm", "--network=none", &bad, "true"],
        ] {
            fs::write(&name, "{").unwrap();
            let refused = device.dray(&never);
            assert_eq!(refused.status.code(), Some(125), "{refused:?}");
            assert!(
                refused.stderr.contains("pull its image again"),
                "{refused:?}"
            );
            device.done(words);
            assert_eq!(device.done(&["images"]).stderr, "", "{words:?}");
            device.done(&never);
        }
        device.done(&["gc"]);
    });
}

/// Words about another image and about containers, while a record is damaged.
fn check_others(device: &Device, good: &str) {
    device.done(&["restart", "-t0", "one"]);
    for words in [
        &["ps"][..],
        &["logs", "one"],
        &["inspect", "one", good],
        &["volume", "ls"],
    ] {
        assert_eq!(device.done(words).stderr, "", "{words:?}");
    }
    device.done(&["run", "--rm", "--network=none", good, "true"]);
    let tree = device.tree("v2", &device.artifact("v2", "--network none").to_string());
    for state in ["Download", "ArtifactInstall", "ArtifactRollback", "Cleanup"] {
        assert!(device.call(state, &tree).succeeded(), "{state}");
    }
    assert_eq!(device.running(), ["v1"]);
}

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn what_is_written_again_and_again_is_made_up_for() {
    on_device("torn", |device| {
        run_sleeper(device, "one");
        let record = record_of(device, "one");
        for (file, said) in [("intent.json", ""), ("outcome.json", "failed to read ")] {
            let file = record.with_file_name(file);
            for damage in ["", "{", "\0\0\0\0", "7"] {
                device.done(&["stop", "-t0", "one"]);
                fs::write(&file, damage).unwrap();
                let listed = device.done(&["ps", "-a"]);
                assert_eq!(listed.stderr, "", "{file:?}");
                assert!(listed.stdout.contains("Exited ("), "{listed:?}");
                let error = device.inspect("one")["State"]["Error"].clone();
                assert!(
                    error.as_str().unwrap().starts_with(said),
                    "{file:?}: {error}"
                );
                device.done(&["start", "one"]);
                assert_eq!(device.running(), ["v1"], "{file:?} {damage:?}");
                device.done(&["stop", "-t0", "one"]);
                let healed = fs::read_to_string(&file).unwrap();
                assert!(healed.ends_with('}'), "{file:?}: {healed}");
                assert_eq!(device.inspect("one")["State"]["Error"], "");
            }
        }
        // What ran before the power went away runs again.
        device.done(&["start", "one"]);
        for file in ["intent.json", "outcome.json"] {
            fs::write(record.with_file_name(file), "").unwrap();
        }
        device.lose_power();
        device.done(&["boot"]);
        assert_eq!(device.running(), ["v1"]);
        device.done(&["stop", "-t0", "one"]);
        device.lose_power();
        device.done(&["boot"]);
        assert_eq!(device.running(), ["v1"], "--restart always");
        device.done(&["rm", "-f", "one"]);
    });
}

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn a_damaged_container_keeps_volumes_and_no_other_container() {
    on_device("volumes", |device| {
        let image = device.registry.name("shop/v1:1");
        let run = ["run", "--network=none", "-v", "/own", "-v", "named:/named"];
        run_sleeper(device, "bad");
        let record = record_of(device, "bad");
        let sound = fs::read(&record).unwrap();
        device.done(&[&run[..], &["--name=stays", &image, "true"]].concat());
        fs::write(&record, "").unwrap();
        let volumes = || device.done(&["volume", "ls", "-q"]).stdout.lines().count();
        // They go, and what the damaged one may have taken over stays.
        device.done(&[&run[..], &["--rm", &image, "true"]].concat());
        device.done(&["rm", "-v", "stays"]);
        assert_eq!(volumes(), 3);
        let id = record.parent().unwrap().file_name().unwrap();
        let id = &id.to_str().unwrap()[..12];
        let said = format!(
            "container {id} is damaged and may have this volume; `dray rm -f {id}` removes"
        );
        for words in [&["volume", "rm", "named"][..], &["volume", "prune", "-f"]] {
            let refused = device.dray(words);
            assert_eq!(refused.status.code(), Some(1), "{refused:?}");
            assert!(refused.stderr.contains(&said), "{refused:?}");
        }
        assert_eq!(volumes(), 3);
        let dangling = ["volume", "ls", "-q", "--filter", "dangling=true"];
        assert_eq!(device.done(&dangling).stdout, "");
        // As it was: only what is known counts.
        fs::write(&record, sound).unwrap();
        assert_eq!(device.done(&dangling).stdout.lines().count(), 3);
        device.done(&[&run[..], &["--rm", &image, "true"]].concat());
        assert_eq!(volumes(), 3);
        device.done(&["volume", "prune", "-f"]);
        device.done(&["volume", "rm", "named"]);
        assert_eq!(volumes(), 0);
        device.done(&["rm", "-f", "bad"]);
    });
}

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn a_damaged_note_costs_a_volume_its_labels_and_not_its_data() {
    on_device("note", |device| {
        let image = device.registry.name("shop/v1:1");
        let mount = ["run", "--rm", "--network=none", "-v", "named:/data", &image];
        for name in ["named", "other"] {
            device.done(&["volume", "create", "--label", "a=b", name]);
        }
        device.done(&[&mount[..], &["sh", "-c", "echo kept >/data/file"]].concat());
        let note = device.host.state.join("volumes/named/volume.json");
        for damage in ["", "{\"Version\":1", "{\"Version\":9,\"Created\":\"\"}"] {
            fs::write(&note, damage).unwrap();
            let read = device.done(&[&mount[..], &["cat", "/data/file"]].concat());
            assert_eq!((read.stdout.as_str(), read.stderr.as_str()), ("kept\n", ""));
            for words in [&["ls", "-q"][..], &["inspect", "named", "other"]] {
                let called = device.done(&[&["volume"], words].concat());
                let said = "dray: warning: volume named has lost its labels, its data is there: ";
                assert!(called.stderr.starts_with(said), "{called:?}");
                assert!(called.stdout.contains("other"), "{called:?}");
            }
        }
        // Where there is no data, it may have been a note of what is to be mounted.
        let empty = device.host.state.join("volumes/other/volume.json");
        fs::write(&empty, "").unwrap();
        let refused = device.dray(&["run", "--rm", "-v", "other:/data", &image, "true"]);
        assert_eq!(refused.status.code(), Some(125), "{refused:?}");
        let said = "volume other at /data: it has no data here and nobody knows";
        assert!(refused.stderr.contains(said), "{refused:?}");
        fs::remove_file(&empty).unwrap();
        fs::remove_file(&note).unwrap();
        assert_eq!(device.done(&["volume", "ls"]).stderr, "");
        device.done(&["volume", "rm", "named", "other"]);
    });
}

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn a_damaged_network_is_not_in_the_way_of_the_others() {
    on_device("network", |device| {
        let image = device.registry.name("shop/v1:1");
        for name in ["bad", "good"] {
            device.done(&["network", "create", name]);
        }
        let definition = device.host.state.join("networks/bad");
        for damage in ["", "{", "\0\0\0\0", "{\"version\":1}", "{\"version\":9}"] {
            fs::write(&definition, damage).unwrap();
            for words in [
                &["ps"][..],
                &["run", "--rm", "--network=good", &image, "true"],
                &["run", "--rm", &image, "true"],
                &["network", "inspect", "good"],
                &["boot"],
            ] {
                assert_eq!(device.done(words).stderr, "", "{words:?}");
            }
            let said = match damage.contains('9') {
                true => "network bad is damaged: network state ",
                false => "network bad is damaged: failed to understand network state",
            };
            let listed = device.dray(&["network", "ls"]);
            assert!(listed.stdout.contains("good"), "{listed:?}");
            assert_eq!(listed.status.code(), Some(1), "one is missing");
            for called in [listed, device.dray(&["network", "create", "more"])] {
                assert!(called.stderr.contains(said), "{called:?}");
                assert!(
                    called
                        .stderr
                        .ends_with("; `dray network rm bad` removes it\n"),
                    "{called:?}"
                );
            }
            for words in [
                &["network", "inspect", "bad"][..],
                &["run", "--rm", "--network=bad", &image, "true"],
            ] {
                let refused = device.dray(words);
                assert!(!refused.status.success(), "{refused:?}");
                assert!(refused.stderr.contains("networks/bad"), "{refused:?}");
            }
            device.done(&["network", "rm", "bad"]);
            device.done(&["network", "create", "bad"]);
        }
        device.done(&["network", "rm", "bad", "good"]);
    });
}

/// Puts the device's state on a disk of its own that turns read-only as soon as its filesystem finds an error.
fn put_on_a_disk(device: &Device) -> PathBuf {
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    fs::create_dir_all(&device.host.state).unwrap();
    let (image, state) = (device.join("disk"), device.host.state.to_str().unwrap());
    fs::File::create(&image)
        .unwrap()
        .set_len(200 << 20)
        .unwrap();
    run("mkfs.ext4", &["-q", image.to_str().unwrap()]);
    let options = ["-o", "loop,errors=remount-ro"];
    run(
        "mount",
        &[&options[..], &[image.to_str().unwrap(), state]].concat(),
    );
    let mounts = fs::read_to_string("/proc/thread-self/mounts").unwrap();
    let ours = mounts.lines().find(|line| line.contains(state)).unwrap();
    let name = ours.split_once(' ').unwrap().0.trim_start_matches("/dev/");
    PathBuf::from(format!("/sys/fs/ext4/{name}/trigger_fs_error"))
}

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn with_a_read_only_disk_one_can_look_and_stop() {
    on_device("read-only", |device| {
        let trigger = put_on_a_disk(device);
        let [image, other] =
            ["v1", "v2"].map(|name| device.registry.name(&format!("shop/{name}:1")));
        let line = "trap 'exit 5' TERM; echo own > /own; echo kept > /data/kept; rm /version; echo up; \
                    while :; do sleep 0.05; done";
        for name in ["one", "passing", "ended"] {
            let words = [
                "run",
                "-d",
                "--network=none",
                "-v",
                "kept:/data",
                "--name",
                name,
                &image,
                "sh",
                "-c",
                line,
            ];
            device.done(&words);
        }
        device.done(&["stop", "ended"]);
        device.done(&["rm", "-f", "passing"]);
        device.done(&["volume", "create", "vol"]);
        device.done(&["network", "create", "net"]);
        device.done(&["tag", &image, "own/web:1"]);
        let words = [
            "run",
            "--rm",
            "--network=none",
            "-v",
            "kept:/data",
            "--name=brief",
            &image,
            "sh",
            "-c",
            line,
        ];
        let mut brief = Command::new(env!("CARGO_BIN_EXE_dray"));
        brief.args(words).env("DRAY_CONFIG", &device.host.config);
        let mut brief = brief
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut up = [0; 3];
        std::io::Read::read_exact(brief.stdout.as_mut().unwrap(), &mut up).unwrap();
        // What the next start would tidy up.
        for folder in ["containers", "names", "volumes", "blobs/sha256"] {
            fs::write(device.host.state.join(folder).join(".tmp-4194305-0"), "").unwrap();
        }
        fs::write(device.host.state.join("clean-stop"), "").unwrap();
        let gone = device
            .host
            .state
            .join(format!("pins/container-{}", "0".repeat(64)));
        fs::write(gone, "{\"version\":1,\"images\":[]}").unwrap();
        fs::write(trigger, "an error").unwrap();
        let probe = fs::write(device.host.state.join("probe"), "").unwrap_err();
        assert_eq!(probe.kind(), std::io::ErrorKind::ReadOnlyFilesystem);

        look(device, &image);
        // What it wrote is read without the overlay that would write; so is what it has removed, and a volume.
        for (path, wanted) in [("/own", "own\n"), ("/data/kept", "kept\n")] {
            let target = device.join("copied");
            let source = format!("ended:{path}");
            device.done(&["cp", &source, target.to_str().unwrap()]);
            assert_eq!(fs::read_to_string(&target).unwrap(), wanted);
        }
        let gone = device.dray(&["cp", "ended:/version", "-"]);
        assert!(
            gone.stderr.contains("failed to find \"/version\""),
            "{gone:?}"
        );
        for (words, code) in [
            (&["run", "--network=none", &image, "true"][..], 125),
            (&["create", &image], 1),
            (&["start", "ended"], 1),
            (&["restart", "one"], 1),
            (&["pull", &other], 1),
            (&["rmi", "own/web:1"], 1),
            (&["rm", "ended"], 1),
            (&["cp", "/etc/hostname", "ended:/own"], 1),
            (&["rename", "ended", "renamed"], 1),
            (&["volume", "create", "more"], 1),
            (&["volume", "rm", "vol"], 1),
            (&["network", "create", "more"], 1),
            (&["network", "rm", "net"], 1),
        ] {
            let called = device.dray(words);
            assert_eq!(called.status.code(), Some(code), "{words:?}: {called:?}");
            let said = "Read-only file system (os error 30); the disk is read-only, as after";
            assert!(called.stderr.contains(said), "{words:?}: {called:?}");
        }

        assert_eq!(device.inspect("one")["State"]["Running"], true);
        device.done(&["stop", "one", "brief"]);
        assert_eq!(
            brief.wait().unwrap().code(),
            Some(5),
            "its exit code is known"
        );
        look(device, &image);
        for name in ["one", "brief", "ended"] {
            let state = device.inspect(name)["State"].clone();
            assert_eq!(
                (&state["Status"], &state["ExitCode"]),
                (&"exited".into(), &5.into())
            );
        }
        let boot = device.dray(&["boot"]);
        assert_eq!(boot.status.code(), Some(1), "{boot:?}");
        let hint =
            "check the filesystem and mount it again; then `dray boot` starts what is to run\n";
        assert_eq!(boot.stderr.matches(hint).count(), 1, "{boot:?}");
        run("umount", &[device.host.state.to_str().unwrap()]);
    });
}

/// Every word that only reads, and those that change nothing on the disk.
fn look(device: &Device, image: &str) {
    for words in [
        &["ps"][..],
        &["ps", "-a", "--format=json"],
        &["logs", "one"],
        &["cp", "ended:/etc/hostname", "-"],
        &["inspect", "one", image, "vol"],
        &["images"],
        &["volume", "ls"],
        &["volume", "inspect", "vol"],
        &["network", "ls"],
        &["network", "inspect", "net"],
        &["explain", "-v", "/x", image],
        &["wait", "ended"],
        &["gc", "--dry-run"],
    ] {
        let called = device.done(words);
        assert_eq!(called.stderr, "", "{words:?}");
        assert_ne!(called.stdout, "", "{words:?}");
    }
}

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn containers_that_come_and_go_beside_each_other_do_not_disturb() {
    on_device("beside", |device| {
        let image = device.registry.name("shop/v1:1");
        device.done(&["pull", &image]);
        let program = |words: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_dray"));
            command.args(words).env("DRAY_CONFIG", &device.host.config);
            command
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
            command.spawn().unwrap()
        };
        for round in 0..ROUNDS {
            let mut going = Vec::new();
            for number in 0..BESIDE {
                let line = format!("exit {}", 10 + number);
                let words = [
                    "run",
                    "--rm",
                    "--network",
                    "none",
                    &image,
                    "sh",
                    "-c",
                    &line,
                ];
                going.push((10 + number as i32, program(&words)));
                going.push((0, program(&["ps", "-a"])));
                going.push((0, program(&["gc"])));
            }
            for (code, child) in going {
                let output = child.wait_with_output().unwrap();
                assert_eq!(
                    output.status.code(),
                    Some(code),
                    "round {round}: {output:?}"
                );
            }
            assert!(device.containers().is_empty(), "round {round}");
        }
    });
}

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn a_reader_that_has_gone_and_a_full_output() {
    on_device("unread", |device| {
        for name in ["one", "two"] {
            run_sleeper(device, name);
        }
        let call = |words: &[&str], output: Stdio| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_dray"));
            command.args(words).env("DRAY_CONFIG", &device.host.config);
            let output = command
                .stdin(Stdio::null())
                .stdout(output)
                .output()
                .unwrap();
            (output.status, String::from_utf8(output.stderr).unwrap())
        };
        let full = || {
            Stdio::from(
                fs::OpenOptions::new()
                    .write(true)
                    .open("/dev/full")
                    .unwrap(),
            )
        };
        let (status, said) = call(&["ps"], full());
        assert_eq!(status.code(), Some(1), "{said}");
        assert_eq!(
            said,
            "dray: failed to write to standard output: No space left on device (os error 28)\n"
        );
        let unread = || Stdio::from(std::io::pipe().unwrap().1);
        for words in [&["ps"][..], &["images"], &["--help"], &["inspect", "one"]] {
            let (status, said) = call(words, unread());
            let signal = std::os::unix::process::ExitStatusExt::signal(&status);
            assert_eq!(
                (signal, said.as_str()),
                (Some(nix::libc::SIGPIPE), ""),
                "{words:?}"
            );
        }
        let image = device.registry.name("shop/v1:1");
        let run = ["run", "--name=loud", "--network=none", &image];
        let line = ["sh", "-c", "while :; do echo loud; done"];
        let (status, said) = call(&[&run[..], &line].concat(), unread());
        assert_eq!((status.code(), said.as_str()), (Some(141), ""));
        device.done(&["rm", "-f", "loud"]);
        let (status, said) = call(&["rm", "-f", "one", "two"], unread());
        assert_eq!(status.code(), Some(1), "{said}");
        assert!(
            device.containers().is_empty(),
            "all of them go, whoever reads: {said}"
        );
    });
}

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn a_container_without_a_network_has_its_loopback() {
    on_device("loopback", |device| {
        let image = device.registry.name("shop/v1:1");
        let line = "cat /sys/class/net/lo/flags";
        let words = ["run", "--rm", "--network", "none", &image, "sh", "-c", line];
        // Up and loopback.
        assert_eq!(device.done(&words).stdout, "0x9\n");
    });
}

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn a_configuration_that_somebody_named_has_to_exist() {
    on_device("unnamed", |device| {
        fs::remove_file(&device.host.config).unwrap();
        let called = device.dray(&["ps"]);
        assert_eq!(called.status.code(), Some(1));
        let path = device.host.config.display();
        let wanted = format!("dray: failed to read settings {path}");
        assert!(called.stderr.starts_with(&wanted), "{called:?}");
    });
}
