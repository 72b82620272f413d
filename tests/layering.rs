//! The walls between the rooms: imports only go down, dangerous crates have one user each, files stay small.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

/// Rooms by rank; those in one row are strangers to each other. A room imports only from rows above its own.
const RANKS: &[&[&str]] = &[
    &["sys"],
    &["host"],
    &["oci", "tarball"],
    &["api"],
    &["runargs", "config"],
    &["trust"],
    &["registry", "archive", "store", "unpack", "artifact"],
    &["images"],
    &["engine"],
    &["deploy"],
    &["standalone"],
];

/// The workstation program sees the ranks up to the carriers, and of those only what it needs.
const HIGHEST_FOR_GENERATOR: usize = 6;
const DEVICE_ONLY: &[&str] = &["store", "unpack"];

/// A word, the only path that may use it, and why.
const FENCES: &[(&str, &str, &str)] = &[
    ("unsafe", "src/sys/", "unsafe code has one room"),
    ("unsafe_code", "src/sys/", "nobody else lifts the lint"),
    ("nix", "src/sys/", "system calls have one room"),
    ("libc", "src/sys/", "system calls have one room"),
    (
        "libcontainer",
        "src/engine/runtime/libcontainer.rs",
        "the runtime is called from one file",
    ),
    ("ureq", "src/registry/http/", "HTTP has one user"),
    ("rustls", "src/registry/", "TLS has one room"),
    (
        "lzma_rust2",
        "src/artifact/xz/",
        "xz has one reader and one writer",
    ),
];

/// Production lines of one file; beyond that it holds two things.
const MAX_LINES: usize = 600;

/// Everything wrong with one file.
fn defects(path: &str, text: &str) -> Vec<String> {
    let code = production(text);
    let mut found = Vec::new();
    for (number, line) in code.iter().enumerate() {
        for (word, home, why) in FENCES {
            let used = words(line).any(|used| used == *word) && !names_own_module(&code, word);
            if used && !path.starts_with(home) {
                let number = number + 1;
                found.push(format!("{path}:{number}: `{word}` outside {home}: {why}"));
            }
        }
    }
    let rooms = imported_rooms(path, &code.join("\n"));
    let refused = rooms.iter().filter_map(|room| refuse_import(path, room));
    found.extend(refused.map(|problem| format!("{path}: {problem}")));
    if code.len() > MAX_LINES {
        let lines = code.len();
        found.push(format!(
            "{path}: {lines} production lines, more than {MAX_LINES}: split it"
        ));
    }
    found
}

/// The lines above the unit tests, without comments and text.
fn production(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let tests = lines
        .windows(2)
        .position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod tests {"));
    lines[..tests.unwrap_or(lines.len())]
        .iter()
        .map(|line| {
            let line = line.replace("'\"'", "").replace("\\\"", "");
            let outside_text: Vec<&str> = line.split('"').step_by(2).collect();
            let line = outside_text.join("\"\"");
            line.split_once("//")
                .map_or(line.as_str(), |(code, _)| code)
                .to_owned()
        })
        .collect()
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_')
}

/// The file that calls libcontainer has its name; whoever declares that module means it, not the crate.
fn names_own_module(code: &[String], word: &str) -> bool {
    let declaration = format!("mod {word};");
    code.iter().any(|line| line.trim() == declaration)
}

/// The rooms a file names: after `crate::` and `dray::`, and after `super::` where that is the crate.
fn imported_rooms(path: &str, code: &str) -> Vec<String> {
    let root_of_room = path.strip_prefix("src/").is_some_and(|below| {
        !below.contains('/') || below.ends_with("/mod.rs") && below.matches('/').count() == 1
    });
    let mut prefixes = vec!["crate::", "dray::"];
    if root_of_room {
        prefixes.push("super::");
    }
    let mut rooms = Vec::new();
    for prefix in prefixes {
        for (at, _) in code.match_indices(prefix) {
            let after = &code[at + prefix.len()..];
            let named: Vec<String> = match after.strip_prefix('{') {
                Some(group) => first_words(group),
                None => words(after).next().map(str::to_owned).into_iter().collect(),
            };
            let known = |room: &String| RANKS.iter().any(|row| row.contains(&room.as_str()));
            rooms.extend(named.into_iter().filter(known));
        }
    }
    rooms.sort();
    rooms.dedup();
    rooms
}

/// The first word of each item of a `{a, b::{c, d}, e}` group, its opening brace already gone.
fn first_words(group: &str) -> Vec<String> {
    let mut items = vec![String::new()];
    let mut depth = 0;
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => items.push(String::new()),
            _ => {
                depth += i32::from(c == '{') - i32::from(c == '}');
                items.last_mut().unwrap().push(c);
            }
        }
    }
    let first = |item: &String| words(item.trim()).next().map(str::to_owned);
    items.iter().filter_map(first).collect()
}

fn refuse_import(path: &str, imported: &str) -> Option<String> {
    let rank = |room: &str| RANKS.iter().position(|row| row.contains(&room));
    let imported_rank = rank(imported)?;
    if let Some(below) = path.strip_prefix("src/") {
        let own = below.split(['/', '.']).next()?;
        if own == imported {
            return None;
        }
        return match rank(own) {
            None => Some(format!("room {own:?} has no rank in tests/layering.rs")),
            Some(own_rank) if imported_rank < own_rank => None,
            Some(_) => Some(format!(
                "{own} must not import {imported}, which is not below it"
            )),
        };
    }
    let refused = path.starts_with("artifact-gen/")
        && (imported_rank > HIGHEST_FOR_GENERATOR || DEVICE_ONLY.contains(&imported));
    refused.then(|| format!("the generator must not import {imported}"))
}

fn sources(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

#[test]
fn every_file_keeps_to_its_room() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for dir in ["src", "module", "artifact-gen"] {
        sources(&root.join(dir), &mut files);
    }
    assert!(files.len() > 20, "only {} files found", files.len());
    let mut found = Vec::new();
    for file in files.iter().filter(|file| !file.ends_with("tests.rs")) {
        let name = file.strip_prefix(root).unwrap().to_str().unwrap();
        found.extend(defects(name, &fs::read_to_string(file).unwrap()));
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

/// The check itself: each row is a file that must be refused, with the one defect it has.
#[test]
fn defects_are_noticed() {
    let long = "fn f() {}\n".repeat(601);
    for (path, text, defect) in [
        (
            "src/oci/mod.rs",
            "use crate::engine::Engine;",
            "src/oci/mod.rs: oci must not import engine, which is not below it",
        ),
        (
            "src/oci/a.rs",
            "fn f(e: &crate::engine::Engine) {}",
            "src/oci/a.rs: oci must not import engine, which is not below it",
        ),
        (
            "src/sys/mod.rs",
            "use super::host::Host;",
            "src/sys/mod.rs: sys must not import host, which is not below it",
        ),
        (
            "src/store/mod.rs",
            "use crate::{host::Host, registry::{Client, x}, sys};",
            "src/store/mod.rs: store must not import registry, which is not below it",
        ),
        (
            "src/helpers.rs",
            "use crate::oci::Digest;",
            "src/helpers.rs: room \"helpers\" has no rank in tests/layering.rs",
        ),
        (
            "artifact-gen/main.rs",
            "use dray::engine::Engine;",
            "artifact-gen/main.rs: the generator must not import engine",
        ),
        (
            "artifact-gen/main.rs",
            "use dray::{oci::Digest, store};",
            "artifact-gen/main.rs: the generator must not import store",
        ),
        (
            "src/images/mod.rs",
            "\nlet x = \"it's\"; unsafe { f() }",
            "src/images/mod.rs:2: `unsafe` outside src/sys/: unsafe code has one room",
        ),
        (
            "src/images/mod.rs",
            "#![allow(unsafe_code)]",
            "src/images/mod.rs:1: `unsafe_code` outside src/sys/: nobody else lifts the lint",
        ),
        (
            "module/main.rs",
            "use nix::unistd;",
            "module/main.rs:1: `nix` outside src/sys/: system calls have one room",
        ),
        (
            "src/host.rs",
            "let e = libc::EINVAL;",
            "src/host.rs:1: `libc` outside src/sys/: system calls have one room",
        ),
        (
            "src/engine/mod.rs",
            "use libcontainer::container::Container;",
            "src/engine/mod.rs:1: `libcontainer` outside src/engine/runtime/libcontainer.rs: \
             the runtime is called from one file",
        ),
        (
            "src/registry/auth.rs",
            "let agent = ureq::agent();",
            "src/registry/auth.rs:1: `ureq` outside src/registry/http/: HTTP has one user",
        ),
        (
            "src/oci/mod.rs",
            &long,
            "src/oci/mod.rs: 601 production lines, more than 600: split it",
        ),
    ] {
        assert_eq!(defects(path, text), [defect]);
    }
}

#[test]
fn what_is_allowed_passes() {
    for (path, text) in [
        ("src/sys/mount.rs", "unsafe { libc::umount2(p, 0) }"),
        (
            "src/engine/mod.rs",
            "use crate::{api::Config, images::{Image, Images}};",
        ),
        (
            "src/engine/runtime/mod.rs",
            "mod libcontainer; // calls libcontainer\npub use libcontainer::start;\nlet x = \"unsafe\\\" nix\";",
        ),
        (
            "src/engine/runtime/libcontainer.rs",
            "use libcontainer::oci_spec::runtime::Spec;",
        ),
        (
            "src/oci/mod.rs",
            "#[cfg(test)]\nmod tests {\nuse crate::engine::Engine;",
        ),
        ("src/oci/digest/mod.rs", "use super::engine;"),
        ("artifact-gen/main.rs", "use dray::registry::Client;"),
        ("module/main.rs", "use dray::deploy::run;"),
    ] {
        assert_eq!(defects(path, text), [""; 0], "{path}");
    }
}
