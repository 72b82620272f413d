//! The writer: the same request gives the same bytes, on every machine and in every year.
//!
//! mender-artifact leaves the builder's user and the time of day in the outer archive; here owners are 0, modes and
//! times are fixed, and each compressed member is one stream without a time stamp.

mod archive;

use std::fmt;
use std::io::{self, Cursor, Read, Seek, Write};

use super::compression::Compression;
use super::header::{Header, HeaderError};
use super::limits::{MAX_FILE_NAME, MAX_HEADER, MAX_MANIFEST, MAX_SCRIPT_BYTES, is_file_name};
use super::manifest::Manifest;
use super::payload::Payload;
use super::scripts::{self, MAX_SCRIPTS, ScriptError};
use crate::oci::Digest;
use archive::{Archive, MAX_SIZE};

/// The `version` member.
const VERSION: &[u8] = br#"{"format":"mender","version":3}"#;

/// The only payload.
const PAYLOAD: &str = "data/0000";

/// Latest time a plain ustar header can hold: eleven octal digits.
pub const MAX_MTIME: u64 = 0o77_777_777_777;

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
    /// Written as they come: who takes them may rely on it.
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
    /// More payload files than readers take.
    #[error("{0} payload files are more than the manifest of an artifact can list")]
    Files(usize),
    /// Payload files that do not fit into their archive together.
    #[error(
        "the payload files have {0} bytes together, more than the 8 GiB that an artifact can hold"
    )]
    Payload(u64),
    /// A payload file could not be read, or is not what it should be.
    #[error("failed to write artifact: payload file {name}: {source}")]
    File {
        /// Its name.
        name: String,
        /// Why.
        source: io::Error,
    },
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
    /// The output broke.
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
    let front = front(artifact, sign)?;
    let Options { compression, mtime } = artifact.options;
    let mut outer = Archive { out, mtime };
    outer.out.write_all(&front)?;
    // The C++ client insists on a real archive here, even with nothing in it.
    outer.packed_data(&data_name(compression), compression, artifact.files)?;
    outer.end()?.flush()?;
    Ok(())
}

/// What is known of an artifact before its files are opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foretold {
    /// Its bytes before the payload.
    pub front: Vec<u8>,
    /// How many it will have in all; `None` where that depends on how well its files can be packed.
    pub size: Option<u64>,
}

/// Foretells what [`write_signed`] will write; opens no file. Whatever an artifact is refused for because of its request
/// is refused here.
pub fn foretell(artifact: &Artifact<'_>, sign: Option<Sign<'_>>) -> Result<Foretold, WriteError> {
    let front = front(artifact, sign)?;
    let data = match artifact.options.compression {
        Compression::None => Some(archive::size([archive::size(
            artifact.files.iter().map(|file| file.size),
        )])),
        _ => None,
    };
    let size = data.map(|data| front.len() as u64 + data);
    Ok(Foretold { front, size })
}

fn data_name(compression: Compression) -> String {
    format!("{PAYLOAD}.tar{}", compression.suffix())
}

/// Everything before the payload, which is small.
fn front(artifact: &Artifact<'_>, sign: Option<Sign<'_>>) -> Result<Vec<u8>, WriteError> {
    check(artifact)?;
    let Options { compression, mtime } = artifact.options;
    let header_name = format!("header.tar{}", compression.suffix());
    let header = packed_header(artifact)?;
    let mut manifest = Manifest::default();
    for file in artifact.files {
        manifest.add_sum(&format!("{PAYLOAD}/{}", file.name), file.digest);
    }
    manifest.add(&header_name, &header);
    manifest.add("version", VERSION);
    let manifest = manifest.to_string();
    if manifest.len() as u64 > MAX_MANIFEST {
        return Err(WriteError::Files(artifact.files.len()));
    }
    let signature = sign.map(|sign| sign(manifest.as_bytes())).transpose();
    let signature = signature.map_err(WriteError::Sign)?;
    let mut outer = Archive {
        out: Vec::new(),
        mtime,
    };
    outer.member("version", MODE, VERSION)?;
    outer.member("manifest", MODE, manifest.as_bytes())?;
    if let Some(signature) = &signature {
        outer.member("manifest.sig", MODE, signature.as_bytes())?;
    }
    outer.member(&header_name, MODE, &header)?;
    Ok(outer.out)
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
    let data = archive::size(artifact.files.iter().map(|file| file.size));
    if artifact.options.compression == Compression::None && data > MAX_SIZE {
        return Err(WriteError::Payload(data));
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

#[cfg(test)]
mod tests;
