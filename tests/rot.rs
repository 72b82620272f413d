//! What a disk forgets or changes by itself: found by the level that promises it, brought back, and nobody else hears of it.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test files need no durable writer; a broken set-up should panic"
)]

mod common;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::device::{Call, Called, Device, on_device};
use common::image::{Built, Entry, Image, Layer};
use dray::oci::Digest;
use dray::sys::beneath;
use serde_json::{Value, json};

/// Damages of the large test.
const DAMAGES: usize = 200;

/// Random numbers, the same for the same seed.
struct Random(u64);

impl Random {
    /// A seed of the moment, or the one that the environment names; it is printed.
    fn new() -> Random {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let seed = std::env::var("DRAY_ROT_SEED").map_or(now.as_nanos() as u64, |seed| {
            seed.parse().expect("DRAY_ROT_SEED: a number")
        });
        println!("seed: DRAY_ROT_SEED={seed}");
        Random(seed | 1)
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

fn noise(size: usize, seed: u64) -> Vec<u8> {
    let mut random = Random(seed * 2 + 1);
    (0..size).map(|_| random.below(256) as u8).collect()
}

/// An image with something of everything, whose program runs for as long as it is let.
fn specimen() -> Built {
    let busybox = fs::read("/bin/busybox").expect("busybox-static");
    let mut base = vec![
        Entry::dir("bin"),
        Entry::file("bin/busybox", busybox).mode(0o755),
    ];
    for applet in ["sh", "sleep", "cat"] {
        base.push(Entry::symlink(format!("bin/{applet}"), "busybox"));
    }
    let mut holed = noise(200_000, 5);
    holed[40_000..150_000].fill(0);
    let data = [
        Entry::dir("data").mtime(3),
        Entry::file("data/empty", "").mtime(5),
        Entry::file("data/small", "hello\n").mtime(5).owner(3, 4),
        Entry::file("data/one", noise(5000, 1)).mtime(5),
        Entry::file("data/two", noise(5000, 2)).mtime(5),
        Entry::file("data/large", noise(300_000, 3)).mtime(5),
        Entry::file("data/holed", holed).mtime(5),
        Entry::file("data/noted", noise(70_000, 4))
            .mtime(5)
            .xattr("user.note", "first"),
        Entry::symlink("data/link", "small").mtime(5),
        Entry::hardlink("data/again", "data/large"),
        Entry::dir("data/deep/er").mtime(3),
        Entry::file("data/deep/er/file", noise(9000, 6)).mtime(5),
    ];
    let last = [
        Entry::dir("etc").mtime(3),
        Entry::file("etc/conf", noise(4096, 7)).mtime(5),
        Entry::file("etc/data", noise(4097, 8)).mtime(5),
    ];
    Image::oci([Layer::of(&base), Layer::of(&data), Layer::of(&last)])
        .config(json!({
            "Env": ["PATH=/bin", "VERSION=rot"],
            "Cmd": ["/bin/sh", "-c", "trap 'exit 0' TERM; sleep 100000 & wait"],
        }))
        .build()
}

/// Which look promises to find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    ByStatus,
    ByContent,
}

/// A damage to a file of the store, below the folder of a layer or to one of its blobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    BitFlip,
    ZeroedBlock,
    PunchedHole,
    Swapped,
    OtherLink,
    OtherAttribute,
    KeptBlob,
    OnlyHoles,
    Truncated,
    Longer,
    Missing,
    Extra,
    Mode,
    Owner,
    Time,
    LongerLink,
    Document,
    Seal,
    NoSeal,
    ContentFile,
}

const HARMS: [Harm; 20] = [
    Harm::BitFlip,
    Harm::ZeroedBlock,
    Harm::PunchedHole,
    Harm::Swapped,
    Harm::OtherLink,
    Harm::OtherAttribute,
    Harm::KeptBlob,
    Harm::OnlyHoles,
    Harm::Truncated,
    Harm::Longer,
    Harm::Missing,
    Harm::Extra,
    Harm::Mode,
    Harm::Owner,
    Harm::Time,
    Harm::LongerLink,
    Harm::Document,
    Harm::Seal,
    Harm::NoSeal,
    Harm::ContentFile,
];

impl Harm {
    fn found(self) -> Found {
        match self {
            Harm::BitFlip
            | Harm::ZeroedBlock
            | Harm::PunchedHole
            | Harm::Swapped
            | Harm::OtherLink
            | Harm::OtherAttribute
            | Harm::KeptBlob => Found::ByContent,
            _ => Found::ByStatus,
        }
    }
}

/// A device with the specimen, a container on it, and one that has nothing to do with it.
struct Bench<'a> {
    device: &'a Device,
    image: Built,
    reference: String,
    state: PathBuf,
}

impl Bench<'_> {
    fn new(device: &Device) -> Bench<'_> {
        let image = specimen();
        device.registry.push("shop/rot", "1", &image);
        device.configure("[store]\nkeep_blobs = yes\n[download]\ndeadline = 1s\n");
        let reference = device.registry.name("shop/rot:1");
        device.done(&["pull", "-q", &reference]);
        Bench {
            device,
            image,
            reference,
            state: device.host.state.clone(),
        }
    }

    fn run(&self) {
        let other = self.device.registry.name("shop/v1:1");
        for (name, image) in [("rot", &self.reference), ("other", &other)] {
            let network = "--network=none";
            let name = format!("--name={name}");
            self.device
                .done(&["run", "-d", "--restart=always", network, &name, image]);
        }
    }

    fn layer(&self, number: usize) -> PathBuf {
        let layers = self.state.join("layers/sha256");
        layers.join(self.image.diff_ids[number].hex())
    }

    fn blob(&self, digest: &Digest) -> PathBuf {
        self.state.join("blobs/sha256").join(digest.hex())
    }

    /// Compressed layers that the store keeps.
    fn kept(&self) -> Vec<Digest> {
        let blobs = self.image.blobs.keys();
        blobs.copied().filter(|b| *b != self.image.config).collect()
    }

    /// A layer as it is packed.
    fn packed(&self, diff_id: &Digest) -> Digest {
        let manifest: Value = serde_json::from_slice(self.image.document()).unwrap();
        let number = self.image.diff_ids.iter().position(|id| id == diff_id);
        let digest = &manifest["layers"][number.unwrap()]["digest"];
        digest.as_str().unwrap().parse().unwrap()
    }

    /// Does the harm and says what it was done to: the kind and the digest that `verify` has to name.
    fn harm(&self, harm: Harm, random: &mut Random) -> (&'static str, Digest) {
        let number = 1 + random.below(2);
        let tree = self.layer(number).join("tree");
        let large: &[&str] = match number {
            1 => &["data/one", "data/large", "data/noted", "data/deep/er/file"],
            _ => &["etc/conf", "etc/data"],
        };
        let path = tree.join(random.of(large));
        let layer = ("layer", self.image.diff_ids[number]);
        let data = self.layer(1).join("tree/data");
        let of_data = ("layer", self.image.diff_ids[1]);
        match harm {
            Harm::BitFlip => keeping_time(&path, |file| flip(file, random)),
            Harm::ZeroedBlock => keeping_time(&path, |file| {
                let at = random.below(file.metadata().unwrap().len() as usize / 512) as u64;
                file.write_all_at(&[0; 512], at * 512).unwrap();
            }),
            Harm::PunchedHole => {
                keeping_time(&data.join("large"), |file| {
                    use nix::fcntl::{FallocateFlags, fallocate};
                    let at = random.below(300_000 / 4096) as i64 * 4096;
                    let flags =
                        FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
                    fallocate(std::os::fd::AsRawFd::as_raw_fd(file), flags, at, 4096).unwrap();
                });
                return of_data;
            }
            Harm::Swapped => {
                keeping_folder(&data, || {
                    let [one, two, aside] = ["one", "two", "aside"].map(|name| data.join(name));
                    fs::rename(&one, &aside).unwrap();
                    fs::rename(&two, &one).unwrap();
                    fs::rename(&aside, &two).unwrap();
                });
                return of_data;
            }
            Harm::OtherLink | Harm::LongerLink => {
                let text = if harm == Harm::OtherLink {
                    "spall"
                } else {
                    "smaller"
                };
                keeping_folder(&data, || {
                    fs::remove_file(data.join("link")).unwrap();
                    symlink(text, data.join("link")).unwrap();
                    let folder = beneath::open_dir(&data).unwrap();
                    let time = beneath::Time {
                        seconds: 5,
                        nanoseconds: 0,
                    };
                    beneath::set_modified_of(folder.as_fd(), b"link", time).unwrap();
                });
                return of_data;
            }
            Harm::OtherAttribute => {
                let file = File::open(data.join("noted")).unwrap();
                beneath::set_xattr(file.as_fd(), b"user.note", b"other").unwrap();
                return of_data;
            }
            Harm::KeptBlob => {
                let kept = self.kept();
                let blob = *random.of(&kept);
                flip(&open(&self.blob(&blob)), random);
                return ("blob", blob);
            }
            Harm::OnlyHoles => {
                keeping_time(&data.join("large"), |file| {
                    file.set_len(0).unwrap();
                    file.set_len(300_000).unwrap();
                });
                return of_data;
            }
            Harm::Truncated => keeping_time(&path, |file| {
                let size = file.metadata().unwrap().len();
                file.set_len(random.below(size as usize) as u64).unwrap();
            }),
            Harm::Longer => keeping_time(&path, |file| {
                let size = file.metadata().unwrap().len();
                file.set_len(size + 1).unwrap();
            }),
            Harm::Missing => fs::remove_file(&path).unwrap(),
            Harm::Extra => fs::write(path.with_file_name("extra"), "").unwrap(),
            Harm::Mode => {
                let mode = 1 << random.below(9);
                let old = fs::metadata(&path).unwrap().permissions().mode();
                fs::set_permissions(&path, fs::Permissions::from_mode(old ^ mode)).unwrap();
            }
            Harm::Owner => std::os::unix::fs::chown(&path, Some(77), None).unwrap(),
            Harm::Time => {
                let time = UNIX_EPOCH + Duration::from_secs(6 + random.below(1000) as u64);
                open(&path).set_modified(time).unwrap();
            }
            Harm::Document => {
                let document = *random.of(&[self.image.digest, self.image.config]);
                let file = open(&self.blob(&document));
                match random.below(2) {
                    0 => file.set_len(3).unwrap(),
                    _ => flip(&file, random),
                }
                return ("document", document);
            }
            Harm::Seal => {
                let file = open(&self.layer(number).join("seal.json"));
                match random.below(2) {
                    0 => file.set_len(30).unwrap(),
                    _ => flip(&file, random),
                }
            }
            Harm::NoSeal => fs::remove_file(self.layer(number).join("seal.json")).unwrap(),
            Harm::ContentFile => {
                let file = open(&self.layer(number).join("content"));
                match random.below(2) {
                    0 => file.set_len(0).unwrap(),
                    _ => flip(&file, random),
                }
            }
        }
        layer
    }

    /// What `verify` says; its exit code has to fit.
    fn verify(&self, words: &[&str]) -> Vec<Value> {
        let called = self
            .device
            .dray(&[&["verify", "--format=json"], words].concat());
        damaged(&called)
    }

    /// Every file of every layer, with its content.
    fn content(&self) -> BTreeMap<PathBuf, (u32, i64, u64, Option<Digest>)> {
        let mut found = BTreeMap::new();
        let mut folders: Vec<PathBuf> = (0..3).map(|n| self.layer(n).join("tree")).collect();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                let m = path.symlink_metadata().unwrap();
                if m.is_dir() {
                    folders.push(path.clone());
                }
                let content = match fs::read_link(&path) {
                    Ok(text) => Some(Digest::of(text.as_os_str().as_encoded_bytes())),
                    Err(_) => m.is_file().then(|| Digest::of(&fs::read(&path).unwrap())),
                };
                let size = if m.is_dir() { 0 } else { m.size() };
                found.insert(path, (m.mode(), m.mtime(), size, content));
            }
        }
        found
    }

    /// Pids of the containers' first processes.
    fn pids(&self) -> BTreeMap<String, i32> {
        let containers = self.device.containers().into_iter();
        let pid = |now: Option<dray::engine::State>| now.unwrap().init.unwrap().pid;
        containers
            .map(|(record, now)| (record.name, pid(now)))
            .collect()
    }
}

/// What a call of `verify` reports; whole is exit code 0, damaged 1.
fn damaged(called: &Called) -> Vec<Value> {
    let report: Value = serde_json::from_str(&called.stdout).unwrap_or_else(|_| {
        panic!("{called:?}");
    });
    let damaged = report["Damaged"].as_array().unwrap().clone();
    let still = damaged.iter().any(|one| one["Healed"] == false);
    assert_eq!(called.status.code(), Some(i32::from(still)), "{called:?}");
    damaged
}

fn open(path: &Path) -> File {
    File::options().read(true).write(true).open(path).unwrap()
}

fn flip(file: &File, random: &mut Random) {
    let at = random.below(file.metadata().unwrap().len() as usize) as u64;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    byte[0] ^= 1 << random.below(8);
    file.write_all_at(&byte, at).unwrap();
}

/// A disk does not change the time of what it forgets.
fn keeping_time(path: &Path, harm: impl FnOnce(&File)) {
    let file = open(path);
    let time = file.metadata().unwrap().modified().unwrap();
    harm(&file);
    file.set_modified(time).unwrap();
}

fn keeping_folder(path: &Path, harm: impl FnOnce()) {
    let folder = File::open(path).unwrap();
    let time = folder.metadata().unwrap().modified().unwrap();
    harm();
    folder.set_modified(time).unwrap();
}

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn two_hundred_damages_are_found_and_healed_and_nobody_else_hears_of_them() {
    on_device("rot", |device| {
        let bench = Bench::new(device);
        bench.run();
        bench.image.write_layout(&device.join("layout"), "1");
        let archive = format!("oci:{}:1", device.join("layout").display());
        let whole = bench.content();
        let pids = bench.pids();
        assert_eq!(pids.len(), 2);
        assert!(bench.verify(&["--full"]).is_empty());
        let mut random = Random::new();
        let mut tally = BTreeMap::new();
        for number in 0..DAMAGES {
            // Each kind as often as the others, then at random.
            let harm = match HARMS.get(number % (2 * HARMS.len())) {
                Some(harm) => *harm,
                None => *random.of(&HARMS),
            };
            let (kind, digest) = bench.harm(harm, &mut random);
            let about = format!("{number}: {harm:?} of {kind} {digest}");
            let names = |found: &[Value]| {
                let all = found
                    .iter()
                    .map(|one| (one["Kind"].clone(), one["Name"].clone()));
                all.collect::<Vec<_>>()
            };
            let expected = vec![(json!(kind), json!(digest.to_string()))];
            // The level that promises it finds it, it and nothing else.
            let by_status = bench.verify(&[]);
            match harm.found() {
                Found::ByStatus => assert_eq!(names(&by_status), expected, "{about}"),
                // Else it would not need the other one.
                Found::ByContent => assert!(by_status.is_empty(), "{about}: {by_status:?}"),
            }
            let found = bench.verify(&["--full"]);
            assert_eq!(names(&found), expected, "{about}");
            if kind == "layer" {
                let image = bench.reference.as_str();
                assert_eq!(found[0]["Images"], json!([image]), "{about}");
                assert_eq!(found[0]["Containers"], json!(["rot"]), "{about}");
            }
            // It comes back from where it is: the kept blob, the registry, an archive.
            device.registry.reset_counts();
            let source = match (number % 3, kind) {
                (0, "layer") => "kept blob",
                (1, "layer" | "document") => "archive",
                _ => "registry",
            };
            if source == "registry" && kind == "layer" {
                fs::remove_file(bench.blob(&bench.packed(&digest))).unwrap();
            }
            match source {
                "archive" => drop(device.done(&["pull", "-q", &archive])),
                _ => assert_eq!(names(&bench.verify(&["--full", "--repair"])), expected),
            }
            let asked = !device.registry.requests().is_empty();
            assert_eq!(asked, source == "registry", "{about} from {source}");
            assert!(bench.verify(&["--full"]).is_empty(), "{about}");
            assert!(
                bench.content() == whole,
                "{about}: healed to something else"
            );
            for document in [bench.image.digest, bench.image.config] {
                let bytes = fs::read(bench.blob(&document)).unwrap();
                assert_eq!(Digest::of(&bytes), document, "{about}");
            }
            assert_eq!(bench.pids(), pids, "{about}");
            *tally.entry((format!("{harm:?}"), source)).or_insert(0) += 1;
        }
        println!("{DAMAGES} damages, 0 missed, all healed: {tally:?}");
        // What runs on what was replaced keeps it; afterwards it goes.
        device.done(&["rm", "-f", "rot"]);
        device.done(&["gc"]);
        let layers = fs::read_dir(bench.state.join("layers/sha256")).unwrap();
        let names = layers.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert_eq!(names.filter(|name| name.starts_with('.')).count(), 0);
    });
}

/// The suite notices when nobody compares contents.
#[cfg(feature = "failpoints")]
#[test]
#[ignore = "needs root: namespaces and mounts"]
fn control_without_the_comparison_rot_is_missed() {
    on_device("control", |device| {
        let bench = Bench::new(device);
        let mut random = Random::new();
        let blind = || {
            let output = Command::new(env!("CARGO_BIN_EXE_dray"))
                .args(["verify", "--full"])
                .env("DRAY_CONFIG", &device.host.config)
                .env("DRAY_BREAK", "no-content-compare")
                .output();
            output.unwrap().status.success()
        };
        let harms = HARMS.iter().filter(|harm| harm.found() == Found::ByContent);
        let mut missed = 0;
        for harm in harms.filter(|harm| **harm != Harm::KeptBlob) {
            bench.harm(*harm, &mut random);
            assert!(blind(), "{harm:?} is found in another way");
            missed += 1;
            assert_eq!(bench.verify(&["--full"]).len(), 1, "{harm:?}");
            bench.verify(&["--repair"]);
        }
        println!("control: {missed} of {missed} missed");
    });
}

/// A single file that changed is named, among as many as a large layer has.
#[test]
#[ignore = "needs root: namespaces and mounts"]
fn the_file_that_changed_is_named() {
    on_device("named", |device| {
        let files: Vec<Entry> = (0..3000)
            .map(|n| Entry::file(format!("f/{n}"), format!("content {n}")).mtime(5))
            .collect();
        let image = Image::oci([Layer::of(&files)]).build();
        device.registry.push("shop/many", "1", &image);
        let reference = device.registry.name("shop/many:1");
        device.done(&["pull", "-q", &reference]);
        let layers = device.host.state.join("layers/sha256");
        let path = layers.join(image.diff_ids[0].hex()).join("tree/f/1234");
        keeping_time(&path, |file| file.write_all_at(b"C", 0).unwrap());
        let report = device.dray(&["verify", "--full", "--format=json", &reference]);
        let paths = damaged(&report)[0]["Paths"].clone();
        let paths = paths.as_array().unwrap();
        assert!(paths.contains(&json!("f/1234")), "{paths:?}");
        let said = device.dray(&["verify", "--full"]);
        assert!(said.stdout.contains("f/1234"), "{said:?}");
        assert!(
            said.stdout
                .ends_with("1 damaged; dray verify --repair brings back what can be had, and says what helps the rest\n")
        );
        let healed = device.done(&["verify", "--repair"]);
        assert!(
            healed.stdout.ends_with("1 damaged, all brought back\n"),
            "{healed:?}"
        );
        assert_eq!(fs::read(&path).unwrap(), b"content 1234");
        // What a status tells is enough for that too.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let report = device.dray(&["verify", "--format=json"]);
        let paths = damaged(&report)[0]["Paths"].clone();
        assert!(
            paths.as_array().unwrap().contains(&json!("f/1234")),
            "{paths}"
        );
    });
}

/// A layer that an older dray unpacked has no sums: what can be looked at is, and the rest is said.
#[test]
#[ignore = "needs root: namespaces and mounts"]
fn layers_of_an_older_dray_are_whole_as_far_as_can_be_told() {
    on_device("older", |device| {
        let bench = Bench::new(device);
        for number in 0..3 {
            fs::remove_file(bench.layer(number).join("content")).unwrap();
        }
        let said = device.done(&["verify", "--full"]);
        assert!(
            said.stdout
                .contains("3 layers were unpacked by an older dray"),
            "{said:?}"
        );
        bench.run();
        fs::remove_file(bench.layer(1).join("tree/data/small")).unwrap();
        assert_eq!(bench.verify(&[])[0]["Reason"], "1 of its files are missing");
        bench.verify(&["--repair"]);
        assert!(bench.layer(1).join("content").exists());
        assert!(bench.verify(&["--full"]).is_empty());
    });
}

/// `dray boot`, whose standard error also hears of what goes on in the background.
fn boot(device: &Device) -> Call {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dray"));
    command
        .arg("boot")
        .env("DRAY_CONFIG", &device.host.config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    Call::of(command)
}

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn a_boot_starts_what_starts_and_mends_the_rest_afterwards() {
    on_device("boot", |device| {
        let bench = Bench::new(device);
        bench.run();
        let small = bench.layer(1).join("tree/data/small");
        let kept = |present: bool| {
            for blob in bench.kept() {
                if !present {
                    fs::remove_file(bench.blob(&blob)).unwrap();
                }
            }
        };
        // From the kept blob, without a network.
        fs::remove_file(&small).unwrap();
        device.lose_power();
        device.registry.reset_counts();
        let mut call = boot(device);
        call.until("started container");
        call.until("1 of its files are missing");
        call.until("is whole again");
        let (status, said) = call.end();
        assert!(status.success(), "{said:?}");
        assert_eq!(device.running(), ["rot", "v1"]);
        assert!(device.registry.requests().is_empty());
        assert_eq!(fs::read(&small).unwrap(), b"hello\n");
        // Nobody has it: what starts starts all the same, and it is said.
        kept(false);
        let blobs = bench.kept();
        blobs.iter().for_each(|blob| device.registry.lose(blob));
        fs::remove_file(&small).unwrap();
        device.lose_power();
        let mut call = boot(device);
        call.until("stays damaged: ");
        let (status, said) = call.end();
        assert!(status.success(), "{said:?}");
        assert_eq!(device.running(), ["rot", "v1"]);
        // From the registry, when it has it again.
        device.registry.push("shop/rot", "1", &bench.image);
        device.lose_power();
        let mut call = boot(device);
        call.until("is whole again");
        assert!(call.end().0.success());
        assert_eq!(fs::read(&small).unwrap(), b"hello\n");
        // After an orderly stop nobody looks; starting by hand does after another one.
        device.done(&["boot", "--stop"]);
        fs::remove_file(&small).unwrap();
        device.lose_power();
        let said = device.done(&["boot"]).stderr;
        assert!(!said.contains("damaged"), "{said}");
        device.done(&["stop", "-t0", "rot"]);
        device.lose_power();
        let said = device.done(&["start", "rot"]).stderr;
        assert!(said.contains("of container rot is damaged"), "{said}");
        assert_eq!(device.running(), ["rot"]);
    });
}

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn a_scrub_reads_what_is_due_and_mends_it() {
    on_device("scrub", |device| {
        let bench = Bench::new(device);
        assert_eq!(device.done(&["scrub"]).stderr, "", "it is off");
        device.configure("[store]\nkeep_blobs = yes\nscrub = 12h\n");
        let said = device.done(&["scrub"]).stderr;
        assert!(
            said.contains("scrubbed 3 layers") && said.contains("0 damaged"),
            "{said}"
        );
        // Nothing is due.
        assert_eq!(device.done(&["scrub"]).stderr, "");
        // One was last read long ago, and has changed since; so has one that is not due.
        let verified = |number| bench.layer(number).join("verified");
        fs::write(verified(2), r#"{"version":1,"at":7,"damage":null}"#).unwrap();
        for path in [
            bench.layer(2).join("tree/etc/conf"),
            bench.layer(1).join("tree/data/one"),
        ] {
            keeping_time(&path, |file| file.write_all_at(b"?????", 100).unwrap());
        }
        let said = device.done(&["scrub"]).stderr;
        assert!(
            said.contains("scrubbed 1 layers") && said.contains("1 damaged"),
            "{said}"
        );
        assert!(
            said.contains("probably etc/conf") && said.contains("is whole again"),
            "{said}"
        );
        // A note that cannot be read is none.
        fs::write(verified(1), "{").unwrap();
        let said = device.done(&["scrub"]).stderr;
        assert!(said.contains("probably data/one"), "{said}");
        assert!(bench.verify(&["--full"]).is_empty());
    });
}

/// The kernel stacks 500 folders, and one is the engine's.
#[test]
#[ignore = "needs root: namespaces and mounts"]
fn as_many_layers_as_can_be_stacked_run_and_more_are_refused_before_the_first() {
    on_device("layers", |device| {
        let busybox = fs::read("/bin/busybox").expect("busybox-static");
        let program = Layer::of(&[Entry::file("busybox", busybox).mode(0o755)]);
        let small = |n: usize| Layer::of(&[Entry::file(format!("f{n}"), n.to_string())]);
        let image = |layers: usize| {
            let small = (1..layers).map(small);
            Image::oci(std::iter::once(program.clone()).chain(small)).build()
        };
        device.registry.push("shop/most", "1", &image(499));
        device.registry.push("shop/more", "1", &image(500));
        let most = device.registry.name("shop/most:1");
        let run = ["run", "--rm", "--network=none", &most];
        let said = device.done(&[&run[..], &["/busybox", "cat", "/f1", "/f498"]].concat());
        assert_eq!(said.stdout, "1498");
        device.registry.reset_counts();
        let refused = device.dray(&["pull", &device.registry.name("shop/more:1")]);
        assert!(!refused.status.success());
        assert!(
            refused
                .stderr
                .contains("manifest lists 500 layers, more than the 499 allowed"),
            "{refused:?}"
        );
        assert_eq!(device.registry.count("GET", "/blobs/"), 0);
    });
}
