use super::*;

fn folder(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("dray-journal-{}-{name}", std::process::id()));
    sys::fs::create_dirs(&dir).unwrap();
    dir
}

fn sample() -> Record {
    let generation = |number: u64| Generation {
        number,
        artifact: format!("release-{number}"),
        request: Some(Digest::of(format!("request {number}").as_bytes())),
        health: Health {
            timeout_s: 120,
            stable_s: 10,
        },
        services: vec![Service {
            container: format!("{number:064x}"),
            name: (number == 1).then(|| "web".to_owned()),
            image: "registry.example/shop/web:1.0".to_owned(),
            digest: Digest::of(b"web"),
        }],
    };
    Record {
        version: 1,
        state: State::Prepared,
        next: 4,
        committed: Some(generation(1)),
        previous: None,
        trial: Some(generation(2)),
        candidate: Some(generation(3)),
        unsettled: false,
        last: Some(Outcome {
            verb: "ArtifactInstall".to_owned(),
            failure: Some("container web exited with status 3".to_owned()),
        }),
    }
}

/// The file as version 1 wrote it; a later version must go on reading it.
const WRITTEN_BY_VERSION_1: &str = include_str!("v1.json");

#[test]
fn the_format_of_version_1_is_kept() {
    assert_eq!(
        Record::parse(WRITTEN_BY_VERSION_1.as_bytes()).unwrap(),
        sample()
    );
    assert_eq!(
        serde_json::to_string_pretty(&sample()).unwrap(),
        WRITTEN_BY_VERSION_1.trim_end()
    );
}

#[test]
fn what_is_not_a_journal_is_refused_by_name() {
    for (text, expected) in [
        (
            r#"{"version": 2, "shape": "new"}"#,
            "it has version 2, but this dray knows only 1: it was written by a later dray",
        ),
        (
            "",
            "it is damaged: EOF while parsing a value at line 1 column 0",
        ),
        (
            "\0\0\0\0",
            "it is damaged: expected value at line 1 column 1",
        ),
        (
            r#"{"version": 1}"#,
            "it is damaged: missing field `state` at line 1 column 14",
        ),
    ] {
        assert_eq!(
            Record::parse(text.as_bytes()).unwrap_err().to_string(),
            expected,
            "{text:?}"
        );
    }
}

#[test]
fn a_scope_without_journal_is_idle_and_what_is_written_is_read_back() {
    let dir = folder("round-trip");
    let scope = dir.join("deployments/shop");
    let mut journal = Journal::load(&scope).unwrap();
    assert!(!journal.exists());
    assert_eq!(*journal.record(), Record::default());
    assert!(!scope.exists(), "loading writes nothing");
    journal.update(|record| *record = sample()).unwrap();
    let again = Journal::load(&scope).unwrap();
    assert!(again.exists());
    assert_eq!(*again.record(), sample());
    sys::fs::remove_tree(&dir).unwrap();
}

#[test]
fn the_reserve_is_filled_once_and_can_be_spent() {
    let dir = folder("reserve").join("deployments/shop");
    let journal = Journal::load(&dir).unwrap();
    journal.refill().unwrap();
    let reserve = dir.join("reserve");
    assert_eq!(reserve.metadata().unwrap().len(), 256 << 10);
    let written = reserve.metadata().unwrap().modified().unwrap();
    journal.refill().unwrap();
    assert_eq!(
        reserve.metadata().unwrap().modified().unwrap(),
        written,
        "not written again"
    );
    journal.spend_reserve().unwrap();
    journal.spend_reserve().unwrap();
    assert!(!reserve.exists());
    sys::fs::remove_tree(dir.parent().unwrap().parent().unwrap()).unwrap();
}

#[test]
fn running_and_kept_generations_by_state() {
    use State::*;
    for (state, running) in [
        (Idle, Some(2)),
        (Downloading, Some(2)),
        (Prepared, Some(2)),
        (Trial, Some(2)),
        (Committed, Some(2)),
        (Switching, Some(1)),
        (RollingBack, Some(1)),
    ] {
        let record = Record { state, ..sample() };
        assert_eq!(record.running().map(|g| g.number), running, "{state:?}");
        assert_eq!(
            record.kept().map(|g| g.number).collect::<Vec<_>>(),
            [1, 2, 3]
        );
    }
    assert_eq!(Record::default().running(), None);
}

#[test]
fn an_update_that_cannot_be_written_changes_nothing() {
    let dir = folder("unwritable");
    let mut journal = Journal::load(&dir).unwrap();
    journal.update(|record| record.next = 5).unwrap();
    // A folder under the file's name: the rename fails whoever we are.
    sys::fs::remove_file(&dir.join("journal.json")).unwrap();
    sys::fs::create_dirs(&dir.join("journal.json/in the way")).unwrap();
    let error = journal.update(|record| record.next = 6).unwrap_err();
    assert!(
        error.to_string().starts_with("failed to write /"),
        "{error}"
    );
    assert_eq!(journal.record().next, 5);
    sys::fs::remove_tree(&dir).unwrap();
}

#[test]
fn a_damaged_journal_is_kept_for_a_reader() {
    let dir = folder("damaged");
    sys::fs::replace(&dir.join("journal.json"), 0o600, b"\0\0\0").unwrap();
    assert!(matches!(
        Journal::load(&dir),
        Err(JournalError::Parse { .. })
    ));
    assert!(!Journal::set_aside(&dir).unwrap().exists());
    assert_eq!(
        std::fs::read(dir.join("journal.damaged")).unwrap(),
        b"\0\0\0"
    );
    sys::fs::remove_tree(&dir).unwrap();
}

#[test]
fn a_failure_is_kept_short() {
    let dir = folder("note");
    let mut journal = Journal::load(&dir).unwrap();
    journal
        .note(Verb::Download, Some("x".repeat(5000)))
        .unwrap();
    let last = journal.record().last.clone().unwrap();
    assert_eq!(
        (last.verb.as_str(), last.failure.unwrap().len()),
        ("Download", 1000)
    );
    sys::fs::remove_tree(&dir).unwrap();
}
