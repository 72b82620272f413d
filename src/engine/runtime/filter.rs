//! The system call filter as the kernel takes it. libcontainer would compile it in each start, which is the longest single
//! step of one (8 ms); here it is compiled once after each boot and lies beside the other volatile state.
//!
//! ```text
//! filters/<SHA-256 of our version and the filter's JSON>    struct sock_filter[], as the kernel takes it
//! ```

use std::fs::OpenOptions;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use libseccomp::{
    ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::sys::fs;
use crate::sys::seccomp::Flags;

/// Filters that are kept; a device has one or two, and profiles that change for ever must not fill its memory.
const MAX_KEPT: usize = 32;

/// EPERM, what a refused system call fails with unless the profile says otherwise.
const DENIED: u32 = 1;

/// `linux.seccomp` of the runtime specification.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Filter {
    default_action: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    default_errno_ret: Option<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    architectures: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    flags: Option<Vec<String>>,
    #[serde(default)]
    syscalls: Vec<Rule>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    names: Vec<String>,
    action: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    errno_ret: Option<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    args: Vec<Argument>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Argument {
    index: u32,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

impl Filter {
    /// The filter's program; compiled if `folder` does not hold it yet.
    pub fn program(&self, folder: &Path) -> Result<Vec<u8>, String> {
        let path = folder.join(self.key());
        let in_folder = |error: io::Error| format!("filters in {}: {error}", folder.display());
        match std::fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            read => return read.map_err(in_folder),
        }
        let context = self.compile()?;
        let scratch = make_room(folder, &path).map_err(in_folder)?;
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create_new(true);
        let mut file = options.open(&scratch).map_err(in_folder)?;
        context.export_bpf(&file).map_err(failed("export"))?;
        // Whoever compiled the same meanwhile has the same bytes.
        fs::publish(&scratch, &path).map_err(in_folder)?;
        let mut program = Vec::new();
        file.rewind().map_err(in_folder)?;
        file.read_to_end(&mut program).map_err(in_folder)?;
        Ok(program)
    }

    /// What the kernel is asked for besides.
    pub fn flags(&self) -> Result<Flags, String> {
        let mut flags = Flags::default();
        for name in self.flags.iter().flatten() {
            let flag = Flags::named(name);
            flags = flags.with(flag.ok_or_else(|| {
                format!("seccomp flag {name} is not supported; take it out of the profile")
            })?);
        }
        Ok(flags)
    }

    fn key(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(env!("CARGO_PKG_VERSION"));
        hash.update(serde_json::to_vec(self).unwrap_or_default());
        format!("{:x}", hash.finalize())
    }

    fn compile(&self) -> Result<ScmpFilterContext, String> {
        let default = action(&self.default_action, self.default_errno_ret)?;
        let mut context = ScmpFilterContext::new(default).map_err(failed("begin"))?;
        for name in &self.architectures {
            let arch = ScmpArch::from_str(name).map_err(failed(name))?;
            context.add_arch(arch).map_err(failed(name))?;
        }
        for rule in &self.syscalls {
            let action = action(&rule.action, rule.errno_ret)?;
            // libseccomp refuses a rule that changes nothing.
            if action != default {
                rule.add(&mut context, action)?;
            }
        }
        Ok(context)
    }
}

impl Rule {
    fn add(&self, context: &mut ScmpFilterContext, action: ScmpAction) -> Result<(), String> {
        let arguments: Vec<ScmpArgCompare> = self
            .args
            .iter()
            .map(Argument::compare)
            .collect::<Result<_, _>>()?;
        let mut indexes: Vec<u32> = self.args.iter().map(|argument| argument.index).collect();
        indexes.sort_unstable();
        indexes.dedup();
        for name in &self.names {
            // What this libseccomp has no name for, this machine's kernel hardly has either; runc skips it too.
            let Ok(call) = ScmpSyscall::from_name(name) else {
                continue;
            };
            if indexes.len() == arguments.len() {
                context
                    .add_rule_conditional(action, call, &arguments)
                    .map_err(failed(name))?;
                continue;
            }
            // libseccomp compares an argument once in a rule; as in runc, any of several comparisons is enough then.
            for argument in &arguments {
                context
                    .add_rule_conditional(action, call, &[*argument])
                    .map_err(failed(name))?;
            }
        }
        Ok(())
    }
}

impl Argument {
    fn compare(&self) -> Result<ScmpArgCompare, String> {
        // For a masked comparison `value` is the mask and `valueTwo` what has to remain.
        let (operator, datum) = match self.op.as_str() {
            "SCMP_CMP_NE" => (ScmpCompareOp::NotEqual, self.value),
            "SCMP_CMP_LT" => (ScmpCompareOp::Less, self.value),
            "SCMP_CMP_LE" => (ScmpCompareOp::LessOrEqual, self.value),
            "SCMP_CMP_EQ" => (ScmpCompareOp::Equal, self.value),
            "SCMP_CMP_GE" => (ScmpCompareOp::GreaterEqual, self.value),
            "SCMP_CMP_GT" => (ScmpCompareOp::Greater, self.value),
            "SCMP_CMP_MASKED_EQ" => (ScmpCompareOp::MaskedEqual(self.value), self.value_two),
            other => return Err(format!("seccomp profile: unknown comparison {other:?}")),
        };
        Ok(ScmpArgCompare::new(self.index, operator, datum))
    }
}

fn action(name: &str, errno: Option<u32>) -> Result<ScmpAction, String> {
    if name == "SCMP_ACT_NOTIFY" {
        return Err(format!(
            "seccomp profile: {name} is not supported, because nobody would answer; use SCMP_ACT_ERRNO"
        ));
    }
    let value = i32::try_from(errno.unwrap_or(DENIED)).map_err(|error| error.to_string());
    ScmpAction::from_str(name, Some(value?))
        .map_err(|_| format!("seccomp profile: unknown action {name:?}"))
}

fn failed(what: &str) -> impl Fn(libseccomp::error::SeccompError) -> String {
    move |error| format!("seccomp profile: {what}: {error}")
}

/// Where a filter that becomes `path` can be written.
fn make_room(folder: &Path, path: &Path) -> io::Result<PathBuf> {
    if std::fs::read_dir(folder).is_ok_and(|kept| kept.count() >= MAX_KEPT) {
        fs::remove_tree(folder)?;
    }
    fs::create_dirs(folder)?;
    Ok(fs::scratch_beside(path))
}
