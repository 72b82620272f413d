//! A device in a temporary folder, with the module installed as Mender finds it, a registry of its own, and a network
//! namespace of its own, so that several of them live side by side and the host's ports and rules stay as they are.
//!
//! ```ignore
//! on_device("demo", |device| {
//!     let tree = device.tree(&device.artifact("v1", "--name web"));
//!     assert!(device.call("Download", &tree).succeeded());
//!     assert_eq!(device.running(), ["v1"]);
//! });
//! ```

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use dray::engine::{Folders, Record, State, Status};
use dray::host::Host;
use dray::sys::process::ProcessId;
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::Scratch;
use super::image::{Built, Entry, Image, Layer};
use super::registry::Registry;

/// Longest wait for anything that is expected to happen; far beyond what it takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `test` with a device. It gets a thread of its own, because the network namespace belongs to the thread.
pub fn on_device(name: &str, test: impl FnOnce(&Device) + Send + 'static) {
    let name = name.to_owned();
    let outcome = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace: run as root");
        run("ip", &["link", "set", "lo", "up"]);
        test(&Device::new(&name));
    })
    .join();
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

/// Runs a program of the host that is expected to succeed.
pub fn run(program: &str, words: &[&str]) {
    let output = Command::new(program).args(words).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {words:?}: {said}");
}

/// The device.
#[derive(Debug)]
pub struct Device {
    scratch: Scratch,
    /// What the library needs to look at the device's files.
    pub host: Host,
    /// Where its images come from.
    pub registry: Registry,
    module: PathBuf,
}

/// How a call ended.
#[derive(Debug)]
pub struct Called {
    /// Its exit status.
    pub status: ExitStatus,
    /// What a client would parse.
    pub stdout: String,
    /// What ends up in the deployment's log.
    pub stderr: String,
}

impl Called {
    /// Exit status 0 and nothing on stdout.
    pub fn succeeded(&self) -> bool {
        self.status.success() && self.stdout.is_empty()
    }
}

/// A call that goes on.
#[derive(Debug)]
pub struct Call {
    child: Child,
    lines: Receiver<String>,
    said: Vec<String>,
}

impl Device {
    fn new(name: &str) -> Device {
        let scratch = Scratch::new(name);
        let host = Host::at(scratch.path());
        let module = scratch.join("modules/docker");
        std::fs::create_dir_all(module.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_dray"), &module).unwrap();
        std::fs::create_dir_all(host.config.parent().unwrap()).unwrap();
        let device = Device {
            registry: Registry::start(),
            scratch,
            host,
            module,
        };
        device.configure("[health]\nstable_s = 1\ntimeout_s = 10\n");
        for version in ["v1", "v2", "v3"] {
            device.push(
                version,
                &format!("echo {version} is up; trap 'exit 0' TERM; sleep 100000 & wait"),
                json!({}),
            );
        }
        device.push("dies", "echo about to die; echo why >&2; exit 3", json!({}));
        let never = json!({"Healthcheck": {"Test": ["CMD", "/bin/false"], "Interval": 100_000_000, "Retries": 2}});
        device.push("sick", "trap 'exit 0' TERM; sleep 100000 & wait", never);
        device
    }

    /// Replaces the configuration, except where the state lies.
    pub fn configure(&self, rest: &str) {
        let [state, run] =
            [&self.host.state, &self.host.run].map(|path| path.display().to_string());
        std::fs::write(
            &self.host.config,
            format!("[paths]\nstate = {state}\nrun = {run}\n{rest}"),
        )
        .unwrap();
    }

    /// A path in the device's folder.
    pub fn join(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    /// Puts an image of busybox that runs `script` into the registry, as `shop/NAME:1`.
    pub fn push(&self, name: &str, script: &str, config: Value) -> Built {
        let busybox = std::fs::read("/bin/busybox").expect("busybox-static");
        let mut entries = vec![
            Entry::dir("bin"),
            Entry::file("bin/busybox", busybox).mode(0o755),
        ];
        for applet in [
            "sh", "sleep", "true", "false", "cat", "echo", "wget", "nc", "httpd", "id", "ip", "ls",
            "grep",
        ] {
            entries.push(Entry::symlink(format!("bin/{applet}"), "busybox"));
        }
        let mut config = config;
        config["Env"] = json!(["PATH=/bin", format!("VERSION={name}")]);
        config["Cmd"] = json!(["/bin/sh", "-c", script]);
        let marker = Layer::of(&[Entry::file("version", name)]);
        let image = Image::oci([Layer::of(&entries), marker])
            .config(config)
            .build();
        self.registry.push(&format!("shop/{name}"), "1", &image);
        image
    }

    /// The reference of a pushed image, with its digest.
    pub fn pinned(&self, name: &str) -> String {
        let digest = self.registry.digest(&format!("shop/{name}"), "1");
        self.registry.name(&format!("shop/{name}@{digest}"))
    }

    /// Meta-data as upstream's generator writes it, for one image.
    pub fn artifact(&self, name: &str, run_args: &str) -> Value {
        json!({"containers": [self.pinned(name)], "run_args": run_args})
    }

    /// The file tree that a client makes for these meta-data; it replaces the one before, as Debian's client does.
    pub fn tree(&self, name: &str, meta_data: &str) -> PathBuf {
        let tree = self.scratch.join("tree");
        let _ = std::fs::remove_dir_all(&tree);
        for folder in ["header", "tmp", "streams"] {
            std::fs::create_dir_all(tree.join(folder)).unwrap();
        }
        let write = |file: &str, text: &str| std::fs::write(tree.join(file), text).unwrap();
        write("version", "3");
        write("current_artifact_name", "");
        write("current_device_type", "qemu");
        write("header/artifact_name", name);
        write("header/payload_type", "docker");
        write("header/meta-data", meta_data);
        run(
            "mkfifo",
            &["-m", "0600", tree.join("stream-next").to_str().unwrap()],
        );
        tree
    }

    /// A state call as a client makes it.
    pub fn command(&self, state: &str, tree: &Path) -> Command {
        let mut command = Command::new(&self.module);
        command
            .args([state.as_ref(), tree.as_os_str()])
            .env("DRAY_CONFIG", &self.host.config)
            // A tree that a client has removed is not a working directory.
            .current_dir(if tree.is_dir() { tree } else { Path::new("/") })
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Makes a state call and waits for its end.
    pub fn call(&self, state: &str, tree: &Path) -> Called {
        let output = self.command(state, tree).output().unwrap();
        Called {
            status: output.status,
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Starts a state call.
    pub fn start(&self, state: &str, tree: &Path) -> Call {
        Call::of(self.command(state, tree))
    }

    /// Starts a state call through a client of its own, and returns the client; the module is its only child.
    pub fn start_by_client(&self, state: &str, tree: &Path) -> Call {
        let mut client = Command::new("sh");
        client
            .args(["-c", "\"$@\" & wait", "client"])
            .arg(&self.module)
            .args([state.as_ref(), tree.as_os_str()])
            .env("DRAY_CONFIG", &self.host.config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Call::of(client)
    }

    /// A word of the command line.
    pub fn dray(&self, words: &[&str]) -> Called {
        let output = Command::new(env!("CARGO_BIN_EXE_dray"))
            .args(words)
            .env("DRAY_CONFIG", &self.host.config)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Called {
            status: output.status,
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// A word of the command line that has to succeed.
    pub fn done(&self, words: &[&str]) -> Called {
        let called = self.dray(words);
        assert!(called.status.success(), "{words:?}: {called:?}");
        called
    }

    /// Waits until a container has ended for good, each of its lives with this code; what `dray inspect` says then.
    pub fn ended(&self, name: &str, code: i32) -> Value {
        let begun = Instant::now();
        loop {
            assert_eq!(self.done(&["wait", name]).stdout, format!("{code}\n"));
            let info = self.inspect(name);
            if info["State"]["Status"] == "exited" {
                return info;
            }
            assert!(begun.elapsed() < PATIENCE, "{info}");
        }
    }

    /// What `dray inspect` says of one container.
    pub fn inspect(&self, name: &str) -> Value {
        let list: Value = serde_json::from_str(&self.done(&["inspect", name]).stdout).unwrap();
        list[0].clone()
    }

    /// Records and current states of all containers.
    pub fn containers(&self) -> Vec<(Record, Option<State>)> {
        let entries = std::fs::read_dir(self.host.state.join("containers"))
            .into_iter()
            .flatten();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.len() == 64)
            .map(|id| {
                let folders = Folders::new(&self.host, &id);
                (
                    folders.record().unwrap(),
                    folders.now(&self.host.boot_id).unwrap(),
                )
            })
            .collect()
    }

    /// Versions of the containers that run, sorted: from the environment of their first process, not from any record.
    pub fn running(&self) -> Vec<String> {
        let mut versions: Vec<String> = self
            .containers()
            .into_iter()
            .filter_map(|(_, now)| now)
            .filter(|now| now.status == Status::Running)
            .filter_map(|now| now.init)
            .filter(ProcessId::is_alive)
            .map(|init| environment(init.pid, "VERSION"))
            .collect();
        versions.sort();
        versions
    }

    /// Name and version of every container, sorted, whether it runs or not.
    pub fn present(&self) -> Vec<(String, String)> {
        let version = |record: &Record| {
            let env = &record.body.config.env;
            env.iter()
                .find_map(|e| e.strip_prefix("VERSION="))
                .unwrap_or("?")
                .to_owned()
        };
        let mut all: Vec<_> = self
            .containers()
            .iter()
            .map(|(record, _)| (record.name.clone(), version(record)))
            .collect();
        all.sort();
        all
    }

    /// Holders of pins, sorted.
    pub fn pins(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.host.state.join("pins"))
            .into_iter()
            .flatten();
        let mut pins: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        pins.sort();
        pins
    }

    /// Layers in the store.
    pub fn layers(&self) -> usize {
        std::fs::read_dir(self.host.state.join("layers/sha256"))
            .into_iter()
            .flatten()
            .count()
    }

    /// The journal of the scope `docker`, if there is one.
    pub fn journal(&self) -> Option<Value> {
        let text = std::fs::read(self.host.state.join("deployments/docker/journal.json")).ok()?;
        Some(serde_json::from_slice(&text).unwrap())
    }

    /// Kills the monitors of all containers, and leaves what they look after alone.
    pub fn kill_monitors(&self) {
        for now in self.containers().into_iter().filter_map(|(_, now)| now) {
            end(&now.monitor);
        }
    }

    /// Ends every process of the device's containers and forgets what does not survive a reboot.
    pub fn lose_power(&self) {
        for (record, now) in self.containers() {
            let Some(now) = now else { continue };
            // A paused process does not even die.
            let _ = dray::sys::freezer::thaw(&record.group());
            // The monitor first: it would see to it that its container restarts.
            for process in [Some(now.monitor), now.init].into_iter().flatten() {
                end(&process);
            }
            let _ = dray::sys::cgroup::remove(&record.id, &record.group());
        }
        let _ = std::fs::remove_dir_all(&self.host.run);
        // Namespaces go with their processes; the bridge and the rules stay in this namespace.
        let _ = Command::new("nft")
            .args(["delete", "table", "ip", "dray"])
            .output();
        let _ = Command::new("ip")
            .args(["link", "delete", "dray0"])
            .output();
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.lose_power();
    }
}

impl Call {
    /// Starts a program whose standard error is a pipe.
    pub fn of(mut command: Command) -> Call {
        let mut child = command.spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                // Nobody reads any more: the pipe breaks, as when a client is killed.
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Call {
            child,
            lines,
            said: Vec::new(),
        }
    }

    /// Waits until a line with `text` was said.
    pub fn until(&mut self, text: &str) {
        let begun = Instant::now();
        loop {
            match self
                .lines
                .recv_timeout(PATIENCE.saturating_sub(begun.elapsed()))
            {
                Ok(line) => {
                    self.said.push(line);
                    if self.said.last().unwrap().contains(text) {
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    panic!("no line with {text:?} in time: {:?}", self.said)
                }
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("ended without {text:?}: {:?}", self.said)
                }
            }
        }
    }

    /// Pids of the children of this process.
    pub fn children(&self) -> Vec<i32> {
        let path = format!("/proc/{0}/task/{0}/children", self.child.id());
        let text = std::fs::read_to_string(path).unwrap();
        text.split_ascii_whitespace()
            .map(|pid| pid.parse().unwrap())
            .collect()
    }

    /// Sends a signal to this process, and to no other.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// Kills this process at once and reaps it.
    pub fn kill(mut self) {
        self.signal(Signal::SIGKILL);
        self.child.wait().unwrap();
    }

    /// Waits for the end.
    pub fn end(mut self) -> (ExitStatus, Vec<String>) {
        let status = self.child.wait().unwrap();
        self.said.extend(self.lines.iter());
        (status, self.said)
    }
}

/// Kills a process that may be gone already, and waits until it is.
pub fn end(process: &ProcessId) {
    if let Some(handle) = process.open().unwrap() {
        handle.signal(9).unwrap();
        assert!(
            handle.wait(Some(PATIENCE)).unwrap(),
            "process {} cannot be killed",
            process.pid
        );
    }
}

/// A variable in the environment that a process was started with.
fn environment(pid: i32, name: &str) -> String {
    let all = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let all = String::from_utf8_lossy(&all).into_owned();
    let mut values = all
        .split('\0')
        .filter_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    values.next().unwrap_or("?").to_owned()
}
