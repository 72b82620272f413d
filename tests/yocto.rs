//! The Yocto layer against the package it builds, as far as that can be told without BitBake.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::Scratch;
use dray::config::Settings;
use dray::host::Host;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn recipe() -> String {
    let name = format!(
        "yocto/recipes-containers/dray/dray_{}.bb",
        env!("CARGO_PKG_VERSION")
    );
    fs::read_to_string(path(&name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Name, version and checksum of every crate that comes from outside.
fn locked() -> Vec<(String, String)> {
    let lock = fs::read_to_string(path("Cargo.lock")).unwrap();
    let value = |package: &str, key: &str| {
        let line = package.lines().find_map(|line| line.strip_prefix(key))?;
        Some(line.trim_matches('"').to_owned())
    };
    let crates = lock.split("[[package]]").skip(1).filter_map(|package| {
        let name = format!(
            "{}/{}",
            value(package, "name = ")?,
            value(package, "version = ")?
        );
        Some((name, value(package, "checksum = ")?))
    });
    crates.collect()
}

#[test]
fn the_crates_are_those_of_the_lock_file() {
    let list = fs::read_to_string(path("yocto/recipes-containers/dray/dray-crates.inc")).unwrap();
    let printed = Command::new(path("yocto/update-crates.sh"))
        .arg("-")
        .output()
        .unwrap();
    let advice = "Cargo.lock has changed: run yocto/update-crates.sh";
    assert!(list.as_bytes() == printed.stdout, "{advice}");
    // And the script against this test's own reading.
    let locked = locked();
    assert!(locked.len() > 100);
    for (name, checksum) in &locked {
        assert!(
            list.contains(&format!("    crate://crates.io/{name} \\\n")),
            "{name}"
        );
        let file = name.replace('/', "-");
        assert!(
            list.contains(&format!("SRC_URI[{file}.sha256sum] = \"{checksum}\"\n")),
            "{name}"
        );
    }
    assert_eq!(list.lines().count(), 2 * locked.len() + 5);
}

#[test]
fn the_recipe_names_what_there_is() {
    let recipe = recipe();
    let licence = Command::new("md5sum")
        .arg(path("LICENSE"))
        .output()
        .unwrap();
    let sum = String::from_utf8(licence.stdout).unwrap();
    let sum = sum.split_whitespace().next().unwrap();
    assert!(recipe.contains(&format!("file://LICENSE;md5={sum}")));
    let sources: Vec<&str> = recipe
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("${S}/"))
        .collect();
    assert_eq!(sources.len(), 7);
    for source in sources {
        assert!(path(source).is_file(), "{source}");
    }
}

/// The edit that puts state on Mender's data partition, made on the shipped file and read by the program's own reader.
#[test]
fn state_moves_to_the_data_partition() {
    let recipe = recipe();
    let line = recipe
        .lines()
        .find_map(|line| line.trim().strip_prefix("sed -i "))
        .unwrap();
    let edit = line.rsplit_once(' ').unwrap().0;
    let scratch = Scratch::new("yocto");
    let host = Host::at(scratch.path());
    let copy = format!("mkdir -p \"${{2%/*}}\" && sed {edit} \"$1\" >\"$2\"");
    let mut shell = Command::new("sh");
    shell
        .args(["-euc", &copy, "sh"])
        .arg(path("module/dist/dray.ini"))
        .arg(&host.config);
    assert!(shell.status().unwrap().success());
    let settings = Settings::load(&host).unwrap();
    assert_eq!(settings.apply(host).state, Path::new("/data/dray"));
}
