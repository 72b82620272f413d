//! `dray-docs FOLDER`: the manual pages and the shell completions of `dray` and `docker-artifact-gen`, out of the parsers that
//! these programs have, so that they cannot differ from them. It is a program of its own because a device has no room for it.
//!
//! ```text
//! FOLDER/man1             dray.1, dray-WORD.1, docker-artifact-gen.1
//! FOLDER/man5             dray.ini.5
//! FOLDER/completions      bash, zsh and fish, each with the names that the shell looks for
//! ```
//!
//! The same sources give the same bytes.

// What the two programs are made of: of most of it only the definition of its words is wanted here.
#[expect(dead_code, reason = "only the words are wanted")]
#[path = "../commands/mod.rs"]
mod commands;
#[expect(dead_code, reason = "only the words are wanted")]
#[path = "../exit.rs"]
mod exit;
#[expect(dead_code, reason = "only the words are wanted")]
#[path = "../update_module.rs"]
mod update_module;

#[expect(dead_code, reason = "only the words are wanted")]
#[path = "../../artifact-gen/args.rs"]
mod args;
#[path = "../../artifact-gen/assume.rs"]
mod assume;
#[path = "../../artifact-gen/carried.rs"]
mod carried;
#[expect(dead_code, reason = "only the words are wanted")]
#[path = "../../artifact-gen/compose.rs"]
mod compose;
#[expect(dead_code, reason = "only the words are wanted")]
#[path = "../../artifact-gen/embed.rs"]
mod embed;
#[expect(dead_code, reason = "only the words are wanted")]
#[path = "../../artifact-gen/existing.rs"]
mod existing;
#[expect(dead_code, reason = "only the words are wanted")]
#[path = "../../artifact-gen/files.rs"]
mod files;
#[path = "../../artifact-gen/local.rs"]
mod local;
#[path = "../../artifact-gen/manual.rs"]
mod manual;
#[path = "../../artifact-gen/origin.rs"]
mod origin;
#[expect(dead_code, reason = "only the words are wanted")]
#[path = "../../artifact-gen/output.rs"]
mod output;
#[path = "../../artifact-gen/passthrough.rs"]
mod passthrough;
#[path = "../../artifact-gen/platform.rs"]
mod platform;
#[expect(dead_code, reason = "only the words are wanted")]
#[path = "../../artifact-gen/progress.rs"]
mod progress;
#[expect(dead_code, reason = "only the words are wanted")]
#[path = "../../artifact-gen/refusal.rs"]
mod refusal;
#[expect(dead_code, reason = "only the words are wanted")]
#[path = "../../artifact-gen/show.rs"]
mod show;
#[expect(dead_code, reason = "only the words are wanted")]
#[path = "../../artifact-gen/signer.rs"]
mod signer;
#[path = "../../artifact-gen/size.rs"]
mod size;

mod device;
mod generator;
mod help;
mod page;
mod settings;
mod tables;
mod words;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Command;
use clap_complete::{Shell, generate};
use dray::sys;

/// Where a file goes in the folder, and what is in it.
type File = (String, Vec<u8>);

fn main() -> ExitCode {
    match write() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dray-docs: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn write() -> anyhow::Result<()> {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let [folder] = &words[..] else {
        bail!("usage: dray-docs FOLDER");
    };
    let mut files = device::pages()?;
    files.extend(generator::pages()?);
    files.push(settings::page()?);
    files.extend(completions(&words::command()));
    files.extend(completions(&generator::command()?));
    for (name, content) in files {
        let path = Path::new(folder).join(name);
        let shown = || format!("failed to write {}", path.display());
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(shown)?;
        }
        // Made anew at any time: what a power cut leaves of them matters to nobody.
        sys::fs::replace_volatile(&path, 0o644, &content).with_context(shown)?;
    }
    Ok(())
}

/// The completions of a program, under the names by which each shell finds them.
fn completions(command: &Command) -> Vec<File> {
    let name = command.get_name();
    let places = [
        (Shell::Bash, format!("completions/bash/{name}")),
        (Shell::Zsh, format!("completions/zsh/_{name}")),
        (Shell::Fish, format!("completions/fish/{name}.fish")),
    ];
    let written = places.map(|(shell, path)| (path, completion(shell, command)));
    written.into()
}

fn completion(shell: Shell, command: &Command) -> Vec<u8> {
    let name = command.get_name();
    let mut content = Vec::new();
    if shell != Shell::Bash || !name.contains('-') {
        generate(shell, &mut command.clone(), name, &mut content);
        return content;
    }
    // clap_complete 4.6 loses the words below a program with a dash in its name (clap issue 6421): another name, up to where
    // bash is told whose completions these are.
    let plain = name.replace('-', "_");
    generate(shell, &mut command.clone(), &plain, &mut content);
    let text = String::from_utf8_lossy(&content);
    let told = |name: &str| format!(" -o default {name}\n");
    text.replace(&told(&plain), &told(name)).into_bytes()
}
