//! Mirrors: asked in order, left when they are of no use, and told nothing that is the registry's.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test files need no durable writer; a broken set-up should panic"
)]

mod common;

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use common::Scratch;
use common::image::{Built, Entry, Image, Layer};
use common::registry::{Access, Fault, Link, On, Registry};
use dray::config::Settings;
use dray::host::Host;
use dray::images::{Event, Images};
use dray::oci::stream::Verified;
use dray::oci::{Descriptor, Document, Platform, Reference};
use dray::registry::{Client, Patience};

fn image() -> (Built, Descriptor) {
    let built = Image::oci([Layer::of(&[Entry::file("a", vec![7; 20_000])])]).build();
    let Document::Manifest(manifest) = Document::parse(built.document(), None).unwrap() else {
        panic!("an index has no layers");
    };
    let layer = manifest.layers[0].clone();
    (built, layer)
}

/// A device whose registry has these mirrors.
struct Device {
    _scratch: Scratch,
    host: Host,
    settings: Settings,
}

impl Device {
    fn new(registry: &str, mirrors: &[&str]) -> Device {
        let scratch = Scratch::new("mirrors");
        let mut settings = Settings::default();
        let own = settings.registries.entry(registry.to_owned()).or_default();
        own.mirrors = mirrors.iter().map(|mirror| (*mirror).to_owned()).collect();
        Device {
            host: Host::at(scratch.path()),
            _scratch: scratch,
            settings,
        }
    }

    fn client(&self) -> Client {
        let patience = Patience {
            stall: Duration::from_millis(400),
            retries: 2,
            resumptions: 3,
            pause: Duration::from_millis(1),
            ..Patience::default()
        };
        Client::with_patience(&self.host, &self.settings, patience).begin()
    }

    fn images(&self) -> Images {
        Images::open(&self.host, &self.settings).unwrap()
    }

    fn docker_config(&self, json: &str) {
        std::fs::create_dir_all(self.host.docker_config.parent().unwrap()).unwrap();
        std::fs::write(&self.host.docker_config, json).unwrap();
    }
}

#[test]
fn mirrors_are_asked_in_order_and_then_the_registry() {
    let (built, blob) = image();
    let (registry, empty, full) = (Registry::start(), Registry::start(), Registry::start());
    let down = Registry::down();
    let host = registry.host();
    registry.push("x", "1", &built);
    full.push("x", "1", &built);
    let device = Device::new(&host, &[&down, &empty.host(), &full.host()]);
    let reference: Reference = registry.name("x:1").parse().unwrap();
    let client = device.client();
    assert_eq!(client.resolve(&reference).unwrap().digest, built.digest);
    client.manifest(&reference, &built.digest).unwrap();
    Verified::of(client.blob(&reference, &blob).unwrap(), &blob)
        .finish()
        .unwrap();
    assert_eq!(registry.requests().len(), 0);
    assert_eq!((empty.requests().len(), full.requests().len()), (3, 3));
    assert_eq!(client.mirrors_used(), [full.host()]);
    // What no mirror has comes from the registry; what nobody has is said of all of them.
    let other = Image::oci([]).build();
    registry.push("x", "2", &other);
    let reference: Reference = registry.name("x:2").parse().unwrap();
    assert_eq!(client.resolve(&reference).unwrap().digest, other.digest);
    let reference: Reference = registry.name("x:3").parse().unwrap();
    let error = device.client().resolve(&reference).unwrap_err().to_string();
    let missing = "not found (404)";
    assert_eq!(
        error,
        format!(
            "failed to fetch manifest of {reference} from registry {host}: {missing}; its mirror {down}: Connection \
             refused (os error 111); its mirror {}: {missing}; its mirror {}: {missing}",
            empty.host(),
            full.host()
        )
    );
}

#[test]
fn a_mirror_that_is_of_no_use_is_left() {
    let (built, blob) = image();
    for (on, fault, manifests, blobs) in [
        (On::Everything, Fault::Status(500), 0, 0),
        (On::Everything, Fault::Status(403), 0, 0),
        (On::Everything, Fault::Html, 0, 0),
        (On::Everything, Fault::Reset, 0, 0),
        (On::Everything, Fault::Silent, 0, 0),
        (On::Everything, Fault::TooManyRequests(60), 0, 0),
        (On::Manifests, Fault::WrongContent, 0, 1),
        (On::Blobs, Fault::Overstated(1), 1, 0),
    ] {
        let (registry, mirror) = (Registry::start(), Registry::start());
        registry.push("x", "1", &built);
        mirror.push("x", "1", &built);
        mirror.fault(on, fault.clone(), usize::MAX);
        let device = Device::new(&registry.host(), &[&mirror.host()]);
        let reference: Reference = registry.name("x:1").parse().unwrap();
        let client = device.client();
        let (bytes, _) = client.manifest(&reference, &built.digest).unwrap();
        assert_eq!(bytes, built.document());
        Verified::of(client.blob(&reference, &blob).unwrap(), &blob)
            .finish()
            .unwrap();
        assert_eq!(
            registry.count("GET", "/manifests/"),
            1 - manifests,
            "{fault:?}"
        );
        assert_eq!(registry.count("GET", "/blobs/"), 1 - blobs, "{fault:?}");
        // Nobody is waited for where there is somebody else, and who is not there is asked once.
        assert!(mirror.requests().len() <= 2, "{fault:?}");
    }
}

/// Right size, wrong bytes: known only at the end of the blob, when it is begun again elsewhere.
#[test]
fn wrong_bytes_of_a_mirror_cost_only_time() {
    let (built, blob) = image();
    let (registry, bad, good) = (Registry::start(), Registry::start(), Registry::start());
    for place in [&registry, &bad, &good] {
        place.push("x", "1", &built);
    }
    bad.fault(On::Blobs, Fault::WrongContent, usize::MAX);
    let device = Device::new(&registry.host(), &[&bad.host(), &good.host()]);
    let reference: Reference = registry.name("x:1").parse().unwrap();
    let told = Mutex::new(Vec::new());
    let progress = |event: &Event<'_>| {
        if let Event::Arrived { mirrors, .. } = event {
            told.lock().unwrap().extend(mirrors.to_vec());
        }
    };
    let images = device.images();
    let pulled = images
        .pull(&reference, &Platform::host(), &progress)
        .unwrap();
    assert_eq!(pulled.digest, built.digest);
    assert_eq!(told.into_inner().unwrap(), [good.host()]);
    assert_eq!(registry.requests().len(), 0);
    for digest in [blob.digest, built.config] {
        assert_eq!(bad.count("GET", &digest.hex()), 1);
        assert_eq!(good.count("GET", &digest.hex()), 1);
    }
    // Where all of them lie it is refused, and nothing stays.
    for place in [&registry, &good] {
        place.fault(On::Blobs, Fault::WrongContent, usize::MAX);
    }
    let device = Device::new(&registry.host(), &[&bad.host(), &good.host()]);
    let refused = device
        .images()
        .pull(&reference, &Platform::host(), &())
        .unwrap_err();
    assert!(
        refused.to_string().contains("arrived with the digest"),
        "{refused}"
    );
    let blobs = device.host.state.join("blobs/sha256");
    assert_eq!(std::fs::read_dir(blobs).unwrap().count(), 0);
}

#[test]
fn a_blob_is_gone_on_with_at_another_place() {
    let (built, blob) = image();
    let half = usize::try_from(blob.size / 2).unwrap();
    let (registry, mirror) = (Registry::start(), Registry::start());
    registry.push("x", "1", &built);
    mirror.push("x", "1", &built);
    mirror.fault(On::Blobs, Fault::Link(Link::Reset, half), 1);
    mirror.fault(On::Blobs, Fault::Status(500), usize::MAX);
    let device = Device::new(&registry.host(), &[&mirror.host()]);
    let reference: Reference = registry.name("x:1").parse().unwrap();
    let client = device.client();
    Verified::of(client.blob(&reference, &blob).unwrap(), &blob)
        .finish()
        .unwrap();
    assert_eq!(
        (registry.bytes(), client.refetched()),
        (blob.size - half as u64, 0)
    );
    let asked = registry.requests().pop().unwrap();
    assert_eq!(
        asked.header("range"),
        Some(format!("bytes={half}-").as_str())
    );
    // The mirror's tag says nothing about the registry's.
    assert_eq!(asked.header("if-range"), None);
}

/// Where the registry is out of reach, as it is for many devices, its mirror is not given up for one bad moment.
#[test]
fn a_mirror_is_asked_again_where_there_is_nobody_else() {
    let (built, blob) = image();
    let half = usize::try_from(blob.size / 2).unwrap();
    let (down, mirror) = (Registry::down(), Registry::start());
    mirror.push("x", "1", &built);
    let device = Device::new(&down, &[&mirror.host()]);
    let reference: Reference = format!("{down}/x:1").parse().unwrap();
    let client = device.client();
    mirror.fault(On::Manifests, Fault::Reset, 2);
    client.resolve(&reference).unwrap();
    mirror.fault(On::Manifests, Fault::Reset, 2);
    client.manifest(&reference, &built.digest).unwrap();
    mirror.fault(On::Blobs, Fault::Reset, 2);
    mirror.fault(On::Blobs, Fault::Link(Link::Reset, half), 1);
    mirror.fault(On::Blobs, Fault::Reset, 2);
    Verified::of(client.blob(&reference, &blob).unwrap(), &blob)
        .finish()
        .unwrap();
    assert_eq!((mirror.bytes() >= blob.size, client.refetched()), (true, 0));
    // Nor for ever.
    mirror.fault(On::Blobs, Fault::Link(Link::Reset, half), 1);
    mirror.fault(On::Blobs, Fault::Reset, usize::MAX);
    let read = Verified::of(client.blob(&reference, &blob).unwrap(), &blob).finish();
    let refused = read.unwrap_err().to_string();
    assert!(refused.contains("Connection refused"), "{refused}");
}

/// Whether any request has this in a header or its path.
fn heard(place: &Registry, secret: &str) -> bool {
    let is_in = |text: &String| text.contains(secret);
    place
        .requests()
        .iter()
        .any(|request| is_in(&request.path) || request.headers.values().any(is_in))
}

/// Files below a folder that contain this.
fn files_with(folder: &Path, secret: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(files_with(&path, secret));
        } else if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            if bytes.windows(secret.len()).any(|window| window == secret) {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

/// Registry, mirror and a place that blobs are redirected to, each with secrets of its own: after a pull through all of
/// them each has heard only its own, and no file but docker's has any.
#[test]
fn secrets_go_nowhere_else() {
    let (built, blob) = image();
    let (registry, mirror, elsewhere) = (Registry::start(), Registry::start(), Registry::start());
    registry.push("x", "1", &built);
    elsewhere.push("x", "1", &built);
    let user = |secret: &str| Some(("user".to_owned(), secret.to_owned()));
    registry.access(Access::Bearer(user("of-registry")));
    mirror.access(Access::Bearer(user("of-mirror")));
    let device = Device::new(&registry.host(), &[&mirror.host()]);
    // "user:of-registry" and "user:of-mirror" in base64.
    let secrets = ["dXNlcjpvZi1yZWdpc3RyeQ==", "dXNlcjpvZi1taXJyb3I="];
    device.docker_config(&format!(
        r#"{{"auths": {{"{}": {{"auth": "{}"}}, "{}": {{"auth": "{}"}}}}}}"#,
        registry.host(),
        secrets[0],
        mirror.host(),
        secrets[1]
    ));
    let reference: Reference = registry.name("x:1").parse().unwrap();
    let signed = format!(
        "{}/v2/x/blobs/{}?signature=presigned?",
        elsewhere.url(),
        blob.digest
    );
    registry.fault(
        On::Path(blob.digest.hex()),
        Fault::Challenge(format!("Bearer realm=\"{}/token\"", registry.url())),
        1,
    );
    registry.fault(
        On::Path(blob.digest.hex()),
        Fault::Redirect(signed),
        usize::MAX,
    );
    device
        .images()
        .pull(&reference, &Platform::host(), &())
        .unwrap();
    assert!(registry.count("GET", "/token") > 0 && mirror.count("GET", "/token") > 0);
    assert_eq!(elsewhere.count("GET", "signature=presigned"), 1);
    for (place, own) in [(&registry, Some(0)), (&mirror, Some(1)), (&elsewhere, None)] {
        for (number, secret) in secrets.iter().enumerate() {
            assert_eq!(
                heard(place, secret),
                own == Some(number),
                "{number} at {}",
                place.host()
            );
        }
    }
    // Tokens count up from one at each place: none at all went to where there is no login.
    assert!(
        elsewhere
            .requests()
            .iter()
            .all(|r| r.header("authorization").is_none())
    );
    let plain = ["of-registry", "of-mirror", "token-1", "presigned"];
    for secret in secrets.iter().chain(&plain) {
        let mut files = files_with(&device.host.state, secret.as_bytes());
        if device.host.run.exists() {
            files.extend(files_with(&device.host.run, secret.as_bytes()));
        }
        assert_eq!(files, Vec::<String>::new(), "{secret}");
    }
    // Nor does a failure tell any.
    elsewhere.fault(On::Everything, Fault::Loop, usize::MAX);
    let fresh = Device::new(&registry.host(), &[&mirror.host()]);
    std::fs::create_dir_all(fresh.host.docker_config.parent().unwrap()).unwrap();
    std::fs::copy(&device.host.docker_config, &fresh.host.docker_config).unwrap();
    let refused = fresh
        .images()
        .pull(&reference, &Platform::host(), &())
        .unwrap_err();
    let text = format!("{refused} {refused:?}");
    assert!(text.contains("one redirect too many"), "{text}");
    for secret in secrets.iter().chain(&plain) {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}

/// A mirror may send us to a token server of its own, not to the registry's or anybody else's.
#[test]
fn a_mirrors_token_server_is_judged_by_the_mirrors_host() {
    let (built, _) = image();
    let (registry, mirror) = (Registry::start(), Registry::start());
    registry.push("x", "1", &built);
    let port = mirror.host().rsplit_once(':').unwrap().1.to_owned();
    let named = format!("localhost:{port}");
    let device = Device::new(&registry.host(), &[&named]);
    device.docker_config(&format!(
        r#"{{"auths": {{"{named}": {{"auth": "dXNlcjpvZi1taXJyb3I="}}}}}}"#
    ));
    // The registry's own host, from the mirror's mouth.
    let realm = format!("Bearer realm=\"{}/token\"", registry.url());
    mirror.fault(On::Manifests, Fault::Challenge(realm), usize::MAX);
    let reference: Reference = registry.name("x:1").parse().unwrap();
    device.client().resolve(&reference).unwrap();
    assert_eq!(registry.count("GET", "/token"), 0);
    registry.fault(On::Manifests, Fault::Status(404), usize::MAX);
    let error = device.client().resolve(&reference).unwrap_err().to_string();
    let expected = format!("its mirror {named}: it sends clients to the token server");
    assert!(error.contains(&expected), "{error}");
}
