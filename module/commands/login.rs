//! `dray login` and `dray logout`: docker's words, and where docker keeps what they are about.

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;

use anyhow::{anyhow, bail};
use clap::Args;
use dray::registry::{Client, Kept, Login, registry_named};
use dray::sys::terminal::Raw;

use super::Context;
use crate::exit::Code;

/// What a person means by an empty line at a prompt.
const NOT_A_TERMINAL: &str = "Cannot perform an interactive login from a non TTY device";
/// Longest password; tokens have some thousand bytes.
const MAX_PASSWORD: u64 = 64 << 10;

#[derive(Debug, Args)]
pub struct Words {
    /// User
    #[arg(short, long)]
    username: Option<String>,
    /// Refused: everybody on the device can read a program's words
    #[arg(short, long, hide_short_help = true)]
    password: Option<String>,
    /// Read the password or token from standard input
    #[arg(long)]
    password_stdin: bool,
    /// Registry; docker.io if there is none
    server: Option<String>,
}

#[derive(Debug, Args)]
pub struct Logout {
    /// Registry; docker.io if there is none
    server: Option<String>,
}

/// `dray login`
pub fn login(context: &Context<'_>, words: &Words) -> anyhow::Result<ExitCode> {
    if words.password.is_some() {
        bail!(
            "--password is not supported: everybody on the device can read a program's words; use --password-stdin"
        );
    }
    if words.password_stdin && words.username.is_none() {
        bail!("the --password-stdin option requires --username to be set");
    }
    let registry = registry(words.server.as_deref())?;
    let client = Client::new(context.host, context.settings);
    let verify = |login: &Login| {
        client
            .login(&registry, login)
            .map_err(|e| anyhow!(e.problem))
    };
    let kept = match words.username {
        Some(_) => None,
        None => Login::kept(context.host, &registry)?,
    };
    if let Some(kept) = kept {
        println!(
            "Authenticating with existing credentials... [Username: {}]\n\n Info -> To login with a different account, \
             run 'dray logout' followed by 'dray login'\n",
            kept.user()
        );
        match verify(&kept) {
            Ok(()) => {
                println!("Login Succeeded");
                return Ok(ExitCode::SUCCESS);
            }
            Err(error) => eprintln!("Login did not succeed, error: {error}"),
        }
    }
    let user = match &words.username {
        Some(user) => user.clone(),
        None => asked("Username: ", false)?,
    };
    let password = match words.password_stdin {
        true => line_of_input()?,
        false => asked("Password: ", true)?,
    };
    if user.is_empty() || password.is_empty() {
        bail!("{NOT_A_TERMINAL}");
    }
    let login = Login::new(&user, password);
    verify(&login)?;
    if let Kept::File(path, true) = login.keep(context.host, &registry)? {
        eprintln!(
            "\nWARNING! Your credentials are stored unencrypted in '{}'.\nConfigure a credential helper to remove this \
             warning. See\nhttps://docs.docker.com/go/credential-store/\n",
            path.display()
        );
    }
    println!("Login Succeeded");
    Ok(ExitCode::SUCCESS)
}

/// `dray logout`
pub fn logout(context: &Context<'_>, words: &Logout) -> anyhow::Result<ExitCode> {
    let registry = registry(words.server.as_deref())?;
    let shown = match registry.as_str() {
        "docker.io" => "https://index.docker.io/v1/",
        registry => registry,
    };
    match Login::kept(context.host, &registry) {
        Ok(None) => println!("Not logged in to {shown}"),
        // What cannot be read may still be taken away.
        Ok(Some(_)) | Err(_) => println!("Removing login credentials for {shown}"),
    }
    Login::forget(context.host, &registry)?;
    Ok(ExitCode::SUCCESS)
}

fn registry(server: Option<&str>) -> anyhow::Result<String> {
    registry_named(server).ok_or_else(|| {
        anyhow!(
            "{:?} is no registry: HOST[:PORT] is",
            server.unwrap_or_default()
        )
    })
}

/// A line that a person types at a terminal, shown or not.
fn asked(question: &str, hidden: bool) -> anyhow::Result<String> {
    let input = io::stdin();
    if !input.is_terminal() {
        bail!("{NOT_A_TERMINAL}");
    }
    print!("{question}");
    io::stdout().flush()?;
    if hidden {
        let raw = Raw::new(input.as_fd())?;
        let line = hidden_line(input.lock());
        drop(raw);
        // The person's own line end was not shown either.
        println!();
        return line;
    }
    let mut line = String::new();
    input.read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// A line from a terminal that leaves all keys to us: also the one that would end the program and leave the terminal
/// mute.
fn hidden_line(input: impl BufRead) -> anyhow::Result<String> {
    let mut line = Vec::new();
    for byte in input.bytes() {
        match byte? {
            b'\r' | b'\n' | END_OF_INPUT => break,
            INTERRUPT => return Err(anyhow!("interrupted").context(Code(INTERRUPTED))),
            BACKSPACE | DELETE => drop(line.pop()),
            key => line.push(key),
        }
    }
    Ok(String::from_utf8(line)?)
}

const INTERRUPT: u8 = 3;
const END_OF_INPUT: u8 = 4;
const BACKSPACE: u8 = 8;
const DELETE: u8 = 127;
/// Exit code after Ctrl-C, as shells have it.
const INTERRUPTED: u8 = 130;

fn line_of_input() -> anyhow::Result<String> {
    let mut text = String::new();
    io::stdin().take(MAX_PASSWORD).read_to_string(&mut text)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
