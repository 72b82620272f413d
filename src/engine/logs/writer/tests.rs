//! What ends up in the files of a log, and what is refused.

use std::path::PathBuf;

use super::*;

fn config(driver: &str, options: &[(&str, &str)]) -> LogConfig {
    let config = options
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    LogConfig {
        driver: driver.into(),
        config,
    }
}

fn writer(config: &LogConfig, dir: &Path) -> Writer {
    Writer::new(config, &About::default(), dir).unwrap()
}

fn folder(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("dray-logs-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

#[test]
fn lines_are_docker_s() {
    let dir = folder("json");
    let mut writer = writer(&config("", &[]), &dir);
    writer.write(Stream::Stdout, b"one\ntw", "T1").unwrap();
    writer.write(Stream::Stderr, b"e\"\x1b\n", "T2").unwrap();
    writer.write(Stream::Stdout, b"o\nrest", "T3").unwrap();
    writer.finish("T4").unwrap();
    let expected = concat!(
        r#"{"log":"one\n","stream":"stdout","time":"T1"}"#,
        "\n",
        r#"{"log":"e\"\u001b\n","stream":"stderr","time":"T2"}"#,
        "\n",
        r#"{"log":"two\n","stream":"stdout","time":"T3"}"#,
        "\n",
        r#"{"log":"rest","stream":"stdout","time":"T4"}"#,
        "\n",
    );
    assert_eq!(
        std::fs::read_to_string(dir.join("json.log")).unwrap(),
        expected
    );
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn long_lines_are_cut_and_memory_stays_bounded() {
    let dir = folder("long");
    let mut writer = writer(&config("local", &[]), &dir);
    writer
        .write(Stream::Stdout, &vec![b'x'; MAX_LINE * 2 + 1], "T")
        .unwrap();
    assert_eq!(writer.partial[0].len(), 1);
    writer.write(Stream::Stdout, b"\n", "T").unwrap();
    let text = std::fs::read_to_string(dir.join("local.log")).unwrap();
    let marks: Vec<_> = text.lines().map(|l| (&l[2..4], l.len())).collect();
    assert_eq!(
        marks,
        [("oP", MAX_LINE + 5), ("oP", MAX_LINE + 5), ("oF", 6)]
    );
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn files_stay_within_their_bounds() {
    for (files, expected) in [
        ("1", vec!["json.log"]),
        ("3", vec!["json.log", "json.log.1", "json.log.2"]),
    ] {
        let dir = folder(&format!("bounds{files}"));
        let mut writer = writer(
            &config("json-file", &[("max-size", "200"), ("max-file", files)]),
            &dir,
        );
        for line in 0..40 {
            writer
                .write(Stream::Stdout, format!("line {line}\n").as_bytes(), "T")
                .unwrap();
        }
        let mut names: Vec<_> = std::fs::read_dir(&dir)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, expected);
        for name in names {
            assert!(
                std::fs::metadata(dir.join(&name)).unwrap().len() <= 200,
                "{name}"
            );
        }
        assert!(
            std::fs::read_to_string(dir.join("json.log"))
                .unwrap()
                .contains("line 39")
        );
        std::fs::remove_dir_all(&dir).unwrap();
    }
}

#[test]
fn wrong_options_are_named() {
    let refused = |driver: &str, options: &[(&str, &str)]| {
        let config = config(driver, options);
        let refused = Writer::new(&config, &About::default(), Path::new("/nowhere"));
        refused.unwrap_err().to_string()
    };
    for (driver, option, value, said) in [
        ("json-file", "max-size", "0", "max-size"),
        ("json-file", "max-size", "many", "'many'"),
        ("local", "max-file", "0", "max-file"),
        ("local", "labels", "a", "'labels'"),
        ("json-file", "tag", "{{.Nobody}}", "\".Nobody\""),
        ("json-file", "env-regex", "(", "env-regex"),
    ] {
        let refused = refused(driver, &[(option, value)]);
        assert!(refused.contains(said), "{refused}");
    }
    assert_eq!(
        refused("fluentd", &[]),
        "logger: no log driver named 'fluentd' is registered; use json-file, local, none, syslog or journald"
    );
}

#[test]
fn attributes_and_the_tag_are_in_every_line() {
    let dir = folder("attributes");
    let config = config("json-file", &[("tag", "{{.DaemonName}}")]);
    let mut writer = writer(&config, &dir);
    writer.write(Stream::Stdout, b"one\n", "T1").unwrap();
    assert_eq!(
        std::fs::read_to_string(dir.join("json.log")).unwrap(),
        concat!(
            r#"{"log":"one\n","stream":"stdout","attrs":{"tag":"docker"},"time":"T1"}"#,
            "\n"
        )
    );
    std::fs::remove_dir_all(&dir).unwrap();
}
