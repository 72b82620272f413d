//! Reads log files, whichever driver wrote them, the oldest line first.

mod entry;
mod follow;
mod open;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use super::Format;
use super::rotate::{packed, rotated};
use open::Opened;

pub use entry::Entry;
pub use follow::Follow;

/// Which entries are wanted. Times are RFC 3339 in UTC, as stored, and compare as text.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only the last so many of those that are there at the beginning.
    pub tail: Option<usize>,
    /// Not before.
    pub since: Option<String>,
    /// Not after.
    pub until: Option<String>,
}

impl Filter {
    fn takes(&self, entry: &Entry) -> bool {
        self.since.as_ref().is_none_or(|since| entry.time >= *since)
            && self.until.as_ref().is_none_or(|until| entry.time <= *until)
    }
}

/// Hands the wanted entries below `logs` to `take`, and returns where to go on with new ones.
pub fn read(
    logs: &Path,
    filter: &Filter,
    mut take: impl FnMut(Entry) -> io::Result<()>,
) -> io::Result<Follow> {
    let mut follow = Follow {
        logs: logs.to_owned(),
        place: None,
        filter: Filter {
            tail: None,
            ..filter.clone()
        },
        damage: Vec::new(),
        begin: None,
    };
    let mut last = VecDeque::new();
    let mut pass = |entry: Entry| -> io::Result<()> {
        if !filter.takes(&entry) {
            return Ok(());
        }
        let Some(tail) = filter.tail else {
            return take(entry);
        };
        last.push_back(entry);
        if last.len() > tail {
            last.pop_front();
        }
        Ok(())
    };
    for format in [Format::Json, Format::Local] {
        let current = logs.join(format.file_name());
        let older = (1..)
            .map(|n| rotated(&current, n))
            .take_while(|path| is_there(path))
            .collect::<Vec<_>>();
        let Some(mut place) = oldest(&older, &current)? else {
            continue;
        };
        follow.begin = place.birth.begin;
        // Of a log that grows faster than it is read, what is there now.
        let most = Some(older.len() + 1);
        let damage = &mut follow.damage;
        follow::go_on(&current, format, &mut place, most, damage, &mut pass)?;
        follow.place = Some((format, place));
    }
    last.into_iter().try_for_each(take)?;
    Ok(follow)
}

/// The oldest file that is there.
fn oldest(older: &[PathBuf], current: &Path) -> io::Result<Option<Opened>> {
    for path in older
        .iter()
        .rev()
        .map(|path| path.as_path())
        .chain([current])
    {
        if let Some(found) = Opened::open(path)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn is_there(path: &Path) -> bool {
    path.exists() || packed(path).exists()
}
