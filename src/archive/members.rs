//! The members of a tar and where their bytes lie in it; found by its headers alone, bodies are passed over.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::ImageArchiveError;
use super::content::{Content, Extent};
use crate::tarball::sparse::MAX_REGIONS;
use crate::tarball::{
    ArchiveError, BLOCK, Block, Extensions, MAX_EXTENSION, Pax, Region, SafePath, SparseMap,
    quoted, sparse,
};

/// Most members; an image of 500 layers for 10 platforms has 15,000.
pub(super) const MAX_MEMBERS: usize = 50_000;

/// Most bytes of all their names together.
pub(super) const MAX_NAMES: usize = 8 << 20;

/// Most links from one member to the next. Docker writes one.
pub(super) const MAX_LINKS: usize = 8;

/// A tar's members by name.
#[derive(Debug)]
pub(super) struct Members {
    file: Arc<File>,
    members: BTreeMap<Vec<u8>, Member>,
}

#[derive(Debug)]
enum Member {
    File {
        extents: Vec<Extent>,
        size: u64,
    },
    /// To another member.
    Link(Vec<u8>),
}

/// A walk through a tar's headers.
struct Walk<'a> {
    file: &'a File,
    length: u64,
    at: u64,
    /// What all members' names and sparse maps take.
    names: usize,
    regions: usize,
    members: BTreeMap<Vec<u8>, Member>,
}

impl Members {
    /// Reads all headers. Every member is checked to end inside the file.
    pub(super) fn of(file: File) -> Result<Members, ImageArchiveError> {
        let metadata = file.metadata();
        let length = metadata.map_err(ImageArchiveError::io("read it"))?.len();
        let mut walk = Walk {
            file: &file,
            length,
            at: 0,
            names: 0,
            regions: 0,
            members: BTreeMap::new(),
        };
        walk.run()?;
        let members = walk.members;
        Ok(Members {
            file: Arc::new(file),
            members,
        })
    }

    pub(super) fn open(&self, path: &[u8]) -> Result<Option<Content>, ImageArchiveError> {
        // What an archive says of its own members is normalised as their names are.
        let path = SafePath::parse(path).map_err(|source| ArchiveError::Path {
            name: quoted(path),
            source,
        })?;
        let mut name = path.as_bytes();
        for _ in 0..=MAX_LINKS {
            match self.members.get(name) {
                None => return Ok(None),
                Some(Member::Link(target)) => name = target,
                Some(Member::File { extents, size }) => {
                    let content = Content::new(self.file.clone(), extents.clone(), *size);
                    return Ok(Some(content));
                }
            }
        }
        Err(ImageArchiveError::LinkLoop(path.to_string()))
    }
}

impl Walk<'_> {
    fn run(&mut self) -> Result<(), ImageArchiveError> {
        let mut extensions = Extensions::default();
        while let Some(block) = self.header()? {
            let flag = block.type_flag();
            if Extensions::is_type(flag) {
                let body = self.extension(&block)?;
                extensions.take(flag, body)?;
            } else {
                self.member(&block, std::mem::take(&mut extensions))?;
            }
        }
        match extensions.is_empty() {
            true => Ok(()),
            false => Err(ArchiveError::Truncated.into()),
        }
    }

    fn member(&mut self, block: &Block, extensions: Extensions) -> Result<(), ImageArchiveError> {
        let (pax, name, link) = extensions.resolve(block)?;
        let size = match pax.size {
            Some(size) => size,
            None => block.size()?,
        };
        let name = match &pax.sparse.name {
            Some(name) => name.clone(),
            None => name,
        };
        let path = SafePath::parse(&name).map_err(|source| ArchiveError::Path {
            name: quoted(&name),
            source,
        })?;
        let member = match block.type_flag() {
            b'5' => return Ok(()),
            // Before there was a type for folders they were files with a slash at the end.
            0 if name.ends_with(b"/") => return Ok(()),
            0 | b'0' | b'7' => self.file(size, pax)?,
            b'S' => self.old_sparse_file(block, size)?,
            b'1' => Member::Link(target(&path, b"", &link)?),
            b'2' => Member::Link(target(&path, path.split().0, &link)?),
            flag => return Err(refuse(&path, flag)),
        };
        self.names += name.len();
        if self.members.len() == MAX_MEMBERS {
            return Err(ImageArchiveError::Members);
        }
        if self.names > MAX_NAMES {
            return Err(ImageArchiveError::Names);
        }
        let twice = self.members.insert(path.as_bytes().to_vec(), member);
        match twice {
            None => Ok(()),
            Some(_) => Err(ImageArchiveError::Twice(path.to_string())),
        }
    }

    fn file(&mut self, size: u64, pax: Pax) -> Result<Member, ImageArchiveError> {
        let end = self.end_of(size)?;
        let sparse = pax.sparse;
        let regions = match (sparse.major, sparse.minor) {
            (None, None) if sparse.regions.is_empty() => {
                let (offset, length) = (0, size);
                return self.body(&[Region { offset, length }], size, end);
            }
            (None, None) | (Some(0), Some(0 | 1)) => sparse.regions,
            (Some(1), Some(0)) => sparse::map_in_data(|| match end - self.at {
                0..BLOCK_SIZE => Err(ArchiveError::Sparse("its map is longer than its data")),
                _ => self.block(),
            })?,
            _ => return Err(ArchiveError::Sparse("its version is unknown").into()),
        };
        let real_size = sparse.real_size;
        let real_size = real_size.ok_or(ArchiveError::Sparse("its real size is missing"))?;
        let map = SparseMap::new(regions, real_size, end - self.at)?;
        self.body(&map.regions, real_size, end)
    }

    fn old_sparse_file(&mut self, block: &Block, size: u64) -> Result<Member, ImageArchiveError> {
        if !block.is_gnu() {
            return Err(ArchiveError::Sparse("it is not in GNU's format").into());
        }
        let (mut regions, real_size, mut more) = sparse::old_header(block)?;
        while more {
            more = sparse::old_extension(&self.block()?, &mut regions)?;
        }
        let end = self.end_of(size)?;
        let map = SparseMap::new(regions, real_size, size)?;
        self.body(&map.regions, real_size, end)
    }

    /// Where a body of this size ends, which begins here.
    fn end_of(&self, size: u64) -> Result<u64, ArchiveError> {
        let end = self.at.checked_add(size);
        end.filter(|end| *end <= self.length)
            .ok_or(ArchiveError::Truncated)
    }

    /// A member whose regions lie one after the other from here to `end`; passes over them and their padding.
    fn body(
        &mut self,
        regions: &[Region],
        size: u64,
        end: u64,
    ) -> Result<Member, ImageArchiveError> {
        self.regions += regions.len() - regions.len().min(1);
        if self.regions > MAX_REGIONS {
            return Err(ArchiveError::SparseRegions.into());
        }
        let mut extents = Vec::with_capacity(regions.len());
        for &Region { offset, length } in regions {
            let at = self.at;
            extents.push(Extent { offset, length, at });
            self.at += length;
        }
        self.at = end.next_multiple_of(BLOCK_SIZE);
        Ok(Member::File { extents, size })
    }

    /// The next header; `None` at the end, which is a block of zeros or just the file's end.
    fn header(&mut self) -> Result<Option<Block>, ImageArchiveError> {
        if self.at >= self.length {
            return Ok(None);
        }
        let is_first = self.at == 0;
        let block = match Block::parse(self.block()?) {
            Err(_) if is_first => return Err(ImageArchiveError::NoTar),
            block => block?,
        };
        if block.is_none() && self.at < self.length {
            // One block of zeros among entries: some readers stop there, others go on.
            if Block::parse(self.block()?)?.is_some() {
                return Err(ArchiveError::Contradiction("where the archive ends").into());
            }
        }
        Ok(block)
    }

    fn extension(&mut self, block: &Block) -> Result<Vec<u8>, ArchiveError> {
        let size = block.size()?;
        if size > MAX_EXTENSION {
            return Err(ArchiveError::ExtensionSize(size));
        }
        let end = self.end_of(size)?;
        let mut body = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
        self.read(&mut body)?;
        self.at = end.next_multiple_of(BLOCK_SIZE);
        Ok(body)
    }

    fn block(&mut self) -> Result<[u8; BLOCK], ArchiveError> {
        let end = self.end_of(BLOCK_SIZE)?;
        let mut block = [0; BLOCK];
        self.read(&mut block)?;
        self.at = end;
        Ok(block)
    }

    fn read(&self, buffer: &mut [u8]) -> Result<(), ArchiveError> {
        let read = self.file.read_exact_at(buffer, self.at);
        read.map_err(ArchiveError::Read)
    }
}

/// [`BLOCK`] as a place in a file.
const BLOCK_SIZE: u64 = BLOCK as u64;

/// What a link in the folder `from` means in the archive, by its text alone.
fn target(path: &SafePath, from: &[u8], link: &[u8]) -> Result<Vec<u8>, ImageArchiveError> {
    let out = || ImageArchiveError::LinkOut(path.to_string());
    if link.starts_with(b"/") {
        return Err(out());
    }
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in [from, link]
        .into_iter()
        .flat_map(|p| p.split(|&b| b == b'/'))
    {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop().ok_or_else(out)?),
            name => parts.push(name),
        }
    }
    Ok(parts.join(&b'/'))
}

fn refuse(path: &SafePath, flag: u8) -> ImageArchiveError {
    let kind = match flag {
        b'3' | b'4' => "device",
        b'6' => "pipe",
        other => {
            return ArchiveError::Type {
                name: path.to_string(),
                flag: char::from(other),
            }
            .into();
        }
    };
    ImageArchiveError::Kind {
        name: path.to_string(),
        kind,
    }
}
