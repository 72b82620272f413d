//! `dray install URL` from servers whose links break: what is asked for, byte by byte, and what is refused.
#![cfg(all(feature = "device", feature = "artifact-gen"))]
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a broken set-up should panic; test files need no durable writer"
)]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use common::device::{Called, Device, on_device, run};

/// How one answer is given.
#[derive(Debug, Clone)]
enum Answer {
    /// What was asked for; of its bytes only so many, then the link is cut.
    Cut(usize),
    /// All of what was asked for.
    Whole,
    /// All of the file, whatever was asked for, under this tag.
    From0(&'static str),
    /// Only this head, with nothing behind it.
    Head(String),
}

/// A server of one file, which notes the heads of all requests and how many bytes it sent for each.
struct Server {
    address: String,
    seen: Arc<Mutex<Vec<(String, usize)>>>,
}

impl Server {
    /// Gives the answers in their order; after the last it goes on with that.
    fn start(file: Vec<u8>, answers: &[Answer]) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (notes, answers) = (Arc::clone(&seen), answers.to_vec());
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let answer = answers.get(number).or(answers.last()).unwrap();
                // Whoever asked may have gone.
                let (head, sent) = serve(stream.unwrap(), &file, answer);
                notes.lock().unwrap().push((head, sent));
            }
        });
        Server { address, seen }
    }

    fn seen(&self) -> Vec<(String, usize)> {
        self.seen.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, file: &[u8], answer: &Answer) -> (String, usize) {
    let mut head = String::new();
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    while !head.ends_with("\r\n\r\n") && lines.read_line(&mut head).unwrap_or(0) > 0 {}
    let head = head.to_lowercase();
    let from = head.lines().find_map(|line| {
        let from = line.strip_prefix("range: bytes=")?.strip_suffix('-')?;
        from.parse::<usize>().ok()
    });
    let size = file.len();
    let (status, from, tag, most) = match answer {
        Answer::Head(text) => {
            let _ = stream.write_all(text.as_bytes());
            return (head, 0);
        }
        Answer::From0(tag) => ("200 OK".to_owned(), 0, *tag, size),
        Answer::Whole | Answer::Cut(_) => {
            let most = if let Answer::Cut(most) = answer {
                *most
            } else {
                size
            };
            match from {
                Some(from) => {
                    let last = size - 1;
                    let status =
                        format!("206 Partial Content\r\nContent-Range: bytes {from}-{last}/{size}");
                    (status, from, "\"one\"", most)
                }
                None => ("200 OK".to_owned(), 0, "\"one\"", most),
            }
        }
    };
    let rest = &file[from..];
    let sent = &rest[..most.min(rest.len())];
    let length = rest.len();
    let text = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nETag: {tag}\r\nConnection: close\r\n\r\n"
    );
    let written = stream
        .write_all(text.as_bytes())
        .and_then(|()| stream.write_all(sent));
    (head, if written.is_ok() { sent.len() } else { 0 })
}

fn install(device: &Device, address: &str) -> Called {
    let output = Command::new(env!("CARGO_BIN_EXE_dray"))
        .args(["install", address])
        .env("DRAY_CONFIG", &device.host.config)
        .env("MENDER_CONF_DIR", device.join("etc/mender"))
        .env("MENDER_DATASTORE_DIR", device.join("mender"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Called {
        status: output.status,
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// An artifact of 400 KB: its meta-data has a key that nobody reads, of bytes that do not pack.
fn artifact(device: &Device) -> Vec<u8> {
    let mut random = vec![0; 200_000];
    std::io::Read::read_exact(
        &mut std::fs::File::open("/dev/urandom").unwrap(),
        &mut random,
    )
    .unwrap();
    let mut meta_data = device.artifact("v1", "--name web");
    let text: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    meta_data["note"] = text.into();
    let (meta, path) = (device.join("meta.json"), device.join("v1.mender"));
    std::fs::write(&meta, meta_data.to_string()).unwrap();
    let (meta, out) = (meta.to_str().unwrap(), path.to_str().unwrap());
    let words = [
        "write",
        "module-image",
        "-T",
        "docker",
        "-t",
        "qemu",
        "-n",
        "v1",
    ];
    run(
        "mender-artifact",
        &[
            &words[..],
            &["--compression", "none", "-m", meta, "-o", out],
        ]
        .concat(),
    );
    device.configure("[health]\nstable_s = 0\n[artifact]\ndevice_type = qemu\n");
    std::fs::read(&path).unwrap()
}

#[test]
fn a_link_that_is_cut_is_gone_on_with_where_it_was_cut() {
    on_device("url-cut", |device| {
        let file = artifact(device);
        let size = file.len();
        assert!(size > 400_000, "{size}");
        let cuts = [700, 1, 150_000, 99_999];
        let answers: Vec<Answer> = cuts
            .map(Answer::Cut)
            .into_iter()
            .chain([Answer::Whole])
            .collect();
        let server = Server::start(file, &answers);
        let called = install(device, &format!("{}/v1.mender", server.address));
        assert!(called.status.success(), "{called:?}");
        assert_eq!(device.running(), ["v1"]);
        let seen = server.seen();
        assert_eq!(seen.len(), 5, "{seen:?}");
        let mut position = 0;
        for (head, sent) in &seen {
            let range = format!("range: bytes={position}-\r\nif-range: \"one\"\r\n");
            match position {
                0 => assert!(!head.contains("range"), "{head}"),
                _ => assert!(head.contains(&range), "no {range:?} in {head}"),
            }
            position += sent;
        }
        assert_eq!(position, size, "each byte came once");
    });
}

#[test]
fn a_server_without_ranges_gives_it_all_again() {
    on_device("url-whole", |device| {
        let file = artifact(device);
        let server = Server::start(file, &[Answer::Cut(100_000), Answer::From0("\"one\"")]);
        let called = install(device, &format!("{}/v1.mender", server.address));
        assert!(called.status.success(), "{called:?}");
        assert_eq!(
            (server.seen().len(), device.running()),
            (2, vec!["v1".to_owned()])
        );
    });
}

#[test]
fn what_does_not_come_is_said_and_nothing_changes() {
    on_device("url-refused", |device| {
        let file = artifact(device);
        let head =
            |text: &str| Answer::Head(format!("HTTP/1.1 {text}\r\nConnection: close\r\n\r\n"));
        let elsewhere = Server::start(Vec::new(), &[head("404 Not Found\r\nContent-Length: 0")]);
        let lead = format!(
            "302 Found\r\nLocation: {}/x?sig=secret\r\nContent-Length: 0",
            elsewhere.address
        );
        for (answers, reason) in [
            (
                vec![head("404 Not Found\r\nContent-Length: 0")],
                "it answered with status 404",
            ),
            (
                vec![head("401 Unauthorized\r\nContent-Length: 0")],
                "it answered with status 401",
            ),
            (vec![head("200 OK")], "does not say how large the file is"),
            (
                vec![head(
                    "200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5",
                )],
                "in the encoding \"gzip\"",
            ),
            (vec![head(&lead)], "it answered with status 404"),
            (
                vec![Answer::Cut(100_000), Answer::From0("\"two\"")],
                "the file is not the one that was begun with",
            ),
            (
                vec![
                    Answer::Cut(100_000),
                    head("206 Partial Content\r\nContent-Range: bytes 5-9/10\r\nContent-Length: 5"),
                ],
                "the file is not the one that was begun with",
            ),
        ] {
            let server = Server::start(file.clone(), &answers);
            let called = install(device, &format!("{}/v1.mender?sig=secret", server.address));
            assert_eq!(called.status.code(), Some(1), "{called:?}");
            assert!(
                called.stderr.contains(reason),
                "no {reason:?} in {}",
                called.stderr
            );
            assert!(!called.stderr.contains("secret"), "{}", called.stderr);
            assert_eq!(
                called.stderr.lines().count(),
                1,
                "a state was called: {}",
                called.stderr
            );
        }
        let seen = elsewhere.seen();
        assert_eq!(seen.len(), 1);
        assert!(!seen[0].0.contains("authorization"), "{seen:?}");
        for (address, reason) in [
            (
                "http://user:secret@127.0.0.1:1/x",
                "\"http://127.0.0.1:1/x\" is not an address that can be read",
            ),
            (
                "https://127.0.0.1:99999/x",
                "is not an address that can be read",
            ),
            (
                "ftp://127.0.0.1/x",
                "artifacts are fetched by http:// and https://, not by ftp://",
            ),
        ] {
            let called = install(device, address);
            assert_eq!(called.status.code(), Some(1), "{called:?}");
            assert!(called.stderr.contains(reason), "{called:?}");
            assert!(!called.stderr.contains("secret"), "{}", called.stderr);
        }
        assert_eq!(device.present(), []);
    });
}

/// The same where the module is in the middle of a layer, which the artifact brings along.
#[test]
fn what_breaks_off_in_an_image_is_said_as_it_was() {
    on_device("url-embedded", |device| {
        device.configure("[health]\nstable_s = 0\n[artifact]\ndevice_type = qemu\n");
        let path = device.join("large.mender");
        let name = device.registry.name("shop/v1:1");
        let words = [
            "--embed",
            "-n",
            "large",
            "-t",
            "qemu",
            "-o",
            path.to_str().unwrap(),
            &name,
        ];
        let made = Command::new(env!("CARGO_BIN_EXE_docker-artifact-gen"))
            .args(words)
            .env("DRAY_CONFIG", &device.host.config)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let file = std::fs::read(&path).unwrap();
        assert!(file.len() > 600_000, "{}", file.len());
        let head = |text: &str| {
            Answer::Head(format!(
                "HTTP/1.1 {text}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            ))
        };
        for (answers, reason) in [
            (
                vec![Answer::Cut(300_000), head("404 Not Found")],
                "it answered with status 404",
            ),
            (
                vec![Answer::Cut(300_000), Answer::From0("\"two\"")],
                "the file is not the one that was begun with",
            ),
        ] {
            let server = Server::start(file.clone(), &answers);
            let called = install(device, &format!("{}/large.mender", server.address));
            assert_eq!(called.status.code(), Some(1), "{called:?}");
            let last = called.stderr.lines().last().unwrap();
            assert!(last.contains(reason), "no {reason:?} in {}", called.stderr);
        }
        assert_eq!(device.present(), []);
        let server = Server::start(file, &[Answer::Cut(300_000), Answer::Whole]);
        let called = install(device, &format!("{}/large.mender", server.address));
        assert!(called.status.success(), "{called:?}");
        assert_eq!(device.running(), ["v1"]);
    });
}
