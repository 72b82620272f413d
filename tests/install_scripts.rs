//! State scripts around the states of `dray install`, `commit` and `rollback`: which run, in which order, and what becomes of
//! an install when one fails; beside Debian's client 3.4, with the same artifacts.
#![cfg(feature = "device")]
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a broken set-up should panic; test files need no durable writer"
)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::device::on_device;
use common::mender::Client;
use common::scripted::{Scripted, alone, artifact, script};
use dray::standalone;
use serde_json::{Value, json};

/// Every state that an artifact can bring scripts for.
const STATES: [&str; 6] = [
    "ArtifactInstall",
    "ArtifactReboot",
    "ArtifactCommit",
    "ArtifactRollback",
    "ArtifactRollbackReboot",
    "ArtifactFailure",
];

const ACTIONS: [&str; 3] = ["Enter", "Leave", "Error"];

/// Where scripts of both devices lie before they are in an artifact, and what they note.
struct Made<'a> {
    ours: &'a Scripted,
    words: Vec<String>,
}

impl<'a> Made<'a> {
    /// Scripts for everything, for the artifact and for the device. Each notes its name, and does what the file `run-NAME` says.
    fn new(ours: &'a Scripted) -> Made<'a> {
        let mut made = Made {
            ours,
            words: Vec::new(),
        };
        for action in ACTIONS {
            for state in STATES {
                let path = made.script(&format!("{state}_{action}_00"));
                made.words
                    .extend(["-s".to_owned(), path.to_str().unwrap().to_owned()]);
            }
            let name = format!("Download_{action}_00");
            let path = made.script(&name);
            let folder = ours.host.mender.join("scripts");
            fs::create_dir_all(&folder).unwrap();
            fs::copy(path, folder.join(&name)).unwrap();
        }
        made
    }

    fn script(&self, name: &str) -> PathBuf {
        let here = self.ours.scratch.path().display();
        let path = self.ours.scratch.join(name);
        let text = format!(
            "#!/bin/sh\nhere={here}\necho {name} >> $here/calls\n[ ! -f $here/run-{name} ] || . $here/run-{name}\n"
        );
        script(&path, &text);
        path
    }

    fn artifact(&self, name: &str) -> PathBuf {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        artifact(&self.ours.scratch, name, &words)
    }

    /// What that state or script does from now on.
    fn does(&self, name: &str, text: &str) {
        fs::write(self.ours.scratch.join(&format!("run-{name}")), text).unwrap();
    }

    fn does_nothing(&self) {
        for entry in fs::read_dir(self.ours.scratch.path()).unwrap() {
            let path = entry.unwrap().path();
            if path
                .file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with("run-")
            {
                fs::remove_file(path).unwrap();
            }
        }
    }

    /// The scripts and states so far in short words, without queries.
    fn ran(&self) -> String {
        let calls = self.ours.calls();
        let calls = calls.iter().map(|call| call.split(':').next().unwrap());
        let short = calls.filter_map(|call| {
            let mut name = call.trim_end_matches("_00").to_owned();
            for (long, letter) in [
                ("DownloadWithFileSizes", "D"),
                ("Download", "D"),
                ("Artifact", ""),
                ("Install", "I"),
                ("Commit", "C"),
                ("Rollback", "R"),
                ("Failure", "F"),
                ("_Enter", "<"),
                ("_Leave", ">"),
                ("_Error", "!"),
            ] {
                name = name.replace(long, letter);
            }
            let is_query = ["ProvidePayloadFileSizes", "NeedsReboot", "SupportsR"];
            (!is_query.contains(&name.as_str())).then_some(name)
        });
        short.collect::<Vec<_>>().join(" ")
    }
}

/// What fails, the word, what runs (`<` before a state, `>` behind it, `!` its error), what Debian's client runs if that is
/// something else, whether the word succeeds, and the artifact's name afterwards.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    Option<&'static str>,
    bool,
    &'static str,
);

const ROWS: &[Row] = &[
    ("", "install", "D< D D> I< I I>", None, true, "old"),
    (
        "",
        "commit",
        "D< D D> I< I I> C< C C> Cleanup",
        None,
        true,
        "new",
    ),
    (
        "",
        "rollback",
        "D< D D> I< I I> R< R R> F< F F> Cleanup",
        // The C++ client goes through these states each time.
        Some("D< D D> I< I I> R< R R> Cleanup"),
        true,
        "old",
    ),
    (
        "Download_Enter_00",
        "install",
        "D< D! Cleanup",
        Some("D< D!"),
        false,
        "old",
    ),
    ("Download", "install", "D< D D! Cleanup", None, false, "old"),
    (
        "Download_Leave_00",
        "install",
        "D< D D> D! Cleanup",
        None,
        false,
        "old",
    ),
    (
        "ArtifactInstall_Enter_00",
        "install",
        "D< D D> I< I! R< R R> F< F F> Cleanup",
        None,
        false,
        "old",
    ),
    (
        "ArtifactInstall",
        "install",
        "D< D D> I< I I! R< R R> F< F F> Cleanup",
        None,
        false,
        "old",
    ),
    (
        "ArtifactInstall_Leave_00",
        "install",
        "D< D D> I< I I> I! R< R R> F< F F> Cleanup",
        None,
        false,
        "old",
    ),
    (
        "ArtifactCommit_Enter_00",
        "commit",
        "D< D D> I< I I> C< C! R< R R> F< F F> Cleanup",
        None,
        false,
        "old",
    ),
    (
        "ArtifactCommit",
        "commit",
        "D< D D> I< I I> C< C C! R< R R> F< F F> Cleanup",
        None,
        false,
        "old",
    ),
    (
        "ArtifactCommit_Leave_00",
        "commit",
        "D< D D> I< I I> C< C C> Cleanup",
        // The C++ client has no error of a commit that is made.
        Some("D< D D> I< I I> C< C C> C! Cleanup"),
        false,
        "new_INCONSISTENT",
    ),
    (
        "ArtifactRollback_Enter_00",
        "rollback",
        "D< D D> I< I I> R< R R> F< F F> Cleanup",
        None,
        false,
        "new_INCONSISTENT",
    ),
    (
        "ArtifactRollback",
        "rollback",
        "D< D D> I< I I> R< R R> F< F F> Cleanup",
        None,
        false,
        "new_INCONSISTENT",
    ),
];

#[test]
fn scripts_run_where_debians_client_runs_them() {
    let _alone = alone();
    on_device("scripts", |device| {
        let client = Client::new(device, &json!({}));
        let ours = Scripted::new("scripts-ours");
        let made = Made::new(&ours);
        fs::copy(
            ours.scratch.join("module"),
            "/usr/share/mender/modules/v3/docker",
        )
        .unwrap();
        let folder = Path::new("/etc/mender/scripts");
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("version"), "3\n").unwrap();
        for action in ACTIONS {
            let name = format!("Download_{action}_00");
            fs::copy(ours.scratch.join(&name), folder.join(name)).unwrap();
        }
        for (number, (fails, word, runs, theirs, succeeds, name)) in ROWS.iter().enumerate() {
            let (old, new) = (format!("old{number}"), format!("new{number}"));
            let name = name.replace("old", &old).replace("new", &new);
            let (plain, path) = (artifact(&ours.scratch, &old, &[]), made.artifact(&new));
            ours.word("install", &plain).unwrap();
            ours.word("commit", &plain).unwrap();
            assert_eq!(client.install(&plain).0, 0);
            assert_eq!(client.run(&["commit"]).status.code(), Some(0));
            made.ran();
            if !fails.is_empty() {
                made.does(fails, "exit 7\n");
                made.does(
                    &fails.replace("Download", "DownloadWithFileSizes"),
                    "exit 7\n",
                );
            }
            let (mut code, said) = client.install(&path);
            if *word != "install" {
                assert_eq!(code, 0, "{fails} {word}: {said}");
                code = client.run(&[word]).status.code().unwrap();
            }
            assert_eq!(made.ran(), theirs.unwrap_or(runs), "3.4: {fails} {word}");
            assert_eq!(code == 0, *succeeds, "3.4: {fails} {word}");
            let mut done = ours.word("install", &path);
            if *word != "install" {
                done = done.and_then(|_| ours.word(word, &path));
            }
            assert_eq!(made.ran(), *runs, "{fails} {word}");
            assert_eq!(done.is_ok(), *succeeds, "{fails} {word}: {done:?}");
            assert_eq!(ours.name(), name, "{fails} {word}");
            let is_open = standalone::pending(&ours.host).unwrap().is_some();
            assert_eq!(is_open, *word == "install" && *succeeds, "{fails} {word}");
            let kept = ours.host.state.join("standalone/scripts");
            assert_eq!(kept.exists(), is_open, "{fails} {word}");
            made.does_nothing();
            if is_open {
                ours.word("rollback", &path).unwrap();
                client.run(&["rollback"]);
            } else {
                assert_eq!(client.installed(), name, "{fails} {word}");
            }
        }
    });
}

/// What a script does, what Mender's settings say, whether the install succeeds, and what is said.
const MANNERS: &[(&str, &str, bool, &str)] = &[
    // The second time it has what it waits for.
    (
        "[ -e $here/ready ] || { touch $here/ready; exit 21; }\n",
        "{\"StateScriptRetryIntervalSeconds\": 1}",
        true,
        "wants to be run again later: waiting for 1 s",
    ),
    (
        "exit 21\n",
        "{\"StateScriptRetryIntervalSeconds\": 1, \"StateScriptRetryTimeoutSeconds\": 2}",
        false,
        "state script ArtifactInstall_Enter_00 wants to be run again later, and the 2 s of StateScriptRetryTimeoutSeconds are over",
    ),
    (
        "mkfifo $here/never; read -r line < $here/never\n",
        "{\"StateScriptTimeoutSeconds\": 1}",
        false,
        "state script ArtifactInstall_Enter_00 was ended, as it took longer than the 1 s of StateScriptTimeoutSeconds",
    ),
    (
        "kill -9 $$\n",
        "{}",
        false,
        "state script ArtifactInstall_Enter_00 failed: signal: 9 (SIGKILL)",
    ),
    ("exit 0\n", "{\"StateScriptTimeoutSeconds\": 0}", true, ""),
    (
        "exit 0\n",
        "{\"StateScriptTimeoutSeconds\": \"1h\"}",
        false,
        "mender.conf: StateScriptTimeoutSeconds must be a number of seconds",
    ),
];

#[test]
fn scripts_may_ask_for_time_and_get_what_the_settings_say() {
    let _alone = alone();
    for (text, settings, succeeds, said) in MANNERS {
        let ours = Scripted::new("manners");
        let made = Made::new(&ours);
        let path = made.artifact("new");
        made.does("ArtifactInstall_Enter_00", text);
        let conf = ours.host.mender.join("mender.conf");
        fs::write(&conf, settings).unwrap();
        let (done, lines) = ours.told("install", &path);
        assert_eq!(done.is_ok(), *succeeds, "{text}: {done:?}");
        let mut all = lines.join("\n");
        if let Err(error) = done {
            all += &format!("\n{error}");
        }
        assert!(all.contains(said), "{text}: {all}");
        let runs = lines
            .iter()
            .filter(|line| line.starts_with("running state script ArtifactInstall_E"));
        assert!(runs.count() <= 3, "{all}");
    }
}

/// What is wrong with the device's own scripts, and what is said; an error that ends the install, or a line beside it.
#[test]
fn what_is_not_run_is_said() {
    let _alone = alone();
    type Spoil = fn(&Path);
    let rows: [(Spoil, bool, &str); 4] = [
        (
            |folder| fs::write(folder.join("version"), "4").unwrap(),
            false,
            "scripts/version: these state scripts are of version \"4\", and those of versions 2 and 3 are run",
        ),
        (
            |folder| {
                fs::write(folder.join("Download_Enter_01_text"), "")
                    .map(drop)
                    .unwrap()
            },
            true,
            "Download_Enter_01_text is not executable, and not run",
        ),
        (
            |folder| script(&folder.join("Download_Enter_01"), "#!/no/such/shell\n"),
            false,
            "state script Download_Enter_01 could not be run: No such file or directory",
        ),
        // Other names are other things.
        (
            |folder| script(&folder.join("Download_Enter_1"), "#!/bin/sh\nexit 1\n"),
            true,
            "",
        ),
    ];
    for (spoil, succeeds, said) in rows {
        let ours = Scripted::new("spoilt");
        let made = Made::new(&ours);
        spoil(&ours.host.mender.join("scripts"));
        let (done, lines) = ours.told("install", &made.artifact("new"));
        assert_eq!(done.is_ok(), succeeds, "{said}: {done:?}");
        let all = format!(
            "{}\n{done:?}\n{}",
            lines.join("\n"),
            done.as_ref().map_or_else(ToString::to_string, Clone::clone)
        );
        assert!(all.contains(said), "{all}");
        assert_eq!(standalone::pending(&ours.host).unwrap().is_some(), succeeds);
    }
}

/// They come in the order of their names, several for one side of a state, and the first that fails is the last.
#[test]
fn scripts_of_one_state_come_in_order() {
    let _alone = alone();
    let ours = Scripted::new("order");
    let mut made = Made::new(&ours);
    made.words.clear();
    for name in [
        "ArtifactInstall_Enter_10",
        "ArtifactInstall_Enter_02_b",
        "ArtifactInstall_Enter_02_a",
        "ArtifactInstall_Error_01",
        "ArtifactInstall_Error_00_x",
    ] {
        let path = made.script(name);
        made.words
            .extend(["-s".to_owned(), path.to_str().unwrap().to_owned()]);
    }
    made.does("ArtifactInstall_Enter_02_b", "exit 1\n");
    // What follows an error is run to its end, whatever became of the first.
    made.does("ArtifactInstall_Error_00_x", "exit 1\n");
    let said = ours
        .word("install", &made.artifact("new"))
        .unwrap_err()
        .to_string();
    assert_eq!(
        said,
        "state script ArtifactInstall_Enter_02_b failed: exit status: 1; what was installed before runs again"
    );
    assert_eq!(
        made.ran(),
        "D< D D> I<_02_a I<_02_b I!_00_x I!_01 R F Cleanup"
    );
}

/// What is cut between the commit and its end is committed; the scripts behind it run again.
#[test]
fn a_commit_that_is_recorded_is_finished_by_the_next_word() {
    let _alone = alone();
    for word in ["install", "commit", "rollback"] {
        for fails in [false, true] {
            let ours = Scripted::new("behind");
            let made = Made::new(&ours);
            let (path, next) = (made.artifact("new"), artifact(&ours.scratch, "next", &[]));
            ours.word("install", &path).unwrap();
            let record = ours.host.state.join("standalone/artifact.json");
            let mut value: Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
            value["pending"]["stage"] = json!("Committed");
            value["provides"] = value["pending"]["provides"].clone();
            fs::write(&record, value.to_string()).unwrap();
            made.ran();
            if fails {
                made.does("ArtifactCommit_Leave_00", "exit 1\n");
            }
            let done = ours.word(word, &next);
            let rest = if word == "install" { " D< D D> I" } else { "" };
            assert_eq!(made.ran(), format!("C> Cleanup{rest}"), "{word}");
            let is_done = word == "install" || word == "commit" && !fails;
            assert_eq!(done.is_ok(), is_done, "{word}: {done:?}");
            assert_eq!(
                ours.name(),
                if fails { "new_INCONSISTENT" } else { "new" },
                "{word}"
            );
        }
    }
}
