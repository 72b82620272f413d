//! Command lines that fleets have, word for word.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test files need no durable writer; a broken set-up should panic"
)]

mod common;

use std::process::Command;

use common::device::{Device, on_device, run};
use common::image::{Entry, Image, Layer};
use nix::sched::{CloneFlags, unshare};
use serde_json::json;

/// What the lines mount lies below `/opt`: an empty one, seen by the test alone.
fn with_own_opt(name: &str, test: fn(&Device)) {
    on_device(name, move |device| {
        unshare(CloneFlags::CLONE_NEWNS).expect("a mount namespace: run as root");
        run("mount", &["--make-rprivate", "/"]);
        run("mount", &["-t", "tmpfs", "tmpfs", "/opt"]);
        test(device);
    });
}

#[test]
fn a_monitor_of_a_home() {
    with_own_opt("as-ha", |device| {
        let busybox = std::fs::read("/bin/busybox").expect("busybox-static");
        let entries = [
            Entry::dir("bin"),
            Entry::file("bin/busybox", busybox).mode(0o755),
        ];
        let config = json!({ "Cmd": ["/bin/busybox", "sleep", "100000"] });
        let image = Image::oci([Layer::of(&entries)]).config(config).build();
        device.registry.push("ha", "1", &image);
        let line = "run -d --net host --privileged --restart unless-stopped --name hamonitor \
                    --volume /opt/ha:/tmp/hamonitor --publish 13514";
        let image = device.registry.name("ha:1");
        let words: Vec<&str> = line.split_whitespace().chain([image.as_str()]).collect();
        let called = device.dray(&words);
        assert!(called.status.success(), "{called:?}");
        let warning = "warning: Published ports are discarded when using host network mode\n";
        assert!(called.stderr.ends_with(warning), "{called:?}");

        let container = device.inspect("hamonitor");
        assert_eq!(container["State"]["Running"], true);
        assert_eq!(container["HostConfig"]["Privileged"], true);
        assert_eq!(
            container["HostConfig"]["RestartPolicy"]["Name"],
            "unless-stopped"
        );
        let network = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
        let pid = container["State"]["Pid"].to_string();
        assert_eq!(network(&pid), network("thread-self"));
        let touch = ["/bin/busybox", "touch", "/tmp/hamonitor/seen"];
        device.done(&[&["exec", "hamonitor"], &touch[..]].concat());
        assert!(std::path::Path::new("/opt/ha/seen").exists());
        device.done(&["rm", "-f", "hamonitor"]);
    });
}

#[test]
fn a_registry() {
    with_own_opt("as-registry", |device| {
        let file = |path: &str| Entry::file(path, std::fs::read(format!("/{path}")).unwrap());
        let config =
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: /var/lib/registry\n";
        let mut entries: Vec<Entry> = ["bin", "etc", "lib", "lib/x86_64-linux-gnu", "lib64", "tmp"]
            .map(Entry::dir)
            .into();
        entries.extend([
            file("lib/x86_64-linux-gnu/libc.so.6").mode(0o755),
            file("lib64/ld-linux-x86-64.so.2").mode(0o755),
            Entry::file(
                "bin/registry",
                std::fs::read("/usr/bin/docker-registry").unwrap(),
            )
            .mode(0o755),
            Entry::file("etc/registry.yml", config),
        ]);
        let config = json!({
            "Entrypoint": ["/bin/registry"],
            "Cmd": ["serve", "/etc/registry.yml"],
            "Volumes": { "/var/lib/registry": {} },
            "ExposedPorts": { "5000/tcp": {} },
        });
        let image = Image::oci([Layer::of(&entries)]).config(config).build();
        device.registry.push("registry", "2", &image);
        let line = "run -d -p 5000:5000 --restart=always -e REGISTRY_HTTP_ADDR=0.0.0.0:5000 \
                    -e REGISTRY_STORAGE_DELETE_ENABLED=true --name registry \
                    -v /opt/registry:/var/lib/registry";
        let name = device.registry.name("registry:2");
        let words: Vec<&str> = line.split_whitespace().chain([name.as_str()]).collect();
        device.done(&words);

        let pushed = "docker://127.0.0.1:5000/shop/registry:2";
        let skopeo = |words: &[&str]| {
            // It tries again while nothing listens yet.
            let mut command = Command::new("skopeo");
            let output = command.args(words).output().unwrap();
            assert!(output.status.success(), "{words:?}: {output:?}");
            output.stdout
        };
        let source = format!("docker://{name}");
        skopeo(&[
            "copy",
            "--retry-times=5",
            "--src-tls-verify=false",
            "--dest-tls-verify=false",
            &source,
            pushed,
        ]);
        // After a power cut it serves what was pushed to it.
        device.lose_power();
        device.done(&["boot"]);
        let words = [
            "inspect",
            "--raw",
            "--retry-times=5",
            "--tls-verify=false",
            pushed,
        ];
        let served = skopeo(&words);
        assert_eq!(served, image.documents[&image.digest].1);
        assert!(std::path::Path::new("/opt/registry/docker/registry/v2").exists());
        device.done(&["rm", "-f", "-v", "registry"]);
    });
}
