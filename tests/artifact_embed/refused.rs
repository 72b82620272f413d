//! What is refused, by its words, and what that costs.

use super::*;

/// Fails with this code and words, of which `R/` stands for the registry; leaves nothing.
fn refused(desk: &Desk, words: &[&str], code: i32, line: &str) {
    let before = desk.files();
    let (found, said) = fail(&mut desk.command(words));
    let host = desk.registry.host() + "/";
    assert_eq!(
        (found, said),
        (code, format!("Error: {}\n", line.replace("R/", &host))),
        "{words:?}"
    );
    assert_eq!(desk.files(), before);
}

#[test]
fn what_needs_embedding_and_what_does_not_go_with_it() {
    let desk = Desk::new();
    fs::write(desk.scratch.join("seed"), "x").unwrap();
    refused(
        &desk,
        &["--assume", "R/a@sha256:0", "R/a"],
        1,
        "--assume: image reference \"R/a@sha256:0\" has a malformed digest: digest \"0\" does not have 64 lower-case hexadecimal digits after \"sha256:\"",
    );
    let digest = format!("R/a@{}", Digest::of(b"x"));
    refused(
        &desk,
        &["--assume", &digest, "R/a"],
        1,
        "--assume leaves out layers that would travel inside the artifact; it needs --embed",
    );
    for word in ["oci:l", "oci-archive:l.tar", "docker-archive:l.tar:a"] {
        refused(
            &desk,
            &[word],
            1,
            &format!(
                "{word} is on this machine, where no device can fetch it; with --embed it travels inside the artifact"
            ),
        );
    }
    refused(
        &desk,
        &["--embed", "dir:l"],
        1,
        "images do not come from dir:; docker://, oci:, oci-archive: and docker-archive: are known, and skopeo copies others there",
    );
    refused(
        &desk,
        &["--embed", "R/a", "--", "-f", "seed"],
        1,
        "--file after '--' is not possible with --embed: the payload is an image layout, in which a device takes nothing else",
    );
    refused(
        &desk,
        &["--embed", "--assume", "R/a:1", "R/a"],
        1,
        "--assume R/a:1: there is no such file, and as an image it lacks a digest: a tag may have moved since devices got it; \
         'docker-artifact-gen read' says what an Artifact pinned, or give that Artifact itself",
    );
    assert_eq!(desk.registry.requests().len(), 0);
}

#[test]
fn an_image_for_several_platforms_needs_a_choice() {
    let desk = Desk::new();
    let of = |platform: &str| {
        Image::oci([layer(platform, 100)])
            .platform(platform)
            .build()
    };
    let [amd, arm] = ["linux/amd64", "linux/arm64"].map(of);
    let many = index(Flavour::Oci, &[&amd, &arm]);
    desk.registry.push("shop/many", "1", &many);
    desk.registry.push("shop/amd", "1", &amd);
    let inner = Built {
        platform: "linux/amd64".into(),
        ..many.clone()
    };
    desk.registry
        .push("shop/nested", "1", &index(Flavour::Oci, &[&inner]));
    let line = "it is an image for several platforms; give those whose images are to travel with --platform; it has \
                linux/amd64, linux/arm64";
    refused(
        &desk,
        &["--embed", "R/shop/many:1"],
        2,
        &format!("R/shop/many:1: {line}"),
    );
    let assumed = format!("R/shop/many@{}", many.digest);
    refused(
        &desk,
        &["--embed", "--assume", &assumed, "R/shop/amd:1"],
        2,
        &format!("{assumed}: {line}"),
    );
    refused(
        &desk,
        &["--embed", "--platform", "linux/riscv64", "R/shop/many:1"],
        2,
        "--platform: R/shop/many:1 is not there for linux/riscv64; it has linux/amd64, linux/arm64",
    );
    refused(
        &desk,
        &["--embed", "--platform", "linux/arm64", "R/shop/amd:1"],
        2,
        "--platform: R/shop/amd:1 is not there for linux/arm64; it has linux/amd64",
    );
    many.write_layout(&desk.scratch.join("l"), "1");
    refused(
        &desk,
        &["--embed", "--platform", "linux/386", "oci:l"],
        1,
        "--platform: oci:l is not there for linux/386; it has linux/amd64, linux/arm64",
    );
    refused(
        &desk,
        &["--embed", "--platform", "linux/amd64", "R/shop/nested:1"],
        2,
        &format!(
            "R/shop/nested:1: its index has another index, {}, which no device looks into",
            many.digest
        ),
    );
    desk.registry.reset_counts();
    // A plain manifest leaves no choice.
    desk.make("a", &["R/shop/amd:1"]);
    assert_eq!(desk.asked(&amd.config.to_string()), 1);
}

#[test]
fn archives_that_do_not_say_or_have_what_is_needed() {
    let desk = Desk::new();
    let (base, top) = (layer("base", 3_000), layer("top", 3_000));
    let web = Image::oci([base.clone(), top.clone()]).build();
    let fresh = || {
        let layout = desk.scratch.join("l");
        drop(fs::remove_dir_all(&layout));
        web.write_layout(&layout, "1");
        layout
    };
    let path = |digest: &Digest| format!("blobs/sha256/{}", digest.hex());
    fresh();
    refused(
        &desk,
        &["--embed", "oci:l:2"],
        1,
        "cannot take oci:l:2: it has no image \"2\"; it has 1",
    );
    refused(
        &desk,
        &["--embed", "oci:none"],
        1,
        "cannot take oci:none: failed to open the folder: No such file or directory (os error 2)",
    );
    refused(
        &desk,
        &["--embed", "docker-archive:none.tar"],
        1,
        "cannot take docker-archive:none.tar: failed to open the file: No such file or directory (os error 2)",
    );
    fs::remove_file(fresh().join(path(&blob(&top)))).unwrap();
    refused(
        &desk,
        &["--embed", "oci:l"],
        1,
        &format!("oci:l: it does not contain {}", blob(&top)),
    );
    // What devices have need not be here.
    let assumed = Image::oci([top.clone()]).build();
    desk.registry.push("top", "1", &assumed);
    desk.make(
        "a",
        &["--assume", &format!("R/top@{}", assumed.digest), "oci:l"],
    );
    fs::write(fresh().join(path(&blob(&top))), "short").unwrap();
    refused(
        &desk,
        &["--embed", "oci:l"],
        1,
        &format!(
            "oci:l: {} has 5 bytes instead of the {} that its manifest says",
            blob(&top),
            top.blob().len()
        ),
    );
    let mut bytes = top.blob();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(fresh().join(path(&blob(&top))), &bytes).unwrap();
    refused(
        &desk,
        &["--embed", "oci:l"],
        1,
        &format!(
            "oci:l: layer {0}: {0} arrived with the digest {1}",
            blob(&top),
            Digest::of(&bytes)
        ),
    );
    fs::remove_file(fresh().join(path(&web.config))).unwrap();
    refused(
        &desk,
        &["--embed", "oci:l"],
        1,
        &format!("oci:l: it does not contain {}", web.config),
    );
    // Two images that a device could not tell apart.
    for (name, layers) in [
        ("one.tar", &[base.clone()][..]),
        ("two.tar", &[base.clone(), top.clone()]),
    ] {
        let image = Image::docker(layers.to_vec()).build();
        let tars: Vec<Vec<u8>> = layers.iter().map(|layer| layer.tar.clone()).collect();
        let entries = common::image::docker_archive(&image, &tars, &["shop/web:1"]);
        fs::write(desk.scratch.join(name), common::image::tar(&entries)).unwrap();
    }
    refused(
        &desk,
        &[
            "--embed",
            "docker-archive:one.tar",
            "docker-archive:two.tar",
        ],
        1,
        "docker-archive:one.tar and docker-archive:two.tar are two images, and both are called shop/web:1",
    );
}

#[test]
fn artifacts_that_say_nothing_about_layers() {
    let desk = Desk::new();
    desk.registry
        .push("shop/web", "1", &Image::oci([layer("web", 100)]).build());
    fs::write(desk.scratch.join("seed"), "x").unwrap();
    fs::write(
        desk.scratch.join("meta"),
        r#"{"containers": ["nginx:1.27"], "run_args": ""}"#,
    )
    .unwrap();
    let theirs = |name: &str, words: &[&str]| {
        let mut command = Command::new("mender-artifact");
        command
            .args(["write", "module-image", "-n", "x", "-t", "q", "-o", name])
            .args(words);
        let output = command.current_dir(desk.scratch.path()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    theirs("other.mender", &["-T", "single-file", "-f", "seed"]);
    theirs("tags.mender", &["-T", "docker", "-m", "meta"]);
    desk.make("cut.mender", &["R/shop/web:1"]);
    let whole = fs::read(desk.scratch.join("cut.mender")).unwrap();
    fs::write(
        desk.scratch.join("cut.mender"),
        &whole[..whole.len() - 2000],
    )
    .unwrap();
    for (file, code, line) in [
        (
            "none.mender",
            3,
            "cannot read artifact none.mender: No such file or directory (os error 2)",
        ),
        (
            "other.mender",
            1,
            "--assume other.mender: it has no payload for the Update Module docker",
        ),
        (
            "tags.mender",
            1,
            "--assume tags.mender: it names nginx:1.27 without a digest: nobody knows which image devices got",
        ),
    ] {
        refused(
            &desk,
            &["--embed", "--assume", file, "R/shop/web:1"],
            code,
            line,
        );
    }
    let (code, line) =
        fail(&mut desk.command(&["--embed", "--assume", "cut.mender", "R/shop/web:1"]));
    assert_eq!(code, 4);
    assert!(line.starts_with("Error: cut.mender: "), "{line}");
}

/// A manifest whose layers claim these sizes.
fn claims(sizes: &[u64]) -> Built {
    let layers: Vec<Layer> = (0..sizes.len())
        .map(|n| layer(&n.to_string(), 100))
        .collect();
    let image = Image::oci(layers).build();
    let mut manifest: Value = serde_json::from_slice(image.document()).unwrap();
    for (layer, size) in manifest["layers"]
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .zip(sizes)
    {
        layer["size"] = json!(size);
    }
    let bytes = manifest.to_string().into_bytes();
    let document = Built::of_document(&image.media_type, bytes);
    Built {
        blobs: image.blobs,
        config: image.config,
        ..document
    }
}

#[test]
fn what_is_too_large_is_known_before_it_is_fetched() {
    let desk = Desk::new();
    desk.registry.push("large", "1", &claims(&[8 << 30]));
    desk.registry.push("sum", "1", &claims(&[5 << 30, 5 << 30]));
    desk.registry
        .push("web", "1", &Image::oci([layer("web", 50_000)]).build());
    let large = file_of(&blob(&layer("0", 100)));
    refused(
        &desk,
        &["--embed", "R/large:1"],
        1,
        &format!("payload file {large:?} is larger than the 8 GiB that an artifact can hold"),
    );
    let (code, line) = fail(&mut desk.command(&["--embed", "R/sum:1"]));
    assert_eq!(code, 1);
    assert!(
        line.starts_with("Error: the payload files have 107374")
            && line.ends_with(" bytes together, more than the 8 GiB that an artifact can hold\n"),
        "{line}"
    );
    let limit = ["--embed", "R/web:1", "--", "--max-artifact-size", "20KB"];
    let (code, line) = fail(&mut desk.command(&limit));
    assert_eq!(code, 3);
    assert!(
        line.ends_with("exceeds maximum allowed size 20.0 KB; no file was written\n"),
        "{line}"
    );
    // The three configurations, and no layer.
    assert_eq!(desk.asked("/blobs/"), 3);
    assert_eq!(desk.files(), [""; 0]);
}

#[test]
fn images_that_contradict_each_other_or_themselves() {
    let desk = Desk::new();
    let odd = Image::oci([layer("web", 100)]).diff_ids(Vec::new()).build();
    desk.registry.push("odd", "1", &odd);
    refused(
        &desk,
        &["--embed", "R/odd:1"],
        2,
        "R/odd:1: its manifest has 1 layers, its configuration 0",
    );
    desk.registry.push("one", "1", &claims(&[100]));
    desk.registry.push("two", "1", &claims(&[200]));
    let digest = blob(&layer("0", 100));
    refused(
        &desk,
        &["--embed", "R/one:1", "R/two:1"],
        2,
        &format!("the images do not agree on how large {digest} is: 100 or 200 bytes"),
    );
}

/// What calls itself a payload with images and is none.
#[test]
fn a_payload_that_is_no_layout_is_damaged() {
    let desk = Desk::new();
    let meta = r#"{"containers": ["a"], "dray": {"payload": "oci-layout"}}"#;
    fs::write(desk.scratch.join("meta"), meta).unwrap();
    let wrong = file_of(&Digest::of(b"y"));
    let empty = r#"{"schemaVersion": 2, "manifests": []}"#;
    for (files, line) in [
        (
            vec![("seed", "x")],
            "the payload has no index.json".to_owned(),
        ),
        (
            vec![("index.json", "{")],
            "index.json of the payload is refused: failed to parse manifest: ".to_owned(),
        ),
        (
            vec![("index.json", empty), (wrong.as_str(), "x")],
            format!("payload file {wrong} has the digest {}", Digest::of(b"x")),
        ),
    ] {
        let mut command = Command::new("mender-artifact");
        command.args([
            "write",
            "module-image",
            "-n",
            "x",
            "-t",
            "q",
            "-o",
            "a",
            "-T",
            "docker",
            "-m",
            "meta",
        ]);
        for (name, content) in files {
            fs::write(desk.scratch.join(name), content).unwrap();
            command.args(["-f", name]);
        }
        let output = command.current_dir(desk.scratch.path()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        for word in ["read", "validate"] {
            let (code, said) = fail(&mut desk.program(&[word, "a"]));
            assert_eq!(code, 4);
            assert!(said.starts_with(&format!("Error: a: {line}")), "{said}");
        }
    }
}
