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
use crate::deploy::state::State;
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
    desk.end_what_is_over()?;
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
        how,
        device_type: &device_type,
        provides: &provides,
        call: None,
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
    let pending = desk.pending();
    Ok(pending.map_or_else(String::new, |pending| pending.artifact.clone()))
}

/// The state in which the artifact is read.
struct Download<'d, 'a> {
    desk: &'d mut Desk<'a>,
    how: How,
    device_type: &'d str,
    provides: &'d Provides,
    call: Option<Call>,
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
            call.finish()?;
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
        let foreign = deploy::undecided(self.desk.context.host, &scope)?;
        if let Some((state, foreign)) = foreign
            && state != State::Committed
            && !self.how.replace_trial
        {
            let artifact = foreign.artifact;
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
            return Err(io::Error::other("it was not begun"));
        };
        let mut feed = Feed {
            tree: &self.desk.tree,
            call,
        };
        match feed.file(&file.name, file.size, content) {
            Ok(()) => Ok(()),
            // The reader knows better what is wrong with it.
            Err(Stop::Content(error)) => Err(error),
            Err(Stop::Module(error)) => self.noted(Err(error.into())),
        }
    }
}
