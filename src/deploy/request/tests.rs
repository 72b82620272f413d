use super::*;

const PIN: &str = "registry.example/shop/web@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn host() -> Host {
    Host::at(std::path::Path::new("/nonexistent"))
}

fn payload(text: &str) -> Payload {
    Payload::parse(text.replace("PIN", PIN).as_bytes()).unwrap()
}

/// Upstream's form with these run args.
fn upstream(run_args: &str) -> Payload {
    payload(&serde_json::json!({"containers": ["PIN"], "run_args": run_args}).to_string())
}

fn only(payload: &Payload) -> Wanted {
    let mut all = wanted(payload, &host()).unwrap();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

#[test]
fn an_artifact_of_either_generator_becomes_what_docker_run_would_send() {
    let one = only(&upstream(
        "--name web -p 8080:80 -e 'GREETING=good day' --restart on-failure:3",
    ));
    assert_eq!(one.name.as_deref(), Some("web"));
    assert_eq!(one.image.to_string(), PIN);
    assert_eq!(one.body.config.image, PIN);
    assert_eq!(one.body.config.env, ["GREETING=good day"]);
    assert_eq!(
        one.body.host_config.port_bindings["80/tcp"][0].host_port,
        "8080"
    );
    assert_eq!(one.body.host_config.restart_policy.name, "on-failure");
    assert!(one.body.config.tty, "upstream runs docker run -dt");
    assert_eq!(one.notes, Vec::<String>::new());
}

#[test]
fn what_a_deployment_adds_to_the_words() {
    // run_args, restart policy, terminal, input open
    for (words, restart, tty, stdin) in [
        ("", "unless-stopped", true, false),
        ("--restart no", "no", true, false),
        ("--restart always", "always", true, false),
        ("-it", "unless-stopped", true, true),
        ("-d -t", "unless-stopped", true, false),
        ("--tty=false", "unless-stopped", false, false),
    ] {
        let one = only(&upstream(words));
        assert_eq!(one.body.host_config.restart_policy.name, restart, "{words}");
        assert_eq!(
            (one.body.config.tty, one.body.config.open_stdin),
            (tty, stdin),
            "{words}"
        );
    }
}

#[test]
fn services_have_their_own_words_names_and_commands_and_no_terminal() {
    let all = wanted(
        &payload(
            r#"{"containers": ["PIN"], "run_args": "-e A=1", "dray": {"services": [
                {"name": "web", "image": 0, "depends_on": ["db"]},
                {"name": "db", "image": 0, "run_args": "--name store -t", "command": ["serve", "--all"]}]}}"#,
        ),
        &host(),
    )
    .unwrap();
    let shown: Vec<_> = all
        .iter()
        .map(|w| {
            (
                w.label.as_str(),
                w.name.as_deref(),
                w.body.config.tty,
                w.body.config.cmd.clone(),
            )
        })
        .collect();
    let command = Some(vec!["serve".to_owned(), "--all".to_owned()]);
    assert_eq!(
        shown,
        [
            ("service \"db\"", Some("store"), true, command),
            ("service \"web\"", Some("web"), false, None),
        ]
    );
}

#[test]
fn rm_is_said_to_be_needless_and_left_out() {
    let one = only(&upstream("--rm --name web"));
    assert!(!one.body.host_config.auto_remove);
    assert_eq!(one.body.host_config.restart_policy.name, "unless-stopped");
    assert_eq!(one.notes.len(), 1);
    assert!(
        one.notes[0].contains("--rm is not needed"),
        "{}",
        one.notes[0]
    );
}

#[test]
fn what_contradicts_a_deployment_is_refused_by_name() {
    for (words, expected) in [
        (
            "--detach=false",
            "--detach=false cannot be used in a deployment",
        ),
        (
            "--cidfile /run/web.cid",
            "option --cidfile is not supported",
        ),
        ("--attach stdout", "attach"),
        ("--no-such-option", "--no-such-option"),
        ("--name 'web", "quot"),
        ("--platform a/b/c/d", "a/b/c/d"),
    ] {
        let error = wanted(&upstream(words), &host()).unwrap_err().to_string();
        assert!(error.contains(expected), "{words}: {error}");
        assert!(
            error.starts_with("run_args of image registry.example/shop/web@sha256:"),
            "{words}: {error}"
        );
        assert!(!error.contains('\n'), "{words}: {error}");
    }
}

#[test]
fn containers_of_one_artifact_share_neither_name_nor_port() {
    let pair = |run_args: &str| {
        payload(
            &serde_json::json!({"containers": ["PIN", "other:1"], "run_args": run_args})
                .to_string(),
        )
    };
    for (run_args, expected) in [
        ("--name web", Some("the name \"web\"")),
        ("-p 8080:80", Some("host port 8080/tcp")),
        ("-p 8080:80/udp", Some("host port 8080/udp")),
        ("-p 127.0.0.1:8080:80", Some("host port 8080/tcp")),
        ("-p 80", None),
        ("-p 8080-8090:80", None),
        ("", None),
    ] {
        let result = wanted(&pair(run_args), &host());
        match expected {
            Some(text) => {
                let error = result.unwrap_err().to_string();
                assert!(
                    error.starts_with("two containers of this artifact") && error.contains(text),
                    "{run_args}: {error}"
                );
            }
            None => assert_eq!(result.unwrap().len(), 2, "{run_args}"),
        }
    }
    let apart = payload(
        r#"{"containers": ["PIN"], "dray": {"services": [
            {"name": "a1", "image": 0, "run_args": "-p 127.0.0.1:8080:80"},
            {"name": "b1", "image": 0, "run_args": "-p 127.0.0.2:8080:80 -p 8080:80/udp"}]}}"#,
    );
    assert_eq!(wanted(&apart, &host()).unwrap().len(), 2);
}
