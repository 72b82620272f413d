//! The writer: the same request gives the same bytes, on every machine and in every year.
//!
//! mender-artifact leaves the builder's user and the time of day in the outer archive; here owners are 0, modes and
//! times are fixed, and each compressed member is one stream without a time stamp.

use std::fmt;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};

use tar::{EntryType, Header as Entry};

use super::compression::Compression;
use super::header::{Header, HeaderError};
use super::limits::{MAX_FILE_NAME, MAX_HEADER, MAX_SCRIPT_BYTES, is_file_name};
use super::manifest::Manifest;
use super::payload::Payload;
use super::scripts::{self, MAX_SCRIPTS, ScriptError};
use crate::oci::Digest;
use crate::oci::stream::Verified;
use crate::tarball::BLOCK;

/// The `version` member.
const VERSION: &[u8] = br#"{"format":"mender","version":3}"#;

/// The only payload.
const PAYLOAD: &str = "data/0000";

/// Latest time a plain ustar header can hold: eleven octal digits.
pub const MAX_MTIME: u64 = 0o77_777_777_777;

/// Largest member of the same header form.
const MAX_SIZE: u64 = 0o77_777_777_777;

/// Scripts are run, everything else is read.
const SCRIPT_MODE: u32 = 0o755;
const MODE: u32 = 0o600;

/// What does not come from the request itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Packing of the inner archives.
    pub compression: Compression,
    /// Time of every member, in seconds since 1970; `SOURCE_DATE_EPOCH` or 0.
    pub mtime: u64,
}

/// A state script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Says when it runs.
    pub name: String,
    /// The program.
    pub content: Vec<u8>,
}

/// A file that travels in the payload.
pub struct PayloadFile<'a> {
    /// Its name on the device.
    pub name: String,
    /// What it holds: the writer refuses to write anything else.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    /// Opens it; called once.
    pub open: &'a dyn Fn() -> io::Result<Box<dyn Read>>,
}

impl fmt::Debug for PayloadFile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PayloadFile")
            .field("name", &self.name)
            .field("digest", &self.digest)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// Everything that goes into an artifact.
#[derive(Debug)]
pub struct Artifact<'a> {
    /// Who it is for.
    pub header: &'a Header,
    /// What it asks for.
    pub payload: &'a Payload,
    /// In any order; they are written by name.
    pub scripts: &'a [Script],
    /// In any order; they are written by name.
    pub files: &'a [PayloadFile<'a>],
    /// Packing and time stamp.
    pub options: Options,
}

/// Makes a signature of the manifest, as text for `manifest.sig`.
pub type Sign<'a> = &'a dyn Fn(&[u8]) -> io::Result<String>;

/// Why no artifact was made.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The header is not one Mender takes.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// A script has a name that no client runs.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// Two scripts or two files of one name.
    #[error("two {0} have the name {1:?}")]
    Twice(&'static str, String),
    /// A payload file that not every client can read.
    #[error(
        "payload file {0:?} must have a name of letters, digits and \".,_-\", and of at most {MAX_FILE_NAME} bytes"
    )]
    FileName(String),
    /// A payload file that the format cannot hold.
    #[error("payload file {0:?} is larger than the 8 GiB that an artifact can hold")]
    FileSize(String),
    /// Scripts that readers would refuse for their size or number.
    #[error(
        "the state scripts are more than {MAX_SCRIPTS}, or have more than {MAX_SCRIPT_BYTES} bytes together"
    )]
    Scripts,
    /// The time does not fit the format.
    #[error("time stamp {0} is later than {MAX_MTIME}, the last that an artifact can hold")]
    Mtime(u64),
    /// The signer failed.
    #[error("{0}")]
    Sign(#[source] io::Error),
    /// The output broke, or a payload file did.
    #[error("failed to write artifact: {0}")]
    Output(#[from] io::Error),
}

/// Writes an artifact without scripts and files, unsigned: the device fetches the images that `payload` names.
pub fn write(
    mut out: impl Write,
    header: &Header,
    payload: &Payload,
    options: Options,
) -> Result<(), WriteError> {
    let artifact = Artifact {
        header,
        payload,
        scripts: &[],
        files: &[],
        options,
    };
    let mut whole = Cursor::new(Vec::new());
    write_signed(&mut whole, &artifact, None)?;
    out.write_all(&whole.into_inner())?;
    Ok(())
}

/// Writes a whole artifact.
pub fn write_signed(
    out: impl Write + Seek,
    artifact: &Artifact<'_>,
    sign: Option<Sign<'_>>,
) -> Result<(), WriteError> {
    check(artifact)?;
    let Options { compression, mtime } = artifact.options;
    let suffix = compression.suffix();
    let header_name = format!("header.tar{suffix}");
    let header = packed_header(artifact)?;
    let mut files: Vec<&PayloadFile<'_>> = artifact.files.iter().collect();
    files.sort_by(|one, other| one.name.cmp(&other.name));
    let mut manifest = Manifest::default();
    for file in &files {
        manifest.add_sum(&format!("{PAYLOAD}/{}", file.name), file.digest);
    }
    manifest.add(&header_name, &header);
    manifest.add("version", VERSION);
    let manifest = manifest.to_string();
    let signature = sign.map(|sign| sign(manifest.as_bytes())).transpose();
    let signature = signature.map_err(WriteError::Sign)?;

    let mut outer = Archive { out, mtime };
    outer.member("version", MODE, VERSION)?;
    outer.member("manifest", MODE, manifest.as_bytes())?;
    if let Some(signature) = &signature {
        outer.member("manifest.sig", MODE, signature.as_bytes())?;
    }
    outer.member(&header_name, MODE, &header)?;
    // The C++ client insists on a real archive here, even with nothing in it.
    outer.packed_data(&format!("{PAYLOAD}.tar{suffix}"), compression, &files)?;
    outer.end()?.flush()?;
    Ok(())
}

/// The member `manifest.sig` as it lies in an artifact whose members have this time stamp.
pub fn signature_member(signature: &str, mtime: i64) -> io::Result<Vec<u8>> {
    let mtime = u64::try_from(mtime)
        .ok()
        .filter(|mtime| *mtime <= MAX_MTIME);
    let mut archive = Archive {
        out: Vec::new(),
        mtime: mtime.unwrap_or_default(),
    };
    archive.member("manifest.sig", MODE, signature.as_bytes())?;
    Ok(archive.out)
}

fn check(artifact: &Artifact<'_>) -> Result<(), WriteError> {
    artifact.header.check()?;
    if artifact.options.mtime > MAX_MTIME {
        return Err(WriteError::Mtime(artifact.options.mtime));
    }
    let bytes = artifact.scripts.iter().map(|script| script.content.len());
    if artifact.scripts.len() > MAX_SCRIPTS || bytes.sum::<usize>() as u64 > MAX_SCRIPT_BYTES {
        return Err(WriteError::Scripts);
    }
    for script in artifact.scripts {
        scripts::check_name(&script.name)?;
    }
    for file in artifact.files {
        if !is_file_name(&file.name) || file.name.len() > MAX_FILE_NAME {
            return Err(WriteError::FileName(file.name.clone()));
        }
        if file.size > MAX_SIZE {
            return Err(WriteError::FileSize(file.name.clone()));
        }
    }
    distinct("state scripts", artifact.scripts.iter().map(|s| &s.name))?;
    distinct("payload files", artifact.files.iter().map(|f| &f.name))
}

fn distinct<'a>(
    what: &'static str,
    names: impl Iterator<Item = &'a String>,
) -> Result<(), WriteError> {
    let mut names: Vec<&String> = names.collect();
    names.sort();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(WriteError::Twice(what, pair[0].clone())),
        None => Ok(()),
    }
}

/// `header.tar` with its packing; small, since everything in it is limited.
fn packed_header(artifact: &Artifact<'_>) -> Result<Vec<u8>, WriteError> {
    let packer = artifact.options.compression.pack(Vec::new())?;
    let mut archive = Archive {
        out: packer,
        mtime: artifact.options.mtime,
    };
    archive.member(
        "header-info",
        MODE,
        artifact.header.header_info().as_bytes(),
    )?;
    let mut scripts: Vec<&Script> = artifact.scripts.iter().collect();
    scripts.sort_by(|one, other| one.name.cmp(&other.name));
    for script in scripts {
        let name = format!("scripts/{}", script.name);
        archive.member(&name, SCRIPT_MODE, &script.content)?;
    }
    let type_info = artifact.header.type_info();
    archive.member("headers/0000/type-info", MODE, type_info.as_bytes())?;
    let meta_data = artifact.payload.to_json();
    archive.member("headers/0000/meta-data", MODE, meta_data.as_bytes())?;
    let packed = archive.end()?.finish()?;
    match packed.len() as u64 > MAX_HEADER {
        false => Ok(packed),
        true => Err(WriteError::Scripts),
    }
}

/// A plain ustar archive.
struct Archive<W> {
    out: W,
    mtime: u64,
}

impl<W: Write> Archive<W> {
    fn member(&mut self, name: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        self.header(name, mode, content.len() as u64)?;
        self.out.write_all(content)?;
        self.pad(content.len() as u64)
    }

    fn header(&mut self, name: &str, mode: u32, size: u64) -> io::Result<()> {
        let mut entry = Entry::new_ustar();
        entry.set_entry_type(EntryType::Regular);
        entry.set_path(name)?;
        entry.set_mode(mode);
        entry.set_uid(0);
        entry.set_gid(0);
        entry.set_mtime(self.mtime);
        entry.set_size(size);
        entry.set_cksum();
        self.out.write_all(entry.as_bytes())
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        let padding = size.next_multiple_of(BLOCK as u64) - size;
        // Less than a block.
        self.out.write_all(&[0; BLOCK][..padding as usize])
    }

    fn end(mut self) -> io::Result<W> {
        self.out.write_all(&[0; 2 * BLOCK])?;
        Ok(self.out)
    }
}

impl<W: Write + Seek> Archive<W> {
    /// The payload's files, packed on the way: how large that gets is known afterwards, and written then.
    fn packed_data(
        &mut self,
        name: &str,
        compression: Compression,
        files: &[&PayloadFile<'_>],
    ) -> Result<(), WriteError> {
        let header = self.out.stream_position()?;
        self.out.write_all(&[0; BLOCK])?;
        let begin = header + BLOCK as u64;
        let mut inner = Archive {
            out: compression.pack(&mut self.out)?,
            mtime: self.mtime,
        };
        for file in files {
            inner.header(&file.name, MODE, file.size)?;
            let mut content = Verified::new((file.open)()?, file.digest, file.size);
            io::copy(&mut content, &mut inner.out).map_err(|error| {
                io::Error::other(format!("payload file {}: {error}", file.name))
            })?;
            inner.pad(file.size)?;
        }
        inner.end()?.finish()?;
        let end = self.out.stream_position()?;
        if end - begin > MAX_SIZE {
            return Err(WriteError::FileSize(name.to_owned()));
        }
        self.out.seek(SeekFrom::Start(header))?;
        self.header(name, MODE, end - begin)?;
        self.out.seek(SeekFrom::Start(end))?;
        Ok(self.pad(end - begin)?)
    }
}

#[cfg(test)]
mod tests;
