//! `dray install`: an artifact is read once, from front to back, and nothing that it asks for counts before all of it was
//! found to be good.

use std::io::{self, Read};

use super::Context;
use super::call::{Call, CallError};
use super::decide::back;
use super::desk::Desk;
use super::device::{self, Mender};
use super::error::StandaloneError;
use super::provides::Provides;
use super::record::{Pending, Stage};
use super::stream::{Feed, Stop};
use super::tree::{self, About};
use super::watched::Course;
use crate::artifact::header::PAYLOAD_TYPE;
use crate::artifact::reader::{self, FileHead, Head, PayloadHead, ReadError, Taker, Trust};
use crate::deploy;
use crate::deploy::inbox::Inbox;
use crate::deploy::journal::Record;
use crate::sys::terminate;

/// What a person may say besides which artifact.
#[derive(Debug, Clone, Copy, Default)]
pub struct How {
    /// Go on where a Mender client's deployment is on trial.
    pub replace_trial: bool,
}

/// Installs an artifact; it runs afterwards, and waits for `commit` or `rollback`. Returns its name.
pub fn install(
    context: &Context<'_>,
    source: impl Read,
    how: How,
) -> Result<String, StandaloneError> {
    let mut desk = Desk::open(context, "install")?;
    desk.replaces_trial = how.replace_trial;
    match desk.end_what_is_over() {
        // Said, and in nobody's way.
        Err(incomplete @ StandaloneError::Incomplete(_)) => desk.say(&incomplete.to_string()),
        ended => drop(ended?),
    }
    match desk.be_the_last("decide about") {
        // It stands in nobody's way.
        Err(superseded @ StandaloneError::Superseded { .. }) => desk.say(&superseded.to_string()),
        checked => checked?,
    }
    if let Some(pending) = desk.pending() {
        return Err(StandaloneError::InProgress(pending.to_string()));
    }
    let mender = Mender::load(context.host)?;
    let device_type = device::device_type(context.host, context.settings, &mender)?;
    let keys = device::keys(context.settings, &mender)?;
    let trust = match keys.is_empty() {
        true => Trust::Ignored,
        false => Trust::Required(&keys),
    };
    let provides = super::provides(context.host)?;
    desk.clear()?;
    let mut download = Download {
        desk: &mut desk,
        device_type: &device_type,
        provides: &provides,
        call: None,
        takes_files: false,
        failure: None,
    };
    let read = reader::read(source, trust, &mut download);
    let downloaded = download.end(read);
    let downloaded = downloaded.and_then(|()| desk.scripts("Download_Leave"));
    if let Err(error) = downloaded {
        if desk.pending().is_some() {
            desk.all_scripts("Download_Error");
        }
        // Where that fails the next word goes on with it.
        if let Err(further) = desk.drop_what_came() {
            desk.say(&further.to_string());
        }
        return Err(error);
    }
    match switch(&mut desk) {
        Ok(artifact) => Ok(artifact),
        Err(superseded @ StandaloneError::Superseded { .. }) => Err(superseded),
        Err(error) => Err(back(&mut desk, error)),
    }
}

/// Everything was read and found good: now what runs is replaced.
fn switch(desk: &mut Desk<'_>) -> Result<String, StandaloneError> {
    desk.enter(Stage::ArtifactInstall)?;
    let installed = desk
        .scripts("ArtifactInstall_Enter")
        .and_then(|()| Ok(desk.run("ArtifactInstall", Course::Forward)?))
        .and_then(|()| desk.scripts("ArtifactInstall_Leave"));
    if installed.is_err() {
        desk.all_scripts("ArtifactInstall_Error");
    }
    installed?;
    desk.ask("NeedsArtifactReboot", "No")?;
    desk.ask("SupportsRollback", "Yes")?;
    if terminate::requested() {
        return Err(StandaloneError::Aborted);
    }
    desk.enter(Stage::Installed)?;
    // What scripts waited for may have been long.
    desk.be_the_last("decide about")?;
    let pending = desk.pending();
    Ok(pending.map_or_else(String::new, |pending| pending.artifact.clone()))
}

/// The state in which the artifact is read.
struct Download<'d, 'a> {
    desk: &'d mut Desk<'a>,
    device_type: &'d str,
    provides: &'d Provides,
    call: Option<Call>,
    /// Whether the module has asked for one.
    takes_files: bool,
    /// Why the reading ended, when it was not because of the artifact.
    failure: Option<StandaloneError>,
}

impl Download<'_, '_> {
    /// What came of reading, and of the module's own work meanwhile.
    fn end(mut self, read: Result<Head, ReadError>) -> Result<(), StandaloneError> {
        let read = match (read, self.failure.take()) {
            (_, Some(failure)) => Err(failure),
            (Err(error), None) => Err(StandaloneError::Artifact(error)),
            (Ok(_), None) => Ok(()),
        };
        let Some(mut call) = self.call.take() else {
            return read;
        };
        let Err(error) = read else {
            let tree = &self.desk.tree;
            let mut feed = Feed {
                tree,
                call: &mut call,
            };
            // Waited for in any case.
            let told = feed.end();
            call.finish(&|| ())?;
            told?;
            return match terminate::requested() {
                true => Err(StandaloneError::Aborted),
                false => Ok(()),
            };
        };
        match call.end()? {
            // It gave up before we did, and said why.
            Some(status) if !status.success() => Err(CallError::Failed {
                state: DOWNLOAD,
                status,
            }
            .into()),
            _ if terminate::requested() => Err(StandaloneError::Aborted),
            _ => Err(error),
        }
    }

    fn begin(&mut self, head: &Head) -> Result<(), StandaloneError> {
        let payload = check(head)?;
        self.provides
            .meet(head, self.device_type)
            .map_err(|unmet| StandaloneError::Unmet {
                artifact: head.artifact_name.clone(),
                unmet,
            })?;
        let about = About {
            provides: self.provides,
            device_type: self.device_type,
        };
        let request = tree::make(&self.desk.tree, head, payload, &about)?;
        let scope = Inbox::read(&self.desk.tree).scope().to_owned();
        // Before anything is begun; `Download` looks again, under the scope's lock.
        let record = deploy::recorded(self.desk.context.host, &scope)?;
        let trial = record.as_ref().and_then(Record::on_trial);
        if let Some(trial) = trial.filter(|_| !self.desk.replaces_trial) {
            let artifact = trial.artifact.clone();
            return Err(StandaloneError::ForeignTrial { artifact, scope });
        }
        let pending = Pending {
            artifact: head.artifact_name.clone(),
            scope,
            request,
            stage: Stage::Download,
            provides: self.provides.after(head, payload),
        };
        self.desk
            .store
            .update(|record| record.pending = Some(pending))?;
        self.desk.scripts("Download_Enter")?;
        self.desk.ask("ProvidePayloadFileSizes", "Yes")?;
        self.call = Some(self.desk.start(DOWNLOAD, Course::Forward)?);
        Ok(())
    }

    /// The module ended without asking for payload files: they are none of its own, and their checksums are looked at here.
    fn left_alone(&mut self, file: &str) -> Result<(), StandaloneError> {
        if let Some(call) = self.call.take() {
            call.finish(&|| ())?;
        }
        self.desk.say(&format!(
            "payload file {file:?} and what follows it is not for dray's module, and not kept"
        ));
        Ok(())
    }

    fn noted<T>(&mut self, result: Result<T, StandaloneError>) -> io::Result<T> {
        result.map_err(|error| {
            self.failure = Some(error);
            io::Error::other("it is not taken")
        })
    }
}

/// Named so because the module is told how large each payload file is.
const DOWNLOAD: &str = "DownloadWithFileSizes";

/// What can be installed: one payload of our module.
fn check(head: &Head) -> Result<&PayloadHead, StandaloneError> {
    let refuse = |problem: String| StandaloneError::Kind {
        artifact: head.artifact_name.clone(),
        problem,
    };
    let payload = match head.payloads.as_slice() {
        [payload] => payload,
        several => {
            return Err(refuse(format!(
                "it has {} payloads, where one is taken",
                several.len()
            )));
        }
    };
    check_texts(head, payload).map_err(|problem| refuse(problem.to_owned()))?;
    match payload.kind.as_deref() {
        Some(PAYLOAD_TYPE) => Ok(payload),
        Some(other) => Err(refuse(format!(
            "its payload is of type {other:?}, and dray installs containers, type {PAYLOAD_TYPE:?}: other types need a Mender client and their update module"
        ))),
        None => Err(refuse(
            "it has no payload: it only says what a device was made with".to_owned(),
        )),
    }
}

/// Longest name of an artifact; Mender's own limit.
const MAX_NAME: usize = 256;

/// Texts that are shown, compared and handed on as lines.
fn check_texts(head: &Head, payload: &PayloadHead) -> Result<(), &'static str> {
    let is_line = |text: &str| !text.chars().any(char::is_control);
    let provides = payload.provides.iter();
    let mut texts = provides
        .flat_map(|(key, value)| [key.as_str(), value.as_str()])
        .chain(head.group.as_deref());
    match head.artifact_name.as_str() {
        name if name.len() > MAX_NAME => Err("its name has more than 256 bytes"),
        name if name != name.trim() => Err("its name has white space at an end"),
        name if !is_line(name) => Err("its name has control characters in it"),
        _ if !texts.all(is_line) => Err("what it provides has control characters in it"),
        _ => Ok(()),
    }
}

impl Taker for Download<'_, '_> {
    fn script(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        let added = self.desk.add_script(name, content);
        self.noted(added)
    }

    fn head(&mut self, head: &Head) -> io::Result<()> {
        let begun = self.begin(head);
        self.noted(begun)
    }

    fn file(&mut self, _: usize, file: &FileHead, content: &mut dyn Read) -> io::Result<()> {
        let Some(call) = &mut self.call else {
            // The module has what it wanted.
            return Ok(());
        };
        let mut feed = Feed {
            tree: &self.desk.tree,
            call,
        };
        match feed.file(&file.name, file.size, content) {
            Ok(()) => {
                self.takes_files = true;
                Ok(())
            }
            // The reader knows better what is wrong with it.
            Err(Stop::Content(error)) => Err(error),
            Err(Stop::Module(CallError::NotTaken { file })) if !self.takes_files => {
                let left = self.left_alone(&file);
                self.noted(left)
            }
            Err(Stop::Module(error)) => self.noted(Err(error.into())),
        }
    }
}
