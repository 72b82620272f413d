//! Volumes, on real containers: `dray volume`, volumes of other containers, and every form of `--mount`.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test files need no durable writer; a broken set-up should panic"
)]

mod common;

use std::path::Path;

use common::device::{Device, on_device, run};
use common::image::{Entry, Image, Layer};
use serde_json::{Value, json};

/// Pushes an image of busybox with a volume of its own.
fn push(device: &Device) -> String {
    let busybox = std::fs::read("/bin/busybox").expect("busybox-static");
    let mut entries = vec![
        Entry::dir("bin"),
        Entry::file("bin/busybox", busybox).mode(0o755),
        Entry::dir("srv"),
        Entry::file("srv/kept", "from the image"),
    ];
    let applets = [
        "sh", "cat", "echo", "ls", "sleep", "touch", "mkdir", "stat", "grep", "ln", "mv", "test",
        "mount", "df", "rm",
    ];
    entries.extend(applets.map(|applet| Entry::symlink(format!("bin/{applet}"), "busybox")));
    let config = json!({ "Env": ["PATH=/bin"], "Cmd": ["true"], "Volumes": { "/srv": {} } });
    let image = Image::oci([Layer::of(&entries)]).config(config).build();
    device.registry.push("box", "1", &image);
    device.registry.name("box:1")
}

/// A word that has to succeed; what it printed.
fn dray(device: &Device, words: &[&str]) -> String {
    let called = device.dray(words);
    assert!(called.status.success(), "{words:?}: {called:?}");
    assert_eq!(called.stderr, "", "{words:?}");
    called.stdout.trim_end().to_owned()
}

/// A word that has to fail; what it said about it.
fn refused(device: &Device, words: &[&str]) -> String {
    let called = device.dray(words);
    assert!(!called.status.success(), "{words:?}: {called:?}");
    called.stderr.trim_end().to_owned()
}

/// Both streams of a shell line in a new container without a network.
fn shell(device: &Device, image: &str, options: &[&str], line: &str) -> String {
    let line = format!("{{ {line}; }} 2>&1");
    let words = [
        &["run", "--rm", "--network", "none"],
        options,
        &[image, "sh", "-c", &line],
    ];
    let called = device.dray(&words.concat());
    assert_eq!(called.stderr, "", "{options:?}");
    called.stdout.trim_end().to_owned()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn names(device: &Device, words: &[&str]) -> Vec<String> {
    let listed = dray(device, &[&["volume", "ls", "-q"], words].concat());
    listed.lines().map(str::to_owned).collect()
}

#[test]
fn volumes_are_made_listed_looked_at_and_removed() {
    on_device("volume", |device| {
        let create = |words: &[&str]| dray(device, &[&["volume", "create"], words].concat());
        assert_eq!(
            create(&["data", "--label", "of=shop", "--label", "x"]),
            "data"
        );
        assert_eq!(create(&["other"]), "other");
        // It is there already, and stays as it is.
        assert_eq!(create(&["--label", "of=nobody", "data"]), "data");
        let unnamed = create(&[]);
        assert!(unnamed.len() == 64 && unnamed.bytes().all(|b| b.is_ascii_hexdigit()));

        let listed = dray(device, &["volume", "ls", "--filter", "dangling=false"]);
        assert_eq!(listed, "DRIVER   VOLUME NAME");
        let listed = dray(device, &["volume", "ls", "-f", "name=^data$"]);
        assert_eq!(listed, "DRIVER   VOLUME NAME\nlocal    data");
        for (filter, expected) in [
            ("name=at", &["data"][..]),
            ("name=^o", &["other"]),
            ("label=of", &["data"]),
            ("label=of=shop", &["data"]),
            ("label=of=nobody", &[]),
            ("driver=nfs", &[]),
            ("label=com.docker.volume.anonymous", &[&unnamed]),
        ] {
            assert_eq!(names(device, &["--filter", filter]), expected, "{filter}");
        }
        let mount = device.host.state.join("volumes/data/_data");
        let line = json(&dray(
            device,
            &["volume", "ls", "--format", "json", "-f", "name=data"],
        ));
        assert_eq!(line["Name"], "data");
        assert_eq!(line["Mountpoint"], json!(mount));
        assert_eq!(line["Labels"], "of=shop,x=");

        for words in [&["volume", "inspect", "data"][..], &["inspect", "data"]] {
            let mut volume = json(&dray(device, words))[0].take();
            let created = volume["CreatedAt"].take();
            assert!(created.as_str().unwrap().starts_with("20"), "{created}");
            let expected = json!({
                "CreatedAt": null, "Driver": "local", "Labels": { "of": "shop", "x": "" }, "Mountpoint": mount,
                "Name": "data", "Options": null, "Scope": "local",
            });
            assert_eq!(volume, expected);
        }

        for (words, said) in [
            (
                &["create", "x"][..],
                "create x: volume name is too short, names should be at least two alphanumeric characters",
            ),
            (&["create", "../up"], "invalid volume name \"../up\""),
            (
                &["create", "-d", "nfs", "n1"],
                "volume driver \"nfs\" is not supported",
            ),
            (
                &["create", "-o", "type=nfs", "n1"],
                "missing required option: \"device\"",
            ),
            (
                &["create", "--label", "=x", "n1"],
                "invalid label '=x': empty name",
            ),
            (&["inspect", "none"], "get none: no such volume"),
            (&["inspect", ".."], "get ..: no such volume"),
            (&["rm", "none"], "get none: no such volume"),
            (&["ls", "-f", "name"], "expected name=value"),
            (&["ls", "-f", "size=1"], "invalid filter \"size\""),
            (&["ls", "-f", "dangling=perhaps"], "expected true or false"),
            // Nobody answers.
            (&["prune"], "volume prune has been cancelled"),
        ] {
            let words = [&["volume"], words].concat();
            let refused = refused(device, &words);
            assert!(refused.contains(said), "{words:?}: {refused}");
        }
        assert_eq!(dray(device, &["volume", "rm", "-f", "none"]), "none");
        assert_eq!(dray(device, &["volume", "rm", "other"]), "other");
        let pruned = dray(device, &["volume", "prune", "-f"]);
        let expected = format!("Deleted Volumes:\n{unnamed}\n\nTotal reclaimed space: 0B");
        assert_eq!(pruned, expected);
        assert_eq!(names(device, &[]), ["data"]);
        assert_eq!(names(device, &["-f", "name=^d.*a$"]), ["data"]);
        std::fs::write(mount.join("file"), "x".repeat(4096)).unwrap();
        let kept = dray(device, &["volume", "prune", "-af", "--filter", "label!=of"]);
        assert_eq!(kept, "Total reclaimed space: 0B");
        let pruned = dray(device, &["volume", "prune", "--all", "--force"]);
        assert_eq!(
            pruned,
            "Deleted Volumes:\ndata\n\nTotal reclaimed space: 4.096kB"
        );
        assert_eq!(names(device, &[]), [""; 0]);
    });
}

#[test]
fn a_volume_that_a_container_has_stays() {
    on_device("volume-used", |device| {
        let image = push(device);
        let words = [
            "create",
            "--name",
            "one",
            "-v",
            "data:/data",
            "-v",
            "/own",
            &image,
        ];
        let id = dray(device, &words);
        // The container does not run; the image's volume and /own are anonymous.
        assert_eq!(names(device, &["-f", "dangling=false"]).len(), 3);
        let said = refused(device, &["volume", "rm", "-f", "data"]);
        let expected = format!("remove data: volume is in use - [{id}]");
        assert!(said.contains(&expected), "{said}");
        let pruned = dray(device, &["volume", "prune", "-af"]);
        assert_eq!(pruned, "Total reclaimed space: 0B");
        // A volume of an older dray has no note.
        std::fs::remove_file(device.host.state.join("volumes/data/volume.json")).unwrap();
        let info = json(&dray(device, &["volume", "inspect", "data"]));
        assert_eq!(info[0]["Labels"], json!({}));
        dray(device, &["rm", "-v", "one"]);
        assert_eq!(names(device, &[]), ["data"]);
        assert_eq!(dray(device, &["volume", "rm", "data"]), "data");
        // What a cut left of a removal goes with the next call that changes something.
        let left = device.host.state.join("volumes/.tmp-1-0");
        std::fs::create_dir_all(left.join("_data")).unwrap();
        assert_eq!(names(device, &[]), [""; 0]);
        assert!(left.exists());
        dray(device, &["volume", "prune", "-f"]);
        assert!(!left.exists());
    });
}

#[test]
fn volumes_of_another_container_are_taken_over() {
    on_device("volumes-from", |device| {
        let image = push(device);
        let bound = device.join("bound");
        std::fs::create_dir(&bound).unwrap();
        let bind = format!("{}:/bound:ro", bound.display());
        let words = [
            "create",
            "--name",
            "db",
            "-v",
            "data:/data",
            "-v",
            &bind,
            "-v",
            "/own",
            &image,
        ];
        dray(device, &words);
        let from = |from: &str, more: &[&str], line: &str| {
            shell(
                device,
                &image,
                &[&["--volumes-from", from], more].concat(),
                line,
            )
        };
        let write = "echo x > /data/x; echo y > /own/y; ls /srv; echo z > /bound/z";
        let readonly = "sh: can't create /bound/z: Read-only file system";
        // The image's VOLUME is the other one's too, with what the image has there: containers that are made for their volumes
        // alone never run.
        assert_eq!(from("db", &[], write), format!("kept\n{readonly}"));
        assert_eq!(from("db:ro", &[], "cat /data/x /own/y"), "x\ny");
        let said = from("db:ro", &[], "touch /data/new /own/new");
        assert_eq!(said.matches("Read-only file system").count(), 2, "{said}");
        // What is said for a place counts more.
        assert_eq!(from("db", &["-v", "fresh:/data"], "ls /data"), "");
        assert_eq!(from("db", &["--tmpfs", "/own"], "ls /own; ls /data"), "x");

        let taken = ["create", "--name", "web", "--volumes-from", "db", &image];
        dray(device, &taken);
        let mounts = |name| json(&dray(device, &["inspect", name]))[0]["Mounts"].take();
        let (db, web) = (mounts("db"), mounts("web"));
        let sources = |mounts: &Value| -> Vec<String> {
            let mounts = mounts.as_array().unwrap().iter();
            let mut sources: Vec<_> = mounts.map(|mount| mount["Source"].to_string()).collect();
            sources.sort();
            sources
        };
        assert_eq!(sources(&db), sources(&web));
        // The last container that has them takes the anonymous ones along.
        dray(device, &["rm", "-v", "db"]);
        assert_eq!(names(device, &["-f", "dangling=false"]).len(), 3);
        dray(device, &["rm", "-v", "web"]);
        assert_eq!(names(device, &[]), ["data", "fresh"]);

        for (from, said) in [
            ("nobody", "no such container: nobody"),
            ("db:rx", "invalid mode: rx"),
            ("", "volumes-from specification cannot be an empty string"),
        ] {
            let refused = refused(
                device,
                &["create", "--volumes-from", from, "-v", "new:/new", &image],
            );
            assert!(refused.contains(said), "{from}: {refused}");
        }
        // Nothing half made.
        assert_eq!(names(device, &[]), ["data", "fresh"]);
    });
}

#[test]
fn services_of_one_deployment_share_volumes() {
    on_device("volumes-from-deployed", |device| {
        let services = json!({
            "containers": [device.pinned("v1"), device.pinned("v2")],
            "dray": { "version": 1, "services": [
                { "name": "db", "image": 0, "run_args": "-v /own" },
                { "name": "web", "image": 1, "run_args": "--volumes-from db", "depends_on": ["db"] },
            ]},
        });
        for generation in ["first", "second"] {
            let tree = device.tree(generation, &services.to_string());
            for state in ["Download", "ArtifactInstall", "ArtifactCommit", "Cleanup"] {
                let called = device.call(state, &tree);
                assert!(called.succeeded(), "{state}: {called:?}");
            }
            // Of the two generations' services called db it is the own one, whose volume is new.
            assert_eq!(dray(device, &["exec", "web", "ls", "/own"]), "");
            dray(device, &["exec", "db", "sh", "-c", "echo x > /own/file"]);
            assert_eq!(dray(device, &["exec", "web", "ls", "/own"]), "file");
            // And the one before has gone with its containers.
            assert_eq!(names(device, &[]).len(), 1);
        }
        dray(device, &["rm", "-fv", "web", "db"]);
    });
}

#[test]
fn every_form_of_mount_has_its_effect() {
    on_device("mounts", |device| {
        let image = push(device);
        let bound = device.join("bound");
        std::fs::create_dir_all(bound.join("below")).unwrap();
        run(
            "mount",
            &["-t", "tmpfs", "none", bound.join("below").to_str().unwrap()],
        );
        let below = Unmount(bound.join("below").display().to_string());
        std::fs::write(bound.join("below/file"), "").unwrap();
        let bound = bound.to_str().unwrap();
        let bind = |rest: &str| format!("type=bind,src={bound},dst=/m{rest}");
        let (top, under) = (
            "echo >/m/new && echo top",
            "echo >/m/below/new && echo under",
        );
        let look = format!("{{ {top}; {under}; }} 2>/dev/null; ls /m/below");
        for (mount, line, expected) in [
            (bind(""), look.as_str(), "top\nunder\nfile\nnew"),
            (bind(",bind-recursive=disabled"), &look, "top\nunder\nnew"),
            (bind(",readonly"), &look, "file"),
            (
                bind(",ro=true,bind-recursive=writable"),
                &look,
                "under\nfile\nnew",
            ),
            (
                bind(",readonly,bind-recursive=readonly,bind-propagation=rprivate"),
                &look,
                "file",
            ),
            (bind(",bind-nonrecursive"), &look, "top\nunder\nnew"),
            (
                "type=tmpfs,destination=/m,tmpfs-size=1m,tmpfs-mode=0750".into(),
                "stat -c %a /m; df -k /m | grep -c 1024; grep ' /m ' /proc/mounts | grep -c noexec",
                "750\n1\n1",
            ),
            (
                "source=vol,target=/srv".into(),
                "cat /srv/kept; mkdir -p /srv/a/b; echo deep >/srv/a/b/c",
                "from the image",
            ),
            ("source=vol,target=/m,volume-subpath=a".into(), "ls /m", "b"),
            (
                "src=vol,dst=/m,volume-subpath=a/./b/c,ro".into(),
                "cat /m; echo >/m",
                "deep\nsh: can't create /m: Read-only file system",
            ),
            (
                "src=new,dst=/srv,volume-driver=local,volume-nocopy".into(),
                "ls /srv",
                "",
            ),
            ("src=marked,dst=/m,volume-label=of=shop".into(), "ls /m", ""),
            ("dst=/srv".into(), "cat /srv/kept", "from the image"),
        ] {
            let said = shell(device, &image, &["--mount", &mount], line);
            assert_eq!(said, expected, "{mount}");
            for file in ["new", "below/new"] {
                let _ = std::fs::remove_file(Path::new(bound).join(file));
            }
        }
        assert_eq!(names(device, &["-f", "label=of=shop"]), ["marked"]);
        assert_eq!(names(device, &[]), ["marked", "new", "vol"]);
        // Short tmpfs options beyond Docker's defaults.
        let said = shell(
            device,
            &image,
            &["--tmpfs", "/m:exec,uid=7,mode=700,nr_inodes=9"],
            "stat -c '%u %a' /m; df -i /m | grep -c ' 9 '; grep ' /m ' /proc/mounts | grep -c noexec",
        );
        assert_eq!(said, "7 700\n1\n0");
        drop(below);
    });
}

#[test]
fn a_subpath_leads_nowhere_else() {
    on_device("subpath", |device| {
        let image = push(device);
        let line = "mkdir /v/in; ln -s /etc /v/out; ln -s in /v/link";
        shell(device, &image, &["-v", "vol:/v"], line);
        let mount = |path: &str| format!("src=vol,dst=/m,volume-subpath={path}");
        for (path, said) in [
            (
                "none",
                "there is no such folder or file in the volume; make it first",
            ),
            ("out", "there is a symbolic link on the way"),
            ("link/x", "there is a symbolic link on the way"),
            (
                "../vol",
                "subpath must be a relative path within the volume",
            ),
            ("/in", "subpath must be a relative path within the volume"),
        ] {
            let refused = refused(
                device,
                &[
                    "run",
                    "--rm",
                    "--network",
                    "none",
                    "--mount",
                    &mount(path),
                    &image,
                    "true",
                ],
            );
            assert!(refused.contains(said), "{path}: {refused}");
        }
        // Nothing stays of the mounts, and a restart makes them anew: the volume itself is never removed with a container.
        let words = [
            "run",
            "-d",
            "--network",
            "none",
            "--name",
            "again",
            "--restart",
            "on-failure:2",
            "--mount",
            &mount("in"),
            &image,
            "sh",
            "-c",
            "echo x >> /m/lines; test -e /m/end || exit 1; sleep 1000",
        ];
        dray(device, &words);
        device.ended("again", 1);
        let data = device.host.state.join("volumes/vol/_data/in/lines");
        assert_eq!(std::fs::read_to_string(&data).unwrap(), "x\nx\nx\n");
        dray(device, &["rm", "-fv", "again"]);
        assert!(data.exists());
        let left = std::fs::read_dir(device.host.run.join("subpaths")).unwrap();
        assert_eq!(left.count(), 0);
    });
}

/// A mount of the host that goes also when the test fails.
struct Unmount(String);

impl Drop for Unmount {
    fn drop(&mut self) {
        run("umount", &["-l", &self.0]);
    }
}

#[test]
fn volumes_are_mounted_while_containers_have_them() {
    on_device("volume-options", |device| {
        let image = push(device);
        let create = |options: &[&str]| {
            let words = [&["volume", "create"], options].concat();
            let made = device.dray(&words);
            (made.status.success(), made.stderr)
        };
        for (options, said) in [
            (
                &["--opt=type=tmpfs", "x1"][..],
                "missing required option: \"device\"",
            ),
            (
                &["--opt=o=size=1m", "x2"],
                "missing required option: \"device\"",
            ),
            (
                &["--opt=device=/srv", "x3"],
                "missing required option: \"type\"",
            ),
            (&["--opt=colour=red", "x4"], "invalid option: \"colour\""),
            (
                &["--opt=size=1g", "x5"],
                "quota size requested but no quota support",
            ),
            (
                &["--driver=nfs", "x6"],
                "volume driver \"nfs\" is not supported",
            ),
        ] {
            let (made, complained) = create(options);
            assert!(
                !made && complained.contains(said),
                "{options:?}: {complained}"
            );
        }
        assert_eq!(device.done(&["volume", "ls", "-q"]).stdout, "");

        let tmpfs = [
            "--opt=type=tmpfs",
            "--opt=device=tmpfs",
            "--opt=o=size=1m,mode=1750,noexec",
        ];
        assert!(create(&[&tmpfs[..], &["--label=a=b", "fast"]].concat()).0);
        let folder = device.join("elsewhere");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("host"), "").unwrap();
        let bound = format!("--opt=device={}", folder.display());
        assert!(create(&["--opt=type=none", &bound, "--opt=o=bind", "bound"]).0);
        assert!(create(&["--opt=type=none", &bound, "--opt=o=bind,ro", "fixed"]).0);
        assert!(
            create(&[
                "--opt=type=none",
                "--opt=device=/nowhere",
                "--opt=o=bind",
                "none"
            ])
            .0
        );
        let shown: Value =
            serde_json::from_str(&device.done(&["volume", "inspect", "fast"]).stdout).unwrap();
        assert_eq!(shown[0]["Options"]["o"], "size=1m,mode=1750,noexec");

        let keep = |name: &str, options: &[&str]| {
            let base = ["run", "-d", "--network=none", "--name", name];
            let line = ["sh", "-c", "while :; do busybox sleep 0.05; done"];
            device.done(&[&base, options, &[&image], &line].concat());
        };
        let exec = |name: &str, line: &str| {
            let called = device.dray(&["exec", name, "sh", "-c", line]);
            called.stdout.trim_end().to_owned()
        };
        keep(
            "one",
            &[
                "--restart=always",
                "-v",
                "fast:/fast",
                "-v",
                "bound:/bound",
                "-v",
                "fixed:/fixed",
            ],
        );
        keep("two", &["-v", "fast:/other:ro", "-v", "fast:/again"]);
        let mounted = exec("one", "busybox grep ' /fast ' /proc/mounts");
        for word in ["tmpfs", "size=1024k", "mode=1750", "noexec"] {
            assert!(mounted.contains(word), "{mounted}");
        }
        // One filesystem for all who have it.
        exec("one", "echo kept >/fast/file; echo own >/bound/own");
        assert_eq!(
            exec("two", "busybox cat /other/file /again/file"),
            "kept\nkept"
        );
        assert_ne!(exec("two", "echo >/other/x || echo refused"), "");
        assert_eq!(
            std::fs::read_to_string(folder.join("own")).unwrap(),
            "own\n"
        );
        assert_eq!(
            exec("one", "busybox ls /fixed; echo >/fixed/x || echo refused"),
            "host\nown\nrefused"
        );
        // It is there as long as one of them is, and gone with the last one.
        let refused = device.dray(&["volume", "rm", "fast"]);
        assert!(refused.stderr.contains("volume is in use"), "{refused:?}");
        device.done(&["stop", "-t", "0", "one"]);
        assert_eq!(exec("two", "busybox cat /again/file"), "kept");
        device.done(&["start", "one"]);
        assert_eq!(exec("one", "busybox cat /fast/file"), "kept");
        device.done(&["rm", "-f", "two"]);
        device.done(&["stop", "-t", "0", "one"]);
        device.done(&["start", "one"]);
        assert_eq!(exec("one", "busybox ls /fast"), "");
        assert_eq!(exec("one", "busybox ls /bound"), "host\nown");
        // Whatever another one's start left behind: what is mounted is never emptied to be filled again.
        let mark = device.host.run.join("volumes/filling");
        std::fs::write(&mark, "").unwrap();
        let over = ["-v", "bound:/srv"];
        assert_eq!(shell(device, &image, &over, "busybox ls /srv"), "host\nown");
        std::fs::remove_file(&mark).unwrap();

        let lost = device.dray(&["run", "--name=lost", "-v", "none:/none", &image, "true"]);
        assert_eq!(lost.status.code(), Some(125), "{lost:?}");
        assert!(
            lost.stderr
                .contains("failed to mount local volume: No such file"),
            "{lost:?}"
        );
        // Anonymous ones go with their container, what they showed does not.
        let own = format!(
            "type=volume,dst=/own,volume-opt=type=none,volume-opt=device={},volume-opt=o=bind",
            folder.display()
        );
        let once = [
            "run",
            "--rm",
            "--network=none",
            "--mount",
            &own,
            &image,
            "busybox",
            "ls",
            "/own",
        ];
        assert_eq!(device.done(&once).stdout, "host\nown\n");
        device.done(&["rm", "-f", "one", "lost"]);
        assert!(folder.join("host").exists());
        // Those of the image that were nobody's own go first.
        device.done(&["volume", "prune", "-f"]);
        let left = device.done(&["volume", "ls", "-q"]).stdout;
        assert_eq!(left, "bound\nfast\nfixed\nnone\n");
        device.done(&["volume", "rm", "bound", "fast", "fixed", "none"]);
        let left = std::fs::read_dir(device.host.run.join("volumes")).unwrap();
        assert_eq!(left.count(), 0);
        assert!(folder.join("host").exists());
    });
}

#[test]
fn a_mount_point_that_a_read_only_mount_lacks_is_named() {
    on_device("lacking", |device| {
        let image = device.registry.name("shop/v1:1");
        let folder = device.join("ro");
        std::fs::create_dir_all(folder.join("there/file")).unwrap();
        std::os::unix::fs::symlink("/there", folder.join("link")).unwrap();
        let path = |below: &str| folder.join(below).display().to_string();
        let ro = format!("{}:/data:ro", folder.display());
        let etc = format!("{}:/etc:ro", folder.display());
        let (ro, etc) = (ro.as_str(), etc.as_str());
        let lacks = |what: &str, target: &str, above: &str, below: &str| {
            format!(
                "failed to mount {what:?} at {target:?}: create mountpoint for {target} mount: read-only file system: \
                 {above:?} is mounted read-only and does not have it; make {} on the host first, or mount {above:?} \
                 without ro\n",
                path(below)
            )
        };
        // options, what is said
        for (options, said) in [
            (
                &["-v", ro, "-v", "xx:/data/sub"][..],
                lacks("xx", "/data/sub", "/data", "sub"),
            ),
            (
                &["-v", ro, "--tmpfs", "/data/there/t"],
                lacks("tmpfs", "/data/there/t", "/data", "there/t"),
            ),
            (
                &["-v", ro, "-v", "/srv:/data//sub/"],
                lacks("/srv", "/data/sub", "/data", "sub"),
            ),
            (&["-v", etc], lacks("hosts", "/etc/hosts", "/etc", "hosts")),
            (&["-v", ro, "-v", "xx:/data/there"], String::new()),
            (&["-v", ro, "-v", "xx:/data/there/file"], String::new()),
            (
                &[
                    "-v",
                    ro,
                    "-v",
                    "xx:/data/there",
                    "-v",
                    "yy:/data/there/deep/er",
                ],
                String::new(),
            ),
            (
                &[
                    "-v",
                    ro,
                    "--tmpfs",
                    "/data/there",
                    "-v",
                    "yy:/data/there/deep",
                ],
                String::new(),
            ),
            (&["--read-only", "-v", "xx:/data/sub"], String::new()),
        ] {
            let run = ["run", "--rm", "--network=none"];
            let called = device.dray(&[&run[..], options, &[&image, "true"]].concat());
            let code = if said.is_empty() { 0 } else { 125 };
            assert_eq!(called.status.code(), Some(code), "{options:?}: {called:?}");
            assert!(called.stderr.ends_with(&said), "{options:?}: {called:?}");
            assert_eq!(
                called.stderr.is_empty(),
                said.is_empty(),
                "{options:?}: {called:?}"
            );
        }
        assert!(!folder.join("sub").exists());
    });
}

/// A call of dray for which mounting a filesystem never ends.
#[cfg(feature = "failpoints")]
fn hanging(device: &Device, words: &[&str]) -> common::device::Call {
    use std::process::{Command, Stdio};

    let mut dray = Command::new(env!("CARGO_BIN_EXE_dray"));
    dray.args(words)
        .env("DRAY_CONFIG", &device.host.config)
        .env("DRAY_BREAK", "mount-hangs")
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    common::device::Call::of(dray)
}

#[cfg(feature = "failpoints")]
#[test]
fn a_volume_that_does_not_answer_holds_nobody_else_up() {
    on_device("away", |device| {
        let image = device.registry.name("shop/v1:1");
        let options = ["--opt=type=tmpfs", "--opt=device=tmpfs"];
        device.done(&[&["volume", "create"], &options[..], &["far"]].concat());
        let run = ["run", "-d", "--restart=always", "--name"];
        device.done(
            &[
                &run[..],
                &["away", "--network=none", "-v", "far:/data", &image],
            ]
            .concat(),
        );
        device.done(&[&run[..], &["guest", "--network=container:away", &image]].concat());
        device.done(&[&run[..], &["beside", "--network=none", &image]].concat());
        device.lose_power();
        let mut boot = hanging(device, &["boot"]);
        boot.until("started container beside");
        // Whoever could not wait would have been told by now.
        assert_eq!(device.running(), ["v1"]);
        assert_eq!(device.inspect("beside")["State"]["Status"], "running");
        let (status, said) = boot.end();
        assert_eq!(status.code(), Some(1), "{said:?}");
        let lost = "failed to mount volume far at /data in container away: failed to mount local volume: no answer \
                    within 3 s";
        let told = |part: &str| said.iter().position(|line| line.contains(part));
        assert_eq!(told("started container beside"), Some(0), "{said:?}");
        assert!(
            told(lost) < told("cannot join network of a non running container: away"),
            "{said:?}"
        );
        assert_eq!(said.len(), 3, "{said:?}");
        let state = device.inspect("away")["State"].clone();
        assert_eq!(
            (&state["Status"], &state["ExitCode"]),
            (&"exited".into(), &128.into())
        );
        assert!(state["Error"].as_str().unwrap().contains(lost), "{state}");
        // It can be removed and copied from at once, and nobody waits there any more.
        let (status, said) = hanging(device, &["cp", "away:/version", "/dev/null"]).end();
        assert!(!status.success() && said[0].contains(lost), "{said:?}");
        assert_eq!(device.done(&["boot"]).stderr.lines().count(), 2);
        assert_eq!(device.running(), ["v1"; 3]);
        device.done(&["rm", "-f", "guest", "away", "beside"]);
        device.done(&["volume", "rm", "far"]);
    });
}

/// Four that wait one after the other would take four times as long.
#[cfg(feature = "failpoints")]
#[test]
fn who_has_a_volume_that_does_not_answer_waits_for_it_once_in_a_boot() {
    use std::time::{Duration, Instant};

    const NAMES: [&str; 4] = ["a1", "a2", "a3", "a4"];
    on_device("silent", |device| {
        let image = device.registry.name("shop/v1:1");
        let options = ["--opt=type=tmpfs", "--opt=device=tmpfs"];
        device.done(&[&["volume", "create"], &options[..], &["far"]].concat());
        for name in NAMES {
            let run = ["run", "-d", "--restart=always", "--network=none"];
            device.done(&[&run[..], &["--name", name, "-v=far:/data", &image]].concat());
        }
        device.lose_power();
        let begun = Instant::now();
        let (status, said) = hanging(device, &["boot"]).end();
        let took = begun.elapsed();
        assert_eq!(status.code(), Some(1), "{said:?}");
        for name in NAMES {
            let lost = format!(
                "failed to mount volume far at /data in container {name}: failed to mount local volume: no answer within 3 s"
            );
            assert!(said.iter().any(|line| line.contains(&lost)), "{said:?}");
        }
        assert!(took < Duration::from_secs(4 * 3), "{took:?}");

        // Whoever starts one afterwards is not put off with what the boot heard, and the next boot asks again.
        device.done(&["start", "a1"]);
        assert_eq!(device.done(&["boot"]).stderr.lines().count(), 3);
        assert_eq!(device.running(), ["v1"; 4]);
        device.done(&[&["rm", "-f"], &NAMES[..]].concat());
        device.done(&["volume", "rm", "far"]);
    });
}
