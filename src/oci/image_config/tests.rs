use super::*;

/// As docker writes it.
const DOCKER: &str = r#"{
    "architecture": "arm64", "variant": "v8", "os": "linux", "created": "2024-05-03T19:47:36.1Z",
    "docker_version": "26.1", "container": "0123",
    "config": {
        "Hostname": "", "User": "web:www", "AttachStdin": false, "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
        "Env": ["PATH=/bin", "A=b=c"], "Entrypoint": ["/entry"], "Cmd": ["nginx", "-g"], "Image": "x",
        "Volumes": {"/data": {}}, "WorkingDir": "/srv", "OnBuild": null, "Labels": {"a": "b"},
        "StopSignal": "SIGQUIT", "Shell": ["/bin/bash", "-c"],
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 30000000000, "Retries": 3}
    },
    "rootfs": {"type": "layers", "diff_ids": [
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    ]},
    "history": [{"created": "2024-05-03T19:47:36Z", "created_by": "ADD x"}, {"empty_layer": true, "comment": "c"}]
}"#;

#[test]
fn reads_what_docker_writes() {
    let config = ImageConfig::parse(DOCKER.as_bytes()).unwrap();
    assert_eq!(config.platform.to_string(), "linux/arm64");
    assert_eq!(config.created.as_deref(), Some("2024-05-03T19:47:36.1Z"));
    assert_eq!(config.rootfs_diff_ids, [Digest::of(b"")]);
    assert_eq!(config.history.len(), 2);
    assert_eq!(config.history[0].created_by, "ADD x");
    assert!(config.history[1].empty_layer);
    let strings = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
    let expected = ImageDefaults {
        user: "web:www".to_owned(),
        exposed_ports: strings(&["53/udp", "80/tcp"]).into_iter().collect(),
        env: strings(&["PATH=/bin", "A=b=c"]),
        entrypoint: strings(&["/entry"]),
        cmd: strings(&["nginx", "-g"]),
        volumes: strings(&["/data"]).into_iter().collect(),
        working_dir: "/srv".to_owned(),
        labels: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
        stop_signal: "SIGQUIT".to_owned(),
        healthcheck: Some(Healthcheck {
            test: strings(&["CMD", "true"]),
            interval: 30_000_000_000,
            retries: 3,
            ..Healthcheck::default()
        }),
        shell: strings(&["/bin/bash", "-c"]),
    };
    assert_eq!(config.config, expected);
}

#[test]
fn nulls_and_absences_are_defaults() {
    for config in [
        "{}",
        "null",
        r#"{"User": null, "Env": null, "Cmd": null, "Entrypoint": null, "Labels": null, "Volumes": null,
            "ExposedPorts": null, "WorkingDir": null, "StopSignal": null, "Shell": null, "Healthcheck": null}"#,
    ] {
        let text = format!(
            r#"{{"os": "linux", "architecture": "amd64", "config": {config}, "history": null,
                "rootfs": {{"type": "layers", "diff_ids": null}}}}"#
        );
        let parsed =
            ImageConfig::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{config}: {error}"));
        assert_eq!(parsed.config, ImageDefaults::default());
        assert_eq!(
            (parsed.created, parsed.history, parsed.rootfs_diff_ids),
            (None, Vec::new(), Vec::new())
        );
    }
}

#[test]
fn refuses() {
    let with = |from: &str, to: &str| DOCKER.replacen(from, to, 1);
    let layers = vec![format!("\"{}\"", Digest::of(b"")); 500].join(",");
    for (text, reason) in [
        (
            with("\"layers\"", "\"squash\""),
            "root filesystem of type \"squash\", only \"layers\" is supported",
        ),
        (
            with("sha256:e3b0", "sha256:E3B0"),
            "does not have 64 lower-case hexadecimal digits",
        ),
        (
            with("[\"/entry\"]", "\"/entry\""),
            "failed to parse image configuration: invalid type: string",
        ),
        (with("\"rootfs\"", "\"rotfs\""), "missing field `rootfs`"),
        ("{}".to_owned(), "missing field `rootfs`"),
        ("[]".to_owned(), "failed to parse image configuration"),
        (
            format!(r#"{{"rootfs": {{"type": "layers", "diff_ids": [{layers}]}}}}"#),
            "lists 500 layers, more than the 499 allowed",
        ),
        (
            " ".repeat(4 << 20) + DOCKER,
            "more than the 4194304 allowed",
        ),
    ] {
        let refused = ImageConfig::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(refused.contains(reason), "{refused}");
    }
}
