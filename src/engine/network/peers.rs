//! Names of the others: the part of each container's hosts file that follows who is on its networks.
//!
//! ```text
//! # names on this container's networks, kept by dray
//! 172.30.0.2   web web.front 6f1c0d3e9a2b
//! # end of these names
//! ```
//!
//! The rest of the file is the container's own. It is written in place, since the container holds it by a mount, and only
//! where something changed.

use std::io::{self, Read, Seek, Write};
use std::path::Path;

use super::choice::MAX_INTERFACES;
use super::lease::Lease;
use super::leases::Leases;
use super::{DEFAULT, Network, NetworkError};

const START: &str = "# names on this container's networks, kept by dray\n";
const END: &str = "# end of these names\n";
/// Some resolvers read lines of at most 511 bytes; a name has at most 255.
const LINE_LIMIT: usize = 200;
/// Longer than any list of names; what a container lets its file grow to is not copied around.
const FILE_LIMIT: u64 = 1 << 20;

impl Network {
    /// Has others on its networks call a container by its new name.
    pub fn rename(&self, id: &str, old: &str, new: &str) -> Result<(), NetworkError> {
        let Some(mut leases) = Leases::open(&self.dir)? else {
            return Ok(());
        };
        let renamed: Vec<Lease> = leases.of(id).cloned().collect();
        for mut lease in renamed {
            let network = lease.attachment.network.clone();
            for name in &mut lease.names {
                if *name == old {
                    *name = new.to_owned();
                } else if *name == format!("{old}.{network}") {
                    *name = format!("{new}.{network}");
                }
            }
            leases.save(lease)?;
        }
        self.refresh_names(&mut leases, None)
    }

    /// Brings the hosts files of all containers up to date, and that of `changed`, whose networks are not what they were.
    pub(super) fn refresh_names(
        &self,
        leases: &mut Leases,
        changed: Option<&str>,
    ) -> Result<(), NetworkError> {
        refresh(&self.containers, &leases.all, changed)?;
        leases.followed()
    }
}

/// A container that has no file (yet, or any more) needs none.
fn refresh(containers: &Path, leases: &[Lease], changed: Option<&str>) -> Result<(), NetworkError> {
    let sees_others =
        |lease: &&Lease| lease.attachment.network != DEFAULT || !lease.links.is_empty();
    let mut ids: Vec<&str> = changed.into_iter().collect();
    for lease in leases.iter().filter(sees_others) {
        if !ids.contains(&lease.id.as_str()) {
            ids.push(&lease.id);
        }
    }
    let mut result = Ok(());
    for id in ids {
        let section = section(leases, id);
        // The others' files are no worse for this one.
        result = result.and(edit(containers, id, |text| with_section(text, &section)));
    }
    result
}

/// Takes the lines with a container's own name out that it got with its first network, which this lease was for.
pub(super) fn forget(containers: &Path, lease: &Lease) -> Result<(), NetworkError> {
    let own = lease.attachment.addresses();
    let own: Vec<String> = own.map(|ip| format!("{ip}\t{}", lease.hostname)).collect();
    let is_own = |line: &str| {
        let mut rests = own.iter().filter_map(|own| line.strip_prefix(&**own));
        rests.any(|rest| rest.starts_with(['\n', '.', ' ']))
    };
    let keep = |text: &str| {
        let lines = text.split_inclusive('\n');
        lines.filter(|line| !is_own(line)).collect()
    };
    edit(containers, &lease.id, keep)
}

/// Everybody on the networks of container `id`, under all names; on the default network, only whom it is linked to. On each
/// of them first itself, by its host name.
fn section(leases: &[Lease], id: &str) -> String {
    let mut text = String::new();
    let own = |number| leases.iter().find(|l| l.id == id && l.interface == number);
    for own in (0..MAX_INTERFACES).filter_map(own) {
        let network = &own.attachment.network;
        let here = |lease: &&Lease| {
            lease.attachment.network == *network && lease.published && lease.id != id
        };
        let others = leases.iter().filter(here);
        for other in Some(own)
            .filter(|own| own.published)
            .into_iter()
            .chain(others)
        {
            for address in other.attachment.addresses() {
                lines(&mut text, &address.to_string(), &names_for(own, other));
            }
        }
    }
    text
}

/// What a container calls another one on the same network, or itself.
fn names_for<'a>(own: &'a Lease, other: &'a Lease) -> Vec<&'a str> {
    let linked = own
        .links
        .iter()
        .filter(|(name, _)| other.names.contains(name));
    let mut names: Vec<&str> = linked.map(|(_, alias)| alias.as_str()).collect();
    let is_open = own.attachment.network != DEFAULT || !names.is_empty();
    if own.id == other.id {
        names.insert(0, &own.hostname);
    }
    for name in other.names.iter().filter(|_| is_open) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names
}

fn lines(text: &mut String, address: &str, names: &[&str]) {
    let mut room = 0;
    // A host name can be any text; here only words can stand.
    let is_word = |name: &&&str| {
        let bad = |c: char| c.is_whitespace() || c.is_control() || c == '#';
        !name.is_empty() && name.len() <= 255 && !name.contains(bad)
    };
    for name in names.iter().filter(is_word) {
        if room < name.len() {
            if text.ends_with(|c| c != '\n') {
                text.push('\n');
            }
            *text += address;
            room = LINE_LIMIT;
        }
        *text += if room == LINE_LIMIT { "\t" } else { " " };
        *text += name;
        room = room.saturating_sub(name.len() + 1);
    }
    if text.ends_with(|c| c != '\n') {
        text.push('\n');
    }
}

/// Replaces the section between the marks, or adds it where the container has removed them.
fn with_section(text: &str, section: &str) -> String {
    let (before, after) = match text.split_once(START) {
        Some((before, rest)) => (before, rest.split_once(END).map_or("", |(_, after)| after)),
        None => (text, ""),
    };
    let mut new = before.to_owned();
    if !new.is_empty() && !new.ends_with('\n') {
        new.push('\n');
    }
    if !section.is_empty() {
        new += START;
        new += section;
        new += END;
    }
    new + after
}

/// Changes a container's hosts file, if it has one.
fn edit(
    containers: &Path,
    id: &str,
    change: impl FnOnce(&str) -> String,
) -> Result<(), NetworkError> {
    let path = containers.join(id).join("hosts");
    match rewrite(&path, change) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done.map_err(|source| NetworkError::Peers { path, source }),
    }
}

fn rewrite(path: &Path, change: impl FnOnce(&str) -> String) -> io::Result<()> {
    let mut file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)?;
    let length = file.metadata()?.len().min(FILE_LIMIT);
    // In one read, with room to see that it was all.
    let mut bytes = Vec::with_capacity(length as usize + 1);
    (&file).take(FILE_LIMIT).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let new = change(&text);
    if new == text {
        return Ok(());
    }
    // Over the old text and then cut, so that nobody finds the file empty.
    file.rewind()?;
    file.write_all(new.as_bytes())?;
    file.set_len(new.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_section_leaves_the_rest_alone() {
        let own = "127.0.0.1\tlocalhost\n";
        let one = with_section(own, "10.0.0.2\tweb\n");
        assert_eq!(one, format!("{own}{START}10.0.0.2\tweb\n{END}"));
        let more = with_section(&format!("{one}10.9.9.9\tmine"), "10.0.0.3\tdb\n");
        assert_eq!(
            more,
            format!("{own}{START}10.0.0.3\tdb\n{END}10.9.9.9\tmine")
        );
        assert_eq!(with_section(&more, ""), format!("{own}10.9.9.9\tmine"));
        assert_eq!(
            with_section("mine", "x\n"),
            format!("mine\n{START}x\n{END}")
        );
        assert_eq!(with_section("", ""), "");
    }

    #[test]
    fn lines_stay_short_and_hold_words_only() {
        let mut text = String::new();
        let long = "x".repeat(199);
        lines(
            &mut text,
            "10.0.0.2",
            &["web", "a b", "", "c\n6.6.6.6 evil", "w", &long],
        );
        lines(&mut text, "10.0.0.3", &["db"]);
        lines(&mut text, "10.0.0.4", &[]);
        assert_eq!(
            text,
            format!("10.0.0.2\tweb w\n10.0.0.2\t{long}\n10.0.0.3\tdb\n")
        );
    }
}
