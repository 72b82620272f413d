//! The states that `dray install`, `commit` and `rollback` call, in which order and with what on record: with a module that is
//! a script here, so that each state can be made to fail. The order is that of Mender's C++ client; what the device provides
//! afterwards is compared with Debian's client 3.4.
#![cfg(feature = "device")]
#![expect(
    clippy::disallowed_methods,
    reason = "test files need no durable writer"
)]

mod common;

use std::io::Read;
use std::path::Path;

use common::device::on_device;
use common::mender::Client;
use common::scripted::{Scripted, alone, artifact, script};
use dray::standalone::{self, StandaloneError};
use serde_json::{Value, json};

/// Short words for states; each is followed by the stage that has to be on record then, one of them.
const STATES: [(&str, &str); 9] = [
    ("P", "ProvidePayloadFileSizes:Download"),
    ("D", "DownloadWithFileSizes:Download"),
    ("AI", "ArtifactInstall:ArtifactInstall"),
    ("NR", "NeedsArtifactReboot:ArtifactInstall"),
    ("AC", "ArtifactCommit:ArtifactCommit"),
    ("AR", "ArtifactRollback:ArtifactRollback"),
    ("AF", "ArtifactFailure:ArtifactFailure"),
    ("C", "Cleanup:Cleanup"),
    ("CD", "Cleanup:Download"),
];

/// What is broken, the word, the calls, whether it succeeds, the name afterwards and how many installs are open then.
const ROWS: &[(&str, &str, &str, bool, &str)] = &[
    ("", "install", "P D AI NR SR", true, "factory"),
    ("", "commit", "P D AI NR SR AC C", true, "new"),
    ("", "rollback", "P D AI NR SR SR AR AF C", true, "factory"),
    (
        "fail-DownloadWithFileSizes",
        "install",
        "P D CD",
        false,
        "factory",
    ),
    (
        "fail-ArtifactInstall",
        "install",
        "P D AI SR AR AF C",
        false,
        "factory",
    ),
    (
        "answer-NeedsArtifactReboot",
        "install",
        "P D AI NR SR AR AF C",
        false,
        "factory",
    ),
    (
        "answer-SupportsRollback",
        "install",
        "P D AI NR SR SR AF C",
        false,
        "new_INCONSISTENT",
    ),
    (
        "fail-ArtifactCommit",
        "commit",
        "P D AI NR SR AC SR AR AF C",
        false,
        "factory",
    ),
    (
        "fail-ArtifactRollback",
        "rollback",
        "P D AI NR SR SR AR AF C",
        false,
        "new_INCONSISTENT",
    ),
    (
        "fail-ArtifactFailure",
        "rollback",
        "P D AI NR SR SR AR AF C",
        false,
        "new_INCONSISTENT",
    ),
    // What is committed stays so, whatever could not be removed.
    ("fail-Cleanup", "commit", "P D AI NR SR AC C", true, "new"),
];

#[test]
fn states_come_in_the_order_of_the_client() {
    let _alone = alone();
    for (broken, word, calls, succeeds, name) in ROWS {
        let device = Scripted::new("states");
        if let Some(state) = broken.strip_prefix("fail-") {
            std::fs::write(device.scratch.join(&format!("run-{state}")), "exit 7\n").unwrap();
        } else if !broken.is_empty() {
            std::fs::write(device.scratch.join(broken), "Maybe\n").unwrap();
        }
        let path = artifact(&device.scratch, "new", &[]);
        let mut done = device.word("install", &path);
        if *word != "install" {
            done = done.and_then(|_| device.word(word, &path));
        }
        assert_eq!(done.is_ok(), *succeeds, "{broken} {word}: {done:?}");
        let found: Vec<String> = device.calls();
        let wanted: Vec<&str> = calls.split(' ').collect();
        assert_eq!(found.len(), wanted.len(), "{broken} {word}: {found:?}");
        for (found, wanted) in found.iter().zip(wanted) {
            let state = STATES.iter().find(|(short, _)| *short == wanted);
            match state {
                Some((_, long)) => assert_eq!(found, long, "{broken} {word}"),
                // It is asked in every stage.
                None => assert!(
                    found.starts_with("SupportsRollback:"),
                    "{broken} {word}: {found}"
                ),
            }
        }
        assert_eq!(device.name(), *name, "{broken} {word}");
        let open = standalone::pending(&device.host).unwrap();
        assert_eq!(
            open.is_some(),
            *succeeds && *word == "install",
            "{broken} {word}: {open:?}"
        );
        if open.is_none() {
            for word in ["commit", "rollback"] {
                let refused = device.word(word, &path);
                assert!(
                    matches!(refused, Err(StandaloneError::Nothing(_))),
                    "{refused:?}"
                );
            }
        }
    }
}

/// The stage on record, and what each word makes of it: its calls, and what it says if it refuses.
const CUTS: &[(&str, [&str; 3])] = &[
    ("Download", ["C; nothing", "C; nothing", "C P D AI NR SR"]),
    (
        "ArtifactInstall",
        ["; cannot commit now", "SR AR AF C", "; in progress"],
    ),
    ("Installed", ["AC C", "SR AR AF C", "; in progress"]),
    ("ArtifactCommit", ["AC C", "SR AR AF C", "; in progress"]),
    (
        "ArtifactRollback",
        ["; cannot commit now", "SR AR AF C", "; in progress"],
    ),
    (
        "ArtifactFailure",
        ["; cannot commit now", "SR AR AF C", "; in progress"],
    ),
    ("Cleanup", ["C; nothing", "C", "C P D AI NR SR"]),
];

/// A cut is what is on record after it.
#[test]
fn every_word_knows_where_it_was_cut() {
    let _alone = alone();
    for (stage, outcomes) in CUTS {
        for (word, outcome) in ["commit", "rollback", "install"].iter().zip(outcomes) {
            let device = Scripted::new("cuts");
            let path = artifact(&device.scratch, "new", &[]);
            device.word("install", &path).unwrap();
            device.calls();
            let record = device.host.state.join("standalone/artifact.json");
            let text = std::fs::read_to_string(&record).unwrap();
            let text = text.replace(
                "\"stage\": \"Installed\"",
                &format!("\"stage\": \"{stage}\""),
            );
            std::fs::write(&record, text).unwrap();
            let done = device.word(word, &path);
            let (calls, refusal) = outcome.split_once("; ").unwrap_or((outcome, ""));
            let calls: Vec<&str> = calls.split_whitespace().collect();
            let found = device.calls();
            let short = |call: &String| {
                let name = call.split(':').next().unwrap();
                let is_it = |(_, long): &&(&str, &str)| long.split(':').next() == Some(name);
                STATES.iter().find(is_it).map_or("SR", |(short, _)| short)
            };
            let found: Vec<&str> = found.iter().map(short).collect();
            assert_eq!(found, calls, "{stage} {word}");
            match done {
                Ok(_) => assert_eq!(refusal, "", "{stage} {word}"),
                Err(error) => {
                    let said = error.to_string();
                    assert!(
                        !refusal.is_empty() && said.contains(refusal),
                        "{stage} {word}: {said}"
                    );
                    let is_nothing = matches!(error, StandaloneError::Nothing(_));
                    assert_eq!(is_nothing, refusal == "nothing", "{stage} {word}");
                }
            }
            let committed = *word == "commit" && refusal.is_empty();
            assert_eq!(
                device.name(),
                if committed { "new" } else { "factory" },
                "{stage} {word}"
            );
        }
    }
}

/// What says what is installed is not guessed.
#[test]
fn a_record_that_cannot_be_read_is_said() {
    let _alone = alone();
    let device = Scripted::new("damaged");
    let path = artifact(&device.scratch, "new", &[]);
    device.word("install", &path).unwrap();
    device.calls();
    let record = device.host.state.join("standalone/artifact.json");
    for (text, reason) in [
        ("", "it is damaged"),
        (
            "{\"version\": 1, \"provides\": 7, \"pending\": null}",
            "it is damaged",
        ),
        ("{\"version\": 2}", "it was written by a later dray"),
    ] {
        std::fs::write(&record, text).unwrap();
        for word in ["install", "commit", "rollback"] {
            let said = device.word(word, &path).unwrap_err().to_string();
            assert!(
                said.contains(reason) && said.contains("artifact.json"),
                "{said}"
            );
        }
        assert!(standalone::provides(&device.host).is_err());
        assert_eq!(device.calls(), [""; 0]);
        assert_eq!(std::fs::read_to_string(&record).unwrap(), text);
    }
}

/// Keeps what the tree says when files are to be taken.
const KEEP: &str = "case $1 in Download*) mkdir -p KEPT; cp -r $2/version $2/current_* $2/header KEPT; ls -F $2 > KEPT/list;; esac\n";

#[test]
fn the_work_tree_says_what_debians_client_says() {
    let _alone = alone();
    on_device("tree", |device| {
        let client = Client::new(device, &json!({}));
        let answers = "#!/bin/sh\n[ $1 != SupportsRollback ] || echo Yes\n";
        let ours = Scripted::new("tree-ours");
        let kept = |name: &str| ours.scratch.join(name);
        let keep = |name: &str| KEEP.replace("KEPT", kept(name).to_str().unwrap());
        let module = Path::new("/usr/share/mender/modules/v3/docker");
        script(module, &format!("{answers}{}", keep("theirs")));
        std::fs::write(kept("run-DownloadWithFileSizes"), keep("ours")).unwrap();
        for words in [
            &["-g", "beta"][..],
            &[
                "-d",
                "rootfs-image.docker.version:one",
                "-N",
                "one",
                "-p",
                "a:b",
                "-g",
                "stable",
            ],
            &["--no-default-software-version"],
        ] {
            let name = if words.len() == 2 { "one" } else { "two" };
            let path = artifact(&ours.scratch, name, words);
            assert_eq!(client.install(&path).0, 0, "{words:?}");
            assert_eq!(client.run(&["commit"]).status.code(), Some(0));
            ours.word("install", &path).unwrap();
            ours.word("commit", &path).unwrap();
            for file in [
                "version",
                "current_artifact_name",
                "current_device_type",
                "header/artifact_name",
                "header/artifact_group",
                "header/payload_type",
            ] {
                let text = |name: &str| std::fs::read_to_string(kept(name).join(file)).unwrap();
                assert_eq!(
                    text("ours").trim(),
                    text("theirs").trim(),
                    "{words:?} {file}"
                );
            }
            // Theirs comes from artifact_info alone; that of the C++ client from what was installed.
            let group = std::fs::read_to_string(kept("ours").join("current_artifact_group"));
            let wanted = match words[0] {
                "-g" => "",
                "-d" => "beta",
                _ => "stable",
            };
            assert_eq!(group.unwrap().trim(), wanted, "{words:?}");
            for file in ["header/header-info", "header/type-info", "header/meta-data"] {
                let value = |name: &str| -> Value {
                    let mut value =
                        serde_json::from_slice(&std::fs::read(kept(name).join(file)).unwrap())
                            .unwrap();
                    without_empty(&mut value);
                    value
                };
                assert_eq!(value("ours"), value("theirs"), "{words:?} {file}");
            }
            let list = |name: &str| std::fs::read_to_string(kept(name).join("list")).unwrap();
            assert_eq!(list("ours"), list("theirs"), "{words:?}");
        }
    });
}

/// The clients leave some empty things out, and write `null` for others.
fn without_empty(value: &mut Value) {
    if let Value::Object(object) = value {
        object.values_mut().for_each(without_empty);
        object.retain(|_, value| match value {
            Value::Null => false,
            Value::Object(inner) => !inner.is_empty(),
            Value::Array(inner) => !inner.is_empty(),
            _ => true,
        });
    }
}

/// Takes every file as Mender's documentation says how.
const TAKE: &str = r#"mkdir -p $here/taken
while line=$(head -n 1 $2/stream-next) && [ -n "$line" ]; do
    echo "$line" >> $here/lines
    cat $2/${line%% *} > $here/taken/$(basename ${line%% *})
done
"#;

#[test]
fn payload_files_come_through_the_pipes() {
    let _alone = alone();
    let device = Scripted::new("pipes");
    let mut random = vec![0; 3_000_000];
    std::fs::File::open("/dev/urandom")
        .unwrap()
        .read_exact(&mut random)
        .unwrap();
    let mut words = Vec::new();
    for (name, content) in [("one", &b"1"[..]), ("none", b""), ("large.tar", &random)] {
        let path = device.scratch.join(name);
        std::fs::write(&path, content).unwrap();
        words.extend(["-f".to_owned(), path.to_str().unwrap().to_owned()]);
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let path = artifact(
        &device.scratch,
        "new",
        &[&words[..], &["--compression", "none"]].concat(),
    );
    let take = |text: &str| {
        std::fs::write(device.scratch.join("run-DownloadWithFileSizes"), text).unwrap();
    };
    let nothing_open = || {
        assert_eq!(standalone::pending(&device.host).unwrap(), None);
        assert!(!device.host.state.join("standalone/tree").exists());
        assert_eq!(device.name(), "factory");
    };
    take(TAKE);
    device.word("install", &path).unwrap();
    for (name, content) in [("one", &b"1"[..]), ("none", b""), ("large.tar", &random)] {
        assert_eq!(
            std::fs::read(device.scratch.join(&format!("taken/{name}"))).unwrap(),
            content
        );
    }
    let lines = std::fs::read_to_string(device.scratch.join("lines")).unwrap();
    assert_eq!(
        lines,
        "streams/one 1\nstreams/none 0\nstreams/large.tar 3000000\n"
    );
    device.word("rollback", &path).unwrap();
    device.calls();

    let refused = |path: &Path, reason: &str| {
        let said = device.word("install", path).unwrap_err().to_string();
        assert!(said.contains(reason), "{said}");
        let calls = device.calls();
        assert_eq!(calls.last().unwrap(), "Cleanup:Download", "{calls:?}");
        assert_eq!(calls.len(), 3, "{calls:?}");
        nothing_open();
    };
    // Good up to the last file, which is not what the manifest says; and cut in it.
    let mut bytes = std::fs::read(&path).unwrap();
    let end = bytes.len() - 100_000;
    let bad = device.scratch.join("bad.mender");
    std::fs::write(&bad, &bytes[..end]).unwrap();
    refused(&bad, "data/0000/large.tar");
    bytes[end] ^= 1;
    std::fs::write(&bad, &bytes).unwrap();
    refused(&bad, "data/0000/large.tar");
    // What the module does not ask for is none of its own; a client would keep the files for it.
    take("exit 0\n");
    let (done, said) = device.told("install", &path);
    assert_eq!(done.unwrap(), "new");
    let line = "payload file \"one\" and what follows it is not for dray's module, and not kept";
    assert!(said.iter().any(|said| said == line), "{said:?}");
    device.word("rollback", &path).unwrap();
    device.calls();
    // They are as good as the others.
    refused(&bad, "data/0000/large.tar");
    take("exit 7\n");
    refused(
        &path,
        "DownloadWithFileSizes failed: the update module ended with exit status: 7",
    );
    take("line=$(head -n 1 $2/stream-next); head -c 1 $2/${line%% *} > /dev/null\n");
    refused(
        &path,
        "the update module ended without taking payload file \"none\"",
    );
    let first_two = TAKE.replace("[ -n \"$line\" ]", "[ \"$line\" = \"${line#*large}\" ]");
    take(&first_two);
    refused(
        &path,
        "the update module ended while payload file \"large.tar\" was handed over",
    );
}

/// Artifacts, one after another on the same device.
const RELEASES: &[(&str, &[&str])] = &[
    ("plain", &[]),
    ("shop", &["--software-name", "shop"]),
    (
        "data",
        &[
            "--software-filesystem",
            "data",
            "--software-name",
            "shop",
            "--software-version",
            "7",
        ],
    ),
    ("plain-2", &[]),
    ("more", &["-p", "a:1", "-p", "b.c:2", "-p", "b.d:3"]),
    ("group", &["-g", "beta"]),
    ("no-group", &[]),
    (
        "clears-b",
        &["--clears-provides", "b.*", "--no-default-clears-provides"],
    ),
    (
        "clears-middle",
        &["--clears-provides", "data.*.version", "-p", "x.y:1"],
    ),
    ("keeps-all", &["--no-default-clears-provides", "-p", "z:1"]),
    ("clears-group", &["--clears-provides", "artifact_group"]),
    ("group-again", &["-g", "stable"]),
    ("clears-name", &["--clears-provides", "artifact_name"]),
    ("same-key", &["--clears-provides", "z", "-p", "z:2"]),
    ("says-nothing", &["--no-default-software-version"]),
    ("after-nothing", &["-p", "a:1"]),
    ("clears-all", &["--clears-provides", "*", "-g", "beta"]),
    ("last", &[]),
];

#[test]
fn what_is_provided_is_what_debians_client_says() {
    let _alone = alone();
    on_device("provides", |device| {
        let client = Client::new(device, &json!({}));
        let answers = "#!/bin/sh\n[ $1 != SupportsRollback ] || echo Yes\n";
        script(Path::new("/usr/share/mender/modules/v3/docker"), answers);
        let ours = Scripted::new("provides-ours");
        for (name, words) in RELEASES {
            let path = artifact(&ours.scratch, name, words);
            let (code, said) = client.install(&path);
            assert_eq!(code, 0, "{name}: {said}");
            assert_eq!(client.run(&["commit"]).status.code(), Some(0), "{name}");
            let theirs = client.run(&["show-provides"]).stdout;
            let mut theirs: Vec<String> = theirs.lines().map(str::to_owned).collect();
            theirs.sort();
            ours.word("install", &path).unwrap();
            ours.word("commit", &path).unwrap();
            assert_eq!(ours.provides(), theirs, "{name}");
            assert_eq!(ours.name(), client.installed(), "{name}");
        }
    });
}
