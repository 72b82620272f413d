//! The registry client against a misbehaving registry and against Debian's docker-registry.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test files need no durable writer; a broken set-up should panic"
)]

mod common;

use std::io::Read;
use std::time::Duration;

use common::Scratch;
use common::image::{Built, Entry, Flavour, Image, Layer, Packing, index};
use common::registry::{Access, Fault, On, Registry};
use dray::config::Settings;
use dray::host::Host;
use dray::oci::stream::Verified;
use dray::oci::{Descriptor, Digest, Document, Platform, Reference, choose, media_type};
use dray::registry::{Client, Patience, RegistryError};

/// A device in a scratch folder, and its client with little patience.
struct Device {
    #[expect(dead_code, reason = "held for the folder it removes")]
    scratch: Scratch,
    host: Host,
    settings: Settings,
}

impl Device {
    fn new() -> Device {
        let scratch = Scratch::new("pull");
        let host = Host::at(scratch.path());
        Device {
            host,
            scratch,
            settings: Settings::default(),
        }
    }

    fn client(&self) -> Client {
        let patience = Patience {
            connect: Duration::from_secs(5),
            stall: Duration::from_millis(400),
            window: Duration::from_millis(300),
            least: 1000,
            retries: 2,
            resumptions: 3,
            pause: Duration::from_millis(5),
            longest_pause: Duration::from_secs(2),
            ..Patience::default()
        };
        Client::with_patience(&self.host, &self.settings, patience)
    }

    fn docker_config(&self, json: &str) {
        std::fs::create_dir_all(self.host.docker_config.parent().unwrap()).unwrap();
        std::fs::write(&self.host.docker_config, json).unwrap();
    }
}

/// Everything below a name, as `images` will pull it: digest, configuration and number of layers.
fn pull(client: &Client, name: &str) -> Result<(Digest, Digest, usize), RegistryError> {
    let reference: Reference = name.parse().unwrap();
    let root = client.resolve(&reference)?;
    let (bytes, content_type) = client.manifest(&reference, &root.digest)?;
    let manifest = match Document::parse(&bytes, content_type.as_deref()).unwrap() {
        Document::Manifest(manifest) => manifest,
        Document::Index(index) => {
            let entry = choose(&index, &Platform::host()).unwrap();
            let (bytes, content_type) = client.manifest(&reference, &entry.digest)?;
            match Document::parse(&bytes, content_type.as_deref()).unwrap() {
                Document::Manifest(manifest) => manifest,
                Document::Index(_) => panic!("an index in an index"),
            }
        }
    };
    for blob in manifest.layers.iter().chain([&manifest.config]) {
        read_blob(client, &reference, blob)?.unwrap();
    }
    Ok((root.digest, manifest.config.digest, manifest.layers.len()))
}

/// Fetches a blob and checks it; the inner error is of the transfer.
fn read_blob(
    client: &Client,
    reference: &Reference,
    blob: &Descriptor,
) -> Result<std::io::Result<Vec<u8>>, RegistryError> {
    let mut bytes = Vec::new();
    let read = Verified::of(client.blob(reference, blob)?, blob).read_to_end(&mut bytes);
    Ok(read.map(|_| bytes))
}

fn small_image() -> Built {
    Image::oci([Layer::of(&[
        Entry::dir("etc"),
        Entry::file("etc/motd", "hello\n"),
    ])])
    .build()
}

/// The descriptor of an image's only layer.
fn layer_of(image: &Built) -> Descriptor {
    match Document::parse(image.document(), None).unwrap() {
        Document::Manifest(manifest) => manifest.layers[0].clone(),
        Document::Index(_) => panic!("an index has no layers"),
    }
}

#[test]
fn pulls_every_kind_of_image() {
    let registry = Registry::start();
    let device = Device::new();
    let layer = || Layer::of(&[Entry::file("a", "b")]);
    let gzip = Image::oci([layer(), layer().packed(Packing::Zstd)]).build();
    let docker = Image::docker([layer(), layer().packed(Packing::Plain)]).build();
    let foreign = Image::oci([]).platform("linux/s390x").build();
    let oci_index = index(Flavour::Oci, &[&foreign, &gzip]);
    let docker_index = index(Flavour::Docker, &[&docker, &foreign]);
    for (tag, root, image) in [
        ("oci", &gzip, &gzip),
        ("docker", &docker, &docker),
        ("oci-index", &oci_index, &gzip),
        ("docker-index", &docker_index, &docker),
    ] {
        registry.push("shop/web", tag, root);
        let expected = (root.digest, image.config, 2);
        assert_eq!(
            pull(&device.client(), &registry.name(&format!("shop/web:{tag}"))).unwrap(),
            expected
        );
        // By digest the same, with and without a tag beside it.
        let pinned = registry.name(&format!("shop/web:gone@{}", root.digest));
        assert_eq!(pull(&device.client(), &pinned).unwrap(), expected);
    }
}

#[test]
fn resolving_is_one_request() {
    let registry = Registry::start();
    let device = Device::new();
    let image = small_image();
    registry.push("x", "1", &image);
    let reference: Reference = registry.name("x:1").parse().unwrap();
    let found = device.client().resolve(&reference).unwrap();
    assert_eq!(found.digest, image.digest);
    assert_eq!(found.size, image.document().len() as u64);
    assert_eq!(found.media_type, media_type::OCI_MANIFEST);
    let requests: Vec<_> = registry
        .requests()
        .iter()
        .map(|r| format!("{} {}", r.method, r.path))
        .collect();
    assert_eq!(requests, ["HEAD /v2/x/manifests/1"]);
    // Registries that leave the digest or the type out, or that know no HEAD, are asked again.
    for fault in [
        Fault::NoDigest,
        Fault::ContentType("application/json".to_owned()),
        Fault::Status(405),
    ] {
        registry.reset_counts();
        registry.fault(On::Manifests, fault.clone(), 1);
        assert_eq!(
            device.client().resolve(&reference).unwrap(),
            found,
            "{fault:?}"
        );
        let requests: Vec<_> = registry
            .requests()
            .iter()
            .map(|r| r.method.clone())
            .collect();
        assert_eq!(requests, ["HEAD", "GET"], "{fault:?}");
    }
}

#[test]
fn a_digest_wins_over_the_tag_beside_it() {
    let registry = Registry::start();
    let device = Device::new();
    let (old, new) = (small_image(), Image::oci([]).build());
    registry.push("x", "1", &old);
    registry.push("x", "1", &new);
    let reference: Reference = registry
        .name(&format!("x:1@{}", old.digest))
        .parse()
        .unwrap();
    assert_eq!(
        device.client().resolve(&reference).unwrap().digest,
        old.digest
    );
    // A registry that calls it otherwise is not believed.
    let lie = Digest::of(b"lie");
    registry.fault(On::Manifests, Fault::Digest(lie.to_string()), 1);
    let error = device.client().resolve(&reference).unwrap_err();
    assert_eq!(
        error.problem.to_string(),
        format!("it delivered {lie} instead of {}", old.digest)
    );
    // One that is no digest is as good as none: the document itself is asked for and hashed.
    registry.fault(
        On::Manifests,
        Fault::Digest("sha256:../../etc".to_owned()),
        1,
    );
    assert_eq!(
        device.client().resolve(&reference).unwrap().digest,
        old.digest
    );
}

#[test]
fn bad_answers_to_a_question_for_a_manifest() {
    let registry = Registry::start();
    let device = Device::new();
    let image = small_image();
    registry.push("shop/web", "1", &image);
    let config = device.host.docker_config.display().to_string();
    let always = usize::MAX;
    for (fault, times, requests, problem) in [
        (Fault::Status(404), always, 1, "not found (404)".to_owned()),
        (
            Fault::Status(403),
            always,
            1,
            format!("access is denied (403); does the account behind {config} have access to the repository?"),
        ),
        (Fault::Status(400), always, 1, "it answered with status 400".to_owned()),
        (Fault::Status(500), always, 3, "it answered with status 500".to_owned()),
        (Fault::Status(503), always, 3, "it answered with status 503".to_owned()),
        (Fault::TooManyRequests(0), always, 3, "too many requests (429), to be tried again in 0 s".to_owned()),
        (Fault::TooManyRequests(3600), 1, 1, "too many requests (429), to be tried again in 3600 s".to_owned()),
        (
            Fault::Html,
            always,
            1,
            "it answered text/html; charset=utf-8; is there a captive portal or a proxy in between?".to_owned(),
        ),
        (Fault::Reset, always, 3, "the other side closed the connection".to_owned()),
        (Fault::Silent, always, 3, "no answer in time".to_owned()),
        (
            Fault::Loop,
            always,
            6,
            format!("it redirects to \"{}/v2/shop/web/manifests/1\": that is one redirect too many", registry.url()),
        ),
        (
            Fault::Redirect("ftp://elsewhere".to_owned()),
            always,
            1,
            "it redirects to \"ftp://elsewhere/v2/shop/web/manifests/1\": that is not an http or https URL".to_owned(),
        ),
        (
            Fault::Challenge("Negotiate".to_owned()),
            always,
            1,
            "it asks for an authentication that is not supported: \"Negotiate\" (401)".to_owned(),
        ),
        (
            Fault::ContentType("application/vnd.docker.distribution.manifest.v1+prettyjws".to_owned()),
            always,
            2,
            "manifest has Docker's schema 1 format \"application/vnd.docker.distribution.manifest.v1+prettyjws\", which \
             has no verifiable digests; push the image again with a current tool"
                .to_owned(),
        ),
    ] {
        registry.reset_counts();
        registry.fault(On::Manifests, fault.clone(), times);
        let name = registry.name("shop/web:1");
        let error = device.client().resolve(&name.parse().unwrap()).unwrap_err();
        let expected = format!("failed to fetch manifest of {name} from registry {}: {problem}", registry.host());
        assert_eq!(error.to_string(), expected, "{fault:?}");
        assert_eq!(registry.requests().len(), requests, "{fault:?}");
        registry.heal();
    }
}

#[test]
fn bad_documents() {
    let registry = Registry::start();
    let device = Device::new();
    let image = small_image();
    registry.push("x", "1", &image);
    let reference: Reference = registry.name("x:1").parse().unwrap();
    for (fault, problem) in [
        (Fault::WrongContent, format!("instead of {}", image.digest)),
        (
            Fault::Short,
            "the transfer broke off: the other side closed the connection".to_owned(),
        ),
        (
            Fault::Overstated(10),
            "the transfer broke off: nothing came for too long".to_owned(),
        ),
        (
            Fault::Overstated(4 << 20),
            "bytes, more than the 4194304 allowed".to_owned(),
        ),
        (
            Fault::Endless,
            "manifest has 4194305 bytes, more than the 4194304 allowed".to_owned(),
        ),
        (
            Fault::Stall(5),
            "the transfer broke off: nothing came for too long".to_owned(),
        ),
        (Fault::Drip(2), "the transfer is too slow: ".to_owned()),
    ] {
        registry.fault(On::Manifests, fault.clone(), usize::MAX);
        let error = device
            .client()
            .manifest(&reference, &image.digest)
            .unwrap_err()
            .to_string();
        assert!(error.contains(&problem), "{fault:?}: {error}");
        assert!(
            error.starts_with(&format!("failed to fetch manifest of {reference}")),
            "{error}"
        );
        registry.heal();
    }
    assert!(
        registry.bytes() < 32 << 20,
        "an endless body is not read for long: {}",
        registry.bytes()
    );
    // A digest that is asked for is the digest that comes, whatever the registry calls it.
    let other = Image::oci([]).build();
    registry.push("x", "other", &other);
    let error = device
        .client()
        .manifest(&reference, &Digest::of(b"gone"))
        .unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("not found (404): MANIFEST_UNKNOWN: as the test wanted"),
        "{error}"
    );
}

#[test]
fn bad_blobs() {
    let registry = Registry::start();
    let device = Device::new();
    let noise: Vec<u8> = (0..40_000u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    let image = Image::oci([Layer::of(&[Entry::file("noise", noise)])]).build();
    registry.push("x", "1", &image);
    let reference: Reference = registry.name("x:1").parse().unwrap();
    let layer = layer_of(&image);
    let subject = format!(
        "failed to fetch blob {} of {}/x from registry {}: ",
        layer.digest,
        registry.host(),
        registry.host()
    );
    let prefixed = |problem: &str| format!("{subject}{problem}");
    for (fault, times, expected) in [
        (
            Fault::Status(404),
            usize::MAX,
            prefixed("not found (404): MANIFEST_UNKNOWN: as the test wanted"),
        ),
        (
            Fault::Status(502),
            usize::MAX,
            prefixed("it answered with status 502: UNKNOWN: as the test wanted"),
        ),
        (
            Fault::Html,
            usize::MAX,
            prefixed("it answered text/html; charset=utf-8; is there a captive portal"),
        ),
        (
            Fault::WrongContent,
            1,
            format!("{} arrived with the digest sha256:", layer.digest),
        ),
        (
            Fault::Short,
            usize::MAX,
            prefixed("the transfer broke off: the other side closed the connection"),
        ),
        (
            Fault::Endless,
            1,
            format!(
                "{} has more than the announced {} bytes",
                layer.digest, layer.size
            ),
        ),
        (
            Fault::Overstated(7),
            1,
            prefixed(&format!(
                "it announces {} bytes instead of {}",
                layer.size + 7,
                layer.size
            )),
        ),
        (
            Fault::Stall(0),
            usize::MAX,
            prefixed("the transfer broke off: "),
        ),
        (
            Fault::Drip(2),
            usize::MAX,
            prefixed("the transfer is too slow: "),
        ),
    ] {
        registry.fault(On::Blobs, fault.clone(), times);
        let error = match read_blob(&device.client(), &reference, &layer) {
            Ok(Ok(_)) => panic!("{fault:?} went unnoticed"),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        assert!(
            error.starts_with(&expected),
            "{fault:?}: {error}, expected {expected}"
        );
        registry.heal();
    }
    assert_eq!(
        read_blob(&device.client(), &reference, &layer)
            .unwrap()
            .unwrap()
            .len() as u64,
        layer.size
    );
}

#[test]
fn a_passing_trouble_is_waited_out() {
    let registry = Registry::start();
    let device = Device::new();
    registry.push("x", "1", &small_image());
    for fault in [
        Fault::Status(500),
        Fault::Status(503),
        Fault::TooManyRequests(0),
        Fault::Reset,
        Fault::Silent,
        Fault::Short,
        Fault::Stall(5),
    ] {
        registry.fault(On::Manifests, fault.clone(), 2);
        registry.fault(On::Blobs, fault.clone(), 2);
        pull(&device.client(), &registry.name("x:1"))
            .unwrap_or_else(|error| panic!("{fault:?}: {error}"));
    }
}

/// As long as a blob that broke off is gone on with, whatever request it is that an outage meets; only the first one, which
/// somebody waits for, is not.
#[test]
fn an_outage_is_waited_out_once_anything_has_come() {
    let registry = Registry::start();
    let device = Device::new();
    let image = small_image();
    registry.push("x", "1", &image);
    registry.access(Access::Bearer(None));
    let reference: Reference = registry.name("x:1").parse().unwrap();
    let layer = layer_of(&image);
    // More than a first question is repeated, less than a blob is gone on with.
    let times = 9;
    let client = || {
        let patience = Patience {
            retries: 2,
            resumptions: 10,
            pause: Duration::from_millis(1),
            longest_pause: Duration::from_millis(10),
            stall: Duration::from_millis(100),
            ..Patience::default()
        };
        Client::with_patience(&device.host, &device.settings, patience)
    };
    for fault in [
        Fault::Status(500),
        Fault::Status(502),
        Fault::Unavailable(0),
        Fault::Status(504),
        Fault::Status(429),
        Fault::Reset,
        Fault::Silent,
    ] {
        for on in [On::Manifests, On::Blobs, On::Token] {
            let client = client().begin();
            client.resolve(&reference).unwrap();
            if on == On::Token {
                registry.expire_tokens();
            }
            registry.fault(on.clone(), fault.clone(), times);
            let document = client.manifest(&reference, &image.digest);
            document.unwrap_or_else(|error| panic!("{fault:?} on {on:?}: {error}"));
            let blob = read_blob(&client, &reference, &layer);
            blob.unwrap_or_else(|error| panic!("{fault:?} on {on:?}: {error}"))
                .unwrap();
        }
        registry.fault(On::Manifests, fault.clone(), times);
        client().begin().resolve(&reference).unwrap_err();
        registry.heal();
        registry.fault(On::Manifests, fault.clone(), times);
        let unattended = client().begin_unattended();
        let resolved = unattended.resolve(&reference);
        resolved.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
    }
    // A registry may ask for a longer pause than our own, but not for one beyond the deadline.
    let client = client().begin();
    client.resolve(&reference).unwrap();
    registry.fault(On::Manifests, Fault::TooManyRequests(1), 1);
    client.manifest(&reference, &image.digest).unwrap();
    registry.fault(On::Manifests, Fault::TooManyRequests(99_999), 1);
    let refused = client.manifest(&reference, &image.digest).unwrap_err();
    assert!(refused.to_string().contains("tried again in 99999 s"));
}

#[test]
fn a_registry_that_is_down() {
    let device = Device::new();
    let host = Registry::down();
    let error = device
        .client()
        .resolve(&format!("{host}/x:1").parse().unwrap())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "failed to fetch manifest of {host}/x:1 from registry {host}: Connection refused (os error 111)"
        )
    );
}

#[test]
fn tokens_and_passwords() {
    let registry = Registry::start();
    let image = small_image();
    registry.push("shop/web", "1", &image);
    let name = registry.name("shop/web:1");
    let host = registry.host();
    // "user:secret" and "user:wrong" in base64.
    let right = format!(r#"{{"auths": {{"{host}": {{"auth": "dXNlcjpzZWNyZXQ="}}}}}}"#);
    let as_url = format!(
        r#"{{"auths": {{"https://{host}/v1/": {{"username": "user", "password": "secret"}}}}}}"#
    );
    let wrong = format!(r#"{{"auths": {{"{host}": {{"auth": "dXNlcjp3cm9uZw=="}}}}}}"#);
    let elsewhere = r#"{"auths": {"elsewhere.example": {"auth": "dXNlcjpzZWNyZXQ="}}}"#.to_owned();
    let user = || ("user".to_owned(), "secret".to_owned());
    let basic = Access::Basic("user".to_owned(), "secret".to_owned());
    let device = Device::new();
    let config = device.host.docker_config.display().to_string();
    let none = format!("it asks for credentials, and {config} has none for it (401)");
    let refused = format!("it refuses the credentials in {config} (401)");
    let no_token = |hint: &str| {
        format!(
            "its token server {} gave no token: it answered with status 401, {hint}",
            registry.url()
        )
    };
    for (access, config, expected) in [
        (Access::Open, "broken", Ok(())),
        (Access::Bearer(None), "", Ok(())),
        (Access::Bearer(None), &right, Ok(())),
        (Access::Bearer(Some(user())), &right, Ok(())),
        (Access::Bearer(Some(user())), &as_url, Ok(())),
        (
            Access::Bearer(Some(user())),
            "",
            Err(no_token("it asks for credentials")),
        ),
        (
            Access::Bearer(Some(user())),
            &elsewhere,
            Err(no_token("it asks for credentials")),
        ),
        (
            Access::Bearer(Some(user())),
            &wrong,
            Err(no_token("the credentials are refused")),
        ),
        (basic.clone(), &right, Ok(())),
        (basic.clone(), &as_url, Ok(())),
        (basic.clone(), "{}", Err(none.clone())),
        (basic.clone(), &elsewhere, Err(none)),
        (basic.clone(), &wrong, Err(refused)),
        (
            basic.clone(),
            r#"{"auths": {"a": {"auth": 7}}}"#,
            Err(format!(
                "failed to read credentials from {config}: not valid at line 1, column 26"
            )),
        ),
    ] {
        let device = Device {
            scratch: Scratch::new("unused"),
            host: device.host.clone(),
            settings: Settings::default(),
        };
        device.docker_config(if config.is_empty() { "{}" } else { config });
        registry.access(access.clone());
        let found = pull(&device.client(), &name)
            .map(|_| ())
            .map_err(|error| error.to_string());
        let expected = expected.map_err(|problem| {
            format!("failed to fetch manifest of {name} from registry {host}: {problem}")
        });
        assert_eq!(found, expected, "{access:?} with {config}");
    }
    assert_eq!(
        registry
            .requests()
            .iter()
            .filter(|r| r.path.contains("secret"))
            .count(),
        0
    );
}

/// Blobs usually come from elsewhere; what is meant for the registry must not go there.
#[test]
fn redirects_take_no_credentials_along() {
    let registry = Registry::start();
    let elsewhere = Registry::start();
    let image = small_image();
    registry.push("x", "1", &image);
    elsewhere.push("x", "1", &image);
    let layer = layer_of(&image);
    let device = Device::new();
    let host = registry.host();
    device.docker_config(&format!(
        r#"{{"auths": {{"{host}": {{"auth": "dXNlcjpzZWNyZXQ="}}}}}}"#
    ));
    let reference: Reference = registry.name("x:1").parse().unwrap();
    let user = || ("user".to_owned(), "secret".to_owned());
    for access in [
        Access::Bearer(Some(user())),
        Access::Basic("user".to_owned(), "secret".to_owned()),
    ] {
        registry.access(access);
        registry.reset_counts();
        elsewhere.reset_counts();
        let client = device.client();
        client.resolve(&reference).unwrap();
        registry.fault(On::Blobs, Fault::Redirect(elsewhere.url()), 1);
        read_blob(&client, &reference, &layer).unwrap().unwrap();
        let there = elsewhere.requests();
        assert_eq!(there.len(), 1);
        assert_eq!(there[0].header("authorization"), None);
        assert_eq!(there[0].header("cookie"), None);
        // The same port under another name is another origin too.
        let port = host.rsplit_once(':').unwrap().1;
        registry.fault(
            On::Blobs,
            Fault::Redirect(format!("http://localhost:{port}")),
            1,
        );
        let refused = read_blob(&client, &reference, &layer)
            .unwrap_err()
            .to_string();
        assert!(
            refused.ends_with("that asks for credentials, which are for the registry only"),
            "{refused}"
        );
        let last = registry.requests().pop().unwrap();
        assert_eq!(
            last.header("host"),
            Some(format!("localhost:{port}").as_str())
        );
        assert_eq!(last.header("authorization"), None);
    }
}

#[test]
fn a_token_that_ends_early_is_renewed() {
    let registry = Registry::start();
    registry.access(Access::Bearer(None));
    let image = small_image();
    registry.push("x", "1", &image);
    let device = Device::new();
    let client = device.client();
    pull(&client, &registry.name("x:1")).unwrap();
    assert_eq!(
        registry.count("GET", "/token"),
        1,
        "one token serves a whole image"
    );
    let token = registry
        .requests()
        .into_iter()
        .find(|r| r.path.starts_with("/token"))
        .unwrap();
    assert_eq!(token.path, "/token?service=test&scope=repository:x:pull");
    registry.expire_tokens();
    pull(&client, &registry.name("x:1")).unwrap();
    assert_eq!(registry.count("GET", "/token"), 2);
    // Several threads that find it expired fetch one together.
    registry.expire_tokens();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| pull(&client, &registry.name("x:1")).unwrap());
        }
    });
    assert_eq!(registry.count("GET", "/token"), 3);
}

#[test]
fn passwords_go_to_no_foreign_token_server() {
    let registry = Registry::start();
    let thief = Registry::start();
    registry.push("x", "1", &small_image());
    let device = Device::new();
    let host = registry.host();
    device.docker_config(&format!(
        r#"{{"auths": {{"{host}": {{"auth": "dXNlcjpzZWNyZXQ="}}}}}}"#
    ));
    let reference: Reference = registry.name("x:1").parse().unwrap();
    let port = thief.host().rsplit_once(':').unwrap().1.to_owned();
    for realm in [
        "http://169.254.169.254/latest".to_owned(),
        format!("http://localhost:{port}/token"),
    ] {
        registry.fault(
            On::Manifests,
            Fault::Challenge(format!("Bearer realm=\"{realm}\"")),
            1,
        );
        let error = device.client().resolve(&reference).unwrap_err().to_string();
        let expected =
            format!("it sends clients to the token server {realm:?}, which is not trusted");
        assert!(error.contains(&expected), "{error}");
    }
    assert_eq!(thief.requests().len(), 0);
    // Neither is a redirect of the token server followed.
    registry.access(Access::Bearer(None));
    registry.fault(On::Token, Fault::Redirect(thief.url()), usize::MAX);
    let error = device.client().resolve(&reference).unwrap_err().to_string();
    assert!(
        error.contains("gave no token: it answered with status 307"),
        "{error}"
    );
    assert_eq!(thief.requests().len(), 0);
}

#[test]
fn bad_token_servers() {
    let registry = Registry::start();
    registry.access(Access::Bearer(None));
    registry.push("x", "1", &small_image());
    let device = Device::new();
    let reference: Reference = registry.name("x:1").parse().unwrap();
    for (fault, cause) in [
        (Fault::Status(500), "it answered with status 500"),
        (Fault::Html, "its answer is not a token"),
        (Fault::Endless, "more than the 262144 bytes allowed"),
        (Fault::Short, "the other side closed the connection"),
    ] {
        registry.fault(On::Token, fault.clone(), usize::MAX);
        let error = device.client().resolve(&reference).unwrap_err().to_string();
        let expected = format!("its token server {} gave no token: ", registry.url());
        assert!(
            error.contains(&expected) && error.ends_with(cause),
            "{fault:?}: {error}"
        );
        registry.heal();
    }
}

/// Plain http is for this machine, and for registries that the settings name.
#[test]
fn plain_http_needs_a_reason() {
    let registry = Registry::start();
    registry.push("x", "1", &small_image());
    let port = registry.host().rsplit_once(':').unwrap().1.to_owned();
    let mut device = Device::new();
    // Resolves to this machine, but is no name of it.
    let foreign = format!("{}:{port}", foreign_name());
    let reference: Reference = format!("{foreign}/x:1").parse().unwrap();
    let error = device.client().resolve(&reference).unwrap_err().to_string();
    assert!(
        error.contains("ca-certificates.crt"),
        "https without authorities: {error}"
    );
    assert_eq!(registry.requests().len(), 0);
    device
        .settings
        .registries
        .entry(foreign.clone())
        .or_default()
        .insecure = true;
    pull(&device.client(), &reference.to_string()).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn goes_through_the_proxy_of_the_environment() {
    let registry = Registry::start();
    let image = small_image();
    registry.push("x", "1", &image);
    let mut device = Device::new();
    device
        .settings
        .registries
        .entry("hub.example:5000".to_owned())
        .or_default()
        .insecure = true;
    device
        .host
        .env
        .insert("HTTP_PROXY".into(), registry.url().into());
    pull(&device.client(), "hub.example:5000/x:1").unwrap_or_else(|error| panic!("{error}"));
    let first = &registry.requests()[..2];
    assert_eq!(
        (first[0].method.as_str(), first[0].path.as_str()),
        ("CONNECT", "hub.example:5000")
    );
    assert_eq!(
        (first[1].method.as_str(), first[1].path.as_str()),
        ("HEAD", "/v2/x/manifests/1")
    );
    let connect = || On::Path("hub.example:5000".to_owned());
    // What the proxy does not reach now it may reach soon.
    registry.fault(connect(), Fault::Status(503), 2);
    pull(&device.client(), "hub.example:5000/x:1").unwrap_or_else(|error| panic!("{error}"));
    registry.fault(connect(), Fault::Status(403), 1);
    let down = Registry::down();
    let unusable = "the proxy in the environment is not a valid http URL: http://HOST:PORT is supported, socks and https \
                    are not";
    for (proxy, problem) in [
        (
            registry.url(),
            format!(
                "the proxy refused CONNECT hub.example:5000: proxy server responded 403/403; registries over plain http \
                 go through CONNECT too (through the proxy {})",
                registry.host()
            ),
        ),
        (
            format!("http://user:secret@{down}"),
            format!("Connection refused (os error 111) (through the proxy {down})"),
        ),
        ("socks9://nowhere".to_owned(), unusable.to_owned()),
        ("socks5://127.0.0.1:1080".to_owned(), unusable.to_owned()),
        ("https://127.0.0.1:3128".to_owned(), unusable.to_owned()),
        ("http://127.0.0.1:notaport".to_owned(), unusable.to_owned()),
    ] {
        let variables = &mut device.host.env;
        variables.insert("HTTP_PROXY".into(), proxy.clone().into());
        let asked = device
            .client()
            .resolve(&"hub.example:5000/x:1".parse().unwrap());
        assert_eq!(asked.unwrap_err().problem.to_string(), problem, "{proxy}");
    }
}

/// Addresses in brackets everywhere: names, redirects, token servers, mirrors, credentials.
#[test]
fn over_ipv6_all_is_the_same() {
    let (registry, elsewhere) = (Registry::start_at("[::1]:0"), Registry::start_at("[::1]:0"));
    let image = small_image();
    registry.push("x", "1", &image);
    elsewhere.push("x", "1", &image);
    let host = registry.host();
    assert!(host.starts_with("[::1]:"), "{host}");
    registry.access(Access::Bearer(Some((
        "user".to_owned(),
        "secret".to_owned(),
    ))));
    let mut device = Device::new();
    device.docker_config(&format!(
        r#"{{"auths": {{"{host}": {{"auth": "dXNlcjpzZWNyZXQ="}}}}}}"#
    ));
    let layer = layer_of(&image);
    let redirected = Fault::Redirect(elsewhere.url());
    pull(&device.client(), &registry.name("x:1")).unwrap();
    registry.fault(On::Path(layer.digest.hex()), redirected, 1);
    // The challenge comes before the redirect, and with the token only to the registry.
    pull(&device.client(), &registry.name("x:1")).unwrap();
    assert_eq!(elsewhere.requests().len(), 1);
    assert_eq!(elsewhere.requests()[0].header("authorization"), None);
    let named = device.settings.registries.entry(host).or_default();
    named.mirrors.push(elsewhere.host());
    registry.reset_counts();
    pull(&device.client(), &registry.name("x:1")).unwrap();
    assert_eq!(registry.requests().len(), 0);
}

/// A name for 127.0.0.1 that does not say so: the numeric form that only the resolver understands.
fn foreign_name() -> &'static str {
    "2130706433"
}
