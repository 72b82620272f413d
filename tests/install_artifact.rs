//! `dray install`, `commit` and `rollback` on real containers: what is refused, what is cut, and what is left then.
#![cfg(all(feature = "device", feature = "artifact-gen"))]
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a broken set-up should panic; test files need no durable writer"
)]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use common::device::{Call, Called, Device, end, on_device, run};
use common::fed;
use common::image::{Entry, Image, Layer};
use dray::oci::Digest;
use dray::sys::mount::private_namespace;
use dray::sys::process::{self, Pidfd};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// Longest wait for what happens at once.
const PATIENCE: Duration = Duration::from_secs(20);

const WORDS: &str = "--name web";

/// A device without a Mender client, of the type qemu and made with the artifact "factory".
struct Alone<'a> {
    device: &'a Device,
}

impl<'a> Alone<'a> {
    fn new(device: &'a Device) -> Alone<'a> {
        for folder in ["etc/mender", "mender"] {
            std::fs::create_dir_all(device.join(folder)).unwrap();
        }
        let alone = Alone { device };
        alone.write("mender/device_type", "device_type=qemu\n");
        alone.write("etc/mender/artifact_info", "artifact_name=factory\n");
        alone
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.device.join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dray"));
        command
            .args(words)
            .env("DRAY_CONFIG", &self.device.host.config)
            .env("MENDER_CONF_DIR", self.device.join("etc/mender"))
            .env("MENDER_DATASTORE_DIR", self.device.join("mender"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn dray(&self, words: &[&str]) -> Called {
        let output = self.command(words).output().unwrap();
        Called {
            status: output.status,
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// A word with the exit code that it has to have.
    fn word(&self, words: &[&str], code: i32) -> Called {
        let called = self.dray(words);
        assert_eq!(called.status.code(), Some(code), "{words:?}: {called:?}");
        called
    }

    fn install(&self, artifact: &Path, code: i32) -> Called {
        self.word(&["install", artifact.to_str().unwrap()], code)
    }

    fn install_and_commit(&self, version: &str) {
        self.install(&self.artifact(version, &[]), 0);
        self.word(&["commit"], 0);
        assert_eq!(self.device.running(), [version]);
        assert_eq!(self.installed(), version);
    }

    fn installed(&self) -> String {
        self.word(&["show-artifact"], 0).stdout.trim().to_owned()
    }

    /// An artifact of Debian's mender-artifact for the image `version`; `more` are words of that program.
    fn artifact(&self, version: &str, more: &[&str]) -> PathBuf {
        let meta_data = self.device.artifact(version, WORDS);
        self.artifact_of(version, &meta_data, more)
    }

    fn artifact_of(&self, name: &str, meta_data: &Value, more: &[&str]) -> PathBuf {
        let meta_data = self.write("meta.json", meta_data.to_string());
        let path = self.device.join(&format!("{name}.mender"));
        let mut words = vec!["write", "module-image", "-n", name];
        words.extend([
            "-o",
            path.to_str().unwrap(),
            "-m",
            meta_data.to_str().unwrap(),
        ]);
        for (option, value) in [("-T", "docker"), ("-t", "qemu")] {
            if !more.contains(&option) {
                words.extend([option, value]);
            }
        }
        words.extend(more);
        run("mender-artifact", &words);
        path
    }

    /// One whose health wait is as long as a test wants to act in it.
    fn slow(&self, version: &str, seconds: u64) -> PathBuf {
        let mut meta_data = self.device.artifact(version, WORDS);
        meta_data["dray"] = json!({"health": {"stable_s": seconds}});
        self.artifact_of(version, &meta_data, &[])
    }

    fn start(&self, words: &[&str]) -> Call {
        Call::of(self.command(words))
    }

    /// Starts a word and kills it when its module says this; the module goes on by itself.
    fn cut(&self, words: &[&str], at: &str) {
        let mut call = self.start(words);
        call.until(at);
        call.kill();
    }

    fn pending(&self) -> Value {
        let text = std::fs::read(self.device.host.state.join("standalone/artifact.json"));
        text.map_or(Value::Null, |text| {
            serde_json::from_slice::<Value>(&text).unwrap()["pending"].clone()
        })
    }

    /// Nothing is open, and nothing is left of what was.
    fn nothing_open(&self) {
        assert_eq!(self.pending(), Value::Null);
        assert!(!self.device.host.state.join("standalone/tree").exists());
        self.word(&["commit"], 2);
        self.word(&["rollback"], 2);
    }
}

#[test]
fn install_commit_and_roll_back() {
    on_device("alone", |device| {
        let alone = Alone::new(device);
        assert_eq!(alone.installed(), "factory");
        alone.nothing_open();
        let v1 = alone.artifact("v1", &[]);
        let said = alone.install(&v1, 0);
        assert!(
            said.stdout
                .starts_with("Installed artifact v1, but not committed."),
            "{said:?}"
        );
        assert_eq!(
            (alone.installed().as_str(), device.running()),
            ("factory", vec!["v1".to_owned()])
        );
        let commit = alone.word(&["commit"], 0);
        assert_eq!(commit.stdout, "Committed artifact v1.\n");
        alone.nothing_open();
        let provides = alone.word(&["show-provides"], 0);
        assert_eq!(
            provides.stdout,
            "artifact_name=v1\nrootfs-image.docker.version=v1\n"
        );
        let provides = alone.word(&["show-provides", "--format", "json"], 0).stdout;
        assert_eq!(
            serde_json::from_str::<Value>(&provides).unwrap(),
            json!({"artifact_name": "v1", "rootfs-image.docker.version": "v1"})
        );

        let v2 = alone.artifact("v2", &[]);
        alone.install(&v2, 0);
        assert_eq!(device.running(), ["v2"]);
        let again = alone.install(&v2, 1);
        assert!(
            again.stderr.contains("update already in progress: artifact \"v2\" is installed but not committed: `dray commit` keeps it, `dray rollback` goes back"),
            "{again:?}"
        );
        // A trial stays one over a power cut, and the device says so.
        device.lose_power();
        let boot = alone.word(&["boot"], 0);
        assert!(
            boot.stderr
                .contains("artifact \"v2\" is installed but not committed"),
            "{boot:?}"
        );
        assert_eq!(device.running(), ["v2"]);
        let rollback = alone.word(&["rollback"], 0);
        assert_eq!(rollback.stdout, "Rolled back artifact v2.\n");
        assert_eq!(
            (alone.installed().as_str(), device.running()),
            ("v1", vec!["v1".to_owned()])
        );
        assert_eq!(device.present(), [("web".to_owned(), "v1".to_owned())]);
        alone.nothing_open();

        // From standard input, and of our own generator.
        let own = device.join("own.mender");
        let mut generator = Command::new(env!("CARGO_BIN_EXE_docker-artifact-gen"));
        generator.args([
            "-n",
            "own",
            "-t",
            "qemu",
            "--run-args",
            WORDS,
            "-o",
            own.to_str().unwrap(),
        ]);
        let made = generator.arg(device.pinned("v3")).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        let said = fed(
            &mut alone.command(&["install", "-"]),
            &std::fs::read(&own).unwrap(),
        );
        assert!(said.status.success(), "{said:?}");
        alone.word(&["commit"], 0);
        assert_eq!(
            (alone.installed().as_str(), device.running()),
            ("own", vec!["v3".to_owned()])
        );
    });
}

/// Without a network, from a disk that holds little more than the image, by the same digest as from a registry.
#[test]
fn images_in_the_artifact_need_neither_registry_nor_room() {
    on_device("alone-carried", |device| {
        private_namespace().unwrap();
        const FILES: usize = 1000;
        const SIZE: usize = 32 << 10;
        let mut bytes = Vec::new();
        while bytes.len() < FILES * SIZE {
            bytes.extend(process::random::<256>().unwrap());
        }
        let file = |n: usize| Entry::file(format!("f{n}"), &bytes[n * SIZE..(n + 1) * SIZE]);
        let busybox = std::fs::read("/bin/busybox").unwrap();
        let program = Layer::of(&[Entry::file("sh", &busybox).mode(0o755)]);
        let data = Layer::of(&(0..FILES).map(file).collect::<Vec<_>>());
        let built = Image::oci([program, data])
            .config(json!({"Cmd": ["/sh", "-c", "trap 'exit 0' TERM; sleep 100000 & wait"], "Env": ["VERSION=big"]}))
            .build();
        device.registry.push("shop/big", "1", &built);
        let alone = Alone::new(device);
        let path = device.join("big.mender");
        let made = Command::new(env!("CARGO_BIN_EXE_docker-artifact-gen"))
            .args([
                "-n",
                "big",
                "-t",
                "qemu",
                "--embed",
                "--run-args",
                WORDS,
                "-o",
            ])
            .arg(&path)
            .arg(device.pinned("big"))
            .env("DRAY_CONFIG", &device.host.config)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        device.registry.reset_counts();

        let reserve = 1 << 20;
        let room = (busybox.len() + FILES * SIZE) * 115 / 100 + reserve;
        let state = device.host.state.to_str().unwrap();
        std::fs::create_dir_all(state).unwrap();
        run(
            "mount",
            &["-t", "tmpfs", "-o", &format!("size={room}"), "tmpfs", state],
        );
        device.configure(&format!(
            "[store]\nreserve = {reserve}\n[health]\nstable_s = 1\n"
        ));
        alone.install(&path, 0);
        alone.word(&["commit"], 0);
        assert_eq!(device.running(), ["big"]);
        assert_eq!(device.registry.requests().len(), 0);
        let shown = device.done(&["images", "--digests"]).stdout;
        assert!(shown.contains(&built.digest.to_string()), "{shown}");
        device.done(&["rm", "-f", "web"]);
        run("umount", &["-l", state]);
    });
}

#[test]
fn what_fails_goes_back_by_itself() {
    on_device("alone-fails", |device| {
        let alone = Alone::new(device);
        alone.install_and_commit("v1");
        let dies = alone.install(&alone.artifact("dies", &[]), 1);
        for line in [
            "container web exited with status 3",
            "going back to artifact v1",
            "dray: ArtifactInstall failed: the update module ended with exit status: 1; what was installed before runs again",
        ] {
            assert!(dies.stderr.contains(line), "no {line:?} in {}", dies.stderr);
        }
        assert_eq!(
            (alone.installed().as_str(), device.running()),
            ("v1", vec!["v1".to_owned()])
        );
        alone.nothing_open();
        let mut missing = device.artifact("v2", WORDS);
        missing["containers"][0] = json!(device.registry.name("shop/missing:1"));
        let missing = alone.install(&alone.artifact_of("missing", &missing, &[]), 1);
        assert!(missing.stderr.contains("Download"), "{missing:?}");
        assert_eq!(device.present(), [("web".to_owned(), "v1".to_owned())]);
        alone.nothing_open();
    });
}

/// Which script does what, the word, and what is said; each leaves what ran before.
const SCRIPTS: &[(&str, &str, &str, &str)] = &[
    (
        "ArtifactInstall_Enter_00",
        "exit 7",
        "install",
        "state script ArtifactInstall_Enter_00 failed: exit status: 7; what was installed before runs again",
    ),
    (
        "ArtifactInstall_Leave_00",
        "exit 7",
        "install",
        "state script ArtifactInstall_Leave_00 failed: exit status: 7; what was installed before runs again",
    ),
    (
        "ArtifactInstall_Enter_00",
        "kill -TERM $PPID; mkfifo never; read -r line < never",
        "install",
        "state script ArtifactInstall_Enter_00 was aborted: a signal asked for the end; what was installed before runs again",
    ),
    (
        "ArtifactInstall_Enter_00",
        "kill -TERM $PPID; exit 21",
        "install",
        "state script ArtifactInstall_Enter_00 was aborted: a signal asked for the end; what was installed before runs again",
    ),
    (
        "ArtifactCommit_Enter_00",
        "exit 7",
        "commit",
        "state script ArtifactCommit_Enter_00 failed: exit status: 7; what was installed before runs again",
    ),
];

#[test]
fn state_scripts_that_fail_leave_what_ran() {
    on_device("alone-scripts", |device| {
        let alone = Alone::new(device);
        alone.install_and_commit("v1");
        for (name, does, word, reason) in SCRIPTS {
            let text = format!("#!/bin/sh\ncd {}\n{does}\n", device.join(".").display());
            let script = alone.write(name, text);
            let path = alone.artifact("v2", &["-s", script.to_str().unwrap()]);
            let said = match *word {
                "install" => alone.install(&path, 1),
                word => {
                    alone.install(&path, 0);
                    assert_eq!(device.running(), ["v2"]);
                    alone.word(&[word], 1)
                }
            };
            assert!(said.stderr.contains(reason), "{name} {does}: {said:?}");
            assert_eq!(
                (alone.installed().as_str(), device.running()),
                ("v1", vec!["v1".to_owned()]),
                "{name} {does}"
            );
            assert_eq!(
                device.present(),
                [("web".to_owned(), "v1".to_owned())],
                "{name} {does}"
            );
            alone.nothing_open();
        }
        // One that is well, and what it prints is for the operator.
        let script = alone.write("ArtifactCommit_Leave_50_tell", "#!/bin/sh\necho told\n");
        alone.install(&alone.artifact("v2", &["-s", script.to_str().unwrap()]), 0);
        let said = alone.word(&["commit"], 0);
        assert!(
            said.stderr
                .contains("running state script ArtifactCommit_Leave_50_tell\n"),
            "{said:?}"
        );
        assert!(
            said.stderr.contains("told\n") && !said.stdout.contains("told"),
            "{said:?}"
        );
        assert_eq!(
            (alone.installed().as_str(), device.running()),
            ("v2", vec!["v2".to_owned()])
        );
        alone.nothing_open();
    });
}

/// A pair of keys as openssl makes them, in the old form that Debian's mender-artifact reads: private, public.
fn keys(alone: &Alone<'_>, name: &str) -> [PathBuf; 2] {
    let [private, public] = ["key", "pem"].map(|end| alone.device.join(&format!("{name}.{end}")));
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let out = ["-out", &text(&private)];
    run(
        "openssl",
        &[
            &["ecparam", "-genkey", "-noout", "-name", "prime256v1"],
            &out[..],
        ]
        .concat(),
    );
    run(
        "openssl",
        &[
            "pkey",
            "-in",
            &text(&private),
            "-pubout",
            "-out",
            &text(&public),
        ],
    );
    [private, public]
}

/// What is refused leaves everything as it was: the same process runs, and no state of the module was called.
#[test]
fn what_is_refused_changes_nothing() {
    on_device("alone-refused", |device| {
        let alone = Alone::new(device);
        alone.install_and_commit("v1");
        let before = || {
            (
                device.inspect("web")["State"]["Pid"].clone(),
                device.journal(),
            )
        };
        let was = before();
        let refused = |artifact: &Path, reason: &str| {
            let said = alone.install(artifact, 1);
            assert!(
                said.stderr.contains(reason),
                "no {reason:?} in {}",
                said.stderr
            );
            assert_eq!(
                said.stderr.lines().count(),
                1,
                "a state was called: {}",
                said.stderr
            );
            assert_eq!(before(), was, "{reason}");
            alone.nothing_open();
        };
        for (more, reason) in [
            (
                &["-t", "rpi", "-t", "x86"][..],
                "it is for the device types \"rpi\" or \"x86\", and this device is \"qemu\"",
            ),
            (
                &["-N", "v0", "-N", "v7"],
                "it depends on artifact_name being \"v0\" or \"v7\", and this device has \"v1\"",
            ),
            (
                &["-G", "beta"],
                "it depends on artifact_group being \"beta\", and this device does not provide artifact_group",
            ),
            (
                &["-d", "rootfs-image.docker.version:v0"],
                "it depends on rootfs-image.docker.version being \"v0\", and this device has \"v1\"",
            ),
            (
                &["-d", "boot.version:2"],
                "this device does not provide boot.version",
            ),
            (
                &["-T", "single-file"],
                "its payload is of type \"single-file\", and dray installs containers",
            ),
        ] {
            refused(&alone.artifact("v2", more), reason);
        }
        // What it depends on is there.
        let met = [
            "-N",
            "v1",
            "-N",
            "v7",
            "-d",
            "rootfs-image.docker.version:v1",
            "-d",
            "device_type:qemu",
        ];
        let good = alone.artifact("v2", &met);
        let bytes = std::fs::read(good).unwrap();
        let good = alone.write("good.mender", &bytes);
        for length in [0, 511, 1024, bytes.len() / 2, bytes.len() - 3000] {
            refused(
                &alone.write("cut.mender", &bytes[..length]),
                "the artifact is refused: ",
            );
        }
        // The version, the list of checksums, the packed header.
        for at in [520, 1600, 2610] {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            refused(
                &alone.write("flipped.mender", flipped),
                "the artifact is refused: ",
            );
        }
        refused(device.host.state.as_path(), "is a folder, not an artifact");
        refused(
            Path::new("/nonexistent.mender"),
            "failed to open /nonexistent.mender",
        );

        std::fs::remove_file(device.join("mender/device_type")).unwrap();
        refused(&good, "what kind of device this is, is not known");
        let config = |rest: &str| device.configure(&format!("[health]\nstable_s = 1\n{rest}"));
        config("[artifact]\ndevice_type = rpi\n");
        refused(&good, "and this device is \"rpi\"");

        let [key, public] = keys(&alone, "publisher");
        let [other, _] = keys(&alone, "other");
        let typed = "[artifact]\ndevice_type = qemu\n";
        config(&format!(
            "{typed}[trust]\nartifact_keys = /nonexistent.pem, {}\n",
            public.display()
        ));
        refused(
            &good,
            "/nonexistent.pem: not a key for artifacts: No such file",
        );
        config(&format!(
            "{typed}[trust]\nartifact_keys = {}\n",
            key.display()
        ));
        refused(&good, "but a public key is needed");
        let trusting = format!("{typed}[trust]\nartifact_keys = {}\n", public.display());
        config(&trusting);
        refused(&good, "the artifact is not signed");
        let sign = |key: &Path| alone.artifact("v2", &["-k", key.to_str().unwrap()]);
        refused(&sign(&other), "the signature was made with another key");
        // Mender's own settings count where the ini says nothing.
        config(typed);
        let conf = json!({"ArtifactVerifyKeys": [public]}).to_string();
        alone.write("mender/mender.conf", &conf);
        refused(&good, "the artifact is not signed");
        alone.write("etc/mender/mender.conf", "{\"ArtifactVerifyKey\": 7}");
        refused(&good, "ArtifactVerifyKey must be a path");
        alone.write("etc/mender/mender.conf", "{\"ArtifactVerifyKey\":");
        refused(&good, "not valid JSON");
        alone.write("etc/mender/mender.conf", "{\"ServerURL\": \"\"}");
        alone.install(&sign(&key), 0);
        alone.word(&["commit"], 0);
        assert_eq!(device.running(), ["v2"]);
    });
}

/// A kill -9 of the word that is at work in each state, and then each of the words.
#[test]
fn after_a_kill_the_next_word_knows() {
    on_device("alone-killed", |device| {
        let alone = Alone::new(device);
        alone.install_and_commit("v1");
        let as_before = || {
            assert_eq!(
                (alone.installed().as_str(), device.running()),
                ("v1", vec!["v1".to_owned()])
            );
            assert_eq!(device.present(), [("web".to_owned(), "v1".to_owned())]);
            alone.nothing_open();
        };
        let path = device.join("v2.mender");
        let install = ["install", path.to_str().unwrap()];

        alone.artifact("v2", &[]);
        for word in ["commit", "rollback"] {
            alone.cut(&install, "fetching image");
            assert_eq!(alone.pending()["stage"], "Download");
            let said = alone.word(&[word], 2);
            assert!(
                said.stderr.contains("was cut before anything was switched"),
                "{said:?}"
            );
            as_before();
        }
        alone.cut(&install, "fetching image");
        alone.install(&path, 0);
        alone.word(&["rollback"], 0);
        as_before();

        // The module goes on by itself, and is ended.
        alone.slow("v2", 600);
        alone.cut(&install, "waiting");
        assert_eq!(alone.pending()["stage"], "ArtifactInstall");
        let said = alone.install(&path, 1);
        assert!(
            said.stderr.contains(
                "update already in progress: artifact \"v2\" is neither installed nor taken back"
            ),
            "{said:?}"
        );
        let said = alone.word(&["commit"], 1);
        assert!(said.stderr.contains("cannot commit now: artifact \"v2\" is neither installed nor taken back, as it was cut in ArtifactInstall"), "{said:?}");
        alone.word(&["rollback"], 0);
        as_before();

        // The power goes with it.
        alone.cut(&install, "waiting");
        device.lose_power();
        let boot = alone.word(&["boot"], 0);
        assert!(
            boot.stderr.contains("`dray rollback` goes back"),
            "{boot:?}"
        );
        assert_eq!(device.running(), ["v1"]);
        alone.word(&["commit"], 1);
        alone.word(&["rollback"], 0);
        as_before();

        alone.artifact("v2", &[]);
        alone.install(&path, 0);
        alone.cut(&["rollback"], "going back");
        assert_eq!(alone.pending()["stage"], "ArtifactRollback");
        alone.word(&["commit"], 1);
        alone.word(&["rollback"], 0);
        as_before();

        alone.install(&path, 0);
        alone.cut(&["commit"], "committed: artifact v2");
        let stage = alone.pending()["stage"].clone();
        assert!(stage == "ArtifactCommit" || stage == "Cleanup", "{stage}");
        if stage == "ArtifactCommit" {
            alone.word(&["rollback"], 0);
            as_before();
            alone.install(&path, 0);
            alone.cut(&["commit"], "committed: artifact v2");
        }
        let code = if alone.pending()["stage"] == "ArtifactCommit" {
            0
        } else {
            2
        };
        alone.word(&["commit"], code);
        assert_eq!(
            (alone.installed().as_str(), device.running()),
            ("v2", vec!["v2".to_owned()])
        );
        assert_eq!(device.present(), [("web".to_owned(), "v2".to_owned())]);
        alone.nothing_open();
    });
}

#[test]
fn a_signal_takes_back_what_was_begun() {
    on_device("alone-signal", |device| {
        let alone = Alone::new(device);
        alone.install_and_commit("v1");
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
            let slow = alone.slow("v2", 600);
            let mut call = alone.start(&["install", slow.to_str().unwrap()]);
            call.until("waiting");
            // Another word meanwhile is refused by name.
            let busy = alone.word(&["commit"], 1);
            assert!(
                busy.stderr.contains("`dray install` is at work in process"),
                "{busy:?}"
            );
            call.signal(signal);
            let (status, said) = call.end();
            assert_eq!(status.code(), Some(1), "{said:?}");
            let last = said.last().unwrap();
            assert!(last.contains("ArtifactInstall was aborted"), "{said:?}");
            assert_eq!(device.running(), ["v1"]);
            assert_eq!(device.present(), [("web".to_owned(), "v1".to_owned())]);
            alone.nothing_open();
        }
    });
}

/// What a Mender client has on trial is its own.
#[test]
fn a_trial_of_somebody_else_is_left_alone() {
    on_device("alone-foreign", |device| {
        let alone = Alone::new(device);
        let tree = device.tree("v1", &device.artifact("v1", WORDS).to_string());
        for state in ["Download", "ArtifactInstall"] {
            let called = device.call(state, &tree);
            assert!(called.succeeded(), "{called:?}");
        }
        let v2 = alone.artifact("v2", &[]);
        let refused = alone.install(&v2, 1);
        assert!(
            refused.stderr.contains(
                "artifact \"v1\" of scope \"docker\" is on trial, and dray install did not make it"
            ),
            "{refused:?}"
        );
        assert_eq!(device.running(), ["v1"]);
        alone.nothing_open();
        alone.word(&["install", "--replace-trial", v2.to_str().unwrap()], 0);
        assert_eq!(device.running(), ["v2"]);

        // And a client's that comes after ours.
        let tree = device.tree("v3", &device.artifact("v3", WORDS).to_string());
        for state in ["Download", "ArtifactInstall"] {
            let called = device.call(state, &tree);
            assert!(called.succeeded(), "{called:?}");
        }
        let refused = alone.word(&["commit"], 1);
        assert!(
            refused.stderr.contains("artifact \"v3\" came in its place"),
            "{refused:?}"
        );
        assert_eq!(device.running(), ["v3"]);
        alone.nothing_open();

        // It commits that, and its next one, which then is not ours to take back.
        for state in ["ArtifactCommit", "Cleanup"] {
            assert!(device.call(state, &tree).succeeded());
        }
        alone.install(&v2, 0);
        let tree = device.tree("v1", &device.artifact("v1", WORDS).to_string());
        for state in ["Download", "ArtifactInstall", "ArtifactCommit"] {
            assert!(device.call(state, &tree).succeeded());
        }
        let refused = alone.word(&["rollback"], 1);
        assert!(
            refused.stderr.contains("artifact \"v1\" came in its place"),
            "{refused:?}"
        );
        assert_eq!(device.running(), ["v1"]);
        alone.nothing_open();

        // One that it even brought to its end.
        alone.install(&v2, 0);
        let tree = device.tree("v3", &device.artifact("v3", WORDS).to_string());
        for state in ["Download", "ArtifactInstall", "ArtifactCommit", "Cleanup"] {
            assert!(device.call(state, &tree).succeeded());
        }
        for word in ["commit", "rollback"] {
            let refused = alone.word(&[word], if word == "commit" { 1 } else { 2 });
            assert_eq!(
                refused.stderr.contains("artifact \"v3\" came in its place"),
                word == "commit",
                "{refused:?}"
            );
        }
        alone.install(&v2, 0);
        let tree = device.tree("v1", &device.artifact("v1", WORDS).to_string());
        for state in ["Download", "ArtifactInstall", "ArtifactCommit", "Cleanup"] {
            assert!(device.call(state, &tree).succeeded());
        }
        let said = alone.install(&v2, 0);
        assert!(
            said.stderr.contains("artifact \"v1\" came in its place"),
            "{said:?}"
        );
        assert_eq!(device.running(), ["v2"]);
        alone.word(&["rollback"], 0);
        assert_eq!(device.running(), ["v1"]);
    });
}

/// A client's deployment that comes between two states of ours, in which script, and which word waits there.
const BETWEEN: [(&str, &str); 4] = [
    ("ArtifactInstall_Enter_00", "install"),
    ("ArtifactInstall_Leave_00", "install"),
    ("ArtifactCommit_Enter_00", "commit"),
    ("ArtifactRollback_Enter_00", "rollback"),
];

#[test]
fn a_deployment_that_comes_meanwhile_is_left_alone() {
    on_device("alone-meanwhile", |device| {
        let alone = Alone::new(device);
        alone.install_and_commit("v1");
        let go = device.join("go");
        for (name, word) in BETWEEN {
            run("mkfifo", &[go.to_str().unwrap()]);
            let text = format!("#!/bin/sh\necho reached\nread -r line < {}\n", go.display());
            let script = alone.write(name, text);
            let path = alone.artifact("v2", &["-s", script.to_str().unwrap()]);
            let mut words = vec!["install", path.to_str().unwrap()];
            if word != "install" {
                alone.install(&path, 0);
                words = vec![word];
            }
            let mut call = alone.start(&words);
            call.until("reached");
            let tree = device.tree("v3", &device.artifact("v3", WORDS).to_string());
            for state in ["Download", "ArtifactInstall"] {
                let called = device.call(state, &tree);
                assert!(called.succeeded(), "{called:?}");
            }
            std::fs::write(&go, "\n").unwrap();
            let (status, said) = call.end();
            let said = said.join("\n");
            // Nothing is left to take back, and nobody says that it was installed or kept.
            let code = if word == "rollback" { 0 } else { 1 };
            assert_eq!(status.code(), Some(code), "{name}: {said}");
            assert!(said.contains("\"v3\""), "{name}: {said}");
            assert_eq!(device.running(), ["v3"], "{name}: {said}");
            alone.nothing_open();
            for state in ["ArtifactCommit", "Cleanup"] {
                assert!(device.call(state, &tree).succeeded(), "{name}");
            }
            assert_eq!(
                device.present(),
                [("web".to_owned(), "v3".to_owned())],
                "{name}"
            );
            std::fs::remove_file(&go).unwrap();
        }
    });
}

/// Whoever starts it may want it to outlive him.
#[test]
fn signals_that_were_ignored_stay_so() {
    on_device("alone-nohup", |device| {
        let alone = Alone::new(device);
        let slow = alone.slow("v1", 3);
        let line = format!(
            "trap '' HUP INT; exec {} install {}",
            env!("CARGO_BIN_EXE_dray"),
            slow.display()
        );
        let mut command = Command::new("sh");
        let like = alone.command(&[]);
        command.args(["-c", &line]);
        for (name, value) in like.get_envs() {
            command.env(name, value.unwrap());
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut call = Call::of(command);
        call.until("waiting");
        for signal in [Signal::SIGHUP, Signal::SIGINT] {
            call.signal(signal);
        }
        let (status, said) = call.end();
        assert_eq!(status.code(), Some(0), "{said:?}");
        assert_eq!(device.running(), ["v1"]);
        alone.word(&["rollback"], 0);
    });
}

/// What is killed leaves no script running that what comes next would meet, and no module that waits for ever.
#[test]
fn orphans_end() {
    on_device("alone-orphans", |device| {
        let alone = Alone::new(device);
        alone.install_and_commit("v1");
        let (never, pid) = (device.join("never"), device.join("pid"));
        run("mkfifo", &[never.to_str().unwrap()]);
        // What the script calls has to end as well.
        let text = format!(
            "#!/bin/sh\nsh -c 'echo $$ > {}; echo reached; read -r line < {}'\necho behind\n",
            pid.display(),
            never.display()
        );
        let script = alone.write("ArtifactInstall_Enter_00", text);
        let path = alone.artifact("v2", &["-s", script.to_str().unwrap()]);
        alone.cut(&["install", path.to_str().unwrap()], "reached");
        let pid: i32 = std::fs::read_to_string(pid)
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        let called = Pidfd::open(pid).unwrap();
        alone.word(&["rollback"], 0);
        assert!(called.wait(Some(PATIENCE)).unwrap());
        assert_eq!(device.running(), ["v1"]);

        // A module whose caller was killed before its first instruction, with pipes that nobody writes into.
        let mut meta_data = device.artifact("v2", WORDS);
        meta_data["dray"] = json!({"payload": "oci-layout"});
        let tree = device.tree("v2", &meta_data.to_string());
        let text = std::fs::read(tree.join("header/meta-data")).unwrap();
        let own = json!({
            "artifact": "v2", "scope": "docker", "request": Digest::of(&text).to_string(), "caller": i32::MAX,
            "replaces_trial": false,
        });
        let mut command = device.command("DownloadWithFileSizes", &tree);
        let output = command
            .env("DRAY_INSTALL", own.to_string())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("the client has ended"), "{said}");
        let output = device
            .command("Cleanup", &tree)
            .env("DRAY_INSTALL", "{}")
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.contains("DRAY_INSTALL is not what `dray install` sets"),
            "{said}"
        );
    });
}

/// A boot by hand, while somebody is between two of his states: nothing of his goes.
#[test]
fn a_boot_between_two_states_takes_nothing_away() {
    on_device("alone-between", |device| {
        let alone = Alone::new(device);
        alone.install_and_commit("v1");
        let go = device.join("go");
        run("mkfifo", &[go.to_str().unwrap()]);
        let text = format!("#!/bin/sh\necho reached\nread -r line < {}\n", go.display());
        let script = alone.write("ArtifactInstall_Enter_00", text);
        let path = alone.artifact("v2", &["-s", script.to_str().unwrap()]);
        let mut call = alone.start(&["install", path.to_str().unwrap()]);
        call.until("reached");
        let boot = alone.word(&["boot"], 0);
        assert!(!boot.stderr.contains("was cut"), "{boot:?}");
        std::fs::write(&go, "\n").unwrap();
        let (status, said) = call.end();
        assert_eq!(status.code(), Some(0), "{said:?}");
        assert_eq!(device.running(), ["v2"]);
        alone.word(&["commit"], 0);

        // And a client that has prepared, and lives.
        let tree = device.tree("v3", &device.artifact("v3", WORDS).to_string());
        assert!(device.call("Download", &tree).succeeded());
        alone.word(&["boot"], 0);
        let plain = alone.artifact("v1", &[]);
        let refused = alone.install(&plain, 1);
        assert!(
            refused
                .stderr
                .contains("artifact \"v3\" is being installed by process"),
            "{refused:?}"
        );
        // However often.
        alone.install(&plain, 1);
        assert!(device.call("ArtifactInstall", &tree).succeeded());
        assert_eq!(device.running(), ["v3"]);
        assert!(device.call("ArtifactRollback", &tree).succeeded());
        assert!(device.call("Cleanup", &tree).succeeded());
        assert_eq!(device.running(), ["v2"]);
    });
}

/// A long install keeps nobody else's containers down.
#[test]
fn a_boot_starts_what_it_need_not_wait_for() {
    on_device("alone-boot", |device| {
        let alone = Alone::new(device);
        let other = device.pinned("v3");
        device.done(&[
            "run",
            "-d",
            "--name",
            "other",
            "--restart",
            "unless-stopped",
            &other,
        ]);
        let slow = alone.slow("v2", 600);
        let mut install = alone.start(&["install", slow.to_str().unwrap()]);
        install.until("waiting");
        let containers = device.containers();
        let other = containers
            .into_iter()
            .find(|(record, _)| record.name == "other");
        let now = other.unwrap().1.unwrap();
        // The monitor first: it would see to it that it restarts.
        for process in [now.monitor, now.init.unwrap()] {
            end(&process);
        }
        assert_eq!(device.running(), ["v2"]);
        let mut boot = alone.start(&["boot"]);
        boot.until("waiting for scope \"docker\": ArtifactInstall is at work in process");
        assert!(
            device.running().contains(&"v3".to_owned()),
            "{:?}",
            device.running()
        );
        install.signal(Signal::SIGTERM);
        assert_eq!(install.end().0.code(), Some(1));
        assert_eq!(boot.end().0.code(), Some(0));
        device.done(&["rm", "-f", "other"]);
    });
}
