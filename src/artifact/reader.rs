//! The reader: an artifact of any module, from front to back in one pass, checked on the way.
//!
//! Nothing is unpacked before its checksum is known to be right, save the payload files themselves: those are handed on
//! as they come, and whoever takes them must keep them to itself until [`read`] has returned. Where Go's readers guess,
//! or pass over something that no checksum covers, this one refuses (`tests/artifact_reader.rs` lists where).

mod documents;
#[cfg(fuzzing)]
pub mod doors;
mod error;
mod header;

pub use documents::{PayloadHead, Values};
pub use error::ReadError;
pub use header::{Head, Nothing};

use std::collections::BTreeSet;
use std::io::{self, BufReader, Read};

use super::compression::Compression;
use super::limits::{MAX_HEADER, MAX_MANIFEST, MAX_SIGNATURE, MAX_VERSION, is_file_name};
use super::manifest::Manifest;
use super::members::{Member, Members};
use crate::oci::Digest;
use crate::oci::stream::Verified;
use crate::trust::{PublicKey, Signature};

/// Read at once from the payload.
const CHUNK: usize = 64 << 10;

/// What to do about the signature.
#[derive(Debug, Clone, Copy)]
pub enum Trust<'a> {
    /// Look whether there is one, and go on.
    Ignored,
    /// Say which it is, and go on.
    Told(&'a [PublicKey]),
    /// Refuse everything that is not signed with one of these, before anything but the manifest is looked at.
    Required(&'a [PublicKey]),
}

/// What is known of the signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// There is none.
    Unsigned,
    /// There is one, and no key to check it with.
    Unchecked,
    /// One of the keys made it.
    Verified,
    /// None of the keys made it.
    Wrong,
}

/// A payload file before its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileHead {
    /// Without folder.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// When it was changed, in seconds since 1970.
    pub mtime: i64,
    /// What the manifest says of it.
    pub digest: Digest,
}

/// Takes what is in an artifact, in the order in which it comes. An error ends the reading.
pub trait Taker {
    /// A state script; its name is safe.
    fn script(&mut self, name: &str, content: &[u8]) -> io::Result<()>;

    /// Everything that comes before the payload.
    fn head(&mut self, head: &Head) -> io::Result<()>;

    /// A file of the payload with this number. What is not read of `content` is checked all the same.
    fn file(&mut self, payload: usize, file: &FileHead, content: &mut dyn Read) -> io::Result<()>;
}

/// Reads a whole artifact. Only an `Ok` says that what was handed on is what the manifest vouches for.
pub fn read(source: impl Read, trust: Trust<'_>, taker: &mut dyn Taker) -> Result<Head, ReadError> {
    let mut outer = Outer::new(source);
    let Front {
        manifest,
        header,
        head,
    } = front(&mut outer, trust, taker)?;
    taker.head(&head).map_err(ReadError::Taker)?;
    let mut unseen: BTreeSet<&str> = manifest.names().collect();
    unseen.remove("version");
    unseen.remove(header.as_str());
    for number in 0..head.payloads.len() {
        let what = format!("data/{number:04}.tar");
        let member = outer.next(&what)?;
        let stem = format!("data/{number:04}");
        let packing = match Compression::of_member(&member.name) {
            Some((found, packing)) if found == stem => packing,
            _ => return Err(place(&member.name, &what)),
        };
        let mut payload = Payload {
            number,
            name: member.name,
            manifest: &manifest,
            unseen: &mut unseen,
        };
        payload.read(&mut outer.members, packing, taker)?;
    }
    outer.end()?;
    match unseen.first() {
        None => Ok(head),
        Some(name) => Err(ReadError::Absent((*name).to_owned())),
    }
}

/// Reads what comes before the payload, and nothing behind it: for who has no more of an artifact than that.
pub fn read_head(source: impl Read, trust: Trust<'_>) -> Result<Head, ReadError> {
    Ok(front(&mut Outer::new(source), trust, &mut Nothing)?.head)
}

/// What comes before the payload.
struct Front {
    manifest: Manifest,
    /// The header's name, which says how it is packed.
    header: String,
    head: Head,
}

fn front<R: Read>(
    outer: &mut Outer<R>,
    trust: Trust<'_>,
    taker: &mut dyn Taker,
) -> Result<Front, ReadError> {
    let version = outer.small("version", MAX_VERSION)?;
    documents::check_version(&version)?;
    let raw = outer.small("manifest", MAX_MANIFEST)?;
    let manifest = Manifest::parse(&raw)?;
    check(&manifest, "version", Digest::of(&version))?;

    let mut member = outer.next("the header")?;
    let mut verdict = Verdict::Unsigned;
    if member.name == "manifest.sig" {
        let text = outer.content(&member, MAX_SIGNATURE)?;
        verdict = judge(&raw, &text, trust)?;
        member = outer.next("the header")?;
    } else if let Trust::Required(_) = trust {
        return Err(ReadError::Unsigned);
    }
    let packing = match Compression::of_member(&member.name) {
        Some(("header", packing)) => packing,
        _ => return Err(place(&member.name, "the header")),
    };
    let packed = outer.content(&member, MAX_HEADER)?;
    check(&manifest, &member.name, Digest::of(&packed))?;
    let head = header::read(&packed, packing, verdict, taker)?;
    let header = member.name;
    Ok(Front {
        manifest,
        header,
        head,
    })
}

fn place(found: &str, expected: &str) -> ReadError {
    if found == "manifest-augment" || found.starts_with("header-augment") {
        return ReadError::Augmented(found.to_owned());
    }
    ReadError::Place {
        found: found.to_owned(),
        expected: expected.to_owned(),
    }
}

fn check(manifest: &Manifest, name: &str, found: Digest) -> Result<(), ReadError> {
    let expected = manifest.digest(name);
    let expected = expected.ok_or_else(|| ReadError::Unlisted(name.to_owned()))?;
    if expected != found {
        let name = name.to_owned();
        return Err(ReadError::Checksum {
            name,
            expected,
            found,
        });
    }
    Ok(())
}

fn judge(manifest: &[u8], text: &[u8], trust: Trust<'_>) -> Result<Verdict, ReadError> {
    let keys = match trust {
        Trust::Ignored => return Ok(Verdict::Unchecked),
        Trust::Told(keys) | Trust::Required(keys) => keys,
    };
    let signature = Signature::parse(text).map_err(ReadError::Signature)?;
    match keys.iter().any(|key| key.verifies(manifest, &signature)) {
        true => Ok(Verdict::Verified),
        false if matches!(trust, Trust::Required(_)) => Err(ReadError::WrongSignature),
        false => Ok(Verdict::Wrong),
    }
}

/// The artifact's own archive.
struct Outer<R> {
    members: Members<R>,
}

impl<R: Read> Outer<R> {
    fn new(source: R) -> Outer<R> {
        Outer {
            members: Members::new(source),
        }
    }

    fn next(&mut self, expected: &str) -> Result<Member, ReadError> {
        let member = self
            .members
            .next()
            .map_err(ReadError::archive("artifact"))?;
        let member = member.ok_or_else(|| ReadError::Missing(expected.to_owned()))?;
        match member.is_folder {
            false => Ok(member),
            true => Err(place(&member.name, expected)),
        }
    }

    /// The member that must come now.
    fn small(&mut self, name: &str, limit: u64) -> Result<Vec<u8>, ReadError> {
        let member = self.next(name)?;
        match member.name == name {
            true => self.content(&member, limit),
            false => Err(place(&member.name, name)),
        }
    }

    fn content(&mut self, member: &Member, limit: u64) -> Result<Vec<u8>, ReadError> {
        content(&mut self.members, member, limit)
    }

    /// Nothing may follow.
    fn end(&mut self) -> Result<(), ReadError> {
        match self
            .members
            .next()
            .map_err(ReadError::archive("artifact"))?
        {
            None => Ok(()),
            Some(member) => Err(place(&member.name, "the artifact's end")),
        }
    }
}

/// A whole member that may not be large.
fn content<R: Read>(
    members: &mut Members<R>,
    member: &Member,
    limit: u64,
) -> Result<Vec<u8>, ReadError> {
    let name = &member.name;
    if member.size > limit {
        return Err(ReadError::Large {
            name: name.clone(),
            size: member.size,
            limit,
        });
    }
    let mut content = Vec::new();
    members.read_to_end(&mut content).map_err(broken(name))?;
    Ok(content)
}

fn broken(name: &str) -> impl FnOnce(io::Error) -> ReadError {
    let name = name.to_owned();
    |source| ReadError::Content { name, source }
}

/// One payload being read.
struct Payload<'a, 'b> {
    number: usize,
    name: String,
    manifest: &'a Manifest,
    unseen: &'b mut BTreeSet<&'a str>,
}

impl Payload<'_, '_> {
    fn read(
        &mut self,
        packed: &mut dyn Read,
        packing: Compression,
        taker: &mut dyn Taker,
    ) -> Result<(), ReadError> {
        let mut packed = BufReader::with_capacity(CHUNK, packed);
        let plain = packing.unpack(&mut packed).map_err(broken(&self.name))?;
        let mut members = Members::new(plain);
        while let Some(member) = members.next().map_err(ReadError::archive(&self.name))? {
            self.file(member, &mut members, taker)?;
        }
        drop(members);
        // A packing ends by its own mark; what is behind it no checksum covers.
        let rest = io::copy(&mut packed, &mut io::sink()).map_err(broken(&self.name))?;
        match rest {
            0 => Ok(()),
            _ => Err(place(&format!("something behind {}", self.name), "nothing")),
        }
    }

    fn file(
        &mut self,
        member: Member,
        members: &mut Members<Box<dyn Read + '_>>,
        taker: &mut dyn Taker,
    ) -> Result<(), ReadError> {
        let listed = format!("data/{:04}/{}", self.number, member.name);
        if member.is_folder {
            return Err(ReadError::Folder(listed));
        }
        if !is_file_name(&member.name) {
            return Err(ReadError::FileName(member.name));
        }
        let digest = self.manifest.digest(&listed);
        let digest = digest.ok_or_else(|| ReadError::Unlisted(listed.clone()))?;
        if !self.unseen.remove(listed.as_str()) {
            return Err(ReadError::Twice(listed));
        }
        let file = FileHead {
            name: member.name,
            size: member.size,
            mtime: member.mtime,
            digest,
        };
        let mut content = Content {
            verified: Verified::new(members, digest, file.size),
            has_failed: false,
        };
        match taker.file(self.number, &file, &mut content) {
            Ok(()) => content.verified.finish().map_err(broken(&listed)),
            // The taker only passes on what the content said.
            Err(error) if content.has_failed => Err(broken(&listed)(error)),
            Err(error) => Err(ReadError::Taker(error)),
        }
    }
}

/// A payload file as its taker sees it.
struct Content<R> {
    verified: Verified<R>,
    has_failed: bool,
}

impl<R: Read> Read for Content<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.verified.read(buffer);
        let is_failure = |error: &io::Error| error.kind() != io::ErrorKind::Interrupted;
        self.has_failed |= read.as_ref().is_err_and(is_failure);
        read
    }
}

/// Where the signature of an artifact lies, or would.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignaturePlace {
    /// What is to be signed.
    pub manifest: Vec<u8>,
    /// The time stamp of the members around it.
    pub mtime: i64,
    /// The byte at which a signature begins.
    pub begin: u64,
    /// The byte at which the one that is there ends; the same without one.
    pub end: u64,
}

/// Finds the place of the signature in an artifact that [`read`] has found to be sound.
pub fn signature_place(source: impl Read) -> Result<SignaturePlace, ReadError> {
    let mut outer = Outer::new(source);
    outer.small("version", MAX_VERSION)?;
    let member = outer.next("manifest")?;
    let manifest = outer.content(&member, MAX_MANIFEST)?;
    let begin = outer.members.end_of_member();
    let next = outer.next("the header")?;
    let end = match next.name == "manifest.sig" {
        true => outer.members.end_of_member(),
        false => begin,
    };
    Ok(SignaturePlace {
        manifest,
        mtime: member.mtime,
        begin,
        end,
    })
}
