//! Logs that are read while they are rotated, compressed, damaged and torn.

use std::path::Path;

use super::super::{About, Stream, Writer};
use super::*;
use crate::api::LogConfig;
use crate::sys::fs;

fn texts(filter: &Filter, logs: &Path) -> Vec<String> {
    let mut texts = Vec::new();
    read(logs, filter, |entry| {
        texts.push(entry.text);
        Ok(())
    })
    .unwrap();
    texts
}

#[test]
fn what_is_written_is_read_in_order_across_rotations() {
    for (driver, compress) in [
        ("json-file", "false"),
        ("json-file", "true"),
        ("local", "false"),
        ("local", "true"),
    ] {
        let dir = std::env::temp_dir().join(format!(
            "dray-logs-read-{}-{driver}-{compress}",
            std::process::id()
        ));
        std::fs::create_dir_all(&dir).unwrap();
        let options = [
            ("max-size".to_owned(), "120".to_owned()),
            ("max-file".to_owned(), "9".to_owned()),
            ("compress".to_owned(), compress.to_owned()),
        ];
        let config = LogConfig {
            driver: driver.into(),
            config: options.into_iter().collect(),
        };
        let mut writer = Writer::new(&config, &About::default(), &dir).unwrap();
        let line = |n: u32| format!("line {n}\n");
        for n in 0..5 {
            writer
                .write(Stream::Stdout, line(n).as_bytes(), &format!("T{n}"))
                .unwrap();
        }
        assert_eq!(
            texts(&Filter::default(), &dir),
            (0..5).map(line).collect::<Vec<_>>(),
            "{driver}"
        );
        let last = Filter {
            tail: Some(2),
            ..Filter::default()
        };
        assert_eq!(texts(&last, &dir), [line(3), line(4)]);
        let between = Filter {
            since: Some("T1".into()),
            until: Some("T2".into()),
            tail: None,
        };
        assert_eq!(texts(&between, &dir), [line(1), line(2)]);

        let mut follow = read(&dir, &Filter::default(), |_| Ok(())).unwrap();
        for n in 5..11 {
            writer
                .write(Stream::Stderr, line(n).as_bytes(), "T")
                .unwrap();
        }
        let mut more = Vec::new();
        follow
            .more(|entry| {
                more.push((entry.stream, entry.text));
                Ok(())
            })
            .unwrap();
        assert_eq!(
            more,
            (5..11)
                .map(|n| (Stream::Stderr, line(n)))
                .collect::<Vec<_>>(),
            "{driver}"
        );
        let until = Filter {
            until: Some("T3".into()),
            ..Filter::default()
        };
        let mut follow = read(&dir, &until, |_| Ok(())).unwrap();
        for time in ["T3", "T4"] {
            writer
                .write(Stream::Stdout, time.as_bytes(), time)
                .and_then(|()| writer.finish(time))
                .unwrap();
        }
        let mut more = Vec::new();
        follow
            .more(|entry| {
                more.push(entry.text);
                Ok(())
            })
            .unwrap();
        assert_eq!(more, ["T3"], "{driver}");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}

#[test]
fn a_damaged_packed_file_costs_what_is_lost_of_it_and_no_more() {
    let dir = std::env::temp_dir().join(format!("dray-logs-damaged-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let options = [("max-size", "120"), ("max-file", "9"), ("compress", "true")];
    let config = LogConfig {
        driver: "json-file".into(),
        config: options.map(|(k, v)| (k.into(), v.into())).into(),
    };
    let mut writer = Writer::new(&config, &About::default(), &dir).unwrap();
    let mut write = |n: u32| {
        let line = format!("line {n}\n");
        writer.write(Stream::Stdout, line.as_bytes(), "T").unwrap();
    };
    (0..10).for_each(&mut write);
    let mut all = texts(&Filter::default(), &dir);
    let packed = |number: u32| dir.join(format!("json.log.{number}.gz"));
    let length = |path: &Path| std::fs::metadata(path).unwrap().len();
    let cut = |path: &Path, left: u64| {
        let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        file.set_len(left).unwrap();
    };
    // Two lines are in each. Without its check sum a file is damaged, but has every line.
    let sum_is_lost = length(&packed(1)) - 8;
    cut(&packed(1), sum_is_lost);
    cut(&packed(2), 0);
    fs::replace(&packed(3), 0o600, &[0; 100]).unwrap();
    all.drain(2..6);
    let mut left = Vec::new();
    let mut follow = read(&dir, &Filter::default(), |entry| {
        left.push(entry.text);
        Ok(())
    })
    .unwrap();
    assert_eq!(left, all);
    let damage = follow.take_damage();
    let names = [packed(3), packed(2), packed(1)].map(|path| path.display().to_string());
    assert_eq!(damage.len(), names.len(), "{damage:?}");
    for (said, name) in damage.iter().zip(names) {
        assert!(said.contains(&name), "{said}");
    }
    (10..14).for_each(&mut write);
    let mut more = Vec::new();
    follow
        .more(|entry| {
            more.push(entry.text);
            Ok(())
        })
        .unwrap();
    assert_eq!(
        more,
        (10..14).map(|n| format!("line {n}\n")).collect::<Vec<_>>()
    );
    assert!(follow.take_damage().is_empty());
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_torn_line_is_passed_over() {
    let dir = std::env::temp_dir().join(format!("dray-logs-torn-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let text = "{\"log\":\"a\n{\"log\":\"b\\n\",\"stream\":\"stdout\",\"time\":\"T\"}\n{\"log\":";
    fs::replace(&dir.join("json.log"), 0o600, text.as_bytes()).unwrap();
    assert_eq!(texts(&Filter::default(), &dir), ["b\n"]);
    std::fs::remove_dir_all(&dir).unwrap();
}
