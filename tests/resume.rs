//! Pulls that are broken off go on where they were: after a kill, after a reboot, after Mender's `Cleanup`; and never with
//! bytes that are not the blob's.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test files need no durable writer; a broken set-up should panic"
)]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use common::Scratch;
use common::device::on_device;
use common::image::{Built, Entry, Image, Layer, Packing};
use common::registry::{Fault, Link, On, Registry};
use dray::config::Settings;
use dray::host::Host;
use dray::images::{self, Event, Images, ImagesError, Progress};
use dray::oci::{Digest, Platform, Reference};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

/// Bytes that do not compress.
fn noise(size: usize, seed: u64) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ seed;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

fn layer(size: usize, seed: u64) -> Layer {
    Layer::of(&[Entry::file(format!("f{seed}"), noise(size, seed))]).packed(Packing::Plain)
}

/// The largest blob.
fn blob(built: &Built) -> (Digest, u64) {
    let largest = built.blobs.iter().max_by_key(|(_, bytes)| bytes.len());
    largest
        .map(|(digest, bytes)| (*digest, bytes.len() as u64))
        .unwrap()
}

struct Device {
    scratch: Scratch,
    host: Host,
    registry: Registry,
}

/// Wants no more after so many bytes.
struct Until {
    bytes: u64,
    received: AtomicU64,
    found: AtomicU64,
}

impl Until {
    fn bytes(bytes: u64) -> Until {
        Until {
            bytes,
            received: AtomicU64::default(),
            found: AtomicU64::default(),
        }
    }
}

impl Progress for Until {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Received { bytes, .. } => self.received.fetch_add(*bytes, Relaxed),
            Event::Found { bytes, .. } => self.found.fetch_add(*bytes, Relaxed),
            _ => 0,
        };
    }

    fn is_cancelled(&self) -> bool {
        self.received.load(Relaxed) >= self.bytes
    }
}

impl Device {
    fn new() -> Device {
        let scratch = Scratch::new("resume");
        let host = Host::at(scratch.path());
        fs::create_dir_all(host.config.parent().unwrap()).unwrap();
        let [state, run] = [&host.state, &host.run].map(|path| path.display().to_string());
        let settings = format!("[paths]\nstate = {state}\nrun = {run}\n");
        fs::write(&host.config, settings).unwrap();
        Device {
            scratch,
            host,
            registry: Registry::start(),
        }
    }

    fn images(&self) -> Images {
        Images::open(&self.host, &Settings::default()).unwrap()
    }

    fn push(&self, name: &str, built: &Built) -> Reference {
        self.registry.push(name, "1", built);
        self.registry.name(&format!("{name}:1")).parse().unwrap()
    }

    fn pull(
        &self,
        reference: &Reference,
        progress: &dyn Progress,
    ) -> Result<images::Image, ImagesError> {
        let images = self.images();
        let image = images.pull(reference, &Platform::host(), progress)?;
        images.tag(reference, &image)?;
        Ok(image)
    }

    /// `dray pull` as a process of its own.
    fn start(&self, reference: &Reference) -> Child {
        Command::new(env!("CARGO_BIN_EXE_dray"))
            .args(["pull", "-q", &reference.to_string()])
            .env("DRAY_CONFIG", &self.host.config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn partial(&self) -> PathBuf {
        self.host.state.join("partial")
    }

    /// What is kept of broken pulls.
    fn kept(&self) -> Vec<String> {
        kept(&self.partial())
    }

    /// Bytes that are kept of a blob.
    fn length(&self, blob: &Digest) -> u64 {
        let path = self.partial().join(blob.hex());
        path.metadata().map_or(0, |metadata| metadata.len())
    }

    /// Where the requests for a blob began.
    fn starts(&self, blob: &Digest) -> Vec<u64> {
        let path = format!("/blobs/{blob}");
        let requests = self.registry.requests().into_iter();
        let starts = requests.filter(|request| request.path.contains(&path));
        starts
            .map(|request| {
                let range = request.header("range").unwrap_or("bytes=0-");
                let start = range.strip_prefix("bytes=").unwrap().split('-').next();
                start.unwrap().parse().unwrap()
            })
            .collect()
    }

    /// What a power cut and a reboot do to what lies outside the disk.
    fn reboot(&mut self) {
        let _ = fs::remove_dir_all(&self.host.run);
        self.host.boot_id = format!("{}+", self.host.boot_id);
    }
}

fn kept(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn end(mut child: Child) {
    kill(Pid::from_raw(child.id() as i32), Signal::SIGKILL).unwrap();
    child.wait().unwrap();
}

/// Twenty kills, spread over the blob, over a link that holds and over one that is reset all the time.
#[test]
fn what_is_killed_twenty_times_fetches_next_to_nothing_twice() {
    for broken_link in [false, true] {
        let device = Device::new();
        let built = Image::oci([layer(24 << 20, 1)]).build();
        let reference = device.push("large", &built);
        let (digest, size) = blob(&built);
        let path = On::Path(digest.to_string());
        match broken_link {
            // 16 MB a second, in pieces; slower than what is not kept because it comes so fast.
            false => {
                let pace = Fault::Pace(64 << 10, 4);
                device.registry.fault(path, pace, usize::MAX);
            }
            true => {
                let reset = Fault::Link(Link::Reset, 700 << 10);
                device.registry.fault(path, reset, usize::MAX);
            }
        }
        let mut lost = 0;
        for part in 1..=20 {
            let child = device.start(&reference);
            device.registry.until_sent(size * part / 21);
            end(child);
            let there = device.length(&digest);
            let before = device.starts(&digest).len();
            // The next one begins where this one was, or a little before.
            let child = device.start(&reference);
            let begins = loop {
                if let Some(start) = device.starts(&digest).get(before) {
                    break *start;
                }
                std::thread::yield_now();
            };
            end(child);
            assert!(begins <= there, "{begins} of {there}");
            lost += there - begins;
        }
        let output = device.start(&reference).wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let image = device.images().find(&reference.to_string()).unwrap();
        device.images().check(&image).unwrap();
        assert_eq!(device.kept(), <[String; 0]>::default());
        println!(
            "broken link: {broken_link}; 40 kills, {} requests; of {size} bytes {lost} that were here were fetched again \
             ({:.2}%); the registry sent {} bytes",
            device.starts(&digest).len(),
            lost as f64 * 100.0 / size as f64,
            device.registry.bytes()
        );
        assert!(lost <= size / 50 + (64 << 10), "{lost} of {size}");
    }
}

/// As many layers as one likes, however few files a process may have open, and whether or not it may have threads.
#[test]
fn an_image_needs_few_files_and_no_threads() {
    let layers = (0..100).map(|seed| layer(130 << 10, seed));
    let built = Image::oci(layers).build();
    for limit in ["ulimit -n 240", "export RUST_MIN_STACK=70368744177664"] {
        let device = Device::new();
        let reference = device.push("many", &built);
        let script = format!("{limit} && exec \"$@\"");
        let output = Command::new("sh")
            .args([
                "-c",
                &script,
                "sh",
                env!("CARGO_BIN_EXE_dray"),
                "pull",
                "-q",
            ])
            .arg(reference.to_string())
            .env("DRAY_CONFIG", &device.host.config)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{limit}: {output:?}");
        let image = device.images().find(&reference.to_string()).unwrap();
        device.images().check(&image).unwrap();
        assert_eq!(device.kept(), <[String; 0]>::default());
    }
}

/// What lies in the folder is not believed: a bad end costs the end.
#[test]
fn a_partial_is_proven_from_its_first_byte() {
    type Harm = fn(&Path, &Path);
    let half = |path: &Path| fs::metadata(path).unwrap().len() / 2;
    let harms: [(&str, Harm, u64, u64); 8] = [
        ("nothing", |_, _| {}, 95, 100),
        (
            "an end of zeros",
            |data, _| {
                let mut bytes = fs::read(data).unwrap();
                let half = bytes.len() / 2;
                bytes[half..].fill(0);
                fs::write(data, bytes).unwrap();
            },
            40,
            50,
        ),
        (
            "a shorter file",
            |data, _| {
                let bytes = fs::read(data).unwrap();
                fs::write(data, &bytes[..bytes.len() / 2]).unwrap();
            },
            40,
            50,
        ),
        (
            "one other bit in its first bytes",
            |data, _| {
                let mut bytes = fs::read(data).unwrap();
                bytes[10] ^= 1;
                fs::write(data, bytes).unwrap();
            },
            0,
            0,
        ),
        ("no marks", |_, marks| fs::remove_file(marks).unwrap(), 0, 0),
        (
            "half of the marks",
            |_, marks| {
                let bytes = fs::read(marks).unwrap();
                fs::write(marks, &bytes[..bytes.len() / 2]).unwrap();
            },
            40,
            55,
        ),
        (
            "marks that are none",
            |_, marks| fs::write(marks, [0xff; 5000]).unwrap(),
            0,
            0,
        ),
        ("no data", |data, _| fs::remove_file(data).unwrap(), 0, 0),
    ];
    for (name, harm, least, most) in harms {
        let mut device = Device::new();
        let built = Image::oci([layer(4 << 20, 1)]).build();
        let reference = device.push("web", &built);
        let (digest, _) = blob(&built);
        device.pull(&reference, &Until::bytes(2 << 20)).unwrap_err();
        let data = device.partial().join(digest.hex());
        let marks = data.with_extension("marks");
        let there = device.length(&digest);
        assert!(there >= 2 << 20 && half(&data) > 0, "{name}: {there}");
        harm(&data, &marks);
        device.reboot();
        device.registry.reset_counts();
        let all = Until::bytes(u64::MAX);
        let image = device.pull(&reference, &all).unwrap();
        let begun = device.starts(&digest);
        assert_eq!(begun.len(), 1, "{name}");
        let share = begun[0] * 100 / there;
        assert!((least..=most).contains(&share), "{name}: {share}%");
        assert_eq!(all.found.load(Relaxed), begun[0], "{name}");
        let tree = device.images().layer_dir(&image.layers[0]);
        assert_eq!(
            fs::read(tree.join("f1")).unwrap(),
            noise(4 << 20, 1),
            "{name}"
        );
        assert_eq!(device.kept(), <[String; 0]>::default(), "{name}");
    }
}

/// A partial whose marks fit it, and which is of something else all the same, is noticed at the end and costs all of it.
#[test]
fn what_was_wrong_from_the_beginning_is_fetched_anew() {
    let device = Device::new();
    let built = Image::oci([layer(2 << 20, 1)]).build();
    let other = Image::oci([layer(2 << 20, 2)]).build();
    let [reference, wrong] = [("web", &built), ("other", &other)].map(|(n, b)| device.push(n, b));
    device.pull(&wrong, &Until::bytes(1 << 20)).unwrap_err();
    let [right, wrong] = [&built, &other].map(|built| device.partial().join(blob(built).0.hex()));
    for (from, to) in [
        (&wrong, &right),
        (
            &wrong.with_extension("marks"),
            &right.with_extension("marks"),
        ),
    ] {
        fs::rename(from, to).unwrap();
    }
    device.registry.reset_counts();
    device.pull(&reference, &()).unwrap();
    let begun = device.starts(&blob(&built).0);
    assert!(
        begun.len() == 2 && begun[0] > 0 && begun[1] == 0,
        "{begun:?}"
    );
    assert_eq!(device.kept(), <[String; 0]>::default());
}

/// Whatever the registry makes of a question for the rest, the image comes whole or not at all.
#[test]
fn answers_that_are_not_the_rest_are_never_mixed_in() {
    for fault in [
        Fault::Whole,
        Fault::Rewound,
        Fault::Status(416),
        Fault::ContentRange("bytes 5-6/7".to_owned()),
        Fault::Tag("\"another\"".to_owned()),
        Fault::WrongContent,
        Fault::Link(Link::Flip, 1000),
        Fault::Length(10),
        Fault::Html,
    ] {
        let device = Device::new();
        let built = Image::oci([layer(4 << 20, 1)]).build();
        let reference = device.push("web", &built);
        let (digest, _) = blob(&built);
        device.pull(&reference, &Until::bytes(2 << 20)).unwrap_err();
        let path = On::Path(digest.to_string());
        device.registry.fault(path, fault.clone(), 1);
        // What fails for good may fail; the next time it is right.
        let image = match device.pull(&reference, &()) {
            Ok(image) => image,
            Err(_) => device.pull(&reference, &()).unwrap(),
        };
        let tree = device.images().layer_dir(&image.layers[0]);
        let content = fs::read(tree.join("f1")).unwrap();
        assert_eq!(content, noise(4 << 20, 1), "{fault:?}");
        assert_eq!(device.kept(), <[String; 0]>::default(), "{fault:?}");
    }
}

/// One writes what comes, the other goes without; both get the image.
#[test]
fn two_at_once_do_not_write_over_each_other() {
    let device = Device::new();
    let built = Image::oci([layer(4 << 20, 1)]).build();
    let reference = device.push("web", &built);
    let (digest, _) = blob(&built);
    device.pull(&reference, &Until::bytes(1 << 20)).unwrap_err();
    let pace = Fault::Pace(64 << 10, 2);
    device
        .registry
        .fault(On::Path(digest.to_string()), pace, usize::MAX);
    let both = [device.start(&reference), device.start(&reference)];
    for child in both {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    assert_eq!(device.kept(), <[String; 0]>::default());
}

/// Ten seconds after the last sync what has come is made durable, so that the eleventh layer does not cost the ten.
#[test]
fn layers_that_have_come_do_not_come_again() {
    let device = Device::new();
    let small = (1..=3).map(|seed| layer(200 << 10, seed));
    let built = Image::oci(small.chain([layer(900 << 10, 9)])).build();
    let reference = device.push("web", &built);
    let slow = |digest: &Digest, pause| {
        let path = On::Path(digest.to_string());
        device
            .registry
            .fault(path, Fault::Pace(100 << 10, pause), usize::MAX);
    };
    // The third one ends after ten seconds, the last one not before it is killed.
    slow(&built.diff_ids[2], 5500);
    slow(&built.diff_ids[3], 600_000);
    let child = device.start(&reference);
    let noted = |seed: usize| {
        device
            .partial()
            .join(format!("layer-{}", built.diff_ids[seed].hex()))
    };
    while !noted(2).exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    // The note comes before the layer has its name, and what was kept of it goes after that.
    let tree = device.images().layer_dir(&built.diff_ids[2]);
    let rest = device.partial().join(built.diff_ids[2].hex());
    while !tree.exists() || rest.exists() || rest.with_extension("marks").exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    end(child);
    // What Mender does after a download that failed.
    device.images().sweep().unwrap();
    device.images().collect_old(&BTreeSet::new()).unwrap();
    device.registry.heal();
    device.registry.reset_counts();
    device.pull(&reference, &()).unwrap();
    let asked: Vec<usize> = (0..4)
        .map(|n| device.starts(&built.diff_ids[n]).len())
        .collect();
    assert_eq!(asked, [0, 0, 0, 1]);
    assert_eq!(device.kept(), <[String; 0]>::default());
}

/// What nobody comes back for goes, with its age or when a person says so.
#[test]
fn what_is_kept_has_an_end() {
    let device = Device::new();
    let built = Image::oci([layer(1 << 20, 1)]).build();
    let reference = device.push("web", &built);
    device
        .pull(&reference, &Until::bytes(512 << 10))
        .unwrap_err();
    let images = device.images();
    images.collect_old(&BTreeSet::new()).unwrap();
    assert_eq!(device.kept().len(), 2);
    let age = |path: &Path| {
        let words = ["-d", "8 days ago", path.to_str().unwrap()];
        assert!(
            Command::new("touch")
                .args(words)
                .status()
                .unwrap()
                .success()
        );
    };
    age(&device.partial().join(blob(&built).0.hex()));
    images.collect_old(&BTreeSet::new()).unwrap();
    assert_eq!(device.kept(), <[String; 0]>::default());
    device
        .pull(&reference, &Until::bytes(512 << 10))
        .unwrap_err();
    assert_eq!(device.kept().len(), 2);
    images.collect(&BTreeSet::new()).unwrap();
    assert_eq!(device.kept(), <[String; 0]>::default());
    assert!(device.scratch.path().exists());
}

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn a_download_that_was_killed_goes_on_after_the_cleanup() {
    on_device("resume", |device| {
        let built = Image::oci([layer(6 << 20, 1)]).build();
        device.registry.push("shop/big", "1", &built);
        let (digest, _) = blob(&built);
        let pace = Fault::Pace(64 << 10, 4);
        let path = On::Path(digest.to_string());
        device.registry.fault(path, pace, usize::MAX);
        let meta = device
            .artifact("big", "--name web --entrypoint /f")
            .to_string();
        let tree = device.tree("big", &meta);
        let call = device.start("Download", &tree);
        device.registry.until_sent(4 << 20);
        call.kill();
        assert!(device.call("Cleanup", &tree).succeeded());
        device.registry.reset_counts();
        let tree = device.tree("big", &meta);
        let called = device.call("Download", &tree);
        assert!(called.stderr.contains(" came earlier"), "{called:?}");
        let asked = device.registry.requests();
        let ranges: Vec<_> = asked
            .iter()
            .filter(|request| request.path.contains(&digest.to_string()))
            .map(|request| request.header("range").map(str::to_owned))
            .collect();
        assert!(ranges.len() == 1 && ranges[0].is_some(), "{ranges:?}");
        assert_eq!(
            kept(&device.host.state.join("partial")),
            <[String; 0]>::default()
        );
    });
}

/// Two images of which the second is lost on the way: what the first call of a deployment brings.
struct Broken {
    first: Built,
    second: Built,
    meta: String,
}

impl Broken {
    fn of(device: &common::device::Device, scope: &str) -> Broken {
        let image = |seed| Image::oci([layer(1 << 20, seed)]).build();
        let (first, second) = (image(1), image(2));
        device.registry.push("shop/first", "1", &first);
        device.registry.push("shop/second", "1", &second);
        let images = [device.pinned("first"), device.pinned("second")];
        let dray = json!({"version": 1, "scope": scope});
        let run_args = "--entrypoint /f";
        let meta = json!({"containers": images, "run_args": run_args, "dray": dray}).to_string();
        device.registry.lose(&blob(&second).0);
        let tree = device.tree("both", &meta);
        let called = device.call("Download", &tree);
        assert_eq!(called.status.code(), Some(1), "{called:?}");
        assert!(device.call("Cleanup", &tree).succeeded());
        Broken {
            first,
            second,
            meta,
        }
    }

    fn note(&self, device: &common::device::Device) -> PathBuf {
        let name = format!("partial/layer-{}", self.first.diff_ids[0].hex());
        device.host.state.join(name)
    }
}

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn an_image_that_has_come_does_not_come_again_for_the_sake_of_another_one() {
    on_device("beside", |device| {
        let broken = Broken::of(device, "shop");
        device.registry.push("shop/second", "1", &broken.second);
        device.registry.reset_counts();
        let tree = device.tree("both", &broken.meta);
        assert!(device.call("Download", &tree).succeeded());
        let asked = |built: &Built| device.registry.count("GET", &blob(built).0.to_string());
        assert_eq!((asked(&broken.first), asked(&broken.second)), (0, 1));
        // What a name or a pin keeps needs no note.
        let notes = kept(&device.host.state.join("partial"));
        assert_eq!(notes, <[String; 0]>::default());
    });
}

/// The rule in the header of `store/unfinished.rs`.
#[test]
#[ignore = "needs root: namespaces and mounts"]
fn what_came_of_a_broken_off_deployment_is_kept_until_one_is_through() {
    on_device("through", |device| {
        device.configure("[health]\nstable_s = 1\ntimeout_s = 10\n[store]\nkeep_blobs = yes\n");
        let broken = Broken::of(device, "shop");
        let has = |folder: &str, digest: &Digest| {
            let path = format!("{folder}/sha256/{}", digest.hex());
            device.host.state.join(path).exists()
        };
        let is_kept = || {
            let layer = has("layers", &broken.first.diff_ids[0]);
            assert_eq!(layer, has("blobs", &blob(&broken.first).0));
            assert_eq!(layer, broken.note(device).exists());
            layer
        };
        let whole = |scope: &str, verbs: &[&str]| {
            let mut meta = device.artifact("v1", &format!("--name {scope} --network none"));
            meta["dray"] = json!({"version": 1, "scope": scope});
            let tree = device.tree(scope, &meta.to_string());
            for verb in verbs {
                let called = device.call(verb, &tree);
                assert!(called.succeeded(), "{scope} {verb}: {called:?}");
            }
        };
        assert!(is_kept());
        whole(
            "other",
            &["Download", "ArtifactInstall", "ArtifactCommit", "Cleanup"],
        );
        assert!(is_kept(), "another scope's deployment is through");
        whole(
            "shop",
            &["Download", "ArtifactInstall", "ArtifactRollback", "Cleanup"],
        );
        assert!(is_kept(), "one that is rolled back is not through");
        whole(
            "shop",
            &["Download", "ArtifactInstall", "ArtifactCommit", "Cleanup"],
        );
        assert!(!is_kept());
    });
}

#[test]
fn an_image_is_kept_between_its_last_sync_and_its_pin() {
    let device = Device::new();
    let built = Image::oci([layer(1 << 20, 1)]).build();
    let reference = device.push("large", &built);
    let images = device.images();
    let image = images.pull(&reference, &Platform::host(), &()).unwrap();
    images.collect_old(&BTreeSet::new()).unwrap();
    images.pin("container-1", &image).unwrap_err();
    let image = images.pull(&reference, &Platform::host(), &()).unwrap();
    assert_eq!(device.starts(&blob(&built).0), [0], "it came once");
    images.pin("container-1", &image).unwrap();
    assert_eq!(device.kept(), <[String; 0]>::default());
}

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn a_deployment_fetches_no_more_than_it_may_however_often_it_is_tried() {
    on_device("budget", |device| {
        let health = "[health]\nstable_s = 1\ntimeout_s = 10\n";
        device.configure(&format!("{health}[download]\nbudget = 3m\nparallel = 1\n"));
        let built = Image::oci([layer(6 << 20, 1)]).build();
        device.registry.push("shop/big", "1", &built);
        let meta = device
            .artifact("big", "--name web --entrypoint /f")
            .to_string();
        device.registry.reset_counts();
        for _ in 0..2 {
            let tree = device.tree("big", &meta);
            let called = device.call("Download", &tree);
            assert_eq!(called.status.code(), Some(1), "{called:?}");
            let last = called.stderr.lines().last().unwrap();
            assert!(last.contains("of the 3145728 that it may"), "{last}");
            assert!(device.call("Cleanup", &tree).succeeded());
        }
        let (digest, _) = blob(&built);
        let asked = device.registry.count("GET", &digest.to_string());
        assert_eq!(asked, 1, "the second time nothing is asked for");
        // Nobody has to fetch what somebody else has brought.
        device.done(&["pull", &device.registry.name("shop/big:1")]);
        let tree = device.tree("big", &meta);
        let called = device.call("Download", &tree);
        assert!(called.succeeded(), "{called:?}");
        assert!(device.call("Cleanup", &tree).succeeded());
        // Another deployment has a budget of its own, which ends with it.
        let counted = device.host.state.join("deployments/docker/fetched.json");
        let tree = device.tree("v1", &device.artifact("v1", "--name web").to_string());
        for verb in ["Download", "ArtifactInstall", "ArtifactCommit"] {
            assert!(device.call(verb, &tree).succeeded());
            assert!(counted.exists());
        }
        assert!(device.call("Cleanup", &tree).succeeded());
        assert!(!counted.exists());
    });
}
