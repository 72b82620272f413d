//! Links that break in every way and at many places: each case ends in exactly the right bytes or in a refusal that
//! names the reason.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a broken set-up should panic"
)]

mod common;

use std::io::Read;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use common::Scratch;
use common::image::{Built, Entry, Image, Layer, Packing};
use common::registry::{Access, Fault, Link, On, Registry};
use dray::config::Settings;
use dray::host::Host;
use dray::images::{Event, Images};
use dray::oci::stream::Verified;
use dray::oci::{Descriptor, Document, Platform, Reference};
use dray::registry::{Client, Patience};

/// How many cases run at once; most of them wait.
const AT_ONCE: usize = 8;
/// A Retry-After that nobody waits for.
const TOO_LONG: u64 = 99_999;

/// What has to come of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    /// The right bytes, with this many fetched twice.
    Right(u64),
    /// The right bytes.
    RightAnyhow,
    /// A refusal that says this.
    Refused(String),
}

type Spoil = Box<dyn Fn(&Registry, &Registry) + Send + Sync>;

/// One case: how the registry is spoilt, and what has to come of it.
struct Case {
    name: String,
    spoil: Spoil,
    end: End,
}

impl Case {
    fn new(
        name: String,
        end: End,
        spoil: impl Fn(&Registry, &Registry) + Send + Sync + 'static,
    ) -> Case {
        let spoil = Box::new(spoil);
        Case { name, spoil, end }
    }
}

/// Nothing that compresses, and nowhere the same.
fn noise(size: u32) -> Vec<u8> {
    (0..size / 4)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).rotate_left(7).to_le_bytes())
        .collect()
}

fn image(size: u32) -> (Built, Descriptor) {
    let layer = Layer::of(&[Entry::file("noise", noise(size))]).packed(Packing::Plain);
    let built = Image::oci([layer]).build();
    let Document::Manifest(manifest) = Document::parse(built.document(), None).unwrap() else {
        panic!("an index has no layers");
    };
    (built, manifest.layers[0].clone())
}

fn patience() -> Patience {
    Patience {
        connect: Duration::from_secs(5),
        stall: Duration::from_millis(300),
        window: Duration::from_millis(200),
        least: 1000,
        retries: 2,
        resumptions: 3,
        pause: Duration::from_millis(1),
        longest_pause: Duration::from_secs(1),
        deadline: Some(Duration::from_secs(3600)),
        rate: None,
    }
}

/// Runs one case: the outcome, bytes fetched twice.
fn run(case: &Case, built: &Built, blob: &Descriptor) -> (Result<Vec<u8>, String>, u64) {
    let (registry, elsewhere) = (Registry::start(), Registry::start());
    registry.push("x", "1", built);
    elsewhere.push("x", "1", built);
    (case.spoil)(&registry, &elsewhere);
    let scratch = Scratch::new("links");
    let host = Host::at(scratch.path());
    let client = Client::with_patience(&host, &Settings::default(), patience()).begin();
    let reference: Reference = registry.name("x:1").parse().unwrap();
    let mut bytes = Vec::new();
    let read = client
        .blob(&reference, blob)
        .map_err(|error| error.to_string())
        .and_then(|reader| {
            Verified::of(reader, blob)
                .read_to_end(&mut bytes)
                .map_err(|error| error.to_string())
        });
    (read.map(|_| bytes), client.refetched())
}

/// The five ways in which a link breaks, at twenty places.
fn broken_links(size: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    for link in [
        Link::Truncate,
        Link::Reset,
        Link::Flip,
        Link::Slow,
        Link::Stall,
    ] {
        // The first and the last byte, and a few between that are no round numbers.
        let places = (0..18)
            .map(|n| 1 + n * (size - 3) / 17)
            .chain([0, size - 1]);
        for at in places {
            let end = match link {
                Link::Flip => End::Refused("arrived with the digest".to_owned()),
                // Slowness is noticed after some more bytes, which are no loss.
                _ => End::Right(0),
            };
            let name = format!("{link:?} at {at}");
            cases.push(Case::new(name, end, move |registry, _| {
                registry.fault(On::Blobs, Fault::Link(link, at), 1);
            }));
        }
    }
    cases
}

/// What may meet the request that goes on, at three places.
fn bad_resumptions(size: usize) -> Vec<Case> {
    let refused = |text: &str| End::Refused(text.to_owned());
    let mut cases = Vec::new();
    for at in [1, size / 2, size - 1] {
        let again = End::Right(at as u64);
        let wrong = |from: usize, to: usize, of: usize| {
            Fault::ContentRange(format!("bytes {from}-{to}/{of}"))
        };
        for (fault, times, end) in [
            (Fault::Whole, 1, again.clone()),
            (Fault::Rewound, 1, again.clone()),
            (wrong(at - 1, size - 1, size), 1, again.clone()),
            (wrong(at, size - 2, size), 1, again.clone()),
            (wrong(at, size - 1, size + 1), 1, again.clone()),
            (Fault::ContentRange("nonsense".to_owned()), 1, again.clone()),
            (Fault::Status(416), 1, again.clone()),
            (Fault::Tag("\"other\"".to_owned()), 1, again.clone()),
            (Fault::Tag("W/\"weak\"".to_owned()), 1, End::Right(0)),
            (Fault::Length(0), 1, again.clone()),
            (Fault::Unavailable(0), 2, End::Right(0)),
            (Fault::TooManyRequests(0), 2, End::Right(0)),
            (
                Fault::Unavailable(TOO_LONG),
                1,
                refused("it answered with status 503"),
            ),
            (
                Fault::TooManyRequests(TOO_LONG),
                1,
                refused("to be tried again in 99999 s"),
            ),
            (Fault::Reset, 2, End::Right(0)),
            (
                Fault::Reset,
                9,
                refused("the other side closed the connection"),
            ),
            (Fault::Silent, 1, End::Right(0)),
            (Fault::Status(500), 2, End::Right(0)),
            (
                Fault::Status(500),
                9,
                refused("it answered with status 500"),
            ),
            // Who served the beginning may be in trouble, or somebody else answers for it; not for long.
            (Fault::Status(400), 2, End::Right(0)),
            (Fault::Status(401), 1, End::Right(0)),
            (Fault::Status(404), 2, End::Right(0)),
            (Fault::Status(404), 3, refused("not found (404)")),
            (Fault::Status(403), 2, End::Right(0)),
            (Fault::Status(403), 3, refused("access is denied (403)")),
            (Fault::Html, 2, End::Right(0)),
            (Fault::Html, 3, refused("is there a captive portal")),
            (Fault::Loop, 99, refused("one redirect too many")),
            (Fault::Encoding("gzip".to_owned()), 2, End::Right(0)),
            (
                Fault::Encoding("gzip".to_owned()),
                3,
                refused("it answered in the encoding \"gzip\""),
            ),
            (Fault::WrongContent, 1, refused("arrived with the digest")),
            (Fault::Endless, 1, refused("has more than the announced")),
            // Begun again and again, without ever getting further.
            (
                Fault::Link(Link::Truncate, 0),
                9,
                refused("the other side closed the connection"),
            ),
        ] {
            let name = format!("{fault:?} x {times} at {at}");
            cases.push(Case::new(name, end, move |registry, _| {
                registry.fault(On::Blobs, Fault::Link(Link::Truncate, at), 1);
                registry.fault(On::Blobs, fault.clone(), times);
            }));
        }
        let cut = move |registry: &Registry| {
            registry.fault(On::Blobs, Fault::Link(Link::Truncate, at), 1);
        };
        for (tag, end) in [
            ("W/\"weak\"", End::Right(0)),
            ("unquoted", End::Right(0)),
            // Each answer has another: the registry itself then sends the whole.
            ("\"number-#\"", again.clone()),
        ] {
            let name = format!("tag {tag} at {at}");
            cases.push(Case::new(name, end, move |registry, _| {
                registry.tag_blobs(tag);
                cut(registry);
            }));
        }
        let name = format!("a token that ends at {at}");
        cases.push(Case::new(name, End::Right(0), move |registry, _| {
            registry.access(Access::Bearer(None));
            registry.short_tokens();
            // The first request has no token yet.
            registry.fault(On::Blobs, Fault::Challenge(bearer(registry)), 1);
            cut(registry);
        }));
        cases.push(Case::new(
            format!("a signature that ends at {at}"),
            End::Right(0),
            move |registry, elsewhere| {
                for number in 1..=2 {
                    let signed = format!("{}/v2/x/blobs/{}?sig={number}?", elsewhere.url(), blob());
                    registry.fault(On::Blobs, Fault::Redirect(signed), 1);
                }
                let first = || On::Path("sig=1".to_owned());
                elsewhere.fault(first(), Fault::Link(Link::Truncate, at), 1);
                elsewhere.fault(first(), Fault::Status(403), usize::MAX);
            },
        ));
        cases.push(Case::new(
            format!("a portal that is redirected to at {at}"),
            refused("is there a captive portal"),
            move |registry, elsewhere| {
                cut(registry);
                registry.fault(On::Blobs, Fault::Redirect(elsewhere.url()), 3);
                elsewhere.fault(On::Everything, Fault::Html, usize::MAX);
            },
        ));
    }
    cases
}

/// What is wrong from the beginning.
fn bad_beginnings(size: usize) -> Vec<Case> {
    let refused = |text: &str| End::Refused(text.to_owned());
    let lies = |text: u64| refused(&format!("it announces {text} bytes instead of {size}"));
    let size = size as u64;
    [
        (Fault::Length(size + 1), 1, lies(size + 1)),
        (Fault::Length(size - 1), 1, lies(size - 1)),
        (Fault::Length(0), 1, lies(0)),
        (
            Fault::Overstated(u64::MAX / 2),
            1,
            lies(u64::MAX / 2 + size),
        ),
        (Fault::Html, 1, refused("is there a captive portal")),
        (
            Fault::Encoding("br".to_owned()),
            1,
            refused("it answered in the encoding \"br\""),
        ),
        (Fault::Encoding("identity".to_owned()), 1, End::Right(0)),
        (Fault::Reset, 2, End::Right(0)),
        (
            Fault::Reset,
            9,
            refused("the other side closed the connection"),
        ),
        (Fault::Silent, 2, End::Right(0)),
        (Fault::Unavailable(0), 2, End::Right(0)),
        (
            Fault::Unavailable(TOO_LONG),
            1,
            refused("it answered with status 503"),
        ),
        (Fault::Loop, 9, refused("one redirect too many")),
        (Fault::Rewound, 1, refused("it answered with status 206")),
        (
            Fault::Status(416),
            1,
            refused("it answered with status 416"),
        ),
        (Fault::Endless, 1, refused("has more than the announced")),
        (Fault::Link(Link::Truncate, 1000), 9, End::RightAnyhow),
        (Fault::Link(Link::Reset, 1000), 9, End::RightAnyhow),
        (Fault::Link(Link::Stall, 1000), 3, End::RightAnyhow),
        // Half of it each time, and always from its beginning.
        (Fault::Short, 1, End::Right(0)),
        (
            Fault::Short,
            9,
            refused("the other side closed the connection"),
        ),
    ]
    .into_iter()
    .map(|(fault, times, end)| {
        let name = format!("{fault:?} x {times}");
        Case::new(name, end, move |registry, _| {
            registry.fault(On::Blobs, fault.clone(), times);
        })
    })
    .collect()
}

fn bearer(registry: &Registry) -> String {
    format!("Bearer realm=\"{}/token\",service=\"test\"", registry.url())
}

/// The blob of all cases.
fn blob() -> dray::oci::Digest {
    image(SIZE).1.digest
}

const SIZE: u32 = 20_000;

#[test]
fn every_broken_link_ends_in_the_right_bytes_or_a_reason() {
    let (built, blob) = image(SIZE);
    let size = usize::try_from(blob.size).unwrap();
    let right = built.blobs[&blob.digest].clone();
    let cases: Vec<Case> = [
        broken_links(size),
        bad_resumptions(size),
        bad_beginnings(size),
    ]
    .into_iter()
    .flatten()
    .collect();
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Relaxed)) {
                    let (found, twice) = run(case, &built, &blob);
                    let fits = match (&case.end, &found) {
                        (End::Right(wanted), Ok(bytes)) => *bytes == right && twice == *wanted,
                        (End::RightAnyhow, Ok(bytes)) => *bytes == right,
                        (End::Refused(text), Err(error)) => error.contains(text),
                        _ => false,
                    };
                    if !fits {
                        let found = found.map(|bytes| bytes.len());
                        let line = format!(
                            "{}: {found:?}, {twice} fetched twice, wanted {:?}",
                            case.name, case.end
                        );
                        wrong.lock().expect("nobody panics").push(line);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("nobody panics");
    println!(
        "{} of {} bad-link cases right",
        cases.len() - wrong.len(),
        cases.len()
    );
    assert!(cases.len() >= 160, "{} cases", cases.len());
    assert_eq!(wrong, Vec::<String>::new());
}

/// What the registry sent for a blob of this size over a link that is cut again and again, how large that is, and how often it
/// was cut.
fn sent_over_cuts(size: u32, cut: Fault) -> (u64, u64, u64) {
    let (built, blob) = image(size);
    let registry = Registry::start();
    registry.push("x", "1", &built);
    registry.fault(On::Blobs, cut, usize::MAX);
    let scratch = Scratch::new("links");
    let host = Host::at(scratch.path());
    let client = Client::with_patience(&host, &Settings::default(), patience()).begin();
    let reference: Reference = registry.name("x:1").parse().unwrap();
    let reader = client.blob(&reference, &blob).unwrap();
    Verified::of(reader, &blob).finish().unwrap();
    (registry.bytes(), blob.size, client.resumed())
}

#[test]
fn a_link_that_is_cut_again_and_again_costs_next_to_nothing() {
    for (size, cut, least) in [
        (4 << 20, Fault::Link(Link::Truncate, 64 << 10), 64),
        (4 << 20, Fault::Link(Link::Reset, 64 << 10), 64),
        (4 << 20, Fault::Link(Link::Truncate, 10_007), 419),
        (4 << 20, Fault::Link(Link::Truncate, 1 << 20), 4),
        // 2 MB/s for five seconds, and again.
        (30 << 20, Fault::Cut(16 << 10, 8, 5000), 2),
    ] {
        let name = format!("{cut:?}");
        let (sent, size, cuts) = sent_over_cuts(size, cut);
        let twice = sent - size;
        let percent = twice as f64 * 100.0 / size as f64;
        println!("{name}: {cuts} cuts, {twice} of {size} bytes sent twice, {percent:.2}%");
        assert!(cuts >= least, "{name}: {cuts} cuts");
        assert!(percent <= 2.0, "{name}: {percent}%");
    }
}

#[test]
fn the_rest_of_a_blob_can_be_asked_for() {
    let (built, blob) = image(SIZE);
    let whole = &built.blobs[&blob.digest];
    let scratch = Scratch::new("links");
    let host = Host::at(scratch.path());
    let client = Client::with_patience(&host, &Settings::default(), patience()).begin();
    for (fault, offset, bytes) in [
        (None, 0, blob.size),
        (None, 1, blob.size - 1),
        (None, blob.size - 1, 1),
        (None, blob.size, 0),
        (Some(Fault::Whole), 7000, blob.size),
        (Some(Fault::Status(416)), 7000, blob.size),
        (Some(Fault::Link(Link::Reset, 100)), 7000, blob.size - 7000),
    ] {
        let registry = Registry::start();
        registry.push("x", "1", &built);
        if let Some(fault) = &fault {
            registry.fault(On::Blobs, fault.clone(), 1);
        }
        let reference: Reference = registry.name("x:1").parse().unwrap();
        let mut rest = Vec::new();
        client
            .blob_from(&reference, &blob, offset)
            .unwrap()
            .read_to_end(&mut rest)
            .unwrap();
        let from = usize::try_from(offset).unwrap();
        assert!(rest == whole[from..], "{fault:?} from {offset}");
        let errors = registry.bytes() - bytes;
        assert!(errors < 100, "{fault:?} from {offset}: {errors} bytes more");
        let ranges = registry
            .requests()
            .iter()
            .filter(|r| r.header("range").is_some())
            .count();
        assert_eq!(ranges > 0, (1..blob.size).contains(&offset), "{offset}");
    }
}

/// One bit that changed on the way from the only registry costs one more fetch; after two of them a device's store is as it
/// was before.
#[test]
fn a_flipped_bit_costs_one_more_fetch_and_two_leave_nothing() {
    let (built, blob) = image(SIZE);
    let size = usize::try_from(blob.size).unwrap();
    let scratch = Scratch::new("links");
    let host = Host::at(scratch.path());
    let images = Images::open(&host, &Settings::default()).unwrap();
    let names = || {
        let folders = ["blobs/sha256", "layers/sha256", "names", "pins"];
        let folders = folders.map(|folder| host.state.join(folder));
        let entries = folders.map(|folder| std::fs::read_dir(folder).unwrap().count());
        entries.iter().sum::<usize>()
    };
    for at in (0..20).map(|n| n * (size - 1) / 19) {
        let registry = Registry::start();
        registry.push("x", "1", &built);
        let layer = || On::Path(blob.digest.hex());
        registry.fault(layer(), Fault::Link(Link::Flip, at), 2);
        let reference: Reference = registry.name("x:1").parse().unwrap();
        let refused = images.pull(&reference, &Platform::host(), &()).unwrap_err();
        // Tar or the digest, whichever is hit first.
        let text = refused.to_string();
        assert!(text.contains(&blob.digest.hex()), "{at}: {text}");
        assert_eq!(names(), 0, "{at}: {text}");
        assert_eq!(registry.count("GET", &blob.digest.hex()), 2, "{at}");
    }
    for (digest, at) in [
        (blob.digest, 0),
        (blob.digest, size - 1),
        (built.config, 7),
        (built.digest, 7),
    ] {
        let scratch = Scratch::new("links");
        let images = Images::open(&Host::at(scratch.path()), &Settings::default()).unwrap();
        let registry = Registry::start();
        registry.push("x", "1", &built);
        registry.fault(On::Path(digest.hex()), Fault::Link(Link::Flip, at), 1);
        let reference: Reference = registry.name("x:1").parse().unwrap();
        let told = Mutex::new(Vec::new());
        let progress = |event: &Event<'_>| {
            if let Event::Arrived { refetched, .. } = event {
                told.lock().expect("nobody panics").push(*refetched);
            }
        };
        let pulled = images.pull(&reference, &Platform::host(), &progress);
        assert_eq!(pulled.unwrap().digest, built.digest, "{digest} at {at}");
        assert_eq!(registry.count("GET", &digest.hex()), 2, "{digest} at {at}");
        let told = told.into_inner().expect("nobody panics");
        assert!(
            told.len() == 1 && told[0] > 0,
            "{digest} at {at}: {told:?} fetched twice"
        );
    }
}

/// SIGTERM leaves eight seconds, and another layer's failure should not wait for this one.
#[test]
fn whoever_is_no_longer_wanted_ends_at_once() {
    let (built, blob) = image(SIZE);
    for fault in [
        Fault::Silent,
        Fault::Link(Link::Stall, 100),
        Fault::Unavailable(50),
        Fault::Reset,
    ] {
        let registry = Registry::start();
        registry.push("x", "1", &built);
        registry.fault(On::Blobs, fault.clone(), usize::MAX);
        let scratch = Scratch::new("links");
        let host = Host::at(scratch.path());
        let patience = Patience {
            pause: Duration::from_secs(40),
            ..Patience::default()
        };
        let client = Client::with_patience(&host, &Settings::default(), patience).begin();
        let reference: Reference = registry.name("x:1").parse().unwrap();
        let given_up = std::thread::scope(|scope| {
            let reading = scope.spawn(|| {
                let reader = client.blob(&reference, &blob).map_err(|e| e.to_string())?;
                Verified::of(reader, &blob)
                    .finish()
                    .map_err(|e| e.to_string())
            });
            while registry.count("GET", "/blobs/") == 0 {
                std::thread::yield_now();
            }
            let start = Instant::now();
            client.give_up();
            let ended = reading.join().unwrap().unwrap_err();
            assert!(start.elapsed() < Duration::from_secs(4), "{fault:?}");
            ended
        });
        let ends = ["the download was given up", "nobody wants it any more"];
        assert!(
            ends.iter().any(|end| given_up.contains(end)),
            "{fault:?}: {given_up}"
        );
    }
}

/// The limiter's own test has a clock of its own; here only that it is there, and shared.
#[test]
fn two_downloads_share_one_limit() {
    let (built, blob) = image(SIZE);
    let registry = Registry::start();
    registry.push("x", "1", &built);
    let scratch = Scratch::new("links");
    let host = Host::at(scratch.path());
    let mut settings = Settings::default();
    settings.download.rate = Some(blob.size * 2);
    let client = Client::new(&host, &settings).begin();
    let reference: Reference = registry.name("x:1").parse().unwrap();
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let reader = client.blob(&reference, &blob).unwrap();
                Verified::of(reader, &blob).finish().unwrap();
            });
        }
    });
    // A second's worth, less one burst.
    assert!(
        start.elapsed() > Duration::from_millis(900),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn the_deadline_is_for_all_of_it() {
    let (built, blob) = image(SIZE);
    let registry = Registry::start();
    registry.push("x", "1", &built);
    registry.fault(On::Blobs, Fault::Link(Link::Truncate, 100), 1);
    registry.fault(On::Blobs, Fault::Status(503), usize::MAX);
    let scratch = Scratch::new("links");
    let host = Host::at(scratch.path());
    let patience = Patience {
        resumptions: u32::MAX,
        longest_pause: Duration::from_millis(20),
        deadline: Some(Duration::from_millis(300)),
        ..patience()
    };
    let client = Client::with_patience(&host, &Settings::default(), patience).begin();
    let reference: Reference = registry.name("x:1").parse().unwrap();
    let reader = client.blob(&reference, &blob).unwrap();
    let error = Verified::of(reader, &blob)
        .finish()
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("the download took longer than the 0 s it may take"),
        "{error}"
    );
    // The next image has time of its own.
    registry.heal();
    let next = client.begin();
    Verified::of(next.blob(&reference, &blob).unwrap(), &blob)
        .finish()
        .unwrap();
}
