//! What keeps an image and what does not: names, pins, removal by docker's words, collection.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test files need no durable writer; a broken set-up should panic"
)]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use common::Scratch;
use common::image::{Built, Entry, Flavour, Image, Layer, index};
use common::registry::Registry;
use dray::config::Settings;
use dray::host::Host;
use dray::images::{self, Collected, Depth, Images, ImagesError, Pin, Removed, Verify, Watch};
use dray::oci::{Digest, Platform, Reference};

/// A device and a registry with three images: `base` is the lower layer of `one` and `two`.
struct Device {
    host: Host,
    images: Images,
    registry: Registry,
    base: Built,
    one: Built,
    two: Built,
    #[expect(dead_code, reason = "held for the folder it removes")]
    scratch: Scratch,
}

impl Device {
    fn new() -> Device {
        let scratch = Scratch::new("gc");
        let host = Host::at(scratch.path());
        let layer = |name: &str| Layer::of(&[Entry::file(name, name)]);
        let device = Device {
            images: Images::open(&host, &Settings::default()).unwrap(),
            host,
            registry: Registry::start(),
            base: Image::oci([layer("base")]).build(),
            one: Image::oci([layer("base"), layer("one")]).build(),
            two: Image::oci([layer("base"), layer("two")]).build(),
            scratch,
        };
        for (name, image) in [
            ("base", &device.base),
            ("one", &device.one),
            ("two", &device.two),
        ] {
            device.registry.push(name, "1", image);
        }
        device
    }

    fn reference(&self, name: &str) -> Reference {
        self.registry.name(&format!("{name}:1")).parse().unwrap()
    }

    /// As a deployment does: nothing but a pin will keep it.
    fn pull(&self, name: &str) -> images::Image {
        let reference = self.reference(name);
        self.images
            .pull(&reference, &Platform::host(), &())
            .unwrap()
    }

    /// As a person does.
    fn pull_named(&self, name: &str) -> images::Image {
        let image = self.pull(name);
        self.images.tag(&self.reference(name), &image).unwrap();
        image
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.host.state.join(name)
    }

    /// Everything that is here consists of exactly these images.
    fn holds(&self, images: &[&Built]) {
        let layers = images.iter().flat_map(|image| image.diff_ids.clone());
        let blobs = images.iter().flat_map(|image| [image.digest, image.config]);
        assert_eq!(names(&self.folder("layers/sha256")), hexes(layers));
        assert_eq!(names(&self.folder("blobs/sha256")), hexes(blobs));
    }
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn hexes(digests: impl Iterator<Item = Digest>) -> Vec<String> {
    let mut hexes: Vec<String> = digests.map(|digest| digest.hex()).collect();
    hexes.sort();
    hexes.dedup();
    hexes
}

#[test]
fn names_and_pins_keep_and_nothing_else_does() {
    let device = Device::new();
    let one = device.pull("one");
    device.pull_named("two");
    device.pull("base");
    device.images.pin("container-1", &one).unwrap();
    device.holds(&[&device.base, &device.one, &device.two]);
    // The base image goes, the layer it shares stays.
    let collected = device.images.collect(&BTreeSet::new()).unwrap();
    let mut expected = [device.base.digest, device.base.config];
    expected.sort();
    assert_eq!(collected.blobs, expected);
    assert_eq!(collected.layers, []);
    device.holds(&[&device.one, &device.two]);
    device.images.check(&one).unwrap();
    // Each root alone.
    device.images.unpin("container-1").unwrap();
    let collected = device.images.collect(&BTreeSet::new()).unwrap();
    assert_eq!(collected.layers, [device.one.diff_ids[1]]);
    device.holds(&[&device.two]);
    let two = device.registry.name("two:1");
    device.images.remove(&two, false, &BTreeSet::new()).unwrap();
    device.holds(&[]);
    assert_eq!(
        device.images.collect(&BTreeSet::new()).unwrap(),
        Collected::default()
    );
}

#[test]
fn a_dry_run_says_the_same_and_touches_nothing() {
    let device = Device::new();
    device.pull_named("one");
    device.pull("two");
    let partial = device.folder("partial");
    fs::create_dir_all(&partial).unwrap();
    let blob = Digest::of(b"some of it");
    fs::write(partial.join(blob.hex()), "some").unwrap();
    let would = device.images.collectable(&BTreeSet::new()).unwrap();
    device.holds(&[&device.one, &device.two]);
    assert_eq!(would.layers, [device.two.diff_ids[1]]);
    let documents = [device.two.digest, device.two.config];
    let sizes = documents.map(|digest| {
        let path = device.folder("blobs/sha256").join(digest.hex());
        fs::metadata(path).unwrap().len()
    });
    assert_eq!(would.partial, [blob]);
    assert_eq!(would.bytes, "twosome".len() as u64 + sizes[0] + sizes[1]);
    assert_eq!(device.images.collect(&BTreeSet::new()).unwrap(), would);
}

/// What nobody needs may go at any time.
#[test]
fn a_layer_that_goes_while_others_are_looked_at_is_not_damaged() {
    let device = Device::new();
    device.pull("one");
    device.pull_named("two");
    let everything = Verify {
        images: &[],
        depth: Depth::Content,
        unless_within: None,
    };
    let watch = Watch {
        planned: &|_| drop(device.images.collect(&BTreeSet::new()).unwrap()),
        read: &|_| (),
        found: &|damage| panic!("{damage}"),
    };
    let verdict = device.images.verify(&everything, &watch).unwrap();
    device.holds(&[&device.two]);
    assert_eq!((verdict.layers, verdict.damages), (2, Vec::new()));
    // One that is needed does not go unnoticed.
    let lost = device
        .folder("layers/sha256")
        .join(device.two.diff_ids[1].hex());
    fs::remove_dir_all(lost).unwrap();
    let watch = Watch {
        planned: &|_| (),
        read: &|_| (),
        found: &|_| (),
    };
    let verdict = device.images.verify(&everything, &watch).unwrap();
    assert_eq!((verdict.layers, verdict.damages.len()), (2, 1));
}

#[test]
fn a_holder_may_pin_several_images_and_pins_outlive_a_restart() {
    let device = Device::new();
    let (one, two) = (device.pull("one"), device.pull("two"));
    device.images.pin("deploy-docker-1", &one).unwrap();
    device.images.pin("deploy-docker-1", &two).unwrap();
    device.images.pin("deploy-docker-1", &two).unwrap();
    device.images.pin("container-1", &two).unwrap();
    let pin = |holder: &str, images: &[Digest]| Pin {
        holder: holder.to_owned(),
        images: images.to_vec(),
    };
    let both = [device.one.digest, device.two.digest];
    let again = Images::open(&device.host, &Settings::default()).unwrap();
    assert_eq!(
        again.pins().unwrap(),
        [
            pin("container-1", &both[1..]),
            pin("deploy-docker-1", &both)
        ]
    );
    again.collect(&BTreeSet::new()).unwrap();
    device.holds(&[&device.one, &device.two]);
    again.unpin("deploy-docker-1").unwrap();
    again.unpin("deploy-docker-1").unwrap();
    again.unpin("never-there").unwrap();
    again.collect(&BTreeSet::new()).unwrap();
    device.holds(&[&device.two]);
    for holder in ["", ".", ".tmp-1", "a/b", "..", "a b", "ä", &"x".repeat(201)] {
        let error = device.images.pin(holder, &two).unwrap_err();
        assert!(matches!(error, ImagesError::Holder(_)), "{holder}: {error}");
    }
}

/// A collection between a pull and its pin: the pin notices.
#[test]
fn what_is_gone_cannot_be_pinned_or_named() {
    let device = Device::new();
    let one = device.pull("one");
    let hold = device.images.hold().unwrap();
    let other = Images::open(&device.host, &Settings::default()).unwrap();
    assert!(matches!(
        other.collect(&BTreeSet::new()),
        Err(ImagesError::Busy)
    ));
    drop(hold);
    other.collect(&BTreeSet::new()).unwrap();
    device.holds(&[]);
    let words = format!("image {} is incomplete: layer ", one.digest);
    let error = device.images.pin("container-1", &one).unwrap_err();
    assert!(error.to_string().starts_with(&words), "{error}");
    let error = device
        .images
        .tag(&device.reference("one"), &one)
        .unwrap_err();
    assert!(error.to_string().starts_with(&words), "{error}");
    assert!(device.images.pins().unwrap().is_empty());
}

/// A document that was damaged must not make collection forget what the image consists of.
#[test]
fn a_damaged_manifest_does_not_cost_the_layers() {
    let device = Device::new();
    let one = device.pull_named("one");
    let manifest = device.folder("blobs/sha256").join(one.manifest.hex());
    fs::write(&manifest, "").unwrap();
    assert_eq!(
        device.images.collect(&BTreeSet::new()).unwrap(),
        Collected::default()
    );
    assert!(matches!(
        device.images.check(&one),
        Err(ImagesError::NoDocument { .. })
    ));
    device.pull("one");
    device.images.check(&one).unwrap();
}

/// A record that cannot be read may be all that keeps an image: nothing is removed then.
#[test]
fn an_unreadable_record_stops_everything() {
    let device = Device::new();
    device.pull("one");
    for (folder, content) in [
        ("names", "{"),
        ("names", r#"{"version":1,"name":"??","image":{}}"#),
        ("pins", r#"{"version":2,"images":[]}"#),
        ("pins", r#"{"version":1,"images":[],"more":1}"#),
    ] {
        let record = device.folder(folder).join("record");
        fs::write(&record, content).unwrap();
        let error = device
            .images
            .collect(&BTreeSet::new())
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with(&format!("failed to read record {record:?}: ")),
            "{error}"
        );
        fs::remove_file(record).unwrap();
        device.holds(&[&device.one]);
    }
}

#[test]
fn images_are_found_as_docker_finds_them() {
    let device = Device::new();
    let one = device.pull_named("one");
    let two = device.pull("two");
    device.images.pin("container-1", &two).unwrap();
    let name = device.registry.name("one");
    let other_name: Reference = "docker.io/library/web".parse().unwrap();
    device.images.tag(&other_name, &one).unwrap();
    for (words, image) in [
        (format!("{name}:1"), &one),
        ("web".to_owned(), &one),
        ("web:latest".to_owned(), &one),
        ("docker.io/library/web:latest".to_owned(), &one),
        ("library/web".to_owned(), &one),
        (one.id.to_string(), &one),
        (one.id.hex(), &one),
        (one.id.hex()[..12].to_owned(), &one),
        (one.id.to_string()[..20].to_owned(), &one),
        (one.digest.to_string(), &one),
        (format!("{name}@{}", one.digest), &one),
        (format!("{name}:7@{}", one.digest), &one),
        (two.id.hex()[..6].to_owned(), &two),
        (format!("elsewhere.example/two@{}", two.digest), &two),
    ] {
        let found = device.images.find(&words).unwrap();
        assert_eq!(found.id, image.id, "{words}");
    }
    let found = device.images.find("web").unwrap();
    let found: Vec<String> = found.names.iter().map(Reference::to_string).collect();
    assert_eq!(
        found,
        [
            format!("{name}:1"),
            "docker.io/library/web:latest".to_owned()
        ]
    );
    for words in [
        name.as_str(),
        "web:2",
        "nothing",
        "sha256:",
        "",
        "UPPER",
        &one.digest.hex()[..12],
        &format!("{name}@{}", Digest::of(b"")),
    ] {
        let error = device.images.find(words).unwrap_err();
        assert!(error.is_absent(), "{words}: {error}");
        assert_eq!(error.to_string(), format!("no such image: {words}"));
    }
}

#[test]
fn an_id_that_fits_several_images_is_ambiguous() {
    let device = Device::new();
    let mut seen: Vec<images::Image> = Vec::new();
    // Of seventeen ids two begin alike.
    let pair = (0..17).find_map(|n| {
        let layer = Layer::of(&[Entry::file("n", n.to_string())]);
        device
            .registry
            .push(&format!("n{n}"), "1", &Image::oci([layer]).build());
        let image = device.pull_named(&format!("n{n}"));
        let same = seen
            .iter()
            .find(|other| other.id.hex()[..1] == image.id.hex()[..1]);
        let pair = same.map(|other| (other.id, image.id));
        seen.push(image);
        pair
    });
    let (a, b) = pair.unwrap();
    let digit = &a.hex()[..1];
    let error = device.images.find(digit).unwrap_err().to_string();
    let (low, high) = (a.min(b).hex(), a.max(b).hex());
    assert_eq!(
        error,
        format!(
            "image id {digit:?} is ambiguous: it fits {}, {}",
            &low[..12],
            &high[..12]
        )
    );
}

#[test]
fn the_same_image_through_an_index_is_listed_once_for_each() {
    let device = Device::new();
    device
        .registry
        .push("both", "1", &index(Flavour::Oci, &[&device.one]));
    device.pull_named("one");
    let both = device.pull_named("both");
    let listed = device.images.list().unwrap();
    let mut listed: Vec<_> = listed
        .iter()
        .map(|image| (image.id, image.digest, image.names.clone()))
        .collect();
    listed.sort_by_key(|(_, digest, _)| *digest == both.digest);
    let expected = [("one", device.one.digest), ("both", both.digest)]
        .map(|(name, digest)| (device.one.config, digest, vec![device.reference(name)]));
    assert_eq!(listed, expected);
    // By its id it is one image.
    device.images.find(&both.id.hex()).unwrap();
}

#[test]
fn removal_speaks_dockers_words() {
    let device = Device::new();
    let one = device.pull_named("one");
    let (first, second) = (device.registry.name("one:1"), "web:latest".to_owned());
    device.images.tag(&"web".parse().unwrap(), &one).unwrap();
    let untagged = |name: &str| Removed::Untagged(name.to_owned());
    // By id, with two names.
    let error = device
        .images
        .remove(&one.id.hex()[..12], false, &BTreeSet::new())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "image {} has several names: {first}, {second}; remove each, or all of them with force",
            &one.id.hex()[..12]
        )
    );
    // One name of two: only that.
    assert_eq!(
        device
            .images
            .remove("web", false, &BTreeSet::new())
            .unwrap(),
        [untagged(&second)]
    );
    device.holds(&[&device.one]);
    // The last name of an image that a container needs.
    device.images.pin("container-1", &one).unwrap();
    let error = device
        .images
        .remove(&first, false, &BTreeSet::new())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "image {first} is needed by container-1; remove that first, or only its names with force"
        )
    );
    assert_eq!(
        device
            .images
            .remove(&first, true, &BTreeSet::new())
            .unwrap(),
        [untagged(&first)]
    );
    device.holds(&[&device.one]);
    // Its data goes with the pin.
    device.images.unpin("container-1").unwrap();
    let deleted = device.images.collect(&BTreeSet::new()).unwrap();
    assert_eq!(deleted.layers, hexes_sorted(&device.one.diff_ids));
    device.holds(&[]);
    // The last name and nobody needs it: names, id, layers.
    device.pull_named("one");
    let removed = device
        .images
        .remove(&first, false, &BTreeSet::new())
        .unwrap();
    let mut expected = vec![untagged(&first), Removed::Deleted(one.id)];
    expected.extend(
        hexes_sorted(&device.one.diff_ids)
            .into_iter()
            .map(Removed::Deleted),
    );
    assert_eq!(removed, expected);
    device.holds(&[]);
    let error = device
        .images
        .remove(&first, true, &BTreeSet::new())
        .unwrap_err();
    assert_eq!(error.to_string(), format!("no such image: {first}"));
}

fn hexes_sorted(digests: &[Digest]) -> Vec<Digest> {
    let mut digests = digests.to_vec();
    digests.sort();
    digests
}

/// A name that moves to another image gives the old one up.
#[test]
fn a_tag_moves() {
    let device = Device::new();
    device.pull_named("one");
    device.registry.push("one", "1", &device.two);
    device.pull_named("one");
    assert_eq!(
        device
            .images
            .find(&device.registry.name("one:1"))
            .unwrap()
            .id,
        device.two.config
    );
    device.images.collect(&BTreeSet::new()).unwrap();
    device.holds(&[&device.two]);
}

/// Removal waits for nobody: while another process pulls, the name goes and the data stays for the next collection.
#[test]
fn removal_beside_a_pull_leaves_the_data() {
    let device = Device::new();
    device.pull_named("one");
    let hold = device.images.hold().unwrap();
    let name = device.registry.name("one:1");
    let other = Images::open(&device.host, &Settings::default()).unwrap();
    assert_eq!(
        other.remove(&name, false, &BTreeSet::new()).unwrap(),
        [Removed::Untagged(name)]
    );
    device.holds(&[&device.one]);
    drop(hold);
    other.collect(&BTreeSet::new()).unwrap();
    device.holds(&[]);
}

/// One bit of each digest of a record, and of its name: nothing is removed, the look finds the record and nothing else, and
/// the documents say what it was.
#[test]
fn a_flipped_bit_in_a_record_removes_nothing_and_is_mended() {
    let device = Device::new();
    let one = device.pull_named("one");
    device.images.pin("container-1", &one).unwrap();
    let name = names(&device.folder("names")).remove(0);
    let name = device.folder("names").join(name);
    let pin = device.folder("pins").join("container-1");
    let text = device.reference("one").to_string();
    let digests = [one.manifest, one.id, one.layers[0], one.layers[1]];
    let parts = digests.iter().map(Digest::hex).chain([text]);
    for part in parts {
        for record in [&name, &pin] {
            let sound = fs::read_to_string(record).unwrap();
            let Some(at) = sound.rfind(&part) else {
                continue;
            };
            let mut bytes = sound.clone().into_bytes();
            let last = at + part.len() - 1;
            bytes[last] = if bytes[last] == b'1' { b'0' } else { b'1' };
            fs::write(record, &bytes).unwrap();
            // The other record is not to hide it.
            let other = if record == &name { &pin } else { &name };
            let kept = fs::read(other).unwrap();
            fs::remove_file(other).unwrap();
            for collected in [
                device.images.collect(&BTreeSet::new()),
                device.images.collect_old(&BTreeSet::new()),
            ] {
                let error = collected.unwrap_err().to_string();
                let begin = format!("failed to read record {record:?}: ");
                assert!(error.starts_with(&begin), "{error}");
                assert!(error.contains("dray verify --repair"), "{error}");
            }
            device.holds(&[&device.one]);
            let verdict = verify(&device);
            let found: Vec<_> = verdict.damages.iter().map(|d| d.part.clone()).collect();
            assert_eq!(found, [images::Part::Record(record.clone())], "{part}");
            let still = device.images.heal(&verdict.damages, &[], &()).unwrap();
            assert!(still.is_empty(), "{part}: {still:?}");
            assert_eq!(fs::read_to_string(record).unwrap(), sound);
            let collected = device.images.collect(&BTreeSet::new()).unwrap();
            assert_eq!(collected, Collected::default());
            fs::write(other, kept).unwrap();
        }
    }
}

/// What a kill left counts until it is swept, what somebody still writes does not.
#[test]
fn what_killed_processes_left_is_counted() {
    let device = Device::new();
    for (name, bytes) in [
        (".tmp-4194999-0", 8192),
        (&format!(".tmp-{}-0", std::process::id()), 4096),
    ] {
        let tree = device.folder("layers/sha256").join(name).join("tree/etc");
        fs::create_dir_all(&tree).unwrap();
        fs::write(tree.join("file"), vec![1; bytes]).unwrap();
    }
    let usage = || device.images.usage(&BTreeSet::new()).unwrap().abandoned;
    assert_eq!(usage(), 8192);
    device.images.sweep().unwrap();
    assert_eq!(usage(), 0);
}

/// A document that has gone: the record cannot be told from a wrong one. A layer that has gone keeps nobody from anything.
#[test]
fn what_a_record_names_and_is_not_here_keeps_the_rest_only_where_it_may_be_another() {
    let device = Device::new();
    let one = device.pull_named("one");
    device.pull("two");
    let manifest = device.folder("blobs/sha256").join(one.manifest.hex());
    let bytes = fs::read(&manifest).unwrap();
    fs::remove_file(&manifest).unwrap();
    let error = device.images.collect(&BTreeSet::new()).unwrap_err();
    let error = error.to_string();
    let said = format!("whose document {} is not here", one.manifest);
    assert!(error.contains(&said), "{error}");
    fs::write(&manifest, bytes).unwrap();
    let layer = device.folder("layers/sha256").join(one.layers[1].hex());
    fs::remove_dir_all(layer).unwrap();
    let collected = device.images.collect(&BTreeSet::new()).unwrap();
    assert_eq!(collected.layers, [device.two.diff_ids[1]]);
}

fn verify(device: &Device) -> images::Verdict {
    let wanted = Verify {
        depth: Depth::Content,
        images: &[],
        unless_within: None,
    };
    let watch = Watch {
        planned: &|_| {},
        read: &|_| {},
        found: &|_| {},
    };
    device.images.verify(&wanted, &watch).unwrap()
}
