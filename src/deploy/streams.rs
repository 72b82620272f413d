//! The payload's files as a Mender client hands them over during `Download`.
//!
//! ```text
//! TREE
//! ├── stream-next          a FIFO: opened again and again it says each time which file comes, at the end nothing
//! │                        streams/<name>\n           to Download
//! │                        streams/<name> <size>\n    to DownloadWithFileSizes
//! ├── streams/<name>       a FIFO with that file's bytes
//! └── files/<name>         the same as a file, of a client that has no stream-next
//! ```
//!
//! A client that sees `stream-next` left alone stores the files itself, after `Download` and twice on the disk; so an
//! artifact that has no images in it leaves it alone, and one that has takes every file to its end.

use std::io::{self, Read};
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::artifact::limits::{MAX_FILE_NAME, is_file_name};
use crate::images::{Arrivals, Freight, ImagesError};
use crate::oci::Digest;
use crate::oci::stream::read_limited;
use crate::sys::fifo::Fifo;
use crate::sys::terminate;

/// Longest line of `stream-next`: a name and a size.
const MAX_LINE: u64 = "streams/".len() as u64 + MAX_FILE_NAME as u64 + 32;

/// Who called this verb; once it is gone nobody writes any more.
static CLIENT: OnceLock<u32> = OnceLock::new();

/// To be called first of all, while the client is there; `caller` is who it is, if that was said.
pub(super) fn note_client(caller: Option<u32>) {
    CLIENT.get_or_init(|| caller.unwrap_or_else(parent_id));
}

/// Opens what the client has for this call; nothing but the images' documents has been read then.
pub(super) fn open(tree: &Path, assumed: &[Digest]) -> Result<Freight<'static>, ImagesError> {
    let stored = tree.join("files");
    if !tree.join("stream-next").exists() && stored.is_dir() {
        return Freight::folder(&stored, assumed);
    }
    let streams = Streams {
        tree: tree.to_owned(),
        current: None,
    };
    Freight::stream(Box::new(streams), assumed)
}

/// Why to stop waiting for the client.
fn give_up() -> Option<&'static str> {
    if terminate::requested() {
        return Some("the download was cancelled");
    }
    let is_orphan = CLIENT.get().is_some_and(|client| *client != parent_id());
    is_orphan.then_some("the client has ended")
}

struct Streams {
    tree: PathBuf,
    current: Option<Fifo>,
}

impl Read for Streams {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.current {
            Some(stream) => stream.read(buffer),
            None => Ok(0),
        }
    }
}

impl Arrivals for Streams {
    fn next(&mut self) -> io::Result<Option<String>> {
        // A client fails if somebody hangs up before a file's end.
        if let Some(mut stream) = self.current.take() {
            io::copy(&mut stream, &mut io::sink())?;
        }
        let line = Fifo::open(&self.tree.join("stream-next"), give_up)?;
        let line = read_limited(line, MAX_LINE)?;
        if line.is_empty() {
            return Ok(None);
        }
        let name = file_name(&line).ok_or_else(|| {
            let shown = String::from_utf8_lossy(&line).into_owned();
            io::Error::other(format!("stream-next says {shown:?}"))
        })?;
        let path = self.tree.join("streams").join(name);
        self.current = Some(Fifo::open(&path, give_up)?);
        Ok(Some(name.to_owned()))
    }
}

/// The file that a line of `stream-next` is about.
fn file_name(line: &[u8]) -> Option<&str> {
    let line = str::from_utf8(line).ok()?;
    let file = line.strip_suffix('\n').unwrap_or(line);
    let file = file.strip_prefix("streams/")?;
    // The size is in the artifact's own documents, with a digest beside it.
    let name = file.split_once(' ').map_or(file, |(name, _)| name);
    (is_file_name(name) && ![".", ".."].contains(&name)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_a_file_below_streams_and_nothing_else() {
        for (line, name) in [
            ("streams/a.b-c_d,e\n", Some("a.b-c_d,e")),
            ("streams/index.json 12\n", Some("index.json")),
            ("streams/x", Some("x")),
            ("streams/", None),
            ("streams/../x\n", None),
            ("streams/..\n", None),
            ("/streams/x\n", None),
            ("files/x\n", None),
            ("streams/x\nstreams/y\n", None),
        ] {
            assert_eq!(file_name(line.as_bytes()), name, "{line:?}");
        }
        assert_eq!(file_name(b"streams/\xff\n"), None);
    }
}
