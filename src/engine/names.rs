//! Container names and ids.

use super::EngineError;
use crate::sys::process::random;

const ADJECTIVES: [&str; 32] = [
    "able", "amber", "brave", "bright", "brisk", "calm", "clear", "clever", "cosy", "eager",
    "early", "fair", "fond", "gentle", "glad", "happy", "keen", "kind", "lively", "lucid", "merry",
    "mild", "neat", "noble", "proud", "quick", "quiet", "sharp", "steady", "sunny", "warm", "wise",
];
const NOUNS: [&str; 32] = [
    "alder", "aspen", "badger", "beaver", "birch", "cedar", "crane", "curlew", "dipper", "egret",
    "falcon", "finch", "gull", "hazel", "heron", "ibis", "juniper", "kestrel", "larch", "lark",
    "linnet", "maple", "marten", "oak", "osprey", "otter", "plover", "raven", "rowan", "sorrel",
    "swift", "willow",
];

/// A new container id: 64 hexadecimal digits. One of digits alone could be taken for a number, so it is not given.
pub fn new_id() -> Result<String, EngineError> {
    loop {
        let bytes = random::<32>().map_err(EngineError::system("read random numbers"))?;
        let id: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        if !id[..12].bytes().all(|digit| digit.is_ascii_digit()) {
            return Ok(id);
        }
    }
}

/// A name for a container that was given none; `taken` tells which are in use.
pub fn invent(taken: impl Fn(&str) -> bool) -> Result<String, EngineError> {
    for attempt in 0_u32.. {
        let [first, second, number] =
            random::<3>().map_err(EngineError::system("read random numbers"))?;
        let mut name = format!(
            "{}_{}",
            ADJECTIVES[usize::from(first) % 32],
            NOUNS[usize::from(second) % 32]
        );
        if attempt > 4 {
            name = format!("{name}{attempt}{number}");
        }
        if !taken(&name) {
            return Ok(name);
        }
    }
    unreachable!("the numbers in the names never end")
}

/// Docker's rule for names of containers and volumes, with a length that every filesystem takes.
pub fn is_valid(name: &str) -> bool {
    name.len() >= 2 && is_of_network(name)
}

/// The same for networks, to which one letter is a name.
pub fn is_of_network(name: &str) -> bool {
    let bytes = name.as_bytes();
    (1..=255).contains(&bytes.len())
        && bytes[0].is_ascii_alphanumeric()
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validity() {
        for (name, valid) in [
            ("web", true),
            ("a1", true),
            ("shop-web_1.old", true),
            ("", false),
            ("a", false),
            ("-web", false),
            ("_web", false),
            ("we b", false),
            ("../x", false),
            ("wéb", false),
            ("a\n", false),
        ] {
            assert_eq!(is_valid(name), valid, "{name:?}");
        }
        assert!(is_of_network("a") && !is_of_network("") && !is_of_network("_"));
        assert!(is_valid(&"x".repeat(255)) && !is_valid(&"x".repeat(256)));
    }

    #[test]
    fn invented_names_are_valid_and_avoid_those_in_use() {
        let first = invent(|_| false).unwrap();
        assert!(is_valid(&first));
        let other = invent(|name| !name.ends_with(|c: char| c.is_ascii_digit())).unwrap();
        assert!(is_valid(&other));
        assert_eq!(new_id().unwrap().len(), 64);
    }
}
