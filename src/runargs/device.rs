//! `--device` and `--device-cgroup-rule`.

use crate::api::DeviceMapping;

/// `host[:container][:permissions]`.
pub(super) fn parse(text: &str) -> Result<DeviceMapping, String> {
    if is_cdi_name(text) {
        return Err(format!(
            "{text} is a CDI device name, which dray does not look up; give the device nodes themselves"
        ));
    }
    let parts: Vec<&str> = text.split(':').collect();
    let bad = || format!("bad format for path: {text}");
    let (host, container, permissions) = match parts[..] {
        ["", ..] => return Err(bad()),
        [host] => (host, host, "rwm"),
        [host, permissions] if is_permissions(permissions) => (host, host, permissions),
        [host, container] => (host, container, "rwm"),
        [host, container, permissions] if is_permissions(permissions) => {
            (host, container, permissions)
        }
        [_, _, mode] => return Err(format!("bad mode specified: {mode}")),
        _ => return Err(bad()),
    };
    if !container.starts_with('/') {
        return Err(format!("{container} is not an absolute path"));
    }
    // Docker's client cleans the path that it checked, and only in the short forms.
    let alone = parts.len() < 3;
    let cleaned = |path: &str| {
        if alone {
            super::volume::clean(path)
        } else {
            path.to_owned()
        }
    };
    let same = host == container;
    Ok(DeviceMapping {
        path_on_host: if same { cleaned(host) } else { host.to_owned() },
        path_in_container: cleaned(container),
        cgroup_permissions: permissions.to_owned(),
    })
}

/// Each of `r`, `w` and `m` at most once.
fn is_permissions(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .enumerate()
            .all(|(place, letter)| "rwm".contains(letter) && !text[..place].contains(letter))
}

/// `vendor.com/class=name`, the Container Device Interface's form.
fn is_cdi_name(text: &str) -> bool {
    let plain = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
    };
    text.split_once('=')
        .and_then(|(kind, device)| {
            kind.split_once('/')
                .map(|(vendor, class)| (vendor, class, device))
        })
        .is_some_and(|(vendor, class, device)| plain(vendor) && plain(class) && !device.is_empty())
}

/// `type major:minor permissions`.
pub(super) fn rule(text: &str) -> Result<String, String> {
    let number =
        |text: &str| text == "*" || !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let words: Vec<&str> = text.split(' ').collect();
    let valid = match words[..] {
        [kind, numbers, access] => {
            matches!(kind, "a" | "b" | "c")
                && numbers
                    .split_once(':')
                    .is_some_and(|(major, minor)| number(major) && number(minor))
                && (1..=3).contains(&access.len())
                && access.chars().all(|letter| "rwm".contains(letter))
        }
        _ => false,
    };
    match valid {
        true => Ok(text.to_owned()),
        false => Err(format!("invalid device cgroup format '{text}'")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_devices() {
        for (text, expected) in [
            ("/dev/a", Ok(("/dev/a", "/dev/a", "rwm"))),
            ("/dev//a/", Ok(("/dev/a", "/dev/a", "rwm"))),
            ("/dev/a:rw", Ok(("/dev/a", "/dev/a", "rw"))),
            ("/dev/a:/dev/b", Ok(("/dev/a", "/dev/b", "rwm"))),
            ("/dev/a:/dev/b:r", Ok(("/dev/a", "/dev/b", "r"))),
            ("/dev/a:/dev/b:rr", Err("bad mode specified: rr")),
            ("/dev/a:", Err(" is not an absolute path")),
            ("dev/a", Err("dev/a is not an absolute path")),
            (":/dev/a", Err("bad format for path: :/dev/a")),
            ("/a:/b:r:w", Err("bad format for path: /a:/b:r:w")),
            ("", Err("bad format for path: ")),
        ] {
            let got = parse(text);
            let got = got.as_ref().map(|d| {
                (
                    d.path_on_host.as_str(),
                    d.path_in_container.as_str(),
                    d.cgroup_permissions.as_str(),
                )
            });
            assert_eq!(
                got,
                expected.map_err(str::to_owned).as_ref().map(|d| *d),
                "{text}"
            );
        }
        assert!(
            parse("vendor.com/class=gpu0")
                .unwrap_err()
                .contains("CDI device name")
        );
    }

    #[test]
    fn reads_rules() {
        for text in ["c 1:3 rwm", "a *:* r", "b 8:* rrr"] {
            assert_eq!(rule(text).unwrap(), text);
        }
        for text in ["", "c 1:3", "c 1:3 rwmx", "d 1:3 r", "c 1 r", "c 1:3  r"] {
            assert_eq!(
                rule(text),
                Err(format!("invalid device cgroup format '{text}'"))
            );
        }
    }
}
