//! A seccomp profile in Docker's JSON format: the runtime's format plus conditions and a map of architectures.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::SpecError;
use super::Context;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    #[serde(default)]
    default_action: String,
    #[serde(default)]
    arch_map: Vec<ArchMap>,
    #[serde(default)]
    architectures: Vec<String>,
    #[serde(default)]
    syscalls: Vec<Call>,
    /// `defaultErrnoRet`, `flags` and what else the runtime understands.
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
struct ArchMap {
    architecture: String,
    #[serde(rename = "subArchitectures", default)]
    compatible: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
struct Call {
    #[serde(default)]
    name: String,
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    includes: Option<Condition>,
    #[serde(default)]
    excludes: Option<Condition>,
    /// `action`, `errnoRet`, `args`.
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Condition {
    caps: Vec<String>,
    arches: Vec<String>,
    min_kernel: Option<String>,
}

/// The filter that the profile means here; `None` for an empty profile, which Docker takes for no filter.
pub(super) fn resolve(text: &str, context: &Context<'_>) -> Result<Option<Value>, SpecError> {
    let profile: Profile = serde_json::from_str(text)?;
    if profile.default_action.is_empty() && profile.syscalls.is_empty() {
        return Ok(None);
    }
    if !profile.architectures.is_empty() && !profile.arch_map.is_empty() {
        return Err(SpecError::SeccompContent(
            "it has both \"architectures\" and \"archMap\"; use one of them".to_owned(),
        ));
    }
    let mut architectures = profile.architectures;
    if let Some(row) = profile
        .arch_map
        .into_iter()
        .find(|row| row.architecture == context.arch.scmp)
    {
        architectures.push(row.architecture);
        architectures.extend(row.compatible.unwrap_or_default());
    }
    let mut calls = Vec::new();
    for call in profile.syscalls {
        calls.extend(resolved(call, context)?);
    }
    let mut filter = profile.rest;
    filter.remove("comment");
    filter.insert("defaultAction".to_owned(), json!(profile.default_action));
    if !architectures.is_empty() {
        filter.insert("architectures".to_owned(), json!(architectures));
    }
    filter.insert("syscalls".to_owned(), json!(calls));
    Ok(Some(Value::Object(filter)))
}

fn resolved(call: Call, context: &Context<'_>) -> Result<Option<Value>, SpecError> {
    let mut names = call.names;
    if !call.name.is_empty() {
        if !names.is_empty() {
            return Err(SpecError::SeccompContent(format!(
                "the rule for {:?} has both \"name\" and \"names\"; use one of them",
                call.name
            )));
        }
        names = vec![call.name];
    }
    let excluded = match &call.excludes {
        Some(condition) => excludes(condition, context)?,
        None => false,
    };
    let included = match &call.includes {
        Some(condition) => includes(condition, context)?,
        None => true,
    };
    if excluded || !included {
        return Ok(None);
    }
    let mut rule = call.rest;
    rule.remove("comment");
    rule.insert("names".to_owned(), json!(names));
    if rule.get("args").is_some_and(Value::is_null) {
        rule.remove("args");
    }
    Ok(Some(Value::Object(rule)))
}

/// Any of the conditions is enough.
fn excludes(condition: &Condition, context: &Context<'_>) -> Result<bool, SpecError> {
    let kernel = match &condition.min_kernel {
        Some(release) => context.release >= parse_release(release)?,
        None => false,
    };
    Ok(kernel
        || condition
            .arches
            .iter()
            .any(|arch| arch == context.arch.name)
        || condition
            .caps
            .iter()
            .any(|capability| context.has(capability)))
}

/// All of the conditions have to hold.
fn includes(condition: &Condition, context: &Context<'_>) -> Result<bool, SpecError> {
    let kernel = match &condition.min_kernel {
        Some(release) => context.release >= parse_release(release)?,
        None => true,
    };
    let arches = &condition.arches;
    Ok(kernel
        && (arches.is_empty() || arches.iter().any(|arch| arch == context.arch.name))
        && condition
            .caps
            .iter()
            .all(|capability| context.has(capability)))
}

fn parse_release(text: &str) -> Result<(u32, u32), SpecError> {
    text.split_once('.')
        .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)))
        .ok_or_else(|| {
            SpecError::SeccompContent(format!("kernel version {text:?} is not <major>.<minor>"))
        })
}

#[cfg(test)]
mod tests {
    use super::super::ARCHES;
    use super::*;

    fn context(capabilities: &[String]) -> Context<'_> {
        Context {
            arch: &ARCHES[0],
            release: (5, 10),
            capabilities,
        }
    }

    #[test]
    fn resolves_conditions_and_architectures() {
        let text = r#"{
            "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "comment": "x",
            "archMap": [
                { "architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"] },
                { "architecture": "SCMP_ARCH_X86_64", "subArchitectures": null }
            ],
            "syscalls": [
                { "names": ["read", "write"], "action": "SCMP_ACT_ALLOW", "args": null, "comment": "y" },
                { "name": "mount", "action": "SCMP_ACT_ALLOW", "includes": { "caps": ["CAP_SYS_ADMIN"] } },
                { "names": ["a"], "action": "SCMP_ACT_ALLOW", "includes": { "arches": ["arm64"] } },
                { "names": ["b"], "action": "SCMP_ACT_ALLOW", "includes": { "minKernel": "5.11" } },
                { "names": ["c"], "action": "SCMP_ACT_ALLOW", "excludes": { "caps": ["CAP_SYS_ADMIN"] } },
                { "names": ["d"], "action": "SCMP_ACT_ALLOW", "excludes": { "minKernel": "5.10" }, "includes": {} }
            ]
        }"#;
        let capabilities = ["CAP_SYS_ADMIN".to_owned()];
        assert_eq!(
            resolve(text, &context(&capabilities)).unwrap().unwrap(),
            json!({
                "defaultAction": "SCMP_ACT_ERRNO",
                "defaultErrnoRet": 38,
                "architectures": ["SCMP_ARCH_X86_64"],
                "syscalls": [
                    { "names": ["read", "write"], "action": "SCMP_ACT_ALLOW" },
                    { "names": ["mount"], "action": "SCMP_ACT_ALLOW" },
                ],
            })
        );
        assert_eq!(resolve("{}", &context(&[])).unwrap(), None);
    }

    #[test]
    fn refuses_contradictions() {
        for (text, part) in [
            ("[]", "failed to parse seccomp profile: "),
            (
                r#"{"defaultAction":"A","architectures":["x"],"archMap":[{"architecture":"y"}]}"#,
                "both \"architectures\" and \"archMap\"",
            ),
            (
                r#"{"defaultAction":"A","syscalls":[{"name":"x","names":["y"]}]}"#,
                "both \"name\" and \"names\"",
            ),
            (
                r#"{"defaultAction":"A","syscalls":[{"name":"x","includes":{"minKernel":"new"}}]}"#,
                "\"new\" is not <major>.<minor>",
            ),
        ] {
            let refused = resolve(text, &context(&[])).unwrap_err().to_string();
            assert!(refused.contains(part), "{refused}");
        }
    }
}
