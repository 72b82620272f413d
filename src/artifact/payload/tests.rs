use super::*;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn pinned(name: &str) -> String {
    format!("{name}@{DIGEST}")
}

fn parsed(text: &str) -> Payload {
    Payload::parse(text.as_bytes()).unwrap_or_else(|refused| panic!("{text}: {refused}"))
}

fn refusal(text: &str) -> String {
    match Payload::parse(text.as_bytes()) {
        Err(refused) => refused.to_string(),
        Ok(payload) => panic!("{text} was accepted as {payload:?}"),
    }
}

fn service(name: Option<&str>, image: &str, run_args: &str) -> Service {
    Service {
        name: name.map(str::to_owned),
        image: image.parse().unwrap(),
        run_args: run_args.to_owned(),
        command: Vec::new(),
        depends_on: Vec::new(),
    }
}

#[test]
fn upstreams_documents_mean_one_container_per_image() {
    let two = [pinned("nginx"), pinned("registry.example:5000/a/b")];
    for (run_args, meant) in [
        (r#""run_args": "-p 8080:80""#, "-p 8080:80"),
        (r#""run_args": """#, ""),
        (r#""run_args": null"#, ""),
        (r#""comment": 7"#, ""),
    ] {
        let text = format!(
            r#"{{"containers": ["{}", "{}"], {run_args}}}"#,
            two[0], two[1]
        );
        let payload = parsed(&text);
        assert_eq!(payload.scope, "docker");
        assert_eq!(
            payload.services,
            [service(None, &two[0], meant), service(None, &two[1], meant)]
        );
        assert_eq!(payload.health, Health::default());
        assert_eq!(payload.payload, None);
        let annotated = run_args.contains("comment");
        assert_eq!(
            payload.unknown_keys,
            if annotated { vec!["comment"] } else { vec![] }
        );
    }
}

#[test]
fn an_image_without_digest_is_left_to_the_device() {
    let payload = parsed(r#"{"containers": ["nginx:1.27"]}"#);
    assert_eq!(payload.services, [service(None, "nginx:1.27", "")]);
}

#[test]
fn services_come_in_start_order_and_inherit_the_shared_run_args() {
    let payload = parsed(
        r#"{"containers": ["web:1", "db:1"], "run_args": "--restart always",
            "dray": {"version": 1, "scope": "shop", "payload": "oci-layout",
                     "health": {"timeout_s": 120, "stable_s": 0},
                     "services": [
                       {"name": "web", "image": 0, "depends_on": ["db", "cache"], "command": ["serve", "--all"]},
                       {"name": "cache", "image": 1, "run_args": ""},
                       {"name": "db", "image": 1, "run_args": "-m 64m"}]}}"#,
    );
    let web = Service {
        command: vec!["serve".into(), "--all".into()],
        depends_on: vec!["db".into(), "cache".into()],
        ..service(Some("web"), "web:1", "--restart always")
    };
    assert_eq!(
        payload.services,
        [
            service(Some("cache"), "db:1", ""),
            service(Some("db"), "db:1", "-m 64m"),
            web
        ]
    );
    assert_eq!(payload.scope, "shop");
    assert_eq!(payload.payload, Some(Carried::OciLayout));
    let health = Health {
        timeout_s: Some(120),
        stable_s: Some(0),
    };
    assert_eq!(payload.health, health);
}

#[test]
fn what_is_written_reads_back_the_same() {
    let plain = Payload::shared(
        vec![
            pinned("nginx").parse().unwrap(),
            pinned("b/c").parse().unwrap(),
        ],
        r#"-e "A=b c" --name "x'y""#,
    );
    let mut rich = plain.clone();
    rich.scope = "shop".to_owned();
    rich.payload = Some(Carried::OciLayout);
    rich.health.stable_s = Some(3);
    let mut sparse = plain.clone();
    sparse.payload = Some(Carried::OciLayout);
    sparse.assumes = vec![Digest::of(b"x"), Digest::of(b"y"), Digest::of(b"z")];
    sparse.assumes.sort();
    let mut named = plain.clone();
    named.services[0].name = Some("a".to_owned());
    named.services[1].depends_on = vec!["a".to_owned()];
    named.services[1].command = vec!["x y".to_owned()];
    named.services.push(service(None, &pinned("nginx"), "-d"));
    for payload in [plain, rich, sparse, named] {
        let text = payload.to_json();
        assert_eq!(parsed(&text), payload, "{text}");
    }
}

#[test]
fn the_plain_document_is_upstreams_byte_for_byte() {
    let payload = Payload::shared(vec![pinned("nginx").parse().unwrap()], "");
    assert_eq!(
        payload.to_json(),
        format!(r#"{{"containers":["{}"],"run_args":""}}"#, pinned("nginx"))
    );
}

/// One row per defect: the document and the exact line.
#[test]
fn each_defect_gets_one_clear_line() {
    let with = |dray: &str| format!(r#"{{"containers": ["a", "b"], "dray": {dray}}}"#);
    let services = |list: &str| with(&format!(r#"{{"services": {list}}}"#));
    let named = |name: &str| {
        services(&format!(
            r#"[{{"name": {name}, "image": 0}}, {{"image": 1}}]"#
        ))
    };
    let [low, high] = ["0", "f"].map(|digit| format!("\"sha256:{}\"", digit.repeat(64)));
    let assumed = |list: &[&str]| {
        let list = list.join(", ");
        with(&format!(
            r#"{{"payload": "oci-layout", "assumes": [{list}]}}"#
        ))
    };
    let empty = "meta-data is empty: the artifact says nothing about containers; make it with docker-artifact-gen";
    let not_a_name = "is not a name: 1 to 64 letters, digits, \"_\", \".\" or \"-\", the first a letter or digit";
    for (text, line) in [
        (String::new(), empty.to_owned()),
        ("null".into(), empty.into()),
        ("[]".into(), "meta-data must be a JSON object, not a list".into()),
        ("{".into(), "meta-data is not valid JSON: EOF while parsing an object at line 1 column 1".into()),
        ("{}".into(), r#"meta-data has no key "containers": expected a list of image references"#.into()),
        (r#"{"containers": null}"#.into(), r#"meta-data has no key "containers": expected a list of image references"#.into()),
        (r#"{"containers": "nginx"}"#.into(), r#"meta-data key "containers" must be a list of image references, not a string"#.into()),
        (r#"{"containers": []}"#.into(), r#"meta-data key "containers" is empty: it must name 1 or more images"#.into()),
        (r#"{"containers": ["a", 7]}"#.into(), r#"meta-data key "containers[1]" must be a string, not a number"#.into()),
        (r#"{"containers": ["a"], "run_args": ["-d"]}"#.into(), r#"meta-data key "run_args" must be a string, not a list"#.into()),
        (r#"{"containers": ["a"], "run_args": "-e A=\u0000"}"#.into(), r#"meta-data key "run_args": contains a NUL character, which no argument can"#.into()),
        (with("[]"), r#"meta-data key "dray" must be an object, not a list"#.into()),
        (with(r#"{"version": 2, "new": 1}"#), "meta-data has schema version 2, but this dray knows only 1: update dray first".into()),
        (with(r#"{"version": 0}"#), r#"meta-data key "dray.version": versions start at 1"#.into()),
        (with(r#"{"version": "1"}"#), r#"meta-data key "dray.version" must be a whole number, not a string"#.into()),
        (with(r#"{"helth": {}}"#), r#"meta-data key "dray.helth" is not known: this is dray's schema version 1"#.into()),
        (with(r#"{"health": {"stable": 3}}"#), r#"meta-data key "dray.health.stable" is not known: this is dray's schema version 1"#.into()),
        (with(r#"{"health": {"timeout_s": 0}}"#), r#"meta-data key "dray.health.timeout_s" is 0 seconds; 1 to 86400 are allowed"#.into()),
        (with(r#"{"health": {"stable_s": -1}}"#), r#"meta-data key "dray.health.stable_s" must be a whole number of seconds, not a number"#.into()),
        (with(r#"{"scope": "../x"}"#), format!(r#"meta-data key "dray.scope": "../x" {not_a_name}"#)),
        (with(r#"{"scope": ""}"#), format!(r#"meta-data key "dray.scope": "" {not_a_name}"#)),
        (with(r#"{"payload": "tar"}"#), r#"meta-data key "dray.payload": "tar" is not known; only "oci-layout" is"#.into()),
        (with(r#"{"assumes": []}"#), r#"meta-data key "dray.assumes": it is what a payload leaves out, but dray.payload is not set"#.into()),
        (with(r#"{"payload": "oci-layout", "assumes": {}}"#), r#"meta-data key "dray.assumes" must be a list of digests, not an object"#.into()),
        (with(r#"{"payload": "oci-layout", "assumes": [1]}"#), r#"meta-data key "dray.assumes[0]" must be a string, not a number"#.into()),
        (with(r#"{"payload": "oci-layout", "assumes": ["nginx"]}"#), format!(r#"meta-data key "dray.assumes[0]": {}"#, "nginx".parse::<Digest>().unwrap_err())),
        (assumed(&[&low, &low]), r#"meta-data key "dray.assumes[1]": the list is not in ascending order"#.into()),
        (assumed(&[&high, &low]), r#"meta-data key "dray.assumes[1]": the list is not in ascending order"#.into()),
        (services("[]"), r#"meta-data key "dray.services" is empty: it must name 1 or more services"#.into()),
        (services("[1]"), r#"meta-data key "dray.services[0]" must be an object, not a number"#.into()),
        (services("[{}]"), r#"meta-data has no key "dray.services[0].image": expected an index into containers"#.into()),
        (services(r#"[{"image": "a"}]"#), r#"meta-data key "dray.services[0].image" must be an index into containers, not a string"#.into()),
        (services(r#"[{"image": 2}]"#), r#"meta-data key "dray.services[0].image" is 2, but containers has 2 entries, counted from 0"#.into()),
        (services(r#"[{"image": 0}]"#), r#"meta-data key "containers[1]": no service uses this image"#.into()),
        (services(r#"[{"image": 0, "ports": []}]"#), r#"meta-data key "dray.services[0].ports" is not known: this is dray's schema version 1"#.into()),
        (services(r#"[{"image": 0, "command": "ls"}]"#), r#"meta-data key "dray.services[0].command" must be a list of strings, not a string"#.into()),
        (services(r#"[{"image": 0, "command": [true]}]"#), r#"meta-data key "dray.services[0].command[0]" must be a string, not a boolean"#.into()),
        (named(r#""a b""#), format!(r#"meta-data key "dray.services[0].name": "a b" {not_a_name}"#)),
        (named(r#"".hidden""#), format!(r#"meta-data key "dray.services[0].name": ".hidden" {not_a_name}"#)),
        (services(r#"[{"name": "a", "image": 0}, {"name": "a", "image": 1}]"#), r#"meta-data key "dray.services[1].name": "a" is used twice"#.into()),
        (services(r#"[{"image": 0}, {"image": 1, "depends_on": ["db"]}]"#), r#"meta-data key "dray.services[1].depends_on": there is no service "db""#.into()),
        (
            services(r#"[{"name": "a", "image": 0, "depends_on": ["b"]}, {"name": "b", "image": 1, "depends_on": ["a"]}]"#),
            r#"meta-data key "dray.services": services depend on each other in a circle: a, b"#.into(),
        ),
    ] {
        assert_eq!(refusal(&text), line, "{text}");
    }
}

#[test]
fn a_malformed_reference_is_named_with_its_place() {
    for image in [
        "Nginx",
        "",
        "nginx@sha256:abc",
        "nginx@md5:00",
        "a b",
        "--privileged",
    ] {
        let line = refusal(&format!(r#"{{"containers": ["ok", "{image}"]}}"#));
        assert!(
            line.starts_with(r#"meta-data key "containers[1]": "#),
            "{line}"
        );
    }
}

#[test]
fn limits_hold_at_their_edge() {
    let images =
        |count: usize| format!(r#"{{"containers": [{}]}}"#, vec![r#""a""#; count].join(","));
    assert_eq!(parsed(&images(MAX_SERVICES)).services.len(), MAX_SERVICES);
    for count in [MAX_SERVICES + 1, 10_000, 100_000] {
        assert_eq!(
            refusal(&images(count)),
            format!(r#"meta-data key "containers" has {count} images; at most 100 are allowed"#)
        );
    }
    let assumed = |count: usize| {
        let digests: Vec<String> = (0..count).map(|n| format!("\"sha256:{n:064x}\"")).collect();
        let list = digests.join(",");
        format!(
            r#"{{"containers": ["a"], "dray": {{"payload": "oci-layout", "assumes": [{list}]}}}}"#
        )
    };
    let most = parsed(&assumed(MAX_ASSUMED));
    assert_eq!(most.assumes.len(), MAX_ASSUMED);
    assert!(most.to_json().len() < MAX_BYTES);
    assert_eq!(
        refusal(&assumed(MAX_ASSUMED + 1)),
        r#"meta-data key "dray.assumes" has 10001 layers; at most 10000 are allowed"#
    );
    let line = |length: usize| {
        format!(
            r#"{{"containers": ["a"], "run_args": "{}"}}"#,
            "x".repeat(length)
        )
    };
    assert_eq!(
        parsed(&line(MAX_RUN_ARGS)).services[0].run_args.len(),
        MAX_RUN_ARGS
    );
    assert_eq!(
        refusal(&line(MAX_RUN_ARGS + 1)),
        r#"meta-data key "run_args" has 65537 bytes; at most 65536 are allowed"#
    );
    assert_eq!(
        refusal(&line(MAX_BYTES)),
        "meta-data is longer than 1048576 bytes"
    );
    assert!(matches!(
        Payload::read(std::io::repeat(b' ')),
        Err(PayloadError::TooLong)
    ));
    let deep = format!("{}{}", r#"{"a":"#.repeat(100_000), "1");
    assert!(refusal(&deep).starts_with("meta-data is not valid JSON: recursion limit exceeded"));
    let long_name = format!(
        r#"{{"containers": ["a"], "dray": {{"{}": 1}}}}"#,
        "k".repeat(5000)
    );
    assert!(refusal(&long_name).len() < 250);
}

/// Whatever a broken disk or a hostile server makes of a document, the answer is a request or a line, never a panic.
#[test]
fn damaged_documents_are_answered() {
    let whole = r#"{"containers":["a@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","b"],
        "run_args":"-e \u00e9=\"x\"","dray":{"version":1,"scope":"s","health":{"timeout_s":9},"services":[
        {"name":"x","image":0,"command":["c"]},{"name":"y","image":1,"depends_on":["x"]}]}}"#;
    assert_eq!(parsed(whole).services.len(), 2);
    for at in 0..whole.len() {
        let mut refused = usize::from(Payload::parse(&whole.as_bytes()[..at]).is_err());
        assert_eq!(refused, 1, "cut at {at}");
        for byte in [0, b'"', b'{', b'[', b'9', b'-', b'/', 0x80, 0xff] {
            let mut damaged = whole.as_bytes().to_vec();
            damaged[at] = byte;
            refused += usize::from(Payload::parse(&damaged).is_err());
        }
        // NUL and bytes that are not UTF-8 are wrong wherever they stand.
        assert!(refused >= 4, "{at}");
    }
}
