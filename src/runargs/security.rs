//! `--security-opt`: what its words mean, for the parser that checks them and for the engine that applies them.

/// Which system call filter a container gets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Seccomp {
    /// Docker's default profile, or none for a privileged container.
    #[default]
    Default,
    /// Docker's default profile, asked for by name: also for a privileged container.
    Builtin,
    /// None.
    Unconfined,
    /// A profile in Docker's JSON format.
    Profile(String),
}

/// The meaning of all security options of one container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Security {
    /// Processes never gain privileges through set-user-id programs or file capabilities.
    pub no_new_privileges: bool,
    /// System call filter.
    pub seccomp: Seccomp,
    /// The control group mount is writable.
    pub writable_cgroups: bool,
}

/// Reads the options as they stand in `HostConfig.SecurityOpt`.
///
/// The error names the option and what can be done; Docker's own words where Docker refuses it too.
pub fn parse(options: &[String]) -> Result<Security, String> {
    let mut security = Security::default();
    for option in options {
        apply(&mut security, option)?;
    }
    Ok(security)
}

fn apply(security: &mut Security, option: &str) -> Result<(), String> {
    let invalid = || format!("Invalid --security-opt: {option:?}");
    let (key, value) = match option {
        "no-new-privileges" => ("no-new-privileges", "true"),
        "writable-cgroups" => ("writable-cgroups", "true"),
        _ => option
            .split_once('=')
            .or_else(|| option.split_once(':'))
            .ok_or_else(invalid)?,
    };
    match key {
        "no-new-privileges" => {
            security.no_new_privileges = super::value::boolean(value).map_err(|_| invalid())?;
        }
        "writable-cgroups" => {
            security.writable_cgroups = super::value::boolean(value).map_err(|_| invalid())?;
        }
        "seccomp" => {
            security.seccomp = match value {
                "unconfined" => Seccomp::Unconfined,
                "builtin" => Seccomp::Builtin,
                profile => Seccomp::Profile(profile.to_owned()),
            };
        }
        // No profile is ever loaded and no label ever set, so these two are what happens anyway.
        "apparmor" if value == "unconfined" => {}
        "label" if value == "disable" => {}
        "apparmor" => {
            return Err(format!(
                "security option apparmor={value} is not supported by dray: it loads no AppArmor profiles; \
                 only apparmor=unconfined is accepted"
            ));
        }
        "label" => {
            return Err(format!(
                "security option label={value} is not supported by dray: it sets no SELinux labels; \
                 only label=disable is accepted"
            ));
        }
        _ => return Err(invalid()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn understands_dockers_options() {
        let words = |text: &str| {
            text.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        for (options, expected) in [
            ("", Security::default()),
            (
                "no-new-privileges",
                Security {
                    no_new_privileges: true,
                    ..Default::default()
                },
            ),
            (
                "no-new-privileges:true",
                Security {
                    no_new_privileges: true,
                    ..Default::default()
                },
            ),
            (
                "no-new-privileges no-new-privileges=false",
                Security::default(),
            ),
            (
                "seccomp=unconfined",
                Security {
                    seccomp: Seccomp::Unconfined,
                    ..Default::default()
                },
            ),
            (
                "seccomp=builtin",
                Security {
                    seccomp: Seccomp::Builtin,
                    ..Default::default()
                },
            ),
            (
                "seccomp={\"defaultAction\":\"SCMP_ACT_ALLOW\"}",
                Security {
                    seccomp: Seccomp::Profile("{\"defaultAction\":\"SCMP_ACT_ALLOW\"}".to_owned()),
                    ..Default::default()
                },
            ),
            (
                "apparmor=unconfined label=disable label:disable",
                Security::default(),
            ),
            (
                "writable-cgroups=true",
                Security {
                    writable_cgroups: true,
                    ..Default::default()
                },
            ),
        ] {
            assert_eq!(parse(&words(options)).unwrap(), expected, "{options}");
        }
        for option in [
            "apparmor=docker-default",
            "label=type:spc_t",
            "no-new-privileges=perhaps",
            "systempaths=none",
            "x",
        ] {
            let refused = parse(&words(option)).unwrap_err();
            assert!(
                refused.contains(option.split('=').next().unwrap()),
                "{refused}"
            );
        }
    }
}
