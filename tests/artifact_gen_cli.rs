//! The generator's command line: exact output, exit codes, requests made, and what is left on disk.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test files need no durable writer; a test fails by panicking"
)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use common::Scratch;
use common::image::{Built, Entry, Flavour, Image, Layer, index};
use common::registry::{Access, Fault, On, Registry};
use serde_json::{Value, json};

/// A workstation: a registry with two images, a folder to work in, no configuration.
struct Workstation {
    registry: Registry,
    web: Built,
    scratch: Scratch,
}

impl Workstation {
    fn new() -> Workstation {
        let web = built("web");
        let registry = Registry::start();
        registry.push("shop/web", "1", &web);
        registry.push("shop/db", "9", &built("db"));
        Workstation {
            registry,
            web,
            scratch: Scratch::new("generator"),
        }
    }

    /// Runs the generator on words in which `R/` stands for the registry.
    fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_docker-artifact-gen"));
        let host = self.registry.host() + "/";
        command.args(words.iter().map(|word| word.replace("R/", &host)));
        command.current_dir(self.scratch.path());
        command.env_clear();
        command.env("DRAY_CONFIG", "/dev/null");
        command.env("DOCKER_CONFIG", self.scratch.path());
        command
    }

    fn pinned(&self, repository: &str, image: &Built) -> String {
        format!("{}@{}", self.registry.name(repository), image.digest)
    }

    fn files(&self) -> Vec<String> {
        let names = fs::read_dir(self.scratch.path()).unwrap();
        let mut names: Vec<String> = names
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn built(content: &str) -> Built {
    Image::oci([Layer::of(&[Entry::file("content", content)])]).build()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Standard output of a success that said nothing on standard error.
fn succeed(output: Output) -> String {
    assert_eq!(text(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
    text(&output.stdout).to_owned()
}

/// Exit code and standard error of a failure that printed nothing else.
fn fail(output: Output) -> (i32, String) {
    assert_eq!(text(&output.stdout), "");
    (
        output.status.code().unwrap(),
        text(&output.stderr).to_owned(),
    )
}

/// What mender-artifact says about a file, its progress bar left out.
fn read_by_mender(workstation: &Workstation, file: &str) -> String {
    let path = workstation.scratch.join(file);
    let validated = Command::new("mender-artifact")
        .arg("validate")
        .arg(&path)
        .output()
        .unwrap();
    assert!(validated.status.success(), "{}", text(&validated.stderr));
    let read = Command::new("mender-artifact")
        .arg("read")
        .arg(&path)
        .output()
        .unwrap();
    text(&read.stdout).to_owned()
}

#[test]
fn a_tag_becomes_a_digest_with_one_request() {
    let workstation = Workstation::new();
    let printed = succeed(workstation.run(&["-n", "rel-1", "-t", "qemu", "R/shop/web:1"]));
    assert_eq!(
        printed,
        format!(
            "Artifact docker-artifact.mender generated successfully:\n\
             Mender artifact:\n  Name: rel-1\n  Format: mender\n  Version: 3\n  Signature: no signature\n  \
             Compatible devices: '[qemu]'\n  Provides group: \n  Depends on one of artifact(s): []\n  \
             Depends on one of group(s): []\n  State scripts:\n\nUpdates:\n    0:\n    Type:   docker\n    \
             Provides:\n\trootfs-image.docker.version: rel-1\n    Depends: Nothing\n    \
             Clears Provides: [\"rootfs-image.docker.*\"]\n    Metadata:\n\t{{\n\t  \"containers\": [\n\t    \"{}\"\n\t  ],\n\t  \
             \"run_args\": \"\"\n\t}}\n    Files: None\n",
            workstation.pinned("shop/web", &workstation.web)
        )
    );
    let requests = workstation.registry.requests();
    let asked: Vec<_> = requests
        .iter()
        .map(|r| (r.method.as_str(), r.path.as_str()))
        .collect();
    assert_eq!(asked, [("HEAD", "/v2/shop/web/manifests/1")]);
    assert_eq!(workstation.files(), ["docker-artifact.mender"]);
}

#[test]
fn the_printed_text_is_what_mender_artifact_reads() {
    let workstation = Workstation::new();
    let run_args = r#"-p 8080:80 -e "A=b & <c>" --restart unless-stopped --label 'x=it"s'"#;
    for words in [
        &["-n", "a", "-t", "qemu", "-o", "a", "R/shop/web:1"][..],
        &[
            "-n",
            "a",
            "-t",
            "q",
            "-o",
            "a",
            "--run-args",
            run_args,
            "R/shop/web:1",
        ],
        &[
            "-o",
            "a",
            "R/shop/web:1",
            "-t",
            "x",
            "-n",
            "a",
            "R/shop/db:9",
            "--device-type=y",
        ],
        &[
            "-n",
            "a",
            "-t",
            "q",
            "-o",
            "a",
            "R/shop/web:1",
            "--software-name",
            "shop",
            "--software-version",
            "3",
            "--software-filesystem",
            "data",
        ],
        &[
            "-n",
            "a",
            "-t",
            "q",
            "-o",
            "a",
            "R/shop/web:1",
            "--",
            "-g",
            "beta",
            "-d",
            "k:v",
            "-p",
            "b:c",
            "-N",
            "m",
            "-N",
            "o",
            "-G",
            "g",
            "--clears-provides",
            "z*",
        ],
        &[
            "-n",
            "a",
            "-t",
            "q",
            "-o",
            "a",
            "R/shop/web:1",
            "--",
            "--no-default-software-version",
            "-n",
            "b",
        ],
        &[
            "-n",
            "a",
            "-t",
            "q",
            "-o",
            "a",
            "R/shop/web:1",
            "--",
            "--no-default-clears-provides",
            "--compression",
            "none",
        ],
    ] {
        let printed = succeed(workstation.run(words));
        let (first, rest) = printed.split_once('\n').unwrap();
        assert_eq!(first, "Artifact a generated successfully:");
        assert_eq!(
            rest.trim_end(),
            read_by_mender(&workstation, "a").trim_end(),
            "{words:?}"
        );
    }
}

#[test]
fn the_json_summary_says_what_was_pinned() {
    let workstation = Workstation::new();
    let printed = succeed(workstation.run(&[
        "-n",
        "rel-1",
        "-t",
        "q",
        "-t",
        "r",
        "--format",
        "json",
        "--run-args",
        "-p 80:80",
        "R/shop/web:1",
    ]));
    let artifact = fs::read(workstation.scratch.join("docker-artifact.mender")).unwrap();
    let expected = json!({
        "artifact": "docker-artifact.mender",
        "size": artifact.len(),
        "sha256": dray::oci::Digest::of(&artifact).hex(),
        "artifact_name": "rel-1",
        "device_types": ["q", "r"],
        "provides": {"rootfs-image.docker.version": "rel-1"},
        "clears_provides": ["rootfs-image.docker.*"],
        "depends": {},
        "images": [{
            "requested": workstation.registry.name("shop/web:1"),
            "pinned": workstation.pinned("shop/web", &workstation.web),
            "media_type": "application/vnd.oci.image.manifest.v1+json",
            "size": workstation.web.document().len(),
        }],
        "run_args": "-p 80:80",
    });
    assert_eq!(serde_json::from_str::<Value>(&printed).unwrap(), expected);
    assert_eq!(printed.lines().count(), 1);
}

#[test]
fn the_same_request_gives_the_same_bytes() {
    let workstation = Workstation::new();
    let made = |file: &str, epoch: Option<&str>| {
        let mut command = workstation.command(&[
            "-n",
            "a",
            "-t",
            "q",
            "-o",
            file,
            "R/shop/web:1",
            "R/shop/db:9",
        ]);
        epoch.iter().for_each(|epoch| {
            command.env("SOURCE_DATE_EPOCH", epoch);
        });
        succeed(command.output().unwrap());
        fs::read(workstation.scratch.join(file)).unwrap()
    };
    let first = made("one", None);
    assert_eq!(made("two", None), first);
    assert_eq!(made("three", Some("0")), first);
    let dated = made("four", Some("1700000000"));
    assert_ne!(dated, first);
    assert_eq!(made("five", Some("1700000000")), dated);
}

#[test]
fn an_index_is_pinned_as_a_whole_and_asked_for_once() {
    let workstation = Workstation::new();
    let many = index(Flavour::Oci, &[&workstation.web, &built("other")]);
    workstation.registry.push("shop/many", "latest", &many);
    let printed = succeed(workstation.run(&[
        "-n",
        "a",
        "-t",
        "q",
        "--format",
        "json",
        "R/shop/many",
        "R/shop/many",
    ]));
    let summary: Value = serde_json::from_str(&printed).unwrap();
    let pinned = workstation.pinned("shop/many", &many);
    assert_eq!(summary["images"][0]["pinned"], json!(pinned));
    assert_eq!(summary["images"][1]["pinned"], json!(pinned));
    assert_eq!(
        summary["images"][0]["requested"],
        json!(workstation.registry.name("shop/many:latest"))
    );
    assert_eq!(workstation.registry.requests().len(), 1);
}

#[test]
fn a_digest_that_is_given_must_exist() {
    let workstation = Workstation::new();
    let present = format!("R/shop/web:old@{}", workstation.web.digest);
    let printed = succeed(workstation.run(&["-n", "a", "-t", "q", "--format", "json", &present]));
    let summary: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(
        summary["images"][0]["pinned"],
        json!(workstation.pinned("shop/web", &workstation.web))
    );
    let absent = format!("R/shop/web@{}", dray::oci::Digest::of(b"absent"));
    let (code, line) = fail(workstation.run(&["-n", "a", "-t", "q", "-o", "x", &absent]));
    assert_eq!(code, 2, "{line}");
    assert_eq!(workstation.files(), ["docker-artifact.mender"]);
}

/// One row per way to ask wrongly: words, the first line on standard error. None reaches a registry or writes a file.
#[test]
fn usage_errors_have_upstreams_words_and_exit_code() {
    let workstation = Workstation::new();
    let long = "x".repeat(70_000);
    let digits = "0".repeat(64);
    for (words, line) in [
        (&[][..], "Artifact name not specified. Aborting."),
        (
            &["-t", "q", "R/a"],
            "Artifact name not specified. Aborting.",
        ),
        (&["-n", "a", "R/a"], "Device type not specified. Aborting."),
        (
            &["-n", "a", "-t", "q"],
            "At least one Docker image must be specified. Aborting.",
        ),
        (
            &["-n", "a", "-t", "q", "--frobnicate", "x", "R/a"],
            "Error: unsupported option --frobnicate",
        ),
        (
            &["-x", "-n", "a", "-t", "q", "R/a"],
            "Error: unsupported option -x",
        ),
        (
            &["-t", "q", "R/a", "-n"],
            "Error: a value is required for '--artifact-name <NAME>' but none was supplied",
        ),
        (
            &["-n", "", "-t", "q", "R/a"],
            "Error: a value is required for '--artifact-name <NAME>' but none was supplied",
        ),
        (
            &["-n", "a", "-t", "q", "R/a", "--format", "xml"],
            "Error: invalid value 'xml' for '--format <FORMAT>' [possible values: text, json]",
        ),
        (
            &["-n", "rel 1", "-t", "q", "R/a"],
            "Error: artifact name \"rel 1\" contains white space, which Mender does not take there",
        ),
        (
            &["-n", "a", "-t", "q é", "R/a"],
            "Error: device type \"q é\" contains white space, which Mender does not take there",
        ),
        (&["-n", "a", "-t", "q", "R/A"], "UPPER"),
        (&["-n", "a", "-t", "q", &digits], "ID"),
        (
            &["-n", "a", "-t", "q", ""],
            "Error: image reference is empty",
        ),
        (
            &["-n", "a", "-t", "q", "R/a", "--", "-T", "podman"],
            "Error: -T after '--': docker-artifact-gen sets it itself",
        ),
        (
            &["-n", "a", "-t", "q", "R/a", "--", "--script", "x"],
            "Error: cannot read state script x: No such file or directory (os error 2)",
        ),
        (
            &["-n", "a", "-t", "q", "R/a", "--run-args", &long],
            "Error: --run-args: 70000 bytes; at most 65536 are allowed",
        ),
        (
            &[
                "-n",
                "a",
                "-t",
                "q",
                "R/a",
                "R/b",
                "--run-args",
                "--name web",
            ],
            "Error: --run-args: all 2 containers would get the name \"web\", which only one can have",
        ),
        (
            &[
                "-n",
                "a",
                "-t",
                "q",
                "R/a",
                "R/b",
                "--run-args",
                "-p 8080:80",
            ],
            "Error: --run-args: all 2 containers would publish the host's port 8080, which only one can have",
        ),
    ] {
        let (code, printed) = fail(workstation.run(words));
        assert_eq!(code, 1, "{words:?}: {printed}");
        let first = printed.lines().next().unwrap();
        match line {
            "UPPER" => assert!(first.ends_with("it must be lower case"), "{first}"),
            "ID" => assert!(first.contains("looks like an image id"), "{first}"),
            line => assert_eq!(first, line, "{words:?}"),
        }
        let advice = printed.lines().last().unwrap();
        assert!(
            printed.lines().count() == 1 || advice == "Try 'docker-artifact-gen --help' for more.",
            "{printed}"
        );
    }
    assert_eq!(workstation.registry.requests().len(), 0);
    assert_eq!(workstation.files(), [""; 0]);
}

#[test]
fn run_args_are_refused_by_the_option_they_name() {
    let workstation = Workstation::new();
    for (run_args, named) in [
        ("--frobnicate", "--frobnicate"),
        ("-p 8080:80 --restrat always", "--restrat"),
        ("-p notaport:80", "notaport"),
        ("-e 'A=b", "quote"),
        ("--memory lots", "lots"),
        ("-e A=b nginx", "nginx"),
        ("$(touch pwned)", "$(touch"),
        ("\"; touch pwned; \"", "; touch pwned; "),
    ] {
        let words = ["-n", "a", "-t", "q", "--run-args", run_args, "R/shop/web:1"];
        let (code, line) = fail(workstation.run(&words));
        assert_eq!(code, 1, "{line}");
        assert!(
            line.starts_with("Error: --run-args: ") && line.contains(named),
            "{line}"
        );
        assert_eq!(line.lines().count(), 1, "{line}");
    }
    assert_eq!(workstation.registry.requests().len(), 0);
    assert_eq!(workstation.files(), [""; 0]);
}

#[test]
fn what_docker_would_warn_about_is_said_and_taken() {
    let workstation = Workstation::new();
    let output = workstation.run(&[
        "-n",
        "a",
        "-t",
        "q",
        "--run-args",
        "--network host -p 80:80",
        "R/shop/web:1",
    ]);
    let warning =
        "Warning: --run-args: Published ports are discarded when using host network mode\n";
    assert_eq!(
        (text(&output.stderr), output.status.code()),
        (warning, Some(0))
    );
    assert_eq!(workstation.files(), ["docker-artifact.mender"]);
}

#[test]
fn registries_that_fail_leave_no_file_and_the_old_one_alone() {
    let workstation = Workstation::new();
    fs::write(workstation.scratch.join("docker-artifact.mender"), "old").unwrap();
    let words = ["-n", "a", "-t", "q", "R/shop/web:1", "R/shop/db:9"];
    for fault in [Fault::Status(404), Fault::Status(403), Fault::Html] {
        workstation
            .registry
            .fault(On::Path("/shop/db/".to_owned()), fault.clone(), 1000);
        let (code, line) = fail(workstation.run(&words));
        workstation.registry.heal();
        assert_eq!(code, 2, "{fault:?}: {line}");
        assert!(
            line.starts_with("Error: ") && line.contains("shop/db"),
            "{fault:?}: {line}"
        );
        assert_eq!(line.lines().count(), 1, "{line}");
        assert_eq!(
            fs::read(workstation.scratch.join("docker-artifact.mender")).unwrap(),
            b"old"
        );
        assert_eq!(workstation.files(), ["docker-artifact.mender"]);
    }
    let nobody = format!("{}/shop/web:1", Registry::down());
    let (code, line) = fail(workstation.run(&["-n", "a", "-t", "q", &nobody]));
    assert_eq!(code, 2, "{line}");
    // The same words with a registry that is well again.
    succeed(workstation.run(&words));
    assert!(
        fs::read(workstation.scratch.join("docker-artifact.mender"))
            .unwrap()
            .len()
            > 4000
    );
}

#[test]
fn a_password_comes_from_dockers_configuration_and_goes_nowhere_else() {
    let workstation = Workstation::new();
    workstation
        .registry
        .access(Access::Basic("ci".to_owned(), "s3cret-word".to_owned()));
    let words = ["-n", "a", "-t", "q", "R/shop/web:1"];
    let (code, line) = fail(workstation.run(&words));
    assert_eq!(code, 2, "{line}");
    // base64 of "ci:s3cret-word"
    let auths = json!({"auths": {workstation.registry.host(): {"auth": "Y2k6czNjcmV0LXdvcmQ="}}});
    fs::write(workstation.scratch.join("config.json"), auths.to_string()).unwrap();
    let printed = succeed(workstation.run(&words));
    let artifact = fs::read(workstation.scratch.join("docker-artifact.mender")).unwrap();
    for secret in ["s3cret-word", "Y2k6czNjcmV0LXdvcmQ="] {
        assert!(!printed.contains(secret));
        assert!(
            !artifact
                .windows(secret.len())
                .any(|window| window == secret.as_bytes())
        );
    }
}

#[test]
fn the_output_file_is_replaced_in_one_step_or_not_at_all() {
    let workstation = Workstation::new();
    let at = |path: &str| workstation.run(&["-n", "a", "-t", "q", "-o", path, "R/shop/web:1"]);
    // A link stays a link; what it points at is replaced.
    fs::create_dir(workstation.scratch.join("out")).unwrap();
    fs::write(workstation.scratch.join("out/real"), "old").unwrap();
    std::os::unix::fs::symlink("out/real", workstation.scratch.join("link")).unwrap();
    succeed(at("link"));
    assert!(
        fs::symlink_metadata(workstation.scratch.join("link"))
            .unwrap()
            .is_symlink()
    );
    assert!(
        fs::metadata(workstation.scratch.join("out/real"))
            .unwrap()
            .len()
            > 4000
    );
    // So does one that leads nowhere yet, and one that leads to itself is refused.
    std::os::unix::fs::symlink("out/new", workstation.scratch.join("dangling")).unwrap();
    succeed(at("dangling"));
    assert!(workstation.scratch.join("dangling").is_symlink());
    assert!(workstation.scratch.join("out/new").is_file());
    std::os::unix::fs::symlink("round", workstation.scratch.join("round")).unwrap();
    let requests = workstation.registry.requests().len();
    for (path, problem) in [
        (
            "round",
            "cannot write artifact round: Too many levels of symbolic links (os error 40)",
        ),
        (
            "out",
            "cannot write artifact out: it exists and is not a regular file",
        ),
        (
            "/dev/null",
            "cannot write artifact /dev/null: it exists and is not a regular file",
        ),
        (
            "absent/a.mender",
            "cannot write artifact absent/a.mender: No such file or directory (os error 2)",
        ),
        (
            "link/a.mender",
            "cannot write artifact link/a.mender: Not a directory (os error 20)",
        ),
    ] {
        assert_eq!(fail(at(path)), (3, format!("Error: {problem}\n")));
    }
    assert_eq!(
        workstation.registry.requests().len(),
        requests,
        "the registry was asked for nothing"
    );
    assert_eq!(workstation.files(), ["dangling", "link", "out", "round"]);
}

#[test]
fn the_environment_is_checked() {
    let workstation = Workstation::new();
    let words = ["-n", "a", "-t", "q", "R/shop/web:1"];
    for (name, value, line) in [
        (
            "SOURCE_DATE_EPOCH",
            "yesterday",
            "Error: SOURCE_DATE_EPOCH is \"yesterday\": expected seconds since 1970, at most 8589934591\n",
        ),
        (
            "SOURCE_DATE_EPOCH",
            "-1",
            "Error: SOURCE_DATE_EPOCH is \"-1\": expected seconds since 1970, at most 8589934591\n",
        ),
        (
            "SOURCE_DATE_EPOCH",
            "8589934592",
            "Error: SOURCE_DATE_EPOCH is \"8589934592\": expected seconds since 1970, at most 8589934591\n",
        ),
        (
            "DOCKER_CONTENT_TRUST",
            "1",
            "Error: DOCKER_CONTENT_TRUST is set, but Docker Content Trust is not supported (its servers are being shut down); \
             check signatures with cosign or notation first, then unset it\n",
        ),
    ] {
        let output = workstation
            .command(&words)
            .env(name, value)
            .output()
            .unwrap();
        assert_eq!(fail(output), (1, line.to_owned()));
    }
    succeed(
        workstation
            .command(&words)
            .env("DOCKER_CONTENT_TRUST", "0")
            .output()
            .unwrap(),
    );
}

#[test]
fn help_and_version_succeed_on_standard_output() {
    let workstation = Workstation::new();
    let help = succeed(workstation.run(&["--help"]));
    assert_eq!(succeed(workstation.run(&["-h"])), help);
    for upstream in [
        "[options] IMAGE [IMAGES...] [-- [options-for-mender-artifact] ]",
        "Target device type identification (can be given more than once)",
        "Value for the software version, defaults to the name of the artifact",
        "If specified, is used instead of rootfs-image",
        "Path to output file. Default: docker-artifact.mender",
        "SOURCE_DATE_EPOCH",
        "Exit codes:",
    ] {
        assert!(help.contains(upstream), "{upstream}");
    }
    let version = format!("docker-artifact-gen {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(succeed(workstation.run(&["-V"])), version);
    assert_eq!(succeed(workstation.run(&["--version", "-n"])), version);
}

/// Every option that mender-artifact's own help names, and what its later versions add: understood, or refused by name.
#[test]
fn every_option_of_mender_artifact_is_understood_or_refused_by_name() {
    let workstation = Workstation::new();
    let output = Command::new("mender-artifact")
        .args(["write", "module-image", "--help"])
        .output()
        .unwrap();
    let listed = text(&output.stdout).to_owned();
    let mut options: Vec<String> = listed
        .lines()
        .filter(|line| line.starts_with("   --"))
        .flat_map(|line| line.split_whitespace().filter(|word| word.starts_with('-')))
        .map(|word| word.trim_end_matches(',').to_owned())
        .filter(|word| word != "->")
        .collect();
    assert!(options.len() > 35, "{options:?}");
    let later = [
        "-c",
        "--compatible-types",
        "--no-progress",
        "--max-artifact-size",
        "--warn-artifact-size",
        "--vault-transit-key",
        "--keyfactor-signserver-worker",
        "--azure-key",
        "--key-pkcs11",
    ];
    options.extend(later.map(str::to_owned));
    fs::write(
        workstation.scratch.join("ArtifactInstall_Enter_00"),
        "#!/bin/sh\n",
    )
    .unwrap();
    fs::write(workstation.scratch.join("key.pem"), ec_key()).unwrap();
    let mut refused = Vec::new();
    for option in &options {
        let value = match option.trim_start_matches('-') {
            "artifact-name" | "n" | "device-type" | "t" | "compatible-types" | "c" => "x",
            "provides" | "p" | "depends" | "d" => "k:v",
            "script" | "s" => "ArtifactInstall_Enter_00",
            "file" | "f" => "key.pem",
            "key" | "k" => "key.pem",
            "compression" => "none",
            "version" | "v" => "3",
            "max-artifact-size" | "warn-artifact-size" => "1GB",
            "no-progress" | "no-default-clears-provides" | "no-default-software-version" => "",
            _ => "x",
        };
        let of_type = match option.trim_start_matches('-') {
            "compatible-types" | "c" => "-c",
            _ => "-t",
        };
        let mut words = vec![
            "-n",
            "a",
            of_type,
            "q",
            "-o",
            "out",
            "R/shop/web:1",
            "--",
            option,
        ];
        words.extend((!value.is_empty()).then_some(value));
        let output = workstation.run(&words);
        if output.status.success() {
            continue;
        }
        let (code, line) = fail(output);
        assert_eq!(code, 1, "{line}");
        assert!(
            line.starts_with(&format!("Error: {option} after '--': ")),
            "{line}"
        );
        assert!(!line.contains("no such option"), "{line}");
        refused.push(option.trim_start_matches('-'));
    }
    refused.sort_unstable();
    assert_eq!(
        refused,
        [
            "T",
            "augment-depends",
            "augment-file",
            "augment-meta-data",
            "augment-provides",
            "augment-type",
            "azure-key",
            "gcp-kms-key",
            "key-pkcs11",
            "keyfactor-signserver-worker",
            "m",
            "meta-data",
            "type",
            "vault-transit-key",
        ]
    );
}

/// A key nobody uses for anything.
fn ec_key() -> Vec<u8> {
    let output = Command::new("openssl")
        .args(["ecparam", "-genkey", "-name", "prime256v1", "-noout"])
        .output()
        .unwrap();
    assert!(output.status.success());
    output.stdout
}

#[test]
fn scripts_and_files_travel_as_mender_artifact_packs_them() {
    let workstation = Workstation::new();
    let folder = workstation.scratch.join("scripts");
    fs::create_dir(&folder).unwrap();
    for name in ["ArtifactInstall_Enter_01_b", "ArtifactInstall_Enter_00_a"] {
        fs::write(folder.join(name), format!("#!/bin/sh\necho {name}\n")).unwrap();
    }
    fs::write(
        workstation.scratch.join("ArtifactCommit_Leave_99"),
        "#!/bin/sh\n",
    )
    .unwrap();
    fs::write(workstation.scratch.join("seed.bin"), vec![7; 300_000]).unwrap();
    fs::write(workstation.scratch.join("empty"), "").unwrap();
    for packing in ["gzip", "none", "lzma"] {
        let printed = succeed(workstation.run(&[
            "-n",
            "a",
            "-c",
            "q",
            "-c",
            "r",
            "-o",
            "a",
            "R/shop/web:1",
            "--",
            "-s",
            "scripts",
            "--script",
            "ArtifactCommit_Leave_99",
            "-f",
            "seed.bin",
            "--file=empty",
            "--compression",
            packing,
        ]));
        let (_, rest) = printed.split_once('\n').unwrap();
        let theirs = read_by_mender(&workstation, "a");
        assert_eq!(rest.trim_end(), theirs.trim_end(), "{packing}");
        assert!(
            rest.contains("    ArtifactCommit_Leave_99\n    ArtifactInstall_Enter_00_a\n"),
            "{rest}"
        );
        assert!(
            rest.contains("name:     seed.bin\n      size:     300000\n"),
            "{rest}"
        );
    }
    fs::write(workstation.scratch.join("bad name"), "").unwrap();
    fs::create_dir(workstation.scratch.join("twice")).unwrap();
    fs::write(workstation.scratch.join("twice/empty"), "").unwrap();
    fs::write(workstation.scratch.join("Download_Enter_00"), "").unwrap();
    fs::remove_file(workstation.scratch.join("a")).unwrap();
    for (words, problem) in [
        (
            &["-f", "bad name"][..],
            "payload file \"bad name\" must have a name of letters, digits",
        ),
        (
            &["-f", "empty", "-f", "twice/empty"],
            "two payload files have the name \"empty\"",
        ),
        (
            &["-f", "scripts"],
            "cannot read payload file scripts: it is not a regular file",
        ),
        (
            &["-f", "absent"],
            "cannot read payload file absent: No such file",
        ),
        (&["-s", "empty"], "state script \"empty\" must be named"),
        (
            &["-s", "Download_Enter_00"],
            "is for the state \"Download\"",
        ),
        (
            &["-s", "scripts", "-s", "scripts/ArtifactInstall_Enter_00_a"],
            "two state scripts have the name",
        ),
    ] {
        let words = [
            &["-n", "a", "-t", "q", "-o", "a", "R/shop/web:1", "--"],
            words,
        ]
        .concat();
        let (code, line) = fail(workstation.run(&words));
        assert_eq!((code, line.lines().count()), (1, 1), "{line}");
        assert!(line.contains(problem), "{line}");
        assert!(!workstation.scratch.join("a").exists());
    }
}

#[test]
fn zstd_is_written_with_a_warning() {
    let workstation = Workstation::new();
    for packing in ["zstd_fastest", "zstd_fast", "zstd_better", "zstd_best"] {
        let output = workstation.run(&[
            "-n",
            "a",
            "-t",
            "q",
            "R/shop/web:1",
            "--",
            "--compression",
            packing,
        ]);
        assert_eq!(
            text(&output.stderr),
            "Warning: --compression: zstd is read by Mender clients and mender-artifact from 4.0 on only; 3.x refuses the \
             artifact\n"
        );
        assert_eq!(output.status.code(), Some(0));
        let bytes = fs::read(workstation.scratch.join("docker-artifact.mender")).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let header = archive.entries().unwrap().nth(2).unwrap().unwrap();
        assert_eq!(header.path().unwrap().to_str(), Some("header.tar.zst"));
        let plain = zstd::decode_all(header).unwrap();
        assert!(plain.starts_with(b"header-info\0"));
    }
}

#[test]
fn sizes_are_warned_of_and_limited() {
    fn words<'a>(option: &'a str, size: &'a str) -> Vec<&'a str> {
        let mut words = "-n a -t q R/shop/web:1 -- --compression none"
            .split(' ')
            .collect::<Vec<_>>();
        words.extend([option, size]);
        words
    }
    let workstation = Workstation::new();
    let output = workstation.run(&words("--warn-artifact-size", "1KB"));
    let line = text(&output.stderr);
    assert!(
        line.starts_with("Warning: Artifact size ")
            && line.ends_with(" exceeds specified limit 1.0 KB\n"),
        "{line}"
    );
    assert_eq!(output.status.code(), Some(0));
    succeed(workstation.run(&words("--warn-artifact-size", "1MB")));
    succeed(workstation.run(&words("--max-artifact-size", "1MB")));
    let before = fs::read(workstation.scratch.join("docker-artifact.mender")).unwrap();
    // Where both would read the same they are told to the byte.
    let size = fs::metadata(workstation.scratch.join("docker-artifact.mender"))
        .unwrap()
        .len();
    let less = (size - 1).to_string();
    let (_, line) = fail(workstation.run(&words("--max-artifact-size", &less)));
    let told = format!(
        "Artifact size {size} B exceeds maximum allowed size {} B",
        size - 1
    );
    assert!(line.contains(&told), "{line}");
    let (code, line) = fail(workstation.run(&words("--max-artifact-size", "1KB")));
    assert_eq!(code, 3);
    assert!(
        line.contains("exceeds maximum allowed size 1.0 KB; no file was written"),
        "{line}"
    );
    assert_eq!(
        fs::read(workstation.scratch.join("docker-artifact.mender")).unwrap(),
        before
    );
    assert_eq!(workstation.files(), ["docker-artifact.mender"]);
}

#[test]
fn the_artifact_can_go_to_standard_output() {
    let workstation = Workstation::new();
    succeed(workstation.run(&["-n", "a", "-t", "q", "R/shop/web:1"]));
    let output = workstation.run(&["-n", "a", "-t", "q", "-o", "-", "R/shop/web:1"]);
    assert_eq!(output.status.code(), Some(0));
    let file = fs::read(workstation.scratch.join("docker-artifact.mender")).unwrap();
    assert_eq!(output.stdout, file);
    assert!(text(&output.stderr).starts_with("Artifact - generated successfully:\n"));
    assert_eq!(workstation.files(), ["docker-artifact.mender"]);
}

#[test]
fn two_names_of_one_option_are_not_mixed() {
    let workstation = Workstation::new();
    for words in [
        &["-n", "a", "-t", "q", "-c", "r", "R/a"][..],
        &["-n", "a", "-t", "q", "R/a", "--", "-c", "r"],
        &["-n", "a", "-c", "q", "R/a", "--", "-t", "r"],
    ] {
        let (code, line) = fail(workstation.run(words));
        assert_eq!(code, 1);
        assert!(
            line.contains("--device-type and --compatible-types are mutually exclusive"),
            "{line}"
        );
    }
    assert_eq!(workstation.registry.requests().len(), 0);
}

#[test]
fn several_registries_are_asked_in_one_call_each_with_its_own_password() {
    let workstation = Workstation::new();
    let other = Registry::start();
    let cache = built("cache");
    other.push("cache", "7", &cache);
    workstation
        .registry
        .access(Access::Basic("one".to_owned(), "first".to_owned()));
    other.access(Access::Basic("two".to_owned(), "second".to_owned()));
    // base64 of "one:first" and "two:second"
    let auths = json!({"auths": {
        workstation.registry.host(): {"auth": "b25lOmZpcnN0"},
        other.host(): {"auth": "dHdvOnNlY29uZA=="},
    }});
    fs::write(workstation.scratch.join("config.json"), auths.to_string()).unwrap();
    let printed = succeed(workstation.run(&[
        "-n",
        "a",
        "-t",
        "q",
        "--format",
        "json",
        "R/shop/web:1",
        &other.name("cache:7"),
        "R/shop/db:9",
    ]));
    let summary: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(
        summary["images"][0]["pinned"],
        json!(workstation.pinned("shop/web", &workstation.web))
    );
    assert_eq!(
        summary["images"][1]["pinned"],
        json!(format!("{}@{}", other.name("cache"), cache.digest))
    );
    assert_eq!(summary["images"].as_array().unwrap().len(), 3);
}

#[test]
fn every_image_has_to_be_there_for_the_platforms() {
    let workstation = Workstation::new();
    let of = |platform: &str| {
        let layer = Layer::of(&[Entry::file("content", platform)]);
        Image::oci([layer]).platform(platform).build()
    };
    let (amd, arm, old) = (of("linux/amd64"), of("linux/arm64"), of("linux/arm/v6"));
    workstation.registry.push("shop/amd", "1", &amd);
    workstation
        .registry
        .push("shop/many", "1", &index(Flavour::Oci, &[&amd, &arm]));
    workstation
        .registry
        .push("shop/old", "1", &index(Flavour::Docker, &[&amd, &old]));
    let run = |words: &[&str]| {
        workstation.run(
            &[
                &["-n", "a", "-t", "q", "-o", "out", "--format", "json"],
                words,
            ]
            .concat(),
        )
    };
    for words in [
        &[
            "--platform",
            "linux/amd64",
            "R/shop/amd:1",
            "R/shop/many:1",
            "R/shop/old:1",
        ][..],
        &[
            "--platform",
            "linux/arm64",
            "--platform",
            "linux/amd64",
            "R/shop/many:1",
        ],
        // What a device of a later version runs too.
        &["--platform", "linux/arm/v7", "R/shop/old:1"],
    ] {
        succeed(run(words));
        fs::remove_file(workstation.scratch.join("out")).unwrap();
    }
    for (words, code, problem) in [
        (
            &["--platform", "linux/arm64", "R/shop/many:1", "R/shop/amd:1"][..],
            2,
            "shop/amd:1 is not there for linux/arm64; it has linux/amd64",
        ),
        (
            &[
                "--platform",
                "linux/amd64",
                "--platform",
                "linux/riscv64",
                "R/shop/many:1",
            ],
            2,
            "shop/many:1 is not there for linux/riscv64; it has linux/amd64, linux/arm64",
        ),
        (
            &["--platform", "linux/arm/v5", "R/shop/old:1"],
            2,
            "shop/old:1 is not there for linux/arm/v5",
        ),
        (
            &["--platform", "windows/amd64", "R/shop/amd:1"],
            2,
            "shop/amd:1 is not there for windows/amd64",
        ),
        (&["--platform", "arm64", "R/shop/amd:1"], 1, "--platform"),
    ] {
        let (found, line) = fail(run(words));
        assert_eq!((found, line.lines().count()), (code, 1), "{line}");
        assert!(line.contains(problem), "{line}");
        assert_eq!(workstation.files(), [""; 0]);
    }
}

#[test]
fn a_dry_run_does_everything_but_write() {
    let workstation = Workstation::new();
    let words = ["-n", "a", "-t", "q", "--format", "json", "R/shop/web:1"];
    let dry = [&words[..], &["--dry-run"]].concat();
    let first: Value = serde_json::from_str(&succeed(workstation.run(&dry))).unwrap();
    assert_eq!(workstation.files(), [""; 0]);
    let second: Value = serde_json::from_str(&succeed(workstation.run(&words))).unwrap();
    assert_eq!(first["dry_run"], json!(true));
    assert_eq!(
        (&first["sha256"], &first["size"]),
        (&second["sha256"], &second["size"])
    );
    assert_eq!(second.get("dry_run"), None);
    // Nobody is asked for a passphrase, and nothing is replaced.
    let before = fs::read(workstation.scratch.join("docker-artifact.mender")).unwrap();
    let printed = succeed(workstation.run(&[
        "-n",
        "b",
        "-t",
        "q",
        "--dry-run",
        "--sign-command",
        "touch ran",
        "R/shop/web:1",
    ]));
    assert!(
        printed.starts_with("Artifact docker-artifact.mender was not written, this is a dry run:\nMender artifact:\n  Name: b\n"),
        "{printed}"
    );
    assert_eq!(
        fs::read(workstation.scratch.join("docker-artifact.mender")).unwrap(),
        before
    );
    assert_eq!(workstation.files(), ["docker-artifact.mender"]);
    for words in [
        &["-n", "a", "-t", "q", "--dry-run", "R/shop/none:1"][..],
        &[
            "-n",
            "a",
            "-t",
            "q",
            "--dry-run",
            "-o",
            "no/a",
            "R/shop/web:1",
        ],
    ] {
        assert!(fail(workstation.run(words)).0 > 1);
    }
}

#[test]
fn a_tag_that_moved_between_two_images_is_warned_of() {
    let workstation = Workstation::new();
    let old = format!("R/shop/web:1@{}", workstation.web.digest);
    let new = built("newer");
    workstation.registry.push("shop/web", "1", &new);
    let output = workstation.run(&["-n", "a", "-t", "q", "R/shop/db:9", &old, "R/shop/web:1"]);
    let (name, earlier, later) = (
        workstation.registry.name("shop/web:1"),
        workstation.web.digest,
        new.digest,
    );
    assert_eq!(
        text(&output.stderr),
        format!(
            "Warning: the tag {name} has moved: this artifact has it as {earlier} and as {later}\n"
        )
    );
    assert_eq!(output.status.code(), Some(0));
    let current = format!("R/shop/web:1@{later}");
    succeed(workstation.run(&["-n", "a", "-t", "q", &current, "R/shop/web:1"]));
}

#[test]
fn a_generator_that_is_killed_leaves_nothing() {
    let workstation = Workstation::new();
    fs::write(workstation.scratch.join("docker-artifact.mender"), "old").unwrap();
    let output = workstation.run(&[
        "-n",
        "a",
        "-t",
        "q",
        "--sign-command",
        "kill -9 $PPID",
        "R/shop/web:1",
    ]);
    assert_eq!(output.status.code(), None, "{output:?}");
    assert_eq!(workstation.files(), ["docker-artifact.mender"]);
    assert_eq!(
        fs::read(workstation.scratch.join("docker-artifact.mender")).unwrap(),
        b"old"
    );
}

#[test]
fn progress_is_for_terminals() {
    let workstation = Workstation::new();
    let web = workstation.registry.name("shop/web:1");
    let line = |more: &str| {
        let program = env!("CARGO_BIN_EXE_docker-artifact-gen");
        let line = format!("{program} -n a -t q {web} {more} >printed");
        let mut command = Command::new("script");
        command.args(["-qec", &line, "/dev/null"]);
        command.current_dir(workstation.scratch.path());
        command
            .env("DRAY_CONFIG", "/dev/null")
            .env("DOCKER_CONFIG", workstation.scratch.path());
        let output = command.output().unwrap();
        assert!(output.status.success());
        text(&output.stdout).replace('\r', "")
    };
    let digest = workstation.web.digest;
    assert_eq!(
        line(""),
        format!("Asking the registries\n{web} is {digest}\nWriting docker-artifact.mender\n")
    );
    assert_eq!(line("--no-progress"), "");
    assert_eq!(line("-- --no-progress"), "");
    let key = workstation.scratch.join("key.pem");
    fs::write(&key, ec_key()).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    for words in [
        "validate --no-progress docker-artifact.mender",
        "read --no-progress docker-artifact.mender",
        "sign -k key.pem --no-progress docker-artifact.mender",
    ] {
        succeed(workstation.run(&words.split(' ').collect::<Vec<_>>()));
    }
}

/// The same words for both programs, and every member compared: names, order and bytes.
#[test]
fn every_member_is_the_one_that_mender_artifact_writes() {
    let workstation = Workstation::new();
    for (name, content) in [
        ("ArtifactInstall_Enter_00", "#!/bin/sh\n"),
        ("seed.bin", "seed"),
        ("other", ""),
    ] {
        fs::write(workstation.scratch.join(name), content).unwrap();
    }
    for words in [
        &[][..],
        &[
            "-p", "a:b:c", "-p", "z:", "-d", "k:v", "-d", "l:w", "-g", "grp", "-G", "g1", "-G",
            "g2", "-N", "n0",
        ],
        &[
            "--clears-provides",
            "x.*",
            "--clears-provides",
            "rootfs-image.docker.*",
        ],
        &["--no-default-clears-provides"],
        &["--no-default-software-version"],
        &["--no-default-software-version", "--software-version", "7"],
        &["--no-default-software-version", "--software-name", "shop"],
        &[
            "--no-default-software-version",
            "--software-name",
            "shop",
            "--software-version",
            "7",
        ],
        &[
            "--software-name",
            "shop",
            "--software-version",
            "7",
            "--software-filesystem",
            "data",
        ],
        &["--software-filesystem", "data"],
        &["-p", "rootfs-image.docker.version:9"],
        &[
            "-p",
            "rootfs-image.docker.version:9",
            "--software-version",
            "7",
        ],
        &[
            "--software-version",
            "7",
            "-p",
            "rootfs-image.docker.version:9",
        ],
        &[
            "--software-version",
            "7",
            "--provides=rootfs-image.docker.version:",
        ],
        &["-s", "ArtifactInstall_Enter_00"],
        &["-f", "seed.bin", "-f", "other"],
        &["-n", "later", "-t", "r"],
    ] {
        succeed(
            workstation.run(
                &[
                    &[
                        "-n",
                        "a",
                        "-t",
                        "q",
                        "-o",
                        "ours",
                        "R/shop/web:1",
                        "--",
                        "--compression",
                        "none",
                    ],
                    words,
                ]
                .concat(),
            ),
        );
        let ours = members(&fs::read(workstation.scratch.join("ours")).unwrap());
        let meta_data = &ours
            .iter()
            .find(|(name, _)| name.ends_with("meta-data"))
            .unwrap()
            .1;
        fs::write(workstation.scratch.join("meta-data"), meta_data).unwrap();
        let made = Command::new("mender-artifact")
            .args([
                "write",
                "module-image",
                "-T",
                "docker",
                "-n",
                "a",
                "-t",
                "q",
                "-m",
                "meta-data",
                "-o",
                "theirs",
            ])
            .args(["--compression", "none"])
            .args(words)
            .current_dir(workstation.scratch.path())
            .output()
            .unwrap();
        assert!(made.status.success(), "{words:?}: {}", text(&made.stderr));
        let theirs = members(&fs::read(workstation.scratch.join("theirs")).unwrap());
        let shown = |members: &[(String, Vec<u8>)]| {
            let show = |(name, content): &(String, Vec<u8>)| {
                (name.clone(), String::from_utf8_lossy(content).into_owned())
            };
            members.iter().map(show).collect::<Vec<_>>()
        };
        let (mut ours, mut theirs) = (shown(&ours), shown(&theirs));
        // The same numbers have two forms in a tar header, so the header's checksum is another one.
        for members in [&mut ours, &mut theirs] {
            let manifest = &mut members[1].1;
            let at = manifest.find("  header.tar\n").unwrap();
            manifest.replace_range(at - 64..at, "");
        }
        assert_eq!(ours, theirs, "{words:?}");
    }
}

/// Names and contents in order; those of the archives inside as well.
fn members(artifact: &[u8]) -> Vec<(String, Vec<u8>)> {
    use std::io::Read;
    let mut found = Vec::new();
    for entry in tar::Archive::new(artifact).entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        match name.ends_with(".tar") {
            true => {
                let inner = members(&content);
                found.extend(
                    inner
                        .into_iter()
                        .map(|(inner, content)| (format!("{name}!{inner}"), content)),
                );
            }
            false => found.push((name, content)),
        }
    }
    found
}

#[test]
#[ignore = "needs root: works as another user"]
fn the_bytes_are_the_same_for_every_user_umask_zone_and_date() {
    let workstation = Workstation::new();
    let program = workstation.scratch.join("generator");
    fs::copy(env!("CARGO_BIN_EXE_docker-artifact-gen"), &program).unwrap();
    let open = |path: &std::path::Path| {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap()
    };
    open(workstation.scratch.path());
    for name in ["ArtifactInstall_Enter_00", "seed.bin"] {
        fs::write(workstation.scratch.join(name), "#!/bin/sh\n").unwrap();
    }
    let made = |wrapper: &str, mode: u32, touched: &str, packing: &str| {
        for name in ["ArtifactInstall_Enter_00", "seed.bin"] {
            let path = workstation.scratch.join(name);
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(
                Command::new("touch")
                    .args(["-d", touched])
                    .arg(&path)
                    .status()
                    .unwrap()
                    .success()
            );
        }
        let image = workstation.registry.name("shop/web:1");
        let line = format!(
            "{wrapper} ./generator -n a -t q -o - {image} -- -s ArtifactInstall_Enter_00 -f seed.bin --compression {packing}"
        );
        let mut command = Command::new("sh");
        command
            .args(["-c", &line])
            .current_dir(workstation.scratch.path());
        command
            .env("DRAY_CONFIG", "/dev/null")
            .env("DOCKER_CONFIG", "/nonexistent");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{line}: {}", text(&output.stderr));
        output.stdout
    };
    for packing in ["none", "gzip", "lzma", "zstd_fast"] {
        let first = made("", 0o644, "2001-01-01", packing);
        for (wrapper, mode, touched) in [
            ("umask 077; TZ=Asia/Tokyo", 0o755, "2031-12-31 23:59"),
            (
                "setpriv --reuid 65534 --regid 65534 --clear-groups",
                0o644,
                "1999-01-01",
            ),
            (
                "umask 0; LC_ALL=de_DE.UTF-8 TZ=America/Lima nice",
                0o444,
                "2020-02-02",
            ),
        ] {
            assert!(
                made(wrapper, mode, touched, packing) == first,
                "{packing}: {wrapper}"
            );
        }
    }
}
