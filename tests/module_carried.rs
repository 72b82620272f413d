//! Images that travel in an artifact: taken from the client's streams straight into the store, by the same digests as from
//! a registry, without one; and what becomes of payloads that are not what they should be.
#![cfg(feature = "device")]
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a broken set-up should panic; test files need no durable writer"
)]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::device::{Called, Device, on_device, run};
use common::image::{Built, Entry, Flavour, Image, Layer, Packing, index};
use dray::artifact::carried::{INDEX, MARKER, blob_name};
use dray::oci::Digest;
use dray::sys::process::ProcessId;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// One file of a payload.
type File = (String, Vec<u8>);

/// A payload as `docker-artifact-gen --embed` orders it.
fn payload(images: &[(&str, &Built)]) -> Vec<File> {
    let entry = |(name, built): &(&str, &Built)| {
        json!({
            "mediaType": built.media_type, "digest": built.digest, "size": built.document().len(),
            "annotations": {"io.containerd.image.name": name},
        })
    };
    let entries: Vec<Value> = images.iter().map(entry).collect();
    let index = json!({"schemaVersion": 2, "manifests": entries});
    let mut files = vec![
        (
            MARKER.to_owned(),
            br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec(),
        ),
        (INDEX.to_owned(), index.to_string().into_bytes()),
    ];
    let mut add = |digest: &Digest, bytes: &[u8]| {
        let name = blob_name(digest);
        if !files.iter().any(|(other, _)| *other == name) {
            files.push((name, bytes.to_vec()));
        }
    };
    let mut layers: Vec<(Digest, &Built)> = Vec::new();
    for (_, built) in images {
        add(&built.digest, built.document());
        for (digest, (_, bytes)) in &built.documents {
            add(digest, bytes);
            let parsed: Value = serde_json::from_slice(bytes).unwrap();
            if let Some(config) = parsed["config"]["digest"].as_str() {
                let config: Digest = config.parse().unwrap();
                add(&config, &built.blobs[&config]);
            }
            for layer in parsed["layers"].as_array().into_iter().flatten() {
                let digest = layer["digest"].as_str().unwrap().parse().unwrap();
                layers.push((digest, built));
            }
        }
    }
    for (digest, built) in layers {
        add(&digest, &built.blobs[&digest]);
    }
    files
}

/// The first file that is a layer: after marker, index, manifest and configuration.
const FIRST_LAYER: usize = 4;

/// Meta-data for these images, the first of which gets the name `web`.
fn meta_data(device: &Device, images: &[&str], assumes: &[Digest]) -> String {
    let containers: Vec<String> = images.iter().map(|image| device.pinned(image)).collect();
    let mut dray = json!({"version": 1, "payload": "oci-layout"});
    if !assumes.is_empty() {
        dray["assumes"] = json!(assumes);
    }
    let run_args = if images.len() == 1 { "--name web" } else { "" };
    json!({"containers": containers, "run_args": run_args, "dray": dray}).to_string()
}

/// How a client hands files over.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Style {
    /// Mender 3.4: names.
    Names,
    /// Mender 4 and later: names and sizes.
    Sizes,
    /// Is killed in the middle of the last file.
    Breaks,
}

/// The part of a client that writes; a process, because it hangs when nobody reads.
struct Client(Child);

impl Client {
    fn begin(tree: &Path, folder: PathBuf, files: &[File], style: Style) -> Client {
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let mut script = "set -e\n".to_owned();
        let shown = |path: PathBuf| path.display().to_string();
        let next = shown(tree.join("stream-next"));
        for (place, (name, bytes)) in files.iter().enumerate() {
            let stored = folder.join(place.to_string());
            std::fs::write(&stored, bytes).unwrap();
            let stream = shown(tree.join("streams").join(name));
            // A name that climbs has no stream.
            if !name.contains('/') {
                run("mkfifo", &["-m", "0600", &stream]);
            }
            let size = match style {
                Style::Sizes => format!(" {}", bytes.len()),
                Style::Names | Style::Breaks => String::new(),
            };
            script += &format!("echo 'streams/{name}{size}' > '{next}'\n");
            let stored = shown(stored);
            match style == Style::Breaks && place + 1 == files.len() {
                true => script += &format!("head -c 1000 '{stored}' > '{stream}'\nkill -9 $$\n"),
                false => script += &format!("cat '{stored}' > '{stream}'\n"),
            }
        }
        script += &format!(": > '{next}'\n");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).stderr(Stdio::null());
        Client(shell.spawn().unwrap())
    }

    /// Whether it came to its end by itself.
    fn succeeded(mut self) -> bool {
        self.0.wait().unwrap().success()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `Download` with these files.
fn download(device: &Device, meta_data: &str, files: &[File], style: Style) -> (Called, bool) {
    let tree = device.tree("carried", meta_data);
    let client = Client::begin(&tree, device.join("client"), files, style);
    let verb = match style {
        Style::Sizes => "DownloadWithFileSizes",
        Style::Names | Style::Breaks => "Download",
    };
    let called = device.call(verb, &tree);
    // After a failure nobody reads any more.
    let is_done = called.succeeded() && client.succeeded();
    (called, is_done)
}

fn good(device: &Device, meta_data: &str, files: &[File], style: Style) -> String {
    let (called, is_done) = download(device, meta_data, files, style);
    assert!(called.succeeded() && is_done, "{style:?}: {called:?}");
    called.stderr
}

/// The rest of a deployment.
fn switch(device: &Device, states: &[&str]) {
    let tree = device.join("tree");
    for state in states {
        let called = device.call(state, &tree);
        assert!(called.succeeded(), "{state}: {called:?}");
    }
}

const TO_THE_END: [&str; 3] = ["ArtifactInstall", "ArtifactCommit", "Cleanup"];

#[test]
fn it_is_the_same_image_without_a_network() {
    on_device("carried", |device| {
        let v1 = device.push("one", "trap 'exit 0' TERM; sleep 100000 & wait", json!({}));
        let v2 = device.push("two", "trap 'exit 0' TERM; sleep 100000 & wait", json!({}));
        device.registry.reset_counts();
        let (one, two) = (
            payload(&[("example/one:1", &v1)]),
            payload(&[("example/two:1", &v2)]),
        );
        let said = good(
            device,
            &meta_data(device, &["one"], &[]),
            &one,
            Style::Names,
        );
        assert!(
            said.contains("from the artifact") && said.contains("taken 2 layers"),
            "{said}"
        );
        switch(device, &TO_THE_END);
        assert_eq!(device.running(), ["one"]);
        // The next one shares a layer, which comes all the same and is passed over.
        let said = good(
            device,
            &meta_data(device, &["two"], &[]),
            &two,
            Style::Sizes,
        );
        assert!(
            said.contains("taken 1 layer,") && said.contains("1 here already"),
            "{said}"
        );
        switch(device, &["ArtifactInstall"]);
        assert_eq!(device.running(), ["two"]);
        switch(device, &["ArtifactRollback", "Cleanup"]);
        assert_eq!(device.running(), ["one"]);
        assert_eq!(device.registry.requests().len(), 0);
        assert_eq!(device.inspect("web")["Image"], json!(v1.config));
        // Its registry would not have anything else.
        let said = device.done(&["pull", &device.pinned("one")]).stdout;
        assert!(said.contains(&v1.digest.to_string()), "{said}");
        assert_eq!(device.registry.count("GET", "/blobs/"), 0);
    });
}

#[test]
fn several_images_platforms_and_assumptions() {
    on_device("several", |device| {
        let script = "trap 'exit 0' TERM; sleep 100000 & wait";
        let (one, two) = (
            device.push("one", script, json!({})),
            device.push("two", script, json!({})),
        );
        let other = Image::oci([Layer::of(&[Entry::file("arm", "1")])])
            .platform("linux/arm64")
            .build();
        let both = index(Flavour::Oci, &[&other, &two]);
        device.registry.push("shop/both", "1", &both);
        device.registry.reset_counts();
        let files = payload(&[("example/one:1", &one), ("example/both:1", &both)]);
        let words = meta_data(device, &["one", "both"], &[]);
        good(device, &words, &files, Style::Sizes);
        switch(device, &TO_THE_END);
        assert_eq!(device.running(), ["one", "two"]);

        // What is left out is here.
        let three = device.push("three", script, json!({}));
        let shared = one
            .blobs
            .keys()
            .find(|blob| three.blobs.contains_key(*blob) && one.blobs[*blob].len() > 100_000);
        let shared = *shared.unwrap();
        let mut files = payload(&[("example/three:1", &three)]);
        files.retain(|(name, _)| *name != blob_name(&shared));
        let words = meta_data(device, &["three"], &[shared]);
        good(device, &words, &files, Style::Names);
        switch(device, &TO_THE_END);
        assert_eq!(device.running(), ["three"]);
        assert_eq!(device.registry.requests().len(), 0);
    });
}

/// What a client stored because it knows no streams.
#[test]
fn stored_files_are_taken_too() {
    on_device("stored", |device| {
        let built = device.push("one", "trap 'exit 0' TERM; sleep 100000 & wait", json!({}));
        device.registry.reset_counts();
        let tree = device.tree("stored", &meta_data(device, &["one"], &[]));
        std::fs::remove_file(tree.join("stream-next")).unwrap();
        std::fs::create_dir(tree.join("files")).unwrap();
        for (name, bytes) in payload(&[("example/one:1", &built)]) {
            std::fs::write(tree.join("files").join(name), bytes).unwrap();
        }
        let called = device.call("Download", &tree);
        assert!(called.succeeded(), "{called:?}");
        switch(device, &TO_THE_END);
        assert_eq!(device.running(), ["one"]);
        assert_eq!(device.registry.requests().len(), 0);
    });
}

#[test]
fn what_is_not_what_it_should_be_changes_nothing() {
    on_device("spoilt", |device| {
        let tree = device.tree("v1", &device.artifact("v1", "--name web").to_string());
        assert!(device.call("Download", &tree).succeeded());
        switch(device, &TO_THE_END);
        let layers = device.layers();
        let packed =
            |text: &str| Layer::of(&[Entry::file(text, vec![b'x'; 70_000])]).packed(Packing::Plain);
        let built = Image::oci([packed("a"), packed("b")])
            .config(json!({"Cmd": ["/x"]}))
            .build();
        device.registry.push("shop/new", "1", &built);
        device.registry.reset_counts();
        let files = payload(&[("example/new:1", &built)]);
        let words = meta_data(device, &["new"], &[]);
        let changed = |change: &dyn Fn(&mut Vec<File>)| {
            let mut files = files.clone();
            change(&mut files);
            files
        };
        let layer: Digest = files[FIRST_LAYER].0.replace('.', ":").parse().unwrap();
        let assuming = meta_data(device, &["new"], &[layer]);
        let another = meta_data(device, &["v2"], &[]);
        let long = vec![b' '; (4 << 20) + 1];
        let rows: Vec<(&str, Vec<File>, &str, &str)> = vec![
            (
                "nothing",
                Vec::new(),
                &words,
                "it has its end where oci-layout belongs",
            ),
            (
                "no marker",
                changed(&|f| drop(f.remove(0))),
                &words,
                "it has \"index.json\" where oci-layout belongs",
            ),
            (
                "no index",
                changed(&|f| drop(f.remove(1))),
                &words,
                " where index.json belongs",
            ),
            (
                "another version",
                changed(&|f| f[0].1 = br#"{"imageLayoutVersion":"2.0.0"}"#.to_vec()),
                &words,
                "its image layout has version \"2.0.0\"",
            ),
            (
                "no images",
                changed(&|f| f[1].1 = br#"{"schemaVersion":2,"manifests":[]}"#.to_vec()),
                &words,
                "it lists no images",
            ),
            (
                "an index of 4 MiB",
                changed(&|f| f[1].1.clone_from(&long)),
                &words,
                "index.json: more than the 4194304 bytes allowed",
            ),
            (
                "another image",
                files.clone(),
                &another,
                "the artifact's payload has no image ",
            ),
            (
                "a manifest that is another",
                changed(&|f| f[2].1.push(b' ')),
                &words,
                " arrived with the digest ",
            ),
            (
                "a configuration that is another",
                changed(&|f| f[3].1.push(b' ')),
                &words,
                " arrived with the digest ",
            ),
            (
                "no manifest",
                changed(&|f| drop(f.remove(2))),
                &words,
                " is not in it, or came before its turn",
            ),
            (
                "no configuration",
                changed(&|f| drop(f.remove(3))),
                &words,
                " is not in it, or came before its turn",
            ),
            (
                "layers first",
                changed(&|f| f[2..].reverse()),
                &words,
                " is not in it, or came before its turn",
            ),
            (
                "layers in the wrong order",
                changed(&|f| f[FIRST_LAYER..].reverse()),
                &words,
                " is not in it, or came before its turn",
            ),
            (
                "a layer less",
                changed(&|f| drop(f.pop())),
                &words,
                " is not in it, or came before its turn",
            ),
            (
                "a flipped bit",
                changed(&|f| f[FIRST_LAYER].1[5000] ^= 1),
                &words,
                " arrived with the digest ",
            ),
            (
                "a layer that is too short",
                changed(&|f| f[FIRST_LAYER].1.truncate(5000)),
                &words,
                "failed to take it: unexpected end of file",
            ),
            (
                "a layer that is too long",
                changed(&|f| f[FIRST_LAYER].1.push(0)),
                &words,
                " has more than the announced ",
            ),
            (
                "something else",
                changed(&|f| f.push(("README".to_owned(), Vec::new()))),
                &words,
                "it has \"README\" where a blob belongs",
            ),
            (
                "something else among documents",
                changed(&|f| f.insert(2, ("sha256.12".to_owned(), Vec::new()))),
                &words,
                "it has \"sha256.12\" where a blob belongs",
            ),
            (
                "a name that climbs",
                changed(&|f| f[2].0 = "../../x".to_owned()),
                &words,
                "stream-next says \"streams/../../x",
            ),
            (
                "what devices are said to have",
                changed(&|f| drop(f.remove(FIRST_LAYER))),
                &assuming,
                "the artifact leaves out 1 layers that devices are said to have (--assume), but this one lacks sha256:",
            ),
        ];
        for (case, files, words, expected) in &rows {
            for style in [Style::Names, Style::Sizes] {
                let (called, _) = download(device, words, files, style);
                let last = called.stderr.lines().last().unwrap_or_default().to_owned();
                assert!(
                    !called.status.success()
                        && last.starts_with("Download")
                        && last.contains(expected),
                    "{case}: {called:?}"
                );
                switch(device, &["Cleanup"]);
                assert_eq!(device.running(), ["v1"], "{case}");
                assert_eq!(device.layers(), layers, "{case}: what came is gone again");
            }
        }
        assert_eq!(device.registry.requests().len(), 0);

        // What came before the client was killed need not be unpacked again.
        let (called, _) = download(device, &words, &files, Style::Breaks);
        assert!(
            called
                .stderr
                .contains("failed to take it: unexpected end of file"),
            "{called:?}"
        );
        assert_eq!(device.running(), ["v1"]);
        let said = good(device, &words, &files, Style::Names);
        assert!(said.contains("taken "), "{said}");
        switch(device, &["Cleanup"]);
    });
}

/// A module that waits for a client that is gone, or that is told to end, ends.
#[test]
fn nobody_waits_for_ever() {
    on_device("waits", |device| {
        device.push("one", "sleep 100000", json!({}));
        let tree = device.tree("waits", &meta_data(device, &["one"], &[]));
        let mut client = device.start_by_client("Download", &tree);
        client.until("the artifact brings its images along");
        let module = ProcessId::of(client.children()[0]).unwrap();
        let handle = module.open().unwrap().expect("the module waits");
        client.kill();
        assert!(handle.wait(Some(Duration::from_secs(60))).unwrap());

        let mut waiting = device.start("Download", &tree);
        waiting.until("the artifact brings its images along");
        waiting.signal(Signal::SIGTERM);
        let (status, said) = waiting.end();
        assert_eq!(status.code(), Some(1), "{said:?}");
        let last = said.last().unwrap();
        assert!(last.contains("aborted: "), "{said:?}");
        assert!(device.running().is_empty());
    });
}
