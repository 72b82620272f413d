//! What Linux takes of a text: how long paths, arguments and names may be, and of which characters.

use crate::api::Config;

/// Longest name of a file.
const MAX_PART: usize = 255;
/// Longest path, with the byte that ends it.
const MAX_PATH: usize = 4096;
/// Longest path in a container that can be mounted on, which leaves room for its root's own.
const MAX_MOUNT_POINT: usize = MAX_PATH - 256;
/// Longest argument or variable of a program, with the byte that ends it.
const MAX_STRING: usize = 128 << 10;
/// Longest host name, and longest domain name.
const MAX_NAME: usize = 64;

/// Refuses variables and words that no program can be started with.
pub fn strings(config: &Config) -> Result<(), String> {
    let variable = |text: &str| {
        let name = text.split('=').next().unwrap_or_default();
        format!("environment variable {:?}", super::error::shown(name))
    };
    for text in &config.env {
        string(text, || variable(text))?;
    }
    for list in [&config.entrypoint, &config.cmd] {
        for (number, text) in list.iter().flatten().enumerate() {
            string(text, || format!("word {} of the command", number + 1))?;
        }
    }
    Ok(())
}

fn string(text: &str, what: impl Fn() -> String) -> Result<(), String> {
    if text.contains('\0') {
        return Err(format!("{} has a NUL character, which ends a text", what()));
    }
    match text.len() < MAX_STRING {
        true => Ok(()),
        false => Err(format!(
            "{} has {} bytes, more than the {} that Linux takes",
            what(),
            text.len(),
            MAX_STRING - 1
        )),
    }
}

/// Refuses a path that no filesystem takes.
pub(super) fn path(path: &str) -> Result<(), String> {
    let long = path.split('/').find(|part| part.len() > MAX_PART);
    let (text, most) = match long {
        Some(part) => (part, MAX_PART),
        None if path.len() >= MAX_PATH => (path, MAX_PATH - 1),
        None => return Ok(()),
    };
    Err(format!(
        "path {:?}… has {} bytes in {}, more than the {most} that Linux takes",
        super::error::shown(path),
        text.len(),
        if long.is_some() { "one name" } else { "all" },
    ))
}

/// Refuses a mount point too that is too long below a container's root, as the host sees it.
pub(super) fn mount_point(target: &str) -> Result<(), String> {
    path(target)?;
    match target.len() > MAX_MOUNT_POINT {
        true => Err(format!(
            "path {:?}… has {} bytes, more than the {MAX_MOUNT_POINT} that a mount point can have: file name too long",
            super::error::shown(target),
            target.len(),
        )),
        false => Ok(()),
    }
}

/// Refuses a host or domain name that the kernel does not take, or that is more than one line of a file.
pub(super) fn name(what: &str, text: &str) -> Result<(), String> {
    if text.len() > MAX_NAME {
        return Err(format!(
            "{what} {text:?} is longer than the {MAX_NAME} characters that Linux allows"
        ));
    }
    one_line(what, text)
}

/// Refuses control characters in what becomes a line of a file.
pub(super) fn one_line(what: &str, text: &str) -> Result<(), String> {
    match text.contains(char::is_control) {
        true => Err(format!("{what} {text:?} has a control character")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_linux_takes() {
        let config = |env: String| Config {
            env: vec![env],
            ..Config::default()
        };
        let longest = format!("A={}", "x".repeat(MAX_STRING - 3));
        assert_eq!(strings(&config(longest.clone())), Ok(()));
        assert_eq!(
            strings(&config(longest + "x")).unwrap_err(),
            "environment variable \"A\" has 131072 bytes, more than the 131071 that Linux takes"
        );
        assert_eq!(path(&format!("/{}/b", "a".repeat(MAX_PART))), Ok(()));
        assert_eq!(path(&"/abc".repeat(1023)), Ok(()));
        assert_eq!(mount_point(&"/abc".repeat(960)), Ok(()));
        let refused = mount_point(&"/abc".repeat(1000)).unwrap_err();
        assert!(refused.contains("file name too long"), "{refused}");
        for (wrong, said) in [
            (
                format!("/{}", "a".repeat(256)),
                "256 bytes in one name, more than the 255",
            ),
            ("/abc".repeat(1024), "4096 bytes in all, more than the 4095"),
        ] {
            let refused = path(&wrong).unwrap_err();
            assert!(refused.contains(said), "{refused}");
        }
    }
}
