//! A request as the document that goes into an artifact: minified, keys in upstream's order, `dray` only where needed.

use serde::Serialize;

use super::{Carried, DEFAULT_SCOPE, Health, Payload, Service, VERSION};
use crate::oci::{Digest, Reference};

#[derive(Serialize)]
struct Document<'a> {
    containers: Vec<String>,
    /// Written even when empty, as upstream does.
    run_args: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dray: Option<Dray<'a>>,
}

#[derive(Serialize)]
struct Dray<'a> {
    version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    services: Vec<Entry<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<Seconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'static str>,
    #[serde(skip_serializing_if = "<[Digest]>::is_empty")]
    assumes: &'a [Digest],
}

#[derive(Serialize)]
struct Entry<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    image: usize,
    run_args: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    command: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    depends_on: &'a [String],
}

#[derive(Serialize)]
struct Seconds {
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stable_s: Option<u64>,
}

impl Payload {
    /// What upstream's generator would ask for: one container per image, all with the same `run_args`.
    pub fn shared(images: Vec<Reference>, run_args: &str) -> Payload {
        let service = |image| Service {
            name: None,
            image,
            run_args: run_args.to_owned(),
            command: Vec::new(),
            depends_on: Vec::new(),
        };
        Payload {
            scope: DEFAULT_SCOPE.to_owned(),
            services: images.into_iter().map(service).collect(),
            health: Health::default(),
            payload: None,
            assumes: Vec::new(),
            unknown_keys: Vec::new(),
        }
    }

    /// The document; [`Payload::parse`] gives the same request back.
    pub fn to_json(&self) -> String {
        let run_args = self.services.first().map_or("", |s| s.run_args.as_str());
        let plain = self.services.iter().all(|s| s.is_plain(run_args));
        let (containers, services) = if plain {
            (self.services.iter().map(image).collect(), Vec::new())
        } else {
            self.entries()
        };
        let dray = Dray {
            version: VERSION,
            scope: (self.scope != DEFAULT_SCOPE).then_some(self.scope.as_str()),
            services,
            health: (self.health != Health::default()).then_some(Seconds {
                timeout_s: self.health.timeout_s,
                stable_s: self.health.stable_s,
            }),
            payload: self.payload.map(|Carried::OciLayout| "oci-layout"),
            assumes: &self.assumes,
        };
        let needed = dray.scope.is_some()
            || !dray.services.is_empty()
            || dray.health.is_some()
            || dray.payload.is_some()
            || !dray.assumes.is_empty();
        let document = Document {
            containers,
            run_args: if plain { run_args } else { "" },
            dray: needed.then_some(dray),
        };
        serde_json::to_string(&document).expect("strings and numbers always serialize")
    }

    /// Each image once, in order of first use, and the services that point at them.
    fn entries(&self) -> (Vec<String>, Vec<Entry<'_>>) {
        let mut images: Vec<String> = Vec::new();
        let mut entries = Vec::with_capacity(self.services.len());
        for service in &self.services {
            let name = image(service);
            let known = images.iter().position(|image| *image == name);
            entries.push(Entry {
                name: service.name.as_deref(),
                image: known.unwrap_or(images.len()),
                run_args: &service.run_args,
                command: &service.command,
                depends_on: &service.depends_on,
            });
            if known.is_none() {
                images.push(name);
            }
        }
        (images, entries)
    }
}

impl Service {
    fn is_plain(&self, run_args: &str) -> bool {
        self.name.is_none()
            && self.run_args == run_args
            && self.command.is_empty()
            && self.depends_on.is_empty()
    }
}

fn image(service: &Service) -> String {
    service.image.familiar()
}
