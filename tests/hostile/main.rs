//! Images made to do harm, as other engines fell to them: each row is named after its defect, goes through the real
//! `dray pull` and `dray load`, and says what has to come of it.
//!
//! A refusal is one line with its reason and leaves the store as it was; the next good image comes all the same. What is
//! accepted is inside, and whole. In no case do the folders change at which the rows aim: one beside the state folder, and
//! one that all the world may write to. Numbers such as T5 and G2 group the rows by attack.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "test files need no durable writer; a broken set-up should panic"
)]

#[path = "../common/mod.rs"]
mod common;

mod archives;
mod documents;
mod layers;
mod registries;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use common::Scratch;
use common::image::{Built, Entry, Image, Layer};
use common::registry::Registry;
use dray::oci::Digest;
use dray::sys::beneath;

/// How many rows run at once; most of their time they wait for the disk.
const AT_ONCE: usize = 4;
/// From the root of a layer that is being unpacked to the folder around the state folder.
const UP: &str = "../../../../..";
/// What stands for a secret in the credentials of the rows, and as it travels.
const SECRETS: [&str; 2] = ["secret", "dXNlcjpzZWNyZXQ="];

/// By which ways a row's image comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// `dray pull` from the registry.
    Pull,
    /// `dray load` of the layout.
    Load,
    /// `dray load` of an archive.
    Archive,
    /// The same through a pipe.
    Pipe,
}

/// What has to come of a row.
enum End {
    /// One line that ends so.
    Refused(String),
    /// One line with this in it, where what follows is somebody else's wording.
    RefusedWith(String),
    /// The image is there, and this holds of it.
    Accepted(Box<dyn Fn(&Found) + Send + Sync>),
}

type Spoil = Box<dyn Fn(&Device, &Place) + Send + Sync>;
type Name = Box<dyn Fn(&Place) -> String + Send + Sync>;

/// An image, what is wrong with it, and what has to come of it.
struct Row {
    id: &'static str,
    name: String,
    ways: Vec<Way>,
    image: Built,
    archive: Vec<u8>,
    /// More of the settings.
    settings: String,
    spoil: Spoil,
    /// Instead of the registry's own name for the image.
    asks: Option<Name>,
    end: End,
}

impl Row {
    fn new(id: &'static str, name: &str, image: Built, end: End) -> Row {
        Row {
            id,
            name: name.to_owned(),
            ways: vec![Way::Pull, Way::Load],
            image,
            archive: Vec::new(),
            settings: String::new(),
            spoil: Box::new(|_, _| {}),
            asks: None,
            end,
        }
    }

    fn only(self, way: Way) -> Row {
        Row {
            ways: vec![way],
            ..self
        }
    }

    fn settings(self, settings: &str) -> Row {
        Row {
            settings: settings.to_owned(),
            ..self
        }
    }

    fn spoilt(self, spoil: impl Fn(&Device, &Place) + Send + Sync + 'static) -> Row {
        Row {
            spoil: Box::new(spoil),
            ..self
        }
    }

    fn asks(self, name: impl Fn(&Place) -> String + Send + Sync + 'static) -> Row {
        Row {
            asks: Some(Box::new(name)),
            ..self
        }
    }
}

fn refused(words: impl Into<String>) -> End {
    End::Refused(words.into())
}

fn refused_with(words: impl Into<String>) -> End {
    End::RefusedWith(words.into())
}

fn accepted(check: impl Fn(&Found) + Send + Sync + 'static) -> End {
    End::Accepted(Box::new(check))
}

/// Where a row's image comes from, and where its redirects lead.
struct Place {
    registry: Registry,
    elsewhere: Registry,
}

/// The folders at which the rows aim.
#[derive(Debug)]
struct World(Scratch);

impl World {
    fn new() -> World {
        let scratch = Scratch::new("world");
        fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o777)).unwrap();
        plant(scratch.path());
        World(scratch)
    }

    /// Its absolute path.
    fn path(&self) -> String {
        self.0.path().display().to_string()
    }
}

/// A canary: files with content, and a folder.
fn plant(dir: &Path) {
    fs::create_dir_all(dir.join("folder")).unwrap();
    for file in ["file", "folder/kept"] {
        fs::write(dir.join(file), "canary").unwrap();
        fs::set_permissions(dir.join(file), fs::Permissions::from_mode(0o640)).unwrap();
    }
}

/// Everything there is to be seen of a canary; the time of the last change tells of every other attribute.
fn canary(dir: &Path) -> Vec<String> {
    let mut seen = Vec::new();
    walk(dir, &mut |path| {
        let m = path.symlink_metadata().unwrap();
        let content = fs::read(path).unwrap_or_default();
        let (changed, nanoseconds) = (m.ctime(), m.ctime_nsec());
        seen.push(format!(
            "{path:?} {:o} {} {} {} {} {changed}.{nanoseconds} {content:?}",
            m.mode(),
            m.uid(),
            m.gid(),
            m.nlink(),
            m.mtime(),
        ));
    });
    seen
}

/// A table that cannot fail proves nothing.
#[test]
fn a_canary_that_is_touched_is_noticed() {
    type Touch = fn(&Path);
    let touches: [Touch; 5] = [
        |dir| fs::write(dir.join("file"), "canary").unwrap(),
        |dir| fs::write(dir.join("folder/new"), "").unwrap(),
        |dir| fs::set_permissions(dir.join("file"), fs::Permissions::from_mode(0o640)).unwrap(),
        |dir| fs::hard_link(dir.join("file"), dir.join("../link")).unwrap(),
        |dir| fs::remove_file(dir.join("folder/kept")).unwrap(),
    ];
    for touch in touches {
        let scratch = Scratch::new("canary");
        let dir = scratch.join("dir");
        plant(&dir);
        let before = canary(&dir);
        assert_eq!(canary(&dir), before);
        // Times have the kernel's clock ticks.
        std::thread::sleep(std::time::Duration::from_millis(20));
        touch(&dir);
        assert_ne!(canary(&dir), before);
    }
}

/// Calls `visit` with a folder and everything below it, sorted.
fn walk(path: &Path, visit: &mut dyn FnMut(&Path)) {
    visit(path);
    let is_folder = path.symlink_metadata().is_ok_and(|m| m.is_dir());
    let entries = is_folder.then(|| fs::read_dir(path).unwrap());
    let mut names: Vec<PathBuf> = entries
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .collect();
    names.sort();
    names.iter().for_each(|path| walk(path, visit));
}

/// Makes a file a program.
fn executable(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// What a program said.
struct Called {
    succeeded: bool,
    stdout: String,
    stderr: String,
}

/// A device with an image in its store, beside a folder that nobody may touch.
struct Device {
    scratch: Scratch,
}

impl Device {
    fn new() -> Device {
        let device = Device {
            scratch: Scratch::new("hostile"),
        };
        device.configure("");
        plant(&device.join("beside"));
        let place = Registry::start();
        place.push("resident", "1", &image(&[Entry::file("resident", "1")]));
        device.done(&["pull", "-q", &place.name("resident:1")]);
        device
    }

    fn join(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    fn configure(&self, rest: &str) {
        let dir = self.scratch.path().display();
        let text = format!("[paths]\nstate = {dir}/state\nrun = {dir}/run\n{rest}");
        fs::write(self.join("dray.ini"), text).unwrap();
    }

    /// Credentials for a registry.
    fn credentials(&self, registry: &str) {
        let [_, pair] = SECRETS;
        let json = format!(r#"{{"auths": {{"{registry}": {{"auth": "{pair}"}}}}}}"#);
        let file = self.join("docker/config.json");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, json).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn command(&self, words: &[&str]) -> Command {
        let path = std::env::var("PATH").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_dray"));
        command
            .args(words)
            .current_dir(self.scratch.path())
            .env_clear()
            // Rows may put programs there.
            .env(
                "PATH",
                format!("{}:{path}", self.join("docker/bin").display()),
            )
            .env("DRAY_CONFIG", self.join("dray.ini"))
            .env("DOCKER_CONFIG", self.join("docker"))
            .stdin(Stdio::null());
        command
    }

    fn dray(&self, words: &[&str]) -> Called {
        called(self.command(words).output().unwrap())
    }

    fn done(&self, words: &[&str]) -> String {
        let called = self.dray(words);
        assert!(called.succeeded, "{words:?}: {}", called.stderr);
        called.stdout
    }

    /// Everything in the state folder: names, modes, contents.
    fn store(&self) -> Vec<String> {
        let mut seen = Vec::new();
        walk(&self.join("state"), &mut |path| {
            let m = path.symlink_metadata().unwrap();
            let content = match m.is_file() {
                true => Digest::of(&fs::read(path).unwrap()).hex(),
                false => String::new(),
            };
            // Folders for what may come, and notes of when somebody looked.
            let is_note = ["partial", "verified", "seen-time"].map(|name| path.ends_with(name));
            if !is_note.contains(&true) {
                seen.push(format!("{path:?} {:o} {content}", m.mode()));
            }
        });
        seen
    }

    /// What lies around the state folder.
    fn around(&self) -> Vec<String> {
        let entries = fs::read_dir(self.scratch.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().display().to_string())
            .filter(|name| !["layout", "archive", "docker", "tls"].contains(&name.as_str()))
            .collect();
        names.sort();
        names
    }

    /// Brings a row's image by one way; what was said, and its name there.
    fn bring(&self, row: &Row, way: Way, place: &Place) -> (Called, String) {
        let name = match &row.asks {
            Some(name) => name(place),
            None => place.registry.name("bad:1"),
        };
        match way {
            Way::Pull => (self.dray(&["pull", "-q", &name]), name),
            Way::Load => {
                let layout = self.join("layout");
                let _ = fs::remove_dir_all(&layout);
                row.image.write_layout(&layout, "bad:1");
                let called = self.dray(&["load", "-q", "-i", "layout"]);
                (called, "bad:1".to_owned())
            }
            Way::Archive => {
                fs::write(self.join("archive"), &row.archive).unwrap();
                let called = self.dray(&["load", "-q", "-i", "archive"]);
                (called, "bad:1".to_owned())
            }
            Way::Pipe => {
                let mut command = self.command(&["load", "-q"]);
                let output = common::fed(&mut command, &row.archive);
                (called(output), "bad:1".to_owned())
            }
        }
    }

    /// Runs a row by all its ways.
    fn run(&self, row: &Row, world: &World) {
        let place = Place {
            registry: Registry::start(),
            elsewhere: Registry::start(),
        };
        place.registry.push("bad", "1", &row.image);
        place.elsewhere.push("bad", "1", &row.image);
        self.configure(&row.settings);
        (row.spoil)(self, &place);
        let outside = || {
            let folders = [self.join("beside"), world.0.path().to_owned()];
            (folders.map(|folder| canary(&folder)), self.around())
        };
        let (before, untouched) = (self.store(), outside());
        for way in &row.ways {
            let (called, name) = self.bring(row, *way, &place);
            assert_eq!(outside(), untouched, "{way:?}: the outside has changed");
            let said = format!("{way:?}: {}{}", called.stdout, called.stderr);
            let is_told = SECRETS.iter().any(|secret| said.contains(secret));
            assert!(!is_told, "a secret was told: {said}");
            match &row.end {
                End::Accepted(check) => {
                    assert!(called.succeeded, "{said}");
                    check(&Found {
                        device: self,
                        place: &place,
                        diff_ids: &row.image.diff_ids,
                    });
                    self.done(&["verify", "--full"]);
                    self.done(&["rmi", &name]);
                }
                End::Refused(words) | End::RefusedWith(words) => {
                    assert!(!called.succeeded, "{way:?}: it was accepted");
                    assert_eq!(called.stdout, "", "{way:?}");
                    let line = called.stderr.strip_suffix('\n').unwrap_or_default();
                    assert!(!line.contains('\n'), "more than one line: {said}");
                    let fits = match &row.end {
                        End::Refused(_) => line.ends_with(words.as_str()),
                        _ => line.contains(words.as_str()),
                    };
                    assert!(fits, "{said}wanted: {words}");
                }
            }
            assert_eq!(self.store(), before, "{way:?}: the store has changed");
        }
        self.bring_something_good(&place);
        assert_eq!(self.store(), before, "after something good");
        let _ = fs::remove_dir_all(self.join("docker"));
    }

    /// The same registry, now as it should be.
    fn bring_something_good(&self, place: &Place) {
        place.registry.heal();
        place.registry.access(common::registry::Access::Open);
        self.configure("");
        let good = image(&[Entry::file("good", "1")]);
        place.registry.push("good", "1", &good);
        let name = place.registry.name("good:1");
        self.done(&["pull", "-q", &name]);
        self.done(&["rmi", &name]);
    }
}

fn called(output: std::process::Output) -> Called {
    Called {
        succeeded: output.status.success(),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    }
}

/// What came of an image that was accepted.
struct Found<'a> {
    device: &'a Device,
    place: &'a Place,
    diff_ids: &'a [Digest],
}

impl Found<'_> {
    /// A path in the topmost layer.
    fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let hex = self.diff_ids.last().unwrap().hex();
        let tree = self.device.join("state/layers/sha256").join(hex);
        tree.join("tree").join(path)
    }

    fn stat(&self, path: &str) -> fs::Metadata {
        self.path(path).symlink_metadata().unwrap()
    }

    fn has(&self, path: &str) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }

    fn read(&self, path: &str) -> String {
        assert!(!self.path(path).is_symlink(), "{path} is a link");
        fs::read_to_string(self.path(path)).unwrap()
    }

    fn is_whiteout(&self, path: &str) -> bool {
        let stat = self.stat(path);
        stat.file_type().is_char_device() && stat.rdev() == 0
    }

    fn is_opaque(&self, path: &str) -> bool {
        use std::os::fd::AsFd;
        let dir = beneath::open_dir(&self.path(path)).unwrap();
        let xattrs = beneath::xattrs(dir.as_fd()).unwrap();
        xattrs.contains(&(b"trusted.overlay.opaque".to_vec(), b"y".to_vec()))
    }

    /// Everything in the topmost layer, sorted.
    fn names(&self) -> Vec<String> {
        let (root, mut names) = (self.path(""), Vec::new());
        walk(&root, &mut |path| {
            names.push(path.strip_prefix(&root).unwrap().display().to_string());
        });
        names.split_off(1)
    }
}

/// An image of one layer.
fn image(entries: &[Entry]) -> Built {
    Image::oci([Layer::of(entries)]).build()
}

/// Runs all rows, several at once, and says how many there were of each attack.
fn run_all(rows: &[Row], world: &World) {
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                let mut device = Device::new();
                while let Some(row) = rows.get(next.fetch_add(1, Relaxed)) {
                    let run = catch_unwind(AssertUnwindSafe(|| device.run(row, world)));
                    if run.is_err() {
                        let line = format!("{}: {}", row.id, row.name);
                        wrong.lock().expect("nobody panics").push(line);
                        device = Device::new();
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("nobody panics");
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for row in rows {
        let (rows, runs) = counts.entry(row.id).or_default();
        (*rows, *runs) = (*rows + 1, *runs + row.ways.len());
    }
    for (id, (rows, runs)) in counts {
        println!("{id}: {rows} rows, {runs} runs");
    }
    println!("{} of {} rows right", rows.len() - wrong.len(), rows.len());
    assert_eq!(wrong, Vec::<String>::new(), "their panics are above");
}
