//! What a container may do and see, on the real kernel: system calls, devices, namespaces, volumes.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test files need no durable writer; a broken set-up should panic"
)]

mod common;

use std::path::Path;

use common::device::{Device, on_device, run};
use common::image::{Entry, Image, Layer};
use nix::sched::{CloneFlags, unshare};
use serde_json::json;

/// Pushes an image of busybox with something where its volume is.
fn push(device: &Device) -> String {
    let busybox = std::fs::read("/bin/busybox").expect("busybox-static");
    let entries = [
        Entry::dir("bin"),
        Entry::file("bin/busybox", busybox).mode(0o755),
        Entry::symlink("bin/sh", "busybox"),
        Entry::dir("tmp").mode(0o1777),
        Entry::dir("srv").mode(0o2750).owner(70, 71),
        Entry::file("srv/kept", "from the image")
            .mode(0o640)
            .owner(70, 71),
        Entry::block_device("disk", 7, 0).mode(0o666),
    ];
    let config = json!({ "Env": ["PATH=/bin"], "Volumes": { "/srv": {} } });
    let image = Image::oci([Layer::of(&entries)]).config(config).build();
    device.registry.push("box", "1", &image);
    device.registry.name("box:1")
}

/// Runs a shell line in a new container; what it printed, both streams, and its exit code.
fn shell(device: &Device, image: &str, options: &[&str], line: &str) -> (String, i32) {
    let line = format!("b() {{ busybox \"$@\"; }}; {{ {line}; }} 2>&1");
    let words = [
        &["run", "--rm", "--network", "none"],
        options,
        &[image, "sh", "-c", &line],
    ]
    .concat();
    let called = device.dray(&words);
    assert_eq!(called.stderr, "", "{words:?}");
    (
        called.stdout.trim_end().to_owned(),
        called.status.code().unwrap(),
    )
}

#[test]
fn the_default_filter_lets_programs_run_and_keeps_the_kernel_closed() {
    on_device("filter", |device| {
        let image = push(device);
        let profile = device.join("profile.json");
        let denies = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38 }],
        });
        std::fs::write(&profile, denies.to_string()).unwrap();
        let profile = format!("seccomp={}", profile.display());
        for (options, line, said, code) in [
            // Forking works: the rule for clone compares the right bits.
            (
                vec![],
                "(b echo child) | b cat; b seq 3 | b tail -n 1",
                "child\n3",
                0,
            ),
            (
                vec![],
                "b unshare -U busybox true",
                "unshare: unshare(0x10000000): Operation not permitted",
                1,
            ),
            (
                vec!["--cap-add", "SYS_ADMIN"],
                "b unshare -m busybox echo inside",
                "inside",
                0,
            ),
            (
                vec!["--cap-add", "SYS_ADMIN"],
                "b mount -t tmpfs none /tmp && b echo mounted",
                "mounted",
                0,
            ),
            (
                vec![],
                "b mount -t tmpfs none /tmp",
                "mount: permission denied (are you root?)",
                1,
            ),
            (
                vec!["--security-opt", &profile],
                "b mkdir /tmp/x",
                "mkdir: can't create directory '/tmp/x': Function not implemented",
                1,
            ),
        ] {
            let words: Vec<&str> = options.iter().map(|word| &**word).collect();
            assert_eq!(
                shell(device, &image, &words, line),
                (said.to_owned(), code),
                "{options:?} {line}"
            );
        }
    });
}

/// A program of 32 bits: asks for its process id by the old way into the kernel, then exits with 7.
#[cfg(target_arch = "x86_64")]
const I386: &[u8] = b"\xb8\x14\0\0\0\xcd\x80\xbb\x07\0\0\0\xb8\x01\0\0\0\xcd\x80";

/// A program that makes the system call `number` without arguments and exits with its error.
#[cfg(target_arch = "x86_64")]
fn caller(number: u32) -> Vec<u8> {
    let rest = b"\x0f\x05\xf7\xd8\x89\xc7\xb8\x3c\0\0\0\x0f\x05";
    [b"\xb8", &number.to_le_bytes()[..], rest].concat()
}

/// The smallest executable file of 32 or 64 bits with this code.
#[cfg(target_arch = "x86_64")]
fn executable(wide: bool, code: &[u8]) -> Vec<u8> {
    const AT: u64 = 0x40_0000;
    let (class, machine, header, segment) = if wide {
        (2, 62u16, 64u64, 56u16)
    } else {
        (1, 3, 52, 32)
    };
    let start = header + u64::from(segment);
    let mut file = [b"\x7fELF", &[class, 1, 1][..], &[0; 9], &[2, 0]].concat();
    let word = |number: u64| number.to_le_bytes()[..if wide { 8 } else { 4 }].to_vec();
    let long = |number: u32| number.to_le_bytes().to_vec();
    let short = |number: u16| number.to_le_bytes().to_vec();
    file.extend(short(machine));
    file.extend(long(1));
    file.extend([AT + start, header, 0].into_iter().flat_map(word));
    file.extend(long(0));
    file.extend(
        [header as u16, segment, 1, 0, 0, 0]
            .into_iter()
            .flat_map(short),
    );
    let size = start + code.len() as u64;
    file.extend(long(1));
    if wide {
        file.extend(long(5));
    }
    file.extend([0, AT, AT, size, size].into_iter().flat_map(word));
    if !wide {
        file.extend(long(5));
    }
    file.extend(word(4096));
    file.extend(code);
    file
}

#[cfg(target_arch = "x86_64")]
#[test]
fn programs_of_other_kinds_of_this_machine_run_and_are_filtered_as_well() {
    on_device("kinds", |device| {
        const X32: u32 = 0x4000_0000;
        const GETPID: u32 = 39;
        const MOUNT: u32 = 165;
        const EPERM: i32 = 1;
        const ENOSYS: i32 = 38;
        let image = push(device);
        let program = device.join("program");
        let at = format!("{}:/program", program.display());
        let unconfined = ["-v", &at, "--security-opt=seccomp=unconfined"];
        for (options, wide, code, expected) in [
            (&unconfined[..2], false, I386.to_vec(), 7),
            // Hardly a kernel has these calls, and whether the filter lets them through it says itself.
            (&unconfined[..2], true, caller(X32 | GETPID), ENOSYS),
            (&unconfined[..2], true, caller(X32 | MOUNT), EPERM),
            (&unconfined, true, caller(X32 | MOUNT), ENOSYS),
            (&unconfined[..2], true, caller(MOUNT), EPERM),
        ] {
            std::fs::write(&program, executable(wide, &code)).unwrap();
            run("chmod", &["+x", program.to_str().unwrap()]);
            let words = [
                &["run", "--rm", "--network=none"],
                options,
                &[&image, "/program"],
            ];
            let called = device.dray(&words.concat());
            assert_eq!(
                called.status.code(),
                Some(expected),
                "{options:?} {code:x?}: {called:?}"
            );
        }
    });
}

#[test]
fn a_container_reads_its_own_control_groups() {
    on_device("groups", |device| {
        let image = push(device);
        let unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
        let (memory, pids, procs) = match unified {
            true => ("memory.max", "pids.max", "cgroup.procs"),
            false => (
                "memory/memory.limit_in_bytes",
                "pids/pids.max",
                "cpu/cgroup.procs",
            ),
        };
        let limits = ["-m", "64m", "--pids-limit", "77"];
        let line = format!("cd /sys/fs/cgroup; b cat {memory} {pids} {procs} | b head -n 3");
        let read = shell(device, &image, &limits, &line);
        assert_eq!(read, ("67108864\n77\n1".to_owned(), 0));
        let folder = match unified {
            true => ".",
            false => "memory",
        };
        // Every controller that the host has, as with Docker.
        let controllers = |text: &str| -> Vec<String> {
            let of = |line: &str| Some(line.split(':').nth(1)?.to_owned());
            let is_one = |name: &String| !name.is_empty() && !name.starts_with("name=");
            text.lines().filter_map(of).filter(is_one).collect()
        };
        for names in controllers(&std::fs::read_to_string("/proc/self/cgroup").unwrap()) {
            for name in names.split(',').filter(|_| !unified) {
                let line = format!("cat /sys/fs/cgroup/{name}/cgroup.procs; echo $?");
                let line = line.replace("cat", "b cat");
                let (said, _) = shell(device, &image, &[], &line);
                assert!(
                    said.starts_with("1\n") && said.ends_with("\n0"),
                    "{name}: {said}"
                );
            }
        }
        for (line, said) in [
            (format!("b mkdir {folder}/sub"), "Read-only file system"),
            (format!("echo 1 >{pids}"), "Read-only file system"),
            ("b mkdir sub".to_owned(), "Read-only file system"),
            // Nothing of other groups, and all of it as restricted as Docker has it.
            (format!("b ls -d {folder}/dray {folder}/.."), "dray: No such file"),
            (
                "b grep ' /sys/fs/cgroup' /proc/self/mountinfo | b grep -v ' ro,nosuid,nodev,noexec'; b false".to_owned(),
                "",
            ),
            (
                "b grep ' /sys/fs/cgroup/' /proc/self/mountinfo | b grep -v '/dray/[0-9a-f]* /sys/fs'; b false".to_owned(),
                "",
            ),
        ] {
            let (out, code) = shell(device, &image, &limits, &format!("cd /sys/fs/cgroup; {line}"));
            assert_ne!(code, 0, "{line}: {out}");
            assert!(out.contains(said) && out.is_empty() == said.is_empty(), "{line}: {out}");
        }
        // Those of the container that runs now, also when its policy has started it again.
        let line = format!("cat /sys/fs/cgroup/{procs}; exit 1").replace("cat", "busybox cat");
        let words = [
            "run",
            "--network=none",
            "--restart=on-failure:1",
            "--name=again",
            &image,
        ];
        let first = device.dray(&[&words[..], &["sh", "-c", &line]].concat());
        assert_eq!(
            (first.status.code(), first.stdout.lines().next()),
            (Some(1), Some("1"))
        );
        device.done(&["wait", "again"]);
        let log = device.done(&["logs", "again"]).stdout;
        assert_eq!(log.lines().filter(|line| *line == "1").count(), 2, "{log}");
        device.done(&["rm", "again"]);
        let line = format!("b mkdir /sys/fs/cgroup/{folder}/sub && b echo made");
        let made = shell(device, &image, &["--privileged"], &line);
        assert_eq!(made, ("made".to_owned(), 0));
        // A volume of one's own in its place counts more.
        let own = ["-v", "/sys/fs/cgroup:/sys/fs/cgroup:ro"];
        let listed = shell(device, &image, &own, "b ls /sys/fs/cgroup");
        let host = std::fs::read_dir("/sys/fs/cgroup").unwrap();
        let host = host.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        // Our own group, where there is one hierarchy only, is there while a container runs.
        let mut host: Vec<String> = host.filter(|name| name != "dray").collect();
        host.sort();
        let mut listed: Vec<&str> = listed.0.lines().filter(|name| *name != "dray").collect();
        listed.sort();
        assert_eq!(listed, host);
    });
}

#[test]
fn devices_open_only_as_far_as_they_were_given() {
    on_device("devices", check_devices);
}

/// The same where only the unified hierarchy is mounted, and no files for devices exist.
#[test]
fn devices_are_guarded_on_unified_control_groups_too() {
    on_device("devices-unified", |device| {
        // This thread's own, as its network is; gone with it.
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        run("mount", &["--make-rslave", "/"]);
        if !dray::sys::cgroup::is_unified() {
            run("mount", &["-t", "cgroup2", "none", "/sys/fs/cgroup"]);
        }
        check_devices(device);
    });
}

fn check_devices(device: &Device) {
    let image = push(device);
    let denied = |path: &str| {
        (
            format!("cat: can't open '{path}': Operation not permitted"),
            1,
        )
    };
    let read = "b head -c 0 /dev/f && b echo read";
    for (options, line, expected) in [
        (&[][..], "b cat /disk", denied("/disk")),
        (
            &["--device", "/dev/full:/dev/f"],
            read,
            ("read".to_owned(), 0),
        ),
        // Docker's list denies this one by name.
        (
            &["--device-cgroup-rule", "c 10:229 m"],
            "b mknod /tmp/fuse c 10 229 && b cat /tmp/fuse",
            denied("/tmp/fuse"),
        ),
        (
            &["--privileged", "--device", "/dev/null"],
            "b test -c /dev/null && b test -c /dev/loop-control && b echo all",
            ("all".to_owned(), 0),
        ),
    ] {
        let (said, code) = shell(device, &image, options, line);
        assert_eq!((said, code), expected, "{options:?} {line}");
    }
}

#[test]
fn namespaces_are_shared_as_asked() {
    on_device("namespaces", |device| {
        let image = push(device);
        let own = |name: &str| std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
        for (option, name) in [("--ipc", "ipc"), ("--pid", "pid"), ("--uts", "uts")] {
            let line = format!("b readlink /proc/self/ns/{name}");
            let (shared, _) = shell(device, &image, &[option, "host"], &line);
            assert_eq!(Path::new(&shared), own(name), "{option}");
            let (private, _) = shell(device, &image, &[], &line);
            assert_ne!(Path::new(&private), own(name), "{option}");
        }
        // Docker's default for control groups is the kernel's, and it shows which.
        let default = match Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
            true => "private",
            false => "host",
        };
        for (options, mode) in [
            (&[][..], default),
            (&["--privileged"], default),
            (&["--cgroupns=host"], "host"),
            (&["--cgroupns=private"], "private"),
            (&["--cgroupns=private", "--privileged"], "private"),
        ] {
            let line = "b readlink /proc/self/ns/cgroup; b grep -c /dray/ /proc/self/cgroup";
            let (said, _) = shell(device, &image, options, line);
            let (namespace, groups) = said.split_once('\n').unwrap();
            let is_hosts = Path::new(namespace) == own("cgroup");
            assert_eq!(is_hosts, mode == "host", "{options:?}");
            assert_eq!(groups == "0", mode == "private", "{options:?}: {groups}");
            device.done(&[&["create", "--name=one"], options, &[&image, "true"]].concat());
            let shown = &device.inspect("one")["HostConfig"]["CgroupnsMode"];
            assert_eq!(shown, mode, "{options:?}");
            device.done(&["rm", "one"]);
        }
        let (said, _) = shell(
            device,
            &image,
            &[
                "-h",
                "box",
                "--domainname",
                "example.org",
                "--sysctl",
                "net.ipv4.ip_default_ttl=99",
            ],
            "b cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname /proc/sys/net/ipv4/ip_default_ttl \
             /proc/sys/net/ipv4/ip_unprivileged_port_start",
        );
        assert_eq!(said, "box\nexample.org\n99\n0");
    });
}

#[test]
fn shared_memory_is_shared_with_whom_it_was_offered() {
    on_device("shared-memory", |device| {
        let image = push(device);
        let keep = |name: &str, mode: &str| {
            let words = [
                "run",
                "-d",
                "--network",
                "none",
                "--name",
                name,
                "--ipc",
                mode,
            ];
            device.done(&[&words[..], &[&image, "busybox", "sleep", "1000"]].concat());
        };
        let exec = |name: &str, line: &str| {
            let called = device.dray(&["exec", name, "sh", "-c", line]);
            called.stdout.trim_end().to_owned()
        };
        keep("donor", "shareable");
        keep("guest", "container:donor");
        keep("guests-guest", "container:guest");
        keep("apart", "private");
        keep("without", "none");
        let space = "busybox readlink /proc/self/ns/ipc";
        exec("donor", "echo kept >/dev/shm/file");
        for (name, found, same) in [
            ("guest", "kept", true),
            ("guests-guest", "kept", true),
            ("apart", "", false),
            ("without", "", false),
        ] {
            assert_eq!(exec(name, "busybox cat /dev/shm/file"), found, "{name}");
            assert_eq!(exec(name, space) == exec("donor", space), same, "{name}");
        }
        // Both ways, as restricted as the donor has it, and the size is the donor's.
        exec("guests-guest", "echo back >/dev/shm/back");
        assert_eq!(exec("donor", "busybox cat /dev/shm/back"), "back");
        let mounted = "busybox grep -o ' /dev/shm .*' /proc/self/mounts";
        assert_eq!(exec("guest", mounted), exec("donor", mounted));
        assert!(exec("guest", mounted).contains("nosuid,nodev,noexec"));

        // It outlives the donor for those who have it, and a new donor has memory of its own.
        device.done(&["stop", "-t", "0", "donor"]);
        assert_eq!(exec("guest", "busybox cat /dev/shm/file"), "kept");
        device.done(&["stop", "-t", "0", "guests-guest"]);
        device.done(&["start", "guests-guest"]);
        assert_eq!(exec("guests-guest", "busybox cat /dev/shm/file"), "kept");
        device.done(&["stop", "-t", "0", "guest"]);
        let refused = device.dray(&["start", "guest"]);
        let said = "cannot join IPC namespace of a non running container: donor; start it first";
        assert!(refused.stderr.contains(said), "{refused:?}");
        device.done(&["start", "donor"]);
        assert_eq!(exec("donor", "busybox ls /dev/shm"), "");
        for (donor, said) in [
            (
                "apart",
                "can't join IPC of container apart: non-shareable IPC",
            ),
            (
                "without",
                "can't join IPC of container without: non-shareable IPC",
            ),
            ("nobody", "no such container: nobody"),
        ] {
            let refused = device.dray(&["create", "--ipc", &format!("container:{donor}"), &image]);
            assert_eq!(refused.status.code(), Some(1), "{refused:?}");
            assert!(refused.stderr.contains(said), "{refused:?}");
        }
        let all = ["donor", "guest", "guests-guest", "apart", "without"];
        device.done(&[&["rm", "-f"], &all[..]].concat());
    });
}

#[test]
fn a_new_volume_gets_what_the_image_has() {
    on_device("volumes", |device| {
        let image = push(device);
        let look = "b stat -c '%a %u %g' /srv; b ls /srv";
        let full = ("2750 70 71\nkept".to_owned(), 0);
        assert_eq!(shell(device, &image, &["-v", "one:/srv"], look), full);
        assert_eq!(
            shell(device, &image, &["--mount", "source=two,target=/srv"], look),
            full
        );
        assert_eq!(shell(device, &image, &[], look), full);
        // What is there stays, and what was taken away does not come back.
        let (_, code) = shell(
            device,
            &image,
            &["-v", "one:/srv"],
            "b rm /srv/kept; b touch /srv/own",
        );
        assert_eq!(code, 0);
        assert_eq!(
            shell(device, &image, &["-v", "one:/srv"], "b ls /srv"),
            ("own".to_owned(), 0)
        );
        for options in [
            ["-v", "three:/srv:nocopy"],
            ["--mount", "source=four,target=/srv,volume-nocopy"],
        ] {
            assert_eq!(
                shell(device, &image, &options, "b ls /srv"),
                (String::new(), 0),
                "{options:?}"
            );
        }
        // The anonymous ones, of the image and of an option, went with their containers.
        assert_eq!(
            shell(device, &image, &["-v", "/more"], "b touch /more/x").1,
            0
        );
        let volumes = std::fs::read_dir(device.host.state.join("volumes")).unwrap();
        let mut names: Vec<_> = volumes.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["four", "one", "three", "two"]);
    });
}

#[test]
fn what_the_host_mounts_later_is_seen_only_where_asked_for() {
    on_device("propagation", |device| {
        let image = push(device);
        let media = device.join("media");
        let path = media.to_str().unwrap();
        std::fs::create_dir(&media).unwrap();
        run("mount", &["-t", "tmpfs", "none", path]);
        let mounted = Unmount(path.to_owned());
        run("mount", &["--make-shared", path]);
        std::fs::create_dir(media.join("stick")).unwrap();
        let bind = format!("{path}:/media");
        let slave = format!("{path}:/media:rslave");
        for (name, volume) in [("apart", &bind), ("along", &slave)] {
            let words = [
                "run",
                "-d",
                "--network",
                "none",
                "--name",
                name,
                "-v",
                volume,
                &image,
                "busybox",
                "sleep",
                "1000",
            ];
            let called = device.dray(&words);
            assert!(called.status.success(), "{called:?}");
        }
        let stick = media.join("stick");
        run("mount", &["-t", "tmpfs", "none", stick.to_str().unwrap()]);
        let later = Unmount(stick.to_str().unwrap().to_owned());
        std::fs::write(stick.join("file"), "").unwrap();
        for (name, expected) in [("apart", ""), ("along", "file")] {
            let said = device.dray(&["exec", name, "busybox", "ls", "/media/stick"]);
            assert_eq!(said.stdout.trim(), expected, "{name}: {said:?}");
        }
        drop(later);
        let removed = device.dray(&["rm", "-f", "apart", "along"]);
        assert!(removed.status.success(), "{removed:?}");
        drop(mounted);
    });
}

#[test]
fn what_is_shared_travels_both_ways() {
    on_device("shared-mounts", |device| {
        let image = push(device);
        let media = device.join("media");
        let path = media.to_str().unwrap();
        std::fs::create_dir(&media).unwrap();
        run("mount", &["-t", "tmpfs", "none", path]);
        let mounted = Unmount(path.to_owned());
        run("mount", &["--make-private", path]);
        let refused = |options: &[&str], said: &str| {
            let base = ["run", "--network=none", "--name=refused"];
            let called = device.dray(&[&base, options, &[&image, "true"]].concat());
            assert_eq!(called.status.code(), Some(125), "{called:?}");
            assert!(called.stderr.contains(said), "{options:?}: {called:?}");
            device.done(&["rm", "refused"]);
        };
        for (mode, what) in [
            ("rshared", "a shared mount"),
            ("rslave", "a shared or slave mount"),
        ] {
            let said = format!("path {path} is mounted on {path} but it is not {what}");
            refused(&["-v", &format!("{path}:/media:{mode}")], &said);
        }
        run("mount", &["--make-shared", path]);
        let shared = format!("{path}:/media:rshared");
        for (options, hidden) in [
            (["-v", "data:/media/data"], "/media/data"),
            (["--tmpfs", "/media/tmp"], "/media/tmp"),
            (["--mount", "type=tmpfs,dst=/media/x"], "/media/x"),
        ] {
            let said = format!("{hidden} is mounted below it");
            refused(&[&["-v", &shared][..], &options].concat(), &said);
        }
        for folder in ["stick", "own", "late"] {
            std::fs::create_dir(media.join(folder)).unwrap();
        }
        let keep = |name: &str, options: &[&str]| {
            let base = [
                "run",
                "-d",
                "--network=none",
                "--privileged",
                "--name",
                name,
            ];
            let line = "busybox cat /media/late/file; trap 'exit 3' USR1; while :; do busybox sleep 0.05; done";
            let words = [&base, options, &[&image, "sh", "-c", line]].concat();
            device.done(&words);
        };
        let mount = format!("type=bind,src={path},dst=/media,bind-propagation=shared,readonly");
        let beside = format!("{path}:/beside:rslave");
        let apart = format!("{path}:/apart");
        keep("both", &["--restart=always", "-w", "/media", "-v", &shared]);
        keep("reads", &["--mount", &mount, "-v", &beside, "-v", &apart]);
        let exec = |name: &str, line: &str| {
            let called = device.dray(&["exec", name, "sh", "-c", line]);
            called.stdout.trim_end().to_owned()
        };
        // From the host into both, and only where asked for.
        let stick = media.join("stick");
        run("mount", &["-t", "tmpfs", "none", stick.to_str().unwrap()]);
        std::fs::write(stick.join("file"), "").unwrap();
        for (name, folder, seen) in [
            ("both", "/media", "file"),
            ("reads", "/media", "file"),
            ("reads", "/beside", "file"),
            ("reads", "/apart", ""),
        ] {
            let line = format!("busybox ls {folder}/stick");
            assert_eq!(exec(name, &line), seen, "{name} {folder}");
        }
        assert_eq!(
            exec("both", "busybox ls stick"),
            "file",
            "its working directory"
        );
        assert_ne!(exec("reads", "busybox touch /media/x 2>&1"), "");
        // From a container to the host and into the other one.
        exec(
            "both",
            "busybox mount -t tmpfs none /media/own && busybox touch /media/own/made",
        );
        assert!(media.join("own/made").exists());
        assert_eq!(exec("reads", "busybox ls /media/own"), "made");
        // The same after a restart by policy, with what was mounted meanwhile.
        let late = media.join("late");
        run("mount", &["-t", "tmpfs", "none", late.to_str().unwrap()]);
        std::fs::write(late.join("file"), "late\n").unwrap();
        device.done(&["kill", "-s", "USR1", "both"]);
        let begun = std::time::Instant::now();
        while device.dray(&["logs", "both"]).stdout != "late\n" {
            assert!(begun.elapsed().as_secs() < 60, "started again in time");
            std::thread::yield_now();
        }
        exec("both", "busybox umount /media/own");
        assert!(!media.join("own/made").exists());
        // The end of a container takes nothing of the host away.
        device.done(&["rm", "-f", "both", "reads"]);
        assert!(stick.join("file").exists() && late.join("file").exists());
        for folder in [&stick, &late] {
            drop(Unmount(folder.to_str().unwrap().to_owned()));
        }
        drop(mounted);
    });
}

/// A mount of the host that goes also when the test fails.
struct Unmount(String);

impl Drop for Unmount {
    fn drop(&mut self) {
        run("umount", &["-l", &self.0]);
    }
}
