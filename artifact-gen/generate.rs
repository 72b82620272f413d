//! From the request to the file.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::rc::Rc;

use dray::artifact::payload::Payload;
use dray::artifact::reader::Trust;
use dray::artifact::writer::{self, Artifact, Foretold, PayloadFile, WriteError};
use dray::config::Settings;
use dray::host::Host;
use dray::oci::stream::StreamError;
use dray::registry::Client;

use crate::args::{Format, Request};
use crate::compose::{self, Resolved};
use crate::embed::Cargo;
use crate::output::Target;
use crate::progress::{Meter, Progress};
use crate::refusal::Refusal;
use crate::show::{self, Contents};
use crate::size::Size;
use crate::summary::{self, Made};

/// What goes into the artifact.
struct Work<'a> {
    request: &'a Request,
    images: Vec<Resolved>,
    payload: Payload,
    /// The images themselves, if they travel.
    cargo: Option<Cargo>,
    progress: Progress,
    /// Whether what failed may succeed when it is begun once more.
    may_go_again: Cell<bool>,
}

/// Checks everything that needs no network, asks the registries, writes the file; returns what to print.
pub fn generate(request: &Request, host: &Host) -> Result<String, Refusal> {
    for warning in compose::check(request)? {
        eprintln!("Warning: --run-args: {warning}");
    }
    for warning in &request.warnings {
        eprintln!("Warning: {warning}");
    }
    let target = Target::check(&request.output, host)?;
    let work = Work::prepare(request, host)?;
    for warning in compose::moved_tags(&work.images) {
        eprintln!("Warning: {warning}");
    }
    if let Some(cargo) = &work.cargo {
        // Known before a byte of a layer comes, and without asking who signs.
        let size = work.foretell(None)?.size;
        check_size(request, size.map(Size), false)?;
        if request.is_dry_run {
            return work.foretold(cargo);
        }
    }
    work.progress
        .say(format_args!("Writing {}", request.output.display()));
    let draft = loop {
        match target.draft(|file| work.write(file)) {
            // A mirror had wrong bytes: the registry itself is asked for them now.
            Err(_) if work.may_go_again.take() => {}
            drawn => break drawn?,
        }
    };
    check_size(request, Some(Size(draft.size)), true)?;
    // What was written is what is shown, and only if it reads as it should.
    let contents = Contents::read(BufReader::new(draft.content()?), Trust::Ignored);
    let contents = contents.map_err(|refused| Refusal::Output(refused.to_string()))?;
    let text = work.shown(
        &contents,
        Made {
            size: Some(draft.size),
            digest: Some(draft.digest),
        },
    );
    if !request.is_dry_run {
        draft.publish()?;
    }
    Ok(text)
}

impl Work<'_> {
    fn prepare<'a>(request: &'a Request, host: &Host) -> Result<Work<'a>, Refusal> {
        let settings = Settings::load(host).map_err(Refusal::usage)?;
        let progress = Progress::new(request.shows_progress);
        let client = Client::new(host, &settings);
        progress.say(format_args!("Asking the registries"));
        let (images, payload, cargo) = match request.is_embedded {
            false => {
                let images =
                    compose::resolve(&request.images, &request.platforms, &client, &progress)?;
                let pinned = images.iter().map(|image| image.pinned.clone()).collect();
                (images, Payload::shared(pinned, &request.run_args), None)
            }
            true => {
                let cargo = Cargo::plan(request, &client, host, &progress)?;
                let payload = cargo.request(&request.run_args);
                (cargo.images.clone(), payload, Some(cargo))
            }
        };
        Ok(Work {
            request,
            images,
            payload,
            cargo,
            progress,
            may_go_again: Cell::default(),
        })
    }

    /// Describes the artifact to `act`; its files are opened when they are needed.
    fn describe<T>(
        &self,
        meter: &Rc<Meter>,
        act: impl FnOnce(&Artifact<'_>) -> Result<T, WriteError>,
    ) -> Result<T, Refusal> {
        type Open<'a> = Box<dyn Fn() -> io::Result<Box<dyn Read>> + 'a>;
        let mut openers: Vec<Open<'_>> = Vec::new();
        let mut heads = Vec::new();
        for file in &self.request.files {
            heads.push((&file.name, file.digest, file.size));
            openers.push(Box::new(|| file.open()));
        }
        for part in self.cargo.iter().flat_map(|cargo| &cargo.files) {
            heads.push((&part.name, part.digest, part.size));
            openers.push(Box::new(|| {
                let content = part.open()?;
                Ok(match part.image() {
                    Some(_) => meter.counted(content),
                    None => content,
                })
            }));
        }
        let files = heads.into_iter().zip(&openers);
        let files: Vec<PayloadFile<'_>> = files
            .map(|((name, digest, size), open)| PayloadFile {
                name: name.clone(),
                digest,
                size,
                open,
            })
            .collect();
        let artifact = Artifact {
            header: &self.request.header,
            payload: &self.payload,
            scripts: &self.request.scripts,
            files: &files,
            options: self.request.options,
        };
        act(&artifact).map_err(|error| self.refused(error))
    }

    fn write(&self, file: &mut File) -> Result<(), Refusal> {
        let total = self.cargo.as_ref().map_or(0, Cargo::layer_bytes);
        let meter = self.progress.meter(total);
        let sign = self.signer();
        let sign = sign.as_ref().map(|sign| sign as writer::Sign<'_>);
        self.describe(&meter, |artifact| {
            writer::write_signed(file, artifact, sign)
        })
    }

    fn foretell(&self, sign: Option<writer::Sign<'_>>) -> Result<Foretold, Refusal> {
        let meter = self.progress.meter(0);
        self.describe(&meter, |artifact| writer::foretell(artifact, sign))
    }

    /// Who signs; a dry run asks nobody else.
    fn signer(&self) -> Option<impl Fn(&[u8]) -> io::Result<String>> {
        let Request {
            signer, is_dry_run, ..
        } = self.request;
        let signer = signer.as_ref();
        let signer = signer.filter(|signer| !(*is_dry_run && signer.asks_others()));
        signer.map(|signer| |manifest: &[u8]| signer.sign(manifest))
    }

    /// What is printed about images of which no layer has been fetched.
    fn foretold(&self, cargo: &Cargo) -> Result<String, Refusal> {
        let sign = self.signer();
        let foretold = self.foretell(sign.as_ref().map(|sign| sign as writer::Sign<'_>))?;
        check_size(self.request, foretold.size.map(Size), true)?;
        let mtime = i64::try_from(self.request.options.mtime).unwrap_or_default();
        let contents = Contents::foretold(&foretold.front, cargo, mtime);
        let contents = contents.map_err(|refused| Refusal::Output(refused.to_string()))?;
        let made = Made {
            size: foretold.size,
            digest: None,
        };
        Ok(self.shown(&contents, made))
    }

    fn shown(&self, contents: &Contents, made: Made) -> String {
        let (request, cargo) = (self.request, self.cargo.as_ref());
        match request.format {
            Format::Text => text(request, contents, cargo, made),
            Format::Json => summary::json(request, &self.images, cargo, made),
        }
    }

    fn refused(&self, error: WriteError) -> Refusal {
        match error {
            WriteError::File { name, source } => {
                let parts = self.cargo.iter().flat_map(|cargo| &cargo.files);
                let part = parts.into_iter().find(|part| part.name == name);
                match part.and_then(|part| Some((part.image()?, part.digest))) {
                    Some((image, digest)) => {
                        let is_wrong = source
                            .get_ref()
                            .is_some_and(|error| error.is::<StreamError>());
                        self.may_go_again.set(is_wrong && image.distrust(&digest));
                        image.refused(&format!("layer {digest}: {source}"))
                    }
                    None => Refusal::Output(WriteError::File { name, source }.to_string()),
                }
            }
            WriteError::Output(_) => Refusal::Output(error.to_string()),
            error => Refusal::usage(error),
        }
    }
}

/// Upstream's last line, and what its call of `mender-artifact read` prints after it; with images inside their sum.
fn text(request: &Request, contents: &Contents, cargo: Option<&Cargo>, made: Made) -> String {
    let what = match request.is_dry_run {
        false => "generated successfully",
        true => "was not written, this is a dry run",
    };
    let (shown, text) = (request.output.display(), show::text(contents));
    let mut text = format!("Artifact {shown} {what}:\n{text}");
    if let Some(cargo) = cargo {
        text += &match made.size {
            Some(size) => format!("Artifact size: {size} bytes ({})\n", Size(size)),
            None => "Artifact size: as --compression will make it\n".to_owned(),
        };
        if !request.assumed.is_empty() {
            let (layers, bytes) = (cargo.left_out.len(), cargo.left_out_bytes());
            text += &format!(
                "Left out: {layers} layers, {bytes} bytes ({})\n",
                Size(bytes)
            );
        }
    }
    text
}

/// mender-artifact's two limits, with its words.
fn check_size(request: &Request, size: Option<Size>, warns: bool) -> Result<(), Refusal> {
    let Some(size) = size else {
        return Ok(());
    };
    if let Some(limit) = request.max_size.filter(|limit| size > *limit) {
        let (size, limit) = apart(size, limit);
        return Err(Refusal::Output(format!(
            "Artifact size {size} exceeds maximum allowed size {limit}; no file was written"
        )));
    }
    if let Some(limit) = request.warn_size.filter(|limit| warns && size > *limit) {
        let (size, limit) = apart(size, limit);
        eprintln!("Warning: Artifact size {size} exceeds specified limit {limit}");
    }
    Ok(())
}

/// Two sizes as text, to the byte where they would look the same.
fn apart(size: Size, limit: Size) -> (String, String) {
    match (size.to_string(), limit.to_string()) {
        (one, other) if one == other => (format!("{} B", size.0), format!("{} B", limit.0)),
        both => both,
    }
}
