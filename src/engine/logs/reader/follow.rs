//! Goes on in a log that is still being written.

use std::io;
use std::path::{Path, PathBuf};

use super::super::Format;
use super::super::rotate::rotated;
use super::open::Opened;
use super::{Entry, Filter, read};

/// A place in a log that is still being written.
#[derive(Debug)]
pub struct Follow {
    pub(super) logs: PathBuf,
    pub(super) place: Option<(Format, Opened)>,
    pub(super) filter: Filter,
    pub(super) damage: Vec<String>,
    /// Where in the whole log the oldest file begins that was there at first.
    pub(super) begin: Option<u64>,
}

/// What has been written after a file.
struct Next {
    file: Opened,
    /// Whether it is known to come right after it.
    follows: bool,
}

impl Follow {
    /// Hands over what was written since the last call. The file that was read last is read to its end whatever became of it;
    /// files that came and went since then are lost, which is noted.
    pub fn more(&mut self, mut take: impl FnMut(Entry) -> io::Result<()>) -> io::Result<()> {
        let Some((format, mut ours)) = self.place.take() else {
            // Nothing had been written: what is there is not the beginning if that came and went.
            *self = read(&self.logs, &self.filter, take)?;
            let missed = self.begin.and_then(|begin| gap(Some(0), Some(begin)));
            self.damage.splice(..0, missed);
            return Ok(());
        };
        let filter = &self.filter;
        let mut take = |entry: Entry| match filter.takes(&entry) {
            true => take(entry),
            false => Ok(()),
        };
        let current = self.logs.join(format.file_name());
        let gone_on = go_on(
            &current,
            format,
            &mut ours,
            None,
            &mut self.damage,
            &mut take,
        );
        self.place = Some((format, ours));
        gone_on
    }

    /// What could not be read so far and has not been asked for yet: which file or how much, and why.
    pub fn take_damage(&mut self) -> Vec<String> {
        std::mem::take(&mut self.damage)
    }
}

/// Reads `ours` from where it was left, then what came after it, `most` files at most; `ours` is the last one then.
pub(super) fn go_on(
    current: &Path,
    format: Format,
    ours: &mut Opened,
    most: Option<usize>,
    damage: &mut Vec<String>,
    take: &mut dyn FnMut(Entry) -> io::Result<()>,
) -> io::Result<()> {
    for number in 1.. {
        // Looked for first: once there is a newer file, nothing is added to ours.
        let next = next(current, ours)?;
        ours.read(format, damage, take)?;
        let Some(Next { file, follows }) = next.filter(|_| Some(number) != most) else {
            break;
        };
        if !follows {
            damage.extend(gap(ours.end()?, file.birth.begin));
        }
        *ours = file;
    }
    Ok(())
}

/// The file after `ours`: looked for from the newest on, as files only ever get older names. One that is on its way from one
/// name to the next leaves one name free.
fn next(current: &Path, ours: &Opened) -> io::Result<Option<Next>> {
    let mut newer = None;
    let mut missing = 0;
    for number in 0.. {
        let path = match number {
            0 => current.to_owned(),
            number => rotated(current, number),
        };
        let Some(file) = Opened::open(&path)? else {
            missing += 1;
            if missing > 1 {
                break;
            }
            continue;
        };
        missing = 0;
        if file.birth == ours.birth {
            return Ok(newer.map(|file| Next {
                file,
                follows: true,
            }));
        }
        newer = Some(file);
    }
    Ok(newer.map(|file| Next {
        file,
        follows: false,
    }))
}

/// What is to be said where the file that comes next is not known to follow.
fn gap(end: Option<u64>, begin: Option<u64>) -> Option<String> {
    let lost = match (end, begin) {
        (Some(end), Some(begin)) => begin.checked_sub(end),
        _ => None,
    };
    let lost = match lost {
        Some(0) => return None,
        Some(bytes) => format!("{bytes} bytes of the log were"),
        None => "part of the log may have been".to_owned(),
    };
    Some(format!(
        "{lost} rotated away before it could be read: use a larger max-size or max-file"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_named_where_there_is_one() {
        for (end, begin, wanted) in [
            (Some(5), Some(5), None),
            (Some(5), Some(12), Some("7 bytes of the log were rotated")),
            // The log was begun anew.
            (Some(5), Some(0), Some("part of the log may have been")),
            (None, Some(5), Some("part of the log may have been")),
            (Some(5), None, Some("part of the log may have been")),
        ] {
            let said = gap(end, begin);
            match wanted {
                None => assert_eq!(said, None),
                Some(wanted) => assert!(said.is_some_and(|said| said.starts_with(wanted))),
            }
        }
    }
}
