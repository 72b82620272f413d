//! Room on the disk: what fits is brought, what does not is refused before its first byte, and what fills up meanwhile
//! leaves nothing behind.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test files need no durable writer; a broken set-up should panic"
)]

mod common;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use common::Scratch;
use common::device::{on_device, run};
use common::image::{Built, Entry, Image, Layer, Packing};
use common::registry::{Fault, On, Registry};
use dray::config::Settings;
use dray::engine::Engine;
use dray::host::Host;
use dray::images::{self, Event, Images, ImagesError, Progress};
use dray::oci::{Platform, Reference};
use dray::sys::beneath::room;
use dray::sys::mount::private_namespace;
use serde_json::json;

/// Kept free by the devices of these tests.
const RESERVE: u64 = 1 << 20;

/// A device whose state folder is a small disk of its own, for this test's thread only.
struct Device {
    scratch: Scratch,
    host: Host,
    settings: Settings,
    registry: Registry,
}

impl Device {
    /// An ext4 of so many MiB, in a file.
    fn ext4(mib: u64, options: &[&str]) -> Device {
        let device = Device::new();
        let disk = device.scratch.join("disk");
        fs::File::create(&disk).unwrap().set_len(mib << 20).unwrap();
        let disk = disk.to_str().unwrap();
        // No blocks for root, who writes here.
        let made = Command::new("mkfs.ext4")
            .args([&["-q", "-m", "0"], options, &[disk]].concat())
            .status();
        assert!(made.unwrap().success());
        device.mount(&["-o", "loop", disk]);
        device
    }

    fn tmpfs(options: &str) -> Device {
        let device = Device::new();
        device.mount(&["-t", "tmpfs", "-o", options, "tmpfs"]);
        device
    }

    fn new() -> Device {
        private_namespace().unwrap();
        let scratch = Scratch::new("space");
        let host = Host::at(scratch.path());
        fs::create_dir_all(&host.state).unwrap();
        let mut settings = Settings::default();
        settings.store.reserve = RESERVE;
        Device {
            scratch,
            host,
            settings,
            registry: Registry::start(),
        }
    }

    fn mount(&self, words: &[&str]) {
        let mut mount = Command::new("mount");
        mount.args(words).arg(&self.host.state);
        assert!(mount.status().unwrap().success());
        // Its folders are there before anything is measured.
        self.images();
    }

    fn images(&self) -> Images {
        Images::open(&self.host, &self.settings).unwrap()
    }

    fn push(&self, name: &str, built: &Built) -> Reference {
        self.registry.push(name, "1", built);
        self.registry.name(&format!("{name}:1")).parse().unwrap()
    }

    fn pull(&self, reference: &Reference) -> Result<images::Image, ImagesError> {
        self.images().pull(reference, &Platform::host(), &())
    }

    /// What images may take.
    fn free(&self) -> u64 {
        room(&self.host.state).unwrap().bytes - RESERVE
    }

    /// Everything below the store's folders.
    fn content(&self) -> Vec<PathBuf> {
        let folders = ["layers/sha256", "blobs/sha256", "names", "pins"];
        let folders = folders.map(|folder| fs::read_dir(self.host.state.join(folder)).unwrap());
        let entries = folders.into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// How many bytes of layers were sent.
    fn sent(&self, built: &Built) -> u64 {
        let config = built.blobs[&built.config].len() as u64;
        let asked = |path: &str| self.registry.count("GET", path) as u64;
        let documents: u64 = built
            .documents
            .iter()
            .map(|(digest, (_, bytes))| asked(&digest.to_string()) * bytes.len() as u64)
            .sum();
        self.registry.bytes() - documents - asked(&built.config.to_string()) * config
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .arg("-l")
            .arg(&self.host.state)
            .status();
    }
}

/// Bytes that compress to about a quarter, or not at all.
fn noise(size: u64, seed: u64, compressible: bool) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ seed;
    let mut bytes = Vec::with_capacity(size as usize + 8);
    while bytes.len() < size as usize {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let word = match compressible {
            true => state & 0x0303_0303_0303_0303,
            false => state,
        };
        bytes.extend(word.to_le_bytes());
    }
    bytes.truncate(size as usize);
    bytes
}

/// An image of two layers whose files, 32 KiB each, take `size` bytes on a disk.
fn image(size: u64, packing: Packing, compressible: bool, seed: u64) -> Built {
    const FILE: u64 = 32 << 10;
    let layer = |part: u64| {
        let files = size / 2 / FILE;
        let file = |n| {
            let content = noise(FILE, seed + 1000 * part + n, compressible);
            Entry::file(format!("{part}-{n}"), content)
        };
        let entries: Vec<Entry> = (0..files).map(file).collect();
        Layer::of(&entries).packed(packing)
    };
    Image::oci([layer(1), layer(2)]).build()
}

#[test]
#[ignore = "needs root: mounts"]
fn what_is_smaller_than_the_free_space_comes_and_what_is_larger_is_refused_before_its_first_byte() {
    for (packing, compressible) in [
        (Packing::Gzip, true),
        (Packing::Gzip, false),
        (Packing::Zstd, true),
        (Packing::Plain, true),
    ] {
        let case = format!("{packing:?}, compressible: {compressible}");
        let device = Device::ext4(40, &[]);
        let free = device.free();
        let large = image(free * 11 / 10, packing, compressible, 1);
        let reference = device.push("large", &large);
        let error = device.pull(&reference).unwrap_err();
        assert!(matches!(error, ImagesError::Space(_)), "{case}: {error}");
        // Each layer was asked for its own size at most.
        assert!(
            device.sent(&large) <= 2 * 18,
            "{case}: {}",
            device.sent(&large)
        );
        assert_eq!(device.content(), <[PathBuf; 0]>::default(), "{case}");

        let fits = image(free * 9 / 10, packing, compressible, 2);
        device.pull(&device.push("fits", &fits)).unwrap();
        println!("{case}: {} of {free} bytes are left", device.free());
    }
}

#[test]
#[ignore = "needs root: mounts"]
fn a_refusal_says_all_numbers() {
    let mut device = Device::tmpfs("size=16m,mode=700");
    let built = image(20 << 20, Packing::Plain, false, 1);
    let reference = device.push("large", &built);
    // When that is looked at, manifest and configuration are here.
    let free = device.free() + RESERVE - 2 * 4096;
    let path = &device.host.state;
    let tar: u64 = built.blobs.values().map(|blob| blob.len() as u64).sum();
    let tar = tar - built.blobs[&built.config].len() as u64;
    let said = device.pull(&reference).unwrap_err().to_string();
    assert_eq!(
        said,
        format!(
            "not enough space in {path:?} for {}: about {tar} bytes are needed; {free} are free, of which {RESERVE} are to \
             stay so ([store] reserve); 0 bytes are taken by what nobody needs; remove images or containers first",
            reference.familiar()
        )
    );
    device.settings.store.max_size = Some(5 << 20);
    let small = image(8 << 20, Packing::Plain, false, 2);
    let said = device
        .pull(&device.push("small", &small))
        .unwrap_err()
        .to_string();
    assert!(
        said.contains("; images may take 5242880 ([store] max_size) and take 0;"),
        "{said}"
    );
    device.settings.store.max_size = Some(9 << 20);
    device.pull(&device.push("small", &small)).unwrap();
}

#[test]
#[ignore = "needs root: mounts"]
fn inodes_are_room_too() {
    // Foreseen: fewer than any layer of that size has.
    let device = Device::ext4(40, &["-N", "48"]);
    let built = image(8 << 20, Packing::Gzip, false, 1);
    let error = device.pull(&device.push("many", &built)).unwrap_err();
    assert!(error.to_string().contains(" files are needed, "), "{error}");
    assert!(device.sent(&built) <= 36);
    // Noticed while they are made.
    let device = Device::tmpfs("size=40m,nr_inodes=300,mode=700");
    let entries: Vec<Entry> = (0..500).map(|n| Entry::file(n.to_string(), "")).collect();
    let built = Image::oci([Layer::of(&entries)]).build();
    let error = device.pull(&device.push("many", &built)).unwrap_err();
    assert!(
        error.to_string().contains("it has more files than the 2"),
        "{error}"
    );
    assert_eq!(device.content(), <[PathBuf; 0]>::default());
}

/// 300 files of one byte take 300 blocks.
#[test]
#[ignore = "needs root: mounts"]
fn blocks_are_counted_not_bytes() {
    let mut device = Device::tmpfs("size=40m,mode=700");
    let entries: Vec<Entry> = (0..300).map(|n| Entry::file(n.to_string(), "1")).collect();
    let built = Image::oci([Layer::of(&entries)]).build();
    let reference = device.push("small-files", &built);
    device.settings.store.max_size = Some(1 << 20);
    let error = device.pull(&reference).unwrap_err().to_string();
    assert!(
        error.contains("it unpacks to more than the 1048"),
        "{error}"
    );
    device.settings.store.max_size = Some(2 << 20);
    device.pull(&reference).unwrap();
}

#[test]
#[ignore = "needs root: mounts"]
fn all_images_of_a_deployment_have_room_together_or_none_is_brought() {
    let device = Device::tmpfs("size=32m,mode=700");
    let free = device.free();
    let built = [1, 2].map(|seed| image(free * 6 / 10, Packing::Gzip, false, seed));
    let [one, two] = [("one", &built[0]), ("two", &built[1])].map(|(n, b)| device.push(n, b));
    let platform = Platform::host();
    let images = device.images();
    let both = [(&one, &platform), (&two, &platform)];
    let error = images.plan(&both, None, &()).unwrap_err().to_string();
    assert!(
        error.contains(&format!("{}, {}", one.familiar(), two.familiar())),
        "{error}"
    );
    assert_eq!(device.content(), <[PathBuf; 0]>::default());
    // Each alone would have fitted.
    assert_eq!(images.plan(&both[..1], None, &()).unwrap().len(), 1);
    assert_eq!(images.plan(&both[1..], None, &()).unwrap().len(), 1);
    // What they share counts once.
    let shared = Image::oci([Layer::of(&[Entry::file(
        "f",
        noise(free * 6 / 10, 9, false),
    )])]);
    let again = shared.build();
    let other = shared.config(json!({"Cmd": ["other"]})).build();
    let [one, two] = [("a", &again), ("b", &other)].map(|(n, b)| device.push(n, b));
    let planned = images.plan(&[(&one, &platform), (&two, &platform)], None, &());
    for planned in planned.unwrap() {
        images.pull_planned(planned, &()).unwrap();
    }
}

#[test]
#[ignore = "needs root: mounts"]
fn what_nobody_needs_makes_room_where_that_suffices() {
    let device = Device::tmpfs("size=32m,mode=700");
    let free = device.free();
    let images = device.images();
    let platform = Platform::host();
    let old = image(free * 5 / 10, Packing::Gzip, false, 1);
    let kept = image(free * 2 / 10, Packing::Gzip, false, 2);
    let old_image = images
        .pull(&device.push("old", &old), &platform, &())
        .unwrap();
    let kept_name = device.push("kept", &kept);
    let kept_image = images.pull(&kept_name, &platform, &()).unwrap();
    images.tag(&kept_name, &kept_image).unwrap();
    // More than all that could be freed: nothing is.
    let large = image(free * 9 / 10, Packing::Gzip, false, 3);
    let error = images
        .pull(&device.push("large", &large), &platform, &())
        .unwrap_err()
        .to_string();
    assert!(!error.contains("; 0 bytes are taken"), "{error}");
    images.check(&old_image).unwrap();
    // Just as much, with a layer of the old one.
    let [first, _] = [old.diff_ids[0], old.diff_ids[1]];
    let freed = Mutex::new(Vec::new());
    let progress = |event: &Event<'_>| {
        if let Event::Freed { bytes } = event {
            freed.lock().unwrap().push(*bytes);
        }
    };
    let base = {
        let entries = |part: u64| {
            let files = free * 5 / 10 / 2 / (32 << 10);
            let file = |n| {
                Entry::file(
                    format!("{part}-{n}"),
                    noise(32 << 10, 1 + 1000 * part + n, false),
                )
            };
            (0..files).map(file).collect::<Vec<_>>()
        };
        let new = Entry::file("new", noise(free * 4 / 10, 7, false));
        Image::oci([Layer::of(&entries(1)), Layer::of(&[new])]).build()
    };
    assert_eq!(base.diff_ids[0], first);
    let new_name = device.push("new", &base);
    // As all callers do.
    let hold = images.hold().unwrap();
    device.registry.reset_counts();
    let new = images.pull(&new_name, &platform, &progress).unwrap();
    let layer_of_old = &old
        .blobs
        .keys()
        .find(|digest| base.blobs.contains_key(digest));
    let asked = device.registry.requests();
    let whole = asked.iter().filter(|request| {
        request.header("range").is_none()
            && request.path.contains(&layer_of_old.unwrap().to_string())
    });
    assert_eq!(whole.count(), 0, "the shared layer stayed");
    drop(hold);
    assert_eq!(freed.lock().unwrap().len(), 1);
    images.check(&new).unwrap();
    images.check(&kept_image).unwrap();
    assert!(images.check(&old_image).is_err());
}

/// What was replaced in this boot and nobody stands on is no room that is lost until somebody collects.
#[test]
#[ignore = "needs root: mounts"]
fn a_damaged_layer_that_was_replaced_makes_room_where_the_engine_says_that_nobody_stands_on_it() {
    let device = Device::tmpfs("size=32m,mode=700");
    let free = device.free();
    let rotten = device.push("rotten", &image(free * 35 / 100, Packing::Gzip, false, 1));
    let next = device.push("next", &image(free * 4 / 10, Packing::Gzip, false, 2));
    let pulled = device.pull(&rotten).unwrap();
    device.images().tag(&rotten, &pulled).unwrap();
    for layer in &pulled.layers {
        fs::write(device.images().layer_dir(layer).join("more"), "").unwrap();
    }
    let pulled = device.pull(&rotten).unwrap();
    device.images().check(&pulled).unwrap();
    // Whoever cannot tell keeps it.
    let error = device.pull(&next).unwrap_err().to_string();
    assert!(error.contains("; 0 bytes are taken"), "{error}");
    let engine = Engine::open_as_is(&device.host, &device.settings).unwrap();
    let images = engine.images();
    let arrived = images.pull(&next, &Platform::host(), &()).unwrap();
    images.check(&arrived).unwrap();
    images.check(&pulled).unwrap();
}

/// While somebody else brings something, nothing is removed.
#[test]
#[ignore = "needs root: mounts"]
fn nothing_is_removed_under_another_process() {
    let device = Device::tmpfs("size=32m,mode=700");
    let free = device.free();
    let old = image(free * 7 / 10, Packing::Gzip, false, 1);
    let old_image = device.pull(&device.push("old", &old)).unwrap();
    let other = device.images();
    let hold = other.hold().unwrap();
    let new = device.push("new", &image(free * 7 / 10, Packing::Gzip, false, 2));
    let error = device.pull(&new).unwrap_err();
    assert!(matches!(error, ImagesError::Space(_)), "{error}");
    other.check(&old_image).unwrap();
    drop(hold);
    device.pull(&new).unwrap();
}

#[test]
#[ignore = "needs root: mounts"]
fn a_disk_that_somebody_else_fills_meanwhile_leaves_nothing_and_its_reserve() {
    let device = Device::ext4(64, &[]);
    let built = image(40 << 20, Packing::Gzip, false, 1);
    let reference = device.push("large", &built);
    let filler = device.host.state.join("filler");
    let fill = |event: &Event<'_>| {
        if matches!(event, Event::Received { .. }) && !filler.exists() {
            take(&filler, device.free() - (16 << 20));
        }
    };
    let error = device
        .images()
        .pull(&reference, &Platform::host(), &fill)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("the disk has filled up meanwhile"),
        "{error}"
    );
    assert_eq!(device.content(), <[PathBuf; 0]>::default());
    fs::remove_file(&filler).unwrap();
    device.pull(&reference).unwrap();
}

/// What came before the disk was full is not at fault, and what is asked for again finds no more room.
#[test]
#[ignore = "needs root: mounts"]
fn a_full_disk_is_not_asked_twice() {
    let device = Device::tmpfs("size=96m");
    let built = image(30 << 20, Packing::Plain, false, 1);
    let reference = device.push("web", &built);
    let pace = Fault::Pace(256 << 10, 10);
    device.registry.fault(On::Blobs, pace, usize::MAX);
    let until = Until(AtomicU64::new(0));
    let images = device.images();
    let pulled = images.pull(&reference, &Platform::host(), &until);
    pulled.unwrap_err();
    device.registry.reset_counts();
    let filler = device.host.state.join("filler");
    let fill = |event: &Event<'_>| {
        if matches!(event, Event::Received { .. }) && !filler.exists() {
            take(&filler, device.free() - (6 << 20));
        }
    };
    let error = images.pull(&reference, &Platform::host(), &fill);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("filled up meanwhile"), "{error}");
    let layer = built.blobs.iter().max_by_key(|(_, bytes)| bytes.len());
    let layer = layer.unwrap().0.to_string();
    assert_eq!(device.registry.count("GET", &layer), 1);
    let asked = device.registry.requests().into_iter();
    let asked: Vec<_> = asked.filter(|one| one.path.contains(&layer)).collect();
    assert!(asked[0].header("range").is_some(), "{asked:?}");
    assert_eq!(device.content(), <[PathBuf; 0]>::default());
}

/// Wants no more after 4 MiB.
struct Until(AtomicU64);

impl Progress for Until {
    fn event(&self, event: &Event<'_>) {
        if let Event::Received { bytes, .. } = event {
            self.0.fetch_add(*bytes, Relaxed);
        }
    }

    fn is_cancelled(&self) -> bool {
        self.0.load(Relaxed) > 4 << 20
    }
}

/// Somebody's images go for the sake of others if that suffices, and only then.
#[test]
#[ignore = "needs root: mounts"]
fn what_would_be_given_up_in_vain_stays() {
    let device = Device::tmpfs("size=48m");
    let old = device.push("old", &image(20 << 20, Packing::Plain, false, 1));
    let large = device.push("large", &image(40 << 20, Packing::Plain, false, 2));
    let huge = device.push("huge", &image(60 << 20, Packing::Plain, false, 3));
    let images = device.images();
    let previous = device.pull(&old).unwrap();
    images.pin("previous-docker", &previous).unwrap();
    let holders = || {
        let pins = images.pins().unwrap().into_iter();
        pins.map(|pin| pin.holder).collect::<Vec<_>>()
    };
    let given = Mutex::new(0);
    let told = |event: &Event<'_>| {
        if let Event::GivenUp { holder } = event {
            assert_eq!(*holder, "previous-docker");
            *given.lock().unwrap() += 1;
        }
    };
    let host = Platform::host();
    let plan = |reference, spare| images.plan(&[(reference, &host)], spare, &told);
    let spare = Some("previous-docker");
    for (reference, spare) in [(&huge, spare), (&large, None), (&large, Some("nobody"))] {
        let error = plan(reference, spare).unwrap_err();
        assert!(matches!(error, ImagesError::Space(_)), "{error}");
        assert_eq!(holders(), ["previous-docker"]);
        images.check(&previous).unwrap();
    }
    assert_eq!(plan(&large, spare).unwrap().len(), 1);
    assert_eq!(holders(), <[String; 0]>::default());
    assert_eq!(given.into_inner().unwrap(), 1);
}

/// Takes so many bytes of a disk.
fn take(path: &Path, bytes: u64) {
    let mut file = fs::File::create(path).unwrap();
    let block = vec![7; 1 << 20];
    let mut left = bytes;
    while left > 0 {
        let part = left.min(1 << 20);
        // Others take it too.
        if file.write_all(&block[..part as usize]).is_err() {
            return;
        }
        left -= part;
    }
}

#[test]
#[ignore = "needs root: mounts"]
fn no_more_is_taken_on_the_way_than_at_the_end_but_for_layers_in_flight_where_there_is_room() {
    for (packing, compressible, has_room) in [
        (Packing::Gzip, true, false),
        (Packing::Gzip, false, false),
        (Packing::Zstd, false, false),
        (Packing::Gzip, false, true),
    ] {
        let device = Device::ext4(if has_room { 96 } else { 40 }, &[]);
        let before = device.free();
        let size = if has_room { 32 << 20 } else { before * 9 / 10 };
        let lowest = Mutex::new(before);
        let look = |_: &Event<'_>| {
            let free = device.free();
            let mut lowest = lowest.lock().unwrap();
            *lowest = free.min(*lowest);
        };
        let built = image(size, packing, compressible, 1);
        let reference = device.push("web", &built);
        // Slower than what is not worth keeping because it comes so fast.
        let pace = Fault::Pace(64 << 10, 4);
        device.registry.fault(On::Blobs, pace, usize::MAX);
        let images = device.images();
        images.pull(&reference, &Platform::host(), &look).unwrap();
        let taken = before - device.free();
        let peak = before - *lowest.lock().unwrap();
        let share = peak as f64 / taken as f64;
        println!(
            "{packing:?}, room for more: {has_room}: {peak} bytes at most, {taken} at the end: {share:.3}"
        );
        let packed: usize = built.blobs.values().map(Vec::len).sum();
        match has_room {
            false => assert!(share <= 1.05, "{share}"),
            true => assert!(share > 1.1 && peak - taken <= packed as u64 * 21 / 20),
        }
    }
}

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn containers_run_on_while_a_download_finds_the_disk_full() {
    on_device("space", |device| {
        private_namespace().unwrap();
        let state = device.host.state.to_str().unwrap();
        fs::create_dir_all(state).unwrap();
        run("mount", &["-t", "tmpfs", "-o", "size=48m", "tmpfs", state]);
        device.configure("[health]\nstable_s = 1\ntimeout_s = 10\n[store]\nreserve = 2m\n");
        let tree = device.tree("v1", &device.artifact("v1", "--name web").to_string());
        for verb in ["Download", "ArtifactInstall", "ArtifactCommit", "Cleanup"] {
            let called = device.call(verb, &tree);
            assert!(called.succeeded(), "{verb}: {called:?}");
        }
        let layers = device.layers();
        let built = image(30 << 20, Packing::Gzip, false, 1);
        device.registry.push("shop/big", "1", &built);
        let pace = Fault::Pace(256 << 10, 10);
        device.registry.fault(On::Blobs, pace, usize::MAX);
        let tree = device.tree("big", &device.artifact("big", "--name web").to_string());
        device.registry.reset_counts();
        let call = device.start("Download", &tree);
        device.registry.until_sent(4 << 20);
        take(
            &device.host.state.join("filler"),
            room(&device.host.state).unwrap().bytes - (6 << 20),
        );
        let called = call.end();
        assert!(!called.0.success(), "{called:?}");
        let said = called.1.join("\n");
        assert!(said.contains("filled up meanwhile"), "{said}");
        assert_eq!(device.running(), ["v1"]);
        assert_eq!(device.layers(), layers);
        assert!(device.call("Cleanup", &tree).succeeded());
        assert_eq!(device.running(), ["v1"]);
        fs::remove_file(device.host.state.join("filler")).unwrap();
        // While the disk with its record is there.
        device.lose_power();
        run("umount", &["-l", state]);
    });
}
