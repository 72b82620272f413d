//! The cases of distribution/reference's own tests, and some of docker's client.

use super::*;

const DIGEST: &str = "sha256:ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";
const HEX_64: &str = "1a3f5e7d9c1b3a5f7e9d1c3b5a7f9e1d3c5b7a9f1e3d5d7c9b1a3f5e7d9c1b3a";

#[test]
fn accepts_what_docker_accepts() {
    let deepest = vec!["a"; 128].join("/");
    for (text, full, short) in [
        ("nginx", "docker.io/library/nginx:latest", "nginx:latest"),
        (
            "library/debian",
            "docker.io/library/debian:latest",
            "debian:latest",
        ),
        (
            "docker.io/debian",
            "docker.io/library/debian:latest",
            "debian:latest",
        ),
        (
            "index.docker.io/debian",
            "docker.io/library/debian:latest",
            "debian:latest",
        ),
        (
            "index.docker.io/docker/docker",
            "docker.io/docker/docker:latest",
            "docker/docker:latest",
        ),
        (
            "docker/docker",
            "docker.io/docker/docker:latest",
            "docker/docker:latest",
        ),
        (
            "docker.io/library/a/b",
            "docker.io/library/a/b:latest",
            "library/a/b:latest",
        ),
        (
            "127.0.0.1:5000/library/debian",
            "127.0.0.1:5000/library/debian:latest",
            "127.0.0.1:5000/library/debian:latest",
        ),
        (
            "192.168.0.1",
            "docker.io/library/192.168.0.1:latest",
            "192.168.0.1:latest",
        ),
        (
            "192.168.0.1:80",
            "docker.io/library/192.168.0.1:80",
            "192.168.0.1:80",
        ),
        (
            "192.168.0.1:8/debian",
            "192.168.0.1:8/debian:latest",
            "192.168.0.1:8/debian:latest",
        ),
        (
            "test_com",
            "docker.io/library/test_com:latest",
            "test_com:latest",
        ),
        (
            "test.com:tag",
            "docker.io/library/test.com:tag",
            "test.com:tag",
        ),
        (
            "test.com/repo:tag",
            "test.com/repo:tag",
            "test.com/repo:tag",
        ),
        ("test:5000", "docker.io/library/test:5000", "test:5000"),
        (
            "test:5000/repo",
            "test:5000/repo:latest",
            "test:5000/repo:latest",
        ),
        (
            "localhost/repo",
            "localhost/repo:latest",
            "localhost/repo:latest",
        ),
        (
            "localhost:5000/a/b:1",
            "localhost:5000/a/b:1",
            "localhost:5000/a/b:1",
        ),
        (
            "lowercase:Uppercase",
            "docker.io/library/lowercase:Uppercase",
            "lowercase:Uppercase",
        ),
        (
            "Docker/docker",
            "Docker/docker:latest",
            "Docker/docker:latest",
        ),
        (
            "192.168.1.1:5000/repo:5050",
            "192.168.1.1:5000/repo:5050",
            "192.168.1.1:5000/repo:5050",
        ),
        (
            "[2001:db8::1]/repo",
            "[2001:db8::1]/repo:latest",
            "[2001:db8::1]/repo:latest",
        ),
        (
            "[::1]:5000/repo:tag",
            "[::1]:5000/repo:tag",
            "[::1]:5000/repo:tag",
        ),
        (
            "xn--n3h.com/myimage:xn--n3h.com",
            "xn--n3h.com/myimage:xn--n3h.com",
            "xn--n3h.com/myimage:xn--n3h.com",
        ),
        (
            "foo_bar.com:8080",
            "docker.io/library/foo_bar.com:8080",
            "foo_bar.com:8080",
        ),
        (
            "foo/foo_bar.com:8080",
            "docker.io/foo/foo_bar.com:8080",
            "foo/foo_bar.com:8080",
        ),
        (
            "b.gcr.io/test.example.com/my-app:1.2",
            "b.gcr.io/test.example.com/my-app:1.2",
            "b.gcr.io/test.example.com/my-app:1.2",
        ),
        (
            "docker---rules/docker",
            "docker.io/docker---rules/docker:latest",
            "docker---rules/docker:latest",
        ),
        (
            "dock__er/docker",
            "docker.io/dock__er/docker:latest",
            "dock__er/docker:latest",
        ),
        ("d/docker", "docker.io/d/docker:latest", "d/docker:latest"),
        // A repository on docker.io that would be taken for a host keeps its own.
        (
            "docker.io/localhost/app",
            "docker.io/localhost/app:latest",
            "docker.io/localhost/app:latest",
        ),
        (
            "docker.io/a.b/app",
            "docker.io/a.b/app:latest",
            "docker.io/a.b/app:latest",
        ),
        // 64 digits are an id only when they stand alone.
        (
            &format!("docker.io/{HEX_64}"),
            &format!("docker.io/library/{HEX_64}:latest"),
            &format!("{HEX_64}:latest"),
        ),
        (
            &format!("test:5000/repo@{DIGEST}"),
            &format!("test:5000/repo@{DIGEST}"),
            &format!("test:5000/repo@{DIGEST}"),
        ),
        (
            &format!("repo:tag@{DIGEST}"),
            &format!("docker.io/library/repo:tag@{DIGEST}"),
            &format!("repo:tag@{DIGEST}"),
        ),
        (
            &format!("{deepest}:tag"),
            &format!("docker.io/{deepest}:tag"),
            &format!("{deepest}:tag"),
        ),
    ] {
        let reference: Reference = text
            .parse()
            .unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(reference.to_string(), full, "{text}");
        assert_eq!(reference.familiar(), short, "{text}");
        // Both forms mean the same image; only the short form of a 64-digit name needs its tag for that.
        assert_eq!(full.parse(), Ok(reference.clone()), "{text}");
        assert_eq!(short.parse(), Ok(reference), "{text}");
    }
}

#[test]
fn refuses_what_docker_refuses() {
    let long = "a/".repeat(128) + "a:tag";
    let long_tag = format!("a:{}", "t".repeat(129));
    let huge = "a".repeat(1 << 20);
    for (text, reason) in [
        ("", "is empty"),
        (":justtag", "malformed repository name \"\""),
        (&format!("@{DIGEST}"), "malformed repository name \"\""),
        (
            "repo@sha256:ffffffffffffffffffffffffffffffffff",
            "does not have 64 lower-case",
        ),
        ("repo@sha512:ffff", "only sha256 is supported"),
        (
            &format!("repo@{}", DIGEST.to_uppercase()),
            "only sha256 is supported",
        ),
        ("repo@", "only sha256 is supported"),
        (
            &format!("repo@{DIGEST}@{DIGEST}"),
            "does not have 64 lower-case",
        ),
        (HEX_64, "looks like an image id"),
        ("Uppercase:tag", "upper-case letters"),
        ("docker/Docker", "upper-case letters"),
        ("test:5000/Uppercase/lowercase:tag", "upper-case letters"),
        (&long, "more than 255 characters"),
        (&huge, "has 1048576 bytes"),
        (
            "aa/asdf$$^/aa",
            "malformed repository name \"aa/asdf$$^/aa\"",
        ),
        (
            "https://github.com/docker/docker",
            "is an address: leave away what is before and with \"://\"",
        ),
        (
            "https://me:secret@r.example/app:1",
            "has a user name or password before an \"@\"",
        ),
        (
            "me:secret@r.example:5000/app:1",
            "has a user name or password before an \"@\"",
        ),
        ("-docker", "malformed repository name"),
        ("docker-/docker", "malformed repository name"),
        ("-docker.io/docker/docker", "malformed host \"-docker.io\""),
        ("docker///docker", "malformed repository name"),
        ("docker/", "malformed repository name"),
        ("/docker", "malformed repository name"),
        ("____/____", "malformed repository name"),
        ("_docker/_docker", "malformed repository name"),
        ("dock..er/docker", "malformed host \"dock..er\""),
        ("a/dock..er", "malformed repository name"),
        ("a/dock_.er", "malformed repository name"),
        ("a/dock-.er", "malformed repository name"),
        ("a/dock___er", "malformed repository name"),
        ("[fc00::1]", "malformed repository name"),
        ("[fc00::1]:5000", "malformed repository name"),
        ("fc00::1:5000/debian", "malformed host"),
        ("[fe80::1%eth0]:5000/debian", "malformed host"),
        ("[2001:db8:3:4::192.0.2.33]:5000/debian", "malformed host"),
        ("[::1]x/debian", "malformed host"),
        (":5000/repo:tag", "malformed host"),
        ("host:/repo", "malformed host"),
        ("host:port/repo", "malformed host"),
        ("repo:", "malformed tag \"\""),
        ("repo:.tag", "malformed tag \".tag\""),
        ("repo:a:b", "malformed tag \"a:b\""),
        ("repo:tag/x", "malformed host \"repo:tag\""),
        (&long_tag, "malformed tag"),
        ("repo:täg", "malformed tag"),
        ("répo", "malformed repository name"),
        ("nginx latest", "malformed repository name"),
        ("nginx\n", "malformed repository name"),
        ("$(reboot)", "malformed repository name"),
    ] {
        let refused = text.parse::<Reference>().unwrap_err().to_string();
        assert!(refused.contains(reason), "{text:?}: {refused}");
        assert!(!refused.contains("secret"), "{refused}");
        assert!(refused.len() < 2500, "{}", refused.len());
    }
}

#[test]
fn asks_for_the_digest_first() {
    for (text, selector, tag) in [
        ("a", "latest", Some("latest")),
        ("a:1", "1", Some("1")),
        (&format!("a:1@{DIGEST}"), DIGEST, Some("1")),
        (&format!("a@{DIGEST}"), DIGEST, None),
    ] {
        let reference: Reference = text.parse().unwrap();
        assert_eq!(reference.selector(), selector, "{text}");
        assert_eq!(reference.tag(), tag, "{text}");
        assert_eq!(reference.pinned(DIGEST.parse().unwrap()).selector(), DIGEST);
    }
}
