//! `dray login` and `dray logout`: what they say, what they write and whom they tell; compared with docker 28's client.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test files need no durable writer; a broken set-up should panic"
)]

mod common;

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use common::Scratch;
use common::fed;
use common::registry::{Access, Registry};

/// A person at a device, with a configuration of docker's.
struct Person {
    scratch: Scratch,
}

impl Person {
    fn new() -> Person {
        let scratch = Scratch::new("login");
        std::fs::write(scratch.join("dray.ini"), "").unwrap();
        Person { scratch }
    }

    fn config(&self) -> PathBuf {
        self.scratch.join("docker/config.json")
    }

    fn configure(&self, json: &str) {
        std::fs::create_dir_all(self.scratch.join("docker")).unwrap();
        std::fs::write(self.config(), json).unwrap();
    }

    /// Whether it succeeded, and what it said.
    fn says(&self, words: &[&str], input: &str) -> (bool, String, String) {
        let path = std::env::var("PATH").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_dray"));
        command
            .args(words)
            .env_clear()
            .env("PATH", format!("{}:{path}", self.scratch.path().display()))
            .env("DRAY_CONFIG", self.scratch.join("dray.ini"))
            .env("DOCKER_CONFIG", self.scratch.join("docker"));
        let output = fed(&mut command, input.as_bytes());
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.success(),
            text(output.stdout),
            text(output.stderr),
        )
    }
}

fn user() -> (String, String) {
    ("user".to_owned(), "secret".to_owned())
}

/// "user:secret" in base64.
const PAIR: &str = "dXNlcjpzZWNyZXQ=";

#[test]
fn a_login_is_tried_and_then_kept_as_docker_keeps_it() {
    for access in [
        Access::Basic(user().0, user().1),
        Access::Bearer(Some(user())),
    ] {
        let registry = Registry::start();
        registry.access(access.clone());
        let host = registry.host();
        let person = Person::new();
        let config = person.config();
        let words = ["login", "-u", "user", "--password-stdin", &host];
        let warning = format!(
            "\nWARNING! Your credentials are stored unencrypted in '{}'.\nConfigure a credential helper to remove this \
             warning. See\nhttps://docs.docker.com/go/credential-store/\n\n",
            config.display()
        );
        // A wrong one is refused, and nothing is written.
        let (success, said, error) = person.says(&words, "wrong\n");
        assert!(!success && said.is_empty(), "{said}");
        let expected = match access {
            Access::Basic(..) => format!(
                "dray: login attempt to http://{host}/v2/ failed with status: 401 Unauthorized\n"
            ),
            _ => format!(
                "dray: its token server http://{host} gave no token: it answered with status 401, the credentials are refused\n"
            ),
        };
        assert_eq!(error, expected);
        assert!(!config.exists());
        let done = || (true, "Login Succeeded\n".to_owned());
        let (success, said, error) = person.says(&words, "secret\n");
        assert_eq!(
            ((success, said), error.as_str()),
            (done(), warning.as_str())
        );
        let written = format!(
            "{{\n\t\"auths\": {{\n\t\t\"{host}\": {{\n\t\t\t\"auth\": \"{PAIR}\"\n\t\t}}\n\t}}\n}}"
        );
        assert_eq!(std::fs::read_to_string(&config).unwrap(), written);
        let mode = |path: &PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(
            (mode(&config), mode(&person.scratch.join("docker"))),
            (0o600, 0o700)
        );
        // Again, and as URLs: no second warning, no second entry.
        for server in [
            host.clone(),
            format!("http://{host}"),
            format!("{host}/path/x"),
        ] {
            let words = ["login", "-u", "user", "--password-stdin", &server];
            let (success, said, error) = person.says(&words, "secret");
            assert_eq!(
                ((success, said), error),
                (done(), String::new()),
                "{server}"
            );
        }
        assert_eq!(std::fs::read_to_string(&config).unwrap(), written);
        // With what is kept.
        let (success, said, _) = person.says(&["login", &host], "");
        assert!(success, "{said}");
        assert_eq!(
            said,
            "Authenticating with existing credentials... [Username: user]\n\n Info -> To login with a different \
             account, run 'dray logout' followed by 'dray login'\n\nLogin Succeeded\n"
        );
        for expected in ["Removing login credentials for", "Not logged in to"] {
            let (success, said, error) = person.says(&["logout", &host], "");
            assert_eq!((success, error.as_str()), (true, ""));
            assert_eq!(said, format!("{expected} {host}\n"));
        }
        assert_eq!(
            std::fs::read_to_string(&config).unwrap(),
            "{\n\t\"auths\": {}\n}"
        );
        assert_eq!(mode(&config), 0o600);
    }
}

#[test]
fn what_else_docker_keeps_there_stays() {
    let registry = Registry::start();
    let host = registry.host();
    let person = Person::new();
    person.configure(
        r#"{"HttpHeaders":{"a":"b"},"auths":{"z.example":{"auth":"eDp5"}},"psFormat":"x"}"#,
    );
    let (success, ..) = person.says(
        &["login", "-u", "user", "--password-stdin", &host],
        "secret",
    );
    assert!(success);
    let (success, ..) = person.says(&["logout", &host], "");
    assert!(success);
    assert_eq!(
        std::fs::read_to_string(person.config()).unwrap(),
        "{\n\t\"HttpHeaders\": {\n\t\t\"a\": \"b\"\n\t},\n\t\"auths\": {\n\t\t\"z.example\": {\n\t\t\t\"auth\": \"eDp5\"\n\t\t}\n\t},\n\t\"psFormat\": \"x\"\n}"
    );
    // A file that is none is left alone.
    person.configure("{ secret");
    let (success, _, error) = person.says(&["login", "-u", "user", "--password-stdin", &host], "x");
    assert!(!success && error.contains("not valid at line 1"), "{error}");
    assert_eq!(
        std::fs::read_to_string(person.config()).unwrap(),
        "{ secret"
    );
}

/// The helper has the password, by its standard input; neither it nor dray has it among its words.
#[test]
fn helpers_are_told_by_their_standard_input() {
    let registry = Registry::start();
    registry.access(Access::Basic(user().0, user().1));
    let host = registry.host();
    let person = Person::new();
    let log = person.scratch.join("log");
    let helper = person.scratch.join("docker-credential-test");
    let script = format!(
        "#!/bin/sh\nprintf '%s|%s|' \"$*\" \"$(cat)\" >>{0}\ntr '\\0' ' ' </proc/$PPID/cmdline >>{0}\nprintf '\\n' >>{0}\n",
        log.display()
    );
    std::fs::write(&helper, script).unwrap();
    std::fs::set_permissions(&helper, PermissionsExt::from_mode(0o700)).unwrap();
    let dray = env!("CARGO_BIN_EXE_dray");
    for config in [
        r#"{"credsStore": "test"}"#.to_owned(),
        format!(r#"{{"credHelpers": {{"{host}": "test"}}}}"#),
    ] {
        person.configure(&config);
        let words = ["login", "-u", "user", "--password-stdin", &host];
        let (success, said, error) = person.says(&words, "secret");
        assert_eq!(
            (success, said.as_str(), error.as_str()),
            (true, "Login Succeeded\n", "")
        );
        let text = std::fs::read_to_string(person.config()).unwrap();
        assert!(text.contains(&format!("\"{host}\": {{}}")), "{text}");
        assert!(!text.contains(PAIR) && !text.contains("secret"), "{text}");
        let (success, ..) = person.says(&["logout", &host], "");
        assert!(success);
        let heard = std::fs::read_to_string(&log).unwrap();
        assert_eq!(
            heard,
            format!(
                "store|{{\"ServerURL\":\"{host}\",\"Username\":\"user\",\"Secret\":\"secret\"}}|{dray} {} \nget|{host}|{dray} logout {host} \nerase|{host}|{dray} logout {host} \n",
                words.join(" ")
            )
        );
        std::fs::remove_file(&log).unwrap();
    }
}

#[test]
fn words_that_are_refused() {
    let person = Person::new();
    let terminal = "dray: Cannot perform an interactive login from a non TTY device\n";
    let insecure = "dray: --password is not supported: everybody on the device can read a program's words; use --password-stdin\n";
    for (words, expected) in [
        (&["login", "-p", "secret", "x.example"][..], insecure),
        (&["login", "--password=secret", "-u", "user"], insecure),
        (&["login", "-psecret", "--password-stdin"], insecure),
        (
            &["login", "--password-stdin", "x.example"],
            "dray: the --password-stdin option requires --username to be set\n",
        ),
        (&["login", "x.example"], terminal),
        (&["login", "-u", "user", "x.example"], terminal),
        (
            &["login", "-u", "user", "--password-stdin", "x.example"],
            terminal,
        ),
        (
            &["login", "a b"],
            "dray: \"a b\" is no registry: HOST[:PORT] is\n",
        ),
        (
            &["logout", "a b"],
            "dray: \"a b\" is no registry: HOST[:PORT] is\n",
        ),
    ] {
        let (success, said, error) = person.says(words, "");
        assert!(!success && said.is_empty(), "{words:?}: {said}");
        assert_eq!(error, expected, "{words:?}");
        assert!(!error.contains("secret"));
    }
    let (success, said, _) = person.says(&["logout"], "");
    assert_eq!(
        (success, said.as_str()),
        (true, "Not logged in to https://index.docker.io/v1/\n")
    );
}

/// At a terminal the user is shown and the password is not, and nothing of it is left behind.
#[test]
fn a_person_is_asked_at_a_terminal() {
    let registry = Registry::start();
    registry.access(Access::Basic(user().0, user().1));
    let host = registry.host();
    for (keys, code, ending) in [
        ("secret\r", 0, "Password: \r\n\r\nLogin Succeeded\r\n"),
        ("secrex\x7ft\n", 0, "Password: \r\n\r\nLogin Succeeded\r\n"),
        ("wrong\r", 1, " failed with status: 401 Unauthorized\r\n"),
        ("secr\x03", 130, "Password: \r\ndray: interrupted\r\n"),
    ] {
        let person = Person::new();
        let pty = nix::pty::openpty(None, None).unwrap();
        let end = || Stdio::from(pty.slave.try_clone().unwrap());
        let mut child = Command::new(env!("CARGO_BIN_EXE_dray"))
            .args(["login", &host])
            .env_clear()
            .env("DRAY_CONFIG", person.scratch.join("dray.ini"))
            .env("DOCKER_CONFIG", person.scratch.join("docker"))
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        let before = nix::sys::termios::tcgetattr(&pty.slave).unwrap();
        let mut terminal = std::fs::File::from(pty.master);
        let mut shown = String::new();
        let mut until = |terminal: &mut std::fs::File, text: &str| {
            let mut buffer = [0; 256];
            while !shown.contains(text) {
                let read = terminal.read(&mut buffer).unwrap();
                shown.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
            }
            shown.clone()
        };
        until(&mut terminal, "Username: ");
        terminal.write_all(b"user\n").unwrap();
        until(&mut terminal, "Password: ");
        // The prompt comes before the terminal goes mute.
        while nix::sys::termios::tcgetattr(&pty.slave).unwrap() == before {
            std::thread::yield_now();
        }
        terminal.write_all(keys.as_bytes()).unwrap();
        let all = until(&mut terminal, ending.trim_start_matches("Password: \r\n"));
        assert_eq!(child.wait().unwrap().code(), Some(code), "{keys:?}: {all}");
        assert!(!all.contains("secr") && !all.contains("wrong"), "{all}");
        assert!(
            nix::sys::termios::tcgetattr(&pty.slave).unwrap() == before,
            "{keys:?}"
        );
        assert_eq!(person.config().exists(), code == 0);
    }
}
