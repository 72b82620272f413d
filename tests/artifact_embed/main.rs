//! Images inside an artifact: what `--embed` writes, judged by skopeo and mender-artifact, and what it refuses.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test files need no durable writer; a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;

mod assume;
mod local;
mod refused;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::Scratch;
use common::image::{Built, Entry, Flavour, Image, Layer, index};
use common::registry::{Fault, Link, On, Registry};
use dray::oci::Digest;
use serde_json::{Value, json};

/// A workstation with a registry.
struct Desk {
    registry: Registry,
    scratch: Scratch,
}

impl Desk {
    fn new() -> Desk {
        Desk {
            registry: Registry::start(),
            scratch: Scratch::new("embed"),
        }
    }

    /// The generator with `-n a -t q` and these words, in which `R/` stands for the registry.
    fn command(&self, words: &[&str]) -> Command {
        self.program(&[&["-n", "a", "-t", "q"], words].concat())
    }

    fn program(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_docker-artifact-gen"));
        let host = self.registry.host() + "/";
        command.args(words.iter().map(|word| word.replace("R/", &host)));
        command.current_dir(self.scratch.path());
        command.env_clear();
        command.env("DRAY_CONFIG", "/dev/null");
        command.env("DOCKER_CONFIG", self.scratch.path());
        command
    }

    /// Makes the artifact `name` of these words; what is printed.
    fn make(&self, name: &str, words: &[&str]) -> String {
        succeed(&mut self.command(&[&["--embed", "-o", name], words].concat()))
    }

    /// The same as JSON.
    fn summary(&self, name: &str, words: &[&str]) -> Value {
        let printed = self.make(name, &[&["--format", "json"], words].concat());
        serde_json::from_str(&printed).unwrap()
    }

    /// What was requested below a path, without the registry's part of it.
    fn asked(&self, path: &str) -> usize {
        self.registry.count("GET", path)
    }

    fn opened(&self, name: &str) -> Opened {
        Opened::of(&self.scratch.join(name))
    }

    fn files(&self) -> Vec<String> {
        let names = fs::read_dir(self.scratch.path()).unwrap();
        let names = names.map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

/// What is in an artifact.
struct Opened {
    meta_data: Value,
    /// Names and contents of the payload's files, in its order.
    payload: Vec<(String, Vec<u8>)>,
}

impl Opened {
    fn of(path: &Path) -> Opened {
        let mut meta_data = Value::Null;
        let mut payload = Vec::new();
        for (name, content) in members(&fs::read(path).unwrap()) {
            let content = match name.ends_with(".gz") {
                true => {
                    let mut plain = Vec::new();
                    let mut decoder = flate2::read::GzDecoder::new(content.as_slice());
                    decoder.read_to_end(&mut plain).unwrap();
                    plain
                }
                false => content,
            };
            match name.trim_end_matches(".gz") {
                "header.tar" => {
                    let header = members(&content);
                    let (_, text) = header.iter().find(|m| m.0.ends_with("meta-data")).unwrap();
                    meta_data = serde_json::from_slice(text).unwrap();
                }
                "data/0000.tar" => payload = members(&content),
                _ => {}
            }
        }
        Opened { meta_data, payload }
    }

    fn names(&self) -> Vec<&str> {
        self.payload.iter().map(|(name, _)| name.as_str()).collect()
    }

    fn index(&self) -> Value {
        let (_, text) = self.payload.iter().find(|f| f.0 == "index.json").unwrap();
        serde_json::from_slice(text).unwrap()
    }

    /// The layout that a device makes of the payload, with only this entry in its index.
    fn layout(&self, dir: PathBuf, entry: usize) -> String {
        fs::create_dir_all(dir.join("blobs/sha256")).unwrap();
        for (name, content) in &self.payload {
            let path = match name.strip_prefix("sha256.") {
                Some(hex) => format!("blobs/sha256/{hex}"),
                None => name.clone(),
            };
            fs::write(dir.join(path), content).unwrap();
        }
        let mut index = self.index();
        let only = index["manifests"][entry].clone();
        index["manifests"] = json!([only]);
        fs::write(dir.join("index.json"), index.to_string()).unwrap();
        format!("oci:{}", dir.display())
    }
}

fn members(tar: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(tar);
    let member = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        (name, content)
    };
    archive.entries().unwrap().map(member).collect()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Standard output of a success that said nothing on standard error.
fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert_eq!(text(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
    text(&output.stdout).to_owned()
}

/// Exit code and standard error of a failure that printed nothing else.
fn fail(command: &mut Command) -> (i32, String) {
    let output = command.output().unwrap();
    assert_eq!(text(&output.stdout), "");
    let code = output.status.code().unwrap();
    (code, text(&output.stderr).to_owned())
}

/// Runs another program, which has to succeed.
fn theirs(program: &str, words: &[&str]) -> Output {
    let output = Command::new(program).args(words).output().unwrap();
    assert!(output.status.success(), "{program} {words:?}: {output:?}");
    output
}

/// A layer with a file of so many bytes that do not pack.
fn layer(name: &str, size: usize) -> Layer {
    let mut state = Digest::of(name.as_bytes()).hex().into_bytes();
    let mut content = Vec::with_capacity(size);
    while content.len() < size {
        state = Digest::of(&state).hex().into_bytes();
        content.extend_from_slice(&state);
    }
    content.truncate(size);
    Layer::of(&[Entry::file(name, content)])
}

fn blob(layer: &Layer) -> Digest {
    Digest::of(&layer.blob())
}

fn file_of(digest: &Digest) -> String {
    format!("sha256.{}", digest.hex())
}

#[test]
fn an_image_travels_byte_for_byte_in_one_pass() {
    let desk = Desk::new();
    let (base, top) = (layer("base", 300_000), layer("top", 200_000));
    let web = Image::oci([base.clone(), top.clone(), base.clone()]).build();
    desk.registry.push("shop/web", "1", &web);
    let printed = desk.make("a", &["R/shop/web:1"]);

    let opened = desk.opened("a");
    let documents = [&web.digest, &web.config, &blob(&base), &blob(&top)].map(file_of);
    let mut names = vec!["oci-layout", "index.json"];
    names.extend(documents.iter().map(String::as_str));
    assert_eq!(opened.names(), names);
    let contents: Vec<&[u8]> = opened.payload.iter().map(|f| f.1.as_slice()).collect();
    assert_eq!(contents[0], br#"{"imageLayoutVersion":"1.0.0"}"#);
    assert_eq!(contents[2], web.document());
    assert_eq!(contents[3], web.blobs[&web.config]);
    assert_eq!(contents[4], base.blob());
    assert_eq!(contents[5], top.blob());
    let name = desk.registry.name("shop/web:1");
    assert_eq!(
        opened.index(),
        json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [{
                "mediaType": web.media_type, "digest": web.digest, "size": web.document().len(),
                "annotations": {"io.containerd.image.name": name},
            }],
        })
    );
    assert_eq!(
        opened.meta_data,
        json!({
            "containers": [format!("{name}@{}", web.digest)], "run_args": "",
            "dray": {"version": 1, "payload": "oci-layout"},
        })
    );
    // Each layer came once, although the image has one of them twice.
    assert_eq!(desk.asked("/blobs/"), 3);
    assert_eq!(desk.asked(&blob(&base).to_string()), 1);

    let path = desk.scratch.join("a");
    let path = path.to_str().unwrap();
    theirs("mender-artifact", &["validate", path]);
    let read = theirs("mender-artifact", &["read", path]);
    let (read, size) = (text(&read.stdout), fs::metadata(path).unwrap().len());
    let bytes: usize = contents[2..].iter().map(|content| content.len()).sum();
    let images = format!(
        "    Images:\n      name:     {name}\n      digest:   {}\n    Blobs:  4, {bytes} bytes\n",
        web.digest
    );
    let shown = format!("{}\n{images}", read.trim_end());
    assert_eq!(
        printed,
        format!(
            "Artifact a generated successfully:\n{shown}Artifact size: {size} bytes ({:.1} KB)\n",
            size as f64 / 1000.0
        )
    );
    assert_eq!(succeed(&mut desk.program(&["read", "a"])), shown);
    let read = succeed(&mut desk.program(&["read", "--format", "json", "a"]));
    let read: Value = serde_json::from_str(&read).unwrap();
    assert_eq!(
        read["payloads"][0]["carried"],
        json!({
            "images": [{"name": name, "digest": web.digest}],
            "blobs": 4, "bytes": bytes, "layers_left_out": 0,
        })
    );
}

/// What skopeo makes of the layout that a device gets.
fn agrees(desk: &Desk, opened: &Opened, entry: usize, image: &Built, platform: &[&str]) {
    let layout = opened.layout(desk.scratch.join("layout"), entry);
    let raw = theirs("skopeo", &["inspect", "--raw", &layout]).stdout;
    assert_eq!(
        Digest::of(&raw),
        opened.index()["manifests"][entry]["digest"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap()
    );
    let copy = desk.scratch.join("copy");
    let to = format!("dir:{}", copy.display());
    theirs("skopeo", &[platform, &["copy", &layout, &to]].concat());
    let manifest = fs::read(copy.join("manifest.json")).unwrap();
    assert_eq!(Digest::of(&manifest), image.digest);
    for folder in [copy, desk.scratch.join("layout")] {
        fs::remove_dir_all(folder).unwrap();
    }
}

#[test]
fn of_an_index_only_what_the_platforms_need_travels() {
    let desk = Desk::new();
    let shared = layer("shared", 9_000);
    let of = |platform: &str| {
        let own = layer(platform, 7_000);
        let image = Image::oci([shared.clone(), own.clone()]).platform(platform);
        (image.build(), blob(&own))
    };
    let [amd, arm, old] = ["linux/amd64", "linux/arm64", "linux/arm/v6"].map(of);
    let many = index(Flavour::Oci, &[&amd.0, &arm.0, &old.0]);
    desk.registry.push("shop/web", "1", &many);

    desk.make("one", &["--platform", "linux/arm64", "R/shop/web:1"]);
    let one = desk.opened("one");
    let digests = [
        many.digest,
        arm.0.digest,
        arm.0.config,
        blob(&shared),
        arm.1,
    ];
    assert_eq!(one.names()[2..], digests.map(|digest| file_of(&digest)));
    agrees(&desk, &one, 0, &arm.0, &["--override-arch", "arm64"]);

    let words = ["--platform", "linux/arm/v7", "--platform", "linux/amd64"];
    let summary = desk.summary("two", &[&words[..], &["R/shop/web:1"]].concat());
    let two = desk.opened("two");
    let digests = [
        many.digest,
        old.0.digest,
        old.0.config,
        amd.0.digest,
        amd.0.config,
        blob(&shared),
        old.1,
        amd.1,
    ];
    assert_eq!(two.names()[2..], digests.map(|digest| file_of(&digest)));
    agrees(&desk, &two, 0, &amd.0, &["--override-arch", "amd64"]);
    let bytes: usize = two.payload[2..].iter().map(|file| file.1.len()).sum();
    assert_eq!(
        summary["embedded"],
        json!({
            "platforms": ["linux/arm/v7", "linux/amd64"], "blobs": 8, "bytes": bytes,
            "left_out": {"layers": 0, "bytes": 0},
        })
    );
    assert_eq!(summary["images"][0]["media_type"], many.media_type);
    // Two platforms that run one image.
    let words = ["--platform", "linux/amd64/v3", "--platform", "linux/amd64"];
    desk.make("same", &[&words[..], &["R/shop/web:1"]].concat());
    assert_eq!(desk.opened("same").payload.len(), 7);
}

#[test]
fn images_share_what_they_have_in_common() {
    let desk = Desk::new();
    let shared = layer("shared", 9_000);
    let of = |name: &str| {
        let own = layer(name, 7_000);
        (
            Image::oci([shared.clone(), own.clone()]).build(),
            blob(&own),
        )
    };
    let [web, db] = ["web", "db"].map(of);
    desk.registry.push("shop/web", "1", &web.0);
    desk.registry.push("shop/web", "stable", &web.0);
    desk.registry.push("shop/db", "9", &db.0);
    let by_digest = format!("R/shop/web@{}", web.0.digest);
    let images = [
        "R/shop/db:9",
        "R/shop/web:1",
        "R/shop/db:9",
        "R/shop/web:stable",
        &by_digest,
    ];
    desk.make("a", &images);
    let opened = desk.opened("a");
    let digests = [
        db.0.digest,
        db.0.config,
        web.0.digest,
        web.0.config,
        blob(&shared),
        db.1,
        web.1,
    ];
    assert_eq!(opened.names()[2..], digests.map(|digest| file_of(&digest)));
    let index = opened.index();
    let entries = index["manifests"].as_array().unwrap().iter();
    let entries: Vec<(&str, &str)> = entries
        .map(|entry| {
            let name = &entry["annotations"]["io.containerd.image.name"];
            (name.as_str().unwrap(), entry["digest"].as_str().unwrap())
        })
        .collect();
    let name = |rest: &str| desk.registry.name(rest);
    let (web, db) = (web.0.digest.to_string(), db.0.digest.to_string());
    assert_eq!(
        entries,
        [
            (name("shop/db:9").as_str(), db.as_str()),
            (&name("shop/web:1"), &web),
            (&name("shop/web:stable"), &web),
            // The tag is there only where it was given.
            (&name("shop/web"), &web),
        ]
    );
    let containers = opened.meta_data["containers"].as_array().unwrap();
    let named = [
        &entries[0],
        &entries[1],
        &entries[0],
        &entries[2],
        &entries[3],
    ];
    assert_eq!(
        *containers,
        named.map(|(name, digest)| json!(format!("{name}@{digest}")))
    );
    assert_eq!(desk.asked(&blob(&shared).to_string()), 1);
}

#[test]
fn the_same_request_gives_the_same_bytes_under_any_umask() {
    let desk = Desk::new();
    let web = Image::docker([layer("base", 30_000)]).build();
    desk.registry.push("shop/web", "1", &web);
    for packing in [&[][..], &["--", "--compression", "gzip"]] {
        let words = [&["R/shop/web:1"], packing].concat();
        desk.make("a", &words);
        let command = desk.command(&[&["--embed", "-o", "b"], &words[..]].concat());
        let mut under = Command::new("/bin/sh");
        under.args(["-c", "umask 077; exec \"$0\" \"$@\""]);
        under.arg(command.get_program()).args(command.get_args());
        under
            .current_dir(desk.scratch.path())
            .env("DRAY_CONFIG", "/dev/null");
        succeed(under.env("DOCKER_CONFIG", desk.scratch.path()));
        let [a, b] = ["a", "b"].map(|name| fs::read(desk.scratch.join(name)).unwrap());
        assert!(a == b, "{packing:?}");
        let path = desk.scratch.join("a");
        theirs("mender-artifact", &["validate", path.to_str().unwrap()]);
        let opened = desk.opened("a");
        let outer = members(&a);
        let data = match packing.is_empty() {
            true => "data/0000.tar",
            false => "data/0000.tar.gz",
        };
        assert_eq!(outer.last().unwrap().0, data);
        assert_eq!(opened.payload[2].1, web.document());
    }
}

#[test]
fn a_blob_whose_connection_breaks_is_gone_on_with() {
    let desk = Desk::new();
    let base = layer("base", 900_000);
    desk.registry
        .push("shop/web", "1", &Image::oci([base.clone()]).build());
    desk.make("whole", &["R/shop/web:1"]);
    desk.registry.reset_counts();
    let path = blob(&base).to_string();
    for link in [Link::Reset, Link::Truncate] {
        desk.registry
            .fault(On::Path(path.clone()), Fault::Link(link, 400_000), 1);
    }
    desk.make("resumed", &["R/shop/web:1"]);
    let [whole, resumed] =
        ["whole", "resumed"].map(|name| fs::read(desk.scratch.join(name)).unwrap());
    assert!(whole == resumed);
    let requests = desk.registry.requests().into_iter();
    let ranges: Vec<bool> = requests
        .filter(|request| request.path.contains(&path))
        .map(|request| request.header("range").is_some())
        .collect();
    assert_eq!(ranges, [false, true, true]);
}

#[test]
fn a_blob_that_is_wrong_leaves_no_file_and_the_old_one_alone() {
    let desk = Desk::new();
    let (base, top) = (layer("base", 90_000), layer("top", 90_000));
    desk.registry
        .push("shop/web", "1", &Image::oci([base, top.clone()]).build());
    let word = desk.registry.name("shop/web:1");
    for fault in [Fault::WrongContent, Fault::Status(404)] {
        desk.registry
            .fault(On::Path(blob(&top).to_string()), fault.clone(), usize::MAX);
        let (code, line) = fail(&mut desk.command(&["--embed", "R/shop/web:1"]));
        desk.registry.heal();
        assert_eq!(code, 2, "{line}");
        assert!(
            line.starts_with(&format!("Error: {word}: layer {}: ", blob(&top))),
            "{line}"
        );
        assert_eq!(line.lines().count(), 1, "{line}");
        assert_eq!(desk.files(), [""; 0], "{fault:?}");
    }
    fs::write(desk.scratch.join("docker-artifact.mender"), "old").unwrap();
    desk.registry.fault(
        On::Path(blob(&top).to_string()),
        Fault::WrongContent,
        usize::MAX,
    );
    fail(&mut desk.command(&["--embed", "R/shop/web:1"]));
    assert_eq!(desk.files(), ["docker-artifact.mender"]);
    assert_eq!(
        fs::read(desk.scratch.join("docker-artifact.mender")).unwrap(),
        b"old"
    );
}

#[test]
fn wrong_bytes_of_a_mirror_cost_only_time() {
    let desk = Desk::new();
    let base = layer("base", 90_000);
    let web = Image::oci([base.clone()]).build();
    let mirror = Registry::start();
    for registry in [&desk.registry, &mirror] {
        registry.push("shop/web", "1", &web);
    }
    desk.make("right", &["R/shop/web:1"]);
    let settings = format!(
        "[registry \"{}\"]\nmirrors = {}\n",
        desk.registry.host(),
        mirror.host()
    );
    fs::write(desk.scratch.join("dray.ini"), settings).unwrap();
    let digests = [web.config, blob(&base)].map(|digest| digest.to_string());
    for registry in [&desk.registry, &mirror] {
        registry.reset_counts();
    }
    mirror.fault(On::Blobs, Fault::WrongContent, usize::MAX);
    let mut command = desk.command(&["--embed", "-o", "a", "R/shop/web:1"]);
    succeed(command.env("DRAY_CONFIG", desk.scratch.join("dray.ini")));
    let [right, found] = ["right", "a"].map(|name| fs::read(desk.scratch.join(name)).unwrap());
    assert!(right == found);
    for digest in &digests {
        assert_eq!((mirror.count("GET", digest), desk.asked(digest)), (1, 1));
    }
    // Where both lie it is refused.
    desk.registry.fault(
        On::Path(digests[1].clone()),
        Fault::WrongContent,
        usize::MAX,
    );
    let mut command = desk.command(&["--embed", "-o", "b", "R/shop/web:1"]);
    command.env("DRAY_CONFIG", desk.scratch.join("dray.ini"));
    let (code, line) = fail(&mut command);
    assert_eq!(code, 2);
    assert!(line.contains("arrived with the digest"), "{line}");
    assert_eq!(desk.files(), ["a", "dray.ini", "right"]);
}

#[test]
fn a_dry_run_computes_the_size_and_fetches_no_layer() {
    let desk = Desk::new();
    let base = layer("base", 90_000);
    desk.registry
        .push("shop/web", "1", &Image::oci([base.clone()]).build());
    let key = desk.scratch.join("key");
    theirs(
        "openssl",
        &[
            "genpkey",
            "-algorithm",
            "RSA",
            "-pkeyopt",
            "rsa_keygen_bits:2048",
            "-out",
            key.to_str().unwrap(),
        ],
    );
    fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    for signing in [&[][..], &["-k", "key"]] {
        let words = [signing, &["R/shop/web:1"]].concat();
        desk.registry.reset_counts();
        let dry = desk.summary("a", &[&["--dry-run"], &words[..]].concat());
        assert_eq!(desk.files(), ["key"]);
        assert_eq!(
            (desk.asked("/blobs/"), desk.asked(&blob(&base).to_string())),
            (1, 0)
        );
        let wet = desk.summary("a", &words);
        assert_eq!(dry["size"], wet["size"]);
        assert_eq!(
            dry["size"],
            fs::metadata(desk.scratch.join("a")).unwrap().len()
        );
        assert_eq!(
            (&dry["sha256"], &dry["dry_run"]),
            (&Value::Null, &json!(true))
        );
        assert_eq!(
            (&dry["embedded"], &dry["images"]),
            (&wet["embedded"], &wet["images"])
        );
        // Word for word what the artifact then says.
        let dry = desk.make("a", &[&["--dry-run"], &words[..]].concat());
        let wet = desk.make("a", &words);
        let (first, rest) = dry.split_once('\n').unwrap();
        assert_eq!(first, "Artifact a was not written, this is a dry run:");
        assert_eq!(rest, wet.split_once('\n').unwrap().1);
        fs::remove_file(desk.scratch.join("a")).unwrap();
    }
    let packed = ["--dry-run", "R/shop/web:1", "--", "--compression", "gzip"];
    let printed = desk.make("a", &packed);
    assert!(
        printed.ends_with("\nArtifact size: as --compression will make it\n"),
        "{printed}"
    );
    assert_eq!(desk.summary("a", &packed)["size"], Value::Null);
}

#[test]
fn progress_on_a_terminal_has_bytes_and_a_rate() {
    let desk = Desk::new();
    let base = layer("base", 600_000);
    desk.registry
        .push("shop/web", "1", &Image::oci([base.clone()]).build());
    let line = |more: &str| {
        // Half a second and more, so that there is something to be drawn.
        desk.registry.fault(
            On::Path(blob(&base).to_string()),
            Fault::Pace(100_000, 150),
            1,
        );
        let program = env!("CARGO_BIN_EXE_docker-artifact-gen");
        let web = desk.registry.name("shop/web:1");
        let line = format!("{program} -n a -t q --embed {web} {more} >printed");
        let mut command = Command::new("script");
        command.args(["-qec", &line, "/dev/null"]);
        command.current_dir(desk.scratch.path());
        command.env("DRAY_CONFIG", "/dev/null");
        let output = command
            .env("DOCKER_CONFIG", desk.scratch.path())
            .output()
            .unwrap();
        assert!(output.status.success());
        text(&output.stdout).to_owned()
    };
    let shown = line("");
    let size = format!("{:.1} KB", base.blob().len() as f64 / 1000.0);
    assert!(
        shown.contains(&format!("KB of {size}, ")) && shown.contains("KB/s"),
        "{shown}"
    );
    assert!(
        shown.contains(&format!("\r{size} of {size}, ")) && shown.ends_with("\x1b[K\r\n"),
        "{shown:?}"
    );
    assert_eq!(line("--no-progress"), "");
    assert!(desk.registry.count("GET", "/blobs/") > 3);
}

/// What a map of names and contents has under a blob's name.
fn contents(opened: &Opened) -> BTreeMap<&str, &[u8]> {
    let files = opened.payload.iter();
    files
        .map(|(name, content)| (name.as_str(), content.as_slice()))
        .collect()
}
