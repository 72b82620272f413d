//! `header.tar`: who the artifact is for and what it says about itself.

use std::io::{self, Read};

use super::documents::{self, HeaderInfo, PayloadHead};
use super::{ReadError, Taker, Verdict, content, place};
use crate::artifact::compression::Compression;
use crate::artifact::limits::{MAX_DOCUMENT, MAX_SCRIPT_BYTES};
use crate::artifact::members::{Member, Members};
use crate::artifact::scripts::{self, MAX_SCRIPTS};

/// Everything that an artifact says before its payload.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// What is known of its signature.
    pub signature: Verdict,
    /// Name of the release.
    pub artifact_name: String,
    /// Group that it provides.
    pub group: Option<String>,
    /// Device types it may be installed on; at least one.
    pub device_types: Vec<String>,
    /// Artifact names of which one must be installed; empty means any.
    pub depends_names: Vec<String>,
    /// Groups of which the device must be in one; empty means any.
    pub depends_groups: Vec<String>,
    /// Names of the state scripts, in the artifact's order.
    pub scripts: Vec<String>,
    /// At least one.
    pub payloads: Vec<PayloadHead>,
}

/// Reads the packed archive, which is what the manifest says it is.
pub(super) fn read(
    packed: &[u8],
    packing: Compression,
    signature: Verdict,
    taker: &mut dyn Taker,
) -> Result<Head, ReadError> {
    let mut packed = packed;
    let plain = packing.unpack(&mut packed);
    let plain = plain.map_err(|source| ReadError::Content {
        name: "header".to_owned(),
        source,
    })?;
    let mut inner = Inner {
        members: Members::new(plain),
    };
    let member = inner.next()?;
    let member = member.ok_or_else(|| ReadError::Missing("header-info".to_owned()))?;
    if member.name != "header-info" || member.is_folder {
        return Err(place(&member.name, "header-info"));
    }
    let info = documents::header_info(&inner.document(&member)?)?;
    let mut head = Head::new(info, signature);
    let mut member = inner.next()?;
    let mut script_bytes = 0;
    while let Some(script) = member.take_if(|member| member.name.starts_with("scripts/")) {
        inner.script(&script, &mut script_bytes, &mut head, taker)?;
        member = inner.next()?;
    }
    let mut seen = vec![[false; 2]; head.payloads.len()];
    while let Some(found) = member {
        if !found.is_folder {
            inner.payload(&found, &mut head.payloads, &mut seen)?;
        } else if !is_known_folder(&found.name) {
            return Err(place(&found.name, "a document of a payload"));
        }
        member = inner.next()?;
    }
    drop(inner);
    if !packed.is_empty() {
        return Err(place("something behind the header", "nothing"));
    }
    match seen.iter().position(|[type_info, _]| !type_info) {
        None => Ok(head),
        Some(number) => Err(ReadError::Missing(format!("headers/{number:04}/type-info"))),
    }
}

/// mender-artifact writes no folders, other programs do.
fn is_known_folder(name: &str) -> bool {
    let name = name.strip_suffix('/').unwrap_or(name);
    let number = name.strip_prefix("headers/");
    name == "headers" || number.is_some_and(|n| n.len() == 4 && n.parse::<u16>().is_ok())
}

impl Head {
    fn new(info: HeaderInfo, signature: Verdict) -> Head {
        let payload = |kind| PayloadHead {
            kind,
            ..PayloadHead::default()
        };
        Head {
            signature,
            artifact_name: info.artifact_name,
            group: info.group,
            device_types: info.device_types,
            depends_names: info.depends_names,
            depends_groups: info.depends_groups,
            scripts: Vec::new(),
            payloads: info.payloads.into_iter().map(payload).collect(),
        }
    }
}

struct Inner<'a> {
    members: Members<Box<dyn Read + 'a>>,
}

impl Inner<'_> {
    fn next(&mut self) -> Result<Option<Member>, ReadError> {
        self.members.next().map_err(ReadError::archive("header"))
    }

    fn document(&mut self, member: &Member) -> Result<Vec<u8>, ReadError> {
        content(&mut self.members, member, MAX_DOCUMENT)
    }

    fn script(
        &mut self,
        member: &Member,
        bytes: &mut u64,
        head: &mut Head,
        taker: &mut dyn Taker,
    ) -> Result<(), ReadError> {
        let name = member.name.strip_prefix("scripts/").unwrap_or_default();
        if member.is_folder {
            return Err(ReadError::Folder(member.name.clone()));
        }
        scripts::check_name(name)?;
        if head.scripts.iter().any(|script| script == name) {
            return Err(ReadError::Twice(member.name.clone()));
        }
        *bytes += member.size;
        if head.scripts.len() == MAX_SCRIPTS || *bytes > MAX_SCRIPT_BYTES {
            return Err(ReadError::Scripts);
        }
        let content = content(&mut self.members, member, MAX_SCRIPT_BYTES)?;
        head.scripts.push(name.to_owned());
        taker.script(name, &content).map_err(ReadError::Taker)
    }

    fn payload(
        &mut self,
        member: &Member,
        payloads: &mut [PayloadHead],
        seen: &mut [[bool; 2]],
    ) -> Result<(), ReadError> {
        let name = &member.name;
        let unknown = || place(name, "a document of a payload");
        let rest = name.strip_prefix("headers/").ok_or_else(unknown)?;
        let (number, document) = rest.split_once('/').ok_or_else(unknown)?;
        let at = (0..payloads.len()).find(|at| format!("{at:04}") == number);
        let at = at.ok_or_else(unknown)?;
        let kind = match document {
            "type-info" => 0,
            "meta-data" if payloads[at].kind.is_some() => 1,
            _ => return Err(unknown()),
        };
        if std::mem::replace(&mut seen[at][kind], true) {
            return Err(ReadError::Twice(name.clone()));
        }
        let bytes = self.document(member)?;
        match kind {
            0 => documents::type_info(name, &bytes, &mut payloads[at]),
            _ => documents::meta_data(name, &bytes, &mut payloads[at]),
        }
    }
}

/// Takes nothing: for those who only want to know.
#[derive(Debug, Default)]
pub struct Nothing;

impl Taker for Nothing {
    fn script(&mut self, _: &str, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn head(&mut self, _: &Head) -> io::Result<()> {
        Ok(())
    }

    fn file(&mut self, _: usize, _: &super::FileHead, _: &mut dyn Read) -> io::Result<()> {
        Ok(())
    }
}
