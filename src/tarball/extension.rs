//! Headers that speak of the entry after them, collected until it comes.

use super::ArchiveError;
use super::block::Block;
use super::pax::Pax;

/// Extension headers waiting for their entry.
#[derive(Debug, Default)]
pub struct Extensions {
    pax: Option<Pax>,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

impl Extensions {
    /// Whether a header of this type is one.
    pub fn is_type(flag: u8) -> bool {
        matches!(flag, b'x' | b'g' | b'L' | b'K')
    }

    /// Takes the body of one.
    pub fn take(&mut self, flag: u8, body: Vec<u8>) -> Result<(), ArchiveError> {
        match flag {
            b'x' => set_once(&mut self.pax, Pax::parse(&body)?, "its attributes"),
            b'L' => set_once(&mut self.long_name, until_nul(body), "its name"),
            b'K' => set_once(&mut self.long_link, until_nul(body), "its link"),
            // Global: git leaves a comment in one. Other readers disagree on whether one counts.
            _ if Pax::parse(&body)? == Pax::default() => Ok(()),
            _ => Err(ArchiveError::Global),
        }
    }

    /// Whether none is waiting.
    pub fn is_empty(&self) -> bool {
        self.pax.is_none() && self.long_name.is_none() && self.long_link.is_none()
    }

    /// Attributes, name and link of the entry; GNU's and PAX's long names must not both be there and differ.
    pub fn resolve(self, block: &Block) -> Result<(Pax, Vec<u8>, Vec<u8>), ArchiveError> {
        let mut pax = self.pax.unwrap_or_default();
        let name = agree(self.long_name, pax.path.take(), "its name")?;
        let link = agree(self.long_link, pax.link.take(), "its link")?;
        Ok((
            pax,
            name.unwrap_or_else(|| block.name()),
            link.unwrap_or_else(|| block.link().to_vec()),
        ))
    }
}

fn agree(
    gnu: Option<Vec<u8>>,
    pax: Option<Vec<u8>>,
    what: &'static str,
) -> Result<Option<Vec<u8>>, ArchiveError> {
    match (gnu, pax) {
        (Some(gnu), Some(pax)) if gnu != pax => Err(ArchiveError::Contradiction(what)),
        (gnu, pax) => Ok(gnu.or(pax)),
    }
}

fn set_once<T>(place: &mut Option<T>, value: T, what: &'static str) -> Result<(), ArchiveError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(ArchiveError::Contradiction(what)),
    }
}

fn until_nul(mut name: Vec<u8>) -> Vec<u8> {
    if let Some(end) = name.iter().position(|&byte| byte == 0) {
        name.truncate(end);
    }
    name
}
