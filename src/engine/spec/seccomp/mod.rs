//! The system call filter: Docker's default profile or one of the user's, resolved for one machine, kernel and set of
//! capabilities into the runtime's form, which knows no conditions.

mod profile;
mod table;

use serde_json::{Value, json};

use super::{Kernel, SpecError};
use crate::runargs::security::Seccomp;
use table::{Compare, RULES, Rule};

/// EPERM, what an unlisted system call fails with.
const DENIED: u32 = 1;

/// What conditions look at.
struct Context<'a> {
    arch: &'static Arch,
    release: (u32, u32),
    /// Full names of the bounding set.
    capabilities: &'a [String],
}

impl Context<'_> {
    fn has(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|held| held == capability)
    }
}

/// A machine's names.
struct Arch {
    /// As `uname -m` says it.
    machine: &'static str,
    /// As libseccomp and Docker's profiles say it.
    name: &'static str,
    /// As the runtime says it.
    scmp: &'static str,
    /// Machines whose programs run here too.
    compatible: &'static [&'static str],
}

/// As in Docker's profile. Hardly a kernel has x32 any more, but without its row a program that asks for it is killed, where
/// it has to be told that there is no such call.
const ARCHES: [Arch; 7] = [
    Arch {
        machine: "x86_64",
        name: "amd64",
        scmp: "SCMP_ARCH_X86_64",
        compatible: &["SCMP_ARCH_X86", "SCMP_ARCH_X32"],
    },
    Arch {
        machine: "aarch64",
        name: "arm64",
        scmp: "SCMP_ARCH_AARCH64",
        compatible: &["SCMP_ARCH_ARM"],
    },
    Arch {
        machine: "armv8l",
        name: "arm",
        scmp: "SCMP_ARCH_ARM",
        compatible: &[],
    },
    Arch {
        machine: "armv7l",
        name: "arm",
        scmp: "SCMP_ARCH_ARM",
        compatible: &[],
    },
    Arch {
        machine: "armv6l",
        name: "arm",
        scmp: "SCMP_ARCH_ARM",
        compatible: &[],
    },
    Arch {
        machine: "i686",
        name: "x86",
        scmp: "SCMP_ARCH_X86",
        compatible: &[],
    },
    Arch {
        machine: "riscv64",
        name: "riscv64",
        scmp: "SCMP_ARCH_RISCV64",
        compatible: &[],
    },
];

/// A machine without a row: the filter still applies to its own system calls.
const OTHER: Arch = Arch {
    machine: "",
    name: "",
    scmp: "SCMP_ARCH_NATIVE",
    compatible: &[],
};

/// `linux.seccomp`; `None` is no filter.
pub(super) fn filter(
    wanted: &Seccomp,
    privileged: bool,
    kernel: &Kernel,
    capabilities: &[String],
) -> Result<Option<Value>, SpecError> {
    let arch = ARCHES
        .iter()
        .find(|arch| arch.machine == kernel.machine)
        .unwrap_or(&OTHER);
    let context = Context {
        arch,
        release: kernel.release,
        capabilities,
    };
    match wanted {
        Seccomp::Unconfined => Ok(None),
        Seccomp::Profile(_) | Seccomp::Builtin if !kernel.seccomp => Err(SpecError::SeccompMissing),
        Seccomp::Profile(text) => profile::resolve(text, &context),
        // Docker runs without the default profile where the kernel has no filters; small kernels are built so.
        Seccomp::Default if privileged || !kernel.seccomp => Ok(None),
        Seccomp::Default | Seccomp::Builtin => Ok(Some(default(&context))),
    }
}

fn default(context: &Context<'_>) -> Value {
    let rules: Vec<Value> = RULES
        .iter()
        .filter(|rule| applies(rule, context))
        .map(resolved)
        .collect();
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": DENIED,
        "architectures": architectures(context.arch),
        "syscalls": rules,
    })
}

fn architectures(arch: &Arch) -> Vec<&'static str> {
    std::iter::once(arch.scmp)
        .chain(arch.compatible.iter().copied())
        .collect()
}

fn applies(rule: &Rule, context: &Context<'_>) -> bool {
    (rule.arches.is_empty() || rule.arches.contains(&context.arch.name))
        && rule.with.is_none_or(|capability| context.has(capability))
        && rule
            .without
            .is_none_or(|capability| !context.has(capability))
        && rule.kernel.is_none_or(|release| context.release >= release)
}

fn resolved(rule: &Rule) -> Value {
    let names: Vec<&str> = rule.names.split_whitespace().collect();
    let mut value = match rule.errno {
        None => json!({ "names": names, "action": "SCMP_ACT_ALLOW" }),
        Some(errno) => json!({ "names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": errno }),
    };
    if let Some((index, compare)) = rule.argument {
        let (operator, operand) = match compare {
            Compare::Equals(operand) => ("SCMP_CMP_EQ", operand),
            Compare::Differs(operand) => ("SCMP_CMP_NE", operand),
            Compare::MaskedZero(mask) => ("SCMP_CMP_MASKED_EQ", mask),
        };
        // For a masked comparison `value` is the mask and `valueTwo` what has to remain.
        value["args"] =
            json!([{ "index": index, "value": operand, "valueTwo": 0, "op": operator }]);
    }
    value
}

#[cfg(test)]
mod tests {
    use super::super::CgroupVersion;
    use super::super::tests::kernel;
    use super::*;

    fn resolved_for(machine: &str, release: (u32, u32), capabilities: &[&str]) -> Value {
        let kernel = Kernel {
            machine: machine.to_owned(),
            release,
            ..kernel(CgroupVersion::V1)
        };
        let capabilities: Vec<String> = capabilities.iter().map(|c| (*c).to_owned()).collect();
        filter(&Seccomp::Default, false, &kernel, &capabilities)
            .unwrap()
            .unwrap()
    }

    fn rules<'a>(filter: &'a Value, call: &str) -> Vec<&'a Value> {
        let all = filter["syscalls"].as_array().unwrap();
        all.iter()
            .filter(|rule| {
                rule["names"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .any(|name| name == call)
            })
            .collect()
    }

    #[test]
    fn depends_on_capabilities() {
        let plain = resolved_for("x86_64", (6, 1), &[]);
        assert_eq!(plain["defaultAction"], "SCMP_ACT_ERRNO");
        assert_eq!(
            plain["architectures"],
            json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"])
        );
        for forbidden in [
            "mount",
            "reboot",
            "init_module",
            "bpf",
            "settimeofday",
            "keyctl",
            "io_uring_setup",
            "setns",
        ] {
            assert!(rules(&plain, forbidden).is_empty(), "{forbidden}");
        }
        assert_eq!(
            rules(&plain, "clone"),
            [&json!({
                "names": ["clone"], "action": "SCMP_ACT_ALLOW",
                "args": [{ "index": 0, "value": 0x7e02_0000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ" }],
            })]
        );
        assert_eq!(
            rules(&plain, "clone3"),
            [&json!({ "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38 })]
        );
        let admin = resolved_for("x86_64", (6, 1), &["CAP_SYS_ADMIN", "CAP_SYS_TIME"]);
        for allowed in ["mount", "clone", "clone3", "settimeofday", "setns"] {
            let rules = rules(&admin, allowed);
            assert_eq!(rules.len(), 1, "{allowed}");
            assert_eq!(rules[0].get("args"), None, "{allowed}");
        }
    }

    #[test]
    fn depends_on_machine_and_kernel() {
        assert_eq!(
            rules(&resolved_for("x86_64", (4, 7), &[]), "ptrace").len(),
            0
        );
        assert_eq!(
            rules(&resolved_for("x86_64", (4, 8), &[]), "ptrace").len(),
            1
        );
        assert_eq!(
            rules(&resolved_for("x86_64", (6, 1), &[]), "arch_prctl").len(),
            1
        );
        let arm = resolved_for("aarch64", (6, 1), &[]);
        assert_eq!(rules(&arm, "arch_prctl").len(), 0);
        assert_eq!(rules(&arm, "set_tls").len(), 1);
        assert_eq!(
            arm["architectures"],
            json!(["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"])
        );
        assert_eq!(
            resolved_for("armv7l", (6, 1), &[])["architectures"],
            json!(["SCMP_ARCH_ARM"])
        );
        assert_eq!(
            resolved_for("loongarch64", (6, 1), &[])["architectures"],
            json!(["SCMP_ARCH_NATIVE"])
        );
    }

    #[test]
    fn is_absent_where_docker_has_none() {
        let with = kernel(CgroupVersion::V1);
        let without = Kernel {
            seccomp: false,
            ..with.clone()
        };
        let custom = Seccomp::Profile("{\"defaultAction\":\"SCMP_ACT_ALLOW\"}".to_owned());
        assert_eq!(
            filter(&Seccomp::Unconfined, false, &with, &[]).unwrap(),
            None
        );
        assert_eq!(filter(&Seccomp::Default, true, &with, &[]).unwrap(), None);
        assert_eq!(
            filter(&Seccomp::Default, false, &without, &[]).unwrap(),
            None
        );
        assert!(filter(&custom, true, &with, &[]).unwrap().is_some());
        assert!(matches!(
            filter(&custom, false, &without, &[]),
            Err(SpecError::SeccompMissing)
        ));
    }
}
