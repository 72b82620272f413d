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
