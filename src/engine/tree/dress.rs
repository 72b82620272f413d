//! Owner, mode, attributes and time, in the order in which none undoes another.

use std::io;
use std::os::fd::BorrowedFd;

use crate::sys::beneath::{self, Status, Time};

/// Overlay's own attributes, which mean nothing outside of a layer.
pub const OVERLAY: &[u8] = b"trusted.overlay.";

/// Labels of another machine's policy.
pub const SELINUX: &[u8] = b"security.selinux";

/// What a program may do that others may not.
const CAPABILITY: &[u8] = b"security.capability";

/// Set-user-ID and set-group-ID.
const SET_ID: u32 = 0o6000;

/// What an inode is to have.
#[derive(Debug)]
pub struct Attributes {
    mode: u32,
    /// `None` leaves it the caller's.
    owner: Option<(u32, u32)>,
    modified: Time,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Attributes that a filesystem does not take.
#[derive(Debug, Default)]
pub struct Lost {
    count: u64,
    /// The name of the first one.
    first: String,
}

impl Lost {
    /// What is to be said of them, if there are any.
    pub fn warning(&self) -> Option<String> {
        let Lost { count, first } = self;
        let said = || format!("{count} extended attributes ({first} …) cannot be stored there");
        (*count > 0).then(said)
    }
}

impl Attributes {
    /// All of them.
    pub fn new(
        (mode, owner): (u32, (u32, u32)),
        modified: Time,
        xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    ) -> Attributes {
        Attributes {
            mode,
            owner: Some(owner),
            modified,
            xattrs,
        }
    }

    /// Those of `status`, with the attributes of the open `file` if there is one. Whoever does not keep the owner gets none
    /// of what that owner gave: a program that becomes somebody else must not become one that becomes root.
    pub fn of(
        status: &Status,
        file: Option<BorrowedFd<'_>>,
        keep_owner: bool,
    ) -> io::Result<Attributes> {
        let mut xattrs = file.map(beneath::xattrs).transpose()?.unwrap_or_default();
        xattrs.retain(|(name, _)| !name.starts_with(OVERLAY));
        let mut attributes = Attributes::new(
            (status.mode, (status.uid, status.gid)),
            status.modified,
            xattrs,
        );
        if !keep_owner {
            attributes.owner = None;
            if (status.uid, status.gid) != (0, 0) {
                attributes.mode &= !SET_ID;
                attributes.xattrs.retain(|(name, _)| name != CAPABILITY);
            }
        }
        Ok(attributes)
    }

    /// Gives them to an open file or folder. Owner first: the change of it takes set-user-ID and capabilities away.
    pub fn give(&self, file: BorrowedFd<'_>, lost: Option<&mut Lost>) -> io::Result<()> {
        if let Some((uid, gid)) = self.owner {
            beneath::set_owner(file, uid, gid)?;
        }
        beneath::set_mode(file, self.mode)?;
        self.set_xattrs(lost, |name, value| beneath::set_xattr(file, name, value))?;
        beneath::set_modified(file, self.modified)
    }

    /// Gives them to what must not be opened: a device, which that would act on, or a symbolic link, which has no mode.
    pub fn give_name(
        &self,
        (dir, name): (BorrowedFd<'_>, &[u8]),
        has_mode: bool,
        lost: Option<&mut Lost>,
    ) -> io::Result<()> {
        if let Some((uid, gid)) = self.owner {
            beneath::set_owner_of(dir, name, uid, gid)?;
        }
        if has_mode {
            beneath::set_mode_of_node(dir, name, self.mode)?;
        }
        self.set_xattrs(lost, |xattr, value| {
            beneath::set_xattr_of(dir, name, xattr, value)
        })?;
        beneath::set_modified_of(dir, name, self.modified)
    }

    fn set_xattrs(
        &self,
        mut lost: Option<&mut Lost>,
        set: impl Fn(&[u8], &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        for (name, value) in &self.xattrs {
            let shown = || String::from_utf8_lossy(name).into_owned();
            match (set(name, value), &mut lost) {
                (Err(error), Some(lost)) if error.kind() == io::ErrorKind::Unsupported => {
                    if lost.count == 0 {
                        lost.first = shown();
                    }
                    lost.count += 1;
                }
                (Err(error), _) => {
                    let said = format!("attribute {}: {error}", shown());
                    return Err(io::Error::new(error.kind(), said));
                }
                (Ok(()), _) => {}
            }
        }
        Ok(())
    }
}
