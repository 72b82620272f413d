//! What an artifact says, for people and for scripts: the text of `mender-artifact read` (3.9), or JSON.

use std::fmt::Write as _;
use std::io::{self, Read};

use serde_json::{Map, Value, json};

use dray::artifact::reader;
use dray::artifact::reader::{
    FileHead, Head, Nothing, PayloadHead, ReadError, Taker, Trust, Values, Verdict,
};

use crate::carried::Carried;
use crate::embed::Cargo;

/// Everything in an artifact but the bytes of its files.
#[derive(Debug)]
pub struct Contents {
    /// What it says of itself.
    pub head: Head,
    /// The files of each payload.
    pub files: Vec<Vec<FileHead>>,
    /// The images in each payload, if it carries any.
    pub carried: Vec<Option<Carried>>,
}

impl Contents {
    /// Reads an artifact to its end, so that all of it is known to be sound.
    pub fn read(source: impl Read, trust: Trust<'_>) -> Result<Contents, ReadError> {
        let mut list = List::default();
        let head = reader::read(source, trust, &mut list)?;
        for carried in list.carried.iter().flatten() {
            carried.end().map_err(ReadError::Taker)?;
        }
        let List { files, carried } = list;
        Ok(Contents {
            head,
            files,
            carried,
        })
    }

    /// What an artifact will hold whose payload has not been fetched yet.
    pub fn foretold(front: &[u8], cargo: &Cargo, mtime: i64) -> Result<Contents, ReadError> {
        let head = reader::read_head(front, Trust::Ignored)?;
        let mut list = List::default();
        list.head(&head).map_err(ReadError::Taker)?;
        for part in &cargo.files {
            let file = FileHead {
                name: part.name.clone(),
                size: part.size,
                mtime,
                digest: part.digest,
            };
            let mut content = match part.image() {
                Some(_) => Box::new(io::empty()),
                None => part.open().map_err(ReadError::Taker)?,
            };
            let taken = list.file(0, &file, &mut content);
            taken.map_err(ReadError::Taker)?;
        }
        let List { files, carried } = list;
        Ok(Contents {
            head,
            files,
            carried,
        })
    }
}

/// Notes which files there are.
#[derive(Default)]
struct List {
    files: Vec<Vec<FileHead>>,
    carried: Vec<Option<Carried>>,
}

impl Taker for List {
    fn script(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        Nothing.script(name, content)
    }

    fn head(&mut self, head: &Head) -> io::Result<()> {
        self.files = vec![Vec::new(); head.payloads.len()];
        self.carried = head.payloads.iter().map(Carried::of).collect();
        Ok(())
    }

    fn file(&mut self, payload: usize, file: &FileHead, content: &mut dyn Read) -> io::Result<()> {
        self.files[payload].push(file.clone());
        match &mut self.carried[payload] {
            Some(carried) => carried.file(file, content),
            None => Ok(()),
        }
    }
}

/// As `mender-artifact read` prints it, and below a payload of ours the images in it; times are in UTC.
pub fn text(contents: &Contents) -> String {
    let head = &contents.head;
    let signature = match head.signature {
        Verdict::Unsigned => "no signature",
        Verdict::Unchecked => {
            "signed but no key for verification provided; please use `-k` option for providing verification key"
        }
        Verdict::Verified => "signed and verified correctly",
        Verdict::Wrong => "signed; verification using provided key failed",
    };
    let mut text = format!(
        "Mender artifact:\n  Name: {}\n  Format: mender\n  Version: 3\n  Signature: {signature}\n  \
         Compatible devices: '[{}]'\n  Provides group: {}\n  Depends on one of artifact(s): [{}]\n  \
         Depends on one of group(s): [{}]\n  State scripts:\n",
        head.artifact_name,
        head.device_types.join(" "),
        head.group.as_deref().unwrap_or_default(),
        head.depends_names.join(", "),
        head.depends_groups.join(", "),
    );
    for script in &head.scripts {
        push(&mut text, format_args!("    {script}\n"));
    }
    text.push_str("\nUpdates:\n");
    for (number, (payload, files)) in head.payloads.iter().zip(&contents.files).enumerate() {
        push(&mut text, format_args!("  {number:3}:\n"));
        show_payload(&mut text, payload, files);
        if let Some(carried) = &contents.carried[number] {
            text.push_str(&carried.text());
        }
    }
    text
}

fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = text.write_fmt(what);
}

fn show_payload(text: &mut String, payload: &PayloadHead, files: &[FileHead]) {
    let kind = payload.kind.as_deref().unwrap_or("Empty type");
    push(text, format_args!("    Type:   {kind}\n"));
    let provides = payload.provides.iter().map(|(k, v)| (k, v.clone()));
    show_pairs(text, "Provides", provides.collect());
    let depends = payload.depends.iter().map(|(key, values)| match values {
        Values::One(value) => (key, value.clone()),
        Values::AnyOf(values) => (key, format!("[{}]", values.join(" "))),
    });
    show_pairs(text, "Depends", depends.collect());
    if let Some(patterns) = &payload.clears_provides {
        push(
            text,
            format_args!("    Clears Provides: [\"{}\"]\n", patterns.join("\", \"")),
        );
    }
    match payload.meta_data.as_ref().filter(|data| !data.is_empty()) {
        None => text.push_str("    Metadata: Nothing\n"),
        Some(data) => push(text, format_args!("    Metadata:\n{}", indented(data))),
    }
    if files.is_empty() {
        text.push_str("    Files: None\n");
        return;
    }
    text.push_str("    Files:\n");
    for file in files {
        push(
            text,
            format_args!(
                "      name:     {}\n      size:     {}\n      modified: {}\n      checksum: {}\n",
                file.name,
                file.size,
                moment(file.mtime),
                file.digest.hex()
            ),
        );
    }
}

fn show_pairs(text: &mut String, title: &str, pairs: Vec<(&String, String)>) {
    match pairs.is_empty() {
        true => push(text, format_args!("    {title}: Nothing\n")),
        false => push(text, format_args!("    {title}:\n")),
    }
    for (key, value) in pairs {
        push(text, format_args!("\t{key}: {value}\n"));
    }
}

/// As Go prints a time.
fn moment(seconds: i64) -> String {
    let moment = chrono::DateTime::from_timestamp(seconds, 0);
    let shown = moment.map(|moment| moment.format("%Y-%m-%d %H:%M:%S +0000 UTC").to_string());
    shown.unwrap_or_else(|| seconds.to_string())
}

/// The document as Go's printer shows it: keys sorted, `<`, `>` and `&` escaped.
fn indented(document: &Map<String, Value>) -> String {
    let mut sorted = Value::Object(document.clone());
    sorted.sort_all_objects();
    let pretty = format!("{sorted:#}")
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026");
    pretty.lines().map(|line| format!("\t{line}\n")).collect()
}

/// One object: the same for scripts.
pub fn json(contents: &Contents) -> Value {
    let head = &contents.head;
    let signature = match head.signature {
        Verdict::Unsigned => "none",
        Verdict::Unchecked => "unchecked",
        Verdict::Verified => "verified",
        Verdict::Wrong => "wrong",
    };
    let payloads = head.payloads.iter().zip(&contents.files);
    let mut payloads: Vec<Value> = payloads
        .map(|(payload, files)| payload_json(payload, files))
        .collect();
    for (shown, carried) in payloads.iter_mut().zip(&contents.carried) {
        if let Some(carried) = carried {
            shown["carried"] = carried.json();
        }
    }
    json!({
        "artifact_name": head.artifact_name,
        "artifact_group": head.group,
        "signature": signature,
        "device_types": head.device_types,
        "depends_artifact_names": head.depends_names,
        "depends_groups": head.depends_groups,
        "scripts": head.scripts,
        "payloads": payloads,
    })
}

fn payload_json(payload: &PayloadHead, files: &[FileHead]) -> Value {
    let depends = payload.depends.iter().map(|(key, values)| {
        let values = match values {
            Values::One(value) => json!(value),
            Values::AnyOf(values) => json!(values),
        };
        (key.clone(), values)
    });
    let file = |file: &FileHead| {
        json!({
            "name": file.name,
            "size": file.size,
            "mtime": file.mtime,
            "sha256": file.digest.hex(),
        })
    };
    json!({
        "type": payload.kind,
        "provides": payload.provides,
        "depends": depends.collect::<Map<String, Value>>(),
        "clears_provides": payload.clears_provides.as_deref().unwrap_or_default(),
        "meta_data": payload.meta_data,
        "files": files.iter().map(file).collect::<Vec<Value>>(),
    })
}
