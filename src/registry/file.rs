//! A file at an address of its own, as one stream however often the connection breaks: what `dray install` is given.
//!
//! Nobody is asked for credentials and none are sent: what must not be read by everybody has a signed address. An answer is
//! taken only if it is exactly the rest of the very file that was begun with, or the whole of it, of which what came already
//! is passed over; where something changed meanwhile, that is said.

use std::io::{self, Read};

use super::Client;
use super::answer::{passes, shown};
use super::error::{Problem, RegistryError, one_line};
use super::fetch::MAX_REDIRECTS;
use super::http::{Failure, Method, Request, Response};
use super::patience::Body;
use super::resume::strong_tag;
use super::url::Url;

/// Why a file did not come.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Not an address that is read.
    #[error(
        "{0:?} is not an address that can be read: http://HOST[:PORT]/PATH or https://…, without a user name or a password"
    )]
    Address(String),
    /// It is one, but nothing good came.
    #[error("failed to fetch {address}: {problem}")]
    Fetch {
        /// Without what may be secret in it.
        address: String,
        /// What went wrong.
        problem: Box<Problem>,
    },
}

/// Whether a word is meant as an address rather than as the name of a file.
pub fn is_address(word: &str) -> bool {
    let scheme = word.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|s| s.eq_ignore_ascii_case("http") || s.eq_ignore_ascii_case("https"))
}

/// A file being fetched.
pub struct RemoteFile {
    client: Client,
    url: Url,
    size: u64,
    position: u64,
    /// Equal only if all bytes are; sent along so that nothing else is gone on with.
    tag: Option<String>,
    open: Option<(Body, u64)>,
    /// Attempts in a row without a new byte.
    /// It broke off for good; there is no more to read, and what there is is no end.
    lost: bool,
    vain: u32,
    /// Times that the beginning came again from who cannot go on in the middle.
    wasted: u32,
}

impl std::fmt::Debug for RemoteFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteFile")
            .field("position", &self.position)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Opens the file at an address; asked again while that may help.
    pub fn file(&self, address: &str) -> Result<RemoteFile, FileError> {
        let refused = || FileError::Address(shown(address));
        let url = Url::parse(address).ok_or_else(refused)?;
        let mut file = RemoteFile {
            client: self.begin(),
            url,
            size: 0,
            position: 0,
            tag: None,
            open: None,
            lost: false,
            vain: 0,
            wasted: 0,
        };
        match file.begin() {
            Ok(()) => Ok(file),
            Err(problem) => Err(file.failed(problem)),
        }
    }
}

impl RemoteFile {
    /// Bytes, all of it.
    pub fn size(&self) -> u64 {
        self.size
    }

    fn failed(&self, problem: Problem) -> FileError {
        FileError::Fetch {
            address: shown(&self.url.to_string()),
            problem: Box::new(problem),
        }
    }

    fn begin(&mut self) -> Result<(), Problem> {
        let retries = self.client.fetcher.patience.retries;
        self.persist(retries, None, |file| {
            let response = file.ask()?;
            if response.status != 200 {
                return Err(refusal(&response));
            }
            if let Some(encoding) = response.header("content-encoding")
                && !encoding.eq_ignore_ascii_case("identity")
            {
                return Err(Problem::Encoded(one_line(encoding)).into());
            }
            file.size = response.length().ok_or_else(|| {
                Problem::Unreachable(
                    "the answer does not say how large the file is (Content-Length)".to_owned(),
                )
            })?;
            file.tag = strong_tag(&response).map(str::to_owned);
            file.take(response, 0);
            Ok(())
        })
    }

    /// Goes on after `why`, or fails with what is in the way.
    fn go_on(&mut self, why: Problem) -> Result<(), Problem> {
        let resumptions = self.client.fetcher.patience.resumptions;
        self.persist(resumptions, Some(why), |file| {
            let response = file.ask()?;
            let skip = file.judge(&response)?;
            file.wasted += u32::from(skip > 0);
            file.take(response, skip);
            Ok(())
        })
    }

    /// Tries until it works or there is no hope; after `why` the first try has a pause before it, too.
    fn persist(
        &mut self,
        most: u32,
        why: Option<Problem>,
        mut once: impl FnMut(&mut RemoteFile) -> Result<(), Failure>,
    ) -> Result<(), Problem> {
        let mut failure = why.map(|problem| Failure {
            passing: true,
            ..Failure::from(problem)
        });
        loop {
            let Client { fetcher, transfer } = self.client.clone();
            if let Some(failure) = failure {
                let pause = failure.wait;
                let pause = pause.unwrap_or_else(|| fetcher.patience.pause(self.vain));
                let too_long = pause > fetcher.patience.longest_pause;
                let vain = self.vain >= most || self.wasted > fetcher.patience.retries;
                if !failure.passing || vain || too_long {
                    return Err(failure.problem);
                }
                self.vain += 1;
                transfer.pause(&fetcher.host, pause)?;
            }
            match once(self) {
                Ok(()) => return Ok(()),
                Err(failed) => failure = Some(failed),
            }
        }
    }

    /// Asks for the rest, with all redirects followed.
    fn ask(&self) -> Result<Response, Failure> {
        let authority = self.url.origin.authority();
        let mut url = self.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let mut headers = Vec::new();
            if self.position > 0 {
                headers.push(("range", format!("bytes={}-", self.position)));
                headers.extend(self.tag.clone().map(|tag| ("if-range", tag)));
            }
            let response = self.client.fetcher.http.send(&Request {
                method: Method::Get,
                url: &url,
                registry: &authority,
                headers,
            })?;
            if !matches!(response.status, 301 | 302 | 303 | 307 | 308) {
                return Ok(response);
            }
            url = self.client.fetcher.redirected(&url, &response)?;
        }
        Err(Problem::Redirect {
            target: shown(&url.to_string()),
            reason: "that is one redirect too many",
        }
        .into())
    }

    /// How much of an answer is here already, if it is about the very file that was begun with.
    fn judge(&self, response: &Response) -> Result<u64, Failure> {
        let changed = |what: String| Problem::Range {
            asked: self.position,
            answered: format!("{what}: the file is not the one that was begun with"),
        };
        let skip = match response.status {
            200 => self.position,
            206 => 0,
            _ => return Err(refusal(response)),
        };
        let rest = self.size - (self.position - skip);
        if let Some(length) = response.length().filter(|length| *length != rest) {
            return Err(changed(format!("{length} bytes instead of {rest}")).into());
        }
        let wanted = format!("bytes {}-{}/{}", self.position, self.size - 1, self.size);
        let range = response.header("content-range").unwrap_or_default();
        if skip == 0 && range != wanted {
            return Err(changed(format!("{:?}", one_line(range))).into());
        }
        match (&self.tag, strong_tag(response)) {
            (Some(known), Some(found)) if known != found => {
                Err(changed(format!("the tag {:?}", one_line(found))).into())
            }
            _ => Ok(skip),
        }
    }

    fn take(&mut self, response: Response, skip: u64) {
        let authority = self.url.origin.authority();
        let body = Body::new(&self.client, (&authority, "file"), response.body);
        self.open = Some((body, skip));
    }

    /// Reads from what is open: what it says, and how much of that is new.
    fn read_open(&mut self, buffer: &mut [u8]) -> Result<(usize, bool), Problem> {
        let left = self.size - self.position;
        let Some((body, skip)) = &mut self.open else {
            return Ok((0, true));
        };
        let is_new = *skip == 0;
        let most = if is_new { left } else { *skip };
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let most = most.min(buffer.len());
        if most == 0 {
            return Ok((0, true));
        }
        match body.read(&mut buffer[..most]) {
            Ok(0) => Err(Problem::Interrupted(format!(
                "it ended after {} of {} bytes",
                self.position, self.size
            ))),
            Ok(read) => {
                if !is_new {
                    *skip -= read as u64;
                }
                Ok((read, is_new))
            }
            Err(error) => Err(match error.downcast::<RegistryError>() {
                Ok(error) => *error.problem,
                Err(error) => Problem::Interrupted(error.to_string()),
            }),
        }
    }
}

/// What a status means that is not the file.
fn refusal(response: &Response) -> Failure {
    let status = response.status;
    Failure {
        passing: passes(status),
        ..Problem::Status {
            status,
            message: String::new(),
        }
        .into()
    }
}

impl Read for RemoteFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.lost {
            return Err(io::Error::other("the transfer broke off before"));
        }
        loop {
            let now = self.client.fetcher.host.instant();
            let checked = self.client.transfer.check(now);
            checked.map_err(|problem| io::Error::other(self.failed(problem)))?;
            match self.read_open(buffer) {
                Ok((read, true)) => {
                    self.position += read as u64;
                    if read > 0 {
                        (self.vain, self.wasted) = (0, 0);
                    }
                    return Ok(read);
                }
                Ok(_) => {}
                Err(why) => {
                    // The connection is of no use; closed before the pause, not after it.
                    self.open = None;
                    let gone_on = self.go_on(why);
                    gone_on.map_err(|problem| {
                        self.lost = true;
                        io::Error::other(self.failed(problem))
                    })?;
                }
            }
        }
    }
}
