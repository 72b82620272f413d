//! `dray cp`: what ends up where, as docker places it, and that no symbolic link of a container leads to the host.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test files need no durable writer; a broken set-up should panic"
)]

mod common;

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::device::{Device, on_device, run};
use common::fed;
use common::image::{Entry, tar};
use dray::sys::beneath;

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
    // Modes and times are kept; owners always into the container, out of it only when asked for.
    let [plain, kept, asked] = ["new", "kept", "asked"].map(|name| to.join(name));
    let original = fs::metadata(dir.join("file")).unwrap();
    device.done(&["cp", &from("file"), "web:/owned"]);
    device.done(&["cp", "-a", "web:/owned", &kept.display().to_string()]);
    device.done(&["cp", "-a", &from("file"), "web:/asked"]);
    device.done(&["cp", "-a", "web:/asked", &asked.display().to_string()]);
    for (file, owner) in [(plain, (0, 0)), (kept, (7, 8)), (asked, (7, 8))] {
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
        (&["web:/sub", file], "cannot copy directory: "),
        (
            &["web:/version", "web:/sub"],
            "copying between containers is not supported",
        ),
        (&[file, target], "one of both has to be a container's"),
        (
            &["web:/version/", target],
            "\"/version/\" is not a directory",
        ),
        (&[file, "-"], "one of both has to be a container's"),
        (
            &["-", "web:/version"],
            "destination \"web:/version\" must be a directory",
        ),
        (
            &["-", "web:/none"],
            "destination \"web:/none\" must be a directory",
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
                refused
                    .stderr
                    .starts_with("dray: mounted volume is marked read-only"),
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

#[test]
fn of_a_root_that_is_read_only_only_volumes_take_files() {
    on_device("copy-read-only", |device| {
        let file = sources(device).join("file").display().to_string();
        let image = device.registry.name("shop/v1:1");
        for (begin, runs) in [(&["run", "-d"][..], true), (&["run"], false)] {
            let end: &[&str] = if runs { &[] } else { &["true"] };
            let fixed = ["--read-only", "--name=web", "--network=none"];
            let places = ["-v", "data:/data", "--tmpfs=/fleeting"];
            device.done(&[begin, &fixed, &places, &[&image], end].concat());
            for target in ["web:/x", "web:/etc", "web:/etc/hosts", "web:/data/../y"] {
                let refused = device.dray(&["cp", &file, target]);
                let said = "container rootfs is marked read-only";
                assert!(refused.stderr.contains(said), "{target}: {refused:?}");
            }
            device.done(&["cp", &file, "web:/data/one"]);
            device.done(&["cp", "web:/data/one", "-"]);
            // A link in a volume leads back into the root.
            let stream = tar(&[Entry::symlink("back", "/"), Entry::file("back/x", "")]);
            let refused = piped(device, &["cp", "-", "web:/data"], &stream);
            assert!(!refused.status.success(), "{refused:?}");
            let said = String::from_utf8(refused.stderr).unwrap();
            assert!(said.contains("Read-only file system"), "{said}");
            if runs {
                device.done(&["cp", &file, "web:/fleeting"]);
                assert_eq!(inside(device, "/fleeting/file", true), "one");
            }
            device.done(&["rm", "-f", "web"]);
        }
    });
}

#[test]
fn the_files_of_names_are_read_and_written_in_their_place() {
    on_device("copy-names", |device| {
        let text = device.join("text");
        fs::write(&text, "10.1.2.3 somebody\n").unwrap();
        let text = text.display().to_string();
        let out = device.join("out");
        let read = |name: &str| {
            device.done(&[
                "cp",
                &format!("web:/etc/{name}"),
                &out.display().to_string(),
            ]);
            fs::read_to_string(&out).unwrap()
        };
        let own = device.join("own");
        fs::write(&own, "mine\n").unwrap();
        let bind = |path: &str, how: &str| format!("{}:/etc/{path}{how}", own.display());
        let (kept, free) = (bind("kept", ":ro"), bind("free", ""));
        start(
            device,
            &["--hostname=called", "-v", &kept, "-v", &free],
            true,
        );
        let seen = |name: &str| inside(device, &format!("/etc/{name}"), true);
        for name in ["hosts", "hostname", "resolv.conf"] {
            assert_eq!(read(name), seen(name), "{name}");
            let done = device.done(&["cp", "-q", &text, &format!("web:/etc/{name}")]);
            assert_eq!(done.stderr, "", "{name}");
            assert_eq!(seen(name), "10.1.2.3 somebody\n", "{name}");
        }
        // What is mounted stays so: the host's file is written to, or left alone where it may only be read.
        let refused = device.dray(&["cp", "-q", &text, "web:/etc/kept"]);
        assert!(!refused.status.success(), "{refused:?}");
        assert_eq!(fs::read_to_string(&own).unwrap(), "mine\n");
        device.done(&["cp", "-q", &text, "web:/etc/free"]);
        assert_eq!(fs::read_to_string(&own).unwrap(), "10.1.2.3 somebody\n");
        let mounts = ["exec", "web", "busybox", "cat", "/proc/1/mountinfo"];
        let mounts = device.done(&mounts).stdout;
        for name in ["hosts", "hostname", "resolv.conf", "kept", "free"] {
            assert!(
                mounts.contains(&format!(" /etc/{name} ")),
                "{name}: {mounts}"
            );
        }
        let left = device.done(&["exec", "web", "busybox", "ls", "-A", "/etc"]);
        assert!(!left.stdout.contains("dray-cp"), "{left:?}");
        device.done(&["stop", "-t=1", "web"]);
        for name in ["hosts", "hostname", "resolv.conf"] {
            // As it was left; what names whom is put right when the network is.
            assert_ne!(read(name), "", "{name}");
            fs::write(&text, "127.0.0.9 nobody\n").unwrap();
            let done = device.done(&["cp", "-q", &text, &format!("web:/etc/{name}")]);
            let said =
                format!("dray: warning: /etc/{name} is made anew when the container starts\n");
            assert_eq!(done.stderr, said);
            assert_eq!(read(name), "127.0.0.9 nobody\n", "{name}");
            fs::write(&text, "10.1.2.3 somebody\n").unwrap();
        }
        device.done(&["start", "web"]);
        assert_eq!(seen("hostname"), "called\n");
        device.done(&["rm", "-f", "web"]);
    });
}

#[test]
fn a_folder_that_is_gone_matters_only_to_relative_paths() {
    on_device("copy-gone", |device| {
        start(device, &[], false);
        let gone = device.join("gone");
        for (target, said) in [
            (device.join("there").display().to_string(), ""),
            ("there".to_owned(), "failed to find the current folder"),
        ] {
            fs::create_dir_all(&gone).unwrap();
            let script = "cd \"$1\" && rmdir \"$1\" && exec \"$2\" cp -q web:/version \"$3\"";
            let done = Command::new("sh")
                .args(["-c", script, "sh"])
                .args([
                    &gone,
                    Path::new(env!("CARGO_BIN_EXE_dray")),
                    Path::new(&target),
                ])
                .env("DRAY_CONFIG", &device.host.config)
                .output()
                .unwrap();
            assert_eq!(done.status.success(), said.is_empty(), "{done:?}");
            let stderr = String::from_utf8(done.stderr).unwrap();
            assert!(stderr.contains(said), "{target}: {stderr}");
        }
        device.done(&["rm", "web"]);
    });
}

/// A tree with everything that a file can have; its folder.
fn rich(dir: &Path) -> PathBuf {
    let rich = dir.join("rich");
    fs::create_dir_all(rich.join("deep")).unwrap();
    fs::write(rich.join("first"), "shared").unwrap();
    fs::hard_link(rich.join("first"), rich.join("deep/second")).unwrap();
    fs::write(rich.join("alone"), "shared").unwrap();
    let holes = fs::File::create(rich.join("holes")).unwrap();
    holes.write_all_at(b"middle", 8 << 20).unwrap();
    holes.set_len(64 << 20).unwrap();
    fs::set_permissions(rich.join("alone"), fs::Permissions::from_mode(0o4755)).unwrap();
    symlink("nowhere", rich.join("link")).unwrap();
    let marked = rich.join("first").display().to_string();
    let file = fs::File::open(&marked).unwrap();
    beneath::set_xattr(file.as_fd(), b"user.kept", b"yes").unwrap();
    run("touch", &["-d", "1999-12-31 23:59:59.5 UTC", &marked]);
    run("mkfifo", &[&rich.join("pipe").display().to_string()]);
    for name in ["first", "alone"] {
        chown(rich.join(name), Some(7), Some(8)).unwrap();
    }
    fs::set_permissions(rich.join("alone"), fs::Permissions::from_mode(0o4755)).unwrap();
    rich
}

/// Holds a copy of it against the original; a tar stream has no holes.
fn check_rich(copy: &Path, owners: bool, holes: bool) {
    let status = |name: &str| fs::symlink_metadata(copy.join(name)).unwrap();
    assert_eq!(
        names(copy),
        ["alone", "deep", "first", "holes", "link", "pipe"]
    );
    assert_eq!(status("first").ino(), status("deep/second").ino());
    assert_eq!(status("first").nlink(), 2);
    assert_ne!(status("first").ino(), status("alone").ino());
    assert_eq!(status("first").mtime(), 946_684_799);
    assert_eq!(status("first").mtime_nsec(), 500_000_000);
    let owner = |name: &str| (status(name).uid(), status(name).gid());
    // A program that became its owner does not become root.
    let (whose, mode) = if owners {
        ((7, 8), 0o4755)
    } else {
        ((0, 0), 0o755)
    };
    assert_eq!(owner("first"), whose);
    assert_eq!(
        (owner("alone"), status("alone").mode() & 0o7777),
        (whose, mode)
    );
    assert_eq!(status("holes").size(), 64 << 20);
    let mut middle = [0; 6];
    let file = fs::File::open(copy.join("holes")).unwrap();
    file.read_exact_at(&mut middle, 8 << 20).unwrap();
    assert_eq!(&middle, b"middle");
    assert_eq!(
        status("holes").blocks() < 1000,
        holes,
        "{:?}",
        status("holes").blocks()
    );
    assert!(status("pipe").file_type().is_fifo());
    assert_eq!(
        fs::read_link(copy.join("link")).unwrap(),
        Path::new("nowhere")
    );
    let marked = fs::File::open(copy.join("first")).unwrap();
    let kept = (b"user.kept".to_vec(), b"yes".to_vec());
    assert!(beneath::xattrs(marked.as_fd()).unwrap().contains(&kept));
}

#[test]
fn names_holes_and_attributes_come_through() {
    on_device("copy-rich", |device| {
        let source = rich(&device.join("from")).display().to_string();
        for runs in [true, false] {
            start(device, &[], runs);
            for owners in [true, false] {
                let to = device.join(&format!("to-{runs}-{owners}"));
                let target = to.display().to_string();
                let options: &[&str] = if owners { &["-a"] } else { &[] };
                let inner = format!("web:/copy-{owners}");
                // The second time everything is there already.
                for from in [&source, &format!("{source}/.")] {
                    device.done(&[&["cp"], options, &[from, &inner]].concat());
                }
                for from in [&inner, &format!("{inner}/.")] {
                    device.done(&[&["cp"], options, &[from, &target]].concat());
                }
                check_rich(&to, owners, true);
            }
            device.done(&["rm", "-f", "web"]);
        }
    });
}

/// A call with something on its standard input; what it wrote to standard output is bytes.
fn piped(device: &Device, words: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dray"));
    fed(
        command.args(words).env("DRAY_CONFIG", &device.host.config),
        input,
    )
}

/// The names in a tar stream, as the system's tar lists them.
fn listed(stream: &[u8]) -> Vec<String> {
    let mut archive = ::tar::Archive::new(stream);
    let entries = archive.entries().unwrap();
    let name = |entry: io::Result<::tar::Entry<'_, _>>| {
        String::from_utf8(entry.unwrap().path_bytes().into_owned()).unwrap()
    };
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort();
    names
}

#[test]
fn a_tar_stream_comes_out_and_goes_in_again() {
    on_device("copy-stream", |device| {
        let source = rich(&device.join("from")).display().to_string();
        let long = format!("/sub/{}", "long".repeat(40));
        for runs in [true, false] {
            start(device, &[], runs);
            device.done(&["cp", "-a", &source, "web:/rich"]);
            device.done(&["cp", &format!("{source}/alone"), &format!("web:{long}")]);
            for (options, path, wanted) in [
                (&[][..], "/etc/app", &["app/"][..]),
                (&[], "etc/app/", &["app/"]),
                (&[], "/etc/app/.", &["./"]),
                (&[], "/version", &["version"]),
                (&[], "/in", &["in"]),
                (&["-L"], "/in", &["app/"]),
                (&[], "/in/", &["app/", "in/"]),
                (&[], "/sub", &["sub/", &long[1..]]),
            ] {
                let inner = format!("web:{path}");
                let words = [&["cp"], options, &[&inner, "-"]].concat();
                let out = piped(device, &words, b"");
                assert!(out.status.success(), "{path}: {out:?}");
                assert_eq!(out.stderr, b"", "{path}");
                let names = listed(&out.stdout);
                let fits = |name: &String| wanted.contains(&name.as_str());
                assert!(
                    names.iter().all(fits) && !names.is_empty(),
                    "{path}: {names:?}"
                );
            }
            let stream = piped(device, &["cp", "web:/rich", "-"], b"").stdout;
            let again = piped(device, &["cp", "-", "web:/etc/app"], &stream);
            assert!(again.status.success(), "{again:?}");
            let said = String::from_utf8(again.stderr).unwrap();
            assert_eq!(said, "Successfully copied 67.10MB to web:/etc/app\n");
            let to = device.join(&format!("stream-{runs}"));
            let target = to.display().to_string();
            device.done(&["cp", "-a", "web:/etc/app/rich", &target]);
            check_rich(&to, true, false);
            // The system's own tar reads it too, with all that it keeps.
            let unpacked = device.join(&format!("unpacked-{runs}"));
            fs::create_dir_all(&unpacked).unwrap();
            let file = device.join("stream.tar");
            fs::write(&file, &stream).unwrap();
            let file = file.display().to_string();
            let into = unpacked.display().to_string();
            run("tar", &["--xattrs", "-xpf", &file, "-C", &into]);
            check_rich(&unpacked.join("rich"), true, false);
            // And writes one that is sparse.
            let packed = device.join("packed.tar");
            let packed = packed.display().to_string();
            run(
                "tar",
                &[
                    "--xattrs",
                    "--format=pax",
                    "-Szcf",
                    &packed,
                    "-C",
                    &source,
                    ".",
                ],
            );
            let gzip = fs::read(&packed).unwrap();
            device.done(&["cp", &source, "web:/sub"]);
            let done = piped(device, &["cp", "-q", "-", "web:sub/rich/"], &gzip);
            assert!(done.status.success() && done.stderr.is_empty(), "{done:?}");
            let to = device.join(&format!("packed-{runs}"));
            device.done(&["cp", "-a", "web:/sub/rich", &to.display().to_string()]);
            check_rich(&to, true, true);
            device.done(&["rm", "-f", "web"]);
        }
    });
}

#[test]
fn a_hostile_stream_is_refused_by_name() {
    on_device("copy-hostile", |device| {
        let outside = device.join("outside");
        fs::create_dir_all(&outside).unwrap();
        let way = outside.display().to_string();
        start(device, &[], true);
        let deep = "d/".repeat(257);
        for (entries, said) in [
            (vec![Entry::file("../up", "x")], "it leads up with"),
            (vec![Entry::file("a/../../up", "x")], "it leads up with"),
            (
                vec![Entry::hardlink("h", "../../etc/passwd")],
                "it leads up with",
            ),
            (
                vec![Entry::hardlink("h", "absent")],
                "it is a hard link to \"absent\"",
            ),
            (vec![Entry::file(&deep, "x")], "more than 256 folders deep"),
            (
                vec![Entry::file("version", "x")],
                "cannot overwrite directory",
            ),
            (vec![Entry::dir("plain")], "cannot overwrite non-directory"),
            (
                vec![Entry::file("f", "x").xattr("trusted.overlay.opaque", "y")],
                "overlay's own attributes",
            ),
            (vec![Entry::raw("odd", b'Q', "")], "unknown type 'Q'"),
            (vec![Entry::file(".", "x")], "it is no folder"),
        ] {
            device.done(&["exec", "web", "busybox", "rm", "-rf", "/sub"]);
            device.done(&["exec", "web", "busybox", "mkdir", "-p", "/sub/version"]);
            device.done(&["exec", "web", "busybox", "touch", "/sub/plain"]);
            let refused = piped(device, &["cp", "-", "web:/sub"], &tar(&entries));
            assert_eq!(refused.status.code(), Some(1), "{said}: {refused:?}");
            let stderr = String::from_utf8(refused.stderr).unwrap();
            assert!(stderr.contains(said), "{said}: {stderr}");
        }
        for (stream, said) in [
            (
                &b"no tar at all, and shorter than a block"[..],
                "the archive ends in the middle",
            ),
            (&[b'x'; 2048], "a header's checksum is not a number"),
            (
                b"\xfd7zXZ\0",
                "compressed by xz: decompress it first, with xz -d",
            ),
            (b"\x1f\x8bnothing", "failed to read the tar stream"),
        ] {
            let refused = piped(device, &["cp", "-", "web:/sub"], stream);
            assert_eq!(refused.status.code(), Some(1), "{said}: {refused:?}");
            let stderr = String::from_utf8(refused.stderr).unwrap();
            assert!(stderr.contains(said), "{said}: {stderr}");
        }
        // Links lead where they do for the container, never to the host.
        let entries = [
            Entry::symlink("way", &way),
            Entry::symlink("etc", "/etc"),
            Entry::file("etc/through", "through"),
        ];
        let done = piped(device, &["cp", "-", "web:/sub"], &tar(&entries));
        assert!(done.status.success(), "{done:?}");
        assert_eq!(inside(device, "/etc/through", true), "through");
        let stolen = piped(
            device,
            &["cp", "-", "web:/sub"],
            &tar(&[Entry::file("way/x", "x")]),
        );
        assert!(!stolen.status.success(), "{stolen:?}");
        assert_eq!(names(&outside), [""; 0]);
        // An owner and a mode as they are in the stream; a folder that nobody describes is root's.
        let entries = [
            Entry::file("made/file", "x").owner(7, 8).mode(0o4711),
            Entry::dir("told").owner(7, 8).mode(0o700).mtime(5),
            Entry::file("told/file", "x"),
        ];
        let done = piped(device, &["cp", "-", "web:/sub"], &tar(&entries));
        assert!(done.status.success(), "{done:?}");
        let words = ["exec", "web", "busybox", "stat", "-c", "%u:%g %a %Y"];
        for (path, wanted) in [
            ("/sub/made/file", "7:8 4711 0\n"),
            ("/sub/told", "7:8 700 5\n"),
        ] {
            assert_eq!(device.done(&[&words[..], &[path]].concat()).stdout, wanted);
        }
        device.done(&["rm", "-f", "web"]);
    });
}
