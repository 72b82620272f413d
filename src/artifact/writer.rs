//! The writer: the same request gives the same bytes, on every machine and in every year.
//!
//! mender-artifact leaves the builder's user and the time of day in the outer archive; here owners are 0, modes 0600,
//! times one fixed value, and each compressed member is one gzip stream without a time stamp.

use std::io::{self, Write};

use flate2::Compression as Level;
use flate2::GzBuilder;
use tar::{Builder, EntryType, Header as Entry};

use super::header::{Header, HeaderError};
use super::manifest::Manifest;
use super::payload::Payload;

/// The `version` member.
const VERSION: &[u8] = br#"{"format":"mender","version":3}"#;

/// mender-artifact's default, the smallest that every reader takes.
const GZIP_LEVEL: u32 = 9;

/// gzip's "unknown operating system": the builder's has no place in the file.
const GZIP_OS: u8 = 255;

/// Latest time a plain ustar header can hold: eleven octal digits.
pub const MAX_MTIME: u64 = 0o77_777_777_777;

/// How `header.tar` and `data/0000.tar` are packed; what every reader since mender-artifact 3 takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Compression {
    /// One gzip stream.
    #[default]
    Gzip,
    /// Not at all.
    None,
}

/// What does not come from the request itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Packing of the inner archives.
    pub compression: Compression,
    /// Time of every member, in seconds since 1970; `SOURCE_DATE_EPOCH` or 0.
    pub mtime: u64,
}

/// Why no artifact was made.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The header is not one Mender takes.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The time does not fit the format.
    #[error("time stamp {0} is later than {MAX_MTIME}, the last that an artifact can hold")]
    Mtime(u64),
    /// The output broke.
    #[error("failed to write artifact: {0}")]
    Output(#[from] io::Error),
}

/// Writes a whole artifact. It carries no files: the device fetches the images that `payload` names.
pub fn write(
    out: impl Write,
    header: &Header,
    payload: &Payload,
    options: Options,
) -> Result<(), WriteError> {
    header.check()?;
    if options.mtime > MAX_MTIME {
        return Err(WriteError::Mtime(options.mtime));
    }
    let packed = |members: &[(&str, &[u8])]| {
        options
            .compression
            .pack(archive(Vec::new(), members, options.mtime)?)
    };
    let suffix = options.compression.suffix();
    let (header_name, data_name) = (
        format!("header.tar{suffix}"),
        format!("data/0000.tar{suffix}"),
    );
    let header_tar = packed(&[
        ("header-info", header.header_info().as_bytes()),
        ("headers/0000/type-info", header.type_info().as_bytes()),
        ("headers/0000/meta-data", payload.to_json().as_bytes()),
    ])?;
    let mut manifest = Manifest::default();
    manifest.add(&header_name, &header_tar);
    manifest.add("version", VERSION);
    let manifest = manifest.to_string();
    let members: [(&str, &[u8]); 4] = [
        ("version", VERSION),
        ("manifest", manifest.as_bytes()),
        (&header_name, &header_tar),
        // The C++ client insists on a real archive here, even with nothing in it.
        (&data_name, &packed(&[])?),
    ];
    archive(out, &members, options.mtime)?.flush()?;
    Ok(())
}

impl Compression {
    fn suffix(self) -> &'static str {
        match self {
            Compression::Gzip => ".gz",
            Compression::None => "",
        }
    }

    fn pack(self, archive: Vec<u8>) -> io::Result<Vec<u8>> {
        match self {
            Compression::None => Ok(archive),
            Compression::Gzip => {
                let mut stream = GzBuilder::new()
                    .mtime(0)
                    .operating_system(GZIP_OS)
                    .write(Vec::new(), Level::new(GZIP_LEVEL));
                stream.write_all(&archive)?;
                stream.finish()
            }
        }
    }
}

/// A plain ustar archive of small files.
fn archive<W: Write>(out: W, members: &[(&str, &[u8])], mtime: u64) -> io::Result<W> {
    let mut builder = Builder::new(out);
    for (name, content) in members {
        let mut entry = Entry::new_ustar();
        entry.set_entry_type(EntryType::Regular);
        entry.set_path(name)?;
        entry.set_mode(0o600);
        entry.set_uid(0);
        entry.set_gid(0);
        entry.set_mtime(mtime);
        entry.set_size(content.len() as u64);
        entry.set_cksum();
        builder.append(&entry, *content)?;
    }
    builder.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Digest;

    fn written(options: Options) -> Vec<u8> {
        let mut header = Header {
            artifact_name: "rel-1".to_owned(),
            device_types: vec!["qemu".to_owned()],
            ..Header::default()
        };
        header.provide_software(&Default::default(), true);
        let payload = Payload::shared(vec!["nginx:1.27".parse().unwrap()], "-p 8080:80");
        let mut out = Vec::new();
        write(&mut out, &header, &payload, options).unwrap();
        out
    }

    /// The uncompressed form depends on nothing but the format: a change here is a change of the bytes people sign.
    #[test]
    fn bytes_are_the_same_everywhere() {
        let plain = Options {
            compression: Compression::None,
            mtime: 0,
        };
        assert_eq!(
            Digest::of(&written(plain)).hex(),
            "832a0c02ed5434b4fa208b02ef8ca5f1295588f030e2ce5e96c49b3a4f102ba1"
        );
        assert_eq!(written(Options::default()), written(Options::default()));
    }

    #[test]
    fn the_time_is_the_callers() {
        let at = |mtime| {
            written(Options {
                mtime,
                ..Options::default()
            })
        };
        assert_ne!(at(0), at(1));
        for mtime in [0, 1, 1_700_000_000, MAX_MTIME] {
            let bytes = at(mtime);
            let mut archive = tar::Archive::new(bytes.as_slice());
            for entry in archive.entries().unwrap() {
                assert_eq!(entry.unwrap().header().mtime().unwrap(), mtime);
            }
        }
    }

    #[test]
    fn nothing_is_written_for_a_bad_request() {
        let payload = Payload::shared(vec!["nginx".parse().unwrap()], "");
        let mut out = Vec::new();
        let refused = write(&mut out, &Header::default(), &payload, Options::default());
        assert!(matches!(
            refused,
            Err(WriteError::Header(HeaderError::NoDeviceType))
        ));
        let late = Options {
            mtime: MAX_MTIME + 1,
            ..Options::default()
        };
        let header = Header {
            artifact_name: "a".to_owned(),
            device_types: vec!["b".to_owned()],
            ..Header::default()
        };
        let refused = write(&mut out, &header, &payload, late);
        assert!(matches!(refused, Err(WriteError::Mtime(_))));
        assert_eq!(out, b"");
    }
}
