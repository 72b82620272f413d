//! What our writer makes, other readers take; what other writers make, our reader takes.
//!
//! The peers are Debian's `mender-artifact` 3.9 and `mender` client 3.4, as `tests/setup.sh` installs them.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test files need no durable writer; a test fails by panicking"
)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Read};
use std::path::Path;
use std::process::{Command, Output};

use common::Scratch;
use dray::artifact::compression::Compression;
use dray::artifact::header::{Header, Software};
use dray::artifact::payload::Payload;
use dray::artifact::writer::{self, Artifact, Options, PayloadFile, Script};
use dray::oci::Digest;
use dray::trust::PrivateKey;

const IMAGE: &str = "registry.example:5000/shop/web@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

const RUN_ARGS: &str = r#"-p 8080:80 -e 'A="b" <c>' --restart unless-stopped"#;

fn payload() -> Payload {
    Payload::shared(
        vec![IMAGE.parse().unwrap(), "nginx:1.27".parse().unwrap()],
        RUN_ARGS,
    )
}

fn plain() -> Header {
    let mut header = Header {
        artifact_name: "rel-1".to_owned(),
        device_types: vec!["qemu".to_owned()],
        ..Header::default()
    };
    header.provide_software(&Software::default(), true);
    header
}

fn full() -> Header {
    let pair = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
    let mut header = Header {
        artifact_name: "shop_7.1".to_owned(),
        group: Some("beta".to_owned()),
        device_types: vec!["qemu".to_owned(), "raspberrypi4".to_owned()],
        depends_names: vec!["shop_6".to_owned(), "shop_7".to_owned()],
        depends_groups: vec!["beta".to_owned()],
        depends: pair("rootfs-image.version", "11"),
        provides: pair("data.shop.channel", "b:c"),
        clears_provides: vec!["data.old.*".to_owned()],
    };
    let software = Software {
        filesystem: Some("data".to_owned()),
        name: Some("shop".to_owned()),
        version: Some("7.1".to_owned()),
        ..Software::default()
    };
    header.provide_software(&software, true);
    header
}

fn ours(header: &Header, options: Options) -> Vec<u8> {
    let mut bytes = Vec::new();
    writer::write(&mut bytes, header, &payload(), options).unwrap();
    bytes
}

/// mender-artifact's artifact for the same request.
fn theirs(header: &Header, software: &[(&str, &str)], compression: &str, dir: &Path) -> Vec<u8> {
    let meta_data = dir.join("meta-data.json");
    fs::write(&meta_data, payload().to_json()).unwrap();
    let file = dir.join("theirs.mender");
    let mut options = vec![("-n", header.artifact_name.clone())];
    options.extend(header.device_types.iter().map(|t| ("-t", t.clone())));
    options.extend(header.depends_names.iter().map(|n| ("-N", n.clone())));
    options.extend(header.depends_groups.iter().map(|g| ("-G", g.clone())));
    options.extend(header.group.iter().map(|g| ("-g", g.clone())));
    options.extend(
        header
            .depends
            .iter()
            .map(|(k, v)| ("-d", format!("{k}:{v}"))),
    );
    options.extend(
        software
            .iter()
            .map(|(option, value)| (*option, (*value).to_owned())),
    );
    let mut command = Command::new("mender-artifact");
    command.args([
        "--compression",
        compression,
        "write",
        "module-image",
        "-T",
        "docker",
        "-o",
    ]);
    command.arg(&file).arg("-m").arg(&meta_data);
    for (option, value) in options {
        command.arg(option).arg(value);
    }
    succeed(command.output().unwrap());
    fs::read(file).unwrap()
}

fn succeed(output: Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// Member names and contents, in order; packed members unpacked in place as `outer!inner`.
fn members(artifact: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for (name, content) in tar_members(artifact) {
        let inner = if name.ends_with(".gz") {
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(content.as_slice())
                .read_to_end(&mut plain)
                .unwrap();
            plain
        } else if name.ends_with(".tar") {
            content
        } else {
            found.push((name, content));
            continue;
        };
        found.extend(
            tar_members(&inner)
                .into_iter()
                .map(|(inner, content)| (format!("{name}!{inner}"), content)),
        );
        found.push((name, Vec::new()));
    }
    found
}

fn tar_members(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(bytes);
    let read = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (entry.path().unwrap().to_str().unwrap().to_owned(), content)
    };
    archive.entries().unwrap().map(read).collect()
}

#[test]
fn members_are_those_of_mender_artifact_byte_for_byte() {
    let scratch = Scratch::new("artifact-peer");
    // What `full` says about its software; `plain` has the defaults of both sides.
    let named = [
        ("-p", "data.shop.channel:b:c"),
        ("--clears-provides", "data.old.*"),
        ("--software-filesystem", "data"),
        ("--software-name", "shop"),
        ("--software-version", "7.1"),
    ];
    for (header, software, packing, compression) in [
        (plain(), &[][..], "gzip", Compression::Gzip),
        (plain(), &[], "none", Compression::None),
        (full(), &named, "gzip", Compression::Gzip),
    ] {
        let options = Options {
            compression,
            mtime: 0,
        };
        let mut ours = members(&ours(&header, options));
        let mut theirs = members(&theirs(&header, software, packing, scratch.path()));
        let names = |members: &[(String, Vec<u8>)]| {
            members
                .iter()
                .map(|(name, _)| name.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&ours), names(&theirs));
        // The manifest names the packed header, and two gzip writers pack differently; readers check it below.
        // Their JSON escapes what HTML would trip over, which means the same.
        for members in [&mut ours, &mut theirs] {
            members.retain(|(name, _)| name != "manifest");
        }
        for ((name, ours), (_, theirs)) in ours.iter().zip(&theirs) {
            if name.ends_with("meta-data") {
                assert_eq!(Payload::parse(theirs).unwrap(), payload());
                assert_eq!(Payload::parse(ours).unwrap(), payload());
            } else {
                assert_eq!(
                    String::from_utf8_lossy(ours),
                    String::from_utf8_lossy(theirs),
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn nothing_of_the_builder_is_inside() {
    let bytes = ours(&full(), Options::default());
    let mut archive = tar::Archive::new(bytes.as_slice());
    let mut names = Vec::new();
    for entry in archive.entries().unwrap() {
        let entry = entry.unwrap();
        let header = entry.header();
        let owner = (
            header.uid().unwrap(),
            header.gid().unwrap(),
            header.username().unwrap(),
            header.groupname().unwrap(),
        );
        assert_eq!(owner, (0, 0, Some(""), Some("")));
        assert_eq!(
            (header.mode().unwrap(), header.mtime().unwrap()),
            (0o600, 0)
        );
        names.push(entry.path().unwrap().to_str().unwrap().to_owned());
    }
    assert_eq!(
        names,
        ["version", "manifest", "header.tar.gz", "data/0000.tar.gz"]
    );
    assert_eq!(bytes, ours(&full(), Options::default()));
}

#[test]
fn mender_artifact_accepts_every_form() {
    let scratch = Scratch::new("artifact-valid");
    let file = scratch.join("ours.mender");
    for header in [plain(), full()] {
        for compression in [Compression::Gzip, Compression::None, Compression::Lzma] {
            for mtime in [0, 1_700_000_000] {
                fs::write(&file, ours(&header, Options { compression, mtime })).unwrap();
                let output = Command::new("mender-artifact")
                    .arg("validate")
                    .arg(&file)
                    .output()
                    .unwrap();
                succeed(output);
            }
        }
    }
    // That it looks at all: one byte of the header changed.
    let mut broken = ours(
        &plain(),
        Options {
            compression: Compression::None,
            mtime: 0,
        },
    );
    let at = broken
        .windows(5)
        .position(|window| window == b"8080:")
        .unwrap();
    broken[at] = b'9';
    fs::write(&file, broken).unwrap();
    let output = Command::new("mender-artifact")
        .arg("validate")
        .arg(&file)
        .output()
        .unwrap();
    assert!(!output.status.success());
}

/// A module that notes how it was called and keeps the header it was given.
const RECORDER: &str = r#"#!/bin/sh
echo "$1" >>"${0%/*}/../calls"
case $1 in
SupportsRollback) echo Yes ;;
ArtifactInstall) cp "$2"/header/meta-data "$2"/header/type-info "$2"/files/seed RECORD ;;
esac
exit 0
"#;

#[test]
#[ignore = "needs root: puts a recording module over the client's docker module in a mount namespace"]
fn debians_client_installs_it() {
    let scratch = Scratch::new("artifact-client");
    let record = scratch.join("record");
    let etc = scratch.join("etc");
    let data = scratch.join("data");
    let modules = scratch.join("modules");
    for dir in [&record, &etc, &data, &modules] {
        fs::create_dir(dir).unwrap();
    }
    let module = modules.join("docker");
    let text = RECORDER
        .replace("${0%/*}/../calls", record.join("calls").to_str().unwrap())
        .replace("RECORD", record.to_str().unwrap());
    fs::write(&module, text).unwrap();
    succeed(
        Command::new("chmod")
            .arg("0755")
            .arg(&module)
            .output()
            .unwrap(),
    );
    fs::write(data.join("device_type"), "device_type=qemu\n").unwrap();
    fs::write(etc.join("artifact_info"), "artifact_name=factory\n").unwrap();
    let key = key(&etc.join("key.pem"), &etc.join("key.pub"));
    fs::write(
        etc.join("mender.conf"),
        r#"{"ArtifactVerifyKey": "/etc/mender/key.pub"}"#,
    )
    .unwrap();
    let file = scratch.join("ours.mender");
    for compression in [Compression::Gzip, Compression::None, Compression::Lzma] {
        let state_script = format!("#!/bin/sh\necho script >>{}/calls\n", record.display());
        let whole = everything(compression, state_script, &key);
        fs::write(&file, whole).unwrap();
        let script = r#"mount --bind "$1" /usr/share/mender/modules/v3
            mount --bind "$2" /etc/mender
            mender --no-syslog --data "$3" install "$4"
            mender --no-syslog --data "$3" commit
            mender --no-syslog --data "$3" show-artifact
            mender --no-syslog --data "$3" show-provides"#;
        let mut client = Command::new("unshare");
        client.args(["-m", "sh", "-ec", script, "sh"]);
        let printed = succeed(
            client
                .arg(&modules)
                .arg(&etc)
                .arg(&data)
                .arg(&file)
                .output()
                .unwrap(),
        );
        let last: Vec<&str> = printed.lines().rev().take(3).collect();
        assert!(
            last.contains(&"rootfs-image.docker.version=rel-1"),
            "{printed}"
        );
        assert!(last.contains(&"artifact_name=rel-1"), "{printed}");
        let calls = fs::read_to_string(record.join("calls")).unwrap();
        let expected = "Download SupportsRollback script ArtifactInstall NeedsArtifactReboot ArtifactCommit Cleanup";
        assert_eq!(
            calls.split_whitespace().collect::<Vec<_>>().join(" "),
            expected
        );
        fs::remove_file(record.join("calls")).unwrap();
        // The client prints JSON its own way; what it means must be what we wrote.
        assert_eq!(
            Payload::parse(&fs::read(record.join("meta-data")).unwrap()).unwrap(),
            payload()
        );
        assert_eq!(fs::read(record.join("seed")).unwrap(), SEED);
    }
    // The client looks at signatures.
    fs::write(&file, ours(&plain(), Options::default())).unwrap();
    let mut client = Command::new("unshare");
    let script = r#"mount --bind "$1" /etc/mender; mender --no-syslog --data "$2" install "$3""#;
    client.args(["-m", "sh", "-ec", script, "sh"]);
    let refused = client.arg(&etc).arg(&data).arg(&file).output().unwrap();
    assert!(!refused.status.success());
    assert!(!record.join("calls").exists());
}

/// A payload file.
const SEED: &[u8] = b"what the containers begin with\n";

/// A signed artifact with a state script and a payload file.
fn everything(compression: Compression, state_script: String, key: &PrivateKey) -> Vec<u8> {
    let open = || Ok(Box::new(SEED) as Box<dyn Read>);
    let artifact = Artifact {
        header: &plain(),
        payload: &payload(),
        scripts: &[Script {
            name: "ArtifactInstall_Enter_00_note".to_owned(),
            content: state_script.into_bytes(),
        }],
        files: &[PayloadFile {
            name: "seed".to_owned(),
            digest: Digest::of(SEED),
            size: SEED.len() as u64,
            open: &open,
        }],
        options: Options {
            compression,
            mtime: 0,
        },
    };
    let sign = |manifest: &[u8]| Ok(key.sign(manifest).unwrap().to_text());
    let mut whole = Cursor::new(Vec::new());
    writer::write_signed(&mut whole, &artifact, Some(&sign)).unwrap();
    whole.into_inner()
}

/// A new key, and its public half in a file.
fn key(private: &Path, public: &Path) -> PrivateKey {
    let openssl = |words: &[&str]| succeed(Command::new("openssl").args(words).output().unwrap());
    let (private, public) = (private.to_str().unwrap(), public.to_str().unwrap());
    openssl(&[
        "ecparam",
        "-genkey",
        "-name",
        "prime256v1",
        "-noout",
        "-out",
        private,
    ]);
    openssl(&["pkey", "-in", private, "-pubout", "-out", public]);
    PrivateKey::parse(&fs::read(private).unwrap()).unwrap()
}
