//! A registry in this process, on 127.0.0.1 and a free port: serves images, counts, and misbehaves on demand.
//!
//! ```ignore
//! let registry = Registry::start();
//! registry.push("shop/web", "1", &image);                       // `image::Built`; pushing again moves the tag
//! let name = registry.name("shop/web:1");                       // "127.0.0.1:PORT/shop/web:1"
//! registry.access(Access::Bearer(None));                        // anonymous tokens
//! registry.fault(On::Blobs, Fault::Status(500), 2);             // the next two blob requests fail
//! assert_eq!(registry.count("GET", "/blobs/"), 3);
//! ```
//!
//! Blobs have ETags and are served in parts. It also is a proxy whose every tunnel leads to itself. The server and its
//! connections end with the value. `Registry::down()` names a port where nobody listens.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use dray::oci::Digest;

use super::image::Built;

/// Who may pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Open,
    /// Whoever has a token; the token server gives one to everybody, or only for this user and password.
    Bearer(Option<(String, String)>),
    /// This user and password.
    Basic(String, String),
}

/// Which requests a fault applies to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum On {
    /// All of them.
    Everything,
    /// `/v2/…/manifests/…`
    Manifests,
    /// `/v2/…/blobs/…`
    Blobs,
    /// The token server.
    Token,
    /// Whatever has this in its path; of a tunnel, host and port.
    Path(String),
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// This status with a registry's JSON error body.
    Status(u16),
    /// 429 with `Retry-After` seconds.
    TooManyRequests(u64),
    /// 200 with an HTML page, as captive portals answer.
    Html,
    /// The right size, one byte changed; the digest header stays as it was asked for.
    WrongContent,
    /// Full `Content-Length`, half the body, then the connection closes; also where a part was asked for.
    Short,
    /// A chunked body that goes on as long as the client reads.
    Endless,
    /// A `Content-Length` larger than the truth by this much; the connection stays open and silent.
    Overstated(u64),
    /// This many bytes of the body, then silence with the connection open.
    Stall(usize),
    /// The request is read and never answered.
    Silent,
    /// One byte of the body every so many milliseconds.
    Drip(u64),
    /// So many bytes of the body at once, then a pause of so many milliseconds.
    Pace(usize, u64),
    /// The same, and the connection is reset after so many milliseconds.
    Cut(usize, u64, u64),
    /// The connection closes without an answer.
    Reset,
    /// 307 to this URL plus the request's path; one that ends in `?` is taken as it is.
    Redirect(String),
    /// 307 to itself.
    Loop,
    /// The answer lacks Docker-Content-Digest.
    NoDigest,
    /// The answer has another Docker-Content-Digest.
    Digest(String),
    /// The answer has another Content-Type.
    ContentType(String),
    /// 401 with this challenge.
    Challenge(String),
    /// 503 with `Retry-After` seconds.
    Unavailable(u64),
    /// The link breaks after this many bytes of the body.
    Link(Link, usize),
    /// A question for a part is answered with the whole.
    Whole,
    /// 206 with the whole, said to be just that.
    Rewound,
    /// The answer has another Content-Range.
    ContentRange(String),
    /// The answer has another ETag.
    Tag(String),
    /// The answer has this Content-Length, whatever comes.
    Length(u64),
    /// The answer has this Content-Encoding.
    Encoding(String),
}

/// How a link breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// The connection ends as if all were said.
    Truncate,
    /// The connection is reset.
    Reset,
    /// One bit of the next byte changes, the rest is right.
    Flip,
    /// From here on one byte every ten milliseconds.
    Slow,
    /// Silence, the connection stays open.
    Stall,
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET` or `HEAD`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Header names in lower case.
    pub headers: BTreeMap<String, String>,
}

impl Request {
    /// A header's value; names in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// The registry; ends when dropped.
#[derive(Debug)]
pub struct Registry {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Told when the server ends, so that slow answers need not be waited for.
    ending: Condvar,
    /// Told when more was sent.
    sending: Condvar,
}

impl Shared {
    fn count(&self, bytes: usize) {
        self.state.lock().unwrap().bytes += bytes as u64;
        self.sending.notify_all();
    }
}

#[derive(Debug, Default)]
struct State {
    documents: BTreeMap<(String, Digest), (String, Vec<u8>)>,
    blobs: BTreeMap<Digest, Vec<u8>>,
    tags: BTreeMap<(String, String), Digest>,
    access: Option<Access>,
    faults: Vec<(On, Fault, usize)>,
    requests: Vec<Request>,
    bytes: u64,
    tokens: usize,
    valid_tokens: BTreeSet<String>,
    connections: BTreeMap<usize, TcpStream>,
    connected: usize,
    ended: bool,
    tag: Option<String>,
    short_tokens: bool,
}

impl Registry {
    /// Starts one that serves everybody and has nothing yet.
    pub fn start() -> Registry {
        Registry::start_at("127.0.0.1:0")
    }

    /// The same at another address of this machine.
    pub fn start_at(address: &str) -> Registry {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let acceptor = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        Registry {
            address,
            shared,
            acceptor: Some(acceptor),
        }
    }

    /// `127.0.0.1:PORT` of a port where nobody listens.
    pub fn down() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    }

    /// `127.0.0.1:PORT`
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// An image name here: `127.0.0.1:PORT/REST`.
    pub fn name(&self, rest: &str) -> String {
        format!("{}/{rest}", self.address)
    }

    /// Adds an image or index; the tag moves if it was there.
    pub fn push(&self, repository: &str, tag: &str, image: &Built) {
        let mut state = self.state();
        for (digest, document) in &image.documents {
            state
                .documents
                .insert((repository.to_owned(), *digest), document.clone());
        }
        state.blobs.extend(image.blobs.clone());
        state
            .tags
            .insert((repository.to_owned(), tag.to_owned()), image.digest);
    }

    /// What a tag stands for now.
    pub fn digest(&self, repository: &str, tag: &str) -> Digest {
        self.state().tags[&(repository.to_owned(), tag.to_owned())]
    }

    /// Forgets a blob, as a broken garbage collection would.
    pub fn lose(&self, blob: &Digest) {
        self.state().blobs.remove(blob).unwrap();
    }

    /// From now on, who may pull. Tokens given out before lose their validity.
    pub fn access(&self, access: Access) {
        let mut state = self.state();
        state.access = Some(access);
        state.valid_tokens.clear();
    }

    /// Tokens given out so far are no longer accepted, as when they expire in the middle of a pull.
    pub fn expire_tokens(&self) {
        self.state().valid_tokens.clear();
    }

    /// Tokens end whenever a link breaks.
    pub fn short_tokens(&self) {
        self.state().short_tokens = true;
    }

    /// The ETag of all blobs from now on, instead of a strong one of each; `#` stands for the number of the request.
    pub fn tag_blobs(&self, tag: &str) {
        self.state().tag = Some(tag.to_owned());
    }

    /// The next `times` matching requests go wrong; `usize::MAX` means all. Faults set first come first.
    pub fn fault(&self, on: On, fault: Fault, times: usize) {
        self.state().faults.push((on, fault, times));
    }

    /// Behaves again.
    pub fn heal(&self) {
        self.state().faults.clear();
    }

    /// All requests so far, in order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.state().requests.clone()
    }

    /// How many requests had this method and this in their path.
    pub fn count(&self, method: &str, path: &str) -> usize {
        let requests = &self.state().requests;
        requests
            .iter()
            .filter(|r| r.method == method && r.path.contains(path))
            .count()
    }

    /// Bytes of bodies sent so far.
    pub fn bytes(&self) -> u64 {
        self.state().bytes
    }

    /// Waits until so many bytes were sent.
    pub fn until_sent(&self, bytes: u64) {
        let state = self.state();
        let long = Duration::from_secs(60);
        let waited = |state: &mut State| state.bytes < bytes;
        let (state, _) = self
            .shared
            .sending
            .wait_timeout_while(state, long, waited)
            .unwrap();
        assert!(state.bytes >= bytes, "{} bytes were sent", state.bytes);
    }

    /// Forgets requests and bytes counted so far.
    pub fn reset_counts(&self) {
        let mut state = self.state();
        state.requests.clear();
        state.bytes = 0;
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        if let Ok(mut state) = self.shared.state.lock() {
            state.ended = true;
            for connection in state.connections.values() {
                let _ = connection.shutdown(Shutdown::Both);
            }
        }
        self.shared.ending.notify_all();
        // Wakes the acceptor, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    for connection in listener.incoming() {
        let Ok(connection) = connection else { continue };
        let mut state = shared.state.lock().unwrap();
        if state.ended {
            break;
        }
        state.connected += 1;
        let number = state.connected;
        state
            .connections
            .insert(number, connection.try_clone().unwrap());
        drop(state);
        let shared = Arc::clone(shared);
        threads.retain(|thread| !thread.is_finished());
        threads.push(std::thread::spawn(move || {
            // A client that goes away is not this test's subject.
            let _ = serve(&connection, &shared);
            // One that is to be reset must not be closed in order first.
            let linger = nix::sys::socket::sockopt::Linger;
            let asked = nix::sys::socket::getsockopt(&connection, linger);
            if asked.is_ok_and(|linger| linger.l_onoff == 0) {
                let _ = connection.shutdown(Shutdown::Both);
            }
            shared.state.lock().unwrap().connections.remove(&number);
        }));
    }
    for thread in threads {
        let _ = thread.join();
    }
}

/// Answers requests on one connection until either side has enough.
fn serve(connection: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    connection.set_nodelay(true)?;
    let mut reader = BufReader::new(connection.try_clone()?);
    while let Some(mut request) = read_request(&mut reader)? {
        let (fault, answer) = {
            let mut state = shared.state.lock().unwrap();
            state.requests.push(request.clone());
            let fault = state.next_fault(&request.path);
            if matches!(fault, Some(Fault::Whole | Fault::Rewound | Fault::Short)) {
                request.headers.remove("range");
            }
            let answer = match &fault {
                Some(fault) if !fault.needs_answer() => Answer::status(500),
                _ => state.answer(&request),
            };
            if state.short_tokens && matches!(fault, Some(Fault::Link(..))) {
                state.valid_tokens.clear();
            }
            (fault, answer)
        };
        if request.method == "CONNECT" && fault.is_none() {
            let mut out = connection;
            out.write_all(b"HTTP/1.1 200 as asked\r\n\r\n")?;
            continue;
        }
        let reusable = send(connection, shared, &request, fault, answer)?;
        if !reusable {
            return Ok(());
        }
    }
    Ok(())
}

fn read_request(reader: &mut impl BufRead) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (Some(method), Some(path)) = (words.next(), words.next()) else {
        return Ok(None);
    };
    let mut request = Request {
        method: method.to_owned(),
        path: path.to_owned(),
        headers: BTreeMap::new(),
    };
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            request
                .headers
                .insert(name.trim().to_lowercase(), value.trim().to_owned());
        }
    }
    let length = request
        .header("content-length")
        .and_then(|l| l.parse().ok())
        .unwrap_or(0);
    std::io::copy(&mut reader.take(length), &mut std::io::sink())?;
    Ok(Some(request))
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// Content-Length, when not the truth.
    declared: Option<u64>,
    /// How much of the body is sent, when not all.
    cut: Option<usize>,
}

impl Answer {
    fn new(status: u16, headers: Vec<(&'static str, String)>, body: Vec<u8>) -> Answer {
        Answer {
            status,
            headers,
            body,
            declared: None,
            cut: None,
        }
    }

    /// Status line and headers.
    fn head(&self) -> String {
        let mut head = format!("HTTP/1.1 {} as asked\r\n", self.status);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head + "\r\n"
    }

    fn of(content_type: &str, digest: &str, body: Vec<u8>) -> Answer {
        let headers = vec![
            ("Content-Type", content_type.to_owned()),
            ("Docker-Content-Digest", digest.to_owned()),
        ];
        Answer::new(200, headers, body)
    }

    /// A blob, or the part of it that was asked for.
    fn part(request: &Request, digest: &str, bytes: &[u8], tag: String) -> Answer {
        let range = request
            .header("range")
            .filter(|_| request.header("if-range").is_none_or(|known| known == tag))
            .and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
        let number = |text: &str| text.parse().ok();
        let size = bytes.len();
        let from: usize = range.and_then(|(from, _)| number(from)).unwrap_or(0);
        let last = range.and_then(|(_, to)| number(to));
        let end = last.map_or(size, |last: usize| size.min(last + 1));
        if from > 0 && from >= size {
            let mut answer = Answer::status(416);
            answer.set("Content-Range", format!("bytes */{size}"));
            return answer;
        }
        let kind = "application/octet-stream";
        let mut answer = Answer::of(kind, digest, bytes[from..end].to_vec());
        answer.set("ETag", tag);
        if range.is_some() && (from > 0 || end < size) {
            answer.status = 206;
            answer.set("Content-Range", format!("bytes {from}-{}/{size}", end - 1));
        }
        answer
    }

    fn status(status: u16) -> Answer {
        let code = match status {
            401 => "UNAUTHORIZED",
            403 => "DENIED",
            404 => "MANIFEST_UNKNOWN",
            429 => "TOOMANYREQUESTS",
            _ => "UNKNOWN",
        };
        let body = format!(r#"{{"errors":[{{"code":"{code}","message":"as the test wanted"}}]}}"#);
        let headers = vec![("Content-Type", "application/json".to_owned())];
        Answer::new(status, headers, body.into_bytes())
    }

    fn challenge(challenge: String) -> Answer {
        let mut answer = Answer::status(401);
        answer.headers.push(("WWW-Authenticate", challenge));
        answer
    }

    fn set(&mut self, name: &'static str, value: String) {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value));
    }
}

impl State {
    fn next_fault(&mut self, path: &str) -> Option<Fault> {
        let (_, fault, times) = self.faults.iter_mut().find(|(on, _, times)| {
            *times > 0
                && match on {
                    On::Everything => true,
                    On::Manifests => path.contains("/manifests/"),
                    On::Blobs => path.contains("/blobs/"),
                    On::Token => path.starts_with("/token"),
                    On::Path(part) => path.contains(part.as_str()),
                }
        })?;
        *times -= 1;
        Some(fault.clone())
    }

    fn answer(&mut self, request: &Request) -> Answer {
        let path = request.path.split('?').next().unwrap_or_default();
        if path == "/token" {
            return self.token(request);
        }
        if let Some(refusal) = self.refusal(request) {
            return refusal;
        }
        let found = path.strip_prefix("/v2/").and_then(|rest| {
            if let Some((repository, selector)) = rest.split_once("/manifests/") {
                let digest = selector.parse().ok().or_else(|| {
                    self.tags
                        .get(&(repository.to_owned(), selector.to_owned()))
                        .copied()
                })?;
                let (kind, bytes) = self.documents.get(&(repository.to_owned(), digest))?;
                Some(Answer::of(kind, &digest.to_string(), bytes.clone()))
            } else {
                let (_, digest) = rest.split_once("/blobs/")?;
                let bytes = self.blobs.get(&digest.parse().ok()?)?;
                let tag = self.tag.clone().unwrap_or_else(|| format!("\"{digest}\""));
                let tag = tag.replace('#', &self.requests.len().to_string());
                Some(Answer::part(request, digest, bytes, tag))
            }
        });
        match found {
            None if path == "/v2/" => Answer::of("application/json", "", b"{}".to_vec()),
            found => found.unwrap_or_else(|| Answer::status(404)),
        }
    }

    /// What keeps this request out, if anything does.
    fn refusal(&self, request: &Request) -> Option<Answer> {
        let given = request.header("authorization").unwrap_or_default();
        let host = request.header("host").unwrap_or_default();
        match self.access.as_ref().unwrap_or(&Access::Open) {
            Access::Open => None,
            Access::Basic(user, password) => (given != basic(user, password))
                .then(|| Answer::challenge("Basic realm=\"test\"".to_owned())),
            Access::Bearer(_) => {
                let token = given.strip_prefix("Bearer ").unwrap_or_default();
                (!self.valid_tokens.contains(token)).then(|| {
                    let repository = request.path.strip_prefix("/v2/").and_then(|rest| {
                        rest.split_once("/manifests/").or_else(|| rest.split_once("/blobs/"))
                    });
                    let repository = repository.map_or("", |(repository, _)| repository);
                    Answer::challenge(format!(
                        "Bearer realm=\"http://{host}/token\",service=\"test\",scope=\"repository:{repository}:pull\""
                    ))
                })
            }
        }
    }

    fn token(&mut self, request: &Request) -> Answer {
        if let Some(Access::Bearer(Some((user, password)))) = &self.access
            && request.header("authorization") != Some(&basic(user, password))
        {
            return Answer::challenge("Basic realm=\"test\"".to_owned());
        }
        self.tokens += 1;
        let token = format!("token-{}", self.tokens);
        self.valid_tokens.insert(token.clone());
        Answer::of(
            "application/json",
            "",
            format!(r#"{{"token":"{token}"}}"#).into_bytes(),
        )
    }
}

fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("Basic {pair}")
}

impl Fault {
    /// Whether the fault changes a right answer rather than replacing it.
    fn needs_answer(&self) -> bool {
        matches!(
            self,
            Fault::WrongContent
                | Fault::Short
                | Fault::Overstated(_)
                | Fault::Stall(_)
                | Fault::Drip(_)
                | Fault::Pace(..)
                | Fault::Cut(..)
                | Fault::NoDigest
                | Fault::Digest(_)
                | Fault::ContentType(_)
                | Fault::Endless
                | Fault::Link(..)
                | Fault::Whole
                | Fault::Rewound
                | Fault::ContentRange(_)
                | Fault::Tag(_)
                | Fault::Length(_)
                | Fault::Encoding(_)
        )
    }

    fn spoil(&self, answer: &mut Answer, request: &Request) {
        match self {
            Fault::Status(status) => *answer = Answer::status(*status),
            Fault::TooManyRequests(seconds) => {
                *answer = Answer::status(429);
                answer.set("Retry-After", seconds.to_string());
            }
            Fault::Html => {
                let headers = vec![("Content-Type", "text/html; charset=utf-8".to_owned())];
                *answer = Answer::new(200, headers, b"<html>Please log in</html>".to_vec());
            }
            Fault::Challenge(challenge) => *answer = Answer::challenge(challenge.clone()),
            Fault::Redirect(url) => {
                let path = if url.ends_with('?') {
                    ""
                } else {
                    &request.path
                };
                *answer = Answer::status(307);
                answer.set("Location", format!("{url}{path}"));
            }
            Fault::Loop => {
                *answer = Answer::status(307);
                answer.set("Location", request.path.clone());
            }
            Fault::WrongContent => {
                if let Some(byte) = answer.body.last_mut() {
                    *byte ^= 1;
                }
            }
            Fault::NoDigest => answer
                .headers
                .retain(|(name, _)| *name != "Docker-Content-Digest"),
            Fault::Digest(digest) => answer.set("Docker-Content-Digest", digest.clone()),
            Fault::ContentType(content_type) => answer.set("Content-Type", content_type.clone()),
            Fault::Short => answer.cut = Some(answer.body.len() / 2),
            Fault::Stall(bytes) => answer.cut = Some(*bytes),
            Fault::Overstated(more) => answer.declared = Some(answer.body.len() as u64 + more),
            Fault::Endless => {
                *answer = Answer::new(200, answer.headers.clone(), Vec::new());
                answer.set("Transfer-Encoding", "chunked".to_owned());
            }
            Fault::Unavailable(seconds) => {
                *answer = Answer::status(503);
                answer.set("Retry-After", seconds.to_string());
            }
            Fault::Link(Link::Flip, at) => {
                if let Some(byte) = answer.body.get_mut(*at) {
                    *byte ^= 1;
                }
            }
            Fault::Link(_, at) => answer.cut = Some(*at),
            Fault::Rewound => {
                answer.status = 206;
                let size = answer.body.len();
                answer.set("Content-Range", format!("bytes 0-{}/{size}", size - 1));
            }
            Fault::ContentRange(range) => answer.set("Content-Range", range.clone()),
            Fault::Tag(tag) => answer.set("ETag", tag.clone()),
            Fault::Length(length) => answer.declared = Some(*length),
            Fault::Encoding(encoding) => answer.set("Content-Encoding", encoding.clone()),
            Fault::Drip(_)
            | Fault::Pace(..)
            | Fault::Cut(..)
            | Fault::Silent
            | Fault::Reset
            | Fault::Whole => {}
        }
    }
}

/// Sends the answer, spoilt by the fault; `false` when the connection cannot be used again.
fn send(
    mut connection: &TcpStream,
    shared: &Shared,
    request: &Request,
    fault: Option<Fault>,
    mut answer: Answer,
) -> std::io::Result<bool> {
    if let Some(fault) = &fault {
        fault.spoil(&mut answer, request);
    }
    match fault {
        Some(Fault::Reset) => return Ok(false),
        Some(Fault::Silent) => {
            until_end(shared, connection);
            return Ok(false);
        }
        Some(Fault::Endless) => return send_endlessly(connection, shared, &answer),
        _ => {}
    }
    let declared = answer.declared.unwrap_or(answer.body.len() as u64);
    answer.set("Content-Length", declared.to_string());
    connection.write_all(answer.head().as_bytes())?;
    let end = answer.cut.unwrap_or(answer.body.len());
    let is_head = request.method == "HEAD";
    let body = if is_head {
        &[][..]
    } else {
        &answer.body[..end.min(answer.body.len())]
    };
    let pace = match fault {
        Some(Fault::Pace(at_once, pause)) => Some((at_once, pause, u64::MAX)),
        Some(Fault::Cut(at_once, pause, cut)) => Some((at_once, pause, cut)),
        _ => None,
    };
    if let Some((at_once, pause, cut)) = pace.filter(|_| !is_head) {
        let (begun, cut) = (Instant::now(), Duration::from_millis(cut));
        for part in body.chunks(at_once) {
            shared.count(part.len());
            connection.write_all(part)?;
            if wait_for_end(shared, Duration::from_millis(pause)) {
                return Ok(false);
            }
            if begun.elapsed() >= cut {
                reset(connection)?;
                return Ok(false);
            }
        }
        return Ok(true);
    }
    // Before they leave: whoever has them may look at once.
    shared.count(body.len());
    if let Some(Fault::Drip(milliseconds)) = fault {
        for byte in body {
            connection.write_all(&[*byte])?;
            if wait_for_end(shared, Duration::from_millis(milliseconds)) {
                return Ok(false);
            }
        }
    } else {
        connection.write_all(body)?;
    }
    match fault {
        Some(Fault::Link(Link::Truncate, _) | Fault::Length(_)) if !is_head => Ok(false),
        Some(Fault::Link(Link::Reset, _)) if !is_head => {
            reset(connection)?;
            Ok(false)
        }
        Some(Fault::Link(Link::Stall, _)) if !is_head => {
            until_end(shared, connection);
            Ok(false)
        }
        Some(Fault::Link(Link::Slow, _)) if !is_head => {
            for byte in &answer.body[end.min(answer.body.len())..] {
                if wait_for_end(shared, Duration::from_millis(10)) {
                    break;
                }
                connection.write_all(&[*byte])?;
            }
            Ok(false)
        }
        Some(Fault::Short) => Ok(is_head),
        Some(Fault::Stall(_) | Fault::Overstated(_)) if !is_head => {
            until_end(shared, connection);
            Ok(false)
        }
        _ => Ok(true),
    }
}

/// Has the connection end with a reset, and with it whatever has not been read, once it is closed.
fn reset(connection: &TcpStream) -> std::io::Result<()> {
    let at_once = nix::libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    Ok(nix::sys::socket::setsockopt(
        &connection,
        nix::sys::socket::sockopt::Linger,
        &at_once,
    )?)
}

fn send_endlessly(
    mut connection: &TcpStream,
    shared: &Shared,
    answer: &Answer,
) -> std::io::Result<bool> {
    connection.write_all(answer.head().as_bytes())?;
    let chunk = [b"4000\r\n".to_vec(), vec![b' '; 0x4000], b"\r\n".to_vec()].concat();
    loop {
        connection.write_all(&chunk)?;
        shared.count(0x4000);
    }
}

/// Keeps the connection open and silent until the client closes it or the server ends.
fn until_end(shared: &Shared, mut connection: &TcpStream) {
    let mut byte = [0];
    while !shared.state.lock().unwrap().ended {
        match connection.read(&mut byte) {
            Ok(1..) => {}
            _ => return,
        }
    }
}

/// Waits `time`; `true` when the server ended meanwhile.
fn wait_for_end(shared: &Shared, time: Duration) -> bool {
    let state = shared.state.lock().unwrap();
    let (state, _) = shared
        .ending
        .wait_timeout_while(state, time, |state| !state.ended)
        .unwrap();
    state.ended
}
