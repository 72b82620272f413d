//! Which capabilities a container keeps.

use serde_json::{Value, json};

use super::{CgroupVersion, Kernel, SpecError};
use crate::api::HostConfig;
use crate::runargs::capability::{self, Capability};

/// `CAP_MKNOD`.
const MKNOD: u8 = 27;

/// Docker's default set, by number.
const DEFAULT: [u8; 14] = [
    0, // CHOWN
    1, // DAC_OVERRIDE
    4, // FSETID
    3, // FOWNER
    MKNOD, 13, // NET_RAW
    6,  // SETGID
    7,  // SETUID
    31, // SETFCAP
    8,  // SETPCAP
    10, // NET_BIND_SERVICE
    18, // SYS_CHROOT
    5,  // KILL
    29, // AUDIT_WRITE
];

/// Full names of the capabilities that the container keeps, in Docker's order.
pub(super) fn kept(host: &HostConfig, kernel: &Kernel) -> Result<Vec<String>, SpecError> {
    let available = |number: &u8| kernel.capabilities >> number & 1 == 1;
    let all = (0..64).filter(available);
    let numbers: Vec<u8> = if host.privileged {
        all.collect()
    } else {
        let add = normalized(&host.cap_add, kernel)?;
        let drop = normalized(&host.cap_drop, kernel)?;
        let dropped = |number: &u8| drop.contains(&Capability::One(*number));
        if add.contains(&Capability::All) {
            all.filter(|number| !dropped(number)).collect()
        } else {
            let mut kept: Vec<u8> = match drop.contains(&Capability::All) {
                true => Vec::new(),
                false => default_set(kernel).filter(|n| !dropped(n)).collect(),
            };
            for word in add {
                if let Capability::One(number) = word
                    && !kept.contains(&number)
                {
                    kept.push(number);
                }
            }
            kept
        }
    };
    Ok(numbers.into_iter().filter_map(capability::name).collect())
}

/// Docker's set; without `MKNOD` where nothing would keep a made node from being opened.
fn default_set(kernel: &Kernel) -> impl Iterator<Item = u8> {
    let guarded = kernel.cgroup == CgroupVersion::V1 || kernel.device_filter;
    DEFAULT
        .into_iter()
        .filter(move |number| guarded || *number != MKNOD)
        // An engine with less than all hands on what it has, as runc does.
        .filter(|number| kernel.capabilities >> number & 1 == 1)
}

fn normalized(words: &[String], kernel: &Kernel) -> Result<Vec<Capability>, SpecError> {
    words
        .iter()
        .map(|word| match capability::parse(word) {
            Some(Capability::One(number)) if kernel.capabilities >> number & 1 == 0 => {
                Err(SpecError::UnsupportedCapability(word.clone()))
            }
            Some(known) => Ok(known),
            None => Err(SpecError::UnknownCapability(word.clone())),
        })
        .collect()
}

/// `process.capabilities`. Inheritable and ambient sets stay empty (CVE-2022-29162).
pub(super) fn sets(names: &[String]) -> Value {
    json!({ "bounding": names, "effective": names, "permitted": names, "inheritable": [], "ambient": [] })
}

#[cfg(test)]
mod tests {
    use super::super::tests::kernel;
    use super::*;

    fn names(add: &[&str], drop: &[&str], privileged: bool, kernel: &Kernel) -> Vec<String> {
        let words = |list: &[&str]| list.iter().map(|w| (*w).to_owned()).collect();
        let host = HostConfig {
            cap_add: words(add),
            cap_drop: words(drop),
            privileged,
            ..Default::default()
        };
        kept(&host, kernel).unwrap()
    }

    #[test]
    fn tweaks_as_docker_does() {
        let v1 = kernel(CgroupVersion::V1);
        let default = names(&[], &[], false, &v1);
        assert_eq!(default.len(), 14);
        assert!(default.contains(&"CAP_MKNOD".to_owned()));
        assert_eq!(names(&[], &["ALL"], false, &v1), [""; 0]);
        assert_eq!(
            names(&["net_admin", "CAP_NET_ADMIN"], &["all"], false, &v1),
            ["CAP_NET_ADMIN"]
        );
        assert_eq!(names(&["ALL"], &[], false, &v1).len(), 41);
        assert_eq!(names(&["ALL"], &["SYS_ADMIN"], false, &v1).len(), 40);
        assert_eq!(names(&[], &["ALL"], true, &v1).len(), 41);
        assert_eq!(names(&["CHOWN"], &["CHOWN"], false, &v1).len(), 14);
        assert_eq!(names(&["SYS_TIME"], &["CHOWN"], false, &v1).len(), 14);
    }

    #[test]
    fn keeps_no_mknod_where_devices_are_not_guarded() {
        let v2 = kernel(CgroupVersion::V2);
        assert!(!names(&[], &[], false, &v2).contains(&"CAP_MKNOD".to_owned()));
        assert!(names(&["MKNOD"], &[], false, &v2).contains(&"CAP_MKNOD".to_owned()));
        let filtered = Kernel {
            device_filter: true,
            ..v2
        };
        assert!(names(&[], &[], false, &filtered).contains(&"CAP_MKNOD".to_owned()));
    }

    #[test]
    fn gives_only_what_is_there() {
        let old = Kernel {
            capabilities: (1 << 38) - 1,
            ..kernel(CgroupVersion::V1)
        };
        assert_eq!(names(&["ALL"], &[], false, &old).len(), 38);
        let host = |word: &str| HostConfig {
            cap_add: vec![word.to_owned()],
            ..Default::default()
        };
        assert_eq!(
            kept(&host("BPF"), &old).unwrap_err().to_string(),
            "capability BPF is not supported by this kernel, or dray itself does not have it"
        );
        assert_eq!(
            kept(&host("FLY"), &old).unwrap_err().to_string(),
            "unknown capability \"FLY\""
        );
    }
}
