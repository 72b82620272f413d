//! `--detach-keys`: the keys that give a terminal back and leave what runs in it running.

/// Docker's own: ctrl-p ctrl-q.
pub const DEFAULT: [u8; 2] = [16, 17];

/// The bytes of keys as Docker writes them: single characters and `ctrl-X`, with commas between. No keys at all mean the
/// usual ones.
pub fn parse(text: &str) -> Result<Vec<u8>, String> {
    if text.is_empty() {
        return Ok(DEFAULT.to_vec());
    }
    let keys: Option<Vec<u8>> = text.split(',').map(key).collect();
    keys.ok_or_else(|| {
        format!(
            "invalid detach keys ({text}): use single characters and ctrl-<key> with commas between, such as ctrl-p,ctrl-q"
        )
    })
}

fn key(text: &str) -> Option<u8> {
    match (text, text.as_bytes()) {
        ("DEL", _) => Some(127),
        (_, [byte]) => Some(*byte),
        (_, [b'c', b't', b'r', b'l', b'-', key]) => match key {
            b'a'..=b'z' => Some(key - b'a' + 1),
            b'@' => Some(0),
            b'['..=b'_' => Some(key - b'[' + 27),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_docker_s() {
        for (text, keys) in [
            ("", Some(vec![16, 17])),
            ("ctrl-p,ctrl-q", Some(vec![16, 17])),
            ("ctrl-x,x", Some(vec![24, b'x'])),
            (
                "ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_,DEL",
                Some(vec![0, 27, 28, 29, 30, 31, 127]),
            ),
            ("Q", Some(vec![b'Q'])),
            ("ctrl-A", None),
            ("ctrl-", None),
            ("ctrl-ab", None),
            ("a,,b", None),
            ("ab", None),
            ("é", None),
        ] {
            assert_eq!(parse(text).ok(), keys, "{text}");
        }
    }
}
