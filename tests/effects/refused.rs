//! What is not made, and why: each row is refused with 125 and says what was expected, and nothing half made stays.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::Command;

use nix::sched::{CloneFlags, unshare};
use serde_json::json;

use super::common::device::{Device, on_device, run};
use super::life::until;
use super::{dray, filled, push, words};

/// The words for docker run, as a shell takes them, and what is said of them. `{dir}` is the device's folder.
type Row = (&'static str, &'static str);

#[rustfmt::skip]
const ROWS: &[Row] = &[
    // Names.
    ("--name a", "invalid container name (a), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed, two characters at least"),
    ("--name 'two words'", "invalid container name (two words), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"),
    ("--name ../up", "invalid container name (../up), only"),
    ("--name 'a\nb'", "invalid container name (a\nb), only"),
    ("--name taken", "container name \"taken\" is in use by container"),
    ("--name {256}", "only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed, at most 255 of them"),
    ("--hostname {65}", "is longer than the 64 characters that Linux allows"),
    ("--hostname 'a\nb'", "hostname \"a\\nb\" has a control character"),
    ("--domainname {65}", "is longer than the 64 characters that Linux allows"),
    ("--domainname 'a\x1bb'", "domainname \"a\\u{1b}b\" has a control character"),
    ("-v {256}:/data", "only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"),
    ("-v /{256}:/data", "File name too long"),
    ("-v /srv:/{256}", "has 256 bytes in one name, more than the 255 that Linux takes"),
    ("-v /{256}", "has 256 bytes in one name"),
    ("--mount type=bind,src={dir},dst=/{256}", "has 256 bytes in one name"),
    ("--tmpfs /{256}", "has 256 bytes in one name"),
    ("-w /{256}", "has 256 bytes in one name"),
    ("-w /{long}", "has 5001 bytes in all, more than the 4095 that Linux takes"),
    ("--network {256}", "not found; dray network create makes one"),
    // Environment and labels.
    ("-e =x", "invalid environment variable: =x"),
    ("-l =x", "invalid label '=x': empty name"),
    ("-l 'a b=x'", "label 'a b' contains whitespaces"),
    ("--env-file {dir}/none.env", "failed to read \"{dir}/none.env\": No such file"),
    ("--env-file {dir}/not-utf8.env", "invalid env file ({dir}/not-utf8.env): invalid utf8 bytes at line 2: [66, 61, 255]"),
    ("--env-file {dir}/utf16.env", "invalid env file ({dir}/utf16.env): invalid utf8 bytes at line 1"),
    ("--env-file {dir}/blank.env", "invalid env file ({dir}/blank.env): variable 'A B' contains whitespaces"),
    ("--env-file {dir}/no-name.env", "invalid env file ({dir}/no-name.env): no variable name on line '=x'"),
    ("--env-file {dir}/long.env", "invalid env file ({dir}/long.env): bufio.Scanner: token too long"),
    ("--env-file {dir}/nul.env", "environment variable \"A\" has a NUL character"),
    ("--env-file {dir}", "failed to read \"{dir}\": Is a directory"),
    ("--label-file {dir}/not-utf8.env", "({dir}/not-utf8.env): invalid utf8 bytes at line 2"),
    // Kernel settings.
    ("--sysctl kernel.panic=1", "sysctl 'kernel.panic=1' is not allowed"),
    ("--sysctl vm.swappiness=1", "sysctl 'vm.swappiness=1' is not allowed"),
    ("--sysctl net/../kernel/panic=1", "sysctl 'net/../kernel/panic=1' is not allowed"),
    ("--sysctl net.none=1", "--sysctl net.none is not supported: this kernel has no such setting"),
    ("--sysctl net.../kernel/panic=1", "--sysctl net.../kernel/panic is not supported: this kernel has no such setting"),
    ("--sysctl net.ipv4.ip_forward", "sysctl 'net.ipv4.ip_forward' is not allowed"),
    ("--sysctl net.ipv4.ip_forward=1 --network host",
        "sysctl \"net.ipv4.ip_forward\" is not allowed in the host's network namespace"),
    ("--sysctl kernel.shmmax=1 --ipc host", "sysctl \"kernel.shmmax\" is not allowed in the host's IPC namespace"),
    ("--ulimit none=1", "invalid ulimit type: none"),
    ("--ulimit nofile=2:1", "ulimit soft limit must be less than or equal to hard limit: 2 > 1"),
    // Devices.
    ("--device /dev/none", "failed to read /dev/none: No such file"),
    ("--device {dir}/blank.env:/dev/x", "failed to read {dir}/blank.env: not a device node"),
    ("--device /dev/null:/dev/x:z", "bad mode specified: z"),
    ("--device /dev/null:/srv/null",
        "device \"/srv/null\" cannot be made: the path in the container has to be below /dev"),
    ("--device-cgroup-rule 'c 1 r'", "invalid device cgroup format 'c 1 r'"),
    ("--device-cgroup-rule 'c 4294967296:1 r'", "invalid device cgroup rule \"c 4294967296:1 r\""),
    ("--device-read-bps /dev/none:1m", "--device-read-bps /dev/none is not supported: No such file"),
    ("--device-write-iops /dev/null:1", "--device-write-iops /dev/null is not supported: not a block device"),
    ("--cpus 0.001", "range of CPUs is from 0.01 to"),
    ("-v /tmp:/{long}", "bytes in all, more than the 4095 that Linux takes"),
    ("--blkio-weight 5", "range of blkio weight is from 10 to 1000"),
    ("--blkio-weight-device /dev/null:300", "not a block device"),
    // Networks and ports.
    ("--network nosuch", "network nosuch not found; dray network create makes one"),
    ("--network lan --ip 10.0.0.9", "address 10.0.0.9 cannot be had on network lan: it is none of subnet 10.77.0.0/24"),
    ("--network lan --ip 10.77.0.1", "address 10.77.0.1 cannot be had on network lan: the network's gateway has it"),
    ("--network lan --ip 10.77.0.255", "address 10.77.0.255 cannot be had on network lan"),
    ("--network lan --ip x", "invalid IPv4 address: x"),
    ("--ip 10.77.0.9 --network bridge", "user specified IP address is supported on user defined networks only"),
    ("--network lan --mac-address 01:00:5e:00:00:01",
        "--mac-address is not supported: \"01:00:5e:00:00:01\" is not a unicast"),
    ("--network lan --network-alias 'a b'", "invalid network alias \"a b\": a host name is expected"),
    ("--network lan --network-alias 'a\nb'", "invalid network alias \"a\\nb\": a host name is expected"),
    ("--network container:none", "no such container: none"),
    ("--network container:taken -p 80:80", "conflicting options: port publishing and the container type network mode"),
    ("-p 1-3:80-81", "invalid ranges specified for container and host Ports: 80-81 and 1-3"),
    ("-p 65536:80", "invalid hostPort: 65536"),
    ("-p 80/icmp", "invalid proto: icmp"),
    ("--expose 90-80", "invalid range format for --expose: 90-80, error: invalid range specified for port: 90-80"),
    ("--dns x", "IP address is not correctly formatted: x"),
    ("--dns-search 'a\nb'", "is not a valid domain"),
    ("--dns-opt 'a\nb'", "DNS option \"a\\nb\" has a control character"),
    ("--add-host 'a\nb:1.2.3.4'", "extra host \"a\\nb:1.2.3.4\" has a control character"),
    ("--add-host a:x", "invalid IP address in add-host: \"x\""),
    // Mounts.
    ("--mount type=bind,src={dir}/none,dst=/data", "bind source path does not exist; create it, or use --volume"),
    ("-v new:/srv --mount type=bind,src={dir}/none,dst=/data", "bind source path does not exist"),
    ("-v {dir}:/data -v {dir}:/data/", "Duplicate mount point: /data"),
    ("-v {dir}:/data --tmpfs /data", "Duplicate mount point: /data"),
    ("--mount type=tmpfs,dst=/data --tmpfs /data", "Duplicate mount point: /data"),
    ("-v {dir}:/", "destination can't be '/'"),
    ("-v {dir}:data", "invalid volume specification: '{dir}:data'"),
    ("-v data:/data:rx", "invalid mode: rx"),
    ("--mount type=bind,src={dir}", "target is required"),
    ("--tmpfs /data:huge=always", "invalid tmpfs option \"huge=always\""),
    ("--tmpfs /data:size=x", "invalid tmpfs option \"size=x\""),
    ("--tmpfs /data:mode=9", "invalid tmpfs option \"mode=9\""),
    ("--tmpfs /data:uid=bob", "invalid tmpfs option \"uid=bob\""),
    ("--volumes-from none", "no such container: none"),
    // Limits.
    ("-m 1m", "Minimum memory limit allowed is 6MB"),
    ("--cpuset-cpus 4095", "--cpuset-cpus 4095 is not supported: those CPUs are not available"),
    ("--pids-limit 1", "pids limit 1 is too small: setting the container up takes 2 processes"),
    ("--shm-size x", "invalid size: 'x'"),
    // Who and what.
    ("-w relative", "the working directory 'relative' is invalid, it needs to be an absolute path"),
    ("--cap-add FLY", "invalid CapAdd: unknown capability: \"CAP_FLY\""),
    ("--security-opt seccomp={dir}/none.json", "failed to read \"{dir}/none.json\": No such file"),
    ("--security-opt seccomp={dir}/blank.env", "compacting json for seccomp profile ({dir}/blank.env) failed"),
    ("--security-opt seccomp={dir}/bad.json", "unknown action \"SCMP_ACT_DANCE\""),
    ("--security-opt apparmor=docker-default", "security option apparmor=docker-default is not supported by dray"),
    ("--pid container:none", "no such container: none"),
    ("--uts host -h box", "conflicting options: hostname and the UTS mode"),
    // How it lives.
    ("--rm --restart always", "conflicting options: cannot specify both --restart and --rm"),
    ("--restart sometimes", "invalid restart policy: unknown policy 'sometimes'; use one of 'no', 'always',"),
    ("--stop-signal NONE", "invalid signal: NONE"),
    ("--cidfile {dir}/blank.env", "container id file {dir}/blank.env exists"),
    ("--cidfile /not/there/id", "/not/there/id"),
    ("--log-driver none --log-opt max-size=1m", "invalid logging opts for driver none"),
    ("--log-opt max-size=x", "invalid size: 'x'; use one such as 10m"),
    ("--health-cmd x --no-healthcheck", "--no-healthcheck conflicts with --health-* options"),
    ("--platform nonsense/of/a/platform", "nonsense"),
    ("--platform linux/s390x --pull never", "amd64"),
    ("--gpus all", "option --gpus is not supported by dray"),
    ("--no-such-option", "unknown flag: --no-such-option"),
];

/// What is only known once the image's files or the other containers of that moment can be seen. As with docker, a container
/// that could not start is there to be looked at, except where `--rm` says otherwise.
#[rustfmt::skip]
const AT_THE_START: &[Row] = &[
    ("--rm -u nobody", "unable to find user \"nobody\": no matching entry in the image's /etc/passwd"),
    ("--rm -u bob:none", "unable to find group \"none\": no matching entry in the image's /etc/group"),
    ("--rm --group-add none", "unable to find group \"none\": no matching entry in the image's /etc/group"),
    ("--rm -u 4294967296", "user or group \"4294967296\" is out of range: ids must be between 0 and 2147483647"),
    ("--rm -w /bin/sh", "failed to create working directory /bin/sh: Not a directory"),
    ("--rm --mount src=fresh,dst=/data,volume-subpath=none", "there is no such folder or file in the volume"),
    ("--rm --network lan --ip 10.77.0.2", "address 10.77.0.2 cannot be had on network lan: container"),
    ("--rm --network bridge -p 8080:80", "port 8080/tcp is already in use by container"),
    ("--rm --network bridge -p 8081:80 -p 8081:81", "port 8081/tcp is published twice"),
    ("--rm --network bridge -p 192.0.2.77:8082:80", "192.0.2.77 is no address of this host"),
    ("--rm --sysctl net.ipv4.ip_forward=x", "failed to set sysctl: net.ipv4.ip_forward=x"),
];

/// Everything below a folder: kind and mode, and what it holds.
fn tree(folder: &Path, into: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let meta = std::fs::symlink_metadata(&path).unwrap();
        into.insert(path.display().to_string(), described(&path, &meta));
        if meta.is_dir() {
            tree(&path, into);
        }
    }
}

fn described(path: &Path, meta: &Metadata) -> String {
    let kind = meta.file_type();
    let content = match () {
        () if kind.is_symlink() => format!("{:?}", std::fs::read_link(path)),
        () if kind.is_file() => {
            format!("{:?}", dray::oci::Digest::of(&std::fs::read(path).unwrap()))
        }
        () if kind.is_char_device() || kind.is_block_device() => format!("{:x}", meta.rdev()),
        () => String::new(),
    };
    format!("{:o} {content}", meta.mode())
}

/// All that a refused container could have left: files, groups, interfaces, rules, mounts.
fn all_there_is(device: &Device) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for folder in [&device.host.state, &device.host.run] {
        tree(folder, &mut all);
    }
    for (program, words) in [
        ("ip", &["-o", "link"][..]),
        ("nft", &["list", "ruleset"]),
        ("findmnt", &["-rn", "-o", "TARGET,SOURCE"]),
        (
            "find",
            &[device.join("").to_str().unwrap(), "-maxdepth", "1"],
        ),
    ] {
        let said = Command::new(program).args(words).output().unwrap().stdout;
        all.insert(
            format!("{program} {words:?}"),
            String::from_utf8(said).unwrap(),
        );
    }
    all
}

/// What differs, for people to read: the first of it.
fn difference(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<String> {
    let changed = after
        .iter()
        .filter(|(path, now)| before.get(*path) != Some(now));
    let gone = before.keys().filter(|path| !after.contains_key(*path));
    let changed = changed.map(|(path, now)| format!("{path}: {now}"));
    let gone = gone.map(|path| format!("{path} has gone"));
    changed.chain(gone).take(2).collect()
}

/// `{256}` and its like are so many letters, `{long}` is a path of 5,000.
fn lengthened(text: &str) -> String {
    let mut text = text.to_owned();
    for length in [65, 256] {
        text = text.replace(&format!("{{{length}}}"), &"a".repeat(length));
    }
    text = text.replace("{long}", &"abcd/".repeat(1000));
    text
}

fn check(device: &Device, image: &str, rows: &[Row]) {
    let mut wrong = Vec::new();
    for (line, expected) in rows {
        let options = words(device, &lengthened(line));
        let mut all = vec!["run"];
        if !options.iter().any(|word| word.contains("net")) {
            all.push("--network=none");
        }
        all.extend(options.iter().map(String::as_str));
        all.extend([image, "true"]);
        let before = all_there_is(device);
        let called = dray(device, &all);
        let expected = filled(device, expected);
        let mut faults = difference(&before, &all_there_is(device));
        if called.status.code() != Some(125) || !called.stdout.is_empty() {
            faults.push(format!("{} {:?}", called.status, called.stdout));
        }
        let one_line = called.stderr.ends_with('\n');
        if !called.stderr.starts_with("dray: ") || !called.stderr.contains(&expected) || !one_line {
            faults.push(format!("expected {expected:?}"));
        }
        if !faults.is_empty() {
            let said: String = called.stderr.chars().take(500).collect();
            wrong.push(format!("{line}: {said:?}\n    {}", faults.join("\n    ")));
        }
        for id in device
            .done(&["ps", "-aq", "--filter", "name=_"])
            .stdout
            .lines()
        {
            device.done(&["rm", "-fv", id]);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_cannot_be_made_is_said_and_leaves_nothing() {
    on_device("refused", |device| {
        let image = push(device, "tools", json!({}));
        for (name, content) in [
            ("not-utf8.env", &b"A=1\nB=\xff\n"[..]),
            ("utf16.env", b"\xff\xfeA\0=\x001\0\n\0"),
            ("blank.env", b"A B=1\n"),
            ("no-name.env", b"=x\n"),
            ("nul.env", b"A=1\0\n"),
            ("bad.json", b"{\"defaultAction\": \"SCMP_ACT_DANCE\"}"),
        ] {
            std::fs::write(device.join(name), content).unwrap();
        }
        std::fs::write(
            device.join("long.env"),
            format!("A={}\n", "x".repeat(1 << 20)),
        )
        .unwrap();
        device.done(&["network", "create", "--subnet", "10.77.0.0/24", "lan"]);
        let taken = [
            "run",
            "-d",
            "--name=taken",
            "--network=lan",
            "-p",
            "8080:80",
            "-v",
            "fresh:/data",
            &image,
        ];
        device.done(&[&taken[..], &["sh", "-c", "echo up; sleep 1000"]].concat());
        // Its monitor writes no more files now.
        until("the container", || {
            device.done(&["logs", "taken"]).stdout == "up\n"
        });
        check(device, &image, ROWS);
        check(device, &image, AT_THE_START);
        let output = Command::new(env!("CARGO_BIN_EXE_dray"))
            .args(["run", "--rm", "-e"])
            .arg(OsStr::from_bytes(b"A=\xff"))
            .args([&image, "true"])
            .env("DRAY_CONFIG", &device.host.config)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(125), "{output:?}");
        assert_eq!(output.stderr, b"dray: \"A=\\xFF\" is not UTF-8\n");
        device.done(&["rm", "-f", "taken"]);
    });
}

/// What needs a controller, and what is said where there is none.
#[rustfmt::skip]
const LIMITS: &[Row] = &[
    ("-m 64m", "--memory is not supported: this kernel has no control groups of memory; leave it out"),
    ("--memory-reservation 64m", "--memory-reservation is not supported: this kernel has no control groups of memory"),
    ("--memory-swappiness 1", "--memory-swappiness is not supported: this kernel has no control groups of memory"),
    ("--oom-kill-disable", "--oom-kill-disable is not supported: this kernel's control groups have no memory.oom_control"),
    ("--pids-limit 9", "--pids-limit is not supported: this kernel has no control groups of pids; leave it out"),
    ("--cpus 1", "--cpus is not supported: this kernel has no control groups of cpu; leave it out"),
    ("-c 512", "--cpu-shares is not supported: this kernel has no control groups of cpu; leave it out"),
    ("--cpu-period 50000", "--cpu-period is not supported: this kernel has no control groups of cpu; leave it out"),
    ("--cpu-quota 50000", "--cpu-quota is not supported: this kernel has no control groups of cpu; leave it out"),
    ("--cpuset-cpus 0", "--cpuset-cpus is not supported: this kernel has no control groups of cpuset; leave it out"),
    ("--cpuset-mems 0", "--cpuset-mems is not supported: this kernel has no control groups of cpuset; leave it out"),
    ("--device-read-bps /dev/loop0:1m", "--device-read-bps is not supported: this kernel's control groups have no"),
];

#[test]
fn a_limit_without_its_controller_is_refused() {
    on_device("controllers", |device| {
        let image = push(device, "tools", json!({}));
        // This thread's own, as its network is; gone with it. Others are shown the same folder, so nothing in it is changed.
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        run("mount", &["--make-rprivate", "/"]);
        let few = device.join("groups");
        let path = |name: &str| few.join(name).display().to_string();
        std::fs::create_dir(&few).unwrap();
        run("mount", &["-t", "tmpfs", "none", &path("")]);
        for controller in ["devices", "freezer", "systemd"] {
            std::fs::create_dir(few.join(controller)).unwrap();
            run(
                "mount",
                &[
                    "--bind",
                    &format!("/sys/fs/cgroup/{controller}"),
                    &path(controller),
                ],
            );
        }
        run("umount", &["-R", "/sys/fs/cgroup"]);
        run("mount", &["--rbind", &path(""), "/sys/fs/cgroup"]);
        run("umount", &["-R", &path("")]);
        device.done(&["run", "--rm", "--network=none", &image, "true"]);
        check(device, &image, LIMITS);
        // Docker's exceptions: it says so and goes on.
        let called = device.dray(&[
            "run",
            "--rm",
            "--network=none",
            "--blkio-weight=300",
            &image,
            "true",
        ]);
        assert_eq!(called.status.code(), Some(0), "{called:?}");
        let said = "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.";
        assert!(called.stderr.contains(said), "{called:?}");
        let disk = std::fs::read_dir("/sys/block").unwrap().next().unwrap();
        let disk = disk.unwrap().file_name();
        let weight = format!("--blkio-weight-device=/dev/{}:300", disk.to_str().unwrap());
        let called = device.dray(&["run", "--rm", "--network=none", &weight, &image, "true"]);
        assert_eq!(called.status.code(), Some(0), "{called:?}");
        let said = "Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.";
        assert!(called.stderr.contains(said), "{called:?}");
    });
}

/// What is known when it starts, and was otherwise when it was made.
#[test]
fn what_fails_at_the_start_is_named() {
    on_device("starting", |device| {
        let image = push(device, "tools", json!({}));
        let source = device.join("going");
        std::fs::create_dir(&source).unwrap();
        let bind = format!("{}:/data/deep", source.display());
        let mount = format!("type=bind,src={},dst=/data/deep", source.display());
        for (name, options) in [("short", ["-v", &bind]), ("long", ["--mount", &mount])] {
            let words = ["create", "--network=none", "--name", name];
            device.done(&[&words[..], &options, &[&image, "true"]].concat());
        }
        std::fs::remove_dir(&source).unwrap();
        for name in ["short", "long"] {
            let called = device.dray(&["start", name]);
            assert_eq!(called.status.code(), Some(1), "{called:?}");
            let parts = [source.to_str().unwrap(), "/data/deep", "No such file"];
            for part in parts {
                assert!(called.stderr.contains(part), "{part}: {called:?}");
            }
        }
        device.done(&["rm", "short", "long"]);

        // Root without the capability to raise limits has its own to give.
        let words = ["run", "--rm", "--network=none", "--ulimit=nproc=2000:3000"];
        let mut limited = Command::new("prlimit");
        limited.args(["--nproc=1000:1000", "setpriv"]);
        limited.args(["--bounding-set=-sys_resource", "--inh-caps=-sys_resource"]);
        limited.arg(env!("CARGO_BIN_EXE_dray")).args(words);
        limited.args([&image, "true"]);
        let called = limited
            .env("DRAY_CONFIG", &device.host.config)
            .output()
            .unwrap();
        let said = String::from_utf8(called.stderr).unwrap();
        assert_eq!(called.status.code(), Some(125), "{said}");
        let wanted = "error setting rlimit: ulimit nproc=2000:3000 is more than dray itself has and may give: at most 1000";
        assert!(said.contains(wanted), "{said}");
        assert_eq!(device.containers().len(), 0);
    });
}

#[test]
fn texts_are_as_long_as_the_kernel_takes_them() {
    on_device("long", |device| {
        let image = push(device, "tools", json!({}));
        let many = (0..5_000).flat_map(|n| {
            [
                format!("-eNAME{n}=value {n}"),
                format!("--label=key{n}=value {n}"),
            ]
        });
        let many: Vec<String> = many.collect();
        let base = ["run", "--rm", "--network=none"];
        let mut all: Vec<&str> = base
            .into_iter()
            .chain(many.iter().map(String::as_str))
            .collect();
        all.extend([&image, "sh", "-c", "env | grep -c ^NAME; echo $NAME4999"]);
        assert_eq!(device.done(&all).stdout, "5000\nvalue 4999\n");

        // What no caller can hand over in one word comes in an artifact or with an image.
        let megabyte = "x".repeat(1 << 20);
        for (words, said) in [
            (
                format!("-e A={megabyte}"),
                "meta-data is longer than 1048576 bytes",
            ),
            (
                format!("-e A={}", &megabyte[..100_000]),
                "meta-data key \"run_args\" has 100005 bytes; at most 65536 are allowed",
            ),
            (
                "-e 'A=\0'".to_owned(),
                "contains a NUL character, which no argument can",
            ),
            (
                "-l 'a=\0'".to_owned(),
                "contains a NUL character, which no argument can",
            ),
        ] {
            let tree = device.tree("long", &device.artifact("v1", &words).to_string());
            let called = device.call("Download", &tree);
            assert!(
                !called.succeeded() && called.stderr.contains(said),
                "{words:.20}: {:.500}",
                called.stderr
            );
            assert_eq!(device.containers().len(), 0, "{words:.20}");
        }
        let longest = format!("A={}", "x".repeat((128 << 10) - "A=".len() - 1));
        for (variable, said) in [
            (longest.clone(), None),
            (
                longest + "x",
                Some(
                    "environment variable \"A\" has 131072 bytes, more than the 131071 that Linux takes",
                ),
            ),
            (
                format!("A={megabyte}"),
                Some("environment variable \"A\" has 1048578 bytes, more than the 131071"),
            ),
        ] {
            let name = format!("long-{}", variable.len());
            let image = push(device, &name, json!({"Env": ["PATH=/bin", variable]}));
            let called = dray(
                device,
                &[
                    "run",
                    "--rm",
                    "--network=none",
                    &image,
                    "sh",
                    "-c",
                    "echo ${#A}",
                ],
            );
            match said {
                None => assert_eq!(called.stdout, "131069\n", "{:.500}", called.stderr),
                Some(said) => {
                    assert_eq!(called.status.code(), Some(125));
                    assert!(called.stderr.contains(said), "{:.500}", called.stderr);
                }
            }
            assert_eq!(device.containers().len(), 0);
        }
    });
}

/// Values with a control character in the right place; of the other options the character alone.
const WITH_CONTROL: &[(&str, &str)] = &[
    ("add-host", "a\u{1b}b:192.0.2.1"),
    ("annotation", "a\u{1b}b=c\u{1b}d"),
    ("device", "/dev/a\u{1b}b"),
    ("env", "A\u{1b}B=c\u{1b}d"),
    ("label", "a\u{1b}b=c\u{1b}d"),
    ("link", "a\u{1b}b:c"),
    ("log-opt", "tag=a\u{1b}b"),
    ("mount", "type=volume,src=data,dst=/a\u{1b}b"),
    ("net", "name=lan,alias=a\u{1b}b"),
    ("network", "name=lan,alias=a\u{1b}b"),
    ("security-opt", "no-new-privileges=\u{1b}"),
    ("sysctl", "net.a\u{1b}b=c"),
    ("tmpfs", "/a\u{1b}b"),
    ("volume", "data:/a\u{1b}b"),
    ("workdir", "/a\u{1b}b"),
];

/// Options that take any text: what becomes of it is a variable, a word, a mark or a path, or it names what has to be there
/// when the container is made.
#[rustfmt::skip]
const ANY_TEXT: &[&str] = &[
    "annotation", "cgroup-parent", "device", "entrypoint", "env", "env-file", "group-add", "health-cmd", "label", "label-file", "link",
    "log-opt", "mount", "sysctl", "tmpfs", "user", "volume", "volumes-from", "workdir",
];

#[test]
fn control_characters_get_no_further_than_where_they_mean_nothing() {
    let mut taken = Vec::new();
    for option in dray::runargs::describe() {
        if option.refused.is_some() || option.kind.is_empty() {
            continue;
        }
        let given = WITH_CONTROL.iter().find(|(name, _)| *name == option.name);
        let value = given.map_or("a\u{1b}b", |(_, value)| value);
        let words = [format!("--{}={value}", option.name)];
        match dray::runargs::RunArgs::check(&words) {
            Ok(_) => taken.push(option.name),
            Err(error) => {
                let said = error.to_string();
                assert!(
                    said.len() > 15 && !said.contains('\n'),
                    "--{}: {said:?}",
                    option.name
                );
            }
        }
    }
    assert_eq!(taken, ANY_TEXT);
}
