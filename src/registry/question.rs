//! One question to a registry, before anybody is asked.

use super::error::{Problem, RegistryError};
use super::http::Method;
use crate::oci::Reference;

/// One question.
pub(super) struct Question<'a> {
    pub(super) method: Method,
    pub(super) reference: &'a Reference,
    /// Who is asked: the reference's registry or one of its mirrors.
    pub(super) place: &'a str,
    /// Below `/v2/REPOSITORY/`; nothing asks for `/v2/` itself.
    pub(super) path: String,
    pub(super) accept: Option<&'static str>,
    /// For messages: "manifest of …".
    pub(super) subject: String,
    /// From where on; the whole if not said.
    pub(super) range: Option<Range>,
}

/// The end of a blob whose beginning is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    /// The first byte wanted.
    pub(super) from: u64,
    /// The last one; to the end if not said.
    pub(super) to: Option<u64>,
    /// The whole is wanted instead if this is no longer its strong tag.
    pub(super) tag: Option<String>,
}

impl Question<'_> {
    /// Where it is asked, below the registry's own origin.
    pub(super) fn target(&self) -> String {
        match self.path.as_str() {
            "" => "/v2/".to_owned(),
            path => format!("/v2/{}/{path}", self.reference.repository),
        }
    }

    /// The headers that say what is wanted.
    pub(super) fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = Vec::new();
        headers.extend(self.accept.map(|accept| ("accept", accept.to_owned())));
        if let Some(range) = &self.range {
            let to = range.to.map_or(String::new(), |to| to.to_string());
            headers.push(("range", format!("bytes={}-{to}", range.from)));
            headers.extend(range.tag.clone().map(|tag| ("if-range", tag)));
        }
        headers
    }

    /// The question failed because of this.
    pub(super) fn failed(&self, problem: Problem) -> RegistryError {
        RegistryError {
            registry: self.place.to_owned(),
            subject: self.subject.clone(),
            problem: Box::new(problem),
        }
    }
}
