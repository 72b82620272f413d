//! Signatures, checked both ways: ours by Debian's mender-artifact 3.9, and its by us.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test files need no durable writer; a test fails by panicking"
)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::Scratch;
use common::image::{Entry, Image, Layer};
use common::registry::Registry;

/// Key pairs: what openssl makes them with, and the forms of the private half that are to be read.
const KEYS: &[(&str, &[&str])] = &[
    ("rsa2048", &["genrsa -traditional 2048", "genrsa 2048"]),
    ("rsa3072", &["genrsa -traditional 3072", "genrsa 3072"]),
    ("rsa4096", &["genrsa -traditional 4096", "genrsa 4096"]),
    (
        "p256",
        &[
            "ecparam -genkey -name prime256v1 -noout",
            // With the curve in a block of its own before the key.
            "ecparam -genkey -name prime256v1",
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256",
        ],
    ),
];

/// A folder with keys, and a registry for the generator.
struct Desk {
    registry: Registry,
    scratch: Scratch,
}

impl Desk {
    fn new() -> Desk {
        let registry = Registry::start();
        let image = Image::oci([Layer::of(&[Entry::file("content", "web")])]).build();
        registry.push("shop/web", "1", &image);
        Desk {
            registry,
            scratch: Scratch::new("signing"),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    /// Makes a key pair, `NAME.pem` and `NAME.pub`, by one of openssl's commands.
    fn key(&self, name: &str, command: &str) -> PathBuf {
        let (key, public) = (
            self.path(&format!("{name}.pem")),
            self.path(&format!("{name}.pub")),
        );
        let made = Command::new("openssl")
            .args(command.split(' '))
            .output()
            .unwrap();
        assert!(made.status.success(), "{command}");
        fs::write(&key, made.stdout).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        self.openssl(&format!("pkey -in {name}.pem -pubout -out {name}.pub"));
        assert!(public.exists());
        key
    }

    fn openssl(&self, words: &str) {
        let mut command = Command::new("openssl");
        command
            .args(words.split(' '))
            .current_dir(self.scratch.path());
        succeed(command.output().unwrap());
    }

    fn ours(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_docker-artifact-gen"));
        let host = self.registry.host() + "/";
        command.args(words.iter().map(|word| word.replace("R/", &host)));
        command.current_dir(self.scratch.path());
        command
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap());
        command
            .env("DRAY_CONFIG", "/dev/null")
            .env("DOCKER_CONFIG", self.scratch.path());
        command.output().unwrap()
    }

    fn theirs(&self, words: &[&str]) -> Output {
        let mut command = Command::new("mender-artifact");
        command.args(words).current_dir(self.scratch.path());
        command.output().unwrap()
    }

    /// Makes an artifact with these options before `--`.
    fn make(&self, file: &str, options: &[&str]) -> Output {
        self.ours(&[&["-n", "a", "-t", "q", "-o", file, "R/shop/web:1"], options].concat())
    }
}

fn succeed(output: Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (printed, said) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{printed}{said}");
    printed
}

/// Exit code and first line of a failure.
fn fail(output: Output) -> (i32, String) {
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    (output.status.code().unwrap(), said.trim_end().to_owned())
}

fn members(file: &Path) -> Vec<String> {
    let bytes = fs::read(file).unwrap();
    let mut archive = tar::Archive::new(bytes.as_slice());
    let name = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        entry.unwrap().path().unwrap().to_str().unwrap().to_owned()
    };
    archive.entries().unwrap().map(name).collect()
}

#[test]
fn mender_artifact_validates_what_is_signed_while_it_is_made() {
    let desk = Desk::new();
    desk.key("other", KEYS[0].1[0]);
    for (name, forms) in KEYS {
        for form in *forms {
            desk.key(name, form);
            let (key, public) = (format!("{name}.pem"), format!("{name}.pub"));
            for words in [&["-k", key.as_str()][..], &["--", "--key", &key]] {
                let printed = succeed(desk.make("a", words));
                assert!(
                    printed.contains("\n  Signature: signed but no key"),
                    "{printed}"
                );
                assert_eq!(members(&desk.path("a"))[2], "manifest.sig");
                succeed(desk.theirs(&["validate", "-k", &public, "a"]));
                let output = desk.theirs(&["validate", "-k", "other.pub", "a"]);
                assert!(!output.status.success());
            }
        }
    }
}

#[test]
fn a_program_can_sign() {
    let desk = Desk::new();
    for name in ["rsa2048", "p256"] {
        let (_, forms) = KEYS.iter().find(|(key, _)| key == &name).unwrap();
        desk.key(name, forms[0]);
        let plain = format!("openssl dgst -sha256 -sign {name}.pem");
        for command in [
            plain.clone(),
            format!("{plain} | base64"),
            format!("{plain} | base64 -w0"),
        ] {
            succeed(desk.make("a", &["--sign-command", &command]));
            succeed(desk.theirs(&["validate", "-k", &format!("{name}.pub"), "a"]));
        }
    }
    // A key with a passphrase: refused with the way out, which works.
    desk.openssl("pkey -in rsa2048.pem -aes256 -passout pass:secret -out locked.pem");
    desk.openssl("rsa -in rsa2048.pem -traditional -aes128 -passout pass:secret -out old.pem");
    fs::remove_file(desk.path("a")).unwrap();
    for key in ["locked.pem", "old.pem"] {
        let (code, line) = fail(desk.make("a", &["-k", key]));
        assert_eq!(code, 1);
        assert!(
            line.starts_with(&format!("Error: key {key}: the key is encrypted")),
            "{line}"
        );
        assert!(
            line.contains("--sign-command 'openssl dgst -sha256 -sign KEY'"),
            "{line}"
        );
    }
    let command = "openssl dgst -sha256 -sign locked.pem -passin pass:secret";
    succeed(desk.make("a", &["--sign-command", command]));
    succeed(desk.theirs(&["validate", "-k", "rsa2048.pub", "a"]));
    fs::remove_file(desk.path("a")).unwrap();
    for (command, problem) in [
        (
            "exit 3",
            "--sign-command \"exit 3\": it failed: exit status: 3",
        ),
        (
            "true",
            "--sign-command \"true\": it is not a signature: 0 bytes",
        ),
        ("echo no token found", "it is not a signature: 15 bytes"),
        ("cat", "it is not a signature: "),
        (
            "head -c 1000 /dev/zero",
            "it is not a signature: 1000 bytes",
        ),
    ] {
        let (code, line) = fail(desk.make("a", &["--sign-command", command]));
        assert_eq!(code, 1, "{line}");
        assert!(line.contains(problem), "{line}");
        assert!(!desk.path("a").exists());
    }
    let (code, line) = fail(desk.make("a", &["--sign-command", "true", "-k", "rsa2048.pem"]));
    assert_eq!(
        (code, line.as_str()),
        (
            1,
            "Error: --key and --sign-command are two ways to sign; give one"
        )
    );
}

/// The command lines of `--help`, with a token that is a folder.
#[test]
fn a_token_signs() {
    let desk = Desk::new();
    fs::create_dir(desk.path("tokens")).unwrap();
    let config = desk.path("softhsm2.conf");
    let tokens = format!("directories.tokendir = {}\n", desk.path("tokens").display());
    fs::write(&config, tokens).unwrap();
    let softhsm = |words: &str| {
        let mut command = Command::new("softhsm2-util");
        command
            .args(words.split(' '))
            .current_dir(desk.scratch.path());
        succeed(command.env("SOFTHSM2_CONF", &config).output().unwrap());
    };
    softhsm("--init-token --free --label desk --pin 1234 --so-pin 1234");
    let tool = format!(
        "SOFTHSM2_CONF={} pkcs11-tool --module /usr/lib/softhsm/libsofthsm2.so --login --pin 1234 --sign",
        config.display()
    );
    for (id, (name, command, line)) in [
        (
            "rsa3072",
            "genrsa 3072",
            format!("{tool} --mechanism SHA256-RSA-PKCS --id 00"),
        ),
        (
            "p256",
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256",
            format!("openssl dgst -sha256 -binary | {tool} --mechanism ECDSA --id 01"),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        desk.key(name, command);
        softhsm(&format!(
            "--import {name}.pem --token desk --label {name} --id 0{id} --pin 1234"
        ));
        succeed(desk.make("a", &["--sign-command", &line]));
        succeed(desk.theirs(&["validate", "-k", &format!("{name}.pub"), "a"]));
    }
}

#[test]
fn keys_that_mender_would_not_verify_are_refused_by_name() {
    let desk = Desk::new();
    for (name, command, problem) in [
        ("short", "genrsa 1024", "the RSA key is not usable"),
        (
            "p384",
            "ecparam -genkey -name secp384r1 -noout",
            "its algorithm is EC on another curve",
        ),
        (
            "k1",
            "ecparam -genkey -name secp256k1 -noout",
            "its algorithm is EC on another curve",
        ),
        (
            "ed",
            "genpkey -algorithm ED25519",
            "its algorithm is Ed25519",
        ),
        (
            "pss",
            "genpkey -algorithm RSA-PSS",
            "its algorithm is RSA for PSS only",
        ),
    ] {
        desk.key(name, command);
        let (code, line) = fail(desk.make("a", &["-k", &format!("{name}.pem")]));
        assert_eq!(code, 1);
        assert!(line.contains(problem), "{line}");
    }
    desk.key("good", KEYS[3].1[0]);
    desk.openssl("ec -in good.pem -no_public -out half.pem");
    fs::set_permissions(desk.path("half.pem"), fs::Permissions::from_mode(0o600)).unwrap();
    for (key, problem) in [
        ("absent.pem", "No such file or directory"),
        (
            "good.pub",
            "it holds a block \"PUBLIC KEY\", but a private key is needed",
        ),
        (
            "half.pem",
            "the EC key lacks its public half; 'openssl ec -in KEY -out NEW' adds it",
        ),
        (".", "Is a directory"),
    ] {
        let (code, line) = fail(desk.make("a", &["-k", key]));
        assert_eq!(code, 1);
        assert!(line.contains(problem), "{line}");
    }
    desk.openssl("ec -in half.pem -out whole.pem");
    fs::set_permissions(desk.path("whole.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    let output = desk.make("a", &["-k", "whole.pem"]);
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "Warning: everybody on this machine can use the key whole.pem (its mode is 0644); 'chmod 600' keeps it yours\n"
    );
    assert!(output.status.success());
    succeed(desk.theirs(&["validate", "-k", "good.pub", "a"]));
}

/// Ours signs what theirs validates and the other way round, for artifacts of three modules.
#[test]
fn artifacts_that_exist_are_signed_and_validated_both_ways() {
    let desk = Desk::new();
    desk.key("other", KEYS[0].1[0]);
    fs::write(desk.path("root.ext4"), vec![3; 200_000]).unwrap();
    succeed(desk.theirs(&[
        "write",
        "rootfs-image",
        "-n",
        "r",
        "-t",
        "q",
        "-f",
        "root.ext4",
        "-o",
        "rootfs",
    ]));
    succeed(desk.theirs(&[
        "write",
        "bootstrap-artifact",
        "-n",
        "b",
        "-t",
        "q",
        "-o",
        "bootstrap",
    ]));
    succeed(desk.theirs(&[
        "write",
        "module-image",
        "-T",
        "app",
        "-n",
        "m",
        "-t",
        "q",
        "-f",
        "root.ext4",
        "-o",
        "module",
        "--compression",
        "lzma",
    ]));
    succeed(desk.make("docker", &[]));
    for file in ["rootfs", "bootstrap", "module", "docker"] {
        let text = succeed(desk.ours(&["validate", file]));
        assert_eq!(
            text,
            format!("Artifact file '{file}' validated successfully\n")
        );
        same_reading(&desk, &["read", file]);
    }
    for (name, forms) in KEYS {
        desk.key(name, forms[0]);
        let (key, public) = (format!("{name}.pem"), format!("{name}.pub"));
        for file in ["rootfs", "bootstrap", "module", "docker"] {
            let before = members(&desk.path(file));
            succeed(desk.ours(&["sign", "-k", &key, "-o", "ours", file]));
            succeed(desk.theirs(&["sign", "-k", &key, "-o", "theirs", file]));
            assert_eq!(members(&desk.path(file)), before);
            for signed in ["ours", "theirs"] {
                assert_eq!(members(&desk.path(signed)), members(&desk.path("theirs")));
                succeed(desk.theirs(&["validate", "-k", &public, signed]));
                succeed(desk.ours(&["validate", "-k", &public, signed]));
                succeed(desk.ours(&["validate", "-k", "other.pub", "-k", &public, signed]));
                same_reading(&desk, &["read", "-k", &public, signed]);
                same_reading(&desk, &["read", "-k", "other.pub", signed]);
                same_reading(&desk, &["read", signed]);
                for words in [
                    &["validate", signed][..],
                    &["validate", "-k", "other.pub", signed],
                ] {
                    assert!(!desk.theirs(words).status.success());
                    let (code, line) = fail(desk.ours(words));
                    assert_eq!(code, 4, "{line}");
                    assert!(line.starts_with(&format!("Error: {signed}")), "{line}");
                }
            }
            // Signing while it is made is signing afterwards.
            if *name != "p256" && file == "docker" {
                succeed(desk.make("at-once", &["-k", &key]));
                assert_eq!(
                    fs::read(desk.path("at-once")).unwrap(),
                    fs::read(desk.path("ours")).unwrap()
                );
            }
        }
    }
    let (code, line) = fail(desk.ours(&["validate", "-k", "other.pub", "docker"]));
    assert_eq!(
        (code, line.as_str()),
        (4, "Error: docker: the artifact is not signed")
    );
}

/// Their text and ours, but for the zone of times.
fn same_reading(desk: &Desk, words: &[&str]) {
    let mut theirs = Command::new("mender-artifact");
    theirs
        .args(words)
        .env("TZ", "UTC")
        .current_dir(desk.scratch.path());
    let theirs = succeed(theirs.output().unwrap());
    assert_eq!(succeed(desk.ours(words)), theirs, "{words:?}");
}

#[test]
fn a_signature_is_replaced_only_by_force() {
    let desk = Desk::new();
    let (one, other) = ("one.pem", "other.pem");
    desk.key("one", KEYS[3].1[0]);
    desk.key("other", KEYS[0].1[1]);
    succeed(desk.make("a", &["-k", one]));
    let before = fs::read(desk.path("a")).unwrap();
    let (code, line) = fail(desk.ours(&["sign", "-k", other, "a"]));
    assert_eq!(
        (code, line.as_str()),
        (
            1,
            "Error: Artifact already signed, refusing to re-sign. Use force option to override"
        )
    );
    assert_eq!(fs::read(desk.path("a")).unwrap(), before);
    fs::set_permissions(desk.path("a"), fs::Permissions::from_mode(0o640)).unwrap();
    succeed(desk.ours(&["sign", "--force", "-k", other, "a"]));
    let mode = fs::metadata(desk.path("a")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    succeed(desk.theirs(&["validate", "-k", "other.pub", "a"]));
    assert_eq!(members(&desk.path("a")).len(), 5);
    succeed(desk.theirs(&["sign", "-f", "-k", one, "a"]));
    succeed(desk.ours(&["validate", "-k", "one.pub", "a"]));
    let command = "openssl dgst -sha256 -sign other.pem";
    succeed(desk.ours(&["sign", "-f", "--sign-command", command, "a"]));
    succeed(desk.theirs(&["validate", "-k", "other.pub", "a"]));
    let before = fs::read(desk.path("a")).unwrap();
    for (words, code, problem) in [
        (
            &["sign", "a"][..],
            1,
            "nobody to sign: give a private key with -k, or --sign-command",
        ),
        (
            &["sign", "-f", "-k", "one.pub", "a"],
            1,
            "a private key is needed",
        ),
        (
            &["sign", "-f", "--sign-command", "false", "a"],
            1,
            "it failed: exit status: 1",
        ),
        (
            &["sign", "-k", one, "absent"],
            3,
            "absent: No such file or directory",
        ),
        (&["sign", "-k", one, "one.pem"], 4, "one.pem: artifact: "),
        (
            &["validate", "-k", one, "a"],
            1,
            "'openssl pkey -in FILE -pubout' makes it",
        ),
        (&["validate"], 1, "ARTIFACT"),
        (
            &["read", "absent"],
            3,
            "cannot read artifact absent: No such file",
        ),
        (&["read", "one.pem"], 4, "one.pem: artifact: "),
        (
            &["read", "--frobnicate", "a"],
            1,
            "unsupported option --frobnicate\nTry 'docker-artifact-gen sign|validate|read --help' for more.\n",
        ),
    ] {
        let output = desk.ours(words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{words:?}: {said}");
        assert!(
            said.starts_with("Error: ") && said.contains(problem),
            "{words:?}: {said}"
        );
        assert_eq!(fs::read(desk.path("a")).unwrap(), before);
    }
}

#[test]
fn a_member_that_was_changed_is_named() {
    let desk = Desk::new();
    desk.key("one", KEYS[3].1[0]);
    succeed(desk.make("a", &["-k", "one.pem", "--", "--compression", "none"]));
    let whole = fs::read(desk.path("a")).unwrap();
    let at = |text: &[u8]| {
        whole
            .windows(text.len())
            .position(|window| window == text)
            .unwrap()
    };
    for (text, problem) in [
        (
            &b"\"version\":3"[..],
            "version: format version 2 is not read",
        ),
        (b"header-info", "header.tar has the checksum"),
        (b"run_args", "header.tar has the checksum"),
        (
            b"  header.tar\n",
            "the signature was made with another key, or for another manifest",
        ),
    ] {
        let mut changed = whole.clone();
        // Still a name, a number or a space.
        changed[at(text) + text.len() - 1 - usize::from(text.ends_with(b"\n"))] ^= 1;
        fs::write(desk.path("b"), changed).unwrap();
        let words = ["validate", "-k", "one.pub", "b"];
        assert!(!desk.theirs(&words).status.success());
        let (code, line) = fail(desk.ours(&words));
        assert_eq!(code, 4);
        assert!(line.contains(problem), "{line}");
        let (code, _) = fail(desk.ours(&["sign", "-f", "-k", "one.pem", "b"]));
        assert_eq!(code, 4, "a damaged artifact must not be signed");
    }
}

#[test]
fn an_artifact_is_read_as_json_too() {
    let desk = Desk::new();
    fs::write(desk.path("seed"), "x").unwrap();
    succeed(desk.make("a", &["--", "-f", "seed", "-d", "k:v", "-g", "beta"]));
    let printed = succeed(desk.ours(&["read", "--format", "json", "a"]));
    let found: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(found["artifact"], "a");
    assert_eq!(found["artifact_group"], "beta");
    assert_eq!(found["signature"], "none");
    assert_eq!(found["payloads"][0]["type"], "docker");
    assert_eq!(found["payloads"][0]["depends"]["k"], "v");
    assert_eq!(
        found["payloads"][0]["files"],
        serde_json::json!([{"name": "seed", "size": 1, "mtime": 0,
            "sha256": "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"}])
    );
    assert_eq!(printed.lines().count(), 1);
}
