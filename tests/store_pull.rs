//! Images from a registry into the store: whole or not at all, healed when damaged, nothing left behind.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test files need no durable writer; a broken set-up should panic"
)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use common::Scratch;
use common::image::{Built, Entry, Flavour, Image, Layer, Packing, index};
use common::registry::{Fault, On, Registry};
use dray::config::Settings;
use dray::host::Host;
use dray::images::{self, Collected, Event, Images, ImagesError};
use dray::oci::{Digest, Platform, Reference};
use dray::store::Store;
use dray::sys::lock::Exclusive;
use dray::sys::mount::private_namespace;

/// A device in a scratch folder.
struct Device {
    #[expect(dead_code, reason = "held for the folder it removes")]
    scratch: Scratch,
    host: Host,
    settings: Settings,
}

impl Device {
    fn new() -> Device {
        let scratch = Scratch::new("store");
        let host = Host::at(scratch.path());
        Device {
            host,
            scratch,
            settings: Settings::default(),
        }
    }

    fn images(&self) -> Images {
        Images::open(&self.host, &self.settings).unwrap()
    }

    fn pull(&self, reference: &str) -> Result<images::Image, ImagesError> {
        let reference: Reference = reference.parse().unwrap();
        self.images().pull(&reference, &Platform::host(), &())
    }

    /// What a power cut and a reboot do to what lies outside the disk.
    fn reboot(&mut self) {
        let _ = fs::remove_dir_all(&self.host.run);
        self.host.boot_id = format!("{}+", self.host.boot_id);
    }

    fn layers(&self) -> PathBuf {
        self.host.state.join("layers/sha256")
    }

    /// Names in the store's folders: layers, blobs, names, pins; scratch and layers set aside too.
    fn content(&self) -> BTreeMap<&'static str, Vec<String>> {
        ["layers/sha256", "blobs/sha256", "names", "pins"]
            .map(|folder| (folder, names(&self.host.state.join(folder))))
            .into()
    }

    fn is_empty(&self) -> bool {
        self.content().values().all(Vec::is_empty)
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

fn hexes(digests: &[Digest]) -> Vec<String> {
    let mut hexes: Vec<String> = digests.iter().map(Digest::hex).collect();
    hexes.sort();
    hexes
}

fn simple() -> Built {
    Image::oci([Layer::of(&[
        Entry::dir("etc").mtime(7),
        Entry::file("etc/motd", "hello\n")
            .mode(0o600)
            .owner(3, 4)
            .mtime(5),
    ])])
    .config(serde_json::json!({"Cmd": ["/bin/true"], "Env": ["A=b"]}))
    .build()
}

#[test]
fn an_image_arrives_whole_in_every_packing() {
    let entries = [
        Entry::dir("etc"),
        Entry::file("etc/motd", vec![b'x'; 300_000]),
    ];
    for (flavour, packing) in [
        (Flavour::Oci, Packing::Gzip),
        (Flavour::Oci, Packing::Zstd),
        (Flavour::Oci, Packing::Plain),
        (Flavour::Docker, Packing::Gzip),
    ] {
        let layers = [Layer::of(&entries).packed(packing)];
        let built = match flavour {
            Flavour::Oci => Image::oci(layers).build(),
            Flavour::Docker => Image::docker(layers).build(),
        };
        let registry = Registry::start();
        registry.push("shop/web", "1", &built);
        let device = Device::new();
        let image = device.pull(&registry.name("shop/web:1")).unwrap();
        assert_eq!(image.id, built.config);
        assert_eq!((image.digest, image.manifest), (built.digest, built.digest));
        assert_eq!(image.layers, built.diff_ids);
        assert_eq!(image.size, 300_000);
        assert!(image.names.is_empty());
        let tree = device.images().layer_dir(&image.layers[0]);
        assert_eq!(
            fs::read(tree.join("etc/motd")).unwrap(),
            vec![b'x'; 300_000]
        );
        assert_eq!(
            device.content(),
            BTreeMap::from([
                ("layers/sha256", hexes(&built.diff_ids)),
                ("blobs/sha256", hexes(&[built.digest, built.config])),
                ("names", vec![]),
                ("pins", vec![]),
            ])
        );
        for private in [&device.host.state, &device.layers(), &tree.join("..")] {
            let mode = fs::metadata(private).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o700, "{private:?}");
        }
    }
}

#[test]
fn what_is_present_needs_no_network() {
    let built = simple();
    let registry = Registry::start();
    registry.push("shop/web", "1", &built);
    let device = Device::new();
    let pinned = format!("{}@{}", registry.name("shop/web"), built.digest);
    device.pull(&pinned).unwrap();
    registry.reset_counts();
    let again = device.pull(&pinned).unwrap();
    assert_eq!(again.id, built.config);
    assert!(registry.requests().is_empty());
    // A tag may have moved: one question, no data.
    device.pull(&registry.name("shop/web:1")).unwrap();
    assert_eq!(registry.requests().len(), 1);
}

#[test]
fn an_index_gives_this_machines_image() {
    let ours = simple();
    let theirs = Image::oci([Layer::of(&[Entry::file("x", "y")])])
        .platform("linux/s390x")
        .build();
    let both = index(Flavour::Oci, &[&theirs, &ours]);
    let registry = Registry::start();
    registry.push("shop/web", "both", &both);
    registry.push("shop/web", "theirs", &theirs);
    let device = Device::new();
    let image = device.pull(&registry.name("shop/web:both")).unwrap();
    assert_eq!(image.digest, both.digest);
    assert_eq!((image.manifest, image.id), (ours.digest, ours.config));
    // The image itself is for another machine, or an index without one for this.
    let host = Platform::host();
    for name in ["shop/web:theirs", "shop/web:only"] {
        registry.push("shop/web", "only", &index(Flavour::Oci, &[&theirs]));
        let reference = registry.name(name);
        assert_eq!(
            device.pull(&reference).unwrap_err().to_string(),
            format!("image {reference} is not available for {host}, only for linux/s390x")
        );
    }
    // Unless that is what was asked for.
    let reference = registry.name("shop/web:theirs").parse().unwrap();
    let other = "linux/s390x".parse().unwrap();
    let image = device.images().pull(&reference, &other, &()).unwrap();
    assert_eq!(image.id, theirs.config);
}

#[test]
fn each_layer_travels_once_and_in_parallel() {
    let layer = |n: u32| Layer::of(&[Entry::file(format!("f{n}"), vec![1; 200_000])]);
    let layers: Vec<Layer> = (0..12).map(|n| layer(n % 8)).collect();
    let built = Image::oci(layers).build();
    let registry = Registry::start();
    registry.push("shop/web", "1", &built);
    let device = Device::new();
    let seen = Mutex::new(BTreeMap::new());
    let reference = registry.name("shop/web:1").parse().unwrap();
    let note = |event: &Event<'_>| {
        let mut seen = seen.lock().unwrap();
        let words = match event {
            Event::Resolved { .. } => "resolved",
            Event::Planned { .. } => "planned",
            Event::Started { .. } => "started",
            Event::Unpacked { .. } => "unpacked",
            Event::Received { .. } => "received",
            _ => "other",
        };
        *seen.entry(words).or_insert(0) += 1;
    };
    let images = device.images();
    let image = images.pull(&reference, &Platform::host(), &note).unwrap();
    let seen = seen.into_inner().unwrap();
    let expected = [
        ("planned", 8),
        ("received", 8),
        ("resolved", 1),
        ("started", 8),
        ("unpacked", 8),
    ];
    assert_eq!(seen, BTreeMap::from(expected));
    assert_eq!(registry.count("GET", "/blobs/"), 8 + 1);
    assert_eq!(image.layers.len(), 12);
    // Overlay refuses a folder that is stacked twice; the higher place is the one that counts.
    let lower = images.lower_dirs(&image.layers).unwrap();
    let order: Vec<usize> = (0..8)
        .map(|n| {
            let dir = images.layer_dir(&image.layers[n]);
            lower.iter().position(|lower| *lower == dir).unwrap()
        })
        .collect();
    assert_eq!(order, [3, 2, 1, 0, 7, 6, 5, 4]);
}

#[test]
fn a_registry_that_fails_leaves_nothing_and_may_recover() {
    let built = simple();
    let layer = *built
        .blobs
        .keys()
        .find(|digest| **digest != built.config)
        .unwrap();
    for (fault, times, words) in [
        (Fault::WrongContent, 9, ""),
        (Fault::Short, 99, ""),
        (Fault::Status(404), 99, "404"),
    ] {
        let registry = Registry::start();
        registry.push("shop/web", "1", &built);
        registry.fault(On::Path(layer.hex()), fault.clone(), times);
        let device = Device::new();
        let error = device.pull(&registry.name("shop/web:1")).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains(&layer.hex()) && text.contains(words),
            "{fault:?}: {text}"
        );
        assert!(!text.contains('\n'), "{text}");
        assert!(device.is_empty(), "{fault:?}: {:?}", device.content());
        registry.heal();
        device.pull(&registry.name("shop/web:1")).unwrap();
    }
    // A connection that breaks once or twice does not even show.
    let registry = Registry::start();
    registry.push("shop/web", "1", &built);
    registry.fault(On::Path(layer.hex()), Fault::Short, 2);
    let device = Device::new();
    device.pull(&registry.name("shop/web:1")).unwrap();
    assert_eq!(registry.count("GET", &layer.hex()), 3);
}

/// A filesystem of its own, so that it can be full.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounted for this test's thread only.
    fn mount(at: &Path, options: &str) -> SmallDisk {
        private_namespace().unwrap();
        fs::create_dir_all(at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at);
        assert!(mount.status().unwrap().success());
        SmallDisk(at.to_owned())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// T10: bombs, and images that are just too large.
#[test]
fn a_full_disk_stays_usable() {
    let bomb = Image::oci([Layer::of(&[Entry::file("zeros", vec![0; 200 << 20])])]).build();
    let two = |size| {
        let file = |name: &str| Layer::of(&[Entry::file(name, noise(size))]);
        Image::oci([file("a"), file("b")]).build()
    };
    let registry = Registry::start();
    registry.push("bomb", "1", &bomb);
    registry.push("large", "1", &two(12 << 20));
    registry.push("fits", "1", &two(2 << 20));
    let device = Device::new();
    let _disk = SmallDisk::mount(&device.host.state, "size=40m,mode=700");
    let error = device.pull(&registry.name("bomb:1")).unwrap_err();
    assert!(
        error.to_string().contains("it unpacks to more than the 2"),
        "{error}"
    );
    assert!(device.is_empty(), "{:?}", device.content());
    registry.reset_counts();
    let error = device
        .pull(&registry.name("large:1"))
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("not enough space in "), "{error}");
    assert!(error.contains(": about 2"), "{error}");
    assert_eq!(
        registry.count("GET", "/blobs/"),
        1,
        "only the configuration"
    );
    assert!(device.is_empty(), "{:?}", device.content());
    device.pull(&registry.name("fits:1")).unwrap();
}

/// No room for names although there is for bytes: noticed while unpacking, and undone.
#[test]
fn a_disk_without_inodes_is_cleared_again() {
    let entries: Vec<Entry> = (0..500).map(|n| Entry::file(n.to_string(), "")).collect();
    let registry = Registry::start();
    registry.push("many", "1", &Image::oci([Layer::of(&entries)]).build());
    let device = Device::new();
    let _disk = SmallDisk::mount(&device.host.state, "size=40m,nr_inodes=300,mode=700");
    let error = device
        .pull(&registry.name("many:1"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("it has more files than the 2"), "{error}");
    assert!(device.is_empty(), "{:?}", device.content());
}

/// Bytes that do not compress, the same each time.
fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..size)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect()
}

/// Without a boot or a look in between: whoever brings an image sees what became of the layers that are here.
#[test]
fn a_pull_looks_at_the_files_of_the_layers_that_are_here() {
    let built = Image::oci([Layer::of(&[Entry::file("motd", "hello\n").mtime(5)])]).build();
    let registry = Registry::start();
    registry.push("shop/web", "1", &built);
    let pinned = format!("{}@{}", registry.name("shop/web"), built.digest);
    let device = Device::new();
    let images = device.images();
    let image = device.pull(&pinned).unwrap();
    let tree = images.layer_dir(&image.layers[0]);
    let harms: [fn(&Path); 2] = [
        |tree| fs::write(tree.join("motd"), "hel").unwrap(),
        |tree| fs::remove_dir_all(tree).unwrap(),
    ];
    for harm in harms {
        harm(&tree);
        if !tree.exists() {
            // Nothing could be started from it, and how it comes back is said.
            let error = images.check(&image).unwrap_err().to_string();
            assert!(error.contains("is damaged"), "{error}");
            assert!(error.contains("dray verify --repair"), "{error}");
        }
        let image = device.pull(&pinned).unwrap();
        images.check(&image).unwrap();
        assert_eq!(fs::read(tree.join("motd")).unwrap(), b"hello\n");
        // What is whole does not come again.
        registry.reset_counts();
        device.pull(&pinned).unwrap();
        assert_eq!(registry.bytes(), 0);
    }
}

/// What a power cut does to files that were never written to the end, and other harm; each is noticed at the first look
/// of the next boot, and the next pull puts it right.
#[test]
fn damage_is_found_after_a_cut_and_healed_by_a_pull() {
    type Harm = fn(&Path);
    let harms: [(&str, Harm); 9] = [
        ("an empty file", |tree| truncate(&tree.join("etc/motd"), 0)),
        ("a shorter file", |tree| truncate(&tree.join("etc/motd"), 3)),
        ("only holes", |tree| {
            truncate(&tree.join("etc/big"), 0);
            truncate(&tree.join("etc/big"), 100_000);
        }),
        ("a missing file", |tree| {
            fs::remove_file(tree.join("etc/motd")).unwrap()
        }),
        ("one more file", |tree| {
            fs::write(tree.join("etc/more"), "").unwrap()
        }),
        ("another mode", |tree| {
            fs::set_permissions(tree.join("etc/motd"), fs::Permissions::from_mode(0o666)).unwrap();
        }),
        ("another type", |tree| {
            fs::remove_file(tree.join("etc/motd")).unwrap();
            fs::create_dir(tree.join("etc/motd")).unwrap();
        }),
        ("no tree", |tree| fs::remove_dir_all(tree).unwrap()),
        ("no seal", |tree| {
            fs::remove_file(tree.join("../seal.json")).unwrap()
        }),
    ];
    let built = Image::oci([Layer::of(&[
        Entry::dir("etc").mtime(7),
        Entry::file("etc/motd", "hello\n").mode(0o600).mtime(5),
        Entry::file("etc/big", noise(100_000)).mtime(5),
    ])])
    .build();
    let registry = Registry::start();
    registry.push("shop/web", "1", &built);
    let pinned = format!("{}@{}", registry.name("shop/web"), built.digest);
    for (name, harm) in harms {
        let mut device = Device::new();
        let image = device.pull(&pinned).unwrap();
        let images = device.images();
        let tree = images.layer_dir(&image.layers[0]);
        let time = fs::metadata(tree.join("etc/motd"))
            .unwrap()
            .modified()
            .unwrap();
        harm(&tree);
        // The time tells nothing after a cut either.
        if let Ok(file) = fs::File::options().write(true).open(tree.join("etc/motd")) {
            file.set_modified(time).unwrap();
        }
        device.reboot();
        let images = device.images();
        let error = images.check(&image).unwrap_err();
        assert!(
            matches!(error, ImagesError::Damaged { .. }),
            "{name}: {error}"
        );
        // It keeps its name until there is something better: offline, what still starts is better than nothing.
        assert!(tree.parent().unwrap().exists(), "{name}");
        let healed = device.pull(&pinned).unwrap();
        images.check(&healed).unwrap();
        assert_eq!(
            fs::read(tree.join("etc/motd")).unwrap(),
            b"hello\n",
            "{name}"
        );
        // Whoever runs on the damaged one keeps its files.
        let folder = device.host.state.join("layers/sha256");
        let aside = || {
            let layers = fs::read_dir(&folder).unwrap();
            let names = layers.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names.filter(|name| name.starts_with(".damaged-")).count()
        };
        images.tag(&pinned.parse().unwrap(), &healed).unwrap();
        let runs = BTreeSet::from([healed.layers[0]]);
        let none = BTreeSet::new();
        assert_eq!(images.collect(&runs).unwrap(), Collected::default());
        assert_eq!(aside(), 1, "{name}");
        let size = 100_000 + "hello\n".len() as u64;
        let usage = |in_use| {
            let usage = images.usage(in_use).unwrap();
            (usage.damaged, usage.damaged_free)
        };
        assert_eq!((usage(&runs), usage(&none)), ((size, 0), (size, size)));
        let would = Collected {
            damaged: healed.layers.clone(),
            bytes: size,
            ..Collected::default()
        };
        assert_eq!(images.collectable(&none).unwrap(), would, "{name}");
        // After a boot everybody runs on what replaced it.
        match name {
            "no tree" => device.reboot(),
            _ => assert_eq!(images.collect_old(&none).unwrap(), would, "{name}"),
        }
        let images = device.images();
        images.collect(&runs).unwrap();
        assert_eq!(aside(), 0, "{name}");
        device.reboot();
        device.images().check(&healed).unwrap();
    }
}

fn truncate(path: &Path, size: u64) {
    fs::File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_len(size)
        .unwrap();
}

/// A pull that finds the damage itself heals it in one go, and says so.
#[test]
fn a_pull_heals_what_nobody_has_looked_at_yet() {
    let registry = Registry::start();
    let built = simple();
    registry.push("shop/web", "1", &built);
    let mut device = Device::new();
    let image = device.pull(&registry.name("shop/web:1")).unwrap();
    let tree = device.images().layer_dir(&image.layers[0]);
    truncate(&tree.join("etc/motd"), 0);
    fs::write(
        device
            .host
            .state
            .join("blobs/sha256")
            .join(built.config.hex()),
        "",
    )
    .unwrap();
    device.reboot();
    let damaged = Mutex::new(Vec::new());
    let note = |event: &Event<'_>| {
        if let Event::Damaged { layer } = event {
            damaged.lock().unwrap().push(*layer);
        }
    };
    let reference = registry.name("shop/web:1").parse().unwrap();
    let images = device.images();
    let healed = images.pull(&reference, &Platform::host(), &note).unwrap();
    assert_eq!(damaged.into_inner().unwrap(), image.layers);
    images.check(&healed).unwrap();
    assert_eq!(fs::read(tree.join("etc/motd")).unwrap(), b"hello\n");
    // What was set aside stays for containers that run on it, until the next collection.
    let aside = |device: &Device| names(&device.layers()).len() - 1;
    assert_eq!(aside(&device), 1);
    images.pin("container-1", &healed).unwrap();
    images.collect(&BTreeSet::new()).unwrap();
    assert_eq!(aside(&device), 0);
}

/// The walk over all files happens once after an unclean stop, and not at all after a clean one.
#[test]
fn an_orderly_shutdown_saves_the_walk() {
    let registry = Registry::start();
    registry.push("shop/web", "1", &simple());
    let mut device = Device::new();
    let image = device.pull(&registry.name("shop/web:1")).unwrap();
    let motd = device.images().layer_dir(&image.layers[0]).join("etc/motd");
    // Just pulled: known to be whole, so nobody looks.
    truncate(&motd, 0);
    device.images().check(&image).unwrap();
    device.images().note_clean_stop().unwrap();
    // Whoever only looks does not take the note away.
    for _ in 0..2 {
        device.reboot();
        device.images().check(&image).unwrap();
    }
    // Otherwise it counts for one boot only.
    device.images().note_use().unwrap();
    device.images().check(&image).unwrap();
    device.reboot();
    assert!(device.images().check(&image).is_err());
    // And not if anything was done after it.
    let image = device.pull(&registry.name("shop/web:1")).unwrap();
    device.images().note_clean_stop().unwrap();
    device.images().note_use().unwrap();
    truncate(&motd, 0);
    device.reboot();
    assert!(device.images().check(&image).is_err());
}

#[test]
fn kept_blobs_heal_without_the_network() {
    let registry = Registry::start();
    let built = simple();
    registry.push("shop/web", "1", &built);
    let mut device = Device::new();
    device.settings.store.keep_blobs = true;
    let pinned = format!("{}@{}", registry.name("shop/web"), built.digest);
    let image = device.pull(&pinned).unwrap();
    let blobs: Vec<Digest> = built.blobs.keys().copied().chain([built.digest]).collect();
    assert_eq!(device.content()["blobs/sha256"], hexes(&blobs));
    truncate(
        &device.images().layer_dir(&image.layers[0]).join("etc/motd"),
        0,
    );
    device.reboot();
    registry.reset_counts();
    let healed = device.pull(&pinned).unwrap();
    device.images().check(&healed).unwrap();
    assert!(registry.requests().is_empty());
}

/// What was to mend a layer may be as damaged as the layer: then it goes, and the registry is asked.
#[test]
fn a_damaged_kept_blob_is_nobodys_obstacle() {
    let registry = Registry::start();
    let built = simple();
    registry.push("shop/web", "1", &built);
    let pinned = format!("{}@{}", registry.name("shop/web"), built.digest);
    for size in [0, 10] {
        let mut device = Device::new();
        device.settings.store.keep_blobs = true;
        let image = device.pull(&pinned).unwrap();
        let whole = device.content();
        truncate(
            &device.images().layer_dir(&image.layers[0]).join("etc/motd"),
            0,
        );
        let blobs = device.host.state.join("blobs/sha256");
        let layers = || built.blobs.keys().filter(|blob| **blob != built.config);
        for layer in layers() {
            truncate(&blobs.join(layer.hex()), size);
        }
        device.reboot();
        let healed = device.pull(&pinned).unwrap();
        device.images().check(&healed).unwrap();
        let images = device.images();
        images.pin("container-1", &healed).unwrap();
        images.collect(&BTreeSet::new()).unwrap();
        images.unpin("container-1").unwrap();
        assert_eq!(device.content(), whole, "{size}");
        for layer in layers() {
            let bytes = fs::read(blobs.join(layer.hex())).unwrap();
            assert_eq!(Digest::of(&bytes), *layer);
        }
    }
}

#[test]
fn two_pulls_of_one_image_at_once_both_succeed() {
    let layers = (0..4).map(|n| Layer::of(&[Entry::file(n.to_string(), noise(300_000))]));
    let built = Image::oci(layers).build();
    let registry = Registry::start();
    registry.push("shop/web", "1", &built);
    let device = Device::new();
    let name = registry.name("shop/web:1");
    std::thread::scope(|scope| {
        let pulls: Vec<_> = (0..3).map(|_| scope.spawn(|| device.pull(&name))).collect();
        for pull in pulls {
            device
                .images()
                .check(&pull.join().unwrap().unwrap())
                .unwrap();
        }
    });
    assert_eq!(device.content()["layers/sha256"], hexes(&built.diff_ids));
}

/// What a cut leaves under scratch names goes when the store is swept, unless somebody is at work; opening alone waits for
/// nobody and removes nothing.
#[test]
fn leftovers_go_when_nobody_is_at_work() {
    let device = Device::new();
    drop(device.images());
    let leftovers = ["layers/sha256/.tmp-9-9/tree/deep", "blobs/sha256/.tmp-9-9"];
    let plant = || {
        for path in leftovers {
            fs::create_dir_all(device.host.state.join(path)).unwrap();
        }
    };
    plant();
    let images = device.images();
    assert!(!device.is_empty());
    images.sweep().unwrap();
    assert!(device.is_empty());
    plant();
    let hold = images.hold().unwrap();
    device.images().sweep().unwrap();
    assert!(!device.is_empty());
    drop(hold);
    images.sweep().unwrap();
    assert!(device.is_empty());
    let alone = Exclusive::attempt(&device.host.run.join("store.lock")).unwrap();
    assert!(alone.is_some());
    plant();
    device.images().sweep().unwrap();
    assert!(!device.is_empty());
}

#[test]
fn a_store_of_another_release_is_left_alone() {
    let device = Device::new();
    drop(device.images());
    let header = device.host.state.join("store.json");
    assert_eq!(fs::read_to_string(&header).unwrap(), r#"{"version":1}"#);
    let later = r#"{"version":2,"more":[]}"#;
    fs::write(&header, later).unwrap();
    let error = Store::open(&device.host).unwrap_err().to_string();
    let words = "has format version 2, this dray knows only 1; use the dray that wrote it";
    assert!(error.contains(words), "{error}");
    assert_eq!(fs::read_to_string(&header).unwrap(), later);
}

#[test]
fn a_read_only_state_folder_is_named() {
    let device = Device::new();
    let _disk = SmallDisk::mount(&device.host.state, "ro");
    let error = Images::open(&device.host, &device.settings).unwrap_err();
    let state = device.host.state.display();
    assert!(
        error
            .to_string()
            .starts_with(&format!("failed to create \"{state}/")),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .ends_with("Read-only file system (os error 30)"),
        "{error}"
    );
}
