use std::io::{Read, Write};
use std::process::{Command, Stdio};

use super::*;

fn packed(content: &[u8]) -> Vec<u8> {
    let mut writer = XzWriter::new(Vec::new()).unwrap();
    writer.write_all(content).unwrap();
    writer.finish().unwrap()
}

fn unpacked(packed: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    XzReader::new(packed).read_to_end(&mut content)?;
    Ok(content)
}

/// Debian's xz with these options.
fn xz(options: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("xz")
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || pipe.write_all(input).unwrap());
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{options:?}");
    output.stdout
}

fn contents() -> [Vec<u8>; 4] {
    // Neither all the same nor without any pattern.
    let mixed = (0..300_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8 & 0x1f);
    [Vec::new(), b"x".to_vec(), vec![0; 1 << 20], mixed.collect()]
}

#[test]
fn xz_reads_ours_and_we_read_its() {
    for content in contents() {
        let ours = packed(&content);
        assert_eq!(xz(&["-dc"], &ours), content);
        assert_eq!(unpacked(&ours).unwrap(), content);
        assert_eq!(packed(&content), ours);
        for options in [
            &["-zc"][..],
            &["-zc", "-9"],
            &["-zc", "-0", "--check=crc32"],
            &["-zc", "--check=none"],
            &["-zc", "--check=sha256"],
            &["-zc", "-T2", "--block-size=65536"],
        ] {
            assert_eq!(
                unpacked(&xz(options, &content)).unwrap(),
                content,
                "{options:?}"
            );
        }
    }
}

#[test]
fn every_damaged_byte_is_noticed() {
    let content = b"a few words, a few words more, and a few words more".repeat(3);
    let whole = packed(&content);
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        assert!(unpacked(&damaged).is_err(), "byte {at}");
        assert!(unpacked(&whole[..at]).is_err(), "cut at {at}");
    }
    for options in [
        &["-zc", "--x86", "--lzma2"][..],
        &["-zc", "--lzma2=dict=128MiB"],
    ] {
        assert!(unpacked(&xz(options, &content)).is_err(), "{options:?}");
    }
}
