//! A device whose update module is a script, so that each state can be made to fail.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dray::config::Settings;
use dray::host::Host;
use dray::standalone::{self, Context, How, StandaloneError};
use serde_json::json;

use super::Scratch;
use super::device::run;

/// One test at a time: what another thread starts has, until it is another program, this one's locks.
static ALONE: Mutex<()> = Mutex::new(());

/// Waits for the other tests of this process.
pub fn alone() -> MutexGuard<'static, ()> {
    // A test that failed has said so.
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes each call with the stage on record, and fails or answers as the files beside it say.
const MODULE: &str = r#"#!/bin/sh
here=HERE
stage=$(sed -n 's/.*"stage": "\(.*\)".*/\1/p' $here/state/standalone/artifact.json)
echo "$1:$stage" >> $here/calls
case $1 in
ProvidePayloadFileSizes | SupportsRollback) answer=Yes ;;
NeedsArtifactReboot) answer=No ;;
*) answer= ;;
esac
[ ! -f $here/answer-$1 ] || answer=$(cat $here/answer-$1)
[ -z "$answer" ] || echo "$answer"
[ ! -f $here/run-$1 ] || . $here/run-$1
"#;

/// A device with a script for a module.
#[derive(Debug)]
pub struct Scripted {
    pub scratch: Scratch,
    pub host: Host,
    settings: Settings,
    module: PathBuf,
}

impl Scripted {
    /// One that was made with artifact "factory".
    pub fn new(name: &str) -> Scripted {
        let scratch = Scratch::new(name);
        let host = Host::at(scratch.path());
        std::fs::create_dir_all(&host.mender_data).unwrap();
        std::fs::create_dir_all(&host.mender).unwrap();
        std::fs::write(host.mender_data.join("device_type"), "device_type=qemu\n").unwrap();
        std::fs::write(host.mender.join("artifact_info"), "artifact_name=factory\n").unwrap();
        let module = scratch.join("module");
        let text = MODULE.replace("HERE", scratch.path().to_str().unwrap());
        script(&module, &text);
        Scripted {
            scratch,
            host,
            settings: Settings::default(),
            module,
        }
    }

    fn context<'a>(&'a self, say: &'a (dyn Fn(&str) + Sync)) -> Context<'a> {
        Context {
            host: &self.host,
            settings: &self.settings,
            module: &self.module,
            say,
        }
    }

    /// Does a word: `install FILE`, `commit`, `rollback`.
    pub fn word(&self, word: &str, artifact: &Path) -> Result<String, StandaloneError> {
        let (done, lines) = self.told(word, artifact);
        eprintln!("{}", lines.join("\n"));
        done
    }

    /// The same, and what it said meanwhile.
    pub fn told(
        &self,
        word: &str,
        artifact: &Path,
    ) -> (Result<String, StandaloneError>, Vec<String>) {
        let lines = Mutex::new(Vec::new());
        let say = |line: &str| lines.lock().unwrap().push(line.to_owned());
        let context = self.context(&say);
        let done = match word {
            "install" => {
                let file = std::fs::File::open(artifact).unwrap();
                standalone::install(&context, file, How::default())
            }
            "commit" => standalone::commit(&context),
            _ => standalone::rollback(&context),
        };
        (done, lines.into_inner().unwrap())
    }

    /// The calls so far, and forgets them.
    pub fn calls(&self) -> Vec<String> {
        let path = self.scratch.join("calls");
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let _ = std::fs::remove_file(&path);
        text.lines().map(str::to_owned).collect()
    }

    /// Name of the artifact that is installed.
    pub fn name(&self) -> String {
        standalone::provides(&self.host).unwrap().name().to_owned()
    }

    /// `KEY=VALUE` of what the device provides.
    pub fn provides(&self) -> Vec<String> {
        let provides = standalone::provides(&self.host).unwrap();
        provides
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect()
    }
}

/// Writes a program.
pub fn script(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
}

/// What mender-artifact makes of these words.
pub fn artifact(scratch: &Scratch, name: &str, words: &[&str]) -> PathBuf {
    let path = scratch.join(&format!("{name}.mender"));
    let meta_data = scratch.join("meta.json");
    std::fs::write(&meta_data, json!({"containers": ["a:1"]}).to_string()).unwrap();
    let mut all = vec![
        "write",
        "module-image",
        "-T",
        "docker",
        "-t",
        "qemu",
        "-n",
        name,
    ];
    all.extend([
        "-m",
        meta_data.to_str().unwrap(),
        "-o",
        path.to_str().unwrap(),
    ]);
    all.extend(words);
    run("mender-artifact", &all);
    path
}
