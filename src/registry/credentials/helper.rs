//! Credential helpers: programs named `docker-credential-NAME` that keep secrets, docker's protocol.

use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde::Deserialize;

use super::{Credential, Secret, key, unusable};
use crate::host::Host;
use crate::oci::stream::read_limited;
use crate::registry::error::Problem;
use crate::sys::terminate;

/// What a credential helper may print.
const MAX_OUTPUT: u64 = 64 << 10;
/// How long a credential helper may take; it has nobody to ask on a device.
const TIME: Duration = Duration::from_secs(30);

/// How often whoever waits for one looks whether he still has to.
const SLICE: Duration = Duration::from_millis(100);

/// What a credential helper prints.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Helped {
    username: String,
    secret: Secret,
}

/// Tells a helper something that it answers with nothing but success.
pub(in crate::registry) fn tell(
    host: &Host,
    name: &str,
    verb: &str,
    text: &str,
) -> Result<(), Problem> {
    match talk(host, name, verb, text)? {
        (true, _) => Ok(()),
        (false, output) => {
            // Nothing to erase is as good as erased.
            let is_absent = String::from_utf8_lossy(&output).contains("credentials not found");
            match verb {
                "erase" if is_absent => Ok(()),
                _ => {
                    let cause = format!("its {verb} failed; run it by hand to see why");
                    Err(unusable(Path::new(&program(name)), cause))
                }
            }
        }
    }
}

fn talk(host: &Host, name: &str, verb: &str, text: &str) -> Result<(bool, Vec<u8>), Problem> {
    let program = program(name);
    let failed = |cause: String| unusable(Path::new(&program), cause);
    if name.contains('/') {
        let cause = "the name of a credential helper has no slash".to_owned();
        return Err(failed(cause));
    }
    run(host, &program, verb, text).map_err(|error| failed(error.to_string()))
}

pub fn program(name: &str) -> String {
    format!("docker-credential-{name}")
}

/// Asks `docker-credential-NAME get`: the registry on its standard input, JSON on its standard output.
pub fn ask(host: &Host, name: &str, registry: &str) -> Result<Option<Credential>, Problem> {
    let failed = |cause: String| unusable(Path::new(&program(name)), cause);
    let (status, output) = talk(host, name, "get", key(registry))?;
    if !status {
        // The protocol has only this sentence for "I know no such registry".
        let text = String::from_utf8_lossy(&output);
        if text.contains("credentials not found") {
            return Ok(None);
        }
        // What else it says may be as secret as what it keeps.
        return Err(failed("it failed; run it by hand to see why".to_owned()));
    }
    let helped: Helped = serde_json::from_slice(&output)
        .map_err(|_| failed("it printed something else than Username and Secret".to_owned()))?;
    Ok(Some(match helped.username.as_str() {
        "<token>" => Credential::Identity(helped.secret),
        user => Credential::Password(user.to_owned(), helped.secret),
    }))
}

/// Whether the helper succeeded, and what it printed.
fn run(host: &Host, program: &str, verb: &str, text: &str) -> io::Result<(bool, Vec<u8>)> {
    let mut child = Command::new(program)
        .arg(verb)
        .env_clear()
        .envs(&host.env)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // A helper that ends without reading says in its answer why.
        let _ = input.write_all(text.as_bytes());
    }
    let output = child.stdout.take();
    let (done, finished) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        let output = output.map_or(Ok(Vec::new()), |output| read_limited(output, MAX_OUTPUT));
        // Nobody listens any more when the time was up.
        let _ = done.send(());
        output
    });
    let in_time = (0..TIME.as_millis() / SLICE.as_millis()).any(|_| {
        // It is not waited for when this process is asked to end.
        !terminate::requested() && finished.recv_timeout(SLICE).is_ok()
    });
    if !in_time {
        child.kill()?;
    }
    let status = child.wait()?;
    if !in_time {
        // Whoever inherited the pipe from the helper may keep it open; the reader is not waited for.
        return Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "it did not answer in time",
        ));
    }
    let output = reader
        .join()
        .map_err(|_| io::Error::other("its output could not be read"))??;
    Ok((status.success(), output))
}
