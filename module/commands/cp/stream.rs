//! Tar streams on standard input and output.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter};
use std::os::fd::AsFd;

use anyhow::{Context as _, bail};
use dray::engine::copy::Root;
use dray::engine::tree::{Extract, Pack};
use dray::sys::beneath::FileType;
use flate2::bufread::MultiGzDecoder;

use super::place::{Done, Place};
use crate::commands::foreground::standard_input;

/// Read and written at once.
const CHUNK: usize = 64 << 10;

/// How compressed streams begin.
const GZIP: &[u8] = &[0x1f, 0x8b];
const OTHERS: [(&[u8], &str); 3] = [
    (&[0x28, 0xb5, 0x2f, 0xfd], "zstd"),
    (&[0xfd, b'7', b'z', b'X', b'Z'], "xz"),
    (b"BZh", "bzip2"),
];

/// Writes what is at `source` to standard output, under its own name; of `FOLDER/.` what is in it.
pub fn pack(source: &Place<'_>, follow: bool) -> anyhow::Result<()> {
    // A descriptor of its own: standard output's own buffer looks for the ends of lines.
    let out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let mut pack = Pack::new(BufWriter::with_capacity(CHUNK, out));
    let source = match follow {
        true => source.end()?,
        false => source.clone(),
    };
    let is_folder = source.status(false)?.file_type == FileType::Directory;
    match is_folder {
        true => {
            let folder = source.folder();
            let folder = folder.with_context(|| format!("failed to open {:?}", source.path))?;
            let (_, name) = source.parts()?;
            pack.add((folder.as_fd(), b"."), name.as_bytes())?;
        }
        false => {
            let (dir, name) = source.parts()?;
            pack.add((dir.as_fd(), name.as_bytes()), name.as_bytes())?;
        }
    }
    pack.finish().context("failed to write the tar stream")
}

/// Unpacks standard input into the folder `target` of a container.
pub fn unpack(root: &Root, name: &str, target: &Place<'_>) -> anyhow::Result<Done> {
    let Some(folder) = target.folder() else {
        bail!("destination \"{name}:{}\" must be a directory", target.path);
    };
    root.check_writable(folder.as_fd())?;
    let mut input = BufReader::with_capacity(CHUNK, standard_input()?);
    let begin = input.fill_buf().context("failed to read the tar stream")?;
    for (magic, program) in OTHERS {
        if begin.starts_with(magic) {
            bail!(
                "the tar stream is compressed by {program}: decompress it first, with {program} -d"
            );
        }
    }
    let is_packed = begin.starts_with(GZIP);
    let mut extract = Extract::new(target.root, target.path.as_bytes());
    match is_packed {
        true => extract.all(&mut BufReader::with_capacity(
            CHUNK,
            MultiGzDecoder::new(input),
        ))?,
        false => extract.all(&mut input)?,
    }
    let (bytes, lost) = (extract.bytes, extract.lost.warning());
    Ok(Done { bytes, lost })
}
