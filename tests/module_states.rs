//! Chains of state calls on real containers: every order in which the two generations of clients call the module, with
//! failures, kills and power cuts in every state, and which containers run after each call.
//!
//! A chain is a line of words:
//!
//! ```text
//! @v2            the client makes the file tree of the artifact v2; what was there before is gone
//! P D S AI NR SR AC AR AF C      a call that has to succeed, with exactly the answer a client expects
//! D!             a call that has to fail
//! AI~stopping    a call that is killed as soon as it says a line with this word
//! AI^waiting     a call whose client is killed then; the module goes on by itself
//! AI/waiting     a call that gets SIGTERM then, and has to fail in time
//! cut boot       the power goes; the device starts again
//! kill-monitors  kill -9 of the monitors of all containers
//! stop           a person stops the container web
//! [v1]           exactly these containers run; [] none
//! has[v1,v2]     exactly these exist, running or not, and only their generations are pinned
//! only[v1]       both
//! rm-tree        the client has lost its tree
//! ```
#![cfg(feature = "device")]
#![expect(clippy::unwrap_used, reason = "a broken set-up should panic")]

mod common;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::device::{Call, Device, on_device};
use common::registry::{Fault, On};
use nix::sys::signal::Signal;
use serde_json::json;

/// Words of a chain and the state calls they stand for, with the answer that a client expects.
const CALLS: [(&str, &str, &str); 10] = [
    ("P", "ProvidePayloadFileSizes", "Yes\n"),
    ("D", "Download", ""),
    ("S", "DownloadWithFileSizes", ""),
    ("AI", "ArtifactInstall", ""),
    ("NR", "NeedsArtifactReboot", "No\n"),
    ("SR", "SupportsRollback", "Yes\n"),
    ("AC", "ArtifactCommit", ""),
    ("AR", "ArtifactRollback", ""),
    ("AF", "ArtifactFailure", ""),
    ("C", "Cleanup", ""),
];

/// A device with v1 committed and cleaned up.
const V1: &str = "@v1 D SR AI NR [v1] AC C only[v1] ";

/// What clients do in the scenarios of Mender's two generations of clients, standalone.
const STANDALONE: &[(&str, &str)] = &[
    ("3.4 install, commit", "@v1 D SR AI NR [v1] AC C only[v1]"),
    (
        "3.4 install, rollback, nothing before",
        "@v1 D SR AI NR [v1] SR AR [] C only[]",
    ),
    (
        "3.4 upgrade, commit",
        "V1 @v2 D [v1] SR AI NR [v2] AC [v2] C only[v2]",
    ),
    (
        "3.4 upgrade, rollback",
        "V1 @v2 D [v1] SR AI NR [v2] SR AR [v1] C only[v1]",
    ),
    (
        "C++ upgrade, commit",
        "V1 @v2 P S [v1] AI NR SR [v2] AC C only[v2]",
    ),
    (
        "C++ upgrade, rollback",
        "V1 @v2 P S AI NR SR [v2] SR AR [v1] AF [v1] C only[v1]",
    ),
    (
        "3.4 second install without commit",
        "V1 @v2 D SR AI NR [v2] @v3 D [v2] SR AI NR [v3] SR AR [v1] C only[v1]",
    ),
    (
        "3.4 second install without commit, kept",
        "V1 @v2 D SR AI NR [v2] @v3 D SR AI NR [v3] AC C only[v3]",
    ),
    (
        "3.4 three trials in a row",
        "@v1 D SR AI NR @v2 D SR AI NR @v3 D SR AI NR [v3] SR AR [] C only[]",
    ),
    (
        "second download fails over a trial, then commit",
        "V1 @v2 D SR AI NR @missing D! [v2] C [v2] has[v1,v2] @v2 AC C only[v2]",
    ),
    ("download fails", "V1 @missing D! [v1] C only[v1]"),
    ("download fails, nothing before", "@missing D! [] C only[]"),
    (
        "3.4 install fails: dies",
        "V1 @dies D [v1] SR AI! SR AR [v1] AF C only[v1]",
    ),
    (
        "C++ install fails: dies",
        "V1 @dies P S [v1] AI! SR AR [v1] AF C only[v1]",
    ),
    (
        "install fails: sick",
        "V1 @sick D SR AI! SR AR [v1] AF C only[v1]",
    ),
    (
        "install fails, nothing before",
        "@dies D SR AI! SR AR [] AF C only[]",
    ),
    (
        "a query fails in another module",
        "V1 @v2 D SR AI NR SR AR [v1] AF C only[v1]",
    ),
    (
        "same artifact again",
        "V1 @v1 D SR AI NR [v1] AC C only[v1]",
    ),
    (
        "3.4 commit killed, commit again",
        "V1 @v2 D SR AI NR AC~committed [v2] AC C only[v2]",
    ),
    (
        "C++ commit killed, rolled back",
        "V1 @v2 P S AI NR SR AC~committed [v2] AR [v1] AF C only[v1]",
    ),
    (
        "client forgets a killed install, new one",
        "V1 @v2 D SR AI~waiting @v3 D [v1] SR AI NR [v3] AC C only[v3]",
    ),
    (
        "client killed in download, new install",
        "V1 @v2 D^fetched @v2 D SR AI NR [v2] AC C only[v2]",
    ),
    (
        "client killed in install, module goes on",
        "V1 @v2 D SR AI^waiting settled [v2] @v3 D SR AI NR [v3] SR AR [v1] C only[v1]",
    ),
];

/// The same in managed mode, where a daemon that comes back asks for what its journal says.
const MANAGED: &[(&str, &str)] = &[
    ("3.4 success", "V1 @v2 D SR AI NR AC [v2] C only[v2]"),
    ("C++ success", "V1 @v2 P D AI NR AC [v2] C only[v2]"),
    ("download fails", "V1 @missing D! C only[v1]"),
    (
        "3.4 install fails",
        "V1 @dies D SR AI! AR NR [v1] AF C only[v1]",
    ),
    (
        "C++ install fails",
        "V1 @dies P D AI! SR AR NR AF C only[v1]",
    ),
    (
        "commit fails: died on trial",
        "V1 @short D SR AI NR [short] later AC! AR NR [v1] AF C only[v1]",
    ),
    ("killed in download", "V1 @v2 D^fetching C only[v1]"),
    (
        "killed in install, which still runs",
        "V1 @slow D SR AI^waiting AR [v1] NR AF C only[v1]",
    ),
    (
        "killed in install, C++",
        "V1 @slow P D AI^waiting SR AR [v1] NR AF C only[v1]",
    ),
    (
        "killed in commit",
        "V1 @v2 D SR AI NR AC~committed AR [v1] NR AF C only[v1]",
    ),
    (
        "killed in rollback",
        "V1 @v2 D SR AI NR AR~stopping AR [v1] NR AF C only[v1]",
    ),
    (
        "killed in cleanup",
        "V1 @v2 D SR AI NR AC C~removing C only[v2]",
    ),
    (
        "rollback never came through: killed before it recorded anything",
        "V1 @v2 D SR AI NR AF [v1] C only[v1]",
    ),
    (
        "aborted by the server",
        "V1 @v2 D SR AI NR AR [v1] NR AF C only[v1]",
    ),
    ("timeout in download", "V1 @drip D/fetching C only[v1]"),
    (
        "timeout in install",
        "V1 @slow D SR AI/waiting SR AR [v1] AF C only[v1]",
    ),
];

/// Kill -9 of the module in every state, then every way a client, a person or a boot may go on.
const KILLS: &[(&str, &str)] = &[
    (
        "download, new one",
        "V1 @v2 D~created @v3 D SR AI [v3] AC C only[v3]",
    ),
    ("download, cleanup", "V1 @v2 D~created [v1] C only[v1]"),
    (
        "download, again",
        "V1 @v2 D~fetching D AI [v2] AC C only[v2]",
    ),
    (
        "install prepared, again",
        "V1 @v2 D AI~preparing AI [v2] AC C only[v2]",
    ),
    (
        "install stopping, again",
        "V1 @v2 D AI~stopping AI [v2] AC C only[v2]",
    ),
    (
        "install waiting, again",
        "V1 @v2 D AI~waiting AI [v2] AC C only[v2]",
    ),
    (
        "install prepared, rollback",
        "V1 @v2 D AI~preparing AR [v1] AF C only[v1]",
    ),
    (
        "install stopping, rollback",
        "V1 @v2 D AI~stopping AR [v1] AF C only[v1]",
    ),
    (
        "install starting, rollback",
        "V1 @v2 D AI~starting AR [v1] AF C only[v1]",
    ),
    (
        "install waiting, rollback",
        "V1 @v2 D AI~waiting AR [v1] AF C only[v1]",
    ),
    (
        "install waiting, failure",
        "V1 @v2 D AI~waiting AF [v1] C only[v1]",
    ),
    ("install waiting, cleanup", "V1 @v2 D AI~waiting C only[v1]"),
    (
        "install waiting, commit is refused",
        "V1 @v2 D AI~waiting AC! AR [v1] AF C only[v1]",
    ),
    (
        "install over a trial, rollback",
        "V1 @v2 D AI @v3 D AI~stopping AR [v1] C only[v1]",
    ),
    (
        "rollback going back, again",
        "V1 @v2 D AI AR~going AR [v1] AR [v1] C only[v1]",
    ),
    (
        "rollback starting, failure",
        "V1 @v2 D AI AR~starting AF [v1] C only[v1]",
    ),
    (
        "rollback starting, cleanup",
        "V1 @v2 D AI AR~starting C only[v1]",
    ),
    (
        "rollback starting, new download",
        "V1 @v2 D AI AR~starting @v3 D [v1] AI AC C only[v3]",
    ),
    ("commit, cleanup", "V1 @v2 D AI AC~committed C only[v2]"),
    (
        "commit, new download",
        "V1 @v2 D AI AC~committed @v3 D [v2] AI [v3] AR [v2] C only[v2]",
    ),
    (
        "cleanup, new download",
        "V1 @v2 D AI AC C~removing @v3 D AI [v3] AC C only[v3]",
    ),
];

/// Kill -9 of monitors: the next call or boot sees to it that the right containers run.
const MONITORS: &[(&str, &str)] = &[
    ("idle, cleanup", "V1 kill-monitors C only[v1]"),
    ("idle, boot", "V1 kill-monitors boot only[v1]"),
    (
        "idle, new deployment",
        "V1 kill-monitors @v2 D [v1] AI AC C only[v2]",
    ),
    ("prepared", "V1 @v2 D kill-monitors AI [v2] AC C only[v2]"),
    (
        "install, with the module",
        "V1 @v2 D AI~waiting kill-monitors AR [v1] AF C only[v1]",
    ),
    (
        "switch, with the module",
        "V1 @v2 D AI~stopping kill-monitors AR [v1] AF C only[v1]",
    ),
    (
        "preparation, with the module",
        "V1 @v2 D AI~preparing kill-monitors AI [v2] AC C only[v2]",
    ),
    (
        "trial, commit",
        "V1 @v2 D AI kill-monitors AC [v2] C only[v2]",
    ),
    (
        "trial, rollback",
        "V1 @v2 D AI kill-monitors AR [v1] C only[v1]",
    ),
    (
        "commit, rolled back",
        "V1 @v2 D AI AC~committed kill-monitors AR [v1] C only[v1]",
    ),
    (
        "rollback, with the module",
        "V1 @v2 D AI AR~starting kill-monitors AR [v1] C only[v1]",
    ),
];

/// The power goes, and `dray boot` comes before any client.
const CUTS: &[(&str, &str)] = &[
    ("nothing open", "V1 cut [] boot only[v1]"),
    ("nothing ever installed", "boot [] C"),
    (
        "during a download",
        "V1 @v2 D~created cut boot only[v1] C only[v1]",
    ),
    ("prepared", "V1 @v2 D cut boot only[v1] AI! AR C only[v1]"),
    (
        "during an install",
        "V1 @v2 D AI~starting cut boot only[v1] AR [v1] AF C only[v1]",
    ),
    (
        "during the health wait",
        "V1 @v2 D AI~waiting cut boot only[v1] AR AF C only[v1]",
    ),
    (
        "on trial, committed later",
        "V1 @v2 D AI cut boot [v2] AC C only[v2]",
    ),
    (
        "on trial, rolled back later",
        "V1 @v2 D AI cut boot [v2] AR [v1] C only[v1]",
    ),
    (
        "in commit, rolled back later",
        "V1 @v2 D AI AC~committed cut boot [v2] AR [v1] AF C only[v1]",
    ),
    (
        "in commit, booted twice, cleaned up later",
        "V1 @v2 D AI AC~committed cut boot cut boot [v2] C only[v2]",
    ),
    (
        "in rollback",
        "V1 @v2 D AI AR~stopping cut boot only[v1] AR [v1] AF C only[v1]",
    ),
    (
        "in cleanup",
        "V1 @v2 D AI AC C~removing cut boot [v2] C only[v2]",
    ),
    ("booted twice", "V1 cut boot boot only[v1]"),
    (
        "stopped by a person before",
        "V1 stop [] cut boot [] C has[v1]",
    ),
];

/// Everything twice, and in orders that no client has.
const REPEATS: &[(&str, &str)] = &[
    (
        "every verb twice",
        "V1 @v2 D D [v1] SR SR AI AI [v2] NR AC AC [v2] C C only[v2]",
    ),
    (
        "rollback twice",
        "V1 @v2 D AI AR AR AF AF [v1] C C only[v1]",
    ),
    (
        "rollback when nothing was ever installed",
        "@v1 AR [] AF C only[]",
    ),
    (
        "rollback when nothing is open",
        "V1 AR [v1] AF [v1] C only[v1]",
    ),
    (
        "rollback of what was only downloaded",
        "V1 @v2 D AR only[v1] C only[v1]",
    ),
    (
        "rollback without a tree",
        "V1 @v2 D AI rm-tree AR [v1] AF C only[v1]",
    ),
    (
        "commit and cleanup without a tree",
        "V1 @v2 D AI rm-tree AC C only[v2]",
    ),
    ("install without download", "V1 @v2 AI! [v1] AR C only[v1]"),
    (
        "install of another artifact than was prepared",
        "V1 @v2 D @v3 AI! [v1] AR C only[v1]",
    ),
    (
        "commit when nothing is on trial",
        "V1 @v2 AC! D AC! AR C only[v1]",
    ),
    ("commit again after cleanup", "V1 AC C only[v1]"),
    (
        "cleanup of a trial keeps it",
        "V1 @v2 D AI C [v2] has[v1,v2] AR [v1] C only[v1]",
    ),
    (
        "states that mean nothing here",
        "V1 @v2 D AI other [v2] AC C only[v2]",
    ),
];

#[test]
fn standalone_orders() {
    all(STANDALONE);
}

#[test]
fn managed_orders() {
    all(MANAGED);
}

#[test]
fn kills() {
    all(KILLS);
}

#[test]
fn killed_monitors() {
    all(MONITORS);
}

#[test]
fn power_cuts_and_boots() {
    all(CUTS);
}

#[test]
fn repeats_and_surprises() {
    all(REPEATS);
}

/// Chains that are walked side by side: most of a chain's time is the window in which a container has to stay up.
const SIDE_BY_SIDE: usize = 4;

fn all(chains: &'static [(&'static str, &'static str)]) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                while let Some((name, chain)) = chains.get(next.fetch_add(1, Ordering::Relaxed)) {
                    on_device("states", move |device| walk(device, name, chain));
                }
            });
        }
    });
}

fn walk(device: &Device, name: &str, chain: &str) {
    let mut walk = Walk {
        device,
        tree: PathBuf::from("/nonexistent"),
        orphan: None,
        done: format!("{name}:"),
    };
    for word in chain.replace("V1 ", V1).split_whitespace() {
        walk.done.push(' ');
        walk.done.push_str(word);
        walk.step(word);
    }
}

/// Where a chain stands.
struct Walk<'a> {
    device: &'a Device,
    tree: PathBuf,
    orphan: Option<i32>,
    /// The words so far, for a failure.
    done: String,
}

impl Walk<'_> {
    fn step(&mut self, word: &str) {
        let device = self.device;
        if let Some(artifact) = word.strip_prefix('@') {
            self.tree = device.tree(artifact, &meta_data(device, artifact));
        } else if let Some(versions) = word.strip_prefix("only[") {
            self.check_running(versions);
            self.check_present(versions);
        } else if let Some(versions) = word.strip_prefix("has[") {
            self.check_present(versions);
        } else if let Some(versions) = word.strip_prefix('[') {
            self.check_running(versions);
        } else {
            match word {
                "cut" => device.lose_power(),
                "boot" => {
                    let boot = device.dray(&["boot"]);
                    assert!(boot.succeeded(), "{}: {boot:?}", self.done);
                }
                "kill-monitors" => device.kill_monitors(),
                "stop" => {
                    let stopped = device.dray(&["stop", "web"]);
                    assert!(stopped.status.success(), "{}: {stopped:?}", self.done);
                }
                "rm-tree" => std::fs::remove_dir_all(&self.tree).unwrap(),
                // The window of the artifact `short` is over, and so is its life.
                "later" => self.wait_until("nothing runs", |device| device.running().is_empty()),
                "settled" => {
                    let orphan = self.orphan.take().unwrap();
                    self.wait_until("the orphan has ended", |_| {
                        !Path::new(&format!("/proc/{orphan}")).exists()
                    });
                }
                "other" => {
                    for state in [
                        "ArtifactReboot",
                        "ArtifactVerifyReboot",
                        "ArtifactRollbackReboot",
                        "Idle",
                        "",
                    ] {
                        let called = device.call(state, &self.tree);
                        assert!(
                            called.succeeded() && called.stderr.is_empty(),
                            "{state}: {called:?}"
                        );
                    }
                }
                _ => self.call(word),
            }
        }
    }

    fn call(&mut self, word: &str) {
        let (short, how) = word.split_at(word.find(['!', '~', '^', '/']).unwrap_or(word.len()));
        let (_, state, answer) = CALLS
            .iter()
            .find(|(name, ..)| *name == short)
            .unwrap_or_else(|| panic!("{word}"));
        let device = self.device;
        match how.split_at(how.len().min(1)) {
            ("~", line) => {
                let mut call = device.start(state, &self.tree);
                call.until(line);
                call.kill();
            }
            ("^", line) => {
                let mut client = device.start_by_client(state, &self.tree);
                client.until(line);
                self.orphan = client.children().first().copied();
                client.kill();
            }
            ("/", line) => {
                let mut call = device.start(state, &self.tree);
                call.until(line);
                self.terminate(call);
            }
            (bang, _) => {
                let called = device.call(state, &self.tree);
                assert_eq!(
                    called.status.success(),
                    bang.is_empty(),
                    "{}: {called:?}",
                    self.done
                );
                assert_eq!(called.stdout, *answer, "{}: {called:?}", self.done);
            }
        }
    }

    fn terminate(&self, call: Call) {
        let begun = Instant::now();
        call.signal(Signal::SIGTERM);
        let (status, said) = call.end();
        assert!(!status.success(), "{}: {said:?}", self.done);
        assert!(
            begun.elapsed() < Duration::from_secs(9),
            "{}: {said:?}",
            self.done
        );
        assert!(
            said.iter().any(|line| line.contains("SIGTERM")),
            "{}: {said:?}",
            self.done
        );
    }

    fn wait_until(&self, what: &str, holds: impl Fn(&Device) -> bool) {
        let begun = Instant::now();
        while !holds(self.device) {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "{}: still not: {what}",
                self.done
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn check_running(&self, versions: &str) {
        let versions: Vec<&str> = versions
            .trim_end_matches(']')
            .split(',')
            .filter(|v| !v.is_empty())
            .collect();
        assert_eq!(
            self.device.running(),
            versions,
            "{}: {:#?}",
            self.done,
            self.device.journal()
        );
    }

    fn check_present(&self, versions: &str) {
        let expected: Vec<&str> = versions
            .trim_end_matches(']')
            .split(',')
            .filter(|v| !v.is_empty())
            .collect();
        let mut found: Vec<String> = self
            .device
            .present()
            .into_iter()
            .map(|(_, version)| version)
            .collect();
        found.sort();
        assert_eq!(found, expected, "{}: containers", self.done);
        let deploy = self
            .device
            .pins()
            .into_iter()
            .filter(|pin| pin.starts_with("deploy-"))
            .count();
        assert_eq!(deploy, expected.len(), "{}: pins", self.done);
    }
}

fn meta_data(device: &Device, artifact: &str) -> String {
    let words = "--name web -p 127.0.0.1:8080:80";
    match artifact {
        "missing" => json!({"containers": [device.registry.name("shop/missing:1")], "run_args": words}),
        // Good for the window of a second, and dead soon after.
        "short" => {
            device.push("short", "sleep 3", json!({}));
            json!({"containers": [device.pinned("short")], "run_args": format!("{words} --restart no")})
        }
        // A byte now and then, for longer than any test waits.
        "drip" => {
            let image = device.push("drip", "exec sleep 100000", json!({}));
            let layers = image.blobs.iter().filter(|(digest, _)| **digest != image.config);
            // The other one is here already.
            let (layer, _) = layers.min_by_key(|(_, blob)| blob.len()).unwrap();
            let requests = On::Path(layer.to_string());
            device.registry.fault(requests, Fault::Drip(1000), usize::MAX);
            device.artifact("drip", words)
        }
        // On its way for longer than any test waits.
        "slow" => {
            let mut slow = device.artifact("v2", words);
            slow["dray"] = json!({"health": {"stable_s": 600}});
            slow
        }
        version => device.artifact(version, words),
    }
    .to_string()
}
