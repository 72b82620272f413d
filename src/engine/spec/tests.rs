//! Whole configurations.

use super::*;
use crate::api::{HostConfig, Mount, TmpfsOptions, Ulimit};

/// A kernel that can do everything, on x86_64.
pub(super) fn kernel(cgroup: CgroupVersion) -> Kernel {
    Kernel {
        cgroup,
        capabilities: (1 << 41) - 1,
        release: (6, 1),
        machine: "x86_64".to_owned(),
        seccomp: true,
        swap_limit: true,
        device_filter: false,
        possible_cpus: 2,
    }
}

#[derive(Default)]
struct Case {
    body: CreateBody,
    namespaces: Namespaces,
    mounts: Vec<ResolvedMount>,
    devices: Vec<Device>,
}

impl Case {
    fn of(host: HostConfig) -> Case {
        let mut case = Case {
            namespaces: Namespaces::of(&host),
            ..Case::default()
        };
        case.body.host_config = host;
        case
    }

    fn build(mut self) -> Result<Value, SpecError> {
        if self.body.config.cmd.is_none() {
            self.body.config.cmd = Some(vec!["/bin/app".to_owned()]);
        }
        build(&SpecInput {
            id: "0123456789ab",
            body: &self.body,
            rootfs: Path::new("/run/r"),
            tmpfs_modes: &BTreeMap::new(),
            hostname: "web",
            cgroups_path: "/dray/x",
            cgroups: &[],
            mounts: &self.mounts,
            files: Files {
                hosts: Some(Path::new("/run/f/hosts")),
                resolv_conf: Some(Path::new("/run/f/resolv")),
                hostname: Some(Path::new("/run/f/hostname")),
            },
            account: &Account {
                home: "/root".to_owned(),
                ..Account::default()
            },
            namespaces: &self.namespaces,
            shm: None,
            devices: &self.devices,
            kernel: &kernel(CgroupVersion::V2),
        })
    }

    fn built(self) -> Value {
        self.build().unwrap()
    }
}

fn bind(source: &str, target: &str) -> ResolvedMount {
    ResolvedMount {
        source: source.into(),
        target: target.into(),
        readonly: false,
        propagation: String::new(),
        recursive: true,
        writable_below: false,
    }
}

fn targets(spec: &Value) -> Vec<&str> {
    let mounts = spec["mounts"].as_array().unwrap();
    mounts
        .iter()
        .map(|m| m["destination"].as_str().unwrap())
        .collect()
}

fn options<'a>(spec: &'a Value, target: &str) -> Vec<&'a str> {
    let mounts = spec["mounts"].as_array().unwrap();
    let mount = mounts.iter().find(|m| m["destination"] == target).unwrap();
    let options = mount["options"].as_array().unwrap();
    options.iter().map(|o| o.as_str().unwrap()).collect()
}

#[test]
fn a_plain_container_gets_dockers_defaults() {
    let spec = Case::default().built();
    assert_eq!(
        targets(&spec),
        [
            "/proc",
            "/dev",
            "/dev/pts",
            "/sys",
            "/sys/fs/cgroup",
            "/dev/mqueue",
            "/dev/shm",
            "/etc/resolv.conf",
            "/etc/hostname",
            "/etc/hosts",
        ]
    );
    assert_eq!(options(&spec, "/sys"), ["nosuid", "noexec", "nodev", "ro"]);
    assert_eq!(
        options(&spec, "/dev/shm"),
        ["nosuid", "noexec", "nodev", "mode=1777", "size=67108864"]
    );
    assert_eq!(spec["hostname"], "web");
    assert_eq!(spec["root"], json!({ "path": "/run/r", "readonly": false }));
    assert_eq!(spec["process"]["args"], json!(["/bin/app"]));
    assert_eq!(spec["process"]["cwd"], "/");
    assert_eq!(spec["process"].get("noNewPrivileges"), None);
    assert_eq!(
        spec["process"]["capabilities"]["bounding"]
            .as_array()
            .unwrap()
            .len(),
        13
    );
    let linux = &spec["linux"];
    assert_eq!(linux["cgroupsPath"], "/dray/x");
    assert_eq!(linux["maskedPaths"].as_array().unwrap().len(), 14);
    assert_eq!(linux["readonlyPaths"].as_array().unwrap().len(), 5);
    assert_eq!(linux["seccomp"]["defaultAction"], "SCMP_ACT_ERRNO");
    assert_eq!(
        linux["sysctl"],
        json!({ "net.ipv4.ping_group_range": "0 2147483647", "net.ipv4.ip_unprivileged_port_start": "0" })
    );
    let kinds: Vec<_> = linux["namespaces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n["type"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["mount", "network", "uts", "pid", "ipc", "cgroup"]);
    let devices = linux["resources"]["devices"].as_array().unwrap();
    assert_eq!(devices[0], json!({ "allow": false, "access": "rwm" }));
    assert_eq!(devices.len(), 8);
}

#[test]
fn a_privileged_container_gets_everything() {
    let spec = Case::of(HostConfig {
        privileged: true,
        ..Default::default()
    })
    .built();
    assert_eq!(
        spec["process"]["capabilities"]["effective"]
            .as_array()
            .unwrap()
            .len(),
        41
    );
    assert_eq!(spec["linux"].get("seccomp"), None);
    assert_eq!(spec["linux"]["maskedPaths"], json!([]));
    assert_eq!(spec["linux"]["readonlyPaths"], json!([]));
    assert_eq!(
        spec["linux"]["resources"]["devices"],
        json!([{ "allow": true, "access": "rwm" }])
    );
    assert_eq!(options(&spec, "/sys"), ["nosuid", "noexec", "nodev"]);
    assert_eq!(
        options(&spec, "/sys/fs/cgroup"),
        ["nosuid", "noexec", "nodev"]
    );
}

#[test]
fn shared_namespaces_are_left_out_with_what_belongs_to_them() {
    let host = |mode: &str| mode.to_owned();
    let spec = Case::of(HostConfig {
        network_mode: host("host"),
        pid_mode: host("host"),
        ipc_mode: host("host"),
        uts_mode: host("host"),
        cgroupns_mode: host("host"),
        ..Default::default()
    });
    let spec = spec.built();
    assert_eq!(spec["linux"]["namespaces"], json!([{ "type": "mount" }]));
    assert_eq!(spec["linux"]["sysctl"], json!({}));
    assert_eq!(spec.get("hostname"), None);
    assert_eq!(options(&spec, "/dev/shm"), ["rbind"]);

    let joined = Namespaces {
        network: Namespace::Join("/proc/7/ns/net".into()),
        ..Namespaces::default()
    };
    let spec = Case {
        namespaces: joined,
        ..Case::default()
    }
    .built();
    assert_eq!(
        spec["linux"]["namespaces"][1],
        json!({ "type": "network", "path": "/proc/7/ns/net" })
    );
    let none = Case::of(HostConfig {
        ipc_mode: host("none"),
        ..Default::default()
    })
    .built();
    assert!(!targets(&none).contains(&"/dev/shm"));
}

#[test]
fn the_options_of_a_process_arrive() {
    let mut case = Case::of(HostConfig {
        security_opt: vec![
            "no-new-privileges".to_owned(),
            "seccomp=unconfined".to_owned(),
        ],
        ulimits: vec![Ulimit {
            name: "nofile".to_owned(),
            soft: 1024,
            hard: -1,
        }],
        annotations: [("a".to_owned(), "b".to_owned())].into(),
        ..Default::default()
    });
    case.body.config.tty = true;
    case.body.config.working_dir = "/srv".to_owned();
    case.body.config.domainname = "example.org".to_owned();
    case.body.config.entrypoint = Some(vec!["/entry".to_owned()]);
    case.body.config.cmd = Some(vec!["a".to_owned()]);
    let spec = case.built();
    let process = &spec["process"];
    assert_eq!(process["noNewPrivileges"], true);
    assert_eq!(process["terminal"], true);
    assert_eq!(process["cwd"], "/srv");
    assert_eq!(process["args"], json!(["/entry", "a"]));
    assert_eq!(
        process["rlimits"],
        json!([{ "type": "RLIMIT_NOFILE", "soft": 1024, "hard": u64::MAX }])
    );
    assert_eq!(spec["linux"].get("seccomp"), None);
    assert_eq!(spec["domainname"], "example.org");
    assert_eq!(spec["annotations"], json!({ "a": "b" }));
}

#[test]
fn mounts_cover_defaults_and_come_in_order_of_depth() {
    let mut case = Case::of(HostConfig {
        tmpfs: [("/a/b/c".to_owned(), "size=1m".to_owned())].into(),
        mounts: vec![Mount {
            kind: "tmpfs".to_owned(),
            target: "/a/./b".to_owned(),
            read_only: true,
            tmpfs_options: Some(TmpfsOptions {
                size_bytes: 4096,
                mode: 0o700,
            }),
            ..Default::default()
        }],
        readonly_rootfs: true,
        ..Default::default()
    });
    case.mounts = vec![
        ResolvedMount {
            readonly: true,
            ..bind("/h/deep", "/a/b/c/d")
        },
        bind("/h/etc", "/etc"),
        bind("/h/a", "/a/"),
        ResolvedMount {
            readonly: true,
            writable_below: true,
            ..bind("/h/hosts", "/etc/hosts")
        },
        ResolvedMount {
            recursive: false,
            readonly: true,
            propagation: "private".to_owned(),
            ..bind("/h/shm", "/shm")
        },
    ];
    let spec = case.built();
    assert_eq!(
        targets(&spec),
        [
            "/proc",
            "/dev",
            "/dev/pts",
            "/sys",
            "/sys/fs/cgroup",
            "/dev/mqueue",
            "/dev/shm",
            "/etc",
            "/a",
            "/shm",
            "/etc/resolv.conf",
            "/etc/hostname",
            "/etc/hosts",
            "/a/b",
            "/a/b/c",
            "/a/b/c/d",
        ]
    );
    assert_eq!(options(&spec, "/a/b/c/d"), ["rbind", "rro"]);
    assert_eq!(options(&spec, "/etc/hosts"), ["rbind", "ro"]);
    assert_eq!(options(&spec, "/shm"), ["bind", "ro", "private"]);
    assert_eq!(options(&spec, "/a"), ["rbind"]);
    assert_eq!(
        options(&spec, "/a/b"),
        [
            "noexec",
            "nosuid",
            "nodev",
            "rprivate",
            "ro",
            "mode=700",
            "size=4096"
        ]
    );
    assert_eq!(spec["linux"]["rootfsPropagation"], "private");
    let slave = ResolvedMount {
        propagation: "rslave".to_owned(),
        ..bind("/media", "/media")
    };
    let slave = Case {
        mounts: vec![slave],
        ..Case::default()
    }
    .built();
    assert_eq!(slave["linux"]["rootfsPropagation"], "slave");
    // A read-only root takes the engine's files along, and not what has to be written.
    assert_eq!(options(&spec, "/etc/resolv.conf"), ["rbind", "ro"]);
    assert!(!options(&spec, "/dev").contains(&"ro"));
    assert_eq!(spec["root"]["readonly"], true);
}

#[test]
fn what_is_bound_at_or_below_dev_is_left_to_the_first_process() {
    let spec = Case {
        mounts: vec![bind("/dev", "/dev")],
        ..Case::default()
    }
    .built();
    assert_eq!(
        targets(&spec),
        [
            "/proc",
            "/dev",
            "/dev/pts",
            "/sys",
            "/sys/fs/cgroup",
            "/dev/mqueue",
            "/dev/shm",
            "/etc/resolv.conf",
            "/etc/hostname",
            "/etc/hosts"
        ]
    );
}

#[test]
fn devices_get_a_node_and_a_rule() {
    let device = Device {
        path: "/dev/ttyX".into(),
        kind: 'c',
        major: 188,
        minor: 3,
        mode: 0o20660,
        uid: 0,
        gid: 20,
        permissions: "rw".to_owned(),
    };
    let mut case = Case::of(HostConfig {
        device_cgroup_rules: vec!["c 81:* r".to_owned()],
        ..Default::default()
    });
    case.devices = vec![device.clone()];
    let spec = case.built();
    assert_eq!(
        spec["linux"]["devices"],
        json!([{ "type": "c", "path": "/dev/ttyX", "major": 188, "minor": 3, "fileMode": 0o660, "uid": 0, "gid": 20 }])
    );
    let rules = spec["linux"]["resources"]["devices"].as_array().unwrap();
    assert_eq!(
        rules[8..],
        [
            json!({ "allow": true, "type": "c", "major": 188, "minor": 3, "access": "rw" }),
            json!({ "allow": true, "type": "c", "major": 81, "access": "r" }),
        ]
    );
    let twice = Case {
        devices: vec![device.clone(), device.clone()],
        ..Case::default()
    }
    .built();
    assert_eq!(twice["linux"]["devices"].as_array().unwrap().len(), 1);
    let outside = Device {
        path: "/srv/tty".into(),
        ..device
    };
    let refused = Case {
        devices: vec![outside],
        ..Case::default()
    }
    .build()
    .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "device \"/srv/tty\" cannot be made: the path in the container has to be below /dev"
    );
}

#[test]
fn what_cannot_be_is_refused() {
    let with = |change: fn(&mut Case)| {
        let mut case = Case::default();
        case.body.config.cmd = Some(vec!["x".to_owned()]);
        change(&mut case);
        case.build().unwrap_err().to_string()
    };
    for (refused, expected) in [
        (
            with(|c| c.body.config.cmd = Some(vec![])),
            "no command specified: neither the run arguments nor the image name one",
        ),
        (
            with(|c| {
                c.body.config.entrypoint = Some(vec![String::new()]);
                c.body.config.cmd = Some(vec![]);
            }),
            "no command specified: neither the run arguments nor the image name one",
        ),
        (
            with(|c| c.body.config.working_dir = "srv".to_owned()),
            "working directory \"srv\" is not an absolute path; give one with --workdir, or fix the image",
        ),
        (
            with(|c| c.mounts = vec![bind("/x", "/a"), bind("/y", "/a/")]),
            "duplicate mount point: /a",
        ),
        (
            with(|c| c.body.host_config.tmpfs = [("/t".to_owned(), "huge=1".to_owned())].into()),
            "invalid tmpfs option \"huge=1\" for /t",
        ),
        (
            with(|c| c.body.host_config.device_cgroup_rules = vec!["x".to_owned()]),
            "invalid device cgroup rule \"x\"",
        ),
        (
            with(|c| {
                c.body.host_config.ulimits = vec![Ulimit {
                    name: "x".to_owned(),
                    ..Default::default()
                }]
            }),
            "unknown resource limit \"x\"",
        ),
    ] {
        assert_eq!(refused, expected);
    }
}
