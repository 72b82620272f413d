//! Users and groups, looked up in the image's own `/etc/passwd` and `/etc/group`.

use super::SpecError;

/// Most bytes of `/etc/passwd` and of `/etc/group` that are read: an image can hold a file of any size.
pub const MAX_ACCOUNT_FILE: u64 = 1 << 20;

/// Who a process runs as.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Supplementary groups, sorted.
    pub additional_gids: Vec<u32>,
    /// Home folder; `/` if the user has none.
    pub home: String,
}

/// Looks up Docker's `user[:group]` and the names of `--group-add` in the image's account files.
///
/// An empty `user` is root. Absent files are empty slices; both are at most [`MAX_ACCOUNT_FILE`] long.
pub fn resolve(
    _user: &str,
    _group_add: &[String],
    _passwd: &[u8],
    _group: &[u8],
) -> Result<Account, SpecError> {
    Err(SpecError::Unbuilt)
}
