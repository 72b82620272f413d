//! Images out of files and into them: what skopeo, podman, umoci and docker write is loaded with the right digests and
//! ids. What is made to do harm is in `hostile`.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test files need no durable writer; a broken set-up should panic"
)]

mod common;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use common::Scratch;
use common::fed;
use common::image::{
    Built, Entry, Flavour, Image, Layer, Packing, docker_archive, index, layout_entries, tar,
};
use dray::oci::Digest;
use serde_json::{Value, json};

/// A device in a scratch folder, used through its command line.
struct Device {
    scratch: Scratch,
}

impl Device {
    fn new() -> Device {
        let device = Device {
            scratch: Scratch::new("load"),
        };
        device.configure("");
        device
    }

    fn configure(&self, rest: &str) {
        let dir = self.scratch.path().display();
        let text = format!("[paths]\nstate = {dir}/state\nrun = {dir}/run\n{rest}");
        fs::write(self.scratch.join("dray.ini"), text).unwrap();
    }

    fn join(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dray"));
        command
            .args(words.split_whitespace())
            .current_dir(self.scratch.path())
            .env("DRAY_CONFIG", self.join("dray.ini"))
            .env("TZ", "UTC")
            .stdin(Stdio::null());
        command
    }

    /// Standard output of a call that is expected to succeed.
    fn dray(&self, words: &str) -> String {
        said(self.command(words).output().unwrap(), words)
    }

    /// Standard output, with a file for its input.
    fn dray_reads(&self, words: &str, input: &Path) -> String {
        let mut command = self.command(words);
        command.stdin(fs::File::open(input).unwrap());
        said(command.output().unwrap(), words)
    }

    /// Standard output, with bytes through a pipe for its input.
    fn dray_hears(&self, words: &str, input: &[u8]) -> Output {
        fed(&mut self.command(words), input)
    }

    /// What a call that is expected to fail says.
    fn refusal(&self, words: &str) -> String {
        let output = self.command(words).output().unwrap();
        assert!(!output.status.success(), "{words} succeeded");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{words}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn inspect(&self, image: &str) -> Value {
        let text = self.dray(&format!("image inspect {image}"));
        serde_json::from_str::<Value>(&text).unwrap()[0].clone()
    }

    /// Names in the store's folders.
    fn store(&self) -> Vec<String> {
        let mut found = Vec::new();
        for folder in ["layers/sha256", "blobs/sha256", "names", "pins", "."] {
            let dir = self.join("state").join(folder);
            for entry in fs::read_dir(dir).into_iter().flatten() {
                let entry = entry.unwrap();
                if folder != "." || entry.file_name().as_encoded_bytes().starts_with(b".tmp") {
                    found.push(format!("{folder}/{}", entry.file_name().display()));
                }
            }
        }
        found
    }
}

fn said(output: Output, words: &str) -> String {
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// A tool of the host, expected to succeed.
fn tool(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output().unwrap();
    said(output, program)
}

fn skopeo(words: &[&str]) -> String {
    tool(
        "skopeo",
        &[&["--insecure-policy", "--override-os", "linux"], words].concat(),
    )
}

/// Two layers, the upper one with a whiteout.
fn two_layers() -> Built {
    let lower = Layer::of(&[
        Entry::dir("etc"),
        Entry::file("etc/motd", "hello\n").mode(0o600).owner(3, 4),
        Entry::file("etc/gone", "x"),
    ]);
    let upper = Layer::of(&[
        Entry::file("etc/.wh.gone", ""),
        Entry::file("big", vec![b'x'; 200_000]),
    ]);
    Image::oci([lower, upper])
        .config(json!({"Cmd": ["/bin/true"], "Env": ["A=b"]}))
        .build()
}

#[test]
fn a_layout_is_loaded_from_a_folder_a_tar_and_through_a_pipe() {
    let built = two_layers();
    let source = Scratch::new("layout");
    built.write_layout(&source.join("l"), "shop/web:1");
    let plain = tar(&layout_entries(&source.join("l")));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = zstd::encode_all(&plain[..], 1).unwrap();
    for (name, bytes) in [("plain", &plain), ("gzip", &gzip), ("zstd", &zstd)] {
        fs::write(source.join(name), bytes).unwrap();
    }
    let path = |name: &str| source.join(name).display().to_string();
    let check = |device: &Device, said: &str, how: &str| {
        assert_eq!(said, "Loaded image: shop/web:1\n", "{how}");
        let image = device.inspect("shop/web:1");
        assert_eq!(image["Id"], json!(built.config), "{how}");
        let digest = format!("shop/web@{}", built.digest);
        assert_eq!(image["RepoDigests"], json!([digest]), "{how}");
        assert_eq!(image["RootFS"]["Layers"], json!(built.diff_ids), "{how}");
        let listed = device.dray("images --digests");
        assert!(listed.contains(&built.digest.to_string()), "{listed}");
        assert!(device.store().iter().all(|name| !name.contains(".tmp")));
    };
    for name in ["l", "plain", "gzip", "zstd"] {
        let device = Device::new();
        let said = device.dray(&format!("load -i {}", path(name)));
        check(&device, &said, name);
        if name != "l" {
            let device = Device::new();
            check(
                &device,
                &device.dray_reads("load", &source.join(name)),
                name,
            );
            let device = Device::new();
            let heard = device.dray_hears("load", &fs::read(source.join(name)).unwrap());
            check(&device, &said_by(heard), name);
        }
    }
}

fn said_by(output: Output) -> String {
    said(output, "load")
}

#[test]
fn what_docker_saved_before_25_goes_by_its_id() {
    let lower = tar(&[Entry::dir("etc"), Entry::file("etc/motd", "hello\n")]);
    let upper = tar(&[Entry::file("etc/more", "x")]);
    // A layer that is there twice is a link in such an archive.
    let tars = [lower.clone(), upper, lower];
    let built = Image::docker(tars.iter().map(|tar| Layer::of_tar(tar.clone()))).build();
    let archive = tar(&docker_archive(
        &built,
        &tars,
        &["shop/web:1", "shop/web:2"],
    ));
    let device = Device::new();
    let heard = device.dray_hears("load", &archive);
    assert_eq!(
        said_by(heard),
        "Loaded image: shop/web:1\nLoaded image: shop/web:2\n"
    );
    let image = device.inspect("shop/web:1");
    assert_eq!(image["Id"], json!(built.config));
    assert_eq!(image["RepoTags"], json!(["shop/web:1", "shop/web:2"]));
    // No registry knows it, and none is made to.
    assert_eq!(image["RepoDigests"], json!([]));
    let listed = device.dray("images --digests --no-trunc");
    for line in listed.lines().skip(1) {
        assert!(line.contains("<none>"), "{line}");
        assert!(line.contains(&built.config.to_string()), "{line}");
    }
    // It is kept like any other, by its names alone.
    let content = b"of nobody";
    let path = format!("state/blobs/sha256/{}", Digest::of(content).hex());
    fs::write(device.join(&path), content).unwrap();
    let would = device.dray("gc -n");
    assert!(
        would.ends_with("\nTotal reclaimable space: 9B\n"),
        "{would}"
    );
    let done = device.dray("gc");
    assert!(done.ends_with("\nTotal reclaimed space: 9B\n"), "{done}");
    assert_eq!(device.inspect("shop/web:2")["Id"], json!(built.config));
    device.dray("rmi shop/web:1");
    device.dray("rmi shop/web:2");
    assert_eq!(device.store(), [""; 0]);
}

/// What docker 25 and later save: plain layers below `blobs`, listed both ways; `kept` are the members that stay.
fn docker_25_archive(content: &[u8], kept: &dyn Fn(&str) -> bool) -> (Built, Vec<u8>) {
    let layer = Layer::of_tar(content.to_vec()).packed(Packing::Plain);
    let built = Image::oci([layer]).build();
    let path = |digest: &Digest| format!("blobs/sha256/{}", digest.hex());
    let annotations = json!({
        "io.containerd.image.name": "docker.io/shop/web:1",
        "org.opencontainers.image.ref.name": "1",
    });
    let index = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{
            "mediaType": built.media_type, "digest": built.digest,
            "size": built.document().len(), "annotations": annotations,
        }],
    });
    let manifest = json!([{
        "Config": path(&built.config), "RepoTags": ["shop/web:1"],
        "Layers": [path(&built.diff_ids[0])], "LayerSources": {},
    }]);
    let mut entries = vec![
        ("blobs/".to_owned(), Entry::dir("blobs/")),
        ("blobs/sha256/".to_owned(), Entry::dir("blobs/sha256/")),
    ];
    let documents = built
        .documents
        .iter()
        .map(|(digest, (_, bytes))| (digest, bytes));
    for (digest, bytes) in documents.chain(&built.blobs) {
        entries.push((path(digest), Entry::file(path(digest), bytes)));
    }
    for (name, text) in [
        ("index.json", index.to_string()),
        ("manifest.json", manifest.to_string()),
        ("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#.to_owned()),
        ("repositories", r#"{"shop/web":{"1":"x"}}"#.to_owned()),
    ] {
        entries.push((name.to_owned(), Entry::file(name, text)));
    }
    let kept = entries.into_iter().filter(|(name, _)| kept(name));
    let archive = tar(&kept.map(|(_, entry)| entry).collect::<Vec<_>>());
    (built, archive)
}

#[test]
fn what_docker_saves_since_25_is_a_layout_unless_its_mark_is_lost() {
    let content = tar(&[Entry::file("a", "b")]);
    for (kept, stated) in [
        (&(|_: &str| true) as &dyn Fn(&str) -> bool, true),
        // What loses the mark loses its digest; its layers are found all the same.
        (&|name: &str| name != "oci-layout", false),
    ] {
        let (built, archive) = docker_25_archive(&content, kept);
        let device = Device::new();
        let said = said_by(device.dray_hears("load", &archive));
        assert_eq!(said, "Loaded image: shop/web:1\n");
        let image = device.inspect("shop/web:1");
        assert_eq!(image["Id"], json!(built.config));
        let digests = match stated {
            true => json!([format!("shop/web@{}", built.digest)]),
            false => json!([]),
        };
        assert_eq!(image["RepoDigests"], digests);
    }
}

#[test]
fn an_archive_without_names_is_kept_until_it_is_removed_by_its_id() {
    let tars = [tar(&[Entry::file("a", "b")])];
    let built = Image::docker([Layer::of_tar(tars[0].clone())]).build();
    let archive = tar(&docker_archive(&built, &tars, &[]));
    let device = Device::new();
    let heard = device.dray_hears("load -q", &archive);
    assert_eq!(
        said_by(heard),
        format!("Loaded image ID: {}\n", built.config)
    );
    device.dray("gc");
    let listed = device.dray("images --filter dangling=true");
    let line = listed.lines().nth(1).unwrap();
    let words: Vec<&str> = line.split_whitespace().take(3).collect();
    assert_eq!(words, ["<none>", "<none>", &built.config.hex()[..12]]);
    assert_eq!(device.inspect(&built.config.hex())["RepoTags"], json!([]));
    let removed = device.dray(&format!("rmi {}", &built.config.hex()[..12]));
    assert!(!removed.contains("Untagged"), "{removed}");
    assert_eq!(device.store(), [""; 0]);
    // Or it is pruned, or gets a name and goes with that.
    said_by(device.dray_hears("load -q", &archive));
    let pruned = device.dray("image prune -f");
    assert!(pruned.contains(&built.diff_ids[0].to_string()), "{pruned}");
    assert_eq!(device.store(), [""; 0]);
    said_by(device.dray_hears("load -q", &archive));
    device.dray(&format!("tag {} named:1", &built.config.hex()[..12]));
    assert_eq!(device.dray("images -q").lines().count(), 1);
    device.dray("rmi named:1");
    assert_eq!(device.store(), [""; 0]);
}

#[test]
fn archives_of_skopeo_podman_and_umoci_are_loaded() {
    let built = two_layers();
    let source = Scratch::new("tools");
    built.write_layout(&source.join("l"), "1");
    let path = |name: &str| source.join(name).display().to_string();
    let layout = format!("oci:{}:1", path("l"));
    skopeo(&[
        "copy",
        &layout,
        &format!("docker-archive:{}:shop/web:1", path("d")),
    ]);
    skopeo(&[
        "copy",
        &layout,
        &format!("oci-archive:{}:shop/web:1", path("o")),
    ]);
    // skopeo writes the configuration anew: the digest and the id in there are its own.
    for (name, stated) in [("d", false), ("o", true)] {
        let device = Device::new();
        let said = device.dray(&format!("load -i {}", path(name)));
        assert_eq!(said, "Loaded image: shop/web:1\n");
        let image = device.inspect("shop/web:1");
        assert_eq!(image["RootFS"]["Layers"], json!(built.diff_ids), "{name}");
        assert_eq!(
            image["RepoDigests"].as_array().unwrap().len(),
            usize::from(stated)
        );
    }
    // umoci makes layouts with bare tags, which are no names.
    tool("umoci", &["init", "--layout", &path("u")]);
    tool(
        "umoci",
        &["new", "--image", &format!("{}:latest", path("u"))],
    );
    let device = Device::new();
    let said = device.dray(&format!("load -i {}", path("u")));
    assert!(said.starts_with("Loaded image ID: sha256:"), "{said}");
}

#[test]
fn layers_of_docker_archives_may_be_compressed_and_sparse_tars_are_read() {
    let content = tar(&[Entry::file("a", vec![b'x'; 100_000])]);
    for packing in [Packing::Gzip, Packing::Zstd, Packing::Plain] {
        let layer = Layer::of_tar(content.clone()).packed(packing);
        let built = Image::docker([layer.clone()]).build();
        let archive = tar(&docker_archive(&built, &[layer.blob()], &["packed:1"]));
        let device = Device::new();
        said_by(device.dray_hears("load", &archive));
        let image = device.inspect("packed:1");
        assert_eq!(
            image["RootFS"]["Layers"],
            json!(built.diff_ids),
            "{packing:?}"
        );
    }
    // A layer with a hole, put into archives by tar itself.
    let holes = tar(&[
        Entry::file("zeros", vec![0; 1 << 20]),
        Entry::file("end", "x"),
    ]);
    let built = Image::docker([Layer::of_tar(holes.clone())]).build();
    let source = Scratch::new("sparse");
    let folder = source.join("f");
    fs::create_dir_all(folder.join("x")).unwrap();
    let layer = fs::File::create(folder.join("x/layer.tar")).unwrap();
    for (at, block) in holes.chunks(4096).enumerate() {
        if block.iter().any(|&byte| byte != 0) {
            std::os::unix::fs::FileExt::write_all_at(&layer, block, at as u64 * 4096).unwrap();
        }
    }
    layer.set_len(holes.len() as u64).unwrap();
    fs::write(folder.join("config.json"), &built.blobs[&built.config]).unwrap();
    let manifest =
        json!([{"Config": "config.json", "RepoTags": ["holes:1"], "Layers": ["x/layer.tar"]}]);
    fs::write(folder.join("manifest.json"), manifest.to_string()).unwrap();
    for format in [
        "--format=gnu",
        "--format=posix --sparse-version=0.0",
        "--format=posix --sparse-version=0.1",
        "--format=posix --sparse-version=1.0",
    ] {
        let archive = source.join("archive.tar").display().to_string();
        let mut words = vec!["-S", "-C", folder.to_str().unwrap(), "-cf", &archive];
        words.extend(format.split(' '));
        tool("tar", &[&words[..], &["."]].concat());
        assert!(fs::metadata(&archive).unwrap().len() < 100_000, "{format}");
        let device = Device::new();
        device.dray(&format!("load -i {archive}"));
        assert_eq!(
            device.inspect("holes:1")["Id"],
            json!(built.config),
            "{format}"
        );
    }
}

#[test]
fn an_index_gives_the_image_of_the_platform() {
    let image = |platform: &str| {
        let marker = Entry::file("platform", platform);
        Image::oci([Layer::of(&[marker])])
            .platform(platform)
            .build()
    };
    let [amd, arm] = ["linux/amd64", "linux/arm64"].map(image);
    let both = index(Flavour::Oci, &[&amd, &arm]);
    let source = Scratch::new("platforms");
    both.write_layout(&source.join("l"), "both:1");
    for (words, built) in [
        ("--platform linux/amd64", &amd),
        ("--platform linux/arm64", &arm),
    ] {
        let device = Device::new();
        device.dray(&format!("load {words} -i {}", source.join("l").display()));
        let found = device.inspect("both:1");
        assert_eq!(found["Id"], json!(built.config));
        // The pinned digest is the index's, as a registry has it: whoever asks for it needs none.
        let pinned = format!("docker.io/library/both@{}", both.digest);
        assert_eq!(
            device.dray(&format!("pull -q {words} {pinned}")),
            format!("{pinned}\n")
        );
        assert_eq!(
            found["RepoDigests"],
            json!([format!("both@{}", both.digest)])
        );
    }
    let device = Device::new();
    let said = device.refusal(&format!(
        "load --platform linux/riscv64 -i {}",
        source.join("l").display()
    ));
    assert!(
        said.contains("is not available for linux/riscv64, only for linux/amd64, linux/arm64"),
        "{said}"
    );
}

#[test]
fn a_sparse_layout_needs_what_it_lacks_in_the_store() {
    let (old, new) = (
        Layer::of(&[Entry::file("a", "1")]),
        Layer::of(&[Entry::file("b", "2")]),
    );
    let first = Image::oci([old.clone()]).build();
    let second = Image::oci([old.clone(), new]).build();
    let source = Scratch::new("sparse");
    first.write_layout(&source.join("one"), "shop/web:1");
    second.write_layout(&source.join("two"), "shop/web:2");
    let shared = Digest::of(&old.blob());
    fs::remove_file(source.join("two/blobs/sha256").join(shared.hex())).unwrap();
    let device = Device::new();
    let said = device.refusal(&format!("load -i {}", source.join("two").display()));
    assert!(
        said.contains(&format!("lacks {shared} of shop/web:2")),
        "{said}"
    );
    assert_eq!(device.store(), [""; 0], "something was begun");
    device.dray(&format!("load -i {}", source.join("one").display()));
    device.dray(&format!("load -i {}", source.join("two").display()));
    assert_eq!(device.inspect("shop/web:2")["Id"], json!(second.config));
}

#[test]
fn links_in_a_folder_do_not_lead_out_of_it() {
    let built = two_layers();
    let source = Scratch::new("links");
    built.write_layout(&source.join("l"), "shop/web:1");
    let secret = source.join("secret");
    fs::write(&secret, "secret").unwrap();
    let index = source.join("l/index.json");
    fs::remove_file(&index).unwrap();
    std::os::unix::fs::symlink(&secret, &index).unwrap();
    let device = Device::new();
    let said = device.refusal(&format!("load -i {}", source.join("l").display()));
    assert!(said.contains("\"index.json\" is missing"), "{said}");
    fs::remove_file(&index).unwrap();
    tool("mkfifo", &[index.to_str().unwrap()]);
    let said = device.refusal(&format!("load -i {}", source.join("l").display()));
    assert!(said.contains("not a regular file"), "{said}");
}

/// A device that keeps what layers were brought in, with an image of two platforms.
fn keeping() -> (Device, Built, Built) {
    let web = two_layers();
    let other = Image::oci([Layer::of(&[Entry::file("platform", "arm")])])
        .platform("linux/arm64")
        .build();
    let both = index(Flavour::Oci, &[&web, &other]);
    let device = Device::new();
    device.configure("[store]\nkeep_blobs = yes\n");
    both.write_layout(&device.join("both"), "shop/web:1");
    device.dray("load -q -i both");
    (device, web, both)
}

#[test]
fn what_is_saved_is_what_was_brought() {
    let (device, web, both) = keeping();
    device.dray("tag shop/web:1 shop/web:2");
    device.dray("save -o saved.tar shop/web");
    // The same through a pipe, and again.
    let piped = device
        .command("save shop/web:2 shop/web:1")
        .output()
        .unwrap();
    assert!(piped.status.success());
    assert_eq!(piped.stdout, fs::read(device.join("saved.tar")).unwrap());
    let path = device.join("saved.tar").display().to_string();
    assert_eq!(
        tool("tar", &["-xOf", &path, "oci-layout"]),
        r#"{"imageLayoutVersion":"1.0.0"}"#
    );
    // Another device has it with every digest as it was, the index's too.
    let second = Device::new();
    assert_eq!(
        second.dray(&format!("load -i {path}")),
        "Loaded image: shop/web:1\nLoaded image: shop/web:2\n"
    );
    let image = second.inspect("shop/web:2");
    assert_eq!(image["Id"], json!(web.config));
    let digest = format!("shop/web@{}", both.digest);
    assert_eq!(image["RepoDigests"], json!([&digest, &digest]));
    // One image by its id has no names.
    device.dray(&format!("save -o id.tar {}", &web.config.hex()[..12]));
    let third = Device::new();
    let said = third.dray(&format!("load -i {}", device.join("id.tar").display()));
    assert_eq!(said, format!("Loaded image ID: {}\n", web.config));
}

#[test]
fn skopeo_and_podman_read_what_is_saved() {
    let (device, web, _) = keeping();
    device.dray("save -o saved.tar shop/web:1");
    let path = |name: &str| device.join(name).display().to_string();
    let saved = path("saved.tar");
    for (from, to) in [
        (format!("docker-archive:{saved}"), "d"),
        (format!("docker-archive:{saved}:shop/web:1"), "n"),
        (format!("oci-archive:{saved}:1"), "o"),
    ] {
        skopeo(&["copy", &from, &format!("oci:{}:1", path(to))]);
        let config = skopeo(&["inspect", "--config", &format!("oci:{}:1", path(to))]);
        let config: Value = serde_json::from_str(&config).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"], json!(web.diff_ids), "{from}");
    }
    let root = path("podman");
    let podman = |words: &[&str]| {
        let own = [
            "--root",
            &root,
            "--runroot",
            &path("podman-run"),
            "--storage-driver",
            "vfs",
        ];
        tool("podman", &[&own[..], words].concat())
    };
    let said = podman(&["load", "-q", "-i", &saved]);
    assert!(said.contains("shop/web:1"), "{said}");
    let id = podman(&["images", "-q", "--no-trunc"]);
    assert_eq!(id.trim(), web.config.to_string());
    // And back again: it writes layers anew for one of its formats, and keeps the id.
    for format in ["docker-archive", "oci-archive"] {
        let archive = path(format);
        podman(&[
            "save",
            "-q",
            "--format",
            format,
            "-o",
            &archive,
            "shop/web:1",
        ]);
        let other = Device::new();
        let said = other.dray(&format!("load -i {archive}"));
        assert!(said.ends_with("shop/web:1\n"), "{format}: {said}");
        assert_eq!(
            other.inspect(&id[7..])["RootFS"]["Layers"],
            json!(web.diff_ids)
        );
    }
}

#[test]
fn layers_that_are_not_kept_come_from_the_registry_again_or_the_image_is_refused() {
    let built = two_layers();
    let registry = common::registry::Registry::start();
    registry.push("shop/web", "1", &built);
    let device = Device::new();
    let name = registry.name("shop/web:1");
    device.dray(&format!("pull -q {name}"));
    let output = device
        .command(&format!("save -o saved.tar {name}"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("2 layers of") && said.contains("fetched from their registry"),
        "{said}"
    );
    let second = Device::new();
    second.dray(&format!("load -i {}", device.join("saved.tar").display()));
    let image = second.inspect(&name);
    assert_eq!(image["Id"], json!(built.config));
    assert!(
        image["RepoDigests"][0]
            .as_str()
            .unwrap()
            .ends_with(&built.digest.to_string())
    );
    // No network, and nothing half-written; the file that was there stays.
    drop(registry);
    let before = fs::read(device.join("saved.tar")).unwrap();
    let said = device.refusal(&format!("save -o saved.tar {name}"));
    assert!(
        said.contains("2 of its layers are here only as they were unpacked"),
        "{said}"
    );
    // Removed, it could not be had again.
    assert!(said.contains("; try again when its registry"), "{said}");
    assert!(!said.contains("remove the image"), "{said}");
    assert_eq!(fs::read(device.join("saved.tar")).unwrap(), before);
    let left: Vec<_> = fs::read_dir(device.join(".")).unwrap().collect();
    assert!(left.iter().all(|entry| {
        !entry
            .as_ref()
            .unwrap()
            .file_name()
            .as_encoded_bytes()
            .starts_with(b".tmp")
    }));
}

#[test]
fn what_has_no_digest_of_a_registry_does_not_get_one_by_being_saved() {
    let content = tar(&[Entry::file("a", "b")]);
    let built = Image::docker([Layer::of_tar(content.clone())]).build();
    let archive = tar(&docker_archive(&built, &[content], &["old:1"]));
    let device = Device::new();
    said_by(device.dray_hears("load", &archive));
    let said = device.refusal("save -o saved.tar old:1");
    assert!(said.contains("no registry has them"), "{said}");
    device.dray("rmi old:1");
    device.configure("[store]\nkeep_blobs = yes\n");
    said_by(device.dray_hears("load", &archive));
    device.dray("gc");
    device.dray("save -o saved.tar old:1");
    let second = Device::new();
    second.dray(&format!("load -i {}", device.join("saved.tar").display()));
    let image = second.inspect("old:1");
    assert_eq!(image["Id"], json!(built.config));
    assert_eq!(image["RepoDigests"], json!([]));
}

#[test]
fn a_terminal_gets_no_archive_and_other_platforms_are_refused() {
    let (device, ..) = keeping();
    let said = device.refusal("save --platform linux/riscv64 shop/web:1");
    assert!(said.contains("not for linux/riscv64"), "{said}");
    let said = device.refusal("save nothing:1");
    assert!(said.contains("no such image: nothing:1"), "{said}");
    let command = format!("{} save shop/web:1", env!("CARGO_BIN_EXE_dray"));
    let mut script = Command::new("script");
    script.args(["-qec", &command, "/dev/null"]);
    script.env("DRAY_CONFIG", device.join("dray.ini"));
    let output = script.stdin(Stdio::null()).output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        said.contains("cowardly refusing to save to a terminal"),
        "{said}"
    );
}

#[test]
fn a_pull_takes_from_where_skopeo_would() {
    let (device, web, both) = keeping();
    device.dray("save -o saved.tar shop/web:1");
    let tars = [tar(&[Entry::file("a", "b")])];
    let old = Image::docker([Layer::of_tar(tars[0].clone())]).build();
    fs::write(
        device.join("old.tar"),
        tar(&docker_archive(&old, &tars, &["old:1"])),
    )
    .unwrap();
    let registry = common::registry::Registry::start();
    registry.push("shop/web", "1", &web);
    let in_registry = registry.name("shop/web:1");
    let pinned = format!("docker.io/shop/web:1@{}", both.digest);
    for (from, said, id) in [
        (
            format!("docker://{in_registry}"),
            format!("{in_registry}@{}", web.digest),
            web.config,
        ),
        (
            "oci:both".to_owned(),
            "docker.io/shop/web:1".to_owned(),
            web.config,
        ),
        (
            "oci:both:shop/web:1".to_owned(),
            "docker.io/shop/web:1".to_owned(),
            web.config,
        ),
        (
            "oci-archive:saved.tar:1".to_owned(),
            "docker.io/shop/web:1".to_owned(),
            web.config,
        ),
        (
            "docker-archive:saved.tar:shop/web:1".to_owned(),
            "docker.io/shop/web:1".to_owned(),
            web.config,
        ),
        (
            "docker-archive:old.tar".to_owned(),
            "docker.io/library/old:1".to_owned(),
            old.config,
        ),
    ] {
        let other = Device::new();
        for name in ["saved.tar", "old.tar", "both"] {
            std::os::unix::fs::symlink(device.join(name), other.join(name)).unwrap();
        }
        assert_eq!(
            other.dray(&format!("pull {from}")),
            format!("{said}\n"),
            "{from}"
        );
        assert_eq!(other.inspect(&id.to_string())["Id"], json!(id), "{from}");
        // A digest that is pinned is found as if it had come from its registry.
        if from.starts_with("oci") {
            assert_eq!(other.inspect(&pinned)["Id"], json!(web.config));
        }
    }
    for (from, said) in [
        ("oci:none", "failed to open"),
        ("oci:both:other", "has no image \"other\", only shop/web:1"),
        ("dir:both", "images do not come from dir:"),
        ("-a shop/web", "--all-tags is not supported"),
        (
            "docker-archive:old.tar --platform linux/riscv64",
            "only for linux/",
        ),
    ] {
        let refused = device.refusal(&format!("pull {from}"));
        assert!(refused.contains(said), "{from}: {refused}");
    }
}

#[test]
fn of_several_images_in_an_archive_one_has_to_be_named() {
    let device = Device::new();
    device.configure("[store]\nkeep_blobs = yes\n");
    for name in ["one", "two"] {
        let built = Image::oci([Layer::of(&[Entry::file(name, name)])]).build();
        built.write_layout(&device.join(name), &format!("{name}:1"));
        device.dray(&format!("load -i {name}"));
    }
    device.dray("save -o both.tar one:1 two:1");
    let said = device.refusal("pull oci-archive:both.tar");
    assert!(
        said.contains(
            "say which one after another colon: docker.io/library/one:1, docker.io/library/two:1"
        ),
        "{said}"
    );
    let other = Device::new();
    fs::copy(device.join("both.tar"), other.join("both.tar")).unwrap();
    assert_eq!(
        other.dray("pull oci-archive:both.tar:two:1"),
        "docker.io/library/two:1\n"
    );
    assert_eq!(other.dray("images -q").lines().count(), 1);
}

#[test]
fn progress_is_events_for_programs_and_lines_on_a_terminal() {
    let built = two_layers();
    let device = Device::new();
    built.write_layout(&device.join("l"), "shop/web:1");
    let told = device.dray("load --progress json -i l");
    let events: Vec<Value> = told
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for layer in &built.diff_ids {
        let of_layer = events.iter().filter(|event| event["layer"] == json!(layer));
        let mut states: Vec<&str> = of_layer
            .map(|event| event["state"].as_str().unwrap())
            .collect();
        states.dedup();
        assert_eq!(states, ["planned", "fetching", "unpacked"]);
    }
    let total = events
        .iter()
        .rfind(|event| event["event"] == "total")
        .unwrap();
    let bytes: usize = built
        .blobs
        .iter()
        .filter(|(d, _)| **d != built.config)
        .map(|(_, b)| b.len())
        .sum();
    assert_eq!(
        (
            &total["done"],
            &total["layers"],
            &total["bytes"],
            &total["size"]
        ),
        (&json!(2), &json!(2), &json!(bytes), &json!(bytes))
    );
    assert_eq!(
        events.last().unwrap(),
        &json!({"event": "image", "id": built.config, "digest": built.digest, "names": ["shop/web:1"]})
    );
    // One of two forms would be lost.
    let output = device
        .command("pull --progress json --format json oci:l")
        .output();
    let output = output.unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && output.stdout.is_empty(),
        "{error}"
    );
    assert!(
        error.contains("not supported together with --format json"),
        "{error}"
    );
    // Present now; and quiet is quiet.
    let told = device.dray("load --progress json -i l");
    assert_eq!(told.matches("\"state\":\"present\"").count(), 2);
    for words in [
        "load -q -i l",
        "load --progress plain -i l",
        "load --progress quiet -i l",
    ] {
        let output = device.command(words).output().unwrap();
        assert_eq!(
            String::from_utf8(output.stdout).unwrap(),
            "Loaded image: shop/web:1\n"
        );
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    }
    device.dray("rmi shop/web:1");
    let line = format!(
        "stty rows 10 cols 40; {} load -i l",
        env!("CARGO_BIN_EXE_dray")
    );
    let mut script = Command::new("script");
    script
        .args(["-qec", &line, "/dev/null"])
        .current_dir(device.join("."));
    script
        .env("DRAY_CONFIG", device.join("dray.ini"))
        .stdin(Stdio::null());
    let shown = said(script.output().unwrap(), "script");
    for layer in &built.diff_ids {
        let line = format!("{}: done, ", &layer.hex()[..12]);
        assert!(shown.contains(&line), "{shown}");
    }
    assert!(shown.contains("2 of 2 layers, "), "{shown}");
}

#[test]
fn a_root_filesystem_becomes_an_image_as_docker_makes_it() {
    let content = tar(&[
        Entry::dir("etc"),
        Entry::file("etc/motd", vec![b'x'; 12_345]),
    ]);
    let device = Device::new();
    fs::write(device.join("fs.tar"), &content).unwrap();
    tool("gzip", &["-k", device.join("fs.tar").to_str().unwrap()]);
    let mut command = device.command("import -m words --change");
    command.arg(r#"CMD ["/bin/true"]"#).args(["-c", "ENV A=b"]);
    command.args(["fs.tar", "made:1"]);
    let id = said(command.output().unwrap(), "import");
    let image = device.inspect("made:1");
    assert_eq!(format!("{}\n", image["Id"].as_str().unwrap()), id);
    // The layer is the tar as it is, which is what docker makes of it.
    assert_eq!(image["RootFS"]["Layers"], json!([Digest::of(&content)]));
    assert_eq!(image["RepoDigests"], json!([]));
    assert_eq!(image["Comment"], "words");
    assert_eq!(image["Config"]["Cmd"], json!(["/bin/true"]));
    assert_eq!(image["Config"]["Env"], json!(["A=b"]));
    let shown = device.dray("history made:1");
    let line = shown.lines().nth(1).unwrap();
    assert!(
        line.starts_with(&id[7..19]) && line.contains("12.3kB"),
        "{shown}"
    );
    assert!(line.ends_with("words"), "{shown}");
    // Compressed, through a pipe, without a name and words.
    let heard = device.dray_hears("import -", &fs::read(device.join("fs.tar.gz")).unwrap());
    let id = said(heard, "import");
    let image = device.inspect(id.trim());
    assert_eq!(image["RootFS"]["Layers"], json!([Digest::of(&content)]));
    assert_eq!(image["Comment"], "Imported from -");
    device.dray("gc");
    device.inspect(id.trim());
    for (words, reason) in [
        (
            "import http://example.com/fs.tar",
            "download \"http://example.com/fs.tar\"",
        ),
        ("import .", "is a folder: tar -C . -c . | dray import -"),
        ("import none.tar", "failed to open"),
        ("import dray.ini", "failed to unpack layer"),
        ("import fs.tar Made:1", "upper-case"),
        ("import -c RUN fs.tar", "\"RUN\" is none of"),
    ] {
        let said = device.refusal(words);
        assert!(said.contains(reason), "{words}: {said}");
    }
}

#[test]
fn history_and_inspect_say_what_docker_says() {
    let built = two_layers();
    let device = Device::new();
    // A configuration as docker's builder writes it.
    let mut config: Value = serde_json::from_slice(&built.blobs[&built.config]).unwrap();
    config["author"] = json!("me");
    config["docker_version"] = json!("20.10.24");
    config["config"]["Shell"] = json!(["/bin/sh", "-c"]);
    config["config"]["OnBuild"] = json!(["RUN x"]);
    let long = "/bin/sh -c #(nop) ADD file:0123456789abcdef in /etc";
    config["history"] = json!([
        {"created": "2020-01-01T00:00:00Z", "created_by": long},
        {"created": "2020-01-02T00:00:00Z", "created_by": "ENV A=b\u{1b}[31m\nc", "empty_layer": true},
        {"created": "2020-01-03T00:00:00Z", "created_by": "COPY big /", "comment": "buildkit"},
    ]);
    let config = config.to_string().into_bytes();
    let id = Digest::of(&config);
    let layers: Vec<Vec<u8>> = built
        .diff_ids
        .iter()
        .map(|diff_id| {
            let mut tars = built.blobs.values().filter_map(|blob| {
                let mut text = Vec::new();
                std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&blob[..]), &mut text)
                    .ok()?;
                Some(text)
            });
            tars.find(|tar| Digest::of(tar) == *diff_id).unwrap()
        })
        .collect();
    let changed = Built {
        config: id,
        blobs: [(id, config)].into(),
        ..built.clone()
    };
    let archive = tar(&docker_archive(&changed, &layers, &["shop/web:1"]));
    said_by(device.dray_hears("load", &archive));
    let shown = device.dray("history shop/web:1");
    let rows: Vec<Vec<&str>> = shown
        .lines()
        .map(|line| {
            line.split("   ")
                .map(str::trim)
                .filter(|c| !c.is_empty())
                .collect()
        })
        .collect();
    assert_eq!(
        rows[0],
        ["IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT"]
    );
    assert_eq!(
        (rows[1][0], rows[1][2..].to_vec()),
        (&id.hex()[..12], vec!["COPY big /", "200kB", "buildkit"])
    );
    assert_eq!(
        (rows[2][0], rows[2][2..].to_vec()),
        ("<missing>", vec![r"ENV A=b\u{1b}[31m\nc", "0B"])
    );
    assert_eq!(
        rows[3][2..],
        ["/bin/sh -c #(nop) ADD file:0123456789abcdef …", "7B"]
    );
    let whole = device.dray("history --no-trunc --human=false shop/web:1");
    for text in [long, &id.to_string(), "2020-01-03T00:00:00Z", " 200000 "] {
        assert!(whole.contains(text), "{whole}");
    }
    assert_eq!(
        device.dray("image history -q shop/web:1"),
        format!("{}\n<missing>\n<missing>\n", &id.hex()[..12])
    );
    let chosen = device.dray("history --format {{.Size}}:{{.Comment}} shop/web:1");
    assert_eq!(chosen, "200kB:buildkit\n0B:\n7B:\n");
    let image = device.inspect("shop/web:1");
    for (key, value) in [
        ("Author", json!("me")),
        ("Comment", json!("")),
        ("Parent", json!("")),
        ("DockerVersion", json!("20.10.24")),
        ("VirtualSize", json!(200_007)),
    ] {
        assert_eq!(image[key], value, "{key}");
    }
    assert_eq!(image["Config"]["Shell"], json!(["/bin/sh", "-c"]));
    assert_eq!(image["Config"]["OnBuild"], json!(["RUN x"]));
    assert_eq!(image["Config"]["Entrypoint"], Value::Null);
    assert_eq!(
        image["GraphDriver"]["Data"]["LowerDir"]
            .as_str()
            .unwrap()
            .split(':')
            .count(),
        2
    );
    assert!(image["Metadata"]["LastTagTime"].as_str().unwrap() > "2020");
    let listed = device.dray("images --format {{.Digest}}/{{.Size}}");
    assert_eq!(listed, "<none>/200kB\n");
}

#[test]
fn what_was_loaded_before_a_failure_is_said_and_stays() {
    let tars = [tar(&[Entry::file("a", "b")])];
    let good = Image::docker([Layer::of_tar(tars[0].clone())]).build();
    let mut entries = docker_archive(&good, &tars, &["good:1"]);
    let other = tar(&[Entry::file("a", "c")]);
    let bad = Image::docker([Layer::of_tar(other)]).build();
    let config = format!("{}.json", bad.config.hex());
    entries.push(Entry::file(&config, &bad.blobs[&bad.config]));
    entries.push(Entry::file("bad/layer.tar", "no tar"));
    let first = format!("{}/layer.tar", Digest::of(&[0]).hex());
    let list = json!([
        {"Config": format!("{}.json", good.config.hex()), "RepoTags": ["good:1"], "Layers": [first]},
        {"Config": config, "RepoTags": ["bad:1"], "Layers": ["bad/layer.tar"]},
    ]);
    entries[5] = Entry::file("manifest.json", list.to_string());
    let device = Device::new();
    let output = device.dray_hears("load", &tar(&entries));
    assert!(!output.status.success());
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "Loaded image: good:1\n"
    );
    assert_eq!(device.inspect("good:1")["Id"], json!(good.config));
    assert_eq!(device.dray("images -q").lines().count(), 1);
}
