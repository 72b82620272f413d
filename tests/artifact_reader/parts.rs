//! Artifacts put together from parts, each of which can be bent.

use std::io::Write;
use std::process::Command;

use dray::oci::Digest;
use dray::trust::PrivateKey;

use crate::common;

/// An artifact in parts, to be bent before it is put together.
pub struct Parts {
    pub version: Vec<u8>,
    pub header_info: String,
    pub type_info: String,
    pub meta_data: Option<Vec<u8>>,
    pub files: Vec<(String, Vec<u8>)>,
    pub header_name: &'static str,
    pub data_name: &'static str,
    /// Entries of the three archives, each with header and padding.
    pub header: fn(&mut Vec<Vec<u8>>),
    pub data: fn(&mut Vec<Vec<u8>>),
    pub outer: fn(&mut Vec<Vec<u8>>),
    /// The plain header, the plain payload, the packed header, the packed payload, the manifest and the whole.
    pub header_plain: fn(&mut Vec<u8>),
    pub data_plain: fn(&mut Vec<u8>),
    pub header_packed: fn(&mut Vec<u8>),
    pub data_packed: fn(&mut Vec<u8>),
    pub manifest: fn(&mut String),
    pub whole: fn(&mut Vec<u8>),
    /// What the signature becomes; without, there is none.
    pub signature: Option<fn(&mut String)>,
}

/// A sound artifact with two files.
pub fn parts() -> Parts {
    Parts {
        version: br#"{"format":"mender","version":3}"#.to_vec(),
        header_info: r#"{"payloads":[{"type":"docker"}],"artifact_provides":{"artifact_name":"rel-1"},"artifact_depends":{"device_type":["qemu"]}}"#.to_owned(),
        type_info: r#"{"type":"docker","artifact_provides":{"rootfs-image.docker.version":"rel-1"},"clears_artifact_provides":["rootfs-image.docker.*"]}"#.to_owned(),
        meta_data: Some(br#"{"containers":[],"run_args":""}"#.to_vec()),
        files: vec![("one".to_owned(), b"first\n".to_vec()), ("two.tar.gz".to_owned(), vec![7; 70_000])],
        header_name: "header.tar.gz",
        data_name: "data/0000.tar.gz",
        header: |_| (),
        data: |_| (),
        outer: |_| (),
        header_plain: |_| (),
        data_plain: |_| (),
        header_packed: |_| (),
        data_packed: |_| (),
        manifest: |_| (),
        whole: |_| (),
        signature: None,
    }
}

impl Parts {
    /// Puts it together.
    pub fn build(self, key: &PrivateKey) -> Vec<u8> {
        let mut header = vec![
            entry("header-info", self.header_info.as_bytes()),
            entry("headers/0000/type-info", self.type_info.as_bytes()),
        ];
        header.extend(
            self.meta_data
                .iter()
                .map(|data| entry("headers/0000/meta-data", data)),
        );
        let header = packed(header, self.header, self.header_plain, self.header_name);
        let header = bent(header, self.header_packed);
        let data = self
            .files
            .iter()
            .map(|(name, content)| entry(name, content))
            .collect();
        let data = packed(data, self.data, self.data_plain, self.data_name);
        let data = bent(data, self.data_packed);
        let mut manifest = String::new();
        for (name, content) in &self.files {
            manifest += &line(&format!("data/0000/{name}"), content);
        }
        manifest += &line(self.header_name, &header);
        manifest += &line("version", &self.version);
        (self.manifest)(&mut manifest);
        let mut outer = vec![
            entry("version", &self.version),
            entry("manifest", manifest.as_bytes()),
        ];
        if let Some(bend) = self.signature {
            let mut text = key.sign(manifest.as_bytes()).unwrap().to_text();
            bend(&mut text);
            outer.push(entry("manifest.sig", text.as_bytes()));
        }
        outer.push(entry(self.header_name, &header));
        outer.push(entry(self.data_name, &data));
        (self.outer)(&mut outer);
        bent([outer.concat(), END.to_vec()].concat(), self.whole)
    }
}

fn bent(mut bytes: Vec<u8>, bend: fn(&mut Vec<u8>)) -> Vec<u8> {
    bend(&mut bytes);
    bytes
}

/// The end of a tar.
pub const END: &[u8] = &[0; 1024];

fn packed(
    mut entries: Vec<Vec<u8>>,
    bend: fn(&mut Vec<Vec<u8>>),
    bend_plain: fn(&mut Vec<u8>),
    name: &str,
) -> Vec<u8> {
    bend(&mut entries);
    let plain = bent([entries.concat(), END.to_vec()].concat(), bend_plain);
    match name.rsplit_once('.').unwrap().1 {
        "gz" => gz(&plain),
        "xz" => program("xz", &["-zc"], &plain),
        "zst" => program("zstd", &["-zc"], &plain),
        _ => plain,
    }
}

/// One gzip stream.
pub fn gz(plain: &[u8]) -> Vec<u8> {
    let mut stream = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    stream.write_all(plain).unwrap();
    stream.finish().unwrap()
}

/// What a program makes of this input.
pub fn program(name: &str, options: &[&str], input: &[u8]) -> Vec<u8> {
    let output = common::fed(Command::new(name).args(options), input);
    assert!(output.status.success());
    output.stdout
}

/// A line of the manifest.
pub fn line(name: &str, content: &[u8]) -> String {
    format!("{}  {name}\n", Digest::of(content).hex())
}

/// A tar entry with header and padding.
pub fn entry(name: &str, content: &[u8]) -> Vec<u8> {
    typed(b'0', name, content)
}

/// One of another type.
pub fn typed(kind: u8, name: &str, content: &[u8]) -> Vec<u8> {
    sized(kind, name, content, content.len() as u64)
}

/// One that claims this size.
pub fn sized(kind: u8, name: &str, content: &[u8], size: u64) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_mode(0o600);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    if kind == b'2' || kind == b'1' {
        header.set_link_name("target").unwrap();
    }
    header.set_cksum();
    let mut bytes = [header.as_bytes(), content].concat();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// An entry whose name comes in a PAX header.
pub fn pax(records: &[(&str, &str)], name: &str, content: &[u8]) -> Vec<u8> {
    let record = |(key, value): &(&str, &str)| {
        // Short ones: the length has two digits.
        let rest = format!(" {key}={value}\n");
        format!("{}{rest}", rest.len() + 2)
    };
    let records: String = records.iter().map(record).collect();
    [
        typed(b'x', "PaxHeaders/x", records.as_bytes()),
        entry(name, content),
    ]
    .concat()
}

/// An entry whose name comes in a GNU header.
pub fn gnu(long: &str, name: &str, content: &[u8]) -> Vec<u8> {
    let mut head = typed(b'L', "././@LongLink", &[long.as_bytes(), b"\0"].concat());
    head[257..265].copy_from_slice(b"ustar  \0");
    recompute(&mut head);
    [head, entry(name, content)].concat()
}

/// The checksum of an entry's header once more.
pub fn recompute(entry: &mut [u8]) {
    entry[148..156].fill(b' ');
    let sum: u32 = entry[..512].iter().map(|&byte| u32::from(byte)).sum();
    entry[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}
