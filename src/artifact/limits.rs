//! How large the parts of an artifact may be, for the writer and the reader alike. Payload files have no limit: they are
//! handed on as they come.

/// `version`, 31 bytes in all known artifacts.
pub const MAX_VERSION: u64 = 4 << 10;

/// `manifest`: a hundred bytes for each file.
pub const MAX_MANIFEST: u64 = 1 << 20;

/// `manifest.sig`: 4096 bits as base64 are 684 bytes.
pub const MAX_SIGNATURE: u64 = 4 << 10;

/// `header-info`, `type-info` and `meta-data`, each.
pub const MAX_DOCUMENT: u64 = 1 << 20;

/// All state scripts together.
pub const MAX_SCRIPT_BYTES: u64 = 16 << 20;

/// The packed header, which is held in memory until its checksum is known to be right.
pub const MAX_HEADER: u64 = 8 << 20;

/// Payloads of one artifact: their numbers have four digits, and clients take one.
pub const MAX_PAYLOADS: usize = 100;

/// One payload file: more than any device's disk.
pub const MAX_FILE: u64 = 1 << 50;

/// Zeros behind the end of a tar: writers fill up to a multiple of their block, which is 10 KiB for GNU's.
pub const MAX_PADDING: u64 = 1 << 20;

/// Longest name of a payload file: with its folder it has to fit into the hundred bytes that the C++ client takes.
pub const MAX_FILE_NAME: usize = 90;

/// Whether a payload file may have this name; the rule of mender-artifact and of the older client.
pub fn is_file_name(name: &str) -> bool {
    let taken =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b',');
    !name.is_empty() && !matches!(name, "." | "..") && name.bytes().all(taken)
}
