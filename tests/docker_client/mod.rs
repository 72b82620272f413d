//! Docker's client on a leash: a server on a unix socket answers `ping` and keeps the body of the create call.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::mpsc::{Receiver, Sender, channel};

use serde_json::Value;

/// The server, and how to run the client against it. The folder goes when this does.
pub struct Docker {
    program: PathBuf,
    folder: PathBuf,
    environment: BTreeMap<String, String>,
    created: Receiver<(String, Value)>,
}

impl Docker {
    /// Starts the server; it lives as long as the process. `version` is the client's that is wanted: there may be several.
    pub fn start(version: &str, environment: BTreeMap<String, String>) -> Docker {
        let path = std::env::var_os("PATH").unwrap();
        let program = std::env::split_paths(&path)
            .map(|folder| folder.join("docker"))
            .find(|program| says_version(program, version))
            .unwrap_or_else(|| panic!("no docker client of version {version} is on the PATH"));
        let folder = std::env::temp_dir().join(format!("dray-docker-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let listener = UnixListener::bind(folder.join("docker.sock")).unwrap();
        let (sender, created) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let sender = sender.clone();
                // A client that goes away in the middle of a request is the normal case.
                std::thread::spawn(move || serve(stream, &sender).unwrap_or_default());
            }
        });
        Docker {
            program,
            folder,
            environment,
            created,
        }
    }

    /// Runs the client with any words.
    pub fn run(&self, words: &[String]) -> Output {
        Command::new(&self.program)
            .args(words)
            .env_clear()
            .envs(&self.environment)
            .env(
                "DOCKER_HOST",
                format!("unix://{}", self.folder.join("docker.sock").display()),
            )
            .env("DOCKER_CONFIG", &self.folder)
            .env("HOME", &self.folder)
            .output()
            .unwrap()
    }

    /// `docker run --help`.
    pub fn help(&self) -> String {
        let words = ["run", "--help"].map(str::to_owned);
        String::from_utf8(self.run(&words).stdout).unwrap()
    }

    /// Name and body of the create call for `docker run` with these words, or the first line of what the client says.
    pub fn create(&mut self, words: &[String]) -> Result<(String, Value), String> {
        let words: Vec<String> = std::iter::once("run".to_owned())
            .chain(words.iter().cloned())
            .collect();
        let output = self.run(&words);
        match self.created.try_recv() {
            Ok(call) => Ok(call),
            Err(_) => {
                let said = String::from_utf8_lossy(&output.stderr);
                let line = said.lines().next().unwrap_or_default();
                Err(line.strip_prefix("docker: ").unwrap_or(line).to_owned())
            }
        }
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}

fn says_version(program: &Path, version: &str) -> bool {
    let said = Command::new(program).arg("--version").output();
    said.is_ok_and(|said| {
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        said.starts_with(&format!("Docker version {version},"))
    })
}

/// Answers the requests of one connection.
fn serve(stream: UnixStream, created: &Sender<(String, Value)>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request)? == 0 {
            return Ok(());
        }
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            if header.trim().is_empty() {
                break;
            }
            if let Some(value) = header.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let target = request.split(' ').nth(1).unwrap_or_default();
        let head_only = request.starts_with("HEAD ");
        let (status, answer) = if target.contains("/containers/create") {
            let query = target.split_once('?').map_or("", |(_, query)| query);
            let name = query.split('&').find_map(|pair| pair.strip_prefix("name="));
            created
                .send((
                    name.unwrap_or_default().to_owned(),
                    serde_json::from_slice(&body)?,
                ))
                .unwrap();
            // The call has been seen; nothing shall be started.
            ("500 Internal Server Error", "{\"message\":\"seen\"}")
        } else if target.contains("/images/create") {
            ("200 OK", "{}")
        } else {
            ("200 OK", "OK")
        };
        let answer_length = answer.len();
        let sent = if head_only { "" } else { answer };
        write!(
            writer,
            "HTTP/1.1 {status}\r\nApi-Version: 1.50\r\nOstype: linux\r\nServer: Docker/28.2.2 (linux)\r\n\
             Content-Type: application/json\r\nContent-Length: {answer_length}\r\n\r\n{sent}"
        )?;
    }
}
