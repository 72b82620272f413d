//! G2 to G9: what is wrong is the registry, or the link to it.

use super::common::docker_registry::{
    DockerRegistry, Options, make_certificates, make_self_signed,
};
use super::common::image::{Built, Entry, Image, Layer, Packing};
use super::common::registry::{Access, Fault, Link, On, Registry};
use super::{End, Found, Place, Row, Way, World, accepted, refused, refused_with, run_all};
use dray::oci::Digest;

/// Large enough to be cut.
const SIZE: usize = 50_000;

/// Nothing that compresses.
fn image() -> Built {
    let noise: Vec<u8> = (0..SIZE as u32 / 4)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    Image::oci([Layer::of(&[Entry::file("noise", noise)]).packed(Packing::Plain)]).build()
}

fn layer() -> (Digest, usize) {
    let image = image();
    let layer = image
        .blobs
        .iter()
        .find(|(digest, _)| **digest != image.config);
    let (digest, bytes) = layer.unwrap();
    (*digest, bytes.len())
}

fn row(id: &'static str, name: &str, end: End) -> Row {
    Row::new(id, name, image(), end).only(Way::Pull)
}

/// The next `times` questions for `on` go wrong.
fn faulty(id: &'static str, name: &str, faults: Vec<(On, Fault, usize)>, end: End) -> Row {
    row(id, name, end).spoilt(move |_, place| {
        for (on, fault, times) in &faults {
            place.registry.fault(on.clone(), fault.clone(), *times);
        }
    })
}

fn whole() -> End {
    accepted(|found| assert_eq!(found.stat("noise").len(), SIZE as u64))
}

/// All requests for a place, but none with credentials.
fn heard_no_credentials(place: &Registry) {
    for request in place.requests() {
        for name in ["authorization", "cookie", "proxy-authorization"] {
            assert_eq!(request.header(name), None, "{request:?}");
        }
        assert!(!request.path.contains("secret"), "{request:?}");
    }
}

#[test]
fn hostile_registries_get_and_give_nothing() {
    let world = World::new();
    let mut rows = redirects();
    rows.extend(realms());
    rows.extend(sizes());
    rows.extend(links());
    rows.extend(tags());
    run_all(&rows, &world);
}

fn secured(place: &Place, device: &super::Device) {
    device.credentials(&place.registry.host());
    let user = ("user".to_owned(), "secret".to_owned());
    place.registry.access(Access::Bearer(Some(user)));
}

/// G2: what is meant for the registry goes to no other origin.
fn redirects() -> Vec<Row> {
    let mut rows = Vec::new();
    for (on, what) in [(On::Blobs, "blobs"), (On::Manifests, "manifests")] {
        let there = on.clone();
        rows.push(
            row(
                "G2",
                &format!("{what} are at another port"),
                accepted(|found| {
                    heard_no_credentials(&found.place.elsewhere);
                    assert_ne!(found.place.elsewhere.requests().len(), 0);
                    assert_eq!(found.stat("noise").len(), SIZE as u64);
                }),
            )
            .spoilt(move |device, place| {
                secured(place, device);
                // The challenge comes first.
                let url = place.elsewhere.url();
                place
                    .registry
                    .fault(there.clone(), Fault::Challenge(bearer(&place.registry)), 1);
                place
                    .registry
                    .fault(there.clone(), Fault::Redirect(url), usize::MAX);
            }),
        );
        rows.push(
            row(
                "G2",
                &format!("{what} are at a port that wants credentials"),
                refused("that asks for credentials, which are for the registry only"),
            )
            .spoilt(move |device, place| {
                secured(place, device);
                let basic = Access::Basic("user".to_owned(), "secret".to_owned());
                place.elsewhere.access(basic);
                let url = place.elsewhere.url();
                place
                    .registry
                    .fault(on.clone(), Fault::Challenge(bearer(&place.registry)), 1);
                place
                    .registry
                    .fault(on.clone(), Fault::Redirect(url), usize::MAX);
            }),
        );
    }
    for (name, target, reason) in [
        (
            "a redirect to a file",
            "file:///etc/passwd?",
            "that is not an http or https URL",
        ),
        (
            "a redirect to ftp",
            "ftp://elsewhere/?",
            "that is not an http or https URL",
        ),
        (
            "a redirect to plain http at a host that nobody allowed that",
            "http://elsewhere.example/?",
            "it is plain http at a host whose settings do not say insecure = yes",
        ),
        (
            "a redirect to nowhere",
            "?",
            "that is one redirect too many",
        ),
    ] {
        rows.push(faulty(
            "G2",
            name,
            vec![(On::Blobs, Fault::Redirect(target.to_owned()), usize::MAX)],
            refused_with(reason),
        ));
    }
    for (on, what) in [(On::Blobs, "blobs"), (On::Manifests, "manifests")] {
        rows.push(faulty(
            "G2",
            &format!("a circle of redirects for {what}"),
            vec![(on.clone(), Fault::Loop, usize::MAX)],
            refused(": that is one redirect too many"),
        ));
        rows.push(faulty(
            "G2",
            &format!("a captive portal instead of {what}"),
            vec![(on, Fault::Html, usize::MAX)],
            refused("it answered text/html; charset=utf-8; is there a captive portal or a proxy in between?"),
        ));
    }
    rows
}

fn bearer(registry: &Registry) -> String {
    format!("Bearer realm=\"{}/token\",service=\"test\"", registry.url())
}

/// G3: passwords go to no token server but the registry's (CVE-2026-48978).
fn realms() -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, realm, reason) in [
        (
            "the cloud's own address",
            "http://169.254.169.254/latest",
            "which is not trusted: it does not speak https",
        ),
        (
            "the cloud's own address over https",
            "https://169.254.169.254/latest",
            "which is not trusted: it is not of the registry's domain",
        ),
        (
            "another host",
            "https://thief.example/token",
            "which is not trusted: it is not of the registry's domain",
        ),
        (
            "a file",
            "file:///etc/passwd",
            "which is not trusted: it is not an http or https URL",
        ),
        (
            "nothing",
            "",
            "which is not trusted: it is not an http or https URL",
        ),
        (
            "a host with a user in front",
            "https://127.0.0.1@thief.example/token",
            "which is not trusted: ",
        ),
    ] {
        let challenge = Fault::Challenge(format!("Bearer realm=\"{realm}\",service=\"x\""));
        rows.push(
            row("G3", name, refused_with(reason)).spoilt(move |device, place| {
                device.credentials(&place.registry.host());
                place
                    .registry
                    .fault(On::Manifests, challenge.clone(), usize::MAX);
            }),
        );
    }
    rows.push(
        row(
            "G3",
            "another name of this machine",
            refused_with("which is not trusted: "),
        )
        .spoilt(|device, place| {
            device.credentials(&place.registry.host());
            let port = place.elsewhere.host();
            let port = port.rsplit_once(':').unwrap().1;
            let realm = format!("Bearer realm=\"http://localhost:{port}/token\"");
            place
                .registry
                .fault(On::Manifests, Fault::Challenge(realm), usize::MAX);
        }),
    );
    rows.push(
        row(
            "G3",
            "a token server that sends on",
            refused_with("gave no token: it answered with status 307"),
        )
        .spoilt(|device, place| {
            secured(place, device);
            let url = place.elsewhere.url();
            place
                .registry
                .fault(On::Token, Fault::Redirect(url), usize::MAX);
        }),
    );
    for (name, fault, cause) in [
        (
            "a token server that is a portal",
            Fault::Html,
            "its answer is not a token",
        ),
        (
            "a token server without an end",
            Fault::Endless,
            "more than the 262144 bytes allowed",
        ),
    ] {
        rows.push(
            row("G3", name, refused(cause)).spoilt(move |device, place| {
                secured(place, device);
                place.registry.fault(On::Token, fault.clone(), usize::MAX);
            }),
        );
    }
    rows
}

/// G5: lies about size, and links that are kept busy.
fn sizes() -> Vec<Row> {
    let always = usize::MAX;
    let (digest, size) = layer();
    let more = format!("{digest} has more than the announced {size} bytes");
    let announces = |found: u64| refused(format!("it announces {found} bytes instead of {size}"));
    let quick = "[download]\ndeadline = 2s\nretries = 1\n";
    let late =
        "the download took longer than the 2 s it may take ([download] deadline in the settings)";
    let size = size as u64;
    let mut rows = vec![
        faulty(
            "G5",
            "a manifest without an end",
            vec![(On::Manifests, Fault::Endless, always)],
            refused("manifest has 4194305 bytes, more than the 4194304 allowed"),
        ),
        faulty(
            "G5",
            "a layer without an end",
            vec![(On::Path(digest.hex()), Fault::Endless, always)],
            refused(more),
        ),
        faulty(
            "G5",
            "a layer that announces more",
            vec![(On::Path(digest.hex()), Fault::Length(size + 1), always)],
            announces(size + 1),
        ),
        faulty(
            "G5",
            "a layer that announces less",
            vec![(On::Path(digest.hex()), Fault::Length(size - 1), always)],
            announces(size - 1),
        ),
        faulty(
            "G5",
            "a layer that announces nothing",
            vec![(On::Path(digest.hex()), Fault::Length(0), always)],
            announces(0),
        ),
        faulty(
            "G5",
            "a layer that announces eight exbibytes",
            vec![(
                On::Path(digest.hex()),
                Fault::Overstated(u64::MAX / 2),
                always,
            )],
            announces(u64::MAX / 2 + size),
        ),
    ];
    for (name, on, fault) in [
        (
            "a layer byte by byte",
            On::Path(digest.hex()),
            Fault::Drip(10),
        ),
        (
            "a layer that stands still",
            On::Path(digest.hex()),
            Fault::Stall(100),
        ),
        (
            "a layer without an answer",
            On::Path(digest.hex()),
            Fault::Silent,
        ),
        ("a manifest byte by byte", On::Manifests, Fault::Drip(20)),
        (
            "a manifest that stands still",
            On::Manifests,
            Fault::Stall(10),
        ),
        ("a manifest without an answer", On::Manifests, Fault::Silent),
    ] {
        rows.push(
            faulty("G5", name, vec![(on, fault, always)], refused_with(late)).settings(quick),
        );
    }
    rows
}

/// G6: what goes on in the middle is the same blob, or begun again; a flipped bit is a refusal.
fn links() -> Vec<Row> {
    let (digest, size) = layer();
    let cut = (On::Path(digest.hex()), Fault::Link(Link::Truncate, 1000), 1);
    let range = |text: &str| Fault::ContentRange(text.to_owned());
    let wrong = format!("{digest} arrived with the digest sha256:");
    let mut rows = Vec::new();
    for (name, fault, end) in [
        ("goes on", None, whole()),
        ("begins again", Some(Fault::Whole), whole()),
        ("begins again and says so", Some(Fault::Rewound), whole()),
        (
            "goes on elsewhere",
            Some(range(&format!("bytes 999-{}/{size}", size - 1))),
            whole(),
        ),
        (
            "goes on to elsewhere",
            Some(range(&format!("bytes 1000-{}/{size}", size - 2))),
            whole(),
        ),
        (
            "has another length",
            Some(range(&format!("bytes 1000-{}/{}", size - 1, size + 1))),
            whole(),
        ),
        ("speaks nonsense", Some(range("nonsense")), whole()),
        (
            "is another",
            Some(Fault::Tag("\"other\"".to_owned())),
            whole(),
        ),
        (
            "goes on with other bytes",
            Some(Fault::WrongContent),
            refused_with(wrong.clone()),
        ),
        (
            "goes on in gzip",
            Some(Fault::Encoding("gzip".to_owned())),
            refused_with("it answered in the encoding \"gzip\""),
        ),
    ] {
        let mut faults = vec![cut.clone()];
        // Once wrong is asked again.
        let times = match fault {
            Some(Fault::WrongContent | Fault::Encoding(_)) => usize::MAX,
            _ => 1,
        };
        faults.extend(fault.map(|fault| (On::Path(digest.hex()), fault, times)));
        rows.push(faulty(
            "G6",
            &format!("a cut layer that {name}"),
            faults,
            end,
        ));
    }
    for at in [0, size / 2, size - 1] {
        rows.push(faulty(
            "G6",
            &format!("a bit flipped at {at} each time"),
            vec![(
                On::Path(digest.hex()),
                Fault::Link(Link::Flip, at),
                usize::MAX,
            )],
            refused_with(digest.hex()),
        ));
    }
    rows.push(faulty(
        "G6",
        "a manifest with a wrong byte",
        vec![(On::Manifests, Fault::WrongContent, usize::MAX)],
        refused_with(format!("instead of {}", image().digest)),
    ));
    rows.push(faulty(
        "G6",
        "a configuration with a wrong byte",
        vec![(
            On::Path(image().config.hex()),
            Fault::WrongContent,
            usize::MAX,
        )],
        refused_with(format!(
            "{} arrived with the digest sha256:",
            image().config
        )),
    ));
    rows
}

/// G9: a digest is what counts, whatever the tag beside it has become.
fn tags() -> Vec<Row> {
    let pinned = |place: &Place| place.registry.name(&format!("bad:1@{}", image().digest));
    let moved = |_: &super::Device, place: &Place| {
        let other = super::image(&[Entry::file("moved", "1")]);
        place.registry.push("bad", "1", &other);
    };
    let old = |found: &Found| {
        assert!(found.has("noise"));
        assert!(!found.has("moved"));
    };
    let lie = Digest::of(b"lie");
    vec![
        row("G9", "a tag that has moved", accepted(old))
            .asks(pinned)
            .spoilt(moved),
        row("G9", "a tag that is gone", accepted(old))
            .asks(|place| place.registry.name(&format!("bad:gone@{}", image().digest))),
        row(
            "G9",
            "a registry that calls a pinned digest otherwise: the bytes count",
            whole(),
        )
        .asks(pinned)
        .spoilt(move |_, place| {
            let lie = Fault::Digest(lie.to_string());
            place.registry.fault(On::Manifests, lie, usize::MAX);
        }),
        row(
            "G9",
            "a registry that gives other bytes for a pinned digest",
            refused_with(format!("instead of {}", image().digest)),
        )
        .asks(pinned)
        .spoilt(|_, place| {
            place
                .registry
                .fault(On::Manifests, Fault::WrongContent, usize::MAX);
        }),
        row("G9", "a registry that calls a digest a path", whole())
            .asks(pinned)
            .spoilt(|_, place| {
                let path = Fault::Digest("sha256:../../etc".to_owned());
                place.registry.fault(On::Manifests, path, 1);
            }),
    ]
}

/// G8: certificates that nobody vouches for, and plain http where nobody allowed it.
#[test]
fn registries_whose_certificates_are_no_good_are_refused() {
    let world = World::new();
    let tls = super::common::Scratch::new("tls");
    let [good, misnamed, own, stranger] =
        ["good", "misnamed", "own", "stranger"].map(|name| tls.join(name));
    make_certificates(&good, "IP:127.0.0.1");
    make_certificates(&misnamed, "DNS:elsewhere.example");
    make_self_signed(&own, "IP:127.0.0.1");
    make_certificates(&stranger, "IP:127.0.0.2");
    let mut servers = Vec::new();
    let mut rows = Vec::new();
    for (name, served, trusted, end) in [
        (
            "one of another authority",
            &good,
            stranger.join("ca.crt"),
            refused_with("UnknownIssuer"),
        ),
        (
            "one for another name",
            &misnamed,
            misnamed.join("ca.crt"),
            refused_with("not valid for name \"127.0.0.1\""),
        ),
        (
            "a self-signed one",
            &own,
            stranger.join("ca.crt"),
            refused_with("it is self-signed"),
        ),
        ("the right one", &good, good.join("ca.crt"), whole()),
    ] {
        let server = DockerRegistry::start(Options {
            tls: Some(served),
            ..Options::default()
        });
        server.push(&image(), "bad:1", &[]);
        let asked = server.name("bad:1");
        let settings = format!(
            "[registry \"{}\"]\nca = {}\n",
            server.host(),
            trusted.display()
        );
        servers.push(server);
        rows.push(
            row("G8", name, end)
                .asks(move |_| asked.clone())
                .settings(&settings),
        );
    }
    // Resolves to this machine, but is no name of it.
    let foreign = |place: &Place| {
        place
            .registry
            .name("bad:1")
            .replace("127.0.0.1", "2130706433")
    };
    rows.push(
        row(
            "G8",
            "plain http without leave",
            refused_with("invalid dns name"),
        )
        .asks(foreign),
    );
    run_all(&rows, &world);
    drop(servers);
}
