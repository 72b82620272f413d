use super::*;

/// Gives its bytes in pieces of this many.
struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.1.min(buffer.len()).min(self.0.len());
        let (now, later) = self.0.split_at(size);
        buffer[..size].copy_from_slice(now);
        self.0 = later;
        Ok(size)
    }
}

#[test]
fn only_the_right_bytes_end_well() {
    let good = b"hello world";
    let digest = Digest::of(good);
    let wrong = Digest::of(b"hello worlD");
    for piece in [1, 4, 100] {
        for (bytes, size, expected) in [
            (&good[..], 11, Ok(11)),
            (
                b"hello worlD",
                11,
                Err((
                    io::ErrorKind::InvalidData,
                    StreamError::Digest {
                        expected: digest,
                        found: wrong,
                    },
                )),
            ),
            (
                b"hello",
                11,
                Err((
                    io::ErrorKind::UnexpectedEof,
                    StreamError::TooShort {
                        digest,
                        size: 11,
                        got: 5,
                    },
                )),
            ),
            (
                b"",
                11,
                Err((
                    io::ErrorKind::UnexpectedEof,
                    StreamError::TooShort {
                        digest,
                        size: 11,
                        got: 0,
                    },
                )),
            ),
            (
                b"hello world!",
                11,
                Err((
                    io::ErrorKind::InvalidData,
                    StreamError::TooLong { digest, size: 11 },
                )),
            ),
            (
                b"hello world",
                5,
                Err((
                    io::ErrorKind::InvalidData,
                    StreamError::TooLong { digest, size: 5 },
                )),
            ),
            (
                b"hello world",
                u64::MAX,
                Err((
                    io::ErrorKind::UnexpectedEof,
                    StreamError::TooShort {
                        digest,
                        size: u64::MAX,
                        got: 11,
                    },
                )),
            ),
        ] {
            let mut read = Vec::new();
            let found = Verified::new(Pieces(bytes, piece), digest, size)
                .read_to_end(&mut read)
                .map_err(|error| (error.kind(), error.downcast::<StreamError>().unwrap()));
            assert_eq!(found, expected, "{bytes:?} of {size}");
            assert!(read.len() as u64 <= size);
        }
    }
}

#[test]
fn a_decoder_that_stops_early_does_not_hide_the_rest() {
    for (bytes, ends_well) in [
        (&b"payload and trailer"[..], true),
        (b"payload and trailes", false),
        (b"payload", false),
    ] {
        let mut verified = Verified::new(Pieces(bytes, 3), Digest::of(b"payload and trailer"), 19);
        verified.read_exact(&mut [0; 7]).unwrap();
        assert_eq!(verified.position(), 7);
        assert_eq!(verified.finish().is_ok(), ends_well);
    }
}

#[test]
fn the_empty_blob() {
    let mut verified = Verified::new(Pieces(b"", 1), Digest::of(b""), 0);
    assert_eq!(verified.read(&mut [0; 4]).unwrap(), 0);
    assert_eq!(verified.read(&mut [0; 4]).unwrap(), 0);
}

#[test]
fn documents_have_a_limit() {
    assert_eq!(read_limited(&b"12345"[..], 5).unwrap(), b"12345");
    let refused = read_limited(&b"123456"[..], 5).unwrap_err();
    assert_eq!(refused.to_string(), "more than the 5 bytes allowed");
    assert!(read_limited(io::repeat(0), 1 << 20).is_err());
    assert_eq!(read_limited(&b"1"[..], u64::MAX).unwrap(), b"1");
}
