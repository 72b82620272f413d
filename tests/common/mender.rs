//! Debian's own Mender client 3.4 on a [`Device`], and a server for its daemon.
//!
//! The client's paths are compiled in, so `/usr/share/mender` and `/etc/mender` are covered in a mount namespace that
//! belongs to the device's thread; the host keeps its own.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use dray::artifact::header::{Header, Software};
use dray::artifact::payload::Payload;
use dray::artifact::writer::{self, Options};
use nix::sched::{CloneFlags, unshare};
use serde_json::{Value, json};

use super::device::{Call, Called, Device, run};

/// Longest wait for a deployment's end: Debian's client itself waits a minute before it goes on with a broken delivery.
const PATIENCE: Duration = Duration::from_secs(180);

/// The client, configured for one device.
#[derive(Debug)]
pub struct Client<'a> {
    device: &'a Device,
    data: PathBuf,
    config: PathBuf,
}

impl<'a> Client<'a> {
    /// Installs the module where the client looks for it. Call from the device's thread.
    pub fn new(device: &'a Device, config: &Value) -> Client<'a> {
        unshare(CloneFlags::CLONE_NEWNS).expect("a mount namespace: run as root");
        run("mount", &["--make-rprivate", "/"]);
        let folder = |name: &str| {
            let dir = device.join(name);
            std::fs::create_dir_all(&dir).unwrap();
            dir
        };
        let (share, etc, data) = (folder("share"), folder("etc-mender"), folder("data"));
        let modules = folder("share/modules/v3");
        // As it is installed: a real file, since newer clients refuse a link that leaves the folder.
        std::fs::copy(env!("CARGO_BIN_EXE_dray"), modules.join("docker")).unwrap();
        let identity = folder("share/identity").join("mender-device-identity");
        std::fs::write(&identity, "#!/bin/sh\necho mac=02:00:00:00:00:01\n").unwrap();
        run("chmod", &["0755", identity.to_str().unwrap()]);
        std::fs::write(data.join("device_type"), "device_type=qemu\n").unwrap();
        std::fs::write(etc.join("artifact_info"), "artifact_name=factory\n").unwrap();
        std::fs::write(etc.join("mender.conf"), config.to_string()).unwrap();
        run(
            "mount",
            &["--bind", share.to_str().unwrap(), "/usr/share/mender"],
        );
        run("mount", &["--bind", etc.to_str().unwrap(), "/etc/mender"]);
        Client {
            device,
            data,
            config: etc.join("mender.conf"),
        }
    }

    /// Writes an artifact; its name is `name`.
    pub fn artifact(&self, name: &str, meta_data: &Value) -> PathBuf {
        let mut header = Header {
            artifact_name: name.to_owned(),
            device_types: vec!["qemu".to_owned()],
            ..Header::default()
        };
        header.provide_software(&Software::default(), true);
        let payload = Payload::parse(meta_data.to_string().as_bytes()).unwrap();
        let path = self.device.join(&format!("{name}.mender"));
        let file = std::fs::File::create(&path).unwrap();
        writer::write(file, &header, &payload, Options::default()).unwrap();
        path
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("mender");
        command
            .arg("--no-syslog")
            .arg("--config")
            .arg(&self.config)
            .arg("--data")
            .arg(&self.data)
            .args(words)
            .env("DRAY_CONFIG", &self.device.host.config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the client to its end.
    pub fn run(&self, words: &[&str]) -> Called {
        let output = self.command(words).output().unwrap();
        Called {
            status: output.status,
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Starts the client.
    pub fn start(&self, words: &[&str]) -> Call {
        Call::of(self.command(words))
    }

    /// Installs an artifact and returns the client's exit code and output.
    pub fn install(&self, artifact: &std::path::Path) -> (i32, String) {
        let called = self.run(&["install", artifact.to_str().unwrap()]);
        (
            called.status.code().unwrap(),
            called.stdout + &called.stderr,
        )
    }

    /// The name of the installed artifact.
    pub fn installed(&self) -> String {
        self.run(&["show-artifact"]).stdout.trim().to_owned()
    }
}

/// Where a call of the module stops, for whoever wants to act there.
#[derive(Debug)]
pub struct Gate {
    dir: PathBuf,
}

impl Gate {
    /// Puts a program in front of the module that notes each call, and can be told to stop before or behind one.
    pub fn new(client: &Client<'_>) -> Gate {
        let dir = client.device.join("gate");
        std::fs::create_dir_all(&dir).unwrap();
        for fifo in ["at", "go"] {
            run("mkfifo", &[dir.join(fifo).to_str().unwrap()]);
        }
        let module = client.device.join("share/modules/v3/docker");
        let real = dir.join("docker");
        std::fs::rename(&module, &real).unwrap();
        let script = format!(
            "#!/bin/sh\n\
             cd {dir}\n\
             echo $1 >> calls\n\
             stop() {{ [ -e $1 ] && rm $1 && echo > at && read -r line < go; }}\n\
             stop before.$1\n\
             {real} \"$@\"\n\
             code=$?\n\
             stop behind.$1\n\
             exit $code\n",
            dir = dir.display(),
            real = real.display(),
        );
        std::fs::write(&module, script).unwrap();
        run("chmod", &["0755", module.to_str().unwrap()]);
        Gate { dir }
    }

    /// The next call of this state stops there: `before` or `behind`.
    pub fn close(&self, place: &str, state: &str) {
        std::fs::write(self.dir.join(format!("{place}.{state}")), "").unwrap();
    }

    /// Waits until a call has stopped.
    pub fn reached(&self) {
        std::fs::read(self.dir.join("at")).unwrap();
    }

    /// Lets the stopped call go on, and waits until it has heard it.
    pub fn open(&self) {
        std::fs::write(self.dir.join("go"), "\n").unwrap();
    }

    /// The calls so far; queries are left out, and the list begins anew.
    pub fn calls(&self) -> Vec<String> {
        let path = self.dir.join("calls");
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let _ = std::fs::remove_file(&path);
        let queries = [
            "ProvidePayloadFileSizes",
            "NeedsArtifactReboot",
            "SupportsRollback",
        ];
        let calls = text.lines().filter(|line| !queries.contains(line));
        calls.map(str::to_owned).collect()
    }
}

/// As much of a Mender server as its daemon needs for one deployment after the other.
#[derive(Debug)]
pub struct Server {
    address: String,
    shared: Arc<(Mutex<Deployments>, Condvar)>,
}

#[derive(Debug, Default)]
struct Deployments {
    waiting: VecDeque<(String, Vec<u8>)>,
    current: Option<(String, Vec<u8>)>,
    /// Deployments offered so far; the number is the current one's id. A device may report an earlier one again.
    offered: usize,
    statuses: Vec<String>,
    log: String,
    /// Whether the device has asked for a deployment.
    is_asked: bool,
    aborted: Option<String>,
    breaks: bool,
    asked_from: Vec<usize>,
}

impl Server {
    /// Listens on a free port of the device's network namespace. Its threads end with the test program.
    pub fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new((Mutex::default(), Condvar::new()));
        let serve = (Arc::clone(&shared), address.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (shared, address) = serve.clone();
                std::thread::spawn(move || serve_connection(stream, &shared, &address));
            }
        });
        Server { address, shared }
    }

    /// A client's configuration for this server, with short intervals.
    pub fn config(&self) -> Value {
        json!({
            "ServerURL": format!("http://{}", self.address), "UpdatePollIntervalSeconds": 1,
            "InventoryPollIntervalSeconds": 1000, "RetryPollIntervalSeconds": 1, "DBus": {"Enabled": false},
        })
    }

    /// Waits until the device asks for the next deployment: it has written down how the one before ended.
    pub fn settled(&self) {
        let (deployments, changed) = &*self.shared;
        let mut state = deployments.lock().unwrap();
        state.is_asked = false;
        let (state, timeout) = changed
            .wait_timeout_while(state, Duration::from_secs(60), |d| !d.is_asked)
            .unwrap();
        assert!(!timeout.timed_out(), "nobody asks: {:?}", state.statuses);
    }

    /// Answers this status with a conflict from now on: the deployment was aborted.
    pub fn abort_at(&self, status: &str) {
        self.shared.0.lock().unwrap().aborted = Some(status.to_owned());
    }

    /// Breaks the next answer with an artifact off in its middle.
    pub fn break_off(&self) {
        self.shared.0.lock().unwrap().breaks = true;
    }

    /// The byte from which each request for an artifact wanted it.
    pub fn asked_from(&self) -> Vec<usize> {
        self.shared.0.lock().unwrap().asked_from.clone()
    }

    /// Offers an artifact to the device.
    pub fn deploy(&self, name: &str, artifact: &std::path::Path) {
        let bytes = std::fs::read(artifact).unwrap();
        self.shared
            .0
            .lock()
            .unwrap()
            .waiting
            .push_back((name.to_owned(), bytes));
    }

    /// Waits until the device has reported one of the final statuses; returns all it reported, and the log it sent.
    pub fn outcome(&self) -> (Vec<String>, String) {
        let (deployments, changed) = &*self.shared;
        let done =
            |d: &mut Deployments| !d.statuses.iter().any(|s| s == "success" || s == "failure");
        let (mut state, timeout) = changed
            .wait_timeout_while(deployments.lock().unwrap(), PATIENCE, done)
            .unwrap();
        assert!(
            !timeout.timed_out(),
            "no final status: {:?}",
            state.statuses
        );
        let statuses = std::mem::take(&mut state.statuses);
        if statuses.iter().any(|s| s == "failure") {
            // The log comes after the status.
            let (mut state, timeout) = changed
                .wait_timeout_while(state, Duration::from_secs(60), |d| d.log.is_empty())
                .unwrap();
            assert!(!timeout.timed_out(), "no log");
            return (statuses, std::mem::take(&mut state.log));
        }
        (statuses, String::new())
    }
}

/// The client keeps a numbered log for each deployment and finds it by the id, so that must not look like a number.
fn id(offered: usize) -> String {
    format!("deployment-{}", "x".repeat(offered))
}

/// What a device asks.
struct Asked {
    method: String,
    path: String,
    body: String,
    /// The first byte that it wants.
    from: usize,
}

fn serve_connection(stream: TcpStream, shared: &(Mutex<Deployments>, Condvar), address: &str) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    while let Some(asked) = read_request(&mut reader) {
        let (status, mut answer) = answer(&asked, shared, address);
        let mut head = format!(
            "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n",
            answer.len()
        );
        let mut state = shared.0.lock().unwrap();
        let is_artifact = asked.path == "/artifact";
        if is_artifact {
            state.asked_from.push(asked.from);
        }
        if status == 206 {
            let (from, all) = (asked.from, asked.from + answer.len());
            head += &format!("Content-Range: bytes {from}-{}/{all}\r\n", all - 1);
        }
        let is_broken = is_artifact && std::mem::take(&mut state.breaks);
        drop(state);
        if is_broken {
            answer.truncate(answer.len() / 2);
        }
        head += "\r\n";
        let sent = stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.write_all(&answer));
        if is_broken || sent.is_err() {
            return;
        }
    }
}

fn answer(asked: &Asked, shared: &(Mutex<Deployments>, Condvar), address: &str) -> (u16, Vec<u8>) {
    let Asked {
        method,
        path,
        body,
        from,
    } = asked;
    let mut state = shared.0.lock().unwrap();
    let result = match path.as_str() {
        "/api/devices/v1/authentication/auth_requests" => (200, b"token".to_vec()),
        "/artifact" => {
            let whole = &state.current.as_ref().unwrap().1;
            let status = if *from > 0 { 206 } else { 200 };
            (status, whole[*from..].to_vec())
        }
        "/api/devices/v2/deployments/device/deployments/next" => {
            state.is_asked = true;
            if state.current.is_none() {
                state.current = state.waiting.pop_front();
                if state.current.is_some() {
                    state.offered += 1;
                    // A daemon that was killed before may have reported the deployment before once more.
                    state.statuses.clear();
                    state.log.clear();
                }
            }
            let id = id(state.offered);
            match &state.current {
                None => (204, Vec::new()),
                Some((name, _)) => {
                    let source = json!({"uri": format!("http://{address}/artifact"), "expire": "2100-01-01T00:00:00Z"});
                    let artifact = json!({"artifact_name": name, "source": source, "device_types_compatible": ["qemu"]});
                    (
                        200,
                        json!({"id": id, "artifact": artifact})
                            .to_string()
                            .into_bytes(),
                    )
                }
            }
        }
        path if path.ends_with(&format!("/{}/status", id(state.offered))) => {
            let status: Value = serde_json::from_str(body).unwrap();
            let status = status["status"].as_str().unwrap().to_owned();
            if status == "success" || status == "failure" {
                state.current = None;
            }
            let is_aborted = state.aborted.as_ref() == Some(&status);
            state.statuses.push(status);
            (if is_aborted { 409 } else { 204 }, Vec::new())
        }
        path if path.ends_with(&format!("/{}/log", id(state.offered))) => {
            state.log = body.to_owned();
            (204, Vec::new())
        }
        _ if method == "PUT" || method == "PATCH" => (200, Vec::new()),
        _ => (404, Vec::new()),
    };
    shared.1.notify_all();
    result
}

/// The next request; `None` at the end of the connection.
fn read_request(reader: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut line = String::new();
    reader
        .read_line(&mut line)
        .ok()
        .filter(|count| *count > 0)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let (mut length, mut chunked, mut from) = (0, false, 0);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let header = header.trim().to_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if let Some(range) = header.strip_prefix("range: bytes=") {
            from = range.split_once('-')?.0.parse().ok()?;
        }
        chunked |= header == "transfer-encoding: chunked";
    }
    let mut body = Vec::new();
    while chunked {
        // Debian's client sends its bodies in chunks.
        let mut size = String::new();
        reader.read_line(&mut size).ok()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        let mut chunk = vec![0; size + 2];
        reader.read_exact(&mut chunk).ok()?;
        body.extend_from_slice(&chunk[..size]);
        chunked = size > 0;
    }
    let start = body.len();
    body.resize(start + length, 0);
    reader.read_exact(&mut body[start..]).ok()?;
    Some(Asked {
        method,
        path,
        body: String::from_utf8_lossy(&body).into_owned(),
        from,
    })
}
