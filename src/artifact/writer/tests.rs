use super::*;
use crate::oci::Digest;

fn written(options: Options) -> Vec<u8> {
    let mut header = Header {
        artifact_name: "rel-1".to_owned(),
        device_types: vec!["qemu".to_owned()],
        ..Header::default()
    };
    header.provide_software(&Default::default(), true);
    let payload = Payload::shared(vec!["nginx:1.27".parse().unwrap()], "-p 8080:80");
    let mut out = Vec::new();
    write(&mut out, &header, &payload, options).unwrap();
    out
}

/// The uncompressed form depends on nothing but the format: a change here is a change of the bytes people sign.
#[test]
fn bytes_are_the_same_everywhere() {
    let plain = Options {
        compression: Compression::None,
        mtime: 0,
    };
    assert_eq!(
        Digest::of(&written(plain)).hex(),
        "832a0c02ed5434b4fa208b02ef8ca5f1295588f030e2ce5e96c49b3a4f102ba1"
    );
    assert_eq!(written(Options::default()), written(Options::default()));
}

#[test]
fn the_time_is_the_callers() {
    let at = |mtime| {
        written(Options {
            mtime,
            ..Options::default()
        })
    };
    assert_ne!(at(0), at(1));
    for mtime in [0, 1, 1_700_000_000, MAX_MTIME] {
        let bytes = at(mtime);
        let mut archive = tar::Archive::new(bytes.as_slice());
        for entry in archive.entries().unwrap() {
            assert_eq!(entry.unwrap().header().mtime().unwrap(), mtime);
        }
    }
}

#[test]
fn nothing_is_written_for_a_bad_request() {
    let payload = Payload::shared(vec!["nginx".parse().unwrap()], "");
    let mut out = Vec::new();
    let refused = write(&mut out, &Header::default(), &payload, Options::default());
    assert!(matches!(
        refused,
        Err(WriteError::Header(HeaderError::NoDeviceType))
    ));
    let late = Options {
        mtime: MAX_MTIME + 1,
        ..Options::default()
    };
    let header = Header {
        artifact_name: "a".to_owned(),
        device_types: vec!["b".to_owned()],
        ..Header::default()
    };
    let refused = write(&mut out, &header, &payload, late);
    assert!(matches!(refused, Err(WriteError::Mtime(_))));
    assert_eq!(out, b"");
}

/// Artifacts with files of these names and sizes, each of zeros.
fn with_files<T>(
    names: &[&str],
    size: u64,
    compression: Compression,
    act: impl FnOnce(&Artifact<'_>) -> T,
) -> T {
    let mut header = Header {
        artifact_name: "rel-1".to_owned(),
        device_types: vec!["qemu".to_owned()],
        ..Header::default()
    };
    header.provide_software(&Default::default(), true);
    let payload = Payload::shared(vec!["nginx:1.27".parse().unwrap()], "");
    let digest = Digest::of(&vec![0; usize::try_from(size.min(1 << 20)).unwrap()]);
    let open = || Ok(Box::new(io::repeat(0).take(size)) as Box<dyn Read>);
    let file = |name: &&str| PayloadFile {
        name: (*name).to_owned(),
        digest,
        size,
        open: &open,
    };
    let files: Vec<PayloadFile<'_>> = names.iter().map(file).collect();
    act(&Artifact {
        header: &header,
        payload: &payload,
        scripts: &[],
        files: &files,
        options: Options {
            compression,
            mtime: 0,
        },
    })
}

#[test]
fn files_are_written_as_given() {
    let mut out = Cursor::new(Vec::new());
    with_files(&["c", "a", "b"], 700, Compression::None, |artifact| {
        write_signed(&mut out, artifact, None).unwrap();
    });
    let out = out.into_inner();
    let mut outer = tar::Archive::new(out.as_slice());
    let data = outer.entries().unwrap().nth(3).unwrap().unwrap();
    let mut inner = tar::Archive::new(data);
    let names = inner.entries().unwrap().map(|entry| {
        let entry = entry.unwrap();
        entry.path().unwrap().to_str().unwrap().to_owned()
    });
    assert_eq!(names.collect::<Vec<_>>(), ["c", "a", "b"]);
    assert_eq!(
        manifest_names(&out),
        ["data/0000/c", "data/0000/a", "data/0000/b"]
    );
}

/// The payload files that the manifest lists.
fn manifest_names(artifact: &[u8]) -> Vec<String> {
    let mut outer = tar::Archive::new(artifact);
    let mut manifest = outer.entries().unwrap().nth(1).unwrap().unwrap();
    let mut text = String::new();
    manifest.read_to_string(&mut text).unwrap();
    let names = text.lines().filter_map(|line| line.split("  ").nth(1));
    let names = names.filter(|name| name.starts_with("data/"));
    names.map(str::to_owned).collect()
}

#[test]
fn what_will_be_written_is_foretold() {
    let sign: Sign<'_> = &|_| Ok("c2lnbmF0dXJl".to_owned());
    for (size, sign) in [(0, None), (1, Some(sign)), (512, None), (700, Some(sign))] {
        for compression in [Compression::None, Compression::Gzip] {
            let mut out = Cursor::new(Vec::new());
            let foretold = with_files(&["a", "b"], size, compression, |artifact| {
                write_signed(&mut out, artifact, sign).unwrap();
                foretell(artifact, sign).unwrap()
            });
            let out = out.into_inner();
            assert!(out.starts_with(&foretold.front));
            let is_known = compression == Compression::None;
            assert_eq!(foretold.size, is_known.then_some(out.len() as u64));
        }
    }
}

#[test]
fn what_readers_would_not_take_is_refused_before_a_file_is_opened() {
    let refused = |names: &[&str], size, compression| {
        with_files(names, size, compression, |artifact| {
            let mut out = Cursor::new(Vec::new());
            let refused = write_signed(&mut out, artifact, None).unwrap_err();
            assert_eq!(
                foretell(artifact, None).unwrap_err().to_string(),
                refused.to_string()
            );
            assert!(out.into_inner().is_empty());
            refused
        })
    };
    let most = 0o77_777_777_777;
    assert!(matches!(
        refused(&["a"], most + 1, Compression::Gzip),
        WriteError::FileSize(name) if name == "a"
    ));
    // With its header and the archive's end it is too much.
    assert!(matches!(
        refused(&["a"], most, Compression::None),
        WriteError::Payload(size) if size > most
    ));
    let names: Vec<String> = (0..8_000).map(|n| format!("{n:064}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert!(matches!(
        refused(&names, 0, Compression::None),
        WriteError::Files(8_000)
    ));
}

/// Whose fault it is that a file cannot be written.
#[test]
fn a_file_that_is_not_what_it_should_be_is_named() {
    let open = || Ok(Box::new(io::repeat(1).take(5)) as Box<dyn Read>);
    let broken = || Err(io::Error::other("gone"));
    type Open<'a> = &'a dyn Fn() -> io::Result<Box<dyn Read>>;
    let opened: [(Open<'_>, &str); 2] = [(&open, "arrived with the digest"), (&broken, "gone")];
    for (open, why) in opened {
        with_files(&[], 0, Compression::None, |artifact| {
            let file = PayloadFile {
                name: "a".to_owned(),
                digest: Digest::of(b"00000"),
                size: 5,
                open,
            };
            let artifact = Artifact {
                files: &[file],
                ..*artifact
            };
            let refused = write_signed(&mut Cursor::new(Vec::new()), &artifact, None).unwrap_err();
            let line = refused.to_string();
            assert!(
                line.starts_with("failed to write artifact: payload file a: "),
                "{line}"
            );
            assert!(line.contains(why), "{line}");
            assert!(matches!(refused, WriteError::File { name, .. } if name == "a"));
        });
    }
}
