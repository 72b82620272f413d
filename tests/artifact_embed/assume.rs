//! What devices have is left out, exactly.

use super::*;

/// A base, and two releases that share it; the second has a layer of its own.
struct Releases {
    desk: Desk,
    base: Layer,
    first: Layer,
    second: Layer,
    old: Built,
}

impl Releases {
    fn new() -> Releases {
        let [base, first, second] = ["base", "first", "second"].map(|name| layer(name, 20_000));
        let desk = Desk::new();
        let old = Image::oci([base.clone(), first.clone()]).build();
        let new = Image::oci([base.clone(), first.clone(), second.clone()]).build();
        desk.registry.push("shop/web", "1", &old);
        desk.registry.push("shop/web", "2", &new);
        Releases {
            desk,
            base,
            first,
            second,
            old,
        }
    }

    /// The second release with these words leaves out these layers, and nothing else.
    fn leaves_out(&self, words: &[&str], layers: &[&Layer]) -> Value {
        let whole = self.desk.summary("whole", &["R/shop/web:2"]);
        let sparse = self
            .desk
            .summary("sparse", &[words, &["R/shop/web:2"]].concat());
        let [mut whole_file, sparse_file] = ["whole", "sparse"].map(|name| self.desk.opened(name));
        let mut digests: Vec<Digest> = layers.iter().map(|layer| blob(layer)).collect();
        let left_out: Vec<String> = digests.iter().map(file_of).collect();
        whole_file
            .payload
            .retain(|(name, _)| !left_out.contains(name));
        assert_eq!(sparse_file.payload, whole_file.payload);
        digests.sort();
        assert_eq!(sparse_file.meta_data["dray"]["assumes"], json!(digests));
        let bytes: usize = layers.iter().map(|layer| layer.blob().len()).sum();
        assert_eq!(
            sparse["embedded"]["left_out"],
            json!({"layers": layers.len(), "bytes": bytes})
        );
        let blobs = |summary: &Value| summary["embedded"]["blobs"].as_u64().unwrap();
        assert_eq!(blobs(&sparse) + layers.len() as u64, blobs(&whole));
        sparse
    }
}

#[test]
fn an_images_layers_are_left_out_by_its_digest() {
    let releases = Releases::new();
    let Releases {
        desk,
        base,
        first,
        old,
        ..
    } = &releases;
    let image = format!("R/shop/web@{}", old.digest);
    releases.leaves_out(&["--assume", &image], &[base, first]);
    let image = format!("R/shop/web:1@{}", old.digest);
    let printed = desk.make("a", &["--assume", &image, "R/shop/web:2"]);
    let bytes = base.blob().len() + first.blob().len();
    assert!(
        printed.contains("\n    Layers left out: 2\n")
            && printed.ends_with(&format!(
                "\nLeft out: 2 layers, {bytes} bytes ({:.1} KB)\n",
                bytes as f64 / 1000.0
            )),
        "{printed}"
    );
    let path = desk.scratch.join("a");
    theirs("mender-artifact", &["validate", path.to_str().unwrap()]);
    let read = succeed(&mut desk.program(&["read", "--format", "json", "a"]));
    let read: Value = serde_json::from_str(&read).unwrap();
    assert_eq!(read["payloads"][0]["carried"]["layers_left_out"], 2);
}

#[test]
fn an_older_artifact_says_what_devices_have() {
    let releases = Releases::new();
    let Releases {
        desk,
        base,
        first,
        second,
        old,
    } = &releases;
    // With its images inside: the registry is not asked for the old one.
    desk.make("old.mender", &["R/shop/web:1"]);
    desk.registry.reset_counts();
    releases.leaves_out(&["--assume", "old.mender"], &[base, first]);
    assert_eq!(desk.asked(&old.digest.to_string()), 0);
    // With some of them left out of that one too.
    let image = format!("R/shop/web@{}", old.digest);
    desk.make("next.mender", &["--assume", &image, "R/shop/web:2"]);
    releases.leaves_out(&["--assume", "next.mender"], &[base, first, second]);
    // By digest alone.
    let plain = ["-o", "plain.mender", "R/shop/web:1"];
    succeed(&mut desk.command(&plain));
    releases.leaves_out(&["--assume", "plain.mender"], &[base, first]);
    // Several words add up.
    let other = Image::oci([second.clone()]).build();
    desk.registry.push("shop/other", "1", &other);
    let other = format!("R/shop/other@{}", other.digest);
    let words = ["--assume", "plain.mender", "--assume", &other];
    releases.leaves_out(&words, &[base, first, second]);
    // A name that does not end like that is a file if there is one.
    fs::rename(
        desk.scratch.join("plain.mender"),
        desk.scratch.join("plain"),
    )
    .unwrap();
    releases.leaves_out(&["--assume", "plain"], &[base, first]);
}

#[test]
fn of_an_index_the_platforms_layers_are_meant() {
    let desk = Desk::new();
    let of = |platform: &str, more: &[&str]| {
        let names = [&[platform], more].concat();
        let layers = names.iter().map(|name| layer(name, 5_000));
        Image::oci(layers).platform(platform).build()
    };
    let [old, new] = [&[][..], &["new"]].map(|more| {
        let images = ["linux/amd64", "linux/arm64"].map(|platform| of(platform, more));
        index(Flavour::Oci, &[&images[0], &images[1]])
    });
    desk.registry.push("shop/web", "1", &old);
    desk.registry.push("shop/web", "2", &new);
    let old = format!("R/shop/web@{}", old.digest);
    let words = [
        "--assume",
        &old,
        "--platform",
        "linux/arm64",
        "R/shop/web:2",
    ];
    desk.make("a", &words);
    let assumed = |name| desk.opened(name).meta_data["dray"]["assumes"].clone();
    assert_eq!(assumed("a"), json!([blob(&layer("linux/arm64", 5_000))]));
    desk.make("b", &[&["--platform", "linux/amd64"], &words[..]].concat());
    assert_eq!(assumed("b").as_array().unwrap().len(), 2);
}

#[test]
fn words_that_leave_nothing_out_are_warned_of() {
    let releases = Releases::new();
    let desk = &releases.desk;
    let other = Image::oci([layer("other", 100)]).build();
    desk.registry.push("shop/other", "1", &other);
    let word = format!("R/shop/other@{}", other.digest);
    let output = desk
        .command(&["--embed", "--assume", &word, "R/shop/web:2"])
        .output()
        .unwrap();
    let word = word.replace("R/", &(desk.registry.host() + "/"));
    assert_eq!(
        text(&output.stderr),
        format!(
            "Warning: --assume {word} leaves nothing out: it shares no layer with these images\n"
        )
    );
    assert!(text(&output.stdout).ends_with("\nLeft out: 0 layers, 0 bytes (0 B)\n"));
    let opened = desk.opened("docker-artifact.mender");
    assert_eq!(opened.meta_data["dray"].get("assumes"), None);
    assert_eq!(contents(&opened).len(), 7);
}
