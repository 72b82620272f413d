//! The output: checked before the work, put in place in one step after it, never left half-written.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use dray::host::Host;
use dray::oci::Digest;
use dray::sys::fs::{publish, publish_unnamed, scratch_beside, unnamed};

use crate::refusal::Refusal;

/// Like any file a person makes; the umask takes from it.
const MODE: u32 = 0o644;

/// Where the artifact goes.
#[derive(Debug)]
pub struct Target {
    shown: PathBuf,
    /// An absolute path without symlinks in its last step; `None` is standard output.
    path: Option<PathBuf>,
    /// Where a file without a name can be made.
    folder: PathBuf,
    /// Permissions of the file that is replaced.
    replaced: Option<Permissions>,
}

/// A finished artifact that has no name yet. Dropped, it leaves nothing.
#[derive(Debug)]
pub struct Draft<'a> {
    target: &'a Target,
    file: File,
    /// Its name beside the target, on filesystems where every file has one.
    scratch: Option<PathBuf>,
    /// What is in it.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
}

impl Target {
    /// Refuses what could not be replaced. An existing file is fine, as with mender-artifact; a link is followed, and a
    /// device, pipe or folder is not an output file. `-` is standard output.
    pub fn check(path: &Path, host: &Host) -> Result<Target, Refusal> {
        if path == Path::new("-") {
            return Ok(Target {
                shown: path.to_owned(),
                path: None,
                folder: host.var("TMPDIR").unwrap_or("/tmp").into(),
                replaced: None,
            });
        }
        let refuse = |problem: &str| {
            Err(Refusal::Output(format!(
                "cannot write artifact {}: {problem}",
                path.display()
            )))
        };
        let target = |found: PathBuf| {
            Ok(Target {
                shown: path.to_owned(),
                folder: found.parent().unwrap_or(Path::new("/")).to_owned(),
                replaced: fs::metadata(&found).ok().map(|found| found.permissions()),
                path: Some(found),
            })
        };
        match fs::canonicalize(path) {
            Ok(found) if found.is_file() => target(found),
            Ok(_) => refuse("it exists and is not a regular file"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match new_file(path, MAX_LINKS) {
                    Ok(found) => target(found),
                    Err(error) => refuse(&error.to_string()),
                }
            }
            Err(error) => refuse(&error.to_string()),
        }
    }

    /// Lets `make` write the artifact where nobody sees it yet.
    pub fn draft(
        &self,
        make: impl FnOnce(&mut File) -> Result<(), Refusal>,
    ) -> Result<Draft<'_>, Refusal> {
        let (mut file, scratch) = self.open().map_err(|error| self.failed(&error))?;
        let mut draft = Draft {
            target: self,
            file: file.try_clone().map_err(|error| self.failed(&error))?,
            scratch,
            digest: Digest::of(b""),
            size: 0,
        };
        make(&mut file)?;
        let mut sum = || {
            let mut hasher = Sha256::new();
            file.seek(SeekFrom::Start(0))?;
            draft.size = io::copy(&mut file, &mut hasher)?;
            draft.digest = Digest::finish(hasher);
            Ok(())
        };
        sum().map_err(|error| self.failed(&error))?;
        Ok(draft)
    }

    /// A file that becomes the artifact, and its name where every file has one.
    fn open(&self) -> io::Result<(File, Option<PathBuf>)> {
        let (file, scratch) = match unnamed(&self.folder, MODE)? {
            Some(file) => (file, None),
            None => {
                let scratch = scratch_beside(&self.folder.join("artifact"));
                let mut options = OpenOptions::new();
                options.read(true).write(true).create_new(true).mode(MODE);
                (options.open(&scratch)?, Some(scratch))
            }
        };
        // Who kept the old one from others keeps the new one from them.
        if let Some(permissions) = &self.replaced {
            file.set_permissions(permissions.clone())?;
        }
        Ok((file, scratch))
    }

    /// A refusal because of the output.
    pub fn failed(&self, error: &io::Error) -> Refusal {
        let shown = self.shown.display();
        Refusal::Output(format!("cannot write artifact {shown}: {error}"))
    }
}

impl Draft<'_> {
    /// What was written, from its beginning.
    pub fn content(&self) -> Result<&File, Refusal> {
        let rewound = (&self.file).seek(SeekFrom::Start(0));
        rewound.map_err(|error| self.target.failed(&error))?;
        Ok(&self.file)
    }

    /// Puts the artifact in place.
    pub fn publish(mut self) -> Result<(), Refusal> {
        let published = match (&self.target.path, self.scratch.take()) {
            (Some(path), None) => publish_unnamed(&self.file, path),
            (Some(path), Some(scratch)) => {
                let synced = self.file.sync_all();
                let published = synced.and_then(|()| publish(&scratch, path));
                published.inspect_err(|_| drop(fs::remove_file(&scratch)))
            }
            (None, scratch) => {
                self.scratch = scratch;
                let rewound = self.file.seek(SeekFrom::Start(0));
                rewound.and_then(|_| io::copy(&mut self.file, &mut io::stdout()).map(drop))
            }
        };
        published.map_err(|error| self.target.failed(&error))
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if let Some(scratch) = &self.scratch {
            // It may be gone already; nothing else can be done about it.
            let _ = fs::remove_file(scratch);
        }
    }
}

/// Links to links that are followed; the kernel follows as many.
const MAX_LINKS: usize = 40;

/// The absolute path of a file that does not exist yet in a folder that does; where a link leads nowhere, of its target.
fn new_file(path: &Path, links: usize) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    if let (Ok(target), Some(folder)) = (fs::read_link(&path), path.parent()) {
        return match links.checked_sub(1) {
            Some(links) => new_file(&folder.join(target), links),
            // Those that lead nowhere at all were refused before.
            None => Err(io::Error::other("too many links lead to it")),
        };
    }
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    };
    Ok(fs::canonicalize(folder)?.join(name))
}
