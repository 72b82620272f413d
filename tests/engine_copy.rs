//! `dray cp`: what ends up where, as docker places it, and that no symbolic link of a container leads to the host.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test files need no durable writer; a broken set-up should panic"
)]

mod common;

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use common::device::{Device, on_device};

/// A container that runs, or has ended.
fn start(device: &Device, options: &[&str], runs: bool) {
    let image = device.registry.name("shop/v1:1");
    let line = "mkdir -p /etc/app /sub; ln -s /etc/app /in; ln -s ../../../../etc/app /up; \
                ln -s /outside /out; ln -s /etc/app/link /link";
    let line = line
        .replace("mkdir", "busybox mkdir")
        .replace("ln -s", "busybox ln -s");
    let begin = ["run", "-d", "--name=web", "--network=none"];
    let shell = [&image, "sh", "-c", &line];
    match runs {
        false => {
            let foreground = ["run", "--name=web", "--network=none"];
            device.done(&[&foreground[..], options, &shell].concat());
        }
        true => {
            device.done(&[&begin[..], options, &[&image]].concat());
            device.done(&["exec", "web", "sh", "-c", &line]);
        }
    }
}

/// What a file in the container says, whether that runs or not.
fn inside(device: &Device, path: &str, runs: bool) -> String {
    if runs {
        return device.done(&["exec", "web", "cat", path]).stdout;
    }
    let upper = Path::new("containers").join(device.inspect("web")["Id"].as_str().unwrap());
    let file = device
        .host
        .state
        .join(upper)
        .join("upper")
        .join(path.trim_start_matches('/'));
    fs::read_to_string(file).unwrap()
}

/// A folder of the host with `file`, `tree/a`, `tree/deep/b`, `tree/link` in it.
fn sources(device: &Device) -> PathBuf {
    let dir = device.join("from");
    fs::create_dir_all(dir.join("tree/deep")).unwrap();
    for (name, text) in [("file", "one"), ("tree/a", "a"), ("tree/deep/b", "b")] {
        fs::write(dir.join(name), text).unwrap();
    }
    fs::set_permissions(dir.join("file"), fs::Permissions::from_mode(0o640)).unwrap();
    chown(dir.join("file"), Some(7), Some(8)).unwrap();
    symlink("/etc/shadow", dir.join("tree/link")).unwrap();
    dir
}

fn check(device: &Device, runs: bool) {
    let dir = sources(device);
    let from = |name: &str| dir.join(name).display().to_string();
    start(device, &[], runs);
    let copied = device.done(&["cp", &from("file"), "web:/etc/app"]);
    assert_eq!(copied.stderr, "Successfully copied 3B to web:/etc/app\n");
    for (source, target, seen, text) in [
        ("file", "web:/etc/app/new", "/etc/app/new", "one"),
        ("file", "web:/in", "/etc/app/file", "one"),
        ("file", "web:/in/through", "/etc/app/through", "one"),
        ("file", "web:up/back", "/etc/app/back", "one"),
        // A link at the end leads on, also to what is not there yet.
        ("file", "web:/link", "/etc/app/link", "one"),
        ("tree", "web:/sub", "/sub/tree/deep/b", "b"),
        ("tree", "web:/whole", "/whole/a", "a"),
        ("tree/.", "web:/sub", "/sub/deep/b", "b"),
        ("tree/a", "web:/sub/deep/b", "/sub/deep/b", "a"),
    ] {
        device.done(&["container", "cp", "-q", &from(source), target]);
        assert_eq!(inside(device, seen, runs), text, "{source} {target}");
    }
    // The other way round.
    let to = device.join("to");
    fs::create_dir_all(&to).unwrap();
    let target = to.display().to_string();
    for (source, target, seen, text) in [
        ("web:/etc/app/new", &target[..], "new", "one"),
        ("web:in/new", &format!("{target}/other"), "other", "one"),
        ("web:/sub", &target, "sub/tree/a", "a"),
        ("web:/sub/.", &target, "deep/b", "a"),
        ("web:/version", &target, "version", "v1"),
    ] {
        device.done(&["cp", source, target]);
        assert_eq!(
            fs::read_to_string(to.join(seen)).unwrap(),
            text,
            "{source} {target}"
        );
    }
    // Modes and times are kept, owners only when asked for.
    let [plain, kept] = ["new", "kept"].map(|name| to.join(name));
    let original = fs::metadata(dir.join("file")).unwrap();
    device.done(&["cp", "-a", &from("file"), "web:/owned"]);
    device.done(&["cp", "-a", "web:/owned", &kept.display().to_string()]);
    for (file, owner) in [(plain, (0, 0)), (kept, (7, 8))] {
        let seen = fs::metadata(&file).unwrap();
        assert_eq!((seen.uid(), seen.gid()), owner, "{file:?}");
        assert_eq!(seen.mode(), original.mode());
        assert_eq!(seen.modified().unwrap(), original.modified().unwrap());
    }
    // A link is copied as one unless it is to be followed.
    device.done(&["cp", "web:/in", &target]);
    assert_eq!(fs::read_link(to.join("in")).unwrap(), Path::new("/etc/app"));
    device.done(&["cp", "-L", "web:/link", &target]);
    assert_eq!(fs::read_to_string(to.join("link")).unwrap(), "one");
    check_refusals(device, &from("file"), &target);
    check_links(device, &from("file"), &target);
    device.done(&["rm", "-f", "web"]);
}

fn check_refusals(device: &Device, file: &str, target: &str) {
    for (words, said) in [
        (&["web:/absent", target][..], "failed to find \"/absent\""),
        (
            &[file, "web:/none/"],
            "folder \"/none/\" does not exist: make it first",
        ),
        (&[file, "web:/none/x"], "failed to open folder \"/none\""),
        (
            &["web:/sub", file],
            "failed to copy .: there is no folder of that name",
        ),
        (
            &["web:/version", "web:/sub"],
            "copying between containers is not supported",
        ),
        (&[file, target], "one of both has to be a container's"),
        (
            &["-", "web:/sub"],
            "a tar stream on standard input or output is not supported",
        ),
        (&[file, "absent:/x"], "no such container: absent"),
    ] {
        let refused = device.dray(&[&["cp"], words].concat());
        assert_eq!(refused.status.code(), Some(1), "{words:?}: {refused:?}");
        assert!(refused.stderr.contains(said), "{words:?}: {refused:?}");
    }
}

/// What lies on the host is not reached from a container.
fn check_links(device: &Device, file: &str, target: &str) {
    let outside = Path::new("/outside");
    assert!(!outside.exists());
    // Dangling in there; the container gets it.
    device.done(&["cp", file, "web:/out"]);
    assert!(!outside.exists());
    let secret = device.join("secret");
    fs::write(&secret, "of the host").unwrap();
    let steal = device.join("from/steal");
    symlink(&secret, &steal).unwrap();
    device.done(&["cp", &steal.display().to_string(), "web:/steal"]);
    let refused = device.dray(&["cp", "-L", "web:/steal", target]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
}

#[test]
fn files_are_copied_to_and_from_a_container_that_runs() {
    on_device("copy-running", |device| check(device, true));
}

#[test]
fn files_are_copied_to_and_from_a_container_that_has_ended() {
    on_device("copy-ended", |device| check(device, false));
}

#[test]
fn the_kernels_own_links_lead_nowhere_either() {
    on_device("copy-magic", |device| {
        let file = sources(device).join("file").display().to_string();
        start(device, &["--pid=host"], true);
        let mine = device.join("mine");
        fs::create_dir_all(&mine).unwrap();
        let link = format!("/proc/{}/root{}", std::process::id(), mine.display());
        device.done(&["exec", "web", "busybox", "ln", "-s", &link, "/magic"]);
        for target in ["web:/magic/file", "web:/magic"] {
            let refused = device.dray(&["cp", &file, target]);
            assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        }
        assert_eq!(fs::read_dir(&mine).unwrap().count(), 0);
        device.done(&["rm", "-f", "web"]);
    });
}

#[test]
fn volumes_are_where_the_container_has_them() {
    on_device("copy-volumes", |device| {
        let file = sources(device).join("file").display().to_string();
        let image = device.registry.name("shop/v1:1");
        let fixed = device.join("fixed");
        fs::create_dir_all(&fixed).unwrap();
        let bind = format!("{}:/fixed:ro", fixed.display());
        let options = ["-v", "data:/data", "-v", &bind];
        for (begin, runs) in [(&["run", "-d"][..], true), (&["run"], false)] {
            let end: &[&str] = if runs { &[] } else { &["true"] };
            let name = ["--name=web", "--network=none"];
            device.done(&[begin, &name, &options, &[&image], end].concat());
            device.done(&["cp", &file, "web:/data"]);
            let data = device
                .done(&["volume", "inspect", "-f", "{{.Mountpoint}}", "data"])
                .stdout;
            let copied = Path::new(data.trim()).join("file");
            assert_eq!(fs::read_to_string(&copied).unwrap(), "one");
            fs::remove_file(&copied).unwrap();
            let refused = device.dray(&["cp", &file, "web:/fixed/"]);
            assert!(
                refused.stderr.ends_with("it is read-only there\n"),
                "{refused:?}"
            );
            device.done(&["rm", "-f", "web"]);
        }
        // One that is mounted while it is in use, and a part of another one.
        let create = [
            "volume",
            "create",
            "-o",
            "type=tmpfs",
            "-o",
            "device=tmpfs",
            "fleeting",
        ];
        device.done(&create);
        let data = |name: &str| -> PathBuf {
            let words = ["volume", "inspect", "-f", "{{.Mountpoint}}", name];
            device.done(&words).stdout.trim().into()
        };
        fs::create_dir_all(data("data").join("part")).unwrap();
        let part = "type=volume,src=data,dst=/part,volume-subpath=part";
        let run = ["run", "--name=web", "--network=none", "--mount", part];
        device.done(&[&run[..], &["-v", "fleeting:/fleeting", &image, "true"]].concat());
        device.done(&["cp", &file, "web:/fleeting"]);
        device.done(&["cp", &file, "web:/part"]);
        assert!(data("data").join("part/file").exists());
        assert_eq!(fs::read_dir(data("fleeting")).unwrap().count(), 0);
        for place in ["volumes", "subpaths"] {
            let left = fs::read_dir(device.host.run.join(place)).unwrap();
            assert_eq!(left.count(), 0, "{place}");
        }
        device.done(&["rm", "web"]);
        let name = [
            "create",
            "--read-only",
            "--name=web",
            "--network=none",
            &image,
        ];
        device.done(&name);
        let refused = device.dray(&["cp", &file, "web:/x"]);
        assert!(
            refused
                .stderr
                .contains("the root of container web is read-only"),
            "{refused:?}"
        );
        device.done(&["rm", "web"]);
    });
}

/// What is in a folder, by name.
fn names(dir: &Path) -> Vec<String> {
    let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<String> = fs::read_dir(dir).unwrap().map(name).collect();
    names.sort();
    names
}

#[test]
fn what_a_volume_shows_is_not_copied_onto_or_into_itself() {
    on_device("copy-itself", |device| {
        let app = device.join("app");
        fs::create_dir_all(app.join("deep/er")).unwrap();
        fs::write(app.join("app.json"), "kept").unwrap();
        symlink("app.json", app.join("link")).unwrap();
        let on_host = |name: &str| app.join(name).display().to_string();
        let above = app.parent().unwrap().display().to_string();
        let image = device.registry.name("shop/v1:1");
        let bind = format!("{}:/app", app.display());
        let same = "source and target are the same";
        let within = "the target is the source or lies within it";
        for (begin, runs) in [(&["run", "-d"][..], true), (&["run"], false)] {
            let end: &[&str] = if runs { &[] } else { &["true"] };
            let options = ["--name=web", "--network=none", "-v", &bind, &image];
            device.done(&[begin, &options, end].concat());
            for (options, source, target, said) in [
                (&[][..], "web:/app/app.json", &on_host("")[..], same),
                (&[], "web:/app/app.json", &on_host("app.json"), same),
                (&[], &on_host("app.json"), "web:/app/link", same),
                (&["-L"], "web:/app/link", &on_host("app.json"), same),
                (&[], "web:/app/link", &on_host(""), same),
                (&[], "web:/app", &above, within),
                (&[], "web:/app/.", &on_host(""), within),
                (&[], "web:/app", &on_host("deep/er"), within),
                (&[], "web:/app", &on_host("new"), within),
                (&[], &on_host(""), "web:/app", within),
                (&[], &above, "web:/app/deep", within),
            ] {
                let refused = device.dray(&[&["cp"], options, &[source, target]].concat());
                assert_eq!(refused.status.code(), Some(1), "{source} {target}");
                assert!(refused.stderr.contains(said), "{refused:?}");
                assert_eq!(names(&app), ["app.json", "deep", "link"], "{source}");
                assert_eq!(names(&app.join("deep")), ["er"], "{source}");
                assert_eq!(fs::read_to_string(app.join("app.json")).unwrap(), "kept");
            }
            // Beside it is fine.
            device.done(&["cp", "web:/app/app.json", &on_host("deep/er")]);
            assert_eq!(names(&app.join("deep/er")), ["app.json"]);
            fs::remove_file(app.join("deep/er/app.json")).unwrap();
            device.done(&["rm", "-f", "web"]);
        }
    });
}

#[test]
fn a_full_disk_leaves_what_is_there() {
    on_device("copy-full", |device| {
        let image = device.registry.name("shop/v1:1");
        let large = device.join("large");
        fs::write(&large, vec![7; 2 << 20]).unwrap();
        let [large, old] = [large, device.join("old")].map(|path| path.display().to_string());
        fs::write(&old, "old").unwrap();
        let small = ["--name=web", "--network=none", "--tmpfs=/small:size=1m"];
        device.done(&[&["run", "-d"][..], &small, &[&image]].concat());
        device.done(&["cp", &old, "web:/small/old"]);
        let refused = device.dray(&["cp", &large, "web:/small/old"]);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(refused.stderr.contains("No space left"), "{refused:?}");
        assert_eq!(inside(device, "/small/old", true), "old");
        let left = device.done(&["exec", "web", "busybox", "ls", "-A", "/small"]);
        assert_eq!(left.stdout, "old\n");
        device.done(&["rm", "-f", "web"]);
    });
}

#[test]
fn what_is_copied_before_the_first_start_is_seen_after_it() {
    on_device("copy-created", |device| {
        let file = sources(device).join("file").display().to_string();
        let image = device.registry.name("shop/v1:1");
        let single = format!("{file}:/else/where/single:ro");
        let create = ["create", "--name=web", "--network=none", "-v", &single];
        device.done(&[&create[..], &["-v", "data:/not/there", &image]].concat());
        device.done(&["cp", &file, "web:/not/there"]);
        let out = device.join("out").display().to_string();
        device.done(&["cp", "web:/else/where/single", &out]);
        assert_eq!(fs::read_to_string(&out).unwrap(), "one");
        device.done(&["start", "web"]);
        for path in ["/not/there/file", "/else/where/single"] {
            assert_eq!(inside(device, path, true), "one", "{path}");
        }
        device.done(&["rm", "-f", "web"]);
    });
}
