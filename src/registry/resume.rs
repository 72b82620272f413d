//! A blob's bytes as one stream, however often the connection breaks.
//!
//! Each time it goes on at its position, with a new request to the registry: where that led the last time may be a
//! signed address that has expired. Nothing is ever mixed in: an answer is either exactly the rest, or the whole, of
//! which what is here already is skipped. The digest that the caller checks covers all of it.

use std::io::{self, Read};
use std::time::Duration;

use super::Client;
use super::error::{Problem, RegistryError, one_line};
use super::http::{Failure, Method, Response};
use super::patience::Body;
use super::question::{Question, Range};
use crate::oci::{Descriptor, Digest, Reference};

/// A blob from some position on.
pub(super) struct Resumed {
    client: Client,
    reference: Reference,
    /// Who may have it; the registry itself last.
    places: Vec<String>,
    place: String,
    digest: Digest,
    size: u64,
    /// How much the caller has.
    position: u64,
    open: Option<Open>,
    /// The blob's tag there, if it is a strong one: equal only if all bytes are.
    tag: Option<String>,
    /// Whether the other side is believed to know ranges.
    ranges: bool,
    /// Attempts without a new byte, and how many of them fetched old ones.
    vain: u32,
    wasted: u32,
    /// Connections in a row that were too slow, and where the last of them ended.
    slow: u32,
    slow_at: u64,
    /// Refusals in a row that need not last.
    doubted: u32,
    /// How much of it came before this began.
    came: u64,
}

/// An answer being read.
struct Open {
    body: Body,
    /// Bytes still to come that are here already.
    skip: u64,
}

impl Resumed {
    /// Opens a blob at `position`; asked again while that may help.
    pub(super) fn open(
        client: &Client,
        reference: &Reference,
        blob: &Descriptor,
        position: u64,
    ) -> Result<Resumed, RegistryError> {
        let mut resumed = Resumed {
            client: client.clone(),
            reference: reference.clone(),
            places: client.places(reference, &blob.digest),
            place: reference.host.clone(),
            digest: blob.digest,
            size: blob.size,
            position,
            open: None,
            tag: None,
            ranges: true,
            vain: 0,
            wasted: 0,
            slow: 0,
            slow_at: 0,
            doubted: 0,
            came: client.came(&blob.digest),
        };
        // Nobody is asked for nothing.
        if position == 0 || position < blob.size {
            let subject = question(reference, "", blob.digest, None).subject;
            let open = client.anywhere(reference, &subject, Some(&blob.digest), |place| {
                resumed.go_to(place);
                match resumed.ask() {
                    // The whole, then.
                    Err(failure) if !resumed.ranges && failure.passing => resumed.ask(),
                    asked => asked,
                }
            })?;
            resumed.open = Some(open);
        }
        Ok(resumed)
    }

    /// From now on another place is asked; what was learnt of the last does not hold there.
    fn go_to(&mut self, place: &str) {
        place.clone_into(&mut self.place);
        (self.tag, self.ranges) = (None, true);
        (self.wasted, self.slow) = (0, 0);
    }

    /// Goes to the place after this one, if there is one.
    fn go_further(&mut self, why: &RegistryError) -> bool {
        let at = self.places.iter().position(|place| *place == self.place);
        let next = at.and_then(|at| self.places.get(at + 1)).cloned();
        if let Some(next) = &next {
            self.client.leave(&self.place, &why.problem);
            self.go_to(next);
        }
        next.is_some()
    }

    /// The same for good; there is as much patience there as there was here.
    fn give_up_place(&mut self, why: &RegistryError) -> bool {
        let left = self.place.clone();
        let goes = self.go_further(why);
        if goes {
            self.places.retain(|place| *place != left);
            self.vain = 0;
        }
        goes
    }

    /// Nobody had it: all are asked again, as a registry out of reach may have a mirror that is not.
    fn go_round(&mut self) {
        if let Some(first) = self.places.first().filter(|first| **first != self.place) {
            let first = first.clone();
            self.go_to(&first);
        }
    }

    /// Asks for the rest, once.
    fn ask(&mut self) -> Result<Open, Failure> {
        let range = (self.position > 0 && self.ranges).then(|| Range {
            from: self.position,
            to: None,
            tag: self.tag.clone(),
        });
        let question = question(&self.reference, &self.place, self.digest, range);
        let response = self.client.fetcher.ask(&question)?;
        let mut skip = 0;
        if response.status == 200 {
            if let Some(found) = response.length().filter(|length| *length != self.size) {
                return Err(Problem::WrongSize {
                    expected: self.size,
                    found,
                }
                .into());
            }
            self.tag = strong_tag(&response).map(str::to_owned);
            skip = self.position;
            // Counted now: it is refused further down if it comes to nothing too often.
            self.wasted += u32::from(skip > 0);
        } else if let Err(answered) = self.check_rest(&response) {
            // The whole is asked for the next time.
            self.ranges = false;
            let asked = self.position;
            return Err(Failure {
                passing: true,
                ..Problem::Range { asked, answered }.into()
            });
        }
        let names = (self.place.as_str(), question.subject.as_str());
        let body = Body::new(&self.client, names, response.body);
        if self.place != self.reference.host {
            self.client.note_served(&self.place, self.digest);
        }
        Ok(Open { body, skip })
    }

    /// Whether an answer is exactly the rest of this very blob; what it is otherwise.
    fn check_rest(&self, response: &Response) -> Result<(), String> {
        if response.status != 206 {
            return Err(format!("status {}", response.status));
        }
        let wanted = format!("bytes {}-{}/{}", self.position, self.size - 1, self.size);
        let range = response.header("content-range").unwrap_or_default();
        if range != wanted {
            return Err(format!("{:?}", one_line(range)));
        }
        let rest = self.size - self.position;
        if let Some(length) = response.length().filter(|length| *length != rest) {
            return Err(format!("{length} bytes instead of {rest}"));
        }
        match (&self.tag, strong_tag(response)) {
            (Some(known), Some(found)) if known != found => Err(format!(
                "those of something else: its tag is {:?}, it was {:?}",
                one_line(found),
                one_line(known)
            )),
            _ => Ok(()),
        }
    }

    /// Goes on after `why`, or fails with it.
    fn go_on(&mut self, mut why: RegistryError) -> Result<Open, RegistryError> {
        let Client { fetcher, transfer } = self.client.clone();
        let patience = &fetcher.patience;
        let mut asked_pause = None;
        if matches!(*why.problem, Problem::TooSlow { .. }) {
            self.count_slow();
        }
        loop {
            let pause = asked_pause.unwrap_or_else(|| patience.pause(self.vain));
            // What the registry asks for may be long, but not longer than there is time.
            let left = transfer.left(fetcher.host.instant());
            let too_long = asked_pause.is_some() && pause > left.unwrap_or(patience.longest_pause);
            let vain = self.vain >= patience.resumptions
                || self.wasted > patience.retries
                || self.slow > patience.retries;
            if vain || too_long {
                if !self.give_up_place(&why) {
                    return Err(why);
                }
                asked_pause = Some(Duration::ZERO);
                continue;
            }
            transfer
                .pause(&fetcher.host, pause)
                .map_err(|problem| self.failed(problem))?;
            self.vain += 1;
            match self.ask() {
                Ok(open) => {
                    transfer.count_resumed();
                    return Ok(open);
                }
                Err(failure) => {
                    why = self.failed(failure.problem);
                    asked_pause = failure.wait;
                    if self.go_further(&why) {
                        asked_pause = Some(Duration::ZERO);
                        // Once around counts once.
                        self.vain -= 1;
                        continue;
                    }
                    // What served the beginning and refuses the rest is in trouble, or somebody else answers for it.
                    self.doubted += u32::from(!failure.passing);
                    if self.doubted > patience.retries {
                        return Err(why);
                    }
                    self.go_round();
                }
            }
        }
    }

    /// Another connection may be faster. One that drips makes progress too; what counts is more than a few windows' worth.
    fn count_slow(&mut self) {
        let worth = self.client.fetcher.patience.least.saturating_mul(16);
        let is_next = self.position - self.slow_at < worth;
        self.slow = if is_next { self.slow + 1 } else { 1 };
        self.slow_at = self.position;
    }

    fn failed(&self, problem: Problem) -> RegistryError {
        question(&self.reference, &self.place, self.digest, None).failed(problem)
    }

    /// Reads from what is open; fails if that comes to an end too early.
    fn read_open(&mut self, buffer: &mut [u8]) -> Result<usize, RegistryError> {
        let Some(open) = &mut self.open else {
            return Ok(0);
        };
        let wanted = match usize::try_from(open.skip) {
            Ok(skip @ 1..) => skip.min(buffer.len()),
            _ => buffer.len(),
        };
        match open.body.read(&mut buffer[..wanted]) {
            Ok(0) if self.position < self.size => {
                let (got, size) = (self.position - open.skip, self.size);
                let end = format!("it ended after {got} of {size} bytes");
                Err(self.failed(Problem::Interrupted(end)))
            }
            Ok(read) => Ok(read),
            // All of it is here; how the connection ended is nobody's concern.
            Err(_) if self.position >= self.size => Ok(0),
            Err(error) => Err(match error.downcast::<RegistryError>() {
                Ok(error) => error,
                Err(error) => self.failed(Problem::Interrupted(error.to_string())),
            }),
        }
    }
}

impl Drop for Resumed {
    fn drop(&mut self) {
        self.client.note_came(self.digest, self.position);
    }
}

impl Resumed {
    /// What the open connection has, or the next one.
    fn read_any(&mut self, buffer: &mut [u8]) -> Result<usize, RegistryError> {
        loop {
            let now = self.client.fetcher.host.instant();
            let checked = self.client.transfer.check(now);
            checked.map_err(|problem| self.failed(problem))?;
            match self.read_open(buffer) {
                Ok(read) => return Ok(read),
                Err(why) => {
                    // The connection is of no use; closed before the pause, not after it.
                    self.open = None;
                    self.open = Some(self.go_on(why)?);
                }
            }
        }
    }
}

impl Read for Resumed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let read = self.read_any(buffer).map_err(|error| {
                self.client.note_done(self.digest);
                io::Error::other(error)
            })?;
            match &mut self.open {
                Some(open) if open.skip > 0 => {
                    open.skip -= read as u64;
                    self.client.transfer.count_refetched(read as u64);
                }
                _ => {
                    let again = self.came.saturating_sub(self.position);
                    self.client.transfer.count_refetched(again.min(read as u64));
                    self.position += read as u64;
                    if read > 0 {
                        (self.vain, self.wasted, self.doubted) = (0, 0, 0);
                    }
                    return Ok(read);
                }
            }
        }
    }
}

impl Client {
    /// A few bytes of a blob, unchecked; `None` where they cannot be had, for they are only good to know.
    pub fn peek(
        &self,
        reference: &Reference,
        blob: &Descriptor,
        from: u64,
        length: u64,
    ) -> Option<Vec<u8>> {
        let to = from.checked_add(length)?.checked_sub(1)?;
        let asked = self.once_around(reference, Some(&blob.digest), |place| {
            let range = Range {
                from,
                to: Some(to),
                tag: None,
            };
            let question = question(reference, place, blob.digest, Some(range));
            self.fetcher.ask(&question)
        });
        let response = asked.ok()?;
        let wanted = format!("bytes {from}-{to}/{}", blob.size);
        // The whole, which comes from who knows no ranges, is not for now.
        if response.status != 206 || response.header("content-range") != Some(wanted.as_str()) {
            return None;
        }
        let mut bytes = Vec::new();
        let read = response.body.take(length).read_to_end(&mut bytes).ok()?;
        (read as u64 == length).then_some(bytes)
    }
}

fn question<'a>(
    reference: &'a Reference,
    place: &'a str,
    digest: Digest,
    range: Option<Range>,
) -> Question<'a> {
    Question {
        method: Method::Get,
        reference,
        place,
        path: format!("blobs/{digest}"),
        accept: None,
        subject: format!("blob {digest} of {}", reference.familiar_name()),
        range,
    }
}

/// The entity's tag, unless it is a weak one or none at all.
pub(super) fn strong_tag(response: &Response) -> Option<&str> {
    let tag = response.header("etag")?.trim();
    let inner = tag.strip_prefix('"')?.strip_suffix('"')?;
    (!inner.is_empty() && inner.bytes().all(|b| b.is_ascii_graphic() && b != b'"')).then_some(tag)
}
