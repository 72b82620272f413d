use super::*;

fn password(user: &str, password: &str) -> Option<Credential> {
    Some(Credential::Password(
        user.to_owned(),
        Secret(password.to_owned()),
    ))
}

/// A host in a folder of its own, with this configuration of docker's.
struct Configured(Host, PathBuf);

impl Configured {
    fn new(name: &str, config: &str) -> Configured {
        let dir =
            std::env::temp_dir().join(format!("dray-credentials-{}-{name}", std::process::id()));
        let host = Host::at(&dir);
        std::fs::create_dir_all(host.docker_config.parent().unwrap()).unwrap();
        crate::sys::fs::replace(&host.docker_config, 0o600, config.as_bytes()).unwrap();
        Configured(host, dir)
    }

    /// A credential helper that is this shell script.
    fn helper(&mut self, name: &str, script: &str) {
        let path = self.1.join(format!("docker-credential-{name}"));
        crate::sys::fs::replace(&path, 0o700, format!("#!/bin/sh\n{script}\n").as_bytes()).unwrap();
        let path = format!("{}:/usr/bin:/bin", self.1.display());
        self.0.env.insert("PATH".into(), path.into());
    }
}

impl Drop for Configured {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.1);
    }
}

#[test]
fn finds_the_entry_for_a_registry() {
    // "user:pa:ss" and "hub:x\0\0" in base64.
    let device = Configured::new(
        "entries",
        r#"{"auths": {
            "https://index.docker.io/v1/": {"auth": "aHViOngAAA=="},
            "plain.example": {"auth": "dXNlcjpwYTpzcw=="},
            "https://url.example:5000/v2/": {"username": "u", "password": "p"},
            "identity.example": {"identitytoken": "i"},
            "token.example": {"registrytoken": "t", "auth": "dXNlcjpwYTpzcw=="},
            "empty.example": {},
            "odd.example": {"auth": "!"},
            "colon.example": {"auth": "dXNlcg=="}
        }, "HttpHeaders": {"a": "b"}, "currentContext": "x"}"#,
    );
    for (registry, expected) in [
        ("docker.io", Ok(password("hub", "x"))),
        ("plain.example", Ok(password("user", "pa:ss"))),
        ("plain.example:5000", Ok(None)),
        ("url.example:5000", Ok(password("u", "p"))),
        (
            "identity.example",
            Ok(Some(Credential::Identity(Secret("i".to_owned())))),
        ),
        (
            "token.example",
            Ok(Some(Credential::Token(Secret("t".to_owned())))),
        ),
        ("empty.example", Ok(None)),
        ("unknown.example", Ok(None)),
        (
            "odd.example",
            Err("the entry for odd.example has an auth that is not base64 of USER:PASSWORD"),
        ),
        (
            "colon.example",
            Err(
                "the entry for colon.example has an auth without a colon between user and password",
            ),
        ),
    ] {
        let found = find(&device.0, registry).map_err(|problem| problem.to_string());
        let found = found.map(|found| {
            found.map(|(credential, path)| {
                assert_eq!(path, device.0.docker_config);
                credential
            })
        });
        let expected = expected.map_err(|cause| {
            format!(
                "failed to read credentials from {}: {cause}",
                device.0.docker_config.display()
            )
        });
        assert_eq!(found, expected, "{registry}");
    }
}

#[test]
fn asks_helpers() {
    let mut device = Configured::new(
        "helpers",
        r#"{"credsStore": "store", "auths": {"a.example": {}},
            "credHelpers": {"own.example": "own", "gone.example": "gone", "bad.example": "bad",
                            "path.example": "../x", "mute.example": "mute"}}"#,
    );
    device.helper("store", r#"read -r host; echo "{\"ServerURL\":\"$host\",\"Username\":\"$1\",\"Secret\":\"$host\"}""#);
    device.helper("own", r#"echo '{"Username":"<token>","Secret":"s"}'"#);
    device.helper("bad", "echo 'vault is sealed'; exit 1");
    device.helper(
        "gone",
        "echo 'credentials not found in native keychain'; exit 1",
    );
    device.helper("mute", "echo '{}'");
    for (registry, expected) in [
        ("a.example", Ok(password("get", "a.example"))),
        (
            "docker.io",
            Ok(password("get", "https://index.docker.io/v1/")),
        ),
        (
            "own.example",
            Ok(Some(Credential::Identity(Secret("s".to_owned())))),
        ),
        ("gone.example", Ok(None)),
        (
            "bad.example",
            Err(
                "failed to read credentials from docker-credential-bad: it failed; run it by hand to see why",
            ),
        ),
        (
            "mute.example",
            Err(
                "failed to read credentials from docker-credential-mute: it printed something else than Username and Secret",
            ),
        ),
        (
            "path.example",
            Err(
                "failed to read credentials from docker-credential-../x: the name of a credential helper has no slash",
            ),
        ),
    ] {
        let found = find(&device.0, registry).map_err(|problem| problem.to_string());
        let found = found.map(|found| found.map(|(credential, _)| credential));
        assert_eq!(found, expected.map_err(str::to_owned), "{registry}");
    }
    let missing = Configured::new("missing", r#"{"credsStore": "nowhere-to-be-found"}"#);
    let refused = find(&missing.0, "a.example").unwrap_err().to_string();
    assert_eq!(
        refused,
        "failed to read credentials from docker-credential-nowhere-to-be-found: No such file or directory (os error 2)"
    );
}

#[test]
fn broken_files_are_named_but_not_quoted() {
    let secret = "hunter2";
    for (number, config) in [
        r#"{"auths": {"a.example": "hunter2"}}"#,
        r#"{"auths": {"a.example": {"auth": ["hunter2"]}}}"#,
        "hunter2",
        "",
    ]
    .iter()
    .enumerate()
    {
        let device = Configured::new(&format!("broken-{number}"), config);
        let refused = find(&device.0, "a.example").unwrap_err().to_string();
        assert!(
            refused.starts_with("failed to read credentials from "),
            "{refused}"
        );
        assert!(refused.contains("not valid at line "), "{refused}");
        assert!(!refused.contains(secret), "{refused}");
    }
}

#[test]
fn without_a_file_there_are_no_credentials() {
    assert_eq!(
        find(&Host::at(std::path::Path::new("/nowhere")), "a.example").unwrap(),
        None
    );
}

#[test]
fn drop_ins_come_after_dockers_own_file_and_are_private() {
    let device = Configured::new("folder", r#"{"auths": {"a.example": {"username": "own"}}}"#);
    let folder = &device.0.credentials;
    std::fs::create_dir_all(folder).unwrap();
    let file = |name: &str, mode: u32, text: &str| {
        crate::sys::fs::replace(&folder.join(name), mode, text.as_bytes()).unwrap();
    };
    file(
        "20.json",
        0o600,
        r#"{"auths": {"b.example": {"username": "twenty"}, "c.example": {"username": "twenty"}}}"#,
    );
    file(
        "10.json",
        0o400,
        r#"{"auths": {"a.example": {"username": "ten"}, "b.example": {"username": "ten"}}}"#,
    );
    file("30.json.bak", 0o644, "nonsense");
    for (registry, user, source) in [
        ("a.example", "own", device.0.docker_config.clone()),
        ("b.example", "ten", folder.join("10.json")),
        ("c.example", "twenty", folder.join("20.json")),
    ] {
        let found = find(&device.0, registry).unwrap();
        assert_eq!(found, password(user, "").map(|password| (password, source)));
    }
    assert_eq!(find(&device.0, "d.example").unwrap(), None);
    file("20.json", 0o640, "{}");
    let refused = find(&device.0, "a.example").unwrap_err().to_string();
    let path = folder.join("20.json");
    let expected = "others than its owner can read it; chmod 600 it";
    assert_eq!(
        refused,
        format!(
            "failed to read credentials from {}: {expected}",
            path.display()
        )
    );
}

#[test]
fn secrets_do_not_print() {
    let credential = Credential::Password("user".to_owned(), Secret("hunter2".to_owned()));
    assert_eq!(format!("{credential:?}"), "Password(\"user\", …)");
    assert_eq!(format!("{:?}", Secret("hunter2".to_owned())), "…");
}
