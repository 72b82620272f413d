//! Sparse files in GNU's old form and its three PAX forms.

use super::ArchiveError;
use super::block::{BLOCK, Block, parse_number};

/// Most data regions of one sparse file: 1 MiB of map in memory.
pub const MAX_REGIONS: usize = 1 << 16;

/// A stretch of data in a sparse file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// Where it belongs in the file.
    pub offset: u64,
    /// Its bytes.
    pub length: u64,
}

/// Where a sparse file's data belongs, checked: ascending, inside the file, and as long as the data there is.
#[derive(Debug, PartialEq, Eq)]
pub struct SparseMap {
    /// Its data, ascending.
    pub regions: Vec<Region>,
    /// The file's size with all holes.
    pub real_size: u64,
}

impl SparseMap {
    /// Checks regions against the file's size and the `stored` bytes in the archive.
    pub fn new(
        regions: Vec<Region>,
        real_size: u64,
        stored: u64,
    ) -> Result<SparseMap, ArchiveError> {
        let (mut end, mut data) = (0_u64, 0_u64);
        for region in &regions {
            let next = region.offset.checked_add(region.length);
            match next {
                Some(next) if region.offset >= end && next <= real_size => end = next,
                _ => {
                    return Err(ArchiveError::Sparse(
                        "its regions overlap or leave the file",
                    ));
                }
            }
            data += region.length;
        }
        if data != stored {
            return Err(ArchiveError::Sparse(
                "its regions are not as long as its data",
            ));
        }
        Ok(SparseMap { regions, real_size })
    }
}

/// Places of the old form's fields.
const REGIONS: (usize, usize) = (386, 482);
const EXTENDED: (usize, usize) = (482, 483);
const REAL_SIZE: (usize, usize) = (483, 495);

/// An extension block of the old form: 21 regions, then the flag.
const MORE_REGIONS: usize = 504;

/// The old form's regions, its real size, and whether extension blocks follow.
pub fn old_header(block: &Block) -> Result<(Vec<Region>, u64, bool), ArchiveError> {
    let mut regions = Vec::new();
    take_regions(block.field(REGIONS), &mut regions)?;
    let size = field_number(block.field(REAL_SIZE))?;
    Ok((regions, size, block.field(EXTENDED)[0] != 0))
}

/// Takes the regions of an extension block; returns whether another one follows.
pub fn old_extension(block: &[u8; BLOCK], regions: &mut Vec<Region>) -> Result<bool, ArchiveError> {
    take_regions(&block[..MORE_REGIONS], regions)?;
    Ok(block[MORE_REGIONS] != 0)
}

fn take_regions(fields: &[u8], regions: &mut Vec<Region>) -> Result<(), ArchiveError> {
    for pair in fields.chunks_exact(24) {
        // An unused place ends the list.
        if pair[0] == 0 {
            break;
        }
        if regions.len() == MAX_REGIONS {
            return Err(ArchiveError::SparseRegions);
        }
        regions.push(Region {
            offset: field_number(&pair[..12])?,
            length: field_number(&pair[12..])?,
        });
    }
    Ok(())
}

fn field_number(field: &[u8]) -> Result<u64, ArchiveError> {
    parse_number(field)
        .and_then(|number| u64::try_from(number).ok())
        .ok_or(ArchiveError::Number("sparse map"))
}

/// Version 1.0: the map is text at the start of the data, a number a line, padded to whole blocks. `next` gives the
/// next block of the data.
pub fn map_in_data(
    mut next: impl FnMut() -> Result<[u8; BLOCK], ArchiveError>,
) -> Result<Vec<Region>, ArchiveError> {
    let mut block = next()?;
    let mut at = 0;
    let mut line = || {
        let mut digits = Vec::with_capacity(20);
        loop {
            if at == BLOCK {
                block = next()?;
                at = 0;
            }
            let byte = block[at];
            at += 1;
            match byte {
                b'\n' => {
                    return super::pax::decimal(&digits).ok_or(ArchiveError::Number("sparse map"));
                }
                _ if digits.len() == 20 => return Err(ArchiveError::Number("sparse map")),
                digit => digits.push(digit),
            }
        }
    };
    let count = line()?;
    if count > MAX_REGIONS as u64 {
        return Err(ArchiveError::SparseRegions);
    }
    (0..count)
        .map(|_| {
            Ok(Region {
                offset: line()?,
                length: line()?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_must_fit_the_file_and_its_data() {
        let region = |offset, length| Region { offset, length };
        for (regions, real_size, stored, fits) in [
            (vec![], 0, 0, true),
            (vec![], 1 << 40, 0, true),
            (vec![region(0, 10), region(512, 5)], 517, 15, true),
            (vec![region(0, 10), region(10, 0)], 10, 10, true),
            (vec![region(0, 10), region(512, 5)], 516, 15, false),
            (vec![region(0, 10), region(9, 5)], 517, 15, false),
            (vec![region(512, 5), region(0, 10)], 517, 15, false),
            (vec![region(0, 10)], 10, 9, false),
            (vec![region(0, 10)], 10, 11, false),
            (vec![region(u64::MAX, 1)], u64::MAX, 1, false),
        ] {
            let map = SparseMap::new(regions.clone(), real_size, stored);
            assert_eq!(map.is_ok(), fits, "{regions:?} {real_size} {stored}");
        }
    }

    #[test]
    fn a_map_in_the_data_may_cross_blocks_and_is_bounded() {
        let parse = |text: &str| {
            let mut bytes = text.as_bytes().to_vec();
            bytes.resize(bytes.len().next_multiple_of(BLOCK).max(BLOCK), 0);
            let mut blocks = bytes
                .chunks_exact(BLOCK)
                .map(|c| c.try_into().unwrap())
                .collect::<Vec<_>>()
                .into_iter();
            map_in_data(|| blocks.next().ok_or(ArchiveError::Truncated))
        };
        let many: String = (0..100).map(|n| format!("{}\n1\n", n * 1000)).collect();
        let regions = parse(&format!("100\n{many}")).unwrap();
        assert_eq!(
            regions[99],
            Region {
                offset: 99_000,
                length: 1
            }
        );
        assert!(matches!(
            parse("10000000\n"),
            Err(ArchiveError::SparseRegions)
        ));
        assert!(matches!(parse("x\n"), Err(ArchiveError::Number(_))));
        assert!(matches!(parse("2\n0\n1\n"), Err(ArchiveError::Number(_))));
        assert!(matches!(
            parse(&"1".repeat(30)),
            Err(ArchiveError::Number(_))
        ));
    }
}
