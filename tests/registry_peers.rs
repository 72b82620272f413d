//! The registry client beside other people's programs: Debian's docker-registry, skopeo, openssl.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test files need no durable writer; a broken set-up should panic"
)]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use common::Scratch;
use common::docker_registry::{DockerRegistry, Options, make_certificates, make_self_signed};
use common::image::{Built, Entry, Flavour, Image, Layer, Packing, index};
use common::registry::{Access, Registry};
use dray::config::{RegistrySettings, Settings};
use dray::host::Host;
use dray::oci::stream::Verified;
use dray::oci::{Document, ImageConfig, MAX_CONFIG, Reference};
use dray::registry::{Client, RegistryError};

fn layer() -> Layer {
    Layer::of(&[
        Entry::dir("etc"),
        Entry::file("etc/motd", "hello").xattr("user.a", "b"),
    ])
}

/// Pulls an image that is no index; its configuration is what was built.
fn pull(host: &Host, name: &str, image: &Built) -> Result<(), RegistryError> {
    pull_with(host, &Settings::default(), name, image)
}

fn pull_with(
    host: &Host,
    settings: &Settings,
    name: &str,
    image: &Built,
) -> Result<(), RegistryError> {
    let client = Client::new(host, settings);
    let reference: Reference = name.parse().unwrap();
    let root = client.resolve(&reference)?;
    assert_eq!(root.digest, image.digest);
    let (bytes, content_type) = client.manifest(&reference, &root.digest)?;
    let Document::Manifest(manifest) = Document::parse(&bytes, content_type.as_deref()).unwrap()
    else {
        panic!("{name} is an index");
    };
    for blob in &manifest.layers {
        Verified::of(client.blob(&reference, blob)?, blob)
            .finish()
            .unwrap();
    }
    let mut config = Vec::new();
    let blob = Verified::of(client.blob(&reference, &manifest.config)?, &manifest.config);
    blob.take(MAX_CONFIG).read_to_end(&mut config).unwrap();
    assert_eq!(
        ImageConfig::parse(&config).unwrap().rootfs_diff_ids,
        image.diff_ids
    );
    Ok(())
}

/// The images and the registry that other tests stand on are what other tools take them for.
#[test]
fn skopeo_pulls_what_the_test_registry_serves() {
    let registry = Registry::start();
    registry.access(Access::Bearer(None));
    let images = [
        ("gzip", Image::oci([layer()]).build()),
        ("zstd", Image::oci([layer().packed(Packing::Zstd)]).build()),
        (
            "docker",
            Image::docker([layer(), layer().packed(Packing::Plain)]).build(),
        ),
    ];
    let foreign = Image::oci([]).platform("linux/s390x").build();
    let both = index(Flavour::Oci, &[&foreign, &images[0].1]);
    let scratch = Scratch::new("skopeo");
    for (tag, image) in images
        .iter()
        .map(|(tag, image)| (*tag, image))
        .chain([("index", &both)])
    {
        registry.push("shop/web", tag, image);
        let copy = scratch.join(tag);
        let status = Command::new("skopeo")
            .args([
                "copy",
                "--quiet",
                "--preserve-digests",
                "--src-tls-verify=false",
            ])
            .arg(format!(
                "docker://{}",
                registry.name(&format!("shop/web:{tag}"))
            ))
            .arg(format!("dir:{}", copy.display()))
            .status()
            .unwrap();
        assert!(status.success(), "{tag}");
        assert!(copy.join("manifest.json").exists());
    }
    assert_eq!(registry.count("GET", "/token"), 4);
}

#[test]
fn pulls_from_docker_registry() {
    let registry = DockerRegistry::start(Options::default());
    let scratch = Scratch::new("peer");
    let host = Host::at(scratch.path());
    for (name, image) in [
        (
            "shop/web:oci",
            Image::oci([layer(), layer().packed(Packing::Zstd)]).build(),
        ),
        ("shop/web:docker", Image::docker([layer()]).build()),
    ] {
        registry.push(&image, name, &[]);
        pull(&host, &registry.name(name), &image).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let client = Client::new(&host, &Settings::default());
    let (one, two) = (
        Image::oci([layer()]).build(),
        Image::oci([]).platform("linux/arm/v6").build(),
    );
    let both = index(Flavour::Oci, &[&one, &two]);
    registry.push(&both, "shop/web:index", &[]);
    let reference: Reference = registry.name("shop/web:index").parse().unwrap();
    assert_eq!(client.resolve(&reference).unwrap().digest, both.digest);
    let missing: Reference = registry.name("shop/web:gone").parse().unwrap();
    assert_eq!(
        client.resolve(&missing).unwrap_err().to_string(),
        format!(
            "failed to fetch manifest of {missing} from registry {}: not found (404)",
            registry.host()
        )
    );
}

#[test]
fn basic_passwords_of_docker_registry() {
    let registry = DockerRegistry::start(Options {
        password: true,
        ..Options::default()
    });
    let image = Image::oci([layer()]).build();
    registry.push(&image, "x:1", &["--dest-creds", "user:secret"]);
    let scratch = Scratch::new("peer");
    let host = Host::at(scratch.path());
    std::fs::create_dir_all(host.docker_config.parent().unwrap()).unwrap();
    let config = host.docker_config.display();
    // "user:secret" and "user:wrong" in base64.
    for (auth, expected) in [
        (Some("dXNlcjpzZWNyZXQ="), Ok(())),
        (
            Some("dXNlcjp3cm9uZw=="),
            Err(format!("it refuses the credentials in {config} (401)")),
        ),
        (
            None,
            Err(format!(
                "it asks for credentials, and {config} has none for it (401)"
            )),
        ),
    ] {
        let entry = auth.map(|auth| format!(r#""{}": {{"auth": "{auth}"}}"#, registry.host()));
        let text = format!(r#"{{"auths": {{{}}}}}"#, entry.unwrap_or_default());
        std::fs::write(&host.docker_config, text).unwrap();
        let found =
            pull(&host, &registry.name("x:1"), &image).map_err(|error| error.problem.to_string());
        assert_eq!(found, expected, "{auth:?}");
    }
}

#[test]
fn https_with_an_authority_of_its_own() {
    let scratch = Scratch::new("tls");
    let tls = scratch.join("tls");
    make_certificates(&tls, "IP:127.0.0.1,DNS:localhost");
    let wrong = scratch.join("wrong");
    make_certificates(&wrong, "DNS:elsewhere.example");
    let registry = DockerRegistry::start(Options {
        tls: Some(&tls),
        ..Options::default()
    });
    let misnamed = DockerRegistry::start(Options {
        tls: Some(&wrong),
        ..Options::default()
    });
    let image = Image::oci([layer()]).build();
    registry.push(&image, "x:1", &[]);
    misnamed.push(&image, "x:1", &[]);
    let host = Host::at(&scratch.join("device"));
    let copy = |from: &str, to: &str| {
        let target = host.certs.join(to);
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(scratch.join(from), target).unwrap();
    };
    let refusal = |registry: &DockerRegistry| {
        let error = pull(&host, &registry.name("x:1"), &image).unwrap_err();
        error.problem.to_string()
    };
    let here = registry.host();
    // A folder for it makes a registry on this machine an https one; without an authority nothing is trusted.
    std::fs::create_dir_all(host.certs.join(here)).unwrap();
    let bundle = host.ca_bundles[0].clone();
    assert_eq!(
        refusal(&registry),
        format!(
            "failed to read certificates from {}: neither it nor any other bundle of certificate authorities exists; \
             install ca-certificates or set SSL_CERT_FILE",
            bundle.display()
        )
    );
    // The system trusts somebody else.
    std::fs::create_dir_all(bundle.parent().unwrap()).unwrap();
    std::fs::copy(wrong.join("ca.crt"), &bundle).unwrap();
    assert_eq!(
        refusal(&registry),
        format!(
            "invalid peer certificate: UnknownIssuer (if it has an authority of its own, its certificate belongs into \
             certs.d/{here}/ca.crt)"
        )
    );
    // Its own authority in certs.d.
    copy("tls/ca.crt", &format!("{here}/ca.crt"));
    pull(&host, &registry.name("x:1"), &image).unwrap_or_else(|error| panic!("{error}"));
    // By name as well as by address.
    let port = here.rsplit_once(':').unwrap().1;
    copy("tls/ca.crt", &format!("localhost:{port}/ca.crt"));
    pull(&host, &format!("localhost:{port}/x:1"), &image).unwrap_or_else(|error| panic!("{error}"));
    // A certificate for another name, from an authority that is trusted.
    std::fs::create_dir_all(host.certs.join(misnamed.host())).unwrap();
    let misfit = refusal(&misnamed);
    assert!(
        misfit.contains("not valid for name \"127.0.0.1\""),
        "{misfit}"
    );
    // An authority that is no certificate.
    copy("tls/ca.key", &format!("{here}/other.crt"));
    let path = host.certs.join(here).join("other.crt");
    assert_eq!(
        refusal(&registry),
        format!(
            "failed to read certificates from {}: it contains no PEM certificate",
            path.display()
        )
    );
}

#[test]
fn https_with_a_certificate_of_the_client() {
    let scratch = Scratch::new("mutual");
    let tls = scratch.join("tls");
    make_certificates(&tls, "IP:127.0.0.1");
    let registry = DockerRegistry::start(Options {
        tls: Some(&tls),
        client_certificates: true,
        ..Options::default()
    });
    let image = Image::oci([layer()]).build();
    let host = Host::at(&scratch.join("device"));
    let folder = host.certs.join(registry.host());
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(tls.join("ca.crt"), folder.join("ca.crt")).unwrap();
    let name = registry.name("x:1");
    let refused = pull(&host, &name, &image).unwrap_err().to_string();
    assert!(refused.contains("certificate"), "{refused}");
    std::fs::copy(tls.join("client.crt"), folder.join("client.cert")).unwrap();
    let refused = pull(&host, &name, &image).unwrap_err().problem.to_string();
    assert!(refused.ends_with("client.key is missing"), "{refused}");
    std::fs::copy(tls.join("client.key"), folder.join("client.key")).unwrap();
    registry.push(
        &image,
        "x:1",
        &["--dest-cert-dir", &folder.display().to_string()],
    );
    pull(&host, &name, &image).unwrap_or_else(|error| panic!("{error}"));
}

/// The same from the ini file, and which of several certificates is shown.
#[test]
fn certificates_that_the_settings_name() {
    let scratch = Scratch::new("named");
    let (tls, other) = (scratch.join("tls"), scratch.join("other"));
    make_certificates(&tls, "IP:127.0.0.1");
    make_self_signed(&other, "IP:127.0.0.1");
    let registry = DockerRegistry::start(Options {
        tls: Some(&tls),
        client_certificates: true,
        ..Options::default()
    });
    let image = Image::oci([layer()]).build();
    let host = Host::at(&scratch.join("device"));
    let name = registry.name("x:1");
    let folder = host.certs.join(registry.host());
    std::fs::create_dir_all(&folder).unwrap();
    // The first by name is somebody else's; docker shows the one that the registry asks for.
    for (from, to) in [(other.join("server"), "a"), (tls.join("client"), "b")] {
        for (old, new) in [("crt", "cert"), ("key", "key")] {
            let to = folder.join(to).with_extension(new);
            std::fs::copy(from.with_extension(old), to).unwrap();
        }
    }
    let mut settings = Settings::default();
    let own = || RegistrySettings {
        ca: Some(tls.join("ca.crt")),
        ..RegistrySettings::default()
    };
    settings
        .registries
        .insert(registry.host().to_owned(), own());
    // What skopeo pushes with.
    let pushing = scratch.join("pushing");
    std::fs::create_dir_all(&pushing).unwrap();
    for (from, to) in [
        ("ca.crt", "ca.crt"),
        ("client.crt", "client.cert"),
        ("client.key", "client.key"),
    ] {
        std::fs::copy(tls.join(from), pushing.join(to)).unwrap();
    }
    let pushing = pushing.display().to_string();
    registry.push(&image, "x:1", &["--dest-cert-dir", &pushing]);
    pull_with(&host, &settings, &name, &image).unwrap_or_else(|error| panic!("{error}"));
    std::fs::remove_dir_all(&folder).unwrap();
    let refused = pull_with(&host, &settings, &name, &image)
        .unwrap_err()
        .to_string();
    assert!(refused.contains("certificate"), "{refused}");
    let old = std::process::Command::new("openssl")
        .args(["x509", "-noout", "-text", "-in"])
        .arg(tls.join("client-v1.crt"))
        .output();
    let old = String::from_utf8(old.unwrap().stdout).unwrap();
    assert!(old.contains("Version: 1 (0x0)"), "{old}");
    // What the settings name is shown instead of what lies in certs.d, however broken that is.
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("a.cert"), "not a certificate").unwrap();
    for (certificate, key, problem) in [
        (Some("client.crt"), Some("client.key"), None),
        // Of X.509's first version, as openssl makes them without extensions.
        (Some("client-v1.crt"), Some("client.key"), None),
        (
            Some("client.crt"),
            Some("server.key"),
            Some("server.key is not its key"),
        ),
        (
            Some("client.crt"),
            Some("ca.crt"),
            Some("ca.crt: it contains no PEM private key"),
        ),
        (
            Some("client.crt"),
            None,
            Some("client_key is missing in the settings"),
        ),
        (
            None,
            Some("client.key"),
            Some("client_cert is missing in the settings"),
        ),
        (
            Some("gone.crt"),
            Some("client.key"),
            Some("gone.crt: it is not there"),
        ),
    ] {
        let named = RegistrySettings {
            client_cert: certificate.map(|name| tls.join(name)),
            client_key: key.map(|name| tls.join(name)),
            ..own()
        };
        settings
            .registries
            .insert(registry.host().to_owned(), named);
        let found = pull_with(&host, &settings, &name, &image).map_err(|error| error.to_string());
        match problem {
            None => assert_eq!(found, Ok(())),
            Some(problem) => assert!(found.clone().unwrap_err().ends_with(problem), "{found:?}"),
        }
    }
}

/// As docker means it: https from anybody, and plain http where there is no https.
#[test]
fn an_insecure_registry_may_have_any_certificate_or_none() {
    let scratch = Scratch::new("insecure");
    let tls = scratch.join("tls");
    make_self_signed(&tls, "DNS:elsewhere.example");
    let image = Image::oci([layer()]).build();
    let host = Host::at(&scratch.join("device"));
    for tls in [Some(tls.as_path()), None] {
        let registry = DockerRegistry::start(Options {
            tls,
            ..Options::default()
        });
        registry.push(&image, "x:1", &[]);
        // 127.0.0.1, but not in a form that is known to be this machine's.
        let port = registry.host().rsplit_once(':').unwrap().1.to_owned();
        let foreign = format!("[::ffff:7f00:1]:{port}");
        let name = format!("{foreign}/x:1");
        pull(&host, &name, &image).unwrap_err();
        let mut settings = Settings::default();
        settings.registries.entry(foreign).or_default().insecure = true;
        pull_with(&host, &settings, &name, &image).unwrap_or_else(|error| panic!("{error}"));
    }
}

/// As Docker's manual makes it; the certificate in certs.d stands for itself, and for nobody else.
/// By address too: a registry of this machine that is said to be insecure may have https, or not.
#[test]
fn an_insecure_registry_of_this_machine_may_have_https() {
    let scratch = Scratch::new("tls");
    let tls = scratch.join("tls");
    make_certificates(&tls, "DNS:elsewhere.example");
    let image = Image::oci([layer()]).build();
    let host = Host::at(&scratch.join("device"));
    for tls in [Some(tls.as_path()), None] {
        let registry = DockerRegistry::start(Options {
            tls,
            ..Options::default()
        });
        registry.push(&image, "x:1", &[]);
        let mut settings = Settings::default();
        let own = settings.registries.entry(registry.host().to_owned());
        own.or_default().insecure = true;
        let pulled = pull_with(&host, &settings, &registry.name("x:1"), &image);
        pulled.unwrap_or_else(|error| panic!("https: {}: {error}", tls.is_some()));
    }
}

#[test]
fn https_with_a_self_signed_certificate() {
    let scratch = Scratch::new("self-signed");
    let (one, two, misnamed) = (
        scratch.join("one"),
        scratch.join("two"),
        scratch.join("misnamed"),
    );
    make_self_signed(&one, "IP:127.0.0.1");
    make_self_signed(&two, "IP:127.0.0.1");
    make_self_signed(&misnamed, "DNS:elsewhere.example");
    let image = Image::oci([layer()]).build();
    let host = Host::at(&scratch.join("device"));
    for (number, (served, trusted, refusal)) in [
        (&one, &one, None),
        (
            &one,
            &two,
            Some("invalid peer certificate: Other(OtherError(CaUsedAsEndEntity)) (it is self-signed; if"),
        ),
        (
            &misnamed,
            &misnamed,
            Some("invalid peer certificate: certificate not valid for name \"127.0.0.1\""),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let registry = DockerRegistry::start(Options {
            tls: Some(served),
            ..Options::default()
        });
        registry.push(&image, "x:1", &[]);
        let folder = host.certs.join(registry.host());
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::copy(trusted.join("server.crt"), folder.join("ca.crt")).unwrap();
        let found =
            pull(&host, &registry.name("x:1"), &image).map_err(|error| error.problem.to_string());
        match refusal {
            None => assert_eq!(found, Ok(()), "{number}"),
            Some(refusal) => {
                let found = found.unwrap_err();
                assert!(found.starts_with(refusal), "{number}: {found}");
            }
        }
    }
}

/// Over TLS: neither another scheme nor a plain token server is followed, and neither hears anything.
#[test]
fn nothing_leads_from_https_to_plain_http() {
    let scratch = Scratch::new("downgrade");
    let tls = scratch.join("tls");
    make_certificates(&tls, "IP:127.0.0.1");
    let plain = Registry::start();
    let image = Image::oci([layer()]).build();
    plain.push("x", "1", &image);
    let realm = format!("Bearer realm=\"{}/token\",service=\"x\"", plain.url());
    for (head, problem) in [
        (
            format!(
                "307 Moved\r\nLocation: {}/v2/x?signature=secret",
                plain.url()
            ),
            format!(
                "it redirects to \"{}/v2/x?…\": it is plain http, and where it comes from is not",
                plain.url()
            ),
        ),
        (
            "302 Moved\r\nLocation: ftp://user:secret@elsewhere/x".to_owned(),
            "it redirects to \"ftp://elsewhere/x\": that is not an http or https URL".to_owned(),
        ),
        (
            format!("401 No\r\nWWW-Authenticate: {realm}"),
            format!(
                "it sends clients to the token server \"{}/token\", which is not trusted: it does not speak https",
                plain.url()
            ),
        ),
    ] {
        // Says to whoever comes what stands on its standard input.
        let mut server = Command::new("openssl")
            .current_dir(&tls)
            .args(["s_server", "-accept", "127.0.0.1:0", "-naccept", "1"])
            .args(["-cert", "server.crt", "-key", "server.key"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(server.stdout.take().unwrap());
        let port = loop {
            let mut line = String::new();
            assert_ne!(said.read_line(&mut line).unwrap(), 0, "openssl ended");
            if let Some(address) = line.strip_prefix("ACCEPT ") {
                break address.trim().rsplit_once(':').unwrap().1.to_owned();
            }
        };
        let mut mouth = server.stdin.take().unwrap();
        write!(mouth, "HTTP/1.1 {head}\r\nContent-Length: 0\r\n\r\n").unwrap();
        let host = Host::at(&scratch.join(&port));
        let certs = host.certs.join(format!("127.0.0.1:{port}"));
        std::fs::create_dir_all(&certs).unwrap();
        std::fs::copy(tls.join("ca.crt"), certs.join("ca.crt")).unwrap();
        let reference: Reference = format!("127.0.0.1:{port}/x:1").parse().unwrap();
        let client = Client::new(&host, &Settings::default());
        let refused = client.resolve(&reference).unwrap_err();
        assert_eq!(refused.problem.to_string(), problem);
        server.kill().unwrap();
        server.wait().unwrap();
    }
    assert_eq!(plain.requests().len(), 0);
}

const YEAR: u64 = 365 * 24 * 60 * 60;

fn years(number: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(number * YEAR)
}

/// A device whose clock stands at 1970 is told the time by certificates that an authority vouches for; one whose clock
/// may be right is told what is wrong.
#[test]
fn certificates_and_clocks() {
    let scratch = Scratch::new("clock");
    let tls = scratch.join("tls");
    make_certificates(&tls, "IP:127.0.0.1");
    let registry = DockerRegistry::start(Options {
        tls: Some(&tls),
        ..Options::default()
    });
    let image = Image::oci([layer()]).build();
    registry.push(&image, "x:1", &[]);
    let host_at = |name: &str, clock: fn() -> SystemTime, built: SystemTime| {
        let mut host = Host::at(&scratch.join(name));
        (host.clock, host.built) = (clock, built);
        let folder = host.certs.join(registry.host());
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::create_dir_all(&host.state).unwrap();
        std::fs::copy(tls.join("ca.crt"), folder.join("ca.crt")).unwrap();
        host
    };
    let found = |host: &Host| {
        let pulled = pull(host, &registry.name("x:1"), &image);
        pulled.map_err(|error| error.problem.to_string())
    };
    // As the device comes from the shop: no clock, an old program. It learns the time, and keeps it.
    let device = host_at("device", || years(0), years(50));
    assert_eq!(found(&device), Ok(()));
    let seen = std::fs::read_to_string(device.state.join("seen-time")).unwrap();
    let seen: u64 = seen.trim().parse().unwrap();
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    assert!(now.as_secs() - seen < 60, "{seen}");
    // A clock that is behind what was seen does not matter; the next start needs no signed time.
    let mut device = device;
    device.clock = || years(52);
    assert_eq!(found(&device), Ok(()));
    // One that may be right counts, and says why it stands in the way.
    let device = host_at("strict", || years(52), years(50));
    let refused = found(&device).unwrap_err();
    assert!(
        refused.starts_with("its certificate begins at 20"),
        "{refused}"
    );
    let hint = " (the device's clock says 2021-12-19 00:00:00 UTC; is it right?)";
    assert!(refused.ends_with(hint), "{refused}");
    assert!(!device.state.join("seen-time").exists());
    let device = host_at("late", || years(80), years(50));
    let refused = found(&device).unwrap_err();
    assert!(
        refused.starts_with("its certificate ended at 20"),
        "{refused}"
    );
    let hint = " (the device's clock says 2049-12-12 00:00:00 UTC; is it right?)";
    assert!(refused.ends_with(hint), "{refused}");
    // What ended before the program was made is no good whatever the clock says.
    let device = host_at("ended", || years(0), years(80));
    let refused = found(&device).unwrap_err();
    let hint = " (the device's clock says 1970-01-01 00:00:00 UTC, but it is 2049-12-12 00:00:00 UTC at least, by this program and certificates seen)";
    assert!(refused.ends_with(hint), "{refused}");
    // Nobody is told the time by a certificate that nobody vouches for, or for another name.
    let stranger = host_at("stranger", || years(0), years(50));
    make_certificates(&scratch.join("other"), "DNS:elsewhere.example");
    let folder = stranger.certs.join(registry.host());
    std::fs::copy(scratch.join("other/ca.crt"), folder.join("ca.crt")).unwrap();
    let refused = found(&stranger).unwrap_err();
    assert!(refused.contains("UnknownIssuer"), "{refused}");
    assert!(!stranger.state.join("seen-time").exists());
}

/// A server that speaks no TLS where TLS is expected.
#[test]
fn https_to_a_plain_registry() {
    let registry = DockerRegistry::start(Options::default());
    let scratch = Scratch::new("plain");
    let host = Host::at(scratch.path());
    let folder = host.certs.join(registry.host());
    make_certificates(&scratch.join("tls"), "IP:127.0.0.1");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(scratch.join("tls/ca.crt"), folder.join("ca.crt")).unwrap();
    let image = Image::oci([]).build();
    let refused = pull(&host, &registry.name("x:1"), &image)
        .unwrap_err()
        .problem
        .to_string();
    assert_eq!(
        refused,
        format!(
            "received corrupt message of type InvalidContentType (if it speaks plain http, set insecure = yes for \
             [registry \"{}\"] in the settings)",
            registry.host()
        )
    );
}
