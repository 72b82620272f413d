use super::*;

#[test]
fn reads_challenges() {
    let bearer = |realm: &str, service: &str| {
        Ok(Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.to_owned(),
        })
    };
    for (headers, expected) in [
        (
            &[
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull""#,
            ][..],
            bearer("https://auth.docker.io/token", "registry.docker.io"),
        ),
        (
            &["bearer Realm=https://a/t , SERVICE = s"],
            bearer("https://a/t", "s"),
        ),
        (
            &[r#"Bearer realm="https://a/t?x=1,2",service="s \"q\" \\""#],
            bearer("https://a/t?x=1,2", r#"s "q" \"#),
        ),
        (&[r#"Basic realm="Registry Realm""#], Ok(Challenge::Basic)),
        (&["Basic"], Ok(Challenge::Basic)),
        (
            &[r#"Basic realm="x", Bearer realm="https://a/t""#],
            bearer("https://a/t", ""),
        ),
        (
            &[r#"Basic realm="x""#, r#"Bearer realm="https://a/t""#],
            bearer("https://a/t", ""),
        ),
        (&["Negotiate", r#"Basic realm="x""#], Ok(Challenge::Basic)),
        (&["Negotiate, NTLM"], Err("Negotiate, NTLM")),
        (&[r#"Bearer service="without realm""#], Err("Bearer")),
        (&["=,=\"unfinished"], Err("")),
        (&[""], Err("")),
        (&[], Err("")),
    ] {
        let found = best(headers.iter().copied()).map_err(|problem| problem.to_string());
        let expected = expected.map_err(|schemes| {
            format!("it asks for an authentication that is not supported: {schemes:?} (401)")
        });
        assert_eq!(found, expected, "{headers:?}");
    }
}

#[test]
fn tells_who_may_hear_of_us() {
    for (registry, realm, trusted) in [
        (
            "https://registry-1.docker.io",
            "https://auth.docker.io/token",
            Ok(()),
        ),
        (
            "https://registry.gitlab.com",
            "https://gitlab.com/jwt/auth",
            Ok(()),
        ),
        (
            "https://gitlab.example.org:5050",
            "https://gitlab.example.org/jwt/auth",
            Ok(()),
        ),
        (
            "https://registry.gitlab.example.co.uk",
            "https://gitlab.example.co.uk/jwt/auth",
            Ok(()),
        ),
        ("https://quay.io", "https://quay.io/v2/auth", Ok(())),
        ("https://quay.io", "https://auth.quay.io/v2/auth", Ok(())),
        (
            "https://10.0.0.5:5000",
            "https://10.0.0.5:5001/auth",
            Ok(()),
        ),
        (
            "http://localhost:5000",
            "http://localhost:5001/auth",
            Ok(()),
        ),
        (
            "https://hub.corp.example",
            "https://named.elsewhere:8443/auth",
            Ok(()),
        ),
        (
            "https://quay.io",
            "http://quay.io/v2/auth",
            Err("does not speak https"),
        ),
        (
            "https://quay.io",
            "https://evil.example/auth",
            Err("registry's domain"),
        ),
        (
            "https://quay.io",
            "https://quay.io.evil.example/auth",
            Err("registry's domain"),
        ),
        (
            "https://quay.io",
            "https://evilquay.io/auth",
            Err("registry's domain"),
        ),
        (
            "https://quay.io",
            "https://evil.io/auth",
            Err("registry's domain"),
        ),
        (
            "https://hub.co.uk",
            "https://evil.co.uk/auth",
            Err("registry's domain"),
        ),
        (
            "https://hub.example",
            "https://evil.example/auth",
            Err("registry's domain"),
        ),
        (
            "https://quay.io",
            "https://169.254.169.254/",
            Err("registry's domain"),
        ),
        (
            "https://10.0.0.5",
            "https://10.0.0.6/auth",
            Err("registry's domain"),
        ),
        (
            "https://1.2.3.4",
            "https://9.9.3.4/auth",
            Err("registry's domain"),
        ),
        (
            "https://quay.io",
            "https://localhost/auth",
            Err("registry's domain"),
        ),
        (
            "http://localhost:5000",
            "http://169.254.169.254/",
            Err("does not speak https"),
        ),
        (
            "http://hub.example",
            "http://hub.example/auth",
            Err("does not speak https"),
        ),
        (
            "http://localhost:5000",
            "http://127.0.0.1:5000/",
            Err("registry's domain"),
        ),
        (
            "https://quay.io",
            "file:///etc/passwd",
            Err("not an http or https URL"),
        ),
        (
            "https://quay.io",
            "https://user:pw@quay.io/",
            Err("not an http or https URL"),
        ),
        ("https://quay.io", "", Err("not an http or https URL")),
    ] {
        let origin = Url::parse(registry).unwrap().origin;
        let mut settings = Settings::default();
        let hub = settings.registries.entry("hub".to_owned()).or_default();
        hub.token_servers = ["elsewhere", "named.elsewhere:8443"]
            .map(str::to_owned)
            .to_vec();
        let asking = Asking {
            registry: "hub",
            repository: "a/b",
            origin: &origin,
            credential: None,
            settings: &settings,
            now: Instant::now(),
        };
        match (trusted_realm(realm, &asking), trusted) {
            (Ok(url), Ok(())) => assert_eq!(url.to_string(), realm),
            (Err(problem), Err(reason)) => {
                let text = problem.to_string();
                assert!(text.contains(reason), "{realm} for {registry}: {text}");
            }
            (found, _) => panic!("{realm} for {registry}: {found:?}"),
        }
    }
}

#[test]
fn grants_end() {
    let grants = Grants::default();
    let now = Instant::now();
    let origin = Origin::new(true, "hub.example").unwrap();
    let asking = Asking {
        registry: "hub.example",
        repository: "a",
        origin: &origin,
        credential: None,
        settings: &Settings::default(),
        now,
    };
    let until = Some(now + Duration::from_secs(60));
    grants.remember(
        &asking,
        Granted {
            header: Secret("Bearer x".to_owned()),
            until,
        },
    );
    for (registry, repository, after, found) in [
        ("hub.example", "a", 0, true),
        ("hub.example", "a", 59, true),
        ("hub.example", "a", 60, false),
        ("hub.example", "b", 0, false),
        ("other.example", "a", 0, false),
    ] {
        let current = grants.current(registry, repository, now + Duration::from_secs(after));
        assert_eq!(
            current.is_some(),
            found,
            "{registry}/{repository} after {after} s"
        );
    }
    assert!(!format!("{grants:?}").contains("Bearer x"));
}
