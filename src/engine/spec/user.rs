//! Users and groups, looked up in the image's own `/etc/passwd` and `/etc/group`.
//!
//! The rules are Docker's: a number is always a number, even where a user of that name exists; a name has to be in the
//! file; supplementary groups come from the group file only when no group was given. Unlike Docker, an entry whose number
//! does not parse is not taken for root's.

use super::SpecError;

/// Most bytes of `/etc/passwd` and of `/etc/group` that are read: an image can hold a file of any size.
pub const MAX_ACCOUNT_FILE: u64 = 1 << 20;

/// Largest user or group id; Docker's range, which also keeps `-1` (no change, for chown) out.
const MAX_ID: u64 = (1 << 31) - 1;

/// Who a process runs as.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Supplementary groups, the group itself first.
    pub additional_gids: Vec<u32>,
    /// Home folder; `/` if the user has none.
    pub home: String,
}

/// Looks up Docker's `user[:group]` and the names of `--group-add` in the image's account files.
///
/// An empty `user` is root. Absent files are empty slices; read them through [`MAX_ACCOUNT_FILE`] plus one byte, so that a
/// larger one is noticed here instead of being cut in the middle of a line.
pub fn resolve(
    user: &str,
    group_add: &[String],
    passwd: &[u8],
    group: &[u8],
) -> Result<Account, SpecError> {
    check_size("passwd", passwd)?;
    check_size("group", group)?;
    let (user, wanted_group) = user.split_once(':').unwrap_or((user, ""));
    let found = find_user(user, passwd)?;
    let gid = if wanted_group.is_empty() {
        found.gid
    } else {
        find_group(wanted_group, group)?
    };
    let mut account = Account {
        uid: found.uid,
        gid,
        additional_gids: vec![gid],
        home: found.home,
    };
    if wanted_group.is_empty() && !found.name.is_empty() {
        let member_of = groups(group).filter(|entry| entry.members.any(&found.name));
        account
            .additional_gids
            .extend(member_of.filter_map(|entry| id(entry.gid).ok()));
    }
    for name in group_add {
        account.additional_gids.push(find_group(name, group)?);
    }
    dedup(&mut account.additional_gids);
    Ok(account)
}

fn check_size(file: &'static str, bytes: &[u8]) -> Result<(), SpecError> {
    let limit = usize::try_from(MAX_ACCOUNT_FILE).unwrap_or(usize::MAX);
    if bytes.len() > limit {
        return Err(SpecError::AccountFile {
            file,
            size: bytes.len(),
            limit,
        });
    }
    Ok(())
}

/// Keeps the first of equal numbers, so that the group itself stays in front.
fn dedup(ids: &mut Vec<u32>) {
    let mut seen = std::collections::BTreeSet::new();
    ids.retain(|id| seen.insert(*id));
}

struct FoundUser {
    /// Empty if there is no such entry.
    name: String,
    uid: u32,
    gid: u32,
    home: String,
}

fn find_user(user: &str, passwd: &[u8]) -> Result<FoundUser, SpecError> {
    let number = match user {
        "" => Some(0),
        _ if is_number(user) => Some(id(user)?),
        _ => None,
    };
    let entry = lines(passwd)
        .filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let uid = fields.nth(1)?;
            let gid = fields.next()?;
            let home = fields.nth(1).unwrap_or_default();
            Some((name, uid, gid, home))
        })
        .find(|(name, uid, _, _)| match number {
            Some(number) => id(uid) == Ok(number),
            None => *name == user,
        });
    match (entry, number) {
        (Some((name, uid, gid, home)), _) => Ok(FoundUser {
            name: name.to_owned(),
            uid: id(uid)?,
            gid: id(gid)?,
            home: Some(home)
                .filter(|home| !home.is_empty())
                .unwrap_or("/")
                .to_owned(),
        }),
        (None, Some(uid)) => Ok(FoundUser {
            name: String::new(),
            uid,
            gid: 0,
            home: "/".to_owned(),
        }),
        (None, None) => Err(SpecError::UnknownUser(user.to_owned())),
    }
}

fn find_group(wanted: &str, group: &[u8]) -> Result<u32, SpecError> {
    if is_number(wanted) {
        return Ok(id(wanted)?);
    }
    match groups(group).find(|entry| entry.name == wanted) {
        Some(entry) => Ok(id(entry.gid)?),
        None => Err(SpecError::UnknownGroup(wanted.to_owned())),
    }
}

struct Group<'a> {
    name: &'a str,
    gid: &'a str,
    members: Members<'a>,
}

struct Members<'a>(&'a str);

impl Members<'_> {
    fn any(&self, name: &str) -> bool {
        self.0.split(',').any(|member| member == name)
    }
}

fn groups(group: &[u8]) -> impl Iterator<Item = Group<'_>> {
    lines(group).filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let gid = fields.nth(1)?;
        Some(Group {
            name,
            gid,
            members: Members(fields.next().unwrap_or_default()),
        })
    })
}

/// The lines that are text; an account on a line of other bytes does not exist.
fn lines(file: &[u8]) -> impl Iterator<Item = &str> {
    file.split(|byte| *byte == b'\n')
        .filter_map(|line| std::str::from_utf8(line).ok())
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// A sign makes it a number too, one that is out of range.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

/// A number that does not fit.
#[derive(Debug, PartialEq, Eq)]
struct OutOfRange(String);

impl From<OutOfRange> for SpecError {
    fn from(OutOfRange(text): OutOfRange) -> SpecError {
        SpecError::AccountRange(text)
    }
}

fn id(text: &str) -> Result<u32, OutOfRange> {
    text.parse::<u64>()
        .ok()
        .filter(|id| *id <= MAX_ID)
        .and_then(|id| u32::try_from(id).ok())
        .ok_or_else(|| OutOfRange(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/sh\n\
        # a comment\n\
        app:x:1000:1001:App:/home/app:/bin/sh\n\
        12:x:3000:3000::/home/twelve:/bin/sh\n\
        nohome:x:5:6:::/bin/sh\n\
        huge:x:4294967296:0::/:/bin/sh\n\
        broken\n\
        \xff\xfe:x:7:7::/:/bin/sh\n";
    const GROUP: &[u8] = b"root:x:0:\nvideo:x:44:app,other\naudio:x:29:app\napp:x:1001:\n\
        wheel:x:10:root\nbig:x:4294967296:app\n9:x:900:\n";

    #[test]
    fn looks_up_as_docker_does() {
        type Row<'a> = (&'a str, &'a [&'a str], (u32, u32, &'a [u32], &'a str));
        let rows: [Row<'_>; 13] = [
            ("", &[], (0, 0, &[0, 10], "/root")),
            ("root", &[], (0, 0, &[0, 10], "/root")),
            ("0", &[], (0, 0, &[0, 10], "/root")),
            ("app", &[], (1000, 1001, &[1001, 44, 29], "/home/app")),
            ("1000", &[], (1000, 1001, &[1001, 44, 29], "/home/app")),
            ("app:video", &[], (1000, 44, &[44], "/home/app")),
            ("app:77", &["audio"], (1000, 77, &[77, 29], "/home/app")),
            // A number is a number although a user and a group of that name exist.
            ("12", &[], (12, 0, &[0], "/")),
            ("app:9", &[], (1000, 9, &[9], "/home/app")),
            ("2000", &["44", "44"], (2000, 0, &[0, 44], "/")),
            ("nohome", &[], (5, 6, &[6], "/")),
            (
                "2147483647:2147483647",
                &[],
                (2147483647, 2147483647, &[2147483647], "/"),
            ),
            // Docker reads an empty user before the colon as root.
            (":video", &[], (0, 44, &[44], "/root")),
        ];
        for (user, add, (uid, gid, groups, home)) in rows {
            let add: Vec<_> = add.iter().map(|g| (*g).to_owned()).collect();
            let account = resolve(user, &add, PASSWD, GROUP).unwrap();
            let expected = Account {
                uid,
                gid,
                additional_gids: groups.to_vec(),
                home: home.to_owned(),
            };
            assert_eq!(account, expected, "{user} {add:?}");
        }
    }

    #[test]
    fn works_without_account_files() {
        let account = resolve("1000:1000", &["5".to_owned()], b"", b"").unwrap();
        assert_eq!(account.additional_gids, [1000, 5]);
        assert_eq!(resolve("", &[], b"", b"").unwrap().home, "/");
    }

    #[test]
    fn refuses_what_is_unknown_or_does_not_fit() {
        for (user, add, message) in [
            (
                "nobody",
                "",
                "unable to find user \"nobody\": no matching entry in the image's /etc/passwd",
            ),
            (
                "app:none",
                "",
                "unable to find group \"none\": no matching entry in the image's /etc/group",
            ),
            (
                "app",
                "none",
                "unable to find group \"none\": no matching entry in the image's /etc/group",
            ),
            (
                "4294967296",
                "",
                "user or group \"4294967296\" is out of range: ids must be between 0 and 2147483647",
            ),
            (
                "2147483648",
                "",
                "user or group \"2147483648\" is out of range: ids must be between 0 and 2147483647",
            ),
            (
                "-1",
                "",
                "user or group \"-1\" is out of range: ids must be between 0 and 2147483647",
            ),
            (
                "0:99999999999999999999",
                "",
                "user or group \"99999999999999999999\" is out of range: ids must be between 0 and 2147483647",
            ),
            (
                "app",
                "4294967295",
                "user or group \"4294967295\" is out of range: ids must be between 0 and 2147483647",
            ),
            (
                "huge",
                "",
                "user or group \"4294967296\" is out of range: ids must be between 0 and 2147483647",
            ),
            (
                "app:big",
                "",
                "user or group \"4294967296\" is out of range: ids must be between 0 and 2147483647",
            ),
            (
                "broken",
                "",
                "unable to find user \"broken\": no matching entry in the image's /etc/passwd",
            ),
        ] {
            let add: Vec<String> = Some(add.to_owned())
                .filter(|a| !a.is_empty())
                .into_iter()
                .collect();
            assert_eq!(
                resolve(user, &add, PASSWD, GROUP).unwrap_err().to_string(),
                message,
                "{user}"
            );
        }
    }

    #[test]
    fn refuses_a_file_that_is_too_large() {
        let large = vec![b'\n'; (1 << 20) + 1];
        assert!(matches!(
            resolve("", &[], &large, b""),
            Err(SpecError::AccountFile { file: "passwd", .. })
        ));
        assert!(resolve("", &[], &large[1..], b"").is_ok());
        assert!(matches!(
            resolve("", &[], b"", &large),
            Err(SpecError::AccountFile { file: "group", .. })
        ));
    }
}
